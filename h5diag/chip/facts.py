"""The rows a fact file is made of. Addresses are bus addresses, sizes are bytes.

Registers and their fields are written as the manual prints them: ``STRT[6:0]``, ``BSY[0]``. Where an ECC error or an
interrupted operation was follows from rows too (`EccArea`), since the arithmetic differs by area and by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeVar

import msgspec

from h5diag.memory import AddressRange
from h5diag.text import count_text

EXTERNAL = AddressRange(0x6000_0000, 0xA000_0000)
"""Where external memories are mapped (Armv8-M, external RAM and device regions)."""

T = TypeVar("T")

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_]*)\[(\d+)(?::(\d+))?\]")


def first(found: Iterable[T], problem: str) -> T:
    """Return the first of what was found; KeyError with the problem where nothing was."""
    for one in found:
        return one
    raise KeyError(problem)


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of a fact file: an unknown key or a wrong type is an error when it is read."""


class Document(Fact, frozen=True):
    """A document behind the facts: `tag` is what the first word of a ``ref`` names."""

    tag: str
    title: str


class Flash(Fact, frozen=True):
    """Geometry of the user flash.

    `secure_base` equals `base` on a chip without TrustZone. `erased` is the value of an erased byte.
    `endurance_cycles` is the rated number of erase cycles of a sector, 0 when not confirmed.
    `wrp_group_sectors` is 0 where write protection goes by page ranges instead of groups.
    """

    base: int
    secure_base: int
    size: int
    bank_size: int
    sector_size: int
    program_unit: int
    wrp_group_sectors: int
    ref: str
    erased: int = 0xFF
    endurance_cycles: int = 0

    @property
    def alias(self) -> int:
        """How far the secure alias of a cell stands from its canonical address; 0 on a chip without TrustZone."""
        return self.secure_base - self.base


class FlashMode(Fact, frozen=True):
    """Another geometry that an option value selects, such as one bank of larger pages on the L5."""

    option: str
    value: int
    bank_size: int
    sector_size: int
    ref: str


class ChipRegion(Fact, frozen=True):
    """A named area of the memory map. `kind` is ``ram``, ``system``, ``otp``, ``keys``, ``data`` or ``identity``.

    `secure_base` is 0 when the area has no secure alias.
    """

    name: str
    kind: str
    base: int
    size: int
    ref: str
    secure_base: int = 0


class IdentityPlaces(Fact, frozen=True):
    """Where a chip says what it is. Addresses are bus addresses of the CPU's view.

    `uid` and `package` are None where no source tells the place. `core_ap` is the access port of the core's debugger,
    `system_ap` the one that stays reachable when it is closed.
    """

    dev_id: int
    idcode: tuple[int, ...]
    flash_size: int
    ref: str
    uid: int | None = None
    package: int | None = None
    dev_id_mask: int = 0xFFF
    dpidr: tuple[int, ...] = ()
    core_ap: int = 0
    system_ap: int = 0


class Meaning(Fact, frozen=True):
    """What one value of an option or a field means."""

    value: int
    text: str


class Address(Fact, frozen=True):
    """A register or word worth reading outside of the FLASH interface. `hint` marks what one report alone says."""

    name: str
    address: int
    what: str
    ref: str
    values: tuple[Meaning, ...] = ()
    hint: bool = False


class Revision(Fact, frozen=True):
    """A silicon revision: REV_ID and the letter printed on the part. `hint` marks what one report alone says."""

    id: int
    letter: str
    ref: str
    hint: bool = False


class Package(Fact, frozen=True):
    """A package by the code in the package word."""

    code: int
    title: str


class Key(Fact, frozen=True):
    """The words that unlock a key register, in their order; a wrong one locks it until the next reset."""

    register: str
    words: tuple[int, ...]
    ref: str


class ProductState(Fact, frozen=True):
    """A product state or RDP level.

    `titles` are other spellings that tools print. `debug` is ``full``, ``nonsecure``, ``none`` or ``unknown``: what a
    debugger reaches without authentication. `masks_secure` is true where a debugger reads options of the secure side
    as zero. `otherwise` marks the level that every other value means.
    """

    value: int
    name: str
    debug: str
    what: str
    ref: str
    titles: tuple[str, ...] = ()
    masks_secure: bool = False
    otherwise: bool = False
    hint: bool = False


class Option(Fact, frozen=True):
    """An option byte field as STM32CubeProgrammer names it.

    `kind` says how the number is read: ``byte`` (one of `values`), ``flag``, ``sector`` (bank-relative sector
    number), ``address`` (see `address_shift`), ``groups`` (one bit per write-protection group, 0 = protected)
    or ``number``. `secure` marks options that read zero to a non-secure reader. `factory` is None when not confirmed.
    `follows` says what follows from it for somebody who reads the flash. `first_group` is the group of bit 0.
    """

    name: str
    register: str
    field: str
    kind: str
    what: str
    ref: str
    values: tuple[Meaning, ...] = ()
    factory: int | None = None
    secure: bool = False
    bank: int = 0
    address_shift: int = 0
    aliases: tuple[str, ...] = ()
    follows: str = ""
    first_group: int = 0

    def meaning(self, value: int) -> str:
        """Return what `value` means, empty when the fact file does not say."""
        return next((m.text for m in self.values if m.value == value), "")


