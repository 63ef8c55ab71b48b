"""What all figures share: style, colours, saving, and showing images of any kind in a grid."""

import functools
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap, LogNorm

from g2g.files import save_atomic
from g2g.lab import AB_SCALE, rgb_to_lab
from g2g.profiles import TITLES

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3,
    "figure.dpi": 100,
    "pdf.fonttype": 42,
}
# of Okabe & Ito's palette, which the colour-blind can tell apart
COLORS = {
    "gray": "#777777",
    "constant": "#CC79A7",
    "cnn": "#E69F00",
    "unet": "#0072B2",
    "unet_long": "#56B4E9",
    "cgan": "#D55E00",
    "truth": "#000000",
}
OTHER = "#009E73"
BLUE_YELLOW = LinearSegmentedColormap.from_list("blue_yellow", ["#0072B2", "#F7F7F7", "#B88A00"])
PLANES = ("gray", "PiYG_r", BLUE_YELLOW)  # L*; a* from green to magenta; b* from blue to yellow


def figure(caption: str):
    """Decorator for a function that draws a figure: one style whatever the user's, and a default caption.

    The layout is frozen, so that every format shows the same, and the figure is closed: a notebook shows it
    once, as a cell's value, and none piles up in memory.
    """

    def decorate(draw):
        @functools.wraps(draw)
        def drawn(*args, **kwargs):
            plt.get_backend()  # settled here: inside the style's context it would be undone, and cells show nothing
            before = set(plt.get_fignums())
            try:
                with plt.style.context(["default", STYLE]):
                    fig = draw(*args, **kwargs)
                    fig.draw_without_rendering()
                    fig.set_layout_engine("none")
            finally:
                for number in set(plt.get_fignums()) - before:
                    plt.close(number)
            fig.caption = caption
            return fig

        return drawn

    return decorate


