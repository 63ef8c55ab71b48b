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
from pathlib import Path

from execute import execute
from stamp import REPOSITORY, ROOT, notebooks

DRIVE = "def mount(path):\n    raise ValueError('no Drive in this stub')\n"
NO_PROXY_LISTENS = "http://127.0.0.1:9"  # what is asked of the network fails at once


def runtime(folder: Path, cut: bool = True) -> dict[str, str]:
    """A fresh Colab-like runtime in `folder`: its environment variables."""
    for name in ("content", "home", "lone", "stub/google/colab"):
        (folder / name).mkdir(parents=True)
    (folder / "stub" / "sitecustomize.py").write_text("import google.colab\n")
    (folder / "stub" / "google" / "colab" / "__init__.py").touch()  # `google` is a namespace that others live in, too
    (folder / "stub" / "google" / "colab" / "drive.py").write_text(DRIVE)
    foreign = ("G2G_", "GIT_", "PYTHON", "VIRTUAL_ENV", "MPLBACKEND")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env |= {"HOME": str(folder / "home"), "PYTHONPATH": str(folder / "stub")}
    env |= {"G2G_PLAIN": "1", "G2G_PROFILE": "smoke", "G2G_CONTENT": str(folder / "content")}
    env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{ROOT}.insteadOf"}
    env |= {"GIT_CONFIG_VALUE_0": REPOSITORY}
    if cut:
        env |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NO_PROXY_LISTENS)
        env |= {"PIP_NO_INDEX": "1"}
    return env


def colab_python() -> Path:
    """Python of a virtual environment with Colab's versions, made if it is absent."""
    venv = ROOT / "outputs" / "colab-venv"
    python = venv / "bin" / "python"
    if not (venv / "complete").exists():
        print("installing Colab's versions (tools/colab.txt), which takes some minutes", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", ROOT / "tools" / "colab.txt"], check=True)
        (venv / "complete").touch()
    return python


def main(names: list[str], colab: bool) -> None:
    print("the clone has only what is committed")
    python = colab_python() if colab else sys.executable
    failures = 0
    for path in [path for path in notebooks() if not names or path.name[:2] in names]:
        with tempfile.TemporaryDirectory(prefix="g2g-alone-") as folder:
            env = runtime(Path(folder).resolve(), cut=not colab)
            alone = Path(shutil.copy(path, Path(folder).resolve() / "lone"))
            _, failure = execute(alone, python, env)
        print(failure or f"passed: {path.stem}", flush=True)
        failures += bool(failure)
    sys.exit(f"{failures} failed" if failures else 0)


if __name__ == "__main__":
    main([argument for argument in sys.argv[1:] if argument != "--colab"], "--colab" in sys.argv)
