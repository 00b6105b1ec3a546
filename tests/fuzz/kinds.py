"""More kinds for `fuzz_cases.py`: memory files, tools' texts, layouts, images, keys and objects, scripts, the wire."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))
import cubeprog_texts as texts
import provisioning_sets as sets

from h5diag.case.intake import parse_name, tell
from h5diag.chip import load_chip
from h5diag.errors import H5DiagError, ProbeError
from h5diag.evidence.archives import archived_files
from h5diag.evidence.door import EvidenceFile
from h5diag.evidence.files import decode_text, parse_memory_text, parse_sidecar, read_image, write_image
from h5diag.evidence.keys import (
    looks_like_obk,
    looks_like_xml,
    parse_chain,
    parse_decrypt_key,
    parse_key,
    parse_obk,
    parse_password,
    parse_provisioning_xml,
    parse_verify_key,
)
from h5diag.evidence.samples import data_folder
from h5diag.evidence.texts import parse_listing, parse_registers
from h5diag.judge.preflight import preflight
from h5diag.layout import load_layout
from h5diag.measure.firmware import boot_states, examine_images
from h5diag.measure.logs import explain_text
from h5diag.measure.options import check_options, decode_listing, decode_registers, summary
from h5diag.memory import AddressRange, MemoryImage, Segment
from h5diag.sim.rehearse import PartTraits, WalkInputs, walk_script
from h5diag.sim.virtual import VirtualChip, parse_items
from h5diag.sim.virtual.probe import VirtualProbe, _Handler
from h5diag.sim.virtual.record import ReplayProbe

Make = Callable[[random.Random], bytes]
Use = Callable[[bytes], object]
FOLDER = Path(tempfile.mkdtemp(prefix="h5diag-fuzz-"))
DATA = data_folder()
LAYOUT = load_layout("oemirot-2m-overwrite")
RNG = random.Random(7)
WORDS = (
    *(b"\xff" * 4, bytes(4), b"\0\0\0\x80", b"\xff\xff\xff\x7f", b"\xff\xfe", b"\x1b[2J", b"\r", b"\n", b"0x", b": "),
    *(b"9" * 40, b"0x" + b"f" * 30, b"\"'`$(){};|&<>\\", b" " * 200, b"\n" * 200, b"[" * 200, b"%s{0}${x}", b"../../"),
    *("\u202e\u2028\u2219".encode(), b"Error: ", b"-ob A=1 ", b"nan", b"-1", b"true", b"null", b"/dev/zero"),
)


def changed(rng: random.Random, data: bytes, most: int = 6) -> bytes:
    """Change a few bytes, words or borders."""
    out = bytearray(data)
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(7):
            case 0:
                out[at : at + 1] = rng.randbytes(1)
            case 1:
                word = rng.choice(WORDS)
                out[at : at + len(word)] = word
            case 2:
                del out[at : at + rng.randint(1, 64)]
            case 3:
                out[at:at] = bytes(out[at : at + rng.randint(1, 60)]) * rng.choice((1, 2, 20))
            case 4:
                out[at:at] = rng.choice(WORDS)
            case 5:
                lines = out.split(b"\n")
                i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[i], lines[j] = lines[j], lines[i]
                out = bytearray(b"\n".join(lines))
            case _:
                if rng.random() < 0.4:
                    del out[at:]
    return bytes(out[: 1 << 16])


def of(*seeds: bytes) -> Make:
    return lambda rng: changed(rng, rng.choice(seeds))


def opened(name: str, data: bytes) -> EvidenceFile:
    """Return a file as the door gives it; what lies beside it is nowhere."""
    return EvidenceFile(name, FOLDER / name, len(data), hashlib.sha256(data).hexdigest(), data)


# Memory files ---------------------------------------------------------------------------------------------------
IMAGE = MemoryImage(
    (Segment(0x0800_0000, np.arange(200, dtype=np.uint8)), Segment(0x0C0B_E000, np.arange(60, dtype=np.uint8))),
    (AddressRange(0x0800_0100, 0x0800_0140),),
)


def memory(suffix: str, *more: bytes) -> tuple[Make, Use]:
    names = {".txt": (), ".uf2": (), ".dfu": ()}
    image = IMAGE if suffix != ".bin" else IMAGE.crop(0, 0x0900_0000)
    seeds = more if suffix in names else (write_image(image, FOLDER / f"seed{suffix}").read_bytes(), *more)

    def use(data: bytes) -> None:
        file = opened(f"a{suffix}", data)
        with contextlib.suppress(H5DiagError):
            assert read_image(file).size <= max(64 << 20, 4 * len(data))
        tell(file, parse_name(Path(file.name)))

    return of(*seeds), use


def uf2() -> bytes:
    blocks = (
        b"UF2\n\x57\x51\x5d\x9e"
        + b"".join(v.to_bytes(4, "little") for v in (0x2000, 0x0800_0000 + 256 * i, 256, i, 3, 0))
        + bytes([i] * 476)
        + (0x0AB16F30).to_bytes(4, "little")
        for i in range(3)
    )
    return b"".join(blocks)


def dfu() -> bytes:
    body = b"Target" + bytes((0,)) + bytes(4) + b"name".ljust(255, b"\0") + (16 + 8).to_bytes(4, "little")
    body += (
        (1).to_bytes(4, "little") + (0x0800_0000).to_bytes(4, "little") + (16).to_bytes(4, "little") + bytes(range(16))
    )
    return b"DfuSe" + b"\1" + (11 + len(body)).to_bytes(4, "little") + b"\1" + body


def with_suffix(data: bytes) -> bytes:
    import zlib

    data += bytes.fromhex("00008348df111a01") + b"UFD" + bytes((16,))
    return data + (zlib.crc32(data) ^ 0xFFFFFFFF).to_bytes(4, "little")


VIEWS = (
    b"0x08000000 : 20017FF0 ???????? 08000201\n0x08000010 : 00000000 0x1\n*\n0x08000100\n",
    b"08000000: f07f 0120 0102 0008  ... ....\n00000000  7f 45 4c 46  |.ELF|\n(gdb) x/4xw 8\n0x8 <a+4>:\t0x1\t0x2\n",
)

# Texts ----------------------------------------------------------------------------------------------------------
TEXTS = {
    "listing": (texts.h5_listing(), texts.L5_LISTING, texts.U5_LISTING, texts.EXPORT, texts.gui(texts.h5_listing())),
    "registers": (texts.REGISTERS_COLUMNS, texts.REGISTERS_MDW),
    "connection log": (texts.BANNER + texts.DISCOVERY, texts.DISCOVERY_FAILED, texts.USB),
    "boot log": (texts.UART, "[INF] Starting bootloader\n[INF] Swap type: none\n[ERR] Unable to find bootable image\n"),
    "programming log": (texts.provisioning_log(), texts.provisioning_log(images="enc", failed_boot=True)),
}


def listing(data: bytes) -> None:
    text = decode_text(data)
    for board in (
        decode_listing(parse_listing(text), load_chip()),
        decode_registers(parse_registers(text), load_chip()),
    ):
        summary(board)
        check_options(board, LAYOUT)


def log(data: bytes) -> None:
    said = str(explain_text(decode_text(data), layout=LAYOUT))
    assert all(c.isprintable() or c == "\n" for c in said), "an unprintable character is shown"


# Layouts --------------------------------------------------------------------------------------------------------
LAYOUTS = {
    ".h": b"#define BASE 0x18000\n#if defined(BASE) && (BASE > 2)\n#define USED (1)\n#endif\n"
    + b"".join(
        b"#define FLASH_AREA_%d_OFFSET (BASE + 0x%X)\n#define FLASH_AREA_%d_SIZE (0x%X)\n" % (i, i << 15, i, 1 << 15)
        for i in range(4)
    ),
    ".yml": b"mcuboot:\n  address: 0x0\n  size: 0xc000\n  end_address: 0xc000\n  region: flash_primary\n"
    b"mcuboot_primary:\n  address: 0xc000\n  size: 0x72000\n  span: [a, b]\n",
    ".dts": b"/dts-v1/;\n/ { soc { flash0: flash@8000000 { reg = <0x08000000 0x200000>;"
    b' partitions { compatible = "fixed-partitions"; #address-cells = <1>;'
    b' boot: partition@0 { label = "mcuboot"; reg = <0x0 (64 * 1024)>; };'
    b' slot0: partition@10000 { label = "image-0"; reg = <0x10000 0x70000>; }; }; }; }; };\n',
    ".toml": b'title = "own"\nmode = "overwrite"\n[[slots]]\nname = "primary"\nstart = 0x08018000\n'
    b'size = 0x8000\nrole = "primary"\nimage = 0\n'
    b'[[slots]]\nname = "download"\nstart = 0x08020000\nsize = 0x8000\nrole = "secondary"\nimage = 0\n',
}


def layout(suffix: str) -> tuple[Make, Use]:
    return of(LAYOUTS[suffix]), lambda data: load_layout(opened(f"flash_layout{suffix}", data))


# Images, keys, objects ------------------------------------------------------------------------------------------
ONE, TWO = sets.private_key(RNG), sets.private_key(RNG)
PEMS = (
    *((DATA / "keys" / n).read_bytes() for n in ("sign-p256.pem", "encrypt-p256-pub.pem")),
    *(sets.pem(ONE, form) for form in ("pkcs8", "sec1", "der")),
)
SIGNED = read_image(DATA / "images" / "nonsecure_init_sign.hex")
BOOT_IMAGE = SIGNED.segments[0].data[:1024].tobytes() + SIGNED.segments[-1].data[-1024:].tobytes()
OBK = (
    sets.da_obk(hashlib.sha256(b"x").digest()),
    sets.obk(0x0FFD0000, sets.scalar70(ONE), 1),
    sets.obk(0x0FFD0100, bytes(64), 0),
)
CHAIN = b"".join(sets.certificate(r, k, ONE) for r, k in ((0, ONE), (1, TWO)))
XML = (
    b'<?xml version="1.0"?><Root><Obdata><Info><ObDestAddress>0x0FFD0100</ObDestAddress><DoEncryption>1</DoEncryption>'
    b"</Info><File><Name>Key</Name><Value>./k.pem</Value></File><Permission><Value>0x5077</Value></Permission>"
    b"<Param><Name>n</Name><Value>2</Value></Param><Output><Value>a.obk</Value></Output></Obdata></Root>",
)


def keys(data: bytes) -> None:
    for parse in (parse_key, parse_verify_key, parse_decrypt_key, parse_chain):
        with contextlib.suppress(H5DiagError):
            parse(data)


def objects(data: bytes) -> None:
    parse_password(data)
    for looks, parse in ((looks_like_obk, parse_obk), (looks_like_xml, parse_provisioning_xml)):
        with contextlib.suppress(H5DiagError):
            looks(data)
            parse(data)
    with contextlib.suppress(H5DiagError):
        parse_chain(data)


def boot_image(data: bytes) -> None:
    image = MemoryImage.from_bytes(data, 0x0C01_8000) if data else MemoryImage()
    examine_images(image)
    boot_states(image, LAYOUT)


# Provisioning ---------------------------------------------------------------------------------------------------
SHELL = (
    b'#!/bin/bash\nx=$(cd "$(dirname "$0")"; pwd)\nfor i in 1 2 3; do if [ $i -eq 2 ]; then echo $x; fi; done\n'
    b"STM32_Programmer_CLI -c port=SWD mode=UR -ob TZEN=0xB4 SECWM1_STRT=0x0\n"
    b'[ $? -eq 0 ] || exit 1\nf() { local y=$1; STM32_Programmer_CLI -c port=SWD -d "$y.hex" -v; }\nf app\n',
    b'case "$1" in a*) x=${1#a};; *) x="${2:-b}";; esac\nfor l in a q; do echo "${l//a/b}" | tr a-z A-Z; done\n'
    b"x=$((1 + 0x10 * 2)); STM32_Programmer_CLI -c port=SWD -w32 $x 1 || { echo no; exit 2; }\n",
)
BATCH = (
    b"@echo off\r\nsetlocal\r\nset x=0xB4\r\nfor %%i in (1 2 3) do (\r\n  call :f %%i\r\n)\r\n"
    b"STM32_Programmer_CLI.exe -c port=SWD mode=UR -ob TZEN=%x%\r\nif !errorlevel! neq 0 goto :error\r\nexit /b 0\r\n"
    b':f\r\nif "%~1"=="2" (echo two) else echo %1\r\ngoto :eof\r\n:error\r\nexit 1\r\n',
)


def script(name: str) -> Use:
    stage = WalkInputs(FOLDER, PartTraits("h563", False, stirot=False))

    def use(data: bytes) -> None:
        (FOLDER / name).write_bytes(data)
        walk_script(FOLDER / name, stage)

    return use


SETS = [FOLDER / f"set{i}" for i in range(6)]
for number, place in enumerate(SETS):
    sets.sound_plan(random.Random(number)).write(place)
SET_FILES = [sorted(p for p in place.rglob("*") if p.is_file()) for place in SETS]


def provisioning_set(data: bytes) -> None:
    rng = random.Random(data)
    number = rng.randrange(len(SETS))
    path = rng.choice(SET_FILES[number])
    before = path.read_bytes()
    try:
        path.write_bytes(changed(rng, before))
        preflight(SETS[number])
    finally:
        path.write_bytes(before)


# The wire -------------------------------------------------------------------------------------------------------
CHIP = VirtualChip(parse_items(["board=sound"]))


class Wire:
    """Stands for a client's connection: what it says, and what it is answered."""

    def __init__(self, said: bytes) -> None:
        self.said, self.answered = said, bytearray()

    def setsockopt(self, *_: object) -> None:
        """Nothing to set."""

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self.said)

    def sendall(self, data: bytes) -> None:
        self.answered += data
        assert len(self.answered) < 64 << 20, "answers without end"


