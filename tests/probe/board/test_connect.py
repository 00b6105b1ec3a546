"""Connecting: what it does to the chip, what it refuses, and what each failure says."""

import errno
import os
import socket
import threading

import pytest
from pyocd.core import exceptions
from pyocd.probe.debug_probe import DebugProbe

from h5diag.errors import InputError, PermissionRefused, ProbeError, TargetError
from h5diag.memory import AddressRange
from h5diag.probe.board import (
    ConnectMode,
    Permissions,
    connect,
    identify,
    list_probes,
    open_probe,
    probes as probes_module,
)
from h5diag.probe.board.link import probe_error
from h5diag.sim.virtual import VirtualChip, VirtualProbe, parse_items

from .support import chip_of

DEBUG_WRITES = {0xE000EDF0, 0xE000EDFC}


class Watching(VirtualChip):
    """A chip that keeps a list of what was written and of its resets."""

    def __init__(self):
        super().__init__()
        self.writes, self.resets = [], 0

    def write(self, address, data, secure):
        self.writes.append(address)
        super().write(address, data, secure)

    def reset(self, *args):
        self.resets += 1
        super().reset(*args)

    def hold_reset(self, asserted):
        self.resets += asserted
        super().hold_reset(asserted)


def test_attach_neither_halts_nor_resets_and_writes_debug_registers_only(link):
    chip = Watching()
    with connect("x", probe=VirtualProbe(chip, link)) as board:
        identify(board)
        board.read(0x08000000, 0x08001000)
        assert not board.halted
        assert chip.resets == 0
    assert all(0xE0000000 <= a < 0xE0044000 for a in chip.writes)
    assert {a for a in chip.writes if a >= 0xE000E000} <= DEBUG_WRITES
    assert not chip.flash.operations


@pytest.mark.parametrize(
    ("mode", "resets", "halted"), [(ConnectMode.HALT, 0, True), (ConnectMode.UNDER_RESET, 1, True)]
)
def test_other_modes_do_what_they_say(mode, resets, halted):
    chip = Watching()
    with connect("x", probe=VirtualProbe(chip), mode=mode) as board:
        assert (chip.resets, board.halted) == (resets, halted)
    assert not chip.core.halted, "the program runs on after closing"
    assert not chip.bus.in_reset


def test_nothing_of_the_working_directory_is_run_or_changed(tmp_path, monkeypatch):
    (tmp_path / "pyocd_user.py").write_text("raise SystemExit('ran')\n")
    (tmp_path / "pyocd.yaml").write_text("connect_mode: under-reset\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYOCD_PROJECT_DIR", str(tmp_path / "elsewhere"))
    chip = Watching()
    with connect("x", probe=VirtualProbe(chip)):
        assert os.getcwd() == str(tmp_path)
    assert chip.resets == 0


def test_a_board_id_that_would_need_a_pack_does_not_select_it():
    class Nucleo(VirtualProbe):
        @property
        def associated_board_info(self):
            from pyocd.board.board_ids import BOARD_ID_TO_INFO

            return BOARD_ID_TO_INFO["0878"]

        def create_associated_board(self):
            from pyocd.board.mbed_board import MbedBoard

            return MbedBoard(self.session, board_info=self.associated_board_info, board_id="0878")

    with connect("x", probe=Nucleo(VirtualChip())) as board:
        assert identify(board).dev_id == 0x484


def failing(error, at="open"):
    """A probe that raises `error` from one of its methods."""

    class Failing(VirtualProbe):
        pass

    def fail(self, *args, **kwargs):
        raise error

    setattr(Failing, at, fail)
    return Failing(VirtualChip())


def usb(number, text):
    """What pyOCD makes of an error of libusb."""
    error = exceptions.ProbeError(f"USB Error: {text}")
    error.__cause__ = OSError(number, text)
    return error


