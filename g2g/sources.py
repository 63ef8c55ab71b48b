"""Where the photos come from: photographs bundled with two libraries, a folder of one's own, the COCO sample.

A source is a function `profile -> (train, test, valid)` of three lists of `Item`, entered in `SOURCES`. Where `valid`
is empty, `g2g.data.prepare` takes validation photos out of `train`.
"""

import gzip
import hashlib
import os
import shutil
import socket
import tarfile
import zlib
from collections import defaultdict
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from torch.hub import download_url_to_file

from g2g.files import disk_full_explained, locked
from g2g.photos import SUFFIXES, Item, photos_under
from g2g.profiles import SEED, Profile, cache_root

SKIMAGE, SKLEARN = "skimage/data", "sklearn/datasets/images"
TRAIN = [f"{SKIMAGE}/coffee.png", f"{SKIMAGE}/rocket.jpg", f"{SKIMAGE}/motorcycle_left.png", f"{SKLEARN}/china.jpg"]
TEST = [f"{SKIMAGE}/astronaut.png", f"{SKIMAGE}/chelsea.png", f"{SKLEARN}/flower.jpg"]
FOLDERS = {"train": "train", "val": "valid", "valid": "valid", "validation": "valid", "test": "test"}
UNUSED = "outside of them, not used"
COCO = "https://s3.amazonaws.com/fast-ai-coco/coco_sample.tgz"
COCO_DISK = 7e9  # bytes, for the archive and the photos in it
COCO_START = "006cd55d633d94b36ecaf661467830ec"  # md5 of its first MiB, as fastai records it
HINT = "Try again, or set G2G_COCO_URL to a mirror, G2G_DATA to a folder of photos, or G2G_PROFILE=smoke."


def bundled(profile: Profile):
    """Square crops of photographs that come with scikit-image and scikit-learn: four to train, three to test."""
    return _crops(TRAIN, profile.n_train), _crops(TEST, profile.n_test), []


def _crops(files, n):
    """n crops in turn: coffee-00, rocket-00, …, coffee-01, …; side 40 to 95% of the short side, always the same."""
    generators, items = [np.random.default_rng([SEED, number]) for number in range(len(files))], []
    for i in range(n):
        file, rng = files[i % len(files)], generators[i % len(files)]
        path = Path(find_spec(file.split("/")[0]).origin).parents[1] / file
        with Image.open(path) as image:
            width, height = image.size
        side = int(min(width, height) * rng.uniform(0.4, 0.95))
        left, top = (int(rng.integers(0, length - side + 1)) for length in (width, height))
        name = f"{path.stem.split('_')[0]}-{i // len(files):02d}"
        items.append(Item(name, path, (left, top, left + side, top + side)))
    return items


def folder(profile: Profile):
    """The photos under `profile.data_dir`, at most `n_train` and `n_test`, chosen by seed: 80% train, 20% test.

    Or what lies in its folders `train`, `val` (`valid`, `validation`) and `test`, in any case of letters; a line says
    what was found. Raises FileNotFoundError or ValueError where there is nothing to train on.
    """
    root = Path(profile.data_dir or "")
    if profile.data_dir is None or not root.is_dir():
        raise FileNotFoundError(f"{profile.data_dir} is not a folder; set G2G_DATA=/your/photos")
    found = defaultdict(list)
    for item in _find(root):
        found[FOLDERS.get(item.name.split("/")[0].lower(), UNUSED)].append(item)
    if set(found) == {UNUSED}:
        return _split(found[UNUSED], profile)
    train = found["train"] or found.pop(UNUSED, [])
    others = [f"{len(found[key]):,} {key}" for key in found if key != "train"]
    print(f"photos in {root}: {', '.join([f'{len(train):,} train', *others])}")
    if not train:
        raise ValueError(f"{root} holds no photos to train on beside {', '.join(others)}")
    n_valid = max(1, round(0.05 * profile.n_train)) if profile.n_train else 0  # 0: the photos are only scored
    valid = _choose(found["valid"], n_valid)
    if not found["test"]:
        return *_split(train, profile)[:2], valid
    return _choose(train, profile.n_train), _choose(found["test"], profile.n_test), valid


