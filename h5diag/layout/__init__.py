"""Where a boot loader keeps what: slots, and what a displacement means in their terms.

``load_layout`` takes a preset's name (``oemirot-2m-overwrite``) or the path of a user's own file: ``flash_layout.h``,
devicetree, ``pm.yml``, or a TOML of slots (``docs/layouts.md``).
"""

from __future__ import annotations

from pathlib import Path

from h5diag.chip import Chip, ChipChoice, KnownBy, choose_chip
from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile, is_evidence, is_folder, read_evidence
from h5diag.evidence.files import decode_text
from h5diag.layout.header import parse_flash_layout
from h5diag.layout.partitions import parse_devicetree, parse_own_layout, parse_partition_manager
from h5diag.layout.presets import preset, preset_names
from h5diag.layout.slots import Explanation, ExplanationKind, Layout, Loader, Mode, Role, Security, Slot, explain
from h5diag.limits import LAYOUT, LONGEST_NAME, shortened

__all__ = [
    "Explanation",
    "ExplanationKind",
    "Layout",
    "Loader",
    "Mode",
    "Role",
    "Security",
    "Slot",
    "chip_and_layout",
    "explain",
    "load_layout",
    "parse_flash_layout",
    "preset",
    "preset_names",
]

_PARSERS = {
    **dict.fromkeys((".dts", ".dtsi", ".overlay"), parse_devicetree),
    **dict.fromkeys((".yml", ".yaml"), parse_partition_manager),
    ".toml": parse_own_layout,
}
"""What reads a layout, by its file's suffix; any other is a header."""
_PRESETS = "oemirot-{2m,1m}-{overwrite,swap}[-1image][-data1|-data2]"


def load_layout(name: str | Path | EvidenceFile, chip: Chip | None = None) -> Layout:
    """Return the preset called `name`, or the layout of the ``flash_layout.h`` at that path.

    Parameters
    ----------
    name
        A preset's name, a path, or a file that was opened already.
    chip
        The chip that it is for; by default the preset's own, and for a header the chip of its flash size.

    Raises
    ------
    InputError
        When it is neither, or the header cannot be evaluated (the message names the macro).
    """
    if isinstance(name, EvidenceFile):
        text, source = decode_text(name.data), str(name.path)
        return _PARSERS.get(name.path.suffix.lower(), parse_flash_layout)(text, source=source, chip=chip)
    text = str(name)
    if text in preset_names():
        return preset(text, chip)
    path = Path(name)
    if is_evidence(path):
        return load_layout(read_evidence(path, limit=LAYOUT), chip)
    if len(text) > LONGEST_NAME:
        raise InputError("is no name of a layout", source=shortened(text, 40), advice=f"presets: {_PRESETS}")
    if is_folder(path):
        raise InputError("is a folder", source=text, advice="give the flash_layout.h, devicetree, pm.yml or TOML in it")
    if path.suffix or "/" in text or "\\" in text:
        raise InputError("no such file", source=text, advice=f"give a flash_layout.h or a preset: {_PRESETS}")
    raise InputError(f"no layout is called {text!r}", advice=f"presets: {_PRESETS}")


def chip_and_layout(
    choice: ChipChoice, layout: str | Path | EvidenceFile | Layout | None
) -> tuple[ChipChoice, Layout | None]:
    """Return the chip and the layout of some evidence: a known part sizes the layout, a layout names an unknown chip.

    Raises
    ------
    InputError
        As `load_layout`.
    """
    if layout is None:
        return choice, None
    if not isinstance(layout, Layout):
        # Option names tell a family alone: the size of its usual part is nothing to hold a layout against.
        part = None if choice.known_by in (KnownBy.ASSUMED, KnownBy.OPTION_NAMES) else choice.chip
        layout = load_layout(layout, part)
    return (choose_chip(layout=layout) if choice.assumed else choice), layout