class Server:
    session = SimpleNamespace(log_tracebacks=False)
    probe = property(lambda self: VirtualProbe(CHIP))


QUESTIONS: tuple[tuple[str, list[Any]], ...] = (
    *(("hello", [1]), ("readprop", ["capabilities"]), ("readprop", ["swd_hz"]), ("open", []), ("connect", ["SWD"])),
    *(
        ("swj_sequence", [51, 0xFFFFFFFFFFFFFF]),
        ("read_dp", [0]),
        ("write_dp", [4, 0x50000000]),
        ("write_dp", [8, 0]),
        ("read_ap", [0xFC]),
    ),
    *(("read_ap_multiple", [12, 4]), ("write_ap_multiple", [12, [1, 2]]), ("get_memory_interface_for_ap", [1, 0])),
    *(("read_block32", [0, 0x0800_0000, 4]), ("read_block8", [0, 0x0800_0000, 4]), ("set_clock", [1000000])),
    *(("lock", []), ("unlock", []), ("reset", []), ("assert_reset", [True]), ("flush", []), ("close", [])),
)
SESSION = b"".join(
    json.dumps({"id": i, "request": r, "arguments": a}).encode() + b"\n" for i, (r, a) in enumerate(QUESTIONS)
)
ANSWERS = b"".join(
    json.dumps({"id": i, "status": 0, "result": r}).encode() + b"\n"
    for i, r in enumerate((None, 1, "virtual", ["SWJ_SEQUENCE"], 0x6BA02477, [1, 2, 3, 4], None, [0], "x"))
)


