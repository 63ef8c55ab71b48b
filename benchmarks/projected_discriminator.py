"""A cGAN whose D looks at a frozen encoder's features, projected at random (Sauer et al. 2021): does it gain more?

    python benchmarks/projected_discriminator.py [--profile cpu]

The generator, its start and its optimizer are those of the profile's cGAN, without R1. Writes the run to the profile's
outputs, in `projected/`, and prints the file that `on_validation.py` then compares.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from g2g import lab, runs, training
from g2g.data import prepare
from g2g.models import imagenet_classifier
from g2g.profiles import get_profile, get_recipe

SIZE = 96  # px of the pictures that D is shown; G predicts at a quarter of the photo, 48 px of 192


class Projector:
    """EfficientNet-Lite0's features of a picture at strides 4, 8 and 16, mixed by fixed random convolutions.

    Across channels by 1x1 convolutions, across scales from coarse to fine by 3x3 ones. Not a module: nothing here is
    trained or saved, and D's `requires_grad_` does not reach it.
    """

    def __init__(self, device, channels=64):
        encoder = imagenet_classifier("efficientnet_lite0", "imagenet", in_chans=3)
        encoder.prune_intermediate_layers(3, prune_head=True)
        self.encoder = encoder.eval().requires_grad_(False).to(device)
        widths = [feature["num_chs"] for feature in encoder.feature_info][1:4]
        self.across_channels = [random_weights(width, channels, 1).to(device) for width in widths]
        self.across_scales = [random_weights(channels, channels, 3).to(device) for _ in widths]

    def __call__(self, rgb):
        """RGB (B,3,H,W), in [0, 1] where sRGB shows it, to three maps (B,C,h,w), fine to coarse."""
        _, *maps = self.encoder.forward_intermediates(2 * rgb - 1, indices=[0, 1, 2, 3], intermediates_only=True)
        mixed, above = [], None
        for level in (2, 1, 0):
            x = F.conv2d(maps[level], self.across_channels[level])
            if above is not None:
                x = (x + F.interpolate(above, size=x.shape[2:], mode="bilinear")) / 2**0.5
            above = F.conv2d(x, self.across_scales[level], padding=1)
            mixed.append(above)
        return mixed[::-1]


def random_weights(before, after, kernel):
    """Of a convolution, which keep the variance."""
    return nn.init.kaiming_normal_(torch.empty(after, before, kernel, kernel), nonlinearity="linear")


class ProjectedD(nn.Module):
    """One small head with spectral norm on each of a `Projector`'s maps; (L, ab) -> logits (B,3,h,w)."""

    def __init__(self, projector, photo, channels=64):
        super().__init__()
        self.projected = projector
        self.photo = photo  # a function: L of the batch at full size, for the learner hands D a small one
        self.heads = nn.ModuleList()
        for _ in range(3):
            first = spectral_norm(nn.Conv2d(channels, channels, 4, 2, 1))
            last = spectral_norm(nn.Conv2d(channels, 1, 3, 1, 1))
            self.heads.append(nn.Sequential(first, nn.LeakyReLU(0.2), last))

    def forward(self, L, ab):
        L = F.interpolate(self.photo(), size=SIZE, mode="area")
        ab = F.interpolate(ab, size=SIZE, mode="bilinear")
        rgb = lab.lab_to_rgb(lab.denormalize(L, ab), clip=False)
        logits = [head(features) for head, features in zip(self.heads, self.projected(rgb), strict=True)]
        return torch.cat([F.adaptive_avg_pool2d(x, logits[-1].shape[2:]) for x in logits], 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu")
    profile = get_profile(parser.parse_args().profile)
    recipe = dataclasses.replace(get_recipe("cgan", profile), r1=0)
    photos = prepare(profile)
    learn = runs.learner(recipe, photos, runs.load_or_train("unet", profile, photos=photos))
    torch.manual_seed(recipe.seed)
    learn.discriminator = ProjectedD(Projector(learn.dls.device), lambda: learn.xb[0]).to(learn.dls.device).train()
    learn.d_opt = training._adam(recipe)(learn.discriminator.parameters())
    folder = profile.outputs / "projected"
    history = training.fit(learn, folder)
    print(history.tail(1).T)
    print(f"the generator: {folder / 'last.safetensors'}")


if __name__ == "__main__":
    main()
