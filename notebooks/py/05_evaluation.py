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
# # 5 · Evaluation
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/05_evaluation.ipynb)
#
# Three models are trained. Which one is better, by how much, and how would we know? The report answers with
# a table of three rows and two columns. Here we rebuild that table, add the rows without which it cannot be
# read, and then ask of every sentence the report draws from it: did it hold?
#
# **You will learn**
#
# - what each metric measures, worked by hand on one photo before a library does it for all;
# - why a picture *without any colour* scores almost as well as the models, and which metric sees through it;
# - what a divisor, a clip or a wrong input range does to a published number;
# - how to compare two models photo by photo, and how sure one may be;
# - to judge claims by a rule that was fixed before looking.
#
# **Before this:** notebooks 02 to 04 built the models. If their runs are not there, they are trained here;
# the minutes for that are printed by the next cell.

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
# The constants of this notebook. Change them and run on.

# %%
SEED = 42  # for what is drawn at random here
CHOSEN = None  # None: the table's recipes; or a list of runs to evaluate, one a stage: ["cnn-…", "unet-…"]
PHOTO = 0  # number of the test photo on which the metrics are worked by hand
METRIC = "mae"  # what "best" and "worst" go by in 5.8: mae, delta_e, psnr, ssim

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image, Markdown, display
from matplotlib_inline.backend_inline import set_matplotlib_formats

from g2g import evaluation, figures, lab, metrics
from g2g.data import prepare
from g2g.evaluation import LOWER_IS_BETTER, bootstrap, compare
from g2g.models import predict
from g2g.profiles import TITLES
from g2g.runs import device, list_runs, load_or_train, load_run, quoted
from report.build import check, color_counts
from report.claims import verdicts
from report.figures import best_and_worst, error_against_chroma, frontier
from report.tables import REPORTED, equally_colorful, table1, write_table
from report.tables import frontier as frontier_table

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 90})  # photos as PNG would make the notebook heavy

# %% [markdown]
# ## 5.1 What is evaluated, and on what
#
# The **test photos** are opened here for the first time. No training has read them, and no decision so far
# was taken by looking at them: that is what makes their scores worth something.

# %%
photos = prepare(profile)
print(photos)
print(f"{len(photos.test):,} test photos, {photos.near_gray('test').mean():.1%} of them near-gray")
print(f"profile {profile.name}: {profile.purpose}")

# %% [markdown]
# A *run* is one training: a recipe, a set of photos, a seed. Its name ends in a hash of all three, so two
# runs that differ in anything have different names. These are finished:

# %%
list_runs(profile)

# %% [markdown]
# What the course's table of recipes asks for and is not in that list is trained now. There are the report's
# three runs, and one the report lacks. The cGAN starts from the trained U-Net and then trains *as
# many epochs again*; if it does better, is that the adversary, or only more training? `unet_long` is the
# **control**: the same U-Net, trained on just as long, with L1 alone.

# %%
runs = {stage: load_or_train(stage, profile, photos=photos) for stage in profile.stages}

# %% [markdown]
# If you changed a recipe in notebooks 02 to 04, your run has its own name in the list. Put it into `CHOSEN`
# above to evaluate it in place of the default. A run of other photos or of another profile is refused by
# name: its numbers do not belong in this table.

# %%
if CHOSEN:
    runs = {run.stage: run for run in (load_run(name, profile) for name in CHOSEN)}
    if len(runs) < len(CHOSEN):
        raise ValueError("choose one run of each stage: the table has one row for each")
for run in runs.values():
    check(run, profile, photos)
pd.DataFrame([{"stage": r.stage, "run": r.id, "epochs": r.recipe.epochs, "lr": r.recipe.lr,
               "best validation L1": r.record["best_valid_loss"], "minutes": r.record["minutes"],
               "device": r.record["device"]} for r in runs.values()]).round(4)

# %% [markdown]
# A score means little until one knows what *no effort* would score. So two more rows come first:
#
# - **gray**: the model that always answers $a = b = 0$;
# - **constant**: the one colour that is best on the training photos. For an absolute error the best constant
#   is the median.

# %%
best = evaluation.best_constant(photos)
print(f"best constant: a* = {best[0] * lab.AB_SCALE:.1f}, b* = {best[1] * lab.AB_SCALE:.1f}")
models = {"gray": evaluation.gray(), "constant": evaluation.constant(best)}
models |= {stage: run.model(device=device()) for stage, run in runs.items()}

