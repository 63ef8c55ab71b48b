"""From a model to numbers: baselines, the scores of every photo, intervals over photos, paired comparisons."""

import math

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from g2g import lab, metrics
from g2g.files import progress
from g2g.models import predict
from g2g.profiles import SEED

# That of rounding to 8 bits, in dB: a picture cannot show more. Gray photos colored gray would decide the mean.
PSNR_CAP = 10 * math.log10(12 * 255**2)
SATURATIONS = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 4, 6)
LOWER_IS_BETTER = {"mae": True, "delta_e": True, "lpips": True, "psnr": False, "ssim": False}


def constant(ab):
    """The model that paints every pixel in one color: `ab` = (a, b), normalized (a*/110, b*/110)."""
    color = torch.tensor(ab, dtype=torch.float32).view(1, 2, 1, 1)
    return lambda L: color.to(L).expand(len(L), 2, *L.shape[2:])


def gray():
    """The model that predicts ab = 0."""
    return constant((0, 0))


def best_constant(photos) -> tuple[float, float]:
    """Normalized (a, b) of lowest L1 on the **training** photos: their median; no other split is opened."""
    step = max(1, photos.size // 64)  # 64 x 64 pixels of a photo are enough
    _, ab = lab.photos_to_lab(photos.train[:, step // 2 :: step, step // 2 :: step])
    a, b = np.median(ab.numpy(), axis=(0, 2, 3))
    return float(a), float(b)


def predictions(model, photos, split="test", *, batch_size=32, name="model", show=True):
    """Yield (rgb, L, ab, pred_ab) per batch, in order: sRGB in [0, 1] (B,3,H,W), normalized planes; float32.

    `model`: as in `models.predict`, or what `predict_photos` returned. `name` is for the progress display, which `show`
    turns on, and for the ValueError of a prediction that is not as it should be.
    """
    array, files = getattr(photos, split), photos.files(split)
    if isinstance(model, Tensor) and len(model) != len(files):
        raise ValueError(f"{name}: {len(model):,} predictions for {len(files):,} {split} photos")
    weights = model.parameters() if isinstance(model, torch.nn.Module) else iter(())
    device = next(weights, torch.empty(0)).device
    with progress(len(files), f"{name}, {split} photos", "photos", show=show) as bar:
        for start in range(0, len(files), batch_size):
            batch = slice(start, start + batch_size)
            pixels = torch.from_numpy(np.array(array[batch])).to(device)  # a copy: the memory map is read-only
            L, ab = lab.photos_to_lab(pixels)
            try:
                pred_ab = model[batch].to(L) if isinstance(model, Tensor) else predict(model, L, batch_size)
            except ValueError as error:
                raise ValueError(f"{name}, photos {files[batch][0]} to {files[batch][-1]}: {error}") from error
            yield pixels.permute(0, 3, 1, 2).float() / 255, L, ab, pred_ab
            bar.update(len(pixels))


def predict_photos(model, photos, split="test", **options):
    """A model's predictions for all photos of a split, ab (N,2,S,S) on the CPU: made once, scored in several ways.

    131 MB for 1,000 photos of 128 px. `options` as in `predictions`.
    """
    return torch.cat([pred_ab.cpu() for *_, pred_ab in predictions(model, photos, split, **options)])


def score(model, photos, split="test", *, lpips=None, **options) -> pd.DataFrame:
    """One row per photo, in the order of the split: `file`, `near_gray` (boolean), and the columns of `measures`.

    `lpips`: as in `measures`. `model`, `options`: as in `predictions`, which says what is raised.
    """
    parts = [measures(*batch, lpips) for batch in predictions(model, photos, split, **options)]
    names = pd.DataFrame({"file": photos.files(split), "near_gray": photos.near_gray(split)})
    return names.join(pd.concat(parts, ignore_index=True))


def measures(rgb, L, ab, pred_ab, lpips=None) -> pd.DataFrame:
    """All measures of a batch of `predictions`, one row per photo.

    `mae`: of normalized ab before clipping; `mae_gray_pixels`, `mae_colorful_pixels`: over the pixels where the
    CIE chroma of the ground truth is below 5, or not (NaN where a photo has none). Of the picture shown, in sRGB:
    `psnr` (dB, at most 58.9), `ssim`, `delta_e` (mean CIEDE2000), `colorfulness`, and `lpips`, NaN where `lpips`, a
    function of two pictures, is None. Of the ground truth: `colorfulness_ground_truth`, `chroma` (mean, CIE units).
    """
    shown, chroma = lab.to_rgb(L, pred_ab), metrics.chroma(ab)
    near_gray = chroma < lab.NEAR_GRAY
    columns = _first_measures(rgb, shown, ab, pred_ab, lpips) | {
        "mae_gray_pixels": metrics.mae_ab(pred_ab, ab, near_gray),
        "mae_colorful_pixels": metrics.mae_ab(pred_ab, ab, ~near_gray),
        "ssim": metrics.ssim(shown, rgb),
        "delta_e": metrics.delta_e(lab.rgb_to_lab(shown), lab.denormalize(L, ab)),
        "colorfulness_ground_truth": metrics.colorfulness(rgb),
        "chroma": chroma.mean((1, 2)),
    }
    return pd.DataFrame({name: values.double().cpu().numpy() for name, values in columns.items()})


def _first_measures(rgb, shown, ab, pred_ab, lpips):
    return {
        "mae": metrics.mae_ab(pred_ab, ab),
        "psnr": metrics.psnr(shown, rgb).clamp(max=PSNR_CAP),
        "colorfulness": metrics.colorfulness(shown),
        "lpips": lpips(shown, rgb) if lpips else torch.full((len(rgb),), math.nan),
    }


def saturated(model, photos, split="test", saturations=SATURATIONS, **options) -> pd.DataFrame:
    """`by_saturation` of all photos, `options` as in `predictions`. A model is a curve, for a factor buys color."""
    batches = predictions(model, photos, split, **options)
    return pd.concat([by_saturation(*batch, saturations) for batch in batches], ignore_index=True)


def by_saturation(rgb, L, ab, pred_ab, saturations=SATURATIONS, lpips=None) -> pd.DataFrame:
    """Per photo and factor on its prediction, `saturation`, a row of `mae`, `psnr`, `colorfulness` and `lpips`."""
    parts = []
    for factor in saturations:
        columns = _first_measures(rgb, lab.to_rgb(L, factor * pred_ab), ab, factor * pred_ab, lpips)
        numbers = {name: values.cpu().numpy() for name, values in columns.items()}
        parts.append(pd.DataFrame({"saturation": factor} | numbers))
    return pd.concat(parts)


def at_colorfulness(curve: pd.DataFrame, colorfulness: float, column="psnr") -> np.ndarray:
    """`column` of each photo (N,) at the saturation at which the photos' mean colorfulness is the one asked for.

    Linear between the saturations of `curve` (of `saturated`); NaN if none of them is colorful enough.
    """
    curve = curve.assign(photo=curve.groupby("saturation").cumcount())
    values = curve.pivot(index="photo", columns="saturation", values=column).to_numpy()
    means = curve.groupby("saturation")["colorfulness"].mean().to_numpy()
    above = int(np.argmax(means >= colorfulness))
    if above == 0:
        return np.full(len(values), math.nan)
    fraction = (colorfulness - means[above - 1]) / (means[above] - means[above - 1])
    return (1 - fraction) * values[:, above - 1] + fraction * values[:, above]


def bootstrap(values) -> tuple[float, float, float]:
    """Mean and its 95% percentile bootstrap interval over photos: (mean, low, high); NaN values are left out.

    It says how far the mean depends on which photos were drawn, nothing about other training seeds.
    """
    values = pd.Series(values, dtype=float).dropna().to_numpy()
    mean = float(values.mean()) if len(values) else math.nan
    if len(values) < 2:  # scipy wants two
        return mean, mean, mean
    result = stats.bootstrap((values,), np.mean, n_resamples=2000, batch=100, method="percentile", rng=SEED)
    return mean, *map(float, result.confidence_interval)


def same_photos(scores: dict[str, pd.DataFrame]) -> None:
    """Raise ValueError unless all score tables of a dict are of the same photos, order and size."""
    first, *others = scores
    for name in others:
        a, b = scores[first], scores[name]
        # The ground truth's chroma changes with the photo's size: two profiles can share all file names
        if a["file"].tolist() != b["file"].tolist() or not np.allclose(a["chroma"], b["chroma"], atol=0.01):
            counts = f"{len(a):,} and {len(b):,}, compared by file, order and chroma"
            raise ValueError(f"{first} and {name} are not scored on the same photos ({counts}): of another profile?")


def compare(a, b, column="mae", names=("the first", "the second")) -> dict:
    """Paired comparison of two score tables on the same photos.

    Returns `better` (fraction of photos where a is better), `difference` (mean of a - b) with `low` and `high` (95%
    bootstrap interval), `sentence`. ValueError for other photos, or a column of no direction or not measured.
    """
    if column not in LOWER_IS_BETTER:
        raise ValueError(f"{column!r} has no better and worse; known: {', '.join(LOWER_IS_BETTER)}")
    first, second = names
    same_photos({first: a, second: b})
    difference = (a[column].reset_index(drop=True) - b[column].reset_index(drop=True)).dropna()
    if difference.empty:
        raise ValueError(f"{column} was not measured for {first} or {second}")
    mean, low, high = bootstrap(difference)
    wins = (difference < 0 if LOWER_IS_BETTER[column] else difference > 0).mean()
    measure = "CIEDE2000" if column == "delta_e" else column.upper()
    way = "lower" if mean < 0 else "higher"
    unclear = ", which includes zero" if low <= 0 <= high else ""
    sentence = (
        f"{first} beats {second} on {wins:.1%} of {len(difference):,} photos; its {measure} is {way} by "
        f"{abs(mean):.3g} on average (95% interval of the difference: {low:.3g} to {high:.3g}{unclear})."
    )
    return {"better": float(wins), "difference": mean, "low": low, "high": high, "sentence": sentence}
