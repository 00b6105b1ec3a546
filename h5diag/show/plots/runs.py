"""What happened on a chip that is not there: the ladder of product states that a script takes, the RAM of a dry run."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.measure.loader.placement import BUFFER_SIZE, ram_plan
from h5diag.show.plots import style
from h5diag.sim.dryrun.run import DryRun, RunVerdict
from h5diag.sim.rehearse import FINAL, LOCKED, OPEN, PROVISIONING, STATES, Rehearsal

_HEADS = ("a debugger reaches", "objects are stored", "firmware runs", "way back to OPEN")
_OPEN = style.Style("#CDEBDF", "", style.GREEN, "open")
_PARTLY = style.Style("#F7E3B5", "..", "#8A5A00", "partly, or not confirmed")
_SHUT = style.Style("#F4D3BF", "//", style.VERMILION, "locked")
_REACH = {
    "full": ("everything", _OPEN),
    "nonsecure": ("non-secure side", _PARTLY),
    "unknown": ("not confirmed", _PARTLY),
    "none": ("nothing", _SHUT),
}
_WIDE, _NAME, _TRACK = 1.0, 0.95, 1.9
"""Widths of a cell, of the rung's name, and of the track where the script's steps are drawn."""


def _cells(state: int, debug: str) -> tuple[tuple[str, style.Style], ...]:
    """Return what each column says of a rung. Source: facts on provisioning, section 3.4, and the chip's own states."""
    stored = {OPEN: ("with BOOT0 high", _PARTLY), PROVISIONING: ("yes", _OPEN)}.get(state, ("no", _SHUT))
    runs = ("no", _SHUT) if state == PROVISIONING else ("yes", _OPEN)
    back = ("regression, erases all", _PARTLY)
    if state == OPEN:
        back = ("is open", _OPEN)
    elif state == LOCKED:
        back = ("none", _SHUT)
    return _REACH[debug], stored, runs, back


def plot_ladder(walked: Rehearsal, *, ax: Axes | None = None) -> Axes:
    """Draw the rungs from OPEN down to LOCKED, what is locked at each, and where the script leaves the chip.

    Parameters
    ----------
    walked
        As `rehearsal` returns it. A step that the chip refuses is drawn as a cross at the rung where it stays.
    ax
        Where to draw; a new figure when left out.

    Raises
    ------
    InputError
        When the part has readout protection in place of product states.
    """
    if any(name == "RDP" for step in walked.walk.steps for name, _ in step.call.options):
        raise InputError("this part has readout levels and no ladder of product states", source=walked.walk.script.name)
    end = walked.walk.steps[-1] if walked.walk.steps else None
    reached = f" ends in {STATES[end.state]}" if end else ""
    ax = style.titled(ax, f"The ladder: {style.plain(walked.walk.script.name)}{reached}", 11.0, 4.6)
    debug = {s.value: s.debug for s in load_chip("stm32h563zi").states}
    rungs = list(STATES)
    for n, state in enumerate(rungs):
        y = -n
        style.words(ax, 0, y, f"{STATES[state]}\n0x{state:02X}", 9.5, ha="left", fontweight="bold")
        for column, (words, look) in enumerate(_cells(state, debug[state])):
            x = _NAME + column * _WIDE
            look.box(ax, x, y - 0.4, _WIDE - 0.06, 0.8)
            style.words(ax, x + _WIDE / 2 - 0.03, y, words, bbox=style.PLATE | {"facecolor": look.face, "alpha": 1.0})
    for column, head in enumerate(_HEADS):
        style.words(ax, _NAME + column * _WIDE + _WIDE / 2 - 0.03, 0.55, head, va="baseline")
    _track(ax, walked, rungs)
    ax.set(xlim=(-0.05, _NAME + len(_HEADS) * _WIDE + _TRACK), ylim=(-len(rungs) + 0.45, 0.8))
    ax.axis("off")
    return ax


