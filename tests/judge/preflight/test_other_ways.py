"""STiROT, debug authentication alone, the H503, a person's own script, and the boards that people lost."""

from __future__ import annotations

import inspect
import random

import provisioning_sets as sets
import pytest

from h5diag.errors import InputError
from h5diag.judge.preflight import access, preflight, read_inventory, reopening
from h5diag.tables import packaged

R = random.Random


def failing(found) -> set[str]:
    return {r.id for r in found.rows if r.state == "fail"}


@pytest.mark.parametrize(
    ("files", "options", "verdict", "check"),
    [
        (sets.stirot_set(R(1)), {}, "go", ""),
        (sets.stirot_set(R(1), last=7), {}, "no-go", "options-secwm"),
        (sets.stirot_set(R(1), ube="0xB4"), {}, "no-go", "boot-ube"),
        (sets.stirot_set(R(1), magic=0x96F3B83D), {}, "no-go", "image-form"),
        (sets.stirot_set(R(1), signer="other"), {}, "no-go", "image-signature"),
        (sets.da_set(R(2)), {}, "go", ""),
        (sets.da_set(R(2), stored="DA_ConfigWithPassword"), {}, "no-go", "da-tzen"),
        (sets.h503_set(R(3)), {}, "go", ""),
        (sets.h503_set(R(3), wrong=True), {}, "no-go", "da-password"),
        (sets.h503_set(R(3), write=False), {}, "no-go", "da-present"),
        (sets.flat_set(R(4)), {"chip": "h563"}, "go", ""),
        (sets.flat_set(R(4), store="-sdp=da.obk"), {"chip": "h563"}, "no-go", "script-syntax"),
        (sets.flat_set(R(4)), {"chip": "h533"}, "no-go", "obk-encryption"),
    ],
)
def test_every_way_has_its_go_and_its_no_go(files, options, verdict, check, tmp_path):
    found = preflight(sets.write(files, tmp_path), **options)
    assert found.verdict == verdict, [r for r in found.rows if r.state in ("fail", "unknown")]
    assert not check or check in failing(found)


def test_every_way_back_of_the_table_is_asked_for():
    table, source = packaged("judge/preflight/ways.toml"), inspect.getsource(reopening)
    assert {row["answer"] for row in table["answers"].values()} == {"open", "reopenable", "lost", "unknown"}
    for name in (*table["answers"], *table["words"]):
        assert f'"{name}"' in source or name in ("need-certificate", "need-password", "need-"), name


def entries(made: str, **values: str) -> bytes:
    rows = "".join(f"<Data><Name>{n.replace('_', ' ')}</Name><Value>{v}</Value></Data>" for n, v in values.items())
    info = "<Info><ObDestAddress>0x0FFD0200</ObDestAddress><DoEncryption>1</DoEncryption></Info>"
    return f"<Root><Obdata>{info}{rows}<Output><Value>{made}</Value></Output></Obdata></Root>".encode()


@pytest.mark.parametrize(("download", "state"), [("0x001E0000", "pass"), ("0x001C0000", "warn")])
def test_the_settings_of_stirot_are_compared_with_its_xml(download, state, tmp_path):
    files = sets.stirot_set(R(1))
    xml = entries("../Binary/STiRoT_Config.obk", Firmware_download_area_offset=download, Clock_selection="0x1")
    files["STM32H573I-DK/ROT_Provisioning/STiROT/Config/STiRoT_Config.xml"] = xml
    rows = [r for r in preflight(sets.write(files, tmp_path)).rows if r.id == "xml-agrees"]
    assert [r.state for r in rows] == [state]
    assert ("0x1C0000" in rows[0].text) == (state == "warn")


@pytest.mark.parametrize(("size", "state"), [("0x6000", "pass"), ("0x8000", "warn")])
def test_the_slot_that_an_image_is_made_for_is_the_layouts(size, state, tmp_path):
    plan = sets.sound_plan(R(12))
    plan.release, plan.to = "init", "CLOSED"
    top = plan.write(tmp_path)
    params = "".join(
        f"<Param><Command>{c}</Command><Value>{v}</Value></Param>" for c, v in (("-x", "0x8018000"), ("-S", size))
    )
    made = "../../../Applications/ROT/OEMiROT_Appli_TrustZone/Binary/my_s_app_init_sign.hex"
    xml = f"<Root><McubootFormat>{params}<Output><Value>{made}</Value></Output></McubootFormat></Root>"
    sets.write({"ROT_Provisioning/OEMiROT/Images/S.xml": xml.encode()}, top)
    found = preflight(top, options=tmp_path / "board.txt", to="CLOSED")
    assert {(r.state, r.place) for r in found.rows if r.id == "xml-agrees"} == {
        (state, "-S" if state == "warn" else "-x")
    }


