"""Banners, versions, discovery, programming, boot loader sessions and errors."""

import pytest
from cubeprog_texts import (
    BANNER,
    DISCOVERY,
    DISCOVERY_FAILED,
    L5_LISTING,
    UART,
    UPLOAD,
    USB,
    ansi,
    forum,
    gui,
    h5_listing,
    provisioning_log,
    write,
)
from hypothesis import given, strategies as st

from h5diag.evidence.files import decode_text
from h5diag.evidence.texts import Log, LogKind, ReadBack, clean, lines, parse_log, parse_version, printable
from tests.work import calls

FORMS = (str, gui, lambda t: gui(t, ms=True), ansi, forum, lambda t: t.replace("\n", "\r\n"))


@pytest.mark.parametrize("form", FORMS)
def test_banner_in_every_form(form):
    b = parse_log(form(BANNER)).banner
    assert b.tool == "2.21.0"
    assert b.dev_id == 0x484
    assert b.flash_kib == 2048
    assert b.voltage_mv == 3290
    assert b.swd_hz == 8_000_000
    assert b.connect_mode == "Hot Plug"
    assert (b.revision, b.device_cpu, b.board) == ("Rev X", "Cortex-M33", "--")
    assert b.sfsp.parts == (2, 5, 0)
    assert b.sfsp.readable
    assert b.boot_loader.readable
    assert "Debug in Low Power mode enabled" in b.notes


@pytest.mark.parametrize(
    ("was", "becomes", "attribute", "value"),
    [
        ("3.29V", "3,23V", "voltage_mv", 3230),
        ("3.29V", "--", "voltage_mv", None),
        ("Flash size  : 2 MBytes", "NVM size    : 2 MBytes", "flash_kib", 2048),
        ("2 MBytes", "512 KBytes (default)", "flash_kib", None),
        ("2 MBytes", "512 KBytes (default)", "flash_size_assumed", True),
        ("2 MBytes", "256 KBytes", "flash_kib", 256),
        ("Rev X", "--", "revision", "--"),
        ("Device ID   : 0x484", "Device ID : 0x484", "dev_id", 0x484),
        ("Device ID   : 0x484", "Device ID   : --", "dev_id", None),
        ("8000 KHz", "4000 KHz", "swd_hz", 4_000_000),
        ("STM32CubeProgrammer v2.21.0", "STM32CubeProgrammer API v2.10.0 | Windows-64Bits", "tool", "2.10.0"),
        ("V3J15M7", "V3J16M7B5S1", "probe_firmware", "V3J16M7B5S1"),
    ],
)
def test_banner_variations(was, becomes, attribute, value):
    assert was in BANNER
    assert getattr(parse_log(BANNER.replace(was, becomes)).banner, attribute) == value


def test_unknown_and_missing_lines_of_a_banner():
    text = BANNER.replace("Device type : MCU\n", "Moon phase  : full\n").replace("SFSP Version: v2.5.0\n", "")
    b = parse_log(text).banner
    assert b.unknown == (("Moon phase", "full"),)
    assert b.device_type == ""
    assert not b.sfsp.text
    assert not b.sfsp.readable


def test_a_failure_line_between_banner_lines():
    fallen_back = "Connection to AP 0 requested and failed, Connection established with AP 1\n"
    text = BANNER.replace("Device ID ", fallen_back + "Device ID ")
    log = parse_log(text)
    assert log.banner.dev_id == 0x484
    assert any("AP 0" in n for n in log.banner.notes)
    assert [m.severity for m in log.messages] == ["warning"]
    assert "ap=1" in log.messages[0].meaning


