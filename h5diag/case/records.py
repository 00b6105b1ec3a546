"""JSON that other commands wrote (`info`, `dump --sweep`, `flashtest`), read back as values.

Another program may have written the file, so every number is checked, a missing one is "not told", and nothing
beyond the contract is relied on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from h5diag.errors import InputError
from h5diag.memory import AddressRange

NOT_TOLD = -1
"""Stands for a number that the file does not give."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What ``h5diag info --json`` wrote. `registers` are (name, value) pairs in lower case."""

    given: bool = False
    chip: str = ""
    dev_id: int = NOT_TOLD
    rev_id: int = NOT_TOLD
    flash_kib: int = NOT_TOLD
    product_state: int = NOT_TOLD
    tzen: int = NOT_TOLD
    registers: tuple[tuple[str, int], ...] = ()

    def register(self, name: str) -> int:
        """Return the value of a register, `NOT_TOLD` when it was not read."""
        return dict(self.registers).get(name.lower(), NOT_TOLD)


@dataclass(frozen=True, slots=True)
class SpeedPoint:
    """How the reads at one link speed agreed: bytes read and bytes that disagreed."""

    swd_hz: int
    bytes: int
    disagreeing: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """What ``h5diag dump --sweep --json`` wrote, slowest first; empty when not given."""

    points: tuple[SpeedPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the flash test. `bit` is -1 when not known; `rounds` counts the rounds that showed it."""

    kind: str
    address: int
    bit: int
    rounds: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SectorTest:
    """A sector of the flash test; `verdict` is ``good``, ``bad`` or ``untested``; times in seconds, -1 not told."""

    start: int
    verdict: str
    erase_s: float
    program_s: float
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what the flash test ran. `NOT_TOLD` (or an empty tuple) where the file says nothing.

    Write protection may be told as the registers of the banks (a bit 0 = a protected group), as ranges, or as a flag.
    """

    tzen: str = ""
    product_state: str = ""
    wrp_told: bool = False
    wrp_registers: tuple[int, ...] = ()
    wrp_ranges: tuple[AddressRange, ...] = ()
    wrp_flag: bool = False
    rev_id: int = NOT_TOLD
    voltage_mv: int = NOT_TOLD
    swd_hz: tuple[int, ...] = ()
    rounds: int = NOT_TOLD
    power_cycles: int = NOT_TOLD


@dataclass(frozen=True, slots=True)
class FlashTest:
    """What ``h5diag flashtest --json`` wrote; `given` is false when there was none.

    `restored` is false only where the file says so; `fault_count` is the number of faults that it claims.
    """

    given: bool = False
    range: AddressRange = field(default_factory=lambda: AddressRange(0, 0))
    restored: bool = False
    conditions: Conditions = field(default_factory=Conditions)
    sectors: tuple[SectorTest, ...] = ()
    fault_count: int = NOT_TOLD


def parse_identity(text: str, source: str) -> Identity:
    """Return what an ``info --json`` file says; InputError names the key that is wrong."""
    doc = _Doc(text, source)
    state, tzen = (doc.code(doc.top.get(k), k) for k in ("product_state", "tzen"))
    registers = doc.mapping(doc.top.get("registers", {}), "registers")
    return Identity(
        True,
        str(doc.top.get("chip", "")),
        doc.number(doc.top.get("dev_id"), "dev_id"),
        doc.number(doc.top.get("rev_id"), "rev_id"),
        doc.number(doc.top.get("flash_kib"), "flash_kib"),
        state,
        tzen,
        tuple((str(k).lower(), doc.register(v, f"registers.{k}")) for k, v in registers.items()),
    )


def parse_sweep(text: str, source: str) -> Sweep:
    """Return what a ``dump --sweep --json`` file says; InputError names the key that is wrong."""
    doc = _Doc(text, source)
    rows = doc.items(doc.top.get("sweep", doc.top.get("speeds", [])), "sweep")
    points = []
    for i, row in enumerate(rows):
        row = doc.mapping(row, f"sweep[{i}]")
        speed = doc.number(row.get("swd_hz", row.get("hz")), f"sweep[{i}].swd_hz")
        read = doc.number(row.get("bytes"), f"sweep[{i}].bytes")
        bad = doc.number(row.get("disagreeing", row.get("disagreeing_bytes")), f"sweep[{i}].disagreeing")
        points.append(SpeedPoint(speed, read, bad))
    return Sweep(tuple(sorted(points, key=lambda p: p.swd_hz)))


def parse_flashtest(text: str, source: str) -> FlashTest:
    """Return what a ``flashtest --json`` file says; InputError names the key that is wrong."""
    doc = _Doc(text, source)
    pair = doc.items(doc.top.get("range", [0, 0]), "range")
    if len(pair) != 2:
        raise doc.wrong("range", "is not a pair of addresses")
    start, stop = (doc.number(v, "range") for v in pair)
    if not 0 <= start <= stop <= 1 << 32:
        raise doc.wrong("range", "is not a range")
    restored, count = doc.top.get("restored"), doc.top.get("faults")
    if restored is not None and not isinstance(restored, bool):
        raise doc.wrong("restored", "is neither true nor false")
    raw = doc.mapping(doc.top.get("conditions", {}), "conditions")
    wrp = raw.get("wrp")
    conditions = Conditions(
        _word(raw.get("tzen")),
        _word(raw.get("product_state")),
        wrp is not None,
        *doc.protection(wrp),
        doc.number(raw.get("rev_id"), "conditions.rev_id"),
        doc.number(raw.get("voltage_mv"), "conditions.voltage_mv"),
        tuple(doc.number(v, "conditions.swd_hz") for v in _listed(raw.get("swd_hz"))),
        doc.number(raw.get("rounds"), "conditions.rounds"),
        doc.number(raw.get("power_cycles"), "conditions.power_cycles"),
    )
    sectors = []
    for i, row in enumerate(doc.items(doc.top.get("sectors", []), "sectors")):
        row = doc.mapping(row, f"sectors[{i}]")
        verdict = row.get("verdict")
        if verdict not in ("good", "bad", "untested"):
            raise doc.wrong(f"sectors[{i}].verdict", f"is {verdict!r}; it is good, bad or untested")
        faults = tuple(
            doc.fault(f, f"sectors[{i}].faults[{j}]", conditions.rounds)
            for j, f in enumerate(doc.items(row.get("faults", []), f"sectors[{i}].faults"))
        )
        sectors.append(
            SectorTest(
                doc.address(row.get("start"), f"sectors[{i}].start"),
                verdict,
                _seconds(row.get("erase_s")),
                _seconds(row.get("program_s")),
                faults,
            )
        )
    return FlashTest(
        True,
        AddressRange(start, stop),
        restored is not False,
        conditions,
        tuple(sectors),
        NOT_TOLD if count is None else doc.number(count, "faults"),
    )


class _Doc:
    def __init__(self, text: str, source: str) -> None:
        self.source = source
        try:
            top = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            place = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
            raise InputError(
                "is not JSON", source=source, place=place, advice="write it with --json and nothing else in the file"
            ) from None
        self.top = self.mapping(top, "document")

    def mapping(self, value: Any, key: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(key, "is not an object")
        return value

    def items(self, value: Any, key: str) -> list[Any]:
        if not isinstance(value, list):
            raise self.wrong(key, "is not a list")
        return value

    def number(self, value: Any, key: str) -> int:
        if value is None:
            return NOT_TOLD
        if isinstance(value, str):
            try:
                return int(value, 0)
            except ValueError:
                raise self.wrong(key, f"is {value[:40]!r}, not a number") from None
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if type(value) is not int:
            raise self.wrong(key, "is not a whole number")
        return value

    def code(self, value: Any, key: str) -> int:
        """Return a byte code that may be written as a number or as an object with a ``value``."""
        if isinstance(value, dict):
            value = value.get("value")
        if isinstance(value, bool):
            return 0xB4 if value else 0xC3
        try:
            return self.number(value, key)
        except InputError:
            return NOT_TOLD  # a word (``Open``) is for a person; the code is what is relied on

    def fault(self, value: Any, key: str, rounds_made: int) -> Fault:
        row = self.mapping(value, key)
        told = [self.number(r, key + ".rounds") for r in row["rounds"]] if isinstance(row.get("rounds"), list) else []
        count = self.number(row.get("rounds", 1), key + ".rounds") if not told else 0
        # A round that the test did not make is no round in which anything failed.
        possible = max(rounds_made, 0)
        seen = len({r for r in told if 1 <= r <= possible}) if told else count if 0 < count <= possible else 0
        return Fault(
            str(row.get("kind", "")),
            self.address(row.get("address"), key + ".address"),
            self.number(row.get("bit"), key + ".bit"),
            seen,
            str(row.get("detail", "")),
        )

    def address(self, value: Any, key: str) -> int:
        number = self.number(value, key)
        if not 0 <= number < 1 << 32:
            raise self.wrong(key, "is not an address" if value is not None else "is missing")
        return number

    def register(self, value: Any, key: str) -> int:
        number = self.number(value, key)
        if value is not None and not 0 <= number < 1 << 32:
            raise self.wrong(key, "does not fit 32 bits")
        return number

    def protection(self, wrp: Any) -> tuple[tuple[int, ...], tuple[AddressRange, ...], bool]:
        """Return registers, ranges and the flag out of the ways in which write protection is written."""
        rows = [wrp] if isinstance(wrp, int | str) and not isinstance(wrp, bool) else _listed(wrp)
        if isinstance(wrp, dict):
            rows = list(wrp.values())
        if any(isinstance(r, list) for r in rows):
            pairs = [self.items(r, "conditions.wrp") for r in rows]
            try:
                return (), tuple(AddressRange(*(self.number(v, "conditions.wrp") for v in p)) for p in pairs), False
            except (TypeError, ValueError):
                raise self.wrong("conditions.wrp", "is no list of ranges") from None
        if all(isinstance(r, bool) for r in rows):
            return (), (), any(rows)
        words = [r for r in rows if not (isinstance(r, str) and r.strip().lower() in ("", "none", "off", "no"))]
        return tuple(self.number(r, "conditions.wrp") for r in words), (), False

    def wrong(self, key: str, problem: str) -> InputError:
        return InputError(f"{key} {problem}", source=self.source)


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float(NOT_TOLD)


def _word(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "0xb4" if value else "0xc3"
    return hex(value) if isinstance(value, int) else str(value).strip().lower()


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
