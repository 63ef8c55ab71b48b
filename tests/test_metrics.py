"""Each metric against an independent reference: scikit-image, torchmetrics, published pairs, hand work."""

import math
import socket

import numpy as np
import pytest
import torch
from skimage import color
from skimage import metrics as reference

from g2g import lab, metrics

# Sharma, Wu and Dalal 2005, table 1: two Lab colours and their CIEDE2000, chosen to reach every branch
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.02 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1
50 -1.1848 -84.8006 50 0 -82.7485 1
50 -0.9009 -85.5211 50 0 -82.7485 1
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.49 -0.001 50 -2.49 0.0009 7.1792
50 2.49 -0.001 50 -2.49 0.0010 7.1792
50 2.49 -0.001 50 -2.49 0.0011 7.2195
50 2.49 -0.001 50 -2.49 0.0012 7.2195
50 -0.001 2.49 50 0.0009 -2.49 4.8045
50 -0.001 2.49 50 0.0010 -2.49 4.8045
50 -0.001 2.49 50 0.0011 -2.49 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1
50 2.5 0 50 3.2972 0 1
50 2.5 0 50 1.8634 0.5757 1
50 2.5 0 50 3.2592 0.3350 1
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
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


def test_ssim_is_wangs_by_his_formula():
    """Images of constant colours x and y have no variance: (2xy + c1) / (x² + y² + c1) is all that is left."""
    x, y, c1 = 0.2, 0.6, 0.01**2
    expected = (2 * x * y + c1) / (x**2 + y**2 + c1)
    assert metrics.ssim(torch.full((2, 3, 16, 20), x), torch.full((2, 3, 16, 20), y)).tolist() == pytest.approx(
        [expected] * 2
    )


def test_ssim_tells_noise_from_a_shift_and_is_one_for_equal_images(pair):
    assert metrics.ssim(*pair).max() < 0.95
    assert metrics.ssim(pair[0], pair[0]).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(ValueError, match="win_size"):
        metrics.ssim(torch.rand(1, 3, 8, 40), torch.rand(1, 3, 8, 40))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 6e-5), (torch.float32, 5e-4)])
def test_ciede2000_of_sharmas_pairs(dtype, tolerance):
    rows = torch.tensor([float(v) for v in SHARMA.split()], dtype=torch.float64).view(34, 7)
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
    # One colour has no spread: 0.3 * |(R-G, (R+G)/2-B)| = 0.3 * |(51, 76.5)|
    flat = torch.tensor([0.6, 0.4, 0.2]).view(1, 3, 1, 1).expand(1, 3, 5, 5)
    assert metrics.colorfulness(flat).tolist() == pytest.approx([0.3 * math.hypot(51, 76.5)], abs=1e-3)


def test_an_all_gray_photo_has_colorfulness_zero():
    gray = torch.rand(2, 1, 9, 9).expand(2, 3, 9, 9)
    assert metrics.colorfulness(gray).tolist() == [0, 0]


def test_mae_is_of_the_raw_values_and_splits_by_mask():
    ab, pred = torch.zeros(2, 2, 2, 2), torch.zeros(2, 2, 2, 2)
    pred[0, :, 0] = 1.5  # beyond [-1, 1]: nothing is clipped
    assert metrics.mae_ab(pred, ab).tolist() == [0.75, 0]
    where = torch.zeros(2, 2, 2, dtype=torch.bool)
    where[0, 0, 0] = where[0, 1, 0] = True
    first, second = metrics.mae_ab(pred, ab, where).tolist()
    assert first == 0.75 and math.isnan(second)
    where[0, 1, 0] = False
    assert metrics.mae_ab(pred, ab, where)[0] == 1.5


def test_chroma_is_in_cie_units():
    red = color.rgb2lab(np.array([[[1.0, 0, 0]]]))[0, 0]
    _, ab = lab.normalize(lab.rgb_to_lab(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)))
    assert metrics.chroma(ab).item() == pytest.approx(math.hypot(red[1], red[2]), abs=1e-2)


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
def stand_in():
    """A VGG-16 state dict of random numbers: it tests the wiring; no score is ever made from it."""
    torch.manual_seed(3)
    state, index, channels = {}, 0, 3
    for width in [64, 64, "M", 128, 128, "M", 256, 256, 256, "M"] + 2 * [512, 512, 512, "M"]:
        if width != "M":
            state[f"features.{index}.weight"] = torch.randn(width, channels, 3, 3) * (2 / channels / 9) ** 0.5
            state[f"features.{index}.bias"] = torch.randn(width) * 0.1
            channels = width
        index += 1 if width == "M" else 2
    return state


def in_torchs_cache(folder):
    """Where torch looks for VGG's weights if TORCH_HOME is `folder`."""
    path = folder / "hub" / "checkpoints" / "vgg16-397923af.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def measure(stand_in, tmp_path_factory):
    root = tmp_path_factory.mktemp("vgg")
    torch.save(stand_in, in_torchs_cache(root))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(root))
        return metrics.LPIPS(download=False)


def test_lpips_is_torchmetrics(measure, stand_in, pair):
    from torchmetrics.functional.image.lpips import _LPIPS

    other = _LPIPS(net="vgg", pnet_rand=True)
    for part in (other.net.slice1, other.net.slice2, other.net.slice3, other.net.slice4, other.net.slice5):
        for index, layer in part.named_children():
            if hasattr(layer, "weight"):
                layer.weight.data.copy_(stand_in[f"features.{index}.weight"])
                layer.bias.data.copy_(stand_in[f"features.{index}.bias"])
    x, y = pair
    expected = other(2 * x - 1, 2 * y - 1).flatten().tolist()
    assert min(expected) > 0.01
    assert measure(x, y).tolist() == pytest.approx(expected, rel=1e-3)
    assert measure(x, x).tolist() == [0, 0, 0]
    many = measure(x.repeat(4, 1, 1, 1), y.repeat(4, 1, 1, 1))  # more than are worked on at a time
    assert many.tolist() == pytest.approx(expected * 4, rel=1e-3)


def test_lpips_refuses_wrong_ranges_and_shapes_too(measure):
    test_wrong_ranges_and_shapes_are_refused(measure)


def test_lpips_is_frozen_and_in_eval_mode(measure):
    assert not measure.net.training and not any(p.requires_grad for p in measure.net.parameters())


@pytest.mark.parametrize("content", [None, b"", b"<html>not found</html>", {"fc.weight": torch.zeros(2)}])
def test_lpips_without_whole_weights_is_unavailable(content, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = in_torchs_cache(tmp_path)
    if isinstance(content, dict):
        torch.save(content, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(metrics.LPIPSUnavailable, match="vgg16-397923af.pth .* at .*vgg16-397923af.pth") as error:
        metrics.LPIPS(download=False)
    assert str(tmp_path) not in error.value.reason  # it is printed in tables
    assert ("not on this machine" in error.value.reason) == (content is None)


def test_lpips_gives_up_on_a_server_that_does_not_answer(tmp_path, monkeypatch):
    """The download goes to a port that accepts and then says nothing."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(metrics, "DOWNLOAD_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/vgg16-397923af.pth"
        monkeypatch.setattr(metrics.VGG16_Weights.IMAGENET1K_V1.value, "url", url)
        with pytest.raises(metrics.LPIPSUnavailable, match="could not be loaded"):
            metrics.LPIPS()
    assert socket.getdefaulttimeout() is None
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
