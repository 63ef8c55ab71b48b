"""The diagrams in this folder, drawn from hand-kept tables of blocks: `python docs/networks/draw.py`.

Sizes are for photographs of 256 px, channels those of the profile `report`. A test compares them with the modules.
"""

from itertools import pairwise
from math import log2, sqrt
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch


class Block(NamedTuple):
    """The output of a module: its kind (a key of COLORS), channels, side in px."""

    module: str
    kind: str
    channels: int
    size: int


def _blocks(modules, kinds, channels, sizes):
    return [Block(*row) for row in zip(modules.split(), kinds.split(), channels, sizes, strict=True)]


ENCODER_DECODER = _blocks(
    "L encoder.0 encoder.1 encoder.2 encoder.3 latent decoder.0 decoder.1 decoder.2 decoder.3 output",
    "data down down down down middle up up up up data",
    [1, 64, 128, 256, 512, 512, 256, 128, 64, 32, 2],
    [256, 128, 64, 32, 16, 16, 32, 64, 128, 256, 256],
)
UNET = _blocks(
    "L net.layers.0.2 net.layers.0.4 net.layers.0.5 net.layers.0.6 net.layers.0.7 net.layers.3 "
    "net.layers.4 net.layers.5 net.layers.6 net.layers.7 net.layers.8 net.layers.11 net.layers.12",
    "data down down down down down middle up up up up up middle data",
    [1, 64, 64, 128, 256, 512, 512, 512, 384, 256, 96, 96, 97, 2],
    [256, 128, 64, 32, 16, 8, 8, 16, 32, 64, 128, 256, 256, 256],
)
SKIPS = [(0, 12), (1, 10), (2, 9), (3, 8), (4, 7)]  # of the U-Net, by number of the block
QUARTER = _blocks(
    "L encoder.blocks.0 encoder.blocks.1 encoder.blocks.2 encoder.blocks.4 encoder.blocks.6 bottom "
    "decoder.0 decoder.1 decoder.2 head",
    "data down down down down down middle up up up data",
    [1, 16, 24, 40, 112, 320, 192, 128, 96, 64, 2],
    [256, 128, 64, 32, 16, 8, 8, 16, 32, 64, 64],
)
QUARTER_SKIPS = [(2, 9), (3, 8), (4, 7)]
DISCRIMINATOR = _blocks(
    "L,ab layers.0 layers.2 layers.5 layers.8 layers.11",
    "data down down down down data",
    [3, 64, 128, 256, 512, 1],
    [256, 128, 64, 32, 31, 30],
)
COLORS = {"down": "#9CD3F2", "up": "#F3C46B", "middle": "#D9A8C4", "data": "#D9D9D9"}
INK, GRAY, BLUE = "#444444", "#666666", "#0072B2"
CNN_WORDS = [
    "convolution 3×3, max pooling",
    "upsampling, convolution 3×3",
    "convolution 3×3",
    "input; output: convolution, tanh",
]
UNET_WORDS = [
    "ResNet-18: convolution 7×7, four stages",
    "pixel shuffle; up to 128 px two convolutions 3×3",
    "two convolutions 3×3",
    "input; output: convolution 1×1",
]


QUARTER_WORDS = [
    "EfficientNet-Lite0: inverted residual blocks",
    "enlarging, convolutions 1×1 and 3×3",
    "convolution 1×1",
    "input; output: convolution 1×1",
]


def valley(blocks, left, right, top, tall):
    """Places (x, y) for the blocks of a generator: from left to right, one row for each resolution."""
    rows = {}
    for size in sorted({block.size for block in blocks}, reverse=True):
        height = tall * sqrt(size / 256)
        rows[size] = top - height / 2
        top -= height + 0.3 * tall
    step = (right - left) / (len(blocks) - 1)
    return [(left + i * step, rows[block.size]) for i, block in enumerate(blocks)]


