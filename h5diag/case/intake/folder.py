"""The case folder: copies of the evidence and a ``case.toml`` that names them. Nothing is ever written over."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from h5diag.case.intake.boards import BoardFiles
from h5diag.case.intake.evidence import BASE_TOLD, Evidence, Role
from h5diag.case.intake.names import UNKNOWN_BASE
from h5diag.errors import InputError
from h5diag.evidence.files import Sidecar, sidecar_path, write_sidecar

_SINGLE = (Role.OPTIONS, Role.LOG, Role.INFO, Role.SWEEP, Role.FLASHTEST, Role.UART, Role.REGISTERS)


@dataclass(frozen=True, slots=True)
class Told:
    """What the person told beside the files; empty where nothing was told."""

    title: str = ""
    chip: str = ""
    layout: str = ""
    marking: str = ""
    package: str = ""
    good_access: str = ""
    suspect_access: str = ""
    good_mode: str = ""
    suspect_mode: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that goes into a case folder."""

    told: Told
    good: BoardFiles
    suspects: tuple[BoardFiles, ...]
    rest: tuple[Evidence, ...]
    remarks: list[str] = field(default_factory=list)

    def of(self, role: Role) -> tuple[Evidence, ...]:
        """Return the files that belong to no board and have this role."""
        return tuple(e for e in self.rest if e.role is role)


def new_folder(wanted: str | None) -> Path:
    """Return a folder that does not exist yet, or is empty: `wanted`, or ``h5diag-case`` with a number if need be.

    Raises
    ------
    InputError
        When `wanted` is there and holds something.
    """
    if wanted is not None:
        path = Path(wanted)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError("is there already and not empty", source=str(path), advice="name a new folder with --out")
        return path
    for number in range(1, 10_000):
        path = Path("h5diag-case" if number == 1 else f"h5diag-case-{number}")
        if not path.exists():
            return path
    raise InputError("ten thousand case folders are there already", advice="name a new folder with --out")


def write_case(content: Content, folder: Path) -> Path:
    """Copy the files into `folder`, write ``case.toml`` there and return its path.

    Raises
    ------
    InputError
        When something cannot be copied; the folder is then taken away again.
    """
    made = not folder.exists()
    copies = _Copies(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = "\n".join(_toml(content, copies)) + "\n"
        with (folder / "case.toml").open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except OSError as error:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        raise InputError(
            f"cannot be written ({error.strerror or error})", source=str(error.filename or folder)
        ) from None
    return folder / "case.toml"


def quoted(text: str) -> str:
    """Return `text` as a TOML basic string."""
    # JSON escapes what TOML wants escaped, except DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


class _Copies:
    """Copies files into the folder under names that are theirs alone and that every system can hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[Path, str] = {}
        self.taken: set[str] = {"case.toml"}

    def name(self, e: Evidence) -> str:
        """Return the name of the copy of `e`, copying it and its sidecar first if that was not done."""
        if e.path not in self.names:
            name = self._free(e.path)
            shutil.copyfile(e.path, self.folder / name)
            if e.role is Role.DECRYPT_KEY:
                (self.folder / name).chmod(0o600)
            beside = sidecar_path(e.path)
            if beside.is_file() and e.role in (Role.DUMP, Role.LATER, Role.IMAGE):
                shutil.copyfile(beside, sidecar_path(self.folder / name))
                self.taken.add(sidecar_path(name).name.lower())
            elif e.assumed_base not in (BASE_TOLD, UNKNOWN_BASE):
                write_sidecar(
                    self.folder / name,
                    Sidecar(base=e.assumed_base, remarks=("the base address was taken from the file's name",)),
                )
                self.taken.add(sidecar_path(name).name.lower())
            self.names[e.path] = name
        return self.names[e.path]

    def _free(self, path: Path) -> str:
        clean = re.sub(r"[^\w.+()=,@ -]", "_", os.fsencode(path.name).decode("utf-8", "replace")).strip(" .") or "file"
        clean = clean[-200:]
        parent = re.sub(r"[^\w.+-]", "_", os.fsencode(path.parent.name).decode("utf-8", "replace")).strip(".")[-40:]
        tries = [clean, f"{parent}-{clean}" if parent else clean, *(f"{i}-{clean}" for i in range(2, 10_000))]
        name = next(t for t in tries if t.lower() not in self.taken)
        self.taken.add(name.lower())
        return name


def _toml(content: Content, copies: _Copies) -> Iterable[str]:
    told = content.told
    yield f"title = {quoted(told.title)}"
    if told.chip:
        yield f"chip = {quoted(told.chip)}"
    headers = content.of(Role.LAYOUT)
    if told.layout:
        yield f"layout = {quoted(told.layout)}"
    elif headers:
        yield f"layout = {quoted(copies.name(headers[0]))}"
        _one(headers, "flash_layout.h", content.remarks)
    if content.good.files:
        yield from _board("[good]", content.good, told.good_access, told.good_mode, "", copies, content.remarks)
    head = "[suspect]" if len(content.suspects) == 1 else "[[suspects]]"
    for board in content.suspects:
        yield from _board(head, board, told.suspect_access, told.suspect_mode, told.marking, copies, content.remarks)
    logs = content.of(Role.PROVISIONING)
    if logs or told.package:
        yield from ("", "[provisioning]")
        if told.package:
            yield f"package = {quoted(told.package)}"
        if logs:
            yield f"logs = {_list(copies, logs)}"
    for image in content.of(Role.IMAGE):
        yield from ("", "[[images]]", f"file = {quoted(copies.name(image))}")
    loaders, loader_logs = content.of(Role.LOADER), content.of(Role.LOADER_LOG)
    if loaders or loader_logs:
        yield from ("", "[loader]")
        if loaders:
            yield f"file = {quoted(copies.name(loaders[0]))}"
            _one(loaders, "external loader", content.remarks)
        if loader_logs:
            yield f"log = {quoted(copies.name(loader_logs[0]))}"
            _one(loader_logs, "loader log", content.remarks)
    verify, decrypt = content.of(Role.VERIFY_KEY), content.of(Role.DECRYPT_KEY)
    if verify or decrypt:
        yield from ("", "[keys]")
        if verify:
            yield f"verify = {_list(copies, verify)}"
        if decrypt:
            yield f"decrypt = {_list(copies, decrypt)}"


def _board(
    head: str, board: BoardFiles, access: str, mode: str, marking: str, copies: _Copies, remarks: list[str]
) -> Iterable[str]:
    yield from ("", head, f"name = {quoted(board.name)}")
    for role in (Role.DUMP, Role.LATER):
        if found := board.of(role):
            yield f"{role.value} = {_list(copies, found)}"
    if access:
        yield f"access = {quoted(access)}"
    if mode:
        yield f"mode = {quoted(mode)}"
    if marking:
        yield f"marking = {quoted(marking)}"
    for role in _SINGLE:
        found = board.of(role)
        if role is Role.LOG and not found:
            found = tuple(e for e in board.of(Role.OPTIONS) if e.also_log)[:1]
        if found:
            yield f"{role.value} = {quoted(copies.name(found[0]))}"
            _one(found, f"{role.value} of {board.name}", remarks)


def _one(found: Sequence[Evidence], what: str, remarks: list[str]) -> None:
    if len(found) > 1:
        remarks.append(
            f"only one {what} is used, {found[0].path.name}; left out: " + ", ".join(e.path.name for e in found[1:])
        )


def _list(copies: _Copies, found: Iterable[Evidence]) -> str:
    return "[" + ", ".join(quoted(copies.name(e)) for e in found) + "]"
