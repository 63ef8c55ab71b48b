"""The page of `python -m g2g demo`: through HTTP, and (slow) in a browser."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import psutil
import pytest
import requests
from PIL import Image
from test_web import needs_node, run_node

from app.__main__ import main
from g2g.colorize import colorize_files
from g2g.photos import MAX_MEGAPIXELS
from g2g.profiles import repo_root
from g2g.runs import pretrained_model, pretrained_models

gradio_client = pytest.importorskip("gradio_client", reason="the page needs Gradio: pip install gradio")
demo = pytest.importorskip("app.page", reason="the page needs Gradio: pip install gradio", exc_type=ModuleNotFoundError)
GALLERY = repo_root() / "data" / "gallery"
PARAMETERS = 0.38, 0.5, 0  # temperature and rebalancing of the palette, seed of the flow: as in the pretrained models


def pixels(image):
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def page():
    page = demo.launch()
    yield page
    page.close()


@pytest.fixture(scope="module")
def color(page, tmp_path_factory):
    """What the page answers to (file, model, saturation, parameters): gray and colored picture, file, sentence."""
    folder = tmp_path_factory.mktemp("downloads")
    client = gradio_client.Client(page.local_url, verbose=False, download_files=folder)

    def ask(file, model="cgan", saturation=1.0, *parameters):
        inputs = [gradio_client.handle_file(str(file)), model, saturation, *(parameters or PARAMETERS)]
        (gray, colored), download, about = client.predict(*inputs, api_name="/color")
        assert download["interactive"]
        return Image.open(gray), Image.open(colored), Path(download["value"]), about

    return ask


@pytest.mark.parametrize("model", pretrained_models())
def test_the_file_is_the_one_that_colorize_writes(color, tmp_path, model):
    photo, parameters = GALLERY / "dandelion.jpg", {"temperature": 0.6, "rebalancing": 0.2, "seed": 5}
    gray, colored, written, about = color(photo, model, 1.3, *parameters.values())
    network, size, sentence = pretrained_model(model)
    for name in parameters.keys() & dir(network):
        setattr(network, name, parameters[name])
    (expected,), _ = colorize_files([photo], tmp_path, network, size=size, saturation=1.3, by=sentence)
    assert written.name == "dandelion-color.jpg" and written.read_bytes() == expected.read_bytes()
    assert f"Colors predicted by {sentence}" in Image.open(written).getexif()[0x010E]
    assert gray.size == colored.size == Image.open(photo).size
    assert np.ptp(pixels(gray), axis=2).mean() < 1 and np.ptp(pixels(colored), axis=2).mean() > 3
    assert sentence in about and "a guess" in about


def test_a_large_photo_is_shown_small_and_written_large(color, tmp_path):
    large = Image.open(GALLERY / "room.jpg").convert("L").resize((1600, 1200))
    Image.fromarray(257 * np.asarray(large, np.uint16)).save(tmp_path / "mine.png")  # 16 bits: more than is kept
    gray, colored, written, about = color(tmp_path / "mine.png", saturation=0)
    assert gray.size == colored.size == (1280, 960)
    with Image.open(written) as result:
        assert result.format == "PNG" and result.size == large.size
        assert result.text["Description"].startswith("Colors predicted by cGAN")
    assert "1600 × 1200 px" in about and "recolored" not in about


def test_an_example_names_author_license_and_that_it_is_recolored(color):
    assert {path for path, _ in demo.examples()} == {str(path) for path in GALLERY.glob("*.jpg")}
    assert sum("CC BY 4.0" in credit for _, credit in demo.examples()) == 7
    assert "Photograph: Jakub Mede, 2018, CC BY 4.0, recolored." in color(GALLERY / "room.jpg", "cnn")[3]


def test_what_is_no_photo_is_said_in_the_words_of_colorize(color, tmp_path):
    for name in ("empty", "text", "<b>bold"):
        (tmp_path / f"{name}.jpg").write_text("" if name == "empty" else "no photo")
    (tmp_path / "cut.jpg").write_bytes((GALLERY / "fig.jpg").read_bytes()[:5000])
    Image.new("1", (13_000, MAX_MEGAPIXELS * 80)).save(tmp_path / "huge.jpg", "png")
    _, failed = colorize_files(tmp_path.glob("*.jpg"), tmp_path / "out", pretrained_model("cnn")[0])
    assert len(failed) == 5
    for path, reason in failed.items():
        with pytest.raises(gradio_client.exceptions.AppError) as refused:
            color(path, "cnn")
        said = str(refused.value)
        assert said == reason.replace(str(path), path.name).replace("<", "&lt;").replace(">", "&gt;")
        assert str(demo.FOLDER.name) not in said
    assert color(GALLERY / "fig.jpg", "cnn")[2].is_file(), "and the page goes on"


def test_too_many_megabytes_are_refused_while_they_come(page, color, monkeypatch):
    monkeypatch.setattr(page, "max_file_size", 60_000)
    assert color(GALLERY / "sunset.jpg", "cnn")
    with pytest.raises(Exception, match="413|size"):
        color(GALLERY / "stream.jpg", "cnn")


def test_no_file_but_the_pages_own_can_be_asked_for(page):
    for file in (repo_root() / "README.md", "/etc/passwd", f"{demo.FOLDER.name}/../../etc/passwd"):
        assert requests.get(f"{page.local_api_url}file={file}").status_code in (403, 404), file
        data = {"data": [{"path": str(file), "meta": {"_type": "gradio.FileData"}}, "cnn", 1.0, *PARAMETERS]}
        assert requests.post(f"{page.local_api_url}run/color", json=data).status_code >= 400, file


def test_it_listens_to_this_machine_alone(page):
    listening = [c.laddr for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening if address.port == page.server_port} == {"127.0.0.1"}
    assert page.share_url is None and not page.analytics_enabled


SESSION = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores Ctrl-C
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = args[1][0] if event == "socket.connect" else args[0]
        if host not in ("127.0.0.1", "localhost", None):
            print("NETWORK", host, flush=True)
sys.addaudithook(watch)
from app.__main__ import main
sys.exit(main(["demo"]))
"""


