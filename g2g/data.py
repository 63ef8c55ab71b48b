"""Photos prepared once: `prepare` writes one file of bytes per split and a manifest, `Photos` reads them."""

import hashlib
import json
import math
import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from g2g import files
from g2g.files import disk_full_explained, locked, printable
from g2g.lab import AB_SCALE, NEAR_GRAY, batches, photos_to_lab
from g2g.photos import decode
from g2g.profiles import SEED, Profile, cache_root
from g2g.sources import SOURCES, seeded

SPLITS = ("train", "valid", "test")
VERSION = 2  # raise it when the same photos would give other arrays
WORDS, NUMBERS = ("file", "sha256", "split", "skipped"), ("width", "height", "chroma")  # columns of the manifest


@dataclass(frozen=True, eq=False)
class Photos:
    """Prepared photos, whose attributes `train`, `valid` and `test` are read-only uint8 arrays (N,S,S,3) on disk.

    `manifest` has a row per photo: file, sha256 (of its bytes), width, height (upright, px), chroma (mean, CIE units),
    split, skipped (why; "" where used). Used rows are in the order of their array.
    """

    folder: Path  # of the arrays and manifest.csv
    size: int  # side S of the square photos in pixels
    manifest: pd.DataFrame
    hash: str  # 16 hex digits of names, contents and splits of the photos used, and size; not of where they lie

    train = property(lambda self: self._open("train"))
    valid = property(lambda self: self._open("valid"))
    test = property(lambda self: self._open("test"))

    def files(self, split: str) -> list[str]:
        """Names of the photos of a split, in the order of its array."""
        return self._rows(split)["file"].tolist()

    def near_gray(self, split: str) -> np.ndarray:
        """Boolean (N,): mean CIE chroma below `lab.NEAR_GRAY`, in the order of the split's array."""
        return (self._rows(split)["chroma"] < NEAR_GRAY).to_numpy()

    def _rows(self, split):
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
        return self.manifest[(self.manifest["split"] == split) & (self.manifest["skipped"] == "")]

    def _open(self, split):
        if not self.files(split):  # of a set to test on only
            return np.empty((0, self.size, self.size, 3), np.uint8)
        pixels = np.memmap(self.folder / f"{split}.rgb", np.uint8, mode="r")
        return pixels.reshape(-1, self.size, self.size, 3)

    def __repr__(self):
        parts = ", ".join(f"{len(self.files(split)):,} {split}" for split in SPLITS)
        gray = sum(self.near_gray(split).sum() for split in SPLITS)
        skipped = (self.manifest["skipped"] != "").sum()
        return f"Photos({parts}, {self.size}×{self.size} px, {gray:,} near-gray, {skipped:,} skipped, hash {self.hash})"


def prepare(profile: Profile, *, progress=True) -> Photos:
    """Decode, turn upright and squash the profile's photos to squares once; later calls open what is there.

    Validation photos, where the source has none, are 5% of the training photos (at least one), chosen by seed before
    any is skipped. A training photo that is a validation or test photo too (same bytes) is skipped, and a validation
    photo likewise. The result lies in `cache_root()/prepared/`; changed photos or other settings make another one.
    `progress` shows it, and lists what was skipped.

    Raises ValueError for a split without a usable photo, FileNotFoundError where there are no photos at all,
    RuntimeError for too little disk; each with what was there, or what to do.
    """
    train, test, valid = SOURCES[profile.source](profile)
    if not valid:
        held_out = {item.name for item in seeded(train)[: max(1, round(0.05 * len(train)))]}
        valid = [item for item in train if item.name in held_out]
        train = [item for item in train if item.name not in held_out]
    items = {"test": test, "valid": valid, "train": train}  # in this order for duplicates
    settings = {"version": VERSION, "size": profile.size, "min_chroma": float(profile.min_chroma)}
    folder = cache_root() / "prepared" / f"{profile.source}-{profile.size}px-{_key(items, settings)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder):  # a second process waits here, then finds the first one's work
        photos = _load(folder)
        if photos is None:
            files.sweep(folder.parent)
            with disk_full_explained(folder.parent):
                _build(folder, items, settings, progress)
            photos = _load(folder)
    skipped = photos.manifest[photos.manifest["skipped"] != ""]
    if progress and len(skipped):
        print(f"{len(skipped):,} of {len(photos.manifest):,} photos skipped:{_reasons(skipped[:10])}")
        print(f"all of them: {folder / 'manifest.csv'}")
    return photos


def _reasons(rows):
    return "".join(f"\n  {printable(row.file)}: {row.skipped}" for row in rows.itertuples())


def _key(items, settings):
    """16 hex digits of the settings and of every file's name, path, size and time of change."""
    facts = [settings]
    for split, chosen in items.items():
        for item in chosen:
            status = item.path.stat() if item.path.exists() else None  # a link that leads nowhere will be skipped
            stamp = status and (status.st_size, status.st_mtime_ns)
            facts.append((split, item.name, str(item.path.absolute()), item.box, stamp))
    return hashlib.sha256(repr(facts).encode(errors="surrogatepass")).hexdigest()[:16]


