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
# # 1 · What a model sees, and what it predicts
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/01_data_prep.ipynb)
#
# A colorization model gets a gray photo and predicts its color. To train one, we take photos whose colors are known and
# split each into *what the model sees* and *what it has to predict*.
#
# **You will learn**
#
# - how a color becomes L\*a\*b\*, and why a model predicts only a and b;
# - how the divisor of a\* and b\* changes every error in this course;
# - why the gray photo is a strong competitor.
#
# **Before this:** Python and a little NumPy. **Minutes:** printed by the next cell. **Downloads:** `class` and `report`
# fetch 3.2 GB of photos in section 1.1.
#
# > **In `smoke`** the photos are crops of seven photographs that come with two Python packages. They are not typical,
# > and the numbers computed from them mean nothing.

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
import pandas as pd
import torch
from skimage import color

from g2g import evaluation, figures, lab, metrics, runs
from g2g.data import batches, prepare
from g2g.photos import gallery_photo
from g2g.profiles import repo_root

# %% [markdown]
# ## 1.1 The photos
#
# `prepare` makes squares of your profile's photos and splits them in three: **training** photos to learn from,
# **validation** photos to choose by, and **test** photos that no chapter before 05 looks at.
# [Appendix A1](A1_data_in_detail.ipynb) has the details.

# %%
photos = prepare(profile)
print(photos)

# %% [markdown]
# The photographs that we *look* at are those of [data/gallery](../data/gallery/README.md), on which no profile trains.
# These three are by Trevor "Freespace" (fig) and Aitzol Berasategi (meadow, mountains), CC BY 4.0, cut square, and
# below also recolored.

# %%
gallery = np.stack([gallery_photo(name, 320) for name in ("fig", "meadow", "mountains")])
figures.image_row(gallery)

# %% [markdown]
# ## 1.2 Why not predict RGB?
#
# Here are the red, green and blue values of the meadow, each shown as a gray picture.

# %%
rgb = gallery[1] / 255  # sRGB in [0, 1]
figures.image_row([rgb[..., [channel] * 3] for channel in range(3)], ["red", "green", "blue"])

# %% [markdown]
# All three look like black-and-white photos, because each holds brightness *and* color. A model of RGB would have to
# predict the brightness again, which is known. **CIE L\*a\*b\*** takes the two apart. L\* is lightness, from 0 (black) to
# 100 (white): the gray photo. The color is in a\*, from green (−) to magenta (+), and b\*, from blue (−) to yellow (+),
# with 0 for no color. Equal distances in Lab look about equally different.
#
# ## 1.3 From RGB to Lab in three steps
#
# **Step 1: undo the gamma.** The numbers in a file are not proportional to light. They are spread so that dark tones
# get more of the 256 steps:
#
# $$c_\text{linear} = \begin{cases} c/12.92 & c \le 0.04045 \\ \left(\dfrac{c + 0.055}{1.055}\right)^{2.4} & \text{else}\end{cases}$$

# %%
def linearize(c):
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


print(f"a stored value of 0.5 is {float(linearize(0.5)):.3f} of full light")
figures.image_row([rgb, linearize(rgb)], ["as stored", "proportional to light"])

# %% [markdown]
# The right picture looks too dark because the screen applies its curve once more.
#
# **Step 2: from the screen's primaries to XYZ.** A fixed matrix turns linear RGB into the response of a standard
# observer. Its rows sum to the color of white, here daylight (D65), and its middle row is luminance.

# %%
M = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.95047, 1.0, 1.08883])  # D65, 2° observer
print("white becomes", (np.ones(3) @ M.T).round(5))

# %% [markdown]
# **Step 3: a cube root, and differences.** Divide by white, so that gray has three equal numbers, and take a cube root,
# because we sense ratios of light rather than amounts. Lightness is then the middle number, and color is made of the
# differences, which are zero for gray:
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
# The next figure shows the photo and its three planes.
#
# **Predict.** Which of the photo's outlines, textures and colors will you find in L\*, and which in a\* and b\*?

# %%
fig = figures.preprocessing(gallery[1])
figures.save(fig, "preprocessing", profile.outputs / "figures")
fig

# %% [markdown]
# <details><summary>Answer</summary>
#
# L\* has all outlines and nearly all textures. In a\* and b\* there are a few large patches: the orange trees stand out
# from the green meadow in a\*, and the far mountains from both in b\*. Some texture is left, such as the white specks of
# the meadow in a\*, but a model of a\* and b\* need not draw the leaves and the rocks.
#
# </details>
#
# To see what each plane carries, we put the photo together again without the others.

