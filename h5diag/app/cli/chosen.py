"""Which chip and layout a command on images is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from h5diag.show.printing import remark

if TYPE_CHECKING:
    from h5diag.chip import Chip, ChipChoice
    from h5diag.layout import Layout
    from h5diag.memory import MemoryImage


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chip, how it is known, and the layout if there is one."""

    choice: ChipChoice
    layout: Layout | None

    @property
    def chip(self) -> Chip:
        """The chip."""
        return self.choice.read_as


def chosen_chip(name: str | None, layout_name: str | None, images: Sequence[MemoryImage] = ()) -> Chosen:
    """Return the chip and the layout of a command; an assumption is printed to standard error."""
    from h5diag.chip import choose_chip
    from h5diag.layout import load_layout

    sidecars = [i.origin.chip for i in images]
    choice = choose_chip(given=name or "", sidecars=sidecars)
    layout = load_layout(layout_name, None if choice.assumed else choice.chip) if layout_name else None
    if layout is not None and choice.assumed:
        choice = choose_chip(layout=layout)
    if choice.assumed:
        remark(f"h5diag: {choice.text}")
    return Chosen(choice, layout)
