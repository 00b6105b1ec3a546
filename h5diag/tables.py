"""TOML and JSON files into values of one class each, which checks every key and type as it is made; our own tables.

A file is written by a stranger: whatever stands in it, the answer is a value or one `InputError` with the file, the
path to the key and the line where there is one.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from h5diag.errors import InputError
from h5diag.limits import JSON_NESTED, NUMBER_DIGITS, SHOWN_OF_A_KEY, TOML_DOTS, shortened

T = TypeVar("T")


_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*?)`(?: - at `(.*)`)?\Z", re.DOTALL)
_TYPE = re.compile(r"Expected `(.*?)`, got `(.*?)`(?: - at `(.*)`)?\Z", re.DOTALL)
_BOUND = re.compile(r"Expected `\w+` (>=|<=|<) (\S+)\Z")
_SIGNS = {">=": "at least", "<=": "at most", "<": "below"}
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_KEY = re.compile(r"\s*([^=#\s][^=#]*?)\s*=")


class _Kept(msgspec.Struct, frozen=True):
    """What a TOML file of the package held when its checksum was `crc`."""

    crc: int
    table: msgspec.Raw


def packaged_bytes(path: str) -> bytes:
    """Return a file of the package, named from its root (``chip/index.json``)."""
    with open(os.path.join(os.path.dirname(__file__), path), "rb") as file:
        return file.read()


@lru_cache(maxsize=1)
def _kept() -> dict[str, _Kept]:
    return msgspec.json.decode(packaged_bytes("tables.json"), type=dict[str, _Kept])


def packaged(path: str) -> dict[str, Any]:
    """Return what a TOML file of the package holds, named from its root (``judge/findings.toml``).

    TOML is slow to read: ``tables.json``, which ``make index`` writes, keeps what each file held. A file that was
    changed since is read itself.
    """
    source = packaged_bytes(path)
    kept = _kept().get(path)
    if kept is not None and kept.crc == crc32(source):
        table: dict[str, Any] = msgspec.json.decode(kept.table)
        return table
    return toml_table(source.decode("utf-8"), path)


def packaged_as(path: str, kind: type[T], at: str = "", table: Any = None) -> T:
    """Return a TOML file of the package, or what stands `at` a key of it, as a value of class `kind`.

    `table` is given where the value is made of more than what stands there. InputError names the key and its line.
    """
    if table is None:
        table = packaged(path)[at] if at else packaged(path)
    return convert(table, kind, path, packaged_bytes(path).decode("utf-8"), at=at)


def make_tables() -> bytes:
    """Return ``tables.json`` as the TOML files here make it, a line each; the devices have an index of their own."""
    root = os.path.dirname(__file__)
    names = [os.path.join(at, name) for at, _, files in os.walk(root) for name in files if name.endswith(".toml")]
    lines = [
        b'"%s":' % path.encode()
        + msgspec.json.encode({"crc": crc32(source), "table": toml_table(source.decode("utf-8"), path)})
        for path in sorted(os.path.relpath(name, root).replace(os.sep, "/") for name in names)
        if not path.startswith("chip/devices/")
        for source in (packaged_bytes(path),)
    ]
    return b"{" + b",\n".join(lines) + b"}\n"


def parse_toml(data: bytes, kind: type[T], source: str, known: Sequence[str] = ()) -> T:
    """Return the value of class `kind` that a TOML file holds.

    Parameters
    ----------
    data
        The file's bytes.
    kind
        A `msgspec.Struct` that forbids unknown fields.
    source
        The file's name, for errors.
    known
        What is said of a key that is none; the class's own keys by default.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"line {data[: error.start].count(10) + 1}"
        raise InputError(
            "a byte that is no UTF-8", source=source, place=place, advice="save the file as UTF-8"
        ) from None
    return convert(toml_table(text, source), kind, source, text, known)


