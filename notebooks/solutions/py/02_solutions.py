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
# # Solutions 2 · The CNN baseline
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/02_solutions.ipynb)
#
# Answers to the exercises of notebook 02.

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

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from g2g import evaluation, figures, lab
from g2g.data import dataloaders, prepare
from g2g.models import EncoderDecoder, count_parameters, predict
from g2g.profiles import get_recipe
from g2g.runs import finished_runs, load_or_train
from g2g.photos import gallery_photos

SEED = 42
STEPS = 24 if profile.name == "smoke" else 100  # of each training in exercises 2 and 3
photos = prepare(profile)
recipe = get_recipe("cnn", profile)

# %% [markdown]
# ## 1. Three votes
#
# Notebook 02's `best_prediction`, for L1.

# %%
red, blue, green = [60.0, 40.0], [5.0, -45.0], [-40.0, 45.0]


def best_prediction(colors, fraction, steps=1500):
    colors, fraction = torch.tensor(colors), torch.tensor(fraction)
    guess = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([guess])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2 * (1 - step / steps)
        expected = (fraction * (guess - colors).abs().mean(1)).sum()
        optimizer.zero_grad(), expected.backward(), optimizer.step()
    return [round(x) for x in guess.tolist()]


print("a third each:", best_prediction([red, green, blue], [1 / 3, 1 / 3, 1 / 3]))
print("51 to 49:    ", best_prediction([red, blue], [0.51, 0.49]))
print("half and half:", best_prediction([red, blue], [0.5, 0.5]))

# %% [markdown]
# - A third each: the same brown as before. The median only asks which value is in the middle, not by how
#   much the others differ.
# - 51 to 49: all red. One photo more or less can swing the vote: where colors are nearly even, an L1 model
#   may jump from one to the other between neighboring patches. That is where its blotches come from.
# - Half and half: on each axis *every* value between the two has the same expected loss, so the optimizer
#   stops wherever it first enters that range. There is no single best answer.
#
# ## 2. Train with L2
#
# The same seed gives both networks the same weights to start from and the same batches.

# %%
def train(loss_of):
    torch.manual_seed(SEED)
    dls = dataloaders(photos, recipe.batch_size, seed=SEED)
    model = EncoderDecoder(recipe.width).to(dls.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for L, ab in islice(chain.from_iterable(repeat(dls.train)), STEPS):
        loss = loss_of(model(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


trained = {"L1": train(F.l1_loss), "L2": train(F.mse_loss)}

# %%
models = {"gray": evaluation.gray(), **trained}
scores = {name: evaluation.score(m, photos, "valid", show=False) for name, m in models.items()}
columns = ["mae", "colorfulness", "colorfulness_ground_truth"]
pd.DataFrame({name: table[columns].mean() for name, table in scores.items()}).T.round(4)

# %%
gallery = np.stack(gallery_photos(photos.size)[2:4])  # of data/gallery: authors and licenses there, recolored
L, ab = lab.photos_to_lab(gallery)
pictures = {name: lab.to_rgb(L, predict(m, L)) for name, m in trained.items()}
figures.qualitative_grid(pictures | {"ground_truth": gallery})

# %% [markdown]
# After a hundred steps (profile `cpu`) L1 has an MAE of 0.0880, a little below gray's 0.0900, and L2 one of 0.0927:
# each is good at its own game, and MAE is L1's. Both pictures are dull, for the mean of many colors is as near to gray as
# their median. Neither is the cure; a loss that punishes averages is (notebook 04), or one that compares deep
# features in place of pixels (a *perceptual loss*, Johnson et al. 2016). Notebook 10 compares seven losses with enough
# steps.
#
# ## 3. A narrower latent
#
# One epoch of each, and a short one, so that you need not wait long.

# %%
short = dataclasses.replace(recipe, epochs=1, steps_per_epoch=STEPS)
narrow = dataclasses.replace(short, width=recipe.width // 2)
for r in (short, narrow):
    run = load_or_train("cnn", profile, recipe=r, photos=photos)
    size = count_parameters(run.model())
    print(f"width {r.width}: {size:,} parameters, validation L1 {run.record['best_valid_loss']:.4f}")

# %%
rows = {name: run.record["recipe"] | {"valid_loss": run.record["best_valid_loss"]} for name, run in finished_runs(profile).items()}
pd.DataFrame(rows).T[["model", "width", "epochs", "lr", "valid_loss"]]

# %% [markdown]
# Half the width is a quarter of the parameters: a convolution has one weight for each *pair* of an input
# and an output channel. The two runs lie side by side; neither has overwritten the other. In `smoke` the difference means
# nothing. In `cpu`, after a hundred steps, the narrow network is at 0.0895, hardly below gray (0.0900), and the wide
# one at 0.0873: at the same rate the wide one also *learns faster*. How much of its lead is left after a whole
# training was not measured.
