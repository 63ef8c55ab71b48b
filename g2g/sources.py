"""Where the photos come from: photographs bundled with two libraries, a folder of one's own, the COCO sample.

A source is a function `profile -> (train, test)` of two lists of `Item`; to add one, add it to `SOURCES`.
"""

import gzip
import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import warnings
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from g2g.files import disk_full_explained, locked, need_disk, progress
from g2g.profiles import SEED, Profile, cache_root

# .heic and .heif are not decoded by Pillow alone: they are taken in to be listed as skipped, not passed over
SUFFIXES = {
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".jp2",
    ".avif",
    ".ppm",
    ".pgm",
    ".heic",
    ".heif",
}
BUNDLED = {
    "train": (
        "skimage/data/coffee.png",
        "skimage/data/rocket.jpg",
        "skimage/data/motorcycle_left.png",
        "sklearn/datasets/images/china.jpg",
    ),
    "test": ("skimage/data/astronaut.png", "skimage/data/chelsea.png", "sklearn/datasets/images/flower.jpg"),
}


@dataclass(frozen=True)
class Item:
    """One photo: its `name` in the manifest, its file, and for a crop the box (left, top, right, bottom)."""

    name: str
    path: Path
    box: tuple[int, int, int, int] | None = None


def bundled(profile: Profile) -> tuple[list[Item], list[Item]]:
    """Square crops of photographs that come with scikit-image and scikit-learn: four to train, three to test.

    The k-th crop of a photograph is the same in every run: side 40 to 95% of the short side, anywhere.
    """
    return _crops(BUNDLED["train"], profile.n_train), _crops(BUNDLED["test"], profile.n_test)


def folder(profile: Profile) -> tuple[list[Item], list[Item]]:
    """The photos under `profile.data_dir`, at most `n_train` and `n_test` of them, chosen by seed.

    `train/` and `test/` are respected if both are there; otherwise 80% train, 20% test.

    Raises:
        ValueError: the profile has no `data_dir`.
        FileNotFoundError: `data_dir` is no folder, or holds no photos (says what was looked for and where).
    """
    root = profile.data_dir
    if root is None:
        raise ValueError("the source 'folder' needs a folder: set G2G_DATA=/your/photos")
    if not Path(root).is_dir():
        raise FileNotFoundError(f"{root} is not a folder; set G2G_DATA to a folder of photos")
    parts = [Path(root) / "train", Path(root) / "test"]
    if not all(part.is_dir() for part in parts):
        return _split(_find(root), profile)
    return tuple(
        _choose(_find(part, root), n) for part, n in zip(parts, (profile.n_train, profile.n_test), strict=True)
    )


def coco_sample(profile: Profile) -> tuple[list[Item], list[Item]]:
    """fast.ai's sample of COCO (3.2 GB, about 21,800 photos), downloaded on first use.

    `G2G_COCO_URL` names a mirror of the archive (http, https or file).

    Raises:
        RuntimeError: too little disk, no connection, an archive that is not whole; with the way out.
    """
    home = cache_root() / "coco_sample"
    home.parent.mkdir(parents=True, exist_ok=True)
    with locked(home):  # two notebooks at once: the second waits and finds the photos
        if not home.is_dir():
            _fetch_coco(home)
    return _split(_find(home), profile)


SOURCES = {"bundled": bundled, "folder": folder, "coco_sample": coco_sample}


def seeded(items: list[Item]) -> list[Item]:
    """The items in an order that seed and names alone decide: the same on every machine and Python."""
    return sorted(items, key=lambda item: hashlib.sha256(os.fsencode(f"{SEED}/{item.name}")).digest())


def _choose(items, n):
    return sorted(seeded(items)[:n], key=lambda item: item.name)


def _split(items, profile):
    """80% train, 20% test, then at most n of each: no profile trains on another one's test photos."""
    order = seeded(items)
    n_test = max(1, round(0.2 * len(items)))
    return _choose(order[n_test:], profile.n_train), _choose(order[:n_test], profile.n_test)


