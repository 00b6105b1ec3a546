"""Who the chip says it is: identity, option registers, state, and the registers that remember flash errors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from h5diag.case.results import Identity, OptionValue
from h5diag.chip import Chip, KnownBy, choose_chip
from h5diag.errors import ProbeError, TargetError
from h5diag.evidence.texts import RawRegister
from h5diag.measure.options import Belief, OptionBytes, decode_registers
from h5diag.memory import Access

if TYPE_CHECKING:
    from h5diag.probe.board.board import Board

_RETRIES, _WAIT_S = 5, 0.02
_UID_TRIES = 10
"""A chip that was just powered up shows its UID a moment later."""
_NO_SIZE = (0x0000, 0xFFFF)
_REMEMBERED = ("ECCCORR", "ECCDETR", "ECCR", "OPSR")


def identify(board: Board) -> Identity:
    """Read who the chip is. Zeros of option registers are read again and never believed.

    What this chip's file does not have is not read; the same decoder as for listings and exports names the options.

    Raises
    ------
    ProbeError
        When the link fails.
    """
    chip, remarks = board.chip, [*board.remarks]
    idcode = _first(board, chip.identity.idcode, remarks)
    dev_id = idcode & chip.identity.dev_id_mask if idcode else None
    rev_id = idcode >> 16 if idcode else None
    known = dev_id == chip.identity.dev_id
    if dev_id is not None and not known:
        # Where the identity does not read at all, the rest is tried: a chip that is held in reset is still this one.
        remarks.append(
            f"DEV_ID 0x{dev_id:03X} is not that of {chip.name} (0x{chip.identity.dev_id:03X}): "
            "nothing else was read, since its addresses are another chip's"
        )
        other = choose_chip(identity=Identity(dev_id=dev_id))
        if other.chip is not None:
            remarks.append(f"it is that of {other.chip.title}: give --chip {other.chip.name}")
        return Identity(dev_id=dev_id, rev_id=rev_id, remarks=tuple(dict.fromkeys(remarks)))
    access = Access.SECURE if board.secure_allowed else Access.NONSECURE
    uid = _uid(board, remarks)
    size = _word(board, chip.identity.flash_size, remarks)
    at = chip.identity.package
    code = None
    if at is not None:
        word = size if at & ~3 == chip.identity.flash_size else _word(board, at & ~3, remarks)
        code = None if word is None else word >> 8 * (at & 2) & 0xFF
    kib = None if size is None or size & 0xFFFF in _NO_SIZE else size & 0xFFFF
    if kib is None:
        remarks.append(
            "the chip does not tell its flash size: it reads so while the boot code runs; "
            "read again under reset before anything is concluded"
        )
    options, values = _option_registers(board, access, remarks)
    remembered = {n: _register(board, n, access, remarks) for n in _REMEMBERED if _has(chip, n)}
    named = {a.name: a.address for a in chip.addresses}
    if "SBS_HDPLSR" in named:
        word = _word(board, named["SBS_HDPLSR"], remarks)
        remembered["HDPL"] = None if word is None else hdp_level(chip, word)
    if "SFSP_VERSION" in named:
        remembered["SFSP_VERSION"] = _word(board, named["SFSP_VERSION"], remarks)
    if options is not None and (hidden := [s.name for s in options.settings if s.belief is Belief.MASKED]):
        remarks.append(f"secure options ({', '.join(hidden)}) read zero to a non-secure debugger: not known")
    errata = tuple(
        f"{e.id}: {e.effect} ({e.ref})"
        for e in chip.errata
        if e.kind == "silicon" and known and (not e.revisions or rev_id in e.revisions)
    )
    choice = choose_chip(given=chip.name if board.given else "", identity=Identity(dev_id=dev_id, flash_kib=kib))
    return Identity(
        chip=choice.read_as.name if known else None,
        chip_known_by=choice.known_by.value if known else KnownBy.IDENTITY.value,
        dev_id=dev_id,
        rev_id=rev_id,
        revision=next((r.letter for r in chip.revisions if r.id == rev_id), None),
        uid=uid,
        flash_kib=kib,
        package=next((p.title for p in chip.packages if code is not None and p.code == code), None),
        product_state=_number(options, chip.state_option),
        product_state_text=options.product_state if options is not None else None,
        tzen=_number(options, "TZEN"),
        trustzone=None if options is None or options.trustzone is None else "on" if options.trustzone else "off",
        options={s.name: OptionValue(s.number, s.meaning, s.meaning) for s in options.settings}
        if options is not None
        else {},
        registers={n.lower(): v for n, v in {**remembered, **values}.items()},
        errata=errata,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def options_of(who: Identity, chip: Chip) -> OptionBytes:
    """Return the option bytes out of the registers that `identify` read."""
    return decode_registers(
        (
            RawRegister(v, name=n.upper())
            for n, v in who.registers.items()
            if v is not None and _is_option(chip, n.upper())
        ),
        chip,
    )


def _number(options: OptionBytes | None, name: str) -> int | None:
    return options.value(name) if options is not None else None


def _has(chip: Chip, register: str) -> bool:
    return any(r.name == register for r in chip.registers)


def _is_option(chip: Chip, register: str) -> bool:
    return register.endswith("_CUR") or any(o.register == register for o in chip.options)


def hdp_level(chip: Chip, value: int) -> int | None:
    """Return the HDP level that the status register's value stands for; None when it is no known code."""
    for a in chip.addresses:
        if a.name == "SBS_HDPLSR":
            for m in a.values:
                if m.value == value & 0xFF:
                    return int(m.text.rpartition(" ")[2])
    return None


