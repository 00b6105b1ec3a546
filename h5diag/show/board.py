"""What a probe read, for a person: the identity of a chip and the result of a flash test, the answer first."""

from __future__ import annotations

from h5diag.case.records import FlashTest, Identity
from h5diag.chip import Chip
from h5diag.text import size_text

_MOST_FAULTS = 20


def identity_text(who: Identity, chip: Chip) -> str:
    """Return who a chip says it is, over which link, and where its core is.

    Parameters
    ----------
    who
        As `h5diag.probe.board.identity` made it.
    chip
        The chip that its registers are read as.
    """
    rows = [("UID", who.uid or "not readable")]
    rows.append(("product state", f"{who.product_state_text or 'not known'}, TrustZone {who.trustzone or 'not known'}"))
    rows.append(("read", f"{who.access}, {who.connect}, {speed_text(who.swd_hz, who.swd_asked_hz)}"))
    supply = f"{who.supply_mv} mV" if who.supply_mv is not None else "not measured"
    rows.append(("probe", f"{who.probe}, firmware {who.probe_firmware or 'not told'}, supply of the target {supply}"))
    level = who.registers.get("hdpl")
    if who.core is not None:
        core = who.core
        vtor = "not readable" if core.vtor is None else f"0x{core.vtor:08X}"
        hdp = "not known" if level is None else level
        rows.append(("core", f"{core.state}, vector table {vtor}, HDP level {hdp}"))
        rows.append(("is at", "; ".join(core.places) or "no samples"))
        rows.append(("reset by", ", ".join(core.resets) or "no flag set"))
        if core.faults:
            rows.append(("fault registers", ", ".join(f"{n} 0x{v:08X}" for n, v in core.faults.items())))
    for name, value in who.registers.items():
        if name in ("ecccorr", "eccdetr", "eccr", "opsr", "sfsp_version"):
            shown = "not readable" if value is None else f"0x{value:08X}{_flash_error(chip, name.upper(), value)}"
            rows.append((name.upper(), shown))
    lines = [_headline(who)] + [f"{name:16}{text}" for name, text in rows]
    if who.options:
        lines += ["", "options"]
        for name, o in who.options.items():
            number = "not known" if o.value is None else f"0x{o.value:X}"
            lines.append(f"  {name:16}{number}{'  ' + o.meaning if o.meaning else ''}")
    remarks = (*who.remarks, *(who.core.remarks if who.core is not None else ()))
    return "\n".join(lines + [f"known limit     {e}" for e in who.errata] + [f"remark          {r}" for r in remarks])


def _headline(who: Identity) -> str:
    size = f"{who.flash_kib} KiB flash" if who.flash_kib is not None else "flash size not told"
    dev_id = "not readable" if who.dev_id is None else f"0x{who.dev_id:03X}"
    rev_id = "not readable" if who.rev_id is None else f"0x{who.rev_id:04X}"
    parts = [who.chip or "no chip that was asked for", f"DEV_ID {dev_id}", f"revision {who.revision or '?'} ({rev_id})"]
    return ", ".join([*parts, size, who.package or "package not known"])


def speed_text(true_hz: int | None, asked_hz: int | None) -> str:
    """Return a link speed: the true one, and the one asked for where it is another or the only one known."""
    if true_hz is None:
        return "speed not known" if asked_hz is None else f"{asked_hz / 1e6:g} MHz asked for"
    asked = f" ({asked_hz / 1e6:g} asked for)" if asked_hz not in (None, true_hz) else ""
    return f"{true_hz / 1e6:g} MHz{asked}"


def _flash_error(chip: Chip, name: str, value: int) -> str:
    if all(r.name != name for r in chip.registers):
        return ""
    if name == "OPSR" and value:
        cut = chip.interruption(value)
        return f"  a reset cut a {cut.operation} at 0x{cut.address:08X}"
    if name.startswith("ECC") and chip.ecc_location(name, value).size:
        place = chip.ecc_location(name, value)
        return f"  {place.kind.value} error at 0x{place.address:08X}"
    return ""


def flash_test_text(result: FlashTest) -> str:
    """Return the result of a flash test, the answer first."""
    lines = [result.headline]
    if not result.erase_cycles:
        lines.append("nothing was erased")
    elif result.outside:
        lines.append("THE FLASH CHANGED OUTSIDE OF THE TESTED RANGE, see the remark; inside the contents are back")
    else:
        lines.append(
            "the contents are back and verified"
            if result.restored
            else f"THE CONTENTS ARE NOT ALL BACK: {result.folder} keeps them, put them back with --restore"
        )
    for s in result.sectors:
        if s.verdict != "good":
            lines.append(f"0x{s.start:08X}  {s.verdict:9}{s.reason}".rstrip())
        for f in s.faults[:_MOST_FAULTS]:
            bit = "" if f.bit is None else f" bit {f.bit}"
            lines.append(f"    {f.kind:16} 0x{f.address:08X}{bit}  {f.detail} (in {f.rounds} rounds)")
        if len(s.faults) > _MOST_FAULTS:
            lines.append(f"    and {len(s.faults) - _MOST_FAULTS} more, see --json")
    c = result.conditions
    speeds = ", ".join(f"{hz / 1e6:g}" for hz in c.swd_hz) or "-"
    supply = f"{c.voltage_mv} mV" if c.voltage_mv is not None else "not measured"
    path = {
        None: "none",
        "core-checksum": "the core's own checksums",
        "burst": "other bursts",
        "single-word": "words alone",
    }
    size = size_text(result.sector_size) if result.sector_size else "not told"
    lines += [
        f"conditions      level {result.level}, {c.rounds} rounds at {speeds} MHz, {c.power_cycles} power cycles, "
        f"supply {supply}, sectors of {size}",
        f"second reading  {path.get(c.second_path, c.second_path)}",
        f"wear            {result.erase_cycles} erase cycles of each sector; rated for {result.rated_cycles}",
    ]
    return "\n".join([*lines, *(f"remark          {r}" for r in result.remarks)])
