"""The flow of chapter 11: its noise, its samplers and its network, on cases whose answers are known."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from conftest import of_notebook
from torch import nn

from g2g import flow, lab, runs, training
from g2g.flow import FlowUnet, Velocity
from g2g.models import load_weights, predict, unet
from g2g.palette import PaletteUnet
from g2g.profiles import get_recipe

NAMES = "cosine straight noised ddpm euler guided RED BLUE learn flow_loss Toy"
SCOPE = {"torch": torch, "F": F, "nn": nn, "math": math, "pairwise": pairwise, "SEED": 1, "DEVICE": "cpu"}
cosine, straight, noised, ddpm, euler, guided, RED, BLUE, learn, flow_loss, _ = of_notebook(
    "11_diffusion", *NAMES.split(), **SCOPE
)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    model = FlowUnet(unet(weights=None), width=16).eval()
    for parameter in model.velocity.parameters():  # the last layers are zero: no flow at all
        nn.init.normal_(parameter, std=0.1)
    nn.init.normal_(model.unet.head.weight, std=0.01)
    return model


@pytest.mark.parametrize("schedule", [cosine, straight])
def test_noised_data_have_the_mean_and_variance_of_the_formula(schedule):
    noise = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    for t in (0.1, 0.5, 0.8):
        x = noised(torch.tensor(3.0), noise, torch.tensor(t), schedule)
        signal, level = schedule(torch.tensor(t))
        assert x.mean().item() == pytest.approx(3 * signal.item(), abs=0.01)
        assert x.std().item() == pytest.approx(level.item(), abs=0.01)


@pytest.mark.parametrize("schedule, power", [(cosine, 2), (straight, 1)])
def test_schedules_begin_with_noise_end_with_data_and_sum_to_one(schedule, power):
    signal, level = schedule(torch.linspace(0, 1, 11))
    assert (signal[0], level[0], signal[-1]) == (0, 1, 1)
    torch.testing.assert_close(signal**power + level**power, torch.ones(11))


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_samplers_with_a_perfect_predictor_return_the_data(steps):
    data = torch.randn(5, 2, 4, 4).clamp(-3, 3)  # DDPM's sampler keeps its guesses within 4
    noise = torch.randn(5, 2, 4, 4)

    def noise_in(x, t):
        signal, level = cosine(t)
        return (x - signal * data) / level

    torch.testing.assert_close(ddpm(noise_in, noise, steps), data, atol=1e-4, rtol=0)
    torch.testing.assert_close(euler(lambda x, t: (data - x) / (1 - t), noise, steps), data, atol=1e-4, rtol=0)


@torch.no_grad()
def test_guidance_of_strength_1_is_none_and_of_0_knows_lightness_alone(net, monkeypatch):
    guided.__globals__["model"] = net
    L = torch.rand(2, 1, 64, 64) * 2 - 1
    noise = net.noise(L)
    torch.testing.assert_close(guided(L, noise, 1), net(L), atol=1e-4, rtol=0)
    before = [guided(L, noise, g) for g in (0, 3)]
    condition, pred_ab = net.condition(L)
    condition[:, 1:] = torch.randn_like(condition[:, 1:])
    monkeypatch.setattr(net, "condition", lambda L: (condition, pred_ab))
    after = [guided(L, noise, g) for g in (0, 3)]
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1], atol=1e-3)


def test_an_untrained_flow_adds_its_noise_to_the_prediction_of_the_unet():
    torch.manual_seed(0)
    model = FlowUnet(unet(weights=None), width=16).eval()
    model.residual_std = torch.tensor(0.1)
    L = torch.rand(3, 1, 64, 64) * 2 - 1
    left = model(L) - predict(model.unet, L)
    torch.testing.assert_close(left, F.interpolate(0.1 * model.noise(L), size=64, mode="bilinear"), atol=1e-5, rtol=0)


def test_the_noise_is_of_the_seed_and_of_the_photo_alone(net):
    L = torch.rand(3, 1, 64, 64) * 2 - 1
    noise = net.noise(L)
    assert torch.equal(noise, net.noise(L)) and torch.equal(noise[1:2], net.noise(L[1:2]))
    assert torch.corrcoef(noise.flatten(1)).triu(1).abs().max() < 0.3  # no two photos share it
    net.seed = 1
    assert not torch.allclose(noise, net.noise(L))
    net.seed = 0
    alone, together = predict(net, L, batch_size=1), predict(net, L, batch_size=3)
    torch.testing.assert_close(alone, together, atol=1e-3, rtol=1e-3)  # a coloring does not depend on its batch


def test_wrong_numbers_are_named(net, monkeypatch):
    with pytest.raises(ValueError, match="width: expected a multiple of 8, got 20"):
        Velocity(67, width=20)
    monkeypatch.setattr(net, "steps", 0)
    with pytest.raises(ValueError, match="steps: expected 1 or more, got 0"):
        net(torch.zeros(1, 1, 32, 32))


def test_on_the_palette_its_mean_is_the_prediction():
    torch.manual_seed(0)
    palette = PaletteUnet(unet(weights=None)).eval()
    palette.temperature = 1.0
    model = FlowUnet(palette, width=16).eval()
    L = torch.rand(1, 1, 64, 64) * 2 - 1
    torch.testing.assert_close(model.condition(L)[1], predict(palette, L))


def test_residual_std_is_that_of_the_residual():
    model = FlowUnet(unet(weights=None), width=16).eval()  # its U-Net answers gray
    photos = torch.randint(0, 256, (40, 64, 64, 3), dtype=torch.uint8).numpy()
    _, ab = lab.photos_to_lab(photos)
    torch.testing.assert_close(flow.residual_std(model, photos), F.avg_pool2d(ab, 8).std(), atol=1e-5, rtol=1e-3)


def test_it_learns_eight_photos_by_heart():
    torch.manual_seed(0)
    model = FlowUnet(unet(weights=None), width=32).eval()  # its U-Net answers gray
    L = torch.rand(8, 1, 32, 32) * 2 - 1
    ab = torch.randn(8, 2, 4, 4) * 0.2
    model.residual_std = torch.tensor(0.2)
    optimizer = torch.optim.AdamW(model.velocity.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=200)
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(L, F.interpolate(ab, size=32)).backward()
        optimizer.step()
        schedule.step()
    ground_truth = F.interpolate(ab, size=32, mode="bilinear")
    assert (predict(model, L) - ground_truth).abs().mean() < 0.25 * ground_truth.abs().mean()


def test_a_flow_on_the_palette_as_class_and_report_train_it_comes_back_from_its_weights(photos, tmp_path):
    recipe = get_recipe("flow", "class")
    assert recipe.init_from == "palette" == get_recipe("flow", "report").init_from
    learn = runs.learner(recipe, photos, runs.published()["palette"])
    learn.fit(1, 1e-3)
    torch.save(learn.model.state_dict(), tmp_path / "w.pth")
    again = load_weights(runs.build_model(recipe, photos.size), tmp_path / "w.pth").eval()
    L = torch.rand(1, 1, 32, 32) * 2 - 1
    torch.testing.assert_close(again(L), learn.model.eval()(L))


def test_training_leaves_the_unet_as_it_was(photos):
    learn = runs.learner(get_recipe("flow", "smoke"), photos, runs.published()["unet"])
    assert isinstance(learn, training.LossLearner) and 0.01 < learn.model.residual_std < 1
    before = {name: value.clone() for name, value in learn.model.unet.state_dict().items()}
    trained = learn.model.velocity.last[-1].weight.clone()
    learn.fit(1, 1e-3)
    assert all(torch.equal(value, before[name]) for name, value in learn.model.unet.state_dict().items())
    assert not torch.equal(trained, learn.model.velocity.last[-1].weight)
