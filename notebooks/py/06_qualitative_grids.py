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
# Numbers came first, in notebook 05, so that we would not fall for a pretty example. Now we look.
#
# **You will learn**
#
# - to draw the report's grid: gray, CNN, U-Net, cGAN, truth, for photos that nobody hand-picked;
# - to see *colour alone*, without the lightness that makes every model look good;
# - to read the loss curves of all models side by side;
# - to run the only test of realism that counts, "which one is real?", and to put an interval around its
#   answer;
# - when a coloured picture is an illustration, and when it is a false statement.
#
# **Before this:** notebooks 02 to 05. If the runs are not there, they are trained here; the minutes for that
# are printed by the next cell.

# %% tags=["setup"]
# @title Setup, the same in every notebook: find the course, say what will run and how long { display-mode: "form" }
PROFILE = "auto"  # @param ["auto", "smoke", "class", "report"]
USE_DRIVE = False  # @param {type:"boolean"}
import os, shutil, subprocess, sys
from pathlib import Path

if "google.colab" in sys.modules:
    ROOT = Path(os.environ.get("G2G_CONTENT", "/content")) / "gray-to-glory"
    if not (ROOT / "g2g" / "setup.py").is_file():  # absent or incomplete: clone beside it, then rename
        part = ROOT.with_name("gray-to-glory.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(ROOT, ignore_errors=True)
        git = ["git", "clone", "--quiet", "--depth=1", "https://github.com/gray-to-glory/gray-to-glory", str(part)]
        done = subprocess.run(git, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"cannot fetch {git[-2]}: no network, or a wrong address\n{done.stderr}")
        part.rename(ROOT)
else:  # on your own machine: the notebook lies somewhere inside the repository
    ROOT = next((p for p in [Path.cwd(), *Path.cwd().parents] if (p / "g2g" / "setup.py").is_file()), None)
    if ROOT is None:
        raise FileNotFoundError(f"no folder g2g/ in {Path.cwd()} or above: clone the repository first")
sys.path.insert(0, str(ROOT))
from g2g.setup import setup
profile = setup(PROFILE, USE_DRIVE)

# %% [markdown]
# The constants of this notebook. `ANSWERS` is for the game in 6.5: leave it empty for now.

# %%
SEED = 42  # decides which photos come into the game, and on which side the real one stands
PICK = [0, 1, 2, 3, 4]  # numbers of the test photos to show; the first five, because nobody chose them
PLAYER = "cgan"  # the model that tries to fool you: cnn, unet, unet_long or cgan
PAIRS = 10  # pairs in the game
ANSWERS = []  # your answers: which picture is REAL? ["left", "right", …], one for each pair

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Image, display
from matplotlib_inline.backend_inline import set_matplotlib_formats
from scipy.stats import binomtest

from g2g import figures, lab
from g2g.data import prepare
from g2g.metrics import ciede2000
from g2g.models import predict
from g2g.profiles import TITLES
from g2g.runs import device, load_or_train, quoted, shipped_model
from report.publish import across, coloured, gallery_photos

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 90})  # photos as PNG would make the notebook heavy

# %% [markdown]
# ## 6.1 Photos and models
#
# Photos of the test set, which no training has read, and one finished run of each stage. What is missing is
# trained first. In the `smoke` profile the pictures are crops of an astronaut, a cat and a flower, and the
# models have trained for seconds: **what you see then is how the tools work, not what the models can do.**

# %%
photos = prepare(profile)
print(photos)
runs = {stage: load_or_train(stage, profile, photos=photos) for stage in profile.stages}
models = {stage: run.model(device=device()) for stage, run in runs.items()}

# %% [markdown]
# A model sees only $L$. Its answer is ab; the picture is the two joined:

# %%
chosen = photos.test[[i for i in PICK if i < len(photos.test)]]
L, ab = lab.photos_to_lab(chosen)
answers = {stage: predict(model, L) for stage, model in models.items()}
columns = {"gray": lab.to_rgb(L, 0 * ab)}
columns |= {stage: lab.to_rgb(L, answers[stage]) for stage in ("cnn", "unet", "cgan")}
columns["truth"] = lab.to_rgb(L, ab)

