"""The preflight: every check over every way through a set, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from h5diag.answer import Answer
from h5diag.errors import InputError
from h5diag.evidence.samples import Named, path_of, paths_of
from h5diag.judge.preflight.credentials import (
    da_chain,
    da_password,
    da_present,
    da_tzen,
    files_present,
    gate_discovery,
    keys_published,
    obk_rows,
)
from h5diag.judge.preflight.images import image_rows, option_rows
from h5diag.judge.preflight.project import Project, choose_part, open_project, read_board
from h5diag.judge.preflight.rows import FAIL, PASS, UNKNOWN, WARN, Row, Scene
from h5diag.judge.preflight.scripts import (
    chip_match,
    readout_rows,
    result_rows,
    secure_manager,
    state_rows,
    syntax_rows,
    xml_rows,
)
from h5diag.sim.rehearse import OFF, OPEN, Rehearsal, WalkInputs, rehearse, script_file

CHECKS: tuple[Callable[[Scene], Iterator[Row]], ...] = (
    chip_match,
    state_rows,
    files_present,
    obk_rows,
    da_present,
    da_tzen,
    da_chain,
    da_password,
    gate_discovery,
    image_rows,
    option_rows,
    xml_rows,
    keys_published,
    syntax_rows,
    result_rows,
    secure_manager,
)
READOUT_CHECKS: tuple[Callable[[Scene], Iterator[Row]], ...] = (
    chip_match,
    readout_rows,
    files_present,
    syntax_rows,
    result_rows,
)
"""For parts with RDP and OEM keys in place of product states."""

PACKAGE_CHECKS: tuple[Callable[[Scene], Iterator[Row]], ...] = (chip_match, files_present, secure_manager, syntax_rows)
"""For a Secure Manager: what it stores and closes is inside the package."""

ASKS = (
    ("ask-nrst", "Is NRST wired to the probe, and does it move? Without it no regression was ever made."),
    ("ask-usb", "Is the board's own USB unplugged? Storing objects failed on boards where it was not."),
    ("ask-boot0", "Is BOOT0 as each step of the script says?"),
    ("ask-supply", "Does the supply stay in range until the last step is done?"),
    ("ask-tool-version", "Is STM32CubeProgrammer of this year, and was this very version tried on a spare board?"),
)


@dataclass(frozen=True, slots=True)
class Preflight(Answer):
    """What a preflight came to.

    Parameters
    ----------
    verdict
        ``go``, ``no-go`` or ``unknown``.
    to, to_given
        The state that was judged, and whether it was asked for.
    rows
        All rows, what fails first.
    """

    project: Project
    verdict: str
    to: str
    to_given: bool
    chip: str
    chip_known_by: str
    path: str
    rows: tuple[Row, ...]
    lost_if_wrong: str


def preflight(
    *places: Named,
    chip: str = "",
    options: Named | None = None,
    log: Named | None = None,
    to: str = "",
    path: str = "",
) -> Preflight:
    """Return GO, NO-GO or UNKNOWN for a provisioning set, before an irreversible step. No board is touched.

    Parameters
    ----------
    places
        A project's folder, its ``ROT_Provisioning``, or any folder or files.
    chip, options, log
        The part; the board's option bytes and its log before the step.
    to
        The product state, by name or value; else what the script sets, else CLOSED.
    path
        One way through the set (``oemirot``, ``stirot``, ``stirot-oemurot``, ``da``, ``script``).

    Raises
    ------
    InputError
        When nothing usable is there.
    """
    project = open_project(paths_of(places), chip=chip, board=read_board(options, log), target=to, path=path)
    if not project.procedures:
        raise InputError(
            "has no script that calls STM32CubeProgrammer",
            source=str(places[0]),
            advice="h5diag keys explains single files; a preflight needs the script that provisions",
        )
    scenes = [Scene(project, p, w, p.stage) for p in project.procedures for w in p.walks]
    found: dict[Row, None] = {}
    for scene in scenes:
        procedure, walk = scene.procedure, scene.walk
        if walk is not procedure.walks[0] and not walk.steps and procedure.path != "script":
            continue  # a twin for another system that does nothing
        levels = any(n == "RDP" for s in walk.steps for n, _ in s.call.options)
        readout = project.part.oem_words is not None or (levels and scene.final is None)
        package = procedure.path == "secure-manager"
        for check in PACKAGE_CHECKS if package else READOUT_CHECKS if readout else CHECKS:
            found |= dict.fromkeys(check(scene))
    rows = tuple(sorted(_said_once(found), key=lambda r: _ORDER.index(r.state)))
    return Preflight(
        project,
        _verdict(rows, project),
        project.target,
        project.target_given,
        project.part.name,
        choose_part(project.chip_words)[1],
        ", ".join(p.path for p in project.procedures),
        rows,
        _stake(scenes, rows),
    )


_ORDER = (FAIL, UNKNOWN, WARN, PASS)


def rehearsal(
    script: Named, *, chip: str = "", options: Named | None = None, to: str = "", arguments: Iterable[str] = ()
) -> Rehearsal:
    """Return the walk of a person's own script against a chip that is not there; nothing of it is executed.

    Parameters
    ----------
    script
        A ``.sh`` or ``.bat``; the scripts and files that it names are read beside it.
    chip, options, to
        As for `preflight`.
    arguments
        Of the script.

    Raises
    ------
    InputError
        When it is no script, or the part or state is none.
    """
    script = Path(path_of(script))
    if not script_file(script):
        raise InputError("is no script", source=str(script), advice="give a .sh or .bat file")
    project = open_project([script], chip=chip, board=read_board(options, None), target=to, path="script")
    kinds = {
        i.obk.credential: "password" if i.kind == "obk-da-password" else "certificate"
        for i in project.items
        if i.obk is not None and i.obk.credential
    }
    listed = project.board.options.get("PRODUCT_STATE", OPEN)
    values = {n: v for n, v in project.board.options.items() if n != "PRODUCT_STATE"}
    on = project.part.trustzone and values.get("TZEN") != OFF
    stage = WalkInputs(project.root, project.part, project.target, values, listed, on, project.find)
    return rehearse(script.absolute(), stage, kinds, tuple(arguments))


def _said_once(rows: Collection[Row]) -> list[Row]:
    """Published keys, and the last state's result, are the same in every script of a set: each is said once."""
    warned = {
        text: next((r for r in rows if r.state == WARN and text in r.id + r.text), None)
        for text in ("keys-published", "the result of the last PRODUCT_STATE")
    }
    return [
        row
        for row in rows
        if not any(first and row is not first and text in row.id + row.text for text, first in warned.items())
    ]


