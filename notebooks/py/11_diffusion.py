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
# # 11 · From noise to color
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/gray-to-glory/gray-to-glory/blob/main/notebooks/11_diffusion.ipynb)
#
# Diffusion models make pictures out of noise. This one is small enough for two CPU cores: lightness is given, so only color has
# to be made, and an eighth of the resolution is enough for it.
#
# **You will learn**
#
# - how noise becomes data, by diffusion (DDPM, [Ho et al. 2020](https://arxiv.org/abs/2006.11239)) and by flow matching
#   ([Lipman et al. 2023](https://arxiv.org/abs/2210.02747), [Liu et al. 2023](https://arxiv.org/abs/2209.03003));
# - what reparametrization, time embedding, and attention do;
# - what one draw and the mean of many are worth;
# - what guidance changes ([Ho & Salimans 2022](https://arxiv.org/abs/2207.12598)), compared with a saturation slider.
#
# **Before this:** notebooks 02 and 03. **Minutes:** printed by the next cell.
#
# > **In the `smoke` profile** the training of 11.5 takes seconds, and the curves of 11.8 are of two crops. The pictures are of the
# > published model in every profile.

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
import inspect
import math
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import SVG
from torch import nn

from g2g import figures, flow, lab, metrics
from g2g.colorize import colorize_all
from g2g.data import batches, prepare
from g2g.photos import gallery_photo
from g2g.profiles import get_recipe, repo_root
from g2g.runs import load_or_train, pretrained_model, published, published_score
from g2g.training import get_device

# %%
SEED, DEVICE = 42, get_device()
SIZE = published()["flow"].record["size"]  # px at which the published model was trained
photos = prepare(profile)

# %% [markdown]
# ## 11.1 Color turns into noise
#
# Take data and mix in Gaussian noise, more and more, until only noise is left. We count time from 0 (noise) to 1 (data). At time
# $t$ there is a fraction $a_t$ of the data and a fraction $s_t$ of the noise,
#
# $$x_t = a_t \cdot \text{data} + s_t \cdot \text{noise},$$
#
# and the *schedule* says how they change. Here are two schedules:

# %%
def cosine(t):
    """Fractions of data and noise; their squares sum to 1 (Nichol & Dhariwal 2021, without their small offset)."""
    return torch.sin(t * math.pi / 2), torch.cos(t * math.pi / 2)


def straight(t):
    """A straight line from noise to data (Lipman et al. 2023, Liu et al. 2023)."""
    return t, 1 - t


def noised(data, noise, t, schedule):
    a, s = schedule(t)
    return a * data + s * noise


# %%
def gallery(name):
    """The same as L (1,1,SIZE,SIZE) and ab (1,2,SIZE,SIZE)."""
    return lab.photos_to_lab(gallery_photo(name, SIZE)[None])


# %%
def paint(name, ab):
    """ab (N,2,h,w), enlarged, with the photograph's own lightness at 400 px: (N,3,400,400)."""
    L, _ = lab.photos_to_lab(gallery_photo(name, 400)[None])
    return lab.to_rgb(L.expand(len(ab), -1, -1, -1), F.interpolate(ab.cpu(), size=400, mode="bilinear"))


# %% [markdown]
# The colors of one photograph at four times:

# %%
small = F.avg_pool2d(gallery("meadow")[1], 8)
std = small.std()  # so that data and noise are equally large
noise = torch.randn(small.shape, generator=torch.Generator().manual_seed(SEED))
columns = {}
for t in torch.linspace(1, 0, 4):
    states = [std * noised(small / std, noise, t, schedule) for schedule in (cosine, straight)]
    columns[f"t = {t:.2f}"] = paint("meadow", torch.cat(states))
figures.qualitative_grid(columns, ["cosine", "straight"])