def serve(data: bytes) -> None:
    _Handler(Wire(data), ("127.0.0.1", 1), Server())  # type: ignore[arg-type]


class Lines:
    """Stands for the socket of a client: every question is answered by the next line of the input."""

    def __init__(self, data: bytes) -> None:
        self.lines = data.splitlines(keepends=True)

    def write(self, data: bytes) -> None:
        """Take a question."""

    def readline(self) -> bytes:
        if not self.lines:
            raise OSError("closed")
        return self.lines.pop(0)

    def close(self) -> None:
        """Nothing to close."""


def ask(data: bytes) -> None:
    from pyocd.core import exceptions

    from h5diag.probe.board.probes import RemoteProbe

    probe = RemoteProbe("127.0.0.1:1")
    probe._socket, probe._is_open = Lines(data), True
    for request, arguments in QUESTIONS:
        with contextlib.suppress(exceptions.Error):
            probe._perform_request(request, *arguments)


RECORDING = b"".join(
    json.dumps(line).encode() + b"\n"
    for line in (
        {"kind": "h5diag session 1", "unique_id": "x", "description": "y"},
        ["capabilities", [], ["SWJ_SEQUENCE"]],
        ["open", [], None],
        ["connect", ["SWD"], None],
        ["read_dp", [0, True], 0x6BA02477],
        ["read_ap", [0xFC, True], None, ["TransferFaultError", "x", 8]],
    )
)


