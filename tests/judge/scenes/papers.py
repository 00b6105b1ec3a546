"""What the bench's tools would have printed or saved: banners, listings, logs, boot logs, registers, records."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

_RULE = "      -------------------------------------------------------------------\n"


@dataclass(frozen=True)
class Part:
    """A chip on the bench, as its owner knows it."""

    word: str
    dev_id: int
    device: str
    kib: int
    cpu: str
    sector: int
    revision: str
    bl: str
    marking: str
    family: str
    banks: int = 2
    base: int = 0x08000000

    @property
    def size(self) -> int:
        return self.kib * 1024


PARTS = {
    p.word: p
    for p in (
        Part("h563", 0x484, "STM32H56x/573", 2048, "Cortex-M33", 0x2000, "Rev X", "0xE5", "STM32H563ZIT6", "h5"),
        Part("h563g", 0x484, "STM32H56x/573", 1024, "Cortex-M33", 0x2000, "Rev X", "0xE5", "STM32H563VGT6", "h5"),
        Part("h573", 0x484, "STM32H56x/573", 2048, "Cortex-M33", 0x2000, "Rev X", "0xE4", "STM32H573IIK3Q", "h5"),
        Part("h523", 0x478, "STM32H533/523", 512, "Cortex-M33", 0x2000, "Rev Z", "0xE2", "STM32H523CEU6", "h5"),
        Part("u575", 0x482, "STM32U575/STM32U585", 2048, "Cortex-M33", 0x2000, "Rev X", "0x92", "STM32U575ZIT6Q", "u5"),
        Part("l552", 0x472, "STM32L5x2", 512, "Cortex-M33", 0x800, "Rev Z", "0x92", "STM32L552ZET6Q", "l5"),
        Part("l476", 0x415, "STM32L47x/L48x", 1024, "Cortex-M4", 0x800, "Rev 4", "0x92", "STM32L476RGT6", "other"),
        Part("g474", 0x469, "STM32G47x/G48x", 512, "Cortex-M4", 0x800, "Rev Z", "0xD5", "STM32G474RET6", "other"),
        Part(
            "f407",
            0x413,
            "STM32F405xx/F407xx/F415xx/F417xx",
            1024,
            "Cortex-M4",
            0x4000,
            "Rev 2.0",
            "0x91",
            "STM32F407VGT6",
            "other",
            1,
        ),
        Part(
            "l073",
            0x447,
            "STM32L07x/L08x/L010",
            192,
            "Cortex-M0+",
            0x80,
            "Rev Z",
            "0xC1",
            "STM32L073RZT6",
            "other",
        ),
        Part("h743", 0x450, "STM32H7xx", 2048, "Cortex-M7", 0x20000, "Rev V", "0x90", "STM32H743ZIT6", "other"),
    )
}


@dataclass
class Options:
    """Option bytes of a part with TrustZone, as far as scenes change them."""

    state: int = 0xED
    tzen: int = 0xC3
    swap: int = 0
    rdp: int = 0xAA
    nsboot: int = 0x80000
    secwm1: tuple[int, int] = (0x7F, 0)
    secwm2: tuple[int, int] = (0x7F, 0)
    wrp: tuple[int, int] = (0xFFFFFFFF, 0xFFFFFFFF)
    hdp1: tuple[int, int] = (1, 0)
    edata: int = 0
    nboot0: int = 1
    extra: dict[str, str] = field(default_factory=dict)


STATES = {0xED: "Open", 0x17: "Provisioning", 0x2E: "Provisioned", 0xC6: "TZ-Closed", 0x72: "Closed", 0x5C: "Locked"}


def banner(
    rng: random.Random, part: Part, *, mode: str = "Hot Plug", size_known: bool = True, volt: float = 3.29
) -> str:
    size = f"{part.kib // 1024} MBytes" if part.kib >= 1024 else f"{part.kib} KBytes"
    version = rng.choice(("v2.17.0", "v2.18.0", "v2.19.0", "v2.20.0"))
    return (
        f"{_RULE}                        STM32CubeProgrammer {version}                  \n{_RULE}\n"
        f"ST-LINK SN  : 00{rng.randrange(1 << 88):022X}\nST-LINK FW  : V3J{rng.randint(13, 16)}M{rng.randint(3, 7)}\n"
        f"Board       : --\nVoltage     : {volt:.2f}V\nSWD freq    : 8000 KHz\nConnect mode: {mode}\n"
        f"Reset mode  : Software reset\nDevice ID   : 0x{part.dev_id:03X}\nRevision ID : {part.revision}\n"
        f"Device name : {part.device}\nFlash size  : {size}{'' if size_known else ' (default)'}\nDevice type : MCU\n"
        f"Device CPU  : {part.cpu}\nBL Version  : {part.bl}\nDebug in Low Power mode enabled\n\n"
    )


def listing(rng: random.Random, part: Part, o: Options) -> str:
    rows: list[tuple[str, list[tuple[str, str]]]]
    at = lambda bank, n: part.base + bank * part.size // part.banks + n * part.sector  # noqa: E731
    if part.family == "h5":
        rows = [
            ("Product state", [("PRODUCT_STATE", f"0x{o.state:X} ({STATES[o.state]})")]),
            ("BOR Level", [("BOR_LEV", "0x0 (BOR Level 1, the threshold level is low (around 2.1 V))")]),
            (
                "User Configuration",
                [
                    ("IWDG_SW", "0x1  (0x1)"),
                    ("BOOT_UBE", "0xB4 (OEM-iRoT (user flash) selected)"),
                    ("SWAP_BANK", f"0x{o.swap:X}  (0x{o.swap:X})"),
                    ("NRST_STOP", "0x1  (0x1)"),
                ],
            ),
            ("User Configuration 2", [("TZEN", f"0x{o.tzen:X} (Trust zone {'en' if o.tzen == 0xB4 else 'dis'}abled)")]),
            (
                "Boot Configuration",
                [
                    ("NSBOOTADD", f"0x{o.nsboot:X}  (0x{o.nsboot << 8:X})"),
                    ("NSBOOT_LOCK", "0xC3 (The SWAP_BANK and NSBOOTADD can still be modified)"),
                    ("SECBOOTADD", "0xC0000  (0xC000000)"),
                ],
            ),
            (
                "Bank1 - Flash watermark area definition",
                [
                    ("SECWM1_STRT", f"0x{o.secwm1[0]:X}  (0x{at(0, o.secwm1[0]):X})"),
                    ("SECWM1_END", f"0x{o.secwm1[1]:X}  (0x{at(0, o.secwm1[1]):X})"),
                ],
            ),
            ("Write sector group protection 1", [("WRPSGn1", f"0x{o.wrp[0]:08X}  (0x0)")]),
            (
                "Bank2 - Flash watermark area definition",
                [
                    ("SECWM2_STRT", f"0x{o.secwm2[0]:X}  (0x{at(1, o.secwm2[0]):X})"),
                    ("SECWM2_END", f"0x{o.secwm2[1]:X}  (0x{at(1, o.secwm2[1]):X})"),
                ],
            ),
            ("Write sector group protection 2", [("WRPSGn2", f"0x{o.wrp[1]:08X}  (0x8000000)")]),
            (
                "Flash data bank 1 sectors",
                [("EDATA1_EN", f"0x{o.edata:X} (Flash high-cycle data area)"), ("EDATA1_STRT", "0x0  (0x0)")],
            ),
            (
                "Flash HDP bank 1",
                [("HDP1_STRT", f"0x{o.hdp1[0]:X}  (0x2000)"), ("HDP1_END", f"0x{o.hdp1[1]:X}  (0x0)")],
            ),
        ]
    elif part.family in ("u5", "l5"):
        level = {0xAA: "Level 0, no protection", 0x55: "Level 0.5", 0xCC: "Level 2"}.get(
            o.rdp, "Level 1, read protection of memories"
        )
        rows = [
            ("Read Out Protection", [("RDP", f"0x{o.rdp:X} ({level})")]),
            (
                "User Configuration",
                [
                    ("nRST_STOP", "0x1  (0x1)"),
                    ("SWAP_BANK", f"0x{o.swap:X}  (0x{o.swap:X})"),
                    ("DBANK", "0x1  (0x1)"),
                    ("nSWBOOT0", "0x1  (0x1)"),
                    ("nBOOT0", f"0x{o.nboot0:X}  (0x{o.nboot0:X})"),
                    ("TZEN", f"0x{1 if o.tzen == 0xB4 else 0:X}  (0x0)"),
                ],
            ),
            ("Boot Configuration", [("NSBOOTADD0", "0x100000  (0x8000000)")]),
        ]
    else:
        level = {0xAA: "Level 0, no protection", 0xCC: "Level 2"}.get(o.rdp, "Level 1, read protection of memories")
        rows = [
            ("Read Out Protection", [("RDP", f"0x{o.rdp:X} ({level})")]),
            (
                "User Configuration",
                [
                    ("nRST_STOP", "0x1  (0x1)"),
                    ("IWDG_SW", "0x1  (0x1)"),
                    ("nBOOT0", f"0x{o.nboot0:X}  (0x{o.nboot0:X})"),
                ],
            ),
        ]
    text = (
        banner(rng, part)
        + "\nUPLOADING OPTION BYTES DATA ...\n\n  Bank          : 0x00\n  Address       : 0x40022050\n  Size          : 176 Bytes\n\n"
    )
    text += "[==================================================] 100% \n\n\nOPTION BYTES BANK: 0\n\n"
    for title, fields in rows:
        text += f"   {title}:\n\n" + "".join(f"     {n:<13}: {o.extra.get(n, v)} \n" for n, v in fields) + "\n"
    return text


def gui(rng: random.Random, text: str) -> str:
    """Return the text as the graphical programmer's log pane saves it."""
    h, m, s = rng.randint(8, 18), rng.randint(0, 59), rng.randint(0, 50)
    return "".join(f"{h:02d}:{m:02d}:{s:02d} : {line}\n" for line in text.splitlines() if line.strip())


