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
# Answers to the exercises of [chapter 7](../07_your_photos.ipynb), with the model that `colorize` takes by default and the
# photographs of [data/gallery](../../data/gallery/README.md) (authors and licenses there; recolored here). Nothing is trained.

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

from g2g import figures, lab, metrics
from g2g.colorize import colorize, colorize_all, guided_filter
from g2g.photos import gallery_photos, read_photo
from g2g.runs import pretrained_model

model, size, sentence = pretrained_model()
print(sentence)

# %% [markdown]
# ## 1. How small?
#
# > *Measure the error of each gallery photo, its color predicted at 64, 128, 256 and 512 px. Do they agree on a size?*

# %%
def error(picture, photograph):
    """MAE of normalized ab."""
    planes = [lab.photos_to_lab(np.asarray(x)[None])[1] for x in (picture, photograph)]
    return metrics.mae_ab(*planes).item()


# %%
names = [path.stem for path in sorted((ROOT / "data" / "gallery").glob("*.jpg"))]
photographs = gallery_photos(400)
by_size = {f"{side} px": colorize_all(photographs, model, side) for side in (64, 128, 256, 512)}
by_size["gray"] = colorize_all(photographs, model, size, saturation=0)
errors = {side: list(map(error, pictures, photographs)) for side, pictures in by_size.items()}
errors = pd.DataFrame(errors, names)
errors.round(4)

# %%
print("lowest error at", errors.drop(columns="gray").idxmin(axis=1).value_counts().to_dict())
print("mean over the photographs", errors.mean().round(4).to_dict())

# %% [markdown]
# The mountains at the four sizes:

# %%
figures.image_row([by_size[f"{side} px"][names.index("mountains")] for side in (64, 128, 256, 512)], list(by_size)[:4])

# %% [markdown]
# A network knows things at the size that they had in training, which the sentence above names. On many more pixels each thing is
# larger than any that it has seen, and on far fewer it sees too little.
#
# The photos do not agree. Five have their lowest error at 128 px; the fig, the room, and the stream have it at 512 px. The mean
# is lowest at 128 px, too. For the stream, only 512 px is better than gray, and for the dogs, only 64 and 128 px.
#
# The mountains show what the sizes do. At 64 px the slope is almost gray. At 128 px the path is orange brown, and the rocks
# have a green tint. At 256 px slope and path are green alike. At 512 px gray, brown, and green patches share the slope.
#
# Eight photographs are an anecdote. Before you change a setting on such grounds, repeat the comparison on the validation photos.
#
# ## 2. The window
#
# > *Give `guided_filter` other radii and `eps`, starting from the true small ab. When is a large window bad?*
#
# The fig, its true color reduced to 64 px and enlarged again by lines:

# %%
photo = read_photo(ROOT / "data" / "gallery" / "fig.jpg")[0].convert("RGB")
L, ab = lab.photos_to_lab(np.asarray(photo)[None])


def enlarged(radius, eps, side=64):
    planes = torch.cat([L, ab], dim=1)
    few = F.interpolate(planes, scale_factor=side / min(L.shape[2:]), mode="bilinear", antialias=True)
    lines = guided_filter(few[:, :1], few[:, 1:], radius, eps)
    slope, offset = (F.interpolate(x, size=L.shape[2:], mode="bilinear") for x in lines)
    return slope * L + offset


# %%
choices = (1e-4, 1e-3, 1e-2, 1e-1, 1e3)
rows = {}
for radius in (1, 2, 4, 8):
    rows[f"radius {radius}"] = [110 * (enlarged(radius, eps) - ab).abs().mean().item() for eps in choices]
pd.DataFrame(rows, [f"eps {eps:g}" for eps in choices]).T.round(2)

# %% [markdown]
# The numbers are errors of ab in CIE units. The last column is the limit of a large `eps`: every slope is 0, and the color is
# simply interpolated. Compare the others with it.
#
# A line "color against lightness" holds within one material. A large window spans several materials, and its line mixes them;
# where such a line is worse than none, the filter does harm. A small `eps` trusts every slope, the good ones and the bad ones.
#
# Radius 1 with the smallest `eps` is best: 1.71 instead of the 2.49 of interpolation. At radius 8, every `eps` up to 0.01 is
# worse than interpolation, and the smallest is the worst. So a small `eps` helps in a small window and does harm in a large
# one. This is one photograph with its true color; a predicted color may ask for other values.
#
# ## 3. How wrong?
#
# > *Draw the CIEDE2000 of each pixel. Where is the model worse than gray?*

# %%
def difference(picture):
    """CIEDE2000 of each pixel to the fig in its own colors."""
    rgb = torch.from_numpy(np.array(picture)).movedim(-1, 0)[None] / 255
    return metrics.ciede2000(lab.rgb_to_lab(rgb), lab.denormalize(L, ab))[0]


# %%
colored = colorize(photo, model, size=size)
gray, own = difference(colorize(photo, model, saturation=0)), difference(colored)
print(f"mean CIEDE2000: gray {gray.mean():.1f}, the model {own.mean():.1f}; "
      f"the model is closer on {(own < gray).float().mean():.0%} of the pixels")

# %%
fig, cells = plt.subplots(2, 2, figsize=(7, 5))
figures.show(cells[0, 0], figures.image(colored), "the model")
for ax, plane, title in zip(cells.flat[1:], (gray, own, own - gray), ("error of gray", "error of the model", "the model − gray")):
    look = {"cmap": "RdBu_r", "vmin": -20, "vmax": 20} if "−" in title else {"cmap": "magma", "vmin": 0, "vmax": 40}
    fig.colorbar(figures.show(ax, plane, title, **look), ax=ax, shrink=0.7)
plt.show()

# %% [markdown]
# In the last panel the model is closer to the ground truth than gray where it is blue, and further away where it is red. There the
# model has invented a color that is worse than none.
#
# The wall is red in this panel, for it is almost neutral, and the model makes it beige; the shadow on it is pale, so that gray
# and the model are about equally wrong there. The plate and the flesh of the fig are blue, palest toward the lower right of the
# plate, where the model's color is a dull brown. The model is closer on only half of the pixels, but its mean error is lower.
#
# ## 4. No network
#
# > *Write a "model" that gives a sepia tone, and use it with `colorize`.*

# %%
def sepia(L):
    """Warm in the shadows, fading to none in the lights; L (B,1,H,W) in [-1, 1] to ab (B,2,H,W)."""
    warmth = (1 - L) / 2
    return torch.cat([10 * warmth, 28 * warmth], dim=1) / 110


figures.image_row([colorize(photo, sepia, saturation=0), colorize(photo, sepia)], ["gray", "sepia"])

# %% [markdown]
# `colorize` asks nothing of a model but a function from L to ab. It can be a classifier that colors by category, a mask painted
# by hand, or a color map.
#
# Back to [chapter 7](../07_your_photos.ipynb) · Next: [chapter 8](../08_parameter_analysis.ipynb)
