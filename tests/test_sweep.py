"""The parameter analysis: one change at a time, runs found again, verdicts by rule."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from g2g import runs
from g2g.checkpoints import TrainingDiverged
from g2g.data import prepare
from g2g.evaluation import gray
from g2g.lab import photos_to_lab
from g2g.models import EncoderDecoder
from g2g.profiles import get_profile, get_recipe
from report import sweep


@pytest.mark.parametrize("name", ["smoke", "cpu", "class", "report"])
def test_every_run_is_the_base_recipe_with_one_change(name):
    profile = get_profile(name)
    plan = sweep.plan(profile)
    assert {*plan["factor"]} == {*sweep.FACTORS} and {*sweep.CLAIMS} | {"seed"} == {*sweep.FACTORS}
    for stage, rows in plan.groupby("stage"):
        base = dataclasses.asdict(rows["recipe"].iloc[0])
        for row in rows.itertuples():
            changed = {k: v for k, v in dataclasses.asdict(row.recipe).items() if v != base[k]}
            assert changed == ({} if row.value == base[row.factor] else {row.factor: row.value})
            assert row.recipe.stage == stage and row.recipe.schedule == "constant"
    assert all(
        rows["value"].iloc[0] == getattr(rows["recipe"].iloc[0], factor) for factor, rows in plan.groupby("factor")
    ), "the first value is the base recipe's"


def test_runs_of_a_sweep_lie_apart(monkeypatch):
    smoke, school = get_profile("smoke"), get_profile("class")
    assert sweep.scaled(smoke).n_train < smoke.n_train
    assert sweep.scaled(smoke).outputs.parent == smoke.outputs
    small = sweep.scaled(school)
    assert small == dataclasses.replace(school, outputs_name="class/sweep"), "the photos are the class's own"
    assert get_recipe("cgan", small) == get_recipe("cgan", school), "the table knows the scaled profile"


def made_up(effect=0.0, values=(34, 16), metric="detail", valid=100, seeds=5, factor="receptive_field", **columns):
    """A sweep whose last value's `metric` is the base's plus `effect`; the seeds spread by about 0.01."""
    rng = np.random.default_rng(0)
    rows = [("seed", 42 + i, 0.5 + 0.01 * rng.standard_normal()) for i in range(seeds)]
    rows += [(factor, v, rows[0][2] + effect * (v == values[-1])) for v in values]
    table = pd.DataFrame(rows, columns=["factor", "value", metric])
    return table.assign(stage="cgan", valid=valid, profile="class", **columns)


def test_verdicts_follow_the_effect_and_the_spread_between_seeds():
    def both(effect, **kwargs):  # detail and structure alike, as the claim on patches wants
        table = made_up(effect, **kwargs)
        return sweep.verdict(table.assign(structure=table["detail"]), "receptive_field")[0]

    assert both(0.2) == "held", "more detail and a larger error of structure at the smaller patch"
    assert both(-0.2) == "did not hold"
    assert both(0.005) == both(-0.005) == "not decidable at this scale", "within the spread between seeds"
    assert both(0.2, valid=10) == both(0.2, seeds=2) == both(0.2, seeds=1) == "not decidable at this scale"
    table = made_up(0.2)
    word, why = sweep.verdict(table.assign(structure=-table["detail"]), "receptive_field")
    assert word == "did not hold" and "structure goes from" in why
    word, why = sweep.verdict(table.assign(structure=0.1 * table["detail"], profile="smoke"), "receptive_field")
    assert word == "not decidable at this scale" and "smoke" in why


def test_margin_is_that_of_a_prediction_interval():
    table = made_up(0, metric="mae", factor="beta1", values=(0.5, 0.9))
    seeds = table["mae"][table["factor"] == "seed"]
    margin = 2.776 * seeds.std() * (1 + 1 / 5) ** 0.5
    for effect, word in ((0.99, "not decidable at this scale"), (1.01, "held")):
        table.loc[table.index[-1], "mae"] = seeds.mean() + effect * margin
        assert sweep.verdict(table, "beta1")[0] == word


def test_epochs_need_runs_beyond_20():
    def say(values, effect):
        return sweep.verdict(made_up(effect, metric="mae", factor="epochs", values=values), "epochs")[0]

    assert say((3, 1, 6), -0.3) == "not decidable at this scale"
    assert say((20, 40), -0.3) == "did not hold"
    assert say((20, 40), 0.001) == say((20, 40), 0.3) == "held"


def test_a_diverged_run_counts_as_an_endless_error():
    table = made_up(np.nan, metric="mae", factor="lr", values=(1e-4, 1e-2))
    assert sweep.verdict(table, "lr")[0] == "did not hold"


def test_measure_knows_gray_and_the_truth(photos):
    truth = photos_to_lab(np.asarray(photos.valid))[1]
    best, none = sweep.measure(lambda L: truth, photos), sweep.measure(gray(), photos)
    assert best["mae"] == best["structure"] == 0 and best["detail"] == pytest.approx(1)
    assert none["detail"] == 0 and none["mae"] == pytest.approx(float(truth.abs().mean()), rel=1e-5)
    assert none["structure"] < none["mae"] and none["colorfulness"] < 1 < none["colorfulness_truth"]


def test_the_figure_cuts_a_run_that_exploded():
    table = made_up(1e6, metric="mae").assign(structure=1, detail=1, colorfulness=1)
    fig = sweep.parameter_analysis(table)
    seeds = table["mae"][table["factor"] == "seed"]
    top = max(max(line.get_ydata()) for line in fig.axes[0].lines)
    assert len(fig.axes) == 4 and top == pytest.approx(1.2 * seeds.max())


@pytest.fixture
def quick(monkeypatch):
    """A smoke profile of a few small crops, and a CNN in place of the U-Net."""
    monkeypatch.setattr(runs, "unet", lambda *recipe: EncoderDecoder(4))
    return dataclasses.replace(get_profile("smoke"), size=32, n_train=10, n_test=2)


def test_a_sweep_trains_each_recipe_once_and_finds_it_again(quick, monkeypatch):
    table = sweep.sweep(quick)
    assert list(table["factor"]) == list(sweep.plan(quick)["factor"])
    assert np.isfinite(table[["mae", "structure", "detail", "colorfulness"]].to_numpy(float)).all()
    assert table["run"].nunique() == 10 and {*table["profile"]} == {"smoke"} and table["valid"].iloc[0] == 1
    file = pd.read_csv(quick.outputs / "results" / "sweep.csv")
    assert list(file["run"]) == list(table["run"])
    assert len(runs.list_runs(quick)) == 0 and len(runs.list_runs(sweep.scaled(quick))) == 10
    by_stage = table.groupby("stage", sort=False)
    unet, gan = ([runs.load_run(run, sweep.scaled(quick)) for run in rows["run"]] for _, rows in by_stage)
    assert {run.record["start"] for run in gan} == {unet[0].id}
    for run in unet + gan:
        run.model("best")  # every run keeps its weights
    assert {sweep.verdict(table, factor)[0] for factor in sweep.CLAIMS} == {"not decidable at this scale"}

    monkeypatch.setattr(runs, "_train", lambda *a: pytest.fail("trained again"))
    sweep.KNOWN.clear()
    part = sweep.sweep(quick, factors=["seed", "lam"])
    pd.testing.assert_frame_equal(
        part, table[table["factor"].isin(["seed", "lam"])].reset_index(drop=True), check_like=True, check_dtype=False
    )
    assert len(pd.read_csv(quick.outputs / "results" / "sweep.csv")) == len(table), "a part leaves the file alone"


def test_a_diverged_run_does_not_stop_the_sweep(quick, monkeypatch, capsys):
    photos, train = prepare(sweep.scaled(quick), progress=False), runs.load_or_train

    def breaks(stage, *args, recipe, **kwargs):
        if recipe.lr == 1e-2:
            raise TrainingDiverged("the loss became nan in epoch 1")
        return train(stage, *args, recipe=recipe, **kwargs)

    monkeypatch.setattr(sweep, "load_or_train", breaks)
    table = sweep.sweep(quick, photos, ["lr"])
    assert table["run"].iloc[-1] == "diverged" and np.isnan(table["mae"].iloc[-1])
    assert np.isfinite(table["mae"].iloc[0]) and "became nan" in capsys.readouterr().out


def test_the_quoted_sweep_is_read_from_results(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "repo_root", lambda: tmp_path)
    assert sweep.quoted() is None
    for name, value in (("cpu", 1), ("class", 2)):
        (tmp_path / "results" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "results" / name / "sweep.csv").write_text(f"factor,value\nlr,{value}\n")
    file, table = sweep.quoted()
    assert file == "results/class/sweep.csv" and table["value"].iloc[0] == 2
