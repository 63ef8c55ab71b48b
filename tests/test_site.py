"""The book: built without a warning, links whole, no sideways scroll in Chromium."""

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("index", "README", "notebooks/01_data_prep", "results/weights/palette", "api/colorize")
FRAME = """<body><script>
const [page, width, mode] = location.search.slice(1).split("&");
localStorage.setItem("mode", mode);
const frame = document.createElement("iframe");
frame.style = `border: 0; height: 900px; width: ${width}px`;
frame.onload = () => setTimeout(() => {
  const shown = frame.contentDocument, root = shown.documentElement;
  const broken = [...shown.images].filter((image) => image.complete && !image.naturalWidth).length;
  document.title = [root.scrollWidth, root.clientWidth, root.dataset.theme, broken].join(" ");
}, 1500);
frame.src = page;
document.body.append(frame);
</script>"""

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded, self.without_words = set(), [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs[name] for name in ("id", "name") if attrs.get(name)}
        self.links += [attrs["href"]] if tag == "a" and attrs.get("href") else []
        linked = attrs.get("href") if tag == "link" and attrs.get("rel") in ("stylesheet", "preload", "icon") else None
        self.loaded += [source for source in (attrs.get("src"), linked) if source]
        self.without_words += [attrs.get("src")] if tag == "img" and not attrs.get("alt") else []


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The book, built with warnings as errors from a fresh collection of its sources."""
    if find_spec("myst_nb") is None:
        pytest.skip("the extra `site` is not installed: make site")
    subprocess.run([sys.executable, "docs/site/collect.py"], cwd=ROOT, check=True)
    out = tmp_path_factory.mktemp("site")
    options = ["-q", "-b", "html", "-n", "-W", "--keep-going", "-c", "docs/site", "-d", str(out / ".doctrees")]
    sphinx = [sys.executable, "-m", "sphinx", *options, "outputs/site-src", str(out)]
    done = subprocess.run(sphinx, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site):
    found = [
        path for path in site.rglob("*.html") if not {"color", "report", "_static"} & {*path.relative_to(site).parts}
    ]
    return {path: Page(path) for path in found}


def test_every_notebook_is_a_page(pages, site):
    saved = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/solutions/*.ipynb")]
    assert {site / path.relative_to(ROOT).with_suffix(".html") for path in saved} <= {*pages}


def test_internal_links_lead_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme or parts.netloc:
                continue
            if not target.is_file() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids
            ):
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_pages_load_nothing_from_elsewhere_and_pictures_have_words(pages):
    assert not {source for page in pages.values() for source in page.loaded if re.match(r"(https?:)?//", source)}
    assert not {(path.name, source) for path, page in pages.items() for source in page.without_words}


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_pages_fit_the_window(site, width, mode):
    if not (chromium := shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("Chromium is not installed")
    (site / "frame.html").write_text(FRAME)
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for page in PAGES:
            address = f"http://127.0.0.1:{server.server_port}/frame.html?{page}.html&{width}&{mode}"
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"]
            shown = subprocess.run([chromium, *options, address], capture_output=True, text=True, timeout=120).stdout
            title = re.search("<title>(.*)</title>", shown)
            assert title, f"{page} did not load"
            content, window, theme, broken = title[1].split()
            assert int(content) <= int(window) and theme == mode and broken == "0", f"{page} at {width} px: {title[1]}"
        server.shutdown()
