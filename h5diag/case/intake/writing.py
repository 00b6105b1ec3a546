"""Sorted evidence as a value, and the case folder that it becomes: copies and a ``case.toml`` that names them.

Nothing is ever written over: a file that is added gets a name of its own, and what a person typed into ``case.toml``,
remarks included, stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import tomlkit
from tomlkit.items import AoT, Array, Table

from h5diag.answer import Answer
from h5diag.case.folder import BoardTable, CaseTable, ImageTable, KeysTable, LoaderTable, ProvisioningTable, read_table
from h5diag.case.intake.kinds import BoardSide, Evidence, FileRole
from h5diag.case.intake.missing import Missing
from h5diag.chip import ChipChoice, choose_chip
from h5diag.errors import InputError
from h5diag.evidence.door import (
    is_folder,
    is_there,
    make_folder,
    names_in,
    real_path,
    whole,
    write_whole,
)
from h5diag.evidence.files import Sidecar, sidecar_path, write_sidecar

_MANY = (FileRole.DUMP, FileRole.LATER)
_JOINED = (FileRole.LOG, FileRole.UART, FileRole.REGISTERS)
"""Texts of which a board may have several."""

ON_A_LINE = 8
"""File names of a list that stand on one line of case.toml."""

_SINGLE = (FileRole.OPTIONS, FileRole.INFO, FileRole.SWEEP, FileRole.FLASHTEST)


@dataclass(frozen=True, slots=True)
class Details:
    """What the person says beside the files; empty where nothing was said."""

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
class BoardFiles:
    """The files of one board. `name` is for a person; `side` is None when nobody could say."""

    name: str
    side: BoardSide | None
    files: tuple[Evidence, ...] = ()

    def of(self, role: FileRole) -> tuple[Evidence, ...]:
        """Return the files of one role, by name."""
        return tuple(e for e in self.files if e.role is role)

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(e.path.name for e in self.files)})"


@dataclass(frozen=True, slots=True)
class SortedBoards:
    """All boards.

    Parameters
    ----------
    good, suspects
        Sorted as far as it could be told; `good` has no files when there is none.
    undecided
        Boards of which nobody could say whether they are good. They are treated as suspects.
    loose
        Files of which it could not be told to which board they belong.
    """

    good: BoardFiles = field(default_factory=lambda: BoardFiles("good", BoardSide.GOOD))
    suspects: tuple[BoardFiles, ...] = ()
    undecided: tuple[BoardFiles, ...] = ()
    loose: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Sorted(Answer):
    """Dropped files, sorted; nothing is written yet.

    Parameters
    ----------
    details
        What the person said, with what the files themselves tell where nothing was said.
    boards
        As far as it could be told.
    rest
        Evidence that belongs to no board.
    unused
        Files that are no evidence or cannot be read; `Evidence.what` says why.
    missing
        What would let more be decided.
    remarks
        What was assumed or left out, one sentence each.
    existing, into
        What the case folder said before, and where it is, when files are added to one.
    choice
        The chip that the files name, or the person did.
    """

    details: Details
    boards: SortedBoards
    rest: tuple[Evidence, ...]
    unused: tuple[Evidence, ...]
    missing: tuple[Missing, ...] = ()
    remarks: tuple[str, ...] = ()
    existing: CaseTable | None = None
    into: Path | None = None
    choice: ChipChoice = field(default_factory=choose_chip)

    @property
    def suspects(self) -> tuple[BoardFiles, ...]:
        """The boards in question, those of which nobody could say so included."""
        return (*self.boards.suspects, *self.boards.undecided)

    def of(self, role: FileRole) -> tuple[Evidence, ...]:
        """Return the files that belong to no board and have this role."""
        return tuple(e for e in self.rest if e.role is role)

    def write(self, folder: str | os.PathLike[str] | None = None) -> Path:
        """Make the case folder (``h5diag-case`` by default), or mend the one that was added to; return where it is."""
        wanted = os.fspath(folder) if folder is not None else None
        path = self.into if self.into is not None and wanted is None else new_folder(wanted)
        write_case(self, path)
        return path


def new_folder(wanted: str | None) -> Path:
    """Return a folder that does not exist yet, or is empty: `wanted`, or ``h5diag-case`` with a number if need be.

    Raises
    ------
    InputError
        When `wanted` is there and holds something.
    """
    if wanted is not None:
        path = Path(wanted)
        try:
            used = is_there(path) and (not is_folder(path) or bool(names_in(path)))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", "") or "no name of a folder"
            raise InputError(f"cannot be used as a folder ({reason})", source=wanted) from None
        if used:
            raise InputError("is there already and not empty", source=str(path), advice="name a new folder with --out")
        return path
    for number in range(1, 10_000):
        path = Path("h5diag-case" if number == 1 else f"h5diag-case-{number}")
        if not is_there(path):
            return path
    raise InputError("ten thousand case folders are there already", advice="name a new folder with --out")


def write_case(found: Sorted, folder: Path) -> Sorted:
    """Copy the files into `folder`, write or mend ``case.toml`` there, and return `found` with what was left out.

    Raises
    ------
    InputError
        When something cannot be copied; every copy is then taken away again.
    """
    made, text = not is_there(folder), ""
    copies = _Copies(folder)
    remarks: list[str] = []
    try:
        make_folder(folder)
        table = CaseTable()
        if found.existing is not None:
            table, file = read_table(folder)
            text = file.data.decode("utf-8-sig")
        _fill(table, found, copies, remarks)
        document = tomlkit.parse(text)
        if table.suspects and "suspect" in document:
            several = tomlkit.aot()
            several.append(document.pop("suspect"))
            document["suspects"] = several
        _merge(document, msgspec.to_builtins(table))
        toml = tomlkit.dumps(document).lstrip("\n").encode("utf-8", "replace")
        write_whole(folder / "case.toml", toml, new=found.existing is None)
    except (OSError, InputError) as error:
        copies.undo()
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, InputError):
            raise
        reason = error.strerror or error
        raise InputError(f"cannot be written ({reason})", source=str(error.filename or folder)) from None
    return replace(found, remarks=tuple(dict.fromkeys((*found.remarks, *remarks))))


def _merge(old: Any, new: dict[str, Any]) -> None:
    """Bring a TOML document to say `new`, leaving alone what it says already."""
    for key, value in new.items():
        there = old.get(key)
        if isinstance(value, dict):
            if there is None:
                old[key] = _spaced()
            _merge(old[key], value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            if not isinstance(there, AoT):
                old[key] = tomlkit.aot()
            for number, row in enumerate(value):
                if number >= len(old[key]):
                    old[key].append(_spaced())
                _merge(old[key][number], row)
        elif there is None or _plain(there) != value:
            old[key] = _long(value) if isinstance(value, list) and len(value) > ON_A_LINE else value


def _long(values: list[Any]) -> Array:
    """A list with a line for each value: a line of a thousand file names is refused when it is read back."""
    array = tomlkit.array()
    array.extend(values)
    return array.multiline(True)


def _plain(value: Any) -> Any:
    """Tomlkit gives a boolean as it is, everything else in a wrapper."""
    return value.unwrap() if hasattr(value, "unwrap") else value


def _spaced() -> Table:
    table = tomlkit.table()
    table.trivia.indent = "\n"
    return table


def _fill(table: CaseTable, found: Sorted, copies: _Copies, remarks: list[str]) -> None:
    """Write everything that was found into the table; `copies` gives the names."""
    details = found.details
    table.title = details.title or table.title
    table.chip = details.chip or table.chip
    headers = found.of(FileRole.LAYOUT)
    if details.layout or headers:
        table.layout = details.layout or copies.name(headers[0])
        _one(headers, "flash_layout.h", remarks)
    if found.boards.good.files:
        table.good = _board(table.good, found.boards.good, copies, remarks, details.good_access, details.good_mode)
    suspects = found.suspects
    tables: list[BoardTable | None] = [*table.suspects] or [table.suspect]
    tables += [None] * (len(suspects) - len(tables))
    filled = [
        _board(old, board, copies, remarks, details.suspect_access, details.suspect_mode, details.marking)
        for old, board in zip(tables, suspects, strict=False)
    ]
    if len(filled) == 1 and not table.suspects:
        table.suspect = filled[0]
    elif filled:
        table.suspect, table.suspects = None, [*filled]
    provisioning, loader = table.provisioning or ProvisioningTable(), table.loader or LoaderTable()
    provisioning.package = details.package or provisioning.package
    provisioning.logs += map(copies.name, found.of(FileRole.PROVISIONING))
    table.images += [ImageTable(copies.name(image)) for image in found.of(FileRole.IMAGE)]
    loaders, loader_logs = found.of(FileRole.LOADER), found.of(FileRole.LOADER_LOG)
    loader.file = copies.name(loaders[0]) if loaders else loader.file
    loader.log = copies.name(loader_logs[0]) if loader_logs else loader.log
    _one(loaders, "external loader", remarks)
    _one(loader_logs, "loader log", remarks)
    keys = table.keys or KeysTable()
    keys.verify += map(copies.name, found.of(FileRole.VERIFY_KEY))
    keys.decrypt += map(copies.name, found.of(FileRole.DECRYPT_KEY))
    # A table in which nothing stands is none.
    table.provisioning = provisioning if provisioning != ProvisioningTable() else None
    table.loader = loader if loader != LoaderTable() else None
    table.keys = keys if keys != KeysTable() else None


def _board(
    table: BoardTable | None,
    board: BoardFiles,
    copies: _Copies,
    remarks: list[str],
    access: str,
    mode: str,
    marking: str = "",
) -> BoardTable:
    """Return the table of a board with its new files; `remarks` take what had to be left out."""
    old, table = table is not None, table or BoardTable(name=board.name)
    table.access, table.mode = access or table.access, mode or table.mode
    table.marking = marking or table.marking
    new = [e for e in board.files if e.what != "in the case already"]
    for role in (*_MANY, *_JOINED, *_SINGLE):
        files = [e for e in new if e.role is role]
        if role is FileRole.LOG:
            spare = [e for e in new if e.also_log]
            sessions = [e for e in spare if e.role is FileRole.DUMP]  # it tells more than the memory that it shows
            files += sessions or (spare[:1] if not files and not table.log else [])
        if not files:
            continue
        names, there = [copies.name(e) for e in files], getattr(table, role.value)
        if role in _MANY:
            there += names
        elif role in _JOINED:
            # A listing that stood in for the log gives way to a log.
            names = [*(n for n in ([there] if isinstance(there, str) else there) if n != table.options), *names]
            setattr(table, role.value, names if len(names) > 1 else names[0])
        else:
            if old and there:
                remarks.append(f"{role.value} of {board.name} is {names[0]} now; {there} stays in the folder unused")
            setattr(table, role.value, names[0])
            _one(files, f"{role.value} of {board.name}", remarks)
    return table


def _one(found: Sequence[Evidence], what: str, remarks: list[str]) -> None:
    if len(found) > 1:
        remarks.append(
            f"only one {what} is used, {found[0].path.name}; left out: " + ", ".join(e.path.name for e in found[1:])
        )


class _Copies:
    """Copies files into the folder under names that are theirs alone and that every system can hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[Path, str] = {}
        self.made: list[Path] = []
        self.used = {"case.toml"}
        with contextlib.suppress(OSError):
            self.used |= {name.lower() for name in names_in(folder)}

    def name(self, e: Evidence) -> str:
        """Return the name of the copy of `e`, copying it and its sidecar first if that was not done."""
        path, folder = real_path(e.path), real_path(self.folder)
        # A name that no TOML holds gets a copy with another one.
        if path.is_relative_to(folder) and (there := path.relative_to(folder).as_posix()).isprintable():
            self.names.setdefault(e.path, there)
        if e.path not in self.names and e.file is not None:
            self.names[e.path] = name = self._unused_name(e.path)
            self._write(name, whole(e.file).data, private=e.role is FileRole.DECRYPT_KEY)
            if e.beside is not None and e.role in (FileRole.DUMP, FileRole.LATER, FileRole.IMAGE):
                self._write(sidecar_path(name).name, e.beside.data)
        name = self.names[e.path]
        copied = sidecar_path(self.folder / name)
        if e.needs_base and e.name.address is not None and not is_there(copied):
            remark = "the base address was taken from the file's name"
            write_sidecar(self.folder / name, Sidecar(base=e.name.address, remarks=(remark,)))
            self.made.append(copied)
            self.used.add(copied.name.lower())
        return name

    def undo(self) -> None:
        """Take every copy away again."""
        for path in self.made:
            with contextlib.suppress(OSError):
                path.unlink()

    def _write(self, name: str, data: bytes, *, private: bool = False) -> None:
        write_whole(self.folder / name, data, private=private, new=True)
        self.made.append(self.folder / name)
        self.used.add(name.lower())

    def _unused_name(self, path: Path) -> str:
        clean = re.sub(r"[^\w.+()=,@ -]", "_", os.fsencode(path.name).decode("utf-8", "replace")).strip(" .") or "file"
        clean = clean[-200:]
        parent = re.sub(r"[^\w.+-]", "_", os.fsencode(path.parent.name).decode("utf-8", "replace")).strip(".")[-40:]
        tries: Iterator[str] = iter((clean, f"{parent}-{clean}" if parent else clean))
        numbered: Iterable[str] = (f"{i}-{clean}" for i in range(2, 10_000))
        return next(t for t in (*tries, *numbered) if t.lower() not in self.used)
