"""Accept and refuse as imgtool does: over all key types and flags, whole and damaged."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from imgtool_images import CODE, SIGNING, Workshop

from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.evidence.keys import load_decrypt_key, load_verify_key
from h5diag.layout import parse_flash_layout
from h5diag.measure.firmware import (
    Action,
    BodyKind,
    Check,
    Flag,
    State,
    TlvType,
    Verification,
    boot_states,
    find_images,
    open_body,
    parse_header,
    verify_image,
)
from h5diag.memory import MemoryImage

COMPRESSIBLE = bytes(range(32)) * 200
PLAIN = {
    "bare": ((), ""),
    "sha384": (("--sha", "384"), ""),
    "sha512": (("--sha", "512"), ""),
    "rsa-2048": ((), "rsa-2048"),
    "rsa-3072": ((), "rsa-3072"),
    "p256": ((), "ecdsa-p256"),
    "p384": ((), "ecdsa-p384"),
    "ed25519": ((), "ed25519"),
    "ed25519-sha512": (("--sha", "512"), "ed25519"),
    "ed25519-pure": (("--pure",), "ed25519"),
    "full-key": (("--public-key-format", "full"), "ecdsa-p256"),
    "padded-signature": (("--pad-sig",), "ecdsa-p256"),
    "counter": (("-s", "auto"), "ecdsa-p256"),
    "depends": (("-d", "(0, 1.0.0+0),(1, 2.1.0)"), "rsa-2048"),
    "record": (("--boot-record", "SPE"), "ecdsa-p256"),
    "custom": (("--custom-tlv", "0xa0", "0x0102", "--custom-tlv", "0x10a1", "text"), "ecdsa-p256"),
    "uuid": (("--vid", "example.org", "--cid", "board"), "ecdsa-p256"),
    "ram-load": (("-L", "0x20000000"), "ecdsa-p256"),
    "rom-fixed": (("-F", "0x8018000"), "ecdsa-p256"),
    "non-bootable": (("--non-bootable",), "ecdsa-p256"),
    "pad": (("--pad", "--overwrite-only", "--align", "8"), "ecdsa-p256"),
    "confirm": (("--confirm", "--align", "16", "-M", "4"), "ecdsa-p256"),
    "test": (("--test", "--align", "32", "-M", "4"), "ecdsa-p256"),
    "erased-zero": (("--pad", "-R", "0", "-M", "4"), "ecdsa-p256"),
    "lzma2": (("--compression", "lzma2"), "ecdsa-p256"),
    "lzma2thumb": (("--compression", "lzma2armthumb"), "ecdsa-p256"),
    "big-endian": (("-e", "big"), "ecdsa-p256"),
}
CLEAR = {
    "init-p256": (("-c",), "ecdsa-p256", "ecdsa-p256"),
    "init-x25519": (("-c",), "ed25519", "x25519"),
    "init-rsa": (("-c",), "rsa-2048", "rsa-2048"),
    "init-aes256": (("-c", "--encrypt-keylen", "256"), "ecdsa-p256", "ecdsa-p256"),
    "init-x25519-512": (("-c", "--hmac-sha", "512"), "ed25519", "x25519"),
    "init-pure": (("-c", "--pure"), "ed25519", "x25519"),
}
ENCRYPTED = {
    "p256": ((), "ecdsa-p256", "ecdsa-p256"),
    "p256-aes256": (("--encrypt-keylen", "256"), "ecdsa-p256", "ecdsa-p256"),
    "p256-unsigned": ((), "", "ecdsa-p256"),
    "p256-counter": (("-s", "7"), "ecdsa-p256", "ecdsa-p256"),
    "rsa": ((), "rsa-2048", "rsa-2048"),
    "rsa-aes256": (("--encrypt-keylen", "256"), "rsa-2048", "rsa-2048"),
    "x25519": ((), "ed25519", "x25519"),
    "x25519-aes256": (("--encrypt-keylen", "256"), "ed25519", "x25519"),
    "x25519-hmac512": (("--hmac-sha", "512"), "ed25519", "x25519"),
    "x25519-hmac512-aes256": (("--hmac-sha", "512", "--encrypt-keylen", "256"), "ed25519", "x25519"),
    "x25519-sha512": (("--sha", "512"), "ed25519", "x25519"),
    "pure": (("--pure",), "ed25519", "x25519"),
    "lzma2": (("--compression", "lzma2"), "ecdsa-p256", "ecdsa-p256"),
    "padded": (("--pad", "--overwrite-only", "--align", "8"), "ecdsa-p256", "ecdsa-p256"),
    "save-enctlv": (("--pad", "--save-enctlv", "-M", "4"), "ecdsa-p256", "ecdsa-p256"),
}


def ours(workshop: Workshop, image: bytes, *keys: str, decrypt: str = "") -> Verification | None:
    """Return what is said of the image at the start of the file, None when there is none."""
    found = [i for i in find_images(MemoryImage.from_bytes(image, 0)) if i.address == 0]
    if not found:
        return None
    decrypting = [load_decrypt_key(workshop.key(decrypt))] if decrypt else []
    return verify_image(found[0], image, [load_verify_key(workshop.public(k)) for k in keys], decrypting)


def accepted(result: Verification | None) -> bool:
    return result is not None and result.accepted


def make(workshop: Workshop, name: str) -> tuple[bytes, str]:
    options, key, *encrypt = PLAIN[name] if name in PLAIN else CLEAR[name]
    payload = COMPRESSIBLE if "lzma" in name else CODE
    return workshop.sign(*options, key=key, encrypt=encrypt[0] if encrypt else "", payload=payload), key


@pytest.mark.parametrize("name", [*PLAIN, *CLEAR])
def test_plain_images_are_accepted_and_refused_as_by_imgtool(workshop: Workshop, name: str) -> None:
    image, key = make(workshop, name)
    choices = ["", *SIGNING, *((f"{key}-other",) if key else ())]
    opinions = {c: workshop.accepts(image, c) for c in choices}
    assert {c: accepted(ours(workshop, image, *((c,) if c else ()))) for c in choices} == opinions
    assert opinions[key] is (name != "big-endian")
    result = ours(workshop, image, *((key,) if key else ()))
    if name != "big-endian":
        assert result is not None
        assert result.hash is Check.VALID
        assert result.body.kind is BodyKind.PLAIN
        assert result.decrypted_hash is Check.NOT_CHECKED
        assert result.signature is (Check.VALID if key else Check.NOT_CHECKED)
        assert result.signer == (f"{key}.pub.pem" if key else "")


@pytest.mark.parametrize(
    "name",
    [
        "bare",
        "sha512",
        "rsa-2048",
        "p256",
        "p384",
        "ed25519",
        "ed25519-pure",
        "counter",
        "custom",
        "depends",
        "init-p256",
        "init-pure",
        "init-x25519-512",
        "lzma2",
    ],
)
def test_damaged_images_are_refused_as_by_imgtool(workshop: Workshop, name: str) -> None:
    image, key = make(workshop, name)
    rng = np.random.default_rng(list(name.encode()))
    tlv_at = len(image) - 700 if len(image) > 1400 else 0
    spots = [*range(32), *rng.integers(32, len(image), 24).tolist(), *rng.integers(tlv_at, len(image), 160).tolist()]
    for spot in spots:
        damaged = bytearray(image)
        damaged[spot] ^= int(rng.integers(1, 256))
        for k in {"", key}:
            result = ours(workshop, bytes(damaged), *((k,) if k else ()))
            assert accepted(result) == workshop.accepts(bytes(damaged), k), f"byte {spot:#x} with key {k!r}"


@pytest.mark.parametrize("name", ["bare", "p256", "ed25519-pure", "init-p256", "init-pure", "counter"])
def test_truncated_at_every_byte_is_refused_as_by_imgtool(workshop: Workshop, name: str) -> None:
    options, key, *encrypt = PLAIN[name] if name in PLAIN else CLEAR[name]
    image = workshop.sign(*options, key=key, encrypt=encrypt[0] if encrypt else "", payload=CODE[:100])
    for size in range(len(image) + 1):
        part = image[:size]
        for k in {"", key}:
            assert accepted(ours(workshop, part, *((k,) if k else ()))) == workshop.accepts(part, k), f"{size} bytes"


@pytest.mark.parametrize("name", ENCRYPTED)
def test_encrypted_images(workshop: Workshop, name: str) -> None:
    options, key, encrypt = ENCRYPTED[name]
    payload = COMPRESSIBLE if "lzma" in name else CODE
    image = workshop.sign(*options, key=key, encrypt=encrypt, payload=payload)
    assert not workshop.accepts(image)
    keys = (key,) if key else ()

    closed = ours(workshop, image, *keys)
    assert closed is not None
    assert closed.body.kind is BodyKind.ENCRYPTED
    assert closed.hash is Check.NOT_CHECKED
    assert closed.decrypted_hash is Check.NOT_CHECKED
    assert closed.signature is (Check.VALID if key and name != "pure" else Check.NOT_CHECKED)
    assert not closed.accepted

    other = ours(workshop, image, *keys, decrypt=f"{encrypt}-other")
    assert other is not None
    assert other.hash is Check.NOT_CHECKED

    opened = ours(workshop, image, *keys, decrypt=encrypt)
    assert opened is not None
    assert opened.hash is opened.decrypted_hash is Check.VALID
    assert opened.signature is (Check.VALID if key else Check.NOT_CHECKED)
    assert opened.accepted

    damaged = bytearray(image)
    damaged[0x20 + 33] ^= 1
    broken = ours(workshop, bytes(damaged), *keys, decrypt=encrypt)
    assert broken is not None
    assert broken.hash is broken.decrypted_hash is Check.INVALID
    assert not broken.accepted
    unseen = ours(workshop, bytes(damaged), *keys)
    assert unseen is not None
    assert unseen.hash is Check.NOT_CHECKED


def test_wrong_key_is_named(workshop: Workshop) -> None:
    image = workshop.sign(key="ecdsa-p256")
    result = ours(workshop, image, "ecdsa-p256-other")
    assert result is not None
    assert result.hash is Check.VALID
    assert result.signature is Check.INVALID
    assert result.other_signer
    both = ours(workshop, image, "ecdsa-p256-other", "ed25519", "ecdsa-p256")
    assert both is not None
    assert both.signature is Check.VALID


def test_key_hash_of_another_key_is_a_remark(workshop: Workshop) -> None:
    image = workshop.sign(key="ecdsa-p256")
    stored = load_verify_key(workshop.public("ecdsa-p256")).hashes[0]
    damaged = image.replace(stored, bytes(32))
    assert workshop.accepts(damaged, "ecdsa-p256")
    result = ours(workshop, damaged, "ecdsa-p256")
    assert result is not None
    assert result.accepted
    assert any("another key" in r for r in result.remarks)


def test_primary_only_image_of_st(workshop: Workshop) -> None:
    """ST signs with flag 0x2 set and 0x4 clear, then sets 0x4 (H503)."""
    image = bytearray(workshop.sign(key="ecdsa-p256", encrypt="ecdsa-p256"))
    opened = ours(workshop, bytes(image), decrypt="ecdsa-p256")
    assert opened is not None
    plain = bytearray(workshop.sign())
    plain[16] = 0x02
    size = 0x20 + len(CODE)
    plain[size + 8 : size + 40] = hashlib.sha256(plain[:size]).digest()
    plain[16] = 0x06
    result = ours(workshop, bytes(plain))
    assert result is not None
    assert result.hash is Check.VALID
    assert any("primary-only" in r for r in result.remarks)


def test_an_encrypted_primary_only_download_of_st(workshop: Workshop) -> None:
    """As boards without TrustZone ship their data image: hashed with the encrypted flag cleared, then encrypted."""
    signed = bytearray(workshop.sign(key="ecdsa-p256", encrypt="ecdsa-p256", payload=bytes(range(32)), header=0x20))
    image = find_images(MemoryImage.from_bytes(bytes(signed), 0))[0]
    keys = [load_decrypt_key(workshop.key("ecdsa-p256"))]
    plain = open_body(image, bytes(signed), keys)
    assert plain == bytes(range(32))
    signed[16:20] = (Flag.ENCRYPTED_AES128 | Flag.PRIMARY_ONLY).to_bytes(4, "little")
    cleared = signed[:16] + Flag.PRIMARY_ONLY.to_bytes(4, "little") + signed[20:32] + plain
    record = next(r for r in image.tlvs.plain if r.type == TlvType.SHA256)
    protected = bytes(signed[image.header.tlv_offset : image.tlvs.hashed_size])
    signed[record.offset + 4 : record.offset + 36] = hashlib.sha256(bytes(cleared) + protected).digest()
    other = find_images(MemoryImage.from_bytes(bytes(signed), 0))[0]
    found = verify_image(other, bytes(signed), decrypt_keys=keys)
    assert (found.hash, found.decrypted_hash) == (Check.VALID, Check.VALID)
    # Its boot loader decrypts it where it stands: it is no download that lies in the wrong slot.
    areas = "#define MCUBOOT_PRIMARY_ONLY\n#define FLASH_AREA_0_OFFSET 0x12000\n#define FLASH_AREA_0_SIZE 0x4000\n"
    layout = parse_flash_layout(areas, chip=load_chip("stm32h503rb"))
    flash = np.full(0x4000, 0xFF, np.uint8)
    flash[: len(signed)] = np.frombuffer(bytes(signed), np.uint8)
    for given, action in ((keys, Action.STARTS_PRIMARY), ([], Action.UNKNOWN)):
        board = boot_states(MemoryImage.from_bytes(flash, 0x08012000), layout, decrypt_keys=given)
        assert board.next_boot[0].action is action
        assert board.slots[0].state is (State.INSTALLED if given else State.UNKNOWN)
    signed[16:20] = Flag.ENCRYPTED_AES128.to_bytes(4, "little")
    found = verify_image(find_images(MemoryImage.from_bytes(bytes(signed), 0))[0], bytes(signed), decrypt_keys=keys)
    assert found.decrypted_hash is Check.INVALID


def test_a_record_of_65535_bytes_and_a_big_endian_header_get_a_sentence(workshop: Workshop) -> None:
    image = bytearray(workshop.sign(payload=b"x" * 64, header=0x20) + bytes(0x12000))
    at = find_images(MemoryImage.from_bytes(bytes(image), 0))[0].header.tlv_offset + 4
    image[at : at + 4] = (TlvType.SECURITY_COUNTER | 0xFFFF << 16).to_bytes(4, "little")
    found = find_images(MemoryImage.from_bytes(bytes(image), 0))[0]
    assert any("longer than its area" in p for p in found.problems)
    assert found.tlvs.records[0].number is None
    with pytest.raises(InputError, match="big-endian"):
        parse_header(bytes.fromhex("96f3b83d") + bytes(28))
