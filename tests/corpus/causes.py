"""One function per cause: it does to the suspect of a scene what that cause does to a board.

Nothing here knows how the diagnosis looks for it. Each function says by its product which scene it fits:
``oemirot`` (two boards with a boot loader), ``alone`` (one application in both banks) or ``any``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import synth, texts
from .board import BASE, SECTOR, Cells, Ranges
from .scene import FLASH_1M, FLASH_2M, Scene


@dataclass(frozen=True, slots=True)
class Cause:
    """A hypothesis id (or ``sound``), the scene it needs, and what it does."""

    id: str
    product: str
    apply: Callable[[Scene], None]


def sound(scene: Scene) -> None:
    """Leave the board as it is; add records that show nothing."""
    scene.reads = int(scene.rng.integers(1, 4))
    if scene.rng.random() < 0.5:
        scene.info = identity(scene)
        scene.marking = "STM32H563ZIT6" if len(scene.suspect.cells) == FLASH_2M else "STM32H563ZGT6"
    if scene.rng.random() < 0.3:
        scene.later = scene.suspect.copy()
    if scene.rng.random() < 0.3:
        scene.sweep = {"sweep": [{"swd_hz": hz, "bytes": 0x40000, "disagreeing": 0} for hz in (1_000_000, 8_000_000)]}
    if scene.rng.random() < 0.3 and scene.slots is None:
        scene.flashtest = flash_test(scene, 0x1E0000, [])


def install_pending(scene: Scene) -> None:
    """Put both images into the download slots and leave the primary slots erased."""
    s = scene.suspect
    assert scene.slots is not None
    magic = scene.rng.random() < 0.8
    for primary, secondary, size in scene.slots.each():
        s.erase(primary, size)
        s.put(secondary, scene.downloads[secondary])
        if magic:
            s.put(secondary + size - 16, synth.MAGIC)
    if scene.rng.random() < 0.3 and not s.hidden:
        s.erase(0, scene.slots.begin)
    # Up to 1.3.0 the package itself put images there; later it takes an update or the wrong file.
    scene.package = scene.package if scene.package == "1.3.0" else ""


def masked_read(scene: Scene) -> None:
    """Read the suspect with one attribute only, the good board with every sector shown."""
    scene.good.reader = "all"
    assert scene.slots is not None
    pending = scene.suspect.cells[scene.slots.s_secondary] != 0xFF
    # A secure reader sees no download slot: with an image pending there would be nothing to tell.
    scene.suspect.reader = "nonsecure" if pending or scene.rng.random() < 0.7 else "secure"
    if scene.rng.random() < 0.4:
        scene.more = ((scene.slots.begin - 2 * SECTOR, scene.slots.ns_primary),)


def debug_locked(scene: Scene) -> None:
    """Let the port be closed: no dump, no listing, a refusal or a discovery that names the life cycle."""
    scene.dumps = scene.listing = False
    kind = str(scene.rng.choice(["port", "rdp", "discovery"]))
    state = str(scene.rng.choice(["ST_LIFECYCLE_CLOSED", "ST_LIFECYCLE_LOCKED", "ST_LIFECYCLE_TZ_CLOSED"]))
    scene.suspect_log = texts.discovery(state) if kind == "discovery" else texts.refused_connection(kind)


def options_not_applied(scene: Scene) -> None:
    """Leave one to three options at what they were before the provisioning."""
    wrong = {"SECWM1_END": 0x7F, "HDP1_END": 7, "WRPSGn1": 0xFFFFFFFF, "SECBOOT_LOCK": 0xC3, "SRAM2_RST": 1,
             "SRAM2_ECC": 1, "SECWM2_STRT": 0}
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
        used = [i for i in range(128 - sectors) if holds[i:i + sectors].all()]
        sectors -= not used
    hole = int(scene.rng.choice(used)) * SECTOR
    target = hole + 0x100000
    update = synth.body(scene.rng, sectors * SECTOR, BASE + target)
    was = scene.suspect.cells[target:target + len(update)].copy()
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
    file = scene.suspect.cells[primary:primary + size].copy()
    length = int(np.flatnonzero(file[:-32] != 0xFF)[-1]) + 1
    file = file[:length]
    scene.suspect.erase(primary, size)
    shifts = [0x400, 0x800, 0x1000, 0x10000] + [n * SECTOR for n in (-3, -2, -1, *range(1, 60))]
    taken = {start for p, q, _ in scene.slots.each() for start in (p, q)}
    blank = scene.suspect.cells == 0xFF
    free = [d for d in shifts if primary + d not in taken and primary + d >= scene.slots.begin
            and blank[primary + d:primary + d + length].all()]
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
            board.cells[end - fill:end] = byte


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
                seen[at:at + 64] = 0
            else:
                at, n = window + int(rng.integers(4, 120)) * 4, 4 * int(rng.integers(1, 4))
                rest = seen[at:window + 0x400].copy()
                head = seen[window:window + n].copy()
                seen[at:window + 0x400] = (np.concatenate([rest[n:], head]) if kind == "slip"
                                           else np.concatenate([rest[:n], rest[:-n]]))
    scene.read_faults.append(fault)
    scene.reads = max(scene.reads, 2)


def loader_bypassed(scene: Scene) -> None:
    """Give a log in which the tool reads the external window and never calls Init."""
    scene.dumps = False
    scene.loader = (synth.loader_elf(scene.rng, 0x20003000), texts.loader_log("bypassed", 0x20003000, 0x20003005))


def loader_mislinked(scene: Scene) -> None:
    """Link the loader where this tool does not put loaders: it is never downloaded, MSP is 0."""
    scene.dumps = False
    base = int(scene.rng.choice([0x20000000, 0x20010000, 0x24000000, 0x20002000]))
    elf = synth.loader_elf(scene.rng, base, code_size=int(scene.rng.integers(0x300, 0x1800)) & ~3)
    scene.loader = (elf, texts.loader_log("mislinked", 0x20003000, base + 5))


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


def board_wiring(scene: Scene) -> None:
    """Let reads fail more the faster the link is, and the banner show a low supply or a dead reset line."""
    supply = bool(scene.rng.integers(2))
    scene.suspect.banner["Voltage"] = f"{scene.rng.uniform(1.45, 1.68):.2f}V" if supply else "3.28V"
    if not supply:
        scene.suspect_log = texts.banner({"Connect mode": "Under Reset", "Reset mode": "Hardware reset"}) \
            + "Error: Unable to reset MCU!\n"
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


def torn_write(scene: Scene) -> None:
    """Cut a write (or an erase): one quad-word is half done, OPSR and ECCDETR name it."""
    at, piece = a_piece(scene)
    offset = at + int(scene.rng.integers(0x20, len(piece) // 16 - 1)) * 16
    quad = scene.suspect.cells[offset:offset + 16]
    raise_bits = scene.rng.integers(0, 256, 16, dtype=np.uint8)
    torn = quad | raise_bits
    torn[0] = quad[0] ^ 0xFF if (torn == quad).all() else torn[0]
    scene.suspect.put(offset, torn)
    half = len(scene.suspect.cells) // 2
    bank, inside = offset // half, offset % half
    scene.info = identity(scene)
    scene.info["registers"] = {"ecccorr": 0, "eccdetr": 1 << 31 | bank << 22 | inside // 16,
                               "opsr": 1 << 29 | bank << 22 | inside, "hdpl": 1}


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
            seen[at:at + 16] = rng.integers(0, 256, 16, dtype=np.uint8)
    scene.read_faults.append(fault)


def write_protected(scene: Scene) -> None:
    """Let one or two groups of four sectors refuse the new build and keep the old one."""
    cells = scene.suspect.cells
    groups = [g for g in range(len(cells) // 2 // (4 * SECTOR))
              if (cells[g * 4 * SECTOR:(g + 1) * 4 * SECTOR] != 0xFF).any()]
    chosen = scene.rng.choice(groups, min(len(groups), int(scene.rng.integers(1, 3))), replace=False)
    for g in chosen:
        at = int(g) * 4 * SECTOR
        block = cells[at:at + 4 * SECTOR]
        length = int(np.flatnonzero(block != 0xFF)[-1]) + 1
        old = np.frombuffer(synth.body(scene.rng, max(0x800, length), BASE + at), np.uint8)[:length]
        scene.suspect.erase(at, 4 * SECTOR)
        scene.suspect.put(at, old)
        scene.suspect.options["WRPSGn1"] &= ~(1 << int(g))


def worn_cells(scene: Scene) -> None:
    """Let a few cells read either way, at the same places in every read."""
    scene.reads = int(scene.rng.integers(4, 7))
    at, piece = a_piece(scene)
    bits = [(at + int(scene.rng.integers(len(piece))), int(scene.rng.integers(8)), float(scene.rng.uniform(0.3, 0.7)))
            for _ in range(int(scene.rng.integers(2, 6)))]
    flips = scene.rng.random((scene.reads, len(bits))) > np.array([share for _, _, share in bits])
    for cell in range(len(bits)):  # each of them is seen both ways, at reads of its own
        one, other = scene.rng.choice(scene.reads, 2, replace=False)
        flips[one, cell], flips[other, cell] = True, False

    def fault(seen: Cells, ranges: Ranges, number: int) -> None:
        for (offset, bit, _), flip in zip(bits, flips[number], strict=True):
            if flip:
                seen[offset] ^= 1 << bit
    scene.read_faults.append(fault)


def flash_defect(scene: Scene) -> None:
    """Break cells, a quad-word or a sector, and test the flash as it must be tested."""
    at, _ = a_piece(scene)
    sector = at - at % SECTOR
    rounds = int(scene.rng.integers(2, 7))
    shown = list(range(1, rounds + 1))
    kind = str(scene.rng.choice(["cells", "sector", "data path"]))
    faults: list[dict[str, object]] = []
    if kind == "sector":
        scene.suspect.cells[sector:sector + SECTOR] &= 0xF7
        faults.append({"kind": "dead-sector", "address": BASE + sector, "bit": None, "rounds": shown,
                       "detail": "does not reach 0xFF after erase"})
    else:
        for _ in range(int(scene.rng.integers(1, 4))):
            offset = at + int(scene.rng.integers(0x20, 0x60)) * 16 + int(scene.rng.integers(16))
            bit = int(scene.rng.integers(8))
            scene.suspect.cells[offset] &= 0xFF ^ (1 << bit)
            faults.append({"kind": "stuck-at-0", "address": BASE + offset, "bit": bit, "rounds": shown,
                           "detail": "reads 0 after erase and after every pattern"})
            if kind == "cells":
                faults.append({"kind": "ecc-uncorrected", "address": BASE + offset - offset % 16, "bit": None,
                               "rounds": shown, "detail": "ECCDETR names it"})
    scene.flashtest = flash_test(scene, sector, faults, rounds)
    scene.info = identity(scene)


def wrong_part(scene: Scene) -> None:
    """Let identity and marking disagree."""
    scene.info = scene.info or identity(scene)
    wrong_size = {2048: "STM32H563ZGT6", 1024: "STM32H563ZIT6"}[int(str(scene.info["flash_kib"]))]
    other_part = str(scene.rng.choice(["STM32H533RET6", "STM32H503RBT6"]))
    scene.marking = wrong_size if scene.rng.random() < 0.6 else other_part


def system_flash(scene: Scene) -> None:
    """Let the vendor's version word read as text, zeros or ones where the good board's reads well."""
    scene.suspect.banner["SFSP Version"] = str(scene.rng.choice(["v45.48.46", "v0.0.0", "v255.255.255", "v67.84.82"]))


def flash_test(scene: Scene, sector: int, faults: list[dict[str, object]], rounds: int = 4) -> dict[str, object]:
    """Return the record of a test of two sectors from `sector` on, under conditions that leave nothing out."""
    found = {s: [f for f in faults if (int(str(f["address"])) - BASE) // SECTOR == s // SECTOR]
             for s in (sector, sector + SECTOR)}
    return {
        "range": [BASE + sector, BASE + sector + 2 * SECTOR], "restored": True,
        "conditions": {"tzen": 0xC3, "product_state": 0xED, "wrp": [0xFFFFFFFF, 0xFFFFFFFF], "rev_id": 0x1007,
                       "voltage_mv": int(scene.rng.integers(2900, 3400)), "swd_hz": [1_000_000, 8_000_000],
                       "rounds": rounds, "power_cycles": int(scene.rng.integers(1, rounds))},
        "sectors": [{"start": BASE + s, "verdict": "bad" if fs else "good", "erase_s": 0.0022, "program_s": 0.06,
                     "faults": fs} for s, fs in found.items()],
        "faults": len(faults)}


def identity(scene: Scene) -> dict[str, object]:
    """Return the identity record of an ordinary rev X part with clean registers."""
    s = scene.suspect
    return {"chip": scene.chip, "dev_id": 0x484, "rev_id": 0x1007, "uid": scene.rng.bytes(12).hex().upper(),
            "flash_kib": len(s.cells) // 1024, "product_state": s.options["PRODUCT_STATE"], "tzen": s.options["TZEN"],
            "options": {k: {"value": v} for k, v in s.options.items()},
            "registers": {"ecccorr": 0, "eccdetr": 0, "opsr": 0, "hdpl": 1}}


def a_piece(scene: Scene) -> tuple[int, Cells]:
    """Return offset and bytes of a piece of the suspect that is read: from a sector's start, four sectors at most."""
    shown = (scene.suspect.cells.reshape(-1, SECTOR) != 0xFF).mean(axis=1) > 0.3
    shown[:max(scene.suspect.hidden, scene.good.hidden)] = False
    if scene.slots is not None:  # data of the application, not a signed slot's header
        shown[:scene.slots.begin // SECTOR] = False
    start = int(scene.rng.choice(np.flatnonzero(shown))) * SECTOR
    stop = start
    while stop < len(scene.suspect.cells) and stop - start < 4 * SECTOR and shown[stop // SECTOR]:
        stop += SECTOR
    cells = scene.suspect.cells[start:stop]
    length = int(np.flatnonzero(cells != 0xFF)[-1]) + 1
    return start, cells[:length - length % 16 or length].copy()


def _full_window(seen: Cells, ranges: Ranges, rng: np.random.Generator) -> int:
    """Return the offset of a 1 KB read window whose content is varied."""
    for _ in range(200):
        start, stop = ranges[int(rng.integers(len(ranges)))]
        at = start + int(rng.integers((stop - start) // 0x400)) * 0x400
        if len(np.unique(seen[at:at + 0x400])) > 40:
            return at
    return ranges[0][0]


CAUSES: tuple[Cause, ...] = (
    Cause("sound", "any", sound),
    Cause("install-pending", "oemirot", install_pending),
    Cause("masked-read", "oemirot", masked_read),
    Cause("debug-locked", "any", debug_locked),
    Cause("options-not-applied", "oemirot", options_not_applied),
    Cause("bank-swapped", "alone", bank_swapped),
    Cause("wrong-bank-erase", "alone", wrong_bank_erase),
    Cause("wrong-size-assumption", "alone", wrong_size_assumption),
    Cause("wrong-placement", "oemirot", wrong_placement),
    Cause("not-erased", "alone", not_erased),
    Cause("padding", "alone", padding),
    Cause("dump-corrupted", "any", dump_corrupted),
    Cause("loader-bypassed", "any", loader_bypassed),
    Cause("loader-mislinked", "any", loader_mislinked),
    Cause("application-wrote", "any", application_wrote),
    Cause("board-wiring", "any", board_wiring),
    Cause("torn-write", "any", torn_write),
    Cause("erratum", "any", erratum),
    Cause("write-protected", "alone", write_protected),
    Cause("worn-cells", "any", worn_cells),
    Cause("flash-defect", "alone", flash_defect),
    Cause("wrong-part", "any", wrong_part),
    Cause("system-flash", "any", system_flash),
)
BY_ID: Mapping[str, Cause] = {c.id: c for c in CAUSES}
