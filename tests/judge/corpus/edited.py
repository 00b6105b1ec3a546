"""The second set: the bundled cases, edited. Real compiled code, other hands, never tuned on.

Where the first set draws boards from a model, this one takes the files of ``data/`` and changes them as a person
would make them wrong: moves bytes, drops rows, swaps files, edits a line of a text. It is scored apart.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from intelhex import IntelHex

from .generate import Truth, evidence_table

Rng = np.random.Generator

DATA = Path(__file__).resolve().parents[3] / "data"
SECTOR = 0x2000


class Edit:
    """A bundled case, copied; images and texts by name, written back on `save`."""

    def __init__(self, case: str, folder: Path, rng: Rng) -> None:
        shutil.copytree(DATA / case, folder, dirs_exist_ok=True)
        (folder / "expected.json").unlink()
        self.folder, self.rng = folder, rng
        self.images: dict[str, IntelHex] = {}

    def image(self, name: str) -> IntelHex:
        if name not in self.images:
            self.images[name] = IntelHex(str(self.folder / name))
        return self.images[name]

    def suspects(self) -> list[IntelHex]:
        return [self.image(p.name) for p in sorted(self.folder.glob("suspect*.hex"))]

    def text(self, name: str, pattern: str, new: str) -> None:
        path = self.folder / name
        old = path.read_text("utf-8")
        text, n = re.subn(pattern, new, old, flags=re.MULTILINE)
        assert n, f"{name} has no {pattern}"
        path.write_text(text, "utf-8")

    def drop(self, *names: str) -> None:
        """Take files and their keys out of the case."""
        for name in names:
            (self.folder / name).unlink()
            self.text("case.toml", rf'^\w+ = "{re.escape(name)}"\n', "")

    def add(self, after: str, lines: str) -> None:
        """Put lines into case.toml behind the line that begins with `after` (its last occurrence)."""
        path = self.folder / "case.toml"
        head, tail = path.read_text("utf-8").rsplit(after, 1)
        first, rest = tail.split("\n", 1)
        path.write_text(head + after + first + "\n" + lines + rest, "utf-8")

    def save(self) -> None:
        for name, image in self.images.items():
            with (self.folder / name).open("w", newline="\n") as stream:
                image.write_hex_file(stream, byte_count=64)


def put(image: IntelHex, at: int, data: bytes) -> None:
    """Set bytes that the dump holds; an address that was not read stays unread."""
    known = image.todict()
    for i, byte in enumerate(data):
        if at + i in known:
            image[at + i] = byte


def install_pending(e: Edit) -> None:
    """The sound case with its primary slots moved to the download slots, in both reads."""
    for s in e.suspects():
        for primary, secondary, size in ((0x0C018000, 0x0C0BE000, 0x6000), (0x0C01E000, 0x0C0C4000, 0x1800)):
            slot = s.gets(primary, size)
            put(s, primary, b"\xff" * size)
            put(s, secondary, slot)
        put(s, 0x0C163FF0, bytes.fromhex("77c295f360d2ef7f3552500f2cb67980"))


def masked_read(e: Edit) -> None:
    """The sound case, the suspect read again without the secure attribute."""
    for s in e.suspects():
        for start, stop in list(s.segments()):
            if start < 0x0C01E000:
                put(s, start, bytes(min(stop, 0x0C01E000) - start))
    path = e.folder / "case.toml"
    head, tail = path.read_text("utf-8").split("[suspect]")
    path.write_text(head + "[suspect]" + tail.replace('access = "secure"', 'access = "nonsecure"'), "utf-8")
    e.text(
        "case.toml",
        r'(access = "nonsecure"\nmode = .*\n(?:.*\n){2})tool = .*',
        r'\1tool = "STM32CubeProgrammer 2.21.0"',
    )


def options_not_applied(e: Edit) -> None:
    """The sound case with a listing of before the last provisioning step."""
    e.text("suspect-ob.txt", r"SECBOOT_LOCK : 0xB4 .*", "SECBOOT_LOCK : 0xC3 (not locked)")
    if e.rng.integers(2):
        e.text("suspect-ob.txt", r"WRPSGn1      : 0xFFFFFFF8", "WRPSGn1      : 0xFFFFFFFF")
    if e.rng.integers(2):
        e.text("suspect-ob.txt", r"HDP1_END     : 0xB  \(0x16000\)", "HDP1_END     : 0x7  (0xE000)")
    e.drop("info.json")


def wrong_placement(e: Edit) -> None:
    """The sound case with the non-secure image a few sectors too high; its file is at hand."""
    by = SECTOR * int(e.rng.integers(2, 12))
    for image in [e.image("good.hex"), *e.suspects()]:
        for at in range(0x0C01F800, 0x0C01F800 + by + SECTOR):
            image[at] = 0xFF
    slot = e.image("good.hex").gets(0x0C01E000, 0x1670)
    for s in e.suspects():
        put(s, 0x0C01E000, b"\xff" * 0x1800)
        put(s, 0x0C01E000 + by, slot)
    shutil.copy(DATA / "images" / "nonsecure_init_sign.hex", e.folder / "app_init_sign.hex")
    path = e.folder / "case.toml"
    path.write_text(path.read_text("utf-8") + '\n[[images]]\nfile = "app_init_sign.hex"\n', "utf-8")


def not_erased(e: Edit) -> None:
    """The defect case without its defect: the tables programmed over what was there."""
    e.drop("flashtest.json", "info.json")
    good = e.image("good.hex")
    shift = int(e.rng.integers(3, 300)) * 4
    for s in e.suspects():
        for at in range(0x08024000, 0x08027000):
            s[at] = good[at] & good[0x08024000 + (at - 0x08024000 + shift) % 0x3000]


def dump_corrupted(e: Edit) -> None:
    """The founding case's second read with 64-byte holes in the download slot."""
    second = e.suspects()[-1]
    for _ in range(int(e.rng.integers(1, 5))):
        put(second, 0x0C0BE400 + int(e.rng.integers(0, 0x130)) * 64, bytes(64))


