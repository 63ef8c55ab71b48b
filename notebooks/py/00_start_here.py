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
# # 0 · Start here
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/00_start_here.ipynb)
#
# In this course you build programs that guess the colors of a gray photograph, and you measure how good their guesses
# are, which turns out to be as hard as making them. This chapter trains nothing: you color a photo, see how the chapters
# fit together, and find their notation and vocabulary.
#
# **What you need:** Python and a little PyTorch (what a tensor, a convolution and a loss are). The smallest profile needs
# no GPU.
#
# > **Profiles.** The next cell chooses how much is computed. `smoke` trains each network for seconds on a few crops, to
# > show that the code runs; what its models score and paint means nothing. `class` fits a lesson on a Colab GPU, `cpu`
# > an evening without one; `report` repeats the report that the course rebuilds. Published models, whose weights come
# > with the repository, are shown in all.

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
import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image, ImageOps
from skimage import data

from g2g import figures, lab
from g2g.colorize import colorize
from g2g.profiles import repo_root
from g2g.runs import pretrained_model

# %% [markdown]
# ## 0.1 Color a photo
#
# The photograph is by Aitzol Berasategi (CC BY 4.0, cut square; more in [data/gallery](../data/gallery/README.md)).
# `colorize` keeps its lightness and lets the first pretrained model predict its colors.

# %%
model, size, sentence = pretrained_model()
print(sentence)
photograph = ImageOps.fit(Image.open(repo_root() / "data" / "gallery" / "meadow.jpg"), (480, 480))
gray = colorize(photograph, None, saturation=0)
colored = colorize(photograph, model, size=size)


# %%
def show_large(pictures):
    _, cells = plt.subplots(1, len(pictures), figsize=(7, 7 / len(pictures) + 0.2))
    for ax, (words, picture) in zip(cells, pictures.items(), strict=True):
        figures.show(ax, figures.image(picture), words)


# %%
show_large({"what the model sees": gray, "what it predicts": colored})

# %% [markdown]
# Compare the sky, the wooded slope and the meadow in front.
#
# The sky stays nearly white, and the mountains below it are blue. The slope is gray at the left and straw-colored at the
# right. The meadow has a blotch: it is gray at the left and olive elsewhere, with nothing in the photo between them.
#
# **Predict.** Next comes the original. Which part of it could no model have known?
#
# <details><summary>Answer</summary>
#
# The slope. It was fall, and the trees are orange. Their lightness and texture would be much the same in summer, and
# green woods are more common in photographs. Grass and sky leave less doubt.
#
# </details>

# %%
show_large({"what the model predicts": colored, "the original": photograph})

# %% [markdown]
# The slope is orange, as no model could know. But the prediction is also wrong where there is less doubt: the meadow is a
# clear and even green, which the model missed.
#
# ## 0.2 A photograph whose colors nobody knows
#
# scikit-image's test picture `camera` (by Lav Varshney, CC0) was published in gray only. As with old photographs, there
# is no original.
#
# **Predict.** What color is the coat? Where will two models disagree?
#
# <details><summary>Answer</summary>
#
# A dark coat may be black, navy blue or brown, and each model answers from the coats in its training photos. Nobody can
# say which one errs less. Grass and sky have usual colors, so there one would expect two models to agree. In the saved
# run they do so about the sky only.
#
# </details>

# %%
camera = data.camera()
colorings = {}
for name in ("unet", "palette"):
    model, size, _ = pretrained_model(name)
    colorings[figures.title(name)] = colorize(camera, model, size=size)
show_large(colorings)

# %% [markdown]
# Compare the coat, the face and the lawn. Both models paint a blue sky, a nearly black coat and a brown face, although the
# U-Net's cheek is red-orange. They differ most on the lawn: the U-Net leaves it gray, and the palette makes it olive green
# at the right, with a bluish stain between coat and tripod. It also stains the trousers violet. Such colors show what
# things often look like, not what this thing looked like.
#
# ## 0.3 The course as one picture
#
# All models do the same job. A photograph is split into lightness, $L$, and color, $ab$; the model predicts $ab$ from
# $L$; its prediction is compared with the true $ab$, and joined with $L$.

# %%
L, ab = lab.photos_to_lab(np.stack([photograph, colored]))
flat = lab.to_rgb(torch.full_like(L, 0.3), ab)  # one lightness everywhere: only color is left to see

# %% [markdown]
# What stands where, in inches from the lower left corner:

