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
# Three models are trained. Which one is best, by how much, and how would we know? The report answers with a table
# of three rows and two columns. We rebuild that table and add the rows without which it cannot be read. Then we ask of
# every conclusion that the report draws: did it hold?
#
# **You will learn**
#
# - what each metric measures, worked out by hand on one photograph before a library does it for all;
# - why a picture *without any color* scores almost as well as the models, and which measure notices;
# - what a divisor or a clip does to a published number;
# - how to compare two models photo by photo and at equal colorfulness, and how sure you can be;
# - how to judge claims by a rule that was fixed before looking.
#
# **Before this:** notebooks [02](02_cnn_baseline.ipynb) to [04](04_cgan.ipynb) built the models. Runs that are missing
# are trained here; the next cell prints the minutes. **Downloads:** none in `smoke`. In `class` and `report`, unless
# they are here already: the photos (3.2 GB), ResNet-18's weights (45 MB), and VGG-16's for LPIPS (528 MB).

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
# These are the constants of this notebook. Change them if you like, and run on.

# %%
SEED = 42  # for what is drawn at random here
CHOSEN = None  # None: the table's recipes; or a list of runs to evaluate, one per stage: ["cnn-…", "unet-…"]
MODEL = "cgan"  # the quoted model whose answer is measured by hand in 5.2: cnn, unet or cgan
PHOTO = 4  # number of the photograph for that, of the eight in data/gallery: 4 is the mountains

# %%
import re

import numpy as np
import pandas as pd
import torch
from IPython.display import Image, Markdown, display

from g2g import evaluation, figures, lab, metrics
from g2g.data import prepare
from g2g.evaluation import bootstrap, compare
from g2g.models import predict
from g2g.runs import finished_runs, load_or_train, pretrained_model, published
from g2g.training import get_device
from report.claims import verdicts
from report.figures import count_colors, error_against_chroma, frontier
from g2g.photos import gallery_photos
from report.pipeline import check
from report.tables import equally_colorful, summary, table1, write_table
from report.tables import frontier as frontier_table

# %% [markdown]
# ## 5.1 What is evaluated, and on what
#
# The **test photos** are opened here for the first time. No training has read them, and nothing so far was
# decided by looking at them. That is what makes their scores worth something. (In the quoted runs there is one
# exception: the first rates and batch sizes of the U-Net, see [docs/training.md](../docs/training.md).)

# %%
photos = prepare(profile)
print(photos)
print(f"{len(photos.test):,} test photos, {photos.near_gray('test').mean():.1%} of them near-gray")
print(f"profile {profile.name}: {profile.purpose}")

# %% [markdown]
# A *run* is one training: a recipe, a set of photos, a seed. Its name ends in a hash of all three. The course's
# table of recipes asks for the report's three, and for some that the report lacks. Those that are not here yet are
# trained now. The cGAN starts from the trained U-Net and then *trains on*. If it does better, is that the adversary, or
# only the longer training? `unet_long` is the **control**: the same U-Net, trained further with L1 alone, for just as
# long as the cGAN. `palette` and `flow` belong to notebooks 09 and 11, and are scored here so
# that all models are in one table. (`cpu` has one more, `unet_full`: the report's architecture, which takes longer to
# train than the U-Net. It is left out here; its row is in the quoted table.)
#
# If you changed a recipe in notebooks 02 to 04, put the name of your run into `CHOSEN` above. A run with other
# photos or from another profile is refused: its numbers do not belong in this table.

# %%
stages = [stage for stage in profile.models if stage != "unet_full"]
runs = {stage: load_or_train(stage, profile, photos=photos) for stage in stages}
if CHOSEN:
    runs = {run.recipe.model: run for run in (finished_runs(profile)[name] for name in CHOSEN)}
for run in runs.values():
    check(run, profile, photos)
print("evaluated:", ", ".join(run.id for run in runs.values()))

# %% [markdown]
# A score means little until you know what *no effort* scores. So two more "models" come first. **gray** always
# answers $a = b = 0$. **constant** answers the one color that is best on the training photos; for an absolute
# error that is the median.

