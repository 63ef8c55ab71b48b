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
# # 6 · Looking at the pictures
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/06_qualitative_grids.ipynb)
#
# Numbers came first, so that a pretty example would not mislead us. Now we look, and first we play.
#
# **You will learn** how to test realism with people, how to read a colored picture, what a model adds once lightness is taken away, and when
# a colored picture is a false statement.
#
# **Before this:** notebooks [02](02_cnn_baseline.ipynb) to [05](05_evaluation.ipynb). **Minutes** are printed by the next cell; runs that are
# missing are trained. **Downloads:** none in `smoke`; else the photos (3.2 GB) and ResNet-18's weights (45 MB), unless they are here.
#
# > The pictures are by the published models, except the last of 6.2, which is by your own runs. In `smoke` these were trained for seconds, and
# > their colors mean nothing.

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
SEED = 42  # decides the crops, and on which side the real one stands
PAIRS = 12
ANSWERS = []  # if you cannot click: which picture is REAL? ["left", "right", ...], one for each pair

# %%
import importlib.util
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from PIL import Image
from scipy.stats import binomtest

from g2g import figures, lab, metrics
from g2g.colorize import colorize_all
from g2g.photos import gallery_photos
from g2g.profiles import get_profile
from g2g.runs import load_or_train, pretrained_model
from g2g.sources import bundled

live = importlib.util.find_spec("ipywidgets") is not None and not os.environ.get("G2G_PLAIN")  # can one click?
if live:
    import ipywidgets as widgets

# %% [markdown]
# ## 6.1 Which one is real?
#
# An error measures the distance to *one* ground truth. Realism is another question. People are shown pairs, a photograph beside a model's
# coloring of it, and say **which one is real**. The fraction of wrong answers is the **fooling rate**. A perfect model reaches
# 50%, because then people can only guess.
#
# The pairs are crops of photographs from scikit-image and scikit-learn ([attributions](../data/README.md)) and of
# [data/gallery](../data/gallery/README.md). The model is the one that `colorize` takes; it has seen none of them.

# %%
files = {item.path for items in bundled(get_profile("smoke")) for item in items} | {*(ROOT / "data" / "gallery").glob("*.jpg")}
rng, crops = np.random.default_rng(SEED), []
for file in rng.permutation(sorted(files, key=lambda path: path.name))[np.arange(PAIRS) % len(files)]:
    photo = np.asarray(Image.open(file).convert("RGB"))
    top, left = (rng.integers(0, side - 280 + 1) for side in photo.shape[:2])
    crops.append(photo[top:top + 280, left:left + 280])

# %%
fakes = colorize_all(crops, *pretrained_model()[:2])
real_side = rng.choice(["left", "right"], PAIRS).tolist()
pairs = [(crop, fake) if side == "left" else (fake, crop) for crop, fake, side in zip(crops, fakes, real_side)]

# %% [markdown]
# The score comes with a 95% interval, because a few pairs tell little.

# %%
def fooling_rate(answers, who):
    assert len(answers) == PAIRS and {*answers} <= {"left", "right"}, f"'left' or 'right', {PAIRS} times: {answers}"
    fooled = int((np.array(answers) != np.array(real_side)).sum())
    interval = binomtest(fooled, PAIRS).proportion_ci(method="wilson")
    return f"{who}: fooled in {fooled} of {PAIRS} pairs, 95% interval {interval.low:.0%} to {interval.high:.0%}"


# %% [markdown]
# Two pictures and two buttons make the game; each click brings the next pair.

# %%
def play():
    sides = {side: widgets.Image(format="jpeg", width=320) for side in ("left", "right")}
    buttons = [widgets.Button(description=f"{side} is real") for side in sides]
    label = widgets.Label()

    def next_pair(button=None):
        if button and len(clicked) < PAIRS:
            clicked.append(button.description.split()[0])
        number = min(len(clicked), PAIRS - 1)
        label.value = f"pair {number + 1} of {PAIRS}" if len(clicked) < PAIRS else fooling_rate(clicked, "you")
        for widget, photo in zip(sides.values(), pairs[number]):
            Image.fromarray(photo).save(buffer := BytesIO(), "JPEG", quality=95)
            widget.value = buffer.getvalue()

    for button in buttons:
        button.on_click(next_pair)
    next_pair()
    return widgets.VBox([label, widgets.HBox(list(sides.values())), widgets.HBox(buttons)])


