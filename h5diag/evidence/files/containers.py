"""Containers whose parts carry addresses, read only: UF2 and DfuSe.

Sources: Microsoft, USB Flashing Format (UF2), https://github.com/microsoft/uf2, README; ST UM0391, DfuSe file format
specification; USB Device Firmware Upgrade 1.1, appendix B (the suffix).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile
from h5diag.evidence.files.pieces import Overlap, SegmentBuilder
from h5diag.memory import Bytes, Segment
from h5diag.text import count_text

_BLOCK = np.dtype(
    [
        ("magic0", "<u4"),
        ("magic1", "<u4"),
        ("flags", "<u4"),
        ("address", "<u4"),
        ("size", "<u4"),
        ("number", "<u4"),
        ("count", "<u4"),
        ("family", "<u4"),
        ("data", "u1", (476,)),
        ("magic2", "<u4"),
    ]
)
_MAGICS = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_NOT_MAIN_FLASH, _FILE_CONTAINER, _FAMILY = 0x1, 0x1000, 0x2000


_UF2_FAMILIES = {
    0x1E1F432D: "STM32L1",
    0x202E3A91: "STM32L0",
    0x21460FF0: "STM32WL",
    0x300F5633: "STM32G0",
    0x04240BDF: "STM32L5",
    0x4C71240A: "STM32G4",
    0x53B80F00: "STM32F7",
    0x57755A57: "STM32F4",
    0x5D1A0A2E: "STM32F2",
    0x5EE21072: "STM32F1",
    0x647824B6: "STM32F0",
    0x6B846188: "STM32F3",
    0x6D0922FA: "STM32F407",
    0x6DB66082: "STM32H7",
    0x70D16653: "STM32WB",
    0x8FB060FE: "STM32F407VG",
    0x00FF6919: "STM32L4",
}
"""Names by family number (Microsoft UF2, utils/uf2families.json)."""


def uf2_family(file: EvidenceFile) -> str | None:
    """Return the STM32 family that the first block of a UF2 file names; None when it names none, or another maker's."""
    first = np.frombuffer(file.data[: _BLOCK.itemsize], _BLOCK)[0]
    return _UF2_FAMILIES.get(int(first["family"])) if first["flags"] & _FAMILY else None


def read_uf2(file: EvidenceFile) -> tuple[Segment, ...]:
    """Return the bytes of a UF2 file that go to the main flash.

    Raises
    ------
    InputError
        With the offset or the block, when the file is cut short, blocks are missing, repeated or damaged, or
        the file is for several chip families at once.
    """
    size, path = file.size, file.path
    if size % _BLOCK.itemsize:
        raise InputError(
            f"ends inside a block: {count_text(size, 'byte')} are no multiple of {_BLOCK.itemsize}",
            source=str(path),
            place=f"offset 0x{size // 512 * 512:X}",
            advice="the file was cut short; copy it again",
        )
    blocks = np.frombuffer(file.data, _BLOCK)

    def refuse(bad: np.ndarray, problem: str, advice: str = "") -> None:
        if bad.any():
            i = int(np.argmax(bad))
            raise InputError(problem, source=str(path), place=f"block {i}, offset 0x{i * 512:X}", advice=advice)

    good = (blocks["magic0"] == _MAGICS[0]) & (blocks["magic1"] == _MAGICS[1]) & (blocks["magic2"] == _MAGICS[2])
    refuse(~good, "a magic number of the block is wrong", "the file is damaged; copy it again")
    refuse(blocks["flags"] & _FILE_CONTAINER != 0, "holds files, not memory")
    refuse(blocks["size"] > 476, "the block says that it holds more than 476 bytes")
    refuse(blocks["count"] != blocks["count"][0], "the block says another number of blocks than the first")
    _one_family(blocks, path)
    _complete(blocks, path)
    main = blocks[(blocks["flags"] & _NOT_MAIN_FLASH == 0) & (blocks["size"] > 0)]
    sizes, addresses = main["size"].astype(np.int64), main["address"].astype(np.int64)
    over = addresses + sizes > 1 << 32
    if over.any():
        i = int(np.argmax(over))
        raise InputError(
            f"the data at 0x{addresses[i]:08X} run past 4 GiB", source=str(path), place=f"block {main['number'][i]}"
        )
    pieces = SegmentBuilder(str(path))
    pieces.add(addresses, sizes, main["data"][np.arange(476) < sizes[:, None]])
    try:
        return pieces.segments()
    except Overlap as overlap:
        raise InputError(f"two blocks hold the byte at 0x{overlap.address:08X}", source=str(path)) from None


