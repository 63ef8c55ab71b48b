"""Every figure is drawn, saved in both formats and repeatable."""

import functools
import io
import itertools
import subprocess
import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox
from PIL import Image, ImageSequence
from skimage import data

import g2g.figures as figs
from g2g.lab import photos_to_lab, to_rgb
from report import figures as report_figures

GROUND_TRUTH = np.stack([data.astronaut()[:128, 150:278], data.coffee()[:128, 200:328]])[:, ::2, ::2]
L, AB = photos_to_lab(GROUND_TRUTH)
COLUMNS = {"gray": to_rgb(L, 0 * AB), "cnn": to_rgb(L, 0.3 * AB), "ground_truth": GROUND_TRUTH}


def run(model="cnn", epochs=3):
    """As much of a finished run as the loss curves look at."""
    losses = ["train_loss", "valid_loss"] + ["d_loss", "g_adv", "g_l1"] * (model == "cgan")
    history = pd.DataFrame({"epoch": range(1, epochs + 1)})
    for number, name in enumerate(losses, 1):
        history[name] = number / (1 + history.epoch)
    return SimpleNamespace(recipe=SimpleNamespace(model=model), history=history, record={"gray_valid_loss": 0.0123})


def scores(factor):
    chroma = np.linspace(1, 60, 40)
    return pd.DataFrame({"chroma": chroma, "mae": factor * chroma / 100})


def curves():
    """Of two models, a table of `report.tables.frontier` with LPIPS."""
    rows = [("gray", s, 0, 0, 0.2) for s in (0, 1, 2)]
    rows += [("unet", s, 12 * s, s - s * s / 2, 0.2 + s / 9) for s in (0, 1, 2)]
    return pd.DataFrame(rows, columns=["row", "saturation", "colorfulness", "gain", "lpips"])


FIGURES = {
    "image_row": lambda: figs.image_row(
        [GROUND_TRUTH[0], L[0], Image.fromarray(GROUND_TRUTH[1])], ["photo", "L", "PIL"]
    ),
    "qualitative_grid": lambda: figs.qualitative_grid(COLUMNS, ["one", "two"]),
    "best_and_worst": lambda: report_figures.best_and_worst(
        GROUND_TRUTH, {"cnn": lambda i: COLUMNS["cnn"][i]}, {"cnn": [0.2, 0.1]}, n=1
    ),
    "preprocessing": lambda: figs.preprocessing(GROUND_TRUTH[1]),
    "frontier": lambda: report_figures.frontier(curves(), 30),
    "frontier_lpips": lambda: report_figures.frontier(curves(), 30, "lpips"),
    "ab_histograms": lambda: figs.ab_histograms({"ground_truth": AB, "cnn": AB * 0.3}),
    "error_against_chroma": lambda: report_figures.error_against_chroma({"gray": scores(1), "cnn": scores(0.8)}),
    "loss_curves": lambda: figs.loss_curves({"cnn": run(epochs=40), "cgan": run("cgan")}),
}


@functools.cache
def drawn(name):
    fig = FIGURES[name]()
    assert not plt.get_fignums(), "a figure was left open"
    return fig


@pytest.mark.parametrize("name", FIGURES)
def test_figure(name, tmp_path):
    fig = drawn(name)
    path = figs.save(fig, name, tmp_path)
    assert path == tmp_path / f"{name}.png"
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}.png", f"{name}.pdf", "captions.md"}
    pixels = np.asarray(Image.open(path).convert("L"), float)
    assert pixels.std() > 5 and pixels.shape[1] <= 1400
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (edge > 250).all(), "something is cut off at the border"
    sizes = [t.get_fontsize() for t in fig.findobj(plt.Text) if t.get_text() and t.get_visible()]
    assert not sizes or min(sizes) >= 7


@pytest.mark.parametrize("name", FIGURES)
def test_no_words_overlap(name):
    fig = drawn(name)
    draw = FigureCanvasAgg(fig).get_renderer()
    texts = [t for t in fig.findobj(plt.Text) if t.get_text().strip() and t.get_visible() and t.axes and shown(t)]
    for one, other in itertools.combinations(texts, 2):
        shared = Bbox.intersection(one.get_window_extent(draw), other.get_window_extent(draw))
        assert not shared or min(shared.size) < 1.5, f"{one.get_text()!r} overlaps {other.get_text()!r}"


def shown(text):
    """Not a tick that is hidden, out of range or on a hidden axes."""
    both = text.axes.xaxis, text.axes.yaxis
    ticks = {t for axis in both for t in axis.findobj(plt.Text)}
    visible = {axis.label for axis in both} | {tick.label1 for axis in both for tick in axis._update_ticks()}
    return text.axes.get_visible() and (text not in ticks or text in visible)


def test_bytes_do_not_depend_on_the_process(tmp_path):
    code = (
        "import sys, g2g.figures as f, numpy as n; f.save(f.image_row([n.eye(9)], ['a']), 'row', sys.argv[1], 'One.')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True)
    figs.save(figs.image_row([np.eye(9)], ["a"]), "row", tmp_path / "b", "One.")
    for file in ("row.png", "row.pdf", "captions.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_captions_are_replaced_not_repeated(tmp_path):
    fig = figs.image_row([GROUND_TRUTH[0]])
    for name, caption in (("b", "Old."), ("a", None), ("b", "New.")):
        figs.save(fig, name, tmp_path, caption)
    assert (tmp_path / "captions.md").read_text() == "## a\n\nPhotographs.\n\n## b\n\nNew.\n"


def test_the_users_style_and_figures_are_left_alone():
    mine = plt.figure()
    with plt.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        fig = figs.loss_curves(run())
        assert plt.rcParams["font.size"] == 30 and plt.get_fignums() == [mine.number]
    plt.close(mine)
    assert fig.axes[0].get_facecolor() == (1, 1, 1, 1)


def test_an_animation_shows_every_image_and_its_rare_colors():
    images = np.zeros((3, 3, 40, 60))
    images[1] = 1
    images[2, 0, :4, :4] = 1  # a red dot
    frames = ImageSequence.all_frames(Image.open(io.BytesIO(figs.animation(images, 200).data)))
    assert [frame.convert("RGB").getpixel((0, 0)) for frame in frames] == [(0, 0, 0), (255, 255, 255), (255, 0, 0)]
    assert [frame.info["duration"] for frame in frames] == [200, 200, 1500]


def test_bad_images_are_named():
    bad = {"NaN": [np.full((8, 8, 3), np.nan)], r"expected \(H,W,3\)": [np.zeros((2, 8, 8, 3))], "equally many": []}
    for words, images in bad.items():
        with pytest.raises(ValueError, match=words):
            figs.image_row(images)
