"""The one table of recipes: what each named run of the course learns with, per profile."""

import os
from dataclasses import dataclass
from functools import partial

from g2g.profiles import SEED, Profile, get_profile

STAGES = ("cnn", "unet", "unet_long", "cgan")
TITLES = {"cnn": "CNN", "unet": "U-Net", "unet_long": "U-Net (trained on)", "cgan": "cGAN"}


@dataclass(frozen=True)
class Recipe:
    """All that decides what a run learns, beside its photos. Edit with `dataclasses.replace(recipe, lr=1e-3)`.

    Attributes:
        stage: one of STAGES.
        epochs, lr, batch_size, seed: as usual.
        schedule: `constant` or `one_cycle` (then `lr` is its maximum).
        width: channels of the CNN's first convolution (cnn).
        weights: the U-Net's encoder: `imagenet`, None (random) or a path (unet).
        start: stage whose trained U-Net this run starts from (unet_long, cgan).
        lam: weight of the L1 term; beta1: of both Adams; receptive_field: of the PatchGAN, in px (cgan).
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
    receptive_field: int | None = None


def _recipes(weights: str | None) -> dict[str, dict[str, Recipe]]:
    cnn, unet = partial(Recipe, "cnn"), partial(Recipe, "unet")
    long = partial(Recipe, "unet_long", start="unet")
    # λ = 100, 2e-4 and β1 = 0.5 as in pix2pix (Isola et al. 2017); the report names β1 only
    cgan = partial(Recipe, "cgan", lr=2e-4, start="unet", lam=100.0, beta1=0.5)
    rows = {
        "smoke": (cnn(8, 3e-3, "one_cycle", 16, width=16), unet(4, 1e-3, "one_cycle", 16),
                  long(3, 1e-4, batch_size=16), cgan(3, batch_size=16, receptive_field=34)),
        "cpu": (cnn(20, 2e-3, "one_cycle", width=64), unet(6, 1e-3, "one_cycle"),
                long(3, 1e-4), cgan(3, receptive_field=34)),
        "class": (cnn(20, 2e-3, "one_cycle", width=64), unet(5, 1e-3, "one_cycle", weights=weights),
                  long(5, 1e-4), cgan(5, receptive_field=70)),
        "report": (cnn(100, 1e-3, width=64), unet(20, 1e-4, weights=weights),
                   long(20, 1e-4), cgan(20, receptive_field=70)),
    }
    return {profile: dict(zip(STAGES, row, strict=True)) for profile, row in rows.items()}


def _encoder(asked: str) -> str | None:
    return None if asked == "none" else asked


# G2G_WEIGHTS: where ImageNet weights cannot be downloaded, a ResNet-18 state dict's path, or `none` for random ones
RECIPES = _recipes(_encoder(os.environ.get("G2G_WEIGHTS") or "imagenet"))


def recipe(stage: str, profile: Profile | str | None = None) -> Recipe:
    """The table's row for `stage` in `profile`. Raises ValueError for an unknown stage."""
    if stage not in STAGES:
        raise ValueError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
    profile = profile if isinstance(profile, Profile) else get_profile(profile)
    return RECIPES[profile.name][stage]
