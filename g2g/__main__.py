"""The course without a notebook: `python -m g2g prepare | train | evaluate | colorize`.

Exit codes: 0 done, 1 failed (the message names cause and remedy), 2 wrong arguments or no photo, 130 interrupted.
"""

import argparse
import dataclasses
import sys

from g2g.photos import MAX_MEGAPIXELS, find_photos


def _edited(recipe, changes):
    """`recipe` with KEY=VALUE strings applied, each value read as the type of the field it replaces."""
    known = {f.name: f.type for f in dataclasses.fields(recipe)}
    edits = {}
    for change in changes:
        key, _, value = change.partition("=")
        if key not in known or key == "stage":
            raise ValueError(f"--set {change}: no such field; known: {', '.join(k for k in known if k != 'stage')}")
        kind = next((t for t in (int, float) if t.__name__ in str(known[key])), str)
        edits[key] = None if value == "none" else kind(value)
    return dataclasses.replace(recipe, **edits)


def _train(args):
    from g2g import runs as stages

    profile = stages.get_profile(args.profile)
    run = stages.load_or_train(args.stage, profile, recipe=_edited(stages.RECIPES[profile.name][args.stage], args.set))
    print(
        f"{run.stage}: best validation L1 {run.record['best_valid_loss']:.4f} "
        f"(gray {run.record['gray_valid_loss']:.4f}); kept in {run.folder}"
    )


def _prepare(args):
    from g2g.data import prepare
    from g2g.profiles import get_profile

    photos = prepare(get_profile(args.profile), min_chroma=args.min_chroma, fit=args.fit)
    print(photos)


def _evaluate(args):
    from g2g.evaluation import evaluate_profile

    print(evaluate_profile(args.profile))


def _colorize(args):
    from g2g import runs as stages
    from g2g.colorize import colorize_files

    photos, missing = find_photos(args.photos)
    for path in missing:
        print(f"no photo at {path}", file=sys.stderr)
    if not photos:
        return 2
    model, size, description = stages.best_available()
    print(f"colouring with {description}")
    _, failed = colorize_files(
        photos,
        args.output,
        model,
        compare=args.compare,
        saturation=args.saturation,
        size=args.size or size,
        max_megapixels=args.max_megapixels,
    )
    print(f"{len(photos) - len(failed)} of {len(photos)} photos coloured, in {args.output}")
    for photo, reason in failed.items():
        print(f"failed: {photo}: {reason}", file=sys.stderr)
    return 1 if failed or missing else 0


def main(argv=None) -> int:
    """Run one subcommand; returns its exit code."""
    parser = argparse.ArgumentParser("python -m g2g", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function, name, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        if name != "colorize":
            sub.add_argument("--profile", help="smoke, cpu, class, report or auto (default: G2G_PROFILE, else auto)")
        return sub

    prepare = command(_prepare, "prepare", "decode and resize the photos once")
    prepare.add_argument("--min-chroma", type=float, default=0.0, help="leave near-gray photos out of training (5)")
    prepare.add_argument("--fit", choices=("squash", "crop"), default="squash")
    train = command(_train, "train", "train one stage, going on where it was interrupted")
    train.add_argument("stage", choices=("cnn", "unet", "unet_long", "cgan"))
    train.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="edit the recipe: epochs=5 seed=1")
    command(_evaluate, "evaluate", "score all stages on the test photos and write table 1")
    colorize = command(_colorize, "colorize", "colour photos of any size")
    colorize.add_argument(
        "photos", nargs="+", metavar="PHOTO", help="files, folders (searched recursively) or patterns"
    )
    colorize.add_argument(
        "-o",
        "--output",
        default="colorized",
        metavar="FOLDER",
        help="where NAME-color.jpg goes (default: %(default)s); nothing is ever overwritten",
    )
    colorize.add_argument(
        "--saturation",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="more than 1 for stronger colours, less for weaker ones (default: 1)",
    )
    colorize.add_argument("--compare", action="store_true", help="write gray and colour side by side, too")
    colorize.add_argument(
        "--size",
        type=int,
        metavar="PIXELS",
        help="colour is predicted on so many pixels squared (default: the model's training size)",
    )
    colorize.add_argument(
        "--max-megapixels",
        type=float,
        default=MAX_MEGAPIXELS,
        metavar="N",
        help="refuse larger photos before decoding them (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    try:
        return args.function(args) or 0
    except KeyboardInterrupt:
        print("interrupted; the same command takes up what is finished and goes on", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