def torn_write(e: Edit) -> None:
    """The defect case without its flash test: the registers tell of a write that a reset cut."""
    e.drop("flashtest.json")
    at = 0x08024000 + int(e.rng.integers(16, 700)) * 16
    good = e.image("good.hex")
    for s in e.suspects():
        put(s, 0x08026A40, good.gets(0x08026A40, 16))
        quad = good.gets(at, 16)
        put(s, at, quad[:5] + b"\xff" * 11 if quad[5:] != b"\xff" * 11 else bytes(16))
    offset = at - 0x08000000
    record = json.loads((e.folder / "info.json").read_text("utf-8"))
    record["registers"] |= {"opsr": 1 << 29 | offset, "eccdetr": 1 << 31 | offset // 16}
    (e.folder / "info.json").write_text(json.dumps(record), "utf-8")


def write_protected(e: Edit) -> None:
    """The defect case without its defect: the group of the tables is protected and holds another table."""
    e.drop("flashtest.json", "info.json")
    good = e.image("good.hex")
    for s in e.suspects():
        for at in range(0x08024000, 0x08028000):
            s[at] = 0xFF if at >= 0x08026000 else good[0x08024000 + (0x08026FFF - at) % 0x3000]
    e.text("suspect-ob.txt", r"WRPSGn1      : 0xFFFFFFFF", "WRPSGn1      : 0xFFFFFFEF")


def application_wrote(e: Edit) -> None:
    """The sound case, read once more after its application ran: records in a sector that was blank."""
    first, at = e.suspects()[0], 0x0C0C4800
    put(first, at, first.gets(at, 16))
    later = IntelHex(first)
    put(later, at, b"".join(i.to_bytes(4, "little") + e.rng.bytes(12) for i in range(int(e.rng.integers(4, 60)))))
    e.images["later.hex"] = later
    e.add("dumps = ", 'later = ["later.hex"]\n')


def flash_defect(e: Edit) -> None:
    """The defect case at another place of the same sector."""
    at = 0x08026000 + int(e.rng.integers(0x10, 0xE0)) * 16 + int(e.rng.integers(16))
    good, bit = e.image("good.hex"), int(e.rng.integers(8))
    for s in e.suspects():
        put(s, 0x08026A40, good.gets(0x08026A40, 16))
        s[at] &= 0xFF ^ (1 << bit)
    record = json.loads((e.folder / "flashtest.json").read_text("utf-8"))
    for sector in record["sectors"]:
        if sector["faults"]:
            sector["faults"] = [{"kind": "stuck-at-0", "address": at, "bit": bit, "rounds": [1, 2, 3, 4], "detail": ""}]
    record["faults"] = 1
    (e.folder / "flashtest.json").write_text(json.dumps(record), "utf-8")


def wrong_part(e: Edit) -> None:
    """The sound case with another part's name on the package."""
    other = e.rng.choice(["STM32H533RET6", "STM32H503RBT6", "STM32H563ZGT6"])
    e.text("case.toml", r'marking = ".*"', f'marking = "{other}"')


def system_flash(e: Edit) -> None:
    """The sound case with a version word that is text."""
    for name in ("suspect-log.txt", "suspect-ob.txt"):
        e.text(name, r"SFSP Version: .*", "SFSP Version: v45.48.46")


def sound(e: Edit) -> None:
    """The sound case with fewer records."""
    if e.rng.integers(2):
        e.drop("flashtest.json")
    if e.rng.integers(2):
        e.drop("info.json")


EDITS: tuple[tuple[str, str, Callable[[Edit], None], tuple[str, ...]], ...] = (
    ("install-pending", "sound", install_pending, ()),
    ("masked-read", "sound", masked_read, ()),
    ("options-not-applied", "sound", options_not_applied, ()),
    ("wrong-placement", "sound", wrong_placement, ()),
    ("not-erased", "defect", not_erased, ()),
    ("dump-corrupted", "founding", dump_corrupted, ("install-pending", "masked-read")),
    ("torn-write", "defect", torn_write, ()),
    ("write-protected", "defect", write_protected, ()),
    ("application-wrote", "sound", application_wrote, ()),
    ("flash-defect", "defect", flash_defect, ()),
    ("wrong-part", "sound", wrong_part, ()),
    ("system-flash", "sound", system_flash, ()),
    ("sound", "sound", sound, ()),
)
"""Cause, bundled case, edit, and what else is true of that case."""


def make_edited(folder: Path, seed: int) -> Truth:
    """Write the edited case number `seed` (the causes take turns) and return its truth."""
    rng = np.random.default_rng(seed)
    cause, case, change, beside = EDITS[seed % len(EDITS)]
    e = Edit(case, folder, rng)
    change(e)
    e.save()
    causes = tuple(c for c in (cause, *beside) if c != "sound")
    table = evidence_table()
    verdicts = set(table[cause]["verdict"])
    truth = Truth(
        seed,
        "control" if cause == "sound" else "mixture" if beside else "single",
        causes,
        (),
        (),
        True,
        {c: table[c]["status"] for c in causes},
        tuple(sorted(verdicts)),
    )
    (folder / "truth.json").write_text(json.dumps(asdict(truth), indent=1) + "\n", "utf-8")
    return truth
