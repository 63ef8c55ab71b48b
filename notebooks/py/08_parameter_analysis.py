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
# Why a learning rate of 0.01, a batch of 32, 20 epochs, a β1 of 0.5, patches of this size? The report has a
# section on it. It tells what was chosen and gives a reason for each, but no numbers. Here every claim is
# put to a small experiment, and a rule that was written down beforehand says what came out: *held*, *did not
# hold*, or *not decidable at this scale*.
#
# **You will learn**
#
# - to change one factor at a time, and to know what that can and cannot show;
# - to measure first how much two runs differ that differ in **nothing but the seed**;
# - to put the question "is this effect larger than chance?" into one line of statistics;
# - what the patch size, λ, the learning rate, β1, the batch size and the epochs do to colour.
#
# **Before this:** notebooks 03 (U-Net) and 04 (cGAN). **Minutes:** under 1 in `smoke` on two quiet CPU cores
# (measured: 55 s of CPU time); in `class` 5 to 15 on an L4, which is an *estimate* from FLOPs,
# made below. All runs are kept: the second time takes seconds.

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

# %% [markdown]
# The constants. What is varied stands in one table of the library, `sweep.FACTORS`; the first value of each
# row is that of the base recipe.

# %%
import dataclasses

from report import sweep

SHOWN = 0  # number of the validation photo in the pictures
plan = sweep.plan(profile)  # one row for each run: factor, value, stage, recipe
plan.groupby(["stage", "factor"], sort=False)["value"].agg(list)

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from matplotlib.patches import Rectangle
from scipy.stats import t as student

from g2g import evaluation, figures, lab
from g2g.checkpoints import TrainingDiverged
from g2g.data import batches, prepare
from g2g.models import predict
from g2g.runs import device, load_or_train, load_run

# %% [markdown]
# ## 8.1 One factor at a time
#
# There is one *base recipe* for the U-Net and one for the cGAN: the report's, shortened, with the profile's
# own choices where the report is silent. Every other run
# changes **one** field of it. So whatever differs in the outcome comes from that field, or from chance. What
# such a plan cannot see are factors that act together: perhaps a larger batch wants a larger learning rate.
#
# The learning rate is constant (the report names no schedule, and one would hide the rate's effect), unlike that of the
# course's cGAN in notebook 04, which decays: these cGANs stop in mid-swing and scatter more. All cGANs start from the same
# trained U-Net, that of the base recipe.

# %%
base, gan_base = (rows["recipe"].iloc[0] for _, rows in plan.groupby("stage", sort=False))
print(base)
print(gan_base)

# %% [markdown]
# How long will that take? The U-Net needs about 42 GFLOP for one photo of 128 px, forward and backward; the
# discriminator of a cGAN adds about 12. Both grow with the number of pixels. An **estimate**, with what such
# networks usually reach of a device's peak:

# %%
small = sweep.scaled(profile)  # fewer photos where the profile has many; runs in a folder of their own
gflop = plan.drop_duplicates("recipe")["recipe"].map(lambda r: r.epochs * (54 if r.stage == "cgan" else 42))
pflop = gflop.sum() * small.n_train * (small.size / 128) ** 2 / 1e6
print(f"{len(gflop)} runs, at most {small.n_train:,} photos of {small.size} px each: {pflop:.3g} PFLOP")
for device_name, tflops in (("an L4", 10), ("a T4", 4), ("two CPU cores", 0.08)):
    print(f"on {device_name}, at {tflops} TFLOP/s: about {pflop * 1000 / tflops / 60:.3g} min (estimate)")

# %% [markdown]
# ## 8.2 What is measured
#
# On the **validation** photos (choosing parameters by the test photos would spoil them for notebook 05):
#
# - `mae`: the error of ab as ever;
# - `structure`: the same error after averaging both pictures over blocks of ⅛ of the side. Only large areas
#   are left, so this is the report's "global structure";
# - `detail`: how much the predicted colour changes from pixel to pixel, as a share of the truth's. 0: one flat
#   colour; 1: as many colour edges as the truth; more: speckles. This is "finer details", without asking
#   whether they are at the right place;
# - `colorfulness`, of the picture, beside that of the truth.
#
# To get a feeling for them, we measure answers that no network gave: gray, the best single colour, the truth
# blurred, and the truth.

