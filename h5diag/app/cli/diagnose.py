"""``h5diag diagnose`` and ``h5diag demo``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from h5diag.app.cli.command import Command, Result, progress_bar, wrapped

if TYPE_CHECKING:
    from h5diag.judge import BoardDiagnosis, Diagnosis


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("case", metavar="CASE_DIR", help="folder with case.toml (h5diag case makes one)")
    parser.add_argument("--report", metavar="OUT", help="write-up to OUT.html or OUT.md")
    parser.add_argument("--csv", metavar="FILE", help="one row a board to FILE")
    parser.add_argument("--redact", action="store_true", help="keep firmware bytes, ids, paths and keys out of it")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every finding and how it was weighed")


def _demo_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", default="h5diag-demo", help="where the write-up and plots go")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every finding and how it was weighed")


def _run(options: Namespace) -> Result:
    from h5diag.case import load_case
    from h5diag.errors import InputError
    from h5diag.judge import diagnose

    report = Path(options.report) if options.report else None
    if report and report.suffix.lower() not in (".html", ".htm", ".md"):
        raise InputError("a write-up is .html or .md", source=str(report))
    if report and not report.parent.is_dir():
        raise InputError("there is no such folder", source=str(report.parent))
    case = load_case(options.case)
    with progress_bar("diagnosing") as progress:
        diagnosis = diagnose(case, progress=progress)
    if options.csv:
        from h5diag.judge.across import boards_csv

        try:
            Path(options.csv).write_text(boards_csv(diagnosis), "utf-8")
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", source=options.csv) from None
    return _result(diagnosis, report, redact=options.redact, verbose=options.verbose)


def _demo(options: Namespace) -> Result:
    from h5diag.case import load_case
    from h5diag.case.samples import data_folder
    from h5diag.errors import InputError
    from h5diag.judge import diagnose

    out = Path(options.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made ({error.strerror})", source=str(out)) from None
    diagnosis = diagnose(load_case(data_folder() / "founding"))
    return _result(diagnosis, out / "founding.html", verbose=options.verbose, plots=out)


def _result(
    diagnosis: Diagnosis, report: Path | None, *, redact: bool = False, verbose: bool = False, plots: Path | None = None
) -> Result:
    from h5diag.judge.document import diagnosis_document

    document = diagnosis_document(diagnosis)
    text = diagnosis_text(diagnosis, verbose=verbose)
    if document["input_remarks"]:
        text += "\n\n" + _list("Not understood", document["input_remarks"])
    if report:
        from h5diag.show.report import write_report

        written = write_report(diagnosis, report, redact=redact, plots=plots)
        document["report"] = str(written)
        text += f"\n\nWrite-up: {written}"
    return Result(document, text)


def diagnosis_text(diagnosis: Diagnosis, *, verbose: bool = False) -> str:
    """Return the diagnosis as text for a terminal: the answer first."""
    blocks = [f"Case: {diagnosis.case.title}"]
    if diagnosis.across:
        blocks.append(_list("Across the boards", [f.claim for f in diagnosis.across]))
    for board in diagnosis.boards:
        blocks += _board(board, named=len(diagnosis.boards) > 1, verbose=verbose)
    return "\n\n".join(b for b in blocks if b)


def _board(board: BoardDiagnosis, *, named: bool, verbose: bool) -> list[str]:
    from h5diag.judge.verdict import Status

    verdict = board.verdict
    head = f"{board.name}: {verdict.summary}" if named else verdict.summary
    blocks = [wrapped(head)]
    supported = verdict.of(Status.SUPPORTED)
    for h in supported:
        lines = [wrapped(f"{h.id}: {h.cause.text}"), wrapped(h.cause.plain, "    ")]
        lines += [wrapped(m.text, "  - ", "    ") for m in h.moves if m.decibans > 0 or verbose]
        blocks.append("\n".join(lines))
    holding = [b for b in board.branches if b.holds]
    if holding:
        blocks.append(_list("Why it was not installed", [b.found or b.text for b in holding]))
    if verdict.open_points:
        blocks.append(_list("Still open", verdict.open_points))
    likely = [h for h in verdict.of(Status.POSSIBLE) if h.score > h.cause.prior]
    if likely:
        blocks.append(_list("Possible, not shown", [f"{h.id}: {h.cause.text}" for h in likely]))
    excluded = verdict.of(Status.EXCLUDED)
    if excluded:
        blocks.append(wrapped("Excluded: " + ", ".join(h.id for h in excluded) + "."))
    untested = verdict.of(Status.NOT_TESTED)
    if untested:
        blocks.append(wrapped("Not tested (no evidence given): " + ", ".join(h.id for h in untested) + "."))
    blocks.append(wrapped("Judged: " + verdict.scope))
    test = board.next_test
    if test.id == "none":
        blocks.append(wrapped(f"Next: {test.instruction}"))
    else:
        blocks.append(
            "\n".join(
                [
                    f"Next ({test.kind.word}" + (f", about {test.minutes} min" if test.minutes else "") + "):",
                    wrapped(test.instruction, "  "),
                    wrapped(f"Tells: {test.tells}", "  "),
                ]
                + ([wrapped(f"May lose: {test.loses}", "  ")] if test.loses else [])
            )
        )
    if board.more_tests:
        blocks.append(_list("After that", [f"({t.kind.word}) {t.instruction}" for t in board.more_tests]))
    if verbose:
        blocks.append(_list("All findings", [f"{f.id}: {f.claim}" for f in board.findings]))
        rows = [
            f"{h.id:<22} {h.status.value:<11} {h.score:+4d} = {h.cause.prior:+d}"
            + "".join(f" {m.decibans:+d} {m.finding}{' (hint)' if m.hint else ''};" for m in h.moves)
            for h in verdict.hypotheses
        ]
        blocks.append("Weighing, in decibans (+10 = ten times more likely):\n" + "\n".join("  " + r for r in rows))
    return blocks


def _list(title: str, items: Iterable[str]) -> str:
    return "\n".join([f"{title}:", *(wrapped(i, "  - ", "    ") for i in items)])


COMMANDS = (
    Command("demo", "the founding case, on bundled data: verdict, write-up and plots", _demo_arguments, _demo),
    Command("diagnose", "a case folder to a verdict with its evidence and the cheapest next test", _arguments, _run),
)
