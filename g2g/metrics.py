"""How far a coloured photo is from the true one: batched torch, one value per image.

Shapes are (B,C,H,W), float32 or float64, on any device; `rgb` is sRGB in [0, 1], `lab` is CIE Lab, `ab` is
a*/110 and b*/110. Another shape raises ValueError, and so do `rgb` values outside [0, 1].
"""

import contextlib
import math
import socket
import warnings
from pathlib import Path

import torch

from g2g.lab import AB_SCALE

NEAR_GRAY = 5.0  # CIE chroma below which a pixel counts as near-gray: about where colour begins to be noticed


def mae_ab(pred_ab, ab, where=None):
    """Mean absolute error of normalised ab (B,2,H,W), before any clipping; times 110 it is in CIE units.

    `where` (B,H,W), boolean, keeps only these pixels; an image without any gives NaN. Returns (B,).
    """
    _check(pred_ab, ab, 2)
    error = (pred_ab - ab).abs().mean(1)
    return error.mean((1, 2)) if where is None else (error * where).sum((1, 2)) / where.sum((1, 2))


def chroma(ab):
    """CIE chroma sqrt(a*² + b*²) of normalised ab (B,2,H,W): (B,H,W), 0 for gray, up to 134 in sRGB."""
    return AB_SCALE * ab.square().sum(1).sqrt()


def psnr(pred_rgb, rgb):
    """Peak signal-to-noise ratio in dB over all pixels and channels: (B,); infinite for equal images."""
    _check_rgb(pred_rgb, rgb)
    return -10 * torch.log10((pred_rgb - rgb).square().mean((1, 2, 3)))


def ssim(pred_rgb, rgb):
    """Structural similarity, mean over pixels and the three channels: (B,), 1 for equal images.

    The variant of Wang et al. 2004 (10.1109/TIP.2003.819861): Gaussian window of 11 x 11 px with sigma 1.5,
    population covariance, K1 = 0.01, K2 = 0.03, without the 5 px at the border. Same as scikit-image's
    `structural_similarity` with data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False.

    Raises:
        ValueError: an image smaller than the window.
    """
    _check_rgb(pred_rgb, rgb)
    if min(rgb.shape[-2:]) < 11:
        raise ValueError(f"SSIM's window is 11 x 11 px, the image only {rgb.shape[-2]} x {rgb.shape[-1]}")
    # Eight at a time: on a CPU several times faster than a whole batch, whose planes fit no cache
    return torch.cat([_ssim(x, y) for x, y in zip(pred_rgb.split(8), rgb.split(8), strict=True)])


def _ssim(x, y):
    mx, my, squares, product = _blur(torch.cat([x, y, x**2 + y**2, x * y])).chunk(4)
    c1, c2 = 0.01**2, 0.03**2
    means, mean_squares = mx * my, mx**2 + my**2
    luminance = (2 * means + c1) / (mean_squares + c1)
    structure = (2 * (product - means) + c2) / (squares - mean_squares + c2)
    return (luminance * structure).mean((1, 2, 3))


def _blur(x):
    # Plain sums: a convolution would run in TF32 on a GPU and lose the digits, and is no faster on a CPU.
    taps = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
    taps = [tap / sum(taps) for tap in taps]
    for dim in (-2, -1):
        n = x.shape[dim] - 10
        blurred = x.narrow(dim, 5, n) * taps[5]
        for i in range(5):
            blurred.add_(x.narrow(dim, i, n) + x.narrow(dim, 10 - i, n), alpha=taps[i])
        x = blurred
    return x


