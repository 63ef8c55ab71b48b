"""The studies of notebooks 08 and 10: each loss by hand, one change at a time, runs found again, bad input refused."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback

from g2g import training
from g2g.checkpoints import TrainingDiverged
from g2g.evaluation import SATURATIONS, gray
from g2g.lab import photos_to_lab
from g2g.models import PatchGAN
from g2g.profiles import get_profile, repo_root
from report import studies, sweep
from report.__main__ import main

L = torch.zeros(2, 1, 32, 32)
AB = torch.zeros(2, 2, 32, 32)


def says(logit):
    """A D of one mind."""
    return lambda L, ab: torch.full((2, 1, 3, 3), float(logit))


@pytest.mark.parametrize(
    "loss, error, value",
    [
        ("L1", 0.1, 0.1),
        ("MSE", 0.1, 0.01),
        ("Huber", 0.1, 0.05 * (0.1 - 0.05 / 2)),
        ("Huber", 0.02, 0.02**2 / 2),
        ("L1 + adversary", 0.1, math.log(2) + 30 * 0.1),
        ("MSE + adversary", 0.1, math.log(2) + 4 * 30 * 0.01),
    ],
)
def test_losses_by_hand(loss, error, value):
    assert float(studies.LOSSES[loss](AB + error, AB, L, says(0), 30.0)) == pytest.approx(value, rel=1e-5)


def test_the_adversary_wants_the_verdict_real_at_the_answers_resolution():
    assert float(studies.adversary(AB, AB, L, says(3))) == pytest.approx(math.log(1 + math.exp(-3)), rel=1e-5)

    def looks(L, ab):
        assert L.shape == (2, 1, 8, 8) and ab.shape == (2, 2, 8, 8)
        return ab.mean((1, 2, 3), keepdim=True)

    assert float(studies.adversary(AB + 1, AB, L, looks)) == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-5)


def test_mse_pulls_as_hard_as_l1_where_the_error_is_an_eighth():
    answer = (AB + torch.where(torch.rand_like(AB) < 0.5, 1 / 8, -1 / 8)).requires_grad_()
    lengths = []
    for loss in (studies.l1_adversary, studies.mse_adversary):
        (slope,) = torch.autograd.grad(loss(answer, AB, L, says(0), 30.0), answer)
        lengths.append(float(slope.norm()))
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-4)


def test_perceptual_compares_features_and_knows_colors_beyond_srgb():
    answer = (AB + 0.9).requires_grad_()
    cost = studies.perceptual(answer, AB, L)
    by_hand = [(x - y).abs().mean() for x, y in zip(studies.seen(L, answer), studies.seen(L, AB), strict=True)]
    assert [x.shape[1:] for x in studies.seen(L, AB)] == [(16, 16, 16), (24, 8, 8), (40, 4, 4)]
    assert cost.item() == pytest.approx(sum(by_hand).item(), rel=1e-5) and float(studies.perceptual(AB, AB, L)) == 0
    (slope,) = torch.autograd.grad(cost, answer)
    assert slope.isfinite().all() and slope.abs().sum() > 0
    assert not any(weights.requires_grad for weights in studies.feature_extractor().parameters())


def test_feature_matching_compares_what_the_inner_layers_answer():
    D = PatchGAN(16).eval()
    answer = torch.randn_like(AB)
    x, y = (torch.cat([torch.zeros(2, 1, 8, 8), torch.nn.functional.avg_pool2d(ab, 4)], 1) for ab in (answer, AB))
    by_hand = sum((D.layers[:n](x) - D.layers[:n](y)).abs().mean() for n in (2, 5))
    torch.testing.assert_close(studies.feature_matching(answer, AB, L, D), by_hand)


def test_jitter_changes_lightness_and_contrast_within_bounds():
    ramp = torch.linspace(-0.5, 0.5, 64 * 64).view(1, 1, 64, 64).repeat(50, 1, 1, 1)
    torch.testing.assert_close(studies.jitter(ramp, 0), ramp)
    jittered = studies.jitter(ramp, 0.2)
    means, spreads = jittered.mean((1, 2, 3)), jittered.std((1, 2, 3)) / ramp[0].std()
    assert means.abs().max() <= 0.2 and 0.8 <= spreads.min() and spreads.max() <= 1.2
    assert means.std() > 0.05 and spreads.std() > 0.05 and studies.jitter(ramp * 2, 0.5).abs().max() <= 1


def test_some_photos_over_and_over(photos):
    few = studies.some(photos, 3, 10, seed=1)
    assert len(few.train) == len(few.files("train")) == 10 and len({*few.files("train")}) == 3
    numbers = [photos.files("train").index(name) for name in few.files("train")]
    assert np.array_equal(few.train, photos.train[numbers]) and few.files("valid") == photos.files("valid")
    assert {*few.files("train")} != {*studies.some(photos, 3, 10, seed=3).files("train")}
    everything = studies.some(photos, 1000, 5, seed=1)
    assert sorted(everything.files("train")) == sorted(photos.files("train")), "never more than there are"


def test_every_parameter_run_is_the_recipe_with_one_change():
    base = dataclasses.asdict(studies.StudyConfig())
    rows = sweep.planned("parameters", get_profile("cpu"))
    assert len(rows) == 3 + 11 and [value for factor, value, _ in rows if factor == "seed"] == [42, 43, 44]
    for factor, value, job in rows:
        changed = {name: now for name, now in dataclasses.asdict(job).items() if now != base[name]}
        assert changed == ({} if value == base[factor] else {factor: value})


def test_studies_are_fair():
    """Losses: same photos, start and steps. Photos: as many steps for 250 as for 8,000, paired by seed."""
    jobs = [dataclasses.asdict(job) for _, _, job in sweep.planned("losses", get_profile("cpu"))]
    assert len(jobs) == 3 * len(studies.LOSSES)
    assert len({tuple(v for k, v in job.items() if k not in ("loss", "seed")) for job in jobs}) == 1
    jobs = [job for _, _, job in sweep.planned("photos", get_profile("cpu"))]
    assert len(jobs) == 24 and len({(job.epochs, job.epoch, job.batch_size, job.lr) for job in jobs}) == 1
    assert {job.seed for _, _, job in sweep.planned("photos", get_profile("cpu"), (7,))} == {7}


@pytest.fixture
def quick(monkeypatch):
    """A smoke profile of a few small crops, and a study of two losses, two epochs of a batch or two each."""

    def two(seeds):
        short = studies.StudyConfig(epochs=2, epoch=16, batch_size=8)
        return [
            ("loss", loss, dataclasses.replace(short, loss=loss, seed=seeds[0])) for loss in ("L1", "L1 + adversary")
        ]

    monkeypatch.setattr(sweep, "SIZE", 32)
    monkeypatch.setattr(sweep, "planned", lambda study, profile, seeds: two(seeds))
    return dataclasses.replace(get_profile("smoke"), n_train=10, n_test=2)


def test_a_loss_trains_g_and_d_only_where_it_needs_one(photos):
    seen = {}

    class Look(Callback):
        def after_validate(self):
            seen["valid"] = float(self.learn.loss)
            seen["L1"] = float((self.pred - self.y).abs().mean())

    for loss in studies.LOSSES:
        learn = studies.learner(studies.StudyConfig(loss, epoch=8, batch_size=4, jitter=0.2), photos)
        assert hasattr(learn, "discriminator") == (loss in studies.NEED_D)
        before = [p.clone() for p in learn.model.parameters()]
        d_before = [p.clone() for p in learn.discriminator.parameters()] if loss in studies.NEED_D else []
        with learn.no_logging():
            learn.fit(1, 1e-3, cbs=Look())
        assert not all(map(torch.equal, before, learn.model.parameters())), loss
        assert not d_before or not all(map(torch.equal, d_before, learn.discriminator.parameters()))
        assert seen["valid"] == pytest.approx(seen["L1"], rel=1e-5), "validation stays L1, whatever the loss"


def test_a_study_is_trained_once_written_and_found_again(quick, monkeypatch, capsys):
    table = sweep.sweep("losses", quick)
    said = capsys.readouterr().out
    assert "[2/2] loss = L1 + adversary, seed 42" in said and "min left for this study" in said and "gray" in said
    assert list(table["value"]) == ["L1", "L1 + adversary"] and table["run"].nunique() == 2
    assert np.isfinite(table[["mae", "gray_mae", "psnr", "gray_psnr", "colorfulness", "rms", "minutes"]]).all(axis=None)
    assert table["gray_psnr"].dtype == float, "numpy's own floats would come back from run.json as text"
    assert table["device"].nunique() == 1 and (table["px"] == 32).all()
    folder = quick.outputs / "results" / "losses"
    assert sorted(path.name for path in folder.iterdir()) == ["curves.csv", "pictures.jpg", "runs.csv"]
    curves = pd.read_csv(folder / "curves.csv").set_index(["run", "saturation"])
    assert len(curves) == 2 * len(SATURATIONS)
    for row in table.itertuples():
        plain, none = curves.loc[row.run, 1.0], curves.loc[row.run, 0.0]
        assert plain["mae"] == pytest.approx(row.mae, rel=1e-4) and none["mae"] == pytest.approx(row.gray_mae, rel=1e-3)
    left = {path.name for path in (quick.outputs / "sweep").glob("*/*")}
    assert left == {"history.csv", "last.safetensors", "run.json"}, "what a finished run no longer needs is gone"

    monkeypatch.setattr(training, "fit", lambda *a, **k: pytest.fail("trained again"))
    again = sweep.sweep("losses", quick)
    pd.testing.assert_frame_equal(again, table)
    assert "is there" in capsys.readouterr().out


def test_an_interrupted_study_goes_on_and_ends_where_the_other_does(quick, monkeypatch, capsys):
    whole = sweep.sweep("losses", quick)
    job = sweep.planned("losses", quick, (42,))[1][2]
    for path in (quick.outputs / "sweep").rglob("*"):
        if whole["run"][1] in str(path) and path.is_file():
            path.unlink()

    step, steps = studies.LossCallback.step, []

    def breaks(self, *args):
        steps.append(1)
        if len(steps) == 3:  # in the second epoch
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(studies.LossCallback, "step", breaks)
    with pytest.raises(KeyboardInterrupt):
        sweep.sweep("losses", quick)
    capsys.readouterr()
    resumed = sweep.sweep("losses", quick)
    said = capsys.readouterr().out
    assert "L1, seed 42, is there" in said and f"going on after epoch 1 of {job.epochs}" in said
    pd.testing.assert_frame_equal(resumed.drop(columns="minutes"), whole.drop(columns="minutes"))


def test_a_diverged_run_is_a_row_without_numbers_and_does_not_stop_the_study(quick, monkeypatch, capsys):
    fit = training.fit

    def breaks(learn, *args, **options):
        if hasattr(learn, "discriminator"):
            raise TrainingDiverged("the loss became nan in epoch 1")
        return fit(learn, *args, **options)

    monkeypatch.setattr(training, "fit", breaks)
    table = sweep.sweep("losses", quick)
    assert np.isfinite(table["mae"][0]) and np.isnan(table["mae"][1]) and "became nan" in capsys.readouterr().out


def test_measure_knows_gray_and_the_truth(photos):
    truth = photos_to_lab(np.asarray(photos.valid))[1]
    best, none = sweep.measure(lambda L: truth, photos), sweep.measure(gray(), photos)
    assert best["mae"] == best["structure"] == best["rms"] == 0 and best["detail"] == pytest.approx(1)
    assert none["detail"] == 0 and none["mae"] == pytest.approx(float(truth.abs().mean()), rel=1e-5)
    assert none["rms"] == pytest.approx(float(truth.square().mean().sqrt()), rel=1e-4)
    assert none["structure"] < none["mae"] and none["colorfulness"] < 1 < none["colorfulness_ground_truth"]
    assert none["psnr"] == pytest.approx(none["gray_psnr"]) == pytest.approx(best["gray_psnr"])


def test_margin_by_hand():
    assert sweep.margin([1, 2, 3], 3, 1) == pytest.approx(4.3027 * 1 * (1 / 3 + 1) ** 0.5, rel=1e-4)
    assert sweep.margin(np.array([1.0, 2.0, 3.0]), 3) == pytest.approx(4.3027 / 3**0.5, rel=1e-4)


def test_bad_input_is_refused_with_the_known_names(capsys):
    with pytest.raises(ValueError, match="no study 'loses'; there are: losses, photos, parameters"):
        sweep.planned("loses", get_profile("smoke"))
    for wrong, words in (
        (["--study", "loses"], "losses', 'photos', 'parameters"),
        (["--study", "losses", "--seeds", "many"], "invalid int value: 'many'"),
        ([], "--study"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["sweep", *wrong])
        said = capsys.readouterr().err.replace(", ".join(studies.STUDIES), "losses', 'photos', 'parameters")
        assert stopped.value.code == 2 and words in said
    assert main(["sweep", "--study", "losses", "--profile", "huge"]) == 1 and "known: auto" in capsys.readouterr().err


@pytest.mark.parametrize("study", studies.STUDIES)
def test_the_committed_study_is_whole_and_of_this_code(study):
    folder = repo_root() / "results" / study
    if not folder.is_dir():
        pytest.skip(f"{study}: not run yet")
    table, jobs = pd.read_csv(folder / "runs.csv"), sweep.planned(study, get_profile("cpu"))
    assert len(table) == len(jobs) and not table[["seed", "gray_mae", "device", "valid"]].isna().any(axis=None)
    for row, (factor, value, job) in zip(table.to_dict("records"), jobs, strict=True):
        assert row["factor"] == factor and row["value"] == value
        assert all(row[name] == now for name, now in dataclasses.asdict(job).items() if name != "photos")
    assert {*pd.read_csv(folder / "curves.csv")["run"]} <= {*table["run"]}
