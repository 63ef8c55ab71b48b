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
# # 3 · A pretrained U-Net: features and resolution
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/03_unet_finetune.ipynb)
#
# The CNN of chapter 2 squeezes a photo through a coarse grid, and it starts knowing nothing. A U-Net keeps the fine
# grids, and ours starts from an encoder that has learned to recognize things in a million photos.
#
# **You will learn**
#
# - how coarse color may be, and what skip connections carry;
# - what an encoder trained on ImageNet knows, and how it can read gray;
# - how to write a U-Net, how to look for a learning rate, and what skips and pretraining are worth.
#
# **Before this:** [chapter 2](02_cnn_baseline.ipynb). **Minutes:** printed by the next cell.
#
# > **In `smoke`** the U-Net trains for seconds on a handful of crops, and the search for a learning rate is as short.
# > Their curves, scores and pictures mean nothing; sections 3.6 and 3.7 show real runs.

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
import time
from itertools import chain, islice, repeat

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from fastai.vision.all import DynamicUnet, create_body
from IPython.display import SVG
from PIL import Image, ImageOps
from skimage import data
from torch import nn
from torchvision.models import EfficientNet_B0_Weights

from g2g import figures, lab, models, runs, training
from g2g.colorize import colorize_all
from g2g.data import dataloaders, prepare
from g2g.models import count_parameters, imagenet_classifier, predict
from g2g.photos import gallery_photo
from g2g.profiles import get_recipe, repo_root
from g2g.runs import find_run, load_or_train, pretrained_model, published_score

# %%
SEED = 42  # order and flips of the photos, and weights that start at random
DEVICE = training.get_device()
BATCH, SEARCH_STEPS, HAND_STEPS = (4, 24, 12) if profile.name == "smoke" else (16, 100, 60)
photos = prepare(profile)


# %% [markdown]
# ## 3.1 How coarse may color be?
#
# The latent of chapter 2 is a grid 16 times coarser than the photo; a ResNet goes down to 32. Suppose a model knew the
# true colors, but could name only one for each cell of such a grid. (Meadow by Aitzol Berasategi, CC BY 4.0, recolored.)
#
# **Predict.** Cells of 4 or of 32 pixels, in a photo of 256: where will you see them?

# %%
L, ab = lab.photos_to_lab(gallery_photo("meadow", 256)[None])


def coarse(ab, cell):
    """ab averaged over squares of `cell` px, then stretched back."""
    return F.interpolate(F.avg_pool2d(ab, cell, ceil_mode=True), size=ab.shape[-2:], mode="bilinear")


# %%
pictures = {f"cells of {cell} px": lab.to_rgb(L, coarse(ab, cell))[0] for cell in (4, 32)}
pictures = {"photo": lab.to_rgb(L, ab)[0]} | pictures
figures.image_row(pictures.values(), pictures)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Cells of 4 px are hard to tell from the photo, because color is smooth where lightness is sharp. With cells of 32 px
# colors bleed over edges: look at the dark fir and at the line between trees and grass. They are duller, too.
#
# </details>
#
# The edges themselves are in $L$, the input, and were lost on the way down. A **skip connection** hands them over: at
# each resolution, the decoder gets the encoder's features of that resolution beside what comes up from below. This is the
# U-Net (Ronneberger, Fischer & Brox 2015).
#
# ## 3.2 An encoder that recognizes things
#
# The way down need not be learned from our photos. EfficientNet-Lite0 (Tan & Le 2019) has learned from 1.28 million
# **color** photos which of 1,000 things each of them shows (ImageNet). Its weights are in this repository.
#
# **Predict.** Will it still recognize a cup and a cat in gray?

# %%
classifier = imagenet_classifier("efficientnet_lite0").eval()
categories = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]