# %%
best = evaluation.best_constant(photos)
print(f"best constant: a* = {best[0] * lab.AB_SCALE:.1f}, b* = {best[1] * lab.AB_SCALE:.1f}")
models = {"gray": evaluation.gray(), "constant": evaluation.constant(best)}
models |= {stage: run.model(device=get_device()) for stage, run in runs.items()}

# %% [markdown]
# ## 5.2 One metric at a time, by hand
#
# One photograph and one model, whatever your profile: the mountains of [data/gallery](../data/gallery/README.md)
# (*picosdeeuropa* by Aitzol Berasategi, CC BY 4.0; cut square and recolored below), and the cGAN whose weights are
# in the repository. `L` and `ab` are normalized; `pred` is the answer.

# %%
model, size, sentence = pretrained_model(MODEL)
print(sentence)
L, ab = lab.photos_to_lab(gallery_photos(size)[PHOTO][None].copy())
pred = predict(model, L)
truth, shown, gray = (lab.to_rgb(L, planes) for planes in (ab, pred, 0 * ab))
figures.image_row([gray[0], shown[0], truth[0]], ["gray", MODEL, "truth"])

# %% [markdown]
# ### MAE of ab
#
# The report's measure: the mean of $|a - \hat a|$ and $|b - \hat b|$ over all pixels, with ab divided by 110.
# Multiplied by 110, it is back in CIE units.

# %%
mae = (pred - ab).abs().mean().item()
print(f"by hand {mae:.4f}, library {metrics.mae_ab(pred, ab).item():.4f}, in CIE units {mae * lab.AB_SCALE:.1f}; "
      f"a gray answer: {ab.abs().mean():.4f}")

# %% [markdown]
# Where does the error sit? Bright is wrong.

# %%
@figures.figure("The error of gray and of the model at each pixel.")
def error_maps():
    fig, cells = figures.axes(1, 2, truth.shape[-2:], extra=0.3, side=0.8)
    for ax, (name, answer) in zip(cells[0], {"gray": 0 * ab, MODEL: pred}.items()):
        error = (answer - ab).abs().mean(1)[0]
        drawn = figures.show(ax, error, f"{figures.title(name)}: {error.mean():.4f}", "magma", 0, 0.4)
    fig.colorbar(drawn, ax=cells, label="|error| of ab/110")
    return fig


error_maps()

# %% [markdown]
# Compare the two maps. Where did the model gain over gray, and where did it paint something worse than nothing?
#
# ### PSNR and SSIM
#
# The peak signal-to-noise ratio compares the *pictures*, in sRGB from 0 to 1. Every 10 dB is a factor of ten in
# the mean squared error:
#
# $$\mathrm{PSNR} = 10 \log_{10} \frac{1}{\mathrm{MSE}}$$
#
# SSIM (structural similarity, Wang et al. 2004) compares means, variances and covariance inside a small sliding
# window, and is 1 for equal pictures.

# %%
mse = (shown - truth).square().mean()
print(f"PSNR by hand {-10 * mse.log10():.2f} dB, library {metrics.psnr(shown, truth).item():.2f} dB; "
      f"gray {metrics.psnr(gray, truth).item():.2f} dB")
print(f"SSIM {metrics.ssim(shown, truth).item():.4f}; gray {metrics.ssim(gray, truth).item():.4f}")

# %% [markdown]
# ### A color difference as the eye sees it
#
# $L^*a^*b^*$ was designed so that equal distances look equally different. The plain distance (CIE 1976) is
# simple but overrates differences between vivid colors. **CIEDE2000** corrects that with weights fitted to
# experiments. A difference of about 1 is just noticeable.

# %%
shown_lab, true_lab = lab.rgb_to_lab(shown), lab.rgb_to_lab(truth)
plain = (shown_lab - true_lab).square().sum(1).sqrt().mean()
print(f"CIE 1976 by hand {plain:.1f}, CIEDE2000 {metrics.delta_e(shown_lab, true_lab).item():.1f}")

