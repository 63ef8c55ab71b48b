"""The few results that are committed: `publish` makes `results/NAME` of finished runs and fills in pages."""

import hashlib
import json
import re
import shutil
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save

from g2g import evaluation, figures
from g2g.colorize import colorize_all
from g2g.files import save_atomic, write_json
from g2g.photos import gallery_photo, gallery_photos
from g2g.profiles import MODELS, PUBLISHED, Profile, get_profile, repo_root
from g2g.runs import PREFERRED, pretrained_path
from g2g.sources import bundled
from report.claims import claims_text
from report.figures import LIKE_THE_UNET, measured_figures
from report.pipeline import Measured, measure, measure_at_report_size
from report.tables import as_csv, as_markdown, formatted, runs_table, summary, write_texts

CAPTIONS = {
    "qualitative_grid": "Gray, what each model predicts at the size it was trained at, and the ground truth: "
    "photographs bundled with scikit-image and scikit-learn, and those of data/gallery.",
    "front": "Gray, and colored by the model that `g2g colorize` takes by default: full-size lightness, small color.",
}
FRONT = (  # beside the mountains of data/gallery; the last one as an example of what goes wrong
    "sklearn/datasets/images/china.jpg",
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    "skimage/data/coffee.png",
)


def publish(profile: Profile | str | None = None, name: str | None = None, note="", external_test_set=None) -> Path:
    """Measure the finished runs of `profile`; put what is published of them into `results/NAME` and return it.

    That is table1.*, table_256.* (the report's size), frontier*.csv, palette.csv, runs.md, claims.md, of each model
    history.csv and run.json, and the figures loss_curves, ab_histograms, frontier, frontier_lpips, qualitative_grid and
    front, the last two on photographs that may be shown, never on G2G_DATA's. If NAME (by default the profile's) is
    what the course shows, the tables go between the markers `<!-- g2g:summary -->` (likewise table1, table_256, runs,
    claims) of README and docs.

    `note`, a sentence on the photos say, is printed below the table. `external_test_set` is a folder of photos; its
    tables go to a folder of that name in `results/NAME`. FileNotFoundError without a finished run.
    """
    measured = measure(profile, external_test_set)
    profile, name = measured.profile, name or measured.profile.name
    if not measured.runs:
        raise FileNotFoundError(
            f"nothing to publish: {profile.outputs} has no run of {', '.join(profile.models)} on "
            f"{measured.test.photos}. Train with `python -m g2g train MODEL`, or set G2G_DATA to those photos"
        )
    if note:
        measured.test.notes.append(note)
    folder = repo_root() / "results" / name
    at_256 = measure_at_report_size(measured)
    with tempfile.TemporaryDirectory() as work:
        ready = Path(work) / name  # the temporary folder itself is its owner's alone, and would stay so
        texts = {
            "table1": measured.write(ready),
            "table_256": as_markdown(formatted(at_256)),
            "summary": summary(measured.test.tables["table1"]),
            "runs": as_markdown(runs_table(measured.runs)),
            "claims": claims_text(measured),
        }
        files = {f"{marker}.md": f"{text.strip()}\n" for marker, text in texts.items()}
        write_texts(files | {"table_256.csv": as_csv(at_256)}, ready)
        for model, run in measured.runs.items():
            _write_record(run, ready / model, _known_digests(run, folder / model))
        _draw(ready / "figures", measured)
        for part in (*MODELS, "external_test_set"):  # nothing of an earlier publication may stay among these
            shutil.rmtree(folder / part, ignore_errors=True)
        shutil.copytree(ready, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("scores_*"))
    if name == published_name():
        for page in pages():
            for marker, text in texts.items():
                if f"<!-- g2g:{marker} -->" in page.read_text(encoding="utf-8"):
                    stamp(page, marker, text)
    return folder


def _draw(folder, measured: Measured):
    for name, fig in measured_figures(measured).items():
        figures.save(fig, name, folder)
    size = measured.profile.size
    models = {"gray": evaluation.gray()}
    models |= {model: run.model() for model, run in measured.runs.items() if model not in LIKE_THE_UNET}
    photographs = showcase(size)
    columns = {model: colorize_all(photographs, network, size) for model, network in models.items()}
    grids = {"qualitative_grid": figures.across(columns | {"ground_truth": photographs}), "front": front(measured.runs)}
    for name, fig in grids.items():
        path = figures.save(fig, name, folder, CAPTIONS[name])
        fig.savefig(path, dpi=150)  # again, small: photographs make large files, and a repository keeps them for ever
        path.with_suffix(".pdf").unlink()


