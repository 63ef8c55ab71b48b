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
# Numbers came first, in notebook 05, so that a pretty example would not mislead us. Now we look, and first we play.
#
# **You will learn**
#
# - to run the only test of realism that counts, "which one is real?", and to put an interval around its result;
# - to draw the report's grid (gray, CNN, U-Net, cGAN, truth) for photographs that nobody hand-picked;
# - to see *color alone*, without the lightness that makes every model look good;
# - to read the loss curves of all models side by side;
# - when a colored picture is an illustration, and when it is a false statement.
#
# **Before this:** notebooks [02](02_cnn_baseline.ipynb) to [05](05_evaluation.ipynb). Runs that are missing are trained
# here; the next cell prints the minutes. **Downloads:** none in `smoke`. In `class` and `report`, unless they are here
# already: the photos (3.2 GB) and ResNet-18's weights (45 MB).

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
# The constants of this notebook. `ANSWERS` is for the game in 6.2; leave it empty for now.

# %%
SEED = 42  # decides the order of the pairs in the game, and on which side the real photograph stands
PLAYER = "cgan"  # the quoted model that tries to fool you: cnn, unet or cgan
STRENGTH = 1.5  # factor on its colors in the game; 6.2 says why
ANSWERS = []  # if you cannot click: which picture is REAL? ["left", "right", …], one for each pair

# %%
import importlib.util
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Image, display
from PIL import Image as Picture
from scipy.stats import binomtest

from g2g import figures, lab, metrics
from g2g.data import prepare
from g2g.models import predict
from g2g.runs import load_or_train, pretrained_model, published
from g2g.figures import across
from g2g.colorize import colorize_all
from g2g.photos import decode, gallery_photos
from g2g.profiles import get_profile
from g2g.sources import bundled

live = importlib.util.find_spec("ipywidgets") is not None and not os.environ.get("G2G_PLAIN")  # can one click?
if live:
    import ipywidgets as widgets

# %% [markdown]
# ## 6.1 Photographs and models
#
# We look at the eight photographs of [data/gallery](../data/gallery/README.md): Aitzol Berasategi (dogs, meadow, mountains,
# stream, sunset), Trevor "Freespace" (fig), Jakub Mede (room), all CC BY 4.0, and Clemens Engelhardt (dandelion, CC0).
# They are cut square here and, wherever a model's answer is shown, recolored. No model was trained on them. All eight are
# always shown: nobody picked the ones that turned out well.
#
# The models are those that the README quotes, whatever your profile has trained. Their weights lie in the repository.

# %%
names = sorted(path.stem for path in (ROOT / "data" / "gallery").glob("*.jpg"))
gallery = gallery_photos(320)
shipped = {name: pretrained_model(name)[:2] for name in ("cnn", "unet", "cgan")}  # model and its size in px
for name, run in published().items():
    if name in shipped:
        print(f"{run.record['run']}: {run.record['train']:,} photos at {run.record['size']} px, "
              f"seed {run.recipe.seed}, {run.record['device']}")

# %% [markdown]
# ## 6.2 Which one is real?
#
# Play before you look any further. (If you come from notebooks 02 to 05 you have met these photographs. A fair judge is
# somebody who has not: hand the mouse to a friend.)
#
# An error measures the distance to *one* true coloring. Realism is another matter: could a person tell? To find out, show
# people pairs, a real photograph beside a model's coloring of it, and ask **which one is real**. The share of wrong answers
# is the **fooling rate**. A perfect model gets 50%, because its judges can only toss a coin.
#
# You play against the cGAN. So that its faint colors do not give it away, they are multiplied by 1.5: with that factor its
# answers are about as colorful as photographs are (41.0 against 40.6, on the 2,000 test photos of the quoted run).

# %%
rng = np.random.default_rng(SEED)
order = rng.permutation(len(gallery))
fakes = colorize_all(gallery, *shipped[PLAYER], STRENGTH)
real_side = rng.permutation(["left", "right"] * 4).tolist()
pairs = [(gallery[i], fakes[i]) if side == "left" else (fakes[i], gallery[i]) for i, side in zip(order, real_side)]

# %% [markdown]
# The score: the share of wrong answers and its 95% interval (Wilson's).

# %%
def fooling(answers, real_side):
    if len(answers) != len(real_side) or not {*answers} <= {"left", "right"}:
        raise ValueError(f"give 'left' or 'right' for each of the {len(real_side)} pairs, not {answers}")
    fooled = int((np.array(answers) != np.array(real_side)).sum())
    interval = binomtest(fooled, len(answers)).proportion_ci(method="wilson")
    return fooled / len(answers), interval.low, interval.high

