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
# # Solutions 2 · A CNN, and the vote that L1 takes
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/02_solutions.ipynb)
#
# Answers to the exercises of [chapter 2](../02_cnn_baseline.ipynb). To keep the trainings short, they are made on photos of
# 64 px. In `smoke` they last seconds, and their numbers mean nothing.

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
from itertools import chain, islice, repeat

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F

from g2g import evaluation, figures, lab
from g2g.colorize import colorize_all
from g2g.data import dataloaders, prepare
from g2g.models import EncoderDecoder, count_parameters
from g2g.photos import gallery_photo
from g2g.profiles import get_recipe
from g2g.runs import load_or_train

SEED = 42
STEPS = 24 if profile.name == "smoke" else 300  # of each training
photos = prepare(dataclasses.replace(profile, size=64))
recipe = get_recipe("cnn", profile)

# %% [markdown]
# ## 1. Three votes
#
# > *Predict, then check with `best_prediction`, what L1 says for red, green and blue (1/3 each); for red (51%) and blue
# > (49%); for red and blue at one half each. Why is the last one odd?*
#
# The function is that of section 2.1. It gets more steps, because a vote of 51 to 49 leaves only a gentle slope.

# %%
red, blue, green = torch.tensor([[60.0, 40.0], [5.0, -45.0], [-40.0, 45.0]])  # a*, b*


def best_prediction(loss, colors, fraction, steps=1500):
    guess = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([guess])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2 * (1 - step / steps)
        errors = loss(guess.expand_as(colors), colors, reduction="none").mean(1)
        expected = (torch.tensor(fraction) * errors).sum()
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
    return guess.detach()


# %%
three, two = torch.stack([red, green, blue]), torch.stack([red, blue])
votes = {"1/3 each": (three, [1 / 3] * 3), "51 to 49": (two, [0.51, 0.49]), "half and half": (two, [0.5, 0.5])}
guesses = {name: best_prediction(F.l1_loss, *vote) for name, vote in votes.items()}
print({name: [round(x) for x in guess.tolist()] for name, guess in guesses.items()})
pictures = [lab.lab_to_rgb(torch.tensor([50.0, *guess]).view(3, 1, 1)) for guess in guesses.values()]
figures.image_row([picture.expand(3, 24, 40) for picture in pictures], list(guesses))

# %% [markdown]
# The hint asks for the expected error along the line from blue to red:

# %%
place = torch.linspace(0, 1, 50)[:, None]  # 0: blue, 1: red
line = blue + place * (red - blue)
fig, ax = plt.subplots(figsize=(4.5, 2.4))
for fraction in (0.6, 0.51, 0.5):
    expected = fraction * (line - red).abs().mean(1) + (1 - fraction) * (line - blue).abs().mean(1)
    ax.plot(place, expected, label=f"{fraction:.0%} red")
ax.set(xlabel="from blue (0) to red (1)", ylabel="expected L1, CIE units")
ax.legend()
plt.show()

# %% [markdown]
# - **A third each** gives the same brown as in the chapter. A median depends only on which value lies in the middle, and not
#   on how far away the others are.
# - **51 to 49** gives red. One photo in a hundred can decide the vote, so where two colors are nearly as frequent, a model
#   trained with L1 may change from one to the other between neighboring regions. This is one source of blotches.
# - **Half and half**: the line is flat. On each axis every value between the two colors has the same expected loss, so
#   nothing pulls at the guess once it is in that range. It starts at (0, 0), where b\* is inside already and stays; a\* enters
#   at 5, and Adam's momentum carries it on to 21. There is no single best answer.
#
# ## 2. Train with L2
#
# > *Repeat the loop of 2.3 with `F.mse_loss` from the same initial weights. Which network is more colorful after the same
# > steps, and which has the lower MAE?*
#
# With the same seed both networks start from the same weights and see the same batches.

# %%
def train(loss_of):
    torch.manual_seed(SEED)
    dls = dataloaders(photos, recipe.batch_size, seed=SEED)
    model = EncoderDecoder(recipe.width).to(dls.device)  # the CNN of section 2.2
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for L, ab in islice(chain.from_iterable(repeat(dls.train)), STEPS):
        loss = loss_of(model(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


trained = {"L1": train(F.l1_loss), "L2": train(F.mse_loss)}

# %%
words = {"mae": "MAE", "colorfulness": "colorfulness", "colorfulness_ground_truth": "of the ground truth"}
models = {"gray": evaluation.gray()} | trained
scores = {name: evaluation.score(model, photos, "valid", show=False) for name, model in models.items()}
pd.DataFrame({name: table[list(words)].mean() for name, table in scores.items()}).T.rename(columns=words).round(4)

# %% [markdown]
# And two photographs (meadow and mountains, both by Aitzol Berasategi, CC BY 4.0, recolored):

# %%
gallery = [gallery_photo("meadow", 320), gallery_photo("mountains", 320)]
columns = {name: colorize_all(gallery, model, photos.size) for name, model in trained.items()}
figures.qualitative_grid(columns | {"ground_truth": gallery})

# %% [markdown]
# Compare the two rows of the table, and each with gray's. Expect each network to be ahead by its own measure: MAE is what L1
# minimizes, so it is no neutral judge between the two.
#
# In the saved run of `cpu` both beat gray. L1 has the lower MAE (0.0848 against 0.0862), and L2 is more colorful (14.0 against
# 8.4). In the pictures that is hard to see: both networks leave the meadow and the mountains nearly gray, with a brownish tint
# below. L2 adds a little blue to the rocks and trees of the first photograph and to the sky of the second. In `smoke` both are
# far worse than gray.
#
# Neither loss cures dull colors, because the mean of many possible colors lies about as close to gray as their median. The
# remedies of later chapters are a loss that asks for plausible colors (chapter 4), a distribution over colors in place of one
# (chapter 9), and a comparison of features in place of pixels (chapter 10).
#
# ## 3. A narrower latent
#
# > *Halve the `width` by `dataclasses.replace` and train with `load_or_train`. How many parameters are left, and what does
# > validation say?*
#
# Each recipe is one short epoch long.

# %%
short = dataclasses.replace(recipe, epochs=1, steps_per_epoch=STEPS)
rows = {}
for width in (recipe.width, recipe.width // 2):
    run = load_or_train("cnn", profile, recipe=dataclasses.replace(short, width=width), photos=photos)
    losses = (f"{run.record[name]:.4f}" for name in ("best_valid_loss", "gray_valid_loss"))
    rows[f"width {width}"] = run.id, f"{count_parameters(run.model()):,}", *losses

# %%
pd.DataFrame(rows, ["run", "parameters", "validation L1", "gray"]).T

# %% [markdown]
# Half the width leaves about a quarter of the parameters, because a convolution has one set of weights for each *pair* of an
# input and an output channel. The two runs have different names, so neither has overwritten the other.
#
# In the saved run of `cpu` the wider one is 6.0% below gray and the narrower one 4.8%. In `smoke` neither beats gray, and the
# difference between them means nothing.
#
# So short a training says which network learns *faster* at this learning rate. Which of them ends lower is another question,
# and only the full recipe (`dataclasses.replace(recipe, width=...)`) with several seeds would answer it.
#
# Back to [chapter 2](../02_cnn_baseline.ipynb) · Next: [chapter 3](../03_unet_finetune.ipynb)