# %%
photos = prepare(small)
print(photos)
L_valid, ab_valid = (torch.cat(x) for x in zip(*batches(np.asarray(photos.valid)), strict=True))
L, ab = L_valid[SHOWN:SHOWN + 1], ab_valid[SHOWN:SHOWN + 1]
ab_blurred = F.interpolate(F.avg_pool2d(ab_valid, photos.size // 16), size=ab.shape[2:], mode="bilinear")

# %%
truths = iter(ab_blurred.split(32))
colour = evaluation.best_constant(photos)
answers = {"gray": evaluation.gray(), "one colour": evaluation.constant(colour)}
answers["truth, blurred"] = lambda L: next(truths)  # batch after batch, in order
measures = pd.DataFrame({name: sweep.measure(model, photos) for name, model in answers.items()}).T
gray = measures.loc["gray"]
measures.round(4)

# %%
pictures = [lab.to_rgb(L, x[:1])[0] for x in (0 * ab, answers["one colour"](L), ab_blurred[SHOWN:], ab)]
figures.image_row(pictures, ["gray", "one colour", "truth, blurred", "truth"])

# %% [markdown]
# The blurred truth shows the difference: its large areas are right, so *structure* errs far less than gray's, but
# much of the *detail* is lost. And gray is the row to compare everything with.
#
# ## 8.3 The learning rate, by hand
#
# > *"Since learning rate is a vital parameter … we kept it as 0.01 so as to avoid any irregularities and
# > unstable updates that would have destabilized the training."* (The report. Elsewhere in it the rate is
# > 0.001 for the CNN and 0.0001 for the U-Net.)
#
# The whole method in one loop: replace one field, train (or find the run), measure the last weights.

# %%
rows = []
for lr in plan[plan["factor"] == "lr"]["value"]:
    try:
        run = load_or_train("unet", small, recipe=dataclasses.replace(base, lr=lr), photos=photos)
        rows.append({"lr": lr, "run": run.id} | sweep.measure(run.model("last", device()), photos))
    except TrainingDiverged as error:
        print(error)
        rows.append({"lr": lr, "run": "diverged", "mae": np.nan})
by_hand = pd.DataFrame(rows)
by_hand.round(4)

# %% [markdown]
# `sweep.sweep` is this loop over the whole plan. Asked for the same factor it finds the same runs, so the
# numbers must be the same:

# %%
table = sweep.sweep(profile, photos, ["lr"])
np.testing.assert_allclose(table["mae"], by_hand["mae"], rtol=1e-4)
print("the library's sweep gives the same numbers")

# %% [markdown]
# ## 8.4 The yardstick: the same recipe, other seeds
#
# Before asking what a factor does, ask what **nothing** does. The base recipes once more, with other seeds:
# another random start of the new layers, another order of the photos, other flips.

# %%
seeds = sweep.sweep(profile, photos, ["seed"])
spread = seeds.groupby("stage", sort=False)[["mae", "structure", "detail", "colorfulness"]].agg(["mean", "std"])
spread.round(4)

# %%
fig, axes = plt.subplots(1, 3, figsize=(6.5, 1.7), sharey=True, layout="constrained")
for ax, metric in zip(axes, ("mae", "detail", "colorfulness"), strict=True):
    for i, (stage, rows) in enumerate(seeds.groupby("stage", sort=False)):
        ax.plot(rows[metric], [i] * len(rows), "o", color=figures.color(stage), alpha=0.7)
    ax.axvline(gray[metric], color="#777777", ls="--", lw=1)
    ax.set(title=metric, yticks=[0, 1], yticklabels=["U-Net", "cGAN"], ylim=(-0.5, 1.5))
plt.show()

# %% [markdown]
# Each dot is a run; dashed: gray. An effect of a factor that is not larger than this scatter is no effect
# that we could see. How much larger must it be? With $n$ seeds of standard deviation $s$, the difference of
# two means over $n_1$ and $n_2$ runs lies in 95% of cases, if nothing but chance is at work, within
#
# $$\pm\; t_{0.975,\,n-1}\; s\, \sqrt{\tfrac{1}{n_1} + \tfrac{1}{n_2}}.$$
#
# $t$ is Student's, because $s$ itself is only an estimate: with two seeds it is 12.7, with five 2.8, so few
# seeds are punished. (It assumes that other recipes scatter as the base does. That is an assumption.)

# %%
chance = seeds[seeds["stage"] == "unet"]["mae"]
n = len(chance)
margin = student.ppf(0.975, n - 1) * chance.std() * (1 / n + 1) ** 0.5
print(f"U-Net, {n} seeds: a single other run must differ by more than {margin:.4f} in MAE to count")

# %% [markdown]
# ## 8.5 The rule
#
# For each claim the library holds three things: the report's words, what would have to be **seen** if they
# are true, and the effects that say so. They were written before any run was made. If all effects are larger
# than chance in the claimed direction, the claim *held*; if one is larger than chance in the other
# direction, it *did not hold*; else it is *not decidable at this scale*. The last is always the verdict in
# the `smoke` profile, with fewer than three seeds, or with fewer than 50 validation photos.

# %%
def study(factor):
    """Table, verdict and curve of one factor."""
    words, rule, _ = sweep.CLAIMS[factor]
    table = sweep.sweep(profile, photos, ["seed", factor])
    show = table[table["factor"] == factor].sort_values("value").set_index("value")[[*sweep.METRICS, "run"]]
    show.index = [*map("{:g}".format, show.index)]
    show.loc["gray"] = gray.reindex(sweep.METRICS).tolist() + ["-"]
    display(show.assign(**show[sweep.METRICS].map("{:.4g}".format)))
    verdict, why = sweep.verdict(table, factor)
    print("the report:", f"“{words}”" if words else "names no value")
    print(f"true if:    {rule}\nmeasured:   {why}\nVERDICT:    {verdict}")
    return sweep.parameter_analysis(table)

# %% [markdown]
# And one that looks: the same validation photo, coloured by each run of a factor.

# %%
def look(factor):
    """The photo SHOWN by each run of a factor, then the truth."""
    table = sweep.sweep(profile, photos, [factor]).sort_values("value")
    columns = {}
    for value, run in zip(table["value"], table["run"], strict=True):
        if run != "diverged":
            net = load_run(run, small).model("last", device())
            columns[f"{value:g}"] = lab.to_rgb(L, predict(net, L))[0]
    row = figures.image_row([*columns.values(), photos.valid[SHOWN]], [*columns, "truth"])
    row.set_dpi(70)
    return row

# %%
study("lr")

# %%
look("lr")

# %% [markdown]
# Read the table from the top. At 0.0001 the weights of the encoder hardly move within so few epochs; at 0.01,
# with Adam, every weight may move by 0.01 in *each* step, which is as large as the weights themselves. An
# error above gray's after training is what "destabilized" looks like. (In the curve it is cut at 1.2 times the
# worst seed's; the table has the number. The gray band is the base recipe with other seeds.)
#
# ## 8.6 Batch size
#
# > *"larger batch size required more memory and smaller ones lead to noiser gradients, we set the batch size
# > as 32."*
#
# Three claims. The first is arithmetic: activations are kept for each photo of the batch. The second we can
# measure without training: the gradient of one layer, photo by photo, then averaged over batches of $B$. How
# far does a batch's gradient lie from the mean over all, as a share of that mean?

# %%
net = load_or_train("unet", small, recipe=base, photos=photos).model("last", device())
layer, gradients = list(net.parameters())[-2], []  # the weights of the last convolution
for photo, colours in batches(np.asarray(photos.train[:64]), batch_size=1, device=device()):
    loss = F.l1_loss(net(photo), colours)
    gradients.append(torch.autograd.grad(loss, layer)[0].flatten().cpu())
gradients = torch.stack(gradients)
print(f"{len(gradients)} gradients of {gradients.shape[1]:,} numbers each")

# %%
mean, rng = gradients.mean(0), np.random.default_rng(42)
sizes, noise = [1, 2, 4, 8, 16, 32], []
for size in sizes:
    means = [gradients[rng.integers(0, len(gradients), size)].mean(0) for _ in range(200)]
    noise.append((torch.stack([m - mean for m in means]).norm(dim=1).mean() / mean.norm()).item())
fig, ax = plt.subplots(figsize=(4, 2.4))
ax.loglog(sizes, noise, "o", color="#0072B2", base=2, label="measured")
ax.loglog(sizes, noise[0] / np.sqrt(sizes), color="#777777", lw=1, base=2, label=r"$1/\sqrt{B}$")
ax.set(xlabel="photos in a batch, B", ylabel="noise of the gradient\n(share of its length)")
ax.legend()
plt.show()

# %% [markdown]
# So that part is true, and it is the law of averages: noise falls with the *root* of the batch, four times
# the photos for half the noise. But noise is not error. Within the same number of epochs a small batch takes
# more steps, and may get further. That is the third claim, that 32 is the better choice:

# %%
study("batch_size")

# %%
look("batch_size")

# %% [markdown]
# ## 8.7 Epochs
#
# > *"for training the UNet we used 20 epochs, after which we were seeing results getting converged with no
# > frther reductions in losses."*

# %%
study("epochs")

# %% [markdown]
# The same photo after so many epochs:

# %%
look("epochs")

# %% [markdown]
# A sweep that fits in a lesson stops long before 20 epochs, so it can say nothing about what comes after
# them, and the rule says so. What it can show is whether *these* few epochs are enough. The curve of the
# longest run (dashed: gray) would be flat at its end if they were:

# %%
longest = max(plan[plan["factor"] == "epochs"]["recipe"], key=lambda recipe: recipe.epochs)
run = load_or_train("unet", small, recipe=longest, photos=photos)
print(run.id)
figures.loss_curves(run)

# %% [markdown]
# ## 8.8 The discriminator's patches
#
# > *"Larger patches reduced sensitivity to finer details, while smaller patches improved local consistency at
# > the expense of global structure."*
#
# How large are these patches? PatchGAN gives a verdict for each of many overlapping squares, its *receptive
# field*. Drawn on a photo of the size that this profile trains on:

# %%
fig, ax = plt.subplots(figsize=(3, 3), layout="constrained")
ax.imshow(photos.valid[SHOWN])
for field in sorted(plan[plan["factor"] == "receptive_field"]["value"]):
    place = (photos.size - field) / 2 - 0.5
    ax.add_patch(Rectangle((place, place), field, field, fill=False, color="white", lw=1.5))
    ax.text(place, place - 1, f"{field:g} px", color="white", fontsize=8)
ax.axis("off")
plt.show()

# %% [markdown]
# The smallest fields see texture at best; 1 px sees only whether a colour goes with a lightness. The larger
# ones see objects. For "finer details" we take `detail`, for "global structure" the error `structure`:

# %%
study("receptive_field")

# %%
look("receptive_field")

# %% [markdown]
# ## 8.9 λ
#
# $\mathcal{L}_G = \mathcal{L}_\text{adversarial} + \lambda\,\mathcal{L}_1$. The report names no λ; the course
# uses pix2pix's 100. With an L1 near 0.1, λ = 100 makes the second term about 10, and the first is near 1. That does not
# give the adversary a tenth of the say: what counts is how hard the gradient of each term pulls (measured in notebook
# 04), which depends on D. What one expects: the larger λ, the closer to the truth and the nearer to
# gray; the smaller, the more vivid and the more wrong.

# %%
study("lam")

# %%
look("lam")

# %% [markdown]
# ## 8.10 β1
#
# > *"Beta1 … We kept it as 0.5 to prevent any rapid updates, which allowed for stable training especially in
# > earlier stages."*
#
# Adam steps along a running mean of gradients, in which the gradient of $k$ steps ago has the weight
# $(1-\beta_1)\,\beta_1^k$. So 0.5 forgets *faster* than Adam's usual 0.9. It makes updates more
# rapid, not less: the argument for it is that D and G change each other's task at every step, and old
# gradients point at an opponent who has moved on.

# %%
k = np.arange(0, 25)
fig, ax = plt.subplots(figsize=(4.5, 2.2))
for beta, color in ((0.5, "#D55E00"), (0.9, "#0072B2")):
    ax.plot(k, (1 - beta) * beta**k, "o-", ms=3, color=color, label=f"β1 = {beta}")
ax.set(xlabel="steps ago", ylabel="weight of that gradient")
ax.legend()
plt.show()

# %%
study("beta1")

# %%
look("beta1")

# %% [markdown]
# ## 8.11 All claims on one page
#
# The whole plan; by now every run is there. The table goes to `results/sweep.csv` and the figure to
# `figures/parameter_analysis`, in the outputs of this profile. `python -m report sweep` does the same without
# a notebook, and goes on where it was interrupted.

# %%
table = sweep.sweep(profile, photos)
verdicts = pd.DataFrame({f: sweep.verdict(table, f) for f in sweep.CLAIMS}, index=["verdict", "why"]).T
with pd.option_context("display.max_colwidth", None):
    display(verdicts)

# %%
figure = sweep.parameter_analysis(table)
caption = (f"{figure.caption} Profile {profile.name}: {len(photos.train):,} photos of {photos.size} px, "
           f"{len(photos.valid)} for validation.")
path = figures.save(figure, "parameter_analysis", profile.outputs / "figures", caption)
print("saved", path.relative_to(profile.outputs.parent))
figure

# %% [markdown]
# If you see "not decidable" six times, you have run the `smoke` profile: it proves that the machinery works,
# and its rule refuses to conclude anything from some dozen photos and two seeds. So should you.
#
# ## 8.12 The quoted sweep
#
# Where a sweep on a real GPU is committed, this cell shows it, **read from `results/`, not computed here**.

# %%
found = sweep.quoted()
if found:
    file, quoted = found
    facts = quoted.iloc[0]
    print(f"read from {file}, not computed here: profile {facts['profile']}, {facts['train']:,} training and "
          f"{facts['valid']:,} validation photos of {facts['px']} px, {quoted['run'].nunique()} runs")
    judged = [f for f in sweep.CLAIMS if f in {*quoted["factor"]}]
    display(pd.DataFrame({f: sweep.verdict(quoted, f) for f in judged}, index=["verdict", "why"]).T)
    display(sweep.parameter_analysis(quoted))
else:
    print("no quoted sweep in results/ yet")

# %% [markdown]
# ## Summary
#
# - A number without its spread between seeds is an anecdote. Measure the spread first.
# - Write down what would count for a claim, and what against, before looking.
# - "Not decidable" is a result. It names what is missing: seeds, photos, epochs.
# - One factor at a time is cheap and readable, and blind to factors that act together.
# - A true reason ("small batches are noisy") need not support the choice made with it ("so 32 is best").
#
# ## Exercises
#
# 1. **Two factors together.** Train the fourth corner of the square {base batch, smallest batch} × {base
#    learning rate, ten times as much}. Is the effect of the rate the same at both batch sizes? Could any
#    one-factor-at-a-time plan have told you?
# 2. **No L1 at all.** Set λ = 0. What holds the colours near the truth now, and what do the pictures look like?
# 3. **How many seeds?** For the spread you measured: how many seeds would make a difference of 0.001 in MAE
#    count? Plot the margin of 8.4 against $n$.
# 4. **Twenty epochs.** (An evening, in `class` or `cpu`: `smoke` has a table of its own, and its rule never decides.) Put
#    `"epochs": ("unet", (20, 40))` into `sweep.FACTORS` and let the rule decide the report's claim. All seeds train 20
#    epochs then, the cGAN's too.
#
# Solutions: `notebooks/solutions/08_solutions.ipynb`.
