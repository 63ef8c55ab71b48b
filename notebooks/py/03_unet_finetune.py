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
# # 3 · Fine-tuning a U-Net
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/03_unet_finetune.ipynb)
#
# The CNN of notebook 02 squeezes a photo through a bottleneck and forgets where its edges were. A U-Net remembers
# them, and this one has seen a million photos before.
#
# **You will learn**
#
# - why a network that colors has skip connections, and what they are worth;
# - what an encoder that has seen ImageNet knows, and how filters made for RGB can be made to read gray;
# - how a U-Net is written, once by hand and once with fastai's `DynamicUnet`, and what each costs;
# - how to look for a learning rate;
# - how to read a loss beside the gray baseline, and why "trained longer" needs a control.
#
# **Before this:** notebook 02 (and 01 for L and ab). **Minutes:** printed by the next cell.

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

# %% [markdown]
# Everything you may want to change is in the next cell.

# %%
from g2g import runs
from g2g.training import get_device

SEED = 42  # order and flips of the photos, and all weights that start at random
DEVICE = get_device()  # the GPU if there is one
TRY_BATCH = 4 if profile.name == "smoke" else 16  # photos per step in the search for a learning rate and in the steps by hand
SEARCH_STEPS = 24 if profile.name == "smoke" else 100  # steps of that search
HAND_STEPS = 12 if profile.name == "smoke" else 60  # steps by hand

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
from fastai.vision.all import DynamicUnet, create_body, patch
from IPython.display import SVG
from skimage import data
from torch import nn
from torchvision.models import EfficientNet_B0_Weights

# %%
from g2g import figures, lab, models, training
from g2g.colorize import colorize_all
from g2g.data import batches, dataloaders, prepare
from g2g.models import count_parameters, imagenet_classifier, predict
from g2g.photos import Item, decode, gallery_photos
from g2g.profiles import get_recipe, repo_root
from g2g.runs import find_run, load_or_train, pretrained_model, published_score

grid = figures.figure("Images in rows.")(figures.grid)  # in the style of g2g.figures

# %% [markdown]
# The photos are those of notebook 02. We look at two of [data/gallery](../data/gallery/README.md), the meadow and the
# mountains by Aitzol Berasategi (CC BY 4.0, recolored), on which no profile trains.

# %%
photos = prepare(profile)
L, ab = lab.photos_to_lab(np.stack(gallery_photos(photos.size)[3:5]))
gray, ground_truth = lab.to_rgb(L, 0 * ab), lab.to_rgb(L, ab)
figures.image_row([*gray, *ground_truth], ["gray"] * len(gray) + ["ground truth"] * len(ground_truth))

# %% [markdown]
# ## 3.1 How fine must color be?
#
# The CNN of notebook 02 squeezes the photo down to a grid 16 times coarser than the photo and unfolds the colors
# from there. A ResNet goes down to a grid 32 times coarser. What would be left of the **true** colors if a
# network could name only one color for each cell of such a grid?

# %%
def coarse(ab, cell):
    """ab averaged over squares of `cell` px, then stretched back."""
    small = F.avg_pool2d(ab, cell, ceil_mode=True)
    return F.interpolate(small, size=ab.shape[-2:], mode="bilinear")


for cell in (2, 4, 16, 32):
    print(f"true colors in cells of {cell:2} px: L1 {F.l1_loss(coarse(ab, cell), ab):.4f}")
print(f"no color at all (gray):       L1 {ab.abs().mean():.4f}")

# %%
cells = {f"cells of {cell} px": lab.to_rgb(L, coarse(ab, cell)) for cell in (2, 4, 16, 32)}
figures.qualitative_grid({"ground_truth": ground_truth[:1]} | {name: x[:1] for name, x in cells.items()})

