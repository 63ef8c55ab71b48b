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
# Answers to the exercises of [chapter 10](../10_losses.ipynb). The toy is the same in every profile. One network is trained for
# about two minutes on photos of 64 px; in `smoke` for seconds, and its numbers mean nothing.

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
import torch
import torch.nn.functional as F
from torch import nn

from g2g import figures, lab, losses, training
from g2g.colorize import colorize_all
from g2g.data import prepare
from g2g.photos import gallery_photo, gallery_photos
from g2g.profiles import repo_root
from g2g.runs import learner
from report import studies

# %% [markdown]
# The toy of 10.1, with the jackets and the start of the guess as arguments:

# %%
red, blue = torch.tensor([[60.0, 40.0], [5.0, -45.0]]) / lab.AB_SCALE


def painted(colors):
    """Flat pictures (B,2,32,32) of colors (B,2)."""
    return colors[:, :, None, None].expand(-1, -1, 32, 32)


# %%
def swatches(colors):
    return lab.to_rgb(torch.zeros(len(colors), 1, 32, 32), painted(torch.stack(list(colors))))


# %% [markdown]
# Its discriminator, and the noise through which D sees a quarter of the pixels:

# %%
class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        widths = nn.Conv2d(3, 64, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 64, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 1, 1)
        self.layers = nn.Sequential(*widths)

    def forward(self, L, ab):
        return self.layers(torch.cat([L, ab], dim=1))


# %%
def noisy(ab):
    ab = F.avg_pool2d(ab.detach(), 4)
    return ab + 0.1 * torch.randn_like(ab)

# %% [markdown]
# A loss is a function of the prediction, the ground truth, L and D, as in `g2g.losses`.

# %%
def settle(loss, jackets, d_steps=0, start=(0.0, 0.0), steps=120):
    torch.manual_seed(0)
    guess, D, L = torch.tensor(start, requires_grad=True), Critic(), torch.zeros(len(jackets), 1, 32, 32)
    optimizer = torch.optim.Adam([guess])
    d_optimizer = torch.optim.Adam(D.parameters(), lr=1e-2, betas=(0.5, 0.999))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / steps)
        pred_ab = painted(guess.expand(len(jackets), 2))
        for _ in range(d_steps):
            d_optimizer.zero_grad()
            losses.discriminator_loss(D, L[..., :8, :8], noisy(jackets), noisy(pred_ab)).backward()
            d_optimizer.step()
        optimizer.zero_grad()
        loss(pred_ab, jackets, L, D).backward()
        optimizer.step()
    return guess.detach()

# %% [markdown]
# ## 1. A tie
#
# > *Give the toy as many red as blue jackets. Predict, then check with `settle`, what L1, MSE, and Huber say. Why is L1's
# > guess a matter of luck, and MSE's not?*
#
# To see the luck, we start the guess from three colors.

# %%
tie = painted(torch.stack([red, red, blue, blue]))
starts = {"from gray": (0.0, 0.0), "from red": tuple(red.tolist()), "from blue": tuple(blue.tolist())}
pointwise = {"L1": losses.l1, "MSE": losses.mse, "Huber": losses.huber}

# %%
columns = {}
for name, loss in pointwise.items():
    columns[name] = swatches([settle(loss, tie, start=start) for start in starts.values()])
figures.qualitative_grid(columns, list(starts))

# %% [markdown]
# The hint asks for the cost on the way from blue to red. Each curve is scaled to its highest value.

# %%
place = torch.linspace(0, 1, 101)
fig, ax = plt.subplots(figsize=(4.5, 2.4))
for name, loss in pointwise.items():
    cost = torch.stack([loss(painted((blue + x * (red - blue)).expand(4, 2)), tie) for x in place])
    ax.plot(place, cost / cost.max(), label=name)
ax.set(xlabel="from blue (0) to red (1)", ylabel="cost, scaled", ylim=(0, 1.1))
ax.legend()
plt.show()

# %% [markdown]
# MSE settles on the same mixture from all three starts. L1 and Huber end near that mixture from gray, in a dull red from red,
# and in a violet from blue.
#
# The cost of L1 is **flat** between the two: every step toward one is a step away from the other. Once the guess is in that
# range, only Adam's momentum carries it a little further, so its start decides. Huber's cost is as flat except close to a
# jacket, where its slope is weaker than the pull of the opposite color. Only MSE has a single lowest point, the mean, and it is
# found from everywhere.
#
# ## 2. All three
#
# > *pix2pixHD adds feature matching to the adversary. Try that loss in `settle`, then in the network.*
#
# Wang et al. weigh feature matching by 10 and use no L1.

# %%
def small(planes):
    return F.avg_pool2d(planes, 4)


# %%
def adversary(pred_ab, ab, L, D):
    return F.softplus(-D(small(L), small(pred_ab))).mean()


def matching(pred_ab, ab, L, D):
    return losses.feature_matching(small(pred_ab), small(ab), small(L), D)


# %%
def pix2pix_hd(*batch):
    return adversary(*batch) + 10 * matching(*batch)


# %% [markdown]
# In the toy:

# %%
jackets = painted(torch.stack([red, red, red, blue, blue]))
tried = {"adversary": adversary, "matching": matching, "both": pix2pix_hd}
guesses = [settle(loss, jackets, d_steps=3) for loss in tried.values()]
figures.image_row(swatches([red, blue, *guesses]), ["60%", "40%", *tried])

