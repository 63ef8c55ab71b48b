"""Verdicts follow the numbers: each rule says held, did not hold and cannot be told where it should."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from g2g.profiles import RECIPES, get_profile
from report import claims

PROFILE = get_profile("class")


def scores(n=200, noise=0.001, **means):
    """A score table with these column means; the same photos for all."""
    rng = np.random.default_rng(1)
    table = {"mae": 0.08, "ssim": 0.9, "delta_e": 8.0, "lpips": 0.2}
    table |= {"colorfulness": 30.0, "colorfulness_ground_truth": 40.0} | means
    frame = pd.DataFrame({k: v * (1 + noise * rng.standard_normal(n)) for k, v in table.items()})
    return frame.assign(file=[f"{i}.jpg" for i in range(n)], chroma=20.0)


def counts(a, b):
    """All pixels of one color."""
    grid = np.zeros((44, 44))
    grid[int((a + 110) / 5), int((b + 110) / 5)] = 1000
    return grid


def verdicts(profile=PROFILE, epochs=20, brown=(10, 20), drop=(), n=200, external=None, **means):
    rows = [row for row in ("gray", "cnn", "unet", "unet_long", "cgan") if row not in drop]
    tables = {row: scores(n, **means.get(row, {})) for row in rows}
    test = SimpleNamespace(scores=tables, colors={"ground_truth": counts(30, -30), "cnn": counts(*brown)})
    runs = {
        model: SimpleNamespace(recipe=dataclasses.replace(recipe, epochs=epochs))
        for model, recipe in RECIPES["report"].items()
        if model not in drop
    }
    return claims.verdicts(SimpleNamespace(profile=profile, runs=runs, test=test, external=external))


@pytest.mark.parametrize(
    "word, world, expected",
    [
        ("brownish", {}, "held"),
        ("brownish", {"brown": (-20, -20)}, "cannot be told here"),  # no less brown than the ground truth: neither
        ("brownish", {"cnn": {"colorfulness": 50}}, "did not hold"),
        ("grayish", {"unet": {"colorfulness": 10}}, "held"),
        ("grayish", {"unet": {"colorfulness": 35}}, "did not hold"),
        ("no further", {"unet_long": {"mae": 0.0799}}, "held"),
        ("no further", {"unet_long": {"mae": 0.09}}, "held"),
        ("no further", {"unet_long": {"mae": 0.07}}, "did not hold"),
        ("no further", {"unet_long": {"mae": 0.07}, "epochs": 6}, "cannot be told here"),
        ("artifacts", {"cgan": {"ssim": 0.8}}, "did not hold"),
        ("artifacts", {"cgan": {"ssim": 0.95}}, "cannot be told here"),  # LPIPS is the same
        ("artifacts", {"cgan": {"ssim": 0.95, "lpips": 0.1}, "unet_long": {"lpips": 0.2}}, "held"),
        ("artifacts", {"cgan": {"ssim": 0.95, "lpips": 0.3}, "unet_long": {"lpips": 0.2}}, "did not hold"),
        ("most realistic", {"cgan": {"colorfulness": 20}}, "did not hold"),
        ("most realistic", {"cgan": {"colorfulness": 40}}, "cannot be told here"),
        ("most realistic", {"cgan": {"colorfulness": 40, "lpips": 0.1}}, "held"),
        ("complexity", {"unet": {"mae": 0.07}, "cgan": {"mae": 0.06}}, "held"),
        ("complexity", {"unet": {"mae": 0.07}, "cgan": {"mae": 0.075}}, "did not hold"),
        ("complexity", {"unet": {"mae": 0.07}, "cgan": {"mae": 0.07}}, "cannot be told here"),
        ("multiple datasets", {}, "did not hold"),
        ("multiple datasets", {"external": "another set"}, "held"),
        ("storage", {}, "did not hold"),
        ("storage", {"unet": {"delta_e": 1.5}}, "held"),
    ],
)
def test_rules(word, world, expected):
    found = verdicts(**world)
    assert found.loc[found["claim"].str.contains(word), "verdict"].item() == expected


def test_smoke_and_few_photos_decide_nothing_and_say_so():
    for found in (verdicts(profile=get_profile("smoke")), verdicts(n=99)):
        assert set(found["verdict"]) == {claims.UNKNOWN} and len(found) == 8
        assert found["why"].str.contains("test photos").all()


def test_a_missing_run_is_named():
    found = verdicts(drop=("unet_long",)).set_index("claim")
    row = found[found.index.str.contains("no further")].iloc[0]
    assert row["verdict"] == claims.UNKNOWN and "unet_long" in row["why"]
    assert "nothing was evaluated" not in found.loc[found.index.str.contains("complexity"), "why"].item()
