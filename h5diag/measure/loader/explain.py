"""What a verbosity-3 log says in plain words, and why a loader was not downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from h5diag.answer import Answer
from h5diag.chip import ChipChoice, choose_chip
from h5diag.measure.loader.loaderfile import LoaderFile
from h5diag.measure.loader.placement import STACK_SIZE, bases, beyond_window, families, family, ram_plan
from h5diag.measure.loader.vb3 import (
    DRY_RUN_MARK,
    LoaderCall,
    LoaderLog,
    LoaderSide,
    MemoryAccess,
    MessageKind,
    OpaqueLine,
    Outcome,
    RegisterAccess,
    find_calls,
    is_external,
)


def _likely_cause(
    calls: tuple[LoaderCall, ...],
    base: int | None,
    family_name: str,
    trustzone: str,
    version: str,
    loader: LoaderFile | None,
) -> str:
    """Return why a loader was most likely not downloaded and what to try; empty when nothing points anywhere."""
    # The function whose call failed, where the file was not given.
    entry = next((c.pc & ~1 for c in calls if c.outcome is Outcome.NOT_DOWNLOADED), None)
    at = f"0x{loader.link_address:08X}" if loader is not None else f"0x{entry or 0:08X}"

    def linked_at(address: int) -> bool:
        if loader is not None:
            return loader.link_address in (address, -1)
        return entry is None or address <= entry < address + 0x100000

    if base is not None and not linked_at(base + 4):
        near = f"near 0x{(entry or 0) & ~0xFFF:08X} (its function is at {at})" if loader is None else f"at {at}"
        return f"it is linked {near}, and this programmer's base is 0x{base:08X}; link it at 0x{base + 4:08X} and try that first"
    # One report alone puts the base elsewhere when TrustZone is on.
    asked = bases(family_name, "on", version) if family_name and trustzone != "off" else ()
    for other in (b for b in asked if b.trustzone == "on" and not linked_at(b.link_address)):
        where = "it is linked at" if loader is not None else "its function is at"
        report = "one report puts" if other.hint else "known reports put"
        condition = "" if trustzone == "on" else "if TrustZone is on, "
        return (
            f"{where} {at}, while {report} the base with TrustZone on at 0x{other.link_address:08X}; {condition}"
            f"try that first ({other.sources[0]})"
        )
    size = len(loader.image) if loader is not None and family_name else 0
    claim = beyond_window(family(family_name), trustzone, size) if size else ""
    return f"its image has 0x{size:X} bytes, and {claim}" if claim else ""


_UNKNOWN_CAUSE = (
    "Likely causes: it is linked at another address than base + 4, or its image is larger than the RAM "
    "region the programmer uses. Check with 'h5diag loader lint FILE --log LOG'."
)
_FITTING_CAUSE = (
    "This file is linked where this programmer puts loaders, and its size fits: was it the one that was "
    "used? Check its description with 'h5diag loader lint FILE --log LOG'."
)


class Downloaded(Enum):
    """Whether the loader's image reached the RAM."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Story(Enum):
    """What happened, in one word for programs."""

    WORKED = "worked"
    NOT_DOWNLOADED = "not-downloaded"
    BYPASSED = "bypassed"
    FAULTED = "faulted"
    REFUSED = "returned-0"
    HUNG = "no-result"
    ODD_RESULT = "odd-result"
    NOT_LOADED = "file-refused"
    INTERNAL_ONLY = "internal-only"
    NOT_VERBOSE = "not-verbose"
    NO_LOG = "no-log"
    NO_CALL = "no-call"


@dataclass(frozen=True, slots=True)
class LoaderStory(Answer):
    """What a log says. `base` is the programmer's base or None; `version` and `family` are empty when the log does not say.

    `unknown_lines` counts those that the grammar does not know; an assumed `choice` of chip explains nothing.
    """

    story: Story
    calls: tuple[LoaderCall, ...]
    downloaded: Downloaded
    conclusion: str
    remarks: tuple[str, ...]
    base: int | None = None
    version: str = ""
    family: str = ""
    unknown_lines: int = 0
    choice: ChipChoice = field(default_factory=choose_chip)


def log_version(log: LoaderLog) -> str:
    """Return the tool's version that the log names, or empty."""
    return next((m.detail for m in log.messages(MessageKind.VERSION)), "")


def log_base(log: LoaderLog) -> int | None:
    """Return the base by which the programmer places a loader, or None when the log does not show it.

    What it did with its own loader for internal flash does not count.
    """
    calls = find_calls(log)
    shown = (c.download.start for c in calls if c.side is not LoaderSide.INTERNAL)
    if calls:
        return next((base for base in shown if base is not None), None)
    # A preparation without a call: the excerpt ends there, or the programmer gave up.
    return next((e.value for e in log.events if isinstance(e, RegisterAccess) and e.prepared and e.index == 15), None)


