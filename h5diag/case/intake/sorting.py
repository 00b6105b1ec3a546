"""From dropped files to a case: gather, tell, group by board, and say what is missing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from h5diag.case.case import UNNAMED
from h5diag.case.folder import BoardTable, CaseTable, read_table
from h5diag.case.intake.gathering import Paths, read_files
from h5diag.case.intake.kinds import (
    A_VIEW,
    BOARD_ROLES,
    KIT_WORDS,
    BoardSide,
    Evidence,
    FileRole,
    Name,
    parse_name,
)
from h5diag.case.intake.likeness import by_content, is_build, with_own_texts
from h5diag.case.intake.missing import NEEDS_GOOD, Has, Missing, known_of, missing_of_board, missing_of_case
from h5diag.case.intake.writing import BoardFiles, Details, Sorted, SortedBoards
from h5diag.chip import EXTERNAL
from h5diag.errors import InputError
from h5diag.evidence.door import is_evidence, read_evidence, real_path
from h5diag.evidence.files import decode_text, read_sidecar, sidecar_path
from h5diag.evidence.texts import chip_of, parse_log
from h5diag.limits import TEXT
from h5diag.memory import Access
from h5diag.text import count_text

Ask = Callable[[str, Sequence[str]], int]
"""Asked a question with the possible answers; returns the index of the answer, -1 for "I do not know"."""

_WINDOW = 1 << 14
"""Characters of a debugger's window: some screens of words."""

_OF_SUSPECTS = frozenset(
    {FileRole.INFO, FileRole.SWEEP, FileRole.FLASHTEST, FileRole.UART, FileRole.REGISTERS, FileRole.LATER}
)
"""Roles that one collects of the board in question; without another word they are its own."""

_SEVERAL = frozenset({FileRole.LOG, FileRole.UART, FileRole.REGISTERS})
"""Texts of which a board may well have several."""


def sort_evidence(
    paths: Paths,
    *,
    good: Paths = (),
    suspect: Paths = (),
    flashed: Paths = (),
    details: Details | None = None,
    ask: Ask | None = None,
    into: str | os.PathLike[str] | None = None,
) -> Sorted:
    """Tell what each file is and which board it belongs to; nothing is written.

    Parameters
    ----------
    paths
        Folders (searched through) and files.
    good, suspect
        Files that the person says belong to a board that works, or to one in question.
    flashed
        Files that the person says were to be flashed: what holds memory among them was not read from a board.
    details
        What the person says beside the files.
    ask
        Asks the person, where names cannot tell; None never asks.
    into
        A case folder to which the files are added; what it names keeps its place.

    Raises
    ------
    InputError
        When a path is missing, or no file is evidence. One file among others that cannot be read is no error: it is
        in `Sorted.unused` with the reason.
    """
    paths, details, into = list(paths), details or Details(), Path(into) if into is not None else None
    table = read_table(into)[0] if into is not None else None
    before = _boards_of(table, into) if table is not None and into is not None else SortedBoards()
    known = {real_path(e.path) for b in (before.good, *before.suspects) for e in b.files}
    if table is not None and into is not None:
        known |= {real_path(into / name) for name in _others(table)}
    everything, count, (good_files, suspect_files, programs) = read_files(paths, known, good, suspect, flashed)
    unused = tuple(e for e in everything if e.role is FileRole.NONE)
    found = [e for e in everything if e.role is not FileRole.NONE]
    if not found and table is None:
        first = f" ({unused[0].path.name}: {unused[0].what})" if unused else ""
        raise InputError(
            f"no evidence among {count_text(count, 'file')}{first}",
            source=str(unused[0].path if len(unused) == 1 else ", ".join(map(str, paths[:3]))),
            advice="give dumps, option listings or logs of a board",
        )
    evidence = [_with_side(e, good_files, suspect_files) for e in found]
    evidence = [
        replace(e, role=FileRole.IMAGE, what="a program file, as you say")
        if real_path(e.path) in programs and e.role in (FileRole.DUMP, FileRole.LATER)
        else e
        for e in evidence
    ]
    old = [replace(e, name=replace(e.name, side=b.side)) for b in (before.good, *before.suspects) for e in b.files]
    evidence = _own_logs(by_content([_image_after_all(e, [*evidence, *old]) for e in evidence]))
    remarks: list[str] = []
    boards = _added(before, evidence, remarks, ask) if table is not None else sort_boards(evidence, remarks, ask)
    remarks += [f"{e.path.name}: which board it belongs to could not be told; left out" for e in boards.loose]
    if boards.undecided:
        remarks.append(
            "which board is the good one could not be told; all are taken for suspects: "
            + "; ".join(map(str, boards.undecided))
            + ". Say it with --good FILE"
        )
    remarks += _assumptions(evidence)
    if any(e.role is FileRole.DECRYPT_KEY for e in evidence):
        remarks.append("a private key is copied into the case folder; keep the folder to yourself")
    remarks += [
        f"{given}/case.toml was not read; the new case tells only what the files themselves tell"
        for given in map(Path, paths)
        if is_evidence(given / "case.toml") and (into is None or real_path(given) != real_path(into))
    ]
    if table is None:
        details = replace(details, title=details.title or _title(boards))
    rest = tuple(
        sorted(
            (e for e in evidence if e.role not in BOARD_ROLES),
            key=lambda e: (e.role.value, e.path.name != "flash_layout.h", str(e.path)),
        )
    )
    return _with_missing(Sorted(details, boards, rest, unused, (), tuple(dict.fromkeys(remarks)), table, into))


