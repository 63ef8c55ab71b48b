"""Color a photo of any size: color is predicted small, lightness stays the photo's own at full size."""

import math
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from g2g import lab, photos
from g2g.files import printable
from g2g.models import Mirrored, predict

STRIP = 2**18  # pixels painted at a time, so that memory does not grow with the photo


def colorize(photo, model, *, saturation=1.0, size=256, max_megapixels=photos.MAX_MEGAPIXELS, by="a model"):
    """Color one photo at its full resolution; what color it has is ignored, its lightness L* is kept.

    The result is RGB, or RGBA if the photo has transparency: upright, sRGB, 8 bits per channel. `format` is that of
    the photo, `info` its metadata, with the words that its colors are a guess. What cannot be kept is a warning.
    Raises ValueError for a negative or infinite saturation, or a size below 32.

    Args:
        photo, max_megapixels: as in `photos.read_photo`, which says what is raised.
        model: as in `models.predict`, which says what is raised; by `models.Mirrored`, if it has no `seed` to draw by.
        saturation: factor on the predicted ab; 0 gives a gray photo, for which the model is not asked.
        size: color is predicted on about size² pixels; best is the model's training size.
        by: what the model is, for the metadata.
    """
    if not 0 <= saturation < math.inf:
        raise ValueError(f"saturation: expected 0 (gray), 1 (as predicted) or any factor, got {saturation}")
    if size < 32:
        raise ValueError(f"size: expected at least 32 px, got {size}")
    source = Path(photo).name if isinstance(photo, (str, Path)) else ""
    photo, alpha, info = photos.read_photo(photo, max_megapixels)
    if source and _has_color(photo):
        warnings.warn("it has color already, which was ignored", stacklevel=2)
    lines = torch.zeros(1, 4, 1, 1)
    if saturation:  # what transparency hides has no say in the colors
        lines = saturation * _predict(photos.on_white(photo, alpha), model, size)
    result = _paint(photo, lines)
    if alpha:
        result.putalpha(alpha)
    result.info = info | {"exif": photos.add_provenance(info.get("exif"), by, source)}
    result.format = photo.format
    return result


def _has_color(photo):
    """More than one tint: sepia has none."""
    small = photo.resize((64, 64), reducing_gap=2).convert("RGB")
    _, ab = lab.photos_to_lab(np.asarray(small)[None])
    return (ab - ab.mean((2, 3), keepdim=True)).norm(dim=1).mean() * lab.AB_SCALE > lab.NEAR_GRAY


def _predict(photo, model, size):
    """The model's color as lines ab = slope·L + offset: (1,4,h,w), of about size² pixels."""
    # Equal area rather than equal long side: a panorama is not predicted as a thread of a few pixels. Sides that are
    # multiples of 32, as the encoder needs, change the shape a little; padding would gray the colors along it.
    width, height = photo.size
    scale = min(size / math.sqrt(width * height), 16 * size / max(width, height))
    w, h = (max(32, 32 * round(side * scale / 32)) for side in (width, height))
    small = photo.resize((w, h), Image.Resampling.BICUBIC, reducing_gap=3)
    L, _ = lab.photos_to_lab(np.asarray(small.convert("RGB"))[None])
    if not hasattr(model, "seed"):
        model = Mirrored(model)
    return torch.cat(guided_filter(L, predict(model, L)), dim=1)


def guided_filter(L, ab, radius=1, eps=1e-3):
    """How ab (B,2,h,w) goes with L (B,1,h,w) around each pixel, as a line ab = slope·L + offset: (slope, offset).

    The lines, enlarged and applied to an L of higher resolution, put the edges of color where L has its own:
    the guided filter (He, Sun, Tang 2010), fitted at low resolution (He, Sun 2015, "Fast Guided Filter"). One
    thing differs: each line passes through its pixel's own ab, not the window's mean, so that nothing is smoothed.

    A line is fitted to (2·radius + 1)² pixels, then averaged over as many; where the variance of L is below `eps`, a
    window counts as flat: its slope goes to 0.
    """

    def mean(x):
        return F.avg_pool2d(x, 2 * radius + 1, 1, radius, count_include_pad=False)

    variance = mean(L * L) - mean(L) ** 2
    covariance = mean(L * ab) - mean(L) * mean(ab)
    slope = mean(covariance / (variance.clamp(min=0) + eps))
    return slope, ab - slope * L