# %% [markdown]
# Where nothing can be clicked, all pairs are shown. Give each about a second, and write `left` or `right` into `ANSWERS`. **Do not scroll past
# the pairs before you have answered.**

# %%
clicked = []
if live:
    display(play())
else:
    for first in range(0, PAIRS, 2):
        shown = [picture for pair in pairs[first:first + 2] for picture in pair]
        titles = [f"{first + i // 2 + 1} {'left' if i % 2 == 0 else 'right'}" for i in range(len(shown))]
        display(figures.image_row(shown, titles))

# %% [markdown]
# Run the next cell again after playing. Beside you plays a rule that takes the more colorful picture for the real one.

# %%
by_rule = ["left" if np.ptp(left, 2).mean() > np.ptp(right, 2).mean() else "right" for left, right in pairs]
played = ANSWERS or (clicked if len(clicked) == PAIRS else [])
print(fooling_rate(by_rule, "the rule"), fooling_rate(played, "you") if played else "you: not played yet", sep="\n")
pd.DataFrame({"real": real_side, "the rule": by_rule} | ({"you": played} if played else {}), range(1, PAIRS + 1)).T

# %% [markdown]
# If the rule is right nearly always, paleness alone gives the model away. With `SEED = 42` it is wrong in 2 of the 12 pairs, because
# there the prediction is more colorful than the photograph.
#
# <details><summary>Answer, for after the game: what gives the predictions away?</summary>
#
# Often stains. In pair 4 the coffee and the saucer are gray, and the cup is yellow inside. In pair 5 the orange suit turns pink and gray
# at the shoulder, and the straps turn yellow. In pair 12 the cushion has a pink spot.
#
# </details>
#
# One player says little; pool the answers of a class. Published rates, with other photos and judges, are 32.3%
# ([Zhang et al. 2016](https://arxiv.org/abs/1603.08511)) and 47.8% ([Palette, 2022](https://arxiv.org/abs/2111.05826)).
#
# ## 6.2 Large
#
# Two photographs by four models (Aitzol Berasategi, Jakub Mede, CC BY 4.0; cut and recolored). Ask in this order:
#
# 1. **Is there color at all?** Cover the ground truth with your hand.
# 2. **Is it in the right place?** Does the color stop where the thing stops?
# 3. **Is it all of a piece?** Blotches on a plain wall are *artifacts*.
# 4. **Is it plausible?** Grass that is not green looks wrong; a car that is not red is just another car.
# 5. Only then: **is it the true one?**

# %%
models = {name: pretrained_model(name)[:2] for name in ("cnn", "unet", "cgan", "palette")}
names = [path.stem for path in sorted((ROOT / "data" / "gallery").glob("*.jpg"))]
gallery = dict(zip(names, gallery_photos(400)))


@figures.figure("One photograph: gray, four models, and the ground truth.")
def six(pictures):
    fig, cells = plt.subplots(2, 3, figsize=(7, 4.9))
    for ax, (name, picture) in zip(cells.flat, pictures.items()):
        figures.show(ax, figures.image(picture), figures.title(name))
    return fig


# %%
def colored(photograph):
    pictures = {name: colorize_all([photograph], *model)[0] for name, model in models.items()}
    return {"gray": colorize_all([photograph], None, 128, 0)[0]} | pictures | {"ground_truth": photograph}


six(colored(gallery["dogs"]))

# %% [markdown]
# Look at the fur and at the boards below the window. The CNN leaves the dogs gray, and the U-Net makes them a dull brown. The cGAN paints the faces
# orange and leaves the fur around them pale. The palette's dogs are reddish brown, but its boards have a red stain, and the cloth in the
# window turns pinkish. In the U-Net and the cGAN the lower dog's color leaks onto a board. The white boards turn bluish at the upper right in
# the CNN's picture, and cream with a bluish patch in the cGAN's.

# %%
six(colored(gallery["room"]))

# %% [markdown]
# Look at the drum, the cushion, and the wall. Only the U-Net's picture is of a piece, and it is nearly gray. The CNN's drum has a yellowish
# spot, and its wall turns bluish at the top. The cGAN's drum is bluish, with a violet spot on the cushion. The palette's drum and
# cushion are a pinkish gray. The last two also paint the coffee mill red. No model finds the warm light of the ground truth.
#
# Now your own runs on the fig (Trevor "Freespace", CC BY 4.0); all photographs are saved as `qualitative_grid`.

