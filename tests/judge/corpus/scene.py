"""A case in the making: two boards, what was kept of them, and the folder that it all becomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import synth, texts
from .board import BASE, LAYOUTS, SECTOR, Board, Cells, Ranges, Slots, hex_text, srec_text, united, written_sectors

Rng = np.random.Generator
ReadFault = Callable[[Cells, Ranges, int], None]
"""Changes, in place, what read number n of the suspect returned."""

FLASH_2M, FLASH_1M = 0x200000, 0x100000


@dataclass(slots=True)
class Scene:
    """Everything about a case before it is written.

    `cut` says what stays out of the folder. After `write`, `present` says what is in it, and `shows` whether
    anything in it deviates at all: with evidence missing, a board can look like any other.
    """

    rng: Rng
    chip: str
    good: Board
    suspect: Board
    slots: Slots | None = None
    causes: list[str] = field(default_factory=list)
    package: str = ""
    reads: int = 2
    read_faults: list[ReadFault] = field(default_factory=list)
    more: Ranges = ()
    images: list[tuple[str, Cells | bytes, int]] = field(default_factory=list)
    later: Board | None = None
    suspect_log: str = ""
    info: dict[str, object] = field(default_factory=dict)
    flashtest: dict[str, object] = field(default_factory=dict)
    sweep: dict[str, object] = field(default_factory=dict)
    marking: str = ""
    loader: tuple[bytes, str] = (b"", "")
    dumps: bool = True
    listing: bool = True
    downloads: dict[int, bytes] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()
    present: set[str] = field(default_factory=set)
    shows: bool = False

    def write(self, folder: Path) -> set[str]:
        """Write the case folder; return the words (of evidence.toml) for what is in it."""
        folder.mkdir(parents=True, exist_ok=True)
        toml = [f'title = "corpus, {self.chip}"', f'chip = "{self.chip}"']
        if self.slots is not None and self.keeps("layout"):
            toml.append(f'layout = "{self.slots.name}"')
        toml += self._good(folder) + self._suspect(folder)
        if self.package and self.keeps("package"):
            toml += ["", "[provisioning]", f'package = "{self.package}"']
        for name, data, offset in self.images if self.keeps("images") else []:
            cells = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
            cells = np.concatenate([cells, np.full(-len(cells) % 16, 0xFF, np.uint8)])
            text = hex_text(cells, ((0, len(cells)),), BASE + offset, 16)
            toml += ["", "[[images]]", f'file = "{self._text(folder, name, text)}"']
        if self.loader[0] or self.loader[1]:
            toml += ["", "[loader]"]
            if self.loader[0] and self.keeps("loader.file"):
                (folder / "sample.stldr").write_bytes(self.loader[0])
                toml.append('file = "sample.stldr"')
            if self.loader[1] and self.keeps("loader.log"):
                toml.append(f'log = "{self._text(folder, "vb3.txt", texts.styled(self.loader[1], self.rng))}"')
        self._text(folder, "case.toml", "\n".join(toml) + "\n")
        return self.present

    def keeps(self, word: str) -> bool:
        """Tell whether this evidence goes in, and note it."""
        if word in self.cut or (word == "images" and not self.images):
            return False
        self.present.add(word)
        return True

    def _good(self, folder: Path) -> list[str]:
        toml = ["", "[good]", 'name = "good board"']
        if self.dumps and self.keeps("good.dumps"):
            toml.append(f'dumps = ["{self._dump(folder, "good", self.good, [], 0)}"]')
        return toml + self._how(folder, self.good, "good", "")

    def _suspect(self, folder: Path) -> list[str]:
        toml = ["", "[suspect]", 'name = "board in question"']
        if self.dumps and self.keeps("suspect.dumps"):
            reads = self.reads
            for least in (2, 3):
                if reads >= least and not self.keeps(f"suspect.reads{least}"):
                    reads = least - 1
            names = [self._dump(folder, f"suspect-{n + 1}", self.suspect, self.read_faults, n) for n in range(reads)]
            toml.append("dumps = [" + ", ".join(f'"{n}"' for n in names) + "]")
            looks = {self._bytes(self.suspect, self.read_faults, n) for n in range(reads)}
            self.shows |= len(looks) > 1
            if "good.dumps" in self.present:
                self.shows |= looks != {self._bytes(self.good, [], 0)}
            elif self.keeps("images"):
                seen = self.suspect.seen()
                self.shows |= any(bytes(data) != seen[at : at + len(data)].tobytes() for _, data, at in self.images)
            else:
                self.shows = True  # nothing to compare with: whatever it is, it may be in there
        if self.later is not None and self.keeps("suspect.later"):
            toml.append(f'later = ["{self._dump(folder, "later", self.later, [], 0)}"]')
            self.shows |= self._bytes(self.later, [], 0) != self._bytes(self.suspect, [], 0)
        toml += self._how(folder, self.suspect, "suspect", self.suspect_log)
        for word, record in (("info", self.info), ("flashtest", self.flashtest), ("sweep", self.sweep)):
            if record and self.keeps(f"suspect.{word}"):
                toml.append(f'{word} = "{self._text(folder, word + ".json", json.dumps(record))}"')
                self.shows |= word in self.telling
        if self.flashtest and "suspect.flashtest" not in self.cut:
            self._note_conditions()
        if self.marking and self.keeps("suspect.marking"):
            toml.append(f'marking = "{self.marking}"')
            self.shows |= "marking" in self.telling
        return toml

    def _how(self, folder: Path, board: Board, who: str, log: str) -> list[str]:
        toml = []
        if self.dumps and self.keeps(f"{who}.access"):
            toml += [f'access = "{board.access}"', f'mode = "{board.mode}"']
            if board.reader == "all":
                toml.append('tool = "OpenOCD (ST), which makes every sector secure while it reads"')
        connect = {"hotplug": "Hot Plug", "under-reset": "Under Reset", "normal": "Normal"}[board.mode]
        words = {"Flash size": "2 MBytes" if len(board.cells) == FLASH_2M else "1 MBytes", **board.banner}
        if self.rng.random() < 0.1:
            words["key Flash size"] = "NVM size"  # since version 2.22
        if self.rng.random() < 0.1:
            words.setdefault("Voltage", "3,26V")
        if f"{who}.access" in self.cut:
            words |= {"Connect mode": "", "Reset mode": ""}
        else:
            words = {"Connect mode": connect, **words}
        printed = texts.banner(words)
        if self.keeps(f"{who}.log"):
            self.shows |= bool(log) or (who == "suspect" and board.banner != self.good.banner)
            toml.append(f'log = "{self._text(folder, who + "-log.txt", texts.styled(log or printed, self.rng))}"')
        if self.listing and self.keeps(f"{who}.options"):
            self.shows |= board.options != self.good.options
            # Whoever lost the log has no banner above the listing either.
            above = printed if f"{who}.log" in self.present else ""
            text = texts.listing(board.options, above, upload=bool(self.rng.integers(2)))
            toml.append(f'options = "{self._text(folder, who + "-ob.txt", texts.styled(text, self.rng))}"')
        return toml

    def ranges(self) -> Ranges:
        """Return what every dump of this case reads: where a board holds something, slot heads and trailers."""
        boards = [self.good, self.suspect] + ([self.later] if self.later else [])
        parts = [written_sectors(boards), self.more]
        if self.slots is not None:
            for primary, secondary, size in self.slots.each():
                parts += [((p, p + SECTOR), (p + size - SECTOR, p + size)) for p in (primary, secondary)]
            first = max(b.hidden for b in boards) * SECTOR
            return tuple((max(a, first), b) for a, b in united(*parts) if b > first)
        return united(*parts)

    @property
    def telling(self) -> set[str]:
        """Return which of the records say that something is wrong."""
        known = {"suspect.info", "suspect.log"} & self.present
        telling = {"marking"} if "wrong-part" in self.causes and known else set()
        registers = self.info.get("registers", {})
        assert isinstance(registers, dict)
        if (
            any(registers.get(k) for k in ("ecccorr", "eccdetr", "opsr"))
            or self.info.get("rev_id", 0x1007) != 0x1007
            or self.info.get("flash_kib", len(self.good.cells) // 1024) != len(self.good.cells) // 1024
        ):
            telling.add("info")
        if self.flashtest.get("faults"):
            telling.add("flashtest")
        points = self.sweep.get("sweep", [])
        assert isinstance(points, list)
        if any(p["disagreeing"] for p in points):
            telling.add("sweep")
        return telling

    def _bytes(self, board: Board, faults: list[ReadFault], number: int) -> bytes:
        ranges, seen = self.ranges(), board.seen()
        for fault in faults:
            fault(seen, ranges, number)
        return b"".join(seen[a:b].tobytes() for a, b in ranges)

    def _dump(self, folder: Path, name: str, board: Board, faults: list[ReadFault], number: int) -> str:
        ranges, seen = self.ranges(), board.seen()
        for fault in faults:
            fault(seen, ranges, number)
        row = int(self.rng.choice([32, 64, 128]))
        if self.rng.random() < 0.15:
            return self._text(folder, name + ".srec", srec_text(seen, ranges, board.view, row))
        return self._text(folder, name + ".hex", hex_text(seen, ranges, board.view, row))

    def _text(self, folder: Path, name: str, text: str) -> str:
        (folder / name).write_text(text, "utf-8", newline="")
        return name

    def _note_conditions(self) -> None:
        c = self.flashtest["conditions"]
        assert isinstance(c, dict)
        sectors = self.flashtest["sectors"]
        assert isinstance(sectors, list)
        again = any(len(f["rounds"]) >= 2 for s in sectors for f in s["faults"])
        met = {
            "rounds": c["rounds"] >= 2 and again,
            "speeds": len(c["swd_hz"]) >= 2,
            "cycle": c["power_cycles"] >= 1,
            "path": c["second_path"] is not None,
            "supply": 2700 <= c["voltage_mv"] <= 3600,
            "open": c["tzen"] == 0xC3 and c["product_state"] == 0xED and c["wrp"] == [0xFFFFFFFF] * 2,
        }
        self.present |= {f"flashtest.{word}" for word, ok in met.items() if ok}


def oemirot_scene(rng: Rng) -> Scene:
    """Return two OEMiROT boards, both installed and alike, in a random layout, read in a random way."""
    slots = LAYOUTS[str(rng.choice(list(LAYOUTS), p=[0.4, 0.25, 0.2, 0.15]))]
    size = FLASH_2M if "2m" in slots.name else FLASH_1M
    options = dict(texts.OEMIROT) | {
        "SECWM1_END": slots.ns_primary // SECTOR - 1,
        "HDP1_END": slots.begin // SECTOR - 1,
    }
    board = Board(np.full(size, 0xFF, np.uint8), options)
    board.put(0, synth.body(rng, int(rng.integers(0x1800, 0x5000)) & ~15, 0x0C000000, ram=0x30000000))
    encrypted, init = bool(rng.random() < 0.8), bool(rng.integers(2))
    version = (int(rng.integers(1, 5)), int(rng.integers(10)), int(rng.integers(100)))
    downloads: dict[int, bytes] = {}
    for primary, secondary, room in slots.each():
        secure = room == SECTOR * 3
        gap = int(rng.integers(0x200, 0x2000)) if secure and rng.random() < 0.7 else 0
        length = int(rng.integers(0x3000, 0x5800) if secure else rng.integers(0x1800, 0x6000)) & ~15
        plain = synth.body(
            rng,
            length,
            (0x0C000000 if secure else BASE) + primary + synth.HEADER,
            ram=0x30000000 if secure else 0x20020000,
            gap=gap,
        )
        downloads[secondary], installed = synth.signed(rng, plain, version, encrypted=encrypted)
        board.put(primary, installed)
        board.put(primary + room - 16, synth.MAGIC)
        if init:
            board.cells[primary + room - 24] = 1
    board.mode = str(rng.choice(["under-reset", "hotplug"]))
    if board.mode == "hotplug":
        board.hidden = slots.begin // SECTOR
    return Scene(
        rng,
        "stm32h563zi" if size == FLASH_2M else "stm32h563zg",
        board,
        board.copy(),
        slots,
        package="1.4.0" if init else "1.3.0",
        downloads=downloads,
    )


def alone_scene(rng: Rng) -> Scene:
    """Return two boards with one application in both banks, TrustZone off, without a boot loader."""
    board = Board(np.full(FLASH_2M, 0xFF, np.uint8), dict(texts.PLAIN), reader="nonsecure")
    for bank in (0, 0x100000):
        at = bank + int(rng.integers(0, 20 if bank else 1)) * SECTOR
        board.put(at, synth.body(rng, int(rng.integers(0x3000, 0xC000)) & ~15, BASE + at))
        at = bank + int(rng.integers(24, 120)) * SECTOR
        board.put(at, synth.body(rng, int(rng.integers(0x800, 0x3000)) & ~15, BASE + at))
    board.mode = str(rng.choice(["under-reset", "hotplug", "normal"]))
    return Scene(rng, "stm32h563zi", board, board.copy())
