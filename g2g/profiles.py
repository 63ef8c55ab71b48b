"""What a run costs: the profiles `smoke`, `class` and `report`, and where things are written."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

SEED = 42  # one default seed for the choice of photos, the split and the training


@dataclass(frozen=True)
class Profile:
    """A size of the whole course.

    Attributes:
        name: `smoke`, `cpu`, `class` or `report`.
        source: key of `g2g.sources.SOURCES`: `bundled`, `coco_sample` or `folder`.
        size: side of the square training photos, in pixels.
        n_train, n_test: at most so many photos, counted before any is skipped; validation comes out of n_train.
        purpose: one sentence for a reader.
        data_dir: the folder of one's own photos when source is `folder`.
    """

    name: str
    source: str
    size: int
    n_train: int
    n_test: int
    purpose: str
    data_dir: Path | None = None

    @property
    def outputs(self) -> Path:
        """Folder of this profile's runs, tables and figures (`G2G_OUTPUTS` moves the root, to Drive say)."""
        return Path(os.environ.get("G2G_OUTPUTS") or repo_root() / "outputs") / self.name


PROFILES = {
    p.name: p
    for p in (
        Profile("smoke", "bundled", 64, 48, 24,
                "shows that everything runs, on two CPU cores and without network; its scores mean nothing"),
        Profile("cpu", "coco_sample", 64, 2000, 500,
                "the report's protocol scaled to an evening on two CPU cores"),
        Profile("class", "coco_sample", 128, 2000, 500,
                "a lesson on a T4 or L4: colour within minutes"),
        Profile("report", "coco_sample", 256, 8000, 2000,
                "the report's protocol on an L4"),
    )
}


def get_profile(name: str | None = None) -> Profile:
    """The profile called `name`; None or `auto` reads `G2G_PROFILE`, else `class` on a CUDA GPU and `smoke` without.

    `G2G_DATA=/folder` replaces the photos of any profile by the folder's own.

    Raises:
        ValueError: unknown profile (lists the known ones).
        FileNotFoundError: `G2G_DATA` is not a folder.
    """
    if name in (None, "", "auto"):
        name = os.environ.get("G2G_PROFILE") or "auto"
    if name == "auto":
        import torch  # late: `python -m g2g --help` need not wait for it

        name = "class" if torch.cuda.is_available() else "smoke"
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; known: auto, {', '.join(PROFILES)} (see G2G_PROFILE)")
    profile = PROFILES[name]
    if own := os.environ.get("G2G_DATA"):
        folder = Path(own).expanduser().resolve()
        if not folder.is_dir():
            raise FileNotFoundError(f"G2G_DATA={own} is not a folder; set it to a folder of photos, or unset it")
        profile = dataclasses.replace(profile, source="folder", data_dir=folder)
    return profile


def repo_root() -> Path:
    """The folder that holds `g2g/` and `notebooks/`."""
    return Path(__file__).resolve().parent.parent


def cache_root() -> Path:
    """Where downloads and prepared photos live: `G2G_CACHE`, else `data/cache` in the repository."""
    return Path(os.environ.get("G2G_CACHE") or repo_root() / "data" / "cache")
