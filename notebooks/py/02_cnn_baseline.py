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
# # 2 · A CNN, and the vote that L1 takes
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/02_cnn_baseline.ipynb)
#
# Our first model is a plain convolutional network, trained with the plainest loss there is. Its pictures tend toward
# gray and brown. Three jackets show why that loss does so; then we build the network and train it.
#
# **You will learn**
#
# - what L1, L2 and an adversary predict where one gray could have been several colors;
# - how to write an encoder-decoder and a training loop;
# - how to read a loss beside gray's, and how to measure color.
#
# **Before this:** [chapter 1](01_data_prep.ipynb). **Minutes:** printed by the next cell.
#
# > **In `smoke`** the network trains for seconds on crops of four photographs, and its validation photos are other crops
# > of the same. What that run shows means nothing; the published model in section 2.5 is a real one.

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
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import SVG
from torch import nn

from g2g import evaluation, figures, lab, runs, training
from g2g.colorize import colorize_all
from g2g.data import batches, dataloaders, prepare
from g2g.models import count_parameters, predict
from g2g.photos import gallery_photo
from g2g.profiles import get_recipe, repo_root
from g2g.runs import load_or_train, pretrained_model, published_score

SEED = 42
HAND_STEPS = 24 if profile.name == "smoke" else 80  # training steps by hand, rounded up to whole epochs

# %% [markdown]
# ## 2.1 One gray, several colors
#
# In a gray photo you see a jacket. Of all jackets that look like this in gray, 60% are red and 40% are blue. You may
# name *one* color (a\*, b\*).

# %%
red, blue, green = torch.tensor([[60.0, 40.0], [5.0, -45.0], [-40.0, 45.0]])  # a*, b*
colors, fraction = torch.stack([red, blue]), torch.tensor([0.6, 0.4])


def swatch(ab, L=50.0):
    return lab.lab_to_rgb(torch.tensor([L, *ab]).view(3, 1, 1)).expand(3, 24, 40)


# %% [markdown]
# **Predict.** Which color has the lowest expected absolute error (L1)? Which has the lowest squared error (L2)?
#
# We let an optimizer find both. Its "network" is a single pair of numbers, `guess`.

# %%
def best_prediction(loss, colors, fraction, steps=300):
    guess = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([guess])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2 * (1 - step / steps)
        errors = loss(guess.expand_as(colors), colors, reduction="none").mean(1)
        expected = (fraction * errors).sum()
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
    return guess.detach()


# %%
l1, l2 = (best_prediction(loss, colors, fraction) for loss in (F.l1_loss, F.mse_loss))
figures.image_row([swatch(c) for c in (red, blue, l1, l2)], ["60% are", "40% are", "L1 predicts", "L2 predicts"])

# %% [markdown]
# <details><summary>Answer</summary>
#
# L2 predicts the *mean*, a 60:40 mixture that no jacket has. L1 predicts the *median*, and of two colors the median is
# the more frequent one. L1 does not mix; it takes a vote.
#
# </details>
#
# **Predict.** Now let the jackets be red (40%), blue (35%) and green (25%), so that no color has a majority. The loss
# treats a\* and b\* separately. What does L1 predict?

# %%
colors, fraction = torch.stack([red, blue, green]), torch.tensor([0.4, 0.35, 0.25])
l1, l2 = (best_prediction(loss, colors, fraction) for loss in (F.l1_loss, F.mse_loss))
figures.image_row([swatch(c) for c in (red, blue, green, l1, l2)], ["40% are", "35% are", "25% are", "L1", "L2"])

# %% [markdown]
# <details><summary>Answer</summary>
#
# A brown that no jacket has. On each axis the value in the middle wins: 5 of {−40, 5, 60} for a\*, which is the blue
# jacket's, and 40 of {−45, 40, 45} for b\*, which is the red one's. By L1 this is the best prediction, so a larger
# network would arrive at it as well.
#
# </details>
#
# In photos one gray stands for countless colors, and their median is gray and slightly warm, as chapter 1 showed.
#
# ### An adversary settles on one color
#
# Now replace the loss by an opponent. A small network $D$ learns to tell real jackets from our guess, and we move the
# guess to where $D$ says "real": a very small GAN ([Goodfellow et al. 2014](https://arxiv.org/abs/1406.2661)).

