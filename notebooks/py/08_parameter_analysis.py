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
# # 8 · Parameter analysis, measured
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/08_parameter_analysis.ipynb)
#
# Why a learning rate of 0.01, a batch of 32, a β1 of 0.5, patches of this size? The report has a section on
# such choices. It says what was chosen and why, but gives no numbers. Here every setting was trained, and a rule
# written down beforehand says what came out: *held*, *did not hold*, or *not decidable at this scale*.
#
# **You will learn**
#
# - to change one factor at a time, and to know what that can and cannot show;
# - to measure first how much two runs differ that differ in **nothing but the seed**;
# - to put the question "is this effect larger than chance?" into one line of statistics;
# - what learning rate, batch size, patch size, λ and β1 do to color.
#
# **Before this:** notebooks 03 (U-Net) and 04 (cGAN). **Minutes:** printed by the next cell; the study is read, not trained.

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
import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Image, display
from matplotlib.patches import Rectangle

from g2g import figures
from g2g.data import batches, prepare
from g2g.profiles import repo_root
from g2g.runs import pretrained_model
from report import studies
from g2g.photos import gallery_photos

STUDY = repo_root() / "results" / "parameters"  # measured, and read here

# %% [markdown]
# ## 8.1 The pictures first
#
# Each column is one setting. All were trained on the same photos, from the same start and for the same number of
# epochs. The heading names the **one** thing that was changed; `seed 42` is the recipe itself. `patch` is the receptive
# field of the discriminator, in cells of 4 px. (Photographs of `data/gallery`, authors and licenses there, recolored;
# nothing was trained on them.)

# %%
Image(STUDY / "pictures.jpg")

# %% [markdown]
# Two columns stand out, those of the learning rate: at 0.0001 the skies stay gray, and at 0.01 the mountain is tinged
# with a green that does not belong there. Most of the others are hard to tell apart. That is a finding, too.
#
# ## 8.2 One factor at a time
#
# There is one recipe: the quarter U-Net with pix2pix's loss, L1 and an adversary, from ImageNet's weights, five times 2,000 photos of 64 px.
# Every other run changes **one** field of it. So whatever differs in the outcome comes from that field, or from chance. What such a
# plan cannot see are factors that act together: perhaps a larger batch wants a larger learning rate.

# %%
recipe = studies.ADVERSARIAL
changes = {name: ", ".join(f"{value:g}" for value in values) for name, values in studies.CHANGES.items()}
pd.DataFrame({"the recipe": dataclasses.asdict(recipe), "changed to": changes}).reindex(dataclasses.asdict(recipe)).fillna("")

# %% [markdown]
# `python -m report study parameters` trains what is missing and goes on where it was interrupted. *What follows is read from
# `results/parameters/`, not computed here.* All is measured on the **validation** photos: choosing parameters by the test photos would
# spoil them.

# %%
runs = pd.read_csv(STUDY / "runs.csv")
facts, base = runs.iloc[0], runs[runs["factor"] == "seed"]
print(f"{len(runs)} runs, {runs['minutes'].sum():.0f} min on {facts['device']}; {facts['photos']:,} photos of {facts['px']} px, "
      f"{facts['valid']} for validation; gray: MAE {facts['gray_mae']:.4f}; seeds of the recipe: {base['seed'].tolist()}")
print(inspect.getdoc(studies.measure).splitlines()[2], *inspect.getdoc(studies.measure).splitlines()[3:5], sep="\n")

# %% [markdown]
# ## 8.3 The yardstick: nothing but the seed
#
# Before asking what a factor does, ask what **nothing** does. The recipe three times, with other seeds: another random start of the
# new layers, other photos, another order, other flips.

# %%
METRICS = ["mae", "structure", "detail", "colorfulness"]
base[METRICS].agg(["mean", "std"]).round(4)

