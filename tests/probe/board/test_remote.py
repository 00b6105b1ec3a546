"""A chip that lives in another process: the stock pyocd command, kills, signals, resumption."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from h5diag.errors import InputError, ProbeError
from h5diag.evidence.files import read_image
from h5diag.memory import AddressRange
from h5diag.probe.acquire import DumpPlan, dump
from h5diag.probe.board import connect, identify
from h5diag.sim.virtual import VirtualChip, parse_items
from h5diag.sim.virtual.probe import ChipServer

from .support import FLASH, SMALL, served

PYOCD = [str(Path(sys.executable).with_name("pyocd")), "commander", "-t", "cortex_m", "-M", "attach"]


def commander(port, *commands):
    arguments = [*PYOCD, "-u", f"remote:localhost:{port}"]
    for c in commands:
        arguments += ["-c", c]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120)


def test_the_stock_commander_reads_identity_and_saves_what_we_dump(tmp_path):
    stock, ours = tmp_path / "stock.bin", tmp_path / "ours.bin"
    with served("board=defect") as (_, port):
        got = commander(
            port, "status", "read32 0x44024000", "read32 0x08FFF80C", f"savemem 0x08000000 0x200000 {stock}"
        )
        assert got.returncode == 0, got.stderr
        assert "10076484" in got.stdout.lower()
        assert "0800" in got.stdout
        with connect(f"remote:localhost:{port}") as board:
            done = dump(board, DumpPlan(FLASH, passes=1), path=str(ours))
    assert done.image.size == FLASH.size
    assert stock.read_bytes() == ours.read_bytes()


def test_the_stock_commander_gives_up_where_we_go_on(tmp_path):
    stock, ours = tmp_path / "stock.bin", tmp_path / "ours.bin"
    bad = AddressRange(SMALL.start + 0x100, SMALL.start + 0x108)
    with served(f"bus-fault@0x{bad.start:X}-0x{bad.stop:X}") as (_, port):
        got = commander(port, f"savemem 0x{SMALL.start:X} 0x{SMALL.size:X} {stock}")
        assert got.returncode != 0 or not stock.exists()
        with connect(f"remote:localhost:{port}") as board:
            done = dump(board, DumpPlan(SMALL), path=str(ours))
    assert done.image.unreadable == (bad,)
    assert read_image(ours).size == SMALL.size - bad.size


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("connected", [False, True])
def test_the_server_ends_on_signals_also_with_a_client(number, connected):
    with served() as (process, port):
        board = connect(f"remote:localhost:{port}") if connected else None
        process.send_signal(number)
        assert process.wait(10) == 0
        if board:
            with pytest.raises(ProbeError, match="gone"):
                board.read(0x08000000, 0x08001000)
            board.close()


HOLDER = """
import sys
from h5diag.probe.board import connect
board = connect(sys.argv[1])
board._session.probe.lock()
board.target.halt()
print("holding", flush=True)
while True:
    board.read(0x08000000, 0x08010000)
