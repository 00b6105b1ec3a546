"""The rows a fact file is made of. Addresses are bus addresses, sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass

from h5diag.memory import AddressRange


@dataclass(frozen=True, slots=True)
class Source:
    """A document behind the facts: `tag` is what the first word of a ``ref`` names."""

    tag: str
    title: str


@dataclass(frozen=True, slots=True)
class Flash:
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


@dataclass(frozen=True, slots=True)
class FlashMode:
    """Another geometry that an option value selects, such as one bank of larger pages on the L5."""

    option: str
    value: int
    bank_size: int
    sector_size: int
    ref: str


@dataclass(frozen=True, slots=True)
class Region:
    """A named area of the memory map. `kind` is ``ram``, ``system``, ``otp``, ``keys``, ``data`` or ``identity``.

    `secure_base` is 0 when the area has no secure alias.
    """

    name: str
    kind: str
    base: int
    size: int
    ref: str
    secure_base: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a chip says what it is. Addresses are bus addresses of the CPU's view.

    `core_ap` is the access port of the core's debugger, `system_ap` the one that stays reachable when it is closed.
    """

    dev_id: int
    idcode: tuple[int, ...]
    uid: int
    flash_size: int
    package: int
    ref: str
    dev_id_mask: int = 0xFFF
    dpidr: tuple[int, ...] = ()
    core_ap: int = 0
    system_ap: int = 0


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one value of an option or a field means."""

    value: int
    text: str


@dataclass(frozen=True, slots=True)
class Address:
    """A register or word worth reading outside of the FLASH interface. `hint` marks what one report alone says."""

    name: str
    address: int
    what: str
    ref: str
    values: tuple[Meaning, ...] = ()
    hint: bool = False


@dataclass(frozen=True, slots=True)
class Revision:
    """A silicon revision: REV_ID and the letter printed on the part. `hint` marks what one report alone says."""

    id: int
    letter: str
    ref: str
    hint: bool = False


@dataclass(frozen=True, slots=True)
class Package:
    """A package by the code in the package word."""

    code: int
    title: str


@dataclass(frozen=True, slots=True)
class Key:
    """The words that unlock a key register, in their order; a wrong one locks it until the next reset."""

    register: str
    words: tuple[int, ...]
    ref: str


@dataclass(frozen=True, slots=True)
class ProductState:
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


@dataclass(frozen=True, slots=True)
class Option:
    """An option byte field as STM32CubeProgrammer names it.

    `kind` says how the number is read: ``byte`` (one of `values`), ``flag``, ``sector`` (bank-relative sector
    number), ``address`` (see `address_shift`), ``groups`` (one bit per write-protection group, 0 = protected)
    or ``number``. `secure` marks options that read zero to a non-secure reader. `factory` is -1 when not confirmed.
    `follows` says what follows from it for somebody who reads the flash.
    """

    name: str
    register: str
    field: str
    kind: str
    what: str
    ref: str
    values: tuple[Meaning, ...] = ()
    factory: int = -1
    secure: bool = False
    bank: int = 0
    address_shift: int = 0
    aliases: tuple[str, ...] = ()
    follows: str = ""

    def meaning(self, value: int) -> str:
        """Return what `value` means, empty when the fact file does not say."""
        return next((m.text for m in self.values if m.value == value), "")


@dataclass(frozen=True, slots=True)
class Area:
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
        Option that must be 1; empty when there is none.
    """

    name: str
    kind: str
    bank: int
    ref: str
    start: str = ""
    end: str = ""
    groups: str = ""
    enable: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """An error flag of the FLASH status registers: its likely cause and whether it points at the chip."""

    name: str
    cause: str
    suspicion: str
    ref: str


@dataclass(frozen=True, slots=True)
class Erratum:
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
