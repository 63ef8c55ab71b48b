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
# Which model is best, by how much, and how would we know? The report answers with a table of three rows and two columns. We rebuild it and add
# what it takes to read it: a baseline, an interval, and two judges that do not always agree.
#
# **You will learn** what each measure looks at; why a picture without any color scores nearly as well as the models; how to compare models photo
# by photo and at equal colorfulness; and where PSNR and LPIPS disagree.
#
# **Before this:** notebooks [02](02_cnn_baseline.ipynb) to [04](04_cgan.ipynb). **Minutes** are printed by the next cell; runs that are missing
# are trained. **Downloads:** none in `smoke`; else the photos (3.2 GB) and ResNet-18's weights (45 MB), unless they are here.
#
# > In `smoke`, the scores of *your* runs (5.5) mean nothing: seconds of training, 24 crops of three photographs. All else is by the published
# > models or read from their tables.

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
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from matplotlib import pyplot as plt

from g2g import figures, lab, metrics
from g2g.colorize import colorize_all
from g2g.data import prepare
from g2g.evaluation import bootstrap, compare
from g2g.models import predict
from g2g.photos import gallery_photo
from g2g.profiles import TITLES
from g2g.runs import load_or_train, pretrained_model, published
from report.figures import best_and_worst, frontier
from report.pipeline import measure
from report.publish import showcase
from report.tables import ROWS, write_scored

# %% [markdown]
# ## 5.1 One measure at a time, by hand
#
# One photograph and one model: the mountains of [data/gallery](../data/gallery/README.md) (Aitzol Berasategi, CC BY 4.0; cut square and
# recolored), and the published cGAN. L and ab are normalized, and `pred_ab` is the prediction.

# %%
cgan, size, sentence = pretrained_model("cgan")
L, ab = lab.photos_to_lab(gallery_photo("mountains", size)[None])
pred_ab = predict(cgan, L)
gray, shown, ground_truth = (lab.to_rgb(L, planes) for planes in (0 * ab, pred_ab, ab))
figures.image_row([gray[0], shown[0], ground_truth[0]], ["gray", "cgan", "ground_truth"])

# %% [markdown]
# **MAE** is the report's measure: the mean of the absolute errors of a and b, divided by 110. **PSNR** compares the pictures in sRGB. Ten dB are a
# factor of ten in the mean squared error. **Colorfulness** ([Hasler & Süsstrunk 2003](https://doi.org/10.1117/12.477378)) looks at one
# picture alone. It takes two opponent channels on a scale of 0 to 255, with standard deviations $\sigma$ and means $\mu$ over the pixels:
#
# $$\mathrm{PSNR} = 10 \log_{10} \frac{1}{\mathrm{MSE}}, \qquad
# \mathrm{colorfulness} = \sqrt{\sigma_{rg}^2 + \sigma_{yb}^2} + 0.3\,\sqrt{\mu_{rg}^2 + \mu_{yb}^2}$$

# %%
mae = (pred_ab - ab).abs().mean()
psnr = -10 * (shown - ground_truth).square().mean().log10()
R, G, B = 255 * shown[0]
rg, yb = R - G, (R + G) / 2 - B
colorfulness = (rg.var() + yb.var()).sqrt() + 0.3 * (rg.mean()**2 + yb.mean()**2).sqrt()
print(f"cGAN: MAE {mae:.4f}, PSNR {psnr:.2f} dB, colorfulness {colorfulness:.1f}")

# %% [markdown]
# Two more come from the library. **CIEDE2000** is a color difference fitted to what people see; 1 is about just noticeable. **SSIM** compares
# local means, variances and covariances.
#
# ## 5.2 LPIPS: what a network sees
#
# **LPIPS** ([Zhang et al. 2018](https://arxiv.org/abs/1801.03924)) gives both pictures to VGG-16, which was trained to name things, and compares
# what five of its layers compute. At each pixel the features are scaled to length 1; their squared differences are weighted by channel and
# averaged over the pixels. The weights were fitted to judgments of people.
#
# **Predict first.** Which of the five layers will mind most that a picture has no color?
#
# <details><summary>Answer</summary>
#
# The first, which compares small patches of color, and after it the last two, which look at whole things.
#
# </details>

