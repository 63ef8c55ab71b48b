"""The figures of the report alone; `g2g.figures` has those that more than one notebook draws."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from g2g.evaluation import bootstrap
from g2g.figures import ab_histograms, color, figure, grid, loss_curves, title
from g2g.profiles import TITLES

CHROMA_EDGES = [0, 5, 10, 15, 20, 30, 140]  # CIE units
BINS = 44  # of the histograms over a* and b*, each 5 CIE units wide
LIKE_THE_UNET = "unet_full", "unet_long"  # left out where room is scarce
FRONTIERS = {"gain": "PSNR over gray, dB", "lpips": "LPIPS (lower is better)"}


def measured_figures(measured) -> dict:
    """The figures of a `report.pipeline.Measured` that its page and `results/` share, by name."""
    test = measured.test
    models = ["ground_truth", *(model for model in measured.runs if model not in LIKE_THE_UNET)]
    level = test.scores["gray"]["colorfulness_ground_truth"].mean()
    return {
        "loss_curves": loss_curves(measured.runs),
        "ab_histograms": ab_histograms({model: test.colors[model] for model in models}),
        "frontier": frontier(test.tables["frontier"], level),
        "frontier_lpips": frontier(test.tables["frontier_lpips"], level, "lpips"),
    }


@figure("For each model the photographs of lowest and of highest error: its prediction above the ground truth.")
def best_and_worst(ground_truth, predictions: dict, errors: dict, n: int = 3):
    """The n best and the n worst of the N images `ground_truth`, for each model.

    `predictions`: name -> function from a photo's number to its image. `errors`: name -> N numbers, at least 2n.
    """
    rows, below, left = [], [], []
    for name, predicted in predictions.items():
        order = np.argsort(errors[name]).tolist()
        chosen = order[:n] + order[-n:]
        rows.append([predicted(i) for i in chosen])
        rows.append([ground_truth[i] for i in chosen])
        below += [f"{errors[name][i]:.3f}" for i in chosen] + [""] * len(chosen)  # nothing below the ground truth
        left += [title(name), "ground truth"]
    fig = grid(rows, ["best"] * n + ["worst"] * n, left)
    for ax, words in zip(fig.axes, below, strict=True):
        ax.set_xlabel(words)
    return fig


def error_by_chroma(scores) -> pd.DataFrame:
    """Mean MAE by the photos' chroma: from, to (CIE units), photos, mean, low, high."""
    bins = pd.cut(scores["chroma"], CHROMA_EDGES, right=False)
    groups = scores["mae"].groupby(bins, observed=False)
    rows = [(inside.left, inside.right, len(errors), *bootstrap(errors)) for inside, errors in groups]
    return pd.DataFrame(rows, columns=["from", "to", "photos", "mean", "low", "high"])


@figure("Error against the mean chroma of the photograph, in bins of CIE units; bands: 95% bootstrap intervals.")
def error_against_chroma(scores: dict):
    """name -> scores by photo (see `evaluation.score`); give the gray baseline too, its line is dashed."""
    fig, ax = plt.subplots(figsize=(3.4, 2.6))
    for name, table in scores.items():
        bins = error_by_chroma(table)
        line = "o--" if name == "gray" else "o-"
        ax.plot(bins.index, bins["mean"], line, color=color(name), label=title(name))
        ax.fill_between(bins.index, bins["low"], bins["high"], color=color(name), alpha=0.2, lw=0)
    ranges = zip(bins["from"], bins["to"], bins["photos"], strict=True)
    ax.set_xticks(bins.index, [f"{low:g}–{high:g}\n({photos})" for low, high, photos in ranges])
    ax.set(xlabel="mean chroma of the photo (number of photos)", ylabel="MAE of ab/110", ylim=(0, None))
    ax.legend()
    return fig


@figure(
    "What color costs: error against colorfulness, the predictions multiplied by 0 to at most 2.5; dots: as "
    "predicted; dashed: the colorfulness of the ground truth."
)
def frontier(curves: pd.DataFrame, ground_truth: float, column: str = "gain"):
    """A line a model. `curves`: of `report.tables.frontier`, or of `mean_curves` for `column="lpips"`.

    `ground_truth`: the mean colorfulness of the photos.
    """
    fig, ax = plt.subplots(figsize=(4.6, 3.2))
    visible = (curves["saturation"] <= 2.5) & (curves["colorfulness"] < 1.3 * ground_truth)
    for row, curve in curves[curves["row"].isin(TITLES) & visible].groupby("row", sort=False):
        ax.plot(curve["colorfulness"], curve[column], color=color(row), label=title(row))
        plain = curve[curve["saturation"] == 1]
        ax.plot(plain["colorfulness"], plain[column], "o", color=color(row))
    ax.axhline(curves.loc[curves["row"] == "gray", column].mean(), color=color("gray"), lw=0.8)
    ax.axvline(ground_truth, color=color("gray"), ls="--")
    ax.set(xlabel="colorfulness", ylabel=FRONTIERS[column], xlim=(0, None))
    ax.legend()
    return fig


def count_colors(ab: torch.Tensor) -> np.ndarray:
    """How often each color occurs in ab (N,2,H,W): counts (44, 44) over a* (first axis) and b*, -110 to 110.

    Colors beyond count in the outermost bin.
    """
    positions = (ab + 1) / 2 * BINS
    a, b = positions.long().clamp(0, BINS - 1).unbind(1)
    counts = torch.bincount((a * BINS + b).flatten(), minlength=BINS**2)
    return counts.view(BINS, BINS).cpu().numpy()
