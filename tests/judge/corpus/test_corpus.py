"""The generator itself: same seed same case, fast, true to its own tables, blind to the diagnosis."""

from __future__ import annotations

import ast
import hashlib
import json
import struct
import tomllib
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from intelhex import IntelHex

from corpus import FLASH_TEST_CUTS, MIXTURES, evidence_table, make_case, make_edited
from corpus.board import BASE, LAYOUTS, SECTOR
from corpus.causes import BY_ID, CAUSES
from corpus.edited import DATA, EDITS
from corpus.scene import FLASH_2M, alone_scene, oemirot_scene
from tests.work import calls

HERE = Path(__file__).parent
HYPOTHESES = {
    "install-pending",
    "masked-read",
    "debug-locked",
    "options-not-applied",
    "bank-swapped",
    "wrong-bank-erase",
    "wrong-size-assumption",
    "wrong-placement",
    "not-erased",
    "padding",
    "dump-corrupted",
    "loader-bypassed",
    "loader-mislinked",
    "application-wrote",
    "board-wiring",
    "torn-write",
    "erratum",
    "write-protected",
    "worn-cells",
    "flash-defect",
    "wrong-part",
    "system-flash",
}


def digest(folder: Path) -> str:
    h = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        h.update(path.name.encode() + path.read_bytes())
    return h.hexdigest()


def files_named(toml: dict) -> set[str]:
    found: set[str] = set()
    for board in (toml["good"], toml["suspect"], toml.get("loader", {}), *toml.get("images", [])):
        for key, value in board.items():
            if key in ("dumps", "later"):
                found |= set(value)
            elif key in ("log", "options", "info", "sweep", "flashtest", "file"):
                found.add(value)
    return found


def image(path: Path) -> IntelHex:
    return IntelHex(str(path))


def test_every_hypothesis_has_a_cause_and_a_row() -> None:
    assert set(BY_ID) == set(evidence_table()) == HYPOTHESES | {"sound"}
    assert {c for pair in MIXTURES for c in pair} <= HYPOTHESES


def test_table_is_well_formed() -> None:
    for cause, row in evidence_table().items():
        assert set(row) == {"needs", "status", "verdict", "because"}
        assert row["status"] in ("supported", "possible", "")
        assert ("faulty" in row["verdict"]) == (cause == "flash-defect")
        assert set(FLASH_TEST_CUTS) <= set(evidence_table()["flash-defect"]["needs"])


