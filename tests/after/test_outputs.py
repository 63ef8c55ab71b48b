"""After the notebooks have run: every promised file is there and says something. `make test` runs this."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

OUT = Path(os.environ.get("G2G_OUTPUTS", "outputs")) / os.environ.get("G2G_PROFILE", "smoke")
MODELS = ("cnn", "unet", "cgan")
FIGURES = sorted((OUT / "figures").glob("*.png"))
EXPECTED = ("teaser", "preprocessing", "cnn", "unet", "gan", "loss", "qualitative")  # parts of figures' names


@pytest.fixture(autouse=True)
def isolated():
    """In place of the isolation of tests/conftest.py: what a run has written lies in its G2G_OUTPUTS."""


@pytest.mark.parametrize("model", MODELS)
def test_each_model_left_a_whole_run(model):
    folders = [p for p in (OUT / "runs").glob(f"{model}-*") if (p / "run.json").is_file()]
    assert folders, f"no finished run of {model} in {OUT / 'runs'}"
    for folder in folders:
        for name in ("weights.safetensors", "last.safetensors"):
            assert (folder / name).stat().st_size > 10_000
        record = json.loads((folder / "run.json").read_text())
        assert record["profile"] == OUT.name and record["photos_hash"] and record["versions"]["torch"]
        history = pd.read_csv(folder / "history.csv")
        losses = [c for c in history if "loss" in c or c.startswith("g_")]
        assert {"train_loss", "valid_loss"} <= set(losses) and len(history) >= 1
        assert np.isfinite(history[losses].to_numpy()).all()
        assert model != "cgan" or {"d_loss", "g_adv", "g_l1"} <= set(history)


def test_nothing_is_half_written_or_empty():
    assert not [p for p in OUT.rglob("*") if p.suffix in (".part", ".tmp")]
    assert not [p for p in OUT.rglob("*") if p.is_file() and p.stat().st_size == 0 and p.suffix != ".lock"]


def test_table1_has_all_rows_with_finite_numbers():
    table = pd.read_csv(OUT / "results" / "table1.csv")
    assert {"gray", "constant", "cnn", "unet", "cgan"} <= set(table["row"])
    measures = ["mae", "psnr", "ssim", "delta_e", "lpips", "colorfulness", "colorfulness_gap"]
    measures += [f"mae_{side}" for side in ("low", "high")]
    assert np.isfinite(table[measures].to_numpy(float)).all()
    markdown = (OUT / "results" / "table1.md").read_text()
    assert markdown.count("\n|") >= len(table) + 1 and "LPIPS" in markdown
    assert "\\begin{tabular" in (OUT / "results" / "table1.tex").read_text()


def test_the_figures_are_there():
    names = " ".join(p.stem for p in FIGURES)
    assert not [part for part in EXPECTED if part not in names]
    captions = (OUT / "figures" / "captions.md").read_text()
    assert not [p.stem for p in FIGURES if p.stem not in captions]


@pytest.mark.parametrize("path", FIGURES, ids=lambda p: p.stem)
def test_no_figure_is_blank(path):
    pixels = imread(path)[..., :3]
    assert min(pixels.shape[:2]) > 100 and pixels.std() > 0.02
    assert path.with_suffix(".pdf").stat().st_size > 1000
