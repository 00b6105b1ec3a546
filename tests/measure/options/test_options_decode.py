"""Settings, what they protect and what they mean, for H5, L5 and U5."""

import pytest
from cubeprog_texts import (
    BANNER,
    EXPORT,
    L5_LISTING,
    REGISTERS_COLUMNS,
    REGISTERS_MDW,
    U5_LISTING,
    UPLOAD,
    h5_listing,
    provisioning_listing,
)
from hypothesis import given, strategies as st

from h5diag.chip import KnownBy, chip_names, load_chip
from h5diag.evidence.texts import Listing, RawOption, RawRegister, chip_of, parse_listing, parse_log, parse_registers
from h5diag.measure.options import (
    Belief,
    Extent,
    OptionBytes,
    decode_listing,
    decode_registers,
    summary,
)
from h5diag.memory import AddressRange

H5 = load_chip("stm32h563zi")


def h5(changes=None, chip="stm32h563zi", **more) -> OptionBytes:
    return decode_listing(parse_listing(h5_listing({**(changes or {}), **more})), load_chip(chip))


def test_the_founding_board():
    o = h5()
    assert o.product_state == "Open"
    assert o.trustzone is True
    assert o.swapped is False
    assert o.secure_ranges == (AddressRange(0x08000000, 0x0801E000),)
    assert o.hdp_ranges == (AddressRange(0x08000000, 0x08018000),)
    assert o.wrp_ranges == (AddressRange(0x08000000, 0x08018000),)
    assert o.edata_ranges == ()
    assert o.value("SECWM1_END") == 14
    assert o.value("secwm1_end") == 14
    assert o.value("NO_SUCH") is None
    assert "TZEN" in o
    assert "NO_SUCH" not in o
    assert o.warnings == ()


def test_the_sentence_about_secure_sectors():
    text = "sectors 0 to 14 are secure: 0x0C000000 to 0x0C01DFFF; a non-secure read of them returns zeros"
    assert text in h5().setting("SECWM1_END").sentence
    assert any(text in s for s in summary(h5()))


@pytest.mark.parametrize(
    ("changes", "kind", "ranges"),
    [
        ({"SECWM1_END": 0x7F}, "secure", [(0x08000000, 0x08100000)]),
        ({"SECWM1_STRT": 1, "SECWM1_END": 0}, "secure", []),
        ({"SECWM1_STRT": 5, "SECWM1_END": 5}, "secure", [(0x0800A000, 0x0800C000)]),
        ({"SECWM2_STRT": 0, "SECWM2_END": 1}, "secure", [(0x08000000, 0x0801E000), (0x08100000, 0x08104000)]),
        ({"SECWM1_END": 0x7F, "SECWM2_STRT": 0, "SECWM2_END": 0x7F}, "secure", [(0x08000000, 0x08200000)]),
        ({"TZEN": 0xC3}, "secure", []),
        ({"HDP2_STRT": 0x7F, "HDP2_END": 0x7F}, "hidden", [(0x08000000, 0x08018000), (0x081FE000, 0x08200000)]),
        ({"WRPSGn1": 0xFFFFFFFF}, "write-protected", []),
        ({"WRPSGn1": 0x7FFFFFFF, "WRPSGn2": 0xFFFFFFFE}, "write-protected", [(0x080F8000, 0x08108000)]),
        ({"EDATA1_EN": 1, "EDATA1_STRT": 0}, "high-cycle", [(0x080FE000, 0x08100000)]),
        ({"EDATA2_EN": 1, "EDATA2_STRT": 7}, "high-cycle", [(0x081F0000, 0x08200000)]),
        ({"EDATA2_STRT": 7}, "high-cycle", []),
    ],
)
def test_areas(changes, kind, ranges):
    assert [(r.start, r.stop) for r in h5(changes).ranges(kind)] == ranges


def test_the_ends_of_an_area_that_is_not_there_name_no_sector():
    def meanings(**values: int) -> list[str]:
        fields = tuple(RawOption(name, value, "") for name, value in {"PRODUCT_STATE": 0xED, **values}.items())
        options = decode_listing(Listing(fields), load_chip("stm32h563zi"))
        return [options.setting(name).meaning for name in values]

    assert all("sector" in m and "none" not in m for m in meanings(HDP1_STRT=1, HDP1_END=2))
    assert [m.rpartition(": ")[2] for m in meanings(HDP1_STRT=1, HDP1_END=0)] == [
        "none, the area is empty (start > end)"
    ] * 2
    assert meanings(EDATA1_EN=0, EDATA1_STRT=0)[1].endswith("of no meaning while EDATA1_EN is off")
    assert meanings(EDATA1_EN=1, EDATA1_STRT=0)[1].endswith(": 0")


