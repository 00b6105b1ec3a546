"""The strict loader of chip files."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from typing import Any

from h5diag.chip.model import Chip
from h5diag.chip.registers import Field
from h5diag.errors import InputError

DEFAULT_CHIP = "stm32h563zi"

_IDENTITY = ("name", "id", "tag", "register", "code")
"""The keys by which an entry of a list meets the inherited one, the first that the entry has."""


def chip_names() -> tuple[str, ...]:
    """Return the names of all chip files, sorted."""
    files = resources.files("h5diag").joinpath("chip", "chips").iterdir()
    return tuple(
        sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml") and not f.name.startswith("_"))
    )


def load_chip(name: str = DEFAULT_CHIP) -> Chip:
    """Return the chip of a file's name, a family word (``h563``, ``h5``, ...) or a marking (``STM32H563ZIT6``).

    Raises
    ------
    InputError
        When no file answers to the name; the advice lists those that there are.
    """
    wanted = name.strip().lower()
    names = chip_names()
    if wanted in names:
        return _load(wanted)
    # The default comes first, then the larger flash: a family word alone does not tell the size.
    chips = sorted((_load(n) for n in names), key=lambda c: (c.name != DEFAULT_CHIP, -c.flash.size, c.name))
    for chip in chips:
        if wanted in chip.words:
            return chip
    for chip in chips:
        if any(fnmatchcase(wanted, part + "*") for part in chip.parts):
            return chip
    raise InputError(f"no chip is called {name!r}", advice="known: " + ", ".join(names))


def find_chips(dev_id: int, flash_kib: int = 0) -> tuple[Chip, ...]:
    """Return the chips with this DEV_ID, the default one and the larger first; empty when none is known.

    Parameters
    ----------
    dev_id
        DEV_ID, bits above 11 are ignored. It does not tell the parts of a line from each other.
    flash_kib
        Size of the user flash; 0 when not known. Chips of another size are left out unless none is left.
    """
    chips = [c for c in map(_load, chip_names()) if dev_id & c.identity.dev_id_mask == c.identity.dev_id]
    fitting = [c for c in chips if c.flash.size == flash_kib * 1024] or chips
    return tuple(sorted(fitting, key=lambda c: (c.name != DEFAULT_CHIP, "h563" not in c.name, -c.flash.size, c.name)))


@lru_cache(maxsize=64)
def _load(name: str) -> Chip:
    folder = resources.files("h5diag").joinpath("chip", "chips")
    return parse_chip(name, lambda file: folder.joinpath(file + ".toml").read_text("utf-8"))


def parse_chip(name: str, read: typing.Callable[[str], str]) -> Chip:
    """Return the chip `name` out of TOML text; `read` gives the text of a file by its name without ``.toml``.

    Raises
    ------
    InputError
        When a key is unknown or missing or a value has the wrong type; it names the file and the key.
    """
    table = tomllib.loads(read(name))
    while "inherits" in table:
        base = tomllib.loads(read(table.pop("inherits")))
        table = _overlaid(base, table)
    for key, gone in table.pop("without", {}).items():
        table[key] = [entry for entry in table.get(key, []) if _identity(entry) not in gone]
    chip: Chip = _strict(Chip, {"name": name, **table}, name)
    return chip


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


def _strict(kind: Any, value: Any, where: str) -> Any:
    """Return `value` out of TOML as the annotated type `kind`; InputError names the place otherwise."""
    if kind is Field:
        try:
            return Field.parse(value)
        except (TypeError, ValueError) as error:
            raise InputError(str(error), source=where) from None
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _strict_table(kind, value, where)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise InputError(f"a list is expected, not {value!r}", source=where)
        return tuple(_strict(typing.get_args(kind)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if isinstance(kind, types.UnionType) or type(value) is not kind:
        raise InputError(f"{kind} is expected, not {value!r}", source=where)
    return value


def _strict_table(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise InputError(f"a table is expected, not {value!r}", source=where)
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := sorted(set(value) - set(fields)):
        raise InputError(f"unknown key {unknown[0]!r}", source=where)
    missing = [
        n
        for n, f in fields.items()
        if n not in value and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"missing key {missing[0]!r}", source=where)
    label = str(value.get("name", value.get("id", "")))
    prefix = f"{where}.{label}." if label and kind is not Chip else f"{where}."
    return kind(**{k: _strict(hints[k], v, prefix + k) for k, v in value.items()})
