"""Color a photo of any size: color is predicted small, lightness stays the photo's own at full size."""

import math
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image

from g2g import lab
from g2g.files import printable
from g2g.models import predict
from g2g.photos import MAX_MEGAPIXELS, claim_path, read_photo, save_photo

SIZE = 256  # the side of the square on whose area color is predicted: the training size of the report
STRIP = 2**18  # pixels painted at a time, so that memory does not grow with the photo


def colorize(
    photo, model, *, saturation=1.0, size=SIZE, compare=False, max_megapixels=MAX_MEGAPIXELS, by="a model"
) -> Image.Image:
    """Color one photo at its full resolution; what color it has is ignored, its lightness L* is kept.

    The result is RGB, or RGBA if the photo has transparency: upright, sRGB, 8 bits per channel. `format` is that of
    the photo, `info` its metadata, as `photos.save_photo` writes it, with the words that its colors are a guess. What
    cannot be kept is a warning.

    Args:
        photo, max_megapixels: as in `photos.read_photo`, which says what is raised.
        model: L (1,1,h,w) to ab (1,2,h,w), as in `models.predict`, which says what is raised.
        saturation: factor on the predicted ab; 0 gives a gray photo.
        size: color is predicted on size² pixels in the photo's own shape; best is the model's training size.
        compare: put the gray photo to the left of the colored one.
        by: what the model is, for the metadata.

    Raises:
        ValueError: a bad argument.
    """
    if not 0 <= saturation < math.inf:
        raise ValueError(f"saturation: expected 0 (gray), 1 (as predicted) or any factor, got {saturation}")
    if size < 32:
        raise ValueError(f"size: expected at least 32 px, got {size}")
    photo, alpha, info = read_photo(photo, max_megapixels)
    lines = saturation * _predict(photo, model, size)
    result = _paint(photo, lines, alpha)
    if compare:
        color = result
        gray = _paint(photo, 0 * lines, alpha)
        result = Image.new(color.mode, (2 * color.width, color.height))
        result.paste(gray, (0, 0))
        result.paste(color, (color.width, 0))
    result.info = info | {"exif": add_provenance(info.get("exif"), by)}
    result.format = photo.format
    return result


def add_provenance(exif, by):
    """The photo's EXIF (bytes or None) with the words that its colors are predicted, its own caption behind them."""
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    words = f"Colors predicted by {by}: a guess, not a record."
    tags[ExifTags.Base.Software] = "Gray to Glory (g2g)"
    tags[ExifTags.Base.ImageDescription] = f"{words} {tags.get(ExifTags.Base.ImageDescription, '')}".strip()
    return tags.tobytes()


def _predict(photo, model, size):
    """The model's color as lines ab = slope·L + offset: (1,4,h,w), of about size² pixels."""
    # Equal area rather than equal long side: a panorama is not predicted as a thread of a few pixels.
    width, height = photo.size
    scale = min(size / math.sqrt(width * height), 16 * size / max(width, height))
    w = max(1, round(width * scale))
    h = max(1, round(height * scale))
    small = photo.resize((w, h), Image.Resampling.BICUBIC, reducing_gap=3)
    L, _ = lab.photos_to_lab(np.asarray(small.convert("RGB"))[None])
    padded = F.pad(L, (0, -w % 32, 0, -h % 32), mode="replicate")
    ab = predict(model, padded)[:, :, :h, :w]
    return torch.cat(guided_filter(L, ab), dim=1)


