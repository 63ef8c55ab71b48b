"""Shapes and sizes, weights that really arrive, what the discriminator sees, generators that can learn."""

import copy
import os
import subprocess
import sys

import pytest
import safetensors.torch
import timm
import torch
from conftest import raising
from skimage import data

from g2g import models as module
from g2g.lab import photos_to_lab
from g2g.models import EncoderDecoder, PatchGAN, imagenet_classifier, load_weights, unet

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
    torch.nn.init.normal_(built["quarter"].head.weight, std=0.05)  # fresh, it predicts gray for everything
    return built


def pair(size=64, n=1):
    """Random (L, ab)."""
    return torch.rand(n, 1, size, size) * 2 - 1, torch.rand(n, 2, size, size) - 0.5


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


@both
def test_same_seed_same_weights_and_building_leaves_batch_norm_fresh(name):
    states = []
    for _ in range(2):
        torch.manual_seed(1)
        model = GENERATORS[name]()
        states.append(model.state_dict())
        assert all(m.training for m in model.modules())
    first, again = states
    assert all(map(torch.equal, first.values(), again.values()))
    fresh = [v for k, v in first.items() if k.endswith(("running_mean", "num_batches_tracked"))]
    assert fresh and not any(v.any() for v in fresh)


@both
def test_copy_after_use_is_independent(models, name):
    L, model = torch.rand(1, 1, 32, 32), models[name]
    before = model(L).detach()  # with grad: the stored hooks of DynamicUnet would forbid the copy
    duplicate = copy.deepcopy(model)
    assert torch.equal(duplicate(L), before)
    for parameter in duplicate.parameters():
        parameter.data.mul_(0.5)
    assert not torch.equal(duplicate(L), before) and torch.equal(model(L), before)


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
    expected = {key: tensor for key, tensor in state.items() if not key.startswith(CLASSIFIER)}
    expected[FIRST[name]] = expected[FIRST[name]].sum(1, keepdim=True)
    found = generator.encoder.state_dict().values()
    assert len(found) == len(expected) > 100 and all(map(torch.equal, found, expected.values()))


