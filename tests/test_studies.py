"""The studies of notebooks 08 and 10: one change at a time, runs found again, a diverged one left out."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from g2g import runs
from g2g.evaluation import SATURATIONS, gray
from g2g.lab import photos_to_lab
from g2g.photos import gallery_photos
from g2g.profiles import get_profile, repo_root
from g2g.training import TrainingDiverged
from report import studies


def changed(recipe, base):
    """The fields in which two recipes differ."""
    return {f.name for f in dataclasses.fields(recipe) if getattr(recipe, f.name) != getattr(base, f.name)}


def test_every_parameter_run_is_the_recipe_with_one_change():
    trainings = studies.planned("parameters", get_profile("cpu"))
    assert [t.value for t in trainings if t.factor == "seed"] == [42, 43, 44] and len(trainings) == 3 + 11
    for training in trainings:
        differs = changed(training.recipe, studies.ADVERSARIAL)
        assert getattr(training.recipe, training.factor) == training.value
        if training.factor == "batch_size":  # and an epoch stays as long in photos
            assert differs == {"batch_size", "steps_per_epoch"}
            assert 1900 < training.recipe.batch_size * training.recipe.steps_per_epoch <= 2000
        else:
            assert differs == ({training.factor} if training.value != 42 else set())


def test_studies_are_fair():
    """Losses: same photos, start and steps. Photos: as many steps for 250 as for 8,000, paired by seed."""
    trainings = studies.planned("losses", get_profile("cpu"))
    assert len(trainings) == 3 * len(studies.LOSSES)
    allowed = {"model", "loss", "lambda_l1", "adversarial", "receptive_field", "d_lr_mult", "r1", "seed"}
    assert all(changed(t.recipe, studies.PLAIN) <= allowed and t.photos == 2000 for t in trainings)
    assert studies.LOSSES["MSE + adversary"].lambda_l1 == 4 * studies.LOSSES["L1 + adversary"].lambda_l1
    trainings = studies.planned("photos", get_profile("cpu"))
    lengths = {(t.recipe.epochs, t.recipe.steps_per_epoch, t.recipe.batch_size, t.recipe.lr) for t in trainings}
    assert len(trainings) == 24 and len(lengths) == 1
    assert {t.recipe.seed for t in studies.planned("photos", get_profile("cpu"), (7,))} == {7}


def test_a_subset_repeats_its_photos_and_has_an_id_of_its_own(photos):
    few = studies.subset(photos, 3, 1, at_least=10)
    assert len(few.train) == len(few.files("train")) == 10 and len({*few.files("train")}) == 3
    numbers = [photos.files("train").index(name) for name in few.files("train")]
    assert np.array_equal(few.train, photos.train[numbers])
    assert few.files("valid") == photos.files("valid") and np.array_equal(few.valid, photos.valid)
    hashes = {photos.hash, few.hash, studies.subset(photos, 3, 2, 10).hash, studies.subset(photos, 3, 1, 9).hash}
    assert len(hashes) == 4 and few.hash == studies.subset(photos, 3, 1, 10).hash
    everything = studies.subset(photos, 1000, seed=1)
    assert sorted(everything.files("train")) == sorted(photos.files("train")), "never more than there are"


@pytest.fixture
def quick(monkeypatch):
    """A smoke profile of a few small crops, and a study of two losses, two epochs of a batch or two each."""

    def planned(study, profile, seeds):
        short = {"epochs": 2, "steps_per_epoch": 2, "batch_size": 4, "seed": seeds[0]}
        names = ("L1", "L1 + adversary")
        return [studies.Training("loss", name, dataclasses.replace(studies.LOSSES[name], **short), 8) for name in names]

    monkeypatch.setattr(studies, "SIZE", 32)
    monkeypatch.setattr(studies, "gallery_photos", lambda side: gallery_photos(64)[:1])
    monkeypatch.setattr(studies, "planned", planned)
    return dataclasses.replace(get_profile("smoke"), n_train=10, n_test=2)


def test_a_study_is_trained_once_written_and_found_again(quick, monkeypatch, capsys):
    table = studies.run_study("losses", quick)
    said = capsys.readouterr().out
    assert "[2/2] loss L1 + adversary, seed 42" in said
    assert list(table["value"]) == ["L1", "L1 + adversary"] and table["run"].nunique() == 2
    numbers = [*studies.SHOWN[:-1], "rms", "structure", "detail"]
    assert np.isfinite(table[numbers].astype(float)).all(axis=None) and (table["px"] == 32).all()
    folder = quick.outputs / "results" / "losses"
    assert sorted(path.name for path in folder.iterdir()) == ["curves.csv", "pictures.jpg", "runs.csv"]
    curves = pd.read_csv(folder / "curves.csv").set_index(["run", "saturation"])
    assert len(curves) == 2 * len(SATURATIONS)
    for row in table.itertuples():
        plain, none = curves.loc[(row.run, 1)], curves.loc[(row.run, 0)]
        assert plain["mae"] == pytest.approx(row.mae, rel=1e-4) and none["mae"] == pytest.approx(row.gray_mae, rel=1e-3)

    monkeypatch.setattr(runs, "_train", lambda *a, **k: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(studies.run_study("losses", quick), table)


def test_a_diverged_run_is_a_row_without_numbers_and_does_not_stop_the_study(quick, monkeypatch, capsys):
    load_or_train = studies.load_or_train

    def breaks(model, *args, **options):
        if model == "cgan":
            raise TrainingDiverged("the loss became nan in epoch 1")
        return load_or_train(model, *args, **options)

    monkeypatch.setattr(studies, "load_or_train", breaks)
    table = studies.run_study("losses", quick)
    assert np.isfinite(table["mae"][0]) and np.isnan(table["mae"][1]) and "became nan" in capsys.readouterr().out
    assert np.isfinite(table["gray_mae"]).all()


def test_measure_knows_gray_and_the_ground_truth(photos):
    ground_truth = photos_to_lab(np.asarray(photos.valid))[1]
    (best, _), (none, curve) = studies.measure(lambda L: ground_truth, photos), studies.measure(gray(), photos)
    assert best["mae"] == best["structure"] == best["rms"] == 0 and best["detail"] == pytest.approx(1)
    assert none["detail"] == 0 and none["mae"] == pytest.approx(float(ground_truth.abs().mean()), rel=1e-5)
    assert none["rms"] == pytest.approx(float(ground_truth.square().mean().sqrt()), rel=1e-4)
    assert none["structure"] < none["mae"] and none["colorfulness"] < 1 < none["colorfulness_ground_truth"]
    assert (curve["psnr"] == curve["psnr"][0]).all(), "gray stays gray, whatever the factor"


def test_margin_by_hand():
    assert studies.margin([1, 2, 3], 3, 1) == pytest.approx(4.3027 * 1 * (1 / 3 + 1) ** 0.5, rel=1e-4)
    assert studies.margin(np.array([1.0, 2.0, 3.0]), 3) == pytest.approx(4.3027 / 3**0.5, rel=1e-4)


@pytest.mark.parametrize("study", studies.STUDIES)
def test_the_committed_study_is_whole(study):
    folder = repo_root() / "results" / study
    table, trainings = pd.read_csv(folder / "runs.csv"), studies.planned(study, get_profile("cpu"))
    assert len(table) == len(trainings) and not table[["seed", "gray_mae", "device", "valid"]].isna().any(axis=None)
    for row, training in zip(table.to_dict("records"), trainings, strict=True):
        assert (row["factor"], row["value"]) == (training.factor, training.value)
        assert row["seed"] == training.recipe.seed and row["lr"] == training.recipe.lr
    assert {*pd.read_csv(folder / "curves.csv")["run"]} <= {*table["run"]}
