"""Photos decoded and resized once: `prepare` writes one uint8 array per split and a manifest, `Photos` reads them."""

import hashlib
import io
import json
import os
import shutil
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from fastcore.all import chunked, num_cpus
from filelock import FileLock, Timeout
from PIL import Image, ImageOps, UnidentifiedImageError

from g2g.profiles import Profile, cache_root
from g2g.progress import progress as progress_bar
from g2g.sources import SOURCES, Item, _need_disk, seeded

SPLITS = ("train", "valid", "test")
NEAR_GRAY = 5.0  # mean CIE chroma below which a photo has next to no colour to learn
MIN_SIDE = 16  # pixels: a thumbnail teaches nothing
VERSION = 1  # raise it when the same photos would give other arrays
COLUMNS = ["file", "sha256", "width", "height", "chroma", "split", "skipped"]
# Named, because Pillow would otherwise hand a PostScript file with a photo's name to Ghostscript
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
UPRIGHT = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
           7: "TRANSVERSE", 8: "ROTATE_90"}  # EXIF 2.3, tag 0x0112: how the camera was held


@dataclass(frozen=True, eq=False)
class Photos:
    """Prepared photos.

    Attributes:
        folder: where the arrays and `manifest.csv` lie.
        size: side S of the square photos in pixels.
        manifest: one row per photo: file, sha256 (of the file), width, height (upright), chroma (mean, CIE units),
            split, skipped (why; empty where used). The used rows of a split are in the order of its array.
        hash: 16 hex digits of what went in and how: names, contents and splits of the photos used, size, fit. Not
            where they lie.

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
        return (f"Photos({counts}, {self.size}×{self.size} px, {gray:,} near-gray, "
                f"{(self.manifest['skipped'] != '').sum():,} skipped, hash {self.hash})")


def prepare(profile: Profile, *, min_chroma: float = 0.0, fit: str = "squash", progress: bool = True) -> Photos:
    """Decode, turn upright and resize the profile's photos once; later calls open what is there.

    Validation is 5% of the training photos (at least one), chosen by seed before any is skipped. A training photo
    whose file is also a validation or test photo is skipped, and a validation photo that is also a test photo.
    The result lies in `cache_root()/prepared/`; other photos, changed photos or other settings make another one.

    Args:
        min_chroma: training and validation photos with a lower mean CIE chroma are left out; 5 drops near-gray ones.
        fit: `squash` to the square (as the report does) or `crop` its centre.
        progress: show it, and list what was skipped.

    Raises:
        ValueError: unknown `fit` or source, or a split without a usable photo (says what was found and why not used).
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
    with _lock(folder, wait=True):  # a second process waits here, then finds the first one's work
        photos = _load(folder)
        if photos is None:
            _sweep(folder.parent)
            _build(folder, train, test, settings, progress, profile)
            photos = _load(folder)
    skipped = photos.manifest[photos.manifest["skipped"] != ""]
    if progress and len(skipped):
        print(f"{len(skipped):,} of {len(photos.manifest):,} photos skipped (all in {folder / 'manifest.csv'}):")
        for row in skipped.head(10).itertuples():
            print(f"  {ascii(row.file)[1:-1]}: {row.skipped}")
    return photos


def decode(item: Item, size: int, fit: str = "squash") -> tuple[dict, np.ndarray | None]:
    """One photo as (its row of the manifest, uint8 (size, size, 3)); None, and the reason in the row, if unusable."""
    row = dict.fromkeys(COLUMNS, "") | {"file": item.name, "width": None, "height": None, "chroma": None}
    try:
        if not item.path.is_file():
            raise OSError("no such file" if not item.path.exists() else "not a regular file")
        data = item.path.read_bytes()
        row["sha256"] = hashlib.sha256(data + (repr(item.box).encode() if item.box else b"")).hexdigest()
        if not data:
            raise OSError("empty file")
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=_formats()) as image:
            image = image_to_rgb(image)
        if item.box:
            image = image.crop(item.box)
        row["width"], row["height"] = image.size
        if min(image.size) < MIN_SIDE:
            raise OSError(f"only {image.width}×{image.height} px, at least {MIN_SIDE} on each side are needed")
        if fit == "crop":
            image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
        return row, np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
    except UnidentifiedImageError:
        row["skipped"] = "not an image that Pillow can read"
    except Exception as error:  # a decoder given garbage may raise anything: SyntaxError, struct.error, MemoryError, …
        row["skipped"] = f"{error}" or type(error).__name__
    return row, None


