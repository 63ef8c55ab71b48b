"""Training: L1 through fastai's `Learner`, the conditional GAN as a `Learner` with two optimizers."""

import os
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import ParamScheduler, SchedLin, SchedNo, combine_scheds
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper
from fastai.torch_core import num_distrib, rank_distrib
from torch import nn

from g2g.checkpoints import Keeper, bare, load_checkpoint

SCHEDULES = ("constant", "one_cycle", "linear_decay")


def adam(betas=(0.9, 0.999)):
    """torch's Adam as a fastai `opt_func`; the fused kernel on CUDA."""
    return partial(OptimWrapper, opt=partial(torch.optim.Adam, betas=betas, fused=torch.cuda.is_available()))


def precision(device) -> str:
    """`bf16` from compute capability 8.0 up, `fp16` below it, `fp32` on anything but CUDA.

    A T4 (7.5) claims bf16 support but emulates it, hence the capability and not `is_bf16_supported()`.
    """
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
        "tf32": on_gpu,
        "channels_last": True,
        "fused_adam": on_gpu,
        "threads": torch.get_num_threads(),
    }


def _mixed(device) -> list:
    return [] if (mode := precision(device)) == "fp32" else [MixedPrecision(amp_mode=mode)]


def _prepare(model, device):
    return model.to(device, memory_format=torch.channels_last)


def l1_learner(dls, model, betas=(0.9, 0.999)) -> Learner:
    """A fastai `Learner` for `model: L -> ab` with L1 loss and torch's Adam, in the precision of the hardware."""
    learn = Learner(dls, _prepare(model, dls.device), loss_func=F.l1_loss, opt_func=adam(betas), cbs=_mixed(dls.device))
    learn.remove_cb(ProgressCallback)  # `fit` adds it in notebooks
    return learn


def discriminator_loss(D, L, real_ab, fake_ab) -> torch.Tensor:
    """BCE of D on real pictures (label 1) and generated ones (label 0), halved as in pix2pix (Isola et al. 2017).

    Detaches `fake_ab`: D's step does not reach G. A D that cannot tell scores ln 2 = 0.693.
    """
    real, fake = D(L, real_ab), D(L, fake_ab.detach())
    bce = F.binary_cross_entropy_with_logits
    return 0.5 * (bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake)))


def generator_loss(D, L, fake_ab, real_ab, lam=100.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """pix2pix's generator loss BCE(D(L, G(L)), 1) + lam * L1. Returns (total, adversarial term, L1 term)."""
    verdict = D(L, fake_ab)
    adversarial = F.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))
    l1 = F.l1_loss(fake_ab, real_ab)
    return adversarial + lam * l1, adversarial, l1


class GANLearner(Learner):
    """A conditional GAN as pix2pix trains it: per batch one step of D, then one step of G against the new D.

    `self.model` is the generator, so saving, prediction and validation (L1) work as for any `Learner`.

    Args:
        dls: batches (L, ab).
        generator, discriminator: `L -> ab` and `(L, ab) -> logits`.
        lam: weight of the L1 term. betas: of both Adams. d_rate: D's learning rate, as a share of G's.
    """

    def __init__(self, dls, generator, discriminator, *, lam=100.0, betas=(0.5, 0.999), d_rate=1.0):
        super().__init__(
            dls,
            _prepare(generator, dls.device),
            loss_func=F.l1_loss,
            opt_func=adam(betas=betas),
            cbs=_mixed(dls.device),
        )
        self.remove_cb(ProgressCallback)
        self.discriminator, self.lam, self.d_rate = _prepare(discriminator, dls.device), lam, d_rate
        self.d_opt = torch.optim.Adam(discriminator.parameters(), betas=betas, fused=torch.cuda.is_available())
        self.d_scaler = torch.amp.GradScaler("cuda", enabled=precision(dls.device) == "fp16")

    def _do_fit(self):
        self.discriminator.train()
        if distributed := getattr(self, "distributed_trainer", None):
            if distributed.sync_bn:
                self.discriminator = nn.SyncBatchNorm.convert_sync_batchnorm(self.discriminator)
            self.discriminator = distributed.accelerator.prepare(self.discriminator)
        try:
            super()._do_fit()
        finally:
            self.discriminator = bare(self.discriminator)

    def _discriminator_step(self, L, ab, fake):
        for group in self.d_opt.param_groups:
            group["lr"] = self.d_rate * self.opt.hypers[-1]["lr"]  # both follow one schedule
        self.discriminator.requires_grad_(True)
        self.d_loss = discriminator_loss(self.discriminator, L, ab, fake)
        with torch.autocast(L.device.type, enabled=False):  # the backward pass stays out of autocast
            self.d_opt.zero_grad()
            self.d_scaler.scale(self.d_loss).backward()
            self.d_scaler.step(self.d_opt)
            self.d_scaler.update()
        self.discriminator.requires_grad_(False)  # G's step needs gradients through D, not of D

    def _do_one_batch(self):
        if not self.training:
            return super()._do_one_batch()
        (L,), (ab,) = self.xb, self.yb
        self.pred = self.model(L)
        self("after_pred")
        self._discriminator_step(L, ab, self.pred)
        D = bare(self.discriminator)  # DDP would wait for gradients of D, which this step has none of
        self.loss_grad, adversarial, l1 = generator_loss(D, L, self.pred, ab, self.lam)
        self.loss = self.loss_grad.clone()
        self.terms = {"d_loss": self.d_loss.detach(), "g_adv": adversarial.detach(), "g_l1": l1.detach()}
        self("after_loss")
        self._do_grad_opt()


