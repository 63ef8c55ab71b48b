"""The course report's claims, one by one, with a verdict that a rule computes from the runs at hand."""

import numpy as np
import pandas as pd

from g2g.profiles import TITLES
from g2g.tables import bootstrap, compare

HELD, FAILED, UNKNOWN = "held", "did not hold", "cannot be told here"
LEAST_PHOTOS = 100  # fewer test photos decide nothing
CLAIMS = []  # (the report's words, rule, function that returns verdict and numbers)


def verdicts(scores: dict, colors: dict, runs: dict, profile) -> pd.DataFrame:
    """One row per claim: `claim` (the report's words), `rule`, `verdict`, `why` (the numbers).

    Only a 95% interval over photos that lies on one side decides; else, on fewer than 100 test photos and
    always in the smoke profile, the verdict is "cannot be told here".

    Args:
        scores: row -> result of `evaluation.score`, of cnn, unet, unet_long, cgan as far as they are there.
        colors: row or "truth" -> counts over a* and b*, of `evaluation.ab_histograms`.
        runs: stage -> `stages.Run`.
    """
    rows, photos = [], len(next(iter(scores.values())))
    for claim, rule, function in CLAIMS:
        try:
            verdict, why = function(scores, colors, runs, profile)
        except KeyError as missing:
            verdict, why = UNKNOWN, f"nothing was evaluated for {missing.args[0]}"
        if profile.name == "smoke" or photos < LEAST_PHOTOS:
            few = f"{photos} test photos" + ", and a training of seconds," * (profile.name == "smoke")
            verdict, why = UNKNOWN, f"{few} decide nothing; the rule would look at: {why}"
        rows.append((claim, rule, verdict, why))
    return pd.DataFrame(rows, columns=["claim", "rule", "verdict", "why"])


def _claim(quote, rule):
    return lambda function: CLAIMS.append((quote, rule, function)) or function


def _positive(*intervals):
    """Are these (mean, low, high) above zero? All surely: held; one surely not: did not hold."""
    lows, highs = [i[1] for i in intervals], [i[2] for i in intervals]
    return HELD if min(lows) > 0 else FAILED if min(highs) < 0 else UNKNOWN


def _vividness(table):
    """Colourfulness as a share of the truth's, (mean, low, high), and in words."""
    share = [v / table["colorfulness_truth"].mean() for v in bootstrap(table["colorfulness"])]
    return *share, "colourfulness is {:.0%} of the truth's ({:.0%} to {:.0%})".format(*share)


def _brown_share(counts):
    side = (np.arange(len(counts)) + 0.5) * 220 / len(counts) - 110
    a, b = np.meshgrid(side, side, indexing="ij")
    hue, seen = np.degrees(np.arctan2(b, a)), np.hypot(a, b) >= 5
    return (counts * (seen & (hue >= 30) & (hue <= 90))).sum() / max(1, (counts * seen).sum())


def _gains(scores, column, others):
    """By how much the cGAN is better than each of `others`, (mean, low, high), and in words."""
    if any(scores[row][column].isna().all() for row in ("cgan", *others)):
        return [], f"{column} was not measured."
    found = [compare(scores["cgan"], scores[o], column, ("cGAN", TITLES[o])) for o in others]
    gains = [(f["difference"], f["low"], f["high"]) for f in found]
    gains = gains if column == "ssim" else [(-mean, -high, -low) for mean, low, high in gains]
    return gains, " ".join(f["sentence"] for f in found)


@_claim(
    "CNN-based encoder-decoders often produce desaturated, brownish tones",
    "Held if the CNN's pictures are less colourful than the truth and, of their coloured pixels, more "
    "than half, and more than in the truth, are orange to yellow (hue 30° to 90°).",
)
def _brown(scores, colors, runs, profile):
    mean, low, high, words = _vividness(scores["cnn"])
    cnn, truth = _brown_share(colors["cnn"]), _brown_share(colors["truth"])
    verdict = HELD if high < 1 and cnn > max(0.5, truth) else FAILED if low > 1 or cnn < truth else UNKNOWN
    return verdict, f"{words}; orange to yellow are {cnn:.0%} of its coloured pixels (truth: {truth:.0%})"


