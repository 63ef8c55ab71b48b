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
# # 3 · Solutions: the U-Net
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/03_solutions.ipynb)
#
# One way through the exercises of notebook 03. It uses the trained U-Net (and trains it if there is none). In the
# `smoke` profile the code runs within a minute or so and its numbers mean nothing.

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
from dataclasses import replace
from itertools import chain, islice, repeat

import pandas as pd
import torch
import torch.nn.functional as F

from g2g import runs
from g2g.data import batches, dataloaders, prepare
from g2g.models import predict, unet
from g2g.profiles import get_recipe
from g2g.runs import load_or_train, pretrained_model
from g2g.training import TrainingDiverged, get_device

# %%
SEED = 42
DEVICE = get_device()
STEPS = 8 if profile.name == "smoke" else 100  # of each training in exercises 2 and 3
BATCH = 4 if profile.name == "smoke" else 16

# %% [markdown]
# The trained U-Net. If there is none yet, it is trained now.

# %%
photos = prepare(profile)
recipe = get_recipe("unet", profile)
run = load_or_train("unet", profile, recipe=recipe, photos=photos)
print("run:", run.id)

# %% [markdown]
# ## 1 · Which skip matters?
#
# The network of notebook 03 with the weights that lie in the repository, its switch, and a mean over all validation
# photos.

# %%
model, _, sentence = pretrained_model("unet")
print(sentence)


every = model.features  # the library's: L to the skips, the finest first, and the deepest features


def predict_without(L, off):
    """ab for L; the skips whose numbers are in `off`, from the deepest up, carry only the mean of each channel."""
    def with_means(L):
        skips, deepest = every(L)
        for number in off:
            skip = skips[-1 - number]
            skips[-1 - number] = skip.mean((2, 3), keepdim=True).expand_as(skip)
        return skips, deepest

    model.features = with_means
    return model(L)


# %%
def valid_l1(off):
    """Mean L1 over all validation photos."""
    losses = [F.l1_loss(predict(lambda x: predict_without(x, off), L), ab).item() * len(L) for L, ab in batches(photos.valid)]
    return sum(losses) / len(photos.valid)


# %% [markdown]
# Each skip off alone, and each on alone.

# %%
rows = {"all skips": valid_l1(()), "gray": run.record["gray_valid_loss"]}
for i in range(3):
    rows[f"without skip {i + 1}"] = valid_l1({i})
    rows[f"only skip {i + 1}"] = valid_l1({0, 1, 2} - {i})
pd.Series(rows).to_frame("L1").round(4)

# %% [markdown]
# "Without" and "only" need not name the same winner: what one skip brings, its neighbor may bring as well. On the quoted
# run's validation photos they agree on the third, the finest, which has the resolution of the answer: without it L1 rises
# from 0.0749 to 0.0792, and with it alone L1 is 0.0776. (A network that was trained with only one skip would do better
# than ours with the others cut off.)
#
# ## 2 · The report's three learning rates
#
# Three edited recipes, short ones, make three runs with names of their own.

# %%
rows = {}
for lr in (1e-2, 1e-3, 1e-4):
    tried = replace(recipe, lr=lr, epochs=1, steps_per_epoch=STEPS, schedule="constant")
    try:
        rows[lr] = load_or_train("unet", profile, recipe=tried, photos=photos).record
    except TrainingDiverged as error:  # NaN: that, too, is an answer
        print(f"lr {lr:g}: {error}")

# %%
pd.DataFrame(rows, ["run", "best_valid_loss", "gray_valid_loss"]).T.rename_axis("lr")

# %% [markdown]
# In so short a training 0.001 gets furthest: in profile `cpu` to 0.0797, against 0.0827 with 0.0001, which is too slow,
# and 0.0834 with 0.01, hardly the rate that "avoids irregularities". That does not make 0.0001 a bad choice for **20** epochs: a learning
# rate is always one for a length of training. All three are listed by `runs.list_runs(profile)`.
#
# ## 3 · Is the encoder worth training?

# %%
def train(frozen, weights):
    """L1 of the last quarter of STEPS steps; `frozen`: the encoder stays as it is."""
    torch.manual_seed(SEED)
    net = unet(recipe.resolution, recipe.encoder, weights, photos.size).to(DEVICE)
    net.encoder.requires_grad_(not frozen)
    opt = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-3)
    dls, losses = dataloaders(photos, BATCH, seed=SEED, device=DEVICE), []
    for L, ab in islice(chain.from_iterable(repeat(dls.train)), STEPS):
        loss = F.l1_loss(net(L), ab)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return sum(losses[-STEPS // 4:]) / len(losses[-STEPS // 4:])


# %%
choices = dict.fromkeys([recipe.weights, None])  # ImageNet and random, or random alone
rows = {f"{w or 'random'} encoder, {'frozen' if f else 'trained'}": train(f, w) for w in choices for f in (True, False)}
pd.Series(rows).to_frame("training L1").round(4)

# %% [markdown]
# What ImageNet's weights bring is larger than what freezing takes: in profile `cpu`, 100 steps of 16 photos and one seed,
# the loss is 0.0795 frozen and 0.0801 trained, against 0.0827 and 0.0824 from random weights. The features are good as they
# are, and so few steps hardly improve them. A subtlety: freezing weights does not freeze the means and variances of the encoder's batch norm, which still follow
# our photos in training mode; and they should, since L is not scaled as ImageNet's photos were.
