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
# # Solutions 1 · What a model sees, and what it predicts
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/01_solutions.ipynb)
#
# Answers to the exercises of [chapter 1](../01_data_prep.ipynb). Try them yourself first; each takes a few lines.

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
import contextlib
import dataclasses
import io
import tempfile
from unittest import mock

import numpy as np
import torch.nn.functional as F
from PIL import Image

from g2g import evaluation, figures, lab, metrics
from g2g.data import prepare
from g2g.photos import gallery_photo

photos = prepare(profile)

# %% [markdown]
# ## 1. The other divisor
#
# > *Compute the validation MAE of gray and of the best constant as if ab had been divided by 128. By how many percent does
# > the constant beat gray with either divisor?*

# %%
best = evaluation.best_constant(photos)
models = {"gray": evaluation.gray(), "constant": evaluation.constant(best)}
maes = {name: evaluation.score(model, photos, "valid", show=False)["mae"].mean() for name, model in models.items()}
for divisor in (110, 128):
    gray, constant = (mae * 110 / divisor for mae in maes.values())
    print(f"divided by {divisor}: gray {gray:.4f}, constant {constant:.4f}, lower by {1 - constant / gray:.1%}")

# %% [markdown]
# Dividing by 128 makes every error smaller by the same factor, 110/128 = 0.86. The percentage is a ratio of two errors, so
# it stays as it is, while the difference between the two errors shrinks. A paper that divides by 128 reports an MAE that is
# 14% lower for exactly the same pictures. Two papers should therefore be compared by their errors as a fraction of gray's,
# which is possible only if both report the error of gray.
#
# ## 2. How coarse may color be?
#
# > *Shrink ab by 2, 4, 8, 16 and 32, put it under the full L\*, and measure the mean CIEDE2000 to the original. Where do
# > you begin to see it?*
#
# The photographs are the fig and the meadow of [data/gallery](../../data/gallery/README.md) (by Trevor "Freespace" and Aitzol
# Berasategi, CC BY 4.0, recolored). We measure both and show the fig.

# %%
L, ab = lab.photos_to_lab(np.stack([gallery_photo(name, 320) for name in ("fig", "meadow")]))
ground_truth = lab.denormalize(L, ab)
shown = {"photo": lab.lab_to_rgb(ground_truth)[0]}
for factor in (2, 4, 8, 16, 32):
    small = F.interpolate(ab, scale_factor=1 / factor, mode="area")
    rgb = lab.to_rgb(L, F.interpolate(small, size=L.shape[2:], mode="bilinear"))
    difference = metrics.delta_e(lab.rgb_to_lab(rgb), ground_truth).mean()
    shown[f"1/{factor}, ΔE {difference:.1f}"] = rgb[0]

# %%
figures.image_row(list(shown.values())[:3], list(shown)[:3])

# %%
figures.image_row(list(shown.values())[3:], list(shown)[3:])

# %% [markdown]
# Look at the rim of the plate, where a strong red meets gray. At 1/2 no change is visible, and at 1/4 the rim is slightly
# duller. At 1/8 the rim is a brownish red in places, and there is a trace of pink on the table beside it. At 1/16 the loss
# is obvious: the rim is grayish and the white of the fig pink. At 1/32 a red glow surrounds the whole plate.
#
# The number rises from the first step on, but the eye notices later. Two uniform patches side by side look different from a ΔE
# of about 1 on. Here most of the difference is concentrated at edges, where the sharp L\* hides that the color next to it is
# a few pixels off. What matters is how many color pixels are left rather than the factor: an eighth of 320 px still
# leaves 40 × 40 of them. This is why a colorization model may predict ab at a quarter of the resolution, as that of chapter 3 does.
#
# ## 3. A folder of trouble
#
# > *Write some photos into a temporary folder, add a truncated JPEG, a text file called `photo.jpg` and a copy of a photo
# > under another name, and prepare it. Does the manifest tell the whole story?*
#
# We make two copies: one of a test photo, put among the training photos, and one of a training photo. (The gallery serves
# as our photos.)

# %%
def fill(folder):
    splits = {"train": ("dandelion", "dogs", "fig", "meadow", "mountains"), "test": ("room", "stream", "sunset")}
    for split, names in splits.items():
        (folder / split).mkdir(parents=True)
        for name in names:
            Image.fromarray(gallery_photo(name, 128)).save(folder / split / f"{name}.jpg")
    train, whole = folder / "train", (folder / "train" / "dogs.jpg").read_bytes()
    (train / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (train / "photo.jpg").write_text("This is not a photo.")
    shutil.copy(folder / "test" / "room.jpg", train / "room-2.jpg")
    shutil.copy(train / "fig.jpg", train / "fig-2.jpg")


# %% [markdown]
# The prepared arrays go into the temporary folder, too (`G2G_CACHE`), so that nothing is left behind.

# %%
with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, G2G_CACHE=f"{folder}/cache"):
    fill(Path(folder) / "photos")
    own = dataclasses.replace(profile, source="folder", data_dir=Path(folder) / "photos")
    with contextlib.redirect_stdout(io.StringIO()):  # it would print the folder's name
        manifest = prepare(own, progress=False).manifest
manifest[["file", "split", "chroma", "skipped"]]

# %% [markdown]
# Nearly the whole story. Every file that was found has a row, and the last column says why it is not used. The copy of the
# test photo is left out of *training* and never out of the test set, because a model must not be tested on photos that it
# has learned from. One photo became a validation photo, because the folder has none.
#
# Three things are missing. The copy of a training photo stays in: it harms no score, but that photo counts twice, and no
# column says so. A photo that was saved again as another JPEG has other bytes and is not recognized as a copy. And files
# without the suffix of a photo are not looked at, so they have no row.
#
# Back to [chapter 1](../01_data_prep.ipynb) · Next: [chapter 2](../02_cnn_baseline.ipynb)
