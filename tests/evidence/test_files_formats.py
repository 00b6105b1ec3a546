"""Binary, ELF, UF2 and the round trip through every format; each kind of unusable file is one clear line."""

import dataclasses
import hashlib
import json
import os
import shutil
import struct
import subprocess
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings, strategies as st
from intelhex import IntelHex

from h5diag.errors import InputError
from h5diag.evidence import door
from h5diag.evidence.files import (
    Sidecar,
    from_intelhex,
    read_image,
    read_sidecar,
    reading,
    sidecar_path,
    write_image,
    write_sidecar,
)
from h5diag.evidence.files.elf import open_elf
from h5diag.evidence.files.kind import Kind, tell_kind
from h5diag.evidence.files.writing import ELF_HEADERS
from h5diag.evidence.samples import data_folder
from h5diag.limits import FLASH, HEAD
from h5diag.memory import Access, AddressRange, MemoryImage, Origin, Segment, merged, without

BASE = 0x0800_0000


def refusal(path, **kwargs):
    with pytest.raises(InputError) as caught:
        read_image(path, **kwargs)
    assert str(path) in str(caught.value) or caught.value.source.startswith(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def array(data):
    return np.frombuffer(bytes(data), np.uint8)


# Round trip -----------------------------------------------------------------------------------------------------


@st.composite
def images(draw, limit=1 << 32):
    starts = sorted(draw(st.lists(st.integers(0, limit - 70) | st.integers(0x0800_0000, 0x0800_0400), max_size=6)))
    segments, holes, stop = [], [], -1
    for start in starts:
        if start <= stop:
            continue
        data = draw(st.binary(min_size=1, max_size=64))
        segments.append(Segment(start, array(data)))
        stop = start + len(data)
        if draw(st.booleans()):
            holes.append(AddressRange(stop, stop + 3))
            stop += 3
    keep = [s for s in segments if not any(s.range.overlaps(h) for h in holes)]
    unstable = [AddressRange(s.start, s.start + 1) for s in keep if draw(st.booleans())]
    origin = Origin(
        access=draw(st.sampled_from(Access)),
        mode=draw(st.sampled_from([None, "hotplug"])),
        chip=draw(st.sampled_from([None, "stm32h563zi"])),
        time=draw(st.sampled_from([None, "t"])),
        remarks=draw(st.sampled_from([(), ("one.", "two")])),
    )
    return MemoryImage(tuple(keep), merged(holes), tuple(unstable), origin)


def same_origin(a, b):
    return (a.access, a.mode, a.chip, a.time, a.remarks) == (b.access, b.mode, b.chip, b.time, b.remarks)


@pytest.mark.parametrize("suffix", [".hex", ".srec", ".s19", ".mot", ".elf", ".axf"])
@settings(max_examples=40)
@given(image=images())
def test_writing_then_reading_gives_the_same_image(tmp_path_factory, suffix, image):
    path = write_image(image, tmp_path_factory.mktemp("rt") / ("a" + suffix))
    if suffix in (".elf", ".axf") and not image.segments:
        return
    again = read_image(path)
    assert again == image
    assert same_origin(again.origin, image.origin)
    assert again.origin.source == str(path)


@pytest.mark.parametrize("shift", range(5))
def test_a_program_that_holds_the_word_of_a_tar_archive_is_none(tmp_path, shift):
    data = np.frombuffer(b"-" * shift + b"ustar" * 200, np.uint8)
    image = MemoryImage((Segment(0x08000000, data),))
    assert read_image(write_image(image, tmp_path / "a.elf")) == image


@settings(max_examples=40)
@given(image=images(limit=1 << 16))
def test_a_binary_keeps_base_and_holes_in_its_sidecar(tmp_path_factory, image):
    near = image.crop(0, 1 << 16)
    if not near.segments:
        return
    path = write_image(near, tmp_path_factory.mktemp("rt") / "a.bin")
    again = read_image(path)
    assert again == near
    assert same_origin(again.origin, near.origin)
    assert path.stat().st_size == near.span.size
    assert read_sidecar(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@settings(max_examples=30)
@given(image=images())
def test_intelhex_reads_what_is_written(tmp_path_factory, image):
    path = write_image(image, tmp_path_factory.mktemp("rt") / "a.hex")
    assert from_intelhex(IntelHex(str(path))).segments == image.segments


def test_an_elf_holds_addresses_past_4_gib(tmp_path):
    image = MemoryImage((Segment(0, array([1])), Segment(1 << 32, array([2]))))
    path = write_image(image, tmp_path / "a.elf")
    assert read_image(path) == image
    assert path.stat().st_size < 200
    for name in ("a.hex", "a.srec", "a.bin"):
        with pytest.raises(InputError, match=r"use \.(elf|hex)"):
            write_image(image, tmp_path / name)
        assert not (tmp_path / name).exists()


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"\.uf2"):
        write_image(MemoryImage(), tmp_path / "a.uf2")
    with pytest.raises(InputError, match="no byte"):
        write_image(MemoryImage(), tmp_path / "a.bin")
    with pytest.raises(InputError, match="cannot be written"):
        write_image(MemoryImage(), tmp_path / "nowhere" / "a.hex")
    assert list(tmp_path.iterdir()) == []


def test_an_old_sidecar_never_outlives_its_file(tmp_path):
    path = tmp_path / "a.hex"
    known = MemoryImage.from_bytes(b"abcd", BASE, origin=Origin(access=Access.SECURE))
    write_image(known, path)
    assert sidecar_path(path).exists()
    write_image(MemoryImage.from_bytes(b"efgh", BASE), path)
    assert not sidecar_path(path).exists()
    assert read_image(path).access is Access.UNKNOWN


# Binary and sidecar ---------------------------------------------------------------------------------------------


def test_the_base_of_a_binary_stands_in_its_name(tmp_path):
    path = tmp_path / "slot_0x0C03A000.bin"
    path.write_bytes(b"\x01\x02\x03\x04")
    named = read_image(path)
    assert named.span.start == 0x0C03_A000
    assert named.origin.remarks == ("the base address 0x0C03A000 is taken from its name",)
    assert not named.origin.base_assumed
    assert read_image(path, base=BASE).span.start == BASE
    write_sidecar(path, Sidecar(base=0x0C0B_E000))
    assert read_image(path).span.start == 0x0C0B_E000


@pytest.mark.parametrize("name", ["app_0xDEADBEEF.bin", "app_0x0C03A1B3.bin", "app_0xF0000000.bin", "app.bin"])
def test_a_checksum_in_a_name_is_no_base(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"\x01\x02\x03\x04")
    assert read_image(path).span.start == BASE
    assert read_image(path).origin.base_assumed


def test_base_of_a_binary(tmp_path):
    path = tmp_path / "dump.bin"
    path.write_bytes(b"\x01\x02\x03\x04")
    assumed = read_image(path)
    assert assumed.span.start == BASE
    assert "0x08000000 was assumed" in assumed.origin.remarks[0]
    told = read_image(path, base=0x0C01_8000)
    assert told.span.start == 0x0C01_8000
    assert told.origin.remarks == ()
    write_sidecar(path, Sidecar(base=0x0C0B_E000, access=Access.NONSECURE, chip="stm32h563zi"))
    known = read_image(path)
    assert known.span.start == 0x0C0B_E000
    assert known.access is Access.NONSECURE
    assert known.origin.remarks == ()
    assert read_image(path, base=8).span.start == 8


def test_holes_of_the_sidecar_are_unreadable_whatever_the_file_holds(tmp_path):
    path = tmp_path / "dump.bin"
    path.write_bytes(bytes(range(16)))
    sidecar_path(path).write_text(
        json.dumps(
            {
                "base": "0x08000000",
                "holes": [["0x08000004", "0x08000008"]],
                "unread": [[BASE + 12, BASE + 16]],
                "unstable": [[BASE, BASE + 2]],
                "access": "secure",
                "another tool's key": {"x": 1},
            }
        )
    )
    image = read_image(path)
    assert image.ranges == (AddressRange(BASE, BASE + 4), AddressRange(BASE + 8, BASE + 12))
    assert image.unreadable == (AddressRange(BASE + 4, BASE + 8),)
    assert image.unstable == (AddressRange(BASE, BASE + 2),)
    assert image.access is Access.SECURE


def test_a_dump_that_changed_after_its_sidecar_is_remarked(tmp_path):
    path = write_image(MemoryImage.from_bytes(b"abcd", BASE), tmp_path / "dump.bin")
    assert read_image(path).origin.remarks == ()
    path.write_bytes(b"abce")
    assert "changed after its sidecar" in read_image(path).origin.remarks[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"base": -1}', "line 1: base must be"),
        ('{"base": "zz"}', "base must be a number"),
        ('{"base": true}', "line 1: base must be"),
        ('{"base": 1e400}', "no number"),
        ('{"holes": [[1]]}', "[start, stop]"),
        ('{"holes": [[2, 1]]}', "ends before it begins"),
        ('{"holes": 3}', "list"),
        ('{"access": "maybe"}', "nonsecure"),
        ('{"access": 1}', "access"),
        ('{"remarks": "x"}', "remarks is a text, not a list"),
        ("[" * 100000, "no JSON"),
        ("\x80", "no JSON"),
        ('{"base": 18446744073709551615}', "past the end of the address space"),
        ('{"base": ' + "9" * 5000 + "}", "no number"),
    ],
)
def test_an_unusable_sidecar_is_one_line(tmp_path, text, words):
    path = tmp_path / "dump.bin"
    path.write_bytes(b"\x00" * 16)
    sidecar_path(path).write_bytes(text.encode("latin-1"))
    assert words in refusal(path)