def ciede2000(lab1, lab2):
    """Colour difference CIEDE2000 (kL = kC = kH = 1) per pixel: (B,H,W), about 1 where it is just noticeable.

    Formulas and branches: Sharma, Wu and Dalal 2005, "The CIEDE2000 color-difference formula" (doi
    10.1002/col.20070).
    """
    _check(lab1, lab2, 3)
    (L1, a1, b1), (L2, a2, b2) = lab1.unbind(1), lab2.unbind(1)
    stretch = 1.5 - 0.5 * _high_chroma((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2)
    a1, a2 = a1 * stretch, a2 * stretch
    C1, C2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = (torch.atan2(b, a).remainder(2 * math.pi) for a, b in ((a1, b1), (a2, b2)))

    dh, total, product = h2 - h1, h1 + h2, C1 * C2
    # The short way round the hue circle crosses 0; opposite hues stay opposite in spite of float32 rounding
    far = (dh.abs() > math.pi + 1e-6) & (product > 0)
    across = torch.where(total < 2 * math.pi, total / 2 + math.pi, total / 2 - math.pi)
    hue = torch.where(product > 0, torch.where(far, across, total / 2), total)  # gray has no hue
    dH = 2 * product.sqrt() * torch.sin(dh / 2) * (1 - 2 * far.int())
    L, C = (L1 + L2) / 2, (C1 + C2) / 2
    T = (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )
    l_term = (L2 - L1) / (1 + 0.015 * (L - 50) ** 2 / (20 + (L - 50) ** 2).sqrt())
    c_term = (C2 - C1) / (1 + 0.045 * C)
    h_term = dH / (1 + 0.015 * C * T)
    blue = math.radians(60) * torch.exp(-(((hue - math.radians(275)) / math.radians(25)) ** 2))
    rotation = -2 * _high_chroma(C) * torch.sin(blue) * c_term * h_term
    return (l_term**2 + c_term**2 + h_term**2 + rotation).clamp(min=0).sqrt()


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
    return variance.sum(1).sqrt() + 0.3 * mean.square().sum(1).sqrt()


class LPIPSUnavailable(RuntimeError):
    """LPIPS cannot be had; `reason` is the cause in a few words without paths, the message the remedy."""

    def __init__(self, reason, remedy):
        super().__init__(f"LPIPS cannot be computed: {reason}. {remedy}")
        self.reason = reason


class LPIPS:
    """LPIPS v0.1 on VGG-16 (Zhang et al. 2018, arXiv 1801.03924), frozen: `LPIPS()(x, y)` -> (B,).

    Args:
        weights: file with torchvision's VGG-16 state dict (ImageNet); None takes it from torch's cache, or
            downloads it (528 MB) if `download` allows.
        device: where it computes.

    Raises:
        LPIPSUnavailable: no lpips package or no weights, with the way out; random weights are never used.
    """

    def __init__(self, weights=None, device="cpu", download=True):
        try:
            import lpips
        except ImportError as error:
            raise LPIPSUnavailable("the package lpips is not installed", "Run: pip install lpips") from error
        state = _vgg16_state(weights, download)
        with warnings.catch_warnings():  # lpips 0.1.4 calls torchvision by its old argument names
            warnings.simplefilter("ignore", UserWarning)
            net = lpips.LPIPS(net="vgg", version="0.1", pnet_rand=True, verbose=False)  # random until below
        for part in net.net.children():
            part.load_state_dict(
                {
                    f"{i}.{kind}": state[f"features.{i}.{kind}"]
                    for i, layer in part.named_children()
                    if hasattr(layer, "weight")
                    for kind in ("weight", "bias")
                }
            )
        self.net, self.device = net.eval().requires_grad_(False).to(device), device

    @torch.no_grad()
    def __call__(self, x, y, check_range=True):
        """Distance per image of RGB in **[-1, 1]** (B,3,H,W): (B,); 8 images at a time, for memory's sake.

        `check_range=False` lets a batch pass that has no value below 0 (an experiment; only white photos).

        Raises:
            ValueError: values outside [-1, 1], or none below 0: that is [0, 1], and would score too low.
        """
        _check(x, y, 3)
        low, high = min(x.min(), y.min()), max(x.max(), y.max())
        if not -1.001 <= low <= high <= 1.001:
            raise ValueError(f"LPIPS expects RGB in [-1, 1], got values in [{low:.3g}, {high:.3g}]")
        if check_range and low >= 0:
            raise ValueError(
                "LPIPS expects RGB in [-1, 1]; nothing here is below 0, as if it were [0, 1]: pass 2 * rgb - 1"
            )
        pairs = zip(x.to(self.device).split(8), y.to(self.device).split(8), strict=True)
        return torch.cat([self.net(a, b).flatten() for a, b in pairs])


def _vgg16_state(weights, download):
    from torchvision.models import VGG16_Weights

    url = VGG16_Weights.IMAGENET1K_V1.url
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    path = Path(weights or cached)
    try:
        if not path.is_file() and not weights:
            if not download:
                raise FileNotFoundError(f"no {path}, and this profile does not download")
            print(f"LPIPS: downloading the VGG-16 weights, 528 MB, to {path}")
            with _timeout(10):
                torch.hub.load_state_dict_from_url(url, check_hash=True, weights_only=True)
        state = torch.load(path, map_location="cpu", weights_only=True)
        state["features.28.weight"]  # the last layer LPIPS needs: KeyError from a file of something else
    except Exception as error:  # no file, no network, a broken file, another network: each leaves no weights
        if not download and not path.is_file():
            reason = "the VGG-16 weights are not on this machine"
        else:
            verb = "read" if path.is_file() or weights else "downloaded"
            reason = f"the VGG-16 weights could not be {verb} ({type(error).__name__})"
        raise LPIPSUnavailable(
            reason, f"Put torchvision's {cached.name} (from {url}) at {path}; the cause: {error}"
        ) from error
    return state


@contextlib.contextmanager
def _timeout(seconds):
    """A server that does not answer must end in an error: torch's download itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _high_chroma(C):
    return (C**7 / (C**7 + 25.0**7)).sqrt()


def _check(x, y, channels):
    if x.ndim != 4 or x.shape[1] != channels or x.shape != y.shape:
        raise ValueError(
            f"expected two tensors (B,{channels},H,W) of one size, got {tuple(x.shape)} and {tuple(y.shape)}"
        )


def _check_rgb(x, y):
    _check(x, y, 3)
    for rgb in (x, y):
        low, high = rgb.aminmax()
        if not (low >= 0 and high <= 1):  # written so that NaN fails too
            raise ValueError(f"expected sRGB in [0, 1] (B,3,H,W), got values in [{low:.3g}, {high:.3g}]")
