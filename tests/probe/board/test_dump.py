"""Dumps of boards with every fault, each against a sound board; and what a dump costs."""

import json
import threading
import time
import tracemalloc

import numpy as np
import pytest

from h5diag.errors import Cancelled, InputError, ProbeError
from h5diag.evidence.files import read_image, read_sidecar
from h5diag.memory import Access, AddressRange
from h5diag.probe.acquire import DumpPlan, dump, sweep
from h5diag.probe.board import connect

from .support import FLASH, LINKS, SMALL, cells, chip_of

R = f"@0x{SMALL.start:X}-0x{SMALL.stop:X}"


def taken(items, plan=None, **more):
    """A dump, and what it got wrong where it says that every reading agrees."""
    with connect(f"virtual:{items}") as board:
        plan = plan or DumpPlan(SMALL, chunk=0x4000)
        done = dump(board, plan, **more)
        truth = cells(board, plan.range)
        wrong = 0
        for r in done.agreed:
            got = done.image.read(r.start, r.stop)
            wrong += int((got != truth[r.start - plan.range.start : r.stop - plan.range.start]).sum())
        return done, wrong


@pytest.mark.parametrize("link", LINKS)
def test_a_sound_board_is_read_whole_and_quiet(link):
    done, wrong = taken(f"link={link}")
    assert (wrong, done.passes, done.image.size) == (0, 2, SMALL.size)
    assert done.image.unreadable == done.image.unstable == ()
    assert done.coincidence == 0
    assert "bytes agree, 0 unstable, 0 unreadable" in done.wording
    assert done.image.origin.access is Access.NONSECURE


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    ("fault", "rate"), [("zero-chunk", 0.05), ("drop-word", 0.0005), ("bus-fault-sporadic", 0.01), ("unstable", 0.5)]
)
@pytest.mark.parametrize("seed", range(3))
def test_faults_that_change_from_read_to_read_never_pass_as_agreed(fault, rate, seed, link):
    done, wrong = taken(f"{fault}{R},rate={rate}+seed={seed}+link={link}")
    assert wrong == 0
    assert done.image.unreadable == ()
    if fault != "bus-fault-sporadic":
        assert done.image.unstable
    if fault == "unstable":
        with connect(f"virtual:{fault}{R}+seed={seed}") as board:
            bits = chip_of(board).flash.cells._unstable.offsets + 0x08000000
        assert all(any(int(b) in r for r in done.image.unstable) for b in bits), "every unstable bit is flagged"
        assert sum(r.size for r in done.image.unstable) <= 4 * len(bits), "and nothing beside them"


@pytest.mark.parametrize("link", LINKS)
def test_a_permanent_fault_is_had_down_to_its_words(link):
    bad = AddressRange(SMALL.start + 0x1234, SMALL.start + 0x1300)
    done, wrong = taken(f"bus-fault@0x{bad.start:X}-0x{bad.stop:X}+link={link}")
    assert done.image.unreadable == (bad,)
    assert (wrong, done.image.size) == (0, SMALL.size - bad.size)


@pytest.mark.parametrize(
    "fault",
    [
        "zero-chunk,repeat=1,rate=0.05",
        "stuck-bit,bit=3,value=0,count=40",
        "address-alias,bit=12",
    ],
)
def test_what_repeats_agrees_and_is_never_called_verified(fault):
    name, comma, rest = fault.partition(",")
    done, wrong = taken(name + R + comma + rest)
    assert wrong > 0, "the fault must show"
    assert done.image.unstable == ()
    assert "bytes agree, 0 unstable, 0 unreadable" in done.wording
    text = " ".join((done.wording, *done.image.origin.remarks)).lower()
    assert "verified" not in text


def test_one_pass_claims_nothing():
    done, _ = taken("", DumpPlan(SMALL, passes=1))
    assert done.passes == 1
    assert "agrees" not in done.wording


def test_many_passes_are_made_when_asked():
    assert taken("", DumpPlan(SMALL, passes=5))[0].passes == 5


def test_beyond_the_flash_is_unreadable_and_the_flash_is_had():
    where = AddressRange(0x081FE000, 0x08201000)
    with connect("virtual") as board:
        done = dump(board, DumpPlan(where))
    assert done.image.unreadable == (AddressRange(0x08200000, 0x08201000),)
    assert done.image.size == 0x2000


def test_bad_areas_come_last():
    order = []
    with connect(f"virtual:bus-fault@0x{SMALL.start + 16:X}-0x{SMALL.start + 20:X}") as board:
        dump(board, DumpPlan(SMALL, chunk=0x4000, passes=1), watch=lambda r, s: order.append((r.start, s)))
    assert order[0][0] == SMALL.start + 0x4000
    assert order[-1] == (SMALL.start, "unreadable")


