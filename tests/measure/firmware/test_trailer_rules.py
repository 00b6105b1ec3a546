"""Which trailer magic a boot loader takes for its own, and when a swapped image counts as reverted."""

from __future__ import annotations

import pytest
from imgtool_images import CODE, Workshop
from test_firmware_slots import SWAP_P, SWAP_S, board, states, swap_trailer

from h5diag.layout import Loader, Mode, load_layout
from h5diag.measure.firmware import State, parse_trailer
from h5diag.measure.firmware.swap import Rules
from h5diag.measure.firmware.trailer import ALIGNED_MAGIC_TAIL, CLASSIC_MAGIC


def aligned(size: int) -> bytes:
    return size.to_bytes(2, "little") + ALIGNED_MAGIC_TAIL


@pytest.mark.parametrize(
    ("loader", "unit", "magic", "accepted"),
    [
        (Loader.UPSTREAM, 16, aligned(16), True),
        (Loader.UPSTREAM, 16, aligned(32), False),
        (Loader.UPSTREAM, 32, aligned(16), False),
        (Loader.UPSTREAM, 16, CLASSIC_MAGIC, False),
        (Loader.UPSTREAM, 8, CLASSIC_MAGIC, True),
        (Loader.UPSTREAM, 8, aligned(16), False),
        (Loader.ST, 16, CLASSIC_MAGIC, True),
        (Loader.ST, 16, aligned(16), False),
    ],
)
def test_the_aligned_magic_names_the_program_unit(loader: Loader, unit: int, magic: bytes, accepted: bool) -> None:
    trailer = parse_trailer(b"\xff" * 4096 + magic, program_unit=unit)
    assert Rules(loader, Mode.OVERWRITE, unit, 0x2000).accepts(trailer) is accepted


@pytest.mark.parametrize(
    ("running", "waiting", "state"),
    [("1.0.0", "2.0.0", State.REVERTED), ("2.0.0", "2.0.0", State.INSTALLED), ("2.0.0", "1.0.0", State.INSTALLED)],
)
def test_only_a_newer_image_was_swapped_back(workshop: Workshop, running: str, waiting: str, state: State) -> None:
    first = workshop.sign(payload=CODE * 6, header=0x400, version=running)
    second = workshop.sign(payload=CODE * 6, header=0x400, version=waiting)
    found = states(
        board(
            (SWAP_P, swap_trailer(first, copy_done=1, image_ok=1, info=4)),
            (SWAP_S, swap_trailer(second, magic=b"\xff" * 16)),
        ),
        load_layout("oemirot-2m-swap"),
    )
    assert found["secure secondary"].state is state
