"""A build against a dump, the expected flash at each stage, and the image command."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from imgtool_images import CODE, Workshop

from h5diag.app.cli import main
from h5diag.app.front import diagnose
from h5diag.errors import InputError
from h5diag.evidence.files import read_image
from h5diag.evidence.files.elf import read_elf_map
from h5diag.evidence.keys import load_decrypt_key
from h5diag.layout import Layout, Loader, load_layout
from h5diag.measure.firmware import (
    Stage,
    compare_build,
    examine_images,
    expected_flash,
    open_images,
    recognise_stage,
)
from h5diag.measure.firmware.swap import Rules
from h5diag.measure.logs import named_place
from h5diag.memory import MemoryImage, Segment

PRIMARY, NS_PRIMARY, SECONDARY, NS_SECONDARY = 0x08018000, 0x0801E000, 0x080BE000, 0x080C4000
NOISE = np.random.default_rng(5).integers(0, 200, 6000, np.uint8).tobytes()
FLAT = ("--overwrite-only", "--align", "8", "--pad")


def elf_file(path: Path, base: int) -> Path:
    """Write an ELF with .text (0x100), .rodata (0x200), .data (0x40, runs in RAM), and symbols."""
    text, rodata, data = NOISE[:0x100], NOISE[0x100:0x300], NOISE[0x300:0x340]
    names = b"\0.text\0.rodata\0.data\0.symtab\0.strtab\0.shstrtab\0"
    strings = b"\0main\0g_table\0g_state\0"

    def symbol(name: bytes, value: int, size: int, kind: int, section: int) -> bytes:
        return struct.pack("<IIIBBH", strings.index(name), value, size, 0x10 | kind, 0, section)

    symbols = (
        bytes(16)
        + symbol(b"main", base + 0x21, 0x40, 2, 1)
        + symbol(b"g_table", base + 0x110, 0x80, 1, 2)
        + symbol(b"g_state", 0x20000010, 8, 1, 3)
    )
    blob, at = b"", 52 + 2 * 32
    offsets = []
    for part in (text, rodata, data, symbols, strings, names):
        offsets.append(at + len(blob))
        blob += part
    segments = struct.pack("<8I", 1, offsets[0], base, base, 0x300, 0x300, 5, 4) + struct.pack(
        "<8I", 1, offsets[2], 0x20000000, base + 0x300, 0x40, 0x40, 6, 4
    )

    def section(
        name: bytes,
        kind: int,
        flags: int,
        address: int,
        i: int,
        size: int,
        link: int = 0,
        info: int = 0,
        entry: int = 0,
    ) -> bytes:
        return struct.pack("<10I", names.index(name), kind, flags, address, offsets[i], size, link, info, 4, entry)

    sections = (
        bytes(40)
        + section(b".text\0", 1, 6, base, 0, 0x100)
        + section(b".rodata\0", 1, 2, base + 0x100, 1, 0x200)
        + section(b".data\0", 1, 3, 0x20000000, 2, 0x40)
        + section(b".symtab\0", 2, 0, 0, 3, len(symbols), 5, 1, 16)
        + section(b".strtab\0", 3, 0, 0, 4, len(strings))
        + section(b".shstrtab\0", 3, 0, 0, 5, len(names))
    )
    header = (
        b"\x7fELF\x01\x01\x01"
        + bytes(9)
        + struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, base + 0x21, 52, at + len(blob), 0x05000000, 52, 32, 2, 40, 7, 6)
    )
    path.write_bytes(header + segments + blob + sections)
    return path


@pytest.fixture(scope="module")
def layout() -> Layout:
    return load_layout("oemirot-2m-overwrite")


def flash(*pieces: tuple[int, bytes], base: int = 0x08000000) -> MemoryImage:
    data = np.full(0x200000, 0xFF, np.uint8)
    for address, content in pieces:
        data[address - base : address - base + len(content)] = np.frombuffer(content, np.uint8)
    return MemoryImage.from_bytes(data, base)


def test_differences_are_named_by_section_and_symbol(tmp_path: Path, layout: Layout) -> None:
    path = elf_file(tmp_path / "app.elf", PRIMARY + 0x400)
    build, names = read_image(path), read_elf_map(path)
    content = bytearray(NOISE[:0x340])
    for at in (0x110 + 0x12, 0x110 + 0x13, 0x110 + 0x20, 0x110 + 0x21):
        content[at] ^= 1
    content[0x312] ^= 0x80
    content[0x25] = 0xFF
    (match,) = compare_build(flash((PRIMARY + 0x400, bytes(content))), build, layout=layout, names=names)
    assert (match.displacement, match.differing, match.compared, match.whole) == (0, 6, 0x340, False)
    assert [str(d) for d in match.differences] == [
        "1 byte differs in .text, in main+0x5 (erased here)",
        "4 bytes differ in .rodata, in g_table+0x12",
        "1 byte differs in .data, in g_state+0x2",
    ]
    assert match.differences[1].build_start == PRIMARY + 0x400 + 0x122


def test_build_is_found_displaced_and_partly_there(layout: Layout) -> None:
    build = MemoryImage.from_bytes(NOISE, PRIMARY + 0x400)
    (moved,) = compare_build(flash((0x08123450, NOISE)), build, layout=layout)
    assert moved.whole
    assert moved.address == 0x08123450
    (alias,) = compare_build(flash((0x0C018400, NOISE), base=0x0C000000), build, layout=layout)
    assert alias.whole
    assert alias.displacement == 0
    short = flash((PRIMARY + 0x400, NOISE)).crop(0x08000000, PRIMARY + 0x400 + 4000)
    (part,) = compare_build(short, build, layout=layout)
    assert (part.compared, part.differing, part.whole) == (4000, 0, False)
    assert "2000 bytes are not in the dump" in str(part)
    assert compare_build(flash(), build, layout=layout) == ()
    twice = compare_build(flash((PRIMARY + 0x400, NOISE), (SECONDARY, NOISE)), build, layout=layout)
    assert [m.address for m in twice] == [PRIMARY + 0x400, SECONDARY]


def test_unsigned_build_against_installed_and_encrypted_images(workshop: Workshop, layout: Layout) -> None:
    init = workshop.sign("-c", payload=NOISE, key="ecdsa-p256", encrypt="ecdsa-p256", header=0x400)
    download = workshop.sign(*FLAT, payload=NOISE, key="ecdsa-p256", encrypt="ecdsa-p256", header=0x400)
    build = MemoryImage.from_bytes(NOISE, PRIMARY + 0x400)
    (match,) = compare_build(flash((PRIMARY, init)), build, layout=layout)
    assert match.whole
    board = flash((SECONDARY, download))
    keys = [load_decrypt_key(workshop.key("ecdsa-p256"))]
    images = examine_images(board, layout=layout, decrypt_keys=keys)
    assert compare_build(board, build, layout=layout, images=images) == ()
    (opened,) = compare_build(open_images(board, images, keys), build, layout=layout, images=images)
    assert opened.whole
    assert opened.address == SECONDARY + 0x400


def test_signed_build_and_the_installed_copy_are_the_same_image(workshop: Workshop, layout: Layout) -> None:
    download = workshop.sign(payload=NOISE, key="ecdsa-p256", encrypt="ecdsa-p256", header=0x400)
    keys = [load_decrypt_key(workshop.key("ecdsa-p256"))]
    pending = MemoryImage.from_bytes(download, SECONDARY)
    images = examine_images(pending, layout=layout, decrypt_keys=keys)
    plain = open_images(pending, images, keys).read(SECONDARY, SECONDARY + len(download)).tobytes()
    board = flash((PRIMARY, plain))
    (match,) = compare_build(board, pending, layout=layout, images=examine_images(board, layout=layout))
    assert match.same_image
    assert (match.address, match.displacement) == (PRIMARY, PRIMARY - SECONDARY)
    assert "same image by its hash record" in str(match)


@pytest.mark.arm
@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no arm-none-eabi-gcc")
def test_elf_of_a_real_compiler(tmp_path: Path, layout: Layout) -> None:
    source = tmp_path / "app.c"
    source.write_text(
        "const int g_table[64] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16};\nint g_state = 5;\n"
        "int main(int n) { int s = g_state; for (int i = 0; i < n; i++) s += g_table[i & 63] * i;"
        " return s; }\n"
    )
    script = tmp_path / "app.ld"
    script.write_text(
        "MEMORY { F (rx) : ORIGIN = 0x08018400, LENGTH = 64K\n"
        "R (rwx) : ORIGIN = 0x20000000, LENGTH = 64K }\n"
        "SECTIONS { .text : { *(.text*) } > F .rodata : { *(.rodata*) } > F\n"
        ".data : { *(.data*) } > R AT > F }\n"
    )
    path = tmp_path / "app.elf"
    subprocess.run(
        [
            "arm-none-eabi-gcc",
            "-mcpu=cortex-m33",
            "-mthumb",
            "-O1",
            "-nostdlib",
            "-Wl,-e,main",
            "-T",
            script,
            "-o",
            path,
            source,
        ],
        check=True,
        capture_output=True,
    )
    build, names = read_image(path), read_elf_map(path)
    content = bytearray(build.read(build.span.start, build.span.stop).tobytes())
    table = next(s for s in names.symbols if s.name == "g_table")
    content[table.range.start - build.span.start + 0x12] ^= 3
    (match,) = compare_build(flash((build.span.start, bytes(content))), build, layout=layout, names=names)
    assert str(match.differences[0]) == "1 byte differs in .rodata, in g_table+0x12"


def test_damaged_elf_is_an_input_error(tmp_path: Path) -> None:
    whole = elf_file(tmp_path / "app.elf", PRIMARY).read_bytes()
    path = tmp_path / "cut.elf"
    for size in (0, 3, 40, 60, 200, len(whole) - 30):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError):
            read_elf_map(path)
    with pytest.raises(InputError):
        read_elf_map(tmp_path / "none.elf")


# --- stages ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kit(workshop: Workshop) -> dict[str, MemoryImage]:
    common = {"payload": NOISE, "key": "ecdsa-p256", "encrypt": "ecdsa-p256", "header": 0x400}
    init = workshop.sign("-c", "--pad", "--overwrite-only", "--align", "8", **common)
    download = workshop.sign(*FLAT, **common)
    update = workshop.sign(*FLAT, **(common | {"version": "2.0.0"}))
    return {
        "init": MemoryImage.from_bytes(init, PRIMARY),
        "download": MemoryImage.from_bytes(download, SECONDARY),
        "update": MemoryImage.from_bytes(update, SECONDARY),
        "boot": MemoryImage.from_bytes(NOISE, 0x0C000000),
    }


def test_expected_flash_of_download_images(kit: dict[str, MemoryImage], workshop: Workshop, layout: Layout) -> None:
    keys = [load_decrypt_key(workshop.key("ecdsa-p256"))]
    files = [kit["download"]]
    programmed = expected_flash(Stage.PROGRAMMED, layout, files, boot=kit["boot"])
    assert (
        programmed.read(SECONDARY, SECONDARY + 0x6000).tobytes()
        == kit["download"].read(SECONDARY, SECONDARY + 0x6000).tobytes()
    )
    assert (programmed.read(PRIMARY, PRIMARY + 0x6000) == 0xFF).all()
    booted = expected_flash(Stage.FIRST_BOOT, layout, files, boot=kit["boot"], decrypt_keys=keys)
    assert booted.read(PRIMARY + 0x400, PRIMARY + 0x400 + len(NOISE)).tobytes() == NOISE
    assert (booted.read(SECONDARY, SECONDARY + 0x6000) == 0xFF).all()
    header = kit["download"].read(SECONDARY, SECONDARY + 0x400)
    assert booted.read(PRIMARY, PRIMARY + 0x400).tobytes() == header.tobytes()
    closed = expected_flash(Stage.FIRST_BOOT, layout, files)
    assert not closed.covers(PRIMARY + 0x400, PRIMARY + 0x401)
    assert not closed.covers(0x08000000, 0x08000001)
    rules = Rules(Loader.UPSTREAM, layout.mode, 8, 0x2000)
    upstream = expected_flash(Stage.FIRST_BOOT, layout, files, decrypt_keys=keys, rules=rules)
    rest = upstream.read(SECONDARY, SECONDARY + 0x6000)
    assert (rest[:0x2000] == 0xFF).all()
    assert (rest[-0x2000:] == 0xFF).all()
    image = kit["download"].read(SECONDARY, SECONDARY + 0x6000)
    assert rest[0x2000:0x4000].tobytes() == image[0x2000:0x4000].tobytes()


def test_the_first_boot_is_what_the_boot_loader_does(kit: dict[str, MemoryImage], layout: Layout) -> None:
    """A download that is refused is erased, not installed, and one with another loader's magic stays where it is."""
    data = kit["download"].read(SECONDARY, SECONDARY + 0x6000).copy()
    data[0x430] ^= 1
    plain = data.copy()
    plain[16] = 0
    for flash, erased in ((data, False), (plain, True)):
        file = MemoryImage.from_bytes(flash, SECONDARY)
        booted = expected_flash(Stage.FIRST_BOOT, layout, [file])
        assert (booted.read(PRIMARY, PRIMARY + 32) == 0xFF).all() == erased
        assert (booted.read(SECONDARY, SECONDARY + 0x6000) == 0xFF).all()
    upstream = Rules(Loader.UPSTREAM, layout.mode, 16, 0x2000)
    report = recognise_stage(kit["download"], layout, [kit["download"]], rules=upstream)
    assert "also how it should look" in report.text
    assert any("this boot loader refuses" in r and "alignment of 16" in r for r in report.remarks)
    assert not any("refuses" in r for r in recognise_stage(kit["download"], layout, [kit["download"]]).remarks)