@pytest.mark.parametrize(
    ("extra", "verdict"), [("", "go"), ("HDP1_STRT=0 HDP1_END=3", "unknown"), ("WRPSGn1=0xFFFFFFFE", "unknown")]
)
def test_what_no_release_sets_before_stirot_is_not_called_sound(extra, verdict, tmp_path):
    files = sets.stirot_set(R(1))
    name = "STM32H573I-DK/ROT_Provisioning/STiROT/ob_flash_programming.sh"
    files[name] = files[name].replace(b"SECBOOT_LOCK=0xB4", f"SECBOOT_LOCK=0xB4 {extra}".encode())
    found = preflight(sets.write(files, tmp_path))
    assert found.verdict == verdict, [r for r in found.rows if r.state in ("fail", "unknown")]


def test_a_part_of_the_way_back_alone_is_no_preflight(tmp_path):
    (tmp_path / "a.obk").write_bytes(sets.da_obk(bytes(32)))
    with pytest.raises(InputError, match="script"):
        preflight(tmp_path)


def test_a_link_that_leaves_the_project_is_not_followed(tmp_path):
    outside = tmp_path / "outside.obk"
    files = sets.flat_set(R(4))
    outside.write_bytes(files.pop("da.obk"))
    folder = sets.write(files, tmp_path / "set")
    (folder / "da.obk").symlink_to(outside)
    found = preflight(folder, chip="h563")
    assert "files-present" in failing(found)


# ------------------------------------------------------------------------------------------- boards that people lost
def script(*calls: str) -> bytes:
    return ("set -e\n" + "".join(f"STM32_Programmer_CLI -c port=SWD {c}\n" for c in calls)).encode()


