"""Where photos come from: the choice, the walk through a folder, and a download that may break."""

import dataclasses
import errno
import io
import os
import ssl
import tarfile
from http.client import HTTPException
from urllib.error import URLError

import numpy as np
import pytest
from conftest import raising
from PIL import Image

from g2g import sources
from g2g.data import prepare
from g2g.profiles import PROFILES, Profile

pytestmark = pytest.mark.usefixtures("own_cache")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def choose(folder, n_train=1000, n_test=1000):
    return sources.folder(Profile("smoke", "folder", 64, n_train, n_test, "", data_dir=folder))


def names(items):
    return [item.name for item in items]


def test_bundled_crops_are_fixed_and_varied():
    train, test, valid = sources.bundled(PROFILES["smoke"])
    assert (len(train), len(test), valid) == (48, 24, []) and (train, test, []) == sources.bundled(PROFILES["smoke"])
    assert len(set(names(train + test))) == 72 and "coffee-03" in names(train)
    assert not {item.path for item in train} & {item.path for item in test}
    assert train[:10] == sources.bundled(dataclasses.replace(PROFILES["smoke"], n_train=10))[0]
    sides = [item.box[2] - item.box[0] for item in train + test]
    assert min(sides) > 64 and max(sides) > 2 * min(sides)
    for item in train + test:
        with Image.open(item.path) as image:
            left, top, right, bottom = item.box
            assert 0 <= left < right <= image.width and 0 <= top < bottom <= image.height
            assert right - left == bottom - top


def test_a_folder_is_searched_and_split(tmp_path):
    touch(tmp_path, *[f"deep/er/{i:02d}.JPG" for i in range(50)], *[f"{i}.png" for i in range(50)])
    touch(tmp_path, "a.txt", ".hidden/x.jpg", "deep/.cache/y.jpg", "._z.jpg")
    train, test, _ = choose(tmp_path)
    assert (len(train), len(test)) == (80, 20) and len(set(names(train + test))) == 100
    assert names(train) == sorted(names(train)) and names(test) == sorted(names(test))
    assert not [name for name in names(train + test) if not name.endswith((".JPG", ".png")) or "/." in name]


def test_folders_called_train_val_and_test_are_what_they_say(tmp_path, capsys):
    touch(tmp_path, *(f"Train/{i:02d}.jpg" for i in range(40)), "x.jpg")
    touch(tmp_path, "TEST/sub/0.jpg", "test/1.jpg", "Validation/v.jpg", "val/w.jpg")
    train, test, valid = choose(tmp_path, n_train=40)
    assert names(train) == [f"Train/{i:02d}.jpg" for i in range(40)]
    assert names(test) == ["TEST/sub/0.jpg", "test/1.jpg"] and names(valid) == ["Validation/v.jpg", "val/w.jpg"]
    said = capsys.readouterr().out
    assert "40 train, 2 test, 2 valid, 1 outside of them, not used" in said
    assert choose(tmp_path, n_train=0) == ([], test, []), "photos that are only scored: none is held out"


@pytest.mark.parametrize(
    "place, other, expected",
    [
        ("train/", "val/v.jpg", [8, 2, 1]),  # of the training photos, some are tested on
        ("", "test/t.jpg", [10, 1, 0]),
    ],
)
def test_of_three_folders_some_may_be_missing(tmp_path, place, other, expected):
    touch(tmp_path, *(f"{place}{i}.jpg" for i in range(10)), other)
    splits = choose(tmp_path)
    assert [len(split) for split in splits] == expected
    assert len({name for split in splits for name in names(split)}) == 11


def test_the_choice_depends_on_names_alone(tmp_path):
    photos = [f"{i:03d}.jpg" for i in range(200)]
    touch(tmp_path / "one", *photos)
    touch(tmp_path / "two", *photos[::-1])
    one, two = choose(tmp_path / "one", 50, 20), choose(tmp_path / "two", 50, 20)
    assert [names(part) for part in one] == [names(part) for part in two]
    assert [len(part) for part in one] == [50, 20, 0]
    smaller, larger = choose(tmp_path / "one", 20, 5), choose(tmp_path / "one", 160, 40)
    assert set(names(smaller[1])) < set(names(larger[1]))
    assert not set(names(smaller[0])) & set(names(larger[1])), "no training on test photos"
    assert names(sources.seeded(one[0])[:2]) == ["096.jpg", "173.jpg"], "the same for ever"


