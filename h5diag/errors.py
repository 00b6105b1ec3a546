"""What can go wrong, one tree.

H5DiagError
├── InputError          a file, text or value from the user cannot be used      (exit status 2)
├── ProbeError          the link to the chip; says nothing about the chip       (exit status 3)
│   └── PowerLost       the chip lost its supply for a moment
├── TargetError         the chip answered wrongly; becomes a finding
├── PermissionRefused   the caller did not allow what was asked for             (exit status 4)
└── Cancelled           the person asked to stop
"""

from __future__ import annotations


class H5DiagError(Exception):
    """Root of every error that h5diag raises on purpose."""


class InputError(H5DiagError):
    """Something the user gave cannot be used.

    Parameters
    ----------
    problem
        What is wrong, in a few words.
    source
        The file (or other origin) it came from; empty when there is none.
    place
        Where in the source: ``line 12``, ``offset 0x40``; empty when the whole source is meant.
    advice
        What to do next; empty when the problem says it already.
    """

    def __init__(self, problem: str, *, source: str = "", place: str = "", advice: str = "") -> None:
        self.problem, self.source, self.place, self.advice = problem, source, place, advice
        super().__init__(_one_line(problem, source, place, advice))

    def at(self, source: str) -> InputError:
        """Return the same error with `source` filled in where it was empty."""
        return InputError(self.problem, source=self.source or source, place=self.place, advice=self.advice)


class ProbeError(H5DiagError):
    """The debug link failed; nothing follows about the chip.

    Parameters
    ----------
    problem
        What failed.
    advice
        What to do next.
    cause
        The text of the error underneath, if any.
    passing
        Whether the same access may succeed when it is tried again (no acknowledge, WAIT, parity); a probe that is
        gone, or a chip without power, does not come back by asking again.
    """

    def __init__(self, problem: str, *, advice: str = "", cause: str = "", passing: bool = False) -> None:
        self.problem, self.advice, self.cause, self.passing = problem, advice, cause, passing
        super().__init__(_one_line(problem, "", f"({cause})" if cause else "", advice))


class PowerLost(ProbeError):
    """The chip lost its supply for a moment, or was disconnected: what it held in its registers is gone."""


class TargetError(H5DiagError):
    """The chip refused or answered wrongly at an address.

    Parameters
    ----------
    problem
        What happened.
    address
        Bus address of the first byte concerned.
    size
        How many bytes were asked for.
    cause
        The text of the error underneath, if any.
    """

    def __init__(self, problem: str, *, address: int, size: int = 0, cause: str = "") -> None:
        self.problem, self.address, self.size, self.cause = problem, address, size, cause
        super().__init__(_one_line(problem, "", f"at 0x{address:08X}, {size} bytes", cause))


class PermissionRefused(H5DiagError):
    """The operation needs a permission that was not given; nothing was done.

    Parameters
    ----------
    problem
        What was refused and why.
    advice
        How to allow it, or what to do instead.
    """

    def __init__(self, problem: str, *, advice: str = "") -> None:
        self.problem, self.advice = problem, advice
        super().__init__(_one_line(problem, "", "", advice))


class Cancelled(H5DiagError):
    """The person asked to stop; what was finished by then is kept."""


def _one_line(problem: str, source: str, place: str, advice: str) -> str:
    head = ", ".join(part for part in (source, place) if part)
    text = f"{head}: {problem}" if head else problem
    text = f"{text}; {advice}" if advice else text
    # Texts of strangers may end up here: an error stays one printable line whatever they hold.
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