# %% [markdown]
# ### Colorfulness
#
# All measures so far punish a wrong color, and none asks for color. This one looks at a single picture, not
# at a pair (Hasler & Süsstrunk 2003). It takes two opponent channels, $rg = R - G$ and $yb = (R + G)/2 - B$, on a
# scale of 0 to 255, with their means $\mu$ and standard deviations $\sigma$ over the pixels:
#
# $$\sqrt{\sigma_{rg}^2 + \sigma_{yb}^2} + 0.3\,\sqrt{\mu_{rg}^2 + \mu_{yb}^2}$$

# %%
R, G, B = 255 * shown[0]
rg, yb = R - G, (R + G) / 2 - B
spread = (rg.var(correction=0) + yb.var(correction=0)).sqrt()
offset = (rg.mean()**2 + yb.mean()**2).sqrt()
print(f"by hand {spread + 0.3 * offset:.1f}, library {metrics.colorfulness(shown).item():.1f}; "
      f"truth {metrics.colorfulness(truth).item():.1f}, gray {metrics.colorfulness(gray).item():.1f}")

# %% [markdown]
# Taken alone it is easy to cheat: confetti wins. So the [full table](../results/cpu/table1.md) also has its **gap to
# the truth**, photo by photo.
#
# ### LPIPS
#
# The last measure compares the *features* that VGG-16, a network trained to name things, finds in the two pictures
# ([Zhang et al. 2018](https://arxiv.org/abs/1801.03924)). VGG's ImageNet weights lie in the repository. With random
# weights it would still give a number, and the number would mean nothing. It is the slowest of the measures: on two CPU
# cores it takes about 0.3 seconds a photo of 128 px.

# %%
lpips = metrics.LPIPS(get_device())

# %% [markdown]
# ### What the measures hide
#
# Here are five answers. By MAE, four of them are **equally wrong**, because we make them so. If $m$ is the mean of
# $|a|$ and $|b|$, then no color, colors twice as strong, a tint of $m$ all over, and noise of $\pm m$ all have an
# MAE of exactly $m$. The fifth is the model's.

# %%
m = ab.abs().mean()
torch.manual_seed(SEED)
answers = {"gray": 0 * ab, "twice the color": 2 * ab, "a tint": ab + m, "noise": ab + m * torch.randn_like(ab).sign(),
           MODEL: pred}
pictures = {name: lab.to_rgb(L, answer) for name, answer in answers.items()}
figures.image_row([picture[0] for picture in pictures.values()], list(pictures))

# %%
measures = {"MAE": lambda answer, rgb: metrics.mae_ab(answer, ab), "PSNR": lambda _, rgb: metrics.psnr(rgb, truth),
            "SSIM": lambda _, rgb: metrics.ssim(rgb, truth), "colorfulness": lambda _, rgb: metrics.colorfulness(rgb),
            "CIEDE2000": lambda _, rgb: metrics.delta_e(lab.rgb_to_lab(rgb), true_lab)}
measures["LPIPS"] = lambda _, rgb: lpips(rgb, truth)
pd.DataFrame({name: [float(measure(answers[name], pictures[name])) for measure in measures.values()] for name in answers},
             index=list(measures)).T.round(3)

# %% [markdown]
# Nobody would call the first four equally good; MAE does. The others disagree with each other: PSNR puts the doubled
# colors last, CIEDE2000 puts them first. SSIM prefers gray to the model. It was made to find blur and noise, and most of
# what it looks at is lightness, which is *given* here. Only colorfulness says outright that gray has no color. LPIPS
# compares features that name things, and a gray cat is still a cat: look at how it ranks gray.
#
# ## 5.3 Two silent choices
#
# The report prints an MAE of 0.0848. It does not say what ab was divided by, nor whether the prediction was clipped.
#
# **The divisor.** MAE is linear. Dividing ab by 128 in place of 110 multiplies every number by $110/128 = 0.86$,
# for gray and for every model, and *nothing is better*.
#
# **Clipping.** Not every (L, a, b) is a color that a screen can show. Converting to sRGB clips, so the picture has a
# slightly different ab from the prediction. Our MAE is taken *before*. PSNR, SSIM, CIEDE2000, colorfulness and
# LPIPS are of the picture, so they come *after*.

