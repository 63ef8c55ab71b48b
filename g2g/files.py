"""What keeps files whole: one writer at a time, a temporary name while they grow, errors that say what to do."""

import errno
import io
import json
import os
import shutil
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# What to do, for errors of which the system says two words
REMEDIES = dict.fromkeys((errno.EACCES, errno.EPERM), "choose another place, or change its permissions")
REMEDIES |= dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file lies where a folder has to be: choose another place")
REMEDIES[errno.EROFS] = "this disk is read-only: choose another place"


def save_atomic(write, path) -> None:
    """Call `write(temporary path)` and rename the result to `path`: whole or not there.

    Raises RuntimeError where that fails, with the file and the reason; only a full disk is called full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(temporary)
        with open(temporary, "r+b") as file:  # Windows refuses to sync a file that is open for reading only
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing behind it
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        reason = explained(error)
        if _is_full(error, path.parent):
            reason = "the disk is full. Free some space and run the same again: what is finished is kept."
        raise RuntimeError(f"could not write {path}: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _is_full(error, folder):
    """Whether the disk is full; the encoders of Pillow and torch fail on one without saying so."""
    number = getattr(error, "errno", None)
    return number in DISK_FULL or (number is None and shutil.disk_usage(folder).free < 10_000)


def write_json(record: dict, path) -> None:
    """Write `record` as JSON, atomically."""
    text = json.dumps(record, indent=2, sort_keys=True, default=str) + "\n"
    save_atomic(lambda temporary: temporary.write_text(text), path)


def locked(folder: Path):
    """Context manager: hold the lock beside `folder`; the system frees it when its owner dies, by SIGKILL too."""
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"another process is writing {folder.name}; waiting for it")
        return lock.acquire()


def sweep(root: Path) -> None:
    """Remove what killed processes left half-written in `root`: `*.tmp` whose lock nobody holds."""
    for left in root.glob("*.tmp"):
        with suppress(Timeout), FileLock(left.with_suffix(".lock"), timeout=0):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def disk_full_explained(folder: Path):
    """Turn "no space left" into a RuntimeError that says where, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (*DISK_FULL, errno.EFBIG):  # a limit on the size of files stops the write in the same way
            raise
        remedy = "Free some space, or set G2G_CACHE to a folder on a larger disk"
        raise RuntimeError(f"the disk of {folder} is full; nothing was kept. {remedy}") from error


def explained(error: Exception) -> str:
    """An error in words; one of the system's with the file and a remedy."""
    remedy = REMEDIES.get(getattr(error, "errno", None))
    return f"{error.strerror}: {printable(error.filename)}; {remedy}" if remedy else str(error)


def printable(name) -> str:
    """A file's name for people: what a terminal cannot show, or would obey, is escaped; long ones are shortened."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
    return text if len(text) <= 200 else f"{text[:100]}…{text[-99:]}"


def progress(total: int, label: str, unit: str, show=True) -> tqdm:
    """A progress display, for a `with` statement and `.update(n)`: a bar in a terminal or a live notebook.

    Elsewhere, and with `G2G_PLAIN=1`, one line every 15 seconds: a redrawn bar fills logs and saved notebooks.
    """
    options = {"total": total, "desc": label, "unit": f" {unit}", "disable": not show}
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    if watched and os.environ.get("G2G_PLAIN") != "1":
        return tqdm(**options)
    line = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {elapsed} so far, {remaining} left"
    return tqdm(**options, file=_Lines(), mininterval=15, maxinterval=30, delay=0.5, bar_format=line)


class _Lines(io.StringIO):
    """A file for tqdm that prints each state of the bar as a line."""

    def write(self, text):
        if text.strip():
            print(text.strip(), flush=True)
