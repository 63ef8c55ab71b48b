"""One process of `tests/test_distributed.py`: trains a stage and leaves its parameters and history."""

import dataclasses
import sys
from pathlib import Path

import torch
from fastai.torch_core import rank_distrib

from g2g import training
from g2g.data import prepare
from g2g.profiles import get_profile, get_recipe
from g2g.runs import learner

stage, out = sys.argv[1], Path(sys.argv[2])
photos = prepare(dataclasses.replace(get_profile("smoke"), size=32, n_train=19, n_test=2), progress=False)
recipe = dataclasses.replace(
    get_recipe(stage, "smoke"),
    width=8,
    batch_size=int(sys.argv[3]),
    start=None,
    receptive_field=16,
    schedule="constant",
)
learn = learner(recipe, photos)
for module in [learn.model, getattr(learn, "discriminator", torch.nn.Identity())]:
    for norm in (m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.train = lambda mode=True: None  # batch statistics would differ between half and doubled batches
        norm.training = False
learn.opt_func = training.partial(training.OptimWrapper, opt=torch.optim.SGD)  # Adam's first step forgets the size
if stage == "cgan":
    learn.d_opt = torch.optim.SGD(learn.discriminator.parameters(), lr=0.1)
history = training.fit(learn, out / "run", epochs=int(sys.argv[4]), lr=0.1)
networks = {"g": learn.model.state_dict()}
if stage == "cgan":
    networks["d"] = learn.discriminator.state_dict()
torch.save((networks, history.drop(columns="seconds").to_dict()), out / f"rank{rank_distrib()}.pt")
