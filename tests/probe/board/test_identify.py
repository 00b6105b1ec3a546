"""Who the chip is and where its core is."""

import pytest

from h5diag.errors import InputError
from h5diag.layout import load_layout
from h5diag.probe.board import Permissions, connect, core_state, identify, read_symbols
from h5diag.sim.virtual import VirtualChip, VirtualProbe

from .support import chip_of


@pytest.mark.parametrize(
    ("name", "state", "trustzone"),
    [
        ("virtual", "Open", "off"),
        ("virtual:board=defect", "Open", "off"),
        ("virtual:board=founding", "Provisioning", "on"),
    ],
)
def test_identity(name, state, trustzone, link):
    with connect(name + ("+" if ":" in name else ":") + f"link={link}") as board:
        who = identify(board)
    assert (who.chip, who.dev_id, who.rev_id, who.revision) == ("stm32h563zi", 0x484, 0x1007, "X")
    assert (who.flash_kib, who.package, who.product_state_text, who.trustzone) == (2048, "LQFP144", state, trustzone)
    assert len(who.uid) == 24
    assert who.tzen == (0xB4 if trustzone == "on" else 0xC3)
    assert who.registers["opsr"] == 0


def test_the_uid_tells_boards_apart():
    uids = set()
    for name in ("virtual", "virtual:seed=1", "virtual:board=defect", "virtual:stuck-bit"):
        with connect(name) as board:
            uids.add(identify(board).uid)
    assert len(uids) == 3, "a fault does not make another board"


def test_revisions_bring_their_errata():
    with connect("virtual") as board:
        idcode = board.chip.identity.idcode[0]
        assert not any("vos1" in e for e in identify(board).errata)
        chip_of(board).bus.words[idcode] = 0x10016484
        who = identify(board)
        assert who.revision == "Z"
        assert any("vos1" in e for e in who.errata)


def test_another_chip_is_not_taken_for_this_one():
    with connect("virtual") as board:
        chip_of(board).bus.words[board.chip.identity.idcode[0]] = 0x10016474
        who = identify(board)
        assert who.chip is None
        assert (who.options, who.registers, who.uid) == ({}, {}, None), "nothing is read at another chip's addresses"
        assert any("0x474" in r for r in who.remarks)


def test_zeros_under_reset_are_read_again_and_never_believed():
    with connect("virtual") as board:
        chip = chip_of(board)
        chip.bus.in_reset = True
        who = identify(board)
        assert (who.product_state, who.trustzone, who.options) == (None, None, {})
        assert any("not known" in r or "unknown" in r for r in who.remarks)

    class Waking(VirtualChip):
        """Option registers read zero for the first thirty reads."""

        left = 30

        def read(self, address, size, secure):
            data = super().read(address, size, secure)
            if 0x40022050 <= address < 0x40022200 and self.left:
                self.left -= 1
                data = data * 0
            return data

    with connect("x", probe=VirtualProbe(Waking())) as board:
        who = identify(board)
        assert who.product_state_text == "Open"
        assert any("at first" in r for r in who.remarks)


def test_a_flash_size_that_does_not_read_is_not_told():
    with connect("virtual:bus-fault@0x08FFF80C-0x08FFF810") as board:
        who = identify(board)
        assert who.flash_kib is None
        assert any("flash size" in r for r in who.remarks)


def test_ecc_and_interrupted_operations_show():
    with connect("virtual:board=defect") as board:
        board.read(0x08026A40, 0x08026A50)
        who = identify(board)
        place = board.chip.ecc_location("ECCDETR", who.registers["eccdetr"])
        assert place.address == 0x08026A40


def test_the_core_is_found_without_halting():
    with connect("virtual:board=founding") as board:
        core = core_state(board, halt_s=0.1)
        assert core.samples == (), "a non-secure debugger sees nothing of secure code, and does not stop it"
        assert (core.state, core.halted_s) == ("running", 0.0)
        assert any("halted" in r for r in core.remarks)
        assert any("secure code" in r for r in core_state(board).remarks)
        assert "brown-out or power-on" in core.resets
    with connect("virtual") as board:
        core = core_state(board, layout=load_layout("oemirot-2m-overwrite"))
        assert core.places == ("boot",) or "boot" in core.places[0]
        assert core.vtor == 0x08000000
        assert core_state(board).places == ("user flash",)
        chip_of(board).core.memory[0xE000ED28] = 0x0100
        assert core_state(board).faults == {"CFSR": 0x100}


def test_a_core_that_gives_no_samples_is_halted_only_with_leave():
    with connect("virtual") as board:
        chip_of(board).core.walk = (0xFFFFFFFF,)
        assert core_state(board).samples == ()
        refused = core_state(board, halt_s=0.1)
        assert refused.vtor == 0x08000000, "what was read is kept"
        assert any("not allowed" in r for r in refused.remarks)
        assert any("--halt" in r for r in core_state(board).remarks)
    with connect("virtual", permissions=Permissions(halt=True)) as board:
        chip_of(board).core.walk = (0xFFFFFFFF,)
        core = core_state(board, halt_s=0.05, samples=3)
        assert 0 < core.halted_s < 5
        assert not board.halted


def test_functions_are_named_by_an_elf(tmp_path):
    from h5diag.chip import load_chip
    from h5diag.evidence.files.elf import Named
    from h5diag.memory import AddressRange
    from h5diag.probe.board.core import place_of

    symbols = (Named(AddressRange(0x0C002A10, 0x0C002A14), "Error_Handler"),)
    assert place_of(load_chip(), 0x08002A12, None, symbols).startswith("Error_Handler")
    assert place_of(load_chip(), 0x08002A14, None, symbols) == "user flash"
    assert place_of(load_chip(), 0x60000000) == "nowhere known"
    junk = tmp_path / "a.elf"
    junk.write_bytes(b"\x7fELF" + bytes(40))
    for path in (junk, tmp_path / "none.elf"):
        with pytest.raises(InputError):
            read_symbols(path)


def test_another_chip_is_named_and_a_dump_as_the_wrong_one_says_so(tmp_path, capsys):
    from h5diag.app.cli import main

    assert main(["info", "--probe", "virtual", "--chip", "u5"]) == 0
    assert "--chip stm32h563zi" in " ".join(capsys.readouterr().out.split())
    command = ["dump", "--probe", "virtual", "--range", "0x08000000:0x08004000", "--out"]
    assert main([*command, str(tmp_path / "a.bin"), "--chip", "u5"]) == 0
    assert "--chip stm32h563zi" in " ".join(capsys.readouterr().out.split())
    assert main([*command, str(tmp_path / "b.bin")]) == 0
    assert "--chip" not in capsys.readouterr().out
