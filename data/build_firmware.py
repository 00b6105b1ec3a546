"""Compile the sample firmware and sign it: ``python data/build_firmware.py [--sign]``.

The plain images (``boot.bin``, ``secure.bin``, ``nonsecure.bin``, ``standalone.hex``) depend on the sources and
the compiler alone. The signed ones hold random numbers (ECDSA nonce, image key, ephemeral key), so they are
committed, made anew only with ``--sign``, and compared without those parts.

Needs Debian's ``gcc-arm-none-eabi``; with ``--sign`` also imgtool 2.5.0. imgtool runs with ``--align 8``: at
``--align 16`` it writes a trailer magic that ST's MCUboot does not know and would never install.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from intelhex import IntelHex

HERE = Path(__file__).resolve().parent
FIRMWARE = HERE / "firmware"
IMAGES = HERE / "images"
KEYS = HERE / "keys"
COMPILER = "arm-none-eabi-gcc"

HEADER_SIZE = 0x400
SECURE_BASE = 0x0C018400  # body of the secure primary slot
SECURE_CODE_END = 0x0C019C90  # where code and constants end on the founding case's good board
SECURE_BODY_SIZE = 0x4C10  # up to and with the two entry veneers at slot offset 0x5000
NONSECURE_BASE = 0x0801E400
BOOT_BASE = 0x0C000000
TABLES_BASE = 0x08024000
TABLES_SIZE = 0x3000

COMMON = ("start.c", "board.c", "text.c", "crc32.c")
FLAGS = (
    "-mcpu=cortex-m33",
    "-mthumb",
    "-Os",
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",
    "-ffunction-sections",
    "-fno-tree-loop-distribute-patterns",
    "-nostdlib",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    f"-I{FIRMWARE / 'common'}",
    f"-L{FIRMWARE / 'ld'}",
)


@dataclass(frozen=True, slots=True)
class SignedImage:
    """One imgtool run: `body` from the plain images, `address` of the slot, `init` for the primary slot."""

    name: str
    body: str
    address: int
    slot_size: int
    init: bool


SIGNED = (
    SignedImage("secure_enc_sign_a.hex", "secure.bin", 0x080BE000, 0x6000, False),
    SignedImage("secure_enc_sign_b.hex", "secure.bin", 0x080BE000, 0x6000, False),
    SignedImage("nonsecure_enc_sign_a.hex", "nonsecure.bin", 0x080C4000, 0xA0000, False),
    SignedImage("nonsecure_enc_sign_b.hex", "nonsecure.bin", 0x080C4000, 0xA0000, False),
    SignedImage("secure_init_sign.hex", "secure.bin", 0x08018000, 0x6000, True),
    SignedImage("nonsecure_init_sign.hex", "nonsecure.bin", 0x0801E000, 0xA0000, True),
)


def compile_firmware(out: Path) -> None:
    """Write the four plain images to `out`."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        secure = ("-mcmse", "-DSECURE_BUILD")
        implib = work / "secure_entries.o"
        link = ("-Wl,--cmse-implib", f"-Wl,--out-implib={implib}")
        # The curve is the last thing in the image; its number of points brings the code to the wanted end.
        _write_curve(work / "curve.c", 2)
        sources = [*_common("sha256.c"), FIRMWARE / "secure" / "main.c", work / "curve.c"]
        elf = _link(work / "secure.elf", "secure.ld", [*secure, *link], sources)
        _write_curve(work / "curve.c", SECURE_CODE_END - _section(elf, ".curve"))
        elf = _link(work / "secure.elf", "secure.ld", [*secure, *link], sources)
        body = _linear(elf, SECURE_BASE)
        if any(body[SECURE_BODY_SIZE:]) or len(body) < SECURE_BODY_SIZE:
            raise SystemExit("the secure image does not end with its two entry veneers")
        (out / "secure.bin").write_bytes(body[:SECURE_BODY_SIZE])

        elf = _link(
            work / "nonsecure.elf", "nonsecure.ld", [], [*_common("flash.c"), FIRMWARE / "nonsecure" / "main.c", implib]
        )
        (out / "nonsecure.bin").write_bytes(_linear(elf, NONSECURE_BASE))
        elf = _link(
            work / "boot.elf",
            "boot.ld",
            ["-DSECURE_BUILD"],
            [*_common("sha256.c", "flash.c"), FIRMWARE / "boot" / "main.c"],
        )
        (out / "boot.bin").write_bytes(_linear(elf, BOOT_BASE))

        _write_tables(work / "tables.c")
        elf = _link(
            work / "standalone.elf",
            "standalone.ld",
            ["-DSTANDALONE", f"-I{FIRMWARE / 'standalone'}"],
            [
                *_common("flash.c"),
                FIRMWARE / "nonsecure" / "main.c",
                FIRMWARE / "standalone" / "alone.c",
                work / "tables.c",
            ],
        )
        _write_hex(_loaded(elf), out / "standalone.hex")


