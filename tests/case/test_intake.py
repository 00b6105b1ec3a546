"""Evidence as people drop it: told by content, sorted by board, laid into a case that loads."""

import io
import json
import os
import shutil
import struct
import tomllib
import zipfile
from pathlib import Path, PurePath

import numpy as np
import pytest

import h5diag as h5
from h5diag.app.cli import evidence as cli, main
from h5diag.case.folder import load_case
from h5diag.case.intake import BoardSide, Details, FileRole, parse_name, sort_evidence, tell, write_case
from h5diag.errors import InputError
from h5diag.evidence.door import read_evidence, write_whole
from h5diag.evidence.files import Sidecar, read_image, write_image, write_sidecar
from h5diag.limits import MEMORY
from h5diag.memory import MemoryImage

DATA = Path(__file__).resolve().parents[2] / "data"
BANNER = (
    "      -----\n          STM32CubeProgrammer v2.21.0\n      -----\n\nST-LINK SN  : 0011\nVoltage     : 3.29V\n"
    "Connect mode: Hot Plug\nDevice ID   : 0x484\nRevision ID : Rev X\n"
)
LISTING = (
    "OPTION BYTES BANK: 0\n\n   Product state:\n\n     PRODUCT_STATE: 0xED (Open)\n     SWAP_BANK    : 0x0 (x)\n"
    "     TZEN         : 0xB4 (x)\n     SECWM1_STRT  : 0x0  (0x8000000)\n"
)
PROVISIONING = (
    BANNER + "\nErasing memory corresponding to segment 0:\nOpening and parsing file: OEMiROT_Boot.bin\n"
    "  File          : OEMiROT_Boot.bin\n  Size          : 96 KB\n  Address       : 0x0C000000\n"
    "File download complete\nDownload verified successfully\n"
    "-- provisioning the OBKeys, product_state\n"
)
PROGRAMMING = PROVISIONING.replace("product_state", "").replace("OBKeys", "").replace("OEMiROT_Boot", "a")
LOADER_LOG = (DATA / "loaders" / "logs" / "h5-bypassed.txt").read_text("utf-8")
UART = "[INF] Starting bootloader\n[INF] Swap type: none\n[ERR] Unable to find bootable image\n"
LAYOUT = "#define FLASH_AREA_0_OFFSET (0x18000)\n#define FLASH_AREA_0_SIZE (0x6000)\n"
LAYOUT += "#define FLASH_AREA_2_OFFSET (0xBE000)\n"
FLASHTEST = {"range": [0, 1], "restored": True, "conditions": {}, "sectors": [], "faults": 0}
INFO = {"chip": "stm32h563zi", "dev_id": 0x484, "rev_id": 0x1007, "uid": "00", "registers": {"eccdetr": 0}}
EXPORT = {"deviceId": 1156, "bitNameToValue": {"PRODUCT_STATE": 23, "TZEN": 180, "SWAP_BANK": 0}}


def pem(kind):
    return f"-----BEGIN {kind} KEY-----\nAAAA\n-----END {kind} KEY-----\n"


def signed(body=200):
    header = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 0x400, 0, body, 0, 1, 0, 0, 0, 0)
    return header.ljust(0x400, b"\xff") + bytes(range(200)) * (body // 200) + b"\x07\x69" + bytes(30)


def dump_hex(path, start=0x0800_0000, size=0x4000, seed=0):
    data = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    return write_image(MemoryImage.from_bytes(data, start), path)


def role(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tell(read_evidence(path, limit=MEMORY), parse_name(PurePath(name))).role


# What a file is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.txt", BANNER, FileRole.LOG),
        ("x.txt", BANNER + LISTING, FileRole.OPTIONS),
        ("x.log", LISTING, FileRole.OPTIONS),
        ("x.json", json.dumps(EXPORT), FileRole.OPTIONS),
        ("x.json", json.dumps(FLASHTEST), FileRole.FLASHTEST),
        ("x.json", json.dumps({"sweep": []}), FileRole.SWEEP),
        ("x.json", json.dumps(INFO), FileRole.INFO),
        ("x.json", "{", FileRole.NONE),
        ("x.json", '{"verdict": "sound"}', FileRole.NONE),
        ("x.log", PROVISIONING, FileRole.PROVISIONING),
        ("boot.txt", UART, FileRole.UART),
        ("x.h", LAYOUT, FileRole.LAYOUT),
        ("x.h", "#define X 1\n", FileRole.NONE),
        ("provisioning.sh", "#!/bin/sh\n" + PROVISIONING, FileRole.NONE),
        ("p.txt", "@echo off\n" + PROVISIONING, FileRole.NONE),
        ("boot_hal.c", UART, FileRole.NONE),
        ("x.txt", "/* */\n#include <a.h>\n" + UART, FileRole.NONE),
        ("x.xml", BANNER, FileRole.NONE),
        ("OEMiRoT_Data.obk", bytes(range(256)), FileRole.NONE),
        ("x.pem", pem("PUBLIC"), FileRole.VERIFY_KEY),
        ("x.pem", pem("EC PRIVATE"), FileRole.DECRYPT_KEY),
        ("OEMiRoT_Authentication_S.pem", pem("PRIVATE"), FileRole.VERIFY_KEY),
        ("OEMiRoT_Encryption.pem", pem("PRIVATE"), FileRole.DECRYPT_KEY),
        ("OEMiRoT_Encryption_pub.pem", pem("PUBLIC"), FileRole.NONE),
        ("x.pem", "-----BEGIN CERTIFICATE-----\n", FileRole.NONE),
        ("x.txt", "0x08018000 : 96F3B83D 00000000\n", FileRole.DUMP),
        ("x.txt", "0x40022104 : 00000000\n", FileRole.REGISTERS),
        ("x.txt", BANNER + "0x40022100 : 00000000 00000000\n0x08FFF800 : 00320041\n", FileRole.REGISTERS),
        ("x.txt", BANNER + "0x08018000 : 96F3B83D 00000000\n", FileRole.DUMP),
        ("x.txt", "OPSR = 0x00000000\n", FileRole.REGISTERS),
        ("x.txt", "Dear all,\nplease find attached.\n", FileRole.NONE),
        ("x.bin", bytes(0x4000), FileRole.DUMP),
        ("x", bytes(0x4000), FileRole.DUMP),
        ("x.bin", bytes(1001), FileRole.IMAGE),
        ("x.bin", signed(), FileRole.IMAGE),
        ("suspect.bin", signed(), FileRole.DUMP),
        ("dump.bin", signed(), FileRole.DUMP),
        ("x.obk", bytes(range(96)), FileRole.NONE),
        ("x.zip", b"PK\x03\x04" + bytes(60), FileRole.NONE),
        ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(60), FileRole.NONE),
        ("later.bin", bytes(0x4000), FileRole.LATER),
        ("x.log", LOADER_LOG, FileRole.LOADER_LOG),
        ("x.txt", ("\ufeff" + BANNER).encode("utf-16-le"), FileRole.LOG),
        ("good.txt", PROGRAMMING, FileRole.LOG),
        ("x.txt", PROGRAMMING, FileRole.PROVISIONING),
    ],
)
def test_role(tmp_path, name, content, expected):
    assert role(tmp_path, name, content) is expected