def _own_logs(evidence: list[Evidence]) -> list[Evidence]:
    """Of several boards, a programming log that lies with one board's dump is about that board."""
    boards = {e.name.board for e in evidence if e.role is FileRole.DUMP and e.name.board}
    return [
        replace(e, role=FileRole.LOG)
        if len(boards) > 1 and e.role is FileRole.PROVISIONING and e.name.board in boards
        else e
        for e in evidence
    ]


def _with_side(e: Evidence, good: Collection[Path], suspect: Collection[Path]) -> Evidence:
    path = real_path(e.path)
    side = BoardSide.GOOD if path in good else BoardSide.SUSPECT if path in suspect else e.name.side
    return replace(e, name=replace(e.name, side=side))


def _image_after_all(e: Evidence, everything: Sequence[Evidence]) -> Evidence:
    """A memory file whose name says nothing was made, not read, where the others say that they were read."""
    dumps = [o for o in everything if o.role in (FileRole.DUMP, FileRole.LATER)]
    if is_build(e, dumps):
        return replace(
            e, role=FileRole.IMAGE, what="a program file: its length is a build's, and a longer dump is there"
        )
    says_nothing = not (e.name.side or e.name.says_dump or e.name.later or e.beside)
    if e.role is not FileRole.DUMP or e.what == A_VIEW or not says_nothing:
        return e
    if {o.name.side for o in dumps} >= {BoardSide.GOOD, BoardSide.SUSPECT}:
        return replace(e, role=FileRole.IMAGE, what="a program file, since both boards have dumps")
    # What was put into an external memory carries its address in its name as its read does.
    at = e.name.address if e.name.address is not None and e.name.address not in EXTERNAL else None
    read = [o for o in dumps if o.name.says_dump or o.name.later or o.name.address not in (None, e.name.address)]
    if at is None and not e.name.counted and read and not any(o.name.side for o in dumps):
        what = f"a program file: what was meant to be written, while {read[0].path.name} was read back"
        return replace(e, role=FileRole.IMAGE, what=what)
    return e


def _assumptions(evidence: Sequence[Evidence]) -> list[str]:
    """Return what is assumed of where binaries were read: a line for each name that tells, one for all that do not."""
    open_ = [e for e in evidence if e.needs_base and e.role in (FileRole.DUMP, FileRole.LATER)]
    out = [
        f"the base address 0x{e.name.address:08X} of {e.path.name} is taken from its name"
        for e in open_
        if e.name.address is not None
    ]
    silent = [e.path for e in open_ if e.name.address is None]
    if silent:
        names, one = ", ".join(p.name for p in silent), len(silent) == 1
        out.append(
            f"{names} {'does' if one else 'do'} not say where {'it was' if one else 'they were'} read: 0x08000000, where"
            f" the flash begins, is assumed. If it was elsewhere, put the address into the name:"
            f" {silent[0].stem}-0xADDRESS{silent[0].suffix}"
        )
    return out


