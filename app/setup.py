"""What every notebook's setup cell calls: is everything here, what will run, how many minutes it takes."""

from __future__ import annotations  # read by a Python that may be too old: it must get as far as the message

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import time

OF_COLAB = ["torch", "torchvision", "fastai", "numpy", "scipy", "pandas", "matplotlib", "PIL", "skimage", "sklearn"]
# What pip may install in Colab; the packages above stay as they are
INSTALLABLE = "filelock jinja2 joblib lpips pydantic safetensors tabulate tifffile timm tqdm".split()
SWITCH_GPU = "Runtime > Change runtime type > L4 (or the free T4), then Runtime > Run all"

CHAPTERS = [f"{number:02d}" for number in range(12)] + ["A1", "A2", "A3"]
# Minutes for each notebook alone, with nothing trained before; for all in order; and how that is known.
# The one place for these numbers; where they are measured it says so, with device and date.
MINUTES = {
    "smoke": (
        (0.1, 0.2, 0.2, 0.3, 0.2, 0.6, 0.3, 0.2, 0.1, 0.6, 0.6, 1.3, 0.1, 0.1, 0.2),
        3.8,
        "estimates; in order measured on 2 CPU cores, November 2026",
    ),
    "cpu": (
        (1, 2, 34, 32, 45, 220, 76, 1, 1, 61, 3, 98, 1, 12, 10),
        270,
        "estimate from the published runs, 2 CPU cores",
    ),
    "class": ((1, 2, 4, 5, 8, 14, 13, 11, 2, 6, 3, 8, 2, 4, 6), 55, "estimate, L4 or T4"),
    "report": ((1, 5, 25, 20, 45, 85, 80, 75, 5, 10, 5, 30, 5, 25, 30), 260, "estimate, L4"),
}


def setup(profile: str | None = None, use_drive: bool = False):
    """Get a notebook ready and print versions, device, profile, photos and minutes. Safe to call again.

    Args:
        profile: `auto` or a name in `g2g.profiles`; None and `auto` follow `G2G_PROFILE`, then the GPU.
        use_drive: in Colab, mount Google Drive and keep the runs there, so that they outlive the session.

    Returns the `g2g.profiles.Profile` that the notebook works with. Raises what `get_profile` raises, and RuntimeError,
    which says what to do, for a Python too old, a needed package missing, in Colab `class` or `report` without a GPU,
    Drive not to be had or outside Colab.
    """
    python = sys.version.split()[0]
    if sys.version_info < (3, 11):  # noqa: UP036 (no installer has checked this kernel)
        raise RuntimeError(f"the course needs Python 3.11 or newer, not {python}: choose another kernel")
    colab = "google.colab" in sys.modules
    _install_missing(colab)
    if use_drive:
        _use_drive(colab)
    import torch  # not above: an old Python cannot read these, and they may be missing

    from g2g.profiles import get_profile

    chosen = get_profile(profile)
    _prepare_figures()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if colab and gpu is None and chosen.name not in ("smoke", "cpu"):
        raise RuntimeError(f"profile {chosen.name!r} needs a GPU. {SWITCH_GPU}; or set PROFILE to 'smoke'.")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision", "fastai")]
    print(f"python {python}", *versions, sep=" · ")
    print("device:", gpu or "CPU; no GPU")
    if colab and gpu is None:
        print(f"{SWITCH_GPU}, to train for real")
    print(f"profile: {chosen.name} · {chosen.purpose} · {time.strftime('%Y-%m-%d')}")
    where = chosen.data_dir or chosen.source
    print(f"photos: {where}, up to {chosen.n_train} to train, {chosen.n_test} to test, {chosen.size} px")
    alone, in_order, how = MINUTES[chosen.name]  # of the bundled or COCO photos; G2G_DATA may hold more
    each = " · ".join(f"{chapter} {minutes:g}" for chapter, minutes in zip(CHAPTERS, alone, strict=True))
    print(f"minutes alone: {each}; all in order: {in_order:g} ({how})")
    return chosen


def _install_missing(colab):
    wanted = [name for name in _missing() if name in INSTALLABLE]
    if colab and wanted:
        print("installing", *wanted)
        # --no-deps: what they need is there, and pip must not be tempted to touch torch or numpy
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--retries=1", "--timeout=20"]
        subprocess.run([*pip, *wanted])
        importlib.invalidate_caches()
    missing = _missing()
    if missing:
        remedy = "run 'make run' once and choose the kernel in .venv, or: pip install -r requirements.txt"
        if colab:
            remedy = "is there a network? Else start afresh with Runtime > Disconnect and delete runtime"
        raise RuntimeError(f"missing: {', '.join(missing)} for {sys.executable}; {remedy}")


def _missing():
    return [module for module in OF_COLAB + INSTALLABLE if importlib.util.find_spec(module) is None]


def _use_drive(colab):
    if not colab:
        raise RuntimeError("USE_DRIVE is for Colab; elsewhere point G2G_OUTPUTS and G2G_CACHE where you like")
    from google.colab import drive

    try:
        drive.mount("/content/drive")
    except Exception as error:  # Colab's own are of many kinds
        raise RuntimeError(f"no Google Drive ({error}): allow access, or set USE_DRIVE = False") from error
    # The runs only: photos are read all the time, which is slow over Drive, and quickly prepared anew
    os.environ["G2G_OUTPUTS"] = "/content/drive/MyDrive/gray-to-glory/outputs"
    os.makedirs(os.environ["G2G_OUTPUTS"], exist_ok=True)
    print("outputs:", os.environ["G2G_OUTPUTS"])


def _prepare_figures():
    """In a notebook: the course's style, and twice the pixels at the same size, for dense screens."""
    from IPython import get_ipython
    from matplotlib import style
    from matplotlib_inline.config import InlineBackend

    from g2g.figures import STYLE

    if get_ipython():
        style.use(STYLE)
        InlineBackend.instance(parent=get_ipython()).figure_formats = {"retina"}
