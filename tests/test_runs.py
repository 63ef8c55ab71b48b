"""Named runs: found by recipe and photos, trained when missing, never mixed up."""

import dataclasses
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import pytest
import torch
from torchvision.models import resnet18

from app.__main__ import _edited, main
from g2g import runs
from g2g.data import prepare
from g2g.files import locked
from g2g.profiles import RECIPES, Recipe, get_profile, get_recipe, repo_root
from report import publish


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A profile of 10 crops at 32 px and its CNN run of one epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("G2G_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        profile = dataclasses.replace(get_profile("smoke"), size=32, n_train=10, n_test=2)
        photos = prepare(profile, progress=False)
        recipe = dataclasses.replace(get_recipe("cnn", "smoke"), epochs=1, width=8, batch_size=4)
        yield profile, photos, recipe, runs.load_or_train("cnn", profile, recipe=recipe, photos=photos)


@pytest.fixture(autouse=True)
def same_outputs(world, monkeypatch):
    monkeypatch.setenv("G2G_OUTPUTS", str(world[3].folder.parent.parent.parent))


def test_finished_run_is_found_and_not_trained_again(world, monkeypatch):
    profile, photos, recipe, run = world
    monkeypatch.setattr(runs, "_train", lambda *a: pytest.fail("trained again"))
    assert runs.load_or_train("cnn", profile, recipe=recipe, photos=photos).id == run.id
    assert len(run.history) == 1 and {"train_loss", "valid_loss", "lr", "seconds"} <= set(run.history)
    told = "recipe profile device precision versions minutes photos_per_second train valid"
    assert set(told.split()) <= set(run.record) and run.record["photos_hash"] == photos.hash
    assert run.record["gray_valid_loss"] > 0
    assert not list(run.folder.glob("checkpoint-*"))
    modes = {path.stat().st_mode & 0o777 for path in run.folder.iterdir()}
    assert len(modes) == 1, "weights may be read by whoever may read the history"


@pytest.fixture
def copied(world, tmp_path, monkeypatch):
    """The run of the world in outputs of this test's own, where it may be damaged."""
    profile, _, _, run = world
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path))
    shutil.copytree(run.folder, profile.outputs / "runs" / run.id)
    return runs.read_run(profile.outputs / "runs" / run.id)


def test_a_damaged_record_is_said_with_the_remedy(copied):
    path = copied.folder / "run.json"
    for text in ("[]", "{", '{"recipe": {}}', path.read_text().replace('"size": 32', '"size": 1e12')):
        path.write_text(text)
        with pytest.raises(ValueError, match="run.json is damaged.*delete that folder and train again"):
            runs.read_run(copied.folder)


def test_weights_that_are_not_the_runs_are_noticed_and_missing_ones_said_with_the_remedy(copied):
    path = copied.folder / "weights.safetensors"
    weights = path.read_bytes()
    path.write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(ValueError, match="is damaged, or of another run"):
        copied.model()
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{copied.id} has no weights.*pretrained=False"):
        copied.model()


def test_a_second_process_waits_and_takes_the_first_ones_run(world, tmp_path, monkeypatch, capsys):
    profile, photos, recipe, run = world
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(runs, "_train", lambda *a: pytest.fail("trained beside the first"))
    folder = profile.outputs / "runs" / run.id
    folder.parent.mkdir(parents=True)
    with ThreadPoolExecutor(1) as second:
        with locked(folder):  # the first process is training
            found = second.submit(runs.load_or_train, "cnn", profile, recipe=recipe, photos=photos)
            with pytest.raises(TimeoutError):
                found.result(timeout=0.5)
            shutil.copytree(run.folder, folder)
        assert found.result(timeout=30).id == run.id
    assert "another process is writing" in capsys.readouterr().out


def test_unknown_model_profile_and_mismatched_recipe_are_named(world):
    with pytest.raises(ValueError, match="unknown profile 'big'; known: auto, smoke"):
        get_profile("big")
    with pytest.raises(ValueError, match="unknown model 'unett'; known to smoke: cnn, unet, unet_long"):
        runs.load_or_train("unett", world[0])
    with pytest.raises(ValueError, match="one of 'cnn', not of 'unet'"):
        runs.load_or_train("unet", world[0], recipe=world[2])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"epochs": 2.5}, "epochs"),
        ({"epochs": 0}, "epochs"),
        ({"lr": float("nan")}, "lr"),
        ({"schedule": "cosine"}, "schedule"),
        ({"receptive_field": 71}, "receptive_field"),
        ({"model": "foo"}, "model|cnn"),
        ({"model": "cnn", "lambda_l1": 30}, "lambda_l1 is of no use to cnn"),
        ({"schedule": "one_cycle", "beta1": 0.5}, "beta1"),
        ({"stage": "unet"}, "stage"),
    ],
)
def test_a_recipe_refuses_what_means_nothing(fields, words):
    with pytest.raises(ValueError, match=words):
        Recipe(**{"model": "cgan", "epochs": 1, "lr": 1e-3} | fields)


