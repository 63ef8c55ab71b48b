"""On how many pixels should color be predicted? The pretrained cGAN on validation photos, for several sizes.

    python benchmarks/prediction_size.py [--profile cpu]    # minutes on two cores

Writes results/PROFILE/prediction_size.csv: what `g2g.colorize` reaches at the photos' own size, means over photos.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from g2g import lab, metrics
from g2g.colorize import colorize
from g2g.data import prepare
from g2g.files import progress, save_atomic
from g2g.photos import read_photo
from g2g.profiles import get_profile, repo_root
from g2g.runs import pretrained_model
from g2g.sources import SOURCES

SIZES = (32, 64, 96, 128, 160, 192, 256)


def measures(photo, colored):
    """Of one photo and its coloring, both PIL images: MAE of ab, dB, colorfulness."""
    planes = [np.asarray(image.convert("RGB"))[None] for image in (photo, colored)]
    (_, ab), (_, predicted) = (lab.photos_to_lab(pixels) for pixels in planes)
    rgb, shown = (torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 255 for pixels in planes)
    numbers = metrics.mae_ab(predicted, ab), metrics.psnr(shown, rgb), metrics.colorfulness(shown)
    return dict(zip(("mae", "psnr", "colorfulness"), map(float, numbers), strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu")
    profile = get_profile(parser.parse_args().profile)
    names = set(prepare(profile).files("valid"))
    items = [item for item in SOURCES[profile.source](profile)[0] if item.name in names]
    model, _, sentence = pretrained_model("cgan")
    print(f"{len(items)} validation photos, {sentence}")
    rows = []
    with progress(len(items), "photos", "photos") as bar:
        for item in items:
            photo = read_photo(item.path)[0]
            for size in (0, *SIZES):  # 0: gray
                colored = colorize(photo, model, size=size or 32, saturation=float(size > 0))
                rows.append({"size": size, "side": max(photo.size)} | measures(photo, colored))
            bar.update(1)
    table = pd.DataFrame(rows)
    means = table.groupby("size").mean().rename(columns={"side": "mean_side"}).reset_index().assign(photos=len(items))
    path = repo_root() / "results" / profile.name / "prediction_size.csv"
    save_atomic(lambda part: means.to_csv(part, index=False, float_format="%.6g"), path)
    print(means.to_string(index=False))


if __name__ == "__main__":
    main()
