"""What a run costs and learns: the profiles `smoke`, `cpu`, `class` and `report`, and their table of recipes."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

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
    n_train: int  # at most so many photos, counted before any is skipped; validation comes out of them
    n_test: int
    purpose: str  # one sentence for a reader
    data_dir: Path | None = None  # the folder of one's own photos when source is `folder`
    outputs_name: str | None = None  # the folder below outputs/; None is `name`

    @property
    def models(self) -> tuple[str, ...]:
        """What this profile trains, in order."""
        return tuple(RECIPES[self.name])

    @property
    def outputs(self) -> Path:
        """Folder of this profile's runs, tables and figures (`G2G_OUTPUTS` moves the root, to Drive say)."""
        root = os.environ.get("G2G_OUTPUTS") or repo_root() / "outputs"
        return Path(root) / (self.outputs_name or self.name)


_SMOKE = "shows that everything runs, on two CPU cores and without network; its scores mean nothing"
_CPU = "the recipes of the quoted runs: half the report's size, an evening on two CPU cores"
PROFILES = {  # name, source, size, n_train, n_test, purpose
    "smoke": Profile("smoke", "bundled", 64, 48, 24, _SMOKE),
    "cpu": Profile("cpu", "coco_sample", 128, 8000, 2000, _CPU),
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
    name = profile or "auto"
    if name == "auto":
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


@dataclass(frozen=True)
class Recipe:
    """All that decides what a run learns, beside its photos. Edit with `dataclasses.replace(recipe, lr=1e-3)`.

    A run's id is made of the fields that differ from these defaults, so a new field with a default renames no run.
    """

    model: str  # one of MODELS
    epochs: int
    lr: float
    schedule: str = "constant"  # or one_cycle (then lr is its maximum) or linear_decay, see `g2g.training.fit`
    batch_size: int = 32
    seed: int = SEED
    width: int | None = None  # cnn, flow: channels of the first convolution
    resolution: str = "full"  # of the U-Net's answer: full or quarter, see `g2g.models.unet`
    encoder: str = "resnet18"  # of the U-Net: a key of `g2g.models.ENCODERS`
    weights: str | None = None  # unet: of the encoder: imagenet, None (random) or a path
    encoder_lr_mult: float = 1.0  # unet: the encoder's learning rate, as a share of lr; 0 freezes batch norm, too
    weight_decay: float = 0.0  # of AdamW; 0: Adam
    min_crop_side: float = 1.0  # training photos are cropped at random, to squares of this share of the side or more
    ema_decay: float = 0.0  # decay of the moving average of the weights, which is validated and kept; 0: none
    init_from: str | None = None  # the stage whose trained U-Net the run starts from
    steps_per_epoch: int | None = None  # batches of an epoch; None: all
    beta1: float = 0.9  # of Adam; in the cGAN, of both
    lambda_l1: float | None = None  # cgan: weight of the L1 term
    d_lr_mult: float | None = None  # cgan: D's learning rate, as a share of lr
    receptive_field: int | None = None  # cgan: of the PatchGAN, in px of what it judges
    r1: float = 0.0  # cgan: weight of the gradient penalty on D
    d_epochs: int = 0  # cgan: so many epochs, the first of all, D trains alone
    uniform: float | None = None  # palette: share of it in the class weights, see `g2g.palette.class_weights`

    def __post_init__(self):
        """Raise ValueError that names a field, what was given, and what is allowed."""
        optional = {field.name for field in dataclasses.fields(self) if field.default is None}
        needed = {
            "cnn": {"width"},
            "cgan": {"lambda_l1", "d_lr_mult", "receptive_field"},
            "palette": {"uniform"},
            "flow": {"width"},
        }
        optional -= needed.get(self.model, set())
        for field, (low, high) in _RANGES.items():
            value = getattr(self, field)
            if value is None and field in optional:
                continue
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise ValueError(f"recipe: {field} is {value!r}, expected a number from {low:g} to {high:g}")
        if self.model == "cgan" and (self.encoder_lr_mult not in (0, 1) or self.weight_decay):
            raise ValueError("recipe: the cGAN knows encoder_lr_mult 0 (frozen) or 1, and no weight_decay")


# Field: least and largest value. A field that may be None is not checked then.
_RANGES = {
    "epochs": (1, 100_000),
    "lr": (1e-12, 10),
    "batch_size": (1, 65_536),
    "seed": (0, 2**32 - 1),
    "width": (2, 1024),
    "encoder_lr_mult": (0, 100),
    "weight_decay": (0, 100),
    "min_crop_side": (0.05, 1),
    "ema_decay": (0, 0.999999),
    "steps_per_epoch": (1, 10**9),
    "beta1": (0, 0.999999),
    "lambda_l1": (0, 1e9),
    "d_lr_mult": (0, 1e6),
    "r1": (0, 1e9),
    "d_epochs": (0, 100_000),
    "uniform": (0, 1),
}

# 2e-4, β1 = 0.5 and λ = 100 as in pix2pix (Isola et al. 2017), the decay as in its authors' later PyTorch code;
# the report names β1 only. unet_long, the control, is the cGAN's recipe without the adversary.
_PIX2PIX = {"lr": 2e-4, "beta1": 0.5, "schedule": "linear_decay", "init_from": "unet"}
_GAN = _PIX2PIX | {"lambda_l1": 100.0}
_QUARTER = {"resolution": "quarter", "encoder": "efficientnet_lite0"}
# Chosen on validation photos (docs/training.md): against overfitting, and the same for all that start untrained
_STEADY = {"schedule": "one_cycle", "weight_decay": 0.05, "min_crop_side": 0.6, "ema_decay": 0.998}
_PRETRAINED = {"lr": 1e-3, "weights": "imagenet", "encoder_lr_mult": 0.3}
# A gentle adversary for a U-Net that is good already; its first 40 steps are D's alone
_GENTLE = {"steps_per_epoch": 40, "batch_size": 16, "lr": 1e-4, "encoder_lr_mult": 0.0, "ema_decay": 0.98}
_GENTLE_GAN = _GENTLE | {"lambda_l1": 30.0, "d_lr_mult": 2.0, "receptive_field": 16, "r1": 1.0, "d_epochs": 1}
# Only what follows the encoder is trained: with crops and a free encoder the answers were worse (docs/training.md)
_PALETTE = {"init_from": "unet", "uniform": 0.5, "lr": 1e-3, "schedule": "one_cycle", "encoder_lr_mult": 0, "ema_decay": 0.99}
_FLOW = {"init_from": "unet", "width": 64, "lr": 2e-3, "schedule": "one_cycle", "encoder_lr_mult": 0, "ema_decay": 0.999}
_PALETTE_ALONE = _QUARTER | _PRETRAINED | _STEADY | {"uniform": 0.5}  # where the U-Net is not the quarter one
RECIPES = {
    "smoke": {
        "cnn": Recipe("cnn", epochs=8, lr=3e-3, schedule="one_cycle", batch_size=16, width=16),
        "unet": Recipe("unet", epochs=4, lr=1e-3, schedule="one_cycle", batch_size=16, weights="imagenet", **_QUARTER),
        "unet_long": Recipe("unet_long", epochs=4, **_QUARTER, **_PIX2PIX | _GENTLE),
        "cgan": Recipe("cgan", epochs=4, **_QUARTER, **_PIX2PIX | _GENTLE_GAN),
        "palette": Recipe("palette", epochs=4, batch_size=16, **_QUARTER, **_PALETTE),
        "flow": Recipe("flow", epochs=8, batch_size=16, **_QUARTER, **_FLOW),
    },
    "cpu": {
        "cnn": Recipe("cnn", epochs=9, lr=2e-3, width=32, **_STEADY),
        "unet": Recipe("unet", epochs=8, **_QUARTER, **_PRETRAINED, **_STEADY),
        "unet_full": Recipe("unet_full", epochs=3, encoder="efficientnet_lite0", **_PRETRAINED, **_STEADY),
        "unet_long": Recipe("unet_long", epochs=41, **_QUARTER, **_PIX2PIX | _GENTLE),
        "cgan": Recipe("cgan", epochs=41, **_QUARTER, **_PIX2PIX | _GENTLE_GAN),
        "palette": Recipe("palette", epochs=4, **_QUARTER, **_PALETTE),
        "flow": Recipe("flow", epochs=18, steps_per_epoch=200, **_QUARTER, **_FLOW),
    },
    "class": {
        "cnn": Recipe("cnn", epochs=20, lr=2e-3, schedule="one_cycle", width=64),
        "unet": Recipe("unet", epochs=5, lr=1e-3, schedule="one_cycle", weights="imagenet"),
        "unet_long": Recipe("unet_long", epochs=5, **_PIX2PIX),
        "cgan": Recipe("cgan", epochs=5, d_lr_mult=0.25, receptive_field=70, **_GAN),
        "palette": Recipe("palette", epochs=8, **_PALETTE_ALONE),
        "flow": Recipe("flow", epochs=40, **_QUARTER, **_FLOW | {"init_from": "palette"}),
    },
    "report": {
        "cnn": Recipe("cnn", epochs=100, lr=1e-3, width=64),
        "unet": Recipe("unet", epochs=20, lr=1e-4, weights="imagenet"),
        "unet_long": Recipe("unet_long", epochs=20, **_PIX2PIX),
        "cgan": Recipe("cgan", epochs=20, d_lr_mult=1.0, receptive_field=70, **_GAN),
        "palette": Recipe("palette", epochs=8, **_PALETTE_ALONE),
        "flow": Recipe("flow", epochs=40, **_QUARTER, **_FLOW | {"init_from": "palette"}),
    },
}


def get_recipe(stage: str, profile: Profile | str | None = None) -> Recipe:
    """The table's recipe of a stage. ValueError for an unknown stage or profile lists the known ones.

    `G2G_WEIGHTS` replaces ResNet-18's ImageNet weights, which have to be downloaded: the path of a state dict, or
    `none` for random ones. (EfficientNet-Lite0's lie in the repository.)
    """
    profile = get_profile(profile)
    recipes = RECIPES[profile.name]
    if stage not in recipes:
        raise ValueError(f"unknown stage {stage!r}; known to {profile.name}: {', '.join(recipes)}")
    recipe = recipes[stage]
    asked = os.environ.get("G2G_WEIGHTS")
    if not asked or recipe.weights is None or recipe.encoder != "resnet18":
        return recipe
    return dataclasses.replace(recipe, weights=None if asked == "none" else asked)


def repo_root() -> Path:
    """The folder that holds `g2g/` and `notebooks/`."""
    return Path(__file__).resolve().parent.parent


def cache_root() -> Path:
    """Where downloads and prepared photos live: `G2G_CACHE`, else `data/cache` in the repository."""
    return Path(os.environ.get("G2G_CACHE") or repo_root() / "data" / "cache")