# %%
judge = metrics.LPIPS()
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


def lpips_layers(picture):
    """What each of the five layers contributes at each of its pixels: (1,1,h,w)."""
    layers = zip(judge.net.lins, judge.features(picture), judge.features(ground_truth))
    return [linear((x - y).square()) for linear, x, y in layers]


maps = {"gray": lpips_layers(gray), "cGAN": lpips_layers(shown)}
pd.DataFrame({name: [float(layer.mean()) for layer in layers] for name, layers in maps.items()}, LAYERS).round(4).T

# %% [markdown]
# The sum of a row is its LPIPS. Enlarged and added, the five are a map of where the network sees a difference.

# %%
@figures.figure("Where the prediction differs from the ground truth: by the error of ab, and by LPIPS.")
def difference_maps():
    fig, cells = plt.subplots(1, 3, figsize=(7, 2.4))
    figures.show(cells[0], (pred_ab - ab).abs().mean(1)[0], f"cGAN, |error| of ab: {mae:.3f}", "magma", 0, 0.3)
    for ax, (name, layers) in zip(cells[1:], maps.items()):
        total = sum(F.interpolate(layer, size=L.shape[2:], mode="bilinear") for layer in layers)[0, 0]
        figures.show(ax, total, f"{name}, LPIPS: {total.mean():.3f}", "magma", 0, 0.6)
    return fig


difference_maps()

# %% [markdown]
# Compare the first map with the last, both of the cGAN. Bright is a large difference. Both are bright on the orange part of the path and on the
# slope at the left. The sky, too blue near the clouds and above the ridge, is bright in the first map and dark in the last. To LPIPS, a gray sky is
# far worse than one of a wrong blue.
#
# ## 5.3 What the measures hide
#
# Of these five predictions, four are **equally wrong** by MAE. If $m$ is the mean of $|a|$ and $|b|$, then no color, colors twice as strong, a
# tint of $m$ everywhere, and noise of $\pm m$ all have an MAE of exactly $m$. The fifth is the cGAN's.

# %%
m, noise = ab.abs().mean(), torch.randn(ab.shape, generator=torch.Generator().manual_seed(42)).sign()
predictions = {"gray": 0 * ab, "twice the color": 2 * ab, "a tint": ab + m, "noise": ab + m * noise, "cGAN": pred_ab}
pictures = {name: lab.to_rgb(L, planes) for name, planes in predictions.items()}
figures.image_row([picture[0] for picture in pictures.values()], list(pictures))

# %% [markdown]
# **Predict first.** Order the five by your own eye, then look at the columns.

# %%
rows = {}
for name, rgb in pictures.items():
    of_picture = [compared(rgb, ground_truth) for compared in (metrics.psnr, metrics.ssim, judge)]
    difference = metrics.delta_e(lab.rgb_to_lab(rgb), lab.denormalize(L, ab))
    rows[name] = map(float, (metrics.mae_ab(predictions[name], ab), *of_picture, difference, metrics.colorfulness(rgb)))
pd.DataFrame(rows, ["MAE", "PSNR", "SSIM", "LPIPS", "CIEDE2000", "colorfulness"]).T.round(3)