def _crops(files, n):
    from PIL import Image

    items = []
    for number, file in enumerate(files):
        library, _, rest = file.partition("/")
        path = Path(find_spec(library).origin).parent / rest
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: reinstall {library}, or set G2G_DATA=/your/photos")
        with Image.open(path) as image:
            width, height = image.size
        rng = np.random.default_rng([SEED, number])
        for k in range(-(-(n - number) // len(files))):
            side = int(min(width, height) * rng.uniform(0.4, 0.95))
            left, top = (int(rng.integers(0, extent - side + 1)) for extent in (width, height))
            box = (left, top, left + side, top + side)
            items.append((k, Item(f"{path.stem.split('_')[0]}-{k:02d}", path, box)))
    return [item for _, item in sorted(items, key=lambda pair: pair[0])]  # coffee-00, rocket-00, …, coffee-01


def _find(where, root=None):
    """Files under `where` with a photo's suffix, sorted by their name below `root`; hidden ones left out."""
    root, found, seen = Path(root or where), [], set()
    for at, folders, files in os.walk(
        where,
        followlinks=True,
        onerror=lambda e: warnings.warn(f"{e.filename} is left out: {e.strerror}", stacklevel=2),
    ):
        status = os.stat(at)
        if (status.st_dev, status.st_ino) in seen:  # a link back to a folder above
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(at, name) for name in files if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    if not found:
        raise FileNotFoundError(
            f"no photos under {where}: looked for {', '.join(sorted(SUFFIXES))} outside "
            "of hidden folders. Set G2G_DATA to a folder with some"
        )
    items = [Item(path.relative_to(root).as_posix(), path) for path in found]
    return sorted(items, key=lambda item: item.name)


def _fetch_coco(home):
    """Download, check and unpack the archive; `home` appears when all of it is there."""
    from fastai.data import external
    from fastdownload.core import checks_module, read_checks

    url = os.environ.get("G2G_COCO_URL") or external.URLs.COCO_SAMPLE
    known = read_checks(checks_module(external)).get(url)  # fastai's record: (size, md5 of the first MiB)
    archive, unpacked = home.with_suffix(".part"), home.with_suffix(".tmp")
    shutil.rmtree(unpacked, ignore_errors=True)  # left by a run that was killed
    try:
        with disk_full_explained(home.parent):
            _download(url, archive, known)
            _unpack(archive, unpacked)
            os.replace(unpacked, home)
    finally:
        archive.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)


WAY_OUT = "Try again, or set G2G_COCO_URL to a mirror, G2G_DATA to a folder of photos, or G2G_PROFILE=smoke."


def _download(url, path, known=None, tries=3):
    for attempt in range(1, tries + 1):
        try:
            with urllib.request.urlopen(url, timeout=60) as reply, open(path, "wb") as file:
                size = int(reply.headers.get("Content-Length") or (known or [0])[0])
                need_disk(path.parent, 2 * size, "the archive and the photos in it")
                digest = hashlib.md5(usedforsecurity=False)
                with progress(size, "COCO sample: download", "B") as bar:
                    while block := reply.read(1 << 20):
                        if bar.n < 1 << 20:
                            digest.update(block[: (1 << 20) - int(bar.n)])
                        file.write(block)
                        bar.update(len(block))
            received = path.stat().st_size
            if known and received == size and (received, digest.hexdigest()) != tuple(known):
                raise RuntimeError(f"{url} is not the archive it was when this was written. {WAY_OUT}")
            if received == size or not size:
                return
            problem = f"the connection ended after {received:,} of {size:,} bytes"
        except urllib.error.HTTPError as error:
            problem = f"the server answered {error.code} {error.reason}"
            if error.code < 500:
                break
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        print(f"COCO sample: {problem} (try {attempt} of {tries})")
    raise RuntimeError(f"could not download {url}: {problem}. {WAY_OUT}")


def _unpack(archive, target):
    """The photos of a .tgz into `target`; reads to its end, where gzip keeps the checksum of the whole."""
    target.mkdir(parents=True)
    try:
        with (
            open(archive, "rb") as raw,
            gzip.open(raw) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
            progress(archive.stat().st_size, "COCO sample: unpack", "B") as bar,
        ):
            photos = 0
            for member in tar:
                if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                    tar.extract(member, target, filter="data")  # refuses a path that leads out of target
                    photos += 1
                bar.update(raw.tell() - bar.n)
            if not photos:
                raise tarfile.ReadError("there are no photos in it")
            while plain.read(1 << 20):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RuntimeError(f"the archive is not whole, or no .tgz of photos ({error}). {WAY_OUT}") from error