# %%
for name, answer in (("gray", 0 * ab), (MODEL, pred)):
    error = (answer - ab).abs().mean() * lab.AB_SCALE  # CIE units
    print(f"{name}: {error / 110:.4f} divided by 110, {error / 128:.4f} divided by 128")
after = lab.normalize(shown_lab)[1]
print(f"{MODEL}: MAE before clipping {mae:.5f}, after {metrics.mae_ab(after, ab).item():.5f}")

# %% [markdown]
# If the report divided by 128, its cGAN's 0.0807 would be 0.0939 in our currency, worse than gray is on our
# test photos. A tutorial with much the same protocol,
# [moein-shariatnia's](https://github.com/moein-shariatnia/Deep-Learning), divides by 110, so 110 is
# likely. That is an inference: the report does not say. What we can do is print gray beside our own numbers.
#
# ## 5.4 The table
#
# First the runs that this course quotes. *Read from `results/`, not computed here:* training them takes an evening,
# and scoring 2,000 photos takes minutes.

# %%
published = published()
results = next(iter(published.values())).folder.parent
reference = pd.read_csv(results / "table1.csv").set_index("row")
facts = published["unet"].record
print(f"profile {facts['profile']}: {facts['train']:,} training photos of {facts['size']} px, {reference.loc['gray', 'photos']:,} "
      f"of MS-COCO to test, seed {published['unet'].recipe.seed}, on {facts['device']}: "
      "no GPU, no ImageNet weights of ResNet-18, no LPIPS")
print(", ".join(run.record["run"] for run in published.values()))
display(Markdown((results / "summary.md").read_text(encoding="utf-8")))

# %% [markdown]
# Read it from the top. **Gray comes first**, and it is not far behind: most colors in the world are weak (sky, walls,
# asphalt, skin in shade), so a picture without any color is off by 0.0889, about 10 CIE units. The best model, the
# U-Net, takes 16% off that. A model has to *earn* every step away from gray.
#
# The last column has the report's numbers, from its own photos. The report's table has no gray row.
#
# Now your own runs, on all your test photos. Each model is asked once. Its answers are scored, one row for each photo,
# so that no mean hides anything; they are multiplied by factors, for 5.7; and their colors are counted, for 5.8. (This notebook was
# saved with the quoted runs themselves, loaded from the files in `results/weights`. As saved, "yours" is therefore a check
# that these files have the scores above.)

# %%
scores, curves = {}, {}
colors = {"ground_truth": count_colors(lab.photos_to_lab(photos.test)[1])}
for row, model in models.items():
    all_answers = evaluation.predict_photos(model, photos, name=row)
    scores[row] = evaluation.score(all_answers, photos, lpips=lpips, show=False)
    curves[row] = evaluation.saturated(all_answers, photos, show=False)
    colors[row] = count_colors(all_answers)

# %%
by_saturation = frontier_table(scores, curves)
scores["cnn" if "cnn" in scores else "gray"].iloc[:3, :7].round(3)

# %%
table = table1(scores)
notes = [f"Profile {profile.name}: {profile.purpose}.", f"Runs: {', '.join(run.id for run in runs.values())}.",
         *equally_colorful(scores, curves)]
files = write_table(table, profile.outputs / "results", notes, scores)
print(f"written to {profile.outputs.name}/results, with SSIM and all intervals: {', '.join(f.name for f in files[:3])}")
display(Markdown(summary(table)))

# %% [markdown]
# In `smoke` these rows only show that the machinery works: seconds of training, on crops of four photographs.
#
# ## 5.5 How sure is a mean?
#
# The brackets in the table hold a 95% **bootstrap interval**. Draw as many photos as there are, *with replacement*, and
# take the mean. Repeat that 2,000 times, and cut off 2.5% at either end. By hand, for the MAE of your last model:

