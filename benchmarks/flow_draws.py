"""What draws of the shipped flow are worth: one, and the mean of up to 16, on test photos.

    python benchmarks/flow_draws.py [--photos 500]    # 9 minutes on two cores

One draw is one possible world, and pays for it in error; the mean of many comes back to the careful answer, if the
draws are spread as the truth is. And do draws of one seed look alike on different photos (clouds that follow the
noise)? Writes
results/cpu/flow.csv: a row for gray, for the U-Net and for the mean of 1, 2, 4, 8 and 16 draws, with MAE and its 95%
interval over photos, dB over gray, colourfulness; in the row of one draw `correlation`, of what a draw adds to the mean
of 16, between photos, with the noise of its seed, and `correlation_one_noise`, with one and the same noise for all.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from g2g import lab, metrics
from g2g.data import batches, prepare
from g2g.evaluation import bootstrap
from g2g.models import predict
from g2g.profiles import get_profile, repo_root
from g2g.runs import device, shipped_model

DRAWS = 16


def judged(answers, L, ab, name) -> pd.DataFrame:
    """Error, dB over gray and colourfulness of ab (B,2,H,W), a row a photo."""
    rgb, truth, gray = (lab.to_rgb(L, planes) for planes in (answers, ab, 0 * ab))
    columns = {
        "mae": (answers - ab).abs().mean((1, 2, 3)),
        "gain": metrics.psnr(rgb, truth) - metrics.psnr(gray, truth),
        "colorfulness": metrics.colorfulness(rgb),
    }
    return pd.DataFrame({key: values.cpu() for key, values in columns.items()}).assign(answer=name)


def correlation(added) -> float:
    """Mean correlation between different rows of (N,D)."""
    matrix = torch.corrcoef(added)
    return matrix[~torch.eye(len(added), dtype=bool)].mean().item()


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, help="so many test photos, the first (default: all)")
    count = parser.parse_args().photos
    photos = prepare(get_profile("cpu"))
    model, _, _ = shipped_model("flow")
    model = model.to(device())
    noise_of_photo = model.noise
    one_noise = torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(0)).to(device())
    parts, own, shared = [], [], []
    for L, ab in tqdm(list(batches(photos.test[:count], 32, device()))):
        parts.append(judged(0 * ab, L, ab, "gray"))
        parts.append(judged(predict(model.unet, L), L, ab, "U-Net"))
        total, answer_of = 0, {}
        for drawn in range(1, DRAWS + 1):
            model.seed = drawn - 1
            answer_of[drawn] = model(L)
            total = total + answer_of[drawn]
            if drawn in (1, 2, 4, 8, 16):
                parts.append(judged(total / drawn, L, ab, f"mean of {drawn}"))
        mean = total / DRAWS
        model.noise = lambda L: one_noise.expand(len(L), -1, -1, -1)
        own.append((answer_of[1] - mean)[:, :, ::8, ::8].flatten(1))
        shared.append((model(L) - mean)[:, :, ::8, ::8].flatten(1))
        model.noise = noise_of_photo
    scores = pd.concat(parts)
    table = scores.groupby("answer", sort=False).mean()
    for name, rows in scores.groupby("answer"):
        table.loc[name, ["mae_low", "mae_high"]] = bootstrap(rows["mae"])[1:]
    table.loc["mean of 1", "correlation"] = correlation(torch.cat(own))
    table.loc["mean of 1", "correlation_one_noise"] = correlation(torch.cat(shared))
    table["photos"] = len(scores) // len(table)
    path = repo_root() / "results" / "cpu" / "flow.csv"
    table.to_csv(path, float_format="%.6g")
    print(table.round(4).to_string())


if __name__ == "__main__":
    main()
