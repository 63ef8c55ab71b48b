"""The training loop: the GAN's two steps by hand, resume to the bit, and what happens when things break."""

import copy
import dataclasses
import itertools
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from safetensors.torch import load_file
from torch import nn

from g2g import checkpoints, training
from g2g.data import dataloaders, prepare
from g2g.lab import to_rgb
from g2g.metrics import colorfulness
from g2g.models import PatchGAN, unet
from g2g.profiles import get_profile, get_recipe
from g2g.runs import learner


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """14 crops at 32 px, 13 of them for training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("G2G_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("G2G_DATA", raising=False)
        yield prepare(dataclasses.replace(get_profile("smoke"), size=32, n_train=14, n_test=2), progress=False)


def generator(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1)
    )


def discriminator(seed=1):
    torch.manual_seed(seed)
    return PatchGAN(16, width=8)


def one_batch(learn, L, ab, **kwargs):
    learn.create_opt()
    learn.opt.set_hypers(lr=1e-2)
    learn.discriminator.train()
    learn.model.train()
    learn.training, learn.xb, learn.yb = True, (L,), (ab,)
    learn._do_one_batch()


def gan(tiny, g=None, d=None, lambda_l1=100.0):
    dls = dataloaders(tiny, 4, device="cpu")
    return training.GANLearner(dls, g or generator(), d or discriminator(), lambda_l1=lambda_l1)


def batch():
    torch.manual_seed(3)
    return torch.rand(4, 1, 32, 32) * 2 - 1, torch.rand(4, 2, 32, 32) * 0.4 - 0.2


def test_gan_step_equals_steps_written_by_hand(tiny):
    L, ab = batch()
    g, d, learn = generator(), discriminator(), gan(tiny, lambda_l1=10.0)
    g_opt = torch.optim.Adam(g.parameters(), lr=1e-2, betas=(0.5, 0.999))
    d_opt = torch.optim.Adam(d.parameters(), lr=1e-2, betas=(0.5, 0.999))
    one_batch(learn, L, ab)

    fake = g(L)
    real_logits, fake_logits = d(L, ab), d(L, fake.detach())
    d_loss = (-F.logsigmoid(real_logits).mean() - F.logsigmoid(-fake_logits).mean()) / 2
    d_loss.backward()
    d_opt.step()
    for p in d.parameters():
        p.requires_grad_(False)
    adversarial = -F.logsigmoid(d(L, fake)).mean()
    l1 = (fake - ab).abs().mean()
    (adversarial + 10.0 * l1).backward()
    g_opt.step()

    torch.testing.assert_close(learn.terms["d_loss"], d_loss.detach())
    torch.testing.assert_close(learn.terms["g_adv"], adversarial.detach())
    torch.testing.assert_close(learn.terms["g_l1"], l1.detach())
    for mine, theirs in ((g, learn.model), (d, learn.discriminator)):
        for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_each_optimizer_moves_only_its_own_network(tiny):
    L, ab = batch()
    learn = gan(tiny)
    g0, d0 = copy.deepcopy(list(learn.model.parameters())), copy.deepcopy(list(learn.discriminator.parameters()))
    learn.create_opt()
    learn._discriminator_step(L, ab, learn.model(L))
    assert all(torch.equal(a, b) for a, b in zip(g0, learn.model.parameters(), strict=True))
    assert all(p.grad is None for p in learn.model.parameters()), "D's step must not reach G"
    assert any(not torch.equal(a, b) for a, b in zip(d0, learn.discriminator.parameters(), strict=True))
    d1 = copy.deepcopy(list(learn.discriminator.parameters()))
    total, _, _ = training.generator_loss(learn.discriminator, L, learn.model(L), ab)
    total.backward()
    learn.opt.step()
    assert all(torch.equal(a, b) for a, b in zip(d1, learn.discriminator.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(g0, learn.model.parameters(), strict=True))


def test_discriminator_that_cannot_tell_scores_ln_2():
    L, ab = batch()
    loss = training.discriminator_loss(lambda L, ab: torch.zeros(4, 1, 5, 5), L, ab, ab)
    assert loss.item() == pytest.approx(0.6931, abs=1e-4)


class Interrupt(Callback):
    """Ctrl-C in the middle of an epoch."""

    order = 80

    def __init__(self, epoch):
        self.at = epoch

    def after_batch(self):
        if self.training and self.epoch == self.at and self.iter == 1:
            raise KeyboardInterrupt


def recipe_for(stage):
    return dataclasses.replace(
        get_recipe(stage, "smoke"), epochs=3, batch_size=4, receptive_field=16, width=8, init_from=None
    )


def train(stage, tiny, folder, interrupt=None):
    recipe = recipe_for(stage)
    learn = learner(recipe, tiny)
    if interrupt:
        learn.add_cb(Interrupt(interrupt))
    history = training.fit(learn, folder, epochs=3, lr=recipe.lr, schedule=recipe.schedule, seed=recipe.seed)
    return learn, history


@pytest.mark.parametrize("stage", ["cnn", "unet", "cgan", "palette", "flow"])
def test_resumed_run_ends_bit_for_bit_where_the_uninterrupted_one_does(stage, tiny, tmp_path, capsys):
    whole, history = train(stage, tiny, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(stage, tiny, tmp_path / "broken", interrupt=2)
    assert len(list((tmp_path / "broken").glob("checkpoint-*.pt"))) == 2
    capsys.readouterr()
    resumed, again = train(stage, tiny, tmp_path / "broken")
    assert "going on after epoch 2 of 3" in capsys.readouterr().out
    assert again.drop(columns="seconds").equals(history.drop(columns="seconds"))
    networks = [(whole.model, resumed.model)]
    if stage == "cgan":
        networks.append((whole.discriminator, resumed.discriminator))
    for a, b in networks:
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.equal(x, y), name
    for file in ("weights.safetensors", "last.safetensors"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "broken" / file).read_bytes()


def test_damaged_checkpoint_is_named_and_the_one_before_it_used(tiny, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        train("cnn", tiny, tmp_path, interrupt=2)
    newest = sorted(tmp_path.glob("checkpoint-*.pt"))[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 0xFF
    newest.write_bytes(data)
    state = checkpoints.load_checkpoint(tmp_path)
    assert len(state["rows"]) == 1 and newest.name in capsys.readouterr().out


def test_checkpoint_holding_code_is_not_executed(tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return print, ("executed",)

    torch.save({"model": Evil()}, tmp_path / "checkpoint-0001.pt")
    assert checkpoints.load_checkpoint(tmp_path) is None
    assert "executed" not in capsys.readouterr().out.splitlines()


def test_full_disk_is_said_and_the_last_checkpoint_stays(tiny, tmp_path, monkeypatch):
    save, calls = torch.save, []

    def full(obj, path):
        calls.append(path)
        if len(calls) == 2:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(obj, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RuntimeError, match="No space left.*Is the disk full"):
        train("cnn", tiny, tmp_path)
    assert [p.name for p in tmp_path.glob("*checkpoint*")] == ["checkpoint-0001.pt"]
    monkeypatch.undo()
    assert len(train("cnn", tiny, tmp_path)[1]) == 3


def test_a_disk_that_fills_up_while_weights_are_written_is_said_too(tiny, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RuntimeError, match="weights.safetensors: .*No space left.*Is the disk full"):
        train("cnn", tiny, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_half_written_is_swept(tiny, tmp_path):
    left = tmp_path / ".checkpoint-0001.pt.1234.part"
    left.write_bytes(b"half")
    train("cnn", tiny, tmp_path)
    assert not left.exists()


def test_exploding_loss_stops_with_the_last_good_epoch_kept(tiny, tmp_path):
    class Explode(Callback):
        def after_pred(self):
            if self.training and self.epoch == 1:
                self.learn.pred = self.pred * float("nan")

    learn = learner(recipe_for("cnn"), tiny)
    learn.add_cb(Explode())
    with pytest.raises(checkpoints.TrainingDiverged, match="epoch 2.*checkpoint of epoch 1 is kept"):
        training.fit(learn, tmp_path, epochs=3, lr=1e-3)
    assert [p.name for p in tmp_path.glob("checkpoint-*")] == ["checkpoint-0001.pt"]


def test_out_of_memory_names_the_constant_and_a_value(tiny, tmp_path):
    class Full(Callback):
        def before_batch(self):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    learn = learner(recipe_for("cnn"), tiny)
    learn.add_cb(Full())
    with pytest.raises(RuntimeError, match="batch_size=4: set batch_size=2"):
        training.fit(learn, tmp_path, epochs=1, lr=1e-3)


@pytest.mark.parametrize("batch_size", [1, 12, 100])
def test_any_batch_size_trains(batch_size, tiny, tmp_path):
    learn = learner(dataclasses.replace(recipe_for("cnn"), batch_size=batch_size), tiny)
    assert len(training.fit(learn, tmp_path, epochs=1, lr=1e-3)) == 1


def test_training_never_opens_the_test_photos(tiny, tmp_path, monkeypatch):
    def forbidden(self):
        raise AssertionError("the test photos were read in training")

    monkeypatch.setattr(type(tiny), "test", property(forbidden))
    train("cnn", tiny, tmp_path)
    with pytest.raises(AssertionError):
        tiny.test  # noqa: B018  (the guard itself works)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_precision_follows_the_hardware(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert training.precision("cuda") == expected
    assert training.precision("cpu") == "fp32"


def test_the_estimate_comes_from_the_first_steps_of_the_training(tiny, tmp_path, capsys, monkeypatch):
    clock = itertools.count(0, 60)
    monkeypatch.setattr(checkpoints.time, "time", lambda: next(clock))  # each look at the clock is a minute later
    train("cnn", tiny, tmp_path)
    first, *_ = [line for line in capsys.readouterr().out.splitlines() if "batch" in line]
    assert first == "  epoch 1: batch 2/3, 7.0 min left"  # of three epochs


def test_one_cycle_is_that_of_fastai(tiny, tmp_path):
    ours, theirs = (training.l1_learner(dataloaders(tiny, 4, device="cpu"), generator()) for _ in range(2))
    with theirs.no_logging():
        theirs.fit_one_cycle(2, 1e-2)
    schedule = {}

    class Look(Callback):
        order = 70  # after the scheduler

        def after_fit(self):
            schedule.update(self.recorder.hps)

    ours.add_cb(Look())
    training.fit(ours, tmp_path, epochs=2, lr=1e-2, schedule="one_cycle")
    for name in ("lr", "mom"):
        assert schedule[name] == pytest.approx([float(value) for value in theirs.recorder.hps[name]])


def test_linear_decay_is_constant_then_falls_to_zero_for_both_networks(tiny, tmp_path):
    learn = training.GANLearner(dataloaders(tiny, 4, device="cpu"), generator(), discriminator(), d_lr_mult=0.25)
    assert len(learn.dls.train) == 3
    history = training.fit(learn, tmp_path, epochs=4, lr=1e-2, schedule="linear_decay")
    third_batch = [1e-2, 1e-2, 1e-2 * 2 / 3, 1e-2 / 6]  # which starts at 2/3 of its epoch
    assert history["lr"].tolist() == pytest.approx(third_batch)
    assert learn.d_opt.param_groups[0]["lr"] == pytest.approx(0.25 * third_batch[-1])


class BreakStep(Callback):
    """An exception in the middle of a training step: after the forward pass began, before the loss."""

    order = 20

    def __init__(self, error):
        self.error = error

    def after_pred(self):
        if self.training:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken")])
def test_a_step_that_breaks_leaves_autocast(error, tiny, tmp_path, bf16_on_cpu):
    learn = training.l1_learner(dataloaders(tiny, 4, device="cpu"), generator())
    learn.add_cb(BreakStep(error))
    with pytest.raises(type(error)):
        training.fit(learn, tmp_path, epochs=1, lr=1e-3)
    assert not torch.is_autocast_enabled("cpu")


def test_a_validation_loss_that_is_nan_ends_the_run(tiny, tmp_path):
    learn = training.l1_learner(dataloaders(tiny, 4, device="cpu"), generator())
    learn.loss_func = lambda pred, ab: F.l1_loss(pred, ab) * (1 if learn.training else math.nan)
    with pytest.raises(checkpoints.TrainingDiverged, match="validation loss of epoch 1 is nan"):
        training.fit(learn, tmp_path, epochs=2, lr=1e-3)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_checkpoint_moves_between_gpus_with_and_without_loss_scaling(tiny, tmp_path):
    for epoch, enabled in ((1, False), (2, True), (3, False)):
        learn = gan(tiny)
        learn.d_scaler = torch.amp.GradScaler("cpu", enabled=enabled)
        assert len(training.fit(learn, tmp_path, epochs=epoch, lr=1e-3)) == epoch


def test_unknown_schedule_is_named(tiny, tmp_path):
    with pytest.raises(ValueError, match="unknown schedule 'cosine'; known: constant, one_cycle, linear_decay"):
        training.fit(gan(tiny), tmp_path, epochs=1, lr=1e-2, schedule="cosine")


@pytest.fixture
def bf16_on_cpu(monkeypatch):
    """The code path of a GPU's mixed precision, with the CPU's own bf16 autocast in its place."""
    import fastai.callback.fp16 as fp16

    monkeypatch.setattr(training, "precision", lambda device: "bf16")
    monkeypatch.setattr(fp16, "autocast", lambda device, dtype: torch.autocast("cpu", dtype=dtype))


@pytest.mark.parametrize("stage", ["cnn", "cgan"])
def test_mixed_precision_keeps_losses_and_weights_in_fp32(stage, tiny, tmp_path, bf16_on_cpu):
    seen = []

    class Look(Callback):
        order = 20  # after MixedPrecision has left autocast

        def after_pred(self):
            seen.append(("autocast in the forward pass", torch.is_autocast_enabled("cpu"), True))
            seen.append(("prediction", self.pred.dtype, torch.float32))

        def after_loss(self):
            seen.append(("autocast in the backward pass", torch.is_autocast_enabled("cpu"), False))
            seen.append(("loss", self.learn.loss.dtype, torch.float32))

    recipe = recipe_for(stage)
    learn = learner(recipe, tiny)
    learn.add_cb(Look())
    history = training.fit(learn, tmp_path, epochs=2, lr=recipe.lr)
    assert seen and all(got == expected for _, got, expected in seen), [s for s in seen if s[1] != s[2]][:1]
    assert not torch.is_autocast_enabled("cpu")
    assert all(p.dtype == torch.float32 for p in learn.model.parameters())
    assert history["valid_loss"].notna().all()


def test_mixed_precision_learns_what_fp32_learns(tiny, tmp_path, request):
    def final(seed, name):
        recipe = dataclasses.replace(recipe_for("cnn"), seed=seed, epochs=6)
        learn = learner(recipe, tiny)
        return training.fit(learn, tmp_path / name, epochs=6, lr=1e-3, seed=seed)["train_loss"].iloc[-1]

    full = [final(seed, f"fp32-{seed}") for seed in (1, 2, 3)]
    request.getfixturevalue("bf16_on_cpu")
    mixed = final(1, "bf16")
    assert mixed != full[0], "the same to the last digit: mixed precision was not on"
    assert abs(mixed - full[0]) <= max(full) - min(full), (mixed, full)


class WithEncoder(nn.Module):
    """The small generator, its first convolution called an encoder."""

    def __init__(self):
        super().__init__()
        self.encoder, *rest = generator()
        self.rest = nn.Sequential(*rest)

    def forward(self, L):
        return self.rest(self.encoder(L))


def averaged(tiny):
    torch.manual_seed(0)
    dls = dataloaders(tiny, 4, device="cpu", crop=0.7)
    learn = training.l1_learner(dls, WithEncoder(), weight_decay=0.1, encoder_lr_mult=0.25)
    learn.add_cb(checkpoints.AverageWeights(learn.model, 0.9))
    return learn


def test_the_encoder_learns_at_its_share_of_the_rate(tiny, tmp_path):
    learn = averaged(tiny)
    history = training.fit(learn, tmp_path, epochs=2, lr=1e-2, schedule="linear_decay")
    encoder, rest = learn.opt.hypers
    assert encoder["lr"] == pytest.approx(0.25 * rest["lr"]) and history["lr"].iloc[-1] == pytest.approx(rest["lr"])
    groups = learn.opt.opt.param_groups
    assert [len(group["params"]) for group in groups] == [1, 4]
    assert all(group["weight_decay"] == 0.1 for group in groups)


@pytest.mark.parametrize("resolution", ["quarter", "full"])
def test_both_unets_have_two_rates(resolution, tiny):
    model = unet(resolution, "efficientnet_lite0", None, 32)
    learn = training.l1_learner(dataloaders(tiny, 4, device="cpu"), model, encoder_lr_mult=0.25)
    learn.create_opt()
    encoder, rest = (group["params"] for group in learn.opt.opt.param_groups)
    assert {*map(id, encoder)} == {*map(id, model.encoder.parameters())}
    assert {*map(id, [*encoder, *rest])} == {*map(id, model.parameters())} and len(rest) > 4


def test_the_average_is_validated_kept_and_resumed(tiny, tmp_path):
    whole = averaged(tiny)
    history = training.fit(whole, tmp_path / "whole", epochs=3, lr=1e-2)
    training.fit(averaged(tiny), tmp_path / "broken", epochs=1, lr=1e-2)
    resumed = averaged(tiny)
    training.fit(resumed, tmp_path / "broken", epochs=3, lr=1e-2)
    average = whole.average_weights.average.module
    trained, again = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(trained[name], again[name]) for name in trained)
    kept = [load_file(tmp_path / name / "last.safetensors") for name in ("whole", "broken")]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])
    assert all(torch.equal(kept[0][name], value) for name, value in average.state_dict().items())
    assert not torch.equal(kept[0]["rest.0.running_mean"], trained["rest.0.running_mean"])
    L, ab = next(iter(whole.dls.valid))
    assert history["valid_loss"].iloc[-1] == pytest.approx(F.l1_loss(average.eval()(L), ab).item(), rel=1e-4)


def test_an_average_is_the_weighted_sum_of_the_steps():
    model = nn.Linear(1, 1, bias=False)
    average = checkpoints.AverageWeights(model, 0.9).average
    for value in (1.0, 2.0, 3.0):
        model.weight.data.fill_(value)
        average.update_parameters(model)
    second = 2 / 11 * 1 + 9 / 11 * 2  # after n averaged steps a share of (1 + n) / (10 + n) of the old stays
    assert average.module.weight.item() == pytest.approx(3 / 12 * second + 9 / 12 * 3)


@pytest.mark.parametrize("kind", ["l1", "gan"])
def test_a_frozen_encoder_and_batch_norm_stay_as_they_are(kind, tiny, tmp_path):
    torch.manual_seed(0)
    dls, model = dataloaders(tiny, 4, device="cpu"), WithEncoder()
    if kind == "l1":
        learn = training.l1_learner(dls, model, encoder_lr_mult=0)
    else:
        learn = training.GANLearner(dls, model, discriminator(), freeze=True)
    before = copy.deepcopy(model.state_dict())
    training.fit(learn, tmp_path, epochs=2, lr=1e-2)
    changed = {name for name, value in learn.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"rest.2.weight", "rest.2.bias"}, "all but the last convolution is encoder or batch norm"


def test_gradient_penalty_against_the_gradient_of_a_quadratic():
    """D(ab) = c * ab**2, pixel by pixel: its mean over P verdicts has the gradient 2 c ab / P."""
    ab = torch.rand(3, 2, 4, 4, requires_grad=True)
    weight = torch.tensor(0.7, requires_grad=True)
    penalty = training.gradient_penalty(lambda L, ab: weight * ab.square(), torch.zeros(3, 1, 4, 4), ab)
    by_hand = (2 * 0.7 * ab / 32).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(penalty, by_hand)
    penalty.backward()
    assert weight.grad and ab.grad is None, "it trains D and nothing else"


def test_the_penalty_enters_the_step_of_d_and_not_its_loss(tiny):
    L, ab = batch()
    plain, steep = gan(tiny), training.GANLearner(dataloaders(tiny, 4), generator(), discriminator(), r1=1e4)
    for learn in (plain, steep):
        one_batch(learn, L, ab)
    assert plain.terms["d_loss"] == steep.terms["d_loss"]
    weights = [next(learn.discriminator.parameters()) for learn in (plain, steep)]
    assert not torch.equal(*weights)


def test_d_trains_alone_in_the_first_epochs(tiny, tmp_path):
    learn = training.GANLearner(dataloaders(tiny, 4, device="cpu"), WithEncoder(), discriminator(), d_epochs=1)
    learn.add_cb(Interrupt(1))
    weights = [copy.deepcopy(next(net.parameters())) for net in (learn.model, learn.discriminator)]
    with pytest.raises(KeyboardInterrupt):
        training.fit(learn, tmp_path, epochs=2, lr=1e-3)
    assert torch.equal(load_file(tmp_path / "weights.safetensors")["encoder.weight"], weights[0])
    assert not torch.equal(next(learn.discriminator.parameters()), weights[1])
    assert not torch.equal(next(learn.model.parameters()), weights[0]), "and G from the second on"


def test_d_judges_and_l1_corrects_at_the_resolution_of_the_answer(tiny):
    class Quarter(nn.Module):
        def __init__(self):
            super().__init__()
            self.answer = nn.Conv2d(1, 2, 4, stride=4)

        def quarter(self, L):
            return self.answer(L)

    seen = []

    class Judge(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, L, ab):
            seen.append((tuple(L.shape), tuple(ab.shape)))
            return self.weight * ab

    learn = training.GANLearner(dataloaders(tiny, 4, device="cpu"), Quarter(), Judge())
    L, ab = batch()
    model = copy.deepcopy(learn.model)
    one_batch(learn, L, ab)
    assert set(seen) == {((4, 1, 8, 8), (4, 2, 8, 8))}
    assert learn.terms["g_l1"].item() == pytest.approx(F.l1_loss(model.quarter(L), F.avg_pool2d(ab, 4)).item())


def test_the_history_says_how_colorful_the_validation_answers_are(tiny, tmp_path):
    learn = training.l1_learner(dataloaders(tiny, 4, device="cpu"), generator())
    history = training.fit(learn, tmp_path, epochs=2, lr=1e-3)
    L, ab = next(iter(learn.dls.valid))
    with torch.no_grad():
        shown = to_rgb(L, learn.model.eval()(L))
    assert history["valid_colorfulness"].iloc[-1] == pytest.approx(colorfulness(shown).mean().item(), rel=1e-4)