def test_every_connection_has_its_banner():
    log = parse_log(BANNER + "\n" + BANNER.replace("Rev X", "Rev Z") + "\n")
    assert [b.revision for b in log.banners] == ["Rev X", "Rev Z"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("v45.48.46", '2D 30 2E are the text "-0."'),
        ("v0.0.0", "all zero"),
        ("v255.255.255", "all ones"),
        ("V-1.-1.-1", "all ones"),
        ("v41.1.0", "no version is that high"),
        ("v65.66.67.68", '"ABCD"'),
        ("0xFF", "all ones"),
        ("0x00", "all zero"),
        ("\u2219", "not a version"),
        ("(null)", "could not read"),
        ("--", "could not read"),
        ("v32.126.64", "the text"),
    ],
)
def test_versions_that_cannot_be_versions(text, says):
    v = parse_version(text)
    assert not v.readable
    assert says in v.remark


@pytest.mark.parametrize("text", ["v2.5.0", "2.4.0", "v1.2.0", "0xE4", "0x92", "1.0", "v31.2.40"])
def test_versions_that_can(text):
    assert parse_version(text).readable
    assert parse_version(text).remark == ""


def test_empty_version_is_not_printed():
    assert parse_version("").remark == ""


@pytest.mark.parametrize("form", FORMS)
def test_discovery_in_every_form(form):
    log = parse_log(form(DISCOVERY))
    d = log.discovery
    assert log.kind is LogKind.DISCOVERY
    assert d.target_id == "0x484"
    assert d.uid == (0x99AABBCC, 0x55667788, 0x11223344)
    assert d.lifecycle == "ST_LIFECYCLE_CLOSED"
    assert d.sda_version.parts == (2, 4, 0)
    assert d.integrity_ok
    assert not d.integrity_bad
    assert not d.failed
    assert d.library == "1.2.0"
    assert [p.split(" ")[0] for p in d.permissions] == ["(a/14)", "(b/12)"]


def test_discovery_that_failed():
    log = parse_log(DISCOVERY_FAILED)
    assert log.discovery.failed
    assert not log.discovery.sda_version.readable
    assert log.discovery.vendor == "(null)"
    assert not log.discovery.integrity_ok


@pytest.mark.parametrize("value", ["0xf5f5f5f5", "0xF5F5F5F5"])
def test_integrity_codes_in_any_case(value):
    d = parse_log(DISCOVERY.replace("0xEAEAEAEA", value)).discovery
    assert d.integrity_bad
    assert not d.integrity_ok


@pytest.mark.parametrize("form", FORMS)
def test_writes_in_every_form(form):
    text = BANNER + write("app_a.hex", 0x080BE000) + BANNER + write("b.bin", 0x0C000000, verified=False)
    p = parse_log(form(text)).programming
    assert [(w.file, w.address, w.complete, w.check) for w in p.writes] == [
        ("app_a.hex", 0x080BE000, True, ReadBack.VERIFIED),
        ("b.bin", 0x0C000000, True, ReadBack.NOT_CHECKED),
    ]
    assert p.writes[0].size == round(20.15 * 1024)


def test_error_and_success_in_one_run():
    text = BANNER + write("x.hex", 0x08000000, mismatch=0x08000003) + "Download verified successfully\n"
    w = parse_log(text).programming.writes[0]
    assert w.complete
    assert w.check is ReadBack.FAILED
    assert w.failed
    assert w.mismatch == 0x08000003


def test_a_write_that_never_finished():
    w = parse_log(BANNER + write("x.hex", 0x08000000, error="failed to download Segment[0]")).programming.writes[0]
    assert w.failed
    assert not w.complete


def test_gui_segments():
    text = (
        "10:00:00 : Read File: D:\\temp\\fw.hex\n10:00:00 : Number of segments: 1\n"
        "10:00:00 : segment[0]: address= 0x8018000, size= 0x5DA8\n10:00:01 : Memory Programming ...\n"
        "10:00:01 : Opening and parsing file: D:\\temp\\fw.hex\n10:00:01 : File : fw.hex\n"
        "10:00:01 : Size : 23976 Bytes\n10:00:01 : Address : 0x08018000\n10:00:03 : File download complete\n"
    )
    writes = parse_log(text).programming.writes
    assert any(w.address == 0x08018000 and w.complete and w.size == 23976 for w in writes)


