"""Scores, intervals, comparisons and tables: by other routes to the same numbers, and on bad input."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import raising
from skimage import color

from g2g import evaluation
from g2g.evaluation import bootstrap, compare, constant, gray, score
from g2g.lab import photos_to_lab
from report import figures as report_figures
from report import tables
from report.tables import formatted, notes, table1, write_scored


def made_photos(array, split="test"):
    """Photos from an array, of this split: reading another one fails."""
    files, near_gray = [f"photo_{i}.jpg" for i in range(len(array))], np.zeros(len(array), bool)
    methods = {"files": lambda split: files, "near_gray": lambda split: near_gray}
    return SimpleNamespace(**{split: array}, size=array.shape[1], **methods)


@pytest.fixture
def noise():
    return made_photos(np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8))


def frame(mae, **columns):
    """A score table with the given errors and otherwise plain values."""
    mae = np.asarray(mae, dtype=float)
    plain = {"psnr": 20.0, "ssim": 0.9, "delta_e": 9.0, "lpips": math.nan, "chroma": 12.0}
    plain |= {"colorfulness": 10.0, "colorfulness_ground_truth": 30.0}
    return pd.DataFrame({"file": [f"{i}.jpg" for i in range(len(mae))], "mae": mae} | plain | columns)


def test_scores_of_gray_by_another_route(noise):
    """MAE, chroma and the split of gray's score, from scikit-image alone."""
    scores = score(gray(), noise, batch_size=2, show=False)
    ab = color.rgb2lab(noise.test)[..., 1:]
    chroma = np.hypot(ab[..., 0], ab[..., 1])
    error = np.abs(ab).mean(-1) / 110
    assert scores["file"].tolist() == noise.files("test")
    assert scores["mae"].to_numpy() == pytest.approx(error.mean((1, 2)), abs=1e-4)
    assert scores["chroma"].to_numpy() == pytest.approx(chroma.mean((1, 2)), abs=1e-2)
    colorful = [e[c >= 5].mean() for e, c in zip(error, chroma, strict=True)]
    assert scores["mae_colorful_pixels"].to_numpy() == pytest.approx(colorful, abs=1e-4)
    assert (scores["mae_gray_pixels"].fillna(0) < 5 / 110).all()
    assert (scores["colorfulness"] < 0.1).all() and (scores["colorfulness_ground_truth"] > 50).all()
    assert scores["lpips"].isna().all(), "not asked for"


def test_mae_is_before_clipping_the_rest_after(noise):
    square = lambda x, y: (x - y).square().mean((1, 2, 3))  # noqa: E731  (in LPIPS's place)
    far, farther = (score(constant((v, v)), noise, lpips=square, show=False) for v in (3.0, 4.0))
    assert (farther["mae"] - far["mae"]).to_numpy() == pytest.approx(1.0, abs=1e-5)
    assert far["delta_e"].between(0, 200).all() and far["colorfulness"].between(0, 400).all()
    assert far["psnr"].to_numpy() == pytest.approx(-10 * np.log10(far["lpips"])), "both see the pictures shown"


def test_the_ground_truth_as_prediction_is_perfect(photos):
    ground_truth = iter(photos_to_lab(np.array(photos.test))[1].split(3))
    scores = score(lambda L: next(ground_truth), photos, batch_size=3, show=False)
    assert len(scores) == len(photos.test) and scores["file"].tolist() == photos.files("test")
    assert scores["near_gray"].tolist() == photos.near_gray("test").tolist()
    assert (scores["mae"] == 0).all() and (scores["ssim"] > 0.9999).all() and (scores["delta_e"] < 0.02).all()
    assert scores["psnr"].tolist() == pytest.approx([evaluation.PSNR_CAP] * len(scores))  # finite


def test_an_all_gray_photo_counts_without_dividing_by_zero():
    levels = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 1), dtype=np.uint8)
    scores = score(gray(), made_photos(levels.repeat(3, 3)), show=False)
    assert (scores["colorfulness_ground_truth"] == 0).all()
    assert scores["mae_colorful_pixels"].isna().all()  # it has none
    rest = scores.drop(columns=["mae_colorful_pixels", "lpips", "file"])
    assert np.isfinite(rest.to_numpy(dtype=float)).all()
    table = table1({"gray": scores})
    assert np.isfinite(table[["psnr", "colorfulness", "colorfulness_gap"]].to_numpy()).all()