# %% [markdown]
# Among the four, PSNR finds the tint nearest to the ground truth and the doubled colors furthest. LPIPS and CIEDE2000 find the doubled colors
# nearest, LPIPS by little; to LPIPS gray is about as wrong as noise. SSIM, made to find blur and noise, prefers the tint to all.
#
# In the saved run the cGAN is first of the five by PSNR and second by CIEDE2000, but to LPIPS the doubled colors and the tint are much nearer. By
# SSIM it is no better than gray. No measure is neutral.
#
# A number also depends on choices that a paper may leave out. Divided by 128 in place of 110, every MAE is smaller by a factor of 0.86 and nothing
# is better. The report does not say which it took; with 128, its cGAN's 0.0807 would be 0.0939 in our units. And our MAE is taken before a color
# is clipped to what a screen can show, all other measures after it.
#
# ## 5.4 The published table
#
# **Predict first.** Order by MAE: gray, the best constant color, CNN, U-Net, cGAN. Cover the table's first row until you have decided.

# %%
results = published()["unet"].folder.parent
display(Markdown((results / "summary.md").read_text(encoding="utf-8")))
table = pd.read_csv(results / "table1.csv").set_index("row")
print(f"{table.loc['gray', 'photos']:,} test photos; colorfulness of the ground truth {table.loc['gray', 'colorfulness_ground_truth']:.1f}")
print(f"gray is off by {110 * table.loc['gray', 'mae']:.1f} CIE units; the U-Net takes {1 - table.loc['unet', 'mae'] / table.loc['gray', 'mae']:.0%} off that")

# %% [markdown]
# **Gray stands first**, and it is not far behind: most colors in the world are weak (sky, walls, asphalt, skin in shade). The report's table has
# neither it nor the best constant color.
#
# On average all models but the flow are better than gray by MAE, PSNR and LPIPS. The U-Net, averaged with its mirror image, is first by all
# three. PSNR and LPIPS order the models nearly alike but disagree about the CNN: by PSNR it is about level with the cGAN and the palette, by
# LPIPS worse than both.
#
# The report's photos have 256 px. At that size, with color predicted small as `colorize` does:

# %%
at_256 = results / "table_256.md"
display(Markdown(at_256.read_text(encoding="utf-8") if at_256.is_file() else "*Not published yet.*"))

# %% [markdown]
# These are 500 of the test photos (DynamicUnet: 256 easier ones). The order is not the report's: there the cGAN is best and the U-Net hardly better than the CNN; here the
# U-Net is best and the cGAN lies between, by both measures. Gray has 0.089, and the report's three MAEs lie between 0.081 and 0.085. They
# were measured on other photos, and perhaps in other units (5.3). Its values of LPIPS are lower than all of ours (exercise 4).
#
# ## 5.5 How sure is a mean?
#
# Now your own runs, on the **test photos**, which no training has read. *U-Net (trained on)* is the **control** of the cGAN: as many more steps,
# of L1 alone. What is measured is remembered. (In the saved notebook these are the published runs again.)

# %%
photos = prepare(profile)
runs = {model: load_or_train(model, profile, photos=photos) for model in ("cnn", "unet", "unet_long", "cgan")}
measured = measure(profile, runs=runs)
write_scored(measured.test, profile.outputs / "results")
scores = measured.test.scores
names = {"mae": "MAE", "psnr": "PSNR, dB", "lpips": "LPIPS"}
pd.DataFrame({ROWS[row]: frame[list(names)].mean() for row, frame in scores.items()}).T.rename(columns=names).round(4)

# %% [markdown]
# A mean depends on which photos were drawn. The **bootstrap** says how much: draw as many photos as there are, *with replacement*, take the mean,
# repeat 2,000 times, and cut off 2.5% at either end. What is left is a 95% interval.

# %%
rng, values = np.random.default_rng(42), scores["cgan"]["mae"].to_numpy()
means = [rng.choice(values, len(values)).mean() for _ in range(2000)]
low, high = np.percentile(means, (2.5, 97.5))
print(f"cGAN: {values.mean():.4f}, by hand {low:.4f} to {high:.4f}; library {bootstrap(values)[1]:.4f} to {bootstrap(values)[2]:.4f}")

# %% [markdown]
# It says nothing about another training seed (exercise 3). Two means with overlapping intervals may still differ clearly, because hard photos are
# hard for both models. So take the difference **photo by photo**, and ask whether the interval of *its* mean excludes zero.

