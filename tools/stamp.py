"""Stamp the setup cell and the Colab badges into all notebooks, from the address in pyproject.toml (make badges)."""

import re
import sys
import tomllib
from pathlib import Path

import jupytext
from jupytext.cli import jupytext as command_line

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from app.setup import CHAPTERS, MINUTES  # noqa: E402

REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
COLAB = "https://colab.research.google.com"
BADGE_LINE = re.compile(r"^\[!\[Open In Colab\].*$", re.MULTILINE)
METADATA = {"accelerator": "GPU", "colab": {"gpuType": "L4", "provenance": []}}


def notebooks(solutions: bool = True) -> list[Path]:
    """The chapters in their order, the appendices, then, if wanted, the solutions."""
    folders = ["notebooks", "notebooks/solutions"] if solutions else ["notebooks"]
    return [path for folder in folders for path in sorted((ROOT / folder).glob("[0-9A]*.ipynb"))]


def sources() -> list[Path]:
    """The same as text (py:percent), in no order."""
    return list((ROOT / "notebooks").rglob("py/[0-9A]*.py"))


def sync(*paths: Path) -> None:
    """jupytext --sync: the newer side of a pair wins, cell ids and outputs are kept."""
    if command_line(["--sync", "--quiet", *map(str, paths)]):
        raise RuntimeError(f"jupytext could not sync {paths}")


def setup_cell() -> str:
    """Source of the setup cell: setup_cell.py without its first line, which is for the formatter."""
    _, _, text = Path(__file__).with_name("setup_cell.py").read_text().partition("\n")
    return text.rstrip().replace("@REPOSITORY@", REPOSITORY).replace("@NAME@", REPOSITORY.rsplit("/", 1)[-1])


def in_colab() -> str:
    """Where Colab opens the repository's main branch."""
    return f"{COLAB}/github/{REPOSITORY.removeprefix('https://github.com/')}/blob/main"


def stamp(notebook, name: str) -> None:
    """Put badge, setup cell and Colab's GPU into a notebook node, `name` its path in the repository.

    ValueError where it does not begin with a title, or its first code is no setup cell.
    """
    head = notebook.cells[0]
    if head.cell_type != "markdown" or not head.source.startswith("# "):
        raise ValueError(f"{name}: the first cell must be markdown beginning with '# title'")
    setup = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
    if setup is None or "setup" not in setup.metadata.get("tags", []):
        raise ValueError(f'{name}: the first code cell must be the setup cell: `# %% tags=["setup"]`')
    heading, _, text = BADGE_LINE.sub("", head.source).partition("\n")
    badge = f"[![Open In Colab]({COLAB}/assets/colab-badge.svg)]({in_colab()}/{name})"
    head.source = f"{heading}\n\n{badge}\n\n{text.strip()}"
    setup.source = setup_cell()
    notebook.metadata.update(METADATA)
    notebook.metadata.pop("widgets", None)


def pages() -> list[Path]:
    """Markdown pages that may carry badges."""
    return [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]


def stamp_text(text: str) -> str:
    """Markdown with every link to Colab and the website at the present address, and the table of minutes filled in."""
    link = re.escape(COLAB) + r"/github/[^/\s)]+/[^/\s)]+/blob/main/notebooks/"
    text = re.sub(link, f"{in_colab()}/notebooks/", text)
    owner, name = REPOSITORY.removeprefix("https://github.com/").split("/")
    text = re.sub(r"https://[\w-]+\.github\.io/[\w.-]+/", f"https://{owner}.github.io/{name}/", text)  # the book
    table = r"(?<=<!-- g2g:minutes -->\n).*?(?=<!-- /g2g:minutes -->)"
    return re.sub(table, minutes(), text, flags=re.DOTALL)


def minutes() -> str:
    """The minutes of `app.setup` as a Markdown table."""
    rows = [["profile", *CHAPTERS, "all, in order", "how known"], ["---", *["---:"] * (len(CHAPTERS) + 1), "---"]]
    for name, (alone, in_order, how) in MINUTES.items():
        rows.append([f"`{name}`", *(f"{minutes:g}" for minutes in (*alone, in_order)), how])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main():
    sync(*sources())
    for path in notebooks():
        notebook = jupytext.read(path)
        stamp(notebook, path.relative_to(ROOT).as_posix())
        if notebook != jupytext.read(path):
            jupytext.write(notebook, path)
            sync(path)
            print("stamped:", path.name)
    for page in pages():
        text = page.read_text()
        if stamp_text(text) != text:
            page.write_text(stamp_text(text))
            print("stamped:", page.name)
    print(f"{len(notebooks())} notebooks carry {REPOSITORY}")


if __name__ == "__main__":
    main()
