"""A hard hour in minutes (make test-slow): fuzzed files, SIGKILL at random points, a disk that is really full."""

import io
import os
import pickle
import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from test_training import real

from g2g import training
from g2g.colorize import colorize_files
from g2g.data import prepare
from g2g.profiles import Profile, repo_root

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parent}"}
PYTHON = [sys.executable, "-W", "ignore", "-c"]
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
TRAIN = """
    import sys, pickle
    from pathlib import Path
    import test_hard as t
    photos = pickle.loads(bytes.fromhex(sys.argv[3]))
    print("start", flush=True)
    t.train(sys.argv[1], photos, Path(sys.argv[2]))
"""


def train(model, photos, folder):
    """Three epochs of one of the course's networks, as small as it gets, into `folder`."""
    return training.fit(real(photos, model), folder)


def whole_files() -> dict[str, bytes]:
    """One photograph in every format that Pillow writes, with a profile and a caption where the format has them."""
    photograph = Image.fromarray(skimage.data.astronaut()).resize((96, 80))
    files = {"exif.jpg": (repo_root() / "data" / "gallery" / "fig.jpg").read_bytes()}
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"):
        file = io.BytesIO()
        photograph.save(file, kind)
        files[f"a.{kind.lower()}"] = file.getvalue()
    return files


def fuzzed(data: bytes, rng: random.Random) -> bytes:
    """`data` cut, or with bytes changed, doubled, left out or zeroed; mostly near the beginning, where headers are."""
    data = bytearray(data)
    reach = rng.choice([64, 1024, len(data)])
    for _ in range(rng.choice([1, 1, 3, 20])):
        at = rng.randrange(min(reach, len(data)))
        size = rng.choice([1, 1, 4, 200])
        match rng.randrange(6):
            case 0 | 1:
                data[at] = rng.randrange(256)
            case 2:
                data[at : at + size] = bytes(size)
            case 3:
                del data[at : at + size]
            case 4:
                data[at:at] = data[at : at + size]
            case 5:
                data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01"])
        data = data or bytearray(b"x")
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.1 else data)


def make_fuzzed(folder, count, seed):
    rng = random.Random(seed)
    folder.mkdir()
    files = sorted(whole_files().items())
    for number in range(count):
        name, data = files[number % len(files)]
        ending = Path(name).suffix if rng.random() < 0.9 else rng.choice([".jpg", ".png", ".tif"])
        (folder / f"{number:04d}{ending}").write_bytes(fuzzed(data, rng))


def test_seven_hundred_fuzzed_files_are_prepared(tmp_path):
    make_fuzzed(tmp_path / "photos", 700, seed=1)
    photos = prepare(Profile("smoke", "folder", 32, 2000, 500, "", data_dir=tmp_path / "photos"), progress=False)
    rows = photos.manifest
    skipped = rows["skipped"].fillna("") != ""
    assert len(rows) == 700 and 50 < skipped.sum() < 650  # else nothing was tried
    assert len(photos.train) + len(photos.valid) + len(photos.test) == (~skipped).sum()
    assert all(len(reason) > 3 for reason in rows.loc[skipped, "skipped"])


def test_three_hundred_fuzzed_files_are_colored(tmp_path, capsys):
    make_fuzzed(tmp_path / "photos", 300, seed=2)
    files = sorted((tmp_path / "photos").iterdir())
    written, failed = colorize_files(
        files, tmp_path / "out", lambda L: torch.zeros(L.shape[0], 2, *L.shape[2:]), size=32
    )
    assert len(written) + len(failed) == 300 and 20 < len(failed) < 280
    for path in written:
        with Image.open(path) as picture:
            picture.load()
    assert sorted((tmp_path / "out").iterdir()) == sorted(written), "nothing half-written is left"
    assert "Traceback" not in capsys.readouterr().out


@pytest.mark.parametrize("model", ["cnn", "cgan"])
def test_killed_ten_times_it_ends_as_if_nothing_had_happened(model, photos, tmp_path):
    train(model, photos, tmp_path / "whole")
    rng, kills = random.Random(model), 0
    while kills < 10:
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        arguments = [model, str(tmp_path / "killed"), pickle.dumps(photos).hex()]
        while True:
            command = [*PYTHON, textwrap.dedent(TRAIN), *arguments]
            process = subprocess.Popen(command, env=ENVIRONMENT, **PIPES)
            process.stdout.readline()
            try:
                output, _ = process.communicate(timeout=rng.uniform(0, 2.5))
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
        assert process.returncode == 0, output
        for file in ("weights.safetensors", "last.safetensors"):
            assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes()
        assert not list((tmp_path / "killed").glob(".*.part"))


FILLS_UP = """
    import subprocess, sys
    from pathlib import Path
    disk = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(disk)], check=True)
    print("mounted", flush=True)
    import pickle
    import test_hard as t
    photos = pickle.loads(bytes.fromhex(sys.argv[2]))
    try:
        t.train("cnn", photos, disk / "run")
    except RuntimeError as error:
        print("said:", error)
    print("left:", sorted(path.name for path in (disk / "run").glob(".*")))
    subprocess.run(["mount", "-o", "remount,size=500m", "none", str(disk)], check=True)
    t.train("cnn", photos, disk / "run")
    print("weights:" + (disk / "run" / "last.safetensors").read_bytes().hex())
"""


def test_training_on_a_full_disk_says_so_and_goes_on_when_there_is_room(photos, tmp_path):
    """In a name space of its own, where a file system of 600 kB may be mounted, and enlarged."""
    (tmp_path / "disk").mkdir()
    command = ["unshare", "--map-root-user", "--mount", *PYTHON, textwrap.dedent(FILLS_UP), tmp_path / "disk"]
    done = subprocess.run([*command, pickle.dumps(photos).hex()], env=ENVIRONMENT, **PIPES)
    if "mounted" not in done.stdout:
        pytest.skip(f"this machine lets nobody mount a tmpfs: {done.stdout}")
    assert "the disk is full. Free some space and run the same again" in done.stdout, done.stdout
    assert "left: []" in done.stdout
    train("cnn", photos, tmp_path / "whole")
    whole = (tmp_path / "whole" / "last.safetensors").read_bytes().hex()
    assert whole == done.stdout.rpartition("weights:")[2].strip()
