"""Photos prepared once: `prepare` writes one uint8 array per split and a manifest, `Photos` reads them."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastcore.all import chunked, num_cpus

from g2g import files
from g2g.decode import decode
from g2g.files import ArrayWriter, disk_full_explained, locked, need_disk, sweep
from g2g.lab import photos_to_lab, to_rgb
from g2g.profiles import Profile, cache_root
from g2g.sources import SOURCES, seeded
from g2g.threads import in_order, one_core_each

SPLITS = ("train", "valid", "test")
NEAR_GRAY = 5.0  # mean CIE chroma below which a photo has next to no colour to learn
VERSION = 1  # raise it when the same photos would give other arrays
COLUMNS = ["file", "sha256", "width", "height", "chroma", "split", "skipped"]


@dataclass(frozen=True, eq=False)
class Photos:
    """Prepared photos.

    Attributes:
        folder: where the arrays and `manifest.csv` lie.
        size: side S of the square photos in pixels.
        manifest: one row per photo: file, sha256 (of its bytes), width, height (upright, px), chroma (mean,
            CIE units), split, skipped (why; "" where used). Used rows are in the order of their array.
        hash: 16 hex digits of what went in and how: names, contents and splits of the photos used, size, fit;
            not where they lie.

    `.train`, `.valid` and `.test` are read-only uint8 arrays (N, S, S, 3) on disk, opened when asked for.
    """

    folder: Path
    size: int
    manifest: pd.DataFrame
    hash: str

    train = property(lambda self: self._open("train"))
    valid = property(lambda self: self._open("valid"))
    test = property(lambda self: self._open("test"))

    def files(self, split: str) -> list[str]:
        """Names of the photos of a split, in the order of its array."""
        return self._rows(split)["file"].tolist()

    def near_gray(self, split: str) -> np.ndarray:
        """Boolean (N,): mean CIE chroma below 5, in the order of the split's array."""
        return (self._rows(split)["chroma"] < NEAR_GRAY).to_numpy()

    def _rows(self, split):
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
        return self.manifest[(self.manifest["split"] == split) & (self.manifest["skipped"] == "")]

    def _open(self, split):
        return np.load(self.folder / f"{split}.npy", mmap_mode="r")

    def __repr__(self):
        counts = ", ".join(f"{len(self.files(split)):,} {split}" for split in SPLITS)
        gray = sum(self.near_gray(split).sum() for split in SPLITS)
        return (
            f"Photos({counts}, {self.size}×{self.size} px, {gray:,} near-gray, "
            f"{(self.manifest['skipped'] != '').sum():,} skipped, hash {self.hash})"
        )


def prepare(profile: Profile, *, min_chroma: float = 0.0, fit: str = "squash", progress: bool = True) -> Photos:
    """Decode, turn upright and resize the profile's photos once; later calls open what is there.

    Validation is 5% of the training photos (at least one), chosen by seed before any is skipped. A training
    photo that is a validation or test photo too (same bytes) is skipped, and a validation photo likewise.
    The result lies in `cache_root()/prepared/`; changed photos or other settings make another one.

    Args:
        min_chroma: training and validation photos of lower mean CIE chroma are left out; 5: near-gray ones.
        fit: `squash` to the square (as the report does) or `crop` its centre.
        progress: show it, and list what was skipped.

    Raises:
        ValueError: unknown `fit` or source; a split without a usable photo (with what was there and why not).
        FileNotFoundError: no photos where they were looked for.
        RuntimeError: not enough disk.
    """
    if fit not in ("squash", "crop"):
        raise ValueError(f"fit is {fit!r}; use 'squash' or 'crop'")
    if profile.source not in SOURCES:
        raise ValueError(f"unknown source {profile.source!r}; known: {', '.join(SOURCES)}")
    train, test = SOURCES[profile.source](profile)
    settings = {"version": VERSION, "size": profile.size, "fit": fit, "min_chroma": float(min_chroma)}
    folder = cache_root() / "prepared" / f"{profile.source}-{profile.size}px-{_key(train, test, settings)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder):  # a second process waits here, then finds the first one's work
        photos = _load(folder)
        if photos is None:
            sweep(folder.parent)
            with disk_full_explained(folder.parent):
                _build(folder, train, test, settings, progress, profile)
            photos = _load(folder)
    skipped = photos.manifest[photos.manifest["skipped"] != ""]
    if progress and len(skipped):
        print(f"{len(skipped):,} of {len(photos.manifest):,} photos skipped, the first of them:")
        for row in skipped.head(10).itertuples():
            print(f"  {_printable(row.file)}: {row.skipped}")
        print(f"all of them: {folder / 'manifest.csv'}")
    return photos