def test_option_writes():
    text = (
        "10:00:00 : Option byte command : -ob SECWM1_STRT=0x0 SECWM1_END=14 TZEN=0xB4\n"
        "10:00:00 : PROGRAMMING OPTION BYTES AREA ...\n10:00:00 :   Address : 0x40022050\n"
        "10:00:00 : Warning: Option Byte: tzen, value: 0xB4, was not modified.\n"
        '10:00:01 : Error: Expected value for Option Byte "SECWM1_END": 0xE, found: 0x7F\n'
        "10:00:01 : Error: Option Byte Programming failed\n"
    )
    log = parse_log(text)
    got = {o.name: (o.value, o.result, o.found) for o in log.programming.options}
    assert got["TZEN"] == (0xB4, "not-modified", None)
    assert got["SECWM1_END"] == (0xE, "refused", 0x7F)
    assert got["SECWM1_STRT"][1] == "unknown"
    assert log.programming.option_runs_failed == 1
    assert {m.about for m in log.messages} == {"options-not-applied"}
    assert not log.programming.writes


@pytest.mark.parametrize("form", FORMS)
def test_provisioning_log(form):
    log = parse_log(form(provisioning_log()))
    assert log.kind is LogKind.PROVISIONING
    assert [w.address for w in log.programming.writes] == [0x08018000, 0x0801E000, 0x0C000000]
    assert all(w.check is ReadBack.VERIFIED for w in log.programming.writes)
    assert log.programming.mass_erase
    assert log.programming.options[0].result == "not-modified"


def test_keys_that_were_sent():
    log = parse_log(BANNER + 'OBKey file : "../DA/Binary/DA_Config.obk"\nOBKey Provisioned successfully\n')
    assert log.programming.keys == ("../DA/Binary/DA_Config.obk",)
    assert log.kind is LogKind.PROVISIONING


@pytest.mark.parametrize("form", FORMS)
def test_uart_session(form):
    log = parse_log(form(UART))
    assert log.kind is LogKind.ROM_LOADER
    s = log.rom_sessions[0]
    assert (s.interface, s.port, s.answered, s.chip_id, s.protocol, s.options_refused) == (
        "uart",
        "COM9",
        True,
        "0x484",
        "4.0",
        True,
    )
    assert "no proof of a locked chip" in log.messages[0].meaning


def test_uart_without_an_answer():
    log = parse_log(UART.replace("OK", "KO. Please, verify the boot mode").split("Board")[0])
    assert not log.rom_sessions[0].answered
    assert log.errors


def test_usb_session():
    s = parse_log(USB).rom_sessions[0]
    assert (s.interface, s.answered, s.protocol) == ("usb", True, "1.1")


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("Error: Cannot connect to access port 1!", "debug-locked"),
        ("Error: No STM32 target found! With debug authentication, discover it first", "board-wiring"),
        ("Error: Unable to reconnect after setting the Option Bytes", ""),
        ("Error: ST-LINK error (DEV_TARGET_RESET_ERR)", "board-wiring"),
        ("Error: ST-LINK error (DEV_CONNECT_ERR)", "board-wiring"),
        ("ST-LINK error (DEV_TARGET_CMD_ERR)", "board-wiring"),
        ("Error: Cannot identify the device", "debug-locked"),
        ("Unable to boot on RSS_DA or is in OPEN mode: error", "board-wiring"),
        ("Error: failed to download Sector[0]", "write-protected"),
        ("Not flash Memory : No erase done", ""),
        ("Error: Flash loader /a/b.stldr cannot be loaded.", "loader-mislinked"),
        ("Init function fail", "loader-mislinked"),
        ("Warning: Connection to device 0x480 is lost", "board-wiring"),
        ("Error: Failed to communicate with target !", "board-wiring"),
        ("Warning: Option Bytes are unchanged, Data won't be downloaded", "options-not-applied"),
        ("Error: RSSLIB_SETOBKEY_BAD_SIZE", "options-not-applied"),
    ],
)
def test_messages_have_a_meaning(line, about):
    (message,) = parse_log(line + "\n").messages
    assert message.meaning
    assert message.about == about


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello world\n",
        "Lorem: ipsum dolor\nsit amet\n",
        "key: value\nerror: none of ours\n",
        "The error was mine.\n",
        "OSError: [Errno 2] timeout\n",
        "\x00\x01\x02",
        "0x12 0x13\n",
    ],
)
def test_unknown_text_is_unknown(text):
    log = parse_log(text)
    assert log.kind is LogKind.UNKNOWN
    assert not log.banner
    assert not log.listing


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (BANNER, LogKind.CONNECTION),
        (h5_listing(), LogKind.OPTIONS),
        (L5_LISTING, LogKind.OPTIONS),
        (BANNER + UPLOAD, LogKind.CONNECTION),
        (BANNER + write("a.bin", 0x08000000), LogKind.PROGRAMMING),
        ("Error: Cannot connect to access port 1!\n", LogKind.CONNECTION),
        (BANNER + "r ap 1 @0x5200281C 0x00000004 bytes Data 0x00300002\n" * 4, LogKind.VERBOSE),
    ],
)
def test_kinds(text, kind):
    assert parse_log(text).kind is kind


