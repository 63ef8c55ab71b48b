"""The training loop: the GAN's two steps by hand, resume to the bit, half precision, and what breaks."""

import copy
import dataclasses
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import raising
from fastai.callback import fp16
from fastai.callback.core import Callback
from safetensors.torch import load_file
from torch import nn

from g2g import files, training
from g2g.data import dataloaders
from g2g.lab import to_rgb
from g2g.metrics import colorfulness
from g2g.models import PatchGAN, unet
from g2g.profiles import Recipe, get_recipe
from g2g.runs import learner

CNN = Recipe("cnn", epochs=1, lr=1e-3)
GAN = Recipe("cgan", epochs=1, lr=1e-2, beta1=0.5, receptive_field=16)
UNET = Recipe("unet", epochs=1, lr=1e-2)


class Generator(nn.Module):
    """A small generator with what a U-Net is trained by: an encoder, batch norm, a last layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.rest = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1))

    def forward(self, L):
        return self.rest(self.encoder(L))


def discriminator():
    torch.manual_seed(1)
    return PatchGAN(16, width=8)


def small(photos, recipe=CNN, model=None, **changes):
    """A learner of a small network, by `recipe` with `changes`."""
    recipe = dataclasses.replace(recipe, **changes)
    dls = dataloaders(photos, 4, device="cpu", min_crop_side=recipe.min_crop_side)
    if recipe.model == "cgan":
        return training.GANLearner(dls, model or Generator(), discriminator(), recipe)
    return training.LossLearner(dls, model or Generator(), recipe)


def real(photos, name, **changes):
    """A learner of one of the course's networks, as small as it gets."""
    recipe = get_recipe(name, "smoke")
    changes |= {"receptive_field": 16} if name == "cgan" else {}
    changes |= {"width": 8} if name in ("cnn", "flow") else {}
    recipe = dataclasses.replace(recipe, **{"epochs": 3, "batch_size": 4, "init_from": None} | changes)
    return learner(recipe, photos)


def batch():
    torch.manual_seed(3)
    return torch.rand(4, 1, 32, 32) * 2 - 1, torch.rand(4, 2, 32, 32) * 0.4 - 0.2


def one_step(learn, L, ab):
    learn.create_opt()
    learn.opt.set_hypers(lr=1e-2)
    learn.model.train()
    learn.discriminator.train()
    learn.training, learn.xb, learn.yb = True, (L,), (ab,)
    learn._do_one_batch()


class On(Callback):
    """Calls `action(learn)` at an event; with `epoch` only while that one is trained."""

    def __init__(self, event, action, epoch=None, order=20):
        def act():
            if epoch is None or (self.training and self.epoch == epoch):
                action(self.learn)

        self.order = order
        setattr(self, event, act)


def interrupted(learn, epoch):
    """The learner, with a Ctrl-C in the middle of an epoch."""

    def interrupt(learn):
        if learn.iter == 1:
            raise KeyboardInterrupt

    learn.add_cb(On("after_batch", interrupt, epoch, order=80))
    return learn


def test_gan_step_equals_steps_written_by_hand(photos):
    L, ab = batch()
    g, d, learn = Generator(), discriminator(), small(photos, GAN, lambda_l1=10)
    g_opt = torch.optim.Adam(g.parameters(), lr=1e-2, betas=(0.5, 0.999))
    d_opt = torch.optim.Adam(d.parameters(), lr=1e-2, betas=(0.5, 0.999))
    one_step(learn, L, ab)

    fake = g(L)
    real_logits, fake_logits = d(L, ab), d(L, fake.detach())
    d_loss = (-F.logsigmoid(real_logits).mean() - F.logsigmoid(-fake_logits).mean()) / 2
    d_loss.backward()
    d_opt.step()
    d.requires_grad_(False)
    adversarial = -F.logsigmoid(d(L, fake)).mean()
    l1 = (fake - ab).abs().mean()
    (adversarial + 10.0 * l1).backward()
    g_opt.step()

    torch.testing.assert_close(
        learn.terms, {"d_loss": d_loss.detach(), "g_adv": adversarial.detach(), "g_l1": l1.detach()}
    )
    for mine, theirs in ((g, learn.model), (d, learn.discriminator)):
        torch.testing.assert_close(mine.state_dict(), theirs.state_dict(), rtol=1e-4, atol=1e-6)


