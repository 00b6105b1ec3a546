"""The strict readers of chip files and of the index over them.

A chip file is a TOML file in ``chips``; one whose name begins with ``_`` holds what a family shares and is named by
``inherits``. What the vendor's programmer knows of every STM32 stands in ``devices``, a file per series. The index
(``index.json``) is made of both by ``make index`` and holds what is needed to find the right file
without reading them all; a test keeps it true. ``make index`` writes the tables of the whole package with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from h5diag.chip.facts import Fact, Field
from h5diag.chip.model import Chip
from h5diag.errors import InputError
from h5diag.tables import make_tables, packaged, packaged_bytes, toml_table

DEFAULT_CHIP = "stm32h563zi"

T = TypeVar("T")

_IDENTITY = ("name", "id", "tag", "register", "code")
"""The keys by which an entry of a list meets the inherited one, the first that the entry has."""


class Part(Fact, frozen=True):
    """What the index knows of a chip file."""

    name: str
    title: str
    dev_id: int
    flash_kib: int
    family: str
    words: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


class Device(Fact, frozen=True):
    """An STM32 by its DEV_ID, as the vendor's programmer names it.

    `name` is what the programmer prints as device name, empty when nobody here knows the DEV_ID; `options` are the
    names of its options as it prints them, `traits` what they tell (``trustzone``, ``product-state``, ``rdp``, ...).
    """

    dev_id: int
    name: str = ""
    series: str = ""
    traits: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Return a name for a person."""
        return f"0x{self.dev_id:03X} ({self.name})" if self.name else f"0x{self.dev_id:03X}, which no list here knows"


class Index(Fact, frozen=True):
    """What there is: chip files, sorted by name, and devices, sorted by DEV_ID."""

    parts: tuple[Part, ...]
    devices: tuple[Device, ...]


@lru_cache(maxsize=1)
def index() -> Index:
    """Return the index of chip files and devices."""
    return msgspec.json.decode(packaged_bytes("chip/index.json"), type=Index)


def chip_names() -> tuple[str, ...]:
    """Return the names of all chip files, sorted."""
    return tuple(p.name for p in index().parts)


def find_parts(name: str) -> tuple[Part, ...]:
    """Return the parts meant by a file's name, a family word (``h563``, ``h5``, ...) or a marking (``STM32H563ZIT6``).

    The part that is taken when nothing else is known comes first.

    Raises
    ------
    InputError
        When no file answers to the name; the advice lists those that there are.
    """
    wanted = name.strip().lower()
    parts = index().parts
    answers: tuple[Callable[[Part], bool], ...] = (
        lambda p: wanted in (p.name, p.name.removeprefix("stm32")),
        lambda p: wanted.removeprefix("stm32") in p.words,
        lambda p: any(fnmatchcase(w, pattern + "*") for w in (wanted, "stm32" + wanted) for pattern in p.parts),
    )
    for answers_to_it in answers:
        if found := [p for p in parts if answers_to_it(p)]:
            return in_order(found)
    raise InputError(f"no chip is called {name!r}", advice="known: " + ", ".join(chip_names()))