@pytest.mark.parametrize("resolution", ["quarter", "full"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file_arrive(tmp_path, trained, suffix, resolution):
    name, state = trained
    path = tmp_path / f"encoder{suffix}"
    if suffix == ".pth":  # as old torchvision files: without the batch counters
        torch.save({k: v for k, v in state.items() if "num_batches" not in k}, path)
    else:
        safetensors.torch.save_file(state, path)
    assert_features_are_those_of(unet(resolution, name, path, 32), name, state)


def test_imagenet_means_the_file_in_results_then_timms_download_and_never_random(tmp_path, trained, monkeypatch):
    name, state = trained
    monkeypatch.setattr(module, "repo_root", lambda: tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(timm, "create_model", raising(OSError("no network")))
        with pytest.raises(RuntimeError, match=f"no ImageNet weights for the encoder {name}.*no network.*weights=None"):
            unet("quarter", name)
    ours = tmp_path / "results" / "weights" / f"{name}.safetensors"
    ours.parent.mkdir(parents=True)
    safetensors.torch.save_file(state, ours)
    assert_features_are_those_of(unet("quarter", name), name, state)
    other = next(each for each in FIRST if each != name)
    for path in (ours, tmp_path / "gone.pth"):
        with pytest.raises(RuntimeError, match=f"no ImageNet weights for the encoder {other} from .*{path.name}"):
            unet("quarter", other, path)
    ours.write_bytes(ours.read_bytes()[:1000])
    with pytest.raises(RuntimeError, match=f"{name}.safetensors: SafetensorError"):
        unet("quarter", name)


def test_names_that_do_not_exist_are_said():
    with pytest.raises(ValueError, match="unknown encoder 'vgg'; known: efficientnet_lite0, resnet18"):
        unet("quarter", "vgg")
    with pytest.raises(ValueError, match="unknown resolution 'half'; known: quarter, full"):
        unet("half")


COFFEE, CAT = {504, 967, 968}, {281, 282, 285}  # coffee mug, espresso, cup; tabby, tiger cat, Egyptian cat


@torch.no_grad()
@pytest.mark.parametrize("photograph, classes", [("coffee", COFFEE), ("chelsea", CAT)])
def test_the_encoder_names_photographs_in_color_and_in_gray(photograph, classes):
    network = imagenet_classifier("efficientnet_lite0").eval()
    photo = torch.from_numpy(getattr(data, photograph)().copy()).permute(2, 0, 1)[None] / 127.5 - 1
    photo = torch.nn.functional.interpolate(photo, (224, 224), mode="bilinear", antialias=True)
    gray = photo.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert int(network(photo).argmax()) in classes
    assert int(network(gray).argmax()) in classes


@torch.no_grad()
@pytest.mark.parametrize("photograph", ["coffee", "chelsea"])
def test_a_gray_photo_has_the_features_of_three_equal_channels(photograph):
    rgb, gray = (imagenet_classifier("efficientnet_lite0", in_chans=channels).eval() for channels in (3, 1))
    L, _ = photos_to_lab(getattr(data, photograph)()[None, 40:264, 60:284].copy())
    options = {"indices": 5, "intermediates_only": True}
    three, one = rgb.forward_intermediates(L.expand(-1, 3, -1, -1), **options), gray.forward_intermediates(L, **options)
    assert [x.shape[1] for x in one] == [16, 24, 40, 112, 320]
    assert all((a - b).abs().max() < 1e-4 * b.abs().max() for a, b in zip(one, three, strict=True))
    weights = unet("quarter").encoder.conv_stem.weight
    assert torch.equal(weights, rgb.conv_stem.weight.sum(1, keepdim=True))
    assert not torch.equal(weights, weights.half().float()), "the file holds the first filters in single precision"


@torch.no_grad()
def test_the_quarter_unet_predicts_gray_at_first_and_enlarges_a_quarter():
    model = unet("quarter", weights=None).eval()
    L = torch.rand(1, 1, 64, 100)
    assert not model(L).any()
    torch.nn.init.normal_(model.head.weight)
    assert model.quarter(L).shape == (1, 2, 16, 25)
    enlarged = torch.nn.functional.interpolate(model.quarter(L), (64, 100), mode="bilinear")
    assert torch.equal(model(L), enlarged)


def test_files_that_do_not_fit_are_named(models, tmp_path):
    path, model = tmp_path / "other.pth", EncoderDecoder(4)
    for other, says in (("quarter", "Missing key"), ("cnn", "size mismatch")):
        torch.save(models[other].state_dict(), path)
        with pytest.raises(ValueError, match=f"other.pth does not fit EncoderDecoder.*{says}"):
            load_weights(model, path)
    for wrong in ([1, 2], {"a": 1}, model):  # the last, a whole pickled model, could run code
        torch.save(wrong, path)
        with pytest.raises(ValueError, match="other.pth does not fit EncoderDecoder, or is damaged"):
            load_weights(model, path)
    for junk in (b"", b"<html>404</html>", os.urandom(2000)):
        for file in (path, path.with_suffix(".safetensors")):
            file.write_bytes(junk)
            with pytest.raises(ValueError, match="or is damaged") as caught:
                load_weights(model, file)
            assert len(str(caught.value)) < 600
    with pytest.raises(FileNotFoundError, match="nowhere.pth"):
        load_weights(model, tmp_path / "nowhere.pth")
    with pytest.raises(ValueError, match="at least 32 px, got 16"):
        unet("full", "resnet18", None, 16)


def test_a_file_of_changes_leaves_the_rest_and_nothing_else_is_missing(tmp_path):
    model, path = EncoderDecoder(4), tmp_path / "changes.safetensors"
    before, name = copy.deepcopy(model.state_dict()), "output.0.bias"
    safetensors.torch.save_file({name: before[name] + 1}, path)
    after = load_weights(model, path, changes=True).state_dict()
    assert [key for key in before if not torch.equal(before[key], after[key])] == [name]
    with pytest.raises(ValueError, match="Missing key"):
        load_weights(model, path)
    safetensors.torch.save_file({"output.0.bios": before[name]}, path)
    with pytest.raises(ValueError, match="Unexpected key"):
        load_weights(model, path, changes=True)


def test_fastai_is_imported_for_a_dynamic_unet_only():
    look = "print('fastai' in sys.modules)"
    code = f"import sys; from g2g.models import unet; {look}; unet('full', size=32, weights=None); {look}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("field", [1, 16, 34, 70, 286])
def test_receptive_field_by_gradient(field):
    """Which pixels of L and of ab move the middle logit? In eval(): batch norm couples all of them in train()."""
    torch.manual_seed(0)
    size = 2 * field + 50
    model = PatchGAN(field, width=4).double().eval()  # double: corner gradients of 286 px are tiny
    L, ab = (t.double().requires_grad_() for t in pair(size))
    logits = model(L, ab)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    for gradient in (L.grad, ab.grad):
        seen = gradient[0].abs().sum(0) > 0
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
    assert [(c.out_channels, c.stride[0]) for c in convs] == [(64, 2), (128, 2), (256, 2), (512, 1), (1, 1)]
    norms = [isinstance(m, torch.nn.BatchNorm2d) for m in model.layers]
    assert sum(norms) == 3 and not norms[1] and model.layers[1].negative_slope == 0.2
    assert all(abs(c.weight.std() - 0.02) < 0.002 and abs(c.weight.mean()) < 0.001 for c in convs)
    assert model(*pair(256)).shape == (1, 1, 30, 30)  # the 30x30 logits of pix2pix
    with pytest.raises(ValueError, match=r"expected one of \[1, 16, 34, 70, 286\], got 71"):
        PatchGAN(71)


def test_discriminator_refuses_shapes_that_do_not_belong_together():
    L, ab = pair(32, n=2)
    for wrong in (ab[:1], ab[:, :1], ab[..., :30], L):
        with pytest.raises(ValueError, match=r"ab: expected \(2, 2, 32, 32\) to go with L"):
            PatchGAN(16)(L, wrong)
    with pytest.raises(ValueError, match=r"L: expected \(B,1,H,W\)"):
        PatchGAN(16)(ab, ab)


def test_predictions_are_those_of_eval_mode_and_leave_the_mode_as_it_was(models):
    L = torch.rand(1, 1, 32, 32)
    dropout = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.Dropout())
    first, second = module.predict(dropout, L), module.predict(dropout, L)
    assert torch.equal(first, second) and not first.requires_grad and dropout.training
    module.predict(module.Mirrored(models["quarter"]), L)
    assert not models["quarter"].training
