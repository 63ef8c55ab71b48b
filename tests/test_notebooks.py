"""What a learner opens: paired, stamped, in small cells, executed in order, and fit to be shown on GitHub."""

import base64
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pandas as pd
import pytest

import colab_check
import execute
import stamp
from app.setup import CHAPTERS
from g2g.figures import animation

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = stamp.notebooks()
# Folders that exist on one machine only; spelled in pieces, so that no committed file names them
FOLDERS = "|".join(("ho" + "me", "Use" + "rs", "ro" + "ot", "wo" + "rk", "tmp", "private", "var/folders"))
MACHINE_PATH = re.compile(rf"(?<![\w.~-])/(?:{FOLDERS})/|[A-Z]:\\Users")
RUN = re.compile(r"\b(cnn|unet|unet_long|cgan|palette|flow)-[0-9a-f]{8,}\b")
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: f"{p.parent.name}/{p.stem}")


def code_cells(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def said(path):
    """All text that the saved notebook's outputs show."""
    texts = []
    for cell in code_cells(path):
        for output in cell.outputs:
            texts.append(output.get("text", ""))
            texts += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
            texts += output.get("traceback", [])
    return "\n".join(texts)


def test_the_chapters_are_there_and_paired():
    assert [p.stem[:2] for p in stamp.notebooks(solutions=False)] == CHAPTERS
    assert {p.parent.parent / f"{p.stem}.ipynb" for p in stamp.sources()} == {*NOTEBOOKS}


@each
def test_ipynb_and_text_agree(path):
    text = jupytext.read(path.parent / "py" / f"{path.stem}.py")
    mine, paired = (
        [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]
        for notebook in (nbformat.read(path, as_version=4), text)
    )
    assert mine == paired, "make badges (or jupytext --sync)"


@each
def test_badge_setup_cell_and_runtime_are_stamped(path):
    notebook = nbformat.read(path, as_version=4)
    stamp.stamp(notebook, path.relative_to(ROOT).as_posix())
    assert notebook == nbformat.read(path, as_version=4), "make badges"


def test_pages_carry_the_present_address():
    stale = [p.name for p in stamp.pages() if stamp.stamp_text(p.read_text()) != p.read_text()]
    assert not stale, "make badges"


@each
def test_cells_are_small_and_introduced(path):
    """Text before each step: never more than three code cells in a row."""
    cells = nbformat.read(path, as_version=4).cells
    lengths = [cell.source.count("\n") + 1 for cell in cells if cell.cell_type == "code"]
    assert max(lengths) <= 25
    assert statistics.median(lengths[1:] or lengths) <= 6  # the setup cell is no step of the lesson
    assert "cccc" not in "".join(cell.cell_type[0] for cell in cells)
    assert not re.search(r"\b(XXX|TODO|FIXME)\b", " ".join(cell.source for cell in cells))


@each
def test_saved_executed_in_order_with_outputs_that_say_where_they_come_from(path):
    counts = [c.execution_count for c in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1)), "make notebooks"
    assert not [o for c in code_cells(path) for o in c.outputs if o.output_type == "error"]
    assert re.search(r"^profile: \w+", said(path), re.MULTILINE)
    if path.stem[:2] in ("02", "03", "04", "05", "06", "09", "11") and "solutions" not in path.parts:
        assert RUN.search(said(path)), "no run (model-hash) is named"


@each
def test_saved_is_fit_for_github(path):
    assert path.stat().st_size <= 1_500_000
    raw = path.read_text(encoding="utf-8")
    assert "widgets" not in json.loads(raw)["metadata"] and "widget-view" not in raw
    found = MACHINE_PATH.search(said(path))
    assert not found, said(path)[max(0, found.start() - 60) : found.end() + 60]
    files = [o.data.get("image/png", "") for cell in code_cells(path) for o in cell.outputs if "data" in o]
    animated = [len(file) <= 1_300_000 for file in files if b"acTL" in base64.b64decode(file)]  # 1 MB in base64
    assert animated == [True] * (path.parent.name == "notebooks" and path.stem[:2] in ("03", "11", "A2"))


def test_machine_paths_are_found_and_cleaned():
    outputs, cache = ROOT / "outputs" / "saved", ROOT / "data" / "cache"
    temporary = f"{tempfile.gettempdir()}/ipykernel_12/34.py"
    dirty = f"{outputs}/smoke/runs and {cache}/x and {ROOT}/g2g/lab.py:3 and {Path.home()}/y, {temporary}:1"
    assert MACHINE_PATH.search("see /ho" + "me/ada/x") and MACHINE_PATH.search("/tmp/x")
    assert not MACHINE_PATH.search("at https://example.org/tmp/x and data/tmp/y")
    clean = execute.clean(f"scores: 1 of 9, 00:36 so far, 2:13:04 left\n{dirty}", outputs, cache)
    assert not MACHINE_PATH.search(clean)
    assert clean.startswith("outputs/smoke/runs and data/cache/x and g2g/lab.py:3 and ")


def test_saving_leaves_an_animation_as_it_is():
    data = base64.b64encode(animation([np.eye(8), np.ones((8, 8))]).data).decode()
    output = nbformat.v4.new_output("display_data", {"image/png": data})
    execute.lighten(output)
    assert output.data["image/png"] == data


