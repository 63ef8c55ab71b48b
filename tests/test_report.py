"""Predictions are scored once; the report page holds the measured numbers; results/ and README agree with them."""

import dataclasses
import hashlib
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from g2g import evaluation, profiles, runs
from g2g.data import prepare
from g2g.profiles import get_profile
from report import page, pipeline
from report import publish as publishing
from report.__main__ import main


class Judge:
    """In LPIPS's place, which would take minutes: the mean absolute difference."""

    def features(self, rgb):
        return rgb

    def distance(self, x, y):
        return (x - y).abs().mean((1, 2, 3))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A profile of 12 crops at 64 px with runs of one epoch, and its report."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("G2G_OUTPUTS", str(root / "outputs"))
        patch.setattr(pipeline, "load_lpips", Judge)
        patch.setattr(pipeline, "PIXELS", 2**13)  # ten photos are a block of eight and one of two
        patch.setattr(pipeline, "REPORT_PHOTOS", 2)
        for name in ("showcase", "gallery_photos"):  # two photographs each are enough
            photographs = getattr(publishing, name)
            patch.setattr(publishing, name, lambda size, photographs=photographs: photographs(size)[:2])
        short = {"epochs": 1, "batch_size": 4}
        recipes = {name: dataclasses.replace(r, **short) for name, r in profiles.RECIPES["smoke"].items()}
        patch.setitem(profiles.RECIPES, "smoke", recipes)
        profile = dataclasses.replace(get_profile("smoke"), n_train=8, n_test=10)
        yield root, profile, page.build(profile)


@pytest.fixture(autouse=True)
def profile(world, monkeypatch):
    """The profile of the world, whose outputs are those of every test."""
    monkeypatch.setenv("G2G_OUTPUTS", str(world[0] / "outputs"))
    return world[1]


def test_the_page_has_the_measured_numbers_and_is_self_contained(world):
    root, profile, path = world
    text = path.read_text(encoding="utf-8")
    assert path == profile.outputs / "report" / "index.html"
    table = pd.read_csv(profile.outputs / "results" / "table1.csv").set_index("row")
    for row in ("gray", "constant", *profile.models):
        assert text.count(f"{table.loc[row, 'mae']:.4f}") >= 2  # in a sentence and in the table
        assert f"{table.loc[row, 'lpips']:.4f}" in text
    for folder in (profile.outputs / "runs").glob("*-*/"):
        assert folder.name in text
    assert profile.purpose in text and "its LPIPS is" in text
    assert text.count('<img src="data:image/png;base64,') == 9 and text.count('<img src="data:image/svg+xml;') == 4
    assert not re.search(r'(?:src|href)="(?!data:)', text) and "<script" not in text
    words = re.sub(r'"data:[^"]+"', "", text)
    assert "nan" not in words and "{" not in words.partition("</style>")[2] and "study parameters" in words
    assert text.count("cannot be told here") >= 8 and str(root) not in text


def test_blocks_give_what_scoring_at_once_gives(profile):
    photos = prepare(profile, progress=False)
    measured = pipeline.measure(profile)
    model = measured.runs["unet"].model()
    scores = evaluation.score(model, photos, lpips=lambda x, y: Judge().distance(x, y), show=False)
    found = measured.test.scores["unet"].drop(columns="psnr_gain_matched")
    pd.testing.assert_frame_equal(found[scores.columns], scores, rtol=1e-4, atol=1e-5)
    gain = evaluation.saturated(model, photos, show=False).groupby("saturation").mean()["psnr"]
    gain -= measured.test.scores["gray"]["psnr"].mean()
    own = measured.test.tables["frontier"].set_index(["row", "saturation"])["gain"]["unet"]
    assert own.to_numpy() == pytest.approx(gain.to_numpy(), rel=1e-4, abs=1e-4)
    shown = measured.test.tables["frontier_lpips"].set_index(["row", "saturation"])["lpips"]
    assert shown["unet", 1] == pytest.approx(scores["lpips"].mean(), rel=1e-4)


def test_what_was_measured_is_read_and_a_new_run_alone_is_measured(profile, monkeypatch):
    asked = []
    predict = pipeline.predict
    monkeypatch.setattr(pipeline, "predict", lambda model, L: asked.append(len(L)) or predict(model, L))
    before = pipeline.measure(profile)
    assert asked == [], "all is there"
    other = dataclasses.replace(before.runs["cnn"], record=before.runs["cnn"].record | {"run": "cnn-0123456789"})
    after = pipeline.measure(profile, runs=before.runs | {"cnn": other})
    assert asked == [8, 2], "ten photos, by one model"
    pd.testing.assert_frame_equal(after.test.tables["table1"], before.test.tables["table1"])


