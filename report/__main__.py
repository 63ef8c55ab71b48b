"""The report without a notebook: `python -m report build | publish | save-pretrained | study`.

Exit codes: 0 done, 1 failed (the message names cause and remedy), 2 wrong arguments, 130 interrupted.
"""

import argparse
import sys

from app.__main__ import add_command, run

# What needs torch is imported by the command that uses it: `--help` need not wait for it


def _build(args):
    from report.page import build

    print(build(args.profile))


def _publish(args):
    from report.publish import publish

    print(publish(args.profile, args.name, note=args.note, external_test_set=args.external_test_set))


def _save_pretrained(args):
    from g2g.profiles import get_profile
    from g2g.runs import read_run
    from report.publish import save_pretrained

    folder = get_profile(args.profile).outputs / "runs" / args.run
    run = read_run(folder)
    if run is None:
        there = ", ".join(sorted(path.name for path in folder.parent.glob("*-*/"))) or "none"
        raise ValueError(f"no finished run {args.run!r}; there are: {there}")
    print(save_pretrained(run, args.name))


def _study(args):
    from report.studies import SHOWN, run_study

    print(run_study(args.study, args.profile, args.seeds)[["factor", "value", *SHOWN]].to_string(index=False))


def main(argv=None) -> int:
    """Run one subcommand; returns its exit code."""
    parser = argparse.ArgumentParser("python -m report", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands, _build, "build", "train what is missing, measure, write the report page")
    publish = add_command(commands, _publish, "publish", "measure the finished runs; write results/NAME and the pages")
    publish.add_argument("--name", help="folder in results/ (default: the profile)")
    publish.add_argument("--external-test-set", metavar="FOLDER", help="photos of another origin, to test on, too")
    publish.add_argument("--note", default="", help="a sentence to print below the table, on the photos, say")
    save = add_command(commands, _save_pretrained, "save-pretrained", "put a run's weights into results/weights")
    save.add_argument("run", help="its id, unet-0123456789 say")
    save.add_argument("--name", help="folder in results/ with its record (default: the profile)")
    study = add_command(commands, _study, "study", "train a study of notebook 08 or 10, write results/STUDY; resumable")
    study.add_argument("study", choices=["losses", "photos", "parameters"])
    seeds = "seeds of the repeated runs; all others take the first (default: 42 43 44)"
    study.add_argument("--seeds", type=int, nargs="+", default=(42, 43, 44), metavar="N", help=seeds)
    return run(parser, argv)


if __name__ == "__main__":
    sys.exit(main())