def test_the_penalty_enters_the_step_of_d_and_not_its_loss(photos):
    L, ab = batch()
    plain, steep = small(photos, GAN), small(photos, GAN, r1=1e4)
    for learn in (plain, steep):
        one_step(learn, L, ab)
    assert plain.terms["d_loss"] == steep.terms["d_loss"]
    assert not torch.equal(*(next(learn.discriminator.parameters()) for learn in (plain, steep)))


def test_d_trains_alone_in_the_first_epochs(photos, tmp_path):
    learn = interrupted(small(photos, GAN, epochs=2, d_epochs=1), 1)
    weights = [copy.deepcopy(next(network.parameters())) for network in (learn.model, learn.discriminator)]
    with pytest.raises(KeyboardInterrupt):
        training.fit(learn, tmp_path)
    assert torch.equal(load_file(tmp_path / "weights.safetensors")["encoder.weight"], weights[0])
    assert not torch.equal(next(learn.discriminator.parameters()), weights[1])
    assert not torch.equal(next(learn.model.parameters()), weights[0]), "and G from the second on"


def test_d_judges_and_l1_is_computed_at_the_resolution_of_the_prediction(photos):
    learn, shapes = small(photos, GAN, unet("quarter", weights=None)), []
    learn.discriminator.register_forward_pre_hook(lambda _, planes: shapes.append([tuple(x.shape) for x in planes]))
    L, ab = batch()
    model = copy.deepcopy(learn.model)
    one_step(learn, L, ab)
    assert shapes and all(shape == [(4, 1, 8, 8), (4, 2, 8, 8)] for shape in shapes)
    assert learn.terms["g_l1"].item() == pytest.approx(F.l1_loss(model.quarter(L), F.avg_pool2d(ab, 4)).item())


EXTRAS = {"cnn": {"ema_decay": 0.9, "min_crop_side": 0.6, "sharpen": 2, "jitter": 0.2}, "unet": {"frozen_epochs": 2}}


@pytest.mark.parametrize("name", ["cnn", "unet", "cgan", "palette", "flow"])
def test_resumed_run_ends_bit_for_bit_where_the_uninterrupted_one_does(name, photos, tmp_path, capsys):
    extras = EXTRAS.get(name, {})
    history = training.fit(real(photos, name, **extras), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        training.fit(interrupted(real(photos, name, **extras), 2), tmp_path / "broken")
    assert len(list((tmp_path / "broken").glob("checkpoint-*.pt"))) == 2
    capsys.readouterr()
    again = training.fit(real(photos, name, **extras), tmp_path / "broken")
    assert "going on after epoch 2 of 3" in capsys.readouterr().out
    assert again.drop(columns="seconds").equals(history.drop(columns="seconds"))
    files = [path.name for path in (tmp_path / "whole").glob("*.safetensors")]
    assert len(files) == 2 + (name == "cgan")
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "broken" / file).read_bytes()


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def test_damaged_checkpoints_are_named_and_removed_and_new_ones_stay(photos, tmp_path, capsys):
    training.fit(small(photos, epochs=3), tmp_path)
    second, third = sorted(tmp_path.glob("checkpoint-*.pt"))
    flip_a_byte(third)
    assert len(training.load_checkpoint(tmp_path)["rows"]) == 2
    assert third.name in capsys.readouterr().out and not third.exists()
    flip_a_byte(second)
    training.fit(small(photos, epochs=1), tmp_path)
    assert [path.name for path in tmp_path.glob("checkpoint-*.pt")] == ["checkpoint-0001.pt"]


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), RuntimeError("out of memory")])
def test_a_whole_checkpoint_that_cannot_be_read_is_no_damage(error, photos, tmp_path, monkeypatch):
    training.fit(small(photos), tmp_path)
    monkeypatch.setattr(torch, "load", raising(error))
    with pytest.raises(type(error)):
        training.load_checkpoint(tmp_path)
    assert list(tmp_path.glob("checkpoint-*.pt"))