# %%
runs = {model: load_or_train(model, profile) for model in ("cnn", "unet", "cgan")}
rows = {name: colorize_all(gallery.values(), run.model(), profile.size) for name, run in runs.items()}
rows = {"gray": colorize_all(gallery.values(), None, 128, 0)} | rows | {"ground_truth": list(gallery.values())}
figures.save(figures.across(rows), "qualitative_grid", profile.outputs / "figures")
teaser = figures.image_row([row[names.index("fig")] for row in rows.values()], list(rows))
figures.save(teaser, "teaser", profile.outputs / "figures")
teaser

# %% [markdown]
# ## 6.3 Color alone
#
# Lightness carries nearly all detail, and it is the photograph's own. So we take it away: the same colors, at a lightness of 60 everywhere.
#
# **Predict first.** In which of the six panels will you still recognize the drum?
#
# <details><summary>Answer</summary>
#
# In the ground truth, and faintly in the palette's prediction, as a reddish ring. The cGAN has a bluish spot there, without an edge. In the
# CNN's and the U-Net's panels the drum can hardly be made out.
#
# </details>

# %%
L, ab = lab.photos_to_lab(gallery["room"][None])
planes = {name: lab.photos_to_lab(picture[None])[1] for name, picture in colored(gallery["room"]).items()}
fraction = {name: metrics.chroma(pred_ab).mean() / metrics.chroma(ab).mean() for name, pred_ab in planes.items()}
print("mean chroma:", {figures.title(name): f"{x:.0%}" for name, x in fraction.items()})
six({name: lab.to_rgb(torch.full_like(L, 0.2), pred_ab)[0] for name, pred_ab in planes.items()})

# %% [markdown]
# This is all that a model adds; the percentages compare its strength with the ground truth's.
#
# ## 6.4 More color
#
# The cheapest remedy for faint colors is to multiply them.

# %%
def recolor(photograph="dogs", saturation=1.0):
    return colorize_all([gallery[photograph]], *models["unet"], saturation)[0]


if live:
    slider = widgets.FloatSlider(1, min=0, max=3, step=0.1, continuous_update=False)
    widgets.interact(lambda **chosen: Image.fromarray(recolor(**chosen)), photograph=widgets.Dropdown(options=names, value="dogs"), saturation=slider)
else:
    display(figures.image_row([recolor(saturation=s) for s in (0.5, 1, 2, 3)], ["× 0.5", "× 1", "× 2", "× 3"]))

# %% [markdown]
# Take the dogs: where does the fur look right, and how do the boards look there? At × 2 the faces come close to the ground truth of 6.2,
# while the fur around them is still too pale. At × 3 the faces are too red, the boards below the window turn yellow, and the white ones
# show patches of cream and blue.
#
# ## 6.5 Invented colors
#
# **Historical pictures.** A colored photograph of 1915 feels like better evidence, and it is worse evidence. A uniform, a flag, a skin tone
# are now whatever was frequent among the training photos, which are photos of today, mostly from a few countries. Publish the original beside
# it, and say by what the colors were invented. Never use them to date, to identify or to classify anything.
#
# **Medical pictures.** The report names medical imaging as a use. In an X-ray or a CT, gray is a measurement. Colors from a model of street
# scenes add no information and can suggest a finding.
#
# A coloring may say "it could have looked like this", never "it did".
#
# ## Takeaways
#
# 1. Realism is a question for people: a fooling rate with its interval, where 50% is ideal.
# 2. Lightness is given and makes every model look good. Look at color alone, and at photos that nobody picked.
# 3. A predicted color is a guess. Say so wherever you show it.
#
# ## Exercises
#
# 1. **Left or right?** (★) Mirror L, color it, mirror the prediction back. Is it the same coloring?
#    <details><summary>Hint</summary>`tensor.flip(-1)`.</details>
# 2. **How many pairs?** (★★) How many pairs must a class play to tell a model of 32.3% from 50%, if 80% of such classes are to succeed?
#    <details><summary>Hint</summary>Simulate classes; `binomtest` against 0.5 below 0.05.</details>
# 3. **Darker** (★★). Lower L\* by 20 before coloring. Do the colors stay?
#    <details><summary>Hint</summary>Show both predictions on the original L.</details>
# 4. **Reading** (★★). Palette draws one of many possible colorings. Which measures of notebook 05 rank it too low, and why?
#    <details><summary>Hint</summary>Compare a red car where the ground truth is blue with a gray one.</details>
#
# [Solutions](solutions/06_solutions.ipynb) · Next: [notebook 07](07_your_photos.ipynb) colors your own photos at full size.