def test_nothing_of_the_library_is_imported() -> None:
    for path in (
        HERE / f"{name}.py"
        for name in (
            "board",
            "causes",
            "edited",
            "generate",
            "in_flash",
            "in_reading",
            "in_records",
            "records",
            "scene",
            "synth",
            "texts",
        )
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            assert not [n for n in names if n.split(".")[0] == "h5diag"], path


@pytest.mark.parametrize("cause", sorted(BY_ID))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_single_causes_have_what_they_need(cause: str, seed: int, tmp_path: Path) -> None:
    truth = make_case(tmp_path / "a", seed, kind="control" if cause == "sound" else "single", cause=cause)
    assert truth.sufficient
    assert truth.causes == (() if cause == "sound" else (cause,))
    make_case(tmp_path / "b", seed, kind=truth.kind, cause=cause)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    toml = tomllib.loads((tmp_path / "a/case.toml").read_text("utf-8"))
    there = {p.name for p in (tmp_path / "a").iterdir()} - {"case.toml", "truth.json"}
    assert files_named(toml) == there
    for path in (tmp_path / "a").glob("*.hex"):
        assert len(image(path))
    assert json.loads((tmp_path / "a/truth.json").read_text("utf-8"))["seed"] == seed


@pytest.mark.parametrize("pair", MIXTURES, ids="+".join)
def test_mixtures_apply_both(pair: tuple[str, str], tmp_path: Path) -> None:
    seeds = (s for s in range(10_000) if MIXTURES[int(_after_kind(s).integers(len(MIXTURES)))] == pair)
    truth = make_case(tmp_path, next(seeds), kind="mixture")
    assert truth.causes == pair
    assert truth.sufficient
    assert truth.verdicts


def _after_kind(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("cause", sorted(HYPOTHESES))
def test_cut_evidence_is_never_enough(cause: str, tmp_path: Path) -> None:
    for seed in range(4):
        truth = make_case(tmp_path / str(seed), seed, kind="cut", cause=cause)
        assert truth.cut
        assert not truth.sufficient
        assert "faulty" not in truth.verdicts
        # Where nothing that is left deviates, no program could know.
        silent = set(truth.status.values()) == {"any"}
        assert silent or set(truth.status.values()) == {"not excluded"}
        assert not ("sound" in truth.verdicts and not silent)


def test_only_some_cuts_leave_nothing_to_see(tmp_path: Path) -> None:
    silent = {c: make_case(tmp_path / c, 3, kind="cut", cause=c).status[c] == "any" for c in sorted(HYPOTHESES)}
    for cause in (
        "install-pending",
        "masked-read",
        "not-erased",
        "dump-corrupted",
        "torn-write",
        "write-protected",
        "bank-swapped",
        "wrong-placement",
        "board-wiring",
    ):
        assert (
            not silent[cause]
            or "suspect.dumps" not in json.loads((tmp_path / cause / "truth.json").read_text("utf-8"))["present"]
        )


def test_sound_needs_a_comparison(tmp_path: Path) -> None:
    for i, cause in enumerate(c.id for c in CAUSES):
        truth = make_case(tmp_path / cause, i, kind="control" if cause == "sound" else "single", cause=cause)
        if "sound" in truth.verdicts:
            assert "suspect.dumps" in truth.present
            assert {"good.dumps", "images"} & set(truth.present)


def test_a_case_costs_little(tmp_path: Path) -> None:
    make_case(tmp_path / "first", 0)
    assert calls(lambda: [make_case(tmp_path / str(seed), seed) for seed in range(10)], 10 * 60_000)


@pytest.mark.parametrize("seed", range(6))
def test_synthesised_images_have_the_right_structure(seed: int) -> None:
    scene = oemirot_scene(np.random.default_rng(seed))
    assert scene.slots is not None
    for primary, secondary, _ in scene.slots.each():
        slot, download = scene.good.cells[primary:].tobytes(), scene.downloads[secondary]
        assert slot[:4] == bytes.fromhex("3db8f396")
        assert slot[:0x400] == download[:0x400]
        (size,) = struct.unpack_from("<I", slot, 0x0C)
        stop = 0x400 + size + 12
        assert slot[stop : stop + 2] == b"\x07\x69"
        assert hashlib.sha256(slot[:stop]).digest() == slot[stop + 8 : stop + 40]


def test_layouts_follow_the_formula() -> None:
    default = LAYOUTS["oemirot-2m-overwrite"]
    assert [p for p, _, _ in default.each()] == [0x18000, 0x1E000]
    assert [s for _, s, _ in default.each()] == [0xBE000, 0xC4000]
    assert default.end == 0x164000
    swap = LAYOUTS["oemirot-2m-swap"]
    assert [a for slot in swap.each() for a in slot[:2]] == [0x28000, 0xCE000, 0x2E000, 0xD4000]
    small = LAYOUTS["oemirot-1m-overwrite"]
    assert [a for slot in small.each() for a in slot[:2]] == [0x18000, 0x5E000, 0x1E000, 0x64000]


def test_attribute_rule() -> None:
    board = oemirot_scene(np.random.default_rng(5)).good
    board.hidden = 0
    edge = (board.options["SECWM1_END"] + 1) * SECTOR
    board.reader = "nonsecure"
    assert not board.seen()[:edge].any()
    assert (board.seen()[edge:] == board.cells[edge:]).all()
    board.reader = "secure"
    assert (board.seen()[:edge] == board.cells[:edge]).all()
    assert not board.seen()[edge:].any()
    board.reader = "all"
    assert (board.seen() == board.cells).all()


def applied(cause: str, seed: int):
    rng = np.random.default_rng(seed)
    scene = oemirot_scene(rng) if BY_ID[cause].product == "oemirot" else alone_scene(rng)
    BY_ID[cause].apply(scene)
    return scene


@pytest.mark.parametrize("seed", range(5))
def test_causes_do_what_they_say(seed: int) -> None:
    s = applied("not-erased", seed)
    risen = s.suspect.cells & ~s.good.cells
    assert not risen.any()
    assert (s.suspect.cells != s.good.cells).sum() > 200
    s = applied("bank-swapped", seed)
    half = FLASH_2M // 2
    assert (s.suspect.cells[:half] == s.good.cells[half:]).all()
    s = applied("padding", seed)
    changed = np.flatnonzero(s.suspect.cells != s.good.cells)
    assert 1 <= len(changed) <= 30
    assert not s.suspect.cells[changed].any()
    s = applied("wrong-placement", seed)
    _, file, at = s.images[0]
    assert (s.suspect.cells[at : at + 16] != file[:16]).any()
    assert file[:64].tobytes() in s.suspect.cells.tobytes()
    s = applied("wrong-bank-erase", seed)
    _, update, at = s.images[0]
    assert (s.suspect.cells[at - half : at - half + len(update)] == 0xFF).all()
    assert (s.good.cells[at - half : at - half + len(update)] != 0xFF).any()
    s = applied("flash-defect", seed)
    faults = [f for sector in s.flashtest["sectors"] for f in sector["faults"]]
    assert faults
    assert all(BASE <= f["address"] < BASE + FLASH_2M for f in faults)
    s = applied("write-protected", seed)
    groups = {int(i) // (4 * SECTOR) for i in np.flatnonzero(s.suspect.cells != s.good.cells)}
    assert groups == {g for g in range(32) if not s.suspect.options["WRPSGn1"] >> g & 1}
    s = applied("torn-write", seed)
    changed = np.flatnonzero(s.suspect.cells != s.good.cells)
    assert len({int(i) // 16 for i in changed}) == 1
    registers = s.info["registers"]
    place = (registers["opsr"] >> 22 & 1) * half + (registers["opsr"] & 0xFFFFF)
    assert place // 16 == changed[0] // 16
    assert (registers["eccdetr"] >> 22 & 1) * half + (registers["eccdetr"] & 0xFFFF) * 16 == place


@pytest.mark.parametrize("cause", ["dump-corrupted", "worn-cells", "board-wiring", "erratum"])
@pytest.mark.parametrize("seed", range(4))
def test_reading_faults_differ_from_read_to_read(cause: str, seed: int) -> None:
    s = applied(cause, seed)
    reads = []
    for n in range(s.reads):
        seen = s.suspect.seen()
        for fault in s.read_faults:
            fault(seen, s.ranges(), n)
        reads.append(seen)
    differing = np.flatnonzero(np.ptp(np.stack(reads), axis=0))
    assert len(differing) >= 1
    if cause == "worn-cells":
        assert len(differing) <= 6


def test_loader_elf_reads_as_elf(tmp_path: Path) -> None:
    s = applied("loader-mislinked", 3)
    path = tmp_path / "l.stldr"
    path.write_bytes(s.loader[0])
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        loads = [g for g in elf.iter_segments() if g["p_type"] == "PT_LOAD"]
        assert loads[0]["p_vaddr"] == 0
        names = {sym.name for sym in elf.get_section_by_name(".symtab").iter_symbols()}
    assert {"StorageInfo", "Init", "Write", "SectorErase"} <= names


@pytest.mark.parametrize("seed", range(2 * len(EDITS)))
def test_edited_cases_are_whole(seed: int, tmp_path: Path) -> None:
    truth = make_edited(tmp_path / "a", seed)
    make_edited(tmp_path / "b", seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    toml = tomllib.loads((tmp_path / "a/case.toml").read_text("utf-8"))
    assert files_named(toml) == {p.name for p in (tmp_path / "a").iterdir()} - {"case.toml", "truth.json"}
    cause, case, _, _ = EDITS[seed % len(EDITS)]
    assert truth.causes[:1] == ((cause,) if cause != "sound" else ())
    changed = [
        p.name
        for p in (tmp_path / "a").iterdir()
        if p.name != "truth.json"
        and (
            not (DATA / case / p.name).exists()
            or (p.suffix == ".hex" and image(p).todict() != image(DATA / case / p.name).todict())
            or (p.suffix != ".hex" and p.read_bytes() != (DATA / case / p.name).read_bytes())
        )
    ]
    assert changed or cause == "sound"
