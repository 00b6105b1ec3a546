"""What several causes need: an identity, a flash test, a piece of firmware to work on."""

from __future__ import annotations

import numpy as np

from .board import BASE, SECTOR, Cells
from .scene import Scene


def flash_test(scene: Scene, sector: int, faults: list[dict[str, object]], rounds: int = 4) -> dict[str, object]:
    """Return the record of a test of two sectors from `sector` on, under conditions that leave nothing out."""
    found = {
        s: [f for f in faults if (int(str(f["address"])) - BASE) // SECTOR == s // SECTOR]
        for s in (sector, sector + SECTOR)
    }
    return {
        "level": "standard",
        "range": [BASE + sector, BASE + sector + 2 * SECTOR],
        "restored": True,
        "conditions": {
            "tzen": 0xC3,
            "product_state": 0xED,
            "wrp": [0xFFFFFFFF, 0xFFFFFFFF],
            "rev_id": 0x1007,
            "voltage_mv": int(scene.rng.integers(2900, 3400)),
            "swd_hz": [1_000_000, 8_000_000],
            "rounds": rounds,
            "power_cycles": int(scene.rng.integers(1, rounds)),
            "second_path": "core-checksum",
        },
        "sectors": [
            {"start": BASE + s, "verdict": "bad" if fs else "good", "erase_s": 0.0022, "program_s": 0.06, "faults": fs}
            for s, fs in found.items()
        ],
        "faults": len(faults),
    }


def identity(scene: Scene) -> dict[str, object]:
    """Return the identity record of an ordinary rev X part with clean registers."""
    s = scene.suspect
    return {
        "chip": scene.chip,
        "dev_id": 0x484,
        "rev_id": 0x1007,
        "uid": scene.rng.bytes(12).hex().upper(),
        "flash_kib": len(s.cells) // 1024,
        "product_state": s.options["PRODUCT_STATE"],
        "tzen": s.options["TZEN"],
        "options": {k: {"value": v} for k, v in s.options.items()},
        "registers": {"ecccorr": 0, "eccdetr": 0, "opsr": 0, "hdpl": 1},
    }


def a_piece(scene: Scene) -> tuple[int, Cells]:
    """Return offset and bytes of a piece of the suspect that is read: from a sector's start, four sectors at most."""
    shown = (scene.suspect.cells.reshape(-1, SECTOR) != 0xFF).mean(axis=1) > 0.3
    shown[: max(scene.suspect.hidden, scene.good.hidden)] = False
    if scene.slots is not None:  # data of the application, not a signed slot's header
        shown[: scene.slots.begin // SECTOR] = False
    start = int(scene.rng.choice(np.flatnonzero(shown))) * SECTOR
    stop = start
    while stop < len(scene.suspect.cells) and stop - start < 4 * SECTOR and shown[stop // SECTOR]:
        stop += SECTOR
    cells = scene.suspect.cells[start:stop]
    length = int(np.flatnonzero(cells != 0xFF)[-1]) + 1
    return start, cells[: length - length % 16 or length].copy()