# %% [markdown]
# Cells of 2 px are hard to tell from the truth, which is why most JPEG files store color at half the resolution. Cells
# of 4 px take little from what the eye sees, and in a larger photo even less: color is smooth where lightness is
# sharp. With cells of 32 px the colors **bleed over the edges**. (A latent has hundreds of channels in each cell and
# can hold more than one color, so this illustrates the difficulty; it is not a bound.)
#
# The edges themselves are no secret: they are in L, the input. They were only lost on the way down. A **skip
# connection** hands them over: the decoder gets, at each resolution, the encoder's features of that same resolution
# beside what comes up from below. This is the U-Net (Ronneberger, Fischer & Brox 2015), made to outline cells in
# microscope pictures, where edges matter just as much.

# %% [markdown]
# ## 3.2 An encoder that can name things
#
# The way down need not be learned from our photos. Others have trained networks before us, on 1.28 million **color**
# photos, to name which of 1,000 things each of them shows (ImageNet, ILSVRC 2012). We take a small one,
# EfficientNet-Lite0 (Tan & Le 2019), whose weights are in this repository, and ask it what it sees. Its input is RGB in
# $[-1, 1]$.

# %%
network = imagenet_classifier("efficientnet_lite0").eval()
names = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]  # of the 1,000 things


def name_it(rgb):
    """The three most likely names of a photo (1,3,H,W) in [-1, 1]."""
    with torch.no_grad():
        chances, things = network(F.interpolate(rgb, (224, 224), mode="bilinear", antialias=True)).softmax(1).topk(3)
    return ", ".join(f"{names[i]} {p:.0%}" for p, i in zip(chances[0], things[0]))


for photograph in (data.coffee(), data.chelsea()):
    rgb = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None] / 127.5 - 1
    print("in color:", name_it(rgb))
    print("in gray:  ", name_it(rgb.mean(1, keepdim=True).expand(-1, 3, -1, -1)))

# %% [markdown]
# It knows the espresso and the cat, **and it knows them in gray**. That is what *pretrained* means, and why color
# follows from it: whoever can tell a cat from a cup is most of the way to brown and white. The last layer, which names
# the things, is thrown away. What remains turns a photo into **features**: edges in the first layers, textures and
# parts further in. Starting from weights trained for another task is called **transfer learning**; training them
# further is **fine-tuning**.
#
# One thing does not fit: the first convolution wants three channels, R, G and B, and we have one, L. A gray photo
# shown in RGB has R = G = B, so a filter $w$ answers
#
# $$w_R * L + w_G * L + w_B * L \;=\; (w_R + w_G + w_B) * L .$$
#
# **The sum of the three filters** on one channel does exactly what the three did on three equal ones. Above: twelve
# of the 32 filters as colors. Below: their sums.

# %%
rgb_filters = network.conv_stem.weight.detach()  # (32, 3, 3, 3)
summed = rgb_filters.sum(1, keepdim=True)  # (32, 1, 3, 3)


def tiles(filters, scale=20):
    """Filters scaled to [-1, 1], each weight a square of `scale` px."""
    filters = filters[:12] / filters[:12].abs().amax((1, 2, 3), keepdim=True)
    return F.interpolate(filters, scale_factor=scale)


grid([tiles(rgb_filters) / 2 + 0.5, tiles(summed)], left=["R, G, B", "sum"])

# %% [markdown]
# ## 3.3 The network, by hand
#
# The encoder hands out features at five resolutions. This is what it makes of our photos:

# %%
with torch.no_grad():
    features = network.forward_intermediates(L.expand(-1, 3, -1, -1), indices=5, intermediates_only=True)
for feature in features:
    print(f"a grid {L.shape[-1] // feature.shape[-1]:2} times coarser than the photo: {tuple(feature.shape[1:])}")

# %% [markdown]
# The decoder climbs from the coarsest of them. At each step it enlarges what it has, puts the encoder's features of that
# resolution beside it (the skip), and convolves. It stops at a **quarter** of the photo's resolution, cells of 4 px, and
# leaves the most expensive part of the way to bilinear interpolation. (Channels in bold; sizes for a photo of 256 px.)

