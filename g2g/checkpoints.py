"""What a run leaves on disk: weights, history and a checkpoint per epoch, each written whole or not at all.

The callbacks do one job each. They act after an epoch's validation, which an epoch that a resume skips never reaches.
"""

import math
import time
import zipfile
from collections import defaultdict
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from fastai.callback.core import Callback
from safetensors.torch import save
from torch.optim.swa_utils import AveragedModel

from g2g.files import save_atomic
from g2g.lab import to_rgb
from g2g.metrics import colorfulness


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the last whole epoch's checkpoint is kept."""


def save_weights(model, path) -> None:
    """Write `model`'s state dict as safetensors, atomically."""
    tensors = {name: value.detach().contiguous().cpu() for name, value in model.state_dict().items()}
    save_atomic(lambda part: part.write_bytes(save(tensors)), path)  # save_file has errors and a file mode of its own


def load_checkpoint(folder, device="cpu") -> dict | None:
    """The newest whole checkpoint in `folder`, None without one; a damaged one is named and the one before used."""
    for path in sorted(Path(folder).glob("checkpoint-*.pt"), reverse=True):
        try:
            damaged = zipfile.ZipFile(path).testzip()  # torch.load itself does not verify the checksums
            if damaged:
                raise ValueError(f"{damaged} is damaged")
            return torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # whatever a damaged file provokes, the answer is the same
            print(f"{path.name} cannot be used ({error}); trying the checkpoint before it")
    return None


def _parts(learn) -> dict:
    """What a checkpoint holds the state of, by name: networks and optimizers."""
    parts = {"model": learn.model, "opt": learn.opt.opt}
    if hasattr(learn, "discriminator"):
        parts |= {"d_model": learn.discriminator, "d_opt": learn.d_opt}
    if hasattr(learn, "average_weights"):
        parts["average"] = learn.average_weights.average
    return parts


def restore(learn, checkpoint: dict) -> None:
    """Put the networks and optimizers of `learn` back into the state of `checkpoint`."""
    for name, part in _parts(learn).items():
        part.load_state_dict(checkpoint[name])


class SeedEpochs(Callback):
    """Everything random in an epoch follows from (seed, epoch): a resumed run needs no generator's state."""

    def __init__(self, seed):
        self.seed = seed

    def before_epoch(self):
        torch.manual_seed(self.seed * 1_000_003 + self.epoch)
        self.dls.train.epoch = self.epoch


class History(Callback):
    """Collects `rows`, one per epoch: means over the epoch's photos of losses and colorfulness, rate, seconds."""

    order = 65  # after fastai's own

    def __init__(self):
        self.rows = []

    def before_epoch(self):
        self.photos, self.losses = defaultdict(list), defaultdict(list)
        self.started = time.time()

    def after_batch(self):
        losses = {"valid_loss": self.learn.loss}
        if self.training:
            losses = {"train_loss": self.learn.loss} | getattr(self.learn, "terms", {})
        else:  # does it color? The loss does not say
            losses["valid_colorfulness"] = colorfulness(to_rgb(self.x, self.pred.detach().float())).mean()
        for name, loss in losses.items():
            self.photos[name].append(len(self.x))
            self.losses[name].append(loss.detach())

    def after_validate(self):
        row = {"epoch": self.epoch + 1}
        for name, losses in self.losses.items():
            losses = torch.stack(losses).double()
            photos = losses.new_tensor(self.photos[name])
            row[name] = float(losses @ photos / photos.sum())
        row["lr"] = float(self.opt.hypers[-1]["lr"])
        row["seconds"] = round(time.time() - self.started, 2)
        self.rows.append(row)


class StopWhenDiverged(Callback):
    """Raises TrainingDiverged at a loss that is NaN or infinite, before anything is kept of it."""

    order = 66

    def after_batch(self):
        if self.training and not math.isfinite(self.learn.smooth_loss):  # on the CPU already: costs no wait
            kept = f"the checkpoint of epoch {self.epoch} is kept" if self.epoch else "there was no whole epoch yet"
            where = f"in epoch {self.epoch + 1}, batch {self.iter + 1}"
            raise TrainingDiverged(
                f"the loss became {self.learn.loss.item()} {where}. Lower the learning rate; {kept}."
            )

    def after_validate(self):
        loss = self.history.rows[-1]["valid_loss"]
        if not math.isfinite(loss):
            what = f"the validation loss of epoch {self.epoch + 1} is {loss}"
            raise TrainingDiverged(f"{what}. Lower the learning rate; what was kept of earlier epochs stays.")