# %%
def adversary(start, colors, fraction, seed=0, rounds=120, noise=8.0):
    torch.manual_seed(seed)
    guess, path = start.clone().requires_grad_(), [start]
    D = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    d_optimizer = torch.optim.Adam(D.parameters(), lr=1e-2, betas=(0.5, 0.999))
    g_optimizer = torch.optim.Adam([guess], lr=0.5, betas=(0.5, 0.999))
    for _ in range(rounds):
        for _ in range(3):  # D: real colors up, the guess down
            real = colors[torch.multinomial(fraction, 256, replacement=True)] + noise * torch.randn(256, 2)
            fake = guess.detach() + noise * torch.randn(256, 2)
            d_loss = F.softplus(-D(real / 110)).mean() + F.softplus(D(fake / 110)).mean()
            d_optimizer.zero_grad(), d_loss.backward(), d_optimizer.step()
        g_loss = F.softplus(-D((guess + noise * torch.randn(256, 2)) / 110)).mean()
        g_optimizer.zero_grad(), g_loss.backward(), g_optimizer.step()
        path.append(guess.detach().clone())
    return torch.stack(path)


# %% [markdown]
# From L1's brown, with three seeds:

# %%
fig, ax = plt.subplots(figsize=(4.2, 3.8))
for seed in (0, 1, 2):
    ax.plot(*adversary(l1, colors, fraction, seed).T, color="#555555", lw=1)
for name, ab in {"40%": red, "35%": blue, "25%": green, "L1": l1, "L2": l2}.items():
    ax.scatter(*ab, s=160, color=swatch(ab)[:, 0, 0].tolist(), edgecolor="black", zorder=3)
    ax.annotate(name, ab, (9, 6), textcoords="offset points")
ax.set(xlabel="a*", ylabel="b*", xlim=(-80, 95), ylim=(-65, 70))
plt.show()

# %% [markdown]
# Each time the guess leaves the brown and settles on one of the real colors, in the saved run twice on green and once on
# red. Which one depends on the seed: $D$ asks for
# a possible jacket, not for the right one, and the expected L1 error is higher there. A low error and a convincing color
# are two goals.
#
# ## 2.2 The network
#
# The encoder convolves and halves the picture four times; the decoder doubles it four times and convolves. Between them
# is the *latent*, with many channels and few pixels. The last layer gives two planes, a and b, between −1 and 1.
# (Diagram: profile `report`.)

# %%
SVG(filename=str(repo_root() / "docs/networks/encoder_decoder.svg"))

# %% [markdown]
# `Upsample` repeats each pixel, and the convolution after it smooths the result. (A transposed convolution would do both,
# but leaves checkerboards, [Odena et al. 2016](https://distill.pub/2016/deconv-checkerboard/).)

# %%
def block(channels_in, channels_out):
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU())


