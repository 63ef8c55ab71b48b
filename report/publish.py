"""The few results that are committed: `publish` makes `results/NAME` of finished runs, fills in pages."""

import hashlib
import re
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from safetensors.torch import save

from g2g import figures
from g2g.colorize import colorize_all
from g2g.data import prepare
from g2g.files import save_atomic, write_json
from g2g.photos import decode, gallery_photos
from g2g.profiles import MODELS, PUBLISHED, Profile, get_profile, get_recipe, repo_root
from g2g.runs import find_run, pretrained_init
from g2g.sources import bundled
from report.build import check, color_counts, pictures, runs_table
from report.claims import verdicts
from report.figures import frontier
from report.tables import evaluate_profile, read_scores, summary

CAPTIONS = {
    "qualitative_grid": "Gray, what each model answers at the size it was trained at, and truth: bundled photographs "
    "and those of data/gallery.",
    "teaser": "The gallery through `g2g.colorize`: full-size lightness, color predicted small and enlarged.",
}


def publish(
    profile: Profile | str | None = None, name: str | None = None, root=None, note: str = "", further=None
) -> Path:
    """Evaluate the finished runs of `profile`; put what is quoted of them into `results/NAME` and return it.

    That is table1.*, frontier.csv, runs.md, claims.md, of each stage history.csv and run.json, and the figures
    loss_curves, ab_histograms, frontier, qualitative_grid and teaser, the last two on photographs that may be shown,
    never on G2G_DATA's. If NAME (by default the profile's) is what the course quotes, the tables go between the markers
    `<!-- g2g:summary -->` (likewise table1, runs, claims) of README and docs.

    `note`, a sentence on the photos say, is printed below the table. `further`, a folder of photos, is a second test
    set; its tables go to `results/NAME/further`.

    Raises:
        FileNotFoundError: no finished run. ValueError: one of another profile or of other photos.
    """
    profile = get_profile(profile)
    root, name = Path(root or repo_root()), name or profile.name
    photos = prepare(profile)
    found = {stage: find_run(get_recipe(stage, profile), photos, profile) for stage in profile.models}
    runs = {stage: run for stage, run in found.items() if run}
    for run in runs.values():
        check(run, profile, photos)
    missing = ", ".join(stage for stage in profile.models if stage not in runs)
    if not runs:
        raise FileNotFoundError(
            f"nothing to publish: {profile.outputs} has no run of {missing} on {photos}. "
            "Train with `python -m g2g train STAGE`, or set G2G_DATA to those photos"
        )
    if missing:
        print(f"no finished run of {missing} on these photos: left out of what is published")
    measured = profile.outputs / "results"
    table1 = evaluate_profile(profile, photos, note, further)
    table, scores = read_scores(measured)
    colors = color_counts(runs, photos)
    claims = [
        f"- “{row.claim}” **{row.verdict}.** {row.why} *{row.rule}*\n"
        for row in verdicts(scores, colors, runs, profile, test_sets=2 if further else 1).itertuples()
    ]
    runs_text = runs_table(runs).to_markdown(index=False, disable_numparse=True)
    texts = {
        "table1": table1,
        "summary": f"{summary(table.reset_index())}\n",
        "runs": f"{runs_text}\n",
        "claims": "".join(claims),
    }
    folder = root / "results" / name
    with tempfile.TemporaryDirectory() as work:
        ready = Path(work) / name  # the temporary folder itself is its owner's alone, and would stay so
        ready.mkdir()
        _collect(ready, runs, profile, texts)
        _draw(ready / "figures", runs, profile, colors)
        curves = frontier(pd.read_csv(measured / "frontier.csv"), table.colorfulness_ground_truth["gray"])
        figures.save(curves, "frontier", ready / "figures")
        if further:
            shutil.copytree(measured / "further", ready / "further", ignore=shutil.ignore_patterns("scores_*"))
        for part in (*MODELS, "further"):  # nothing of an earlier publication may stay among these
            shutil.rmtree(folder / part, ignore_errors=True)
        shutil.copytree(ready, folder, dirs_exist_ok=True)
    if name == published_name(root):
        for page in pages(root):
            for marker, text in texts.items():
                if f"<!-- g2g:{marker} -->" in page.read_text(encoding="utf-8"):
                    stamp(page, marker, text)
    return folder


def _collect(folder, runs, profile, texts):
    results = profile.outputs / "results"
    for stage, run in runs.items():
        (folder / stage).mkdir()
        for file in ("history.csv", "run.json"):
            shutil.copyfile(run.folder / file, folder / stage / file)
    for file in ("table1.csv", "table1.tex", "frontier.csv", "palette.csv", "cvae.csv"):
        if (results / file).is_file():
            shutil.copyfile(results / file, folder / file)
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def _draw(folder, runs, profile, colors):
    models = {stage: run.model() for stage, run in runs.items() if stage not in ("unet_full", "unet_long")}
    figures.save(figures.loss_curves(runs), "loss_curves", folder)
    figures.save(figures.ab_histograms(colors), "ab_histograms", folder)
    photographs = {"qualitative_grid": pictures(models, showcase(profile)), "teaser": teaser(models, profile)}
    for name, columns in photographs.items():
        fig = figures.across(columns)
        path = figures.save(fig, name, folder, CAPTIONS[name])
        fig.savefig(path, dpi=150)  # again, small: photographs make large files, and a repository keeps them for ever
        path.with_suffix(".pdf").unlink()


