"""The report, regenerated: `make_report` writes one page with measured numbers and every figure."""

import base64
import io
from pathlib import Path

import pandas as pd
import torch
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from g2g import figures, lab
from g2g.data import prepare
from g2g.evaluation import compare
from g2g.files import save_atomic
from g2g.models import count_parameters, predict
from g2g.profiles import TITLES, Profile, get_profile, repo_root
from g2g.runs import load_or_train
from g2g.training import get_device
from report.claims import verdicts
from report.figures import best_and_worst, count_colors, error_against_chroma, frontier, preprocessing
from report.tables import evaluate_profile, formatted, notes, read_scores

AGAINST = {
    "gray": ["cnn", "unet", "cgan"],
    "cnn": ["unet"],
    "unet": ["unet_long", "palette", "flow"],
    "unet_long": ["cgan"],
}


def make_report(profile: Profile | str | None = None) -> Path:
    """Train what is missing, evaluate, draw every figure; returns the page, `report/index.html` of outputs.

    The page is self-contained. The same runs and photos give the same bytes.

    Raises:
        ValueError: a run in the way is of another profile (named); and what training and evaluation raise.
    """
    profile = get_profile(profile)
    photos = prepare(profile)
    runs = {stage: load_or_train(stage, profile, photos=photos) for stage in profile.models}
    for run in runs.values():
        check(run, profile, photos)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        evaluate_profile(profile, photos)
        table, scores = read_scores(profile.outputs / "results")
        colors = color_counts(runs, photos)
        drawn = draw(runs, photos, scores, colors)
    drawn["frontier"] = frontier(
        pd.read_csv(profile.outputs / "results" / "frontier.csv"), table.colorfulness_ground_truth["gray"]
    )
    for name, fig in drawn.items():
        figures.save(fig, name, profile.outputs / "figures")
    page = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True).get_template("page.html.j2")
    text = page.render(
        profile=profile,
        photos=photos,
        runs=runs,
        table=table,
        scores=scores,
        figures=drawn,
        networks=repo_root() / "docs" / "networks",
        address=address,
        table1=as_html(formatted(table)),
        notes=notes(table),
        runs_table=as_html(runs_table(runs)),
        comparisons=[sentence(scores, row, other) for other, rows in AGAINST.items() for row in rows],
        verdicts=verdicts(scores, colors, runs, profile),
    )
    path = profile.outputs / "report" / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_atomic(lambda part: part.write_text(text, encoding="utf-8"), path)
    return path


def check(run, profile, photos):
    """Raise ValueError, naming the run, if it is of another profile, size or set of photos."""
    expected = {"profile": profile.name, "photos_hash": photos.hash, "size": photos.size}
    for what, here in expected.items():
        found = run.record.get(what, here)
        if found != here:
            raise ValueError(
                f"run {run.id} has {what} {found}, here it is {here}: it is not evaluated; train "
                f"one here with `python -m g2g train {run.recipe.model}`"
            )


def pictures(models: dict, photos) -> dict:
    """Gray, what each model (name -> module, on the CPU) answers, and the truth, of uint8 (N,S,S,3), by name."""
    L, ab = lab.photos_to_lab(photos)
    answers = {name: lab.to_rgb(L, predict(model, L)) for name, model in models.items()}
    return {"gray": lab.to_rgb(L, 0 * ab), **answers, "truth": photos}


def color_counts(runs: dict, photos) -> dict:
    """How often each color occurs in the test photos and in the runs' answers: name -> (bins, bins)."""
    counts = {"truth": None}
    for stage, run in runs.items():
        counts["truth"], counts[stage] = count_colors(run.model(device=get_device()), photos, name=stage)
    return counts


def draw(runs: dict, photos, scores: dict, colors: dict) -> dict:
    """Every figure that these runs allow, by its fixed name."""
    test = photos.test
    models = {stage: runs[stage].model() for stage in ("cnn", "unet", "cgan")}
    columns = pictures(models, test[:5])

    errors = {stage: scores[stage]["mae"] for stage in models}

    def answer(stage):
        return lambda i: pictures({stage: models[stage]}, test[i : i + 1])[stage][0]

    teaser = figures.image_row([images[0] for images in columns.values()], list(columns))
    teaser.caption = "One photograph as the models see it and as they color it."
    return {
        "teaser": teaser,
        "preprocessing": preprocessing(test[0]),
        "loss_curves": figures.loss_curves(runs),
        "qualitative_grid": figures.qualitative_grid(columns),
        "ab_histograms": figures.ab_histograms(colors),
        "error_against_chroma": error_against_chroma({row: scores[row] for row in ("gray", *models)}),
        "best_and_worst": best_and_worst(test, {stage: answer(stage) for stage in models}, errors),
    }


def runs_table(runs: dict) -> pd.DataFrame:
    """What each run was, one row a run, as text."""
    rows = []
    for stage, run in runs.items():
        record, recipe = run.record, run.recipe
        rate = f"{recipe.lr:g} ({recipe.schedule.replace('_', ' ')})"
        if recipe.d_lr_mult:
            rate += f", D: {recipe.d_lr_mult * recipe.lr:g}"
        encoder = f"{recipe.encoder}, {recipe.weights or 'random weights'}"
        if stage == "cnn":
            encoder = "none"
        if recipe.init_from:
            encoder = f"of {record['init_run']}"
        row = {
            "model": TITLES[stage],
            "run": run.id,
            "photos": f"{record['train']:,}",
            "px": record["size"],
            "epochs": f"{recipe.epochs} (of {recipe.steps_per_epoch} steps each)" if recipe.steps_per_epoch else recipe.epochs,
            "learning rate": rate,
            "batch": recipe.batch_size,
            "seed": recipe.seed,
            "encoder": encoder,
            "parameters": f"{count_parameters(run.model()):,}",
            "device": record["device"],
            "minutes": f"{record['minutes']:.1f}",
        }
        rows.append(row)
    return pd.DataFrame(rows, dtype=str)


def sentence(scores, row, other) -> str:
    """One row of the table against another, photo by photo, in words."""
    return compare(scores[row], scores[other], "mae", (TITLES.get(row, row), TITLES.get(other, other)))["sentence"]


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