# %% [markdown]
# The **teaser**: one photo, five ways.

# %%
fig = figures.image_row([pictures[0] for pictures in columns.values()], list(columns))
figures.save(fig, "teaser", profile.outputs / "figures")
fig

# %% [markdown]
# ## 6.2 The report's grid
#
# One row for each photo. The report shows five photos of its test set and does not say how they were chosen.
# Here they are the first five; change `PICK` and see how much a choice can say.

# %%
fig = figures.qualitative_grid(columns)
figures.save(fig, "qualitative_grid", profile.outputs / "figures")
fig

# %% [markdown]
# And these are the models that the README quotes, whatever your profile has trained: their weights lie in the
# repository. The photographs are those of `data/gallery` (authors and licences in its README; recoloured here), which no
# model was trained on. Colour is predicted on 128 × 128 px and enlarged along the edges of L, as in notebook 07.

# %%
gallery = gallery_photos(320)
rows = {name: coloured(gallery, *shipped_model(name)[:2]) for name in ("cnn", "unet", "cgan")}
rows = {"gray": coloured(gallery, *shipped_model("unet")[:2], saturation=0)} | rows
across(rows | {"truth": gallery})

# %% [markdown]
# ## 6.3 Reading the pictures
#
# Take a minute for each row, and ask, in this order:
#
# 1. **Is there colour at all?** Cover the truth with your hand. Would you call the picture "coloured"?
# 2. **Is it in the right place?** Look at edges: does colour stop where the thing stops, or does it leak?
# 3. **Is it of one piece?** The same sleeve in two colours, or blotches on a plain wall, are the *artifacts*
#    that the report speaks of.
# 4. **Is it plausible?** Grass that is not green is wrong; a car that is not red is just another car.
# 5. **Only now:** is it the true one?
#
# Your eye is generous, because lightness, which carries nearly all detail, is *true* in every column. So let
# us take it away: the same ab, at one lightness of 60 everywhere.

# %%
flat = torch.full_like(L, 2 * 60 / 100 - 1)
alone = {stage: lab.to_rgb(flat, answers[stage]) for stage in ("cnn", "unet", "cgan")}
figures.qualitative_grid({"gray": columns["gray"], **alone, "truth": lab.to_rgb(flat, ab)})

# %% [markdown]
# Colour alone is a blurry, faint picture: that is all that a model adds. How faint, in numbers: the mean
# chroma of each answer, against the truth's.

# %%
def chroma(planes):
    return lab.AB_SCALE * planes.square().sum(1).sqrt().mean((1, 2))

faint = {stage: (chroma(answer) / chroma(ab).clamp(min=1e-3)).numpy() for stage, answer in answers.items()}
pd.DataFrame(faint, index=[f"photo {i}" for i in PICK[:len(L)]]).map("{:.0%}".format)

# %% [markdown]
# And where it is wrong: the difference of each picture to the truth, as CIEDE2000. Dark is right; 2 is just
# noticeable; 20 and more is another colour.

# %%
def difference_maps(row=0):
    names = [name for name in columns if name != "truth"]
    fig, axes = plt.subplots(1, len(names), figsize=(8, 2.3), layout="constrained")
    true = lab.rgb_to_lab(columns["truth"][row:row + 1])
    for ax, name in zip(axes, names):
        off = ciede2000(lab.rgb_to_lab(columns[name][row:row + 1]), true)[0]
        image = ax.imshow(off, cmap="magma", vmin=0, vmax=40)
        ax.set(title=f"{TITLES.get(name, name)}: {off.mean():.1f}", xticks=[], yticks=[])
    fig.colorbar(image, ax=axes, label="CIEDE2000")
    plt.show()

difference_maps()

# %% [markdown]
# **What could be done about faint colours?** The cheapest trick is to multiply ab. It makes pictures livelier
# and mistakes louder, and it adds no knowledge. Here for the first photo:

# %%
strengths = (1, 1.5, 2, 3)
figures.image_row([*(lab.to_rgb(L[:1], s * answers[PLAYER][:1])[0] for s in strengths), columns["truth"][0]],
                  [*(f"{TITLES[PLAYER]} × {s:g}" for s in strengths), "truth"])