# %% [markdown]
# ## 5.2 One metric at a time, by hand
#
# One photo, one model (the last of the list above). `L` and `ab` are normalised; `pred` is the answer.

# %%
name = list(models)[-1]
L, ab = lab.photos_to_lab(photos.test[PHOTO:PHOTO + 1])
pred = predict(models[name], L)
truth, shown, gray_picture = lab.to_rgb(L, ab), lab.to_rgb(L, pred), lab.to_rgb(L, 0 * ab)
figures.image_row([gray_picture[0], shown[0], truth[0]], ["gray", name, "truth"])

# %% [markdown]
# ### MAE of ab
#
# The report's measure: the mean of $|a - \hat a|$ and $|b - \hat b|$ over all pixels, on ab divided by 110.
# Times 110 it is back in CIE units.

# %%
by_hand = (pred - ab).abs().mean().item()
print(f"by hand {by_hand:.4f}, library {metrics.mae_ab(pred, ab).item():.4f}, "
      f"in CIE units {by_hand * lab.AB_SCALE:.1f}; a gray answer: {ab.abs().mean():.4f}")

# %% [markdown]
# Where does the error sit? Bright is wrong. Compare the two maps: they show the model's error and gray's.

# %%
def error_maps():
    fig, axes = plt.subplots(1, 2, figsize=(6, 2.7), layout="constrained")
    errors = {name: (pred - ab).abs().mean(1)[0], "gray": ab.abs().mean(1)[0]}
    for ax, (title, error) in zip(axes, errors.items()):
        image = ax.imshow(error, cmap="magma", vmin=0, vmax=0.4)
        ax.set(title=f"error of {TITLES.get(title, title)}: {error.mean():.4f}", xticks=[], yticks=[])
    fig.colorbar(image, ax=axes, label="|error| of ab/110")
    plt.show()

error_maps()

# %% [markdown]
# ### PSNR
#
# The peak signal-to-noise ratio compares the *pictures*, in sRGB from 0 to 1:
#
# $$\mathrm{PSNR} = 10 \log_{10} \frac{1}{\mathrm{MSE}}$$
#
# Every 10 dB are a factor of ten in the mean squared error.

# %%
mse = (shown - truth).square().mean()
print(f"by hand {-10 * math.log10(mse):.2f} dB, library {metrics.psnr(shown, truth).item():.2f} dB, "
      f"gray {metrics.psnr(gray_picture, truth).item():.2f} dB")

# %% [markdown]
# ### SSIM
#
# Structural similarity compares means, variances and covariance inside a small window (Wang et al. 2004):
#
# $$\frac{(2\mu_x\mu_y + C_1)(2\sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)},
# \quad C_1 = 0.01^2,\; C_2 = 0.03^2$$
#
# By hand for one 11 × 11 window of the red channel. The library slides a Gaussian window over all pixels and
# averages, as scikit-image does if asked for the same window.

# %%
x, y = (picture[0, 0, 20:31, 20:31] for picture in (shown, truth))
covariance = ((x - x.mean()) * (y - y.mean())).mean()
c1, c2 = 0.01**2, 0.03**2
window = ((2 * x.mean() * y.mean() + c1) * (2 * covariance + c2)
          / ((x.mean()**2 + y.mean()**2 + c1) * (x.var(correction=0) + y.var(correction=0) + c2)))
print(f"one window {window:.4f}")

# %%
from skimage.metrics import structural_similarity

reference = structural_similarity(
    shown[0].numpy(), truth[0].numpy(), channel_axis=0, data_range=1, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False)
print(f"whole picture: library {metrics.ssim(shown, truth).item():.4f}, scikit-image {reference:.4f}, "
      f"gray {metrics.ssim(gray_picture, truth).item():.4f}")

# %% [markdown]
# Lightness is *given* to every model here, and structure lives in lightness. No wonder that gray does so
# well: SSIM was made to see blur and noise, not missing colour.
#
# ### A colour difference as the eye sees it
#
# $L^*a^*b^*$ was designed so that equal distances look equally different. The plain distance
# (CIE 1976) is simple, but overrates differences between vivid colours; **CIEDE2000** corrects that with
# weights fitted to experiments. A difference of 1 to 2 is just noticeable.

