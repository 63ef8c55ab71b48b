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
# The models have learned from small squares. Your photo is neither small nor square. This notebook colors it
# at its full size, with all models side by side, and opens up the machine: what is predicted small, what is
# taken from the original, and what happens to colors that no screen can show.
#
# **You will learn**
#
# - why color may be predicted at a fraction of the photo's size and lightness may not;
# - to enlarge color along the edges of the photo, in place of blurring it over them;
# - to bring a color into the range of sRGB without changing its lightness;
# - to color any file with one call, and what to say beside the result.
#
# **Before this:** any of notebooks 02–04; their runs are used if they are there. **Minutes:** 1 or 2 with these
# runs. Without them the models are trained first, which takes as long as notebook 04 alone (see the setup cell).

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
# **Your photo.** In Colab tick `UPLOAD`, run this cell and the next, and choose files; then *Runtime > Run
# after*. Or name a file, a folder or a pattern in `PHOTOS`, on any machine. With neither, a photograph that
# comes with scikit-learn is used, so that *Run all* never waits for anybody.

# %%
UPLOAD = False  # @param {type:"boolean"}
PHOTOS = ""  # @param {type:"string"}
SATURATION = 1.0  # factor on the predicted color; 0 is gray
PREVIEW = 640  # longest side in px of the copy that is taken apart below

# %%
import io
import tempfile
import zipfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from PIL import Image

from g2g import figures, lab, metrics, sources
from g2g.colorize import colorize, colorize_files, guided_filter, to_gamut_rgb
from g2g.data import prepare
from g2g.models import predict
from g2g.photos import find_photos, read_photo
from g2g.profiles import TITLES
from g2g.runs import load_or_train, pretrained_model
from g2g.training import get_device
from g2g.colorize import colorize_all as in_the_colors_of
from g2g.photos import gallery_photos

# %% [markdown]
# ## 7.1 Choosing a photo
#
# `files.upload()` of Colab shows a button and waits. It is called only if you ticked `UPLOAD`. If no
# file comes back, the bundled photograph is used.

# %%
def upload(folder):
    """Files that the reader uploads in Colab, as paths in `folder`; none elsewhere."""
    if not UPLOAD or "google.colab" not in sys.modules or os.environ.get("G2G_PLAIN"):
        return []
    try:
        from google.colab import files
        for name, content in (files.upload() or {}).items():
            (folder / Path(name).name).write_bytes(content)
    except Exception as error:  # a runtime without a browser before it
        print(f"no upload: {error}")
    return sorted(folder.iterdir())

# %%
chosen = upload(Path(tempfile.mkdtemp()))
if not chosen and PHOTOS:
    chosen, missing = find_photos([PHOTOS])
    print("".join(f"no photo at {path}\n" for path in missing), end="")
flower = next(item.path for item in sources.bundled(profile)[1] if item.path.stem == "flower")
chosen = chosen or [flower]  # of scikit-learn; no run of the course is trained on it
print([path.name for path in chosen])

# %% [markdown]
# `read_photo` takes nearly anything: JPEG, PNG, WebP, TIFF, 16 bits, palettes, CMYK, transparency, a color
# profile, a camera held on its side. What it gives is upright, sRGB, 8 bits. To keep the next cells quick we
# take a smaller copy; the files at the end are full size.

# %%
photo, alpha, info = read_photo(chosen[0])
width, height = photo.size
photo = photo.convert("RGB")
photo.thumbnail((PREVIEW, PREVIEW))
print(f"{chosen[0].name}: {width} x {height} px; below as {photo.width} x {photo.height}")
L, ab = lab.photos_to_lab(np.asarray(photo)[None])
gray = lab.to_rgb(L, 0 * ab)[0]
figures.image_row([photo, gray], ["as it came", "what the models see"])

# %% [markdown]
# If your photo is in color, its color is forgotten now: only its lightness L is used. (Remember the color
# for the end, though. It is the only way to know how wrong a model is.)
#
# ## 7.2 The models at hand
#
# We take the three models of this profile, and train them now if they are not there yet. The pretrained model that
# came with the repository gets a column of its own, *pretrained*.

