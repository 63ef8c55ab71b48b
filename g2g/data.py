"""Photos prepared once: `prepare` writes one file of bytes per split and a manifest, `Photos` reads them."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastcore.all import chunked, num_cpus

from g2g import files
from g2g.files import disk_full_explained, locked, need_disk, printable
from g2g.lab import AB_SCALE, NEAR_GRAY, photos_to_lab
from g2g.photos import decode
from g2g.profiles import Profile, cache_root
from g2g.sources import SOURCES, seeded

SPLITS = ("train", "valid", "test")
VERSION = 2  # raise it when the same photos would give other arrays
COLUMNS = ["file", "sha256", "width", "height", "chroma", "split", "skipped"]


@dataclass(frozen=True, eq=False)
class Photos:
    """Prepared photos.

    Attributes:
        folder: where the arrays and `manifest.csv` lie.
        size: side S of the square photos in pixels.
        manifest: one row per photo: file, sha256 (of its bytes), width, height (upright, px), chroma (mean,
            CIE units), split, skipped (why; "" where used). Used rows are in the order of their array.
        hash: 16 hex digits of what went in and how: names, contents and splits of the photos used, size;
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
        counts = ", ".join(f"{len(self.files(split)):,} {split}" for split in SPLITS)
        gray = sum(self.near_gray(split).sum() for split in SPLITS)
        skipped = (self.manifest["skipped"] != "").sum()
        size = f"{self.size}×{self.size} px"
        return f"Photos({counts}, {size}, {gray:,} near-gray, {skipped:,} skipped, hash {self.hash})"


def prepare(profile: Profile, *, progress: bool = True) -> Photos:
    """Decode, turn upright and squash the profile's photos to squares once; later calls open what is there.

    Validation is 5% of the training photos (at least one), chosen by seed before any is skipped. A training
    photo that is a validation or test photo too (same bytes) is skipped, and a validation photo likewise.
    The result lies in `cache_root()/prepared/`; changed photos or other settings make another one.

    Args:
        progress: show it, and list what was skipped.

    Raises:
        ValueError: unknown source; a split without a usable photo (with what was there and why not).
        FileNotFoundError: no photos where they were looked for.
        RuntimeError: not enough disk.
    """
    if profile.source not in SOURCES:
        raise ValueError(f"unknown source {profile.source!r}; known: {', '.join(SOURCES)}")
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
                _build(folder, items, settings, progress, profile)
            photos = _load(folder)
    if progress:
        _list_skipped(photos)
    return photos


def _list_skipped(photos):
    skipped = photos.manifest[photos.manifest["skipped"] != ""]
    if len(skipped):
        print(f"{len(skipped):,} of {len(photos.manifest):,} photos skipped, the first of them:")
        print("\n".join(_reasons(skipped.head(10))))
        print(f"all of them: {photos.folder / 'manifest.csv'}")


def _reasons(rows):
    return [f"  {printable(row.file)}: {row.skipped}" for row in rows.itertuples()]


