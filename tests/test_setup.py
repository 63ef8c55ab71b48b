"""What the setup cell calls, in and out of Colab, without a network."""

import importlib.util
import sys
import types

import pytest

from app import setup as module
from g2g.profiles import PROFILES

setup = module.setup


@pytest.fixture
def colab(monkeypatch, tmp_path):
    """A runtime that looks like Colab: `google.colab` is imported, pip is recorded instead of run."""
    calls = types.SimpleNamespace(pip=[], mounted=[])
    package = types.ModuleType("google.colab")
    package.drive = types.SimpleNamespace(mount=calls.mounted.append)
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setattr(module.subprocess, "run", calls.pip.append)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    return calls


def without(monkeypatch, *modules):
    """Make `modules` look as if they were not installed."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in modules else real(name))


def test_prints_what_a_reader_needs_and_returns_the_profile_each_time(capsys):
    assert setup("smoke") == setup("smoke") == PROFILES["smoke"]
    said = capsys.readouterr().out
    for expected in ("torch ", "fastai ", "device: ", "profile: smoke", "photos: bundled", "minutes alone: "):
        assert expected in said


def test_auto_follows_the_environment_and_own_photos_are_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("G2G_PROFILE", "report")
    monkeypatch.setenv("G2G_DATA", str(tmp_path))
    assert setup("auto").name == "report"
    assert f"photos: {tmp_path.resolve()}" in capsys.readouterr().out


def test_every_profile_has_its_minutes():
    assert set(module.MINUTES) == set(PROFILES)
    for alone, _, how in module.MINUTES.values():
        assert len(alone) == len(module.CHAPTERS) and how.startswith(("estimate", "measured on"))


def test_old_python_is_told_so(monkeypatch):
    monkeypatch.setattr(module.sys, "version_info", (3, 9, 1))
    with pytest.raises(RuntimeError, match="Python 3.11 or newer"):
        setup("smoke")


def test_outside_colab_nothing_is_installed(monkeypatch):
    without(monkeypatch, "lpips", "fastai")
    monkeypatch.setattr(module.subprocess, "run", lambda *a, **k: pytest.fail("called a program"))
    with pytest.raises(RuntimeError, match="missing: fastai, lpips .*requirements.txt"):
        setup("smoke")


def test_colab_installs_only_what_is_missing_and_nothing_it_has(monkeypatch, colab, capsys):
    setup("smoke")
    assert colab.pip == []
    without(monkeypatch, "torch", "safetensors", "lpips")
    with pytest.raises(RuntimeError, match="missing: torch, lpips, safetensors"):  # pip is only recorded here
        setup("smoke")
    (command,) = colab.pip
    assert command[-2:] == ["lpips", "safetensors"] and "--no-deps" in command
    assert not {"-U", "--upgrade", "torch", "torchvision", "numpy", "fastai"} & set(command)


def test_colab_without_gpu_says_how_to_switch(colab, capsys):
    with pytest.raises(RuntimeError, match="Change runtime type"):
        setup("class")
    setup("smoke")
    assert "Change runtime type" in capsys.readouterr().out


def test_drive_moves_the_runs_only(monkeypatch, colab, capsys):
    made = []
    monkeypatch.setattr(module.os, "makedirs", lambda path, exist_ok: made.append(path))
    profile = setup("smoke", use_drive=True)
    assert colab.mounted == ["/content/drive"]
    assert str(profile.outputs).startswith("/content/drive/MyDrive/") and len(made) == 1


def test_drive_refused_is_readable(monkeypatch, colab):
    monkeypatch.setattr(sys.modules["google.colab"].drive, "mount", lambda path: 1 / 0)
    with pytest.raises(RuntimeError, match="USE_DRIVE = False"):
        setup("smoke", use_drive=True)


def test_drive_outside_colab_is_an_error():
    with pytest.raises(RuntimeError, match="G2G_OUTPUTS"):
        setup("smoke", use_drive=True)
