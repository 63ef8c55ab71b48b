"""Stamp the setup cell and the Colab badges into all notebooks, from the address in pyproject.toml (make badges)."""

import re
import sys
import tomllib
from pathlib import Path

import jupytext
from jupytext.cli import jupytext as command_line

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from app.setup import MINUTES  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"].rstrip("/")
COLAB = "https://colab.research.google.com"
BADGE_LINE = re.compile(r"^\[!\[Open In Colab\].*$", re.MULTILINE)
METADATA = {"accelerator": "GPU", "colab": {"gpuType": "L4", "provenance": []}}


def setup_cell() -> str:
    """Source of the setup cell: setup_cell.py without its first line, which is for the formatter."""
    _, _, text = Path(__file__).with_name("setup_cell.py").read_text().partition("\n")
    name = REPOSITORY.rsplit("/", 1)[-1]
    return text.rstrip().replace("@REPOSITORY@", REPOSITORY).replace("@NAME@", name)


def in_colab() -> str:
    """Where Colab opens the repository's main branch."""
    return f"{COLAB}/github/{REPOSITORY.removeprefix('https://github.com/')}/blob/main"


def sources() -> list[Path]:
    """The py:percent side of every notebook, then of the solutions, in order."""
    folder = ROOT / "notebooks"
    return sorted(folder.glob("py/[0-9]*.py")) + sorted(folder.glob("solutions/py/[0-9]*.py"))


def paired(py: Path) -> Path:
    """The .ipynb of a py:percent file: one folder up."""
    return py.parent.parent / f"{py.stem}.ipynb"


def stamp(notebook, name: str) -> list[str]:
    """Put badge and setup cell into a notebook node, `name` its path in the repository; returns what was changed.

    Raises:
        ValueError: the notebook does not begin with a title, or its first code is no setup cell.
    """
    changed = []
    head = notebook.cells[0]
    if head.cell_type != "markdown" or not head.source.startswith("# "):
        raise ValueError(f"{name}: the first cell must be markdown beginning with '# title'")
    heading, _, text = BADGE_LINE.sub("", head.source).partition("\n")
    badge = f"[![Open In Colab]({COLAB}/assets/colab-badge.svg)]({in_colab()}/{name})"
    source = f"{heading}\n\n{badge}\n\n{text.strip()}"
    if source != head.source:
        head.source = source
        changed.append("badge")
    setup = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
    if setup is None or "setup" not in setup.metadata.get("tags", []):
        raise ValueError(f'{name}: the first code cell must be the setup cell: `# %% tags=["setup"]`')
    if setup.source != setup_cell():
        setup.source = setup_cell()
        changed.append("setup cell")
    return changed


def set_metadata(ipynb: Path) -> None:
    """GPU runtime in Colab, no widget state."""
    notebook = jupytext.read(ipynb)
    old = dict(notebook.metadata)
    notebook.metadata.update(METADATA)
    notebook.metadata.pop("widgets", None)
    if notebook.metadata != old:
        jupytext.write(notebook, ipynb)
        sync(ipynb)


def sync(path: Path) -> None:
    """jupytext --sync: the newer side wins, cell ids and outputs are kept."""
    if command_line(["--sync", "--quiet", str(path)]):
        raise RuntimeError(f"jupytext could not sync {path}")


def stamp_text(text: str) -> str:
    """Markdown with every Colab link to our notebooks at the present address, and the table of minutes filled in."""
    link = re.escape(COLAB) + r"/github/[^/\s)]+/[^/\s)]+/blob/main/notebooks/"
    text = re.sub(link, f"{in_colab()}/notebooks/", text)
    table = r"(?<=<!-- g2g:minutes -->\n).*?(?=<!-- /g2g:minutes -->)"
    return re.sub(table, minutes(), text, flags=re.DOTALL)


def minutes() -> str:
    """The minutes of `app.setup` as a Markdown table."""
    rows = []
    for name, (alone, in_order, how) in MINUTES.items():
        numbers = [f"{minutes:g}" for minutes in (*alone, in_order)]
        rows.append([f"`{name}`", *numbers, how])
    chapters = [f"{number:02d}" for number in range(1, len(alone) + 1)]
    head = ["profile", *chapters, "all, in order", "how known"]
    rule = ["---", *["---:"] * (len(chapters) + 1), "---"]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, rule, *rows])


def pages() -> list[Path]:
    """Markdown pages that may carry badges."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main():
    for py in sources():
        sync(py)
        ipynb = paired(py)
        notebook = jupytext.read(py)
        changed = stamp(notebook, ipynb.relative_to(ROOT).as_posix())
        if changed:
            jupytext.write(notebook, py, fmt="py:percent")
            sync(py)
            print(f"stamped: {ipynb.name}: {', '.join(changed)}")
        set_metadata(ipynb)
    for page in pages():
        text = page.read_text()
        if stamp_text(text) != text:
            page.write_text(stamp_text(text))
            print("stamped:", page.name)
    print(f"{len(sources())} notebooks carry {REPOSITORY}")


if __name__ == "__main__":
    main()
