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
# # 2 · The baseline: an encoder-decoder CNN
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/02_cnn_baseline.ipynb)
#
# The first model that colours: a plain convolutional network, trained with the plainest loss there is. It
# will learn something, and it will be brown. Why it *must* be brown is the main lesson of this notebook.
#
# **You will learn**
#
# - how an encoder-decoder goes from a gray photo to two planes of colour, and what it loses on the way;
# - what L1, L2 and an adversary answer when one gray could have been several colours;
# - how a training loop looks when written by hand, and that the library's does the same;
# - how to read a loss curve against the error of doing nothing, and how to measure "brown".
#
# **Before this:** notebook 01 (Lab, the gray baseline). **Minutes:** printed by the next cell.

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
# The constants. `recipe` is this profile's row of the course's one table of recipes; the commented line
# shows how to change it. A changed recipe becomes a run of its own and never overwrites another one.

# %%
import dataclasses

from g2g.profiles import get_recipe, repo_root

SEED = 42
HAND_STEPS = 24  # about so many training steps by hand (rounded up to whole epochs)
recipe = get_recipe("cnn", profile)
# recipe = dataclasses.replace(recipe, epochs=10, lr=1e-3, width=32)
recipe

# %% [markdown]
# The report trained its CNN with Adam and a learning rate of 0.001 for 100 epochs; elsewhere it names 0.01
# as *the* learning rate. The `report` profile takes the first. The shorter profiles reach further per epoch
# with a rate that rises and falls once (*one-cycle*).

# %%
import tempfile

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import SVG
from torch import nn

from g2g import evaluation, figures, lab, metrics, runs, training
from g2g.data import batches, dataloaders, prepare
from g2g.models import EncoderDecoder, count_parameters, predict
from g2g.runs import load_or_train, shipped_model
from report.publish import across, coloured, gallery_photos
from report.tables import quoted_score

# %% [markdown]
# ## 2.1 The network
#
# The encoder convolves and halves the picture four times; the decoder doubles it four times and convolves.
# In the middle sits a compact *latent*: many channels, few pixels. The last layer gives two planes, a and
# b, and a tanh keeps them within −1 and 1. The diagram shows it as the `report` profile trains it,
# on photos of 256 px.

# %%
SVG(filename=str(repo_root() / "docs/networks/encoder_decoder.svg"))

# %% [markdown]
# Yours in numbers: channels, height and width after each stage, and where the parameters are. Halving
# the size and doubling the channels puts most of them around the latent.

# %%
torch.manual_seed(SEED)
model = EncoderDecoder(recipe.width)
x = torch.zeros(1, 1, profile.size, profile.size)
print(f"{'L':10} {tuple(x.shape[1:])}")
model.eval()
for part in [*model.encoder, model.latent, *model.decoder, model.output]:
    x = part(x)
    print(f"{'->':10} {str(tuple(x.shape[1:])):16} {count_parameters(part):>10,} parameters")
print(f"in all {count_parameters(model):,}")

# %% [markdown]
# One pixel of the latent stands for $16 \times 16$ pixels of the photo. Everything that the decoder paints
# has to pass through there, and there are **no skip connections**: it cannot know where exactly an outline
# runs. For colour that is a smaller loss than it sounds: the outlines are in L, and L is not predicted, it
# is joined with the answer (notebook 01). Still, watch for colours that spill over edges. The U-Net of
# notebook 03 gets skips.
#
# ## 2.2 A toy: one gray, several colours
#
# Before training, a question that needs no network. A jacket of a certain gray, $L^* = 50$. The world has
# made such jackets in **red (60%)** and **blue (40%)**, and in the gray photo they look the same. You may
# give *one* answer (a\*, b\*). Which answer has the lowest expected loss?

# %%
red, blue, green = torch.tensor([[60.0, 40.0], [5.0, -45.0], [-40.0, 45.0]])  # a*, b* of three colours
colours, share = torch.stack([red, blue]), torch.tensor([0.6, 0.4])


