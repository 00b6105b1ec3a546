"""No evidence is accepted that nothing reads, true evidence makes no answer worse, and harmless pairs stay harmless."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scenes.flaws import CONTRADICTIONS, flaws

from h5diag.case import load_case
from h5diag.case.folder import BoardTable, CaseTable
from h5diag.evidence.samples import data_folder
from h5diag.evidence.texts import LogKind
from h5diag.judge import BoardDiagnosis, diagnose
from h5diag.judge.findings import rows

from .bench import BASE, Bench, cells_led, flash, leading, listing, program, programmed, statuses
from .test_causes import CASES, PROGRAM, pages, rebuilt

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "evidence" / "texts"))
from bench_texts import TEXTS

BOOT = "[INF] Starting bootloader\n[ERR] Unexpected value for secure flash protection\n"
CONNECTED = "Device ID   : 0x484\nRevision ID : Rev X\nFlash size  : 2 MBytes\nVoltage     : 1.40V\n"
INFO = json.dumps({"dev_id": 0x484, "rev_id": 0x1007, "flash_kib": 2048, "registers": {"eccdetr": 0x80000010}})
SWEEP = json.dumps(
    {"sweep": [{"swd_hz": 10**6, "bytes": 64, "disagreeing": 0}, {"swd_hz": 8 * 10**6, "bytes": 64, "disagreeing": 3}]}
)


def plain(folder: Path) -> Bench:
    """Return a board with one wrong byte, so that evidence has something to say."""
    wrong = flash((0, PROGRAM))
    wrong[0x2000] ^= 0x3C
    return Bench(folder).dump(flash((0, PROGRAM)), good=True).dump(wrong)


def without_good(b: Bench) -> Bench:
    b.good.clear()
    return b


def later(b: Bench) -> Bench:
    changed = flash((0, PROGRAM))
    changed[0x100000:0x100010] = 1
    name = "after.bin"
    (b.folder / name).write_bytes(changed.tobytes())
    return b.say(f'later = ["{name}"]')


def raw(b: Bench) -> Bench:
    (b.folder / "part.bin").write_bytes(PROGRAM.tobytes())
    b.suspect[:] = ['name = "unit 7"', 'dumps = ["part.bin"]', "base = 0x08000000"]
    return b


# A key of [suspect], and how to give it so that it must tell something.
BOARD_KEYS: dict[str, Callable[[Bench], Bench]] = {
    "later": later,
    "base": raw,
    "access": lambda b: b.say('access = "secure"'),
    "mode": lambda b: without_good(b).say('mode = "hotplug"'),
    "after_da": lambda b: b.say("after_da = true"),
    "resets_since_flash": lambda b: b.say("resets_since_flash = 0"),
    "tool": lambda b: b.say('tool = "OpenOCD"'),
    "marking": lambda b: b.say('marking = "STM32H563ZGT6"').text("log", CONNECTED),
    "options": lambda b: b.text("options", listing()),
    "log": lambda b: b.text("log", CONNECTED),
    "uart": lambda b: b.text("uart", BOOT),
    "registers": lambda b: b.text("registers", "0x44024000 : 10076484\n0x40022104 : 80000010\n"),
    "info": lambda b: b.text("info", INFO),
    "sweep": lambda b: b.text("sweep", SWEEP),
    "flashtest": lambda b: b.text("flashtest", (data_folder() / "defect" / "flashtest.json").read_text("utf-8")),
}
NAMED = {"name", "dumps"}


def seen(board: BoardDiagnosis) -> set[tuple[str, str]]:
    return {(f.id, f.claim) for f in board.findings}


@pytest.mark.parametrize("key", sorted(set(BoardTable.__struct_fields__) - NAMED))
def test_every_key_of_a_board_changes_what_is_found(tmp_path: Path, key: str) -> None:
    assert key in BOARD_KEYS, f"{key}: no check reads it, or this test does not know it"
    without, with_it = tmp_path / "without", tmp_path / "with"
    without.mkdir(), with_it.mkdir()
    start = (lambda f: without_good(plain(f))) if key == "mode" else plain
    assert seen(start(without).first()) != seen(BOARD_KEYS[key](start(with_it)).first())


def copied(b: Bench, *names: str) -> None:
    for name in names:
        shutil.copy(data_folder() / name, b.folder)


def loader(b: Bench) -> Bench:
    copied(b, "loaders/h5-wrong-base.stldr", "loaders/logs/h5-bypassed.txt")
    b.rest.append('[loader]\nfile = "h5-wrong-base.stldr"\nlog = "h5-bypassed.txt"')
    return b


def keys(b: Bench) -> Bench:
    copied(b, "keys/sign-p256-pub.pem")
    b.rest.append('[keys]\nverify = ["sign-p256-pub.pem"]')
    return b


def waiting(folder: Path) -> Bench:
    """Return a board in whose download slot a marked image waits, and whose program stands in no slot."""
    part = np.zeros(0x400, np.uint8)
    part[:24] = np.frombuffer(struct.pack("<IIHHIIBBH", 0x96F3B83D, 0, 0x400, 0, 0x4000, 0, 1, 0, 0), np.uint8)
    body = program(31, 0x4000, BASE + 0x1E400)
    digest = hashlib.sha256(part.tobytes() + body.tobytes()).digest()
    tlv = struct.pack("<HH", 0x10, 32) + digest + struct.pack("<HH", 0x01, 32) + digest[::-1]
    tlv += struct.pack("<HH", 0x22, 70) + bytes(range(70))
    tlv = struct.pack("<HH", 0x6907, 4 + len(tlv)) + tlv
    image = np.concatenate((part, body, np.frombuffer(tlv, np.uint8)))
    trailer = np.frombuffer(bytes.fromhex("77c295f360d2ef7f3552500f2cb67980"), np.uint8)
    # A download that was confirmed when it was signed: ST's loader erases it, the upstream one takes it.
    confirmed = np.frombuffer(b"\x01", np.uint8)
    cells = flash((0, PROGRAM), (0xC4000, image), (0x164000 - 16, trailer), (0x164000 - 32, confirmed))
    return Bench(folder).head('layout = "oemirot-2m-overwrite"').dump(cells)


CASE_KEYS: dict[str, Callable[[Bench], Bench]] = {
    "chip": lambda b: b.head('chip = "stm32h563zg"').text("log", CONNECTED),
    "layout": lambda b: b.head('layout = "oemirot-2m-overwrite"'),
    "images": lambda b: b.image("app.hex", PROGRAM),
    "provisioning": lambda b: b.log(programmed("app.hex", BASE, 36, ok=False)),
    "good": lambda b: b,
    "suspect": lambda b: b.text("options", listing()),
    "boot_loader": lambda b: b.head('boot_loader = "upstream"'),
    "boot_mode": lambda b: b.head('boot_mode = "swap-scratch"'),
    "loader": loader,
    "keys": keys,
}
BARE: dict[str, Callable[[Path], Bench]] = {
    "good": lambda f: Bench(f).dump(flash((0, PROGRAM))),
    "boot_loader": waiting,
    "boot_mode": waiting,
    "keys": waiting,
}
"""Cases beside which a key has something to say, where the plain one is none."""
ELSEWHERE = {"title", "suspects"}
"""A word for a person, and several boards, which `tests/judge/test_fleet.py` and the bundled cases change."""


@pytest.mark.parametrize("key", sorted(set(CaseTable.__struct_fields__) - ELSEWHERE))
def test_every_key_of_a_case_changes_what_is_found(tmp_path: Path, key: str) -> None:
    without, with_it = tmp_path / "without", tmp_path / "with"
    without.mkdir(), with_it.mkdir()
    assert key in CASE_KEYS, f"{key}: no check reads it, or this test does not know it"
    start = BARE.get(key, plain)
    changed = CASE_KEYS[key](plain(with_it) if key == "good" else start(with_it))
    assert seen(start(without).first()) != seen(changed.first())


DFU = "dfu-util 0.11\nFound DFU: [0483:df11] ver=0200\nDevice ID: 0x484\nFile downloaded successfully\n"
KEY_OF = {LogKind.BOOT: "uart", LogKind.REGISTERS: "registers", LogKind.OPTIONS: "options"}
SAYS_NOTHING = {
    LogKind.DIFF: "two boards' values in one text: it belongs to neither",
    LogKind.UNKNOWN: "not understood, which the answer says",
}


@pytest.mark.parametrize("kind", [k for k in LogKind if k not in SAYS_NOTHING])
def test_every_kind_of_text_changes_what_is_found(tmp_path: Path, kind: LogKind) -> None:
    texts = [t.text for t in TEXTS if t.kind == kind.value] or [DFU]

    def told(folder: Path, text: str) -> set[tuple[str, str]]:
        folder.mkdir()
        b = plain(folder)
        board = (b.text(KEY_OF.get(kind, "log"), text) if text else b).first()
        return seen(board) | {("chip", board.measured.choice.text)}

    assert told(tmp_path / "with", texts[-1]) != told(tmp_path / "without", "")


@pytest.mark.parametrize("kind", SAYS_NOTHING)
def test_a_text_that_decides_nothing_changes_no_cause(tmp_path: Path, kind: LogKind) -> None:
    for n, text in enumerate([t.text for t in TEXTS if t.kind == kind.value] or ["hello\n"]):
        folder = tmp_path / str(n)
        folder.mkdir()
        board = plain(folder).text("log", text).first()
        assert leading(board) == ""
        assert len(seen(board)) >= 1


SLOTS = """mode = "overwrite"
loader = "upstream"
[[slots]]
start = 0x180000
size = 0x20000
role = "primary"
[[slots]]
start = 0x1A0000
size = 0x20000
role = "secondary"
"""


def slots(b: Bench) -> Bench:
    """Name a layout that is true of every board of `CASES` without one: slots that nobody used yet."""
    if any("layout" in line for line in b.toml):
        return b
    (b.folder / "slots.toml").write_text(SLOTS, "utf-8")
    return b.head('layout = "slots.toml"')


def image(b: Bench) -> Bench:
    """Add the file that the board was flashed with, where the case has none: the program of every scene."""
    told = "\n".join(b.rest)
    has_dump = any(line.startswith("dumps") for line in b.suspect)
    return b if "[[images]]" in told or not has_dump else b.image("app.hex", PROGRAM)


TRUE_EVIDENCE: dict[str, Callable[[Bench], Bench]] = {
    "options": lambda b: b if any(s.startswith("options") for s in b.suspect) else b.text("options", listing()),
    "log": lambda b: (
        b if any(s.startswith("log") for s in b.suspect) else b.text("log", CONNECTED.replace("1.40", "3.29"))
    ),
    "sweep": lambda b: b.text("sweep", SWEEP.replace('"disagreeing": 3', '"disagreeing": 0')),
    "layout": slots,
    "image": image,
    "reset": lambda b: b.say("resets_since_flash = 3"),
    "authenticated": lambda b: b.say("after_da = false"),
}
NOT_THERE = {
    ("no core answers", "log"),
    ("all ones on another family", "log"),
    ("no core answers, other words", "log"),
    ("all ones on another family", "options"),
    ("all ones on another family", "layout"),
    ("one of two chips", "log"),
    ("no core answers", "options"),
    ("no core answers, other words", "options"),
}
"""Evidence that such a board cannot give: it does not answer, or it is of another family."""


@pytest.mark.parametrize(
    ("name", "more"), [(n, m) for n in CASES if n != "core in ROM" for m in TRUE_EVIDENCE if (n, m) not in NOT_THERE]
)
def test_more_true_evidence_keeps_the_right_cause(tmp_path: Path, name: str, more: str) -> None:
    cause, scene = CASES[name]
    board = TRUE_EVIDENCE[more](scene(Bench(tmp_path))).first()
    assert leading(board) == cause


def test_contradictions_name_findings() -> None:
    assert {id for pair in CONTRADICTIONS for id in pair} <= set(rows())


@pytest.mark.parametrize("name", CASES)
def test_an_answer_has_no_flaw_that_a_machine_can_see(tmp_path: Path, name: str) -> None:
    CASES[name][1](Bench(tmp_path)).first()
    assert not flaws(diagnose(load_case(tmp_path)))


# ---- controls: pairs that differ for a harmless reason ----


def identity_page(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    at = int(rng.integers(0x60, 0xFF)) * 0x2000
    one, two = (np.frombuffer(f"unit {n:06d} lot {n % 91:02d}\0".encode(), np.uint8) for n in rng.integers(0, 10**6, 2))
    return flash((0, PROGRAM), (at, one)), flash((0, PROGRAM), (at, two))


def eeprom_emulation(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    at = int(rng.integers(0x60, 0xF0)) * 0x2000
    head = np.frombuffer(bytes.fromhex("00aa00aa") * 4, np.uint8)
    both = []
    for _ in range(2):
        n = int(rng.integers(20, 400)) * 16
        both.append(flash((0, PROGRAM), (at, head), (at + 0x40, rng.integers(0, 255, n, dtype=np.uint8))))
    return both[0], both[1]


def build_date(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    both = []
    for _ in range(2):
        text = f"Nov {rng.integers(10, 30)} 2026 {rng.integers(10, 23)}:{rng.integers(10, 59)}:{rng.integers(10, 59)} release"
        body = PROGRAM.copy()
        body[0x3100 : 0x3100 + len(text)] = np.frombuffer(text.encode(), np.uint8)
        both.append(flash((0, body)))
    return both[0], both[1]


def calibration(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    at = int(rng.integers(0x80, 0xFF)) * 0x2000
    both = [flash((0, PROGRAM), (at, rng.normal(1, 0.1, 24).astype("<f4").view(np.uint8))) for _ in range(2)]
    return both[0], both[1]


def other_firmware(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    step = int(rng.integers(4, 200)) * 4
    return flash((0, PROGRAM)), flash((0, rebuilt(step, int(rng.integers(0x400, 0x1800)) * 4)))


def padding(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    at, n = int(rng.integers(0x400, 0x8000)), int(rng.integers(3, 40))
    one, two = PROGRAM.copy(), PROGRAM.copy()
    one[at : at + n], two[at : at + n] = 0, 0xFF
    return flash((0, one)), flash((0, two))


CONTROLS = (identity_page, eeprom_emulation, build_date, calibration, other_firmware, padding)
COUNT = 204 if os.environ.get("H5DIAG_SOAK") else 12


@pytest.mark.parametrize("number", range(COUNT))
def test_a_harmless_pair_is_led_by_no_cause_of_the_cells(tmp_path: Path, number: int) -> None:
    good, suspect = CONTROLS[number % len(CONTROLS)](np.random.default_rng(1000 + number))
    board = Bench(tmp_path).dump(good, good=True).dump(suspect).text("options", listing()).first()
    assert not cells_led(board)
    assert board.verdict.word.value == "sound" or (
        board.verdict.word.value == "undecided" and board.verdict.open_points
    )
    assert statuses(board)["dump-corrupted"] != "supported"
    assert statuses(board)["wrong-placement"] != "supported"


def test_pages_are_not_taken_for_data_where_a_few_cells_are_wrong(tmp_path: Path) -> None:
    one = pages(7)
    two = one.copy()
    two[0x400] ^= 0x21
    board = (
        Bench(tmp_path)
        .dump(flash((0, PROGRAM), (0x1F0000, one)), good=True)
        .dump(flash((0, PROGRAM), (0x1F0000, two)))
        .first()
    )
    assert leading(board) != "board-data"
    assert board.verdict.word.value == "undecided"


def test_a_program_is_no_data_wherever_it_stands(tmp_path: Path) -> None:
    good, bad = (flash((0, PROGRAM), (0x100000, program(n, 0x4000, BASE + 0x100000))) for n in (11, 12))
    assert leading(Bench(tmp_path).dump(good, good=True).dump(bad).first()) != "board-data"