# %% [markdown]
# An effect that is no larger than this scatter is one we could not see. How much larger must it be? With $n$ seeds
# of standard deviation $s$, the difference of two means over $n_1$ and $n_2$ runs lies in 95% of cases, if nothing but chance is at
# work, within
#
# $$\pm\; t_{0.975,\,n-1}\; s\, \sqrt{\tfrac{1}{n_1} + \tfrac{1}{n_2}}.$$
#
# $t$ is Student's, because $s$ itself is only an estimate: with three seeds it is 4.3, with five 2.8.
# (The formula assumes that the other settings scatter as the recipe does. With one run of each, we cannot check that.)

# %%
margins = {metric: studies.margin(base[metric], 3, 1) for metric in METRICS}
pd.Series(margins).to_frame("one run must differ from the three by more than").round(4)

# %% [markdown]
# ## 8.4 Every setting
#
# One row for each factor, one column for each measure. The band is the seeds' mean plus and minus the margin; a dot
# outside it is an effect. The dashed line is gray. An MAE above 1.1 times gray's is drawn at that height.

# %%
@figures.figure("One factor at a time; band: the recipe's seeds and the margin; dashed: gray.")
def panels():
    factors = [*studies.CHANGES]
    fig, cells = plt.subplots(len(factors), 4, figsize=(7, 6.8), sharey="col")
    for row, factor in zip(cells, factors, strict=True):
        shown = pd.concat([base, runs[runs["factor"] == factor]]).sort_values(factor, kind="stable")
        values = sorted(shown[factor].unique())
        for ax, metric in zip(row, METRICS, strict=True):
            middle, gray = base[metric].mean(), facts["gray_mae"] if metric == "mae" else None
            ax.axhspan(middle - margins[metric], middle + margins[metric], color="#DDDDDD", lw=0)
            numbers = shown[metric].clip(upper=1.1 * gray) if gray else shown[metric]
            ax.plot(shown[factor].map(values.index), numbers, "o", color=figures.color("cgan"), ms=4)
            ax.set_xticks(range(len(values)), [f"{value:g}" for value in values])
            ax.margins(0.2)
            if gray:
                ax.axhline(gray, color="#777777", ls="--", lw=1)
        row[0].set_ylabel(factor.replace("_", " "))
    for ax, metric in zip(cells[0], METRICS, strict=True):
        ax.set_title(metric)
    return fig


panels()

# %% [markdown]
# Most dots lie in the band: λ from 30 up, β1 and the patch size move the error less than a seed may. What stands out:
# **every** other learning rate and batch size costs error, and the small rate is pale as well; a small λ costs error,
# and a very large one costs color; a patch of one cell is pale.
#
# ## 8.5 The rule
#
# For each claim: what would have to be **seen** if it is true. These effects were committed before any run was made
# ([results/losses](../results/losses/README.md)). If all are larger than chance in the claimed direction, the claim *held*; if
# one is larger than chance in the other direction, it *did not hold*; else it is *not decidable at this scale*.

# %%
EFFECTS = {  # factor: (measure, from, to, 1 if it should rise, -1 if it should fall)
    "lr": [("mae", 1e-3, 1e-2, -1)],
    "batch_size": [("mae", 8, 32, -1)],
    "receptive_field": [("detail", 1, 34, -1), ("structure", 1, 34, -1)],
    "beta1": [("mae", 0.5, 0.9, 1)],
    "lambda_l1": [("mae", 10, 1000, -1), ("colorfulness", 10, 1000, -1)],
}

# %%
def verdict(factor):
    """The verdict on a claim, and its numbers in words."""
    outcomes, words = [], []
    for metric, low, high, sign in EFFECTS[factor]:
        own = pd.concat([base, runs[runs["factor"] == factor]])
        before, after = (own[own[factor] == value][metric] for value in (low, high))
        change = after.mean() - before.mean()
        margin = studies.margin(base[metric], len(before), len(after))
        outcomes.append(0 if abs(change) <= margin else int(np.sign(change) * sign))
        words.append(f"{metric} {before.mean():.4g} at {low:g}, {_shown(after.mean(), metric)} at {high:g}; chance: ±{margin:.2g}")
    outcome = "did not hold" if -1 in outcomes else "held" if all(outcomes) else "not decidable at this scale"
    return outcome, "; ".join(words)


