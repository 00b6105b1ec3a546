"""The FLASH interface: keys, quad-words, erase, errors, busy, option bytes, ECC reports.

Every offset and field comes from the chip file. The sources of the behaviour are stm32-data (S2), the HAL and
measurements on a NUCLEO-H563ZI quoted in the project's facts; what those leave open is marked "assumed".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from h5diag.chip import Chip
from h5diag.sim.virtual.cells import Cells, EccEvent

WORD_CLOCKS = 46
"""SWD clocks of one 32-bit transfer: request, acknowledge, data, parity and turnarounds."""

COMMAND_S = 100e-6
"""Time that a command to the probe takes over USB before anything happens on the wire."""


class Clock:
    """Simulated seconds since power-up."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.frequency_hz = 1_000_000.0

    def pass_command(self, words: int) -> None:
        """Let one probe command of `words` transfers pass."""
        self.now_s += COMMAND_S + words * WORD_CLOCKS / self.frequency_hz

    def wait_until(self, moment_s: float) -> None:
        """Stand still until `moment_s`."""
        self.now_s = max(self.now_s, moment_s)


ERASE_S, PROGRAM_S, OPTION_S = 2.0e-3, 35e-6, 5e-3
"""Assumed times of a sector erase, a quad-word and an option change; the data sheet was not read."""

_ERRORS = ("WRPERR", "PGSERR", "STRBERR", "INCERR", "OBKERR", "OBKWERR", "OPTCHANGEERR")
_NS, _S = 0, 1


@dataclass(frozen=True, slots=True)
class Operation:
    """What was done to the array or the options: an erase of a sector, a program of quad-words one after the other.

    `kind` is ``erase``, ``program``, ``option-write`` or ``option-start``; `address` a canonical address in physical
    bank order, or the offset of an option register.
    """

    kind: str
    address: int
    size: int


