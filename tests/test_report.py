"""The report page holds the measured numbers; results/ and README are generated, and agree."""

import dataclasses
import hashlib
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from g2g import evaluation, profiles, runs
from g2g.data import prepare
from g2g.profiles import get_profile
from report import build
from report import publish as publishing
from report.__main__ import main


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A profile of 12 crops at 64 px with runs of one epoch, and its report."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("G2G_CACHE", str(root / "cache"))
        patch.setenv("G2G_OUTPUTS", str(root / "outputs"))
        patch.delenv("G2G_DATA", raising=False)
        patch.setattr("g2g.metrics.LPIPS", lambda device: None)  # it would take seconds
        profile = dataclasses.replace(get_profile("smoke"), n_train=8, n_test=4)
        short = {
            stage: dataclasses.replace(recipe, epochs=1, batch_size=4)
            for stage, recipe in profiles.RECIPES["smoke"].items()
        }
        patch.setitem(profiles.RECIPES, "smoke", short)
        yield root, profile, build.make_report(profile)


@pytest.fixture(autouse=True)
def same_world(world, monkeypatch):
    monkeypatch.setenv("G2G_CACHE", str(world[0] / "cache"))
    monkeypatch.setenv("G2G_OUTPUTS", str(world[0] / "outputs"))


def test_the_page_has_the_measured_numbers_and_is_self_contained(world):
    root, profile, page = world
    text = page.read_text(encoding="utf-8")
    assert page == profile.outputs / "report" / "index.html"
    table = pd.read_csv(profile.outputs / "results" / "table1.csv").set_index("row")
    for row in ("gray", "constant", *profile.models):
        assert text.count(f"{table.loc[row, 'mae']:.4f}") >= 2  # in a sentence and in the table
    for run in runs.list_runs(profile)["run"]:
        assert run in text
    assert "not measured (no weights in this test)" in text and profile.purpose in text
    assert text.count('<img src="data:image/png;base64,') == 8 and text.count('<img src="data:image/svg+xml;') == 4
    assert not re.search(r'(?:src|href)="(?!data:)', text) and "<script" not in text
    words = re.sub(r'"data:[^"]+"', "", text)
    assert "nan" not in words and "{" not in words.partition("</style>")[2] and "sweep --study parameters" in words
    assert text.count("cannot be told here") >= 8 and str(root) not in text


def test_the_dials_of_the_palette_stand_beside_the_table(world):
    results = world[1].outputs / "results"
    table, frontier = (pd.read_csv(results / name) for name in ("table1.csv", "frontier.csv"))
    dials = pd.read_csv(results / "palette.csv").set_index(["temperature", "rebalancing"])
    scored, row = table.set_index("row").loc["palette"], dials.loc[(0.38, 1)]
    assert row["mae"] == pytest.approx(scored["mae"], rel=1e-4)
    assert row["colorfulness"] == pytest.approx(scored["colorfulness"], rel=1e-4)
    curve = frontier[(frontier["row"] == "palette") & (frontier["saturation"] == 1)]
    assert row["gain"] == pytest.approx(curve["gain"].item(), abs=1e-3)


@pytest.mark.slow
def test_run_twice_it_gives_the_same_bytes_and_trains_nothing(world, monkeypatch):
    _, profile, page = world
    before = page.read_bytes()
    monkeypatch.setattr(runs, "_train", lambda *a: pytest.fail("trained again"))
    assert build.make_report(profile).read_bytes() == before


def test_cells_keep_what_would_end_them():
    assert "<td>a | b &lt;c&gt;</td>" in build.as_html(pd.DataFrame({"x": ["a | b <c>"]}))


def test_a_run_of_another_profile_or_other_photos_is_named(world):
    _, profile, _ = world
    photos = prepare(profile, progress=False)
    run = runs.load_run(runs.list_runs(profile)["run"][0], profile)
    build.check(run, profile, photos)
    for key, value in (("profile", "class"), ("photos_hash", "0" * 16), ("size", 128)):
        other = dataclasses.replace(run, record=run.record | {key: value})
        with pytest.raises(ValueError, match=f"{run.id} has {key} {value}"):
            build.check(other, profile, photos)


