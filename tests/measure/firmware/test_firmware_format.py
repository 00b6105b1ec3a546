"""The image format from literal bytes, truncated and hostile; bodies; keys; vector tables."""

from __future__ import annotations

import base64
import functools
import hashlib
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, x25519
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given, settings, strategies as st
from imgtool_images import CODE, KINDS, SIGNING, Workshop

from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.evidence.keys import KeyKind, load_decrypt_key, load_verify_key, parse_decrypt_key, parse_verify_key
from h5diag.layout import load_layout
from h5diag.limits import TLV_RECORDS
from h5diag.measure.firmware import (
    BodyKind,
    Check,
    Flag,
    HeaderMagic,
    Tlv,
    TlvType,
    Version,
    boot_states,
    dependencies,
    examine_images,
    explain_link,
    find_images,
    find_vector_tables,
    look_at_body,
    parse_header,
    parse_tlvs,
    signed,
    vector_table_at,
    verify_image,
)
from h5diag.measure.firmware.signing import decrypt_body, unwrap_image_key
from h5diag.measure.firmware.vectors import World
from h5diag.memory import MemoryImage
from tests.work import calls

HEADER = bytes.fromhex("3db8f396 00000020 2000 2000 10000000 15000000 01 02 0300 04000000 00000000")
PROTECTED = bytes.fromhex("0869 20005000 0400 070000004000 0c00 01000000 02 01 0500 09000000a000 0000")
PLAIN = bytes.fromhex("0769 0d001000 0500 0102030405")
IMAGE = HEADER + bytes(16) + PROTECTED + PLAIN


def test_header_fields() -> None:
    h = parse_header(HEADER)
    assert (h.magic, h.load_address, h.header_size, h.protected_size, h.body_size) == (
        HeaderMagic.MCUBOOT,
        0x20000000,
        32,
        32,
        16,
    )
    assert h.version == Version(1, 2, 3, 4)
    assert str(h.version) == "1.2.3+4"
    assert h.flag_names == ("PIC", "ENCRYPTED_AES128", "NON_BOOTABLE")
    assert h.encrypted
    assert h.tlv_offset == 48


def test_tlv_areas() -> None:
    t = parse_tlvs(IMAGE, parse_header(IMAGE))
    assert [(r.name, r.number, r.protected) for r in t.records] == [
        ("SECURITY_COUNTER", 7, True),
        ("DEPENDENCY", None, True),  # twelve bytes are a structure, no number
        ("0x00A0", 0, True),
        ("SHA256", 0x0504030201, False),
    ]
    assert (t.hashed_size, t.size, t.problems, t.walkable) == (80, 93, (), True)
    assert [(d.image, str(d.version)) for d in dependencies(t)] == [(1, "2.1.5+9")]


@pytest.mark.parametrize("word", [m.value for m in HeaderMagic])
def test_magics_of_st(word: int) -> None:
    data = word.to_bytes(4, "little") + IMAGE[4:]
    assert [i.header.magic.value for i in find_images(MemoryImage.from_bytes(data, 0x08000000))] == [word]


def test_truncated_at_every_byte() -> None:
    for size in range(len(IMAGE) + 1):
        part = IMAGE[:size]
        if size < 32:
            with pytest.raises(InputError):
                parse_header(part)
            continue
        header = parse_header(part)
        if size < 84:
            with pytest.raises(InputError) as caught:
                parse_tlvs(part, header)
            assert caught.value.place
        else:
            assert parse_tlvs(part, header).size == 93
        found = examine_images(MemoryImage.from_bytes(part, 0x08000000))
        assert len(found) == 1
        assert found[0].image.complete is (size == len(IMAGE))


@pytest.mark.parametrize(
    ("at", "data", "error"),
    [
        (0, b"\x00", "no magic"),
        (8, b"\x1f\x00", "fewer than"),
        (12, b"\xff\xff\xff\xff", "bytes end"),
        (48, b"\x00\x00", "0x0000 stands where"),
    ],
)
def test_header_refusals(at: int, data: bytes, error: str) -> None:
    broken = IMAGE[:at] + data + IMAGE[at + len(data) :]
    with pytest.raises(InputError, match=error):
        parse_tlvs(broken, parse_header(broken))