class AverageWeights(Callback):
    """Averages the weights over the training steps; validation sees the average, and `KeepWeights` keeps it.

    An exponential moving average, batch norm's statistics included. At the beginning it forgets faster, so that the
    start is soon gone.
    """

    order = 67.5  # after KeepWeights; before Checkpoints, which needs the weights that are trained

    def __init__(self, model, decay):
        def mixed(old, new, count):
            if not old.is_floating_point():  # batch norm counts its batches
                return new
            share = min(decay, (1 + float(count)) / (10 + float(count)))
            return torch.lerp(new, old, share)

        self.average = AveragedModel(model, avg_fn=mixed, use_buffers=True)

    def after_batch(self):
        if self.training:
            self.average.update_parameters(self.learn.model)

    def before_validate(self):
        self.trained = self.learn.model
        self.learn.model = self.average.module.eval()

    def after_validate(self):
        self.learn.model = self.trained


class KeepWeights(Callback):
    """Writes `weights.safetensors` of the best epoch by validation loss; of the last epoch, the other networks too."""

    order = 67

    def __init__(self, folder):
        self.folder = folder

    def after_validate(self):
        losses = [row["valid_loss"] for row in self.history.rows]
        if losses[-1] == min(losses):
            save_weights(self.learn.model, self.folder / "weights.safetensors")
        if self.epoch + 1 == self.n_epoch:
            save_weights(self.learn.model, self.folder / "last.safetensors")
            if hasattr(self.learn, "discriminator"):
                save_weights(self.learn.discriminator, self.folder / "discriminator.safetensors")


class Checkpoints(Callback):
    """Writes `history.csv` and what a resume needs; of the last two epochs, should the newest be damaged."""

    order = 68

    def __init__(self, folder):
        self.folder = folder

    def after_validate(self):
        rows = self.history.rows
        save_atomic(partial(pd.DataFrame(rows).to_csv, index=False), self.folder / "history.csv")
        checkpoint = {name: part.state_dict() for name, part in _parts(self.learn).items()} | {"rows": rows}
        save_atomic(partial(torch.save, checkpoint), self.folder / f"checkpoint-{self.epoch + 1:04d}.pt")
        for old in sorted(self.folder.glob("checkpoint-*.pt"))[:-2]:
            old.unlink()


class Report(Callback):
    """Prints how long training will take: soon after its first steps, every 30 seconds, and after each epoch."""

    order = 69

    def before_fit(self):
        self.started = None

    def after_batch(self):
        if not self.training:
            return
        now = time.time()
        if self.started is None:  # the first step warms up: the clock starts behind it
            self.started, self.share, self.next_line = now, self.pct_train, now + 3
        elif now > self.next_line:
            has_bar = hasattr(self.learn, "progress")  # which says the rest
            self.next_line = math.inf if has_bar else now + 30
            seconds_left = (now - self.started) * (1 - self.pct_train) / (self.pct_train - self.share)
            print(f"  epoch {self.epoch + 1}: batch {self.iter + 1}/{self.n_iter}, {seconds_left / 60:.1f} min left")

    def after_validate(self):
        row = self.history.rows[-1]
        losses = [f"{name} {value:.4f}" for name, value in row.items() if name not in ("epoch", "lr", "seconds")]
        minutes_left = row["seconds"] * (self.n_epoch - row["epoch"]) / 60
        spent = f"{row['seconds']:.0f} s, {minutes_left:.1f} min left"
        print(f"epoch {row['epoch']}/{self.n_epoch}  {'  '.join(losses)}  {spent}")
        if row.get("d_loss", 1) < 0.02:
            print("  D is hardly ever wrong now (loss < 0.02), so G learns little: lower D's learning rate or raise λ")
