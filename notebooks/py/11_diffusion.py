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
# The report ends with an outlook on diffusion models. This chapter builds one, small enough for two CPU cores: lightness
# is given and stays clean, only color is noise, and color needs an eighth of the resolution.
#
# **You will learn**
#
# - how a photograph's colors drown in noise, step by step, and how a network learns the way back (DDPM, [Ho et al. 2020](https://arxiv.org/abs/2006.11239));
# - what changes when the way is made straight (flow matching, [Lipman et al. 2023](https://arxiv.org/abs/2210.02747); rectified
#   flow, [Liu et al. 2023](https://arxiv.org/abs/2209.03003));
# - how to draw several colorings of one photo, and what one draw and the mean of many are worth;
# - what guidance turns up, and what it costs ([Dhariwal & Nichol 2021](https://arxiv.org/abs/2105.05233);
#   [Ho & Salimans 2022](https://arxiv.org/abs/2207.12598));
# - why latent diffusion ([Rombach et al. 2022](https://arxiv.org/abs/2112.10752)) has to carry lightness past its latent.
#
# **Before this:** notebook 02 for the jacket, 03 for the U-Net, 09 for answers that are distributions.
# **Minutes:** printed by the next cell.

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
# Everything you may want to change is in the next cell.

# %%
from g2g import runs
from g2g.training import get_device

SEED = 42
DEVICE = get_device()  # the GPU if there is one
TRAINING_STEPS = 30 if profile.name == "smoke" else 400  # of the networks that you train in 11.5 and 11.12
N_VALID = 100  # validation photos for the numbers

# %%
import dataclasses
import io
import math
import time
from itertools import chain, combinations, islice, pairwise, repeat

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Image as Animation
from PIL import Image, ImageOps
from torch import nn

from g2g import figures, flow, lab, metrics
from g2g.data import batches, dataloaders, prepare
from g2g.profiles import get_recipe, repo_root
from g2g.runs import load_or_train, pretrained_model
from g2g.runs import published_score

grid = figures.figure("Images in rows.")(figures.grid)  # in the style of g2g.figures
photos = prepare(profile)


# %% [markdown]
# ## 11.1 Color drowns
#
# Diffusion models are trained on ruins. Take data, mix in Gaussian noise, a little more at each step, until only noise is
# left; then learn to go back. We count time from 0 (noise) to 1 (data). At time $t$ there is a share $a_t$ of the data
# and a share $s_t$ of the noise,
#
# $$x_t = a_t \cdot \text{data} + s_t \cdot \text{noise},$$
#
# and the *schedule* says how they change. Two of them:

# %%
def cosine(t):
    """Shares of data and noise; their squares sum to 1 (Nichol & Dhariwal 2021, without their small offset)."""
    return torch.sin(t * math.pi / 2), torch.cos(t * math.pi / 2)


def straight(t):
    """A straight line from noise to data (Lipman et al. 2023, Liu et al. 2023)."""
    return t, 1 - t


# %%
def drown(data, noise, t, schedule):
    signal, level = schedule(t)
    return signal * data + level * noise


# %%
def gallery(name):
    """A photograph of data/gallery, cut square: L and ab, (1,1,128,128) and (1,2,128,128)."""
    photograph = Image.open(repo_root() / "data" / "gallery" / f"{name}.jpg").convert("RGB")
    return lab.photos_to_lab(np.asarray(ImageOps.fit(photograph, (128, 128)))[None])


# %% [markdown]
# Lightness is the condition and stays as it is. So does fine detail: color is smoother than lightness (notebook 03), and
# an eighth of the resolution, 16 × 16 places with two numbers each, will do.

# %%
L, ab = gallery("meadow")
small = F.avg_pool2d(ab, 8)
scale = small.std()  # so that data and noise are equally large
noise = torch.randn(small.shape, generator=torch.Generator().manual_seed(SEED))

# %%
times = torch.linspace(1, 0, 7)
rows = []
for schedule in (cosine, straight):
    ruins = [scale * drown(small / scale, noise, t, schedule) for t in times]
    rows.append([lab.to_rgb(L, F.interpolate(x, size=128, mode="bilinear"))[0] for x in ruins])
grid(rows, [f"t = {t:.2f}" for t in times], ["cosine", "straight"])

# %% [markdown]
# (*aitzgorri* by Aitzol Berasategi, CC BY 4.0, recolored. All photographs of this notebook are those of
# `data/gallery`, with authors and licenses there; no network here has seen any of them.)
#
# Both end in the same clouds and begin with the same photograph. The cosine schedule is the one of diffusion models; the
# other will turn out to be easier to walk.
#
# ## 11.2 A jacket, red or blue
#
# Before photographs, the toy of notebook 02: a jacket that is red in six photos of ten and blue in four. L1 answered red,
# always; the mean is a purple that no jacket has. The network of a diffusion model sees a color $x$ with noise in it and
# the time, and says **which noise is in it**. Its loss is the squared error of that guess (Ho et al. 2020):

