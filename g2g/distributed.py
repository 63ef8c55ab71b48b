"""All that is special about training in several processes, one per GPU, as `accelerate launch` starts them."""

from contextlib import contextmanager

import torch
from fastai.callback.core import Callback
from fastai.torch_core import num_distrib, rank_distrib
from torch import nn


def bare(model: nn.Module) -> nn.Module:
    """`model` without the wrapper of distributed training."""
    return getattr(model, "module", model)


def say(text: str) -> None:
    """Print in the first process only."""
    if rank_distrib() == 0:
        print(text, flush=True)


def sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    """The sum of every process's `values`; in a single process these themselves."""
    if num_distrib() > 1:
        torch.distributed.all_reduce(values)
    return values


class _WrapDiscriminator(Callback):
    """Does for a GAN's discriminator what fastai's DistributedTrainer (order 11) has just done for the generator."""

    order = 12

    def before_fit(self):
        trainer, discriminator = self.distributed_trainer, self.discriminator
        if trainer.sync_bn:
            discriminator = nn.SyncBatchNorm.convert_sync_batchnorm(discriminator)
        self.learn.discriminator = trainer.accelerator.prepare(discriminator)

    def after_fit(self):
        self.learn.discriminator = bare(self.discriminator)


@contextmanager
def several_processes(learn):
    """Inside `with`, `learn` trains together with the other processes; does nothing where there are none."""
    if num_distrib() < 2:
        yield
        return
    from accelerate import DistributedDataParallelKwargs  # optional: `pip install accelerate`
    from fastai.distributed import DistributedDL

    # The order follows from (seed, epoch) in every process: nothing to broadcast, and gloo could not
    DistributedDL._broadcast = lambda self, indices, rank: indices
    # D's step runs D twice before one backward pass: buffers must not be overwritten in between
    buffers = DistributedDataParallelKwargs(broadcast_buffers=False)
    callback = _WrapDiscriminator() if hasattr(learn, "discriminator") else None
    with learn.distrib_ctx(sync_bn=learn.dls.device.type == "cuda", kwargs_handlers=[buffers]):
        with learn.added_cbs(callback):
            yield
