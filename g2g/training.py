"""Training: L1 through fastai's `Learner`, the conditional GAN as a `Learner` with two optimizers."""

import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import ParamScheduler, SchedLin, SchedNo, combine_scheds, combined_cos
from fastai.callback.training import BnFreeze
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper
from fastcore.imports import IN_NOTEBOOK
from torch import nn

from g2g import checkpoints


def get_device() -> torch.device:
    """The CUDA GPU if there is one, else the CPU (fastai's own choice would take an untested MPS)."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(device) -> str:
    """`bf16` from compute capability 8.0 up, `fp16` below (a T4 claims bf16 but emulates it), `fp32` without CUDA."""
    if torch.device(device).type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"


def hardware(device) -> dict:
    """Settings that make training fast on `device`, applied, and returned as lines for the run's record."""
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.set_float32_matmul_precision("high")  # TF32 where autocast leaves float32
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True  # one input size per run
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else str(torch.device(device)),
        "precision": precision(device),
        "threads": torch.get_num_threads(),
    }


def adam(betas=(0.9, 0.999), weight_decay=0.0):
    """torch's AdamW, without decay the same as Adam, as a function of parameters; the fused kernel on CUDA."""
    return partial(torch.optim.AdamW, betas=betas, weight_decay=weight_decay, fused=torch.cuda.is_available())


def _prepare(model, device):
    return model.to(device, memory_format=torch.channels_last)


def _options(dls, betas, weight_decay=0.0):
    """What all learners share: L1, Adam, and the precision of the hardware."""
    mode = precision(dls.device)
    return {
        "loss_func": F.l1_loss,
        "opt_func": partial(OptimWrapper, opt=adam(betas, weight_decay)),
        "cbs": None if mode == "fp32" else MixedPrecision(amp_mode=mode),
    }


def l1_learner(dls, model, betas=(0.9, 0.999), weight_decay=0.0, encoder_lr_mult=1.0, kind=Learner) -> Learner:
    """A fastai `Learner` for `model: L -> ab` with L1 loss and torch's AdamW, in the precision of the hardware.

    Args:
        encoder_lr_mult: learning rate of `model.encoder`, as a share of the others'; 0 freezes it, and batch norm.
        kind: the class of the learner.
    """
    options = _options(dls, betas, weight_decay)
    two_rates = encoder_lr_mult not in (0, 1)
    if two_rates:
        options["splitter"] = _encoder_and_rest
    learn = kind(dls, _prepare(model, dls.device), **options)
    learn.remove_cb(ProgressCallback)  # `fit` adds it in notebooks
    learn.shares = [encoder_lr_mult, 1.0] if two_rates else [1.0]
    if encoder_lr_mult == 0:
        freeze_features(learn)
    return learn


def freeze_features(learn) -> None:
    """Fix the encoder, and all of batch norm: small steps from a trained network would blur its statistics."""
    learn.model.encoder.requires_grad_(False)
    for layer in learn.model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.requires_grad_(False)
    learn.add_cb(BnFreeze())  # batch norm without gradients stays in eval mode


def _encoder_and_rest(model):
    """Two groups of parameters, for two learning rates."""
    encoder = list(model.encoder.parameters())
    known = set(map(id, encoder))  # by identity: DynamicUnet's encoder is its first layer, under another name
    rest = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return [encoder, rest]


def discriminator_loss(D, L, real_ab, fake_ab) -> torch.Tensor:
    """BCE of D on real pictures (label 1) and generated ones (label 0), halved as in pix2pix (Isola et al. 2017).

    Detaches `fake_ab`: D's step does not reach G. A D that cannot tell scores ln 2 = 0.693.
    """
    real = D(L, real_ab)
    fake = D(L, fake_ab.detach())
    loss_real = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
    loss_fake = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    return 0.5 * (loss_real + loss_fake)


def gradient_penalty(D, L, real_ab) -> torch.Tensor:
    """R1 (Mescheder et al. 2018): how steep D is at real colors, so that it stays a slope that G can walk.

    The squared length of the gradient of D's mean verdict on a photo, averaged over photos.
    """
    ab = real_ab.detach().requires_grad_()
    verdicts = D(L, ab).mean((1, 2, 3))
    (slope,) = torch.autograd.grad(verdicts.sum(), ab, create_graph=True)
    return slope.square().sum((1, 2, 3)).mean()