def _track(ax: Axes, walked: Rehearsal, rungs: list[int]) -> None:
    """Draw the steps that set a product state, with their lines, and what is left of the way back at the end."""
    x = _NAME + len(_HEADS) * _WIDE + 0.15
    style.words(ax, x, 0.55, "the script (line)", ha="left", va="baseline")
    steps = [s for s in walked.walk.steps if s.call.state is not None]
    here = OPEN
    if steps and not steps[0].refused and steps[0].state in rungs:
        before = walked.walk.steps[: walked.walk.steps.index(steps[0])]
        here = before[-1].state if before else OPEN

    def mark(shape: str, colour: str, right: float = 0.0) -> None:
        ax.plot([x + right], [-rungs.index(here)], shape, color=colour, markersize=9, markeredgewidth=2)

    def say(text: str, y: float, **how: Any) -> None:
        style.words(ax, x + 0.2, y, text, ha="left", **how)

    mark("o", style.INK)
    for step in steps:
        there = step.state if step.state in rungs else here
        if step.refused or there == here:
            mark("x", style.VERMILION, 0.12)
            say(f"{step.call.line}: {'refused' if step.refused else 'stays'}", -rungs.index(here))
        else:
            a, b = -rungs.index(here), -rungs.index(there)
            how: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 14, "color": style.INK, "linewidth": 1.6}
            ax.add_patch(FancyArrowPatch((x, a), (x, b), shrinkA=4, shrinkB=4, **how))
            say(f"{step.call.line}: to 0x{there:02X}", (a + b) / 2)
        here = there
    last = walked.walk.steps[-1] if walked.walk.steps else None
    if last is not None and last.refused and last.call.state is None:
        mark("x", style.VERMILION)
        say(f"{last.call.line}: refused, ends here", -rungs.index(here))
    if here in FINAL:
        assert last is not None
        mark(*("D", style.GREEN) if last.reopenable == "yes" else ("X", style.VERMILION))
        words = {"yes": "a way back is stored", "no": "no way back"}.get(last.reopenable, "way back: not known")
        say(words, -rungs.index(here) - 0.05, fontweight="bold")


LOOKS = {
    "breakpoint": style.Style(style.VERMILION, "", style.INK, "breakpoint 0xBE00 (4 bytes)"),
    "image": style.Style("#CFE6F7", "//", style.BLUE, "image"),
    "free": style.Style(style.PAPER, "", style.GREY, "stack, not used"),
    "stack": style.Style("#F7E3B5", "\\\\", "#8A5A00", "stack, used in the dry run"),
    "buffer": style.Style("#BFE3D6", "..", style.GREEN, "transfer buffer (first 512 bytes)"),
}
"""Face, hatch and words of each part; the hatch tells them apart without colour."""


def plot_ram_plan(run: DryRun, *, ax: Axes | None = None) -> Axes:
    """Draw the RAM of a dry run as the programmer divides it, to scale, addresses in hex.

    Parameters
    ----------
    run
        As `dry_run` returns it. Nothing is drawn where the image was never downloaded, except where it would lie.
    ax
        Where to draw; a new figure when left out.
    """
    plan = ram_plan(run.base, run.image_size)
    never = " (this image was never downloaded)" if run.verdict is RunVerdict.NOT_DOWNLOADED else ""
    ax = style.titled(ax, f"RAM as the programmer divides it{never}", 10.5, 2.4)
    used = min(run.stack_used, plan.stack_pointer - plan.image)
    bottom = plan.image + run.image_size
    for name, start, stop in [
        ("image", plan.image, bottom),
        ("free", bottom, plan.stack_pointer),
        ("stack", plan.stack_pointer - used, plan.stack_pointer),
        ("buffer", plan.buffer, plan.buffer + BUFFER_SIZE),
        ("breakpoint", plan.base, plan.image),
    ]:
        if stop > start:
            LOOKS[name].box(ax, start, 0, stop - start, 1, linewidth=0.9)
    end = plan.buffer + BUFFER_SIZE
    ax.set(
        xlim=(plan.base - (end - plan.base) * 0.02, end + (end - plan.base) * 0.02),
        ylim=(0, 1),
        xticks=[plan.base, bottom, plan.stack_pointer, end],
        yticks=[],
        xlabel="address",
    )
    style.hex_axis(ax)
    style.legend_below(ax, [look.key() for look in LOOKS.values()], columns=3)
    return ax