# %%
def verdict(answers, who):
    rate, low, high = fooling(answers, real_side)
    return f"{who}: fooled in {rate:.0%} of {len(answers)} pairs, 95% interval {low:.0%} to {high:.0%}"

# %% [markdown]
# To play by clicking, two pictures and two buttons are enough. Each click notes an answer and brings the next pair.

# %%
def jpeg(photo):
    Picture.fromarray(photo).save(buffer := BytesIO(), "JPEG", quality=95)
    return buffer.getvalue()

# %%
def play():
    sides = {side: widgets.Image(format="jpeg", width=320) for side in ("left", "right")}
    buttons = [widgets.Button(description=f"{side} is real") for side in sides]
    said = widgets.Label()

    def next_pair(button=None):
        if button and len(clicked) < len(pairs):
            clicked.append(button.description.split()[0])
        done = len(clicked) == len(pairs)
        said.value = verdict(clicked, "you") if done else f"pair {len(clicked) + 1} of {len(pairs)}"
        for picture, photo in zip(sides.values(), pairs[min(len(clicked), len(pairs) - 1)]):
            picture.value = jpeg(photo)

    for button in buttons:
        button.on_click(next_pair)
    next_pair()
    return widgets.VBox([said, widgets.HBox(list(sides.values())), widgets.HBox(buttons)])

# %% [markdown]
# Where nothing can be clicked (on a saved page, or in a kernel without `ipywidgets`), all pairs are shown at once. Then
# you are on your honor. Give each pair about a second, write `left` or `right` for it into `ANSWERS` in the constants
# above, and run on from here. **Do not scroll past the pairs before you have answered: the solution follows.**

# %%
clicked = []
if live:
    display(game := play())
else:
    shown = [picture for pair in pairs for picture in pair]
    titles = [f"{number} {side}" for number in range(1, len(pairs) + 1) for side in ("left", "right")]
    for i in range(0, len(shown), 4):
        display(figures.image_row(shown[i:i + 4], titles[i:i + 4]))

# %% [markdown]
# ### Your score
#
# Run the second cell below again after playing. A **machine that knows a single trick** plays beside you: it says that
# the more colorful picture is the real one.

# %%
def by_trick(pair):
    left, right = (metrics.colorfulness(torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255) for photo in pair)
    return "left" if left > right else "right"

# %%
tricks = [by_trick(pair) for pair in pairs]
played = ANSWERS or (clicked if len(clicked) == len(pairs) else [])
print(verdict(played, "you") if played else "you: not played yet")
print(verdict(tricks, "the trick"))

# %% [markdown]
# With eight pairs the interval is wide and tells you little. Pool the answers of a whole class: the interval shrinks
# with the square root of their number. For company, here are two published rates. They come from other photos, other
# judges and another display, so you cannot rank yourself against them: [Zhang, Isola & Efros
# 2016](https://arxiv.org/abs/1603.08511), *Colorful Image Colorization*, 32.3%, and [Saharia et al.
# 2022](https://arxiv.org/abs/2111.05826), *Palette*, 47.8%.

# %%
@figures.figure("Fooling rates: two published ones, the trick of naming the more colorful picture, and the player.")
def fooling_rates():
    rates = {"ideal": 0.5, "Palette, 2022": 0.478, "Zhang et al., 2016": 0.323, "the trick, here": fooling(tricks, real_side)}
    if played:
        rates["you, here"] = fooling(played, real_side)
    fig, ax = plt.subplots(figsize=(5, 2))
    for name, rate in rates.items():
        rate, low, high = np.broadcast_to(rate, 3) if np.isscalar(rate) else rate
        ax.barh(name, rate, color="#D55E00" if "here" in name else "#777777")
        ax.errorbar(rate, name, xerr=[[rate - low], [high - rate]], color="black", capsize=3 * (high > low))
    ax.set(xlabel="fooling rate: share of wrong answers", xlim=(0, 1))
    ax.invert_yaxis()
    return fig


fooling_rates()

# %% [markdown]
# The solution, so that you can look again at the pairs that fooled you or the trick:

# %%
solution = {"photograph": [names[i] for i in order], "real": real_side, "the trick": tricks}
solution |= {"you": played} if played else {}
pd.DataFrame(solution, index=pd.RangeIndex(1, len(pairs) + 1, name="pair")).T

