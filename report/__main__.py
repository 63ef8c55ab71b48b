"""The report without a notebook: `python -m report build | publish | save-pretrained | study`.

Exit codes: 0 done, 1 failed (the message names cause and remedy), 2 wrong arguments, 130 interrupted.
"""

import argparse
import sys

from g2g.files import explained

# What needs torch is imported by the command that uses it: `--help` need not wait for it


def _build(args):
    from report.page import build

    print(build(args.profile))


def _publish(args):
    from report.publish import publish

    print(publish(args.profile, args.name, note=args.note, external_test_set=args.external_test_set))


def _save_pretrained(args):
    from g2g.runs import finished_runs
    from report.publish import save_pretrained

    found = finished_runs(args.profile)
    if args.run not in found:
        raise ValueError(f"no finished run {args.run!r}; there are: {', '.join(found) or 'none'}")
    print(save_pretrained(found[args.run], args.name))


def _study(args):
    from report.studies import SHOWN, run_study

    print(run_study(args.study, args.profile, args.seeds)[["factor", "value", *SHOWN]].to_string(index=False))


def _parser():
    parser = argparse.ArgumentParser("python -m report", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function, name, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        sub.add_argument("--profile", help="smoke, cpu, class, report or auto (default: G2G_PROFILE, else auto)")
        return sub.add_argument

    command(_build, "build", "train what is missing, measure, draw every figure, write the report page")
    option = command(_publish, "publish", "measure the finished runs; write results/NAME, README's and docs' tables")
    option("--name", help="folder in results/ (default: the profile)")
    option("--external-test-set", metavar="FOLDER", help="photos of another origin, to test on, too")
    option("--note", default="", help="a sentence to print below the table, on the photos, say")
    option = command(_save_pretrained, "save-pretrained", "put a run's weights into results/weights, for colorize")
    option("run", help="its id, unet-0123456789 say")
    option("--name", help="folder in results/ with its record (default: the profile)")
    option = command(_study, "study", "train a study of notebook 08 or 10, measure it, write results/STUDY; resumable")
    option("study", choices=["losses", "photos", "parameters"])
    seeds = "seeds of the repeated runs; all others take the first (default: 42 43 44)"
    option("--seeds", type=int, nargs="+", default=(42, 43, 44), metavar="N", help=seeds)
    return parser


def main(argv=None) -> int:
    """Parse the arguments, run the subcommand; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        args.function(args)
    except KeyboardInterrupt:
        print("interrupted; run the same command again: it goes on from what is finished", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {explained(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
