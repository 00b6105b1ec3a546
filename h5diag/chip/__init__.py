"""What the manuals say about a chip, as data: geometry, aliases, identity, registers, option bytes.

Each chip is one TOML file in ``h5diag/chip/chips``; files whose name begins with ``_`` hold what a family shares
and are named by ``inherits``. The loader is strict: an unknown key, a wrong type or a missing ``ref`` is an
error, so that a typing slip in a fact file never becomes a silent default.

Another family is another file. It names what it shares with a base file by ``inherits``; tables and entries of the
same name are laid over the inherited ones, and ``[without]`` drops what the part does not have. What differs in kind
is data as well: `Area` tells which options describe a protected area and how, `ProductState` what a state hides,
`EccArea` how an address follows from an ECC register, `FlashMode` which option selects another geometry.
"""

from __future__ import annotations

from h5diag.chip.ecc import EccArea, EccKind, EccLocation, Interruption
from h5diag.chip.facts import (
    Address,
    Area,
    Erratum,
    Flag,
    Flash,
    FlashMode,
    Identity,
    Key,
    Meaning,
    Option,
    Package,
    ProductState,
    Region,
    Revision,
    Sector,
    Source,
)
from h5diag.chip.files import DEFAULT_CHIP, chip_names, find_chips, load_chip, parse_chip
from h5diag.chip.model import Chip
from h5diag.chip.registers import Field, Register

__all__ = [
    "DEFAULT_CHIP",
    "Address",
    "Area",
    "Chip",
    "EccArea",
    "EccKind",
    "EccLocation",
    "Erratum",
    "Field",
    "Flag",
    "Flash",
    "FlashMode",
    "Identity",
    "Interruption",
    "Key",
    "Meaning",
    "Option",
    "Package",
    "ProductState",
    "Region",
    "Register",
    "Revision",
    "Sector",
    "Source",
    "chip_names",
    "find_chips",
    "load_chip",
    "parse_chip",
]