def sign(plain: Path, out: Path) -> None:
    """Sign and encrypt the bodies in `plain` with the throw-away keys; write hex files of head and trailer."""
    imgtool = shutil.which("imgtool", path=str(Path(sys.executable).parent)) or "imgtool"
    for image in SIGNED:
        with tempfile.TemporaryDirectory() as name:
            padded = Path(name) / "padded.bin"
            command = [
                imgtool,
                "sign",
                "--key",
                KEYS / "sign-p256.pem",
                "--encrypt",
                KEYS / "encrypt-p256-pub.pem",
                "--header-size",
                hex(HEADER_SIZE),
                "--pad-header",
                "--slot-size",
                hex(image.slot_size),
                "--align",
                "8",
                "--version",
                "1.2.0",
                "--security-counter",
                "auto",
                "--pad",
            ]
            command += ["--confirm", "--clear"] if image.init else ["--overwrite-only"]
            subprocess.run([str(c) for c in [*command, plain / image.body, padded]], check=True, capture_output=True)
            data = padded.read_bytes()
        # The padding between image and trailer equals erased flash; it is not worth 2 MB of text.
        head = len(data[:-64].rstrip(b"\xff"))
        head += -head % 16
        hexfile = IntelHex()
        hexfile.puts(image.address, data[:head])
        hexfile.puts(image.address + len(data) - 32, data[-32:])
        _write_hex(hexfile, out / image.name)


def _common(*more: str) -> list[Path]:
    return [FIRMWARE / "common" / n for n in (*COMMON, *more)]


def _link(elf: Path, script: str, flags: list[str], sources: list[Path]) -> Path:
    command = [COMPILER, *FLAGS, *flags, "-T", FIRMWARE / "ld" / script, *sources, "-lgcc", "-o", elf]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{elf.name}: {done.stderr.strip()}")
    return elf


def _section(elf: Path, name: str) -> int:
    with elf.open("rb") as stream:
        return int(ELFFile(stream).get_section_by_name(name)["sh_addr"])


def _loaded(elf: Path) -> IntelHex:
    """Return what an ELF loads, at its load addresses."""
    loaded = IntelHex()
    with elf.open("rb") as stream:
        for section in ELFFile(stream).iter_sections():
            if section["sh_type"] != "SHT_PROGBITS" or not section["sh_flags"] & 2 or not section["sh_size"]:
                continue
            for segment in ELFFile(stream).iter_segments("PT_LOAD"):
                if segment.section_in_segment(section):
                    address = section["sh_addr"] - segment["p_vaddr"] + segment["p_paddr"]
                    loaded.puts(address, section.data())
                    break
    return loaded


def _linear(elf: Path, base: int) -> bytes:
    """Return the loaded bytes from `base` on, gaps filled with 0x00 as objcopy does it, to a multiple of 16."""
    loaded = _loaded(elf)
    loaded.padding = 0
    size = loaded.maxaddr() + 1 - base
    return bytes(loaded.tobinstr(start=base, size=size + -size % 16))


def _write_hex(hexfile: IntelHex, path: Path) -> None:
    hexfile.start_addr = None
    with path.open("w", newline="\n") as stream:
        hexfile.write_hex_file(stream, byte_count=128)


def _write_curve(path: Path, points: int) -> None:
    values = [16 + i * (points + 3 * i) * 220 // (4 * points * points) + i * i * 37 % 11 for i in range(points)]
    rows = "\n".join("    " + " ".join(f"{v}," for v in values[i : i + 16]) for i in range(0, points, 16))
    path.write_text(
        "/* Response of the temperature sensor, measured on one board. */\n#include <stdint.h>\n"
        "extern const uint8_t sensor_curve[];\nextern const uint16_t sensor_curve_size;\n"
        '__attribute__((section(".curve"))) const uint8_t sensor_curve[] = {\n'
        + rows
        + f"\n}};\nconst uint16_t sensor_curve_size = {points};\n"
    )


def _write_tables(path: Path) -> None:
    calibration = [i * i // 700 + 3 * i - 4000 + i * 7919 % 23 for i in range(4096)]
    shape = (0x3C, 0x66, 0xC3, 0x81, 0xFF, 0x18, 0x7E, 0x00)
    glyphs = [shape[(i % 8 * (i // 8 % 5 + 1) + i // 8) % 8] ^ (i // 8 * 37 >> 1) & 0x5A for i in range(4096)]
    text = '#include "tables.h"\n'
    for kind, name, values in (("int16_t", "calibration", calibration), ("uint8_t", "glyphs", glyphs)):
        text += (
            f'__attribute__((section(".tables.{name}"))) const {kind} {name}[4096] = {{\n'
            + ",\n".join("    " + ", ".join(map(str, values[i : i + 16])) for i in range(0, 4096, 16))
            + "\n};\n"
        )
    path.write_text(text)


def main() -> None:
    """Compile into ``data/images``; sign too when asked."""
    parser = argparse.ArgumentParser(description="Compile (and sign) the sample firmware into data/images.")
    parser.add_argument("--sign", action="store_true", help="sign anew; changes the committed images")
    wanted = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    compile_firmware(IMAGES)
    if wanted.sign:
        sign(IMAGES, IMAGES)


if __name__ == "__main__":
    main()