def test_a_sidecar_of_an_older_version_says_unknown_and_zero_for_not_known(tmp_path):
    path = tmp_path / "dump.bin"
    path.write_bytes(b"\x00" * 16)
    old = {"base": 0, "mode": "unknown", "chip": "unknown", "passes": 0, "swd_hz": "0", "uid": "unknown", "sha256": ""}
    sidecar_path(path).write_text(json.dumps(old))
    assert read_sidecar(path) == Sidecar(base=0)
    write_sidecar(path, Sidecar(base=0))
    assert "null" not in sidecar_path(path).read_text()


def test_unread_ranges_around_the_file_survive(tmp_path):
    """An interrupted read knows what it still has to do, also before and after what it has."""
    image = MemoryImage.from_bytes(b"abcd", BASE + 16)
    todo = Sidecar(unread=(AddressRange(BASE, BASE + 64),), passes=1, tool="h5diag")
    path = write_image(image, tmp_path / "dump.bin", sidecar=todo)
    known = read_sidecar(path)
    assert known.unread == (AddressRange(BASE, BASE + 16), AddressRange(BASE + 20, BASE + 64))
    assert (known.passes, known.tool, known.base) == (1, "h5diag", BASE + 16)
    assert read_image(path) == image


# Files that cannot be used --------------------------------------------------------------------------------------


