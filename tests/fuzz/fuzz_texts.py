"""Fuzz everything that reads texts of the programmer: no input may raise, or take more than a second per megabyte.

With atheris it is guided by coverage; without, seeded mutation of the same texts:
``python tests/fuzz/fuzz_texts.py --runs 20000 --seed 1``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
import cubeprog_texts as texts

from h5diag.chip import load_chip
from h5diag.evidence.files import decode_text
from h5diag.evidence.texts import chip_of, parse_listing, parse_log, parse_registers
from h5diag.layout import load_layout
from h5diag.measure.logs import explain_text
from h5diag.measure.options import (
    check_options,
    compare_options,
    decode_listing,
    decode_registers,
    explain_log,
    read_provisioning,
    summary,
)

LAYOUT = load_layout("oemirot-2m-overwrite")
GOOD = decode_listing(parse_listing(texts.h5_listing()), load_chip())
SEEDS = tuple(
    t.encode()
    for t in (
        texts.h5_listing(),
        texts.provisioning_listing(),
        texts.L5_LISTING,
        texts.U5_LISTING,
        texts.EXPORT,
        texts.REGISTERS_COLUMNS,
        texts.REGISTERS_MDW,
        texts.DISCOVERY,
        texts.DISCOVERY_FAILED,
        texts.UART,
        texts.USB,
        texts.provisioning_log(),
        texts.provisioning_log(images="enc", failed_boot=True),
        texts.gui(texts.h5_listing()),
        texts.ansi(texts.h5_listing()),
        texts.forum(texts.BANNER + texts.DISCOVERY),
    )
)
WORDS = (
    b"\x1b[31m",
    b"&lt;",
    b"<br>",
    b"0x",
    b":",
    b"(",
    b")",
    b"\r",
    b"\n",
    b" : ",
    b"\xff\xfe",
    b"\x00",
    b"> ",
    b"0xFFFFFFFFFFFFFFFF",
    b"Error: ",
    b"OPTION BYTES BANK: 3\n",
    b"bitNameToValue",
    b"discovery: ",
    b"-ob A=1 ",
    b"10:22:33:444 : ",
    b"%s{0}${x}",
    "\u202e\u2219\u2028".encode(),
)
FREE_S, PER_MEGABYTE_S = 0.5, 1.0


def one(data: bytes) -> None:
    """Read `data` in every way, in bounded time, and show nothing that a terminal would act upon."""
    begun = time.process_time()
    text = decode_text(data)
    log = parse_log(text)
    listing = parse_listing(text)
    choice = chip_of([log])
    boards = [decode_listing(listing, choice.read_as), decode_registers(parse_registers(text), choice.read_as)]
    explain_log(log, choice.read_as, LAYOUT)
    shown = [str(explain_text(text, layout=LAYOUT)), *map(str, boards)]
    for board in boards:
        summary(board)
        check_options(board, LAYOUT)
        compare_options([GOOD, board])
    read_provisioning(log.programming, choice.read_as, LAYOUT)
    took = time.process_time() - begun
    assert took < FREE_S + PER_MEGABYTE_S * len(data) / 1e6, f"{took:.1f} s for {len(data)} bytes"
    assert all(c.isprintable() or c == "\n" for part in shown for c in part), "an unprintable character is shown"


def mutated(seed: int, runs: int) -> Iterator[bytes]:
    """Yield `runs` inputs: the seeds with bytes changed, cut, repeated, spliced or sprinkled with odd words."""
    rng = random.Random(seed)
    for _ in range(runs):
        data = bytearray(rng.choice(SEEDS))
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(data) + 1)
            match rng.randrange(6):
                case 0:
                    data[at : at + 1] = rng.randbytes(1)
                case 1:
                    data[at : at + rng.randrange(4)] = rng.choice(WORDS)
                case 2:
                    del data[at:]
                case 3:
                    data[at:at] = rng.choice(WORDS) * rng.choice((2, 50, 2000))
                case 4:
                    del data[at : at + rng.randrange(200)]
                case _:
                    other = rng.choice(SEEDS)
                    data[at:] = other[rng.randrange(len(other)) :]
            data = data[: 1 << 17]
        yield bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        atheris = None
    begun = time.monotonic()
    plain = options.runs if atheris is None else options.runs // 10
    for data in mutated(options.seed, plain):
        try:
            one(data)
        except BaseException:
            sys.stderr.write(f"fails on {data.hex()}\n")
            raise
    print(f"fuzz_texts: {plain} inputs, seed {options.seed}, {time.monotonic() - begun:.0f} s, no failure", flush=True)
    if atheris is not None:
        atheris.instrument_all()
        with tempfile.TemporaryDirectory() as corpus:
            for i, data in enumerate(SEEDS):
                Path(corpus, f"seed-{i}").write_bytes(data)
            arguments = [f"-runs={options.runs}", f"-seed={options.seed}", "-max_len=65536", corpus]
            atheris.Setup([sys.argv[0], *arguments], one)
            atheris.Fuzz()


if __name__ == "__main__":
    main()
