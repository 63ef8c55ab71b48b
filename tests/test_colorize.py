import io
import os
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import skimage.data
import tifffile
import torch
import torch.nn.functional as F
from conftest import raising
from PIL import Image, ImageCms, features

from app.__main__ import main
from g2g import colorize as module
from g2g import lab
from g2g.colorize import colorize, colorize_files, guided_filter, to_gamut_rgb
from g2g.photos import find_photos
from g2g.profiles import repo_root
from g2g.runs import pretrained_model

FORMATS = {"png": "RGB L P 1", "tif": "RGB CMYK LAB", "bmp": "P", "gif": "P", "pgm": "L"}
ORANGE, VIOLET, GRAY = (0.3, 0.5), (0.7, -0.9), (0.0, 0.0)


def paints(ab):
    """A model that sees one color everywhere."""
    return lambda L: torch.tensor(ab).view(1, 2, 1, 1).expand(-1, -1, *L.shape[-2:])


def colored(path, folder, **options):
    """The picture that is written for one photo."""
    (written,), failed = colorize_files([path], folder, paints(ORANGE), **options)
    assert not failed
    return Image.open(written)


def lightness(image):
    return skimage.color.rgb2lab(np.asarray(image.convert("RGB")))[..., 0]


def photo(width=90, height=60):
    """Gradients of color and a hard edge, black and white among them."""
    y, x = np.mgrid[:height, :width]
    red, green = x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1)
    pixels = np.stack([red, green, (x * 2 > width) * 255], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def saved(image, path, **options):
    image.save(path, **options)
    return path


def profile(swapped=False):
    """sRGB, or sRGB with red and green changing places, which no one can overlook."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if swapped:
        for old, new in ((b"rXYZ", b"?"), (b"gXYZ", b"rXYZ"), (b"?", b"gXYZ")):
            data = data.replace(old, new, 1)
    return data


@pytest.mark.parametrize("ab", [ORANGE, VIOLET, (-0.9, 0.9), (0.0, -1.0), (3.0, 3.0)])
def test_lightness_is_that_of_the_photo_even_for_colors_beyond_srgb(ab):
    source = Image.fromarray(skimage.data.astronaut()[:200])
    assert abs(lightness(colorize(source, paints(ab))) - lightness(source)).max() < 0.35  # half an 8-bit step


def test_gamut_keeps_hue_and_as_much_chroma_as_fits():
    torch.manual_seed(0)
    L, ab = torch.rand(1, 1, 40, 50) * 1.8 - 0.9, torch.randn(1, 2, 40, 50)
    before = lab.denormalize(L, ab)
    after = lab.rgb_to_lab(to_gamut_rgb(L, ab))
    chroma = [t[:, 1:].norm(dim=1) for t in (before, after)]
    factor = chroma[1] / chroma[0]
    off_hue = (after[:, 1:] - before[:, 1:] * factor[:, None]).norm(dim=1)
    assert (after[:, 0] - before[:, 0]).abs().max() < 0.3 and off_hue.max() < 1.5
    assert factor.max() < 1.05 and (factor < 0.9).any()
    reduced = factor < 0.98
    more = lab.lab_to_rgb(lab.denormalize(L, ab * (factor * 1.03 + 0.01)[:, None]), clip=False)
    assert ((more.amin(1) < 0) | (more.amax(1) > 1))[reduced].all()


def test_color_bleeds_less_over_an_edge_of_lightness_than_with_bilinear_enlarging():
    """Two halves, dark blue and light orange, their edge inside of a low-resolution pixel."""
    L, ab = torch.full((1, 1, 320, 320), -0.4), torch.zeros(1, 2, 320, 320)
    ab[:, 1] = -0.3
    L[..., 167:], ab[:, 0, :, 167:], ab[:, 1, :, 167:] = 0.5, 0.2, 0.4
    small_L, small_ab = (F.interpolate(planes, size=32, mode="area") for planes in (L, ab))
    small = (small_ab, *guided_filter(small_L, small_ab))
    plain, slope, offset = (F.interpolate(planes, size=320, mode="bilinear") for planes in small)
    assert F.l1_loss(slope * L + offset, ab) < 0.2 * F.l1_loss(plain, ab)


def test_strips_leave_no_seams(monkeypatch):
    source = Image.fromarray(skimage.data.coffee())
    model = lambda L: torch.cat([L, -L], 1) * 0.3  # noqa: E731
    whole = np.asarray(colorize(source, model), int)
    monkeypatch.setattr(module, "STRIP", 3000)
    assert abs(np.asarray(colorize(source, model), int) - whole).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3000, 20), (20, 3000), (9000, 1), (33, 31), (500, 400)])
def test_any_size_and_shape(size):
    seen = []

    def model(L):
        seen.append(L.shape[-2:])
        return paints(ORANGE)(L)

    result = colorize(photo(*size), model, size=128)
    assert result.size == size
    h, w = seen[0]
    assert seen == [(h, w)] * 2, "the photo and its mirror image"
    assert h % 32 == w % 32 == 0 and h * w <= 4 * 128**2  # 32 px are much for thin shapes
    if min(size) >= 20:
        assert 0.5 < (w / h) / (size[0] / size[1]) < 2 or min(h, w) == 32
    assert np.asarray(result).reshape(-1, 3).std(axis=1).max() > 5 or size == (1, 1)


def test_one_thread_paints(monkeypatch):
    """Many threads would wait for each other at every strip."""
    threads, to_lab = [], lab.photos_to_lab
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(lab, "photos_to_lab", lambda *a: threads.append("strip") or to_lab(*a))
    colorize(photo(), paints(ORANGE))
    assert threads == ["strip", 1, "strip", torch.get_num_threads()]


def test_the_last_rows_are_as_colorful_as_those_above_them():
    """Padding would gray them."""
    model, size, _ = pretrained_model("unet")
    result = colorize(np.asarray(Image.open(repo_root() / "data" / "gallery" / "meadow.jpg")), model, size=size)
    _, a, b = np.moveaxis(skimage.color.rgb2lab(np.asarray(result)), -1, 0)
    chroma = np.hypot(a, b).mean(axis=1)
    rows = len(chroma) // 16
    assert chroma[-rows:].mean() > 0.85 * chroma[-3 * rows : -rows].mean()


def test_the_mirror_image_is_averaged_in_but_not_for_draws_of_a_seed():
    source = Image.fromarray(skimage.data.chelsea())
    model = lambda L: torch.cat([L.cumsum(-1), L], 1) / 99  # noqa: E731
    both = colorize(source, model)
    flipped = colorize(source.transpose(Image.Transpose.FLIP_LEFT_RIGHT), model)
    assert np.abs(np.asarray(both, int) - np.asarray(flipped, int)[:, ::-1]).max() <= 1
    model.seed = 0
    once = colorize(source, model)
    flipped = colorize(source.transpose(Image.Transpose.FLIP_LEFT_RIGHT), model)
    assert np.abs(np.asarray(once, int) - np.asarray(flipped, int)[:, ::-1]).max() > 1


@pytest.mark.parametrize(
    "color, options, words",
    [
        (ORANGE, {"saturation": -1}, "saturation"),
        (ORANGE, {"saturation": np.nan}, "saturation"),
        (ORANGE, {"size": 8}, "size"),
        ((np.nan, 0), {}, "NaN or infinity"),
    ],
)
def test_bad_options_and_predictions_are_named(color, options, words):
    with pytest.raises(ValueError, match=words):
        colorize(photo(), paints(color), **options)


@pytest.mark.parametrize(
    "name, mode, options, out",
    [(f"a.{kind}", mode, {}, ".png") for kind, modes in FORMATS.items() for mode in modes.split()]
    + [
        ("a.JPEG", "L", {}, ".JPEG"),
        ("a.jpg", "RGB", {"quality": 98}, ".jpg"),
        ("a.jpg", "CMYK", {"quality": 98}, ".jpg"),
    ]
    + [("a.webp", "RGB", {"lossless": True}, ".png"), ("a.tiff", "L", {"compression": "tiff_lzw"}, ".png")]
    + [("a.png.jpg", "RGB", {"format": "PNG"}, ".png"), ("a.avif", "RGB", {"quality": 95}, ".png")],
)
def test_formats_and_modes(tmp_path, name, mode, options, out):
    if name.endswith("avif") and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    if mode == "LAB":
        spaces = (ImageCms.createProfile(space) for space in ("sRGB", "LAB"))
        source = ImageCms.profileToProfile(photo().convert("L").convert("RGB"), *spaces, outputMode="LAB")
    else:
        source = photo().convert(mode)
    path = saved(source, tmp_path / name, **options)
    result = colored(path, tmp_path / "out")
    assert result.filename.endswith(f"-color{out}") and result.mode == "RGB" and result.size == (90, 60)
    tolerance = 1 if Path(name).suffix in (".png", ".tif", ".tiff", ".bmp") else 6  # JPEG and company lose some
    assert np.quantile(abs(lightness(result) - lightness(Image.open(path))), 0.95) < tolerance
    assert mode == "1" or skimage.color.rgb2lab(np.asarray(result))[..., 2].mean() > 15


def test_alpha_is_kept(tmp_path):
    alpha = Image.fromarray(np.tile(np.arange(90, dtype=np.uint8), (60, 1)))
    rgba, palette = Image.merge("RGBA", (*photo().split(), alpha)), photo().convert("P")
    sources = {
        "rgba.png": (rgba, {}),
        "rgba.tif": (rgba, {}),
        "rgba.webp": (rgba, {"lossless": True, "exact": True}),
        "la.png": (Image.merge("LA", (photo().convert("L"), alpha)), {}),
        "palette.png": (palette, {"transparency": 5}),
    }
    for name, (source, options) in sources.items():
        result = np.asarray(colored(saved(source, tmp_path / name, **options), tmp_path / "out"))
        assert result.shape == (60, 90, 4), name
        if name == "palette.png":
            assert np.array_equal(result[..., 3] == 0, np.asarray(palette) == 5)
        else:
            assert np.array_equal(result[..., 3], np.asarray(alpha)), name


def test_sixteen_bits(tmp_path):
    ramp = np.linspace(0, 65535, 90 * 60).reshape(60, 90).astype(np.uint16)
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([ramp] * 3, -1), photometric="rgb")
    tifffile.imwrite(tmp_path / "gray.tif", ramp, byteorder=">")
    Image.fromarray(ramp).save(tmp_path / "gray.png")
    Image.fromarray(ramp).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    Image.fromarray((ramp / 65535).astype(np.float32)).save(tmp_path / "float.tif")
    for path in sorted(tmp_path.glob("*.*")):
        with pytest.warns(UserWarning, match="more than 8 bits"):
            result = colorize(path, paints(GRAY))
        assert abs(np.asarray(result).astype(int) - (ramp / 257)[..., None]).max() <= 1, path.name


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_exif_orientation_is_applied_once(tmp_path, orientation, name):
    tiles = np.kron([[0, 80, 255], [160, 30, 200]], np.ones((32, 32)))
    upright = Image.fromarray(tiles.astype(np.uint8)).convert("RGB")
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # EXIF orientation: the Image.Transpose that makes it
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "a caption"
    result = colored(saved(stored, tmp_path / name, exif=exif), tmp_path)
    found = result.getexif()
    assert found.get(0x0112, 1) == 1 and found[0x010E].endswith("a record. a caption")
    assert result.size == upright.size
    assert abs(lightness(result) - lightness(upright)).mean() < 3


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_metadata_is_kept(tmp_path, name):
    exif = Image.Exif()
    exif[0x013B] = "the photographer"
    exif.get_ifd(0x8769).update({0x9003: "2001:02:03 04:05:06", 0xA001: 65535})
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 30.0, 0.0)})
    options = {} if name == "a.webp" else {"dpi": (300, 300)}
    result = colored(saved(photo(), tmp_path / name, exif=exif.tobytes(), **options), tmp_path)
    result.load()
    found = result.getexif()
    assert found[0x013B] == "the photographer"
    assert found.get_ifd(0x8769)[0x9003] == "2001:02:03 04:05:06" and 0xA001 not in found.get_ifd(0x8769)
    assert found.get_ifd(0x8825)[1] == "N" and float(found.get_ifd(0x8825)[2][0]) == 47
    assert name == "a.webp" or round(float(result.info["dpi"][0])) == 300


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_photo_in_another_color_space_is_converted(tmp_path, mode):
    red, green = Image.new("RGB", (20, 20), (220, 20, 30)), Image.new("RGB", (20, 20), (20, 220, 30))
    path = saved(red.convert(mode), tmp_path / "a.png", icc_profile=profile(swapped=True))
    result = colorize(path, paints(GRAY))
    expected = green if mode == "RGB" else red.convert("L")
    assert abs(lightness(result) - lightness(expected)).max() < 1
    written = ImageCms.ImageCmsProfile(io.BytesIO(result.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(written)


def test_srgb_profile_changes_nothing_no_profile_adds_none_and_a_broken_one_is_said(tmp_path):
    with_profile = colorize(saved(photo(), tmp_path / "a.png", icc_profile=profile()), paints(ORANGE))
    without = colorize(saved(photo(), tmp_path / "b.png"), paints(ORANGE))
    assert np.array_equal(with_profile, without)
    assert "icc_profile" in with_profile.info and "icc_profile" not in without.info
    broken = saved(photo(), tmp_path / "c.png", icc_profile=b"not a profile" * 20)
    with pytest.warns(UserWarning, match="profile cannot be used"):
        assert colorize(broken, paints(ORANGE)).size == (90, 60)


def test_nothing_is_ever_overwritten(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    inputs = [saved(photo(), tmp_path / name) for name in ("a.jpg", "one/a.jpg", "two/a.png", "a-color.jpg")]
    before = [path.read_bytes() for path in inputs]
    written, failed = colorize_files(inputs, tmp_path, paints(ORANGE))
    assert not failed and [path.read_bytes() for path in inputs] == before
    assert [p.name for p in written] == ["a-color-2.jpg", "a-color-3.jpg", "a-color.png", "a-color-color.jpg"]
    again, _ = colorize_files(inputs[:1], tmp_path, paints(VIOLET))
    assert again[0].name == "a-color-4.jpg"


def test_one_broken_file_does_not_stop_the_rest(tmp_path, capsys):
    good = saved(photo(), tmp_path / "good.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not a photo")
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:700])
    (tmp_path / "script.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    photos, missing = find_photos([tmp_path])
    written, failed = colorize_files(photos, tmp_path / "out", paints(ORANGE))
    assert [p.name for p in written] == ["good-color.jpg"] and not missing
    assert {p.name for p in failed} == {"empty.jpg", "text.png", "cut.jpg", "script.jpg"}
    assert all(failed.values())
    text = capsys.readouterr().out
    assert all(name in text for name in ("good.jpg", "empty.jpg", "text.png", "cut.jpg")) and "[5/5]" in text


def test_files_folders_and_patterns_are_found_once(tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("a.jpg", "deep/b.PNG", ".hidden.jpg", "x[1].jpg"):
        saved(photo(), tmp_path / "in" / name)
    (tmp_path / "in/readme.txt").write_text("no photo")
    inside = tmp_path / "in"

    def found(*paths):
        photos, missing = find_photos(paths)
        return [p.name for p in photos], len(missing)

    assert found(inside) == (["a.jpg", "b.PNG", "x[1].jpg"], 0)
    assert found(inside / "a.jpg", str(inside / "*.jpg"), inside) == (["a.jpg", "x[1].jpg", "b.PNG"], 0)
    assert found(str(tmp_path / "**/*.PNG"), inside / "x[1].jpg") == (["b.PNG", "x[1].jpg"], 0)
    assert found(inside / "a.jpg", tmp_path / "none", str(tmp_path / "*.gif")) == (["a.jpg"], 2)


def test_compare_puts_gray_beside_color(tmp_path):
    alpha = Image.new("L", (90, 60), 200)
    path = saved(Image.merge("RGBA", (*photo().split(), alpha)), tmp_path / "a.png")
    written, failed = colorize_files([path], tmp_path / "out", paints(ORANGE), compare=True)
    assert not failed and [p.name for p in written] == ["a-color.png", "a-compare.png"]
    color, both = (np.asarray(Image.open(p)) for p in written)
    assert both.shape == (60, 180, 4) and np.array_equal(both[:, 90:], color)
    assert both[:, :90, :3].std(axis=-1).max() < 0.6 and (both[..., 3] == 200).all()
    assert np.array_equal(color, np.asarray(colorize(path, paints(ORANGE))))


def cli(*arguments):
    return main(["colorize", *map(str, arguments)])


def refused(capsys, *arguments):
    """What the command says to wrong arguments."""
    with pytest.raises(SystemExit, match="2"):
        cli(*arguments)
    return capsys.readouterr().err


def test_command_line_says_what_it_did_and_its_exit_code_says_how_it_went(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("g2g.runs.pretrained_model", lambda *_: (paints(ORANGE), 64, "a model that paints orange"))
    good, bad, out = saved(photo(), tmp_path / "a.jpg"), tmp_path / "bad.jpg", tmp_path / "out"
    bad.write_text("not a photo")
    assert cli(good, "-o", out, "--compare", "--saturation", 1.5) == 0
    assert sorted(p.name for p in out.iterdir()) == ["a-color.jpg", "a-compare.jpg"]
    assert "a model that paints orange" in capsys.readouterr().out
    assert cli(good, bad, "-o", out) == 1
    assert "bad.jpg" in capsys.readouterr().err
    assert cli(good, tmp_path / "none.jpg", "-o", out) == 1
    assert cli(tmp_path / "none.jpg", tmp_path / "*.png", "-o", out) == 2
    said = capsys.readouterr().err
    assert "none.jpg" in said and "no file matches this pattern" in said


@pytest.mark.parametrize("stem", ["line\nfailed: b.jpg", "\x1b[2Jgone", os.fsdecode(b"caf\xe9"), "n" * 246])
def test_any_name_is_colored_and_printed_safely(stem, tmp_path, capsys):
    source = tmp_path / f"{stem}.jpg"
    picture = saved(photo(), tmp_path / "plain.jpg")
    os.rename(picture, source)
    written, failed = colorize_files([source], tmp_path / "out", paints(ORANGE))
    said = capsys.readouterr().out
    assert not failed and written[0].exists()
    said.encode("utf-8", "strict")
    assert said.count("\n") == 2 and "\x1b" not in said


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_the_file_says_that_its_colors_are_a_guess(tmp_path, name):
    result = colored(saved(photo(), tmp_path / name), tmp_path, by="a model that paints orange")
    words = "Colors predicted by a model that paints orange: a guess, not a record."
    assert result.getexif()[0x010E] == words and result.getexif()[0x0131].startswith("Gray to Glory")
    assert name == "a.jpg" or result.text["Description"] == words


@pytest.mark.parametrize(
    "model, option, values, wrong, expected",
    [
        ("palette", "--temperature", (1, 0.1), ("1.5", "0"), "expected a number from 0.01 to 1"),
        ("palette", "--rebalancing", (1, 0), ("-1",), "expected a number from 0 to 1"),
        ("flow", "--seed", (7, 8), ("-1",), "expected a number from 0 to"),
    ],
)
def test_another_parameter_is_another_coloring(model, option, values, wrong, expected, tmp_path, capsys):
    picture = saved(Image.fromarray(skimage.data.chelsea()), tmp_path / "a.jpg")
    results = []
    for number, value in enumerate((values[0], *values)):
        assert cli(picture, "-o", tmp_path / str(number), "--model", model, option, value) == 0
        results.append(np.asarray(Image.open(tmp_path / str(number) / "a-color.jpg")).astype(int))
    assert np.array_equal(results[0], results[1]) and np.abs(results[0] - results[2]).mean() > 1
    says = f"{option}: this model has no such parameter; add --model {model}"
    assert says in refused(capsys, picture, "--model", "unet", option, values[0])
    for value in wrong:
        assert f"{value}: {expected}" in refused(capsys, picture, "--model", model, option, value)


def test_what_the_system_says_in_two_words_gets_a_remedy(tmp_path, capsys, monkeypatch):
    picture = saved(photo(), tmp_path / "a.jpg")
    (tmp_path / "file").write_text("no folder")
    assert cli(picture, "-o", tmp_path / "file") == 1
    assert "File exists: " in (said := capsys.readouterr().err) and "a file lies where a folder has to be" in said
    assert cli(picture, "-o", tmp_path / "file" / "below") == 1
    assert "Not a directory: " in (said := capsys.readouterr().err) and "choose another place" in said
    monkeypatch.setattr(Path, "mkdir", raising(PermissionError(13, "Permission denied", "x")))
    assert cli(picture, "-o", tmp_path / "out") == 1
    assert "error: Permission denied: x; choose another place, or change its permissions" in capsys.readouterr().err


def test_an_interrupted_colorize_does_not_promise_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "colorize_files", raising(KeyboardInterrupt()))
    assert cli(saved(photo(), tmp_path / "a.jpg"), "-o", tmp_path) == 130
    assert capsys.readouterr().err == "interrupted; what was written is whole, and stays\n"