def test_missing_empty_directory(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.bin")
    (tmp_path / "empty.bin").touch()
    assert "is empty" in refusal(tmp_path / "empty.bin")
    assert "is a folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refusal(tmp_path / "pipe")


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "secret.bin"
    path.write_bytes(b"abc")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything

        def denied(*args, **kwargs):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", denied)
    assert "cannot be read (Permission denied)" in refusal(path)


@pytest.mark.parametrize("fails", [1, 2], ids=["dump", "sidecar"])
def test_a_full_disk_leaves_the_older_dump_with_its_own_sidecar(tmp_path, monkeypatch, fails):
    """A new dump beside an older map, or the other way round, would tell of bytes that nobody read."""
    path = tmp_path / "dump.bin"
    write_image(MemoryImage.from_bytes(b"abcd", BASE), path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    real, count = os.fsync, []

    def full(descriptor):
        count.append(descriptor)
        if len(count) == fails:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_image(MemoryImage.from_bytes(b"efghij", BASE + 64), path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["a.hex", "a.srec", "a.elf", "a.axf", "a.uf2"])
def test_a_name_that_promises_what_the_content_is_not(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(bytes(range(128, 256)) + b"\x00\x01")
    assert "does not begin like" in refusal(path)


def test_a_dfu_file_without_content_is_one_line(tmp_path):
    suffix = bytes.fromhex("00008348df111a01") + b"UFD" + bytes((16,))
    (tmp_path / "a.dfu").write_bytes(suffix + (zlib.crc32(suffix) ^ 0xFFFFFFFF).to_bytes(4, "little"))
    assert "holds no byte of memory" in refusal(tmp_path / "a.dfu")


def test_a_huge_binary_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "huge.bin"
    with path.open("wb") as stream:
        stream.truncate(3 << 30)
    assert "2048 MiB at most" in refusal(path)
    path = tmp_path / "huge.hex"
    path.write_bytes(b":020000040800F2\n")
    with path.open("r+b") as stream:
        stream.truncate(300 << 20)
    assert "192 MiB at most" in refusal(path)


def test_a_large_binary_is_mapped_and_reads_the_same(tmp_path, monkeypatch):
    data = np.random.default_rng(3).integers(0, 256, 3 << 20, dtype=np.uint8)
    (tmp_path / "a.bin").write_bytes(data.tobytes())
    read = read_image(tmp_path / "a.bin", base=0x90000000)
    small = dataclasses.replace(FLASH, mapped=1 << 20)
    monkeypatch.setattr(reading, "FLASH", small)
    file = door.read_evidence(tmp_path / "a.bin", limit=small)
    assert (len(file.data), file.size) == (HEAD, data.size)
    tracemalloc.start()
    mapped = read_image(tmp_path / "a.bin", base=0x90000000)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert [i.segments[0].data.tobytes() for i in (mapped, read)] == [data.tobytes()] * 2
    assert file.sha256 == hashlib.sha256(data.tobytes()).hexdigest()


def test_text_without_a_view(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("hello\nworld\n")
    assert "address : words" in refusal(path)
    plain = tmp_path / "log.bin"
    plain.write_text("hello\nworld\n")
    assert read_image(plain).size == 12  # a .bin is memory content even if it is all text


# ELF ------------------------------------------------------------------------------------------------------------


def elf(segments, *, ends=b""):
    """A 32-bit ELF: (offset, vaddr, paddr, filesz, memsz) per segment."""
    head = (
        b"\x7fELF\x01\x01\x01"
        + bytes(9)
        + struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, 0, 52, 0, 0, 52, 32, len(segments), 0, 0, 0)
    )
    table = b"".join(struct.pack("<IIIIIIII", 1, o, v, p, f, m, 5, 4) for o, v, p, f, m in segments)
    return head + table + ends


@pytest.mark.parametrize("path", sorted((data_folder() / "loaders").glob("*.stldr")), ids=lambda p: p.name)
def test_elf_tables_agree_with_another_reader(path):
    ours = open_elf(path)
    with path.open("rb") as stream:
        theirs = ELFFile(stream)
        loads = [s for s in theirs.iter_segments() if s["p_type"] == "PT_LOAD" and (s["p_filesz"] or s["p_memsz"])]
        assert [(s.address, s.load_address, s.memory_size, bytes(s.data)) for s in ours.segments] == [
            (s["p_vaddr"], s["p_paddr"], s["p_memsz"], s.data()) for s in loads
        ]
        assert [(s.name, s.address, s.offset, s.size, s.flags) for s in ours.sections] == [
            (s.name, s["sh_addr"], s["sh_offset"], s["sh_size"], s["sh_flags"]) for s in theirs.iter_sections()
        ]
        table = theirs.get_section_by_name(".symtab")
        assert [(s.name, s.value, s.size, s.function) for s in ours.symbols()] == [
            (s.name, s["st_value"], s["st_size"], s["st_info"]["type"] == "STT_FUNC")
            for s in (table.iter_symbols() if table else ())
            if s.entry["st_name"]
        ]


def test_an_elf_of_the_other_byte_order_is_read(tmp_path):
    path = tmp_path / "big.elf"
    path.write_bytes(
        b"\x7fELF\x01\x02\x01"
        + bytes(9)
        + struct.pack(">HHIIIIIHHHHHH", 2, 40, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        + struct.pack(">8I", 1, 84, BASE, BASE, 3, 3, 5, 1)
        + b"abc"
    )
    assert read_image(path).segments[0].data.tobytes() == b"abc"
    assert read_image(path).span.start == BASE


def test_elf_load_addresses_and_bss(tmp_path):
    path = tmp_path / "a.elf"
    path.write_bytes(
        elf(
            [(0x100, 0x2000_0000, 0x0800_1000, 4, 0x8000_0000), (0, 0x2001_0000, 0x0800_1004, 0, 999)],
            ends=bytes(0x100 - 52 - 64) + b"data",
        )
    )
    assert read_image(path) == MemoryImage.from_bytes(b"data", 0x0800_1000)
    assert read_image(path).origin.kind == "elf"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            elf([(84, BASE, BASE, 2 << 30, 2 << 30)], ends=b"abc"),
            "segment 0 at 0x08000000: says that it holds 2147483648",
        ),
        (elf([(84, BASE, BASE, 4, 4)], ends=b"abc"), "the file ends at 0x57"),
        (elf([(116, BASE, BASE, 4, 4), (116, BASE + 2, BASE + 2, 4, 4)], ends=b"abcd"), "hold the byte at 0x08000002"),
        (elf([]), "no loadable segment"),
        (elf([(84, BASE, BASE, 0, 64)]), "no loadable segment"),
        (elf([(52, BASE, BASE, 0, 0)])[:60], "outside the file"),
        (b"\x7fELF", "damaged"),
        (b"\x7fELF" + bytes(60), "damaged"),
        (b"\x7fELF\x01\x01\x01" + b"\xff" * 80, "outside"),
        (b"\x7fELF\x02\x01\x01" + b"\xff" * 200, "outside"),
    ],
)
def test_damaged_elf(tmp_path, content, words):
    path = tmp_path / "a.elf"
    path.write_bytes(content)
    assert words in refusal(path)


@given(st.data())
@settings(max_examples=150)
def test_no_damage_to_an_elf_ends_in_a_traceback(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("elf")
    content = bytearray(
        write_image(
            MemoryImage((Segment(BASE, array(b"abcd")), Segment(BASE + 99, array(b"ef")))), folder / "a.elf"
        ).read_bytes()
    )
    for at in data.draw(st.lists(st.integers(4, 115), max_size=4)):
        content[at] = data.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]))
    path = folder / "b.elf"
    path.write_bytes(content[: data.draw(st.integers(5, len(content)))])
    with suppress(InputError):
        assert read_image(path).size <= len(content)


