"""What keeps files whole: one writer at a time, a temporary name while they grow, errors that say what to do."""

import errno
import json
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PERMISSIONS = "choose another place, or change its permissions"
_IN_THE_WAY = "a file lies where a folder has to be: choose another place"
REMEDIES = {  # for what the system says in two words
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.EROFS: "this disk is read-only: choose another place",
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
}
MORE_DISK = "Free some space, or set G2G_CACHE to a folder on a larger disk"


def save_atomic(write, path) -> None:
    """Call `write(temporary path)` and rename the result to `path`: whole or not there.

    Raises:
        RuntimeError: the file could not be written (a full disk, say); names the file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing behind it
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"could not write {path}: {error}. Is the disk full? Free some space and run the same again: "
            "what is finished is kept."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(record: dict, path) -> None:
    """Write `record` as JSON, atomically."""
    text = json.dumps(record, indent=2, sort_keys=True, default=str) + "\n"
    save_atomic(lambda temporary: temporary.write_text(text), path)


def locked(folder: Path, wait: bool = True):
    """Context manager: hold the lock beside `folder`, so that one process at a time builds it.

    The system frees the lock when its owner dies, by SIGKILL too.

    Raises:
        filelock.Timeout: another process holds it and `wait` is False.
    """
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
    print(f"another process is writing {folder.name}; waiting for it")
    return lock.acquire()


def sweep(root: Path) -> None:
    """Remove what killed processes left half-written in `root`: `*.tmp` whose lock nobody holds."""
    for left in root.glob("*.tmp"):
        try:
            with locked(left, wait=False):
                shutil.rmtree(left, ignore_errors=True)
        except Timeout:
            pass


def need_disk(folder: Path, need: int, what: str) -> None:
    """Raise RuntimeError unless the disk of `folder` has room for `need` bytes of `what`."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise RuntimeError(f"{folder} has {free / 1e6:,.0f} MB free; {what} need {need / 1e6:,.0f} MB. {MORE_DISK}")


@contextmanager
def disk_full_explained(folder: Path):
    """Turn "no space left" into a RuntimeError that says where, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise RuntimeError(f"the disk of {folder} is full; nothing was kept. {MORE_DISK}") from error


def explained(error: Exception) -> str:
    """An error in words; one of the system's with the file and a remedy."""
    remedy = REMEDIES.get(getattr(error, "errno", None))
    return f"{error.strerror}: {printable(error.filename)}; {remedy}" if remedy else str(error)


def printable(name) -> str:
    """A file's name for people: what a terminal cannot show, or would obey, is escaped; long ones are shortened."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
    return text if len(text) <= 200 else f"{text[:100]}…{text[-99:]}"


class _Lines:
    """A file that turns tqdm's redrawn bar into lines of plain text."""

    def write(self, text):
        if text.strip():
            print(text.strip("\r\n "), flush=True)

    def flush(self):
        pass


def progress(total: int, label: str, unit: str, show: bool = True) -> tqdm:
    """A progress display: use it in a `with` statement and call `.update(n)`.

    A bar in a terminal or a live notebook; one line every 15 seconds with `G2G_PLAIN=1` or where output is no
    terminal, because a redrawn bar fills logs and saved notebooks. `unit="B"` counts in MB and GB.
    """
    in_bytes = unit == "B"
    unit = unit if in_bytes else f" {unit}"
    options = {"total": total, "desc": label, "unit": unit, "unit_scale": in_bytes, "disable": not show}
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    if not watched or os.environ.get("G2G_PLAIN") == "1":
        line = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {elapsed} so far, {remaining} left"
        options |= {"file": _Lines(), "mininterval": 15, "maxinterval": 30, "delay": 0.5, "bar_format": line}
    return tqdm(**options)
