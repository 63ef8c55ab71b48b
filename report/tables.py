"""Table 1 of a profile's runs: all models scored, measured beside reported, as csv, Markdown and LaTeX."""

import dataclasses
import math
from pathlib import Path

import pandas as pd
import torch

from g2g import evaluation, metrics, runs
from g2g.data import prepare
from g2g.evaluation import best_constant, bootstrap, constant, gray, same_photos, score
from g2g.files import save_atomic
from g2g.profiles import TITLES, get_profile, get_recipe
from g2g.training import get_device

ROWS = {"gray": "gray (ab = 0)", "constant": "best constant color"} | TITLES
# Column: title, digits
MEASURES = {
    "mae": ("MAE ↓", 4),
    "psnr": ("PSNR, dB ↑", 2),
    "ssim": ("SSIM ↑", 4),
    "delta_e": ("CIEDE2000 ↓", 2),
    "lpips": ("LPIPS (VGG) ↓", 4),
    "colorfulness": ("colorfulness", 1),
    "colorfulness_gap": ("its gap to the truth ↓", 1),
    "psnr_gain_matched": ("dB over gray, made as colorful as the truth ↑", 2),
}
REPORTED = pd.DataFrame(  # the course report's Table 1
    {"reported_mae": [0.0848, 0.0846, 0.0807], "reported_lpips": [0.148, 0.141, 0.132]},
    index=["cnn", "unet", "cgan"],
)
REPORTED_TITLES = ["MAE, reported", "LPIPS, reported"]


def evaluate_profile(profile=None, photos=None, note="", further=None) -> str:
    """Score the baselines and every finished run of the recipes; write table 1, return it as Markdown.

    Writes table1.csv, .md, .tex, scores_ROW.csv and frontier.csv into the profile's `results/`. Nothing is trained: a
    stage without a finished run is named as missing.

    Args:
        note: a sentence on the photos, say, for below the table.
        further: a folder of photos, a second test set; its files go to `results/further/`.

    Raises:
        ValueError: a photo of `further` was trained on.
    """
    profile = get_profile(profile)
    photos = photos or prepare(profile)
    models = {"gray": gray(), "constant": constant(best_constant(photos))}
    ids, missing = [], []
    for stage in profile.models:
        run = runs.find_run(get_recipe(stage, profile), photos, profile)
        if run:
            models[stage] = run.model(device=get_device())
            ids.append(run.id)
        else:
            missing.append(TITLES[stage])
    notes = [f"Profile {profile.name}: {profile.purpose}.", f"Runs: {', '.join(ids) or 'none'}."]
    if missing:
        notes.append(f"Missing rows, not scored: {', '.join(missing)}.")
    lpips = metrics.LPIPS(get_device())
    folder = profile.outputs / "results"
    text = _evaluate(models, photos, lpips, folder, notes + [note] * bool(note))
    if further:
        others = _second_test_set(further, photos, profile)
        notes[0] = f"A second test set, of another origin: {Path(further).name}."
        text += "\n" + _evaluate(models, others, lpips, folder / "further", notes)
    return text


def _evaluate(models, photos, lpips, folder, notes):
    scores, curves = {}, {}
    for row, model in models.items():
        answers = evaluation.predict_photos(model, photos, name=row)
        scores[row] = score(answers, photos, lpips=lpips, name=f"{row}, scores")
        curves[row] = evaluation.saturated(answers, photos, name=f"{row}, from gray to vivid")
    table = frontier(scores, curves)
    files = write_table(table1(scores), folder, [*notes, *equally_colorful(scores, curves)], scores)
    save_atomic(lambda part: part.write_text(_csv(table), encoding="utf-8"), folder / "frontier.csv")
    if {"palette", "unet"} <= set(models):
        dials = palette_dials(models["palette"], photos, scores["gray"], curves["unet"])
        save_atomic(lambda part: part.write_text(_csv(dials), encoding="utf-8"), folder / "palette.csv")
    return files[1].read_text(encoding="utf-8")


def _second_test_set(folder, photos, profile):
    others = prepare(dataclasses.replace(profile, source="test_folder", data_dir=Path(folder)))
    trained = set(photos.manifest.loc[photos.manifest["split"] != "test", "sha256"])
    known = others.manifest.loc[others.manifest["sha256"].isin(trained), "file"]
    if len(known):
        raise ValueError(f"{len(known)} photos of {folder} were trained on, such as {known.iloc[0]}: leave them out")
    return others


