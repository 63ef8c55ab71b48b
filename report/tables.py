"""The tables of measured models, from their scores: table 1 beside the report's, color against error, the palette."""

import math
from pathlib import Path

import pandas as pd

from g2g.evaluation import at_colorfulness, bootstrap, same_photos
from g2g.files import save_atomic
from g2g.models import count_parameters
from g2g.profiles import TITLES

ROWS = {
    "gray": "gray (ab = 0)",
    "constant": "best constant color",
    "cnn": TITLES["cnn"],
    "unet": TITLES["unet"],
    "unet_mirrored": "U-Net (mean with its mirror image)",  # see `g2g.models.Mirrored`
} | TITLES
# Column: title, digits
MEASURES = {
    "mae": ("MAE ↓", 4),
    "psnr": ("PSNR, dB ↑", 2),
    "ssim": ("SSIM ↑", 4),
    "delta_e": ("CIEDE2000 ↓", 2),
    "lpips": ("LPIPS (VGG) ↓", 4),
    "colorfulness": ("colorfulness", 1),
    "colorfulness_gap": ("its gap to the ground truth ↓", 1),
    "psnr_gain_matched": ("PSNR gain at matched colorfulness, dB ↑", 2),
}
REPORTED = pd.DataFrame(  # the course report's Table 1
    {"reported_mae": [0.0848, 0.0846, 0.0807], "reported_lpips": [0.148, 0.141, 0.132]},
    index=["cnn", "unet", "cgan"],
)
REPORTED_TITLES = {"reported_mae": "MAE, reported", "reported_lpips": "LPIPS, reported"}
PAIRS = [("unet_long", "unet"), ("cgan", "unet"), ("cgan", "unet_long"), ("palette", "unet_long"), ("flow", "unet")]