def test_stage_is_recognised(kit: dict[str, MemoryImage], workshop: Workshop, layout: Layout) -> None:
    keys = [load_decrypt_key(workshop.key("ecdsa-p256"))]
    files, updates = [kit["download"]], [kit["update"]]
    for stage in Stage:
        board = expected_flash(stage, layout, files, boot=kit["boot"], updates=updates, decrypt_keys=keys)
        report = recognise_stage(board, layout, files, boot=kit["boot"], updates=updates, decrypt_keys=keys)
        assert report.fits[0].stage is stage
        assert report.fits[0].agrees
        assert stage.value in report.text
        assert not report.fits[1].agrees


def test_what_differs_from_the_stage_is_named(kit: dict[str, MemoryImage], workshop: Workshop, layout: Layout) -> None:
    keys = [load_decrypt_key(workshop.key("ecdsa-p256"))]
    board = expected_flash(Stage.FIRST_BOOT, layout, [kit["download"]], decrypt_keys=keys)
    data = board.read(PRIMARY, PRIMARY + 0x6000).copy()
    data[0x1234] ^= 0xFF
    broken = MemoryImage((Segment(PRIMARY, data), *board.crop(NS_PRIMARY, 0x08164000).segments))
    report = recognise_stage(broken.shifted(0x04000000), layout, [kit["download"]], decrypt_keys=keys)
    assert report.fits[0].stage is Stage.FIRST_BOOT
    assert report.fits[0].differing == 1
    assert "differs in 1 byte from 0x0C019234" in report.text
    half = expected_flash(Stage.PROGRAMMED, layout, [kit["download"]])
    mixed = MemoryImage((*board.crop(PRIMARY, NS_PRIMARY).segments, *half.crop(NS_PRIMARY, 0x08164000).segments))
    text = recognise_stage(mixed, layout, [kit["download"]], decrypt_keys=keys).text
    assert "slot 'secure secondary'" in text or "slot 'secure primary'" in text
    assert "and is as it should be" in text
    masked = MemoryImage((Segment(PRIMARY, np.zeros(0x6000, np.uint8)), *board.crop(NS_PRIMARY, 0x08164000).segments))
    hidden = recognise_stage(masked, layout, [kit["download"]], decrypt_keys=keys)
    assert hidden.fits[0].agrees
    assert any("attribute" in r for r in hidden.remarks)


