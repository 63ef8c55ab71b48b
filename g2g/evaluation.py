"""From a model to numbers: baselines, the scores of every photo, intervals over photos, paired comparisons."""

import math

import numpy as np
import pandas as pd
import torch
from scipy import stats

from g2g import lab, metrics
from g2g.files import progress
from g2g.models import predict
from g2g.profiles import SEED

# The PSNR of rounding to 8 bits, in dB: a picture cannot show more. Without this cap, gray photos colored
# gray (infinite, or 120 dB of float noise) would decide the mean.
PSNR_CAP = 10 * math.log10(12 * 255**2)
LOWER_IS_BETTER = dict.fromkeys(("mae", "mae_gray_pixels", "mae_colorful_pixels", "delta_e", "lpips"), True)
LOWER_IS_BETTER |= {"psnr": False, "ssim": False}


def constant(ab):
    """The model that paints every pixel in one color: `ab` = (a, b), normalized (a*/110, b*/110)."""
    color = torch.tensor(ab, dtype=torch.float32).view(1, 2, 1, 1)
    return lambda L: color.to(L).expand(len(L), 2, *L.shape[2:])


def gray():
    """The model that answers ab = 0."""
    return constant((0, 0))


def best_constant(photos) -> tuple[float, float]:
    """Normalized (a, b) of lowest L1 on the **training** photos: their median; no other split is opened.

    At most about 64 x 64 evenly spaced pixels per photo are used.
    """
    step = max(1, photos.size // 64)
    pixels = photos.train[:, step // 2 :: step, step // 2 :: step]
    _, ab = lab.photos_to_lab(pixels)
    a, b = np.median(ab.numpy(), axis=(0, 2, 3))
    return float(a), float(b)


def predictions(model, photos, split="test", *, batch_size=32, device=None, name="model", show=True):
    """Yield (rgb, L, ab, pred_ab) per batch, in order: sRGB in [0, 1] (B,3,H,W), normalized planes; float32.

    Args:
        model: a module (used in eval mode, without gradients), a function L -> ab such as `gray()`, or the
            `answers` to the same photos.
        device: where the batches are; None: where the model is; the CPU for a function.
        name: what the model is called in the progress display, which `show` turns on, and in errors.

    Raises:
        ValueError: the model's answer has the wrong shape, or is not finite (names the photos).
    """
    array, files = getattr(photos, split), photos.files(split)
    remembered = isinstance(model, torch.Tensor)
    if remembered and len(model) != len(files):
        raise ValueError(f"{name}: {len(model):,} answers to {len(files):,} {split} photos")
    with progress(len(files), f"{name}, {split} photos", "photos", show=show) as bar:
        for start in range(0, len(files), batch_size):
            batch = np.array(array[start : start + batch_size])  # a copy: the memory map is read-only
            pixels = torch.from_numpy(batch).to(device or _device_of(model))
            L, ab = lab.photos_to_lab(pixels)
            try:
                pred_ab = model[start : start + batch_size].to(L) if remembered else predict(model, L, batch_size)
            except ValueError as error:
                last = files[start + len(pixels) - 1]
                raise ValueError(f"{name}, photos {files[start]} to {last}: {error}") from error
            rgb = pixels.permute(0, 3, 1, 2).float() / 255
            yield rgb, L, ab, pred_ab
            bar.update(len(pixels))


def _device_of(model):
    """Where the parameters of a module are; the CPU for a function."""
    parameters = getattr(model, "parameters", lambda: iter(()))()
    return getattr(next(parameters, None), "device", "cpu")


def predict_photos(model, photos, split="test", **options) -> torch.Tensor:
    """A model's answers to all photos of a split, ab (N,2,S,S) on the CPU: asked once, scored in several ways.

    131 MB for 1,000 photos of 128 px. `options` as in `predictions`.
    """
    return torch.cat([pred_ab.cpu() for *_, pred_ab in predictions(model, photos, split, **options)])


def score(model, photos, split="test", *, lpips=None, **options) -> pd.DataFrame:
    """One row per photo, in the order of the split.

    `file`. `mae`: of normalized ab before clipping; `mae_gray_pixels`, `mae_colorful_pixels`: over the pixels
    where the truth's CIE chroma is below 5, or not (NaN where a photo has none). Of the picture shown, in
    sRGB: `psnr` (dB, at most 58.9), `ssim`, `delta_e` (mean CIEDE2000), `colorfulness`, `lpips`. Of the
    truth: `colorfulness_ground_truth`, `chroma` (mean), `near_gray` (the photo). `lpips_note`: why `lpips` is NaN.

    Args:
        lpips: a `metrics.LPIPS`; None: not asked.
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
        "colorfulness_ground_truth": metrics.colorfulness(rgb),
        "chroma": chroma.mean((1, 2)),
    }


SATURATIONS = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 4, 6)


def saturated(model, photos, split="test", saturations=SATURATIONS, **options) -> pd.DataFrame:
    """`mae`, `psnr` (dB), `colorfulness` of every photo with the answers multiplied by each saturation, one row each.

    Columns `photo` (its number) and `saturation` first. A model is a curve: colorfulness can be bought by a factor.
    """
    parts = [by_saturation(*batch, saturations) for batch in predictions(model, photos, split, **options)]
    curve = pd.concat(parts, ignore_index=True)
    curve.insert(0, "photo", curve.groupby("saturation").cumcount())
    return curve


def by_saturation(rgb, L, ab, pred_ab, saturations=SATURATIONS) -> pd.DataFrame:
    """For a batch of `predictions`, one row per photo and saturation: `saturation`, `mae`, `psnr`, `colorfulness`."""
    parts = []
    for saturation in saturations:
        shown = lab.to_rgb(L, saturation * pred_ab)
        measures = {
            "mae": metrics.mae_ab(saturation * pred_ab, ab),
            "psnr": metrics.psnr(shown, rgb).clamp(max=PSNR_CAP),
            "colorfulness": metrics.colorfulness(shown),
        }
        columns = {name: values.cpu() for name, values in measures.items()}
        parts.append(pd.DataFrame({"saturation": saturation} | columns))
    return pd.concat(parts)


def psnr_at(curve: pd.DataFrame, colorfulness: float) -> np.ndarray:
    """PSNR of each photo (N,), dB, at the saturation at which the photos' mean colorfulness is the one asked for.

    Linear between the saturations of `curve` (of `saturated`); NaN if none of them is colorful enough.
    """
    psnr = curve.pivot(index="photo", columns="saturation", values="psnr").to_numpy()
    means = curve.groupby("saturation")["colorfulness"].mean().to_numpy()
    above = int(np.argmax(means >= colorfulness))
    if above == 0:
        return np.full(len(psnr), math.nan)
    share = (colorfulness - means[above - 1]) / (means[above] - means[above - 1])
    return (1 - share) * psnr[:, above - 1] + share * psnr[:, above]


def bootstrap(values) -> tuple[float, float, float]:
    """Mean and its 95% percentile bootstrap interval over photos: (mean, low, high); NaN values are left out.

    It says how far the mean depends on which photos were drawn, nothing about other training seeds.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    mean = float(values.mean()) if len(values) else math.nan
    if len(values) < 2:  # scipy wants two
        return mean, mean, mean
    result = stats.bootstrap((values,), np.mean, n_resamples=2000, batch=100, method="percentile", rng=SEED)
    interval = result.confidence_interval
    return mean, float(interval.low), float(interval.high)


def same_photos(scores: dict[str, pd.DataFrame]) -> None:
    """Raise ValueError unless all score tables of a dict are of the same photos, order and size."""
    first, *others = scores
    for name in others:
        a, b = scores[first], scores[name]
        # The truth's chroma changes with the photo's size: two profiles can share all file names
        if a["file"].tolist() != b["file"].tolist() or not np.allclose(a["chroma"], b["chroma"], atol=0.01):
            counts = f"{len(a):,} and {len(b):,}, compared by file, order and chroma"
            raise ValueError(f"{first} and {name} are not scored on the same photos ({counts}): of another profile?")


def compare(a, b, column="mae", names=("the first", "the second")) -> dict:
    """Paired comparison of two score tables on the same photos.

    Returns a dict: `better` (share of photos where a is better), `difference` (mean of a - b) with `low` and
    `high` (95% bootstrap interval), and `sentence`, which says it in words.

    Raises:
        ValueError: other photos, a column without a better and a worse, or one that was not measured.
    """
    if column not in LOWER_IS_BETTER:
        raise ValueError(f"{column!r} has no better and worse; known: {', '.join(LOWER_IS_BETTER)}")
    first, second = names
    same_photos({first: a, second: b})
    difference = (a[column].reset_index(drop=True) - b[column].reset_index(drop=True)).dropna()
    if difference.empty:
        raise ValueError(f"{column} was not measured for {first} or {second}")
    mean, low, high = bootstrap(difference)
    wins = difference < 0 if LOWER_IS_BETTER[column] else difference > 0
    verdict = "lower" if mean < 0 else "higher"
    doubt = ", which cannot be told from zero" if low <= 0 <= high else ""
    sentence = (
        f"{first} beats {second} on {wins.mean():.1%} of {len(wins):,} photos; its {column} is "
        f"{verdict} by {abs(mean):.3g} on average (95% interval of the difference: {low:.3g} to {high:.3g}{doubt})."
    )
    return {"better": float(wins.mean()), "difference": mean, "low": low, "high": high, "sentence": sentence}