def _shown(number, metric):
    return "above gray's" if metric == "mae" and number > facts["gray_mae"] else f"{number:.4g}"

# %%
with pd.option_context("display.max_colwidth", None):
    display(pd.DataFrame({factor: verdict(factor) for factor in EFFECTS}, ["verdict", "why"]).T)

# %% [markdown]
# Factor by factor, with the report's words:
#
# ## 8.6 Learning rate
#
# > *"Since learning rate is a vital parameter … we kept it as 0.01 so as to avoid any irregularities and unstable updates that would
# > have destabilized the training."* (Elsewhere in the report the rate is 0.001 for the CNN and 0.0001 for the U-Net.)
#
# **Did not hold.** At 0.01 the MAE is 0.0830, at 0.001 it is 0.0808, and chance explains 0.0008.
# Training does not explode here, because the rate falls to zero and AdamW and averaged weights forgive much. It only
# learns less. At 0.0001 (0.0828) the network is still pale after 310 steps. With more steps that rate might catch up,
# but this plan, with only one number of steps, cannot show it.
#
# ## 8.7 Batch size
#
# > *"larger batch size required more memory and smaller ones lead to noiser gradients, we set the batch size as 32."*
#
# Three claims. The first is arithmetic: activations are kept for each photo of the batch. The second can be measured without
# training: the gradient of one layer, photo by photo, then averaged over batches of $B$. How far does a batch's gradient lie from the mean
# over all, as a share of that mean? (Computed here, with the shipped U-Net, on this profile's photos.)

# %%
photos, (net, *_) = prepare(dataclasses.replace(profile, size=studies.SIZE)), pretrained_model("unet")
gradients = []
for photo, colors in batches(np.asarray(photos.train[:64]), batch_size=1):
    loss = F.l1_loss(net(photo), colors)
    gradients.append(torch.autograd.grad(loss, net.head.weight)[0].flatten())
gradients = torch.stack(gradients)
mean, rng = gradients.mean(0), np.random.default_rng(42)

# %%
sizes, noise = [1, 2, 4, 8, 16, 32], []
for size in sizes:
    means = [gradients[rng.integers(0, len(gradients), size)].mean(0) for _ in range(200)]
    noise.append((torch.stack([m - mean for m in means]).norm(dim=1).mean() / mean.norm()).item())

# %%
fig, ax = plt.subplots(figsize=(4, 2.4))
ax.loglog(sizes, noise, "o", color="#0072B2", base=2, label="measured")
ax.loglog(sizes, noise[0] / np.sqrt(sizes), color="#777777", lw=1, base=2, label=r"$1/\sqrt{B}$")
ax.set(xlabel="photos in a batch, B", ylabel="noise of the gradient\n(share of its length)")
ax.legend()
plt.show()

# %% [markdown]
# So that part is true, and it is what averaging does: noise falls with the *root* of the batch, and half the noise
# takes four times the photos. But noise is not error. Within the same number of photos a small batch takes more steps,
# and may get further. That leaves the third claim, that 32 is the better choice:
#
# **Held**: the MAE is 0.0819 at 8 and 0.0808 at 32, and chance explains 0.0008; 128 is worse than both (0.0824). But
# this holds at *this* learning rate and for this number of *photos*. Batches of 8 take four times as many steps of the
# same length, so they behave like a larger rate (exercise 1), which costs error here, too. Batches of 128 take only 75
# steps in all.
#
# ## 8.8 The discriminator's patches
#
# > *"Larger patches reduced sensitivity to finer details, while smaller patches improved local consistency at the expense of global
# > structure."*
#
# PatchGAN gives a verdict for each of many overlapping squares, its *receptive field*. The fields of the study, drawn on a photograph
# of the gallery at 64 px; the largest is larger than the photo:

