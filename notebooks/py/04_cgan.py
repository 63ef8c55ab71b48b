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
# # 4 · The conditional GAN
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/04_cgan.ipynb)
#
# The U-Net's colors are faint, because L1 rewards caution. Now a second network joins the training. It learns to tell real colors from
# predicted ones, and the U-Net learns to deceive it, as in pix2pix ([Isola et al. 2017](https://arxiv.org/abs/1611.07004)), which the
# report follows.
#
# **You will learn** what *conditional* and *patch* mean here, how to write one training step of both networks by hand, how to read a GAN's
# losses, and how to test whether the second network buys anything that a constant factor could not.
#
# **Before this:** [notebook 03](03_unet_finetune.ipynb). **Minutes** are printed by the next cell. **Downloads:** none in `smoke`; else the
# photos (3.2 GB), and in `class` and `report` ResNet-18's weights (45 MB), unless they are here.
#
# > **Profile `smoke`** trains for seconds on crops of four photographs: it shows that every cell runs, and its scores mean nothing. The
# > saved notebook shows the published run.

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
import copy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import SVG
from matplotlib.patches import Rectangle
from torch import nn

from g2g import evaluation, figures, lab, losses, training
from g2g.colorize import colorize_all
from g2g.data import batches, dataloaders, prepare
from g2g.models import PatchGAN, predict
from g2g.photos import gallery_photo
from g2g.profiles import get_recipe
from g2g.runs import load_or_train, published, published_score

# %% [markdown]
# The fields of the recipe that matter here:

# %%
recipe = get_recipe("cgan", profile)
CELL = 4 if recipe.resolution == "quarter" else 1  # the U-Net predicts one color for CELL x CELL px
facts = {"learning rate of G": recipe.lr, "learning rate of D": recipe.d_lr_mult * recipe.lr, "λ": recipe.lambda_l1,
         "patch of D, px of the prediction": recipe.receptive_field, "weight of R1": recipe.r1}
pd.Series(facts, dtype=object).to_frame("recipe")

# %% [markdown]
# ## 4.1 A loss that is learned
#
# We would like a loss that asks whether colors look like those of a photograph. Nobody can write that down, so it is learned. A
# **discriminator** D is trained to tell real colors from predicted ones, and the **generator** G, our U-Net, is trained to make D wrong
# ([Goodfellow et al. 2014](https://arxiv.org/abs/1406.2661)). D is given L together with ab, so it can ask whether these colors go with *this*
# photo. That makes the GAN **conditional**. The two networks play
#
# $$\min_G \max_D \;\; \mathbb{E}\,\log D(L, ab) + \mathbb{E}\,\log\bigl(1 - D(L, G(L))\bigr) + \lambda\,\mathbb{E}\,\lVert ab - G(L)\rVert_1 ,$$
#
# where $D(\cdot)$ is the probability that the colors are real. λ says how much L1 counts.
#
# Two photographs are our batch ([data/gallery](../data/gallery/README.md); Aitzol Berasategi, CC BY 4.0, cut and recolored).

# %%
photos = prepare(profile)
meadow, mountains = (gallery_photo(name, 400) for name in ("meadow", "mountains"))
L, ab = lab.photos_to_lab(np.stack([gallery_photo(name, photos.size) for name in ("meadow", "mountains")]))

# %% [markdown]
# D judges **at the resolution at which G predicts**. The quarter U-Net predicts one color for 4 × 4 px; enlarged, its colors could be told
# from real ones by sharpness alone, and G could do nothing about it.

# %%
def as_judged(planes):
    return F.avg_pool2d(planes, CELL)


L_judged, ab_judged = as_judged(L), as_judged(ab)
print(f"L {tuple(L.shape)}, as D sees it {tuple(L_judged.shape)}")

# %% [markdown]
# ## 4.2 One logit for each patch
#
# A **PatchGAN** is a chain of convolutions that ends in a grid of **logits**. Each judges one patch of the input: positive means real, and
# the sigmoid turns it into a probability. Each row below is a 4 × 4 convolution: channels in, channels out, stride.

# %%
CHAINS = {
    16: [(3, 64, 2), (64, 128, 1), (128, 1, 1)],
    70: [(3, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 1), (512, 1, 1)],  # pix2pix
}


# %% [markdown]
# Between them stand batch norm and a leaky ReLU. The line with `torch.cat` is all that *conditional* means in code.

# %%
class Patches(nn.Module):
    def __init__(self, chain):
        super().__init__()
        first, *inner, last = chain
        layers = [nn.Conv2d(*first[:2], 4, first[2], padding=1), nn.LeakyReLU(0.2)]
        for channels_in, channels_out, stride in inner:
            conv = nn.Conv2d(channels_in, channels_out, 4, stride, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(channels_out), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(*last[:2], 4, last[2], padding=1))

    def forward(self, L, ab):
        return self.layers(torch.cat([L, ab], dim=1))


