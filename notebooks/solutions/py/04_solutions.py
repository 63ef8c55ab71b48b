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
# # 4 · Solutions: beyond the report's cGAN
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/04_solutions.ipynb)
#
# One way through the exercises of notebook 04. It uses the trained U-Net and cGAN (and trains them if there are none).
# In the `smoke` profile the code runs within a minute or so and its numbers mean nothing.

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
from g2g.photos import gallery_photos
from g2g.runs import load_or_train
from g2g.training import get_device

SEED = 42
DEVICE = get_device()
STEPS = 4 if profile.name == "smoke" else 100  # of each training
BATCH = 4 if profile.name == "smoke" else 16
D_STEPS = 4 if profile.name == "smoke" else 400  # of each training in exercise 4

# %%
photos = prepare(profile)
init_run = load_or_train("unet", profile, photos=photos)
run = load_or_train("cgan", profile, photos=photos, init_run=init_run)
print("runs:", init_run.id, run.id)
dls = dataloaders(photos, BATCH, seed=SEED, device=DEVICE)
L, ab = lab.photos_to_lab(np.stack(gallery_photos(photos.size)[3:5]))  # of data/gallery: authors and licenses there


# %% [markdown]
# As in notebook 04, D judges at the resolution at which G answers.

# %%
CELL = 4 if run.recipe.resolution == "quarter" else 1  # px of the photo for each answer of G


def as_judged(planes):
    return F.avg_pool2d(planes, CELL)


# %% [markdown]
# ## 1 · MSE and adversary
#
# Which λ makes MSE pull as hard as 100 times L1? We compare the lengths of the two gradients at the colors. L1's gradient is as long for
# a small error as for a large one; MSE's is proportional to the error.

# %%
fake = predict(init_run.model(), L).requires_grad_()
(g_l1,), (g_mse,) = (torch.autograd.grad(loss(fake, ab), fake) for loss in (F.l1_loss, F.mse_loss))
lam_mse = 100 * float(g_l1.norm() / g_mse.norm())
print(f"L1 {F.l1_loss(fake, ab):.4f}, MSE {F.mse_loss(fake, ab):.4f}; λ = 100 of L1 pulls like λ = {lam_mse:.0f} of MSE")

# %% [markdown]
# The same two steps as in notebook 04, with G's second term as an argument.

# %%
def train(near, lambda_l1):
    """STEPS steps from the U-Net and the trained D; G minimizes adversarial + lambda_l1 * near(fake, ab)."""
    G, D = init_run.model(device=DEVICE).train(), run.discriminator(DEVICE).train()
    r = run.recipe
    g_opt, d_opt = (torch.optim.Adam(net.parameters(), lr=lr, betas=(r.beta1, 0.999))
                    for net, lr in ((G, r.lr), (D, r.d_lr_mult * r.lr)))
    for x, y in islice(chain.from_iterable(repeat(dls.train)), STEPS):
        fake = G.quarter(x) if CELL == 4 else G(x)
        x, y = as_judged(x), as_judged(y)
        D.requires_grad_(True)
        d_opt.zero_grad()
        losses.discriminator_loss(D, x, y, fake).backward()
        d_opt.step()
        D.requires_grad_(False)
        logits = D(x, fake)
        adversarial = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        g_opt.zero_grad()
        (adversarial + lambda_l1 * near(fake, y)).backward()
        g_opt.step()
    return predict(G, L)


# %%
predictions = {"100 · L1": train(F.l1_loss, 100), f"{lam_mse:.0f} · MSE": train(F.mse_loss, lam_mse)}

# %%
for name, prediction in predictions.items():
    print(f"{name}: L1 {F.l1_loss(prediction, ab):.4f}, mean |ab| {prediction.abs().mean():.4f}; the ground truth's {ab.abs().mean():.4f}")
figures.qualitative_grid({name: lab.to_rgb(L, a) for name, a in predictions.items()} | {"ground_truth": lab.to_rgb(L, ab)})

# %% [markdown]
# MSE hardly minds small errors and hates large ones: near the truth D has its way, far from it MSE rules. A prediction is
# therefore pulled to the *mean* of the possible colors rather than to their median (the toy of notebook 02).
#
# ## 2 · Perceptual loss
#
# Features of D: D has learned which differences give colors away. We compare what its inner layers answer to the real and to the
# generated colors ("feature matching"). A VGG-16 from ImageNet does the same for differences that matter to naming things; never use
# *random* VGG weights for it without saying so.

# %%
D = run.discriminator()


@torch.no_grad()
def perceptual(L, fake, ab):
    """Mean L1 between the features of generated and real colors: of what each LeakyReLU of D puts out."""
    generated, real = (losses.discriminator_features(D, L, colors) for colors in (fake, ab))
    return float(sum(F.l1_loss(f, r) for f, r in zip(generated, real)) / len(real))


# %% [markdown]
# Which colors do the two losses mind? Three answers that L1 finds **equally** wrong: a tint all over, noise, and colors that bleed.

# %%
torch.manual_seed(SEED)
small = F.avg_pool2d(ab, 16, ceil_mode=True)
wrong = {"tint": torch.ones_like(ab), "noise": torch.randn_like(ab),
         "bleeding": F.interpolate(small, size=ab.shape[-2:], mode="bilinear") - ab}
