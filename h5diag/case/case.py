"""The evidence of an investigation as values: a `Case` carries it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from h5diag.case.records import FlashTest, Identity, Sweep
from h5diag.memory import Access, MemoryImage

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Text:
    """A text file: its name and what it says; false when none was given."""

    name: str = ""
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.name)


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump of a board: file name and content."""

    name: str
    image: MemoryImage


@dataclass(frozen=True, slots=True)
class Board:
    """What is known of one board.

    `dumps` are repeated reads of one moment, `later` reads of a later one. `access` and `mode` say how it was
    read. `marking` is what is printed on the part. Records that were not given are those of an empty file.
    """

    name: str
    dumps: tuple[Dump, ...] = ()
    later: tuple[Dump, ...] = ()
    access: Access = Access.UNKNOWN
    mode: str = UNKNOWN
    after_da: str = UNKNOWN
    resets_since_flash: str = UNKNOWN
    tool: str = UNKNOWN
    marking: str = ""
    options: Text = field(default_factory=Text)
    log: Text = field(default_factory=Text)
    uart: Text = field(default_factory=Text)
    registers: Text = field(default_factory=Text)
    identity: Identity = field(default_factory=Identity)
    sweep: Sweep = field(default_factory=Sweep)
    flashtest: FlashTest = field(default_factory=FlashTest)

    @property
    def known(self) -> bool:
        """Tell whether anything at all was given."""
        return self != Board(self.name)


@dataclass(frozen=True, slots=True)
class KnownImage:
    """A file that was to be flashed."""

    name: str
    image: MemoryImage


@dataclass(frozen=True, slots=True)
class Case:
    """The evidence of an investigation.

    Parameters
    ----------
    title
        What it is about.
    folder
        Where it lies.
    chip, layout
        As written in ``case.toml``; empty when left out. A layout that is a file is the file's path.
    good
        The board that works; `Board.known` is false when there is none.
    suspects
        The boards in question; at least one.
    images
        Files that were to be flashed.
    package
        Version of the vendor's firmware package, ``unknown`` when left out.
    provisioning
        Logs of the provisioning.
    loader, loader_log
        Path of an external loader's file (a missing loader is an empty path) and its log.
    verify_keys, decrypt_keys
        Paths of key files. The keys themselves are read where they are used and kept nowhere.
    """

    title: str
    folder: Path
    chip: str = ""
    layout: str = ""
    good: Board = field(default_factory=lambda: Board("good"))
    suspects: tuple[Board, ...] = (Board("suspect"),)
    images: tuple[KnownImage, ...] = ()
    package: str = UNKNOWN
    provisioning: tuple[Text, ...] = ()
    loader: Path = Path()
    loader_log: Text = field(default_factory=Text)
    verify_keys: tuple[Path, ...] = ()
    decrypt_keys: tuple[Path, ...] = ()

    @property
    def has_loader(self) -> bool:
        """Tell whether an external loader's file was given."""
        return self.loader != Path()
