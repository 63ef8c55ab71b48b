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
# # Solutions 8 · Parameter analysis: one run is no experiment
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/08_solutions.ipynb)
#
# Answers to the exercises of [chapter 8](../08_parameter_analysis.ipynb). Three networks are trained on photos of 64 px. The
# first, with batches of 8, takes about four minutes on two CPU cores and the others one minute each. In `smoke` they are cut to
# seconds, and their numbers mean nothing.

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

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t as student

from g2g import evaluation, figures, training
from g2g.colorize import colorize_all
from g2g.data import prepare
from g2g.photos import gallery_photo
from g2g.profiles import repo_root
from g2g.runs import learner
from report import studies

# %% [markdown]
# The recipe of the study, and a function that trains it with some fields changed:

# %%
photos = prepare(dataclasses.replace(profile, size=studies.SIZE))
recipe = studies.ADVERSARIAL
if profile.name == "smoke":
    recipe = dataclasses.replace(recipe, epochs=1, steps_per_epoch=1)


def train(**changes):
    changed = dataclasses.replace(recipe, **changes)
    learn = learner(changed, studies.subset(photos, studies.PHOTOS, changed.seed))
    with tempfile.TemporaryDirectory() as folder:
        training.fit(learn, folder)
    return learn.average_weights.average.module.eval()


# %% [markdown]
# ## 1. Two factors together
#
# > *Train the fourth corner of the square {batch 32, batch 8} × {rate 0.001, rate 0.0001}. Could a plan that changes one factor
# > at a time have predicted it?*
#
# The study has three of the four corners. If the factors did not interact, each would change the MAE by the same amount whatever
# the other one is, and the fourth corner could be computed:

# %%
runs = pd.read_csv(repo_root() / "results" / "parameters" / "runs.csv")
base = runs[runs["factor"] == "seed"]
recipe_mae = base["mae"].mean()  # of three seeds, batch 32, rate 0.001
batch_mae, rate_mae = (runs[changed]["mae"].item() for changed in (runs["batch_size"] == 8, runs["lr"] == 1e-4))
corners = {"the recipe": recipe_mae, "batch 8": batch_mae, "rate 0.0001": rate_mae}
corners["both, without interaction"] = batch_mae + rate_mae - recipe_mae

# %% [markdown]
# The corner itself, trained on as many photos (four times as many steps, because the batches are a quarter as large):

# %%
steps = 1 if profile.name == "smoke" else recipe.steps_per_epoch * recipe.batch_size // 8
both = train(lr=1e-4, batch_size=8, steps_per_epoch=steps)
corners["both, trained here"] = studies.measure(both, photos)[0]["mae"]
pd.Series(corners).to_frame("validation MAE").round(4)

# %% [markdown]
# The last two rows differ by the interaction, or by chance. Four numbers scatter in this difference: three of one run each and one
# mean of three runs. The margin of 8.3 then is $t_{0.975,\,2}\; s\,\sqrt{1 + 1 + 1 + \tfrac13}$.

# %%
interaction = corners["both, trained here"] - corners["both, without interaction"]
print(f"interaction {interaction:+.4f}, margin {studies.margin(base['mae'], 1, 1, 1, 3):.4f}")

# %% [markdown]
# If the interaction exceeds the margin, no plan that changes one factor at a time could have predicted the fourth corner,
# because it never goes there. If it does not, the question stays open at this number of seeds.
#
# In the saved run of `cpu` the interaction is −0.0013, and it exceeds the margin of 0.0012, if only just: the fourth corner is
# better than the other three predict. One more seed of each could still change that. In `smoke` the last row is measured on two
# crops after a single step and means nothing.
#
# An interaction is to be expected here. Adam's steps have about the length of the learning rate, whatever the batch is. A
# smaller batch takes more of them for as many photos, so it acts somewhat like a larger rate and should do less harm where the
# rate is small.
#
# ## 2. No L1 at all
#
# > *Set λ = 0. What holds the colors near the ground truth now?*
#
# Two epochs with the recipe's λ, and two with λ = 0:

# %%
epochs = min(2, recipe.epochs)
trained = {f"λ = {weight:g}": train(lambda_l1=weight, epochs=epochs) for weight in (recipe.lambda_l1, 0)}

# %%
columns = {"mae": "MAE", "colorfulness": "colorfulness", "colorfulness_ground_truth": "of the ground truth"}
models = {"gray": evaluation.gray()} | trained
rows = {name: studies.measure(model, photos)[0] for name, model in models.items()}
pd.DataFrame(rows).T[list(columns)].rename(columns=columns).round(4)

# %%
gallery = [gallery_photo("meadow", 320), gallery_photo("fig", 320)]
pictures = {name: colorize_all(gallery, model, studies.SIZE) for name, model in trained.items()}
figures.qualitative_grid(pictures | {"ground_truth": gallery})

# %% [markdown]
# (Meadow by Aitzol Berasategi, fig by Trevor "Freespace", CC BY 4.0, recolored.)
#
# Nothing holds them but the discriminator. It sees L next to ab, so it can ask for colors that go with the lightness, but many
# different colorings satisfy it, and no term of the loss asks for the one of *this* photo. A row whose MAE is above gray's has
# colors that are worse than none.
#
# In the saved run of `cpu`, λ = 0 is nearly three times as colorful as λ = 30, and its MAE of 0.1243 is far above gray's 0.0894. It
# makes the meadow an olive green, but the left border, too, and in the second photograph the bowl and the gray table. A blue stain
# lies on the trees and the mountain behind them, the lower right corner is teal, and the sky turns greenish toward both sides.
#
# ## 3. How many seeds?
#
# > *For the spread that you measured, how many seeds would make a difference of 0.001 in MAE count? Plot the margin of 8.3
# > against $n$.*
#
# With $n$ seeds of the recipe and one run of the other setting, the margin is $t_{0.975,\,n-1}\, s\,\sqrt{1 + 1/n}$. With $n$
# seeds of both it is $t_{0.975,\,2n-2}\, s\,\sqrt{2/n}$, where $s$ comes from both groups together.

# %%
s, n = base["mae"].std(), np.arange(2, 31)
one = student.ppf(0.975, n - 1) * s * np.sqrt(1 + 1 / n)
equal = student.ppf(0.975, 2 * n - 2) * s * np.sqrt(2 / n)
for words, margin in (("n seeds of the recipe, one of the other", one), ("n seeds of both", equal)):
    enough = n[margin <= 0.001]
    print(f"s = {s:.5f}, {words}: {f'{enough[0]} are enough' if len(enough) else 'even 30 are not enough'}")

# %%
curves = pd.DataFrame({"n seeds of the recipe, one of the other": one, "n seeds of both": equal}, index=n)
ax = curves.plot(logy=True, figsize=(5, 2.8), xlabel="n", ylabel="margin in MAE")
ax.axhline(0.001, color="#777777", ls="--", lw=1)
plt.show()

# %% [markdown]
# With the spread of the study, three seeds of the recipe are enough for a difference of 0.001, or two seeds of both.
#
# More seeds of the recipe alone do not help beyond a point: the single run of the other setting still scatters by $s$, so the
# margin never falls below $1.96\,s$. It is better to share the seeds. Four runs in all have a margin of $5.0\,s$ as three and one,
# and of $4.3\,s$ as two and two.
#
# Back to [chapter 8](../08_parameter_analysis.ipynb) · Next: [chapter 9](../09_color_as_distribution.ipynb)