def test_memory_files_by_place_and_name(tmp_path):
    def of(path):
        return tell(read_evidence(path, limit=MEMORY), parse_name(PurePath(path.name))).role

    image = np.frombuffer(signed(), np.uint8)
    assert of(write_image(MemoryImage.from_bytes(image, 0x080B_E000), tmp_path / "app_enc_sign.hex")) is FileRole.IMAGE
    assert of(write_image(MemoryImage.from_bytes(image, 0x0C0B_E000), tmp_path / "slot.hex")) is FileRole.DUMP
    assert of(write_image(MemoryImage.from_bytes(image, 0x080B_E000), tmp_path / "app.elf")) is FileRole.IMAGE
    assert of(dump_hex(tmp_path / "a.srec")) is FileRole.DUMP
    path = write_image(MemoryImage.from_bytes(image, 0x0801_8000), tmp_path / "read.bin")
    assert of(path) is FileRole.DUMP


def test_an_external_loader(tmp_path):
    path = tmp_path / "quadspi.stldr"
    shutil.copyfile(write_image(MemoryImage.from_bytes(bytes(200), 0), tmp_path / "a.elf"), path)
    file = read_evidence(path, limit=MEMORY)
    assert tell(file, parse_name(PurePath(path.name))).role is FileRole.LOADER


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.hex", ":10000000", "cut short"),
        ("a.bin", b"", "is empty"),
        ("good.txt", b"", "is empty"),
        ("a.elf", b"\x7fELF" + bytes(8), "damaged"),
        ("a.txt", "0x08000000 : 0011GG22 00\n0x08000010 : 00112233 xx\n", "line 2"),
    ],
)
def test_damaged_evidence_is_one_line_and_nothing_is_written(tmp_path, capsys, name, content, words):
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["case", str(folder), "--out", str(tmp_path / "case")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
    assert str(folder / name) in error
    assert not (tmp_path / "case").exists()


# What a name says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "side", "board"),
    [
        ("good.hex", BoardSide.GOOD, ""),
        ("suspect-1.hex", BoardSide.SUSPECT, ""),
        ("bad_board_dump2.bin", BoardSide.SUSPECT, "board"),
        ("nucleo-ob.txt", None, "nucleo"),
        ("dump.bin", None, ""),
        ("ob.txt", None, ""),
        ("good/dump.hex", BoardSide.GOOD, ""),
        ("Custom Board 2/ob displ.txt", None, "custom board 2"),
        ("customA_OptionBytes.log", None, "custom a"),
        ("board1-dump-3.hex", None, "board 1"),
        ("suspect-dump-0C000000-1.bin", BoardSide.SUSPECT, ""),
        ("good-vs-bad.txt", None, "vs"),
        ("WorkingBoard.hex", BoardSide.GOOD, "board"),
        ("nucleo/good.hex", BoardSide.GOOD, "nucleo"),
    ],
)
def test_name(name, side, board):
    found = parse_name(PurePath(name))
    assert (found.side, found.board) == (side, board)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("dump-0x0C018000.bin", 0x0C01_8000),
        ("suspect_08000000_2.bin", 0x0800_0000),
        ("0c000000.bin", 0x0C00_0000),
        ("qspi_0x90000000.bin", 0x9000_0000),
        ("sram-20000000.bin", 0x2000_0000),
        ("edata.09000000.bin", 0x0900_0000),
        ("ext_0xA0000.bin", 0x000A_0000),
        ("board-24010400.bin", 0x2401_0400),
        ("serial_34FF6A06.bin", None),
        ("report-20250130.bin", None),
        ("20241108.bin", None),
        ("dump.bin", None),
        ("0x080000001.bin", None),
    ],
)
def test_address_in_a_name(name, address):
    assert parse_name(PurePath(name)).address == address


# Boards ---------------------------------------------------------------------------------------------------------


def sorted_names(paths, **kwargs):
    found = sort_evidence(paths, **kwargs)
    return (
        [e.path.name for e in found.boards.good.files],
        {b.name: [e.path.name for e in b.files] for b in found.boards.suspects},
        {b.name: [e.path.name for e in b.files] for b in found.boards.undecided},
    )


def drop(tmp_path, *names):
    folder = tmp_path / "drop"
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".hex":
            dump_hex(path, seed=i)
        elif path.suffix == ".json":
            path.write_text(json.dumps(FLASHTEST))
        else:
            path.write_text(BANNER + LISTING if "ob" in path.stem else BANNER)
    return folder


def test_two_boards_by_name(tmp_path):
    folder = drop(tmp_path, "good.hex", "good-ob.txt", "suspect-1.hex", "suspect-2.hex", "suspect-log.txt")
    assert sorted_names([folder]) == (
        ["good-ob.txt", "good.hex"],
        {"suspect": ["suspect-1.hex", "suspect-2.hex", "suspect-log.txt"]},
        {},
    )


