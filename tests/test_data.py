"""`prepare`: what goes into the cache, and that a cache is whole or not there."""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest
from PIL import Image

from g2g import data
from g2g.data import prepare
from g2g.profiles import Profile

SIZE = 32
pytestmark = pytest.mark.usefixtures("own_cache")


def make(folder, names, seed=0):
    """Small photos of their own blotches of color."""
    rng = np.random.default_rng([seed, len(names)])
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        blotches = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        blotches.resize((50, 40), Image.Resampling.BICUBIC).save(path)


def own(folder, n_train=100, n_test=100, size=SIZE):
    return Profile("smoke", "folder", size, n_train, n_test, "", data_dir=folder)


def splits(folder, train=20, test=5):
    make(folder, [f"train/a{i:02d}.png" for i in range(train)])
    make(folder, [f"test/b{i:02d}.png" for i in range(test)], seed=1)
    return own(folder)


def arrays(photos):
    return [np.array(getattr(photos, split)) for split in data.SPLITS]


def same(one, two):
    return one.hash == two.hash and all(map(np.array_equal, arrays(one), arrays(two)))


def leftovers(root):
    return list((root / "prepared").glob("*.tmp"))


def finished(root):
    return [path for path in (root / "prepared").glob("*px-*") if path.is_dir() and not path.suffix]


def test_arrays_follow_the_manifest(tmp_path):
    profile = splits(tmp_path / "photos")
    photos = prepare(profile)
    assert [len(photos.files(split)) for split in data.SPLITS] == [19, 1, 5]
    for split in data.SPLITS:
        array = getattr(photos, split)
        assert isinstance(array, np.memmap) and not array.flags.writeable
        assert len(array) == len(photos.files(split)) == len(photos.near_gray(split))
        for name, pixels in zip(photos.files(split), array, strict=True):
            with Image.open(tmp_path / "photos" / name) as image:
                expected = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
            assert np.array_equal(pixels, expected)
    with pytest.raises(ValueError, match="unknown split"):
        photos.files("validation")


def test_validation_is_five_percent_counted_before_skipping(tmp_path):
    profile = splits(tmp_path, train=60)
    held_out = prepare(profile).files("valid")
    assert len(held_out) == 3
    (tmp_path / held_out[0]).write_bytes(b"")
    assert prepare(profile).files("valid") == held_out[1:]
    for name in held_out[1:]:
        (tmp_path / name).write_bytes(b"")
    photos = prepare(profile)  # none of the three is left: another photo stands in, and only one
    assert len(photos.files("valid")) == 1 and len(photos.files("train")) == 56
    assert not set(photos.files("valid")) & set(photos.files("train"))


def test_bad_files_are_listed_and_skipped(tmp_path, capsys):
    profile = splits(tmp_path)
    (tmp_path / "train/zero.jpg").touch()
    (tmp_path / "test/text.jpg").write_text("no photo")
    (tmp_path / "train/notes.txt").write_text("not asked for")
    os.symlink("nowhere.jpg", tmp_path / "train/link.jpg")
    photos = prepare(profile)
    skipped = photos.manifest[photos.manifest["skipped"] != ""]
    assert sorted(skipped["file"]) == ["test/text.jpg", "train/link.jpg", "train/zero.jpg"]
    assert len(photos.train) + len(photos.valid) == 20 and len(photos.test) == 5
    said = capsys.readouterr().out
    assert "train/zero.jpg: empty file" in said and "test/text.jpg: not an image" in said


def test_names_that_are_hard_to_write_down(tmp_path):
    names = ["train/NA.png", 'train/a,b "c".png', "train/ü €.png", "train/new\nline.png", "train/nan.png"]
    make(tmp_path, names)
    raw = os.fsencode(tmp_path) + b"/train/\xff\xfe.png"
    make(tmp_path, ["other.png"], seed=2)
    os.rename(tmp_path / "other.png", raw)
    make(tmp_path, ["test/null.png", "test/None.png"], seed=1)
    profile = own(tmp_path)
    prepare(profile)
    photos = prepare(profile)  # as read back from the manifest
    found = photos.files("train") + photos.files("valid")
    assert set(names) < set(found)
    assert set(photos.files("test")) == {"test/null.png", "test/None.png"}
    assert os.fsencode(set(found).difference(names).pop()) == b"train/\xff\xfe.png"