def _one_family(blocks: np.ndarray, path: Path) -> None:
    """A file for several chips holds several contents for the same addresses; taking all would mix them."""
    families = np.unique(np.where(blocks["flags"] & _FAMILY != 0, blocks["family"], 0))
    if families.size > 1:
        names = ", ".join(f"0x{f:08X}" if f else "none" for f in families[:4])
        raise InputError(
            f"is for {families.size} chip families ({names}{', ...' if families.size > 4 else ''})",
            source=str(path),
            advice="take the file of your chip's family alone",
        )


def _complete(blocks: np.ndarray, path: Path) -> None:
    """Every number from 0 to count - 1 stands once, in any order."""
    numbers, counts = np.unique(blocks["number"], return_counts=True)
    total = int(blocks["count"][0])
    if (counts > 1).any():
        raise InputError(
            f"block number {numbers[np.argmax(counts > 1)]} stands twice",
            source=str(path),
            advice="the file is damaged or two files were joined",
        )
    if int(numbers[-1]) >= total:
        raise InputError(
            f"block number {numbers[-1]} does not fit the announced {count_text(total, 'block')}",
            source=str(path),
            advice="the file is damaged; copy it again",
        )
    if numbers.size < total:
        absent = (
            int(np.argmax(numbers != np.arange(numbers.size)))
            if (numbers != np.arange(numbers.size)).any()
            else numbers.size
        )
        raise InputError(
            f"{total - numbers.size} of {count_text(total, 'block')} are missing, the first is number {absent}",
            source=str(path),
            advice="the file was cut short; copy it again",
        )


_PREFIX, _TARGET, _ELEMENT, _SUFFIX = struct.Struct("<5sBIB"), struct.Struct("<6sBI255sII"), struct.Struct("<II"), 16


def read_dfu(file: EvidenceFile) -> tuple[Segment, ...] | Bytes:
    """Return the bytes of a DfuSe file at their addresses, or the bare bytes of one that only has a DFU suffix.

    Raises
    ------
    InputError
        With the offset, when the suffix is not there, its checksum is wrong, or the file contradicts itself.
    """
    size, path, data = file.size, file.path, file.data
    if data[-8:-5] != b"UFD" or len(data) < _SUFFIX:
        raise InputError(
            "has no DFU suffix",
            source=str(path),
            place=f"offset 0x{size:X}",
            advice="the file was cut short; copy it again",
        )
    if zlib.crc32(data[:-4]) ^ 0xFFFFFFFF != int.from_bytes(data[-4:], "little"):
        raise InputError("the checksum in its DFU suffix is wrong", source=str(path), advice="copy the file again")
    body = data[: -max(_SUFFIX, data[-5])]
    if not body.startswith(b"DfuSe"):
        return np.frombuffer(body, np.uint8)
    pieces, at = SegmentBuilder(str(path)), _PREFIX.size
    try:
        for _ in range(_PREFIX.unpack_from(body)[3]):
            signature, _, _, _, _, elements = _TARGET.unpack_from(body, at)
            if signature != b"Target":
                raise InputError("no target stands where one should begin", source=str(path), place=f"offset 0x{at:X}")
            at += _TARGET.size
            for _ in range(elements):
                address, count = _ELEMENT.unpack_from(body, at)
                at += _ELEMENT.size
                if at + count > len(body) or address + count > 1 << 32:
                    raise struct.error
                pieces.put(address, np.frombuffer(body, np.uint8)[at : at + count])
                at += count
        return pieces.segments()
    except struct.error:
        raise InputError(
            "an element runs past the end of the file",
            source=str(path),
            place=f"offset 0x{at:X}",
            advice="copy it again",
        ) from None
    except Overlap as overlap:
        raise InputError(f"two elements hold the byte at 0x{overlap.address:08X}", source=str(path)) from None