def programming(
    name: str,
    base: int,
    size: int,
    *,
    sectors: tuple[int, int],
    verified: bool = True,
    stop_at: int | None = None,
    error: str = "",
) -> str:
    text = (
        f"Memory Programming ...\nOpening and parsing file: {name}\n  File          : {name}\n"
        f"  Size          : {size / 1024:.2f} KB \n  Address       : 0x{base:08X} \n\n\n"
        f"Erasing memory corresponding to segment 0:\nErasing internal memory sectors [{sectors[0]} {sectors[1]}]\nDownload in Progress:\n"
    )
    if stop_at is not None:
        return (
            text
            + f"[{'=' * 20}                              ]  {stop_at}% \nError: {error or 'failed to download Segment[0]'}\nError: failed to download the File\n"
        )
    text += "[==================================================] 100% \n\nFile download complete\nTime elapsed during download operation: 00:00:02.112\n"
    if verified:
        text += "\nVerifying ...\n\n\nRead progress:\n[==================================================] 100% \n\nDownload verified successfully \n"
    elif error:
        text += f"\nVerifying ...\n\n\nRead progress:\nError: {error}\nError: Download verification failed\n"
    return text


def core_record(part: Part, chip: str, pcs: list[int], place: str, *, tzen: int = 195, state: int = 237) -> bytes:
    return json.dumps(
        {
            "chip": chip,
            "dev_id": part.dev_id,
            "rev_id": 0x1007,
            "revision": "X",
            "uid": "0042001A3233510B31393439",
            "flash_kib": part.kib,
            "product_state": state,
            "tzen": tzen,
            "options": {},
            "registers": {"ecccorr": 0, "eccdetr": 0, "opsr": 0},
            "core": {
                "state": "running",
                "samples": [{"pc": p, "place": place} for p in pcs],
                "vtor": pcs[0] & ~0xFFF,
                "resets": ["power on"],
                "halted_s": 0.0,
                "faults": {},
            },
        }
    ).encode()