def predict(model, L, batch_size=32) -> torch.Tensor:
    """ab (B,2,H,W) for L (B,1,H,W) in [-1, 1], float32 on L's device, in eval mode and without gradients."""
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    with torch.no_grad():
        ab = torch.cat([model(part.to(device)).float().to(L.device) for part in L.split(batch_size)])
    model.train(was_training)
    return ab


def fit(learn, folder, *, epochs, lr, schedule="constant", seed=42) -> pd.DataFrame:
    """Train `learn` to `epochs` epochs, going on from the newest whole checkpoint in `folder` if there is one.

    Args:
        schedule: `constant`; `one_cycle` (Smith 2018, with fastai's defaults and `lr` as the maximum); or
            `linear_decay`: constant for half of the epochs, then linearly to 0 (CycleGAN, Zhu et al. 2017, and its
            authors' PyTorch code for pix2pix).

    Returns:
        the history, one row per epoch (mean losses over the epoch's photos).

    Raises:
        TrainingDiverged: NaN or infinite loss. RuntimeError: out of GPU memory, or a file could not be written.
        ValueError: unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {schedule!r}; known: {', '.join(SCHEDULES)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bars = _in_notebook() and not os.environ.get("G2G_PLAIN") and not rank_distrib()
    keeper = Keeper(folder, seed, bars)
    learn.add_cbs([keeper, ProgressCallback()] if bars else [keeper])
    try:
        learn.create_opt()
        if state := load_checkpoint(folder, learn.dls.device):
            keeper.restore(state)
            if not rank_distrib() and len(keeper.rows) < epochs:
                print(f"going on after epoch {len(keeper.rows)} of {epochs}")
        if len(keeper.rows) < epochs:
            run = learn.fit_one_cycle if schedule == "one_cycle" else learn.fit
            cbs = []
            if schedule == "linear_decay":
                cbs = [ParamScheduler({"lr": combine_scheds([0.5, 0.5], [SchedNo(lr, lr), SchedLin(lr, 0)])})]
            with learn.no_logging(), stepping(learn), _several_processes(learn):  # Keeper prints a line per epoch
                run(epochs, lr, cbs=cbs, start_epoch=len(keeper.rows))
    finally:
        learn.remove_cbs([ProgressCallback, keeper] if bars else [keeper])
    return pd.DataFrame(keeper.rows)


def gray_loss(batches) -> float:
    """Mean |ab| over batches of (L, ab): the L1 of a model that answers gray, to read a loss against."""
    total, photos = 0.0, 0
    for _, ab in batches:
        total, photos = total + float(ab.abs().mean()) * len(ab), photos + len(ab)
    return total / photos


@contextmanager
def stepping(learn):
    """Around training steps: says what to do when the GPU's memory is too small, and leaves autocast when they break.

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


def _several_processes(learn):
    """fastai's `distrib_ctx` when started by `accelerate launch`, else a context that does nothing."""
    if num_distrib() < 2:
        return nullcontext()
    from accelerate import DistributedDataParallelKwargs
    from fastai.distributed import DistributedDL

    DistributedDL._broadcast = lambda self, idxs, rank: idxs  # the order follows from (seed, epoch) in every process
    # D's step runs D twice before one backward pass: buffers must not be overwritten in between
    buffers = DistributedDataParallelKwargs(broadcast_buffers=False)
    return learn.distrib_ctx(sync_bn=learn.dls.device.type == "cuda", kwargs_handlers=[buffers])


def _in_notebook() -> bool:
    try:
        return get_ipython().__class__.__name__ in ("ZMQInteractiveShell", "Shell")  # Jupyter, Colab
    except NameError:
        return False
