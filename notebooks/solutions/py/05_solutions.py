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
# # Solutions 5 · Evaluation
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/05_solutions.ipynb)
#
# Answers to the exercises of [chapter 5](../05_evaluation.ipynb). Where something is chosen or only tried out, validation
# photos serve, so that the test photos stay unseen; they are fewer, too. In `smoke` all numbers mean nothing.

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
import numpy as np
import pandas as pd
import torch

from g2g import evaluation, figures, lab, metrics
from g2g.data import batches, prepare
from g2g.evaluation import bootstrap
from g2g.profiles import get_recipe
from g2g.runs import load_or_train
from g2g.training import get_device

DEVICE = get_device()
photos = prepare(profile)
runs = {name: load_or_train(name, profile, photos=photos) for name in ("cnn", "unet", "cgan")}
networks = {name: run.model(device=DEVICE) for name, run in runs.items()}

# %% [markdown]
# ## 1. A stronger baseline
#
# > *Build a "model" that looks up the training median of ab for each of 20 levels of L. How much of the models' gain over gray
# > does it get?*
#
# A few hundred photos and every fourth pixel are plenty for 40 numbers.

# %%
LEVELS = 20
some = photos.train[:: max(1, len(photos.train) // 512), ::2, ::2]
L_train, ab_train = (torch.cat(planes) for planes in zip(*batches(some), strict=True))


def level_of(L):
    """L (B,1,H,W) in [-1, 1] to levels 0 to 19 (B,H,W)."""
    return ((L[:, 0] + 1) / 2 * LEVELS).long().clamp(0, LEVELS - 1)


# %%
level, colors = level_of(L_train), ab_train.movedim(1, -1)
medians = torch.zeros(LEVELS, 2)
for i in level.unique():
    medians[i] = colors[level == i].median(dim=0).values


def by_lightness(L):
    return medians.to(L.device)[level_of(L)].movedim(-1, 1)


# %% [markdown]
# What it found, from black to white:

# %%
strip = torch.linspace(-1, 1, 300).expand(1, 1, 30, 300)
figures.image_row([lab.to_rgb(strip, by_lightness(strip))[0]], ["the color of each level of L"])

# %%
models = {"gray": evaluation.gray(), "constant": evaluation.constant(evaluation.best_constant(photos)),
          "by lightness": by_lightness} | networks
scores = {name: evaluation.score(model, photos, "valid", name=name, show=False) for name, model in models.items()}
columns = {"mae": "MAE", "delta_e": "CIEDE2000", "colorfulness": "colorfulness"}
table = pd.DataFrame({figures.title(name): s[list(columns)].mean() for name, s in scores.items()})
table = table.rename(columns).T
table.round(4)

# %%
gain = table.loc["gray", "MAE"] - table["MAE"]
for name in map(figures.title, networks):
    print(f"{name}: by lightness gets {gain['by lightness'] / gain[name]:.0%} of its gain over gray")

# %% [markdown]
# The 40 numbers know nothing but the lightness of one pixel. What a model gains beyond that row comes from having seen *where* a
# pixel is and what surrounds it. A table without such rows cannot show which part of a gain was easy.
#
# In the saved run of `cpu` the strip goes from black over a dark brown and an olive brown to a neutral light gray and white. These
# 40 numbers get 55% of what the CNN gains over gray, 28% of the U-Net's gain, and 42% of the cGAN's. By CIEDE2000 they are worse
# than gray.
#
# ## 2. More color, please
#
# > *Multiply a model's ab by $s$ from 0 to 2. Which $s$ do MAE, PSNR and the gap in colorfulness choose?*
#
# The U-Net predicts once, and each $s$ is a product.

# %%
predicted = evaluation.predict_photos(networks["unet"], photos, "valid", show=False)
factors = np.linspace(0, 2, 9)
by_factor = evaluation.saturated(predicted, photos, "valid", factors, show=False).groupby("saturation")
truth = scores["unet"]["colorfulness_ground_truth"].to_numpy()
gaps = by_factor["colorfulness"].apply(lambda own: np.abs(own.to_numpy() - truth).mean())
names = {"mae": "MAE", "psnr": "PSNR, dB", "gap": "gap in colorfulness"}
measured = by_factor[["mae", "psnr"]].mean().assign(gap=gaps).rename(columns=names)

# %%
fig, axes = plt.subplots(1, 3, figsize=(7, 2.3))
for ax, column in zip(axes, measured):
    ax.plot(measured[column], marker="o", color=figures.color("unet"))
    ax.set(title=column, xlabel="s")
plt.show()

# %%
print(f"MAE chooses s = {measured['MAE'].idxmin():g}, PSNR s = {measured['PSNR, dB'].idxmax():g}, "
      f"the gap in colorfulness s = {measured['gap in colorfulness'].idxmin():g}")

# %% [markdown]
# The printed line has the answer. A model that was trained with L1 hedges, and each step away from its hedge costs on average,
# so after a full training expect MAE and PSNR to choose a factor near 1. The gap in colorfulness wants more, whatever the colors
# are. None of the three is *right*. That they pull in different directions is the reason for having more than one column.
#
# In the saved run of `cpu` MAE and PSNR choose 1, and the gap in colorfulness 1.5. `results/cpu/frontier.csv` has the gain in PSNR
# over gray on the test photos, in the same steps of 0.25: it is highest at 0.75 (1.63 dB, against 1.58 at 1), and 2 is worse than
# gray by 1.01 dB. Its mean colorfulness reaches the ground truth's 40.6 only between 1.75 and 2.
#
# ## 3. Photos or seeds?
#
# > *Train the CNN with three seeds. Is the spread of their test MAE wider than the bootstrap interval of one?*
#
# A recipe with another seed is a run of its own: other initial weights and another order of the photos. To save time the
# photos have 64 px, and a training has 150 steps; a whole training may scatter more or less.

# %%
small = prepare(dataclasses.replace(profile, size=64))
steps = 8 if profile.name == "smoke" else 150
short = dataclasses.replace(get_recipe("cnn", profile), epochs=1, steps_per_epoch=steps)
maes = {}
for seed in (42, 43, 44):
    run = load_or_train("cnn", profile, recipe=dataclasses.replace(short, seed=seed), photos=small)
    maes[f"seed {seed}"] = evaluation.score(run.model(device=DEVICE), small, show=False)["mae"]

# %%
pd.DataFrame({name: bootstrap(mae) for name, mae in maes.items()}, ["MAE", "low", "high"]).T.round(4)

# %%
first, second, _ = maes.values()
means = pd.Series({name: mae.mean() for name, mae in maes.items()})
print(f"spread of the three means: {means.max() - means.min():.4f}, standard deviation {means.std():.4f}")
print("first seed minus second, photo by photo: {:.4f} ({:.4f} to {:.4f})".format(*bootstrap(first - second)))

# %% [markdown]
# Compare the spread of the means with the width of one row's interval; this answers the question. Then look at the last line. If
# its interval excludes zero, the *same recipe* is "significantly better" than itself: the photos show that one trained network is
# better than another, and the seed is the only reason.
#
# In the saved run of `cpu` the spread of the means is a fifth of the width of one row's interval. But the photos are the same for
# all three seeds, and photo by photo the first is surely better than the second: the interval excludes zero.
#
# So a claim about **two trained networks** needs the paired interval over photos. A claim about **two methods** needs several seeds
# of each and a difference larger than their spread. The report's step from 0.0848 to 0.0846, with one seed each, has neither.
#
# ## 4. A slip in the range
#
# > *LPIPS expects RGB in [−1, 1]. What happens with [0, 1], and could that explain the report's LPIPS?*
#
# `metrics.LPIPS` rescales what it is given from [0, 1] to [−1, 1]; the bare network inside, `net`, does not. 32 test photos
# (24 in `smoke`) are enough to see the effect.

# %%
lpips = metrics.LPIPS(DEVICE)


def both_ways(model, batch_count=4):
    """Mean LPIPS of the first photos: with the right range, and with the wrong one."""
    right, wrong = [], []
    found = evaluation.predictions(model, photos, batch_size=8, show=False)
    for _, (rgb, L, _, pred_ab) in zip(range(batch_count), found):
        picture = lab.to_rgb(L, pred_ab)
        right.append(lpips(picture, rgb).mean().item())
        wrong.append(lpips.net(picture, rgb).mean().item())
    return np.mean(right), np.mean(wrong)


# %%
rows = {figures.title(name): both_ways(model) for name, model in networks.items()}
pd.DataFrame(rows, ["in [−1, 1], right", "in [0, 1], wrong"]).T.assign(reported=[0.148, 0.141, 0.132]).round(3)

# %% [markdown]
# In the wrong range the pictures have half the contrast and are brighter than any that the network knows, so the number comes out
# different although nothing about the colors has changed.
#
# In the saved run of `cpu` the wrong range gives a value 28% to 30% lower for each of the three networks. That is near the reported
# values, and the right range is far above them. At the report's size the published runs have 0.189 (CNN), 0.160 (U-Net) and 0.175
# (cGAN), in the right range (`results/cpu/table_256.md`), also above.
#
# This is a hint and no proof, because the report's photos, their size and its models are others. It is one more reason to publish the code beside the number.
#
# Back to [chapter 5](../05_evaluation.ipynb) · Next: [chapter 6](../06_qualitative_grids.ipynb)
