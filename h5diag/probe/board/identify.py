"""Who the chip says it is: identity, option registers, state, and the registers that remember flash errors."""

from __future__ import annotations

import time
from dataclasses import dataclass

from h5diag.errors import TargetError
from h5diag.evidence.texts import RawRegister
from h5diag.measure.options import Belief, OptionBytes, decode_registers
from h5diag.memory import Access
from h5diag.probe.board.board import Board

UNKNOWN = "unknown"
_RETRIES, _WAIT_S = 5, 0.02
_FAMILIES_UNKNOWN_SIZE = (0x0000, 0xFFFF)


@dataclass(frozen=True, slots=True)
class OptionValue:
    """An option byte by CubeProgrammer's name; None where the chip hides it from this reader."""

    name: str
    value: int | None
    meaning: str


@dataclass(frozen=True, slots=True)
class Identification:
    """What a chip tells about itself.

    Parameters
    ----------
    chip
        Name of the chip file used, or ``unknown`` when DEV_ID is another one's.
    dev_id, rev_id
        Out of DBGMCU_IDCODE; 0 when it could not be read.
    revision
        Letter of the silicon revision, or ``unknown``.
    uid
        96 bits as 24 hex digits, last word first as debug authentication prints it; ``unknown`` when unreadable.
    flash_kib
        0 when the chip does not say.
    package
        Its name, or ``unknown``.
    product_state, trustzone
        ``Open`` and so on; ``on`` or ``off``; ``unknown`` when they read zero or nonsense.
    options
        Options by name; empty when they could not be believed.
    registers
        Names and values of ECCCORR, ECCDETR, OPSR, the HDP level and every option register.
    errata
        What the chip file says about this revision.
    remarks
        What was noticed, one sentence each.
    """

    chip: str
    dev_id: int
    rev_id: int
    revision: str
    uid: str
    flash_kib: int
    package: str
    product_state: str
    trustzone: str
    options: tuple[OptionValue, ...]
    registers: tuple[tuple[str, int], ...]
    errata: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def register(self, name: str) -> int:
        """Return a register by name; KeyError when it was not read."""
        return dict(self.registers)[name]

    def option(self, name: str) -> int | None:
        """Return an option by name, None when it is hidden; KeyError when it was not read."""
        return {o.name: o.value for o in self.options}[name]


def identify(board: Board) -> Identification:
    """Read who the chip is. Zeros of option registers are read again and never believed.

    Raises
    ------
    ProbeError
        When the link fails.
    """
    chip, remarks = board.chip, list[str]()
    idcode = _first(board, chip.identity.idcode, remarks)
    dev_id, rev_id = idcode & chip.identity.dev_id_mask, idcode >> 16
    known = dev_id == chip.identity.dev_id
    if not known:
        remarks.append(
            f"DEV_ID 0x{dev_id:03X} is not that of {chip.name} (0x{chip.identity.dev_id:03X}): "
            "nothing else was read, since its addresses are another chip's"
        )
    access = Access.SECURE if board.secure_allowed else Access.NONSECURE
    place = chip.identity.uid if known else None
    uid = [_word(board, place + 4 * i, remarks) if place is not None else 0 for i in range(3)]
    size = _word(board, chip.identity.flash_size, remarks) if known else 0
    kib, package = size & 0xFFFF, size >> 16
    if kib in _FAMILIES_UNKNOWN_SIZE and known:
        remarks.append(
            "the chip does not tell its flash size: it reads so while the boot code runs; "
            "read again under reset before anything is concluded"
        )
        kib = 0
    options = _options(board, access, remarks) if known else None
    if options and (hidden := [x.name for x in options.settings if x.belief is Belief.MASKED]):
        remarks.append(f"secure options ({', '.join(hidden)}) read zero to a non-secure debugger: not known")
    tz = options.trustzone if options else None
    has = {r.name for r in chip.registers}
    registers: list[tuple[str, int]] = [
        (n, _register(board, n, access, remarks)) for n in ("ECCCORR", "ECCDETR", "ECCR", "OPSR") if n in has and known
    ]
    named = {a.name: a.address for a in chip.addresses}
    if "SBS_HDPLSR" in named:
        registers.append(("HDPL", _word(board, named["SBS_HDPLSR"], remarks) & 0xFF))
    if "SFSP_VERSION" in named:
        registers.append(("SFSP_VERSION", _word(board, named["SFSP_VERSION"], remarks)))
    revision = next((r.letter for r in chip.revisions if r.id == rev_id), UNKNOWN)
    errata = tuple(
        f"{e.id}: {e.effect} ({e.ref})"
        for e in chip.errata
        if e.kind == "silicon" and known and (not e.revisions or rev_id in e.revisions)
    )
    packages = {p.code: p.title for p in chip.packages} if known else {}
    return Identification(
        chip.name if known else UNKNOWN,
        dev_id,
        rev_id,
        revision,
        "".join(f"{w:08X}" for w in reversed(uid)) if any(uid) else UNKNOWN,
        kib,
        packages.get(package & 0xFF, UNKNOWN),
        options.product_state if options else UNKNOWN,
        UNKNOWN if tz is None else "on" if tz else "off",
        tuple(OptionValue(x.name, None if x.belief is Belief.MASKED else x.value, x.meaning) for x in options.settings)
        if options
        else (),
        (*registers, *((r.name, r.value) for r in options.registers)) if options else tuple(registers),
        errata,
        tuple(dict.fromkeys(remarks)),
    )


def _first(board: Board, addresses: tuple[int, ...], remarks: list[str]) -> int:
    """Return the first word of several places that reads as something."""
    for address in addresses:
        if value := _word(board, address, remarks):
            return value
    return 0


def _word(board: Board, address: int, remarks: list[str]) -> int:
    """Return a word of the identity, retried while it reads zero; 0 with a remark when it cannot be read."""
    try:
        value = board.read_word(address)
        for _ in range(2 if value == 0 else 0):
            time.sleep(_WAIT_S)
            value = value or board.read_word(address)
        return value
    except TargetError as error:
        remarks.append(f"0x{address:08X} could not be read: {error.problem}")
        return 0


def _register(board: Board, name: str, access: Access, remarks: list[str]) -> int:
    try:
        return board.register(name, access=access)
    except TargetError as error:
        remarks.append(f"{name} could not be read: {error.problem}")
        return 0


def _options(board: Board, access: Access, remarks: list[str]) -> OptionBytes | None:
    """Return the options out of their registers; None when the state never reads as one that there is."""
    chip = board.chip
    names = dict.fromkeys(o.register for o in chip.options)
    for attempt in range(_RETRIES):
        found = decode_registers((RawRegister(_register(board, n, access, remarks), name=n) for n in names), chip)
        state = found.state
        if state is not None and (state.value or not state.otherwise):
            return found
        if attempt == 0:
            remarks.append("option registers read as zero or nonsense at first, as they do under reset")
        time.sleep(_WAIT_S)
    remarks.append("option registers could not be read: the product state is unknown, nothing follows from them")
    return None
