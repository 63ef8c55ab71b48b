"""What a run costs and learns: the profiles `smoke`, `cpu`, `class` and `report`, and their table of recipes."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

SEED = 42  # one default seed for the choice of photos, the split and the training
TITLES = {
    "cnn": "CNN",
    "unet": "U-Net",
    "unet_full": "U-Net (DynamicUnet)",  # in `cpu`, whose U-Net is the quarter one
    "unet_long": "U-Net (trained on)",
    "cgan": "cGAN",
    "palette": "U-Net (palette)",
    "flow": "U-Net + flow",
}
MODELS = tuple(TITLES)
PUBLISHED = ("report", "class", "cpu")  # folders of results/: the course quotes the first that is there


@dataclass(frozen=True)
class Profile:
    """A size of the whole course."""

    name: str  # its row of RECIPES
    source: str  # key of `g2g.sources.SOURCES`: bundled, coco_sample or folder
    size: int  # side of the square training photos, in pixels
    n_train: int  # at most so many photos, before any is skipped and validation is taken out; 0: only test photos
    n_test: int
    purpose: str  # one sentence for a reader
    score_size: int | None = None  # side at which test photos are scored, predicted at `size`; None is `size`
    min_chroma: float = 0.0  # photos of lower mean CIE chroma are left out of training and validation; 5: near-gray
    data_dir: Path | None = None  # the folder of one's own photos when source is `folder`

    @property
    def models(self) -> tuple[str, ...]:
        """What this profile trains, in order."""
        return tuple(RECIPES[self.name])

    @property
    def outputs(self) -> Path:
        """Folder of this profile's runs, tables and figures (`G2G_OUTPUTS` moves the root, to Drive say)."""
        return Path(os.environ.get("G2G_OUTPUTS") or repo_root() / "outputs") / self.name


_SMOKE = "shows that everything runs, on two CPU cores and without network; its scores mean nothing"
_CPU = "the recipes of the published runs, scored at half the report's size; an evening on two CPU cores"
PROFILES = {  # name, source, size, n_train, n_test, purpose
    "smoke": Profile("smoke", "bundled", 64, 48, 24, _SMOKE),
    "cpu": Profile("cpu", "coco_sample", 192, 12000, 2000, _CPU, score_size=128),
    "class": Profile("class", "coco_sample", 128, 2000, 500, "a lesson on a T4 or L4: color within minutes"),
    "report": Profile("report", "coco_sample", 256, 8000, 2000, "the report's protocol on an L4"),
}


def get_profile(profile: Profile | str | None = None) -> Profile:
    """The profile of that name; None or `auto` reads `G2G_PROFILE`, else `class` on a CUDA GPU and `smoke` without.

    A `Profile` comes back as it is. `G2G_DATA=/folder` replaces the photos of a named one by the folder's own.
    Raises ValueError for an unknown profile, FileNotFoundError if `G2G_DATA` is not a folder.
    """
    if isinstance(profile, Profile):
        return profile
    name = profile
    if name in (None, "auto"):
        name = os.environ.get("G2G_PROFILE") or "auto"
    if name == "auto":
        import torch  # late: `python -m g2g --help` need not wait for it

        name = "class" if torch.cuda.is_available() else "smoke"
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; known: auto, {', '.join(PROFILES)} (see G2G_PROFILE)")
    own = os.environ.get("G2G_DATA")
    if not own:
        return PROFILES[name]
    folder = Path(own).expanduser().resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f"G2G_DATA={own} is not a folder; set it to a folder of photos, or unset it")
    return dataclasses.replace(PROFILES[name], source="folder", data_dir=folder)


Count = Annotated[int, Field(ge=1, le=100_000)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e9)]


