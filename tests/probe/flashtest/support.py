"""Chips for the flash test: small ranges, quick programming, everything recorded by the virtual chip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from h5diag.memory import AddressRange
from h5diag.probe.board import Board, ConnectMode, Permissions, connect
from h5diag.probe.flashtest import FlashTest, Level, TestPlan, Way, flash_test
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items

RANGE = AddressRange(0x08040000, 0x08044000)
FIRST, SECOND = 0x08040000, 0x08042000
QUICK = TestPlan(RANGE, Level.QUICK, way=Way.REGISTERS, burst=0x2000)
STANDARD = replace(QUICK, level=Level.STANDARD)


def make_chip(*items: str) -> VirtualChip:
    return VirtualChip(parse_items(["link=memory", *items]))


def on(chip: VirtualChip, where: AddressRange = RANGE, *, ram: bool = False) -> Board:
    """Connect to a chip with the permissions of a flash test."""
    return connect(
        "virtual",
        probe=VirtualProbe(chip, chip.setup.link),
        mode=ConnectMode.HALT,
        permissions=Permissions(erase=(where,), halt=True, ram=ram),
    )


def run(chip: VirtualChip, path, plan: TestPlan = QUICK, **more) -> FlashTest:
    with on(chip, plan.range, ram=plan.way is not Way.REGISTERS) as board:
        return flash_test(board, plan, str(path), **more)


def kinds(result: FlashTest) -> set[str]:
    return {f.kind for f in result.faults}


def untouched(chip: VirtualChip) -> bool:
    """Tell whether nothing was erased, programmed or prepared."""
    return not chip.flash.operations


def inside(chip: VirtualChip, where: AddressRange) -> bool:
    """Tell whether every erase and program was within a range, and nothing else was written."""
    return all(
        o.kind in ("erase", "program") and where.covers(AddressRange(o.address, o.address + o.size))
        for o in chip.flash.operations
    )


def programmed(chip: VirtualChip) -> int:
    """Return how many quad-words were programmed."""
    return sum(o.size for o in chip.flash.operations if o.kind == "program") // 16


def with_option(chip: VirtualChip, register: str, field: str, value: int) -> VirtualChip:
    f = chip.description.register(register).field(field)
    chip.flash.options[register] = f.put(chip.flash.options[register], value)
    chip.flash.generation += 1
    return chip


def sector_bytes(chip: VirtualChip, start: int) -> np.ndarray:
    return chip.state.data[start - 0x08000000 : start - 0x08000000 + 0x2000]
