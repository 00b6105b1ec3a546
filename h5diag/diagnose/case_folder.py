"""A case folder: ``case.toml`` and the evidence files that it names, all inside the folder.

A key that is left out means "not known"; a file that is named but absent or unreadable is an error of the case.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from h5diag.diagnose.case import UNKNOWN, Board, Case, Dump, KnownImage, Text
from h5diag.diagnose.records import FlashTest, Identity, Sweep, parse_flashtest, parse_identity, parse_sweep
from h5diag.errors import InputError
from h5diag.files import decode_text, read_image
from h5diag.memory import Access, MemoryImage

MOST_TEXT = 16 << 20
"""No listing or log is longer than this many bytes."""


def load_case(folder: str | Path) -> Case:
    """Return the case in `folder`.

    Raises
    ------
    InputError
        When the folder or its ``case.toml`` is missing, a key is unknown or of the wrong type, a file is absent,
        unreadable or outside the folder.
    """
    path = Path(folder)
    if path.name == "case.toml" and path.is_file():
        path = path.parent
    if not path.is_dir():
        raise InputError("no such case folder", source=str(folder), advice="h5diag case makes one from your files")
    toml = path / "case.toml"
    if not toml.is_file():
        raise InputError("there is no case.toml in it", source=str(folder),
                         advice=f"h5diag case {folder} makes one from the files there")
    try:
        table = tomllib.loads(toml.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"not readable as TOML: {error}", source=str(toml)) from None
    return _Reader(path, str(toml)).case(table)


_BOARD_KEYS = ("name", "dumps", "later", "base", "access", "mode", "after_da", "resets_since_flash", "tool", "options",
               "log", "info", "sweep", "flashtest", "marking", "uart", "registers")


class _Reader:
    """Reads one case.toml; every refusal names the key."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder, self.source = folder.resolve(), source

    def case(self, table: dict[str, Any]) -> Case:
        self.only_keys(table, ("title", "chip", "layout", "good", "suspect", "suspects", "provisioning", "images",
                               "loader", "keys"), "")
        one, many = self.table(table, "suspect"), self.tables(table, "suspects")
        if "suspect" in table and "suspects" in table:
            raise self.wrong("suspect", "stands beside [[suspects]]: use one of the two")
        suspects = tuple(self.board(b, f"suspects[{i}]", f"suspect {i + 1}") for i, b in enumerate(many)) \
            or (self.board(one, "suspect", "suspect"),)
        if len({b.name for b in suspects}) < len(suspects):
            raise self.wrong("suspects", "two boards have the same name")
        provisioning, loader, keys = (self.table(table, k) for k in ("provisioning", "loader", "keys"))
        self.only_keys(provisioning, ("package", "logs"), "provisioning.")
        self.only_keys(loader, ("file", "log"), "loader.")
        self.only_keys(keys, ("verify", "decrypt"), "keys.")
        return Case(
            title=self.text(table, "title", "untitled"), folder=self.folder, chip=self.text(table, "chip"),
            layout=self.layout(self.text(table, "layout")), good=self.board(self.table(table, "good"), "good", "good"),
            suspects=suspects, images=tuple(self.known_image(i, n) for n, i in enumerate(self.tables(table, "images"))),
            package=self.text(provisioning, "package", UNKNOWN, "provisioning."),
            provisioning=tuple(self.text_file(f, "provisioning.logs") for f in self.names(provisioning, "logs")),
            loader=self.file(loader["file"], "loader.file") if "file" in loader else Path(),
            loader_log=self.optional_text(loader, "log", "loader."),
            verify_keys=tuple(self.file(f, "keys.verify") for f in self.names(keys, "verify")),
            decrypt_keys=tuple(self.file(f, "keys.decrypt") for f in self.names(keys, "decrypt")))

    def board(self, table: dict[str, Any], where: str, name: str) -> Board:
        self.only_keys(table, _BOARD_KEYS, where + ".")
        base = table.get("base")
        if base is not None and (type(base) is not int or base < 0):
            raise self.wrong(f"{where}.base", "is not an address")
        word = self.text(table, "access", UNKNOWN, where + ".")
        try:
            access = Access(word.lower())
        except ValueError:
            raise self.wrong(f"{where}.access", f"is {word!r}; it is secure, nonsecure or unknown") from None
        mode = self.text(table, "mode", UNKNOWN, where + ".")

        def dumps(key: str) -> tuple[Dump, ...]:
            return tuple(Dump(f, self.image(f, f"{where}.{key}", base, access, mode))
                         for f in self.names(table, key))

        def record(key: str, parse: Callable[[str, str], Any], empty: Any) -> Any:
            text = self.optional_text(table, key, where + ".")
            return parse(text.text, str(self.folder / text.name)) if text else empty

        reads = dumps("dumps")
        if access is Access.UNKNOWN and reads:
            # The sidecar of a dump says how it was read; the case only overrides it.
            told = {d.image.access for d in reads}
            access = told.pop() if len(told) == 1 else Access.UNKNOWN
        if mode == UNKNOWN and reads:
            modes = {d.image.origin.mode for d in reads}
            mode = modes.pop() if len(modes) == 1 else UNKNOWN
        return Board(
            name=self.text(table, "name", name, where + "."), dumps=reads, later=dumps("later"), access=access,
            mode=mode, after_da=self.word(table, "after_da"),
            resets_since_flash=self.word(table, "resets_since_flash"), tool=self.word(table, "tool"),
            marking=self.text(table, "marking", "", where + "."),
            options=self.optional_text(table, "options", where + "."),
            log=self.optional_text(table, "log", where + "."), uart=self.optional_text(table, "uart", where + "."),
            registers=self.optional_text(table, "registers", where + "."),
            identity=record("info", parse_identity, Identity()), sweep=record("sweep", parse_sweep, Sweep()),
            flashtest=record("flashtest", parse_flashtest, FlashTest()))

    def image(self, name: str, where: str, base: int | None, access: Access, mode: str) -> MemoryImage:
        image = read_image(self.file(name, where), base=base)
        origin = image.origin
        if access is not Access.UNKNOWN:
            origin = replace(origin, access=access)
        if mode != UNKNOWN:
            origin = replace(origin, mode=mode)
        return image.with_origin(origin)

    def known_image(self, table: dict[str, Any], number: int) -> KnownImage:
        where = f"images[{number}]."
        self.only_keys(table, ("file", "base"), where)
        if "file" not in table:
            raise self.wrong(where + "file", "is missing")
        base = table.get("base")
        if base is not None and type(base) is not int:
            raise self.wrong(where + "base", "is not an address")
        return KnownImage(str(table["file"]), read_image(self.file(table["file"], where + "file"), base=base))

    def layout(self, name: str) -> str:
        inside = self.folder / name
        return str(self.file(name, "layout")) if name and (inside.is_file() or name.endswith(".h")) else name

    def file(self, name: object, where: str) -> Path:
        if not isinstance(name, str) or not name or "\0" in name:
            raise self.wrong(where, "is not a file name")
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder):
            raise self.wrong(where, f"names {name!r}, which lies outside the case folder", "copy it into the folder")
        if not path.is_file():
            raise InputError(f"{where} names it, and it is not there", source=str(self.folder / name),
                             advice="copy it into the case folder or take the key out")
        return path

    def text_file(self, name: object, where: str) -> Text:
        path = self.file(name, where)
        try:
            if path.stat().st_size > MOST_TEXT:
                raise InputError(f"is {path.stat().st_size} bytes long, too long for a text", source=str(path))
            return Text(str(name), decode_text(path.read_bytes()))
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", source=str(path)) from None

    def optional_text(self, table: dict[str, Any], key: str, where: str) -> Text:
        return self.text_file(table[key], where + key) if key in table else Text()

    def only_keys(self, table: dict[str, Any], known: Iterable[str], where: str) -> None:
        if unknown := sorted(set(table) - set(known)):
            raise self.wrong(where + unknown[0], "is no key of a case", "known here: " + ", ".join(known))

    def text(self, table: dict[str, Any], key: str, default: str = "", where: str = "") -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(where + key, "is not a text")
        return value

    def word(self, table: dict[str, Any], key: str) -> str:
        value = table.get(key, UNKNOWN)
        return str(value).lower() if isinstance(value, str | int | bool) else UNKNOWN

    def table(self, table: dict[str, Any], key: str) -> dict[str, Any]:
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "is not a table")
        return value

    def tables(self, table: dict[str, Any], key: str) -> list[dict[str, Any]]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.wrong(key, "is not an array of tables")
        return value

    def names(self, table: dict[str, Any], key: str) -> list[str]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.wrong(key, "is not a list of file names")
        return value

    def wrong(self, key: str, problem: str, advice: str = "") -> InputError:
        return InputError(f"{key} {problem}", source=self.source, advice=advice)