# %%
L, a, b = torch.from_numpy(to_lab(rgb)).movedim(-1, 0)
zero = torch.zeros_like(L)
planes = {"L* alone": (L, zero, zero), "L* and a*": (L, a, zero), "L* and b*": (L, zero, b)}
figures.image_row([lab.lab_to_rgb(torch.stack(p)) for p in planes.values()], planes)

# %% [markdown]
# With a\* alone the meadow turns teal and the trees pink, while the mountains stay nearly gray. With b\* alone the mountains
# have nearly their own blue, and meadow and trees share one mustard yellow.
#
# ## 1.4 The divisor
#
# Networks work well with numbers between −1 and 1. For L\* we take $L = L^*/50 - 1$. For a\* and b\* we need to
# know how far the colors of a screen reach, so we convert a grid over the whole RGB cube.

# %%
steps = np.linspace(0, 1, 64)
cube = to_lab(np.stack(np.meshgrid(steps, steps, steps), axis=-1))
print(f"a* from {cube[..., 1].min():.1f} to {cube[..., 1].max():.1f}")
print(f"b* from {cube[..., 2].min():.1f} to {cube[..., 2].max():.1f}")

# %% [markdown]
# Dividing by **110** brings every color between −1 and 1, so $ab = (a^*, b^*)/110$. Much code divides by 128 instead. That
# does no harm to a model, but the same picture then gets an error 110/128 = 0.86 times as large. An error of ab can be
# read only with its divisor, and the report that this course rebuilds does not name its own.

# %%
error = torch.stack([a, b]).abs().mean()
print(f"error of no color, on the meadow: {error:.2f} in CIE units, {error / 110:.4f} by 110, {error / 128:.4f} by 128")

# %% [markdown]
# ## 1.5 Which colors do photos have?
#
# **Predict.** Of all pixels in all photos, how many have next to no color?
#
# <details><summary>Answer</summary>
#
# Many more than most people expect: walls, roads, clouds, shade, whatever is nearly white or black. The cell after the
# figure counts them: in the saved run 27% of the pixels have a chroma below 5, and 46% one below 10.
#
# </details>
#
# We count how often each pair (a\*, b\*) occurs in the training photos. The scale is logarithmic, and the line is the
# border of what a screen can show. The title gives the mean *chroma*, the distance from gray.

