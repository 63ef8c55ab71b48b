"""What all tests share: few threads, the CPU, no settings of the user, a handful of prepared photos."""

import ast
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


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory):
    """The user's cache is neither read nor written; photos are prepared once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("G2G_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory, monkeypatch):
    """Nothing is read from or written to the user's outputs. Each test has its own."""
    for name in ("G2G_PROFILE", "G2G_DATA", "G2G_PLAIN", "G2G_PRECISION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path_factory.mktemp("g2g") / "outputs"))


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache for one test alone."""
    monkeypatch.setenv("G2G_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def photos():
    """Bundled crops at 32 px, 13 to train, one to validate, 8 to test: a `g2g.data.Photos`. Read only."""
    from g2g.data import prepare
    from g2g.profiles import get_profile

    profile = dataclasses.replace(get_profile("smoke"), size=32, n_train=14, n_test=8)
    return prepare(profile, progress=False)


def raising(error):
    """A function that raises `error`, whatever it is given."""

    def raises(*_, **__):
        raise error

    return raises


def of_notebook(name, *wanted, **scope):
    """What a notebook defines by the names `wanted`, in their order; `scope` is what its lines need."""
    from g2g.profiles import repo_root

    source = (repo_root() / "notebooks" / "py" / f"{name}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else node
        parts = getattr(target, "elts", [target])
        if {getattr(part, "name", getattr(part, "id", "")) for part in parts} & set(wanted):
            exec(ast.unparse(node), scope)
    return [scope[name] for name in wanted]