LOST = {
    "H563, object with the encryption flag": (
        lambda: {**sets.flat_set(R(5)), "da.obk": sets.da_obk(bytes(range(32)), flag=1)},
        {"chip": "h563"},
        "obk-encryption",
    ),
    "H563, -sdp= and closed anyway": (
        lambda: sets.flat_set(R(5), store="-sdp=da.obk"),
        {"chip": "h563"},
        "script-syntax",
    ),
    "H533, object without encryption": (lambda: sets.flat_set(R(5)), {"chip": "h533"}, "obk-encryption"),
    "H563, password with TrustZone on": (lambda: sets.da_set(R(5), stored="DA_ConfigWithPassword"), {}, "da-tzen"),
    "H533, an object of 80 bytes": (
        lambda: {**sets.flat_set(R(5)), "da.obk": sets.da_obk(bytes(range(32)), flag=1)[:80]},
        {"chip": "h533"},
        "obk-size",
    ),
    "H523, firmware in Provisioning": (lambda: sets.flat_set(R(5)), {"chip": "h563", "to": "0x17"}, "state-target"),
    "H573, Provisioning is where it ends": (
        lambda: {"p.sh": script("-ob TZEN=0xB4", "-ob PRODUCT_STATE=0x17")},
        {"chip": "h573"},
        "state-target",
    ),
    "H563, no credentials at all": (
        lambda: {"p.sh": script("-ob TZEN=0xB4", "-ob PRODUCT_STATE=0x17", "-ob PRODUCT_STATE=0x72")},
        {"chip": "h563"},
        "da-present",
    ),
    "U5, RDP 2 without an OEM2 key": (lambda: {"p.sh": script("-ob RDP=0xCC")}, {"chip": "stm32u585"}, "da-present"),
    "U5, RDP 0.5 with TrustZone": (
        lambda: {"p.sh": script("-ob TZEN=1 RDP=0x55")},
        {"chip": "stm32u5a9"},
        "state-target",
    ),
    "U3, a key of half its length": (
        lambda: {"p.sh": script("-lockRDP2 0x1 0x2", "-ob RDP=0xCC")},
        {"chip": "stm32u385"},
        "da-password",
    ),
    "H573, STiROT entry without its configuration": (
        lambda: {k: v for k, v in sets.stirot_set(R(5)).items() if "STiRoT_Config" not in k},
        {},
        "boot-ube",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_a_board_that_was_lost_would_have_been_no_go(name, tmp_path):
    make, options, check = LOST[name]
    found = preflight(sets.write(make(), tmp_path), **options)
    assert found.verdict == "no-go"
    assert check in failing(found), failing(found)


def test_an_oem2_key_before_rdp_2_is_go(tmp_path):
    files = {"p.sh": script("-lockRDP2 0x1 0x2", "-ob RDP=0xCC")}
    assert preflight(sets.write(files, tmp_path), chip="stm32u585").verdict == "go"


# ------------------------------------------------------------------------------------------------------------ access
DISCOVERY = """\
discovery: target ID....................:0x484
discovery: SoC ID.......................:0x00000000_11112222_33334444_55556666
discovery: Vendor ID....................:STMicroelectronics
discovery: PSA lifecycle................:ST_LIFECYCLE_{state}
discovery: cryptosystems................:Ecdsa-P256 SHA256
discovery: ST provisioning integrity status:{integrity}
discovery: permission if authorized.....:(a/14) ==> Full Regression
"""
GOOD, BAD = "0xeaeaeaea", "0xf5f5f5f5"


@pytest.mark.parametrize(
    ("state", "integrity", "answer"),
    [
        ("OPEN", BAD, "open"),
        ("PROVISIONING", BAD, "reopenable"),
        ("CLOSED", GOOD, "reopenable"),
        ("TZ_CLOSED", GOOD, "reopenable"),
        ("CLOSED", BAD, "lost"),
        ("LOCKED", GOOD, "lost"),
    ],
)
def test_a_discovery_and_credentials_tell_whether_a_board_opens(state, integrity, answer, tmp_path):
    sets.write(sets.da_set(R(6)), tmp_path)
    (tmp_path / "discovery.txt").write_text(DISCOVERY.format(state=state, integrity=integrity), "utf-8")
    found = access(tmp_path)
    assert found.answer == answer, found.why
    assert "authenticate" not in str(found)


def test_credentials_of_another_board_do_not_open_this_one(tmp_path):
    files = sets.da_set(R(7))
    other = sets.da_set(R(8))
    name = "NUCLEO-H563ZI/ROT_Provisioning/DA/Binary/DA_Config.obk"
    files[name] = other[name]
    sets.write(files, tmp_path)
    (tmp_path / "d.txt").write_text(DISCOVERY.format(state="CLOSED", integrity=GOOD), "utf-8")
    found = access(tmp_path)
    assert (found.answer, found.fits) == ("unknown", ())
    assert any("root" in w for w in found.why)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"RDP": 0xAA}, "open"),
        ({"RDP": 0xDC}, "reopenable"),
        ({"RDP": 0x55, "TZEN": 1}, "reopenable"),
        ({"RDP": 0xCC, "OEM2LOCK": 0}, "lost"),
        ({"RDP": 0xCC}, "unknown"),
    ],
)
def test_parts_with_readout_protection(options, answer, tmp_path):
    rows = "".join(f"     {n:<13}: 0x{v:X}\n" for n, v in options.items())
    (tmp_path / "ob.txt").write_text(
        f"OPTION BYTES BANK: 0\n\n   Read Out Protection:\n\n{rows}     BOR_LEV : 0x0\n", "utf-8"
    )
    assert access(tmp_path).answer == answer


U5, L5, U3 = ("STM32U575/STM32U585", "STM32L5xx", "STM32U375/U385")
SECOND, FIRST = (
    "STM32_Programmer_CLI -c port=SWD -lockRDP2 0x1 0x2\n",
    "STM32_Programmer_CLI -c port=SWD -lockRDP1 0x1 0x2\n",
)


