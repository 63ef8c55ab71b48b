"""Shapes and sizes, weights that really arrive, what the discriminator sees, generators that can learn."""

import copy
import hashlib
import os

import numpy as np
import pytest
import safetensors.torch
import torch
from skimage import data
from torchvision.models import ResNet18_Weights, resnet18

from g2g.lab import photos_to_lab
from g2g.models import EncoderDecoder, PatchGAN, count_parameters, load_weights, resnet18_unet

GENERATORS = {"cnn": EncoderDecoder, "unet": lambda: resnet18_unet(None, 64)}
both = pytest.mark.parametrize("name", GENERATORS)


@pytest.fixture(scope="module")
def models():
    """One of each, for tests that only look."""
    torch.manual_seed(0)
    return {name: build().eval() for name, build in GENERATORS.items()}


def pair(size=64, n=1):
    """Random (L, ab)."""
    return torch.rand(n, 1, size, size) * 2 - 1, torch.rand(n, 2, size, size) - 0.5


# ------------------------------------------------------------------------------------------- generators


@both
@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (33, 33), (33, 71), (64, 64), (100, 48), (127, 130)])
def test_any_size_from_32_px(models, name, size):
    ab = models[name](torch.rand(2, 1, *size))
    assert ab.shape == (2, 2, *size) and ab.isfinite().all() and type(ab) is torch.Tensor


@both
@pytest.mark.parametrize(
    "shape, says",
    [
        ((1, 1, 31, 64), "at least 32 px.*(31, 64)"),
        ((1, 3, 64, 64), r"expected \(B,1,H,W\), got \(1, 3"),
        ((1, 64, 64), r"expected \(B,1,H,W\)"),
    ],
)
def test_other_inputs_say_why_not(models, name, shape, says):
    with pytest.raises(ValueError, match=says):
        models[name](torch.rand(shape))


def test_cnn_output_is_bounded_its_stages_named_and_it_is_lighter(models):
    cnn, unet = models["cnn"], models["unet"]
    assert models["cnn"](torch.randn(1, 1, 32, 32) * 1e4).abs().max() <= 1
    assert [n for n, _ in cnn.named_children()] == ["encoder", "latent", "decoder", "output"]
    assert count_parameters(cnn) < count_parameters(unet) / 4
    assert count_parameters(torch.nn.Conv2d(2, 3, 5)) == 2 * 3 * 25 + 3


@both
def test_same_seed_same_weights_and_building_leaves_batch_norm_fresh(name):
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model = GENERATORS[name]()
        states.append(model.state_dict())
        assert all(m.training for m in model.modules())
    first, again, other = states
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)
    fresh = [v for k, v in first.items() if k.endswith(("running_mean", "num_batches_tracked"))]
    assert fresh and not any(v.any() for v in fresh)


@both
def test_copy_after_use_is_independent(models, name):
    L, _ = pair(32)
    model = models[name]
    before = model(L).detach()  # with grad: the stored hooks of DynamicUnet would forbid the copy
    twin = copy.deepcopy(model)
    assert torch.equal(twin(L), before)
    with torch.no_grad():
        for p in twin.parameters():
            p.mul_(0.5)
        assert not torch.equal(twin(L), before)
        assert torch.equal(model(L), before)


