"""What answers at which address, and what TrustZone makes of it.

The attribute of the transaction decides, not the alias alone (measured, M33): a read with the wrong attribute, or of
a hidden sector, returns zeros without a fault.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.sim.virtual.core import SYSTEM_TABLES, Core
from h5diag.sim.virtual.flash_controller import FlashController

Bytes = npt.NDArray[np.uint8]
RCC_RSR = 0x44020CF4
"""Reset flags, cleared by writing bit 23 (CM RCC_TypeDef.RSR)."""

_CODE_ALIAS = {2: 0x16000000, 3: 0x22000000}
"""What lies between an SRAM at 0x2000_0000 (secure 0x3000_0000) and its alias at 0x0A00_0000 (0x0E00_0000)."""
_PERIPHERALS = ((0x44020C00, 0x400), (0x44000400, 0x100), (0x44024000, 0x400))


class BusFault(Exception):
    """The bus answered with an error at `address`."""

    def __init__(self, address: int) -> None:
        self.address = address
        super().__init__(f"bus fault at 0x{address:08X}")


class Bus:
    """The bus as the core's access port drives it.

    Parameters
    ----------
    chip, controller, core
        What sits on it.
    identity
        Bytes of the identity area: UID, flash size, package.
    hdp_level
        0 to 3; from 2 on hidden sectors read zero (the value returned is assumed, see the facts).
    words
        Other registers by address (DBGMCU, SBS, RCC), non-secure alias.
    """

    def __init__(
        self,
        chip: Chip,
        controller: FlashController,
        core: Core,
        identity: bytes,
        hdp_level: int,
        words: dict[int, int],
    ) -> None:
        self.chip, self.flash, self.core = chip, controller, core
        self.hdp_level, self.words = hdp_level, words
        self.in_reset = False
        self.dirty = False
        self._ram = {r.name: np.zeros(r.size, np.uint8) for r in chip.regions if r.kind == "ram"}
        self._system = _system_flash(chip)
        size = chip.flash.size
        self._areas: list[tuple[int, int, Callable[[int, int, bool], Bytes]]] = [
            (chip.flash.base, size, self._read_flash),
            (chip.flash.secure_base, size, self._read_flash),
        ]
        for region in chip.regions:
            reader = self._memory(region.name, region.kind, identity)
            if reader:
                for base in (region.base, region.secure_base):
                    if base:
                        self._areas.append((base, region.size, reader))
                        if region.kind == "ram" and base >> 28 in (2, 3):  # the code bus sees the SRAMs too
                            self._areas.append((base - _CODE_ALIAS[base >> 28], region.size, reader))
        bank = chip.flash.bank_size
        self._halves = tuple(controller.cells.data[i : i + bank] for i in range(0, size, bank))
        self._mask_generation = -1
        self._masks: tuple[Bytes, Bytes] = (np.empty(0, np.uint8), np.empty(0, np.uint8))

    def _memory(self, name: str, kind: str, identity: bytes) -> Callable[[int, int, bool], Bytes] | None:
        if kind == "ram":
            ram = self._ram[name]
            return lambda offset, size, secure: ram[offset : offset + size]
        fixed = {
            "identity": np.frombuffer(identity.ljust(64, b"\0"), np.uint8),
            "system": self._system,
            "otp": np.full(0x800, 0xFF, np.uint8),
            "keys": np.zeros(0x2000, np.uint8),
        }.get(kind)
        if fixed is None:
            return None
        return lambda offset, size, secure: fixed[offset : offset + size]

    def ram(self, name: str) -> Bytes | None:
        """Return the bytes of an SRAM, to be changed in place; None when there is none of that name."""
        return self._ram.get(name)

    # ------------------------------------------------------------------------------------------------ user flash
    def plain_banks(self) -> tuple[Bytes, ...] | None:
        """Return the banks in bus order where every read is the bytes themselves; None when cells or masks say otherwise.

        A look into the array costs a call each; who reads all of it (the emulated core) may look at the bytes then.
        """
        if self.flash.trustzone or self.hdp_level >= 2 or not self.flash.cells.plain:
            return None
        bank = self.chip.flash.bank_size
        return tuple(self._halves[self.physical(i * bank) // bank] for i in range(len(self.chip.banks)))

    def physical(self, offset: int) -> int:
        """Return the offset in physical bank order of a flash offset on the bus."""
        bank = self.chip.flash.bank_size
        return (offset + bank) % (2 * bank) if self.flash.swapped else offset

    def _read_flash(self, offset: int, size: int, secure: bool) -> Bytes:
        bank, out = self.chip.flash.bank_size, []
        while size:
            n = min(size, bank - offset % bank)
            out.append(self._read_bank(self.physical(offset), n, secure))
            offset, size = offset + n, size - n
        return out[0] if len(out) == 1 else np.concatenate(out)

    def _read_bank(self, physical: int, size: int, secure: bool) -> Bytes:
        data = self.flash.fetch(physical, size)
        if self._mask_generation != self.flash.generation:
            self._build_masks()
        mask = self._masks[secure]
        step = self.chip.flash.sector_size
        first, last = physical // step, (physical + size - 1) // step
        if first == last:
            if mask[first]:
                data[:] = 0
        elif mask[first : last + 1].any():
            data &= np.repeat(~mask[first : last + 1], step)[physical - first * step :][:size]
        return data

    def _build_masks(self) -> None:
        secure = self.flash.secure_sectors()
        hidden = self.flash.hidden_sectors() if self.hdp_level >= 2 else np.zeros_like(secure)
        if self.flash.trustzone:
            views = (secure | hidden, ~secure | hidden)
        else:
            views = (hidden, hidden)
        self._masks = (views[0].astype(np.uint8) * 0xFF, views[1].astype(np.uint8) * 0xFF)
        self._mask_generation = self.flash.generation

    # ------------------------------------------------------------------------------------------------ transactions
    def read(self, address: int, size: int, secure: bool) -> Bytes:
        """Return `size` bytes (a multiple of the access size, not crossing a word) or words from `address` on.

        Raises
        ------
        BusFault
            When nothing answers at one of the addresses.
        """
        for base, length, reader in self._areas:
            offset = address - base
            if 0 <= offset < length:
                if offset + size <= length:
                    return reader(offset, size, secure)
                head = reader(offset, length - offset, secure)
                return np.concatenate([head, self.read(base + length, size - head.size, secure)])
        first, last = address & ~3, (address + size + 3) & ~3
        words = np.array([self._word(a, secure) for a in range(first, last, 4)], "<u4")
        return words.view(np.uint8)[address - first :][:size]

    def write(self, address: int, data: bytes, secure: bool) -> None:
        """Store bytes within one word, or a run of words.

        Raises
        ------
        BusFault
            When nothing answers at the address.
        """
        canonical = self.chip.canonical(address)
        if canonical in self.chip.flash_range:
            unit, sector, i = self.chip.flash.program_unit, self.chip.flash.sector_size, 0
            while i < len(data):
                # A burst over whole quad-words of a sector is one store: nothing can come between its words.
                whole = (min(len(data) - i, sector - (canonical + i) % sector) // unit) * unit
                n = whole if whole and not (canonical + i) % unit else 4
                self.flash.store(self.physical(canonical - self.chip.flash.base + i), data[i : i + n], secure)
                i += n
            self.dirty = True
            return
        for region in self.chip.regions:
            bases = [b for b in (region.base, region.secure_base) if b]
            for base in (*bases, *(b - _CODE_ALIAS[b >> 28] for b in bases if b >> 28 in (2, 3))):
                if region.kind == "ram" and 0 <= address - base <= region.size - len(data):
                    self._ram[region.name][address - base :][: len(data)] = np.frombuffer(data, np.uint8)
                    return
        if len(data) % 4 or address % 4:
            raise BusFault(address)
        for i in range(0, len(data), 4):
            self._store(address + i, int.from_bytes(data[i : i + 4], "little"), secure)

    def _register(self, address: int) -> int:
        for base in (self.chip.flash_registers, self.chip.flash_registers_secure):
            if 0 <= address - base < 0x400:
                return address - base
        return -1

    def _word(self, address: int, secure: bool) -> int:
        offset = self._register(address)
        if offset >= 0:
            return 0 if self.in_reset and offset >= 0x50 else self.flash.read(offset, secure)
        if 0xE0000000 <= address < 0xE0044000 or 0xE00FE000 <= address < 0xE0100000:
            return self.core.read(address)
        return self._peripheral(address)

    def _peripheral(self, address: int) -> int:
        canonical = address & ~0x10000000
        if canonical in self.words:
            return self.words[canonical]
        if any(0 <= canonical - base < size for base, size in _PERIPHERALS) or 0xE0044000 <= address < 0xE0045000:
            return self.words.get(canonical - 0xE0044000 + 0x44024000, 0)
        raise BusFault(address)

    def _store(self, address: int, value: int, secure: bool) -> None:
        offset = self._register(address)
        if offset >= 0:
            self.flash.write(offset, value, secure)
            self.dirty = True
        elif 0xE0000000 <= address < 0xE0044000:
            self.core.write(address, value)
        else:
            self._peripheral(address)
            canonical = address & ~0x10000000
            if canonical == RCC_RSR and value >> 23 & 1:
                self.words[RCC_RSR] = 0
            elif canonical != self.chip.identity.idcode[0]:
                self.words[canonical] = value

    def read_system(self, address: int) -> int:
        """Return a word as the system access port (AP0) sees it: its ROM table and DBGMCU."""
        if 0xE00E0000 <= address < 0xE00E1000:
            return SYSTEM_TABLES.get(address, 0)
        base = address & 0xFFFFF000
        if base in (0xE0044000, 0xE00E4000, 0x44024000):
            return self.words.get(address - base + self.chip.identity.idcode[0], 0)
        raise BusFault(address)


def _system_flash(chip: Chip) -> Bytes:
    """Return a stand-in for the vendor's area: version word and descriptor only, never its code."""
    region = chip.region("SYSTEM")
    out = np.full(region.size, 0xFF, np.uint8)
    named = {a.name: a.address for a in chip.addresses}
    version = (0x02050000).to_bytes(4, "little")
    descriptor = f"DSCTR{chip.identity.dev_id:X}".encode()
    for address, text in ((named.get("SFSP_VERSION"), version), (named.get("RSS_DESCRIPTOR"), descriptor)):
        if address is not None and 0 <= address - region.base <= region.size - len(text):
            out[address - region.base :][: len(text)] = np.frombuffer(text, np.uint8)
    return out
