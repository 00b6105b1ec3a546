"""A hex view of two dumps: the page asks for the rows that it shows, so that size does not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from h5diag.errors import InputError
from h5diag.memory import AddressRange, MemoryImage
from h5diag.show.pages import HexPages
from h5diag.text import count_text, range_text

_HERE = Path(__file__).resolve().parent


class HexView(anywidget.AnyWidget):  # type: ignore[misc]
    """Two dumps side by side; `address` is the row that is marked, set it to jump there.

    Keys: ``n`` and ``p`` next and previous difference, ``/`` search, ``g`` go to an address, arrows, page keys.

    Parameters
    ----------
    pages
        What to show.
    """

    _esm = _HERE / "hexview.js"
    _css = _HERE / "hexview.css"

    address = traitlets.Int(-1).tag(sync=True)
    blocks = traitlets.List().tag(sync=True)
    marks = traitlets.List().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    both = traitlets.Bool(False).tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)

    def __init__(self, pages: HexPages | None = None) -> None:
        super().__init__()
        self.pages = HexPages(MemoryImage())
        self.on_msg(self._asked)
        if pages is not None:
            self.show(pages)

    def show(self, pages: HexPages) -> None:
        """Show other dumps; what was shown before is gone."""
        self.pages = pages
        with self.hold_sync():
            self.blocks = [[b.start, b.rows] for b in pages.blocks]
            self.marks = [[address, text] for address, text in pages.marks]
            self.names = list(pages.names)
            self.both = bool(pages.right.size)
            self.message = ""
            self.address = self._begin()
            self.version += 1

    def _begin(self) -> int:
        """Return where to begin: at the first difference, else at the first byte."""
        first = self.pages.difference_after(-1) if self.pages.right.size else None
        return first.start if first else self.pages.blocks[0].start if self.pages.blocks else -1

    def jump(self, address: int) -> None:
        """Mark the row of an address of any alias and scroll there; an address that no dump holds is said."""
        address = self.pages.canonical(address)
        if any(address in r for r in (*self.pages.left.ranges, *self.pages.right.ranges)):
            self.message, self.address = "", int(address)
        else:
            self.message = f"0x{address:08X} is in none of the dumps"

    def next_difference(self, *, backward: bool = False) -> None:
        """Jump to the next block of differences, and say which of how many it is."""
        found, at = self.pages.difference_after(self.address, backward=backward), max(self.address, 0)
        blocks = self.pages.differences if found is None or self.pages.counted else None
        if found is not None:
            self.jump(found.start)
            which = "a block"
            if blocks is not None:
                which = f"block {int(np.searchsorted(blocks[:, 0], found.start)) + 1} of {len(blocks)}"
            self.message = f"{which}: {count_text(found.size, 'byte')} from 0x{found.start:08X}"
        elif not self.pages.right.size:
            self.message = "there is nothing to compare it with"
        elif blocks is None or not len(blocks):
            masked = "; what is masked is not compared" if self.pages.masked else ""
            self.message = f"no difference: both hold the same wherever both hold something{masked}"
        else:
            edge, (start, stop) = ("first", blocks[0]) if backward else ("last", blocks[-1])
            edge = "only" if len(blocks) == 1 else edge
            inside = "this is" if start <= at < stop else f"no difference {'before' if backward else 'after'} here:"
            self.message = (
                f"{inside} the {edge} block of differences, {range_text(AddressRange(int(start), int(stop)))}"
            )

    def search(self, query: str) -> None:
        """Jump to the next place that holds some bytes or a text."""
        try:
            found = self.pages.find(query, self.address)
        except InputError as error:
            self.message = str(error)
            return
        if found is None:
            self.message = f"not found: {query[:60]}"
        else:
            self.jump(found.start)

    def _asked(self, _: object, asked: dict[str, Any], __: object) -> None:
        match asked.get("kind"):
            case "page":
                start, rows = int(asked["start"]), min(int(asked["rows"]), 512)
                left, right, flags = self.pages.page(start, rows)
                self.send(
                    {"kind": "page", "start": start, "rows": rows, "version": self.version},
                    buffers=[left, right, flags],
                )
            case "difference":
                self.next_difference(backward=bool(asked.get("backward")))
            case "search":
                self.search(str(asked.get("query", "")))
            case "goto":
                try:
                    self.jump(int(str(asked.get("query", "")), 16))
                except ValueError:
                    self.message = "an address is hex, such as 0x0C0BE000"
