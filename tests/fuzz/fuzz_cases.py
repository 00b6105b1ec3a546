"""Fuzz whole case folders, kind by kind: case.toml, records, sidecars, layouts, loaders, their logs, keys, wire answers.

Structure-aware: a sound file of the kind with a few keys, values, lines or bytes changed for odd ones. No input may do
more than raise an `H5DiagError`, nor take more than 5 s or 500 MB. Resumable: with ``--state FILE`` the next runs go on
with the seeds that were not used yet, and failing inputs are kept beside it.

``python tests/fuzz/fuzz_cases.py --runs 20000 [--kind sidecar] [--state .fuzz/cases.json]``
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
from kinds import MORE, MORE_COST

from h5diag.case import load_case
from h5diag.case.intake import sort_evidence, write_case
from h5diag.case.results import parse_flashtest, parse_identity, parse_sweep
from h5diag.errors import H5DiagError
from h5diag.evidence.files import read_image, write_image
from h5diag.evidence.files.sidecar import sidecar_path
from h5diag.evidence.keys import load_decrypt_key, load_verify_key
from h5diag.evidence.samples import data_folder
from h5diag.judge import diagnose
from h5diag.layout import load_layout
from h5diag.measure.loader.loaderfile import parse_loader
from h5diag.measure.loader.vb3 import parse_log as parse_loader_log
from h5diag.memory import MemoryImage

MOST_SECONDS, MOST_BYTES = 5.0, 500 << 20
os.fsync = lambda descriptor: None  # the patience of a disk is not what is tried
DATA = data_folder()
ODD = (
    *(
        "0",
        "-1",
        "true",
        "null",
        '""',
        "[]",
        "{}",
        "nan",
        "1e400",
        "9" * 40,
        "9" * 5000,
        "0x" + "f" * 300,
        '"\\u202e\\u0000"',
    ),
    *(
        '"0x08000000"',
        "[[0, 1]]",
        "[[1, 0]]",
        '[["a"]]',
        '{"value": []}',
        '"../../etc/passwd"',
        '"/dev/zero"',
        '"stm32u585ai"',
    ),
    *("4294967295", "18446744073709551615", "0.1", '"unknown"', '"' + "x" * 3000 + '"', "[" * 200 + "]" * 200),
)
TOML = """title = "fuzz"
chip = "stm32h563zi"
layout = "oemirot-2m-overwrite"
boot_loader = "st"
boot_mode = "overwrite"
[good]
name = "good"
dumps = ["good.bin"]
base = 134217728
access = "secure"
mode = "hotplug"
options = "ob.txt"
[suspect]
name = "bad"
dumps = ["bad.bin"]
later = ["bad.bin"]
after_da = false
resets_since_flash = 3
tool = "x"
marking = "STM32H563ZIT6"
log = ["log.txt"]
info = "info.json"
flashtest = "flashtest.json"
sweep = "sweep.json"
registers = "regs.txt"
uart = "uart.txt"
[provisioning]
package = "1.3.0"
logs = ["log.txt"]
[[images]]
file = "app.bin"
base = 135061504
[loader]
file = "l.stldr"
log = "vb3.txt"
[keys]
verify = ["pub.pem"]
decrypt = ["key.pem"]
"""
SIDECAR = {
    "base": 0x0800_0000,
    "holes": [[0x0800_0100, 0x0800_0200]],
    "unread": [],
    "unstable": [[0x0800_0300, 0x0800_0310]],
    "access": "secure",
    "mode": "hotplug",
    "chip": "stm32h563zi",
    "time": "2026-01-02",
    "passes": 2,
    "swd_hz": 4_000_000,
    "uid": "00" * 12,
    "tool": "x",
    "sha256": "ab" * 32,
    "remarks": ["a"],
}
SWEEP = {
    "sweep": [
        {"swd_hz": 1_000_000, "bytes": 4096, "disagreeing": 0},
        {"swd_hz": 8_000_000, "bytes": 4096, "disagreeing": 9},
    ]
}


def scene(folder: Path) -> dict[str, bytes]:
    """Return the sound files of a small case, by name."""
    content = bytes(range(256)) * 16
    loader = next((DATA / "loaders").glob("h5-good.stldr")).read_bytes()
    log = next((DATA / "loaders" / "logs").rglob("*.txt")).read_bytes()
    layout = b"".join(
        b"#define FLASH_AREA_%d_%s (0x%X)\n" % (i, w, 0x2000 * (i + 1)) for i in range(3) for w in (b"OFFSET", b"SIZE")
    )
    return {
        "case.toml": TOML.encode(),
        "good.bin": content,
        "bad.bin": content[:2048] + bytes(1024) + content[3072:],
        "bad.bin.map.json": json.dumps(SIDECAR).encode(),
        "app.bin": content[:999],
        "ob.txt": (DATA / "founding" / "good-ob.txt").read_bytes(),
        "log.txt": (DATA / "founding" / "good-log.txt").read_bytes(),
        "info.json": (DATA / "defect" / "info.json").read_bytes(),
        "flashtest.json": (DATA / "defect" / "flashtest.json").read_bytes(),
        "sweep.json": json.dumps(SWEEP).encode(),
        "regs.txt": b"0x40022020 : 00000000 12345678\nOPSR = 0x20000123\n",
        "uart.txt": b"[INF] Starting bootloader\n[INF] Swap type: none\n[ERR] Unable to find bootable image\n",
        "l.stldr": loader,
        "vb3.txt": log[:20_000],
        "pub.pem": (DATA / "keys" / "sign-p256-pub.pem").read_bytes(),
        "key.pem": (DATA / "keys" / "encrypt-p256.pem").read_bytes(),
        "flash_layout.h": layout,
    }


FOLDER = Path(tempfile.mkdtemp(prefix="h5diag-fuzz-"))
SCENE = scene(FOLDER)


def odd_json(rng: random.Random, text: str) -> str:
    """Change a few values, keys or borders of a JSON (or TOML) text."""
    for _ in range(rng.randint(1, 5)):
        marks = [i for i, c in enumerate(text) if c in ":=,[]{}\n"]
        if not marks:
            break
        at = rng.choice(marks)
        stop = next((m for m in marks if m > at), len(text))
        match rng.randrange(5):
            case 0 | 1:
                text = text[: at + 1] + " " + rng.choice(ODD) + text[stop:]
            case 2:
                text = text[:at] + text[stop:]
            case 3:
                text = text[:at] + text[at:stop] * rng.choice((2, 20)) + text[stop:]
            case _:
                text = (
                    text[: rng.randrange(len(text))]
                    if rng.random() < 0.3
                    else text[:at] + rng.choice("\x00\x1b{}[]\"'\\") + text[at:]
                )
    return text[: 1 << 18]


def odd_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change a few bytes, words or borders of a binary or text file."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(6):
            case 0:
                out[at : at + 1] = rng.randbytes(1)
            case 1:
                out[at : at + 4] = rng.choice(
                    (b"\xff" * 4, bytes(4), b"\0\0\0\x80", b"\xff\xff\xff\x7f", rng.randbytes(4))
                )
            case 2:
                del out[at : at + rng.randint(1, 64)]
            case 3:
                out[at:at] = bytes(out[at : at + rng.randint(1, 40)]) * rng.choice((2, 30))
            case 4:
                out[at:at] = rng.choice(
                    (b" " * 300, b"\n" * 300, b"0" * 300, b": 0x", b"-el ", b"SN ", b"\x1b[2J", b"\xff\xfe")
                )
            case _:
                del out[at:]
    return bytes(out[: 1 << 18])


def written(name: str, data: bytes) -> Path:
    path = FOLDER / "one" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def case_with(name: str, data: bytes) -> None:
    folder = FOLDER / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file, content in (SCENE | {name: data}).items():
        (folder / file).write_bytes(content)
    diagnose(load_case(folder))


def sidecar(data: bytes) -> None:
    path = written("a.bin", SCENE["bad.bin"])
    sidecar_path(path).write_bytes(data)
    image: MemoryImage = read_image(path)
    write_image(image, FOLDER / "one" / "b.bin") if image.size else None


def intake(data: bytes) -> None:
    drop, out = FOLDER / "drop", FOLDER / "out"
    for folder in (drop, out):
        shutil.rmtree(folder, ignore_errors=True)
    drop.mkdir()
    for file in ("good.bin", "bad.bin", "ob.txt"):
        (drop / file).write_bytes(SCENE[file])
    (drop / "odd.txt").write_bytes(data)
    (drop / "odd.hex").write_bytes(data)
    write_case(sort_evidence([drop]), out)
    load_case(out)


def text(name: str) -> str:
    return SCENE[name].decode("utf-8", "replace")


KINDS: dict[str, tuple[Callable[[random.Random], bytes], Callable[[bytes], object]]] = {
    "case.toml": (lambda r: odd_json(r, TOML).encode("utf-8", "replace"), lambda d: case_with("case.toml", d)),
    "whole case": (lambda r: odd_bytes(r, SCENE[NAME[0]]), lambda d: case_with(NAME[0], d)),
    "sidecar": (lambda r: odd_json(r, json.dumps(SIDECAR)).encode("utf-8", "replace"), sidecar),
    "identity": (
        lambda r: odd_json(r, text("info.json")).encode("utf-8", "replace"),
        lambda d: parse_identity(d.decode("utf-8", "replace"), "f"),
    ),
    "flash test": (
        lambda r: odd_json(r, text("flashtest.json")[:4000]).encode("utf-8", "replace"),
        lambda d: parse_flashtest(d.decode("utf-8", "replace"), "f"),
    ),
    "sweep": (
        lambda r: odd_json(r, json.dumps(SWEEP)).encode("utf-8", "replace"),
        lambda d: parse_sweep(d.decode("utf-8", "replace"), "f"),
    ),
    "layout": (lambda r: odd_bytes(r, SCENE["flash_layout.h"]), lambda d: load_layout(written("flash_layout.h", d))),
    "loader": (lambda r: odd_bytes(r, SCENE["l.stldr"]), lambda d: parse_loader(d, "f")),
    "loader log": (
        lambda r: odd_bytes(r, SCENE["vb3.txt"]),
        lambda d: parse_loader_log(d.decode("utf-8", "replace"), "f"),
    ),
    "key": (
        lambda r: odd_bytes(r, SCENE["key.pem"]),
        lambda d: (load_verify_key(written("k.pem", d)), load_decrypt_key(written("k.pem", d))),
    ),
    "intake": (
        lambda r: odd_bytes(r, SCENE[r.choice(("log.txt", "ob.txt", "regs.txt", "uart.txt", "info.json"))]),
        intake,
    ),
    **MORE,
}
COST = {"whole case": 5, "intake": 5} | MORE_COST
"""How many runs of a quick kind one of these costs."""

NAME = ["ob.txt"]
OWN = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""What the interpreter and the libraries take before the first input."""