def test_two_boards_by_folder(tmp_path):
    folder = drop(tmp_path, "good/dump.hex", "good/ob.txt", "bad/dump.hex", "bad/ob.txt")
    good, suspects, undecided = sorted_names([folder])
    assert (good, undecided) == (["dump.hex", "ob.txt"], {})
    assert suspects == {"suspect": ["dump.hex", "ob.txt"]}
    assert sorted_names([folder / "good/dump.hex", folder / "bad/dump.hex"])[1] == {"suspect": ["dump.hex"]}


def test_folders_around_all_of_them_name_no_board(tmp_path):
    files = ("auslesen.hex", "optionsbytes-ob.txt")
    folder = drop(tmp_path / "plain", *(f"Reklamation/{b}/{f}" for b in ("Karte12", "Karte11_gut") for f in files))
    good, suspects, undecided = sorted_names([folder])
    assert (sorted(good), undecided) == (sorted(files), {})
    assert {tuple(sorted(f)) for f in suspects.values()} == {tuple(sorted(files))}
    packed = tmp_path / "Nr12.zip"
    with zipfile.ZipFile(packed, "w") as z:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            z.write(path, path.relative_to(folder))
    good, suspects, undecided = sorted_names([packed])
    assert (sorted(good), len(suspects), undecided) == (sorted(files), 1, {})


def test_a_folder_that_counts_boards_names_them_whatever_its_files_are_called(tmp_path):
    folder = drop(tmp_path, *(f"{b}/{f}" for b in ("quad 1", "quad 2") for f in ("inhalt.hex", "liste-ob.txt")))
    boards = sorted_names([folder])[2]
    assert sorted(map(sorted, boards.values())) == [["inhalt.hex", "liste-ob.txt"]] * 2
    assert set(boards) == {"quad 1", "quad 2"}


def test_one_board_is_the_suspect(tmp_path):
    folder = drop(tmp_path, "dump1.hex", "dump2.hex", "ob.txt", "flashtest.json")
    assert sorted_names([folder]) == ([], {"suspect": ["dump1.hex", "dump2.hex", "flashtest.json", "ob.txt"]}, {})


def test_the_other_side_follows(tmp_path):
    folder = drop(tmp_path, "nucleo.hex", "nucleo-ob.txt", "suspect.hex")
    good, suspects, _ = sorted_names([folder])
    assert (good, suspects) == (["nucleo-ob.txt", "nucleo.hex"], {"suspect": ["suspect.hex"]})
    folder = drop(tmp_path / "2", "good.hex", "board1.hex", "board2.hex")
    assert set(sorted_names([folder])[1]) == {"board 1", "board 2"}


def test_where_names_cannot_tell_it_asks_or_says_so(tmp_path):
    folder = drop(tmp_path, "zeta.hex", "zeta-ob.txt", "custom.hex", "custom-ob.txt")
    assert sorted_names([folder]) == (
        [],
        {},
        {"custom": ["custom-ob.txt", "custom.hex"], "zeta": ["zeta-ob.txt", "zeta.hex"]},
    )
    asked = []

    def ask(question, answers):
        asked.append((question, answers))
        return 1

    good, suspects, undecided = sorted_names([folder], ask=ask)
    assert (good, undecided) == (["zeta-ob.txt", "zeta.hex"], {})
    assert suspects == {"custom": ["custom-ob.txt", "custom.hex"]}
    assert len(asked) == 1
    assert "good" in asked[0][0]
    assert "zeta-ob.txt" in asked[0][1][1]
    assert set(sorted_names([folder], ask=lambda q, a: -1)[2]) == {"custom", "zeta"}
    by_option = sorted_names([folder], good=[folder / "zeta.hex"])
    assert by_option[0] == ["zeta-ob.txt", "zeta.hex"], "the option decides for all files of that name"
    assert set(by_option[1]) == {"custom"}
    assert sorted_names([folder], suspect=[folder / "custom-ob.txt"])[0] == ["zeta-ob.txt", "zeta.hex"]


def test_files_without_a_board(tmp_path):
    folder = drop(tmp_path, "good.hex", "good-log.txt", "suspect.hex", "log.txt", "ob.txt", "flashtest.json")
    found = sort_evidence([folder])
    assert [e.path.name for e in found.boards.suspects[0].files] == ["flashtest.json", "log.txt", "suspect.hex"]
    assert [e.path.name for e in found.boards.loose] == ["ob.txt"]
    assert any("ob.txt" in r and "left out" in r for r in found.remarks)


def test_a_text_with_a_name_of_its_own_is_no_board(tmp_path):
    folder = drop(tmp_path, "image_dump.hex", "cubeprog_output.log", "list_of_ob.txt")
    assert sorted_names([folder])[1:] == ({"image": ["cubeprog_output.log", "image_dump.hex", "list_of_ob.txt"]}, {})
    folder = drop(tmp_path / "2", "good.hex", "good-log.txt", "suspect.hex", "cubeprog_output.log", "x_ob.txt")
    found = sort_evidence([folder])
    assert [e.path.name for e in found.boards.suspects[0].files] == ["cubeprog_output.log", "suspect.hex"]
    assert [e.path.name for e in found.boards.loose] == ["x_ob.txt"]
    folder = drop(tmp_path / "3", "zeta_ob.txt", "custom_ob.txt")
    assert set(sorted_names([folder])[2]) == {"zeta", "custom"}


def test_a_build_beside_dumps_of_both_boards_is_an_image(tmp_path):
    folder = drop(tmp_path, "good.hex", "suspect.hex", "app.hex")
    found = sort_evidence([folder])
    assert [e.path.name for e in found.of(FileRole.IMAGE)] == ["app.hex"]


