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
# # 2 · The baseline: an encoder-decoder CNN
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/02_cnn_baseline.ipynb)
#
# Our first model that colors is a plain convolutional network, trained with the plainest loss there is. It
# learns something, and what it learns is mostly brown. Why it *must* be brown is the main lesson of this
# notebook.
#
# **You will learn**
#
# - how to write an encoder-decoder in two cells, and what it loses on its way through the middle;
# - what L1, L2 and an adversary answer when one gray could have been several colors;
# - how to write a training loop, and that the library's loop computes the same;
# - how to read a loss curve against the error of doing nothing, and how to measure "brown".
#
# **Before this:** [notebook 01](01_data_prep.ipynb) (Lab, the gray baseline). **Minutes:** printed by the next
# cell. **Downloads:** none in `smoke`; in `class` and `report` the photos of notebook 01, if they are not here
# yet (3.2 GB, about nine minutes at 50 Mbit/s, plus unpacking).

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
# The constants of this notebook. `recipe` is your profile's row in the course's table of recipes, and the
# commented line shows how to change it. A changed recipe becomes a run of its own; it overwrites nothing.

# %%
import dataclasses

from g2g.profiles import get_recipe, repo_root

SEED = 42
HAND_STEPS = 24  # training steps by hand, rounded up to whole epochs
recipe = get_recipe("cnn", profile)
# recipe = dataclasses.replace(recipe, epochs=10, lr=1e-3, width=32)
recipe

# %% [markdown]
# The report trained its CNN with Adam and a learning rate of 0.001 for 100 epochs. Elsewhere it gives 0.01 as
# *the* learning rate; the `report` profile takes 0.001. The shorter profiles use a rate that rises and falls
# once (*one-cycle*, [Smith & Topin 2017](https://arxiv.org/abs/1708.07120)), which gets further when epochs
# are few.

# %%
import tempfile
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from fastai.vision.all import patch
from IPython.display import SVG
from torch import nn

from g2g import evaluation, figures, lab, metrics, runs, training
from g2g.colorize import colorize_all
from g2g.data import batches, dataloaders, prepare
from g2g.models import count_parameters, predict
from g2g.photos import gallery_photos
from g2g.runs import load_or_train, pretrained_model, published_score
from g2g.training import get_device

# %% [markdown]
# ## 2.1 The network, by hand
#
# The encoder convolves and halves the picture four times. The decoder doubles it four times and convolves.
# Between them sits the *latent*: many channels, few pixels. The last layer gives two planes, a and b, and a
# tanh keeps them between −1 and 1. The diagram shows the network of the `report` profile, with photos of
# 256 px.

# %%
SVG(filename=str(repo_root() / "docs/networks/encoder_decoder.svg"))

# %% [markdown]
# Its one building block: a 3 × 3 convolution that keeps the size, batch norm, and a ReLU.

# %%
def block(channels_in, channels_out):
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU())

# %% [markdown]
# Now the parts. On the way down the channels double while the size halves; on the way up it is the other way
# round. `Upsample` repeats each pixel, and the convolution after it smooths the result. (A transposed
# convolution would do both at once, but it leaves checkerboard patterns,
# [Odena et al. 2016](https://distill.pub/2016/deconv-checkerboard/).)

# %%
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

# %% [markdown]
# And the way through them. `patch` adds a method to a class that already exists.

# %%
@patch
def forward(self: CNN, L):
    return self.output(self.decoder(self.latent(self.encoder(L))))

# %% [markdown]
# That is the whole network. Is it the same as the library's? The weights of the CNN that this course quotes
# are in the repository. Load them into both networks and compare the answers.

