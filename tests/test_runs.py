"""Named runs: found by recipe and photos, trained when missing, never mixed up."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from g2g import runs as stages
from g2g.__main__ import _edited, main
from g2g.data import prepare
from g2g.profiles import get_profile


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A profile of 10 crops at 32 px and its CNN run of one epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("G2G_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("G2G_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        patch.delenv("G2G_DATA", raising=False)
        profile = dataclasses.replace(get_profile("smoke"), size=32, n_train=10, n_test=2)
        photos = prepare(profile, progress=False)
        recipe = dataclasses.replace(stages.RECIPES["smoke"]["cnn"], epochs=1, width=8, batch_size=4)
        yield profile, photos, recipe, stages.load_or_train("cnn", profile, recipe=recipe, photos=photos)


@pytest.fixture(autouse=True)
def same_outputs(world, monkeypatch):
    monkeypatch.setenv("G2G_OUTPUTS", str(world[3].folder.parent.parent.parent))


def test_finished_run_is_found_and_not_trained_again(world, monkeypatch):
    profile, photos, recipe, run = world
    monkeypatch.setattr(stages, "_train", lambda *a: pytest.fail("trained again"))
    assert stages.load_or_train("cnn", profile, recipe=recipe, photos=photos).id == run.id
    assert len(run.history) == 1 and {"train_loss", "valid_loss", "lr", "seconds"} <= set(run.history)
    assert run.record["gray_valid_loss"] > 0 and run.record["photos_hash"] == photos.hash
    assert not list(run.folder.glob("checkpoint-*"))


def test_hardware_settings_are_made_before_the_first_step(world, tmp_path, monkeypatch):
    profile, photos, recipe, _ = world
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path))
    calls, learner, hardware = [], stages.learner, stages.training.hardware
    monkeypatch.setattr(stages, "learner", lambda *a: calls.append("learner") or learner(*a))
    monkeypatch.setattr(stages.training, "hardware", lambda device: calls.append("hardware") or hardware(device))
    stages.load_or_train("cnn", profile, recipe=recipe, photos=photos)
    assert calls[0] == "hardware" and "learner" in calls


def test_edited_recipe_or_other_photos_are_runs_of_their_own(world):
    profile, photos, recipe, run = world
    assert stages.find_run(dataclasses.replace(recipe, lr=9e-4), photos, profile) is None
    other = dataclasses.replace(photos, hash="0" * 16)
    assert stages.find_run(recipe, other, profile) is None
    assert stages.find_run(recipe, photos, profile).id == run.id


def test_a_gan_from_another_unet_is_another_run(world):
    _, photos, recipe, run = world
    cgan = stages.RECIPES["smoke"]["cgan"]
    other = dataclasses.replace(run, folder=run.folder.with_name("unet-other"))
    assert stages.run_id(cgan, photos, run) != stages.run_id(cgan, photos, other)


def test_unfinished_run_is_not_listed(world):
    profile, photos, recipe, run = world
    half = run.folder.with_name("cnn-half")
    half.mkdir()
    (half / "history.csv").write_text("epoch\n1\n")
    assert list(stages.runs(profile)["run"]) == [run.id]
    with pytest.raises(FileNotFoundError, match=run.id):
        stages.load_run("cnn-half", profile)
    half.joinpath("run.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        stages.load_run("cnn-half", profile)
    shutil.rmtree(half)


def test_model_comes_back_in_eval_mode_with_its_weights(world):
    run = world[3]
    model = run.model()
    assert not model.training
    ab = model(torch.zeros(1, 1, 32, 32))
    assert ab.shape == (1, 2, 32, 32) and ab.abs().sum() > 0


def test_unknown_stage_profile_and_mismatched_recipe_are_named(world):
    with pytest.raises(ValueError, match="unknown profile 'big'; known: auto, smoke"):
        get_profile("big")
    with pytest.raises(ValueError, match="unknown stage 'unett'; known: cnn, unet, unet_long, cgan"):
        stages.load_or_train("unett", world[0])
    with pytest.raises(ValueError, match="one of 'cnn', not of 'unet'"):
        stages.load_or_train("unet", world[0], recipe=world[2])


def test_recipes_follow_the_report():
    rows = stages.RECIPES["report"]
    assert [rows[s].epochs for s in stages.STAGES] == [100, 20, 20, 20]
    assert (rows["cnn"].lr, rows["unet"].lr) == (1e-3, 1e-4)
    assert rows["cgan"].beta1 == 0.5 and rows["cgan"].lam == 100 and rows["cgan"].start == "unet"
    assert all(r.batch_size == 32 for r in rows.values())
    assert [rows[s].schedule for s in stages.STAGES] == ["constant", "constant", "linear_decay", "linear_decay"]
    for table in stages.RECIPES.values():
        adversary = dict.fromkeys(("lam", "d_rate", "receptive_field"))
        assert table["unet_long"] == dataclasses.replace(table["cgan"], stage="unet_long", **adversary), "the control"


@pytest.mark.parametrize(("asked", "expected"), [("", "imagenet"), ("none", None), ("/w/r18.pth", "/w/r18.pth")])
def test_encoder_weights_of_the_table_can_be_named(asked, expected):
    script = """
from g2g.profiles import RECIPES
for profile in ("smoke", "class", "report"):
    print(RECIPES[profile]["unet"].weights)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"G2G_WEIGHTS": asked},
        text=True,
        capture_output=True,
        cwd=stages.repo_root(),
        check=True,
    )
    assert done.stdout.split() == ["None", str(expected), str(expected)]


def test_released_weights_serve_exactly_their_recipe(world, tmp_path, monkeypatch):
    profile, photos, recipe, run = world
    file = run.folder / "weights.safetensors"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(stages.RELEASED, run.id, (file.as_uri(), digest))
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(stages, "_train", lambda *a: pytest.fail("trained"))
    fetched = stages.load_or_train("cnn", profile, recipe=recipe, photos=photos)
    x = torch.rand(1, 1, 32, 32)
    assert torch.equal(fetched.model()(x), run.model()(x))
    monkeypatch.setitem(stages.RELEASED, run.id, (file.as_uri(), "0" * 64))
    shutil.rmtree(fetched.folder)
    monkeypatch.setattr(stages, "_train", lambda *a: "trained")
    assert stages.load_or_train("cnn", profile, recipe=recipe, photos=photos) == "trained"


def test_command_line_edits_a_recipe_and_names_errors(world, capsys):
    recipe = stages.RECIPES["smoke"]["cgan"]
    edited = _edited(recipe, ["epochs=5", "lr=0.01", "weights=none"])
    assert (edited.epochs, edited.lr, edited.weights) == (5, 0.01, None)
    with pytest.raises(ValueError, match="no such field; known: epochs"):
        _edited(recipe, ["epoch=5"])
    assert main(["train", "cnn", "--profile", "nope"]) == 1
    assert "unknown profile" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["train", "vgg"])
    assert stop.value.code == 2


def test_record_is_json_a_reader_can_trace(world):
    record = json.loads((world[3].folder / "run.json").read_text())
    assert {
        "recipe",
        "profile",
        "device",
        "precision",
        "versions",
        "minutes",
        "photos_per_second",
        "train",
        "valid",
    } <= set(record)
