"""What the front door takes: memory, texts, chips and layouts in whatever form a person has them.

Anything else is refused in one line before it is touched: `checked` goes by the annotations of each call.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, wraps
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
from h5diag.text import count_text

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
        raise InputError(
            f"0x{base:X} is no address for {count_text(view.nbytes, 'byte')}", advice="give base=0x08000000"
        )
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


_PATH, _LIST = "str __fspath__", "list tuple set frozenset __next__ __array__"
TAKEN = {
    "str": ("str", "", "a text"),
    "str | None": ("str NoneType", "", "a text"),
    "int | None": ("__index__ NoneType", "", "a number"),
    "str | os.PathLike[str]": (_PATH, "", "a path"),
    "str | Path": (_PATH, "", "a path"),
    "str | Path | None": (f"{_PATH} NoneType", "", "a path"),
    "str | Path | EvidenceFile": (f"{_PATH} EvidenceFile", "", "a name or a path"),
    "Named": (_PATH, "", "a path or a text"),
    "Named | None": (f"{_PATH} NoneType", "", "a path or a text"),
    "ChipLike": ("str Chip NoneType", "", "a name, or what load_chip gives"),
    "Chip | None": ("Chip NoneType", "", "what load_chip gives"),
    "LayoutLike": (f"{_PATH} Layout NoneType", "", "a name, a path, or what load_layout gives"),
    "Placement | None": ("Placement NoneType", "", "what locate gives"),
    "str | Access | None": ("str Access NoneType", "", "secure or nonsecure"),
    "tuple[int, int] | None": ("tuple list NoneType", "__index__", "a pair of numbers"),
    "Iterable[str]": (_LIST, "str", "a list of texts"),
    "Iterable[Named]": (_LIST, _PATH, "a list of paths"),
    "Sequence[Named]": (_LIST, _PATH, "a list of paths"),
    "Iterable[Named] | Named": (f"{_PATH} {_LIST}", _PATH, "a path or a list of paths"),
    "Iterable[Memory]": (_LIST, "__class__", "a list of whatever read_memory takes"),
    "Case | Named | list[Case | Named] | tuple[Case | Named, ...]": (
        f"{_PATH} Case list tuple",
        f"{_PATH} Case",
        "a case folder, what load_case gives, or a list of these",
    ),
    "str | Path | Sequence[str | Path | BoardFile]": (
        f"{_PATH} {_LIST}",
        f"{_PATH} BoardFile",
        "a path or a list of paths",
    ),
    "Progress | None": ("__call__ NoneType", "", "a function"),
    "Cancel | None": ("__call__ NoneType", "", "a function"),
}
"""By annotation: the classes or methods of which a value has one, the same for what is in it, and both for a person.

A text is a list of letters, which is never meant. A memory is told by `read_memory`, and whatever is true or false will
do where that is asked.
"""


def _fits(value: Any, kinds: str) -> bool:
    own = {c.__name__ for c in type(value).__mro__}
    return any(k in own or (k[:2] == "__" and hasattr(value, k)) for k in kinds.split())


@cache
def checked(call: Callable[..., Any], called: str) -> Callable[..., Any]:
    """Return a call of the front door that raises InputError for an argument of a type that its annotations do not name.

    Parameters
    ----------
    call
        A function whose annotations are texts.
    called
        Its name at the front door.
    """
    signature = inspect.signature(call)

    @wraps(call)
    def asked(*args: Any, **named: Any) -> Any:
        for name, given in signature.bind(*args, **named).arguments.items():
            of = signature.parameters[name]
            several = (
                given if of.kind is of.VAR_POSITIONAL else given.values() if of.kind is of.VAR_KEYWORD else (given,)
            )
            kinds, inner, words = TAKEN.get(of.annotation, ("object", "", ""))
            # What can be gone through only once is not looked into.
            inside = [v for many in several if inner and isinstance(many, list | tuple) for v in many]
            if wrong := [v for v in several if not _fits(v, kinds)] or [v for v in inside if not _fits(v, inner)]:
                kind = type(wrong[0]).__name__
                raise InputError(f"{kind} is not taken", source=called, place=name, advice=f"give {words}")
        return call(*args, **named)

    return asked
