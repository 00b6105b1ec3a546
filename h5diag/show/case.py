"""How dropped files were sorted: for a person and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from h5diag.case.intake import BoardFiles, Evidence, Missing, Sorted
from h5diag.show.sheet import Bullets, Sheet, Table, bullets, section, sheet, table
from h5diag.show.view import View, picked
from h5diag.text import count_text


def _board(board: BoardFiles) -> dict[str, Any]:
    return {"name": board.name, "files": [_file(e) for e in board.files]}


def _file(e: Evidence) -> dict[str, Any]:
    return {"file": e.path.name, "kind": e.role.value, "what": e.what}


def sorted_document(found: Sorted) -> dict[str, Any]:
    """Return how files were sorted, in the terms of ``h5diag case --json``."""
    return found.choice.to_dict(needed=False) | {
        "missing": [picked(m, "what board decides how") for m in found.missing],
        "good": _board(found.boards.good) if found.boards.good.files else None,
        "suspects": [_board(b) for b in found.boards.suspects],
        "undecided": [_board(b) for b in found.boards.undecided],
        "undecided_files": [str(e.path) for e in found.boards.loose],
        "others": [_file(e) for e in found.rest],
        "unused": [{"file": str(e.path), "what": e.what} for e in found.unused],
        "remarks": list(found.remarks),
    }


def _sorted_sheet(found: Sorted) -> Sheet:
    boards = [
        *([("good board", found.boards.good)] if found.boards.good.files else []),
        *(("suspect board", b) for b in found.boards.suspects),
        *(("good or suspect? not known", b) for b in found.boards.undecided),
    ]
    used = sum(len(b.files) for _, b in boards) + len(found.rest)
    unused = f", {len(found.unused)} not used" if found.unused else ""
    return sheet(
        f"{count_text(used, 'file')} of {count_text(len(boards), 'board')}{unused}.",
        *(section(f"{what}: {b.name}", _files(b.files)) for what, b in boards),
        section("For the whole case", _files(found.rest)),
        section("Not used", _files(found.unused)),
        section("Remarks", bullets(found.remarks)),
        section("Chip", "" if found.choice.assumed else found.choice.text),
        section("Missing, and what it would decide", *missing_parts(found.missing)),
    )


MOST_MISSING = 3


def missing_parts(missing: Sequence[Missing]) -> tuple[Bullets | str, ...]:
    """Return what is missing: what would decide most with the way to it, the rest in a sentence."""
    ranked = sorted(missing, key=lambda m: m.rank)
    told = [m for m in ranked[:MOST_MISSING] if m.rank < 9]
    lines = (f"{m.what}{f' ({m.board})' if m.board else ''}. Decides: {m.decides}. How: {m.how}" for m in told)
    rest = list(dict.fromkeys(m.what for m in ranked[len(told) :]))
    return tuple(
        x for x in (bullets(lines) if told else None, f"Would help besides: {'; '.join(rest)}." if rest else None) if x
    )


def _files(files: tuple[Evidence, ...]) -> Table:
    return table("|", ((e.path.name, e.what) for e in files), most=500)


VIEWS = {Sorted: View(_sorted_sheet, sorted_document, None, "missing")}