def test_a_smaller_part_has_its_second_bank_elsewhere():
    o = h5({"SECWM2_STRT": 0, "SECWM2_END": 0, "SECWM1_END": 0x3F, "WRPSGn2": 0xFFFFFFFE}, chip="stm32h563zg")
    assert o.secure_ranges == (AddressRange(0x08000000, 0x08082000),)
    assert o.wrp_ranges[-1] == AddressRange(0x08080000, 0x08088000)


def test_sectors_beyond_the_bank_are_told():
    o = h5({"SECWM1_END": 0x7F}, chip="stm32h563zg")
    assert o.secure_ranges == (AddressRange(0x08000000, 0x08080000),)
    assert any("larger part" in w for w in o.warnings)


def test_provisioning_hides_the_secure_side():
    o = decode_listing(parse_listing(provisioning_listing()), H5)
    assert o.product_state == "Provisioning"
    assert o.value("SECBOOTADD") is None
    assert o.setting("SECBOOTADD").value == 0
    assert {s.name for s in o.settings if s.belief is Belief.MASKED} == {"SECBOOTADD", "SECBOOT_LOCK"}
    assert any("nothing follows from these zeros" in w for w in o.warnings)


def test_a_real_value_is_believed_in_provisioning():
    o = decode_listing(parse_listing(provisioning_listing(SECBOOTADD=0xC0000, SECBOOT_LOCK=0xC3)), H5)
    assert o.value("SECBOOTADD") == 0xC0000


def test_zero_secure_boot_register_is_masked_even_when_open():
    o = h5({"SECBOOTADD": 0, "SECBOOT_LOCK": 0})
    assert o.value("SECBOOT_LOCK") is None


@pytest.mark.parametrize("state", [0x00, 0xFF, 0x12])
def test_a_state_that_is_none_is_garbage(state):
    o = h5({"PRODUCT_STATE": state})
    assert o.product_state == "unknown"
    assert o.state is None
    assert "read again" in o.warnings[0]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0xED, "Open"),
        (0x17, "Provisioning"),
        (0x2E, "iROT-Provisioned"),
        (0xC6, "TZ-Closed"),
        (0x72, "Closed"),
        (0x5C, "Locked"),
        (0x9A, "Regression"),
        (0xA3, "NS-Regression"),
    ],
)
def test_states(value, name):
    assert h5({"PRODUCT_STATE": value}).product_state == name


def test_unknown_names_are_kept_and_shown():
    o = decode_listing(parse_listing(h5_listing() + "     XYZ_NEW      : 0x12 (who knows)\n"), H5)
    s = o.setting("XYZ_NEW")
    assert (s.value, s.text, s.known) == (0x12, "who knows", False)
    assert s.meaning.startswith("unknown")
    assert any("XYZ_NEW" in w for w in o.warnings)


def test_swapped_banks_are_told():
    o = h5({"SWAP_BANK": 1})
    assert o.swapped is True
    assert any("exchanged" in w for w in o.warnings)


def test_export():
    o = decode_listing(parse_listing(EXPORT), H5)
    assert o.wrp_ranges == (AddressRange(0x08000000, 0x08018000),)
    assert o.product_state == "Provisioning"
    assert any("0x474" in w for w in decode_listing(parse_listing(EXPORT), load_chip("h503")).warnings)


def test_cut_short_says_where_and_what_is_missing():
    text = h5_listing(banner="", upload="")
    o = decode_listing(parse_listing(text[: text.index("WRPSGn1") + 4]), H5)
    assert "after SECWM1_END" in o.warnings[0]
    assert "not seen: WRPSGn1" in o.warnings[0]
    assert o.extent("write-protected") is Extent.UNKNOWN
    assert o.value("HDP1_END") is None
    assert o.secure_ranges


def test_cut_at_every_position_warns_whenever_something_is_missing():
    text = h5_listing(banner="", upload="")
    whole = {f.name for f in parse_listing(text).fields}
    for stop in range(len(text)):
        listing = parse_listing(text[:stop])
        if not listing:
            continue
        o = decode_listing(listing, H5)
        if {s.name for s in o.settings} != whole:
            assert "ends at line" in o.warnings[0], text[stop - 20 : stop]


