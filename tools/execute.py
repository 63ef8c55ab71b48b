"""Execute notebooks with this Python, one fresh kernel each.

    run           (make run)        all, in order; copies in outputs/<profile>/notebooks
    save [01 ..]  (make notebooks)  the same into notebooks/*.ipynb, with outputs fit to be committed

The profile is smoke unless G2G_PROFILE is set.
"""

import asyncio
import base64
import io
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from PIL import Image

import stamp

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from g2g.files import save_atomic  # noqa: E402
from g2g.profiles import cache_root, get_profile  # noqa: E402

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class OnePython(KernelSpecManager):
    """Every kernel name means one Python, by default this script's, whatever kernels a user has installed."""

    python = sys.executable

    def get_kernel_spec(self, kernel_name):
        about = get_kernel_dict(extra_arguments=["--log-level=ERROR"])  # errors in cells are shown anyway
        return KernelSpec(resource_dir=RESOURCES, **about | {"argv": [self.python, *about["argv"][1:]]})


def numbered(solutions: bool = False) -> list[Path]:
    """The notebooks in their order, then, if wanted, the solutions."""
    folders = [ROOT / "notebooks", *([ROOT / "notebooks" / "solutions"] if solutions else [])]
    return [p for folder in folders for p in sorted(folder.glob("[0-9]*.ipynb"))]


def execute(path: Path, python: str = sys.executable, env: dict | None = None):
    """Run a notebook in its own folder, with another `python` or environment if wanted.

    Returns:
        The notebook with its outputs as far as it came, and None or a readable account of what stopped it.
    """
    notebook = nbformat.read(path, as_version=4)
    specs = OnePython()
    specs.python = str(python)
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
    where = path.name

    def started(cell, cell_index):
        nonlocal where
        where = f"{path.name}, cell {cell_index + 1} of {len(notebook.cells)}"
        if sys.stdout.isatty():
            print(f"\r  {where}", end="\r", flush=True)

    client = NotebookClient(
        notebook,
        km=manager,
        on_cell_start=started,
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )

    async def whole():
        try:
            await client.async_execute(env=env or dict(os.environ))
        finally:  # Ctrl-C included: no kernel stays behind
            if manager.has_kernel:
                await manager.shutdown_kernel(now=True)

    failure = None
    try:
        asyncio.run(whole())
    except CellExecutionError as error:
        failure = f"{where}:\n{ANSI.sub('', str(error)).strip()}"
    except DeadKernelError:  # nbclient answers Ctrl-C in this way, too
        failure = f"{where}: interrupted, or out of memory"
    return notebook, failure


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_atomic(lambda part: nbformat.write(notebook, part), path)


def clean(text: str, outputs: Path, cache: Path) -> str:
    """Text without the paths of this machine."""
    temporary = tempfile.gettempdir()
    text = ANSI.sub("", text)
    text = re.sub(re.escape(temporary) + r"/ipykernel_\d+/\d+\.py", "<cell>", text)
    known = {outputs: "outputs", cache: "data/cache", ROOT: ".", Path(sys.prefix): ".venv", Path.home(): "~"}
    if os.environ.get("G2G_DATA"):
        known = {Path(os.environ["G2G_DATA"]).resolve(): "G2G_DATA"} | known
    for folder, short in known.items():
        if folder != Path(folder.anchor):
            text = text.replace(f"{folder}/", f"{short}/".removeprefix("./"))
            text = text.replace(str(folder), short)
    return text.replace(f"{temporary}/", "temp/")


