"""From a model to numbers: baselines, the scores of every photo, and the profile's table."""

import math

import numpy as np
import pandas as pd
import torch

from g2g import lab, metrics, runs
from g2g.data import prepare
from g2g.files import progress
from g2g.models import predict
from g2g.profiles import STAGES, get_profile, get_recipe
from g2g.tables import table1, write_table

# The PSNR of rounding to 8 bits, in dB: a picture cannot show more. Without this cap, gray photos coloured
# gray (infinite, or 120 dB of float noise) would decide the mean.
PSNR_CAP = 10 * math.log10(12 * 255**2)


def constant(ab):
    """The model that paints every pixel in one colour: `ab` = (a, b), normalised (a*/110, b*/110)."""
    colour = torch.tensor(ab, dtype=torch.float32).view(1, 2, 1, 1)
    return lambda L: colour.to(L).expand(len(L), 2, *L.shape[2:])


def gray():
    """The model that answers ab = 0."""
    return constant((0, 0))


def best_constant(photos) -> tuple[float, float]:
    """Normalised (a, b) of lowest L1 on the **training** photos: their median; no other split is opened.

    At most about 64 x 64 evenly spaced pixels per photo are used.
    """
    step = max(1, photos.size // 64)
    pixels = photos.train[:, step // 2 :: step, step // 2 :: step]
    _, ab = lab.photos_to_lab(pixels)
    a, b = np.median(ab.numpy(), axis=(0, 2, 3))
    return float(a), float(b)


def lpips_or_reason(device="cpu", download=True):
    """An `LPIPS`, or the reason (a string, printed) why there is none; `score` takes either.

    `download=False` takes VGG's weights only if they are on this machine already.
    """
    try:
        return metrics.LPIPS(device, download)
    except metrics.LPIPSUnavailable as error:
        print(error)
        return error.reason


def predictions(model, photos, split="test", *, batch_size=32, device=None, name="model", show=True):
    """Yield (rgb, L, ab, pred_ab) per batch, in order: sRGB in [0, 1] (B,3,H,W), normalised planes; float32.

    Args:
        model: a module (used in eval mode, without gradients) or a function L -> ab such as `gray()`.
        device: where the batches are; None is `runs.device()`.
        name: what the model is called in the progress display, which `show` turns on, and in errors.

    Raises:
        ValueError: the model's answer has the wrong shape, or is not finite (names the photos).
    """
    array, files = getattr(photos, split), photos.files(split)
    with progress(len(files), f"{name}, {split} photos", "photos", show=show) as bar:
        for start in range(0, len(files), batch_size):
            batch = np.array(array[start : start + batch_size])  # a copy: the memory map is read-only
            pixels = torch.from_numpy(batch).to(device or runs.device())
            L, ab = lab.photos_to_lab(pixels)
            try:
                pred_ab = predict(model, L, batch_size)
            except ValueError as error:
                last = files[start + len(pixels) - 1]
                raise ValueError(f"{name}, photos {files[start]} to {last}: {error}") from error
            rgb = pixels.permute(0, 3, 1, 2).float() / 255
            yield rgb, L, ab, pred_ab
            bar.update(len(pixels))


def score(model, photos, split="test", *, lpips=None, **options) -> pd.DataFrame:
    """One row per photo, in the order of the split.

    `file`. `mae`: of normalised ab before clipping; `mae_gray_pixels`, `mae_colorful_pixels`: over the pixels
    where the truth's CIE chroma is below 5, or not (NaN where a photo has none). Of the picture shown, in
    sRGB: `psnr` (dB, at most 58.9), `ssim`, `delta_e` (mean CIEDE2000), `colorfulness`, `lpips`. Of the
    truth: `colorfulness_truth`, `chroma` (mean), `near_gray` (the photo). `lpips_note`: why `lpips` is NaN.

    Args:
        lpips: a `metrics.LPIPS`, or the reason why there is none (of `lpips_or_reason`); None: not asked.
        model, options: as in `predictions`, which says what is raised.
    """
    measured = callable(lpips)
    parts = []
    for rgb, L, ab, pred_ab in predictions(model, photos, split, **options):
        columns = _measures(rgb, L, ab, pred_ab)
        if measured:
            columns["lpips"] = lpips(lab.to_rgb(L, pred_ab), rgb)
        numbers = {name: values.double().cpu().numpy() for name, values in columns.items()}
        parts.append(pd.DataFrame(numbers))
    scores = pd.concat(parts, ignore_index=True)
    scores.insert(0, "file", photos.files(split))
    scores["near_gray"] = photos.near_gray(split)
    scores["lpips_note"] = ""  # a column: it survives a csv
    if not measured:
        scores["lpips"] = np.nan
        scores["lpips_note"] = lpips or "not asked for"
    return scores


def _measures(rgb, L, ab, pred_ab):
    shown, true_lab = lab.to_rgb(L, pred_ab), lab.denormalize(L, ab)
    chroma = metrics.chroma(ab)
    near_gray = chroma < lab.NEAR_GRAY
    return {
        "mae": metrics.mae_ab(pred_ab, ab),
        "mae_gray_pixels": metrics.mae_ab(pred_ab, ab, near_gray),
        "mae_colorful_pixels": metrics.mae_ab(pred_ab, ab, ~near_gray),
        "psnr": metrics.psnr(shown, rgb).clamp(max=PSNR_CAP),
        "ssim": metrics.ssim(shown, rgb),
        "delta_e": metrics.delta_e(lab.rgb_to_lab(shown), true_lab),
        "colorfulness": metrics.colorfulness(shown),
        "colorfulness_truth": metrics.colorfulness(rgb),
        "chroma": chroma.mean((1, 2)),
    }


def evaluate_profile(profile=None, photos=None, note="") -> str:
    """Score the baselines and every finished run of the recipes; write table 1, return it as Markdown.

    Writes table1.csv, .md, .tex and scores_ROW.csv into the profile's `results/`. Nothing is trained: a stage
    without a finished run is named as missing. `note`: a sentence on the photos, say, for below the table.
    """
    profile = get_profile(profile)
    photos = photos or prepare(profile)
    models = {"gray": gray(), "constant": constant(best_constant(photos))}
    ids = []
    for stage in STAGES:
        run = runs.find_run(get_recipe(stage, profile), photos, profile)
        if run:
            models[stage] = run.model(device=runs.device())
            ids.append(run.id)
    lpips = lpips_or_reason(runs.device(), download=profile.name != "smoke")  # 528 MB: not for a first look
    scores = {row: score(model, photos, lpips=lpips, name=row) for row, model in models.items()}
    notes = [f"Profile {profile.name}: {profile.purpose}.", f"Runs: {', '.join(ids) or 'none'}."]
    if note:
        notes.append(note)
    files = write_table(table1(scores), profile.outputs / "results", notes, scores)
    return files[1].read_text(encoding="utf-8")
