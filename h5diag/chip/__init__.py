"""What the manuals say about a chip, as data: geometry, aliases, identity, registers, option bytes.

Each chip is one TOML file in ``h5diag/chip/chips``; files whose name begins with ``_`` hold what a family shares
and are named by ``inherits``. The loader is strict: an unknown key, a wrong type or a missing ``ref`` is an
error, so that a typing slip in a fact file never becomes a silent default. ``devices`` holds what the vendor's
programmer knows of every STM32: a device without a chip file is named and its texts are read, nothing more.

Another family is another file. It names what it shares with a base file by ``inherits``; tables and entries of the
same name are laid over the inherited ones, and ``[without]`` drops what the part does not have. What differs in kind
is data as well: `ProtectedArea` tells which options describe a protected area and how, `ProductState` what a state hides,
`EccArea` how an address follows from an ECC register, `FlashMode` which option selects another geometry.
"""

from __future__ import annotations

from h5diag.chip.choose import IDCODE_AT, ChipChoice, KnownBy, choose_chip
from h5diag.chip.devices import describe
from h5diag.chip.facts import (
    EXTERNAL,
    Address,
    ChipRegion,
    Document,
    EccArea,
    EccKind,
    EccLocation,
    Erratum,
    ErrorFlag,
    Field,
    Flash,
    FlashMode,
    IdentityPlaces,
    Interruption,
    Key,
    Meaning,
    Option,
    Package,
    ProductState,
    ProtectedArea,
    Register,
    Revision,
    Sector,
)
from h5diag.chip.files import DEFAULT_CHIP, Device, chip_names, find_device, load_chip, parse_chip
from h5diag.chip.model import Chip

__all__ = [
    "DEFAULT_CHIP",
    "EXTERNAL",
    "IDCODE_AT",
    "Address",
    "Chip",
    "ChipChoice",
    "ChipRegion",
    "Device",
    "Document",
    "EccArea",
    "EccKind",
    "EccLocation",
    "Erratum",
    "ErrorFlag",
    "Field",
    "Flash",
    "FlashMode",
    "IdentityPlaces",
    "Interruption",
    "Key",
    "KnownBy",
    "Meaning",
    "Option",
    "Package",
    "ProductState",
    "ProtectedArea",
    "Register",
    "Revision",
    "Sector",
    "chip_names",
    "choose_chip",
    "describe",
    "find_device",
    "load_chip",
    "parse_chip",
]
