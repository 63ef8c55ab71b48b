"""The style that all figures share, and the figures that more than one place draws.

An image is (H,W,3) or (3,H,W), uint8 or float in [0, 1], an array, tensor or PIL image; a plane of floats
(H,W) or (1,H,W) is normalized L in [-1, 1]. Names may be those of models (`cnn` is written CNN). Figures are
at most 7 inches wide, two columns of a paper; `save` writes them.
"""

import functools
import io
import itertools
import math
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap, LogNorm, hsv_to_rgb
from matplotlib.ticker import MaxNLocator
from PIL import Image

from g2g.files import save_atomic
from g2g.lab import AB_SCALE, rgb_to_lab
from g2g.profiles import TITLES

STYLE = ["default", str(Path(__file__).with_name("style.mplstyle"))]
# of Okabe & Ito's palette, which the color-blind can tell apart
COLORS = {"gray": "#777777", "constant": "#CC79A7", "ground_truth": "#000000"}
COLORS |= {"cnn": "#E69F00", "unet": "#0072B2", "unet_full": "#009E73", "unet_long": "#56B4E9", "cgan": "#D55E00"}
COLORS |= {"palette": "#7B4FA3", "flow": "#8C6D1F"}
BLUE_YELLOW = LinearSegmentedColormap.from_list("blue_yellow", ["#0072B2", "#F7F7F7", "#B88A00"])
DOTS = {"marker": "o", "markevery": 0.1}  # some on each curve; a curve of one epoch is nothing else


def figure(caption: str):
    """Decorator for a function that draws a figure: one style whatever the user's, and a default caption.

    The layout is frozen: every format shows the same. The figure is closed: a notebook shows it once, as its value.
    """

    def decorate(draw):
        @functools.wraps(draw)
        def drawn(*args, **kwargs):
            plt.get_backend()  # settled here: inside the style's context it would be undone, and cells show nothing
            with plt.style.context(STYLE):
                fig = draw(*args, **kwargs)
                fig.draw_without_rendering()
                fig.set_layout_engine("none")
            plt.close(fig)
            fig.caption = caption
            return fig

        return drawn

    return decorate