# %%
RED, BLUE = torch.tensor([1.2, 0.8]), torch.tensor([0.4, -1.4])  # in units of one standard deviation of ab


def jackets(count):
    is_red = torch.rand(count, 1) < 0.6
    return torch.where(is_red, RED, BLUE)


# %%
def ddpm_loss(network, data):
    noise = torch.randn_like(data)
    t = torch.rand(len(data), 1)
    x = drown(data, noise, t, cosine)
    return F.mse_loss(network(x, t), noise)


# %% [markdown]
# For **flow matching** two things change: the way is the straight one, and the network says **where to go**. On a straight
# way the velocity is the same all along, data minus noise:

# %%
def flow_loss(network, data):
    noise = torch.randn_like(data)
    t = torch.rand(len(data), 1)
    x = drown(data, noise, t, straight)
    return F.mse_loss(network(x, t), data - noise)


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
        loss(network, jackets(512)).backward()
        optimizer.step(), schedule.step()
    return network


# %%
toys = {"DDPM": learn(ddpm_loss), "flow": learn(flow_loss)}

# %% [markdown]
# ## 11.3 The way back
#
# **DDPM's ancestral sampler** begins with noise. At each step it asks which noise is in there, takes out the share that
# lies between this time and the next, and puts a little *fresh* noise in (Ho et al. 2020, algorithm 2, here for any
# number of steps). It begins a little after time 0, because at 0 there is no signal to divide by:

# %%
@torch.no_grad()
def ddpm(predict_noise, x, steps, generator=None):
    """From noise x at time 0 to data; `predict_noise(x, t)` guesses the noise that is in x."""
    for now, then in pairwise(torch.linspace(0.05, 1, steps + 1)):
        (signal, level), (next_signal, next_level) = cosine(now), cosine(then)
        noise = predict_noise(x, now)
        data = ((x - level * noise) / signal).clamp(-4, 4)
        fresh = next_level / level * (1 - (signal / next_signal) ** 2).sqrt()
        kept = (next_level**2 - fresh**2).clamp(min=0).sqrt()
        x = next_signal * data + kept * noise + fresh * torch.randn(x.shape, generator=generator).to(x.device)
    return x


# %% [markdown]
# A **flow** is an ordinary differential equation, and Euler's method walks it: look where to go, take a step, look again.

# %%
@torch.no_grad()
def euler(velocity, x, steps):
    """From noise x at time 0 to data at time 1; `velocity(x, t)` says where to go."""
    if steps < 1:
        raise ValueError(f"steps: expected 1 or more, got {steps}")
    for step in range(steps):
        x = x + velocity(x, torch.tensor(step / steps)) / steps
    return x


# %%
samplers = {"DDPM": ddpm, "flow": euler}


def draw_jackets(name, steps, count=2000):
    torch.manual_seed(SEED)
    network = toys[name]
    return samplers[name](lambda x, t: network(x, t.expand(len(x), 1)), torch.randn(count, 2), steps)


# %%
fig, cells = plt.subplots(2, 5, figsize=(9, 4), sharex=True, sharey=True)
fig.get_layout_engine().set(h_pad=0.08)  # room for the titles
for row, name in zip(cells, samplers):
    for ax, steps in zip(row, (1, 2, 5, 20, 100)):
        x = draw_jackets(name, steps)
        is_red = (x - RED).norm(dim=1) < (x - BLUE).norm(dim=1)
        ax.scatter(*x[::4].T, s=3, c=np.where(is_red[::4], "#C0392B", "#2E6FBA"))
        ax.set_title(f"steps: {steps}, red: {is_red.double().mean():.0%}", fontsize=9)
        ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    row[0].set_ylabel(name)
plt.show()

# %% [markdown]
# Both answer red in about 60% of the draws and blue in about 40%, and hardly ever purple, once there are steps enough. One
# flow step lands on the mean, purple again: from far away every jacket is possible, so the best guess of where to go is
# their mean. Straight ways are said to need fewer steps. Here the two need about as many: each single way of the flow is
# straight, but where ways to red and ways to blue cross, the *learned* velocity is the mean of both, and bends. We shall see
# in 11.10 what becomes of this with photographs.
#
# ## 11.4 A network for photographs
#
# What the U-Net of notebook 03 answers need not be learned again. The data here are what that answer **leaves open**:
# the true ab minus the answer, at an eighth of the resolution. (In the last picture below it is added to the answer
# again.) Besides noise and time, the network sees the photo through the U-Net's eyes: lightness, the answer, and the 64
# features that the answer was made of.

