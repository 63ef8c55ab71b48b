"""What notebooks 08 and 10 study: losses, augmentation, and one recipe of which a study changes one thing at a time.

Everything is at the photos' size: answer and ab (B,2,H,W), L (B,1,H,W), normalized as in `g2g.lab`.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from torch import nn

from g2g import training
from g2g.checkpoints import AverageWeights
from g2g.data import Photos, dataloaders
from g2g.lab import denormalize, lab_to_rgb
from g2g.models import PatchGAN, imagenet_classifier, unet
from g2g.training import get_device

CELL = 4  # px of the photo for each answer of the quarter U-Net; D judges at its resolution
SEEDS = (42, 43, 44)


def l1(answer, ab, *_):
    """Mean absolute error: of several possible colors, the median."""
    return F.l1_loss(answer, ab)


def mse(answer, ab, *_):
    """Mean squared error: the mean."""
    return F.mse_loss(answer, ab)


def huber(answer, ab, *_):
    """Squared for errors below 0.05, which is 5.5 CIE units, absolute beyond (Huber 1964)."""
    return F.huber_loss(answer, ab, delta=0.05)


def adversary(answer, ab, L, D, *_):
    """How surely D takes the answer for generated: cross-entropy for the label "real"."""
    verdict = D(F.avg_pool2d(L, CELL), F.avg_pool2d(answer, CELL))
    return F.softplus(-verdict).mean()


def l1_adversary(answer, ab, L, D, lambda_l1):
    """pix2pix's loss (Isola et al. 2017)."""
    return adversary(answer, ab, L, D) + lambda_l1 * l1(answer, ab)


def mse_adversary(answer, ab, L, D, lambda_l1):
    """The same with MSE, four times heavier, which pulls as hard at the answer.

    Of N errors e, the gradient of L1 is 1/√N long, that of MSE 2·RMS(e)/√N; and RMS(e) is near 1/8.
    """
    return adversary(answer, ab, L, D) + 4 * lambda_l1 * mse(answer, ab)


def perceptual(answer, ab, L, *_):
    """L1 between what an ImageNet network sees in the two pictures (Johnson et al. 2016, with VGG-16)."""
    pairs = zip(seen(L, answer), seen(L, ab), strict=True)
    return sum(F.l1_loss(x, y) for x, y in pairs)


def feature_matching(answer, ab, L, D, *_):
    """L1 between what D's inner layers answer to the two (Wang et al. 2018, who add it to the adversary)."""
    pairs = zip(inner(D, L, answer), inner(D, L, ab), strict=True)
    return sum(F.l1_loss(x, y.detach()) for x, y in pairs)


LOSSES = {
    "L1": l1,
    "MSE": mse,
    "Huber": huber,
    "L1 + adversary": l1_adversary,
    "MSE + adversary": mse_adversary,
    "perceptual": perceptual,
    "feature matching": feature_matching,
}
NEED_D = ("L1 + adversary", "MSE + adversary", "feature matching")


@functools.cache
def feature_extractor():
    """EfficientNet-Lite0, frozen, with its ImageNet weights."""
    return imagenet_classifier("efficientnet_lite0").eval().requires_grad_(False)


def seen(L, ab) -> list[torch.Tensor]:
    """Its features at strides 2, 4 and 8. Colors beyond sRGB are not clipped, for a clipped one has no gradient."""
    rgb = lab_to_rgb(denormalize(L, ab), clip=False)
    return feature_extractor().forward_intermediates(2 * rgb - 1, indices=[0, 1, 2], intermediates_only=True, stop_early=True)


def inner(D, L, ab) -> list[torch.Tensor]:
    """What each LeakyReLU of a PatchGAN answers."""
    x, answers = torch.cat([F.avg_pool2d(planes, CELL) for planes in (L, ab)], dim=1), []
    for layer in D.layers:
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU):
            answers.append(x)
    return answers


def jitter(L, most):
    """L (B,1,H,W) as if exposed otherwise: contrast times 1 ± `most`, lightness ± `most`, drawn for each photo."""
    contrast, shift = most * (2 * torch.rand(2, len(L), 1, 1, 1, device=L.device) - 1)
    mean = L.mean((2, 3), keepdim=True)
    return (mean + shift + (1 + contrast) * (L - mean)).clamp(-1, 1)


@dataclass(frozen=True, eq=False)
class Some(Photos):
    """Photos of which only some are trained on: `chosen` are their numbers, one may occur many times."""

    chosen: np.ndarray

    train = property(lambda self: self._open("train")[self.chosen])

    def files(self, split: str) -> list[str]:
        """As in `Photos`."""
        files = super().files(split)
        return [files[number] for number in self.chosen] if split == "train" else files


