"""What a run leaves on disk: weights, history and a checkpoint per epoch, each written whole or not at all."""

import json
import math
import time
import zipfile
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from fastai.callback.core import Callback
from fastai.torch_core import num_distrib, rank_distrib
from safetensors.torch import save_file

from g2g.files import save_atomic


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the last whole epoch's checkpoint is kept."""


def load_checkpoint(folder, device="cpu") -> dict | None:
    """The newest whole checkpoint in `folder`, None without one; a damaged one is named and the one before used."""
    for path in sorted(Path(folder).glob("checkpoint-*.pt"), reverse=True):
        try:
            if bad := zipfile.ZipFile(path).testzip():  # torch.load itself does not verify the checksums
                raise ValueError(f"{bad} is damaged")
            return torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # whatever a damaged file provokes, the answer is the same
            print(f"{path.name} cannot be used ({error}); trying the checkpoint before it")
    return None


def write_json(record: dict, path):
    """Write `record` as JSON, atomically."""
    save_atomic(lambda p: Path(p).write_text(json.dumps(record, indent=2, sort_keys=True, default=str) + "\n"), path)


def save_weights(model, path, dtype=None):
    """Write `model`'s state dict as safetensors, atomically; `dtype` converts floating-point tensors (half, say)."""
    tensors = {k: v.detach().contiguous().cpu() for k, v in model.state_dict().items()}
    if dtype is not None:
        tensors = {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}
    save_atomic(partial(save_file, tensors), path)


def bare(model):
    """`model` without the wrapper of distributed training."""
    return getattr(model, "module", model)


def _plain(value):
    """numpy scalars, which a schedule leaves and `weights_only=True` refuses, as Python numbers."""
    return tuple(map(_plain, value)) if isinstance(value, tuple) else getattr(value, "tolist", lambda: value)()


class Keeper(Callback):
    """Writes history, weights and checkpoint of every whole epoch into `folder`; seeds each epoch; reports progress.

    Everything random in an epoch follows from (seed, epoch), so that a resumed run needs no generator state.
    """

    order = 65

    def __init__(self, folder, seed, bars=False):
        self.folder, self.seed, self.bars, self.rows, self.spent = Path(folder), seed, bars, [], 0.0

    # state that makes a run whole
    def state(self) -> dict:
        learn = self.learn
        opt = learn.opt.opt.state_dict()
        for group in opt["param_groups"]:
            group.update({key: _plain(value) for key, value in group.items()})
        state = {"model": bare(learn.model).state_dict(), "opt": opt, "rows": self.rows}
        if hasattr(learn, "discriminator"):
            state |= {"d_model": bare(learn.discriminator).state_dict(), "d_opt": learn.d_opt.state_dict()}
        return state

    def restore(self, state: dict):
        learn = self.learn
        learn.model.load_state_dict(state["model"])
        learn.opt.opt.load_state_dict(state["opt"])
        if hasattr(learn, "discriminator"):
            learn.discriminator.load_state_dict(state["d_model"])
            learn.d_opt.load_state_dict(state["d_opt"])
        self.rows = state["rows"]

    def before_epoch(self):
        torch.manual_seed(self.seed * 1_000_003 + self.epoch)
        getattr(self.dls.train, "dl", self.dls.train).epoch = self.epoch  # with several processes it is wrapped
        self.sums, self.count, self.started, self.spoke = {}, {"train": 0, "valid": 0}, time.time(), time.time()

    def after_batch(self):
        part, n = ("train", len(self.x)) if self.training else ("valid", len(self.x))
        values = {f"{part}_loss": self.learn.loss.detach()}
        if self.training:
            values |= getattr(self.learn, "terms", {})
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + n * value
        self.count[part] += n
        if self.training and not torch.isfinite(self.learn.smooth_loss):  # on the CPU already: costs no wait
            kept = f"the checkpoint of epoch {self.epoch} is kept" if self.epoch else "there was no whole epoch yet"
            raise TrainingDiverged(
                f"the loss became {self.learn.loss.detach().item()} in epoch {self.epoch + 1}, "
                f"batch {self.iter + 1}. Lower the learning rate; {kept}."
            )
        if self.training and not self.bars and time.time() - self.spoke > 30:
            self.spoke = time.time()
            rate = self.count["train"] / (self.spoke - self.started)
            self._say(f"  epoch {self.epoch + 1}: batch {self.iter + 1}/{self.n_iter}, {rate:.0f} photos/s")

    def after_epoch(self):
        if not self.count["train"]:
            return  # skipped: done before the resume
        self._sum_over_processes()
        row = {"epoch": self.epoch + 1}
        for name, total in self.sums.items():
            row[name] = float(total) / self.count["valid" if name.startswith("valid") else "train"]
        if not math.isfinite(row["valid_loss"]):
            raise TrainingDiverged(
                f"the validation loss of epoch {self.epoch + 1} is {row['valid_loss']}. Lower the "
                "learning rate; what was kept of earlier epochs stays."
            )
        row |= {"lr": float(self.opt.hypers[-1]["lr"]), "seconds": round(time.time() - self.started, 2)}
        self.rows.append(row)
        if not rank_distrib():
            self._write(row)
        self._report(row)

    def _sum_over_processes(self):
        if num_distrib() < 2:
            return
        names = sorted(self.sums)
        sums = torch.stack(
            [
                *(self.sums[n].double() for n in names),
                *(self.sums[names[0]].new_tensor(self.count[p]).double() for p in ("train", "valid")),
            ]
        )
        torch.distributed.all_reduce(sums)
        self.sums = dict(zip(names, sums, strict=False))
        self.count = dict(zip(("train", "valid"), sums[len(names) :].tolist(), strict=True))

    def _write(self, row):
        if row["valid_loss"] <= min(r["valid_loss"] for r in self.rows):
            save_weights(bare(self.learn.model), self.folder / "weights.safetensors")
        if row["epoch"] == self.n_epoch:
            save_weights(bare(self.learn.model), self.folder / "last.safetensors")
            if hasattr(self.learn, "discriminator"):
                save_weights(bare(self.learn.discriminator), self.folder / "discriminator.safetensors")
        save_atomic(partial(pd.DataFrame(self.rows).to_csv, index=False), self.folder / "history.csv")
        save_atomic(partial(torch.save, self.state()), self.folder / f"checkpoint-{row['epoch']:04d}.pt")
        for old in sorted(self.folder.glob("checkpoint-*.pt"))[:-2]:
            old.unlink()  # the newest and the one before: a damaged newest loses one epoch, not the run

    def _report(self, row):
        done = [r["seconds"] for r in self.rows]
        left = (self.n_epoch - row["epoch"]) * sum(done[-3:]) / len(done[-3:])
        parts = [f"{name} {row[name]:.4f}" for name in row if name.endswith("loss") or name.startswith("g_")]
        self._say(
            f"epoch {row['epoch']}/{self.n_epoch}  {'  '.join(parts)}  {row['seconds']:.0f} s, {left / 60:.1f} min left"
        )
        if "d_loss" in row and row["d_loss"] < 0.02:
            self._say(
                "  the discriminator hardly errs any more (loss < 0.02): G learns little from it; "
                "lower D's learning rate or raise λ"
            )

    def _say(self, text):
        if not rank_distrib():
            print(text, flush=True)
