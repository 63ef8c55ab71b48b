"""Color as a distribution: bins, soft targets, prior, weights, mean and noise against values worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import of_notebook

from g2g import lab, palette, runs, training
from g2g.models import load_weights, unet
from g2g.palette import PaletteUnet, annealed_mean, bins, class_weights, palette_loss, soft_targets
from g2g.profiles import get_recipe


def index(a, b):
    """The number of the bin at (a*, b*)."""
    return int((bins() == torch.tensor([a, b])).all(dim=1).nonzero())


def plane(a, b):
    """One pixel of normalized ab (1,2,1,1) of CIE values."""
    return torch.tensor([a, b]).view(1, 2, 1, 1) / lab.AB_SCALE


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return PaletteUnet(unet(weights=None)).eval()


def test_bins_are_a_grid_over_what_srgb_can_show():
    assert bins().shape == (260, 2) and (bins() % 10 == 0).all()
    index(0, 0)
    corners = lab.rgb_to_lab(torch.eye(3)[:, None].transpose(1, 2))[1:].flatten(1).T  # pure red, green, blue
    for a, b in (corners / 10).round() * 10:
        index(float(a), float(b))
    assert not (bins() == torch.tensor([-80.0, -80.0])).all(dim=1).any()  # sRGB has no such color


def test_soft_targets_against_values_worked_out_by_hand():
    fractions = soft_targets(plane(2.0, 4.0))[0, :, 0, 0]
    # squared distances to the five nearest: (0,0) 20, (0,10) 40, (10,0) 80, (10,10) 100, (-10,0) 160
    expected = torch.exp(-torch.tensor([20.0, 40.0, 80.0, 100.0, 160.0]) / 50)
    expected = expected / expected.sum()
    places = [index(0, 0), index(0, 10), index(10, 0), index(10, 10), index(-10, 0)]
    torch.testing.assert_close(fractions[places], expected)
    assert (fractions > 0).sum() == 5


def test_targets_sum_to_one_everywhere_even_beyond_the_gamut():
    ab = torch.rand(3, 2, 16, 16) * 2.4 - 1.2
    fractions = soft_targets(ab)
    assert fractions.shape == (3, 260, 16, 16) and fractions.isfinite().all()
    torch.testing.assert_close(fractions.sum(1), torch.ones(3, 16, 16))


def test_the_mean_of_the_targets_is_the_color():
    ab = (torch.rand(1, 2, 40, 40) - 0.5) * 0.6  # within the gamut
    back = annealed_mean(soft_targets(ab).clamp(min=1e-30).log(), 1.0)
    assert (back - ab).abs().mean() * lab.AB_SCALE < 2.0  # five bins are not all around a color; the table is of 2


def test_prior_of_photos_of_one_color_is_its_target():
    photos = torch.zeros(70, 8, 8, 3, dtype=torch.uint8)
    photos[..., 0] = 255  # pure red
    _, ab = lab.photos_to_lab(photos[:1])
    torch.testing.assert_close(palette.prior(photos.numpy()), soft_targets(ab)[0, :, 0, 0], atol=1e-6, rtol=0)


def test_class_weights_by_hand():
    prior = torch.tensor([0.7, 0.2, 0.1])
    weights = class_weights(prior, 0.5)
    raw = 1 / torch.tensor([0.35 + 1 / 6, 0.1 + 1 / 6, 0.05 + 1 / 6])
    torch.testing.assert_close(weights, raw / (prior * raw).sum())
    assert float((prior * weights).sum()) == pytest.approx(1)
    torch.testing.assert_close(class_weights(prior, 1.0), torch.ones(3))


def test_loss_by_hand_and_what_minimizes_it():
    ab = plane(2.0, 4.0).expand(1, 2, 4, 4)
    target = soft_targets(ab)[0, :, 0, 0]
    weights = class_weights(torch.full((260,), 1 / 260) + torch.linspace(0, 1e-3, 260), 0.5)
    logits = torch.randn(1, 260, 1, 1)
    by_hand = -(weights * target * logits[0, :, 0, 0].log_softmax(0)).sum()
    torch.testing.assert_close(palette_loss(logits, ab, weights), by_hand)
    best = (target * weights).clamp(min=1e-9).log().view(1, -1, 1, 1)
    best.requires_grad_()
    (slope,) = torch.autograd.grad(palette_loss(best, ab, weights), best)
    assert slope.abs().max() < 1e-4  # so the weights can be divided out again


def test_annealed_mean_goes_from_the_mode_to_the_mean():
    logits = torch.full((1, 260, 1, 1), -100.0)
    logits[0, index(60, 40)] = torch.log(torch.tensor(0.6))
    logits[0, index(0, -40)] = torch.log(torch.tensor(0.4))
    torch.testing.assert_close(annealed_mean(logits, 1.0), plane(36.0, 8.0))
    assert (annealed_mean(logits, 0.02) - plane(60.0, 40.0)).abs().max() < 1e-3


@pytest.mark.parametrize("temperature", [0, -1, 1.01, float("nan")])
def test_a_temperature_outside_of_its_range_is_named(temperature, net):
    with pytest.raises(ValueError, match=r"temperature: expected above 0 .* to 1"):
        annealed_mean(torch.zeros(1, 260, 1, 1), temperature)


def test_other_bins_than_those_of_the_weights_are_named(net, tmp_path):
    with pytest.raises(ValueError, match="logits of 260 bins, got 313"):
        annealed_mean(torch.zeros(1, 313, 1, 1))
    state = net.state_dict() | {"class_weights": torch.ones(313)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="size mismatch for class_weights"):
        load_weights(PaletteUnet(unet(weights=None)), tmp_path / "w.pth")


def test_without_rebalancing_the_class_weights_are_divided_out(net):
    L = torch.rand(1, 1, 64, 64) * 2 - 1
    net.class_weights = torch.linspace(0.2, 5, 260)
    logits = net.logits(L)
    net.temperature, net.rebalancing = 1.0, 0.0
    fractions = logits.softmax(1) / net.class_weights.view(1, -1, 1, 1)
    fractions = fractions / fractions.sum(1, keepdim=True)
    expected = torch.einsum("bqhw,qc->bchw", fractions, bins()) / lab.AB_SCALE
    torch.testing.assert_close(net(L), F.interpolate(expected, size=64, mode="bilinear"))
    net.rebalancing = 1.0
    assert not torch.allclose(net(L), F.interpolate(expected, size=64, mode="bilinear"), atol=1e-4)


SCOPE = {"torch": torch, "F": F, "math": math, "DEVICE": "cpu", "bins": bins()}
(gumbel_noise,) = of_notebook("09_color_as_distribution", "gumbel_noise", **SCOPE)


def test_two_thousand_draws_at_a_pixel_match_its_softmax():
    logits = torch.full((260,), -30.0)
    fractions = torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits[:4] = fractions.log()
    noise = torch.cat([gumbel_noise(500, 2, 2, 1.5, seed)[:, :, 0, 1] for seed in range(4)])
    drawn = (logits + noise).argmax(1)
    found = torch.bincount(drawn, minlength=260)[:4] / len(drawn)
    assert (found - fractions).abs().max() < 0.035  # three standard errors of a fraction of one half


def test_it_starts_from_the_unet_and_knows_the_prior(photos):
    trained = runs.published()["unet"]
    learn = runs.learner(get_recipe("palette", "smoke"), photos, trained)
    expected = class_weights(palette.prior(photos.train), 0.5)
    torch.testing.assert_close(learn.model.class_weights, expected)
    started = learn.model.unet.state_dict()
    for name, weights in trained.model().state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(started[name], weights), name
    assert started["head.weight"].shape == (260, 64, 1, 1) and isinstance(learn, training.LossLearner)
