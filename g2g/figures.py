"""Every figure of the report, one function each: images, tables or runs in, a matplotlib Figure out.

An image is (H,W,3) or (3,H,W), uint8 or float in [0, 1], an array, tensor or PIL image; a plane of floats
(H,W) or (1,H,W) is normalised L in [-1, 1]. Names may be those of stages (`cnn` is written CNN). Figures are
at most 7 inches wide, two columns of a paper; `save` writes them.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import MaxNLocator

from g2g import plotting
from g2g.lab import AB_SCALE, normalize, rgb_to_lab
from g2g.plotting import COLORS, color, figure, grid, image, save, show, title
from report import diagrams

__all__ = [
    "ab_histogram",
    "ab_histograms",
    "best_and_worst",
    "cnn_architecture",
    "error_against_chroma",
    "gan_architecture",
    "image_row",
    "lab_planes",
    "loss_curves",
    "parameter_analysis",
    "patch_map",
    "preprocessing",
    "qualitative_grid",
    "save",
    "teaser",
    "unet_architecture",
]

# -------------------------------------------------------------------------------------------- photographs


@figure("Photographs.")
def image_row(images, titles=()):
    """Images in one row, each under its title."""
    return grid([images], titles)


@figure("One photograph as the models see it and as they colour it.")
def teaser(columns: dict):
    """One row: name -> image, as gray, CNN, U-Net, cGAN, truth."""
    return grid([columns.values()], columns)


@figure("Photographs of the test set: what the models are given, what they answer, and the truth.")
def qualitative_grid(columns: dict, rows=()):
    """One row a photo, one column a name: name -> N images; `rows` are the names of the photos, if any."""
    return grid(zip(*columns.values(), strict=True), columns, rows)


@figure("For each model the photographs of lowest and of highest error: its answer above the truth.")
def best_and_worst(truth, predictions: dict, scores: dict, n: int = 3):
    """The n best and the n worst photos of each model.

    Args:
        truth: N images.
        predictions: name -> N images, or a function from a photo's number to its image.
        scores: name -> N numbers, lower is better.
    """
    rows, notes, left = [], [], []
    for name, images in predictions.items():
        score = np.asarray(scores[name], float)
        order = np.argsort(score, kind="stable").tolist()
        few = min(n, max(1, len(order) // 2))
        chosen = order[:few] + order[len(order) - few :]
        rows += [[images(i) if callable(images) else images[i] for i in chosen], [truth[i] for i in chosen]]
        words = ["best"] * few + ["worst"] * few
        notes += [[f"{w}: {score[i]:.3f}" for w, i in zip(words, chosen, strict=True)], [""] * 2 * few]
        left += [title(name), "truth"]
    return grid(rows, (), left, notes)


@figure("The discriminator's verdict on each patch: 0 looks generated, 1 looks real.")
def patch_map(pictures: dict):
    """name -> (image, logits (h,w) or (1,h,w)): the images, and under them the sigmoid of their logits."""
    maps = [torch.as_tensor(x).detach().sigmoid().squeeze().cpu().numpy() for _, x in pictures.values()]
    images = [image(x) for x, _ in pictures.values()]
    fig, cells = plotting.axes(2, len(images), images[0].shape, extra=0.4, side=0.7)
    for (above, below), name, picture, p in zip(cells.T, pictures, images, maps, strict=True):
        show(above, picture, title(name))
        shown = show(below, np.atleast_2d(p), f"mean {p.mean():.2f}", "cividis", extent=picture.shape[1::-1])
    fig.colorbar(shown, ax=cells, label="probability of real", shrink=0.6)
    return fig


# ---------------------------------------------------------------------------------------- Lab and colours


@figure("A photograph and its L*, a* and b* planes, in CIE units.")
def lab_planes(rgb):
    """The photo and its three Lab planes, with colour bars and the ranges that they span."""
    fig, cells = plotting.axes(1, 4, image(rgb).shape, notes=0.75)
    plotting.planes(cells[0], _lab(rgb), rgb)
    return fig


@figure(
    "Preprocessing: the photograph, its L*a*b* planes in CIE units, and below the normalised planes that "
    "the models are given (L) and asked for (a and b), all within −1 and 1."
)
def preprocessing(rgb):
    """The photo and its Lab planes; under them the normalised ones, with the range that each really spans."""
    fig, cells = plotting.axes(2, 4, image(rgb).shape, notes=0.75)
    plotting.planes(cells[0], _lab(rgb), rgb)
    cells[1, 0].axis("off")
    formulas = f"L = L*/50 − 1\n\na = a*/{AB_SCALE:.0f}\n\nb = b*/{AB_SCALE:.0f}"
    cells[1, 0].text(0.5, 0.5, formulas, ha="center", va="center", transform=cells[1, 0].transAxes)
    plotting.planes(cells[1], torch.cat(normalize(_lab(rgb))))
    return fig


@figure("Joint density of a* and b* over all pixels, on a log scale; the line is the gamut of sRGB.")
def ab_histogram(ab):
    """How often each colour occurs; `ab` as in `ab_histograms`."""
    return plotting.histograms({"": ab})


@figure(
    "Joint density of a* and b* in the photographs and in each model's answers, on one log scale; the "
    "line is the gamut of sRGB. Answers that shrink to the centre are the collapse toward gray."
)
def ab_histograms(colors: dict):
    """Side by side: name -> ab (B,2,H,W), or counts (bins,bins) as from `evaluation.ab_histograms`."""
    return plotting.histograms(colors)


@figure(
    "Error against the mean chroma of the photograph, with 95% bootstrap intervals; under the axis, "
    "the bins in CIE units and their photos."
)
def error_against_chroma(scores: dict, column: str = "mae"):
    """name -> scores by photo (see `evaluation.score`); give the gray baseline too, its line is dashed."""
    from g2g.tables import error_by_chroma

    fig, ax = plt.subplots(figsize=(3.4, 2.6), layout="constrained")
    for i, (name, table) in enumerate(scores.items()):
        bins = error_by_chroma(table, column)
        x = np.arange(len(bins)) + 0.08 * (i - (len(scores) - 1) / 2)  # side by side: intervals would overlap
        spread = np.abs(bins[["low", "high"]].to_numpy().T - bins["mean"].to_numpy())
        ax.errorbar(
            x,
            bins["mean"],
            spread,
            ls="--" if name == "gray" else "-",
            marker="osD^vP"[i % 6],
            elinewidth=0.8,
            color=color(name),
            label=title(name),
        )
    ranges = [f"{low:g}–{high:g}" for low, high in zip(bins["from"], bins["to"], strict=True)]
    ranges[-1] = f"> {bins['from'].iloc[-1]:g}"
    ax.set_xticks(range(len(bins)), [f"{r}\n({n})" for r, n in zip(ranges, bins["photos"], strict=True)])
    ax.set(
        xlabel="mean chroma of the photo (number of photos)",
        ylim=(0, None),
        ylabel="MAE of ab/110" if column == "mae" else column,
    )
    ax.legend()
    return fig


# --------------------------------------------------------------------------------------- runs and networks


@figure(
    "Losses by epoch. Above: L1 of ab in training (dotted) and validation; dashed: a gray answer. "
    "Below, where a GAN was trained: the discriminator's loss and the generator's two terms."
)
def loss_curves(runs, gray: float | None = None):
    """L1 curves, a panel for each run, and the GAN's losses apart.

    Args:
        runs: a run or a history, a list of runs, or a dict of name -> either.
        gray: validation L1 of the gray answer; None takes what the runs recorded.
    """
    if not isinstance(runs, dict):
        runs = {getattr(r, "stage", ""): r for r in (runs if isinstance(runs, list | tuple) else [runs])}
    tables = {name: getattr(run, "history", run) for name, run in runs.items()}
    gans = {name: table for name, table in tables.items() if "d_loss" in table}
    size = 7 if gans or len(tables) > 1 else 3.4, 4.2 if gans else 2.3
    fig = plt.figure(figsize=size, layout="constrained")
    parts = np.atleast_1d(fig.subfigures(1 + bool(gans), 1))
    panels = parts[0].subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for ax, (name, table) in zip(panels, tables.items(), strict=True):
        look, train = _look(name, table), table["g_l1" if name in gans else "train_loss"]
        ax.plot(table.epoch, train, ":", label="training", **look)
        ax.plot(table.epoch, table.valid_loss, "-", label="validation", **look)
        level = gray or (getattr(runs[name], "record", None) or {}).get("gray_valid_loss")
        if level:
            ax.axhline(level, color=COLORS["gray"], ls="--", lw=1, label="gray")
        ax.set(title=title(name), xlabel="epoch")
    panels[-1].legend()
    panels[0].set_ylabel("L1 of ab/110")
    terms = {"d_loss": "D: binary cross-entropy", "g_adv": "G: adversarial term", "g_l1": "G: L1 before λ"}
    if gans:
        for ax, (key, what) in zip(parts[1].subplots(1, 3), terms.items(), strict=True):
            for name, table in gans.items():
                ax.plot(table.epoch, table[key], **_look(name, table), label=title(name))
            ax.set(title=what, xlabel="epoch")
        if len(gans) > 1:
            ax.legend()
    for ax in fig.axes:
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return fig


@figure("What changing one parameter at a time does; gray band: the base recipe with other seeds.")
def parameter_analysis(table, metrics=None):
    """A row of panels for each factor of a sweep, a column for each metric.

    Args:
        table: as from `report.sweep.sweep`, a row for each run: `factor`, `value`, `stage` and the metrics. Runs
            whose factor is `seed` become the band.
        metrics: columns to draw, by default those that are there of mae, structure, detail and colorfulness.
    """
    metrics = metrics or [m for m in ("mae", "structure", "detail", "colorfulness") if m in table]
    factors = [f for f in dict.fromkeys(table["factor"]) if f != "seed"]
    shape = {"nrows": len(factors), "ncols": len(metrics), "squeeze": False, "sharey": "col"}
    size = min(7, 0.5 + 2.2 * len(metrics)), 0.3 + 1.3 * len(factors)
    fig, cells = plt.subplots(**shape, figsize=size, layout="constrained")
    for row, factor in zip(cells, factors, strict=True):
        runs = table[table["factor"] == factor]
        stage, values = runs["stage"].iloc[0], sorted(runs["value"].unique())
        seeds = table[(table["factor"] == "seed") & (table["stage"] == stage)]
        x = runs["value"].map(values.index)
        for ax, metric in zip(row, metrics, strict=True):
            if len(seeds):
                ax.axhspan(seeds[metric].min(), seeds[metric].max(), color="#DDDDDD", lw=0)
            ax.plot(runs[metric].groupby(x).mean(), color=color(stage))
            ax.plot(x, runs[metric], "o", color=color(stage))
            ax.set_xticks(range(len(values)), [f"{v:g}" for v in values])
            ax.margins(0.15)
        row[0].set_ylabel(f"{factor.replace('_', ' ')}\n({title(stage)})")
    for ax, metric in zip(cells[0], metrics, strict=True):
        ax.set_title(metric)
    return fig


cnn_architecture = figure("The encoder-decoder CNN, drawn from the module itself.")(diagrams.network)
unet_architecture = figure(
    "The U-Net with its ResNet-18 encoder, drawn from the module itself; dashed: skip connections."
)(diagrams.network)
gan_architecture = figure(
    "The conditional GAN, drawn from its modules: the generator answers ab for L, the "
    "discriminator judges every patch of L joined with the generated or the real "
    "ab."
)(diagrams.gan)


# ------------------------------------------------------------------------------------------------ helpers


def _look(name, table):
    return {"color": color(name), "marker": "o" if len(table) < 30 else ""}


def _lab(rgb):
    return rgb_to_lab(torch.from_numpy(image(rgb)).movedim(-1, 0))