def test_checkpoint_holding_code_is_not_executed(tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return print, ("executed",)

    torch.save({"model": Evil()}, tmp_path / "checkpoint-0001.pt")
    assert training.load_checkpoint(tmp_path) is None
    assert "executed" not in capsys.readouterr().out.splitlines()


def test_full_disk_is_said_and_the_last_checkpoint_stays(photos, tmp_path, monkeypatch):
    save = torch.save

    def full(obj, path):
        if "checkpoint-0002" in path.name:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(obj, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RuntimeError, match="the disk is full"):
        training.fit(small(photos, epochs=3), tmp_path)
    assert [p.name for p in tmp_path.glob("*checkpoint*")] == ["checkpoint-0001.pt"]
    monkeypatch.undo()
    assert len(training.fit(small(photos, epochs=3), tmp_path)) == 3


def test_a_disk_that_fills_up_while_weights_are_written_is_said_too(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", raising(OSError(28, "No space left on device")))
    with pytest.raises(RuntimeError, match="weights.safetensors.*the disk is full"):
        training.fit(small(photos), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_half_written_is_swept(photos, tmp_path):
    left = tmp_path / ".checkpoint-0001.pt.1234.part"
    left.write_bytes(b"half")
    training.fit(small(photos), tmp_path)
    assert not left.exists()


def spoil_predictions(learn):
    learn.pred = learn.pred * math.nan


def spoil_weights(learn):
    if learn.iter == learn.n_iter - 1:
        next(learn.model.parameters()).data.fill_(math.nan)


@pytest.mark.parametrize(("event", "action"), [("after_pred", spoil_predictions), ("after_step", spoil_weights)])
def test_nan_stops_with_the_last_good_epoch_kept(event, action, photos, tmp_path):
    learn = small(photos, epochs=3)
    learn.add_cb(On(event, action, epoch=1))
    with pytest.raises(training.TrainingDiverged, match="epoch 2.*checkpoint of epoch 1 is kept"):
        training.fit(learn, tmp_path)
    assert [p.name for p in tmp_path.glob("checkpoint-*")] == ["checkpoint-0001.pt"]


def test_out_of_memory_names_the_constant_and_a_value(photos, tmp_path):
    learn = small(photos)
    learn.add_cb(On("before_batch", raising(torch.cuda.OutOfMemoryError("CUDA out of memory"))))
    with pytest.raises(RuntimeError, match="batch_size=4: set batch_size=2"):
        training.fit(learn, tmp_path)


def test_training_never_opens_the_test_photos(photos, tmp_path, monkeypatch):
    forbidden = raising(AssertionError("the test photos were read in training"))
    monkeypatch.setattr(type(photos), "test", property(forbidden))
    training.fit(small(photos), tmp_path)


def test_a_bar_counts_the_steps_that_are_left_and_each_epoch_is_a_line(photos, tmp_path, capsys, monkeypatch):
    bars = []
    monkeypatch.setattr(training, "progress", lambda *about: bars.append(files.progress(*about)) or bars[-1])
    training.fit(small(photos, epochs=1), tmp_path)
    training.fit(small(photos, epochs=3), tmp_path)
    assert [(bar.total, bar.n) for bar in bars] == [(3, 3), (6, 6)]  # three steps an epoch
    epochs = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert epochs == ["1/1", "2/3", "3/3"]


def test_one_cycle_is_that_of_fastai(photos, tmp_path):
    ours, theirs = (small(photos, epochs=2, lr=1e-2, schedule="one_cycle") for _ in range(2))
    with theirs.no_logging():
        theirs.fit_one_cycle(2, 1e-2)
    training.fit(ours, tmp_path)
    for name in ("lr", "mom"):
        schedules = [list(map(float, learn.recorder.hps[name])) for learn in (ours, theirs)]
        assert schedules[0] == pytest.approx(schedules[1])


def test_linear_decay_is_constant_then_falls_to_zero_for_both_networks(photos, tmp_path):
    learn = small(photos, GAN, epochs=4, d_lr_mult=0.25, schedule="linear_decay")
    assert len(learn.dls.train) == 3
    history = training.fit(learn, tmp_path)
    third_batch = [1e-2, 1e-2, 1e-2 * 2 / 3, 1e-2 / 6]  # which starts at 2/3 of its epoch
    assert history["lr"].tolist() == pytest.approx(third_batch)
    assert learn.d_opt.param_groups[0]["lr"] == pytest.approx(0.25 * third_batch[-1])


@pytest.mark.parametrize("recipe", [UNET, GAN], ids=["L1", "GAN"])
def test_the_encoder_learns_at_its_fraction_of_the_rate(recipe, photos, tmp_path):
    learn = small(photos, recipe, weight_decay=0.1, encoder_lr_mult=0.25)
    history = training.fit(learn, tmp_path)
    encoder, rest = learn.opt.hypers
    assert encoder["lr"] == pytest.approx(0.25 * rest["lr"]) and history["lr"].iloc[-1] == pytest.approx(rest["lr"])
    groups = learn.opt.opt.param_groups
    assert [len(group["params"]) for group in groups] == [1, 4]
    assert all(group["weight_decay"] == 0.1 for group in groups)


@pytest.mark.parametrize("resolution", ["quarter", "full"])
def test_both_unets_have_two_rates(resolution, photos):
    model = unet(resolution, "efficientnet_lite0", None, 32)
    learn = small(photos, UNET, model, encoder_lr_mult=0.25)
    learn.create_opt()
    encoder, rest = (group["params"] for group in learn.opt.opt.param_groups)
    assert {*map(id, encoder)} == {*map(id, model.encoder.parameters())}
    assert {*map(id, [*encoder, *rest])} == {*map(id, model.parameters())} and len(rest) > 4


@pytest.mark.parametrize("recipe", [UNET, GAN], ids=["L1", "GAN"])
def test_a_frozen_encoder_and_batch_norm_stay_as_they_are(recipe, photos, tmp_path):
    learn = small(photos, recipe, epochs=2, encoder_lr_mult=0)
    before = copy.deepcopy(learn.model.state_dict())
    training.fit(learn, tmp_path)
    changed = {name for name, value in learn.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"rest.2.weight", "rest.2.bias"}, "all but the last convolution is encoder or batch norm"


def test_the_last_epochs_see_whole_photos_and_freeze(photos, tmp_path):
    learn = small(photos, UNET, epochs=3, frozen_epochs=1, min_crop_side=0.5)
    states, sides = [], []
    learn.add_cb(On("after_epoch", lambda learn: states.append(copy.deepcopy(learn.model.state_dict()))))
    learn.add_cb(On("after_epoch", lambda learn: sides.append(learn.dls.train.min_crop_side)))
    training.fit(learn, tmp_path)
    _, free, frozen = states
    assert sides == [0.5, 0.5, 1.0]
    changed = {name for name, value in frozen.items() if not torch.equal(value, free[name])}
    assert changed == {"rest.2.weight", "rest.2.bias"}


def test_jitter_moves_lightness_in_training_only(photos):
    callback = training.Jitter(0.2)
    callback.learn = small(photos)
    L = torch.rand(8, 1, 4, 4) - 0.5
    for is_training in (True, False):
        callback.learn.training, callback.learn.xb = is_training, (L,)
        callback.before_batch()
        (moved,) = callback.learn.xb
        assert torch.equal(moved, L) != is_training
        assert (moved.mean((1, 2, 3)) - L.mean((1, 2, 3))).abs().max() <= 0.2 + 1e-6


def test_the_average_is_validated_and_kept(photos, tmp_path):
    learn = small(photos, UNET, epochs=2, ema_decay=0.9)
    history = training.fit(learn, tmp_path)
    average, kept = learn.average_weights.average.module, load_file(tmp_path / "last.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in average.state_dict().items())
    assert not torch.equal(kept["rest.0.running_mean"], learn.model.state_dict()["rest.0.running_mean"])
    L, ab = next(iter(learn.dls.valid))
    pred_ab = average.eval()(L).detach()
    assert history["valid_loss"].iloc[-1] == pytest.approx(F.l1_loss(pred_ab, ab).item(), rel=1e-4)
    shown = colorfulness(to_rgb(L, pred_ab))
    assert history["valid_colorfulness"].iloc[-1] == pytest.approx(shown.mean().item(), rel=1e-4)


def test_an_average_is_the_weighted_sum_of_the_steps_and_waits_for_the_gpu_at_most_four_times(monkeypatch):
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = training.AverageWeights(model, 0.9).average
    reads = []
    for method in ("item", "__float__", "__bool__"):
        plain = getattr(torch.Tensor, method)
        monkeypatch.setattr(torch.Tensor, method, lambda x, plain=plain: (reads.append(x), plain(x))[1])
    for value in (1.0, 2.0, 3.0):
        model[0].weight.data.fill_(value)
        reads.clear()
        average.update_parameters(model)
    monkeypatch.undo()
    assert len(reads) <= 4
    second = 2 / 11 * 1 + 9 / 11 * 2  # after n averaged steps a fraction of (1 + n) / (10 + n) of the old stays
    assert average.module[0].weight.item() == pytest.approx(3 / 12 * second + 9 / 12 * 3)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_precision_follows_the_hardware(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert training.precision("cuda") == expected
    assert training.precision("cpu") == "fp32"
    monkeypatch.setenv("G2G_PRECISION", "bf16")
    assert training.precision("cuda") == training.precision("cpu") == "bf16"
    monkeypatch.setenv("G2G_PRECISION", "fp8")
    with pytest.raises(ValueError, match="G2G_PRECISION=fp8; set it to fp32 or bf16"):
        training.precision("cpu")


def backend_flags():
    cudnn = torch.backends.cudnn
    return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic


def test_training_leaves_the_backends_as_they_were(photos, tmp_path):
    before, during = backend_flags(), []
    learn = small(photos, epochs=2)
    learn.add_cb(On("after_pred", lambda learn: during.append(backend_flags())))
    training.fit(learn, tmp_path)
    assert during and during[0] != before == backend_flags()


@pytest.fixture(params=["bf16", "fp16"])
def half_on_cpu(request, monkeypatch):
    """A GPU's mixed precision on the CPU, loss scaling included."""
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(training, "precision", lambda device: request.param)
    for module in (torch.amp, fp16):
        monkeypatch.setattr(module, "GradScaler", lambda device="cpu", **options: scaler("cpu", **options))


@pytest.mark.parametrize("name", ["cnn", "cgan", "palette"])
def test_mixed_precision_keeps_losses_and_weights_in_fp32(name, photos, tmp_path, half_on_cpu):
    learn, in_forward, in_backward = real(photos, name, epochs=2), set(), set()
    # They come after MixedPrecision, which leaves autocast before the backward pass
    learn.add_cb(On("after_pred", lambda learn: in_forward.add((torch.is_autocast_enabled("cpu"), learn.pred.dtype))))
    learn.add_cb(On("after_loss", lambda learn: in_backward.add((torch.is_autocast_enabled("cpu"), learn.loss.dtype))))
    history = training.fit(learn, tmp_path)
    assert in_forward == {(True, torch.float32)} and in_backward == {(False, torch.float32)}
    assert not torch.is_autocast_enabled("cpu")
    assert all(p.dtype == torch.float32 for p in learn.model.parameters())
    assert history["valid_loss"].notna().all()


def test_d_moves_under_half_precision_with_r1_and_its_scaler_is_resumed(half_on_cpu, photos, tmp_path):
    learn = small(photos, GAN, r1=10.0)
    before = copy.deepcopy(list(learn.discriminator.parameters()))
    training.fit(learn, tmp_path)
    after = list(learn.discriminator.parameters())
    assert all(weights.isfinite().all() for weights in after)
    assert not all(map(torch.equal, before, after))
    state = training.load_checkpoint(tmp_path)
    assert state["d_scaler"] == learn.d_scaler.state_dict()
    assert "scaler" in state


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken")])
def test_a_step_that_breaks_leaves_autocast(error, photos, tmp_path, half_on_cpu):
    learn = small(photos, epochs=2)
    learn.add_cb(On("after_pred", raising(error), epoch=1))
    with pytest.raises(type(error)):
        training.fit(learn, tmp_path)
    assert not torch.is_autocast_enabled("cpu")


def test_a_checkpoint_moves_between_gpus_with_and_without_loss_scaling(photos, tmp_path):
    for epoch, enabled in ((1, False), (2, True), (3, False)):
        learn = small(photos, GAN, epochs=epoch)
        learn.d_scaler = torch.amp.GradScaler("cpu", enabled=enabled)
        assert len(training.fit(learn, tmp_path)) == epoch
