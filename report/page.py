"""The report's page: tables and figures as HTML, for the places that its text, `report.html`, leaves for them."""

import base64
import html
import io
from pathlib import Path

from PIL import Image

TEMPLATE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")


def shrunk(png: Path, width: int) -> bytes:
    """The picture as PNG, at most `width` pixels wide."""
    with Image.open(png) as picture:
        small = picture.convert("RGB")
    small.thumbnail((width, 10 * width), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def inline(png: Path, caption: str, width: int = 900) -> str:
    """A figure as HTML with its picture inside, at most `width` pixels wide."""
    data, words = base64.b64encode(shrunk(png, width)).decode(), html.escape(caption)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{words}"><figcaption>{words}</figcaption></figure>'


def as_html(markdown: str) -> str:
    """The tables and list items of a Markdown text of ours as HTML."""
    lines = [html.escape(line) for line in markdown.splitlines()]
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|") and "---" not in line]
    cells = [
        "".join(f"<{'td' if i else 'th'}>{cell.strip()}</{'td' if i else 'th'}>" for cell in row)
        for i, row in enumerate(rows)
    ]
    notes = "".join(f"<li>{line[2:]}</li>" for line in lines if line.startswith("- "))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>" + f"<ul>{notes}</ul>" * bool(notes)