# %% [markdown]
# ## 6.3 The grid
#
# One column for each photograph: gray, three models, the truth. (The report's grid has five photos of its test set, and it
# does not say how they were chosen.) Color is predicted on 128 × 128 px and enlarged along the edges of L, as
# [notebook 07](07_your_photos.ipynb) explains; lightness is the photograph's own.

# %%
rows = {"gray": colorize_all(gallery, *shipped["unet"], saturation=0)}
rows |= {name: colorize_all(gallery, *model) for name, model in shipped.items()}
across(rows | {"truth": gallery})

# %% [markdown]
# Now **your** models, on photographs that your profile has not trained on. Here is the first photograph; the grid of
# them all is saved as `qualitative_grid`. In `smoke` the photographs are crops of an astronaut, a cat and a flower, and
# the models have trained for seconds: you see how the tools work, not what the models can do.

# %%
photos = prepare(profile)
runs = {stage: load_or_train(stage, profile, photos=photos) for stage in shipped}
test_photos = [decode(item, profile.size)[1] for item in bundled(get_profile("smoke"))[1][:3]]
L, ab = lab.photos_to_lab(np.stack(test_photos + gallery_photos(profile.size)))
yours = {"gray": lab.to_rgb(L, 0 * ab)}
yours |= {name: lab.to_rgb(L, predict(run.model(), L)) for name, run in runs.items()}
yours["ground_truth"] = lab.to_rgb(L, ab)

# %%
teaser = figures.image_row([column[0] for column in yours.values()], list(yours))
figures.save(across(yours), "qualitative_grid", profile.outputs / "figures")
figures.save(teaser, "teaser", profile.outputs / "figures")
teaser

# %% [markdown]
# ## 6.4 Reading the pictures
#
# Take a minute for each column of the first grid, and ask in this order:
#
# 1. **Is there color at all?** Cover the truth with your hand. Would you call the picture "colored"?
# 2. **Is it in the right place?** Look at edges. Does the color stop where the thing stops, or does it leak?
# 3. **Is it all of a piece?** One sleeve in two colors, or blotches on a plain wall, are the *artifacts* that the
#    report speaks of. (Look at the drum.)
# 4. **Is it plausible?** Grass that is not green looks wrong; a car that is not red is just another car.
# 5. **Only now:** is it the true one?
#
# Your eye is generous. Lightness carries nearly all detail, and it is *true* in every row. So let us take it away: the same
# colors, at a lightness of 60 everywhere.

# %%
L, ab = lab.photos_to_lab(np.stack(gallery_photos(128)))
answers = {name: predict(model, L) for name, (model, _) in shipped.items()}
flat = torch.full_like(L, 2 * 60 / 100 - 1)
across({name: lab.to_rgb(flat, planes) for name, planes in (answers | {"truth": ab}).items()})

# %% [markdown]
# This is all that a model adds. How faint is it? The mean chroma (distance from gray) of each answer, as a share of the
# truth's:

# %%
true_chroma = metrics.chroma(ab).mean((1, 2))
share = {name: metrics.chroma(planes).mean((1, 2)) / true_chroma for name, planes in answers.items()}
pd.DataFrame({name: values.numpy() for name, values in share.items()}, index=names).T.map("{:.0%}".format)

# %% [markdown]
# And where is it wrong? Here is the difference between each picture and the truth at each pixel, as CIEDE2000. Dark is
# right, 1 is about just noticeable, 20 or more is another color.

# %%
@figures.figure("The difference of each answer to the truth, CIEDE2000, at each pixel.")
def difference_maps():
    every = {"gray": 0 * ab} | answers
    fig, cells = figures.axes(len(every), len(L), (1, 1), extra=0.2, side=0.9)
    true = lab.rgb_to_lab(lab.to_rgb(L, ab))
    for row, (name, planes) in zip(cells, every.items()):
        off = metrics.ciede2000(lab.rgb_to_lab(lab.to_rgb(L, planes)), true)
        for ax, plane in zip(row, off):
            drawn = figures.show(ax, plane, "", "magma", 0, 40)
        row[0].set_ylabel(figures.title(name))
    fig.colorbar(drawn, ax=cells, label="CIEDE2000", shrink=0.6)
    return fig


difference_maps()

# %% [markdown]
# ### Turn up the color
#
# The cheapest remedy for faint colors is to multiply them. That makes pictures livelier and mistakes louder, and it adds
# no knowledge. Move the slider, if your notebook has one; on a saved page you see some of its positions. (The slider comes
# with `ipywidgets`, which Colab has.)

