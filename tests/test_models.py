"""Shapes and sizes, weights that really arrive, what the discriminator sees, generators that can learn."""

import copy
import os

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from skimage import data

from g2g import models as module
from g2g.lab import photos_to_lab
from g2g.models import EncoderDecoder, PatchGAN, count_parameters, imagenet_classifier, load_weights, unet

GENERATORS = {
    "cnn": EncoderDecoder,
    "quarter": lambda: unet("quarter", weights=None),
    "full": lambda: unet("full", "resnet18", None, 64),
}
both = pytest.mark.parametrize("name", GENERATORS)


@pytest.fixture(scope="module")
def models():
    """One of each, for tests that only look."""
    torch.manual_seed(0)
    built = {name: build().eval() for name, build in GENERATORS.items()}
    torch.nn.init.normal_(built["quarter"].head.weight, std=0.05)  # fresh, it answers gray to everything
    return built


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


def test_cnn_output_is_bounded_and_its_stages_named(models):
    cnn = models["cnn"]
    assert models["cnn"](torch.randn(1, 1, 32, 32) * 1e4).abs().max() <= 1
    assert [n for n, _ in cnn.named_children()] == ["encoder", "latent", "decoder", "output"]
    assert count_parameters(models["quarter"]) < count_parameters(cnn) < count_parameters(models["full"]) / 4
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
    for _ in range(60):
        loss = (model(L) - ab).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    gray = ab.abs().mean()
    with torch.no_grad():
        assert (model(L) - ab).abs().mean() < gray / 2
        assert (model.eval()(L) - ab).abs().mean() < gray / 2  # the running statistics serve too


# --------------------------------------------------------------------------------------------- weights


# The first convolution's name, and whether a layer belongs to the classifier that no generator keeps
FIRST = {"efficientnet_lite0": "conv_stem.weight", "resnet18": "conv1.weight"}
CLASSIFIER = ("conv_head", "bn2", "classifier", "fc")


@pytest.fixture(scope="module", params=FIRST)
def trained(request):
    """An encoder's name and a state dict that no fresh network has, as a stand-in for one trained on ImageNet."""
    torch.manual_seed(7)
    state = imagenet_classifier(request.param, None).state_dict()
    for name, tensor in state.items():
        if "running" in name:
            tensor.uniform_(0.5, 1.5)
    return request.param, state


def assert_features_are_those_of(generator, name, state):
    """Every tensor before the classifier arrived; the first filters are summed."""
    theirs = [
        v.sum(1, keepdim=True) if k == FIRST[name] else v for k, v in state.items() if not k.startswith(CLASSIFIER)
    ]
    ours = list(generator.encoder.state_dict().values())
    assert len(ours) == len(theirs) > 100
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("resolution", module.UNETS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file_arrive(tmp_path, trained, suffix, resolution):
    name, state = trained
    path = tmp_path / f"encoder{suffix}"
    if suffix == ".pth":  # as old torchvision files: without the batch counters
        torch.save({k: v for k, v in state.items() if "num_batches" not in k}, path)
    else:
        safetensors.torch.save_file(state, path)
    assert_features_are_those_of(unet(resolution, name, path, 32), name, state)


def test_imagenet_means_the_shipped_file_then_timms_download_and_never_random(tmp_path, trained, monkeypatch):
    name, state = trained
    monkeypatch.setattr(module, "repo_root", lambda: tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))

    def offline(*args, pretrained, **kwargs):
        raise OSError("no network")

    with monkeypatch.context() as patch:
        patch.setattr(timm, "create_model", offline)
        with pytest.raises(RuntimeError, match=f"no ImageNet weights for the encoder {name}.*no network.*weights=None"):
            unet("quarter", name)
    asked = []
    with monkeypatch.context() as patch:
        build = timm.create_model
        patch.setattr(timm, "create_model", lambda *a, pretrained: asked.append(pretrained) or build(*a))
        unet("quarter", name)
    assert asked == [True]
    shipped = tmp_path / "results" / "weights" / f"{name}.safetensors"
    shipped.parent.mkdir(parents=True)
    safetensors.torch.save_file(state, shipped)
    assert_features_are_those_of(unet("quarter", name), name, state)
    shipped.write_bytes(shipped.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"{name}.safetensors is not a checkpoint"):
        unet("quarter", name)


def test_names_that_do_not_exist_are_said():
    with pytest.raises(ValueError, match="unknown encoder 'vgg'; known: efficientnet_lite0, resnet18"):
        unet("quarter", "vgg")
    with pytest.raises(ValueError, match="unknown resolution 'half'; known: quarter, full"):
        unet("half")


@torch.no_grad()
@pytest.mark.parametrize(
    "photograph, answers", [("coffee", {504, 967, 968}), ("chelsea", {281, 282, 285})]
)  # coffee mug, espresso, cup; tabby, tiger cat, Egyptian cat
def test_the_shipped_encoder_names_photographs_in_color_and_in_gray(photograph, answers):
    network = imagenet_classifier("efficientnet_lite0").eval()
    photo = torch.from_numpy(getattr(data, photograph)().copy()).permute(2, 0, 1)[None] / 127.5 - 1
    photo = torch.nn.functional.interpolate(photo, (224, 224), mode="bilinear", antialias=True)
    gray = photo.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert int(network(photo).argmax()) in answers
    assert int(network(gray).argmax()) in answers


def test_a_gray_photo_has_the_features_that_three_equal_channels_had():
    torch.manual_seed(0)
    network = imagenet_classifier("efficientnet_lite0", None).eval()
    gray = torch.rand(1, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        before = network.forward_intermediates(gray.expand(-1, 3, -1, -1), indices=5, intermediates_only=True)
        after = module.QuarterUnet(network).encoder.forward_intermediates(gray, indices=5, intermediates_only=True)
    assert [x.shape[1] for x in after] == [16, 24, 40, 112, 320]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(after, before, strict=True))


def test_random_first_filters_of_the_full_unet_are_new():
    torch.manual_seed(3)
    reference = imagenet_classifier("resnet18", None)
    torch.manual_seed(3)
    first = unet("full", "resnet18", None, 32).encoder[0].weight
    assert first.shape == (64, 1, 7, 7) and not torch.equal(first, reference.conv1.weight.sum(1, keepdim=True))


@torch.no_grad()
def test_the_quarter_unet_answers_gray_at_first_and_enlarges_a_quarter():
    model = unet("quarter", weights=None).eval()
    L = torch.rand(1, 1, 64, 100)
    assert not model(L).any()
    torch.nn.init.normal_(model.head.weight)
    assert model.quarter(L).shape == (1, 2, 16, 25)
    enlarged = torch.nn.functional.interpolate(model.quarter(L), (64, 100), mode="bilinear")
    assert torch.equal(model(L), enlarged)


@both
def test_state_dict_goes_through_safetensors(models, tmp_path, name):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(models[name].state_dict(), path)
    torch.manual_seed(99)
    other = load_weights(GENERATORS[name](), path).eval()
    L, _ = pair(40)
    assert torch.equal(other(L), models[name](L))


def test_files_that_do_not_fit_are_named(models, tmp_path):
    path = tmp_path / "other.pth"
    model = EncoderDecoder(4)
    before = copy.deepcopy(model.state_dict())
    torch.save(models["quarter"].state_dict(), path)
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
        unet(weights=tmp_path / "nowhere.pth")
    with pytest.raises(ValueError, match="at least 32 px, got 16"):
        unet("full", "resnet18", None, 16)


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
