"""The page that colors in the browser: its arithmetic is the library's, its networks are PyTorch's, it colors photos."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from g2g import colorize, lab, photos
from g2g.profiles import repo_root

WEB = repo_root() / "web"
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

    result = colorize.colorize(photo, model, size=size, saturation=SATURATION, mirror=False)
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
        "photos": [fixture_photo("dogs.jpg", 333, 201, 64), fixture_photo("fig.jpg", 150, 1301, 96)],
    }
    path = tmp_path / "fixtures.json"
    path.write_text(json.dumps(fixtures))
    run_node("unit.test.js", FIXTURES=str(path))
