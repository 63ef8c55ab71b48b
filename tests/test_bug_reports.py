"""What people met who scan, convert and color, from public bug reports: each rebuilt as a small input."""

import os
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from conftest import raising
from PIL import Image, PngImagePlugin

from app.__main__ import main
from g2g import photos
from g2g.colorize import colorize, colorize_files
from g2g.photos import Item, decode, find_photos, read_photo, result_name, save_photo, source_of

COLOR = skimage.data.chelsea()[100:196, 100:228]
GRAY = np.asarray(Image.fromarray(COLOR).convert("L"))
SIXTEEN, COLOR16 = GRAY.astype("uint16") * 257, COLOR.astype("uint16") * 257
PLANES, FIFTH = np.moveaxis(COLOR16, -1, 0), GRAY // 5


def orange(L):
    return torch.tensor([0.3, 0.5]).view(1, 2, 1, 1).expand(-1, -1, *L.shape[-2:])


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(read_photo(path)[0]).astype(int)


@pytest.mark.parametrize(
    "values, expected, options",
    [
        (65535 - SIXTEEN, GRAY, {"photometric": "miniswhite"}),
        (1 - (GRAY / 255).astype("float32"), GRAY, {"photometric": "miniswhite"}),
        (PLANES, COLOR, {"photometric": "rgb", "planarconfig": "separate"}),
        (SIXTEEN // 16, GRAY, {"extratags": [(281, "H", 1, 4095, True)]}),
        (SIXTEEN, GRAY, {"extratags": [(281, "H", 1, int(SIXTEEN.max()), True)]}),
        (np.dstack([GRAY, 255 - GRAY]), GRAY, {"extrasamples": ["unspecified"], "planarconfig": "contig"}),
        (np.dstack([SIXTEEN, SIXTEEN]), GRAY, {"extrasamples": ["unassalpha"], "planarconfig": "contig"}),
        (np.dstack([FIFTH, GRAY * 0 + 51]), FIFTH * 5, {"extrasamples": ["assocalpha"], "planarconfig": "contig"}),
        (COLOR16, COLOR, {"photometric": "rgb", "bigtiff": True, "tile": (32, 32)}),
    ],
)
def test_a_tiff_is_read_as_its_tags_say(tmp_path, values, expected, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, **{"photometric": "minisblack"} | options)
    assert abs(read(path) - expected).max() <= 1
    facts, pixels = decode(Item("a", path), 32)
    on_white = "alpha" in str(options)
    assert not facts["skipped"] and (on_white or abs(pixels.mean() - expected.mean()) < 2), "training reads the same"


def test_a_thumbnail_is_not_taken_for_the_photo(tmp_path):
    path = tmp_path / "raw.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(COLOR[::4, ::4], photometric="rgb", subifds=1, subfiletype=1)
        file.write(COLOR, photometric="rgb", extratags=[])
    assert np.array_equal(read(path), COLOR)


@pytest.mark.parametrize("photometric, bits", [("cfa", 16), ("minisblack", 12), ("minisblack", 32)])
def test_a_layout_that_is_not_known_is_refused_with_the_reason(tmp_path, photometric, bits):
    path, values = tmp_path / "a.tif", SIXTEEN.astype("uint32" if bits == 32 else "uint16")
    tifffile.imwrite(path, values, photometric=photometric)
    data = path.read_bytes()
    if bits == 12:  # declared in place of 16: BitsPerSample, type short, one value
        data = data.replace(b"\x02\x01\x03\x00\x01\x00\x00\x00\x10", b"\x02\x01\x03\x00\x01\x00\x00\x00\x0c")
        path.write_bytes(data)
    with pytest.raises(ValueError, match="TIFF|no known white"):
        read_photo(path)


def test_a_png_of_linear_light_is_decoded(tmp_path):
    linear = (255 * np.where(GRAY > 10, ((GRAY / 255 + 0.055) / 1.055) ** 2.4, GRAY / 255 / 12.92)).round()
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (100_000).to_bytes(4, "big"))
    Image.fromarray(linear.astype(np.uint8)).save(tmp_path / "a.png", pnginfo=info)
    difference = abs(read(tmp_path / "a.png") - GRAY)
    assert np.median(difference) <= 1 and difference[GRAY > 60].max() <= 2


