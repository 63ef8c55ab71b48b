"""One engine for the studies of notebooks 08 and 10: trains what is missing, measures it, writes results/STUDY."""

import dataclasses
import hashlib
import json
import time

import numpy as np
import pandas as pd
import torch.nn.functional as F
from scipy.stats import t as student

from g2g import evaluation, figures, metrics, training
from g2g.checkpoints import TrainingDiverged
from g2g.colorize import colorize_all
from g2g.data import prepare
from g2g.files import locked, save_atomic, write_json
from g2g.models import load_weights, unet
from g2g.photos import gallery_photos
from g2g.profiles import Profile, get_profile, repo_root
from g2g.training import get_device
from report import studies

SIZE = 64  # px
SHOWN = [
    "seed",
    "mae",
    "gray_mae",
    "psnr",
    "gray_psnr",
    "colorfulness",
    "minutes",
    "device",
]  # what a table begins with

WORDS = {"loss": "", "lr": "rate", "lambda_l1": "λ", "receptive_field": "patch", "beta1": "β1", "batch_size": "batch"}


def planned(study: str, profile: Profile, seeds=studies.SEEDS) -> list:
    """The jobs of a study: (factor, value, job); in `smoke` of a step or two. ValueError: no such study."""
    if study not in studies.STUDIES:
        raise ValueError(f"no study {study!r}; there are: {', '.join(studies.STUDIES)}")
    jobs = studies.STUDIES[study](seeds)
    if profile.name != "smoke":
        return jobs
    return [(factor, value, dataclasses.replace(job, epochs=1, epoch=32)) for factor, value, job in jobs]


def folder_of(study: str, profile: Profile):
    """Where a study's tables and pictures go: results/STUDY of the repository, in `smoke` that of its outputs."""
    return (profile.outputs if profile.name == "smoke" else repo_root()) / "results" / study


def sweep(study: str, profile: Profile | str | None = None, seeds=studies.SEEDS) -> pd.DataFrame:
    """Train what is missing of a study; write runs.csv, curves.csv and pictures.jpg to `folder_of` it.

    Resumable: a finished run is found again, whichever study it was made for, and a broken one goes on.

    Returns:
        one row a run: factor, value, run, the fields of its `studies.StudyConfig`, what `measure` says of it (nothing where the
        loss became NaN), minutes and device. curves.csv has each run's PSNR and colorfulness by saturation.
    """
    profile = get_profile(profile)
    jobs, target = planned(study, profile, seeds), folder_of(study, profile)
    photos = prepare(dataclasses.replace(profile, size=SIZE))
    places = [run_folder(job, photos, profile) for _, _, job in jobs]
    rows, curves, spent = [], [], []
    for number, ((factor, value, job), place) in enumerate(zip(jobs, places, strict=True), 1):
        known, started = (place / "run.json").is_file(), time.time()
        print(f"[{number}/{len(jobs)}] {factor} = {value}, seed {job.seed}{', is there' * known}", flush=True)
        record = run(job, photos, place)
        if not known:
            spent.append(time.time() - started)
            minutes = np.mean(spent) / 60 * sum(not (place / "run.json").is_file() for place in places)
            print(f"  MAE {record['mae']:.4f}, gray {record['gray_mae']:.4f}; {minutes:.0f} min left for this study")
        curves += [{"run": place.name} | point for point in record.pop("curve", [])]
        shown = {name: record.pop(name, np.nan) for name in SHOWN}
        rows.append({"factor": factor, "value": value} | shown | {"run": place.name} | record)
    target.mkdir(parents=True, exist_ok=True)
    tables = {"runs.csv": pd.DataFrame(rows), "curves.csv": pd.DataFrame(curves)}
    for name, table in tables.items():
        save_atomic(lambda part, table=table: table.to_csv(part, index=False, float_format="%.6g"), target / name)
    settings = [f"{WORDS.get(factor, factor)} {value}".strip() for factor, value, _ in jobs]
    shown = {name: place for name, place, job in zip(settings, places, jobs, strict=True) if job[2].seed == seeds[0]}
    options = {"format": "jpeg", "dpi": 200, "pil_kwargs": {"quality": 85}}
    save_atomic(lambda part: pictures(shown).savefig(part, **options), target / "pictures.jpg")
    return tables["runs.csv"]