def test_records_that_never_advance_or_never_end() -> None:
    header = HEADER[:10] + bytes(2) + HEADER[12:]
    empty = header + bytes(16) + bytes.fromhex("0769 ffff") + bytes(0xFFFB)
    t = parse_tlvs(empty, parse_header(empty))
    assert len(t.records) == TLV_RECORDS
    assert not t.walkable
    long = header + bytes(16) + bytes.fromhex("0769 0800 1000 ffff")
    t = parse_tlvs(long, parse_header(long))
    assert not t.records[0].complete
    assert any("longer than its area" in p for p in t.problems)
    loop = header + bytes(16) + bytes.fromhex("0869 0000")
    with pytest.raises(InputError):
        parse_tlvs(loop, parse_header(loop))


def test_header_claiming_4_gb() -> None:
    data = bytearray(0x20000)
    data[:32] = HEADER[:12] + b"\xff\xff\xff\xff" + HEADER[16:]
    layout = load_layout("oemirot-2m-overwrite")
    memory = MemoryImage.from_bytes(bytes(data), 0x08018000)
    found = examine_images(memory, layout=layout)
    assert found[0].verification.hash is Check.NOT_CHECKED
    assert "4294967295" in found[0].image.problems[0]
    assert boot_states(memory, layout).slots[0].state.value == "differs"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each piece had that was hashed."""
    sizes: list[int] = []

    class Counting:
        def __init__(self, make: Callable[[], hashlib._Hash]) -> None:
            self.hash = make()

        def update(self, part: bytes) -> None:
            sizes.append(len(part))
            self.hash.update(part)

        def digest(self) -> bytes:
            return self.hash.digest()

    counted = {kind: functools.partial(Counting, make) for kind, make in signed._SHA.items()}
    monkeypatch.setattr(signed, "_SHA", counted)
    return sizes


HOSTILE = ("magics", "nothing-else", "headers", "lone", "tlvs", "shared")


def hostile(kind: str) -> bytes:
    """Return 2 MB that want to take time or memory."""
    rng = np.random.default_rng(7)
    data = np.frombuffer(rng.bytes(2 << 20), np.uint8).copy()
    step = 20
    header = np.frombuffer(HEADER, np.uint8).copy()
    header[16] = 0
    if kind == "magics":
        for at in range(0, data.size - 32, step):
            data[at : at + 4] = header[:4]
    elif kind == "nothing-else":
        data = np.tile(header[:4], data.size // 4)
    elif kind in ("headers", "shared"):
        target = data.size - 0x10000
        for at in range(0, target - 64, 32):
            header[12:16] = np.frombuffer((target - at - 32).to_bytes(4, "little"), np.uint8)
            data[at : at + 32] = header
        data[target:] = 0
        data[target : target + 4] = (0x07, 0x69, 0xFF, 0xFF) if kind == "shared" else (0x07, 0x69, 0x20, 0x00)
    elif kind == "lone":
        header[12:16] = 0xFF
        for at in range(0, data.size - 32, 32):
            data[at : at + 32] = header
    else:
        header[12:16] = (32, 0, 0, 0)
        for at in range(0, data.size - 128, 128):
            data[at : at + 32] = header
            data[at + 64 : at + 128] = 0
            data[at + 64 : at + 68] = (0x07, 0x69, 0xFF, 0xFF)
    return data.tobytes()


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_dumps_take_no_work(kind: str) -> None:
    """How long they take is told by benchmarks/firmware_bench.py."""
    memory = MemoryImage.from_bytes(hostile(kind), 0x08000000)
    layout = load_layout("oemirot-2m-overwrite")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert calls(lambda: boot_states(memory, layout, examined=examine_images(memory, layout=layout)), 600_000)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 200


def test_image_at_any_offset_and_inside_others(workshop: Workshop) -> None:
    image = workshop.sign(key="ecdsa-p256")
    for offset in (0, 1, 2, 3, 7, 0x1234):
        memory = MemoryImage.from_bytes(b"\xaa" * offset + image, 0x08000000)
        assert [i.address for i in find_images(memory) if i.complete] == [0x08000000 + offset]
    outer = workshop.sign(payload=CODE + bytes(-len(CODE) % 16) + image)
    assert [i.complete for i in find_images(MemoryImage.from_bytes(outer, 0x08000000))] == [True, True]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 200))
def test_any_bytes_give_a_clean_result(data: bytes, cut: int) -> None:
    for content in (HEADER + data, IMAGE[:cut] + data, data):
        memory = MemoryImage.from_bytes(content, 0x08018000)
        found = examine_images(memory)
        assert all(i.verification.hash is not Check.VALID for i in found)


# --- bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 100, 256, 1000, 5000, 100_000])
def test_encrypted_bodies_look_encrypted(size: int) -> None:
    rng = np.random.default_rng(size)
    kinds = [look_at_body(np.frombuffer(rng.bytes(size), np.uint8)).kind for _ in range(50)]
    assert kinds.count(BodyKind.ENCRYPTED) == 50


@pytest.mark.parametrize(
    "data",
    [
        CODE,
        CODE * 50,
        b"The quick brown fox jumps over the lazy dog. " * 4,
        bytes(range(256)) * 8,
        bytes(4096),
        np.arange(4000, dtype="<u4").tobytes(),
        b"\x55\xaa" * 512,
        bytes(range(128)),
    ],
    ids=lambda d: f"{len(d)} bytes",
)
def test_plain_bodies_look_plain(data: bytes) -> None:
    assert look_at_body(np.frombuffer(data, np.uint8), said_encrypted=True).kind is BodyKind.PLAIN


def test_tiny_bodies_follow_the_header_and_say_so() -> None:
    data = np.frombuffer(bytes.fromhex("7a93e1054bc8d62f118e5c907733afb4"), np.uint8)
    said, not_said = look_at_body(data, said_encrypted=True), look_at_body(data)
    assert (said.kind, not_said.kind) == (BodyKind.ENCRYPTED, BodyKind.PLAIN)
    assert "too few" in said.why


def test_erased_compressed_and_absent_bodies() -> None:
    assert look_at_body(np.full(100, 0xFF, np.uint8)).kind is BodyKind.ERASED
    assert look_at_body(np.empty(0, np.uint8)).kind is BodyKind.UNKNOWN
    random = np.frombuffer(np.random.default_rng(1).bytes(4096), np.uint8)
    assert "compressed" in look_at_body(random).alternative
    half = np.concatenate([random, np.full(8192, 0xFF, np.uint8)])
    assert look_at_body(half).kind is BodyKind.ENCRYPTED


# --- keys --------------------------------------------------------------------------------------------------


def test_keys_of_all_kinds_public_and_private(workshop: Workshop) -> None:
    for kind in SIGNING:
        assert load_verify_key(workshop.key(kind)) == load_verify_key(workshop.key(kind))
        assert load_verify_key(workshop.key(kind)).hashes == load_verify_key(workshop.public(kind)).hashes
    assert [load_decrypt_key(workshop.key(k)).kind for k in ("ecdsa-p256", "x25519", "rsa-2048")] == [
        KeyKind.ECDSA_P256,
        KeyKind.X25519,
        KeyKind.RSA_2048,
    ]


def secrets_of(pem: bytes) -> list[str]:
    body = b"".join(pem.split(b"\n")[1:-2])
    raw = base64.b64decode(body)
    return [body.decode()[20:40], raw.hex()[40:60], str(raw[20:28])]


def test_keys_never_show(workshop: Workshop, tmp_path: Path) -> None:
    for kind in KINDS:
        pem = workshop.key(kind).read_bytes()
        texts = []
        if kind != "x25519":
            texts.append(repr(load_verify_key(workshop.key(kind))))
        if kind in ("ecdsa-p256", "x25519", "rsa-2048"):
            texts.append(repr(load_decrypt_key(workshop.key(kind))))
        for broken in (pem[:60], pem[:-50], pem.replace(b"M", b"!", 3), b"-----BEGIN" + pem[20:]):
            for parse in (parse_verify_key, parse_decrypt_key):
                try:
                    texts.append(repr(parse(broken)))
                except InputError as error:
                    texts.append(str(error))
        assert not any(s in t for s in secrets_of(pem) for t in texts)


def test_results_hold_no_key(workshop: Workshop) -> None:
    image = workshop.sign(key="ecdsa-p256", encrypt="ecdsa-p256")
    key = load_decrypt_key(workshop.key("ecdsa-p256"))
    found = examine_images(MemoryImage.from_bytes(image, 0x08000000), decrypt_keys=[key])[0]
    record = next(r for r in found.image.tlvs.records if r.type == TlvType.ENC_EC256)
    secret = unwrap_image_key(record, key)
    assert len(secret) == 16
    assert repr(secret)[2:-1] not in repr(found)
    assert secret.hex() not in repr(found)


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda w: b"", "no PEM"),
        (lambda w: b"hello", "no PEM"),
        (lambda w: w.key("ecdsa-p256").read_bytes()[:80], "cannot be read"),
        (
            lambda w: serialization.load_pem_private_key(w.key("ed25519").read_bytes(), None).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"word"),
            ),
            "password",
        ),
        (lambda w: w.public("x25519").read_bytes(), "does not verify"),
        (
            lambda w: ec.generate_private_key(ec.SECP521R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            "curve",
        ),
        (
            lambda w: dsa.generate_private_key(1024).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            "does not",
        ),
    ],
)
def test_unfit_verify_keys(workshop: Workshop, make, advice: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=advice) as caught:
        parse_verify_key(make(workshop), source="some.pem")
    assert "some.pem" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unfit_decrypt_keys(workshop: Workshop, tmp_path: Path) -> None:
    for content, problem in (
        (workshop.public("ecdsa-p256").read_bytes(), "public key"),
        (workshop.key("ecdsa-p384").read_bytes(), "does not decrypt"),
        (workshop.key("ed25519").read_bytes(), "does not decrypt"),
        (b"abc", "neither"),
    ):
        with pytest.raises(InputError, match=problem):
            parse_decrypt_key(content)
    with pytest.raises(InputError, match=r"none\.pem"):
        load_decrypt_key(tmp_path / "none.pem")
    (tmp_path / "big").write_bytes(bytes(70000))
    with pytest.raises(InputError, match="too large"):
        load_verify_key(tmp_path / "big")


@pytest.mark.parametrize("size", [16, 32])
def test_key_wrap(workshop: Workshop, size: int) -> None:
    """imgtool has no AES key wrap; the record is as bootutil's encrypted.c reads it."""
    wrapping, image_key = bytes(range(size)), bytes(range(100, 100 + size))
    record = aes_key_wrap(wrapping, image_key)
    image = bytearray(workshop.sign())
    at = 0x20 + len(CODE)
    image[at - len(CODE) : at] = decrypt_body(image_key, bytes(image[at - len(CODE) : at]))
    image[16] = 0x04
    total = int.from_bytes(image[at + 2 : at + 4], "little") + 4 + len(record)
    image[at + 2 : at + 4] = total.to_bytes(2, "little")
    image += bytes((0x31, 0, len(record), 0)) + record
    plain_header = bytes(image[:0x20])
    image[at + 8 : at + 40] = hashlib.sha256(plain_header + CODE).digest()
    found = find_images(MemoryImage.from_bytes(bytes(image), 0))[0]
    for content in (wrapping, base64.b64encode(wrapping) + b"\n"):
        result = verify_image(found, bytes(image), (), [parse_decrypt_key(content)])
        assert result.decrypted_hash is Check.VALID
    assert verify_image(found, bytes(image), (), [parse_decrypt_key(bytes(size))]).hash is Check.NOT_CHECKED