def test_package_generation(kit: dict[str, MemoryImage], layout: Layout) -> None:
    board = expected_flash(Stage.PROGRAMMED, layout, [kit["download"]])
    assert any("1.4.0" in r for r in recognise_stage(board, layout, [kit["download"]], package="1.4.0").remarks)
    assert not recognise_stage(board, layout, [kit["download"]], package="1.3.0").remarks
    init = expected_flash(Stage.PROGRAMMED, layout, [kit["init"]])
    report = recognise_stage(init, layout, [kit["init"]], package="1.4.0")
    assert report.fits[0].agrees
    assert "also how it should look" in report.text


def test_files_outside_the_slots_are_refused(layout: Layout) -> None:
    with pytest.raises(InputError, match="do not fit"):
        expected_flash(Stage.PROGRAMMED, layout, [MemoryImage.from_bytes(NOISE, 0x08170000)])
    with pytest.raises(InputError, match="do not fit"):
        expected_flash(Stage.PROGRAMMED, layout, [MemoryImage.from_bytes(bytes(0x7000), PRIMARY)])


# --- the command -------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> str:
    assert main(["image", *map(str, arguments)]) == status
    out = capsys.readouterr()
    assert (status == 0) == (not out.err)
    return out.out or out.err


def test_command_json(
    capsys: pytest.CaptureFixture[str], kit: dict[str, MemoryImage], workshop: Workshop, tmp_path: Path
) -> None:
    dump = tmp_path / "dump.bin"
    board = flash((SECONDARY, kit["download"].read(SECONDARY, SECONDARY + 0x6000).tobytes()))
    dump.write_bytes(board.read(board.span.start, board.span.stop).tobytes())
    base = ("--json", "--base", "0x08000000", "--layout", "oemirot-2m-overwrite")
    closed = json.loads(run(capsys, dump, *base))
    (image,) = closed["images"]
    assert (image["address"], image["slot"], image["version"], image["state"]) == (
        SECONDARY,
        "secure secondary",
        "1.2.3+4",
        "install-pending",
    )
    assert (image["encrypted"], image["body_looks"], image["hash"], image["signature"], image["decrypted_hash"]) == (
        True,
        "encrypted",
        "not-checked",
        "not-checked",
        "not-checked",
    )
    assert set(image["trailer"]) >= {"magic", "image_ok", "copy_done"}
    opened = json.loads(
        run(
            capsys,
            dump,
            *base,
            "--verify-key",
            workshop.public("ecdsa-p256"),
            "--decrypt-key",
            workshop.key("ecdsa-p256"),
            "--verify-key",
            workshop.public("ed25519"),
        )
    )["images"][0]
    assert (opened["hash"], opened["signature"], opened["decrypted_hash"]) == ("valid", "valid", "valid")
    assert [s["state"] for s in closed["slots"]] == ["empty", "empty", "install-pending", "empty"]


