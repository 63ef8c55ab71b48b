"""Execute notebooks with this Python, one fresh kernel each.

    run           (make run)        all, in order, in smoke two at a time; copies in outputs/<profile>/notebooks
    save [01 ..]  (make notebooks)  the same into notebooks/*.ipynb, with outputs fit to be committed

The profile is smoke unless G2G_PROFILE is set.
"""

import base64
import io
import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nbformat
import psutil
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from PIL import Image

import stamp

sys.path.insert(0, str(stamp.ROOT))
from g2g.files import save_atomic  # noqa: E402
from g2g.profiles import cache_root, get_profile  # noqa: E402

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
PROGRESS = re.compile(r"^.* so far, [\d:?]+ left\n", re.MULTILINE)  # of `g2g.files.progress`
CELL = re.compile(re.escape(tempfile.gettempdir()) + r"/ipykernel_\d+/\d+\.py")


class OnePython(AsyncKernelManager):
    """Starts one Python, by default this script's, whatever kernels a user has installed."""

    python = sys.executable

    @property
    def kernel_spec(self):
        command = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def execute(path: Path, python=sys.executable, env: dict | None = None):
    """Run a notebook in its own folder, with another `python` or environment if wanted.

    Returns the notebook with its outputs as far as it came, and None or a readable account of what stopped it.
    """
    notebook = nbformat.read(path, as_version=4)
    manager = OnePython()
    manager.python = python
    options = {"store_widget_state": False, "record_timing": False, "coalesce_streams": True}
    client = NotebookClient(notebook, manager, resources={"metadata": {"path": str(path.parent)}}, **options)
    try:
        client.execute(env=env or dict(os.environ), cleanup_kc=True)  # the kernel ends with the notebook
    except CellExecutionError as error:
        return notebook, f"{path.name}, code cell {client.code_cells_executed}:\n{ANSI.sub('', str(error)).strip()}"
    except DeadKernelError:
        return notebook, f"{path.name}, after code cell {client.code_cells_executed}: its kernel died; out of memory?"
    return notebook, None


def clean(text: str, outputs: Path, cache: Path) -> str:
    """Text without the paths of this machine, and without lines of progress."""
    text = CELL.sub("<cell>", PROGRESS.sub("", ANSI.sub("", text)))
    own = os.environ.get("G2G_DATA")
    known = {str(Path(own).resolve()): "G2G_DATA"} if own else {}
    known |= {str(outputs): "outputs", str(cache): "data/cache", f"{stamp.ROOT}/": "", str(stamp.ROOT): "."}
    known |= {sys.prefix: ".venv", str(Path.home()): "~", f"{tempfile.gettempdir()}/": "temp/"}
    for folder, short in known.items():
        if folder != "/":  # the home of a container, say: every slash would become a tilde
            text = text.replace(folder, short)
    return text


