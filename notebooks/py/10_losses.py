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
# # 10 · What should a mistake cost?
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/10_losses.ipynb)
#
# The report ends with an outlook: "Experimenting with perceptual loss or combining MSE with adversarial loss might improve
# the model's ability to generate outputs that are both quantitatively and qualitatively superior." Here seven losses train
# the same network, and a rule that was written beforehand says what came out.
#
# **You will learn**
#
# - what each loss asks for, by watching where a single guess comes to rest;
# - to write seven losses in a few lines each, and to balance two of them;
# - to compare losses at **equal colorfulness**, and with what more photos would change.
#
# **Before this:** notebooks 02 (the toy) and 04 (the adversary). **Minutes:** printed by the next cell.
#
# > The toy is the same in every profile, `smoke` included. So are the numbers of 10.5 to 10.7, which are read from `results/`:
# > those trainings were made with `python -m report study`.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from g2g import figures, lab, losses
from g2g.data import cropped
from g2g.models import PatchGAN
from g2g.photos import gallery_photos
from g2g.profiles import repo_root
from g2g.runs import pretrained_model
from report import studies

# %% [markdown]
# ## 10.1 Five jackets
#
# Five jackets have the same gray, $L^* = 50$. Three are **red**, two are **blue**, and one guess has to serve for all. The jackets
# are small flat pictures, so that the functions that train the network can judge the guess, too.

# %%
red, blue = torch.tensor([[60.0, 40.0], [5.0, -45.0]]) / lab.AB_SCALE  # normalized, as for the network


def painted(colors):
    """Flat pictures (B,2,32,32) of colors (B,2)."""
    return colors[:, :, None, None].expand(-1, -1, 32, 32)


def swatches(colors):
    return lab.to_rgb(torch.zeros(len(colors), 1, 32, 32), painted(torch.stack(list(colors))))


jackets, L_jackets = painted(torch.stack([red, red, red, blue, blue])), torch.zeros(5, 1, 32, 32)
figures.image_row(lab.to_rgb(L_jackets, jackets), [f"jacket {i}" for i in range(1, 6)])

# %% [markdown]
# Some losses need a discriminator. This D sees one pixel at a time, at a quarter of the resolution, through a little noise.

# %%
class Critic(nn.Module):
    """A PixelGAN without batch norm: L and ab of each pixel to a logit, positive for real."""

    def __init__(self):
        super().__init__()
        widths = nn.Conv2d(3, 64, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 64, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 1, 1)
        self.layers = nn.Sequential(*widths)

    def forward(self, L, ab):
        return self.layers(torch.cat([L, ab], dim=1))


def noisy(ab):
    ab = F.avg_pool2d(ab.detach(), 4)
    return ab + 0.1 * torch.randn_like(ab)

# %% [markdown]
# The guess starts at gray, as the network does. Every loss below is a function of the prediction `pred_ab`, the ground truth
# `ab`, `L`, D, and λ, and uses what it needs.

# %%
def settle(loss, lambda_l1=30.0, d_steps=0, steps=120, seed=0):
    """Where one guess for all jackets comes to rest, (2,); before each step D learns `d_steps` times."""
    torch.manual_seed(seed)
    guess, D = torch.zeros(2, requires_grad=True), Critic()
    optimizer = torch.optim.Adam([guess])
    d_optimizer = torch.optim.Adam(D.parameters(), lr=1e-2, betas=(0.5, 0.999))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / steps)
        pred_ab = painted(guess.expand(5, 2))
        for _ in range(d_steps):
            d_optimizer.zero_grad()
            losses.discriminator_loss(D, L_jackets[..., :8, :8], noisy(jackets), noisy(pred_ab)).backward()
            d_optimizer.step()
        optimizer.zero_grad()
        loss(pred_ab, jackets, L_jackets, D, lambda_l1).backward()
        optimizer.step()
    return guess.detach()

# %% [markdown]
# ## 10.2 Pixel by pixel: L1, MSE, Huber

# %%
def l1(pred_ab, ab, *_):
    return F.l1_loss(pred_ab, ab)


def mse(pred_ab, ab, *_):
    return F.mse_loss(pred_ab, ab)


def huber(pred_ab, ab, *_):
    return F.huber_loss(pred_ab, ab, delta=0.05)


# %% [markdown]
# Huber's loss (1964) is a compromise. It is squared for errors below 0.05, which is 5.5 CIE units, and absolute beyond.
#
# **Predict.** Where between red and blue will each of the three settle?

