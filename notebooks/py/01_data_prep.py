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
# # 1 · Preparing the data
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/01_data_prep.ipynb)
#
# A colorization model looks at a gray photo and paints it. To train one, we need photos whose colors we know,
# and we split each into *what the model sees* and *what it has to answer*. This notebook goes all the way, from
# files on a disk to batches on a GPU.
#
# **You will learn**
#
# - where the photos come from, and how they are prepared once instead of once per epoch;
# - how a color becomes L\*a\*b\*, built here from its formulas and checked against two libraries;
# - what the three planes hold, how they are normalized, and what that choice does to every number in this
#   course;
# - which colors photos really have, and why they pull models toward gray and brown;
# - the first number to beat: the error of a model that does not color at all.
#
# The course rebuilds the report *Gray to Glory: Performance Analysis of Image Coloration Models* (Virginia Tech,
# 2024). Its protocol resembles that of moein-shariatnia's tutorial
# [Colorizing black & white images with U-Net and conditional GAN](https://github.com/moein-shariatnia/Deep-Learning),
# which splits photos into L and ab in the same way and divides ab by 110, too.
#
# **Before this:** nothing but Python and a little NumPy. **Minutes:** printed by the next cell. **Downloads:** on
# Colab, the next cell fetches this repository (some 40 MB with the trained models, a minute or less). `smoke` needs
# nothing else. `class` and `report` fetch 3.2 GB of photos in section 1.2.

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
# The constants of this notebook. Change them and run on.

# %%
SEED = 42  # order and flips of the training batches
MIN_CHROMA = 0.0  # training photos of lower mean chroma are left out; 0 keeps all, as the report does
SHOW = 4  # number of the photograph that is taken apart below, of the eight in data/gallery: 4 is the mountains

# %%
import time

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import color

from g2g import evaluation, figures, lab, metrics
from g2g.data import batches, dataloaders, prepare
from g2g.photos import gallery_photos
from g2g.profiles import get_recipe
from g2g.training import get_device

# %% [markdown]
# ## 1.1 The photos
#
# Which photos are used depends on the profile that the setup cell printed.
#
# - **`bundled`**: crops of seven photographs that come with scikit-image and scikit-learn. Four are for training
#   (coffee, rocket, motorcycle and a Chinese temple) and three for testing (an astronaut, a cat and a flower).
#   Those of scikit-image are CC0 or in the public domain; temple and flower are by Flickr users, CC BY 2.0
#   ([who made them](../data/README.md)).
# - **`coco_sample`**: fast.ai's sample of COCO ([Lin et al. 2014](https://arxiv.org/abs/1405.0312)), about 21,800
#   photos, 3.2 GB, fetched once. The pictures belong to the Flickr users who took them: fine to study, not ours to
#   hand on.
# - **`folder`**: your own photos. Set `G2G_DATA=/a/folder` before the kernel starts.
#
# Seven photographs cannot teach a model what the world looks like. The `smoke` profile only shows that
# everything runs; **its scores mean nothing.** The report used 10,000 COCO photos, 8,000 of them for training.

# %%
print(f"{profile.name}: {profile.purpose}")
print(f"source {profile.source}, at most {profile.n_train:,} photos to train and {profile.n_test:,} to test")

# %% [markdown]
# ## 1.2 Prepare once
#
# A JPEG takes milliseconds to decode and to shrink. Over 100 epochs of 8,000 photos, that would be most of the
# training time, spent on the same work again and again. So we do it once. Every photo is turned upright, resized
# to $S \times S$ pixels (the report squashes them into a square, and so do we) and written as plain bytes into one
# big array.
#
# In `class` and `report` the next cell first downloads the photos: 3.2 GB, about nine minutes at 50 Mbit/s, then
# some minutes to unpack them. They need twice that space for a while.

# %%
start = time.time()
profile = dataclasses.replace(profile, min_chroma=MIN_CHROMA)
photos = prepare(profile)
print(photos)
print(f"{time.time() - start:.1f} s")

# %% [markdown]
# A second call finds the arrays and only opens them. They are *memory-mapped*: the file looks like an array, and a
# photo is read from disk only when it is asked for.

