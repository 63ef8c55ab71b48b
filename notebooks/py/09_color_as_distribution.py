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
# # 9 · Color as a distribution
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/09_color_as_distribution.ipynb)
#
# A jacket is red in six photos of ten and blue in four. A network that predicts a single color has to take a vote or mix the
# two (notebook 02). The network of this chapter predicts how likely each color is. Which one to paint is a second question,
# decided after training.
#
# **You will learn**
#
# - how coloring becomes classification (Zhang, Isola & Efros 2016), and why rare colors need class weights;
# - how to paint from a distribution, and how to draw several colorings of one photo;
# - how to see where a network does not know the color.
#
# **Before this:** notebook 03, whose network we extend, and notebook 02 for the jacket. **Minutes:** printed by the next cell.
#
# > **In the `smoke` profile** the model of 9.5 trains for seconds on a few crops, and its numbers mean nothing. From 9.6 on,
# > every profile shows the published model.

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
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import SVG
from torch import nn

from g2g import figures, lab, palette
from g2g.colorize import colorize_all
from g2g.data import prepare
from g2g.photos import gallery_photo
from g2g.profiles import get_recipe, repo_root
from g2g.runs import load_or_train, pretrained_model, published, published_score
from g2g.training import get_device

DEVICE = get_device()  # the GPU if there is one
SIZE = published()["palette"].record["size"]  # px at which the published model was trained
photos = prepare(profile)

# %% [markdown]
# ## 9.1 Two hundred and sixty colors
#
# Lightness is given, so a color is a point (a\*, b\*) in a plane. We lay a grid over the plane, with one point every ten
# units, and keep each point that is the nearest one for some color that a screen can show. These points are the *bins*.

# %%
steps = torch.linspace(0, 1, 52)
cube = torch.cartesian_prod(steps, steps, steps).T[:, None]  # (3, 1, 140608): colors of sRGB
_, a, b = lab.rgb_to_lab(cube)
nearest = torch.stack([a.flatten(), b.flatten()], dim=1).div(10).round()
bins = 10 * nearest.unique(dim=0)
print(f"{len(bins)} bins")


# %%
def on_the_plane(ax, sizes, title):
    """The bins as dots in their own colors at L* = 60, of these sizes."""
    L = torch.full((len(bins), 1, 1), 60.0)
    colors = lab.lab_to_rgb(torch.cat([L, bins[:, :, None]], dim=1).permute(1, 0, 2))
    ax.scatter(*bins.T, s=sizes, c=colors[:, :, 0].T.numpy(), edgecolor="#999999", linewidth=0.2)
    ax.set(title=title, xlabel="a*", ylabel="b*", xlim=(-115, 115), ylim=(-115, 115), aspect="equal")


fig, ax = plt.subplots(figsize=(3.6, 3.6))
on_the_plane(ax, 28, "the bins")
plt.show()

# %% [markdown]
# Is a grid of ten units fine enough? We paint each pixel in the color of its nearest bin, at a quarter of the resolution.
# (Photographs: `data/gallery`, with authors and licenses there. No network has trained on them.)

# %%
def gallery(name):
    """The same as L (1,1,SIZE,SIZE) and ab (1,2,SIZE,SIZE)."""
    return lab.photos_to_lab(gallery_photo(name, SIZE)[None])


# %%
L, ab = gallery("fig")
quarter = F.avg_pool2d(ab, 4)
to_nearest = torch.cdist(quarter[0].flatten(1).T * 110, bins).argmin(dim=1)
coarse = bins[to_nearest].T.view(1, 2, *quarter.shape[2:]) / 110
pictures = [ab, *(F.interpolate(x, size=SIZE, mode="bilinear") for x in (quarter, coarse))]
names = ["ground truth", "a quarter of the resolution", "and the nearest bin"]
figures.image_row([lab.to_rgb(L, picture)[0] for picture in pictures], names)

