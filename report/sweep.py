"""The report's parameter analysis, measured: one factor at a time from a base recipe, and each claim judged by rule."""

import dataclasses
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch.nn.functional as F
from scipy.stats import t as student

from g2g import figures
from g2g import runs as stages
from g2g.checkpoints import TrainingDiverged
from g2g.data import prepare
from g2g.evaluation import predictions
from g2g.files import save_atomic
from g2g.lab import to_rgb
from g2g.metrics import colorfulness, mae_ab
from g2g.profiles import QUOTED, Profile, get_profile, repo_root
from report.claims import FAILED, HELD

# What is varied, of which stage; the base recipe's own value is the first of each row. `seed` is the yardstick.
FACTORS = {
    "seed": (None, (42, 43, 44, 45, 46)),
    "lr": ("unet", (1e-4, 1e-3, 1e-2)),
    "batch_size": ("unet", (32, 8, 128)),
    "epochs": ("unet", (3, 1, 6)),
    "receptive_field": ("cgan", (70, 1, 16, 34)),
    "lam": ("cgan", (100.0, 10.0, 1000.0)),
    "beta1": ("cgan", (0.5, 0.9)),
}
SMOKE_FACTORS = FACTORS | {
    "seed": (None, (42, 43)),
    "lr": ("unet", (1e-4, 1e-2)),
    "batch_size": ("unet", (8, 4)),
    "epochs": ("unet", (1, 2)),
    "receptive_field": ("cgan", (34, 16)),
    "lam": ("cgan", (100.0, 10.0)),
}
PHOTOS = {"smoke": 17, "cpu": 240, "report": 2000}  # for training and validation, where fewer than the profile's
KNOWN = {}  # what this process has measured: a notebook asks for the same runs many times

UNDECIDED = "not decidable at this scale"
LEAST_PHOTOS, LEAST_SEEDS = 50, 3  # fewer validation photos or seeds decide nothing
# factor: (the report's words, the rule, its effects: metric, from, to, sign); `base` is the base recipe's value
CLAIMS = {
    "lr": (
        "we kept it as 0.01 so as to avoid any irregularities and unstable updates that would have destabilized "
        "the training",
        "the error is lower at the largest rate than at the smallest",
        [("mae", "min", "max", -1)],
    ),
    "batch_size": (
        "larger batch size required more memory and smaller ones lead to noiser gradients, we set the batch size as 32",
        "the error is lower at the base size than at the smallest",
        [("mae", "min", "base", -1)],
    ),
    "epochs": (
        "20 epochs, after which we were seeing results getting converged with no frther reductions in losses",
        "the error falls no further after 20 epochs",
        [("mae", 20, "max", 0)],
    ),
    "receptive_field": (
        "Larger patches reduced sensitivity to finer details, while smaller patches improved local "
        "consistency at the expense of global structure",
        "from the smallest field to the largest, detail falls and so does the error of structure",
        [("detail", "min", "max", -1), ("structure", "min", "max", -1)],
    ),
    "lam": (
        None,
        "from the smallest λ to the largest, the error falls and so does colourfulness",
        [("mae", "min", "max", -1), ("colorfulness", "min", "max", -1)],
    ),
    "beta1": (
        "We kept it as 0.5 to prevent any rapid updates, which allowed for stable training especially in "
        "earlier stages",
        "the error is higher at the larger β1",
        [("mae", "min", "max", 1)],
    ),
}


def scaled(profile) -> Profile:
    """The profile as a sweep uses it: fewer photos, and runs in a folder of their own, not among the course's."""
    n = min(profile.n_train, PHOTOS.get(profile.name, profile.n_train))
    n_test = profile.n_test if n == profile.n_train else min(profile.n_test, 8)  # not used, but prepared
    return dataclasses.replace(profile, name=f"{profile.name}/sweep", n_train=n, n_test=n_test)