@pytest.mark.parametrize(("start", "access"), [(0x08000000, Access.NONSECURE), (0x0C000000, Access.SECURE)])
def test_the_access_follows_the_alias_and_is_recorded(start, access, tmp_path):
    path = str(tmp_path / "a.bin")
    with connect("virtual") as board:
        done = dump(board, DumpPlan(AddressRange(start, start + 0x4000)), path=path)
    assert done.image.access is access
    side = read_sidecar(path)
    assert (side.access, side.base, side.mode, side.chip) == (access, start, "hotplug", "stm32h563zi")
    assert (side.uid, side.passes, side.swd_hz, side.sha256) == (done.uid, 2, 4_000_000, done.sha256)
    assert read_image(path) == done.image
    assert not (tmp_path / "a.bin.reads").exists()


def test_the_map_file_tells_holes_and_unstable_words(tmp_path):
    path = str(tmp_path / "a.hex")
    items = "unstable@0x08040000-0x08040040+bus-fault@0x08040800-0x08040808"
    with connect("virtual:" + items) as board:
        done = dump(board, DumpPlan(SMALL, chunk=0x4000), path=path)
    side = read_sidecar(path)
    assert side.holes == done.image.unreadable == (AddressRange(SMALL.start + 0x800, SMALL.start + 0x808),)
    assert side.unstable == done.image.unstable != ()
    assert any("TrustZone off" in r for r in side.remarks)
    assert any(r.startswith("OPTSR_CUR") for r in side.remarks)


def test_ecc_errors_met_on_the_way_are_told():
    with connect("virtual:board=defect") as board:
        done = dump(board, DumpPlan(AddressRange(0x08026000, 0x08027000)))
    assert any("0x08026A40" in r and "double" in r for r in done.image.origin.remarks)
    done, _ = taken("")
    assert not any("ECC" in r for r in done.image.origin.remarks)


def test_an_unplugged_cable_keeps_what_was_read_and_resume_reads_only_the_rest(tmp_path):
    path = str(tmp_path / "a.bin")
    plan = DumpPlan(AddressRange(0x08000000, 0x08040000), chunk=0x4000)
    with connect("virtual:unplug,after=150000") as board, pytest.raises(ProbeError, match="--resume"):
        dump(board, plan, path=path)
    side = json.loads((tmp_path / "a.bin.map.json").read_text())
    assert side["unread"]
    assert (tmp_path / "a.bin.reads").exists()
    with connect("virtual") as board:
        before = chip_of(board).path._bytes
        done = dump(board, plan, path=path)
        again = chip_of(board).path._bytes - before
        assert np.array_equal(done.image.read(plan.range.start, plan.range.stop), cells(board, plan.range))
    assert again < 2 * plan.range.size - 100_000, "what is good is not read again"
    assert (done.passes, done.image.unstable) == (2, ())


@pytest.mark.parametrize("cut", [0, 1, 30, 31, 5000, -1])
def test_a_record_cut_short_by_a_kill_is_dropped(tmp_path, cut):
    path, plan = str(tmp_path / "a.bin"), DumpPlan(SMALL, chunk=0x4000)
    with connect("virtual:unplug,after=40000") as board, pytest.raises(ProbeError):
        dump(board, plan, path=path)
    reads = tmp_path / "a.bin.reads"
    data = reads.read_bytes()
    head = data.index(b"\n") + 1
    reads.write_bytes(data[: head + cut] if cut >= 0 else data[:-1] + bytes([data[-1] ^ 1]))
    with connect("virtual") as board:
        done = dump(board, plan, path=path)
        assert np.array_equal(done.image.read(SMALL.start, SMALL.stop), cells(board, SMALL))


def test_a_resume_checks_whose_reads_they_are(tmp_path):
    path, plan = str(tmp_path / "a.bin"), DumpPlan(SMALL)
    with connect("virtual:unplug,after=20000") as board, pytest.raises(ProbeError):
        dump(board, plan, path=path)
    with connect("virtual:seed=9") as board, pytest.raises(InputError, match="UID"):
        dump(board, plan, path=path)
    with connect("virtual") as board, pytest.raises(InputError, match="range"):
        dump(board, DumpPlan(AddressRange(SMALL.start, SMALL.stop + 4)), path=path)
    (tmp_path / "a.bin.reads").write_bytes(b"junk\n")
    with connect("virtual") as board, pytest.raises(InputError, match="not the reads"):
        dump(board, plan, path=path)
    with connect("virtual") as board:
        assert dump(board, plan, path=path, force=True).image.size == SMALL.size