@pytest.mark.arm
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_a_linked_program_gives_what_objcopy_gives(tmp_path):
    """The linker lays the ELF header into the first page; it must not be taken for flash content."""
    (tmp_path / "a.c").write_text(
        "const int vectors[2] = {0x20001000, 0x08000101};\nint counter = 0x1234;\n"
        "int zero[500];\nint main(void) { return counter + zero[3] + vectors[1]; }\n"
    )
    (tmp_path / "a.ld").write_text(
        "SECTIONS { . = 0x08000000; .text : { *(.rodata*) *(.text*) }\n"
        " .data 0x20000000 : AT(LOADADDR(.text) + SIZEOF(.text)) { *(.data*) }\n"
        " .bss : { *(.bss*) *(COMMON) } /DISCARD/ : { *(.ARM*) } }\n"
    )
    run = {"cwd": tmp_path, "check": True, "capture_output": True}
    subprocess.run(
        [
            "arm-none-eabi-gcc",
            "-mcpu=cortex-m33",
            "-mthumb",
            "-nostdlib",
            "-e",
            "main",
            "-Wl,-n,-T,a.ld",
            "-o",
            "n.elf",
            "a.c",
        ],
        **run,
    )
    subprocess.run(
        [
            "arm-none-eabi-gcc",
            "-mcpu=cortex-m33",
            "-mthumb",
            "-nostdlib",
            "-e",
            "main",
            "-Wl,-T,a.ld",
            "-o",
            "a.elf",
            "a.c",
        ],
        **run,
    )
    for name in ("n", "a"):
        subprocess.run(["arm-none-eabi-objcopy", "-O", "ihex", f"{name}.elf", f"{name}.hex"], **run)
        subprocess.run(["arm-none-eabi-objcopy", "-O", "srec", f"{name}.elf", f"{name}.srec"], **run)
        from_elf = read_image(tmp_path / f"{name}.elf")
        assert from_elf == read_image(tmp_path / f"{name}.hex") == read_image(tmp_path / f"{name}.srec")
        assert from_elf.span.start == 0x0800_0000
    subprocess.run(["arm-none-eabi-gcc", "-mcpu=cortex-m33", "-mthumb", "-c", "-o", "a.o", "a.c"], **run)
    with pytest.raises(InputError, match="linked first"):
        read_image(tmp_path / "a.o")


