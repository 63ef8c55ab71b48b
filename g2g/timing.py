"""How long a training will take, from a short measurement."""

import time

import torch
from fastai.callback.core import Callback, CancelFitException, CancelValidException

from g2g.training import stepping


class Stopwatch(Callback):
    """Times a few training steps, then ends the fit: the short measurement behind an estimate."""

    order = 70

    def __init__(self, steps, photos=None):
        self.steps, self.photos, self.seconds, self.counted = steps, photos, 0.0, 0

    def before_batch(self):
        if self.photos:
            self.learn.xb, self.learn.yb = (self.xb[0][: self.photos],), (self.yb[0][: self.photos],)

    def after_batch(self):
        if self.x.is_cuda:
            torch.cuda.synchronize()
        if self.iter:  # the first step warms up
            self.seconds, self.counted = self.seconds + time.time() - self.last, self.counted + len(self.x)
        self.last = time.time()
        if self.iter >= self.steps:
            raise CancelFitException()

    def before_validate(self):
        raise CancelValidException()


def estimate_minutes(learn, epochs) -> float | None:
    """Minutes that `epochs` epochs of `learn` will take, from a few timed training steps; None if too few batches.

    Leaves `learn` trained by these steps: give it a throw-away one.
    """
    on_gpu = learn.dls.device.type == "cuda"
    photos = len(learn.dls.train.dataset) + len(learn.dls.valid.dataset) / 3  # validation: forward only
    for few in (None,) if on_gpu else (4, None):  # on a CPU four photos will do, unless the run is a long one
        watch = Stopwatch(8 if on_gpu else 2, photos=few)
        with learn.no_logging(), learn.no_mbar(), stepping(learn):
            learn.fit(1, lr=1e-5, cbs=watch)
        if not watch.counted:
            return None
        minutes = epochs * photos * watch.seconds / watch.counted / 60
        if minutes < 2:
            break
    return minutes
