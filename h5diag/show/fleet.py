"""A lot of boards: for a person, as JSON, as pictures."""

from __future__ import annotations

from typing import Any

from h5diag.errors import InputError
from h5diag.judge.control import ControlChart, Group
from h5diag.judge.fleet import Fleet
from h5diag.show.sheet import Figure, Sheet, section, sheet, table
from h5diag.show.view import View, picked
from h5diag.text import count_text


def _document(fleet: Fleet) -> dict[str, Any]:
    return fleet.choice.to_dict() | {
        **picked(fleet, "boards failed distinct_sectors distinct_contents"),
        "clusters": [picked(c, "boards sectors verdicts causes example") for c in fleet.clusters],
        "sectors": [{"address": a, "boards": n} for a, n in fleet.sectors],
        "outliers": list(fleet.outliers),
        "chart": None if fleet.chart is None else _chart(fleet.chart),
        "reference": fleet.reference,
        "table": fleet.table,
    }


def _chart(chart: ControlChart) -> dict[str, Any]:
    return {
        "centre": chart.centre,
        "groups": [picked(g, "first last boards deviating low high outside") for g in chart.groups],
    }


def figures(fleet: Fleet) -> tuple[Figure, ...]:
    """Return the pictures that say something about a lot: its sectors, and its boards over time."""
    from h5diag.show.plots import lot as plots

    out = []
    if fleet.sectors:
        out.append(Figure("sectors", sectors_words(fleet), lambda: plots.plot_sectors_of_lot(fleet)))
    if chart := fleet.chart:
        out.append(Figure("time", chart_words(chart), lambda: plots.plot_control_chart(chart)))
    return tuple(out)


def sectors_words(fleet: Fleet) -> str:
    """Say where the boards deviate."""
    address, boards = fleet.sectors[0]
    of = f" in {count_text(len(fleet.sectors), 'sector')}"
    return f"Boards deviate{of}, most of them ({boards}) in the one at 0x{address:08X}."


def chart_words(chart: ControlChart) -> str:
    """Say whether the lot was steady."""
    usual = f"{100 * chart.centre:.1f} % of the boards are not like most"
    if not chart.outside:
        return f"{usual}, and no group of boards stands out in time."
    return f"{usual}; more or fewer than chance allows in {'; '.join(map(_group, chart.outside[:3]))}" + (
        f" and {count_text(len(chart.outside) - 3, 'more group')}." if len(chart.outside) > 3 else "."
    )


def _group(g: Group) -> str:
    return f"{g.deviating} of {g.boards} from {moment(g.first)} to {moment(g.last)}"


def moment(time: str) -> str:
    """Return an ISO 8601 time as a person reads it, to the minute."""
    return time[:16].replace("T", " ")


def _sheet(fleet: Fleet) -> Sheet:
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
        section("Over time", chart_words(fleet.chart) if fleet.chart else None, only="terminal html"),
        section("Alone", ", ".join(fleet.outliers[:40]) + (" ..." if len(fleet.outliers) > 40 else "")),
        section("Files", table("what|where", (("reference", fleet.reference), ("a row for each board", fleet.table)))),
    )


def _plot(fleet: Fleet, *, kind: str = "sectors", **options: Any) -> Any:
    """Draw the sectors in which boards deviate, or with ``kind="time"`` how many do over time."""
    from h5diag.show.plots.picture import picture

    found = {f.name: f for f in figures(fleet)}
    if kind not in found:
        there = ", ".join(found) or "none: no board deviates"
        raise InputError(f"there is no picture {kind!r} of this lot", advice=f"pictures: {there}")
    return picture(found[kind].draw(), name=f"lot-{kind}", alt=found[kind].alt, **options)


VIEWS = {Fleet: View(_sheet, _document, _plot, "clusters", "write_lot")}
