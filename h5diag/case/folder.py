"""A case folder: ``case.toml`` and the evidence files that it names, all inside the folder.

A key that is left out means "not known"; a file that is named but absent or unreadable is an error of the case.
"""

from __future__ import annotations

import stat
import tomllib
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from h5diag.case.case import UNKNOWN, Board, Case, Dump, KnownImage, Text
from h5diag.case.records import FlashTest, Identity, Sweep, parse_flashtest, parse_identity, parse_sweep
from h5diag.errors import InputError
from h5diag.evidence.files import decode_text, read_image
from h5diag.evidence.files.sidecar import sidecar_path
from h5diag.memory import Access, MemoryImage

MOST_TEXT = 8 << 20
"""No listing, log or record is longer than this many bytes."""

MOST_TOML = 1 << 20
"""No case.toml is longer than this many bytes."""

MOST_DOTS = 500
"""Dots in a line of case.toml."""

LONGEST_NAME = 200
"""Characters that are kept of a title or a name."""

_MODES = {
    "hotplug": "hotplug",
    "attach": "hotplug",
    "underreset": "under-reset",
    "ur": "under-reset",
    "normal": "normal",
    "halt": "normal",
    UNKNOWN: UNKNOWN,
}
"""Ways of connecting, by the words of several tools without blanks and hyphens."""


def load_case(folder: str | Path) -> Case:
    """Return the case in `folder`.

    Raises
    ------
    InputError
        When the folder or its ``case.toml`` is missing, a key is unknown or of the wrong type, a file is absent,
        unreadable or outside the folder.
    """
    path = Path(folder)
    if path.name == "case.toml" and _kind_of(path) == "a file":
        path = path.parent
    if _kind_of(path) != "a folder":
        raise InputError(
            "no such case folder", source=_shown(str(folder)), advice="h5diag case makes one from your files"
        )
    toml = path / "case.toml"
    if not (kind := _kind_of(toml)):
        raise InputError(
            "there is no case.toml in it",
            source=str(folder),
            advice=f"h5diag case {folder} makes one from the files there",
        )
    if kind != "a file":
        raise InputError(f"is {kind}", source=str(toml), advice="it has to be a text file")
    if not toml.resolve().is_relative_to(path.resolve()):
        raise InputError("is a link that leaves the case folder", source=str(toml), advice="copy it into the folder")
    try:
        if toml.stat().st_size > MOST_TOML:
            raise InputError(f"is longer than {MOST_TOML >> 20} MiB, so no case.toml", source=str(toml))
        text = toml.read_bytes().decode("utf-8")
        # A key of many parts costs the reader the square of their number.
        for number, line in enumerate(text.split("\n"), 1):
            if line.count(".") > MOST_DOTS:
                raise InputError(
                    f"more than {MOST_DOTS} dots in a line",
                    source=str(toml),
                    place=f"line {number}",
                    advice="write a list over several lines",
                )
        table = tomllib.loads(text)
    except (ValueError, OSError) as error:  # not TOML, not UTF-8, a number of thousands of digits
        raise InputError(f"not readable as TOML: {_shown(str(error))}", source=str(toml)) from None
    except RecursionError:
        raise InputError("not readable as TOML: nested too deeply", source=str(toml)) from None
    return _Reader(path, str(toml)).case(table)


def _kind_of(path: Path) -> str:
    """Return what stands at a path, links followed; empty when nothing does or the name is none."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    if stat.S_ISREG(mode):
        return "a file"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def _plain(text: str) -> str:
    """Return a stranger's text without characters that steer a terminal or the direction of writing."""
    return "".join(c if c.isprintable() else " " if unicodedata.category(c) == "Zs" else "?" for c in text)


def _shown(text: str) -> str:
    """Return a plain text of a title's length at most."""
    text = text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 3] + "..."
    return _plain(text)


_BOARD_KEYS = (
    "name",
    "dumps",
    "later",
    "base",
    "access",
    "mode",
    "after_da",
    "resets_since_flash",
    "tool",
    "options",
    "log",
    "info",
    "sweep",
    "flashtest",
    "marking",
    "uart",
    "registers",
)