# %% [markdown]
# Both rows begin with the same colors and end in the same clouds. (Photographs: `data/gallery`, with authors and licenses there,
# recolored. No network has trained on them.)
#
# ### Reparametrization: one jump for a hundred steps
#
# A diffusion process is defined by many small steps: shrink the data a little, add a little noise, repeat. To walk them for every
# photo of a training would be far too slow. But a sum of Gaussian noises is again
# Gaussian, so a hundred small ones can be replaced by one of the right size: $x_t = a_t \cdot \text{data} + s_t\,\varepsilon$. All
# randomness is in a standard normal $\varepsilon$, and the rest is a shift and a stretch.

# %%
torch.manual_seed(SEED)
path = [torch.full((2000,), 1.5)]  # 2,000 copies of one number
for now, then in pairwise(torch.linspace(1, 0.2, 101)):
    shrink = cosine(then)[0] / cosine(now)[0]
    path.append(shrink * path[-1] + (1 - shrink**2).sqrt() * torch.randn(2000))
jump = noised(torch.tensor(1.5), torch.randn(2000), torch.tensor(0.2), cosine)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 2.4), width_ratios=[2, 1], sharey=True)
left.plot(torch.linspace(1, 0.2, 101), torch.stack(path)[:, :30], lw=0.5, color=figures.color("flow"))
left.set(xlabel="time (data at the left)", ylabel="value", title="30 of 2,000 walks of 100 steps", xlim=(1, 0.2))
for values, words in ((path[-1], "after 100 steps"), (jump, "one jump")):
    right.hist(values, 30, orientation="horizontal", histtype="step", label=words)
right.set(xlabel="how many of 2,000", title="at t = 0.2")
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# The two histograms agree.
#
# ## 11.2 A jacket, red or blue
#
# The jacket of notebook 02 is red in six photos of ten and blue in four. DDPM's network sees a noisy color $x_t$ and the time, and
# predicts **which noise is in it**, with a squared error as its loss. In **flow matching** the schedule is straight, and the
# network predicts the **velocity**, which on a straight line is the same at all times: data minus noise.

# %%
RED, BLUE = torch.tensor([1.2, 0.8]), torch.tensor([0.4, -1.4])  # in units of one standard deviation of ab


def ddpm_loss(network, data):
    noise, t = torch.randn_like(data), torch.rand(len(data), 1)
    return F.mse_loss(network(noised(data, noise, t, cosine), t), noise)


def flow_loss(network, data):
    noise, t = torch.randn_like(data), torch.rand(len(data), 1)
    return F.mse_loss(network(noised(data, noise, t, straight), t), data - noise)


# %%
class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2))

    def forward(self, x, t):
        return self.layers(torch.cat([x, t], dim=1))


def learn(loss, steps=2000):
    torch.manual_seed(SEED)
    network = Toy()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        jackets = torch.where(torch.rand(512, 1) < 0.6, RED, BLUE)
        loss(network, jackets).backward()
        optimizer.step(), schedule.step()
    return network


# %%
toys = {"DDPM": learn(ddpm_loss), "flow": learn(flow_loss)}

# %% [markdown]
# ## 11.3 The way back
#
# **DDPM's sampler** starts a little after time 0. At each step it predicts the noise, removes the part that lies between this time
# and the next, and adds a little *fresh* noise (Ho et al. 2020, algorithm 2, for any number of steps).

# %%
@torch.no_grad()
def ddpm(predict_noise, x, steps):
    """From noise x at time 0 to data; `predict_noise(x, t)` predicts the noise that is in x."""
    for now, then in pairwise(torch.linspace(0.05, 1, steps + 1)):
        (a, s), (next_a, next_s) = cosine(now), cosine(then)
        noise = predict_noise(x, now)
        data = ((x - s * noise) / a).clamp(-4, 4)
        fresh = next_s / s * (1 - (a / next_a) ** 2).sqrt()
        kept = (next_s**2 - fresh**2).clamp(min=0).sqrt()
        x = next_a * data + kept * noise + fresh * torch.randn_like(x)
    return x


# %% [markdown]
# A **flow** is an ordinary differential equation, and Euler's method solves it: predict the velocity, take a step, repeat.

# %%
@torch.no_grad()
def euler(velocity, x, steps):
    """From noise x at time 0 to data at time 1; `velocity(x, t)` predicts where x moves."""
    for step in range(steps):
        x = x + velocity(x, torch.tensor(step / steps)) / steps
    return x


