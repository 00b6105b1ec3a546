"""Option bytes out of every form of text that people have."""

import json

import pytest
from cubeprog_texts import (
    EXPORT,
    H5_FIELDS,
    L5_LISTING,
    REGISTERS_COLUMNS,
    REGISTERS_MDW,
    U5_LISTING,
    ansi,
    forum,
    gui,
    h5_listing,
    provisioning_listing,
)
from hypothesis import given, strategies as st

from h5diag.evidence.files import decode_text
from h5diag.evidence.texts import Listing, parse_listing, parse_registers

EXPECTED = {name: value for _, _, name, value, _ in H5_FIELDS}
FORMS = {
    "plain": h5_listing(),
    "crlf": h5_listing().replace("\n", "\r\n"),
    "cr": h5_listing().replace("\n", "\r"),
    "gui": gui(h5_listing()),
    "gui-vb3": gui(h5_listing(), ms=True),
    "ansi": ansi(h5_listing()),
    "forum": forum(h5_listing()),
    "no-banner": h5_listing(banner="", upload=""),
    "one-line": " ".join(h5_listing(banner="", upload="").split()),
    "trailing": h5_listing().replace("\n", "   \n"),
    "tabs": h5_listing().replace("     ", "\t"),
    "markdown": "".join(f"* **{n}** : `0x{v:X}` {t}\n".replace("_", "\\_") for _, _, n, v, t in H5_FIELDS),
    "fragment": "".join(f"     {n:<13}: 0x{v:X} {t}\n" for _, _, n, v, t in H5_FIELDS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_options(form):
    listing = parse_listing(FORMS[form])
    assert {f.name: f.value for f in listing.fields} == EXPECTED
    assert not listing.warnings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_every_encoding_is_read(encoding):
    assert {f.name: f.value for f in parse_listing(decode_text(h5_listing().encode(encoding))).fields} == EXPECTED


def test_bytes_of_a_mangled_bar_do_no_harm():
    data = h5_listing().encode().replace(b"[=====", b"\xdb\xdb\xff\xfe[=====")
    assert {f.name: f.value for f in parse_listing(decode_text(data)).fields} == EXPECTED


def test_texts_in_parentheses_are_kept_whole():
    listing = parse_listing(provisioning_listing())
    assert listing.get("PRODUCT_STATE").text == "Provisioning, Debug half opened (only one side)"
    assert listing.get("bor_lev").text == "level 2 (about some volts)"
    assert listing.get("SECWM1_END").text == "0x801c000"
    assert listing.get("HDP2_END").bank == 9
    with pytest.raises(KeyError):
        listing.get("NOPE")


def test_upload_lines_are_no_options():
    names = {f.name.lower() for f in parse_listing(h5_listing()).fields}
    assert not names & {"bank", "address", "size", "id", "version"}


def test_unknown_names_are_kept():
    text = h5_listing() + "     XYZ_NEW      : 0x12 (who knows)\n"
    assert parse_listing(text).get("XYZ_NEW").value == 0x12


def test_of_several_listings_the_last_counts():
    listing = parse_listing(h5_listing() + h5_listing({"TZEN": 0xC3}))
    assert listing.get("TZEN").value == 0xC3
    assert len(listing.fields) == len(H5_FIELDS)
    assert "2 listings" in listing.warnings[0]


def test_a_name_printed_twice_is_told():
    listing = parse_listing(h5_listing() + "     TZEN         : 0xC3 (off)\n")
    assert listing.get("TZEN").value == 0xC3
    assert "TZEN is printed twice: 0xB4" in listing.warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "hello world",
        "BL Version : 0xE4\nDevice ID : 0x484\n",
        "Bank : 0x00\nAddress : 0x40022050\n",
        "OPTION BYTES BANK: 0\n",
        "{}",
        '{"a": 1}',
        "the value is 0x12 (see A: 0x13)",
    ],
)
def test_a_text_without_options_gives_an_empty_listing(text):
    assert not parse_listing(text)


def test_export_numbers_are_signed():
    listing = parse_listing(EXPORT)
    assert listing.device_id == 0x484
    assert listing.get("WRPSGn1").value == 0xFFFFFFF8
    assert listing.get("WRPSGn2").value == 0xFFFFFFFF
    assert listing.get("PRODUCT_STATE").value == 0x17
    assert listing.get("NEW_THING").value == 5
    assert not listing.cut
    assert {f.name: f.value for f in parse_listing(json.dumps(json.loads(EXPORT))).fields} == {
        f.name: f.value for f in listing.fields
    }


