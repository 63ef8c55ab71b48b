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
# # A3 · Appendix: samplers and autoencoders
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/A3_autoencoders_and_samplers.ipynb)
#
# Two questions that chapter 11 leaves open: how many steps a sampler needs on photographs, and what is lost in the small latent of
# an autoencoder, in which Stable Diffusion works.
#
# **You will learn**
#
# - to use one network with two samplers, by turning a velocity into a noise;
# - to compare numbers of steps, and to time them on a GPU;
# - what a latent loses.
#
# **Before this:** notebook 11. **Minutes:** as notebook 11.
#
# > **In the `smoke` profile** all numbers are of two crops, which only shows that the code runs.

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
import math
import time
from itertools import chain, islice, pairwise, repeat

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import nn

from g2g import figures, lab, metrics
from g2g.data import batches, dataloaders, prepare
from g2g.profiles import repo_root
from g2g.runs import pretrained_model
from g2g.training import get_device

SEED, DEVICE = 42, get_device()
TRAINING_STEPS = 30 if profile.name == "smoke" else 400
photos = prepare(profile)
L, ab = next(batches(photos.valid[:100], 100))  # for the numbers

# %% [markdown]
# ## A3.1 Velocity and noise say the same
#
# The flow's network predicts a velocity on the straight line, $x_t = t \cdot \text{data} + (1 - t) \cdot \text{noise}$. DDPM's sampler wants
# the noise on the cosine schedule, $a \cdot \text{data} + s \cdot \text{noise}$. Divided by $a + s$, that state lies on the straight line at
# $t = a/(a + s)$, and with the velocity $v$ there, the noise is $x_t - t\,v$. So one network serves both samplers.

# %%
model, size, sentence = pretrained_model("flow")
model = model.to(DEVICE)
condition, pred_ab = model.condition(L.to(DEVICE))
print(sentence)


# %%
def velocity(x, t):
    return model.velocity(x, t.to(DEVICE).expand(len(x)), condition)


def cosine(t):
    return torch.sin(t * math.pi / 2), torch.cos(t * math.pi / 2)


# %%
def predict_noise(x, t):
    a, s = cosine(t)
    t, x = a / (a + s), x / (a + s)
    return x - t * velocity(x, t)


# %% [markdown]
# Chapter 11's samplers:

# %%
@torch.no_grad()
def euler(velocity, x, steps):
    for step in range(steps):
        x = x + velocity(x, torch.tensor(step / steps)) / steps
    return x


# %%
@torch.no_grad()
def ddpm(predict_noise, x, steps):
    for now, then in pairwise(torch.linspace(0.05, 1, steps + 1)):
        (a, s), (next_a, next_s) = cosine(now), cosine(then)
        noise = predict_noise(x, now)
        data = ((x - s * noise) / a).clamp(-4, 4)
        fresh = next_s / s * (1 - (a / next_a) ** 2).sqrt()
        kept = (next_s**2 - fresh**2).clamp(min=0).sqrt()
        x = next_a * data + kept * noise + fresh * torch.randn_like(x)
    return x


# %% [markdown]
# ## A3.2 Steps against quality
#
# **Predict.** Will more steps raise the error or lower it?
#
# A GPU computes in the background: a call returns before the work is done. So we wait for it whenever we read the clock.

# %%
def seconds_now():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


# %%
def score(pred_ab, L, ab):
    """MAE, PSNR over gray in dB, and colorfulness of colorings (B,2,H,W)."""
    rgb, ground_truth, gray = (lab.to_rgb(L, planes) for planes in (pred_ab, ab, 0 * ab))
    gain = metrics.psnr(rgb, ground_truth) - metrics.psnr(gray, ground_truth)
    return (pred_ab - ab).abs().mean().item(), gain.mean().item(), metrics.colorfulness(rgb).mean().item()


# %% [markdown]
# Both samplers, from the same noise:

# %%
noise, rows = model.noise(L).to(DEVICE), []
for name, sampler, predict in (("Euler", euler, velocity), ("DDPM", ddpm, predict_noise)):
    for steps in (1, 5, 20, 40, 100):
        torch.manual_seed(SEED)
        start = seconds_now()
        x = sampler(predict, noise, steps)
        milliseconds = 1000 * (seconds_now() - start) / len(L)
        drawn = (pred_ab + F.interpolate(model.residual_std * x, size=L.shape[2:], mode="bilinear")).cpu()
        rows.append((name, steps, *score(drawn, L, ab), milliseconds))

# %%
columns = ["sampler", "steps", "MAE", "PSNR over gray, dB", "colorfulness", "ms a photo"]
table = pd.DataFrame(rows, columns=columns).set_index(["sampler", "steps"])
table.round(4)

# %% [markdown]
# The same at equal colorfulness. The numbers beside the dots are steps, and the higher curve is the better one.

# %%
fig, ax = plt.subplots(figsize=(5, 2.6))
for (name, points), color in zip(table.groupby("sampler", sort=False), ("flow", "gray")):
    ax.plot(points["colorfulness"], points["PSNR over gray, dB"], "o-", color=figures.color(color), label=name)
    for (_, steps), row in points.iterrows():
        offset = (-9, 0) if (name, steps) == ("DDPM", 1) else (4, 3)  # where two dots are close
        ax.annotate(steps, (row["colorfulness"], row["PSNR over gray, dB"]), offset, textcoords="offset points", fontsize=7)
