"""Text memory views of many tools, each as its tool prints it."""

import random
import re
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from h5diag import limits
from h5diag.errors import InputError
from h5diag.evidence.files import ByteOrder, decode_text, is_text, parse_memory_text, read_image
from h5diag.memory import AddressRange

BASE = 0x0800_0000
EIGHT = bytes.fromhex("f07f012001020008")


def content(text, **kwargs):
    image = parse_memory_text(text, **kwargs)
    return [(s.start, s.data.tobytes()) for s in image.segments]


@pytest.mark.parametrize(
    "text",
    [
        "Reading 32-bit memory content\n  Size          : 8 Bytes\n  Address:      : 0x08000000\n\n"
        "0x08000000 : 20017FF0 08000201 \n\n",
        "0x08000000: 20017ff0 08000201 \n",
        "0x08000000: 7ff0 2001 0201 0800 \n",
        "0x08000000: f0 7f 01 20 01 02 00 08 \n",
        "0x8000000 <g_pfnVectors>:\t0x20017ff0\t0x08000201\n",
        "(gdb) x/8xb 0x8000000\n0x8000000:\t0xf0\t0x7f\t0x01\t0x20\t0x01\t0x02\t0x00\t0x08\n",
        "0x8000000:\t0x0800020120017ff0\n",
        "08000000:  20017ff0 08000201    | .. ....|\n",
        "08000000 = 20017FF0 08000201\n",
        "08000000 = F0 7F 01 20 01 02 00 08  ... ....\n",
        "08000000  f0 7f 01 20 01 02 00 08                           |... ....|\n08000008\n",
        "08000000: f07f 0120 0102 0008                      ... ....\n",
        "  12:34:56:789 : 0x08000000 : 20017FF0 08000201\n",
        "big-endian words\n0x08000000: f07f0120 01020008\n",
        "=> 0x08000000: 0x20017ff0, 0x08000201\n",
        "0x08000000 : 20017FF0\r\n0x08000004 : 08000201\r\n",
    ],
)
def test_the_same_eight_bytes(text):
    assert content(text) == [(BASE, EIGHT)]


def test_the_byte_order_taken_is_remarked_only_where_it_was_a_choice():
    assert "little-endian" in parse_memory_text("0x08000000: 20017ff0").origin.remarks[0]
    assert parse_memory_text("little-endian\n0x08000000: 20017ff0").origin.remarks == ()
    assert parse_memory_text("0x08000000: f0 7f 01 20").origin.remarks == ()
    assert parse_memory_text("0x08000000: 20017ff0", order=ByteOrder.LITTLE).origin.remarks == ()


@pytest.mark.parametrize(
    ("statement", "big"),
    [
        ("big-endian", True),
        ("Big Endian words", True),
        ("byte order: big", True),
        ("in memory order", True),
        ("BE32", True),
        ("MSB first", True),
        ("little-endian", False),
        ("word order = little", False),
        ("LE", False),
        ("32-bit LE", False),
        ("LSB first", False),
        ("not to be confused", False),
        ("big-endian or little-endian?", False),
    ],
)
def test_the_order_that_a_text_states(statement, big):
    image = parse_memory_text(f"# {statement}\n0x08000000: 20017ff0\n")
    assert image.segments[0].data.tobytes() == bytes.fromhex("20017ff0" if big else "f07f0120")


def test_order_told():
    assert content("0x08000000: 20017ff0", order=ByteOrder.BIG) == [(BASE, bytes.fromhex("20017ff0"))]
    assert content("08000000: 6162 6364  abcd") == [(BASE, b"abcd")]
    assert content("08000000: 6261 6463  abcd") == [(BASE, b"abcd")]


def test_an_ascii_column_that_looks_like_a_word_is_no_word():
    assert content("08000000: 6361 6665  cafe") == [(BASE, b"cafe")]
    assert content("00000000  63 61 66 65  |cafe|") == [(0, b"cafe")]


def test_the_last_group_may_be_short():
    assert content("08000000: f07f 0120 01  ... .") == [(BASE, bytes.fromhex("f07f012001"))]


@pytest.mark.parametrize(
    ("text", "known", "unreadable"),
    [
        ("0x08000000 : 20017FF0 ???????? 08000201", [(BASE, 4), (BASE + 8, 4)], [(4, 8)]),
        ("0x08000000 : 20017FF0 ?? 08000201", [(BASE, 4), (BASE + 8, 4)], [(4, 8)]),
        ("0x08000000 : F0 ?? 01", [(BASE, 1), (BASE + 2, 1)], [(1, 2)]),
        ("0x08000000 : ??017FF0", [(BASE, 3)], [(3, 4)]),
        ("0x08000000 : 20017FF0\n0x08000004 : ?? ??", [(BASE, 4)], [(4, 12)]),
        ("0x08000000 : ?? ??", [], [(0, 2)]),
        ("0x08000000 : ? ?", [], [(0, 2)]),
        ("0x08000000 : ????????\n0x08000000 : 20017FF0", [(BASE, 4)], []),
    ],
)
def test_question_marks_are_unreadable_and_never_zero(text, known, unreadable):
    image = parse_memory_text(text)
    assert [(s.start, s.data.size) for s in image.segments] == known
    assert image.unreadable == tuple(AddressRange(BASE + a, BASE + b) for a, b in unreadable)


