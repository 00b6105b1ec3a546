"""Which chip a command is about: named, of the layout, of a dump's sidecar, or assumed and said so."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from h5diag.chip import Chip
    from h5diag.layout import Layout
    from h5diag.memory import MemoryImage


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chip, the layout (a tuple of none or one), and whether the chip is a mere assumption."""

    chip: Chip
    layouts: tuple[Layout, ...]
    assumed: bool


def chosen_chip(name: str | None, layout_name: str | None, images: Sequence[MemoryImage] = ()) -> Chosen:
    """Return the chip and the layout of a command; an assumption is printed to standard error."""
    from h5diag.chip import chip_names, load_chip
    from h5diag.layout import load_layout

    named = load_chip(name) if name else None
    told = next((i.origin.chip for i in images if i.origin.chip in chip_names()), "")
    if named is None and told:
        named = load_chip(told)
    if layout_name:
        layout = load_layout(layout_name, named)
        return Chosen(layout.chip, (layout,), assumed=False)
    if named:
        return Chosen(named, (), assumed=False)
    chip = load_chip()
    sys.stderr.write(f"h5diag: the chip is assumed to be {chip.name}; name it with --chip\n")
    return Chosen(chip, (), assumed=True)