def toml_table(text: str, source: str) -> dict[str, Any]:
    """Return what a TOML text holds; InputError with the line when it is none, or would take its reader hours."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > TOML_DOTS:
            raise InputError(
                f"more than {TOML_DOTS} dots in a line",
                source=source,
                place=f"line {number}",
                advice="write a list over several lines",
            )
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError("not readable as TOML: nested too deeply", source=source) from None
    except ValueError as error:  # not TOML, or a number of thousands of digits
        at = re.search(r"\(at (line \d+)", str(error))
        problem = re.sub(r" \(at .*", "", shortened(str(error), SHOWN_OF_A_KEY))
        raise InputError(f"not readable as TOML: {problem}", source=source, place=at[1] if at else "") from None


def parse_json(
    data: bytes, source: str, advice: str = "write it with --json and nothing else in the file"
) -> dict[str, Any]:
    """Return the object that a JSON file holds, for `convert`; InputError with `advice` when it is no object."""
    if data.count(b"[") + data.count(b"{") > JSON_NESTED:
        raise InputError(f"holds more than {JSON_NESTED} objects and lists", source=source, advice=advice)
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_int=_whole, parse_float=_fraction, parse_constant=_fraction)
    except json.JSONDecodeError as error:
        raise InputError(
            f"is no JSON ({error.msg})",
            source=source,
            place=f"line {error.lineno}",
            advice=advice,
        ) from None
    except _Number as number:
        raise InputError(f"{number} is no number that a tool writes", source=source) from None
    except (ValueError, RecursionError):  # no UTF-8, brackets without end
        raise InputError("is no JSON that a tool writes", source=source, advice=advice) from None
    if not isinstance(value, dict):
        raise InputError("holds no JSON object", source=source, advice=advice)
    return value


class _Number(Exception):
    """A number in a file that is none: too many digits, or no end. Bounded before it is a number."""


def _whole(digits: str) -> int:
    if len(digits) > NUMBER_DIGITS:
        raise _Number(f"{digits[:12]}... ({len(digits)} digits)")
    return int(digits)


def _fraction(text: str) -> float:
    value = float(text) if len(text) <= NUMBER_DIGITS else math.inf
    if not math.isfinite(value):
        raise _Number(text if len(text) < NUMBER_DIGITS else f"{text[:12]}... ({len(text)} characters)")
    return value


def convert(
    table: Any,
    kind: type[T],
    source: str,
    text: str = "",
    known: Sequence[str] = (),
    *,
    strict: bool = True,
    at: str = "",
) -> T:
    """Return `table`, which stands `at` a key of its file, as a value of class `kind`.

    Without `strict`, numbers may be written as text.

    Raises
    ------
    InputError
        With the path to the key that is wrong, and its line when `text` is the TOML or JSON that `table` was read from.
    """
    try:
        return msgspec.convert(table, kind, strict=strict)
    except RecursionError:
        raise InputError("is nested too deeply", source=source) from None
    except msgspec.ValidationError as error:
        path, problem, advice = _explained(str(error), kind, known)
        path = _entry(table, kind, path, strict)
        path = at + path if path.startswith("[") else ".".join(filter(None, (at, path)))
        line = line_of(text, path)
        raise InputError(
            f"{shortened(path, SHOWN_OF_A_KEY)} {problem}" if path else problem,
            source=source,
            place=f"line {line}" if line else "",
            advice=advice,
        ) from None


def _entry(table: Any, kind: type, path: str, strict: bool) -> str:
    """Return the path with the name of the entry that msgspec calls ``[...]``, the first that is wrong."""
    name, unnamed, rest = path.partition("[...]")
    if not unnamed or not isinstance(table, dict):
        return path
    entries = table.get(name) if name else table
    for key, value in entries.items() if isinstance(entries, dict) else ():
        try:
            msgspec.convert(table | {name: {key: value}} if name else {key: value}, kind, strict=strict)
        except msgspec.ValidationError as error:
            if unnamed in str(error):
                return ".".join(filter(None, (name, key))) + rest
    return path


def line_of(text: str, path: str) -> int | None:
    """Return the line in which the key at `path` (``suspects[1].name``) stands, in TOML or JSON; None when in none."""
    if text.lstrip("\ufeff \t\r\n")[:1] == "{":
        at = next((at for there, at in _json_places(text) if there.lower() == path.lower()), None)
        return None if at is None else text.count("\n", 0, at) + 1
    parts = re.sub(r"\[\d+\]$", "", path)
    table, counts = "", dict[str, int]()
    found = None
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            name = header[2].replace(" ", "")
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                name = f"{name}[{counts[name]}]"
            table = name
            if path in (table, parts):
                found = found or number
        elif key := _KEY.match(line):
            here = f"{table}.{key[1]}" if table else key[1]
            if here.strip("\"'") == parts or parts.startswith(here + "."):
                return number
    return found


def _json_places(text: str) -> Iterator[tuple[str, int]]:
    """Yield each path of a JSON text (``sectors[0].faults[2].bit``) and where its key, or its element, begins."""
    above: list[list[Any]] = []  # of each object or list around: its path, the key or number that comes, whether a list
    for token in _JSON.finditer(text):
        sign = token[0]
        if above and sign not in "]},:":
            path, due, is_list = above[-1]
            if is_list:
                yield f"{path}[{due}]", token.start()
            elif due is None:
                above[-1][1] = sign[1:-1]
                yield (f"{path}.{sign[1:-1]}" if path else sign[1:-1]), token.start()
                continue
        if sign in "{[":
            path, due, is_list = above[-1] if above else ("", None, False)
            inside = f"{path}[{due}]" if is_list else f"{path}.{due}" if path and due else due or ""
            above.append([inside, 0 if sign == "[" else None, sign == "["])
        elif sign in "]}" and above:
            above.pop()
        elif sign == "," and above:
            above[-1][1] = above[-1][1] + 1 if above[-1][2] else None


def _explained(message: str, kind: type, known: Sequence[str]) -> tuple[str, str, str]:
    """Return the path, what is wrong there, and what to do, out of msgspec's message."""
    if found := _FIELD.match(message):
        where = (found[3] or "$").removeprefix("$").removeprefix(".")
        path = f"{where}.{found[2]}" if where else found[2]
        if found[1].startswith("missing"):
            return path, "is missing", ""
        keys = known or _keys(kind, where)
        return path, "is no known key", "known here: " + ", ".join(keys) if keys else ""
    if found := _TYPE.match(message):
        wanted = " or ".join(_WORDS.get(w, w) for w in found[1].split(" | ") if w != "null")
        return (
            (found[3] or "").removeprefix("$").removeprefix("."),
            f"is {_WORDS.get(found[2], found[2])}, not {wanted}",
            "",
        )
    text, _, where = message.partition(" - at `")
    where = where.rstrip("`").removeprefix("$").removeprefix(".")
    if found := re.match(r"Invalid enum value (.*)", text, re.DOTALL):
        choices = _choices(_type_at(kind, where))
        return where, f"is {shortened(found[1], SHOWN_OF_A_KEY)}; it is {', '.join(choices[:-1])} or {choices[-1]}", ""
    if found := _BOUND.match(text):
        return where, f"is a number that it cannot be ({_SIGNS[found[1]]} {found[2]})", ""
    return where, text[:1].lower() + text[1:], ""


