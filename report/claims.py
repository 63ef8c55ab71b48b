"""The course report's claims, one by one, with a verdict that a rule computes from the runs at hand."""

import numpy as np
import pandas as pd

from g2g.evaluation import LOWER_IS_BETTER, bootstrap, compare
from g2g.profiles import TITLES

HELD, FAILED, UNKNOWN = "held", "did not hold", "cannot be told here"
LEAST_PHOTOS = 100  # fewer test photos decide nothing
CLAIMS = []  # (the report's words, function that applies the rule); the rule is the function's docstring


def verdicts(scores: dict, colors: dict, runs: dict, profile, test_sets: int = 1) -> pd.DataFrame:
    """One row per claim: `claim` (the report's words), `rule`, `verdict`, `why` (the numbers).

    Only a 95% interval over photos that lies on one side decides; else, on fewer than 100 test photos and
    always in the smoke profile, the verdict is "cannot be told here".

    Args:
        scores: row -> result of `evaluation.score`, of cnn, unet, unet_long, cgan as far as they are there.
        colors: row or "ground_truth" -> counts over a* and b*, of `report.figures.count_colors`.
        runs: model -> `runs.Run`.
        test_sets: how many sets of photos, of different origin, the models were tested on.
    """
    photos = len(next(iter(scores.values())))
    rows = []
    for words, judge in CLAIMS:
        try:
            verdict, why = judge(scores=scores, colors=colors, runs=runs, test_sets=test_sets)
        except KeyError as error:
            if error.args[0] not in TITLES:
                raise
            verdict, why = UNKNOWN, f"nothing was evaluated for {error.args[0]}"
        if profile.name == "smoke" or photos < LEAST_PHOTOS:
            training = ", and a training of seconds," if profile.name == "smoke" else ""
            why = f"{photos} test photos{training} decide nothing; the rule would look at: {why}"
            verdict = UNKNOWN
        rule = " ".join(judge.__doc__.split())
        rows.append((words, rule, verdict, why))
    return pd.DataFrame(rows, columns=["claim", "rule", "verdict", "why"])


def claim(words):
    """Decorator for the function that applies the rule; it returns the verdict and the numbers in words."""

    def register(judge):
        CLAIMS.append((words, judge))
        return judge

    return register


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


@claim("CNN-based encoder-decoders often produce desaturated, brownish tones")
def _brown(scores, colors, **_):
    """Held if the CNN's pictures are less colorful than the ground truth and, of their colored pixels, more than half,
    and more than in the ground truth, are orange to yellow (hue 30° to 90°).
    """
    (_, low, high), words = vividness(scores["cnn"])
    cnn, ground_truth = brown_fraction(colors["cnn"]), brown_fraction(colors["ground_truth"])
    verdict = UNKNOWN
    if high < 1 and cnn > max(0.5, ground_truth):
        verdict = HELD
    elif low > 1 or cnn < ground_truth:
        verdict = FAILED
    return verdict, f"{words}; orange to yellow are {cnn:.0%} of its colored pixels (ground truth: {ground_truth:.0%})"


@claim("U-Nets … still lean toward grayish hues")
def _gray(scores, **_):
    """Held if the U-Net's pictures have less than half of the ground truth's colorfulness."""
    fraction, words = vividness(scores["unet"])
    return all_positive([below(0.5, fraction)]), words


@claim("[after 20 epochs] results getting converged with no further reductions in losses")
def _converged(scores, runs, **_):
    """The U-Net trained on with L1 alone answers: held if the test MAE surely falls by less than 1%, not held if by
    more; after fewer than 20 epochs it cannot be told.
    """
    before, more = runs["unet"].recipe.epochs, runs["unet_long"].recipe.epochs
    unet, longer = scores["unet"]["mae"], scores["unet_long"]["mae"]
    mean, low, high = bootstrap((unet - longer) / unet.mean())
    verdict = all_positive([below(0.01, (mean, low, high))]) if before >= 20 else UNKNOWN
    steps = runs["unet_long"].recipe.steps_per_epoch
    of = f" (of {steps} steps each)" if steps else ""
    return verdict, f"after {before} epochs, {more} more{of} lower the test MAE by {mean:.1%} ({low:.1%} to {high:.1%})"


@claim("adversarial loss with the PatchGAN discriminator significantly reduced artifacts")
def _artifacts(scores, **_):
    """Against the U-Net trained as long without it: held if SSIM and LPIPS are both surely better, not held if one is
    surely worse.
    """
    better, words = gains(scores, ("ssim", "cgan", "unet_long"), ("lpips", "cgan", "unet_long"))
    return all_positive(better), words


@claim("Conditional GAN: Produced the most realistic and visually consistent outputs")
def _most_realistic(scores, **_):
    """Realism is for people to judge (the game of notebook 06). As far as numbers go: held if LPIPS and the gap in
    colorfulness, photo by photo, surely beat all other models', not held if one is surely worse.
    """
    gap = {row: (table["colorfulness"] - table["colorfulness_ground_truth"]).abs() for row, table in scores.items()}
    others = [row for row in ("cnn", "unet", "unet_long") if row in scores]
    better, words = gains(scores, *[("lpips", "cgan", row) for row in others])
    narrower = [bootstrap(gap[row] - gap["cgan"]) for row in others]
    names = ", ".join(f"{TITLES[row]} {gap[row].mean():.1f}" for row in ["cgan", *others])
    return all_positive(narrower + better), f"mean gap in colorfulness: {names}. {words}"


@claim("increasing model complexity … significantly improved the realism")
def _complexity(scores, **_):
    """The report's own evidence is the MAE: held if it surely falls from CNN to U-Net and from U-Net to cGAN, not held
    if it surely rises at a step. (The cGAN's generator is the U-Net, no more complex.)
    """
    better, words = gains(scores, ("mae", "unet", "cnn"), ("mae", "cgan", "unet"))
    return all_positive(better), words


@claim("evaluating these models across multiple datasets")
def _several_test_sets(scores, test_sets, **_):
    """Held if there is more than one."""
    if test_sets > 1:
        return HELD, f"{test_sets} sets of test photos"
    return FAILED, f"{len(next(iter(scores.values()))):,} test photos of one source"


@claim("grayscale image stores data in reduced data space … potential for data storage techniques")
def _storage(scores, **_):
    """Held if the best model's colors surely come within 2 units of CIEDE2000 (1 is about just noticeable) on average,
    not held if they surely do not.
    """
    errors = {row: bootstrap(scores[row]["delta_e"]) for row in TITLES if row in scores}
    best = min(errors, key=errors.get)
    mean, low, high = errors[best]
    words = f"CIEDE2000 of the best, {TITLES[best]}: {mean:.1f} ({low:.1f} to {high:.1f})"
    return all_positive([below(2, errors[best])]), words
