"""What the front door takes: memory, texts, chips and layouts in whatever form a person has them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from h5diag.chip import Chip, ChipChoice, choose_chip
from h5diag.errors import InputError
from h5diag.evidence import files
from h5diag.evidence.door import read_evidence
from h5diag.evidence.samples import path_of
from h5diag.layout import Layout, chip_and_layout
from h5diag.limits import TEXT
from h5diag.memory import ADDRESS_LIMIT, MemoryImage, Origin

if TYPE_CHECKING:
    from h5diag.evidence.texts import Log

Memory = Any
"""A `MemoryImage`, a path, an ``intelhex.IntelHex``, bytes, or bytes with their address as a pair."""

ChipLike = Chip | str | None
LayoutLike = Layout | str | os.PathLike[str] | None


def read_memory(source: Memory, *, base: int | None = None) -> MemoryImage:
    """Return memory out of a file, an object of another library, or bytes.

    Parameters
    ----------
    source
        Path of a ``.bin .hex .srec .elf .uf2`` file or a text of lines ``address : words`` (told by content); an
        ``intelhex.IntelHex``; bytes or an array of ``uint8``; a pair of one of
        these and its address; a `MemoryImage`.
    base
        Bus address of the first byte of a binary or of bytes. A file without one is taken at 0x08000000, with a
        remark that this was assumed; bytes need it.

    Raises
    ------
    InputError
        With the file and the place in it.
    """
    if isinstance(source, MemoryImage):
        return source
    if isinstance(source, tuple) and len(source) == 2:
        source, base = source
    base = _address(base)
    if isinstance(source, str | os.PathLike):
        return files.read_image(path_of(source), base=base)
    if hasattr(source, "tobinarray"):
        return files.from_intelhex(source)
    try:
        view = memoryview(source)
    except TypeError:
        raise InputError(
            f"{type(source).__name__} holds no memory", advice="give a path, an IntelHex, or bytes with their address"
        ) from None
    if base is None:
        raise InputError("bytes have no address", advice="give base=0x08000000, or wherever they begin")
    if base + view.nbytes > ADDRESS_LIMIT:
        raise InputError(f"0x{base:X} is no address for {view.nbytes} bytes", advice="give base=0x08000000")
    data = source if view.format == "B" and view.ndim == 1 else view.tobytes()
    return MemoryImage.from_bytes(data, base, origin=Origin(kind="memory"))


def _address(base: Any) -> int | None:
    """Return a base as a plain number; an integer of another library will do, a text will not."""
    if base is None:
        return None
    try:
        address = index(base)
    except TypeError:
        address = -1
    if address < 0:
        raise InputError(f"{base!r} is no address", advice="give a number, as base=0x08000000")
    return address


_Word = TypeVar("_Word", bound=Enum)


def word_of(kind: type[_Word], word: str | _Word, what: str) -> _Word:
    """Return the member of an enum that a person's word names; InputError with the words that there are."""
    try:
        return kind(word)
    except ValueError:
        words = " ".join(str(m.value) for m in kind)
        raise InputError(f"{word!r} is no {what}", advice=f"one of {words}") from None


def write_memory(memory: Memory, path: str | os.PathLike[str], *, base: int | None = None) -> Path:
    """Write memory to a ``.bin .hex .srec .elf`` file, told by its ending; InputError when it cannot be."""
    path = Path(path)
    files.write_image(read_memory(memory, base=base), path)
    return path


@dataclass(frozen=True, slots=True)
class Subject:
    """The chip that a call is about, how it is known, and the layout if there is one."""

    choice: ChipChoice
    layout: Layout | None

    @property
    def chip(self) -> Chip:
        """The chip as which bytes are read."""
        return self.choice.read_as


def subject_of(
    chip: ChipLike, layout: LayoutLike, images: Sequence[MemoryImage] = (), logs: Sequence[Log] = ()
) -> Subject:
    """Return the chip and layout of a call: as given, as texts name it or dumps carry it, of the layout, or assumed."""
    given = chip.name if isinstance(chip, Chip) else chip or ""
    sidecars = [i.origin.chip for i in images]
    if logs:
        from h5diag.evidence.texts import chip_of

        choice = chip_of(logs, given=given, sidecars=sidecars)
    else:
        choice = choose_chip(given=given, sidecars=sidecars)
    if isinstance(chip, Chip):
        choice = replace(choice, chip=chip)
    return Subject(*chip_and_layout(choice, layout_of(layout)))


def layout_of(layout: LayoutLike) -> Layout | str | None:
    """Return a layout as it is, or its name."""
    return layout if isinstance(layout, Layout | None) else path_of(layout)


def text_of(source: str | os.PathLike[str]) -> str:
    """Return a text: the file's at a path, or `source` itself when it has several lines."""
    if isinstance(source, str) and "\n" in source:
        return source
    text = files.decode_text(read_evidence(path_of(source), limit=TEXT).data)
    if not text.strip():
        raise InputError("is empty", source=str(source), advice="save or copy it again")
    return text


def name_of(source: str | os.PathLike[str]) -> str:
    """Return what a text is called: its path, or nothing when it was given itself."""
    return "" if isinstance(source, str) and "\n" in source else str(source)
