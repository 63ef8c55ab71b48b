"""The report without a notebook: `python -m report build | publish | sweep`.

Exit codes: 0 done, 1 failed (the message names cause and remedy), 2 wrong arguments, 130 interrupted.
"""

import argparse
import sys


def _build(args):
    from report.build import make_report

    print(make_report(args.profile))


def _publish(args):
    from report.publish import publish

    print(publish(args.profile, args.name, note=args.note))


def _sweep(args):
    from report.sweep import sweep

    print(sweep(args.profile).to_string(index=False))


def main(argv=None) -> int:
    """Run one subcommand; returns its exit code."""
    parser = argparse.ArgumentParser("python -m report", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function, name, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        sub.add_argument("--profile", help="smoke, cpu, class, report or auto (default: G2G_PROFILE, else auto)")
        return sub

    command(_build, "build", "train what is missing, evaluate, draw every figure, write the report page")
    publish = command(_publish, "publish", "copy the outcome of the finished runs to results/ and into README")
    publish.add_argument("--name", help="folder in results/ (default: the profile)")
    publish.add_argument("--note", default="", help="a sentence for below the table: what the photos are, say")
    command(_sweep, "sweep", "the report's parameter analysis, one factor at a time")
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
