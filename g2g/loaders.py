"""Batches (L, ab) from prepared photos: gathered from the array, flipped and converted on the device."""

from collections.abc import Iterator

import numpy as np
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastcore.all import chunked

from g2g.data import Photos
from g2g.lab import photos_to_lab, to_rgb
from g2g.threads import in_order, one_core_each


class PhotoLoader(DataLoader):
    """fastai `DataLoader` of (L, ab) batches: L (B,1,S,S) and ab (B,2,S,S), normalised, float32, on `device`.

    With `shuffle` the order and the flips of an epoch are drawn from (seed, epoch): the same for any number
    of workers and after a resume. `epoch` may be set; it counts up by itself at the end of each epoch.
    """

    def __init__(self, photos: Photos, split: str, bs: int = 32, *, shuffle: bool = False, seed: int = 42,
                 device="cpu", workers: int = 0):
        files = photos.files(split)
        if bs < 1:
            raise ValueError(f"batch_size is {bs}; it must be at least 1")
        if not files:
            raise ValueError(f"there are no {split} photos in {photos.folder}")
        lonely = len(files) % bs == 1 and len(files) > bs > 1
        # A last batch of one photo breaks batch norm: training drops it, and another photo the next epoch
        super().__init__(files, bs=bs, shuffle=shuffle, drop_last=shuffle and lonely, device=device)
        self.photos, self.split, self.seed, self.epoch, self.workers = photos, split, seed, 0, workers

    def get_idxs(self):
        """The order of this epoch; draws its flips too."""
        if not self.shuffle:
            return list(range(self.n))
        rng = np.random.default_rng([self.seed, self.epoch])
        self.flips = torch.from_numpy(rng.random(self.n) < 0.5)
        return rng.permutation(self.n).tolist()

    def create_batches(self, samps):
        """uint8 photos (B,S,S,3), one gather from the array each, and with `shuffle` flips (B,)."""
        pixels = getattr(self.photos, self.split)

        def gather(index):
            photos = torch.from_numpy(np.asarray(pixels[index]))
            batch = (photos, self.flips[index]) if self.shuffle else (photos,)
            return tuple(x.pin_memory() for x in batch) if self.device.type == "cuda" else batch

        # Threads: a gather is a plain copy, and another process would have to copy it once more
        indices = chunked(samps, self.bs, self.drop_last)
        ahead = 2 * self.workers
        gathered = in_order(gather, indices, self.workers, ahead) if self.workers else map(gather, indices)
        return (tuple(x.to(self.device, non_blocking=True) for x in batch) for batch in gathered)

    def before_iter(self):
        self.pool = one_core_each() if self.device.type == "cpu" else None

    def after_batch(self, batch):
        """On the device: flip, convert to Lab, normalise."""
        return _to_lab(*batch, pool=self.pool)

    def after_iter(self):
        self.epoch, self.pool = self.epoch + 1, None

    def new(self, dataset=None, cls=None, **kwargs):
        """This loader with another `bs`, `shuffle` or `device`, as fastai's `get_preds` asks."""
        asked = {"bs": self.bs, "shuffle": self.shuffle, "device": self.device}
        asked |= {name: value for name, value in kwargs.items() if name in asked}
        return PhotoLoader(self.photos, self.split, seed=self.seed, workers=self.workers, **asked)

    def show_batch(self, max_n: int = 6):
        """Show up to `max_n` photos of a batch: what the model sees beside what it is to predict."""
        import matplotlib.pyplot as plt

        L, ab = (x[:max_n].cpu() for x in self.one_batch())
        columns = min(3, len(L))
        rows = -(-len(L) // columns)
        _, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.2 * rows), squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        pairs = torch.cat([to_rgb(L, torch.zeros_like(ab)), to_rgb(L, ab)], dim=3)
        for axis, pair in zip(axes.flat, pairs, strict=False):
            axis.imshow(pair.permute(1, 2, 0).numpy())
            axis.set_title("gray | colour", fontsize=9)
        plt.tight_layout()


def dataloaders(photos: Photos, batch_size: int = 32, seed: int = 42, device=None,
                workers: int | None = None) -> DataLoaders:
    """fastai `DataLoaders` of (L, ab) batches over the training and validation photos, never the test photos.

    `device` None is CUDA where there is one, else the CPU. The training loader draws order and per-photo
    flips from (`seed`, `dls.train.epoch`). `workers` threads gather batches ahead, which changes nothing in
    them; None is 2 for a GPU, which should not wait, and 0 for a CPU, which has other work.

    Raises:
        ValueError: `batch_size` below 1, or no photos.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if workers is None:
        workers = 2 if device.type == "cuda" else 0
    common = {"bs": batch_size, "seed": seed, "device": device, "workers": workers}
    train = PhotoLoader(photos, "train", shuffle=True, **common)
    return DataLoaders(train, PhotoLoader(photos, "valid", **common), path=photos.folder, device=device)


def batches(array: np.ndarray, batch_size: int = 32,
            device="cpu") -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(L, ab) of a uint8 array (N,S,S,3), in order, without flips."""
    pool = one_core_each() if torch.device(device).type == "cpu" else None
    for start in range(0, len(array), batch_size):
        photos = torch.from_numpy(np.array(array[start:start + batch_size]))
        yield _to_lab(photos.to(device), pool=pool)


def _to_lab(photos, flips=None, pool=None):
    """uint8 photos (B,S,S,3), mirrored where `flips` (B,) says so, to (L, ab), by the threads of `pool`."""
    if pool is None:
        if flips is not None:
            photos = torch.where(flips[:, None, None, None], photos.flip(2), photos)
        return photos_to_lab(photos)
    n, height, width, _ = photos.shape
    L, ab = torch.empty(n, 1, height, width), torch.empty(n, 2, height, width)

    def convert(i):
        photo = photos[i:i + 1]
        mirrored = flips is not None and flips[i]
        L[i:i + 1], ab[i:i + 1] = photos_to_lab(photo.flip(2) if mirrored else photo)

    list(pool.map(convert, range(n)))
    return L, ab
