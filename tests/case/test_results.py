"""Records of ``info``, ``dump --sweep`` and ``flashtest``: what h5diag ever wrote is read, a key that it never wrote is told."""

from __future__ import annotations

import json

import pytest

from h5diag.app.cli import main
from h5diag.case.results import parse_flashtest, parse_identity, parse_sweep
from h5diag.errors import InputError

# What 0.1 wrote, every key of it.
INFO = {
    "chip": "stm32h563zi",
    "dev_id": 0x484,
    "rev_id": 0x1007,
    "revision": "X",
    "uid": "0" * 24,
    "flash_kib": 2048,
    "package": "LQFP144",
    "product_state": 0xED,
    "product_state_text": "open",
    "tzen": 0xC3,
    "trustzone": "off",
    "options": {"TZEN": {"value": 0xC3, "text": "TrustZone: off", "meaning": "TrustZone: off"}},
    "registers": {"ecccorr": 0, "eccdetr": None, "opsr": 0, "hdpl": 1},
    "errata": [],
    "remarks": [],
    "probe": "0042",
    "connect": "attach",
    "access": "unknown",
    "swd_hz": 4_000_000,
    "core": {
        "state": "running",
        "samples": [{"pc": 0x08000100, "place": "flash"}],
        "vtor": 0x08000000,
        "resets": ["pin"],
        "faults": {"cfsr": 1},
        "halted_s": 0.0,
        "remarks": [],
    },
}
SWEEP = {
    "bytes": 8192,
    "unreadable": [],
    "unstable": [],
    "passes": 3,
    "sha256": "0" * 64,
    "range": [0x08000000, 0x08002000],
    "path": "dump.bin",
    "map": "dump.bin.map.json",
    "access": "unknown",
    "chip": "stm32h563zi",
    "uid": "0" * 24,
    "mode": "attach",
    "time": "2026-11-20T10:00:00Z",
    "swd_hz": 4_000_000,
    "agrees": "3 reads agree",
    "expected_coincidence": 0.0,
    "remarks": [],
    "sweep": [{"swd_hz": 1_000_000, "bytes": 8192, "disagreeing": 0}],
}
FLASHTEST = {
    "range": [0x08000000, 0x08002000],
    "restored": True,
    "conditions": {
        "tzen": 0xC3,
        "product_state": 0xED,
        "wrp": [],
        "rev_id": 0x1007,
        "voltage_mv": 3290,
        "swd_hz": [1_000_000],
        "rounds": 2,
        "power_cycles": 1,
    },
    "sectors": [
        {
            "start": 0x08000000,
            "verdict": "bad",
            "reason": "",
            "erase_s": 0.002,
            "program_s": 0.1,
            "faults": [
                {
                    "kind": "stuck-at-0",
                    "address": 0x08000010,
                    "bit": 3,
                    "detail": "",
                    "rounds": 2,
                    "swd_hz": [1_000_000],
                    "seen": 2,
                    "chances": 2,
                    "level": "cell",
                }
            ],
        }
    ],
    "faults": 1,
    "chip": "stm32h563zi",
    "level": "standard",
    "patterns": ["zeros"],
    "way": "core",
    "access": "unknown",
    "erase_cycles": 6,
    "rated_cycles": 10000,
    "remarks": [],
    "folder": "test",
}
READERS = {"info": (parse_identity, INFO), "sweep": (parse_sweep, SWEEP), "flashtest": (parse_flashtest, FLASHTEST)}
# The same as another program may write it: other names of the same things.
OTHERS = {"speeds": [{"hz": "0x10", "bytes": 1, "disagreeing_bytes": 0}]}


@pytest.mark.parametrize("kind", READERS)
def test_what_the_version_before_wrote_is_read(kind):
    reader, document = READERS[kind]
    found = reader(json.dumps(document), f"{kind}.json")
    assert found == reader(json.dumps(found.to_dict()), "again.json")
    assert kind == "sweep" or set(document) <= set(found.to_dict())


def test_other_names_of_the_same_are_read():
    told = {"serial": "1", "serial_number": "1", "unique_id": "1", "probe_id": "1", "probe_serial": "1"}
    assert parse_identity(json.dumps(INFO | told), "i") == parse_identity(json.dumps(INFO), "i")
    assert [(p.swd_hz, p.disagreeing) for p in parse_sweep(json.dumps(OTHERS), "s").sweep] == [(16, 0)]


