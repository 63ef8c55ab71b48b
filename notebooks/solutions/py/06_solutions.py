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
# # Solutions 6 · Looking at the pictures
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/06_solutions.ipynb)
#
# Answers to the exercises of [chapter 6](../06_qualitative_grids.ipynb), with the published models and three photographs of
# [data/gallery](../../data/gallery/README.md) (authors and licenses there; cut and recolored here).

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
import numpy as np
import pandas as pd
from scipy.stats import binomtest

from g2g import figures, lab
from g2g.models import predict
from g2g.photos import gallery_photo, gallery_photos
from g2g.runs import pretrained_model

models = {name: pretrained_model(name)[0] for name in ("cnn", "unet")}
_, size, sentence = pretrained_model("unet")
print(sentence)

# %%
L, _ = lab.photos_to_lab(np.stack(gallery_photos(size)))  # all eight, to measure
shown = np.stack([gallery_photo(name, size) for name in ("dogs", "fig", "stream")])  # three, to look at
L_shown, ab_shown = lab.photos_to_lab(shown)

# %% [markdown]
# ## 1. Left or right?
#
# > *Mirror L, color it, mirror the prediction back. Is it the same coloring?*

# %%
def mirrored(model, L):
    return predict(model, L.flip(-1)).flip(-1)


for name, model in models.items():
    difference = 110 * (mirrored(model, L) - predict(model, L)).abs().mean()
    print(f"{figures.title(name)}: the two predictions differ by {difference:.2f} CIE units on average")

# %%
plain = predict(models["unet"], L_shown)
colorings = {"as it is": plain, "mirrored, and back": mirrored(models["unet"], L_shown), "ground truth": ab_shown}
figures.qualitative_grid({name: lab.to_rgb(L_shown, colors) for name, colors in colorings.items()})

# %% [markdown]
# No. A convolution treats all *places* alike, but its kernels are not symmetric, so a left edge and a right edge are different
# things to it. In training half of the photos are mirrored at random, which teaches symmetry by examples and never
# perfectly.
#
# The clearest difference is at the top right of the stream: without mirroring the leaves are a brownish gray, and with it they
# are green, which is closer to the truth. On the plate the brown sheen shifts a little, and a bluish patch on the white wall
# beside the dogs is gone. Neither coloring finds the red of the plate.
#
# The remedy takes twice the time: predict both and average. `colorize` does so, and the test scores have a row for it.
#
# ## 2. How many pairs?
#
# > *How many pairs must a class play to tell a model of 32.3% from 50%, if 80% of such classes are to succeed?*
#
# A class that plays $n$ pairs succeeds if its result differs from 50% with a p-value below 0.05. We simulate 4,000 classes for
# each $n$.

# %%
def power(n, rate=0.323):
    """The fraction of classes, playing n pairs each, that can tell `rate` from 50%."""
    succeeds = np.array([binomtest(k, n).pvalue < 0.05 for k in range(n + 1)])
    fooled = np.random.default_rng(42).binomial(n, rate, 4000)
    return succeeds[fooled].mean()


powers = pd.Series({n: power(n) for n in (12, 24, 36, 48, 60, 72, 84)}, name="succeed").rename_axis("pairs")
powers.to_frame().T.map("{:.0%}".format)

# %% [markdown]
# The 12 pairs of one player tell next to nothing. With 72 pairs, of six players, more than 80% of the classes succeed. The number
# grows with the inverse square of the difference: to tell Palette's 47.8% from 50%, about four thousand pairs are needed.
#
# ## 3. Darker
#
# > *Lower L\* by 20 before coloring. Do the colors stay?*
#
# To compare colors and not lightness, the last column shows the new colors on the old L.

# %%
darker = (L_shown - 20 / 50).clamp(-1, 1)
from_darker = predict(models["unet"], darker)
columns = {"as it is": (L_shown, plain), "darker": (darker, from_darker), "its colors, old L": (L_shown, from_darker)}
figures.qualitative_grid({name: lab.to_rgb(*planes) for name, planes in columns.items()})

# %%
change, strength = (110 * colors.abs().mean() for colors in (from_darker - plain, plain))
print(f"ab changes by {change:.1f} CIE units on average; the prediction itself is {strength:.1f} away from gray")

# %% [markdown]
# The things in the picture are the same, and yet their colors change, in the saved run by nearly half of what the prediction
# differs from gray.
#
# In the last column the shadows change most: that of the plate and that of the fig turn from brown to a neutral gray, and
# the dogs' fur loses brown, too. Brighter things become warmer: the rim of the fig turns from white to cream, and light rocks by
# the stream from gray to a yellowish brown.
#
# The model judges a surface by its brightness, too. Exposure, fading and the sensitivity of the film therefore all have an
# influence on the colors: old films recorded blue as bright and red as dark (section 7.5).
#
# ## 4. Reading
#
# > *Palette draws one of many possible colorings. Which measures of chapter 5 rank it too low, and why?*
#
# All measures that compare with the *one* ground truth: MAE, PSNR, SSIM, CIEDE2000, and to a degree LPIPS. A red car where the
# ground truth is blue has an error about twice as large as a gray car, although it is the better picture.
#
# One can say more about MAE. The mean error of a model's draws is never lower than the error of the *mean* of these draws (by the
# triangle inequality), so a model that draws loses to its own average, even if it draws from the true distribution.
#
# Colorfulness and people do not compare with the one ground truth, so they do not have this bias.
#
# Back to [chapter 6](../06_qualitative_grids.ipynb) · Next: [chapter 7](../07_your_photos.ipynb)
