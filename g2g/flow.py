"""Color by flow matching (chapter 11): noise flows, step by step, to the residual of the U-Net's one prediction.

Lipman et al. 2023 and Liu et al. 2023 (rectified flow): on the straight line from noise (time 0) to data (time 1), a
network learns the velocity. Data are ab minus the U-Net's prediction, the residual, at an eighth of the resolution,
divided by its standard deviation.
"""

import math
import zlib

import torch
import torch.nn.functional as F
from torch import nn

from g2g.lab import batches
from g2g.palette import annealed_mean

NOISES = 4  # for each photo of a batch: all four together cost as much as computing its condition once
DROP = 0.1  # fraction of them that see L alone, for guidance without a classifier (Ho & Salimans 2022)
WIDTH_OF_TIME = 64  # sines and cosines that tell the network what time it is


def time_embedding(t):
    """Times (B,) in [0, 1] as sines and cosines of frequencies from 1000 down to 1: (B,64)."""
    frequencies = torch.logspace(3, 0, WIDTH_OF_TIME // 2, device=t.device)
    angles = t[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Block(nn.Module):
    """Two convolutions around a skip; the time, embedded, scales and shifts what is between them."""

    def __init__(self, channels_in: int, channels_out: int, width_of_time: int):
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, channels_in), nn.SiLU(), _conv(channels_in, channels_out))
        self.time = nn.Linear(width_of_time, 2 * channels_out)
        self.norm = nn.GroupNorm(8, channels_out)
        self.second = nn.Sequential(nn.SiLU(), _zeroed(_conv(channels_out, channels_out)))
        self.skip = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x, time):
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm(self.first(x)) * (1 + scale) + shift
        return self.skip(x) + self.second(hidden)


class Attention(nn.Module):
    """Self-attention over all places, one head: one half of a face learns which color the other one got."""

    def __init__(self, channels: int):
        super().__init__()
        self.qkv = nn.Sequential(nn.GroupNorm(8, channels), nn.Conv2d(channels, 3 * channels, 1))
        self.out = _zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x):
        query, key, value = self.qkv(x).flatten(2).chunk(3, dim=1)
        weights = (query.transpose(1, 2) @ key / math.sqrt(x.shape[1])).softmax(dim=2)
        return x + self.out((value @ weights.transpose(1, 2)).view(x.shape))


