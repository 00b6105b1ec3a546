"""What was seen in a sector, step by step: plain measurements that a journal can keep and the classification weighs."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from h5diag.memory import Bytes

NOTHING_WRONG: Bytes = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What repeated reads of a sector brought, against what it should hold.

    Parameters
    ----------
    wrong
        ``uint8``: exclusive or of what was read (alike in every read) and what was meant; empty when nothing differs.
    corrected, uncorrected
        Canonical addresses of the quad-words that the ECC registers named.
    flicker
        Canonical addresses of the words whose reads disagreed.
    """

    wrong: Bytes = field(default_factory=lambda: NOTHING_WRONG)
    corrected: tuple[int, ...] = ()
    uncorrected: tuple[int, ...] = ()
    flicker: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything was noticed."""
        return bool(self.wrong.size or self.corrected or self.uncorrected or self.flicker)

    def document(self) -> dict[str, Any]:
        """Return plain values for a journal."""
        packed = base64.b64encode(zlib.compress(self.wrong.tobytes(), 6)).decode() if self.wrong.size else ""
        return {
            "wrong": packed,
            "corrected": list(self.corrected),
            "uncorrected": list(self.uncorrected),
            "flicker": list(self.flicker),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any], size: int) -> Reading:
        """Return a reading out of a journal; ValueError when it is not one of a sector of `size` bytes."""
        wrong = NOTHING_WRONG
        if document["wrong"]:
            unpacked = zlib.decompressobj().decompress(base64.b64decode(document["wrong"]), size + 1)
            wrong = np.frombuffer(unpacked, np.uint8)
            if wrong.size != size:
                raise ValueError("a reading of another size")
        corrected, uncorrected, flicker = (
            tuple(int(a) for a in document[k]) for k in ("corrected", "uncorrected", "flicker")
        )
        return cls(wrong, corrected, uncorrected, flicker)


@dataclass(frozen=True, slots=True)
class Visit:
    """One sector in one step.

    Parameters
    ----------
    sector, step
        Canonical address of the sector, and number of the step.
    erase_s, program_s
        How long it took; -1 when it did not come to that.
    erased, programmed
        What was read after each.
    again
        What was read after the power cycle that followed; like `programmed` when there was none.
    outside
        Addresses outside of the range at which this sector's own pattern shows.
    flags
        Error flags of the FLASH interface.
    lost
        Why nothing follows from this visit; empty when it counts.
    """

    sector: int
    step: int
    erase_s: float = -1.0
    program_s: float = -1.0
    erased: Reading = field(default_factory=Reading)
    programmed: Reading = field(default_factory=Reading)
    again: Reading = field(default_factory=Reading)
    outside: tuple[int, ...] = ()
    flags: tuple[str, ...] = ()
    lost: str = ""

    def document(self) -> dict[str, Any]:
        """Return plain values for a journal."""
        out: dict[str, Any] = {
            "sector": self.sector,
            "step": self.step,
            "erase_s": self.erase_s,
            "program_s": self.program_s,
            "outside": list(self.outside),
            "flags": list(self.flags),
            "lost": self.lost,
        }
        for name in ("erased", "programmed", "again"):
            reading = getattr(self, name)
            if reading:
                out[name] = reading.document()
        return out

    @classmethod
    def of(cls, document: Mapping[str, Any], size: int) -> Visit:
        """Return a visit out of a journal; KeyError, TypeError or ValueError when it is none."""
        erased, programmed, again = (
            Reading.of(document[n], size) if n in document else Reading() for n in ("erased", "programmed", "again")
        )
        return cls(
            int(document["sector"]),
            int(document["step"]),
            float(document["erase_s"]),
            float(document["program_s"]),
            erased,
            programmed,
            again,
            tuple(int(a) for a in document["outside"]),
            tuple(map(str, document["flags"])),
            str(document["lost"]),
        )