def test_heic_is_told_how_to_convert(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    with pytest.raises(OSError, match="magick"):
        read_photo(tmp_path / "a.heic")


def test_exif_that_a_jpeg_cannot_hold_is_shortened_and_the_guess_stays(tmp_path, capsys):
    exif = Image.Exif()
    exif[0x013B] = "the photographer"
    exif.get_ifd(0x8769)[0x9286] = b"x" * 65_430
    Image.fromarray(COLOR).save(tmp_path / "a.jpg", exif=exif.tobytes())
    (written,), failed = colorize_files([tmp_path / "a.jpg"], tmp_path, orange)
    found = Image.open(written).getexif()
    assert not failed and "too long" in capsys.readouterr().out
    assert "a guess, not a record" in found[270] and found[0x013B] == "the photographer"


def test_a_pair_too_wide_for_a_jpeg_is_stacked(tmp_path):
    Image.new("L", (33_000, 20), 90).save(tmp_path / "a.jpg")
    written, failed = colorize_files([tmp_path / "a.jpg"], tmp_path / "out", orange, compare=True)
    assert not failed and [Image.open(path).size for path in written] == [(33_000, 20), (33_000, 40)]


@pytest.mark.parametrize("size, suffix", [((1, 65_500), ".jpg"), ((1, 65_501), ".png")])
def test_a_picture_too_tall_for_a_jpeg_is_a_png(size, suffix):
    tall = Image.new("RGB", size)
    tall.format = "JPEG"
    assert result_name(Path("a.jpg"), "color", tall) == f"a-color{suffix}"


def test_only_a_full_disk_is_called_full(tmp_path, monkeypatch):
    rgba = Image.new("RGBA", (20, 20))
    with pytest.raises(ValueError, match=r"transparency.*choose \.png"):
        save_photo(rgba, tmp_path / "x.jpg")
    with pytest.raises(RuntimeError, match="No such file or directory") as missing:
        save_photo(rgba, tmp_path / "none" / "x.png")
    assert "disk" not in str(missing.value).replace(str(tmp_path), "")

    monkeypatch.setattr(Image.Image, "save", raising(OSError(28, "No space left on device")))
    with pytest.raises(RuntimeError, match="x.png: the disk is full. Free some space"):
        save_photo(rgba, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append((tmp_path / "x.png").exists()))
    save_photo(Image.new("RGB", (20, 20)), tmp_path / "x.png")
    assert synced == [False] and (tmp_path / "x.png").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_claimed_name_is_given_back_when_the_program_is_ended(tmp_path, monkeypatch, number):
    monkeypatch.setattr("g2g.runs.pretrained_model", lambda _: (orange, 64, "a stand-in"))
    monkeypatch.setattr(photos, "save_photo", lambda *_: signal.raise_signal(number))
    Image.fromarray(GRAY).save(tmp_path / "a.jpg")
    both = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(each, lambda *_: pytest.fail("not handled")) for each in both]
    try:
        with pytest.raises(SystemExit, match=str(128 + number)):
            main(["colorize", str(tmp_path / "a.jpg"), "-o", str(tmp_path / "out")])
    finally:
        for each, handler in zip(both, before, strict=True):
            signal.signal(each, handler)
    assert not list((tmp_path / "out").iterdir())


def test_what_transparency_hides_does_not_change_the_colors(tmp_path):
    results = []
    for hidden in (0, 255):
        pixels = np.dstack([COLOR, np.full_like(GRAY, 255)])
        pixels[:48] = hidden, 255 - hidden, hidden, 0
        Image.fromarray(pixels).save(tmp_path / f"{hidden}.png")
        results.append(np.asarray(colorize(tmp_path / f"{hidden}.png", lambda L: torch.cat([L, -L], 1) / 2, size=64)))
    assert np.array_equal(results[0][50:], results[1][50:])


