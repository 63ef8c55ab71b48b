"""Each metric against an independent reference: scikit-image, torchmetrics, published pairs, hand work."""

import math
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data
from skimage import metrics as reference

from g2g import lab, metrics
from g2g.profiles import repo_root

# Of table 1 of Sharma, Wu and Dalal 2005: two Lab colors and their CIEDE2000, where hues are opposite or far
SHARMA = """
50 2.49 -0.001 50 -2.49 0.0009 7.1792                        50 2.49 -0.001 50 -2.49 0.0010 7.1792
50 2.49 -0.001 50 -2.49 0.0011 7.2195                        50 2.49 -0.001 50 -2.49 0.0012 7.2195
50 -0.001 2.49 50 0.0009 -2.49 4.8045                        50 -0.001 2.49 50 0.0010 -2.49 4.8045
50 -0.001 2.49 50 0.0011 -2.49 4.7461                        50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492                                   50 2.5 0 61 -5 29 22.8977
50 2.6772 -79.7751 50 0 -82.7485 2.0425                      50 0 0 50 -1 2 2.3669
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373     36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
"""


@pytest.fixture
def pair():
    """Two different, structured pictures with noise: rgb (3,3,48,61) each."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 9, 48), torch.linspace(0, 7, 61), indexing="ij")
    base = torch.stack([torch.sin(x * k + y) for k in range(1, 10)]).view(3, 3, 48, 61) * 0.4 + 0.5
    return base.clamp(0, 1), (base + 0.1 * torch.randn(base.shape, generator=generator)).clamp(0, 1)


def images(*batches):
    """The images of batches side by side, as float64 (H,W,3) for scikit-image."""
    return zip(*(b.permute(0, 2, 3, 1).double().numpy() for b in batches), strict=True)


def test_psnr_is_skimages(pair):
    expected = [reference.peak_signal_noise_ratio(a, b, data_range=1) for a, b in images(*pair)]
    assert metrics.psnr(*pair).tolist() == pytest.approx(expected, abs=1e-4)
    assert metrics.psnr(pair[0], pair[0]).isinf().all()


def test_ssim_is_of_each_image_by_itself_and_of_its_window(pair):
    by_itself = [metrics.ssim(a[None], b[None]).item() for a, b in zip(*pair, strict=True)]
    assert metrics.ssim(*pair).tolist() == by_itself and 0.5 < max(by_itself) < 0.95
    assert metrics.ssim(pair[0], pair[0]).tolist() == pytest.approx([1, 1, 1])
    flat = torch.full((1, 3, 11, 20), 0.9), torch.full((1, 3, 11, 20), 0.6)  # no variance: luminance alone is left
    assert metrics.ssim(*flat).item() == pytest.approx((2 * 0.9 * 0.6 + 1e-4) / (0.9**2 + 0.6**2 + 1e-4))
    with pytest.raises(ValueError, match="11 x 11 px or more, got 10 x 40: enlarge them"):
        metrics.ssim(torch.rand(1, 3, 10, 40), torch.rand(1, 3, 10, 40))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 6e-5), (torch.float32, 5e-4)])
def test_ciede2000_of_sharmas_pairs(dtype, tolerance):
    rows = torch.tensor([float(v) for v in SHARMA.split()], dtype=torch.float64).view(-1, 7)
    first, second = (part.to(dtype).view(-1, 3, 1, 1) for part in (rows[:, :3], rows[:, 3:6]))
    for one, other in ((first, second), (second, first)):  # it is symmetric
        measured = metrics.ciede2000(one, other).flatten().tolist()
        assert measured == pytest.approx(rows[:, 6].tolist(), abs=tolerance)


def test_colorfulness_worked_by_hand():
    # Half red, half blue. R-G is 255 or 0: mean 127.5, std 127.5.
    # (R+G)/2-B is 127.5 or -255: mean -63.75, std 191.25.
    picture = torch.zeros(1, 3, 4, 4)
    picture[0, 0, :, :2], picture[0, 2, :, 2:] = 1, 1
    expected = math.hypot(127.5, 191.25) + 0.3 * math.hypot(127.5, 63.75)
    assert expected == pytest.approx(272.618, abs=1e-3)
    assert metrics.colorfulness(picture).tolist() == pytest.approx([expected])
    # One color has no spread: 0.3 * |(R-G, (R+G)/2-B)| = 0.3 * |(51, 76.5)|
    flat = torch.tensor([0.6, 0.4, 0.2]).view(1, 3, 1, 1).expand(1, 3, 5, 5)
    assert metrics.colorfulness(flat).tolist() == pytest.approx([0.3 * math.hypot(51, 76.5)], abs=1e-3)
    assert metrics.colorfulness(torch.rand(2, 1, 9, 9).expand(2, 3, 9, 9)).tolist() == [0, 0]


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim, lambda x, _: metrics.colorfulness(x)])
def test_wrong_ranges_and_shapes_are_refused(metric):
    good = torch.rand(1, 3, 16, 16)
    for bad in (good * 255, good * 2 - 1, good * math.nan):
        with pytest.raises(ValueError, match=r"sRGB in \[0, 1\]"):
            metric(bad, good)
    for bad in (good[0], good[:, :2], good.permute(0, 2, 3, 1)):
        with pytest.raises(ValueError, match="3,H,W"):
            metric(bad, bad)


@pytest.fixture(scope="module")
def photographs():
    """Three of scikit-image's, (3,3,128,128), the middle 256 px of each at half the size, and the same in gray."""
    crops = [photo[22:278, 97:353] for photo in (data.astronaut(), data.chelsea(), data.coffee())]
    rgb = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    rgb = torch.nn.functional.avg_pool2d(rgb, 2)
    L, ab = lab.normalize(lab.rgb_to_lab(rgb))
    return rgb, lab.to_rgb(L, 0 * ab)