def flash_record(
    rng: random.Random, start: int, *, proven: bool, faults: bool, sectors: int = 4, level: str = "standard"
) -> bytes:
    """Return what a flash test saved."""
    bad = start + rng.randrange(1, sectors) * 0x2000
    word = bad + rng.randrange(0x200) * 16
    rows = []
    for n in range(sectors):
        at = start + n * 0x2000
        found = []
        if faults and at == bad:
            rounds = [1, 2, 3, 4] if proven else [2]
            found = [
                {
                    "kind": "ecc-uncorrected",
                    "address": word,
                    "bit": None,
                    "detail": "same quad-word after every pattern",
                    "rounds": rounds,
                },
                {
                    "kind": "stuck-at-0",
                    "address": word,
                    "bit": rng.randrange(128),
                    "detail": "reads 0 after every pattern",
                    "rounds": rounds,
                },
            ]
        rows.append(
            {"start": at, "verdict": "bad" if found else "good", "erase_s": 0.002, "program_s": 0.05, "faults": found}
        )
    conditions = {
        "tzen": 195,
        "product_state": 237,
        "wrp": [0xFFFFFFFF, 0xFFFFFFFF],
        "rev_id": 0x1007,
        "voltage_mv": 3290 if proven else None,
        "swd_hz": [1000000, 8000000] if proven else [8000000],
        "rounds": 4 if proven else 2,
        "power_cycles": 1 if proven else 0,
        "second_path": "core-checksum" if proven else None,
    }
    return json.dumps(
        {
            "range": [start, start + sectors * 0x2000],
            "level": level,
            "restored": True,
            "conditions": conditions,
            "sectors": rows,
            "faults": sum(len(r["faults"]) for r in rows),
        }
    ).encode()


def hex_file(data: bytes, base: int) -> bytes:
    """Return Intel HEX text, one record per 16 bytes, as objcopy writes it."""
    out, upper = [], -1
    for i in range(0, len(data), 16):
        at, part = base + i, data[i : i + 16]
        if at >> 16 != upper:
            upper = at >> 16
            out.append(_record(0, 4, upper.to_bytes(2, "big")))
        out.append(_record(at & 0xFFFF, 0, part))
    return ("\n".join([*out, ":00000001FF"]) + "\n").encode()


def _record(address: int, kind: int, data: bytes) -> str:
    raw = bytes([len(data), address >> 8, address & 0xFF, kind]) + data
    return ":" + (raw + bytes([-sum(raw) & 0xFF])).hex().upper()
