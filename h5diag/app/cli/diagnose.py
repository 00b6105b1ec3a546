"""``h5diag diagnose``, ``h5diag demo``, and ``h5diag fleet`` for many boards, on Dask."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

import h5diag as h5
from h5diag.app.cli.command import (
    Argument,
    Command,
    Result,
    argument,
    progress_bar,
    report_path,
    result_of,
    say_chip,
    with_report,
)
from h5diag.show.printing import remark

if TYPE_CHECKING:
    from pathlib import Path

    from h5diag.case import Case
    from h5diag.judge import Diagnosis
    from h5diag.show.report.redaction import Redactor
    from h5diag.show.sheet import Sheet


_VERBOSE: tuple[Argument, ...] = (
    argument("-v", "--verbose", action="store_true", help="show every finding and how it was weighed"),
)


_ARGUMENTS: tuple[Argument, ...] = (
    argument("case", metavar="CASE_DIR", help="folder with case.toml (h5diag case makes one)"),
    argument("--report", metavar="OUT", help="write-up to OUT.html or OUT.md"),
    argument("--csv", metavar="FILE", help="one row a board to FILE"),
    argument(
        "--redact",
        action="store_true",
        help="keep firmware bytes, ids, names, paths and keys out of everything",
    ),
    *_VERBOSE,
)


_DEMO_ARGUMENTS: tuple[Argument, ...] = (
    argument("--out", metavar="DIR", default="h5diag-demo", help="where the write-up and plots go"),
    *_VERBOSE,
)


def _run(options: Namespace) -> Result:
    from h5diag.evidence.door import write_whole

    report = report_path(options.report)
    diagnosis, redactor = _diagnosed(h5.load_case(options.case)), None
    if options.redact:
        from h5diag.show.report import redactor_of

        redactor = redactor_of(diagnosis)
    if options.csv:
        from h5diag.judge.boards import boards_csv

        write_whole(options.csv, boards_csv(diagnosis, clean=redactor.plain if redactor else str))
    return _result(diagnosis, report, redactor, typed="" if options.case.startswith("sample:") else options.case)


def _diagnosed(case: Case) -> Diagnosis:
    with progress_bar("diagnosing", sum(f.size for f in case.files)) as progress:
        progress(0.0)
        return h5.diagnose(case, progress=progress)


def _demo(options: Namespace) -> Result:
    from h5diag.evidence.door import make_folder

    out = make_folder(options.out)
    return _result(h5.diagnose("sample:founding"), out / "founding.html", plots=out)


_REPLY_ARGUMENTS: tuple[Argument, ...] = (
    argument("case", metavar="CASE_DIR", help="folder with case.toml (h5diag case makes one)"),
    argument("--redact", action="store_true", help="keep firmware bytes, ids, paths and keys out of it"),
)


def _reply(options: Namespace) -> Result:
    from h5diag.show.reply import reply
    from h5diag.show.report import redactor_of

    diagnosis = _diagnosed(h5.load_case(options.case))
    folder = "" if options.redact or options.case.startswith("sample:") else options.case
    redactor = redactor_of(diagnosis) if options.redact else None
    text = reply(diagnosis, folder, clean=redactor.plain if redactor else str)
    text = redactor.document(text) if redactor else text
    return Result({"text": text}, text.rstrip("\n"))


_EXPLAIN_ARGUMENTS: tuple[Argument, ...] = (
    argument("id", metavar="ID", help="of a finding, cause, test, option byte or preflight check"),
    argument("--chip", metavar="C", default="", help="whose option bytes are meant"),
)


def _explain(options: Namespace) -> Result:
    from h5diag.show.explain import explain

    return result_of(explain(options.id, chip=options.chip))


def _result(
    diagnosis: Diagnosis,
    report: Path | None,
    redactor: Redactor | None = None,
    *,
    plots: Path | None = None,
    typed: str = "",
) -> Result:
    """Return the answer; `typed` is the case's folder as the person wrote it, for what can be typed next."""
    from h5diag.judge.document import diagnosis_document

    document = diagnosis_document(diagnosis)
    if redactor:
        document = redactor.value(document)
    if report:
        from h5diag.show.report import write_report

        written = write_report(diagnosis, report, redact=redactor or False, plots=plots, typed=typed)
        # The folder may name the user: a redacted answer names the file alone.
        document["report"] = redactor.plain(written.name) if redactor else str(written)
    return Result(document, lambda: _sheet(diagnosis, document.get("report", ""), redactor, typed))


def _sheet(diagnosis: Diagnosis, report: str, redactor: Redactor | None, typed: str) -> Sheet:
    from h5diag.show.diagnosis import diagnosis_sheet, folder_named
    from h5diag.show.sheet import cleaned

    sheet = diagnosis_sheet(diagnosis)
    if redactor:
        sheet = cleaned(sheet, redactor.plain)
    elif typed:
        sheet = cleaned(sheet, lambda text: folder_named(text, typed=typed))
    return with_report(sheet, report)


_FLEET_ARGUMENTS: tuple[Argument, ...] = (
    argument("boards", nargs="+", metavar="DIR", help="folders with a folder or a file a board, or a list"),
    argument("--out", required=True, metavar="DIR", help="where the Parquet file goes; a stopped run goes on"),
    argument("--reference", metavar="F", help="a good board's dump; else the board most others are like"),
    argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler; a local cluster by default"),
    argument("--workers", type=int, metavar="N", help="processes of the local cluster"),
    argument("--chip", default="", metavar="NAME", help="chip file or family word; else what the dumps tell"),
    argument("--layout", metavar="L", help="a preset's name"),
    argument("--report", metavar="FILE", help="write the lot up as .html or .md"),
    argument("--redact", action="store_true", help="name no board and no file"),
)


def _fleet(options: Namespace) -> Result:
    from h5diag.evidence.samples import path_of
    from h5diag.judge.fleet import boards_of, run_fleet

    report, boards = report_path(options.report), boards_of([path_of(b) for b in options.boards])
    with progress_bar("fleet", sum(b.size for b in boards)) as show:
        found = run_fleet(
            boards,
            options.out,
            reference=path_of(options.reference) if options.reference else None,
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
        "demo",
        "the founding case, on bundled data: verdict, write-up and plots",
        _DEMO_ARGUMENTS,
        _demo,
        examples=("h5diag demo --out h5diag-demo",),
    ),
    Command(
        "diagnose",
        "a case folder to a verdict with its evidence and the cheapest next test",
        _ARGUMENTS,
        _run,
        examples=("h5diag diagnose h5diag-case", "h5diag diagnose h5diag-case --report write-up.html --redact"),
    ),
    Command(
        "reply",
        "a forum-ready answer of a case: the evidence in numbers, a text map, the command to run next",
        _REPLY_ARGUMENTS,
        _reply,
        examples=("h5diag reply h5diag-case --redact",),
    ),
    Command(
        "explain",
        "what a finding, cause, test, option byte or check means, and where that is from",
        _EXPLAIN_ARGUMENTS,
        _explain,
        examples=("h5diag explain masked-read", "h5diag explain SECBOOTADD --chip h563"),
    ),
    Command(
        "fleet",
        "judge many boards at once, on Dask",
        _FLEET_ARGUMENTS,
        _fleet,
        examples=("h5diag fleet lot-17/ --reference golden.bin --out lot-17-result --report lot-17.html",),
    ),
)
