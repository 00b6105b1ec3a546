"""Damaged and random loaders, linted and run dry: ``python tests/soak_loader.py --runs 1000 --seed 1``.

Every file must end in findings and a verdict or in one clear line, in bounded time; anything else is printed and
makes the exit status 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from h5diag.errors import InputError
from h5diag.measure.loader.explain import explain
from h5diag.measure.loader.lint import lint
from h5diag.measure.loader.loaderfile import parse_loader
from h5diag.measure.loader.placement import family
from h5diag.measure.loader.vb3 import decode_log, parse_log
from h5diag.sim.dryrun.run import dry_run

LOADERS = Path(__file__).resolve().parents[1] / "data" / "loaders"
LONGEST_S = 20.0


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Flip bytes, cut, or put a hostile number somewhere."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(out))
        match rng.randrange(4):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                out[at] = rng.randrange(256)
            case 2:
                out[at : at + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x00\x00\x00\x80", b"\x04\x00\x00\x20"))
            case 3:
                out[at : at + 16] = rng.randbytes(16)
    return bytes(out[: rng.randrange(len(out))]) if rng.random() < 0.1 else bytes(out)


def one(data: bytes, name: str, trustzone: str) -> str:
    """Return the verdict, or the word for a refused file."""
    try:
        loader = parse_loader(data, name)
        lint(loader, family(name[:2]), trustzone=trustzone)
        return dry_run(loader, family(name[:2]), trustzone=trustzone).verdict.value
    except InputError as error:
        return "refused" if "\n" not in str(error) else f"several lines: {error}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    samples = sorted(LOADERS.glob("*.stldr"))
    logs = [p.read_bytes() for p in sorted((LOADERS / "logs").glob("*.txt"))]
    counts: dict[str, int] = {}
    bad = 0
    for i in range(options.runs):
        rng = random.Random(f"{options.seed}-{i}")
        path = rng.choice(samples)
        begun = time.monotonic()
        try:
            result = one(damaged(path.read_bytes(), rng), path.name, rng.choice(("on", "off", "unknown")))
            explain(parse_log(decode_log(damaged(rng.choice(logs), rng), "log")))
        except InputError:
            result = "log-refused"
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
            bad += 1
            print(f"run {i}, {path.name}: {result}")
        if time.monotonic() - begun > LONGEST_S:
            bad += 1
            print(f"run {i}, {path.name}: took {time.monotonic() - begun:.1f} s")
        bad += result.startswith("several lines")
        counts[result] = counts.get(result, 0) + 1
    print(counts)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