# %%
unet, size, sentence = pretrained_model("unet")
unet = unet.to(DEVICE).requires_grad_(False)


@torch.no_grad()
def look(L):
    """L (B,1,H,W) to what the network sees (B,67,H/8,W/8) and the U-Net's answer (B,2,H,W)."""
    features = unet.decode(L)
    answer = unet.head(features)
    size = [side // 8 for side in L.shape[2:]]
    seen = [F.interpolate(planes, size=size, mode="area") for planes in (L, 10 * answer, features)]
    return torch.cat(seen, dim=1), F.interpolate(answer, size=L.shape[2:], mode="bilinear")


# %%
seen, answer = look(L.to(DEVICE))
residual = F.interpolate(ab - answer.cpu(), size=(16, 16), mode="area")
pictures = {"gray": 0 * ab, "the U-Net's answer": answer.cpu(), "truth": ab}
pictures["with what it left open"] = answer.cpu() + F.interpolate(residual, size=128, mode="bilinear")
figures.image_row([lab.to_rgb(L, picture)[0] for picture in pictures.values()], list(pictures))


# %% [markdown]
# The time comes in as sines and cosines of many frequencies, so that the network can tell 0.50 from 0.51 as easily as
# morning from evening:

# %%
def time_embedding(t):
    """Times (B,) to (B,64)."""
    frequencies = torch.logspace(3, 0, 32, device=t.device)
    angles = t[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


fig, ax = plt.subplots(figsize=(6, 2))
ax.imshow(time_embedding(torch.linspace(0, 1, 200)).T, aspect="auto", cmap="RdBu", extent=(0, 1, 64, 0))
ax.set(xlabel="time", ylabel="sines, cosines")
plt.show()

# %% [markdown]
# A block is two convolutions with a skip around them. Between the two, the time decides how strong each channel is:
# early steps paint moods, late ones edges. Last layers begin at zero, so that an untrained block is its skip alone.

# %%
def conv(channels_in, channels_out):
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def zeroed(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


# %%
class Block(nn.Module):
    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, channels_in), nn.SiLU(), conv(channels_in, channels_out))
        self.time = nn.Linear(128, 2 * channels_out)
        self.norm = nn.GroupNorm(8, channels_out)
        self.second = nn.Sequential(nn.SiLU(), zeroed(conv(channels_out, channels_out)))
        self.skip = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x, time):
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm(self.first(x)) * (1 + scale) + shift
        return self.skip(x) + self.second(hidden)


# %% [markdown]
# Convolutions see their neighbors only. But if the left half of a lawn has been decided, the right half should know.
# **Attention** lets each place ask all others and take from those that look alike ([Vaswani et al. 2017](https://arxiv.org/abs/1706.03762)):

# %%
class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.qkv = nn.Sequential(nn.GroupNorm(8, channels), nn.Conv2d(channels, 3 * channels, 1))
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x):
        query, key, value = self.qkv(x).flatten(2).chunk(3, dim=1)
        weights = (query.transpose(1, 2) @ key / math.sqrt(x.shape[1])).softmax(dim=2)
        return x + self.out((value @ weights.transpose(1, 2)).view(x.shape))


# %% [markdown]
# From these a U-Net of three levels, 16 × 16, 8 × 8 and 4 × 4:

# %%
class Velocity(nn.Module):
    def __init__(self, condition=67, width=64):
        super().__init__()
        wide = 2 * width
        self.time = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU())
        self.first = conv(2 + condition, width)
        self.down = nn.ModuleList([Block(width, width), Block(width, wide), Block(wide, wide)])
        self.attend = nn.ModuleList([Attention(width), Attention(wide), Attention(wide)])
        self.up = nn.ModuleList([Block(2 * wide, wide), Block(wide + width, width)])
        self.last = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), zeroed(conv(width, 2)))

    def forward(self, x, t, condition):
        time = self.time(time_embedding(t))
        x = skip_1 = self.attend[0](self.down[0](self.first(torch.cat([x, condition], dim=1)), time))
        x = skip_2 = self.attend[1](self.down[1](F.avg_pool2d(x, 2), time))
        x = self.attend[2](self.down[2](F.avg_pool2d(x, 2), time))
        x = self.up[0](torch.cat([F.interpolate(x, scale_factor=2), skip_2], dim=1), time)
        x = self.up[1](torch.cat([F.interpolate(x, scale_factor=2), skip_1], dim=1), time)
        return self.last(x)


# %%
torch.manual_seed(SEED)
net = Velocity().to(DEVICE)
library = flow.Velocity(67).to(DEVICE)
for layer in (library.last[-1], library.up[-1].second[-1]):
    nn.init.normal_(layer.weight, std=0.1)  # else both would answer 0
