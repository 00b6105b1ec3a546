"""A chip as its manuals describe it. Addresses are bus addresses, sizes are bytes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from h5diag.answer import Answer
from h5diag.chip.facts import (
    Address,
    ChipRegion,
    Document,
    EccArea,
    EccKind,
    EccLocation,
    Erratum,
    ErrorFlag,
    Fact,
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
    first,
)
from h5diag.memory import AddressRange

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Chip(Fact, Answer, frozen=True):
    """A chip as its manuals describe it.

    `words` are the family words by which ``--chip`` finds it too, `parts` patterns of the marking
    (``stm32h563?i``: ``?`` stands for the letter of the package). `state_option` is PRODUCT_STATE or RDP;
    `tzen_on` the value of TZEN that turns TrustZone on, `unit` the manual's word for an erase unit.
    """

    name: str
    title: str
    family: str
    words: tuple[str, ...]
    trustzone: bool
    flash: Flash
    identity: IdentityPlaces
    flash_registers: int
    flash_registers_secure: int
    state_option: str
    registers_ref: str
    ref: str
    tzen_on: int = 0
    unit: str = "sector"
    parts: tuple[str, ...] = ()
    sources: tuple[Document, ...] = ()
    flash_modes: tuple[FlashMode, ...] = ()
    regions: tuple[ChipRegion, ...] = ()
    revisions: tuple[Revision, ...] = ()
    packages: tuple[Package, ...] = ()
    addresses: tuple[Address, ...] = ()
    registers: tuple[Register, ...] = ()
    keys: tuple[Key, ...] = ()
    flags: tuple[ErrorFlag, ...] = ()
    operations: tuple[Meaning, ...] = ()
    ecc: tuple[EccArea, ...] = ()
    states: tuple[ProductState, ...] = ()
    options: tuple[Option, ...] = ()
    areas: tuple[ProtectedArea, ...] = ()
    errata: tuple[Erratum, ...] = ()

    @property
    def flash_range(self) -> AddressRange:
        """The user flash at its canonical (non-secure) addresses."""
        return AddressRange(self.flash.base, self.flash.base + self.flash.size)

    @property
    def banks(self) -> tuple[AddressRange, ...]:
        """The banks in address order, canonical."""
        starts = range(self.flash.base, self.flash_range.stop, self.flash.bank_size)
        return tuple(AddressRange(s, s + self.flash.bank_size) for s in starts)

    def bank_range(self, bank: int) -> AddressRange:
        """Return the physical bank (1 or 2), canonical; the whole flash when it is one bank."""
        return self.banks[bank - 1] if bank <= len(self.banks) else self.flash_range

    def canonical(self, address: int) -> int:
        """Return the 0x08.. address of a flash cell named by either alias; other addresses unchanged."""
        offset = address - self.flash.secure_base
        return self.flash.base + offset if 0 <= offset < self.flash.size else address

    def canonicals(self, addresses: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the same of many addresses at once."""
        offsets = addresses - self.flash.secure_base
        return addresses - self.flash.alias * ((offsets >= 0) & (offsets < self.flash.size))

    def cells(self, ranges: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
        """Return the same cells by their canonical addresses."""
        return tuple(AddressRange(c := self.canonical(r.start), c + r.size) for r in ranges)

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

    def in_mode(self, option: str, value: int) -> Chip:
        """Return the chip with the geometry that `option` selects by `value`; unchanged when it selects none."""
        for mode in self.flash_modes:
            if (mode.option, mode.value) == (option, value):
                return replace(self, flash=replace(self.flash, bank_size=mode.bank_size, sector_size=mode.sector_size))
        return self

    def register(self, name: str) -> Register:
        """Return the FLASH register called `name`; KeyError when the chip has none."""
        return first((r for r in self.registers if r.name == name), f"{self.name} has no register {name}")

    def option(self, name: str) -> Option:
        """Return the option called `name` or by one of its aliases, in any case; KeyError when there is none."""
        called = (o for o in self.options if name.upper() in (n.upper() for n in (o.name, *o.aliases)))
        return first(called, f"{self.name} has no option {name}")

    def region(self, name: str) -> ChipRegion:
        """Return the region called `name`; KeyError when the chip has none."""
        return first((r for r in self.regions if r.name == name), f"{self.name} has no region {name}")

    def region_at(self, address: int) -> ChipRegion:
        """Return the region that holds `address` in either alias; KeyError when there is none."""
        aliases = ((r, base) for r in self.regions for base in (r.base, r.secure_base or r.base))
        holding = (r for r, base in aliases if 0 <= address - base < r.size)
        return first(holding, f"0x{address:08X} is in no known region of {self.name}")

    def state(self, value: int) -> ProductState:
        """Return the product state or RDP level of this value; KeyError when it is none."""
        meant = (*(s for s in self.states if s.value == value), *(s for s in self.states if s.otherwise))
        return first(meant, f"0x{value:X} is no {self.state_option} of {self.name}")

    def state_called(self, title: str) -> ProductState:
        """Return the state that a tool prints as `title`, in any case; KeyError when it is none."""
        wanted = title.strip().upper()
        called = (s for s in self.states if wanted in (t.upper() for t in (s.name, *s.titles)))
        return first(called, f"{title} is no {self.state_option} of {self.name}")

    def ecc_location(self, register: str, value: int) -> EccLocation:
        """Return the error held by an ECC register (``ECCCORR``, ``ECCDETR`` or ``ECCR``) of value `value`.

        Its `size` is 0 where the address cannot be told.

        Raises
        ------
        KeyError
            When the chip has no such register.
        """
        r = self.register(register)
        names = {f.name for f in r.fields}
        if any(n in names and r.get(n, value) for n in ("ECCD", "ECCD2")):
            kind = EccKind.DOUBLE
        elif any(n in names and r.get(n, value) for n in ("ECCC", "ECCC2")):
            kind = EccKind.CORRECTED
        else:
            return EccLocation(EccKind.NONE)
        system = "SYSF_ECC" in names and r.get("SYSF_ECC", value) and all(a.flag != "SYSF_ECC" for a in self.ecc)
        if not self.ecc or system:
            return EccLocation(kind)  # how this family counts that address is not known
        flagged = (a for a in self.ecc if a.flag in names and r.get(a.flag, value))
        area = next(flagged, None) or next(a for a in self.ecc if not a.flag)
        base = self.region(area.region).base if area.region else self.flash.base
        stride = self.flash.bank_size if area.bank_stride < 0 else area.bank_stride
        address = base + r.get("BK_ECC", value) * stride + (r.get("ADDR_ECC", value) - area.offset) * area.step
        # The arithmetic of small areas may leave the address space when a register was read as garbage.
        return EccLocation(
            kind, area.name, max(0, address), area.step if area.step > 1 else self.flash.program_unit, area.hint
        )

    def interruption(self, value: int) -> Interruption:
        """Return what OPSR of value `value` says; code 0 when nothing was cut. KeyError without OPSR."""
        r = self.register("OPSR")
        code = r.get("CODE_OP", value)
        text = next((m.text for m in self.operations if m.value == code), f"unknown operation {code}")
        if not code:
            return Interruption(0, text)
        flags = {"DATA_OP": "data", "SYSF_OP": "system", "OTP_OP": "otp"}
        for f in r.fields:
            if f.name in flags and f.get(value):
                return Interruption(code, text, flags[f.name], r.get("ADDR_OP", value))
        bank = r.get("BK_OP", value) * self.flash.bank_size
        return Interruption(code, text, "user", self.flash.base + bank + r.get("ADDR_OP", value))


@lru_cache(maxsize=64)
def _sectors(flash: Flash) -> tuple[Sector, ...]:
    per_bank = flash.bank_size // flash.sector_size
    return tuple(
        Sector(
            1 + i // per_bank,
            i % per_bank,
            AddressRange(flash.base + i * flash.sector_size, flash.base + (i + 1) * flash.sector_size),
        )
        for i in range(flash.size // flash.sector_size)
    )