@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_session_asks_the_network_for_nothing_and_leaves_no_file(tmp_path, end):
    temporary, home = tmp_path / "temporary", tmp_path / "home"
    temporary.mkdir()
    home.mkdir()
    env = os.environ | {"TMPDIR": str(temporary), "HOME": str(home), "PYTHONPATH": str(repo_root())}
    env["MPLCONFIGDIR"] = matplotlib.get_cachedir()  # its list of fonts is not the page's
    session = subprocess.Popen(
        [sys.executable, "-c", SESSION], cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        line = session.stdout.readline()
        address = line.split()[1]
        assert line == f"open {address} in a browser; Ctrl-C ends it\n"
        client = gradio_client.Client(address, verbose=False, download_files=tmp_path / "downloads")
        client.predict(gradio_client.handle_file(str(GALLERY / "dogs.jpg")), "cnn", 1.0, *PARAMETERS, api_name="/color")
        assert list(temporary.iterdir()), "while it is open"
        session.send_signal(end)
        said, _ = session.communicate(timeout=20)
    finally:
        session.kill()
    assert session.returncode == 0, said
    assert "NETWORK" not in said and "Traceback" not in said
    assert not list(temporary.iterdir())
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_without_gradio_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setenv("GRADIO_TEMP_DIR", os.environ["GRADIO_TEMP_DIR"])  # which a second import sets anew
    monkeypatch.delitem(sys.modules, "app.page")
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo"]) == 1
    assert "the page needs Gradio" in (said := capsys.readouterr().err) and "pip install gradio" in said


@needs_node
@pytest.mark.slow
def test_a_browser_drops_a_photo_and_takes_an_example(page, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium or not (repo_root() / "web" / "node_modules" / "playwright-core").is_dir():
        pytest.skip("Chromium or Playwright is not installed: make site")
    shutil.copy(GALLERY / "fig.jpg", tmp_path / "mine.jpg")
    (tmp_path / "text.jpg").write_text("no photo")
    run_node("demo.test.js", ADDRESS=page.local_url, CHROMIUM=chromium, FOLDER=str(tmp_path))
    assert "Colors predicted by U-Net" in Image.open(tmp_path / "mountains-color.jpg").getexif()[0x010E]