def roles(folder, **kwargs):
    found = sort_evidence([folder], **kwargs)
    boards = (found.boards.good, *found.suspects)
    return {e.path.name: e.role for b in boards for e in b.files} | {e.path.name: e.role for e in found.rest}


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("unit_after_update.hex", "fw_1.hex"), {"unit_after_update.hex": FileRole.DUMP, "fw_1.hex": FileRole.IMAGE}),
        (("dump.hex", "dump_later.hex"), {"dump.hex": FileRole.DUMP, "dump_later.hex": FileRole.LATER}),
        (("assets.hex", "ext_0x70000000.hex"), {"assets.hex": FileRole.IMAGE, "ext_0x70000000.hex": FileRole.DUMP}),
        (("nucleo.hex", "custom_dump.hex"), {"nucleo.hex": FileRole.DUMP, "custom_dump.hex": FileRole.DUMP}),
    ],
)
def test_what_was_read_and_what_was_made(tmp_path, names, wanted):
    assert roles(drop(tmp_path, *names)) == wanted


def test_letters_and_repeats_count_reads_not_boards(tmp_path):
    for number, names in enumerate((("dump_a.hex", "dump_b.hex"), ("return.hex", "return_again.hex"))):
        found = sort_evidence([drop(tmp_path / str(number), *names)])
        assert [[e.path.name for e in b.files] for b in found.boards.suspects] == [sorted(names)]


def test_two_logs_may_be_of_one_board_and_two_listings_are_not(tmp_path):
    folder = drop(tmp_path, "cube.log", "notes.log", "dump.hex")
    found = sort_evidence([folder])
    assert [len(b.files) for b in found.suspects] == [3]
    write_case(found, tmp_path / "case")
    table = tomllib.loads((tmp_path / "case" / "case.toml").read_text())
    assert table["suspect"]["log"] == ["cube.log", "notes.log"]
    assert load_case(tmp_path / "case").suspects[0].log.name == "cube.log, notes.log"


# Adding to a case -----------------------------------------------------------------------------------------------


@pytest.fixture
def begun(tmp_path):
    """A case folder with words of its owner's in it."""
    folder = drop(tmp_path, "good.hex", "good-ob.txt", "suspect.hex")
    write_case(sort_evidence([folder]), tmp_path / "case")
    toml = tmp_path / "case" / "case.toml"
    text = toml.read_text().replace("[suspect]", '[suspect]  # the one from the field\nmarking = "STM32H573"')
    toml.write_text("# typed by hand\n" + text)
    return tmp_path / "case"