# %%
for first, second in (("unet", "cnn"), ("cgan", "unet"), ("cgan", "unet_long")):
    for measure_name in ("mae", "lpips"):
        print(compare(scores[first], scores[second], measure_name, (TITLES[first], TITLES[second]))["sentence"])

# %% [markdown]
# In the saved run all six intervals exclude zero. The U-Net is better than the CNN by both measures, and the cGAN is worse than the U-Net and than
# the control, also by both. But its colors are stronger, and a stronger color that is wrong costs more.
#
# ## 5.6 A model is a curve
#
# Colorfulness can be had by multiplying the prediction, so a model is a curve and not a point. Every prediction of the published models was
# multiplied by factors from 0 to at most 2.5. All lines start at gray, the dots are the models as they are, and the dashed line is the
# colorfulness of the ground truth. By PSNR the **higher** curve is better; below it is the same by LPIPS, where the **lower** one is.
#
# **Predict first.** A dot lies on the line of another model. What does that mean?
#
# <details><summary>Answer</summary>
#
# By this judge, the model has learned nothing that multiplying the other one by a constant would not have given.
#
# </details>

# %%
level, lpips_csv = table.loc["gray", "colorfulness_ground_truth"], results / "frontier_lpips.csv"
display(frontier(pd.read_csv(results / "frontier.csv"), level))
curves = pd.read_csv(lpips_csv) if lpips_csv.is_file() else measured.test.tables["frontier_lpips"]
print("LPIPS of", "the published runs" if lpips_csv.is_file() else "your runs; of the published ones it is not published yet")
display(frontier(curves, level, "lpips"))

# %% [markdown]
# By PSNR the U-Net and the control are best up to a colorfulness of about 30. From there on the cGAN and the palette,
# whose curves nearly coincide, are a little higher. At the colorfulness of the ground truth every curve is below gray. By LPIPS the U-Net and the
# control are best throughout. All curves first fall, so LPIPS prefers some color to none, and at the colorfulness of the ground truth U-Net,
# control, palette and cGAN are still better than gray.
#
# At equal colorfulness, photo by photo, with intervals:

# %%
def comparisons(folder):
    lines = (folder / "table1.md").read_text(encoding="utf-8").splitlines() if folder.is_dir() else []
    return [line for line in lines if "times the constant" in line]


external = comparisons(results / "external_test_set")
print("On the test photos:", *[line for line in comparisons(results) if line not in external], sep="\n")
print("\nOn the external test set:", *external, sep="\n")

# %% [markdown]
# The external set is of Flickr8k. On the test photos the cGAN has 0.014 dB over
# the control times a constant, and zero is inside the interval; by LPIPS it is worse by 0.009, and zero is outside. So it does not beat it.
#
# ## 5.7 Where the judges disagree
#
# Which judge would a person agree with? On the photographs of the gallery, and three of [scikit-image and scikit-learn](../data/README.md), we
# compare a cautious model, the U-Net, with a bold one, the palette of notebook 09, and show the two on which PSNR and LPIPS disagree most.

# %%
def as_tensor(pictures):
    return torch.from_numpy(np.stack(pictures)).movedim(-1, 1) / 255


photographs = showcase(192)
colored = {name: colorize_all(photographs, *pretrained_model(name)[:2]) for name in ("unet", "palette")}
by_psnr, by_lpips = ({name: judged(as_tensor(pictures), as_tensor(photographs)) for name, pictures in colored.items()}
                     for judged in (metrics.psnr, judge))
bolder = by_psnr["palette"] - by_psnr["unet"], by_lpips["unet"] - by_lpips["palette"]  # positive: palette is better
disagreement = -(bolder[0] / bolder[0].std()) * (bolder[1] / bolder[1].std())


