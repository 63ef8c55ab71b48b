"""Speed of the training steps, beside the plain loop: writes the table in docs/benchmarks.md.

    python benchmarks/training_speed.py [--profile NAME] [--steps 3] [--turns 3]

The plain loop is what everybody writes: fp32, contiguous tensors, default Adam, photos opened and converted one by
one in the workers of a PyTorch `DataLoader`. The library's way is `runs.learner`, as the course trains. Both take the
same photos (640×480 JPEG crops of the bundled photographs), batch and size, in turns; of the turns the median counts.
The first step of each turn warms up.
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from data_speed import PerImage, make_photos, write  # the script beside this one, which finds g2g
from fastai.callback.core import Callback, CancelFitException
from fastcore.all import num_cpus

from g2g import losses, runs, training
from g2g.data import prepare
from g2g.models import EncoderDecoder, PatchGAN, unet
from g2g.profiles import RECIPES, TITLES, get_profile

COMPARED = (
    "The plain loop trains all of each network, and its D judges at the photo's resolution. Where a recipe freezes the "
    "encoder and lets D judge at a quarter of that, as the cGAN of `cpu` does, *times* is also the recipe's doing."
)


def plain_step(recipe, size, device, weights=None):
    """The step of the plain loop, a function of a batch (L, ab), and the network that it trains."""
    if recipe.model == "cnn":
        G = EncoderDecoder(recipe.width)
    else:
        G = unet(recipe.resolution, recipe.encoder, weights, size)
    G = G.to(device).train()
    g_opt = torch.optim.Adam(G.parameters(), recipe.lr)
    D = PatchGAN(recipe.receptive_field).to(device)
    d_opt = torch.optim.Adam(D.parameters(), recipe.lr)

    def step(L, ab):
        fake = G(L)
        if recipe.model == "cgan":
            D.requires_grad_(True)
            d_opt.zero_grad()
            losses.discriminator_loss(D, L, ab, fake).backward()
            d_opt.step()
            D.requires_grad_(False)
            loss, _, _ = losses.generator_loss(D, L, fake, ab, recipe.lambda_l1)
        else:
            loss = F.l1_loss(fake, ab)
        g_opt.zero_grad()
        loss.backward()
        g_opt.step()
        return loss.item()

    return step, G


def plain_speed(recipe, paths, size, device, steps):
    """Photos per second of the plain loop."""
    step, _ = plain_step(recipe, size, device)
    done = 0
    loader = torch.utils.data.DataLoader(
        PerImage(paths, size), recipe.batch_size, shuffle=True, drop_last=True, num_workers=num_cpus()
    )
    for L, ab in loader:
        step(L.to(device), ab.to(device))  # ends in `.item()`, which waits for a GPU
        if done == 0:
            began = time.perf_counter()
        done += 1
        if done > steps:
            return steps * recipe.batch_size / (time.perf_counter() - began)
    raise ValueError(f"{len(paths)} photos are too few for {steps + 1} steps")


class Stopwatch(Callback):
    """Times so many training steps, then ends the fit; the first step warms up."""

    order = 70

    def __init__(self, steps):
        self.steps = steps

    def after_batch(self):
        if self.x.is_cuda:
            torch.cuda.synchronize()
        if self.iter == 0:
            self.began = time.perf_counter()
        elif self.iter == self.steps:
            self.seconds = time.perf_counter() - self.began
            raise CancelFitException()


def library_speed(recipe, photos, steps):
    """Photos per second of the library's way."""
    learn, watch = runs.learner(recipe, photos), Stopwatch(steps)
    with learn.no_logging(), learn.no_mbar(), training.fast_kernels():
        learn.fit(1, lr=1e-5, cbs=watch)
    return steps * recipe.batch_size / watch.seconds


def measure(recipe, photos, paths, device, options):
    """Median photos per second of the plain loop and of the library."""
    turns = []
    for _ in range(options.turns):
        plain = plain_speed(recipe, paths, photos.size, device, options.steps)
        turns.append((plain, library_speed(recipe, photos, options.steps)))
        print(f"{recipe.model}: plain {plain:.1f}, g2g {turns[-1][1]:.1f} photos/s", flush=True)
    return [statistics.median(values) for values in zip(*turns, strict=True)]


def main():
    device = training.get_device()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="report" if device.type == "cuda" else "cpu")
    parser.add_argument("--steps", type=int, default=30 if device.type == "cuda" else 3, help="timed, of a turn")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    profile = get_profile(options.profile)
    table = RECIPES[profile.name]
    recipes = {name: dataclasses.replace(table[name], weights=None) for name in ("cnn", "unet", "cgan")}
    # The steps of most epochs: none with an encoder that is frozen at the end, none of D alone
    recipes["unet"] = dataclasses.replace(recipes["unet"], frozen_epochs=0)
    recipes["cgan"] = dataclasses.replace(recipes["cgan"], d_epochs=0)
    n = (options.steps + 2) * max(recipe.batch_size for recipe in recipes.values())
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["G2G_CACHE"] = str(Path(scratch) / "cache")
        folder = Path(scratch) / "photos"
        folder.mkdir()
        make_photos(folder, 2 * n)
        photos = prepare(
            dataclasses.replace(profile, source="folder", data_dir=folder, n_train=n, n_test=2), progress=False
        )
        paths = [folder / name for name in photos.files("train")]
        rows = {name: (recipe, *measure(recipe, photos, paths, device, options)) for name, recipe in recipes.items()}
    write(report(rows, photos.size, device, options), "training_speed")


def report(rows, size, device, options):
    facts = training.hardware(device)
    lines = [
        "## Training steps",
        "",
        f"`python benchmarks/training_speed.py --profile {options.profile}`: photos of {size} px, data included, on "
        f"{facts['device']} ({facts['precision']}, {facts['threads']} threads), torch {torch.__version__}; median of "
        f"{options.turns} turns of {options.steps} steps.",
        "",
        "| step | batch | plain loop, photos/s | g2g, photos/s | times |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, (recipe, plain, ours) in rows.items():
        lines.append(f"| {TITLES[name]} | {recipe.batch_size} | {plain:,.1f} | {ours:,.1f} | {ours / plain:.2f} |")
    lines += ["", COMPARED]
    if device.type != "cuda":
        lines += ["", "On a GPU, where 3 times the plain loop is the aim: not measured (no GPU)."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