def swatch(ab, L=50.0):
    return lab.lab_to_rgb(torch.tensor([L, *ab]).view(3, 1, 1)).expand(3, 40, 40)

# %% [markdown]
# Let an optimizer find it, as it would train a network: take the expected loss, go downhill. The network is
# a single pair of numbers here, `guess`.

# %%
def answer(loss, colours, share, steps=300):
    guess = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([guess])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2 * (1 - step / steps)
        errors = loss(guess.expand_as(colours), colours, reduction="none").mean(1)
        expected = (share * errors).sum()
        optimizer.zero_grad(), expected.backward(), optimizer.step()
    return guess.detach()


l1, l2 = (answer(loss, colours, share) for loss in (F.l1_loss, F.mse_loss))
print("L1 answers", l1.round().tolist(), " L2 answers", l2.round().tolist())

# %%
figures.image_row([swatch(c) for c in (red, blue, l1, l2)], ["60% are", "40% are", "L1 answers", "L2 answers"])

# %% [markdown]
# **L2 answers with the mean.** A mixture in proportion 60 : 40, a colour that no jacket has. **L1 answers
# with the median**, and of two colours the median is simply the more frequent one. The curve of the
# expected loss on the straight line from blue to red shows both: L2's valley lies in between, L1 falls all
# the way to the majority.

# %%
t = torch.linspace(0, 1, 101)
errors = blue + t[:, None, None] * (red - blue) - colours  # (101 guesses, 2 colours, a and b)
fig, ax = plt.subplots(figsize=(5, 2.4))
for name, value in (("L1", errors.abs()), ("L2", errors**2)):
    curve = value.mean(2) @ share
    ax.plot(t, curve / curve.max(), label=f"{name}, lowest at {t[curve.argmin()]:.2f}")
ax.set(xlabel="guess, from blue (0) to red (1)", ylabel="expected loss, scaled")
ax.legend()
plt.show()

# %% [markdown]
# So L1 does not mix; it takes a vote. Then where does the brown come from? From votes **without a
# majority**. Let the jackets be red (40%), blue (35%) and green (25%). The loss looks at a\* and b\*
# separately, so the vote is held *on each axis*: the middle one of {−40, 5, 60}, and the middle one of
# {−45, 40, 45}.

# %%
colours, share = torch.stack([red, blue, green]), torch.tensor([0.4, 0.35, 0.25])
l1, l2 = (answer(loss, colours, share) for loss in (F.l1_loss, F.mse_loss))
print("L1 answers", l1.round().tolist(), " L2 answers", l2.round().tolist())
titles = ["40% are", "35% are", "25% are", "L1 answers", "L2 answers"]
figures.image_row([swatch(c) for c in (red, blue, green, l1, l2)], titles)

# %% [markdown]
# There it is. The a\* of the blue jacket, the b\* of the red one: **a brown that nobody has ever worn**,
# and it is the *best* answer by L1. Nothing is wrong with the optimizer, and a bigger network would find
# the same. Photos offer not three but countless colours for a gray, spread around a centre that is gray and
# a bit warm (the histogram of notebook 01), and their median lies there.
#
# ### An adversary does not average
#
# Now replace the loss by an opponent. A small network D sees colours and learns to tell real jackets from
# our guess; we move our guess to where D says "real". A mean or a median is no refuge any more: D has never
# seen a jacket there. This is a GAN, of the smallest possible kind. (A little noise on both sides blurs
# real and fake alike, so that D has slopes to climb and not only cliffs.)

# %%
def adversary(start, colours, share, seed=0, rounds=120, noise=8.0):
    torch.manual_seed(seed)
    guess, path = start.clone().requires_grad_(), [start]
    D = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    d_optimizer = torch.optim.Adam(D.parameters(), lr=1e-2, betas=(0.5, 0.999))
    g_optimizer = torch.optim.Adam([guess], lr=0.5, betas=(0.5, 0.999))
    for _ in range(rounds):
        for _ in range(3):  # D: real colours up, the guess down
            real = colours[torch.multinomial(share, 256, replacement=True)] + noise * torch.randn(256, 2)
            fake = guess.detach() + noise * torch.randn(256, 2)
            d_loss = F.softplus(-D(real / 110)).mean() + F.softplus(D(fake / 110)).mean()
            d_optimizer.zero_grad(), d_loss.backward(), d_optimizer.step()
        g_loss = F.softplus(-D((guess + noise * torch.randn(256, 2)) / 110)).mean()
        g_optimizer.zero_grad(), g_loss.backward(), g_optimizer.step()
        path.append(guess.detach().clone())
    return torch.stack(path)