def test_links_do_not_trap_the_walk(tmp_path):
    touch(tmp_path / "photos", *[f"a/{i}.jpg" for i in range(4)])
    touch(tmp_path / "elsewhere", "far.jpg")
    os.symlink(tmp_path / "photos", tmp_path / "photos/a/loop")
    os.symlink("..", tmp_path / "photos/a/up")
    os.symlink("self", tmp_path / "photos/self")
    os.symlink(tmp_path / "elsewhere", tmp_path / "photos/linked")
    train, test, _ = choose(tmp_path / "photos")
    assert sorted(names(train + test)) == ["a/0.jpg", "a/1.jpg", "a/2.jpg", "a/3.jpg", "linked/far.jpg"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a folder"):
        choose(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="G2G_DATA"):
        choose(None)


def archive(n=40, extra=()):
    """A .tgz like fast.ai's: photos in a folder, and annotations that are no photos."""
    rng, out = np.random.default_rng(0), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for i in range(n):
            photo = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(photo, format="JPEG")
            add(tar, f"coco_sample/train_sample/{i:012d}.jpg", photo.getvalue())
        add(tar, "coco_sample/annotations/instances.json", b"{}")
        for name in extra:
            add(tar, name, b"x")
    return out.getvalue()


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


COCO = dataclasses.replace(PROFILES["class"], size=32)
WHOLE = archive()
HALF = len(WHOLE) // 2


@pytest.fixture
def serve(monkeypatch):
    """serve(reply): the bytes that a download brings, or its error."""
    monkeypatch.setenv("G2G_COCO_URL", "a mirror")

    def begin(reply):
        download = raising(reply) if isinstance(reply, Exception) else lambda _, path: path.write_bytes(reply)
        monkeypatch.setattr(sources, "download_url_to_file", download)

    return begin


def left(cache):
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def test_coco_fetches_itself_once(tmp_path, own_cache, monkeypatch):
    (tmp_path / "mirror.tgz").write_bytes(WHOLE)
    monkeypatch.setenv("G2G_COCO_URL", (tmp_path / "mirror.tgz").as_uri())
    photos = prepare(COCO)
    assert len(photos.test) == 8 and len(photos.train) + len(photos.valid) == 32
    assert all(name.endswith(".jpg") for name in photos.files("train"))
    (tmp_path / "mirror.tgz").unlink()
    assert prepare(COCO).hash == photos.hash
    assert left(own_cache) == ["coco_sample", "prepared"]


@pytest.mark.parametrize(
    "spoilt",
    [
        WHOLE[:HALF] + bytes(100) + WHOLE[HALF + 100 :],  # wrong bytes
        WHOLE[:-6],  # all photos are there, the end of the checksum is not
        WHOLE[:-8] + bytes(4) + WHOLE[-4:],  # the checksum is another
        b"<html>please log in</html>" * 100,
        archive(n=0),
        WHOLE[:HALF],
        URLError("unknown host"),
        ssl.SSLError("bad record"),
        HTTPException(),
    ],
)
def test_an_archive_that_is_not_whole_is_refused(serve, own_cache, spoilt):
    serve(spoilt)
    with pytest.raises(RuntimeError, match="could not download .*no whole .tgz of photos.*G2G_COCO_URL.*smoke"):
        sources.coco_sample(COCO)
    assert not left(own_cache)
    serve(WHOLE)
    assert len(sources.coco_sample(COCO)[0]) == 32, "and the next try is a clean one"


@pytest.mark.parametrize(
    "reply, reason",
    [
        (archive(extra=["../../evil.jpg"]), "outside"),
        (OSError(errno.ENOSPC, "No space"), "disk of .* is full; nothing was kept. Free some space"),
    ],
)
def test_what_cannot_be_unpacked_leaves_nothing(serve, own_cache, tmp_path, reply, reason):
    serve(reply)
    with pytest.raises(RuntimeError, match=reason):
        sources.coco_sample(COCO)
    assert not left(own_cache) and not list(tmp_path.rglob("evil.jpg"))


def test_another_archive_than_fast_ais_is_refused_from_its_address(serve, own_cache, monkeypatch):
    serve(WHOLE)
    monkeypatch.delenv("G2G_COCO_URL")
    with pytest.raises(RuntimeError, match="is not the archive it was"):
        sources.coco_sample(COCO)
    assert not left(own_cache)
