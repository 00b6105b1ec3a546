"""What a text costs: it has a limit of lines, each line a budget of steps, and it is read once whoever asks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from h5diag.app.cli import main
from h5diag.errors import InputError
from h5diag.evidence.door import read_evidence
from h5diag.evidence.files import pieces, views
from h5diag.evidence.texts import parse_listing, parse_log, parse_registers
from h5diag.evidence.texts.programming import parse_programming
from h5diag.evidence.texts.text import lines
from h5diag.limits import LINE, TEXT, TEXT_LINES, VIEW
from h5diag.measure.logs import explain_text
from tests.work import calls

LINES = 2000


@pytest.mark.parametrize(
    ("end", "encoding"),
    [
        *((end, "utf-8") for end in ("\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029")),
        *((end, "utf-16") for end in ("\n", "\r\n", "\r")),
    ],
)
def test_a_text_of_too_many_lines_is_refused_with_their_number(tmp_path: Path, end: str, encoding: str) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes((f"abcd{end}" * TEXT_LINES).encode(encoding))
    assert read_evidence(path, limit=TEXT).size
    path.write_bytes((f"abcd{end}" * (TEXT_LINES + 1)).encode(encoding))
    with pytest.raises(InputError, match=f"has too many lines .*150,001; {TEXT_LINES:,} at most.*cut out the part"):
        read_evidence(path, limit=TEXT)
    with pytest.raises(InputError, match="has too many lines"):  # told of a file that was opened before, too
        read_evidence(read_evidence(path, limit=replace(TEXT, lines=0)), limit=TEXT)


def test_markup_makes_no_more_lines_than_a_text_may_have() -> None:
    assert len(lines("abcd<br>" * (TEXT_LINES + 9))) == TEXT_LINES


@pytest.mark.parametrize(
    "line",
    [
        "     SECWM1_STRT  : 0x{:X}  (of sector)",
        "RDP=0x{:x}",
        "level 1 of {}",
        "0x0800{:04X} : 12345678 9ABCDEF0 12345678 9ABCDEF0",
        "r ap 1 reg 3 = 0x{:08X} ap 1 @0x{:08X}",
        "Error: flash loader write failed successfully 0x{:08x} mode",
        "jumping to firmware number {}",
    ],
)
def test_a_line_has_a_budget_of_steps(line: str) -> None:
    line = line.replace("{:08X} ap 1 @0x{:08X}", "{0:08X} ap 1 @0x{0:08X}") + "\n"
    few, many = ("".join(map(line.format, range(n))) for n in (LINES, 2 * LINES))
    explain_text(few[:99])  # tables are loaded once, and complaints are counted up to a number
    assert calls(lambda: explain_text(many), 2_000_000) - calls(lambda: explain_text(few), 2_000_000) < 140 * LINES


def test_a_list_of_unchanged_options_is_not_walked_for_each_of_them() -> None:
    command = "option bytes command: -ob " + " ".join(f"A{i}=1" for i in range(200))
    told = "".join(f"option byte: A{i}, value: 0x1 was not modified\n" for i in range(200))
    clean = lines((command + "\n" + told) * 10)
    assert calls(lambda: parse_programming(clean), 60 * len(clean))
    found = parse_programming(clean).options
    assert (len(found), {o.result for o in found}) == (2000, {"not-modified"})


def test_a_text_is_read_once_whoever_asks(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    text = "OPTION BYTES BANK: 0\n  PRODUCT_STATE: 0x5C (closed)\nST-LINK SN : 123\nDevice ID : 0x484\n"
    Path("log.txt").write_text(text)
    Path("case.toml").write_text('[suspect]\nlog = "log.txt"\n')
    for command in (["options", "log.txt"], ["log", "log.txt"], ["diagnose", "."], ["case", "log.txt"]):
        for reader in (parse_log, parse_listing, parse_registers):
            reader.cache_clear()
        assert main(command) == 0, capsys.readouterr().err
        asked = {"": 0, text: 0}
        assert parse_log.cache_info().misses <= len(asked), command
        assert parse_listing.cache_info().misses <= len(asked), command


def test_no_pattern_meets_more_than_a_lines_characters() -> None:
    assert [len(line.text) for line in lines("x" * 3 * LINE + "\n" + "y" * LINE)] == [LINE, LINE]


ROWS = {
    "pieces": lambda i: f"{0x08000000 + 64 * i:08x}: 00 11 22 33",
    "backwards": lambda i: f"{0x08800000 - 4 * i:08x}: 00 11 22 33",
    "each unlike": lambda i: (
        f"{0x08000000 + 16 * i:08x}: " + "  ".join(["41"] * (8 + i % 9)) + " " * (2 + i % 60) + "zzz"
    ),
    "a column that does not fit": lambda i: f"{0x08000000 + 16 * i:08x}: " + "  ".join(["41"] * 8) + "  AAAAAAAz",
    "unreadable": lambda i: f"{0x08000000 + 16 * i:08x}: " + "?? " * 16,
    "unreadable at its end": lambda i: f"{0x08000000 + 16 * i:08x}: " + f"{i % 256:02x} " * 15 + "??",
    "two forms in turn": lambda i: f"0x{0x08000000 + 16 * i:08x}:" + " " * (1 + i % 2) + "41 " * 16,
    "quotation marks": lambda i: "> | " * 18,
}


@pytest.mark.parametrize("form", ROWS)
def test_a_line_of_memory_takes_few_steps_whatever_it_says(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many lines as are taken, whole: what asks for more for each of them is refused long before its end."""
    for module in (views, pieces):
        monkeypatch.setattr(module, "VIEW_PIECES", module.VIEW_PIECES // 16)
    monkeypatch.setattr(views, "VIEW_SPLIT", views.VIEW_SPLIT // 16)
    lines = VIEW.lines // 16
    text = "".join(ROWS[form](i) + "\n" for i in range(lines))

    def read() -> None:
        with suppress(InputError):
            views.parse_memory_text(text)

    calls(read, 40 * lines)


def test_a_line_of_many_words_is_looked_at_once_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind each wide gap a column of letters may begin: that it has as many as there were bytes is seen first."""
    looked = []
    real = views._fits
    monkeypatch.setattr(views, "_fits", lambda *a: looked.append(1) or real(*a))
    views.parse_memory_text("0x08000000: " + "  ".join(["41"] * 1000 + ["z"]) + "\n")
    assert len(looked) <= 4


def test_bytes_that_could_not_be_read_are_told_by_the_same_form() -> None:
    text = "08000000: 00112233 ???????? 44??5566\n08000010: ???????? 8899AABB 00000001\n"
    image = views.parse_memory_text(text.replace("08000010", "0800000c"))
    assert [(s.start, s.data.tobytes().hex()) for s in image.segments] == [
        (0x08000000, "33221100"),
        (0x08000008, "6655"),
        (0x0800000B, "44"),
        (0x08000010, "bbaa998801000000"),
    ]
    wider = views.parse_memory_text("32-bit words\n08000000: 11 22\n08000008: ?? 44\n08000010: 55 66\n")
    assert [(s.start, s.data.tobytes().hex()) for s in wider.segments] == [
        (0x08000000, "1100000022000000"),
        (0x0800000C, "440000005500000066000000"),
    ]