def _type_at(kind: Any, where: str) -> Any:
    """Return the annotation of what stands at a path below the class `kind`; None when nothing does."""
    for part in re.sub(r"\[[^\]]*\]", "", where).split("."):
        inner = _structs(kind)
        field = next((f for f in msgspec.structs.fields(inner[0]) if f.encode_name == part), None) if inner else None
        if field is None:
            return None
        kind = field.type
    return kind


def _keys(kind: Any, where: str) -> tuple[str, ...]:
    """Return the keys of the class that stands at a path below `kind`; empty when none does."""
    inner = _structs(_type_at(kind, where) if where else kind)
    return tuple(f.encode_name for f in msgspec.structs.fields(inner[0])) if inner else ()


def _choices(kind: Any) -> list[str]:
    """Return in words what an annotation takes."""
    if kind is bool:
        return ["true", "false"]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    parts = getattr(kind, "__args__", ())
    if not parts:
        return [] if kind is type(None) else [_WORDS.get(getattr(kind, "__name__", ""), "something else")]
    return [c for p in parts for c in ([p] if isinstance(p, str) else _choices(p))]


def _structs(kind: Any) -> list[Any]:
    """Return the classes in an annotation such as ``list[Board] | None``."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [s for a in getattr(kind, "__args__", ()) for s in _structs(a)]