def test_equal_recipes_have_one_id_for_one_start():
    whole, real = (Recipe("cgan", epochs=1, lr=1e-3, lambda_l1=number) for number in (30, 30.0))
    assert whole == real and runs.run_id(whole, "photos", "unet-1") == runs.run_id(real, "photos", "unet-1")
    assert runs.run_id(whole, "photos", "unet-1") != runs.run_id(whole, "photos", "unet-2")


def test_recipes_follow_the_report():
    rows = dict(RECIPES["report"])
    for name in ("palette", "flow"):  # not in the report
        assert rows.pop(name).encoder == "efficientnet_lite0"
    assert [rows[s].epochs for s in rows] == [100, 20, 20, 20]
    assert (rows["cnn"].lr, rows["unet"].lr) == (1e-3, 1e-4)
    assert rows["cgan"].beta1 == 0.5 and rows["cgan"].lambda_l1 == 100 and rows["cgan"].init_from == "unet"
    assert all(r.batch_size == 32 for r in rows.values())
    assert [r.schedule for r in rows.values()] == ["constant", "constant", "linear_decay", "linear_decay"]
    for table in RECIPES.values():
        adversary = {"lambda_l1": 100, "d_lr_mult": 1, "receptive_field": 70, "r1": 0, "d_epochs": 0}
        assert table["unet_long"] == dataclasses.replace(table["cgan"], model="unet_long", **adversary), "the control"


@pytest.mark.parametrize(("asked", "expected"), [("", "imagenet"), ("none", None), ("/w/r18.pth", "/w/r18.pth")])
def test_encoder_weights_of_the_table_can_be_named(asked, expected, monkeypatch):
    monkeypatch.setenv("G2G_WEIGHTS", asked)
    assert [get_recipe("unet", name).weights for name in ("class", "report")] == [expected, expected]
    assert get_recipe("unet", "smoke").weights == "imagenet", "which lie in the repository, for another encoder"
    assert get_recipe("cgan", "class").weights is None


def test_a_new_field_renames_no_run_and_weights_count_by_content(tmp_path):
    recipe = Recipe("unet", epochs=2, lr=1e-3)
    fields = [(field.name, field.type, field) for field in dataclasses.fields(recipe)]
    new_field = dataclasses.make_dataclass("Wider", [*fields, ("network", str, "x")])
    wider = new_field(**dataclasses.asdict(recipe))
    assert runs.run_id(wider, "photos") == runs.run_id(recipe, "photos")
    wider.network = "y"
    assert runs.run_id(wider, "photos") != runs.run_id(recipe, "photos")
    ids = []
    for name, content in (("one", b"same"), ("two", b"same"), ("three", b"other")):
        (tmp_path / name).write_bytes(content)
        ids.append(runs.run_id(dataclasses.replace(recipe, weights=str(tmp_path / name)), "photos"))
    assert ids[0] == ids[1] != ids[2]
    with pytest.raises(FileNotFoundError, match="no weights at gone.pth"):
        runs.run_id(dataclasses.replace(recipe, weights="gone.pth"), "photos")


def test_a_records_recipe_hashes_to_its_runs_id_without_the_file_of_weights(world, tmp_path):
    profile, photos, _, _ = world
    file = tmp_path / "resnet18.pth"
    torch.save(resnet18(weights=None).state_dict(), file)
    recipe = Recipe("unet", epochs=1, lr=1e-3, batch_size=4, encoder="resnet18", weights=str(file))
    run = runs.load_or_train("unet", profile, recipe=recipe, photos=photos)
    file.unlink()
    assert run.recipe.weights.startswith("sha256:")
    assert runs.run_id(run.recipe, photos.hash) == run.id
    assert str(tmp_path) not in (run.folder / "run.json").read_text()


