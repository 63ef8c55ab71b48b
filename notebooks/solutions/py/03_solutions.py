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
# # Solutions 3 · A pretrained U-Net: features and resolution
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/03_solutions.ipynb)
#
# Answers to the exercises of [chapter 3](../03_unet_finetune.ipynb). The first one looks at the published U-Net; the trainings
# of the other two are short and use photos of 64 px, as the study of section 3.6 did. In `smoke` their numbers mean nothing.

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

from g2g import evaluation
from g2g.data import batches, dataloaders, prepare
from g2g.models import predict, unet
from g2g.profiles import get_recipe
from g2g.runs import load_or_train, pretrained_model
from g2g.training import TrainingDiverged, get_device

# %%
SEED = 42
DEVICE = get_device()
STEPS = 8 if profile.name == "smoke" else 200  # of each training
photos, small = prepare(profile), prepare(replace(profile, size=64))
recipe = get_recipe("unet", profile)

# %% [markdown]
# ## 1. Which skip matters?
#
# > *Switch the skips off one at a time for all validation photos and compare the L1 with gray's. Which one would you keep, if
# > you could keep only one?*
#
# A skip that is off carries only the mean of each channel, so it still says *what* is in the photo and no longer *where*. The
# library's U-Net has a method `features` that hands over the skips, the finest first. We replace it.

# %%
model, _, sentence = pretrained_model("unet")
model, features = model.to(DEVICE), model.features
print(sentence)


def without(off):
    """The U-Net whose skips with the numbers in `off` carry only means; 1 is the finest, 3 the coarsest."""
    def with_means(L):
        skips, deepest = features(L)
        for i in off:
            skips[i - 1] = skips[i - 1].mean((2, 3), keepdim=True).expand_as(skips[i - 1])
        return skips, deepest

    model.features = with_means
    return model


# %%
def valid_l1(network):
    """Mean L1 over all validation photos."""
    sums = [F.l1_loss(predict(network, L), ab).item() * len(L) for L, ab in batches(photos.valid)]
    return sum(sums) / len(photos.valid)


# %% [markdown]
# Each skip off alone, and each on alone. The stride says how many pixels of the photo one cell of its grid stands for.

# %%
print(f"all skips {valid_l1(without(())):.4f}, no skips {valid_l1(without({1, 2, 3})):.4f}")
print(f"gray      {valid_l1(evaluation.gray()):.4f}")
each = {f"stride {2 ** (i + 1)}": (valid_l1(without({i})), valid_l1(without({1, 2, 3} - {i}))) for i in (1, 2, 3)}
pd.DataFrame(each, ["without this skip", "with this one alone"]).T.round(4)

# %% [markdown]
# The skip to keep is the one with the lowest L1 in the last column. The two columns need not name the same skip, since its
# neighbor may carry part of what one skip brings.
#
# In the saved run of `cpu` it is the finest, of stride 4, in both columns: without it the L1 rises most, and it alone brings the L1
# lowest, to 0.0770 where all three have 0.0724. Each skip alone is better than none and worse than all three.
#
# A network that had been *trained* with a single skip would do better than ours with the others cut off, as section 3.6
# explains.
#
# ## 2. The report's three learning rates
#
# > *Train one epoch each at 0.01, 0.001 and 0.0001 with a constant schedule. Which ends lowest? Does it agree with `lr_find`?*
#
# Our epoch is short. The field `frozen_epochs`, which freezes the encoder in the last epochs, must be 0 for it, or the encoder
# would be frozen all the time.

# %%
rows = {}
for lr in (1e-2, 1e-3, 1e-4):
    tried = replace(recipe, lr=lr, epochs=1, steps_per_epoch=STEPS, schedule="constant", frozen_epochs=0)
    try:
        record = load_or_train("unet", profile, recipe=tried, photos=small).record
        rows[lr] = record["best_valid_loss"], record["gray_valid_loss"]
    except TrainingDiverged as error:  # that, too, is an answer
        print(f"learning rate {lr:g}: {error}")

# %%
pd.DataFrame(rows, ["validation L1", "gray"]).T.rename_axis("learning rate").round(4)

# %% [markdown]
# In the saved run of `cpu` 0.001, the recipe's, ends lowest, 0.01 is second and 0.0001 last, and all three end below gray. All lie
# where the curve of section 3.5 falls, so `lr_find` does not decide between them. In `smoke` the numbers mean nothing.
#
# With few steps a low rate is at a disadvantage wherever there is much to learn. The best learning rate therefore depends on how
# long one trains: the report's 0.0001 may be a good choice for its 20 epochs and still not be the best for 200 steps.
#
# ## 3. Is the encoder worth training?
#
# > *Freeze it and train the decoder alone for the same steps. In `class` or `report`, do it with ImageNet weights and with
# > random ones: four cases.*
#
# The steps are so few that all four can be done in every profile. Each case sees the same photos in the same order.

# %%
def train(frozen, weights):
    """The mean training L1 over the last quarter of the steps."""
    torch.manual_seed(SEED)
    net = unet(recipe.resolution, recipe.encoder, weights, small.size).to(DEVICE)
    net.encoder.requires_grad_(not frozen)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-3)
    dls, losses = dataloaders(small, 16, seed=SEED, device=DEVICE), []
    for L, ab in islice(chain.from_iterable(repeat(dls.train)), STEPS):
        loss = F.l1_loss(net(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses[-STEPS // 4:]) / len(losses[-STEPS // 4:])


# %%
weights = {"ImageNet": recipe.weights, "random": None}
rows = {name: [train(frozen, start) for frozen in (True, False)] for name, start in weights.items()}
pd.DataFrame(rows, ["encoder frozen", "encoder trained"]).T.rename_axis("weights of the encoder").round(4)

# %% [markdown]
# Compare the rows first and the columns second: is more gained by pretraining the encoder, or by training it on?
#
# In the saved run of `cpu` the gap between the rows is the larger one: ImageNet lowers the L1 by about 3%. Training the encoder
# on gains nothing with ImageNet's weights, and less than 1% with random ones. That is one seed and 200 steps. In `smoke` the four
# numbers are nearly the same and mean nothing.
#
# One detail matters when you freeze an encoder. Without gradients its weights stay as they are, but the means and variances of
# its batch norm still follow our photos as long as the network is in training mode. Here that helps, since $L$ is not scaled
# as ImageNet's photos were. Where they must not move either, put the layers in `eval()`; chapter 4 does so.
#
# Back to [chapter 3](../03_unet_finetune.ipynb) · Next: [chapter 4](../04_cgan.ipynb)
