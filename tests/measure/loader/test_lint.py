from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from h5diag.errors import InputError
from h5diag.evidence.files.elf import ElfSymbol
from h5diag.measure.loader.lint import Severity, lint, sound
from h5diag.measure.loader.loaderfile import decode_storage, parse_loader
from h5diag.measure.loader.placement import bases, families, family, windows
from h5diag.measure.loader.thumb import Concern, remarkable
from h5diag.measure.loader.vb3 import parse_log

from .conftest import LOADERS, sample
from .logs import call, preparation

# What each sample must show: chip, TrustZone, code and severity of every finding that is no note.
EXPECTED = {
    "l5-good": ("l5", "off", ()),
    "l5-tz-good": ("l5", "on", ()),
    "h5-good": ("h563", "off", ()),
    "u5-good": ("u5", "off", ()),
    "h5-without-read": ("h5", "on", ()),
    "h5-wrong-base": ("h5", "off", (("L041", "warning"),)),
    "l5-overlap": ("l5", "off", (("L040", "error"),)),
    "l5-tz-too-large": ("l5", "on", (("L042", "warning"),)),
    "h5-no-storage-info": ("h5", "off", (("L010", "error"),)),
    "h5-shared-segment": ("h5", "off", (("L012", "error"),)),
    "h5-no-thumb-bit": ("h5", "off", (("L021", "error"),)),
    "h5-stored-elsewhere": ("h5", "off", (("L034", "warning"),)),
    "u5-dirty-bss": ("u5", "off", (("L050", "warning"),)),
    "u5-stack": ("u5", "off", (("L052", "error"),)),
    "h5-float": ("h5", "off", (("L060", "warning"),)),
    # Their faults are of behaviour; the dry run catches them.
    "h5-null-call": ("h5", "off", ()),
    "h5-no-write-enable": ("h5", "off", ()),
    "u5-erase-short": ("u5", "off", ()),
    "h5-hang": ("h5", "off", ()),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_sample_shows_its_fault_and_no_other(name):
    chip, trustzone, expected = EXPECTED[name]
    findings = lint(sample(name), family(chip), trustzone=trustzone)
    assert tuple((f.code, f.severity.value) for f in findings if f.severity is not Severity.NOTE) == expected
    assert sound(findings) is not any(severity == "error" for _, severity in expected)
    assert all(f.text.endswith(".") and f.advice.endswith(".") for f in findings)


def test_no_sample_is_forgotten():
    assert {p.stem for p in LOADERS.glob("*.stldr")} == set(EXPECTED)
    assert all(p.stat().st_size < 8192 for p in LOADERS.glob("*.stldr"))


def codes(name, chip, **options):
    return {(f.code, f.severity.value) for f in lint(sample(name), family(chip), **options)}


def test_a_base_of_one_report_warns_and_the_users_log_decides():
    assert ("L041", "warning") in codes("l5-good", "l5", trustzone="on")
    assert ("L041", "note") in codes("l5-good", "l5")
    on = parse_log("\n".join(preparation(0x20018000, download=False) + call(0x200000B1, (0,), lr=0, msp=0, result=0)))
    assert ("L041", "error") in codes("l5-good", "l5", log=on)
    assert not codes("l5-tz-good", "l5", log=on)
    off = parse_log("\n".join(preparation(0x20000000) + call(0x200000B1)))
    assert not codes("l5-good", "l5", trustzone="on", log=off)
    at_base = parse_log("\n".join(preparation(0x20018004) + call(0x200180B1)))
    assert ("L040", "error") in codes("l5-tz-good", "l5", log=at_base)


def test_the_version_of_the_tool_chooses_the_line_of_the_table():
    assert bases("h5")[0].address == 0x20003000
    assert bases("h5", version="2.20.0")[0].address == 0x20004000
    assert {b.address for b in bases("h5", version="2.17.0")} == {0x20003000}
    assert ("L041", "warning") in codes("h5-good", "h5", version="2.20.0")
    assert not codes("h5-good", "h5", version="2.17.0")


def test_every_line_of_the_table_names_its_sources():
    for name in ("h5", "l5", "u5"):
        assert all(line.sources for line in (*bases(name), *windows(family(name), "on")))
        assert any(not b.hint for b in bases(name))
    assert len(families()) == 3


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("l5", "l5"), ("h563", "h5"), ("STM32U575ZI", "u5"), ("stm32h573ii", "h5"), ("stm32l552ze", "l5")],
)
def test_families_by_any_name(name, wanted):
    assert family(name).name == wanted


