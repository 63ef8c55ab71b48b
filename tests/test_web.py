"""The page that colors in the browser: arithmetic as in the library, networks as in PyTorch, photos as by g2g."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from g2g import colorize, lab, photos
from g2g.models import predict
from g2g.palette import annealed_mean
from g2g.profiles import repo_root
from g2g.runs import pretrained_model

WEB = repo_root() / "web"
MODELS = repo_root() / "outputs" / "onnx"
SATURATION = 1.3
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def run_node(script, **environment):
    node = ["node", "--test", "--test-reporter=spec", str(WEB / "test" / script)]
    done = subprocess.run(node, env=os.environ | environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fixture_photo(name, width, height, size):
    """What `g2g.colorize` makes of a photo in colors that are given, step by step."""
    photo = Image.open(repo_root() / "data" / "gallery" / name).convert("RGB").resize((width, height))
    seen = {}

    def model(L):
        noise = torch.randn(1, 2, *(side // 8 for side in L.shape[2:]), generator=torch.Generator().manual_seed(1))
        seen["L"], seen["ab"] = L, torch.nn.functional.interpolate(0.3 * noise, size=L.shape[2:], mode="bilinear")
        return seen["ab"]

    model.seed = 0  # so that it is not asked for the mirror image, too
    result = colorize.colorize(photo, model, size=size, saturation=SATURATION)
    slope, offset = colorize.guided_filter(seen["L"], seen["ab"])
    (h, w), arrays = seen["L"].shape[2:], {"pixels": photo, "result": result}
    tensors = seen | {"slope": slope, "offset": offset}
    facts = {"width": width, "height": height, "size": size, "w": w, "h": h}
    values = {key: np.asarray(array).ravel().tolist() for key, array in (arrays | tensors).items()}
    return facts | values


@needs_node
def test_arithmetic_is_that_of_the_library(tmp_path):
    random = np.random.default_rng(0)
    colors = random.integers(0, 256, (500, 1, 1, 3), dtype=np.uint8)
    L, _ = lab.photos_to_lab(colors)
    planes = torch.from_numpy(random.uniform(-1, 1, (500, 3, 1, 1)))
    rgb = (255 * colorize.to_gamut_rgb(planes[:, :1], planes[:, 1:])).round()
    pairs = zip(planes.flatten(1).tolist(), rgb.flatten(1).tolist(), strict=True)
    fixtures = {
        "lightness": {"rgb": colors.reshape(-1, 3).tolist(), "L": L.flatten().tolist()},
        "gamut": [{"lab": values, "rgb": painted} for values, painted in pairs],
        "saturation": SATURATION,
        "photos": [
            fixture_photo("dogs.jpg", 333, 201, 64),
            fixture_photo("fig.jpg", 150, 1301, 96),
            fixture_photo("dandelion.jpg", 320, 180, 192),  # 4.5 times 32 px high: halves are rounded to even
        ],
    }
    path = tmp_path / "fixtures.json"
    path.write_text(json.dumps(fixtures))
    run_node("unit.test.js", FIXTURES=str(path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["palette", "unet", "cgan", "flow"])
def test_networks_predict_what_pytorch_does(name):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: make site")
    if not (MODELS / "models.json").is_file():
        pytest.skip("the networks are not exported: make site")
    facts = next(facts for facts in json.loads((MODELS / "models.json").read_text())["models"] if facts["name"] == name)
    sessions = [onnxruntime.InferenceSession(MODELS / f"{graph}.onnx") for graph in facts["graphs"]]
    model, size, _ = pretrained_model(name)
    assert facts["size"] == size, "the networks in outputs/onnx are old ones: make site"
    for photo in photos.gallery_photos(size // 32 * 32):
        L, _ = lab.photos_to_lab(photo[None, 32:])  # a photo wider than it is high
        if name == "flow":
            expected = predict(model, L)
            ab = draw(sessions, L.numpy(), model.noise(L).numpy(), facts["parameters"]["steps"])
        else:
            expected = (predict(model, L) + predict(model, L.flip(-1)).flip(-1)) / 2
            values = {key: np.float32([value]) for key, value in facts["parameters"].items()}
            ab, *probabilities = sessions[0].run(None, {"L": L.numpy()} | values)
            if name == "palette":
                expected_mean = (mean_of_bins(model, L) + mean_of_bins(model, L.flip(-1)).flip(-1)) / 2
                mean = np.einsum("bqhw,qc->bchw", probabilities[0], facts["bins"]) / lab.AB_SCALE
                assert abs(expected_mean.numpy() - mean).mean() < 1e-3
        errors = abs(expected.numpy() - ab)
        assert errors.mean() < 1e-3


@torch.no_grad()
def mean_of_bins(model, L):
    """What the palette's probabilities at a temperature of 1 come to at each pixel of a quarter of the resolution."""
    weights = model.class_weights.log().view(1, -1, 1, 1)
    return annealed_mean(model.logits(L) - (1 - model.rebalancing) * weights, 1.0)


