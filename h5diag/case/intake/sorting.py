"""From dropped files to a case: gather, tell, group, and say what is missing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from h5diag.case.intake.boards import Ask, BoardFiles, Boards, sort_boards
from h5diag.case.intake.evidence import BASE_TOLD, BOARD_ROLES, Evidence, Role, tell
from h5diag.case.intake.folder import Content, Told
from h5diag.case.intake.missing import Has, Missing, missing_of_board, missing_of_case
from h5diag.case.intake.names import UNKNOWN_BASE, Side, parse_name
from h5diag.errors import InputError
from h5diag.evidence.files import sidecar_path

MOST_FILES = 1000
MOST_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Sorted:
    """Dropped files, sorted.

    Parameters
    ----------
    content
        What goes into the case folder.
    boards
        As far as it could be told; `Boards.undecided` are boards of which nobody could say whether they are good.
    unused
        Files that are no evidence.
    missing
        What would let more be decided.
    """

    content: Content
    boards: Boards
    unused: tuple[Evidence, ...]
    missing: tuple[Missing, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was assumed or left out, one sentence each."""
        return tuple(dict.fromkeys(self.content.remarks))


def sort_evidence(
    paths: Sequence[str | os.PathLike[str]],
    *,
    good: Iterable[str | os.PathLike[str]] = (),
    suspect: Iterable[str | os.PathLike[str]] = (),
    told: Told | None = None,
    ask: Ask | None = None,
) -> Sorted:
    """Tell what each file is and which board it belongs to; nothing is written.

    Parameters
    ----------
    paths
        Folders (searched through) and files.
    good, suspect
        Files that the person says belong to a board that works, or to one in question.
    told
        What the person told beside the files.
    ask
        Asked which board is the good one where names cannot tell; None never asks.

    Raises
    ------
    InputError
        When a file is missing, unreadable or damaged, or no file is evidence.
    """
    told = told or Told()
    good_files, suspect_files = _existing(good), _existing(suspect)
    files = _gathered([*paths, *good_files, *suspect_files])
    everything = [tell(path, parse_name(shown)) for path, shown in files]
    unused = tuple(e for e in everything if e.role is Role.NONE)
    evidence = [e for e in everything if e.role is not Role.NONE]
    if not evidence:
        first = f" ({unused[0].path.name}: {unused[0].what})" if unused else ""
        raise InputError(
            f"no evidence among {len(files)} files{first}",
            source=", ".join(map(str, paths[:3])),
            advice="give dumps, option listings or logs of a board",
        )
    evidence = [_image_after_all(e, evidence) for e in evidence]
    boards = sort_boards(evidence, good=good_files, suspect=suspect_files, ask=ask)
    remarks = list(boards.remarks)
    remarks += [f"{e.path.name} names no board and both may own it; left out" for e in boards.loose]
    if boards.undecided:
        remarks.append(
            "which board is the good one could not be told; all are taken for suspects: "
            + "; ".join(map(str, boards.undecided))
            + ". Say it with --good FILE"
        )
    suspects = (*boards.suspects, *boards.undecided)
    remarks += _assumptions((boards.good, *suspects))
    if any(e.role is Role.DECRYPT_KEY for e in evidence):
        remarks.append("a private key is copied into the case folder; keep the folder to yourself")
    remarks += [
        f"{given}/case.toml was not read; the new case tells only what the files themselves tell"
        for given in map(Path, paths)
        if (given / "case.toml").is_file()
    ]
    chips = sorted({e.chip for e in evidence if e.chip})
    told = replace(told, chip=told.chip or (chips[0] if len(chips) == 1 else ""), title=told.title or _title(boards))
    rest = tuple(
        sorted(
            (e for e in evidence if e.role not in BOARD_ROLES),
            key=lambda e: (e.role.value, e.path.name != "flash_layout.h", str(e.path)),
        )
    )
    content = Content(told, boards.good, suspects, rest, remarks)
    return Sorted(content, boards, unused, _missing(content))


def _image_after_all(e: Evidence, everything: Sequence[Evidence]) -> Evidence:
    """Where both boards have dumps that say so, a memory file that says nothing was made, not read."""
    sides = {o.name.side for o in everything if o.role is Role.DUMP}
    if (
        e.role is Role.DUMP
        and e.what != "a memory view"
        and not e.name.side
        and not e.name.says_dump
        and sides >= {Side.GOOD, Side.SUSPECT}
        and not sidecar_path(e.path).is_file()
    ):
        return replace(e, role=Role.IMAGE, what="a program file, since both boards have dumps")
    return e


