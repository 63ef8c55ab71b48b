"""Minutes until the U-Net is 1.27 dB better than gray on validation photos, and how far the plain loop is by then.

    python benchmarks/time_to_quality.py [--profile cpu] [--steps 373]

Trains the profile's U-Net by one cycle of so many steps, without the epoch of whole photos. The plain loop then gets as
many minutes: fp32, contiguous tensors, Adam at the recipe's rate, whole photos, opened and converted one by one in the
workers of a PyTorch `DataLoader`; encoder, its weights and batch size are the same. Both are scored as in the tables,
each prediction averaged with that of the mirror image. Leave the machine to it: other work counts as training time.
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import torch
from data_speed import PerImage  # the script beside this one, which finds g2g
from on_validation import blocks, measured
from training_speed import plain_step

from g2g import runs, training
from g2g.data import prepare
from g2g.models import Mirrored, load_weights
from g2g.profiles import get_profile, get_recipe
from g2g.sources import SOURCES
from report.studies import subset

AIM = 1.27  # dB, of the U-Net that was published first


def gain(model, photos):
    """Mean PSNR over gray, dB."""
    psnr = measured(Mirrored(model.eval()), photos, with_lpips=False).groupby("saturation")["psnr"].mean()
    return psnr[1] - psnr[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--steps", type=int, default=373)
    options = parser.parse_args()
    profile = get_profile(options.profile)
    photos, valid = prepare(profile), blocks(profile)
    recipe = dataclasses.replace(get_recipe("unet", profile), epochs=1, steps_per_epoch=options.steps, frozen_epochs=0)

    needed = recipe.batch_size * options.steps
    if len(photos.train) < needed:  # over and over, in one cycle
        learn = runs.learner(recipe, subset(photos, len(photos.train), recipe.seed, needed))
    else:
        learn = runs.learner(recipe, photos)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        training.fit(learn, folder)
        minutes = (time.perf_counter() - started) / 60
        reached = gain(load_weights(learn.model, Path(folder) / "last.safetensors"), valid)
    verdict = "reached" if reached >= AIM else "not reached: give more steps"
    print(f"g2g: {reached:.2f} dB over gray after {minutes:.1f} min, {options.steps} steps ({AIM} dB {verdict})")

    torch.manual_seed(recipe.seed)
    names = set(photos.files("train"))
    paths = [item.path for item in SOURCES[profile.source](profile)[0] if item.name in names]
    dataset = PerImage(paths, photos.size)
    loader = torch.utils.data.DataLoader(dataset, recipe.batch_size, shuffle=True, drop_last=True, num_workers=2)
    step, network = plain_step(recipe, photos.size, learn.dls.device, recipe.weights)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < 60 * minutes:
        for L, ab in loader:
            step(L.to(learn.dls.device), ab.to(learn.dls.device))
            done += 1
            if time.perf_counter() - started >= 60 * minutes:
                break
    print(f"plain loop: {gain(network, valid):.2f} dB over gray after as many minutes, {done} steps")
    print(training.hardware(learn.dls.device))


if __name__ == "__main__":
    main()
