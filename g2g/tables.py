"""Scores compared and laid out: intervals over photos, paired comparisons, and table 1 measured beside reported."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from g2g.files import save_atomic
from g2g.profiles import SEED, TITLES

ROWS = {"gray": "gray (ab = 0)", "constant": "best constant colour"} | TITLES
# Column: title, digits
MEASURES = {
    "mae": ("MAE ↓", 4),
    "psnr": ("PSNR, dB ↑", 2),
    "ssim": ("SSIM ↑", 4),
    "delta_e": ("CIEDE2000 ↓", 2),
    "lpips": ("LPIPS (VGG) ↓", 4),
    "colorfulness": ("colourfulness", 1),
    "colorfulness_gap": ("its gap to the truth ↓", 1),
}
REPORTED = pd.DataFrame(  # the course report's Table 1
    {"reported_mae": [0.0848, 0.0846, 0.0807], "reported_lpips": [0.148, 0.141, 0.132]},
    index=["cnn", "unet", "cgan"],
)
REPORTED_TITLES = ["MAE, reported", "LPIPS, reported"]
LOWER_IS_BETTER = dict.fromkeys(("mae", "mae_gray_pixels", "mae_colorful_pixels", "delta_e", "lpips"), True)
LOWER_IS_BETTER |= {"psnr": False, "ssim": False}


def bootstrap(values) -> tuple[float, float, float]:
    """Mean and its 95% percentile bootstrap interval over photos: (mean, low, high); NaN values are left out.

    It says how far the mean depends on which photos were drawn, nothing about other training seeds.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    mean = float(values.mean()) if len(values) else math.nan
    if len(values) < 2:  # scipy wants two
        return mean, mean, mean
    result = stats.bootstrap((values,), np.mean, n_resamples=2000, batch=100, method="percentile", rng=SEED)
    interval = result.confidence_interval
    return mean, float(interval.low), float(interval.high)


def same_photos(scores: dict[str, pd.DataFrame]) -> None:
    """Raise ValueError unless all score tables of a dict are of the same photos, order and size."""
    first, *others = scores
    for name in others:
        a, b = scores[first], scores[name]
        # The truth's chroma changes with the photo's size: two profiles can share all file names
        if a["file"].tolist() != b["file"].tolist() or not np.allclose(a["chroma"], b["chroma"], atol=0.01):
            counts = f"{len(a):,} and {len(b):,}, compared by file, order and chroma"
            raise ValueError(f"{first} and {name} are not scored on the same photos ({counts}): of another profile?")


def compare(a, b, column="mae", names=("the first", "the second")) -> dict:
    """Paired comparison of two score tables on the same photos.

    Returns a dict: `better` (share of photos where a is better), `difference` (mean of a - b) with `low` and
    `high` (95% bootstrap interval), and `sentence`, which says it in words.

    Raises:
        ValueError: other photos, a column without a better and a worse, or one that was not measured.
    """
    if column not in LOWER_IS_BETTER:
        raise ValueError(f"{column!r} has no better and worse; known: {', '.join(LOWER_IS_BETTER)}")
    first, second = names
    same_photos({first: a, second: b})
    difference = (a[column].reset_index(drop=True) - b[column].reset_index(drop=True)).dropna()
    if difference.empty:
        raise ValueError(f"{column} was not measured for {first} or {second}")
    mean, low, high = bootstrap(difference)
    wins = difference < 0 if LOWER_IS_BETTER[column] else difference > 0
    verdict = "lower" if mean < 0 else "higher"
    doubt = ", which cannot be told from zero" if low <= 0 <= high else ""
    sentence = (
        f"{first} beats {second} on {wins.mean():.1%} of {len(wins):,} photos; its {column} is "
        f"{verdict} by {abs(mean):.3g} on average (95% interval of the difference: {low:.3g} to {high:.3g}{doubt})."
    )
    return {"better": float(wins.mean()), "difference": mean, "low": low, "high": high, "sentence": sentence}


def table1(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The table of all models from their `evaluation.score`, measured beside reported, in the order of `ROWS`.

    Columns: `row` (the key in `ROWS`), `model`, `photos`; each measure with `_low` and `_high` (95% bootstrap
    interval over photos); `lpips_note`; `colorfulness_truth` with its interval; the report's own numbers.
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
    gap = scores["colorfulness"] - scores["colorfulness_truth"]
    scores = scores.assign(colorfulness_gap=gap.abs())
    facts = {"row": row, "model": ROWS[row], "photos": len(scores)}
    for column in (*MEASURES, "colorfulness_truth"):
        facts[column], facts[f"{column}_low"], facts[f"{column}_high"] = bootstrap(scores[column])
    facts["lpips_note"] = "" if scores["lpips"].notna().all() else scores["lpips_note"].iloc[0]
    return facts


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """`table` (of `table1`) for people, all strings: value and interval of each measure, and the report's numbers."""
    cells = pd.DataFrame({"model": table["model"]})
    for column, (title, digits) in MEASURES.items():
        cells[title] = [_interval(row, column, digits) for _, row in table.iterrows()]
    for column, title in zip(REPORTED, REPORTED_TITLES, strict=True):
        cells[title] = ["" if math.isnan(number) else f"{number:.5g}" for number in table[column]]
    return cells


def _interval(row, column, digits):
    mean, low, high = row[column], row[f"{column}_low"], row[f"{column}_high"]
    if math.isnan(mean):
        return "not measured"
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def notes(table: pd.DataFrame) -> list[str]:
    """The sentences that belong below `table` (of `table1`): what is measured how, and what is missing."""
    truth = table.iloc[0]
    missing = [title for title in ROWS.values() if title not in set(table["model"])]
    sentences = [
        f"{truth['photos']:,} photos; in brackets: 95% bootstrap intervals over photos, not seeds.",
        "MAE is of a*/110 and b*/110 before clipping, all else of the picture shown, clipped to sRGB.",
        f"Colourfulness (Hasler and Süsstrunk) of the truth: {_interval(truth, 'colorfulness_truth', 1)}. Its gap: "
        "the mean over photos of the absolute difference.",
        "Reported: the course report's numbers, measured on its own photos.",
    ]
    sentences += [f"LPIPS: not measured ({note})." for note in table["lpips_note"].dropna().unique() if note]
    if missing:
        sentences.append(f"Missing rows, not scored: {', '.join(missing)}.")
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


def quoted_score(run) -> str:
    """One line on a run of `runs.quoted`: its test MAE and gray's with their intervals, and the report's."""
    table = pd.read_csv(run.folder.parent / "table1.csv").set_index("row")
    its, gray = table.loc[run.stage], table.loc["gray"]
    sentence = f"test MAE {_interval(its, 'mae', 4)}, gray {_interval(gray, 'mae', 4)}, on {gray['photos']:,} photos"
    if math.isnan(its["reported_mae"]):
        return sentence
    return f"{sentence}; the report, on its own photos: {its['reported_mae']:.4f}"
