"""Copy what the book shows into outputs/site-src, in the same folders, so that relative links between pages stay true."""

import os
import re
import shutil
import tomllib
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "outputs" / "site-src"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "docs/site/README.md", "data/README.md",
         "data/gallery/README.md", "results/**/*.md", "notebooks/*.ipynb", "notebooks/solutions/*.ipynb")  # fmt: skip
BADGE = re.compile(
    r"\[!\[Open In Colab\]\([^)]*\)\]\([^)]*\)"
)  # the book has a button of its own, and loads no picture
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CAPTION = re.compile(r"figures\.figure\(\s*\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def relinked(text: str, page: Path, pages: set[Path]) -> str:
    """The Markdown `text` of `page`, its pictures copied and its links to files that are no pages sent to the repository."""

    def link(match: re.Match) -> str:
        mark, words, target = match.groups()
        path, _, anchor = target.partition("#")
        if not path or re.match(r"\w+:", path):
            return match[0]
        file = Path(os.path.normpath(page.parent / path))
        if not file.exists():
            raise FileNotFoundError(f"{page.relative_to(ROOT)} links to {target}, and there is no such file")
        if mark:
            copy = SOURCE / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        if mark or file in pages:
            return match[0]
        kind = "tree" if file.is_dir() else "blob"
        return (
            f"[{words}]({REPOSITORY}/{kind}/main/{file.relative_to(ROOT).as_posix()}{'#' + anchor if anchor else ''})"
        )

    return LINK.sub(link, BADGE.sub("", text))


def notebook(page: Path, pages: set[Path]) -> str:
    """The saved notebook with its setup folded and an alternative text for each picture: its caption, else its section."""
    book = nbformat.read(page, as_version=4)
    section = ""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, page, pages)
            section = (HEADING.findall(cell.source) or [section])[-1]
            continue
        if "setup" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = [*cell.metadata["tags"], "hide-input"]
        caption = CAPTION.search(cell.source)
        alternative = caption[1] if caption else f"Figure of the section “{section}”, described in the text beside it"
        cell.metadata["mystnb"] = {"image": {"alt": alternative}}
    return nbformat.writes(book)


def main() -> None:
    shutil.rmtree(SOURCE, ignore_errors=True)
    pages = {path for pattern in PAGES for path in ROOT.glob(pattern) if path.name != "captions.md"}
    for page in sorted(pages):
        copy = SOURCE / page.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = notebook(page, pages) if page.suffix == ".ipynb" else relinked(page.read_text("utf-8"), page, pages)
        if not HEADING.search(text):  # a published table: its path is its title
            text = (
                f"# {' · '.join(page.relative_to(ROOT / 'results').with_suffix('').parts).replace('_', ' ')}\n\n{text}"
            )
        copy.write_text(text, encoding="utf-8")
    (SOURCE / "api").mkdir()
    for module in sorted(path.stem for path in (ROOT / "g2g").glob("[a-z]*.py")):
        title = f"# g2g.{module}\n\n```{{eval-rst}}\n.. automodule:: g2g.{module}\n   :members:\n```\n"
        (SOURCE / "api" / f"{module}.md").write_text(title)
    reports = sorted(ROOT.glob("outputs/*/report/index.html"), key=lambda path: path.stat().st_mtime)
    extra = {"color": ROOT / "web" / "dist"} | ({"report": reports[-1].parent} if reports else {})
    words = {"color": "Color a photo in the browser", "report": "The report, written anew"}
    links = []
    for name, folder in extra.items():
        if (folder / "index.html").exists():
            shutil.copytree(folder, SOURCE / "_extra" / name)
            links.append(f'<p><a href="{name}/index.html"><strong>{words[name]}</strong></a></p>')
    (SOURCE / "_extra").mkdir(exist_ok=True)
    index = (ROOT / "docs" / "site" / "index.md").read_text(encoding="utf-8")
    (SOURCE / "index.md").write_text(index.replace("<!-- extra -->", "\n".join(links)), encoding="utf-8")


if __name__ == "__main__":
    main()
