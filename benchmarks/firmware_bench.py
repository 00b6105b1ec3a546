"""How long parsing, hashing and verifying a 2 MB dump with eight images takes, against hashing the dump once.

Also the hostile dump: 100,000 false magics. Prints one line per measurement; ``--json`` for programs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from imgtool.main import imgtool

from h5diag.evidence.keys import load_verify_key
from h5diag.layout import load_layout
from h5diag.measure.firmware import Check, examine_images, find_images
from h5diag.memory import MemoryImage

SIZE = 2 << 20
SLOT = SIZE // 8


def run(*arguments: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        imgtool.main(list(arguments), standalone_mode=False)


def make_dump(folder: Path, kind: str) -> tuple[MemoryImage, Path]:
    """Return a dump with eight signed images and the public key."""
    key, public = folder / f"{kind}.pem", folder / f"{kind}.pub.pem"
    run("keygen", "-t", kind, "-k", str(key))
    run("getpub", "-k", str(key), "-e", "pem", "-o", str(public))
    dump = bytearray()
    for i in range(8):
        (folder / "body.bin").write_bytes(np.random.default_rng(i).integers(0, 64, SLOT - 0x2000, np.uint8).tobytes())
        run(
            "sign",
            "-k",
            str(key),
            "-v",
            f"1.0.{i}",
            "-H",
            "0x400",
            "--pad-header",
            "-S",
            hex(SLOT),
            "--align",
            "8",
            "--overwrite-only",
            "--pad",
            str(folder / "body.bin"),
            str(folder / "image.bin"),
        )
        dump += (folder / "image.bin").read_bytes()
    return MemoryImage.from_bytes(bytes(dump), 0x08000000), public


def best(work: Callable[[], object], rounds: int) -> float:
    """Return the shortest of `rounds` processor times, in seconds: other programs on the machine do not count."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in ("ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "ed25519"):
            dump, public = make_dump(Path(name), kind)
            keys = [load_verify_key(public)]
            content = dump.read(dump.span.start, dump.span.stop)
            algorithm = hashlib.sha384 if kind == "ecdsa-p384" else hashlib.sha256
            images = examine_images(dump, verify_keys=keys)
            assert len(images) == 8, len(images)
            assert all(i.verification.signature is Check.VALID for i in images)
            once = best(lambda c=content, a=algorithm: a(c).digest(), options.runs)
            work = best(lambda d=dump, k=keys: examine_images(d, verify_keys=k), options.runs)
            results[f"{kind} hash once (ms)"] = once * 1e3
            results[f"{kind} examine (ms)"] = work * 1e3
            results[f"{kind} ratio"] = work / once
    hostile = np.frombuffer(np.random.default_rng(options.seed).bytes(SIZE), np.uint8).copy()
    for at in range(0, SIZE - 32, 20):
        hostile[at : at + 4] = (0x3D, 0xB8, 0xF3, 0x96)
    layout = load_layout("oemirot-2m-overwrite")
    image = MemoryImage.from_bytes(hostile, 0x08000000)
    results["100,000 false magics, find (ms)"] = best(lambda: find_images(image), 3) * 1e3
    results["100,000 false magics, examine (ms)"] = best(lambda: examine_images(image, layout=layout), 3) * 1e3
    results["peak memory (MB)"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for label, value in results.items():
        print(f"{label:36} {value:10.2f}")
    print(f"on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