def test_the_document_of_a_live_board_is_read_too():
    text = json.dumps(
        {
            "dev_id": 0x484,
            "flash_kib": 1024,
            "options": {"TZEN": {"value": 180, "text": "on"}, "WRPSGn1": {"value": 0xFFFFFFF8}},
        },
        indent=1,
    )
    listing = parse_listing(text)
    assert [(f.name, f.value) for f in listing.fields] == [("TZEN", 180), ("WRPSGn1", 0xFFFFFFF8)]
    assert (listing.device_id, listing.flash_kib) == (0x484, 1024)


def test_an_export_cut_short_never_yields_half_a_number():
    whole = {f.name: f.value for f in parse_listing(EXPORT).fields}
    for stop in range(len(EXPORT)):
        part = parse_listing(EXPORT[:stop])
        for f in part.fields:
            assert whole[f.name] == f.value, EXPORT[:stop][-20:]
        if part.fields and len(part.fields) < len(whole):
            assert part.cut


def test_a_listing_cut_anywhere_yields_what_was_read_and_says_where():
    text = h5_listing(banner="", upload="")
    for stop in range(len(text)):
        part = parse_listing(text[:stop])
        for f in part.fields:
            assert EXPECTED[f.name] == f.value, repr(text[:stop][-30:])
        assert not part.fields or part.last_line


@pytest.mark.parametrize("text", [L5_LISTING, gui(L5_LISTING), forum(L5_LISTING)])
def test_l5_names(text):
    listing = parse_listing(text)
    assert listing.get("RDP").value == 0xAA
    assert listing.get("nRST_STOP").value == 1
    assert listing.get("SECWM1_PEND").value == 0x7F
    assert listing.get("HDP2EN").value == 0
    assert listing.get("WRP2B_PEND").bank == 1


def test_u5_names():
    listing = parse_listing(U5_LISTING)
    assert listing.get("DUALBANK").value == 1
    assert listing.get("UNLOCK_1A").value == 1


@pytest.mark.parametrize(
    "text",
    [
        REGISTERS_COLUMNS,
        REGISTERS_COLUMNS.replace(", ", "\t"),
        REGISTERS_COLUMNS.replace(", ", " : "),
        REGISTERS_COLUMNS.replace(", ", " "),
        "".join(f"| {a} |\n" for a in REGISTERS_COLUMNS.replace(", ", " | ").splitlines()),
    ],
)
def test_two_columns(text):
    words = parse_registers(text)
    assert (words[0].address, words[0].value) == (0x40022050, 0x2D30EDD8)
    assert len(words) == 11


def test_lines_of_words():
    words = {w.address: w.value for w in parse_registers(REGISTERS_MDW)}
    assert words[0x40022088] == 0x0C0000B4
    assert words[0x400221F8] == 1
    assert len(words) == 32


def test_registers_by_name():
    words = parse_registers(
        "FLASH_OPTSR_CUR = 0x2D30EDD8\nFLASH->SECWM1R_CUR: 0x000E0000\nECCDETR 0x80000010\n"
        "FLASH_NS.OPTSR2_CUR (0x40022070): 0xB4000034\n"
    )
    assert [(w.name, w.value) for w in words] == [
        ("OPTSR_CUR", 0x2D30EDD8),
        ("SECWM1R_CUR", 0xE0000),
        ("ECCDETR", 0x80000010),
        ("OPTSR2_CUR", 0xB4000034),
    ]


@given(st.binary(max_size=2000))
def test_any_bytes_are_survived(data):
    text = decode_text(data)
    assert isinstance(parse_listing(text), Listing)
    parse_registers(text)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(EXPECTED)), st.integers(0, 0xFFFFFFFF)), min_size=1, unique_by=lambda t: t[0]
    )
)
def test_what_is_printed_is_read_back(values):
    text = "OPTION BYTES BANK: 0\n" + "".join(f"     {n:<13}: 0x{v:X} (some text)\n" for n, v in values)
    assert [(f.name, f.value) for f in parse_listing(text).fields] == values