def test_the_parameters_of_the_palette_stand_beside_the_table(profile):
    results = profile.outputs / "results"
    table, frontier = (pd.read_csv(results / name) for name in ("table1.csv", "frontier.csv"))
    parameters = pd.read_csv(results / "palette.csv").set_index(["temperature", "rebalancing"])
    scored, row = table.set_index("row").loc["palette"], parameters.loc[(0.38, 0.5)]
    assert row["mae"] == pytest.approx(scored["mae"], rel=1e-4)
    assert row["colorfulness"] == pytest.approx(scored["colorfulness"], rel=1e-4)
    curve = frontier[(frontier["row"] == "palette") & (frontier["saturation"] == 1)]
    assert row["gain"] == pytest.approx(curve["gain"].item(), abs=1e-3)


def test_models_without_a_run_are_named(profile, tmp_path, monkeypatch):
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path))
    text = pipeline.measure(profile).write(tmp_path)
    assert "Without a row: CNN, U-Net, U-Net (trained on), cGAN, U-Net (palette), U-Net + flow." in text
    table = pd.read_csv(tmp_path / "table1.csv")
    assert table["row"].tolist() == ["gray", "constant"] and table["lpips"].notna().all()


def test_an_external_test_set_gets_a_table_of_its_own_and_must_not_have_been_trained_on(profile, tmp_path, monkeypatch):
    rng, others = np.random.default_rng(0), tmp_path / "others"
    others.mkdir()
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path))
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(others / name)
    folder = profile.outputs / "results"
    text = pipeline.measure(profile, others).write(folder)
    assert text.count("| gray (ab = 0)") == 2 and "The external test set: others." in text
    assert pd.read_csv(folder / "external_test_set" / "table1.csv")["photos"].tolist() == [3, 3]
    assert pd.read_csv(folder / "table1.csv")["photos"].tolist() == [10, 10]
    digest = hashlib.sha256((others / "b.png").read_bytes()).hexdigest()
    photos = prepare(profile, progress=False)
    known = dataclasses.replace(photos, manifest=photos.manifest.assign(sha256=digest))  # as if all were this one
    with pytest.raises(ValueError, match="1 photos of .* were trained on, such as b.png: leave them out"):
        pipeline._external(others, known, profile)


def test_publish_writes_what_is_published_and_no_photo_of_ones_own(profile, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("# x\n<!-- g2g:table1 -->\nold\n<!-- /g2g:table1 -->\n")
    stale = tmp_path / "results" / "cpu" / "cgan"
    stale.mkdir(parents=True)
    (stale / "old.csv").write_text("old")
    monkeypatch.setattr(publishing, "repo_root", lambda: tmp_path)
    folder = publishing.publish(profile, "cpu")
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names == {
        *(f"{name}.csv" for name in ("table1", "table_256", "frontier", "frontier_lpips", "palette")),
        *(f"{name}.md" for name in ("table1", "table_256", "summary", "runs", "claims", "figures/captions")),
        "table1.tex",
        *(f"{model}/{file}" for model in profile.models for file in ("history.csv", "run.json")),
        *(f"figures/{name}.png" for name in ("front", "qualitative_grid")),
        *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "pdf")),
    }
    assert sum((folder / name).stat().st_size for name in names) < 4_000_000
    assert folder.stat().st_mode & 0o077
    for model in profile.models:
        assert json.loads((folder / model / "run.json").read_text())["run"] in (folder / "runs.md").read_text()
    at_256 = pd.read_csv(folder / "table_256.csv").set_index("row")
    assert (at_256["photos"] == 2).all() and at_256[["mae", "lpips"]].notna().all(axis=None)
    gray = pd.read_csv(profile.outputs / "results" / "scores_gray.csv")["mae"][:2].mean()
    assert at_256.loc["gray", "mae"] == pytest.approx(gray, rel=0.02)  # of the same photos, four times as large
    readme = (tmp_path / "README.md").read_text()
    assert (folder / "table1.md").read_text().strip() in readme and "old" not in readme
    monkeypatch.setattr(publishing, "_draw", lambda *a: None)
    publishing.publish(profile, "smoke")  # not what the course shows: pages stay
    assert (tmp_path / "README.md").read_text() == readme


FIGURES = ("loss_curves", "ab_histograms", "frontier", "frontier_lpips")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """An empty repository to publish into, without pictures."""
    monkeypatch.setattr(publishing, "_draw", lambda *a: None)
    monkeypatch.setattr(publishing, "gallery", lambda model, size: plt.Figure())
    for module in (runs, publishing):
        monkeypatch.setattr(module, "repo_root", lambda: tmp_path)
    monkeypatch.setattr(runs, "PUBLISHED", ("smoke",))
    return tmp_path


