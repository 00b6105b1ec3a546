"""The evidence of an investigation as values: a `Case` carries it and nothing else.

None is how "not given" is said, everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from h5diag.answer import Answer
from h5diag.case.results import FlashTest, Identity, Sweep
from h5diag.evidence.door import EvidenceFile
from h5diag.memory import Access, MemoryImage


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A file of evidence as it was read, for a list of what a diagnosis rests on.

    `kind` says what it is, for a person; `board` is None for a file of the whole case.
    """

    board: str | None
    kind: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Text:
    """What text files say: their names, joined by commas, and their texts, one after the other."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class DumpFile:
    """A dump of a board: file name and content."""

    name: str
    image: MemoryImage


@dataclass(frozen=True, slots=True)
class CaseBoard:
    """What is known of one board.

    `dumps` are repeated reads of one moment, `later` reads of a later one. `access` and `mode` (hotplug,
    under-reset, normal) say how it was read, `after_da` whether after a debug authentication, `marking` what is
    printed on the part.
    """

    name: str
    dumps: tuple[DumpFile, ...] = ()
    later: tuple[DumpFile, ...] = ()
    access: Access = Access.UNKNOWN
    mode: str | None = None
    after_da: bool | None = None
    resets_since_flash: int | None = None
    tool: str | None = None
    marking: str | None = None
    options: Text | None = None
    log: Text | None = None
    uart: Text | None = None
    registers: Text | None = None
    identity: Identity | None = None
    sweep: Sweep | None = None
    flashtest: FlashTest | None = None

    @property
    def known(self) -> bool:
        """Tell whether anything at all was given."""
        return self != CaseBoard(self.name)

    @property
    def texts(self) -> tuple[Text, ...]:
        """Everything that was printed about it: listing, log, boot log, registers."""
        return tuple(t for t in (self.options, self.log, self.uart, self.registers) if t)


UNNAMED = ("suspect", "board")
"""What a board is called that nobody named: no name to put into a sentence."""


@dataclass(frozen=True, slots=True)
class KnownImage:
    """A file that was to be flashed: its name, its content, and the file itself."""

    name: str
    image: MemoryImage
    file: EvidenceFile


@dataclass(frozen=True, slots=True)
class Case(Answer):
    """The evidence of an investigation.

    Parameters
    ----------
    title
        What it is about.
    folder
        Where it lies.
    chip
        As written in ``case.toml``.
    layout
        A preset's name, or the file that was opened.
    boot_loader, boot_mode
        Whose rules hold, as written; None leaves it to the evidence.
    good
        The board that works; `CaseBoard.known` is false when there is none.
    suspects
        The boards in question; at least one.
    images
        Files that were to be flashed.
    package
        Version of the vendor's firmware package.
    provisioning
        Logs of the provisioning.
    loader, loader_log
        An external loader's file and its log.
    verify_keys, decrypt_keys
        Key files as opened; `repr` shows none of their bytes.
    files
        Every file that was read, ``case.toml`` first.
    ids
        Unique ids and serial numbers that its records and sidecars name, for who must keep them private.
    """

    title: str
    folder: Path
    chip: str | None = None
    layout: str | EvidenceFile | None = None
    boot_loader: str | None = None
    boot_mode: str | None = None
    good: CaseBoard = field(default_factory=lambda: CaseBoard("good"))
    suspects: tuple[CaseBoard, ...] = (CaseBoard("suspect"),)
    images: tuple[KnownImage, ...] = ()
    package: str | None = None
    provisioning: tuple[Text, ...] = ()
    loader: EvidenceFile | None = None
    loader_log: Text | None = None
    verify_keys: tuple[EvidenceFile, ...] = ()
    decrypt_keys: tuple[EvidenceFile, ...] = ()
    files: tuple[CaseFile, ...] = ()
    ids: tuple[str, ...] = field(default=(), repr=False)
