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
# Answers to the exercises of notebook 05.

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

from g2g import evaluation, lab, metrics
from g2g.data import batches, prepare
from g2g.runs import load_or_train
from g2g.training import get_device
from g2g.evaluation import bootstrap

SEEDS = (42, 43, 44)  # exercise 3: the CNN is trained once with each
photos = prepare(profile)
run = load_or_train("cnn", profile, photos=photos)
cnn = run.model(device=get_device())

# %% [markdown]
# ## 1. A stronger baseline: color by lightness
#
# Sort all training pixels by L into 20 levels and take the median of a and of b in each: the best answer
# under L1 for a model that sees one pixel at a time. A few hundred photos are plenty for 40 numbers.

# %%
LEVELS = 20
training_batches = [batch for batch, _ in zip(batches(photos.train), range(16))]
L_all = torch.cat([L[:, 0, ::2, ::2].flatten() for L, _ in training_batches])
ab_all = torch.cat([ab[:, :, ::2, ::2].transpose(0, 1).flatten(1) for _, ab in training_batches], 1)
level = ((L_all + 1) / 2 * LEVELS).long().clamp(0, LEVELS - 1)

# %%
medians = torch.stack([ab_all[:, level == i].median(1).values if (level == i).any() else torch.zeros(2)
                       for i in range(LEVELS)])

def by_lightness(L):
    """Looks up ab for each pixel's level of L."""
    index = ((L[:, 0] + 1) / 2 * LEVELS).long().clamp(0, LEVELS - 1)
    return medians.to(L.device)[index].permute(0, 3, 1, 2)

# %% [markdown]
# What did it find? Usually warm mid-tones, and bluish highlights, where there is sky.

# %%
strip = torch.linspace(-1, 1, 200).expand(1, 1, 20, 200)
plt.figure(figsize=(6, 1))
plt.imshow(lab.to_rgb(strip, by_lightness(strip))[0].permute(1, 2, 0))
plt.axis("off")
plt.show()

# %%
models = {"gray": evaluation.gray(), "constant": evaluation.constant(evaluation.best_constant(photos)),
          "by lightness": by_lightness, "cnn": cnn}
scores = {name: evaluation.score(model, photos, name=name, show=False)
          for name, model in models.items()}
pd.DataFrame({name: s[["mae", "delta_e", "colorfulness"]].mean() for name, s in scores.items()}).T.round(4)

# %% [markdown]
# Forty numbers, found in a second, and in profile `cpu` they get about three fifths of what the CNN gains on gray: 0.0838,
# between gray's 0.0889 and the CNN's 0.0803. What a model does beyond this row it owes to having seen *where* a pixel
# is and what is around it. A paper that leaves out such rows sells the table's easiest part as its own.
#
# ## 2. More color, please
#
# `score` takes a model or its answers, so the CNN is asked once, and a louder CNN is a product.

# %%
answers = evaluation.predict_photos(cnn, photos, name="cnn", show=False)
rows = {s: evaluation.score(s * answers, photos, show=False) for s in (0, 0.5, 1, 1.5, 2)}

# %%
def gap(s):
    return (s["colorfulness"] - s["colorfulness_ground_truth"]).abs().mean()

measured = pd.DataFrame({s: {"MAE": t["mae"].mean(), "PSNR": t["psnr"].mean(), "gap in colorfulness": gap(t)}
                         for s, t in rows.items()}).T
fig, axes = plt.subplots(1, 3, figsize=(8, 2.3))
for ax, column in zip(axes, measured):
    ax.plot(measured[column], marker="o")
    ax.set(title=column, xlabel="ab multiplied by")
plt.show()

# %%
print(f"MAE chooses s = {measured['MAE'].idxmin()}, PSNR s = {measured['PSNR'].idxmax()}, "
      f"the gap in colorfulness s = {measured['gap in colorfulness'].idxmin()}")

# %% [markdown]
# In profile `cpu` MAE and PSNR both choose 1: the model was trained to hedge, and every step away from its hedge costs
# on average. Colorfulness wants more, whatever the colors are. Neither is *right*; that they pull apart is the
# reason why the table has both.
#
# ## 3. Photos or seeds?
#
# A recipe with another seed is a run of its own: other initial weights, another order of the photos. A hundred steps
# each must be enough here; a whole training takes longer and may scatter more or less.

# %%
short = dataclasses.replace(run.recipe, epochs=1, steps_per_epoch=100)
runs = [load_or_train("cnn", profile, recipe=dataclasses.replace(short, seed=seed), photos=photos) for seed in SEEDS]
per_seed = [evaluation.score(r.model(device=get_device()), photos, show=False)["mae"] for r in runs]

# %%
pd.DataFrame([bootstrap(mae) for mae in per_seed], columns=["MAE", "low", "high"],
             index=[f"seed {seed}" for seed in SEEDS]).round(4)

# %%
means = pd.Series([mae.mean() for mae in per_seed])
paired = bootstrap(per_seed[0] - per_seed[1])
print(f"spread of the means over seeds: {means.max() - means.min():.4f} (standard deviation {means.std():.4f})")
print("first seed against second, photo by photo: {:.4f} ({:.4f} to {:.4f})".format(*paired))

# %% [markdown]
# Look at the last line. If that interval leaves out zero, as it does in profile `cpu` (0.0011 to 0.0016), the *same recipe*
# "surely beats" itself: the photos cannot tell a better recipe from a luckier seed. A claim "A beats B" about **two trained networks** needs
# the paired interval over photos; a claim about **two methods** needs several seeds of each, and a
# difference larger than their spread. The report's step from 0.0848 to 0.0846, one seed each, shows neither.
#
# ## 4. A slip in the range
#
# The library's `lpips` rescales $[0, 1]$ to $[-1, 1]$; the bare network inside takes what it is given.

# %%
lpips = metrics.LPIPS(get_device())


def both_ways(model, n=200):
    """Mean LPIPS of the first photos, with the right range and with the wrong one."""
    right, wrong = [], []
    for rgb, L, _, answer in evaluation.predictions(model, photos, batch_size=8, show=False):
        picture = lab.to_rgb(L, answer)
        right.append(lpips(picture, rgb).mean().item())
        wrong.append(lpips.net(picture, rgb).mean().item())
        if 8 * len(right) >= n:
            break
    return {"[-1, 1], right": sum(right) / len(right), "[0, 1], wrong": sum(wrong) / len(wrong)}

# %%
tested = pd.DataFrame({name: both_ways(load_or_train(name, profile, photos=photos).model(device=get_device()))
                       for name in ("cnn", "unet", "cgan")}).T
print(tested.assign(reported=[0.148, 0.141, 0.132]).round(3))

# %% [markdown]
# If the reported values come out closer to the wrong range than to the right one, that is a hint and no proof: the
# photos, the size and the models are different.
