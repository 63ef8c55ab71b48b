"""How far a coloured photo is from the true one: batched torch, one value per image.

Shapes are (B,C,H,W), float32 or float64, on any device; `rgb` is sRGB in [0, 1], `lab` is CIE Lab, `ab` is
a*/110 and b*/110. Another shape raises ValueError, and so do `rgb` values outside [0, 1].
"""

import socket
import warnings
from pathlib import Path

import torch
from skimage.color import deltaE_ciede2000
from skimage.metrics import structural_similarity
from torchvision.models import VGG16_Weights

from g2g.lab import AB_SCALE

DOWNLOAD_TIMEOUT = 10  # seconds that a server may be silent: torch's own download would wait for ever


def mae_ab(pred_ab, ab, where=None):
    """Mean absolute error of normalised ab (B,2,H,W), before any clipping; times 110 it is in CIE units.

    `where` (B,H,W), boolean, keeps only these pixels; an image without any gives NaN. Returns (B,).
    """
    _check(pred_ab, ab, 2)
    error = (pred_ab - ab).abs().mean(1)
    if where is None:
        return error.mean((1, 2))
    return (error * where).sum((1, 2)) / where.sum((1, 2))


def chroma(ab):
    """CIE chroma sqrt(a*² + b*²) of normalised ab (B,2,H,W): (B,H,W), 0 for gray, up to 134 in sRGB."""
    return AB_SCALE * ab.square().sum(1).sqrt()


def psnr(pred_rgb, rgb):
    """Peak signal-to-noise ratio in dB over all pixels and channels: (B,); infinite for equal images."""
    _check_rgb(pred_rgb, rgb)
    return -10 * torch.log10((pred_rgb - rgb).square().mean((1, 2, 3)))


def ssim(pred_rgb, rgb):
    """Structural similarity, mean over pixels and the three channels: (B,), 1 for equal images.

    scikit-image's, in the variant of Wang et al. 2004 (10.1109/TIP.2003.819861): Gaussian window of 11 x 11 px with
    sigma 1.5. An image smaller than the window raises ValueError.
    """
    _check_rgb(pred_rgb, rgb)
    variant = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    values = []
    for x, y in zip(pred_rgb.cpu().numpy(), rgb.cpu().numpy(), strict=True):
        values.append(structural_similarity(x, y, data_range=1, channel_axis=0, **variant))
    return rgb.new_tensor(values)


def ciede2000(lab1, lab2):
    """Colour difference CIEDE2000 per pixel: (B,H,W), about 1 where it is just noticeable; scikit-image's."""
    _check(lab1, lab2, 3)
    return lab1.new_tensor(deltaE_ciede2000(lab1.cpu().numpy(), lab2.cpu().numpy(), channel_axis=1))


def delta_e(lab1, lab2):
    """Mean CIEDE2000 per image: (B,)."""
    return ciede2000(lab1, lab2).mean((1, 2))


def colorfulness(rgb):
    """Colourfulness on 0-255 sRGB: (B,); 0 for gray, about 100 for vivid colours.

    Hasler & Süsstrunk 2003, "Measuring colourfulness in natural images" (doi 10.1117/12.477378).
    """
    _check_rgb(rgb, rgb)
    R, G, B = (255 * rgb).unbind(1)
    opponents = torch.stack([R - G, (R + G) / 2 - B], 1)
    variance, mean = torch.var_mean(opponents, (2, 3), correction=0)
    spread = variance.sum(1).sqrt()
    offset = mean.square().sum(1).sqrt()
    return spread + 0.3 * offset


class LPIPSUnavailable(RuntimeError):
    """LPIPS cannot be had; `reason` is the cause in a few words without paths, the message the remedy."""

    def __init__(self, reason, remedy):
        super().__init__(f"LPIPS cannot be computed: {reason}. {remedy}")
        self.reason = reason


class LPIPS:
    """LPIPS v0.1 on VGG-16 (Zhang et al. 2018, arXiv 1801.03924), frozen: `LPIPS()(pred_rgb, rgb)` -> (B,).

    VGG's ImageNet weights come from torch's cache, or are downloaded (528 MB) if `download` allows.

    Raises:
        LPIPSUnavailable: no lpips package or no weights, with the way out; random weights are never used.
    """

    def __init__(self, device="cpu", download=True):
        try:
            import lpips  # here, because without it all else works
        except ImportError as error:
            raise LPIPSUnavailable("the package lpips is not installed", "Run: pip install lpips") from error
        state = _vgg16_state(download)
        with warnings.catch_warnings():  # lpips 0.1.4 calls torchvision by its old argument names
            warnings.simplefilter("ignore", UserWarning)
            net = lpips.LPIPS(net="vgg", version="0.1", pnet_rand=True, verbose=False)  # random until below
        for part in net.net.children():
            part.load_state_dict({name: state[f"features.{name}"] for name in part.state_dict()})
        self.net, self.device = net.eval().requires_grad_(False).to(device), device

    @torch.no_grad()
    def __call__(self, pred_rgb, rgb):
        """Distance per image of sRGB in [0, 1], which the network sees in [-1, 1]: (B,); 8 at a time, for memory."""
        _check_rgb(pred_rgb, rgb)
        distances = []
        for x, y in zip(pred_rgb.split(8), rgb.split(8), strict=True):
            x, y = x.to(self.device), y.to(self.device)
            distances.append(self.net(2 * x - 1, 2 * y - 1).flatten())
        return torch.cat(distances)


def _vgg16_state(download):
    url = VGG16_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir(), "checkpoints", Path(url).name)
    remedy = f"Put torchvision's {path.name} (from {url}) at {path}"
    if not download and not path.is_file():
        raise LPIPSUnavailable(
            "the VGG-16 weights are not on this machine", f"{remedy}; this profile does not download"
        )
    if not path.is_file():
        print(f"LPIPS: downloading the VGG-16 weights, 528 MB, to {path}")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        state = torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
        state["features.28.weight"]  # the last layer LPIPS needs: KeyError from a file of something else
        return state
    except Exception as error:  # no network, a broken file, another network: each leaves no weights
        reason = f"the VGG-16 weights could not be loaded ({type(error).__name__})"
        raise LPIPSUnavailable(reason, f"{remedy}; the cause: {error}") from error
    finally:
        socket.setdefaulttimeout(before)


def _check(x, y, channels):
    if x.ndim != 4 or x.shape[1] != channels or x.shape != y.shape:
        got = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"expected two tensors (B,{channels},H,W) of one size, got {got}")


def _check_rgb(x, y):
    _check(x, y, 3)
    for rgb in (x, y):
        low, high = rgb.aminmax()
        if not (low >= 0 and high <= 1):  # written so that NaN fails too
            raise ValueError(f"expected sRGB in [0, 1] (B,3,H,W), got values in [{low:.3g}, {high:.3g}]")