def test_metadata_that_goes_is_named_and_sizes_that_changed_are_not_kept(tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0xA002: 128, 0xA003: 96, 0x9003: "2001:02:03 04:05:06"})
    text, xmp = PngImagePlugin.PngInfo(), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    text.add_text("Author", "somebody")
    Image.fromarray(COLOR).save(tmp_path / "a.jpg", exif=exif.tobytes(), comment=b"a comment", xmp=xmp)
    Image.fromarray(COLOR).save(tmp_path / "a.png", pnginfo=text)
    tifffile.imwrite(tmp_path / "a.tif", COLOR, extratags=[(33723, "B", 4, b"IPTC", True)])
    written, _ = colorize_files(sorted(tmp_path.glob("a.*")), tmp_path, orange)
    said = capsys.readouterr().out
    for names in ("XMP and comment", "text", "IPTC"):
        assert f"its {names} metadata was left out" in said
    with Image.open(written[0]) as result:
        details = result.getexif().get_ifd(0x8769)
        assert result.size == (96, 128) and details[0x9003].startswith("2001") and not {0xA002, 0xA003} & set(details)


def test_results_are_known_by_their_metadata_not_by_their_names(tmp_path):
    for name in ("water-color.jpg", "b.png"):
        Image.fromarray(COLOR).save(tmp_path / name)
    own = [tmp_path / name for name in ("b.png", "water-color.jpg")]
    assert find_photos([tmp_path]) == (own, [])
    written, _ = colorize_files(own, tmp_path, orange, compare=True)
    written[0].rename(tmp_path / "renamed.png")
    assert find_photos([tmp_path]) == (own, [])
    assert source_of(tmp_path / "renamed.png") == "b.png" and source_of(own[0]) is None
    assert "predicted by g2g" in decode(Item("x", tmp_path / "renamed.png"), 32)[0]["skipped"]


def test_existing_results_are_skipped_and_subfolders_kept(tmp_path, capsys):
    for folder in ("one", "two"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        for name in ("ä.webp", "ä.png"):
            Image.fromarray(GRAY).save(tmp_path / "in" / folder / name)
    found, _ = find_photos([tmp_path / "in"])
    options = {"folders": [tmp_path / "in"], "skip_existing": True}
    written, _ = colorize_files(found[1:], tmp_path / "out", orange, **options)
    assert [str(path.relative_to(tmp_path / "out")) for path in written] == [
        "one/ä-color.png", "two/ä-color.png", "two/ä-color-2.png",
    ]  # fmt: skip
    written, failed = colorize_files(found, tmp_path / "out", orange, **options)
    assert [path.name for path in written] == ["ä-color-2.png"] and not failed
    assert capsys.readouterr().out.count("skipped, its result is there") == 3


def test_one_photo_goes_to_the_file_that_is_named(tmp_path, capsys):
    Image.fromarray(COLOR).save(tmp_path / "a.png")
    written, _ = colorize_files([tmp_path / "a.png"], tmp_path / "new" / "result.jpg", orange)
    assert written == [tmp_path / "new" / "result.jpg"] and Image.open(written[0]).format == "JPEG"
    assert "it has color already, which was ignored" in capsys.readouterr().out
    for photos_, name in (([tmp_path / "a.png"] * 2, "r.jpg"), ([tmp_path / "a.png"], "r.tif")):
        with pytest.raises(ValueError, match="for one photo"):
            colorize_files(photos_, tmp_path / name, orange)


@pytest.mark.parametrize("name, reason", [("-", "standard input"), ("https://x.org/a.jpg", "download it first")])
def test_what_is_not_a_file_is_refused_in_one_sentence(tmp_path, capsys, name, reason):
    with pytest.raises(SystemExit, match="2"):
        main(["colorize", name, "-o", str(tmp_path)])
    assert reason in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_photo(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", raising(PermissionError(13, "Permission denied", "out")))
    with pytest.raises(PermissionError):
        colorize_files([tmp_path / "a.jpg"], tmp_path / "out", pytest.fail)