CASES = [
    (usb(errno.EBUSY, "Resource busy"), "open", "held by another program"),
    (exceptions.ProbeError("Unable to claim interface for probe X"), "open", "held by another program"),
    (OSError(errno.EACCES, "Access denied (insufficient permissions)"), "open", "does not allow access"),
    (
        exceptions.ProbeError("STLink X is using an unsupported, older firmware version. Please update"),
        "open",
        "firmware is too old",
    ),
    (usb(errno.ENODEV, "No such device (it may have been disconnected)"), "open", "is gone"),
    (exceptions.ProbeDisconnected("lost"), "read_dp", "is gone"),
    (exceptions.TransferError("SWD/JTAG communication failure (No ACK)"), "read_dp", "no chip answers"),
    (exceptions.TransferTimeoutError("WAIT ACK"), "write_dp", "WAIT"),
]


@pytest.mark.parametrize(("error", "at", "says"), CASES)
def test_each_failure_has_its_own_message_and_advice(error, at, says):
    with pytest.raises(ProbeError) as caught:
        connect("x", probe=failing(error, at))
    assert says in caught.value.problem
    assert caught.value.advice
    assert "\n" not in str(caught.value)


def test_the_messages_are_distinct():
    assert len({probe_error(e).problem for e, _, _ in CASES}) == 6


def test_a_closed_port_is_told_apart_from_no_chip(link):
    for items in (["locked-port"],):
        with pytest.raises(ProbeError, match="AP1"):
            connect("x", probe=VirtualProbe(VirtualChip(parse_items(items)), link))
    chip = VirtualChip(parse_items(()))
    chip.flash.options["OPTSR_CUR"] = chip.flash.options["OPTSR_CUR"] & ~0xFF00 | 0x7200
    with pytest.raises(ProbeError, match="AP1"):
        connect("x", probe=VirtualProbe(chip, link))


def test_old_st_link_firmware_is_refused():
    class Old(VirtualProbe):
        class _link:
            MIN_JTAG_VERSION_MEM_CSW = (0, 0, 32)
            _hw_version = 2
            version_str = "V2J28"

            @staticmethod
            def _check_version(minimum):
                return minimum <= 28

    with pytest.raises(ProbeError, match="too old"):
        connect("x", probe=Old(VirtualChip()))


def test_no_probe_several_probes_and_the_begin_of_an_id(monkeypatch):
    def plugged(*ids):
        monkeypatch.setattr(probes_module, "_found", lambda: [VirtualProbe(VirtualChip(), unique_id=i) for i in ids])

    plugged()
    assert list_probes() == ()
    with pytest.raises(ProbeError, match="no debug probe"):
        open_probe("auto")
    plugged("066AFF", "0670EE")
    with pytest.raises(ProbeError, match="several"):
        open_probe("auto")
    with pytest.raises(ProbeError, match="several"):
        open_probe("06")
    with pytest.raises(ProbeError, match="066AFF"):
        open_probe("77")
    assert open_probe("066a").unique_id == "066AFF"
    assert [p.unique_id for p in list_probes()] == ["066AFF", "0670EE"]
    plugged("06", "066AFF")
    assert open_probe("06").unique_id == "06"


@pytest.mark.parametrize(
    "name",
    ["remote:", "remote:host", "remote:host:x", "remote::80", "remote:h:99999", "virtual:x", "replay:/nowhere/at/all"],
)
def test_names_that_are_no_probe(name):
    with pytest.raises(InputError):
        open_probe(name)


def test_a_refused_and_a_silent_and_a_foreign_server(monkeypatch):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with pytest.raises(ProbeError, match=f"localhost:{port}.*listens"):
        connect(f"remote:localhost:{port}")
    monkeypatch.setattr("h5diag.probe.board.probes.SILENCE_S", 0.3)
    for answer, says in ((b"", "gone"), (b"SSH-2.0\r\n", "gone"), (None, "gone")):
        with socket.create_server(("localhost", 0)) as server:

            def serve(server=server, answer=answer):
                client, _ = server.accept()
                with client:
                    client.recv(100)
                    if answer is None:
                        client.recv(100)
                    else:
                        client.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            with pytest.raises(ProbeError, match=says):
                connect(f"remote:localhost:{server.getsockname()[1]}")
            thread.join()