# %% [markdown]
# The lower resolution blurs the color along the rim of the plate. The bins add a few flat patches of a brighter red.
#
# ## 9.2 Few colors are frequent
#
# **Predict.** Which fraction of the pixels in our training photos has a strong color, say a chroma above 40?
#
# <details><summary>Answer</summary>The last line printed below.</details>

# %%
prior, chroma = palette.prior(photos.train), bins.norm(dim=1)
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.3))
on_the_plane(left, 1500 * prior, "area: how often a bin occurs")
right.semilogy(prior.sort(descending=True).values, color=figures.color("palette"))
right.set(title="the same, sorted", xlabel="bin", ylabel="fraction of the pixels")
plt.show()
for low, high in ((0, 15), (15, 40), (40, 150)):
    inside = (chroma >= low) & (chroma < high)
    print(f"chroma {low:3} to {high:3}: {inside.sum():3} bins hold {prior[inside].sum():6.1%} of all pixels")

# %% [markdown]
# A few bins around gray hold a large part of the pixels, and most bins hold next to none. A network that minimizes its average
# loss learns the frequent bins. It may be wrong about every strawberry, and its average will hardly change.
#
# ## 9.3 The target of one pixel
#
# With a plain class label the neighboring bin would be as wrong as the opposite color. Zhang et al. spread each color over its
# **five nearest bins**, by a Gaussian of their distance:
#
# $$y_q \propto \exp\left(-\frac{\lVert (a^*, b^*) - \text{bin}_q \rVert^2}{2 \cdot 5^2}\right), \qquad \sum_q y_q = 1 .$$

# %%
color = torch.tensor([23.0, 38.0])  # a*, b*
distances, which = (bins - color).norm(dim=1).topk(5, largest=False)
y = torch.zeros(len(bins))
y[which] = torch.exp(-(distances**2) / (2 * 5**2))
y = y / y.sum()  # the soft target
fig, ax = plt.subplots(figsize=(3.2, 3.2))
on_the_plane(ax, 10 + 400 * y, "one color (cross), shared by five bins")
ax.plot(*color, "kx")
ax.set(xlim=(-10, 60), ylim=(5, 75))
plt.show()

# %% [markdown]
# ## 9.4 Class weights
#
# To make rare colors count, a mistake in a bin is weighted by the inverse of the bin's frequency $p_q$, after a fraction
# $u = \tfrac12$ of the uniform distribution has been mixed in.
#
# $$w_q \propto \bigl((1 - u)\, p_q + u \cdot \tfrac{1}{260}\bigr)^{-1}, \qquad \sum_q p_q\, w_q = 1 .$$

# %%
weights = 1 / (0.5 * prior + 0.5 / len(bins))
weights = weights / (prior * weights).sum()
rows = {}
for name, ab_of in {"gray": (0, 0), "skin": (20, 20), "leaves": (-20, 30), "sky": (-10, -30), "red": (60, 40)}.items():
    q = (bins == torch.tensor(ab_of)).all(dim=1)
    rows[name] = (f"{prior[q].item():.4%}", f"{weights[q].item():.2f}")
pd.DataFrame(rows, ["fraction of the pixels", "weight of a mistake"]).T

# %% [markdown]
# ## 9.5 Another head for the U-Net
#
# Only the last layer changes: at each point of the quarter-size grid there are now 260 logits in place of two numbers. The
# other weights start as those of the trained U-Net. (Channels in bold; sizes for a photo of 192 px. The bars are a sketch,
# and the two parameters under the arrow are the subject of section 9.6.)

# %%
SVG(filename=str(repo_root() / "docs/networks/palette.svg"))

# %% [markdown]
# The loss is the cross-entropy between the soft target $y$ and the softmax $\hat p$ of the logits, with each bin counted by
# its weight: $-\sum_q w_q\, y_q \log \hat p_q$, averaged over pixels.

# %%
unet, *_ = pretrained_model("unet")
unet.head = nn.Conv2d(64, len(bins), 1)
with torch.no_grad():
    logits = unet.quarter(L)
print("L", tuple(L.shape[1:]), "-> logits", tuple(logits.shape[1:]))