def test_l5_in_two_banks():
    o = decode_listing(parse_listing(L5_LISTING), load_chip("l5"))
    assert o.product_state == "RDP 0"
    assert o.secure_ranges == (AddressRange(0x08000000, 0x08040000),)
    assert o.wrp_ranges == (AddressRange(0x08048000, 0x08050000),)
    assert o.hdp_ranges == ()
    assert "pages 0 to 127 are secure" in o.setting("SECWM1_PEND").sentence
    assert not [s for s in o.settings if not s.known]
    assert o.warnings == ()


def test_l5_in_one_bank_has_larger_pages():
    o = decode_listing(
        parse_listing(
            L5_LISTING.replace("DBANK        : 0x1", "DBANK        : 0x0").replace(
                "SECWM1_PEND  : 0x7F", "SECWM1_PEND  : 0xF"
            )
        ),
        load_chip("l5"),
    )
    assert o.secure_ranges == (AddressRange(0x08000000, 0x08010000),)
    assert o.chip.flash.sector_size == 0x1000


@pytest.mark.parametrize(
    ("rdp", "name", "masked"),
    [
        (0xAA, "RDP 0", False),
        (0x55, "RDP 0.5", True),
        (0xBB, "RDP 1", True),
        (0x00, "RDP 1", True),
        (0xCC, "RDP 2", True),
    ],
)
def test_rdp_levels(rdp, name, masked):
    text = L5_LISTING.replace("0xAA (none)", f"0x{rdp:X} (x)")
    text = text.replace("SECBOOTADD0  : 0x180000", "SECBOOTADD0  : 0x0")
    o = decode_listing(parse_listing(text), load_chip("l5"))
    assert o.product_state == name
    assert (o.value("SECBOOTADD0") is None) is masked


def test_u5():
    o = decode_listing(parse_listing(U5_LISTING), load_chip("u5"))
    assert o.secure_ranges == (AddressRange(0x08000000, 0x08100000),)
    assert o.wrp_ranges == (AddressRange(0x08120000, 0x08140000),)
    assert o.value("UNLOCK_1A") == 1


def test_hidden_pages_on_l5_begin_with_the_secure_area():
    text = L5_LISTING.replace("HDP1_PEND    : 0x0", "HDP1_PEND    : 0x7")
    text = text.replace("HDP1EN       : 0x0", "HDP1EN       : 0x1")
    o = decode_listing(parse_listing(text), load_chip("l5"))
    assert o.hdp_ranges == (AddressRange(0x08000000, 0x08004000),)


@pytest.mark.parametrize("text", [REGISTERS_COLUMNS, REGISTERS_MDW, REGISTERS_MDW.replace("0x4002", "0x5002")])
def test_register_dumps(text):
    o = decode_registers(parse_registers(text), H5)
    assert o.product_state == "Open"
    assert o.trustzone is True
    assert o.secure_ranges == (AddressRange(0x08000000, 0x0801E000),)
    assert o.hdp_ranges == (AddressRange(0x08000000, 0x08018000),)
    assert o.value("SECBOOTADD") == 0xC0000
    assert o.value("SECBOOT_LOCK") == 0xB4
    assert o.value("SRAM2_RST") == 0


def test_a_dead_register_read_concludes_nothing():
    o = decode_registers([RawRegister(0, 0x40022050), RawRegister(0, 0x40022070)], H5)
    assert o.settings == ()
    assert "held in reset" in o.warnings[0]


def test_a_pending_change_is_told():
    o = decode_registers([RawRegister(0xB4000034, 0x40022070), RawRegister(0xC3000034, 0x40022074)], H5)
    assert any("not in force" in w for w in o.warnings)


def test_the_secure_view_wins_over_a_zero():
    o = decode_registers([RawRegister(0, 0x40022088), RawRegister(0x0C0000B4, 0x50022088)], H5)
    assert o.value("SECBOOT_LOCK") == 0xB4
    assert any("two aliases" in w for w in o.warnings)


def test_registers_by_name_and_elsewhere():
    o = decode_registers(parse_registers("OPTSR_CUR = 0x2D30EDD8\nECCDETR = 0x80000010\nNONSENSE = 0x1\n"), H5)
    assert {r.name for r in o.registers} == {"OPTSR_CUR", "ECCDETR"}
    assert any("1 word " in w for w in o.warnings)


