"""Lab against scikit-image, on every 8-bit color, and its gradients where they are hard."""

import numpy as np
import pytest
import torch
from skimage import data
from skimage.color import lab2rgb, rgb2lab

from g2g import lab

SPECIAL = [[0, 0, 0], [1, 1, 1], [0.04045] * 3, [-0.3, 0.5, 1.4], [-1, -1, -1], [2, 2, 2], [0, 0, 1], [1e-8] * 3]


def colors(values, dtype=torch.float64):
    """[[c1, c2, c3], …] to an image (1,3,1,N)."""
    return torch.tensor(values, dtype=dtype).T[None, :, None, :].clone()


def test_every_8bit_color_agrees_with_skimage_and_comes_back():
    levels = np.arange(256, dtype=np.uint8)
    for r in range(0, 256, 16):  # 16 chunks of 1,048,576 colors
        cube = np.stack(np.meshgrid(levels[r : r + 16], levels, levels, indexing="ij"), axis=-1)
        cube = cube.reshape(1024, 1024, 3)
        rgb = torch.from_numpy(cube.transpose(2, 0, 1).astype(np.float32) / 255)
        out = lab.rgb_to_lab(rgb)
        assert out.dtype == torch.float32
        expected = rgb2lab(cube / np.float32(255)).transpose(2, 0, 1)
        assert np.abs(out.numpy() - expected).max() < 1e-3
        assert (lab.lab_to_rgb(out) - rgb).abs().max() < 0.5 / 255
        fast = lab.denormalize(*lab.photos_to_lab(cube[None]))
        assert np.abs(fast[0].numpy() - expected).max() < 1e-3


@pytest.mark.filterwarnings("ignore:.*negative Z values")
def test_display_of_out_of_gamut_predictions_agrees_with_skimage():
    wild = torch.rand(3, 100, 100, generator=torch.Generator().manual_seed(1))
    wild = wild * torch.tensor([100.0, 220, 220]).view(3, 1, 1) - torch.tensor([0.0, 110, 110]).view(3, 1, 1)
    rgb = lab.lab_to_rgb(wild)
    assert rgb.min() == 0 and rgb.max() == 1
    assert np.abs(rgb.permute(1, 2, 0).numpy() - lab2rgb(wild.permute(1, 2, 0).numpy())).max() < 1e-3
    unclipped = lab.lab_to_rgb(wild, clip=False)
    assert unclipped.min() < 0 and unclipped.max() > 1
    assert (lab.rgb_to_lab(unclipped.double()) - wild).abs().max() < 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_everywhere(dtype):
    rgb = colors(SPECIAL, dtype).requires_grad_()
    out = lab.rgb_to_lab(rgb)
    out.abs().sum().backward()
    assert out.isfinite().all() and rgb.grad.isfinite().all()
    for clip in (True, False):
        wild = [[0, 0, 0], [0, 100, -100], [100, -110, 110], [50, 110, 110], [-5, 0, 0], [120, 0, 0]]
        wild = colors(wild, dtype).requires_grad_()
        rgb = lab.lab_to_rgb(wild, clip=clip)
        rgb.sum().backward()
        assert rgb.isfinite().all() and wild.grad.isfinite().all()
    assert (wild.grad != 0).any(dim=1).all()  # unclipped, every color still has a way back


def test_photos_of_a_memory_map_and_of_a_tensor_become_normalized_planes():
    photos = data.astronaut()[None, :64, 100:180].copy()
    photos.flags.writeable = False  # as a memory map is
    L, ab = lab.normalize(lab.rgb_to_lab(torch.from_numpy(photos.copy()).permute(0, 3, 1, 2) / 255))
    for given in (photos, torch.from_numpy(photos.copy())):
        for planes, expected in zip(lab.photos_to_lab(given), (L, ab), strict=True):
            torch.testing.assert_close(planes, expected, atol=1e-5, rtol=0)
            assert planes.is_contiguous()


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: lab.rgb_to_lab(torch.rand(2, 8, 8, 3)), "rgb: expected .*float32.*got torch.float32 \\(2, 8"),
        (lambda: lab.rgb_to_lab(torch.rand(3, 8)), "rgb: expected"),
        (lambda: lab.rgb_to_lab(torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16)), "got torch.bfloat16"),
        (lambda: lab.rgb_to_lab(np.zeros((3, 8, 8), np.float32)), "got float32"),
        (lambda: lab.lab_to_rgb(torch.rand(1, 2, 8, 8)), "lab: expected"),
        (lambda: lab.to_rgb(torch.rand(1, 1, 8, 8), torch.rand(1, 2, 8, 9)), "expected L \\(B,1,H,W\\) and ab"),
        (lambda: lab.photos_to_lab(np.zeros((8, 8, 3), np.uint8)), "expected uint8 \\(B,H,W,3\\)"),
        (lambda: lab.photos_to_lab(torch.zeros(1, 8, 8, 3)), "got torch.float32"),
    ],
)
def test_wrong_input_says_what_was_expected(call, says):
    with pytest.raises(ValueError, match=says):
        call()
