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
# # A1 · The data in detail
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/A1_data_in_detail.ipynb)
#
# Chapter 1 calls `prepare` and goes on. This appendix shows what that call does, what it leaves out, and how batches are
# made so that a training can be repeated exactly. Read it before you train on photos of your own.
#
# **Before this:** [chapter 1](01_data_prep.ipynb). **Minutes:** as many as chapter 1.
#
# > **In `smoke`** the photos are crops of seven photographs, so the counts below say nothing about photos in general.

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
import time

import matplotlib.pyplot as plt
import torch
from PIL import Image

from g2g import figures, runs
from g2g.data import cropped, dataloaders, prepare, sharpened
from g2g.photos import Item, decode
from g2g.profiles import get_recipe, repo_root
from g2g.training import get_device

SEED = 42  # of order, flips, sharpness and crops
MIN_CHROMA = 0.0  # training photos of lower mean chroma are left out; 0 keeps all

# %% [markdown]
# ## A1.1 Where the photos come from
#
# A profile names its source.
#
# - **`bundled`** (`smoke`): crops of seven photographs from scikit-image and scikit-learn, four to train and three to
#   test. [data/README.md](../data/README.md) says who made them.
# - **`coco_sample`** (`class`, `report`, `cpu`): fast.ai's sample of COCO
#   ([Lin et al. 2014](https://arxiv.org/abs/1405.0312)), 21,800 photos, 3.2 GB, fetched once. They belong to Flickr
#   users, so we learn from them but do not show them.
# - **`folder`**: your own photos, by `G2G_DATA=/a/folder`, set before the kernel starts.

# %%
print(f"{profile.name}: {profile.source}, at most {profile.n_train:,} photos to train and {profile.n_test:,} to test")
for model, run in runs.published().items():
    record = run.record
    print(f"published {figures.title(model)}: {record['train']:,} training and {record['valid']:,} validation photos")

# %% [markdown]
# In the saved run the source is a folder, because the published runs were trained on photos named by `G2G_DATA`, of which
# the larger part is from Flickr8k and not from COCO. The cards in [results/weights](../results/weights/unet.md) name the
# sets. Whoever trains the same recipe on the COCO sample has other photos, so the run gets another name and other numbers.
#
# ## A1.2 Decoded once
#
# **Predict.** A training of 100 epochs sees 8,000 photos 100 times. Decoding one takes some milliseconds. How long would
# that take in all?
#
# <details><summary>Answer</summary>
#
# At 5 ms, 8,000 × 100 × 5 ms is more than an hour, spent on the same work again and again. So it is done once.
#
# </details>
#
# `decode` turns a photo upright, converts its colors to sRGB and squashes it to a square, as the report does. The
# mountains of the gallery (by Aitzol Berasategi, CC BY 4.0), before and after:

# %%
path = repo_root() / "data" / "gallery" / "mountains.jpg"
start = time.perf_counter()
facts, pixels = decode(Item("mountains", path), 320)
print(f"{1000 * (time.perf_counter() - start):.0f} ms for {facts['width']} × {facts['height']} px")
with Image.open(path) as original:
    whole = original.convert("RGB").resize((427, 320))

# %%
_, cells = plt.subplots(1, 2, figsize=(6, 2.8), width_ratios=(4, 3))
figures.show(cells[0], whole, "as it is")
figures.show(cells[1], pixels, "squashed to a square")
plt.show()

# %% [markdown]
# The square is three quarters as wide as the photo, so the peak looks steeper. A network of `cpu` is given 192 px of it,
# and only their lightness.
#
# `prepare` does this for all photos of the profile and writes plain bytes into one file for each split. The first call
# may take minutes; the next one only opens the files. They are *memory-mapped*: a file looks like an array, and a photo is
# read from disk when it is asked for.

# %%
profile = dataclasses.replace(profile, min_chroma=MIN_CHROMA)
photos = prepare(profile)
start = time.perf_counter()
photos = prepare(profile, progress=False)
print(f"{time.perf_counter() - start:.2f} s for the second call: nothing was decoded")
print("training photos:", photos.train.shape, photos.train.dtype)
print(f"all files: {sum(file.stat().st_size for file in photos.folder.iterdir()) / 1e6:,.1f} MB")