@both
def test_channels_last_and_bf16(models, name):
    L, ab = pair(48, n=2)
    model = copy.deepcopy(models[name]).to(memory_format=torch.channels_last)
    with torch.no_grad():
        plain = models[name](L)
        L = L.contiguous(memory_format=torch.channels_last)
        assert torch.allclose(model(L), plain, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(L)
        loss = (out - ab).abs().mean() + PatchGAN(16)(L, out).mean()
    loss.backward()
    assert out.shape == ab.shape and (out.float() - plain).abs().mean() < 0.1 * plain.abs().mean() + 0.02
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@both
def test_learns_16_crops(name):
    scenes = (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())
    corners = (40, 60), (40, 200), (160, 60), (160, 200)
    crops = [scene[y : y + 128 : 4, x : x + 128 : 4] for scene in scenes for y, x in corners]
    L, ab = photos_to_lab(np.stack(crops))
    torch.manual_seed(0)
    model = GENERATORS[name]().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(40):
        loss = (model(L) - ab).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    gray = ab.abs().mean()
    with torch.no_grad():
        assert (model(L) - ab).abs().mean() < gray / 2
        assert (model.eval()(L) - ab).abs().mean() < gray / 2  # the running statistics serve too


# --------------------------------------------------------------------------------------------- weights


@pytest.fixture(scope="module")
def resnet_state():
    torch.manual_seed(7)
    model = resnet18()
    with torch.no_grad():  # statistics that no fresh model has
        for k, v in model.state_dict().items():
            if "running" in k:
                v.uniform_(0.5, 1.5)
    return model.state_dict()


def assert_weights_arrived(model, state):
    # the encoder's children are those of ResNet-18, in order and without names
    names = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    encoder = {
        f"{names[int(k.split('.')[0])]}.{k.split('.', 1)[1]}": v for k, v in model.layers[0].state_dict().items()
    }
    assert encoder.keys() == {k for k in state if not k.startswith("fc.")}
    assert torch.equal(encoder.pop("conv1.weight"), state["conv1.weight"].sum(dim=1, keepdim=True))
    assert all(torch.equal(v, state[k]) for k, v in encoder.items())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file_arrive(tmp_path, resnet_state, suffix):
    path = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":  # as old torchvision files: without the batch counters
        torch.save({k: v for k, v in resnet_state.items() if "num_batches" not in k}, path)
    else:
        safetensors.torch.save_file(resnet_state, path)
    assert_weights_arrived(resnet18_unet(path, 32), resnet_state)


def test_weights_from_a_download_arrive(tmp_path, monkeypatch, resnet_state):
    """The real way through torch.hub, with a file:// stand-in for the server."""
    served = tmp_path / "served.pth"
    torch.save(resnet_state, served)
    digest = hashlib.sha256(served.read_bytes()).hexdigest()[:8]
    served = served.rename(tmp_path / f"resnet18-{digest}.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(type(ResNet18_Weights.IMAGENET1K_V1), "url", property(lambda self: served.as_uri()))
    assert_weights_arrived(resnet18_unet("imagenet", 32), resnet_state)
    assert os.listdir(tmp_path / "hub" / "hub" / "checkpoints") == [served.name]


def test_failed_download_names_cause_and_way_out(tmp_path, monkeypatch):
    gone = (tmp_path / "resnet18-00000000.pth").as_uri()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(type(ResNet18_Weights.IMAGENET1K_V1), "url", property(lambda self: gone))
    with pytest.raises(RuntimeError, match="no ImageNet weights.*No such file.*weights=None"):
        resnet18_unet("imagenet", 32)


def test_first_filters_without_weights_are_new():
    torch.manual_seed(3)
    reference = resnet18()
    torch.manual_seed(3)
    model = resnet18_unet(None, 32)
    conv = model.layers[0][0].weight
    assert conv.shape == (64, 1, 7, 7) and not torch.equal(conv, reference.conv1.weight.sum(1, keepdim=True))


@both
def test_state_dict_goes_through_safetensors(models, tmp_path, name):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(models[name].state_dict(), path)
    torch.manual_seed(99)
    other = load_weights(GENERATORS[name](), path).eval()
    L, _ = pair(40)
    assert torch.equal(other(L), models[name](L))


def test_files_that_do_not_fit_are_named(models, tmp_path, resnet_state):
    path = tmp_path / "other.pth"
    model = EncoderDecoder(4)
    before = copy.deepcopy(model.state_dict())
    torch.save(resnet_state, path)
    with pytest.raises(ValueError, match="other.pth does not fit EncoderDecoder.*missing.*not in the model"):
        load_weights(model, path)
    torch.save(models["cnn"].state_dict(), path)
    with pytest.raises(ValueError, match="other.pth does not fit EncoderDecoder: .* another shape"):
        load_weights(model, path)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="other.pth is not a state dict"):
        load_weights(model, path)
    torch.save(model, path)  # a whole pickled model could run code
    with pytest.raises(ValueError, match="other.pth is not a checkpoint that can be loaded safely"):
        load_weights(model, path)
    for junk in (b"", b"<html>404</html>", os.urandom(2000)):
        for file in (path, path.with_suffix(".safetensors")):
            file.write_bytes(junk)
            with pytest.raises(ValueError, match="is not a checkpoint"):
                load_weights(model, file)
    with pytest.raises(FileNotFoundError, match="nowhere.pth"):
        resnet18_unet(tmp_path / "nowhere.pth")
    with pytest.raises(ValueError, match="at least 32 px, got 16"):
        resnet18_unet(None, 16)


# --------------------------------------------------------------------------------------- discriminator


@pytest.mark.parametrize("field", [1, 16, 34, 70, 286])
def test_receptive_field_by_gradient(field):
    """Which input pixels move the middle verdict? In eval(): batch norm couples all of them in train()."""
    torch.manual_seed(0)
    size = 2 * field + 50
    model = PatchGAN(field, width=4).double().eval()  # double: corner gradients of 286 px are tiny
    L, ab = (t.double().requires_grad_() for t in pair(size))
    logits = model(L, ab)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    seen = (L.grad.abs() + ab.grad.abs().sum(1, keepdim=True))[0, 0] > 0
    for axis in (0, 1):
        where = seen.any(dim=axis).nonzero().flatten()
        assert where[-1] - where[0] + 1 == field


@torch.no_grad()
@pytest.mark.parametrize("field, smallest", [(1, 1), (16, 6), (34, 12), (70, 24), (286, 96)])
def test_smallest_input(field, smallest):
    model = PatchGAN(field, width=4).eval()
    assert model.min_size == smallest
    assert model(*pair(smallest)).shape == (1, 1, 1, 1)
    if smallest > 1:
        with pytest.raises(RuntimeError):  # the limit is the network's, not a rule of ours
            model.layers(torch.cat(pair(smallest - 1), dim=1))
        with pytest.raises(ValueError, match=rf"PatchGAN\({field}\) needs at least {smallest} px"):
            model(*pair(smallest - 1))


def test_patchgan_is_pix2pix():
    model = PatchGAN()
    convs = [m for m in model.layers if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in convs] == [64, 128, 256, 512, 1] and convs[0].in_channels == 3
    assert [c.stride[0] for c in convs] == [2, 2, 2, 1, 1]
    assert not isinstance(model.layers[1], torch.nn.BatchNorm2d) and model.layers[1].negative_slope == 0.2
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in model.layers) == 3
    assert all(abs(c.weight.std() - 0.02) < 0.002 and abs(c.weight.mean()) < 0.001 for c in convs)
    assert model(*pair(256)).shape == (1, 1, 30, 30)  # the 30x30 verdicts of pix2pix
    with pytest.raises(ValueError, match="expected one of 1, 16, 34, 70, 286, got 71"):
        PatchGAN(71)


@torch.no_grad()
@pytest.mark.parametrize("field", [1, 16, 70])
def test_verdict_depends_on_L_and_on_ab(field):
    torch.manual_seed(0)
    model = PatchGAN(field).eval()
    (L, ab), (other_L, other_ab) = pair(), pair()
    verdict = model(L, ab)
    assert (model(other_L, ab) - verdict).abs().mean() > 0.1 * verdict.std()
    assert (model(L, other_ab) - verdict).abs().mean() > 0.1 * verdict.std()


def test_discriminator_refuses_shapes_that_do_not_belong_together():
    L, ab = pair(32, n=2)
    for wrong in (ab[:1], ab[:, :1], ab[..., :30], L):
        with pytest.raises(ValueError, match=r"ab: expected \(2, 2, 32, 32\) to go with L"):
            PatchGAN(16)(L, wrong)
    with pytest.raises(ValueError, match=r"L: expected \(B,1,H,W\)"):
        PatchGAN(16)(ab, ab)
