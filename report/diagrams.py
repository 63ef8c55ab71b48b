"""Architecture diagrams drawn from one real forward pass (`report.tracing`), so that they cannot go stale."""

import itertools
import math

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Polygon, Rectangle
from torch import nn

from report.tracing import receptive_field, summary, trace

FACES = {"data": "#D9D9D9", "down": "#9CD3F2", "low": "#D9A8C4", "up": "#F3C46B", "head": "#7CC9AF"}
INK, GRAY, BLUE, VERMILION = "#333333", "#555555", "#0072B2", "#D55E00"
FONT, LINE = 7, 0.125  # points; inches from one line of text to the next


def network(model: nn.Module, size: int = 256):
    """A generator L -> ab as a valley of blocks with its skip connections: a Figure 7 inches wide.

    The side of a block grows with the square root of the resolution, its width with the log of the channels.
    """
    stages, skips = trace(model, _zeros(model, 1, size))
    probe, ax = _canvas(7, 5)
    low, _ = _valley(ax, stages, skips, 0.1, 6.95, 5)  # tells how high the picture must be
    plt.close(probe)
    height = 5.45 - low
    fig, ax = _canvas(7, height)
    _valley(ax, stages, skips, 0.1, 6.95, height - 0.2)
    _title(ax, 0.1, height - 0.1, type(model).__name__, model)
    note = "bold: channels; normalisation and ReLU not drawn" + "; dashed: skip connections" * bool(skips)
    stride = "; /2: stride 2" * any("/2" in layer for s in stages for layer in s.layers)
    _text(ax, 0.1, 0.1, note + stride, ha="left", color=GRAY)
    return fig