# %% [markdown]
# ## A1.3 The manifest
#
# Beside the files lies a table with a row for each photo: its size, the hash of its file, its mean chroma, its split,
# and, if it could not be used, the reason. Validation photos are 5% of the training photos, chosen by seed, unless
# a folder of your own holds them apart, in a subfolder `valid`. The saved run had such a folder.

# %%
words = {"count": "photos", "mean": "mean chroma", "min": "lowest", "50%": "median", "max": "highest"}
photos.manifest.groupby("split")["chroma"].describe()[list(words)].rename(columns=words).round(1)

# %%
skipped = photos.manifest[photos.manifest["skipped"] != ""]
print(f"{len(skipped):,} of {len(photos.manifest):,} photos were skipped")
for _, row in skipped.head(5).iterrows():
    print(f"  {row['file']}: {row['skipped']}")

# %% [markdown]
# Skipped are broken files, exact copies of a test or validation photo, which a model could learn by heart, and pictures
# that this course colored.
#
# Photos whose mean chroma is below 5 are called *near-gray*: fog, snow, black-and-white pictures (of which the saved run
# has none, for its lowest mean chroma is 2.0). They teach a model to predict gray. The report keeps them, and so do we;
# `MIN_CHROMA = 5` at the top leaves them out of training and validation, never out of the test set.

# %%
for split in ("train", "valid", "test"):
    print(f"{split}: {photos.near_gray(split).sum():,} of {len(photos.files(split)):,} photos are near-gray")

# %% [markdown]
# ## A1.4 Batches, made on the device
#
# fastai's `DataLoaders` hand out the batches. Plain bytes travel to the device, and the conversion to Lab happens there
# for the whole batch.

# %%
batch_size = get_recipe("cnn", profile).batch_size
dls = dataloaders(photos, batch_size, seed=SEED, device=get_device())
L, ab = dls.one_batch()
print("L ", tuple(L.shape), f"{L.min():.2f} … {L.max():.2f}", L.device)
print("ab", tuple(ab.shape), f"{ab.min():.2f} … {ab.max():.2f}", ab.dtype)

# %% [markdown]
# A training photo changes a little each time it is seen. Half of the time it is mirrored, and a recipe may ask for
# random crops (`min_crop_side`) and for sharpening (`sharpen`). The copies that we train on are
# often soft, because they were saved small, while a large photo made small is sharp, and a network should know both. The
# recipes of `cpu` therefore sharpen half of the photos.

# %%
photo = torch.from_numpy(pixels.copy())[None]
sharp = sharpened(photo, torch.tensor([2.0]))
crop = cropped(photo.movedim(-1, 1) / 255, sides=torch.tensor([0.6]), places=torch.tensor([[0.2, 0.5]]))
figures.image_row([photo[0], sharp[0], crop[0]], ["as prepared", "sharpened by 2", "cropped to 60%"])

# %% [markdown]
# In the middle the edges of rock and grass are harsher; at the right everything is larger and a little softer.
#
# ## A1.5 The same batches again
#
# **Predict.** Order and flips follow from the seed and the number of the epoch. Which of these begin with the same batch:
# epoch 0, epoch 1, and epoch 0 drawn again?

# %%
first = []
for epoch in (0, 1, 0):
    dls.train.epoch = epoch
    first.append(dls.one_batch()[0])
print("epochs 0 and 1:", torch.equal(first[0], first[1]), "  epoch 0, twice:", torch.equal(first[0], first[2]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# Epoch 0, both times. An interrupted training can therefore go on from its last whole epoch and see the photos that it
# would have seen. On the same CPU with as many threads it even ends with the same weights, bit for bit; a GPU may round
# differently each time.
#
# </details>
#
# A run's name is a hash of its recipe and of its photos (names, contents, splits and size), so an edited recipe or another
# folder never overwrites a run.

# %%
print("hash of these photos:", photos.hash)

# %% [markdown]
# ## Three things to take with you
#
# 1. Photos are decoded once into plain bytes, and the manifest says what was left out and why.
# 2. Training, validation and test photos are kept apart, exact copies included.
# 3. Batches follow from the seed and the epoch, so a training can be resumed and repeated.
#
# **Exercise:** number 3 of [chapter 1](01_data_prep.ipynb), *A folder of trouble* (★★)
# ([solution](solutions/01_solutions.ipynb)). Next: [chapter 2](02_cnn_baseline.ipynb).
