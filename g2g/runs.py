"""The named runs of the course: one table of recipes, and `load_or_train`, so that any notebook runs alone."""

import dataclasses
import hashlib
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import fastai
import pandas as pd
import torch
import torchvision
from fastai.torch_core import distrib_barrier, num_distrib, rank_distrib

from g2g import __version__, training
from g2g.checkpoints import save_weights, write_json
from g2g.data import Photos, dataloaders, prepare
from g2g.models import EncoderDecoder, PatchGAN, load_weights, resnet18_unet
from g2g.profiles import QUOTED, RECIPES, STAGES, TITLES, Profile, Recipe, get_profile, repo_root
from g2g.timing import estimate_minutes

# Released weights by run id: (URL, sha256). A file serves exactly the recipe and photos that its id names.
RELEASED: dict[str, tuple[str, str]] = {}


@dataclass(frozen=True)
class Run:
    """A finished run on disk."""

    folder: Path
    recipe: Recipe
    record: dict

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def stage(self) -> str:
        return self.recipe.stage

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch: train_loss, valid_loss, lr, seconds; for the cGAN also d_loss, g_adv, g_l1."""
        return pd.read_csv(self.folder / "history.csv")

    def model(self, which: str | None = None, device="cpu") -> torch.nn.Module:
        """The trained generator in eval mode.

        Args:
            which: `best` (lowest validation L1) or `last`; None takes last for the cGAN, whose validation L1 does
                not say which epoch looks best, and for its control `unet_long`; best for the others.
        """
        which = which or ("last" if self.stage in ("unet_long", "cgan") else "best")
        file = {"best": "weights.safetensors", "last": "last.safetensors"}[which]
        model = _model(self.recipe, self.record["size"], weights=None)
        return load_weights(model, self.folder / file).to(device).eval()

    def discriminator(self, device="cpu") -> torch.nn.Module:
        """The trained PatchGAN of a cGAN run, in eval mode."""
        model = PatchGAN(self.recipe.receptive_field)
        return load_weights(model, self.folder / "discriminator.safetensors").to(device).eval()


def _model(recipe: Recipe, size: int, weights: str | None):
    return EncoderDecoder(recipe.width) if recipe.stage == "cnn" else resnet18_unet(weights, size)


def device() -> torch.device:
    """This process's CUDA GPU if there is one, else the CPU (fastai's own choice would take an untested MPS)."""
    own = int(os.environ.get("LOCAL_RANK", 0))
    return torch.device("cuda", own) if torch.cuda.is_available() else torch.device("cpu")


def run_id(recipe: Recipe, photos: Photos, start: Run | None = None) -> str:
    """`stage-` and 10 hex digits of the recipe, the photos and the run it starts from."""
    what = json.dumps([dataclasses.asdict(recipe), photos.hash, start and start.id], sort_keys=True)
    return f"{recipe.stage}-{hashlib.sha256(what.encode()).hexdigest()[:10]}"


def _load(folder: Path) -> Run | None:
    try:
        record = json.loads((folder / "run.json").read_text())
        return Run(folder, Recipe(**record["recipe"]), record)
    except FileNotFoundError:
        return None  # not finished: run.json is written last
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'run.json'} is damaged ({error}); delete that folder and train again") from error


def find_run(recipe: Recipe, photos: Photos, profile: Profile, start: Run | None = None) -> Run | None:
    """The finished run of exactly this recipe on exactly these photos, None if there is none.

    A recipe that starts from another stage is found for `start`, by default the table's run of that stage.
    """
    if recipe.start and start is None:
        start = find_run(RECIPES[profile.name][recipe.start], photos, profile)
        if start is None:
            return None
    return _load(profile.outputs / "runs" / run_id(recipe, photos, start))


def runs(profile: Profile | str | None = None) -> pd.DataFrame:
    """The finished runs of a profile, one row each: run, stage, epochs, seed, photos, best valid_loss, minutes."""
    profile = profile if isinstance(profile, Profile) else get_profile(profile)
    found = [_load(f.parent) for f in sorted(profile.outputs.glob("runs/*/run.json"))]
    rows = [
        {
            "run": r.id,
            "stage": r.stage,
            "epochs": r.recipe.epochs,
            "lr": r.recipe.lr,
            "seed": r.recipe.seed,
            "photos": r.record["photos_hash"],
            "valid_loss": r.record["best_valid_loss"],
            "minutes": r.record["minutes"],
        }
        for r in found
    ]
    return pd.DataFrame(rows, columns=["run", "stage", "epochs", "lr", "seed", "photos", "valid_loss", "minutes"])


def quoted() -> dict[str, Run]:
    """The runs whose numbers the course quotes, by stage: history and record from `results/`, without weights."""
    for name in QUOTED:
        folder = repo_root() / "results" / name
        if found := {stage: run for stage in STAGES if (run := _load(folder / stage))}:
            return found
    return {}


def load_run(run: str, profile: Profile | str | None = None) -> Run:
    """The finished run called `run` (as `runs` lists it). Raises FileNotFoundError naming those that exist."""
    profile = profile if isinstance(profile, Profile) else get_profile(profile)
    if found := _load(profile.outputs / "runs" / run):
        return found
    raise FileNotFoundError(f"no finished run {run!r} in {profile.name}; there are: {list(runs(profile)['run'])}")


def learner(recipe: Recipe, photos: Photos, start: Run | None = None):
    """The fastai `Learner` that trains `recipe`, seeded, on the GPU if there is one."""
    torch.manual_seed(recipe.seed)
    dls = dataloaders(photos, recipe.batch_size, seed=recipe.seed, device=device())
    model = start.model("best") if start else _model(recipe, photos.size, recipe.weights)
    betas = (recipe.beta1 or 0.9, 0.999)
    if recipe.stage != "cgan":
        return training.l1_learner(dls, model, betas)
    return training.GANLearner(
        dls, model, PatchGAN(recipe.receptive_field), lam=recipe.lam, betas=betas, d_rate=recipe.d_rate
    )


def load_or_train(
    stage: str,
    profile: Profile | str | None = None,
    *,
    recipe: Recipe | None = None,
    photos: Photos | None = None,
    start: Run | None = None,
) -> Run:
    """The finished run of `stage`, from disk if it is there, else released weights, else trained now.

    A run is found by the hash of its recipe, its photos and the run it starts from: an edited recipe is a run of
    its own. An interrupted run goes on from its last whole epoch.

    Args:
        recipe: an edited row of the table; by default the table's. photos: by default the profile's.
        start: the U-Net run that `unet_long` and `cgan` start from; by default the table's, trained if need be.

    Raises:
        ValueError: unknown stage, or a recipe of another one. And what `g2g.training.fit` raises.
    """
    if stage not in STAGES:
        raise ValueError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
    profile = profile if isinstance(profile, Profile) else get_profile(profile)
    recipe = recipe or RECIPES[profile.name][stage]
    if recipe.stage != stage:
        raise ValueError(f"the recipe is one of {recipe.stage!r}, not of {stage!r}")
    photos = photos if photos is not None else prepare(profile)
    if recipe.start and start is None:
        start = load_or_train(recipe.start, profile, photos=photos)
    folder = profile.outputs / "runs" / run_id(recipe, photos, start)
    if run := _load(folder) or _fetch_released(folder, recipe, photos):
        print(f"{TITLES[stage]}: run {run.id} is there, {run.record['minutes']:.1f} min on {run.record['device']}")
        return run
    return _train(recipe, photos, profile, start, folder)


def _train(recipe, photos, profile, start, folder):
    settings = training.hardware(device())  # before the first step, whose kernels they choose
    epochs_done = len(pd.read_csv(folder / "history.csv")) if (folder / "history.csv").exists() else 0
    alone = num_distrib() < 2  # several processes meet only in `fit`, and none can measure before
    minutes = estimate_minutes(learner(recipe, photos, start), recipe.epochs - epochs_done) if alone else None
    about = f"about {minutes:.1f} min by a short measurement" if minutes else "a moment" if alone else "time unknown"
    if not rank_distrib():
        print(
            f"{TITLES[recipe.stage]}: training {recipe.epochs - epochs_done} of {recipe.epochs} epochs on "
            f"{len(photos.train):,} photos at {photos.size} px, {about}",
            flush=True,
        )
    learn = learner(recipe, photos, start)
    history = training.fit(
        learn, folder, epochs=recipe.epochs, lr=recipe.lr, schedule=recipe.schedule, seed=recipe.seed
    )
    record = settings | {
        "recipe": dataclasses.asdict(recipe),
        "profile": profile.name,
        "size": photos.size,
        "run": folder.name,
        "start": start and start.id,
        "photos_hash": photos.hash,
        "train": len(photos.train),
        "valid": len(photos.valid),
        "best_valid_loss": float(history["valid_loss"].min()),
        "gray_valid_loss": training.gray_loss(learn.dls.valid),
        "minutes": round(history["seconds"].sum() / 60, 2),
        "processes": max(num_distrib(), 1),
        "photos_per_second": round(len(photos.train) * len(history) / history["seconds"].sum(), 1),
        "versions": {
            "g2g": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "fastai": fastai.__version__,
        },
        "finished": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }
    if not rank_distrib():
        write_json(record, folder / "run.json")
        for checkpoint in folder.glob("checkpoint-*.pt"):
            checkpoint.unlink()
    distrib_barrier()  # the other processes read what the first has written
    return _load(folder)


def _fetch_released(folder: Path, recipe: Recipe, photos: Photos) -> Run | None:
    if folder.name not in RELEASED:
        return None
    url, sha256 = RELEASED[folder.name]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(folder / "weights.safetensors"), hash_prefix=sha256, progress=False)
    except (OSError, RuntimeError) as error:
        print(f"released weights of {folder.name} could not be fetched ({error}); training instead")
        return None
    save_weights(
        load_weights(_model(recipe, photos.size, None), folder / "weights.safetensors"), folder / "last.safetensors"
    )
    write_json(
        {
            "recipe": dataclasses.asdict(recipe),
            "size": photos.size,
            "photos_hash": photos.hash,
            "source": url,
            "minutes": 0.0,
            "device": "released weights",
            "best_valid_loss": None,
        },
        folder / "run.json",
    )
    return _load(folder)


def best_available() -> tuple[torch.nn.Module, int, str]:
    """The best trained generator at hand for colouring a photo, its photos' size in px, and a sentence on what it is.

    The weights in `results/weights/` come first, then the runs of the profiles report, class, cpu and smoke.

    Raises:
        FileNotFoundError: nothing was trained yet.
    """
    for card in sorted((repo_root() / "results" / "weights").glob("*.json")):
        about = json.loads(card.read_text())
        model = _model(Recipe(**about["recipe"]), about["size"], None)
        return load_weights(model, card.with_suffix(".safetensors")).float().eval(), about["size"], about["sentence"]
    for name in ("report", "class", "cpu", "smoke"):
        profile = get_profile(name)
        found = [r for f in profile.outputs.glob("runs/*/run.json") if (r := _load(f.parent))]
        if found:
            run = max(found, key=lambda r: (STAGES.index(r.stage), r.record.get("finished", "")))
            warning = "; trained on a handful of crops for a test, its colours mean nothing" * (name == "smoke")
            about = f"{TITLES[run.stage]} from run {run.id} of the {name} profile{warning}"
            return run.model(), run.record["size"], about
    raise FileNotFoundError(
        "no trained model here: `make run` trains tiny ones in minutes, "
        "`python -m g2g train cgan --profile class` one that shows colour"
    )
