"""``h5diag flashtest``: the destructive test of the flash, its plan, and the restore after an interruption."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

import h5diag as h5
from h5diag.app.cli.board import ACCESS, _hertz, access_of
from h5diag.app.cli.command import Argument, Command, Result, address_range, argument, number, progress_bar, result_of
from h5diag.errors import InputError, PermissionRefused
from h5diag.show import printing

if TYPE_CHECKING:
    from collections.abc import Callable

    from h5diag.chip import Chip
    from h5diag.memory import AddressRange
    from h5diag.probe.bench import BenchBoard
    from h5diag.probe.flashtest import Survey, TestPlan


def _speeds(text: str) -> tuple[int, ...]:
    return tuple(_hertz(word) for word in text.split(",") if word.strip())


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds") from None


_ARGUMENTS: tuple[Argument, ...] = (
    argument(
        "--probe",
        default="auto",
        metavar="P",
        help="auto, the begin of a probe's id, remote:HOST:PORT, virtual[:ITEM+ITEM]",
    ),
    argument(
        "--range",
        type=address_range,
        default=None,
        metavar="A:B",
        help="whole sectors of the user flash, B not included",
    ),
    argument(
        "--allow-erase",
        action="store_true",
        help="permission to erase exactly this range; the contents are put back at the end",
    ),
    argument("--out", default="", metavar="DIR", help="private folder for backup, journal and result"),
    argument("--restore", default="", metavar="DIR", help="put back what an interrupted test left"),
    argument(
        "--force",
        action="store_true",
        help="put a backup back over what was written since, or after a finished test",
    ),
    argument("--plan", action="store_true", help="touch nothing: tell minutes, wear, losses and limits"),
    argument(
        "--level",
        choices=("quick", "standard", "full"),
        default="standard",
        help="quick: one pattern; standard: every pair of cells; full: all patterns",
    ),
    argument(
        "--rounds",
        type=number,
        default=2,
        metavar="N",
        help="full rounds; two at two speeds are needed to call a chip faulty",
    ),
    argument(
        "--speeds", type=_speeds, default=(), metavar="HZ,HZ", help="link speeds of the rounds in turn (default 4M,1M)"
    ),
    argument("--wait", type=_seconds, default=0.0, metavar="S", help="seconds between write and read"),
    argument(
        "--no-power-cycle",
        action="store_true",
        help="do not ask for the supply to be turned off and on between the rounds",
    ),
    argument(
        "--way",
        choices=("auto", "algorithm", "registers"),
        default="auto",
        help="by code in SRAM or by register accesses alone (default: code if the core runs it)",
    ),
    argument(
        "--burst",
        type=number,
        default=16,
        metavar="BYTES",
        help="bytes between two looks at the busy flag when programming by registers",
    ),
    argument(
        "--access",
        choices=ACCESS,
        default="auto",
        help="side of the flash (default: secure when TrustZone is on)",
    ),
    argument("--chip", default="", metavar="NAME", help="chip file (default stm32h563zi)"),
)


def _plan(options: Namespace, chip: Chip) -> TestPlan:
    from h5diag.memory import AddressRange
    from h5diag.probe.flashtest import SPEEDS_HZ, Level, TestPlan, Way

    if options.range is None:
        raise InputError("no range to test", advice="name whole sectors with --range START:STOP")
    start, stop = options.range
    canonical = chip.canonical(start)
    plan = TestPlan(
        AddressRange(canonical, canonical + stop - start),
        Level(options.level),
        options.rounds,
        options.speeds or SPEEDS_HZ,
        wait_s=options.wait,
        power_cycles=not options.no_power_cycle,
        way=Way(options.way),
        burst=options.burst,
    )
    plan.check(chip)
    return plan


def _run(options: Namespace) -> Result:
    chip = h5.load_chip(options.chip)
    if options.restore:
        return _restore(options)
    plan = _plan(options, chip)
    if options.plan:
        return _planned(plan, chip, options.chip)
    if not options.allow_erase:
        raise PermissionRefused(
            f"the flash test erases {plan.range} and puts its contents back",
            advice="read --plan first, then say --allow-erase",
        )
    if not options.out:
        raise InputError("no folder for the backup", advice="name a new one with --out DIR")
    from h5diag.probe.flashtest import flash_test

    def show(found: Survey) -> None:
        printing.error("\n".join(_before(plan, chip, found)))

    with (
        _connected(options, plan.range, plan.speeds_hz[0]) as board,
        progress_bar("flash test", lambda: board.moved) as progress,
    ):
        result = flash_test(
            board,
            plan,
            options.out,
            access=access_of(options),
            force=options.force,
            power=_power_switch(),
            tell=_tell,
            show=show,
            progress=progress,
        )
    whole = result.restored or not result.erase_cycles
    return result_of(result, status=0 if whole else 3)


def _connected(options: Namespace, where: AddressRange, speed: int) -> BenchBoard:
    """Return the board, which may be erased in one range and halted for it."""
    return h5.connect(options.probe, mode="halt", chip=options.chip, speed_hz=speed, erase=(where.start, where.stop))


def _tell(text: str) -> None:
    printing.remark(f"h5diag flashtest: {text}")


def _power_switch() -> Callable[[], None] | None:
    """Return what asks the person for a power cycle; None when nobody sits there."""
    if not printing.somebody_there():
        return None

    def ask() -> None:
        printing.ask("\nTurn the supply of the board off, wait a few seconds, turn it on, then press Enter. ")

    return ask


def _before(plan: TestPlan, chip: Chip, found: Survey) -> list[str]:
    from h5diag.probe.flashtest import LOST, rated_cycles
    from h5diag.text import count_text

    lines = [
        f"flash test of {plan.range}: about {plan.minutes(chip):.1f} minutes, {count_text(plan.erase_cycles, 'erase cycle')} of"
        f" each sector (rated: {rated_cycles(chip)[0]})"
    ]
    lines += [f"lost      {text}" for text in (*LOST, *found.warnings)]
    lines += [f"untested  0x{o.start:08X}  {o.reason}" for o in found.obstacles]
    return lines


def _planned(plan: TestPlan, chip: Chip, given: str) -> Result:
    from h5diag.chip import choose_chip
    from h5diag.probe.flashtest import CANNOT, LOST, rated_cycles
    from h5diag.show.board import plan_sheet
    from h5diag.text import count_text

    rated, told = rated_cycles(chip)
    minutes = plan.minutes(chip)
    patterns = list(dict.fromkeys(s.pattern for s in plan.steps))
    choice = choose_chip(given=given)
    document = choice.to_dict() | {
        "minutes": minutes,
        "erase_cycles": plan.erase_cycles,
        "rated_cycles": rated,
        "lost": list(LOST),
        "cannot_be_tested": list(CANNOT),
        "range": [plan.range.start, plan.range.stop],
        "sectors": plan.range.size // chip.flash.sector_size,
        "level": plan.level.value,
        "rounds": plan.rounds,
        "swd_hz": list(plan.speeds_hz),
        "patterns": patterns,
    }
    speeds = ", ".join(f"{s / 1e6:g}" for s in plan.speeds_hz)
    properties = [
        ("chip", choice.text),
        ("wear", f"{count_text(plan.erase_cycles, 'erase cycle')} of each sector, rated for {rated} ({told})"),
        ("does", f"{count_text(plan.rounds, 'round')} at {speeds} MHz: {', '.join(patterns)}"),
        *(("lost", t) for t in LOST),
        *(("limit", t) for t in CANNOT),
    ]
    headline = f"about {minutes:.1f} minutes for {plan.range}; nothing is touched now"
    return Result(document, plan_sheet(headline, properties))


def _restore(options: Namespace) -> Result:
    from h5diag.probe.flashtest import SPEEDS_HZ, Folder, Restored, restore
    from h5diag.show.board import restored_sheet

    folder = Folder(options.restore)
    done = Restored()
    if folder.begun:
        # The folder's journal is the permission for exactly its own range.
        with (
            _connected(options, folder.manifest().range, (options.speeds or SPEEDS_HZ)[0]) as board,
            progress_bar("restore", lambda: board.moved) as progress,
        ):
            done = restore(board, options.restore, force=options.force, progress=progress)
    document = {
        "restored": done.ok,
        "sectors": done.sectors,
        "written": list(done.written),
        "failed": list(done.failed),
    }
    return Result(document, restored_sheet(done, begun=folder.begun), 0 if done.ok else 3)


COMMANDS = (
    Command(
        "flashtest",
        "prove or clear the flash: back up, erase, fill, verify, restore (destructive)",
        _ARGUMENTS,
        _run,
        examples=(
            "h5diag flashtest --plan --range 0x08040000:0x08048000",
            "h5diag flashtest --probe auto --range 0x08040000:0x08048000 --allow-erase --out private-folder",
            "h5diag flashtest --probe auto --restore private-folder",
        ),
    ),
)
