"""The pictures of a write-up, each with the words for somebody who cannot see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h5diag.judge import BoardDiagnosis
from h5diag.measure.locate import correlate
from h5diag.measure.locate.report import headline
from h5diag.show.plots import Picture, picture, plot_bits, plot_memory_map, save_png
from h5diag.show.plots.locate import plot_correlation, plot_dots
from h5diag.show.plots.spans import Look, lanes
from h5diag.text import count_text, size_text


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot not yet drawn: its name, what it says in words, and what draws it."""

    name: str
    alt: str
    draw: Callable[[], Any]

    def picture(self, *, pixels: bool = False) -> Picture:
        """Draw it for a write-up; `pixels` as in `h5diag.show.plots.picture`."""
        return picture(self.draw(), name=self.name, alt=self.alt, pixels=pixels)

    def save(self, folder: Path, prefix: str = "") -> Path:
        """Draw it into a PNG in a folder and return its path."""
        path = folder / f"{prefix}{self.name}.png"
        save_png(self.draw(), path)
        return path


def drawings(board: BoardDiagnosis, *, number: int = 0) -> tuple[Drawing, ...]:
    """Return the plots that say something about this board; `number` tells several boards apart."""
    m, out = board.measured, []
    tail = f"-{number + 1}" if number else ""
    if lanes(m):
        out.append(Drawing(f"memory-map{tail}", map_words(board), lambda: plot_memory_map(board)))
    if m.placement.regions:
        words = headline(m.placement)
        out.append(
            Drawing(
                f"offsets{tail}",
                words,
                lambda: plot_correlation(
                    correlate(
                        m.good.judged,
                        m.suspect.judged,
                        m.placement,
                        layout=m.layouts[0] if m.layouts else None,
                        chip=m.chip,
                    )
                ),
            )
        )
        out.append(
            Drawing(
                f"dots{tail}",
                f"{count_text(len(m.placement.strong), 'piece')} of the good board's dump"
                f" found in the dump of {board.name}, address against address.",
                lambda: plot_dots(m.placement),
            )
        )
    c = m.comparison
    if c.risen or c.fallen:
        out.append(
            Drawing(
                f"bits{tail}",
                f"{count_text(c.differing_bytes, 'byte')} differ where the boards were"
                f" compared: {count_text(c.risen, 'bit')} rose and {count_text(c.fallen, 'bit')} fell.",
                lambda: plot_bits(board),
            )
        )
    return tuple(out)


def map_words(board: BoardDiagnosis) -> str:
    """Return what the memory map shows, in a sentence."""
    said = []
    for lane in lanes(board.measured):
        sums: dict[Look, int] = {}
        for s in lane.spans:
            sums[s.look] = sums.get(s.look, 0) + s.range.size
        said.append(
            f"{lane.name}, read at 0x{lane.view:08X}: "
            + ", ".join(f"{size_text(n)} {look.value}" for look, n in sums.items())
        )
    states = [f"{s.slot.name} {s.state.value}" for s in board.measured.suspect.slots]
    return ". ".join(said) + (f". Slots of {board.name}: {', '.join(states)}." if states else ".")
