"""What keys and access know reaches a diagnosis: published keys, and whether a closed board opens again."""

from __future__ import annotations

import hashlib

import provisioning_sets as sets
import pytest

from h5diag.case import load_case
from h5diag.evidence.keys import credentials
from h5diag.judge import diagnose

DISCOVERY = """\
discovery: target ID....................:0x484
discovery: SoC ID.......................:0x00000000_11112222_33334444_55556666
discovery: Vendor ID....................:STMicroelectronics
discovery: PSA lifecycle................:ST_LIFECYCLE_{state}
discovery: cryptosystems................:Ecdsa-P256 SHA256
discovery: ST provisioning integrity status:{integrity}
discovery: permission if authorized.....:(a/14) ==> Full Regression
"""


def case(folder, **files: bytes):
    toml = ""
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    if "d__txt" in files:
        toml += '[suspect]\nlog = "d.txt"\n'
    if "own__obk" in files:
        toml += '[[images]]\nfile = "app.hex"\n[keys]\nverify = ["own.obk"]\n'
    (folder / "case.toml").write_text(toml, "utf-8")
    return diagnose(load_case(folder))


def claims(found) -> dict[str, str]:
    return {f.id: f.claim for b in found.boards for f in b.findings}


@pytest.mark.parametrize(
    ("state", "integrity", "words"),
    [
        ("CLOSED", "0xeaeaeaea", "needs more"),
        ("CLOSED", "0xf5f5f5f5", "no way back"),
        ("LOCKED", "0xeaeaeaea", "no way back"),
    ],
)
def test_a_closed_board_says_whether_it_opens_again(state, integrity, words, tmp_path):
    told = claims(case(tmp_path, d__txt=DISCOVERY.format(state=state, integrity=integrity).encode()))
    assert words in told["way-back"]
    assert "not a fault" in " ".join(told.values()), "said once, by whichever finding"


def test_an_open_board_says_nothing_of_it(tmp_path):
    told = claims(case(tmp_path, d__txt=DISCOVERY.format(state="OPEN", integrity="0xf5f5f5f5").encode()))
    assert "way-back" not in told


@pytest.mark.parametrize("known", [True, False])
def test_an_image_signed_with_a_published_key_is_named(known, tmp_path, monkeypatch):
    import random

    key = sets.private_key(random.Random(4))
    print_ = hashlib.sha256(sets.spki(key)).hexdigest()
    table = {print_: credentials.Published("sample", "somebody", "test")} if known else {}
    monkeypatch.setattr(credentials, "_published", lambda: table)
    config = sets.spki(key) + b"\0" + sets.spki(key) + b"\0" + sets.scalar70(key) + bytes(2)
    image = sets.signed_image(bytes(2000), key)
    told = claims(
        case(
            tmp_path,
            d__txt=b"Device ID : 0x484\n",
            own__obk=sets.obk(0x0FFD0160, config, 0),
            app__hex=sets.intel_hex(image, 0x08018000),
        )
    )
    assert ("published-key" in told) == known