@pytest.mark.parametrize(
    "files, error, says",
    [
        ([], FileNotFoundError, "no photos under .*jpg"),
        (["1.png"], ValueError, "1 of at least three photos"),
        (["1.png", "2.png"], ValueError, "2 of at least three photos"),
        (["Test/0.png", "val/1.png"], ValueError, "no photos to train on beside 1 test, 1 valid"),
        (["train/a.png", "test/b.png"], ValueError, "no usable train photo among 0 of 2; at least three are needed"),
        (["train/a.png", "train/b.png", "test/broken.png"], ValueError, "(?s)no usable test photo.*empty file"),
    ],
)
def test_nothing_usable_is_an_error_that_says_why(tmp_path, own_cache, files, error, says):
    (tmp_path / "photos").mkdir()
    make(tmp_path / "photos", files)
    for path in tmp_path.rglob("broken.png"):
        path.write_bytes(b"")
    with pytest.raises(error, match=says):
        prepare(own(tmp_path / "photos"))
    assert not leftovers(own_cache) and not finished(own_cache)


def test_warnings_are_filtered_in_the_main_thread_only(tmp_path, monkeypatch):
    """`catch_warnings` in one of several threads leaves the filters of another behind, for the whole process."""
    threads = set()

    class Spy(warnings.catch_warnings):
        def __enter__(self):
            threads.add(threading.current_thread())
            return super().__enter__()

    monkeypatch.setattr(warnings, "catch_warnings", Spy)
    before = list(warnings.filters)
    profile = splits(tmp_path)
    Image.fromarray(np.full((40, 40), 30000, np.uint16)).save(tmp_path / "train/sixteen.png")
    prepare(profile)
    assert list(warnings.filters) == before and threads == {threading.current_thread()}


def test_near_gray_photos_are_known_and_can_be_left_out_of_training(tmp_path):
    profile = splits(tmp_path, train=10, test=4)
    gray = ["test/gray2.png", "train/gray0.png", "train/gray1.png"]
    for number, name in enumerate(gray):
        Image.effect_noise((50, 50), 60 + number).convert("RGB").save(tmp_path / name)
    photos = prepare(profile)
    pairs = [zip(photos.files(split), photos.near_gray(split), strict=True) for split in data.SPLITS]
    assert sorted(name for pair in pairs for name, is_gray in pair if is_gray) == gray
    colorful = prepare(dataclasses.replace(profile, min_chroma=5))
    assert len(colorful.train) + len(colorful.valid) == 10
    assert colorful.files("test") == photos.files("test"), "whatever training leaves out"
    assert colorful.hash != photos.hash
    assert "below 5" in colorful.manifest.set_index("file")["skipped"]["train/gray0.png"]


def test_duplicates_of_test_photos_leave_training(tmp_path):
    profile = splits(tmp_path)
    shutil.copy(tmp_path / "test/b03.png", tmp_path / "train/copy.png")
    valid = prepare(profile).files("valid")[0]
    shutil.copy(tmp_path / valid, tmp_path / "train/zz-copy.png")
    photos = prepare(profile)
    assert photos.files("valid") == [valid]
    reasons = photos.manifest.set_index("file")["skipped"]
    assert reasons["train/copy.png"] == "same file as test photo test/b03.png"
    assert reasons["train/zz-copy.png"] == f"same file as valid photo {valid}"