# %% [markdown]
# **Predict.** What will each sampler draw if it may take only one step?

# %%
def draw_jackets(name, steps):
    torch.manual_seed(SEED)
    sampler, network = {"DDPM": ddpm, "flow": euler}[name], toys[name]
    return sampler(lambda x, t: network(x, t.expand(len(x), 1)), torch.randn(2000, 2), steps)


# %%
fig, cells = plt.subplots(2, 4, figsize=(7, 4), sharex=True, sharey=True)
for row, name in zip(cells, toys):
    for ax, steps in zip(row, (1, 5, 20, 100)):
        x = draw_jackets(name, steps)
        is_red = (x - RED).norm(dim=1) < (x - BLUE).norm(dim=1)
        ax.scatter(*x[::4].T, s=3, c=np.where(is_red[::4], "#C0392B", "#2E6FBA"))
        ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
        ax.set_title(f"steps: {steps}, red: {is_red.double().mean():.0%}", fontsize=8)
    row[0].set_ylabel(name)
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# DDPM scatters widely. The flow lands near the mean, a purple: from pure noise every jacket is possible, so the best prediction
# of the velocity points to their mean.
#
# </details>
#
# With 20 steps both have found the two jackets, red in about 60% of the draws. Where straight lines to red and to blue cross, the
# learned velocity is the mean of both and the path bends, so even with 100 steps the flow leaves a few draws between the jackets.
# (The appendix [A3](A3_autoencoders_and_samplers.ipynb) counts steps on photographs.)
#
# ## 11.4 A network for photographs
#
# What the U-Net of notebook 03 predicts need not be learned again. The data are its **residual**: true ab minus prediction, at an
# eighth of the resolution. Besides noise and time the network sees a condition: lightness, the U-Net's prediction, and the 64
# features from which it was made.

# %%
unet = pretrained_model("unet")[0].to(DEVICE).requires_grad_(False)


@torch.no_grad()
def condition_of(L):
    """L (B,1,H,W) to the condition (B,67,H/8,W/8) and the U-Net's prediction (B,2,H,W)."""
    features = unet.decode(L)
    pred_ab = unet.head(features)
    size = [side // 8 for side in L.shape[2:]]
    condition = [F.interpolate(planes, size=size, mode="area") for planes in (L, 10 * pred_ab, features)]
    return torch.cat(condition, dim=1), F.interpolate(pred_ab, size=L.shape[2:], mode="bilinear")


# %%
L, ab = gallery("fig")
pred_ab = condition_of(L.to(DEVICE))[1].cpu()
residual = F.interpolate(F.avg_pool2d(ab - pred_ab, 8), size=SIZE, mode="bilinear")
pictures = paint("fig", torch.cat([pred_ab, pred_ab + residual, ab]))
figures.image_row(pictures, ["the U-Net's prediction", "with the residual added", "ground truth"])

# %% [markdown]
# The second picture is the best that can be reached at this resolution: the color is right, and its edges are soft.
#
# ### Time embedding
#
# The network has to know the time, because the same noisy color means different things early and late. From a single number a
# small network could hardly tell 0.50 from 0.51. So time becomes a vector of sines and cosines of many frequencies, like the
# hands of a clock.

# %%
def time_embedding(t):
    """Times (B,) to (B,64)."""
    angles = t[:, None] * torch.logspace(3, 0, 32, device=t.device)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


# %%
t = torch.linspace(0, 1, 401)
similarity = F.cosine_similarity(time_embedding(t), time_embedding(torch.tensor([0.5])))
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 2.2))
left.imshow(time_embedding(t).T, aspect="auto", cmap="RdBu", extent=(0, 1, 64, 0))
left.set(xlabel="time", ylabel="component")
right.plot(t, similarity, color=figures.color("flow"))
right.set(xlabel="time", ylabel="similarity to t = 0.5", ylim=(-0.5, 1.05))
plt.show()

