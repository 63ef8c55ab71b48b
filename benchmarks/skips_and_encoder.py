"""What the skips and what ImageNet are worth: three U-Nets of notebook 03 at equal budget, three seeds each.

    python benchmarks/skips_and_encoder.py [--profile cpu]    # 64 px; about 15 minutes on two cores, resumable

Writes results/PROFILE/skips_and_encoder.csv: validation L1 by case and seed, after every epoch.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from g2g import training
from g2g.data import dataloaders, prepare
from g2g.files import save_atomic
from g2g.models import QuarterUnet, imagenet_classifier
from g2g.profiles import get_profile, get_recipe, repo_root

SIZE, EPOCHS, SEEDS = 64, 2, (42, 43, 44)


class Skipless(QuarterUnet):
    """The same network, but a skip carries the mean of each channel only: nothing of where things are."""

    def features(self, L):
        skips, deepest = super().features(L)
        return [skip.mean((2, 3), keepdim=True).expand_as(skip) for skip in skips], deepest


CASES = {  # weights of the encoder, class of the network
    "ImageNet, skips": ("imagenet", QuarterUnet),
    "ImageNet, no skips": ("imagenet", Skipless),
    "random encoder, skips": (None, QuarterUnet),
}


def train(case, seed, photos, recipe, folder):
    """History of one case: all by the recipe but seed, epochs, decay (a shorter memory for fewer steps) and network."""
    weights, network = CASES[case]
    rate = recipe.encoder_lr_mult if weights else 1.0  # what knows nothing yet learns at the full rate
    changes = {"seed": seed, "epochs": EPOCHS, "ema_decay": 0.99, "encoder_lr_mult": rate}
    recipe = dataclasses.replace(recipe, **changes)
    torch.manual_seed(seed)
    model = network(imagenet_classifier(recipe.encoder, weights, in_chans=1))
    dls = dataloaders(photos, recipe.batch_size, seed, min_crop_side=recipe.min_crop_side, device="cpu")
    learn = training.LossLearner(dls, model, recipe)
    history = training.fit(learn, folder)
    return history.assign(case=case, seed=seed, gray=training.gray_loss(learn.dls.valid))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu")
    profile = get_profile(parser.parse_args().profile)
    photos = prepare(dataclasses.replace(profile, size=SIZE))
    recipe = get_recipe("unet", "cpu")
    rows = []
    for seed in SEEDS:
        for number, case in enumerate(CASES):
            print(f"{case}, seed {seed}", flush=True)
            rows.append(train(case, seed, photos, recipe, profile.outputs / "skips_and_encoder" / f"{number}-{seed}"))
    table = pd.concat(rows)
    table = table[["case", "seed", "epoch", "train_loss", "valid_loss", "valid_colorfulness", "gray", "seconds"]]
    table["photos"] = len(photos.train)
    path = repo_root() / "results" / profile.name / "skips_and_encoder.csv"
    save_atomic(lambda part: table.to_csv(part, index=False, float_format="%.6g"), path)
    print(table.groupby("case")["valid_loss"].min())


if __name__ == "__main__":
    main()