# %%
shown_lab, true_lab = lab.rgb_to_lab(shown), lab.rgb_to_lab(truth)
plain = (shown_lab - true_lab).square().sum(1).sqrt().mean()
print(f"CIE 1976 by hand {plain:.1f}, CIEDE2000 {metrics.delta_e(shown_lab, true_lab).item():.1f}")

# %% [markdown]
# ### Colourfulness
#
# All measures so far punish a wrong colour, and none asks for colour. This one looks at a single picture, not
# at a pair (Hasler & Süsstrunk 2003). With the opponents $rg = R - G$ and $yb = (R + G)/2 - B$, on 0 to 255:
#
# $$\sqrt{\sigma_{rg}^2 + \sigma_{yb}^2} + 0.3\,\sqrt{\mu_{rg}^2 + \mu_{yb}^2}$$

# %%
R, G, B = 255 * shown[0]
rg, yb = R - G, (R + G) / 2 - B
spread = (rg.var(correction=0) + yb.var(correction=0)).sqrt()
offset = (rg.mean()**2 + yb.mean()**2).sqrt()
print(f"by hand {spread + 0.3 * offset:.1f}, library {metrics.colorfulness(shown).item():.1f}, "
      f"truth {metrics.colorfulness(truth).item():.1f}, gray {metrics.colorfulness(gray_picture).item():.1f}")

# %% [markdown]
# Taken alone it is easy to cheat: confetti wins. We report its **gap to the truth** photo by photo. (The gap between
# the two means, also in use, lets too vivid here and too dull there cancel.)
#
# ### LPIPS
#
# The last one asks a network: are the *features* of VGG-16, trained to name things, the same for both
# pictures? It needs VGG's weights (528 MB). Where they cannot be had, the column says so; with random weights
# LPIPS would still give a number, and it would mean nothing.

# %%
lpips = evaluation.lpips_or_reason(device(), download=profile.name != "smoke")
if not isinstance(lpips, str):
    print(f"LPIPS: {lpips(shown, truth).item():.3f}, "
          f"gray {lpips(gray_picture, truth).item():.3f}")

# %% [markdown]
# ## 5.3 Three silent choices
#
# The report prints an MAE of 0.0848 and does not say what ab was divided by, nor whether the prediction was
# clipped. How much do such choices matter?
#
# **The divisor.** MAE is linear: whoever divides ab by 128 in place of 110 gets every number times
# $110/128 = 0.86$, for gray and for every model, and *nothing is better*.

# %%
for label, answer in (("gray", 0 * ab), (name, pred)):
    error = metrics.mae_ab(answer, ab).item()
    at_128 = ((answer - ab) * lab.AB_SCALE / 128).abs().mean().item()
    print(f"{label}: {error:.4f} divided by 110, {at_128:.4f} divided by 128, ratio {at_128 / error:.3f}")

# %% [markdown]
# The report's 0.0807 of its cGAN would, if it was divided by 128, stand for 0.0939 here: worse than
# gray. The report does not say. (A tutorial with the same protocol, moein-shariatnia's, divides by 110, so 110 is likely: an
# inference.) What we can do is to print gray beside it.
#
# **Clipping.** Not every (L, a, b) is a colour a screen can show. Converting to sRGB clips, so the picture
# has a slightly different ab from the prediction. The MAE here is taken *before*; PSNR, SSIM, CIEDE2000,
# colourfulness and LPIPS are of the picture, so *after*.

# %%
after = lab.normalize(shown_lab)[1]
print(f"{name}: MAE before clipping {metrics.mae_ab(pred, ab).item():.5f}, "
      f"after {metrics.mae_ab(after, ab).item():.5f}; "
      f"{((after - pred).abs().amax(1) > 0.01).float().mean():.1%} of the pixels changed")

# %% [markdown]
# **The range that LPIPS is fed** is the third choice; we test it in 5.5, when all photos are scored.
#
# ## 5.4 The table
#
# Now all test photos and all models: one row for each photo, so that nothing is lost in a mean.

# %%
scores = {row: evaluation.score(model, photos, lpips=lpips, name=row, show=False)
          for row, model in models.items()}
scores[name].head(3).round(3)

# %% [markdown]
# **A model is a curve.** Colourfulness can be bought: multiply the answer. So every model is scored once more with its
# answer multiplied by 0 to 6, which gives the table one more column: *how many dB over gray, made as colourful as the
# truth?* Of two models the one is better whose curve lies higher.