# %%
training_photos = prepare(profile)
runs = {stage: load_or_train(stage, profile, photos=training_photos) for stage in ("cnn", "unet", "cgan")}
nets = {TITLES[stage]: run.model(device=get_device()) for stage, run in runs.items()}
sizes = dict.fromkeys(nets, profile.size)  # color is predicted at the size a model was trained on
print({title: run.id for title, run in zip(nets, runs.values(), strict=True)})

# %%
best, best_size, sentence = pretrained_model()
nets["pretrained"], sizes["pretrained"] = best.to(get_device()), best_size
print("pretrained:", sentence)
if profile.name == "smoke":
    print("To be honest, the three smoke models were trained for seconds on a few dozen crops.\nTheir colors mean "
          "nothing, they only show that every step runs. For color: PROFILE = 'class', with a GPU.")
    print("The column 'pretrained' was trained for real.")

# %%
def painted(photo, name, **options):
    return colorize(photo, nets[name], size=sizes[name], **options)


columns = {name: painted(photo, name, saturation=SATURATION) for name in nets}
figures.image_row([gray, *columns.values(), photo], ["gray", *columns, "as it came"])

# %% [markdown]
# ## 7.3 Inside: color is predicted small
#
# A network trained on small squares is at its best near that size: in a full-size photo a face would be
# larger than anything it has seen. So the photo is reduced to about as many pixels as a training photo had,
# **in its own shape**, not squeezed to a square. The U-Net halves the picture five times, so both sides are
# rounded to multiples of 32. Padding would gray the colors along it. As `colorize` does, we average the prediction with
# that of the mirror image, mirrored back.

# %%
def reduced(photo, size):
    """L and ab of the photo on about size² pixels, in its own shape."""
    scale = min(size / (photo.width * photo.height) ** 0.5, 16 * size / max(photo.size))
    shape = [max(32, 32 * round(side * scale / 32)) for side in photo.size]
    small = photo.resize(shape, Image.Resampling.BICUBIC, reducing_gap=3)
    return lab.photos_to_lab(np.asarray(small)[None])


model = list(nets)[-1]
L_small, _ = reduced(photo, sizes[model])
h, w = L_small.shape[2:]
ab_small = (predict(nets[model], L_small) + predict(nets[model], L_small.flip(-1)).flip(-1)) / 2
print(f"{model}: L of {w} x {h} px gives ab of {w} x {h}")

# %%
def ab_alone(ab, lightness=65.0):
    """The color planes as a picture, on one lightness."""
    return lab.to_rgb(torch.full_like(ab[:, :1], lightness / 50 - 1), ab)[0]


figures.image_row([lab.to_rgb(L_small, 0 * ab_small)[0], ab_alone(ab_small * SATURATION)], ["L small", "ab small"])

# %% [markdown]
# **Does the size matter?** The same photo, its color predicted on more and more pixels, by a model that was
# trained on 128 × 128:

# %%
by_size = {f"{size} px": colorize(photo, best, size=size, saturation=SATURATION) for size in (64, 128, 256, 512)}
figures.image_row([*by_size.values()], list(by_size))

# %% [markdown]
# Measured, *read from `results/`, not computed here*: the shipped cGAN on 375 validation photos (of 224 or 256 px a side),
# by `benchmarks/prediction_size.py`. Size 0 is gray.

# %%
measured = pd.read_csv(ROOT / "results" / "cpu" / "prediction_size.csv").set_index("size")
measured["dB over gray"] = measured["psnr"] - measured["psnr"][0]
measured[["mae", "dB over gray", "colorfulness"]].round(4)

# %% [markdown]
# By MAE it is nearest to the truth at the size it was trained at: 0.0779 at 128 px, 0.0805 at 64, 0.0813 at 256. On
# more pixels each thing is larger than any it has seen, so the colors get stronger and less right. That is why
# `colorize` takes the training size, unless you give another.

