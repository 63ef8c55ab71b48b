"""Seconds from the program's start to the first colored photo, and what the imports take of them.

    python benchmarks/first_color.py

Colors a photograph of one megapixel (scikit-image's `coffee`, enlarged) by `python -m g2g colorize`, five times, and
quotes the median; then once more with `-X importtime`, whose own cost is scaled away, for the packages' fractions.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import skimage.data
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
RUNS = 5


def seconds(folder: Path, *flags: str) -> tuple[float, str]:
    """How long one run took, and what it wrote to stderr."""
    command = [sys.executable, *flags, "-m", "g2g", "colorize", folder / "photo.jpg", "-o", folder / "out"]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - start, done.stderr


def by_package(report: str) -> Counter:
    """Seconds in the modules of each package themselves, of what `-X importtime` writes."""
    found = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\w+)", report)
    packages = Counter()
    for microseconds, package in found:
        packages[package] += int(microseconds) / 1e6
    return packages


def main():
    with tempfile.TemporaryDirectory() as folder:
        photo = Image.fromarray(skimage.data.coffee()).resize((1224, 816))
        photo.convert("L").save(Path(folder) / "photo.jpg")
        taken = [seconds(Path(folder))[0] for _ in range(RUNS)]
        whole, report = seconds(Path(folder), "-X", "importtime")
    packages = by_package(report)
    print(f"first color: {statistics.median(taken):.2f} s, the median of {RUNS} ({min(taken):.2f} to {max(taken):.2f})")
    print(f"imports: {packages.total() / whole:.0%} ({packages.total():.2f} s of {whole:.2f} s with -X importtime)")
    for package, spent in packages.most_common(8):
        print(f"  {package:<12} {spent / whole:.0%}")


if __name__ == "__main__":
    main()
