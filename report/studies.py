"""The studies of notebooks 08 and 10: one recipe, one thing changed at a time, trained, measured, written down."""

import hashlib
import time
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
import torch
from scipy.stats import t as student

from g2g import evaluation, figures, lab, metrics
from g2g.colorize import colorize_all
from g2g.data import Photos, prepare
from g2g.files import save_atomic
from g2g.photos import gallery_photos
from g2g.profiles import Profile, Recipe, get_profile, repo_root
from g2g.runs import Run, load_or_train
from g2g.training import TrainingDiverged, get_device
from report.tables import as_csv, write_texts

SIZE = 64  # px
PHOTOS = EPOCH = 2000  # photos to train on, and photos in an epoch, however many there are
SEEDS = (42, 43, 44)
# What a table begins with
SHOWN = ["seed", "mae", "gray_mae", "psnr", "gray_psnr", "lpips", "gray_lpips", "colorfulness", "minutes", "device"]

PLAIN = Recipe(
    "unet",
    epochs=5,
    steps_per_epoch=EPOCH // 32,
    lr=1e-3,
    schedule="linear_decay",
    beta1=0.5,
    weight_decay=0.05,
    ema_decay=0.99,
    min_crop_side=0.6,
    resolution="quarter",
    encoder="efficientnet_lite0",
    weights="imagenet",
    encoder_lr_mult=0.3,
)
# The one recipe: the quarter U-Net with pix2pix's loss; D judges at its resolution, a quarter of the photo's
ADVERSARIAL = replace(PLAIN, model="cgan", lambda_l1=30, receptive_field=16, d_lr_mult=0.2, r1=1)
# Of N errors e, the gradient of L1 is 1/√N long, that of MSE 2·RMS(e)/√N; and RMS(e) is near 1/8. So MSE is weighted
# four times as much beside the adversary, to pull as hard.
LOSSES = {
    "L1": PLAIN,
    "MSE": replace(PLAIN, loss="mse"),
    "Huber": replace(PLAIN, loss="huber"),
    "L1 + adversary": ADVERSARIAL,
    "MSE + adversary": replace(ADVERSARIAL, loss="mse", lambda_l1=4 * ADVERSARIAL.lambda_l1),
    "perceptual": replace(PLAIN, loss="perceptual"),
    "feature matching": replace(ADVERSARIAL, loss="feature_matching", adversarial=0),
}
AUGMENTATIONS = {"flips": {"min_crop_side": 1.0}, "all": {"min_crop_side": 0.6, "jitter": 0.2}}
COUNTS = (250, 1000, 2500, 8000)
CHANGES = {
    "lr": (1e-4, 1e-2),
    "lambda_l1": (10.0, 100.0, 1000.0),
    "receptive_field": (1, 34),
    "beta1": (0.0, 0.9),
    "batch_size": (8, 128),
}


@dataclass(frozen=True)
class Training:
    """One training of a study: `factor` has this `value`, all else is as in the study's one recipe."""

    factor: str
    value: str | float
    recipe: Recipe
    photos: int = PHOTOS


def losses(seeds=SEEDS) -> list[Training]:
    """Every loss with every seed."""
    return [Training("loss", name, replace(recipe, seed=seed)) for seed in seeds for name, recipe in LOSSES.items()]


def photos(seeds=SEEDS) -> list[Training]:
    """Four numbers of photos with flips alone and with all augmentation, as many steps each, and every seed."""
    return [
        Training(name, count, replace(PLAIN, epochs=3, seed=seed, **changes), count)
        for seed, count, (name, changes) in product(seeds, COUNTS, AUGMENTATIONS.items())
    ]


def parameters(seeds=SEEDS) -> list[Training]:
    """The one recipe with every seed, then every change, each by itself, with the first."""
    trainings = [Training("seed", seed, replace(ADVERSARIAL, seed=seed)) for seed in seeds]
    for factor, values in CHANGES.items():
        for value in values:
            steps = EPOCH // (value if factor == "batch_size" else 32)  # as many photos in an epoch
            recipe = replace(ADVERSARIAL, seed=seeds[0], steps_per_epoch=steps, **{factor: value})
            trainings.append(Training(factor, value, recipe))
    return trainings


STUDIES = {"losses": losses, "photos": photos, "parameters": parameters}


def planned(study: str, profile: Profile, seeds=SEEDS) -> list[Training]:
    """The trainings of a study, in `smoke` of one step each."""
    trainings = STUDIES[study](seeds)
    if profile.name != "smoke":
        return trainings
    short = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 8}
    return [replace(training, recipe=replace(training.recipe, **short)) for training in trainings]


@dataclass(frozen=True, eq=False)
class Subset(Photos):
    """Photos of which only some are trained on: `chosen` are their numbers, one may occur many times."""

    chosen: np.ndarray

    def _rows(self, split):
        rows = super()._rows(split)
        return rows.iloc[self.chosen] if split == "train" else rows

    def _open(self, split):
        pixels = super()._open(split)
        return pixels[self.chosen] if split == "train" else pixels


def subset(photos: Photos, n: int, seed: int, at_least: int = 0) -> Photos:
    """`n` training photos, drawn by seed, over and over until there are `at_least`; `hash` tells them apart."""
    chosen = np.random.default_rng(seed).permutation(len(photos.train))[:n]
    chosen = np.resize(chosen, max(len(chosen), at_least))
    digest = hashlib.sha256(f"{photos.hash} {chosen.tolist()}".encode()).hexdigest()[:16]
    return Subset(photos.folder, photos.size, photos.manifest, digest, chosen)


