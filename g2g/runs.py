"""The named runs of the course: found by recipe and photos, or trained, so that any notebook runs alone."""

import dataclasses
import hashlib
import json
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from g2g import __version__, training
from g2g.checkpoints import AverageWeights
from g2g.data import Photos, dataloaders, prepare
from g2g.files import locked, write_json
from g2g.flow import FlowUnet, spread
from g2g.models import EncoderDecoder, PatchGAN, load_weights, unet
from g2g.palette import DEFAULT_REBALANCING, PaletteUnet, class_weights, prior
from g2g.profiles import MODELS, PUBLISHED, TITLES, Profile, Recipe, get_profile, get_recipe, repo_root

PREFERRED = ["palette", *reversed(MODELS)]  # for coloring a photo: the palette, then the later stages first


@dataclass(frozen=True)
class Run:
    """A finished run on disk: `record` is what its `run.json` says of recipe, photos, device and minutes."""

    folder: Path
    recipe: Recipe
    record: dict
    pretrained: Path | None = None  # its card in results/weights, beside its networks in half precision

    id = property(lambda self: self.record["run"])

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch: train_loss, valid_loss, valid_colorfulness, lr, seconds; cGAN: d_loss, g_adv, g_l1."""
        return pd.read_csv(self.folder / "history.csv")

    def model(self, which: str | None = None, device="cpu") -> torch.nn.Module:
        """The trained generator in eval mode. Raises FileNotFoundError where the weights are gone.

        `which` is `best` (lowest validation L1) or `last`; None takes last for the cGAN, the palette and the
        flow, whose validation L1 does not say which epoch looks best, and for the control `unet_long`; else best.
        """
        usual = "last" if self.recipe.model in ("unet_long", "cgan", "palette", "flow") else "best"
        if self.pretrained and which in (None, usual):
            return _pretrained_generator(self.pretrained).to(device)
        files = {"best": self.folder / "weights.safetensors", "last": self.folder / "last.safetensors"}
        return self._trained(_model(self.recipe, self.record["size"], weights=None), files[which or usual], device)

    def discriminator(self, device="cpu") -> torch.nn.Module:
        """The trained PatchGAN of a cGAN run, in eval mode. Raises FileNotFoundError as `model` does."""
        network = PatchGAN(self.recipe.receptive_field)
        if self.pretrained:
            path = self.pretrained.with_name(f"{self.pretrained.stem}_discriminator.safetensors")
        else:
            path = self.folder / "discriminator.safetensors"
        return self._trained(network, path, device)

    def _trained(self, network, path, device):
        if not path.is_file():
            raise FileNotFoundError(
                f"run {self.id} has no {path.name} in {path.parent}: results/ keeps none, or it was deleted. "
                f"To train it again, delete it from outputs/, then call load_or_train({self.recipe.model!r}, pretrained=False)"
            )
        _check_digest(path, self.record)
        return load_weights(network, path).to(device).eval()


def _digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _check_digest(path, record):
    expected = record.get("weights_sha256", {}).get(path.name)  # runs of an earlier version have none
    if expected and _digest(path) != expected:
        raise ValueError(
            f"{path} is damaged, or of another run than its record; in results/ restore it (git checkout), in outputs/ "
            "delete that run and train it again"
        )


def _model(recipe, size, weights):
    if recipe.model == "cnn":
        return EncoderDecoder(recipe.width)
    model = unet(recipe.resolution, recipe.encoder, weights, size)
    return _extended(model, recipe)


def _extended(model, recipe):
    """A U-Net, or what the later stages put on top of it."""
    if recipe.model == "palette" or (recipe.init_from == "palette" and not isinstance(model, PaletteUnet)):
        model = PaletteUnet(model)
    return FlowUnet(model, recipe.width) if recipe.model == "flow" else model


def _portable(recipe: Recipe) -> Recipe:
    """`recipe` with a file of weights named by its contents, `sha256:...`: the same on every machine."""
    weights = recipe.weights
    if weights in (None, "imagenet") or str(weights).startswith("sha256:"):
        return recipe
    if not Path(weights).is_file():
        raise FileNotFoundError(f"no weights at {weights}; give the path of a file, 'imagenet' or None (G2G_WEIGHTS)")
    return dataclasses.replace(recipe, weights=f"sha256:{_digest(weights)}")


def run_id(recipe: Recipe, photos_hash: str, start_id: str | None = None) -> str:
    """`stage-` and 10 hex digits of the recipe's fields that differ from their defaults, the photos and the start."""
    values = dataclasses.asdict(_portable(recipe))
    changed = {f.name: values[f.name] for f in dataclasses.fields(recipe) if values[f.name] != f.default}
    text = json.dumps([changed, photos_hash, start_id], sort_keys=True)
    return f"{recipe.model}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _load(folder: Path) -> Run | None:
    try:
        record = json.loads((folder / "run.json").read_text())
        if not 0 < record["size"] < 10_000:
            raise ValueError(f"a size of {record['size']} px")
        return Run(folder, Recipe(**record["recipe"]), record)
    except FileNotFoundError:
        return None  # not finished: run.json is written last
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'run.json'} is damaged ({error}); delete that folder and train again") from error