# %%
rng = np.random.default_rng(SEED)
last = list(scores)[-1]
values = scores[last]["mae"].to_numpy()
means = [rng.choice(values, len(values)).mean() for _ in range(2000)]
low, high = np.percentile(means, (2.5, 97.5))
print(f"{last}: {values.mean():.4f}, by hand {low:.4f} to {high:.4f}; "
      "library {:.4f} to {:.4f}".format(*bootstrap(values)[1:]))

# %% [markdown]
# The interval answers: *how different could the mean be with other photos?* Two warnings. It assumes that photos are
# independent; the 24 of `smoke` are crops of three photographs, so there it is far too narrow. And it says nothing
# about another training seed; for that you must train again (exercise 3).
#
# **Photo by photo.** Two means with overlapping intervals may still differ clearly, because both models saw the same
# photos, and hard ones are hard for both. So take the difference on each photo, and ask whether the interval of *its*
# mean excludes zero. Among the quoted runs, the U-Net is better than the CNN on 68.2% of the 2,000 photos, and its MAE
# is lower by 0.0059 (0.0052 to 0.0067). The cGAN's is *higher* than the U-Net's by 0.0040 (0.0035 to 0.0045). Yours:

# %%
def in_words(found):
    return f"{found['difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"


pairs = [("cnn", "gray"), ("unet", "gray"), ("cgan", "gray"), ("unet", "cnn"), ("unet_long", "unet"),
         ("cgan", "unet"), ("cgan", "unet_long")]
rows = {}
for a, b in pairs:
    if {a, b} <= set(scores):
        mae, delta_e = (compare(scores[a], scores[b], column) for column in ("mae", "delta_e"))
        rows[f"{a} minus {b}"] = in_words(mae), f"{mae['better']:.0%}", in_words(delta_e), f"{delta_e['better']:.0%}"
pd.DataFrame(rows, ["MAE", "better on", "CIEDE2000", "better on "]).T

# %% [markdown]
# The right half uses the measure that is closest to the eye. Do both halves agree?
#
# ## 5.6 Who fails where
#
# The more color a photo has, the more there is to miss. Gray misses all of it, so its line rises. A model has learned
# something where its line lies *below* that of gray. Your runs:

# %%
fig = error_against_chroma({row: scores[row] for row in scores if row in ("gray", "cnn", "unet", "cgan")})
figures.save(fig, "error_against_chroma", profile.outputs / "figures")
fig

# %% [markdown]
# On the left, where there is nothing to win, a model can only lose. Its errors are small there all the same. The photo
# with the lowest MAE is usually the *dullest*, and the one with the highest is vivid, with a color that nobody could
# guess: a painted wall, a jersey, a flower.
#
# ## 5.7 A model is a curve
#
# Colorfulness can be bought: multiply the answer. So a model is not one point but a curve. For each of the quoted
# models, every answer was multiplied by factors from 0 to at most 2.5. Each line starts at gray, at the left end of
# the zero line. The dots are the models as they are. Of two models, the better one has the higher curve.

# %%
frontier(pd.read_csv(results / "frontier.csv"), reference.loc["gray", "colorfulness_ground_truth"])

# %% [markdown]
# Follow the U-Net's line to the colorfulness of the cGAN. It passes just below the cGAN's dot: **at equal
# colorfulness** (26.8), the cGAN is 0.073 dB better (0.022 to 0.124) than the U-Net times a constant. Against the
# control times a constant its lead is 0.037 dB (−0.002 to 0.075), which cannot be told from zero. And at the dashed
# line, as colorful as photographs are, every model is *further* from the truth than gray: the cGAN by 0.79 dB, the
# U-Net by 0.99. The [full table](../results/cpu/table1.md) has this number for every model.
#
# A dot on a neighbor's line is a model that has learned nothing more than what a saturation slider can do. Yours
# (the figure of your curves is saved as `frontier`):

# %%
figures.save(frontier(by_saturation, scores["gray"]["colorfulness_ground_truth"].mean()), "frontier", profile.outputs / "figures")
print(*equally_colorful(scores, curves), sep="\n")

