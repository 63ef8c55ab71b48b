"""The report's parameter analysis, measured: one factor at a time from a base recipe, and each claim judged by rule."""

import dataclasses
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch.nn.functional as F
from scipy.stats import t as student

from g2g import figures
from g2g.checkpoints import TrainingDiverged
from g2g.data import Photos, prepare
from g2g.evaluation import predictions
from g2g.files import save_atomic
from g2g.lab import to_rgb
from g2g.metrics import colorfulness, mae_ab
from g2g.profiles import QUOTED, TITLES, Profile, get_profile, get_recipe, repo_root
from g2g.runs import device, load_or_train
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
METRICS = ["mae", "structure", "detail", "colorfulness"]
KNOWN = {}  # what this process has measured: a notebook asks for the same runs many times

UNDECIDED = "not decidable at this scale"
LEAST_VALID, LEAST_SEEDS = 50, 3  # fewer validation photos or seeds decide nothing
# factor: (the report's words, the rule, its effects: metric, from, to, sign); `base` is the base recipe's value
CLAIMS = {
    "lr": (
        "we kept it as 0.01 so as to avoid any irregularities and unstable updates that would have destabilized the "
        "training",
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
        "Larger patches reduced sensitivity to finer details, while smaller patches improved local consistency at the "
        "expense of global structure",
        "from the smallest field to the largest, detail falls and so does the error of structure",
        [("detail", "min", "max", -1), ("structure", "min", "max", -1)],
    ),
    "lam": (
        None,
        "from the smallest λ to the largest, the error falls and so does colourfulness",
        [("mae", "min", "max", -1), ("colorfulness", "min", "max", -1)],
    ),
    "beta1": (
        "We kept it as 0.5 to prevent any rapid updates, which allowed for stable training especially in earlier "
        "stages",
        "the error is higher at the larger β1",
        [("mae", "min", "max", 1)],
    ),
}


def scaled(profile: Profile) -> Profile:
    """The profile as a sweep uses it: fewer photos, and runs in a folder of their own, not among the course's."""
    small = dataclasses.replace(profile, outputs_name=f"{profile.name}/sweep")
    if PHOTOS.get(profile.name, profile.n_train) < profile.n_train:
        small = dataclasses.replace(small, n_train=PHOTOS[profile.name], n_test=8)  # which are prepared, but not used
    return small


def plan(profile: Profile) -> pd.DataFrame:
    """The runs of a sweep: factor, value, stage, recipe. All but the base recipes are these with one change."""
    factors = SMOKE_FACTORS if profile.name == "smoke" else FACTORS
    rows = []
    for stage in ("unet", "cgan"):
        own = {factor: values for factor, (of, values) in factors.items() if of in (stage, None)}
        shared = {factor: factors[factor][1] for factor in ("epochs", "batch_size")}
        changes = {factor: values[0] for factor, values in (shared | own).items()}
        base = dataclasses.replace(get_recipe(stage, profile), schedule="constant", d_epochs=0, **changes)
        for factor, values in own.items():
            rows += [(factor, value, stage, dataclasses.replace(base, **{factor: value})) for value in values]
    return pd.DataFrame(rows, columns=["factor", "value", "stage", "recipe"])