# %% [markdown]
# ## 7.4 Enlarging color along the edges
#
# Now ab must get back to full size. To look at this step **alone**, let it start from perfect color: the
# photo's own ab, reduced to the same few pixels. Whatever is wrong after enlarging comes from enlarging. (If your
# photo has no color, the bundled one stands in for it in 7.4 and 7.5.)
#
# If ab is enlarged *naively*, by interpolation, each color edge becomes as wide as a pixel of the small picture.
# But the full-size L shows where the edges are. The **guided filter** ([He, Sun & Tang
# 2010](https://doi.org/10.1007/978-3-642-15549-9_1)) assumes that in a small window color goes with lightness along a
# line,
#
# $$ab \approx \text{slope}\cdot L + \text{offset},$$
#
# fits slope and offset at the small size, enlarges *these* (they vary slowly), and applies them to the large
# L. Where L has an edge, color gets it too. The slope in a window is that of linear regression: the covariance of L
# and ab divided by the variance of L. `eps` keeps it near 0 where L is flat. One thing is our own: He et al. let the
# line pass through the window's *mean*, which smooths; ours passes through each pixel's **own** ab.

# %%
def window_mean(x):
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def lines(L, ab, eps=1e-3):
    """Slope and offset of the line ab = slope·L + offset at each pixel."""
    variance = window_mean(L * L) - window_mean(L) ** 2
    covariance = window_mean(L * ab) - window_mean(L) * window_mean(ab)
    slope = window_mean(covariance / (variance.clamp(min=0) + eps))
    return slope, ab - slope * L


# %%
def guided(L, L_small, ab_small):
    slope, offset = (F.interpolate(x, size=L.shape[2:], mode="bilinear") for x in lines(L_small, ab_small))
    return slope * L + offset


colored = photo
if ab.abs().mean() < 0.02:
    colored = read_photo(flower)[0]
L_full, truth = lab.photos_to_lab(np.asarray(colored)[None])
L_few, ab_few = reduced(colored, sizes[model])
torch.testing.assert_close(lines(L_few, ab_few), guided_filter(L_few, ab_few))
print("the library's lines are the same")

# %%
naive = F.interpolate(ab_few, size=truth.shape[2:], mode="bilinear")
edges = guided(L_full, L_few, ab_few)
for what, answer in (("gray, ab = 0", 0 * truth), ("naive", naive), ("guided", edges)):
    print(f"{what:14} mean error of ab/110: {(answer - truth).abs().mean():.4f}")

# %% [markdown]
# Where does it matter? At the edges. A detail, cut out where the two answers differ most: color alone above,
# joined with L below.