# %%
curves = {row: evaluation.saturated(model, photos, name=row, show=False) for row, model in models.items()}
by_saturation = frontier_table(scores, curves)
fig = frontier(by_saturation, scores["gray"]["colorfulness_truth"].mean())
figures.save(fig, "frontier", profile.outputs / "figures")
fig

# %% [markdown]
# Each line starts at gray, in the lower left corner. The dots are the models as they are. Where does each curve
# turn, and whose dot lies on a neighbour's line? Such a model has learnt nothing that a saturation slider does not do.

# %%
for sentence in equally_colorful(scores, curves):
    print(sentence)

# %% [markdown]
# The table is the mean of each column. In brackets is a 95% **bootstrap interval**: draw as many photos as
# there are, *with replacement*, take the mean, repeat 2,000 times, and cut off 2.5% at either end. By hand,
# for the MAE of the last model:

# %%
rng = np.random.default_rng(SEED)
values = scores[name]["mae"].to_numpy()
means = [rng.choice(values, len(values)).mean() for _ in range(2000)]
low, high = np.percentile(means, (2.5, 97.5))
print(f"{values.mean():.4f}, by hand {low:.4f} to {high:.4f}; "
      "library {:.4f} to {:.4f}".format(*bootstrap(values)[1:]))

# %% [markdown]
# It answers: *how different would the mean be with other photos?* It says nothing about another training
# seed; for that one must train again (exercise 3).

# %%
table = table1(scores)
notes = [f"Profile {profile.name}: {profile.purpose}.", f"Runs: {', '.join(r.id for r in runs.values())}.",
         *equally_colorful(scores, curves)]
files = write_table(table, profile.outputs / "results", notes, scores)
display(Markdown(files[1].read_text(encoding="utf-8")))

# %% [markdown]
# The same table lies in three files, for a spreadsheet, a README and a paper, with the scores of every
# photo beside them:

# %%
print(f"in {profile.outputs.name}/results: {', '.join(file.name for file in files)}")

# %% [markdown]
# ## 5.5 What the table shows and hides
#
# **Why does gray score so well?** The MAE of gray is just the mean of $|a|$ and $|b|$ of the photos
# themselves. On COCO that is near 0.089, about 10 CIE units, because most colours of the world are weak: sky,
# walls, asphalt, skin in shadow. A model has to *earn* every step away from zero.

# %%
mean_a, mean_b = np.abs(lab.photos_to_lab(photos.test[:500])[1].numpy()).mean((0, 2, 3))
print(f"mean |a| {mean_a:.4f}, mean |b| {mean_b:.4f}, half their sum {(mean_a + mean_b) / 2:.4f}; "
      f"gray in the table {scores['gray']['mae'].mean():.4f}; in the report there is no such row")

# %%
def histogram_of_gray():
    fig, ax = plt.subplots(figsize=(5, 2.4), layout="constrained")
    ax.hist(scores["gray"]["mae"], bins=30, color="#777777")
    ax.axvline(scores["gray"]["mae"].mean(), color="black", ls="--", label="mean")
    ax.set(xlabel="MAE of the gray answer, by photo", ylabel="photos")
    ax.legend()
    plt.show()

histogram_of_gray()

# %% [markdown]
# Inside a photo it is the same: near-gray pixels (chroma below 5) pull the mean down, and on them gray is
# unbeatable. Split the error by pixel, and the models' work shows on the colourful side, if anywhere.

# %%
split = ["mae", "mae_gray_pixels", "mae_colorful_pixels"]
pd.DataFrame({row: s[split].mean() for row, s in scores.items()}).T.round(4)

# %% [markdown]
# **All numbers divided by 128** would look better, all together. The order of the rows cannot change.

# %%
column = table.set_index("model")["mae"]
pd.DataFrame({"÷ 110": column, "÷ 128": column * 110 / 128}).round(4)

# %% [markdown]
# **Does a wrong range explain the report's LPIPS?** Its values are 0.148, 0.141 and 0.132.
# LPIPS expects RGB in [-1, 1]; feeding [0, 1] is an easy slip that raises no error, halves all contrasts and
# lowers the distance. If the weights are there, we make that slip on purpose: if the report's numbers come
# out closer to the wrong range than to the right one, that is a hint, no proof.

