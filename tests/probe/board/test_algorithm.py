"""Our own flash algorithm through pyOCD's own Flash class, on code that really runs: independent of our driver."""

import shutil
import subprocess

import numpy as np
import pytest

from h5diag.errors import TargetError
from h5diag.memory import AddressRange
from h5diag.probe.flashtest import programmer
from h5diag.probe.flashtest.programmer import make_flash

from .support import chip_of, writable

pytest.importorskip("unicorn")
from h5diag.sim.virtual.engine import UnicornEngine

RAM = AddressRange(0x20000000, 0x20010000)
WHERE = AddressRange(0x08000000, 0x08200000)
SECTOR = 0x08014000


def programmed(board, base=SECTOR, secure=False, data=None):
    """Erase and program one sector; return what was meant."""
    data = np.random.default_rng(3).integers(0, 256, 0x2000, dtype=np.uint8) if data is None else data
    chip_of(board).core.engine = UnicornEngine(chip_of(board))
    with board.locked():
        flash = make_flash(board.target, board.chip, RAM, secure=secure)
        flash.init(flash.Operation.ERASE, base)
        flash.erase_sector(base)
        flash.uninit()
        flash.init(flash.Operation.PROGRAM, base)
        flash.program_page(base, data.tolist())
        flash.cleanup()
    return data


def test_erase_and_program_through_pyocds_flash_class(link):
    with writable(WHERE, f"link={link}") as board:
        before = chip_of(board).state.data.copy()
        data = programmed(board)
        assert np.array_equal(board.read(SECTOR, SECTOR + 0x2000), data)
        before[0x14000:0x16000] = data
        assert np.array_equal(chip_of(board).state.data, before)
        kinds = [o.kind for o in chip_of(board).flash.operations]
        assert kinds == ["erase"] + ["program"] * 512
        assert chip_of(board).flash.read(0x28, False) & 1, "locked again"


def test_erased_quad_words_stay_unprogrammed():
    with writable(WHERE) as board:
        data = np.full(0x2000, 0xFF, np.uint8)
        data[0x100:0x110] = 1
        programmed(board, data=data)
        assert [o.kind for o in chip_of(board).flash.operations] == ["erase", "program"]


def test_bank_2_and_swapped_banks():
    for swapped in (False, True):
        with writable(WHERE) as board:
            chip = chip_of(board)
            chip.flash.swapped = swapped
            chip.flash._regs["OPTCR"] |= swapped << 31
            for base in (0x08014000, 0x08114000):
                data = programmed(board, base)
                assert np.array_equal(board.read(base, base + 0x2000), data)


def test_the_secure_side():
    from h5diag.memory import Access

    with writable(WHERE) as board:
        o = chip_of(board).flash.options
        o["OPTSR2_CUR"] = o["OPTSR2_CUR"] & 0xFFFFFF | 0xB4 << 24
        o["SECWM1R_CUR"] = 0x7F << 16
        chip_of(board).flash.generation += 1
        data = programmed(board, 0x0C014000, secure=True)
        assert np.array_equal(board.read(0x0C014000, 0x0C016000, access=Access.SECURE), data)
        with pytest.raises(TargetError):
            programmed(board)


@pytest.mark.parametrize("break_it", ["write-protected", "no-commit", "stuck", "dead"])
def test_negative_controls_fail(break_it):
    """The same run on a controller that refuses, forgets or has bad cells must not come out right."""
    items = {
        "stuck": f"stuck-bit@0x{SECTOR:X}-0x{SECTOR + 0x2000:X},count=8",
        "dead": f"dead-sector@0x{SECTOR:X}-0x{SECTOR + 0x2000:X}",
    }.get(break_it, "")
    with writable(WHERE, items) as board:
        chip = chip_of(board)
        if break_it == "write-protected":
            chip.flash.options["WRP1R_CUR"] = 0
            with pytest.raises(TargetError):
                programmed(board)
            return
        if break_it == "no-commit":
            chip.flash.cells.program = lambda *a: None
        chip.state.data[0x14000:0x16000] = 0
        data = programmed(board)
        assert not np.array_equal(board.read(SECTOR, SECTOR + 0x2000), data)


@pytest.mark.arm
@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no arm-none-eabi-gcc")
def test_the_blob_is_what_the_source_says(tmp_path):
    from importlib import resources

    version = subprocess.run(["arm-none-eabi-gcc", "-dumpfullversion"], capture_output=True, text=True).stdout
    if not version.startswith("12.2"):
        pytest.skip(f"the blob was built with 12.2, not {version.strip()}")
    folder = resources.files("h5diag.probe.flashtest") / "algorithm"
    out = tmp_path / "a.bin"
    subprocess.run(["sh", str(folder / "build.sh"), str(out)], check=True)
    assert out.read_bytes() == (folder / "flash_algorithm.bin").read_bytes()


def test_a_ram_that_is_too_small():
    with pytest.raises(ValueError, match="too small"):
        programmer.describe(AddressRange(0x20000000, 0x20001000), 0x2000)