# %% [markdown]
# How large is a patch? Go through the chain backwards. A window of $r$ pixels of a layer's output covers
# $r \cdot \text{stride} + (4 - \text{stride})$ pixels of its input. For the shorter chain, one logit covers 4 px before the last layer,
# then 7, and 16 px of what D is given.

# %%
@figures.figure("Patches of 16 and of 34 px of the prediction, as wide on a photo as on those that D sees.")
def patches_on(photograph):
    fig, ax = plt.subplots(figsize=(3.4, 3.4))
    figures.show(ax, photograph)
    for side in (16, 34):
        edge = 400 * CELL * side / photos.size
        ax.add_patch(Rectangle((200 - edge / 2, 200 - edge / 2), edge, edge, fill=False, color="white", lw=2))
    return fig


patches_on(meadow)

# %% [markdown]
# D never compares colors that are further apart than the side of its square. The small one is our 16 px of the prediction, or
# 64 px of the photo; in the saved run, with photos of 192 px, that is a third of their width. The large one belongs to a
# patch of 34. One of 70, as in pix2pix, would not fit into the photo.
#
# ## 4.3 One training step by hand
#
# G starts as the trained U-Net, as in [moein-shariatnia's tutorial](https://github.com/moein-shariatnia/Deep-Learning). The diagram shows
# the sizes of the profile `cpu`: photos of 192 px, a prediction at a quarter of that, and patches of 16.

# %%
init_run = load_or_train("unet", profile, photos=photos)
SVG(filename=str(ROOT / "docs" / "networks" / "cgan.svg"))

# %% [markdown]
# Where the recipe says `encoder_lr_mult = 0`, the encoder and all of batch norm are **frozen**, because steps that see few photos would blur
# what G knows. Adam's β₁, usually 0.9, is its memory for past gradients. Here the opponent keeps changing, and pix2pix takes 0.5.

# %%
torch.manual_seed(42)
D, G = PatchGAN(recipe.receptive_field).train(), init_run.model().train()
if recipe.encoder_lr_mult == 0:
    training.freeze_features(G.eval())  # eval: batch norm keeps its statistics
copies = copy.deepcopy(G), copy.deepcopy(D)  # for the check at the end
betas = (recipe.beta1, 0.999)
d_optimizer = torch.optim.Adam(D.parameters(), lr=recipe.d_lr_mult * recipe.lr, betas=betas)
g_optimizer = torch.optim.Adam([p for p in G.parameters() if p.requires_grad], lr=recipe.lr, betas=betas)

# %% [markdown]
# ### The discriminator's step
#
# D's loss is binary cross-entropy: $-\log D$ for real patches and $-\log(1 - D)$ for predicted ones. With a logit $z$ these are
# $-\log\sigma(z)$ and $-\log\sigma(-z)$. `detach()` cuts the connection to G, so that only D learns in this step.

# %%
pred_ab = G.quarter(L) if CELL == 4 else G(L)
loss_real = -F.logsigmoid(D(L_judged, ab_judged)).mean()
loss_fake = -F.logsigmoid(-D(L_judged, pred_ab.detach())).mean()
d_loss = (loss_real + loss_fake) / 2
print(f"D's loss {d_loss:.4f}; ln 2 = {np.log(2):.4f}")

# %% [markdown]
# An untrained D gives every patch a probability of about one half. A trained one may be so sure that its output hardly changes when G
# changes a color, and G learns nothing. **R1** ([Mescheder et al. 2018](https://arxiv.org/abs/1801.04406)), which pix2pix lacks, therefore
# penalizes the squared gradient of D at real colors.

# %%
penalty = losses.gradient_penalty(D, L_judged, ab_judged)
(d_loss + recipe.r1 / 2 * penalty).backward()
d_optimizer.step()

# %% [markdown]
# ### The generator's step
#
# The **new** D judges the same prediction, connected to G. G minimizes $-\log D(L, G(L))$ and not the formula's $\log(1 - D)$, which is
# flat where D is sure and G most needs a gradient.

# %%
D.requires_grad_(False)  # gradients flow through D, but D keeps none
adversarial = -F.logsigmoid(D(L_judged, pred_ab)).mean()
l1 = (pred_ab - ab_judged).abs().mean()
g_loss = adversarial + recipe.lambda_l1 * l1
g_loss.backward()
g_optimizer.step()
print(f"adversarial {adversarial:.4f} + {recipe.lambda_l1:g} x L1 {l1:.4f} = {g_loss:.4f}")

# %% [markdown]
# ## 4.4 Training, and how to read its losses

# %%
run = load_or_train("cgan", profile, recipe=recipe, photos=photos, init_run=init_run)
fig = figures.loss_curves({"cgan": run})
figures.save(fig, "cgan_loss_curves", profile.outputs / "figures")
fig