# Boards ---------------------------------------------------------------------------------------------------------

_Groups = dict[str, tuple[BoardSide | None, list[Evidence]]]


def sort_boards(files: Sequence[Evidence], remarks: list[str], ask: Ask | None = None) -> SortedBoards:
    """Group the files that belong to boards; what was concluded from names alone is added to `remarks`."""
    groups = _groups([e for e in files if e.role in BOARD_ROLES])
    good = [e for side, found in groups.values() if side is BoardSide.GOOD for e in found]
    if (
        good
        and not any(k for k, (side, _) in groups.items() if side is not BoardSide.GOOD)
        and not any(map(_is_read, good))
    ):
        # A log that went well and one that did not are of one board, as long as no other is named.
        groups = {"": (None, [e for _, found in groups.values() for e in found])}
    loose: tuple[Evidence, ...] = ()
    # A file that names no board belongs to the one board that lacks its kind, not to a board of its own.
    if "" in groups and groups[""][0] is None and len(groups) > 1:
        groups, loose = _placed(groups, remarks)
    by_label = {label: side for label, (side, _) in groups.items()}
    if None in by_label.values():
        _conclude(groups, by_label, remarks, ask)
    boards: list[BoardFiles] = []
    for key, (_, found) in groups.items():
        name, used = _board_name(key, by_label[key], found), {b.name for b in boards}
        name = next(n for n in (name, *(f"{name} ({i})" for i in range(2, len(used) + 3))) if n not in used)
        boards.append(
            BoardFiles(name, by_label[key], tuple(sorted(map(_dump_first(found), found), key=lambda e: str(e.path))))
        )
    goods = [b for b in boards if b.side is BoardSide.GOOD]
    if len(goods) > 1:
        others = ", ".join(b.name for b in goods[1:])
        remarks.append(f"several boards are called good: {others} counts together with {goods[0].name}")
    return SortedBoards(
        BoardFiles(goods[0].name if goods else "good", BoardSide.GOOD, tuple(e for b in goods for e in b.files)),
        tuple(b for b in boards if b.side is BoardSide.SUSPECT),
        tuple(b for b in boards if b.side is None),
        loose,
    )


def _is_window(e: Evidence) -> bool:
    """Tell whether a read is no more than a debugger's window shows: such a look is taken at a board read besides."""
    return e.what == A_VIEW and e.file is not None and e.file.size <= _WINDOW


def _is_read(e: Evidence) -> bool:
    return e.role in (FileRole.DUMP, FileRole.LATER)


def _dump_first(files: Sequence[Evidence]) -> Callable[[Evidence], Evidence]:
    """A read that calls itself a later one is later than nothing where it is the only one."""
    lone = not any(e.role is FileRole.DUMP for e in files)
    return lambda e: replace(e, role=FileRole.DUMP) if lone and e.role is FileRole.LATER else e


def _groups(files: Sequence[Evidence]) -> _Groups:
    """Files called good are one board, and so are those called suspect, unless their names count boards.

    A file that says neither goes with the files of the same label.
    """
    keys: dict[str, tuple[str, BoardSide]] = {}
    for e in files:
        if e.name.side:
            keys.setdefault(e.name.board, (f"{e.name.side.value} {e.name.number}".strip(), e.name.side))
    found: _Groups = {}
    for e in sorted(files, key=lambda e: str(e.path)):
        key, side = e.name.board, e.name.side
        if side:
            key = f"{side.value} {e.name.number}".strip()
        elif key in keys and key:
            key, side = keys[key]
        found.setdefault(key, (side, []))[1].append(e)
    return _without_strays(with_own_texts(found))


def _names(label: str) -> frozenset[str]:
    return frozenset(label.split())