def test_publish_writes_what_is_quoted_and_no_photo_of_ones_own(world, tmp_path, monkeypatch):
    _, profile, _ = world
    table = (profile.outputs / "results" / "table1.md").read_text()  # of the report; scoring again takes seconds
    monkeypatch.setattr(publishing, "evaluate_profile", lambda *a: table)
    (tmp_path / "README.md").write_text("# x\n<!-- g2g:table1 -->\nold\n<!-- /g2g:table1 -->\n")
    stale = tmp_path / "results" / "cpu" / "cgan"
    stale.mkdir(parents=True)
    (stale / "old.csv").write_text("old")
    folder = publishing.publish(profile, "cpu", tmp_path)
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names == {
        "table1.csv",
        "table1.md",
        "table1.tex",
        "summary.md",
        "frontier.csv",
        "palette.csv",
        "runs.md",
        "claims.md",
        "figures/captions.md",
        *(f"{stage}/{file}" for stage in profile.models for file in ("history.csv", "run.json")),
        "figures/qualitative_grid.png",
        "figures/teaser.png",
        *(f"figures/{name}.{kind}" for name in ("loss_curves", "ab_histograms", "frontier") for kind in ("png", "pdf")),
    }
    assert sum((folder / name).stat().st_size for name in names) < 4_000_000
    assert folder.stat().st_mode & 0o077
    for stage in profile.models:
        assert json.loads((folder / stage / "run.json").read_text())["run"] in (folder / "runs.md").read_text()
    readme = (tmp_path / "README.md").read_text()
    assert (folder / "table1.md").read_text().strip() in readme and "old" not in readme
    publishing.publish(profile, "smoke", tmp_path)  # not what is quoted: pages stay
    assert (tmp_path / "README.md").read_text() == readme


def test_showcase_shows_photographs_that_may_be_shown(monkeypatch, tmp_path):
    from skimage import data

    monkeypatch.setenv("G2G_DATA", str(tmp_path))
    own = publishing.showcase(get_profile("cpu"))
    assert own.shape == (11, 128, 128, 3) and own.dtype == np.uint8
    assert np.abs(own[0].mean((0, 1)) - data.astronaut().mean((0, 1))).max() < 2
    monkeypatch.delenv("G2G_DATA")
    assert publishing.showcase(get_profile("smoke")).shape == (5, 64, 64, 3)