def lighten(output: nbformat.NotebookNode) -> None:
    """Make a picture small: a drawing is left with 256 colors, a photo becomes a JPEG; the smaller of the two is kept.

    Figures are shown at half their pixels (`app.setup`). A photo is sharp enough with three quarters of them. An
    animation stays as it is.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
    if getattr(picture, "is_animated", False):
        return
    picture = picture.convert("RGB")
    shown_at = output.metadata.pop("image/png", None)
    drawing, photo = io.BytesIO(), io.BytesIO()
    picture.quantize(256, Image.Quantize.MAXCOVERAGE).save(drawing, "png", optimize=True)
    if shown_at:
        picture = picture.resize([3 * side // 4 for side in picture.size])
    picture.save(photo, "jpeg", quality=80, optimize=True)
    files = {"image/png": drawing.getvalue(), "image/jpeg": photo.getvalue()}
    kind = min(files, key=lambda kind: len(files[kind]))
    del output.data["image/png"]
    output.data[kind] = base64.b64encode(files[kind]).decode()
    if shown_at:
        output.metadata[kind] = shown_at


def tidy(notebook: nbformat.NotebookNode, outputs: Path, cache: Path) -> None:
    """Make outputs fit to be committed: no widgets (GitHub refuses them), small pictures, no paths."""
    notebook.metadata.pop("widgets", None)
    for output in [output for cell in notebook.cells for output in cell.get("outputs", [])]:
        data = output.get("data", {})
        data.pop("application/vnd.jupyter.widget-view+json", None)
        if "image/png" in data:
            lighten(output)
        if "text" in output:
            output.text = clean(output.text, outputs, cache)
        for kind in data:
            if kind.startswith("text/"):
                data[kind] = clean(data[kind], outputs, cache)


def timed(path: Path):
    """What `execute` returns, and the seconds that it took."""
    print(f"{path.stem} ...", flush=True)
    began = time.time()
    return *execute(path), time.time() - began


def executed(paths: list[Path], at_once: int = 1):
    """Execute in order, `at_once` at a time; yields (path, notebook, failure), exits after the first failure."""
    print(f"profile {os.environ['G2G_PROFILE']}, {len(paths)} notebooks", flush=True)
    with ThreadPoolExecutor(at_once) as pool:
        results = pool.map(timed, paths)
        try:
            for number, (path, (notebook, failure, seconds)) in enumerate(zip(paths, results, strict=True), 1):
                yield path, notebook, failure
                if failure:
                    sys.exit(f"\n{failure}\n\nstopped: {path.name} failed")
                print(f"[{number}/{len(paths)}] {path.stem}: {seconds / 60:.1f} min", flush=True)
        except KeyboardInterrupt:
            sys.exit("interrupted; what was executed is kept")
        finally:  # after a failure or Ctrl-C nothing goes on
            pool.shutdown(wait=False, cancel_futures=True)
            for kernel in psutil.Process().children():
                kernel.kill()


def run() -> None:
    outputs = get_profile().outputs
    (outputs / "notebooks").mkdir(parents=True, exist_ok=True)
    at_once = 1
    if os.environ["G2G_PROFILE"] == "smoke":  # whose trainings are short: two at a time, each on half of the cores
        at_once = 2
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count() // 2)))
    for path, notebook, _ in executed(stamp.notebooks(solutions=False), at_once):
        save_atomic(partial(nbformat.write, notebook), outputs / "notebooks" / path.name)
    print(f"\nwritten under {outputs}:")
    for folder in sorted(outputs.glob("*/")):
        names = sorted(path.name for path in folder.glob("[!.]*"))
        print(f"  {folder.name}/: {len(names)} in all, {', '.join(names[:12])}")


def save(names: list[str]) -> None:
    if not os.environ.get("G2G_OUTPUTS"):  # else: the caller's own runs are to be shown, not new ones
        os.environ["G2G_OUTPUTS"] = str(stamp.ROOT / "outputs" / "saved")
        if not names:
            shutil.rmtree(os.environ["G2G_OUTPUTS"], ignore_errors=True)
    outputs, cache = Path(os.environ["G2G_OUTPUTS"]).resolve(), cache_root().resolve()
    paths = [path for path in stamp.notebooks() if path.name[:2] in names or not names]
    for path, notebook, failure in executed(paths):
        if not failure:
            tidy(notebook, outputs, cache)
            save_atomic(partial(nbformat.write, notebook), path)
            stamp.sync(path)
    print("saved; look at them, then commit notebooks/")


if __name__ == "__main__":
    os.environ["G2G_PROFILE"] = os.environ.get("G2G_PROFILE") or "smoke"
    os.environ["G2G_PLAIN"] = "1"
    os.environ.pop("MPLBACKEND", None)  # figures belong in the notebook
    match sys.argv[1:]:
        case ["run"]:
            run()
        case ["save", *names]:
            save(names)
        case _:
            sys.exit(__doc__)
