"""Whatever a folder of photos may hold: used right, or skipped with a reason."""

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageDraw

from g2g.decode import decode, mean_chroma
from g2g.sources import Item

SIZE = 32


def picture(width=80, height=60):
    """Red left, blue right, a green bar at the top: every turn and mirror image of it is another picture."""
    image = Image.new("RGB", (width, height), (200, 30, 30))
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height), fill=(30, 30, 200))
    draw.rectangle((0, 0, width, height // 4), fill=(30, 160, 30))
    return image


def use(path, fit="squash"):
    facts, pixels = decode(Item(path.name, path), SIZE, fit)
    assert facts["skipped"] == "", facts
    assert pixels.shape == (SIZE, SIZE, 3) and pixels.dtype == np.uint8
    return facts, pixels.astype(int)


def refuse(path):
    facts, pixels = decode(Item(path.name, path), SIZE)
    assert pixels is None
    assert facts["skipped"]
    return facts["skipped"]


def close(pixels, image, tolerance=3):
    expected = np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)).astype(int)
    return np.abs(pixels - expected).mean() < tolerance


def test_resize_is_bicubic_with_antialiasing(tmp_path):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    image.save(tmp_path / "noise.png")
    facts, pixels = use(tmp_path / "noise.png")
    assert pixels.std() < 20, "noise must average out: without antialiasing it would keep its 74"
    assert (facts["width"], facts["height"]) == (256, 256)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_rotation_is_honoured(tmp_path, turn):
    undo = {
        2: "FLIP_LEFT_RIGHT",
        3: "ROTATE_180",
        4: "FLIP_TOP_BOTTOM",
        5: "TRANSPOSE",
        6: "ROTATE_90",
        7: "TRANSVERSE",
        8: "ROTATE_270",
    }  # how a camera held that way stores the picture
    stored = picture() if turn == 1 else picture().transpose(Image.Transpose[undo[turn]])
    exif = Image.Exif()
    exif[0x0112] = turn
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    facts, pixels = use(tmp_path / "a.jpg")
    assert close(pixels, picture())
    assert (facts["width"], facts["height"]) == (80, 60)


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


@pytest.mark.parametrize(
    "mode, suffix",
    [
        ("CMYK", "jpg"),
        ("P", "png"),
        ("RGB", "webp"),
        ("RGB", "bmp"),
        ("RGB", "tif"),
        ("CMYK", "tif"),
        ("P", "gif"),
        ("YCbCr", "jpg"),
    ],
)
def test_other_modes_and_formats_give_the_same_picture(tmp_path, mode, suffix):
    image = picture().convert(mode, palette=Image.Palette.ADAPTIVE)
    path = tmp_path / f"a.{suffix}"
    image.save(path, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    assert close(use(path)[1], picture(), tolerance=6)


def test_16_bit_gray_is_scaled_not_clipped(tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    for name in ("a.png", "a.tif"):
        Image.fromarray(ramp).save(tmp_path / name)
        pixels = use(tmp_path / name)[1]
        assert abs(pixels.mean() - 127.5) < 2 and pixels.std() > 60


def test_gray_and_bilevel(tmp_path):
    picture().convert("L").save(tmp_path / "l.jpg")
    facts, pixels = use(tmp_path / "l.jpg")
    assert (pixels == pixels[..., :1]).all() and facts["chroma"] < 0.1
    picture().convert("1").save(tmp_path / "one.png")
    use(tmp_path / "one.png")


def test_crop_takes_the_centre_undistorted(tmp_path):
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    image.save(tmp_path / "wide.png")
    assert (use(tmp_path / "wide.png", fit="crop")[1][:, 2:-2] == (0, 0, 255)).all()
    assert (use(tmp_path / "wide.png")[1][:, :4] == (255, 0, 0)).all()


def test_a_photo_is_used_whatever_its_suffix_says(tmp_path):
    picture().save(tmp_path / "png.jpg", format="PNG")
    assert close(use(tmp_path / "png.jpg")[1], picture())


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
    Image.new("F", (40, 40)).save(tmp_path / "float.tif")
    assert "floating" in refuse(tmp_path / "float.tif")
    assert refuse(tmp_path / "none.jpg") == "no such file"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert refuse(tmp_path / "pipe.jpg") == "not a regular file"


def test_a_bomb_is_refused_before_it_unfolds(tmp_path, monkeypatch):
    Image.new("1", (4000, 4000)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    assert "bomb" in refuse(tmp_path / "bomb.png")


def test_mean_chroma_is_that_of_skimage():
    from skimage import color, data

    photo = data.astronaut()[100:200, 100:217]
    ab = color.rgb2lab(photo)[..., 1:]
    assert mean_chroma(photo) == pytest.approx(np.hypot(ab[..., 0], ab[..., 1]).mean(), abs=1e-3)