@pytest.mark.parametrize(
    ("device", "before", "options", "answer", "said"),
    [
        (U5, "", {"RDP": 0xBB, "TZEN": 1, "OEM1LOCK": 1}, "reopenable", "level 1"),
        (U5, "", {"RDP": 0xAA, "OEM1LOCK": 1, "OEM2LOCK": 1}, "open", "level 0"),
        (U5, "", {"RDP": 0xCC, "OEM2LOCK": 1}, "unknown", "leads back to level 1"),
        (U5, SECOND, {"RDP": 0xCC}, "reopenable", "(2 words)"),
        (U5, FIRST, {"RDP": 0xCC}, "unknown", "nothing tells of an OEM2 key"),
        (L5, "", {"RDP": 0xCC}, "lost", "has no OEM keys"),
        (L5, SECOND, {"RDP": 0xCC}, "lost", "has no OEM keys"),
        (L5, "", {"RDP": 0x55}, "reopenable", "level 0.5"),
        (U3, SECOND, {"RDP": 0xCC}, "reopenable", "count as zero"),
        (U5, "", {"TZEN": 1, "nRST_STOP": 1, "nRST_STDBY": 1}, "unknown", "no text tells the RDP level"),
    ],
)
def test_the_part_tells_what_a_key_is_worth(device, before, options, answer, said, tmp_path):
    rows = "".join(f"     {n:<13}: 0x{v:X}\n" for n, v in options.items())
    text = f"STM32CubeProgrammer v2.18.0\nDevice name : {device}\n{before}OPTION BYTES BANK: 0\n\n   Read Out Protection:\n\n"
    (tmp_path / "t.txt").write_text(f"{text}{rows}     BOR_LEV : 0x0\n", "utf-8")
    found = access(tmp_path)
    assert found.answer == answer
    assert any(said in w for w in found.why), found.why
    assert any("count as zero" in w for w in found.why) == (device == U3)
    assert "product state" not in str(found)
    assert "authenticat" not in str(found)


ROUND = "00:00:01 : still waiting for the board to answer on its port\n"


