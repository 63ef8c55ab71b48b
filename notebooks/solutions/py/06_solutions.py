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
# Answers to the exercises of notebook 06.

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
from g2g.data import prepare
from g2g.models import predict
from g2g.runs import load_or_train
from g2g.training import get_device
from g2g.photos import gallery_photos

photos = prepare(profile)
models = {stage: load_or_train(stage, profile, photos=photos).model(device=get_device())
          for stage in ("cnn", "unet")}
gallery = np.stack(gallery_photos(photos.size))  # of data/gallery: authors and licenses there, recolored here
L, ab = lab.photos_to_lab(gallery)

# %% [markdown]
# ## 1. Left or right?
#
# Mirror, color, mirror back, and compare with the coloring of the photo as it is.

# %%
def mirrored(model, L):
    return predict(model, L.flip(-1)).flip(-1)

differ = {stage: lab.AB_SCALE * (mirrored(m, L) - predict(m, L)).abs().mean().item()
          for stage, m in models.items()}
print("mean difference in CIE units:", {stage: round(value, 2) for stage, value in differ.items()})

# %%
plain = lab.to_rgb(L[:3], predict(models["unet"], L[:3]))
turned = lab.to_rgb(L[:3], mirrored(models["unet"], L[:3]))
figures.qualitative_grid({"as it is": plain, "mirrored, and back": turned, "truth": gallery[:3]})

# %% [markdown]
# Not the same. A convolution treats all *places* alike, but its kernel is not symmetric, so left and right are
# different to it. Training mirrors half of the photos at random, which teaches symmetry from examples. How well it is
# learned depends on how long the training lasts. A remedy that costs twice the time: color both and average.
#
# ## 2. How many pairs?
#
# A class plays $n$ pairs against a model that fools with 32.3%. It can tell the model from the ideal if the
# test against 50% comes out below 0.05. How often does it?

# %%
def power(n, rate=0.323):
    """Share of classes, playing n pairs, that can tell `rate` from 50%."""
    tells = np.array([binomtest(k, n).pvalue < 0.05 for k in range(n + 1)])
    fooled = np.random.default_rng(42).binomial(n, rate, 4000)
    return tells[fooled].mean()

sizes = (10, 20, 40, 60, 80, 100)
powers = pd.Series({n: power(n) for n in sizes}, name="can tell").rename_axis("pairs")
powers.to_frame().T.map("{:.0%}".format)

# %% [markdown]
# Ten pairs tell next to nothing; some 60 to 80 are needed: eight students with ten pairs each. To tell
# Palette's 47.8% from 50% would take thousands.
#
# ## 3. Darker
#
# Lower L\* by 20 and color again. To compare colors and not lightness, show both answers on the original L.

# %%
darker = (L[:3] - 20 / 50).clamp(-1, 1)
answer = predict(models["unet"], darker)
figures.qualitative_grid({"as it is": plain, "darker": lab.to_rgb(darker, answer),
                          "its colors, old lightness": lab.to_rgb(L[:3], answer)})

# %%
change = lab.AB_SCALE * (answer - predict(models["unet"], L[:3])).abs().mean()
print(f"ab changes by {change:.1f} CIE units on average; the photos' own ab are "
      f"{lab.AB_SCALE * ab[:3].abs().mean():.1f} from gray")

# %% [markdown]
# The things in the picture are the same, and their colors change. The model judges a surface by its
# brightness too, so exposure, fading and the film's sensitivity all leak into the colors: old films saw blue
# as bright and red as dark. Night scenes are rare among the training photos, so there it guesses blindly.
#
# ## 4. Reading
#
# All measures that compare with the *one* true picture (MAE, PSNR, SSIM, CIEDE2000, and to a degree LPIPS)
# rank a sampling model too low: a red car where the truth was blue costs twice the saturation, while the gray
# compromise costs it once. Averaged over its samples, a sampler's MAE is never lower than that of the *mean* of these
# samples (the triangle inequality); if it samples the truth's own distribution, their median is at least as good as
# that mean.
# Colorfulness, histograms and people do not have that bias.