def explain(
    log: LoaderLog,
    loader: LoaderFile | None = None,
    *,
    chip: str = "",
    trustzone: str = "unknown",
    choice: ChipChoice | None = None,
) -> LoaderStory:
    """Return what a log says of an external loader.

    Parameters
    ----------
    log
        As `parse_log` returns it.
    loader
        The loader's ELF file: names the calls, and is checked against base and image size of the log.
    chip
        The part or its family (``h5``); empty takes it from the log's device ID.
    trustzone
        ``on``, ``off`` or ``unknown``.
    choice
        The chip where somebody has read it out of the same text already; `chip` is not asked then.
    """
    calls = find_calls(log, loader)
    own = tuple(c for c in calls if c.side is not LoaderSide.INTERNAL)
    choice = choice or log.chip(chip)
    known = choice.chip is not None and not choice.assumed
    family = next((f.name for f in families() if known and f.name == choice.read_as.family), "")
    base, version = log_base(log), log_version(log)
    story = _story(log, calls, own)
    downloaded = {
        Story.NOT_DOWNLOADED: Downloaded.NO,
        Story.BYPASSED: Downloaded.NO,
        Story.NOT_LOADED: Downloaded.NO,
    }.get(story, Downloaded.YES if own else Downloaded.UNKNOWN)
    conclusion = _conclusion(story, own or calls, log)
    remarks = [*_base_remarks(base, version, loader, own), *_call_remarks(own), *_log_remarks(log, story)]
    if story is Story.NOT_DOWNLOADED:
        if cause := _likely_cause(own, base, family, trustzone, version, loader):
            conclusion += f" Likely cause: {cause}."
        else:
            remarks.append(_FITTING_CAUSE if loader is not None and base is not None else _UNKNOWN_CAUSE)
    return LoaderStory(
        story,
        own or calls,
        downloaded,
        conclusion,
        tuple(remarks),
        base,
        version,
        family,
        len(log.events) - log.recognised,
        choice,
    )


_ENDED = {
    Outcome.NOT_DOWNLOADED: Story.NOT_DOWNLOADED,
    Outcome.FAULT: Story.FAULTED,
    Outcome.ZERO: Story.REFUSED,
    Outcome.NO_RESULT: Story.HUNG,
    Outcome.ODD: Story.ODD_RESULT,
    Outcome.OK: Story.WORKED,
}
"""The story that a call's outcome makes, the one that outweighs the others first."""


def _story(log: LoaderLog, calls: tuple[LoaderCall, ...], own: tuple[LoaderCall, ...]) -> Story:
    outcomes = {c.outcome for c in own}
    if worst := next((story for outcome, story in _ENDED.items() if outcome in outcomes), None):
        return worst
    if log.messages(MessageKind.LOADER_REFUSED):
        return Story.NOT_LOADED
    if bypassing(log):
        return Story.BYPASSED
    if calls:
        return Story.INTERNAL_ONLY
    return Story.NO_CALL if log.is_verbose else Story.NOT_VERBOSE if log.recognised else Story.NO_LOG


def bypassing(log: LoaderLog) -> tuple[int, ...]:
    """Return the line numbers of direct accesses to external memory in a log without a single `Init` call."""
    if log.messages(MessageKind.INIT) or not log.is_verbose:
        return ()
    if direct := tuple(e.line for e in log.events if isinstance(e, MemoryAccess) and is_external(e.address)):
        return direct
    # A loader was chosen, work was reported as done, and nothing was ever called.
    done = log.messages(MessageKind.SUCCESS)
    return (done[0].line,) if done and log.messages(MessageKind.LOADER) and not find_calls(log) else ()


def _not_downloaded(c: LoaderCall) -> str:
    zero = [name for name, value in (("SP", c.sp), ("LR", c.lr), ("MSP", c.msp)) if value == 0]
    proof = "no 0xBE00 breakpoint and no image is written before the call"
    if zero:
        proof += f", and {', '.join(zero[:-1]) + ' and ' if zero[1:] else ''}{zero[-1]} {'are' if zero[1:] else 'is'} 0"
    read = f" The R0 = 0 that was read back is not a return value: {c.function or 'the function'} never ran."
    text = f"The loader was never downloaded to the chip; the log proves it (line {c.line}): {proof}."
    return text + (read if c.result == 0 else "")