# %% [markdown]
# ## 6.4 All loss curves, side by side
#
# How did the models get there? Above: L1 on training and validation photos, with the gray answer as a dashed
# line. Below: the GAN's own losses, which do not say how good the pictures are: they say how the two
# networks stand against *each other*. A discriminator that only guesses has a loss of $\ln 2 \approx 0.69$.

# %%
fig = figures.loss_curves(runs)
figures.save(fig, "loss_curves", profile.outputs / "figures")
fig

# %% [markdown]
# ## 6.5 Which one is real?
#
# An error measures the distance to *one* true colouring. Realism is something else: could a person tell? So
# show people pairs, a real photo beside the model's colouring of it, and ask **which one is real**. The share
# of wrong answers is the **fooling rate**. A perfect model gets 50%: its judges can only toss a coin.

# %%
rng = np.random.default_rng(SEED)
drawn = rng.permutation(len(photos.test))[:PAIRS]
real_side = rng.choice(["left", "right"], len(drawn)).tolist()
game_L, game_ab = lab.photos_to_lab(photos.test[np.sort(drawn)])
real, fake = lab.to_rgb(game_L, game_ab), lab.to_rgb(game_L, predict(models[PLAYER], game_L))

# %% [markdown]
# In a study each pair is seen for one second. Here you are on your honour: decide quickly, and write down
# `left` or `right` for each.