# %% [markdown]
# Above is L1, below D's loss and G's two terms. D and G play against each other: when D's loss falls, G's adversarial term rises, and
# neither has to reach zero.
#
# In the saved run validation L1 rises from 0.072 to 0.078 within 14 epochs and stays there, well below gray. (The dotted curve is
# measured on training photos and on averaged colors.) D's loss falls from ln 2 to 0.61, and G's adversarial term rises from there to about
# 0.82. Then both level off, with D slightly ahead.
#
# **Predict first.** D gives the right answer with a probability of 0.9 for every patch. What are D's loss and G's term? And for a D that
# cannot tell at all?
#
# <details><summary>Answer</summary>
#
# −ln 0.9 = 0.105 and −ln 0.1 = 2.303. A D that cannot tell gives 0.5 everywhere, and both are ln 2 = 0.693: G is perfect, or D has learned
# nothing. The 0.61 and 0.82 of the saved run are much closer to the second case.
#
# </details>
#
# ## 4.5 Before and after
#
# These are the weights of the **last** epoch; the lowest validation L1 would choose the first.

# %%
device = training.get_device()
before, after = init_run.model(device=device), run.model(device=device)


@figures.figure("One photograph: gray, the U-Net's prediction, the cGAN's, and the ground truth.")
def four_pictures(photograph):
    fig, cells = plt.subplots(2, 2, figsize=(6.6, 6.8))
    pictures = [colorize_all([photograph], model, photos.size)[0] for model in (evaluation.gray(), before, after)]
    for ax, picture, name in zip(cells.flat, [*pictures, photograph], ("gray", "unet", "cgan", "ground_truth")):
        figures.show(ax, picture, figures.title(name))
    return fig


# %%
four_pictures(meadow)

# %% [markdown]
# Look at the grass: is it one green, or parts of different colors? In the saved run the cGAN's is blue-gray at the left, olive at the upper
# right and brown below. Its mountains are bluer than the U-Net's and end at the right in a bright blue stain that the ground truth does
# not have. Both models miss the green of the meadow and leave the orange slope gray.

# %%
four_pictures(mountains)

# %% [markdown]
# Look at the rocks, which are gray in reality. In the saved run the U-Net leaves them nearly gray; the cGAN paints them teal, with a violet
# stain in the middle, and makes the path orange and the grass at the left blue-green. Both skies are a stronger blue than the true one. The
# cGAN is more colorful, and on these two photographs it is not more correct.
#
# ## 4.6 Is it the adversary?
#
# **Predict first.** How could you make a picture more colorful without any training?
#
# <details><summary>Answer</summary>
#
# Multiply the U-Net's prediction by a constant.
#
# </details>
#
# So it is not enough to be more colorful. The cGAN should be nearer to the ground truth than the U-Net **times the constant** that makes it
# as colorful. A gain may also come from more training: the **control**, *U-Net (trained on)*, is the same U-Net with as many more steps of
# L1. The published runs on the test photos and on an external set, by PSNR (higher is better) and LPIPS (lower is better; see notebook 05):

# %%
published_run = published()["cgan"]
print(published_run.id, "·", published_score(published_run))
lines = (published_run.folder.parent / "table1.md").read_text(encoding="utf-8").splitlines()
lines = [line for line in lines if " of cGAN, " in line]  # of the test photos, then of the external set
half = len(lines) // 2
print("test photos", *lines[:half], "external test set", *lines[half:], sep="\n")

# %% [markdown]
# It does not beat both. On the test photos the PSNR of the published cGAN is 0.056 dB above that of the U-Net times the constant, and the
# interval just excludes zero. Over the control it has 0.014 dB, and zero is inside. By LPIPS, on 256 of the photos, the cGAN is *worse* than
# either by 0.009, and both intervals exclude zero. On the external set PSNR decides nothing, and LPIPS is worse again, by 0.007.
#
# The cGAN therefore has no advantage over L1 and a constant here. On validation photos a cGAN with another seed scores the same, to 0.01 dB;
# a longer training may change the result.
#
# ## 4.7 What the discriminator looks at
#
# The trained D judges the real colors, the cGAN's, and the real colors **mirrored**. Which should it find least real, if it compares them with L?

# %%
@figures.figure("The probability of real that D gives to each patch.")
def patch_maps(judged):
    """name -> (picture, probabilities (h,w)): the pictures, and the probabilities below."""
    most = max(float((real - 0.5).abs().max()) for _, real in judged.values())
    fig, cells = plt.subplots(2, len(judged), figsize=(7, 4.6))
    for (above, below), (name, (picture, real)) in zip(cells.T, judged.items()):
        figures.show(above, figures.image(picture), name)
        shown = figures.show(below, real, f"mean {real.mean():.3f}", "cividis", 0.5 - most, 0.5 + most)
    fig.colorbar(shown, ax=cells, label="probability of real", shrink=0.6)
    return fig


