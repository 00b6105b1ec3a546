"""``h5diag fleet``: many boards, on Dask."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from h5diag.app.cli.command import Command, Result, progress_bar, say_chip

if TYPE_CHECKING:
    from h5diag.judge.fleet import Fleet
    from h5diag.show.sheet import Sheet


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


def _run(options: Namespace) -> Result:
    from h5diag.judge.fleet import run_fleet, size_of

    with progress_bar("fleet", size_of(options.boards)) as show:
        fleet = run_fleet(
            options.boards,
            options.out,
            reference=options.reference,
            scheduler=options.scheduler,
            chip=options.chip,
            layout=options.layout,
            workers=options.workers,
            progress=lambda fraction, text: show(fraction),
        )
    say_chip(fleet.choice)
    return Result(_document(fleet), _sheet(fleet))


def _document(fleet: Fleet) -> dict[str, Any]:
    return fleet.choice.to_dict() | {
        "boards": fleet.boards,
        "failed": fleet.failed,
        "distinct_sectors": fleet.distinct_sectors,
        "distinct_contents": fleet.distinct_contents,
        "clusters": [
            {
                "boards": c.boards,
                "sectors": list(c.sectors),
                "verdicts": list(c.verdicts),
                "causes": list(c.causes),
                "example": c.example,
            }
            for c in fleet.clusters
        ],
        "sectors": [{"address": a, "boards": n} for a, n in fleet.sectors],
        "outliers": list(fleet.outliers),
        "reference": fleet.reference,
        "table": fleet.table,
    }


def _sheet(fleet: Fleet) -> Sheet:
    from h5diag.show.sheet import section, sheet, table
    from h5diag.text import count_text

    alike = sum(c.boards for c in fleet.clusters if not c.sectors)
    failed = f", {count_text(fleet.failed, 'board')} could not be read" if fleet.failed else ""
    return sheet(
        f"{count_text(fleet.boards, 'board')}: {alike} like the reference{failed};"
        f" {count_text(fleet.distinct_contents, 'distinct content')} judged.",
        section(
            "Boards that deviate alike",
            table(
                "boards|sectors|first at|verdict|causes|for example",
                (
                    (
                        str(c.boards),
                        str(len(c.sectors)),
                        f"0x{c.sectors[0]:08X}",
                        " ".join(c.verdicts),
                        " ".join(c.causes) or "-",
                        c.example,
                    )
                    for c in fleet.clusters
                    if c.sectors
                ),
                most=20,
            ),
        ),
        section(
            "Sectors that deviate most often",
            table("sector at|boards", ((f"0x{a:08X}", str(n)) for a, n in fleet.sectors), most=10),
        ),
        section("Files", table("what|where", (("reference", fleet.reference), ("a row for each board", fleet.table)))),
    )


COMMANDS = (
    Command(
        "fleet",
        "judge many boards at once, on Dask",
        _arguments,
        _run,
        examples=("h5diag fleet lot-17/ --reference golden.bin --out lot-17-result",),
    ),
)