def test_remembered_predictions_are_scored_as_the_model_is(noise):
    model = constant((0.1, -0.2))
    remembered = evaluation.predict_photos(model, noise, show=False)
    assert remembered.shape == (len(noise.test), 2, noise.size, noise.size)
    pd.testing.assert_frame_equal(score(remembered, noise, show=False), score(model, noise, show=False))
    with pytest.raises(ValueError, match="cgan: 2 predictions for 5 test photos"):
        score(remembered[:2], noise, name="cgan", show=False)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_predictions_name_the_photo(noise, bad):
    ab = torch.zeros(5, 2, 16, 16)
    ab[3, 0, 3, 3] = bad
    batches = iter(ab.split(2))
    with pytest.raises(ValueError, match="cGAN, photos photo_2.jpg to photo_3.jpg: .*NaN or infinity"):
        score(lambda L: next(batches), noise, batch_size=2, name="cGAN", show=False)


def test_best_constant_is_the_median_of_the_training_photos():
    train = np.random.default_rng(2).integers(0, 256, (70, 32, 32, 3), dtype=np.uint8)
    train[..., 0] //= 2
    ab = color.rgb2lab(train)[..., 1:].reshape(-1, 2) / 110
    assert evaluation.best_constant(made_photos(train, "train")) == pytest.approx(np.median(ab, axis=0), abs=1e-4)


def test_bootstrap_agrees_with_theory():
    values = np.random.default_rng(3).gamma(2, 1, 400)
    mean, low, high = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert mean == pytest.approx(values.mean())
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=0.15)
    assert bootstrap(values) == bootstrap([*values, math.nan]) == (mean, low, high)
    assert bootstrap([0.5, math.nan]) == (0.5, 0.5, 0.5)
    assert np.isnan(bootstrap([math.nan])).all()


def test_compare_is_paired_and_knows_which_way_is_better():
    spread = np.linspace(0, 1, 50)
    a, b = frame(spread), frame(spread + 0.01)
    b.loc[:9, "mae"] -= 0.02
    result = compare(a, b, names=("U-Net", "gray"))
    assert result["better"] == 0.8
    assert result["difference"] == pytest.approx(-0.006) and result["low"] < -0.006 < result["high"] < 0
    assert result["sentence"].startswith("U-Net beats gray on 80.0% of 50 photos; its MAE is lower by 0.006 ")
    assert compare(a.assign(psnr=21), b, "psnr")["better"] == 1  # more dB are better
    assert "which includes zero" in compare(a, a)["sentence"]


def test_compare_refuses_what_cannot_be_compared():
    a = frame([0.1, 0.2, 0.3])
    for other in (frame([0.1, 0.2]), a.iloc[::-1], a.assign(chroma=11.0)):  # fewer, reordered, another size
        with pytest.raises(ValueError, match="CNN and cGAN are not scored on the same photos"):
            compare(a, other, names=("CNN", "cGAN"))
    with pytest.raises(ValueError, match="no better and worse"):
        compare(a, a, "colorfulness")
    with pytest.raises(ValueError, match="lpips was not measured"):
        compare(a, a, "lpips")


def test_error_by_chroma_puts_each_photo_in_one_bin():
    scores = frame([1, 2, 3, 5], chroma=[0, 4.9, 5, 100])
    bins = report_figures.error_by_chroma(scores).set_index("from")
    assert bins["photos"].sum() == 4 and bins.loc[0, "mean"] == 1.5 and bins.loc[5, "mean"] == 3
    assert math.isnan(bins.loc[10, "mean"]) and bins.loc[30, "mean"] == 5


def test_colors_are_counted_pixel_by_pixel(noise):
    ground_truth = report_figures.count_colors(photos_to_lab(noise.test)[1])
    predicted = report_figures.count_colors(evaluation.predict_photos(constant((0.5, 9)), noise, show=False))
    edges = np.linspace(-110, 110, 45)
    ab = color.rgb2lab(noise.test)[..., 1:].reshape(-1, 2)
    expected = np.histogram2d(*ab.T, bins=(edges, edges))[0]
    assert np.abs(ground_truth - expected).sum() <= 4  # pixels on an edge, to float32
    assert predicted[33, 43] == predicted.sum() == ground_truth.sum() == 5 * 16 * 16