def test_damaged_encryption_records_unwrap_to_nothing(workshop: Workshop) -> None:
    x = x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    keys = [load_decrypt_key(workshop.key(k)) for k in ("ecdsa-p256", "rsa-2048")] + [
        parse_decrypt_key(x),
        parse_decrypt_key(bytes(16)),
    ]
    for kind in (*range(0x2F, 0x36), 0x1032):
        for size in (0, 1, 16, 24, 65, 80, 96, 113, 129, 256):
            for fill in (0, 4):
                assert all(unwrap_image_key(Tlv(kind, bytes([fill]) * size, 0, False), k) == b"" for k in keys)


# --- vector tables -----------------------------------------------------------------------------------------

CHIP = load_chip()


def table(*words: int) -> bytes:
    return np.array([*words, *[0] * (16 - len(words))], "<u4").tobytes()


GOOD = table(0x30050000, 0x0C018509, 0x0C01850B, 0x0C01850D, 0x0C01850F)


def test_vector_table() -> None:
    memory = MemoryImage.from_bytes(GOOD, 0x0C018400)
    t = vector_table_at(memory, 0x0C018400, CHIP)
    assert (t.stack, t.reset, t.world, t.linked) == (0x30050000, 0x0C018508, World.SECURE, 0x0C018000)
    assert t.handlers == (0x0C018508, 0x0C01850A, 0x0C01850C, 0x0C01850E)
    assert find_vector_tables(memory, CHIP) == (t,)
    assert not vector_table_at(memory, 0x0C018404, CHIP)


