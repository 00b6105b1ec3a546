"""A case folder: ``case.toml`` and the evidence files that it names, all inside the folder.

A key that is left out means "not known"; a file that is named but absent or unreadable is an error of the case. The
classes here are what stands in ``case.toml``: the same ones read it and write it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from h5diag.case.case import Case, CaseBoard, CaseFile, DumpFile, KnownImage, Text
from h5diag.case.results import parse_flashtest, parse_identity, parse_sweep
from h5diag.chip import choose_chip
from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile, is_evidence, is_folder, names_in, read_evidence, real_path
from h5diag.evidence.files import decode_text, open_sidecar, read_image
from h5diag.evidence.files.kind import SUFFIXES, Kind
from h5diag.limits import (
    CASE_BOARDS,
    CASE_BYTES,
    CASE_MEMORY,
    CASE_NAMES,
    CASE_TEXTS,
    CASE_TOML,
    DUMP,
    KEY,
    LAYOUT,
    LONGEST_NAME,
    MEMORY,
    NUMBER_DIGITS,
    PROGRAM,
    RECORD,
    TEXT,
    TEXT_LINES,
    Limit,
    shortened,
)
from h5diag.memory import Access, MemoryImage
from h5diag.tables import line_of, parse_toml
from h5diag.text import size_text

_MODES = {
    "hotplug": "hotplug",
    "attach": "hotplug",
    "underreset": "under-reset",
    "ur": "under-reset",
    "normal": "normal",
    "halt": "normal",
}
"""Ways of connecting, by the words of several tools without blanks and hyphens."""

T = TypeVar("T")


class BoardTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``[good]``, ``[suspect]`` or one of ``[[suspects]]``. Texts may be several files of one kind."""

    name: str | None = None
    dumps: list[str] = []
    later: list[str] = []
    base: int | str | None = None
    access: str | None = None
    mode: str | None = None
    after_da: bool | Literal["unknown"] | None = None
    resets_since_flash: int | Literal["unknown"] | None = None
    tool: str | None = None
    marking: str | None = None
    options: str | list[str] = []
    log: str | list[str] = []
    uart: str | list[str] = []
    registers: str | list[str] = []
    info: str | None = None
    sweep: str | None = None
    flashtest: str | None = None


class ImageTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One of ``[[images]]``."""

    file: str
    base: int | str | None = None


class ProvisioningTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``[provisioning]``."""

    package: str | None = None
    logs: list[str] = []


class LoaderTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``[loader]``: the external loader."""

    file: str | None = None
    log: str | None = None


class KeysTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``[keys]``."""

    verify: list[str] = []
    decrypt: list[str] = []


class CaseTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A whole ``case.toml``."""

    title: str | None = None
    chip: str | None = None
    layout: str | None = None
    boot_loader: Literal["st", "upstream"] | None = None
    boot_mode: (
        Literal["overwrite", "swap-scratch", "swap-move", "swap-offset", "direct-xip", "direct-xip-revert", "ram-load"]
        | None
    ) = None
    good: BoardTable | None = None
    suspect: BoardTable | None = None
    suspects: list[BoardTable] = []
    provisioning: ProvisioningTable | None = None
    images: list[ImageTable] = []
    loader: LoaderTable | None = None
    keys: KeysTable | None = None


def load_case(folder: str | Path) -> Case:
    """Return the case in `folder`; each of its files is opened once.

    Raises
    ------
    InputError
        When the folder or its ``case.toml`` is missing, a key is unknown or of the wrong type, a file is absent,
        unreadable or outside the folder.
    """
    path = Path(folder)
    if path.name == "case.toml" and is_evidence(path):
        path = path.parent
    table, file = read_table(path)
    return _Reader(path, file).case(table)


def elves_beside(path: str | Path) -> tuple[EvidenceFile, ...]:
    """Return the ELF files of the case in whose folder a file lies; none where there is no case that can be read."""
    folder = Path(path).parent
    try:
        table, _ = read_table(folder)
        names = [i.file for i in table.images or () if SUFFIXES.get(Path(i.file).suffix.lower()) is Kind.ELF]
        return tuple(read_evidence(folder / name, limit=MEMORY, inside=folder) for name in names)
    except InputError:
        return ()


def read_table(folder: Path) -> tuple[CaseTable, EvidenceFile]:
    """Return what a folder's ``case.toml`` says, and the file; InputError as `load_case`."""
    try:
        if not is_folder(folder):
            raise InputError(
                "no such case folder", source=_printable(str(folder)), advice="h5diag case makes one from your files"
            )
        names = names_in(folder)
    except (OSError, ValueError) as error:
        raise InputError(
            f"the case folder cannot be read ({getattr(error, 'strerror', '') or 'no name of a folder'})",
            source=_printable(str(folder)),
        ) from None
    toml = folder / "case.toml"
    if "case.toml" not in names:
        raise InputError(
            "there is no case.toml in it",
            source=str(folder),
            advice=f"h5diag case {folder} makes one from the files there",
        )
    file = read_evidence(toml, limit=CASE_TOML, inside=folder, may_be_empty=True)
    return parse_toml(file.data, CaseTable, str(toml)), file