def test_table_has_the_rows_in_order_and_the_reports_numbers_apart():
    keys = ("cgan", "unet_long", "unet", "cnn", "constant", "gray")
    scores = {key: frame([0.01 * i, 0.02 * i + 0.1]) for i, key in enumerate(keys)}
    table = table1(scores)
    assert table["row"].tolist() == [*reversed(keys)]
    assert table["mae"].tolist() == pytest.approx([0.125, 0.11, 0.095, 0.08, 0.065, 0.05])
    assert (table["mae_low"] < table["mae"]).all() and (table["mae"] < table["mae_high"]).all()
    reported = table.set_index("row")[list(tables.REPORTED)]
    assert reported.loc[["gray", "constant", "unet_long"]].isna().all(axis=None)
    in_the_report = [[0.0848, 0.148], [0.0846, 0.141], [0.0807, 0.132]]
    assert reported.loc[["cnn", "unet", "cgan"]].to_numpy().tolist() == in_the_report


def test_the_gap_in_colorfulness_is_taken_photo_by_photo():
    values = {"colorfulness": [40.0, 20.0] * 20, "colorfulness_ground_truth": [30.0, 31.0] * 20}
    row = table1({"gray": frame(np.zeros(40), **values)}).iloc[0]
    assert row["colorfulness_gap"] == pytest.approx(10.5)  # (10 + 11) / 2, though the means differ by 0.5 only


def test_table_refuses_to_mix():
    with pytest.raises(ValueError, match="not scored on the same photos"):
        table1({"gray": frame([1, 2]), "cnn": frame([1, 2, 3])})
    for scores in ({}, {"resnet": frame([1])}):
        with pytest.raises(ValueError, match="gray, constant, cnn, unet, unet_mirrored, unet_full"):
            table1(scores)


def scored(scores, *more_notes):
    return SimpleNamespace(tables={"table1": table1(scores)}, scores=scores, notes=more_notes)


@pytest.fixture
def written(tmp_path):
    scores = {"gray": frame([0.08, 0.09]), "unet": frame([0.07, 0.09], lpips=[0.1, 0.2])}
    write_scored(scored(scores, "A note: 5% & more_of_it."), tmp_path / "results")
    return tmp_path / "results"


def test_the_csv_has_numbers_and_gaps(written):
    assert {p.name for p in written.glob("table1.*")} == {"table1.csv", "table1.md", "table1.tex"}
    table = pd.read_csv(written / "table1.csv")
    assert table["mae"].tolist() == pytest.approx([0.085, 0.08])
    assert np.isnan(table.loc[0, "lpips"]) and table.loc[1, "lpips"] == pytest.approx(0.15)
    assert set(table.select_dtypes(exclude="number")) == {"row", "model"}
    assert pd.read_csv(written / "scores_unet.csv")["mae"].tolist() == [0.07, 0.09]