def measure(model, photos: Photos) -> dict:
    """What a model does on the validation photos, as means over photos; `model` as in `evaluation.predictions`.

    `mae`: of normalised ab. `structure`: the same after averaging blocks of 1/8 of the side, the large areas.
    `detail`: total variation of predicted ab over the truth's. `colorfulness`, and `colorfulness_truth`.
    """
    parts = []
    for rgb, L, ab, answer in predictions(model, photos, "valid", show=False):
        block = max(ab.shape[-1] // 8, 1)
        measures = {
            "mae": mae_ab(answer, ab),
            "structure": mae_ab(F.avg_pool2d(answer, block), F.avg_pool2d(ab, block)),
            "detail": _variation(answer),
            "detail_truth": _variation(ab),
            "colorfulness": colorfulness(to_rgb(L, answer)),
            "colorfulness_truth": colorfulness(rgb),
        }
        parts.append(pd.DataFrame({name: values.double().cpu().numpy() for name, values in measures.items()}))
    means = pd.concat(parts).mean().to_dict()
    means["detail"] /= max(means.pop("detail_truth"), 1e-6)
    return means


def _variation(ab):
    """Mean absolute difference between neighbouring pixels, of each photo."""
    return ab.diff(dim=2).abs().mean(dim=(1, 2, 3)) + ab.diff(dim=3).abs().mean(dim=(1, 2, 3))


def sweep(profile: Profile | str | None = None, photos: Photos | None = None, factors=None) -> pd.DataFrame:
    """Train what is missing of the plan, measure it, write results/sweep.csv in the profile's outputs if all is there.

    Resumable: every finished run is found again, and a broken one goes on. All cGANs start from the base U-Net.

    Args:
        photos: by default those of `scaled(profile)`. factors: some of FACTORS' names; by default all.

    Returns:
        one row per run: factor, value, stage, seed, the numbers of `measure` (missing where the loss became NaN),
        run, minutes; and what it was measured on: profile, px, train, valid.
    """
    profile = get_profile(profile)
    small = scaled(profile)
    photos = prepare(small) if photos is None else photos
    about = {"profile": profile.name, "px": photos.size, "train": len(photos.train), "valid": len(photos.valid)}
    jobs = plan(profile)
    base = jobs["recipe"].iloc[0]
    if factors:
        jobs = jobs[jobs["factor"].isin(factors)]
    rows = []
    for number, job in enumerate(jobs.itertuples(), 1):
        key = small.outputs, photos.hash, job.recipe
        if key not in KNOWN:
            print(f"[{number}/{len(jobs)}] {TITLES[job.stage]}, {job.factor} = {job.value:g}", flush=True)
            KNOWN[key] = _run(job.recipe, base, small, photos)
        what = {"factor": job.factor, "value": job.value, "stage": job.stage, "seed": job.recipe.seed}
        rows.append(what | KNOWN[key] | about)
    table = pd.DataFrame(rows)
    if not factors:
        folder = profile.outputs / "results"
        folder.mkdir(parents=True, exist_ok=True)
        save_atomic(lambda part: table.to_csv(part, index=False, float_format="%.6g"), folder / "sweep.csv")
    return table


def _run(recipe, base, small, photos):
    start = load_or_train("unet", small, recipe=base, photos=photos) if recipe.start else None
    try:
        run = load_or_train(recipe.stage, small, recipe=recipe, photos=photos, start=start)
    except TrainingDiverged as error:
        print(f"  diverged: {error}")
        return {"run": "diverged"}
    return measure(run.model("last", device()), photos) | {"run": run.id, "minutes": run.record["minutes"]}


def verdict(table: pd.DataFrame, factor: str) -> tuple[str, str]:
    """`held`, `did not hold` or `not decidable at this scale`, and why, for the report's claim on `factor`.

    The claim is read as effects (CLAIMS). One counts if it exceeds the 95% margin of a difference of means by the
    t distribution, with the standard deviation between seeds of the base recipe, assumed to be everybody's. All as
    claimed: held; one the other way: did not hold. Always undecided: smoke, few seeds, few validation photos.

    Args:
        table: as from `sweep`, with the rows of `factor` and of `seed`.
    """
    runs, seeds = _runs_and_seeds(table, factor)
    n, base = len(seeds), runs["value"].iloc[0]
    names = {"min": runs["value"].min(), "max": runs["value"].max(), "base": base}
    outcomes, words = [], []
    for metric, low, high, sign in CLAIMS[factor][2]:
        low, high = names.get(low, low), names.get(high, high)
        if low == high or not {low, high} <= set(runs["value"]):
            return UNDECIDED, f"it takes runs at and above {low:g}; these go to {high:g}"
        groups = [seeds if value == base else runs[runs["value"] == value] for value in (low, high)]
        before, after = (group[metric].fillna(np.inf).mean() for group in groups)
        spread = seeds[metric].std() * sum(1 / len(group) for group in groups) ** 0.5
        margin = student.ppf(0.975, max(n - 1, 1)) * spread
        outcomes.append(_outcome(after - before, margin, sign))
        words.append(
            f"{metric} goes from {before:.4g} at {low:g} to {after:.4g} at {high:g}, a "
            f"change of {after - before:+.2g}; by chance up to ±{margin:.2g} ({n} seeds)"
        )
    why, valid, profile = "; ".join(words), runs["valid"].min(), runs["profile"].iloc[0]
    if profile == "smoke" or valid < LEAST_VALID or n < LEAST_SEEDS:
        return UNDECIDED, f"{n} seeds, validation photos: {valid}, profile {profile}: that decides nothing; {why}"
    if FAILED in outcomes:
        return FAILED, why
    return UNDECIDED if UNDECIDED in outcomes else HELD, why


def _outcome(change, margin, sign):
    """Of an effect that is claimed to rise (1), to fall (-1), or not to fall (0)."""
    rises, falls = change > margin, change < -margin
    if sign == 0:
        return FAILED if falls else HELD
    if not rises and not falls:
        return UNDECIDED
    return HELD if rises == (sign > 0) else FAILED


def _runs_and_seeds(table, factor):
    """The runs of a factor, and those of the same stage that differ in their seeds only."""
    runs = table[table["factor"] == factor]
    return runs, table[(table["factor"] == "seed") & (table["stage"] == runs["stage"].iloc[0])]


def quoted() -> tuple[str, pd.DataFrame] | None:
    """The sweep that the course quotes: its file, relative to the repository, and its table; None if there is none."""
    for name in QUOTED:
        file = Path("results", name, "sweep.csv")
        if (repo_root() / file).is_file():
            return file.as_posix(), pd.read_csv(repo_root() / file)
    return None


@figures.figure(
    "What changing one parameter at a time does; gray band: the base recipe with other seeds. Values above 1.2 times "
    "the worst seed's are drawn there."
)
def parameter_analysis(table: pd.DataFrame):
    """A row of panels for each factor of a sweep, a column for each of METRICS.

    Args:
        table: as from `sweep`, with the runs whose factor is `seed`: they become the band.
    """
    factors = [factor for factor in table["factor"].unique() if factor != "seed"]
    size = 7, 0.3 + 1.3 * len(factors)
    fig, cells = plt.subplots(len(factors), 4, squeeze=False, sharey="col", figsize=size, layout="constrained")
    for row, factor in zip(cells, factors, strict=True):
        runs, seeds = _runs_and_seeds(table, factor)
        stage, values = runs["stage"].iloc[0], sorted(runs["value"].unique())
        for ax, metric in zip(row, METRICS, strict=True):
            numbers = runs[metric].clip(upper=1.2 * table.loc[table["factor"] == "seed", metric].max())
            x = runs["value"].map(values.index)
            ax.axhspan(seeds[metric].min(), seeds[metric].max(), color="#DDDDDD", lw=0)
            ax.plot(numbers.groupby(x).mean(), color=figures.color(stage))
            ax.plot(x, numbers, "o", color=figures.color(stage))
            ax.set_xticks(range(len(values)), [f"{value:g}" for value in values])
            ax.margins(0.15)
        row[0].set_ylabel(f"{factor.replace('_', ' ')}\n({figures.title(stage)})")
    for ax, metric in zip(cells[0], METRICS, strict=True):
        ax.set_title(metric)
    return fig
