"""The diagrams in this folder, drawn from hand-kept tables of blocks: `python docs/networks/draw.py`.

Sizes are for photographs of 256 px, channels those of the profile `report`; cGAN, palette and flow are drawn as the
profile `cpu` runs them, for 192 px. A test compares all of them with the modules.
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
UNET_SKIPS = [(0, 12), (1, 10), (2, 9), (3, 8), (4, 7)]  # of the U-Net, by number of the block
QUARTER = _blocks(
    "L encoder.blocks.0 encoder.blocks.1 encoder.blocks.2 encoder.blocks.4 encoder.blocks.6 bottom "
    "decoder.0 decoder.1 decoder.2 head",
    "data down down down down down middle up up up data",
    [1, 16, 24, 40, 112, 320, 192, 128, 96, 64, 2],
    [256, 128, 64, 32, 16, 8, 8, 16, 32, 64, 64],
)
QUARTER_SKIPS = [(2, 9), (3, 8), (4, 7)]
GENERATOR = [block._replace(size=block.size * 192 // 256) for block in QUARTER]
DISCRIMINATOR = _blocks("L,ab layers.0 layers.2 layers.5", "data down down data", [3, 64, 128, 1], [48, 24, 23, 22])
PALETTE = [*GENERATOR[:-1], Block("head", "data", 260, 48)]
VELOCITY = _blocks(
    "x,condition first attend.0 attend.1 attend.2 up.0 up.1 last",
    "data middle down down down up up data",
    [69, 64, 64, 128, 128, 128, 64, 2],
    [24, 24, 24, 12, 6, 12, 24, 24],
)
VELOCITY_SKIPS = [(2, 6), (3, 5)]
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
VELOCITY_WORDS = [
    "two convolutions 3×3, attention",
    "enlarging, two convolutions 3×3",
    "convolution 3×3",
    "input; output: convolution 3×3",
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


def sizes(ax, blocks, places):
    """The resolution of each row, at the left."""
    for size, y in {block.size: y for block, (_, y) in zip(blocks, places, strict=True)}.items():
        ax.text(0.1, y, f"{size} × {size}", va="center", color=GRAY)


def legend(ax, words, skips):
    """What the colors mean, `words` in their order."""
    colors = zip(COLORS.values(), words, strict=True)
    handles = [Patch(facecolor=color, edgecolor=INK, label=text) for color, text in colors]
    if skips:
        handles.append(Line2D([], [], color=BLUE, linestyle="--", label="skip connection: concatenation"))
    ax.legend(handles=handles, loc="lower left", ncols=2, frameon=False)


def generator(blocks, words, height, skips=()):
    """The diagram of one generator; `words` explain the colors, in their order."""
    fig, ax = canvas(height)
    places = valley(blocks, 1.3, 8.6, height - 0.3, 0.9)
    draw(ax, blocks, places, skips)
    ax.text(1.2, places[0][1], "L", ha="right", va="center")
    ax.text(8.7, places[-1][1], "ab", va="center")
    sizes(ax, blocks, places)
    legend(ax, words, skips)
    return fig


def gan():
    """The conditional GAN: the generator above, the discriminator and its logits below."""
    fig, ax = canvas(5.3)
    ax.text(0.1, 5.12, "Generator: the U-Net that predicts at a quarter of the resolution")
    places = valley(GENERATOR, 1.3, 6.3, 4.75, 0.65)
    draw(ax, GENERATOR, places, QUARTER_SKIPS, tall=0.65)
    sizes(ax, GENERATOR, places)
    (left, top), (right, low) = places[0], places[-1]
    real = [Block("ab", "data", 2, 192), Block("ab", "data", 2, 48)]
    draw(ax, real, [(8.6, top), (8.0, low)], tall=0.65)
    ax.text(1.2, top, "L", ha="right", va="center")
    ax.text(8.5, top, "real ab", ha="right", va="center")
    ax.text(8.5, (top + low) / 2, "averaged over 4 × 4", ha="right", va="center")
    ax.text(6.4, low - 0.3, "predicted ab", va="center")
    arrow(ax, (6.45, low), (7.85, low), arrowstyle="<|-|>")
    ax.text(7.15, low + 0.06, "λ · L1 loss", ha="center")
    for x in (right, 8.0):
        ax.plot([x, x, left], [low - 0.2, 1.75, 1.75], color=INK, linewidth=1)
    ax.text(7.15, 1.81, "one or the other", ha="center")
    arrow(ax, (left, top - 0.25), (left, 1.36))
    ax.text(left + 0.08, 1.5, "L averaged over 4 × 4", va="center")

    ax.text(0.1, 0.12, "Discriminator: PatchGAN (convolutions 4×4), at the resolution of the prediction")
    ax.text(1.15, 0.95, "L, ab", ha="right", va="center")
    steps = [(left + 1.3 * i, 0.95) for i in range(len(DISCRIMINATOR))]
    draw(ax, DISCRIMINATOR, steps, tall=0.9)
    for block, (x, y) in zip(DISCRIMINATOR, steps, strict=True):
        ax.text(x, y - 0.3, f"{block.size} × {block.size}", ha="center", va="top", color=GRAY)
    words = "22 × 22 logits: is this patch of\n16 × 16 real or predicted?\n(In the photo it has 64 × 64 px.)"
    ax.text(5.6, 0.95, words, va="center")
    return fig


def palette():
    """The palette: the quarter U-Net up to its logits, and what is made of them."""
    fig, ax = canvas(4.8)
    places = valley(PALETTE, 1.3, 6.1, 4.5, 0.8)
    draw(ax, PALETTE, places, QUARTER_SKIPS, tall=0.8)
    sizes(ax, PALETTE, places)
    top, low = places[0][1], places[-1][1]
    painted = [Block("mean", "data", 2, 48), Block("enlarged", "data", 2, 192)]
    draw(ax, painted, [(7.7, low), (8.5, top)], tall=0.8)
    arrow(ax, (6.36, low), (7.62, low))
    ax.text(1.2, top, "L", ha="right", va="center")
    ax.text(8.6, top, "ab", va="center")
    ax.text(6.1, low - 0.3, "logits", ha="center", va="center")
    ax.text(7.0, low + 0.06, "softmax, mean", ha="center")
    ax.text(7.0, low - 0.08, "temperature,\nrebalancing", ha="center", va="top", color=GRAY)
    ax.text(8.42, (top + low) / 2, "enlarged", ha="right", va="center")

    bars = ax.inset_axes((3.5, 3.35, 2.9, 0.75), transform=ax.transData)  # a sketch: two humps, no network's numbers
    chances = [1, 2, 4, 9, 14, 8, 4, 2, 3, 6, 10, 6, 3, 1]
    bars.bar(range(len(chances)), chances, color=["#3D6FB6"] * 7 + ["#B5443C"] * 7)
    bars.set(xticks=[], yticks=[], title="at each place: how likely is each of 260 colors?")
    bars.title.set_fontsize(10)
    bars.spines[["top", "left", "right"]].set_visible(False)
    arrow(ax, (6.1, low + 0.45), (5.6, 3.3), linestyle=":")
    legend(ax, QUARTER_WORDS, QUARTER_SKIPS)
    return fig


def flow():
    """The flow: what the frozen U-Net hands over once, and the network that predicts the velocity at each step."""
    fig, ax = canvas(6.1)
    ax.text(0.1, 5.9, "Once for each photo: the trained U-Net, frozen")
    top, bus, back = 5.1, 4.05, 1.4
    blocks = [Block("L", "data", 1, 192), Block("features", "up", 64, 48), Block("predicted ab", "data", 2, 48)]
    draw(ax, [*blocks, Block("ab", "data", 2, 192)], [(1.3, top), (3.6, top), (5.0, top), (8.2, top)], tall=0.9)
    ax.text(1.2, top, "L", ha="right", va="center")
    ax.text(8.3, top, "ab", va="center")
    ax.text(2.4, top + 0.06, "U-Net", ha="center")
    ax.text(6.6, top + 0.06, "enlarged", ha="center")
    for x, words in ((1.3, "192 × 192"), (3.6, "features\n48 × 48"), (5.0, "predicted ab\n48 × 48")):
        ax.text(x, top - 0.27 - 0.2 * (x == 1.3), words, ha="center", va="top", color=GRAY)
        ax.plot([x, x, 1.3], [top - 0.68, bus, bus], color=INK, linewidth=1)
    ax.text(2.45, bus + 0.06, "averaged to 24 × 24", ha="center")
    arrow(ax, (1.3, bus), (1.3, 3.4))
    ax.text(1.4, 3.72, "condition: 1 + 64 + 2 channels", va="center")

    places = valley(VELOCITY, 1.3, 6.9, 3.1, 1.2)
    draw(ax, VELOCITY, places, VELOCITY_SKIPS, tall=1.2)
    sizes(ax, VELOCITY, places)
    low = places[0][1]
    ax.text(
        4.5, low + 0.1, "time t, as 64 sines and cosines,\nscales and shifts blue and orange", ha="center", color=GRAY
    )
    draw(ax, [Block("x", "data", 2, 24)], [(8.2, low)], tall=1.2)
    arrow(ax, (7.05, low), (8.05, low))
    ax.text(7.55, low + 0.06, "x + v / 40", ha="center")
    ax.text(6.9, low - 0.24, "velocity v", ha="center", va="top")
    ax.text(8.4, low, "x", va="center")
    arrow(ax, (8.2, low + 0.38), (8.2, top - 0.42))
    ax.text(
        8.1,
        (low + top) / 2,
        "after 40 steps: times the residual's\nstandard deviation, enlarged, added",
        ha="right",
        va="center",
    )
    ax.plot([8.2, 8.2, 1.3], [low - 0.2, back, back], color=INK, linewidth=1)
    arrow(ax, (1.3, back), (1.3, low - 0.18))
    ax.text(1.4, low - 0.32, "x, condition", va="center")
    ax.text(1.4, back + 0.14, "x: noise at first", va="center")
    ax.text(7.0, back + 0.06, "40 times", ha="center")
    ax.text(0.1, 1.08, "At each step: the network that predicts the velocity")
    legend(ax, VELOCITY_WORDS, VELOCITY_SKIPS)
    return fig


def main(folder):
    """Write the diagrams into `folder`, a Path."""
    figures = {
        "encoder_decoder": generator(ENCODER_DECODER, CNN_WORDS, 4.6),
        "unet": generator(UNET, UNET_WORDS, 5.3, UNET_SKIPS),
        "quarter_unet": generator(QUARTER, QUARTER_WORDS, 5.3, QUARTER_SKIPS),
        "cgan": gan(),
        "palette": palette(),
        "flow": flow(),
    }
    with plt.rc_context({"svg.hashsalt": "g2g"}):  # the same bytes each time
        for name, fig in figures.items():
            fig.savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(__file__).parent)