# UF2 ------------------------------------------------------------------------------------------------------------


def uf2(number, count, address, data=b"\x11" * 256, flags=0x2000, family=0x4E8F1C5D, end=0x0AB16F30, size=None):
    return (
        struct.pack(
            "<IIIIIIII",
            0x0A324655,
            0x9E5D5157,
            flags,
            address,
            len(data) if size is None else size,
            number,
            count,
            family,
        )
        + data.ljust(476, b"\0")
        + struct.pack("<I", end)
    )


def test_uf2_with_gaps_and_disorder(tmp_path):
    path = tmp_path / "a.uf2"
    path.write_bytes(
        uf2(2, 4, BASE + 0x1000, b"\x33" * 100)
        + uf2(0, 4, BASE)
        + uf2(1, 4, BASE + 256, b"\x22" * 256)
        + uf2(3, 4, 0x1000, flags=0x2001)
    )
    image = read_image(path)
    assert image.ranges == (AddressRange(BASE, BASE + 512), AddressRange(BASE + 0x1000, BASE + 0x1064))
    assert bytes(image.read(BASE + 255, BASE + 257)) == b"\x11\x22"
    assert image.origin.kind == "uf2"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (uf2(0, 1, BASE)[:300], "ends inside a block"),
        (uf2(0, 2, BASE), "1 of 2 blocks are missing, the first is number 1"),
        (uf2(0, 3, BASE) + uf2(2, 3, BASE + 512), "the first is number 1"),
        (uf2(0, 2, BASE) + uf2(0, 2, BASE + 256), "block number 0 stands twice"),
        (uf2(0, 2, BASE) + uf2(7, 2, BASE + 256), "block number 7 does not fit"),
        (uf2(0, 2, BASE) + uf2(1, 9, BASE + 256), "another number of blocks"),
        (uf2(0, 2, BASE) + uf2(1, 2, BASE + 255, b"\x77" * 256), "two blocks hold the byte at 0x080000FF"),
        (uf2(0, 2, BASE) + uf2(1, 2, BASE + 256, family=0xE48BFF56), "is for 2 chip families"),
        (uf2(0, 2, BASE) + uf2(1, 2, BASE + 256, end=0), "block 1, offset 0x200: a magic number"),
        (uf2(0, 1, BASE, size=477), "more than 476 bytes"),
        (uf2(0, 1, 0xFFFFFFF0), "past 4 GiB"),
        (uf2(0, 1, BASE, flags=0x1000), "holds files"),
    ],
)
def test_damaged_uf2(tmp_path, content, words):
    path = tmp_path / "a.uf2"
    path.write_bytes(content)
    assert words in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.bin", b":10000000", Kind.BIN),
        ("a", bytes(64), Kind.BIN),
        ("a.img", b"\xff" * 64, Kind.BIN),
        ("a.bin", b"\x7fELF....", Kind.ELF),
        ("a.dat", b"\r\n :020000040800F2", Kind.HEX),
        ("a.txt", b"x", Kind.TEXT),
        ("a.hex", b"; a comment", Kind.HEX),
    ],
)
def test_kind(tmp_path, name, content, kind):
    path = tmp_path / name
    path.write_bytes(content)
    assert tell_kind(path) is kind


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(1, 9)), max_size=12),
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 20)), max_size=12),
)
def test_cutting_holes_out_is_set_arithmetic(pieces, cuts):
    segments, stop = [], 0
    for gap, size in pieces:
        segments.append(Segment(stop + gap, array(range(size))))
        stop = stop + gap + size
    holes = merged(AddressRange(a, a + n) for a, n in cuts)
    known = {a: int(b) for s in segments for a, b in enumerate(s.data, s.start)}
    left = {a: int(b) for s in without(tuple(segments), holes) for a, b in enumerate(s.data, s.start)}
    assert left == {a: b for a, b in known.items() if not any(a in h for h in holes)}


