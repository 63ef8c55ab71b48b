"""Colour a photo of any size: colour is predicted small, lightness stays the photo's own at full size."""

import contextlib
import math
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tqdm import tqdm

from g2g import lab
from g2g.photos import MAX_MEGAPIXELS, new_path, read_photo, save_photo

SIZE = 256  # the side of the square on whose area colour is predicted: the training size of the report
STRIP = 2**18  # pixels painted at a time, so that memory does not grow with the photo


def colorize(
    photo,
    model,
    *,
    saturation: float = 1.0,
    size: int = SIZE,
    compare: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Image.Image:
    """Colour one photo at its full resolution; what colour it has is ignored, its lightness L* is kept.

    Args:
        photo: a path, a PIL image, or a uint8 array (H,W), (H,W,3) or (H,W,4).
        model: L (1,1,h,w) to ab (1,2,h,w), a module or any function; used in eval mode, on its own device.
        saturation: factor on the predicted ab; 0 gives a gray photo.
        size: colour is predicted on size² pixels in the photo's own shape; best is the model's training size.
        compare: put the gray photo to the left of the coloured one.
        max_megapixels: larger files are refused before they are decoded.

    Returns:
        RGB, or RGBA if the photo has transparency: upright, sRGB, 8 bits per channel. `format` is that of the
        photo, `info` its metadata, as `photos.save_photo` writes it. What cannot be kept is a warning.

    Raises:
        ValueError: not a photo, too large, or a bad argument.
        OSError: a file that is missing, broken or of an unknown format.
        RuntimeError: the model predicts colours that are not finite.
    """
    if not 0 <= saturation < math.inf:
        raise ValueError(f"saturation: expected 0 (gray), 1 (as predicted) or any factor, got {saturation}")
    if size < 32:
        raise ValueError(f"size: expected at least 32 px, got {size}")
    photo, alpha, info = read_photo(photo, max_megapixels)
    (W, H), device = photo.size, next(iter(getattr(model, "parameters", list)()), torch.empty(0)).device
    # Equal area rather than equal long side: a panorama is not predicted as a thread of a few pixels.
    scale = min(size / math.sqrt(W * H), 16 * size / max(W, H))
    w, h = max(1, round(W * scale)), max(1, round(H * scale))
    small = photo.resize((w, h), Image.Resampling.BICUBIC, reducing_gap=3).convert("RGB")
    L, _ = lab.photos_to_lab(np.asarray(small)[None], device)
    lines = torch.cat(guided_filter(L, _predict(model, L) * saturation), dim=1)
    lines = F.interpolate(lines, size=(h, W), mode="bilinear")  # to full width here, to full height per strip

    out = Image.new("RGB", (W * (1 + compare), H))
    step = max(1, STRIP // W)
    with _one_thread():
        for top in range(0, H, step):
            strip = np.asarray(photo.crop((0, top, W, min(top + step, H))).convert("RGB"))
            L, _ = lab.photos_to_lab(strip[None], device)
            y = ((torch.arange(top, top + len(strip), device=device) + 0.5) * (h / H) - 0.5).clamp(0, h - 1)
            row = y.long()
            slope, offset = torch.lerp(
                lines[:, :, row], lines[:, :, (row + 1).clamp(max=h - 1)], (y - row)[:, None]
            ).chunk(2, dim=1)
            ab = slope * L + offset
            out.paste(_to_image(to_gamut_rgb(L, ab)), (W * compare, top))
            if compare:
                out.paste(_to_image(lab.to_rgb(L, torch.zeros_like(ab))), (0, top))
    if alpha:
        both = Image.new("L", out.size)
        for i in range(1 + compare):
            both.paste(alpha, (W * i, 0))
        out.putalpha(both)
    out.info, out.format = info, photo.format
    return out


def guided_filter(L: torch.Tensor, ab: torch.Tensor, radius: int = 1, eps: float = 1e-3):
    """How ab goes with L around each pixel, as a line ab = slope·L + offset: (slope, offset), each (B,2,h,w).

    The lines, enlarged and applied to an L of higher resolution, put the edges of colour where L has its own:
    the guided filter (He, Sun, Tang 2010), fitted at low resolution (He, Sun 2015, "Fast Guided Filter"). One
    thing differs: each line passes through its pixel's own ab, not the window's mean, so that detail is added
    and nothing is smoothed. On seven bundled photographs reduced to 96 px the original's mean error in ab was
    above that of plain bilinear enlarging (+37 % at radius 2); like this it is below (-8 %, at edges -14 %).

    Args:
        L, ab: (B,1,h,w) and (B,2,h,w), normalised as in `g2g.lab`.
        radius: a line is fitted to (2·radius + 1)² pixels, then averaged over as many.
        eps: variance of L below which a window counts as flat: its slope goes to 0.
    """

    def mean(x):
        return F.avg_pool2d(x, 2 * radius + 1, 1, radius, count_include_pad=False)

    mean_L = mean(L)
    slope = mean((mean(L * ab) - mean_L * mean(ab)) / ((mean(L * L) - mean_L**2).clamp(min=0) + eps))
    return slope, ab - slope * L


def to_gamut_rgb(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """Normalised L (B,1,H,W) and ab (B,2,H,W) to sRGB (B,3,H,W) in [0, 1], lightness and CIELAB hue kept.

    A colour that sRGB cannot show gets the largest chroma that it can, found by bisection on those pixels.
    (`g2g.lab.to_rgb` clips channels: right for a quick look, but it moves the lightness of what it clips.)
    """
    rgb = lab.lab_to_rgb(lab.denormalize(L, ab), clip=False)
    outside = _outside(rgb)
    if outside.any():
        L, ab = L[:, 0][outside].view(1, 1, 1, -1), ab.transpose(0, 1)[:, outside].view(1, 2, 1, -1)
        low, step = torch.zeros_like(L), 1.0  # the factor on ab known to be inside
        for _ in range(9):  # to 1/512 of the chroma
            step /= 2
            candidate = lab.lab_to_rgb(lab.denormalize(L, ab * (low + step)), clip=False)
            low += step * ~_outside(candidate)
        inside = lab.lab_to_rgb(lab.denormalize(L, ab * low), clip=False)
        rgb.transpose(0, 1)[:, outside] = inside[0, :, 0]
    return rgb.clamp_(0, 1)


@contextlib.contextmanager
def _one_thread():
    # Strips are so quick that threads gain nothing, and where others use the cores too, each of thousands of
    # steps waits for the slowest: 47 s in place of 8 for 12 megapixels, measured at a load of 4 on 2 cores.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _outside(rgb):
    low, high = rgb.amin(1), rgb.amax(1)
    return (low < -0.5 / 255) | (high > 1 + 0.5 / 255)  # what rounding to 8 bits brings in is inside


def _predict(model, L):
    h, w = L.shape[-2:]
    training = getattr(model, "training", False)
    if training:
        model.eval()
    with torch.no_grad():
        ab = model(F.pad(L, (0, -w % 32, 0, -h % 32), mode="replicate"))[..., :h, :w].float()
    if training:
        model.train()
    if not torch.isfinite(ab).all():
        raise RuntimeError("the model predicts colours that are not finite (NaN): its weights are of no use")
    return ab


def _to_image(rgb):
    return Image.fromarray(rgb[0].mul(255).round_().byte().permute(1, 2, 0).contiguous().cpu().numpy())


# ------------------------------------------------------------------------------------------ many files


def colorize_files(photos, folder: str | Path, model, *, compare: bool = False, **options):
    """Colour files into `folder` as NAME-color.jpg; with `compare` NAME-compare.jpg, gray beside colour, too.

    Each in the format of its photo, or PNG where that holds no colour; no file is ever overwritten.
    One line per photo is printed, with its warnings. A broken photo does not stop the others.

    Args:
        photos: paths of files. folder: made where it is missing. options: those of `colorize`.

    Returns:
        (list of the files written, dict of the photos that failed: path to reason).
    """
    folder, written, failed = Path(folder), [], {}
    folder.mkdir(parents=True, exist_ok=True)
    photos = [Path(photo) for photo in photos]
    # A bar where somebody watches; else the lines alone, which carry their own count.
    with tqdm(total=len(photos), unit=" photo", disable=None if len(photos) > 1 else True) as bar:
        for number, photo in enumerate(photos, 1):
            start, notes = time.perf_counter(), []
            try:
                with warnings.catch_warnings(record=True) as notes:
                    warnings.simplefilter("always", UserWarning)
                    result = colorize(photo, model, compare=compare, **options)
                outcome = _write(result, photo, folder, compare)
                written += outcome
                text = f"{', '.join(map(str, outcome))} ({time.perf_counter() - start:.1f} s)"
            except Exception as error:  # any photo can be broken in a way of its own
                failed[photo] = str(error) or type(error).__name__
                text = f"FAILED: {failed[photo]}"
            notes = "".join(f"\n    note: {note.message}" for note in notes)
            bar.write(f"[{number}/{len(photos)}] {photo} -> {text}{notes}", file=sys.stdout)
            bar.update()
    return written, failed


def _write(result, photo, folder, compare):
    pictures = {"color": result}
    if compare:
        pictures = {"color": result.crop((result.width // 2, 0, *result.size)), "compare": result}
    paths = []
    for ending, picture in pictures.items():
        paths.append(new_path(photo, folder, ending, result.format))
        save_photo(picture, paths[-1])
    return paths