def test_every_published_record_hashes_to_its_id():
    paths = [*repo_root().glob("results/*/*/run.json")]
    assert paths
    for path in paths:
        record = json.loads(path.read_text())
        assert runs.run_id(Recipe(**record["recipe"]), record["photos_hash"], record["init_run"]) == record["run"], path


@pytest.fixture
def clone(world, tmp_path, monkeypatch):
    """A repository in which the world's CNN is published with its weights; nothing was trained here."""
    run = world[3]
    monkeypatch.setattr(publish, "gallery", lambda model, size: plt.Figure())
    for module in (runs, publish):
        monkeypatch.setattr(module, "repo_root", lambda: tmp_path)
    shutil.copytree(run.folder, tmp_path / "results" / "cpu" / "cnn", ignore=shutil.ignore_patterns("*.safetensors"))
    publish.save_pretrained(run, "cpu")
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr(runs, "_train", lambda *a: "trained")
    return tmp_path / "results"


def test_a_published_run_is_found_and_need_not_be_trained(world, clone, capsys):
    profile, photos, recipe, run = world
    found = runs.load_or_train("cnn", profile, recipe=recipe, photos=photos)
    assert found.id == run.id and found.record["minutes"] == run.record["minutes"]
    assert found.history.equals(run.history)
    assert f"CNN: run {run.id} came with the clone, in half precision" in capsys.readouterr().out
    L, model = torch.rand(1, 1, 32, 32), run.model()
    assert not model.training
    assert 0 < (found.model()(L) - model(L)).abs().max() < 1e-2
    with pytest.raises(FileNotFoundError, match="has no cnn_last.safetensors"):
        found.model("last")
    assert runs.find_run(recipe, photos, profile).id == run.id
    assert runs.load_or_train("cnn", profile, recipe=recipe, photos=photos, pretrained=False) == "trained"


def test_a_published_weight_is_none_of_another_recipe_or_of_other_photos(world, clone):
    profile, photos, recipe, _ = world
    for change in ({"lr": 9e-4}, {"seed": 7}, {"epochs": 2}):
        edited = dataclasses.replace(recipe, **change)
        assert runs.load_or_train("cnn", profile, recipe=edited, photos=photos) == "trained"
        assert runs.find_run(edited, photos, profile) is None
    other = dataclasses.replace(photos, hash="0" * 16)
    assert runs.load_or_train("cnn", profile, recipe=recipe, photos=other) == "trained"


def test_without_the_published_weights_the_start_is_trained_too(world, clone, monkeypatch):
    profile, photos, _, run = world
    trained = []
    monkeypatch.setattr(runs, "_train", lambda recipe, *a: trained.append(recipe.model) or run)
    runs.load_or_train("cgan", profile, photos=photos, pretrained=False)
    assert trained == ["unet", "cgan"]


def test_a_run_published_without_the_one_it_starts_from_says_so():
    run = runs.published()["cgan"]
    other = dataclasses.replace(run, record=run.record | {"init_run": "unet-another"})
    with pytest.raises(ValueError, match="starts from unet-another, published is unet-"):
        other.model()


def test_every_published_weight_is_found_by_its_id_and_loads():
    for model in runs.pretrained_models():
        found = runs._find_published(runs.published()[model].id)
        assert found.recipe.model == model and len(found.history) and found.model()


def test_command_line_edits_a_recipe_and_names_errors(world, capsys):
    recipe = get_recipe("cgan", "smoke")
    edited = _edited(recipe, ["epochs=5", "lr=0.01", "weights=none"])
    assert (edited.epochs, edited.lr, edited.weights) == (5, 0.01, None)
    for change, message in (
        ("epoch=5", "no such field; known: epochs"),
        ("epochs=ten", "epochs: Input should be a valid integer"),
        ("lambda_l1=much", "lambda_l1: Input should be a valid number"),
    ):
        with pytest.raises(ValueError, match=message):
            _edited(recipe, [change])
    for change in ("epochs=0", "epochs=-3", "lr=-1", "width=none", "lr=nan", "width=1000000000"):
        with pytest.raises(SystemExit) as stop:
            main(["train", "cnn", "--profile", "smoke", "--set", change])
        assert stop.value.code == 2 and change.partition("=")[0] in capsys.readouterr().err


def test_the_pretrained_palette_is_the_first_and_calm():
    assert runs.pretrained_models() == ["palette", "flow", "cgan", "unet_long", "unet", "cnn"]
    assert runs.pretrained_model("palette")[0].rebalancing == 0.5, "the README and its card say so"