def _without_strays(groups: _Groups) -> _Groups:
    """A single text with a label of its own (``cubeprog_output.log``) is no board; its label is dropped.

    Without boards called good or suspect, two listings are of two boards; two logs may well be of one.
    """
    sided = any(side for side, _ in groups.values())
    strays = {
        k: f[0].role
        for k, (side, f) in groups.items()
        if k and not side and len(f) == 1 and (not _is_read(f[0]) or _is_window(f[0]))
    }
    for k in list(strays):
        # log_no_reconnect is of board_no_reconnect, when it is of no other.
        owners = [
            o for o, (_, f) in groups.items() if o not in strays and any(_names(k) <= _names(e.name.board) for e in f)
        ]
        if len(owners) == 1:
            groups[owners[0]][1].extend(groups.pop(k)[1])
            del strays[k]
    kinds = Counter(strays.values())
    moved = [k for k, role in strays.items() if sided or kinds[role] == 1 or role in _SEVERAL]
    kept = {k: group for k, group in groups.items() if k and k not in moved}
    nameless = [e for k, (_, f) in groups.items() if not k or k in moved for e in f]
    if not sided and len(kept) == 1:
        ((label, (side, f)),) = kept.items()
        return {label: (side, f + nameless)}
    return kept | ({"": (None, nameless)} if nameless else {})


def _board_name(key: str, side: BoardSide | None, files: Sequence[Evidence]) -> str:
    """A label that all files share tells more than the side alone."""
    labels = {e.name.board for e in files}
    return (labels.pop() if len(labels) == 1 else "") or key or (side.value if side else "board")


def _placed(groups: _Groups, remarks: list[str]) -> tuple[_Groups, tuple[Evidence, ...]]:
    """Give each file without any label to the only board that has none of its kind."""
    rest = {k: v for k, v in groups.items() if k}
    loose: list[Evidence] = []
    suspects = [k for k, (s, _) in rest.items() if s is BoardSide.SUSPECT]
    if any(map(_is_read, groups[""][1])) and not suspects:
        return groups, ()
    for e in groups[""][1]:
        lacking = [k for k, (_, found) in rest.items() if not any(f.role is e.role for f in found)]
        if e.role in _OF_SUSPECTS and len(suspects) == 1:
            lacking = suspects
        if len(lacking) == 1:
            rest[lacking[0]][1].append(e)
            remarks.append(f"{e.path.name} names no board and is taken for {lacking[0]}'s")
        else:
            loose.append(e)
    return rest, tuple(loose)


def _conclude(groups: _Groups, by_label: dict[str, BoardSide | None], remarks: list[str], ask: Ask | None) -> None:
    """Fill in the sides that are not told: by elimination, else by asking, else not at all."""
    untold = [label for label, side in by_label.items() if side is None]
    kits = [label for label in untold if any(e.name.words & KIT_WORDS for e in groups[label][1])]
    taken = any(
        by_label[k] is BoardSide.GOOD and any(e.role is FileRole.DUMP for e in f) for k, (_, f) in groups.items()
    )
    if ask is None and len(kits) == 1 and not taken and len(groups) > len(kits) and len(untold) > 1:
        by_label[kits[0]] = BoardSide.GOOD
        remarks.append(f"{kits[0]} is taken for the good board: by its name it is one that the vendor sells")
        untold.remove(kits[0])
    if len(groups) == 1:
        by_label[untold[0]] = BoardSide.SUSPECT
        remarks.append("only one board was given; it is taken for the suspect one")
    elif BoardSide.GOOD in by_label.values():
        by_label.update(dict.fromkeys(untold, BoardSide.SUSPECT))
        names = ", ".join(label or "unnamed" for label in untold)
        remarks.append(f"every board not called good is taken for a suspect one: {names}")
    elif BoardSide.SUSPECT in by_label.values() and len(untold) == 1:
        by_label[untold[0]] = BoardSide.GOOD
        remarks.append(
            f"{untold[0] or 'the unnamed board'} is taken for the good board, since the other is called suspect"
        )
    elif ask is not None:
        answers = [f"{label or 'unnamed'}: " + ", ".join(e.path.name for e in groups[label][1]) for label in untold]
        chosen = ask("Which board is the good one?", answers)
        if 0 <= chosen < len(untold):
            by_label.update({u: BoardSide.GOOD if i == chosen else BoardSide.SUSPECT for i, u in enumerate(untold)})