WHOLE = provisioning_log() + h5_listing() + DISCOVERY + UART + USB


def test_a_log_cut_anywhere_is_survived():
    for text in (BANNER + DISCOVERY, write("x.hex", 0x08000000), UART + USB):
        for stop in range(len(text)):
            parse_log(text[:stop])


@given(st.binary(max_size=3000))
def test_any_bytes_are_survived(data):
    assert isinstance(parse_log(decode_text(data)), Log)


@given(st.data())
def test_broken_texts_are_survived(data):
    text = WHOLE
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text)))
        stop = min(len(text), at + data.draw(st.integers(0, 400)))
        text = text[:at] + data.draw(st.text(max_size=20)) + text[stop:]
    parse_log(text)


SLOW = {
    "newlines": "\n",
    "colon": "abcd: ",
    "error": "error:\n",
    "option": "AB_C : 0x1\n",
    "space": " " * 50 + ":\n",
    "file": "File : a\n",
    "export": '"AB": -1,',
    "tag": "<",
    "amp": "&amp",
    "esc": "\x1b[",
    "quote": "> ",
    "bar": "\u2588",
    "dots": "discovery: " + "." * 40,
    "hex": "0x40022050 : 00000000 00000001\n",
    "digits": "1" * 60,
    "seg": "segment[0]: address= 0x8000000, size= 0x1\n",
    "write": "Address : 0x08000000\nSize : 1 KB\n",
    "stamp": "11:22:33:444 : a: b\n",
    "ap": "w ap 1 @0x20000000 : 0x00000004 bytes, Data 0x00000000\n",
}


@pytest.mark.parametrize("name", SLOW)
def test_four_times_of_anything_is_four_times_the_work(name):
    """The work inside one search of a pattern is bounded in tests/test_patterns.py."""
    small, large = (
        '{"bitNameToValue":' * (name == "export") + SLOW[name] * (size // len(SLOW[name])) for size in (20_000, 80_000)
    )
    most = 9 * calls(lambda: parse_log(small), 1_000_000) // 2
    assert calls(lambda: parse_log(large), most)


def test_nothing_reaches_a_terminal():
    assert printable("\x1b[2Jx\ny\u202e") == "?[2Jx?y?"
    assert "\x1b" not in clean("\x1b[31mred\x1b[0m")
    assert printable("a" * 300).endswith("...")


def test_line_numbers_are_those_of_the_file():
    got = {line.text.strip(): line.number for line in lines("one one\n\n\rtwo two\r\nthree\rfour\nfive\n")}
    assert got == {"one one": 1, "two two": 3, "three": 4, "four": 4, "five": 5}
