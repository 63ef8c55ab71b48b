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
# # Solutions 4 · The conditional GAN
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/04_solutions.ipynb)
#
# Answers to the exercises of [chapter 4](../04_cgan.ipynb). They start from the trained U-Net and cGAN (which are trained if
# there are none). In `smoke` the trainings last seconds, and their numbers mean nothing.

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
from itertools import chain, islice, repeat

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from g2g import figures, lab, losses
from g2g.data import batches, dataloaders, prepare
from g2g.models import predict
from g2g.photos import gallery_photo
from g2g.runs import load_or_train
from g2g.training import freeze_features, get_device

SEED, DEVICE = 42, get_device()
BATCH, STEPS, D_STEPS = (4, 4, 4) if profile.name == "smoke" else (16, 100, 300)  # exercise 4 has D_STEPS

# %% [markdown]
# Our two photographs are the meadow and the mountains (Aitzol Berasategi, CC BY 4.0, recolored). As in the chapter, D judges
# at the resolution at which G predicts.

# %%
photos = prepare(profile)
init_run = load_or_train("unet", profile, photos=photos)
run = load_or_train("cgan", profile, photos=photos, init_run=init_run)
recipe = run.recipe
CELL = 4 if recipe.resolution == "quarter" else 1  # the U-Net predicts one color for CELL x CELL px
L, ab = lab.photos_to_lab(np.stack([gallery_photo(name, photos.size) for name in ("meadow", "mountains")]))


# %%
def as_judged(planes):
    return F.avg_pool2d(planes, CELL)


# %% [markdown]
# ## 1. MSE and adversary
#
# > *Write G's loss with the mean squared error in place of L1. Which λ pulls as hard as L1 did at 100?*
#
# A loss pulls at a prediction by its gradient, so we compare the lengths of the two gradients at the predicted colors.

# %%
pred_ab = predict(init_run.model(), L).requires_grad_()
g_l1, g_mse = (torch.autograd.grad(loss(pred_ab, ab), pred_ab)[0].norm() for loss in (F.l1_loss, F.mse_loss))
lambda_mse = 100 * float(g_l1 / g_mse)
print(f"L1 {F.l1_loss(pred_ab, ab):.4f}, MSE {F.mse_loss(pred_ab, ab):.4f}")
print(f"100 times L1 pulls like {lambda_mse:.0f} times MSE")

# %% [markdown]
# The gradient of L1 is as long for a small error as for a large one, while that of MSE grows with the error. The λ therefore
# depends on how large the errors are, and it would have to grow while G improves.
#
# Now the two steps of section 4.3, with G's second term as an argument:

# %%
def train(second_term, weight):
    """G after STEPS steps from the U-Net, against the trained D; it minimizes adversarial + weight * second_term."""
    torch.manual_seed(SEED)
    G, D = init_run.model(device=DEVICE), run.discriminator(DEVICE).train()
    freeze_features(G)
    g_optimizer = torch.optim.Adam([p for p in G.parameters() if p.requires_grad], recipe.lr, (recipe.beta1, 0.999))
    d_optimizer = torch.optim.Adam(D.parameters(), recipe.d_lr_mult * recipe.lr, (recipe.beta1, 0.999))
    dls = dataloaders(photos, BATCH, seed=SEED, device=DEVICE)
    for L, ab in islice(chain.from_iterable(repeat(dls.train)), STEPS):
        pred_ab = G.quarter(L) if CELL == 4 else G(L)
        L, ab = as_judged(L), as_judged(ab)
        D.requires_grad_(True)
        d_optimizer.zero_grad()
        losses.discriminator_loss(D, L, ab, pred_ab).backward()
        d_optimizer.step()
        D.requires_grad_(False)
        g_optimizer.zero_grad()
        (F.softplus(-D(L, pred_ab)).mean() + weight * second_term(pred_ab, ab)).backward()
        g_optimizer.step()
    return G.cpu()