def test_more_pieces_than_an_elf_can_number_leave_no_file(tmp_path):
    byte = np.zeros(1, np.uint8)
    image = MemoryImage(tuple(Segment(2 * i, byte) for i in range(ELF_HEADERS)))
    with pytest.raises(InputError, match="more than an ELF file can hold") as refusal:
        write_image(image, tmp_path / "a.elf")
    assert refusal.value.source == str(tmp_path / "a.elf")
    assert not list(tmp_path.iterdir())


def dfuse(*elements, suffix=True, crc=None):
    """Return a DfuSe file of one target."""
    target = b"".join(struct.pack("<II", a, len(d)) + d for a, d in elements)
    body = struct.pack("<5sBIB", b"DfuSe", 1, 11 + 274 + len(target), 1)
    body += struct.pack("<6sBI255sII", b"Target", 0, 0, b"", len(target), len(elements)) + target
    if not suffix:
        return body
    body += struct.pack("<HHHH3sB", 0, 0xDF11, 0x0483, 0x011A, b"UFD", 16)
    return body + struct.pack("<I", zlib.crc32(body) ^ 0xFFFFFFFF if crc is None else crc)


def test_a_dfuse_file_is_read_at_its_addresses_whatever_its_name(tmp_path):
    content = dfuse((BASE, b"abcd"), (BASE + 0x3000, b"ef"))
    for name in ("fw.dfu", "fw.bin"):
        path = tmp_path / name
        path.write_bytes(content)
        image = read_image(path)
        assert [(s.start, s.data.tobytes()) for s in image.segments] == [(BASE, b"abcd"), (BASE + 0x3000, b"ef")]
        assert image.origin.kind == "dfu"
    assert read_image(tmp_path / "fw.bin", base=0).size == len(content)