# Adding to a case -----------------------------------------------------------------------------------------------


def _boards_of(table: CaseTable, folder: Path) -> SortedBoards:
    """Return the boards of a case with the files that they have already."""
    many = [(b, b.name or f"suspect {i}") for i, b in enumerate(table.suspects, 1)]
    one = table.suspect
    if not many and one is not None:
        many = [(one, one.name or "suspect")]
    good = table.good
    return SortedBoards(
        _board_of(good, good.name or "good", BoardSide.GOOD, folder) if good else BoardFiles("good", BoardSide.GOOD),
        tuple(_board_of(b, name, BoardSide.SUSPECT, folder) for b, name in many),
    )


def _board_of(table: BoardTable, name: str, side: BoardSide, folder: Path) -> BoardFiles:
    files = []
    for role in BOARD_ROLES:
        names = getattr(table, role.value)
        for file in [names] if isinstance(names, str) else names or ():
            mode = table.mode or ("known" if is_evidence(sidecar_path(folder / file)) else None)
            files.append(_there(folder / file, role, mode, folder, parse_name(Path(file))))
    return BoardFiles(name, side, tuple(files))


def _there(path: Path, role: FileRole, mode: str | None, folder: Path, name: Name) -> Evidence:
    """Return a file of the case with what names the chip: what a text says, what a dump's sidecar notes."""
    found = Evidence(path, role, "in the case already", name, mode=mode)
    with suppress(InputError):  # it is told where the case is read
        if role is FileRole.DUMP:
            return replace(found, chip=read_sidecar(path).chip)
        if role in (FileRole.LOG, FileRole.OPTIONS, FileRole.INFO):
            file = read_evidence(path, limit=TEXT, inside=folder)
            return replace(found, file=file, log=parse_log(decode_text(file.data)))
    return found


def _others(table: CaseTable) -> list[str]:
    """Return the files of a case that belong to no board."""
    names = [table.layout, *(i.file for i in table.images)]
    if table.loader:
        names += [table.loader.file, table.loader.log]
    if table.keys:
        names += [*table.keys.verify, *table.keys.decrypt]
    return [n for n in (*names, *(table.provisioning.logs if table.provisioning else ())) if n]


def _added(before: SortedBoards, new: Sequence[Evidence], remarks: list[str], ask: Ask | None) -> SortedBoards:
    """Return the boards of a case with each new file given to one of them."""
    boards = [before.good, *before.suspects]
    if not before.suspects:
        boards.append(BoardFiles("suspect", BoardSide.SUSPECT))
    loose = []
    for e in new:
        if e.role not in BOARD_ROLES:
            continue
        at = _owner(e, boards)
        if at is None and ask is not None:
            chosen = ask(f"Which board does {e.path.name} belong to?", [b.name for b in boards])
            at = chosen if 0 <= chosen < len(boards) else None
        if at is None:
            loose.append(e)
            continue
        if not e.name.side:
            remarks.append(f"{e.path.name} is taken for {boards[at].name}'s")
        boards[at] = replace(boards[at], files=(*boards[at].files, e))
    return SortedBoards(boards[0], tuple(b for b in boards[1:] if b.files), (), tuple(loose))


def _owner(e: Evidence, boards: Sequence[BoardFiles]) -> int | None:
    """Return whose a file is: by the side and the label of its name, else the only board that may lack it."""
    suspects = range(1, len(boards))
    if e.name.side is BoardSide.GOOD:
        return 0
    labelled = [
        i
        for i, b in enumerate(boards)
        if e.name.board and e.name.board in (parse_name(Path(b.name)).board, *(f.name.board for f in b.files))
    ]
    if len(labelled) == 1:
        return labelled[0]
    if e.name.side is BoardSide.SUSPECT or e.role in _OF_SUSPECTS or not boards[0].files:
        return 1 if len(suspects) == 1 else None
    lacking = [i for i, b in enumerate(boards) if not b.of(e.role)]
    return lacking[0] if len(lacking) == 1 else None


