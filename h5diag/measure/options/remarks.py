"""What follows from a log and from single words that were read, as sentences for a person, each with the cause it speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from h5diag.chip import Chip, EccKind, ProductState
from h5diag.evidence.texts import (
    Banner,
    BootEvent,
    Log,
    LogKind,
    Programming,
    RawRegister,
    ReadBack,
    Write,
    printable,
)
from h5diag.evidence.texts.programming import base_name
from h5diag.layout import Layout, Role, Slot
from h5diag.text import count_text

LOWEST_MV = 1600
"""Below the lowest supply of all these families (1.71 V) by more than a probe's measuring error."""


class Generation(Enum):
    """Which packages of the vendor write images like these."""

    CURRENT = "package 1.4.0 or later: init images go to the primary slots"
    OLDER = "package 1.3.0 or earlier: encrypted images go to the download slots"
    MIXED = "images of both kinds"
    UNKNOWN = "not told by the file names"


class StepOutcome(Enum):
    """What became of a step that matters."""

    VERIFIED = "written and read back"
    WRITTEN = "written, not read back"
    FAILED = "failed"
    NOT_SEEN = "not in this log"


@dataclass(frozen=True, slots=True)
class FlashedFile:
    """A file that was written, with the slot it went to (None without a layout or outside of all slots)."""

    write: Write
    slot: Slot | None
    step: StepOutcome


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What was written where.

    Parameters
    ----------
    placed
        Every file, in the order of the log.
    boot
        What became of the boot code at the begin of the flash.
    generation
        Which packages write such images.
    keys
        Key files that were sent.
    not_set
        Options that were refused or left as they were, as ``NAME=0xVALUE``.
    """

    placed: tuple[FlashedFile, ...]
    boot: StepOutcome
    generation: Generation
    keys: tuple[str, ...] = ()
    not_set: tuple[str, ...] = ()


def read_provisioning(programming: Programming, chip: Chip, layout: Layout | None = None) -> Provisioning:
    """Return what a run wrote; without `layout` no slots are named."""
    placed = tuple(
        FlashedFile(w, layout.slot_at(w.address) if layout and w.address is not None else None, _step(w))
        for w in programming.writes
    )
    names = [base_name(w.file).lower() for w in programming.writes]
    init, encrypted = any("init_sign" in n for n in names), any("enc_sign" in n for n in names)
    older = Generation.OLDER if encrypted else Generation.UNKNOWN
    generation = older if not init else Generation.MIXED if encrypted else Generation.CURRENT
    boots = [p.step for p in placed if is_boot(p, chip)]
    order = (StepOutcome.FAILED, StepOutcome.VERIFIED, StepOutcome.WRITTEN)
    boot = next((s for s in order if s in boots), StepOutcome.NOT_SEEN)
    kept = (f"{o.name}=0x{o.value:X}" for o in programming.options if o.result in ("not-modified", "refused"))
    return Provisioning(placed, boot, generation, programming.keys, tuple(dict.fromkeys(kept)))


def is_boot(placed: FlashedFile, chip: Chip) -> bool:
    """Tell whether a file is boot code: by its place, or by its name where no place was printed."""
    write = placed.write
    if write.address is not None:
        return (placed.slot is not None and placed.slot.role is Role.BOOT) or chip.canonical(
            write.address
        ) == chip.flash.base
    name = base_name(write.file).lower()
    return "boot" in name and "sign" not in name


def _step(write: Write) -> StepOutcome:
    if not write.failed and write.check is ReadBack.VERIFIED:
        return StepOutcome.VERIFIED
    # Without a word on its completion a download may have been cut.
    failed = write.failed or write.check is ReadBack.FAILED or not write.complete
    return StepOutcome.FAILED if failed else StepOutcome.WRITTEN


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence and the id of the cause it speaks of, empty when it speaks of none.

    `hint` marks what rests on one report: it may make a cause possible and never decides.
    """

    text: str
    about: str = ""
    hint: bool = False


def explain_log(log: Log, chip: Chip, layout: Layout | None = None, *, assumed: bool = False) -> tuple[Remark, ...]:
    """Return what follows from a log, the weightiest first.

    Parameters
    ----------
    log
        Any text that was read.
    chip
        The chip that it is of.
    layout
        Names the slots; None names none.
    assumed
        The chip is a mere assumption: nothing is said of its errata, sizes and addresses.
    """
    out = [
        *_programming(log, chip, layout),
        *_boot(log, chip, assumed),
        *_fault(log, chip, layout, assumed),
        *_tools(log, chip, assumed),
        *_install(log),
        *_discovery(log, chip),
        *_rom(log, chip),
        *_banner(log, chip, assumed),
    ]
    if log.kind is not LogKind.UNKNOWN and not assumed:
        out += _tool(log.banner, chip)
    # A remark that speaks of a cause weighs more than one that only tells what went well.
    return tuple(sorted(dict.fromkeys(out), key=lambda r: not r.about))