# %%
target = palette.soft_targets(quarter)
terms = weights.view(1, -1, 1, 1) * target * logits.log_softmax(dim=1)
loss = -terms.sum(dim=1).mean()
print(f"by hand {loss:.6f}, PyTorch's cross-entropy {F.cross_entropy(logits, target, weight=weights):.6f}")

# %% [markdown]
# The minimum of this loss is at $\hat p_q \propto w_q\, y_q$: the network learns the distribution of colors **as if rare colors
# were frequent**. These weights can be divided out again later.

# %%
recipe = get_recipe("palette", profile)
fields = {"epochs": "epochs", "learning rate": "lr", "batch size": "batch_size", "starts from": "init_from",
          "uniform fraction u": "uniform"}
pd.Series({name: getattr(recipe, field) for name, field in fields.items()}).to_frame("recipe")

# %%
run = load_or_train("palette", profile, recipe=recipe, photos=photos)
print("run:", run.id)
columns = {"train_loss": "training: cross-entropy", "valid_loss": "validation: L1 of ab"}
run.history.set_index("epoch")[list(columns)].rename(columns=columns).tail(3)

# %% [markdown]
# The two losses measure different things. From here on we use the published model.

# %%
net, size, sentence = pretrained_model("palette")
net = net.to(DEVICE)
print(sentence)

# %% [markdown]
# ## 9.6 From a distribution to a color
#
# The likeliest bin jumps between neighboring pixels, and the mean mixes red and blue. Zhang et al. take the mean of a
# **sharpened** distribution: they divide the logits by a temperature $T$ before the softmax. $T = 1$ gives the plain mean,
# and $T \to 0$ approaches the likeliest bin. They chose 0.38.

# %%
def annealed_mean(logits, T):
    p = (logits / T).softmax(dim=1)  # (B,260,h,w)
    return torch.einsum("bqhw,qc->bchw", p, bins.to(p)) / 110


# %% [markdown]
# The second parameter, `rebalancing`, says how much of the class weights is left in. With 1 the network paints as trained. With
# 0 the weights are divided out: $\hat p_q / w_q$, normalized, is the distribution that it expects in real photos.
#
# **Predict.** Which of the two parameters changes the pictures more: the temperature from 0.05 to 1, or rebalancing from 1
# to 0?

# %%
def painted(names, temperature, rebalancing):
    """Photographs in the colors of the palette with these parameters."""
    net.temperature, net.rebalancing = temperature, rebalancing
    return colorize_all([gallery_photo(name, 400) for name in names], net, SIZE)


# %%
settings = {"T = 0.05": (0.05, 1.0), "T = 0.38": (0.38, 1.0), "T = 1": (1.0, 1.0)}
settings |= {"rebalancing 1": (0.38, 1.0), "0.5": (0.38, 0.5), "0": (0.38, 0.0)}
shown = {title: painted(("mountains", "dogs"), *values) for title, values in settings.items()}
figures.qualitative_grid({title: shown[title] for title in list(settings)[:3]})

# %%
figures.qualitative_grid({title: shown[title] for title in list(settings)[3:]})

# %% [markdown]
# Look at the dogs' fur and the planks, first across the temperatures and then across the values of rebalancing.
# With rebalancing 1, the planks at the lower right are stained red, and blue in places. T = 0.05 makes these stains hard and
# bright, T = 1 blurs them into a warm tint; the fur hardly changes. From rebalancing 1 to 0 the stains fade and the boards turn
# gray, as most of them are (9.7 shows the photograph), but the fur turns pale, too. The mountains change less: with the
# temperature hardly, and with rebalancing their rocks go from blue-green, with a violet stain, to gray.
#
# <details><summary>Answer</summary>
#
# Rebalancing: it takes the planks from orange and red to gray, and the dogs from a reddish to a grayish brown. The temperature
# chooses how to sum up one distribution. Rebalancing changes the distribution itself.
#
# </details>
#
# Choose your own values (sliders in Colab):