mine = Velocity().to(DEVICE)
mine.load_state_dict(library.state_dict())
inputs = torch.randn(2, 2, 16, 16, device=DEVICE), torch.rand(2, device=DEVICE), torch.randn(2, 67, 16, 16, device=DEVICE)
torch.testing.assert_close(mine(*inputs), library(*inputs))
print(f"{sum(p.numel() for p in net.parameters()):,} parameters; the library's network answers the same")

# %% [markdown]
# ## 11.5 Training, and a failure worth seeing
#
# One step takes a batch of photos and drowns each in noise four times, at random $t$ (the U-Net's look at a photo costs
# as much as all four). The loss is the squared error of the velocity. In one draw of ten the network sees lightness
# alone, for the guidance of 11.11.

# %%
def training_loss(network, L, ab, spread):
    seen, answer = look(L)
    data = F.interpolate(ab - answer, size=seen.shape[2:], mode="area") / spread
    seen, data = seen.repeat(4, 1, 1, 1), data.repeat(4, 1, 1, 1)
    unseen = torch.rand(len(seen), device=L.device) < 0.1
    seen[unseen, 1:] = 0
    noise = torch.randn_like(data)
    t = torch.rand(len(data), device=L.device)
    x = drown(data, noise, t.view(-1, 1, 1, 1), straight)
    return F.mse_loss(network(x, t, seen), data - noise)


# %% [markdown]
# The spread of what the U-Net leaves open, so that data have the size of the noise:

# %%
spread = flow.residual_std(flow.FlowUnet(unet).to(DEVICE), photos.train[:512])
print(f"standard deviation of what is left open: {spread:.3f} (in CIE units {110 * spread:.1f})")

# %%
torch.manual_seed(SEED)
optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=TRAINING_STEPS)
dls = dataloaders(photos, 16 if profile.name == "smoke" else 32, SEED, DEVICE)
losses = []
for L, ab in islice(chain.from_iterable(repeat(dls.train)), TRAINING_STEPS):
    loss = training_loss(net, L, ab, spread)
    optimizer.zero_grad(), loss.backward(), optimizer.step(), schedule.step()
    losses.append(loss.item())

# %%
fig, ax = plt.subplots(figsize=(5, 2.2))
ax.plot(losses, color=figures.color("flow"))
ax.set(xlabel="step", ylabel="squared error of the velocity", ylim=(0, None))
plt.show()


# %% [markdown]
# A network that knows nothing answers 0, which costs the variance of data minus noise: 2. Half of that is easily saved. Now
# four photographs, **all from the same noise**:

# %%
def colorings(network, L, noise, steps=40, spread=spread):
    """L (1,1,H,W) and noise (N,2,H/8,W/8) to N colorings, ab (N,2,H,W)."""
    seen, answer = look(L.to(DEVICE))
    seen = seen.expand(len(noise), -1, -1, -1)
    x = euler(lambda x, t: network(x, t.to(DEVICE).expand(len(x)), seen), noise.to(DEVICE), steps)
    return (answer + F.interpolate(spread * x, size=L.shape[2:], mode="bilinear")).cpu()


# %%
def noises(count, seed=SEED, side=16):
    return torch.randn(count, 2, side, side, generator=torch.Generator().manual_seed(seed))


# %%
NAMES = ("dogs", "mountains", "room", "fig")
rows = []
for name in NAMES:
    L, ab = gallery(name)
    answers = [look(L.to(DEVICE))[1].cpu(), *colorings(net, L, noises(3)).split(1), ab]
    rows.append([lab.to_rgb(L, picture)[0] for picture in (0 * ab, *answers)])
grid(rows, ["gray", "U-Net", "noise 1", "noise 2", "noise 3", "truth"])

# %% [markdown]
# **Clouds.** Look down a column: the same stains in the same places, whatever the photo shows. The network has learned the
# *size* and the *softness* of what is left open, which is what noise and data have in common, and not yet where objects
# end. This is how diffusion fails while it is young. It is cured by steps, thousands of them. (In `smoke`, after 30 steps, there is
# not even that: what you see is the noise itself.)
#
# ## 11.6 The stage `flow`
#
# The library trains the same network with the same loss and averages its weights over the steps. Its recipe:

# %%
recipe = get_recipe("flow", profile)
pd.Series(dataclasses.asdict(recipe)).dropna().to_frame("recipe")

# %%
run = load_or_train("flow", profile, recipe=recipe, photos=photos)
print("run:", run.id)
run.history.tail(3)

# %% [markdown]
# `valid_loss` is the L1 of *one draw* (in the quoted run of 20 steps), `train_loss` the squared error of the velocity. From here on we look at the model
# whose weights lie in the repository, trained with the recipe of the profile `cpu`:

