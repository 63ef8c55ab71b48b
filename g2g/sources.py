"""Where the photos come from: photographs bundled with two libraries, a folder of one's own, the COCO sample.

A source is a function `profile -> (train, test)` of two lists of `Item`; to add one, add it to `SOURCES`.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
from fastai.data import external
from fastdownload import core as fastdownload
from PIL import Image
from tqdm.utils import CallbackIOWrapper

from g2g.files import DISK_FULL, disk_full_explained, locked, need_disk, progress, save_atomic
from g2g.photos import SUFFIXES, Item, photos_under
from g2g.profiles import SEED, Profile, cache_root

BUNDLED = {
    "train": (
        "skimage/data/coffee.png",
        "skimage/data/rocket.jpg",
        "skimage/data/motorcycle_left.png",
        "sklearn/datasets/images/china.jpg",
    ),
    "test": ("skimage/data/astronaut.png", "skimage/data/chelsea.png", "sklearn/datasets/images/flower.jpg"),
}
HINT = "Try again, or set G2G_COCO_URL to a mirror, G2G_DATA to a folder of photos, or G2G_PROFILE=smoke."


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
    if profile.data_dir is None:
        raise ValueError("the source 'folder' needs a folder: set G2G_DATA=/your/photos")
    root = Path(profile.data_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; set G2G_DATA to a folder of photos")
    train, test = root / "train", root / "test"
    if train.is_dir() and test.is_dir():
        return _choose(_find(train, root), profile.n_train), _choose(_find(test, root), profile.n_test)
    return _split(_find(root, root), profile)


def test_folder(profile: Profile) -> tuple[list[Item], list[Item]]:
    """The photos under `profile.data_dir`, at most `n_test`, chosen by seed, all to test. Raises as `folder` does."""
    root = Path(profile.data_dir)
    return [], _choose(_find(root, root), profile.n_test)


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
    return _split(_find(home, home), profile)


SOURCES = {"bundled": bundled, "folder": folder, "coco_sample": coco_sample, "test_folder": test_folder}


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
    """n crops in turn: coffee-00, rocket-00, motorcycle-00, china-00, coffee-01, …"""
    paths = [_installed(file) for file in files]
    generators = [np.random.default_rng([SEED, number]) for number in range(len(files))]
    items = []
    for i in range(n):
        path, rng = paths[i % len(files)], generators[i % len(files)]
        with Image.open(path) as image:
            width, height = image.size
        side = int(min(width, height) * rng.uniform(0.4, 0.95))
        left = int(rng.integers(0, width - side + 1))
        top = int(rng.integers(0, height - side + 1))
        name = f"{path.stem.split('_')[0]}-{i // len(files):02d}"
        items.append(Item(name, path, (left, top, left + side, top + side)))
    return items


def _installed(file):
    package, _ = file.split("/", 1)
    return Path(find_spec(package).origin).parents[1] / file


def _find(where, root):
    """The photos under `where`, sorted by their name below `root`."""
    items = [Item(path.relative_to(root).as_posix(), path) for path in photos_under(where)]
    if not items:
        raise FileNotFoundError(
            f"no photos under {where}: looked for {', '.join(sorted(SUFFIXES))} outside of hidden folders. "
            "Set G2G_DATA to a folder with some"
        )
    return sorted(items, key=lambda item: item.name)


def _fetch_coco(home):
    """Download, check and unpack the archive; `home` appears when all of it is there."""
    url = os.environ.get("G2G_COCO_URL") or external.URLs.COCO_SAMPLE
    archive, unpacked = home.with_suffix(".part"), home.with_suffix(".tmp")
    shutil.rmtree(unpacked, ignore_errors=True)  # left by a run that was killed
    try:
        with disk_full_explained(home.parent):
            _download(url, archive)
            # fastai's record of its archives: the size, and the md5 of the first MiB
            if not fastdownload.check(fastdownload.checks_module(external), url, archive):
                raise RuntimeError(f"{url} is not the archive it was when this was written. {HINT}")
            _unpack(archive, unpacked)
            _verify_sha256(archive, home.with_suffix(".sha256"))
            os.replace(unpacked, home)
    finally:
        archive.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)


def _verify_sha256(archive, kept):
    """The sha256 of the first archive ever fetched is kept in the file `kept`; every later one has to have it."""
    with open(archive, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not kept.is_file():
        save_atomic(lambda part: part.write_text(digest), kept)
    elif kept.read_text() != digest:
        raise RuntimeError(
            f"the archive is whole, but another one than at the first download: sha256 {digest}, then "
            f"{kept.read_text()}. If that is right, delete {kept} and run the same again"
        )


def _download(url, path, tries=3):
    for attempt in range(1, tries + 1):
        try:
            with urlopen(url, timeout=60) as reply, open(path, "wb") as file:
                size = int(reply.headers.get("Content-Length", 0))
                need_disk(path.parent, 2 * size, "the archive and the photos in it")
                with progress(size, "COCO sample: download", "B") as bar:
                    shutil.copyfileobj(CallbackIOWrapper(bar.update, reply, "read"), file, 1 << 20)
            received = path.stat().st_size
            if received >= size:
                return
            problem = f"the connection ended after {received:,} of {size:,} bytes"
        except HTTPError as error:
            problem = f"the server answered {error.code} {error.reason}"
            if error.code < 500:
                break
        except (HTTPException, OSError) as error:  # no address, a dropped route, broken TLS: all are OSErrors
            if getattr(error, "errno", None) in DISK_FULL:
                raise
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        print(f"COCO sample: {problem} (try {attempt} of {tries})")
    raise RuntimeError(f"could not download {url}: {problem}. {HINT}")


def _unpack(archive, target):
    """The photos of a .tgz into `target`; reads to its end, where gzip keeps the checksum of the whole."""
    target.mkdir(parents=True)
    size = archive.stat().st_size
    try:
        with progress(size, "COCO sample: unpack", "B") as bar, open(archive, "rb") as file:
            plain = gzip.open(CallbackIOWrapper(bar.update, file, "read"))
            with tarfile.open(fileobj=plain, mode="r|") as tar:
                for member in tar:
                    if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                        tar.extract(member, target, filter="data")  # refuses a path that leads out of target
            while plain.read(1 << 20):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RuntimeError(f"the archive is not whole, or no .tgz of photos ({error}). {HINT}") from error
    if not any(target.iterdir()):
        raise RuntimeError(f"the archive is not whole: there are no photos in it. {HINT}")