# %% [markdown]
# ## 5.8 The colors that a model never uses
#
# How often does each pair of $a^*$ and $b^*$ occur? The truth reaches most of what a screen can show, though strong
# colors are rare. A model trained with L1 answers with the median of all colors that would fit, and the median of
# opposites lies in the middle. The colors missing from a model's cloud are those it never dares to use. The quoted
# runs (yours are saved as `ab_histograms`):

# %%
painted = {name: counts for name, counts in colors.items() if name not in ("gray", "constant")}
figures.save(figures.ab_histograms(painted), "ab_histograms", profile.outputs / "figures")
display(Image(results / "figures" / "ab_histograms.png", width=760))

# %% [markdown]
# The *chroma* above each panel is the mean distance from gray. The adversary is bolder than L1 alone, and still far
# from the truth.
#
# ## 5.9 The report's claims
#
# Now the report's sentences. For each we fixed a rule *before* seeing any numbers (`report/claims.py`, one short
# function per claim), and the rule alone decides: **held**, **did not hold**, or **cannot be told here**. Where a
# rule says *surely*, a 95% interval must lie wholly on one side of its limit. (One limit was changed later, but no
# verdict depends on it: see [docs/claims.md](../docs/claims.md).) Here is one claim in full, from `results/`:

# %%
pattern = r"^- “(.+?)” \*\*(.+?)\.\*\* (.+?) \*(.+)\*$"
judged = re.findall(pattern, (results / "claims.md").read_text(encoding="utf-8"), re.MULTILINE)
claim, verdict, numbers, rule = judged[5]
display(Markdown(f"> “{claim}”\n\n*The rule:* {rule}\n\n*The numbers:* {numbers}\n\n*So the claim* **{verdict}**."))

# %% [markdown]
# And all of them, the quoted runs beside yours. With fewer than 100 test photos, and always in `smoke`, nothing can be
# decided.

# %%
own = verdicts(scores, colors, runs, profile).set_index("claim")["verdict"]
compact = pd.DataFrame([(f"“{claim}”", verdict, own[claim]) for claim, verdict, _, _ in judged],
                       columns=["the report says", "quoted runs", "yours"])
display(Markdown(compact.to_markdown(index=False)))

# %% [markdown]
# Rules and numbers of all claims are in [docs/claims.md](../docs/claims.md). The verdicts speak of *these* runs: these
# photos, this size, one seed. The report had its own photos and its own training, and its weights are not published.
# A claim that did not hold here may have held there.
#
# ## Summary
#
# - A table of colorings without the rows *gray* and *best constant* cannot be read: MAE, PSNR and SSIM all reward
#   caution.
# - A divisor can move a number more than a better model does, and a clip moves it, too. Say which you used.
# - A mean over photos has an interval. Two models on the same photos are compared by their *differences*.
# - Colorfulness and the ab histogram show what error measures hide. None of them knows what is plausible.
# - Colorfulness can be bought with a factor, so models are compared at *equal* colorfulness.
# - A claim needs a rule that could have gone the other way.
#
# ## Exercises
#
# 1. **A stronger baseline.** Bright pixels differ in color from dark ones. Build a "model" that looks up the
#    training median of ab for each of 20 levels of L. How much of the models' gain over gray does it get, without
#    having seen a single shape?
# 2. **More color, please.** Multiply a model's ab by $s$ from 0 to 2 and plot MAE, PSNR and the gap in
#    colorfulness against $s$. Which $s$ does each measure choose? Which would you?
# 3. **Photos or seeds?** Train the CNN with three seeds. Is the spread of their test MAE wider or narrower than the
#    bootstrap interval of one of them? Which of the two should a claim "A beats B" respect?
# 4. **A slip in the range.** LPIPS expects RGB in $[-1, 1]$. Feeding it $[0, 1]$ raises no error and halves all
#    contrasts. Could that explain the report's LPIPS of 0.148, 0.141 and 0.132? (This needs VGG's weights.)
#
# [Solutions](solutions/05_solutions.ipynb) · Next: in [notebook 06](06_qualitative_grids.ipynb) you judge with your own
# eyes.