@pytest.mark.parametrize(
    ("text", "chip", "basis"),
    [
        (h5_listing(), "stm32h563zi", KnownBy.DEV_ID),
        (h5_listing(banner=BANNER.replace("2 MBytes", "1 MBytes")), "stm32h563zg", KnownBy.DEV_ID),
        (h5_listing(banner=BANNER.replace("STM32H56x/573", "STM32H573")), "stm32h573ii", KnownBy.DEV_ID),
        (
            h5_listing(
                banner=BANNER.replace("0x484", "0x478")
                .replace("2 MBytes", "256 KBytes")
                .replace("STM32H56x/573", "STM32H533/523")
            ),
            "stm32h523cc",
            KnownBy.DEV_ID,
        ),
        (h5_listing(banner="", upload=UPLOAD), "stm32h563zi", KnownBy.OPTION_NAMES),
        (L5_LISTING, "stm32l552ze", KnownBy.DEV_ID),
        (L5_LISTING.replace("Device ID   : 0x472\n", ""), "stm32l552ze", KnownBy.OPTION_NAMES),
        (U5_LISTING, "stm32u575zi", KnownBy.DEV_ID),
        (U5_LISTING.replace("Device ID   : 0x482\n", ""), "stm32u575zi", KnownBy.OPTION_NAMES),
        (EXPORT, "stm32h563zi", KnownBy.DEV_ID),
        ("TZEN : 0xB4\n", "stm32h563zi", KnownBy.ASSUMED),
        (BANNER.replace("0x484", "0x999").replace("STM32H56x/573", "--"), None, KnownBy.DEV_ID),
    ],
)
def test_which_chip(text, chip, basis):
    choice = chip_of([parse_log(text)])
    assert (choice.chip.name if choice.chip else None, choice.known_by) == (chip, basis)
    assert choice.text


def test_the_wrong_family_is_told():
    assert any("another family" in w for w in decode_listing(parse_listing(L5_LISTING), H5).warnings)


@given(st.sampled_from(chip_names()), st.data())
def test_no_values_break_the_decoder(name, data):
    chip = load_chip(name)
    names = [o.name for o in chip.options] + ["ELSE"]
    values = st.one_of(st.integers(0, 0xFF), st.integers(0, 0xFFFFFFFF))
    fields = tuple(RawOption(n, data.draw(values)) for n in data.draw(st.lists(st.sampled_from(names), unique=True)))
    o = decode_listing(Listing(fields, last_line=1), chip)
    for a in o.areas:
        for r in a.ranges:
            assert o.chip.flash_range.covers(r)
            assert (a.extent is Extent.SET) == bool(r.size)
    summary(o)


@given(st.sampled_from(chip_names()), st.integers(0, 0x400).map(lambda n: n & ~3), st.integers(0, 0xFFFFFFFF))
def test_no_register_breaks_the_decoder(name, offset, value):
    chip = load_chip(name)
    decode_registers([RawRegister(value, chip.flash_registers + offset)], chip)
    for r in chip.registers:
        if any(f.name == "ADDR_ECC" for f in r.fields):
            chip.ecc_location(r.name, value)


@pytest.mark.parametrize("chip", ["stm32u385rg", "stm32u345rb", "stm32u366re", "stm32u3c5zi", "stm32wba25ce"])
@pytest.mark.parametrize(("value", "hidden"), [(0xB4, False), (0x01, True), (0xFF, True)])
def test_a_byte_that_is_off_at_0xb4_hides_nothing(chip, value, hidden):
    text = (
        "OPTION BYTES BANK: 0\n     RDP          : 0xAA (open)\n     TZEN         : 0x1 (on)\n"
        "     SECWM1_PSTRT : 0x0 (0x08000000)\n     SECWM1_PEND  : 0x1F (0x0801F000)\n"
        f"     HDP1_PEND    : 0x3 (0x08003000)\n     HDP1EN       : 0x{value:X} (0x{value:X})\n"
    )
    options = decode_listing(parse_listing(text), load_chip(chip))
    (area,) = (a for a in options.areas if a.area.name == "HDP1")
    assert (area.extent is Extent.SET) is hidden
    assert (area.extent is Extent.EMPTY) is not hidden
