"""Causes that change what the flash (or an option byte) holds."""

from __future__ import annotations

import numpy as np

from . import synth
from .board import BASE, SECTOR
from .records import a_piece, flash_test, identity
from .scene import FLASH_1M, FLASH_2M, Scene


def install_pending(scene: Scene) -> None:
    """Put both images into the download slots; leave the primary slots erased, or with the build of before."""
    s = scene.suspect
    assert scene.slots is not None
    magic = bytes(scene.rng.choice([synth.MAGIC, synth.MAGIC, synth.MAGIC, b"\xff" * 16, synth.OTHER_MAGIC]))
    update = scene.rng.random() < 0.25
    for primary, secondary, size in scene.slots.each():
        s.erase(primary, size)
        if update:
            plain = synth.body(scene.rng, int(scene.rng.integers(0x1800, 0x4000)) & ~15, BASE + primary + synth.HEADER)
            s.put(primary, synth.signed(scene.rng, plain, (0, 9, 1), encrypted=True)[1])
            s.put(primary + size - 16, synth.MAGIC)
        s.put(secondary, scene.downloads[secondary])
        s.put(secondary + size - 16, magic)
    if scene.rng.random() < 0.3 and not s.hidden and not update:
        s.erase(0, scene.slots.begin)
    # Up to 1.3.0 the package itself put images there; later it takes an update or the wrong file.
    scene.package = scene.package if scene.package == "1.3.0" else ""


def options_not_applied(scene: Scene) -> None:
    """Leave one to three options at what they were before the provisioning."""
    wrong = {
        "SECWM1_END": 0x7F,
        "HDP1_END": 7,
        "WRPSGn1": 0xFFFFFFFF,
        "SECBOOT_LOCK": 0xC3,
        "SRAM2_RST": 1,
        "SRAM2_ECC": 1,
        "SECWM2_STRT": 0,
    }
    names = list(scene.rng.choice(list(wrong), int(scene.rng.integers(1, 4)), replace=False))
    for name in names:
        scene.suspect.options[str(name)] = wrong[str(name)]
    if "SECWM2_STRT" in names:
        scene.suspect.options["SECWM2_END"] = 0x7F if len(scene.suspect.cells) == FLASH_2M else 0x3F
    if scene.suspect.options["SECWM1_END"] == 0x7F and len(scene.suspect.cells) == FLASH_1M:
        scene.suspect.options["SECWM1_END"] = 0x3F


def bank_swapped(scene: Scene) -> None:
    """Exchange the two banks."""
    cells = scene.suspect.cells
    half = len(cells) // 2
    scene.suspect.cells = np.concatenate([cells[half:], cells[:half]])
    scene.suspect.options["SWAP_BANK"] = 1


def wrong_bank_erase(scene: Scene) -> None:
    """Erase the mirror sectors of where an update goes, then program the update."""
    holds = (scene.suspect.cells.reshape(-1, SECTOR) != 0xFF).any(axis=1)
    sectors, used = int(scene.rng.integers(1, 4)), []
    while not used:
        used = [i for i in range(128 - sectors) if holds[i : i + sectors].all()]
        sectors -= not used
    hole = int(scene.rng.choice(used)) * SECTOR
    target = hole + 0x100000
    update = synth.body(scene.rng, sectors * SECTOR, BASE + target)
    was = scene.suspect.cells[target : target + len(update)].copy()
    scene.good.put(target, update)
    scene.suspect.erase(hole, sectors * SECTOR)
    # Not erased: programming gives old AND new; a blank place takes it well.
    scene.suspect.put(target, np.frombuffer(update, np.uint8) & was)
    scene.images.append(("update.hex", update, target))


def wrong_size_assumption(scene: Scene) -> None:
    """Put a 1 MB part where 2 MB were assumed: above 1 MB the content repeats."""
    cells = scene.suspect.cells
    cells[FLASH_1M:] = cells[:FLASH_1M]
    scene.suspect.banner["Flash size"] = "1 MBytes"
    scene.info = identity(scene) | {"flash_kib": 1024, "chip": "stm32h563zg"}


def wrong_placement(scene: Scene) -> None:
    """Program a whole image file at an address that is no slot's."""
    assert scene.slots is not None
    primary, _, size = scene.slots.each()[int(scene.rng.integers(2))]
    file = scene.suspect.cells[primary : primary + size].copy()
    length = int(np.flatnonzero(file[:-32] != 0xFF)[-1]) + 1
    file = file[:length]
    scene.suspect.erase(primary, size)
    shifts = [0x400, 0x800, 0x1000, 0x10000] + [n * SECTOR for n in (-3, -2, -1, *range(1, 60))]
    taken = {start for p, q, _ in scene.slots.each() for start in (p, q)}
    blank = scene.suspect.cells == 0xFF
    free = [
        d
        for d in shifts
        if primary + d not in taken
        and primary + d >= scene.slots.begin
        and blank[primary + d : primary + d + length].all()
    ]
    scene.suspect.put(primary + int(scene.rng.choice(free)), file)
    scene.images.append(("app_sign.hex", file, primary))