def _programming(log: Log, chip: Chip, layout: Layout | None) -> Iterator[Remark]:
    p = read_provisioning(log.programming, chip, layout)
    for placed in p.placed:
        w = placed.write
        where = f" at 0x{w.address:08X}" if w.address is not None else ""
        slot = f" ({placed.slot.name})" if placed.slot else ""
        name = printable(base_name(w.file), 80) or "a file"
        if placed.step is StepOutcome.FAILED:
            first = f", first difference at 0x{w.mismatch:08X}" if w.mismatch is not None else ""
            said = " although the log also calls the download complete" if w.complete else ""
            stop = f", written up to 0x{w.reached:08X} only" if w.reached is not None else ""
            about = "options-not-applied" if is_boot(placed, chip) else "write-protected"
            yield Remark(
                f"{name}{where}{slot}: failed{first}{stop}{said}; what it holds now is not known",
                about if w.reached is None else "programming-incomplete",
            )
        else:
            yield Remark(f"{name}{where}{slot}: {placed.step.value}", "")
    if log.programming:
        yield from _provisioning(p, log)


def _provisioning(p: Provisioning, log: Log) -> Iterator[Remark]:
    older, run, unseen = p.generation is Generation.OLDER, log.programming, p.boot is StepOutcome.NOT_SEEN
    provisioning, from_rom = log.kind is LogKind.PROVISIONING, log.root in ("STiROT", "Secure Manager")
    done = log.claims_success or any(w.complete for w in run.writes) or run.option_runs_ok
    rows: tuple[tuple[object, str, str], ...] = (
        (
            p.generation is not Generation.UNKNOWN,
            f"the images are those of {p.generation.value}",
            "install-pending" if older else "",
        ),
        (
            older,
            "images in the download slots are installed by the first boot: until the boot code ran, the "
            "primary slots stay empty, which is no fault of the flash",
            "install-pending",
        ),
        (
            provisioning and unseen and from_rom,
            f"{log.root} starts from the chip's own system flash: no boot code has to be written",
            "",
        ),
        (
            provisioning and unseen and not from_rom,
            "no line says that the boot code was written: without it nothing is installed; look for "
            "it in the other logs of the run and read the begin of the flash",
            "install-pending",
        ),
        (
            provisioning and not unseen,
            f"boot code: {p.boot.value}",
            "install-pending" if p.boot is StepOutcome.FAILED else "",
        ),
        (p.keys, f"key files sent: {', '.join(printable(base_name(k), 60) for k in p.keys)}", ""),
        (
            p.not_set,
            f"options left as they were or refused: {', '.join(p.not_set[:12])}; compare with a listing "
            "read after a reset",
            "options-not-applied",
        ),
        (
            run.option_runs_failed,
            "an option change failed or could not be read back: compare with a listing read after a reset",
            "options-not-applied",
        ),
        (
            log.claims_success,
            "the script's word that the board is configured proves little: nothing in it reads the slots "
            "back or starts the board",
            "",
        ),
        (
            log.errors and done,
            f"the log holds errors and successes: {count_text(len(log.errors), 'error line')} beside success messages; each"
            " file counts by its own lines",
            "",
        ),
    )
    return (Remark(text, about) for holds, text, about in rows if holds)


def _discovery(log: Log, chip: Chip) -> Iterator[Remark]:
    d = log.discovery
    if d.failed or (d.library and not d.fields):
        yield Remark(
            "the discovery did not reach the debug-authentication service: what it printed is no chip's "
            "answer; NRST not wired to the probe is the usual cause",
            "board-wiring",
        )
        return
    if d.lifecycle:
        try:
            yield _state("life cycle by discovery", chip.state_called(d.lifecycle))
        except KeyError:
            yield Remark(f"life cycle by discovery: {printable(d.lifecycle, 60)}, not known for {chip.title}")
    if d.integrity_bad:
        lost = ": in this state there is no way back, the board is lost for debugging; that is no defect of the flash"
        closed = any(word in d.lifecycle.upper() for word in ("CLOSED", "LOCKED"))
        yield Remark(f"the provisioned data are reported as not valid{lost if closed else ''}", "debug-locked")
    if d.sda_version.remark:
        yield Remark(f"SDA version {printable(d.sda_version.text, 40)} is unreadable ({d.sda_version.remark})")
    if d.permissions:
        yield Remark("an authorised user may: " + ", ".join(printable(p, 60) for p in d.permissions[:8]))


