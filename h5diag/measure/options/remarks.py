"""What follows from a log: sentences for a person, each with the cause that it speaks of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from h5diag.chip import Chip
from h5diag.evidence.texts import Banner, Log, LogKind, Version, printable
from h5diag.evidence.texts.programming import base_name
from h5diag.layout import Layout
from h5diag.measure.options.provisioning import Generation, Provisioning, Step, is_boot, read_provisioning


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence and the id of the cause it speaks of, empty when it speaks of none.

    `hint` marks what rests on one report: it may make a cause possible and never decides.
    """

    text: str
    about: str = ""
    hint: bool = False


def explain_log(log: Log, chip: Chip, layout: Layout | None = None) -> tuple[Remark, ...]:
    """Return what follows from a log, the weightiest first."""
    out = [
        *_programming(log, chip, layout),
        *_discovery(log, chip),
        *_rom(log),
        *_unread(log),
        *_banner(log.banner, chip),
    ]
    if log.kind is not LogKind.UNKNOWN:
        out += _tool(log.banner, chip)
    # A remark that speaks of a cause weighs more than one that only tells what went well.
    return tuple(sorted(dict.fromkeys(out), key=lambda r: not r.about))


def _programming(log: Log, chip: Chip, layout: Layout | None) -> Iterator[Remark]:
    if not log.programming:
        return
    p = read_provisioning(log.programming, chip, layout)
    for placed in p.placed:
        w = placed.write
        where = f" at 0x{w.address:08X}" if w.address >= 0 else ""
        slot = f" ({placed.slot.name})" if placed.slot else ""
        name = printable(base_name(w.file), 80)
        if placed.step is Step.FAILED:
            first = f", first difference at 0x{w.mismatch:08X}" if w.mismatch >= 0 else ""
            said = " although the log also calls the download complete" if w.complete else ""
            yield Remark(
                f"{name}{where}{slot}: failed{first}{said}; what it holds now is not known",
                "options-not-applied" if is_boot(placed, chip) else "write-protected",
            )
        else:
            yield Remark(f"{name}{where}{slot}: {placed.step.value}", "")
    yield from _provisioning(p, log)


def _provisioning(p: Provisioning, log: Log) -> Iterator[Remark]:
    if p.generation is not Generation.UNKNOWN:
        yield Remark(
            f"the images are those of {p.generation.value}",
            "install-pending" if p.generation is Generation.OLDER else "",
        )
    if p.generation is Generation.OLDER:
        yield Remark(
            "images in the download slots are installed by the first boot: until the boot code ran, the "
            "primary slots stay empty, which is no fault of the flash",
            "install-pending",
        )
    if log.kind is LogKind.PROVISIONING:
        if p.boot is Step.NOT_SEEN:
            yield Remark(
                "no line says that the boot code was written: without it nothing is installed; look for "
                "it in the other logs of the run and read the begin of the flash",
                "install-pending",
            )
        else:
            yield Remark(f"boot code: {p.boot.value}", "install-pending" if p.boot is Step.FAILED else "")
    if p.keys:
        yield Remark(f"key files sent: {', '.join(printable(base_name(k), 60) for k in p.keys)}")
    if p.not_set:
        yield Remark(
            f"options left as they were or refused: {', '.join(p.not_set[:12])}; compare with a listing "
            "read after a reset",
            "options-not-applied",
        )
    if log.programming.option_runs_failed:
        yield Remark(
            "an option change failed or could not be read back: compare with a listing read after a reset",
            "options-not-applied",
        )
    if log.claims_success:
        yield Remark(
            "the script's word that the board is configured proves little: nothing in it reads the slots "
            "back or starts the board"
        )
    if log.errors and (
        log.claims_success or any(w.complete for w in log.programming.writes) or log.programming.option_runs_ok
    ):
        count = f"{len(log.errors)} error line" + ("s" if len(log.errors) > 1 else "")
        yield Remark(
            f"the log holds errors and successes: {count} beside success messages; each file counts by its own lines"
        )


