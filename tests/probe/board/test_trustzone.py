"""What a read returns, by attribute: zeros without a fault, in whole sectors."""

import numpy as np
import pytest

from h5diag.errors import PermissionRefused
from h5diag.memory import Access
from h5diag.probe.board import connect

from .support import LINKS, chip_of

S, N = Access.SECURE, Access.NONSECURE


def trustzone(board, first=2, last=4, hidden=(1, 0), level=1):
    chip = chip_of(board)
    o = chip.flash.options
    o["OPTSR2_CUR"] = o["OPTSR2_CUR"] & 0xFFFFFF | 0xB4 << 24
    o["SECWM1R_CUR"] = first | last << 16
    o["HDP1R_CUR"] = hidden[0] | hidden[1] << 16
    chip.bus.hdp_level = level
    chip.flash.generation += 1


def view(board, access, base=0x08000000):
    """First and last word of sectors 0 to 7."""
    return [
        board.read(base + s * 0x2000 + at, base + s * 0x2000 + at + 4, access=access).tobytes()
        for s in range(8)
        for at in (0, 0x1FFC)
    ]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("base", [0x08000000, 0x0C000000])
def test_the_attribute_decides_not_the_alias(link, base):
    with connect(f"virtual:link={link}") as board:
        chip_of(board).state.data[:] = 0x5A
        trustzone(board)
        got = [[w == b"\x5a" * 4 for w in view(board, a, base)] for a in (N, S)]
        secure = [2 <= s <= 4 for s in range(8) for _ in (0, 1)]
        assert got == [[not s for s in secure], secure]


def test_without_trustzone_both_attributes_see_everything():
    with connect("virtual") as board:
        chip_of(board).state.data[:] = 0x5A
        assert all(w == b"\x5a" * 4 for a in (N, S) for w in view(board, a))


def test_secbb_adds_to_secwm_and_needs_a_secure_write():
    with connect("virtual") as board:
        chip = chip_of(board)
        chip.state.data[:] = 0x5A
        trustzone(board)
        offset = chip.description.register("SECBB1R1").offset
        chip.flash.write(offset, 1 << 6, False)
        assert chip.flash.read(offset, True) == 0
        chip.flash.write(offset, 1 << 6, True)
        assert not board.read(0x0800C000, 0x0800C010, access=N).any()
        assert board.read(0x0800C000, 0x0800C010, access=S).all()
        chip.reset()
        assert board.read(0x0800C000, 0x0800C010, access=N).all(), "SECBB is gone after a reset"


def test_hidden_sectors_read_zero_from_level_2_on():
    with connect("virtual") as board:
        chip_of(board).state.data[:] = 0x5A
        for level, seen in ((1, True), (2, False), (3, False)):
            trustzone(board, hidden=(0, 1), first=0x7F, last=0, level=level)
            assert board.read(0x08000000, 0x08004000, access=N).any() == seen
            assert board.read(0x08004000, 0x08004010, access=N).all()


def test_a_read_across_a_border_masks_only_its_part(link):
    with connect(f"virtual:link={link}") as board:
        chip_of(board).state.data[:] = 0x5A
        trustzone(board)
        got = board.read(0x08003F00, 0x08004100, access=N)
        assert np.array_equal(got, np.repeat(np.array([0x5A, 0], np.uint8), 0x100))


def test_secure_is_refused_rather_than_claimed():
    with connect("virtual:board=founding") as board:
        assert not board.secure_allowed
        with pytest.raises(PermissionRefused, match="secure"):
            board.read(0x0C000000, 0x0C000010, access=S)
        assert board.access is N
    with pytest.raises(PermissionRefused):
        connect("virtual:board=founding", access=S)