def test_an_unplugged_probe_ends_in_one_clear_error(link):
    board = connect(f"virtual:unplug,after=50000+link={link}")
    board.read(0x08000000, 0x08004000)
    board.read(0x08000000, 0x08004000)
    with pytest.raises(ProbeError, match="unplugged"):
        board.read(0x08000000, 0x08008000)
    board.close()
    with pytest.raises(ProbeError, match="not connected"):
        board.read_word(0x08000000)


def test_faults_of_the_chip_are_target_errors(link):
    with connect(f"virtual:bus-fault@0x08001000-0x08001004+link={link}") as board:
        with pytest.raises(TargetError) as caught:
            board.read(0x08000000, 0x08002000)
        assert 0x08000000 <= caught.value.address < 0x08002000
        assert board.read(0x08000000, 0x08001000).size == 0x1000
        with pytest.raises(TargetError):
            board.read_word(0x60000000)
        assert board.read_word(0x08000000)


WHERE = AddressRange(0x08010000, 0x08012000)
WRITES = [
    (0x08010000, {}, False),
    (0x08010000, {"erase": (WHERE,)}, True),
    (0x0C010000, {"erase": (WHERE,)}, True),
    (0x08012000, {"erase": (WHERE,)}, False),
    (0x0800FFFC, {"erase": (WHERE,)}, False),
    (0x20000000, {}, False),
    (0x20000000, {"ram": True}, True),
    (0x30000000, {"ram": True}, True),
    (0xE000EDFC, {}, False),
    (0x40022004, {"ram": True}, False),
    (0x40022030, {"erase": (WHERE,)}, True),
    (0x08FFF000, {"erase": (WHERE,)}, False),
    (0x09000000, {"erase": (WHERE,)}, False),
    (0x44020C00, {}, False),
    (0x4002200C, {"erase": (WHERE,)}, False),
    (0x4002201C, {"erase": (WHERE,)}, False),
    (0x40022054, {"erase": (WHERE,)}, False),
    (0x500220E4, {"erase": (WHERE,)}, False),
    (0x40022010, {"erase": (WHERE,)}, False),
    (0x0FFD0000, {"erase": (WHERE,)}, False),
]


@pytest.mark.parametrize(("address", "given", "allowed"), WRITES)
def test_the_gate_of_writes(address, given, allowed):
    with connect("virtual", permissions=Permissions(**given)) as board:
        if allowed:
            board.write_word(address, 0)
        else:
            with pytest.raises(PermissionRefused):
                board.write_word(address, 0)
            assert not chip_of(board).flash.operations


@pytest.mark.parametrize(
    ("control", "allowed"),
    [
        (4 | 8 << 6 | 0x20, True),
        (4 | 9 << 6 | 0x20, False),
        (4 | 8 << 6 | 1 << 31 | 0x20, False),
        (8 | 0x20, False),
        (0x8020, False),
        (0x20, False),
        (4 | 9 << 6, True),
        (0x8024, False),
    ],
)
def test_an_erase_outside_the_range_never_starts(control, allowed):
    with connect("virtual", permissions=Permissions(erase=(WHERE,))) as board:
        if allowed:
            board.write_word(board.register_address("NSCR"), control)
        else:
            with pytest.raises(PermissionRefused):
                board.write_word(board.register_address("NSCR"), control)


def test_halting_and_resetting_need_permission():
    with connect("virtual") as board:
        for action in (board.halt, board.reset):
            with pytest.raises(PermissionRefused):
                action()
    with connect("virtual", permissions=Permissions(halt=True, reset=True)) as board:
        board.halt()
        assert board.halted
        board.reset()
        assert not board.halted


def test_every_probe_class_of_pyocd_is_asked_when_listing():
    """The list must come from pyOCD itself, whatever it knows."""
    from pyocd.probe.aggregator import PROBE_CLASSES

    assert {"cmsisdap", "stlink"} <= set(PROBE_CLASSES)
    assert all(issubclass(c, DebugProbe) for c in PROBE_CLASSES.values())
