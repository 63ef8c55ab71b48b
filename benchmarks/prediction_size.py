"""On how many pixels should color be predicted? The pretrained U-Net on validation photos of several shapes and sizes.

    python benchmarks/prediction_size.py [--profile cpu] [--photos 100]    # minutes on two cores

Writes results/PROFILE/prediction_size.csv: what `g2g.colorize` reaches at the photos' own size, means over photos. The
shapes are cut from the middle of the photos.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from g2g import lab, metrics
from g2g.colorize import colorize
from g2g.data import prepare
from g2g.files import progress, save_atomic
from g2g.photos import read_photo
from g2g.profiles import get_profile, repo_root
from g2g.runs import pretrained_model
from g2g.sources import SOURCES

SIZES = (128, 160, 192, 256)
SHAPES = {"as it is": None, "3:2": 3 / 2, "2:3": 2 / 3, "16:9": 16 / 9}  # width over height


def measures(photo, colored):
    """Of one photo and its coloring, both PIL images: MAE of ab, dB, colorfulness."""
    planes = [np.asarray(image.convert("RGB"))[None] for image in (photo, colored)]
    (_, ab), (_, predicted) = (lab.photos_to_lab(pixels) for pixels in planes)
    rgb, shown = (torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 255 for pixels in planes)
    numbers = metrics.mae_ab(predicted, ab), metrics.psnr(shown, rgb), metrics.colorfulness(shown)
    return dict(zip(("mae", "psnr", "colorfulness"), map(float, numbers), strict=True))


def cut(photo, ratio):
    """The largest part of that ratio from the middle of a photo."""
    width, height = photo.size
    if ratio is None:
        return photo
    size = (width, round(width / ratio)) if ratio > width / height else (round(height * ratio), height)
    return ImageOps.fit(photo, size)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--photos", type=int, default=100)
    options = parser.parse_args()
    profile = get_profile(options.profile)
    names = set(prepare(profile).files("valid"))
    train, _, valid = SOURCES[profile.source](profile)
    items = [item for item in [*train, *valid] if item.name in names]
    items = items[: options.photos]
    model, _, sentence = pretrained_model("unet")
    print(f"{len(items)} validation photos, {sentence}")
    rows = []
    with progress(len(items), "photos", "photos") as bar:
        for item in items:
            photo = read_photo(item.path)[0]
            for shape, ratio in SHAPES.items():
                part = cut(photo, ratio)
                for size in (0, *SIZES):  # 0: gray
                    colored = colorize(part, model, size=size or 32, saturation=float(size > 0))
                    rows.append({"shape": shape, "size": size} | measures(part, colored))
            bar.update(1)
    table = pd.DataFrame(rows)
    means = table.groupby(["shape", "size"]).mean().reset_index().assign(photos=len(items))
    path = repo_root() / "results" / profile.name / "prediction_size.csv"
    save_atomic(lambda part: means.to_csv(part, index=False, float_format="%.6g"), path)
    print(means.to_string(index=False))


if __name__ == "__main__":
    main()
