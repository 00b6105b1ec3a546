"""Fault dumps of firmware: the fault status registers of a Cortex-M, decoded, and where the core was.

Source of the bits: Armv8-M Architecture Reference Manual, System Control Block and Security Attribution Unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from h5diag.evidence.texts.text import Line

_NAMES = (
    "CFSR|HFSR|DFSR|AFSR|BFAR|MMFAR|MMAR|SFSR|SFAR|UFSR|BFSR|MMFSR|MFSR|SHCSR|ICSR|VTOR|EXC_RETURN|"
    "MSP(?:_N?S|LIM)?|PSP(?:_N?S|LIM)?|xPSR|[aemi]?PSR|CONTROL|PRIMASK|BASEPRI|FAULTMASK|"
    "R1[0-5]|R[0-9]|SP|LR|PC"
)
_REGISTER = re.compile(
    r"(?<![\w.])(?:stacked[ _]?|s(?:cb|au)\s?->\s?|scb[._]|fault[ _]|r\d{1,2}/|a\d/|ip/|faulting instruction address \()?"
    r"(?P<name>" + _NAMES + r")(?:_N?S)?\b(?:\s?\([^()\n]{0,24}\)|\s?address|/\w{1,4}\)?|\))?"
    r"\s{0,12}(?:[:=]?\s{0,12}0x(?P<value>[0-9a-f]{1,8})|[:=]\s{0,12}(?P<bare>[0-9a-f]{8}))\b",
    re.I,
)
_KINDS = re.compile(
    r"hard ?fault|bus ?fault|usage ?fault|mem(?:ory)? ?manage(?:ment)?(?: ?fault)?|mpu fault|secure ?fault|"
    r"fatal error|fatal:|\bnmi\b|lock(?:ed)? ?up|oops|guru meditation|unhandled exception|k_err_\w+|fault handler",
    re.I,
)
_STATUS = frozenset({"CFSR", "HFSR", "DFSR", "AFSR", "BFAR", "MMFAR", "SFSR", "SFAR", "UFSR", "BFSR", "MMFSR", "SHCSR"})
_SAME = {"MMAR": "MMFAR", "MFSR": "MMFSR", "R15": "PC", "R14": "LR", "R13": "SP", "XPSR": "xPSR", "PSR": "xPSR"}

CFSR = (
    (0, "memory management fault: instruction fetch from a place that must not be executed (IACCVIOL)"),
    (1, "memory management fault: data access that the MPU forbids (DACCVIOL)"),
    (3, "memory management fault while the return from an exception unstacked (MUNSTKERR)"),
    (4, "memory management fault while an exception stacked: stack overflow is likely (MSTKERR)"),
    (5, "memory management fault while the FPU's state was saved (MLSPERR)"),
    (8, "bus fault on an instruction fetch (IBUSERR): no memory there, a double ECC error, or a place that is closed"),
    (9, "precise data bus error (PRECISERR): the access at the stacked PC went to the address in BFAR"),
    (10, "imprecise data bus error (IMPRECISERR): a write before the stacked PC failed, its address is not kept"),
    (11, "bus fault while the return from an exception unstacked (UNSTKERR)"),
    (12, "bus fault while an exception stacked: the stack pointer is wrong (STKERR)"),
    (13, "bus fault while the FPU's state was saved (LSPERR)"),
    (16, "usage fault: undefined instruction (UNDEFINSTR): no code at the stacked PC, or erased or changed flash"),
    (17, "usage fault: invalid state (INVSTATE): a jump to an even address, or an empty vector"),
    (18, "usage fault: invalid return from an exception (INVPC)"),
    (19, "usage fault: coprocessor or FPU used while it is off (NOCP)"),
    (20, "usage fault: stack overflow met the stack limit (STKOF)"),
    (24, "usage fault: unaligned access (UNALIGNED)"),
    (25, "usage fault: division by zero (DIVBYZERO)"),
)
"""Bits of CFSR (Armv8-M architecture reference manual) and what each means."""
_PHRASES = (
    ("imprecise data bus error", 10),
    ("precise data bus error", 9),
    ("instruction bus error", 8),
    ("unstacking error", 11),
    ("stacking error", 12),
    ("instruction access violation", 0),
    ("data access violation", 1),
    ("undefined instruction", 16),
    ("illegal use of the epsr", 17),
    ("illegal load of exc_return", 18),
    ("no coprocessor", 19),
    ("stack overflow", 20),
    ("unaligned memory access", 24),
    ("division by zero", 25),
)
"""How handlers that print no CFSR say its bits (Zephyr's words)."""
_HFSR = (
    (1, "hard fault while the vector table was read (VECTTBL): VTOR points to no table, or the table cannot be read"),
    (30, "hard fault: another fault escalated (FORCED), its own bits tell which"),
    (31, "hard fault by a debug event (DEBUGEVT)"),
)
_SFSR = (
    (0, "secure fault: invalid entry point (INVEP): non-secure code called secure code elsewhere than at a gateway"),
    (1, "secure fault: invalid integrity signature (INVIS) on an exception return"),
    (2, "secure fault: invalid exception return (INVER)"),
    (3, "secure fault: attribution unit violation (AUVIOL): non-secure code went to a secure address"),
    (4, "secure fault: invalid transition (INVTRAN): secure code branched to non-secure without saying so"),
    (5, "secure fault while the FPU's state was saved (LSPERR)"),
    (7, "secure fault: error in lazy saving of the FPU's state (LSERR)"),
)
_DFSR = (
    (0, "halted by request (HALTED)"),
    (1, "breakpoint (BKPT)"),
    (2, "watchpoint (DWTTRAP)"),
    (3, "vector catch (VCATCH)"),
    (4, "external debug request (EXTERNAL)"),
)
_MMARVALID, _BFARVALID, _SFARVALID = 1 << 7, 1 << 15, 1 << 6


@dataclass(frozen=True, slots=True)
class FaultDump:
    """Registers of a fault; false when there are none.

    Parameters
    ----------
    kind
        As the text calls the fault, empty when it does not.
    registers
        Name and value, each once, in the order of the text.
    meanings
        What the status bits say, a sentence each.
    address
        The address that the faulting access went to; None when the core does not hold it as valid.
    pc, lr
        Where the core was and where it would return; None when not printed.
    line
        Number of the first line.
    phrases
        Lines in which the handler says the fault in words, and what they mean.
    """

    kind: str = ""
    registers: tuple[tuple[str, int], ...] = ()
    meanings: tuple[str, ...] = ()
    address: int | None = None
    pc: int | None = None
    lr: int | None = None
    line: int = 0
    phrases: tuple[tuple[int, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.registers)


def parse_faults(lines: Iterable[Line]) -> FaultDump:
    """Return the fault registers in these lines; false unless a status register or a fault's name is there."""
    values: dict[str, int] = {}
    kind, first = "", 0
    bits: dict[int, int] = {}
    for line in lines:
        if m := _KINDS.search(line.low):
            kind = kind or m[0]
            first = first or line.number
        for bit in [bit for phrase, bit in _PHRASES if kind and phrase in line.low][:1]:
            bits.setdefault(bit, line.number)
        # Eight bare digits are a register's only below the words of a fault.
        if "0x" not in line.low and not (kind and ("=" in line.low or ":" in line.low)):
            continue
        for m in _REGISTER.finditer(line.text):
            name = m["name"] if m["name"] == "xPSR" else m["name"].upper()
            name = _SAME.get(name, name)
            if name not in values:
                values[name] = int(m["value"] or m["bare"], 16)
                first = first or line.number
    status = _STATUS & values.keys()
    if not status and not (kind and "PC" in values):
        return FaultDump()
    if "CFSR" not in values and status & {"UFSR", "BFSR", "MMFSR"}:
        values["CFSR"] = values.get("UFSR", 0) << 16 | values.get("BFSR", 0) << 8 | values.get("MMFSR", 0)
    return FaultDump(
        kind,
        tuple(values.items()),
        (*(text for at, text in CFSR if at in bits and "CFSR" not in values), *_meanings(values)),
        _address(values),
        values.get("PC"),
        values.get("LR"),
        first,
        tuple((bits[at], text) for at, text in CFSR if at in bits),
    )


def _meanings(values: dict[str, int]) -> tuple[str, ...]:
    out = [
        text
        for name, bits in (("CFSR", CFSR), ("SFSR", _SFSR), ("HFSR", _HFSR), ("DFSR", _DFSR))
        for bit, text in bits
        if values.get(name, 0) >> bit & 1
    ]
    for name, of, valid in (("MMFAR", "CFSR", _MMARVALID), ("BFAR", "CFSR", _BFARVALID), ("SFAR", "SFSR", _SFARVALID)):
        if name not in values:
            continue
        if of not in values or values[of] & valid:
            out.append(f"{name}: the access went to 0x{values[name]:08X}")
        elif name == "SFAR" and values[of]:
            out.append(f"SFAR holds 0x{values[name]:08X}, which is not marked as valid (SFARVALID is 0)")
    if values.get("EXC_RETURN", 0) >> 8 == 0xFFFFFF:
        out.append(f"EXC_RETURN 0x{values['EXC_RETURN']:08X}: the fault met {_where(values['EXC_RETURN'])}")
    if not out and values.keys() & _STATUS:
        out.append("no status bit is set: the registers were cleared, or read at another time")
    return tuple(out)


def _where(exc_return: int) -> str:
    side = "secure" if exc_return & 0x40 else "non-secure"
    mode, stack = "thread" if exc_return & 8 else "handler", "process" if exc_return & 4 else "main"
    return f"{side} code in {mode} mode on the {stack} stack"


def _address(values: dict[str, int]) -> int | None:
    for name, of, valid in (("BFAR", "CFSR", _BFARVALID), ("MMFAR", "CFSR", _MMARVALID), ("SFAR", "SFSR", _SFARVALID)):
        if name in values and values.get(of, valid) & valid:
            return values[name]
    # A secure fault is told with its address by most handlers, whether the valid bit is kept or not.
    return values.get("SFAR") if values.get("SFSR") else None