# %%
def show_pairs():
    n = len(drawn)
    fig, axes = plt.subplots(-(-n // 2), 4, figsize=(7.2, 1.95 * -(-n // 2)), layout="constrained", squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for i, pair in enumerate(axes.reshape(-1, 2)[:n]):
        order = (real[i], fake[i]) if real_side[i] == "left" else (fake[i], real[i])
        for ax, side, picture in zip(pair, ("left", "right"), order):
            ax.imshow(picture.permute(1, 2, 0), interpolation="bicubic")
            ax.set_title(f"{i + 1} {side}", fontsize=8)
    plt.show()

show_pairs()

# %% [markdown]
# Now type your answers into `ANSWERS`, in the cell of constants at the top or right here, and run from here
# on. Without answers the notebook says "left" ten times, as someone who does not look would.

# %%
def fooling(answers, real_side):
    """The share of wrong answers and its 95% interval (Wilson's): (rate, low, high)."""
    if len(answers) != len(real_side) or not {*answers} <= {"left", "right"}:
        raise ValueError(f"give 'left' or 'right' for each of the {len(real_side)} pairs, not {answers}")
    fooled = int((np.array(answers) != np.array(real_side)).sum())
    interval = binomtest(fooled, len(answers)).proportion_ci(method="wilson")
    return fooled / len(answers), interval.low, interval.high

# %%
played = ANSWERS or ["left"] * len(drawn)
rate, low, high = fooling(played, real_side)
who = "you" if ANSWERS else "nobody (the default answers)"
print(f"played by {who}: fooled {rate:.0%} of {len(drawn)} times, 95% interval {low:.0%} to {high:.0%}")

# %% [markdown]
# The interval is wide: with ten pairs little can be told. Pool the answers of the
# whole class: put all lists one after the other, and the interval shrinks with the square root of their
# length. Beside it, two published rates. They come from other photos, other judges and another display, so
# they are company for your number, not rivals.

# %%
rates = {"ideal": 0.5, "Palette, 2022": 0.478, "Zhang et al., 2016": 0.323, f"{TITLES[PLAYER]}, here" if ANSWERS else "nobody played": rate}
colors = ["#777777"] * 3 + ["#D55E00"]
fig, ax = plt.subplots(figsize=(5, 2), layout="constrained")
ax.barh(list(rates), list(rates.values()), color=colors)
ax.errorbar(rate, 3, xerr=[[rate - low], [high - rate]], color="black", capsize=3)
ax.set(xlabel="fooling rate: share of wrong answers", xlim=(0, 1))
ax.invert_yaxis()
plt.show()

# %% [markdown]
# (Zhang, Isola & Efros 2016, *Colorful Image Colorization*: 32.3%. Saharia et al. 2022, *Palette*: 47.8%.)
#
# The right answers, so that you can look again at those that fooled you:

# %%
pd.DataFrame({"real": real_side, "answer": played, "fooled": np.array(played) != np.array(real_side)},
             index=pd.RangeIndex(1, len(drawn) + 1, name="pair")).T

# %% [markdown]
# ## 6.6 Invented colours
#
# Everything that a model adds is a guess about *photos like this one*. Usually the guess is dull and harmless.
# It stops being harmless where somebody reads a colour as a fact.
#
# **Historical pictures.** A coloured photograph of 1915 looks closer, and feels like better evidence, while
# it has become worse: a uniform, a flag, a skin tone are now whatever was frequent among the training
# photos, which are photos of *today*, mostly from a few countries. Skin drifts to the most common tone of
# the data. If you colour an old picture: keep the original, publish them together, say that the colours are
# invented and by what, and never use them to date, to identify or to classify.
#
# **Medical pictures.** The report names medical imaging as a use. An X-ray, a CT or an ultrasound has *no*
# true colour: its gray is a measurement. Colour from a model trained on street scenes adds no information
# to it and can hide or fake some: a spot may look inflamed because cushions were red. Where colour helps in
# medicine it is a *fixed, documented colour map*, the same for every picture, and invertible.
#
# **The rule of thumb:** a colouring may say "it could have looked like this". It can never say "it did".
#
# ## 6.7 The quoted run
#
# The grid of the run that the README quotes is **read from `results/`, not computed here**. It shows bundled
# photographs that the run has not trained on.

# %%
from io import BytesIO

from PIL import Image as Picture

def show_saved(path, width):
    picture = Picture.open(path).convert("RGB")
    picture.thumbnail((width, 2 * width))
    picture.save(buffer := BytesIO(), "JPEG", quality=90)
    display(Image(buffer.getvalue()))

# %%
quoted_runs = quoted()
if quoted_runs:
    run = next(iter(quoted_runs.values()))
    facts = run.record
    print(f"read from results/, not computed here: profile {facts['profile']}, {facts['train']:,} training photos "
          f"of {facts['size']} px, seed {run.recipe.seed}, on {facts['device']}: "
          f"{', '.join(r.record['run'] for r in quoted_runs.values())}")
    show_saved(run.folder.parent / "figures" / "qualitative_grid.png", 600)
else:
    print("no quoted run in results/ yet")

# %% [markdown]
# And its loss curves:

# %%
if quoted_runs:
    show_saved(run.folder.parent / "figures" / "loss_curves.png", 700)

# %% [markdown]
# ## Summary
#
# - Show photos that were not chosen by hand, beside gray and beside the truth.
# - Lightness is given and makes every model look good; look at colour alone before you judge it.
# - Losses of a GAN say how two networks stand to each other, not how good the pictures are.
# - Realism is asked of people: a fooling rate, with its interval, 50% being ideal.
# - A colour that a model adds is a guess. Say so wherever you show it.
#
# So far the report, rebuilt: from a photo to its planes, through three models, to numbers and pictures that can be
# checked. `python -m report build` writes all of it on one page, and `python -m g2g colorize` colours your own
# photos.
#
# ## Exercises
#
# 1. **Left or right?** Mirror L, colour it, mirror the answer back. Is it the same colouring? Which model
#    changes its mind most, and what in its training should have prevented that?
# 2. **How many pairs?** Your fooling rate will have an interval around it. How many pairs must a class play to
#    tell a model of 32.3% from the ideal 50%, in 80% of all classes?
# 3. **Darker.** Lower the lightness of a photo by 20 L\* before colouring it. Do the colours stay? What does that
#    say about coloured film stills of a night scene?
# 4. **Reading.** Palette (Saharia et al. 2022) colours with a *diffusion* model: it draws one of many possible
#    colourings in place of their average. Which of the measures in notebook 05 would rank it too low, and why?
#
# Solutions: `notebooks/solutions/06_solutions.ipynb`.
