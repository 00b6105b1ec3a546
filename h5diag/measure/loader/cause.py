"""Why a loader was not downloaded: the likeliest cause in one sentence, from log, file and the table of bases."""

from __future__ import annotations

from dataclasses import dataclass

from h5diag.measure.loader.calls import ABSENT, LoaderCall, Outcome
from h5diag.measure.loader.elf import LoaderFile
from h5diag.measure.loader.placement import Base, bases, family, windows


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known about a loader that was not downloaded.

    `base` is the base that the log shows or `ABSENT`; `family` is empty when unknown; `trustzone` is ``on``, ``off`` or
    ``unknown``; `loader` is the file, when it was given.
    """

    calls: tuple[LoaderCall, ...]
    base: int
    family: str
    trustzone: str
    version: str
    loader: LoaderFile | None = None

    @property
    def entry(self) -> int:
        """Address of the function whose call failed, Thumb bit cleared, or `ABSENT`."""
        return next((c.pc & ~1 for c in self.calls if c.outcome is Outcome.NOT_DOWNLOADED), ABSENT)


def likely_cause(situation: Situation) -> str:
    """Return the likeliest cause and what to try; empty when nothing points anywhere."""
    return _linked_elsewhere(situation) or _trustzone_base(situation) or _too_large(situation)


def _linked_elsewhere(s: Situation) -> str:
    if s.base == ABSENT:
        return ""
    wanted = s.base + 4
    if s.loader is not None and s.loader.link_address not in (wanted, ABSENT):
        return (
            f"it is linked at 0x{s.loader.link_address:08X}, and this programmer's base is 0x{s.base:08X}; "
            f"link it at 0x{wanted:08X} and try that first"
        )
    if s.loader is None and s.entry != ABSENT and not wanted <= s.entry < wanted + 0x100000:
        return (
            f"it is linked near 0x{s.entry & ~0xFFF:08X} (its function is at 0x{s.entry:08X}), and this "
            f"programmer's base is 0x{s.base:08X}; link it at 0x{wanted:08X} and try that first"
        )
    return ""


def _trustzone_base(s: Situation) -> str:
    """One report alone puts the base elsewhere when TrustZone is on."""
    if s.trustzone == "off" or not s.family:
        return ""
    other = next((b for b in bases(s.family, "on", s.version) if b.trustzone == "on" and not _lies_at(s, b)), None)
    if other is None:
        return ""
    where = (
        f"it is linked at 0x{s.loader.link_address:08X}"
        if s.loader is not None
        else f"its function is at 0x{s.entry:08X}"
    )
    report = "one report puts" if other.hint else "known reports put"
    condition = "" if s.trustzone == "on" else "if TrustZone is on, "
    return (
        f"{where}, while {report} the base with TrustZone on at 0x{other.link_address:08X}; {condition}"
        f"try that first ({other.sources[0]})"
    )


def _lies_at(s: Situation, base: Base) -> bool:
    if s.loader is not None:
        return s.loader.link_address in (base.link_address, ABSENT)
    return s.entry == ABSENT or base.link_address <= s.entry < base.link_address + 0x100000


def _too_large(s: Situation) -> str:
    if s.loader is None or not s.family:
        return ""
    size = len(s.loader.image)
    limit = next((w for w in windows(family(s.family), s.trustzone) if size > w.size), None)
    if limit is None:
        return ""
    claim = "one report says that more than 0x{:X} are not" if limit.hint else "more than 0x{:X} may not be"
    return f"its image has 0x{size:X} bytes, and {claim.format(limit.size)} downloaded ({limit.sources[0]})"
