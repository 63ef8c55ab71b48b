"""The report without a notebook: `python -m report build | publish | ship | sweep`.

Exit codes: 0 done, 1 failed (the message names cause and remedy), 2 wrong arguments, 130 interrupted.
"""

import argparse
import sys

from g2g.files import explained

COMMANDS = {
    "build": "train what is missing, evaluate, draw every figure, write the report page",
    "publish": "copy the outcome of the finished runs to results/ and into README",
    "ship": "put a finished run's generator into results/weights, where colorize finds it",
    "sweep": "train a study of notebook 08 or 10, measure it, write results/STUDY; goes on where it was interrupted",
}


def run(args):
    """Run one subcommand; the import of torch waits until the arguments are known to be right."""
    from g2g.runs import load_run
    from report import build, publish, sweep

    if args.command == "build":
        print(build.make_report(args.profile))
    elif args.command == "publish":
        print(publish.publish(args.profile, args.name, note=args.note, further=args.further))
    elif args.command == "ship":
        print(publish.ship(load_run(args.run, args.profile), args.name, args.sentence))
    else:
        table = sweep.sweep(args.study, args.profile, args.seeds)
        print(table[["factor", "value", *sweep.SHOWN]].to_string(index=False))


def main(argv=None) -> int:
    """Parse the arguments, run the subcommand; returns the exit code."""
    parser = argparse.ArgumentParser("python -m report", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--profile", help="smoke, cpu, class, report or auto (default: G2G_PROFILE, else auto)")
        if name == "publish":
            command.add_argument("--name", help="folder in results/ (default: the profile)")
            command.add_argument("--further", metavar="FOLDER", help="photos that are a second test set")
            command.add_argument("--note", default="", help="a sentence to print below the table, on the photos, say")
        elif name == "sweep":
            command.add_argument("--study", choices=["losses", "photos", "parameters"], required=True)
            seeds = "seeds of the repeated runs; all others take the first (default: 42 43 44)"
            command.add_argument("--seeds", type=int, nargs="+", default=(42, 43, 44), metavar="N", help=seeds)
        elif name == "ship":
            command.add_argument("run", help="its id, unet-0123456789 say")
            command.add_argument("name", help="of the files in results/weights")
            command.add_argument("sentence", help="what the model is, as colorize will say it")
    try:
        run(parser.parse_args(argv))
    except KeyboardInterrupt:
        print("interrupted; run the same command again: it goes on from what is finished", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {explained(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