# %% [markdown]
# `softplus(-D)` is the cross-entropy for the label "real". The guess starts at L1's answer, the brown one,
# just as the course's cGAN starts from a network trained with L1. Three seeds:

# %%
paths = [adversary(l1, colours, share, seed) for seed in (0, 1, 2)]
fig, ax = plt.subplots(figsize=(4.2, 3.8))
for path in paths:
    ax.plot(*path.T, color="#555555", lw=1)
for name, ab in {"40%": red, "35%": blue, "25%": green, "L1": l1, "L2": l2}.items():
    ax.scatter(*ab, s=160, color=swatch(ab)[:, 0, 0].tolist(), edgecolor="black", zorder=3)
    ax.annotate(name, ab, (9, 6), textcoords="offset points")
ax.set(xlabel="a*", ylabel="b*", xlim=(-80, 95), ylim=(-65, 70))
plt.show()

# %%
figures.image_row([swatch(path[-1]) for path in paths], [f"adversary, seed {seed}" for seed in (0, 1, 2)])

# %% [markdown]
# Each time the guess leaves the brown and settles on **one** of the real colours. *Which* one depends on
# chance: the adversary asks for a possible jacket, not for the right one. Its L1 error is higher than
# brown's. This is the whole drama of the course in one picture: a low error and a convincing colour are two
# different wishes. (And a warning: a convincing colour is invented. In a historical photo or a medical
# picture it must not pass for a record.)
#
# | one answer, minimising | is | looks |
# |---|---|---|
# | L2 | the mean | mixed, dull |
# | L1 | the median of a and of b | the majority's colour if there is one, else gray-brown |
# | an adversary's doubt | one of the real colours | vivid, possibly wrong |
#
# ## 2.3 Before training
#
# Now the real thing. Photos and batches are those of notebook 01. The pictures below are **validation**
# photos: no training step uses them. (In `smoke` they are other crops of the same few photographs.)

# %%
photos = prepare(profile)
print(photos)
device = runs.device()
dls = dataloaders(photos, recipe.batch_size, seed=SEED, device=device)
L_valid, ab_valid = (torch.cat(x) for x in zip(*batches(photos.valid), strict=True))
gray_mae = ab_valid.abs().mean().item()
print(f"gray, the answer ab = 0, scores {gray_mae:.4f} on the validation photos")

# %%
few = slice(0, 2)
columns = {"gray": lab.to_rgb(L_valid[few], 0 * ab_valid[few])}
columns["untrained"] = lab.to_rgb(L_valid[few], predict(model, L_valid[few]))
figures.qualitative_grid(columns | {"truth": photos.valid[few]})

# %% [markdown]
# The untrained network paints a tint that comes from its random weights alone, nearly the same everywhere.
# Gray is the answer to beat: a few steps will bring the loss *near* the dashed line of the next plot;
# getting below it is the work.
#
# ## 2.4 Training by hand
#
# Six lines: take a batch, predict, compare, compute gradients, step, remember the loss. $\mathcal{L}_1 =
# \frac1N\sum\left|\widehat{ab} - ab\right|$, the mean over pixels, both planes and the photos of the batch.