def _state(source: str, state: ProductState) -> Remark:
    return Remark(f"{source}: {state.name}; {state.what}", "" if state.debug == "full" else "debug-locked")


_ENDS = {
    "started": "it started the application",
    "stopped": "it stopped before it started anything",
    "rom-loader": "it went to the ROM boot loader of the chip",
    "waits": "it waits for a firmware to be loaded",
}


def _boot(log: Log, chip: Chip, assumed: bool) -> Iterator[Remark]:
    boot = log.boot
    if not boot:
        return
    version = f" {printable(boot.version, 20)}" if boot.version else ""
    said = _ENDS.get(boot.ended, "how it ended is not in the text")
    again = f"; it started {count_text(boot.starts, 'time')} in this text" if boot.starts > 1 else ""
    yield Remark(f"boot log of {boot.loader}{version}: {said}{again}")
    ranges: dict[str, BootEvent] = {e.options[0]: e for e in boot.events if e.options and e.value("d")}
    for e in {e.meaning: e for e in boot.events}.values():
        if e.level == "info" and not (e.value("magic") or e.value("type") or e.value("need") or e.value("d")):
            continue
        # What an option should be stands in the line before it.
        wanted = next((r for o in e.options if (r := ranges.get(o)) and r is not e), None)
        yield Remark(f"line {e.line}: {e.meaning}{f'; {wanted.meaning}' if wanted else ''}", e.about)
        register, value = e.value("register").upper().removeprefix("FLASH_"), e.value("value")
        if register and value and not assumed and register in {r.name for r in chip.registers}:
            yield from _errors({register: int(value, 16)}, chip)


def _fault(log: Log, chip: Chip, layout: Layout | None, assumed: bool) -> Iterator[Remark]:
    f = log.fault
    if not f:
        return
    meanings = "; ".join(f.meanings) or "no status register is among them, so that its cause is not told"
    yield Remark(f"registers of a fault{f' ({printable(f.kind, 30)})' if f.kind else ''}: {meanings}")
    for what, address in (("the access went to", f.address), ("the core was at", f.pc), ("it would return to", f.lr)):
        if address is not None:
            yield Remark(f"{what} 0x{address:08X}{'' if assumed else _place(chip, layout, address)}")


def _place(chip: Chip, layout: Layout | None, address: int) -> str:
    """Say where an address points, as far as chip and layout know it."""
    slot = layout.slot_at(address) if layout else None
    canonical = chip.canonical(address)
    if canonical in chip.flash_range:
        side = ", by its secure address" if canonical != address else ""
        return f", in the user flash{side}" + (f" ({slot})" if slot else "")
    try:
        return f", in {chip.region_at(address).name}"
    except KeyError:
        return ", where this chip has nothing that is known" if chip.regions else ""


def _tools(log: Log, chip: Chip, assumed: bool) -> Iterator[Remark]:
    for t in log.tools:
        if t.dev_id is not None:
            letter = next((f"revision {r.letter}, " for r in chip.revisions if r.id == t.rev_id), "")
            rev_id = f", {letter}REV_ID 0x{t.rev_id:04X}" if t.rev_id else ""
            yield Remark(f"{t.tool} read DEV_ID 0x{t.dev_id:03X}{rev_id}")
        elif t.target:
            yield Remark(f"{t.tool} was told that the chip is {printable(t.target, 30)}; it read no identity")
        for value, name in ((t.state, "PRODUCT_STATE"), (t.rdp, "RDP")):
            if value is None or assumed or chip.state_option != name:
                continue
            try:
                yield _state(f"{name} by {t.tool}", chip.state(value))
            except KeyError:
                yield Remark(f"{name} 0x{value:X} by {t.tool} is no state of {chip.title}")
        if t.tzen is not None and not assumed and chip.trustzone:
            yield Remark(f"TrustZone is {'on' if t.tzen == chip.tzen_on else 'off'} by {t.tool}")
        if t.voltage_mv is not None and t.voltage_mv < LOWEST_MV:
            yield Remark(f"{t.tool} measured {t.voltage_mv / 1000:.2f} V at the board", "board-wiring")


