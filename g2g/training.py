"""Training: fastai's `Learner` for one network, a `Learner` with two optimizers for the conditional GAN; resumable."""

import math
import os
import pickle
import time
import warnings
import zipfile
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from fastai.callback.fp16 import AMPMode, MixedPrecision
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import ParamScheduler, SchedLin, SchedNo, combine_scheds, combined_cos
from fastai.callback.training import BnFreeze
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper
from safetensors.torch import save
from torch import nn
from torch.optim.swa_utils import AveragedModel

from g2g.files import progress, save_atomic
from g2g.lab import to_rgb
from g2g.losses import LOSSES, discriminator_loss, generator_loss, gradient_penalty
from g2g.metrics import colorfulness


def get_device() -> torch.device:
    """The CUDA GPU if there is one, else the CPU (fastai's own choice would take an untested MPS)."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(device) -> str:
    """`bf16` from compute capability 8.0 up, `fp16` below (a T4 claims bf16 but emulates it), `fp32` without CUDA.

    `G2G_PRECISION`, `fp32` or `bf16`, replaces that choice: a CPU with AVX-512 BF16 or AMX trains faster in bf16.
    Raises ValueError for another value.
    """
    chosen = os.environ.get("G2G_PRECISION")
    if chosen:
        if chosen not in ("fp32", "bf16"):
            raise ValueError(f"G2G_PRECISION={chosen}; set it to fp32 or bf16, or unset it")
        return chosen
    if torch.device(device).type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"


def hardware(device) -> dict:
    """What trains, for the run's record: device, precision, CPU threads."""
    on_gpu = torch.device(device).type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else str(torch.device(device))
    return {"device": name, "precision": precision(device), "threads": torch.get_num_threads()}


@contextmanager
def fast_kernels():
    """TF32 and cuDNN's search for the fastest kernels, which training may use; scores are computed without them."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.backends.cudnn.flags(benchmark=True, allow_tf32=True):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _adam(recipe):
    """torch's AdamW, without decay the same as Adam, as a function of parameters; the fused kernel on CUDA."""
    options = {"betas": (recipe.beta1, 0.999), "weight_decay": recipe.weight_decay}
    return partial(torch.optim.AdamW, **options, fused=torch.cuda.is_available())


class LossLearner(Learner):
    """A fastai `Learner` that trains `model: L -> ab` on batches (L, ab) as a `g2g.profiles.Recipe` says.

    A model with a method `loss(L, ab)` is trained by that one, all others by the recipe's loss. Validation is L1.
    """

    def __init__(self, dls, model, recipe):
        mode = precision(dls.device)
        callbacks = [BnFreeze()] if mode == "fp32" else [BnFreeze(), Autocast(amp_mode=mode)]
        two_rates = recipe.encoder_lr_mult not in (0, 1)
        super().__init__(
            dls,
            model.to(dls.device, memory_format=torch.channels_last),
            loss_func=F.l1_loss,
            opt_func=partial(OptimWrapper, opt=_adam(recipe)),
            cbs=callbacks,
            splitter=_encoder_and_rest if two_rates else lambda model: [list(model.parameters())],
        )
        self.remove_cb(ProgressCallback)  # `fit` has a bar of its own
        self.recipe = recipe
        self.lr_mults = [recipe.encoder_lr_mult, 1.0] if two_rates else [1.0]
        if recipe.encoder_lr_mult == 0:
            freeze_features(model)
        if recipe.jitter:
            self.add_cb(Jitter(recipe.jitter))
        if recipe.frozen_epochs:
            self.add_cb(FreezeLastEpochs(recipe.frozen_epochs))
        if recipe.ema_decay:
            self.add_cb(AverageWeights(model, recipe.ema_decay))

    def _do_one_batch(self):
        if not self.training:
            return super()._do_one_batch()
        (L,), (ab,) = self.xb, self.yb
        has_own_loss = hasattr(self.model, "loss")
        self.pred = self.model.loss(L, ab) if has_own_loss else self.model(L)
        self("after_pred")  # mixed precision makes it float32
        self.loss_grad = self.pred if has_own_loss else LOSSES[self.recipe.loss](self.pred, ab, L)
        self.loss = self.loss_grad.clone()
        self("after_loss")
        self._do_grad_opt()


def freeze_features(model) -> None:
    """Fix the encoder, and all of batch norm: small steps from a trained network would blur its statistics."""
    model.encoder.requires_grad_(False)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.requires_grad_(False)  # fastai's BnFreeze keeps such layers in eval mode


