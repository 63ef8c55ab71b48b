"""From a model to numbers: baselines, scores of every photo, and all that reads them in one import."""

import math

import numpy as np
import pandas as pd
import torch

from g2g import lab, metrics
from g2g.files import progress
from g2g.tables import bootstrap, compare, error_by_chroma, fooling, quoted_score, stamp, table1, write_table

__all__ = [
    "ab_histograms",
    "best_constant",
    "bootstrap",
    "compare",
    "constant",
    "error_by_chroma",
    "evaluate_profile",
    "fooling",
    "gray",
    "lpips_or_reason",
    "predictions",
    "quoted_score",
    "score",
    "stamp",
    "table1",
    "write_table",
]

# The PSNR of rounding to 8 bits, in dB: a picture cannot show more. Without this cap, gray photos coloured
# gray (infinite, or 120 dB of float noise) would decide the mean.
PSNR_CAP = 10 * math.log10(12 * 255**2)


def constant(ab):
    """The model that paints every pixel in one colour: `ab` = (a, b), normalised (a*/110, b*/110)."""
    colour = torch.tensor([float(v) for v in ab]).view(1, 2, 1, 1)
    return lambda L: colour.to(L).expand(len(L), 2, *L.shape[2:])


def gray():
    """The model that answers ab = 0."""
    return constant((0, 0))


