"""``h5diag lab`` and ``h5diag app``."""

from __future__ import annotations

from argparse import Namespace

from h5diag.app.cli.command import Argument, Command, Result, argument, number
from h5diag.show import printing

_ARGUMENTS: tuple[Argument, ...] = (
    argument("--dir", metavar="DIR", default="h5diag-work", help="where notebooks and sample data go"),
    argument("--no-browser", action="store_true", help="start the server only and print its address"),
    argument("--copy-only", action="store_true", help="copy the files and start nothing"),
    argument("--allow-root", action="store_true", help="let the server run as root, as in a container"),
    argument("jupyter", nargs="*", metavar="-- OPTION", help="options for JupyterLab, as in: -- --port 9999"),
)


_APP_ARGUMENTS: tuple[Argument, ...] = (
    argument("--dir", metavar="DIR", default="h5diag-work", help="where notebooks and sample data go"),
    argument("--port", type=number, default=8866, help="TCP port on loopback"),
    argument("--no-browser", action="store_true", help="start the server only and print its address"),
)


def _lab(options: Namespace) -> Result:
    from h5diag.app.lab import copy_out, lab_command, require_no_root, run
    from h5diag.text import count_text

    copied = copy_out(options.dir)
    new, old = count_text(len(copied.written), "file"), len(copied.kept)
    text = f"{new} copied to {copied.folder}, {old} were there and stay as they are"
    document = {
        "dir": str(copied.folder),
        "written": list(copied.written),
        "kept": list(copied.kept),
        "first": str(copied.first),
    }
    if options.copy_only:
        return Result(document, text)
    extra = [*(["--allow-root"] if options.allow_root else []), *options.jupyter]
    require_no_root(extra)
    printing.remark(text)
    return Result(document, "", 1 if run(lab_command(copied, browser=not options.no_browser, extra=extra)) else 0)


def _app(options: Namespace) -> Result:
    from secrets import token_urlsafe

    from h5diag.app.lab import app_command, copy_out, require_own, require_voila, run

    require_voila()
    copied = copy_out(options.dir)
    require_own(copied)
    token = token_urlsafe(24)
    command = app_command(copied, port=options.port, browser=not options.no_browser)
    printing.remark(f"serving {copied.first} on http://127.0.0.1:{options.port}/?token={token} (Ctrl-C ends it)")
    return Result({"dir": str(copied.folder), "port": options.port}, "", 1 if run(command, token) else 0)


COMMANDS = (
    Command(
        "lab",
        "notebooks and sample data copied to a folder, JupyterLab opened there",
        _ARGUMENTS,
        _lab,
        examples=(
            "h5diag lab",
            "h5diag lab --dir notebooks --copy-only",
            "h5diag lab --no-browser --allow-root -- --port 9999",
        ),
    ),
    Command(
        "app", "the first notebook as a page on loopback (extra 'app')", _APP_ARGUMENTS, _app, examples=("h5diag app",)
    ),
)
