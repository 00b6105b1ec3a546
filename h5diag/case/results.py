"""What `info`, `dump --sweep` and `flashtest` wrote with ``--json``: one class for each, which writes it and reads it.

Another program may have written the file, so numbers may be hexadecimal text and a code may be an object with a
``value``; everything is checked, and what a file does not say is None. A key that h5diag never wrote is an error: it is
misspelt, or says something that nobody would read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from h5diag.answer import Answer
from h5diag.chip import KnownBy
from h5diag.memory import AddressRange
from h5diag.tables import convert, parse_json
from h5diag.text import count_text

_HEX = re.compile(r"[+-]?0[xX][0-9a-fA-F_]+")
_OFF = ("", "none", "off", "no")

Count = Annotated[int, msgspec.Meta(ge=0)]
Word32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
"""An address, or what a register of the chip holds."""
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Verdict = Literal["good", "bad", "untested"]
SecondPath = Literal["core-checksum", "burst", "single-word", "other-probe"]
"""The second way of reading that agreed with the first: by it alone a link that errs at fixed places is excluded."""


class OptionValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An option byte as the chip holds it: number, and meaning where one is known."""

    value: int | None = None
    text: str = ""
    meaning: str = ""


class ProgramCounter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program counter and the name of where it points."""

    pc: Word32
    place: str = ""


class CoreState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the core does.

    Parameters
    ----------
    state
        ``running``, ``halted``, ``sleeping``, ``locked up`` or ``in reset``.
    samples
        Program counters in the order taken; empty when the core gives none without being halted.
    vtor
        Vector table address.
    resets
        Causes of the resets since the flags were cleared.
    faults
        Fault status and address registers that are not zero.
    halted_s
        How long the core was halted for this.
    remarks
        What was noticed, one sentence each.
    """

    state: str = ""
    samples: tuple[ProgramCounter, ...] = ()
    vtor: Word32 | None = None
    resets: tuple[str, ...] = ()
    faults: dict[str, Word32] = {}
    halted_s: Seconds = 0.0
    remarks: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """The different places, most often seen first."""
        names = [s.place for s in self.samples]
        return tuple(sorted(dict.fromkeys(names), key=lambda n: -names.count(n)))


class Identity(msgspec.Struct, Answer, frozen=True, forbid_unknown_fields=True):
    """Who a chip says it is, and over which link it said so.

    Parameters
    ----------
    chip
        Name of the chip file; None when DEV_ID is another chip's.
    chip_known_by
        ``given``, or ``identity`` where nobody named it.
    dev_id, rev_id, revision
        Out of DBGMCU_IDCODE, and the letter of the silicon revision.
    uid
        96 bits as 24 hex digits, last word first as debug authentication prints it.
    flash_kib, package
        As the chip says.
    product_state, tzen
        Codes of the option bytes; the texts beside them are for a person.
    options
        By the programmer's names; empty when they could not be believed.
    registers
        By name in lower case: ``ecccorr``, ``eccdetr``, ``opsr``, ``hdpl`` (the level, 0 to 3), every option register.
    errata, remarks
        Sentences.
    probe, probe_firmware, connect, access
        The link.
    swd_hz, swd_asked_hz, supply_mv
        Its true speed and the one asked for, and the supply that the probe measures.
    core
        Where the core is.
    """

    chip: str | None = None
    chip_known_by: str = KnownBy.IDENTITY.value
    dev_id: Count | None = None
    rev_id: Count | None = None
    revision: str | None = None
    uid: str | None = None
    flash_kib: Count | None = None
    package: str | None = None
    product_state: int | None = None
    product_state_text: str | None = None
    tzen: int | None = None
    trustzone: str | None = None
    options: dict[str, OptionValue] = {}
    registers: dict[str, Word32 | None] = {}
    errata: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    probe: str | None = None
    probe_firmware: str | None = None
    connect: str | None = None
    access: str | None = None
    swd_hz: Count | None = None
    swd_asked_hz: Count | None = None
    supply_mv: Count | None = None
    core: CoreState | None = None


class SpeedPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the reads at one link speed agreed: bytes read, and bytes that disagreed with the majority or failed."""

    swd_hz: Count
    bytes: Count
    disagreeing: Count


class Sweep(msgspec.Struct, Answer, frozen=True, forbid_unknown_fields=True):
    """Agreement by link speed, slowest first; one point for each true speed."""

    sweep: tuple[SpeedPoint, ...] = ()


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault of the flash test.

    Parameters
    ----------
    kind
        As in the contract: ``stuck-at-0``, ``dead-sector`` and so on.
    address
        Canonical: of the 32-bit word when `bit` is known, else of the quad-word, word or sector concerned.
    bit
        Within the word at `address`, 0 to 31; of who counts in the quad-word, to 127.
    detail
        What was seen, in words.
    rounds, swd_hz
        In how many rounds and at which link speeds it showed.
    seen, chances
        Readings that showed it, of those that could.
    level
        Where it sits: in a cell below the ECC, in the data path behind it, in a sector.
    """

    kind: str
    address: Word32
    bit: Annotated[int, msgspec.Meta(ge=0, le=127)] | None = None
    detail: str = ""
    rounds: Count = 1
    swd_hz: tuple[Count, ...] = ()
    seen: Count | None = None
    chances: Count | None = None
    level: str | None = None


class SectorTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sector: ``good``, ``bad`` or ``untested`` (then `reason` tells why); times are medians in seconds."""

    start: Word32
    verdict: Verdict
    reason: str = ""
    erase_s: Seconds | None = None
    program_s: Seconds | None = None
    faults: tuple[Fault, ...] = ()


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Under what a flash test ran.

    `wrp` is a list of ranges or of the banks' registers (a bit 0 = a protected group); `tzen` and `product_state` are
    codes, a word only where a stranger's file has one.
    """

    tzen: int | str | None = None
    product_state: int | str | None = None
    wrp: tuple[int | tuple[int, int], ...] | bool | None = None
    rev_id: Count | None = None
    voltage_mv: Count | None = None
    swd_hz: tuple[Count, ...] = ()
    rounds: Count | None = None
    power_cycles: Count | None = None
    second_path: SecondPath | None = None

    @property
    def wrp_ranges(self) -> tuple[AddressRange, ...]:
        """The protected ranges, where the file gives ranges."""
        rows = self.wrp if isinstance(self.wrp, tuple) else ()
        return tuple(AddressRange(*r) for r in rows if isinstance(r, tuple))

    @property
    def wrp_registers(self) -> tuple[int, ...]:
        """The protection registers of the banks, where the file gives registers."""
        return tuple(r for r in self.wrp if isinstance(r, int)) if isinstance(self.wrp, tuple) else ()


class FlashTest(msgspec.Struct, Answer, frozen=True, forbid_unknown_fields=True):
    """The result of a flash test.

    Parameters
    ----------
    bounds
        First address of the tested range and the one after it.
    restored
        Whether every sector reads as before.
    conditions, sectors
        Under what it ran, and what each sector showed, in address order.
    fault_count
        How many faults the file claims to list.
    chip, chip_known_by, sector_size
        What was tested.
    level, patterns, way, access
        How thorough, with what, programmed by what, from which side.
    erase_cycles, rated_cycles
        Erase cycles that each tested sector was given at most, and what it is rated for.
    outside
        What changed in the flash outside of the range meanwhile.
    remarks
        Sentences for a person.
    folder
        Where backup and journal are.
    """

    bounds: tuple[int, int] = msgspec.field(name="range", default=(0, 0))
    restored: bool | None = None
    conditions: Conditions = Conditions()
    sectors: tuple[SectorTest, ...] = ()
    fault_count: Count | None = msgspec.field(name="faults", default=None)
    chip: str | None = None
    chip_known_by: str = KnownBy.IDENTITY.value
    sector_size: Count | None = None
    level: Literal["quick", "standard", "full"] | None = None
    patterns: tuple[str, ...] = ()
    way: str | None = None
    access: str | None = None
    erase_cycles: Count | None = None
    rated_cycles: Count | None = None
    outside: tuple[tuple[int, int], ...] = ()
    remarks: tuple[str, ...] = ()
    folder: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.bounds[0] <= self.bounds[1] <= 1 << 32:
            raise ValueError("range is not a range")
        if len({s.start for s in self.sectors}) < len(self.sectors):
            raise ValueError("a sector stands there twice")

    @property
    def range(self) -> AddressRange:
        """The tested range."""
        return AddressRange(*self.bounds)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults in address order."""
        return tuple(f for s in self.sectors for f in s.faults)

    def counted(self, verdict: str) -> int:
        """Return how many sectors have this verdict."""
        return sum(s.verdict == verdict for s in self.sectors)

    @property
    def headline(self) -> str:
        """The answer in one line: what was found, where, and what was not tested."""
        good, bad, untested = (self.counted(v) for v in ("good", "bad", "untested"))
        if bad:
            head = f"{bad} of {count_text(len(self.sectors), 'sector')} fail"
        elif good:
            how = " by the quick test, which excludes nothing" if self.level == "quick" else ""
            head = f"no fault in {good} of {count_text(len(self.sectors), 'sector')} of {self.range}{how}"
        else:
            head = "no sector could be tested"
        return head + (f"; {untested} not tested: nothing is said about them" if untested and good + bad else "")


R = TypeVar("R", Identity, Sweep, FlashTest)

_OF_A_DUMP = (
    "access agrees bytes chip chip_known_by expected_coincidence map mode passes path range remarks retried secure sha256"
    " swd_hz time uid unreadable unstable"
)
_OF_AN_INFO = "chip_text device unique_id serial serial_number probe_id probe_serial"
_BESIDE: dict[type, frozenset[str]] = {
    Identity: frozenset(_OF_AN_INFO.split()),
    FlashTest: frozenset(),
    Sweep: frozenset(_OF_A_DUMP.split()),
}
"""What the documents of the command line hold beside the record, of this version and of those before (0.1 wrote less), and
other programs' names of probe and chip, which nothing reads but a redaction."""


