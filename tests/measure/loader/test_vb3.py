from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from h5diag.errors import InputError
from h5diag.measure.loader.vb3 import (
    LogMessage,
    MemoryAccess,
    MessageKind,
    OpaqueLine,
    RegisterAccess,
    RunControl,
    decode_log,
    parse_log,
    read_log,
)
from tests.work import calls

from .logs import call, preparation, stamped


def events(text):
    return parse_log(text).events


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("w ap 0 reg 15 PC   (0x20000000)  ", RegisterAccess(1, True, 15, 0x20000000, prepared=True)),
        ("w ap 1 reg 14 LR 0x20003001", RegisterAccess(1, True, 14, 0x20003001)),
        ("r ap 0 reg 16 xPSR 0x01000003", RegisterAccess(1, False, 16, 0x01000003)),
        ("w ap 0 @0x20001C40 0x00000200 bytes Data 0x00000000", MemoryAccess(1, True, 0x20001C40, 0x200, 0)),
        ("w ap 0 @0x20000000 : 0x00000004 bytes, Data 0x0000BE00...", MemoryAccess(1, True, 0x20000000, 4, 0xBE00)),
        ("r ap 1 @0x5200281C 0x00000004 bytes Data 0x00300002", MemoryAccess(1, False, 0x5200281C, 4, 0x00300002)),
        ("halt ap 0 ", RunControl(1, False)),
        ("run ap 1", RunControl(1, True)),
    ],
)
def test_a_line_of_each_kind_in_all_forms(line, event):
    assert events(line) == (event,)
    assert events("13:58:17:883 : " + line) == (event,)
    assert events("13:58:17:883 " + line) == (event,)
    assert events("13:58:17 : " + line) == (event,)
    assert events("\x1b[32m" + line + "\x1b[0m\r") == (event,)


@pytest.mark.parametrize(
    ("line", "kind", "value", "detail"),
    [
        ("Init flashloader...", MessageKind.INIT, None, ""),
        ("Init function fail", MessageKind.INIT_FAILED, None, ""),
        ("Error: Init function failed with timeout", MessageKind.TIMEOUT, None, ""),
        ("Erasing external memory sectors [0 7]", MessageKind.ERASE_EXTERNAL, None, ""),
        ("Bank2 Erasing internal memory sectors [1 2]", MessageKind.ERASE_INTERNAL, None, ""),
        ("Memory erase...", MessageKind.ERASE, None, ""),
        ("Loader write range...", MessageKind.WRITE, None, ""),
        ("Reading data...", MessageKind.READ, None, ""),
        ("Device ID   : 0x472", MessageKind.DEVICE_ID, 0x472, ""),
        ("  Address       : 0x90000000 ", MessageKind.ADDRESS, 0x90000000, ""),
        ("STM32CubeProgrammer API v2.14.0 | Windows-64Bits", MessageKind.VERSION, None, "2.14.0"),
        ("STM32CubeProgrammer v2.22.0", MessageKind.VERSION, None, "2.22.0"),
        ("Error: Flash loader C:/x y/a.stldr cannot be loaded.", MessageKind.LOADER_REFUSED, None, "C:/x y/a.stldr"),
        (
            r"flash loader C:\ST\bin/FlashLoader/0x497.stldr is loaded",
            MessageKind.INTERNAL_LOADER,
            None,
            r"C:\ST\bin/FlashLoader/0x497.stldr",
        ),
        ('Operation [4]: -el "c:\\x\\a.stldr"', MessageKind.LOADER, None, "c:\\x\\a.stldr"),
        ("Error: failed to erase memory", MessageKind.ERROR, None, ""),
        ("Data read successfully", MessageKind.SUCCESS, None, ""),
    ],
)
def test_messages(line, kind, value, detail):
    (event,) = events(line)
    assert isinstance(event, LogMessage)
    assert (event.kind, event.value, event.detail) == (kind, value, detail)


def test_unknown_lines_are_kept_as_they_are():
    log = parse_log("Choose flashing speed for Cortex M33 series.\nhalt ap 0\nw ap 0 reg 99999 XX")
    assert [type(e) for e in log.events] == [OpaqueLine, RunControl, OpaqueLine]
    assert log.events[0].text == "Choose flashing speed for Cortex M33 series."
    assert log.recognised == 1


def test_lines_joined_by_a_paste_come_apart_at_their_times():
    text = " ".join(stamped([*preparation(), *call(0x20000101)]).split("\r\n"))
    assert parse_log(text).events == tuple(
        type(e)(1, *[getattr(e, f) for f in e.__slots__ if f != "line"])
        for e in parse_log(stamped([*preparation(), *call(0x20000101)])).events
    )


def test_both_forms_say_the_same():
    lines = [*preparation(older=True), *call(0x20000101), "Error: failed to erase memory"]
    assert events(stamped(lines)) == events(stamped(lines, "file")) == events(stamped(lines, "plain"))
    assert events(stamped([*preparation(older=True)])) == events(stamped([*preparation()]))


@given(st.text(max_size=400))
def test_any_text_is_accepted(text):
    parse_log(text)


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_one_clear_line(data):
    refusal = "log.txt"
    try:
        parse_log(decode_log(data, "log.txt"))
    except InputError as error:
        refusal = str(error)
    assert refusal.startswith("log.txt")
    assert "\n" not in refusal


def test_utf16_of_a_redirected_shell_is_read():
    assert decode_log("halt ap 0\n".encode("utf-16")) == "halt ap 0\n"
    assert decode_log("halt ap 0\r\n".encode("utf-16-le")) == "halt ap 0\r\n"


def test_a_stray_byte_does_not_make_a_log_unreadable():
    assert parse_log(decode_log(b"halt ap 0\n\0\xff\x01\n" + b"run ap 0\n" * 10)).recognised == 11


def test_files_that_are_no_logs(tmp_path):
    (tmp_path / "empty").write_bytes(b" \n")
    (tmp_path / "elf").write_bytes(b"\x7fELF\1\1\1\0\0\0")
    for name, word in (("empty", "is empty"), ("elf", "is not a text"), ("none", "no such file")):
        with pytest.raises(InputError, match=word):
            read_log(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        "init " * 60_000,
        "-el " * 100_000,
        "0x" * 300_000,
        "w ap 0 reg " * 50_000,
        "00:00:00 " * 100_000,
        " " * 500_000 + "x",
        "a\n" * 300_000,
    ],
)
def test_hostile_text_costs_little_time(text):
    # A few looks at each line and at most one at each character.
    assert calls(lambda: parse_log(text), 20 * text.count("\n") + len(text))