def test_folder(profile: Profile):
    """The photos under `profile.data_dir`, at most `n_test`, chosen by seed, all to test. Raises as `folder` does."""
    return [], _choose(_find(Path(profile.data_dir)), profile.n_test), []


def coco_sample(profile: Profile):
    """fast.ai's sample of COCO (3.2 GB, about 21,800 photos), from `G2G_COCO_URL` if set: 80% train, 20% test.

    Raises RuntimeError for too little disk, no connection, or an archive that is not whole, with what to do.
    """
    home = cache_root() / "coco_sample"
    home.parent.mkdir(parents=True, exist_ok=True)
    with locked(home):  # two notebooks at once: the second waits and finds the photos
        if not home.is_dir():
            _fetch_coco(home)
    return _split(_find(home), profile)


SOURCES = {"bundled": bundled, "folder": folder, "coco_sample": coco_sample, "test_folder": test_folder}


def seeded(items: list[Item]) -> list[Item]:
    """The items in an order that seed and names alone decide: the same on every machine and Python."""
    return sorted(items, key=lambda item: hashlib.sha256(os.fsencode(f"{SEED}/{item.name}")).digest())


def _choose(items, n):
    return sorted(seeded(items)[:n], key=lambda item: item.name)


def _split(items, profile):
    """80% train, 20% test, then at most n of each: no profile trains on another one's test photos."""
    if len(items) < 3:
        raise ValueError(f"{len(items)} of at least three photos: one each to train, to validate and to test")
    order, n_test = seeded(items), max(1, round(0.2 * len(items)))
    return _choose(order[n_test:], profile.n_train), _choose(order[:n_test], profile.n_test), []


def _find(root):
    """The photos under `root`, sorted by their name below it."""
    items = [Item(path.relative_to(root).as_posix(), path) for path in photos_under(root)]
    if not items:
        looked_for = f"looked for {', '.join(sorted(SUFFIXES))} outside of hidden folders"
        raise FileNotFoundError(f"no photos under {root}: {looked_for}. Set G2G_DATA to a folder with some")
    return sorted(items, key=lambda item: item.name)


def _fetch_coco(home):
    """Download, check and unpack the archive; `home` appears when all of it is there."""
    url = os.environ.get("G2G_COCO_URL") or COCO
    archive, unpacked = home.with_suffix(".part"), home.with_suffix(".tmp")
    if url == COCO and shutil.disk_usage(home.parent).free < COCO_DISK:
        raise RuntimeError(f"{home.parent} has less than {COCO_DISK / 1e9:.0f} GB free: make room, or set G2G_CACHE")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(60)  # a server that says nothing for a minute has gone
    try:
        with disk_full_explained(home.parent):
            download_url_to_file(url, archive)
            _check(archive, url)
            shutil.unpack_archive(archive, unpacked, "gztar", filter="data")  # refuses paths that lead out of it
            _find(unpacked)
            os.replace(unpacked, home)
    except (OSError, HTTPException, EOFError, zlib.error, tarfile.TarError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise RuntimeError(f"could not download {url}, or it is no whole .tgz of photos: {problem}. {HINT}") from error
    finally:
        socket.setdefaulttimeout(before)
        archive.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)


def _check(archive, url):
    """Raise for an archive that is cut off or changed: gzip's checksum is at its end, where tar does not look."""
    with open(archive, "rb") as file:
        if url == COCO and hashlib.md5(file.read(1 << 20)).hexdigest() != COCO_START:
            raise RuntimeError(f"{COCO} is not the archive it was when this was written. {HINT}")
    with gzip.open(archive) as plain:
        while plain.read(1 << 20):
            pass