def draw(sessions, L, x, steps):
    condition, mean = sessions[0].run(None, {"L": L})
    for i in range(steps):
        times = {"t": np.float32([i / steps]), "step": np.float32([1 / steps])}
        x, ab = sessions[1].run(None, {"x": x, "condition": condition, "mean": mean} | times)
    return ab


@pytest.fixture
def given(tmp_path):
    """Photos and what is none, for the test in Chromium."""
    folder = tmp_path / "given"
    (folder / "gallery").mkdir(parents=True)
    for path in (repo_root() / "data" / "gallery").glob("*.jpg"):
        Image.open(path).save(folder / "gallery" / f"{path.stem}.png")
    stream = Image.open(repo_root() / "data" / "gallery" / "stream.jpg")
    stream.save(folder / "unet.png")
    Image.merge("RGBA", [*stream.split(), Image.new("L", stream.size, 200)]).save(folder / "cgan.png")
    stream.resize((1000, 1000)).save(folder / "1-megapixel.jpg", quality=90)
    stream.resize((4000, 3000)).save(folder / "12-megapixels.jpg", quality=90)
    Image.new("L", (8200, 5000), 128).save(folder / "41-megapixels.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90°
    stream.resize((300, 200)).save(folder / "turned.jpg", exif=exif)
    stream.convert("P").save(folder / "animated.gif", save_all=True, append_images=[stream.rotate(90).convert("P")])
    for name, content in {"broken": b"\xff\xd8\xff\xe0" + bytes(range(256)), "text": b"A text.", "empty": b""}.items():
        (folder / f"{name}.jpg").write_bytes(content)
    (folder / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='50' height='50'/>")
    return folder


@needs_node
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:it has color already")
def test_a_visit_in_chromium(given, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("Chromium is not installed")
    if not (WEB / "dist").is_dir() or not (WEB / "node_modules" / "playwright-core").is_dir():
        pytest.skip("the page is not built: make site")
    taken = tmp_path / "taken"
    print(run_node("browser.test.js", CHROMIUM=chromium, GIVEN=str(given), TAKEN=str(taken)))
    names = [path.stem for path in (given / "gallery").glob("*.png")]
    differences = [difference(taken, given / "gallery" / f"{name}.png", "palette") for name in names]
    differences += [difference(taken, given / f"{name}.png", name) for name in ("unet", "cgan")]
    print("CIEDE2000 between page and g2g:", np.round(differences, 3))
    assert max(differences) < 0.5
    assert photos.source_of(taken / "1-megapixel-color.jpg") == "1-megapixel.jpg"
    assert photos.source_of(taken / "unet-color.png") == "unet.png"
    with Image.open(taken / "unet-color.png") as result:
        assert result.text["Description"].startswith("Colors predicted by U-Net, trained on")
    assert "some chosen by hand" in Image.open(taken / "room-color.jpg").getexif()[0x010E]
    assert Image.open(taken / "cgan-color.png").mode == "RGBA"
    assert Image.open(taken / "12-megapixels-color.jpg").size == (4000, 3000)


def difference(taken, photo, name):
    """The mean CIEDE2000 between the page's result and that of g2g."""
    model, size, _ = pretrained_model(name)
    pair = [colorize.colorize(photo, model, size=size), Image.open(taken / f"{photo.stem}-color.png")]
    alphas = [result.getchannel("A") if result.mode == "RGBA" else None for result in pair]
    seen = [photos.on_white(result.convert("RGB"), alpha) for result, alpha in zip(pair, alphas, strict=True)]
    return deltaE_ciede2000(*(rgb2lab(np.asarray(picture)) for picture in seen)).mean()
