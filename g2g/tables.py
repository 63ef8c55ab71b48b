"""Table 1, measured beside reported, as csv, Markdown and LaTeX; and generated numbers in Markdown files."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd

from g2g.files import save_atomic

ROWS = {
    "gray": "gray (ab = 0)",
    "constant": "best constant colour",
    "cnn": "CNN",
    "unet": "U-Net",
    "unet_long": "U-Net ({} more epochs)",
    "cgan": "cGAN",
}
# Column, title in Markdown, title in LaTeX, digits
MEASURES = [
    ("mae", "MAE ↓", r"MAE $\downarrow$", 4),
    ("psnr", "PSNR, dB ↑", r"PSNR, dB $\uparrow$", 2),
    ("ssim", "SSIM ↑", r"SSIM $\uparrow$", 4),
    ("delta_e", "CIEDE2000 ↓", r"CIEDE2000 $\downarrow$", 2),
    ("lpips", "LPIPS (VGG) ↓", r"LPIPS (VGG) $\downarrow$", 4),
    ("colorfulness", "colourfulness", "colourfulness", 1),
    ("gap_difference_of_means", "its gap: difference of means ↓", r"difference of means $\downarrow$", 1),
    ("gap_mean_of_differences", "its gap: mean of differences ↓", r"mean of differences $\downarrow$", 1),
]
# The course report's own numbers (Table 1 and the text of its results). Its text calls both losses of the GAN
# "discriminator loss"; which is which is not said.
REPORTED = {
    "cnn": {
        "reported_mae": 0.0848,
        "reported_lpips": 0.148,
        "reported_loss": 0.0848,
        "reported_loss_is": "validation loss",
    },
    "unet": {"reported_mae": 0.0846, "reported_lpips": 0.141, "reported_loss": 0.07586, "reported_loss_is": "L1 loss"},
    "cgan": {
        "reported_mae": 0.0807,
        "reported_lpips": 0.132,
        "reported_loss": 0.594,
        "reported_loss_2": 11.37,
        "reported_loss_is": "both called discriminator loss",
    },
}
REPORTED_COLUMNS = ["reported_mae", "reported_lpips", "reported_loss", "reported_loss_2", "reported_loss_is"]


def table1(scores: dict[str, pd.DataFrame], more_epochs: int = 20) -> pd.DataFrame:
    """The table of all models, measured beside reported: the rows that `scores` has, in the order of `ROWS`.

    Columns: `row` (the key in `ROWS`), `model`, `photos`; each measure with `_low` and `_high` (95% bootstrap
    interval over photos); `lpips_note`; `colorfulness_truth` with its interval; the report's own numbers. The
    gap in colourfulness to the truth is there in both definitions: `gap_difference_of_means`, |mean of
    predictions - mean of truths|, and `gap_mean_of_differences`, mean over photos of |prediction - truth|.

    Args:
        scores: results of `evaluation.score` by row: gray, constant, cnn, unet, unet_long, cgan.
        more_epochs: how long `unet_long` was trained on, for its name.

    Raises:
        ValueError: no scores, an unknown row, or rows that were not scored on the same photos.
    """
    if not scores or set(scores) - set(ROWS):
        raise ValueError(f"a table of the rows {list(scores)}? Give one or more of: {', '.join(ROWS)}")
    same_photos(scores)
    rows = []
    for key in (k for k in ROWS if k in scores):
        s = scores[key]
        gap = s["colorfulness"] - s["colorfulness_truth"]
        s = s.assign(gap_difference_of_means=gap, gap_mean_of_differences=gap.abs())
        row = {"row": key, "model": ROWS[key].format(more_epochs), "photos": len(s)}
        for column in [*(column for column, *_ in MEASURES), "colorfulness_truth"]:
            interval = bootstrap(s[column])
            if column == "gap_difference_of_means":
                interval = _absolute(*interval)
            row |= dict(zip((column, f"{column}_low", f"{column}_high"), interval, strict=True))
        row["lpips_note"] = "" if s["lpips"].notna().all() else str(s["lpips_note"].iloc[0])
        rows.append(row | REPORTED.get(key, {}))
    table = pd.DataFrame(rows)
    return table.reindex(columns=[c for c in table if c not in REPORTED_COLUMNS] + REPORTED_COLUMNS)


def write_table(table: pd.DataFrame, folder, notes=(), scores=None, name="table1") -> list[Path]:
    """Write `table` (of `table1`) as name.csv, name.md and name.tex into `folder`, each whole or not at all.

    The csv has plain numbers, empty where not measured. The .tex needs no package but booktabs; \\input it in
    a table* environment.

    Args:
        notes: sentences to print below the table, on the profile say.
        scores: as for `table1`; each is written as scores_ROW.csv beside the table.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    notes = [*_notes(table), *notes]
    texts = {f"{name}.csv": _csv(table), f"{name}.md": _markdown(table, notes), f"{name}.tex": _latex(table, notes)}
    texts |= {f"scores_{row}.csv": _csv(s) for row, s in (scores or {}).items()}
    for file, text in texts.items():
        save_atomic(lambda path, text=text: path.write_text(text, encoding="utf-8"), folder / file)
    return [folder / file for file in texts]