def _paint(photo, lines):
    """The photo in the colors that `lines` (1,4,h,w), enlarged to its size, make of its L; strip by strip."""
    width, height = photo.size
    result = Image.new("RGB", photo.size)
    rows = max(1, STRIP // width)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine thousands of small steps would wait for the slowest thread
    try:
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            strip = photo.crop((0, top, width, bottom)).convert("RGB")
            L, _ = lab.photos_to_lab(np.asarray(strip)[None])
            # Where the strip lies in the photo, which goes from -1 to 1: its half height, and its middle
            place = torch.tensor([[[1, 0, 0], [0, (bottom - top) / height, (top + bottom) / height - 1]]])
            grid = F.affine_grid(place, L.shape, align_corners=False)
            slope, offset = F.grid_sample(lines, grid, padding_mode="border", align_corners=False).chunk(2, dim=1)
            rgb = to_gamut_rgb(L, slope * L + offset)
            painted = (255 * rgb[0]).round().byte().movedim(0, -1)
            result.paste(Image.fromarray(painted.numpy()), (0, top))
    finally:
        torch.set_num_threads(threads)
    return result


def to_gamut_rgb(L, ab):
    """Normalized L (B,1,H,W) and ab (B,2,H,W) to sRGB (B,3,H,W) in [0, 1], lightness and CIELAB hue kept.

    A color that sRGB cannot show gets the largest chroma that it can, found by bisection on those pixels.
    (`g2g.lab.to_rgb` clips channels: right for a quick look, but it moves the lightness of what it clips.)
    """
    planes = lab.denormalize(L, ab)
    rgb = lab.lab_to_rgb(planes, clip=False)
    outside = _outside(rgb)
    if outside.any():
        L, ab = planes.movedim(1, 0)[:, outside, None].split([1, 2])  # (1,N,1) and (2,N,1)
        factor = torch.zeros_like(L)  # on ab, known to be inside
        for power in range(1, 10):  # to 1/512 of the chroma
            more = factor + 0.5**power
            candidate = lab.lab_to_rgb(torch.cat([L, more * ab]), clip=False)
            factor = torch.where(_outside(candidate), factor, more)
        inside = lab.lab_to_rgb(torch.cat([L, factor * ab]), clip=False)
        rgb.movedim(1, 0)[:, outside] = inside[:, :, 0]
    return rgb.clamp(0, 1)


def _outside(rgb):
    """Which pixels of (…,3,H,W) sRGB cannot show; what rounding to 8 bits brings in is inside."""
    tolerance = 0.5 / 255
    return (rgb.amin(-3) < -tolerance) | (rgb.amax(-3) > 1 + tolerance)


def beside(result: Image.Image) -> Image.Image:
    """A result of `colorize` with its gray photo to the left; above, where a JPEG is not wide enough for both."""
    gray, (width, height) = colorize(result, None, saturation=0), result.size
    right, down = (0, height) if 2 * width > photos.JPEG_SIDE else (width, 0)
    pair = Image.new(result.mode, (width + right, height + down))
    pair.paste(gray, (0, 0))
    pair.paste(result, (right, down))
    pair.info, pair.format = result.info, result.format
    return pair


def colorize_files(paths, output: str | Path, model, *, folders=(), compare=False, skip_existing=False, **options):
    """Color files into the folder `output` as NAME-color.jpg; with `compare` NAME-compare.jpg, gray beside color, too.

    A JPEG is answered as JPEG, all else as PNG, without loss; no file is ever overwritten. One line per
    photo is printed, with its warnings. A broken photo does not stop the others. `options` are those of `colorize`.

    Args:
        output: a folder, made if it is not there; or, for one photo, the name of a .jpg or .png file.
        folders: photos below one of these keep their subfolders in `output`.
        skip_existing: leave out a photo of which `output` holds a result already, whatever the model.

    Returns the list of the files written, and the photos that failed: path -> reason. Before the first photo is colored
    it raises ValueError where `output` names a file, but not one JPEG or PNG, and OSError where it cannot be written.
    """
    output, paths = Path(output), [Path(path) for path in paths]
    suffix = output.suffix.lower()
    is_file = suffix in photos.SUFFIXES and not output.is_dir()
    if is_file and (len(paths) > 1 or suffix not in (".png", *photos.JPEG_SUFFIXES)):
        raise ValueError(f"{output}: results are a .jpg or a .png for one photo, or lie in a folder for {len(paths)}")
    root = output.parent if is_file else output
    root.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=root).close()  # raises where it cannot be written
    done = {(path.parent, photos.source_of(path)) for path in photos.photos_under(root)} if skip_existing else ()
    written, failed = [], {}
    for number, photo in enumerate(paths, 1):
        start = time.perf_counter()
        above = [folder for folder in folders if photo.parent.is_relative_to(folder)]
        folder = root / photo.parent.relative_to(above[0]) if above and not is_file else root
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", UserWarning)
            try:
                if (folder, photos.to_ascii(photo.name)) in done:
                    files, outcome = [], "skipped, its result is there"
                else:
                    files = _colorize_file(photo, output if is_file else folder, is_file, model, compare, options)
                    outcome = f"{', '.join(map(printable, files))} ({time.perf_counter() - start:.1f} s)"
                written += files
            except Exception as error:  # any photo can be broken in a way of its own
                failed[photo] = str(error) or type(error).__name__
                outcome = f"FAILED: {printable(failed[photo])}"
        print(f"[{number}/{len(paths)}] {printable(photo)} -> {outcome}", flush=True)
        for note in notes:
            print("    note:", printable(note.message))
    return written, failed


def _colorize_file(photo, output, is_file, model, compare, options):
    result = colorize(photo, model, **options)
    output = output if is_file else output / photos.result_name(photo, "color", result)
    output.parent.mkdir(parents=True, exist_ok=True)
    pictures = {output: result}
    if compare:
        pair = beside(result)
        pictures[output.parent / photos.result_name(photo, "compare", pair)] = pair
    return [photos.save_new_photo(picture, path) for path, picture in pictures.items()]


def colorize_all(photos, model, size: int, saturation=1.0) -> list[np.ndarray]:
    """Photographs at their own size in a model's colors, predicted on `size`² pixels."""
    return [np.asarray(colorize(photo, model, size=size, saturation=saturation)) for photo in photos]