# %%
trained = {"L1 × 100": train(F.l1_loss, 100), f"MSE × {lambda_mse:.0f}": train(F.mse_loss, lambda_mse)}
predictions = {name: predict(G, L) for name, G in trained.items()} | {"ground_truth": ab}

# %%
for name, colors in predictions.items():
    print(f"{figures.title(name):12} L1 {F.l1_loss(colors, ab):.4f}, mean |ab| {colors.abs().mean():.4f}")
figures.qualitative_grid({name: lab.to_rgb(L, colors) for name, colors in predictions.items()})

# %% [markdown]
# MSE hardly minds small errors and minds large ones very much. Near the ground truth the adversary decides, and far from it MSE
# does. A prediction is therefore pulled to the *mean* of the possible colors and not to their median (chapter 2). After
# a hundred steps expect small differences; chapter 10 trains both with three seeds.
#
# In the saved run of `cpu` the difference is small: MSE has the lower L1 by 0.0002, and the colors of both are about as strong. The
# pictures look alike. MSE's left edge of the meadow is a little more greenish, and its mountains are less blue. One seed cannot
# say more.
#
# ## 2. Perceptual loss
#
# > *Compare features of D's inner layers. Which errors do they punish that L1 lets pass?*
#
# D has learned which differences give predicted colors away. We compare what its inner layers compute from the real colors and
# from wrong ones, which is called *feature matching*. Three kinds of wrong colors are made to have exactly the same L1.

# %%
torch.manual_seed(SEED)
blurred = F.interpolate(F.avg_pool2d(ab, 16, ceil_mode=True), size=ab.shape[2:], mode="bilinear")
wrong = {"a tint": torch.ones_like(ab), "noise": torch.randn_like(ab), "a blur": blurred - ab}
amount = F.l1_loss(blurred, ab)
wrong = {name: ab + error * amount / error.abs().mean() for name, error in wrong.items()}

# %%
shown = {"ground_truth": ab} | wrong
figures.qualitative_grid({name: lab.to_rgb(L, colors)[:1] for name, colors in shown.items()})

# %% [markdown]
# And what D's inner layers make of the three:

# %%
D, rows = run.discriminator(), {}
with torch.no_grad():
    real = losses.discriminator_features(D, as_judged(L), as_judged(ab))
    for name, colors in wrong.items():
        features = losses.discriminator_features(D, as_judged(L), as_judged(colors))
        difference = sum(F.l1_loss(x, y) for x, y in zip(features, real)) / len(real)
        rows[name] = float(F.l1_loss(colors, ab)), float(difference)
pd.DataFrame(rows, ["L1", "difference of D's features"]).T.round(4)

# %% [markdown]
# Look at the pictures first: the tint is even, the noise makes speckles, and the blur takes the orange from the trees. L1 cannot
# tell the three apart, and the features can. In the saved run of `cpu` they punish the tint most, the blur a fifth less, and the
# noise least, by a factor of seven. One reason does not depend on the training: where D judges a picture of a quarter of the resolution, it sees only a quarter of the noise, because averaging over 4 × 4 pixels
# removes the rest.
#
# As a loss for G one would add a weight times this difference, without `no_grad`, to the terms of exercise 1. Features of VGG-16
# can be used in the same way (chapter 10). They need RGB, and the library's conversion has a gradient.
#
# ## 3. Diffusion
#
# > *Read DDPM and Palette, and add noise to ab in steps. What is the U-Net given, what does it predict, why not brown?*
#
# The way *to* the noise is one formula, $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$ with Gaussian
# $\varepsilon$. Here $x_0$ is twice ab, so that it fills the range from −1 to 1 better, and L stays as it is.

# %%
torch.manual_seed(SEED)
noisy = {}
for kept in torch.linspace(1, 0, 4):  # the fraction of the data's variance that is left
    x = kept.sqrt() * 2 * ab + (1 - kept).sqrt() * torch.randn_like(ab)
    noisy[f"{kept:.0%} left"] = lab.to_rgb(L, x / 2)[:1]
figures.qualitative_grid(noisy)

