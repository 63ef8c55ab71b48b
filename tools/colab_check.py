"""Each notebook as a Colab user meets it: alone in an empty folder, in a fresh kernel, in the smoke profile.

    colab_check.py [01 ..]            (make test-alone)  this environment, network cut off
    colab_check.py --colab [01 ..]    (make test-colab)  Colab's preinstalled versions (tools/colab.txt)

`google.colab` is a stub that is already imported, /content is a temporary folder, and the clone address
leads to this repository: what is tested is what is **committed**.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import execute
import stamp

ROOT = execute.ROOT
STUB = {
    "sitecustomize.py": "import google.colab\n",
    "google/colab/__init__.py": "",  # no google/__init__.py: `google` is a namespace that others live in, too
    "google/colab/drive.py": "def mount(path):\n    raise ValueError('no Drive in this stub')\n",
}


def runtime(folder: Path, cut: bool) -> dict[str, str]:
    """A fresh Colab-like runtime in `folder`: its environment variables."""
    for name, text in STUB.items():
        path = folder / "stub" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("content", "home", "lone"):
        (folder / name).mkdir()
    foreign = ("G2G_", "GIT_", "PYTHON", "VIRTUAL_ENV", "MPLBACKEND")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env |= {
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(folder / "stub"),
        "G2G_PLAIN": "1",
        "G2G_CONTENT": str(folder / "content"),
        "G2G_PROFILE": "smoke",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{ROOT}.insteadOf",
        "GIT_CONFIG_VALUE_0": stamp.REPOSITORY,
    }
    if cut:  # nobody listens there: what is asked of the network fails at once
        env |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        env |= {"PIP_NO_INDEX": "1"}
    return env


def colab_python() -> Path:
    """Python of a virtual environment with Colab's versions, made if it is absent."""
    venv = ROOT / "outputs" / "colab-venv"
    python = venv / "bin" / "python"
    if not (venv / "complete").exists():
        print("installing Colab's versions (tools/colab.txt), which takes some minutes", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(ROOT / "tools" / "colab.txt")], check=True)
        (venv / "complete").touch()
    return python


def check(path: Path, python, cut: bool) -> bool:
    """Execute a notebook alone and say how it went; True if it passed."""
    with tempfile.TemporaryDirectory(prefix="g2g-alone-") as folder:
        folder = Path(folder).resolve()
        env = runtime(folder, cut)
        alone = Path(shutil.copy(path, folder / "lone"))
        began = time.time()
        _, failure = execute.execute(alone, python, env)
        stray = [found.name for found in (folder / "lone").iterdir() if found != alone]
    print("FAILED " if failure else "passed ", f"{path.stem}, {(time.time() - began) / 60:.1f} min", flush=True)
    if failure:
        print(failure)
    if stray:
        print(f"  note: it wrote into the current folder: {', '.join(stray)}")
    return failure is None


def main(arguments: list[str]) -> int:
    colab = "--colab" in arguments
    names = [argument for argument in arguments if argument != "--colab"]
    paths = [path for path in execute.numbered() if not names or path.name[:2] in names]
    if not paths:
        sys.exit(f"no notebook matches {' '.join(names) or 'notebooks/[0-9]*.ipynb'}")
    if subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True).stdout:
        print("note: there are uncommitted changes; the clone has only what is committed")
    python = colab_python() if colab else sys.executable
    passed = sum(check(path, python, cut=not colab) for path in paths)
    print(f"{passed} passed, {len(paths) - passed} failed")
    return int(passed < len(paths))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
