"""Two boards side by side, what a boot loader expects, and what a log means."""

import pytest
from cubeprog_texts import (
    BANNER,
    DISCOVERY,
    DISCOVERY_FAILED,
    L5_LISTING,
    UART,
    UPLOAD,
    h5_listing,
    provisioning_listing,
    provisioning_log,
    write,
)

from h5diag.chip import load_chip
from h5diag.evidence.texts import parse_listing, parse_log
from h5diag.layout import load_layout
from h5diag.measure.options import (
    Agreement,
    Generation,
    StepOutcome,
    Weight,
    check_options,
    compare_options,
    decode_listing,
    expectations,
    explain_log,
    read_provisioning,
)

H5 = load_chip("stm32h563zi")
LAYOUT = load_layout("oemirot-2m-overwrite")


def board(text):
    return decode_listing(parse_listing(text), H5)


def test_the_same_board_does_not_differ():
    diff = compare_options([board(h5_listing()), board(h5_listing())])
    assert diff.differences == ()
    assert diff.warnings == ()


def test_artefacts_of_the_state_are_not_comparable():
    diff = compare_options([board(h5_listing()), board(provisioning_listing())], ["good", "suspect"])
    by_name = {d.name: d for d in diff.differences}
    assert set(by_name) == {"PRODUCT_STATE", "SECBOOTADD", "SECBOOT_LOCK"}
    assert by_name["SECBOOTADD"].values == (0xC0000, None)
    for name in ("SECBOOTADD", "SECBOOT_LOCK"):
        assert not by_name[name].comparable
        assert by_name[name].weight is Weight.ARTEFACT
        assert "suspect (Provisioning)" in by_name[name].meaning
    assert by_name["PRODUCT_STATE"].comparable
    assert diff.differences[0].name == "PRODUCT_STATE"
    assert any("different states" in w for w in diff.warnings)


def test_two_masked_boards_agree_on_nothing():
    diff = compare_options([board(provisioning_listing()), board(provisioning_listing())])
    assert diff.differences == ()
    assert "no agreement" in diff.warnings[0]


@pytest.mark.parametrize(
    ("name", "value", "weight", "says"),
    [
        ("SECWM1_END", 0x7F, Weight.DECIDES, "sectors 15 to 127, 0x0801E000 to 0x080FFFFF, is secure only there"),
        ("SECWM1_END", 0xB, Weight.DECIDES, "good: sectors 12 to 14"),
        ("WRPSGn1", 0xFFFFFFFC, Weight.DECIDES, "sectors 8 to 11"),
        ("WRPSGn2", 0xFFFFFFFE, Weight.DECIDES, "keeps its old content"),
        ("HDP1_END", 0x7, Weight.DECIDES, "is hidden only there"),
        ("TZEN", 0xC3, Weight.DECIDES, "Without TrustZone nothing is secure"),
        ("SWAP_BANK", 1, Weight.DECIDES, "exchanged"),
        ("BOOT_UBE", 0xC3, Weight.DECIDES, "does not enter the boot code"),
        ("EDATA2_EN", 1, Weight.DECIDES, "has left the code area only there"),
        ("SECBOOTADD", 0xC0800, Weight.DECIDES, "never runs"),
        ("PRODUCT_STATE", 0x72, Weight.DECIDES, "does not see the secure side"),
        ("SRAM2_RST", 1, Weight.MATTERS, "start-up check"),
        ("IWDG_SW", 0, Weight.MATTERS, "resets the chip again"),
        ("SECWM2_STRT", 1, Weight.MINOR, "nothing follows"),
        ("HDP2_STRT", 0x7F, Weight.MINOR, "nothing follows"),
        ("BOR_LEV", 0, Weight.MINOR, "level 1"),
        ("NRST_STOP", 0, Weight.MINOR, "resets the chip"),
    ],
)
def test_what_a_difference_does(name, value, weight, says):
    (d,) = compare_options([board(h5_listing()), board(h5_listing({name: value}))], ["good", "suspect"]).differences
    assert (d.name, d.comparable, d.weight) == (name, True, weight)
    assert d.values[1] == value
    assert says in d.meaning