def read_uid(board: Board) -> str | None:
    """Return the UID alone: three words, for a look whether it is still the same chip; None when it reads zero."""
    return _uid(board, [])


def require_same_uid(board: Board, uid: str | None) -> None:
    """Raise `ProbeError` when another chip answers than the one of this UID; an unknown UID is no match.

    For a chip that lost its power or its link for a moment: another board may have been connected meanwhile.
    """
    for _ in range(_UID_TRIES):
        now = read_uid(board)
        if now is not None and now == uid:
            return
        if now is not None:
            break
    told = "another chip answers now" if None not in (now, uid) else "whether it is still the same chip is not known"
    raise ProbeError(
        f"{told} (UID {now or 'not readable'}, before {uid or 'not readable'})",
        advice="connect the board that was begun with, and check its supply",
    )


def _uid(board: Board, remarks: list[str]) -> str | None:
    place = board.chip.identity.uid
    if place is None:
        return None
    words = [_word(board, place + 4 * i, remarks) for i in range(3)]
    return None if None in words else "".join(f"{w:08X}" for w in reversed(words))


def _first(board: Board, addresses: tuple[int, ...], remarks: list[str]) -> int | None:
    """Return the first word of several places that reads as something."""
    for address in addresses:
        if value := _word(board, address, remarks):
            return value
    return None


def _word(board: Board, address: int, remarks: list[str]) -> int | None:
    """Return a word of the identity, retried while it reads zero; None with a remark when it cannot be read."""
    try:
        value = board.read_word(address)
        for _ in range(2 if value == 0 else 0):
            time.sleep(_WAIT_S)
            value = value or board.read_word(address)
    except TargetError as error:
        remarks.append(f"0x{address:08X} could not be read: {error.problem}")
        return None
    return value or None


def _register(board: Board, name: str, access: Access, remarks: list[str]) -> int | None:
    try:
        return board.register(name, access=access)
    except TargetError as error:
        remarks.append(f"{name} could not be read: {error.problem}")
        return None


def _option_registers(
    board: Board, access: Access, remarks: list[str]
) -> tuple[OptionBytes | None, dict[str, int | None]]:
    """Return the options and their registers, or nothing when the product state never reads as a known code."""
    chip = board.chip
    names = [r.name for r in chip.registers if _is_option(chip, r.name)]
    for attempt in range(_RETRIES):
        values = {n: _register(board, n, access, remarks) for n in names}
        raw = [RawRegister(v, name=n) for n, v in values.items() if v is not None]
        options = decode_registers(raw, chip)
        if options.state is not None and (options.state.value or not options.state.otherwise):
            return options, values
        if attempt == 0:
            remarks.append("option registers read as zero or nonsense at first, as they do under reset")
        time.sleep(_WAIT_S)
    remarks.append("option registers could not be read: the product state is unknown, nothing follows from them")
    return None, {}