def save(fig, name: str, folder, caption: str | None = None) -> Path:
    """Writes `name`.png (200 dpi) and .pdf to `folder`, the caption to captions.md; returns the png's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with plt.style.context(STYLE):
        for kind, unwanted in (("pdf", "CreationDate"), ("png", "Software")):  # the same figure gives the same bytes
            write = functools.partial(fig.savefig, format=kind, dpi=200, metadata={unwanted: None})
            save_atomic(write, folder / f"{name}.{kind}")
    captions = folder / "captions.md"
    old = captions.read_text(encoding="utf-8") if captions.exists() else ""
    entries = [entry for entry in old.split("## ")[1:] if not entry.startswith(f"{name}\n")]
    entries.append(f"{name}\n\n{caption or fig.caption}")
    text = "\n".join(f"## {entry.strip()}\n" for entry in sorted(entries))
    save_atomic(lambda part: part.write_text(text, encoding="utf-8"), captions)
    return folder / f"{name}.png"


def title(name: str) -> str:
    """`cnn` -> `CNN`, `ground_truth` -> `ground truth`; any other name stays."""
    return (TITLES | {"ground_truth": "ground truth"}).get(name, str(name))


def color(name: str) -> str:
    """The color of a model or baseline, purple for any other name."""
    return COLORS.get(name, "#7B4FA3")


def image(x) -> np.ndarray:
    """An image of any kind (see above) as (H,W,3) or (H,W) in [0, 1]. ValueError for other shapes, NaN or infinity."""
    x = np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x)
    if x.ndim == 3 and x.shape[0] in (1, 3):
        x = x.transpose(1, 2, 0)
    if x.shape[2:] == (1,):
        x = x[:, :, 0]
    if x.ndim != 2 and x.shape[2:] != (3,):
        raise ValueError(f"image: expected (H,W,3), (3,H,W) or a plane (H,W), got {x.shape}")
    if x.dtype == np.uint8:
        return x / 255
    if not np.isfinite(x).all():
        raise ValueError("image: holds NaN or infinite values; look at the model that made it")
    return ((x + 1) / 2 if x.ndim == 2 else x).clip(0.0, 1.0)


def show(ax, x, words="", cmap="gray", vmin=0, vmax=1, extent=None):
    """Shows an array without ticks, smoothed if below 256 px; `extent` is a (width, height) to stretch it to."""
    x = np.asarray(x)
    smooth = "bicubic" if max(x.shape[:2]) < 256 else None
    box = (0, extent[0], extent[1], 0) if extent else None
    shown = ax.imshow(x, cmap, vmin=vmin, vmax=vmax, interpolation=smooth, extent=box)
    ax.set(xticks=[], yticks=[], title=words)
    ax.spines[:].set_visible(False)
    return shown


def axes(rows: int, columns: int, shape, extra=0.0, side=0.0):
    """A figure with axes for images of `shape`; for words `extra` inches more in height and `side` in width."""
    width = min(3.4, (7 - side) / columns)
    height = width * shape[0] / shape[1]
    size = (width * columns + side, height * rows + extra)
    return plt.subplots(rows, columns, figsize=size, squeeze=False)


def grid(rows, top=(), left=()):
    """Rows of images; `top` names the columns, `left` the rows. ValueError for rows of different length, or empty."""
    rows = [[image(x) for x in row] for row in rows]
    lengths = [len(row) for row in rows]
    if len(set(lengths)) != 1 or 0 in lengths:
        raise ValueError(f"expected rows of equally many images, got {lengths}")
    fig, cells = axes(len(rows), lengths[0], rows[0][0].shape, extra=0.28, side=0.25 if left else 0)
    for ax, x in zip(cells.flat, itertools.chain(*rows), strict=True):
        show(ax, x)
    for ax, name in zip(cells[0], top, strict=False):
        ax.set_title(title(name))
    for ax, name in zip(cells[:, 0], left, strict=False):
        ax.set_ylabel(textwrap.fill(title(name), 9, break_long_words=False))  # rows are low
    return fig


image_row = figure("Photographs.")(lambda images, titles=(): grid([images], titles))
image_row.__doc__ = "Images in one row, each under its title."


@figure("Photographs of the test set: what the models are given, what they predict, and the ground truth.")
def qualitative_grid(columns: dict, rows=()):
    """One row a photo, one column a name: name -> N images; `rows` are the names of the photos, if any."""
    return grid(zip(*columns.values(), strict=True), list(columns), rows)


@figure("One column a photograph: gray, what each model predicts, and the ground truth.")
def across(columns: dict):
    """name -> N images, a row for each name."""
    return grid(columns.values(), (), list(columns))


def animation(images, milliseconds=150):
    """Images one after the other, as a notebook shows them: an animated PNG of 256 colors. The last stays longer."""
    from IPython.display import Image as Displayed  # notebooks have it, others need not wait for it

    frames = [Image.fromarray(np.uint8(255 * image(x))).convert("RGB") for x in images]
    colors = Image.fromarray(np.concatenate(frames)).quantize(256, Image.Quantize.FASTOCTREE)
    first, *others = [frame.quantize(palette=colors, dither=Image.Dither.NONE) for frame in frames]
    file, durations = io.BytesIO(), [milliseconds] * len(others) + [1500]
    first.save(file, "png", save_all=True, append_images=others, duration=durations, loop=0)
    return Displayed(data=file.getvalue(), format="png")


@figure("Preprocessing: a photograph and its L*a*b* planes in CIE units; models see L and predict a and b.")
def preprocessing(rgb):
    """The photo and its Lab planes, each with the range that it really spans and how it is normalized."""
    photo = image(rgb)
    lab = rgb_to_lab(torch.from_numpy(photo).movedim(-1, 0))
    most = 10 * math.ceil(lab[1:].abs().max() / 10)
    looks = {
        "L*": ("gray", 0, 100, "input: L*/50 − 1"),
        "a*": ("PiYG_r", -most, most, f"target: a*/{AB_SCALE:.0f}"),
        "b*": (BLUE_YELLOW, -most, most, f"target: b*/{AB_SCALE:.0f}"),
    }
    fig, cells = axes(1, 4, photo.shape, extra=1.0)
    bar = {"location": "bottom", "pad": 0.03}
    shown = show(cells[0, 0], photo, "photo\n(sRGB)")
    fig.colorbar(shown, ax=cells[0, 0], label=" ", **bar).ax.set_visible(False)  # the photo stays in line
    for ax, plane, (name, (cmap, low, high, words)) in zip(cells[0, 1:], lab, looks.items(), strict=True):
        span = f"{plane.min():z.0f} … {plane.max():z.0f}".replace("-", "−")  # z: no minus zero
        shown = show(ax, plane, f"{name}\n{span}", cmap, low, high)
        fig.colorbar(shown, ax=ax, label=words, ticks=[low, (low + high) / 2, high], **bar)
    return fig


@figure("Joint density of a* and b* on one log scale; above, mean chroma; line: the gamut of sRGB, gray in its middle.")
def ab_histograms(colors: dict):
    """Side by side: name -> ab (B,2,H,W), or counts (bins,bins) as from `report.figures.count_colors`."""
    densities = {name: _density(x) for name, x in colors.items()}
    highest = max(density.max() for density in densities.values())
    norm = LogNorm(1e-5 * highest, highest)
    fig, cells = axes(1, len(densities), (1, 1), extra=0.7, side=0.8)
    for ax, (name, density) in zip(cells[0], densities.items(), strict=True):
        middles = np.linspace(-AB_SCALE, AB_SCALE, 2 * len(density) + 1)[1::2]  # of the bins
        mean_chroma = np.average(np.hypot(middles[:, None], middles), weights=density)
        shown = ax.imshow(density.T, norm=norm, origin="lower", extent=[-AB_SCALE, AB_SCALE] * 2)
        ax.plot(*_gamut(), color=COLORS["gray"], lw=0.8)
        words = f"{_in_lines(name)}\nchroma {mean_chroma:.1f}".strip()
        ax.set(title=words, xlabel="a*", xticks=[-100, 0, 100], ylabel="b*", yticks=[-100, 0, 100])
        ax.label_outer()
    fig.colorbar(shown, ax=cells, shrink=0.7, label="fraction per unit²")
    return fig


def _in_lines(name):
    """The title of a narrow panel: what stands in brackets below the rest."""
    return title(name).replace(" (", "\n(")


def _density(x):
    """ab or counts as the fraction of pixels per unit² of the plane of a* and b*."""
    counts = np.asarray(x)
    if counts.ndim == 4:
        a, b = (counts * AB_SCALE).clip(-AB_SCALE, AB_SCALE).swapaxes(0, 1).reshape(2, -1)
        counts = np.histogram2d(a, b, 110, [[-AB_SCALE, AB_SCALE]] * 2)[0]
    side = 2 * AB_SCALE / len(counts)
    return counts / counts.sum() / side**2


def _gamut():
    """a* and b* along the edge of the sRGB gamut: from red over yellow, green, cyan, blue, magenta to red."""
    hsv = np.ones((301, 3))
    hsv[:, 0] = np.linspace(0, 1, 301)
    edge = torch.from_numpy(hsv_to_rgb(hsv))
    return rgb_to_lab(edge.T[:, :, None])[1:]


@figure(
    "Losses by epoch: L1 of ab (dashed: of gray); below, for a GAN, the discriminator's loss and the generator's two."
)
def loss_curves(runs):
    """L1 curves, a panel for each run, and the GAN's losses apart; `runs` is one `runs.Run`, or name -> Run."""
    if not isinstance(runs, dict):
        runs = {runs.recipe.model: runs}
    gans = {name: run for name, run in runs.items() if "d_loss" in run.history}
    fig = plt.figure(figsize=(7, 4.2 if gans else 2.3))
    upper, lower = fig.subfigures(2, 1) if gans else (fig, None)
    panels = upper.subplots(1, len(runs), sharey=True, squeeze=False)[0]
    for ax, (name, run) in zip(panels, runs.items(), strict=True):
        history = run.history
        train = history["g_l1" if name in gans else "train_loss"]
        if name not in ("palette", "flow"):  # whose losses are other ones
            ax.plot(history["epoch"], train, ":", label="training", color=color(name), **DOTS)
        ax.plot(history["epoch"], history["valid_loss"], label="validation", color=color(name), **DOTS)
        ax.axhline(run.record["gray_valid_loss"], color=COLORS["gray"], ls="--", label="gray")
        ax.set(title=_in_lines(name), xlabel="epoch")
        ax.margins(y=0.15)  # room for the legend
    panels[0].set_ylabel("L1 of ab/110")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), ncols=3 if len(runs) == 1 else 1)
    if gans:
        terms = {"d_loss": "D: binary cross-entropy", "g_adv": "G: adversarial term", "g_l1": "G: L1 before λ"}
        for ax, (term, words) in zip(lower.subplots(1, 3), terms.items(), strict=True):
            for name, run in gans.items():
                ax.plot(run.history["epoch"], run.history[term], label=title(name), color=color(name), **DOTS)
            ax.set(title=words, xlabel="epoch")
            if len(gans) > 1:
                ax.legend()
    for ax in fig.axes:
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return fig
