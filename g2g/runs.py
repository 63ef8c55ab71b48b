"""The named runs of the course: found by recipe and photos, or trained, so that any notebook runs alone."""

import dataclasses
import hashlib
import json
import os
import platform
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from g2g import __version__
from g2g.files import locked, write_json
from g2g.flow import FlowUnet, residual_std
from g2g.models import EncoderDecoder, PatchGAN, load_weights, unet
from g2g.palette import PaletteUnet, class_weights, prior
from g2g.profiles import MODELS, PUBLISHED, TITLES, Profile, Recipe, cache_root, get_profile, get_recipe, repo_root

# `g2g.data`, `g2g.training` and pandas are slow to import, and coloring does without them: imported where needed

PREFERRED = ["palette", *reversed(MODELS)]  # for coloring a photo: the palette, then the later models first
LAST = ("unet_long", "cgan", "palette", "flow")  # whose validation L1 does not say which epoch looks best


@dataclass(frozen=True)
class Run:
    """A finished run: `record` is what its `run.json` says of recipe, photos, device and minutes.

    A published run lies in `results/NAME/MODEL`, without weights; they are in `results/weights`, in half precision.
    """

    folder: Path
    recipe: Recipe
    record: dict

    id = property(lambda self: self.record["run"])
    is_published = property(lambda self: self.folder.parents[1] == repo_root() / "results")

    @property
    def history(self) -> "pandas.DataFrame":  # noqa: F821
        """One row per epoch: train_loss, valid_loss, valid_colorfulness, lr, seconds; cGAN: d_loss, g_adv, g_l1."""
        import pandas as pd

        return pd.read_csv(self.folder / "history.csv")

    def model(self, which: str | None = None, device="cpu"):
        """The trained generator in eval mode. Raises FileNotFoundError where the weights are gone.

        `which` is `best` (lowest validation L1) or `last`; None takes what the course shows, and what is published:
        last for the models in `LAST` and where the last epochs were on whole photos, else best.
        """
        usual = "last" if self.recipe.model in LAST or self.recipe.frozen_epochs else "best"
        if self.is_published:
            path = pretrained_path(self.recipe.model if which in (None, usual) else f"{self.recipe.model}_{which}")
            return self._load(self._initial_model(), path, device, changes=self.recipe.init_from is not None)
        path = self.folder / {"best": "weights.safetensors", "last": "last.safetensors"}[which or usual]
        return self._load(build_model(self.recipe, self.record["size"]), path, device)

    def _initial_model(self):
        """What the published weights change: the model of the run that it starts from, or an untrained one."""
        if self.recipe.init_from is None:
            return build_model(self.recipe, self.record["size"])
        init_run = published().get(self.recipe.init_from)
        there, needed = init_run and init_run.id, self.record["init_run"]
        if there != needed:
            raise ValueError(f"{self.id} starts from {needed}, published is {there}: publish both anew")
        return _extend(init_run.model(), self.recipe)

    def discriminator(self, device="cpu"):
        """The trained PatchGAN of a cGAN run, in eval mode. Raises FileNotFoundError as `model` does."""
        path = pretrained_path("cgan_discriminator") if self.is_published else self.folder / "discriminator.safetensors"
        return self._load(PatchGAN(self.recipe.receptive_field), path, device)

    def _load(self, network, path, device, changes=False):
        if not path.is_file():
            raise FileNotFoundError(
                f"run {self.id} has no {path.name} in {path.parent}: it was not published, or it was deleted. To train "
                f"it again, delete it from outputs/, then call load_or_train({self.recipe.model!r}, pretrained=False)"
            )
        if _sha256(path) != self.record["weights_sha256"].get(path.name):
            raise ValueError(
                f"{path} is damaged, or of another run than {self.id}; in results/ restore it (git checkout), in "
                "outputs/ delete that run and train it again"
            )
        return load_weights(network, path, changes).to(device).eval()


def pretrained_path(name: str) -> Path:
    """Where the published weights of that name lie."""
    return repo_root() / "results" / "weights" / f"{name}.safetensors"


def _sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def build_model(recipe: Recipe, size: int, weights: str | None = None):
    """The generator of a recipe, for photos of `size` px; `weights`, of its encoder, as in `models.unet`."""
    if recipe.model == "cnn":
        return EncoderDecoder(recipe.width)
    return _extend(unet(recipe.resolution, recipe.encoder, weights, size), recipe)


