"""One pipeline: every model predicts every photo once, each prediction is scored once, and all pages read from that."""

import dataclasses
import functools
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from g2g import evaluation, lab, metrics
from g2g.colorize import colorize_all
from g2g.data import Photos, prepare
from g2g.files import progress
from g2g.models import Mirrored, predict
from g2g.profiles import TITLES, Profile, cache_root, get_profile, get_recipe
from g2g.runs import Run, find_run
from g2g.training import get_device
from report import tables
from report.figures import count_colors

VERSION = 1  # raise it when the same predictions would give other numbers
PIXELS = 2**20  # of a block of photos, 64 of 128 px: LPIPS keeps 0.5 GB of features of them
LPIPS_SATURATIONS, LPIPS_PHOTOS = (0, 0.5, 1, 1.5, 2, 2.5), 256  # of the curves, for the cost of LPIPS
REPORT_SIZE, REPORT_PHOTOS = 256, 500  # px of the report's photos, and how many of the test photos are scored at it
PARAMETERS = list(product((1, 0.75, 0.5, 0.25, 0), (0.2, 0.38, 0.6, 1)))  # of the palette: rebalancing, temperature


@dataclass(frozen=True, eq=False)
class Scored:
    """What is known of the models on one set of test photos; each dict is by row of the table."""

    photos: Photos
    scores: dict[str, pd.DataFrame]  # of `evaluation.score`, and `psnr_gain_matched`
    colors: dict[str, np.ndarray]  # of `report.figures.count_colors`; "ground_truth" too
    tables: dict[str, pd.DataFrame]  # name of the csv -> table: table1, frontier, frontier_lpips, palette
    notes: list[str]  # for below table 1


@dataclass(frozen=True, eq=False)
class Measured:
    """A profile, its runs by model, and what was measured of them on its test photos and on those of another origin."""

    profile: Profile
    runs: dict[str, Run]
    models: dict  # row -> (id, function that loads the model)
    test: Scored
    external: Scored | None

    def write(self, folder: Path) -> str:
        """`tables.write_scored` of both sets, of the external one into a folder of its own; returns both tables 1."""
        text = tables.write_scored(self.test, folder)
        if self.external:
            text += "\n" + tables.write_scored(self.external, folder / "external_test_set")
        return text


def measure(profile: Profile | str | None = None, external_test_set=None, runs=None) -> Measured:
    """Measure the baselines and the runs of a profile; nothing is trained.

    Resumable: photos are measured in blocks, and a block that was measured for the same run and photos is read from
    the cache (`G2G_CACHE`). `external_test_set` is a folder of photos of another origin. `runs` are by model, by
    default the finished ones of the profile's recipes on its photos. ValueError where a photo of the external test set
    was trained on.
    """
    profile = get_profile(profile)
    photos = prepare(profile)
    others = _external(external_test_set, photos, profile) if external_test_set else None
    if runs is None:
        found = {model: find_run(get_recipe(model, profile), photos, profile) for model in profile.models}
        runs = {model: run for model, run in found.items() if run}
    constant = evaluation.best_constant(photos)
    models = {"gray": ("gray", evaluation.gray), "constant": (str(constant), lambda: evaluation.constant(constant))}
    for model, run in runs.items():
        name = f"{run.id}{', published' * run.is_published}"  # in half precision
        models[model] = (name, functools.cache(functools.partial(run.model, device=get_device())))
    if "unet" in models:
        name, load = models["unet"]
        models["unet_mirrored"] = (f"{name}, mirrored", lambda: Mirrored(load()))
    notes = [f"Profile {profile.name}: {profile.purpose}.", f"Runs: {', '.join(run.id for run in runs.values())}."]
    missing = [TITLES[model] for model in profile.models if model not in runs]
    if missing:
        notes.append(f"Without a row: {', '.join(missing)}.")
    test, external = score_models(models, profile, notes), None
    if others:
        external = score_models(models, others, [f"The external test set: {others.data_dir.name}.", *notes[1:]])
    return Measured(profile, runs, models, test, external)