# %%
step = max(1, photos.size // 64)
pairs = batches(photos.train[:, ::step, ::step], 256)
L_train, ab_train = (torch.cat(planes) for planes in zip(*pairs, strict=True))
histogram = figures.ab_histograms({"": ab_train})
figures.save(histogram, "ab_histogram", profile.outputs / "figures")
histogram

# %% [markdown]
# In the saved run photos reach nearly all of the area inside the line, except for the corners of the strongest green and
# magenta, but they reach most of it only rarely. The mass sits at gray and along b\*: downward in a narrow band to blue,
# the color of sky and shade, and upward in two arms, one to the yellow-green of grass and a broader one to the
# orange of skin, wood and lamplight. In numbers:

# %%
chroma = metrics.chroma(ab_train)
for limit in (5, 10, 20, 40):
    print(f"chroma below {limit:2}: {(chroma < limit).float().mean():.0%} of the pixels")

# %% [markdown]
# **Predict.** You see one pixel of middle gray, must name its b\*, and pay the absolute error. The histogram shows the b\*
# that such pixels have. Which value do you name?

# %%
b_star = 110 * ab_train[:, 1][(L_train[:, 0] > 0) & (L_train[:, 0] < 0.3)]
fig, ax = plt.subplots(figsize=(6, 2.6))
ax.hist(b_star.numpy(), bins=np.arange(-60, 81, 2), color="#999999")
ax.axvline(b_star.median(), color="#D55E00", label=f"median {b_star.median():.1f}")
ax.axvline(b_star.mean(), color="#0072B2", ls="--", label=f"mean {b_star.mean():.1f}")
ax.set(xlabel="b* of pixels with L* between 50 and 65  (blue … yellow)", yticks=[])
ax.legend()
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# The median, which has the lowest mean absolute error of all values: 9.0 in the saved run. That is a weak color, although
# sky and lamplight are far out on either side. A model that knows more (this is sky, this is a lemon) can do better.
# Where it is unsure, it falls back on a color like this one, a gray with a touch of brown.
#
# </details>
#
# ## 1.6 The first number to beat
#
# The mean absolute error (MAE) of a model that predicts gray, $ab = 0$, is the mean of $|ab|$. A little better is the
# fixed color with the lowest error on *training* photos, the median of a and of b.

# %%
best = evaluation.best_constant(photos)
print(f"best constant color: a* = {110 * best[0]:.1f}, b* = {110 * best[1]:.1f}")
baselines = {"gray": evaluation.gray(), "constant": evaluation.constant(best)}
for name, model in baselines.items():
    scores = evaluation.score(model, photos, "valid", show=False)
    mean, low, high = evaluation.bootstrap(scores["mae"])
    print(f"{name:9} MAE {mean:.4f}, 95% interval {low:.4f} to {high:.4f} over {len(scores)} validation photos")

# %% [markdown]
# The intervals say how far a mean depends on which photos were drawn. The two baselines look like this:

# %%
L_one, ab_one = lab.photos_to_lab(gallery[1:2])
predictions = {name: model(L_one) for name, model in baselines.items()} | {"ground truth": ab_one}
figures.image_row([lab.to_rgb(L_one, pred_ab)[0] for pred_ab in predictions.values()], predictions)

# %% [markdown]
# In the saved run the constant is a faint warm tint, clearest in the sky.
#
# *Read from `results/`, not computed here:* the same baselines on the test photos of the published runs, and the report's
# three models on its own photos.

# %%
results = next(iter(runs.published().values())).folder.parent
table = pd.read_csv(results / "table1.csv", index_col="model")
gray = table["mae"].iloc[0]
for name, row in table.iterrows():
    if row["row"] in baselines:
        print(f"{name}: MAE {row['mae']:.4f} on {row['photos']:,} photos")
    elif row["reported_mae"] > 0:
        print(f"{name}, as reported: MAE {row['reported_mae']:.4f}, {1 - row['reported_mae'] / gray:.0%} below our gray")

# %% [markdown]
# Most colors are weak, so predicting none costs little. Without a gray row nobody could tell that the report's models are
# a few percent better than no color at all. Every table of this course has that row.
#
# ## 1.7 Checks
#
# `g2g.lab` converts whole batches on a GPU. It should agree with our formulas and with scikit-image (which rounds two
# constants), and the way back should return the same bytes.

# %%
for name, colors in (("photo", rgb), ("random", np.random.default_rng(0).random((250, 400, 3)))):
    library = lab.rgb_to_lab(torch.from_numpy(colors).movedim(-1, 0)).movedim(0, -1).numpy()
    print(f"{name}: largest difference to g2g.lab {np.abs(to_lab(colors) - library).max():.0e}, "
          f"to scikit-image {np.abs(to_lab(colors) - color.rgb2lab(colors)).max():.0e}")

# %%
back = lab.to_rgb(*lab.photos_to_lab(gallery)).movedim(1, -1).numpy()
print("bytes, to Lab and back:", "equal" if (np.rint(255 * back) == gallery).all() else "different")

# %% [markdown]
# ## Three things to take with you
#
# 1. Lab separates what is given, $L$, from what is predicted, $ab$. Outlines are in $L$; color may be soft.
# 2. $ab = (a^*, b^*)/110$, and an MAE of $ab$ compares only with another of the same divisor.
# 3. Most pixels have weak colors, so a gray prediction is hard to beat by MAE.
#
# ## Exercises
#
# 1. ★ **The other divisor.** Compute the validation MAE of gray and of the best constant as if ab had been divided by
#    128. By how many percent does the constant beat gray with either divisor? What does that say about comparing two
#    papers? <details><summary>Hint</summary>What does a divisor do to a mean?</details>
# 2. ★★ **How coarse may color be?** Shrink ab by 2, 4, 8, 16 and 32, put it under the full L\*, and measure the mean
#    CIEDE2000 (`g2g.metrics.delta_e`) to the original. Where do you begin to *see* it?
#    <details><summary>Hint</summary><code>F.interpolate</code> shrinks with <code>mode="area"</code> and enlarges with
#    <code>mode="bilinear"</code>.</details>
# 3. ★★ **A folder of trouble** (after [appendix A1](A1_data_in_detail.ipynb)). Write some photos into a temporary
#    folder, add a truncated JPEG, a text file called `photo.jpg` and a copy of a photo under another name, and prepare
#    it. Does the manifest tell the whole story?
#    <details><summary>Hint</summary><code>dataclasses.replace(profile, source="folder", data_dir=...)</code>.</details>
#
# [Solutions](solutions/01_solutions.ipynb) · Next: [chapter 2](02_cnn_baseline.ipynb) trains the first model.