def draw(ax, blocks, places, skips=(), tall=0.9):
    """Draw blocks at their places, channels above, arrows from each to the next. `tall`: inches for 256 px."""
    boxes = []
    for block, (x, y) in zip(blocks, places, strict=True):
        height, width = tall * sqrt(block.size / 256), tall * (0.1 + 0.05 * log2(block.channels))
        box = FancyBboxPatch((x - width / 2, y - height / 2), width, height, "round,pad=0,rounding_size=0.03")
        box.set(facecolor=COLORS[block.kind], edgecolor=INK, linewidth=0.8)
        boxes.append(ax.add_patch(box))
        ax.text(x, y + height / 2 + 0.03, block.channels, ha="center", va="bottom", weight="bold")
    for first, second in pairwise(range(len(blocks))):
        descent = places[first][1] - places[second][1]
        bend = "arc3"
        if descent > 0:
            bend = "angle,angleA=90,angleB=0,rad=4"
        elif descent < 0:
            bend = "angle,angleA=0,angleB=90,rad=4"
        arrow(ax, places[first], places[second], patchA=boxes[first], patchB=boxes[second], connectionstyle=bend)
    for first, second in skips:
        style = {"color": BLUE, "linestyle": "--", "patchA": boxes[first], "patchB": boxes[second]}
        arrow(ax, places[first], places[second], **style)


def arrow(ax, start, end, **style):
    """An arrow below all boxes; `patchA` and `patchB`, if given, cut its ends off."""
    style = {"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8} | style
    ax.annotate("", end, start, arrowprops=style | {"zorder": 0})


def canvas(height):
    """A figure 9 inches wide, and axes whose units are inches."""
    fig = plt.figure(figsize=(9, height))
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, 9), ylim=(0, height))
    ax.axis("off")
    return fig, ax


def generator(blocks, words, height, skips=()):
    """The diagram of one generator; `words` explain the colors, in their order."""
    fig, ax = canvas(height)
    places = valley(blocks, 1.3, 8.6, height - 0.3, 0.9)
    draw(ax, blocks, places, skips)
    ax.text(1.2, places[0][1], "L", ha="right", va="center")
    ax.text(8.7, places[-1][1], "ab", va="center")
    for size, y in {block.size: y for block, (_, y) in zip(blocks, places, strict=True)}.items():
        ax.text(0.1, y, f"{size} × {size}", va="center", color=GRAY)
    colors = zip(COLORS.values(), words, strict=True)
    handles = [Patch(facecolor=color, edgecolor=INK, label=text) for color, text in colors]
    if skips:
        handles.append(Line2D([], [], color=BLUE, linestyle="--", label="skip connection: concatenation"))
    ax.legend(handles=handles, loc="lower left", ncols=2, frameon=False)
    return fig


def gan():
    """The conditional GAN: the generator above, the discriminator and its verdicts below."""
    fig, ax = canvas(4.8)
    ax.text(0.1, 4.62, "Generator: the U-Net")
    places = valley(UNET, 0.6, 6.3, 4.3, 0.5)
    draw(ax, UNET, places, SKIPS, tall=0.5)
    (left, top), (right, _) = places[0], places[-1]
    draw(ax, UNET[-1:], [(8.2, top)], tall=0.5)
    ax.text(0.5, top, "L", ha="right", va="center")
    ax.text(8.3, top, "real ab", va="center")
    ax.text(6.4, top - 0.4, "generated ab", va="center")
    arrow(ax, (6.5, top), (8.1, top), arrowstyle="<|-|>")
    ax.text(7.3, top + 0.06, "λ · L1 loss", ha="center")
    for x in (right, 8.2):
        ax.plot([x, x, left], [top - 0.25, 1.65, 1.65], color=INK, linewidth=1)
    ax.text(7.3, 1.71, "one or the other", ha="center")
    arrow(ax, (left, top - 0.25), (left, 1.37))

    ax.text(0.1, 0.12, "Discriminator: PatchGAN")
    ax.text(0.5, 0.9, "L, ab", ha="right", va="center")
    steps = [(left + 1.1 * i, 0.9) for i in range(len(DISCRIMINATOR))]
    draw(ax, DISCRIMINATOR, steps, tall=0.5)
    for block, (x, y) in zip(DISCRIMINATOR, steps, strict=True):
        ax.text(x, y - 0.32, f"{block.size}×{block.size}", ha="center", va="top", color=GRAY)
    ax.text(6.4, 0.9, "30 × 30 verdicts: is this patch\nof 70 × 70 px real or generated?", va="center")
    return fig


def main(folder):
    """Write the diagrams into `folder`, a Path."""
    figures = {
        "encoder_decoder": generator(ENCODER_DECODER, CNN_WORDS, 4.6),
        "unet": generator(UNET, UNET_WORDS, 5.3, SKIPS),
        "quarter_unet": generator(QUARTER, QUARTER_WORDS, 5.3, QUARTER_SKIPS),
        "cgan": gan(),
    }
    with plt.rc_context({"svg.hashsalt": "g2g"}):  # the same bytes each time
        for name, fig in figures.items():
            fig.savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(__file__).parent)