def teaser(models: dict, profile: Profile) -> dict:
    """The photographs of `data/gallery` at 400 px, colored as one's own would be: color is predicted small."""
    photos = gallery_photos(400)
    columns = {"gray": pictures({}, np.stack(photos))["gray"]}
    for name, model in models.items():
        columns[name] = colorize_all(photos, model, profile.size)
    return columns | {"truth": photos}


def showcase(profile: Profile) -> np.ndarray:
    """Photographs that may be shown and that `profile` was not trained on, uint8 (N,S,S,3): bundled ones, gallery."""
    if profile.source == "bundled":
        return np.stack([decode(item, profile.size)[1] for item in bundled(profile)[1][:5]])
    photographs = [Image.open(item.path).convert("RGB") for item in bundled(profile)[1][:3]]  # whole ones, not crops
    squares = [np.asarray(ImageOps.fit(photograph, (profile.size, profile.size))) for photograph in photographs]
    return np.stack(squares + gallery_photos(profile.size))


def ship(run, name: str, sentence: str, root=None) -> Path:
    """Write a run's generator as results/weights/NAME.safetensors; returns that path.

    Convolutions go in half precision; not so biases and batch norm, whose small variances would lose digits. Of a run
    that starts from another one, only the weights that it changed are written. Beside it come NAME.json, by which
    `runs.pretrained_model` loads it, NAME.jpg, the gallery in its colors, and of a cGAN NAME_discriminator.safetensors.
    NAME.md, the card for people, is written by hand.
    """
    folder = Path(root or repo_root()) / "results" / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    before = pretrained_init(run.record, folder).state_dict() if run.recipe.init_from else {}
    networks = {name: _halved(run.model(), before)}
    if run.recipe.model == "cgan":
        networks[f"{name}_discriminator"] = _halved(run.discriminator(), {})
    digests = {}
    for file, tensors in networks.items():
        path = folder / f"{file}.safetensors"
        data = save(tensors)
        save_atomic(partial(Path.write_bytes, data=data), path)
        digests[path.name] = hashlib.sha256(data).hexdigest()
    path = folder / f"{name}.safetensors"
    write_json(run.record | {"sentence": sentence, "weights_sha256": digests}, path.with_suffix(".json"))
    picture = gallery(run.model(), run.record["size"])
    options = {"format": "jpeg", "dpi": 200, "pil_kwargs": {"quality": 90}}
    save_atomic(partial(picture.savefig, **options), path.with_suffix(".jpg"))
    return path


def _halved(network, before):
    """Its state dict with convolutions in half precision, without what is the same in `before`."""
    tensors = {key: tensor.half() if tensor.ndim > 1 else tensor for key, tensor in network.state_dict().items()}
    return {
        key: tensor.contiguous()
        for key, tensor in tensors.items()
        if key not in before or not torch.equal(tensor.float(), before[key].float())
    }


@figures.figure(
    "The photographs of data/gallery: gray, colored by a model at full size, more vividly, and as they were."
)
def gallery(model, size: int):
    """Eight photographs that nothing was trained on, cut square; color is predicted on `size`² pixels."""
    photos = gallery_photos(400)
    saturations = {"gray": 0, "colored": 1, "× 1.6": 1.6}
    rows = {name: colorize_all(photos, model, size, saturation) for name, saturation in saturations.items()}
    rows["as it was"] = photos
    return figures.grid(rows.values(), (), list(rows))


def published_name(root: Path | None = None) -> str | None:
    """Which of the folders in `results/` the course quotes; None if there is none."""
    results = Path(root or repo_root()) / "results"
    return next((name for name in PUBLISHED if (results / name / "table1.md").is_file()), None)


def pages(root: Path | None = None) -> list[Path]:
    """README and docs, as far as they are there."""
    root = Path(root or repo_root())
    return [page for page in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if page.is_file()]


def stamp(path, name: str, text: str, check: bool = False) -> bool:
    """Replace what stands between `<!-- g2g:NAME -->` and `<!-- /g2g:NAME -->` in a Markdown file by `text`.

    Returns whether the file differed; with `check` nothing is written.

    Raises:
        ValueError: the file has no such pair of markers, or one of them alone.
    """
    path = Path(path)
    old = path.read_text(encoding="utf-8")
    begin, end = f"<!-- g2g:{name} -->", f"<!-- /g2g:{name} -->"
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not len(between.findall(old)) == old.count(begin) == old.count(end) > 0:
        raise ValueError(f"{path.name} needs {begin} and {end}, in pairs")
    new = between.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", old)
    if new != old and not check:
        save_atomic(lambda part: part.write_text(new, encoding="utf-8"), path)
    return new != old
