"""The course without a notebook: `python -m g2g prepare | train | evaluate | colorize | demo`.

Exit codes: 0 done, 1 failed (the message names cause and remedy), 2 wrong arguments or no photo, 130 interrupted.
"""

import argparse
import dataclasses
import signal
import sys
from pathlib import Path

from pydantic import ValidationError

from g2g.files import explained, printable
from g2g.photos import MAX_MEGAPIXELS, find_photos
from g2g.profiles import MODELS, PROFILES, get_profile, get_recipe

# What needs torch is imported by the command that uses it: `--help` need not wait for it

PARAMETERS = {"temperature": "palette", "rebalancing": "palette", "seed": "flow"}  # options of colorize: whose they are
PATTERN = ": no file matches this pattern, which counts from the current folder and tells capitals apart"


def _edited(recipe, changes):
    """`recipe` with KEY=VALUE strings applied. Raises ValueError that names the field and what it may be."""
    known = [field.name for field in dataclasses.fields(recipe) if field.name != "model"]
    edits = {}
    for change in changes:
        key, _, text = change.partition("=")
        if key not in known:
            raise ValueError(f"--set {change}: no such field; known: {', '.join(known)}")
        edits[key] = None if text == "none" else text  # the recipe itself turns text into numbers, and checks them
    try:
        return dataclasses.replace(recipe, **edits)
    except ValidationError as error:
        wrong = [f"{' '.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors()]
        raise ValueError(f"--set {'; '.join(wrong)}") from error


def _number(low, high, kind=float):
    """A reader for argparse of numbers from `low` to `high`; NaN is none."""

    def number(text):  # its name stands in argparse's own message on what is no number
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text}: expected a number from {low:g} to {high:g}")
        return value

    return number


def _path(text):
    if text == "-":
        raise argparse.ArgumentTypeError("standard input is not read; give the name of a file")
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is an address, which is not fetched; download it first")
    return text


def _profile(args):
    """The profile that the arguments name, without near-gray training photos if they say so."""
    return dataclasses.replace(get_profile(args.profile), min_chroma=args.min_chroma)


def _prepare(args):
    from g2g.data import prepare

    print(prepare(_profile(args)))


def _train(args):
    from g2g.runs import load_or_train

    try:
        recipe = _edited(get_recipe(args.model, args.profile), args.set)
    except ValueError as error:
        args.error(str(error))
    run = load_or_train(args.model, _profile(args), recipe=recipe)
    best, gray = run.record["best_valid_loss"], run.record["gray_valid_loss"]
    print(f"{run.recipe.model}: best validation L1 {best:.4f} (gray {gray:.4f}); kept in {run.folder}")


def _evaluate(args):
    from report.pipeline import measure

    measured = measure(_profile(args), args.external_test_set)
    print(measured.write(measured.profile.outputs / "results"))


def _colorize(args):
    for name in ("SIGTERM", "SIGHUP"):  # ended as by Ctrl-C: a name that was claimed for a result is given back
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) != signal.SIG_IGN:  # which nohup sets
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    photos, missing = find_photos(args.photos)
    for path in missing:
        hint = PATTERN if set(path) & set("*?[") else ""
        print(f"no photo at {printable(path)}{hint}", file=sys.stderr)
    if not photos:
        return 2
    from g2g.colorize import colorize_files
    from g2g.runs import pretrained_model

    try:
        model, size, description = pretrained_model(args.model)
        for parameter, owner in PARAMETERS.items():
            value = getattr(args, parameter)
            if value is None:
                continue
            if not hasattr(model, parameter):
                args.error(f"--{parameter}: this model has no such parameter; add --model {owner}")
            setattr(model, parameter, value)
        print(f"coloring with {description}")
        _, failed = colorize_files(
            photos,
            args.output,
            model,
            folders=[Path(path).expanduser() for path in args.photos],
            compare=args.compare,
            skip_existing=args.skip_existing,
            saturation=args.saturation,
            size=args.size or size,
            max_megapixels=args.max_megapixels,
            by=description,
        )
    except ValueError as error:
        args.error(str(error))
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