# %%
D = run.discriminator()
candidates = {"real": ab, "cGAN": predict(after, L), "real, mirrored": ab.flip(-1)}
with torch.no_grad():
    judged = {name: (lab.to_rgb(L, colors)[0], D(L_judged, as_judged(colors))[0, 0].sigmoid())
              for name, colors in candidates.items()}
fig = patch_maps(judged)
figures.save(fig, "patch_map", profile.outputs / "figures")
fig

# %% [markdown]
# Yellow patches look real to D, blue ones predicted. In the saved run D rightly suspects the cGAN's bright blue stain. But it finds the
# mirrored colors, orange mountains included, as real as the true ones (0.520 and 0.518). Now all validation photos:

# %%
@torch.no_grad()
def probability_of_real(colors):
    """Of each validation photo, with the colors that `colors(L, ab)` gives it."""
    logits = [D(as_judged(L), as_judged(colors(L, ab))).mean((1, 2, 3)) for L, ab in batches(photos.valid)]
    return torch.cat(logits).sigmoid()


own, rows = probability_of_real(lambda L, ab: ab), {}
others = {"cGAN": lambda L, ab: predict(after, L), "U-Net": lambda L, ab: predict(before, L),
          "real, mirrored": lambda L, ab: ab.flip(-1), "real, of another photo": lambda L, ab: ab.roll(1, dims=0)}
for name, colors in others.items():
    other = probability_of_real(colors)
    rows[name] = float(own.mean()), float(other.mean()), f"{(own > other).float().mean():.0%}"
pd.DataFrame(rows, ["probability of real, own colors", "these colors", "own preferred on"]).T.round(4)

# %% [markdown]
# Compare the rows *cGAN* and *U-Net*: a G that has learned what D looks for would be the more probable one. In the saved run it hardly is
# (0.479 and 0.478), and D prefers the real colors to the cGAN's on 89% of the photos: G has not learned to deceive it.
#
# In the last two rows, a D that checked whether colors fit L would prefer a photo's own colors nearly always, and guessing gives 50%. In the
# saved run it prefers them on 27% and 39%, so it more often takes the *wrong* colors for real. One possible reason is that it never saw real
# colors with a wrong L (exercise 4).
#
# ## 4.8 Checks
#
# With the library's weights, our D has its logits. One step of its `GANLearner` has our losses.

# %%
for side, chain in CHAINS.items():
    by_hand, library = Patches(chain).eval(), PatchGAN(side).eval()
    by_hand.load_state_dict(library.state_dict())
    torch.testing.assert_close(by_hand(L, ab), library(L, ab))

# %%
learn = training.GANLearner(dataloaders(photos, 2, device="cpu"), *copies, recipe)
learn.create_opt()
learn.opt.set_hypers(lr=recipe.lr)
learn.training, learn.xb, learn.yb = True, (L,), (ab,)
learn._do_one_batch()
for by_hand, library in zip((d_loss, adversarial, l1), learn.terms.values()):
    torch.testing.assert_close(by_hand.detach(), library, rtol=1e-3, atol=1e-5)

# %% [markdown]
# ## Takeaways
#
# 1. A GAN learns part of its loss: in each step D learns real from predicted, and then G learns to deceive the new D.
# 2. A GAN's losses describe a game and not a picture; ln 2 means undecided.
# 3. A colorful model has to beat a less colorful one times a constant, and a control without an adversary.
#
# ## Exercises
#
# 1. **MSE and adversary** (★★). Write G's loss with the mean squared error in place of L1. Which λ pulls as hard as L1 did at 100?
#    <details><summary>Hint</summary>Compare the lengths of the two gradients at the predicted colors.</details>
# 2. **Perceptual loss** (★★). Compare *features* of D's inner layers. Which errors do they punish that L1 lets pass?
#    <details><summary>Hint</summary>Make a tint, noise and blur of equal L1.</details>
# 3. **Diffusion** (★). Read [DDPM](https://arxiv.org/abs/2006.11239) and [Palette](https://arxiv.org/abs/2111.05826), and add noise to ab
#    in steps. What is the U-Net given, what does it predict, why not brown?
#    <details><summary>Hint</summary>Each step is a weighted sum of ab and noise.</details>
# 4. **A D that has to look** (★★★). Show D real colors with a wrong L, too, to be called predicted ([Reed et al.
#    2016](https://arxiv.org/abs/1605.05396)). How often does it then prefer real colors to mirrored ones?
#    <details><summary>Hint</summary>`ab.roll(1, dims=0)`.</details>
#
# [Solutions](solutions/04_solutions.ipynb) · Next: [notebook 05](05_evaluation.ipynb) puts all models on one scale.