def generator_loss(D, L, fake_ab, real_ab, lambda_l1=100.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """pix2pix's generator loss BCE(D(L, G(L)), 1) + lambda_l1 * L1. Returns (total, adversarial term, L1 term)."""
    verdict = D(L, fake_ab)
    adversarial = F.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))
    l1 = F.l1_loss(fake_ab, real_ab)
    return adversarial + lambda_l1 * l1, adversarial, l1


class GANLearner(Learner):
    """A conditional GAN as pix2pix trains it: per batch one step of D, then one step of G against the new D.

    `self.model` is the generator, so saving, prediction and validation (L1) work as for any `Learner`. D judges, and
    L1 corrects, at the resolution at which G answers: a D that sees finer color than G can paint wins by that alone.

    Args:
        dls: batches (L, ab).
        generator, discriminator: `L -> ab` and `(L, ab) -> logits`.
        lambda_l1: weight of the L1 term. betas: of both Adams. d_lr_mult: D's learning rate, as a share of G's.
        r1: weight of `gradient_penalty` in D's step, halved as usual.
        d_epochs: so many epochs, the first of all, D trains alone. freeze: see `freeze_features`.
    """

    def __init__(
        self,
        dls,
        generator,
        discriminator,
        *,
        lambda_l1=100.0,
        betas=(0.5, 0.999),
        d_lr_mult=1.0,
        r1=0.0,
        d_epochs=0,
        freeze=False,
    ):
        super().__init__(dls, _prepare(generator, dls.device), **_options(dls, betas))
        self.remove_cb(ProgressCallback)
        self.discriminator = _prepare(discriminator, dls.device)
        self.lambda_l1 = lambda_l1
        self.d_lr_mult = d_lr_mult
        self.r1 = r1
        self.d_epochs, self.epoch = d_epochs, 0  # a single step, without `fit`, counts as of epoch 0
        if freeze:
            freeze_features(self)
        self.d_opt = adam(betas)(discriminator.parameters())
        self.d_scaler = torch.amp.GradScaler("cuda", enabled=precision(dls.device) == "fp16")

    def _do_fit(self):
        self.discriminator.train()
        super()._do_fit()

    def _discriminator_step(self, L, ab, fake):
        for group in self.d_opt.param_groups:
            group["lr"] = self.d_lr_mult * self.opt.hypers[-1]["lr"]  # both follow one schedule
        self.discriminator.requires_grad_(True)
        self.d_loss = loss = discriminator_loss(self.discriminator, L, ab, fake)
        if self.r1:
            loss = loss + self.r1 / 2 * gradient_penalty(self.discriminator, L, ab)
        with torch.autocast(L.device.type, enabled=False):  # the backward pass stays out of autocast
            self.d_opt.zero_grad()
            self.d_scaler.scale(loss).backward()
            self.d_scaler.step(self.d_opt)
            self.d_scaler.update()
        self.discriminator.requires_grad_(False)  # G's step needs gradients through D, not of D

    def _do_one_batch(self):
        if not self.training:
            return super()._do_one_batch()
        (L,), (ab,) = self.xb, self.yb
        self.pred = getattr(self.model, "quarter", self.model)(L)
        L, ab = (F.interpolate(planes, size=self.pred.shape[2:], mode="area") for planes in (L, ab))
        self("after_pred")
        self._discriminator_step(L, ab, self.pred)
        self.loss_grad, adversarial, l1 = generator_loss(self.discriminator, L, self.pred, ab, self.lambda_l1)
        self.loss = self.loss_grad.clone()
        self.terms = {"d_loss": self.d_loss.detach(), "g_adv": adversarial.detach(), "g_l1": l1.detach()}
        self("after_loss")
        if self.epoch >= self.d_epochs:
            self._do_grad_opt()


