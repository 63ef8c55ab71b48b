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
# Answers to the exercises of notebook 08. They use its runs if they are there.

# %% tags=["setup"]
# @title Setup, the same in every notebook: find the course, say what will run and how long { display-mode: "form" }
PROFILE = "auto"  # @param ["auto", "smoke", "class", "report"]
USE_DRIVE = False  # @param {type:"boolean"}
import os, shutil, subprocess, sys
from pathlib import Path

if "google.colab" in sys.modules:
    ROOT = Path(os.environ.get("G2G_CONTENT", "/content")) / "gray-to-glory"
    if not (ROOT / "g2g" / "setup.py").is_file():  # absent or incomplete: clone beside it, then rename
        part = ROOT.with_name("gray-to-glory.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(ROOT, ignore_errors=True)
        git = ["git", "clone", "--quiet", "--depth=1", "https://github.com/gray-to-glory/gray-to-glory", str(part)]
        done = subprocess.run(git, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"cannot fetch {git[-2]}: no network, or a wrong address\n{done.stderr}")
        part.rename(ROOT)
else:  # on your own machine: the notebook lies somewhere inside the repository
    ROOT = next((p for p in [Path.cwd(), *Path.cwd().parents] if (p / "g2g" / "setup.py").is_file()), None)
    if ROOT is None:
        raise FileNotFoundError(f"no folder g2g/ in {Path.cwd()} or above: clone the repository first")
sys.path.insert(0, str(ROOT))
from g2g.setup import setup
profile = setup(PROFILE, USE_DRIVE)

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t as student

from g2g import evaluation, figures, lab
from g2g.data import batches, prepare
from g2g.models import predict
from g2g.runs import device, load_or_train
from report import sweep

# %%
small = sweep.scaled(profile)
photos, plan = prepare(small), sweep.plan(profile)
base, gan_base = (rows["recipe"].iloc[0] for _, rows in plan.groupby("stage", sort=False))
gray = sweep.measure(evaluation.gray(), photos)["mae"]
print(f"gray: MAE {gray:.4f}")

# %% [markdown]
# ## 1. Two factors together
#
# We take the base recipe's learning rate and ten times as much: at 0.01 nothing can be compared any more.

# %%
rates = [base.lr, 10 * base.lr]
sizes = base.batch_size, int(plan[plan["factor"] == "batch_size"]["value"].min())

# %%
rows = []
for lr in rates:
    for size in sizes:
        recipe = dataclasses.replace(base, lr=lr, batch_size=size)
        run = load_or_train("unet", small, recipe=recipe, photos=photos)
        rows.append({"lr": lr, "batch": size, "mae": sweep.measure(run.model("last", device()), photos)["mae"]})
square = pd.DataFrame(rows).pivot(index="lr", columns="batch", values="mae")
square

# %%
ax = square.plot(logx=True, marker="o", figsize=(4, 2.4), ylabel="MAE (validation)")
ax.axhline(gray, color="#777777", ls="--", lw=1)  # gray
plt.show()

# %% [markdown]
# If the lines are parallel, the factors act apart. If not, they *interact*, and "the best batch size" has no
# answer without a learning rate beside it. A smaller batch takes more steps per epoch, each of about the length of
# the learning rate (Adam), so it acts somewhat like a larger rate: interaction is to be expected. A
# one-factor-at-a-time plan never visits the fourth corner and cannot know. (Whether the difference is more than
# chance is, again, a question to the seeds.)
#
# ## 2. No L1 at all
#
# With λ = 0 only the discriminator speaks. It sees L beside ab, so it can demand colours that go with the
# lightness, but nobody demands *these* colours.

# %%
base_run = load_or_train("unet", small, recipe=base, photos=photos)
answers = {}
for lam in (gan_base.lam, 0.0):
    recipe = dataclasses.replace(gan_base, lam=lam)
    run = load_or_train("cgan", small, recipe=recipe, photos=photos, start=base_run)
    answers[f"λ = {lam:g}"] = run.model("last", device())
    print(run.id, {k: round(v, 4) for k, v in sweep.measure(answers[f"λ = {lam:g}"], photos).items()})

# %%
L, ab = next(batches(np.asarray(photos.valid[:1])))
pictures = [lab.to_rgb(L, predict(net, L))[0] for net in answers.values()]
figures.image_row([lab.to_rgb(L, 0 * ab)[0], *pictures, photos.valid[0]], ["gray", *answers, "truth"])

# %% [markdown]
# All that holds the colours near the truth is the **start**: the generator was trained with L1 before. From there it
# drifts toward whatever fools D at the moment; compare the two MAEs to see how far a few steps have carried it, and
# the colourfulness to see where. L1 is the anchor.
#
# ## 3. How many seeds?
#
# The margin of a single run against $n$ seeds is $t_{0.975,n-1}\, s\,\sqrt{1 + 1/n}$. We take $s$ from the sweep's
# seeds.

# %%
s = sweep.sweep(profile, photos, ["seed"]).groupby("stage")["mae"].std()["unet"]
n = np.arange(2, 31)
single = student.ppf(0.975, n - 1) * s * np.sqrt(1 + 1 / n)
both = student.ppf(0.975, 2 * n - 2) * s * np.sqrt(2 / n)
enough = n[both <= 0.001]
print(f"s = {s:.4f}:", f"{enough[0]} seeds of both" if len(enough) else "more than 30 seeds of both")

# %%
curves = pd.DataFrame({"n seeds of the base, one of the other": single, "n seeds of both": both}, index=n)
ax = curves.plot(logy=True, figsize=(4.5, 2.6), xlabel="n", ylabel="difference in MAE that counts")
ax.axhline(0.001, color="#777777", ls="--", lw=1)
plt.show()

# %% [markdown]
# More seeds of the base alone do not help beyond a point: the other recipe's single run still scatters by $s$. From
# about five seeds on it is better to give seeds to the *others*.
#
# ## 4. Twenty epochs
#
# ```python
# sweep.FACTORS["epochs"] = ("unet", (20, 40))
# table = sweep.sweep(profile, photos, ["seed", "epochs"])
# sweep.verdict(table, "epochs")
# ```
#
# The base recipe then has 20 epochs, for all factors, and so have its seeds. With 2,000 photos, 20 epochs are a
# quarter of the steps that the report made with 8,000; to judge its sentence, use as many.