amount = F.l1_loss(ab + wrong["bleeding"], ab)
wrong = {name: ab + error * amount / error.abs().mean() for name, error in wrong.items()}
rows = {name: (float(F.l1_loss(w, ab)), perceptual(*map(as_judged, (L, w, ab)))) for name, w in wrong.items()}
pd.DataFrame(rows, ["L1", "D's features"]).T.round(4)

# %%
figures.qualitative_grid({"ground_truth": lab.to_rgb(L, ab)[:1]} | {name: lab.to_rgb(L, w)[:1] for name, w in wrong.items()})

# %% [markdown]
# L1 cannot tell them apart by construction; features can. As a loss for G one would add `mu * perceptual` (without `no_grad`) to
# adversarial + λ · L1 in the loop above. With VGG features, feed RGB from `lab.to_rgb`, which is differentiable, and normalize it as
# ImageNet's photos were.
#
# ## 3 · Diffusion, begun
#
# DDPM's way *to* noise is one formula: $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$ with Gaussian
# $\varepsilon$. Here with $x_0$ = ab (doubled, so that it fills $[-1, 1]$ better), and L left alone.

# %%
kept = torch.linspace(1, 0, 6)  # the share of the truth that is left, from all to none
noisy = {f"{100 * a:.0f}% left": lab.to_rgb(L, (a.sqrt() * 2 * ab + (1 - a).sqrt() * torch.randn_like(ab)) / 2)[:1]
         for a in kept}
figures.qualitative_grid(noisy)

# %% [markdown]
# * **Given:** L, the noisy ab and how noisy it is (t): three channels in place of one, and a number.
# * **Asked for:** the noise $\varepsilon$ (or, which comes to the same, the clean ab), with plain MSE.
# * **Why not brown:** each step only answers with a mean *given what the noisy colors already suggest*. The first random draw breaks the tie
#   between red and blue, and the steps after it make that choice consistent. Another draw gives another plausible photo. Notebook 11 builds one.
# * **The price:** tens to a thousand passes through the U-Net for one photo, where ours needs one; and longer training.
#
# ## 4 · A D that has to look
#
# D's third lesson: real colors on the L of another photo, to be called generated. For a wrong pair with logit $z$ the loss is
# $-\log(1 - \sigma(z))$, which is `softplus(z)`. G does not learn at all. Two things differ from the run's recipe: R1 is left
# out, and the rate is 0.001 in place of 0.0002, because the steps are few.

# %%
def taught(mismatched):
    """The run's D after D_STEPS more steps against the frozen cGAN, with mismatched pairs or without."""
    torch.manual_seed(SEED)
    D, G = run.discriminator(DEVICE).train(), run.model(device=DEVICE)
    optimizer = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(run.recipe.beta1, 0.999))
    for x, y in islice(chain.from_iterable(repeat(dls.train)), D_STEPS):
        gray, real, fake = as_judged(x), as_judged(y), as_judged(predict(G, x))
        loss = losses.discriminator_loss(D, gray, real, fake)
        if mismatched:
            loss = loss + F.softplus(D(gray, real.roll(1, dims=0))).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return D.eval()


# %%
@torch.no_grad()
def preferred(D, other):
    """Fraction of the validation photos whose own colors look more real to D than `other(L, ab)`."""
    wins = []
    for L, ab in batches(photos.valid, device=DEVICE):
        own, changed = (D(as_judged(L), as_judged(x)).sigmoid().mean((1, 2, 3)) for x in (ab, other(L, ab)))
        wins.append(own > changed)
    return torch.cat(wins).float().mean().item()


# %%
judges = {"the run's D": run.discriminator(DEVICE), "taught as before": taught(False), "taught with wrong pairs": taught(True)}
G = run.model(device=DEVICE)
changes = {"cGAN": lambda L, ab: predict(G, L), "mirrored": lambda L, ab: ab.flip(-1),
           "of another photo": lambda L, ab: ab.roll(1, dims=0)}
rows = {name: {words: f"{preferred(D, other):.0%}" for words, other in changes.items()} for name, D in judges.items()}
pd.DataFrame(rows).T.rename_axis("real colors preferred to:")

# %% [markdown]
# With wrong pairs D begins to look at L. It prefers the real colors to mirrored ones on 64% of the photos; taught as before it
# does so on 52%, and the run's own D on 33%. The colors of another photo still pass on 44%: patches are small, and many
# photos have a sky above and a meadow below. Nothing is lost by it: against the cGAN this D is right on 91%, taught as before
# on 85%. (Profile `cpu`, seed 42, one training of 400 steps each, 375 validation photos.)
#
# Does a G that learns from such a D paint better? The quoted cGAN was trained once more with wrong pairs from the first
# step (half of them mirrored, half of another photo, weighed as by [Reed et al. 2016](https://arxiv.org/abs/1605.05396);
# 1,600 steps, seed 42, the same validation photos). That D looks harder: it prefers the real colors to mirrored ones on 69% of the photos, to another photo's on 59%. But its
# G is only calmer (colorfulness 24.1 in place of 25.8). At equal colorfulness it is where it was: 0.14 dB above the
# U-Net times a constant (0.04 to 0.24), before 0.13 (0.00 to 0.25). See [docs/training.md](../../docs/training.md).