def _external(folder, photos, profile):
    """The profile of the photos in a folder, all of them to test."""
    others = dataclasses.replace(profile, source="test_folder", data_dir=Path(folder))
    manifest = prepare(others).manifest
    trained = set(photos.manifest.loc[photos.manifest["split"] != "test", "sha256"])
    known = manifest.loc[manifest["sha256"].isin(trained), "file"]
    if len(known):
        raise ValueError(f"{len(known)} photos of {folder} were trained on, such as {known.iloc[0]}: leave them out")
    return others


class Block:
    """Some photos and what all models share on them: their planes and LPIPS's features.

    `pixels`: the photos as they are scored, uint8 (N,S,S,3). `inputs`: the same at the size of the training photos, of
    which color is predicted.
    """

    def __init__(self, pixels, inputs):
        self.pixels, self.inputs = np.array(pixels), np.array(inputs)
        self.known = {}  # digest of pictures -> their LPIPS

    @functools.cached_property
    def planes(self):
        """(rgb, L, ab) as in `evaluation.predictions`."""
        pixels = torch.from_numpy(self.pixels).to(get_device())
        return pixels.permute(0, 3, 1, 2).float() / 255, *lab.photos_to_lab(pixels)

    def predict(self, model):
        """ab (N,2,S,S), predicted on `inputs`."""
        L, _ = lab.photos_to_lab(torch.from_numpy(self.inputs).to(get_device()))
        return self.resized(predict(model, L))

    def resized(self, ab):
        """`ab` (N,2,h,w) at the size of the photos as they are scored."""
        size = self.pixels.shape[1]
        if ab.shape[-1] == size:
            return ab
        return F.interpolate(ab, size=(size, size), mode="bilinear", antialias=True)

    @functools.cached_property
    def features(self):
        """VGG-16's features of the ground truth, 8 photos at a time."""
        return [load_lpips().features(rgb) for rgb in self.planes[0].split(8)]

    def lpips(self, pred_rgb, _=None):
        """LPIPS (N,) of pictures against the ground truth; of pictures met before, gray ones say, it is remembered."""
        digest = joblib.hash(pred_rgb.cpu().numpy())
        if digest not in self.known:
            judge, pairs = load_lpips(), zip(pred_rgb.split(8), self.features, strict=True)
            self.known[digest] = torch.cat([judge.distance(judge.features(x), y) for x, y in pairs]).cpu()
        return self.known[digest]


@functools.cache
def load_lpips() -> metrics.LPIPS:
    """LPIPS on the GPU if there is one."""
    return metrics.LPIPS(get_device())