# %%
fig, ax = plt.subplots(figsize=(3, 3))
ax.imshow(gallery_photos(64)[1])
for field in (4, 64, 136):
    place = (64 - field) / 2 - 0.5
    ax.add_patch(Rectangle((place, place), field, field, fill=False, color="#D55E00", lw=1.5))
    ax.text(place, place - 1, f"{field} px", color="#D55E00", fontsize=8, backgroundcolor="white")
ax.set(xlim=(-38, 102), ylim=(102, -42))
ax.axis("off")
plt.show()

# %% [markdown]
# **Not decidable at this scale.** Detail falls from 0.139 to 0.131 and the error of structure from 0.0720 to 0.0718, as the report would have it, and a
# seed moves both by more. What is larger than chance is something else: the patch of one cell, which sees colors without neighbors, is
# paler (colorfulness 13.4 against 16.0).
#
# ## 8.9 λ
#
# $\mathcal{L}_G = \mathcal{L}_\text{adversarial} + \lambda\,\mathcal{L}_1$. The report names no λ; pix2pix uses 100. We
# expect a larger λ to bring the answer closer to the truth and to gray, and a smaller one to make it more vivid and
# more wrong.
#
# **Held**: from λ = 10 to 1,000 the MAE falls from 0.0820 to 0.0802 and colorfulness from 18.0 to 13.6. At 1,000 the adversary is all but
# silent: L1 alone has 0.0799 and 14.0 (notebook 10).
#
# ## 8.10 β1
#
# > *"Beta1 … We kept it as 0.5 to prevent any rapid updates, which allowed for stable training especially in earlier stages."*
#
# Adam steps along a running mean of gradients, in which the gradient of $k$ steps ago has the weight $(1-\beta_1)\,\beta_1^k$. So 0.5
# forgets *faster* than Adam's usual 0.9. It makes updates more rapid, not less: the argument for it is that D and G change each
# other's task at every step, and old gradients point at an opponent who has moved on.

# %%
k = np.arange(0, 25)
fig, ax = plt.subplots(figsize=(4.5, 2.2))
for beta, color in ((0.5, "#D55E00"), (0.9, "#0072B2")):
    ax.plot(k, (1 - beta) * beta**k, "o-", ms=3, color=color, label=f"β1 = {beta}")
ax.set(xlabel="steps ago", ylabel="weight of that gradient")
ax.legend()
plt.show()

# %% [markdown]
# **Not decidable at this scale:** 0.0808 at 0.5, 0.0811 at 0.9, and chance explains 0.0008. At 0, no memory at all, it is 0.0803, no worse either.
# Whatever β1 = 0.5 prevents does not show in 310 steps.
#
# ## Summary
#
# - Look at the pictures, then at the numbers: most columns can hardly be told apart, and most dots cannot either.
# - A number without its spread between seeds is an anecdote. Measure the spread first.
# - Write down what would count for a claim, and what against, before looking.
# - "Not decidable" is a result. It names what is missing: seeds, photos, epochs.
# - One factor at a time is cheap and readable, and blind to factors that act together.
# - A true reason ("small batches are noisy") need not support the choice made with it ("so 32 is best").
#
# ## Exercises
#
# 1. **Two factors together.** Train the fourth corner of the square {batch 32, batch 8} × {rate 0.001, rate 0.0001}. Could any
#    one-factor-at-a-time plan have told you?
# 2. **No L1 at all.** Set λ = 0. What holds the colors near the truth now?
# 3. **How many seeds?** For the spread you measured: how many seeds would make a difference of 0.001 in MAE count? Plot the margin of 8.3
#    against $n$.
#
# Solutions: `notebooks/solutions/08_solutions.ipynb`.