def test_missing_and_garbage_values_are_not_comparable():
    short = h5_listing()
    short = short[: short.index("OPTION BYTES BANK: 8")]
    names = {d.name: d for d in compare_options([board(h5_listing()), board(short)]).differences}
    assert set(names) == {"HDP1_STRT", "HDP1_END", "HDP2_STRT", "HDP2_END"}
    assert names["HDP1_END"].values == (0xB, None)
    assert not any(d.comparable for d in names.values())
    garbage = compare_options([board(h5_listing()), board(h5_listing({"PRODUCT_STATE": 0x11}))])
    assert not garbage.differences[0].comparable


def test_three_boards():
    diff = compare_options([board(h5_listing()), board(h5_listing()), board(h5_listing({"TZEN": 0xC3}))])
    assert diff.differences[0].values == (0xB4, 0xB4, 0xC3)
    assert "third" in diff.differences[0].meaning
    with pytest.raises(ValueError, match="two boards"):
        compare_options([board(h5_listing())])


def test_different_chips_are_told():
    other = decode_listing(parse_listing(L5_LISTING), load_chip("l5"))
    assert any("different chips" in w for w in compare_options([board(h5_listing()), other]).warnings)


def test_expectations_follow_from_the_layout():
    want = {e.name: e.value for e in expectations(LAYOUT)}
    assert want == {
        "TZEN": 0xB4,
        "SWAP_BANK": 0,
        "BOOT_UBE": 0xB4,
        "SECBOOT_LOCK": 0xB4,
        "SRAM2_RST": 0,
        "SRAM2_ECC": 0,
        "SECBOOTADD": 0xC0000,
        "SECWM1_STRT": 0,
        "SECWM1_END": 0xE,
        "HDP1_STRT": 0,
        "HDP1_END": 0xB,
        "WRPSGn1": 0xFFFFFFF8,
    }
    swap = {e.name: e.value for e in expectations(load_layout("oemirot-2m-swap"))}
    assert swap["SECWM1_END"] == 0x16
    assert swap["HDP1_END"] == 0x13


def test_a_board_as_the_boot_loader_wants_it():
    checks = check_options(board(h5_listing()), LAYOUT)
    assert {c.agreement for c in checks} == {Agreement.AGREES}


@pytest.mark.parametrize(
    ("changes", "name", "agreement"),
    [
        ({"TZEN": 0xC3}, "TZEN", Agreement.DIFFERS),
        ({"SWAP_BANK": 1}, "SWAP_BANK", Agreement.DIFFERS),
        ({"BOOT_UBE": 0xC3}, "BOOT_UBE", Agreement.DIFFERS),
        ({"SECWM1_END": 0x7F}, "SECWM1_END", Agreement.DIFFERS),
        ({"SECWM1_END": 0xB}, "SECWM1_END", Agreement.OLDER_PACKAGE),
        ({"HDP1_END": 7}, "HDP1_END", Agreement.OLDER_PACKAGE),
        ({"WRPSGn1": 0xFFFFFFFC}, "WRPSGn1", Agreement.OLDER_PACKAGE),
        ({"WRPSGn1": 0xFFFFFFFF}, "WRPSGn1", Agreement.DIFFERS),
        ({"SECBOOT_LOCK": 0xC3}, "SECBOOT_LOCK", Agreement.DIFFERS),
        ({"SECBOOTADD": 0, "SECBOOT_LOCK": 0}, "SECBOOTADD", Agreement.NOT_KNOWN),
        ({"SRAM2_ECC": 1}, "SRAM2_ECC", Agreement.DIFFERS),
        ({"SECWM2_STRT": 0, "SECWM2_END": 3}, "SECWM2_STRT", Agreement.DIFFERS),
        ({"PRODUCT_STATE": 0x17}, "PRODUCT_STATE", Agreement.DIFFERS),
        ({"PRODUCT_STATE": 0x9A}, "PRODUCT_STATE", Agreement.DIFFERS),
        ({"EDATA1_EN": 1, "EDATA1_STRT": 7}, "EDATA1_STRT", Agreement.DIFFERS),
    ],
)
def test_a_board_that_it_does_not_want(changes, name, agreement):
    checks = check_options(board(h5_listing(changes)), LAYOUT)
    assert next(c for c in checks if c.name == name).agreement is agreement
    assert checks[0].agreement is not Agreement.AGREES


@pytest.mark.parametrize(
    ("state", "says"),
    [(0xED, "development build"), (0x2E, "development build"), (0x72, "every build"), (0x5C, "every build")],
)
def test_which_builds_a_state_is_enough_for(state, says):
    checks = check_options(board(h5_listing({"PRODUCT_STATE": state})), LAYOUT)
    assert says in next(c for c in checks if c.name == "PRODUCT_STATE").text


