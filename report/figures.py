"""The figures of the report that a single notebook shows, too; `g2g.figures` has those that more of them draw."""

import math
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.colors import LinearSegmentedColormap

from g2g.evaluation import bootstrap, predictions
from g2g.figures import axes, color, figure, grid, image, show, title
from g2g.lab import AB_SCALE, rgb_to_lab
from g2g.profiles import TITLES

GREEN_MAGENTA = "PiYG_r"
BLUE_YELLOW = LinearSegmentedColormap.from_list("blue_yellow", ["#0072B2", "#F7F7F7", "#B88A00"])
CHROMA_EDGES = (0, 5, 10, 15, 20, 30, 140)  # CIE units
BINS = 44  # of the histograms over a* and b*, each 5 CIE units wide


@figure(
    "Preprocessing: a photograph, its L*a*b* planes in CIE units, below them what models see (L) and answer (a, b)."
)
def preprocessing(rgb):
    """The photo and its Lab planes; under them the normalized ones; each with the range that it really spans."""
    photo = image(rgb)
    L, a, b = rgb_to_lab(torch.from_numpy(photo).movedim(-1, 0))
    most = 10 * math.ceil(max(a.abs().max(), b.abs().max()) / 10)
    planes = {
        "L*": (L, "gray", 0, 100),
        "a*": (a, GREEN_MAGENTA, -most, most),
        "b*": (b, BLUE_YELLOW, -most, most),
        "input L = L*/50 − 1": (L / 50 - 1, "gray", -1, 1),
        f"target a = a*/{AB_SCALE:.0f}": (a / AB_SCALE, GREEN_MAGENTA, -1, 1),
        f"target b = b*/{AB_SCALE:.0f}": (b / AB_SCALE, BLUE_YELLOW, -1, 1),
    }
    fig, cells = axes(2, 4, photo.shape, extra=1.5)
    fig.get_layout_engine().set(wspace=0.05)  # room between the ends of the bars
    shown = show(cells[0, 0], photo, "photo\n(sRGB)")
    unseen = fig.colorbar(shown, ax=cells[0, 0], location="bottom", pad=0.03)  # it keeps the photo in line
    unseen.ax.set_visible(False)
    cells[1, 0].axis("off")
    for ax, (name, (plane, cmap, low, high)) in zip(cells[:, 1:].flat, planes.items(), strict=True):
        span = f"{plane.min():z.2f} … {plane.max():z.2f}".replace("-", "−")  # z: no minus zero
        shown = show(ax, plane, f"{name}\n{span}", cmap, low, high)
        fig.colorbar(shown, ax=ax, location="bottom", ticks=[low, (low + high) / 2, high], pad=0.03)
    return fig


@figure("For each model the photographs of lowest and of highest error: its answer above the truth.")
def best_and_worst(truth, predictions: dict, scores: dict, n: int = 3, lower_is_better: bool = True):
    """The n best and the n worst photos of each model.

    Args:
        truth: N images.
        predictions: name -> function from a photo's number to its image.
        scores: name -> N numbers, at least 2n.
    """
    rows, notes, left = [], [], []
    for name, predicted in predictions.items():
        order = np.argsort(scores[name]).tolist()
        if not lower_is_better:
            order.reverse()
        chosen = order[:n] + order[-n:]
        rows.append([predicted(i) for i in chosen])
        rows.append([truth[i] for i in chosen])
        notes += [f"{scores[name][i]:.3f}" for i in chosen] + [""] * len(chosen)
        left += [title(name), "truth"]
    fig = grid(rows, ["best"] * n + ["worst"] * n, left)
    for ax, note in zip(fig.axes, notes, strict=True):
        ax.set_xlabel(note)
    return fig


def error_by_chroma(scores, column="mae") -> pd.DataFrame:
    """Mean of `column` by the photos' chroma: from, to (CIE units), photos, mean, low, high."""
    rows = []
    for low, high in pairwise(CHROMA_EDGES):
        values = scores.loc[scores["chroma"].between(low, high, inclusive="left"), column]
        rows.append((low, high, len(values), *bootstrap(values)))
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
    "What color costs: PSNR over gray against colorfulness, the answers multiplied by 0 to at most 2.5; dots: as "
    "they are; dashed: the truth's colorfulness."
)
def frontier(curves: pd.DataFrame, truth: float):
    """`curves`: a table of `report.tables.frontier`; `truth`: the mean colorfulness of the photos."""
    fig, ax = plt.subplots(figsize=(4.6, 3.2))
    shown = curves[curves["row"].isin(TITLES) & (curves["saturation"] <= 2.5) & (curves["colorfulness"] < 1.3 * truth)]
    for row, curve in shown.groupby("row", sort=False):
        ax.plot(curve["colorfulness"], curve["gain"], color=color(row), label=title(row))
        plain = curve[curve["saturation"] == 1]
        ax.plot(plain["colorfulness"], plain["gain"], "o", color=color(row))
    ax.axhline(0, color=color("gray"), lw=0.8)
    ax.axvline(truth, color=color("gray"), ls="--")
    ax.set(xlabel="colorfulness", ylabel="PSNR over gray, dB", xlim=(0, None))
    ax.legend()
    return fig


def count_colors(model, photos, split="test", **options):
    """How often each color occurs: (truth, predicted), counts (44, 44) over a* (first axis) and b*, -110 to 110.

    Predictions beyond count in the outermost bin. `options` as in `evaluation.predictions`.
    """
    truth, predicted = 0, 0
    for _, _, ab, pred_ab in predictions(model, photos, split, **options):
        truth = truth + _count(ab)
        predicted = predicted + _count(pred_ab)
    return truth, predicted


def _count(ab):
    positions = (ab + 1) / 2 * BINS
    a, b = positions.long().clamp(0, BINS - 1).unbind(1)
    cells = (a * BINS + b).flatten()
    return torch.bincount(cells, minlength=BINS * BINS).view(BINS, BINS).cpu().numpy()