# %%
start = time.time()
photos = prepare(profile, progress=False)
print(f"{time.time() - start:.2f} s: nothing was decoded")
size = sum(file.stat().st_size for file in photos.folder.iterdir())
print(f"{photos.train.shape} {photos.train.dtype}, the whole cache is {size / 1e6:,.1f} MB")

# %% [markdown]
# There are three splits, not two. The **test** photos are kept for notebook 05; nothing else may look at them. The
# **validation** photos are 5% of the training photos, chosen by seed and put aside. Every curve is drawn on them, and
# every choice of an epoch or a learning rate is made on them.
#
# Beside the arrays lies a manifest. It has one row per photo: its size, the hash of its file, its mean chroma (how
# colorful it is), its split, and, if it could not be used, the reason. Broken files, files that are not photos and
# exact copies of a test photo are skipped and listed.

# %%
print("columns:", ", ".join(photos.manifest.columns))
photos.manifest.groupby("split")["chroma"].describe().round(1)

# %%
skipped = photos.manifest[photos.manifest["skipped"] != ""]
print(f"{len(skipped)} of {len(photos.manifest):,} photos were skipped")
skipped[["file", "split", "skipped"]].head(10)

# %% [markdown]
# COCO's photos are fine to study and not ours to show. What we *look* at in this course are the eight photographs of
# [data/gallery](../data/gallery/README.md), prepared in the same way. No profile trains on them. They are by Aitzol
# Berasategi (dogs, meadow, mountains, stream, sunset), Trevor "Freespace" (fig) and Jakub Mede (room), all CC BY 4.0,
# and by Clemens Engelhardt (dandelion, CC0). They are cut square, and wherever their colors are changed, we say so.

# %%
gallery = np.stack(gallery_photos(photos.size))
figures.image_row(gallery)

# %% [markdown]
# (`figures.image_row(photos.train[:7])` shows the training photos of your profile.)

# %% [markdown]
# ## 1.3 From RGB to Lab, step by step
#
# RGB is a poor way to pose our question. Red, green and blue each hold brightness *and* color, so a gray photo gives
# the model none of the three channels. **CIE L\*a\*b\*** takes the two apart:
#
# - **L\*** is lightness, from 0 (black) to 100 (white). It is the gray photo.
# - **a\*** runs from green (−) to magenta (+) and **b\*** from blue (−) to yellow (+). They are the color, and 0 is
#   no color.
#
# It was also designed so that equal distances look about equally different, which is not so in RGB. Getting there
# takes three steps, and we take them by hand with one photo.

# %%
photo = gallery[SHOW]
rgb = photo / 255  # sRGB in [0, 1]
print(photo.shape, photo.dtype, "->", rgb.dtype, f"{rgb.min():.2f} … {rgb.max():.2f}")

# %% [markdown]
# **Step 1: undo the gamma.** The numbers in a file are not proportional to light. They are spread so that
# dark tones get more of the 256 steps (IEC 61966-2-1):
#
# $$c_\text{linear} = \begin{cases} c/12.92 & c \le 0.04045 \\ \left(\dfrac{c + 0.055}{1.055}\right)^{2.4} & \text{else}\end{cases}$$

# %%
def linearize(c):
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


linear = linearize(rgb)
figures.image_row([rgb, linear], ["as stored (sRGB)", "proportional to light, shown as it is"])

# %% [markdown]
# The right picture looks too dark because the screen applies its own curve to it once more. What we call middle gray
# is far less than half of the light:

# %%
print(f"a stored value of 0.5 is {float(linearize(0.5)):.3f} of full light")

# %% [markdown]
# **Step 2: from the screen's primaries to XYZ.** A fixed matrix turns linear RGB into the response of a
# standard observer. Its rows sum to the color of white, here daylight, **D65**. The middle row is
# luminance: green counts for 72%, blue for 7%.
#
# $$\begin{pmatrix}X\\Y\\Z\end{pmatrix} = \begin{pmatrix}0.412453&0.357580&0.180423\\0.212671&0.715160&0.072169\\0.019334&0.119193&0.950227\end{pmatrix}\begin{pmatrix}R\\G\\B\end{pmatrix}$$