"""


def test_the_next_client_is_taken_after_a_kill_even_of_one_that_held_the_lock():
    with served() as (_, port):
        for _ in range(3):
            with subprocess.Popen(
                [sys.executable, "-c", HOLDER, f"remote:localhost:{port}"], stdout=subprocess.PIPE, text=True
            ) as client:
                assert client.stdout.readline() == "holding\n"
                client.kill()
            with connect(f"remote:localhost:{port}") as board:
                assert identify(board).dev_id == 0x484
        assert commander(port, "read32 0x44024000").returncode == 0


def test_a_dump_that_is_killed_goes_on_where_it_was(tmp_path):
    path = tmp_path / "a.bin"
    where = "0x08000000:0x08100000"
    with served() as (_, port):
        command = [
            sys.executable,
            "-m",
            "h5diag",
            "dump",
            "--probe",
            f"remote:localhost:{port}",
            "--out",
            str(path),
            "--range",
            where,
            "--chunk",
            "0x4000",
            "--passes",
            "3",
        ]
        reads = path.with_name("a.bin.reads")
        for wanted in (0x10000, 0x90000, 0x150000):
            with subprocess.Popen([*command, "--resume"], stdout=subprocess.DEVNULL) as process:
                while process.poll() is None and (not reads.exists() or reads.stat().st_size < wanted):
                    time.sleep(0.005)
                assert process.poll() is None, "killed in the middle"
                process.kill()
            assert reads.stat().st_size >= wanted
        got = subprocess.run([*command, "--resume", "--json"], capture_output=True, text=True, timeout=120)
        assert got.returncode == 0, got.stderr
        with connect(f"remote:localhost:{port}") as board:
            truth = board.read(0x08000000, 0x08100000)
    assert np.array_equal(np.frombuffer(path.read_bytes(), np.uint8), truth)
    assert not path.with_name("a.bin.reads").exists()


def test_kept_flash_outlives_a_killed_chip(tmp_path):
    state = tmp_path / "flash.bin"
    seen = []
    for _ in range(3):
        with served(f"state={state}") as (process, port), connect(f"remote:localhost:{port}") as board:
            words = board.read_words(0x20000000, 4)
            assert not words.any()
            seen.append(board.read(0x08000000, 0x08000010).tobytes())
            process.kill()
            process.wait()
    assert len(set(seen)) == 1
    other = tmp_path / "other.bin"
    other.write_bytes(b"not a flash")
    with pytest.raises(InputError):
        VirtualChip(parse_items([f"state={other}"]))


def test_programmed_flash_and_options_are_kept(tmp_path):
    items = [f"state={tmp_path / 'flash.bin'}"]
    chip = VirtualChip(parse_items(items))
    for key in (0x45670123, 0xCDEF89AB):
        chip.write(0x40022004, key.to_bytes(4, "little"), False)
    chip.write(0x40022028, (4 | 32 << 6 | 0x20).to_bytes(4, "little"), False)
    for key in (0x08192A3B, 0x4C5D6E7F):
        chip.write(0x4002200C, key.to_bytes(4, "little"), False)
    chip.write(0x400220E4, (5).to_bytes(4, "little"), False)
    chip.write(0x4002201C, (2).to_bytes(4, "little"), False)
    again = VirtualChip(parse_items(items))
    assert (again.state.data[0x40000:0x42000] == 0xFF).all()
    assert again.flash.options["SECWM1R_CUR"] == 5
    assert np.array_equal(again.state.data, chip.state.data)


def test_a_taken_port_is_one_clear_line():
    with ChipServer(VirtualChip()) as server, pytest.raises(InputError, match="port"):
        ChipServer(VirtualChip(), server.port)


def test_security_is_chosen_over_the_wire():
    """The stock remote memory interface drops the attribute of an access; ours must not."""
    from h5diag.memory import Access
    from h5diag.sim.virtual import VirtualProbe

    chip = VirtualChip()
    o = chip.flash.options
    o["OPTSR2_CUR"] = o["OPTSR2_CUR"] & 0xFFFFFF | 0xB4 << 24
    o["SECWM1R_CUR"] = 0x7F << 16
    chip.flash.generation += 1
    for link in ("dap", "memory"):
        with (
            ChipServer(chip, make_probe=lambda c, k=link: VirtualProbe(c, k)) as server,
            connect(f"remote:localhost:{server.port}") as board,
        ):
            assert board.read(0x08000000, 0x08000400, access=Access.SECURE).any()
            assert not board.read(0x08000000, 0x08000400, access=Access.NONSECURE).any()


def test_two_threads_on_one_remote_board_get_right_answers():
    import threading

    with ChipServer(VirtualChip()) as server, connect(f"remote:localhost:{server.port}") as board:
        truth, wrong = server.chip.state.data, []

        def read(start):
            for i in range(80):
                at = start + 128 * i
                if not np.array_equal(board.read(FLASH.start + at, FLASH.start + at + 128), truth[at : at + 128]):
                    wrong.append(at)

        threads = [threading.Thread(target=read, args=(a,)) for a in (0, 0x40000, 0x100000)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not wrong