def frontier(scores: dict, curves: dict) -> pd.DataFrame:
    """Every model as a curve, one row a `row` and `saturation`: mean `colorfulness`, and `gain`, dB over gray.

    Args:
        scores, curves: row -> result of `evaluation.score`, of `evaluation.saturated`. Each score table gets the
            column `psnr_gain_matched`: dB over gray when all answers are multiplied until the photos are on average as
            colorful as the truth; NaN where no factor gets there.
    """
    truth, gray_psnr = scores["gray"]["colorfulness_ground_truth"].mean(), scores["gray"]["psnr"]
    parts = []
    for row, curve in curves.items():
        scores[row]["psnr_gain_matched"] = evaluation.psnr_at(curve, truth) - gray_psnr
        means = curve.groupby("saturation", as_index=False)[["colorfulness", "psnr"]].mean()
        means.insert(0, "row", row)
        means["gain"] = means.pop("psnr") - gray_psnr.mean()
        parts.append(means)
    return pd.concat(parts, ignore_index=True)


PARAMETERS = [(temperature, share) for share in (1, 0.75, 0.5, 0.25, 0) for temperature in (0.2, 0.38, 0.6, 1)]


def palette_dials(model, photos, gray_scores, unet_curve) -> pd.DataFrame:
    """What the two dials of a `PaletteUnet` buy and cost on the test photos, one row a pair of `PARAMETERS`.

    `temperature`, `rebalancing`, `mae`, `gain` (dB over gray), `colorfulness`; with 95% intervals (`_low`, `_high`):
    `psnr_gain_matched`, dB over gray when multiplied to the truth's colorfulness, `against_unet` and `vivid_against_unet`, dB
    over the U-Net times the constant that makes it as colorful as this row, and as the truth.

    Args:
        gray_scores: of `evaluation.score`. unet_curve: of `evaluation.saturated`, of the same photos.
    """
    parts = []
    asked = model.temperature, model.rebalancing
    for rgb, L, ab, _ in evaluation.predictions(model, photos, name="palette, from calm to vivid"):
        with torch.no_grad():
            logits = model.logits(L)
        for model.temperature, model.rebalancing in PARAMETERS:
            answer = model.paint(logits, L.shape[2:]).detach()
            points = evaluation.by_saturation(rgb, L, ab, answer, (0.75, 1, 1.5, 2, 3))
            parts.append(points.assign(temperature=model.temperature, rebalancing=model.rebalancing))
    model.temperature, model.rebalancing = asked
    rows = []
    truth, gray_psnr = gray_scores["colorfulness_ground_truth"].mean(), gray_scores["psnr"]
    for (temperature, share), curve in pd.concat(parts).groupby(["temperature", "rebalancing"]):
        curve = curve.assign(photo=curve.groupby("saturation").cumcount())
        plain = curve[curve["saturation"] == 1].reset_index(drop=True)
        vivid = evaluation.psnr_at(curve, truth)
        level = plain["colorfulness"].mean()
        row = {"temperature": temperature, "rebalancing": share, "mae": plain["mae"].mean()}
        row |= {"gain": (plain["psnr"] - gray_psnr).mean(), "colorfulness": level}
        differences = {
            "psnr_gain_matched": vivid - gray_psnr,
            "against_unet": plain["psnr"] - evaluation.psnr_at(unet_curve, level),
            "vivid_against_unet": vivid - evaluation.psnr_at(unet_curve, truth),
        }
        for name, values in differences.items():
            row[name], row[f"{name}_low"], row[f"{name}_high"] = bootstrap(values)
        rows.append(row)
    return pd.DataFrame(rows)


def equally_colorful(scores: dict, curves: dict) -> list[str]:
    """Sentences on models one against the other, the other times a constant that makes it as colorful."""
    sentences = []
    pairs = [("unet_long", "unet"), ("cgan", "unet"), ("cgan", "unet_long"), ("palette", "unet_long"), ("flow", "unet")]
    for row, other in pairs:
        if row not in scores or other not in curves:
            continue
        level = scores[row]["colorfulness"].mean()
        mean, low, high = bootstrap(scores[row]["psnr"] - evaluation.psnr_at(curves[other], level))
        sentences.append(
            f"{TITLES[row]}, colorfulness {level:.1f}, against {TITLES[other]} times the constant that makes it as "
            f"colorful: {mean:+.3f} dB [{low:+.3f}, {high:+.3f}]."
        )
    return sentences


