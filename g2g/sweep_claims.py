"""What the report claims of its parameters, and the rule that judges each claim by a sweep."""

import numpy as np
from scipy.stats import t as student

from g2g.claims import FAILED, HELD

UNDECIDED = "not decidable at this scale"
LEAST_PHOTOS, LEAST_SEEDS = 50, 3  # fewer validation photos or seeds decide nothing
# factor: (the report's words, the rule, its effects: metric, from, to, sign); `base` is the base recipe's value
CLAIMS = {
    "lr": ("we kept it as 0.01 so as to avoid any irregularities and unstable updates that would have destabilized "
           "the training", "the error is lower at the largest rate than at the smallest", [("mae", "min", "max", -1)]),
    "batch_size": ("larger batch size required more memory and smaller ones lead to noiser gradients, we set the "
                   "batch size as 32", "the error is lower at the base size than at the smallest",
                   [("mae", "min", "base", -1)]),
    "epochs": ("20 epochs, after which we were seeing results getting converged with no frther reductions in losses",
               "the error falls no further after 20 epochs", [("mae", 20, "max", 0)]),
    "receptive_field": ("Larger patches reduced sensitivity to finer details, while smaller patches improved local "
                        "consistency at the expense of global structure",
                        "from the smallest field to the largest, detail falls and so does the error of structure",
                        [("detail", "min", "max", -1), ("structure", "min", "max", -1)]),
    "lam": (None, "from the smallest λ to the largest, the error falls and so does colourfulness",
            [("mae", "min", "max", -1), ("colorfulness", "min", "max", -1)]),
    "beta1": ("We kept it as 0.5 to prevent any rapid updates, which allowed for stable training especially in "
              "earlier stages", "the error is higher at the larger β1", [("mae", "min", "max", 1)]),
}


def verdict(table, factor: str) -> tuple[str, str]:
    """`held`, `did not hold` or `not decidable at this scale`, and why, for the report's claim on `factor`.

    The claim is read as effects (CLAIMS). One counts if it exceeds the 95% margin of a difference of means by the
    t distribution, with the standard deviation between seeds of the base recipe, assumed to be everybody's. All as
    claimed: held; one the other way: did not hold. Always undecided: smoke, few seeds, few validation photos.

    Args:
        table: as from `sweep`, with the rows of `factor` and of `seed`.
    """
    runs = table[table["factor"] == factor]
    seeds = table[(table["factor"] == "seed") & (table["stage"] == runs["stage"].iloc[0])]
    base, n = runs["value"].iloc[0], len(seeds)
    names = {"min": runs["value"].min(), "max": runs["value"].max(), "base": base}
    outcomes, words = [], []
    for metric, low, high, sign in CLAIMS[factor][2]:
        low, high = (names.get(v, v) for v in (low, high))
        if low == high or not {low, high} <= {*runs["value"]}:
            return UNDECIDED, f"it takes runs at and above {low:g}; these go to {high:g}"
        groups = [(seeds if v == base else runs[runs["value"] == v])[metric].fillna(np.inf) for v in (low, high)]
        change = groups[1].mean() - groups[0].mean()
        spread = seeds[metric].std() if n > 1 else np.nan
        margin = student.ppf(0.975, max(n - 1, 1)) * spread * sum(1 / len(g) for g in groups) ** 0.5
        falls_or_rises = np.sign(change) * (abs(change) > margin)
        # sign 0 claims that nothing falls any more
        outcomes.append((HELD if falls_or_rises >= 0 else FAILED) if sign == 0 else
                        {sign: HELD, -sign: FAILED}.get(falls_or_rises, UNDECIDED))
        words.append(f"{metric} goes from {groups[0].mean():.4g} at {low:g} to {groups[1].mean():.4g} at {high:g}, a "
                     f"change of {change:+.2g}; by chance up to ±{margin:.2g} ({n} seeds)")
    why, valid = "; ".join(words), runs["valid"].min()
    if (runs["profile"] == "smoke").any() or valid < LEAST_PHOTOS or n < LEAST_SEEDS:
        facts = f"{n} seeds, validation photos: {valid}, profile {runs['profile'].iloc[0]}"
        return UNDECIDED, f"{facts}: that decides nothing; {why}"
    return FAILED if FAILED in outcomes else HELD if {*outcomes} == {HELD} else UNDECIDED, why
