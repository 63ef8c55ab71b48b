"""Progress with a rate and the time left: a bar where somebody watches, a few plain lines everywhere else."""

import os
import sys

from tqdm import tqdm


class _Lines:
    """A file that turns tqdm's redrawn bar into lines of plain text."""

    def write(self, text):
        if text.strip():
            print(text.strip("\r\n "), flush=True)

    def flush(self):
        pass


def progress(total: int, label: str, unit: str, *, show: bool = True) -> tqdm:
    """A progress display: use it in a `with` statement and call `.update(n)`.

    A bar in a terminal or a live notebook; one line every 15 seconds with `G2G_PLAIN=1` or where output is no
    terminal, because a redrawn bar fills logs and saved notebooks. `unit="B"` counts in MB and GB.
    """
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    style = {"total": total, "desc": label, "unit": unit if unit == "B" else f" {unit}", "disable": not show,
             "unit_scale": unit == "B"}
    if watched and os.environ.get("G2G_PLAIN") != "1":
        return tqdm(**style)
    return tqdm(**style, file=_Lines(), mininterval=15, delay=0.5,
                bar_format="{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {elapsed} so far, {remaining} left")
