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
# # Solutions 9 · Color as a distribution
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/09_solutions.ipynb)
#
# Answers to the exercises of notebook 09, with the palette model whose weights lie in the repository.

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

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F

from g2g import figures, lab, metrics, palette
from g2g.data import batches, prepare
from g2g.models import predict
from g2g.profiles import get_recipe
from g2g.runs import load_or_train, pretrained_model


# %% [markdown]
# First, what the network believes about two hundred validation photos at most.
# (In `smoke` they are crops of a few photographs, too few for a
# verdict: the numbers show how it is done.)

# %%
photos = prepare(profile)
net, size, sentence = pretrained_model("palette")
print(sentence)

# %%
bins = palette.bins()
L, ab = (torch.cat(planes)[:200] for planes in zip(*batches(photos.valid), strict=True))
quarter = F.interpolate(ab, scale_factor=0.25, mode="area")
with torch.no_grad():
    logits = torch.cat([net.logits(part) for part in L.split(32)])
p = (logits - net.class_weights.log().view(1, -1, 1, 1)).softmax(dim=1)  # what it holds for true

# %% [markdown]
# ## 1. The median
#
# L1 asks for the median, L2 for the mean (notebook 02). From a distribution both can be had, for a\* and b\* apart: add up the
# probabilities along an axis until they pass one half.

# %%
def median(p, axis):
    """The median of a* (axis 0) or b* (axis 1) under p (B,Q,h,w), between the grid's points: (B,h,w), CIE units."""
    values = bins[:, axis].unique()
    marginal = torch.stack([p[:, bins[:, axis] == value].sum(dim=1) for value in values], dim=1)
    above = marginal.cumsum(dim=1)
    place = (above < 0.5).sum(dim=1, keepdim=True)
    share = marginal.gather(1, place)
    passed = above.gather(1, place) - share
    return (values[place] + 10 * ((0.5 - passed) / share - 0.5))[:, 0]


# %% [markdown]
# The two answers, and gray, by both losses:

# %%
answers = {
    "mean": torch.einsum("bqhw,qc->bchw", p, bins) / 110,
    "median": torch.stack([median(p, 0), median(p, 1)], dim=1) / 110,
    "gray": 0 * quarter,
}

# %%
rows = {name: (F.l1_loss(x, quarter).item(), F.mse_loss(x, quarter).item()) for name, x in answers.items()}
pd.DataFrame(rows, index=["L1", "mean square"]).T

# %% [markdown]
# On 200 validation photos of the quoted run (profile `cpu`, seed 42) each wins at its own game, as the theory demands if the probabilities
# are honest: L1 0.0733 for the median and 0.0742 for the mean, mean square 0.01257 and 0.01250; gray: 0.0908 and 0.01909. The median is also the grayer of the two, which is what "the caution of L1" means:

# %%
few = slice(0, 1)
names = ["gray", "median", "mean"]
shown = [lab.to_rgb(L[few], F.interpolate(answers[name][few], size=L.shape[2:], mode="bilinear")) for name in names]
{name: round(metrics.colorfulness(picture).item(), 1) for name, picture in zip(names, shown)}

# %% [markdown]
# ## 2. Honest probabilities?
#
# Of all pixels to which the network gives a bin with 30%, the bin should be right in 30%. We take each pixel's likeliest bin and ask
# how often the truth's nearest bin is the same.

# %%
chance, guess = p.max(dim=1)
truth = palette.soft_targets(quarter).argmax(dim=1)
edges = torch.linspace(0, 1, 11)
group = torch.bucketize(chance, edges[1:-1])

# %%
table = pd.DataFrame({"group": group.flatten(), "said": chance.flatten(), "right": (guess == truth).flatten()})
table = table.groupby("group").agg(said=("said", "mean"), right=("right", "mean"), pixels=("right", "size"))
table.round(3)

# %%
fig, ax = plt.subplots(figsize=(3, 3))
ax.plot([0, 1], [0, 1], color=figures.color("gray"), ls="--")
ax.plot(table["said"], table["right"], "o-", color=figures.color("palette"))
ax.set(xlabel="probability of the likeliest bin", ylabel="how often it is right", aspect="equal")
plt.show()

# %% [markdown]
# One thing bends this curve even for a perfect network: the targets are *soft*. It was taught to spread a color over five bins, so
# it never gives one bin much more than a half, however sure it is; the bin is then right more often than it says. (On the 200 photos of the
# quoted run: said 15%, right in 18%; said 34%, right in 44%; said 55%, right in 86%.)
#
# ## 3. Without the weights
#
# `uniform=1.0` trains the same network with all mistakes equally costly. Train both, and ask both at T = 0.38:

# %%
recipe = get_recipe("palette", profile)
recipes = {"λ = 0.5": recipe, "λ = 1, no weights": dataclasses.replace(recipe, uniform=1.0)}

# %%
colorful = {}
for name, changed in recipes.items():
    trained = load_or_train("palette", profile, recipe=changed, photos=photos).model()
    colorful[name] = metrics.colorfulness(lab.to_rgb(L, predict(trained, L))).mean().item()
colorful["truth"] = metrics.colorfulness(lab.to_rgb(L, ab)).mean().item()
pd.Series(colorful).round(1)

# %% [markdown]
# Without weights the colors fade, and `rebalancing` does nothing: all class weights of this model are 1, so there is
# nothing to divide out. The colors need not fade. Multiply the probabilities by the first model's weights
# *afterwards*, and the two are asked for the same distribution.
# What the weights change beyond that is where the network spends its
# effort: on rare colors, or on getting the common ones right by a little more.
