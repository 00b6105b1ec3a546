"""The front door's calls about provisioning: thin, with plain arguments; none of them touches a board."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from h5diag.app.sources import path_of
from h5diag.errors import InputError

if TYPE_CHECKING:
    from h5diag.judge.preflight import Inventory, Preflight, Reopening
    from h5diag.sim.rehearse import Rehearsal


def keys(*places: str | os.PathLike[str]) -> Inventory:
    """Return what each key, certificate, password, .obk and signed image is, and who fits whom; nothing secret shows.

    Parameters
    ----------
    places
        Files and folders.
    """
    from h5diag.judge.preflight import read_inventory

    return read_inventory(_paths(places))


def access(*places: str | os.PathLike[str]) -> Reopening:
    """Return whether a locked board can be opened again, from its texts and a folder of credentials.

    Parameters
    ----------
    places
        A discovery, a listing or a log, certificates, keys, passwords; or a case folder.
    """
    from h5diag.judge.preflight import access as answer

    return answer(_paths(places))


def preflight(
    *places: str | os.PathLike[str],
    chip: str = "",
    options: str | os.PathLike[str] | None = None,
    log: str | os.PathLike[str] | None = None,
    to: str = "",
    path: str = "",
) -> Preflight:
    """Return GO, NO-GO or UNKNOWN for a provisioning set, before an irreversible step. No board is touched.

    Parameters
    ----------
    places
        A project's folder, its ``ROT_Provisioning``, or any folder or files.
    chip, options, log
        The part; the board's option bytes and a log of it before the step.
    to
        The product state by name or value; else what the script sets.
    path
        ``oemirot stirot stirot-oemurot da script``; else all that are there.
    """
    from h5diag.judge.preflight import preflight as judged

    return judged(
        _paths(places),
        chip=chip,
        options=None if options is None else Path(path_of(options)),
        log=None if log is None else Path(path_of(log)),
        to=to,
        path=path,
    )


def rehearse(
    script: str | os.PathLike[str],
    *,
    chip: str = "",
    options: str | os.PathLike[str] | None = None,
    to: str = "",
    arguments: Iterable[str] = (),
) -> Rehearsal:
    """Return the walk of a provisioning script against a chip that is not there; nothing of it is executed.

    Parameters
    ----------
    script
        A ``.sh`` or ``.bat``.
    chip, options, to
        As for `preflight`.
    arguments
        The script's own.
    """
    from h5diag.judge.preflight import rehearsal

    return rehearsal(
        Path(path_of(script)),
        chip=chip,
        options=None if options is None else Path(path_of(options)),
        to=to,
        arguments=tuple(arguments),
    )


def _paths(places: tuple[str | os.PathLike[str], ...]) -> list[Path]:
    if not places:
        raise InputError("no file was named", advice="give files or folders")
    return [Path(path_of(p)) for p in places]