# %% [markdown]
# Each column at the left is one time. At the right, the vector of $t = 0.5$ resembles those of nearby times, on the whole less the
# further they are away, and equals none of them.
#
# ### Attention
#
# A convolution sees only neighbors. But once the left half of a lawn has its color, the right half should know.
# **Attention** connects all places ([Vaswani et al. 2017](https://arxiv.org/abs/1706.03762)). Each place has a *query*, which says what it looks for, and a
# *key*, which says what it is. The products of a query with all keys, through a softmax, are weights that sum to 1, and the
# place receives the weighted mean of all *values*. So what is connected depends on what the places show. (Picture in 11.5.)

# %%
class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.qkv = nn.Sequential(nn.GroupNorm(8, channels), nn.Conv2d(channels, 3 * channels, 1))
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        query, key, value = self.qkv(x).flatten(2).chunk(3, dim=1)
        weights = (query.transpose(1, 2) @ key / math.sqrt(x.shape[1])).softmax(dim=2)
        return x + self.out((value @ weights.transpose(1, 2)).view(x.shape))


# %% [markdown]
# A block of the network is two convolutions with a skip around them. Between the two, the embedded time scales and shifts each
# channel. From such blocks, with attention at each level of the way down, comes a small U-Net. (Channels in bold; sizes for a
# photo of 192 px. $x$ is the noisy residual.)

# %%
SVG(filename=str(repo_root() / "docs/networks/flow.svg"))

# %% [markdown]
# The same in code:

# %%
print(inspect.getsource(flow.Block), inspect.getsource(flow.Velocity), sep="\n")

# %% [markdown]
# ## 11.5 Training
#
# Each photo of a batch is noised four times, at random times $t$, because its condition costs as much as all four. In one of ten
# cases the network sees lightness alone, which guidance will need.

# %%
def training_loss(network, L, ab, residual_std):
    condition, pred_ab = condition_of(L)
    data = F.interpolate(ab - pred_ab, size=condition.shape[2:], mode="area") / residual_std
    condition, data = condition.repeat(4, 1, 1, 1), data.repeat(4, 1, 1, 1)
    condition[torch.rand(len(data), device=L.device) < 0.1, 1:] = 0
    noise, t = torch.randn_like(data), torch.rand(len(data), device=L.device)
    x_t = noised(data, noise, t.view(-1, 1, 1, 1), straight)
    return F.mse_loss(network(x_t, t, condition), data - noise)


# %% [markdown]
# A network that predicts 0 has a loss of 2, the variance of data minus noise. The library trains with this loss:

# %%
recipe = get_recipe("flow", profile)
fields = {"epochs": "epochs", "learning rate": "lr", "batch size": "batch_size", "schedule": "schedule", "starts from": "init_from"}
pd.Series({name: getattr(recipe, field) for name, field in fields.items()}).to_frame("recipe")

# %%
run = load_or_train("flow", profile, recipe=recipe, photos=photos)
print(f"run {run.id}, loss after the last epoch: {run.history['train_loss'].iloc[-1]:.2f}")

# %% [markdown]
# From here on we use the published model. From where does the place in the circle take its values?

# %%
model, _, sentence = pretrained_model("flow")
model = model.to(DEVICE)
print(sentence)


# %%
def attention_weights(L, place, t=0.5):
    """The weights of one place (row, column) over all places, (h,w), half way from noise to data."""
    layer, inputs = model.velocity.attend[0], []
    hook = layer.register_forward_hook(lambda layer, args, output: inputs.append(args[0]))
    x = torch.lerp(model.noise(L), torch.zeros(1, device=L.device), t)
    with torch.no_grad():
        model.velocity(x, torch.full((1,), t, device=L.device), model.condition(L)[0])
        query, key, _ = layer.qkv(inputs[0]).chunk(3, dim=1)
    hook.remove()
    product = torch.einsum("c,chw->hw", query[0, :, *place], key[0]) / math.sqrt(key.shape[1])
    return product.flatten().softmax(dim=0).view(product.shape).cpu()