class FlashController:
    """Registers of the FLASH interface over the cells.

    Parameters
    ----------
    chip
        Names, offsets and fields.
    cells
        The array.
    options
        Values of the ``_CUR`` registers by name; kept up to date.
    clock
        Gives busy times.
    """

    def __init__(self, chip: Chip, cells: Cells, options: Mapping[str, int], clock: Clock) -> None:
        self.chip, self.cells, self.clock = chip, cells, clock
        self.options = dict(options)
        self.operations: list[Operation] = []
        self.generation = 0
        self._names = {r.offset: r.name for r in chip.registers}
        self._keys = {k.register: k.words for k in chip.keys}
        self._status_bits = {n: chip.register("NSSR").field(n).mask for n in ("BSY", "WBNE", "EOP", *_ERRORS)}
        self._fields = {r.name: {f.name: f for f in r.fields} for r in chip.registers}
        self._pg = self._fields["NSCR"]["PG"].mask
        self._wrp = tuple((f"WRP{n}R_CUR", chip.register(f"WRP{n}R_CUR").field("WRPSG")) for n in (1, 2))
        self._per_bank = chip.flash.bank_size // chip.flash.sector_size
        self._regs: dict[str, int] = {}
        self._opsr = 0
        self.power_up()

    # ------------------------------------------------------------------------------------------------ reset
    def power_up(self) -> None:
        """Start as after power-up: registers at reset values, options loaded."""
        lock = {"NSCR": "LOCK", "SECCR": "LOCK", "OPTCR": "OPTLOCK", "NSOBKCFGR": "LOCK", "SECOBKCFGR": "LOCK"}
        self._regs = {r.name: 0 for r in self.chip.registers if not r.name.endswith(("_CUR", "_PRG"))}
        for name, bit in lock.items():
            self._regs[name] = self.chip.register(name).field(bit).mask
        self._regs["ACR"] = 0x13
        self._prg = {name.replace("_CUR", "_PRG"): value for name, value in self.options.items()}
        self.swapped = bool(self.option("OPTSR_CUR", "SWAP_BANK"))
        if self.swapped:
            self._regs["OPTCR"] |= self.chip.register("OPTCR").field("SWAP_BANK").mask
        self._key_step: dict[str, int] = {}
        self._buffer: dict[int, int] = {}
        self._buffer_at, self._buffer_side = -1, _NS
        self._busy_until, self._busy_side = 0.0, _NS
        self._running: tuple[int, int, int] = (0, 0, 0)
        self.generation += 1

    def reset(self) -> None:
        """System reset: an operation that was still running is torn, and OPSR remembers it."""
        code, offset, size = self._running if self.clock.now_s < self._busy_until else (0, 0, 0)
        self.power_up()
        self._opsr = 0
        if code:
            r = self.chip.register("OPSR")
            bank, within = divmod(offset, self.chip.flash.bank_size)
            self._opsr = r.field("CODE_OP").put(r.field("BK_OP").put(within, bank), code)
            self.cells.tear(offset, size, np.random.default_rng(offset))

    # ------------------------------------------------------------------------------------------------ options
    def option(self, register: str, field: str) -> int:
        """Return a field of a ``_CUR`` register."""
        return self._fields[register][field].get(self.options[register])

    @property
    def trustzone(self) -> bool:
        """Whether TZEN is on."""
        return self.option("OPTSR2_CUR", "TZEN") == self.chip.tzen_on

    def secure_sectors(self) -> npt.NDArray[np.bool_]:
        """Return which physical sectors are secure: SECWM or SECBB says so; none without TrustZone."""
        out = np.zeros(2 * self._per_bank, np.bool_)
        if not self.trustzone:
            return out
        for bank in (1, 2):
            base = (bank - 1) * self._per_bank
            first, last = (self.option(f"SECWM{bank}R_CUR", f) for f in ("STRT", "END"))
            out[base + first : base + last + 1] = True
            for i in range(self._per_bank):
                if self._regs[f"SECBB{bank}R{i // 32 + 1}"] >> i % 32 & 1:
                    out[base + i] = True
        return out

    def hidden_sectors(self) -> npt.NDArray[np.bool_]:
        """Return which physical sectors HDP covers, whatever the level."""
        out = np.zeros(2 * self._per_bank, np.bool_)
        for bank in (1, 2):
            base = (bank - 1) * self._per_bank
            first, last = (self.option(f"HDP{bank}R_CUR", f) for f in ("STRT", "END"))
            if first <= last:
                extra = self.chip.register("HDPEXTR").get(f"HDP{bank}_EXT", self._regs["HDPEXTR"])
                out[base + first : base + last + 1 + extra] = True
        return out

    def write_protected(self, sector: int) -> bool:
        """Tell whether WRP covers a physical sector."""
        bank, index = divmod(sector, self._per_bank)
        group = index // self.chip.flash.wrp_group_sectors
        register, bits = self._wrp[bank]
        return not bits.get(self.options[register]) >> group & 1

    # ------------------------------------------------------------------------------------------------ registers
    def read(self, offset: int, secure: bool) -> int:
        """Return a register; 0 where the access may not see it."""
        name = self._names.get(offset, "")
        if not name or self._blind(name, secure):
            return 0
        if name.endswith("_CUR"):
            return self.options[name]
        if name.endswith("_PRG"):
            return self._prg[name]
        if name == "OPSR":
            return self._opsr
        if name in ("NSSR", "SECSR"):
            return self._status(_S if name == "SECSR" else _NS)
        return self._regs[name]

    def _blind(self, name: str, secure: bool) -> bool:
        if name.startswith("SECBOOTR"):
            return self.trustzone and not secure
        own = ("SECKEYR", "SECSR", "SECCR", "SECCCR", "SECOBKKEYR", "SECOBKCFGR")
        return name in own and not (secure and self.trustzone)

    @property
    def busy(self) -> bool:
        """Whether an operation is under way."""
        return self.clock.now_s < self._busy_until

    def _status(self, side: int) -> int:
        value = self._regs["SECSR" if side else "NSSR"]
        if self.clock.now_s < self._busy_until and side == self._busy_side:
            value |= self._status_bits["BSY"]
        if self._buffer and side == self._buffer_side:
            value |= self._status_bits["WBNE"]
        return value

    def write(self, offset: int, value: int, secure: bool) -> None:
        """Write a register as the debugger's store does; what may not be written is ignored."""
        name = self._names.get(offset, "")
        if not name or self._blind(name, secure):
            return
        match name:
            case "NSKEYR" | "SECKEYR" | "OPTKEYR" | "NSOBKKEYR" | "SECOBKKEYR":
                self._key(name, value)
            case "NSCR" | "SECCR":
                self._control(name, value, _S if name == "SECCR" else _NS)
            case "NSCCR" | "SECCCR":
                self._regs["NSSR" if name == "NSCCR" else "SECSR"] &= ~value
            case "ECCCORR" | "ECCDETR":
                flag = self.chip.register(name).field("ECCC" if name == "ECCCORR" else "ECCD").mask
                if value & flag:
                    self._regs[name] = 0
            case "OPTCR":
                self._option_control(value)
            case "ACR" | "HDPEXTR":
                self._regs[name] = value
                self.generation += 1
            case _ if name.endswith("_PRG"):
                if not self._regs["OPTCR"] & 1:
                    self._prg[name] = value
                    self.operations.append(Operation("option-write", offset, 4))
            case _ if name.startswith(("SECBB", "PRIVBB")) and secure and self.trustzone:
                self._regs[name] = value
                self.generation += 1

    def _key(self, name: str, value: int) -> None:
        lock = {
            "NSKEYR": "NSCR",
            "SECKEYR": "SECCR",
            "OPTKEYR": "OPTCR",
            "NSOBKKEYR": "NSOBKCFGR",
            "SECOBKKEYR": "SECOBKCFGR",
        }[name]
        step, words = self._key_step.get(name, 0), self._keys[name]
        if step < 0 or not self._regs[lock] & 1 or value != words[step]:
            self._key_step[name] = -1  # a wrong or repeated key: locked until the next reset (S2)
            self._regs[lock] |= 1
            return
        self._key_step[name] = (step + 1) % len(words)
        if step + 1 == len(words):
            self._regs[lock] &= ~1

    def _control(self, name: str, value: int, side: int) -> None:
        f, old = self._fields[name], self._regs[name]
        if old & f["LOCK"].mask or self.clock.now_s < self._busy_until:
            return
        self._regs[name] = value & ~f["STRT"].mask & ~f["FW"].mask
        if not f["PG"].get(value) and self._buffer_side == side:
            self._buffer = {}
        if f["FW"].get(value) and self._buffer and self._buffer_side == side:
            at = self._buffer_at
            self._commit(at, bytes(self._buffer.get(at + i, 0xFF) for i in range(self.cells.unit)), side)
        if f["STRT"].get(value):
            ser, ber, mer, pg, bank, snb = (f[n].get(value) for n in ("SER", "BER", "MER", "PG", "BKSEL", "SNB"))
            self._start(ser, ber, mer, pg, bank * self._per_bank, snb, side)

    def _start(self, ser: int, ber: int, mer: int, pg: int, bank: int, snb: int, side: int) -> None:
        status = self._regs["SECSR" if side else "NSSR"]
        stale = any(status & self._status_bits[e] for e in _ERRORS)
        if ser + ber + mer != 1 or pg or stale or snb >= self._per_bank:
            self._fail(side, "PGSERR")
            return
        if ser:
            sectors, code = range(bank + snb, bank + snb + 1), 3
        elif ber:
            sectors, code = range(bank, bank + self._per_bank), 4
        else:
            sectors, code = range(2 * self._per_bank), 5
        if any(self._refused(s, side) for s in sectors):
            self._fail(side, "WRPERR")
            return
        size, base = self.cells.sector_size, self.chip.flash.base
        duration = 0.0
        for s in sectors:
            self.cells.erase(s)
            self.operations.append(Operation("erase", base + s * size, size))
            duration += ERASE_S * self.cells.slow.get(s, 1.0)
        self._begin(code, sectors.start * size, len(sectors) * size, duration if ser else duration / 16, side)

    def _refused(self, sector: int, side: int) -> bool:
        secure = self.trustzone and bool(self.secure_sectors()[sector])
        return self.write_protected(sector) or secure != bool(side)

    def _begin(self, code: int, offset: int, size: int, duration: float, side: int) -> None:
        self._running = (code, offset, size)
        self._busy_until, self._busy_side = self.clock.now_s + duration, side
        self._regs["SECSR" if side else "NSSR"] |= self._status_bits["EOP"]

    def _fail(self, side: int, error: str) -> None:
        self._regs["SECSR" if side else "NSSR"] |= self._status_bits[error]

    # ------------------------------------------------------------------------------------------------ programming
    def store(self, offset: int, data: bytes, secure: bool) -> None:
        """Take a store into the user flash, at an offset in physical bank order: of a quad-word, or of several whole."""
        side = _S if secure and self.trustzone else _NS
        self.clock.wait_until(self._busy_until)
        if not self._regs["SECCR" if side else "NSCR"] & self._pg:
            self._fail(side, "PGSERR")
            return
        unit = self.cells.unit
        start = offset // unit * unit
        other = self._buffer and (start != self._buffer_at or side != self._buffer_side)
        several = len(data) > unit and offset == start and not len(data) % unit
        reaches = not several and offset + len(data) > start + unit
        if other or reaches or (not self._buffer and offset != start):
            self._buffer = {}
            self._fail(side, "INCERR")
            return
        if self._buffer and any(offset + i in self._buffer for i in range(len(data))):
            self._buffer = {}
            self._fail(side, "STRBERR")
            return
        self._buffer_at, self._buffer_side = start, side
        if len(data) == unit or several:
            self._commit(start, data, side)
            return
        self._buffer.update({offset + i: b for i, b in enumerate(data)})
        if len(self._buffer) == unit:
            self._commit(start, bytes(self._buffer[start + i] for i in range(unit)), side)

    def _commit(self, offset: int, data: bytes, side: int) -> None:
        """Program quad-words of one sector, each when the one before is done."""
        self._buffer = {}
        sector = offset // self.cells.sector_size
        if self._refused(sector, side):
            self._fail(side, "WRPERR")
            return
        unit = self.cells.unit
        self.cells.program(offset, np.frombuffer(data, np.uint8))
        self.operations.append(Operation("program", self.chip.flash.base + offset, len(data)))
        each = PROGRAM_S * self.cells.slow.get(sector, 1.0)
        self.clock.now_s += each * (len(data) // unit - 1)
        self._begin(1, offset + len(data) - unit, unit, each, side)

    def fetch(self, offset: int, size: int) -> npt.NDArray[np.uint8]:
        """Return `size` bytes of the array; ECC errors show in the registers, and a double one in the data too.

        What a debugger gets at a double error is not confirmed (data or a bus error): assumed is the data.
        """
        if self.clock.now_s < self._busy_until:
            self.clock.wait_until(self._busy_until)  # a read of a busy bank stalls
        data, events = self.cells.read(offset, size)
        for event in events:
            self._report(event)
        return data

    def _report(self, event: EccEvent) -> None:
        name, flag = ("ECCDETR", "ECCD") if event.double else ("ECCCORR", "ECCC")
        f = self._fields[name]
        if f[flag].get(self._regs[name]):
            return  # only the first one is kept until it is cleared
        bank, within = divmod(event.offset, self.chip.flash.bank_size)
        value = f["ADDR_ECC"].put(f[flag].mask, within // self.cells.unit)
        self._regs[name] = f["BK_ECC"].put(value, bank)

    def _option_control(self, value: int) -> None:
        r = self.chip.register("OPTCR")
        if self._regs["OPTCR"] & r.field("OPTLOCK").mask:
            return
        if r.get("OPTLOCK", value):
            self._regs["OPTCR"] |= r.field("OPTLOCK").mask
        if not r.get("OPTSTRT", value):
            return
        self.operations.append(Operation("option-start", r.offset, 4))
        state = self.chip.register("OPTSR_PRG").get("PRODUCT_STATE", self._prg["OPTSR_PRG"])
        known = {s.value for s in self.chip.states}
        locked = self.option("SECBOOTR_CUR", "BOOT_LOCK") == 0xB4
        swap = self.chip.register("OPTSR_PRG").get("SWAP_BANK", self._prg["OPTSR_PRG"])
        if state not in known or (locked and swap != self.option("OPTSR_CUR", "SWAP_BANK")):
            self._fail(_NS, "OPTCHANGEERR")
            self._prg = {n.replace("_CUR", "_PRG"): v for n, v in self.options.items()}
            return
        self.options.update({n.replace("_PRG", "_CUR"): v for n, v in self._prg.items()})
        self._begin(6, 0, 0, OPTION_S, _NS)
        self.generation += 1