def test_changed_photos_or_settings_make_another_cache(tmp_path):
    profile = splits(tmp_path)
    first = prepare(profile)
    assert prepare(profile).folder == first.folder
    changes = {"size": 48}, {"min_chroma": 1}, {"n_train": 10}
    other = [prepare(dataclasses.replace(profile, **change)) for change in changes]
    path = tmp_path / first.files("train")[0]
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    other.append(prepare(profile))
    assert not np.array_equal(other[-1].train[0], first.train[0])
    path.unlink()
    other.append(prepare(profile))
    assert len({p.hash for p in [first, *other]}) == len({p.folder for p in [first, *other]}) == 6


def test_the_hash_tells_contents_not_places(tmp_path):
    splits(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert same(prepare(own(tmp_path / "here")), prepare(own(tmp_path / "there")))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "train.rgb", 3 * SIZE**2),
        lambda folder: (folder / "test.rgb").unlink(),
        lambda folder: (folder / "manifest.csv").write_text("file\n"),
        lambda folder: (folder / "about.json").write_text("{"),
    ],
)
def test_a_damaged_cache_is_made_again(tmp_path, capsys, damage):
    profile = splits(tmp_path)
    photos = prepare(profile)
    before = arrays(photos)
    damage(photos.folder)
    after = prepare(profile)
    assert "damaged" in capsys.readouterr().out
    assert all(map(np.array_equal, before, arrays(after)))


PREPARE = """
    import signal  # a shell's background job would ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import sys
    from g2g.data import prepare
    from g2g.profiles import Profile
    from pathlib import Path
    if len(sys.argv) > 2:
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    profile = Profile("smoke", "folder", 32, 2000, 500, "", data_dir=Path(sys.argv[1]))
    print("start", flush=True)
    photos = prepare(profile)
    print(photos.hash)
"""


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PREPARE), *map(str, arguments)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_full_disk_leaves_nothing(tmp_path, own_cache):
    """A limit on the size of a file stands in for the disk that fills up while it is written."""
    make(tmp_path / "photos", [f"{i:03d}.png" for i in range(60)])
    _, error = (process := start(tmp_path / "photos", 100_000)).communicate()
    assert process.returncode == 1 and "is full" in error and "G2G_CACHE" in error
    assert not leftovers(own_cache) and not finished(own_cache)


@pytest.mark.parametrize("stop, fractions", [(signal.SIGKILL, (0, random.random(), 0.9)), (signal.SIGINT, (0,))])
def test_stopped_at_any_time_it_starts_again_and_ends_the_same(tmp_path, own_cache, stop, fractions):
    make(tmp_path / "photos", [f"{i:04d}.png" for i in range(1500)])
    profile = own(tmp_path / "photos", 2000, 500)
    began = time.perf_counter()
    reference = prepare(profile, progress=False)
    seconds, expected = time.perf_counter() - began, arrays(reference)
    shutil.rmtree(own_cache)
    seen_unfinished = False
    for fraction in fractions:
        process = start(tmp_path / "photos")
        process.stdout.readline()
        while not leftovers(own_cache) and process.poll() is None:
            time.sleep(0.001)  # until it writes, however busy the machine is
        time.sleep(seconds * fraction)
        process.send_signal(stop)
        process.communicate()
        seen_unfinished |= not finished(own_cache)
        assert stop == signal.SIGKILL or not leftovers(own_cache), "Ctrl-C leaves nothing half-written"
        for folder in finished(own_cache):  # whatever bears the final name is whole
            assert (folder / "train.rgb").read_bytes() == expected[0].tobytes()
            shutil.rmtree(folder)
    again = prepare(profile, progress=False)
    assert seen_unfinished and again.hash == reference.hash and all(map(np.array_equal, expected, arrays(again)))
    assert not leftovers(own_cache), "what the killed ones left is swept up"


def test_two_at_once(tmp_path, own_cache):
    make(tmp_path / "photos", [f"{i:03d}.png" for i in range(300)])
    processes = [start(tmp_path / "photos") for _ in range(2)]
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert len({out.split()[-1] for out, _ in said}) == 1
    assert len(finished(own_cache)) == 1