def test_command_with_build_and_stage(
    capsys: pytest.CaptureFixture[str], kit: dict[str, MemoryImage], workshop: Workshop, tmp_path: Path
) -> None:
    from h5diag.evidence.files import write_image

    files = {}
    for name in ("download", "update"):
        files[name] = tmp_path / f"{name}.hex"
        write_image(kit[name], files[name])
    (tmp_path / "boot.bin").write_bytes(NOISE)
    write_image(
        flash((SECONDARY, kit["download"].read(SECONDARY, SECONDARY + 0x6000).tobytes()), (0x08000000, NOISE)),
        tmp_path / "dump.hex",
    )
    elf = elf_file(tmp_path / "app.elf", PRIMARY + 0x400)
    text = run(
        capsys,
        tmp_path / "dump.hex",
        "--layout",
        "oemirot-2m-overwrite",
        "--build",
        elf,
        "--flashed",
        files["download"],
        "--update",
        files["update"],
        "--boot",
        tmp_path / "boot.bin",
        "--package",
        "1.4.0",
        "--decrypt-key",
        workshop.key("ecdsa-p256"),
    )
    assert text.startswith("Stage: the board is as it should be after programming")
    assert "older" in text
    words = " ".join(text.split())
    assert "all 832 bytes are there at 0x080BE400 (slot 'secure secondary'), 0xA6000 above its own address" in words