def not_erased(scene: Scene) -> None:
    """Program the image over an older build that was not erased: bits only fell."""
    at, new = a_piece(scene)
    old = np.frombuffer(synth.body(scene.rng, len(new), BASE + at), np.uint8)
    if scene.rng.random() < 0.5:  # an older build of the same sources: much is equal, much has moved
        cut = int(scene.rng.integers(0x40, len(new) // 2)) & ~3
        old = np.concatenate([new[:cut], old[:32], new[cut:-32]])
    scene.suspect.put(at, old & new)
    scene.images.append(("app.hex", new, at))


def padding(scene: Scene) -> None:
    """Fill the last quad-word of one or two pieces with 0x00 instead of 0xFF."""
    quads = (scene.suspect.cells.reshape(-1, 16) != 0xFF).any(axis=1)
    alike = (scene.suspect.cells == scene.good.cells).reshape(-1, 256).all(axis=1).repeat(16)
    ends = np.flatnonzero(quads[:-1] & ~quads[1:] & alike[:-1]) + 1
    for end in scene.rng.choice(ends, min(len(ends), int(scene.rng.integers(1, 3))), replace=False) * 16:
        fill = int(scene.rng.integers(1, 16))
        for board, byte in ((scene.good, 0xFF), (scene.suspect, 0x00)):
            board.cells[end - fill : end] = byte


def application_wrote(scene: Scene) -> None:
    """Let the firmware append records to sectors of its own between two dumps."""
    size = len(scene.suspect.cells)
    # The last sectors of a flash are where applications keep their records.
    at = size - int(scene.rng.integers(1, 5)) * SECTOR
    records = int(scene.rng.integers(3, 60))
    old = b"".join(int(i * 1000).to_bytes(4, "little") + scene.rng.bytes(12) for i in range(records))
    for board in (scene.good, scene.suspect):
        board.put(at, old)
    scene.later = scene.suspect.copy()
    more = int(scene.rng.integers(1, 40))
    new = b"".join(int((records + i) * 1000).to_bytes(4, "little") + scene.rng.bytes(12) for i in range(more))
    scene.later.put(at + len(old), new)


def torn_write(scene: Scene) -> None:
    """Cut a write (or an erase): one quad-word is half done, OPSR and ECCDETR name it."""
    at, piece = a_piece(scene)
    offset = at + int(scene.rng.integers(0x20, len(piece) // 16 - 1)) * 16
    quad = scene.suspect.cells[offset : offset + 16]
    raise_bits = scene.rng.integers(0, 256, 16, dtype=np.uint8)
    torn = quad | raise_bits
    torn[0] = quad[0] ^ 0xFF if (torn == quad).all() else torn[0]
    scene.suspect.put(offset, torn)
    half = len(scene.suspect.cells) // 2
    bank, inside = offset // half, offset % half
    scene.info = identity(scene)
    scene.info["registers"] = {
        "ecccorr": 0,
        "eccdetr": 1 << 31 | bank << 22 | inside // 16,
        "opsr": 1 << 29 | bank << 22 | inside,
        "hdpl": 1,
    }


def write_protected(scene: Scene) -> None:
    """Let one or two groups of four sectors refuse the new build and keep the old one."""
    cells = scene.suspect.cells
    groups = [
        g
        for g in range(len(cells) // 2 // (4 * SECTOR))
        if (cells[g * 4 * SECTOR : (g + 1) * 4 * SECTOR] != 0xFF).any()
    ]
    chosen = scene.rng.choice(groups, min(len(groups), int(scene.rng.integers(1, 3))), replace=False)
    for g in chosen:
        at = int(g) * 4 * SECTOR
        block = cells[at : at + 4 * SECTOR]
        length = int(np.flatnonzero(block != 0xFF)[-1]) + 1
        old = np.frombuffer(synth.body(scene.rng, max(0x800, length), BASE + at), np.uint8)[:length]
        scene.suspect.erase(at, 4 * SECTOR)
        scene.suspect.put(at, old)
        scene.suspect.options["WRPSGn1"] &= ~(1 << int(g))


def flash_defect(scene: Scene) -> None:
    """Break cells, a quad-word or a sector, and test the flash as it must be tested."""
    at, _ = a_piece(scene)
    sector = at - at % SECTOR
    rounds = int(scene.rng.integers(2, 7))
    shown = list(range(1, rounds + 1))
    kind = str(scene.rng.choice(["cells", "sector", "data path"]))
    faults: list[dict[str, object]] = []
    if kind == "sector":
        scene.suspect.cells[sector : sector + SECTOR] &= 0xF7
        faults.append(
            {
                "kind": "dead-sector",
                "address": BASE + sector,
                "bit": None,
                "rounds": shown,
                "detail": "does not reach 0xFF after erase",
            }
        )
    else:
        for _ in range(int(scene.rng.integers(1, 4))):
            offset = at + int(scene.rng.integers(0x20, 0x60)) * 16 + int(scene.rng.integers(16))
            bit = int(scene.rng.integers(8))
            scene.suspect.cells[offset] &= 0xFF ^ (1 << bit)
            faults.append(
                {
                    "kind": "stuck-at-0",
                    "address": BASE + offset,
                    "bit": bit,
                    "rounds": shown,
                    "detail": "reads 0 after erase and after every pattern",
                }
            )
            if kind == "cells":
                faults.append(
                    {
                        "kind": "ecc-uncorrected",
                        "address": BASE + offset - offset % 16,
                        "bit": None,
                        "rounds": shown,
                        "detail": "ECCDETR names it",
                    }
                )
    scene.flashtest = flash_test(scene, sector, faults, rounds)
    scene.info = identity(scene)