def gan(generator: nn.Module, discriminator: nn.Module, size: int = 256):
    """Both networks of the conditional GAN, its losses, the discriminator's grid of verdicts: a Figure."""
    fig, ax = _canvas(7, 3.85)
    _title(ax, 0.1, 3.75, f"Generator, {type(generator).__name__}", generator)
    stages, skips = trace(generator, _zeros(generator, 1, size))
    low, edges = _valley(ax, stages, skips, 0.25, 4.7, 3.55, tall=0.5, wide=0.7, lettered=False)
    L, fake, y = edges[0], edges[-1], sum(edges[-1][2:]) / 2 - 0.03
    real = _block(ax, 6.3, y, stages[-1], size, 0.5, 0.7)
    for (x, _, top, _), words in ((L, "L"), (fake, "generated ab"), (real, "real ab")):
        _text(ax, x, top + 0.02, words, ha="left", va="bottom", fontweight="bold")
    between = (fake[1] + real[0]) / 2
    _arrow(ax, (fake[1] + 0.05, y), (real[0] - 0.05, y), style="<|-|>")
    _text(ax, between, y + 0.04, "λ · L1 loss", va="bottom")

    stages, _ = trace(discriminator, _zeros(discriminator, 1, size), _zeros(discriminator, 2, size))
    row, bus, left, side = 0.8, low - 0.12, 5.2, 1.05  # y of D's row and of the line to it; the grid's place
    blocks = []
    for i, stage in enumerate(stages):
        stage.kind = "down" if stage.kind in ("low", "up") else stage.kind
        blocks.append(_block(ax, 0.5 + 4.0 / (len(stages) - 1) * i, row, stage, size, 0.6, 0.7))
        x0, x1, top, base = blocks[-1]
        words = summary(stage).replace("conv ", "conv\n") if i else "L, ab"
        _text(ax, (x0 + x1) / 2 - 0.04, base - 0.05, "{}\n{}×{}".format(words, *stage.size), va="top")
        if i:
            _arrow(ax, (blocks[i - 1][1] + 0.01, row), (x0, row))
            _text(ax, (x0 + x1) / 2, top + 0.02, str(stage.channels), va="bottom", fontweight="bold")
    x0, x1, top, _ = blocks[0]
    _title(ax, x1 + 0.2, top + 0.22, f"Discriminator, {type(discriminator).__name__}", discriminator)
    ax.plot([L[0], 0.12, 0.12], [y, y, row], color=GRAY, lw=0.9)
    _arrow(ax, (0.12, row), (x0, row))
    for start, end, _, base in (fake, real):
        x = (start + end) / 2 - 0.05
        ax.plot([x, x, x1 - 0.1], [base, bus, bus], color=GRAY, lw=0.9)
    _arrow(ax, (x1 - 0.1, bus), (x1 - 0.1, top))
    _text(ax, between, bus + 0.04, "one or the other", va="bottom")

    _arrow(ax, (blocks[-1][1] + 0.02, row), (left - 0.03, row))
    (rows, columns), base = stages[-1].size, row - 0.42
    lines = {"color": INK, "lw": 0.3}
    ax.hlines([base + side * i / rows for i in _ticks(rows)], left, left + side, **lines)
    ax.vlines([left + side * i / columns for i in _ticks(columns)], base, base + side, **lines)
    cell = side / columns, side / rows
    corner = left + cell[0] * (columns // 2), base + cell[1] * (rows // 2)
    ax.add_patch(Rectangle(corner, *cell, facecolor=VERMILION, lw=0, zorder=3))
    seen = receptive_field(discriminator)
    words = f"{rows}×{columns} verdicts (BCE loss),\neach on a patch of {seen}×{seen} px"
    _text(ax, left + side / 2, base - 0.05, words, va="top")
    return fig


def _valley(ax, stages, skips, left, right, top, tall=0.72, wide=1.0, lettered=True):
    """Draws the stages left to right, a row for each resolution; returns the lowest y, the blocks' edges."""
    full = stages[0].size[0]
    levels = [round(math.log2(full / s.size[0])) for s in stages]
    centre, y = {}, top
    for level, stage in sorted({lev: s for s, lev in zip(stages, levels, strict=True)}.items()):
        high = tall * math.sqrt(stage.size[0] / full)
        y -= 0.16 * high + (1.6 * LINE if lettered else 0.03)
        centre[level] = y - high / 2
        y -= high
        if lettered:
            _text(ax, left, centre[level], "{} × {}".format(*stage.size), ha="left", color=GRAY)
    gaps = [1.5 if lettered and "low" in (a.kind, b.kind) else 1.0 for a, b in itertools.pairwise(stages)]
    start = left + (0.9 if lettered else 0.1)
    step = (right - start - 0.4 * wide) / sum(gaps)  # the lowest stage's neighbours need room for their names
    xs = [start + step * sum(gaps[:i]) for i in range(len(stages))]
    ys = [centre[level] for level in levels]
    edges = [_block(ax, x, y_, s, full, tall, wide) for x, y_, s in zip(xs, ys, stages, strict=True)]
    for i in range(1, len(stages)):
        (_, x0, _, low), (x1, _, _, low1) = edges[i - 1 : i + 1]
        if ys[i] == ys[i - 1]:
            _arrow(ax, (x0, ys[i]), (x1, ys[i]))
        elif ys[i] < ys[i - 1]:
            _arrow(ax, (xs[i - 1], low), (x1, ys[i]), connectionstyle="angle,angleA=90,angleB=0,rad=0")
        else:
            _arrow(ax, (x0, ys[i - 1]), (xs[i], low1), connectionstyle="angle,angleA=0,angleB=90,rad=0")
    for a, b in skips:
        _arrow(ax, (edges[a][1] + 0.02, ys[a]), (edges[b][0], ys[b]), color=BLUE, ls="--")
    if lettered:
        crossed = {i for skip in skips for i in skip}
        for i, (stage, edge) in enumerate(zip(stages, edges, strict=True)):
            _letter(ax, stage, edge, xs[i], ys[i], i in crossed)
        y -= LINE * (1 + summary(stages[levels.index(max(levels))]).count("\n"))
    return y, edges


def _letter(ax, stage, edge, x, y, crossed):
    """Channels above a block; its layers inside the valley, above or below a skip, or under the block."""
    left, right, top, low = edge
    channels = {"data": "L: ", "head": "ab: "}.get(stage.kind, "") + str(stage.channels)
    _text(ax, (left + right) / 2, top + 0.02, channels, va="bottom", fontweight="bold")
    x, y, ha, va = {
        "down": (right + 0.06, y + 0.03 * crossed, "left", "bottom"),
        "up": (left - 0.06, y - 0.03 * crossed, "right", "top"),
    }.get(stage.kind, (x, low - 0.05, "center", "top"))
    aside = ha == "center" or crossed
    _text(ax, x, y, summary(stage), ha=ha, va=va if aside else "center")


def _block(ax, x, y, stage, full, tall, wide):
    """Draws a stage as a cuboid centred at (x, y); returns its (left, right, top, bottom) in inches."""
    high = max(0.05, tall * math.sqrt(stage.size[0] / full))
    width = wide * (0.04 + 0.026 * math.log2(1 + stage.channels))
    left, low, dx, dy = x - width / 2, y - high / 2, 0.22 * high, 0.16 * high
    right, top = left + width, low + high
    style = {"facecolor": FACES[stage.kind], "edgecolor": INK, "lw": 0.6}
    side = [(right, low), (right, top), (right + dx, top + dy), (right + dx, low + dy)]
    ax.add_patch(Rectangle((left, low), width, high, **style))
    ax.add_patch(Polygon([(left, top), (left + dx, top + dy), side[2], side[1]], **style))
    ax.add_patch(Polygon(side, **style))
    ax.add_patch(Polygon(side, facecolor="black", alpha=0.13, lw=0))
    return left, right + dx, top + dy, low


def _canvas(width, height):
    """A figure and an axes without frame whose data units are inches from the lower left corner."""
    fig = plt.figure(figsize=(width, height))
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return fig, ax


def _arrow(ax, start, end, style="-|>", **kwargs):
    props = {"arrowstyle": style, "color": GRAY, "lw": 0.9, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    ax.annotate("", end, start, arrowprops=props | kwargs)


def _text(ax, x, y, words, **kwargs):
    ax.text(x, y, words, **{"fontsize": FONT, "ha": "center", "va": "center", "linespacing": 1.1} | kwargs)


def _zeros(model, channels, size):
    return torch.zeros(1, channels, size, size, device=next(model.parameters()).device)


def _title(ax, x, y, words, model):
    n = sum(p.numel() for p in model.parameters())
    count = f"{n / 1e6:.1f} million" if n >= 1e5 else f"{n:,}"
    _text(ax, x, y, f"{words}: {count} parameters", ha="left", fontsize=8)


def _ticks(n):
    return range(n + 1) if n <= 64 else (0, n)  # a finer grid would be a black square
