"""A board on the bench: what a person asks of a connected chip, each question one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from msgspec import structs

from h5diag.answer import PANELS, views
from h5diag.case.results import FlashTest, Identity
from h5diag.memory import AddressRange
from h5diag.probe.board.board import Board, supply_mv
from h5diag.probe.board.core import core_state
from h5diag.probe.board.identity import identify

if TYPE_CHECKING:
    from h5diag.evidence.files.elf import Named
    from h5diag.layout import Layout
    from h5diag.probe.acquire import Dump


class BenchBoard(Board):
    """A `Board` with the questions of the front door; the command line asks the same ones."""

    def identify(self, *, halt_s: float = 0.0, layout: Layout | None = None, symbols: Iterable[Named] = ()) -> Identity:
        """Return who the chip is, in which state, over which link, and where its core is.

        Parameters
        ----------
        halt_s
            How long the core may be halted when it gives no samples while it runs; needs the permission to halt.
        layout, symbols
            Name the slots and the functions in which the core is.
        """
        who, core = identify(self), None
        # What answers with another chip's identity is not asked for registers of this one.
        if who.chip is not None or who.dev_id is None:
            core = core_state(self, halt_s=halt_s, layout=layout, symbols=symbols)
        return structs.replace(
            who,
            core=core,
            probe=self.probe_id,
            probe_firmware=self.firmware,
            connect=self.mode.value,
            access=self.access.value,
            swd_hz=self.swd_hz,
            swd_asked_hz=self.frequency_hz,
            supply_mv=supply_mv(self),
        )

    def dump(
        self, start: int | None = None, stop: int | None = None, *, path: str = "", sweep: bool = False, **options: Any
    ) -> Dump:
        """Return the memory from `start` to before `stop` (the user flash when left out), read several times.

        Parameters
        ----------
        path
            File for it, with its map beside; empty keeps it in memory.
        sweep
            Compare link speeds afterwards.
        options
            ``passes``, ``chunk``, ``access`` of the plan; ``force``, ``progress``, ``cancel`` of the work.
        """
        from h5diag.probe import acquire

        where = self._range(start, stop)
        planned = {k: options.pop(k) for k in ("passes", "chunk", "access") if k in options}
        done = acquire.dump(self, acquire.DumpPlan(where, **planned), path=path, **options)
        return replace(done, sweep=acquire.sweep(self, done)) if sweep else done

    def flash_test(self, start: int, stop: int, folder: str, *, level: str = "standard", **options: Any) -> FlashTest:
        """Test whole sectors of the flash and put their contents back; needs the permission to erase exactly them.

        Parameters
        ----------
        folder
            Private folder for backup and journal.
        level
            ``quick``, ``standard`` or ``full``.
        options
            ``rounds``, ``speeds_hz``, ``power_cycles`` of the plan; ``power``, ``tell``, ``progress``, ``cancel``.
        """
        from h5diag.probe import flashtest

        planned = {k: options.pop(k) for k in ("rounds", "speeds_hz", "power_cycles", "wait_s") if k in options}
        plan = flashtest.TestPlan(AddressRange(start, stop), flashtest.Level(level), **planned)
        return flashtest.flash_test(self, plan, folder, **options)

    def interact(self, start: int | None = None, stop: int | None = None, *, path: str = "") -> Any:
        """Return a panel to connect to this probe and dump from it, to click in a notebook."""
        where = self._range(start, stop)
        return views(PANELS).board_panel(self.name, where, path)

    def _range(self, start: int | None, stop: int | None) -> AddressRange:
        flash = self.chip.flash_range
        return AddressRange(flash.start if start is None else start, flash.stop if stop is None else stop)