def _finished(profile):
    found = {}
    for path in sorted(profile.outputs.glob("runs/*/run.json")):
        try:
            found[path.parent.name] = _load(path.parent)
        except ValueError as error:
            print(f"left out: {error}")
    return found


def find_run(recipe: Recipe, photos: Photos, profile: Profile, start: Run | None = None) -> Run | None:
    """The finished run of exactly this recipe on exactly these photos, else the shipped one, None if there is none.

    A recipe that starts from another stage is found for `start`, by default the table's run of that stage.
    """
    if recipe.init_from and start is None:
        start = find_run(get_recipe(recipe.init_from, profile), photos, profile)
        if start is None:
            return None
    name = run_id(recipe, photos.hash, start and start.id)
    return _load(profile.outputs / "runs" / name) or _find_pretrained(name)


def list_runs(profile: Profile | str | None = None) -> pd.DataFrame:
    """The finished runs of a profile, one row each: run, stage, epochs, lr, seed, photos, best valid_loss, minutes."""
    columns = ["run", "model", "epochs", "lr", "seed", "photos", "valid_loss", "minutes"]
    rows = [run.record | run.record["recipe"] for run in _finished(get_profile(profile)).values()]
    table = pd.DataFrame(rows).rename(columns={"photos_hash": "photos", "best_valid_loss": "valid_loss"})
    return table.reindex(columns=columns)


def load_run(run: str, profile: Profile | str | None = None) -> Run:
    """The finished run called `run` (as `list_runs` lists it). Raises FileNotFoundError naming those that exist."""
    profile = get_profile(profile)
    found = _load(profile.outputs / "runs" / run) if Path(run).name == run else None  # nothing outside of runs/
    if found is None:
        raise FileNotFoundError(f"no finished run {run!r} in {profile.name}; there are: {list(_finished(profile))}")
    return found


def published() -> dict[str, Run]:
    """The runs whose numbers the course quotes, by stage: history and record from `results/`, without weights."""
    for name in PUBLISHED:
        found = {stage: _load(repo_root() / "results" / name / stage) for stage in MODELS}
        found = {stage: run for stage, run in found.items() if run}
        if found:
            return found
    return {}


def published_score(run: Run) -> str:
    """One line on a run of `published`: its test MAE and gray's with their 95% intervals, and the report's MAE."""
    table = pd.read_csv(run.folder.parent / "table1.csv").set_index("row")
    scored, gray = table.loc[run.recipe.model], table.loc["gray"]
    values = [f"{row.mae:.4f} [{row.mae_low:.4f}, {row.mae_high:.4f}]" for row in (scored, gray)]
    sentence = f"test MAE {values[0]}, gray {values[1]}, on {gray.photos:,} photos"
    if pd.isna(scored.reported_mae):
        return sentence
    return f"{sentence}; the report, on its own photos: {scored.reported_mae:.4f}"


def pretrained_models() -> list[str]:
    """Names of the trained models whose weights lie in `results/weights/`: the palette, then the later stages first."""
    names = sorted(card.stem for card in (repo_root() / "results" / "weights").glob("*.json"))
    return sorted(names, key=lambda name: PREFERRED.index(name) if name in PREFERRED else len(PREFERRED))