def best_guess(picture):
    """The most likely category of a uint8 photo; the classifier takes RGB in [-1, 1] at 224 px."""
    rgb = torch.from_numpy(np.array(picture.resize((224, 224)))).movedim(-1, 0)[None] / 127.5 - 1
    with torch.no_grad():
        probability, number = classifier(rgb).softmax(1)[0].max(0)
    return f"{categories[number]}, {probability:.0%}"


# %%
pictures = [ImageOps.fit(Image.fromarray(photo), (320, 320)) for photo in (data.coffee(), data.chelsea())]
pictures = [shown for picture in pictures for shown in (picture, picture.convert("L").convert("RGB"))]
figures.image_row([np.asarray(picture) for picture in pictures], map(best_guess, pictures))

# %% [markdown]
# <details><summary>Answer</summary>
#
# Yes, it names the same things: shape and texture are enough. It is a little less sure of the cup and even surer of the
# cat. A model that recognizes a cat in gray knows much about its color. (Coffee by Rachel Michetti, cat by Stéfan van der
# Walt, both CC0.)
#
# </details>
#
# The last layer, which names things, is thrown away. What remains turns a photo into **features**: edges in the first
# layers, textures and parts further in. Starting from weights trained for another task is *transfer learning*, and
# training them further is *fine-tuning*.
#
# One thing does not fit: the first convolution wants R, G and B, and we have only $L$. A gray photo has R = G = B, so a
# filter $w$ computes
#
# $$w_R * L + w_G * L + w_B * L \;=\; (w_R + w_G + w_B) * L .$$
#
# The **sum** of the three filters on one channel does what the three did on equal ones. Above: six of the 32 filters as
# colors. Below: their sums.

# %%
rgb_filters = classifier.conv_stem.weight.detach()[:6]  # (6, 3, 3, 3)
summed = rgb_filters.sum(1, keepdim=True)
rows = [x / x.abs().amax((1, 2, 3), keepdim=True) for x in (rgb_filters, summed)]  # in [-1, 1]
rows = [F.interpolate(x, scale_factor=90) for x in rows]  # each weight as a square
figures.across({"R, G, B": rows[0] / 2 + 0.5, "sum": rows[1]})

# %% [markdown]
# ## 3.3 Five resolutions
#
# The encoder hands out features at five resolutions. For each we show the two channels that vary most on the meadow.

# %%
with torch.no_grad():
    features = classifier.forward_intermediates(L.expand(-1, 3, -1, -1), indices=5, intermediates_only=True)


def liveliest(feature):
    """The two channels of (1,C,h,w) that vary most, scaled to [-1, 1], each value shown as a square."""
    f = feature[0, feature[0].std((1, 2)).topk(2).indices]
    f = f - f.amin((1, 2), keepdim=True)
    return F.interpolate(2 * f[None] / f.amax((1, 2), keepdim=True) - 1, size=(256, 256))[0]


# %%
sizes = [f"{feature.shape[1]} channels,\n{feature.shape[2]} × {feature.shape[3]}" for feature in features]
figures.qualitative_grid(dict(zip(sizes, map(liveliest, features))))

# %% [markdown]
# From left to right *where* is lost: at 128 × 128 the skyline and the fir can be traced, at 8 × 8 a few squares are left.
# The channels grow in number, and they tell more and more of *what* is there. A decoder needs both.
#
# ## 3.4 The network
#
# Our decoder starts at the coarsest grid. At each step it enlarges what it has, puts the encoder's features of that
# resolution beside it (the skip), and convolves. By section 3.1 it may stop at a **quarter** of the photo's resolution;
# bilinear interpolation does the rest. (Channels in bold; sizes for a photo of 256 px.)

# %%
SVG(filename=str(repo_root() / "docs/networks/quarter_unet.svg"))


# %%
def block(channels_in, channels_out, kernel):
    conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU())