# %%
side = max(1, min(truth.shape[2:]) // 4)
difference = F.avg_pool2d((naive - edges).abs().sum(1, keepdim=True), side, stride=1)[0, 0]
top, left = divmod(int(difference.argmax()), difference.shape[1])
cut = np.s_[:, :, top:top + side, left:left + side]
three = {"naive": naive[cut], "guided": edges[cut], "truth": truth[cut]}
figures.qualitative_grid({name: [ab_alone(ab), lab.to_rgb(L_full[cut], ab)[0]] for name, ab in three.items()})

# %% [markdown]
# In the upper row the naive color knows nothing of fine outlines; the guided one has got many of them back from
# L, if not exactly. In the lower row even the naive one looks acceptable, because the sharp L carries the picture.
# That is why models can predict color small in the first place.
#
# ## 7.5 Into the gamut, and no lighter
#
# A network knows nothing of sRGB. It may ask for a color too saturated for its lightness, which no screen can show.
# The quick way *clips* R, G and B to [0, 1], but each of them carries lightness too, so clipping changes L.
# The other way *lowers the chroma* of such a color until it fits, and keeps hue and lightness. Let us ask for too
# much, three times the photo's own color, and look at the lightness that comes out.

# %%
results = {"clipped": lab.to_rgb(L_full, 3 * truth), "chroma lowered": to_gamut_rgb(L_full, 3 * truth)}
errors = {way: (lab.rgb_to_lab(rgb)[:, :1] - (L_full + 1) * 50)[0, 0] for way, rgb in results.items()}
for way, error in errors.items():
    print(f"{way:15} lightness off by {error.abs().mean():6.3f} on average, at most {error.abs().max():5.1f} (of 100)")

# %%
fig, cells = plt.subplots(2, 2, figsize=(6, 6 * colored.height / colored.width))
for (above, below), (way, rgb) in zip(cells.T, results.items(), strict=True):
    figures.show(above, figures.image(rgb[0]), way)
    shown = figures.show(below, errors[way], "error of L*", "RdBu", -20, 20)
fig.colorbar(shown, ax=cells[1], shrink=0.8)
plt.show()

# %% [markdown]
# In the error maps, blue pixels came out lighter than the photo was, red ones darker. Lowering the chroma leaves the
# lightness alone (what is left is less than a screen's 8 bits can show), at the price of paler colors in places. The
# lightness is the one thing in the result that is *not* invented, so it is the one to keep.
#
# ## 7.6 Put together, and the same in one call
#
# Predict small, enlarge along edges, join with L, fit into sRGB:

# %%
ab = guided(L, L_small, ab_small * SATURATION)
by_hand = (to_gamut_rgb(L, ab)[0] * 255).round().byte().permute(1, 2, 0).numpy()
in_one_call = np.asarray(painted(photo, model, saturation=SATURATION))
apart = np.abs(by_hand.astype(int) - in_one_call).max()
print(f"by hand and by colorize(): at most {apart} of 255 levels apart")
assert apart <= 2

# %%
figures.image_row([gray, by_hand, in_one_call], ["gray", "by hand", "colorize()"])

# %% [markdown]
# The library does it strip by strip, so that a photo of a hundred megapixels does not fill the memory.
#
# ### Saturation
#
# Models trained with L1 are shy (notebook 02). A factor on ab makes them bolder. It adds chroma, not
# knowledge: what is brown by indecision becomes an intense brown.

# %%
factors = [0, 0.5, 1, 1.5, 2.5]
figures.image_row([painted(photo, model, saturation=f) for f in factors], [f"× {f:g}" for f in factors])

# %% [markdown]
# ## 7.7 Full size, to keep
#
# `colorize_files` writes each photo as `NAME-color` (a JPEG as JPEG, all else as PNG, with its EXIF), and with `compare`
# gray and color side by side as `NAME-compare`. An original is never overwritten, nor is an earlier result.
# The folder is `colorized` in the outputs of this profile.

# %%
folder = profile.outputs / "colorized"
written, failed = [], {}
for name, net in nets.items():
    options = {"compare": True, "saturation": SATURATION, "size": sizes[name]}
    parts = colorize_files(chosen, folder / name.replace(" ", "-"), net, **options)
    written, failed = written + parts[0], failed | parts[1]
print(f"{len(written)} files in {folder.relative_to(profile.outputs.parent)}; failed: {len(failed)}")

# %%
compare = [path for path in written if "-compare" in path.name][-1]
with Image.open(compare) as picture:
    print(f"{compare.name}: {picture.width} x {picture.height} px")
    picture.thumbnail((1400, 1400))
    display(picture.convert("RGB"))

# %% [markdown]
# In Colab the results of your own uploads are sent to your browser's downloads, packed into one file.

# %%
if UPLOAD and chosen != [flower] and "google.colab" in sys.modules and not os.environ.get("G2G_PLAIN"):
    from google.colab import files

    packed = Path(tempfile.mkdtemp()) / "colorized.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in written:
            archive.write(path, path.relative_to(folder))
    files.download(str(packed))
else:
    print("nothing to download: the files lie in the folder above")

# %% [markdown]
# On your own machine the same is one line, for files, folders and patterns:
#
#     python -m g2g colorize holiday/*.jpg -o colored --compare --saturation 1.2
#
# ### The same as a page
#
# `python -m g2g demo` opens a page in the browser: drop a photo on it, and there it is, gray and colored, with a slider
# between the two. You choose model and saturation and download the result at full size. The page needs Gradio
# (`pip install gradio`), is served to this machine alone and keeps nothing. Tick `OPEN_PAGE` to have it below this cell;
# `page.close()` ends it. (In Colab it should open in the same way, through Colab's own proxy
# and without a public link, but that is untested.)

# %%
OPEN_PAGE = False  # @param {type:"boolean"}
if OPEN_PAGE:
    from app.page import launch

    page = launch(inline=True, height=860)

# %% [markdown]
# ## 7.8 Color as compression
#
# The report ends on an idea: if color can be predicted, why store it? Send the gray photo, and let the other side
# color it. Measured on the eight photographs of [data/gallery](../data/gallery/README.md) at 400 px: a gray JPEG of
# quality 75, colored by the model that `colorize` takes, against a *color* JPEG **of as many bytes**.

# %%
def jpeg(picture, quality):
    file = io.BytesIO()
    picture.save(file, "jpeg", quality=quality)
    return file.getvalue()


def of_as_many_bytes(picture, size):
    """The largest color JPEG that is not above `size` bytes."""
    candidates = [jpeg(picture, quality) for quality in range(1, 96)]
    return max((data for data in candidates if len(data) <= size), key=len)


# %%
def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


rows = {"gray JPEG": [], "gray JPEG, colored": [], "color JPEG": []}
for pixels in gallery_photos(400):
    picture = Image.fromarray(pixels)
    small = jpeg(picture.convert("L"), 75)
    (painted_here,) = in_the_colors_of([opened(small)], best, best_size)
    answers = opened(small), painted_here, opened(of_as_many_bytes(picture, len(small)))
    for row, answer in zip(rows.values(), answers):
        pair = [torch.from_numpy(x.copy()).movedim(-1, 0)[None] / 255 for x in (answer, pixels)]
        difference = metrics.delta_e(*(lab.rgb_to_lab(rgb) for rgb in pair)).mean()
        row.append((len(small) / 1000, metrics.psnr(*pair).item(), difference.item(), answer))

# %% [markdown]
# The mean of the eight, and three of them:

# %%
means = {name: np.mean([numbers[:3] for numbers in row], axis=0) for name, row in rows.items()}
table = pd.DataFrame(means, index=["kB", "PSNR, dB", "CIEDE2000"]).T
table.round(2)

# %%
figures.qualitative_grid({name: [numbers[3] for numbers in row[1:6:2]] for name, row in rows.items()})

# %% [markdown]
# **No contest.** Color is what JPEG stores most cheaply: coarsely and at half the resolution, because the eye does not
# mind. With as many bytes as the gray file has, the color JPEG differs from the photograph by a CIEDE2000 of 2.4. The
# predicted colors differ by 11.4, and no color at all by 12.7. A prediction knows what is usual; a file knows the
# color of *this* plate, the one under the fig. The idea begins to pay only where a few bytes tell the prediction what
# it cannot know, a hint of a color here and there.
#
# ## 7.9 What you may say about it
#
# The lightness in the result is the photo's. **The color is invented.** It is what a network finds usual for
# such a shape, in photos of our time, taken where its training photos were taken.
#
# - *A grandmother's wedding.* The dress will come out in a color that dresses often have. It is not evidence
#   of hers. Keep the gray original, show both, and say by what the colors were made. Skin and hair drift to what
#   is most common in the training photos. For people who look different, that is a falsification.
# - *An X-ray, a scan.* Its gray is a measurement. Invented color adds nothing to it and can hide or suggest
#   a finding. For medicine use a fixed, documented color map.
# - *News and evidence.* No.
#
# ## Summary
#
# - Predict color small and in the photo's own shape; keep the lightness of the original at full size.
# - Enlarge not color itself but the slope and offset that lead from lightness to color: edges come for free.
# - Bring colors into sRGB by lowering chroma; clipping channels changes the lightness.
# - Saturation is a matter of taste, truth is not: show the original beside the result.
#
# ## Exercises
#
# 1. **How small?** Section 7.3 looked at one photo. Take the eight of `data/gallery`, and measure the error of each,
#    its color predicted at 64, 128, 256 and 512 px. Do they agree on a size, and is it the one of training?
# 2. **The window.** Give `guided_filter` other radii and other `eps`, starting from the photo's true small ab as
#    in 7.4. Which error is lowest? When is a large window bad?
# 3. **How wrong?** Take a color photo, color its gray version, and draw the CIEDE2000 of each pixel
#    (`metrics.ciede2000`). What does gray score? Where is the model better than gray, where worse?
# 4. **No network needed.** A "model" is any function from L to ab. Write one that gives a sepia tone, warm in the
#    shadows and none in the lights, and use it with `colorize`.
#
# Solutions: `notebooks/solutions/07_solutions.ipynb`.
