"""Settings, differences and logs as text for a person: the answer first, aligned, addresses in hex."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from h5diag.evidence.texts import Log, LogKind, printable
from h5diag.measure.options.differences import Difference, OptionDiff, Weight
from h5diag.measure.options.meaning import summary
from h5diag.measure.options.remarks import Remark
from h5diag.measure.options.rules import Agreement, OptionCheck
from h5diag.measure.options.settings import Belief, OptionBytes

WIDTH = 100
_MARK = {Weight.DECIDES: "!!", Weight.MATTERS: "! ", Weight.MINOR: "  ", Weight.ARTEFACT: "~ ", Weight.SAME: "= "}
_BELIEF = {Belief.READ: " ", Belief.MASKED: "~", Belief.IMPOSSIBLE: "?", Belief.UNNAMED: "+"}


def options_text(options: OptionBytes, *, chip: str, checks: Sequence[OptionCheck] = (), source: str = "") -> str:
    """Return the settings of one board, under the name `source` when there is one; `chip` is a sentence about it."""
    state = options.product_state
    if not state.startswith(options.chip.state_option):
        state = f"{options.chip.state_option} {state}"
    out = [f"{source}: {state}" if source else state, *wrap(f"chip: {chip}", WIDTH), ""]
    out += bullets(options.warnings, "!")
    out += bullets(summary(options))
    if checks:
        out += ["", *checks_text(checks)]
    out += ["", "all options", *table(options)]
    return "\n".join(out)


def bullets(sentences: Sequence[str], mark: str = "-") -> list[str]:
    """Return sentences as wrapped lines with a mark before each."""
    out: list[str] = []
    for s in sentences:
        lines = wrap(s, WIDTH - 2) or [""]
        out.append(f"{mark} {lines[0]}")
        out += [f"  {line}" for line in lines[1:]]
    return out


def table(options: OptionBytes) -> list[str]:
    """Return the settings as aligned lines; ``~`` masked, ``?`` impossible, ``+`` not in the chip file."""
    name = max((len(s.name) for s in options.settings), default=0)
    value = max((len(f"0x{s.value:X}") for s in options.settings), default=0)
    out = []
    for s in options.settings:
        head = f"{_BELIEF[s.belief]} {s.name:{name}}  {f'0x{s.value:X}':>{value}}  "
        lines = wrap(s.meaning, max(40, WIDTH - len(head))) or [""]
        out.append(head + lines[0])
        out += [" " * len(head) + line for line in lines[1:]]
    notes = {
        Belief.MASKED: "~ reads zero to this reader, not known",
        Belief.IMPOSSIBLE: "? no value it can have",
        Belief.UNNAMED: "+ unknown name, kept as printed",
    }
    return out + [n for b, n in notes.items() if any(s.belief is b for s in options.settings)]


def checks_text(checks: Sequence[OptionCheck]) -> list[str]:
    """Return what the boot loader would say: what differs first, what agrees in one line."""
    bad = [c for c in checks if c.agreement is Agreement.DIFFERS]
    old = [c for c in checks if c.agreement is Agreement.OLDER_PACKAGE]
    unknown = [c for c in checks if c.agreement is Agreement.NOT_KNOWN]
    good = [c for c in checks if c.agreement is Agreement.AGREES]
    head = (
        f"the boot loader's start-up check would fail: {len(bad)} of {len(checks)} differ"
        if bad
        else "set as a package of another age would: its own boot code is needed"
        if old
        else f"nothing differs from what the boot loader expects, {len(unknown)} not known"
        if unknown
        else "set as the boot loader expects"
    )
    return [
        head,
        *bullets([c.text for c in (*bad, *old, *unknown)]),
        *bullets([c.text for c in good if c.name == "PRODUCT_STATE"]),
        *(bullets([f"as expected: {', '.join(c.name for c in good)}"]) if good else []),
    ]


def diff_text(diff: OptionDiff, names: Sequence[str]) -> str:
    """Return the differences of two or more boards; those that decide are marked ``!!``, artefacts ``~``."""
    deciding = [d for d in diff.differences if d.weight is Weight.DECIDES]
    artefacts = [d for d in diff.differences if d.weight is Weight.ARTEFACT]
    if not diff.differences:
        head = "no option differs"
    elif not diff.comparable:
        head = f"nothing comparable differs; {len(artefacts)} differences are artefacts of how or when they were read"
    else:
        count = len(diff.comparable)
        head = (
            f"{count} option{'s differ' if count > 1 else ' differs'}, {len(deciding)} can explain a different "
            "flash picture" + (f"; {len(artefacts)} more differ only as artefacts" if artefacts else "")
        )
    out = [head, *bullets(diff.warnings, "!")]
    if diff.differences:
        out += ["", *_rows(diff.differences, names)]
    return "\n".join(out)


def _rows(differences: Sequence[Difference], names: Sequence[str]) -> list[str]:
    first = max(len("option"), *(len(d.name) for d in differences))
    cells = [[value_text(v) for v in d.values] for d in differences]
    widths = [max(len(n), *(len(row[i]) for row in cells)) for i, n in enumerate(names)]
    out = [f"   {'option':{first}}  " + "  ".join(f"{n:>{w}}" for n, w in zip(names, widths, strict=True))]
    for d, row in zip(differences, cells, strict=True):
        values = "  ".join(f"{v:>{w}}" for v, w in zip(row, widths, strict=True))
        out.append(f"{_MARK[d.weight]} {d.name:{first}}  {values}")
        out += [f"      {line}" for line in wrap(d.meaning, WIDTH - 6)]
    return out


def value_text(value: int | None) -> str:
    """Return a value of a difference: hex, or ``not read``."""
    return "not read" if value is None else f"0x{value:X}"


def log_text(log: Log, remarks: Sequence[Remark], *, chip: str, source: str = "") -> str:
    """Return what was found in a log, under the name `source` when there is one; `chip` is a sentence about it."""
    head = f"{source}: {log.kind.value}" if source else log.kind.value
    if log.kind is LogKind.UNKNOWN and not remarks:
        return f"{head}\nnothing in it is known as text of STM32CubeProgrammer"
    out = [head, *wrap(f"chip: {chip}" if chip else "", WIDTH), ""]
    out += bullets([r.text + (" [hint]" if r.hint else "") for r in remarks] or ["nothing odd in it"])
    if log.messages:
        out += ["", "errors and warnings"]
        for m in log.messages[:40]:
            out.append(f"  line {m.line:>5}  {m.severity:7}  {printable(m.text, 120)}")
            out += [f"{' ' * 24}{line}" for line in wrap(m.meaning, WIDTH - 24)]
        if len(log.messages) > 40:
            out.append(f"  and {len(log.messages) - 40} more")
    b = log.banner
    if b:
        out += ["", "connection" + (f" ({len(log.banners)} in the text, the first)" if len(log.banners) > 1 else "")]
        pairs = [
            ("tool", b.tool),
            ("probe", f"{b.probe_firmware} {b.probe_serial}".strip()),
            ("board", b.board),
            ("voltage", b.voltage),
            ("speed", b.swd_frequency),
            ("connect mode", b.connect_mode),
            ("reset mode", b.reset_mode),
            ("device id", b.device_id),
            ("revision", b.revision),
            ("device name", b.device_name),
            ("flash size", b.flash_size),
            ("boot loader", b.bl_version),
            ("SFSP", b.sfsp_version),
            *b.unknown,
        ]
        out += [f"  {printable(k, 24):14}{printable(v, 80)}" for k, v in pairs if v]
    if log.discovery:
        out += ["", "discovery"] + [f"  {printable(k, 36):36}  {printable(v, 60)}" for k, v in log.discovery.fields]
    if log.listing:
        out += ["", f"option bytes: {len(log.listing.fields)} found, see 'h5diag options'"]
    return "\n".join(out)