@dataclass(frozen=True, config={"extra": "forbid"})
class Recipe:
    """All that decides what a run learns, beside its photos. Edit with `dataclasses.replace(recipe, lr=1e-3)`.

    A run's id is made of the fields that differ from these defaults. Values are coerced to their field's type, so equal
    recipes are one run. A wrong value, or a field that the model does not use, raises ValueError by name.
    """

    model: Literal[MODELS]
    epochs: Count
    lr: Annotated[float, Field(ge=1e-12, le=10)]  # of Adam, or the maximum of one_cycle
    schedule: Literal["constant", "one_cycle", "linear_decay"] = "constant"  # see `g2g.training.fit`
    batch_size: Count = 32
    seed: Annotated[int, Field(ge=0, lt=2**32)] = SEED
    steps_per_epoch: Count | None = None  # None: as many as there are photos for
    loss: Literal["l1", "mse", "huber", "perceptual", "feature_matching"] = "l1"  # see `g2g.losses`
    min_crop_side: Annotated[float, Field(ge=0.05, le=1)] = 1.0  # random crops keep this fraction of the side or more
    sharpen: Annotated[float, Field(ge=0, le=10)] = 0.0  # half of the photos are sharpened, by amounts up to this
    jitter: Fraction = 0.0  # lightness and contrast of L change at random by up to this much
    weight_decay: Fraction = 0.0  # of AdamW; 0: Adam
    ema_decay: Decay = 0.0  # of the moving average of the weights, which is validated and kept; 0: none
    beta1: Decay = 0.9  # of Adam; in the cGAN, of both networks
    width: Annotated[int, Field(ge=2, le=1024)] = 64  # channels of the first convolution
    resolution: Literal["full", "quarter"] = "full"  # of the U-Net's prediction, see `g2g.models.unet`
    encoder: Literal["resnet18", "efficientnet_lite0"] = "resnet18"  # of the U-Net
    weights: str | None = None  # of the encoder: imagenet, None (random) or a path
    encoder_lr_mult: Annotated[float, Field(ge=0, le=100)] = 1.0  # its rate over lr; 0 freezes batch norm, too
    frozen_epochs: Annotated[int, Field(ge=0)] = 0  # the last epochs: whole photos, encoder and batch norm frozen
    init_from: Literal["unet", "palette"] | None = None  # the model whose trained U-Net the run starts from
    lambda_l1: Weight = 100.0  # weight of `loss` beside the adversarial term
    adversarial: Weight = 1.0  # weight of the adversarial term
    d_lr_mult: Weight = 1.0  # D's learning rate over lr
    receptive_field: Literal[1, 16, 34, 70, 286] = 70  # of the PatchGAN, in px of what it judges
    r1: Weight = 0.0  # weight of the gradient penalty on D
    d_epochs: Annotated[int, Field(ge=0)] = 0  # so many epochs, the first of all, D trains alone
    uniform: Fraction = 0.5  # fraction of the uniform distribution in `g2g.palette.class_weights`

    @model_validator(mode="after")
    def _check_fields(self):
        for field in dataclasses.fields(self):
            models = _ONLY_FOR.get(field.name, MODELS)
            if self.model not in models and getattr(self, field.name) != field.default:
                raise ValueError(f"{field.name} is of no use to {self.model}; it is for {', '.join(models)}")
        if self.schedule == "one_cycle" and self.beta1 != 0.9:
            raise ValueError("beta1 cannot be chosen with one_cycle, which sets it at every step")
        return self


_OF_CGAN = ("lambda_l1", "adversarial", "d_lr_mult", "receptive_field", "r1", "d_epochs")
_OF_UNETS = ("resolution", "encoder", "weights", "encoder_lr_mult", "frozen_epochs", "init_from")
_UNETS = tuple(model for model in MODELS if model != "cnn")
_ONLY_FOR = dict.fromkeys(_OF_CGAN, ("cgan",)) | dict.fromkeys(_OF_UNETS, _UNETS)
_ONLY_FOR |= {"width": ("cnn", "flow"), "uniform": ("palette",)}
_ONLY_FOR["loss"] = ("cnn", "unet", "unet_full", "unet_long", "cgan")