def test_a_named_chip_has_its_own_ram():
    assert family("u5").ram[1] > family("stm32u599nj").ram[1] > family("u575").ram[1] > family("stm32u535re").ram[1]
    assert family("stm32u535re").ram == (0x20000000, 0x40000)
    assert windows(family("stm32h523ce"))[0].size == 0x20000 < windows(family("h563"))[0].size == 0x40000
    assert [w.size for w in windows(family("stm32l562qe"), "on")] == [0x1000, 0x30000]
    far = replace(
        sample("u5-good"),
        segments=tuple(
            replace(s, address=s.address + (0x50000 if s.address else 0)) for s in sample("u5-good").segments
        ),
    )
    assert "L043" in {f.code for f in lint(far, family("stm32u535re"))}
    assert "L043" not in {f.code for f in lint(far, family("stm32u575zi"))}


def test_an_unknown_chip_is_one_clear_line():
    with pytest.raises(InputError, match="known"):
        family("f407")


# --- StorageInfo, by changing its bytes in a good loader -------------------------------------------------------

GOOD = (LOADERS / "h5-good.stldr").read_bytes()
INFO = GOOD.index(b"h5diag sample")


def patched(offset, value):
    data = bytearray(GOOD)
    data[INFO + offset : INFO + offset + len(value)] = value
    return parse_loader(bytes(data))


@pytest.mark.parametrize(
    ("offset", "value", "code", "severity"),
    [
        (0, b"\0", "L013", "warning"),
        (0, b"\xff\xfe", "L013", "warning"),
        (100, struct.pack("<H", 77), "L014", "error"),
        (104, struct.pack("<I", 0), "L015", "warning"),
        (104, struct.pack("<I", 0x08000000), "L015", "warning"),
        (104, struct.pack("<I", 0xFFFF0000), "L015", "error"),
        (108, struct.pack("<I", 0), "L015", "error"),
        (108, struct.pack("<I", 0x02000000), "L016", "error"),
        (108, struct.pack("<I", 0x00800000), "L016", "warning"),
        (120, struct.pack("<II", 0, 0), "L016", "error"),
        (120, struct.pack("<II", 0x1000, 0x0FFF), "L016", "warning"),
        (120, struct.pack("<II", 1, 2) * 10, "L016", "warning"),
        (116, b"\x5a", "L017", "warning"),
        (116, b"\0", "L017", "warning"),
        (112, struct.pack("<I", 0), "L018", "error"),
        (112, struct.pack("<I", 300), "L018", "warning"),
        (112, struct.pack("<I", 1 << 30), "L018", "warning"),
    ],
)
def test_implausible_storage_info(offset, value, code, severity):
    found = {(f.code, f.severity.value) for f in lint(patched(offset, value), family("h5"), trustzone="off")}
    assert (code, severity) in found


@given(st.binary(min_size=200, max_size=200))
def test_any_storage_info_is_judged(raw):
    decode_storage(raw)
    lint(patched(0, raw), family("u5"))


def with_symbols(loader, *, without=(), extra=()):
    from dataclasses import replace

    return replace(loader, symbols=tuple(s for s in loader.symbols if s.name not in without) + tuple(extra))