# %% [markdown]
# All three settle on blue or very close to it, the color of the minority: the adversary alone on the jackets' own blue, the
# other two on a slightly duller one. Adding the adversary to feature matching changes almost nothing here.
#
# In the network nothing but the recipe has to change, because both terms have a weight in it:

# %%
photos = prepare(dataclasses.replace(profile, size=studies.SIZE))
recipe = dataclasses.replace(studies.LOSSES["feature matching"], adversarial=1, lambda_l1=10)
if profile.name == "smoke":
    recipe = dataclasses.replace(recipe, epochs=1, steps_per_epoch=2)

# %%
learn = learner(recipe, studies.subset(photos, studies.PHOTOS, recipe.seed))
with tempfile.TemporaryDirectory() as folder:
    training.fit(learn, folder)
network = learn.average_weights.average.module.eval()

# %% [markdown]
# Beside the study's runs of the same seed, read from `results/losses/`:

# %%
columns = {"mae": "MAE", "psnr": "PSNR", "colorfulness": "colorfulness"}
study = pd.read_csv(repo_root() / "results" / "losses" / "runs.csv").query(f"seed == {recipe.seed}").set_index("value")
rows = {"pix2pixHD, trained here": studies.measure(network, photos)[0]}
rows |= study.loc[["feature matching", "L1 + adversary", "L1"]].T.to_dict()
pd.DataFrame(rows).T[list(columns)].astype(float).rename(columns=columns).round(4)

# %%
photographs = [gallery_photo("meadow", 320), gallery_photo("fig", 320)]
colored = colorize_all(photographs, network, studies.SIZE)
figures.qualitative_grid({"pix2pixHD": colored, "ground_truth": photographs})

# %% [markdown]
# (Meadow by Aitzol Berasategi, fig by Trevor "Freespace", CC BY 4.0, recolored.)
#
# In the saved run of `cpu` it is the most colorful of the four rows, 17.4 against 15.8 for feature matching alone, and it has the
# largest error: 0.32 dB less than L1. In the pictures little of that color is where it belongs: the meadow is grayish green, the
# plate a grayish brown, the white of the fig pink, and the table has a green stain in the lower left corner. In `smoke` the
# network made two steps, and its row means nothing.
#
# One run is one seed. To say more, do what section 10.6 does: three seeds, each compared with L1's prediction times the constant
# that makes it as colorful.
#
# ## 3. Which layer?
#
# > *Let the toy settle with each of the perceptual loss's four layers alone. Which sees the color, and which a texture?*
#
# The guess is the same for all jackets, so its features are computed once, and those of the jackets before the descent.

# %%
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


def layer_alone(number):
    truth = losses.perceptual_features(torch.zeros(len(jackets), 1, 32, 32), jackets)[number]

    def loss(pred_ab, ab, L, D):
        features = losses.perceptual_features(L[:1], pred_ab[:1])[number]
        return F.l1_loss(features.expand_as(truth), truth)

    return loss


# %%
guesses = [settle(layer_alone(number), jackets) for number in range(4)]
figures.image_row(swatches([red, blue, *guesses]), ["60%", "40%", *LAYERS])

# %% [markdown]
# relu1_2 settles on red, the color of the majority, as L1 does. relu2_2 ends in a blue that is slightly violet, and the two
# deeper layers in the jackets' own blue, the minority. None stays near gray, so all four see the color.
#
# Next, how much does each layer mind a color cast, and how much a texture? Both errors have the same L1, on the gallery. The
# numbers are the change of the features as a fraction of their size.

# %%
L, ab = lab.photos_to_lab(np.stack(gallery_photos(64)))
checks = (torch.arange(64)[:, None] // 2 + torch.arange(64) // 2) % 2 * 2.0 - 1
both = {"a cast": torch.ones_like(ab), "checks of 2 px": checks.expand_as(ab)}

# %%
truth, rows = losses.perceptual_features(L, ab), {}
for name, error in both.items():
    features = losses.perceptual_features(L, ab + 0.05 * error)
    rows[name] = [(F.l1_loss(x, y) / y.abs().mean()).item() for x, y in zip(features, truth, strict=True)]
pd.DataFrame(rows, LAYERS).T.round(2)

# %% [markdown]
# L1 calls the two errors equal, and the features do not. Compare the rows layer by layer.
#
# Every layer minds the checks more than the cast. relu1_2 does so the least, by a factor of 1.4, and the deeper ones by about
# 1.7: they are more partial to texture. The checks count for more with every layer. The cast counts for the least at relu2_2,
# and the most at relu4_3, so no layer ignores it.
#
# ## 4. Jitter the colors?
#
# > *Why does `jitter` leave ab alone? What would a network learn if b\* were shifted at random?*
#
# L is what the network is given, and ab is what it has to predict. If the b\* of a photo is shifted at random while its L stays,
# the same L gets many right answers, all equally frequent. With L1 or MSE the network goes on predicting about the middle of the
# shifts, but from noisier examples; a network that draws or that predicts a distribution learns that the hue cannot be known.
# Augmentation may change what a photo could look like, but not the answer to it.
#
# Back to [chapter 10](../10_losses.ipynb) · Next: [chapter 11](../11_diffusion.ipynb)
