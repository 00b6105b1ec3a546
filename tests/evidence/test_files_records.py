"""Intel HEX and S-record: literal files against intelhex and bincopy, and every kind of damage."""

import io
import tracemalloc
from contextlib import suppress

import bincopy
import numpy as np
import pytest
from hypothesis import given, strategies as st
from intelhex import IntelHex

from h5diag.errors import InputError
from h5diag.evidence.files import from_intelhex, read_image, to_intelhex, write_image
from h5diag.memory import AddressRange, MemoryImage, Segment
from tests.soak_files import soak

END = ":00000001FF"


def hex_record(kind, offset, data):
    body = bytes([len(data), offset >> 8, offset & 0xFF, kind]) + bytes(data)
    return ":" + (body + bytes([-sum(body) & 0xFF])).hex().upper()


def s_record(kind, address, data=b""):
    width = {0: 2, 1: 2, 2: 3, 3: 4, 5: 2, 6: 3, 7: 4, 8: 3, 9: 2}[kind]
    body = address.to_bytes(width, "big") + bytes(data)
    body = bytes([len(body) + 1]) + body
    return f"S{kind}" + (body + bytes([~sum(body) & 0xFF])).hex().upper()


def write(tmp_path, name, *lines, end="\n"):
    path = tmp_path / name
    path.write_bytes(end.join((*lines, "")).encode("latin-1"))
    return path


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert caught.value.source == str(path)
    assert "\n" not in str(caught.value)
    return caught.value


DATA = bytes(range(16))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "  \n", "\n\n"])
@pytest.mark.parametrize("lower", [False, True])
def test_hex_line_ends_and_cases(tmp_path, end, lower):
    lines = [hex_record(4, 0, b"\x08\x00"), hex_record(0, 0x10, DATA), hex_record(5, 0, bytes(4)), END]
    lines = [line.lower() for line in lines] if lower else lines
    image = read_image(write(tmp_path, "a.hex", *lines, end=end))
    assert image == MemoryImage.from_bytes(DATA, 0x0800_0010)
    assert image.origin.kind == "hex"


def test_hex_segment_addresses_and_disorder(tmp_path):
    path = write(
        tmp_path,
        "a.hex",
        hex_record(2, 0, b"\x10\x00"),
        hex_record(0, 0x20, b"\x01\x02"),
        hex_record(2, 0, b"\x00\x00"),
        hex_record(0, 0x30, b"\x03"),
        hex_record(4, 0, b"\x0c\x0b"),
        hex_record(0, 0xE000, b"\x04"),
        hex_record(0, 0xDFFF, b"\x05"),
        END,
    )
    image = read_image(path)
    assert image.ranges == (
        AddressRange(0x30, 0x31),
        AddressRange(0x10020, 0x10022),
        AddressRange(0x0C0B_DFFF, 0x0C0B_E001),
    )
    assert image == from_intelhex(IntelHex(str(path)))


def test_a_linear_record_may_cross_64_kib(tmp_path):
    path = write(tmp_path, "a.hex", hex_record(4, 0, b"\x08\x00"), hex_record(0, 0xFFF8, DATA), END)
    assert read_image(path).ranges == (AddressRange(0x0800_FFF8, 0x0801_0008),)


def test_name_does_not_decide(tmp_path):
    hex_path = write(tmp_path, "a.bin", hex_record(0, 0, DATA), END)
    srec_path = write(tmp_path, "b.txt", s_record(1, 0, DATA), s_record(9, 0))
    assert read_image(hex_path).origin.kind == "hex"
    assert read_image(srec_path).origin.kind == "srec"
    assert read_image(hex_path) == read_image(srec_path)