# %%
settled = {"L1": settle(l1), "MSE": settle(mse), "Huber": settle(huber)}
figures.image_row(swatches([red, blue, *settled.values()]), ["60%", "40%", *settled])

# %% [markdown]
# <details><summary>Answer</summary>
#
# L1 settles on red, the color of the majority. MSE settles on a mixture that no jacket has. Huber is near L1, drawn a little
# toward the minority.
#
# </details>
#
# The reason is in the *slopes*, which are all that a network feels. L1 pulls equally hard at any distance, so three jackets
# outvote two. MSE pulls harder the larger the error is, so the far minority counts for more.

# %%
error = torch.linspace(-0.3, 0.3, 121)
fig, axes = plt.subplots(1, 2, figsize=(6.5, 2.2))
for name, loss in (("L1", l1), ("MSE", mse), ("Huber", huber)):
    e = error.clone().requires_grad_()
    costs = torch.stack([loss(x, torch.zeros(())) for x in e])
    (slope,) = torch.autograd.grad(costs.sum(), e)
    axes[0].plot(error, costs.detach() / costs.max().detach(), label=name)
    axes[1].plot(error, slope / slope.max())
axes[0].set(xlabel="error of ab/110", ylabel="cost, scaled")
axes[1].set(xlabel="error of ab/110", ylabel="slope, scaled")
axes[0].legend()
plt.show()

# %% [markdown]
# ## 10.3 With an adversary
#
# The adversary alone asks for any color that exists. The report's cGAN, like pix2pix, ties it to the ground truth with λ times L1.
# "Combining MSE with adversarial loss" replaces that L1. For a fair comparison MSE should pull **as hard**. The gradient of L1
# over $N$ errors $e$ has the length $1/\sqrt{N}$, that of MSE $2\,\mathrm{RMS}(e)/\sqrt{N}$. On the gallery, with the
# pretrained U-Net:

# %%
L, ab = lab.photos_to_lab(np.stack(gallery_photos(64)))
pred_ab = pretrained_model("unet")[0](L).detach().requires_grad_()
pulls = [torch.autograd.grad(loss(pred_ab, ab), pred_ab)[0].norm() for loss in (l1, mse)]
print(f"L1 pulls {pulls[0] / pulls[1]:.1f} times as hard as MSE; 1 / (2 RMS) = {1 / (2 * mse(pred_ab, ab).sqrt()):.1f}")

# %% [markdown]
# The saved run prints 3.2. In the study of 10.5 the errors are smaller, which makes the factor about 4, and the study uses 4.

# %%
def adversary(pred_ab, ab, L, D, *_):
    logits = D(F.avg_pool2d(L, 4), F.avg_pool2d(pred_ab, 4))
    return F.softplus(-logits).mean()


def l1_adversary(pred_ab, ab, L, D, lambda_l1):
    return adversary(pred_ab, ab, L, D) + lambda_l1 * l1(pred_ab, ab)


def mse_adversary(pred_ab, ab, L, D, lambda_l1):
    return adversary(pred_ab, ab, L, D) + 4 * lambda_l1 * mse(pred_ab, ab)


# %%
lambdas = 30, 10, 3, 1, 0
tug = {name: [settle(loss, value, d_steps=3) for value in lambdas]
       for name, loss in {"L1 + adversary": l1_adversary, "MSE + adversary": mse_adversary}.items()}
settled |= {name: guesses[0] for name, guesses in tug.items()}
rows = {f"λ = {value}": swatches(guesses) for value, guesses in zip(lambdas, zip(*tug.values()))}
figures.qualitative_grid(rows, ["L1 + adv.", "MSE + adv."])

# %% [markdown]
# From left to right the adversary counts for more. At λ = 0 it is alone and settles on blue, a color that exists and is nearer
# to gray than red. In the upper row the guess jumps from red to a color close to blue. The lower row has colors in between, a dull
# red and a violet blue, because the valley of MSE is round and a push moves the guess only so far.
#
# ## 10.4 With features
#
# A third kind of loss compares **what a network computes** from the two pictures. The perceptual loss (Johnson et al. 2016) adds
# up L1 distances after four layers of VGG-16. *Feature matching* (Wang et al. 2018) compares the discriminator's own features,
# while D goes on learning.

# %%
def perceptual(pred_ab, ab, L, *_):
    pairs = zip(losses.perceptual_features(L, pred_ab), losses.perceptual_features(L, ab))
    return sum(F.l1_loss(x, y) for x, y in pairs)