# What is missing ------------------------------------------------------------------------------------------------


def _title(boards: SortedBoards) -> str:
    names = [b.name for b in (*boards.suspects, *boards.undecided)]
    suspects = ", ".join(n for n in names if n not in UNNAMED) or "the board in question"
    against = (
        "" if not boards.good.files else f" against {boards.good.name if boards.good.name != 'good' else 'a good one'}"
    )
    return suspects[0].upper() + suspects[1:] + against


def _with_missing(found: Sorted) -> Sorted:
    """Return it with what is missing, and with the chip that everything names."""
    details, table = found.details, found.existing or CaseTable()
    out: list[Missing] = []
    evidence = [e for b in (found.boards.good, *found.suspects) for e in b.files] + list(found.rest)
    layout = next((e.file for e in found.of(FileRole.LAYOUT) if e.file), details.layout or table.layout or None)
    known = known_of(evidence, details.chip or table.chip or "", details.marking, layout)
    notes = [e.log for e in found.unused if e.log is not None and e.log.names]
    if known.choice.assumed and not details.marking and not chip_of(notes).assumed:
        # A person's note is no evidence and stays out of the case; what it calls the part is worth keeping.
        details = replace(details, marking=notes[0].names[0])
        known = known_of(evidence, "", details.marking, layout)
        remark = f"nothing else names the chip: {details.marking} is taken from a note that is not used otherwise"
        found = replace(found, details=details, remarks=(*found.remarks, remark))
    for board in found.suspects or (BoardFiles("suspect", BoardSide.SUSPECT),):
        out += missing_of_board(
            board.name, _has(board, found, details.suspect_access, details.suspect_mode), known, good=False
        )
    good = found.boards.good
    out += missing_of_board(good.name, _has(good, found, details.good_access, details.good_mode), known, good=True)
    images = bool(table.images or found.of(FileRole.IMAGE))
    if images:  # what should be there is known from the files: a second board tells little more
        out = [replace(m, rank=9) if m.what == NEEDS_GOOD else m for m in out]
    out += missing_of_case(
        known,
        layout=bool(details.layout or table.layout or found.of(FileRole.LAYOUT)),
        images=images,
        provisioning=bool((table.provisioning and table.provisioning.logs) or found.of(FileRole.PROVISIONING)),
        flashtest=any(b.of(FileRole.FLASHTEST) for b in found.suspects),
    )
    boards = {b.name: known_of(b.files, "").choice for b in (good, *found.suspects)}
    families = {name: c.family.upper() for name, c in boards.items() if not c.assumed}
    if len(set(families.values())) > 1:
        said = ", ".join(f"{name} is of the {family}" for name, family in families.items())
        question = f"{said}: two chip families, of which nothing is held against the other. Is that the right board?"
        found = replace(found, remarks=(*found.remarks, question))
    return replace(found, missing=tuple(out), choice=known.choice)


def _has(board: BoardFiles, found: Sorted, access: str, mode: str) -> Has:
    dumps = board.of(FileRole.DUMP)
    read_known = all(
        (mode or e.mode) and (access or e.access is not Access.UNKNOWN or e.mode == "known") for e in dumps
    )
    logs = len(board.of(FileRole.LOG)) + sum(e.also_log for e in board.files)
    if board.side is not BoardSide.GOOD and len(found.suspects) == 1:
        logs += len(
            found.of(FileRole.PROVISIONING)
        )  # what was printed while it was programmed begins with the connection
    return Has(
        len(dumps),
        len(board.of(FileRole.OPTIONS)),
        logs,
        len(board.of(FileRole.REGISTERS)) + len(board.of(FileRole.INFO)),
        len(board.of(FileRole.UART)),
        read_known or _both_aliases(dumps, mode),
    )


def _both_aliases(dumps: Sequence[Evidence], mode: str) -> bool:
    """Tell whether a board was read in a known mode through both aliases, as the capture script does."""
    return all(mode or e.mode for e in dumps) and {0x08, 0x0C} <= {(e.start or 0) >> 24 for e in dumps}