# %%
M = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.95047, 1.0, 1.08883])  # D65, 2° observer
xyz = linear @ M.T
print("white becomes", (np.ones(3) @ M.T).round(5), "and D65 is", WHITE)

# %% [markdown]
# **Step 3: a cube root, and differences.** Divide by white, so that gray has three equal numbers. Take a cube root,
# because we sense ratios of light rather than amounts. (Near black a straight line replaces it, since its slope would
# grow without bound.) Then lightness is the middle number, and color is made of the differences, which are zero for
# gray:
#
# $$f(t) = \begin{cases}\sqrt[3]{t} & t > \left(\tfrac{6}{29}\right)^3 \\ \tfrac13\left(\tfrac{29}{6}\right)^2 t + \tfrac{4}{29} & \text{else}\end{cases}\qquad
# \begin{aligned} L^* &= 116\,f(Y/Y_n) - 16 \\ a^* &= 500\,\big(f(X/X_n) - f(Y/Y_n)\big) \\ b^* &= 200\,\big(f(Y/Y_n) - f(Z/Z_n)\big)\end{aligned}$$

# %%
def f(t):
    return np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)


def to_lab(rgb):
    x, y, z = np.moveaxis(f(linearize(rgb) @ M.T / WHITE), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)

# %% [markdown]
# Before we trust it, we compare it with `g2g.lab`, which does the same for whole batches on a GPU, and with
# scikit-image. A photo contains few colors, so we also check 100,000 random ones.

# %%
def as_batch(rgb):
    return torch.from_numpy(rgb).movedim(-1, -3)  # (…, H, W, 3) to (…, 3, H, W)


random = np.random.default_rng(SEED).random((250, 400, 3))
for name, colors in (("the photo", rgb), ("100,000 random colors", random)):
    ours, library = to_lab(colors), lab.rgb_to_lab(as_batch(colors)).movedim(-3, -1).numpy()
    print(f"{name}: largest difference to g2g.lab {np.abs(ours - library).max():.1e}, "
          f"to scikit-image {np.abs(ours - color.rgb2lab(colors)).max():.1e}")

# %% [markdown]
# The difference to `g2g.lab` is the rounding of 64-bit numbers. scikit-image rounds the slope of the straight line and
# the point where it takes over to four digits (7.787 and 0.008856), so it differs by a little more. The least
# difference that an eye can tell is about one unit.
#
# ## 1.4 The three planes
#
# The upper row shows the photo and its planes in CIE units. The lower row shows what the models get and what they must
# answer, after the normalization of the next section. (This is the report's figure *preprocessing*; it is saved under
# that name.)

# %%
fig = figures.preprocessing(photo)
figures.save(fig, "preprocessing", profile.outputs / "figures")
fig

# %% [markdown]
# All the outlines are in L\*. In a\* and b\* the objects are only soft patches. To see what each plane carries, we put
# the photo together again with some planes left out: L\* alone, L\* with one color plane, and the colors alone at one
# lightness.

# %%
def join(L, a, b):
    return lab.lab_to_rgb(torch.stack([L, a, b]))


L, a, b = lab.rgb_to_lab(as_batch(rgb))
zero, middle = torch.zeros_like(L), torch.full_like(L, 60.0)
pictures = {"L*": join(L, zero, zero), "L* and a*": join(L, a, zero), "L* and b*": join(L, zero, b),
            "a* and b* at L* = 60": join(middle, a, b), "all three": join(L, a, b)}
figures.image_row(pictures.values(), pictures)

# %% [markdown]
# How much detail do the color planes need? Here they are shrunk to a quarter of their width, enlarged again and put
# under the untouched L\*. This is where JPEG and television have always economised. For a model this is good news: it
# may paint with a broad brush, because the gray photo draws the lines.

# %%
import torch.nn.functional as F

coarse = F.interpolate(torch.stack([a, b])[None], scale_factor=1 / 4, mode="area")
coarse = F.interpolate(coarse, size=L.shape, mode="bilinear")[0]
figures.image_row([join(L, a, b), join(L, *coarse), join(middle, *coarse)],
                  ["the photo", "its colors, 4 times coarser", "those colors alone"])