# %%
def lpips_both_ways(model, n=200):
    right, wrong = [], []
    few = evaluation.predictions(model, photos, batch_size=8, show=False)
    for batch, (rgb, L, _, answer) in enumerate(few):
        picture = lab.to_rgb(L, answer)
        right.append(lpips(picture, rgb).mean().item())  # the library rescales [0, 1] to [-1, 1]
        wrong.append(lpips.net(picture, rgb).mean().item())  # the bare network takes what it is given
        if 8 * (batch + 1) >= n:
            break
    return {"[-1, 1], right": np.mean(right), "[0, 1], wrong": np.mean(wrong)}

# %%
if isinstance(lpips, str):
    print(f"Cannot be tested here: {lpips}. It takes VGG-16's weights, 528 MB, which this machine could not "
          "download; with network access, run this notebook again. Nothing is guessed in their place.")
else:
    tested = pd.DataFrame({row: lpips_both_ways(models[row]) for row in runs}).T
    tested["reported"] = REPORTED["reported_lpips"]
    off = tested.iloc[:, :2].sub(tested["reported"], axis=0).abs().mean()
    display(tested.round(3))
    print(f"closer to the report, on average: {off.idxmin()}; mean distance {off.round(3).to_dict()}")

# %% [markdown]
# ## 5.6 Photo by photo
#
# Two means with overlapping intervals may still differ *surely*, because both models saw the same photos:
# hard ones are hard for both. So take the difference on each photo and ask whether *its* mean is off zero.

# %%
pairs = [("cnn", "gray"), ("unet", "gray"), ("cgan", "gray"), ("unet", "cnn"), ("unet_long", "unet"),
         ("cgan", "unet"), ("cgan", "unet_long")]
pairs = [(a, b) for a, b in pairs if a in scores and b in scores]
for a, b in pairs:
    print(compare(scores[a], scores[b], "mae", (a, b))["sentence"])

# %% [markdown]
# The same with the measure that is closest to the eye. Do the sentences agree?

# %%
for a, b in pairs:
    print(compare(scores[a], scores[b], "delta_e", (a, b))["sentence"])

# %% [markdown]
# **Near-gray photos apart.** On black-and-white and foggy pictures there is nothing to win, only colour to
# invent. Set apart, they no longer flatter anybody.

# %%
kinds = {row: s.groupby("near_gray")[["mae", "colorfulness"]].mean() for row, s in scores.items()}
near = int(scores["gray"]["near_gray"].sum())
print(f"{near} of {len(scores['gray'])} test photos are near-gray" + ("; there is nothing to set apart" * (not near)))
pd.concat(kinds).unstack().round(4).rename(columns={False: "colourful photos", True: "near-gray photos"})

# %% [markdown]
# ## 5.7 The collapse toward gray, seen
#
# Count how often each pair of $a^*$ and $b^*$ occurs. The truth reaches most of what a screen can show, though
# strong colours are rare. A model trained on L1 answers with the median of all colours that would fit, and medians of
# opposites lie in the middle. What is missing from a model's cloud are colours that it never dares to use.

# %%
colors = color_counts(runs, photos)
fig = figures.ab_histograms(colors)
figures.save(fig, "ab_histograms", profile.outputs / "figures")
fig

# %% [markdown]
# The *mean chroma* above each panel says it in one number. Is the adversary bolder than L1 alone?
#
# ## 5.8 Where each model fails, and where it wins
#
# The more colour a photo has, the more there is to miss. Gray's line is nearly straight, for it misses all
# of it; a model has learned something where it falls *below* that line.

# %%
fig = error_against_chroma({row: scores[row] for row in scores if row in ("gray", "cnn", "unet", "cgan")})
figures.save(fig, "error_against_chroma", profile.outputs / "figures")
fig

# %% [markdown]
# And the photos themselves: for each model the ones of lowest and of highest error, its answer above the
# truth. Look for what the best have in common before you read on.

# %%
def answer_of(model):
    def picture(i):
        L = lab.photos_to_lab(photos.test[i:i + 1])[0]
        return lab.to_rgb(L, predict(model, L))[0]
    return picture