def _existing(paths: Iterable[str | os.PathLike[str]]) -> set[Path]:
    """Return the files, folders searched through, as absolute paths."""
    return {path.resolve() for path, _ in _gathered(list(paths))}


def _gathered(paths: Sequence[str | os.PathLike[str]]) -> list[tuple[Path, Path]]:
    """Return each file once with the path that its name is told from, in the order of the names."""
    found: dict[Path, tuple[Path, Path]] = {}
    size = 0
    for given in map(Path, paths):
        if given.is_dir():
            pairs = [(p, p.relative_to(given)) for p in islice(_inside(given), MOST_FILES + 1)]
        else:
            pairs = [(given, _telling(given, paths))]
        for path, shown in pairs:
            if path.name == "case.toml" or _is_attached(path):
                continue
            if path.resolve() not in found:
                size += path.stat().st_size if path.exists() else 0
            found.setdefault(path.resolve(), (path, shown))
            if len(found) > MOST_FILES or len(pairs) > MOST_FILES or size > MOST_BYTES:
                raise InputError(
                    f"more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB are no evidence of a case",
                    source=str(given),
                    advice="name the files that matter",
                )
    return sorted(found.values(), key=lambda pair: str(pair[1]))


def _inside(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, without hidden ones and without other case folders that lie in it."""
    for at, folders, files in os.walk(folder):
        if "case.toml" in files and Path(at) != folder:
            folders.clear()
            continue
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        yield from (Path(at, f) for f in sorted(files) if not f.startswith(".") and Path(at, f).is_file())


def _telling(path: Path, paths: Sequence[str | os.PathLike[str]]) -> Path:
    """A single file's folder tells something only where the files come from several folders."""
    parents = {Path(p).parent for p in paths}
    return Path(path.parent.name) / path.name if len(parents) > 1 and path.parent.name else Path(path.name)


def _is_attached(path: Path) -> bool:
    dump = path.with_name(path.name.removesuffix(".map.json"))
    return path.name.endswith(".map.json") and dump.is_file() and sidecar_path(dump) == path


def _assumptions(boards: Iterable[BoardFiles]) -> list[str]:
    out = []
    for board in boards:
        for e in board.files:
            if e.assumed_base == UNKNOWN_BASE:
                out.append(
                    f"{e.path.name} does not say where it was read; 0x08000000 will be assumed. Put the address "
                    f"into its name, as in {e.path.stem}-0x0C000000{e.path.suffix}"
                )
            elif e.assumed_base != BASE_TOLD:
                out.append(f"the base address 0x{e.assumed_base:08X} of {e.path.name} is taken from its name")
    return out


def _title(boards: Boards) -> str:
    names = [b.name for b in (*boards.suspects, *boards.undecided)]
    suspects = ", ".join(n for n in names if n not in ("suspect", "board")) or "a suspect board"
    if not boards.good.files:
        return suspects[0].upper() + suspects[1:]
    good = boards.good.name if boards.good.name != "good" else "a good one"
    return f"{suspects[0].upper()}{suspects[1:]} against {good}"


def _missing(content: Content) -> tuple[Missing, ...]:
    told = content.told
    out: list[Missing] = []
    for board in content.suspects or (BoardFiles("suspect", Side.SUSPECT, ()),):
        out += missing_of_board(board.name, _has(board, told.suspect_access, told.suspect_mode), good=False)
    out += missing_of_board(content.good.name, _has(content.good, told.good_access, told.good_mode), good=True)
    out += missing_of_case(
        layout=bool(told.layout or content.of(Role.LAYOUT)),
        images=bool(content.of(Role.IMAGE)),
        provisioning=bool(content.of(Role.PROVISIONING)),
        flashtest=any(b.of(Role.FLASHTEST) for b in content.suspects),
    )
    return tuple(out)


def _has(board: BoardFiles, access: str, mode: str) -> Has:
    dumps = board.of(Role.DUMP)
    ways = {access or e.access for e in dumps} | {mode or e.mode for e in dumps}
    logs = len(board.of(Role.LOG)) + sum(e.also_log for e in board.of(Role.OPTIONS))
    return Has(
        len(dumps),
        len(board.of(Role.OPTIONS)),
        logs,
        len(board.of(Role.REGISTERS)) + len(board.of(Role.INFO)),
        len(board.of(Role.UART)),
        "unknown" not in ways or _both_aliases(board, mode),
    )


def _both_aliases(board: BoardFiles, mode: str) -> bool:
    """Tell whether a board was read in a known mode through both aliases, as the capture script does."""
    dumps = board.of(Role.DUMP)
    return all((mode or e.mode) != "unknown" for e in dumps) and {0x08, 0x0C} <= {e.start >> 24 for e in dumps}