def _verdict(rows: Sequence[Row], project: Project) -> str:
    if any(r.state == FAIL for r in rows) or project.target == "LOCKED":
        return "no-go"
    if any(r.state == UNKNOWN or (r.id == "keys-published" and r.state == WARN) for r in rows):
        return "unknown"
    return "go"


def _stake(scenes: Sequence[Scene], rows: Sequence[Row]) -> str:
    """Say what is at stake at the target, in one sentence."""
    project, da = scenes[0].project, next((s.da for s in scenes if s.da is not None), None)
    stakes = (
        (project.target == "OPEN", "The chip stays open: whatever goes wrong can be erased and done again."),
        (
            all(p.path == "secure-manager" for p in project.procedures),
            "What an encrypted package closes only the credentials inside it open again, and that erases everything.",
        ),
        (project.target == "LOCKED", "LOCKED has no way back for anybody: whatever is wrong stays wrong."),
        (
            project.part.oem_words is not None,
            "At RDP 2 only the OEM2 key leads back, at RDP 1 and 0.5 a regression, and each erases everything.",
        ),
        (
            not project.part.obk,
            "Afterwards only the password whose hash is in the OTP area opens the chip, and it erases everything.",
        ),
    )
    if known := next((text for holds, text in stakes if holds), ""):
        return known
    if da is None or any(r.state == FAIL and r.id.startswith(("da-", "obk-")) for r in rows):
        return f"In {project.target} with these files nothing opens the chip again: the board would be lost."
    kind = "password" if da.item.kind == "obk-da-password" else "certificate chain and the leaf's private key"
    return (
        f"In {project.target} only a full regression with the {kind} of {da.file} opens the chip again, and it erases"
        " everything; without them the board is lost."
    )