def _install(log: Log) -> Iterator[Remark]:
    if log.kind is LogKind.RSSE:
        what = "the vendor's secure service (RSSe, which installs the Secure Manager, SFI images and keys) was asked"
        wrong = next((e for e in log.errors if e.meaning), None)
        how = f" and failed at line {wrong.line}: {wrong.meaning}" if wrong else "; no error is in the text"
        yield Remark(what + how)
    if log.kind is not LogKind.SFI:
        return
    if log.installed is None:
        yield Remark("a secure firmware install (SFI): how it ended is not in the text")
    elif log.installed:
        yield Remark("a secure firmware install (SFI) that the tool calls finished")
    else:
        first = log.errors[0]
        yield Remark(f"a secure firmware install (SFI) that failed at line {first.line}: {first.meaning or first.text}")


def _rom(log: Log, chip: Chip) -> Iterator[Remark]:
    for s in log.rom_sessions:
        over, h5 = s.interface.upper(), s.answered and chip.state_option == "PRODUCT_STATE"
        if not s.answered:
            yield Remark(f"the ROM boot loader did not answer over {over}: BOOT0, wiring, baud rate or parity")
        elif not h5:
            yield Remark(f"the ROM boot loader answered over {over}")
        else:
            yield Remark(
                f"the ROM boot loader answered over {over}: with BOOT0 low that is evidence that the boot code ran and"
                " found nothing to start; with BOOT0 high it says nothing",
                "install-pending",
            )
        if h5 and s.options_refused:
            yield Remark(
                "it could not read the option bytes: when the boot code opened the boot loader this is so, and "
                "the words 'RDP level 1' then mean nothing more"
            )


def _banner(log: Log, chip: Chip, assumed: bool) -> Iterator[Remark]:
    b, dev_id, volts = log.banner, log.banner.dev_id, (log.banner.voltage_mv or 0) / 1000
    size, ours = (b.flash_kib or 0) * 1024, chip.identity.dev_id
    runs = "; it happens while the boot code runs and then is evidence that the boot code runs"
    why = runs if chip.state_option == "PRODUCT_STATE" and not assumed else ", so the size is not known"
    versions = (("SFSP version", b.sfsp, "system-flash"), ("boot loader version", b.boot_loader, ""))
    rows: tuple[tuple[object, str, str], ...] = (
        (
            log.options_asked and not log.listing and not log.programming,
            "the tool began to read the option bytes and printed none: the read stopped, as it does when "
            "the port closes, the reset line is not wired, or the firmware disturbs the link",
            "debug-locked",
        ),
        (
            dev_id is not None and not b.identified,
            f"the identity reads 0x{dev_id or 0:03X}, which is none: core held in reset, port closed, or no supply; it names "
            "no chip",
            "",
        ),
        (
            dev_id is not None and b.identified and not assumed and dev_id & 0xFFF != ours,
            f"DEV_ID 0x{(dev_id or 0) & 0xFFF:03X} is not that of {chip.title} (0x{ours:03X})",
            "wrong-part",
        ),
        *(
            (
                version.remark,
                f"{label} {printable(version.text, 40)} is unreadable ({version.remark}); a clue about the reading path, not"
                " about the flash cells",
                about,
            )
            for label, version, about in versions
        ),
        (
            b.flash_size_assumed,
            f"flash size {printable(b.flash_size, 40)}: the tool could not read it and printed its default{why}",
            "" if assumed else "wrong-size-assumption",
        ),
        (
            not b.flash_size_assumed and not assumed and size and size != chip.flash.size,
            f"the tool reads {b.flash_kib} KiB of flash, {chip.title} has {chip.flash.size // 1024} KiB",
            "wrong-size-assumption",
        ),
        (
            any("ap " in n.lower() and "fail" in n.lower() for n in b.notes),
            "access port 0 was tried first and failed, port 1 worked: give ap=1; nothing follows about the chip",
            "",
        ),
        (
            b.voltage_mv is not None and b.voltage_mv < LOWEST_MV,
            f"the probe measures {volts:.2f} V: no chip of these runs below {LOWEST_MV / 1000:.2f} V; the "
            "board has no supply, or its reference pin is not wired to the probe",
            "board-wiring",
        ),
        (
            b.swd_hz is not None and not 0 < b.swd_hz <= 75_000_000,
            f"speed {printable(b.swd_frequency, 30)} is impossible: the tool printed no real figure, nothing follows",
            "",
        ),
        (
            b.revision and not b.revision.strip(" -"),
            "the tool could not name the silicon revision: its data base does not know it",
            "",
        ),
    )
    return (Remark(text, about) for holds, text, about in rows if holds)