# 2e-4, β1 = 0.5 and λ = 100 as in pix2pix (Isola et al. 2017), the decay as in its authors' later PyTorch code;
# the report names β1 only. unet_long, the control, is the cGAN's recipe without the adversary.
_PIX2PIX = {"lr": 2e-4, "beta1": 0.5, "schedule": "linear_decay", "init_from": "unet"}
_ONE_CYCLE = {"lr": 1e-3, "schedule": "one_cycle"}
_QUARTER = {"resolution": "quarter", "encoder": "efficientnet_lite0"}
# Chosen on validation photos (docs/training.md): against overfitting, and the same for all that start untrained
_REGULARIZED = {"schedule": "one_cycle", "weight_decay": 0.05, "min_crop_side": 0.6, "ema_decay": 0.998}
_PRETRAINED = {"lr": 1e-3, "weights": "imagenet", "encoder_lr_mult": 0.3}
_ENDS_WHOLE = _PRETRAINED | _REGULARIZED | {"frozen_epochs": 1, "sharpen": 2}
# A gentle adversary for a U-Net that is good already; its first 40 steps are D's alone
_SHORT = _PIX2PIX | {"steps_per_epoch": 40, "batch_size": 16, "lr": 1e-4, "encoder_lr_mult": 0, "ema_decay": 0.98}
_GENTLE = _SHORT | {"lambda_l1": 30, "d_lr_mult": 2, "receptive_field": 16, "r1": 1, "d_epochs": 1}
# Only what follows the encoder is trained: with crops and a free encoder the predictions were worse (docs/training.md)
_FROZEN = {"init_from": "unet", "schedule": "one_cycle", "encoder_lr_mult": 0}
_PALETTE = _FROZEN | {"lr": 1e-3, "ema_decay": 0.99}
_FLOW = _FROZEN | {"lr": 2e-3, "ema_decay": 0.999}
_PALETTE_ALONE = _QUARTER | _PRETRAINED | _REGULARIZED  # where the U-Net is not the quarter one
RECIPES = {
    "smoke": {
        "cnn": Recipe("cnn", epochs=8, lr=3e-3, schedule="one_cycle", batch_size=16, width=16),
        "unet": Recipe("unet", epochs=4, batch_size=16, weights="imagenet", **_ONE_CYCLE, **_QUARTER),
        "unet_long": Recipe("unet_long", epochs=4, **_QUARTER, **_SHORT),
        "cgan": Recipe("cgan", epochs=4, **_QUARTER, **_GENTLE),
        "palette": Recipe("palette", epochs=4, batch_size=16, **_QUARTER, **_PALETTE),
        "flow": Recipe("flow", epochs=8, batch_size=16, **_QUARTER, **_FLOW),
    },
    "cpu": {
        "cnn": Recipe("cnn", epochs=5, lr=2e-3, width=32, sharpen=2, **_REGULARIZED),
        "unet": Recipe("unet", epochs=6, **_QUARTER, **_ENDS_WHOLE),
        # Published after about as many minutes as the U-Net, on one core in bf16 where that had two in fp32
        "unet_full": Recipe("unet_full", epochs=2, steps_per_epoch=200, encoder="efficientnet_lite0", **_ENDS_WHOLE),
        "unet_long": Recipe("unet_long", epochs=41, sharpen=2, **_QUARTER, **_SHORT),
        "cgan": Recipe("cgan", epochs=41, sharpen=2, **_QUARTER, **_GENTLE),
        "palette": Recipe("palette", epochs=5, sharpen=2, **_QUARTER, **_PALETTE),
        "flow": Recipe("flow", epochs=12, steps_per_epoch=200, sharpen=2, **_QUARTER, **_FLOW),
    },
    "class": {
        "cnn": Recipe("cnn", epochs=20, lr=2e-3, schedule="one_cycle"),
        "unet": Recipe("unet", epochs=5, weights="imagenet", **_ONE_CYCLE),
        "unet_long": Recipe("unet_long", epochs=5, **_PIX2PIX),
        "cgan": Recipe("cgan", epochs=5, d_lr_mult=0.25, **_PIX2PIX),
        "palette": Recipe("palette", epochs=8, **_PALETTE_ALONE),
        "flow": Recipe("flow", epochs=40, **_QUARTER, **_FLOW | {"init_from": "palette"}),
    },
    "report": {
        "cnn": Recipe("cnn", epochs=100, lr=1e-3),
        "unet": Recipe("unet", epochs=20, lr=1e-4, weights="imagenet"),
        "unet_long": Recipe("unet_long", epochs=20, **_PIX2PIX),
        "cgan": Recipe("cgan", epochs=20, **_PIX2PIX),
        "palette": Recipe("palette", epochs=8, **_PALETTE_ALONE),
        "flow": Recipe("flow", epochs=40, **_QUARTER, **_FLOW | {"init_from": "palette"}),
    },
}


def get_recipe(model: str, profile: Profile | str | None = None) -> Recipe:
    """The table's recipe of a model. ValueError for an unknown model or profile lists the known ones.

    `G2G_WEIGHTS` replaces ResNet-18's ImageNet weights, which have to be downloaded: the path of a state dict, or
    `none` for random ones. (EfficientNet-Lite0's lie in the repository.)
    """
    profile = get_profile(profile)
    recipes = RECIPES[profile.name]
    if model not in recipes:
        raise ValueError(f"unknown model {model!r}; known to {profile.name}: {', '.join(recipes)}")
    recipe = recipes[model]
    weights = os.environ.get("G2G_WEIGHTS")
    if not weights or recipe.weights is None or recipe.encoder != "resnet18":
        return recipe
    return dataclasses.replace(recipe, weights=None if weights == "none" else weights)


def repo_root() -> Path:
    """The folder that holds `g2g/` and `notebooks/`."""
    return Path(__file__).resolve().parent.parent


def cache_root() -> Path:
    """Where downloads and prepared photos live: `G2G_CACHE`, else `data/cache` in the repository."""
    return Path(os.environ.get("G2G_CACHE") or repo_root() / "data" / "cache")