class ProtectedArea(Fact, frozen=True):
    """An area of the flash that options describe, bank-relative, in sectors.

    Parameters
    ----------
    name
        As printed in the manual, such as ``SECWM1``.
    kind
        ``secure``, ``hidden``, ``write-protected`` or ``high-cycle``.
    bank
        1 or 2.
    start, end
        Options that hold the first and the last sector; ``start > end`` is an empty area. An empty `start` means that
        the area ends with the bank and `end` holds the number of its sectors less one.
    groups
        Option with one bit per group of sectors, 0 = in the area; then `start` and `end` are empty.
    enable
        Option that says whether there is an area; empty when there is none.
    off
        Its value where there is none; any other value makes one.
    """

    name: str
    kind: str
    bank: int
    ref: str
    start: str = ""
    end: str = ""
    groups: str = ""
    enable: str = ""
    off: int = 0


class ErrorFlag(Fact, frozen=True):
    """An error flag of the FLASH status registers: its likely cause and whether it points at the chip."""

    name: str
    cause: str
    suspicion: str
    ref: str


class Erratum(Fact, frozen=True):
    """A known limit of the silicon (`kind` ``silicon``) or defect of a tool (``tool``).

    `revisions` are REV_IDs, `versions` tool versions; empty means all. `hint` marks what rests on one
    report alone: it may make a hypothesis possible and never decides.
    """

    id: str
    kind: str
    effect: str
    ref: str
    revisions: tuple[int, ...] = ()
    versions: tuple[str, ...] = ()
    hint: bool = True


@dataclass(frozen=True, slots=True)
class Sector:
    """An erase unit: physical order, `bank` 1 or 2, `index` relative to the bank, canonical addresses."""

    bank: int
    index: int
    range: AddressRange


class Field(NamedTuple):
    """Bits ``[lsb, lsb + width)`` of a register, named as in the manual."""

    name: str
    lsb: int
    width: int = 1

    @classmethod
    def parse(cls, text: str) -> Field:
        """Return the field written as ``NAME[bit]`` or ``NAME[msb:lsb]``, both inclusive.

        Raises
        ------
        ValueError
            When the text is of another form or the bits do not fit into 32.
        """
        m = _FIELD.fullmatch(text)
        if not m:
            raise ValueError(f"not a field: {text!r}")
        msb, lsb = int(m[2]), int(m[3] or m[2])
        if not 0 <= lsb <= msb <= 31:
            raise ValueError(f"not bits of a 32-bit register: {text!r}")
        return cls(m[1], lsb, msb - lsb + 1)

    @property
    def mask(self) -> int:
        """The field's bits within the register."""
        return ((1 << self.width) - 1) << self.lsb

    def get(self, register: int) -> int:
        """Return the field's value out of a register value."""
        return register >> self.lsb & (1 << self.width) - 1

    def put(self, register: int, value: int) -> int:
        """Return the register value with this field set to `value`; ValueError when it does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{value:#x} does not fit into {self.name}, {count_text(self.width, 'bit')} wide")
        return register & ~self.mask | value << self.lsb


class Register(Fact, frozen=True):
    """A 32-bit register of the FLASH interface; `offset` counts from its base."""

    name: str
    offset: int
    fields: tuple[Field, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its fields."""
        return tuple(f.name for f in self.fields)

    def field(self, name: str) -> Field:
        """Return the field called `name`; KeyError when there is none."""
        return first((f for f in self.fields if f.name == name), f"{self.name} has no field {name}")

    def get(self, name: str, value: int) -> int:
        """Return field `name` out of the register's value; KeyError when there is no such field."""
        return self.field(name).get(value)


class EccKind(Enum):
    """What an ECC register reports."""

    NONE = "none"
    CORRECTED = "corrected"
    DOUBLE = "double"


class EccArea(Fact, frozen=True):
    """How a failing address is told from an ECC register, for one area of the flash.

    Parameters
    ----------
    name
        ``user``, ``keys``, ``data``, ``system`` or ``otp``.
    flag
        Field of the ECC register that is set for this area; empty for the user flash, which sets none.
    region
        Name of the region where the area begins; empty for the user flash.
    step
        Bytes per unit of ADDR_ECC.
    offset
        Value of ADDR_ECC at the begin of the area.
    bank_stride
        Bytes from the begin of the area in bank 1 to its begin in bank 2; -1 for the size of a bank,
        0 when the area is not divided.
    hint
        True when the arithmetic was inferred and not confirmed.
    """

    name: str
    flag: str
    step: int
    ref: str
    region: str = ""
    offset: int = 0
    bank_stride: int = 0
    hint: bool = False


@dataclass(frozen=True, slots=True)
class EccLocation:
    """The first ECC error that an ECC register holds; later ones are not recorded until it is cleared.

    `address` is the canonical bus address of the `size` bytes concerned; it means nothing when `kind` is NONE.
    `hint` marks an address whose arithmetic is not confirmed for this chip.
    """

    kind: EccKind
    area: str = ""
    address: int = 0
    size: int = 0
    hint: bool = False


@dataclass(frozen=True, slots=True)
class Interruption:
    """A flash operation that a reset cut short, as the operation status register (OPSR) tells it.

    `code` is CODE_OP (0 = none), `operation` what it means, `area` as in `EccArea.name`, `address` the canonical
    bus address as far as ADDR_OP gives it (inferred to count bytes: `hint`).
    """

    code: int
    operation: str
    area: str = ""
    address: int = 0
    hint: bool = True
