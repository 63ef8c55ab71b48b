"""Copy what the book shows into outputs/site-src, in the same folders, so that links between pages stay true."""

import os
import re
import shutil
import tomllib
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "outputs" / "site-src"
PAGES = "*.md docs/*.md docs/site/README.md data/README.md data/gallery/README.md results/**/*.md"
NOTEBOOKS = "notebooks/*.ipynb notebooks/solutions/*.ipynb"
BADGE = re.compile(r"\[!\[Open In Colab\]\([^)]*\)\]\([^)]*\)")  # a picture from a server; the book has a button
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CAPTION = re.compile(r"figures\.figure\(\s*\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def relinked(text: str, page: Path, pages: set[Path]) -> str:
    """The Markdown `text` of `page`, its pictures copied, links to files that are no pages led to the repository."""

    def link(match: re.Match) -> str:
        mark, words, target = match.groups()
        path, sign, anchor = target.partition("#")
        if not path or re.match(r"\w+:", path):
            return match[0]
        file = Path(os.path.normpath(page.parent / path))
        if not file.exists():
            raise FileNotFoundError(f"{page.relative_to(ROOT)} links to {target}, and there is no such file")
        name = file.relative_to(ROOT)
        if mark:
            write(name, file.read_bytes())
        if mark or file in pages:
            return match[0]
        return f"[{words}]({REPOSITORY}/{'tree' if file.is_dir() else 'blob'}/main/{name.as_posix()}{sign}{anchor})"

    return LINK.sub(link, BADGE.sub("", text))


def notebook(page: Path, pages: set[Path]) -> str:
    """The saved notebook, its setup folded; a picture's alternative text is its caption or its section."""
    book = nbformat.read(page, as_version=4)
    section = ""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, page, pages)
            section = (HEADING.findall(cell.source) or [section])[-1]
        elif "setup" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = ["setup", "hide-input"]
        else:
            caption = CAPTION.search(cell.source)
            cell.metadata["mystnb"] = {"image": {"alt": caption[1] if caption else f"Picture of section {section}"}}
    return nbformat.writes(book)


def write(name: Path, content: bytes) -> None:
    (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
    (SOURCE / name).write_bytes(content)


if __name__ == "__main__":
    shutil.rmtree(SOURCE, ignore_errors=True)
    (SOURCE / "_extra").mkdir(parents=True)
    pages = {path for pattern in f"{PAGES} {NOTEBOOKS}".split() for path in ROOT.glob(pattern)}
    for page in pages:
        name, text = page.relative_to(ROOT), page.read_text(encoding="utf-8")
        text = notebook(page, pages) if page.suffix == ".ipynb" else relinked(text, page, pages)
        if name.parts[0] == "results" and not text.startswith("# "):  # a published table: its path is its title
            text = f"# {' · '.join(name.with_suffix('').parts[1:]).replace('_', ' ')}\n\n{text}"
        write(name, text.encode())
    for path in (ROOT / "g2g").glob("[a-z]*.py"):
        text = f"# g2g.{path.stem}\n\n```{{eval-rst}}\n.. automodule:: g2g.{path.stem}\n   :members:\n```\n"
        write(Path("api", f"{path.stem}.md"), text.encode())
    links = ""
    reports = sorted(ROOT.glob("outputs/*/report/index.html"), key=lambda path: path.stat().st_mtime)
    for start in [*(ROOT / "web/dist").glob("index.html"), *reports[-1:]]:
        folder, words = ("report", "The report") if start in reports else ("color", "Color a photo in the browser")
        shutil.copytree(start.parent, SOURCE / "_extra" / folder)
        links += f'<p><a href="{folder}/index.html"><strong>{words}</strong></a></p>\n'
    index = (ROOT / "docs/site/index.md").read_text(encoding="utf-8")
    write(Path("index.md"), index.replace("<!-- extra -->", links).encode())
