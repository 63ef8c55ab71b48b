"""The networks: an encoder-decoder CNN, two U-Nets on an ImageNet encoder, and the PatchGAN discriminator.

Generators map L (B,1,H,W) in [-1, 1] to ab (B,2,H,W), see `g2g.lab.normalize`; any H and W from 32 px up.
"""

from pathlib import Path

import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from fastai.vision.learner import create_body
from fastai.vision.models.unet import DynamicUnet
from torch import nn

from g2g.profiles import repo_root

MIN_SIZE = 32  # px; the deepest features of an encoder are 32 times smaller than the photo

# ----------------------------------------------------------------------------------------------- blocks


def conv_block(channels_in: int, channels_out: int, kernel: int = 3) -> nn.Sequential:
    """Convolution that keeps H and W, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


# -------------------------------------------------------------------------------------------------- CNN


class EncoderDecoder(nn.Module):
    """The baseline: four times convolve and pool down, four times upsample and convolve up, no skips.

    Upsampling is by nearest neighbor before a convolution: transposed convolutions leave checkerboards
    (Odena et al. 2016).

    Args:
        width: channels after the first convolution; the latent has 8 times as many, H and W 16 times smaller.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        down = [1, width, 2 * width, 4 * width, 8 * width]
        up = [8 * width, 4 * width, 2 * width, width, width // 2]
        self.encoder = nn.Sequential()
        for channels_in, channels_out in zip(down, down[1:], strict=False):
            self.encoder.append(nn.Sequential(conv_block(channels_in, channels_out), nn.MaxPool2d(2)))
        self.latent = conv_block(8 * width, 8 * width)
        self.decoder = nn.Sequential()
        for channels_in, channels_out in zip(up, up[1:], strict=False):
            self.decoder.append(nn.Sequential(nn.Upsample(scale_factor=2), conv_block(channels_in, channels_out)))
        self.output = nn.Sequential(nn.Conv2d(width // 2, 2, 3, padding=1), nn.Tanh())

    def forward(self, L: torch.Tensor) -> torch.Tensor:
        """L (B,1,H,W) to ab (B,2,H,W) in [-1, 1]. Raises ValueError for another shape or below 32 px."""
        height, width = _check(L)
        L = F.pad(L, (0, -width % 16, 0, -height % 16), mode="replicate")  # four poolings need multiples of 16
        return self.output(self.decoder(self.latent(self.encoder(L))))[..., :height, :width]


# --------------------------------------------------------------------------------------------- encoders

# Networks that timm has with ImageNet weights. "tf_": strided convolutions pad as TensorFlow does, as these weights
# expect. "tv_in1k": torchvision's weights.
ENCODERS = {"efficientnet_lite0": "tf_efficientnet_lite0.in1k", "resnet18": "resnet18.tv_in1k"}


def imagenet_classifier(name: str, weights: str | Path | None = "imagenet") -> nn.Module:
    """One of `ENCODERS` as timm builds it, whole: RGB (B,3,H,W) to the logits of 1,000 classes.

    EfficientNet-Lite0 takes RGB in [-1, 1]; ResNet-18 takes RGB minus ImageNet's mean, divided by its deviation.

    Args:
        weights: "imagenet" (the file in results/weights if it is there, else a download), None (random), or the
            path of a state dict (.pth or .safetensors).

    Raises:
        ValueError: an unknown name, or a file that is damaged or of another network.
        FileNotFoundError: no such file.
        RuntimeError: the weights cannot be downloaded.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r}; known: {', '.join(ENCODERS)}")
    shipped = repo_root() / "results" / "weights" / f"{name}.safetensors"
    if weights == "imagenet" and not shipped.is_file():
        return _downloaded(name)
    network = timm.create_model(ENCODERS[name], pretrained=False)
    if weights is not None:
        load_weights(network, shipped if weights == "imagenet" else weights)
    return network


def _downloaded(name):
    try:
        return timm.create_model(ENCODERS[name], pretrained=True)
    except Exception as error:  # no network, a proxy, a broken file in the cache
        raise RuntimeError(
            f"no ImageNet weights for the encoder {name}: {error!r}. Try again with a network, or give the path of a "
            "state dict as weights= (G2G_WEIGHTS=PATH for all recipes), or train from scratch with weights=None "
            "(G2G_WEIGHTS=none)"
        ) from error


# ----------------------------------------------------------------------------------------------- U-Nets


class QuarterUnet(nn.Module):
    """A U-Net that answers at a quarter of the resolution and enlarges its answer: color is smoother than lightness.

    Args:
        encoder: a timm network with features at strides 2, 4, 8, 16 and 32, of `imagenet_classifier`. Its first
            convolution is changed to see one channel: the sum of the RGB filters, as if gray were given three times.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        widths = [192, 128, 96, 64]  # channels of the decoder at strides 32, 16, 8 and 4
        see_gray(encoder)
        encoder.prune_intermediate_layers(4, prune_head=True)  # the classifier
        self.encoder = encoder
        _, *skips, deepest = (feature["num_chs"] for feature in encoder.feature_info)
        self.bottom = conv_block(deepest, widths[0], kernel=1)
        self.decoder = nn.ModuleList()
        for below, width, skip in zip(widths, widths[1:], reversed(skips), strict=False):
            self.decoder.append(nn.Sequential(conv_block(below + skip, width, kernel=1), conv_block(width, width)))
        self.head = nn.Conv2d(widths[-1], 2, 1)
        nn.init.zeros_(self.head.weight)  # the first answer is gray, from which color is learned quickly
        nn.init.zeros_(self.head.bias)

    def features(self, L: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """What the encoder hands over: the skips, at strides 4, 8 and 16, and the deepest features, at stride 32."""
        _, *skips, deepest = self.encoder.forward_intermediates(L, indices=5, intermediates_only=True)
        return skips, deepest

    def decode(self, L: torch.Tensor) -> torch.Tensor:
        """L (B,1,H,W) to the last features (B,64,H/4,W/4), rounded up, of which the answer is made."""
        _check(L)
        skips, deepest = self.features(L)
        x = self.bottom(deepest)
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[2:])
            x = block(torch.cat([x, skip], dim=1))
        return x

    def quarter(self, L: torch.Tensor) -> torch.Tensor:
        """L (B,1,H,W) to ab (B,2,H/4,W/4), rounded up, not bounded."""
        return self.head(self.decode(L))

    def forward(self, L: torch.Tensor) -> torch.Tensor:
        """L (B,1,H,W) to ab (B,2,H,W), not bounded. Raises ValueError for another shape or below 32 px."""
        return F.interpolate(self.quarter(L), size=L.shape[2:], mode="bilinear")


def see_gray(network: nn.Module) -> None:
    """Let the first convolution of an RGB network take one channel: the sum of its three filters."""
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    first.weight = nn.Parameter(first.weight.detach().sum(dim=1, keepdim=True))
    first.in_channels = 1


class FullUnet(DynamicUnet):
    """The report's U-Net: fastai's `DynamicUnet`, which decodes up to the full resolution, without its surprises.

    Args:
        encoder: a network of `imagenet_classifier`; `layers[0]` holds its features, again with summed filters.
        size: side of the photos in px; fastai measures the encoder with it; other sizes work all the same.
        pretrained: the encoder's filters mean something: sum them for the gray input instead of drawing new ones.
    """

    def __init__(self, encoder: nn.Module, size: int, pretrained: bool = True):
        if size < MIN_SIZE:
            raise ValueError(f"size: expected at least {MIN_SIZE} px, got {size}")
        # create_body takes an instance; its `pretrained` only says whether the first filters are summed or new
        body = create_body(encoder, n_in=1, pretrained=pretrained, cut=_features)
        super().__init__(body, n_out=2, img_size=(size, size))
        self.layers.pop(-1)  # ToTensorBase: a fastai tensor sends torch.compile into endless recursion
        self.train()  # fastai leaves some layers in eval()

    @property
    def encoder(self) -> nn.Module:
        return self.layers[0]

    def forward(self, L: torch.Tensor) -> torch.Tensor:
        """L (B,1,H,W) to ab (B,2,H,W), not bounded. Raises ValueError for another shape or below 32 px."""
        _check(L)
        ab = super().forward(L)
        for hook in self.sfs:
            hook.stored = None  # else the last batch stays in memory, and deepcopy fails
        return ab


def _features(network):
    """The layers before the classifier, one after the other, as `DynamicUnet` needs them."""
    layers = []
    for name, layer in network.named_children():
        if name in ("conv_head", "global_pool"):  # of EfficientNet and of ResNet
            break
        layers += layer if name == "blocks" else [layer]
    return nn.Sequential(*layers)


UNETS = ("quarter", "full")


def unet(
    resolution: str = "quarter",
    encoder: str = "efficientnet_lite0",
    weights: str | Path | None = "imagenet",
    size: int = 256,
) -> nn.Module:
    """A U-Net from L to ab: `QuarterUnet` or `FullUnet` on an encoder of `imagenet_classifier`, which says what raises.

    Args:
        resolution: "quarter" or "full": where the decoder ends.
        encoder, weights: as in `imagenet_classifier`.
        size: side of the photos in px (`FullUnet` only).

    Raises:
        ValueError: another resolution, or a size below 32.
    """
    if resolution not in UNETS:
        raise ValueError(f"unknown resolution {resolution!r}; known: {', '.join(UNETS)}")
    network = imagenet_classifier(encoder, weights)
    if resolution == "quarter":
        return QuarterUnet(network)
    return FullUnet(network, size, pretrained=weights is not None)


# ----------------------------------------------------------------------------------------- discriminator

_STRIDED = {16: 1, 34: 2, 70: 3, 286: 5}  # receptive field: number of 4x4 convolutions with stride 2


class PatchGAN(nn.Module):
    """The discriminator of pix2pix (Isola et al. 2017, 6.1.2): one verdict per patch, on L and ab together.

    4x4 convolutions C64-C128-C256-C512 with LeakyReLU 0.2, batch norm on all but the first and the last; 1 px
    is the PixelGAN of 1x1 convolutions C64-C128. Weights start as N(0, 0.02).

    Args:
        receptive_field: side of a patch in px: 1, 16, 34, 70 or 286.
        width: channels of the first convolution.

    Attributes:
        min_size: smallest H and W in px that give a verdict, thanks to padding below the receptive field:
            1, 6, 12, 24 or 96.
    """

    def __init__(self, receptive_field: int = 70, width: int = 64):
        super().__init__()
        if receptive_field != 1 and receptive_field not in _STRIDED:
            raise ValueError(
                f"receptive_field: expected one of 1, {str(list(_STRIDED))[1:-1]}, got {receptive_field!r}"
            )
        self.receptive_field = receptive_field
        if receptive_field == 1:
            channels, strides, kernel, padding = [3, width, width * 2, 1], [1, 1, 1], 1, 0
        else:
            n = _STRIDED[receptive_field]
            channels = [3, *(width * min(2**i, 8) for i in range(n + 1)), 1]
            strides, kernel, padding = [2] * n + [1, 1], 4, 1
        self.min_size = 1 if kernel == 1 else 3 * 2 ** strides.count(2)
        layers = []
        for i, stride in enumerate(strides):
            inner = 0 < i < len(strides) - 1
            layers.append(nn.Conv2d(channels[i], channels[i + 1], kernel, stride, padding, bias=not inner))
            if inner:
                layers.append(nn.BatchNorm2d(channels[i + 1]))
            if i < len(strides) - 1:
                layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers)
        self.apply(_init_pix2pix)

    def forward(self, L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
        """L (B,1,H,W) and ab (B,2,H,W) to logits (B,1,h,w), positive where a patch looks real.

        Raises:
            ValueError: shapes that do not belong together, or an input below `min_size`.
        """
        h, w = _check(L, self.min_size, f"PatchGAN({self.receptive_field})")
        if ab.shape != (L.shape[0], 2, h, w):
            raise ValueError(f"ab: expected {(L.shape[0], 2, h, w)} to go with L, got {tuple(ab.shape)}")
        return self.layers(torch.cat([L, ab], dim=1))


def _init_pix2pix(module):
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


# ------------------------------------------------------------------------------------------- prediction


@torch.no_grad()
def predict(model, L: torch.Tensor, batch_size: int = 32) -> torch.Tensor:
    """What `model` answers: ab (B,2,H,W), float32, on the device of L, not clipped, without gradients.

    Args:
        model: a generator (used in eval mode, on its own device), or any function L -> ab.
        L: lightness (B,1,H,W) in [-1, 1].
        batch_size: photos at a time.

    Raises:
        ValueError: the answer has another shape, or is not finite.
    """
    device, was_training = L.device, getattr(model, "training", False)
    if isinstance(model, nn.Module):
        device = next(model.parameters(), L).device
        model.eval()
    answers = [model(part.to(device)).float().to(L.device) for part in L.split(batch_size)]
    if was_training:
        model.train()
    ab = torch.cat(answers)
    expected = (len(L), 2, *L.shape[2:])
    if ab.shape != expected:
        raise ValueError(f"the model answers {tuple(ab.shape)}, expected ab {expected}")
    if not ab.isfinite().all():
        raise ValueError("the model predicts NaN or infinity: its training diverged, or its weights are damaged")
    return ab


# ---------------------------------------------------------------------------------------------- helpers


def count_parameters(model: nn.Module) -> int:
    """Number of trainable and frozen parameters."""
    return sum(p.numel() for p in model.parameters())


def load_weights(model: nn.Module, path: str | Path, changes: bool = False) -> nn.Module:
    """Load a safetensors file or a torch state dict into `model`, every weight or none; returns the model.

    With `changes`, the file holds some weights only, and the others stay as they are.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no checkpoint, or does not fit the model.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # garbage can make an unpickler raise anything
        raise ValueError(f"{path} is not a checkpoint that can be loaded safely: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ValueError(f"{path} is not a state dict (names to tensors); save model.state_dict()")
    own = model.state_dict()
    # Old torchvision files lack this counter, which nothing here uses.
    state = {k: v for k, v in own.items() if changes or k.endswith("num_batches_tracked")} | state
    wrong = [
        f"{len(names)} {what}, such as {sorted(names)[0]}"
        for what, names in (
            ("weights missing", own.keys() - state.keys()),
            ("not in the model", state.keys() - own.keys()),
            ("of another shape", {k for k in own.keys() & state.keys() if own[k].shape != state[k].shape}),
        )
        if names
    ]
    if wrong:
        raise ValueError(f"{path} does not fit {type(model).__name__}: {'; '.join(wrong)}")
    model.load_state_dict(state)
    return model


def _check(L, min_size=MIN_SIZE, who="the generator"):
    if L.ndim != 4 or L.shape[1] != 1:
        raise ValueError(f"L: expected (B,1,H,W), got {tuple(L.shape)}")
    if min(L.shape[-2:]) < min_size:
        raise ValueError(f"L: {who} needs at least {min_size} px a side, got {tuple(L.shape[-2:])}")
    return L.shape[-2:]