@pytest.mark.parametrize(
    "argv", [["info"], ["dump", "--range", "0x08000000:0x08002000", "--sweep"], ["flashtest", "--level", "quick"]]
)
def test_what_this_version_writes_is_read(argv, tmp_path, capsys):
    to = {"dump": ["--out", str(tmp_path / "d.bin")], "flashtest": ["--out", str(tmp_path / "t"), "--allow-erase"]}
    more = ["--range", "0x081FE000:0x08200000"] if argv[0] == "flashtest" else []
    assert main([*argv, *more, "--probe", "virtual", *to.get(argv[0], []), "--json"]) == 0
    reader = READERS[{"dump": "sweep"}.get(argv[0], argv[0])][0]
    assert reader(capsys.readouterr().out, "now.json")


def places(value, path=""):
    """Yield the path of each object in a document, and the object."""
    if isinstance(value, dict):
        yield path, value
        for key, inner in value.items():
            yield from places(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from places(inner, f"{path}[{n}]")


@pytest.mark.parametrize("kind", READERS)
def test_a_key_that_h5diag_never_wrote_is_told_with_its_place(kind):
    reader, document = READERS[kind]
    free = ("registers", "core.faults")  # by the chip's own names
    count = 0
    for number, (path, _) in enumerate(places(document)):
        if path in free:
            continue
        copy = json.loads(json.dumps(document))
        list(places(copy))[number][1]["colour"] = 5 if path == "options" else "red"
        if path == "options":
            assert reader(json.dumps(copy), "f.json").options["colour"].value == 5
            continue
        text = json.dumps(copy, indent=1)
        with pytest.raises(InputError) as caught:
            reader(text, "f.json")
        line = text[: text.index("colour")].count("\n") + 1
        assert str(caught.value).startswith(
            f"f.json, line {line}: {path}.colour".replace(": .", ": ") + " is no known key"
        )
        assert "\n" not in str(caught.value)
        count += 1
    assert count >= 2


def test_of_a_key_that_stands_twice_the_line_is_that_of_the_wrong_one():
    text = '{"sweep": [{"swd_hz": 1, "bytes": 1, "disagreeing": 0,\n"x": 1}, {"x": 2}]}'
    with pytest.raises(InputError, match=r"^f\.json, line 2: sweep\[0\]\.x is no known key"):
        parse_sweep(text, "f.json")


def test_a_case_with_such_a_file_ends_in_one_line(tmp_path, capsys):
    (tmp_path / "case.toml").write_text('[suspect]\ninfo = "info.json"\n', "utf-8")
    (tmp_path / "info.json").write_text(json.dumps(INFO | {"colour": "red"}, indent=1), "utf-8")
    assert main(["diagnose", str(tmp_path)]) == 2
    err = capsys.readouterr().err.strip()
    assert "info.json, line" in err
    assert "colour is no known key" in err
    assert "\n" not in err


@pytest.mark.parametrize(
    ("parse", "wrong", "said"),
    [
        (parse_flashtest, {"verdict": "ok"}, "f.json, line 9: sectors[1].verdict is 'ok'; it is good, bad or untested"),
        (parse_flashtest, {"erase_s": "x"}, "f.json, line 10: sectors[1].erase_s is a text, not a number"),
        (parse_identity, {"opsr": "x", "hdpl": 1}, "f.json, line 3: registers.opsr is a text, not a whole number"),
    ],
)
def test_a_wrong_value_is_told_with_its_path_and_line_though_the_key_stands_there_often(parse, wrong, said):
    good = {"start": 0x08000000, "verdict": "good"}
    sectors = {"sectors": [good, {"start": 0x08002000, "verdict": "good"} | wrong]}
    with pytest.raises(InputError) as caught:
        parse(json.dumps(sectors if parse is parse_flashtest else {"registers": wrong}, indent=1), "f.json")
    assert str(caught.value) == said


def test_a_flash_test_that_does_not_say_what_it_erased_is_not_said_to_have_erased_nothing():
    said = str(parse_flashtest('{"sectors": [{"start": 134217728, "verdict": "good"}]}', "f.json"))
    assert "Nothing was erased" not in said
    assert "Whether the contents are back is not known." in said
    assert "rated for not known" in said