# %%
model, size, sentence = pretrained_model("flow")
model = model.to(DEVICE)
spread = model.residual_std
print(sentence)

# %%
L, ab = gallery("mountains")
by_hand = colorings(model.velocity, L, model.noise(L), model.steps, spread)
torch.testing.assert_close(by_hand, model(L.to(DEVICE)).cpu(), atol=1e-4, rtol=0)
print("sampler by hand and library: the same")

# %% [markdown]
# ## 11.7 The walk
#
# From noise to color, the state after every few of 40 steps, added to the U-Net's answer:

# %%
def walk(L, noise, steps=40):
    """All states of one way, as pictures (3,H,W)."""
    seen, answer = look(L.to(DEVICE))
    frames = []

    def velocity(x, t):
        frames.append(answer + F.interpolate(spread * x, size=L.shape[2:], mode="bilinear"))
        return model.velocity(x, t.to(DEVICE).expand(1), seen)

    x = euler(velocity, noise.to(DEVICE), steps)
    frames.append(answer + F.interpolate(spread * x, size=L.shape[2:], mode="bilinear"))
    return [lab.to_rgb(L, ab.cpu())[0] for ab in frames]


# %%
ways = []
for name in ("mountains", "meadow"):
    L, ab = gallery(name)
    ways.append(walk(L, model.noise(L).cpu()))
grid([way[::8] for way in ways], [f"t = {step / 40:.1f}" for step in range(0, 41, 8)])

# %% [markdown]
# The same as an animation:

# %%
frames = []
for pair in zip(*ways):
    pixels = (255 * torch.cat(pair, dim=2)).byte().movedim(0, -1).numpy()
    frames.append(Image.fromarray(pixels).quantize(64, dither=Image.Dither.NONE))
file = io.BytesIO()
frames[0].save(file, "gif", save_all=True, append_images=frames[3::3] + [frames[-1]] * 8, duration=180, loop=0)
Animation(data=file.getvalue(), format="gif")

# %% [markdown]
# ## 11.8 Several colorings, and what they are worth

# %%
rows, spreads = [], []
for name in ("dogs", "meadow", "room", "fig"):
    L, ab = gallery(name)
    answers = colorings(model.velocity, L, noises(16), spread=spread)
    spreads.append(110 * answers.std(dim=0).norm(dim=0))
    shown = [0 * ab, *answers[:4].split(1), answers.mean(dim=0, keepdim=True), ab]
    rows.append([lab.to_rgb(L, picture)[0] for picture in shown])
grid(rows, ["gray", "draw 1", "draw 2", "draw 3", "draw 4", "mean of 16", "truth"])

# %% [markdown]
# Draws of one photo, and their mean. They agree on the sky and on the snow, and differ on planks, plates and cushions. **Colors now
# follow things, mostly:** the plate is red or brown or green as a whole. Not always: draw 2 still has pink at the lower left of
# whatever it is given. The mean of sixteen is as cautious as the U-Net.
#
# Where do sixteen draws differ? Their standard deviation, in CIE units of ab:

# %%
fig, cells = plt.subplots(1, 4, figsize=(9, 2.3))
for ax, picture in zip(cells, spreads):
    shades = figures.show(ax, picture, "", "magma", 0, 25)
fig.colorbar(shades, ax=cells, label="CIE units", shrink=0.8)
plt.show()


# %% [markdown]
# The numbers of notebook 09's comparison, for eight draws of each of the validation photos: how far is one draw from the
# truth, how far the best of eight, how far their mean, and how far are two draws apart?

