"""Whatever a folder of photos may hold: used right to train, or skipped with a reason. (To color: test_colorize.)"""

import io
import os
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from g2g.photos import Item, decode

SIZE = 32
pytestmark = pytest.mark.filterwarnings("ignore:it has more than 8 bits")


def picture(width=80, height=60):
    """Red left, blue right, a green bar at the top: every turn and mirror image of it is another picture."""
    image = Image.new("RGB", (width, height), (200, 30, 30))
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height), fill=(30, 30, 200))
    draw.rectangle((0, 0, width, height // 4), fill=(30, 160, 30))
    return image


def use(path):
    facts, pixels = decode(Item(path.name, path), SIZE)
    assert facts["skipped"] == "", facts
    assert pixels.shape == (SIZE, SIZE, 3) and pixels.dtype == np.uint8
    return facts, pixels.astype(int)


def refuse(path):
    facts, pixels = decode(Item(path.name, path), SIZE)
    assert pixels is None
    assert facts["skipped"]
    return facts["skipped"]


def test_resize_is_bicubic_with_antialiasing(tmp_path):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    image.save(tmp_path / "noise.png")
    facts, pixels = use(tmp_path / "noise.png")
    assert pixels.std() < 20, "noise must average out: without antialiasing it would keep its 74"
    assert (facts["width"], facts["height"]) == (256, 256)


def test_transparency_is_laid_on_white(tmp_path):
    image = picture().convert("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    image.save(tmp_path / "clear.png")
    assert use(tmp_path / "clear.png")[1].min() == 255
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "p.png", transparency=0)
    assert use(tmp_path / "p.png")[1].min() == 255
    half = Image.new("LA", (40, 40), (0, 128))
    half.save(tmp_path / "la.png")
    assert abs(use(tmp_path / "la.png")[1].mean() - 127) < 2


def test_what_cannot_be_used_is_refused_with_a_reason(tmp_path):
    data = io.BytesIO()
    Image.effect_noise((200, 200), 50).convert("RGB").save(data, format="JPEG")
    (tmp_path / "cut.jpg").write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    assert "truncated" in refuse(tmp_path / "cut.jpg")
    data = io.BytesIO()
    Image.effect_noise((200, 200), 50).save(data, format="PNG")
    (tmp_path / "cut.png").write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    refuse(tmp_path / "cut.png")
    (tmp_path / "empty.jpg").touch()
    assert refuse(tmp_path / "empty.jpg") == "empty file"
    (tmp_path / "text.jpg").write_text("no photo\n" * 20)
    assert "not an image" in refuse(tmp_path / "text.jpg")
    (tmp_path / "eps.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n")
    assert "not an image" in refuse(tmp_path / "eps.jpg"), "PostScript must not reach Ghostscript"
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert "1×1" in refuse(tmp_path / "dot.png")
    Image.new("F", (40, 40), 300.5).save(tmp_path / "float.tif")
    assert "no known white" in refuse(tmp_path / "float.tif")
    assert refuse(tmp_path / "none.jpg") == "no such file"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert refuse(tmp_path / "pipe.jpg") == "not a regular file"


def test_a_bomb_is_refused_before_it_unfolds(tmp_path):
    Image.new("1", (12500, 12500)).save(tmp_path / "bomb.png")
    assert "156 megapixels, the limit is 150" in refuse(tmp_path / "bomb.png")


def test_colors_are_read_through_the_photos_profile(tmp_path):
    """The same colors, once in numbers of Display P3 and once of sRGB, are the same pixels."""
    p3 = display_p3()
    srgb = ImageCms.createProfile("sRGB")
    noise = np.random.default_rng(0).integers(60, 196, (8, 8, 3), dtype=np.uint8)
    twin = Image.fromarray(noise).resize((64, 64), Image.Resampling.NEAREST)
    photo = ImageCms.profileToProfile(twin, srgb, ImageCms.ImageCmsProfile(io.BytesIO(p3)))
    twin.save(tmp_path / "srgb.png")
    photo.save(tmp_path / "p3.png", icc_profile=p3)
    photo.save(tmp_path / "bare.png", icc_profile=None)
    expected, read, bare = (use(tmp_path / name)[1] for name in ("srgb.png", "p3.png", "bare.png"))
    assert abs(read - expected).max() <= 2 < 8 < abs(bare - expected).max()


def display_p3():
    """An ICC profile with the primaries of Display P3, made from that of sRGB, whose curve it shares."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for tag, xyz in primaries.items():
        at = data.index(tag)  # in the table of tags: name, offset, size
        (offset,) = struct.unpack(">I", data[at + 4 : at + 8])
        struct.pack_into(">3i", data, offset + 8, *(round(65536 * value) for value in xyz))
    return bytes(data)