def test_command_on_files_without_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "noise.bin"
    path.write_bytes(NOISE)
    assert run(capsys, path).startswith("No boot-loader image")
    assert json.loads(run(capsys, path, "--json"))["images"] == []


def test_one_image_without_an_address_is_not_forced_into_the_layout(
    capsys: pytest.CaptureFixture[str], kit: dict[str, MemoryImage], tmp_path: Path
) -> None:
    path = tmp_path / "app_enc_sign.bin"
    path.write_bytes(kit["download"].read(SECONDARY, SECONDARY + 0x6000).tobytes())
    document = json.loads(run(capsys, path, "--json", "--layout", "oemirot-2m-overwrite"))
    assert document["images"][0]["state"] == "install-pending"
    assert any("--base" in r for r in document["remarks"])


def test_command_refusals(capsys: pytest.CaptureFixture[str], tmp_path: Path, workshop: Workshop) -> None:
    dump = tmp_path / "dump.bin"
    dump.write_bytes(CODE)
    secret = workshop.key("ecdsa-p256").read_bytes()
    (tmp_path / "broken.pem").write_bytes(secret[:100])
    for arguments in (
        (tmp_path / "none.bin",),
        (dump, "--verify-key", dump),
        (dump, "--layout", "nonsense"),
        (dump, "--decrypt-key", tmp_path / "broken.pem"),
        (dump, "--flashed", dump),
        (dump, "--decrypt-key", workshop.public("ecdsa-p256")),
        (dump, "--build", tmp_path / "no.elf"),
    ):
        message = run(capsys, *arguments, status=2)
        assert message.count("\n") == 1
        assert secret[40:60].decode() not in message


