"""Where the programmer puts a loader: breakpoint, image, stack and buffer, and how much of the stack was used."""

from __future__ import annotations

from matplotlib.axes import Axes

from h5diag.measure.loader.placement import BUFFER_SIZE, ram_plan
from h5diag.show.plots import style
from h5diag.sim.dryrun.run import DryRun, RunVerdict

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