def test_a_dfu_suffix_alone_leaves_bytes_without_an_address(tmp_path):
    body = b"memory" + struct.pack("<HHHH3sB", 0, 0xDF11, 0x0483, 0x0100, b"UFD", 16)
    path = tmp_path / "a.dfu"
    path.write_bytes(body + struct.pack("<I", zlib.crc32(body) ^ 0xFFFFFFFF))
    assert read_image(path, base=0x100).read(0x100, 0x106).tobytes() == b"memory"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (dfuse((BASE, b"ab"), suffix=False), "no DFU suffix"),
        (dfuse((BASE, b"ab"), crc=7), "checksum"),
        (dfuse((BASE, b"ab"), (BASE + 1, b"xy")), "two elements hold the byte at 0x08000001"),
    ],
)
def test_damaged_dfu(tmp_path, content, words):
    path = tmp_path / "a.dfu"
    path.write_bytes(content)
    assert words in refusal(path)


@pytest.mark.parametrize(
    ("magic", "what"), [(b"PK\x03\x04", "zip"), (b"\x1f\x8b\x08", "gzip"), (b"7z\xbc\xaf\x27\x1c", "7z")]
)
def test_an_archive_is_refused_by_its_kind_unless_a_base_says_it_is_memory(tmp_path, magic, what):
    for name in ("a.bin", "a.dat"):
        path = tmp_path / name
        path.write_bytes(magic + bytes(range(200)))
        assert what in refusal(path)
        assert "unpack" in refusal(path)
    assert read_image(tmp_path / "a.bin", base=BASE).size == len(magic) + 200
    (tmp_path / "a.sfi").write_bytes(b"any")
    assert "encrypted" in refusal(tmp_path / "a.sfi")