def _key(items, settings):
    """16 hex digits of the settings and of every file's name, path, size and time of change."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for split in SPLITS:
        for item in items[split]:
            stamp = None
            if item.path.exists():  # or a link that leads nowhere: it will be listed as skipped
                status = item.path.stat()
                stamp = (status.st_size, status.st_mtime_ns)
            facts = (split, item.name, str(item.path.absolute()), item.box, stamp)
            digest.update(repr(facts).encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]


def _load(folder):
    """The finished cache in `folder`; None if there is none or if it was damaged since."""
    if not folder.exists():
        return None
    try:
        about = json.loads((folder / "about.json").read_text())
        manifest = pd.read_csv(  # a photo may be called NA: only an empty number is missing
            folder / "manifest.csv",
            dtype=dict.fromkeys(("file", "sha256", "split", "skipped"), str),
            keep_default_na=False,
            na_values=dict.fromkeys(("width", "height", "chroma"), [""]),
            encoding_errors="surrogateescape",
        )
        photos = Photos(folder, about["size"], manifest, about["hash"])
        if all(len(photos._open(split)) == len(photos.files(split)) for split in SPLITS):
            return photos
        problem = "arrays and manifest differ in length"
    except (ValueError, KeyError, TypeError, OSError) as error:
        problem = error
    print(f"{folder} is damaged ({problem}): preparing again")
    return None


def _build(folder, items, settings, show, profile):
    """Write the cache under a temporary name; it gets its own name when it is complete."""
    work = folder.with_suffix(".tmp")
    shutil.rmtree(folder, ignore_errors=True)  # only a damaged one can be there
    shutil.rmtree(work, ignore_errors=True)
    n = sum(map(len, items.values()))
    need_disk(folder.parent, n * settings["size"] ** 2 * 3, "the prepared photos")
    try:
        work.mkdir()
        # Warnings of odd metadata are off here and not in the threads, whose filters are those of all threads
        with warnings.catch_warnings(action="ignore"), files.progress(n, "prepare", "photos", show) as bar:
            manifest = _fill(work, items, settings, bar)
        for split in SPLITS if items["valid"] else ("test",):
            _check_any_used(manifest[manifest["split"] == split], split, profile)
        used = manifest[manifest["skipped"] == ""][["split", "file", "sha256"]].to_numpy().tolist()
        about = settings | {"hash": hashlib.sha256(repr((settings, used)).encode()).hexdigest()[:16]}
        (work / "about.json").write_text(json.dumps(about))
        manifest.to_csv(work / "manifest.csv", index=False, errors="surrogateescape")
        os.replace(work, folder)
    finally:  # Ctrl-C included
        shutil.rmtree(work, ignore_errors=True)


def _fill(work, items, settings, bar):
    """Decode all photos into the arrays; returns the manifest."""
    rows, seen = [], {}
    with ExitStack() as stack:
        # Not memory maps, which die of SIGBUS on a full disk, where a write raises an error to explain
        arrays = {name: stack.enter_context(open(work / f"{name}.rgb", "wb")) for name in SPLITS}
        for split, chosen in items.items():
            for item, (facts, pixels) in _decoded(chosen, settings):
                row = {"file": item.name, "split": split} | facts
                if split == "train" and arrays["valid"].tell() == 0:
                    row["split"] = "valid"  # those chosen were all unusable: the next photo takes their place
                if pixels is not None:
                    row["skipped"] = _why_not(row, seen, settings["min_chroma"])
                if not row["skipped"]:
                    arrays[row["split"]].write(pixels.tobytes())
                    seen.setdefault(row["sha256"], row)
                rows.append(row)
                bar.update(1)
    return pd.DataFrame(rows, columns=COLUMNS)


def _decoded(items, settings):
    """Pairs of an item and what `decode` says of it, in order."""
    work = partial(decode, size=settings["size"])
    # Threads, not processes: Pillow and NumPy work outside of Python's lock, and threads leave no orphans
    with ThreadPoolExecutor(num_cpus()) as pool:
        for some in chunked(items, 64):  # not all at once: results wait in memory
            decoded = list(pool.map(work, some))
            _add_chroma(decoded)
            yield from zip(some, decoded, strict=True)


def _add_chroma(decoded):
    """Put into the facts of each photo the mean of its CIE chroma; all in one go, which is much faster."""
    usable = [(facts, pixels) for facts, pixels in decoded if pixels is not None]
    if not usable:
        return
    _, ab = photos_to_lab(np.stack([pixels for _, pixels in usable]))
    chroma = AB_SCALE * torch.hypot(ab[:, 0], ab[:, 1]).mean((1, 2))
    for (facts, _), mean in zip(usable, chroma.tolist(), strict=True):
        facts["chroma"] = round(mean, 4)


def _why_not(row, seen, min_chroma):
    twin = seen.get(row["sha256"], row)
    if twin["split"] != row["split"]:
        return f"same file as {twin['split']} photo {printable(twin['file'])}"
    if row["split"] != "test" and row["chroma"] < min_chroma:
        return f"mean chroma {row['chroma']:.2f} is below {min_chroma:g}"
    return ""


def _check_any_used(rows, split, profile):
    if not (rows["skipped"] == "").any():
        where, reasons = profile.data_dir or profile.source, ";".join(_reasons(rows.head(5)))
        raise ValueError(
            f"no usable {split} photo among {len(rows)} in {where}; at least three photos are needed, "
            f"one each to train, to validate and to test.{reasons}"
        )


class PhotoLoader(DataLoader):
    """fastai `DataLoader` of (L, ab) batches: L (B,1,S,S) and ab (B,2,S,S), normalized, float32, on `device`.

    With `shuffle` order, flips, crops and softness of an epoch are drawn from (seed, epoch): the same after a resume.
    `epoch` may be set; it counts up by itself at the end of each epoch. The other arguments as in `dataloaders`.
    """

    def __init__(
        self,
        photos: Photos,
        split: str,
        bs=32,
        *,
        shuffle=False,
        steps_per_epoch=None,
        min_crop_side=1.0,
        softness=1.0,
        seed=42,
        device="cpu",
    ):
        names = photos.files(split)
        if bs < 1:
            raise ValueError(f"batch_size is {bs}; it must be at least 1")
        if not names:
            raise ValueError(f"there are no {split} photos in {photos.folder}")
        # A last batch of one photo breaks batch norm: training drops it, and another photo the next epoch
        last_batch_is_single = len(names) % bs == 1 and len(names) > bs > 1
        n = min(len(names), bs * steps_per_epoch) if steps_per_epoch else None
        super().__init__(names, bs=bs, shuffle=shuffle, drop_last=shuffle and last_batch_is_single, n=n, device=device)
        self.photos, self.split, self.seed, self.epoch = photos, split, seed, 0
        self.min_crop_side, self.softness = min_crop_side, softness

    def get_idxs(self):
        """The order of this epoch; draws its flips, crops and softness too."""
        if not self.shuffle:
            return list(range(self.n))
        rng = np.random.default_rng([self.seed, self.epoch])
        photos = len(self.dataset)
        self.flips = rng.random(photos) < 0.5
        order = rng.permutation(photos)[: self.n].tolist()
        self.sides = torch.from_numpy(rng.uniform(self.min_crop_side, 1, photos)).float()
        self.places = torch.from_numpy(rng.random((photos, 2))).float()
        self.scales = torch.from_numpy(rng.uniform(self.softness, 1, photos)).float()
        return order

    def create_batches(self, samps):
        """uint8 photos (B,S,S,3), one gather from the array each; with `shuffle` some of them mirrored."""
        pixels = getattr(self.photos, self.split)
        for index in chunked(samps, self.bs, self.drop_last):
            photos = torch.from_numpy(np.asarray(pixels[index]))
            for i, photo in zip(index, photos, strict=True):  # photo by photo: in the processor's cache
                if self.shuffle and self.flips[i]:
                    photo.copy_(photo.flip(1))
            if self.shuffle and min(self.min_crop_side, self.softness) < 1:
                yield photos, self.scales[index], self.sides[index], self.places[index]
            else:
                yield (photos,)

    def after_batch(self, batch):
        """Softened, to Lab, cropped, on the device."""
        photos, *drawn = batch
        if not drawn:
            return photos_to_lab(photos)
        scales, *squares = drawn
        if self.softness < 1:
            photos = softened(photos, scales)
        L, ab = photos_to_lab(photos)
        if self.min_crop_side == 1:
            return L, ab
        return cropped(L, *squares), cropped(ab, *squares)

    def after_iter(self):
        self.epoch += 1

    def new(self, dataset=None, cls=None, **kwargs):
        """This loader with another `bs`, `shuffle` or `device`, as fastai's `get_preds` asks."""
        options = {name: kwargs.get(name, getattr(self, name)) for name in ("bs", "shuffle", "device")}
        options |= {"min_crop_side": self.min_crop_side, "softness": self.softness, "seed": self.seed}
        return PhotoLoader(self.photos, self.split, **options)


