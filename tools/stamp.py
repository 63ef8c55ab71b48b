"""Stamp the setup cell and the Colab badges into all notebooks, from the one address in pyproject.toml.

python tools/stamp.py           (make badges)
python tools/stamp.py --check   changes nothing, exits 1 and names what differs
"""

import re
import sys
import tomllib
from pathlib import Path

import jupytext

ROOT = Path(__file__).resolve().parent.parent
COLAB = "https://colab.research.google.com"
BADGE_LINE = re.compile(r"^\[!\[Open In Colab\].*$", re.MULTILINE)
METADATA = {"accelerator": "GPU", "colab": {"gpuType": "L4", "provenance": []}}


def repository(root: Path = ROOT) -> str:
    """The repository's address: [project.urls] Repository."""
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]["Repository"].rstrip("/")


def setup_cell(root: Path = ROOT) -> str:
    """Source of the setup cell."""
    url = repository(root)
    text = Path(__file__).with_name("setup_cell.py").read_text().rstrip()
    return text.replace("@REPOSITORY@", url).replace("@NAME@", url.rsplit("/", 1)[-1])


def badge(notebook: str, root: Path = ROOT) -> str:
    """Markdown of the badge that opens `notebook` (its path inside the repository) in Colab."""
    slug = repository(root).split("github.com/")[-1]
    return f"[![Open In Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/github/{slug}/blob/main/{notebook})"


def sources(root: Path = ROOT) -> list[Path]:
    """The py:percent side of every notebook, solutions included, in order."""
    return [p for side in ("", "solutions/") for p in sorted(root.glob(f"notebooks/{side}py/[0-9]*.py"))]


def paired(py: Path) -> Path:
    """The .ipynb of a py:percent file: one folder up."""
    return py.parent.parent / f"{py.stem}.ipynb"


def stamp(notebook, name: str, root: Path = ROOT) -> list[str]:
    """Put badge and setup cell into a notebook node; returns what was changed."""
    changed = []
    head = notebook.cells[0]
    lines = head.source.split("\n")
    if head.cell_type != "markdown" or not lines[0].startswith("# "):
        raise ValueError(f"{name}: the first cell must be markdown beginning with '# title'")
    line = badge(name, root)
    if BADGE_LINE.search(head.source):
        new = BADGE_LINE.sub(lambda _: line, head.source, count=1)
    else:
        new = "\n".join([lines[0], "", line, *lines[1:]])
    if new != head.source:
        head.source = new
        changed.append("badge")
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    if not cells or "setup" not in cells[0].metadata.get("tags", []):
        raise ValueError(f'{name}: the first code cell must be the setup cell: `# %% tags=["setup"]`')
    if cells[0].source != setup_cell(root):
        cells[0].source = setup_cell(root)
        changed.append("setup cell")
    return changed


def set_metadata(ipynb: Path) -> bool:
    """GPU runtime in Colab, no widget state; True if the file was changed."""
    notebook = jupytext.read(ipynb)
    new = {**notebook.metadata, **METADATA}
    new.pop("widgets", None)
    if new == notebook.metadata:
        return False
    notebook.metadata.update(new)
    notebook.metadata.pop("widgets", None)
    jupytext.write(notebook, ipynb)
    return True


def sync(path: Path) -> None:
    """jupytext --sync: the newer side wins, cell ids and outputs are kept."""
    from jupytext.cli import jupytext as command

    if command(["--sync", "--quiet", str(path)]):
        raise RuntimeError(f"jupytext could not sync {path}")


def stamp_text(text: str, root: Path = ROOT) -> str:
    """Markdown with every Colab link to our notebooks at the present address, and the table of minutes filled in."""
    slug = repository(root).split("github.com/")[-1]
    link = re.compile(re.escape(COLAB) + r"/github/[^/\s)]+/[^/\s)]+/blob/main/(notebooks/)")
    text = link.sub(rf"{COLAB}/github/{slug}/blob/main/\1", text)
    marked = re.compile(r"(<!-- g2g:minutes -->\n).*?(<!-- /g2g:minutes -->)", re.DOTALL)
    return marked.sub(lambda found: found[1] + minutes() + found[2], text)


def minutes() -> str:
    """The minutes of `g2g.setup` as a Markdown table."""
    sys.path.insert(0, str(ROOT))
    from g2g.setup import MINUTES

    numbers = range(1, len(MINUTES["smoke"]["alone"]) + 1)
    rows = [["profile", *(f"{n:02d}" for n in numbers), "all, in order", "how known"]]
    rows += [["---", *["---:"] * (len(numbers) + 1), "---"]]
    rows += [
        [f"`{name}`", *(f"{m:g}" for m in about["alone"]), f"{about['all']:g}", about["how"]]
        for name, about in MINUTES.items()
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def pages(root: Path = ROOT) -> list[Path]:
    """Markdown pages that may carry badges."""
    return [p for p in [root / "README.md", *sorted((root / "docs").glob("*.md"))] if p.is_file()]


def main(check: bool = False) -> int:
    stale = []
    for py in sources():
        name = paired(py).relative_to(ROOT).as_posix()
        if not check:
            sync(py)
        notebook = jupytext.read(py)
        if changed := stamp(notebook, name):
            stale.append(f"{name}: {', '.join(changed)}")
            if not check:
                jupytext.write(notebook, py, fmt="py:percent")
                sync(py)
        if not check and set_metadata(paired(py)):
            sync(paired(py))
    for page in pages():
        if (new := stamp_text(page.read_text())) != page.read_text():
            stale.append(page.relative_to(ROOT).as_posix())
            if not check:
                page.write_text(new)
    for line in stale:
        print(("differs: " if check else "stamped: ") + line)
    if not check:
        print(f"{len(sources())} notebooks carry {repository()}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