def to_document(record: msgspec.Struct) -> dict[str, Any]:
    """Return the JSON document of a record as plain values."""
    document: dict[str, Any] = msgspec.to_builtins(record)
    return document


def parse_identity(text: str, source: str) -> Identity:
    """Return what an ``info --json`` file says; InputError names the key that is wrong."""
    top = _document(text, source)
    for key in ("product_state", "tzen"):
        code = _code(top.get(key))
        top[key] = code if isinstance(code, int) else None  # a word (``Open``) is for a person
    options = top.get("options")
    if isinstance(options, dict):
        top["options"] = {
            k: v if isinstance(v, dict) else {"value": v if type(v) is int else None} for k, v in options.items()
        }
    registers = top.get("registers", {})
    if isinstance(registers, dict):
        top["registers"] = {str(k).lower(): v for k, v in registers.items()}
    return _record(Identity, top, source, text)


def parse_sweep(text: str, source: str) -> Sweep:
    """Return what a ``dump --sweep --json`` file says; InputError names the key that is wrong."""
    top = _document(text, source)
    for row in _tables(top.setdefault("sweep", top.pop("speeds", []))):
        row.setdefault("swd_hz", row.pop("hz", None))
        row.setdefault("disagreeing", row.pop("disagreeing_bytes", None))
    return Sweep(tuple(sorted(_record(Sweep, top, source, text).sweep, key=lambda p: p.swd_hz)))


def parse_flashtest(text: str, source: str) -> FlashTest:
    """Return what a ``flashtest --json`` file says; InputError names the key that is wrong."""
    top = _document(text, source)
    conditions = top.get("conditions", {})
    if isinstance(conditions, dict):
        for key in ("tzen", "product_state"):
            conditions[key] = _code(conditions.get(key))
        wrp = conditions.get("wrp")
        rows = list(wrp.values()) if isinstance(wrp, dict) else wrp if isinstance(wrp, list) else [wrp]
        if wrp is not None and all(isinstance(r, bool) for r in rows):
            conditions["wrp"] = any(rows)
        elif wrp is not None:
            conditions["wrp"] = [r for r in rows if not (isinstance(r, str) and r.strip().lower() in _OFF)]
        if isinstance(conditions.get("swd_hz"), int):
            conditions["swd_hz"] = [conditions["swd_hz"]]
        conditions["swd_hz"] = conditions.get("swd_hz") or []
        made = conditions.get("rounds")
        for sector in _tables(top.get("sectors")):
            for fault in _tables(sector.get("faults")):
                fault["rounds"] = _rounds(fault.get("rounds", 1), max(made if isinstance(made, int) else 0, 0))
    return _record(FlashTest, top, source, text)


def _tables(rows: Any) -> list[dict[str, Any]]:
    """Return the tables of what should be a list of them."""
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _rounds(value: Any, possible: int) -> Any:
    """Return in how many rounds a fault showed; a round that the test did not make is none."""
    if isinstance(value, list):
        return len({r for r in value if isinstance(r, int) and 1 <= r <= possible})
    return value if not isinstance(value, int) or 0 < value <= possible else 0


def _document(text: str, source: str) -> dict[str, Any]:
    top: dict[str, Any] = _plain(parse_json(text.encode("utf-8", "surrogatepass"), source))
    return top


def _plain(value: Any) -> Any:
    """Return the value with hexadecimal texts and whole floats as numbers, however deep."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return int(value, 16) if isinstance(value, str) and len(value) < 20 and _HEX.fullmatch(value) else value


def _code(value: Any) -> int | str | None:
    """Return a byte code that may be written as a number, a flag, or an object with a ``value``."""
    value = value.get("value") if isinstance(value, Mapping) else value
    if isinstance(value, bool):
        return 0xB4 if value else 0xC3
    if isinstance(value, str):
        return int(value) if value.strip().isdecimal() and len(value) < 12 else value.strip().lower()
    return value if isinstance(value, int) else None


def _record(kind: type[R], top: Mapping[str, Any], source: str, text: str) -> R:
    own = {key: value for key, value in top.items() if key not in _BESIDE[kind]}
    return convert(own, kind, source, text, strict=False)