def table1(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The table of all models from their `evaluation.score`, in the order of `ROWS`: `with_intervals`.

    `colorfulness_gap` is the mean over photos of |prediction - ground truth|. Raises ValueError for no scores, an
    unknown row, or rows that were not scored on the same photos.
    """
    if not scores or not set(scores) <= set(ROWS):
        raise ValueError(f"a table of the rows {list(scores)}? Give one or more of: {', '.join(ROWS)}")
    same_photos(scores)
    frames = {}
    for row in ROWS:
        if row in scores:
            gap = scores[row]["colorfulness"] - scores[row]["colorfulness_ground_truth"]
            frames[row] = scores[row].assign(colorfulness_gap=gap.abs())
    return with_intervals(frames)


def with_intervals(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """row -> measures by photo, as a table of one row each: their means, and the report's own numbers.

    Columns: `row` (the key in `ROWS`), `model`, `photos`; each measure and `colorfulness_ground_truth`, with `_low` and
    `_high` (95% bootstrap interval over photos); `reported_mae`, `reported_lpips`.
    """
    rows = []
    for row, frame in frames.items():
        facts = {"row": row, "model": ROWS[row], "photos": len(frame)}
        rows.append(facts | intervals(frame.filter([*MEASURES, "colorfulness_ground_truth"])))
    return pd.DataFrame(rows).join(REPORTED, on="row")


def intervals(columns) -> dict:
    """Mean of each column, by its name, with `_low` and `_high`, its 95% interval."""
    found = {}
    for name, values in columns.items():
        found[name], found[f"{name}_low"], found[f"{name}_high"] = bootstrap(values)
    return found


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """`table` (of `with_intervals`) for people, all strings: each measure with its interval, the report's numbers."""
    cells = pd.DataFrame({"model": table["model"]})
    for column, (title, digits) in MEASURES.items():
        if column in table:
            cells[title] = [_interval(row, column, digits) for _, row in table.iterrows()]
    for column, title in REPORTED_TITLES.items():
        cells[title] = ["" if math.isnan(number) else f"{number:.5g}" for number in table[column]]
    return cells


def _interval(row, column, digits):
    mean, low, high = row[column], row[f"{column}_low"], row[f"{column}_high"]
    if math.isnan(mean):
        return "never as colorful" if column == "psnr_gain_matched" else "not measured yet"
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def summary(table: pd.DataFrame) -> str:
    """The few columns of `table` (of `table1`) that README shows, as Markdown."""
    gain = table["psnr"] - table.set_index("row").loc["gray", "psnr"]
    cells = formatted(table).rename(columns={"model": ""})
    cells["PSNR over gray, dB ↑"] = gain.map("{:+.2f}".format)
    cells["colorfulness"] = table["colorfulness"].map("{:.1f}".format)
    shown = ["", "MAE ↓", "PSNR over gray, dB ↑", "LPIPS (VGG) ↓", "colorfulness", *REPORTED_TITLES.values()]
    return as_markdown(cells[shown])


def as_markdown(cells: pd.DataFrame) -> str:
    """A table of text."""
    return cells.to_markdown(index=False, disable_numparse=True)


def notes(table: pd.DataFrame) -> list[str]:
    """The sentences that belong below `table` (of `table1`): what is measured how."""
    first = table.iloc[0]
    return [
        f"{first['photos']:,} photos; in brackets: 95% bootstrap intervals over photos, not seeds.",
        "MAE is of a*/110 and b*/110 before clipping. All else is measured on the picture shown, clipped to sRGB.",
        "Colorfulness (Hasler and Süsstrunk) of the ground truth: "
        f"{_interval(first, 'colorfulness_ground_truth', 1)}. Its gap: the mean over photos of |difference|.",
        "PSNR gain at matched colorfulness: dB over gray when all predictions are multiplied by the constant that "
        "makes the photos on average as colorful as the ground truth.",
        "Reported: the course report's numbers, measured on its own photos.",
    ]


def runs_table(runs: dict) -> pd.DataFrame:
    """What each run was, one row a run, as text."""
    rows = []
    for model, run in runs.items():
        record, recipe = run.record, run.recipe
        rate = f"{recipe.lr:g} ({recipe.schedule.replace('_', ' ')})"
        if model == "cgan":
            rate += f", D: {recipe.d_lr_mult * recipe.lr:g}"
        encoder = f"{recipe.encoder}, {recipe.weights or 'random weights'}"
        if model == "cnn":
            encoder = "none"
        if recipe.init_from:
            encoder = f"of {record['init_run']}"
        row = {
            "model": TITLES[model],
            "run": run.id,
            "photos": f"{record['train']:,}",
            "px": record["size"],
            "epochs": f"{recipe.epochs}{f' (of {recipe.steps_per_epoch} steps each)' * bool(recipe.steps_per_epoch)}",
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


def frontier(scores: dict, curves: dict) -> pd.DataFrame:
    """Every model as a curve, one row a `row` and `saturation`: mean `colorfulness`, and `gain`, dB over gray.

    `scores`, `curves`: row -> result of `evaluation.score`, of `evaluation.saturated`. Each score table gets the column
    `psnr_gain_matched`, dB over gray when all predictions are multiplied until the photos are on average as colorful as
    the ground truth; NaN where no factor gets there.
    """
    level, gray_psnr = scores["gray"]["colorfulness_ground_truth"].mean(), scores["gray"]["psnr"]
    for row, curve in curves.items():
        scores[row]["psnr_gain_matched"] = at_colorfulness(curve, level) - gray_psnr
    table = mean_curves(curves, "psnr").rename(columns={"psnr": "gain"})
    table["gain"] -= gray_psnr.mean()
    return table


def mean_curves(curves: dict, column) -> pd.DataFrame:
    """Mean `colorfulness` and `column` of row -> result of `evaluation.saturated`, one row a `row` and `saturation`."""
    means = {row: curve.groupby("saturation")[["colorfulness", column]].mean() for row, curve in curves.items()}
    return pd.concat(means, names=["row"]).reset_index()


def equally_colorful(scores: dict, curves: dict, column="psnr") -> list[str]:
    """Sentences on models one against the other, the other times the constant that makes it as colorful.

    `curves` may be of the first photos only, as those of LPIPS are; the sentences are then on these.
    """
    unit = " dB" if column == "psnr" else ""
    sentences = []
    for row, other in PAIRS:
        if row not in scores or other not in curves:
            continue
        photos = len(curves[other]) // curves[other]["saturation"].nunique()
        own = scores[row].head(photos)
        level = own["colorfulness"].mean()
        mean, low, high = bootstrap(own[column].to_numpy() - at_colorfulness(curves[other], level, column))
        sentences.append(
            f"{column.upper()} of {TITLES[row]}, colorfulness {level:.1f}, against {TITLES[other]} times the constant "
            f"that makes it as colorful, on {photos:,} photos: {mean:+.3f}{unit} [{low:+.3f}, {high:+.3f}]."
        )
    return sentences


def palette_parameters(points: pd.DataFrame, gray_scores: pd.DataFrame, unet_curve: pd.DataFrame) -> pd.DataFrame:
    """What the two parameters of a `PaletteUnet` buy and cost on the test photos, one row a pair.

    `temperature`, `rebalancing`, `mae`, `gain` (dB over gray), `colorfulness`; with 95% intervals (`_low`, `_high`):
    `psnr_gain_matched`, and `against_unet` and `matched_against_unet`, dB over the U-Net times the constant that makes
    it as colorful as this row, and as the ground truth.

    `points` (with columns for the two parameters) and `unet_curve` are of `evaluation.by_saturation`, `gray_scores` of
    `evaluation.score`, all of the same photos.
    """
    rows = []
    level, gray_psnr = gray_scores["colorfulness_ground_truth"].mean(), gray_scores["psnr"]
    unet_matched = at_colorfulness(unet_curve, level)
    for (temperature, rebalancing), curve in points.groupby(["temperature", "rebalancing"]):
        plain = curve[curve["saturation"] == 1].reset_index(drop=True)
        matched = at_colorfulness(curve, level)
        row = {"temperature": temperature, "rebalancing": rebalancing, "mae": plain["mae"].mean()}
        row |= {"gain": (plain["psnr"] - gray_psnr).mean(), "colorfulness": plain["colorfulness"].mean()}
        differences = {
            "psnr_gain_matched": matched - gray_psnr,
            "against_unet": plain["psnr"] - at_colorfulness(unet_curve, row["colorfulness"]),
            "matched_against_unet": matched - unet_matched,
        }
        rows.append(row | intervals(differences))
    return pd.DataFrame(rows)


def write_scored(scored, folder) -> str:
    """Write tables and scores of a `report.pipeline.Scored` into `folder`, each file whole; returns table1.md.

    A csv has plain numbers, empty where not measured: scores_ROW.csv a row per photo. table1.md has the notes below the
    table. table1.tex has a column for each model and needs booktabs; \\input it in a table environment.
    """
    table = scored.tables["table1"]
    cells = formatted(table)
    sentences = [*notes(table), *scored.notes]
    texts = {f"{name}.csv": as_csv(table) for name, table in scored.tables.items()}
    texts |= {f"scores_{row}.csv": as_csv(frame) for row, frame in scored.scores.items()}
    below = "\n".join(f"- {sentence}" for sentence in sentences)
    texts["table1.md"] = f"{as_markdown(cells)}\n\n{below}\n"
    comments = "\n".join(f"% {sentence}" for sentence in sentences)
    latex = cells.set_index("model").T.to_latex(escape=True).replace("↓", r"$\downarrow$").replace("↑", r"$\uparrow$")
    texts["table1.tex"] = f"{comments}\n{latex}"
    write_texts(texts, folder)
    return texts["table1.md"]


def write_texts(texts: dict[str, str], folder) -> None:
    """Write name -> text into `folder`, each file whole or not at all."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        save_atomic(lambda part, text=text: part.write_text(text, encoding="utf-8"), Path(folder) / name)


def as_csv(frame: pd.DataFrame) -> str:
    """Numbers with six digits; the same on every system."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