def test_cancelling_keeps_what_was_read(tmp_path):
    path, seen = str(tmp_path / "a.bin"), []
    with connect("virtual") as board:
        with pytest.raises(Cancelled):
            dump(board, DumpPlan(SMALL, chunk=0x4000), path=path, progress=seen.append, cancel=lambda: len(seen) > 1)
        done = dump(board, DumpPlan(SMALL, chunk=0x4000), path=path)
    assert done.image.size == SMALL.size


def test_progress_rises_to_one():
    seen = []
    taken("", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize("more", [{"chunk": 100}, {"chunk": 1 << 20}, {"passes": 0}, {"passes": 1000}])
def test_plans_check_themselves(more):
    with pytest.raises(InputError):
        DumpPlan(SMALL, **more)
    with pytest.raises(InputError):
        DumpPlan(AddressRange(4, 4))
    with pytest.raises(InputError):
        DumpPlan(AddressRange(0, 1 << 30))


def test_a_folder_that_is_not_there(tmp_path):
    with connect("virtual") as board, pytest.raises(InputError, match="written"):
        dump(board, DumpPlan(SMALL), path=str(tmp_path / "none" / "a.bin"))


def test_a_sweep_shows_a_link_that_fails_when_fast():
    with connect(f"virtual:zero-chunk{R},rate=0.05,above=5000000") as board:
        done = dump(board, DumpPlan(SMALL))
        points = sweep(board, done)
        assert board.frequency_hz == 4_000_000
    assert [p.disagreeing > 0 for p in points] == [p.swd_hz > 5_000_000 for p in points]
    with connect("virtual") as board:
        assert not any(p.disagreeing for p in sweep(board, dump(board, DumpPlan(SMALL))))


@pytest.mark.parametrize("link", LINKS)
def test_one_pass_reads_each_word_once_and_memory_stays_small(link):
    with connect(f"virtual:link={link}") as board:
        read, asked = board._ap.read_memory_block32, []

        def counted(address, count, **attributes):
            asked.append((address, count))
            return read(address, count, **attributes)

        board._ap.read_memory_block32 = counted
        dump(board, DumpPlan(FLASH, passes=1))
        in_flash = [(a, n) for a, n in asked if FLASH.start <= a < FLASH.stop]
        # How fast that is stands in the benchmark.
        assert sum(n for _, n in in_flash) == FLASH.size // 4
        assert len(in_flash) <= 2 * FLASH.size // 0x1000
        board._ap.read_memory_block32 = read
        tracemalloc.start()
        dump(board, DumpPlan(FLASH))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= 3 * FLASH.size


class Yielding:
    """Mixed into a probe: gives the other thread its turn in the middle of every transfer."""

    def read_ap_multiple(self, addr, count=1, now=True):
        time.sleep(0)
        value = super().read_ap_multiple(addr, count, now)
        time.sleep(0)
        return value

    def write_ap(self, addr, data):
        super().write_ap(addr, data)
        time.sleep(1e-5)

    def lock(self):
        """The probe's own lock gives no exclusion, as that of pyOCD's stock client does not."""

    def unlock(self):
        """See `lock`."""


def race(board, rounds=60):
    """Two threads read different words; return how many of the reads were wrong."""
    truth = cells(board, FLASH)
    wrong = []

    def read(start):
        for i in range(rounds):
            at = start + 64 * i
            if not np.array_equal(board.read(at, at + 64), truth[at - FLASH.start : at - FLASH.start + 64]):
                wrong.append(at)

    threads = [threading.Thread(target=read, args=(a,)) for a in (FLASH.start, FLASH.start + 0x40000)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return len(wrong)


def test_two_threads_on_one_board_get_right_answers(monkeypatch):
    from h5diag.sim.virtual import VirtualChip, VirtualProbe

    probe = type("Y", (Yielding, VirtualProbe), {})
    with connect("x", probe=probe(VirtualChip())) as board:
        assert race(board) == 0

        # Negative control: without the board's own lock the same test fails.
        class Open:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

        board._lock = Open()
        assert race(board, 300) > 0


def test_zeros_of_whole_sectors_are_explained_and_never_taken_for_content():
    with connect("virtual:board=founding") as board:
        done = dump(board, DumpPlan(AddressRange(0x0C010000, 0x0C020000)))
    text = " ".join(done.image.origin.remarks)
    assert "7 whole sectors read as zeros" in text
    assert "secure alias was read non-secure" in text
    with connect("virtual") as board:
        chip_of(board).state.data[0x40000:0x44000] = 0
        done = dump(board, DumpPlan(SMALL))
    assert "zeros" not in " ".join(done.image.origin.remarks), "zeros without TrustZone are content"