def read_scores(folder) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """What `write_table` wrote into `folder`: the table by row, and the scores of its rows, no others."""
    table = pd.read_csv(Path(folder) / "table1.csv").set_index("row")
    return table, {
        row: pd.read_csv(Path(folder) / f"scores_{row}.csv", keep_default_na=False, na_values=[""])
        for row in table.index
    }


def quoted_score(run) -> str:
    """One line on a run of `stages.quoted`: its test MAE and gray's with their intervals, and the report's."""
    table = pd.read_csv(run.folder.parent / "table1.csv").set_index("row")
    mae = [
        f"{table.at[row, 'mae']:.4f} [{table.at[row, 'mae_low']:.4f}, {table.at[row, 'mae_high']:.4f}]"
        for row in (run.stage, "gray")
    ]
    reported = table.at[run.stage, "reported_mae"]
    beside = "" if math.isnan(reported) else f"; the report, on its own photos: {reported:.4f}"
    return f"test MAE {mae[0]}, gray {mae[1]}, on {table.at['gray', 'photos']:,} photos{beside}"


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


def _absolute(mean, low, high):
    """Interval of |x| from that of x: if that holds 0, so does this one."""
    ends = sorted((abs(low), abs(high)))
    return abs(mean), 0.0 if low < 0 < high else ends[0], ends[1]


def _csv(frame):
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def _notes(table):
    truth = table.iloc[0]
    missing = [label.replace("{} ", "") for key, label in ROWS.items() if key not in set(table["row"])]
    notes = [
        f"{truth['photos']:,} photos; in brackets: 95% bootstrap intervals over photos, not seeds.",
        "MAE is of a*/110 and b*/110 before clipping, all else of the picture shown, clipped to sRGB.",
        "Colourfulness (Hasler and Süsstrunk) of the truth: "
        f"{_cell(truth, 'colorfulness_truth', 1)}. Its gap, difference of means: |mean of predictions - "
        "mean of truths|; mean of differences: mean over photos of |prediction - truth|.",
        "Reported: the course report's numbers, measured on its own photos; it calls both losses of its "
        "GAN discriminator loss.",
    ]
    notes += [f"LPIPS: not measured ({note})." for note in dict.fromkeys(table["lpips_note"]) if note]
    return notes + [f"Missing rows, not scored: {', '.join(missing)}."] * bool(missing)


def _cell(row, column, digits):
    value, low, high = (f"{row[c]:.{digits}f}" for c in (column, f"{column}_low", f"{column}_high"))
    return f"{value} [{low}, {high}]"


def _reported(row):
    """The three cells of the report's own numbers, empty where it gives none."""
    mae, lpips, *losses = ("" if math.isnan(row[c]) else f"{row[c]:.5g}" for c in REPORTED_COLUMNS[:-1])
    return [mae, lpips, " and ".join(loss for loss in losses if loss)]


def _markdown(table, notes):
    header = [
        "model",
        *(title for _, title, *_ in MEASURES),
        "MAE, reported",
        "LPIPS, reported",
        "final loss, reported",
    ]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for _, row in table.iterrows():
        cells = ["not measured" if math.isnan(row[c]) else _cell(row, c, digits) for c, _, _, digits in MEASURES]
        lines.append([row["model"], *cells, *_reported(row)])
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def _latex(table, notes):
    """Two tabulars, one above the other, because all columns side by side are wider than a page."""
    colour = [m for m in MEASURES if m[0].startswith(("color", "gap"))]
    error = [m for m in MEASURES if m not in colour]
    return "\n".join(
        [
            "% Written by g2g: edits will be lost. Needs \\usepackage{booktabs}.",
            r"{\footnotesize\setlength{\tabcolsep}{3pt}",
            _tabular(table, error, reported=True),
            r"\par\medskip",
            _tabular(table, colour, reported=False),
            r"\par\smallskip}",
            rf"{{\scriptsize {_tex(' '.join(notes))}\par}}",
            "",
        ]
    )


