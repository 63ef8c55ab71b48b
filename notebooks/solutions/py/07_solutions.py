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
# # Solutions 7 · Your own photos
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/07_solutions.ipynb)
#
# Answers to the exercises of notebook 07, on the gallery and on a photograph that comes with scikit-learn.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from g2g import figures, lab, metrics, sources
from g2g.colorize import colorize, guided_filter
from g2g.data import prepare
from g2g.photos import read_photo
from g2g.runs import load_or_train
from g2g.training import get_device
from g2g.colorize import colorize_all
from g2g.photos import gallery_photos

# %%
path = next(item.path for item in sources.bundled(profile)[1] if item.path.stem == "flower")
photo = read_photo(path)[0]
L, ab = lab.photos_to_lab(np.asarray(photo)[None])
run = load_or_train("unet", profile, photos=prepare(profile))
net = run.model(device=get_device())

# %% [markdown]
# ## 1. How small?
#
# The error needs the truth, so this works with photos that were in color: those of
# [data/gallery](../../data/gallery/README.md) (authors and licenses there; recolored here).

# %%
def error(picture, truth):
    """MAE of normalized ab."""
    _, answer = lab.photos_to_lab(np.asarray(picture)[None])
    _, ab = lab.photos_to_lab(np.asarray(truth)[None])
    return (answer - ab).abs().mean().item()


# %%
gallery = gallery_photos(512)
names = [path.stem for path in sorted((ROOT / "data" / "gallery").glob("*.jpg"))]
answers = {f"{size} px": colorize_all(gallery, net, size) for size in (64, 128, 256, 512)}
answers["gray"] = colorize_all(gallery, net, profile.size, saturation=0)
errors = pd.DataFrame({at: [error(*pair) for pair in zip(pictures, gallery)] for at, pictures in answers.items()}, names)
print(f"trained at {profile.size} px")
errors.round(4)

# %% [markdown]
# And the lowest error of each:

# %%
print(errors.drop(columns="gray").idxmin(axis=1).value_counts().to_dict())
figures.image_row([pictures[4] for pictures in answers.values()], list(answers))

# %% [markdown]
# A model knows objects at the size that they had in training. On many more pixels each thing is larger than any it has
# seen; on far fewer it sees too little. Still the photos do not agree: with the quoted U-Net four of the eight are nearest
# to the truth at 256 px, twice the size of training, and two at 128. Eight photos are an anecdote, too, if a longer one.
# The table of notebook 07 has 375, of the cGAN, and there 128 px is best.
#
# ## 2. The window

# %%
def enlarged(radius, eps, side=64):
    few = F.interpolate(torch.cat([L, ab], 1), scale_factor=side / min(L.shape[2:]), mode="bilinear", antialias=True)
    lines = guided_filter(few[:, :1], few[:, 1:], radius, eps)
    slope, offset = (F.interpolate(x, size=L.shape[2:], mode="bilinear") for x in lines)
    return slope * L + offset


# %%
print("rows: radius, columns: eps", *(choices := (1e-4, 1e-3, 1e-2, 1e-1)))
for radius in (1, 2, 4, 8):
    print(radius, *(f"{(enlarged(radius, eps) - ab).abs().mean():.4f}" for eps in choices))

# %% [markdown]
# A line "color against lightness" holds within one material. A large window spans several, and its line mixes
# them. A small `eps` trusts slopes fitted to noise; a large one makes every window flat, and in the limit it is
# naive enlarging.
#
# ## 3. How wrong?

# %%
def distance(picture):
    """CIEDE2000 of each pixel."""
    rgb = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None] / 255
    return metrics.ciede2000(lab.rgb_to_lab(rgb), lab.denormalize(L, ab))[0]


# %%
gray, answer = distance(colorize(photo, net, saturation=0)), distance(colorize(photo, net, size=profile.size))
print(f"mean CIEDE2000: gray {gray.mean():.1f}, U-Net {answer.mean():.1f}; "
      f"the U-Net is nearer on {(answer < gray).float().mean():.0%} of the pixels")

# %%
fig, axes = plt.subplots(1, 3, figsize=(7, 1.9))
for ax, plane, title in zip(axes, (gray, answer, answer - gray), ("gray", "U-Net", "U-Net − gray"), strict=True):
    limits = {"cmap": "RdBu_r", "vmin": -20, "vmax": 20} if "−" in title else {"vmin": 0, "vmax": 50}
    fig.colorbar(figures.show(ax, plane, title, **limits), ax=ax, shrink=0.7)
plt.show()

# %% [markdown]
# Blue: the model is nearer to the truth than gray is. Look for red: there it has invented a color that is worse
# than none.
#
# ## 4. No network needed

# %%
def sepia(L):
    """Warm in the shadows, fading to none in the lights; L (B,1,H,W) in [-1, 1]."""
    warmth = (1 - L) / 2
    return torch.cat([10 * warmth, 28 * warmth], dim=1) / lab.AB_SCALE


figures.image_row([colorize(photo, sepia, saturation=0), colorize(photo, sepia)], ["gray", "sepia"])

# %% [markdown]
# `colorize` asks nothing of a model but L → ab. A classifier's answer, a hand-painted mask, a color map: all fit.
