"""The pretended GPU finds what CUDA would refuse, and nothing in the course that it would."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pretend_cuda import pretended_cuda
from torch import nn

ROOT = Path(__file__).resolve().parent.parent


DICE = torch.Generator()
MIXED = "of tensors on CUDA and on the CPU"
REFUSED = {
    f"add {MIXED}": lambda gpu, cpu: gpu + cpu,
    f"linear {MIXED}": lambda gpu, cpu: nn.Linear(4, 1)(gpu),
    f"stack {MIXED}": lambda gpu, cpu: torch.stack([gpu.sum(), cpu.sum()]),
    f"__getitem__ {MIXED}": lambda gpu, cpu: cpu[gpu > 0],
    f"__setitem__ {MIXED}": lambda gpu, cpu: gpu.__setitem__(torch.tensor([0, 1]), cpu[:2]),
    "a NumPy array of a CUDA tensor": lambda gpu, cpu: np.asarray(2 * gpu),
    "randn with a generator of the other device": lambda gpu, cpu: torch.randn(2, device="cuda", generator=DICE),
}
ALLOWED = {
    "a number from the CPU": lambda gpu, cpu: gpu * cpu.sum(),
    "an index from the CPU": lambda gpu, cpu: gpu[torch.tensor([0, 1])],
    "copies": lambda gpu, cpu: [gpu.cpu() + cpu, gpu + cpu.to(gpu), cpu.copy_(gpu) + gpu.cpu(), gpu.cpu().numpy()],
    "a draw that is moved": lambda gpu, cpu: torch.randn(4, generator=DICE).to("cuda") + gpu,
    "a GPU's draw": lambda gpu, cpu: gpu.normal_(generator=torch.Generator("cuda").manual_seed(1)) + gpu,
}


@pytest.mark.parametrize("what", REFUSED | ALLOWED)
def test_what_cuda_would_refuse_is_found_with_its_line_and_nothing_else_is(what):
    with pretended_cuda() as watch:
        (REFUSED | ALLOWED)[what](torch.ones(4, device="cuda"), torch.ones(4))
    assert [found for found, line in watch.refused] == [what] * (what in REFUSED)
    assert all(line.startswith("tests/test_pretend_cuda.py:") for _, line in watch.refused)


def test_a_copy_to_the_gpu_leaves_the_tensor_on_the_cpu():
    with pretended_cuda():
        cpu = torch.ones(4)
        assert cpu.to("cuda").is_cuda and torch.as_tensor(cpu, device="cuda").device.type == "cuda"
        assert cpu.device.type == "cpu" and not cpu.is_cuda
    assert not torch.cuda.is_available(), "all is as before"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_in_half_precision_and_gradients_are_on_the_gpu(dtype):
    with pretended_cuda() as watch:
        model = nn.Linear(4, 1).to("cuda")
        with torch.autocast("cuda", dtype=dtype):
            y = model(torch.ones(2, 4, device="cuda"))
        y.float().sum().backward()
        assert y.dtype == torch.bfloat16 and y.is_cuda and model.weight.grad.is_cuda and not watch.refused


LIBRARY = """
import torch
from app.page import color
from g2g import colorize, data, profiles, runs
from report import page, pipeline, publish, studies
from tools import gpu_check

profile, photo = profiles.get_profile(), "data/gallery/meadow.jpg"
for name in runs.pretrained_models():
    colorize.colorize(photo, runs.pretrained_model(name)[0].to("cuda"), size=64)
    color(photo, name, 1, 0.38, 0.5, 0)
torch.cuda.reset_peak_memory_stats = torch.cuda.max_memory_allocated = lambda: 0
gpu_check.training_speed("cgan", profile)
gpu_check.half_precision("flow", profile, data.prepare(profile))
pipeline.REPORT_PHOTOS = 2
page.build(profile)
publish.repo_root = lambda: profile.outputs
publish.publish(profile)
studies.run_study("losses", profile, seeds=(42,))
"""


def run(paths, tmp_path, profile="smoke", capability="8.9"):
    """Run files under the pretended GPU, without downloads and with small pictures; what went wrong, or 0."""
    env = os.environ | {"G2G_OUTPUTS": f"{tmp_path}/outputs", "G2G_PLAIN": "1", "G2G_WEIGHTS": "none"}
    env |= {"OMP_NUM_THREADS": "1", "MATPLOTLIBRC": f"{ROOT}/g2g/style.mplstyle"}
    command = [sys.executable, "-m", "tests.pretend_cuda", profile, capability, *paths]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    return done.returncode and done.stderr[-3000:]


def texts(*patterns):
    """The text of notebooks, in their order."""
    return [path for pattern in patterns for path in sorted((ROOT / "notebooks").glob(pattern))]


def test_the_chapters_that_train_by_hand_run_on_a_gpu(tmp_path):
    assert run(texts("py/0[34]*.py", "py/1[01]*.py"), tmp_path) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "profile", "capability"),
    [("py/*.py", "class", "7.5"), ("py/0[1256789]*.py", "smoke", "8.9"), ("solutions/py/*.py", "smoke", "8.9")],
)
def test_all_notebooks_run_on_a_gpu(pattern, profile, capability, tmp_path):
    assert run(texts(pattern), tmp_path, profile, capability) == 0


@pytest.mark.slow
def test_coloring_the_report_and_the_studies_run_on_a_gpu(tmp_path):
    script = tmp_path / "library.py"
    script.write_text(LIBRARY)
    assert run([script], tmp_path) == 0