def test_the_markdown_says_what_is_missing(written):
    text = (written / "table1.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 4
    assert "0.0850 [0.0800, 0.0900]" in lines[2] and "| not measured yet " in lines[2]
    assert "0.0846" in lines[3] and "0.1500 [0.1000, 0.2000]" in lines[3]
    assert "A note: 5% & more_of_it." in text


def test_a_table_read_from_its_csv_is_formatted_the_same(written):
    table = pd.read_csv(written / "table1.csv")
    cells = formatted(table)
    assert cells.map(lambda cell: isinstance(cell, str)).all(axis=None)
    for cell in [*cells, *cells.to_numpy().flatten()]:
        assert cell in (written / "table1.md").read_text()
    assert "nan" not in " ".join(notes(table)) and "not measured yet" in tables.summary(table)


def test_the_latex_is_well_formed(written):
    text = (written / "table1.tex").read_text()
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert "% A note: 5% & more_of_it." in text and body.startswith(r"\begin{tabular}{lll}")
    assert body.isascii() and body.count("{") == body.count("}") and not re.search(r"(?<!\\)[#_^~%]", body)
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(formatted(pd.read_csv(written / "table1.csv")).columns) - 1
    assert all(len(re.findall(r"(?<!\\)&", row)) == 2 for row in rows)
    assert not re.search(r"\\\\\s*\[", body)  # would be read as a length


def test_a_table_is_written_whole_or_not_at_all(written, monkeypatch):
    before = (written / "table1.csv").read_bytes()
    monkeypatch.setattr("os.replace", raising(OSError("disk full")))
    with pytest.raises(RuntimeError, match="table1.csv"):
        write_scored(scored({"gray": frame([0.5])}), written)
    assert (written / "table1.csv").read_bytes() == before and len(list(written.iterdir())) == 5


def linear_curve(factor=1.0):
    """Two photos: colorfulness 10 s and 30 s times the factor at saturation s, PSNR 20 + s and 22 - s."""
    rows = []
    for s in (0, 1, 2):
        rows += [(s, 20 + s, 10 * s * factor, 0.1 * s), (s, 22 - s, 30 * s * factor, 0.2)]
    return pd.DataFrame(rows, columns=["saturation", "psnr", "colorfulness", "lpips"])


def test_psnr_at_a_colorfulness_is_that_of_each_photo_between_two_saturations():
    curve = linear_curve()  # of mean colorfulness 0, 20, 40: 25 is at s = 1.25
    assert evaluation.at_colorfulness(curve, 25).tolist() == pytest.approx([21.25, 20.75])
    assert evaluation.at_colorfulness(curve, 20).tolist() == pytest.approx([21, 21])
    assert evaluation.at_colorfulness(curve, 30, "lpips").tolist() == pytest.approx([0.15, 0.2])
    assert np.isnan(evaluation.at_colorfulness(curve, 41)).all(), "no factor of the curve is enough"


def test_a_saturated_model_is_gray_at_zero_and_itself_at_one(noise):
    model = constant((0.1, -0.2))
    curve = evaluation.saturated(model, noise, saturations=(0, 1, 2), batch_size=2, show=False)
    assert len(curve) == 5 * 3 and curve["lpips"].isna().all()
    for saturation, net in ((0, gray()), (1, model), (2, constant((0.2, -0.4)))):
        rows = curve[curve["saturation"] == saturation]
        scores = score(net, noise, show=False)
        for column in ("psnr", "colorfulness"):
            assert rows[column].to_numpy() == pytest.approx(scores[column].to_numpy(), rel=1e-4, abs=1e-3)


def test_the_gain_at_matched_colorfulness_enters_the_table():
    scores = {
        "gray": frame([0.1, 0.1], colorfulness=0.0, psnr=20.0, colorfulness_ground_truth=30.0),
        "unet": frame([0.1, 0.1], colorfulness=20.0, psnr=[21.0, 21.0], colorfulness_ground_truth=30.0),
        "cgan": frame([0.1, 0.1], colorfulness=30.0, psnr=[22.0, 21.0], colorfulness_ground_truth=30.0),
    }
    curves = {"gray": linear_curve(0), "unet": linear_curve(), "cgan": linear_curve(1.5)}
    curve = tables.frontier(scores, curves)
    assert curve.loc[(curve["row"] == "unet") & (curve["saturation"] == 2), "gain"].item() == pytest.approx(1)
    table = table1(scores).set_index("row")
    assert math.isnan(table.loc["gray", "psnr_gain_matched"])
    assert table.loc["unet", "psnr_gain_matched"] == pytest.approx(1)  # psnr 21.5 and 20.5 at s = 1.5, of gray's 20
    cells = formatted(table1(scores)).set_index("model")
    column = "PSNR gain at matched colorfulness, dB ↑"
    assert cells.loc["gray (ab = 0)", column] == "never as colorful"
    (sentence,) = tables.equally_colorful(scores, curves)
    assert "PSNR of cGAN, colorfulness 30.0" in sentence and "+0.500 dB [+0.500, +0.500]" in sentence
    for row in scores:
        scores[row]["lpips"] = 0.3
    (sentence,) = tables.equally_colorful(scores, curves, "lpips")
    assert "LPIPS of cGAN" in sentence and ": +0.125 [" in sentence  # 0.3 and 0.3 less 0.15 and 0.2