# %%
hand_epochs = -(-HAND_STEPS // len(dls.train))  # rounded up
model = model.to(device, memory_format=torch.channels_last).train()  # as the library does: quicker
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
losses = []
for _ in range(hand_epochs):
    for L, ab in dls.train:
        loss = F.l1_loss(model(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

# %%
fig, ax = plt.subplots(figsize=(5, 2.4))
ax.plot(range(1, len(losses) + 1), losses, color="#E69F00", label="training, batch by batch")
ax.axhline(gray_mae, color="#777777", ls="--", lw=1, label="gray (validation)")
ax.set(xlabel="step", ylabel="L1 of ab/110")
ax.legend()
plt.show()

# %% [markdown]
# The curve is jagged because each step sees other photos, some more colourful than others. The library does
# the same, with a fastai `Learner` around it for checkpoints, histories and mixed precision. Is it really
# the same? Train it for the same epochs from the same seed and compare the answers of both networks:

# %%
learn = runs.learner(dataclasses.replace(recipe, seed=SEED), photos)
with tempfile.TemporaryDirectory() as folder:
    history = training.fit(learn, folder, epochs=hand_epochs, lr=1e-3, seed=SEED)
by_hand, by_library = (predict(m, L_valid[few]) for m in (model, learn.model))
print(f"largest difference of ab: {(by_hand - by_library).abs().max():.1e}")

# %% [markdown]
# On a CPU the difference is zero. On a GPU the library computes in half precision and our loop did not, so
# there the two drift apart slightly, as two seeds would.
#
# ## 2.5 Training for real
#
# `load_or_train` looks for a finished run of exactly this recipe on exactly these photos, here and among the shipped
# ones. If there is none,
# it measures a few steps, says how long it will take, and trains, leaving a checkpoint after every epoch:
# interrupt it, run the cell again, and it goes on.

# %%
run = load_or_train("cnn", profile, recipe=recipe, photos=photos)
print("run", run.id)
run.history.tail(3)

# %%
curves = figures.loss_curves(run)
figures.save(curves, "cnn_loss_curves", profile.outputs / "figures")
curves

# %% [markdown]
# Read it like this. *Dashed gray*: the validation error of no colour at all; below it something was learnt,
# and how much below says how much. *Dotted*: training, *solid*: validation. While both fall the network
# learns; when training goes on falling and validation turns up, it memorises (100 epochs give it time for
# that). The run keeps the weights of the best epoch and those of the last:

# %%
best = run.history.loc[run.history["valid_loss"].idxmin()]
last = run.history.iloc[-1]
print(f"best: epoch {best['epoch']:.0f}, validation L1 {best['valid_loss']:.4f}")
print(f"last: epoch {last['epoch']:.0f}, validation L1 {last['valid_loss']:.4f}")
print(f"gray: {run.record['gray_valid_loss']:.4f}")

# %% [markdown]
# And the pictures: untrained, after our steps by hand, trained.

# %%
cnn = run.model("best", device)
columns[f"{len(losses)} steps"] = lab.to_rgb(L_valid[few], predict(model, L_valid[few]))
columns["cnn"] = lab.to_rgb(L_valid[few], predict(cnn, L_valid[few]))
if profile.name == "smoke":
    print("smoke profile: trained on crops of four photographs for seconds; this only shows that it runs")
figures.qualitative_grid(columns | {"truth": photos.valid[few]})

# %% [markdown]
# ## 2.6 How brown is it?
#
# The report calls its CNN's pictures "desaturated, brownish". Put numbers on that. First scores per photo,
# averaged over the validation photos, with gray beside them. Colourfulness is Hasler and Süsstrunk's
# measure, 0 for gray and about 100 for vivid colours; `delta_e` is CIEDE2000, a distance in colours as we
# see them.

# %%
answers = {"gray": evaluation.gray(), f"{len(losses)} steps": model, "cnn": cnn}
scores = {name: evaluation.score(m, photos, "valid", show=False) for name, m in answers.items()}
shown = ["mae", "mae_gray_pixels", "mae_colorful_pixels", "delta_e", "colorfulness", "colorfulness_truth"]
pd.DataFrame({name: table[shown].mean() for name, table in scores.items()}).T.round(4)

# %% [markdown]
# Compare the last two columns: how much of the truth's colour does the answer show? And compare the two
# middle errors: on pixels that are gray in truth, gray is unbeatable; whatever a model gains, it gains on
# the colourful ones.
#
# Then the colours themselves: where do they lie in the plane of a\* and b\*?

# %%
ab_cnn = predict(cnn, L_valid)
figures.ab_histograms({"truth": ab_valid, "cnn": ab_cnn})

# %%
for name, ab in (("truth", ab_valid), ("CNN", ab_cnn)):
    a_mean, b_mean = 110 * ab.mean((0, 2, 3))
    warm, vivid = (ab.sum(1) > 0).float().mean(), (metrics.chroma(ab) > 20).float().mean()
    print(f"{name:5} mean a* {a_mean:5.1f}, mean b* {b_mean:5.1f}, chroma {metrics.chroma(ab).mean():4.1f}, "
          f"a* + b* > 0: {warm:.0%}, chroma above 20: {vivid:.0%}")

# %% [markdown]
# With enough photos this is the signature of an L1 model (on a handful of smoke crops anything may happen):
# its colours huddle around the centre of the truth's. Chroma is lower, the rare and vivid ends (the blue of
# a car, the green of a shirt) are missing, and warm colours (a\* + b\* > 0) tend to win the vote. This is
# the toy's median, a million times.
#
# ## 2.7 The run that the course quotes
#
# *Read from `results/`, not computed here.* A longer run than `smoke` makes, on real photos, beside the report's number.

# %%
quoted = runs.quoted().get("cnn")
if quoted:
    r = quoted.record
    print(f"{quoted.recipe.stage} of profile {r['profile']}: {r['train']:,} photos at {r['size']} px, "
          f"{quoted.recipe.epochs} epochs, seed {quoted.recipe.seed}, {r['minutes']:.0f} min on {r['device']}")
    print(quoted_score(quoted))
else:
    print("no quoted run in results/ yet")
figures.loss_curves(quoted) if quoted else None

# %% [markdown]
# The weights of that run lie in the repository, so we can look at its colours. The photographs are those of `data/gallery`, which no model was trained on (authors and licences there;
# recoloured here).

# %%
photographs = gallery_photos(240)
rows = {name: coloured(photographs, *shipped_model(name)[:2]) for name in ("cnn",)}
across(rows | {"truth": photographs})

# %% [markdown]
# **The report:** test MAE **0.0848** after 100 epochs on 8,000 COCO photos at 256 px. On such photos gray
# scores about 0.089 and the best constant colour about 0.087 (if its ab was divided by 110, which it does
# not say). The report's CNN is then 5% better than no colour at all: a small step, and one that its table,
# without a gray row, does not let you see.
#
# One more thing. The report gives 0.0848 twice: as the CNN's *validation loss* and as its *test MAE*. That
# two different sets of photos agree to four digits is unlikely; probably there was one set, used for both.
# Then the best epoch may have been chosen on the very photos that judge it. It is an easy mistake, and the
# reason why this course keeps three sets apart.
#
# ## Summary
#
# - An encoder-decoder squeezes the photo to a 16 times smaller grid and paints from there; L brings the
#   outlines back.
# - For one gray with several possible colours **L2 answers with the mean, L1 with the median, an adversary
#   with one of them**. Brown is the best answer to the question that L1 asks.
# - Training is six lines. The library adds what a long run needs, and computes the same.
# - A loss is read against gray, and a colorization also by how colourful it is.
#
# ## Exercises
#
# 1. **Three votes.** Predict, then check with `answer`, what L1 says for red (1/3), green (1/3) and blue
#    (1/3); for red (51%) and blue (49%); for red and blue at exactly one half each. Why is the last one
#    odd?
# 2. **Train with L2.** Repeat the loop of 2.4 with `F.mse_loss` from the same initial weights. Which
#    network is more colourful after the same steps, which has the lower MAE?
# 3. **A narrower latent.** Make a recipe with half the `width` by `dataclasses.replace` and train it with
#    `load_or_train`. How many parameters are left, and what does validation say? `runs.list_runs(profile)`
#    lists both runs.
#
# Solutions: `notebooks/solutions/02_solutions.ipynb`. Next: notebook 03 gives the network skip connections
# and eyes that have seen ImageNet.