@pytest.mark.parametrize("name", ["Init", "Write", "SectorErase"])
def test_a_missing_entry_point_is_an_error(name):
    found = lint(with_symbols(sample("h5-good"), without=(name,)), family("h5"))
    assert [(f.code, f.severity) for f in found] == [("L020", Severity.ERROR)]
    assert name in found[0].text


def test_ram_needs_no_sector_erase():
    data = bytearray(GOOD)
    data[INFO + 100 : INFO + 102] = struct.pack("<H", 5)
    loader = with_symbols(parse_loader(bytes(data)), without=("SectorErase",))
    assert not [f for f in lint(loader, family("h5")) if f.code == "L020"]


def test_an_entry_point_without_bytes_is_an_error():
    loader = with_symbols(sample("h5-good"), without=("Read",), extra=(ElfSymbol("Read", 0x20090001, 4, 2, 1),))
    assert "L022" in {f.code for f in lint(loader, family("h5"))}


def test_instructions_are_told_from_constants():
    assert {r.concern for r in remarkable(sample("h5-float"))} >= {Concern.FLOAT}
    assert not [r for r in remarkable(sample("h5-good")) if r.concern is Concern.FLOAT]
    frames = [r.amount for r in remarkable(sample("u5-stack")) if r.concern is Concern.FRAME]
    assert max(frames) >= 1536


def test_code_that_seems_to_enable_the_fpu_is_a_note():
    loader = sample("h5-float")
    image = loader.image_segments[0]
    code = memoryview(bytes(image.data[:-4]) + struct.pack("<I", 0xE000ED88))
    enabling = replace(loader, segments=tuple(replace(s, data=code) if s is image else s for s in loader.segments))
    assert [(f.code, f.severity) for f in lint(enabling, family("h5"), trustzone="off")] == [("L060", Severity.NOTE)]


def test_a_description_behind_the_image_may_lie_over_its_bss():
    """As published loaders built with Keil have it: the segment with bytes is meant, not the .bss."""
    loader = sample("u5-dirty-bss")
    image = loader.image_segments[0]
    at = image.address + image.file_size
    moved = replace(
        loader,
        segments=tuple(
            replace(s, address=at, load_address=at) if s is loader.info_segment else s for s in loader.segments
        ),
        symbols=tuple(replace(s, value=at) if s.name == "StorageInfo" else s for s in loader.symbols),
    )
    assert {f.code for f in lint(moved, family("u5"), trustzone="off")} == {"L050"}


def test_a_base_seen_with_the_tools_own_loader_does_not_count():
    lines = ["Erasing internal memory sectors [0 1]", *preparation(0x20004000), *call(0x20004101)]
    internal = parse_log("\n".join(lines))
    assert not codes("h5-good", "h5", log=internal)
    cut_off = parse_log("\n".join(preparation(0x20004000, download=False)))
    assert ("L041", "error") in codes("h5-good", "h5", log=cut_off)


@pytest.mark.parametrize(
    ("code", "concern", "amount"),
    [
        (b"\x00\xdf", Concern.SUPERVISOR, 0),
        (b"\x62\xb6", Concern.INTERRUPTS, 0),
        (b"\x82\xb0", Concern.FRAME, 8),
        (b"\xad\xf5\xc0\x6d", Concern.FRAME, 1536),
        (b"\xad\xf2\x04\x4d", Concern.FRAME, 1028),
        (b"\x30\xee\x20\x0a", Concern.FLOAT, 0),
        (b"\x9f\xed\x01\x0a", Concern.FLOAT, 0),
    ],
)
def test_encodings(code, concern, amount):
    """Checked against the assembler: svc, cpsie i, sub sp, sub.w sp, subw sp, vadd.f32, vldr."""
    from h5diag.measure.loader.thumb import Remarkable, _scan

    assert list(_scan(0x20000004, code)) == [Remarkable(0x20000004, concern, amount)]
    assert not list(_scan(0, b"\x00\xbf" + b"\xaf\xf3\x00\x80"))  # nop, nop.w