def pretrained_model(name: str) -> tuple[torch.nn.Module, int, str]:
    """A model of `results/weights/`, as `best_available` returns it; the palette with the rebalancing `palette.DEFAULT_REBALANCING`.

    Raises ValueError naming those that are there.
    """
    if name not in pretrained_models():
        raise ValueError(f"no model {name!r} in results/weights; there are: {', '.join(pretrained_models()) or 'none'}")
    card = repo_root() / "results" / "weights" / f"{name}.json"
    model = _pretrained_generator(card)
    if isinstance(model, PaletteUnet):
        model.rebalancing = DEFAULT_REBALANCING
    about = json.loads(card.read_text())
    return model, about["size"], about["sentence"]


def _pretrained_generator(card):
    about = json.loads(card.read_text())
    model = pretrained_init(about, card.parent)
    path = card.with_suffix(".safetensors")
    _check_digest(path, about)
    return load_weights(model, path, changes=about["init_run"] is not None).eval()


def pretrained_init(record: dict, folder: Path) -> torch.nn.Module:
    """The generator of a run before its own shipped weights: that of the shipped run it starts from, or untrained.

    Raises ValueError where `folder` holds another run under the name of the start.
    """
    recipe = Recipe(**record["recipe"])
    if recipe.init_from is None:
        return _model(recipe, record["size"], weights=None)
    card = folder / f"{recipe.init_from}.json"
    found = json.loads(card.read_text())["run"]
    if found != record["init_run"]:
        raise ValueError(f"{record['run']} starts from {record['init_run']}, {card} is of {found}: ship its start first")
    return _extended(_pretrained_generator(card), recipe)


def _find_pretrained(run: str) -> Run | None:
    """The run of this id with its record and history in results/NAME/STAGE and its weights in results/weights."""
    for card in (repo_root() / "results" / "weights").glob("*.json"):
        about = json.loads(card.read_text())
        if about["run"] == run:
            found = _load(repo_root() / "results" / about["profile"] / about["recipe"]["model"])
            if found and found.id == run:  # else another one was published since
                record = found.record | {"weights_sha256": about["weights_sha256"]}
                return dataclasses.replace(found, record=record, pretrained=card)
    return None


def best_available() -> tuple[torch.nn.Module, int, str]:
    """The best trained generator at hand for coloring a photo, its photos' size in px, and a sentence on what it is.

    The first of `pretrained_models` comes first: the palette, whose colors are nearly as strong as those of photographs.
    Then come the runs of the profiles report, class, cpu and smoke. Raises FileNotFoundError if nothing was trained.
    """
    if pretrained_models():
        return pretrained_model(pretrained_models()[0])
    for name in (*PUBLISHED, "smoke"):
        runs = _finished(get_profile(name)).values()
        if runs:
            newest_first = sorted(runs, key=lambda run: run.record["finished"], reverse=True)
            run = min(newest_first, key=lambda run: PREFERRED.index(run.recipe.model))
            about = f"{TITLES[run.recipe.model]} from run {run.id} of the {name} profile"
            if name == "smoke":
                about += "; trained on a handful of crops for a test, its colors mean nothing"
            return run.model(), run.record["size"], about
    raise FileNotFoundError(
        "no trained model here: `make run` trains tiny ones in minutes, "
        "`python -m g2g train cgan --profile class` one that shows color"
    )


