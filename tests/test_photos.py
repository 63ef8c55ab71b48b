"""Whatever a folder of photos may hold: used right to train, or skipped with a reason. (To color: test_colorize.)"""

import io
import os

import numpy as np
import pytest
from PIL import Image

from g2g.photos import Item, decode

SIZE = 32
pytestmark = pytest.mark.filterwarnings("ignore:it has more than 8 bits")


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


@pytest.mark.parametrize(
    "image, options, expected",
    [
        (Image.new("RGBA", (40, 40), (200, 30, 30, 0)), {}, 255),
        (Image.new("P", (40, 40), 0), {"transparency": 0}, 255),
        (Image.new("LA", (40, 40), (0, 128)), {}, 127),
    ],
)
def test_transparency_is_laid_on_white(tmp_path, image, options, expected):
    image.save(tmp_path / "a.png", **options)
    assert abs(use(tmp_path / "a.png")[1] - expected).max() < 2


def encoded(kind, mode="RGB", size=200, **options):
    file = io.BytesIO()
    Image.effect_noise((size, size), 50).convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("cut.jpg", encoded("JPEG")[:5000], "truncated"),
        ("cut.png", encoded("PNG")[:5000], "truncated"),
        ("empty.jpg", b"", "empty file"),
        ("text.jpg", b"no photo" * 20, "not an image"),
        ("postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),  # not for Ghostscript
        ("dot.png", encoded("PNG", size=1), "1×1"),
        ("float.tif", encoded("TIFF", "F"), "no known white"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    assert reason in refuse(tmp_path / name)


def test_what_is_no_file_is_refused(tmp_path):
    assert refuse(tmp_path / "none.jpg") == "no such file"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert refuse(tmp_path / "pipe.jpg") == "not a regular file"


def test_a_bomb_is_refused_before_it_unfolds(tmp_path):
    Image.new("1", (12500, 12500)).save(tmp_path / "bomb.png")
    assert "156 megapixels, the limit is 150" in refuse(tmp_path / "bomb.png")
