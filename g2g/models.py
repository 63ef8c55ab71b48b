"""The networks: an encoder-decoder CNN, two U-Nets on an ImageNet encoder, and the PatchGAN discriminator.

Generators map L (B,1,H,W) in [-1, 1] to ab (B,2,H,W), see `g2g.lab.normalize`; any H and W from 32 px up.
"""

from itertools import pairwise
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from timm.models import load_state_dict
from torch import nn

from g2g.profiles import repo_root

MIN_SIZE = 32  # px; the deepest features of an encoder are 32 times smaller than the photo


def conv_block(channels_in: int, channels_out: int, kernel=3) -> nn.Sequential:
    """Convolution that keeps H and W, batch norm, ReLU."""
    convolution = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU())


class EncoderDecoder(nn.Module):
    """The baseline: four times convolve and pool down, four times upsample and convolve up, no skips.

    Upsampling is by nearest neighbor: transposed convolutions leave checkerboards (Odena et al. 2016). `width` is the
    number of channels after the first convolution; the latent has 8 times as many, H and W 16 times smaller.
    """

    def __init__(self, width=64):
        super().__init__()
        down = [1, width, 2 * width, 4 * width, 8 * width]
        up = [8 * width, 4 * width, 2 * width, width, width // 2]
        self.encoder = nn.Sequential()
        for channels in pairwise(down):
            self.encoder.append(nn.Sequential(conv_block(*channels), nn.MaxPool2d(2)))
        self.latent = conv_block(8 * width, 8 * width)
        self.decoder = nn.Sequential()
        for channels in pairwise(up):
            self.decoder.append(nn.Sequential(nn.Upsample(scale_factor=2), conv_block(*channels)))
        self.output = nn.Sequential(nn.Conv2d(width // 2, 2, 3, padding=1), nn.Tanh())

    def forward(self, L):
        """L (B,1,H,W) to ab (B,2,H,W) in [-1, 1]. Raises ValueError for another shape or below 32 px."""
        height, width = _check(L)
        L = F.pad(L, (0, -width % 16, 0, -height % 16), mode="replicate")  # four poolings need multiples of 16
        return self.output(self.decoder(self.latent(self.encoder(L))))[..., :height, :width]


# In timm. "tf_": strided convolutions pad as TensorFlow does, as the weights expect. "tv_in1k": torchvision's weights.
ENCODERS = {"efficientnet_lite0": "tf_efficientnet_lite0.in1k", "resnet18": "resnet18.tv_in1k"}


def imagenet_classifier(name: str, weights: str | Path | None = "imagenet", in_chans=3):
    """One of `ENCODERS` as timm builds it, whole: RGB (B,3,H,W) to the logits of 1,000 classes.

    EfficientNet-Lite0 takes RGB in [-1, 1]; ResNet-18 takes RGB minus ImageNet's mean, divided by its deviation. With
    `in_chans` 1 it takes gray (B,1,H,W): timm sums the first RGB filters, as if gray were given three times.

    `weights` is "imagenet" (the file in results/weights if it is there, else a download), None (random), or the path
    of a state dict. Raises ValueError for an unknown name, RuntimeError for weights that are not there or do not fit.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r}; known: {', '.join(ENCODERS)}")
    ours = repo_root() / "results" / "weights" / f"{name}.safetensors"
    file = ours if weights == "imagenet" and ours.is_file() else weights
    source = {} if file in (None, "imagenet") else {"file": str(file)}
    try:
        return timm.create_model(ENCODERS[name], weights is not None, pretrained_cfg_overlay=source, in_chans=in_chans)
    except Exception as error:  # no network, a proxy, a broken file, here or in the cache of timm
        raise RuntimeError(
            f"no ImageNet weights for the encoder {name} from {file}: {_beginning(error)}. Give the path of a state "
            "dict by G2G_WEIGHTS=PATH or weights=PATH, or train from scratch by G2G_WEIGHTS=none or weights=None"
        ) from error


class QuarterUnet(nn.Module):
    """A U-Net on an `imagenet_classifier` for one channel, of which the classifier itself is removed.

    It predicts at a quarter of the resolution and enlarges that, for color is smoother than lightness.
    """

    def __init__(self, encoder):
        super().__init__()
        widths = [192, 128, 96, 64]  # channels of the decoder at strides 32, 16, 8 and 4
        encoder.prune_intermediate_layers(4, prune_head=True)
        self.encoder = encoder
        _, *skips, deepest = (feature["num_chs"] for feature in encoder.feature_info)
        self.bottom = conv_block(deepest, widths[0], kernel=1)
        self.decoder = nn.ModuleList()
        for below, width, skip in zip(widths, widths[1:], reversed(skips), strict=False):
            self.decoder.append(nn.Sequential(conv_block(below + skip, width, kernel=1), conv_block(width, width)))
        self.head = nn.Conv2d(widths[-1], 2, 1)
        nn.init.zeros_(self.head.weight)  # the first prediction is gray, from which color is learned quickly
        nn.init.zeros_(self.head.bias)

    def features(self, L):
        """What the encoder hands over: the skips, at strides 4, 8 and 16, and the deepest features, at stride 32."""
        _, *skips, deepest = self.encoder.forward_intermediates(L, indices=5, intermediates_only=True)
        return skips, deepest

    def decode(self, L):
        """L (B,1,H,W) to the last features (B,64,H/4,W/4), rounded up, of which the prediction is made."""
        _check(L)
        skips, deepest = self.features(L)
        x = self.bottom(deepest)
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[2:])
            x = block(torch.cat([x, skip], dim=1))
        return x

    def quarter(self, L):
        """L (B,1,H,W) to ab (B,2,H/4,W/4), rounded up, not bounded."""
        return self.head(self.decode(L))

    def forward(self, L):
        """L (B,1,H,W) to ab (B,2,H,W), not bounded. Raises ValueError for another shape or below 32 px."""
        return F.interpolate(self.quarter(L), size=L.shape[2:], mode="bilinear")


class FullUnet(nn.Module):
    """The report's U-Net: fastai's `DynamicUnet`, up to the full resolution. It measures the encoder at `size` px."""

    def __init__(self, encoder, size: int):
        from fastai.vision.models.unet import DynamicUnet  # here: it takes seconds, and only this class needs it

        super().__init__()
        layers = []  # those before the classifier, one after the other
        for name, layer in encoder.named_children():
            if name in ("conv_head", "global_pool"):  # of EfficientNet and of ResNet
                break
            layers += layer if name == "blocks" else [layer]
        self.net = DynamicUnet(nn.Sequential(*layers), n_out=2, img_size=(size, size))
        self.net.layers.pop(-1)  # ToTensorBase: a fastai tensor sends torch.compile into endless recursion
        self.train()  # fastai leaves some layers in eval()

    @property
    def encoder(self):
        return self.net.layers[0]

    def forward(self, L):
        """L (B,1,H,W) to ab (B,2,H,W), not bounded. Raises ValueError for another shape or below 32 px."""
        _check(L)
        ab = self.net(L)
        for hook in self.net.sfs:
            hook.stored = None  # else the last batch stays in memory, and deepcopy fails
        return ab


def unet(resolution="quarter", encoder="efficientnet_lite0", weights="imagenet", size=256):
    """`QuarterUnet` or, with resolution "full", `FullUnet` for photos of `size` px, at least 32.

    Encoder and weights, and what raises, are those of `imagenet_classifier`. Raises ValueError for another resolution.
    """
    if resolution not in ("quarter", "full"):
        raise ValueError(f"unknown resolution {resolution!r}; known: quarter, full")
    if size < MIN_SIZE:
        raise ValueError(f"size: expected at least {MIN_SIZE} px, got {size}")
    network = imagenet_classifier(encoder, weights, in_chans=1)
    return QuarterUnet(network) if resolution == "quarter" else FullUnet(network, size)


_DEPTHS = {1: 1, 16: 1, 34: 2, 70: 3, 286: 5}  # receptive field: number of convolutions between first and last


class PatchGAN(nn.Module):
    """The discriminator of pix2pix (Isola et al. 2017, 6.1.2): one logit per patch, on L and ab together.

    4x4 convolutions C64-C128-C256-C512 with LeakyReLU 0.2, batch norm on all but the first and the last; 1 px is the
    PixelGAN of 1x1 convolutions C64-C128. Weights start as N(0, 0.02). `receptive_field` is the side of a patch in px,
    `width` the number of channels of the first convolution, `min_size` the least H and W in px that give a logit.
    """

    def __init__(self, receptive_field=70, width=64):
        super().__init__()
        if receptive_field not in _DEPTHS:
            raise ValueError(f"receptive_field: expected one of {[*_DEPTHS]}, got {receptive_field!r}")
        self.receptive_field, depth = receptive_field, _DEPTHS[receptive_field]
        kernel, stride, padding = (4, 2, 1) if receptive_field > 1 else (1, 1, 0)
        self.min_size = 3 * 2**depth if receptive_field > 1 else 1
        channels = [width * min(2**i, 8) for i in range(depth + 1)]
        self.layers = nn.Sequential(nn.Conv2d(3, width, kernel, stride, padding), nn.LeakyReLU(0.2))
        for i, pair in enumerate(pairwise(channels), start=1):
            convolution = nn.Conv2d(*pair, kernel, stride if i < depth else 1, padding, bias=False)
            self.layers.extend([convolution, nn.BatchNorm2d(channels[i]), nn.LeakyReLU(0.2)])
        self.layers.append(nn.Conv2d(channels[-1], 1, kernel, 1, padding))
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, 0 if parameter.ndim == 4 else 1, 0.02)  # batch norm scales by about 1

    def forward(self, L, ab):
        """L (B,1,H,W), ab (B,2,H,W) to logits (B,1,h,w), positive where it looks real. ValueError for other shapes."""
        h, w = _check(L, self.min_size, f"PatchGAN({self.receptive_field})")
        if ab.shape != (L.shape[0], 2, h, w):
            raise ValueError(f"ab: expected {(L.shape[0], 2, h, w)} to go with L, got {tuple(ab.shape)}")
        return self.layers(torch.cat([L, ab], dim=1))


class Mirrored(nn.Module):
    """The mean of the predictions for a photo and for its mirror image. Not for a flow: the mean of draws is grayer."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.train(getattr(model, "training", False))

    def forward(self, L):
        """L (B,1,H,W) to ab (B,2,H,W). Raises what the model raises."""
        return (self.model(L) + self.model(L.flip(-1)).flip(-1)) / 2


@torch.no_grad()
def predict(model, L, batch_size=32):
    """The colors that `model` predicts: ab (B,2,H,W), float32, on the device of L, not clipped, without gradients.

    `model` is a generator (used in eval mode, on its own device) or any function of L (B,1,H,W) in [-1, 1], which gets
    `batch_size` photos at a time. Raises ValueError where the prediction has another shape or is not finite.
    """
    device, was_training = L.device, getattr(model, "training", False)
    if isinstance(model, nn.Module):
        device = next(model.parameters(), L).device
        model.eval()
    ab = torch.cat([model(part.to(device)).float().to(L.device) for part in L.split(batch_size)])
    if was_training:
        model.train()
    if ab.shape != (len(L), 2, *L.shape[2:]):
        raise ValueError(f"the model predicts {tuple(ab.shape)}, expected ab for L {tuple(L.shape)}")
    if not ab.isfinite().all():
        raise ValueError("the model predicts NaN or infinity: its training diverged, or its weights are damaged")
    return ab


def count_parameters(model) -> int:
    """Number of trainable and frozen parameters."""
    return sum(p.numel() for p in model.parameters())


def load_weights(model, path: str | Path, changes=False):
    """Load a safetensors file or a torch state dict into `model`, which it has to fit exactly; returns the model.

    With `changes`, the file holds some weights only, and the others stay as they are. Raises FileNotFoundError, and
    ValueError for a file that is no state dict, is damaged, or does not fit; some weights may be loaded then.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights at {path}")
    try:
        state = load_state_dict(path, use_ema=False, weights_only=True)
        model.load_state_dict(model.state_dict() | state if changes else state)
    except Exception as error:  # garbage can make an unpickler raise anything
        raise ValueError(f"{path} does not fit {type(model).__name__}, or is damaged: {_beginning(error)}") from error
    return model


def _beginning(error):
    """The first 300 letters of an error on one line, for torch lists every weight that does not fit."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _check(L, min_size=MIN_SIZE, who="the generator"):
    if L.ndim != 4 or L.shape[1] != 1:
        raise ValueError(f"L: expected (B,1,H,W), got {tuple(L.shape)}")
    if min(L.shape[-2:]) < min_size:
        raise ValueError(f"L: {who} needs at least {min_size} px a side, got {tuple(L.shape[-2:])}")
    return L.shape[-2:]