def _plain(text: str) -> str:
    """Return a stranger's text without characters that steer a terminal or the direction of writing."""
    return "".join(c if c.isprintable() else " " if unicodedata.category(c) == "Zs" else "?" for c in text)


def _printable(text: str) -> str:
    """Return a plain text of a title's length at most."""
    return _plain(shortened(text, LONGEST_NAME))


class _Reader:
    """Opens what one case.toml names; every refusal names the key."""

    def __init__(self, folder: Path, toml: EvidenceFile) -> None:
        self.folder, self.source, self.toml = real_path(folder), str(toml.path), decode_text(toml.data)
        self.ids: list[str] = []
        self.taken = {CASE_TEXTS: 0, CASE_BYTES: 0}
        self.lines = Counter[str | None]()  # of a board's texts
        self.files = [CaseFile(None, "the case", toml.name, toml.size, toml.sha256)]

    def case(self, table: CaseTable) -> Case:
        if table.suspect and table.suspects:
            raise self.wrong("suspect", "stands beside [[suspects]]: use one of the two")
        if len(table.suspects) > CASE_BOARDS:
            raise self.wrong(
                "suspects",
                f"are more than {CASE_BOARDS} boards",
                "compare that many with h5diag fleet, one folder each",
            )
        good = self.board(table.good or BoardTable(), "good", "good")
        many = table.suspects
        suspects = tuple(self.board(b, f"suspects[{i}]", f"suspect {i + 1}") for i, b in enumerate(many)) or (
            self.board(table.suspect or BoardTable(), "suspect", "suspect"),
        )
        self.one_family(table.chip, good, "good")
        for number, board in enumerate(suspects):
            self.one_family(table.chip, board, f"suspects[{number}]" if many else "suspect")
        if len({b.name for b in suspects}) < len(suspects):
            raise self.wrong("suspects", "two boards have the same name")
        provisioning, keys = table.provisioning or ProvisioningTable(), table.keys or KeysTable()
        loader = table.loader or LoaderTable()
        case = Case(
            title=_printable(table.title if table.title is not None else "untitled"),
            folder=self.folder,
            chip=table.chip or None,
            layout=self.layout(table.layout) if table.layout else None,
            boot_loader=table.boot_loader,
            boot_mode=table.boot_mode,
            good=good,
            suspects=suspects,
            images=self.known_images(table.images),
            package=_printable(provisioning.package) if provisioning.package else None,
            provisioning=tuple(
                self.text([log], "provisioning.logs", "provisioning log")
                for log in self.once(provisioning.logs, "provisioning.logs")
            ),
            loader=self.file(loader.file, "loader.file", PROGRAM, "external loader") if loader.file else None,
            loader_log=self.text([loader.log], "loader.log", "external loader's log") if loader.log else None,
            verify_keys=tuple(self.file(f, "keys.verify", KEY, "key") for f in keys.verify),
            decrypt_keys=tuple(self.file(f, "keys.decrypt", KEY, "key") for f in keys.decrypt),
        )
        return replace(case, files=tuple(self.files), ids=tuple(dict.fromkeys(self.ids)))

    def board(self, table: BoardTable, where: str, usual: str) -> CaseBoard:
        name = _printable(table.name) if table.name is not None else usual
        access, mode = self.access(table, where), self.mode(table, where)
        base = self.address(table.base, f"{where}.base")

        def dumps(key: str, kind: str, names: list[str]) -> tuple[DumpFile, ...]:
            return tuple(
                DumpFile(_plain(f), self.dump(f, f"{where}.{key}", kind, name, base, access, mode))
                for f in self.once(names, f"{where}.{key}")
            )

        def text(key: str, kind: str, names: str | list[str]) -> Text | None:
            return (
                self.text([names] if isinstance(names, str) else names, f"{where}.{key}", kind, name) if names else None
            )

        def record(key: str, kind: str, file: str | None, parse: Callable[[str, str], T]) -> T | None:
            if not file:
                return None
            opened = self.file(file, f"{where}.{key}", RECORD, kind, name)
            self.ids += _ids(opened.data)
            return parse(decode_text(opened.data), str(opened.path))

        resets = table.resets_since_flash
        if isinstance(resets, int) and not 0 <= resets < 1 << 31:
            raise self.wrong(f"{where}.resets_since_flash", "is no number of resets (0, 1, ...)")
        reads = dumps("dumps", "dump", table.dumps)
        # The sidecar of a dump says how it was read; the case only overrides it.
        if access is Access.UNKNOWN and len(told := {d.image.access for d in reads}) == 1:
            access = told.pop()
        if mode is None and len(modes := {_MODES.get(_letters(d.image.origin.mode or "")) for d in reads}) == 1:
            mode = modes.pop()
        return CaseBoard(
            name=name,
            dumps=reads,
            later=dumps("later", "later dump", table.later),
            access=access,
            mode=mode,
            after_da=table.after_da if isinstance(table.after_da, bool) else None,
            resets_since_flash=resets if isinstance(resets, int) else None,
            tool=_known(table.tool),
            marking=_known(table.marking),
            options=text("options", "option bytes", table.options),
            log=text("log", "programmer's text", table.log),
            uart=text("uart", "boot loader's text", table.uart),
            registers=text("registers", "registers", table.registers),
            identity=record("info", "identity", table.info, parse_identity),
            sweep=record("sweep", "agreement by link speed", table.sweep, parse_sweep),
            flashtest=record("flashtest", "flash test", table.flashtest, parse_flashtest),
        )

    def one_family(self, chip: str | None, board: CaseBoard, where: str) -> None:
        """Refuse a flash test that says that it is of another family of chips than the case: it proves nothing here."""
        test, other = board.flashtest, chip or (board.identity.chip if board.identity else None)
        if test and test.chip and other and test.chip != other:
            try:
                same = choose_chip(given=test.chip).family == choose_chip(given=other).family
            except InputError:  # a name that h5diag does not know
                return
            if not same:
                problem = f"is a test of {_printable(test.chip)}, and the chip here is {_printable(other)}"
                raise self.wrong(f"{where}.flashtest", problem, "take the key out, or give the test of this board")

    def address(self, value: int | str | None, where: str) -> int | None:
        """Take 0x08000000 also in quotation marks."""
        try:
            number = int(value, 0) if isinstance(value, str) and len(value) <= NUMBER_DIGITS else value
        except ValueError:
            number = value
        if number is not None and not (isinstance(number, int) and 0 <= number < 1 << 32):
            raise self.wrong(where, "is not an address")
        return number

    def access(self, table: BoardTable, where: str) -> Access:
        try:
            return Access((table.access or Access.UNKNOWN.value).lower())
        except ValueError:
            raise self.wrong(
                f"{where}.access", f"is '{_printable(str(table.access))}'; it is secure, nonsecure or unknown"
            ) from None

    def mode(self, table: BoardTable, where: str) -> str | None:
        word = _letters(table.mode or "unknown")
        if word != "unknown" and word not in _MODES:
            raise self.wrong(
                f"{where}.mode", f"is '{_printable(str(table.mode))}'; it is hotplug, under-reset, normal or unknown"
            )
        return _MODES.get(word)

    def dump(
        self, name: str, where: str, kind: str, board: str, base: int | None, access: Access, mode: str | None
    ) -> MemoryImage:
        image = self.memory(self.file(name, where, DUMP, kind, board), board, base)
        origin = image.origin if access is Access.UNKNOWN else replace(image.origin, access=access)
        return image.with_origin(replace(origin, mode=mode) if mode else origin)

    def known_images(self, tables: list[ImageTable]) -> tuple[KnownImage, ...]:
        self.once([f"{t.file} at {t.base}" for t in tables], "images")
        out = []
        for n, t in enumerate(tables):
            file = self.file(t.file, f"images[{n}].file", MEMORY, "image that was to be flashed")
            out.append(
                KnownImage(_plain(t.file), self.memory(file, None, self.address(t.base, f"images[{n}].base")), file)
            )
        return tuple(out)

    def memory(self, file: EvidenceFile, board: str | None, base: int | None) -> MemoryImage:
        beside = open_sidecar(file)
        if beside:
            self.ids += _ids(beside.data)
            self.files.append(CaseFile(board, "sidecar", beside.name, beside.size, beside.sha256))
        return read_image(file, base=base, beside=beside, most=CASE_MEMORY)

    def layout(self, name: str) -> str | EvidenceFile:
        try:
            is_file = Path(name).suffix in (".h", ".toml", ".yml", ".yaml", ".dts") or is_evidence(self.folder / name)
        except (OSError, ValueError):
            return name
        return self.file(name, "layout", LAYOUT, "flash layout") if is_file else name

    def text(self, names: Sequence[str], where: str, kind: str, board: str | None = None) -> Text:
        texts = [decode_text(self.file(name, where, TEXT, kind, board).data) for name in self.once(names, where)]
        self.lines[board] += sum(t.count("\n") + 1 for t in texts)
        if self.lines[board] > TEXT_LINES:
            raise self.wrong(where, f"makes the texts of a board longer than {TEXT_LINES:,} lines", TEXT.advice)
        return Text(", ".join(map(_plain, names)), "\n".join(texts))

    def once(self, names: Sequence[str], where: str) -> Sequence[str]:
        if twice := next((n for i, n in enumerate(names[:CASE_NAMES]) if n in names[:i]), None):
            raise self.wrong(where, f"names '{_printable(twice)}' twice", "take one of them out")
        return names

    def file(self, name: str, where: str, limit: Limit, kind: str, board: str | None = None) -> EvidenceFile:
        if not name or "\0" in name:
            raise self.wrong(where, "is not a file name")
        if len(self.files) > CASE_NAMES:
            raise self.wrong(where, f"is the case's file number {CASE_NAMES + 1}", "give the files that matter")
        try:
            file = read_evidence(self.folder / name, limit=limit, inside=self.folder)
        except InputError as error:
            advice = error.advice or "copy it into the case folder or take the key out"
            raise self.wrong(where, f"names '{_printable(name)}': {error.problem}", advice) from None
        self.files.append(CaseFile(board, kind, _plain(name), file.size, file.sha256))
        most = CASE_TEXTS if limit is TEXT else CASE_BYTES
        self.taken[most] += file.size
        if self.taken[most] > most:
            what = "texts" if limit is TEXT else "files"
            raise self.wrong(where, f"makes the {what} of the case larger than {size_text(most)}", limit.advice)
        return file

    def wrong(self, key: str, problem: str, advice: str = "") -> InputError:
        line = line_of(self.toml, key)
        place = f"line {line}" if line else ""
        return InputError(f"{_printable(key)} {problem}", source=self.source, place=place, advice=advice)


_ID = re.compile(
    rb'"(?:uid|unique_id|serial|serial_number|probe|probe_id|probe_serial)"[ \t\r\n]{0,8}:[ \t\r\n]{0,8}'
    rb'(?:"([^"]{4,100})"|(\d{4,40})|\[([^\]]{4,400})\])',
    re.IGNORECASE,
)


def _ids(data: bytes) -> list[str]:
    """Return the ids in a JSON file, at whatever depth they stand."""
    found = [next(filter(None, m.groups())).decode("utf-8", "replace") for m in _ID.finditer(data)]
    return [p.strip(' "\r\n\t') for f in found for p in (f, *f.split(","))] + [
        f"{int(f):X}" for f in found if f.isdecimal()
    ]


def _known(text: str | None) -> str | None:
    return _printable(text) if text and text.strip().lower() != "unknown" else None


def _letters(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "").replace(" ", "")