def save(fig, name: str, folder, caption: str | None = None) -> Path:
    """Writes `name`.png (200 dpi) and .pdf to `folder`, the caption to captions.md; returns the png's path.

    The same figure gives the same bytes. Each file is written aside and then moved into place.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with plt.style.context(["default", STYLE]):
        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
            path = folder / f"{name}.{kind}"
            save_atomic(functools.partial(fig.savefig, format=kind, dpi=200, metadata=metadata), path)
    captions = folder / "captions.md"
    old = captions.read_text(encoding="utf-8") if captions.exists() else ""
    entries = dict(entry.split("\n", 1) for entry in re.split(r"^## ", old, flags=re.M)[1:])
    entries[name] = f"\n{caption or getattr(fig, 'caption', '')}\n\n"
    text = "".join(f"## {key}\n{entries[key]}" for key in sorted(entries))
    save_atomic(lambda part: part.write_text(text.rstrip() + "\n", encoding="utf-8"), captions)
    return path


def title(name: str) -> str:
    """`cnn` -> `CNN`; any other name stays."""
    return TITLES.get(name, str(name))


def color(name: str) -> str:
    """The colour of a stage or baseline, by either of its names."""
    stages = {title: stage for stage, title in TITLES.items()}
    return COLORS.get(stages.get(name, str(name).split(" ")[0].lower()), OTHER)


def image(x) -> np.ndarray:
    """An image of any kind (see `g2g.figures`) as (H,W,3) or (H,W) in [0, 1].

    Raises:
        ValueError: another shape, NaN or infinite values.
    """
    x = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    if x.ndim == 3 and x.shape[0] in (1, 3) and x.shape[-1] not in (1, 3):
        x = x.transpose(1, 2, 0)
    x = x[..., 0] if x.shape[2:] == (1,) else x
    if x.ndim not in (2, 3) or x.shape[2:] not in ((), (3,)):
        raise ValueError(f"image: expected (H,W,3), (3,H,W) or a plane (H,W), got {x.shape}")
    if x.dtype == np.uint8:
        return x / 255
    if not np.isfinite(x).all():
        raise ValueError("image: holds NaN or infinite values; look at the model that made it")
    return np.clip(x if x.ndim == 3 else (x + 1) / 2, 0, 1).astype(float)


def show(ax, x, words="", cmap="gray", vmin=0, vmax=1, extent=None):
    """Shows an array without ticks; below 256 px it is smoothed, where the default would show blocks.

    extent: (width, height) to stretch it to.
    """
    x = np.asarray(x)
    smooth = "bicubic" if max(x.shape[:2]) < 256 else None
    box = extent and (0, extent[0], extent[1], 0)
    shown = ax.imshow(x, cmap=cmap, vmin=vmin, vmax=vmax, interpolation=smooth, extent=box)
    ax.set(xticks=[], yticks=[], title=words)
    ax.spines[:].set_visible(False)
    return shown


def axes(rows: int, columns: int, shape, extra=0.0, side=0.0, notes=0.0):
    """A figure with rows × columns axes for images of `shape`, at most 7 inches wide.

    Inches beside the images: `extra` in height, `side` in width, `notes` in the height of each row.
    """
    cell = min(2.0, (7 - side) / columns)
    size = cell * columns + side, (cell * shape[0] / shape[1] + notes) * rows + extra
    fig, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    return fig, grid


def grid(rows, top=(), left=(), notes=None):
    """Rows of images; `top` names the columns, `left` the rows; `notes`, rows of words, go above each image.

    Raises:
        ValueError: no image, or rows of different length.
    """
    rows = [[image(x) for x in row] for row in rows]
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1:
        raise ValueError(f"expected rows of equally many images, got {[len(row) for row in rows]}")
    room = {"extra": 0.28 * bool(len(top)), "side": 0.25 * bool(len(left)), "notes": 0.1 * bool(notes)}
    fig, cells = axes(len(rows), len(rows[0]), rows[0][0].shape, **room)
    for r, row in enumerate(rows):
        for c, x in enumerate(row):
            words = notes[r][c] if notes else title(list(top)[c]) if not r and len(top) else ""
            show(cells[r, c], x, words)
    for ax, words in zip(cells[:, 0], left, strict=False):
        ax.set_ylabel(words)
    return fig


def planes(cells, lab, rgb=None):
    """Shows Lab planes in CIE units beside their photo, or without a photo normalised ones."""
    cells[0].figure.get_layout_engine().set(wspace=0.05)  # room between the ends of the bars
    names, limits, digits = ("input L", "target a", "target b"), [(-1, 1)] * 3, 2
    if rgb is not None:
        most = int(np.ceil(float(lab[1:].abs().max()) / 10)) * 10
        names, limits, digits = ("L*", "a*", "b*"), [(0, 100), (-most, most), (-most, most)], 0
        shown = show(cells[0], image(rgb), "photo\n(sRGB)")  # an unseen bar keeps it in line with its planes
        cells[0].figure.colorbar(shown, ax=cells[0], location="bottom", pad=0.03).ax.set_visible(False)
    for ax, plane, name, cmap, (low, high) in zip(cells[1:], lab, names, PLANES, limits, strict=True):
        ends = (round(float(v), digits) + 0.0 for v in (plane.min(), plane.max()))  # + 0.0: no minus zero
        words = " … ".join(f"{v:.{digits}f}" for v in ends).replace("-", "−")
        shown = show(ax, plane, f"{name}\n{words}", cmap, low, high)
        ax.figure.colorbar(shown, ax=ax, location="bottom", ticks=[low, (low + high) / 2, high], pad=0.03)


def histograms(colors: dict):
    """Joint densities of a* and b* side by side; see `g2g.figures.ab_histograms`."""
    span = 2 * AB_SCALE
    densities = {name: _counts(x) for name, x in colors.items()}
    densities = {name: x / x.sum() / (span / len(x)) ** 2 for name, x in densities.items()}
    some = np.concatenate([x[x > 0] for x in densities.values()])
    n, width = len(densities), min(7, 0.8 + 2.2 * len(densities))
    fig, cells = plt.subplots(
        1, n, figsize=(width, (width - 0.8) / n + 0.6), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (name, density) in zip(cells[0], densities.items(), strict=True):
        middle = (np.arange(len(density)) + 0.5) * span / len(density) - AB_SCALE
        mean = (density * np.hypot(middle[:, None], middle)).sum() / density.sum()
        norm = LogNorm(max(some.min(), some.max() * 1e-6), some.max())
        shown = ax.imshow(density.T, norm=norm, origin="lower", extent=[-AB_SCALE, AB_SCALE] * 2)
        ax.contour(*_gamut(), levels=[0.5], colors=COLORS["gray"], linewidths=0.8)
        ticks = [-100, 0, 100]
        words = f"{title(name)}\nmean chroma {mean:.1f}".strip()
        ax.set(title=words, xlabel="a*", xticks=ticks, yticks=ticks, xlim=(-120, 120), ylim=(-120, 120))
    cells[0, 0].set_ylabel("b*")
    fig.colorbar(shown, cax=cells[0, -1].inset_axes([1.06, 0, 0.06, 1]), label="share of pixels per unit²")
    return fig


def _counts(x):
    x = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    if x.ndim == 4:
        a, b = (np.clip(x[:, i].ravel() * AB_SCALE, -AB_SCALE, AB_SCALE) for i in (0, 1))
        x = np.histogram2d(a, b, 110, [[-AB_SCALE, AB_SCALE]] * 2)[0]
    return x


@functools.cache
def _gamut():
    """Where sRGB colours lie in the plane of a* and b*: the middles of bins, and whether a bin holds any."""
    u, v = torch.meshgrid(*[torch.linspace(0, 1, 300, dtype=torch.float64)] * 2, indexing="ij")
    faces = [torch.stack(planes) for w in (0 * u, 0 * u + 1) for planes in ((u, v, w), (u, w, v), (w, u, v))]
    _, a, b = rgb_to_lab(torch.stack(faces)).movedim(1, 0).flatten(1)
    held, edges, _ = np.histogram2d(a, b, 80, [[-120, 120]] * 2)
    middle = (edges[1:] + edges[:-1]) / 2
    return middle, middle, (held > 0).T.astype(float)
