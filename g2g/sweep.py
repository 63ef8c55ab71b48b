"""The report's parameter analysis, measured: one factor at a time from a base recipe, each run cached by its hash."""

import dataclasses

import pandas as pd
import torch.nn.functional as F

from g2g import stages
from g2g.checkpoints import save_atomic
from g2g.data import prepare
from g2g.evaluation import predictions
from g2g.lab import to_rgb
from g2g.metrics import colorfulness, mae_ab

# What is varied, of which stage. The base recipe's own value is the first of each row.
FACTORS = {
    "receptive_field": ("cgan", (70, 16, 34, 1)),
    "lam": ("cgan", (100.0, 10.0, 1000.0)),
    "beta1": ("cgan", (0.5, 0.9)),
    "lr": ("unet", (1e-4, 1e-3, 1e-2)),
    "batch_size": ("unet", (32, 16, 8)),
    "epochs": ("unet", (3, 1, 6)),
}
SMOKE_FACTORS = {
    "receptive_field": ("cgan", (34, 16)),
    "lam": ("cgan", (100.0, 10.0)),
    "beta1": ("cgan", (0.5, 0.9)),
    "lr": ("unet", (1e-4, 1e-2)),
    "batch_size": ("unet", (8, 4)),
    "epochs": ("unet", (1, 2)),
}


def plan(profile) -> pd.DataFrame:
    """The runs of a sweep: factor, value, stage, recipe; the base recipes come with a second and third seed."""
    smoke = profile.name == "smoke"
    factors = SMOKE_FACTORS if smoke else FACTORS
    base = {}
    for stage in ("unet", "cgan"):
        own = {name: values[0] for name, (of, values) in factors.items() if of == stage}
        shared = {"epochs": factors["epochs"][1][0], "batch_size": factors["batch_size"][1][0]}
        recipe = stages.RECIPES[profile.name][stage]
        base[stage] = dataclasses.replace(recipe, schedule="constant", **(shared | own))
    rows = [("seed", seed, stage, dataclasses.replace(recipe, seed=seed))
            for stage, recipe in base.items() for seed in ((42, 43) if smoke else (42, 43, 44))]
    rows += [(factor, value, stage, dataclasses.replace(base[stage], **{factor: value}))
             for factor, (stage, values) in factors.items() for value in values]
    return pd.DataFrame(rows, columns=["factor", "value", "stage", "recipe"])


def measure(run: stages.Run, photos) -> dict:
    """What a run's last weights do on the validation photos, as means over photos.

    `mae`: of normalised ab. `structure`: the same after averaging blocks of 1/8 of the side, the large areas.
    `detail`: total variation of predicted ab over the truth's; 1 has as many colour edges. `colorfulness`, and
    `colorfulness_truth`. Beside them the last epoch's losses from the history.
    """
    sums, count = {}, 0
    model = run.model("last", stages.device())
    for rgb, L, ab, pred in predictions(model, photos, "valid", show=False):
        block = max(ab.shape[-1] // 8, 1)
        variation = [(x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()) * len(ab) for x in (pred, ab)]
        batch = {"mae": mae_ab(pred, ab).sum(), "detail": variation[0], "detail_truth": variation[1],
                 "structure": mae_ab(F.avg_pool2d(pred, block), F.avg_pool2d(ab, block)).sum(),
                 "colorfulness": colorfulness(to_rgb(L, pred)).sum(), "colorfulness_truth": colorfulness(rgb).sum()}
        sums = {name: sums.get(name, 0) + float(value) for name, value in batch.items()}
        count += len(ab)
    means = {name: total / count for name, total in sums.items()}
    means["detail"] /= max(means.pop("detail_truth"), 1e-6)
    last = run.history.iloc[-1]
    return means | {name: last[name] for name in ("valid_loss", "d_loss", "g_adv") if name in last}


def sweep(profile=None, photos=None, factors=None) -> pd.DataFrame:
    """Train what is missing of the plan, measure all of it, write results/sweep.csv in the profile's outputs.

    Resumable: every finished run is found again, and a broken one goes on.

    Args:
        factors: some of FACTORS' names (and `seed`); by default all.

    Returns:
        one row per run: factor, value, stage, seed, the numbers of `measure`, run, minutes.
    """
    profile = profile if isinstance(profile, stages.Profile) else stages.get_profile(profile)
    photos = photos if photos is not None else prepare(profile)
    todo = plan(profile)
    todo = todo[todo["factor"].isin([*(factors or todo["factor"])])]
    rows = []
    for i, job in enumerate(todo.itertuples(), 1):
        print(f"[{i}/{len(todo)}] {stages.TITLES[job.stage]}, {job.factor} = {job.value:g}")
        run = stages.load_or_train(job.stage, profile, recipe=job.recipe, photos=photos)
        rows.append({"factor": job.factor, "value": job.value, "stage": job.stage, "seed": job.recipe.seed}
                    | measure(run, photos) | {"run": run.id, "minutes": run.record["minutes"]})
    table = pd.DataFrame(rows)
    folder = profile.outputs / "results"
    folder.mkdir(parents=True, exist_ok=True)
    save_atomic(lambda path: table.to_csv(path, index=False, float_format="%.6g"), folder / "sweep.csv")
    return table