# %%
places = {"meadow": (0.8, 0.3), "mountains": (0.15, 0.6)}  # fractions of height and width
fig, cells = plt.subplots(1, 4, figsize=(7, 1.9))
for (left, right), (name, place) in zip(cells.reshape(2, 2), places.items()):
    figures.show(left, gallery_photo(name, 400))
    left.plot(400 * place[1], 400 * place[0], "o", mfc="none", mec="#B5446E", ms=9, mew=2)
    weights = attention_weights(gallery(name)[0].to(DEVICE), [int(fraction * SIZE / 8) for fraction in place])
    figures.show(right, weights, "weights", "magma", 0, weights.max())
plt.show()

# %% [markdown]
# Bright places count most. For the place on the lawn they are its own surroundings, then other parts of the lawn, but also the foot
# of the trees. For the place in the sky they lie along the lower border of the sky, with almost nothing below it.
#
# ## 11.6 From noise to color
#
# The states of 40 steps of Euler's method, added to the U-Net's prediction:

# %%
def walk(name, steps=40):
    """All states of one coloring, ab (steps + 1,2,SIZE,SIZE)."""
    L = gallery(name)[0].to(DEVICE)
    (condition, pred_ab), states = model.condition(L), []

    def velocity(x, t):
        states.append(x)
        return model.velocity(x, t.to(DEVICE).expand(1), condition)

    states.append(euler(velocity, model.noise(L), steps))
    return (pred_ab + F.interpolate(model.residual_std * torch.cat(states), size=SIZE, mode="bilinear")).cpu()


# %%
walks = {name: walk(name) for name in ("mountains", "fig")}
times = {f"t = {step / 40:.1f}": [paint(name, ab[[step]])[0] for name, ab in walks.items()] for step in (0, 16, 24, 40)}
figures.qualitative_grid(times)

# %% [markdown]
# The same for the mountains, with the paths of three pixels on the ab plane:

# %%
pixels = {"sky": (20, 120, "#0072B2"), "rock": (85, 110, "#D55E00"), "slope": (165, 90, "#009E73")}  # row, column, color


