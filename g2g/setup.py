"""What every notebook's setup cell calls: is everything here, what will run, how many minutes it takes."""

from __future__ import annotations  # read by a Python that may be too old: it must get as far as the message

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import time

NEEDED = {  # module: package
    "torch": "torch",
    "torchvision": "torchvision",
    "fastai": "fastai",
    "numpy": "numpy",
    "pandas": "pandas",
    "matplotlib": "matplotlib",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "scipy": "scipy",
    "filelock": "filelock",
    "tqdm": "tqdm",
    "safetensors": "safetensors",
    "lpips": "lpips",
}
INSTALLABLE = {"safetensors", "lpips"}  # what Colab may lack; the rest is its own and must never be replaced
SWITCH_GPU = "Runtime > Change runtime type > L4 (or the free T4), then Runtime > Run all"

# Minutes for each notebook alone, 01 to 08, with nothing trained before, and for all in order.
# The one place for these numbers; where they are measured, `how` says so: "measured on <device>, <date>".
MINUTES = {
    "smoke": {
        "how": "measured on 2 CPU cores, 2026-11-23",
        "alone": (0.1, 0.2, 0.5, 0.6, 0.9, 0.8, 0.6, 0.8),
        "all": 3,
    },
    "cpu": {"how": "estimate from the quoted runs, 2 CPU cores", "alone": (1, 16, 27, 40, 66, 55, 55, 25), "all": 95},
    "class": {"how": "estimate, L4 or T4", "alone": (2, 4, 5, 8, 12, 11, 11, 20), "all": 35},
    "report": {"how": "estimate, L4", "alone": (5, 25, 20, 45, 80, 75, 75, 120), "all": 200},
}


def setup(profile: str | None = None, use_drive: bool = False):
    """Get a notebook ready and print versions, device, profile, photos and minutes. Safe to call again.

    Args:
        profile: `auto` or a name in `g2g.profiles`; None and `auto` follow `G2G_PROFILE`, then the GPU.
        use_drive: in Colab, mount Google Drive and keep the runs there, so that they outlive
            the session. Outside Colab it is an error.

    Returns:
        The `g2g.profiles.Profile` that the notebook works with.

    Raises:
        RuntimeError: Python too old; a needed package missing; in Colab `class` or `report` without a GPU;
            Drive not to be had. Each says what to do.
        ValueError, FileNotFoundError: as `g2g.profiles.get_profile`.
    """
    python = sys.version.split()[0]
    if sys.version_info < (3, 11):  # noqa: UP036 (no installer has checked this kernel)
        raise RuntimeError(f"the course needs Python 3.11 or newer, not {python}: choose another kernel")
    colab = "google.colab" in sys.modules
    _install_missing(colab)
    if use_drive:
        _use_drive(colab)
    from g2g.profiles import get_profile

    chosen = get_profile(profile)
    device, gpu = _device()
    if colab and gpu is None and chosen.name not in ("smoke", "cpu"):
        raise RuntimeError(
            f"profile {chosen.name!r} needs a GPU and this runtime has none. {SWITCH_GPU}; or set PROFILE to 'smoke'."
        )
    versions = [f"{p} {importlib.metadata.version(p)}" for p in ("torch", "torchvision", "fastai")]
    print(f"python {python} · " + " · ".join(versions))
    print(f"device: {device}" + (f". {SWITCH_GPU}, to train for real" if colab and gpu is None else ""))
    print(f"profile: {chosen.name} · {chosen.purpose} · {time.strftime('%Y-%m-%d')}")
    where = chosen.data_dir or chosen.source
    print(f"photos: {where}, up to {chosen.n_train} to train, {chosen.n_test} to test, {chosen.size} px")
    minutes = MINUTES[chosen.name]  # of the bundled or COCO photos; G2G_DATA may hold more
    alone = " · ".join(f"{number:02d} {value:g}" for number, value in enumerate(minutes["alone"], 1))
    print(f"minutes alone: {alone}; all in order: {minutes['all']:g} ({minutes['how']})")
    return chosen


def _install_missing(colab: bool) -> None:
    missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    wanted = [name for name in missing if name in INSTALLABLE]
    if colab and wanted:
        print("installing", *wanted)
        # --no-deps: what they need is there, and pip must not be tempted to touch torch or numpy
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--retries=1", "--timeout=20"]
        done = subprocess.run([*pip, *wanted], capture_output=True, text=True)
        importlib.invalidate_caches()
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            print(f"could not install {', '.join(wanted)}, is there a network? ({reason})")
        missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing == ["lpips"]:
        print("without lpips, tables show LPIPS as missing; run this cell again once there is a network")
    elif missing:
        way = (
            "start afresh with Runtime > Disconnect and delete runtime"
            if colab
            else "run 'make run' once and choose the kernel in .venv, or: pip install -r requirements.txt"
        )
        raise RuntimeError(f"missing: {', '.join(missing)} for {sys.executable}; {way}")


def _use_drive(colab: bool) -> None:
    if not colab:
        raise RuntimeError("USE_DRIVE is for Colab; elsewhere point G2G_OUTPUTS and G2G_CACHE where you like")
    try:
        from google.colab import drive

        drive.mount("/content/drive")
    except Exception as error:
        raise RuntimeError(
            f"Google Drive could not be mounted ({error}): allow access when asked, or set USE_DRIVE = False"
        ) from error
    # The runs only: photos are read all the time, which is slow over Drive, and quickly prepared anew
    os.environ["G2G_OUTPUTS"] = "/content/drive/MyDrive/gray-to-glory/outputs"
    os.makedirs(os.environ["G2G_OUTPUTS"], exist_ok=True)
    print(f"outputs: {os.environ['G2G_OUTPUTS']}")


def _device() -> tuple[str, str | None]:
    """A line for the reader, and the GPU's name (None without one)."""
    import torch

    if torch.cuda.is_available():
        p = torch.cuda.get_device_properties(0)
        return f"{p.name}, {p.total_memory / 2**30:.0f} GiB", p.name
    return f"CPU, {torch.get_num_threads()} threads; no GPU", None
