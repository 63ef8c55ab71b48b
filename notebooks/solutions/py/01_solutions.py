# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py//py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Solutions 1 · Preparing the data
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/01_solutions.ipynb)
#
# Answers to the exercises of notebook 01. Try them yourself first; each takes a few lines.

# %% tags=["setup"]
# @title Setup, the same in every notebook: find the course, say what will run and how long { display-mode: "form" }
PROFILE = "auto"  # @param ["auto", "smoke", "class", "report"]
USE_DRIVE = False  # @param {type:"boolean"}
import os, shutil, subprocess, sys
from pathlib import Path

if "google.colab" in sys.modules:
    ROOT = Path(os.environ.get("G2G_CONTENT", "/content")) / "gray-to-glory"
    if not (ROOT / "app" / "setup.py").is_file():  # absent or incomplete: clone beside it, then rename
        part = ROOT.with_name("gray-to-glory.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(ROOT, ignore_errors=True)
        git = ["git", "clone", "--quiet", "--depth=1", "https://github.com/gray-to-glory/gray-to-glory", str(part)]
        done = subprocess.run(git, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"cannot fetch {git[-2]}: no network, or a wrong address\n{done.stderr}")
        part.rename(ROOT)
else:  # on your own machine: the notebook lies somewhere inside the repository
    ROOT = next((p for p in [Path.cwd(), *Path.cwd().parents] if (p / "app" / "setup.py").is_file()), None)
    if ROOT is None:
        raise FileNotFoundError(f"no folder app/ in {Path.cwd()} or above: clone the repository first")
sys.path.insert(0, str(ROOT))
from app.setup import setup
profile = setup(PROFILE, USE_DRIVE)

# %%
import dataclasses
import tempfile
from unittest import mock

import numpy as np
import torch.nn.functional as F
from PIL import Image

from g2g import evaluation, figures, lab, metrics
from g2g.data import prepare
from g2g.photos import gallery_photos

# %% [markdown]
# (The photographs are those of [data/gallery](../../data/gallery/README.md), with authors and licenses there, recolored.)

# %%
photos = prepare(profile)
gallery = np.stack(gallery_photos(photos.size))
L, ab = lab.photos_to_lab(gallery)

# %% [markdown]
# ## 1. The other divisor

# %%
best = evaluation.best_constant(photos)
models = {"gray": evaluation.gray(), "constant": evaluation.constant(best)}
maes = {name: evaluation.score(f, photos, "valid", show=False)["mae"].mean() for name, f in models.items()}
for divisor in (110, 128):
    gray, constant = (maes[name] * 110 / divisor for name in models)
    print(f"ab/{divisor}: gray {gray:.4f}, constant {constant:.4f}, which is {1 - constant / gray:+.1%} better")

# %% [markdown]
# Every error shrinks by the same factor, 0.86, so *ratios* survive and *differences* do not. An MAE from a
# paper that divides by 128 looks 14% better at once, with the same pictures. Compare two papers by
# their error as a share of gray's, if they report gray's.
#
# ## 2. How coarse may color be?

# %%
ground_truth = lab.denormalize(L, ab)
shown = {"ground truth": lab.lab_to_rgb(ground_truth)[0]}
for factor in (2, 4, 8, 16, 32):
    coarse = F.interpolate(F.interpolate(ab, scale_factor=1 / factor, mode="area"), L.shape[2:], mode="bilinear")
    rgb = lab.to_rgb(L, coarse)
    distance = metrics.delta_e(lab.rgb_to_lab(rgb), ground_truth).mean()
    shown[f"1/{factor}\nΔE {distance:.1f}"] = rgb[0]

# %%
figures.image_row(shown.values(), shown)

# %% [markdown]
# The number climbs at once, the eye is slower: two uniform patches side by side differ visibly from ΔE 1
# on, but most of this error sits at outlines, where a sharp L\* hides that the color beside it is a pixel
# off. What counts is how many color pixels are left rather than the factor: at 256 px an eighth of the
# width still leaves 32 × 32 of them. It is why skip connections matter less for color than for outlines,
# and why some colorizers predict ab at a quarter of the size.
#
# ## 3. A folder of trouble
#
# Three things are wrong in `train/`, and one of its photos is also in `test/`. The cache goes into the
# temporary folder too (`G2G_CACHE`), so nothing is left behind.

# %%
def fill(folder):
    for i, photo in enumerate(gallery[:7]):
        place = folder / ("train" if i < 5 else "test")
        place.mkdir(exist_ok=True)
        Image.fromarray(photo).save(place / f"{i}.png")
    whole = (folder / "train" / "0.png").read_bytes()
    (folder / "train" / "truncated.png").write_bytes(whole[:len(whole) // 2])
    (folder / "train" / "text.jpg").write_text("This is no photo.")
    (folder / "train" / "empty.jpg").touch()
    (folder / "train" / "copy.png").write_bytes((folder / "test" / "5.png").read_bytes())

# %%
with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, G2G_CACHE=f"{folder}/cache"):
    (Path(folder) / "photos").mkdir()
    fill(Path(folder) / "photos")
    own = dataclasses.replace(profile, source="folder", data_dir=Path(folder) / "photos")
    manifest = prepare(own, progress=False).manifest
manifest[["file", "split", "chroma", "skipped"]]

# %% [markdown]
# Each file that was found has a row, and the last column says why it was not used. The copy is left out of
# *training*, never out of the test set. What the manifest cannot tell: files without a photo's suffix are
# not looked at, and a copy that was saved anew (other bytes, same picture) is not recognized.
