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
# # Solutions 8 · Parameter analysis
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/08_solutions.ipynb)
#
# Answers to the exercises of notebook 08. The trainings are cut to seconds in `smoke`, where their numbers mean nothing.

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
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t as student

from g2g import training
from g2g.data import prepare
from g2g.profiles import repo_root
from g2g.runs import learner
from report import studies
from g2g.figures import across
from g2g.colorize import colorize_all
from g2g.photos import gallery_photos

# %%
photos = prepare(dataclasses.replace(profile, size=studies.SIZE))
recipe = studies.ADVERSARIAL
if profile.name == "smoke":
    recipe = dataclasses.replace(recipe, epochs=1, steps_per_epoch=1)
STEPS = recipe.steps_per_epoch * recipe.batch_size // 8 if profile.name != "smoke" else 1  # as many photos in batches of 8


def train(**changes):
    """The network of the recipe with these changes."""
    changed = dataclasses.replace(recipe, **changes)
    learn = learner(changed, studies.subset(photos, studies.PHOTOS, changed.seed))
    with tempfile.TemporaryDirectory() as folder:
        training.fit(learn, folder)
    return learn.average_weights.average.module.cpu().eval()

# %% [markdown]
# ## 1. Two factors together
#
# The study has three of the four corners (read from `results/parameters/`). If both factors acted apart, the fourth
# would lie as far from its neighbors as the recipe does from them:

# %%
runs = pd.read_csv(repo_root() / "results" / "parameters" / "runs.csv")
base = runs[runs["factor"] == "seed"]
corners = {"recipe": base["mae"].mean(), "batch 8": runs[runs["batch_size"] == 8]["mae"].item(),
           "rate 0.0001": runs[runs["lr"] == 1e-4]["mae"].item()}
corners["both, if they acted apart"] = corners["batch 8"] + corners["rate 0.0001"] - corners["recipe"]

# %% [markdown]
# And the fourth corner itself, trained here (in `smoke` for seconds only, which cannot be compared):

# %%
corners["both, trained here"] = studies.measure(train(lr=1e-4, batch_size=8, steps_per_epoch=STEPS), photos)[0]["mae"]
pd.Series(corners).to_frame("mae").round(4)

# %% [markdown]
# If the fourth corner is elsewhere, the two factors *interact*. A smaller batch takes more steps for the same photos, each of about
# the length of the learning rate (Adam), so it acts somewhat like a larger rate: interaction is to be expected. A
# one-factor-at-a-time plan never visits the fourth corner and cannot know. In profile `cpu` it has 0.0828, not 0.0839: with the
# small rate the small batch costs nothing. But four numbers that scatter go into this difference, three of one run each. With
# the study's $s$ its margin is $t_{0.975,2}\, s\,\sqrt{3 + 1/3}$, a little more than the difference: it cannot be told from zero.
#
# ## 2. No L1 at all
#
# With λ = 0 only the discriminator speaks. It sees L beside ab, so it can demand colors that go with the lightness, but nobody demands
# *these* colors.

# %%
answers = {f"λ = {lambda_l1:g}": train(lambda_l1=lambda_l1) for lambda_l1 in (30.0, 0.0)}
rows = {name: colorize_all(gallery_photos(160), model, studies.SIZE) for name, model in answers.items()}
across(rows | {"truth": gallery_photos(160)})

# %% [markdown]
# Without the anchor, L1, the colors drift to whatever the D of the moment takes for real: strong ones, of any kind. (In `smoke`
# nothing has moved yet.)
#
# ## 3. How many seeds?
#
# The margin of a single run against $n$ seeds is $t_{0.975,n-1}\, s\,\sqrt{1 + 1/n}$, with the study's $s$.

# %%
s = base["mae"].std()
n = np.arange(2, 31)
single = student.ppf(0.975, n - 1) * s * np.sqrt(1 + 1 / n)
both = student.ppf(0.975, 2 * n - 2) * s * np.sqrt(2 / n)
enough = n[both <= 0.001]
print(f"s = {s:.5f}:", f"{enough[0]} seeds of both" if len(enough) else "more than 30 seeds of both")

# %%
curves = pd.DataFrame({"n seeds of the recipe, one of the other": single, "n seeds of both": both}, index=n)
ax = curves.plot(logy=True, figsize=(4.5, 2.6), xlabel="n", ylabel="difference in MAE that counts")
ax.axhline(0.001, color="#777777", ls="--", lw=1)
plt.show()

# %% [markdown]
# More seeds of the recipe alone do not help beyond a point: the other setting's single run still scatters by $s$. From about five seeds
# on it is better to give seeds to the *others*.