def _tool(b: Banner, chip: Chip) -> Iterator[Remark]:
    short = ".".join(b.tool.split(".")[:2])
    letter = b.revision.lower().removeprefix("rev").strip().upper()
    revisions = {r.id for r in chip.revisions if r.letter == letter}
    for e in chip.errata:
        if e.kind == "tool" and short and short in e.versions:
            yield Remark(
                f"known defect of this tool version: {e.effect} (one report: {e.ref})",
                "wrong-bank-erase" if "eras" in e.effect else "",
                e.hint,
            )
        elif e.kind == "silicon" and e.revisions and revisions & set(e.revisions):
            yield Remark(f"known limit of revision {letter}: {e.effect} ({e.ref})", "erratum", e.hint)


_UNREAD = (0, 0xFFFFFFFF)


def known_words(words: Iterable[RawRegister], chip: Chip) -> tuple[tuple[str, int], ...]:
    """Return name and value of the words that the chip file has a name for, in the order of the text."""
    names: dict[int, str] = {a.address: a.name for a in chip.addresses}
    for base in (chip.flash_registers, chip.flash_registers_secure):
        names |= {base + r.offset: r.name for r in chip.registers if base}
    identity = chip.identity
    names |= dict.fromkeys(identity.idcode, "IDCODE")
    names |= {identity.uid + 4 * i: f"UID{i}" for i in range(3) if identity.uid is not None}
    # Two half-words may share a word: the size is then the lower one, the package the upper one.
    names[identity.flash_size] = "FLASH_SIZE"
    if identity.package is not None and identity.package != identity.flash_size + 2:
        names[identity.package] = "PACKAGE"
    registers = {r.name for r in chip.registers}
    out = [
        (names.get(-1 if w.address is None else w.address, w.name if w.name in registers else ""), w.value)
        for w in words
    ]
    return tuple((name, value) for name, value in out if name)


def explain_words(words: Iterable[RawRegister], chip: Chip, *, assumed: bool = False) -> tuple[Remark, ...]:
    """Return what follows from the words that were read, as far as the chip file knows them; no place in an assumed one."""
    known = dict(known_words(words, chip))
    dead = [n for n in ("OPSR", "ECCCORR", "ECCDETR", "ECCR", "NSSR", "SECSR") if known.get(n) == 0xFFFFFFFF]
    values = {n: v for n, v in known.items() if n not in dead}
    unread = [Remark(f"{', '.join(dead)} read all ones: not read, nothing follows")] if dead else []
    if assumed:
        return (*unread, *_errors(values, chip, assumed=True))
    return (*unread, *_identity(values, chip), *_errors(values, chip), *_flags(values, chip))


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


def _errors(values: dict[str, int], chip: Chip, *, assumed: bool = False) -> Iterator[Remark]:
    for name in (n for n in ("ECCCORR", "ECCDETR", "ECCR") if n in values):
        at = chip.ecc_location(name, values[name])
        what = "two bits wrong: a write that was cut, or a cell" if at.kind is EccKind.DOUBLE else "one bit corrected"
        if at.kind is EccKind.NONE:
            yield Remark(f"{name}: no ECC error recorded")
        elif not at.size:
            yield Remark(f"{name}: {what}; how this family counts the address is not known", "torn-write")
        elif assumed:
            yield Remark(
                f"{name}: an ECC error is recorded, {what}; where it is follows from the chip, which is not named"
            )
        else:
            how = " (arithmetic not confirmed)" if at.hint else ""
            yield Remark(
                f"{name}: {what}, {count_text(at.size, 'byte')} at 0x{at.address:08X} in the {at.area} area{how}; only the "
                "first error is recorded",
                "torn-write",
                at.hint,
            )
    if "OPSR" in values:
        cut = chip.interruption(values["OPSR"])
        if not cut.code:
            yield Remark("OPSR: no operation was cut by a reset")
        elif assumed:
            yield Remark("OPSR: a reset cut an operation; which and where follows from the chip, which is not named")
        else:
            yield Remark(
                f"OPSR: a reset cut this operation: {cut.operation}, at 0x{cut.address:08X} in the {cut.area} area (address"
                " inferred); damage there is explained without a fault of the chip",
                "torn-write",
                hint=True,
            )


def _flags(values: dict[str, int], chip: Chip) -> Iterator[Remark]:
    for name in (n for n in ("NSSR", "SECSR") if n in values):
        fields = {f.name: f for r in chip.registers if r.name == name for f in r.fields}
        for flag in chip.flags:
            if flag.name in fields and fields[flag.name].get(values[name]):
                yield Remark(f"{name}.{flag.name}: {flag.cause}; points at the chip: {flag.suspicion}")