# %% [markdown]
# - **What it is given:** L, the noisy ab, and how noisy it is. These are three channels in place of one, and a number.
# - **What it predicts:** the noise $\varepsilon$, with a plain squared error. The clean ab follows from it.
# - **Why not brown:** each step predicts a mean, but the mean *given what the noisy colors already suggest*. The noise at the
#   start decides between red and blue, and the later steps carry the decision out. Other noise gives another plausible photo.
# - **What it costs:** tens to a thousand passes through the network for one photo, where ours needs one.
#
# Chapter 11 builds such a model.
#
# ## 4. A D that has to look
#
# > *Show D real colors with a wrong L, too, to be called predicted. How often does it then prefer real colors to mirrored ones?*
#
# For a wrong pair with the logit $z$ the loss is $-\log(1 - \sigma(z))$, which is `softplus(z)`. We train only D, against the
# trained cGAN. R1 is left out, and the learning rate is higher than in the recipe, because the steps are few.

# %%
def taught(wrong_pairs):
    """The run's D after D_STEPS more steps against the trained G, with wrong pairs or without."""
    torch.manual_seed(SEED)
    D, G = run.discriminator(DEVICE).train(), run.model(device=DEVICE)
    optimizer = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(recipe.beta1, 0.999))
    dls = dataloaders(photos, BATCH, seed=SEED, device=DEVICE)
    for L, ab in islice(chain.from_iterable(repeat(dls.train)), D_STEPS):
        L, ab, pred_ab = as_judged(L), as_judged(ab), as_judged(predict(G, L))
        loss = losses.discriminator_loss(D, L, ab, pred_ab)
        if wrong_pairs:
            loss = loss + F.softplus(D(L, ab.roll(1, dims=0))).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return D.eval()


# %% [markdown]
# All validation photos, once with their own colors and once with others:

# %%
G = run.model(device=DEVICE)
valid = [(as_judged(L), as_judged(ab), as_judged(predict(G, L))) for L, ab in batches(photos.valid, device=DEVICE)]
L_valid, ab_valid, pred_valid = map(torch.cat, zip(*valid))

# %%
others = {"the cGAN's": pred_valid, "mirrored": ab_valid.flip(-1), "of another photo": ab_valid.roll(1, dims=0)}

# %% [markdown]
# D's logits are averaged over the patches of a photo, as in section 4.7.

# %%
@torch.no_grad()
def preferred(D, colors):
    """The fraction of the photos whose own colors look more real to D than `colors`."""
    def logits(ab):
        return torch.cat([D(*pair).mean((1, 2, 3)) for pair in zip(L_valid.split(32), ab.split(32))])

    return f"{(logits(ab_valid) > logits(colors)).float().mean():.0%}"


# %%
judges = {"the run's D": run.discriminator(DEVICE)}
judges |= {"taught as before": taught(False), "taught with wrong pairs": taught(True)}

# %%
rows = {name: {words: preferred(D, colors) for words, colors in others.items()} for name, D in judges.items()}
pd.DataFrame(rows).T.rename_axis("real colors preferred to")

# %% [markdown]
# The column to read is *mirrored*: 50% is guessing, and a D that compares the colors with L should be well above. The row
# *taught as before* is the control, which shows what more training alone would have done.
#
# In the saved run of `cpu` the D that was taught with wrong pairs prefers the photo's own colors to mirrored ones on 70% of the
# photos, the control on 40%, and it still recognizes the cGAN's colors (81%). Colors of another photo it rejects on 55%, little
# more than by guessing. In `smoke` there are two validation photos, and the numbers mean nothing.
#
# Colors of another photo can be harder to reject than one might think: patches are small, and many photos have a sky above and
# a meadow below.
#
# Would a G that learns from such a D paint better? That is an experiment of its own. Train the cGAN with wrong pairs from the
# first step, and compare the two at equal colorfulness (section 4.6), because a calmer G wins by caution alone.
#
# Back to [chapter 4](../04_cgan.ipynb) · Next: [chapter 5](../05_evaluation.ipynb)