def softened(photos: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """uint8 photos (B,S,S,3), each as if enlarged from `scales` (B,) of its side, to the nearest eighth of the side.

    Copies of training photos are soft, a large photo made small is sharp: the networks shall know both.
    """
    size = photos.shape[1]
    sides = (scales * 8).round().clamp(min=1) / 8 * size
    planes = photos.movedim(-1, 1).float()
    for side in sides.unique().round().int().tolist():
        chosen = sides.round() == side
        if side < size:
            small = F.interpolate(planes[chosen], size=(side, side), mode="bilinear", antialias=True)
            planes[chosen] = F.interpolate(small, size=(size, size), mode="bilinear")
    return planes.round().clamp(0, 255).byte().movedim(1, -1)


def cropped(planes: torch.Tensor, sides: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Squares cut out of `planes` (B,C,S,S) and enlarged to S again, bilinearly.

    Args:
        sides: (B,), the fraction of the side that is kept, in (0, 1].
        places: (B,2), where a square lies between left (0) and right (1), and between top and bottom.
    """
    theta = torch.zeros(len(planes), 2, 3, device=planes.device)
    theta[:, 0, 0] = sides
    theta[:, 1, 1] = sides
    theta[:, :, 2] = (2 * places - 1) * (1 - sides[:, None])
    grid = F.affine_grid(theta, planes.shape, align_corners=False)
    return F.grid_sample(planes, grid, padding_mode="border", align_corners=False)


def dataloaders(
    photos: Photos, batch_size=32, seed=42, device=None, min_crop_side=1.0, softness=1.0, steps_per_epoch=None
) -> DataLoaders:
    """fastai `DataLoaders` of (L, ab) batches over the training and validation photos, never the test photos.

    The training loader draws order, flips, crops and softness from (`seed`, `dls.train.epoch`).

    Args:
        device: None is CUDA where there is one, else the CPU.
        min_crop_side: the least fraction of the side that a random crop keeps; 1: none.
        softness: the least scale from which photos are enlarged again, see `softened`; 1: none.
        steps_per_epoch: batches of an epoch, of photos drawn anew each time; None: all photos.

    Raises:
        ValueError: `batch_size` below 1, or no photos.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    options = {"min_crop_side": min_crop_side, "softness": softness, "steps_per_epoch": steps_per_epoch}
    train = PhotoLoader(photos, "train", batch_size, shuffle=True, seed=seed, device=device, **options)
    valid = PhotoLoader(photos, "valid", batch_size, seed=seed, device=device)
    return DataLoaders(train, valid, path=photos.folder, device=device)


def batches(array: np.ndarray, batch_size: int = 32, device="cpu") -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(L, ab) of a uint8 array (N,S,S,3), in order, without flips."""
    for start in range(0, len(array), batch_size):
        yield photos_to_lab(array[start : start + batch_size], device)