def run(kind: str, seeds: range) -> int:
    """Run the inputs of some seeds; returns how many failed, each told and kept."""
    make, use = KINDS[kind]
    names = sorted(n for n in SCENE if n not in ("case.toml", "flash_layout.h"))
    failed = 0
    for seed in seeds:
        rng = random.Random(f"{kind} {seed}")
        NAME[0] = rng.choice(names)
        data = make(rng)
        begun = time.process_time()
        wrong = ""
        try:
            use(data)
        except H5DiagError as error:
            if "\n" in str(error):
                wrong = "an error of more than a line"
        except KeyboardInterrupt:
            raise
        except BaseException:
            wrong = traceback.format_exc()
        if (took := time.process_time() - begun) > MOST_SECONDS:
            wrong += f"{took:.1f} s"
        if (peak := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) > MOST_BYTES + OWN:
            raise SystemExit(f"{kind}, seed {seed}: {peak >> 20} MiB, the interpreter's own included")
        if wrong:
            kept = Path(tempfile.gettempdir()) / f"h5diag-fuzz-{kind.replace(' ', '-')}-{seed}"
            kept.write_bytes(data)
            sys.stderr.write(f"{kind}, seed {seed} ({NAME[0]}), kept as {kept}: {wrong}\n")
            failed += 1
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000, help="inputs of each quick kind")
    parser.add_argument("--seed", type=int, default=0, help="first seed, where there is no state")
    parser.add_argument("--kind", choices=sorted(KINDS))
    parser.add_argument("--state", type=Path, help="file that remembers which seeds were used")
    options = parser.parse_args()
    done: dict[str, int] = json.loads(options.state.read_text()) if options.state and options.state.exists() else {}
    failed = 0
    try:
        for kind in [options.kind] if options.kind else KINDS:
            first, count = done.get(kind, options.seed), max(1, options.runs // COST.get(kind, 1))
            before = failed
            for part in range(first, first + count, 500):
                stop = min(part + 500, first + count)
                failed += run(kind, range(part, stop))
                done[kind] = stop
                if options.state:
                    options.state.parent.mkdir(parents=True, exist_ok=True)
                    options.state.write_text(json.dumps(done, indent=1) + "\n")
            how = f"{failed - before} failures" if failed > before else "no failure"
            print(f"fuzz_cases: {kind}: seeds {first} to {first + count - 1}, {how}", flush=True)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