def image_to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB, upright: EXIF rotation honoured, transparency laid on white, 16 bits scaled."""
    image.load()  # decodes; raises OSError where the file is cut off
    turn = UPRIGHT.get(image.getexif().get(0x0112))
    if image.mode.startswith("I"):  # 16-bit gray; Pillow would clip it at 255
        image = Image.fromarray((np.asarray(image).astype(np.float64).clip(0, 65535) / 257).round().astype(np.uint8))
    elif image.mode == "F":
        raise OSError("32-bit floating point: save it as 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    return image.transpose(Image.Transpose[turn]) if turn else image


def _formats():
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _key(train, test, settings):
    """16 hex digits of the settings and of every file's name, path, size and time of change."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for split, items in (("train", train), ("test", test)):
        for item in items:
            try:
                status = item.path.stat()
                stamp = (status.st_size, status.st_mtime_ns)
            except OSError:
                stamp = None
            digest.update(repr((split, item.name, str(item.path.absolute()), item.box, stamp)).encode())
    return digest.hexdigest()[:16]


def _lock(folder, wait):
    lock = FileLock(folder.with_suffix(".lock"))  # the system frees it when its process dies, SIGKILL included
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
    print("another process is preparing these photos; waiting for it")
    return lock.acquire()


def _sweep(root):
    """Remove what killed processes left half-written: unfinished folders whose lock nobody holds."""
    for left in root.glob("*.tmp"):
        try:
            with _lock(left.with_suffix(""), wait=False):
                shutil.rmtree(left, ignore_errors=True)
        except Timeout:
            pass


def _load(folder):
    """The finished cache in `folder`; None if there is none or if it was damaged since."""
    try:
        about = json.loads((folder / "about.json").read_text())
        texts = ("file", "sha256", "split", "skipped")  # a photo may be called NA
        manifest = pd.read_csv(folder / "manifest.csv", dtype=dict.fromkeys(texts, str), keep_default_na=False,
                               na_values={name: [""] for name in ("width", "height", "chroma")},
                               encoding_errors="surrogateescape")
        photos = Photos(folder, about["size"], manifest, about["hash"])
        whole = all(len(photos._open(split)) == len(photos.files(split)) for split in SPLITS)
    except FileNotFoundError:
        whole = False
    except (ValueError, KeyError, OSError) as error:
        print(f"{folder} is damaged ({error}): preparing again")
        whole = False
    return photos if whole else None