# %%
def recolor(photograph="mountains", saturation=1.0):
    photo = gallery[names.index(photograph)]
    display(figures.image_row([colorize_all([photo], *shipped[PLAYER], saturation)[0], photo], [f"× {saturation:g}", "truth"]))


# %%
if live:
    slider = widgets.FloatSlider(1, min=0, max=3, step=0.1, continuous_update=False)
    widgets.interact(recolor, photograph=names, saturation=slider)
else:
    photo = gallery[names.index("mountains")]
    steps = {f"× {s:g}": colorize_all([photo], *shipped[PLAYER], s)[0] for s in (0, 0.5, 1, 1.5, 2, 3)}
    display(figures.image_row([*steps.values(), photo], [*steps, "truth"]))

# %% [markdown]
# At which position does the sky look right, and what does the path look like there?
#
# ## 6.5 All loss curves, side by side
#
# How did the quoted models get there? The upper row shows L1 on training and validation photos, with the gray answer as
# a dashed line. (Palette and flow belong to later notebooks. They train on other losses, so only validation is drawn.)
# The lower row shows the GAN's own losses. They do not say how good the pictures are, only how the two networks are
# doing against *each other*: a discriminator that merely guesses has a loss of $\ln 2 \approx 0.69$. (The curves of
# your own models are saved as `loss_curves`.)

# %%
figures.save(figures.loss_curves(runs), "loss_curves", profile.outputs / "figures")
figures.loss_curves(published())

# %% [markdown]
# ## 6.6 Invented colors
#
# Everything that a model adds is a guess about *photos like this one*. Usually the guess is dull and harmless. It stops
# being harmless where somebody takes a color for a fact.
#
# **Historical pictures.** A colored photograph of 1915 looks closer to us and feels like better evidence, and it has become
# worse evidence. A uniform, a flag, a skin tone are now whatever was frequent among the training photos, and those are
# photos of *today*, mostly from a few countries. Skin drifts to the tone that is most common in the data. If you color an
# old picture, keep the original, publish the two together, and say that the colors are invented and by what. Never use
# them to date, to identify or to classify anything.
#
# **Medical pictures.** The report names medical imaging as a use. An X-ray, a CT or an ultrasound has *no* true color: its
# gray is a measurement. Colors from a model trained on street scenes add no information, and they can hide some or fake
# some: a spot may look inflamed because cushions were red. Where color helps in medicine, it is a *fixed, documented color
# map*, the same for every picture, and invertible.
#
# **The rule of thumb:** a coloring may say "it could have looked like this". It can never say "it did".
#
# ## Summary
#
# - Realism is a question for people: a fooling rate with its interval, where 50% is ideal.
# - Show photos that were not chosen by hand, beside gray and beside the truth.
# - Lightness is given and makes every model look good. Look at color alone before you judge it.
# - The losses of a GAN say how two networks are doing against each other, not how good the pictures are.
# - A color that a model adds is a guess. Say so wherever you show it.
#
# This is as far as the report goes: from a photo to its planes, through three models, to numbers and pictures that can be
# checked. `python -m report build` writes all of it on one page.
#
# What could be next? [DDColor](https://arxiv.org/abs/2212.11613) (Kang et al. 2023) colors more vividly than anything in this
# course: it asks a set of learned *color queries* which colors belong to which features, and has a loss that rewards
# colorfulness. [DeOldify](https://github.com/jantic/DeOldify) is the best-known U-Net with a GAN, and the source of many
# colored films. Ask of both what you asked here.
#
# ## Exercises
#
# 1. **Left or right?** Mirror L, color it, mirror the answer back. Is it the same coloring? Which model changes its mind
#    most, and what in its training should have prevented that?
# 2. **How many pairs?** Your fooling rate has an interval around it. How many pairs must a class play to tell a model of
#    32.3% from the ideal 50%, if 80% of such classes are to succeed?
# 3. **Darker.** Lower the lightness of a photo by 20 L\* before coloring it. Do the colors stay? What does that say about
#    colored film stills of a night scene?
# 4. **Reading.** Palette colors with a *diffusion* model: it draws one of many possible colorings instead of their
#    average. Which of the measures in notebook 05 would rank it too low, and why?
#
# [Solutions](solutions/06_solutions.ipynb) · Next: [notebook 07](07_your_photos.ipynb) colors your own photos at full size.
