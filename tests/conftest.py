"""What all tests share: few threads, the CPU, no settings of the user, a handful of prepared photos."""

import os

for _name in ("G2G_PROFILE", "G2G_DATA"):  # before anything reads them
    os.environ.pop(_name, None)
if not os.environ.get("G2G_TEST_GPU"):  # the tests of `make gpu-check` want it, no other test expects one
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["MPLBACKEND"] = "Agg"

import dataclasses  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
from fastai.torch_core import default_device  # noqa: E402

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 2))
if not torch.cuda.is_available():
    default_device(False)  # CPU: fastai would take a Mac's MPS


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory, monkeypatch):
    """Nothing is read from or written to the user's outputs and cache. Each test has its own."""
    for name in ("G2G_PROFILE", "G2G_DATA", "G2G_PLAIN", "G2G_PRECISION"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path_factory.mktemp("g2g")
    monkeypatch.setenv("G2G_OUTPUTS", str(root / "outputs"))
    monkeypatch.setenv("G2G_CACHE", str(root / "cache"))


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A few bundled photos, prepared at 32 px: a `g2g.data.Photos`. Shared by all tests: read only."""
    from g2g.data import prepare
    from g2g.profiles import get_profile

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("G2G_DATA", raising=False)
        patch.setenv("G2G_CACHE", str(tmp_path_factory.mktemp("photos")))
        profile = dataclasses.replace(get_profile("smoke"), size=32, n_train=20, n_test=8)
        return prepare(profile, progress=False)