class CNN(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.encoder = nn.Sequential()
        for channels in pairwise([1, width, 2 * width, 4 * width, 8 * width]):
            self.encoder.append(nn.Sequential(block(*channels), nn.MaxPool2d(2)))
        self.latent = block(8 * width, 8 * width)
        self.decoder = nn.Sequential()
        for channels in pairwise([8 * width, 4 * width, 2 * width, width, width // 2]):
            self.decoder.append(nn.Sequential(nn.Upsample(scale_factor=2), block(*channels)))
        self.output = nn.Sequential(nn.Conv2d(width // 2, 2, 3, padding=1), nn.Tanh())

    def forward(self, L):
        return self.output(self.decoder(self.latent(self.encoder(L))))


# %% [markdown]
# A *recipe* says how your profile trains it. The five fields that matter most:

# %%
recipe = get_recipe("cnn", profile)
# recipe = dataclasses.replace(recipe, epochs=10)  # a changed recipe is a run of its own
torch.manual_seed(SEED)
model = CNN(recipe.width)
print(f"{count_parameters(model):,} parameters, {count_parameters(model.latent):,} of them in the latent")
pd.Series(dataclasses.asdict(recipe))[["epochs", "lr", "schedule", "batch_size", "width"]].to_frame("recipe")

# %% [markdown]
# One pixel of the latent stands for $16 \times 16$ pixels of the photo, and all that the decoder paints passes through
# there, so it cannot know exactly where an outline runs. $L$ has the outlines, but colors may spill over them. Chapter 3
# adds skip connections.
#
# ## 2.3 Training by hand
#
# Numbers come from the **validation** photos, which no training step uses. The loop takes a batch, predicts, compares,
# computes gradients and steps. The loss is $\mathcal{L}_1 = \frac1N\sum\left|\widehat{ab} - ab\right|$.

# %%
photos, device = prepare(profile), training.get_device()
dls = dataloaders(photos, recipe.batch_size, seed=SEED, device=device, steps_per_epoch=HAND_STEPS)
L_valid, ab_valid = (torch.cat(planes) for planes in zip(*batches(photos.valid), strict=True))

# %%
hand_epochs = -(-HAND_STEPS // len(dls.train))  # rounded up
model = model.to(device, memory_format=torch.channels_last).train()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
losses = []
for _ in range(hand_epochs):
    for L, ab in dls.train:
        loss = F.l1_loss(model(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

# %%
fig, ax = plt.subplots(figsize=(5, 2.4))
ax.plot(range(1, len(losses) + 1), losses, color="#E69F00", label="training, batch by batch")
ax.axhline(ab_valid.abs().mean(), color="#777777", ls="--", lw=1, label="gray (validation)")
ax.set(xlabel="step", ylabel="L1 of ab/110")
ax.legend()
plt.show()

# %% [markdown]
# The curve is jagged because each step sees other photos, some more colorful than others. The dashed line is the error of
# predicting gray on the validation photos, and the number to beat. In the saved run the loss falls steeply for a few steps
# and then stays around that line.
#
# ## 2.4 Training with the library
#
# `load_or_train` looks for a finished run of this recipe on these photos, and trains it if there is none. An interrupted
# training goes on from its last whole epoch.

# %%
run = load_or_train("cnn", profile, recipe=recipe, photos=photos)
print("run", run.id)
curves = figures.loss_curves(run)
figures.save(curves, "cnn_loss_curves", profile.outputs / "figures")
curves

# %% [markdown]
# How far the validation curve falls below the dashed line says how much was learned about color. The *training* loss may
# lie above the *validation* loss: it is averaged over an epoch while the weights still improve, on photos that some
# recipes crop and sharpen, and validation comes after the epoch, on whole photos. Where training goes on falling and
# validation turns up, the network memorizes its photos.
#
# In the published run of `cpu` training lies above validation in all five epochs, in the first two even above the dashed
# line. Validation still falls a little at the end, so this network is not yet memorizing.
#
# ## 2.5 How brown is it?
#
# The report calls its CNN's pictures "desaturated, brownish". Here are two photographs on which no profile trains (fig
# by Trevor "Freespace", meadow by Aitzol Berasategi, CC BY 4.0, recolored), after the steps by hand, after your run, and
# by the published one if that is another.
#
# **Predict.** Which parts of the two will have color?

# %%
gallery = [gallery_photo("fig", 320), gallery_photo("meadow", 320)]

# %%
published, (pretrained, size, sentence) = runs.published()["cnn"], pretrained_model("cnn")
print(f"run {published.id}: {sentence}\n{published_score(published)}")
cnn = run.model(device=device)
networks = {f"{len(losses)} steps": model, run.id: cnn, published.id: pretrained}
columns = {name: colorize_all(gallery, network, size) for name, network in networks.items()}
figures.qualitative_grid(columns | {"ground_truth": gallery})

# %% [markdown]
# <details><summary>Answer</summary>
#
# Where most such things share a color, as grass and sky do, the vote should have a majority. The plate could have any color,
# so expect a dull one.
#
# Only the second half came true in the published run of `cpu`. The plate is a grayish olive with a bluish patch, and the fig
# is gray. But the grass is gray, too, because a vote about grass needs a network that recognizes grass. Green appears where
# it does not belong: a yellowish haze over the orange trees and the slope behind them, across their outlines, and a stain on
# the table. After the steps by hand alone, everything has the same brown tint.
#
# </details>
#
# The colors of your run on the validation photos:

# %%
figures.ab_histograms({"ground_truth": ab_valid, "cnn": predict(cnn, L_valid)})

# %% [markdown]
# In the published run of `cpu` the CNN uses a small part of the plane: pale blue, gray, a muted yellow green, and a little
# brown. Strong colors of any kind are missing, and so are red and purple.
#
# In numbers (*colorfulness* is the measure of Hasler and Süsstrunk, 2003, 0 for gray):

# %%
words = {"mae": "MAE", "mae_gray_pixels": "MAE where gray", "mae_colorful_pixels": "MAE where colorful",
         "colorfulness": "colorfulness", "colorfulness_ground_truth": "of the ground truth"}
compared = {"gray": evaluation.gray(), f"{len(losses)} steps": model, "CNN": cnn}
scores = {name: evaluation.score(network, photos, "valid", show=False) for name, network in compared.items()}
pd.DataFrame({name: table[list(words)].mean() for name, table in scores.items()}).T.rename(columns=words).round(4)

# %% [markdown]
# Where the ground truth is gray, predicting gray is hard to beat; what a model gains, it gains on the colorful pixels. In the
# saved run the steps by hand are nearly as colorful as the whole training, although they tinted both photographs above
# with one brown. Colorfulness does not say whether a color is in the right place.
#
# **The report** gives 0.0848 twice, as its CNN's *validation loss* and as its *test MAE*. Two sets of photos are unlikely
# to agree to four digits, so probably one set served for both, and the best epoch may have been chosen on the photos that
# judge it. This course keeps three sets apart.
#
# ## 2.6 Checks
#
# With the published weights, the network written by hand predicts the same as the library's. The loop by hand ends where
# the library's does, exactly so on a CPU (a GPU computes in half precision).

# %%
by_hand = CNN(pretrained.latent[0].out_channels // 8).eval()
by_hand.load_state_dict(pretrained.state_dict())
L_any = torch.rand(2, 1, size, size) * 2 - 1
torch.testing.assert_close(predict(by_hand, L_any), predict(pretrained, L_any))
options = {"schedule": "constant", "lr": 1e-3, "epochs": hand_epochs, "steps_per_epoch": HAND_STEPS}
options |= {"min_crop_side": 1, "sharpen": 0, "weight_decay": 0, "ema_decay": 0}
learn = runs.learner(dataclasses.replace(recipe, seed=SEED, **options), photos)
with tempfile.TemporaryDirectory() as folder:
    training.fit(learn, folder)
print(f"largest difference of ab: {(predict(model, L_valid) - predict(learn.model, L_valid)).abs().max():.1e}")

# %% [markdown]
# ## Three things to take with you
#
# 1. Where one gray could be several colors, L2 predicts their mean, L1 their median on each axis, and an adversary
#    settles on one of them.
# 2. A dull brown can be the best prediction by L1; another loss, or more knowledge of the photo, changes it.
# 3. Read a loss beside gray's, and a coloring also by how colorful it is.
#
# ## Exercises
#
# 1. ★ **Three votes.** Predict, then check with `best_prediction`, what L1 says for red (1/3), green (1/3) and blue
#    (1/3); for red (51%) and blue (49%); for red and blue at one half each. Why is the last one odd?
#    <details><summary>Hint</summary>Draw the expected L1 along the line from blue to red.</details>
# 2. ★★ **Train with L2.** Repeat the loop of 2.3 with `F.mse_loss` from the same initial weights. Which network is more
#    colorful after the same steps, and which has the lower MAE?
#    <details><summary>Hint</summary><code>torch.manual_seed(SEED)</code> before <code>CNN(...)</code>, and a new <code>dataloaders</code>.</details>
# 3. ★★ **A narrower latent.** Halve the `width` by `dataclasses.replace` and train with `load_or_train`. How many
#    parameters are left, and what does validation say?
#    <details><summary>Hint</summary><code>run.record["best_valid_loss"]</code>.</details>
#
# [Solutions](solutions/02_solutions.ipynb) · Next: [chapter 3](03_unet_finetune.ipynb) gives the network skip
# connections and an encoder that has seen ImageNet.