# %%
def eight(network, L, ab, number, **options):
    answers = colorings(network, L, noises(8, number, L.shape[2] // 8), spread=spread, **options)
    errors = (answers - ab).abs().mean(dim=(1, 2, 3))
    apart = (answers[:, None] - answers[None]).norm(dim=2).mean(dim=(2, 3)) * 110
    mean = (answers.mean(dim=0) - ab).abs().mean()
    return errors[0], errors.min(), mean, apart.sum() / (8 * 7), ab.abs().mean()


# %%
columns = ["one draw", "best of eight", "mean of eight", "apart", "gray"]
rows = [eight(model.velocity, *photo, number) for number, photo in enumerate(batches(photos.valid[:N_VALID], 1))]
here = pd.DataFrame([torch.tensor(rows).mean(dim=0).tolist()], index=["flow"], columns=columns)
chapter_9 = repo_root() / "results" / "cpu" / "cvae.csv"
pd.concat([here, pd.read_csv(chapter_9, index_col="draws")]).round(4)

# %% [markdown]
# (The first line is computed here, on the photos of this profile; the others are read from `results/`: 100 validation
# photos of the quoted run, two CPU cores.)
#
# **The flow dares most.** Two of its draws lie 13.5 CIE units apart, twice as far as those of notebook 09, and one draw errs more than gray does
# (0.1008 against 0.0982). Its best of eight is at 0.0749, nearer to the truth than the Gumbel draws' (0.0949 when bold,
# 0.0778 with rebalancing 0), but not as near as
# the variational autoencoder's (0.0718), which changes the mood of the whole picture and so needs luck only once.
#
# ## 11.9 One seed, many photos
#
# In 11.5 the network put the same clouds on every photo. Does the trained one still do so? What does a draw add to the
# mean of all draws, and is it the same from photo to photo? A number will tell.

# %%
@torch.no_grad()
def added(network, own_noise):
    """What one draw of each gallery photo adds to the mean of 16, one row a photo; noise of its own or the same for all."""
    rows = []
    for name in ("dandelion", "dogs", "fig", "meadow", "mountains", "room", "stream", "sunset"):
        L, _ = gallery(name)
        mean = colorings(network, L, noises(16, seed=1), spread=spread).mean(dim=0)
        first = model.noise(L).cpu() if own_noise else noises(1)
        rows.append((colorings(network, L, first, spread=spread)[0] - mean).flatten())
    return torch.stack(rows)


# %%
def correlation(rows):
    """Mean correlation between different rows."""
    matrix = torch.corrcoef(rows)
    return matrix[~torch.eye(len(rows), dtype=bool)].mean().item()


for title, own_noise in (("the same noise for all", False), ("noise of the seed and of the photo", True)):
    print(f"{title}: {correlation(added(model.velocity, own_noise)):.2f}")

# %% [markdown]
# With the same noise for all photos, a draw adds much the same to each: the correlation is 0.60 here and 0.73 on 500
# test photos (`results/cpu/flow.csv`). **That is no failure of training.** Euler's method tosses no coin: all chance is
# in the first noise. Where two photos leave the same thing open, a warmer or a cooler light, even a perfect flow turns
# the same noise into the same tint. But then a folder colored with one seed would get one tint throughout. So the
# library mixes the photo itself into the seed, and the correlation vanishes: 0.00 on the test photos, with some scatter
# around it for only eight photos.
#
# ## 11.10 Steps against quality

# %%
def score(answers, L, ab):
    """MAE, PSNR over gray in dB, and colorfulness of colorings (B,2,H,W)."""
    rgb, truth, gray = (lab.to_rgb(L, planes) for planes in (answers, ab, 0 * ab))
    gain = metrics.psnr(rgb, truth) - metrics.psnr(gray, truth)
    return (answers - ab).abs().mean().item(), gain.mean().item(), metrics.colorfulness(rgb).mean().item()


# %%
L, ab = next(batches(photos.valid[:N_VALID], N_VALID))
seen, answer = look(L.to(DEVICE))
start = model.noise(L).to(DEVICE)


def paint(x):
    return (answer + F.interpolate(spread * x, size=L.shape[2:], mode="bilinear")).cpu()


def velocity(x, t):
    return model.velocity(x, t.to(DEVICE).expand(len(x)), seen)


# %% [markdown]
# DDPM's sampler can walk with the same network, for the two ways pass the same ruins, only larger or smaller and at other
# times: cosine's $a\cdot\text{data} + s\cdot\text{noise}$, divided by $a + s$, lies on the straight way at $t = a/(a + s)$. And
# whoever knows the velocity there knows the noise: $x - t\,v$.

# %%
def predicted_noise(x, t):
    signal, level = cosine(t)
    t = signal / (signal + level)
    x = x / (signal + level)
    return x - t * velocity(x, t)


# %%
rows = []
for name, sampler, network in (("Euler", euler, velocity), ("DDPM", ddpm, predicted_noise)):
    for steps in (1, 2, 5, 20, 40, 100):
        torch.manual_seed(SEED)
        began = time.perf_counter()
        x = sampler(network, start, steps)
        seconds = time.perf_counter() - began
        rows.append((name, steps, *score(paint(x), L, ab), 1000 * seconds / len(L)))
columns = ["sampler", "steps", "MAE", "PSNR over gray", "colorfulness", "ms a photo"]
table = pd.DataFrame(rows, columns=columns)

# %%
print("U-Net (MAE, PSNR over gray, colorfulness):", *(f"{value:.4g}" for value in score(answer.cpu(), L, ab)))
print(f"colorfulness of the truth: {score(ab, L, ab)[2]:.4g}")
table.round(4)

# %% [markdown]
# More steps mean more color and more error. Few steps stay near the mean, which is *careful*, not *better*. So we
# compare steps as we compare models, at equal colorfulness: Euler reaches 31 with 20 steps, 0.07 dB below gray. DDPM has
# not come that far with 100 steps: it reaches 29, and is 0.18 dB below. **The straight way needs at most a fifth of the
# steps.** (Both walk with a network that was trained on the straight way.) `colorize` takes 40 steps, chosen on the validation photos; going on to 100
# gains little.
#
# ## 11.11 Guidance
#
# Dhariwal & Nichol (2021) let a classifier pull each step toward what it recognizes. Ho & Salimans (2022) found that no
# classifier is needed: train the network with the condition and, in one step of ten, without; then walk **further in the
# direction in which the condition makes a difference**:
#
# $$v = v_\text{without} + g\,(v_\text{with} - v_\text{without}).$$
#
# Strength 1 is no guidance. Which condition to drop? Not lightness: it costs nothing, is never wrong, and without it no edge
# would be where it belongs. What the features say about objects is the part whose pull we want to turn up or down.

# %%
def guided(network, x, t, seen, strength):
    blind = seen.clone()
    blind[:, 1:] = 0  # lightness stays
    without = network(x, t, blind)
    return without + strength * (network(x, t, seen) - without)


# %%
def with_guidance(L, noise, strength):
    seen, answer = look(L.to(DEVICE))
    x = euler(lambda x, t: guided(model.velocity, x, t.to(DEVICE).expand(len(x)), seen, strength), noise.to(DEVICE), 40)
    return (answer + F.interpolate(spread * x, size=L.shape[2:], mode="bilinear")).cpu()


# %%
strengths = (0.0, 0.5, 1.0, 2.0, 4.0)
rows = []
for name in ("dogs", "mountains", "fig"):
    L_here, ab_here = gallery(name)
    answers = [with_guidance(L_here, model.noise(L_here), strength) for strength in strengths]
    rows.append([lab.to_rgb(L_here, picture)[0] for picture in (0 * ab_here, *answers, ab_here)])
grid(rows, ["gray", *(f"g = {strength:g}" for strength in strengths), "truth"])

# %% [markdown]
# And in numbers, on the validation photos:

# %%
rows = [score(with_guidance(L, start, strength), L, ab) for strength in strengths]
pd.DataFrame(rows, index=pd.Index(strengths, name="strength"), columns=["MAE", "PSNR over gray", "colorfulness"]).round(4)

# %% [markdown]
# Half of the pull errs least (0.0985) and is the palest. Twice the pull reaches the colorfulness of the truth, 41 of 42.4, for another 0.8 dB; the fig turns
# red, the slope green. Four times, and the picture is a poster. **Guidance is a saturation dial that knows what things are**, and it is paid for like any other.
# A strength of 0, lightness alone, is the noisiest of all: it colors places, not things.
#
# ## 11.12 Latent diffusion
#
# Diffusion on all pixels is expensive.
# Rombach et al. (2022) first train an autoencoder, then let noise flow in its small
# **latent**, and decode what comes out: Stable Diffusion's shrinks a photo eight times in each direction, to four channels. Our
# ab at an eighth of the resolution is such a latent, made by averaging. What does it lose, and would a learned one lose less? One
# experiment: two small autoencoders of ab with 16 × 16 places and **four** channels, of which one decoder also sees lightness.

# %%
def halve(channels_in):
    return nn.Sequential(nn.Conv2d(channels_in, 32, 3, stride=2, padding=1), nn.ReLU())


def double(channels_in):
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(channels_in, 32, 3, padding=1), nn.ReLU())


# %%
class Autoencoder(nn.Module):
    def __init__(self, sees_lightness):
        super().__init__()
        self.sees_lightness = sees_lightness
        self.encoder = nn.Sequential(halve(2), halve(32), halve(32), nn.Conv2d(32, 4, 1))
        self.decoder = nn.Sequential(double(4), double(32), double(32))
        self.last = nn.Sequential(nn.Conv2d(32 + sees_lightness, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 2, 1))

    def forward(self, L, ab):
        x = self.decoder(self.encoder(ab))
        if self.sees_lightness:
            x = torch.cat([x, L], dim=1)
        return self.last(x)


# %% [markdown]
# Both are trained with L1, for as many steps as our network in 11.5, on the upper left 64 × 64 pixels of the photos: a
# convolution can learn from a part, and a quarter of the pixels takes a quarter of the time.

# %%
def trained(sees_lightness):
    torch.manual_seed(SEED)
    network = Autoencoder(sees_lightness).to(DEVICE)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=TRAINING_STEPS)
    for L, ab in islice(chain.from_iterable(repeat(dls.train)), TRAINING_STEPS):
        L, ab = L[..., :64, :64], ab[..., :64, :64]
        optimizer.zero_grad()
        F.l1_loss(network(L, ab), ab).backward()
        optimizer.step()
        schedule.step()
    return network