# %%
TEMPERATURE = 0.38  # @param {type:"slider", min:0.05, max:1, step:0.01}
REBALANCING = 0.5  # @param {type:"slider", min:0, max:1, step:0.05}
figures.image_row(painted(("meadow", "room"), TEMPERATURE, REBALANCING), ["meadow", "room"])

# %% [markdown]
# ## 9.7 Where does the network not know?
#
# Three pixels: of a sky, a meadow, and a dog. The area of a dot is the probability of that bin (class weights divided out), the
# cross the ground truth. The **entropy** sums a distribution up in one number: 0 bits for certainty, log₂ 260 ≈ 8 bits for no
# idea at all.
#
# **Predict.** For which of the three is the entropy highest?

# %%
def logits_of(L, rebalancing=1.0):
    """L (1,1,H,W) to logits (1,260,H/4,W/4); with rebalancing 0 the class weights are divided out."""
    with torch.no_grad():
        return net.logits(L.to(DEVICE)) - (1 - rebalancing) * net.class_weights.log().view(1, -1, 1, 1)


def entropy(p):
    return -(p * p.clamp(min=1e-12).log2()).sum(dim=0)


# %%
places = {"mountains": (0.16, 0.5), "meadow": (0.78, 0.5), "dogs": (0.2, 0.42)}  # fractions of height and width
fig, cells = plt.subplots(2, 3, figsize=(7, 4.8))
for (upper, lower), (name, place) in zip(cells.T, places.items()):
    L, ab = gallery(name)
    row, column = (int(fraction * SIZE) for fraction in place)
    p = logits_of(L, rebalancing=0).softmax(dim=1)[0, :, row // 4, column // 4].cpu()
    figures.show(upper, figures.image(lab.to_rgb(L, 0 * ab)[0]), f"{name}: {entropy(p):.1f} bits")
    upper.plot(column, row, "o", mfc="none", mec="#B5446E", ms=9, mew=2)
    on_the_plane(lower, 600 * p, "")
    lower.plot(*ab[0, :, row, column] * 110, "kx")
    lower.set(xlim=(-60, 80), ylim=(-70, 90))
plt.show()

# %% [markdown]
# How far do the dots spread? Where is the cross? The dog is the most uncertain and the sky the least, but the three are close
# to each other. In the sky the cross lies within the largest dots. In the meadow and on the dog it lies beside them, at a more
# vivid color than the likeliest ones.
#
# The same number for every pixel is a map of what the network does not know:

# %%
names = ("mountains", "dogs", "room")
fig, cells = plt.subplots(2, len(names), figsize=(7, 4.6))
for (upper, lower), name in zip(cells.T, names):
    L, ab = gallery(name)
    figures.show(upper, figures.image(lab.to_rgb(L, ab)[0]), name)
    bits = figures.show(lower, entropy(logits_of(L, rebalancing=0).softmax(dim=1)[0]).cpu(), "", "magma", 0, 6)
fig.colorbar(bits, ax=cells, label="bits", shrink=0.7)
plt.show()

# %% [markdown]
# Compare each map with its photograph: bright is uncertain.
# It is low in clouds, in snow, and in what is nearly black: the edge of the path, the bottle, the body of the drum. So light or
# dark a pixel has little room for color. The sky and the white boards lie in between. It is highest on the planks at the lower
# right of the dogs and on the cloth below the upper one, which could be painted or dyed in any color. In the other two photos it
# is high on the path, the skin of the drum, and the cushion.
#
# ## 9.8 Several colorings of one photo
#
# From a distribution we can **draw**. The Gumbel trick turns a draw into an argmax: add to each logit a number with the Gumbel
# distribution, $g = -\log(-\log u)$ with $u$ uniform, and take the largest. Ten thousand draws with probabilities 0.5, 0.3,
# and 0.2:

# %%
noise = -torch.log(-torch.log(torch.rand(10_000, 3, generator=torch.Generator().manual_seed(42))))
(torch.tensor([0.5, 0.3, 0.2]).log() + noise).argmax(dim=1).bincount() / 10_000

# %% [markdown]
# **Predict.** What will the picture look like if every pixel draws for itself?
#
# <details><summary>Answer</summary>
#
# Speckled, although each pixel on its own is drawn correctly. The network says how likely red is *here*. It does not say that
# the next pixel belongs to the same jacket.
#
# </details>
#
# So we smooth Gaussian noise over neighbors, rescale it to variance 1, and map it to the Gumbel distribution. At each pixel it
# is still exactly Gumbel.

# %%
def gumbel_noise(count, height, width, smoothness, seed):
    """Gumbel noise (count,260,height,width), similar in neighbors; `smoothness`: sigma of the Gaussian, in cells."""
    generator, reach = torch.Generator(DEVICE).manual_seed(seed), math.ceil(3 * smoothness)
    padded = count * len(bins), 1, height + 2 * reach, width + 2 * reach
    noise = torch.randn(padded, generator=generator, device=DEVICE)
    distance = torch.arange(-reach, reach + 1, device=DEVICE) / max(smoothness, 1e-6)
    kernel = torch.exp(-(distance**2) / 2)
    kernel = kernel / kernel.norm()  # so that the weighted sum keeps variance 1
    noise = F.conv2d(F.conv2d(noise, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return -torch.log(-torch.special.log_ndtr(noise)).view(count, len(bins), height, width)


# %% [markdown]
# We draw from a distribution sharpened by $T = 0.14$, so that improbable colors stay out. (Chosen by eye on the gallery, as
# was the smoothness.)

# %%
SMOOTHNESS = 3 * SIZE // 32  # in cells of 4 px


def draws(L, smoothness=SMOOTHNESS, count=3, seed=42, T=0.14):
    """`count` colorings of L (1,1,H,W): ab (count,2,H,W); so sharp a mean is nearly the drawn bin's color."""
    logits = logits_of(L) / T
    noise = gumbel_noise(count, *logits.shape[2:], smoothness, seed)
    ab = annealed_mean(logits + noise, 0.3)
    return F.interpolate(ab, size=L.shape[2:], mode="bilinear").cpu()


# %%
L, ab = gallery("dogs")
rows = {title: lab.to_rgb(L.expand(3, -1, -1, -1), draws(L, smoothness))
        for title, smoothness in {"each pixel alone": 0, "close neighbors": 3, "a third of the picture": SMOOTHNESS}.items()}
figures.qualitative_grid({f"draw {number + 1}": [row[number] for row in rows.values()] for number in range(3)}, list(rows))

# %% [markdown]
# Look down the rows: the noise becomes smoother, and the areas of one color grow with it.
# In the first row, blue and orange specks cover the boards. In the third, the left side of the house is brown in two draws and
# teal in one, as painted wood might be. But the planks keep stains of red, pink, and blue, a green or blue strip runs down the
# wall, and orange patches lie on the white boards. The dogs are brown in all nine.
#
# The appendix [A2](A2_conditional_vae.ipynb) measures such draws beside those of another model, with a latent variable.
#
# ## 9.9 Earned, or bought?
#
# Any model paints vividly if its colors are multiplied by a constant (notebook 04). Each curve is a model multiplied by 0 to
# 2.5. The dots are the palette at 20 pairs of temperature and rebalancing.

# %%
run, results = published()["palette"], published()["palette"].folder.parent
print(f"{run.id}, {run.record['train']:,} training photos at {SIZE} px: {published_score(run)}")
judges = {"gain": ("frontier.csv", "PSNR over gray, dB"), "lpips": ("frontier_lpips.csv", "LPIPS, lower is better")}
judges = {column: judge for column, judge in judges.items() if (results / judge[0]).is_file()}
parameters = pd.read_csv(results / "palette.csv")
level = pd.read_csv(results / "table1.csv")["colorfulness_ground_truth"].iloc[0]

# %%
fig, cells = plt.subplots(1, len(judges), figsize=(3.5 * len(judges), 3.2), squeeze=False)
for ax, (column, (file, words)) in zip(cells[0], judges.items()):
    for row, curve in pd.read_csv(results / file).query("saturation <= 2.5").groupby("row"):
        if row in ("unet", "cgan", "palette"):
            ax.plot(curve["colorfulness"], curve[column], color=figures.color(row), label=figures.title(row))
    ax.axvline(level, color=figures.color("ground_truth"), ls="--", label="ground truth")
    ax.set(xlabel="colorfulness", ylabel=words, xlim=(0, 55))
    ax.set_ylim({"gain": (-2, 2), "lpips": (0.155, 0.22)}[column])
cells[0, 0].scatter(parameters["colorfulness"], parameters["gain"], s=12, color=figures.color("palette"))
cells[0, 0].legend(loc="lower left")
plt.show()

# %%
above, below = (parameters["against_unet_low"] > 0).sum(), (parameters["against_unet_high"] < 0).sum()
print(f"palette minus the equally colorful U-Net, PSNR with a 95% interval, {len(parameters)} settings: "
      f"{above} above zero, {below} below zero, {len(parameters) - above - below} undecided")

# %% [markdown]
# Only an interval above zero would mean better colors, and not merely stronger ones.
# Of the 20 settings one is above zero, by a hair, and six are below: by PSNR the dots lie on the U-Net's curve or just beside
# it. By LPIPS the U-Net is clearly better at equal colorfulness, and the palette lies between it and the cGAN. Its colors
# are stronger, and hardly better.
#
# The palette as `colorize` uses it, beside the U-Net:

# %%
photographs = [gallery_photo(name, 400) for name in ("stream", "fig")]
unet, *_ = pretrained_model("unet")
colored = painted(("stream", "fig"), palette.TEMPERATURE, palette.REBALANCING)
figures.qualitative_grid({"U-Net": colorize_all(photographs, unet, SIZE), "palette": colored, "ground_truth": photographs})

# %% [markdown]
# Look at trees and water, plate and table. The palette's plants are a little greener than the U-Net's, but both pictures of the
# stream are mostly brown, water and rocks included. The plate, which the U-Net leaves gray brown, turns orange brown, with a red
# patch at the right. But the gray table turns beige and the shadow reddish, and the fig is brown in both.
#
# ## 9.10 The library does the same

# %%
torch.testing.assert_close(bins, palette.bins())
torch.testing.assert_close(weights, palette.class_weights(prior, uniform=0.5))
torch.testing.assert_close(loss, palette.palette_loss(logits, gallery("fig")[1], weights))
torch.testing.assert_close(annealed_mean(logits, 0.38), palette.annealed_mean(logits, 0.38))
from_table = palette.soft_targets(color.view(1, 2, 1, 1) / 110)[0, :, 0, 0]  # which rounds colors to 2 units
print(f"equal: bins, weights, loss, annealed mean; soft targets up to {(from_table - y).abs().max():.3f}")

# %% [markdown]
# ## Takeaways
#
# 1. Coloring can be classification: a distribution over 260 bins at each pixel, trained with cross-entropy.
# 2. What to paint from a distribution is chosen after training, and its entropy shows where the network does not know.
# 3. Vivid colors are not yet better colors. Compare models at equal colorfulness.
#
# ## Exercises
#
# 1. **The median** (★★). L1 asks for the median, L2 for the mean (notebook 02). Compute both, for a\* and b\* apart, with the
#    weights divided out. Does each win by its own loss on validation photos? Which is grayer?
#    <details><summary>Hint</summary>Add up the probabilities along one axis until they pass one half.</details>
# 2. **Honest probabilities?** (★★) Where the likeliest bin has a probability of 30%, is it right in 30%? Draw the curve. Why
#    would even a perfect network not lie on the diagonal?
#    <details><summary>Hint</summary>The targets are soft: look at 9.3.</details>
# 3. **Without the weights** (★★★). Train the model with `uniform=1.0`. How colorful is it at T = 0.38, and what does
#    `rebalancing` do now?
#    <details><summary>Hint</summary>With u = 1 all weights are equal to 1.</details>
#
# Solutions: [solutions/09_solutions.ipynb](solutions/09_solutions.ipynb). Next: [10 · What should a mistake
# cost?](10_losses.ipynb)