@figures.figure("The photographs on which PSNR and LPIPS disagree most.")
def disagreements(count=2):
    fig, cells = plt.subplots(count, 3, figsize=(7, 2.6 * count))
    for row, i in zip(cells, disagreement.argsort(descending=True)[:count].tolist()):
        for ax, name in zip(row, colored):
            words = f"{figures.title(name)}\n{by_psnr[name][i]:.1f} dB, LPIPS {by_lpips[name][i]:.3f}"
            figures.show(ax, figures.image(colored[name][i]), words)
        figures.show(row[2], figures.image(photographs[i]), "ground truth")
    return fig


disagreements()

# %% [markdown]
# Which of the two colored pictures would you rather show? In the saved run they are the dandelions and the stream. On the dandelions PSNR prefers
# the palette and LPIPS the U-Net: the palette's large dandelion is warmer, as in the ground truth, but its grass is too green. On the stream it is
# the other way around. The palette's leaves are greener and its rocks browner than the U-Net's; LPIPS finds that nearer to the ground truth, while
# PSNR counts the wrong brown.
#
# And these are the two best and the two worst photographs of the cGAN by MAE:

# %%
pictures = colorize_all(photographs, cgan, size)
planes = [lab.photos_to_lab(np.stack(squares))[1] for squares in (pictures, photographs)]
best_and_worst(photographs, {"cgan": pictures.__getitem__}, {"cgan": metrics.mae_ab(*planes).numpy()}, n=2)

# %% [markdown]
# The photo with the lowest MAE is often a dull one, and the one with the highest is vivid, in a color that nobody could guess. In the saved run that
# holds for the white and gray boards around the dogs and for the red plate. The second best, the mountains, are not dull: their sky is blue, as
# skies are, but the rocks are stained green.
#
# ## 5.8 Claims need rules
#
# "Significantly improved the realism", says the report. Such a sentence can be tested only if it is said beforehand which numbers would refute
# it. For each of the report's conclusions a rule was fixed *before* seeing any numbers: see [docs/claims.md](../docs/claims.md). Take one claim
# and write down what you would measure before you look.
#
# ## 5.9 Check
#
# The measures by hand are the library's.

# %%
torch.testing.assert_close(mae, metrics.mae_ab(pred_ab, ab)[0])
torch.testing.assert_close(psnr, metrics.psnr(shown, ground_truth)[0])
torch.testing.assert_close(colorfulness, metrics.colorfulness(shown)[0], rtol=1e-3, atol=0)
torch.testing.assert_close(sum(layer.mean() for layer in maps["cGAN"]), judge(shown, ground_truth)[0])

# %% [markdown]
# ## Takeaways
#
# 1. A table of colorings cannot be read without gray, because error measures reward caution.
# 2. Models are compared by their differences photo by photo, with an interval, and at equal colorfulness.
# 3. PSNR looks at pixels and LPIPS at features; where they disagree, look at the pictures.
#
# ## Exercises
#
# 1. **A stronger baseline** (★★). Build a "model" that looks up the training median of ab for each of 20 levels of L. How much of the models'
#    gain over gray does it get?
#    <details><summary>Hint</summary>A model is a function from L to ab; `evaluation.score` takes it.</details>
# 2. **More color, please** (★). Multiply a model's ab by $s$ from 0 to 2. Which $s$ do MAE, PSNR and the gap in colorfulness choose?
#    <details><summary>Hint</summary>Predict once with `evaluation.predict_photos`.</details>
# 3. **Photos or seeds?** (★★★) Train the CNN with three seeds. Is the spread of their test MAE wider than the bootstrap interval of one?
#    <details><summary>Hint</summary>`dataclasses.replace(recipe, seed=43)`.</details>
# 4. **A slip in the range** (★★). LPIPS expects RGB in [−1, 1]. What happens with [0, 1], and could that explain the report's LPIPS?
#    <details><summary>Hint</summary>`metrics.LPIPS().net` takes what it is given.</details>
#
# [Solutions](solutions/05_solutions.ipynb) · Next: in [notebook 06](06_qualitative_grids.ipynb) you judge with your own eyes.
