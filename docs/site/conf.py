"""Sphinx's settings of the book; its pages are those that collect.py has copied into outputs/site-src."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from collect import REPOSITORY, SOURCE  # noqa: E402

project = "Gray to Glory"
author = "the authors of Gray to Glory"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx_copybutton"]
exclude_patterns = ["_extra"]
suppress_warnings = ["toc.empty_glob"]  # of notebooks or results that are not there

nb_execution_mode = "off"  # the notebooks are shown as they were saved
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "html_image"]
myst_heading_anchors = 4
default_role = "code"  # docstrings have single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
nitpick_ignore_regex = [("py:.*", ".*")]  # types of torch and NumPy: their inventories would have to be downloaded

html_title = project
html_theme = "sphinx_book_theme"
html_static_path = [str(Path(__file__).parent / "static")]
html_extra_path = [str(SOURCE / "_extra")]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "repository_url": REPOSITORY,
    "repository_branch": "main",
    "path_to_docs": "",
    "use_repository_button": True,
    "use_download_button": False,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "navbar_persistent": [],  # the search field stands in the sidebar already
}

# MathJax comes from a package, not from a server: the book asks the network for nothing.
_offline = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
mathjax_path = "mathjax/tex-chtml.js"


def copy_mathjax(app, error):
    from sphinx.util.fileutil import copy_asset

    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "mathjax"
        copy_asset(str(_offline / "tex-chtml.js"), str(target))
        copy_asset(str(_offline / "output" / "chtml"), str(target / "output" / "chtml"))


def as_restructured_text(app, what, name, obj, options, lines):
    """|ab| is a magnitude and no substitution; a power may follow a name."""
    lines[:] = [line.replace("|", r"\|").replace("`²", r"`\ ²") for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("build-finished", copy_mathjax)
