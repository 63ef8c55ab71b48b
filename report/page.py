"""The report, regenerated: `build` writes one page with measured numbers and every figure."""

import base64
import io
from itertools import product
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from g2g import figures
from g2g.colorize import colorize_all
from g2g.evaluation import compare
from g2g.profiles import Profile, get_profile, repo_root
from g2g.runs import load_or_train
from report.claims import verdicts
from report.figures import best_and_worst, error_against_chroma, measured_figures
from report.pipeline import Measured, measure
from report.tables import formatted, notes, runs_table, write_texts

# Which rows of the table are set against which others, in words
PAIRS = [("cnn", "gray"), ("unet", "gray"), ("cgan", "gray"), ("unet", "cnn")]
PAIRS += [("unet_long", "unet"), ("palette", "unet"), ("flow", "unet"), ("cgan", "unet_long")]


def build(profile: Profile | str | None = None) -> Path:
    """Train what is missing, measure, draw every figure; returns the page, `report/index.html` of outputs.

    The page is self-contained. The same runs and photos give the same bytes. Raises what training and `measure` raise.
    """
    profile = get_profile(profile)
    measured = measure(profile, runs={model: load_or_train(model, profile) for model in profile.models})
    measured.write(profile.outputs / "results")
    drawn = draw(measured)
    for name, fig in drawn.items():
        figures.save(fig, name, profile.outputs / "figures")
    scores, table = measured.test.scores, measured.test.tables["table1"]
    page = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True).get_template("page.html.j2")
    text = page.render(
        profile=profile,
        photos=measured.test.photos,
        runs=measured.runs,
        table=table.set_index("row"),
        scores=scores,
        figures=drawn,
        networks=repo_root() / "docs" / "networks",
        address=address,
        table1=as_html(formatted(table)),
        notes=notes(table),
        runs_table=as_html(runs_table(measured.runs)),
        comparisons=comparisons(scores),
        verdicts=verdicts(measured),
    )
    write_texts({"index.html": text}, profile.outputs / "report")
    return profile.outputs / "report" / "index.html"


def draw(measured: Measured) -> dict:
    """Every figure of the page, by its fixed name."""
    photos, scores = measured.test.photos, measured.test.scores
    models = {name: measured.runs[name].model() for name in ("cnn", "unet", "cgan")}
    columns = {name: colorize_all(photos.test[:5], model, photos.size) for name, model in models.items()}
    columns = {"gray": colorize_all(photos.test[:5], None, photos.size, saturation=0)} | columns
    columns["ground_truth"] = photos.test[:5]

    def predicted(model):
        return lambda number: colorize_all(photos.test[[number]], model, photos.size)[0]

    predictions = {name: predicted(model) for name, model in models.items()}
    teaser = figures.image_row([images[0] for images in columns.values()], list(columns))
    teaser.caption = "One photograph as the models see it and as they color it."
    return measured_figures(measured) | {
        "teaser": teaser,
        "preprocessing": figures.preprocessing(photos.test[0]),
        "qualitative_grid": figures.qualitative_grid(columns),
        "error_against_chroma": error_against_chroma({row: scores[row] for row in ("gray", *models)}),
        "best_and_worst": best_and_worst(photos.test, predictions, {name: scores[name]["mae"] for name in models}),
    }


def comparisons(scores: dict) -> list[str]:
    """`PAIRS`, photo by photo, in words."""
    found = []
    for column, (row, other) in product(("mae", "lpips"), PAIRS):
        names = figures.title(row), figures.title(other)
        found.append(compare(scores[row], scores[other], column, names)["sentence"])
    return found


def as_html(table: pd.DataFrame) -> Markup:
    """A table of text as HTML."""
    return Markup(table.to_html(index=False, border=0, na_rep=""))


def address(picture) -> str:
    """An address that holds the whole picture: a figure as PNG, or the file of an SVG."""
    if isinstance(picture, Path):
        kind, data = "svg+xml", picture.read_bytes()
    else:
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", dpi=130)
        kind, data = "png", buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