@pytest.mark.parametrize(
    "words",
    [
        (0x30050004, 0x0C018509, 0x0C01850B, 0x0C01850D),
        (0x60000000, 0x0C018509, 0x0C01850B, 0x0C01850D),
        (0x30050000, 0x0C018508, 0x0C01850B, 0x0C01850D),
        (0x30050000, 0x1C018509, 0x0C01850B, 0x0C01850D),
        (0x30050000, 0x0C018509, 0x0C01850B, 0x0C01850D, 0x12345678),
        (0, 0, 0, 0),
        (0xFFFFFFFF,) * 16,
    ],
)
def test_no_vector_table(words: tuple[int, ...]) -> None:
    assert not vector_table_at(MemoryImage.from_bytes(table(*words), 0x0C018400), 0x0C018400, CHIP)


def test_link_base_against_place() -> None:
    layout = load_layout("oemirot-2m-overwrite")
    here = MemoryImage.from_bytes(GOOD, 0x0C018400)
    there = MemoryImage.from_bytes(GOOD, 0x0C0BE400)
    assert explain_link(find_vector_tables(here, CHIP)[0], CHIP, layout).displacement == 0
    moved = explain_link(find_vector_tables(there, CHIP)[0], CHIP, layout)
    assert (moved.displacement, moved.slot.name) == (0xA6000, "secure primary")
    assert explain_link(find_vector_tables(there, CHIP)[0], CHIP).displacement == 0xA6000
    assert "secure secondary" in moved.text