# %%
def feature_matching(pred_ab, ab, L, D, *_):
    small = [F.avg_pool2d(planes, 4) for planes in (pred_ab, ab, L)]
    pairs = zip(losses.discriminator_features(D, small[2], small[0]), losses.discriminator_features(D, small[2], small[1]))
    return sum(F.l1_loss(x, y.detach()) for x, y in pairs)


# %%
settled |= {"perceptual": settle(perceptual), "feature matching": settle(feature_matching, d_steps=3)}
figures.image_row(swatches([red, blue, *settled.values()]), ["60%", "40%", *(name.replace("+ ", "+\n").replace(" m", "\nm") for name in settled)])

# %% [markdown]
# **Predict.** Is blue where the perceptual loss is smallest?

# %%
for name, color in {"red": red, "blue": blue, "gray": 0 * red}.items():
    print(f"perceptual loss of {name:4} for all: {perceptual(painted(color.expand(5, 2)), jackets, L_jackets):.2f}")

# %% [markdown]
# No: red for all would cost less, and yet the guess settled near blue, **the minority**, a little on the violet side. L1 and MSE
# lead down to one place. A distance between features may have several valleys, and a descent from gray ends in one that is
# near. Feature matching settled near blue, too.
#
# ## 10.5 One recipe, one change
#
# The study trains the quarter U-Net of notebook 03 with each loss: the same photos in the same order, the same number of steps,
# three seeds. Only `loss` and the terms of the adversary change from the recipe `studies.PLAIN`.

# %%
STUDY = repo_root() / "results" / "losses"
runs, curves = (pd.read_csv(STUDY / f"{name}.csv") for name in ("runs", "curves"))
facts = runs.iloc[0]
runs["gain"] = runs["psnr"] - runs["gray_psnr"]
print(f"{len(runs)} runs, {runs['minutes'].sum():.0f} minutes on {facts['device']}; {facts['photos']:,} photos of {facts['px']} px, "
      f"{facts['valid']} validation photos, gray: MAE {facts['gray_mae']:.4f}, LPIPS {facts['gray_lpips']:.4f}")
names = {"mae": "MAE", "gain": "PSNR over gray, dB", "lpips": "LPIPS", "colorfulness": "colorfulness"}
runs.reindex(columns=["value", *names]).groupby("value", sort=False).agg(["mean", "std"]).rename(columns=names).rename_axis("loss").round(4)

# %% [markdown]
# **Predict.** Which row is best: the one with the lowest MAE, or the most colorful one?
#
# <details><summary>Answer</summary>
#
# Neither column decides it. MAE rewards caution, and color can be had by multiplying (notebook 04). A loss has to beat the L1
# network **times a constant**, at equal colorfulness.
#
# </details>
#
# That comparison is the next figure. The line is the L1 network multiplied by 0 to 3.

# %%
@figures.figure("Each loss, mean and range of three seeds; line: L1's prediction times 0 to 3; dashed: gray.")
def scatter():
    fig, ax = plt.subplots(figsize=(6.6, 3.2))
    own = curves[curves["run"].isin(runs[runs["value"] == "L1"]["run"])].groupby("saturation").mean(numeric_only=True)
    ax.plot(own["colorfulness"], own["psnr"] - facts["gray_psnr"], color="#999999", label="L1 times a constant")
    for (loss, rows), color in zip(runs.groupby("value", sort=False), plt.get_cmap("Dark2").colors):
        x, y = rows["colorfulness"], rows["gain"]
        bars = {"xerr": [[x.mean() - x.min()], [x.max() - x.mean()]], "yerr": [[y.mean() - y.min()], [y.max() - y.mean()]]}
        ax.errorbar(x.mean(), y.mean(), **bars, fmt="o", color=color, label=loss)
    ax.axhline(0, color=figures.color("gray"), ls="--", lw=1)
    ax.set(xlabel="colorfulness", ylabel="PSNR over gray, dB", xlim=(0, 22), ylim=(-0.05, 1.2 * runs["gain"].max()))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return fig


scatter()

# %% [markdown]
# Only losses above the line found better colors than a saturation slider would. Huber and the perceptual loss lie a little above
# it, the latter at the left, with the palest colors. MSE, feature matching, and both losses with an adversary lie below: they are
# more colorful than L1, but multiplying L1's prediction gives as much color with a smaller error.
#
# And the pictures, seed 42 (gallery, its first rows; authors and licenses in `data/gallery`; recolored):

# %%
sheet = Image.open(STUDY / "pictures.jpg")
sheet.crop((0, 0, sheet.width, round(0.42 * sheet.height)))