def in_order(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return parts with the one first that is taken when nothing tells them apart: the usual board's, the largest."""
    return tuple(
        sorted(
            parts,
            key=lambda p: (p.name != DEFAULT_CHIP, "h563" not in p.name, p.family not in p.words, -p.flash_kib, p.name),
        )
    )


def load_chip(name: str = DEFAULT_CHIP) -> Chip:
    """Return the chip of a file's name, a family word or a marking; InputError when there is none (`find_parts`).

    Where no name is given, an empty one, it is the default chip.
    """
    return _load(find_parts(name or DEFAULT_CHIP)[0].name)


def find_device(dev_id: int) -> Device:
    """Return the device of a DEV_ID (bits above 11 are ignored); without a name when no list here knows it."""
    wanted = dev_id & 0xFFF
    return next((d for d in index().devices if d.dev_id == wanted), Device(wanted))


@lru_cache(maxsize=64)
def _load(name: str) -> Chip:
    return _chip(name, lambda file: packaged(f"chip/chips/{file}.toml"))


def parse_chip(name: str, read: Callable[[str], str]) -> Chip:
    """Return the chip `name` out of TOML text; `read` gives the text of a file by its name without ``.toml``.

    Raises
    ------
    InputError
        When a key is unknown or missing or a value has the wrong type; it names the file and the key.
    """
    texts: dict[str, str] = {}

    def table_of(file: str) -> dict[str, Any]:
        texts[file] = read(file)
        return toml_table(texts[file], file)

    try:
        return _chip(name, table_of)
    except InputError as error:
        line = _line_of(texts, error)
        place = ", ".join(filter(None, (error.place, line)))
        raise InputError(error.problem, source=error.source, place=place, advice=error.advice) from None


def _line_of(texts: Mapping[str, str], error: InputError) -> str:
    """Return line and file, of those that a chip is made of, of the key or the row that is wrong; empty without one."""
    unknown = re.search(r"unknown field `(\w+)`", error.problem)
    named = re.search(r"(?:\]|^registers) ([^\s.]+)", error.place)
    key = unknown[1] if unknown else re.split(r"[.\[]", error.place)[0]
    wanted = rf"= [\"']{re.escape(named[1])}[\"']" if named and not unknown else rf"^{re.escape(key)}\s*="
    for file, text in texts.items() if key else ():
        if found := re.search(wanted, text, re.MULTILINE):
            return f"line {text.count(chr(10), 0, found.start()) + 1} of {file}.toml"
    return ""


def _chip(name: str, read: Callable[[str], dict[str, Any]]) -> Chip:
    table = read(name)
    while "inherits" in table:
        table = _overlaid(read(table.pop("inherits")), table)
    for key, gone in table.pop("without", {}).items():
        table[key] = [entry for entry in table.get(key, []) if _identity(entry) not in gone]
    for row in table.get("registers", ()):
        try:
            row["fields"] = [Field.parse(text) for text in row.get("fields", ())]
        except (TypeError, ValueError) as error:
            raise InputError(str(error), source=name, place=f"registers {row.get('name')} .fields") from None
    return strict({"name": name, **table}, Chip, name)


def strict(table: Mapping[str, Any], kind: type[T], source: str) -> T:
    """Return the facts of a table as `kind`; InputError with the path to the key otherwise."""
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        raise InputError(problem, source=source, place=_place(table, place.strip("`"))) from None


def _place(table: Mapping[str, Any], path: str) -> str:
    """Say which entry of a list is meant by its name: ``options[3].kind`` becomes ``options[3] TZEN .kind``."""
    at: Any = table
    out = []
    for step in path.removeprefix("$").replace("[", ".[").strip(".").split("."):
        if step.startswith("[") and isinstance(at, list) and step[1:-1].isdecimal():
            at = at[int(step[1:-1])]
            out.append(f"{step} {_identity(at)}" if isinstance(at, Mapping) and _identity(at) else step)
        elif step:
            at = at.get(step) if isinstance(at, Mapping) else None
            out.append(f".{step}" if out else step)
    return "".join(out)


def _identity(entry: Mapping[str, Any]) -> object:
    return next((entry[key] for key in _IDENTITY if key in entry), None)


def _overlaid(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """Tables are laid over each other; so are entries of lists of tables that have the same identity."""
    out = dict(base)
    for key, value in top.items():
        old = out.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            out[key] = _overlaid(old, value)
        elif isinstance(old, list) and old and isinstance(old[0], dict) and _identity(old[0]) is not None:
            named = {_identity(entry): entry for entry in old}
            for entry in value:
                named[_identity(entry)] = _overlaid(named.get(_identity(entry), {}), entry)
            out[key] = list(named.values())
        else:
            out[key] = value
    return out


def device_series(series: str) -> dict[str, Any]:
    """Return the table of a series of devices (``STM32H7``) as its file has it."""
    return packaged(f"chip/devices/{series.lower()}.toml")


def interface_table() -> dict[str, Any]:
    """Return the table of status registers as its file has it."""
    return packaged("chip/interface.toml")


def make_index() -> str:
    """Return the text of ``index.json`` as the files here make it."""
    folder = Path(__file__).parent
    names = sorted(
        f.name.removesuffix(".toml")
        for f in folder.joinpath("chips").iterdir()
        if f.name.endswith(".toml") and not f.name.startswith("_")
    )
    chips = [_load(n) for n in names]
    parts = tuple(
        Part(c.name, c.title, c.identity.dev_id, c.flash.size // 1024, c.family, c.words, c.parts) for c in chips
    )
    # What a chip file calls an option, and other spellings of it, counts as the device's too.
    spelt: dict[int, dict[str, None]] = {}
    for c in chips:
        spelt.setdefault(c.identity.dev_id, {}).update(
            dict.fromkeys(n for o in c.options for n in (o.name, *o.aliases))
        )
    devices = []
    for file in sorted(f.name for f in folder.joinpath("devices").iterdir() if f.name.endswith(".toml")):
        table = device_series(file.removesuffix(".toml"))
        devices += [
            Device(
                d["dev_id"],
                d["name"],
                table["series"],
                tuple(d["traits"]),
                tuple(dict.fromkeys((*(o["name"] for o in d.get("options", ())), *spelt.get(d["dev_id"], ())))),
            )
            for d in table["device"]
        ]
    # A variant of a device stands behind it, so that the first one found is the usual one.
    found = Index(parts, tuple(sorted(devices, key=lambda d: d.dev_id)))
    return msgspec.json.format(msgspec.json.encode(found), indent=0).decode() + "\n"


def write_index() -> None:
    """Write ``index.json`` and ``tables.json`` beside the files: ``make index``, after a TOML file of the package changed."""
    here = Path(__file__)
    here.with_name("index.json").write_text(make_index(), "utf-8")
    here.parents[1].joinpath("tables.json").write_bytes(make_tables())
