from __future__ import annotations

import random
import struct
import tracemalloc

import pytest
from hypothesis import given, settings, strategies as st

from h5diag.errors import InputError
from h5diag.limits import PROGRAM
from h5diag.measure.loader.lint import lint, sound
from h5diag.measure.loader.loaderfile import parse_loader, read_loader
from h5diag.measure.loader.placement import family
from tests.work import calls

from .conftest import LOADERS, sample

GOOD = (LOADERS / "l5-good.stldr").read_bytes()


def judged(data):
    """Lint whatever `data` is; an InputError must be one line that names the file."""
    refusal = ""
    try:
        return lint(parse_loader(data, "x.stldr"), family("l5"))
    except InputError as error:
        refusal = str(error)
    assert refusal.startswith("x.stldr")
    assert "\n" not in refusal
    return None


def test_a_good_file():
    loader = sample("l5-good")
    assert loader.link_address == 0x20000004
    assert [f.name for f in loader.functions] == ["Init", "Write", "Read", "SectorErase", "MassErase"]
    assert loader.place(loader.functions[0].value) == "Init"
    assert loader.place(loader.functions[0].value + 4) == "Init+0x4"
    assert loader.place(0x08000000) == ""
    assert loader.info_segment is not None
    assert loader.info_segment.address == 0
    assert len(loader.image) == loader.memory_stop - loader.link_address


def test_cut_at_every_byte_it_is_never_taken_for_sound():
    for length in range(len(GOOD)):
        found = judged(GOOD[:length])
        assert found is None or not sound(found), length


def test_every_byte_of_the_headers_may_be_anything():
    for at in range(0x34 + 64):
        for value in (0, 1, 0x7F, 0x80, 0xFF, GOOD[at] ^ 0x10):
            judged(GOOD[:at] + bytes((value,)) + GOOD[at + 1 :])


@settings(max_examples=200)
@given(st.data())
def test_any_damage_is_survived(data):
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    judged(bytes(damaged))


@given(st.binary(max_size=600))
def test_random_bytes_behind_the_magic(data):
    judged(data)
    judged(GOOD[:16] + data)
    judged(GOOD[:52] + data)


def header(**changes):
    names = (
        "type",
        "machine",
        "version",
        "entry",
        "phoff",
        "shoff",
        "flags",
        "ehsize",
        "phentsize",
        "phnum",
        "shentsize",
        "shnum",
        "shstrndx",
    )
    values = dict(zip(names, struct.unpack_from("<HHIIIIIHHHHHH", GOOD, 16), strict=True)) | changes
    return GOOD[:16] + struct.pack("<HHIIIIIHHHHHH", *(values[n] for n in names)) + GOOD[52:]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "is empty"),
        (b"MZ" + GOOD, "not an ELF"),
        (GOOD[:4] + b"\2" + GOOD[5:], "64-bit"),
        (GOOD[:5] + b"\2" + GOOD[6:], "big-endian"),
        (GOOD[:4] + b"\7" + GOOD[5:], "neither"),
        (GOOD[:40], "ends inside"),
        (header(machine=62), "machine 62"),
        (header(type=1), "type 1"),
        (header(phnum=0xFFFF), "65535"),
        (header(phnum=0), "0 segments"),
        (header(phoff=0xFFFFFFF0), "outside the file"),
        (header(phentsize=1), "of 1 byte"),
    ],
)
def test_what_is_no_loader(data, word):
    with pytest.raises(InputError, match=word):
        parse_loader(data)


@pytest.mark.parametrize("changes", [{"shnum": 0xFFFF}, {"shoff": 0xFFFFFFF0}, {"shentsize": 3}, {"shnum": 0}])
def test_impossible_section_headers_leave_the_segments(changes):
    found = judged(header(**changes))
    assert {"L010", "L020"} <= {f.code for f in found}


def test_symbols_are_found_without_the_names_of_sections():
    assert sound(judged(header(shstrndx=999)))


def segment(index, **changes):
    names = ("type", "offset", "vaddr", "paddr", "filesz", "memsz", "flags", "align")
    at = struct.unpack_from("<I", GOOD, 28)[0] + 32 * index
    values = dict(zip(names, struct.unpack_from("<8I", GOOD, at), strict=True)) | changes
    return GOOD[:at] + struct.pack("<8I", *(values[n] for n in names)) + GOOD[at + 32 :]


@pytest.mark.parametrize(
    "changes",
    [
        {"memsz": 0xFFFFFFFF},
        {"filesz": 0xFFFFFFFF, "memsz": 0xFFFFFFFF},
        {"vaddr": 0xFFFFFFF0},
        {"offset": 0xFFFFFF00},
        {"filesz": 0x40000000, "memsz": 0x40000000},
        {"vaddr": 0x60000000},
    ],
)
def test_huge_segments_cost_little(changes):
    tracemalloc.start()
    found = []
    assert calls(lambda: found.extend(judged(segment(index, **changes)) for index in (0, 1)), 1_000_000)
    assert all(f is None or not sound(f) for f in found)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "large.stldr"
    with path.open("wb") as file:
        file.write(GOOD)
        file.truncate(PROGRAM.size + 1)
    with pytest.raises(InputError, match="too large"):
        read_loader(path)


def test_a_symbol_table_without_end_is_cut():
    random.seed(1)
    at = struct.unpack_from("<I", GOOD, 32)[0]
    data = bytearray(GOOD)
    for i in range(struct.unpack_from("<H", GOOD, 48)[0]):
        if struct.unpack_from("<I", data, at + 40 * i + 4)[0] == 2:
            struct.pack_into("<II", data, at + 40 * i + 16, len(GOOD), 8 << 20)
    data += random.randbytes(8 << 20)
    assert calls(lambda: judged(bytes(data)), 3_000_000)