# %% [markdown]
# ## 1.5 Normalization, and a number that changes every other number
#
# Networks like inputs and targets between about −1 and 1. For L\* the choice is plain: $L = L^*/50 - 1$. For a\* and
# b\* we need a divisor. How far do the colors of a screen reach? Try a fine grid over the whole RGB cube:

# %%
steps = torch.linspace(0, 1, 86, dtype=torch.float64)
cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).reshape(3, 86, -1)
_, all_a, all_b = lab.rgb_to_lab(cube)
print(f"a* from {all_a.min():.1f} to {all_a.max():.1f}, b* from {all_b.min():.1f} to {all_b.max():.1f}")

# %% [markdown]
# So **110** brings every color into −1…1 with hardly any room to spare, and 110 it is. Much code divides by 128, a
# habit from 8-bit images. That does no harm to a model, but it changes the *loss*: the same picture with the same
# mistakes scores 110/128 = 0.86 times as much. **An MAE of ab means nothing without its divisor**, and the report
# does not name its own. Here is the error of "no color at all" on the photo above, in three currencies:

# %%
error = torch.stack([a, b]).abs().mean()
print(f"CIE units {error:.2f}   divided by 110: {error / 110:.4f}   divided by 128: {error / 128:.4f}")

# %% [markdown]
# `g2g.lab.photos_to_lab` does all of this for a batch of stored photos at once. It returns the two tensors that the
# rest of the course is about: `L` with shape (B, 1, S, S) and `ab` with (B, 2, S, S).

# %%
L1, ab1 = lab.photos_to_lab(photo[None])
by_hand = as_batch(to_lab(rgb))
print(tuple(L1.shape), tuple(ab1.shape), L1.dtype)
print(f"largest difference to our formulas: L {(L1[0, 0] - (by_hand[0] / 50 - 1)).abs().max():.1e}, "
      f"ab {(ab1[0] - by_hand[1:] / 110).abs().max():.1e}")

# %% [markdown]
# **The round trip.** Does anything get lost on the way to Lab and back? We convert some photos there and back, round
# to bytes as a file would, and compare with the original bytes.

# %%
some = photos.train[:64]
back = lab.to_rgb(*lab.photos_to_lab(some)).movedim(1, -1)  # sRGB in [0, 1]
steps_off = np.abs(back.numpy() * 255 - some)
print(f"largest error before rounding: {steps_off.max():.1e} of an 8-bit step")
print("after rounding, equal to the original:", bool((np.rint(back.numpy() * 255) == some).all()))

# %% [markdown]
# The round trip is safe as long as a screen can show the colors. A *predicted* color need not be one of those: not
# every a\*, b\* exists at every lightness. `to_rgb` then clips, for display only; the MAE is measured before that. Here
# the L\* of the photo is left alone and its colors are turned up step by step:

# %%
pictures = {}
for k in (1, 1.5, 2, 3, 4, 6):
    free = lab.lab_to_rgb(torch.stack([L, k * a, k * b]), clip=False)
    clipped = ((free < -0.002) | (free > 1.002)).any(0).float().mean()
    pictures[f"colors × {k:g}\n{clipped:.0%} clipped"] = free.clamp(0, 1)
figures.image_row(pictures.values(), pictures)

# %% [markdown]
# ## 1.6 Which colors do photos have?
#
# We take pixels from every training photo (at most about 64 × 64 each) and count how often each pair (a\*, b\*)
# occurs. The scale is logarithmic: one step of the color bar is a factor of ten.

