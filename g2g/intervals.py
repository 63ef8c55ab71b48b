"""What scores of a few photos say about photos in general: intervals, and models compared photo by photo."""

import math

import numpy as np
import pandas as pd

LOWER_IS_BETTER = {"mae": True, "mae_gray_pixels": True, "mae_colorful_pixels": True, "psnr": False,
                   "ssim": False, "delta_e": True, "lpips": True}


def bootstrap(values, n=2000, seed=42) -> tuple[float, float, float]:
    """Mean and its 95% percentile bootstrap interval over photos: (mean, low, high); NaN values are left out.

    It says how far the mean depends on which photos were drawn, nothing about other training seeds.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan, math.nan
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(n)]
    return float(values.mean()), *(float(q) for q in np.percentile(means, (2.5, 97.5)))


def same_photos(scores):
    """Raise ValueError unless all score tables of a dict are of the same photos, order and size."""
    first, *others = scores
    for name in others:
        a, b = scores[first], scores[name]
        # The truth's chroma changes with the photo's size: two profiles can share all file names
        if a["file"].tolist() != b["file"].tolist() or not np.allclose(a["chroma"], b["chroma"], atol=0.01):
            raise ValueError(f"{first} and {name} are not scored on the same photos ({len(a):,}, {len(b):,}; "
                             "compared: file, order, chroma); is one from another profile?")


def compare(a, b, column="mae", names=("the first", "the second")) -> dict:
    """Paired comparison of two score tables on the same photos.

    Returns a dict: `column`, `photos`, `better` (share of photos where a is better), `equal`, `difference`
    (mean of a - b) with `low` and `high` (95% bootstrap interval), and `sentence`, which says it in words.

    Raises:
        ValueError: other photos, a column without a better and a worse, or one that was not measured.
    """
    if column not in LOWER_IS_BETTER:
        raise ValueError(f"{column!r} has no better and worse; known: {', '.join(LOWER_IS_BETTER)}")
    same_photos(dict(zip(names, (a, b), strict=True)))
    difference = a[column].to_numpy() - b[column].to_numpy()
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        raise ValueError(f"{column} was not measured for {names[0]} or {names[1]}")
    gain = -difference if LOWER_IS_BETTER[column] else difference
    mean, low, high = bootstrap(difference)
    better = float((gain > 0).mean())
    verdict = "lower" if mean < 0 else "higher"
    sure = "" if low > 0 or high < 0 else ", which cannot be told from zero"
    sentence = (f"{names[0]} beats {names[1]} on {better:.1%} of {len(gain):,} photos; its {column} is "
                f"{verdict} by {abs(mean):.3g} on average (95% interval of the difference: {low:.3g} to "
                f"{high:.3g}{sure}).")
    return {"column": column, "photos": len(gain), "better": better, "equal": float((gain == 0).mean()),
            "difference": mean, "low": low, "high": high, "sentence": sentence}


def error_by_chroma(scores, column="mae", edges=(0, 5, 10, 15, 20, 30, 140)) -> pd.DataFrame:
    """Mean of `column` by the photos' chroma: from, to (CIE units), photos, mean, low, high."""
    rows = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        values = scores.loc[scores["chroma"].between(low, high, inclusive="left"), column]
        rows.append((low, high, len(values), *bootstrap(values)))
    return pd.DataFrame(rows, columns=["from", "to", "photos", "mean", "low", "high"])


def fooling(answers, truth) -> tuple[float, float, float]:
    """Fooling rate of "which one is real?" with its 95% Wilson interval: (rate, low, high).

    `truth` says for each pair which picture is the real one ("left" or "right", say), `answers` what was
    answered; a wrong answer is a fooled one, and 0.5 is what a perfect model gets.

    Raises:
        ValueError: lists of different length, empty, or with more than two different answers.
    """
    from scipy.stats import binomtest

    answers, truth = list(answers), list(truth)
    if not answers or len(answers) != len(truth):
        raise ValueError(f"{len(answers)} answers for {len(truth)} pairs; give one for each")
    if len(kinds := set(answers) | set(truth)) > 2:
        raise ValueError(f"there are two pictures to choose from, not {', '.join(sorted(map(str, kinds)))}")
    fooled = sum(a != t for a, t in zip(answers, truth, strict=True))
    interval = binomtest(fooled, len(truth)).proportion_ci(method="wilson")
    return fooled / len(truth), interval.low, interval.high