def guided_filter(L: torch.Tensor, ab: torch.Tensor, radius: int = 1, eps: float = 1e-3):
    """How ab goes with L around each pixel, as a line ab = slope·L + offset: (slope, offset), each (B,2,h,w).

    The lines, enlarged and applied to an L of higher resolution, put the edges of color where L has its own:
    the guided filter (He, Sun, Tang 2010), fitted at low resolution (He, Sun 2015, "Fast Guided Filter"). One
    thing differs: each line passes through its pixel's own ab, not the window's mean, so that nothing is smoothed.
    Against bilinear enlarging, on seven photographs from 96 px: error in ab -8 %; the original filter's +37 %.

    Args:
        L, ab: (B,1,h,w) and (B,2,h,w), normalized as in `g2g.lab`.
        radius: a line is fitted to (2·radius + 1)² pixels, then averaged over as many.
        eps: variance of L below which a window counts as flat: its slope goes to 0.
    """

    def mean(x):
        return F.avg_pool2d(x, 2 * radius + 1, 1, radius, count_include_pad=False)

    variance = mean(L * L) - mean(L) ** 2
    covariance = mean(L * ab) - mean(L) * mean(ab)
    slope = mean(covariance / (variance.clamp(min=0) + eps))
    return slope, ab - slope * L


def _paint(photo, lines, alpha):
    """The photo in the colors that `lines` (1,4,h,w), enlarged to its size, make of its L; strip by strip."""
    width, height = photo.size
    result = Image.new("RGB", photo.size)
    rows = max(1, STRIP // width)
    threads = torch.get_num_threads()
    # On a busy machine each of thousands of small steps would wait for the slowest thread: 12 megapixels took 175 s
    # in place of 16, at a load of 8 on 2 cores.
    torch.set_num_threads(1)
    try:
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            strip = photo.crop((0, top, width, bottom))
            pixels = np.asarray(strip.convert("RGB"))
            L, _ = lab.photos_to_lab(pixels[None])
            # grid_sample counts places from -1 at one border of the photo to 1 at the other
            across = (torch.arange(width) + 0.5) * 2 / width - 1
            down = (torch.arange(top, bottom) + 0.5) * 2 / height - 1
            x, y = torch.meshgrid(across, down, indexing="xy")
            places = torch.stack([x, y], dim=-1)
            enlarged = F.grid_sample(lines, places[None], padding_mode="border", align_corners=False)
            slope, offset = enlarged.chunk(2, dim=1)
            rgb = to_gamut_rgb(L, slope * L + offset)
            painted = (255 * rgb[0]).round().byte().movedim(0, -1)
            result.paste(Image.fromarray(painted.numpy()), (0, top))
    finally:
        torch.set_num_threads(threads)
    if alpha:
        result.putalpha(alpha)
    return result


def to_gamut_rgb(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
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


def colorize_files(photos, folder: str | Path, model, *, compare: bool = False, **options):
    """Color files into `folder` as NAME-color.jpg; with `compare` NAME-compare.jpg, gray beside color, too.

    A JPEG is answered as JPEG, all else as PNG, without loss; no file is ever overwritten. One line per
    photo is printed, with its warnings. A broken photo does not stop the others. `options` are those of `colorize`.

    Returns:
        (list of the files written, dict of the photos that failed: path to reason).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    photos = [Path(photo) for photo in photos]
    written, failed = [], {}
    for number, photo in enumerate(photos, 1):
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", UserWarning)
            try:
                files = _colorize_file(photo, folder, model, compare, options)
                written += files
                seconds = time.perf_counter() - start
                outcome = f"{', '.join(map(printable, files))} ({seconds:.1f} s)"
            except Exception as error:  # any photo can be broken in a way of its own
                failed[photo] = str(error) or type(error).__name__
                outcome = f"FAILED: {printable(failed[photo])}"
        print(f"[{number}/{len(photos)}] {printable(photo)} -> {outcome}", flush=True)
        for note in notes:
            print("    note:", printable(note.message))
    return written, failed


def _colorize_file(photo, folder, model, compare, options):
    result = colorize(photo, model, compare=compare, **options)
    pictures = {"color": result}
    if compare:
        right = (result.width // 2, 0, *result.size)
        pictures = {"color": result.crop(right), "compare": result}
    paths = []
    for ending, picture in pictures.items():
        path = claim_path(photo, folder, ending, result.format)
        try:
            save_photo(picture, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        paths.append(path)
    return paths


def colorize_all(photos, model, size: int, saturation=1.0) -> list[np.ndarray]:
    """Photographs at their own size in a model's colors, predicted on `size`² pixels."""
    return [np.asarray(colorize(photo, model, size=size, saturation=saturation)) for photo in photos]