def test_a_star_repeats_the_line_above():
    text = "00000000  01 02 03 04\n*\n00000010  05\n*\n00000013\n"
    assert content(text) == [(0, b"\x01\x02\x03\x04" * 4 + b"\x05\x05\x05")]
    assert content("00000000  ?? 02\n*\n00000004\n") == [(1, b"\x02"), (3, b"\x02")]


def test_a_star_cannot_fill_the_memory():
    with pytest.raises(InputError, match=r"line 2.*64 MiB"):
        parse_memory_text("00000000  01 02\n*\nffffffff  05\n")


def test_short_numbers_need_a_stated_width():
    assert content("32-bit words\n0x40022050 : 0x484") == [(0x4002_2050, b"\x84\x04\0\0")]
    assert content("0x40022050 : 0x484", word_bytes=4) == [(0x4002_2050, b"\x84\x04\0\0")]
    with pytest.raises(InputError, match=r"line 1.*32-bit words"):
        parse_memory_text("0x40022050 : 0x484")


def test_views_given_twice():
    assert content("0x08000000: 01020304\n0x08000000: 01020304\n0x08000002: 0102") == [(BASE, b"\x04\x03\x02\x01")]
    with pytest.raises(InputError, match=r"dump.txt, line 3: .*0x08000001 .*line 1"):
        parse_memory_text("0x08000000: 01 02\n\n0x08000000: 01 03\n", source="dump.txt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no line"),
        ("hello\n", "no line"),
        ("Device ID   : 0x484\n", "no line"),
        ("0x08000000 : 20017FF0 0800G201\n", "'0800G201' is no word"),
        ("0x08000000 : 20017FF0 080002\n0x08000010 : 20017FF0\n0x08000000 : 01 20017FF0\n", "different widths"),
        ("0x08000000 : 200170\n", "words of 6 digits"),
        ("0xFFFFFFFFFFFFFFFC : 20017FF0 20017FF0\n", "address space"),
    ],
)
def test_unusable_views(text, words):
    with pytest.raises(InputError) as caught:
        parse_memory_text(text, source="a.txt")
    assert words in str(caught.value)
    assert str(caught.value).startswith("a.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_as_consoles_write_it(tmp_path, encoding):
    path = tmp_path / "view.txt"
    path.write_text("Zurück\n0x08000000 : 20017FF0 08000201\n", encoding)
    image = read_image(path)
    assert image.read(BASE, BASE + 8).tobytes() == EIGHT
    assert image.origin.kind == "text"
    assert image.origin.source == str(path)


def test_what_counts_as_text():
    assert is_text("Zurück \x1b[31mred\x1b[0m\r\n".encode())
    assert is_text(b"[====\xdb\xdb] 100%" + b" " * 30)
    assert is_text("abc".encode("utf-16"))
    assert not is_text(b"")
    assert not is_text(b"abc\0")
    assert not is_text(bytes(range(128, 256)))
    assert decode_text(b"\xff\xfea\0b\0") == "ab"


@given(
    st.dictionaries(st.integers(0, 300), st.integers(0, 255), min_size=1),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from(["{:#010x} : {}", "{:08x}:  {}", "0x{:x}:\t{}"]),
)
def test_whatever_is_printed_is_read_back(known, width, form):
    lines = []
    for start in range(0, 304, 16):
        words = []
        for at in range(start, start + 16, width):
            cells = [f"{known[a]:02x}" if a in known else "??" for a in range(at, at + width)]
            words.append("".join(reversed(cells)))
        lines.append(form.format(BASE + start, " ".join(words)))
    image = parse_memory_text(f"{8 * width}-bit, little-endian\n" + "\n".join(lines))
    assert {int(a) - BASE: int(b) for s in image.segments for a, b in enumerate(s.data, s.start)} == known
    assert image.size + sum(r.size for r in image.unreadable) == 304


@given(st.text(alphabet="0x8: =|?*abcdef12\n\tZ<>", max_size=200))
def test_no_text_ends_in_a_traceback(text):
    with suppress(InputError):
        parse_memory_text(text)


def test_pieces_without_end():
    with pytest.raises(InputError, match="alternate"):
        parse_memory_text("00000000: 00 ??\n*\n01000000\n")


def test_a_row_may_not_be_endless():
    assert parse_memory_text("00000000: " + " ".join(["00"] * 5000)).size == 5000
    with pytest.raises(InputError, match="line 1"):
        parse_memory_text("00000000: " + "00  " * 5000)


def test_a_view_that_a_forum_quoted_is_the_same_view():
    text = "here it is, 32-bit words:\n0x0C0BE000  96F3B83D 00000000\n*\n0x0C0BE020  FFFFFFFF 00000001\n"
    quoted = "".join(f"> > {line}\n" for line in text.splitlines())
    assert parse_memory_text(quoted) == parse_memory_text(text)


def printed(data):
    return "".join(chr(b) if 32 <= b < 127 else "." for b in data)


FLASH = random.Random(5).randbytes(1 << 16)
FORMS = {
    "hexdump -C": lambda a, b: f"{a:08x}  {b[:8].hex(' ')}  {b[8:].hex(' ')}  |{printed(b)}|",
    "xxd": lambda a, b: f"{a:08x}: {b.hex(' ', 2)}  {printed(b)}",
    "J-Link": lambda a, b: f"{a:08X} = {b.hex(' ').upper()}  {printed(b)}",
    "gdb": lambda a, b: f"0x{a:x}:\t" + "\t".join(f"0x{c:02x}" for c in b),
}
FORMS["programmer"] = lambda a, b: (
    f"0x{a:08X} : " + "".join(b[i : i + 4][::-1].hex().upper() + " " for i in range(0, 16, 4))
)


@pytest.mark.parametrize("form", FORMS)
def test_a_flash_in_each_form_is_read_byte_for_byte(form):
    lines = [FORMS[form](BASE + at, FLASH[at : at + 16]) for at in range(0, len(FLASH), 16)]
    assert content("\n".join(lines)) == [(BASE, FLASH)]


@pytest.mark.parametrize("form", FORMS)
def test_an_error_names_its_line_among_equal_ones(form):
    lines = [FORMS[form](BASE + at, FLASH[at : at + 16]) for at in range(0, 1600, 16)]
    again = FORMS[form](BASE + 32 * 16, bytes(b ^ 0x11 for b in FLASH[512:528]))
    with pytest.raises(InputError, match=r"line 101: the byte at 0x08000200 .*in line 33\)"):
        parse_memory_text("\n".join([*lines, again]))
    if form != "gdb":  # between tabs a strange word ends the line
        end = list(re.finditer(r"[0-9A-Fa-f]{2,}", lines[40]))[2].end()
        lines[40] = lines[40][: end - 1] + "g" + lines[40][end:]
        with pytest.raises(InputError, match=r"line 41: .*is no word"):
            parse_memory_text("\n".join(lines))


def test_a_bar_in_a_column_without_bars_is_a_character():
    rows = [b"0123456789abcdef", b"ab|cd 12|34 5678"]
    text = "\n".join(FORMS["xxd"](BASE + 16 * i, row) for i, row in enumerate(rows))
    assert content(text) == [(BASE, b"".join(rows))]
    assert content("\n".join(text.splitlines()[1:])) == [(BASE + 16, rows[1])]


def test_what_a_dump_shows_is_no_statement_about_it():
    text = "08000000 = 42 45 2E 2E  BE..\n08000010 = 20017FF0"
    assert content(text) == [(BASE, b"BE.."), (BASE + 16, bytes.fromhex("f07f0120"))]


def test_a_line_may_be_another_after_thousands():
    lines = [FORMS["programmer"](BASE + at, FLASH[at : at + 16]) for at in range(0, 64, 16)]
    text = "\n".join([*lines, "0x08000040 : ???????? 20017FF0", "", lines[0], "0x0800004C : 00000001"])
    assert content(text) == [(BASE, FLASH[:64]), (BASE + 68, bytes.fromhex("f07f0120")), (BASE + 76, b"\1\0\0\0")]


def test_a_stated_width_pads_each_line_where_it_stands():
    text = "32-bit\n0x40022000 : 84 85\n0x40022008 : 86 87\n"
    assert content(text) == [(0x4002_2000, bytes.fromhex("84000000850000008600000087000000"))]


def test_a_flash_of_two_megabytes_is_taken_in_every_usual_form():
    lines = (2 << 20) // 16
    assert all((len(row(BASE, FLASH[:16])) + 2) * lines < limits.VIEW.size for row in FORMS.values())
    assert limits.VIEW.lines > 2 * lines + 1000
    assert (len(FORMS["hexdump -C"](BASE, FLASH[:16])) + 1) * 2 * lines < limits.VIEW.size