# %%
step = max(1, photos.size // 64)
ab_train = torch.cat([ab for _, ab in batches(photos.train[:, ::step, ::step], 256)])
histogram = figures.ab_histograms({"": ab_train})
figures.save(histogram, "ab_histogram", profile.outputs / "figures")
histogram

# %% [markdown]
# The line is the border of what a screen can show. Photos reach nearly every part of the area inside, but most parts
# only rarely: **the mass sits at the center**, at gray, stretched along the axis from blue to yellow (sky and shade,
# sand, skin, wood, lamplight). (In `smoke` the few bundled photographs are not typical, with their red cup and orange
# table.) In numbers, with *chroma* $C = \sqrt{a^{*2} + b^{*2}}$, the distance from gray:

# %%
chroma = metrics.chroma(ab_train)
for limit in (5, 10, 20, 40):
    print(f"chroma below {limit:2}: {(chroma < limit).float().mean():.0%} of the pixels")
print(f"mean {chroma.mean():.1f}, the most vivid color of a screen has {torch.hypot(all_a, all_b).max():.0f}")

# %% [markdown]
# Now think like a model. You see a pixel of middle gray and must name its b\*. These are the values that such pixels
# have in the training photos:

# %%
L_train = torch.cat([L for L, _ in batches(photos.train[:, ::step, ::step], 256)])
b_star = 110 * ab_train[:, 1][(L_train[:, 0] > 0) & (L_train[:, 0] < 0.3)]  # L* between 50 and 65
fig, ax = plt.subplots(figsize=(6, 2.6))
ax.hist(b_star.numpy(), bins=np.arange(-60, 81, 2), color="#999999")
ax.axvline(b_star.median(), color="#D55E00", label=f"median {b_star.median():.1f}")
ax.axvline(b_star.mean(), color="#0072B2", ls="--", label=f"mean {b_star.mean():.1f}")
ax.set(xlabel="b* of pixels with L* between 50 and 65  (blue … yellow)", yticks=[])
ax.legend()
plt.show()

# %% [markdown]
# Such a pixel may be sky or lamplight, which are far apart on this axis. But the *one* answer with the lowest mean
# absolute error is the median, and the median of so many different things lies near the middle. In 1,000 of the
# training photos of the quoted runs (COCO and Flickr8k, at 64 px) it is b\* = 8, with a\* = 0: **gray with a touch of
# brown**. A model that knows more than the lightness of one pixel (that this is sky, that this is a lemon) can do
# better. Where it is unsure, it falls back on this answer. Notebook 02 turns that into an experiment.
#
# ### Photos with next to no color
#
# Photos whose mean chroma is below 5 are called near-gray here: black-and-white pictures, fog, snow. They teach a model
# to answer gray. The report's protocol keeps them, and so does our default; `MIN_CHROMA = 5` at the top leaves them out
# of training.

# %%
for split in ("train", "valid"):
    print(f"{split}: {photos.near_gray(split).sum()} of {len(photos.files(split)):,} photos are near-gray")
table = photos.manifest.query("split == 'train' and skipped == ''").reset_index(drop=True)
order = table["chroma"].sort_values().index
print("chroma of the grayest and of the most colorful training photos:", *table["chroma"][order].iloc[[0, 1, -2, -1]])

# %% [markdown]
# In the gallery none is near-gray; the dogs come closest, and the fig is the most colorful:

# %%
_, ab_gallery = lab.photos_to_lab(gallery)
figures.image_row(gallery, [f"chroma {metrics.chroma(ab).mean():.0f}" for ab in ab_gallery.split(1)])

# %% [markdown]
# ## 1.7 Batches on the device
#
# fastai's `DataLoaders` hand out the batches. One thing is unusual: plain bytes travel to the device, and the conversion
# to Lab happens *there*, for the whole batch in a few operations, not photo by photo on the CPU.

# %%
batch_size = get_recipe("cnn", profile).batch_size
dls = dataloaders(photos, batch_size, seed=SEED, device=get_device())
L_batch, ab_batch = dls.one_batch()
print("L ", tuple(L_batch.shape), f"{L_batch.min():.2f} … {L_batch.max():.2f}", L_batch.device)
print("ab", tuple(ab_batch.shape), f"{ab_batch.min():.2f} … {ab_batch.max():.2f}", ab_batch.dtype)

# %%
L_few, ab_few = lab.photos_to_lab(gallery[2:4])
pairs = torch.cat([lab.to_rgb(L_few, 0 * ab_few), lab.to_rgb(L_few, ab_few)], dim=3)  # side by side
figures.image_row(pairs, ["gray | color"] * 2)

# %% [markdown]
# On the left is what the model sees, on the right what it has to paint. Each training photo is mirrored with probability
# one half, independently of the others. Order and flips follow from the seed and the number of the epoch, so an epoch can
# be repeated exactly:

# %%
first = []
for epoch in (0, 1, 0):
    dls.train.epoch = epoch
    first.append(dls.one_batch()[0])
print("epochs 0 and 1 begin with the same batch:", torch.equal(first[0], first[1]))
print("epoch 0, drawn again, begins with the same batch as before:", torch.equal(first[0], first[2]))

# %% [markdown]
# ## 1.8 The first number to beat
#
# Before we train any model, we ask what *not trying* scores. Answer gray everywhere, ab = 0; the mean absolute error
# (MAE) is then the mean of |ab|. We use the validation photos, since the test photos stay locked away until
# notebook 05.

# %%
L_valid, ab_valid = (torch.cat(x) for x in zip(*batches(photos.valid), strict=True))
by_hand = ab_valid.abs().mean()
gray = evaluation.score(evaluation.gray(), photos, "valid", show=False)
print(f"gray: MAE {by_hand:.4f} by hand, {gray['mae'].mean():.4f} by evaluation.score, on {len(gray)} photos")

# %% [markdown]
# A little smarter is one fixed color for every pixel of every photo: the one with the lowest error on the *training*
# photos. For an absolute error, that is the median of a and the median of b.

# %%
best = evaluation.best_constant(photos)
constant = evaluation.score(evaluation.constant(best), photos, "valid", show=False)
print(f"best constant color: a* = {110 * best[0]:.1f}, b* = {110 * best[1]:.1f}")
print(f"its MAE on the validation photos: {constant['mae'].mean():.4f}, gray has {gray['mae'].mean():.4f}")

# %%
pictures, titles = [], []
for L, ab_true in zip(L_few.split(1), ab_few.split(1)):
    predictions = evaluation.gray()(L), evaluation.constant(best)(L)
    pictures += [lab.to_rgb(L, ab)[0] for ab in (*predictions, ab_true)]
    titles += ["gray", "constant", "ground truth"]
figures.image_row(pictures, titles)

# %% [markdown]
# On 2,000 COCO photos gray scores an MAE of **0.089** and the best constant color 0.086 (0.0889 and 0.0860 at 128 px,
# `results/cpu/table1.md`). Keep these two in mind. The report's trained models score from 0.0848 down to 0.0807. Without a
# gray row beside them, nobody can tell that this is a close race, or that a picture without any color is nearly among the
# leaders. How sure are the numbers above? Photos differ, and a handful of them tells us little:

# %%
for name, scores in (("gray", gray), ("constant", constant)):
    mean, low, high = evaluation.bootstrap(scores["mae"])
    print(f"{name:9} MAE {mean:.4f}, 95% interval {low:.4f} to {high:.4f} over {len(scores)} photos")
if profile.name == "smoke":
    print("smoke profile: a handful of crops, these numbers mean nothing")

# %% [markdown]
# ## Summary
#
# - Photos are decoded and resized **once**, into memory-mapped bytes with a manifest that says what was left out and why.
# - **Lab** separates what is given (L) from what is asked for (ab). It takes three short formulas, and it can be undone.
# - `L = L*/50 − 1`, `ab = ab*/110`: an MAE of ab can only be compared with another one of the same divisor.
# - Many pixels are nearly gray. The best single answer, a median, is a slightly warm gray: remember this when models turn
#   brown.
# - **Gray scores about 0.089 on COCO.** Every model in this course is read against that.
#
# ## Exercises
#
# 1. **The other divisor.** Compute the validation MAE of gray and of the best constant as if ab had been
#    divided by 128. By how many percent does the constant beat gray with either divisor? What does that say
#    about comparing two papers?
# 2. **How coarse may color be?** Shrink ab by 2, 4, 8, 16 and 32, put it under the full L\*, and measure
#    the mean CIEDE2000 (`g2g.metrics.delta_e`) to the original. Where do you begin to *see* it?
# 3. **A folder of trouble.** Write some training photos into a temporary folder, add a truncated JPEG, a
#    text file called `photo.jpg` and a copy of a photo under another name, and prepare that folder. Does
#    the manifest tell the whole story?
#
# [Solutions](solutions/01_solutions.ipynb) · Next: [notebook 02](02_cnn_baseline.ipynb) trains the first model.