def _load(folder):
    """The finished cache in `folder`; None if there is none or if it was damaged since."""
    if not folder.exists():
        return None
    # A photo may be called NA: only an empty number is missing
    options = {"dtype": dict.fromkeys(WORDS, str), "na_values": dict.fromkeys(NUMBERS, [""]), "keep_default_na": False}
    try:
        about = json.loads((folder / "about.json").read_text())
        manifest = pd.read_csv(folder / "manifest.csv", encoding_errors="surrogateescape", **options)
        photos = Photos(folder, about["size"], manifest, about["hash"])
        for split in SPLITS:
            if len(photos._open(split)) != len(photos.files(split)):
                raise ValueError(f"{split} array and manifest differ in length")
        return photos
    except (ValueError, KeyError, TypeError, OSError) as error:
        print(f"{folder} is damaged ({error}): preparing again")
        return None


def _build(folder, items, settings, show):
    """Write the cache under a temporary name; it gets its own name when it is complete."""
    work = folder.with_suffix(".tmp")
    shutil.rmtree(folder, ignore_errors=True)  # only a damaged one can be there
    shutil.rmtree(work, ignore_errors=True)
    n = sum(map(len, items.values()))
    try:
        work.mkdir()
        # Warnings of odd metadata are off here and not in the threads, whose filters are those of all threads
        with warnings.catch_warnings(action="ignore"), files.progress(n, "prepare", "photos", show) as bar:
            manifest = _fill(work, items, settings, bar)
        for split in SPLITS if items["valid"] else ("test",):
            rows = manifest[manifest["split"] == split]
            if not (rows["skipped"] == "").any():
                needed = "at least three are needed, one each to train, to validate and to test"
                raise ValueError(f"no usable {split} photo among {len(rows)} of {n}; {needed}{_reasons(rows[:5])}")
        used = manifest[manifest["skipped"] == ""][["split", "file", "sha256"]].to_numpy().tolist()
        about = settings | {"hash": hashlib.sha256(repr((settings, used)).encode()).hexdigest()[:16]}
        (work / "about.json").write_text(json.dumps(about))
        manifest.to_csv(work / "manifest.csv", index=False, errors="surrogateescape")
        os.replace(work, folder)
    finally:  # Ctrl-C included
        shutil.rmtree(work, ignore_errors=True)


def _fill(work, items, settings, bar):
    """Decode all photos into the arrays; returns the manifest."""
    plan = [(split, item) for split, chosen in items.items() for item in chosen]
    rows, seen, filled = [], {}, set()
    # Threads, not processes: Pillow and NumPy work outside of Python's lock, and threads leave no orphans
    with ThreadPoolExecutor(min(8, os.cpu_count())) as pool:  # each may hold a photo of a hundred megapixels
        for start in range(0, len(plan), 64):  # not all at once: results wait in memory
            part = plan[start : start + 64]
            decoded = pool.map(partial(_decode, size=settings["size"]), [item for _, item in part])
            for (split, item), (facts, pixels) in zip(part, decoded, strict=True):
                if split == "train" and "valid" not in filled:
                    split = "valid"  # those chosen were all unusable: the next photo takes their place
                row = {"file": item.name, "split": split} | facts
                if pixels is not None:
                    row["skipped"] = _why_not(row, seen, settings["min_chroma"])
                if not row["skipped"]:
                    # Not a memory map, which dies of SIGBUS on a full disk, where a write raises an error to explain
                    with open(work / f"{split}.rgb", "ab") as array:
                        array.write(pixels.tobytes())
                    filled.add(split)
                    seen.setdefault(row["sha256"], row)
                rows.append(row)
                bar.update(1)
    return pd.DataFrame(rows, columns=[*WORDS, *NUMBERS])


def _decode(item, size):
    """What `photos.decode` says, and the mean CIE chroma."""
    facts, pixels = decode(item, size)
    if pixels is not None:
        _, ab = photos_to_lab(pixels[None])
        chroma = AB_SCALE * torch.hypot(ab[:, 0], ab[:, 1])
        facts["chroma"] = round(chroma.mean().item(), 4)
    return facts, pixels


def _why_not(row, seen, min_chroma):
    duplicate = seen.get(row["sha256"], row)
    if duplicate["split"] != row["split"]:
        return f"same file as {duplicate['split']} photo {printable(duplicate['file'])}"
    if row["split"] != "test" and row["chroma"] < min_chroma:
        return f"mean chroma {row['chroma']:.2f} is below {min_chroma:g}"
    return ""


