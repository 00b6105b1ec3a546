"""Option bytes are decoded by one decoder: a probe, a listing, an export and registers give the same values."""

from __future__ import annotations

import json

import pytest

import h5diag as h5

FLASH_REGISTERS = 0x40022000


def known(result) -> dict[str, int | None]:
    """Return what the document says of each option."""
    return {name: o["value"] for name, o in result.to_dict()["options"].items()}


@pytest.mark.parametrize("board", ["founding", "sound", "defect"])
def test_a_probe_and_every_text_of_the_same_board_agree(board):
    with h5.connect(f"virtual:board={board}") as connected:
        who, chip = connected.identify(), connected.chip
    read = {name: o["value"] for name, o in who.to_dict()["options"].items()}
    assert (read["SECBOOTADD"] is None) is (board == "founding")
    registers = {name.upper(): value for name, value in who.registers.items() if value is not None}
    places = {r.name: FLASH_REGISTERS + r.offset for r in chip.registers if r.name in registers}
    raw = {
        o.name: chip.register(o.register).get(o.field, registers[o.register]) for o in chip.options if o.name in read
    }
    texts = {
        "listing": "OPTION BYTES BANK: 0\n" + "".join(f"     {n}: 0x{v:X}\n" for n, v in raw.items()),
        "export": json.dumps({"deviceId": 0x484, "bitNameToValue": raw}, indent=1) + "\n",
        "addresses": "".join(f"0x{places[n]:08X} : {v:08X}\n" for n, v in registers.items() if n in places),
        "names": "".join(f"{n} = 0x{v:08X}\n" for n, v in registers.items() if n in places),
    }
    found = {kind: known(h5.read_options(text, chip=chip.name)) for kind, text in texts.items()}
    assert found == dict.fromkeys(texts, read)