def test_reset_outside_the_body_and_the_wrong_world() -> None:
    layout = load_layout("oemirot-2m-overwrite")
    t = find_vector_tables(MemoryImage.from_bytes(GOOD, 0x0C018400), CHIP)[0]
    assert "outside" not in explain_link(t, CHIP, layout, body_size=0x200).text
    assert "outside" in explain_link(t, CHIP, layout, body_size=0x100).text
    words = table(0x20001000, 0x08018509, 0x0801850B, 0x0801850D)
    other = find_vector_tables(MemoryImage.from_bytes(words, 0x08018400), CHIP)[0]
    assert "linked nonsecure" in explain_link(other, CHIP, layout).text


def test_vector_tables_in_noise() -> None:
    noise = np.frombuffer(np.random.default_rng(3).bytes(1 << 20), np.uint8).copy()
    assert find_vector_tables(MemoryImage.from_bytes(noise, 0x08000000), CHIP) == ()
    noise[0x8000:0x8040] = np.frombuffer(GOOD, np.uint8)
    assert [t.address for t in find_vector_tables(MemoryImage.from_bytes(noise, 0x08000000), CHIP)] == [0x08008000]


def test_flag_values() -> None:
    assert Flag.ENCRYPTED_AES128 == 4
    assert Flag.PRIMARY_ONLY == 2


def test_eight_images_are_hashed_once(workshop: Workshop, hashed: list[int]) -> None:
    """The ratio of times to one hash of the dump is held by benchmarks/firmware_bench.py."""
    slot = 0x40000
    body = np.random.default_rng(2).integers(0, 64, slot - 0x2000, np.uint8).tobytes()
    parts = [
        workshop.sign(
            "--pad",
            "--overwrite-only",
            "--align",
            "8",
            payload=body,
            key="ecdsa-p256",
            header=0x400,
            slot=slot,
            version=f"1.0.{i}",
        )
        for i in range(8)
    ]
    memory = MemoryImage.from_bytes(b"".join(parts), 0x08000000)
    keys = [load_verify_key(workshop.public("ecdsa-p256"))]
    assert [i.verification.signature for i in examine_images(memory, verify_keys=keys)] == [Check.VALID] * 8
    content = memory.segments[0].data
    assert 0.9 * content.size < sum(hashed) <= content.size