def add_command(commands, function, name, text, profile=True):
    """A subcommand that `run` hands to `function`, with an option for the profile; returns its parser."""
    command = commands.add_parser(name, help=text, description=text)
    interrupted = "what was written is whole, and stays"
    if profile:
        default = "default: G2G_PROFILE, else auto, which takes class on a GPU and smoke without one"
        command.add_argument("--profile", choices=["auto", *PROFILES], help=default)
        interrupted = "run the same command again: it goes on from what is finished"
    command.set_defaults(function=function, error=command.error, interrupted=interrupted)
    return command


def _add_colorize(commands):
    text = "color photos of any size; nothing is ever overwritten"
    option = add_command(commands, _colorize, "colorize", text, profile=False).add_argument
    option("photos", nargs="+", type=_path, metavar="PHOTO", help="files, folders (searched recursively) or patterns")
    where = "the folder of NAME-color.jpg, subfolders kept (%(default)s); for one photo also a .jpg or .png file"
    option("-o", "--output", default="colorized", metavar="OUT", help=where)
    option("--skip-existing", action="store_true", help="leave out photos of which OUT holds a result, of any model")
    option("--model", metavar="NAME", help="palette (the default), flow, or, ever more cautious, cgan, unet, cnn")
    temperature = "palette only: 1 paints the mean of the likely colors, 0.1 nearly the likeliest one (0.38)"
    option("--temperature", type=_number(0.01, 1), metavar="T", help=temperature)
    rebalancing = "palette only: 1 paints rare colors boldly, 0 only what is probable (0.5)"
    option("--rebalancing", type=_number(0, 1), metavar="FRACTION", help=rebalancing)
    seed = "flow only: each number draws another possible coloring (0); a photo saved anew gets another draw"
    option("--seed", type=_number(0, 2**31 - 1, int), metavar="N", help=seed)
    option("--saturation", type=_number(0, 100), default=1.0, metavar="FACTOR", help="above 1 for stronger colors (1)")
    option("--compare", action="store_true", help="write gray and color side by side, too")
    option("--size", type=_number(32, 4096, int), metavar="N", help="predict color on N² pixels (as in training)")
    limit = "refuse larger photos before decoding them (%(default)s)"
    option("--max-megapixels", type=_number(0.001, 1e6), default=MAX_MEGAPIXELS, metavar="N", help=limit)


def run(parser, argv=None) -> int:
    """Parse the arguments and call the subcommand's function; returns the exit code."""
    args = parser.parse_args(argv)
    try:
        return args.function(args) or 0
    except KeyboardInterrupt:
        print(f"interrupted; {args.interrupted}", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {explained(error)}", file=sys.stderr)
        return 1


def main(argv=None) -> int:
    """Run one subcommand; returns its exit code."""
    parser = argparse.ArgumentParser("python -m g2g", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    prepare = add_command(commands, _prepare, "prepare", "decode and resize the photos once")
    train = add_command(commands, _train, "train", "train one model, going on where it was interrupted")
    train.add_argument("model", metavar="MODEL", choices=MODELS, help=", ".join(MODELS))
    train.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="edit the recipe: epochs=5 seed=1")
    evaluate = add_command(commands, _evaluate, "evaluate", "score all models on the test photos and write table 1")
    evaluate.add_argument("--external-test-set", metavar="FOLDER", help="photos that are a second test set")
    for command in (prepare, train, evaluate):
        near_gray = "leave photos of lower mean chroma out of training; 5: near-gray ones"
        command.add_argument("--min-chroma", type=_number(0, 140), default=0.0, help=near_gray)
    _add_colorize(commands)
    demo = add_command(commands, _demo, "demo", "open a page that colors a photo, on this machine only", profile=False)
    demo.add_argument("--port", type=_number(1024, 65535, int), help="of the page (default: the first free from 7860)")
    return run(parser, argv)


if __name__ == "__main__":
    sys.exit(main())