def test_a_log_is_taken_as_long_as_by_diagnose(tmp_path):
    """What a file is comes before its limit: a log of 2 MiB is no script, and one above a text's limit says so."""
    told, log = DISCOVERY.format(state="CLOSED", integrity=GOOD), tmp_path / "d.txt"
    sets.write(sets.da_set(R(6)), tmp_path)
    log.write_text(told + ROUND * ((2 << 20) // len(ROUND)), "utf-8")
    assert access(tmp_path).answer == "reopenable"
    assert {i.kind for i in read_inventory(log).items} == {"unknown"}
    for script in ("long.sh", "long.xml"):
        (tmp_path / script).write_text("<Obdata>\n" * (script[-1] == "l") + ROUND * ((2 << 20) // len(ROUND)), "utf-8")
        with pytest.raises(InputError, match="too large for a script"):
            read_inventory(tmp_path / script)
        (tmp_path / script).unlink()
    log.write_text(told + "x" * (7 << 20), "utf-8")
    for call in (access, read_inventory):
        with pytest.raises(InputError, match="too large for a text that a tool or a board printed"):
            call(tmp_path)


def test_memory_shown_as_text_is_larger_than_a_text_and_no_credential(tmp_path):
    rows = "".join(f"0x{0x08000000 + 16 * n:08X} : {' 89ABCDEF' * 4}\n" for n in range((6 << 20) // 50 + 32000))
    (tmp_path / "view.txt").write_text(rows, "utf-8")
    (tmp_path / "d.txt").write_text(DISCOVERY.format(state="OPEN", integrity=GOOD), "utf-8")
    assert access(tmp_path).answer == "open"
    assert [(i.kind, i.why) for i in read_inventory(tmp_path / "view.txt").items] == [("unknown", "a memory view")]


@pytest.mark.parametrize(
    ("dev_id", "answer", "chip"), [(0x472, "lost", "stm32l552ze"), (0x482, "unknown", "stm32u575zi")]
)
def test_a_part_is_known_by_its_dev_id_as_everywhere(dev_id, answer, chip, tmp_path):
    """The L5 has no OEM keys, so nothing leads back from its level 2; no device name was printed."""
    text = f"STM32CubeProgrammer v2.18.0\nDevice ID   : 0x{dev_id:X}\n\nOPTION BYTES BANK: 0\n\n"
    text += "     RDP     : 0xCC\n     BOR_LEV : 0x0\n"
    (tmp_path / "t.txt").write_text(text, "utf-8")
    found = access(tmp_path)
    assert (found.answer, found.to_dict()["chip"]) == (answer, chip)


def test_files_that_tell_nothing_of_a_board_are_refused(tmp_path):
    (tmp_path / "x.txt").write_text("hello\n", "utf-8")
    with pytest.raises(InputError, match="discovery"):
        access(tmp_path)


# -------------------------------------------------------------------------------------------------------------- keys
def test_who_fits_whom(tmp_path):
    top = sets.write(sets.da_set(R(9)), tmp_path) / "NUCLEO-H563ZI/ROT_Provisioning/DA"
    found = read_inventory(top)
    kinds = {i.name: i.kind for i in found.items}
    assert kinds["Binary/DA_Config.obk"] == "obk-da-cert"
    assert kinds["Binary/DA_ConfigWithPassword.obk"] == "obk-da-password"
    assert kinds["Keys/leaf.pem"] == "private-key"
    assert kinds["Binary/password.bin"] == "password"
    how = {(f.a, f.b): f.how for f in found.fits}
    assert how["Keys/leaf.pem", "Certificates/chain.b64"] == "key-of-certificate"
    assert how["Certificates/chain.b64", "Binary/DA_Config.obk"] == "opens-obk"
    assert how["Binary/password.bin", "Binary/DA_ConfigWithPassword.obk"] == "opens-obk"


def test_images_and_the_object_that_opens_them(tmp_path):
    plan = sets.sound_plan(R(10))
    plan.release = "enc"
    found = read_inventory(plan.write(tmp_path))
    how = {(f.a.rsplit("/", 1)[-1], f.b.rsplit("/", 1)[-1], f.how) for f in found.fits}
    assert ("OEMiRoT_Config.obk", "my_s_app_enc_sign.hex", "authenticates-image") in how
    assert ("OEMiRoT_Config.obk", "my_s_app_enc_sign.hex", "decrypts-image") in how
    assert ("encryption.pem", "my_ns_app_enc_sign.hex", "decrypts-image") in how


def test_the_h503_pair_of_password_and_hash_is_told(tmp_path):
    top = sets.write(sets.h503_set(R(11)), tmp_path)
    kinds = {i.name.rsplit("/", 1)[-1]: (i.kind, i.why) for i in read_inventory(top).items}
    assert kinds["user_password.bin"][0] == kinds["board_password.bin"][0] == kinds["da_password.bin"][0] == "password"
    assert "SHA-256" in kinds["board_password.bin"][1]


CONNECT = (
    "STM32CubeProgrammer v2.18.0\nST-LINK SN  : 0042\nError: Unable to get core ID\nError: No STM32 target found!\n"
)


def test_a_link_that_nothing_answered_on_tells_no_product_state(tmp_path):
    (tmp_path / "log.txt").write_text(CONNECT, "utf-8")
    found = access(tmp_path / "log.txt")
    assert (found.answer, found.state) == ("unknown", "")
    assert not any("protection" in w or "is closed" in w for w in found.why)
    assert any("nothing answered on the link" in w for w in found.why)
    assert all(any(word in n for n in found.needs) for word in ("discovery", "listing", "under reset"))


def test_a_closed_state_that_was_read_is_why_the_port_is_closed(tmp_path):
    (tmp_path / "log.txt").write_text(CONNECT, "utf-8")
    (tmp_path / "d.txt").write_text(DISCOVERY.format(state="CLOSED", integrity=GOOD), "utf-8")
    assert any("access port 1 is closed" in w for w in access(tmp_path).why)


@pytest.mark.parametrize(("dev_id", "name"), [("0x482", "STM32U575/STM32U585"), ("0x415", "STM32L475"), ("0x472", "")])
def test_a_board_of_another_family_is_no_go(dev_id, name, tmp_path):
    folder = sets.write(sets.stirot_set(R(1)), tmp_path)
    log = tmp_path / "banner.txt"
    log.write_text(
        f"ST-LINK SN  : 0\nDevice ID   : {dev_id}\nRevision ID : Rev X\n" + f"Device name : {name}\n" * bool(name)
    )
    assert "chip-match" not in failing(preflight(folder))
    for chip in ("", "h573"):
        found = preflight(folder, log=log, chip=chip)
        assert "chip-match" in failing(found)
        assert found.verdict == "no-go"
