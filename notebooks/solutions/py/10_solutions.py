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
# # Solutions 10 · What should a mistake cost?
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/solutions/10_solutions.ipynb)
#
# Answers to the exercises of notebook 10. The toy is repeated here; trainings are cut to seconds in `smoke`, where they show that they run.

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

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from g2g import figures, lab, losses, training
from g2g.data import prepare
from g2g.runs import learner
from report import studies
from g2g.figures import across
from g2g.colorize import colorize_all
from g2g.photos import gallery_photos


def adversary(answer, ab, L, D, *_):
    return F.softplus(-D(F.avg_pool2d(L, 4), F.avg_pool2d(answer, 4))).mean()


def feature_matching(answer, ab, L, D, *_):
    return losses.feature_matching(*(F.avg_pool2d(planes, 4) for planes in (answer, ab, L)), D)

# %%
red, blue = torch.tensor([[60.0, 40.0], [5.0, -45.0]]) / lab.AB_SCALE


def painted(colors):
    return colors[:, :, None, None].expand(-1, -1, 16, 16)


def swatches(colors):
    return lab.to_rgb(torch.zeros(len(colors), 1, 16, 16), painted(torch.stack(list(colors))))

# %% [markdown]
# The opponent and the descent of notebook 10, with the jackets as an argument.

# %%
class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        widths = nn.Conv2d(3, 64, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 64, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 1, 1)
        self.layers = nn.Sequential(*widths)

    def forward(self, L, ab):
        return self.layers(torch.cat([L, ab], dim=1))


def noisy(ab):
    ab = F.avg_pool2d(ab.detach(), 4)
    return ab + 0.1 * torch.randn_like(ab)

# %%
def settle(loss, jackets, lambda_l1=30.0, rounds=0, steps=120, start=(0.0, 0.0)):
    torch.manual_seed(0)
    guess, D, L = torch.tensor(start, requires_grad=True), Critic(), torch.zeros(len(jackets), 1, 16, 16)
    optimizer = torch.optim.Adam([guess])
    d_optimizer = torch.optim.Adam(D.parameters(), lr=1e-2, betas=(0.5, 0.999))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / steps)
        answer = painted(guess.expand(len(jackets), 2))
        for _ in range(rounds):
            d_optimizer.zero_grad()
            losses.discriminator_loss(D, L[..., :4, :4], noisy(jackets), noisy(answer)).backward()
            d_optimizer.step()
        optimizer.zero_grad()
        loss(answer, jackets, L, D, lambda_l1).backward()
        optimizer.step()
    return guess.detach()

# %% [markdown]
# ## 1. A tie

# %%
tie = painted(torch.stack([red, red, blue, blue]))
starts = {"from gray": (0.0, 0.0), "from red": tuple(red.tolist()), "from blue": tuple(blue.tolist())}
rows = {}
for name, start in starts.items():
    rows[name] = swatches([settle(losses.LOSSES[loss.lower()], tie, start=start) for loss in ("L1", "MSE", "Huber")])
figures.qualitative_grid({loss: [row[i] for row in rows.values()] for i, loss in enumerate(("L1", "MSE", "Huber"))}, list(rows))

# %% [markdown]
# With as many red as blue jackets, L1 is **flat** between the two on each axis: every step toward one is a step away from the other. The
# answer is wherever the descent entered that box. Huber's is as flat, except within 0.05 of a jacket, where its slope is
# weaker than the pull of the others. Only MSE has one lowest point, the mean, and finds it from everywhere.
#
# ## 2. All three
#
# In the toy, then in the network.

# %%
def pix2pix_hd(answer, ab, L, D, *_):
    """The adversary and ten times feature matching (Wang et al. 2018 have 10 and no L1)."""
    return adversary(answer, ab, L, D) + 10 * feature_matching(answer, ab, L, D)

# %%
jackets = painted(torch.stack([red, red, red, blue, blue]))
tried = {"feature matching": feature_matching, "both": pix2pix_hd, "adversary": adversary}
figures.image_row(swatches([red, blue, *(settle(loss, jackets, rounds=3) for loss in tried.values())]), ["60%", "40%", *tried])

# %% [markdown]
# And in the network:

# %%
photos = prepare(dataclasses.replace(profile, size=studies.SIZE))

# %%
recipe = dataclasses.replace(studies.LOSSES["feature matching"], adversarial=1, lambda_l1=10)
if profile.name == "smoke":
    recipe = dataclasses.replace(recipe, epochs=1, steps_per_epoch=2)
learn = learner(recipe, studies.subset(photos, studies.PHOTOS, recipe.seed))
with tempfile.TemporaryDirectory() as folder:
    training.fit(learn, folder)

# %%
across({"pix2pixHD": colorize_all(gallery_photos(160), learn.model.cpu().eval(), studies.SIZE), "truth": gallery_photos(160)})

# %% [markdown]
# Nothing else had to change: both terms have a weight in the recipe.
#
# ## 3. Which layer?

# %%
def one_layer(number):
    def loss(answer, ab, L, *_):
        return F.l1_loss(losses.perceptual_features(L, answer)[number], losses.perceptual_features(L, ab)[number])
    return loss


answers = {f"stride {stride}": settle(one_layer(i), jackets) for i, stride in enumerate((1, 2, 4, 8))}
figures.image_row(swatches([red, blue, *answers.values()]), ["60%", "40%", *answers])

# %% [markdown]
# And how much does each mind a color cast, how much a texture? Both errors of the same L1, on the gallery:

# %%
L, ab = lab.photos_to_lab(np.stack(gallery_photos(64)))
checks = (torch.arange(64)[:, None] // 2 + torch.arange(64) // 2) % 2 * 2.0 - 1
for name, error in (("a cast of 0.05", torch.ones_like(ab)), ("checks of 2 px", checks.expand_as(ab))):
    pairs = zip(losses.perceptual_features(L, ab + 0.05 * error), losses.perceptual_features(L, ab), strict=True)
    print(f"{name:15}", *(f"stride {2**i}: {F.l1_loss(x, y) / y.abs().mean():.2f}" for i, (x, y) in enumerate(pairs)))

# %% [markdown]
# L1 calls the two errors equal; the features do not. (The numbers: change of the features as a share of their size.)
#
# ## 4. Jitter the colors?
#
# ab is the answer. If b\* of a photo is shifted at random and L is not, the same L gets many answers, all as frequent: the network is
# taught that the hue cannot be known, and answers nearer to gray. Augment what the question may look like, not what the answer is. (Noise in the
# labels is not always harmful, but this one is about the very thing to be learned.)