def in_blocks(function, models: dict, profile: Profile, size: int | None, most=None) -> tuple[Photos, dict[str, list]]:
    """The test photos of a profile at `size` px, and row -> what `function` returns for each block of them.

    What it returned before is remembered. `models`: row -> (id, function that loads the model). `size` None is that of
    the training photos; `most` photos, the first ones, are looked at, by default all.
    """
    inputs = photos = prepare(profile)
    if size not in (None, profile.size):
        photos = prepare(dataclasses.replace(profile, size=size, n_train=0))
    compute = joblib.Memory(cache_root() / "scores", verbose=0).cache(function, ignore=["load", "block"])
    count = len(photos.files("test")[:most])
    edges = [*range(0, count, max(8, PIXELS // photos.size**2)), count]
    results = {row: [] for row in models}
    with progress(count * len(models), f"scores at {photos.size} px", "predictions") as bar:
        for start, stop in pairwise(edges):
            block = Block(photos.test[start:stop], inputs.test[start:stop])
            for row, (name, load) in models.items():
                with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
                    results[row].append(compute(name, photos.hash, (start, stop), VERSION, load, block))
                bar.update(stop - start)
    return photos, results


def _measure_block(name, photos_hash, numbers, version, load, block) -> dict:
    """All that is ever asked of one model on one block, from one prediction."""
    model, (rgb, L, ab) = load(), block.planes
    pred_ab = block.predict(model)
    found = {
        "scores": evaluation.measures(rgb, L, ab, pred_ab, block.lpips),
        "curve": evaluation.by_saturation(rgb, L, ab, pred_ab),
        "colors": count_colors(pred_ab),
        "ground_truth": count_colors(ab),
    }
    if numbers[0] < LPIPS_PHOTOS:
        found["lpips_curve"] = evaluation.by_saturation(rgb, L, ab, pred_ab, LPIPS_SATURATIONS, block.lpips)
    if hasattr(model, "rebalancing"):
        found["palette"] = _palette_points(model, block)
    return found


@torch.no_grad()
def _palette_points(model, block):
    """`by_saturation` of a palette's predictions for every pair of `PARAMETERS`, painted from the same logits."""
    (rgb, L, ab), (inputs, _) = block.planes, lab.photos_to_lab(torch.from_numpy(block.inputs).to(get_device()))
    before, logits, parts = (model.rebalancing, model.temperature), model.logits(inputs), []
    for rebalancing, temperature in PARAMETERS:
        model.rebalancing, model.temperature = rebalancing, temperature
        pred_ab = block.resized(model.paint(logits, inputs.shape[2:]))
        points = evaluation.by_saturation(rgb, L, ab, pred_ab, (0.75, 1, 1.5, 2, 3))
        parts.append(points.assign(rebalancing=rebalancing, temperature=temperature))
    model.rebalancing, model.temperature = before
    return pd.concat(parts)


def score_models(models: dict, profile: Profile, notes: list[str]) -> Scored:
    """All models, row -> (id, function that loads the model), on the test photos of a profile."""
    photos, blocks = in_blocks(_measure_block, models, profile, profile.score_size)

    def joined(row, what):
        return pd.concat([block[what] for block in blocks[row] if what in block], ignore_index=True)

    names = pd.DataFrame({"file": photos.files("test"), "near_gray": photos.near_gray("test")})
    scores = {row: names.join(joined(row, "scores")) for row in models}
    curves = {row: joined(row, "curve") for row in models}
    lpips_curves = {row: joined(row, "lpips_curve") for row in models}
    colors = {"ground_truth": sum(block["ground_truth"] for block in blocks["gray"])}
    colors |= {row: sum(block["colors"] for block in blocks[row]) for row in models}
    found = {"frontier": tables.frontier(scores, curves), "frontier_lpips": tables.mean_curves(lpips_curves, "lpips")}
    found["table1"] = tables.table1(scores)
    if {"palette", "unet"} <= set(models):
        points = joined("palette", "palette")
        found["palette"] = tables.palette_parameters(points, scores["gray"], curves["unet"])
    compared = tables.equally_colorful(scores, curves) + tables.equally_colorful(scores, lpips_curves, "lpips")
    return Scored(photos, scores, colors, found, notes + compared)


def measure_at_report_size(measured: Measured) -> pd.DataFrame:
    """MAE and LPIPS at the report's 256 px beside the report's, on the first 500 test photos, a row a model.

    The photos are the same ones, prepared at 256 px. Color is predicted as `g2g.colorize` does it, on as many pixels as
    in training, and lightness stays that of the photo; both measures are of that picture.
    """
    models = {row: model for row, model in measured.models.items() if row != "unet_mirrored"}  # as all are, here
    _, blocks = in_blocks(_measure_picture, models, measured.profile, REPORT_SIZE, REPORT_PHOTOS)
    return tables.with_intervals({row: pd.concat(parts, ignore_index=True) for row, parts in blocks.items()})


def _measure_picture(name, photos_hash, numbers, version, load, block) -> pd.DataFrame:
    _, _, ab = block.planes
    colored = colorize_all(block.pixels, load(), block.inputs.shape[1])
    pred_rgb, _, pred_ab = Block(colored, block.inputs).planes
    measures = {"mae": metrics.mae_ab(pred_ab, ab).cpu(), "lpips": block.lpips(pred_rgb)}
    return pd.DataFrame({name: values.double().numpy() for name, values in measures.items()})