_CONCLUSIONS = {
    Story.FAULTED: "The loader was downloaded, and {name} (line {c.line}) ended in a {c.exception} (xPSR "
    "0x{c.xpsr:08X}); R0 says nothing then.",
    Story.REFUSED: "The loader was downloaded and ran, and {name} (line {c.line}) reported failure by returning "
    "{c.result:#x}.",
    Story.HUNG: "The loader was downloaded, and {name} (line {c.line}) was started; the log shows no result: "
    "it hung, ran into the programmer's time limit, or the log ends here.",
    Story.ODD_RESULT: "The loader was downloaded, and {name} (line {c.line}) returned 0x{c.result:08X}, which is "
    "neither 1 (done) nor 0 (failed); look at what it returns when its driver fails.",
    Story.WORKED: "The loader was downloaded, and every call in the log succeeded ({count}).",
    Story.BYPASSED: "The external loader was bypassed: the log holds no 'Init flashloader...', and external memory was "
    "accessed or reported as done without it (line {bypassed[0]}). What was read is not the memory's content.",
    Story.NOT_LOADED: "The programmer refused the loader's file: {refused[0].text}",
    Story.INTERNAL_ONLY: "Only the programmer's own loader for internal flash was called; the log says nothing of an "
    "external loader.",
    Story.NO_CALL: "No loader was called in this log, and no external memory was accessed.",
    Story.NOT_VERBOSE: "The log does not show register and memory accesses, so nothing can be told "
    "of the loader: repeat the operation with -vb 3.",
    Story.NO_LOG: "No line of this text is known from a log of STM32CubeProgrammer: give the "
    "output of STM32_Programmer_CLI -vb 3.",
}
"""What each story means; `c` is the call that it is about."""


def _conclusion(story: Story, calls: tuple[LoaderCall, ...], log: LoaderLog) -> str:
    c = next((c for c in calls if _ENDED.get(c.outcome) is story), None)
    if c is not None and story is Story.NOT_DOWNLOADED:
        return _not_downloaded(c)
    return _CONCLUSIONS[story].format(
        c=c,
        name=_name(c) if c is not None else "",
        count=len(calls),
        bypassed=bypassing(log),
        refused=log.messages(MessageKind.LOADER_REFUSED),
    )


def _base_remarks(
    base: int | None, version: str, loader: LoaderFile | None, own: tuple[LoaderCall, ...]
) -> Iterator[str]:
    if base is not None:
        yield (
            f"This programmer{' (v' + version + ')' if version else ''} places loaders at 0x{base:08X}: "
            f"they must be linked at 0x{base + 4:08X}."
        )
    if loader is not None and own and not any(c.pc & ~1 == f.value & ~1 for c in own for f in loader.functions):
        yield (
            f"The log calls 0x{own[0].pc:08X}, which is no function of this file: the log was made with another "
            "build of it."
        )
    shown = next((c.download.image_size for c in own if c.download.image_size), 0)
    if loader is not None and shown and abs(shown - len(loader.image)) > 4:
        stored, taken = len(loader.image), loader.memory_stop - loader.link_address
        yield (
            f"The log shows an image of 0x{shown:X} bytes, this file has 0x{stored:X}"
            + (", so the size downloaded is that in memory." if abs(shown - taken) <= 4 else ": another file was used.")
        )


def _call_remarks(own: tuple[LoaderCall, ...]) -> Iterator[str]:
    for c in [c for c in own if c.download.done and c.download.image_size and c.download.start is not None][:1]:
        size, stack = c.download.image_size, ram_plan(c.download.start or 0, c.download.image_size).stack_pointer
        if c.msp not in (None, stack):
            yield (
                f"Line {c.line}: MSP is 0x{c.msp:08X}; known traces put it at 0x{stack:08X} "
                f"for an image of 0x{size:X} bytes."
            )
        else:
            yield (
                f"The image has 0x{size:X} bytes and gets a stack of {STACK_SIZE - 4} bytes, "
                f"up to 0x{stack:08X}; _estack of the linker script is not used."
            )
    odd = [c for c in own if c.outcome is Outcome.ODD]
    if 0 < len(odd) < len(own):
        yield f"Line {odd[0].line}: {_name(odd[0])} returned 0x{odd[0].result:08X}, neither 1 nor 0."
    if 0 < (count := sum(c.downloaded for c in own)) < len(own):
        yield f"{count} other calls in the log were made with an image downloaded."


def _log_remarks(log: LoaderLog, story: Story) -> Iterator[str]:
    if any(isinstance(e, OpaqueLine) and e.text.startswith(DRY_RUN_MARK) for e in log.events[:3]):
        yield ("This is the log of a dry run on an emulated core, not of a chip.")
    errors, done = log.messages(MessageKind.ERROR, MessageKind.LOADER_REFUSED), log.messages(MessageKind.SUCCESS)
    if errors:
        yield (f"The programmer says (line {errors[0].line}): {errors[0].text}")
    if done and story not in (Story.WORKED, Story.NO_CALL, Story.INTERNAL_ONLY):
        yield (f"Its '{done[0].text}' (line {done[0].line}) proves nothing here.")
    if story is Story.BYPASSED:
        given = log.messages(MessageKind.LOADER)
        yield (
            f"The loader was given (line {given[0].line}). Known cause: StorageInfo shares its segment with "
            "code; check with 'h5diag loader lint FILE'."
            if given
            else "The log does not show that a loader was given with -el."
        )
    if story in (Story.FAULTED, Story.REFUSED, Story.HUNG):
        yield (
            "Next: 'h5diag loader lint FILE --log LOG', then 'h5diag loader run FILE' to see it run on an "
            "emulated core."
        )


def _name(call: LoaderCall) -> str:
    return call.function or f"the function at 0x{call.pc:08X}"