def front(runs):
    """The front page's picture: four photographs, gray and colored by the first of `g2g.runs.PREFERRED` models."""
    run = runs[min(runs, key=PREFERRED.index)]
    files = [Path(find_spec(file.split("/")[0]).origin).parents[1] / file for file in FRONT]
    photographs = [gallery_photo("mountains", 400)] + [_square(Image.open(file), 400) for file in files]
    models = {"gray": evaluation.gray(), "colored": run.model()}
    size = run.record["size"]
    return figures.across({name: colorize_all(photographs, model, size) for name, model in models.items()})


def _square(photograph, side):
    return np.asarray(ImageOps.fit(photograph.convert("RGB"), (side, side)))


def showcase(size: int) -> list[np.ndarray]:
    """Photographs that may be shown, uint8 (size,size,3): three whole ones that packages bundle, and the gallery."""
    items = bundled(get_profile("smoke"))[1][:3]
    return [_square(Image.open(item.path), size) for item in items] + gallery_photos(size)


def save_pretrained(run, name: str | None = None) -> Path:
    """Publish the weights of a run, as results/weights/MODEL.safetensors; returns that path.

    Convolutions go in half precision; not so biases and batch norm, whose small variances would lose digits. Of a run
    that starts from another one, only the weights that it changed are written. Beside it come MODEL.jpg, the gallery in
    its colors, and of a cGAN cgan_discriminator.safetensors. The record in `results/NAME/MODEL` (by default NAME is the
    run's profile) gets their sha256. MODEL.md, the card for people, is written by hand. ValueError where the run starts
    from one that is not published: save that one first.
    """
    model = run.recipe.model
    before = run._initial_model().state_dict() if run.recipe.init_from else {}
    networks = {model: _halved(run.model(), before)}
    if model == "cgan":
        networks["cgan_discriminator"] = _halved(run.discriminator(), {})
    digests = {}
    for file, tensors in networks.items():
        path, data = pretrained_path(file), save(tensors)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_atomic(partial(Path.write_bytes, data=data), path)
        digests[path.name] = hashlib.sha256(data).hexdigest()
    _write_record(run, repo_root() / "results" / (name or run.record["profile"]) / model, digests)
    picture, path = gallery(run.model(), run.record["size"]), pretrained_path(model)
    options = {"format": "jpeg", "dpi": 200, "pil_kwargs": {"quality": 90}}
    save_atomic(partial(picture.savefig, **options), path.with_suffix(".jpg"))
    return path


def _write_record(run, folder, digests):
    """History and record of a run, `digests` those of its published weights."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run.folder / "history.csv", folder / "history.csv")
    write_json(run.record | {"weights_sha256": digests}, folder / "run.json")


def _known_digests(run, folder):
    """Those in the record of an earlier publication of the same run; none without one."""
    path = folder / "run.json"
    record = json.loads(path.read_text()) if path.is_file() else {}
    return record["weights_sha256"] if record.get("run") == run.id else {}


def _halved(network, before):
    """Its state dict with convolutions in half precision, without what is the same in `before`."""
    tensors = {key: tensor.half() if tensor.ndim > 1 else tensor for key, tensor in network.state_dict().items()}
    return {
        key: tensor.contiguous()
        for key, tensor in tensors.items()
        if key not in before or not torch.equal(tensor.float(), before[key].float())
    }


def gallery(model, size: int):
    """The eight photographs of data/gallery, cut square: gray, colored at full size, more vividly, and as they were.

    Nothing was trained on them; color is predicted on `size`² pixels.
    """
    photos = gallery_photos(400)
    saturations = {"gray": 0, "colored": 1, "× 1.6": 1.6}
    rows = {name: colorize_all(photos, model, size, saturation) for name, saturation in saturations.items()}
    return figures.across(rows | {"as it was": photos})


def published_name() -> str | None:
    """Which of the folders in `results/` the course shows; None if there is none."""
    return next((name for name in PUBLISHED if (repo_root() / "results" / name / "table1.md").is_file()), None)


def pages() -> list[Path]:
    """README and docs."""
    return [repo_root() / "README.md", *(repo_root() / "docs").glob("*.md")]


def stamp(path: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- g2g:NAME -->` and `<!-- /g2g:NAME -->` in a Markdown file by `text`.

    ValueError where the file has no such pair of markers, or one of them alone.
    """
    old = path.read_text(encoding="utf-8")
    begin, end = f"<!-- g2g:{name} -->", f"<!-- /g2g:{name} -->"
    between = re.compile(f"{begin}.*?{end}", re.DOTALL)
    if not len(between.findall(old)) == old.count(begin) == old.count(end) > 0:
        raise ValueError(f"{path.name} needs {begin} and {end}, in pairs")
    write_texts({path.name: between.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", old)}, path.parent)
