"""The losses against values worked out by hand."""

import pytest
import torch
import torch.nn.functional as F

from g2g import losses
from g2g.models import PatchGAN

HUBER = (0.05 * (0.09 - 0.025) + 0.05 * (0.07 - 0.025)) / 2


@pytest.mark.parametrize("name, expected", [("l1", 0.08), ("mse", (0.09**2 + 0.07**2) / 2), ("huber", HUBER)])
def test_pixel_losses_by_hand(name, expected):
    ab, pred_ab = torch.zeros(1, 2, 1, 1), torch.tensor([0.09, 0.07]).view(1, 2, 1, 1)
    assert losses.LOSSES[name](pred_ab, ab).item() == pytest.approx(expected)


def test_perceptual_loss_sees_color_and_has_a_gradient_beyond_srgb():
    torch.manual_seed(0)
    L, ab = torch.rand(2, 1, 32, 32) - 0.5, 0.2 * torch.rand(2, 2, 32, 32)
    assert losses.perceptual(ab, ab, L).item() == 0
    vivid = torch.full_like(ab, 0.9, requires_grad=True)
    losses.perceptual(vivid, ab, L).backward()
    assert vivid.grad.abs().mean() > 0
    assert [x.shape[1] for x in losses.perceptual_features(L, ab)] == [64, 128, 256, 512]


def test_feature_matching_compares_each_inner_layer():
    torch.manual_seed(0)
    D = PatchGAN(16, width=8).eval()
    L, ab = torch.rand(2, 1, 32, 32), torch.rand(2, 2, 32, 32)
    other = ab.flip(0)
    by_hand = sum(
        F.l1_loss(x, y) for x, y in zip(*(losses.discriminator_features(D, L, x) for x in (other, ab)), strict=True)
    )
    assert losses.feature_matching(other, ab, L, D).item() == pytest.approx(by_hand.item()) and by_hand > 0
    assert losses.feature_matching(ab, ab, L, D).item() == 0


def test_gradient_penalty_against_the_gradient_of_a_quadratic():
    """D(ab) = c * ab**2, pixel by pixel: its mean over P logits has the gradient 2 c ab / P."""
    ab = torch.rand(3, 2, 4, 4, requires_grad=True)
    weight = torch.tensor(0.7, requires_grad=True)
    penalty = losses.gradient_penalty(lambda L, ab: weight * ab.square(), torch.zeros(3, 1, 4, 4), ab)
    torch.testing.assert_close(penalty, (2 * 0.7 * ab / 32).square().sum((1, 2, 3)).mean())
    penalty.backward()
    assert weight.grad and ab.grad is None, "it trains D and nothing else"


def test_gradient_penalty_is_computed_in_float32_under_autocast():
    torch.manual_seed(0)
    D = PatchGAN(16, width=8)
    L, ab = torch.rand(2, 1, 32, 32), torch.rand(2, 2, 32, 32)
    full = losses.gradient_penalty(D, L, ab)
    with torch.autocast("cpu", torch.float16):
        half = losses.gradient_penalty(D, L.half(), ab.half())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=1e-2, atol=0)