def _build(folder, train, test, settings, show, profile):
    """Write the cache under a temporary name; it gets its own name when it is complete."""
    size, work = settings["size"], folder.with_suffix(".tmp")
    n_valid = max(1, round(0.05 * len(train)))
    held_out = {item.name for item in seeded(train)[:n_valid]}
    plan = {"test": test, "valid": [i for i in train if i.name in held_out],
            "train": [i for i in train if i.name not in held_out]}  # test first: the others must not repeat it
    _need_disk(folder.parent, (len(train) + len(test)) * size * size * 3, "the prepared photos")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # only a damaged one can be there
    work.mkdir()
    rows, seen = [], {}
    try:
        with progress_bar(len(train) + len(test), "prepare", "photos", show=show) as bar, _Arrays(work, size) as arrays:
            for split, items in plan.items():
                new = {}
                for row, pixels in _decoded(items, settings, bar):
                    row["split"] = split if arrays.count["valid"] or split == "test" else "valid"
                    if pixels is not None and row["sha256"] in seen:
                        row["skipped"] = f"the same file as {seen[row['sha256']]}"
                    elif pixels is not None and split != "test" and row["chroma"] < settings["min_chroma"]:
                        row["skipped"] = f"mean chroma {row['chroma']:.2f} is below {settings['min_chroma']:g}"
                    elif pixels is not None:
                        arrays.append(row["split"], pixels)
                        (new if row["split"] == split else seen).setdefault(row["sha256"], f"{row['split']} photo {row['file']}")
                    rows.append(row)
                seen |= new
        manifest = pd.DataFrame(rows, columns=COLUMNS)
        for split in SPLITS:
            if not arrays.count[split]:
                raise ValueError(_nothing(split, manifest[manifest["split"] == split], profile))
        used = manifest[manifest["skipped"] == ""][["split", "file", "sha256"]].to_numpy().tolist()
        about = settings | {"hash": hashlib.sha256(repr((settings, used)).encode()).hexdigest()[:16]}
        (work / "about.json").write_text(json.dumps(about))
        manifest.to_csv(work / "manifest.csv", index=False, errors="surrogateescape")
        os.replace(work, folder)
    except OSError as error:
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise RuntimeError(f"the disk is full ({folder.parent}): nothing was kept; free some space, or set "
                               "G2G_CACHE to a folder on a larger disk") from error
        raise
    finally:  # Ctrl-C included
        shutil.rmtree(work, ignore_errors=True)


def _nothing(split, rows, profile):
    where = profile.data_dir or f"the source {profile.source!r}"
    reasons = "; ".join(f"{row.file}: {row.skipped}" for row in rows.head(5).itertuples())
    return (f"no usable {split} photo: looked at {len(rows)} {split} photos of {where}"
            + (f", all skipped ({reasons}{'; …' if len(rows) > 5 else ''})" if reasons else "")
            + ". At least three photos are needed: one each to train, validate and test")


def _decoded(items, settings, bar):
    """(row, pixels or None) of each item, in order, decoded on all cores.

    Threads, not processes: Pillow decodes and resizes outside of Python's lock, and threads need no `__main__` guard
    on macOS, no pickling, and leave no orphans when the process is killed.
    """
    from g2g.lab import AB_SCALE, photos_to_lab

    pool = ThreadPoolExecutor(num_cpus())
    try:
        ahead, todo = deque(), iter(items)
        for group in chunked(range(len(items)), 32):
            ahead += [pool.submit(decode, item, settings["size"], settings["fit"])
                      for item, _ in zip(todo, range(len(group) + 64 - len(ahead)))]
            done = [ahead.popleft().result() for _ in group]
            good = [(row, pixels) for row, pixels in done if pixels is not None]
            if good:
                _, ab = photos_to_lab(np.stack([pixels for _, pixels in good]))
                for (row, _), chroma in zip(good, (ab.norm(dim=1).mean(dim=(1, 2)) * AB_SCALE).tolist(), strict=True):
                    row["chroma"] = round(chroma, 4)
            bar.update(len(done))
            yield from done
    finally:
        pool.shutdown(cancel_futures=True)


class _Arrays:
    """One growing .npy file per split, written from front to back.

    Not through a memory map: on a full disk that dies of SIGBUS, where a write raises an error one can explain.
    """

    def __init__(self, folder, size):
        self.files, self.size, self.count = {}, size, dict.fromkeys(SPLITS, 0)
        for split in SPLITS:
            self.files[split] = open(folder / f"{split}.npy", "wb")  # noqa: SIM115
            self._header(split)

    def _header(self, split):
        np.lib.format.write_array_header_1_0(self.files[split], {
            "descr": "|u1", "fortran_order": False, "shape": (self.count[split], self.size, self.size, 3)})

    def append(self, split, pixels):
        self.files[split].write(np.ascontiguousarray(pixels).data)
        self.count[split] += 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for split, file in self.files.items():
            with file:
                if not any(error):
                    file.seek(0)
                    self._header(split)  # same length: NumPy leaves room for the first axis to grow