# %%
decoders = {"average, enlarged": lambda L, ab: F.interpolate(F.avg_pool2d(ab, 8), size=L.shape[2:], mode="bilinear")}
decoders["learned, 4 channels"] = trained(sees_lightness=False)
decoders["learned, and lightness past the latent"] = trained(sees_lightness=True)
with torch.no_grad():
    answers = {name: decode(L.to(DEVICE), ab.to(DEVICE)).cpu() for name, decode in decoders.items()}
rows = [score(answer, L, ab) for answer in answers.values()]
pd.DataFrame(rows, index=list(answers), columns=["MAE", "PSNR over gray", "colorfulness"]).round(4)

# %%
L_here, ab_here = gallery("fig")
with torch.no_grad():
    answers = [decode(L_here.to(DEVICE), ab_here.to(DEVICE)).cpu() for decode in decoders.values()]
figures.image_row([lab.to_rgb(L_here, answer)[0] for answer in (*answers, ab_here)], [*decoders, "truth"])

# %% [markdown]
# On 100 validation photos **averaging is hard to beat**: it loses 0.0280, the learned latents, with twice as many channels
# and after 400 steps, 0.0286 and 0.0293. (The U-Net's whole error is 0.080, so none of them is what holds coloring back.)
# They keep a little more color, 37 of 42.4 against 35. Lightness let past the latent might bring the edges back, but
# after so short a training it does not: the red of the plate runs into the table in all three. (The guided filter of
# notebook 07 holds color to the edges of lightness without any training.)
#
# Stable Diffusion's autoencoder stands at the far end: it packs lightness and color together into its four channels, 48 times
# fewer numbers than pixels have, and gives back a photograph that looks right and is not the same, pixel by pixel. For coloring that will not do: the
# lightness of the result has to be the photo's own. So whoever colors with it decodes, throws the decoded lightness away, and joins the decoded
# ab with the photo's L at full size, as `g2g.colorize` does. **Lightness goes past the latent, not through it.**
# (The weights of this autoencoder, more than 300 MB, were not available: this paragraph follows the paper and is not
# measured.)
#
# ## 11.13 The quoted run
#
# *Read from `results/`, not computed here.*

