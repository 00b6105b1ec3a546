"""On which slots a board seems to be built when nobody named a layout: told by headers, magics and what logs wrote."""

from __future__ import annotations

from collections.abc import Sequence

from h5diag.case.case import Case
from h5diag.chip import Chip
from h5diag.errors import InputError
from h5diag.evidence.texts import Log
from h5diag.layout import Layout, load_layout, preset_names
from h5diag.measure.firmware.image import HeaderMagic
from h5diag.measure.firmware.trailer import CLASSIC_MAGIC
from h5diag.memory import MemoryImage


def likely_layout(case: Case, chip: Chip, logs: Sequence[Log], *, any_size: bool = False) -> Layout | None:
    """Return the preset on whose slots image headers, trailer magics and the addresses of logs sit; None without any.

    Needs two such marks, or the header of a download that a reader sees alone; of equals the simpler preset.

    Parameters
    ----------
    case
        Its dumps are looked at, the good board's too.
    chip
        The chip; with `any_size` a mere assumption, and so is its size.
    logs
        What programmers printed: the addresses that they wrote count.
    """
    starts: set[int] = set()
    ends: set[int] = set()
    for dump in (d.image for b in (*case.suspects, case.good) for d in b.dumps):
        starts |= header_places(dump, chip)
        ends |= {at + len(CLASSIC_MAGIC) for at in places_of(CLASSIC_MAGIC, dump, chip)}
    written = {chip.canonical(w.address) for log in logs for w in log.programming.writes if w.address > 0}
    best: tuple[int, int] = (0, 0)
    found: Layout | None = None
    for number, name in enumerate(preset_names() if starts else ()):
        if not any_size and (
            chip.flash.size not in (0x100000, 0x200000) or ("-2m-" in name) != (chip.flash.size == 0x200000)
        ):
            continue
        try:
            layout = load_layout(name, None if any_size else chip)
        except InputError:
            continue
        slots = layout.image_slots
        headers = sum(s.range.start in starts for s in slots)
        marks = 2 * headers + sum(s.range.stop in ends for s in slots) + sum(s.range.start in written for s in slots)
        strays = sum(all(s.range.start != at for s in slots) for at in starts)
        if headers and (marks - strays, -number) > best:
            best, found = (marks - strays, -number), layout
    return found


def places_of(word: bytes, dump: MemoryImage, chip: Chip) -> set[int]:
    """Return the canonical addresses at which a word stands, the first 64 of each stretch."""
    out = set()
    for s in dump.segments:
        data, at = s.data.tobytes(), -1
        for _ in range(64):
            at = data.find(word, at + 1)
            if at < 0:
                break
            out.add(chip.canonical(s.start + at))
    return out


def header_places(dump: MemoryImage, chip: Chip) -> set[int]:
    """Return the canonical addresses at which an image header of MCUboot may stand."""
    return {at for at in places_of(HeaderMagic.MCUBOOT.value.to_bytes(4, "little"), dump, chip) if at % 0x100 == 0}
