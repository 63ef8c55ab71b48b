"""What draws of the pretrained flow are worth: one, and the mean of up to 16, on test photos.

    python benchmarks/flow_draws.py [--photos 500]    # 9 minutes on two cores

One draw is one possible world, and pays for it in error; the mean of many comes back to the careful prediction, if
the draws are spread as the ground truth is. And do draws of one seed look alike on different photos (clouds that
follow the noise)? Writes results/cpu/flow.csv: a row for gray, for the U-Net and for the mean of 1, 2, 4, 8 and 16
draws, with MAE and its 95% interval over photos, dB over gray, colorfulness; in the row of one draw `correlation`, of
what a draw adds to the mean of 16, between photos, with the noise of its seed, and `correlation_one_noise`, with one
noise for all.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from g2g import lab
from g2g.data import batches, prepare
from g2g.evaluation import bootstrap, by_saturation
from g2g.files import save_atomic
from g2g.models import predict
from g2g.profiles import get_profile, repo_root
from g2g.runs import pretrained_model
from g2g.training import get_device

DRAWS = 16


def added(draw, mean):
    """What a draw adds to the mean of many, at an eighth of the resolution: (B,D)."""
    return (draw - mean)[:, :, ::8, ::8].flatten(1)


def correlation(rows) -> float:
    """Mean correlation between different rows of (N,D)."""
    matrix = torch.corrcoef(rows)
    return matrix[~torch.eye(len(rows), dtype=bool)].mean().item()


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, help="so many test photos, the first (default: all)")
    count = parser.parse_args().photos
    photos = prepare(get_profile("cpu"))
    model, _, _ = pretrained_model("flow")
    model = model.to(get_device())
    noise_of_photo = model.noise
    side = photos.size // 8
    one_noise = torch.randn(1, 2, side, side, generator=torch.Generator().manual_seed(0)).to(get_device())
    parts, own, shared = [], [], []
    for L, ab in tqdm(list(batches(photos.test[:count], 32, get_device()))):
        draws = []
        for seed in range(DRAWS):
            model.seed = seed
            draws.append(model(L))
        draws = torch.stack(draws)
        predicted = {"gray": 0 * ab, "U-Net": predict(model.unet, L)}
        predicted |= {f"mean of {k}": draws[:k].mean(dim=0) for k in (1, 2, 4, 8, DRAWS)}
        rgb = lab.to_rgb(L, ab)
        parts += [
            by_saturation(rgb, L, ab, pred_ab, (1,)).assign(prediction=name) for name, pred_ab in predicted.items()
        ]
        mean = draws.mean(dim=0)
        own.append(added(draws[0], mean))
        model.noise = lambda L: one_noise.expand(len(L), -1, -1, -1)
        shared.append(added(model(L), mean))
        model.noise = noise_of_photo
    scores = pd.concat(parts)
    table = scores.groupby("prediction", sort=False)[["mae", "psnr", "colorfulness"]].mean()
    table["gain"] = table["psnr"] - table.loc["gray", "psnr"]
    for name, rows in scores.groupby("prediction"):
        table.loc[name, ["mae_low", "mae_high"]] = bootstrap(rows["mae"])[1:]
    table.loc["mean of 1", "correlation"] = correlation(torch.cat(own))
    table.loc["mean of 1", "correlation_one_noise"] = correlation(torch.cat(shared))
    table["photos"] = len(scores) // len(table)
    path = repo_root() / "results" / "cpu" / "flow.csv"
    columns = ["mae", "gain", "colorfulness", "mae_low", "mae_high", "correlation", "correlation_one_noise", "photos"]
    table = table[columns]
    save_atomic(lambda part: table.to_csv(part, float_format="%.6g"), path)
    print(table.round(4).to_string())


if __name__ == "__main__":
    main()