def lighten(output: nbformat.NotebookNode) -> None:
    """Make a picture small: a drawing is left with 256 colors, a photo becomes a JPEG; the smaller of the two is kept.

    Figures are shown at half their pixels (`app.setup`). A photo is sharp enough with three quarters of them.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")
    shown_at = output.metadata.get("image/png")
    drawing, photo = io.BytesIO(), io.BytesIO()
    picture.quantize(256).save(drawing, "png", optimize=True)
    if shown_at:
        picture = picture.resize([3 * side // 4 for side in picture.size])
    picture.save(photo, "jpeg", quality=80, optimize=True)
    if len(drawing.getvalue()) < len(photo.getvalue()):
        output.data["image/png"] = base64.b64encode(drawing.getvalue()).decode()
        return
    del output.data["image/png"]
    output.data["image/jpeg"] = base64.b64encode(photo.getvalue()).decode()
    if shown_at:
        output.metadata["image/jpeg"] = output.metadata.pop("image/png")


def tidy(notebook: nbformat.NotebookNode, outputs: Path, cache: Path) -> None:
    """Make outputs fit to be committed: no widgets (GitHub refuses them), small pictures, no paths."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = clean(output.text, outputs, cache)
            data = output.get("data", {})
            data.pop("application/vnd.jupyter.widget-view+json", None)
            if "image/png" in data:
                lighten(output)
            for kind, value in data.items():
                if kind.startswith("text/") and isinstance(value, str):
                    data[kind] = clean(value, outputs, cache)


def walk(paths: list[Path], keep) -> None:
    """Execute in order, handing (path, notebook, failure) to `keep`; exit at the first failure."""
    if not paths:
        sys.exit(f"no notebooks (notebooks/[0-9]*.ipynb) in {ROOT}")
    print(f"profile {os.environ['G2G_PROFILE']}, {len(paths)} notebooks", flush=True)
    start = time.time()
    for number, path in enumerate(paths, 1):
        print(f"[{number}/{len(paths)}] {path.stem} ...", flush=True)
        began = time.time()
        notebook, failure = execute(path)
        minutes = (time.time() - began) / 60
        keep(path, notebook, failure)
        if failure:
            sys.exit(f"\n{failure}\n\nstopped: {path.name} failed after {minutes:.1f} min")
        cells = sum(cell.cell_type == "code" for cell in notebook.cells)
        print(f"[{number}/{len(paths)}] {path.stem}: {cells} code cells, {minutes:.1f} min", flush=True)
    print(f"all in {(time.time() - start) / 60:.1f} min")


def run() -> None:
    outputs = get_profile().outputs
    walk(numbered(), lambda path, notebook, failure: write(notebook, outputs / "notebooks" / path.name))
    print(f"\nwritten under {outputs}:")
    for folder in sorted(outputs.glob("*/")):
        names = sorted(path.name for path in folder.glob("[!.]*"))
        print(f"  {folder.name}/: {len(names)} in all, {', '.join(names[:12])}")


def save(names: list[str]) -> None:
    if not os.environ.get("G2G_OUTPUTS"):  # else: the caller's own runs are to be shown, not new ones
        os.environ["G2G_OUTPUTS"] = str(ROOT / "outputs" / "saved")
        if not names:
            shutil.rmtree(os.environ["G2G_OUTPUTS"], ignore_errors=True)

    def keep(path, notebook, failure):
        if not failure:
            tidy(notebook, Path(os.environ["G2G_OUTPUTS"]).resolve(), cache_root().resolve())
            write(notebook, path)
            stamp.sync(path)

    walk([path for path in numbered(solutions=True) if not names or path.name[:2] in names], keep)
    print("saved; look at them, then commit notebooks/")


if __name__ == "__main__":
    os.environ["G2G_PROFILE"] = os.environ.get("G2G_PROFILE") or "smoke"
    os.environ["G2G_PLAIN"] = "1"
    os.environ.pop("MPLBACKEND", None)  # figures belong in the notebook
    try:
        match sys.argv[1:]:
            case ["run"]:
                run()
            case ["save", *names]:
                save(names)
            case _:
                sys.exit(__doc__)
    except KeyboardInterrupt:
        sys.exit("interrupted; a second call goes on from the runs that are finished")