def _conv(channels_in, channels_out):
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def _zeroed(layer):
    """`layer` with zero weights: a block begins as its skip alone."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Velocity(nn.Module):
    """A small U-Net with time as a second input: the direction in which noisy ab moves.

    It sees `condition` channels beside noisy ab; `width`, a multiple of 8, is its own at full resolution, twice below.
    """

    def __init__(self, condition: int, width=64):
        super().__init__()
        if width % 8:
            raise ValueError(f"width: expected a multiple of 8, got {width}")
        wide, time = 2 * width, 2 * WIDTH_OF_TIME
        self.time = nn.Sequential(nn.Linear(WIDTH_OF_TIME, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU())
        self.first = _conv(2 + condition, width)
        self.down = nn.ModuleList([Block(width, width, time), Block(width, wide, time), Block(wide, wide, time)])
        self.attend = nn.ModuleList([Attention(width), Attention(wide), Attention(wide)])
        self.up = nn.ModuleList([Block(2 * wide, wide, time), Block(wide + width, width, time)])
        self.last = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), _zeroed(_conv(width, 2)))

    def forward(self, x, t, condition):
        """x (B,2,h,w) at times t (B,) with condition (B,C,h,w) to its velocity (B,2,h,w)."""
        time = self.time(time_embedding(t))
        x = self.first(torch.cat([x, condition], dim=1))
        skips = []
        for level, (block, attend) in enumerate(zip(self.down, self.attend, strict=True)):
            x = F.avg_pool2d(x, 2, ceil_mode=True) if level else x
            x = attend(block(x, time))
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = F.interpolate(x, size=skip.shape[2:])
            x = block(torch.cat([x, skip], dim=1), time)
        return self.last(x)


class FlowUnet(nn.Module):
    """A trained quarter U-Net, frozen, and a flow that draws its residual: each seed gives another coloring.

    `model`: a trained `g2g.models.QuarterUnet`, or a `g2g.palette.PaletteUnet`, whose mean is then the prediction.
    The flow reads the features of that U-Net only: another one's would mean nothing to it.

    Attributes:
        residual_std: standard deviation of the residual, of normalized ab.
        seed: of the noise, to which each photo adds its own (else a folder of photos would get one tint).
        steps: of Euler's method.
    """

    def __init__(self, model, width=64):
        super().__init__()
        self.unet = getattr(model, "unet", model)
        self.velocity = Velocity(self.unet.head.in_channels + 1 + 2, width)
        self.register_buffer("residual_std", torch.tensor(1.0))
        self.seed, self.steps = 0, 40  # chosen on validation photos: 20 steps are paler, 100 hardly more colorful

    @property
    def encoder(self):
        """What training leaves alone: the U-Net, whole."""
        return self.unet

    @torch.no_grad()
    def condition(self, L):
        """L (B,1,H,W) to L, the U-Net's prediction and features, at an eighth (B,1+2+C,h,w); prediction (B,2,H,W)."""
        features = self.unet.decode(L)
        pred_ab = self.unet.head(features)
        if pred_ab.shape[1] != 2:
            pred_ab = annealed_mean(pred_ab, 1.0)
        size = [math.ceil(side / 8) for side in L.shape[2:]]
        planes = [F.interpolate(x, size=size, mode="area") for x in (L, 10 * pred_ab, features)]
        return torch.cat(planes, dim=1), F.interpolate(pred_ab, size=L.shape[2:], mode="bilinear")

    def residual(self, L, ab):
        """The condition (B,C,h,w) and ab (B,2,h,w) minus the prediction, of photos (B,1,H,W) and (B,2,H,W)."""
        condition, pred_ab = self.condition(L)
        return condition, F.interpolate(ab - pred_ab, size=condition.shape[2:], mode="area")

    def loss(self, L, ab):
        """Mean squared error of the velocity at random times, each photo in `NOISES` noises."""
        condition, residual = (planes.repeat(NOISES, 1, 1, 1) for planes in self.residual(L, ab))
        unseen = torch.rand(len(condition), device=L.device) < DROP
        condition[unseen, 1:] = 0
        data = residual / self.residual_std
        noise = torch.randn_like(data)
        t = torch.rand(len(data), device=L.device)
        x_t = torch.lerp(noise, data, t.view(-1, 1, 1, 1))
        return F.mse_loss(self.velocity(x_t, t, condition), data - noise)

    def noise(self, L):
        """The noise that flows to each photo's colors, (B,2,h,w): of `seed` and of the photo."""
        height, width = (math.ceil(side / 8) for side in L.shape[2:])
        thumbnails = F.adaptive_avg_pool2d(L.float(), 8).mul(10).round().to("cpu", torch.int8)
        noises = []
        for thumbnail in thumbnails:
            both = zlib.crc32(thumbnail.numpy().tobytes(), self.seed)  # 32 bits, more than which torch would pass over
            generator = torch.Generator().manual_seed(both)
            noises.append(torch.randn(2, height, width, generator=generator))
        return torch.stack(noises).to(L.device)

    @torch.no_grad()
    def forward(self, L):
        """L (B,1,H,W) to one of the possible ab (B,2,H,W), not bounded. ValueError for other shapes or no step."""
        if self.steps < 1:
            raise ValueError(f"steps: expected 1 or more, got {self.steps}")
        condition, pred_ab = self.condition(L)
        x = self.noise(L)
        for step in range(self.steps):
            t = torch.full((len(x),), step / self.steps, device=L.device)
            x = x + self.velocity(x, t, condition) / self.steps
        return pred_ab + F.interpolate(self.residual_std * x, size=L.shape[2:], mode="bilinear")


def residual_std(model: FlowUnet, photos):
    """The standard deviation of the residual that the prediction of `model` leaves of uint8 photos (N,S,S,3)."""
    residuals = [model.residual(L, ab)[1] for L, ab in batches(photos, device=model.residual_std.device)]
    return torch.cat(residuals).std()