# %% [markdown]
# Look at the fur and the plate: which losses leave them gray?
#
# <details><summary>Answer</summary>
#
# The perceptual loss leaves the plate gray. MSE, with and without an adversary, and feature matching paint it an orange brown. With
# these and with L1, the table gets a yellowish green stain in the lower left corner. No loss finds the plate's red, and the fur is a
# grayish brown at best. In the first row the grass stays nearly colorless, and no network finds the yellow light of the low sun.
#
# </details>
#
# ## 10.6 The rule
#
# The rule was [committed](../results/losses/README.md) before the study ran. The *gain* of a run is its PSNR minus that of L1's
# prediction, same seed, **times the constant that makes it as colorful**. Three seeds give three gains and an interval by
# Student's t (notebook 08). *Surely* means that the interval leaves out zero.

# %%
def gain_over_l1(run):
    """In dB; `run` is a row of `runs`."""
    l1_run = runs[(runs["value"] == "L1") & (runs["seed"] == run["seed"])]["run"].item()
    curve = curves[curves["run"] == l1_run]
    return run["psnr"] - np.interp(run["colorfulness"], curve["colorfulness"], curve["psnr"])


# %%
def interval(differences):
    """Mean and 95% interval of one number a seed, and a word on it."""
    mean, margin = differences.mean(), studies.margin(differences, len(differences))
    word = "surely above 0" if mean - margin > 0 else "surely below 0" if mean + margin < 0 else "undecided"
    return mean, mean - margin, mean + margin, word


# %%
runs["over_l1"] = runs.apply(gain_over_l1, axis=1)
by_seed = runs.pivot(index="seed", columns="value", values=["over_l1", "colorfulness", "mae"])
rows = {loss: interval(by_seed["over_l1"][loss]) for loss in [*studies.LOSSES][1:] if (by_seed["mae"][loss] < facts["gray_mae"]).all()}
pd.DataFrame(rows, ["gain over L1 × constant, dB", "low", "high", "verdict"]).T

# %% [markdown]
# The report's sentence *held* for a loss if its gain is surely larger than that of the loss it replaces and its colorfulness is not
# surely lower. It *did not hold* if the gain is surely smaller or the colorfulness surely lower.

# %%
pairs = {"MSE + adversary": "L1 + adversary", "perceptual": "L1"}
rows = {(new, what): interval(by_seed[column][new] - by_seed[column][old]) for new, old in pairs.items()
        for column, what in {"over_l1": "gain, dB", "colorfulness": "colorfulness"}.items()}
pd.DataFrame(rows, ["minus what it replaces", "low", "high", "verdict"]).T

# %% [markdown]
# The first table: no loss is surely better than the slider. "MSE + adversary" and feature matching are surely worse, and the
# others are undecided.
#
# The second table: for MSE in place of L1 beside the adversary the sentence is **not decidable** at this scale, for both intervals
# hold zero. For the perceptual loss it **did not hold**, because its colors are surely weaker. Yet the table of 10.5 shows it with
# the lowest LPIPS. LPIPS compares features of VGG-16, and so does this loss: a judge that was trained for is no longer a judge.
#
# A limit of this study: D starts from nothing and has as few steps as everything else here, while the cGAN of notebook 04 starts
# from a trained U-Net.
#
# ## 10.7 Or simply more photos?
#
# The report also hopes for "more diverse images" and "advanced augmentation techniques". Augmentation changes a photo in ways that
# should not matter. The course always mirrors. On trial here are a random **crop**, enlarged again, and **jitter** of lightness
# and contrast.

# %%
def jitter(L, most):
    contrast, shift = most * (2 * torch.rand(2, len(L), 1, 1, 1) - 1)
    mean = L.mean((2, 3), keepdim=True)
    return (mean + shift + (1 + contrast) * (L - mean)).clamp(-1, 1)


# %%
torch.manual_seed(4)
L, ab = (planes[[1, 4]] for planes in lab.photos_to_lab(np.stack(gallery_photos(300))))
columns = {"as it was": lab.to_rgb(L, ab)}
for draw in ("augmented", "augmented again"):
    squares = torch.empty(2).uniform_(0.6, 1), torch.rand(2, 2)
    columns[draw] = lab.to_rgb(jitter(cropped(L, *squares), 0.2), cropped(ab, *squares))
figures.qualitative_grid(columns)

# %% [markdown]
# A second study trains with L1 on more and more photos, for the same number of steps, with mirroring alone and with all
# augmentation.

