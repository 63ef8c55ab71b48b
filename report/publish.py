"""The few results that are committed: `publish` makes `results/NAME` of finished runs, fills in pages."""

import dataclasses
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from g2g import evaluation, figures, models
from g2g import runs as stages
from g2g.checkpoints import write_json
from g2g.colorize import colorize
from g2g.data import prepare
from g2g.decode import decode
from g2g.files import save_atomic
from g2g.profiles import QUOTED, STAGES, TITLES, Profile, get_profile, repo_root
from g2g.sources import Item, bundled
from g2g.tables import read_scores
from report import claims
from report.build import check, color_counts, pictures
from report.page import shrunk

CAPTIONS = {
    "qualitative_grid": "Gray, what each model answers at the size it was trained at, and truth; bundled photographs.",
    "teaser": "The same models through `g2g.colorize`: full-size lightness, colour predicted small and enlarged.",
}


def publish(profile: Profile | str | None = None, name: str | None = None, root=None, note: str = "") -> Path:
    """Evaluate the finished runs of `profile`; put what is quoted of them into `results/NAME` and return it.

    That is table1.*, runs.md, claims.md, of each stage history.csv and run.json, and the figures loss_curves,
    ab_histograms, qualitative_grid and teaser, the last two on photographs bundled with scikit-image and scikit-learn,
    never on G2G_DATA's. If NAME (by default the profile's) is what the course quotes, the tables go between
    the markers `<!-- g2g:table1 -->` (likewise runs, claims) of README and docs.

    `note`, a sentence on the photos say, is printed below the table.

    Raises:
        FileNotFoundError: no finished run. ValueError: one of another profile or of other photos.
    """
    profile = profile if isinstance(profile, Profile) else get_profile(profile)
    root, name = Path(root or repo_root()), name or profile.name
    photos = prepare(profile)
    recipes = stages.RECIPES[profile.name]
    runs = {stage: run for stage in STAGES if (run := stages.find_run(recipes[stage], photos, profile))}
    for run in runs.values():
        check(run, profile, photos)
    missing = ", ".join(stage for stage in STAGES if stage not in runs)
    if not runs:
        raise FileNotFoundError(
            f"nothing to publish: {profile.outputs} has no run of {missing} on {photos}. "
            "Train with `python -m g2g train STAGE`, or set G2G_DATA to those photos"
        )
    if missing:
        print(f"no finished run of {missing} on these photos: left out of what is published")
    texts = {"table1": evaluation.evaluate_profile(profile, photos, note), "runs": runs_table(runs)}
    _, scores = read_scores(profile.outputs / "results")
    colors = color_counts(runs, photos)
    texts["claims"] = claims_list(claims.verdicts(scores, colors, runs, profile))
    folder = root / "results" / name
    with tempfile.TemporaryDirectory() as work:
        ready = Path(work) / name  # the temporary folder itself is its owner's alone, and would stay so
        ready.mkdir()
        _collect(ready, runs, profile, colors, texts)
        for stage in STAGES:  # no stage of an earlier publication may stay among these
            shutil.rmtree(folder / stage, ignore_errors=True)
        shutil.copytree(ready, folder, dirs_exist_ok=True)
    if name == quoted_name(root):
        for page in pages(root):
            for marker, text in texts.items():
                if f"<!-- g2g:{marker} -->" in page.read_text(encoding="utf-8"):
                    stamp(page, marker, text)
    return folder


def _collect(folder, runs, profile, colors, texts):
    for stage, run in runs.items():
        (folder / stage).mkdir()
        shutil.copyfile(run.folder / "history.csv", folder / stage / "history.csv")
        weights = run.recipe.weights and Path(run.recipe.weights).name  # not where they lie on this machine
        write_json(run.record | {"recipe": run.record["recipe"] | {"weights": weights}}, folder / stage / "run.json")
    for kind in ("csv", "md", "tex"):
        shutil.copyfile(profile.outputs / "results" / f"table1.{kind}", folder / f"table1.{kind}")
    for name in ("runs", "claims"):
        (folder / f"{name}.md").write_text(texts[name], encoding="utf-8")
    if (sweep := profile.outputs / "results" / "sweep.csv").is_file():
        shutil.copyfile(sweep, folder / "sweep.csv")
    nets = {stage: run.model() for stage, run in runs.items() if stage != "unet_long"}
    figures.save(figures.loss_curves(runs), "loss_curves", folder / "figures")
    figures.save(figures.ab_histograms(colors), "ab_histograms", folder / "figures")
    for name, columns in (("qualitative_grid", pictures(nets, showcase(profile))), ("teaser", teaser(nets, profile))):
        path = figures.save(figures.qualitative_grid(columns), name, folder / "figures", CAPTIONS[name])
        path.write_bytes(shrunk(path, 700))  # photographs make large files, and a repository keeps them for ever
        path.with_suffix(".pdf").unlink()