# %%
SVG(filename=str(repo_root() / "docs/networks/quarter_unet.svg"))

# %%
def block(channels_in, channels_out, kernel):
    conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU())


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


# %% [markdown]
# Those were its parts, and this is the way through them. `patch` adds a method to a class that already exists.

# %%
@patch
def forward(self: Unet, L, off=()):
    """ab for L; the skips whose numbers are in `off` carry only the mean of each channel."""
    _, *skips, deepest = self.encoder.forward_intermediates(L, indices=5, intermediates_only=True)
    x = self.bottom(deepest)
    for number, skip in enumerate(reversed(skips)):
        if number in off:
            skip = skip.mean((2, 3), keepdim=True).expand_as(skip)
        x = F.interpolate(x, size=skip.shape[2:])
        x = self.decoder[number](torch.cat([x, skip], dim=1))
    return F.interpolate(self.head(x), size=L.shape[2:], mode="bilinear")


# %% [markdown]
# That is all of it. The library's network has the same layers. With its weights, ours gives the same answers.

# %%
by_hand = Unet(imagenet_classifier("efficientnet_lite0", in_chans=1)).eval()  # gray in: the sum of the first filters
pretrained, pretrained_size, sentence = pretrained_model("unet")
print("the library's, trained:", sentence)
by_hand.load_state_dict(pretrained.state_dict())
torch.testing.assert_close(predict(by_hand, L), predict(pretrained, L))
print("the network written by hand predicts the same")

# %% [markdown]
# ## 3.4 The network of the report
#
# The report uses fastai's `DynamicUnet` on a ResNet-18: it takes any encoder, finds the places where the resolution
# changes, and builds a decoder that mirrors them, all the way up to the **full** resolution. `create_body` cuts the
# naming layers off.

# %%
body = create_body(imagenet_classifier("resnet18", weights=None), n_in=1, pretrained=False, cut=-2)
dynamic = DynamicUnet(body, n_out=2, img_size=(photos.size, photos.size)).eval()

# %% [markdown]
# (This ResNet-18 has random weights, since the trained ones would have to be downloaded; we only look at its shape.
# Beware: `create_body(net, pretrained=True)` only decides how the first filters are made and loads nothing. A random
# encoder trains a little worse, and without complaint.) The way down is on the left, the way up on the right, and the
# dashed lines are the skip connections:

# %%
SVG(filename=str(repo_root() / "docs/networks/unet.svg"))

# %% [markdown]
# Two different things are called skip connections here. Inside each block of a ResNet, the block's input is
# **added** to its output: gradients reach the first layers that way (He et al. 2015). The dashed ones **concatenate**
# channels from the encoder to the decoder: details reach the output that way. The outermost of them carries L itself.
#
# Neither network has a `tanh` at its end: nothing bounds the answer. Only pictures are clipped to the colors a screen
# can show, losses and scores are not. What do the two cost?

# %%
for name, net in {"by hand, a quarter": by_hand, "DynamicUnet, full": dynamic}.items():
    net(L[:1]).mean().backward()  # the first time is slower
    start = time.time()
    net(L[:1]).mean().backward()
    millions = count_parameters(net) / 1e6
    print(f"{name:18} {millions:5.1f} million parameters, {1000 * (time.time() - start):5.0f} ms a photo, forward and back")

# %% [markdown]
# On a GPU nobody notices the difference; on two CPU cores it decides between an evening and a weekend. A recipe chooses
# between the two with `resolution` and `encoder`. This is the recipe for the U-Net in your profile:

# %%
recipe = get_recipe("unet", profile)
pd.Series(dataclasses.asdict(recipe)).dropna().to_frame("recipe")

# %%
torch.manual_seed(SEED)
unet = models.unet(recipe.resolution, recipe.encoder, recipe.weights, photos.size).to(DEVICE)

