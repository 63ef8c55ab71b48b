"""Is a cGAN better than a U-Net times the constant that makes it as colorful? On validation photos, by PSNR and LPIPS.

    python benchmarks/on_validation.py unet unet_long cgan outputs/cpu/runs/cgan-0123456789/last.safetensors

A name is a published model; a file, the generator of another run of the profile's cGAN or control. The first is what
all others are set against. Color is predicted at the profile's size, mirrored, and scored as in the tables.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from g2g import evaluation
from g2g.data import prepare
from g2g.models import Mirrored, load_weights
from g2g.profiles import get_profile, get_recipe
from g2g.runs import build_model, pretrained_model
from report.pipeline import Block

FACTORS = (0, 1, 1.25, 1.5, 2)


def blocks(profile, count=64):
    """The validation photos, at the size at which they are scored and at the size at which color is predicted."""
    scored = prepare(dataclasses.replace(profile, size=profile.score_size or profile.size))
    inputs = prepare(profile)
    assert scored.files("valid") == inputs.files("valid")
    return [Block(scored.valid[i : i + count], inputs.valid[i : i + count]) for i in range(0, len(inputs.valid), count)]


def measured(model, photos, with_lpips=True):
    """`evaluation.by_saturation` of all photos, a row a photo and factor."""
    parts = []
    for block in photos:
        predicted = block.predict(model)
        judge = block.lpips if with_lpips else None
        parts.append(evaluation.by_saturation(*block.planes, predicted, FACTORS, judge))
    return pd.concat(parts, ignore_index=True)


def load(name, profile):
    if not name.endswith(".safetensors"):
        return pretrained_model(name)[0]
    return load_weights(build_model(get_recipe("cgan", profile), profile.size), name).eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    profile = get_profile(options.profile)
    photos = blocks(profile)
    curves = {name: measured(Mirrored(load(name, profile)), photos) for name in options.models}
    gray = curves[options.models[0]].query("saturation == 0")
    for name, curve in curves.items():
        own = curve.query("saturation == 1")
        level = own["colorfulness"].mean()
        gain = np.mean(own["psnr"].to_numpy() - gray["psnr"].to_numpy())
        words = [f"{name}: MAE {own['mae'].mean():.4f}, {gain:+.2f} dB over gray, colorfulness {level:.1f}"]
        words.append(f"LPIPS {own['lpips'].mean():.4f}")
        for other in options.models[:2]:
            if other == name:
                continue
            for column in ("psnr", "lpips"):
                matched = evaluation.at_colorfulness(curves[other], level, column)
                mean, low, high = evaluation.bootstrap(own[column].to_numpy() - matched)
                words.append(f"{column} against {other} as colorful {mean:+.3f} [{low:+.3f}, {high:+.3f}]")
        print("; ".join(words), flush=True)


if __name__ == "__main__":
    main()
