"""The report, regenerated: `make_report` writes one page with measured numbers and every figure."""

import html
from pathlib import Path
from string import Template

import torch

from g2g import evaluation, figures, lab
from g2g import runs as stages
from g2g.data import prepare
from g2g.files import save_atomic
from g2g.profiles import STAGES, TITLES, Profile, get_profile
from g2g.tables import compare, read_scores
from g2g.training import predict
from report import claims
from report.page import TEMPLATE, as_html, inline

PAIRS = [
    ("cnn", "gray"),
    ("unet", "gray"),
    ("cgan", "gray"),
    ("unet", "cnn"),
    ("unet_long", "unet"),
    ("cgan", "unet_long"),
]
SOURCES = {
    "bundled": "crops of photographs bundled with scikit-image and scikit-learn",
    "coco_sample": "fast.ai's sample of COCO",
    "folder": "a folder of one's own",
}


def make_report(profile: Profile | str | None = None) -> Path:
    """Train what is missing, evaluate, draw every figure; returns the page, `report/index.html` of outputs.

    The page is self-contained. The same runs and photos give the same bytes.

    Raises:
        ValueError: a run in the way is of another profile (named); and what training and evaluation raise.
    """
    from report.publish import runs_table

    profile = profile if isinstance(profile, Profile) else get_profile(profile)
    photos = prepare(profile)
    runs = {stage: stages.load_or_train(stage, profile, photos=photos) for stage in STAGES}
    for run in runs.values():
        check(run, profile, photos)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        table = evaluation.evaluate_profile(profile, photos)
        rows, scores = read_scores(profile.outputs / "results")
        colors = color_counts(runs, photos)
        drawn = draw(runs, photos, scores, colors)
    folder = profile.outputs / "figures"
    pngs = [figures.save(fig, name, folder) for name, fig in drawn.items()]
    facts = _facts(profile, photos, runs, rows, scores) | _figures(pngs, folder / "parameter_analysis.png")
    facts |= {
        "table": as_html(table),
        "runs": as_html(runs_table(runs)),
        "verdicts": _verdicts(claims.verdicts(scores, colors, runs, profile)),
    }
    path = profile.outputs / "report" / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_atomic(lambda part: part.write_text(Template(TEMPLATE).substitute(facts), encoding="utf-8"), path)
    return path


def check(run, profile, photos):
    """Raise ValueError, naming the run, if it is of another profile, size or set of photos."""
    for what, here in (("profile", profile.name), ("photos_hash", photos.hash), ("size", photos.size)):
        if (its := run.record.get(what, here)) != here:
            raise ValueError(
                f"run {run.id} has {what} {its}, here it is {here}: it is not evaluated; train "
                f"one here with `python -m g2g train {run.stage}`"
            )


def pictures(models: dict, photos) -> dict:
    """Gray, what each model answers, and the truth: name -> N images, in the order of `models`.

    Args:
        models: name -> module, on the CPU.
        photos: uint8 (N,S,S,3).
    """
    L, ab = lab.photos_to_lab(photos)
    answers = {name: lab.to_rgb(L, predict(model, L)) for name, model in models.items()}
    return {"gray": lab.to_rgb(L, 0 * ab), **answers, "truth": photos}


def color_counts(runs: dict, photos) -> dict:
    """How often each colour occurs in the test photos and in the runs' answers: name -> (bins, bins)."""
    truth, counts = None, {}
    for stage, run in runs.items():
        model = run.model(device=stages.device())
        truth, counts[stage], _ = evaluation.ab_histograms(model, photos, name=stage)
    return {"truth": truth, **counts}


def draw(runs: dict, photos, scores: dict, colors: dict) -> dict:
    """Every figure that these runs allow, by its fixed name."""
    nets, test = {stage: run.model() for stage, run in runs.items()}, photos.test
    three = {stage: net for stage, net in nets.items() if stage != "unet_long"}
    columns, size = pictures(three, test[:5]), photos.size
    answer = {stage: lambda i, net=net: pictures({"it": net}, test[i : i + 1])["it"][0] for stage, net in three.items()}
    return {
        "teaser": figures.teaser({name: images[0] for name, images in columns.items()}),
        "preprocessing": figures.preprocessing(test[0]),
        "cnn_architecture": figures.cnn_architecture(nets["cnn"], size),
        "unet_architecture": figures.unet_architecture(nets["unet"], size),
        "gan_architecture": figures.gan_architecture(nets["cgan"], runs["cgan"].discriminator(), size),
        "loss_curves": figures.loss_curves(runs),
        "qualitative_grid": figures.qualitative_grid(columns),
        "ab_histograms": figures.ab_histograms(colors),
        "error_against_chroma": figures.error_against_chroma({row: scores[row] for row in ("gray", *three)}),
        "best_and_worst": figures.best_and_worst(test, answer, {row: scores[row]["mae"] for row in three}),
    }


def _facts(profile, photos, runs, rows, scores):
    """The numbers and words of the text."""
    facts = {
        f"{column}_{row}": f"{rows.loc[row, column]:.{digits}f}"
        for row in rows.index
        for column, digits in (("mae", 4), ("colorfulness", 1))
    }
    lpips = ", ".join(f"{rows.loc[row, 'lpips']:.3f} ({TITLES[row]})" for row in ("cnn", "unet", "cgan"))
    sentences = [
        compare(scores[a], scores[b], "mae", (TITLES.get(a, a), TITLES.get(b, b)))["sentence"] for a, b in PAIRS
    ]
    test, cgan = scores["gray"], runs["cgan"]
    return facts | {
        "profile": profile.name,
        "purpose": profile.purpose,
        "size": photos.size,
        "hash": photos.hash,
        "train": f"{len(photos.train):,}",
        "valid": f"{len(photos.valid):,}",
        "test": f"{len(test):,}",
        "source": SOURCES[profile.source],
        "near_gray": f"{test['near_gray'].mean():.1%}",
        "colorfulness_truth": f"{test['colorfulness_truth'].mean():.1f}",
        "minutes": f"{sum(run.record['minutes'] for run in runs.values()):.1f}",
        "versions": ", ".join(f"{name} {version}" for name, version in cgan.record["versions"].items()),
        "lpips": f"not measured ({rows['lpips_note'].iloc[0]})" if rows["lpips"].isna().any() else lpips,
        "encoder": "with ImageNet weights" if runs["unet"].recipe.weights else "<strong>not pretrained</strong>",
        "lam": f"{cgan.recipe.lam:g}",
        "d_rate": f"{cgan.recipe.d_rate:g}",
        "field": cgan.recipe.receptive_field,
        "more_epochs": runs["unet_long"].recipe.epochs,
        "comparisons": "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences),
    }


def _figures(pngs, sweep):
    """Saved figures as HTML, by `fig_NAME`; the parameter analysis only where its runs were made."""
    words = "One factor at a time." if sweep.is_file() else "Not run here: <code>python -m report sweep</code>."
    entries = (sweep.parent / "captions.md").read_text(encoding="utf-8").split("## ")[1:]
    captions = dict(entry.split("\n", 1) for entry in entries)
    found = {
        f"fig_{path.stem}": inline(path, captions[path.stem].strip()) for path in [*pngs, *[sweep] * sweep.is_file()]
    }
    return {"fig_parameter_analysis": "", "parameter_text": words} | found


def _verdicts(table):
    cells = ([f"“{row.claim}”", row.verdict, row.why, row.rule] for row in table.itertuples())
    return "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