ax.set(xlabel="colorfulness", ylabel="PSNR over gray, dB")
ax.legend()
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# It raises the error, because more steps mean more color. In the saved run this holds from each row of the table to the next, for
# both samplers. A few steps stay near the mean, and their lower error comes with paler colors.
#
# </details>
#
# At equal colorfulness the two samplers hardly differ: in the saved run the curves cross, and neither is ever above the other by
# 0.1 dB. But from 5 steps on, Euler gets more color out of equally many. `colorize` takes 40 steps of Euler: in the saved run 20
# are paler (31.8 against 33.8), and 100 add only 1.5 for more than twice the time.
#
# ## A3.3 What a latent loses
#
# Diffusion on all pixels is expensive. [Rombach et al. 2022](https://arxiv.org/abs/2112.10752) train an autoencoder, let noise flow in its small **latent**, and
# decode the result. Our ab at an eighth of the resolution is such a latent, made by averaging. Would a learned one lose less? Two
# small autoencoders compress ab to as many places and four channels. The second decoder also sees lightness.

# %%
def halve(channels_in):
    return nn.Sequential(nn.Conv2d(channels_in, 32, 3, stride=2, padding=1), nn.ReLU())


def double(channels_in):
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(channels_in, 32, 3, padding=1), nn.ReLU())


# %%
class Autoencoder(nn.Module):
    def __init__(self, sees_lightness):
        super().__init__()
        self.sees_lightness = sees_lightness
        self.encoder = nn.Sequential(halve(2), halve(32), halve(32), nn.Conv2d(32, 4, 1))
        self.decoder = nn.Sequential(double(4), double(32), double(32))
        self.last = nn.Sequential(nn.Conv2d(32 + sees_lightness, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 2, 1))

    def forward(self, L, ab):
        x = self.decoder(self.encoder(ab))
        return self.last(torch.cat([x, L], dim=1) if self.sees_lightness else x)


# %% [markdown]
# Both are trained with L1 on 64 × 64 pixels of each photo.

# %%
def trained(sees_lightness):
    torch.manual_seed(SEED)
    network = Autoencoder(sees_lightness).to(DEVICE)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=TRAINING_STEPS)
    train = dataloaders(photos, 32, SEED, DEVICE).train
    for L, ab in islice(chain.from_iterable(repeat(train)), TRAINING_STEPS):
        L, ab = L[..., :64, :64], ab[..., :64, :64]
        optimizer.zero_grad()
        F.l1_loss(network(L, ab), ab).backward()
        optimizer.step(), schedule.step()
    return network


# %%
decoders = {"average": lambda L, ab: F.interpolate(F.avg_pool2d(ab, 8), size=L.shape[2:], mode="bilinear")}
decoders |= {"learned": trained(sees_lightness=False), "learned, sees L": trained(sees_lightness=True)}
with torch.no_grad():
    rows = {name: score(decode(L.to(DEVICE), ab.to(DEVICE)).cpu(), L, ab) for name, decode in decoders.items()}
pd.DataFrame(rows, index=["MAE", "PSNR over gray, dB", "colorfulness"]).T.round(4)

# %%
photograph = ImageOps.fit(Image.open(repo_root() / "data" / "gallery" / "fig.jpg"), (256, 256))
L_fig, ab_fig = (planes.to(DEVICE) for planes in lab.photos_to_lab(np.asarray(photograph)[None]))
with torch.no_grad():
    pictures = [lab.to_rgb(L_fig, decode(L_fig, ab_fig))[0] for decode in decoders.values()]
figures.image_row([*pictures, lab.to_rgb(L_fig, ab_fig)[0]], [*decoders, "ground truth"])

# %% [markdown]
# (*Picture_0B* by Trevor "Freespace", CC BY 4.0, recolored.) Look at the rim of the plate, where its red meets the gray table.
# In the saved run no learned latent beats averaging. Averaging has the lowest MAE, with soft, pinkish edges. The decoder that sees
# lightness comes close to it, and its red is as good, but its edge is no sharper, with a violet fringe on the shadow. The one without
# lightness loses the red and paints plate and fig olive. Both were trained for only 400 steps.
#
# Stable Diffusion's autoencoder packs lightness and color together into four channels, 48 times fewer numbers than the pixels
# have, and returns a photograph that looks right and is not the same. For coloring, its lightness would be thrown away and the
# decoded ab joined with the photo's own L. (This follows the paper and is not measured.)
#
# ## Takeaways
#
# 1. Velocity and noise are two ways to write one prediction, so one network serves several samplers.
# 2. Compare numbers of steps at equal colorfulness, as models, and wait for the GPU before you read the clock.
# 3. A latent saves computation, and for coloring lightness must go past it.
#
# ## Exercise
#
# **A better step** (★★). Heun's method takes the mean of the velocities at both ends of a step. Does it need fewer predictions than
# Euler?
# <details><summary>Hint</summary>One Heun step costs two.</details>
#
# Back to [11 · From noise to color](11_diffusion.ipynb).