# %% [markdown]
# ## 3.5 Looking for a learning rate
#
# The report names three learning rates: 0.0001 for the U-Net, 0.001 for the CNN, and, in its parameter analysis,
# 0.01 "so as to avoid any irregularities". Which of them is sensible? Ask the data. fastai's `lr_find` (Smith
# 2015) trains for a few steps while the learning rate grows from tiny to absurd, notes the loss at each, and then
# restores the weights. In the meantime it keeps them in a file, so it needs a folder it may write to: `learn.path`.

# %%
dls = dataloaders(photos, TRY_BATCH, seed=SEED, device=DEVICE)
nn.init.normal_(unet.head.weight, std=0.05) if recipe.resolution == "quarter" else None  # else it begins at gray
learn = training.LossLearner(dls, unet, dataclasses.replace(recipe, encoder_lr_mult=1, ema_decay=0))
with tempfile.TemporaryDirectory() as folder:
    learn.path = Path(folder)
    hint = learn.lr_find(start_lr=1e-6, end_lr=1, num_it=SEARCH_STEPS, show_plot=False).valley

# %%
report_lrs = {"U-Net": 1e-4, "CNN": 1e-3, '"Learning Rate"': 1e-2}
losses = torch.stack(learn.recorder.losses).cpu()
fig, ax = plt.subplots(figsize=(6, 2.6))
ax.semilogx(learn.recorder.lrs, losses, color="#0072B2")
for name, lr in report_lrs.items():
    ax.axvline(lr, color="#777777", ls=":")
    ax.text(lr, 1, f" {lr:g}\n {name}", va="top", fontsize=7, transform=ax.get_xaxis_transform())
ax.axvline(recipe.lr, color="#D55E00", lw=1)
ax.set(xlabel="learning rate (vermilion: this profile's recipe)", ylabel="L1, smoothed", yscale="log")
ax.yaxis.set(major_formatter="{x:.3g}", minor_formatter="{x:.3g}")
plt.close(fig)  # shown once, as the cell's value
print(f"lr_find's hint (on the longest fall): {hint:.1e}; the recipe's: {recipe.lr:g}")
fig

# %% [markdown]
# Read it from left to right: nothing happens, the loss falls, the loss flattens or jumps up. A sensible learning rate
# lies where it falls. The hint is only a hint. With few photos and few steps the curve is noisy, and the hint may be
# off by a factor of ten. The best value also depends on how long you train. `report` keeps the report's 0.0001, which
# is careful with pretrained weights; short profiles use 0.001 as the *top* of a one-cycle schedule, which warms up and
# cools down (Smith & Topin 2017). The report's 0.01 is most plausibly a slip, or belongs to a run that it does not
# show.

# %% [markdown]
# ## 3.6 Before and during training
#
# `lr_find` has restored the initial weights. We train for a few steps by hand, with L1 and Adam as in the report, and
# keep what the network answers for our photos at the start, on the way and at the end.