def test_saved_weights_are_what_a_run_changed_and_load_and_score_as_it_does(profile, clone):
    photos = prepare(profile, progress=False)
    own = {model: runs.load_or_train(model, profile, photos=photos) for model in ("unet", "cgan", "palette", "flow")}
    sizes = {model: publishing.save_pretrained(run).stat().st_size for model, run in own.items()}
    assert max(sizes[model] for model in ("cgan", "palette")) < 0.2 * sizes["unet"], sizes  # their encoder is its own
    published = runs.published()
    assert list(published) == list(own) and all(run.is_published for run in published.values())
    for model, run in own.items():
        halves = published[model].model().state_dict()
        torch.testing.assert_close(halves, run.model().state_dict(), rtol=1e-3, atol=1e-4)
    halved, whole = (
        evaluation.score(run["unet"].model(), photos, show=False)["mae"].mean() for run in (published, own)
    )
    assert halved != whole and abs(halved - whole) < 1e-4
    L = torch.rand(1, 1, 64, 64)
    judges = (run["cgan"].discriminator()(L, torch.zeros(1, 2, 64, 64)) for run in (published, own))
    torch.testing.assert_close(*judges, rtol=1e-2, atol=1e-3)
    publishing.publish(profile)  # the record keeps the digests of the weights
    assert runs.published()["unet"].record["weights_sha256"] == published["unet"].record["weights_sha256"]


def test_a_run_is_not_saved_before_the_one_it_starts_from(profile, clone):
    run = runs.load_or_train("palette", profile)
    with pytest.raises(ValueError, match=r"palette-.* starts from unet-.*, published is None"):
        publishing.save_pretrained(run)


def test_saving_a_run_that_is_not_there_names_those_that_are(capsys):
    assert main(["save-pretrained", "unet-nowhere", "--profile", "smoke"]) == 1
    said = capsys.readouterr().err
    assert "no finished run 'unet-nowhere'" in said and "cgan-" in said


def test_nothing_to_publish_is_an_error_that_names_what_is_missing(profile, tmp_path, clone, monkeypatch):
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no run of cnn, unet, unet_long, cgan, palette, flow"):
        publishing.publish(profile, "cpu")
    assert not (clone / "results").exists()


def test_numbers_in_readme_and_docs_are_those_in_results():
    stamped = [
        (path, marker)
        for path in publishing.pages()
        for marker in ("summary", "table1", "table_256", "runs", "claims")
        if f"<!-- g2g:{marker} -->" in path.read_text(encoding="utf-8")
    ]
    assert stamped, "no page has a marker <!-- g2g:summary -->"
    folder = publishing.repo_root() / "results" / publishing.published_name()
    for path, marker in stamped:
        text = (folder / f"{marker}.md").read_text(encoding="utf-8")
        stamped = f"<!-- g2g:{marker} -->\n{text.strip()}\n<!-- /g2g:{marker} -->"
        assert stamped in path.read_text(encoding="utf-8"), f"{path.name} differs: python -m report publish"


def test_stamp_replaces_between_markers(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("A\n<!-- g2g:t -->\nold\n<!-- /g2g:t -->\nB\n")
    publishing.stamp(path, "t", "| a |\n| \\1 |\n")
    assert path.read_text() == "A\n<!-- g2g:t -->\n| a |\n| \\1 |\n<!-- /g2g:t -->\nB\n"


@pytest.mark.parametrize("text", ["nothing", "<!-- g2g:m --> open", "<!-- g2g:m -->a<!-- g2g:m -->b<!-- /g2g:m -->"])
def test_stamp_wants_whole_pairs(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(ValueError, match="page.md needs <!-- g2g:m -->"):
        publishing.stamp(path, "m", "0.2")
    assert path.read_text() == text


def test_color_is_predicted_at_one_size_and_scored_at_another():
    photo = np.zeros((1, 64, 64, 3), np.uint8)
    block = pipeline.Block(photo[:, :32, :32], photo)
    ab = block.predict(lambda L: torch.linspace(0, 1, L.shape[3]).expand(1, 2, *L.shape[2:]))
    assert ab.shape == (1, 2, 32, 32) and ab.mean() == pytest.approx(0.5, abs=1e-3)
    rgb = torch.rand(1, 3, 32, 32)  # the same pictures are judged once
    assert torch.equal(block.lpips(rgb), block.lpips(rgb.clone())) and len(block.known) == 1
    assert block.lpips(1 - rgb) != block.lpips(rgb) and len(block.known) == 2
