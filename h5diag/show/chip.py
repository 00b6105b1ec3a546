"""A chip and a layout of its flash, as a notebook prints them: what is where, and how large."""

from __future__ import annotations

from typing import Any

from h5diag.chip import Chip
from h5diag.layout import Layout
from h5diag.memory import AddressRange
from h5diag.show.sheet import Sheet, bullets, properties, section, sheet, table
from h5diag.show.view import View, pairs
from h5diag.text import count_text, range_text, size_text


def _chip_sheet(chip: Chip) -> Sheet:
    flash, banks = chip.flash, chip.banks
    of = f" in {count_text(len(banks), 'bank')}" if len(banks) > 1 else ""
    return sheet(
        f"{chip.name}: {size_text(flash.size)} of flash{of}, {chip.unit}s of {size_text(flash.sector_size)}.",
        section(
            "Memory",
            table(
                "what|range|size",
                (
                    *((f"bank {n}", range_text(r), size_text(r.size)) for n, r in enumerate(banks, 1)),
                    *(
                        (r.name, range_text(AddressRange(r.base, r.base + r.size)), size_text(r.size))
                        for r in chip.regions
                    ),
                ),
            ),
        ),
        section(
            "",
            properties(
                (
                    ("file", chip.name),
                    ("TrustZone", "yes" if chip.trustzone else "no"),
                    ("life cycle", chip.state_option),
                    ("options", str(len(chip.options))),
                    ("errata", ", ".join(e.id for e in chip.errata)),
                    ("source", chip.ref),
                )
            ),
        ),
    )


def _chip_document(chip: Chip) -> dict[str, Any]:
    flash = chip.flash
    return {
        "chip": chip.name,
        "family": chip.family,
        "trustzone": chip.trustzone,
        "flash": {"base": flash.base, "size": flash.size, "sector_size": flash.sector_size, "banks": pairs(chip.banks)},
        "regions": [{"name": r.name, "kind": r.kind, "range": [r.base, r.base + r.size]} for r in chip.regions],
    }


def _layout_sheet(layout: Layout) -> Sheet:
    areas = (("secure", layout.secure_range), ("hidden", layout.hidden_range))
    return sheet(
        f"{layout.name}: {count_text(len(layout.slots), 'slot')} on {layout.chip.name}, {layout.mode.value}.",
        section(
            "Slots",
            table(
                "slot|image|runs|range|size|memory",
                (
                    (
                        s.name,
                        "" if s.image is None else str(s.image),
                        s.security.value,
                        range_text(s.range),
                        size_text(s.range.size),
                        s.device or "flash",
                    )
                    for s in layout.slots
                ),
            ),
        ),
        section("", properties((*((n, range_text(r)) for n, r in areas if r.size), ("source", layout.ref)))),
        section("Notes", bullets(layout.remarks)),
    )


def _layout_document(layout: Layout) -> dict[str, Any]:
    return {
        "layout": layout.name,
        "chip": layout.chip.name,
        "mode": layout.mode.value,
        "slots": [
            {
                "name": s.name,
                "image": s.image,
                "role": s.role.value,
                "security": s.security.value,
                "range": [s.range.start, s.range.stop],
                "device": s.device,
            }
            for s in layout.slots
        ],
        "remarks": list(layout.remarks),
    }


VIEWS = {
    Chip: View(_chip_sheet, _chip_document, None, "regions"),
    Layout: View(_layout_sheet, _layout_document, None, "slots"),
}