def test_what_no_section_of_an_elf_covers_is_not_known(tmp_path):
    """One loadable segment over two sections: the zeros between them are the linker's fill."""
    names = b"\0.a\0.b\0"
    data = b"A" * 16 + bytes(16) + b"B" * 8
    at, table = 52 + 32, 52 + 32 + len(data) + len(names)
    head = b"\x7fELF\1\1\1" + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, 0, 52, table, 0, 52, 32, 1, 40, 4, 3)
    program = struct.pack("<IIIIIIII", 1, at, BASE, BASE, len(data), len(data), 5, 1)
    row = "<IIIIIIIIII"
    rows = struct.pack(row, *[0] * 10)
    rows += struct.pack(row, 1, 1, 2, BASE, at, 16, 0, 0, 1, 0)
    rows += struct.pack(row, 4, 1, 2, BASE + 32, at + 32, 8, 0, 0, 1, 0)
    rows += struct.pack(row, 0, 3, 0, 0, at + len(data), len(names), 0, 0, 1, 0)
    path = tmp_path / "gap.elf"
    path.write_bytes(head + program + data + names + rows)
    image = read_image(path)
    assert [(s.start, s.data.tobytes()) for s in image.segments] == [(BASE, b"A" * 16), (BASE + 32, b"B" * 8)]


@pytest.mark.parametrize("name", ["a.bin", "a.hex", "a.srec", "a.elf"])
def test_an_empty_file_that_was_opened_already_has_a_kind_or_one_line(name):
    with suppress(InputError):
        assert isinstance(tell_kind(door.EvidenceFile(name, Path(name), 0, "", b"")), Kind)


def test_a_key_of_a_sidecar_that_nobody_knows_is_named(tmp_path):
    """A slip of the pen (`acces`) must not look like a sidecar that says nothing."""
    path = tmp_path / "dump.bin"
    path.write_bytes(bytes(16))
    table = {"base": 0x08000000, "acces": "secure", "x" * 99: 1, "remarks": ["read at noon"]}
    sidecar_path(path).write_text(json.dumps(table))
    remarks = read_image(path).origin.remarks
    assert remarks[0] == "read at noon"
    assert "the sidecar's key 'acces' is not known, it was left alone" in remarks
    assert f"the sidecar's key '{'x' * 40}' is not known, it was left alone" in remarks
    sidecar_path(path).write_text(json.dumps({f"k{n}": 1 for n in range(99)}))
    assert len(read_image(path).origin.remarks) < 10