# %%
class Unet(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        encoder.prune_intermediate_layers(4, prune_head=True)  # without the layers that name things
        self.encoder = encoder
        self.bottom = block(320, 192, 1)
        self.decoder = nn.ModuleList()
        for below, skip, width in ((192, 112, 128), (128, 40, 96), (96, 24, 64)):
            self.decoder.append(nn.Sequential(block(below + skip, width, 1), block(width, width, 3)))
        self.head = nn.Conv2d(64, 2, 1)

    def forward(self, L):
        _, *skips, deepest = self.encoder.forward_intermediates(L, indices=5, intermediates_only=True)
        x = self.bottom(deepest)
        for convolve, skip in zip(self.decoder, reversed(skips)):
            x = F.interpolate(x, size=skip.shape[2:])
            x = convolve(torch.cat([x, skip], dim=1))
        return F.interpolate(self.head(x), size=L.shape[2:], mode="bilinear")


# %% [markdown]
# The report uses fastai's `DynamicUnet` on a ResNet-18 instead: it mirrors any encoder, up to the **full** resolution
# ([diagram](../docs/networks/unet.svg)). (Beware of *skip connections* inside a ResNet, which **add** a block's input to
# its output; those of a U-Net **concatenate**.) What does each cost?

# %%
body = create_body(imagenet_classifier("resnet18", weights=None), n_in=1, pretrained=False, cut=-2)
dynamic = DynamicUnet(body, n_out=2, img_size=L.shape[-2:])
by_hand = Unet(imagenet_classifier("efficientnet_lite0", in_chans=1))  # gray in: the sum of the first filters
for name, network in {"ours, a quarter": by_hand, "DynamicUnet, full": dynamic}.items():
    network.eval()(L).mean().backward()  # the first time is slower
    start = time.perf_counter()
    network(L).mean().backward()
    seconds = time.perf_counter() - start
    print(f"{name:18} {count_parameters(network) / 1e6:5.1f} million parameters, {1000 * seconds:5.0f} ms a photo and step")

# %% [markdown]
# In the saved run DynamicUnet takes about eight times as long. The fields that matter most in your profile's recipe:

# %%
recipe = get_recipe("unet", profile)
fields = ["epochs", "lr", "batch_size", "resolution", "encoder"]
pd.Series(dataclasses.asdict(recipe))[fields].to_frame("recipe")

# %% [markdown]
# ## 3.5 Looking for a learning rate
#
# The report names three learning rates: 0.0001 for the U-Net, 0.001 for the CNN, and elsewhere 0.01. fastai's `lr_find`
# (Smith 2015) trains for some steps while the rate grows from tiny to absurd, notes each loss, and restores the weights.

# %%
torch.manual_seed(SEED)
unet = models.unet(recipe.resolution, recipe.encoder, recipe.weights, photos.size).to(DEVICE)
if recipe.resolution == "quarter":
    nn.init.normal_(unet.head.weight, std=0.05)  # the library's starts at zero, that is at gray
dls = dataloaders(photos, BATCH, seed=SEED, device=DEVICE)
learn = training.LossLearner(dls, unet, dataclasses.replace(recipe, encoder_lr_mult=1, ema_decay=0))
with tempfile.TemporaryDirectory() as folder:  # where it keeps the weights meanwhile
    learn.path = Path(folder)
    learn.lr_find(start_lr=1e-6, end_lr=1, num_it=SEARCH_STEPS, show_plot=False)

# %%
fig, ax = plt.subplots(figsize=(6, 2.6))
ax.semilogx(learn.recorder.lrs, torch.stack(learn.recorder.losses).cpu(), color="#0072B2")
for rate in (1e-4, 1e-3, 1e-2):
    ax.axvline(rate, color="#777777", ls=":")
ax.axvline(recipe.lr, color="#D55E00", lw=1)
ax.set(xlabel="learning rate (dotted: the report's three; vermilion: this recipe's)", ylabel="L1, smoothed")
plt.show()

# %% [markdown]
# Read it from left to right: nothing happens, the loss falls, the loss flattens or jumps. A usable rate lies where it
# falls, and that leaves a wide range. The curve tries each rate for one step, so it cannot say which rate ends lowest
# after thousands. Exercise 2 tries the report's three for longer.
#
# In the saved run all three lie where the loss falls: 0.0001 near the beginning of the slope, 0.001 in the middle (under
# the recipe's line), and 0.01 lower down. The jump comes later, between 0.05 and 0.1.
#
# Now a few steps by hand at the recipe's rate, keeping what the network predicts on the way.

# %%
optimizer = torch.optim.Adam(unet.parameters(), lr=recipe.lr)
stream = islice(chain.from_iterable(repeat(dls.train)), HAND_STEPS)  # starts over when the photos are used up
predictions, frames = {"before": predict(unet, L)}, []
for step, (L_batch, ab_batch) in enumerate(stream, 1):
    if (step - 1) % (HAND_STEPS // 12) == 0:
        frames.append(lab.to_rgb(L, predict(unet, L))[0])
    loss = F.l1_loss(unet(L_batch), ab_batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step in (HAND_STEPS // 3, HAND_STEPS):
        predictions[f"step {step}"] = predict(unet, L)

# %%
print(f"gray: L1 {ab.abs().mean():.4f} on this photo")
titles = [f"{name}\nL1 {F.l1_loss(pred_ab, ab):.4f}" for name, pred_ab in predictions.items()]
figures.image_row([lab.to_rgb(L, pred_ab)[0] for pred_ab in predictions.values()], titles)

# %% [markdown]
# The same steps in twelve pictures:

# %%
figures.animation(frames, milliseconds=300)

# %% [markdown]
# Before training the colors are arbitrary, because the decoder's weights are random. Compare each number with gray's and
# not with zero: a picture can be colorful and worse than gray.
#
# In the saved run the numbers fall. Before training the meadow is purple, with cyan and pink fringes along every edge, and
# the error is above gray's. After 20 steps it is a dull brown and the error a little below gray's. After 60 the meadow is
# green and the error about half of gray's, but the orange trees are greenish, too.
#
# The library trains the whole recipe.

# %%
run = load_or_train("unet", profile, recipe=recipe, photos=photos)
last, gray_loss = run.history["valid_loss"].iloc[-1], run.record["gray_valid_loss"]
print(f"run {run.id}: validation L1 {last:.4f}, {1 - last / gray_loss:.1%} below gray's {gray_loss:.4f}")
fig = figures.loss_curves(run)
figures.save(fig, "unet_loss_curves", profile.outputs / "figures")
fig

# %% [markdown]
# (Chapter 2 explained why the training loss may lie *above* the validation loss at first.)
#
# In the published run of `cpu` the curves cross between epochs 5 and 6. The last epoch of that recipe shows whole photos in
# place of crops and freezes the encoder, so the last drop in training loss need not be learning alone. The validation curve
# is nearly flat from epoch 3 on.
#
# ## 3.6 What skips and ImageNet are worth
#
# Switching off the skips of a trained network would be unfair, since it never learned to do without them. So three
# networks were *trained* alike: ours; the same with skips that carry only the mean of each channel; and ours with a
# random encoder. (That one learned at the full rate, a pretrained encoder at 0.3 of it.)
#
# **Predict.** Which is worth more, the skips or ImageNet?

# %%
study = pd.read_csv(repo_root() / "results" / "cpu" / "skips_and_encoder.csv")
study["below gray"] = 1 - study["valid_loss"] / study["gray"]
last = study[study["epoch"] == study["epoch"].max()]
print(f"{study['photos'].iloc[0]:,} photos at 64 px, {study['epoch'].max()} epochs, by how much validation L1 is below gray's")
seeds = last.pivot(index="case", columns="seed", values="below gray")
seeds.rename(columns="seed {}".format).style.format("{:.1%}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Nearly the same. With either alone, the network gets about two thirds as far below gray as with both. ImageNet is a little
# ahead for every seed, and the seed matters far less than either.
#
# </details>
#
# ## 3.7 The published U-Net
#
# *Read from `results/`, not computed here.* Three photographs on which no model was trained (by Aitzol Berasategi, and
# the fig by Trevor "Freespace"; CC BY 4.0; recolored).

# %%
published = runs.published()["unet"]
print(f"run {published.id}: {published_score(published)}")
gallery = [gallery_photo(name, 320) for name in ("meadow", "mountains", "fig")]
rows = {name: colorize_all(gallery, *pretrained_model(name)[:2]) for name in ("cnn", "unet")}
figures.across(rows | {"ground_truth": gallery})

# %% [markdown]
# Compare the sky, the meadow, the plate, and the edges between them.
#
# - **Meadow.** The CNN spreads a yellowish green over trees and slope, across their outlines. The U-Net has no such stain,
#   and its mountains are bluish as they should be. In both the orange trees stay gray or greenish and the grass is a dull
#   gray brown; the U-Net's turns olive toward the right.
# - **Mountains.** The CNN's sky is gray. The U-Net's is blue, brighter than the true one, and ends at the clouds and the
#   rock. Its rock is a little too green, and the slope is brown where it should be green.
# - **Fig.** The CNN leaves a green stain on the table and a bluish one on the plate. The U-Net paints plate and fig a dull
#   brown and the table slightly yellow. Neither finds the red.
#
# On the first photo, the 60 steps by hand of section 3.5 found a greener meadow in the saved run than this network did. An
# average over many photos gets better with training, and a single photo may get worse.
#
# **The report** says of its U-Net *"a L1 loss of 0.07586"* in the text and a test MAE of **0.0846** in the table, 12%
# more; the smaller number may be the training loss. It reports *"no further reductions in losses"* after 20 epochs. It
# then trains the U-Net on against an adversary, and whatever improves could come from the adversary or from training
# longer. Nobody can tell without a **control**: the same U-Net trained on just as long with L1 alone. Chapter 5 has one.
#
# ## 3.8 Check
#
# With the published weights, the network written by hand predicts the same as the library's.

# %%
pretrained, size, sentence = pretrained_model("unet")
by_hand.load_state_dict(pretrained.state_dict())
torch.testing.assert_close(predict(by_hand, L), predict(pretrained, L))
print(sentence)

# %% [markdown]
# ## Three things to take with you
#
# 1. Color may be coarse but its edges may not; skip connections bring the encoder's fine grids to the decoder.
# 2. An encoder that recognizes things in gray knows much about their color, and the sum of its first filters reads gray.
# 3. Parts of a network are compared by training it with and without them, over several seeds.
#
# ## Exercises
#
# 1. ★★ **Which skip matters?** Switch the skips off one at a time for *all* validation photos and compare the L1 with
#    gray's. Which one would you keep, if you could keep only one?
#    <details><summary>Hint</summary><code>skip.mean((2, 3), keepdim=True).expand_as(skip)</code> has nothing of <i>where</i>.</details>
# 2. ★★ **The report's three learning rates.** Train one epoch each at 0.01, 0.001 and 0.0001 with a constant schedule
#    (`dataclasses.replace`). Which ends lowest? Does it agree with `lr_find`?
#    <details><summary>Hint</summary>A rate that is too high may raise <code>training.TrainingDiverged</code>.</details>
# 3. ★★★ **Is the encoder worth training?** Freeze it and train the decoder alone for the same steps. In `class` or
#    `report`, do it with ImageNet weights and with random ones: four cases.
#    <details><summary>Hint</summary><code>unet.encoder.requires_grad_(False)</code>, and give Adam only the parameters that are
#    left.</details>
#
# [Solutions](solutions/03_solutions.ipynb) · Next: [chapter 4](04_cgan.ipynb) brings in an adversary.