def _discovery(log: Log, chip: Chip) -> Iterator[Remark]:
    d = log.discovery
    if not d:
        return
    if d.failed or (d.library and not d.fields):
        yield Remark(
            "the discovery did not reach the debug-authentication service: what it printed is no chip's "
            "answer; NRST not wired to the probe is the usual cause",
            "board-wiring",
        )
        return
    if d.lifecycle:
        try:
            state = chip.state_called(d.lifecycle)
            yield Remark(
                f"life cycle by discovery: {state.name}; {state.what}", "" if state.debug == "full" else "debug-locked"
            )
        except KeyError:
            yield Remark(f"life cycle by discovery: {printable(d.lifecycle, 60)}, not known for {chip.title}")
    if d.integrity_bad:
        closed = "CLOSED" in d.lifecycle.upper() or "LOCKED" in d.lifecycle.upper()
        yield Remark(
            "the provisioned data are reported as not valid"
            + (
                ": in this state there is no way back, the board is lost for debugging; that is no defect of the flash"
                if closed
                else ""
            ),
            "debug-locked",
        )
    if d.sda_version.remark:
        yield Remark(f"SDA version {printable(d.sda_version.text, 40)} is unreadable ({d.sda_version.remark})")
    if d.permissions:
        yield Remark("an authorised user may: " + ", ".join(printable(p, 60) for p in d.permissions[:8]))


def _rom(log: Log) -> Iterator[Remark]:
    for s in log.rom_sessions:
        if not s.answered:
            yield Remark(
                f"the ROM boot loader did not answer over {s.interface.upper()}: BOOT0, wiring, baud rate or parity"
            )
            continue
        yield Remark(
            f"the ROM boot loader answered over {s.interface.upper()}: with BOOT0 low that is evidence "
            "that the boot code ran and found nothing to start; with BOOT0 high it says nothing",
            "install-pending",
        )
        if s.options_refused:
            yield Remark(
                "it could not read the option bytes: when OEMiROT opened the boot loader this is so, and "
                "the words 'RDP level 1' then mean nothing more"
            )


def _unread(log: Log) -> Iterator[Remark]:
    if log.options_asked and not log.listing and not log.programming:
        yield Remark(
            "the tool began to read the option bytes and printed none: the read stopped, as it does when "
            "the port closes, the reset line is not wired, or the firmware disturbs the link",
            "debug-locked",
        )


def _banner(b: Banner, chip: Chip) -> Iterator[Remark]:
    if not b:
        return
    if b.dev_id >= 0 and b.dev_id & 0xFFF != chip.identity.dev_id:
        yield Remark(
            f"DEV_ID 0x{b.dev_id & 0xFFF:03X} is not that of {chip.title} (0x{chip.identity.dev_id:03X})", "wrong-part"
        )
    for label, version, about in (("SFSP version", b.sfsp, "system-flash"), ("boot loader version", b.boot_loader, "")):
        if version.remark:
            yield Remark(unreadable(label, version), about)
    if b.flash_size_assumed:
        yield Remark(
            f"flash size {printable(b.flash_size, 40)}: the tool could not read it and printed its "
            "default; it happens while OEMiROT runs and then is evidence that the boot code runs",
            "wrong-size-assumption",
        )
    elif b.flash_kib and b.flash_kib * 1024 != chip.flash.size:
        yield Remark(
            f"the tool reads {b.flash_kib} KiB of flash, {chip.title} has {chip.flash.size // 1024} KiB",
            "wrong-size-assumption",
        )
    if any("ap " in n.lower() and "fail" in n.lower() for n in b.notes):
        yield Remark(
            "access port 0 was tried first and failed, port 1 worked: give ap=1; nothing follows about the chip"
        )
    if b.revision.strip(" -") == "" and b.revision:
        yield Remark("the tool could not name the silicon revision: its data base does not know it")


def unreadable(label: str, version: Version) -> str:
    """Return the sentence about a version that cannot be one, with its bytes."""
    return (
        f"{label} {printable(version.text, 40)} is unreadable ({version.remark}); a clue about the reading "
        "path, not about the flash cells"
    )


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
