"""Fuzz everything that reads images and keys: no input may do more than an `InputError`.

With atheris it is guided by coverage; without, seeded mutation of the same inputs:
``python tests/fuzz/fuzz_images.py --runs 20000 --seed 1``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import struct
import sys
import time
from collections.abc import Iterator

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from h5diag.errors import InputError
from h5diag.evidence.keys import DecryptKey, VerifyKey, parse_decrypt_key, parse_verify_key
from h5diag.layout import load_layout
from h5diag.measure.firmware import (
    Check,
    boot_states,
    examine_images,
    find_vector_tables,
    parse_trailer,
)
from h5diag.memory import MemoryImage

LAYOUTS = tuple(load_layout(n) for n in ("oemirot-2m-overwrite", "oemirot-2m-swap"))
BASES = (0x08000000, 0x08018000, 0x0C018000, 0x080BE000, 0x0C028000)


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


PEMS = (
    pem(ec.derive_private_key(12345, ec.SECP256R1())),
    pem(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))),
    pem(x25519.X25519PrivateKey.from_private_bytes(bytes(32))),
)
VERIFY: tuple[VerifyKey, ...] = tuple(parse_verify_key(p) for p in PEMS[:2])
DECRYPT: tuple[DecryptKey, ...] = (parse_decrypt_key(PEMS[0]), parse_decrypt_key(PEMS[2]), parse_decrypt_key(bytes(16)))


def seed_image(flags: int = 4, magic: int = 0x96F3B83D) -> bytes:
    """Return an image with every record that anything looks at."""
    protected = struct.pack("<HHIHH12s", 0x50, 4, 7, 0x40, 12, bytes((1, 0, 0, 0, 1)) + bytes(7))
    protected = struct.pack("<HH", 0x6908, len(protected) + 4) + protected
    header = struct.pack("<IIHHIIBBHII", magic, 0, 64, len(protected), 256, flags, 1, 2, 3, 4, 0)
    signed = header + b"\xff" * 32 + bytes(range(256)) + protected
    records = b"".join(
        struct.pack("<HH", kind, len(value)) + value
        for kind, value in (
            (0x10, hashlib.sha256(signed).digest()),
            (0x01, VERIFY[0].hashes[0]),
            (0x22, b"\x30\x46" + bytes(70)),
            (0x24, bytes(64)),
            (0x32, b"\x04" + bytes(112)),
            (0x33, bytes(80)),
            (0x31, bytes(24)),
        )
    )
    image = signed + struct.pack("<HH", 0x6907, len(records) + 4) + records
    return image + b"\xff" * (-len(image) % 16 + 64) + bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")


SEEDS = (seed_image(), seed_image(0), seed_image(6), seed_image(0x28, 0x55F7394E), *PEMS)


def one(data: bytes) -> None:
    """Read `data` in every way; raises when something other than a clean result comes of it."""
    choice = data[-1] if data else 0
    for key in (parse_verify_key, parse_decrypt_key):
        with contextlib.suppress(InputError):
            key(data)
    parse_trailer(data, program_unit=16)
    memory = MemoryImage.from_bytes(data, BASES[choice % len(BASES)])
    layout = LAYOUTS[choice >> 4 & 1]
    images = examine_images(memory, layout=layout, verify_keys=VERIFY, decrypt_keys=DECRYPT)
    boot_states(memory, layout, examined=images)
    find_vector_tables(memory, layout.chip)
    for i in images:
        if i.verification.hash is Check.VALID and i.verification.decrypted_hash is not Check.VALID:
            start = i.image.address - memory.span.start
            signed = bytearray(data[start : start + i.image.tlvs.hashed_size])
            if any("primary-only" in r for r in i.verification.remarks):
                signed[16] &= ~4
            digests = {hashlib.new(a, signed).digest() for a in ("sha256", "sha384", "sha512")}
            assert i.verification.digest in digests, "a hash was called valid that is not"


def mutated(seed: int, runs: int) -> Iterator[bytes]:
    """Yield `runs` inputs: the seeds with bytes changed, cut, doubled or spliced."""
    rng = np.random.default_rng(seed)
    for _ in range(runs):
        data = bytearray(SEEDS[int(rng.integers(len(SEEDS)))])
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(len(data) + 1))
            match int(rng.integers(6)):
                case 0:
                    data[at : at + 1] = rng.bytes(1)
                case 1:
                    word = int(rng.choice([0, 1, 0xFFFF, 0xFFFFFFFF, 0x80000000, 0x69076908]))
                    data[at : at + 4] = word.to_bytes(4, "little")
                case 2:
                    del data[at:]
                case 3:
                    data[at:at] = data[: int(rng.integers(len(data) + 1))]
                case 4:
                    data[at:at] = rng.bytes(int(rng.integers(40)))
                case _:
                    data = data[:at] + bytearray(SEEDS[int(rng.integers(len(SEEDS)))])
            data = data[: 1 << 16]
        yield bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        begun = time.monotonic()
        for data in mutated(options.seed, options.runs):
            try:
                one(data)
            except BaseException:
                sys.stderr.write(f"fails on {data.hex()}\n")
                raise
        print(f"fuzz_images: {options.runs} inputs, seed {options.seed}, {time.monotonic() - begun:.0f} s, no failure")
        return
    for data in mutated(options.seed, options.runs // 10):
        one(data)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-runs={options.runs}", f"-seed={options.seed}", "-max_len=65536"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
