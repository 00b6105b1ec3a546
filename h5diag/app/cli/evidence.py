"""``h5diag case`` and ``h5diag capture``: getting evidence in."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

import h5diag as h5
from h5diag.app.cli.command import Argument, Command, Result, argument, one_of, progress_bar, say_chip
from h5diag.errors import InputError
from h5diag.show import printing

if TYPE_CHECKING:
    from h5diag.chip import Chip
    from h5diag.layout import Layout

_MODES = ("hotplug", "under-reset", "normal")


_CASE_ARGUMENTS: tuple[Argument, ...] = (
    argument(
        "files",
        nargs="*",
        metavar="DIR or FILE",
        help="folders and files in any mixture: dumps, images, option listings, logs, flash_layout.h, "
        "keys, results of h5diag, an external loader; a case folder first: the others are added to it",
    ),
    argument("--out", metavar="DIR", help="the case folder to make (default h5diag-case, then -2, -3 ...)"),
    argument(
        "--good",
        nargs="+",
        metavar="FILE",
        default=[],
        help="files or folders of a board that works; they decide for all files named alike",
    ),
    argument("--suspect", nargs="+", metavar="FILE", default=[], help="the same for a board in question"),
    argument("--title", metavar="TEXT", default="", help="what the case is about"),
    argument("--chip", metavar="C", default="", help="chip file or family word"),
    argument("--layout", metavar="L", default="", help="a preset's name or a flash_layout.h"),
    argument("--marking", metavar="TEXT", default="", help="what is printed on the suspect part"),
    argument("--package", metavar="VERSION", default="", help="version of the vendor's firmware package"),
    *(
        argument(f"--{side}-{what}", choices=choices, default="", help=f"how the {side} board was {done}")
        for side in ("good", "suspect")
        for what, choices, done in (("access", ("secure", "nonsecure"), "read"), ("mode", _MODES, "connected"))
    ),
)


def _case(options: Namespace) -> Result:
    from dataclasses import replace
    from pathlib import Path

    from h5diag.case.intake import Details, new_folder, sort_evidence, write_case
    from h5diag.evidence.door import is_evidence
    from h5diag.evidence.samples import path_of
    from h5diag.show.sheet import Section
    from h5diag.show.view import view_of

    if not options.files and not options.suspect:
        raise InputError(
            "no file was named that may be of the suspect board" if options.good else "no file was named",
            advice="put the folder or the files first: h5diag case DIR --good FILE...",
        )
    chip = h5.load_chip(options.chip) if options.chip else None
    files, good, suspect = ([path_of(f) for f in some] for some in (options.files, options.good, options.suspect))
    layout = path_of(options.layout)
    if layout:
        h5.load_layout(layout, chip)  # a name that is none must be said now, not when the case is read
        if is_evidence(Path(layout)):
            files.append(layout)
            layout = ""
    into = options.out or (files[0] if files else "")
    into = into if into and is_evidence(Path(into, "case.toml")) else None
    folder = Path(into) if into else new_folder(options.out)
    found = sort_evidence(
        files,
        good=good,
        suspect=suspect,
        details=Details(
            options.title,
            chip.name if chip else "",
            layout,
            options.marking,
            options.package,
            options.good_access,
            options.suspect_access,
            options.good_mode,
            options.suspect_mode,
        ),
        ask=_ask if printing.somebody_there() else None,
        into=into,
    )
    found = write_case(found, folder)
    view = view_of(found)
    sheet, last = view.sheet(found), Section("", (f"Next: h5diag diagnose {folder}",))
    return Result(
        view.document(found) | {"case": str(folder)},
        replace(sheet, headline=f"Case folder: {folder}", sections=(*sheet.sections, last)),
    )


def _ask(question: str, answers: Sequence[str]) -> int:
    printing.error("\n".join([question, *(f"  {number}  {answer}" for number, answer in enumerate(answers, 1))]))
    while True:
        line = printing.ask(f"1 to {len(answers)}, or Enter if you do not know: ")
        if not line:
            return -1
        if line.isdecimal() and 1 <= int(line) <= len(answers):
            return int(line) - 1


_CAPTURE_ARGUMENTS: tuple[Argument, ...] = (
    one_of(
        argument(
            "--print",
            choices=("sh", "bat", "openocd", "jlink"),
            dest="shell",
            help="for which command line (STM32CubeProgrammer), or for OpenOCD or J-Link Commander, the script is",
        ),
        argument(
            "--run", action="store_true", help="run STM32CubeProgrammer here, and sort what it reads into a case folder"
        ),
    ),
    argument("--name", default="suspect", metavar="BOARD", help="good or suspect: begins every file's name"),
    argument("--out", default="h5diag-capture", metavar="DIR", help="folder of --run"),
    argument(
        "--chip",
        metavar="C",
        default="",
        help="chip file or family word (default: the layout's; --run asks the programmer)",
    ),
    argument("--layout", metavar="L", default="", help="a preset's name or a flash_layout.h: only its slots are read"),
)


def _capture(options: Namespace) -> Result:
    from h5diag.case.capture import Interpreter, capture_script, capture_steps
    from h5diag.chip import choose_chip

    chip = h5.load_chip(options.chip) if options.chip else None
    layout = h5.load_layout(options.layout, chip) if options.layout else None
    choice = choose_chip(given=options.chip, layout=layout)
    if options.run:
        return _capture_run(options, None if choice.assumed else choice.read_as, layout)
    say_chip(choice)
    chip = choice.read_as
    script = capture_script(Interpreter(options.shell), chip, layout, options.name)
    steps = capture_steps(chip, layout)
    printing.keep_line_ends()
    document = choice.to_dict() | {
        "shell": options.shell,
        "chip": chip.name,
        "layout": layout.name if layout else "none",
        "steps": [s.what for s in steps],
        "script": script,
    }
    return Result(document, script.removesuffix("\n"))


def _capture_run(options: Namespace, chip: Chip | None, layout: Layout | None) -> Result:
    from pathlib import Path

    from h5diag.case.capture import capture_steps
    from h5diag.case.intake import sort_evidence, write_case
    from h5diag.probe.capture_run import run_capture

    with progress_bar("capture", sum(s.size for s in capture_steps(chip or h5.load_chip(), layout))) as progress:
        chip, files = run_capture(
            chip, options.out, options.name, layout=layout, tell=printing.remark, progress=progress
        )
    names, folder = [str(p) for p in files if not p.name.endswith(".map.json")], Path(options.out, "case")
    good = options.name.startswith("good")
    found = write_case(sort_evidence([], good=names if good else [], suspect=[] if good else names), folder)
    missing = [m.what for m in found.missing]
    document = {"chip": chip.name, "files": [str(p) for p in files], "case": str(folder), "missing": missing}
    return Result(document, "\n".join([f"Case folder: {folder}", *map(str, files), f"Next: h5diag diagnose {folder}"]))


COMMANDS = (
    Command(
        "capture",
        "print a read-only script that collects evidence of a board, or run STM32CubeProgrammer here",
        _CAPTURE_ARGUMENTS,
        _capture,
        examples=(
            "h5diag capture --print sh --layout oemirot-2m-overwrite > capture.sh",
            "h5diag capture --print bat > capture.bat",
            "h5diag capture --run --name suspect --out my-board",
        ),
    ),
    Command(
        "case",
        "sort evidence files into a case folder and say what is missing",
        _CASE_ARGUMENTS,
        _case,
        examples=(
            "h5diag case my-files/",
            "h5diag case suspect-1.hex suspect-ob.txt --good good.hex good-ob.txt --layout flash_layout.h",
        ),
    ),
)
