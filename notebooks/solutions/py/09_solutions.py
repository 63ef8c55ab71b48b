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
# Answers to the exercises of [chapter 9](../09_color_as_distribution.ipynb). The first two look at the published palette; the third
# trains two short ones. In `smoke` there are only two validation photos, crops of bundled photographs, and the numbers mean
# nothing.

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
from g2g.profiles import get_recipe
from g2g.runs import load_or_train, pretrained_model

photos = prepare(profile)
net, size, sentence = pretrained_model("palette")
print(sentence)

# %% [markdown]
# What the network expects of up to 100 validation photos, with the class weights divided out:

# %%
bins = palette.bins()
L, ab = (torch.cat(planes) for planes in zip(*batches(photos.valid[:100]), strict=True))
quarter = F.interpolate(ab, scale_factor=0.25, mode="area")
with torch.no_grad():
    logits = torch.cat([net.logits(part) for part in L.split(25)])
p = (logits - net.class_weights.log().view(1, -1, 1, 1)).softmax(dim=1)  # (N,260,h,w)

# %% [markdown]
# ## 1. The median
#
# > *Compute median and mean, for a\* and b\* apart, with the weights divided out. Does each win by its own loss on validation
# > photos? Which is grayer?*
#
# The probabilities of all bins with the same a\* give the distribution of a\*. We add them up from the lowest value to the
# highest until they pass one half, and interpolate within the last step.

# %%
def median(p, axis):
    """The median of a* (axis 0) or b* (axis 1) under p (B,Q,h,w), in CIE units: (B,h,w)."""
    values = bins[:, axis].unique()
    marginal = torch.stack([p[:, bins[:, axis] == value].sum(dim=1) for value in values], dim=1)
    total = marginal.cumsum(dim=1)
    place = (total < 0.5).sum(dim=1, keepdim=True)
    inside = marginal.gather(1, place)
    before = total.gather(1, place) - inside
    return (values[place] + 10 * ((0.5 - before) / inside - 0.5))[:, 0]


# %%
predictions = {
    "mean": torch.einsum("bqhw,qc->bchw", p, bins) / 110,
    "median": torch.stack([median(p, 0), median(p, 1)], dim=1) / 110,
    "gray": 0 * quarter,
}

# %%
rows = {}
for name, colors in predictions.items():
    rgb = lab.to_rgb(L, F.interpolate(colors, size=L.shape[2:], mode="bilinear"))
    losses = F.l1_loss(colors, quarter).item(), 1000 * F.mse_loss(colors, quarter).item()
    rows[name] = *losses, metrics.colorfulness(rgb).mean().item()
pd.DataFrame(rows, ["L1", "1000 × L2", "colorfulness"]).T.round(4)

# %% [markdown]
# If the probabilities are honest, the median has the lowest L1 of all predictions that can be made from them, and the mean has
# the lowest L2. The median ignores how far away the rarer colors are, and where gray is frequent that makes it the grayer of the
# two. This is what the caution of L1 means.
#
# In the saved run of `cpu` each wins by its own loss, the median by about 1% in L1 and the mean by half a percent in L2, and
# the median is the grayer one.
#
# ## 2. Honest probabilities?
#
# > *Where the likeliest bin has a probability of 30%, is it right in 30%? Draw the curve. Why would even a perfect network not lie
# > on the diagonal?*
#
# The pixels are grouped by the probability of their likeliest bin. A bin is right if it is the one nearest to the ground truth.

# %%
likeliest, guess = p.max(dim=1)
nearest = palette.soft_targets(quarter).argmax(dim=1)
table = pd.DataFrame({"said": likeliest.flatten(), "right": (guess == nearest).flatten()})
table = table.groupby(table["said"].mul(10).astype(int)).agg(["mean", "size"])
table = table[table[("said", "size")] >= 100]  # too few pixels say nothing

# %%
fig, ax = plt.subplots(figsize=(3.4, 3.4))
ax.plot([0, 1], [0, 1], color=figures.color("gray"), ls="--")
ax.plot(table[("said", "mean")], table[("right", "mean")], "o-", color=figures.color("palette"))
ax.set(xlabel="probability of the likeliest bin", ylabel="how often it is right", aspect="equal")
plt.show()

# %% [markdown]
# In the saved run of `cpu` the curve has a height of about 0.4 above 0.3. All its points but the first lie above the diagonal, so the
# bin is right more often than the network says, at 0.64 in nearly nine cases of ten.
#
# Even a perfect network would not lie on the diagonal, because its targets are *soft*. Each color is spread over five bins, so the
# nearest one never gets more than $1 / (1 + 4 e^{-2}) = 65\%$, which happens where the color lies exactly on a bin. A network that
# is certain of the color still says at most 65%, and it is right every time: its curve ends high above the diagonal.
#
# ## 3. Without the weights
#
# > *Train the model with `uniform=1.0`. How colorful is it at T = 0.38, and what does `rebalancing` do now?*
#
# For a fair comparison both are trained here, equally long and for a short time only.

# %%
steps = 8 if profile.name == "smoke" else 60
short = dataclasses.replace(get_recipe("palette", profile), epochs=1, steps_per_epoch=steps)
trained = {}
for name, uniform in {"u = 0.5": 0.5, "u = 1, no weights": 1.0}.items():
    recipe = dataclasses.replace(short, uniform=uniform)
    trained[name] = load_or_train("palette", profile, recipe=recipe, photos=photos).model()

# %%
@torch.no_grad()
def colorfulness_of(model, rebalancing, weights=None):
    """Mean colorfulness at T = 0.38; the probabilities are multiplied by `weights` (Q,), if there are any."""
    model.rebalancing, shown = rebalancing, []
    for part in L.split(25):
        logits = model.logits(part)
        if weights is not None:
            logits = logits + weights.log().view(1, -1, 1, 1)
        shown.append(lab.to_rgb(part, model.paint(logits, part.shape[2:])))
    return metrics.colorfulness(torch.cat(shown)).mean().item()


# %%
values = (1.0, 0.5, 0.0)
rows = {name: [colorfulness_of(model, value) for value in values] for name, model in trained.items()}
print(f"ground truth {metrics.colorfulness(lab.to_rgb(L, ab)).mean():.1f}")
pd.DataFrame(rows, [f"rebalancing {value:g}" for value in values]).T.round(1)

# %% [markdown]
# In the second row all three numbers are equal. With u = 1 every class weight is 1, so there is nothing to divide out, and
# `rebalancing` does nothing. Compare this row with the last number of the first: both networks are asked for the distribution
# in real photos there.
#
# In the saved run of `cpu` the second row has 7.0, not far from the first row's 4.9, and a third of the 20.4 with the weights left
# in. Both networks made 60 steps, so they are paler than the published palette.
#
# The colors need not stay pale. We can multiply the probabilities by the first model's weights *afterwards*:

# %%
weighted, plain = trained.values()
print(f"no weights in training, multiplied in afterwards: {colorfulness_of(plain, 1.0, weighted.class_weights):.1f}")
print(f"weights in training, all left in:                 {colorfulness_of(weighted, 1.0):.1f}")

# %% [markdown]
# In theory both lines describe the same distribution. What the weights change beyond that is where the network spends its effort:
# on rare colors, or on getting the frequent ones right by a little more.
#
# In the saved run of `cpu` 17.7 comes near to 20.4. Part of the gap may be chance: one seed, 60 steps.
#
# Back to [chapter 9](../09_color_as_distribution.ipynb) · Next: [chapter 10](../10_losses.ipynb)