def some(photos: Photos, n: int, least: int, seed: int) -> Photos:
    """`n` training photos, drawn by seed, over and over until there are `least`: an epoch is as long for all."""
    chosen = np.random.default_rng(seed).permutation(len(photos.train))[:n]
    return Some(photos.folder, photos.size, photos.manifest, photos.hash, np.resize(chosen, max(len(chosen), least)))


@dataclass(frozen=True)
class StudyConfig:
    """All that decides a training, beside its photos; the defaults are the one recipe. Network: the quarter U-Net."""

    loss: str = "L1 + adversary"  # of LOSSES
    seed: int = 42
    photos: int = 2000  # to train on, at most
    crop: float = 0.6  # least share of the side that random crops keep
    jitter: float = 0.0  # see `jitter`
    lr: float = 1e-3  # constant for half of the epochs, then falling to zero; the encoder's is 0.3 times, D's 0.2 times
    lambda_l1: float = 30.0  # weight of the L1 term beside the adversary
    receptive_field: int = 16  # of D, in cells
    beta1: float = 0.5  # of both Adams
    batch_size: int = 32
    epochs: int = 5
    epoch: int = 2000  # photos in an epoch, however many there are


class LossCallback(Callback):
    """Trains by one of LOSSES, and, where it needs D, D one step before. Validation stays L1."""

    def __init__(self, job: StudyConfig):
        self.job = job

    def before_batch(self):
        if self.training and self.job.jitter:
            self.learn.xb = (jitter(*self.xb, self.job.jitter),)

    def after_loss(self):
        if not self.training:
            return
        (L,), (ab,), D = self.xb, self.yb, getattr(self.learn, "discriminator", None)
        if D is not None:
            self.step(D, *(F.avg_pool2d(planes, CELL) for planes in (L, ab, self.pred.detach())))
        cost = LOSSES[self.job.loss](self.pred, ab, L, D, self.job.lambda_l1)
        self.learn.loss_grad, self.learn.loss = cost, cost.clone()

    def step(self, D, L, ab, answer):
        """D's step; afterwards gradients go through D but none are taken of it."""
        for group in self.learn.d_opt.param_groups:
            group["lr"] = 0.2 * self.opt.hypers[-1]["lr"]
        D.train().requires_grad_(True)
        loss = training.discriminator_loss(D, L, ab, answer)
        self.learn.d_opt.zero_grad()
        (loss + training.gradient_penalty(D, L, ab) / 2).backward()
        self.learn.d_opt.step()
        D.requires_grad_(False)
        self.learn.terms = {"d_loss": loss.detach()}


def learner(job: StudyConfig, photos: Photos):
    """The fastai `Learner` of a job, seeded, for `g2g.training.fit`."""
    torch.manual_seed(job.seed)
    chosen = some(photos, job.photos, job.epoch, job.seed)
    dls = dataloaders(chosen, job.batch_size, job.seed, get_device(), job.crop, max(job.epoch // job.batch_size, 1))
    betas = (job.beta1, 0.999)
    learn = training.l1_learner(dls, unet(), betas, weight_decay=0.05, encoder_lr_mult=0.3)
    if job.loss in NEED_D:
        learn.discriminator = PatchGAN(job.receptive_field).to(get_device())
        learn.d_opt = training.adam(betas)(learn.discriminator.parameters())
    learn.add_cbs([LossCallback(job), AverageWeights(learn.model, 0.99)])
    return learn


FLIPS, ALL = {"crop": 1.0, "jitter": 0.0}, {"crop": 0.6, "jitter": 0.2}
COUNTS = (250, 1000, 2500, 8000)
CHANGES = {
    "lr": (1e-4, 1e-2),
    "lambda_l1": (10.0, 100.0, 1000.0),
    "receptive_field": (1, 34),
    "beta1": (0.0, 0.9),
    "batch_size": (8, 128),
}


def losses(seeds=SEEDS):
    """Every loss with every seed: (factor, value, job)."""
    return [("loss", loss, StudyConfig(loss, seed)) for seed in seeds for loss in LOSSES]


def photos(seeds=SEEDS):
    """Four numbers of photos with flips alone and with all augmentation, as many steps each, and every seed."""
    arms = [("flips", FLIPS), ("all", ALL)]
    return [(name, n, StudyConfig("L1", seed, n, epochs=3, **arm)) for seed in seeds for n in COUNTS for name, arm in arms]


def parameters(seeds=SEEDS):
    """The one recipe with every seed, then every change, each by itself, with the first."""
    base = StudyConfig(seed=seeds[0])
    changes = [(factor, value, replace(base, **{factor: value})) for factor in CHANGES for value in CHANGES[factor]]
    return [("seed", seed, StudyConfig(seed=seed)) for seed in seeds] + changes


STUDIES = {"losses": losses, "photos": photos, "parameters": parameters}
