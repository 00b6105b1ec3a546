"""Keys, objects, certificates, passwords and XML: parsed, told apart, and encoded again byte for byte."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import struct

import provisioning_sets as sets
import pytest
from hypothesis import given, strategies as st

from h5diag.errors import InputError
from h5diag.evidence.keys import (
    DESTINATIONS,
    ObkContent,
    chain_breaks,
    looks_like_obk,
    parse_chain,
    parse_key,
    parse_obk,
    parse_password,
    parse_provisioning_xml,
    published,
)

RNG = random.Random("keys")
ROOT, MIDDLE, LEAF, OTHER = (sets.private_key(RNG) for _ in range(4))


def config() -> bytes:
    return sets.spki(ROOT) + b"\0" + sets.spki(MIDDLE) + b"\0" + sets.scalar70(LEAF) + bytes(2)


def stirot(images: int = 1, secure: int = 1, execution: int = 0, download: int = 0x1E0000) -> bytes:
    head = bytes((images, 1, secure, 1)) + struct.pack(
        "<11I", execution, download, 0x20000, 0, 0x2F0, 0x1DE000, 0x2000, 0x6000, 0, 0, 0xED00
    )
    body = head + sets.scalar70(LEAF) + bytes(2) + sets.spki(ROOT) + b"\0" + bytes(1)
    return body.ljust(0xE0, b"\0")


def data_image() -> bytes:
    body = sets.spki(ROOT) + sets.spki(MIDDLE) + sets.scalar70(LEAF)
    protected = struct.pack("<HH", 0x6908, 12) + sets.tlv(0x50, bytes(4))
    head = struct.pack("<IIHHIIBBHII", 0x55F7394E, 0, 0x20, len(protected), len(body), 0, 1, 0, 0, 0, 0)
    hashed = head + body + protected
    records = sets.tlv(0x10, hashlib.sha256(hashed).digest())
    image = hashed + struct.pack("<HH", 0x6907, len(records) + 4) + records
    return image + bytes(-len(image) % 16)


def test_every_kind_of_object_is_told_by_its_content_wherever_it_is_sent():
    payloads = {
        ObkContent.DA: hashlib.sha256(sets.xy(ROOT)).digest() + struct.pack("<I", 0x5077) + bytes(28),
        ObkContent.OEMIROT_CONFIG: config(),
        ObkContent.STIROT_CONFIG: stirot(),
    }
    for content, data in payloads.items():
        for destination in (DESTINATIONS[content], 0x0FFD0400):
            found = parse_obk(sets.obk(destination, data, 1))
            assert (found.content, found.destination, found.flag, found.digest_valid) == (content, destination, 1, True)
            assert not found.problems


def test_objects_are_encoded_again_byte_for_byte():
    for destination, data, flag in (
        (0x0FFD0160, config(), 0),
        (0x0FFD0280, bytes(0xA0), 0),
        (0x0FFD0200, stirot(), 1),
        (0x0FFD0100, hashlib.sha256(b"x").digest() + struct.pack("<I", 0x5077) + bytes(28), 1),
    ):
        raw = sets.obk(destination, data, flag)
        found = parse_obk(raw)
        assert sets.obk(found.destination, raw[44:], found.flag) == raw
        assert found.size + 12 == found.file_size == len(raw)


def test_keys_of_an_object_are_those_that_were_put_in():
    found = parse_obk(sets.obk(0x0FFD0160, config(), 0))
    prints = dict(found.keys)
    assert prints["authentication secure"].spki == hashlib.sha256(sets.spki(ROOT)).hexdigest()
    assert prints["authentication non-secure"].spki == hashlib.sha256(sets.spki(MIDDLE)).hexdigest()
    assert prints["encryption"].spki == hashlib.sha256(sets.spki(LEAF)).hexdigest()
    assert found.decrypt is not None
    assert f"{LEAF.private_numbers().private_value}" not in repr(found)


def test_a_data_image_in_an_object_has_its_own_hash():
    image = data_image()
    raw = struct.pack("<III", 0x0FFD0900, len(image), 1) + image
    found = parse_obk(raw)
    assert (found.content, found.digest_valid, len(found.keys)) == (ObkContent.OEMUROT_CONFIG, True, 3)
    assert not parse_obk(sets.flip(raw, 80)).digest_valid


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: config()[:40] + b"\x55" * 40 + config()[80:], "no point"),
        (lambda: config()[:184] + bytes(72), "no private key"),
        (lambda: stirot(images=3), "number of images"),
        (lambda: stirot(download=0x1000), "does not lie on sectors"),
        (lambda: stirot(download=0x10000), "overlap"),
    ],
)
def test_what_makes_no_sense_inside_is_said(make, words):
    data = make()
    found = parse_obk(sets.obk(0x0FFD0160 if len(data) > 0xE0 else 0x0FFD0200, data, 0))
    assert any(words in p for p in found.problems), found.problems


@pytest.mark.parametrize("form", ["pkcs8", "sec1", "der"])
def test_a_private_key_in_every_form_has_one_fingerprint(form):
    key = parse_key(sets.pem(ROOT, form))
    assert key.private
    assert key.spki == hashlib.sha256(sets.spki(ROOT)).hexdigest()
    assert key.xy == hashlib.sha256(sets.xy(ROOT)).hexdigest()
    assert parse_key(sets.spki(ROOT)).spki == key.spki
    assert not parse_key(sets.spki(ROOT)).private


def test_the_parameters_of_openssl_in_front_of_a_key_are_passed_over():
    block = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert parse_key(block + sets.pem(ROOT, "sec1")).spki == parse_key(sets.pem(ROOT)).spki


def chain(*parts: bytes) -> bytes:
    return base64.b64encode(b"".join(parts))


def test_a_sound_chain_holds_and_each_break_is_named():
    root = sets.certificate(1, ROOT, ROOT)
    middle = sets.certificate(2, MIDDLE, ROOT)
    leaf = sets.certificate(3, LEAF, MIDDLE)
    assert chain_breaks(parse_chain(chain(root, middle, leaf))) == ()
    assert chain_breaks(parse_chain(chain(root, sets.certificate(3, LEAF, ROOT)))) == ()
    wrapped = b"\r\n".join(chain(root, middle, leaf)[i : i + 60] for i in range(0, 1000, 60))
    assert len(parse_chain(wrapped)) == 3
    assert len(parse_chain(root + middle)) == 2
    assert chain_breaks(parse_chain(chain(root, leaf, middle)))[0][0] == 1
    assert (3, "the signature of the leaf was not made by the intermediate's key") in chain_breaks(
        parse_chain(chain(root, middle, sets.certificate(3, LEAF, OTHER)))
    )
    assert chain_breaks(parse_chain(chain(root, middle, sets.flip(leaf, 45))))
    with pytest.raises(InputError, match="certificate 2"):
        parse_chain(chain(root, middle[:100]))


def test_published_values_are_known_by_either_fingerprint():
    assert str(published("05b081d953fa2da7")) == "None"  # a beginning is no fingerprint
    assert "password" in str(published(hashlib.sha256(bytes(range(12))).digest()))
    assert published(hashlib.sha256(sets.spki(ROOT)).hexdigest()) is None


def test_a_password_file_gives_only_its_length_and_hash():
    found = parse_password(sets.password_file(b"sixteen letters!"))
    assert found is not None
    assert (found.length, found.digest) == (16, hashlib.sha256(b"sixteen letters!").digest())
    assert parse_password(bytes(40)) is None
    assert parse_password(sets.password_file(b"abc")[:10]) is None


XML = b"""<Root><Obdata><Info><ObDestAddress>0x0FFD0160</ObDestAddress><DoEncryption>1</DoEncryption></Info>
<File><Name>key a</Name><Value>../Keys/a.pem</Value></File>
<Data><Name>area size</Name><Value>0x20000</Value></Data>
<Output><Value>../Binary/x.obk</Value></Output></Obdata></Root>"""


def test_an_xml_says_what_it_would_make():
    found = parse_provisioning_xml(XML)
    assert (found.makes, found.for_file, found.destination, found.encrypts) == (
        "obk",
        "../Binary/x.obk",
        0x0FFD0160,
        True,
    )
    assert found.keys == (("key a", "../Keys/a.pem"),)
    assert found.value("area size") == 0x20000


def test_an_xml_with_a_document_type_is_refused():
    with pytest.raises(InputError, match="document type"):
        parse_provisioning_xml(b'<!DOCTYPE x [<!ENTITY a "aa">]>' + XML)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_readers(data):
    if looks_like_obk(data):
        parse_obk(data)
    parse_password(data)
    for read in (parse_chain, parse_key, parse_provisioning_xml):
        with contextlib.suppress(InputError):
            read(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_object_never_breaks_the_reader(at, value):
    raw = bytearray(sets.obk(0x0FFD0160, config(), 0))
    raw[at % len(raw)] = value
    for cut in (len(raw), max(at % len(raw), 28)):
        if looks_like_obk(bytes(raw[:cut])):
            parse_obk(bytes(raw[:cut]))