def _tabular(table, measures, reported):
    titles = ["model", *(title for _, _, title, _ in measures)]
    titles += ["MAE, rep.", "LPIPS, rep.", "loss, rep."] * reported
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}", r"\toprule", " & ".join(titles) + r" \\", r"\midrule"]
    for _, row in table.iterrows():  # two lines each: the values, and their intervals below
        cells = [
            ("not measured", "") if math.isnan(row[c]) else _cell(row, c, digits).split(" ", 1)
            for c, _, _, digits in measures
        ]
        cells += [(cell, "") for cell in _reported(row)] * reported
        values, intervals = zip((_tex(row["model"]), ""), *cells, strict=True)
        lines += [
            " & ".join(values) + r" \\",
            " & ".join(rf"{{\scriptsize {i}}}" if i else "" for i in intervals) + r" \\",
        ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _tex(text):
    """Text with LaTeX's special characters escaped."""
    special = {c: "\\" + c for c in "&%$#_{}"} | {c: f"${c}$" for c in "<>|*"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "ü": r"\"u"}
    return "".join(special.get(c, c) for c in text)


LOWER_IS_BETTER = {
    "mae": True,
    "mae_gray_pixels": True,
    "mae_colorful_pixels": True,
    "psnr": False,
    "ssim": False,
    "delta_e": True,
    "lpips": True,
}


def bootstrap(values, n=2000, seed=42) -> tuple[float, float, float]:
    """Mean and its 95% percentile bootstrap interval over photos: (mean, low, high); NaN values are left out.

    It says how far the mean depends on which photos were drawn, nothing about other training seeds.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan, math.nan
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(n)]
    return float(values.mean()), *(float(q) for q in np.percentile(means, (2.5, 97.5)))


def same_photos(scores):
    """Raise ValueError unless all score tables of a dict are of the same photos, order and size."""
    first, *others = scores
    for name in others:
        a, b = scores[first], scores[name]
        # The truth's chroma changes with the photo's size: two profiles can share all file names
        if a["file"].tolist() != b["file"].tolist() or not np.allclose(a["chroma"], b["chroma"], atol=0.01):
            raise ValueError(
                f"{first} and {name} are not scored on the same photos ({len(a):,}, {len(b):,}; "
                "compared: file, order, chroma); is one from another profile?"
            )


def compare(a, b, column="mae", names=("the first", "the second")) -> dict:
    """Paired comparison of two score tables on the same photos.

    Returns a dict: `column`, `photos`, `better` (share of photos where a is better), `equal`, `difference`
    (mean of a - b) with `low` and `high` (95% bootstrap interval), and `sentence`, which says it in words.

    Raises:
        ValueError: other photos, a column without a better and a worse, or one that was not measured.
    """
    if column not in LOWER_IS_BETTER:
        raise ValueError(f"{column!r} has no better and worse; known: {', '.join(LOWER_IS_BETTER)}")
    same_photos(dict(zip(names, (a, b), strict=True)))
    difference = a[column].to_numpy() - b[column].to_numpy()
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        raise ValueError(f"{column} was not measured for {names[0]} or {names[1]}")
    gain = -difference if LOWER_IS_BETTER[column] else difference
    mean, low, high = bootstrap(difference)
    better = float((gain > 0).mean())
    verdict = "lower" if mean < 0 else "higher"
    sure = "" if low > 0 or high < 0 else ", which cannot be told from zero"
    sentence = (
        f"{names[0]} beats {names[1]} on {better:.1%} of {len(gain):,} photos; its {column} is "
        f"{verdict} by {abs(mean):.3g} on average (95% interval of the difference: {low:.3g} to "
        f"{high:.3g}{sure})."
    )
    return {
        "column": column,
        "photos": len(gain),
        "better": better,
        "equal": float((gain == 0).mean()),
        "difference": mean,
        "low": low,
        "high": high,
        "sentence": sentence,
    }


def error_by_chroma(scores, column="mae", edges=(0, 5, 10, 15, 20, 30, 140)) -> pd.DataFrame:
    """Mean of `column` by the photos' chroma: from, to (CIE units), photos, mean, low, high."""
    rows = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        values = scores.loc[scores["chroma"].between(low, high, inclusive="left"), column]
        rows.append((low, high, len(values), *bootstrap(values)))
    return pd.DataFrame(rows, columns=["from", "to", "photos", "mean", "low", "high"])


def fooling(answers, truth) -> tuple[float, float, float]:
    """Fooling rate of "which one is real?" with its 95% Wilson interval: (rate, low, high).

    `truth` says for each pair which picture is the real one ("left" or "right", say), `answers` what was
    answered; a wrong answer is a fooled one, and 0.5 is what a perfect model gets.

    Raises:
        ValueError: lists of different length, empty, or with more than two different answers.
    """
    from scipy.stats import binomtest

    answers, truth = list(answers), list(truth)
    if not answers or len(answers) != len(truth):
        raise ValueError(f"{len(answers)} answers for {len(truth)} pairs; give one for each")
    if len(kinds := set(answers) | set(truth)) > 2:
        raise ValueError(f"there are two pictures to choose from, not {', '.join(sorted(map(str, kinds)))}")
    fooled = sum(a != t for a, t in zip(answers, truth, strict=True))
    interval = binomtest(fooled, len(truth)).proportion_ci(method="wilson")
    return fooled / len(truth), interval.low, interval.high