def best_constant(photos) -> tuple[float, float]:
    """Normalised (a, b) of lowest L1 on the **training** photos: their median; no other split is opened.

    At most about 64 x 64 evenly spaced pixels per photo are used.
    """
    array, step = photos.train, max(1, photos.size // 64)
    planes = [
        lab.photos_to_lab(array[i : i + 64, step // 2 :: step, step // 2 :: step])[1] for i in range(0, len(array), 64)
    ]
    a, b = np.median(torch.cat(planes).numpy(), axis=(0, 2, 3))
    return float(a), float(b)


def lpips_or_reason(device="cpu", weights=None, download=True):
    """An `LPIPS`, or the reason (a string, printed) why there is none; `score` takes either.

    `download=False` takes VGG's weights only if they are on this machine already.
    """
    try:
        return metrics.LPIPS(weights, device, download)
    except metrics.LPIPSUnavailable as error:
        print(error)
        return error.reason


@torch.no_grad()
def predictions(model, photos, split="test", *, batch_size=32, device=None, name="model", show=True):
    """Yield (rgb, L, ab, pred_ab) per batch, in order: sRGB in [0, 1] (B,3,H,W), normalised planes; float32.

    Args:
        model: a module (used in eval mode, without gradients) or a function L -> ab such as `gray()`.
        device: where to compute; None is where the module is, or the CPU.

    Raises:
        ValueError: the model's answer has the wrong shape, or is not finite (names the photos).
    """
    array, files = getattr(photos, split), photos.files(split)
    is_module = isinstance(model, torch.nn.Module)
    device = device or (next(model.parameters()).device if is_module else "cpu")
    if is_module:
        from g2g.training import predict

        model = model.to(device)
    with progress(len(files), f"{name}, {split} photos", "photos", show=show) as bar:
        for start in range(0, len(files), batch_size):
            photo = torch.from_numpy(array[start : start + batch_size].copy()).to(device)
            L, ab = lab.photos_to_lab(photo)
            pred_ab = predict(model, L) if is_module else model(L).float()
            if pred_ab.shape != ab.shape:
                raise ValueError(f"{name} answers {tuple(pred_ab.shape)}, expected ab {tuple(ab.shape)}")
            bad = ~pred_ab.isfinite().flatten(1).all(1)
            if bad.any():
                names = [files[start + i] for i in bad.nonzero().flatten().tolist()]
                raise ValueError(
                    f"{name} predicts NaN or infinity for {', '.join(names[:5])}; its training "
                    "diverged, or its weights are damaged"
                )
            yield photo.permute(0, 3, 1, 2).float() / 255, L, ab, pred_ab
            bar.update(len(photo))


@torch.no_grad()
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
    measure = None if isinstance(lpips, str) else lpips
    parts = []
    for rgb, L, ab, pred_ab in predictions(model, photos, split, **options):
        shown = lab.to_rgb(L, pred_ab)
        chroma = metrics.chroma(ab)
        near_gray = chroma < metrics.NEAR_GRAY
        columns = {
            "mae": metrics.mae_ab(pred_ab, ab),
            "mae_gray_pixels": metrics.mae_ab(pred_ab, ab, near_gray),
            "mae_colorful_pixels": metrics.mae_ab(pred_ab, ab, ~near_gray),
            "psnr": metrics.psnr(shown, rgb).clamp(max=PSNR_CAP),
            "ssim": metrics.ssim(shown, rgb),
            "delta_e": metrics.delta_e(lab.rgb_to_lab(shown), lab.denormalize(L, ab)),
            "colorfulness": metrics.colorfulness(shown),
            "colorfulness_truth": metrics.colorfulness(rgb),
            "chroma": chroma.mean((1, 2)),
        }
        if measure:  # its range is right by construction, and a batch of white photos must pass
            columns["lpips"] = measure(2 * shown - 1, 2 * rgb - 1, check_range=False)
        parts.append(pd.DataFrame({k: v.double().cpu().numpy() for k, v in columns.items()}))
    scores = pd.concat(parts, ignore_index=True)
    scores.insert(0, "file", photos.files(split))
    scores["near_gray"] = photos.near_gray(split)
    if not measure:
        scores["lpips"] = np.nan
    scores["lpips_note"] = "" if measure else lpips or "not asked for"  # a column: survives a csv
    return scores


def evaluate_profile(profile=None, photos=None, note="") -> str:
    """Score the baselines and every finished run of the recipes; write table 1, return it as Markdown.

    Writes table1.csv, .md, .tex and scores_ROW.csv into the profile's `results/`. Nothing is trained: a stage
    without a finished run is named as missing. `note`: a sentence on the photos, say, for below the table.
    """
    from g2g import runs as stages
    from g2g.data import prepare

    profile = profile if isinstance(profile, stages.Profile) else stages.get_profile(profile)
    photos = photos or prepare(profile)
    recipes, device = stages.RECIPES[profile.name], stages.device()
    found = {stage: stages.find_run(recipe, photos, profile) for stage, recipe in recipes.items()}
    runs = {stage: run for stage, run in found.items() if run}
    models = {"gray": gray(), "constant": constant(best_constant(photos))}
    models |= {stage: run.model(device=device) for stage, run in runs.items()}
    lpips = lpips_or_reason(device, download=profile.name != "smoke")  # 528 MB: not for a first look
    scores = {row: score(model, photos, lpips=lpips, device=device, name=row) for row, model in models.items()}
    table = table1(scores, recipes["unet_long"].epochs)
    notes = [
        f"Profile {profile.name}: {profile.purpose}.",
        f"Runs: {', '.join(run.id for run in runs.values()) or 'none'}.",
        *[note] * bool(note),
    ]
    files = write_table(table, profile.outputs / "results", notes, scores)
    return files[1].read_text(encoding="utf-8")


def ab_histograms(model, photos, split="test", bins=44, **options):
    """How often each colour occurs: (truth, predicted, edges).

    Counts (bins, bins) over a* (first axis) and b*, both from -110 to 110; predictions beyond count in the
    outermost bin. `options` as in `predictions`.
    """
    edges = np.linspace(-lab.AB_SCALE, lab.AB_SCALE, bins + 1)
    counts = np.zeros((2, bins * bins), dtype=int)
    for _, _, ab, pred_ab in predictions(model, photos, split, **options):
        for i, planes in enumerate((ab, pred_ab)):
            a, b = ((planes + 1) * bins / 2).long().clamp(0, bins - 1).transpose(0, 1).flatten(1)
            counts[i] += torch.bincount(a * bins + b, minlength=bins * bins).cpu().numpy()
    return *counts.reshape(2, bins, bins), edges