@dataclass(eq=False)
class PhotoLoader:
    """Batches of one split, as fastai's Learner wants them: L (B,1,S,S) and ab (B,2,S,S), normalized, float32.

    With `shuffle`, all that is random in an epoch is drawn from (seed, epoch): the same after a resume. `epoch` may be
    set; it counts up by itself at the end of each epoch. The other arguments as in `dataloaders`.
    """

    photos: Photos
    split: str
    bs: int
    shuffle: bool = False
    seed: int = SEED
    min_crop_side: float = 1.0
    sharpen: float = 0.0
    steps_per_epoch: int | None = None
    epoch: int = 0

    def __post_init__(self):
        self.pixels = getattr(self.photos, self.split)
        self.n = len(self.pixels)
        if not self.n:
            raise ValueError(f"there are no {self.split} photos in {self.photos.folder}")
        if self.steps_per_epoch:
            self.n = min(self.n, self.bs * self.steps_per_epoch)
        last_batch_is_single = self.n % self.bs == 1 and self.n > self.bs > 1
        if self.shuffle and last_batch_is_single:  # it breaks batch norm: left out, the next epoch leaves out another
            self.n -= 1

    def to(self, device):
        self.device = torch.device(device)

    def __len__(self):
        return math.ceil(self.n / self.bs)

    def one_batch(self):
        return next(iter(self))

    def __iter__(self):
        if not self.shuffle:
            yield from batches(self.pixels, self.bs, self.device)
            return
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.pixels))[: self.n]
        for start in range(0, self.n, self.bs):
            photos = torch.from_numpy(np.asarray(self.pixels[order[start : start + self.bs]]))
            if self.device.type == "cuda":
                photos = photos.pin_memory()  # so that the copy does not wait
            yield self.augment(photos.to(self.device, non_blocking=True), rng)
        self.epoch += 1

    def augment(self, photos, rng):
        """uint8 photos (B,S,S,3), half of them mirrored, sharpened, cropped, to (L, ab), on their device."""
        n, device = len(photos), photos.device
        flips = torch.from_numpy(rng.random(n) < 0.5).to(device)
        places = torch.from_numpy(rng.random((n, 2))).float()
        rng.random(n)  # of an augmentation that is gone: without this draw, published runs would get other crops
        sides = torch.from_numpy(rng.uniform(self.min_crop_side, 1, n)).float()
        photos = torch.where(flips[:, None, None, None], photos.flip(2), photos)
        if self.sharpen:
            amounts = rng.uniform(-self.sharpen, self.sharpen, n).clip(min=0)  # half of the photos stay as they are
            photos = sharpened(photos, torch.from_numpy(amounts).float().to(device))
        L, ab = photos_to_lab(photos)
        if self.min_crop_side < 1:
            L = cropped(L, sides.to(device), places.to(device))
            ab = cropped(ab, sides.to(device), places.to(device))
        return L, ab


def sharpened(photos, amounts):
    """uint8 photos (B,S,S,3) plus `amounts` (B,) times what a small blur would take from them: an unsharp mask.

    A large photo made small is sharper than a crop enlarged again; a network has to know both (docs/training.md).
    """
    planes = photos.movedim(-1, 1).float()
    triangle = torch.tensor([0.25, 0.5, 0.25], device=photos.device)
    kernel = (triangle[:, None] * triangle).expand(3, 1, 3, 3)
    blurred = F.conv2d(F.pad(planes, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    planes = planes + amounts.view(-1, 1, 1, 1) * (planes - blurred)
    return planes.clamp(0, 255).round().byte().movedim(1, -1)


def cropped(planes, sides, places):
    """Squares cut out of `planes` (B,C,S,S) and enlarged to S again, bilinearly.

    `sides` (B,) are the fractions of the side that are kept, in (0, 1]; `places` (B,2) say where a square lies between
    left (0) and right (1), and between top and bottom.
    """
    theta = torch.zeros(len(planes), 2, 3, device=planes.device)
    theta[:, 0, 0] = sides
    theta[:, 1, 1] = sides
    theta[:, :, 2] = (2 * places - 1) * (1 - sides[:, None])
    grid = F.affine_grid(theta, planes.shape, align_corners=False)
    return F.grid_sample(planes, grid, padding_mode="border", align_corners=False)


def dataloaders(photos: Photos, batch_size=32, seed=SEED, device=None, **augmentation):
    """fastai `DataLoaders` of (L, ab) batches of the training and validation photos; ValueError where there are none.

    `device`: by default CUDA where there is one, else the CPU. `augmentation`: `min_crop_side`, the least fraction of
    the side that a random crop keeps; `sharpen`, the largest amount of `sharpened`; `steps_per_epoch`, so many batches
    of photos drawn anew make an epoch. By default photos are whole and as they are, and an epoch has all of them.
    """
    from fastai.data.core import DataLoaders  # here, because `prepare` does not need it

    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    train = PhotoLoader(photos, "train", batch_size, shuffle=True, seed=seed, **augmentation)
    return DataLoaders(train, PhotoLoader(photos, "valid", batch_size), path=photos.folder, device=device)
