"""A page that colors the photo dropped on it: `python -m g2g demo`, or `demo.launch(inline=True)` in a notebook.

It is Gradio's (`pip install gradio`). It is served to this machine alone and fetches nothing from elsewhere; what it
writes lies in one temporary folder, which goes when Python ends.
"""

import filecmp
import html
import os
import re
import signal
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

from g2g.colorize import colorize
from g2g.figures import title
from g2g.palette import REBALANCING, TEMPERATURE
from g2g.photos import MAX_MEGAPIXELS, result_name, save_photo
from g2g.profiles import repo_root
from g2g.runs import pretrained_model, pretrained_models

FOLDER = tempfile.TemporaryDirectory(prefix="g2g-demo-")
os.environ["GRADIO_TEMP_DIR"] = FOLDER.name  # read while Gradio is imported, as the next one is
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_RUN_HISTORY"] = "False"  # it would live on in the browser

import gradio as gr  # noqa: E402

GALLERY = repo_root() / "data" / "gallery"
MAX_MEGABYTES = 3 * MAX_MEGAPIXELS  # what the largest photo takes without compression
PREVIEW = 1280  # longest side in px of the two pictures under the slider
HEAD = """# Gray to Glory
Drop a photo. Its lightness stays, its colors are predicted: **a guess, not a record.** It does not leave this machine,
and nothing is kept."""
MEAN = "1: the mean of the likely colors, 0.1: nearly the likeliest"
BOLD = "1: rare colors boldly, 0: only what is probable"
# The examples as one row with whole captions, in place of a box to scroll in
CSS = """
.grid-wrap {min-height: 0 !important; max-height: none !important; overflow: visible !important}
.caption-label {inset: auto 0 0 0 !important; max-width: none !important; white-space: normal !important}
"""

load = cache(pretrained_model)


def examples() -> list[tuple[str, str]]:
    """The photographs of data/gallery, each with its author and license as the table in its README has them."""
    row = r"\| (\w+\.jpg) \|.*\| (.*) \| \[?(CC[\w. ]*\d)"
    found = re.findall(row, (GALLERY / "README.md").read_text(encoding="utf-8"))
    return [(str(GALLERY / name), f"{author}, {license}") for name, author, license in found]


def credit(photo: str) -> str:
    """What must be said beside a recolored example, known by its contents; of any other photo nothing."""
    same = [about for path, about in examples() if filecmp.cmp(path, photo, shallow=False)]
    return f"Photograph: {same[0]}, recolored. " if same else ""


def color(photo: str | None, model: str, saturation: float, temperature: float, rebalancing: float, seed: int | None):
    """Color the file `photo` with a pretrained model; temperature and rebalancing are the palette's, seed the flow's.

    Returns the two pictures under the slider (gray and colored, PIL, at most PREVIEW px), the button with the colored
    photo at full size, the file that `colorize` writes, and a sentence on it; nothing without a photo. Raises gr.Error
    for a broken or too large photo, in the words of `g2g.photos.read_photo`.
    """
    if photo is None:
        return None, gr.DownloadButton(value=None, interactive=False), ""
    network, size, sentence = load(model)
    if model == "palette":
        network.temperature, network.rebalancing = temperature, rebalancing
    if model == "flow":
        network.seed = int(seed or 0)  # an emptied field is None
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", UserWarning)
        try:
            result = colorize(photo, network, saturation=saturation, size=size, by=sentence)
        except Exception as error:  # any photo can be broken in a way of its own
            reason = str(error).replace(photo, Path(photo).name) or type(error).__name__
            raise gr.Error(html.escape(reason, quote=False), print_exception=False) from error
    for note in notes:
        gr.Info(html.escape(str(note.message), quote=False))
    path = Path(tempfile.mkdtemp(dir=FOLDER.name)) / result_name(Path(photo), "color", result)
    save_photo(result, path)
    about = f"{credit(photo)}{result.width} × {result.height} px, colored by {sentence}: a guess."
    result.thumbnail((PREVIEW, PREVIEW))
    gray = colorize(result, None, saturation=0)  # the lightness of the result is the photo's
    return (gray, result), gr.DownloadButton(value=str(path), interactive=True), about


def build() -> gr.Blocks:
    """The page, not served yet. FileNotFoundError without pretrained models."""
    models = [(title(name), name) for name in pretrained_models()]
    if not models:
        raise FileNotFoundError("no weights in results/weights: the page colors with those that come with a clone")
    with gr.Blocks(title="Gray to Glory", analytics_enabled=False) as page:
        gr.Markdown(HEAD)
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                photo = gr.File(label=f"A photo, of at most {MAX_MEGAPIXELS} megapixels", height=150)
                model = gr.Radio(models, value=models[0][1], label="Model")
                saturation = gr.Slider(0, 3, 1, step=0.1, label="Saturation", info="1: as predicted, 0: gray")
                temperature = gr.Slider(0.1, 1, TEMPERATURE, step=0.01, label="Temperature (palette)", info=MEAN)
                rebalancing = gr.Slider(0, 1, REBALANCING, step=0.05, label="Rebalancing (palette)", info=BOLD)
                seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed (flow)")
                again = gr.Button("Draw again (flow)")
                download = gr.DownloadButton("Download at full size", interactive=False)
            with gr.Column(scale=3):
                pictures = gr.ImageSlider(show_label=False, max_height=480, interactive=False, buttons=["fullscreen"])
                about = gr.Markdown()
        gr.Markdown("Or take one of these photographs:")
        shown = gr.Gallery(examples(), show_label=False, columns=8, allow_preview=False, interactive=False, buttons=[])
        shown.select(_chosen, None, photo, api_visibility="private")
        again.click(lambda seed: ("flow", int(seed or 0) + 1), seed, [model, seed], api_visibility="private")
        parameters = [saturation, temperature, rebalancing]
        gr.on(
            [photo.change, model.change, seed.change, *(slider.release for slider in parameters)],
            color,
            [photo, model, *parameters, seed],
            [pictures, download, about],
            api_name="color",
            concurrency_limit=1,
            trigger_mode="always_last",
        )
    return page


def _chosen(event: gr.SelectData):
    return examples()[event.index][0]


def launch(**options) -> gr.Blocks:
    """Serve the page to this machine and return it, with its `local_url` and `close()`; `options` are Gradio's."""
    page = build()
    page.launch(
        server_name="127.0.0.1",
        share=False,
        ssr_mode=False,
        footer_links=[],
        quiet=True,
        prevent_thread_lock=True,
        allowed_paths=[str(GALLERY)],
        max_file_size=f"{MAX_MEGABYTES}mb",
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),  # others are fetched
        css=CSS,
        **options,
    )
    return page


def serve(port: int | None = None) -> None:
    """Serve the page until Ctrl-C or SIGTERM, at `port` or the first free one from 7860."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # by way of the temporary folder's removal
    page = launch(server_port=port)
    print(f"open {page.local_url} in a browser; Ctrl-C ends it", flush=True)
    page.block_thread()
