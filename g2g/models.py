"""The networks: an encoder-decoder CNN, a ResNet-18 U-Net, and the PatchGAN discriminator.

Generators map L (B,1,H,W) in [-1, 1] to ab (B,2,H,W), see `g2g.lab.normalize`; any H and W from 32 px up.
"""

from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from fastai.vision.learner import create_body
from fastai.vision.models.unet import DynamicUnet
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18

MIN_SIZE = 32  # px; the deepest features of ResNet-18 are 32 times smaller than the photo

# ------------------------------------------------------------------------------------------- generators


class EncoderDecoder(nn.Module):
    """The baseline: four times convolve and pool down, four times upsample and convolve up, no skips.

    Upsampling is by nearest neighbour before a convolution: transposed convolutions leave checkerboards
    (Odena et al. 2016). The stages `encoder`, `latent`, `decoder`, `output` are named for the diagram.

    Args:
        width: channels after the first convolution; the latent has 8 times as many, H and W 16 times smaller.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        w1, w2, w4, w8 = (width * m for m in (1, 2, 4, 8))
        self.encoder = nn.Sequential(
            *(nn.Sequential(_conv(a, b), nn.MaxPool2d(2)) for a, b in ((1, w1), (w1, w2), (w2, w4), (w4, w8)))
        )
        self.latent = _conv(w8, w8)
        self.decoder = nn.Sequential(
            *(
                nn.Sequential(nn.Upsample(scale_factor=2), _conv(a, b))
                for a, b in ((w8, w4), (w4, w2), (w2, w1), (w1, w1 // 2))
            )
        )
        self.output = nn.Sequential(nn.Conv2d(w1 // 2, 2, 3, padding=1), nn.Tanh())

    def forward(self, L: torch.Tensor) -> torch.Tensor:
        """L (B,1,H,W) to ab (B,2,H,W) in [-1, 1]. Raises ValueError for another shape or below 32 px."""
        h, w = _check(L)
        L = F.pad(L, (0, -w % 16, 0, -h % 16), mode="replicate")  # four poolings need multiples of 16
        return self.output(self.decoder(self.latent(self.encoder(L))))[..., :h, :w]


def _conv(n_in, n_out):
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())


def resnet18_unet(weights: str | Path | None = "imagenet", size: int = 256) -> nn.Module:
    """A U-Net on fastai's `DynamicUnet`, its encoder a ResNet-18 whose first convolution sees one channel.

    That convolution gets the sum of the three RGB filters, as if gray were given three times.
    `model.layers[0]` is the encoder; the output has no bound.

    Args:
        weights: "imagenet" (torchvision's IMAGENET1K_V1, a download of 45 MB), None (random), or the path of
            a torchvision-format ResNet-18 state dict (.pth or .safetensors).
        size: side of the photos in px; fastai measures the encoder with it; other sizes work all the same.

    Raises:
        ValueError: size below 32, or a file that does not hold ResNet-18 weights.
        FileNotFoundError: no such file.
        RuntimeError: the ImageNet weights cannot be downloaded.
    """
    if size < MIN_SIZE:
        raise ValueError(f"size: expected at least {MIN_SIZE} px, got {size}")
    encoder = resnet18()
    if weights == "imagenet":
        try:
            state = ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
        except Exception as error:  # no network, a proxy, a wrong hash, a broken file in the cache
            raise RuntimeError(
                f"no ImageNet weights for the ResNet-18 encoder: {error!r}. Try again (first delete a broken "
                f"file in {torch.hub.get_dir()}/checkpoints), or fetch {ResNet18_Weights.IMAGENET1K_V1.url} "
                "elsewhere and give its path as weights= (G2G_WEIGHTS=PATH for all recipes), or train from scratch "
                "with weights=None (G2G_WEIGHTS=none)"
            ) from error
        encoder.load_state_dict(state)
    elif weights is not None:
        load_weights(encoder, weights)
    # create_body takes an instance; its `pretrained` only says whether the first filters are summed or new.
    return ResNetUnet(create_body(encoder, n_in=1, pretrained=weights is not None, cut=-2), size)


class ResNetUnet(DynamicUnet):
    """fastai's `DynamicUnet` from L to ab, without its surprises; `resnet18_unet` builds it."""

    def __init__(self, encoder: nn.Module, size: int):
        super().__init__(encoder, n_out=2, img_size=(size, size))
        self.layers.pop(-1)  # ToTensorBase: a fastai tensor sends torch.compile into endless recursion
        self.train()  # fastai leaves some layers in eval()

    def forward(self, L: torch.Tensor) -> torch.Tensor:
        """L (B,1,H,W) to ab (B,2,H,W), not bounded. Raises ValueError for another shape or below 32 px."""
        _check(L)
        ab = super().forward(L)
        for hook in self.sfs:
            hook.stored = None  # else the last batch stays in memory, and deepcopy fails
        return ab


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


def load_weights(model: nn.Module, path: str | Path) -> nn.Module:
    """Load a safetensors file or a torch state dict into `model`, every weight or none; returns the model.

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
    state = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")} | state
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