def plan(profile) -> pd.DataFrame:
    """The runs of a sweep: factor, value, stage, recipe. All but the base recipes are these with one change."""
    factors = SMOKE_FACTORS if profile.name == "smoke" else FACTORS
    own = {name: (stage, values[0]) for name, (stage, values) in factors.items()}
    rows = []
    for stage in ("unet", "cgan"):
        shared = {"schedule": "constant", **{name: own[name][1] for name in ("epochs", "batch_size", "seed")}}
        changes = shared | {name: value for name, (of, value) in own.items() if of == stage}
        base = dataclasses.replace(stages.RECIPES[profile.name][stage], **changes)
        rows += [
            (factor, value, stage, dataclasses.replace(base, **{factor: value}))
            for factor, (of, values) in factors.items()
            if of in (stage, None)
            for value in values
        ]
    return pd.DataFrame(rows, columns=["factor", "value", "stage", "recipe"])


def measure(model, photos) -> dict:
    """What a model does on the validation photos, as means over photos; `model` as in `evaluation.predictions`.

    `mae`: of normalised ab. `structure`: the same after averaging blocks of 1/8 of the side, the large areas.
    `detail`: total variation of predicted ab over the truth's. `colorfulness`, and `colorfulness_truth`.
    """
    sums, count = {}, 0
    for rgb, L, ab, pred in predictions(model, photos, "valid", show=False):
        block = max(ab.shape[-1] // 8, 1)
        variation = [(x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()) * len(ab) for x in (pred, ab)]
        batch = {
            "mae": mae_ab(pred, ab).sum(),
            "detail": variation[0],
            "detail_truth": variation[1],
            "structure": mae_ab(F.avg_pool2d(pred, block), F.avg_pool2d(ab, block)).sum(),
            "colorfulness": colorfulness(to_rgb(L, pred)).sum(),
            "colorfulness_truth": colorfulness(rgb).sum(),
        }
        sums = {name: sums.get(name, 0) + float(value) for name, value in batch.items()}
        count += len(ab)
    means = {name: total / count for name, total in sums.items()}
    return means | {"detail": means["detail"] / max(means.pop("detail_truth"), 1e-6)}


def sweep(profile=None, photos=None, factors=None) -> pd.DataFrame:
    """Train what is missing of the plan, measure it, write results/sweep.csv in the profile's outputs if all is there.

    Resumable: every finished run is found again, and a broken one goes on. All cGANs start from the base U-Net.

    Args:
        photos: by default those of `scaled(profile)`. factors: some of FACTORS' names; by default all.

    Returns:
        one row per run: factor, value, stage, seed, the numbers of `measure` (missing where the loss became NaN),
        run, minutes; and what it was measured on: profile, px, train, valid.
    """
    profile = profile if isinstance(profile, Profile) else get_profile(profile)
    small, jobs, rows = scaled(profile), plan(profile), []
    photos = prepare(small) if photos is None else photos
    about = {"profile": profile.name, "px": photos.size, "train": len(photos.train), "valid": len(photos.valid)}
    base, jobs = jobs["recipe"].iloc[0], jobs[jobs["factor"].isin([*(factors or jobs["factor"])])]
    for i, job in enumerate(jobs.itertuples(), 1):
        key = small.outputs, photos.hash, job.recipe
        if key not in KNOWN:
            print(f"[{i}/{len(jobs)}] {stages.TITLES[job.stage]}, {job.factor} = {job.value:g}", flush=True)
            KNOWN[key] = _run(job.recipe, base, small, photos)
        what = {"factor": job.factor, "value": job.value, "stage": job.stage, "seed": job.recipe.seed}
        rows.append(what | KNOWN[key] | about)
    table = pd.DataFrame(rows)
    if not factors:
        (folder := profile.outputs / "results").mkdir(parents=True, exist_ok=True)
        save_atomic(partial(table.to_csv, index=False, float_format="%.6g"), folder / "sweep.csv")
    return table


def _run(recipe, base, small, photos):
    train = partial(stages.load_or_train, profile=small, photos=photos)
    start = train("unet", recipe=base) if recipe.start else None
    try:
        run = train(recipe.stage, recipe=recipe, start=start)
    except TrainingDiverged as error:
        print(f"  diverged: {error}")
        return {"run": "diverged"}
    if recipe != base:  # whose best weights start the cGANs; nobody reads the others', half of a sweep's disk
        (run.folder / "weights.safetensors").unlink(missing_ok=True)
    return measure(run.model("last", stages.device()), photos) | {"run": run.id, "minutes": run.record["minutes"]}


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
        outcomes.append(
            (HELD if falls_or_rises >= 0 else FAILED)
            if sign == 0
            else {sign: HELD, -sign: FAILED}.get(falls_or_rises, UNDECIDED)
        )
        words.append(
            f"{metric} goes from {groups[0].mean():.4g} at {low:g} to {groups[1].mean():.4g} at {high:g}, a "
            f"change of {change:+.2g}; by chance up to ±{margin:.2g} ({n} seeds)"
        )
    why, valid = "; ".join(words), runs["valid"].min()
    if (runs["profile"] == "smoke").any() or valid < LEAST_PHOTOS or n < LEAST_SEEDS:
        facts = f"{n} seeds, validation photos: {valid}, profile {runs['profile'].iloc[0]}"
        return UNDECIDED, f"{facts}: that decides nothing; {why}"
    return FAILED if FAILED in outcomes else HELD if {*outcomes} == {HELD} else UNDECIDED, why


def quoted() -> tuple[str, pd.DataFrame] | None:
    """The sweep that the course quotes: its file, relative to the repository, and its table; None if there is none."""
    files = [Path("results", name, "sweep.csv") for name in QUOTED]
    return next(((f.as_posix(), pd.read_csv(repo_root() / f)) for f in files if (repo_root() / f).is_file()), None)


@figures.figure("What changing one parameter at a time does; gray band: the base recipe with other seeds.")
def parameter_analysis(table, metrics=None):
    """A row of panels for each factor of a sweep, a column for each metric.

    Args:
        table: as from `sweep`, a row for each run: `factor`, `value`, `stage` and the metrics. Runs
            whose factor is `seed` become the band.
        metrics: columns to draw, by default those that are there of mae, structure, detail and colorfulness.
    """
    metrics = metrics or [m for m in ("mae", "structure", "detail", "colorfulness") if m in table]
    factors = [f for f in dict.fromkeys(table["factor"]) if f != "seed"]
    shape = {"nrows": len(factors), "ncols": len(metrics), "squeeze": False, "sharey": "col"}
    size = min(7, 0.5 + 2.2 * len(metrics)), 0.3 + 1.3 * len(factors)
    fig, cells = plt.subplots(**shape, figsize=size, layout="constrained")
    for row, factor in zip(cells, factors, strict=True):
        runs = table[table["factor"] == factor]
        stage, values = runs["stage"].iloc[0], sorted(runs["value"].unique())
        seeds = table[(table["factor"] == "seed") & (table["stage"] == stage)]
        x = runs["value"].map(values.index)
        for ax, metric in zip(row, metrics, strict=True):
            if len(seeds):
                ax.axhspan(seeds[metric].min(), seeds[metric].max(), color="#DDDDDD", lw=0)
            ax.plot(runs[metric].groupby(x).mean(), color=figures.color(stage))
            ax.plot(x, runs[metric], "o", color=figures.color(stage))
            ax.set_xticks(range(len(values)), [f"{v:g}" for v in values])
            ax.margins(0.15)
        row[0].set_ylabel(f"{factor.replace('_', ' ')}\n({figures.title(stage)})")
    for ax, metric in zip(cells[0], metrics, strict=True):
        ax.set_title(metric)
    return fig