# %%
pretrained, pretrained_size, sentence = pretrained_model("cnn")
by_hand = CNN(pretrained.latent[0].out_channels // 8).eval()
by_hand.load_state_dict(pretrained.state_dict())
x = torch.rand(2, 1, pretrained_size, pretrained_size) * 2 - 1
torch.testing.assert_close(predict(by_hand, x), predict(pretrained, x))
print("the library's:", sentence)
print("the network written by hand predicts the same")

# %% [markdown]
# Here is yours, untrained: channels, height and width after each stage, and where the parameters are. Most of
# them sit around the latent, where there are the most channels.

# %%
torch.manual_seed(SEED)
model = CNN(recipe.width)
x = torch.zeros(1, 1, profile.size, profile.size)
print(f"{'L':10} {tuple(x.shape[1:])}")
model.eval()
for part in [*model.encoder, model.latent, *model.decoder, model.output]:
    x = part(x)
    print(f"{'->':10} {str(tuple(x.shape[1:])):16} {count_parameters(part):>10,} parameters")
print(f"in all {count_parameters(model):,}")

# %% [markdown]
# One pixel of the latent stands for $16 \times 16$ pixels of the photo. Everything the decoder paints has to
# pass through there, and there are **no skip connections** around it, so the decoder cannot know exactly where
# an outline runs. For color that is a smaller loss than it sounds. The outlines are in L, and L is given: it
# is joined with the answer, not predicted. Still, watch for colors that spill over edges. The U-Net of
# notebook 03 gets skips.
#
# ## 2.2 A toy: one gray, several colors
#
# Before any training, a question that needs no network. In a gray photo you see a jacket of lightness
# $L^* = 50$. Of all jackets that look like this in gray, **60% are red and 40% are blue**. You may give *one*
# answer (a\*, b\*). Which answer has the lowest expected loss?

# %%
red, blue, green = torch.tensor([[60.0, 40.0], [5.0, -45.0], [-40.0, 45.0]])  # a*, b* of three colors
colors, fraction = torch.stack([red, blue]), torch.tensor([0.6, 0.4])


def swatch(ab, L=50.0):
    return lab.lab_to_rgb(torch.tensor([L, *ab]).view(3, 1, 1)).expand(3, 40, 40)

# %% [markdown]
# Let an optimizer find it, as if it trained a network: compute the expected loss and go downhill. Here the
# "network" is a single pair of numbers, `guess`.

# %%
def best_prediction(loss, colors, fraction, steps=300):
    guess = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([guess])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2 * (1 - step / steps)
        errors = loss(guess.expand_as(colors), colors, reduction="none").mean(1)
        expected = (fraction * errors).sum()
        optimizer.zero_grad(), expected.backward(), optimizer.step()
    return guess.detach()


l1, l2 = (best_prediction(loss, colors, fraction) for loss in (F.l1_loss, F.mse_loss))
print("L1 predicts", l1.round().tolist(), " L2 predicts", l2.round().tolist())

# %%
figures.image_row([swatch(c) for c in (red, blue, l1, l2)], ["60% are", "40% are", "L1 predicts", "L2 predicts"])

# %% [markdown]
# **L2 answers with the mean**, a 60 : 40 mixture that no jacket has. **L1 answers with the median**, and of two
# colors the median is simply the more frequent one. The expected loss along the straight line from blue to
# red shows both: L2 has its valley in between, while L1 falls all the way to the majority.

# %%
t = torch.linspace(0, 1, 101)
errors = blue + t[:, None, None] * (red - blue) - colors  # (101 guesses, 2 colors, a and b)
fig, ax = plt.subplots(figsize=(5, 2.4))
for name, value in (("L1", errors.abs()), ("L2", errors**2)):
    curve = value.mean(2) @ fraction
    ax.plot(t, curve / curve.max(), label=f"{name}, lowest at {t[curve.argmin()]:.2f}")
ax.set(xlabel="guess, from blue (0) to red (1)", ylabel="expected loss, scaled")
ax.legend()
plt.show()

# %% [markdown]
# So L1 does not mix; it takes a vote. Where, then, does the brown come from? From votes **without a
# majority**. Let the jackets be red (40%), blue (35%) and green (25%). The loss treats a\* and b\* separately,
# so a vote is held *on each axis*, and the value in the middle wins: of {−40, 5, 60} for a\*, and of
# {−45, 40, 45} for b\*.

# %%
colors, fraction = torch.stack([red, blue, green]), torch.tensor([0.4, 0.35, 0.25])
l1, l2 = (best_prediction(loss, colors, fraction) for loss in (F.l1_loss, F.mse_loss))
print("L1 predicts", l1.round().tolist(), " L2 predicts", l2.round().tolist())
titles = ["40% are", "35% are", "25% are", "L1 predicts", "L2 predicts"]
figures.image_row([swatch(c) for c in (red, blue, green, l1, l2)], titles)

# %% [markdown]
# There it is: the a\* of the blue jacket with the b\* of the red one, **a brown that nobody has ever worn**,
# and by L1 it is the *best* answer. Nothing is wrong with the optimizer, and a bigger network would find the
# same. In photos one gray can stand for countless colors, not just three. They spread around a center that
# is gray and slightly warm (see the histogram of notebook 01), and that is where their median lies.
#
# ### An adversary does not average
#
# Now replace the loss with an opponent. A small network D looks at colors and learns to tell real jackets
# from our guess; we move the guess to where D says "real". A mean or a median is no longer a refuge, because
# D has never seen a real jacket there. This is the smallest possible GAN
# ([Goodfellow et al. 2014](https://arxiv.org/abs/1406.2661)). A little noise on both sides blurs real and fake
# alike, so that D is a slope and not a cliff.

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
# `softplus(-D)` is the cross-entropy for the label "real". The guess starts from L1's answer, the brown, just
# as the course's cGAN starts from a network trained with L1. Here are its paths for three seeds:

# %%
paths = [adversary(l1, colors, fraction, seed) for seed in (0, 1, 2)]
fig, ax = plt.subplots(figsize=(4.2, 3.8))
for path in paths:
    ax.plot(*path.T, color="#555555", lw=1)
for name, ab in {"40%": red, "35%": blue, "25%": green, "L1": l1, "L2": l2}.items():
    ax.scatter(*ab, s=160, color=swatch(ab)[:, 0, 0].tolist(), edgecolor="black", zorder=3)
    ax.annotate(name, ab, (9, 6), textcoords="offset points")
ax.set(xlabel="a*", ylabel="b*", xlim=(-80, 95), ylim=(-65, 70))
plt.show()

# %%
figures.image_row([swatch(path[-1]) for path in paths], [f"adversary, seed {seed}" for seed in (0, 1, 2)])

# %% [markdown]
# Each time the guess leaves the brown and settles on **one** of the real colors. *Which* one is a matter of
# chance: the adversary asks for a possible jacket, not for the right one, and its expected L1 error is higher
# than brown's. That is the conflict of this whole course in one picture: a low error and a convincing color
# are two different goals. (And a warning: a convincing color is still invented. In a historical photo or a
# medical picture it must not pass for a record.)
#
# | a single answer that minimizes | is | looks |
# |---|---|---|
# | L2 | the mean | mixed, dull |
# | L1 | the median of a and of b | the majority's color if there is one, else gray-brown |
# | the adversary's doubt | one of the real colors | vivid, possibly wrong |
#
# ## 2.3 Before training
#
# Now the real network. Photos and batches come from notebook 01. Numbers come from the **validation** photos, which no
# training step uses. (In `smoke` that means little: they are other crops of the very photographs that the network
# trains on.) The pictures are two of [data/gallery](../data/gallery/README.md), the fig by Trevor "Freespace" and the
# meadow by Aitzol Berasategi, CC BY 4.0, recolored; no profile trains on those.

# %%
photos = prepare(profile)
print(photos)
device = get_device()
dls = dataloaders(photos, recipe.batch_size, seed=SEED, device=device)
L_valid, ab_valid = (torch.cat(x) for x in zip(*batches(photos.valid), strict=True))
gray_mae = ab_valid.abs().mean().item()
print(f"gray, the prediction ab = 0, scores {gray_mae:.4f} on the validation photos")

# %%
L_few, ab_few = lab.photos_to_lab(np.stack(gallery_photos(photos.size)[2:4]))
columns = {"gray": lab.to_rgb(L_few, 0 * ab_few)}
columns["untrained"] = lab.to_rgb(L_few, predict(model, L_few))
figures.qualitative_grid(columns | {"ground_truth": lab.to_rgb(L_few, ab_few)})

# %% [markdown]
# The untrained network paints one tint nearly everywhere; it comes from the random weights alone. Gray is the
# answer to beat. A few steps will bring the loss *near* the dashed line of the next plot; getting below that
# line is the hard part.
#
# ## 2.4 Training by hand
#
# The loop has six lines: take a batch, predict, compare, compute gradients, step, note the loss. The loss is
# $\mathcal{L}_1 = \frac1N\sum\left|\widehat{ab} - ab\right|$, the mean over the pixels, both planes and all
# photos of the batch.

# %%
hand_epochs = -(-HAND_STEPS // len(dls.train))  # rounded up
model = model.to(device, memory_format=torch.channels_last).train()  # as the library does: quicker
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
ax.axhline(gray_mae, color="#777777", ls="--", lw=1, label="gray (validation)")
ax.set(xlabel="step", ylabel="L1 of ab/110")
ax.legend()
plt.show()

# %% [markdown]
# The curve is jagged because each step sees different photos, some more colorful than others. The library
# runs the same loop inside a fastai `Learner`, which adds checkpoints, histories and mixed precision. Is it
# really the same? Train the library's CNN for as many epochs from the same seed, leaving out what only some recipes use
# (crops, weight decay, averaged weights), and compare the answers:

# %%
plain = dataclasses.replace(recipe, seed=SEED, epochs=hand_epochs, lr=1e-3, schedule="constant",
                            min_crop_side=1.0, weight_decay=0.0, ema_decay=0.0)
learn = runs.learner(plain, photos)
with tempfile.TemporaryDirectory() as folder:
    history = training.fit(learn, folder)
by_hand, by_library = (predict(m, L_few) for m in (model, learn.model))
print(f"largest difference of ab: {(by_hand - by_library).abs().max():.1e}")

# %% [markdown]
# On a CPU the difference is zero. On a GPU the library computes in half precision and our loop does not, so
# the two drift apart a little, as two seeds would.
#
# ## 2.5 Training for real
#
# `load_or_train` looks for a finished run of exactly this recipe on exactly these photos, here and among the pretrained
# ones. If there is none, it trains. After a few steps it says how long that will take, and after every epoch it leaves a
# checkpoint: interrupt it, run the cell again, and it carries on from there.

# %%
run = load_or_train("cnn", profile, recipe=recipe, photos=photos)
print("run", run.id)
run.history.tail(3)

# %%
curves = figures.loss_curves(run)
figures.save(curves, "cnn_loss_curves", profile.outputs / "figures")
curves

# %% [markdown]
# How to read it: the *dashed gray* line is the validation error of no color at all. A curve below it has
# learned something, and the distance says how much. *Dotted* is training, *solid* is validation. While both
# fall, the network learns. When the training loss keeps falling but the validation loss turns up, it memorizes;
# 100 epochs give it time for that. The run keeps two sets of weights, those of the best epoch and those of the last:

# %%
best = run.history.loc[run.history["valid_loss"].idxmin()]
last = run.history.iloc[-1]
print(f"best: epoch {best['epoch']:.0f}, validation L1 {best['valid_loss']:.4f}")
print(f"last: epoch {last['epoch']:.0f}, validation L1 {last['valid_loss']:.4f}")
print(f"gray: {run.record['gray_valid_loss']:.4f}")

# %% [markdown]
# And the pictures: untrained, after our steps by hand, and trained.

# %%
cnn = run.model("best", device)
columns[f"{len(losses)} steps"] = lab.to_rgb(L_few, predict(model, L_few))
columns["cnn"] = lab.to_rgb(L_few, predict(cnn, L_few))
if profile.name == "smoke":
    print("smoke profile: trained on crops of four photographs for seconds; this only shows that it runs")
figures.qualitative_grid(columns | {"ground_truth": lab.to_rgb(L_few, ab_few)})

# %% [markdown]
# ## 2.6 How brown is it?
#
# The report calls its CNN's pictures "desaturated, brownish". Let us put numbers on that. First the scores,
# averaged over the validation photos, with gray beside them. `colorfulness` is the measure of Hasler and
# Süsstrunk (2003), 0 for gray and about 100 for vivid colors. `delta_e` is CIEDE2000, a difference between two
# colors as we see it.

# %%
compared = {"gray": evaluation.gray(), f"{len(losses)} steps": model, "cnn": cnn}
scores = {name: evaluation.score(m, photos, "valid", show=False) for name, m in compared.items()}
shown = ["mae", "mae_gray_pixels", "mae_colorful_pixels", "delta_e", "colorfulness", "colorfulness_ground_truth"]
pd.DataFrame({name: table[shown].mean() for name, table in scores.items()}).T.round(4)

# %% [markdown]
# Compare the last two columns: how much of the true color does the answer show? Then compare the errors on
# gray and on colorful pixels. Where the truth is gray, the gray answer is unbeatable; whatever a model gains,
# it gains on the colorful pixels.
#
# Now the colors themselves. Where do they lie in the plane of a\* and b\*?

# %%
ab_cnn = predict(cnn, L_valid)
figures.ab_histograms({"ground_truth": ab_valid, "cnn": ab_cnn})

# %%
for name, ab in (("ground truth", ab_valid), ("CNN", ab_cnn)):
    a_mean, b_mean = 110 * ab.mean((0, 2, 3))
    warm, vivid = (ab.sum(1) > 0).float().mean(), (metrics.chroma(ab) > 20).float().mean()
    print(f"{name:12} mean a* {a_mean:5.1f}, mean b* {b_mean:5.1f}, chroma {metrics.chroma(ab).mean():4.1f}, "
          f"a* + b* > 0: {warm:.0%}, chroma above 20: {vivid:.0%}")

# %% [markdown]
# A model trained with L1 on enough photos keeps close to the center: its chroma is lower than the truth's, the
# rare and vivid colors (the blue of a car, the green of a shirt) are missing, and warm ones (a\* + b\* > 0)
# tend to win the vote. It is the toy's median, a million times over. After seconds on a handful of crops, as in
# `smoke`, anything may happen.
#
# ## 2.7 The run that the course quotes
#
# *Read from `results/`, not computed here:* a longer run on real photos, beside the report's number.

# %%
published = runs.published().get("cnn")
if published:
    r = published.record
    print(f"{published.recipe.model} of profile {r['profile']}: {r['train']:,} photos at {r['size']} px, "
          f"{published.recipe.epochs} epochs, seed {published.recipe.seed}, {r['minutes']:.0f} min on {r['device']}")
    print(published_score(published))
else:
    print("no published run in results/ yet")
figures.loss_curves(published) if published else None

# %% [markdown]
# Its weights are in the repository, so we can look at its colors. The photographs are those of
# [data/gallery](../data/gallery/README.md), which no model was trained on (authors and licenses there;
# recolored here).

# %%
photographs = gallery_photos(240)
figures.across({"cnn": colorize_all(photographs, pretrained, pretrained_size), "ground_truth": photographs})

# %% [markdown]
# There is the brown. In numbers, on the 2,000 test photos: its pictures are 33% as colorful as the truth, and
# 52% of their colored pixels are orange to yellow, against 39% in the truth (`results/cpu/claims.md`).
#
# **The report** gives a test MAE of **0.0848** after 100 epochs on 8,000 COCO photos at 256 px. It does not say
# what it divided ab by. If it was 110, as here, then gray scores about 0.089 on such photos: 0.0889 on our
# 2,000 at 128 px, and the best constant color 0.0860. The report's CNN is then about 5% better than no color
# at all. That is a small step, and a table without a gray row does not show it.
#
# One more thing. The report gives 0.0848 twice: as the CNN's *validation loss* and as its *test MAE*. Two
# different sets of photos are unlikely to agree to four digits, so there was probably one set, used for both.
# The best epoch may then have been chosen on the very photos that judge it. It is an easy mistake to make, and
# the reason why this course keeps three sets apart.
#
# ## Summary
#
# - An encoder-decoder squeezes the photo into a grid 16 times coarser and paints from there; L brings the
#   outlines back.
# - Where one gray could be several colors, **L2 answers with the mean, L1 with the median, and an adversary
#   with one of them**. Brown is the best answer to the question that L1 asks.
# - Training takes six lines. The library adds what a long run needs, and computes the same.
# - Read a loss against gray's, and a coloring also by how colorful it is.
#
# ## Exercises
#
# 1. **Three votes.** Predict, then check with `answer`, what L1 says for red (1/3), green (1/3) and blue
#    (1/3); for red (51%) and blue (49%); for red and blue at exactly one half each. Why is the last one
#    odd?
# 2. **Train with L2.** Repeat the loop of 2.4 with `F.mse_loss` from the same initial weights. Which
#    network is more colorful after the same steps, which has the lower MAE?
# 3. **A narrower latent.** Make a recipe with half the `width` by `dataclasses.replace` and train it with
#    `load_or_train`. How many parameters are left, and what does validation say? `runs.list_runs(profile)`
#    lists both runs.
#
# [Solutions](solutions/02_solutions.ipynb) · Next: [notebook 03](03_unet_finetune.ipynb) gives the network skip
# connections, and an encoder that has seen ImageNet.