class OwnLossLearner(Learner):
    """Trains a model that knows what its mistakes cost, by `model.loss(L, ab)`; validated, as all models, by L1."""

    def _do_one_batch(self):
        if not self.training:
            return super()._do_one_batch()
        (L,), (ab,) = self.xb, self.yb
        self.pred = self.model.loss(L, ab)
        self("after_pred")  # mixed precision makes it float32
        self.loss_grad = self.pred
        self.loss = self.loss_grad.clone()
        self("after_loss")
        self._do_grad_opt()


def gray_loss(batches) -> float:
    """Mean |ab| over batches of (L, ab): the L1 of a model that answers gray, to read a loss against."""
    by_photo = [ab.abs().mean((1, 2, 3)) for _, ab in batches]
    return float(torch.cat(by_photo).mean())


# What fastai's ParamScheduler makes of a learning rate; one_cycle with the numbers of its own `fit_one_cycle`
_MOMENTUM = combined_cos(0.25, 0.95, 0.85, 0.95)
SCHEDULES = {
    "constant": lambda lr: {"lr": SchedNo(lr, lr)},
    "one_cycle": lambda lr: {"lr": combined_cos(0.25, lr / 25, lr, lr / 1e5), "mom": _MOMENTUM},
    "linear_decay": lambda lr: {"lr": combine_scheds([0.5, 0.5], [SchedNo(lr, lr), SchedLin(lr, 0)])},
}


def _shared(schedules, shares):
    """`schedules` with a learning rate for each group of parameters: its share of the scheduled one."""
    rate = schedules["lr"]
    return schedules | {"lr": lambda position: [share * rate(position) for share in shares]}


def fit(learn, folder, *, epochs, lr, schedule="constant", seed=42) -> pd.DataFrame:
    """Train `learn` to `epochs` epochs, going on from the newest whole checkpoint in `folder` if there is one.

    Args:
        schedule: `constant`; `one_cycle` (Smith 2018; `lr` is the maximum); or `linear_decay`: constant for half of
            the epochs, then linearly to 0 (CycleGAN, Zhu et al. 2017, and its authors' code for pix2pix).

    Returns the history, one row per epoch (mean losses over the epoch's photos).

    Raises:
        TrainingDiverged: NaN or infinite loss. RuntimeError: out of GPU memory, or a file could not be written.
        ValueError: unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {schedule!r}; known: {', '.join(SCHEDULES)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".*.part"):  # half-written by a process that was killed
        left.unlink()
    history = checkpoints.History()
    callbacks = [checkpoints.SeedEpochs(seed), history, checkpoints.StopWhenDiverged()]
    callbacks += [checkpoints.KeepWeights(folder), checkpoints.Checkpoints(folder), checkpoints.Report()]
    if IN_NOTEBOOK and not os.environ.get("G2G_PLAIN"):
        callbacks.append(ProgressCallback())
    learn.create_opt()
    state = checkpoints.load_checkpoint(folder, learn.dls.device)
    if state:
        checkpoints.restore(learn, state)
        history.rows = state["rows"]
        print(f"going on after epoch {len(history.rows)} of {epochs}")
    if len(history.rows) < epochs:
        scheduler = ParamScheduler(_shared(SCHEDULES[schedule](lr), getattr(learn, "shares", [1.0])))
        with learn.no_logging(), learn.added_cbs(callbacks), _breaking_cleanly(learn):
            learn.fit(epochs, lr, cbs=scheduler, start_epoch=len(history.rows))
    return pd.DataFrame(history.rows)


@contextmanager
def _breaking_cleanly(learn):
    """Around training: says what to do when the GPU's memory is too small, and leaves autocast when a step breaks.

    fastai would stay in autocast after an exception, whose cache of half-precision weights then never gets renewed.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        size = learn.dls.train.bs
        raise RuntimeError(
            f"the GPU's memory is too small for batch_size={size}: set batch_size={max(size // 2, 1)} "
            "in the recipe (and restart the runtime to free what is held)"
        ) from error
    finally:
        if torch.is_autocast_enabled(learn.dls.device.type) and hasattr(learn, "mixed_precision"):
            learn.mixed_precision.autocast.__exit__(None, None, None)