# %%
opt = torch.optim.Adam(unet.parameters(), lr=recipe.lr)
stream = islice(chain.from_iterable(repeat(dls.train)), HAND_STEPS)  # starts over when the photos are used up
predictions = {"before": predict(unet, L)}
for step, (x, y) in enumerate(stream, 1):
    loss = F.l1_loss(unet(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step in (HAND_STEPS // 3, HAND_STEPS):
        predictions[f"step {step}"] = predict(unet, L)

# %%
print(f"gray: L1 {ab.abs().mean():.4f}")
for name, prediction in predictions.items():
    print(f"{name}: L1 {F.l1_loss(prediction, ab):.4f}")
shown = {name: lab.to_rgb(L[:1], prediction[:1]) for name, prediction in predictions.items()}
figures.qualitative_grid(shown | {"ground_truth": ground_truth[:1]})

# %% [markdown]
# Before training the decoder is random, whatever the encoder knows, and the colors are arbitrary. The first thing
# that training does is to turn them **off**: gray is the quickest way to a small L1. Color comes later, if at all,
# and only where the network is sure of it. So compare each number with the gray one, not with zero. (The library's
# quarter U-Net skips this stage: the weights of its last layer begin at zero, so its first answer is gray. For this
# experiment we gave them other values.)

# %% [markdown]
# ## 3.7 Training it for real
#
# The library does the same with the recipe above: `load_or_train` looks for a finished run of exactly this recipe on
# exactly these photos (a hash of both is part of the run's name). If there is none, it trains one, and says after a few
# steps how long that will take. If it is interrupted, it goes on from the last complete epoch. To change the recipe,
# write for example `recipe = dataclasses.replace(recipe, lr=3e-4)`. That makes it a run of its own.

# %%
run = load_or_train("unet", profile, recipe=recipe, photos=photos)
print("run:", run.id)
run.history.tail()

# %%
fig = figures.loss_curves({"unet": run})
figures.save(fig, "unet_loss_curves", profile.outputs / "figures")
fig

# %% [markdown]
# The dashed line is the loss of a network that always answers gray. A curve that ends at it has learned nothing that
# shows; the distance *below* it is what was learned about color. Where the training loss goes on falling and the
# validation loss does not, the network is learning these photos by heart. (In the `smoke` profile a handful of crops is
# seen for seconds: its numbers prove that the machinery works and mean nothing else.)

# %%
history, gray_loss = run.history, run.record["gray_valid_loss"]
best, last = history.valid_loss.min(), history.iloc[-1]
print(f"{profile.name}: gray {gray_loss:.4f} · U-Net {best:.4f}, that is {best / gray_loss - 1:+.1%} from gray")
cnn = find_run(get_recipe("cnn", profile), photos, profile)
print(f"CNN of notebook 02: {cnn.history.valid_loss.min():.4f}" if cnn else "no CNN of notebook 02 here yet")

# %%
trained = run.model()
predictions["after"] = predict(trained, L)
columns = {"gray": gray} | {name: lab.to_rgb(L, prediction) for name, prediction in predictions.items()} | {"ground_truth": ground_truth}
figures.qualitative_grid(columns)

# %% [markdown]
# ## 3.8 What flows through the skips
#
# Now a look inside a network that can color: the one whose weights are in the repository. We send a photograph of the
# gallery (*picosdeeuropa* by Aitzol Berasategi, CC BY 4.0; squashed, and recolored below) through its encoder and keep
# the features at each resolution. In each row we show the six channels that vary most. The three middle rows cross over
# to the decoder; the last row is the bottom of the U.

# %%
_, pixels = decode(Item("mountains", repo_root() / "data" / "gallery" / "mountains.jpg"), pretrained_size)
mountains, true_ab = lab.photos_to_lab(pixels[None])
with torch.no_grad():
    features = by_hand.encoder.forward_intermediates(mountains, indices=5, intermediates_only=True)


def liveliest(f, side=128, n=6):
    """The n channels (C,h,w) that vary most, each scaled to [-1, 1], its pixels shown as squares."""
    f = f[f.std((1, 2), correction=0).topk(n).indices]
    f = f - f.amin((1, 2), keepdim=True)
    f = 2 * f / f.amax((1, 2), keepdim=True).clamp(min=1e-6) - 1
    return F.interpolate(f[None], size=(side, side))[0]


grid([liveliest(f[0]) for f in features], left=[f"{f.shape[-1]} px" for f in features])

# %% [markdown]
# The upper grids are fine: you recognize the photo and its edges. The lower ones are coarse: they say not *what is
# exactly where*, but *what is there at all*. The decoder needs both, and without skips it would get only the lowest
# row.
#
# ## 3.9 What the skips and ImageNet are worth
#
# We could switch the skips off in a trained network, but that would be unfair: it never learned to do without them. The
# fair way is to **train** each variant on the same photos for the same number of steps. There are three networks: ours,
# the same without skips (`off`: each skip carries only the mean of its channels, nothing of *where*), and the same with
# a random encoder. Here they are trained only briefly:

# %%
L_valid, ab_valid = next(batches(photos.valid, 64))


def trained_briefly(weights, off=()):
    """L1 on validation photos of our network after a few steps from these weights of the encoder, with skips switched off."""
    torch.manual_seed(SEED)
    net = Unet(imagenet_classifier("efficientnet_lite0", weights, in_chans=1)).to(DEVICE)
    nn.init.zeros_(net.head.weight)
    opt = torch.optim.Adam(net.parameters(), lr=1e-3)
    for x, y in islice(chain.from_iterable(repeat(dls.train)), HAND_STEPS):
        opt.zero_grad()
        F.l1_loss(net(x, off), y).backward()
        opt.step()
    net.eval()
    return float(F.l1_loss(predict(lambda L: net(L.to(DEVICE), off).cpu(), L_valid), ab_valid))


variants = {"ImageNet, skips": ("imagenet", ()), "ImageNet, no skips": ("imagenet", (0, 1, 2)),
            "random encoder, skips": (None, ())}
for name, variant in variants.items():
    print(f"{name:22} L1 {trained_briefly(*variant):.4f} after {HAND_STEPS} steps")

# %% [markdown]
# A few steps on a handful of crops tell us nothing, whatever these numbers say. *Read from `results/`, not computed
# here*: the same comparison on 7,125 photos at 64 px, two epochs, three seeds each, by
# `benchmarks/skips_and_encoder.py` on two CPU cores. (The cases differ in one more thing: a pretrained encoder learns
# at 0.3 of the rate, the random one at the full rate, since it knows nothing that haste could spoil.)

# %%
study = pd.read_csv(repo_root() / "results" / "cpu" / "skips_and_encoder.csv")
ends = study[study["epoch"] == study["epoch"].max()].groupby("case")["valid_loss"].agg(["mean", "min", "max", "count"])
print(f"validation L1 after {study['epoch'].max()} epochs; gray {study['gray'].iloc[0]:.4f}; "
      f"{study['seconds'].sum() / 60:.0f} minutes for all")
ends.round(4)


# %%
@figures.figure("Validation L1 by epoch: with and without skips, with ImageNet's encoder and a random one; a line a seed.")
def compared():
    fig, ax = plt.subplots(figsize=(4.2, 2.6))
    colors = dict(zip(variants, ("#0072B2", "#56B4E9", "#B5446E")))
    for (name, seed), run in study.groupby(["case", "seed"]):
        label = name if seed == study["seed"].min() else None
        ax.plot(run["epoch"], run["valid_loss"], "o-", color=colors[name], label=label)
    ax.axhline(study["gray"].iloc[0], color="#777777", ls="--", label="gray")
    ax.set(xlabel="epoch", ylabel="validation L1", xticks=sorted(study["epoch"].unique()))
    ax.legend(loc="center right", bbox_to_anchor=(1, 0.72))
    return fig


compared()

# %% [markdown]
# Ours ends at about 0.080, with every seed. Without skips it ends at 0.083, and with skips but a random encoder it
# does, too. So skips and ImageNet are worth about the same, and either alone gets only two thirds as far below gray as
# both together. The seeds of one case differ far less than ours differs from the other two. (Two epochs are few: given
# more, a random encoder would probably catch up a little.)

# %% [markdown]
# ## 3.10 Longer, or different? The control
#
# Notebook 04 takes this U-Net and trains it on against an adversary (in the report for 20 epochs again). If its result
# is better, is the adversary the reason, or the longer training? The report does not say, and nobody could: it has no
# **control**. Ours is the stage `unet_long`: the same U-Net, the same number of further epochs with the same rates and the
# same β₁, but with L1 alone. Notebook 05 trains it and puts it into the table beside the cGAN, so that only the
# adversary differs between the two rows. (For both, the last epoch is scored.)

# %%
rows = [dataclasses.asdict(get_recipe(model, profile)) for model in ("unet", "unet_long", "cgan")]
pd.DataFrame(rows).set_index("model").dropna(axis=1, how="all").T

# %% [markdown]
# ## 3.11 What the report says, and contradicts
#
# * The text says *"Achieved a L1 loss of 0.07586"*, the table gives a test MAE of **0.0846**: 12% apart for what should
#   be the same quantity. The smaller number may be the training loss. In that case the network had begun to learn its
#   photos by heart. The next cell shows how far training and validation are apart in *your* run.
# * At 20 epochs the text says *"After which … no further reductions in losses"*. The control will show whether that is
#   so.
# * The number that makes 0.0846 readable appears nowhere: **gray scores about 0.089** on COCO photos (measured: 0.0890
#   on 2,000 of them at 256 px). The U-Net's reported gain over an answer without any color is then about 5%.

# %%
print(f"the report: test / text = {0.0846 / 0.07586:.3f}")
print(f"this run, last epoch: valid / train = {last.valid_loss / last.train_loss:.3f}")
print(f"the report's U-Net, measured by the gray prediction: {1 - 0.0846 / 0.0890:.1%} below it")

# %% [markdown]
# ## 3.12 The quoted run
#
# *Read from `results/`, not computed here:* the U-Net that the README quotes, trained with more photos and patience
# than a notebook in `smoke` has.

# %%
published = runs.published().get("unet")
if published:
    r = published.record
    print(f"{r['run']}: profile {r['profile']}, {r['train']:,} photos at {r['size']} px, "
          f"seed {published.recipe.seed}, {r['device']}, {r['minutes']:.1f} min, encoder: {published.recipe.weights or 'random'}")
    print(published_score(published), "(and 0.07586, an L1 loss)")
else:
    print("no published run in results/ yet")
figures.loss_curves({"unet": published}) if published else None

# %% [markdown]
# Its weights are in the repository, and so are those of the CNN of notebook 02. Compare the sky, the meadow and the
# fig. The photographs are those of `data/gallery`, which no model was trained on (authors and licenses there;
# recolored here).

# %%
photographs = gallery_photos(240)
rows = {name: colorize_all(photographs, *pretrained_model(name)[:2]) for name in ("cnn", "unet")}
figures.across(rows | {"ground_truth": photographs})

# %% [markdown]
# ## Summary
#
# * Color may be coarse, even at a quarter of the resolution; its edges may not. Skip connections bring the encoder's
#   fine grids to the decoder.
# * ImageNet weights are knowledge from another task: an encoder that names a cat in gray knows much about its color.
#   The first convolution reads gray exactly, with the **sum** of its RGB filters. Test whether the weights were really
#   loaded, because a random encoder trains without complaint.
# * `lr_find` shows where the loss falls. It gives a range, not a number.
# * A loss is read beside gray's. L1 first learns to answer gray, and is in no hurry to leave it. Notebook 04 brings in
#   somebody who is not content with gray.
#
# ## Exercises
#
# 1. **Which skip matters?** Switch the skips off one at a time for *all* validation photos and compare the L1 with
#    that of gray. Which one would you keep, if you could keep only one?
# 2. **The report's three learning rates.** Train one epoch each at 0.01, 0.001 and 0.0001 with a constant schedule
#    (`dataclasses.replace`). Which ends lowest? Does it agree with `lr_find`?
# 3. **Is the encoder worth training?** Freeze it (`requires_grad_(False)` on `unet.encoder`) and train the decoder alone for the
#    same steps. In `class` or `report`, do it with ImageNet weights and with random ones: four cases.
#
# Solutions: `notebooks/solutions/03_solutions.ipynb`.
