"""The commands ``options`` and ``log``: exit statuses, JSON, text."""

import json
import os
import re

import pytest
from cubeprog_texts import (
    BANNER,
    DISCOVERY,
    EXPORT,
    L5_LISTING,
    REGISTERS_COLUMNS,
    U5_LISTING,
    UART,
    h5_listing,
    provisioning_listing,
    provisioning_log,
)

from h5diag.app.cli import main
from tests.work import calls


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command over texts saved as files a.txt, b.txt, ...; gives status, output and errors."""

    def call(command, *texts, options=()):
        paths = []
        for name, text in zip("abc", texts, strict=False):
            path = tmp_path / f"{name}.txt"
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            paths.append(str(path))
        status = main([command, *paths, *options])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


def document(run, command, *texts, options=()):
    status, out, err = run(command, *texts, options=(*options, "--json"))
    assert status == 0, err
    assert err == ""
    return json.loads(out)


def test_options_json(run):
    d = document(run, "options", provisioning_listing(), options=["--layout", "oemirot-2m-overwrite"])
    assert d["chip"] == "stm32h563zi"
    assert d["product_state"] == "Provisioning"
    assert d["options"]["SECWM1_END"]["value"] == 14
    assert "0x0C000000 to 0x0C01DFFF" in d["options"]["SECWM1_END"]["meaning"]
    assert d["options"]["PRODUCT_STATE"]["text"].startswith("Provisioning, Debug half")
    masked = d["options"]["SECBOOTADD"]
    assert (masked["belief"], masked["value"], masked["printed"]) == ("masked", None, 0)
    assert d["ranges"]["secure"] == [[0x08000000, 0x0801E000]]
    assert d["warnings"]
    assert {c["agreement"] for c in d["checks"]} == {"agrees", "differs", "not-known"}
    assert "diff" not in d


def test_diff_json(run):
    d = document(run, "options", h5_listing(), provisioning_listing(SECWM1_END=0x7F))
    diff = {e["name"]: e for e in d["diff"]}
    assert diff["SECWM1_END"]["values"] == [14, 127]
    assert diff["SECWM1_END"]["comparable"] is True
    assert diff["SECBOOTADD"]["values"] == [0xC0000, None]
    assert diff["SECBOOTADD"]["comparable"] is False
    assert all(set(e) >= {"name", "values", "meaning", "comparable"} for e in d["diff"])
    assert d["other"]["product_state"] == "Provisioning"


def test_a_value_that_only_one_board_has_is_null(run):
    short = h5_listing()
    d = document(run, "options", h5_listing(), short[: short.index("OPTION BYTES BANK: 9")])
    assert {e["name"]: e["values"] for e in d["diff"]} == {"HDP2_STRT": [1, None], "HDP2_END": [0, None]}


@pytest.mark.parametrize(
    ("text", "chip"),
    [
        (L5_LISTING, "stm32l552ze"),
        (U5_LISTING, "stm32u575zi"),
        (EXPORT, "stm32h563zi"),
        (REGISTERS_COLUMNS, "stm32h563zi"),
        (h5_listing().encode("utf-16"), "stm32h563zi"),
    ],
)
def test_every_source_is_accepted(run, text, chip):
    d = document(run, "options", text)
    assert d["chip"] == chip
    assert d["options"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("hello\n", "not one option line"),
        (BANNER, "not one option line"),
        ("0x12345678 : 0x00000001\n", "not one option line"),
        ("FOO_BAR : 0x1\n", "not one option line"),
        (bytes(range(256)), "not one option line"),
        ("OPTION BYTES BANK: 0\n", "not one option line"),
    ],
)
def test_no_option_line_is_status_2(run, text, says):
    status, out, err = run("options", text)
    assert status == 2
    assert out == ""
    assert says in err
    assert "a.txt" in err
    assert err.count("\n") == 1


def test_files_that_cannot_be_read(run, tmp_path, capsys):
    for argument in (str(tmp_path / "nowhere.txt"), str(tmp_path)):
        assert main(["options", argument]) == 2
        err = capsys.readouterr().err
        assert argument in err
        assert err.count("\n") == 1
        assert main(["log", argument]) == 2
        capsys.readouterr()


def test_bad_names(run):
    assert run("options", h5_listing(), options=["--chip", "zx81"])[0] == 2
    assert run("options", h5_listing(), options=["--layout", "no-such"])[0] == 2


def test_cut_short_is_status_0_with_a_warning(run):
    text = h5_listing()
    d = document(run, "options", text[: text.index("OPTION BYTES BANK: 4")])
    assert "ends at line" in d["warnings"][0]
    assert d["ranges"]["hidden"] is None


def test_options_text_answers_first(run):
    status, out, _ = run(
        "options", h5_listing(), h5_listing({"SECWM1_END": 0x7F}), options=["--layout", "oemirot-2m-overwrite"]
    )
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "1 option differs, 1 can explain a different flash picture."
    assert "The boot loader's start-up check would fail" in out
    assert "Set as the boot loader expects" in out
    assert max(len(line) for line in lines) <= 105


def test_nothing_of_a_stranger_reaches_the_terminal(run):
    evil = h5_listing(texts={"TZEN": "(\x1b[2J\u202e<script>alert(1)</script>)"})
    _, out, _ = run("options", evil)
    assert "\x1b" not in out
    assert "\u202e" not in out
    _, out, _ = run("log", BANNER.replace("Rev X", "\x1b]0;x\x07 \u202eX") + "Error: \x1b[31m \u202e broke\n")
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_log_json(run):
    d = document(run, "log", BANNER.replace("v2.5.0", "v45.48.46") + DISCOVERY)
    assert set(d) >= {"kind", "banner", "discovery", "options", "errors", "loader", "remarks"}
    assert d["kind"] == "discovery"
    assert d["product_state"] == "Closed"
    assert d["banner"]["dev_id"] == 0x484
    assert d["banner"]["flash_kib"] == 2048
    v = d["banner"]["versions"]["sfsp_version"]
    assert (v["status"], v["bytes"]) == ("unreadable", [45, 48, 46])
    assert d["discovery"]["integrity_ok"] is True
    assert any("unreadable" in r for r in d["remarks"])


def test_log_of_a_provisioning(run):
    text = provisioning_log(images="enc", failed_boot=True)
    d = document(run, "log", text, options=["--layout", "oemirot-2m-overwrite"])
    assert d["kind"] == "provisioning"
    assert [w["slot"] for w in d["writes"]] == ["secure secondary", "non-secure secondary", "boot"]
    assert [w["result"] for w in d["writes"]] == ["verified", "verified", "failed"]
    assert d["boot_code"] == "failed"
    assert d["package"] == "older"
    assert d["errors"][0]["meaning"]
    assert any("errors and successes" in r for r in d["remarks"])


def test_log_of_unknown_text(run):
    for text in ("hello world\n", bytes(range(256)), os.urandom(5000)):
        d = document(run, "log", text)
        assert d["kind"] == "unknown"
        assert d["banner"] is None
    assert "nothing in it is known" in run("log", "hello world\n")[1]
    assert run("log", "")[0] == 2


def test_log_of_an_external_loader(run):
    text = (
        BANNER
        + "flash loader /opt/x.stldr is loaded\n\nReading data...\n"
        + "".join(f" r ap 1 @0x{0x90000000 + i * 0x400:08X} : 0x00000400 bytes, Data 0x00000000\n" for i in range(4))
        + "Data read successfully\n"
    )
    d = document(run, "log", text)
    assert d["kind"] == "verbosity-3"
    assert d["loader"]["downloaded"] == "no"


def test_log_text(run):
    status, out, _ = run("log", UART)
    assert status == 0
    assert out.startswith("a.txt: rom-loader.\n")
    assert "found nothing to start" in out
    assert re.search(r"^ +8 +(error|warning) ", out, re.MULTILINE)


WORDS = """0x44024000 : 10076484
0x08FFF800 : 00390044 34345112 32383537 00040800
0x40022018 : 60018000 00000001 00020000 00000000
0x40022100 : 00000000 80400020 0000FFFF
"""


def test_log_of_single_words(run):
    d = document(run, "log", BANNER + WORDS)
    text = "\n".join(d["remarks"])
    assert "DEV_ID 0x484; REV_ID 0x1007, revision X" in text
    assert "flash size 2048 KiB" in text
    assert "unique id 00390044 34345112 32383537" in text
    assert "ECCDETR: two bits wrong" in text
    assert "16 bytes at 0x08100200 in the user area" in text
    assert "ECCCORR: no ECC error recorded" in text
    assert "a reset cut this operation: sector erase, at 0x08018000" in text
    assert "NSSR.WRPERR" in text
    assert {"name": "IDCODE", "value": 0x10076484} in d["registers"]
    masked = document(run, "log", WORDS.replace("00390044 34345112 32383537 00040800", "0 0 0 0".replace("0", "0" * 8)))
    assert any("reads as unknown" in r for r in masked["remarks"])
    assert any("masked, not the chip's" in r for r in masked["remarks"])
    assert masked["kind"] == "registers"
    dead = document(run, "log", WORDS.replace("80400020", "FFFFFFFF"))
    assert any("ECCDETR read all ones" in r for r in dead["remarks"])
    assert not any("two bits wrong" in r for r in dead["remarks"])


def test_a_listing_cut_in_the_banner_says_so(run):
    status, _, err = run("options", BANNER)
    assert status == 2
    assert "ends before the options begin" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["options", "log"])
def test_a_text_too_large_is_refused_unread(command, tmp_path, capsys):
    path = tmp_path / "huge.txt"
    with path.open("wb") as f:
        f.truncate(1 << 36)
    assert main([command, str(path)]) == 2
    assert "too large" in capsys.readouterr().err


def test_noise_is_no_text_and_soon_known(run):
    def read_all():
        noise = os.urandom(4 << 20)
        assert run("options", noise)[0] == 2
        assert document(run, "log", noise)["kind"] == "unknown"
        assert document(run, "log", bytes(4 << 20) + b"\n1")["kind"] == "unknown"

    assert calls(read_all, 6_000_000)


def test_a_hundred_thousand_options_are_read_once(run):
    many = h5_listing() + "".join(f"  OPT{i} : 0x1 (x)\n" for i in range(100_000))
    documents = []
    assert calls(lambda: documents.append(document(run, "options", many)), 120 * 100_000)
    (d,) = documents
    assert len(d["options"]) == 1000
    assert "PRODUCT_STATE" in d["options"]
    assert any("more than any chip" in w for w in d["warnings"])
