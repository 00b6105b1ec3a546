"""Every text of the bench is understood as the table says, through the command line's document."""

import importlib.util
import json
from pathlib import Path

import pytest
from bench_texts import TEXTS, Bench

from h5diag.app.cli import main
from h5diag.chip import load_chip
from h5diag.evidence.texts import BootLog, meanings, parse_boot_log, parse_log, parse_tools, tool_rows
from h5diag.evidence.texts.boot import event_rows
from h5diag.evidence.texts.messages import parse_messages
from h5diag.evidence.texts.text import lines


def document(capsys, tmp_path, text, command="log"):
    path = tmp_path / "text.txt"
    path.write_text(text)
    assert main([command, str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def at(value, path):
    for key in path.split("."):
        if isinstance(value, list) and key.isdecimal():
            value = value[int(key)] if int(key) < len(value) else None
        elif isinstance(value, list):
            value = next((v["value"] for v in value if v.get("name") == key), None)
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def words(value):
    """Everything that the document says of itself, not what it repeats."""
    if isinstance(value, dict):
        return " ".join(words(v) for k, v in value.items() if k not in ("text", "file", "line"))
    if isinstance(value, list):
        return " ".join(map(words, value))
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize("bench", TEXTS, ids=[f"{b.kind}-{b.what}" for b in TEXTS])
def test_the_text_is_understood(bench: Bench, capsys, tmp_path):
    found = document(capsys, tmp_path, bench.text)
    assert found["kind"] == bench.kind
    assert found["chip"] == bench.chip
    if bench.dev_id is not None:
        assert found["device"]["dev_id"] == bench.dev_id
    said = words(found)
    for text in bench.says:
        assert text in said, said
    for text in bench.silent:
        assert text not in said, said
    for path, value in bench.values.items():
        assert at(found, path) == value, path


@pytest.mark.parametrize("bench", TEXTS, ids=[f"{b.kind}-{b.what}" for b in TEXTS])
def test_cut_anywhere_it_is_survived(bench: Bench):
    for end in range(0, len(bench.text), max(1, len(bench.text) // 40)):
        parse_log(bench.text[:end])


@pytest.mark.parametrize("row", meanings(), ids=lambda row: row.line)
def test_every_message_means_its_own(row):
    (message,) = parse_messages(lines(row.line + "\n"))
    assert (message.meaning, message.about, message.link) == (row.means, row.about, row.link)
    assert row.ref


def test_no_line_of_the_message_table_is_needed_twice():
    assert len({row.words + row.without for row in meanings()}) == len(meanings())


@pytest.mark.parametrize("row", event_rows(), ids=lambda row: row.line)
def test_every_event_of_a_boot_log_means_its_own(row):
    log = parse_boot_log(lines(f"Starting bootloader\n{row.line}\n"))
    assert log.events[-1].meaning.startswith(row.means.partition("{")[0])
    assert log.events[-1].about == row.about
    assert log.ended == row.ends
    assert row.ref


def test_a_text_without_a_boot_loaders_words_is_no_boot_log():
    assert parse_boot_log(lines("an image was refused by the customer\nno signature, no panic!\n")) == BootLog()


def test_a_tool_is_known_by_its_marks_alone():
    assert parse_tools(lines("Device ID   : 0x484\nVoltage     : 3.3V\n")) == ()
    assert len({row.kind for row in tool_rows()}) == len(tool_rows())


def listing(device, chip):
    """A listing of a device in the tool's grammar: every option that it has, with a value that fits."""
    out = [f"Device ID   : 0x{device.dev_id:03X}", "Flash size  : -- (default)", "OPTION BYTES BANK: 0"]
    for option in chip.options:
        value = option.values[0].value if option.values else 0
        out.append(f"     {option.name:<13}: 0x{value:X} (0x{value:X})")
    return "\n".join(out) + "\n"


def devices():
    from h5diag.chip import describe
    from h5diag.chip.files import index

    by_id = {p.dev_id: p.name for p in reversed(index().parts)}
    for device in index().devices:
        chip = load_chip(by_id[device.dev_id]) if device.dev_id in by_id else describe(device)
        yield pytest.param(device, chip, id=f"{device.dev_id:03x}-{len(device.options)}")


@pytest.mark.parametrize(("device", "chip"), list(devices()))
def test_a_listing_of_every_device_is_named_right(device, chip, capsys, tmp_path):
    text = listing(device, chip)
    found = document(capsys, tmp_path, text)
    has_file = chip.name.startswith("stm32")
    assert found["chip_known_by"] == "dev-id"
    assert (found["chip"] is not None) is has_file
    if has_file:
        assert load_chip(found["chip"]).identity.dev_id == device.dev_id
    else:
        assert found["device"] == {"dev_id": device.dev_id, "name": device.name}
    if chip.options:
        options = document(capsys, tmp_path, text, "options")
        assert options["chip"] == found["chip"]
        assert all(options["options"][o.name]["known"] for o in chip.options)
        assert not any("another family" in w or "no state" in w for w in options["warnings"])


def test_the_page_is_what_the_tables_make():
    root = Path(__file__).resolve().parents[3]
    spec = importlib.util.spec_from_file_location("make_texts", root / "docs" / "make_texts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (root / "docs" / "texts.md").read_text("utf-8") == module.page(), "run `python docs/make_texts.py`"