# %%
quoted = runs.published()["flow"]
r = quoted.record
print(f"{r['run']}: profile {r['profile']}, {r['train']:,} photos at {r['size']} px, seed {quoted.recipe.seed}, {r['device']}, "
      f"{r['minutes']:.1f} min after the U-Net's")
print(published_score(quoted))

# %%
samples = repo_root() / "results" / "cpu" / "flow.csv"
pd.read_csv(samples, index_col="answer")[["mae", "mae_low", "mae_high", "gain", "colorfulness"]].round(4) if samples.is_file() else None

# %% [markdown]
# The table has the mean of k draws, on 500 of the test photos. One draw has a larger error than gray. Averaging two
# halves what chance adds to the squared error, and the mean of sixteen is within 0.002 of the U-Net, which was trained
# for nothing but a low error. If the draws were spread as the truth is, one would be 3 dB below the mean of many; here
# it is only 1.9. **The draws of the flow are a little too alike**,
# for the network saw in training how much the U-Net leaves open on photos that the U-Net knew.
#
# ## Summary
#
# * Diffusion trains a network on ruins of data, at all stages of ruin, and walks back from pure noise. DDPM guesses the noise; a flow guesses the way, which is
#   straight, and needs fewer steps.
# * For coloring, lightness stays clean, and what has to be drawn is only what a U-Net's answer leaves open, at an eighth of the resolution.
# * One draw is one possible world: it costs more error than the careful answer, and the mean of many draws comes back to it. That is a check of any
#   model that claims to know a distribution.
# * Early in training the draws have the softness of photographs and not their objects. Steps cure most of it.
# * Guidance turns the pull of the condition up; a latent saves computation; lightness must not go through it.
#
# ## Exercises
#
# 1. **A stitch in time.** Draw $t$ from $\sigma(\mathcal N(0, 1))$ in place of uniformly ([Esser et al. 2024](https://arxiv.org/abs/2403.03206)), so that the middle of the way is trained more. Does
#    the validation loss at t = 0.1, 0.5 and 0.9 change?
# 2. **Cooler noise.** Multiply the first noise by τ = 0.6, 0.8, 1. What do MAE, colorfulness and the distance between draws do? Compare with guidance and with
#    chapter 9's temperature.
# 3. **Painting in.** Fix the color of one place, say a red roof: at each step replace x there by the drowned truth. Does the rest follow?
#
# Solutions: `notebooks/solutions/11_solutions.ipynb`.