def _extend(model, recipe):
    """A U-Net with what palette and flow put on top of it."""
    if recipe.model == "palette" or (recipe.init_from == "palette" and not isinstance(model, PaletteUnet)):
        model = PaletteUnet(model)
    return FlowUnet(model, recipe.width) if recipe.model == "flow" else model


def _portable(recipe):
    """`recipe` with a file of weights named by its contents, `sha256:...`: the same on every machine."""
    weights = recipe.weights
    if weights in (None, "imagenet") or weights.startswith("sha256:"):
        return recipe
    if not Path(weights).is_file():
        raise FileNotFoundError(f"no weights at {weights}; give the path of a file, 'imagenet' or None (G2G_WEIGHTS)")
    return dataclasses.replace(recipe, weights=f"sha256:{_sha256(weights)}")


def run_id(recipe: Recipe, photos_hash: str, init_id: str | None = None) -> str:
    """`model-` and 10 hex digits of the recipe's fields that differ from their defaults, photos and initial run."""
    values = dataclasses.asdict(_portable(recipe))
    changed = {f.name: values[f.name] for f in dataclasses.fields(recipe) if values[f.name] != f.default}
    text = json.dumps([changed, photos_hash, init_id], sort_keys=True)
    return f"{recipe.model}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def read_run(folder: Path) -> Run | None:
    """The finished run in `outputs/PROFILE/runs/ID`, say; None without one, ValueError for a damaged record."""
    try:
        record = json.loads((folder / "run.json").read_text())
        if not 0 < record["size"] < 10_000:
            raise ValueError(f"a size of {record['size']} px")
        return Run(folder, Recipe(**record["recipe"]), record)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / 'run.json'} is damaged, or of an earlier version of the course ({error}); delete that folder "
            "and train again"
        ) from error


def find_run(recipe: Recipe, photos, profile: Profile, init_run: Run | None = None) -> Run | None:
    """The finished run of exactly this recipe on exactly these photos, else the published one, None without either.

    A recipe that starts from another model is found for `init_run`, by default the table's run of that model.
    """
    if recipe.init_from and init_run is None:
        init_run = find_run(get_recipe(recipe.init_from, profile), photos, profile)
        if init_run is None:
            return None
    name = run_id(recipe, photos.hash, init_run and init_run.id)
    return read_run(profile.outputs / "runs" / name) or _find_published(name)


def published() -> dict[str, Run]:
    """The runs whose numbers the course publishes, by model: history and record from `results/`, without weights."""
    for name in PUBLISHED:
        found = {model: read_run(repo_root() / "results" / name / model) for model in MODELS}
        found = {model: run for model, run in found.items() if run}
        if found:
            return found
    return {}


def published_score(run: Run) -> str:
    """One line on a run of `published`: its test MAE and gray's with their 95% intervals, and the report's MAE."""
    import pandas as pd

    table = pd.read_csv(run.folder.parent / "table1.csv").set_index("row")
    scored, gray = table.loc[run.recipe.model], table.loc["gray"]
    values = [f"{row.mae:.4f} [{row.mae_low:.4f}, {row.mae_high:.4f}]" for row in (scored, gray)]
    sentence = f"test MAE {values[0]}, gray {values[1]}, on {gray.photos:,} photos"
    if pd.isna(scored.reported_mae):
        return sentence
    return f"{sentence}; the report, on its own photos: {scored.reported_mae:.4f}"


def pretrained_models() -> list[str]:
    """The models whose trained weights came with the clone: the palette, then the later models first."""
    there = [model for model in published() if pretrained_path(model).is_file()]
    return sorted(there, key=PREFERRED.index)


def _find_published(run: str) -> Run | None:
    """The published run of this id, if its weights are there."""
    runs = published()
    return next((runs[model] for model in pretrained_models() if runs[model].id == run), None)


def pretrained_model(name: str | None = None) -> tuple[torch.nn.Module, int, str]:
    """A pretrained generator, by default the first one, its photos' size in px, and a sentence on what it is.

    Raises ValueError naming the models that are there.
    """
    models = pretrained_models()
    if not models or name not in (None, *models):
        raise ValueError(f"no model {name!r} in results/weights; there are: {', '.join(models) or 'none'}")
    run = published()[name or models[0]]
    model, size = run.recipe.model, run.record["size"]
    trained = f"trained on {run.record['train']:,} photos at {size} px"
    return run.model(), size, f"{TITLES[model]}, {trained} (results/weights/{model}.md)"


