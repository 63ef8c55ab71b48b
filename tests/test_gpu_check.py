"""`make gpu-check` with the CPU in the GPU's place: what it measures, and how it goes on."""

from dataclasses import replace

import pytest
import torch

import gpu_check
from g2g.data import prepare
from g2g.profiles import RECIPES, get_profile


@pytest.fixture(scope="module")
def tiny():
    """Eleven photos to train on, at 64 px."""
    with pytest.MonkeyPatch.context() as patch:
        profile = replace(get_profile("smoke"), n_train=12, n_test=2)
        patch.setitem(RECIPES, "smoke", {k: replace(r, batch_size=8) for k, r in RECIPES["smoke"].items()})
        yield profile, prepare(profile, progress=False)


@pytest.mark.parametrize("model", ["cnn", "unet", "cgan", "palette", "flow"])
def test_half_precision_is_near_fp32_in_loss_and_gradient(model, tiny):
    errors = gpu_check.half_precision(model, *tiny)
    assert max(errors["bf16, loss"], errors["fp16, loss"]) < 2e-3
    assert errors["fp16, gradient"] < min(0.2, errors["bf16, gradient"]) and errors["bf16, gradient"] < 0.5
    assert errors["bf16, gradient"] > 0, "the same to the last digit: autocast was not on"


def test_speed_is_that_of_the_run_and_starts_from_a_short_run(tiny, tmp_path, monkeypatch):
    profile, photos = tiny
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(gpu_check, "STEPS", 1)
    monkeypatch.setattr(gpu_check, "prepare", lambda _: photos)
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    found = gpu_check.training_speed("cgan", profile)
    recipe = RECIPES["smoke"]["cgan"]
    photos_in_all = recipe.epochs * recipe.steps_per_epoch * recipe.batch_size
    assert found["minutes in all"] == pytest.approx(photos_in_all / found["photos/s"] / 60)
    assert len(list(tmp_path.glob("smoke/runs/*/run.json"))) == 2 and found["loader alone, photos/s"] > 0


def test_finished_checks_are_not_run_again_and_none_begins_when_time_is_over(tmp_path, monkeypatch):
    path, ran = tmp_path / "checks.json", []
    todo = {name: lambda name=name: ran.append(name) or {"peak GiB": 1.23456, "says": name} for name in ("a", "b")}
    broken = todo | {"b": lambda: 1 / 0}
    with pytest.raises(ZeroDivisionError):
        gpu_check.run(broken, path)
    assert gpu_check.run(todo, path)["a"] == {"peak GiB": 1.23, "says": "a"} and ran == ["a", "b"]
    assert "| b | peak GiB 1.23, says b |" in gpu_check.table(gpu_check.run(todo, path)) and ran == ["a", "b"]
    monkeypatch.setattr(gpu_check, "MINUTES", 0)
    assert gpu_check.run(todo, tmp_path / "other.json") == {}