def frame(step):
    """Picture and paths after `step` steps."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(4.5, 2.3), dpi=80, layout="constrained")
    figures.show(left, paint("mountains", walks["mountains"][[step]])[0].movedim(0, -1))
    for name, (row, column, color) in pixels.items():
        left.plot(400 * column / SIZE, 400 * row / SIZE, "o", ms=7, color=color, mec="white")
        a, b = 110 * walks["mountains"][: step + 1, :, row, column].T
        right.plot(a, b, color=color, lw=1)
        right.plot(a[-1], b[-1], "o", ms=7, color=color, label=name)
        right.plot(*(110 * gallery("mountains")[1][0, :, row, column]), "*", ms=8, color=color)
    right.set(xlim=(-45, 45), ylim=(-45, 45), xlabel="a*", ylabel="b*", aspect="equal")
    right.legend(fontsize=7, loc="upper right")
    fig.canvas.draw()
    drawn = np.array(fig.canvas.buffer_rgba())[..., :3]
    plt.close(fig)
    return drawn


# %%
figures.animation([frame(step) for step in range(0, 41, 5)])

# %% [markdown]
# The U-Net's blue sky is there from the start, under spots of noise. The spots fade; at t = 0.6 a few are left in the sky, and at
# t = 1 they are gone. Not all of the color is right: a red stain is left on the ridge, the slope is grayish, and the plate
# stays brown. The paths (stars: true colors) are short: the sky arrives, rock and slope do
# not.
#
# ## 11.7 What a draw is worth
#
# **Predict.** Will one draw have a smaller or a larger error than the U-Net? And the mean of sixteen draws?

# %%
def colorings(name, noise):
    """A photograph of the gallery and noise (N,2,h,w) to N colorings, ab (N,2,SIZE,SIZE)."""
    condition, pred_ab = condition_of(gallery(name)[0].to(DEVICE))
    condition = condition.expand(len(noise), -1, -1, -1)
    x = euler(lambda x, t: model.velocity(x, t.to(DEVICE).expand(len(x)), condition), noise.to(DEVICE), model.steps)
    return pred_ab + F.interpolate(model.residual_std * x, size=SIZE, mode="bilinear")


# %%
shown, noise = {}, torch.randn(16, *small.shape[1:], generator=torch.Generator().manual_seed(SEED))
for name in ("dogs", "fig"):
    several = colorings(name, noise)
    shown[name] = paint(name, torch.cat([several[:2], several.mean(dim=0, keepdim=True), gallery(name)[1].to(DEVICE)]))
figures.qualitative_grid(dict(zip(["draw 1", "draw 2", "mean of 16", "ground truth"], zip(*shown.values()))))

# %%
samples = pd.read_csv(repo_root() / "results" / "cpu" / "flow.csv", index_col=0).rename_axis("prediction")
print(f"{samples['photos'].iloc[0]:.0f} test photos of the published run")
columns = {"mae": "MAE", "mae_low": "low", "mae_high": "high", "gain": "PSNR over gray, dB", "colorfulness": "colorfulness"}
samples[list(columns)].rename(columns=columns).round(4)

# %% [markdown]
# <details><summary>Answer</summary>
#
# One draw has a larger error, because it decides where the photo leaves the color open. The mean of many comes close to what a
# network trained for a low error predicts. If the draws scattered as the ground truth does, the mean of 16 would be 2.7 dB
# better than one. In the table it is 2.0 dB, so the draws are somewhat too alike. The MAE of one draw, 0.0887, is about gray's
# 0.0890.
#
# </details>
#
# Which parts of the two draws agree?
# They agree on the gray of the boards, the white rim of the fig, and the brown shadow. They differ in the rest, and much of it is
# stains: a red cloth and a green spot on the wall in draw 1, a bluish dog in draw 2, and stains on table and plate in both. No
# draw makes the plate red. Draw 2 has an orange spot in the upper right corner of both photographs, because they share its noise.
#
# Only the first noise is random. The library makes it from the seed and the photo, else all photos of a folder would get much the
# same tint.
#
# Draw for yourself (a slider in Colab). With seed 7 the speaker turns green, there are red stains under the table and in the
# stream, and bright green ones on its rocks.

# %%
model.seed = 7  # @param {type:"slider", min:0, max:99, step:1}
photographs = [gallery_photo(name, 400) for name in ("room", "stream")]
figures.image_row(colorize_all(photographs, model, SIZE), ["room", "stream"])

# %% [markdown]
# ## 11.8 Guidance
#
# The network was trained with its condition and, in one case of ten, with lightness alone. Guidance walks **further in the
# direction in which the condition makes a difference**:
#
# $$v = v_\text{without} + g\,(v_\text{with} - v_\text{without}).$$
#
# With $g = 1$ there is no guidance.

# %%
def guided(L, noise, g):
    """L (B,1,H,W) and noise (B,2,H/8,W/8) to ab (B,2,H,W), with guidance of strength g."""
    condition, pred_ab = model.condition(L.to(DEVICE))
    lightness = condition.clone()
    lightness[:, 1:] = 0

    def velocity(x, t):
        t = t.to(DEVICE).expand(len(x))
        without = model.velocity(x, t, lightness)
        return without + g * (model.velocity(x, t, condition) - without)

    x = euler(velocity, noise.to(DEVICE), 40)
    return (pred_ab + F.interpolate(model.residual_std * x, size=L.shape[2:], mode="bilinear")).cpu()


# %%
GUIDANCE = 2.0  # @param {type:"slider", min:0, max:5, step:0.25}
pictures = {}
for g in (0.5, 1.0, GUIDANCE):
    gray = ((name, gallery(name)[0]) for name in ("mountains", "fig"))
    pictures[f"g = {g:g}"] = [paint(name, guided(L, model.noise(L), g))[0] for name, L in gray]
figures.qualitative_grid(pictures)

# %% [markdown]
# **Predict.** Stronger guidance gives stronger colors. So does multiplying the draw by a constant. Which is better at equal
# colorfulness?

# %%
def score(pred_ab, L, ab):
    """Colorfulness and PSNR over gray in dB of colorings (B,2,H,W)."""
    rgb, ground_truth, gray = (lab.to_rgb(L, planes) for planes in (pred_ab, ab, 0 * ab))
    gain = metrics.psnr(rgb, ground_truth) - metrics.psnr(gray, ground_truth)
    return metrics.colorfulness(rgb).mean().item(), gain.mean().item()


# %%
L, ab = next(batches(photos.valid[:100], 100))
by_guidance = [score(guided(L, model.noise(L), g), L, ab) for g in (0.5, 1.0, 1.5, 2.0, 3.0)]
draw = guided(L, model.noise(L), 1.0)
by_multiplying = [score(factor * draw, L, ab) for factor in (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)]
fig, ax = plt.subplots(figsize=(5, 3))
for points, words, color in ((by_guidance, "guidance, g = 0.5 to 3", "flow"), (by_multiplying, "the draw × 0.5 to 2", "gray")):
    ax.plot(*zip(*points), "o-", color=figures.color(color), label=words)
ax.set(xlabel="colorfulness", ylabel="PSNR over gray, dB")
ax.legend()
plt.show()

# %% [markdown]
# <details><summary>Answer</summary>
#
# The higher curve is the better way, and in the saved run that is multiplying, by a little: about 0.2 dB between colorfulness 40
# and 50. Below 35 the two hardly differ.
#
# </details>
#
# Guidance does something else, too. With g = 2 most of the stains of g = 0.5 are gone from slope, plate, and table. The blue of
# the sky becomes stronger, but so do wrong colors: the rocks, which are gray in truth, turn bright green. The foreground
# of the mountains is red with each g. The colors of the fig hardly become stronger.
#
# ## 11.9 The published run, and the library

# %%
run = published()["flow"]
print(f"{run.id}, {run.record['train']:,} training photos at {run.record['size']} px: {published_score(run)}")
L, ab = (planes.to(DEVICE) for planes in gallery("fig"))
torch.testing.assert_close(colorings("fig", model.noise(L)), model(L), atol=1e-4, rtol=0)
torch.manual_seed(SEED)
loss = training_loss(model.velocity, L, ab, model.residual_std)
torch.manual_seed(SEED)
torch.testing.assert_close(loss, model.loss(L, ab))
torch.testing.assert_close(time_embedding(t), flow.time_embedding(t))
mine, x = Attention(64), torch.randn(1, 64, 4, 4)
mine.load_state_dict(model.velocity.attend[0].state_dict())
torch.testing.assert_close(mine(x), model.velocity.attend[0].cpu()(x))
print("equal: sampler, loss, time embedding, attention")

# %% [markdown]
# ## Takeaways
#
# 1. Noise is added to data in one jump, a network learns to predict the noise (DDPM) or the velocity (flow), and a sampler walks
#    back from pure noise.
# 2. One draw has a larger error than a careful prediction, and the mean of many draws returns to it.
# 3. Guidance makes colors stronger, and so does multiplying. Compare the two at equal colorfulness.
#
# ## Exercises
#
# 1. **Other times** (★★). Draw $t$ from $\sigma(\mathcal N(0, 1))$ in place of uniformly ([Esser et al. 2024](https://arxiv.org/abs/2403.03206)). Does the
#    validation loss at t = 0.1, 0.5, and 0.9 change?
#    <details><summary>Hint</summary>Write the loss with the time as an argument.</details>
# 2. **Cooler noise** (★). Multiply the first noise by τ = 0.6, 0.8, and 1. What do MAE, colorfulness, and the distance between
#    draws do? Compare with guidance.
#    <details><summary>Hint</summary>Only the first line of the sampler changes.</details>
# 3. **Painting in** (★★★). Fix the color of one place, say of the plate: at each step replace x there by the noised ground truth.
#    Does the rest follow?
#    <details><summary>Hint</summary>There x is t times the residual plus 1 − t times the noise.</details>
#
# Solutions: [solutions/11_solutions.ipynb](solutions/11_solutions.ipynb). Next: [A3 · Samplers and autoencoders](A3_autoencoders_and_samplers.ipynb)