def test_an_address_changed_in_one_place_reaches_badge_and_cell(monkeypatch):
    monkeypatch.setattr(stamp, "REPOSITORY", "https://github.com/ada/color")
    title = nbformat.v4.new_markdown_cell("# Title\n\ntext")
    setup = nbformat.v4.new_code_cell("", metadata={"tags": ["setup"]})
    stamp.stamp(nbformat.v4.new_notebook(cells=[title, setup]), "notebooks/01_x.ipynb")
    assert "github/ada/color/blob/main/notebooks/01_x.ipynb" in title.source
    assert 'https://github.com/ada/color"' in setup.source and not re.search("@(NAME|REPO)", setup.source)
    page = "[b](https://colab.research.google.com/github/old/name/blob/main/notebooks/01_x.ipynb)"
    assert "github/ada/color/blob" in stamp.stamp_text(page)
    assert stamp.stamp_text("https://old.github.io/name/color/") == "https://ada.github.io/color/color/"


def test_a_failing_notebook_is_reported_by_cell_and_ends_the_one_beside_it(tmp_path, monkeypatch):
    paths = {"01_x": ("print('fine')", "1 / 0", "print('not run')"), "02_y": ("import time; time.sleep(600)",)}
    for name, sources in paths.items():
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    monkeypatch.setenv("G2G_PROFILE", "smoke")
    results = execute.executed([tmp_path / f"{name}.ipynb" for name in paths], at_once=2)
    _, done, failure = next(results)
    assert failure.startswith("01_x.ipynb, code cell 2:") and "ZeroDivisionError" in failure
    assert done.cells[0].outputs[0].text == "fine\n"
    with pytest.raises(SystemExit, match="stopped: 01_x.ipynb failed"):
        next(results)


SETUP_STUB = "def setup(profile, use_drive):\n    print('setup', profile, use_drive, __file__)\n"


@pytest.fixture
def colab(tmp_path):
    """Runs the setup cell in a Colab-like runtime; the course's address leads to a small local repository."""
    origin = tmp_path / "origin"
    (origin / "app").mkdir(parents=True)
    (origin / "app" / "setup.py").write_text(SETUP_STUB)
    git = ["git", "-C", str(origin), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    runtime = tmp_path / "runtime"
    env = colab_check.runtime(runtime) | {"GIT_CONFIG_KEY_0": f"url.file://{origin}.insteadOf"}
    cell = tmp_path / "cell.py"
    cell.write_text(stamp.setup_cell())

    def run(times=1, **changes):
        code = f"cell = open({str(cell)!r}).read()\n" + "exec(cell)\n" * times
        return subprocess.run(
            [sys.executable, "-c", code], cwd=runtime / "lone", env=env | changes, capture_output=True, text=True
        )

    run.root, run.origin = runtime / "content" / stamp.REPOSITORY.rsplit("/", 1)[-1], origin
    return run


def test_setup_cell_fetches_once_and_may_be_run_again(colab):
    done = colab(times=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("setup auto False") == 2 and str(colab.root) in done.stdout
    colab.origin.rename(colab.origin.with_name("gone"))  # the network is cut after the clone
    assert colab().returncode == 0


@pytest.mark.parametrize("left", [".part", ""])
def test_setup_cell_redoes_an_interrupted_clone(colab, left):
    half = colab.root.with_name(colab.root.name + left)
    (half / ".git").mkdir(parents=True)
    (half / "README.md").write_text("half")
    done = colab()
    assert done.returncode == 0, done.stderr
    assert (colab.root / "app" / "setup.py").is_file() and not (colab.root / "README.md").exists()


def test_setup_cell_without_network_says_so_and_leaves_nothing(colab):
    done = colab(GIT_CONFIG_COUNT="0")
    assert done.returncode and f"cannot fetch {stamp.REPOSITORY}: no network, or a wrong" in done.stderr
    assert not colab.root.exists()


def test_setup_cell_outside_a_clone_says_so(tmp_path):
    cell = stamp.setup_cell()
    done = subprocess.run([sys.executable, "-c", cell], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and "clone the repository first" in done.stderr


# Learning rates; the MAEs of the report, and that of its cGAN if it divided by 128 and not by 110
RATES_AND_REPORTED = {0.0001, 0.0002, 0.0848, 0.0846, 0.0807, 0.0939}
# The tables whose errors a chapter may quote, beside the models' own: few, else any number would be found in one
TABLES = {
    "03": ["cpu/skips_and_encoder.csv"],
    "08": ["parameters/runs.csv"],
    "09": ["cpu/palette.csv"],
    "10": ["losses/runs.csv", "photos/runs.csv"],
    "11": ["cpu/flow.csv"],
}
SMALL_NUMBER = re.compile(r"(?<![\d.])0\.0\d{3}(?!\d)")


def numbers(text, pattern=r"\d+\.\d+(?:e-?\d+)?"):
    return {float(number) for number in re.findall(pattern, text)}


def errors(table):
    """The errors of a table in results/: its columns of MAEs and their intervals."""
    frame = pd.read_csv(ROOT / "results" / table)
    columns = [name for name in frame if re.match("mae|valid_loss", name)]
    return set(frame[columns].select_dtypes("number").to_numpy().ravel())


def unexplained(path, prose):
    """The small numbers of `prose` that neither a table of its chapter nor the notebook's own output has."""
    tables = ["cpu/table1.csv", "cpu/external_test_set/table1.csv", *TABLES.get(path.stem[:2], [])]
    known = set.union(*map(errors, tables)) | numbers(said(path)) | RATES_AND_REPORTED
    return {number for number in numbers(prose, SMALL_NUMBER) if min(abs(number - one) for one in known) > 6e-5}


@each
def test_errors_quoted_in_prose_are_in_a_table_or_in_the_output(path):
    cells = nbformat.read(path, as_version=4).cells
    assert unexplained(path, " ".join(cell.source for cell in cells if cell.cell_type == "markdown")) == set()
