"""The bundled cases: complete, small, true to the founding report's numbers, and what the scripts make anew."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from intelhex import IntelHex

DATA = Path(__file__).resolve().parents[2] / "data"
CASES = ("founding", "founding-thread", "founding-no-magic", "defect", "sound")
MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
KEY_FILES = ("dumps", "later", "options", "log", "info", "sweep", "flashtest", "uart", "registers", "logs", "file")
HEADER, BODY = 0x400, 0x4C10


def script(name: str) -> ModuleType:
    if str(DATA) not in sys.path:
        sys.path.insert(0, str(DATA))  # as `python data/NAME.py` does
    spec = importlib.util.spec_from_file_location(name, DATA / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def named_files(node: object, key: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for k, v in node.items():
            yield from named_files(v, k)
    elif isinstance(node, list):
        for v in node:
            yield from named_files(v, key)
    elif key in KEY_FILES:
        yield str(node)


def dump(case: str, name: str) -> IntelHex:
    return IntelHex(str(DATA / case / name))


def cut(image: IntelHex, start: int, stop: int) -> bytes:
    data = image.gets(start, stop - start)
    assert isinstance(data, bytes)
    return data


def tlvs(slot: bytes) -> dict[int, bytes]:
    """Both TLV areas of a slot image, by type."""
    header_size, protected = struct.unpack_from("<HH", slot, 8)
    at, found = header_size + struct.unpack_from("<I", slot, 0x0C)[0], {}
    for magic in (0x6908, 0x6907) if protected else (0x6907,):
        got, total = struct.unpack_from("<HH", slot, at)
        assert got == magic
        end, at = at + total, at + 4
        while at < end:
            kind, size = struct.unpack_from("<HH", slot, at)
            found[kind] = slot[at + 4 : at + 4 + size]
            at += 4 + size
        assert at == end
    return found


def decrypted_body(slot: bytes) -> bytes:
    """The body of an encrypted slot, by the scheme of the format (ECIES P-256, HKDF-SHA256, AES-128-CTR)."""
    secret = tlvs(slot)[0x32]
    point, tag, wrapped = secret[:65], secret[65:97], secret[97:]
    private = serialization.load_pem_private_key((DATA / "keys/encrypt-p256.pem").read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    shared = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
    derived = HKDF(hashes.SHA256(), 48, None, b"MCUBoot_ECIES_v1").derive(shared)
    check = hmac.HMAC(derived[16:], hashes.SHA256())
    check.update(wrapped)
    check.verify(tag)

    def counter_mode(key: bytes, data: bytes) -> bytes:
        return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).decryptor().update(data)

    size = struct.unpack_from("<I", slot, 0x0C)[0]
    return counter_mode(counter_mode(derived[:16], wrapped), slot[HEADER : HEADER + size])


def imgtool_verify(path: Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("imgtool", path=str(Path(sys.executable).parent)) or "imgtool"
    return subprocess.run(
        [tool, "verify", "-k", str(DATA / "keys/sign-p256-pub.pem"), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("case", CASES)
def test_case_is_complete(case: str) -> None:
    folder = DATA / case
    names = set(named_files(tomllib.loads((folder / "case.toml").read_text("utf-8"))))
    assert names | {"case.toml", "expected.json"} == {p.name for p in folder.iterdir()}
    wanted = json.loads((folder / "expected.json").read_text("utf-8"))
    assert wanted["verdict"] in ("sound", "undecided", "suspect", "faulty")
    assert {"first", "supported", "hypotheses", "open_points"} <= wanted.keys()


def test_no_case_folder_is_forgotten() -> None:
    assert {p.parent.name for p in DATA.glob("*/case.toml")} == set(CASES)


def test_everything_is_under_3_mb() -> None:
    files = [p for p in DATA.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(p.stat().st_size for p in files) < 3_000_000


@pytest.mark.parametrize("path", sorted(DATA.glob("*/*.hex")), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_hex_files_are_valid(path: Path) -> None:
    image = IntelHex(str(path))
    assert len(image)
    for start, stop in image.segments():
        assert start % 16 == 0
        assert stop % 16 == 0
        assert 0x08000000 <= start < stop <= 0x08200000 or 0x0C000000 <= start < stop <= 0x0C200000


@pytest.mark.parametrize("case", CASES)
def test_repeated_reads_agree(case: str) -> None:
    reads = [p.read_bytes() for p in sorted((DATA / case).glob("suspect*.hex"))]
    assert len(set(reads)) == 1


def test_founding_numbers_of_the_good_board() -> None:
    good = dump("founding", "good.hex")
    assert cut(good, 0x0C018000, 0x0C018004) == bytes.fromhex("3db8f396")
    assert cut(good, 0x0C018020, 0x0C018400) == b"\xff" * 0x3E0
    code = cut(good, 0x0C018400, 0x0C019C90)
    assert code[-1] != 0
    assert b"\0" * 64 not in code
    assert not any(cut(good, 0x0C019C90, 0x0C01D000))
    assert cut(good, 0x0C01D000, 0x0C01D004) == bytes.fromhex("7fe97fe9")
    assert cut(good, 0x0C01D008, 0x0C01D00C) == bytes.fromhex("7fe97fe9")
    assert cut(good, 0x0C01D010, 0x0C01D012) == bytes.fromhex("0869")
    assert cut(good, 0x0C01D120, 0x0C01D130) != b"\xff" * 16
    assert cut(good, 0x0C01D130, 0x0C01DFF0) == b"\xff" * 0xEC0
    assert cut(good, 0x0C01DFF0, 0x0C01E000) == MAGIC
    assert cut(good, 0x0C0BE000, 0x0C0C4000) == b"\xff" * 0x6000
    assert cut(good, 0x0C163F00, 0x0C164000) == b"\xff" * 0x100


def test_founding_numbers_of_the_suspect() -> None:
    suspect = dump("founding", "suspect-1.hex")
    assert not any(cut(suspect, 0x0C000000, 0x0C01E000))
    assert cut(suspect, 0x0C01E000, 0x0C01F800) == b"\xff" * 0x1800
    assert cut(suspect, 0x0C0BDF00, 0x0C0BE000) == b"\xff" * 0x100
    assert cut(suspect, 0x0C0C3120, 0x0C0C3130) != b"\xff" * 16
    assert cut(suspect, 0x0C0C3130, 0x0C0C3FF0) == b"\xff" * 0xEC0
    assert cut(suspect, 0x0C0C3FF0, 0x0C0C4000) == MAGIC
    assert cut(suspect, 0x0C0C4000, 0x0C0C4004) == bytes.fromhex("3db8f396")
    assert cut(suspect, 0x0C163FF0, 0x0C164000) == MAGIC
    body = cut(suspect, 0x0C0BE400, 0x0C0C3010)
    assert body.count(0) < len(body) / 128  # the gap is noise too


def test_founding_slots_hold_the_same_build() -> None:
    good = cut(dump("founding", "good.hex"), 0x0C018000, 0x0C01E000)
    suspect = cut(dump("founding", "suspect-1.hex"), 0x0C0BE000, 0x0C0C4000)
    assert good[:0x20] == suspect[:0x20]
    a, b = tlvs(good), tlvs(suspect)
    assert list(a) == list(b) == [0x50, 0x10, 0x01, 0x22, 0x32]
    assert all(a[kind] == b[kind] for kind in (0x50, 0x10, 0x01))
    assert a[0x22] != b[0x22]
    assert a[0x32] != b[0x32]
    assert good[HEADER : HEADER + BODY] != suspect[HEADER : HEADER + BODY]
    assert decrypted_body(suspect) == good[HEADER : HEADER + BODY]
    plain = suspect[:HEADER] + decrypted_body(suspect) + suspect[HEADER + BODY : HEADER + BODY + 12]
    assert hashlib.sha256(plain).digest() == b[0x10]


def test_imgtool_accepts_installed_slots_and_not_encrypted_ones(tmp_path: Path) -> None:
    good, suspect = dump("founding", "good.hex"), dump("founding", "suspect-1.hex")
    sound = dump("sound", "suspect-1.hex")
    slots = {
        "good-s": (good, 0x0C018000, 0x6000),
        "good-ns": (good, 0x0C01E000, 0x1800),
        "sound-s": (sound, 0x0C018000, 0x6000),
        "sound-ns": (sound, 0x0C01E000, 0x1800),
    }
    for name, (image, start, size) in slots.items():
        path = tmp_path / f"{name}.bin"
        path.write_bytes(cut(image, start, start + size))
        done = imgtool_verify(path)
        assert "correctly validated" in done.stdout, (name, done.stdout, done.stderr)
    path = tmp_path / "suspect.bin"
    path.write_bytes(cut(suspect, 0x0C0BE000, 0x0C0C4000))
    assert imgtool_verify(path).returncode != 0


def test_no_magic_differs_from_the_founding_case_in_the_magic_alone() -> None:
    with_magic, without = dump("founding", "suspect-1.hex"), dump("founding-no-magic", "suspect-1.hex")
    for start, stop in without.segments():
        a, b = bytearray(cut(with_magic, start, stop)), cut(without, start, stop)
        for end in (0x0C0C4000, 0x0C164000):
            if start < end <= stop:
                assert a[end - 16 - start : end - start] == MAGIC
                a[end - 16 - start : end - start] = b"\xff" * 16
        assert a == b


def test_defect_is_two_fallen_bits_of_one_quad_word() -> None:
    good, suspect = dump("defect", "good.hex"), dump("defect", "suspect-1.hex")
    assert good.segments() == suspect.segments()
    found = [(at, good[at], suspect[at]) for at in good.addresses() if good[at] != suspect[at]]
    assert [at for at, _, _ in found] == [0x08026A43, 0x08026A4C]
    assert all(a & ~b and not b & ~a and (a ^ b).bit_count() == 1 for _, a, b in found)
    test = json.loads((DATA / "defect/flashtest.json").read_text("utf-8"))
    faults = [f for s in test["sectors"] for f in s["faults"]]
    assert {f["address"] // 16 for f in faults} == {0x08026A40 // 16}
    stuck = [(f["address"], f["bit"]) for f in faults if f["kind"] == "stuck-at-0"]
    assert [(at, (a ^ b).bit_length() - 1) for at, a, b in found] == stuck
    assert test["faults"] == len(faults)
    assert test["conditions"]["rounds"] >= 2
    assert test["conditions"]["power_cycles"] >= 1
    assert len(test["conditions"]["swd_hz"]) >= 2


def test_sound_boards_hold_confirmed_init_images() -> None:
    reads = [dump("sound", n) for n in ("good.hex", "suspect-1.hex")]
    assert reads[0].todict() == reads[1].todict()
    trailer = cut(reads[0], 0x0C01DFE0, 0x0C01E000)
    assert trailer[16:] == MAGIC
    assert trailer[8] == 1  # image_ok
    test = json.loads((DATA / "sound/flashtest.json").read_text("utf-8"))
    assert test["faults"] == 0


def test_boot_area_zeros_end_on_sector_edges() -> None:
    for case in ("founding", "founding-thread", "founding-no-magic"):
        suspect = dump(case, "suspect.hex" if case.endswith("thread") else "suspect-1.hex")
        start, stop = suspect.segments()[0]
        data = cut(suspect, start, stop)
        zeros = len(data) - len(data.lstrip(b"\0"))
        assert start % 0x2000 == 0
        assert start + zeros == 0x0C01E000


def test_the_texts_say_what_the_cases_need() -> None:
    assert "SFSP Version: v45.48.46" in (DATA / "founding/suspect-log.txt").read_text("utf-8")
    assert "Flash size  : 2 MBytes (default)" in (DATA / "founding/good-log.txt").read_text("utf-8")
    listing = (DATA / "founding/suspect-ob.txt").read_text("utf-8")
    for line in (
        "     PRODUCT_STATE: 0x17 (Provisioning, Debug partially opened (only non-secure)) ",
        "     SECWM1_STRT  : 0x0  (0x8000000)",
        "     SECWM1_END   : 0xE  (0x801C000)",
        "     SECBOOTADD   : 0x0  (0x0)",
        "     HDP1_END     : 0xB  (0x16000)",
        "     WRPSGn1      : 0xFFFFFFF8  (0x0)",
        "     IO_VDDIO2_HSLV: 0x0  (0x0)",
    ):
        assert line in listing.split("\n")
    for name in ("good-log.txt", "suspect-log.txt", "good-ob.txt", "suspect-ob.txt"):
        assert "Connect mode" not in (DATA / "founding-thread" / name).read_text("utf-8")
    posted = tomllib.loads((DATA / "founding-thread/case.toml").read_text("utf-8"))
    assert not {"access", "mode", "tool"} & (posted["good"].keys() | posted["suspect"].keys())


def test_cases_are_what_the_script_writes(tmp_path: Path) -> None:
    script("build_cases").build(tmp_path)
    made = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    kept = {p.relative_to(DATA): p.read_bytes() for c in CASES for p in (DATA / c).iterdir()}
    assert made.keys() == kept.keys()
    assert [str(n) for n in made if made[n] != kept[n]] == []


needs_compiler = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc (Debian: gcc-arm-none-eabi)"
)


@pytest.mark.arm
@needs_compiler
def test_firmware_compiles_to_the_committed_images(tmp_path: Path) -> None:
    script("build_firmware").compile_firmware(tmp_path)
    version = subprocess.run(["arm-none-eabi-gcc", "-dumpversion"], capture_output=True, text=True, check=True)
    names = {"boot.bin", "secure.bin", "nonsecure.bin", "standalone.hex"}
    assert {p.name for p in tmp_path.iterdir()} == names
    if version.stdout.strip() == "12.2.1":  # the compiler that made the committed ones
        for name in names:
            assert (tmp_path / name).read_bytes() == (DATA / "images" / name).read_bytes(), name
    secure = (tmp_path / "secure.bin").read_bytes()
    assert len(secure) == 0x4C10
    assert len(secure[:0x4C00].rstrip(b"\0")) == 0x1890
    assert secure[0x4C00:0x4C04] == secure[0x4C08:0x4C0C] == bytes.fromhex("7fe97fe9")
    assert len((tmp_path / "nonsecure.bin").read_bytes()) <= 0x1800 - 0x400 - 0x130


def test_signing_anew_changes_the_random_parts_alone(tmp_path: Path) -> None:
    script("build_firmware").sign(DATA / "images", tmp_path)
    for path in sorted(tmp_path.iterdir()):
        made, kept = IntelHex(str(path)), IntelHex(str(DATA / "images" / path.name))
        base, stop = made.minaddr(), made.segments()[0][1]
        assert base == kept.minaddr()
        assert cut(made, base, base + HEADER) == cut(kept, base, base + HEADER)
        trailer = made.segments()[1]
        assert trailer == kept.segments()[1]
        assert cut(made, *trailer) == cut(kept, *trailer)
        assert cut(made, *trailer)[-16:] == MAGIC
        a, b = (cut(i, base, min(i.segments()[0][1], stop)) for i in (made, kept))
        size = struct.unpack_from("<I", a, 0x0C)[0]
        assert (a[HEADER : HEADER + size] == b[HEADER : HEADER + size]) == ("init" in path.name)
        plain = (DATA / "images" / ("nonsecure.bin" if path.name.startswith("non") else "secure.bin")).read_bytes()
        assert (a[HEADER : HEADER + size] if "init" in path.name else decrypted_body(a)) == plain
        ours, theirs = tlvs(a), tlvs(b)
        assert list(ours) == list(theirs)
        assert [k for k in ours if ours[k] != theirs[k]] == [0x22, 0x32]


def test_private_keys_are_marked_worthless() -> None:
    assert "worthless" in (DATA / "keys/README.md").read_text("utf-8")