def test_shipped_weights_load_and_score_as_the_run_does(world, tmp_path, monkeypatch):
    _, profile, _ = world
    run = runs.load_or_train("unet", profile)
    path = publishing.ship(run, "unet", "The U-Net of this test.", tmp_path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["unet.jpg", "unet.json", "unet.safetensors"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert json.loads(path.with_suffix(".json").read_text())["weights_sha256"] == {path.name: digest}
    monkeypatch.setattr(runs, "repo_root", lambda: tmp_path)
    model, size, sentence = runs.best_available()
    assert (size, sentence) == (profile.size, "The U-Net of this test.")
    test = prepare(profile, progress=False)
    shipped, own = (evaluation.score(net, test, show=False)["mae"].mean() for net in (model, run.model()))
    assert shipped != own and abs(shipped - own) < 1e-4


def test_a_run_is_shipped_as_what_it_changed_in_the_run_that_it_starts_from(world, tmp_path, monkeypatch):
    _, profile, _ = world
    monkeypatch.setattr(publishing, "gallery", lambda model, size: plt.Figure())
    own = {stage: runs.load_or_train(stage, profile) for stage in ("unet", "cgan", "palette", "flow")}
    sizes = {name: publishing.ship(run, name, name, tmp_path).stat().st_size for name, run in own.items()}
    assert max(sizes[name] for name in ("cgan", "palette")) < 0.2 * sizes["unet"], sizes  # their encoder is the U-Net's
    monkeypatch.setattr(runs, "repo_root", lambda: tmp_path)
    L = torch.rand(1, 1, 64, 64)
    for name, run in own.items():
        model = runs.pretrained_model(name)[0]
        for key, tensor in run.model().state_dict().items():
            torch.testing.assert_close(model.state_dict()[key], tensor, rtol=1e-3, atol=1e-4)
    shipped = dataclasses.replace(own["cgan"], pretrained=tmp_path / "results" / "weights" / "cgan.json")
    judges = (run.discriminator()(L, torch.zeros(1, 2, 64, 64)) for run in (shipped, own["cgan"]))
    torch.testing.assert_close(*judges, rtol=1e-2, atol=1e-3)


def test_a_shipped_run_does_not_take_another_start(world, tmp_path, monkeypatch):
    _, profile, _ = world
    monkeypatch.setattr(publishing, "gallery", lambda model, size: plt.Figure())
    monkeypatch.setattr(runs, "repo_root", lambda: tmp_path)
    folder = publishing.ship(runs.load_or_train("unet", profile), "unet", "A U-Net.", tmp_path).parent
    publishing.ship(runs.load_or_train("palette", profile), "palette", "A palette.", tmp_path)
    card = folder / "unet.json"
    whole = card.read_text()
    card.write_text(json.dumps(json.loads(whole) | {"run": "unet-0123456789"}))
    with pytest.raises(ValueError, match=r"palette-.* starts from unet-.*unet.json is of unet-0123456789: ship its"):
        runs.pretrained_model("palette")
    card.write_text(whole)
    file = folder / "unet.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"\1\2\3\4")
    with pytest.raises(ValueError, match="unet.safetensors is damaged, or of another run"):
        runs.pretrained_model("palette")


def test_shipping_a_run_that_is_not_there_names_those_that_are(world, capsys):
    assert main(["ship", "unet-nowhere", "unet", "A U-Net.", "--profile", "smoke"]) == 1
    said = capsys.readouterr().err
    assert "no finished run 'unet-nowhere' in smoke" in said and "cgan-" in said


def test_nothing_to_publish_is_an_error_that_names_what_is_missing(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("G2G_OUTPUTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no run of cnn, unet, unet_long, cgan, palette, flow"):
        publishing.publish(world[1], "cpu", tmp_path)
    assert main(["publish", "--profile", "smoke"]) == 1 and "nothing to publish" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_numbers_in_readme_and_docs_are_those_in_results():
    stamped = [
        (page, marker)
        for page in publishing.pages()
        for marker in ("summary", "table1", "runs", "claims")
        if f"<!-- g2g:{marker} -->" in page.read_text(encoding="utf-8")
    ]
    if not stamped:
        pytest.skip("no page has a marker <!-- g2g:table1 --> yet")
    name = publishing.published_name()
    assert name, "pages have markers, but results/ has nothing to quote: python -m report publish"
    folder = publishing.repo_root() / "results" / name
    for page, marker in stamped:
        text = (folder / f"{marker}.md").read_text(encoding="utf-8")
        assert not publishing.stamp(page, marker, text, check=True), f"{page.name} differs: python -m report publish"


def test_stamp_replaces_between_markers_and_checks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("A\n<!-- g2g:t -->\nold\n<!-- /g2g:t -->\nB\n")
    before = page.read_bytes()
    assert publishing.stamp(page, "t", "| a |\n| \\1 |", check=True) and page.read_bytes() == before
    assert publishing.stamp(page, "t", "| a |\n| \\1 |\n")
    assert page.read_text() == "A\n<!-- g2g:t -->\n| a |\n| \\1 |\n<!-- /g2g:t -->\nB\n"
    assert not publishing.stamp(page, "t", "| a |\n| \\1 |")


@pytest.mark.parametrize("text", ["nothing", "<!-- g2g:m --> open", "<!-- g2g:m -->a<!-- g2g:m -->b<!-- /g2g:m -->"])
def test_stamp_wants_whole_pairs(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="page.md needs <!-- g2g:m -->"):
        publishing.stamp(page, "m", "0.2")
    assert page.read_text() == text