def table1(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The table of all models from their `evaluation.score`, measured beside reported, in the order of `ROWS`.

    Columns: `row` (the key in `ROWS`), `model`, `photos`; each measure with `_low` and `_high` (95% bootstrap
    interval over photos); `lpips_note`; `colorfulness_ground_truth` with its interval; the report's own numbers.
    `colorfulness_gap` is the mean over photos of |prediction - truth|.

    Raises:
        ValueError: no scores, an unknown row, or rows that were not scored on the same photos.
    """
    if not scores or not set(scores) <= set(ROWS):
        raise ValueError(f"a table of the rows {list(scores)}? Give one or more of: {', '.join(ROWS)}")
    same_photos(scores)
    rows = [_row(row, scores[row]) for row in ROWS if row in scores]
    return pd.DataFrame(rows).join(REPORTED, on="row")


def _row(row, scores):
    gap = scores["colorfulness"] - scores["colorfulness_ground_truth"]
    scores = scores.assign(colorfulness_gap=gap.abs())
    facts = {"row": row, "model": ROWS[row], "photos": len(scores)}
    for column in (*MEASURES, "colorfulness_ground_truth"):
        if column not in scores:  # `psnr_gain_matched`, where no frontier was computed
            continue
        facts[column], facts[f"{column}_low"], facts[f"{column}_high"] = bootstrap(scores[column])
    facts["lpips_note"] = "" if scores["lpips"].notna().all() else scores["lpips_note"].iloc[0]
    return facts


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """`table` (of `table1`) for people, all strings: value and interval of each measure, and the report's numbers."""
    cells = pd.DataFrame({"model": table["model"]})
    for column, (title, digits) in MEASURES.items():
        if column not in table:
            continue
        cells[title] = [_interval(row, column, digits) for _, row in table.iterrows()]
    for column, title in zip(REPORTED, REPORTED_TITLES, strict=True):
        cells[title] = ["" if math.isnan(number) else f"{number:.5g}" for number in table[column]]
    return cells


def _interval(row, column, digits):
    mean, low, high = row[column], row[f"{column}_low"], row[f"{column}_high"]
    if math.isnan(mean):
        return "not measured" if column != "psnr_gain_matched" else "never as colorful"
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def summary(table: pd.DataFrame) -> str:
    """The few columns of `table` (of `table1`) that README shows, as Markdown."""
    gray_psnr = table.set_index("row").loc["gray", "psnr"]
    cells = pd.DataFrame({"": table["model"]})
    cells["MAE ↓"] = [_interval(row, "mae", 4) for _, row in table.iterrows()]
    cells["PSNR over gray, dB ↑"] = [f"{psnr - gray_psnr:+.2f}" for psnr in table["psnr"]]
    cells["CIEDE2000 ↓"] = [f"{error:.2f}" for error in table["delta_e"]]
    cells["colorfulness"] = [f"{value:.1f}" for value in table["colorfulness"]]
    cells["MAE, reported"] = ["" if math.isnan(number) else f"{number:.4f}" for number in table["reported_mae"]]
    return cells.to_markdown(index=False, disable_numparse=True)


def notes(table: pd.DataFrame) -> list[str]:
    """The sentences that belong below `table` (of `table1`): what is measured how."""
    truth = table.iloc[0]
    sentences = [
        f"{truth['photos']:,} photos; in brackets: 95% bootstrap intervals over photos, not seeds.",
        "MAE is of a*/110 and b*/110 before clipping, all else of the picture shown, clipped to sRGB.",
        f"Colorfulness (Hasler and Süsstrunk) of the truth: {_interval(truth, 'colorfulness_ground_truth', 1)}. Its gap: "
        "the mean over photos of the absolute difference.",
        "Reported: the course report's numbers, measured on its own photos.",
    ]
    sentences += [f"LPIPS: not measured ({note})." for note in table["lpips_note"].dropna().unique() if note]
    return sentences


def write_table(table: pd.DataFrame, folder, more_notes=(), scores=None) -> list[Path]:
    """Write `table` (of `table1`) as table1.csv, .md and .tex into `folder`, each whole or not at all.

    The csv has plain numbers, empty where not measured. The .tex has a column for each model and needs booktabs;
    \\input it in a table environment.

    Args:
        more_notes: sentences to print below the table, on the profile say.
        scores: as for `table1`; each is written as scores_ROW.csv beside the table.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    cells, sentences = formatted(table), [*notes(table), *more_notes]
    below = "\n".join(f"- {sentence}" for sentence in sentences)
    comments = "\n".join(f"% {sentence}" for sentence in sentences)
    latex = cells.set_index("model").T.to_latex(escape=True)
    latex = latex.replace("↓", r"$\downarrow$").replace("↑", r"$\uparrow$")
    texts = {
        "table1.csv": _csv(table),
        "table1.md": f"{cells.to_markdown(index=False, disable_numparse=True)}\n\n{below}\n",
        "table1.tex": f"{comments}\n{latex}",
    }
    for row, frame in (scores or {}).items():
        texts[f"scores_{row}.csv"] = _csv(frame)
    for name, text in texts.items():
        save_atomic(lambda part, text=text: part.write_text(text, encoding="utf-8"), folder / name)
    return [folder / name for name in texts]


def _csv(frame):
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def read_scores(folder) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """What `write_table` wrote into `folder`: the table by row, and the scores of its rows, no others."""
    folder = Path(folder)
    table = pd.read_csv(folder / "table1.csv").set_index("row")
    scores = {}
    for row in table.index:
        scores[row] = pd.read_csv(folder / f"scores_{row}.csv", keep_default_na=False, na_values=[""])
    return table, scores
