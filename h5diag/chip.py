"""What the manuals say about a chip, as data: geometry, aliases, identity, registers, option bytes.

Each chip is one TOML file in ``h5diag/chips``; files whose name begins with ``_`` hold what a family shares
and are named by ``inherits``. The loader is strict: an unknown key, a wrong type or a missing ``ref`` is an
error, so that a typing slip in a fact file never becomes a silent default.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from h5diag.errors import InputError
from h5diag.memory import AddressRange

DEFAULT_CHIP = "stm32h563zi"


@dataclass(frozen=True, slots=True)
class Flash:
    """Geometry of the user flash. Addresses are bus addresses, sizes are bytes.

    `secure_base` equals `base` on a chip without TrustZone. `erased` is the value of an erased byte.
    `endurance_cycles` is the rated number of erase cycles of a sector, 0 when not confirmed.
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
    """Where a chip says what it is. Addresses are bus addresses of the CPU's view."""

    dev_id: int
    idcode: tuple[int, ...]
    uid: int
    flash_size: int
    package: int
    ref: str
    dev_id_mask: int = 0xFFF
    dpidr: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Revision:
    """A silicon revision: REV_ID and the letter printed on the part."""

    id: int
    letter: str
    ref: str


@dataclass(frozen=True, slots=True)
class Field:
    """Bits ``[lsb, lsb + width)`` of a register, named as in the manual."""

    name: str
    lsb: int
    width: int = 1

    def get(self, register: int) -> int:
        """Return the field's value out of a register value."""
        return register >> self.lsb & (1 << self.width) - 1