def test_text_is_printable_on_any_terminal(
    capsys: pytest.CaptureFixture[str], kit: dict[str, MemoryImage], tmp_path: Path
) -> None:
    path = tmp_path / "app.bin"
    path.write_bytes(kit["download"].read(SECONDARY, SECONDARY + 0x6000).tobytes())
    text = run(capsys, path)
    io.TextIOWrapper(io.BytesIO(), "ascii").write(text)


FAULT = "HardFault\nCFSR = 0x00008200\nHFSR = 0x40000000\nBFAR = 0x50000004\nPC = 0x0800002A\nLR = 0x08000031\n"


def test_a_fault_in_a_case_is_told_by_the_function_of_its_elf_file(tmp_path: Path) -> None:
    elf_file(tmp_path / "app.elf", 0x08000000)
    (tmp_path / "boot.txt").write_text("Device ID   : 0x484\nFlash size  : 2 MBytes\n" + FAULT)
    toml = '[suspect]\nname = "unit"\nuart = "boot.txt"\n'
    (tmp_path / "case.toml").write_text(toml)
    (without,) = (f for f in diagnose(tmp_path).boards[0].findings if f.id == "core-in-fault")
    assert "main" not in without.claim
    (tmp_path / "case.toml").write_text(toml + '[[images]]\nfile = "app.elf"\n')
    (told,) = (f for f in diagnose(tmp_path).boards[0].findings if f.id == "core-in-fault")
    assert "at 0x0800002A in main+0xA, called from main+0x10" in told.claim
    assert named_place([tmp_path / "app.elf"], 0x0800002A) == "main+0xA"
    assert named_place([tmp_path / "app.elf"], 0x08100000) == named_place([], 0x0800002A) == ""
