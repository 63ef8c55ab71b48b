"""What a run costs: the profiles `smoke`, `class` and `report`, and where things are written."""

import dataclasses
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

SEED = 42  # one default seed for the choice of photos, the split and the training


@dataclass(frozen=True)
class Profile:
    """A size of the whole course.

    Attributes:
        name: `smoke`, `cpu`, `class` or `report`.
        source: key of `g2g.sources.SOURCES`: `bundled`, `coco_sample` or `folder`.
        size: side of the square training photos, in pixels.
        n_train, n_test: at most so many photos, counted before any is skipped; validation comes out of n_train.
        purpose: one sentence for a reader.
        data_dir: the folder of one's own photos when source is `folder`.
    """

    name: str
    source: str
    size: int
    n_train: int
    n_test: int
    purpose: str
    data_dir: Path | None = None

    @property
    def outputs(self) -> Path:
        """Folder of this profile's runs, tables and figures (`G2G_OUTPUTS` moves the root, to Drive say)."""
        return Path(os.environ.get("G2G_OUTPUTS") or repo_root() / "outputs") / self.name


PROFILES = {
    p.name: p
    for p in (
        Profile(
            "smoke",
            "bundled",
            64,
            48,
            24,
            "shows that everything runs, on two CPU cores and without network; its scores mean nothing",
        ),
        Profile("cpu", "coco_sample", 64, 2000, 500, "the report's protocol scaled to an evening on two CPU cores"),
        Profile("class", "coco_sample", 128, 2000, 500, "a lesson on a T4 or L4: colour within minutes"),
        Profile("report", "coco_sample", 256, 8000, 2000, "the report's protocol on an L4"),
    )
}


def get_profile(name: str | None = None) -> Profile:
    """The profile called `name`; None or `auto` reads `G2G_PROFILE`, else `class` on a CUDA GPU and `smoke` without.

    `G2G_DATA=/folder` replaces the photos of any profile by the folder's own.

    Raises:
        ValueError: unknown profile (lists the known ones).
        FileNotFoundError: `G2G_DATA` is not a folder.
    """
    if name in (None, "", "auto"):
        name = os.environ.get("G2G_PROFILE") or "auto"
    if name == "auto":
        import torch  # late: `python -m g2g --help` need not wait for it

        name = "class" if torch.cuda.is_available() else "smoke"
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; known: auto, {', '.join(PROFILES)} (see G2G_PROFILE)")
    profile = PROFILES[name]
    if own := os.environ.get("G2G_DATA"):
        folder = Path(own).expanduser().resolve()
        if not folder.is_dir():
            raise FileNotFoundError(f"G2G_DATA={own} is not a folder; set it to a folder of photos, or unset it")
        profile = dataclasses.replace(profile, source="folder", data_dir=folder)
    return profile


def repo_root() -> Path:
    """The folder that holds `g2g/` and `notebooks/`."""
    return Path(__file__).resolve().parent.parent


def cache_root() -> Path:
    """Where downloads and prepared photos live: `G2G_CACHE`, else `data/cache` in the repository."""
    return Path(os.environ.get("G2G_CACHE") or repo_root() / "data" / "cache")


STAGES = ("cnn", "unet", "unet_long", "cgan")
QUOTED = ("report", "class", "cpu")  # folders of results/: the course quotes the first that is there
TITLES = {"cnn": "CNN", "unet": "U-Net", "unet_long": "U-Net (trained on)", "cgan": "cGAN"}


@dataclass(frozen=True)
class Recipe:
    """All that decides what a run learns, beside its photos. Edit with `dataclasses.replace(recipe, lr=1e-3)`.

    Attributes:
        stage: one of STAGES.
        epochs, lr, batch_size, seed: as usual.
        schedule: `constant`, `one_cycle` (then `lr` is its maximum) or `linear_decay`, see `g2g.training.fit`.
        width: channels of the CNN's first convolution (cnn).
        weights: the U-Net's encoder: `imagenet`, None (random) or a path (unet).
        start: stage whose trained U-Net this run starts from (unet_long, cgan).
        beta1: of Adam, of both in the cGAN; None is 0.9.
        lam: weight of the L1 term; d_rate: D's learning rate, as a share of `lr`; receptive_field: of the PatchGAN,
            in px (cgan).
    """

    stage: str
    epochs: int
    lr: float
    schedule: str = "constant"
    batch_size: int = 32
    seed: int = SEED
    width: int | None = None
    weights: str | None = None
    start: str | None = None
    lam: float | None = None
    beta1: float | None = None
    d_rate: float | None = None
    receptive_field: int | None = None


def _recipes(weights: str | None) -> dict[str, dict[str, Recipe]]:
    cnn, unet = partial(Recipe, "cnn"), partial(Recipe, "unet")
    # λ = 100, 2e-4 and β1 = 0.5 as in pix2pix (Isola et al. 2017), the decay as in its authors' later PyTorch code;
    # the report names β1 only. The control is the cGAN's recipe without the adversary.
    common = {"lr": 2e-4, "schedule": "linear_decay", "start": "unet", "beta1": 0.5}
    long, cgan = partial(Recipe, "unet_long", **common), partial(Recipe, "cgan", lam=100.0, d_rate=1.0, **common)
    rows = {
        "smoke": (
            cnn(8, 3e-3, "one_cycle", 16, width=16),
            unet(4, 1e-3, "one_cycle", 16),
            long(3, batch_size=16),
            cgan(3, batch_size=16, receptive_field=34),
        ),
        "cpu": (
            cnn(20, 2e-3, "one_cycle", width=64),
            unet(10, 1e-3, "one_cycle"),
            long(4),
            cgan(4, receptive_field=34, d_rate=0.25),
        ),  # docs/training.md says why
        "class": (
            cnn(20, 2e-3, "one_cycle", width=64),
            unet(5, 1e-3, "one_cycle", weights=weights),
            long(5),
            cgan(5, receptive_field=70, d_rate=0.25),
        ),
        "report": (cnn(100, 1e-3, width=64), unet(20, 1e-4, weights=weights), long(20), cgan(20, receptive_field=70)),
    }
    return {profile: dict(zip(STAGES, row, strict=True)) for profile, row in rows.items()}


# G2G_WEIGHTS: where ImageNet weights cannot be downloaded, a ResNet-18 state dict's path, or `none` for random ones
_asked = os.environ.get("G2G_WEIGHTS") or "imagenet"
RECIPES = _recipes(None if _asked == "none" else _asked)