def replay(data: bytes) -> None:
    from pyocd.core import exceptions

    (FOLDER / "r.jsonl").write_bytes(data)
    probe = ReplayProbe.load(str(FOLDER / "r.jsonl"))
    assert isinstance(probe.capabilities, set)
    for name, arguments in (("open", ()), ("connect", (None,)), ("read_dp", (0,)), ("read_ap", (0xFC,))):
        with contextlib.suppress(exceptions.Error, ProbeError):
            getattr(probe, name)(*arguments)


def archive() -> bytes:
    """Return a small zip archive of evidence."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("board 1/dump.bin", bytes(range(256)) * 4)
        z.writestr("log.txt", "Device ID   : 0x484\n" * 20)
    return out.getvalue()


MORE: dict[str, tuple[Make, Use]] = {
    "archive": (of(archive()), lambda data: archived_files(opened("a.zip", data))),
    **{f"memory {s}": memory(s) for s in (".hex", ".srec", ".elf", ".bin")},
    "memory .uf2": memory(".uf2", uf2()),
    "memory .dfu": (lambda rng: with_suffix(changed(rng, dfu())), memory(".dfu", dfu())[1]),
    "memory view": (of(*VIEWS), lambda data: parse_memory_text(data.decode("latin-1"))),
    "sidecar alone": (
        of(b'{"base": 134217728, "holes": [[134217728, 134217760]], "access": "secure", "passes": 2, "sha256": "ab"}'),
        lambda data: parse_sidecar(opened("a.bin.map.json", data)),
    ),
    **{k: (of(*(t.encode() for t in v)), listing if k in ("listing", "registers") else log) for k, v in TEXTS.items()},
    **{f"layout {s}": layout(s) for s in LAYOUTS},
    "boot image": (of(BOOT_IMAGE), boot_image),
    "keys": (of(*PEMS), keys),
    "objects": (of(*OBK, CHAIN, *XML), objects),
    "shell script": (of(*SHELL), script("run.sh")),
    "batch script": (of(*BATCH), script("run.bat")),
    "provisioning set": (lambda rng: rng.randbytes(8), provisioning_set),
    "server": (of(SESSION), serve),
    "client": (of(ANSWERS), ask),
    "recording": (of(RECORDING), replay),
}
MORE_COST = {"provisioning set": 20}