def learner(recipe: Recipe, photos: Photos, start: Run | None = None):
    """The fastai `Learner` that trains `recipe`, seeded, on the GPU if there is one."""
    torch.manual_seed(recipe.seed)
    dls = dataloaders(photos, recipe.batch_size, recipe.seed, training.get_device(), recipe.min_crop_side, recipe.steps_per_epoch)
    model = _extended(start.model("best"), recipe) if start else _model(recipe, photos.size, recipe.weights)
    betas = (recipe.beta1, 0.999)
    if recipe.model == "palette":
        model.class_weights = class_weights(prior(photos.train), recipe.uniform)
    if recipe.model == "flow":
        model.spread = spread(model.to(training.get_device()), photos.train[:512])
    kind = training.OwnLossLearner if hasattr(model, "loss") else training.Learner
    if recipe.model != "cgan":
        learn = training.l1_learner(dls, model, betas, recipe.weight_decay, recipe.encoder_lr_mult, kind)
    else:
        options = {"lambda_l1": recipe.lambda_l1, "betas": betas, "d_lr_mult": recipe.d_lr_mult}
        options |= {"r1": recipe.r1, "d_epochs": recipe.d_epochs, "freeze": recipe.encoder_lr_mult == 0}
        learn = training.GANLearner(dls, model, PatchGAN(recipe.receptive_field), **options)
    if recipe.ema_decay:
        learn.add_cb(AverageWeights(learn.model, recipe.ema_decay))
    return learn


def load_or_train(
    stage: str,
    profile: Profile | str | None = None,
    *,
    recipe: Recipe | None = None,
    photos: Photos | None = None,
    start: Run | None = None,
    pretrained: bool = True,
) -> Run:
    """The finished run of `stage`, from disk if it is there, else the shipped one, else trained now.

    A run is found by the hash of its recipe, its photos and the run it starts from: an edited recipe is a run of
    its own. An interrupted run goes on from its last whole epoch.

    Args:
        recipe: an edited row of the table; by default the table's. photos: by default the profile's.
        start: the U-Net run that `unet_long` and `cgan` start from; by default the table's, trained if need be.
        shipped: whether the weights of `results/weights` will do, which are in half precision.

    Raises:
        ValueError: unknown stage, or a recipe of another one. And what `g2g.training.fit` raises.
    """
    profile = get_profile(profile)
    recipe = recipe or get_recipe(stage, profile)
    if recipe.model != stage:
        raise ValueError(f"the recipe is one of {recipe.model!r}, not of {stage!r}")
    if photos is None:
        photos = prepare(profile)
    if recipe.init_from and start is None:
        start = load_or_train(recipe.init_from, profile, photos=photos)
    folder = profile.outputs / "runs" / run_id(recipe, photos.hash, start and start.id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder):  # a second process waits here, then finds the first one's run
        run = _load(folder) or (_find_pretrained(folder.name) if pretrained else None)
        if run is None:
            return _train(recipe, photos, profile, start, folder)
    how = "is shipped, in half precision" if run.pretrained else "is there"
    print(f"{TITLES[stage]}: run {run.id} {how}, {run.record['minutes']:.1f} min on {run.record['device']}")
    return run


def _train(recipe, photos, profile, start, folder):
    settings = training.hardware(training.get_device())  # before the first step, whose kernels they choose
    epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    print(
        f"{TITLES[recipe.model]}: training {epochs} on {len(photos.train):,} photos "
        f"at {photos.size} px; after a few steps it says how long this will take",
        flush=True,
    )
    learn = learner(recipe, photos, start)
    options = {"epochs": recipe.epochs, "lr": recipe.lr, "schedule": recipe.schedule, "seed": recipe.seed}
    history = training.fit(learn, folder, **options)
    seconds = history["seconds"].sum()
    record = settings | {
        "run": folder.name,
        "recipe": dataclasses.asdict(_portable(recipe)),
        "init_run": start and start.id,
        "profile": profile.name,
        "size": photos.size,
        "photos_hash": photos.hash,
        "train": len(photos.train),
        "valid": len(photos.valid),
        "best_valid_loss": float(history["valid_loss"].min()),
        "gray_valid_loss": training.gray_loss(learn.dls.valid),
        "weights_sha256": {path.name: _digest(path) for path in sorted(folder.glob("*.safetensors"))},
        "minutes": round(seconds / 60, 2),
        "photos_per_second": round(learn.dls.train.n * len(history) / seconds, 1),
        "versions": {name: version(name) for name in ("torch", "torchvision", "fastai")}
        | {"g2g": __version__, "python": platform.python_version()},
        "finished": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }
    write_json(record, folder / "run.json")
    for checkpoint in folder.glob("checkpoint-*.pt"):
        checkpoint.unlink()
    return _load(folder)