three = [row for row in ("cnn", "unet", "cgan") if row in runs]
answers = {row: answer_of(models[row]) for row in three}
measured = {row: scores[row][METRIC] for row in three}
fig = best_and_worst(photos.test, answers, measured, lower_is_better=LOWER_IS_BETTER[METRIC])
figures.save(fig, "best_and_worst", profile.outputs / "figures")
fig

# %% [markdown]
# The best are usually the ones with little colour to find, the worst the vivid ones with a colour nobody
# could guess: a painted wall, a jersey, a flower. "Best photo" by MAE often means *dullest photo*.
#
# ## 5.9 The report's claims, one by one
#
# Now the sentences. For each we fixed a rule *before* looking at numbers (`report/claims.py`, one short function
# a claim), and the rule alone decides: **held**, **did not hold**, or **cannot be told here**. Only an
# interval that lies on one side decides anything. In the `smoke` profile nothing is decided: a training of
# seconds on crops of four photographs says nothing about any claim.

# %%
for row in verdicts(scores, colors, runs, profile).itertuples():
    display(Markdown(f"> “{row.claim}”\n\n**{row.verdict}.** {row.why}\n\n*{row.rule}*"))

# %% [markdown]
# The verdicts speak of *these* runs: these photos, this size, one seed. The report had its own photos and its
# own training, and none of its weights; a claim that did not hold here may have held there.
#
# One claim deserves a number of its own. Gray pictures as **a way to store colour ones**: how much would one
# save? A JPEG spends few bytes on colour, because the eye resolves it badly. Measured on the test photos:

# %%
from io import BytesIO

from PIL import Image as Picture

def jpeg_bytes(pixels, mode):
    buffer = BytesIO()
    Picture.fromarray(pixels).convert(mode).save(buffer, "JPEG", quality=85)
    return buffer.tell()

few = photos.test[:100]
color_size, gray_size = (sum(jpeg_bytes(p, mode) for p in few) for mode in ("RGB", "L"))
print(f"{len(few)} photos, JPEG quality 85: {color_size / len(few):,.0f} bytes in colour, "
      f"{gray_size / len(few):,.0f} in gray; colour costs {1 - gray_size / color_size:.0%} of the file")

# %% [markdown]
# Weigh that against the CIEDE2000 in the table, which is what one would lose, and against the weights of
# the model that must be stored once.
#
# ## 5.10 The quoted run
#
# The README quotes one set of runs, trained for longer than a notebook should take. Its table is **read from
# `results/`, not computed here**.

# %%
published = quoted()
if published:
    run = next(iter(published.values()))
    facts = run.record
    print(f"read from results/, not computed here: profile {facts['profile']}, {facts['train']:,} training photos "
          f"of {facts['size']} px, seed {run.recipe.seed}, on {facts['device']}: "
          f"{', '.join(r.record['run'] for r in published.values())}")
    display(Markdown((run.folder.parent / "table1.md").read_text(encoding="utf-8")))
else:
    print("no quoted run in results/ yet")

# %% [markdown]
# Its colours, the same way:

# %%
if published:
    display(Image(run.folder.parent / "figures" / "ab_histograms.png", width=760))

# %% [markdown]
# ## Summary
#
# - A table of colorization results without the rows *gray* and *best constant* cannot be read: MAE, PSNR and
#   SSIM all reward caution.
# - Divisor, clipping and input range move a number more than many a model does. Say which you used.
# - The mean over photos has an interval; two models on the same photos are compared by their *differences*.
# - Colourfulness and the ab histogram show what error measures hide. None of them knows what is plausible.
# - Colourfulness can be bought with a factor, so models are compared at *equal* colourfulness: a curve each.
# - A claim needs a rule that could have gone the other way.
#
# ## Exercises
#
# 1. **A stronger baseline.** Bright pixels have other colours than dark ones. Build a "model" that looks up the
#    training median of ab for each of 20 levels of L. How much of the models' gain over gray does it get,
#    without having seen a single shape?
# 2. **More colour, please.** Multiply a model's ab by $s$ from 0 to 2 and plot MAE, PSNR and the gap in
#    colourfulness against $s$. Which $s$ does each measure choose? Which would you?
# 3. **Photos or seeds?** Train the CNN with three seeds. Is the spread of their test MAE wider or narrower
#    than the bootstrap interval of one of them? Which one should a claim "A beats B" respect?
#
# Solutions: `notebooks/solutions/05_solutions.ipynb`. Next: notebook 06, where you judge with your own eyes.