# %%
study = pd.read_csv(repo_root() / "results" / "photos" / "runs.csv")
by_count = study.pivot(index="seed", columns=["factor", "photos"], values="mae")
print(f"{len(study)} runs of {study['epochs'][0] * studies.PLAIN.steps_per_epoch} steps, {study['valid'][0]} validation photos")
fig, ax = plt.subplots(figsize=(5, 3))
for arm, words, color in (("flips", "mirroring alone", "#0072B2"), ("all", "mirroring, crops, jitter", "#D55E00")):
    maes = by_count[arm]
    bars = [maes.mean() - maes.min(), maes.max() - maes.mean()]
    ax.errorbar(maes.columns, maes.mean(), bars, fmt="o-", capsize=3, color=color, label=words)
ax.axhline(study["gray_mae"][0], color=figures.color("gray"), ls="--", lw=1, label="gray")
ax.set(xscale="log", xlabel="photos", ylabel="MAE", xticks=maes.columns, xticklabels=[f"{n:,}" for n in maes.columns])
ax.minorticks_off()
ax.legend()
plt.show()

# %%
counts = sorted(by_count["all"].columns)
rows = {f"augmentation, {n:,} photos": interval(by_count["all"][n] - by_count["flips"][n]) for n in counts}
rows |= {f"{few:,} → {many:,} photos": interval(by_count["flips"][many] - by_count["flips"][few]) for few, many in ((250, 2500), (2500, counts[-1]))}
beating = runs[runs["mae"] < runs["gray_mae"]].groupby("value")["mae"].mean()
print(f"best and worst of the losses that beat gray: {beating.max() - beating.min():.4f} apart ({beating.idxmin()}, {beating.idxmax()})")
pd.DataFrame(rows, ["change of MAE", "low", "high", "verdict"]).T

# %% [markdown]
# Compare augmentation, more photos, and another loss (the printed line). Augmentation helps nowhere. With 7,125 photos it surely
# hurts, and with fewer it is undecided. Ten times more photos, 2,500 in place of 250, lower the MAE by 0.0036, about as much as
# the best loss differs from the worst. The last step, to 7,125, is undecided. At 192 px there is one more rung: in 373 steps, with one seed,
# 7,125 photos reached 1.15 dB over gray, and 11,957 reached 1.31 dB ([training](../docs/training.md#the-u-net)).
#
# ## 10.8 The library does the same

# %%
torch.manual_seed(0)
L, ab = lab.photos_to_lab(np.stack(gallery_photos(64)))
pred_ab, D = 0.5 * ab, PatchGAN(16)
for mine, theirs in ((l1, losses.l1), (mse, losses.mse), (huber, losses.huber), (perceptual, losses.perceptual)):
    torch.testing.assert_close(mine(pred_ab, ab, L), theirs(pred_ab, ab, L))
pred_4, ab_4, L_4 = (F.avg_pool2d(planes, 4) for planes in (pred_ab, ab, L))
torch.testing.assert_close(feature_matching(pred_ab, ab, L, D), losses.feature_matching(pred_4, ab_4, L_4, D))
torch.testing.assert_close(adversary(pred_ab, ab, L, D), losses.generator_loss(D, L_4, pred_4, ab_4)[1])
print("equal: L1, MSE, Huber, perceptual, feature matching, adversary")

# %% [markdown]
# ## Takeaways
#
# 1. A loss decides which color one gray gets: L1 takes the majority, MSE mixes, an adversary asks for a color that exists.
# 2. Two terms are balanced by how hard they **pull**, not by how large they are.
# 3. Compare losses at equal colorfulness, with several seeds, by a rule that was there first.
#
# ## Exercises
#
# 1. **A tie** (★). Give the toy as many red as blue jackets. Predict, then check with `settle`, what L1, MSE, and Huber say.
#    Why is L1's guess a matter of luck, and MSE's not?
#    <details><summary>Hint</summary>Draw L1's cost between red and blue.</details>
# 2. **All three** (★★★). pix2pixHD adds feature matching *to* the adversary. Try that loss in `settle`, then in the network.
#    <details><summary>Hint</summary>Both terms have a weight in the recipe, `adversarial` and `lambda_l1`.</details>
# 3. **Which layer?** (★★) Let the toy settle with each of the perceptual loss's four layers alone. Which sees the color, and
#    which a texture?
#    <details><summary>Hint</summary>`losses.perceptual_features` returns a list.</details>
# 4. **Jitter the colors?** (★) Why does `jitter` leave ab alone? What would a network learn if b\* were shifted at random?
#    <details><summary>Hint</summary>Which color would the same L then have?</details>
#
# Solutions: [solutions/10_solutions.ipynb](solutions/10_solutions.ipynb). Next: [11 · From noise to color](11_diffusion.ipynb)
