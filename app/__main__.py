"""The course without a notebook: `python -m g2g prepare | train | evaluate | colorize | demo`.

Exit codes: 0 done, 1 failed (the message names cause and remedy), 2 wrong arguments or no photo, 130 interrupted.
"""

import argparse
import dataclasses
import math
import sys
import typing
from functools import partial

from g2g.files import explained, printable
from g2g.photos import MAX_MEGAPIXELS, find_photos
from g2g.profiles import MODELS, Recipe, get_profile, get_recipe

# What needs torch is imported by the command that uses it: `--help` need not wait for it

PARAMETERS = {"temperature": "palette", "rebalancing": "palette", "seed": "flow"}  # options of colorize: whose they are


class WrongArgument(ValueError):
    """The command line asks for what cannot be."""


def _checked(function, *arguments):
    """What `function` returns; its ValueError as one on the command line."""
    try:
        return function(*arguments)
    except ValueError as error:
        raise WrongArgument(str(error)) from error


def _read(text, kind):
    """`text` as a value of a recipe's field, whose type is `int` or `float | None`, say."""
    kinds = typing.get_args(kind) or (kind,)
    if text == "none" and type(None) in kinds:
        return None
    return kinds[0](text)


def _edited(recipe, changes):
    """`recipe` with KEY=VALUE strings applied. Raises WrongArgument that names the change and what it may be."""
    kinds = {field.name: field.type for field in dataclasses.fields(Recipe) if field.name != "model"}
    edits = {}
    for change in changes:
        key, _, text = change.partition("=")
        if key not in kinds:
            raise WrongArgument(f"--set {change}: no such field; known: {', '.join(kinds)}")
        try:
            edits[key] = _read(text, kinds[key])
        except ValueError:
            kind = getattr(kinds[key], "__name__", kinds[key])
            raise WrongArgument(f"--set {change}: {key} is of type {kind}, which {text!r} is not") from None
    return _checked(partial(dataclasses.replace, recipe, **edits))


def _number(low, high, kind=float):
    """A reader for argparse of numbers from `low` to `high`; NaN is none."""

    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text}: expected a number from {low:g} to {high:g}")
        return value

    return read


def _prepare(args):
    from g2g.data import prepare

    print(prepare(get_profile(args.profile), min_chroma=args.min_chroma))


def _train(args):
    from g2g.runs import load_or_train

    recipe = _edited(_checked(get_recipe, args.model, args.profile), args.set)
    run = load_or_train(args.model, args.profile, recipe=recipe)
    best, gray = run.record["best_valid_loss"], run.record["gray_valid_loss"]
    print(f"{run.recipe.model}: best validation L1 {best:.4f} (gray {gray:.4f}); kept in {run.folder}")


def _evaluate(args):
    from report.tables import evaluate_profile

    print(evaluate_profile(args.profile, further=args.further))


def _colorize(args):
    from g2g.colorize import colorize_files
    from g2g.runs import best_available, pretrained_model

    photos, missing = find_photos(args.photos)
    for path in missing:
        print(f"no photo at {printable(path)}", file=sys.stderr)
    if not photos:
        return 2
    model, size, description = _checked(pretrained_model, args.model) if args.model else best_available()
    for dial, owner in PARAMETERS.items():
        value = getattr(args, dial)
        if value is not None and not hasattr(model, dial):
            raise WrongArgument(f"--{dial}: this model has no such dial; add --model {owner}")
        if value is not None:
            setattr(model, dial, value)
    print(f"coloring with {description}")
    _, failed = colorize_files(
        photos,
        args.output,
        model,
        compare=args.compare,
        saturation=args.saturation,
        size=args.size or size,
        max_megapixels=args.max_megapixels,
        by=description,
    )
    print(f"{len(photos) - len(failed)} of {len(photos)} photos colored, in {args.output}")
    for photo, reason in failed.items():
        print(f"failed: {printable(photo)}: {printable(reason)}", file=sys.stderr)
    return 1 if failed or missing else 0


def _demo(args):
    try:
        from app.page import serve
    except ModuleNotFoundError as error:
        raise RuntimeError(f"the page needs Gradio ({error}): pip install gradio") from error
    serve(args.port)


def _parser():
    parser = argparse.ArgumentParser("python -m g2g", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function, name, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    prepare = command(_prepare, "prepare", "decode and resize the photos once")
    near_gray = "leave near-gray photos out of training (5)"
    prepare.add_argument("--min-chroma", type=_number(0, 140), default=0.0, help=near_gray)

    train = command(_train, "train", "train one stage, going on where it was interrupted")
    train.add_argument("model", choices=MODELS)
    train.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="edit the recipe: epochs=5 seed=1")

    evaluate = command(_evaluate, "evaluate", "score all stages on the test photos and write table 1")
    evaluate.add_argument("--further", metavar="FOLDER", help="photos that are a second test set")
    for sub in (prepare, train, evaluate):
        sub.add_argument("--profile", help="smoke, cpu, class, report or auto (default: G2G_PROFILE, else auto)")

    colorize = command(_colorize, "colorize", "color photos of any size; nothing is ever overwritten")
    option = colorize.add_argument
    option("photos", nargs="+", metavar="PHOTO", help="files, folders (searched recursively) or patterns")
    option("-o", "--output", default="colorized", metavar="FOLDER", help="where NAME-color.jpg goes (%(default)s)")
    models = "palette (the default), flow, or, ever more cautious, cgan, unet, cnn"
    option("--model", metavar="NAME", help=models)
    factor, pixels, megapixels = _number(0, 100), _number(32, 4096, int), _number(0.001, 1e6)
    stronger = "above 1 for stronger colors (%(default)s)"
    temperature = "palette only: 1 paints the mean of the likely colors, 0.1 nearly the likeliest one (0.38)"
    option("--temperature", type=_number(0.01, 1), metavar="T", help=temperature)
    rebalancing = "palette only: 1 paints rare colors boldly, 0 only what is probable (0.75)"
    option("--rebalancing", type=_number(0, 1), metavar="SHARE", help=rebalancing)
    seed = "flow only: each number draws another possible coloring (0)"
    option("--seed", type=_number(0, 2**31 - 1, int), metavar="N", help=seed)
    option("--saturation", type=factor, default=1.0, metavar="FACTOR", help=stronger)
    option("--compare", action="store_true", help="write gray and color side by side, too")
    option("--size", type=pixels, metavar="PIXELS", help="predict color on PIXELS² pixels (as in training)")
    limit = "refuse larger photos before decoding them (%(default)s)"
    option("--max-megapixels", type=megapixels, default=MAX_MEGAPIXELS, metavar="N", help=limit)

    demo = command(_demo, "demo", "open a page that colors the photo dropped on it, on this machine only")
    demo.add_argument("--port", type=_number(1024, 65535, int), help="of the page (default: the first free from 7860)")
    return parser


def main(argv=None) -> int:
    """Run one subcommand; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        if hasattr(args, "profile"):
            _checked(get_profile, args.profile)
        return args.function(args) or 0
    except WrongArgument as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        then = "what was written is whole, and stays"
        if args.function in (_prepare, _train, _evaluate):
            then = "run the same command again: it goes on from what is finished"
        print(f"interrupted; {then}", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {explained(error)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
