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
# # 7 · Your own photos
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/07_your_photos.ipynb)
#
# This notebook colors a photo of yours at its full size, and then takes apart how that works. Nothing is trained here.
#
# **You will learn** why color may be predicted on few pixels and lightness may not, how color is enlarged along the edges of the photo,
# what each defect of an old photograph costs, and what you may say about the result.
#
# **Before this:** nothing is needed. **Minutes:** one or two. **Downloads:** none.

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
# Put the path of a photo between the quotes. (In Colab, drag the file into the file browser first.) Without one, the stream of
# [data/gallery](../data/gallery/README.md) is taken (Aitzol Berasategi, CC BY 4.0).

# %%
PHOTO = ""  # @param {type:"string"}
SATURATION = 1.0  # factor on the predicted color; 0 is gray

# %%
import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter

from g2g import figures, lab, metrics
from g2g.colorize import colorize, colorize_all, colorize_files, guided_filter, to_gamut_rgb
from g2g.models import Mirrored, predict
from g2g.photos import gallery_photos, read_photo
from g2g.runs import pretrained_model

# %% [markdown]
# ## 7.1 Your result
#
# `read_photo` reads nearly any file and returns it upright and in sRGB. `colorize` ignores what color a photo has and keeps its lightness.

# %%
path = Path(PHOTO or ROOT / "data" / "gallery" / "stream.jpg")
photo = read_photo(path)[0].convert("RGB")
model, size, sentence = pretrained_model()
colored = colorize(photo, model, size=size, saturation=SATURATION, by=sentence)
print(f"{path.name}, {photo.width} x {photo.height} px, by {sentence}")


# %%
def colors_alone(ab):
    """ab (1,2,H,W) as a picture (3,H,W) of one lightness."""
    return lab.to_rgb(torch.full_like(ab[:, :1], 0.3), ab)[0]


@figures.figure("Pictures side by side.")
def side_by_side(pictures, height):
    """name -> picture; `height` of the figure in inches."""
    fig, cells = plt.subplots(1, len(pictures), figsize=(7, height))
    for ax, (name, picture) in zip(cells, pictures.items()):
        figures.show(ax, figures.image(picture), name)
    return fig


gray = colorize(photo, model, saturation=0)
side_by_side({"gray": gray, "colored": colored}, 3.6 * photo.height / photo.width)

# %% [markdown]
# Without a photo of yours, this is the stream. Its trees are brown, the leaves at the upper right and the moss below them green, and the
# rocks beige. The water is as brown as the rocks, so nothing marks it as water but its shine.
#
# `colorize_files` writes it at full size, with metadata that say that the colors are a guess, and with `compare` gray and color side by side,
# too. `python -m g2g colorize holiday/*.jpg -o colored --compare` does the same, and `python -m g2g demo` opens a page for it.

# %%
written, failed = colorize_files([path], profile.outputs / "colorized", model, size=size, saturation=SATURATION, compare=True)

# %% [markdown]
# ## 7.2 Color is predicted small
#
# From here on we look at the fig (Trevor "Freespace", CC BY 4.0; recolored), because we have to know its real colors. Which pixels does the
# network see? A model is any function from L to ab, so we can pass one that writes down what it is given.

# %%
fig_photo = read_photo(ROOT / "data" / "gallery" / "fig.jpg")[0]
given = []


def spy(L):
    given.append(L)
    return predict(model, L)


colorize(fig_photo, spy, size=size)
L_small = given[0]
print(f"photo {fig_photo.width} x {fig_photo.height} px; the network saw it as", [tuple(L.shape[:1:-1]) for L in given])

# %% [markdown]
# The photo is reduced, in its own shape, to about as many pixels as a training photo had, because the network knows things at that size.
# Both sides are multiples of 32, as the U-Net needs. It was called twice, the second time with the mirror image: a network treats left and
# right a little differently, and the mean of both predictions has fewer stains. Here are the colors alone, on a lightness of 65.

# %%
as_it_is, mirrored = predict(model, L_small), predict(model, L_small.flip(-1)).flip(-1)
ab_small = predict(Mirrored(model), L_small)
shown = {"as it is": as_it_is, "mirrored, and back": mirrored, "mean of both": ab_small}
side_by_side({name: colors_alone(ab) for name, ab in shown.items()}, 1.9)

# %% [markdown]
# Compare the colors of the fig and of the plate left of it. The first prediction has a pink stain there and a red fig; from the mirror
# image the plate is more orange and the stain is gone. In the mean it is weaker.
#
# **Predict first.** What happens if color is predicted on many more pixels?
#
# <details><summary>Answer</summary>
#
# Every thing is then larger than it was in any training photo, and the network recognizes less of it. Exercise 1 measures it.
#
# </details>

