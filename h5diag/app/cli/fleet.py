"""``h5diag fleet``: many boards, on Dask."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from h5diag.app.cli.command import Command, Result, progress_bar, report_path, result_of, say_chip
from h5diag.show.printing import remark


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("boards", nargs="+", metavar="DIR", help="folders with a folder or a file a board, or a list")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="where the Parquet file goes; a stopped run goes on"
    )
    parser.add_argument("--reference", metavar="F", help="a good board's dump; else the board most others are like")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler; a local cluster by default")
    parser.add_argument("--workers", type=int, metavar="N", help="processes of the local cluster")
    parser.add_argument("--chip", default="", metavar="NAME", help="chip file or family word; else what the dumps tell")
    parser.add_argument("--layout", metavar="L", help="a preset's name")
    parser.add_argument("--report", metavar="FILE", help="write the lot up as .html or .md")
    parser.add_argument("--redact", action="store_true", help="name no board and no file")


def _run(options: Namespace) -> Result:
    from h5diag.judge.fleet import run_fleet, size_of

    report = report_path(options.report)
    with progress_bar("fleet", size_of(options.boards)) as show:
        found = run_fleet(
            options.boards,
            options.out,
            reference=options.reference,
            scheduler=options.scheduler,
            chip=options.chip,
            layout=options.layout,
            workers=options.workers,
            progress=lambda fraction, text: show(fraction) if fraction else remark(f"h5diag: {text}"),
        )
    say_chip(found.choice)
    written = found.write_up(report, redact=options.redact) if report else None
    # The folder may name the user: a redacted answer names the file alone.
    name = "" if written is None else written.name if options.redact else str(written)
    return result_of(found.redacted() if options.redact else found, report=name)


COMMANDS = (
    Command(
        "fleet",
        "judge many boards at once, on Dask",
        _arguments,
        _run,
        examples=("h5diag fleet lot-17/ --reference golden.bin --out lot-17-result --report lot-17.html",),
    ),
)