def _encoder_and_rest(model):
    """Two groups of parameters, for two learning rates."""
    encoder = dict.fromkeys(model.encoder.parameters())  # by identity: DynamicUnet has it under another name
    rest = [parameter for parameter in model.parameters() if parameter not in encoder]
    return [list(encoder), rest]


class GANLearner(LossLearner):
    """A conditional GAN as pix2pix trains it: per batch one step of D, then one step of G, `self.model`.

    D, `(L, ab) -> logits`, judges, and the loss is computed, at the resolution at which G predicts: a D that sees finer
    color than G can paint wins by that alone.
    """

    def __init__(self, dls, generator, discriminator, recipe):
        super().__init__(dls, generator, recipe)
        self.discriminator = discriminator.to(dls.device, memory_format=torch.channels_last).train()
        self.epoch = 0  # a single step, without `fit`, counts as of epoch 0
        self.d_opt = _adam(recipe)(discriminator.parameters())
        self.d_scaler = torch.amp.GradScaler("cuda", enabled=precision(dls.device) == "fp16")

    def _discriminator_step(self, L, ab, pred_ab):
        for group in self.d_opt.param_groups:
            group["lr"] = self.recipe.d_lr_mult * self.opt.hypers[-1]["lr"]  # both follow one schedule
        self.discriminator.requires_grad_(True)
        self.d_loss = loss = discriminator_loss(self.discriminator, L, ab, pred_ab)
        if self.recipe.r1:
            loss = loss + self.recipe.r1 / 2 * gradient_penalty(self.discriminator, L, ab)
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
        weights = self.recipe.lambda_l1, LOSSES[self.recipe.loss], self.recipe.adversarial
        self.loss_grad, adversarial, term = generator_loss(self.discriminator, L, self.pred, ab, *weights)
        self.loss = self.loss_grad.clone()
        self.terms = {"d_loss": self.d_loss.detach(), "g_adv": adversarial.detach(), "g_l1": term.detach()}
        self("after_loss")
        if self.epoch >= self.recipe.d_epochs:
            self._do_grad_opt()


def gray_loss(batches) -> float:
    """Mean |ab| over batches of (L, ab): the L1 of a model that predicts gray, to read a loss against."""
    by_photo = [ab.abs().mean((1, 2, 3)) for _, ab in batches]
    return float(torch.cat(by_photo).mean())


