"""Why an image that waits was not installed: one branch a cause, each with the read-only test that decides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from h5diag.judge.checks.slots import waiting_slots
from h5diag.judge.facts import Measured
from h5diag.judge.verdict import Finding
from h5diag.layout import Role
from h5diag.measure.firmware import State


@dataclass(frozen=True, slots=True)
class Branch:
    """A reason why the boot loader did not install.

    Parameters
    ----------
    id
        Stable word.
    text
        The reason in one sentence.
    found
        What the evidence says about it; empty when nothing does.
    holds
        True when the evidence shows that it is so.
    open
        True when the evidence does not decide it.
    test
        Id of the read-only test that would; empty when decided.
    """

    id: str
    text: str
    found: str
    holds: bool
    open: bool
    test: str


def why_not_installed(m: Measured, findings: Sequence[Finding]) -> tuple[Branch, ...]:
    """Return the branches of the tree for a suspect in whose download slot an image waits, those that hold first."""
    if not waiting_slots(m.suspect):
        return ()
    by_id = {f.id: f for f in findings}
    out = [
        _state(by_id),
        _boot_code(m, by_id),
        _options(m, by_id),
        _magic(m),
        _undecided(
            "keys",
            "The keys that the boot loader decrypts and verifies with (OBK) were never provisioned.",
            "programming-log",
        ),
        _undecided(
            "never-reset",
            "The board was never reset with BOOT0 low since it was flashed, so the boot loader never started.",
            "meter",
        )
        if m.suspect.board.resets_since_flash in ("unknown", "0")
        else Branch(
            "never-reset",
            "The boot loader never started.",
            f"reset {m.suspect.board.resets_since_flash} times since it was flashed",
            False,
            False,
            "",
        ),
        _dependency(m),
        _undecided(
            "boot-fails", "The boot loader starts and fails (panic, error loop, ROM services).", "sample-the-core"
        ),
    ]
    return tuple(sorted(out, key=lambda b: (not b.holds, not b.open)))


def _undecided(id: str, text: str, test: str) -> Branch:
    return Branch(id, text, "", False, True, test)


def _decided(id: str, text: str, finding: Finding, holds: bool) -> Branch:
    return Branch(id, text, finding.claim, holds, False, "")


def _state(by_id: dict[str, Finding]) -> Branch:
    text = "The product state does not let user firmware, the boot loader included, run."
    if f := by_id.get("state-does-not-boot"):
        return _decided("state", text, f, True)
    known = by_id.get("options-as-provisioned") or by_id.get("options-differ-from-provisioning")
    return _decided("state", text, known, False) if known else _undecided("state", text, "read-options")


def _boot_code(m: Measured, by_id: dict[str, Finding]) -> Branch:
    text = "The boot loader itself is not on the chip."
    if f := by_id.get("boot-not-written"):
        return _decided("boot-absent", text, f, True)
    boot = next((s.range for s in m.layouts[0].slots if s.role is Role.BOOT), None) if m.layouts else None
    if boot is None:
        return _undecided("boot-absent", text, "programming-log")
    alias = m.chip.flash.secure_base - m.chip.flash.base
    for base in (boot.start, boot.start + alias):
        if m.suspect.judged.covers(base, base + 0x400):
            head = m.suspect.judged.read(base, base + 0x400)
            erased = bool((head == m.chip.flash.erased).all())
            said = "is erased" if erased else "holds code"
            return Branch("boot-absent", text, f"0x{base:08X} {said}", erased, False, "")
    return Branch("boot-absent", text, "the reader was not shown the boot area", False, True, "programming-log")


def _options(m: Measured, by_id: dict[str, Finding]) -> Branch:
    text = "The boot loader's start-up check of the option bytes fails."
    for id, holds in (("options-differ-from-provisioning", True), ("options-as-provisioned", False)):
        if f := by_id.get(id):
            return _decided("options", text, f, holds)
    return _undecided("options", text, "read-options")


def _magic(m: Measured) -> Branch:
    text = "The download is not marked for installation (no trailer magic that this boot loader accepts)."
    never = [s for s in m.suspect.slots if s.state is State.NEVER_TAKEN]
    said = never[0].reason if never else "the trailer magic is there"
    return Branch("no-magic", text, said, bool(never), False, "")


def _dependency(m: Measured) -> Branch:
    text = "The image demands a version of the other image that is not there."
    tlvs = [
        t
        for s in m.suspect.slots
        if s.slot in waiting_slots(m.suspect) and s.content.at_start
        for t in s.content.at_start[0].image.tlvs.protected
        if t.type == 0x40
    ]
    if not tlvs:
        return Branch("dependency", text, "the image demands none", False, False, "")
    return _undecided("dependency", text, "file-bases")