@pytest.mark.parametrize(
    ("bad", "line", "words"),
    [
        ([":10000000" + DATA.hex() + "00", END], 1, "checksum: 00 stands there, the record adds up to 78"),
        ([hex_record(0, 0, DATA)[:-2], END], 1, "cut short"),
        ([hex_record(0, 0, DATA)[:-1], END], 1, "cut short"),
        ([hex_record(0, 0, DATA), hex_record(0, 16, DATA)], 2, "no end-of-file record"),
        ([hex_record(0, 0, DATA), hex_record(0, 8, DATA), END], 2, "overlaps that of line 1 at 0x00000008"),
        (
            [hex_record(0, 0, DATA), hex_record(0, 0, DATA[::-1]), END],
            2,
            "overlaps that of line 1 at 0x00000000 with another",
        ),
        ([hex_record(4, 0, b"\xff\xff"), hex_record(0, 0xFFF8, DATA), END], 2, "past 4 GiB"),
        ([hex_record(2, 0, b"\x10\x00"), hex_record(0, 0xFFF8, DATA), END], 2, "64 KiB segment"),
        ([hex_record(0, 0, DATA), "\x00\x01\x80binary\xff", END], 2, "no Intel HEX record"),
        ([hex_record(0, 0, DATA), ":10001000" + "zz" * 17, END], 2, "no hexadecimal digit"),
        ([hex_record(0, 0, DATA), ":", END], 2, "cut short"),
        ([hex_record(0, 0, DATA), hex_record(7, 0, b""), END], 2, "unknown record type 07"),
        ([hex_record(4, 0, b"\x08"), END], 1, "type 04 cannot hold 1"),
        ([END, hex_record(0, 0, DATA), END], 2, "follows the end-of-file record of line 1"),
        ([hex_record(0, 0, DATA), ":" + "0" * 3000, END], 2, "longer"),
        ([hex_record(0, 0, DATA) + "00", END], 1, "announces 16 data bytes and holds 17"),
    ],
)
def test_damaged_hex_names_the_line(tmp_path, bad, line, words):
    error = refusal(write(tmp_path, "a.hex", *bad))
    assert words in error.problem
    assert error.place in (f"line {line}", f"after line {line}")


def test_the_line_is_right_far_into_a_file(tmp_path):
    lines = [hex_record(4, 0, b"\x08\x00")]
    lines += [
        hex_record(0, i * 16 & 0xFFFF, DATA) if i % 4096 else hex_record(4, 0, (0x800 + i // 4096).to_bytes(2))
        for i in range(1, 60000)
    ]
    for end in ("\n", "\r\n", "\r"):
        broken = list(lines)
        broken[50000] = broken[50000][:-2] + "00"
        error = refusal(write(tmp_path, "a.hex", *broken, END, end=end))
        assert error.place == "line 50001"


def test_a_hex_with_ten_thousand_islands(tmp_path):
    lines = []
    for page in range(16):
        lines.append(hex_record(4, 0, (0x800 + page).to_bytes(2)))
        lines += [hex_record(0, a, b"\x55") for a in range(0, 0x10000, 100)]
    path = write(tmp_path, "a.hex", *lines, END)
    image = read_image(path)
    assert len(image.segments) == 16 * 656
    assert image == from_intelhex(IntelHex(str(path)))


def test_memory_stays_within_six_times_the_data(tmp_path):
    data = np.random.default_rng(5).integers(0, 256, 8 << 20, dtype=np.uint8)
    image = MemoryImage.from_bytes(data, 0x9000_0000)
    path = write_image(image, tmp_path / "big.hex")
    tracemalloc.start()
    try:
        again = read_image(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert again == image
    assert peak < 6 * data.size


@pytest.mark.parametrize("kinds", [(1, 9), (2, 8), (3, 7)])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_s_records(tmp_path, kinds, end):
    data_kind, end_kind = kinds
    path = write(
        tmp_path,
        "a.s19",
        s_record(0, 0, b"name"),
        s_record(data_kind, 0x1234, DATA),
        s_record(data_kind, 0x1244, DATA),
        s_record(5, 2),
        s_record(end_kind, 0),
        end=end,
    )
    assert read_image(path) == MemoryImage.from_bytes(DATA * 2, 0x1234)
    reference = bincopy.BinFile()
    reference.add_srec_file(str(path))
    assert bytes(reference.as_binary()) == DATA * 2


@pytest.mark.parametrize(
    ("bad", "line", "words"),
    [
        ([s_record(1, 0, DATA)[:-2] + "00", s_record(9, 0)], 1, "checksum: 00 stands there, the record adds up to 74"),
        ([s_record(1, 0, DATA)[:-4], s_record(9, 0)], 1, "cut short"),
        ([s_record(1, 0, DATA)], 1, "neither an end record"),
        ([s_record(1, 0, DATA), s_record(5, 2), s_record(9, 0)], 2, "says 2 data records and 1 stand before it"),
        ([s_record(1, 0, DATA), s_record(6, 0), s_record(9, 0)], 2, "says 0 data records and 1"),
        ([s_record(1, 0, DATA), "S4030000FC", s_record(9, 0)], 2, "unknown record type S4"),
        ([s_record(1, 0, DATA), s_record(1, 15, DATA), s_record(9, 0)], 2, "overlaps that of line 1 at 0x0000000F"),
        ([s_record(3, 0xFFFFFFF8, DATA), s_record(7, 0)], 1, "past 4 GiB"),
        ([s_record(1, 0, DATA), s_record(9, 0), s_record(1, 16, DATA)], 3, "follows the end record of line 2"),
        ([s_record(1, 0, DATA), hex_record(0, 0, DATA)], 2, "no S-record"),
        (["S303000000FC", s_record(7, 0)], 1, "announces 3 bytes and holds 4"),
        (["S3030000FC", s_record(7, 0)], 1, "too short for its type S3"),
    ],
)
def test_damaged_s_record_names_the_line(tmp_path, bad, line, words):
    error = refusal(write(tmp_path, "a.srec", *bad))
    assert words in error.problem
    assert error.place in (f"line {line}", f"after line {line}")


@given(st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=40)), max_size=12))
def test_whatever_intelhex_writes_is_read_alike(tmp_path_factory, pieces):
    ih = IntelHex()
    for at, data in pieces:
        ih.puts(0x0800_F800 + at, data)
    text = io.StringIO()
    ih.write_hex_file(text)
    path = tmp_path_factory.mktemp("ih") / "a.hex"
    path.write_text(text.getvalue())
    assert read_image(path) == from_intelhex(ih)


