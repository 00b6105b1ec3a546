"""Which files belong to which board, and which board is the good one, as far as names and the person tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from h5diag.case.intake.evidence import BOARD_ROLES, Evidence, Role
from h5diag.case.intake.names import Side

Ask = Callable[[str, Sequence[str]], int]
"""Asked a question with the possible answers; returns the index of the answer, -1 for "I do not know"."""


@dataclass(frozen=True, slots=True)
class BoardFiles:
    """The files of one board. `name` is for a person; `side` is untold when nobody could say."""

    name: str
    side: Side
    files: tuple[Evidence, ...]

    def of(self, role: Role) -> tuple[Evidence, ...]:
        """Return the files of one role, by name."""
        return tuple(e for e in self.files if e.role is role)

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(e.path.name for e in self.files)})"


@dataclass(frozen=True, slots=True)
class Boards:
    """All boards.

    Parameters
    ----------
    good, suspects
        Sorted as far as it could be told; `good` has no files when there is none.
    undecided
        Boards of which nobody could say whether they are good. They are treated as suspects.
    loose
        Files of which it could not be told to which board they belong.
    remarks
        What was concluded from names alone, one sentence each.
    """

    good: BoardFiles
    suspects: tuple[BoardFiles, ...]
    undecided: tuple[BoardFiles, ...]
    loose: tuple[Evidence, ...]
    remarks: tuple[str, ...]


_Group = tuple[Side, list[Evidence]]
_OF_SUSPECTS = frozenset({Role.INFO, Role.SWEEP, Role.FLASHTEST, Role.UART, Role.REGISTERS, Role.LATER})
"""Roles that one collects of the board in question; without another word they are its own."""


def sort_boards(
    files: Sequence[Evidence], *, good: Collection[Path] = (), suspect: Collection[Path] = (), ask: Ask | None = None
) -> Boards:
    """Group the files that belong to boards.

    Parameters
    ----------
    files
        Any evidence; files that belong to no board are passed over.
    good, suspect
        Files that the person called so; they decide for every file with the same board label too.
    ask
        Asks the person, where names cannot tell; None never asks.
    """
    remarks: list[str] = []
    told = [_told(e, good, suspect) for e in files if e.role in BOARD_ROLES]
    groups = _groups(told)
    sides = {label: side for label, (side, _) in groups.items()}
    untold = [label for label, side in sides.items() if not side]
    # A file that names no board belongs to the one board that lacks its kind, not to a board of its own.
    loose: tuple[Evidence, ...] = ()
    if "" in untold and len(groups) > 1:
        groups, loose = _placed(groups, remarks)
        untold = [label for label in untold if label in groups]
        sides = {label: side for label, (side, _) in groups.items()}
    if untold:
        _conclude(groups, sides, untold, remarks, ask)
    boards: list[BoardFiles] = []
    for key, (_, found) in groups.items():
        name = _board_name(key, sides[key], found)
        taken = {b.name for b in boards}
        name = next(n for n in (name, *(f"{name} ({i})" for i in range(2, len(taken) + 3))) if n not in taken)
        boards.append(BoardFiles(name, sides[key], tuple(sorted(found, key=lambda e: str(e.path)))))
    goods = [b for b in boards if b.side is Side.GOOD]
    if len(goods) > 1:
        remarks.append(
            "several boards are called good: "
            + ", ".join(b.name for b in goods[1:])
            + f" taken together with {goods[0].name}"
        )
    joined = BoardFiles(goods[0].name if goods else "good", Side.GOOD, tuple(e for b in goods for e in b.files))
    suspects = [b for b in boards if b.side is Side.SUSPECT]
    undecided = [b for b in boards if not b.side]
    return Boards(joined, tuple(suspects), tuple(undecided), loose, tuple(remarks))


def _told(e: Evidence, good: Collection[Path], suspect: Collection[Path]) -> Evidence:
    path = e.path.resolve()
    side = Side.GOOD if path in good else Side.SUSPECT if path in suspect else e.name.side
    return replace(e, name=replace(e.name, side=side))


def _groups(files: Sequence[Evidence]) -> dict[str, _Group]:
    """Files called good are one board, and so are those called suspect, unless their names count boards.

    A file that says neither goes with the files of the same label.
    """
    keys: dict[str, tuple[str, Side]] = {}
    for e in files:
        if e.name.side:
            keys.setdefault(e.name.board, (f"{e.name.side.value} {e.name.number}".strip(), e.name.side))
    found: dict[str, list[Evidence]] = {}
    sides: dict[str, Side] = {}
    for e in sorted(files, key=lambda e: str(e.path)):
        if e.name.side:
            key, side = f"{e.name.side.value} {e.name.number}".strip(), e.name.side
        else:
            key, side = keys.get(e.name.board, (e.name.board, Side.UNTOLD)) if e.name.board else ("", Side.UNTOLD)
        found.setdefault(key, []).append(e)
        sides[key] = side
    return _without_strays({k: (sides[k], f) for k, f in found.items()})


def _without_strays(groups: dict[str, _Group]) -> dict[str, _Group]:
    """A single text with a label of its own (``cubeprog_output.log``) is no board; its label is dropped."""
    sided = any(side for side, _ in groups.values())
    strays = {
        k: f[0].role
        for k, (side, f) in groups.items()
        if k and not side and len(f) == 1 and f[0].role not in (Role.DUMP, Role.LATER)
    }
    kinds = Counter(strays.values())
    moved = [k for k, role in strays.items() if sided or kinds[role] == 1]
    kept = {k: group for k, group in groups.items() if k and k not in moved}
    nameless = [e for k, (_, f) in groups.items() if not k or k in moved for e in f]
    if not sided and len(kept) == 1:
        ((label, (side, f)),) = kept.items()
        return {label: (side, f + nameless)}
    return kept | ({"": (Side.UNTOLD, nameless)} if nameless else {})


def _board_name(key: str, side: Side, files: Sequence[Evidence]) -> str:
    """A label that all files share tells more than the side alone."""
    labels = {e.name.board for e in files}
    return (labels.pop() if len(labels) == 1 else "") or key or side.value or "board"


def _placed(groups: dict[str, _Group], remarks: list[str]) -> tuple[dict[str, _Group], tuple[Evidence, ...]]:
    """Give each file without any label to the only board that has none of its kind."""
    rest = {k: v for k, v in groups.items() if k}
    loose: list[Evidence] = []
    suspects = [k for k, (s, _) in rest.items() if s is Side.SUSPECT]
    dumps = [e for e in groups[""][1] if e.role in (Role.DUMP, Role.LATER)]
    if dumps and not suspects:
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


def _conclude(
    groups: dict[str, _Group], sides: dict[str, Side], untold: list[str], remarks: list[str], ask: Ask | None
) -> None:
    """Fill in the sides that are not told: by elimination, else by asking, else not at all."""
    has_good = Side.GOOD in sides.values()
    if len(groups) == 1:
        sides[untold[0]] = Side.SUSPECT
        remarks.append("only one board was given; it is taken for the suspect one")
    elif has_good:
        for label in untold:
            sides[label] = Side.SUSPECT
        remarks.append(
            "every board not called good is taken for a suspect one: "
            + ", ".join(label or "unnamed" for label in untold)
        )
    elif Side.SUSPECT in sides.values() and len(untold) == 1:
        sides[untold[0]] = Side.GOOD
        remarks.append(
            f"{untold[0] or 'the unnamed board'} is taken for the good board, since the other is called suspect"
        )
    elif ask is not None:
        answers = [f"{label or 'unnamed'}: " + ", ".join(e.path.name for e in groups[label][1]) for label in untold]
        chosen = ask("Which board is the good one?", answers)
        if 0 <= chosen < len(untold):
            for i, label in enumerate(untold):
                sides[label] = Side.GOOD if i == chosen else Side.SUSPECT