# %%
pictures = {
    "photograph": (0.0, 1.0, photograph),
    "L": (1.6, 1.9, gray),
    "ab": (1.6, 0.1, flat[0]),
    "predicted ab": (4.5, 1.9, flat[1]),
    "colored photo": (5.95, 1.9, colored),
}
boxes = {
    "01": (1.3, 1.5),
    "02 CNN\n03 U-Net\n04 conditional GAN\n09 distribution\n11 diffusion": (3.5, 2.4),
    "05 measures\n06 eyes\n10 losses": (5.0, 0.6),
    "08 settings": (3.5, 1.2),
    "07 any size": (6.45, 1.65),
}
arrows = [(1.1, 1.7, 1.5, 2.3), (1.1, 1.3, 1.5, 0.7), (2.65, 2.4, 2.8, 2.4), (4.2, 2.4, 4.45, 2.4), (5.55, 2.4, 5.9, 2.4)]
arrows += [(2.65, 0.6, 4.4, 0.6), (5.0, 1.85, 5.0, 1.0), (4.4, 0.8, 3.9, 1.05), (3.5, 1.4, 3.5, 1.85)]

# %%
fig, ax = plt.subplots(figsize=(7, 3.2))
ax.set(xlim=(0, 7), ylim=(0, 3.2), aspect="equal")
ax.axis("off")
for words, (x, y, picture) in pictures.items():
    figures.show(ax.inset_axes((x, y, 1, 1), transform=ax.transData), figures.image(picture), words)
for words, place in boxes.items():
    ax.text(*place, words, ha="center", va="center", fontsize=7, bbox={"boxstyle": "round,pad=0.4", "fc": "#EEF3F7", "ec": "#777777"})
for x, y, to_x, to_y in arrows:
    ax.annotate("", (to_x, to_y), (x, y), arrowprops={"arrowstyle": "->", "color": "#444444"})

# %% [markdown]
# | chapter | its question |
# |---|---|
# | [01](01_data_prep.ipynb) | What must a model predict, and how good is no color at all? |
# | [02](02_cnn_baseline.ipynb) | Why does L1 end in brown? |
# | [03](03_unet_finetune.ipynb) | What are skip connections and pretraining worth? |
# | [04](04_cgan.ipynb) | What does an adversary buy? |
# | [05](05_evaluation.ipynb) | Which model is better, and how sure are we? |
# | [06](06_qualitative_grids.ipynb) | Which photo is real? |
# | [07](07_your_photos.ipynb) | How do your own photos get color? |
# | [08](08_parameter_analysis.ipynb) | How far apart are runs of one recipe? |
# | [09](09_color_as_distribution.ipynb) | How likely is each color? |
# | [10](10_losses.ipynb) | What should a mistake cost? |
# | [11](11_diffusion.ipynb) | How does color come out of noise? |
#
# Chapters 01 to 08 rebuild the report *Gray to Glory: Performance Analysis of Image Coloration Models* (Virginia Tech,
# 2024). Appendices (A1 to A3) can be skipped. The setup cell printed the minutes that each chapter computes;
# [docs/teaching.md](../docs/teaching.md) has them for all profiles.
#
# ## 0.4 Notation and vocabulary
#
# | symbol | meaning |
# |---|---|
# | L\*, a\*, b\* | lightness (0 to 100) and the two color axes of CIE Lab |
# | $L$, $ab$ | the same, normalized: L\*/50 − 1 and (a\*, b\*)/110 |
# | $\widehat{ab}$, `pred_ab` | a prediction of $ab$ |
# | $G$, $D$ | generator (any model that predicts $ab$), discriminator |
# | $\lambda$ | weight of the L1 loss beside the adversarial one |
# | $T$ | temperature of a distribution over colors |
# | $t$, $x_t$, $v$ | time from noise (0) to data (1), the noisy color then, its velocity |
# | B, C, H, W | batch, channels, height, width |
#
# - **Ground truth:** the photograph's own colors. **Prediction:** a model's.
# - **Chroma:** distance from gray in the (a\*, b\*) plane. **Gamut:** the colors that a screen can show.
# - **MAE:** mean absolute error of $ab$. **PSNR gain:** decibels by which the result beats gray. **LPIPS:** distance
#   between a network's features of two pictures. **Colorfulness:** Hasler and Süsstrunk's measure, 0 for gray.
# - **Logit:** a score before sigmoid or softmax. **Pretrained:** trained before, by us or on ImageNet. **Published:** a
#   run whose numbers are in `results/`.
# - **Training, validation, test photos:** to learn from, choose by, judge by once. **External test set:** test photos
#   of another collection.
#
# ## Three things to take with you
#
# 1. Lightness is given, color is predicted, and the two are joined at the end.
# 2. Some colors follow from what a thing is; others cannot be known.
# 3. Predicted color is a guess and should be labeled so.
#
# Next: [chapter 1](01_data_prep.ipynb) takes a photo apart.