@given(st.binary(max_size=400), st.integers(0, 3))
def test_no_rubbish_ends_in_a_traceback(tmp_path_factory, rubbish, how):
    good = "\n".join((hex_record(4, 0, b"\x08\x00"), hex_record(0, 0, DATA), hex_record(0, 16, DATA), END)).encode()
    cut = len(rubbish) % len(good)
    data = (good[:cut] + rubbish, rubbish + good, good[:cut] + rubbish + good[cut:], rubbish)[how]
    path = tmp_path_factory.mktemp("r") / "a.hex"
    path.write_bytes(data)
    with suppress(InputError):
        read_image(path)


def test_the_exchange_type_keeps_gaps(tmp_path):
    image = MemoryImage(
        (Segment(0x0800_0000, np.arange(4, dtype=np.uint8)), Segment(0x0C00_0000, np.arange(9, dtype=np.uint8)))
    )
    assert from_intelhex(to_intelhex(image)) == image
    assert to_intelhex(MemoryImage()).segments() == []


def test_a_name_too_long_for_a_sidecar_is_read_without_one(tmp_path):
    path = tmp_path / ("n" * 246 + ".bin")
    path.write_bytes(b"content of a dump")
    assert read_image(path, base=0x08000000).size == 17


def written(tmp_path, name, lines):
    path = tmp_path / name
    path.write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode() + b"\n")
    return path


def test_a_record_that_stands_twice_with_the_same_bytes_is_read_once(tmp_path):
    lines = [hex_record(0, 0, DATA), hex_record(0, 0, DATA), hex_record(0, 16, DATA), hex_record(0, 4, DATA[4:12]), END]
    image = read_image(written(tmp_path, "twice.hex", lines))
    assert image.read(0, 32).tobytes() == DATA * 2
    assert len(image.segments) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_record_files_as_a_shell_redirects_them(tmp_path, encoding):
    text = "\r\n".join([hex_record(0, 0, DATA), END, ""])
    assert read_image(written(tmp_path, "a.hex", text.encode(encoding))).read(0, 16).tobytes() == DATA
    end = text.index("\r")
    broken = text[: end - 1] + ("0" if text[end - 1] != "0" else "1") + text[end:]
    with pytest.raises(InputError, match=r"line 1: bad checksum"):
        read_image(written(tmp_path, "b.hex", broken.encode(encoding)))


def test_a_count_record_stands_for_the_end_of_an_s_record_file(tmp_path):
    data = [s_record(1, 0, DATA), s_record(1, 16, DATA)]
    assert read_image(written(tmp_path, "a.srec", [*data, s_record(5, 2)])).size == 32
    with pytest.raises(InputError, match="says 2 data records and 1"):
        read_image(written(tmp_path, "b.srec", [data[0], s_record(5, 2)]))
    with pytest.raises(InputError, match="neither"):
        read_image(written(tmp_path, "c.srec", [data[0], s_record(5, 1), data[1]]))


@pytest.mark.parametrize("seed", range(3))
def test_what_other_tools_write_is_read_byte_for_byte(tmp_path, seed):
    assert soak(seed, tmp_path) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"@8000000\r\n01 02 03 04\r\nq\r\n", "TI-TXT"), (b"%1A626810000000202020202020\n", "Tektronix")],
)
def test_a_record_format_that_is_not_read_is_named_with_the_way_out(tmp_path, content, what):
    for name in ("fw.txt", "fw.hex", "fw.tek"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"a {what} file, which is not read; convert it: srec_cat {name}"):
            read_image(path)