def test_high_cycle_sectors_away_from_every_slot_are_fine():
    checks = check_options(board(h5_listing({"EDATA2_EN": 1})), LAYOUT)
    assert not [c for c in checks if c.name.startswith("EDATA")]


def remarks(text, layout=LAYOUT):
    log = parse_log(text)
    return explain_log(log, H5, layout)


def test_a_log_of_the_present_package():
    p = read_provisioning(parse_log(provisioning_log()).programming, H5, LAYOUT)
    assert [(x.slot.name, x.step) for x in p.placed] == [
        ("secure primary", StepOutcome.VERIFIED),
        ("non-secure primary", StepOutcome.VERIFIED),
        ("boot", StepOutcome.VERIFIED),
    ]
    assert p.boot is StepOutcome.VERIFIED
    assert p.generation is Generation.CURRENT
    assert p.not_set == ("TZEN=0xB4",)


def test_a_log_of_an_old_package():
    p = read_provisioning(parse_log(provisioning_log(images="enc")).programming, H5, LAYOUT)
    assert [x.slot.name for x in p.placed] == ["secure secondary", "non-secure secondary", "boot"]
    assert p.generation is Generation.OLDER
    assert any(
        r.about == "install-pending" and "no fault of the flash" in r.text
        for r in remarks(provisioning_log(images="enc"))
    )


def test_a_log_without_the_boot_code():
    assert any("no line says that the boot code was written" in r.text for r in remarks(provisioning_log(boot=False)))
    assert not any("no line says" in r.text for r in remarks(provisioning_log()))


def test_a_log_whose_boot_code_failed():
    text = provisioning_log(failed_boot=True)
    assert read_provisioning(parse_log(text).programming, H5, LAYOUT).boot is StepOutcome.FAILED
    assert any(r.text == "boot code: failed" for r in remarks(text))


def test_error_and_success_are_both_told():
    text = BANNER + write("x.hex", 0x08018000, mismatch=0x08018003) + "Download verified successfully\n"
    got = [r.text for r in remarks(text)]
    assert any("x.hex at 0x08018000 (secure primary): failed, first difference at 0x08018003" in t for t in got)
    assert any("errors and successes" in t for t in got)


@pytest.mark.parametrize(
    ("text", "about", "says"),
    [
        (BANNER.replace("v2.5.0", "v45.48.46"), "system-flash", '2D 30 2E are the text "-0."'),
        (
            BANNER.replace("2 MBytes", "512 KBytes (default)"),
            "wrong-size-assumption",
            "evidence that the boot code runs",
        ),
        (BANNER.replace("2 MBytes", "1 MBytes"), "wrong-size-assumption", "1024 KiB"),
        (BANNER.replace("0x484", "0x478"), "wrong-part", "0x478"),
        (BANNER.replace("Rev X", "Rev Z"), "erratum", "VOS1"),
        (BANNER.replace("2.21.0", "2.16.0"), "wrong-bank-erase", "2.16"),
        (DISCOVERY, "debug-locked", "life cycle by discovery: Closed"),
        (DISCOVERY.replace("ST_LIFECYCLE_CLOSED", "ST_LIFECYCLE_MOON"), "", "ST_LIFECYCLE_MOON, not known"),
        (DISCOVERY.replace("0xEAEAEAEA", "0xf5f5f5f5"), "debug-locked", "no defect of the flash"),
        (DISCOVERY_FAILED, "board-wiring", "NRST"),
        (UART, "install-pending", "found nothing to start"),
        (BANNER + UPLOAD, "debug-locked", "printed none"),
    ],
)
def test_what_a_log_means(text, about, says):
    assert any(r.about == about and says in r.text for r in remarks(text)), remarks(text)


def test_a_healthy_banner_gives_no_remark():
    assert remarks(BANNER) == ()


def test_every_hint_is_marked():
    assert all(r.hint for r in remarks(BANNER.replace("Rev X", "Rev Z").replace("2.21.0", "2.16.0")) if r.about)


def test_a_known_tool_defect_of_a_small_part():
    text = BANNER.replace("2.21.0", "2.20.0").replace("2 MBytes", "1 MBytes")
    got = explain_log(parse_log(text), load_chip("stm32h563zg"))
    assert any("wrong sector" in r.text and r.hint for r in got)