@dataclass(frozen=True, slots=True)
class Register:
    """A 32-bit register of the FLASH interface; `offset` counts from its base."""

    name: str
    offset: int
    fields: tuple[Field, ...] = ()

    def field(self, name: str) -> Field:
        """Return the field called `name`; KeyError when there is none."""
        for f in self.fields:
            if f.name == name:
                return f
        raise KeyError(f"{self.name} has no field {name}")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one value of an option means."""

    value: int
    text: str


@dataclass(frozen=True, slots=True)
class Option:
    """An option byte field as STM32CubeProgrammer names it.

    `kind` says how the number is read: ``byte`` (one of `values`), ``flag``, ``sector`` (bank-relative sector
    number), ``address`` (see `address_shift`), ``groups`` (one bit per write-protection group, 0 = protected)
    or ``number``. `secure` marks options that read zero to a non-secure reader. `factory` is -1 when not confirmed.
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


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip as its manuals describe it. `words` are the family words by which ``--chip`` finds it too."""

    name: str
    title: str
    family: str
    words: tuple[str, ...]
    trustzone: bool
    flash: Flash
    identity: Identity
    flash_registers: int
    flash_registers_secure: int
    ref: str
    regions: tuple[Region, ...] = ()
    revisions: tuple[Revision, ...] = ()
    registers: tuple[Register, ...] = ()
    options: tuple[Option, ...] = ()
    errata: tuple[Erratum, ...] = ()

    @property
    def flash_range(self) -> AddressRange:
        """The user flash at its canonical (non-secure) addresses."""
        return AddressRange(self.flash.base, self.flash.base + self.flash.size)

    def canonical(self, address: int) -> int:
        """Return the 0x08.. address of a flash cell named by either alias; other addresses unchanged."""
        offset = address - self.flash.secure_base
        return self.flash.base + offset if 0 <= offset < self.flash.size else address

    def secure_alias(self, address: int) -> int:
        """Return the secure alias of a canonical flash address; other addresses unchanged."""
        return address - self.flash.base + self.flash.secure_base if address in self.flash_range else address

    def sector_at(self, address: int) -> Sector:
        """Return the sector that holds a flash address of either alias; KeyError outside the flash."""
        canonical = self.canonical(address)
        if canonical not in self.flash_range:
            raise KeyError(f"0x{address:08X} is not in the user flash of {self.name}")
        return self.sectors[(canonical - self.flash.base) // self.flash.sector_size]

    @property
    def sectors(self) -> tuple[Sector, ...]:
        """All sectors of the user flash in address order."""
        return _sectors(self.flash)

    def register(self, name: str) -> Register:
        """Return the FLASH register called `name`; KeyError when the chip has none."""
        for r in self.registers:
            if r.name == name:
                return r
        raise KeyError(f"{self.name} has no register {name}")

    def option(self, name: str) -> Option:
        """Return the option called `name` or by one of its aliases; KeyError when the chip has none."""
        for o in self.options:
            if name == o.name or name in o.aliases:
                return o
        raise KeyError(f"{self.name} has no option {name}")

    def region_at(self, address: int) -> Region:
        """Return the region that holds `address` in either alias; KeyError when there is none."""
        for r in self.regions:
            if r.base <= address < r.base + r.size or r.secure_base and r.secure_base <= address < r.secure_base + r.size:
                return r
        raise KeyError(f"0x{address:08X} is in no known region of {self.name}")


@lru_cache(maxsize=32)
def _sectors(flash: Flash) -> tuple[Sector, ...]:
    per_bank = flash.bank_size // flash.sector_size
    return tuple(Sector(1 + i // per_bank, i % per_bank,
                        AddressRange(flash.base + i * flash.sector_size, flash.base + (i + 1) * flash.sector_size))
                 for i in range(flash.size // flash.sector_size))


def chip_names() -> tuple[str, ...]:
    """Return the names of all chip files, sorted."""
    files = resources.files("h5diag").joinpath("chips").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files
                        if f.name.endswith(".toml") and not f.name.startswith("_")))


def load_chip(name: str = DEFAULT_CHIP) -> Chip:
    """Return the chip called `name`, or the first one that has `name` among its family words.

    Raises
    ------
    InputError
        When no file answers to the name; the advice lists those that there are.
    """
    wanted = name.strip().lower()
    names = chip_names()
    if wanted in names:
        return _load(wanted)
    for candidate in (DEFAULT_CHIP, *names):
        if wanted in _load(candidate).words:
            return _load(candidate)
    raise InputError(f"no chip is called {name!r}", advice="known: " + ", ".join(names))


@lru_cache(maxsize=64)
def _load(name: str) -> Chip:
    folder = resources.files("h5diag").joinpath("chips")
    table = tomllib.loads(folder.joinpath(name + ".toml").read_text("utf-8"))
    while "inherits" in table:
        base = tomllib.loads(folder.joinpath(table.pop("inherits") + ".toml").read_text("utf-8"))
        table = _overlaid(base, table)
    return _strict(Chip, {"name": name, **table}, name)


def _overlaid(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """Tables are laid over each other; lists of named tables replace the entry of the same name."""
    out = dict(base)
    for key, value in top.items():
        old = out.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            out[key] = _overlaid(old, value)
        elif isinstance(old, list) and old and isinstance(old[0], dict) and "name" in old[0]:
            named = {entry["name"]: entry for entry in old}
            named.update({entry["name"]: entry for entry in value})
            out[key] = list(named.values())
        else:
            out[key] = value
    return out


def _strict(kind: Any, value: Any, where: str) -> Any:
    """Return `value` out of TOML as the annotated type `kind`; InputError names the place otherwise."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise InputError(f"a table is expected, not {value!r}", source=where)
        hints = typing.get_type_hints(kind)
        fields = {f.name: f for f in dataclasses.fields(kind)}
        if unknown := sorted(set(value) - set(fields)):
            raise InputError(f"unknown key {unknown[0]!r}", source=where)
        missing = [n for n, f in fields.items()
                   if n not in value and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
        if missing:
            raise InputError(f"missing key {missing[0]!r}", source=where)
        label = str(value.get("name", value.get("id", "")))
        return kind(**{k: _strict(hints[k], v, f"{where}.{label + '.' if label else ''}{k}") for k, v in value.items()})
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise InputError(f"a list is expected, not {value!r}", source=where)
        return tuple(_strict(typing.get_args(kind)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if isinstance(kind, types.UnionType) or type(value) is not kind:
        raise InputError(f"{kind} is expected, not {value!r}", source=where)
    return value