@_claim(
    "U-Nets … still lean toward grayish hues",
    "Held if the U-Net's pictures have less than half of the truth's colourfulness.",
)
def _gray(scores, colors, runs, profile):
    mean, low, high, words = _vividness(scores["unet"])
    return _positive((0.5 - mean, 0.5 - high, 0.5 - low)), words


@_claim(
    "[after 20 epochs] results getting converged with no further reductions in losses",
    "The U-Net trained on with L1 alone answers: held if the test MAE surely falls by less than 1%, not "
    "held if by more; after fewer than 20 epochs it cannot be told.",
)
def _more_epochs(scores, colors, runs, profile):
    before, after = runs["unet"].recipe.epochs, runs["unet_long"].recipe.epochs
    gain = bootstrap((scores["unet"]["mae"] - scores["unet_long"]["mae"]) / scores["unet"]["mae"].mean())
    verdict = UNKNOWN if before < 20 else {HELD: FAILED, FAILED: HELD}.get(_positive([v - 0.01 for v in gain]), UNKNOWN)
    return verdict, (
        f"after {before} epochs, {after} more lower the test MAE by {gain[0]:.1%} ({gain[1]:.1%} to {gain[2]:.1%})"
    )


@_claim(
    "adversarial loss with the PatchGAN discriminator significantly reduced artifacts",
    "Against the U-Net trained as long without it: held if SSIM and LPIPS are both surely better, not "
    "held if one is surely worse; without LPIPS it cannot be held.",
)
def _artifacts(scores, colors, runs, profile):
    (ssim, words), (lpips, more) = (_gains(scores, column, ["unet_long"]) for column in ("ssim", "lpips"))
    verdict = _positive(*ssim, *lpips)
    return verdict if lpips or verdict == FAILED else UNKNOWN, f"{words} {more}"


@_claim(
    "Conditional GAN: Produced the most realistic and visually consistent outputs",
    "Realism is for people to judge (the game of notebook 06). As far as numbers go: held if LPIPS and "
    "the gap in colourfulness, photo by photo, surely beat all other models', not held if one is surely "
    "worse; without LPIPS it cannot be held.",
)
def _most_realistic(scores, colors, runs, profile):
    gap = {row: (s["colorfulness"] - s["colorfulness_truth"]).abs() for row, s in scores.items()}
    others = [o for o in ("cnn", "unet", "unet_long") if o in scores]
    lpips, words = _gains(scores, "lpips", others)
    verdict = _positive(*(bootstrap(gap[o] - gap["cgan"]) for o in others), *lpips)
    names = ", ".join(f"{TITLES[o]} {gap[o].mean():.1f}" for o in ["cgan", *others])
    return verdict if lpips or verdict == FAILED else UNKNOWN, f"mean gap in colourfulness: {names}. {words}"


@_claim(
    "increasing model complexity … significantly improved the realism",
    "The report's own evidence is the MAE: held if it surely falls from CNN to U-Net and from U-Net to "
    "cGAN, not held if it surely rises at a step. (The cGAN's generator is the U-Net, no more complex.)",
)
def _complexity(scores, colors, runs, profile):
    steps = [
        compare(scores[b], scores[a], "mae", (TITLES[b], TITLES[a])) for a, b in (("cnn", "unet"), ("unet", "cgan"))
    ]
    return (
        _positive(*((-s["difference"], -s["high"], -s["low"]) for s in steps)),
        " ".join(s["sentence"] for s in steps),
    )


_claim("evaluating these models across multiple datasets", "Held if there is more than one.")(
    lambda scores, colors, runs, profile: (FAILED, f"{len(scores['gray']):,} test photos of one source")
)


@_claim(
    "grayscale image stores data in reduced data space … potential for data storage techniques",
    "Held if the best model's colours surely come within 2.3 units of CIEDE2000 (just noticeable, "
    "generously) on average, not held if they surely do not.",
)
def _storage(scores, colors, runs, profile):
    models = {row: bootstrap(scores[row]["delta_e"]) for row in TITLES if row in scores}
    best = min(models, key=lambda row: models[row][0])
    mean, low, high = models[best]
    return (
        _positive((2.3 - mean, 2.3 - high, 2.3 - low)),
        f"CIEDE2000 of the best, {TITLES[best]}: {mean:.1f} ({low:.1f} to {high:.1f})",
    )
