"""The course report's claims, one by one, with a verdict that a rule computes from the runs at hand."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

from g2g.evaluation import LOWER_IS_BETTER, bootstrap, compare
from g2g.profiles import TITLES

HELD, FAILED, UNKNOWN = "held", "did not hold", "cannot be told here"
LEAST_PHOTOS = 100  # fewer test photos decide nothing
CLAIMS = tomllib.loads(Path(__file__).with_name("claims.toml").read_text(encoding="utf-8"))


def verdicts(measured) -> pd.DataFrame:
    """One row per claim: `claim` (the report's words), `rule`, `verdict`, `why` (the numbers).

    Only a 95% interval over photos that lies on one side decides; else, on fewer than 100 test photos and always in the
    smoke profile, the verdict is "cannot be told here". `measured`: a `report.pipeline.Measured`.
    """
    test, is_smoke = measured.test, measured.profile.name == "smoke"
    test_sets = 2 if measured.external else 1
    photos = len(next(iter(test.scores.values())))
    rows = []
    for judge in JUDGES:
        try:
            verdict, why = judge(scores=test.scores, colors=test.colors, runs=measured.runs, test_sets=test_sets)
        except KeyError as error:
            if error.args[0] not in TITLES:
                raise
            verdict, why = UNKNOWN, f"nothing was evaluated for {error.args[0]}"
        if is_smoke or photos < LEAST_PHOTOS:
            training = ", and a training of seconds," if is_smoke else ""
            why = f"{photos} test photos{training} decide nothing; the rule would look at: {why}"
            verdict = UNKNOWN
        rows.append(CLAIMS[judge.__name__] | {"verdict": verdict, "why": why})
    return pd.DataFrame(rows)


def claims_text(measured) -> str:
    """The claims with their verdicts, numbers and rules as Markdown."""
    judged = verdicts(measured).itertuples()
    return "".join(f"- “{row.claim}” **{row.verdict}.** {row.why} *{row.rule}*\n" for row in judged)


def all_positive(intervals) -> str:
    """Are these (mean, low, high) above zero? All surely: held; one surely not: did not hold."""
    if any(high < 0 for _, _, high in intervals):
        return FAILED
    if all(low > 0 for _, low, _ in intervals):
        return HELD
    return UNKNOWN


def below(limit, interval):
    """How far (mean, low, high) stays below a limit, as an interval."""
    mean, low, high = interval
    return limit - mean, limit - high, limit - low


def gains(scores, *comparisons):
    """For each (column, row, other) how much better the row is than the other: intervals, and in words."""
    intervals, sentences = [], []
    for column, row, other in comparisons:
        found = compare(scores[row], scores[other], column, (TITLES[row], TITLES[other]))
        difference = found["difference"], found["low"], found["high"]
        intervals.append(below(0, difference) if LOWER_IS_BETTER[column] else difference)
        sentences.append(found["sentence"])
    return intervals, " ".join(sentences)


def vividness(table):
    """Colorfulness as a fraction of that of the ground truth, (mean, low, high), and in words."""
    mean, low, high = np.array(bootstrap(table["colorfulness"])) / table["colorfulness_ground_truth"].mean()
    return (mean, low, high), f"colorfulness is {mean:.0%} of the ground truth's ({low:.0%} to {high:.0%})"


def brown_fraction(counts):
    """The fraction of orange to yellow (hue 30° to 90°) among the pixels of chroma 5 or more."""
    side = (np.arange(len(counts)) + 0.5) * 220 / len(counts) - 110
    a, b = np.meshgrid(side, side, indexing="ij")
    hue = np.degrees(np.arctan2(b, a))
    colored = np.where(np.hypot(a, b) >= 5, counts, 0)
    return colored[(hue >= 30) & (hue <= 90)].sum() / max(1, colored.sum())


def brown(scores, colors, **_):
    (_, low, high), words = vividness(scores["cnn"])
    cnn, ground_truth = brown_fraction(colors["cnn"]), brown_fraction(colors["ground_truth"])
    verdict = UNKNOWN
    if high < 1 and cnn > max(0.5, ground_truth):
        verdict = HELD
    elif low > 1 or cnn < ground_truth:
        verdict = FAILED
    return verdict, f"{words}; orange to yellow are {cnn:.0%} of its colored pixels (ground truth: {ground_truth:.0%})"


def gray(scores, **_):
    fraction, words = vividness(scores["unet"])
    return all_positive([below(0.5, fraction)]), words


def converged(scores, runs, **_):
    before, more = runs["unet"].recipe.epochs, runs["unet_long"].recipe.epochs
    unet, longer = scores["unet"]["mae"], scores["unet_long"]["mae"]
    mean, low, high = bootstrap((unet - longer) / unet.mean())
    verdict = all_positive([below(0.01, (mean, low, high))]) if before >= 20 else UNKNOWN
    steps = runs["unet_long"].recipe.steps_per_epoch
    of = f" (of {steps} steps each)" if steps else ""
    return verdict, f"after {before} epochs, {more} more{of} lower the test MAE by {mean:.1%} ({low:.1%} to {high:.1%})"


def artifacts(scores, **_):
    better, words = gains(scores, ("ssim", "cgan", "unet_long"), ("lpips", "cgan", "unet_long"))
    return all_positive(better), words


def most_realistic(scores, **_):
    gap = {row: (table["colorfulness"] - table["colorfulness_ground_truth"]).abs() for row, table in scores.items()}
    others = [row for row in ("cnn", "unet", "unet_long") if row in scores]
    better, words = gains(scores, *[("lpips", "cgan", row) for row in others])
    narrower = [bootstrap(gap[row] - gap["cgan"]) for row in others]
    names = ", ".join(f"{TITLES[row]} {gap[row].mean():.1f}" for row in ["cgan", *others])
    return all_positive(narrower + better), f"mean gap in colorfulness: {names}. {words}"


def complexity(scores, **_):
    better, words = gains(scores, ("mae", "unet", "cnn"), ("mae", "cgan", "unet"))
    return all_positive(better), words


def several_test_sets(scores, test_sets, **_):
    if test_sets > 1:
        return HELD, f"{test_sets} sets of test photos"
    return FAILED, f"{len(next(iter(scores.values()))):,} test photos of one source"


def storage(scores, **_):
    errors = {row: bootstrap(scores[row]["delta_e"]) for row in TITLES if row in scores}
    best = min(errors, key=errors.get)
    mean, low, high = errors[best]
    words = f"CIEDE2000 of the best, {TITLES[best]}: {mean:.1f} ({low:.1f} to {high:.1f})"
    return all_positive([below(2, errors[best])]), words


# Each judges the claim of its name in claims.toml
JUDGES = brown, gray, converged, artifacts, most_realistic, complexity, several_test_sets, storage
