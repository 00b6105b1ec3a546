"""Causes that change what a reader gets, not what the flash holds."""

from __future__ import annotations

import numpy as np

from . import texts
from .board import SECTOR, Cells, Ranges
from .records import a_piece, identity
from .scene import Scene


def masked_read(scene: Scene) -> None:
    """Read the suspect with one attribute only, the good board with every sector shown."""
    scene.good.reader = "all"
    assert scene.slots is not None
    pending = scene.suspect.cells[scene.slots.s_secondary] != 0xFF
    # A secure reader sees no download slot: with an image pending there would be nothing to tell.
    scene.suspect.reader = "nonsecure" if pending or scene.rng.random() < 0.7 else "secure"
    if scene.suspect.reader == "nonsecure":
        scene.suspect.low = bool(scene.rng.integers(2))
        if scene.suspect.options == scene.good.options and scene.rng.random() < 0.5:
            # Only non-secure debug is open then, and the secure boot register reads zero.
            scene.suspect.options |= {"PRODUCT_STATE": 0x17 if pending else 0x2E, "SECBOOT_LOCK": 0, "SECBOOTADD": 0}
    if scene.rng.random() < 0.4:
        scene.more = ((scene.slots.begin - 2 * SECTOR, scene.slots.ns_primary),)


def dump_corrupted(scene: Scene) -> None:
    """Let the reading path zero chunks, or lose words up to the end of a window; the second read may be right."""
    seed = int(scene.rng.integers(1 << 32))
    kind = str(scene.rng.choice(["zero", "slip", "repeat"]))
    right = int(scene.rng.integers(1, 3))

    def fault(seen: Cells, ranges: Ranges, number: int) -> None:
        if number == right:
            return
        rng = np.random.default_rng(seed + number)
        for _ in range(int(rng.integers(1, 5))):
            window = _full_window(seen, ranges, rng)
            if kind == "zero":
                at = window + int(rng.integers(0, 15)) * 64
                seen[at : at + 64] = 0
            else:
                at, n = window + int(rng.integers(4, 120)) * 4, 4 * int(rng.integers(1, 4))
                rest = seen[at : window + 0x400].copy()
                head = seen[window : window + n].copy()
                seen[at : window + 0x400] = (
                    np.concatenate([rest[n:], head]) if kind == "slip" else np.concatenate([rest[:n], rest[:-n]])
                )

    scene.read_faults.append(fault)
    scene.reads = max(scene.reads, 2)


def board_wiring(scene: Scene) -> None:
    """Let reads fail more the faster the link is, and the banner show a low supply or a dead reset line."""
    supply = bool(scene.rng.integers(2))
    scene.suspect.banner["Voltage"] = f"{scene.rng.uniform(1.45, 1.68):.2f}V" if supply else "3.28V"
    if not supply:
        scene.suspect_log = (
            texts.banner({"Connect mode": "Under Reset", "Reset mode": "Hardware reset"})
            + "Error: Unable to reset MCU!\n"
        )
    read = scene.suspect.cells.size // 8
    speeds, bad = (100_000, 1_000_000, 4_000_000, 8_000_000), 0
    points = []
    for i, hz in enumerate(speeds):
        bad = 0 if i == 0 else bad * 4 + int(scene.rng.integers(1, 40) if i > 1 else 0)
        points.append({"swd_hz": hz, "bytes": read, "disagreeing": bad})
    scene.sweep = {"sweep": points}
    seed = int(scene.rng.integers(1 << 32))

    def fault(seen: Cells, ranges: Ranges, number: int) -> None:
        rng = np.random.default_rng(seed + number)
        for _ in range(int(rng.integers(2, 9))):
            at = _full_window(seen, ranges, rng) + int(rng.integers(0x400))
            seen[at] ^= 1 << int(rng.integers(8))

    scene.read_faults.append(fault)


def erratum(scene: Scene) -> None:
    """Use a part of revision A or Z and let its reads go wrong now and then."""
    letter, rev_id = (("A", 0x1000), ("Z", 0x1001))[int(scene.rng.integers(2))]
    scene.suspect.banner["Revision ID"] = f"Rev {letter}"
    scene.info = identity(scene) | {"rev_id": rev_id}
    seed = int(scene.rng.integers(1 << 32))

    def fault(seen: Cells, ranges: Ranges, number: int) -> None:
        rng = np.random.default_rng(seed + number)
        for _ in range(int(rng.integers(1, 4))):
            at = _full_window(seen, ranges, rng) + int(rng.integers(63)) * 16
            seen[at : at + 16] = rng.integers(0, 256, 16, dtype=np.uint8)

    scene.read_faults.append(fault)


def worn_cells(scene: Scene) -> None:
    """Let a few cells read either way, at the same places in every read."""
    scene.reads = int(scene.rng.integers(4, 7))
    at, piece = a_piece(scene)
    bits = [
        (at + int(scene.rng.integers(len(piece))), int(scene.rng.integers(8)), float(scene.rng.uniform(0.3, 0.7)))
        for _ in range(int(scene.rng.integers(2, 6)))
    ]
    flips = scene.rng.random((scene.reads, len(bits))) > np.array([share for _, _, share in bits])
    for cell in range(len(bits)):  # each of them is seen both ways, at reads of its own
        one, other = scene.rng.choice(scene.reads, 2, replace=False)
        flips[one, cell], flips[other, cell] = True, False

    def fault(seen: Cells, ranges: Ranges, number: int) -> None:
        for (offset, bit, _), flip in zip(bits, flips[number], strict=True):
            if flip:
                seen[offset] ^= 1 << bit

    scene.read_faults.append(fault)


def _full_window(seen: Cells, ranges: Ranges, rng: np.random.Generator) -> int:
    """Return the offset of a 1 KB read window whose content is varied."""
    for _ in range(200):
        start, stop = ranges[int(rng.integers(len(ranges)))]
        at = start + int(rng.integers((stop - start) // 0x400)) * 0x400
        if len(np.unique(seen[at : at + 0x400])) > 40:
            return at
    return ranges[0][0]