@pytest.fixture(scope="module")
def measure():
    draws = torch.get_rng_state()
    measure = metrics.LPIPS()
    assert torch.equal(torch.get_rng_state(), draws)  # whoever trains afterwards sees the same random numbers
    assert not measure.net.training and not any(p.requires_grad for p in measure.net.parameters())
    return measure


def test_the_weights_are_torchvisions():
    state = load_file(repo_root() / metrics.VGG16)
    assert state["features.0.bias"][:4].tolist() == pytest.approx([0.4034, 0.3778, 0.4644, -0.3228], abs=5e-5)
    assert len(state) == 26 and sum(tensor.numel() for tensor in state.values()) == 14_714_688


def test_lpips_is_torchmetrics(measure, pair):
    from torchmetrics.functional.image.lpips import _LPIPS

    state = load_file(repo_root() / metrics.VGG16)
    other = _LPIPS(net="vgg", pnet_rand=True)
    for part in (other.net.slice1, other.net.slice2, other.net.slice3, other.net.slice4, other.net.slice5):
        part.load_state_dict({name: state[f"features.{name}"] for name in part.state_dict()})
    x, y = pair
    expected = other(2 * x - 1, 2 * y - 1).flatten().tolist()
    assert min(expected) > 0.01
    assert measure(x, y).tolist() == pytest.approx(expected, rel=1e-3)
    assert measure(x, x).tolist() == [0, 0, 0]
    many = measure(x.repeat(4, 1, 1, 1), y.repeat(4, 1, 1, 1))  # more than are worked on at a time
    assert many.tolist() == pytest.approx(expected * 4, rel=1e-3)


def test_lpips_refuses_wrong_ranges_shapes_and_small_pictures(measure):
    test_wrong_ranges_and_shapes_are_refused(measure)
    test_wrong_ranges_and_shapes_are_refused(lambda x, _: measure.features(x))
    with pytest.raises(ValueError, match="32 x 32 px or more, got 31 x 40: enlarge them"):
        measure(torch.rand(1, 3, 31, 40), torch.rand(1, 3, 31, 40))


@pytest.mark.parametrize("content", ["missing", "cut off", "foreign"])
def test_lpips_without_its_weights_is_an_error(content, tmp_path, monkeypatch):
    whole, path = repo_root() / metrics.VGG16, tmp_path / metrics.VGG16
    path.parent.mkdir(parents=True)
    if content == "cut off":
        path.write_bytes(whole.read_bytes()[:-1])
    elif content == "foreign":  # the right names and shapes, other numbers
        save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(whole).items()}, path)
    monkeypatch.setattr(metrics, "repo_root", lambda: tmp_path)
    error, words = (FileNotFoundError, "is missing") if content == "missing" else (ValueError, "is damaged, or another")
    with pytest.raises(error, match=f"{re.escape(path.name)} {words}.*git checkout -- {metrics.VGG16}"):
        metrics.LPIPS()


def test_lpips_of_half_precision_is_that_of_full(measure, photographs):
    """Measured once with the archive's kernels in single precision."""
    rgb, gray = photographs
    assert measure(gray, rgb).tolist() == pytest.approx([0.116726, 0.212167, 0.416487], abs=1e-4)
