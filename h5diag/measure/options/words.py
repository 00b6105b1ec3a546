"""Single words read from the chip: identity, ECC errors, an interrupted operation, error flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from h5diag.chip import Chip, EccKind
from h5diag.evidence.texts import RawRegister
from h5diag.measure.options.remarks import Remark

_UNREAD = (0, 0xFFFFFFFF)


def known_words(words: Iterable[RawRegister], chip: Chip) -> tuple[tuple[str, int], ...]:
    """Return name and value of the words that the chip file has a name for, in the order of the text."""
    names: dict[int, str] = {a.address: a.name for a in chip.addresses}
    for base in (chip.flash_registers, chip.flash_registers_secure):
        names |= {base + r.offset: r.name for r in chip.registers if base}
    identity = chip.identity
    names |= dict.fromkeys(identity.idcode, "IDCODE")
    names |= {identity.uid + 4 * i: f"UID{i}" for i in range(3)}
    # Two half-words may share a word: the size is then the lower one, the package the upper one.
    names[identity.flash_size] = "FLASH_SIZE"
    if identity.package != identity.flash_size + 2:
        names[identity.package] = "PACKAGE"
    registers = {r.name for r in chip.registers}
    out = [(names.get(w.address, w.name if w.name in registers else ""), w.value) for w in words]
    return tuple((name, value) for name, value in out if name)


def explain_words(words: Iterable[RawRegister], chip: Chip) -> tuple[Remark, ...]:
    """Return what follows from the words that were read, as far as the chip file knows them."""
    values = dict(known_words(words, chip))
    dead = [n for n in ("OPSR", "ECCCORR", "ECCDETR", "ECCR", "NSSR", "SECSR") if values.get(n) == 0xFFFFFFFF]
    for name in dead:
        del values[name]
    if dead:
        return (Remark(f"{', '.join(dead)} read all ones: not read, nothing follows"), *_explained(values, chip))
    return _explained(values, chip)


def _explained(values: dict[str, int], chip: Chip) -> tuple[Remark, ...]:
    return (*_identity(values, chip), *_errors(values, chip), *_flags(values, chip))


def _identity(values: dict[str, int], chip: Chip) -> Iterator[Remark]:
    identity = chip.identity
    if values.get("IDCODE", 0) not in _UNREAD:
        dev_id, rev_id = values["IDCODE"] & identity.dev_id_mask, values["IDCODE"] >> 16
        letter = next((r.letter for r in chip.revisions if r.id == rev_id), "not in the chip file")
        fits = "" if dev_id == identity.dev_id else f", which is not {chip.title}"
        yield Remark(
            f"DEV_ID 0x{dev_id:03X}{fits}; REV_ID 0x{rev_id:04X}, revision {letter}", "wrong-part" if fits else ""
        )
    if "FLASH_SIZE" in values:
        kib = values["FLASH_SIZE"] & 0xFFFF
        if kib in (0, 0xFFFF):
            yield Remark("the flash size word reads as unknown: masked, or read while the boot code runs")
        else:
            fits = "" if kib * 1024 == chip.flash.size else f", {chip.title} has {chip.flash.size // 1024}"
            yield Remark(f"flash size {kib} KiB{fits}", "wrong-size-assumption" if fits else "")
    uid = [values.get(f"UID{i}", -1) for i in range(3)]
    if min(uid) >= 0:
        text = " ".join(f"{w:08X}" for w in uid)
        yield Remark(
            f"unique id {text}" if set(uid) - set(_UNREAD) else f"the unique id reads {text}: masked, not the chip's"
        )


def _errors(values: dict[str, int], chip: Chip) -> Iterator[Remark]:
    for name in ("ECCCORR", "ECCDETR", "ECCR"):
        if name not in values:
            continue
        at = chip.ecc_location(name, values[name])
        if at.kind is EccKind.NONE:
            yield Remark(f"{name}: no ECC error recorded")
            continue
        how = " (arithmetic not confirmed)" if at.hint else ""
        what = "two bits wrong: a write that was cut, or a cell" if at.kind is EccKind.DOUBLE else "one bit corrected"
        yield Remark(
            f"{name}: {what}, {at.size} bytes at 0x{at.address:08X} in the {at.area} area{how}; only the "
            "first error is recorded",
            "torn-write",
            at.hint,
        )
    if "OPSR" in values:
        cut = chip.interruption(values["OPSR"])
        yield Remark(
            "OPSR: no operation was cut by a reset"
            if not cut.code
            else f"OPSR: a reset cut this operation: {cut.operation}, at 0x{cut.address:08X} in the {cut.area} "
            "area (address inferred); damage there is explained without a fault of the chip",
            "torn-write" if cut.code else "",
            bool(cut.code),
        )


def _flags(values: dict[str, int], chip: Chip) -> Iterator[Remark]:
    for name in ("NSSR", "SECSR"):
        if name not in values:
            continue
        fields = {f.name: f for f in chip.register(name).fields}
        for flag in chip.flags:
            if flag.name in fields and fields[flag.name].get(values[name]):
                yield Remark(f"{name}.{flag.name}: {flag.cause}; points at the chip: {flag.suspicion}")