def teaser(nets: dict, profile: Profile) -> dict:
    """Three bundled photographs at 384 px, coloured as one's own would be: lightness kept, colour predicted small."""
    photos = showcase(dataclasses.replace(profile, size=384))[:3]
    coloured = {
        name: [np.asarray(colorize(photo, net, size=profile.size)) for photo in photos] for name, net in nets.items()
    }
    return {"gray": pictures({}, photos)["gray"], **coloured, "truth": photos}


def quoted_name(root: Path | None = None) -> str | None:
    """Which of the folders in `results/` the course quotes; None if there is none."""
    results = Path(root or repo_root()) / "results"
    return next((name for name in QUOTED if (results / name / "table1.md").is_file()), None)


def pages(root: Path | None = None) -> list[Path]:
    """README and docs, as far as they are there."""
    root = Path(root or repo_root())
    return [page for page in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if page.is_file()]


def showcase(profile: Profile) -> np.ndarray:
    """Five bundled photographs that the runs of `profile` were not trained on, uint8 (5,S,S,3)."""
    train, test = bundled(profile)
    whole = [Item(item.name, item.path) for item in test[:3] + train[:2]]  # their centres
    items = test[:5] if profile.source == "bundled" else whole
    return np.stack([decode(item, profile.size, fit="crop")[1] for item in items])


def runs_table(runs: dict) -> str:
    """What each run was, as a Markdown table."""
    rows = [
        [
            "model",
            "run",
            "photos",
            "px",
            "epochs",
            "learning rate",
            "batch",
            "seed",
            "encoder",
            "parameters",
            "device",
            "minutes",
        ],
        ["---"] * 12,
    ]
    for stage, run in runs.items():
        it, recipe = run.record, run.recipe
        encoder = f"of {it['start']}" if recipe.start else Path(recipe.weights or "random weights").name
        rows.append(
            [
                TITLES[stage],
                run.id,
                f"{it['train']:,}",
                it["size"],
                recipe.epochs,
                f"{recipe.lr:g} ({recipe.schedule.replace('_', ' ')})"
                + (f", D: {recipe.d_rate * recipe.lr:g}" if recipe.d_rate else ""),
                recipe.batch_size,
                recipe.seed,
                encoder if stage != "cnn" else "none",
                f"{models.count_parameters(run.model()):,}",
                it["device"],
                f"{it['minutes']:.1f}",
            ]
        )
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows) + "\n"


def claims_list(verdicts: pd.DataFrame) -> str:
    """The report's claims with their verdicts, as a Markdown list."""
    return "".join(f"- “{row.claim}” **{row.verdict}.** {row.why} *{row.rule}*\n" for row in verdicts.itertuples())


def stamp(path, name: str, text: str, check: bool = False) -> bool:
    """Replace what stands between `<!-- g2g:NAME -->` and `<!-- /g2g:NAME -->` in a Markdown file by `text`.

    A text of several lines gets lines of its own; one line stays in the sentence if the markers stand in one.
    Returns whether the file differed; with `check` nothing is written.

    Raises:
        ValueError: the file has no such pair of markers, or one of them alone.
    """
    path, text = Path(path), text.strip()
    old = path.read_bytes().decode()
    begin, end = f"<!-- g2g:{name} -->", f"<!-- /g2g:{name} -->"
    pairs = re.findall(f"{re.escape(begin)}(.*?){re.escape(end)}", old, re.DOTALL)
    if not pairs or not len(pairs) == old.count(begin) == old.count(end):
        raise ValueError(f"{path.name} needs {begin} and {end}, in pairs")
    new = old
    for inside in pairs:
        line = "\n" if "\n" in inside + text else ""
        new = new.replace(f"{begin}{inside}{end}", f"{begin}{line}{text}{line}{end}")
    if new != old and not check:
        save_atomic(lambda temporary: temporary.write_bytes(new.encode()), path)
    return new != old