def learner(recipe: Recipe, photos, init_run: Run | None = None):
    """The `g2g.training.LossLearner` or `GANLearner` of a recipe, seeded, on the GPU if there is one."""
    from g2g import training
    from g2g.data import dataloaders

    torch.manual_seed(recipe.seed)
    augmentation = {name: getattr(recipe, name) for name in ("min_crop_side", "sharpen", "steps_per_epoch")}
    dls = dataloaders(photos, recipe.batch_size, recipe.seed, **augmentation)
    if init_run:
        model = _extend(init_run.model(), recipe)
    else:
        model = build_model(recipe, photos.size, recipe.weights)
    if recipe.model == "palette":
        model.class_weights = class_weights(prior(photos.train), recipe.uniform)
    if recipe.model == "flow":
        model.residual_std = residual_std(model.to(dls.device), photos.train[:512])
    if recipe.model == "cgan":
        return training.GANLearner(dls, model, PatchGAN(recipe.receptive_field), recipe)
    return training.LossLearner(dls, model, recipe)


def load_or_train(
    model: str,
    profile: Profile | str | None = None,
    *,
    recipe: Recipe | None = None,
    photos=None,
    init_run: Run | None = None,
    pretrained=True,
) -> Run:
    """The finished run of `model`, from disk if it is there, else the pretrained one, else trained now.

    An edited recipe is a run of its own. An interrupted run goes on from its last whole epoch. While it trains, it lies
    in the cache (`G2G_CACHE`); the finished run moves to the profile's outputs.

    Args:
        recipe, photos: by default the table's, and the profile's `g2g.data.Photos`.
        init_run: the run that the recipe starts from; by default the table's, trained if need be.
        pretrained: whether the weights of `results/weights` will do, also for `init_run`; they are in half precision.

    Raises ValueError for an unknown model, or a recipe of another one, and what `g2g.training.fit` raises.
    """
    from g2g.data import prepare

    profile = get_profile(profile)
    recipe = recipe or get_recipe(model, profile)
    if recipe.model != model:
        raise ValueError(f"the recipe is one of {recipe.model!r}, not of {model!r}")
    photos = photos or prepare(profile)
    if recipe.init_from and init_run is None:
        init_run = load_or_train(recipe.init_from, profile, photos=photos, pretrained=pretrained)
    folder = profile.outputs / "runs" / run_id(recipe, photos.hash, init_run and init_run.id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder):  # a second process waits here, then finds the first one's run
        run = read_run(folder) or (_find_published(folder.name) if pretrained else None)
        if run is None:
            return _train(recipe, photos, profile, init_run, folder)
    how = "came with the clone, in half precision" if run.is_published else "is there"
    print(f"{TITLES[model]}: run {run.id} {how}, {run.record['minutes']:.1f} min on {run.record['device']}")
    return run


def _train(recipe, photos, profile, init_run, folder):
    from g2g import training

    epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    where = f"on {len(photos.train):,} photos at {photos.size} px; after a few steps it says how long this will take"
    print(f"{TITLES[recipe.model]}: training {epochs} {where}", flush=True)
    learn = learner(recipe, photos, init_run)
    work = cache_root() / "training" / folder.name  # on Drive, every checkpoint of every epoch would be kept
    history = training.fit(learn, work)
    seconds = history["seconds"].sum()
    record = training.hardware(learn.dls.device) | {
        "run": folder.name,
        "recipe": dataclasses.asdict(_portable(recipe)),
        "init_run": init_run and init_run.id,
        "profile": profile.name,
        "size": photos.size,
        "photos_hash": photos.hash,
        "train": len(photos.train),
        "valid": len(photos.valid),
        "best_valid_loss": float(history["valid_loss"].min()),
        "gray_valid_loss": training.gray_loss(learn.dls.valid),
        "weights_sha256": {path.name: _sha256(path) for path in sorted(work.glob("*.safetensors"))},
        "minutes": round(seconds / 60, 2),
        "photos_per_second": round(learn.dls.train.n * len(history) / seconds, 1),
        "versions": {name: version(name) for name in ("torch", "torchvision", "fastai")}
        | {"g2g": __version__, "python": platform.python_version()},
        "finished": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }
    write_json(record, work / "run.json")
    for checkpoint in work.glob("checkpoint-*.pt"):
        checkpoint.unlink()
    part = folder.with_suffix(".tmp")
    shutil.rmtree(part, ignore_errors=True)
    shutil.move(work, part)  # from one disk to another it may take a while
    os.replace(part, folder)
    return read_run(folder)