def train(training: Training, photos: Photos, profile: Profile) -> Run:
    """The run of a training, from disk or trained now. Raises `TrainingDiverged` where the loss becomes NaN."""
    recipe = training.recipe
    chosen = subset(photos, training.photos, recipe.seed, recipe.batch_size * recipe.steps_per_epoch)
    return load_or_train(recipe.model, profile, recipe=recipe, photos=chosen)


def run_study(study: str, profile: Profile | str | None = None, seeds=SEEDS) -> pd.DataFrame:
    """Train what is missing of a study; write runs.csv, curves.csv and pictures.jpg to results/STUDY.

    In `smoke` that lies in its outputs. Resumable: a finished run is found again, whichever study it was made for, and
    a broken one goes on.

    Returns one row a run: factor, value, run, the fields of its recipe, what `measure` says of it (nothing where the
    loss became NaN), minutes and device. curves.csv has MAE, PSNR and colorfulness of each run by saturation.
    """
    profile = get_profile(profile)
    trainings = planned(study, profile, seeds)
    target = (profile.outputs if profile.name == "smoke" else repo_root()) / "results" / study
    photos = prepare(replace(profile, size=SIZE))
    lpips = metrics.LPIPS(get_device())
    gray = {f"gray_{name}": value for name, value in measure(evaluation.gray(), photos, lpips)[0].items()}
    counts = {"valid": len(photos.valid), "px": SIZE}
    rows, curves, shown, started = [], [], {}, time.time()
    for number, training in enumerate(trainings, 1):
        recipe, setting = training.recipe, f"{training.factor} {training.value}"
        print(f"[{number}/{len(trainings)}] {setting}, seed {recipe.seed}", flush=True)
        row = {"factor": training.factor, "value": training.value} | dict.fromkeys(SHOWN, np.nan)
        row |= asdict(recipe) | {name: gray[name] for name in SHOWN if name in gray}
        row |= {"photos": min(training.photos, len(photos.train))} | counts
        rows.append(row)
        try:
            run = train(training, photos, profile)
        except TrainingDiverged as error:
            print(f"  diverged: {error}")
            continue
        means, curve = measure(run.model("last", get_device()), photos, lpips)
        row |= means | {name: run.record[name] for name in ("run", "minutes", "device", "precision", "threads")}
        curves.append(curve.assign(run=run.id))
        if recipe.seed == seeds[0]:
            shown[setting] = run
        minutes = (time.time() - started) / 60 / number * (len(trainings) - number)
        print(f"  MAE {row['mae']:.4f}, gray {row['gray_mae']:.4f}; at this pace {minutes:.0f} min left for this study")
    table = pd.DataFrame(rows)
    write_texts({"runs.csv": as_csv(table), "curves.csv": as_csv(pd.concat(curves))}, target)
    options = {"format": "jpeg", "dpi": 200, "pil_kwargs": {"quality": 85}}
    save_atomic(lambda part: pictures(shown).savefig(part, **options), target / "pictures.jpg")
    return table


def measure(model, photos, lpips=None) -> tuple[dict, pd.DataFrame]:
    """What a model does on the validation photos, as means over photos, and its means by saturation.

    `mae`, `rms`: mean and root-mean-square error of normalized ab. `structure`: the mae after averaging blocks of 1/8
    of the side, the large areas. `detail`: total variation of predicted ab over that of the ground truth. `psnr` (dB),
    `lpips` and `colorfulness` of the picture, `colorfulness_ground_truth`.
    """
    predicted = evaluation.predict_photos(model, photos, "valid", show=False)
    _, ab = lab.photos_to_lab(np.array(photos.valid))
    areas = torch.nn.AvgPool2d(max(photos.size // 8, 1))
    means = {
        "rms": (predicted - ab).square().mean().sqrt().item(),
        "structure": (areas(predicted) - areas(ab)).abs().mean().item(),
        "detail": variation(predicted) / max(variation(ab), 1e-6),
    }
    scores = evaluation.score(predicted, photos, "valid", lpips=lpips, show=False)
    means |= scores[["mae", "psnr", "lpips", "colorfulness", "colorfulness_ground_truth"]].mean().to_dict()
    curve = evaluation.saturated(predicted, photos, "valid", show=False).groupby("saturation").mean()
    return means, curve.drop(columns="lpips").reset_index()


def variation(ab) -> float:
    """Mean absolute difference between neighboring pixels."""
    return (ab.diff(dim=2).abs().mean() + ab.diff(dim=3).abs().mean()).item()


def margin(seeds, *counts) -> float:
    """How far two means over so many runs differ by chance, in 95% of cases: Student's t times the standard error.

    `seeds`: values of one recipe with several seeds, whose standard deviation is taken to be everybody's.
    """
    spread = np.std(seeds, ddof=1) * sum(1 / count for count in counts) ** 0.5
    return float(student.ppf(0.975, len(seeds) - 1) * spread)


def pictures(runs: dict[str, Run]):
    """Photographs of data/gallery, a row each: gray, colored by each of `runs`, setting -> run, and as they were."""
    photographs = gallery_photos(200)
    models = {"gray": evaluation.gray()} | {name: run.model("last", get_device()) for name, run in runs.items()}
    columns = {name: colorize_all(photographs, model, SIZE) for name, model in models.items()}
    columns["ground_truth"] = photographs
    return figures.qualitative_grid({figures.title(name).replace(" ", "\n"): x for name, x in columns.items()})