class Autocast(MixedPrecision):
    """fastai's mixed precision, on a CPU as well: its own autocast is CUDA's alone."""

    name = "mixed_precision"  # what `learn` knows it by, as fastai's own

    def before_fit(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no CUDA
            super().before_fit()
        half = torch.float16 if self.amp_mode == AMPMode.FP16 else torch.bfloat16
        self.autocast = torch.autocast(self.learn.dls.device.type, dtype=half)


class Jitter(Callback):
    """Training photos as if exposed otherwise: contrast times 1 ± `most`, lightness ± `most`, drawn for each photo."""

    def __init__(self, most):
        self.most = most

    def before_batch(self):
        if self.training:
            (L,) = self.xb
            contrast, shift = self.most * (2 * torch.rand(2, len(L), 1, 1, 1, device=L.device) - 1)
            mean = L.mean((2, 3), keepdim=True)
            self.learn.xb = ((mean + shift + (1 + contrast) * (L - mean)).clamp(-1, 1),)


class FreezeLastEpochs(Callback):
    """The last `epochs` epochs see whole photos, with encoder and batch norm frozen."""

    def __init__(self, epochs):
        self.epochs = epochs

    def before_epoch(self):
        if self.epoch >= self.n_epoch - self.epochs:
            freeze_features(self.learn.model)
            self.dls.train.min_crop_side = 1.0


class AverageWeights(Callback):
    """An exponential moving average of weights and batch norm's statistics, which is validated and kept.

    At the beginning it forgets faster, so that the untrained weights are soon gone.
    """

    def __init__(self, model, decay):
        def update(averages, weights, count):
            if not averages[0].is_floating_point():  # batch norm counts its batches
                return torch._foreach_copy_(averages, weights)
            decay_now = min(decay, (1 + float(count)) / (10 + float(count)))
            return torch._foreach_lerp_(averages, weights, 1 - decay_now)

        self.average = AveragedModel(model, multi_avg_fn=update, use_buffers=True)

    def after_batch(self):
        if self.training:
            self.average.update_parameters(self.learn.model)

    def before_validate(self):
        self.trained = self.learn.model
        self.learn.model = self.average.module.eval()

    def after_validate(self):
        self.learn.model = self.trained


class TrainingDiverged(RuntimeError):
    """A loss became NaN or infinite; the last whole epoch's checkpoint is kept."""


class Checkpoint(Callback):
    """What a run leaves in `folder`, each file whole or not at all, and how it goes on after an interruption.

    `history.csv`, one row an epoch; `weights.safetensors` of the epoch with the lowest validation loss; of the last
    epoch `last.safetensors` and a GAN's `discriminator.safetensors`; and `checkpoint-*.pt` of the last two epochs, from
    which a resumed run goes on. Everything random in an epoch follows from the seed and the epoch's number.
    """

    order = 70  # after fastai's own callbacks and AverageWeights

    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.state = load_checkpoint(folder)
        self.rows = self.state["rows"] if self.state else []

    def before_fit(self):  # mixed precision has made its scaler by now
        if self.state:
            for name, part in _parts(self.learn).items():
                if "scaler" in name and not (self.state.get(name) and part.is_enabled()):
                    continue  # this GPU or the one before scales no loss
                part.load_state_dict(self.state[name])
            self.state = None

    def before_epoch(self):
        torch.manual_seed(self.seed * 1_000_003 + self.epoch)
        self.dls.train.epoch = self.epoch
        self.photos, self.values = defaultdict(list), defaultdict(list)
        self.started = time.time()

    def after_batch(self):
        if self.training:
            if not math.isfinite(self.learn.smooth_loss):  # on the CPU already: costs no wait
                self._diverged(f"the loss became {self.learn.loss.item()} in batch {self.iter + 1}")
            self._collect("train_loss", self.learn.loss)
            for name, term in getattr(self.learn, "terms", {}).items():
                self._collect(name, term)
        else:
            if not torch.isfinite(self.learn.loss):
                self._diverged("the validation loss became NaN or infinite")
            self._collect("valid_loss", self.learn.loss)
            shown = to_rgb(self.x.float(), self.pred.detach().float())
            self._collect("valid_colorfulness", colorfulness(shown).mean())

    def _collect(self, name, value):
        self.photos[name].append(len(self.x))
        self.values[name].append(value.detach())

    def _diverged(self, what):
        kept = f"the checkpoint of epoch {self.epoch} is kept" if self.epoch else "there was no whole epoch yet"
        raise TrainingDiverged(f"{what}, epoch {self.epoch + 1}. Lower the learning rate; {kept}.")

    def after_validate(self):
        row = {"epoch": self.epoch + 1}
        for name, values in self.values.items():
            values = torch.stack(values).double()
            photos = values.new_tensor(self.photos[name])
            row[name] = float(values @ photos / photos.sum())
        row["lr"] = float(self.opt.hypers[-1]["lr"])
        row["seconds"] = round(time.time() - self.started, 2)
        self.rows.append(row)
        self._keep_weights()
        save_atomic(partial(pd.DataFrame(self.rows).to_csv, index=False), self.folder / "history.csv")
        checkpoint = {name: part.state_dict() for name, part in _parts(self.learn).items()} | {"rows": self.rows}
        save_atomic(partial(torch.save, checkpoint), self.folder / f"checkpoint-{self.epoch + 1:04d}.pt")
        for old in sorted(self.folder.glob("checkpoint-*.pt"))[:-2]:
            old.unlink()

    def _keep_weights(self):
        parts = _parts(self.learn)
        model = parts["average"].module if "average" in parts else self.learn.model
        if self.rows[-1]["valid_loss"] == min(row["valid_loss"] for row in self.rows):
            save_weights(model, self.folder / "weights.safetensors")
        if self.epoch + 1 == self.n_epoch:
            save_weights(model, self.folder / "last.safetensors")
            if hasattr(self.learn, "discriminator"):
                save_weights(self.learn.discriminator, self.folder / "discriminator.safetensors")


def save_weights(model, path) -> None:
    """Write `model`'s state dict as safetensors, atomically."""
    tensors = {name: value.detach().contiguous().cpu() for name, value in model.state_dict().items()}
    save_atomic(lambda part: part.write_bytes(save(tensors)), path)  # save_file has errors and a file mode of its own


def load_checkpoint(folder) -> dict | None:
    """The newest whole checkpoint in `folder`, None without one. A damaged file is named and removed.

    Raises OSError or RuntimeError for a file that is whole but cannot be read, for lack of permission or memory.
    """
    for path in sorted(Path(folder).glob("checkpoint-*.pt"), reverse=True):
        try:
            if zipfile.ZipFile(path).testzip() is None:  # torch.load itself does not verify the checksums
                return torch.load(path, map_location="cpu", weights_only=True)
        except (zipfile.BadZipFile, EOFError, pickle.UnpicklingError):
            pass
        print(f"{path.name} is damaged: it is removed, and the checkpoint before it is tried")
        path.unlink()
    return None


def _parts(learn) -> dict:
    """What a checkpoint holds the state of, by name."""
    parts = {"model": learn.model, "opt": learn.opt.opt}
    if hasattr(learn, "mixed_precision"):
        parts["scaler"] = learn.mixed_precision.scaler
    if hasattr(learn, "discriminator"):
        parts |= {"d_model": learn.discriminator, "d_opt": learn.d_opt, "d_scaler": learn.d_scaler}
    if hasattr(learn, "average_weights"):
        parts["average"] = learn.average_weights.average
    return parts


class ShowProgress(Callback):
    """Moves `bar`, a `g2g.files.progress` over all steps that are left, and prints a line after each epoch."""

    order = 71  # after Checkpoint, which makes the row

    def __init__(self, bar):
        self.bar = bar

    def after_batch(self):
        if self.training:
            self.bar.update()

    def after_validate(self):
        row = self.checkpoint.rows[-1]
        losses = [f"{name} {value:.4f}" for name, value in row.items() if name not in ("epoch", "lr", "seconds")]
        self.bar.write(f"epoch {row['epoch']}/{self.n_epoch}  {'  '.join(losses)}  {row['seconds']:.0f} s")
        if row.get("d_loss", 1) < 0.02:
            self.bar.write("  D is hardly ever wrong now (below 0.02), so G learns little: lower d_lr_mult, or raise λ")


# What fastai's ParamScheduler makes of a learning rate, the maximum of one_cycle (Smith 2018), whose numbers are those
# of fastai's own `fit_one_cycle`. linear_decay: CycleGAN (Zhu et al. 2017), and its authors' code for pix2pix.
SCHEDULES = {
    "constant": lambda lr: {"lr": SchedNo(lr, lr)},
    "one_cycle": lambda lr: {
        "lr": combined_cos(0.25, lr / 25, lr, lr / 1e5),
        "mom": combined_cos(0.25, 0.95, 0.85, 0.95),
    },
    "linear_decay": lambda lr: {"lr": combine_scheds([0.5, 0.5], [SchedNo(lr, lr), SchedLin(lr, 0)])},
}


def fit(learn, folder) -> pd.DataFrame:
    """Train a `LossLearner` by its recipe, going on from the newest whole checkpoint in `folder` if there is one.

    Returns the history, one row per epoch (mean losses over the epoch's photos). Raises TrainingDiverged for a NaN or
    infinite loss, RuntimeError for too little GPU memory, or a file that could not be written.
    """
    recipe, folder = learn.recipe, Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".*.part"):  # half-written by a process that was killed
        left.unlink()
    checkpoint = Checkpoint(folder, recipe.seed)
    done = len(checkpoint.rows)
    if done:
        print(f"going on after epoch {done} of {recipe.epochs}")
    if done < recipe.epochs:
        learn.create_opt()
        schedules = SCHEDULES[recipe.schedule](recipe.lr)
        rate = schedules["lr"]
        schedules["lr"] = lambda position: [mult * rate(position) for mult in learn.lr_mults]
        steps = (recipe.epochs - done) * len(learn.dls.train)
        with progress(steps, "training", "steps") as bar, fast_kernels(), _breaking_cleanly(learn), learn.no_logging():
            callbacks = [checkpoint, ShowProgress(bar), ParamScheduler(schedules)]
            learn.fit(recipe.epochs, recipe.lr, cbs=callbacks, start_epoch=done)
    return pd.DataFrame(checkpoint.rows)


@contextmanager
def _breaking_cleanly(learn):
    """Says what to do when the GPU's memory is too small, and leaves autocast when a step breaks.

    fastai would stay in it after an exception, and its cache of half-precision weights would never be renewed.
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