class _Reader:
    """Reads one case.toml; every refusal names the key."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder, self.source = folder.resolve(), source

    def case(self, table: dict[str, Any]) -> Case:
        self.only_keys(
            table,
            ("title", "chip", "layout", "good", "suspect", "suspects", "provisioning", "images", "loader", "keys"),
            "",
        )
        one, many = self.table(table, "suspect"), self.tables(table, "suspects")
        if "suspect" in table and "suspects" in table:
            raise self.wrong("suspect", "stands beside [[suspects]]: use one of the two")
        suspects = tuple(self.board(b, f"suspects[{i}]", f"suspect {i + 1}") for i, b in enumerate(many)) or (
            self.board(one, "suspect", "suspect"),
        )
        if len({b.name for b in suspects}) < len(suspects):
            raise self.wrong("suspects", "two boards have the same name")
        provisioning, loader, keys = (self.table(table, k) for k in ("provisioning", "loader", "keys"))
        self.only_keys(provisioning, ("package", "logs"), "provisioning.")
        self.only_keys(loader, ("file", "log"), "loader.")
        self.only_keys(keys, ("verify", "decrypt"), "keys.")
        return Case(
            title=self.text(table, "title", "untitled"),
            folder=self.folder,
            chip=self.text(table, "chip"),
            layout=self.layout(self.text(table, "layout")),
            good=self.board(self.table(table, "good"), "good", "good"),
            suspects=suspects,
            images=tuple(self.known_image(i, n) for n, i in enumerate(self.tables(table, "images"))),
            package=self.text(provisioning, "package", UNKNOWN, "provisioning."),
            provisioning=tuple(self.text_file(f, "provisioning.logs") for f in self.names(provisioning, "logs")),
            loader=self.file(loader["file"], "loader.file") if "file" in loader else Path(),
            loader_log=self.optional_text(loader, "log", "loader."),
            verify_keys=tuple(self.file(f, "keys.verify") for f in self.names(keys, "verify")),
            decrypt_keys=tuple(self.file(f, "keys.decrypt") for f in self.names(keys, "decrypt")),
        )

    def board(self, table: dict[str, Any], where: str, name: str) -> Board:
        self.only_keys(table, _BOARD_KEYS, where + ".")
        base = table.get("base")
        if base is not None and (type(base) is not int or base < 0):
            raise self.wrong(f"{where}.base", "is not an address")
        word = self.text(table, "access", UNKNOWN, where + ".")
        try:
            access = Access(word.lower())
        except ValueError:
            raise self.wrong(f"{where}.access", f"is '{word}'; it is secure, nonsecure or unknown") from None
        mode = self.mode(table, where)

        def dumps(key: str) -> tuple[Dump, ...]:
            return tuple(
                Dump(_plain(f), self.image(f, f"{where}.{key}", base, access, mode)) for f in self.names(table, key)
            )

        def record(key: str, parse: Callable[[str, str], Any], empty: Any) -> Any:
            text = self.optional_text(table, key, where + ".")
            return parse(text.text, str(self.folder / text.name)) if text else empty

        reads = dumps("dumps")
        if access is Access.UNKNOWN and reads:
            # The sidecar of a dump says how it was read; the case only overrides it.
            told = {d.image.access for d in reads}
            access = told.pop() if len(told) == 1 else Access.UNKNOWN
        if mode == UNKNOWN and reads:
            modes = {_MODES.get(_letters(d.image.origin.mode), UNKNOWN) for d in reads}
            mode = modes.pop() if len(modes) == 1 else UNKNOWN
        return Board(
            name=self.text(table, "name", name, where + "."),
            dumps=reads,
            later=dumps("later"),
            access=access,
            mode=mode,
            after_da=self.after_da(table, where),
            resets_since_flash=self.resets(table, where),
            tool=self.text(table, "tool", UNKNOWN, where + ".").lower(),
            marking=self.text(table, "marking", "", where + "."),
            options=self.optional_text(table, "options", where + "."),
            log=self.optional_text(table, "log", where + "."),
            uart=self.optional_text(table, "uart", where + "."),
            registers=self.optional_text(table, "registers", where + "."),
            identity=record("info", parse_identity, Identity()),
            sweep=record("sweep", parse_sweep, Sweep()),
            flashtest=record("flashtest", parse_flashtest, FlashTest()),
        )

    def image(self, name: str, where: str, base: int | None, access: Access, mode: str) -> MemoryImage:
        image = self.memory(name, where, base)
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
        return KnownImage(_plain(str(table["file"])), self.memory(table["file"], where + "file", base))

    def memory(self, name: object, where: str, base: int | None) -> MemoryImage:
        path = self.file(name, where)
        beside = sidecar_path(path)
        try:
            if beside.is_symlink() and not beside.resolve().is_relative_to(self.folder):
                raise InputError(
                    "is a link that leaves the case folder",
                    source=str(beside),
                    advice="copy the dump's sidecar into the folder",
                )
            return read_image(path, base=base)
        except (OSError, RuntimeError) as error:  # a link in a circle, a name at the system's limit of length
            raise self.wrong(where, f"names '{_shown(path.name)}', which cannot be read ({_why(error)})") from None

    def layout(self, name: str) -> str:
        return (
            str(self.file(name, "layout")) if name.endswith(".h") or _kind_of(self.folder / name) == "a file" else name
        )

    def file(self, name: object, where: str) -> Path:
        if not isinstance(name, str) or not name or "\0" in name:
            raise self.wrong(where, "is not a file name")
        shown = _shown(name)
        try:
            path = (self.folder / name).resolve()
        except (OSError, RuntimeError) as error:
            raise self.wrong(
                where,
                f"names '{shown}', which cannot be followed ({_why(error)})",
                "copy the file itself into the case folder",
            ) from None
        if not path.is_relative_to(self.folder):
            raise self.wrong(where, f"names '{shown}', which lies outside the case folder", "copy it into the folder")
        kind = _kind_of(path)
        if not kind and len(name) > LONGEST_NAME:
            raise self.wrong(where, f"names '{shown}', and no such file is there", "shorten the name")
        if not kind:
            raise InputError(
                f"{where} names it, and it is not there",
                source=str(self.folder / shown),
                advice="copy it into the case folder or take the key out",
            )
        if kind != "a file":
            raise InputError(
                f"{where} names it, and it is {kind}",
                source=str(self.folder / shown),
                advice="name a file with the evidence",
            )
        return path

    def text_file(self, name: object, where: str) -> Text:
        path = self.file(name, where)
        try:
            if path.stat().st_size > MOST_TEXT:
                raise InputError(
                    f"is too large ({path.stat().st_size} bytes; {MOST_TEXT >> 20} MiB at most)",
                    source=str(path),
                    advice="keep the part that matters",
                )
            return Text(_plain(str(name)), decode_text(path.read_bytes()))
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
        return _shown(value) if key not in ("chip", "layout") else value

    def mode(self, table: dict[str, Any], where: str) -> str:
        word = self.text(table, "mode", UNKNOWN, where + ".")
        if (mode := _MODES.get(_letters(word))) is None:
            raise self.wrong(f"{where}.mode", f"is '{word}'; it is hotplug, under-reset, normal or unknown")
        return mode

    def after_da(self, table: dict[str, Any], where: str) -> str:
        value = table.get("after_da", UNKNOWN)
        if not isinstance(value, bool) and value != UNKNOWN:
            raise self.wrong(f"{where}.after_da", 'is none of true, false and "unknown"')
        return str(value).lower()

    def resets(self, table: dict[str, Any], where: str) -> str:
        value = table.get("resets_since_flash", UNKNOWN)
        if value != UNKNOWN and (type(value) is not int or not 0 <= value < 1 << 31):
            raise self.wrong(f"{where}.resets_since_flash", 'is neither a number of resets (0, 1, ...) nor "unknown"')
        return str(value)

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
        return InputError(f"{_shown(key)} {problem}", source=self.source, advice=advice)


def _letters(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "").replace(" ", "")


def _why(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else "its links run in a circle"