def test_files_are_added_and_what_was_typed_stays(begun, tmp_path, capsys):
    folder = drop(tmp_path / "2", "suspect-2.hex", "suspect-log.txt", "flashtest.json")
    before = {p.name: p.read_bytes() for p in begun.iterdir() if p.name != "case.toml"}
    files = [str(folder / n) for n in ("suspect-2.hex", "suspect-log.txt", "flashtest.json")]
    assert main(["case", str(begun), *files, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["case"] == str(begun)
    text = (begun / "case.toml").read_text()
    assert text.startswith("# typed by hand\n")
    assert "[suspect]  # the one from the field" in text
    table = tomllib.loads(text)
    assert table["suspect"] == {
        "marking": "STM32H573",
        "name": "suspect",
        "dumps": ["suspect.hex", "suspect-2.hex"],
        "log": "suspect-log.txt",
        "flashtest": "flashtest.json",
    }
    assert {n: (begun / n).read_bytes() for n in before} == before
    load_case(begun)
    assert main(["case", str(begun), *files]) == 0, "the same file again is another file: it gets a name of its own"
    assert len(tomllib.loads((begun / "case.toml").read_text())["suspect"]["dumps"]) == 3
    capsys.readouterr()


def test_a_file_that_lies_in_the_case_already_is_named_and_not_copied(begun, tmp_path, capsys):
    dump_hex(begun / "suspect-later.hex", seed=7)
    names = set(os.listdir(begun))
    assert main(["case", str(begun)]) == 0
    assert set(os.listdir(begun)) == names
    assert tomllib.loads((begun / "case.toml").read_text())["suspect"]["later"] == ["suspect-later.hex"]
    text = (begun / "case.toml").read_text()
    assert main(["case", str(begun)]) == 0, "nothing new"
    assert (begun / "case.toml").read_text() == text
    capsys.readouterr()


def test_whose_an_added_file_is(begun, tmp_path):
    folder = drop(tmp_path / "2", "ob.txt", "x.hex", "log.txt")
    found = sort_evidence([folder / "ob.txt"], into=begun)
    assert any("ob.txt is taken for suspect's" in r for r in found.remarks), "the good board has a listing"
    toml = begun / "case.toml"
    toml.write_text(toml.read_text().replace('log = "good-ob.txt"\n', ""))
    found = sort_evidence([folder / "log.txt"], into=begun)
    assert [e.path.name for e in found.boards.loose] == ["log.txt"], "both boards lack a log"
    found = sort_evidence([folder / "log.txt"], into=begun, ask=lambda q, names: names.index("good"))
    assert found.boards.good.files[-1].path.name == "log.txt"
    found = sort_evidence([folder / "log.txt"], good=[folder / "log.txt"], into=begun)
    assert found.boards.good.files[-1].path.name == "log.txt"


def test_a_second_suspect_makes_a_list_of_them(tmp_path):
    folder = drop(tmp_path, "good.hex", "board 1/suspect.hex")
    write_case(sort_evidence([folder]), tmp_path / "case")
    toml = tmp_path / "case" / "case.toml"
    toml.write_text(toml.read_text().replace("[suspect]", "[[suspects]]") + '\n[[suspects]]\nname = "board 2"\n')
    more = drop(tmp_path / "3", "board 2/dump.hex")
    write_case(sort_evidence([more], into=tmp_path / "case"), tmp_path / "case")
    rows = tomllib.loads(toml.read_text())["suspects"]
    assert [len(r.get("dumps", [])) for r in rows] == [1, 1]


def test_a_newer_result_takes_the_place_and_the_older_one_stays(begun, tmp_path):
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "flashtest.json").write_text(json.dumps(FLASHTEST | {"faults": i}))
        found = write_case(sort_evidence([tmp_path / str(i) / "flashtest.json"], into=begun), begun)
    assert tomllib.loads((begun / "case.toml").read_text())["suspect"]["flashtest"] == "1-flashtest.json"
    assert any("flashtest.json stays in the folder unused" in r for r in found.remarks)
    assert json.loads((begun / "flashtest.json").read_text())["faults"] == 0


def test_a_copy_that_fails_leaves_the_case_as_it_was(begun, tmp_path, monkeypatch):
    folder = drop(tmp_path / "2", "suspect-2.hex", "suspect-3.hex")
    found = sort_evidence([folder / "suspect-2.hex", folder / "suspect-3.hex"], into=begun)
    before = {p.name: p.read_bytes() for p in begun.iterdir()}
    (folder / "suspect-2.hex").unlink()  # what was dropped was read then, and is not read again

    def full(path, data, **words):
        if path.name == "suspect-3.hex":
            raise InputError("cannot be written (No space left on device)", source=str(path))
        return write_whole(path, data, **words)

    monkeypatch.setattr("h5diag.case.intake.writing.write_whole", full)
    with pytest.raises(InputError, match="No space left"):
        write_case(found, begun)
    assert {p.name: p.read_bytes() for p in begun.iterdir()} == before


# Strangers' files -----------------------------------------------------------------------------------------------


def test_one_file_that_cannot_be_read_does_not_hide_the_others(tmp_path, capsys):
    folder = drop(tmp_path, "good.hex", "suspect.hex")
    (folder / "cut.hex").write_text(":10000000\n")
    (folder / "empty-log.txt").touch()
    assert main(["case", str(folder), "--out", str(tmp_path / "case"), "--json"]) == 0
    unused = {Path(u["file"]).name: u["what"] for u in json.loads(capsys.readouterr().out)["unused"]}
    assert unused == {
        "cut.hex": "cannot be used: line 1: the Intel HEX record is cut short",
        "empty-log.txt": "cannot be used: is empty",
    }


def test_a_link_out_of_the_dropped_folder_is_not_copied(tmp_path, capsys):
    folder = drop(tmp_path, "good.hex", "suspect.hex")
    (tmp_path / "id.pem").write_text(pem("PRIVATE"))
    (folder / "key.pem").symlink_to(tmp_path / "id.pem")
    assert main(["case", str(folder), "--out", str(tmp_path / "case"), "--json"]) == 0
    out = capsys.readouterr().out
    assert "leaves the case folder" in out
    assert not any("PRIVATE" in p.read_text("latin-1") for p in (tmp_path / "case").iterdir())


def test_a_pipe_among_the_files_does_not_hang(tmp_path, capsys):
    folder = drop(tmp_path, "good.hex", "suspect.hex")
    os.mkfifo(folder / "suspect-log.txt")
    assert main(["case", str(folder), "--out", str(tmp_path / "case")]) == 0
    assert "cannot be used: is a pipe" in capsys.readouterr().out


# The folder -----------------------------------------------------------------------------------------------------


def test_everything_lands_where_the_contract_says(tmp_path, capsys):
    folder = drop(
        tmp_path,
        "good.hex",
        "good-ob.txt",
        "good-log.txt",
        "suspect-1.hex",
        "suspect-2.hex",
        "suspect-later.hex",
        "suspect-ob.txt",
        "flashtest.json",
    )
    (folder / "info.json").write_text(json.dumps(INFO))
    (folder / "sweep.json").write_text(json.dumps({"sweep": []}))
    (folder / "boot.txt").write_text(UART)
    (folder / "regs.txt").write_text("0x40022104 : 00000000\n")
    (folder / "prov.log").write_text(PROVISIONING)
    (folder / "flash_layout.h").write_text(LAYOUT)
    (folder / "pub.pem").write_text(pem("PUBLIC"))
    (folder / "enc.pem").write_text(pem("PRIVATE"))
    write_image(MemoryImage.from_bytes(np.frombuffer(signed(), np.uint8), 0x080B_E000), folder / "app_sign.hex")
    shutil.copyfile(write_image(MemoryImage.from_bytes(bytes(200), 0), tmp_path / "a.elf"), folder / "q.stldr")
    (folder / "vb3.txt").write_text(LOADER_LOG)
    (folder / ".hidden").write_bytes(b"\x00")
    (folder / "readme.md").write_text("hello")
    out = tmp_path / "case"
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert (
        main(
            [
                "case",
                str(folder),
                "--out",
                str(out),
                "--json",
                "--package",
                "1.3.0",
                "--marking",
                "STM32H563ZIT6",
                "--suspect-access",
                "nonsecure",
                "--suspect-mode",
                "hotplug",
                "--title",
                'a "title"\\',
            ]
        )
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["case"] == str(out)
    assert document["undecided"] == document["undecided_files"] == []
    assert [u["file"] for u in document["unused"]] == [str(folder / "readme.md")]
    assert tomllib.loads((out / "case.toml").read_text("utf-8")) == {
        "title": 'a "title"\\',
        "layout": "flash_layout.h",
        "good": {"name": "good", "dumps": ["good.hex"], "options": "good-ob.txt", "log": "good-log.txt"},
        "suspect": {
            "name": "suspect",
            "dumps": ["suspect-1.hex", "suspect-2.hex"],
            "later": ["suspect-later.hex"],
            "access": "nonsecure",
            "mode": "hotplug",
            "marking": "STM32H563ZIT6",
            "options": "suspect-ob.txt",
            "log": "suspect-ob.txt",
            "info": "info.json",
            "sweep": "sweep.json",
            "flashtest": "flashtest.json",
            "uart": "boot.txt",
            "registers": "regs.txt",
        },
        "provisioning": {"package": "1.3.0", "logs": ["prov.log"]},
        "images": [{"file": "app_sign.hex"}],
        "loader": {"file": "q.stldr", "log": "vb3.txt"},
        "keys": {"verify": ["pub.pem"], "decrypt": ["enc.pem"]},
    }
    case = load_case(out)
    assert [d.name for d in case.suspects[0].dumps] == ["suspect-1.hex", "suspect-2.hex"]
    assert case.good.known
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert (out / "enc.pem").stat().st_mode & 0o077 == 0
    missing = {m["what"] for m in document["missing"]}
    assert "the flash layout" not in missing
    assert any("good board was read" in m for m in missing)


@pytest.mark.parametrize("case", sorted(p.parent.name for p in DATA.glob("*/case.toml")))
def test_the_bundled_cases_sort_themselves(tmp_path, capsys, case):
    assert main(["case", str(DATA / case), "--out", str(tmp_path / "c"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["undecided_files"] == []
    own, remade = (tomllib.loads((f / "case.toml").read_text("utf-8")) for f in (DATA / case, tmp_path / "c"))
    for side in ("good", "suspect"):
        for key in ("dumps", "options", "log", "info", "flashtest", "uart", "registers", "later", "sweep"):
            assert remade.get(side, {}).get(key) == own.get(side, {}).get(key), (side, key)
    load_case(tmp_path / "c")


def test_the_same_name_twice(tmp_path):
    folder = drop(tmp_path, "good/dump.hex", "suspect/dump.hex", "suspect/case.TOML.hex")
    out = tmp_path / "case"
    write_case(sort_evidence([folder]), out)
    case = load_case(out)
    assert case.good.dumps[0].image == read_image(folder / "good/dump.hex")
    assert {d.image.sha256() for d in case.suspects[0].dumps} == {
        read_image(folder / "suspect" / n).sha256() for n in ("dump.hex", "case.TOML.hex")
    }


AWKWARD = [
    'a "quoted" name.hex',
    "back\\slash.hex",
    "new\nline.hex",
    "Zürich Ω.hex",
    "tab\there.hex",
    "del\x7f.hex",
    " .hex",
    "x" * 240 + ".hex",
    "nul.hex",
    "a#b=[c].hex",
    "\u202eodd.hex",
]


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names(tmp_path, name):
    folder = tmp_path / "drop"
    folder.mkdir()
    dump_hex(tmp_path / "a.hex")
    shutil.copyfile(tmp_path / "a.hex", folder / name)
    out = tmp_path / "case"
    write_case(sort_evidence([folder], details=Details(title=name)), out)
    case = load_case(out)
    plain = "".join(c if c.isprintable() else "?" for c in name)
    assert case.title == (plain if len(name) <= 200 else plain[:197] + "...")
    assert case.suspects[0].dumps[0].image == read_image(folder / name)


def test_a_name_that_is_no_text(tmp_path, capsys):
    folder = tmp_path / "drop"
    folder.mkdir()
    dump_hex(tmp_path / "a.hex")
    shutil.copyfile(tmp_path / "a.hex", os.fsencode(folder) + b"/bad\xff\xfename.hex")
    assert main(["case", str(folder), "--out", str(tmp_path / "case")]) == 0
    assert len(load_case(tmp_path / "case").suspects[0].dumps) == 1
    capsys.readouterr()


def test_bases_of_binaries(tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    for name in ("suspect-0x0C000000.bin", "suspect-plain.bin", "suspect-known.bin"):
        (folder / name).write_bytes(bytes(0x2000))
    write_sidecar(folder / "suspect-known.bin", Sidecar(base=0x080B_E000, mode="hotplug", chip="stm32h563zi"))
    found = sort_evidence([folder])
    out = tmp_path / "case"
    write_case(found, out)
    case = load_case(out)
    starts = {d.name: d.image.span.start for d in (*case.suspects[0].dumps,)}
    assert starts == {
        "suspect-0x0C000000.bin": 0x0C00_0000,
        "suspect-plain.bin": 0x0800_0000,
        "suspect-known.bin": 0x080B_E000,
    }
    assert case.chip is None, "a sidecar names the chip where it is read; nobody gave one"
    assert any("suspect-plain.bin" in r and "assumed" in r for r in found.remarks)
    assert any("0x0C000000" in r and "taken from its name" in r for r in found.remarks)
    assert not (folder / "suspect-0x0C000000.bin.map.json").exists()


def test_nothing_is_ever_written_over(tmp_path, capsys, monkeypatch):
    folder = drop(tmp_path, "good.hex")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert main(["case", str(folder), "--out", str(tmp_path / "full")]) == 2
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    monkeypatch.chdir(tmp_path)
    for expected in ("h5diag-case", "h5diag-case-2", "h5diag-case-3"):
        assert main(["case", str(folder), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["case"] == expected
    monkeypatch.chdir(folder)
    for _ in range(2):  # a case folder made inside the dropped folder is not dropped with it
        assert main(["case", ".", "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["good"]["files"]) == 1


def test_several_files_for_one_key_are_said(tmp_path):
    folder = drop(tmp_path, "good.hex", "suspect-board1-ob.txt", "bad board 2-ob.txt", "suspect-board1.hex")
    found = sort_evidence([folder])
    write_case(found, tmp_path / "case")
    assert sorted(len(b.files) for b in found.boards.suspects) == [1, 2], "names that count boards keep them apart"
    assert len(load_case(tmp_path / "case").suspects) == 2
    folder = drop(tmp_path / "2", "suspect.hex", "suspect-ob.txt", "suspect-ob2.txt")
    found = sort_evidence([folder])
    found = write_case(found, tmp_path / "case2")
    assert any("left out: suspect-ob2.txt" in r for r in found.remarks)


def test_what_is_missing_names_what_it_decides(tmp_path):
    found = sort_evidence([drop(tmp_path, "suspect.hex")])
    wants = {m.what: m for m in found.missing}
    for words in (
        "a dump of a board that works",
        "a second read of the suspect board",
        "the option listing of the suspect board",
        "the connection banner of the suspect board",
        "the flash layout",
        "the files that were to be flashed",
    ):
        assert wants[words].decides
        assert wants[words].how
    assert all(not m.how.startswith("h5diag flashtest --probe") for m in found.missing)


def test_a_provisioning_log_that_is_there_is_not_missing(tmp_path):
    folder = drop(tmp_path, "suspect.hex")
    assert "the provisioning log" in {m.what for m in sort_evidence([folder]).missing}
    (folder / "ob_flash_programming.log").write_text(PROVISIONING)
    found = sort_evidence([folder])
    assert found.of(FileRole.PROVISIONING)
    assert "the provisioning log" not in {m.what for m in found.missing}


def test_the_whole_content_of_another_board_is_a_board_and_no_program(tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    body = np.random.default_rng(4).bytes(0x4000)
    (folder / "ref_board.bin").write_bytes(body + b"\xff" * 0xC000)
    write_image(MemoryImage.from_bytes(body, 0x0800_0000), folder / "customer_unit.hex")
    found = sort_evidence([folder])
    assert [e.path.name for e in found.boards.good.of(FileRole.DUMP)] == ["ref_board.bin"]
    assert [e.path.name for b in found.suspects for e in b.of(FileRole.DUMP)] == ["customer_unit.hex"]


@pytest.mark.parametrize(
    ("name", "size", "role"),
    [
        ("flash.bin", 0x3123, "images"),
        ("flash.bin", 0x3100, "dumps"),
        ("flash_dump.bin", 0x3123, "dumps"),
        ("suspect_flash.bin", 0x3123, "dumps"),
    ],
)
def test_a_build_that_is_called_after_the_flash_is_no_read(tmp_path, name, size, role):
    folder = tmp_path / "drop"
    folder.mkdir()
    rng = np.random.default_rng(3)
    (folder / name).write_bytes(rng.bytes(size))
    whole = rng.bytes(0x8000) + b"\xff" * 0x8000
    (folder / ("suspect_read.bin" if name.startswith("suspect") else "readback.bin")).write_bytes(whole)
    case = sort_evidence([folder])
    dumps = {e.path.name for b in case.suspects for e in b.of(FileRole.DUMP)}
    assert (name in dumps) is (role == "dumps")
    assert len(dumps) == (2 if role == "dumps" else 1)


@pytest.mark.parametrize(
    ("text", "base", "absent", "present"),
    [
        ("", 0x0800_0000, (), ("the flash layout", "the option listing")),
        (
            BANNER.replace("0x484", "0x467"),
            0x0800_0000,
            ("the flash layout", "ECC", "access and"),
            ("the option listing",),
        ),
        (
            "",
            0x9000_0000,
            ("the flash layout", "ECC", "access and", "the option listing", "banner"),
            ("a dump of a board",),
        ),
    ],
)
def test_only_what_can_tell_something_here_is_missing(tmp_path, text, base, absent, present):
    folder = tmp_path / "drop"
    folder.mkdir()
    write_image(MemoryImage.from_bytes(bytes(range(1, 256)) * 40, base), folder / "dump.hex")
    if text:
        (folder / "tool.txt").write_text(text)
    wanted = [f"{m.what} {m.how}" for m in sort_evidence([folder]).missing]
    assert not [w for w in wanted if any(a in w for a in absent)]
    assert all(any(p in w for w in wanted) for p in present)
    assert not any("ap=1" in w for w in wanted)


def test_the_access_port_of_a_known_chip_is_part_of_the_command(tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "tool.txt").write_text(BANNER)
    wanted = [m.how for m in sort_evidence([folder]).missing]
    assert any("mode=HOTPLUG ap=1 -ob displ" in w for w in wanted)


def test_bad_usage(tmp_path, capsys):
    for arguments in (
        [],
        [str(tmp_path / "none")],
        [str(tmp_path)],
        ["--good", str(tmp_path / "none.hex")],
        [str(tmp_path), "--good", str(tmp_path / "none.hex")],
        [str(tmp_path), "--layout", "nonsense"],
        [str(tmp_path), "--chip", "z80"],
    ):
        assert main(["case", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_too_many_files(tmp_path, monkeypatch):
    folder = drop(tmp_path, *(f"dump{i}.hex" for i in range(5)))
    monkeypatch.setattr("h5diag.evidence.door.FOLDER_FILES", 4)
    with pytest.raises(InputError, match="more than 4 files"):
        sort_evidence([folder])


def test_the_question_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("x\n9\n2\n"))
    assert cli._ask("Which?", ["a", "b"]) == 1
    shown = capsys.readouterr().err
    assert "  2  b" in shown
    assert shown.count("1 to 2") == 3
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert cli._ask("Which?", ["a", "b"]) == -1
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert cli._ask("Which?", ["a", "b"]) == -1


def test_the_text_for_a_person(tmp_path, capsys):
    folder = drop(tmp_path, "zeta.hex", "custom.hex", "custom-ob.txt")
    assert main(["case", str(folder), "--out", str(tmp_path / "case")]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Case folder: {tmp_path / 'case'}\n")
    assert "ood or suspect? not known: custom" in out
    assert "--good FILE" in out
    assert out.rstrip().endswith(f"Next: h5diag diagnose {tmp_path / 'case'}")
    case = load_case(tmp_path / "case")
    assert {b.name for b in case.suspects} == {"custom", "zeta"}


def test_a_notebook_sorts_and_writes_in_two_calls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = drop(tmp_path, "good.hex", "suspect.hex")
    case = h5.sort_evidence(folder, title="two boards").write()
    assert (case, load_case(case).title) == (Path("h5diag-case"), "two boards")
    more = drop(tmp_path / "2", "suspect-log.txt")
    assert h5.sort_evidence(more / "suspect-log.txt", into=case).write() == case
    assert load_case(case).suspects[0].log.name == "suspect-log.txt"


def flash_read(seed=3, size=0x20000):
    data = np.full(size, 0xFF, np.uint8)
    data[:0x9000] = np.random.default_rng(seed).integers(1, 255, 0x9000, np.uint8)
    return data


def test_numbers_behind_bad_board_count_reads_where_the_bytes_agree_but_for_what_reading_adds(tmp_path):
    first = flash_read()
    weak, holed, sheet = first.copy(), first.copy(), first.copy()
    weak[0x1234] ^= 4
    holed[0x2000:0x2040] = 0
    sheet[0x1F000:0x1F020] = np.arange(32)  # another board: its serial number
    lost = first.copy()
    lost[0x3010:0x33F8], lost[0x33F8:0x3400] = first[0x3018:0x3400], first[0x3000:0x3008]
    for other, boards in ((weak, 1), (holed, 1), (lost, 1), (sheet, 2)):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "bad_board-1.bin").write_bytes(first.tobytes())
        (folder / "bad_board-2.bin").write_bytes(other.tobytes())
        assert len(sort_evidence([folder]).suspects) == boards


def test_a_second_read_saved_in_another_form_is_no_program(tmp_path):
    data = flash_read().tobytes()
    (tmp_path / "my_board-1.bin").write_bytes(data)
    write_image(MemoryImage.from_bytes(data[:0xA000], 0x0800_0000), tmp_path / "my_board-2.hex")
    (board,) = sort_evidence([tmp_path]).suspects
    assert [e.path.name for e in board.of(FileRole.DUMP)] == ["my_board-1.bin", "my_board-2.hex"]


def test_a_development_board_beside_a_board_of_ones_own_is_the_good_one(tmp_path):
    for name in ("nucleo.bin", "customer_unit.bin"):
        (tmp_path / name).write_bytes(flash_read().tobytes())
    result = sort_evidence([tmp_path])
    assert [e.path.name for e in result.boards.good.files] == ["nucleo.bin"]
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "nucleo.bin").write_bytes(flash_read().tobytes())
    assert not sort_evidence([alone]).boards.good.files


@pytest.mark.parametrize("kit", ["nucleo.bin", "nucleo_h563.bin", "discovery.bin", "evalboard.bin", "dump_evb.bin"])
@pytest.mark.parametrize("other", ["dump.bin", "readback.bin", "custom.bin"])
def test_the_vendors_board_beside_a_dump_without_a_board_is_the_good_one(tmp_path, kit, other):
    (tmp_path / kit).write_bytes(flash_read(3).tobytes())
    (tmp_path / other).write_bytes(flash_read(4).tobytes())
    result = sort_evidence([tmp_path])
    assert [e.path.name for e in result.boards.good.files] == [kit]
    assert [[e.path.name for e in b.files] for b in result.suspects] == [[other]]


@pytest.mark.parametrize("name", ["proto2.bin", "unit7.bin", "board3.bin"])
def test_a_numbered_board_and_a_dump_without_one_are_two_boards_where_the_bytes_differ_much(tmp_path, name):
    first = flash_read(3)
    few, much = first.copy(), flash_read(4)
    few[0x1000:0x1400] = first[0x1008:0x1408]  # a window that lost words is still a read of the same board
    for other, boards in ((few, 1), (much, 2)):
        (tmp_path / name).write_bytes(first.tobytes())
        (tmp_path / "readout.bin").write_bytes(other.tobytes())
        assert len(sort_evidence([tmp_path]).suspects) == boards


def test_what_was_put_into_an_external_memory_beside_its_read(tmp_path):
    for name, seed in (("assets_0x90000000.bin", 3), ("qspi_readout_0x90000000.bin", 4)):
        (tmp_path / name).write_bytes(flash_read(seed).tobytes())
    result = sort_evidence([tmp_path])
    assert roles(tmp_path)["assets_0x90000000.bin"] is FileRole.IMAGE
    assert [[e.path.name for e in b.files] for b in result.suspects] == [["qspi_readout_0x90000000.bin"]]


@pytest.mark.parametrize("name", ["/", "..", ".", "a/", "\u0000", "", "/dev/zero", "x" * 300])
@pytest.mark.parametrize("key", ["dumps", "log"])
def test_files_are_added_to_a_case_that_names_what_is_no_file(begun, tmp_path, capsys, key, name):
    """What a stranger's case.toml names is none of the business of who adds a file; the diagnosis refuses it."""
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "case.toml").write_text(f"[suspect]\n{key} = {json.dumps([name] if key == 'dumps' else name)}\n")
    assert main(["case", str(folder)]) in (0, 2)
    assert capsys.readouterr().err.count("\n") <= 1


@pytest.mark.parametrize("name", [".map.json", "x.map.json", "x.map.json.map.json", "a.hex.map.json", "b.map.json/"])
def test_a_sidecar_that_is_dropped_alone_is_told(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    for path in (".map.json", "x.map.json", "x.map.json.map.json", "a.hex.map.json"):
        Path(path).write_text("{}")
    Path("b.map.json").mkdir()
    assert main(["case", name]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no evidence" in error or "no files" in error or "holds no" in error, error


def test_a_look_at_some_memory_belongs_to_the_board_that_was_read(tmp_path):
    folder = drop(tmp_path, "lecture_carte.hex")
    rows = "".join(f"0x{0x08034000 + i:08X} : 11223344 55667788 99AABBCC DDEEFF00\n" for i in range(0, 256, 16))
    (folder / "fenetre.txt").write_text(rows)
    assert list(sorted_names([folder])[1].values()) == [["fenetre.txt", "lecture_carte.hex"]]
    (folder / "fenetre.txt").write_text("".join(f"0x{0x08000000 + i:08X} : 11223344\n" for i in range(0, 0x2000, 4)))
    assert len(sorted_names([folder])[2]) == 2


def test_a_log_that_went_well_is_no_good_board(tmp_path):
    for name, text in (("jlink_1_ok.txt", "Found Cortex-M33 r0p4"), ("jlink_2.txt", "Can not attach to CPU.")):
        (tmp_path / name).write_text(f"SEGGER J-Link Commander V8.10e\nFound SW-DP with ID 0x6BA02477\n{text}\n")
    found = sort_evidence([tmp_path])
    assert not found.boards.good.files
    assert len(found.suspects) == 1


@pytest.mark.parametrize(
    ("note", "marking"),
    [
        ("our board with STM32L431CC does not log", "STM32L431CC"),
        ("works on NUCLEO-H563ZI, not on the STM32F407VG", ""),
        ("nothing to see", ""),
    ],
)
def test_a_note_may_name_the_chip_where_nothing_else_does(tmp_path, note, marking):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "readback.bin").write_bytes(bytes(range(256)) * 256)
    (folder / "mail.txt").write_text(note)
    found = sort_evidence([folder])
    assert found.details.marking == marking
    assert found.choice.assumed is (not marking)
    assert bool([r for r in found.remarks if "a note" in r]) is bool(marking)
    (folder / "log.txt").write_text("Device ID   : 0x484\nRevision ID : Rev X\n")
    assert sort_evidence([folder]).details.marking == ""
