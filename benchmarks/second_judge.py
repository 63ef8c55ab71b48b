"""A second judge beside PSNR: how alike a classifier finds a coloring and the photograph, at equal colorfulness.

    python benchmarks/second_judge.py [--profile cpu]    # minutes on two cores

PSNR punishes one wrong hue as much as it rewards ten right ones. The judge here compares features of EfficientNet-Lite0
(ImageNet weights) of the two pictures, as LPIPS does (Zhang et al. 2018, arXiv 1801.03924), but without weights learned
from people's judgments: at each of five resolutions the feature vectors are scaled to length 1, their squared
distances averaged over the picture, and the five added. The palette is judged at its own dials; the U-Net and the cGAN
are multiplied by the constant that makes the test photos as colorful, read off results/PROFILE/frontier.csv.
Writes results/PROFILE/second_judge.csv.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from g2g import lab, metrics
from g2g.data import prepare
from g2g.evaluation import bootstrap, predictions
from g2g.files import save_atomic
from g2g.models import imagenet_classifier
from g2g.profiles import get_profile, repo_root
from g2g.runs import pretrained_model

LEVELS = (1.0, 0.5)  # rebalancing of the palette, T = 0.38


def features(judge, rgb):
    """sRGB (B,3,H,W) in [0, 1] to five tensors (B,C,h,w) of unit vectors."""
    found = judge.forward_intermediates(2 * rgb - 1, indices=5, intermediates_only=True)
    return [torch.nn.functional.normalize(x, dim=1) for x in found]


@torch.no_grad()
def judged(model, photos, judge, saturation, name):
    """Distance and colorfulness of each test photo (N,), its coloring multiplied by `saturation`."""
    distances, colorfulness = [], []
    for rgb, L, _, answer in predictions(model, photos, device="cpu", name=name):
        shown = lab.to_rgb(L, saturation * answer)
        pairs = zip(features(judge, shown), features(judge, rgb), strict=True)
        distances.append(sum((x - y).square().sum(dim=1).mean((1, 2)) for x, y in pairs))
        colorfulness.append(metrics.colorfulness(shown))
    return torch.cat(distances).numpy(), float(torch.cat(colorfulness).mean())


def constant(curves, row, level):
    """The factor that makes a model's answers as colorful as `level`, from the curves of table 1."""
    curve = curves[curves["row"] == row]
    return float(np.interp(level, curve["colorfulness"], curve["saturation"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu")
    profile = get_profile(parser.parse_args().profile)
    photos = prepare(profile)
    folder = repo_root() / "results" / profile.name
    curves = pd.read_csv(folder / "frontier.csv")
    judge = imagenet_classifier("efficientnet_lite0").eval()
    palette, _, _ = pretrained_model("palette")
    rows = []
    for palette.rebalancing in LEVELS:
        own, level = judged(palette, photos, judge, 1.0, "palette")
        rows.append({"rebalancing": palette.rebalancing, "row": "palette", "saturation": 1.0, "colorfulness": level})
        rows[-1] |= {"distance": own.mean()}
        for row in ("unet", "cgan", "gray"):
            model = pretrained_model("unet" if row == "gray" else row)[0]
            saturation = 0.0 if row == "gray" else constant(curves, row, level)
            distance, reached = judged(model, photos, judge, saturation, row)
            mean, low, high = bootstrap(own - distance)
            rows.append({"rebalancing": palette.rebalancing, "row": row, "saturation": saturation})
            rows[-1] |= {"colorfulness": reached, "distance": distance.mean()}
            rows[-1] |= {"palette_minus_this": mean, "low": low, "high": high}
    table = pd.DataFrame(rows).assign(photos=len(own))
    save_atomic(lambda part: table.to_csv(part, index=False, float_format="%.6g"), folder / "second_judge.csv")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
