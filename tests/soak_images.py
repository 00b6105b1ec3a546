"""Accept or refuse as imgtool does, over many images of random make and random damage.

``python tests/soak_images.py --runs 20000 --seed 1`` prints one line; it stops at the first disagreement and
writes the image there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "measure" / "firmware"))

from imgtool_images import SIGNING, Workshop

from h5diag.evidence.keys import load_verify_key
from h5diag.measure.firmware import find_images, verify_image
from h5diag.memory import MemoryImage


def make(workshop: Workshop, rng: np.random.Generator) -> tuple[bytes, str]:
    """Return an image of random make with a plain body, and the kind of key that signed it (empty for none)."""
    key = str(rng.choice(["", *SIGNING]))
    options: list[str] = []
    encrypt = {"ecdsa-p256": "ecdsa-p256", "ed25519": "x25519", "rsa-2048": "rsa-2048"}.get(key, "")
    if encrypt and rng.integers(2):
        options += ["-c", "--encrypt-keylen", str(rng.choice([128, 256]))]
    else:
        encrypt = ""
    for chance, words in (
        (3, ["-s", str(rng.integers(1 << 32))]),
        (4, ["-d", "(1, 1.2.3+4)"]),
        (4, ["--pad"]),
        (5, ["--non-bootable"]),
        (5, ["--custom-tlv", "0xa1", "0x" + rng.bytes(8).hex()]),
        (6, ["--public-key-format", "full"]),
        (6, ["--boot-record", "App"]),
    ):
        if not rng.integers(chance):
            options += words
    if key == "ed25519" and not rng.integers(3):
        options += ["--pure"]
    size = int(rng.integers(1, 3000))
    payload = rng.integers(0, int(rng.choice([4, 60, 256])), size, np.uint8).tobytes()
    return workshop.sign(
        *options, "-M", "2", payload=payload, key=key, encrypt=encrypt, header=int(rng.choice([32, 64, 512]))
    ), key


def damage(image: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(image)
    for _ in range(int(rng.integers(0, 3))):
        # Records stand near the end of what is not padding: half of the damage goes there.
        last = min(len(image.rstrip(b"\xff")), len(data))
        low = max(0, last - 500) if rng.integers(2) else 0
        at = int(rng.integers(low, max(low + 1, last)))
        match int(rng.integers(4)):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                data[at] = int(rng.integers(256))
            case 2:
                del data[at:]
            case _:
                data[at : at + 2] = int(rng.choice([0, 0xFFFF, 0x6907, 0x6908, 0x10, 0x25])).to_bytes(2, "little")
        if not data:
            break
    return bytes(data)


def disagreement(workshop: Workshop, image: bytes, key: str) -> bool:
    found = [i for i in find_images(MemoryImage.from_bytes(image, 0)) if i.address == 0]
    keys = [load_verify_key(workshop.public(key))] if key else []
    ours = bool(found) and verify_image(found[0], image, keys).accepted
    return ours != workshop.accepts(image, key)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, begun, done = np.random.default_rng(options.seed), time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name:
        workshop = Workshop(Path(name))
        while done < options.runs:
            try:
                image, key = make(workshop, rng)
            except click.ClickException:
                continue  # a combination that imgtool does not offer
            for _ in range(25):
                damaged, asked = damage(image, rng), str(rng.choice([key, key, "", *SIGNING]))
                done += 1
                if disagreement(workshop, damaged, asked):
                    Path("soak_images-failure.bin").write_bytes(damaged)
                    print(
                        f"soak_images: disagreement at run {done}, seed {options.seed}, key {asked!r}:"
                        " soak_images-failure.bin"
                    )
                    return 1
    print(f"soak_images: {done} images, seed {options.seed}, {time.monotonic() - begun:.0f} s, no disagreement")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
