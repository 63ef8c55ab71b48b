"""How far a colored photo is from the ground truth: batched torch, one value per image.

Shapes are (B,C,H,W), float32 or float64, on any device; `rgb` is sRGB in [0, 1], `lab` is CIE Lab, `ab` is
a*/110 and b*/110. Another shape raises ValueError, and so do `rgb` values outside [0, 1].
"""

import warnings
from hashlib import sha256

import lpips
import safetensors.torch
import torch
from skimage.color import deltaE_ciede2000
from skimage.metrics import structural_similarity

from g2g.lab import AB_SCALE
from g2g.profiles import repo_root

VGG16 = "results/weights/vgg16_features.safetensors"
VGG16_SHA256 = "319e3ceb68521edc49f955b215ae4f3fad44d5441c7799bffbe01cf7213d0cb2"


def mae_ab(pred_ab, ab, where=None):
    """Mean absolute error of normalized ab (B,2,H,W), before any clipping: (B,); times 110 it is in CIE units.

    `where` (B,H,W), boolean, keeps only these pixels; an image without any gives NaN.
    """
    _check(pred_ab, ab, 2)
    error = (pred_ab - ab).abs().mean(1)
    if where is None:
        return error.mean((1, 2))
    return (error * where).sum((1, 2)) / where.sum((1, 2))


def chroma(ab):
    """CIE chroma sqrt(a*² + b*²) of normalized ab (B,2,H,W): (B,H,W), 0 for gray, up to 134 in sRGB."""
    return AB_SCALE * ab.square().sum(1).sqrt()


def psnr(pred_rgb, rgb):
    """Peak signal-to-noise ratio in dB over all pixels and channels: (B,); infinite for equal images."""
    _check_rgb(pred_rgb, rgb)
    return -10 * torch.log10((pred_rgb - rgb).square().mean((1, 2, 3)))


def ssim(pred_rgb, rgb):
    """Structural similarity, mean over pixels and the three channels: (B,), 1 for equal images.

    Wang et al. 2004 (doi 10.1109/TIP.2003.819861), computed by scikit-image, with their Gaussian window of 11 x 11 px;
    pixels whose window reaches over the border do not count. An image smaller than the window raises ValueError.
    """
    _check_rgb(pred_rgb, rgb, min_side=11)
    options = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 1, "channel_axis": 0}
    pairs = zip(pred_rgb.cpu().numpy(), rgb.cpu().numpy(), strict=True)
    return torch.tensor([structural_similarity(x, y, **options) for x, y in pairs], device=rgb.device)


def ciede2000(lab1, lab2):
    """Color difference CIEDE2000 per pixel: (B,H,W), about 1 where it is just noticeable; computed by scikit-image.

    Sharma, Wu & Dalal 2005 (doi 10.1002/col.20070).
    """
    _check(lab1, lab2, 3)
    difference = deltaE_ciede2000(lab1.cpu().numpy(), lab2.cpu().numpy(), channel_axis=1)
    return torch.from_numpy(difference).to(lab1)


def delta_e(lab1, lab2):
    """Mean CIEDE2000 per image: (B,)."""
    return ciede2000(lab1, lab2).mean((1, 2))


def colorfulness(rgb):
    """Colorfulness on 0-255 sRGB: (B,); 0 for gray, about 100 for vivid colors.

    Hasler & Süsstrunk 2003, "Measuring colourfulness in natural images" (doi 10.1117/12.477378).
    """
    _check_rgb(rgb)
    R, G, B = (255 * rgb).unbind(1)
    opponents = torch.stack([R - G, (R + G) / 2 - B], 1)
    variance, mean = torch.var_mean(opponents, (2, 3), correction=0)
    spread = variance.sum(1).sqrt()
    offset = mean.square().sum(1).sqrt()
    return spread + 0.3 * offset


class LPIPS:
    """LPIPS v0.1 on VGG-16 (Zhang et al. 2018, arXiv 1801.03924), frozen: `LPIPS()(pred_rgb, rgb)` -> (B,).

    `net` is the network of the package lpips with the VGG-16 of `results/weights`; it takes sRGB in [-1, 1]. To compare
    several predictions with one ground truth, compute the `features` of each once and take the `distance`.

    Raises FileNotFoundError or ValueError if the file is missing, or another one; random weights are never used.
    """

    def __init__(self, device="cpu"):
        path = repo_root() / VGG16
        remedy = f"Fetch it again: git checkout -- {VGG16}"
        if not path.is_file():
            raise FileNotFoundError(f"LPIPS needs VGG-16's weights, and {path} is missing. {remedy}")
        data = path.read_bytes()
        if sha256(data).hexdigest() != VGG16_SHA256:
            raise ValueError(f"{path} is damaged, or another file than LPIPS needs (by its sha256). {remedy}")
        state = safetensors.torch.load(data)
        # lpips 0.1.4 calls torchvision by old argument names, and draws random weights: replaced just below
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore", UserWarning)
            net = lpips.LPIPS(net="vgg", version="0.1", pnet_rand=True, verbose=False)
        for part in net.net.children():
            part.load_state_dict({name: state[f"features.{name}"] for name in part.state_dict()})
        self.net = net.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        self.device = device

    def __call__(self, pred_rgb, rgb):
        """Distance per image of sRGB in [0, 1], of at least 32 x 32 px: (B,); 8 at a time, for memory."""
        _check_rgb(pred_rgb, rgb)
        pairs = zip(pred_rgb.split(8), rgb.split(8), strict=True)
        return torch.cat([self.distance(self.features(x), self.features(y)) for x, y in pairs])

    @torch.no_grad()
    def features(self, rgb):
        """The five layers that LPIPS compares, of length 1 at each pixel: list of (B,C,H',W'); 8 MB a 128 px photo."""
        _check_rgb(rgb, min_side=32)  # VGG-16 halves the sides four times
        scaled = self.net.scaling_layer(2 * rgb.to(self.device, torch.float32) - 1)
        return [lpips.normalize_tensor(layer) for layer in self.net.net(scaled)]

    @torch.no_grad()
    def distance(self, features, others):
        """LPIPS (B,) of two results of `features`: squared differences, weighted by channel, averaged over pixels."""
        layers = zip(self.net.lins, features, others, strict=True)
        return sum(linear((x - y).square()).mean((1, 2, 3)) for linear, x, y in layers)


def _check(x, y, channels):
    if x.ndim != 4 or x.shape[1] != channels or x.shape != y.shape:
        raise ValueError(f"expected tensors (B,{channels},H,W) of one size, got {(*x.shape,)} and {(*y.shape,)}")


def _check_rgb(*pictures, min_side=1):
    for rgb in pictures:
        _check(rgb, pictures[0], 3)
        low, high = rgb.aminmax()
        if not (low >= 0 and high <= 1):  # written so that NaN fails too
            raise ValueError(f"expected sRGB in [0, 1] (B,3,H,W), got {low:.3g} to {high:.3g}: scale or clip it")
    height, width = rgb.shape[2:]
    if min(height, width) < min_side:
        raise ValueError(f"expected images of {min_side} x {min_side} px or more, got {height} x {width}: enlarge them")