# %%
by_size = {f"{side} px": colorize(fig_photo, model, size=side) for side in (size // 3, size, 3 * size)}
side_by_side(by_size, 1.9)

# %% [markdown]
# At 64 px the plate is evenly red, and the wall has pink and green patches, because the network saw no detail. At 576 px the plate turns
# orange brown and the lower left corner of the wall bluish. At 192 px the wall is calm, and the plate is red only in part.
#
# ## 7.3 Enlarging color along the edges
#
# The small ab must get back to full size. To see this step alone, we start from perfect color: the photo's own ab, reduced to as few
# pixels. Interpolation makes each color edge as wide as a pixel of the small picture. But the full-size L knows where the edges are. The
# **guided filter** ([He, Sun & Tang 2010](https://doi.org/10.1007/978-3-642-15549-9_1)) assumes that in a small window
#
# $$ab \approx \text{slope}\cdot L + \text{offset},$$
#
# fits slope and offset on the small picture by linear regression, enlarges *these*, and applies them to the large L. The constant `eps`
# keeps the slope near 0 where L is flat.

# %%
def window_mean(x):
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def lines(L, ab, eps=1e-3):
    """Slope and offset of ab = slope·L + offset at each pixel."""
    variance = window_mean(L * L) - window_mean(L) ** 2
    covariance = window_mean(L * ab) - window_mean(L) * window_mean(ab)
    slope = window_mean(covariance / (variance.clamp(min=0) + eps))
    return slope, ab - slope * L


def enlarge(planes):
    return F.interpolate(planes, size=(fig_photo.height, fig_photo.width), mode="bilinear")


# %% [markdown]
# **Predict first.** Where would a blurred color show, and where not?
#
# <details><summary>Answer</summary>
#
# At the rim of the plate, where the color changes within a pixel; on the plate itself it changes slowly.
#
# </details>

# %%
L, ab = lab.photos_to_lab(np.asarray(fig_photo)[None])
few = fig_photo.resize(L_small.shape[:1:-1], Image.Resampling.BICUBIC)
L_few, ab_few = lab.photos_to_lab(np.asarray(few)[None])
slope, offset = lines(L_few, ab_few)
interpolated, guided = enlarge(ab_few), enlarge(slope) * L + enlarge(offset)

# %%
enlarged = {"gray": 0 * ab, "interpolated": interpolated, "guided": guided, "ground truth": ab}
errors = {name: 110 * (colors - ab).abs().mean() for name, colors in enlarged.items()}
print({name: f"{error:.2f} CIE units" for name, error in errors.items()})
cut = np.s_[:, :, 100:160, 190:280]
details = {name: colors_alone(colors[cut]) for name, colors in enlarged.items() if name != "gray"}
side_by_side(details, 1.9)

# %% [markdown]
# Look at the rim of the plate. The interpolated color is soft; the guided one follows the edge.
#
# ## 7.4 Colors that a screen cannot show
#
# A network may predict a color too strong for its lightness. Clipping R, G and B brings it into sRGB but changes the lightness. `colorize`
# lowers the chroma instead until the color fits. We ask for three times the photo's own color and look at the lightness that comes out.

# %%
brought_in = {"clipped": lab.to_rgb(L, 3 * ab), "chroma lowered": to_gamut_rgb(L, 3 * ab)}
for way, rgb in brought_in.items():
    off = (lab.rgb_to_lab(rgb)[:, :1] - (L + 1) * 50).abs().mean()
    print(f"{way}: lightness off by {off:.2f} of 100 on average")
side_by_side({way: rgb[0] for way, rgb in brought_in.items()}, 2.5)

# %% [markdown]
# ## 7.5 An old photograph
#
# L\* is not film. Old photographs were often taken on **orthochromatic** film, which is blind to red; their grain shows, they have faded,
# and they are scratched. To measure what that costs, we age photographs whose colors we know, one defect after the other.

# %%
def orthochromatic(photo):
    return photo @ np.array([0, 0.6, 0.4])  # of red, green and blue


def grainy(gray):
    grain = gaussian_filter(np.random.default_rng(42).normal(size=gray.shape), 0.7)
    return gray + 12 * grain / grain.std()


def faded(gray):
    return 70 + 0.5 * gray


def scratched(gray):
    gray, left = gray.copy(), gray.shape[1] // 3
    gray[:, left:left + 2] = 255
    return gray


DEFECTS = {"blind to red": orthochromatic, "+ grain": grainy, "+ fading": faded, "+ scratch": scratched}


# %%
def aged(photo):
    steps, gray = {"as photographed": photo}, photo
    for name, defect in DEFECTS.items():
        gray = defect(gray)
        steps[name] = gray.clip(0, 255).round().astype(np.uint8)
    return steps | {"contrast restored": np.asarray(ImageOps.autocontrast(Image.fromarray(steps["+ scratch"]), cutoff=1))}


steps = aged(np.asarray(fig_photo))
gray = colorize(fig_photo, model, saturation=0)
side_by_side({"lightness L*": gray} | {name: steps[name] for name in ("blind to red", "+ scratch")}, 1.9)

# %% [markdown]
# The red plate, of medium lightness in L\*, is nearly black on this film.
#
# **Predict first.** Which defect costs the colors most, and does the last step, stretching the contrast, help?
#
# <details><summary>Answer</summary>
#
# On the gallery grain costs most, and the film's blindness to red comes second; a scratch costs next to nothing. Stretching the contrast
# brings the lightness nearer to the true one, but not the colors.
#
# </details>

# %%
chosen = ("as photographed", "blind to red", "+ scratch")
side_by_side({name: colorize(steps[name], model, size=size) for name in chosen}, 1.9)

# %% [markdown]
# On this film the plate stays black, since color needs some lightness. Grain and fading make it lighter, and it gets a dark red. The wall
# gets stains of blue and yellow. The mean over the gallery:

# %%
rows = []
for photograph in gallery_photos(320):
    L_true, ab_true = lab.photos_to_lab(photograph[None])
    for name, picture in aged(photograph).items():
        L_shown, ab_shown = lab.photos_to_lab(colorize_all([picture], model, size)[0][None])
        errors = 110 * (ab_shown - ab_true).abs().mean(), 50 * (L_shown - L_true).abs().mean()
        rows.append((name, *map(float, errors), 110 * float(ab_true.abs().mean())))
columns = ["step", "error of ab, CIE units", "error of L*", "error of ab if gray"]
pd.DataFrame(rows, columns=columns).groupby("step", sort=False).mean().round(2)

# %% [markdown]
# All defects together bring the error of the colors most of the way up to the last column, which is what no color at all would cost.
#
# ## 7.6 Is predicted color a compression?
#
# The report suggests storing the gray photo alone. We compare a gray JPEG, colored by the model, with a *color* JPEG of at most as many bytes.

# %%
def jpeg(picture, quality):
    file = io.BytesIO()
    picture.save(file, "jpeg", quality=quality)
    return file.getvalue()


def of_as_many_bytes(picture, size):
    """The largest color JPEG that is not above `size` bytes."""
    return max((data for q in range(1, 96) if len(data := jpeg(picture, q)) <= size), key=len)


# %%
rows = []
for photograph in gallery_photos(320):
    picture = Image.fromarray(photograph)
    stored = jpeg(picture.convert("L"), 75)
    opened = np.asarray(Image.open(io.BytesIO(stored)).convert("RGB"))
    color = np.asarray(Image.open(io.BytesIO(of_as_many_bytes(picture, len(stored)))))
    true = lab.denormalize(*lab.photos_to_lab(photograph[None]))
    for name, shown in {"gray": opened, "gray, colored": colorize_all([opened], model, size)[0], "color": color}.items():
        off = metrics.delta_e(lab.denormalize(*lab.photos_to_lab(shown[None])), true)
        rows.append((f"{name} JPEG", len(stored) / 1000, float(off)))
pd.DataFrame(rows, columns=["", "kB, at most", "CIEDE2000"]).groupby("", sort=False).mean().round(1)

# %% [markdown]
# JPEG stores color coarsely, so it takes few bytes. The file knows the color of *this* plate; a prediction knows only what is usual.
#
# ## 7.7 What you may say about it
#
# The lightness in the result is the photo's. **The color is invented.** In a family photo, show the gray original beside it and say by what it was
# colored: the wedding dress gets a color that dresses often have, and skin drifts to what is most common among the training photos. In medicine,
# news, history and evidence it has no place.
#
# ## 7.8 Check
#
# Predicted small, enlarged along the edges, joined with L, brought into sRGB: by hand it is what `colorize` makes.

# %%
torch.testing.assert_close(lines(L_small, ab_small), guided_filter(L_small, ab_small))
slope, offset = lines(L_small, ab_small)
by_hand = 255 * to_gamut_rgb(L, enlarge(slope) * L + enlarge(offset))[0].movedim(0, -1).numpy()
assert np.abs(by_hand - np.asarray(colorize(fig_photo, model, size=size))).max() < 2

# %% [markdown]
# ## Takeaways
#
# 1. Color is predicted on about as many pixels as in training, in the photo's own shape; lightness stays the photo's own.
# 2. Slope and offset are enlarged instead of color, so the edges of color follow those of lightness.
# 3. A prediction is only as good as the gray it sees, and old film is not L\*. Tell the reader that the colors are a guess.
#
# ## Exercises
#
# 1. **How small?** (★) Measure the error of each gallery photo, its color predicted at 64, 128, 256 and 512 px. Do they agree on a size?
#    <details><summary>Hint</summary>`colorize_all(photographs, model, size)`.</details>
# 2. **The window** (★★). Give `guided_filter` other radii and `eps`, starting from the true small ab. When is a large window bad?
#    <details><summary>Hint</summary>A line holds within one material.</details>
# 3. **How wrong?** (★★) Draw the CIEDE2000 of each pixel. Where is the model worse than gray?
#    <details><summary>Hint</summary>`metrics.ciede2000`.</details>
# 4. **No network** (★). Write a "model" that gives a sepia tone, and use it with `colorize`.
#    <details><summary>Hint</summary>A function from L (B,1,H,W) to ab (B,2,H,W).</details>
#
# [Solutions](solutions/07_solutions.ipynb) · Next: [notebook 08](08_parameter_analysis.ipynb) varies one setting at a time.