def _key(train, test, settings):
    """16 hex digits of the settings and of every file's name, path, size and time of change."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for split, items in (("train", train), ("test", test)):
        for item in items:
            try:
                status = item.path.stat()
                stamp = (status.st_size, status.st_mtime_ns)
            except OSError:  # a link that leads nowhere: it will be listed as skipped
                stamp = None
            facts = (split, item.name, str(item.path.absolute()), item.box, stamp)
            digest.update(repr(facts).encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]


def _load(folder):
    """The finished cache in `folder`; None if there is none or if it was damaged since."""
    try:
        about = json.loads((folder / "about.json").read_text())
        texts = ("file", "sha256", "split", "skipped")
        manifest = pd.read_csv(  # a photo may be called NA: only an empty number is missing
            folder / "manifest.csv",
            dtype=dict.fromkeys(texts, str),
            keep_default_na=False,
            na_values=dict.fromkeys(("width", "height", "chroma"), [""]),
            encoding_errors="surrogateescape",
        )
        photos = Photos(folder, about["size"], manifest, about["hash"])
        if all(len(photos._open(split)) == len(photos.files(split)) for split in SPLITS):
            return photos
        problem = "arrays and manifest differ in length"
    except FileNotFoundError as error:
        if not folder.exists():
            return None
        problem = error
    except (ValueError, KeyError, OSError) as error:
        problem = error
    print(f"{folder} is damaged ({problem}): preparing again")
    return None


def _build(folder, train, test, settings, show, profile):
    """Write the cache under a temporary name; it gets its own name when it is complete."""
    work = folder.with_suffix(".tmp")
    shutil.rmtree(folder, ignore_errors=True)  # only a damaged one can be there
    shutil.rmtree(work, ignore_errors=True)
    n = len(train) + len(test)
    need_disk(folder.parent, n * settings["size"] ** 2 * 3, "the prepared photos")
    try:
        work.mkdir()
        with (
            files.progress(n, "prepare", "photos", show=show) as bar,
            ArrayWriter(work, SPLITS, settings["size"]) as arrays,
        ):
            manifest = pd.DataFrame(_fill(arrays, train, test, settings, bar), columns=COLUMNS)
        for split in SPLITS:
            if not arrays.count[split]:
                raise ValueError(_nothing(split, manifest, profile))
        used = manifest[manifest["skipped"] == ""][["split", "file", "sha256"]].to_numpy().tolist()
        about = settings | {"hash": hashlib.sha256(repr((settings, used)).encode()).hexdigest()[:16]}
        (work / "about.json").write_text(json.dumps(about))
        manifest.to_csv(work / "manifest.csv", index=False, errors="surrogateescape")
        os.replace(work, folder)
    finally:  # Ctrl-C included
        shutil.rmtree(work, ignore_errors=True)


def _fill(arrays, train, test, settings, bar):
    """Decode all photos into the arrays; returns the rows of the manifest."""
    held_out = {item.name for item in seeded(train)[: max(1, round(0.05 * len(train)))]}
    plan = {
        "test": test,
        "valid": [item for item in train if item.name in held_out],
        "train": [item for item in train if item.name not in held_out],
    }  # in this order for duplicates
    work = partial(decode, size=settings["size"], fit=settings["fit"])
    rows, seen = [], {}
    for split, items in plan.items():
        new = {}
        decoded = in_order(work, items, threads=num_cpus(), ahead=128)
        for item, (facts, pixels) in zip(items, decoded, strict=True):
            row = {"file": item.name, "split": split} | facts
            if split == "train" and not arrays.count["valid"]:
                row["split"] = "valid"  # those chosen were all unusable: the next photo takes their place
            if pixels is None:
                pass
            elif row["sha256"] in seen:
                row["skipped"] = f"same file as {seen[row['sha256']]}"
            elif split != "test" and row["chroma"] < settings["min_chroma"]:
                row["skipped"] = f"mean chroma {row['chroma']:.2f} is below {settings['min_chroma']:g}"
            else:
                arrays.append(row["split"], pixels)
                found = seen if row["split"] != split else new
                found.setdefault(row["sha256"], f"{row['split']} photo {_printable(item.name)}")
            rows.append(row)
            bar.update(1)
        seen |= new
    return rows


def _nothing(split, manifest, profile):
    rows = manifest[manifest["split"] == split]
    reasons = "; ".join(f"{_printable(row.file)}: {row.skipped}" for row in rows.head(5).itertuples())
    return (
        f"no usable {split} photo among {len(rows)} in {profile.data_dir or profile.source}"
        + (f" ({reasons}{'; …' if len(rows) > 5 else ''})" if reasons else "")
        + "; at least three photos are needed, one each to train, to validate and to test"
    )


def _printable(name):
    return name.encode(errors="backslashreplace").decode()


class PhotoLoader(DataLoader):
    """fastai `DataLoader` of (L, ab) batches: L (B,1,S,S) and ab (B,2,S,S), normalised, float32, on `device`.

    With `shuffle` the order and the flips of an epoch are drawn from (seed, epoch): the same for any number
    of workers and after a resume. `epoch` may be set; it counts up by itself at the end of each epoch.
    """

    def __init__(
        self,
        photos: Photos,
        split: str,
        bs: int = 32,
        *,
        shuffle: bool = False,
        seed: int = 42,
        device="cpu",
        workers: int = 0,
    ):
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


def dataloaders(
    photos: Photos, batch_size: int = 32, seed: int = 42, device=None, workers: int | None = None
) -> DataLoaders:
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


def batches(array: np.ndarray, batch_size: int = 32, device="cpu") -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(L, ab) of a uint8 array (N,S,S,3), in order, without flips."""
    pool = one_core_each() if torch.device(device).type == "cpu" else None
    for start in range(0, len(array), batch_size):
        photos = torch.from_numpy(np.array(array[start : start + batch_size]))
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
        photo = photos[i : i + 1]
        mirrored = flips is not None and flips[i]
        L[i : i + 1], ab[i : i + 1] = photos_to_lab(photo.flip(2) if mirrored else photo)

    list(pool.map(convert, range(n)))
    return L, ab
