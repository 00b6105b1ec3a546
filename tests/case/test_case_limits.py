"""A case.toml that names a file a thousand times, or thousands of files, is refused before the work begins."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from h5diag.app.cli import main
from h5diag.case import folder as case_folder, load_case
from h5diag.case.intake import gathering, kinds, sort_evidence
from h5diag.errors import InputError
from h5diag.limits import CASE_BOARDS, CASE_NAMES, DUMP, JSON_NESTED, TEXT, TEXT_LINES, TOML_DOTS


def of(folder: Path, toml: str, files: int = 1, size: int = 64) -> Path:
    (folder / "case.toml").write_text(toml)
    for i in range(files):
        (folder / f"{i}.bin").write_bytes(bytes([i % 251]) * size)
        (folder / f"{i}.txt").write_bytes(b"Error: x\n" * (size // 9))
    return folder


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        ('[suspect]\ndumps = ["0.bin", "0.bin"]\n', "line 2: suspect.dumps names '0.bin' twice"),
        ('[suspect]\nlater = ["0.bin", "0.bin"]\n', "line 2: suspect.later names '0.bin' twice"),
        ('[suspect]\nlog = ["0.txt", "0.txt"]\n', "line 2: suspect.log names '0.txt' twice"),
        ('[provisioning]\nlogs = ["0.txt", "0.txt"]\n', "line 2: provisioning.logs names '0.txt' twice"),
        ('[[images]]\nfile = "0.bin"\nbase = 9\n' * 2, "images names '0.bin at 9' twice"),
    ],
)
def test_a_file_named_twice_in_one_list_is_no_second_read(tmp_path: Path, toml: str, place: str) -> None:
    with pytest.raises(InputError, match="take one of them out") as refused:
        load_case(of(tmp_path, toml))
    assert place in str(refused.value)


def test_the_same_file_may_stand_in_two_lists(tmp_path: Path) -> None:
    toml = '[suspect]\ndumps = ["0.bin"]\nlater = ["0.bin"]\n[[images]]\nfile = "0.bin"\nbase = 0\n'
    case = load_case(of(tmp_path, toml + '[[images]]\nfile = "0.bin"\nbase = 8\n'))
    assert len(case.images) == 2
    assert len(case.suspects[0].later) == 1


def test_a_case_names_no_thousands_of_files(tmp_path: Path) -> None:
    names = ", ".join(f'"{i}.bin"\n' for i in range(CASE_NAMES))
    toml = f"[suspect]\ndumps = [{names}]\n"
    assert len(load_case(of(tmp_path, toml, CASE_NAMES)).suspects[0].dumps) == CASE_NAMES
    with pytest.raises(InputError, match=f"suspect.options is the case's file number {CASE_NAMES + 1}"):
        load_case(of(tmp_path, toml + 'options = "0.txt"\n', CASE_NAMES))


def test_a_case_has_no_thousands_of_boards(tmp_path: Path) -> None:
    boards = "".join(f'[[suspects]]\nname = "{i}"\n' for i in range(CASE_BOARDS))
    assert len(load_case(of(tmp_path, boards)).suspects) == CASE_BOARDS
    with pytest.raises(InputError, match=f"more than {CASE_BOARDS} boards; compare that many with h5diag fleet"):
        load_case(of(tmp_path, boards + "[[suspects]]\n"))


@pytest.mark.parametrize(("what", "key", "ending"), [("texts", "log", "txt"), ("files", "dumps", "bin")])
def test_all_files_of_a_case_together_have_a_limit(
    tmp_path: Path, monkeypatch, what: str, key: str, ending: str
) -> None:
    monkeypatch.setattr(case_folder, f"CASE_{'TEXTS' if what == 'texts' else 'BYTES'}", 2000)
    toml = '[suspect]\n{} = ["0.{}", "1.{}"]\n'
    assert load_case(of(tmp_path, toml.format(key, ending, ending), 2, 900))
    with pytest.raises(InputError, match=f"suspect.{key} makes the {what} of the case larger than"):
        load_case(of(tmp_path, toml.format(key, ending, ending), 2, 1100))


def test_what_is_sorted_from_many_files_can_be_read_back(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    for i in range(TOML_DOTS + 10):
        (evidence / f"{i}.txt").write_text("STM32CubeProgrammer v2.21.0\nError: failed to erase memory\n")
    assert main(["case", str(evidence), "--out", str(tmp_path / "case")]) == 0
    texts = load_case(tmp_path / "case").suspects[0].texts
    assert sum(t.text.count("failed to erase") for t in texts) == TOML_DOTS + 10


def test_json_of_a_million_empty_lists_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('{"a": [' + "[]," * JSON_NESTED + "[]]}")
    (tmp_path / "case.toml").write_text('[suspect]\nflashtest = "f.json"\n')
    with pytest.raises(InputError, match=r"f\.json: holds more than 500000 objects and lists"):
        load_case(tmp_path)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("ab\n" * (TEXT_LINES + 1), "has too many lines"),
        (("x" * 60_000 + "\n") * (TEXT.size // 60_000 + 1), "is too large"),
    ],
    ids=["lines", "bytes"],
)
@pytest.mark.parametrize(
    "begin",
    ["0x40022020 : 0000001F\n", "     PRODUCT_STATE: 0xED (Open)\n     TZEN: 0xC3\n" * 2],
    ids=["words", "options"],
)
def test_a_text_that_a_diagnosis_refuses_is_not_sorted_into_a_case(
    tmp_path: Path, begin: str, more: str, why: str
) -> None:
    (tmp_path / "suspect-1.txt").write_text(begin + more)
    (tmp_path / "suspect-2.txt").write_text(begin)
    found = sort_evidence([tmp_path / "suspect-1.txt", tmp_path / "suspect-2.txt"])
    (left_out,) = found.unused
    assert left_out.path.name == "suspect-1.txt"
    assert left_out.what.startswith(f"cannot be used: {why} for a text")
    assert load_case(found.write(tmp_path / "case")).suspects


def test_a_memory_that_a_diagnosis_refuses_is_not_sorted_into_a_case(tmp_path: Path, monkeypatch: Any) -> None:
    for module in (case_folder, kinds):
        monkeypatch.setattr(module, "CASE_MEMORY", 1 << 16)
    folder = of(tmp_path, '[suspect]\ndumps = ["0.bin"]\n', size=(1 << 16) + 16)
    with pytest.raises(InputError, match=r"0\.bin: holds .* of memory, 64 KiB at most .*give the part that matters"):
        load_case(folder)
    with pytest.raises(InputError, match=r"0\.bin: cannot be used: holds .* of memory, 64 KiB at most"):
        sort_evidence([folder / "0.bin"])


LISTING = b"     PRODUCT_STATE: 0xED (Open)\n     TZEN: 0xC3\n" * 20


@pytest.mark.parametrize(
    ("limit", "content", "ending", "words"),
    [
        ("SORTED_TEXTS", LISTING, "txt", "texts that are looked at"),
        ("CASE_TEXTS", LISTING, "txt", "texts of the case"),
        ("CASE_BYTES", bytes(range(256)) * 4, "bin", "files of the case"),
    ],
)
def test_what_is_sorted_has_a_limit_in_all(
    tmp_path: Path, monkeypatch, limit: str, content: str, ending: str, words: str
) -> None:
    """A folder, or an archive, of many large files is no more work than a case may be: the first are taken."""
    monkeypatch.setattr(gathering, limit, 2500)
    for number in range(4):
        (tmp_path / f"suspect-{number}.{ending}").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in tmp_path.glob("suspect-*"):
            archive.write(path, path.name)
    for given in ([tmp_path / f"suspect-{n}.{ending}" for n in range(4)], [tmp_path / "all.zip"]):
        found = sort_evidence(given)
        left = [e.what for e in found.unused if e.what.startswith("cannot be used")]
        assert left == [f"cannot be used: it makes the {words} larger than 2.441 KiB"] * 2


def test_a_large_binary_is_sorted_without_being_held_in_memory(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(4096) + bytes(DUMP.mapped)
    (tmp_path / "suspect-0x90000000.bin").write_bytes(data)
    found = sort_evidence([tmp_path / "suspect-0x90000000.bin"])
    (dump,) = found.suspects[0].files
    assert dump.file.mapped is not None
    assert len(dump.file.data) < 1 << 20
    found.write(tmp_path / "case")
    assert (tmp_path / "case" / "suspect-0x90000000.bin").read_bytes() == data