def run_folder(job: studies.StudyConfig, photos, profile):
    """Of a job on these photos: named by a hash of both."""
    name = hashlib.sha256(f"{job} {photos.hash}".encode()).hexdigest()[:10]
    return profile.outputs / "sweep" / name


def run(job: studies.StudyConfig, photos, folder) -> dict:
    """What is known of a job: read if it is finished, else trained now, going on where it was interrupted."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if (folder / "run.json").is_file():
            return json.loads((folder / "run.json").read_text())
        learn = studies.learner(job, photos)
        record = dataclasses.asdict(job) | training.hardware(get_device())
        record |= {"photos": min(job.photos, len(photos.train)), "valid": len(photos.valid), "px": photos.size}
        record |= {"mae": np.nan, "gray_mae": training.gray_loss(learn.dls.valid)}
        options = {"epochs": job.epochs, "lr": job.lr, "schedule": "linear_decay", "seed": job.seed}
        try:
            history = training.fit(learn, folder, **options)
            record |= measure(trained(folder), photos) | {"minutes": round(history["seconds"].sum() / 60, 2)}
        except TrainingDiverged as error:
            print(f"  diverged: {error}")
        write_json(record, folder / "run.json")
    for left in [*folder.glob("checkpoint-*.pt"), *folder.glob("[wd]*.safetensors")]:  # last.safetensors is enough
        left.unlink()
    return json.loads((folder / "run.json").read_text())


def trained(folder):
    """The network of a finished run."""
    return load_weights(unet(weights=None), folder / "last.safetensors").to(get_device()).eval()


def measure(model, photos) -> dict:
    """What a model does on the validation photos, as means over photos; `model` as in `evaluation.predictions`.

    `mae`, `rms`: mean and root-mean-square error of normalized ab. `structure`: the mae after averaging blocks of 1/8
    of the side, the large areas. `detail`: total variation of predicted ab over the truth's. `psnr` (dB) and
    `colorfulness` of the picture, `gray_psnr`, `colorfulness_ground_truth`. `curve`: mae, psnr, colorfulness by saturation.
    """
    parts = []
    for rgb, _, ab, answer in evaluation.predictions(model, photos, "valid", show=False):
        block = max(ab.shape[-1] // 8, 1)
        measures = {
            "rms": (answer - ab).square().mean((1, 2, 3)),
            "structure": metrics.mae_ab(F.avg_pool2d(answer, block), F.avg_pool2d(ab, block)),
            "detail": _variation(answer),
            "detail_truth": _variation(ab),
            "colorfulness_ground_truth": metrics.colorfulness(rgb),
        }
        parts.append(pd.DataFrame({name: values.double().cpu().numpy() for name, values in measures.items()}))
    means = pd.concat(parts).mean().to_dict()
    means["rms"] **= 0.5
    means["detail"] /= max(means.pop("detail_truth"), 1e-6)
    curve = evaluation.saturated(model, photos, "valid", show=False).groupby("saturation").mean().drop(columns="photo")
    means |= curve.loc[1].to_dict() | {"gray_psnr": float(curve.loc[0, "psnr"])}
    return means | {"curve": curve.reset_index().to_dict("records")}


def _variation(ab):
    """Mean absolute difference between neighboring pixels, of each photo."""
    return ab.diff(dim=2).abs().mean(dim=(1, 2, 3)) + ab.diff(dim=3).abs().mean(dim=(1, 2, 3))


def margin(seeds, *counts) -> float:
    """How far two means over so many runs differ by chance, in 95% of cases: Student's t times the standard error.

    `seeds`: values of one recipe with several seeds, whose standard deviation is taken to be everybody's.
    """
    spread = np.std(seeds, ddof=1) * sum(1 / count for count in counts) ** 0.5
    return float(student.ppf(0.975, len(seeds) - 1) * spread)


@figures.figure("Photographs of data/gallery: gray, colored by one run of each setting, and as they were.")
def pictures(places: dict):
    """A row a photograph, a column for each of `places`, setting -> folder of its run; none for one that diverged."""
    photographs = gallery_photos(200)
    columns = {name: trained(place) for name, place in places.items() if (place / "last.safetensors").is_file()}
    columns = {name: colorize_all(photographs, model, SIZE) for name, model in columns.items()}
    gray = colorize_all(photographs, evaluation.gray(), SIZE, 0)
    columns = {"gray": gray} | columns | {"truth": photographs}
    return figures.grid(zip(*columns.values(), strict=True), [name.replace(" ", "\n") for name in columns])
