"""The diagrams in docs/networks show the networks that the course trains."""

import re

import pytest
import torch

import draw as networks
from g2g.flow import Velocity
from g2g.models import EncoderDecoder, PatchGAN, unet
from g2g.palette import PaletteUnet
from g2g.profiles import get_recipe, repo_root


@pytest.mark.parametrize(
    "build, blocks",
    [
        (lambda: EncoderDecoder(64), networks.ENCODER_DECODER),
        (lambda: unet("full", "resnet18", None), networks.UNET),
        (lambda: unet("quarter", weights=None), networks.QUARTER),
        (lambda: PatchGAN(get_recipe("cgan", "cpu").receptive_field), networks.DISCRIMINATOR),
        (lambda: PaletteUnet(unet("quarter", weights=None)).unet, networks.PALETTE),
        (lambda: Velocity(67, get_recipe("flow", "cpu").width), networks.VELOCITY),
    ],
)
def test_the_tables_agree_with_the_modules(build, blocks):
    model, seen = build().eval(), {}
    for block in blocks[1:]:

        def note(module, inputs, output, name=block.module):
            seen[name] = tuple(output.shape[1:])

        model.get_submodule(block.module).register_forward_hook(note)
    split = {1: [1], 3: [1, 2], 69: [2, 67]}[blocks[0].channels]
    inputs = list(torch.zeros(1, sum(split), blocks[0].size, blocks[0].size).split(split, dim=1))
    inputs[1:1] = [torch.zeros(1)] * isinstance(model, Velocity)  # the time
    with torch.no_grad():
        model(*inputs)
    assert seen == {block.module: (block.channels, block.size, block.size) for block in blocks[1:]}


def test_the_committed_diagrams_are_those_that_the_script_draws(tmp_path):
    networks.main(tmp_path)
    for new in tmp_path.iterdir():
        old = repo_root() / "docs" / "networks" / new.name
        words = [re.findall("<!-- (.*?) -->", path.read_text()) for path in (old, new)]
        assert words[0] == words[1] and len(words[0]) > 10, f"{new.name}: python docs/networks/draw.py"
