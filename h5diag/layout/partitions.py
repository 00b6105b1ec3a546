"""Layouts that are no C header: a devicetree's fixed partitions, nRF Connect's ``pm.yml``, and a TOML of one's own.

Sources: Zephyr ``dts/bindings/mtd/fixed-partitions.yaml`` and its labels (``slot0_partition`` or ``image-0`` ...), nRF
Connect SDK's partition manager (``mcuboot_primary`` ...). Neither says how images are installed: that stands in
Zephyr's configuration, so it is said when assumed.
"""

from __future__ import annotations

import ast
import operator
import re
from dataclasses import dataclass
from typing import TypeVar

from h5diag.chip import Chip
from h5diag.errors import InputError
from h5diag.layout.presets import chip_with_flash
from h5diag.layout.slots import Layout, Loader, Mode, Role, Security, Slot
from h5diag.limits import DEVICETREE_NODES
from h5diag.memory import AddressRange
from h5diag.tables import toml_table

E = TypeVar("E", Role, Mode, Loader)

_NAMES = {
    "boot": (None, Role.BOOT),
    "mcuboot": (None, Role.BOOT),
    "scratch": (None, Role.SCRATCH),
    "image-scratch": (None, Role.SCRATCH),
    "mcuboot_scratch": (None, Role.SCRATCH),
    **{f"slot{2 * i + r}": (i, role) for i in (0, 1) for r, role in enumerate((Role.PRIMARY, Role.SECONDARY))},
    **{f"image-{2 * i + r}": (i, role) for i in (0, 1) for r, role in enumerate((Role.PRIMARY, Role.SECONDARY))},
    "mcuboot_primary": (0, Role.PRIMARY),
    "mcuboot_secondary": (0, Role.SECONDARY),
    "mcuboot_primary_1": (1, Role.PRIMARY),
    "mcuboot_secondary_1": (1, Role.SECONDARY),
    "slot0_ns": (1, Role.PRIMARY),
    "image-0-nonsecure": (1, Role.PRIMARY),
    "slot1_ns": (1, Role.SECONDARY),
    "image-1-nonsecure": (1, Role.SECONDARY),
}
"""What a partition's name makes of it: image and role."""


@dataclass(frozen=True, slots=True)
class _Partition:
    """A partition as a file names it: offset in its memory, and which memory (None: the chip's own flash)."""

    name: str
    offset: int
    size: int
    device: str | None = None


def parse_devicetree(text: str, *, source: str, chip: Chip | None = None) -> Layout:
    """Return the layout of the ``fixed-partitions`` in a .dts, .dtsi or .overlay; includes are passed over.

    Raises
    ------
    InputError
        When there is no such node, or a number in it cannot be evaluated.
    """
    whole, text = text, re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
    found: dict[str, _Partition] = {}
    total = 0
    path: list[tuple[str, str]] = []  # name and own properties of the open nodes
    for count, match in enumerate(re.finditer(r"([^;{}]*)([;{}])", text)):
        if count > DEVICETREE_NODES:
            raise InputError(
                f"more than {DEVICETREE_NODES} nodes and properties are no board's devicetree", source=source
            )
        words, sign = match[1].strip(), match[2]
        if sign == "{":
            path.append((words, ""))
        elif sign == ";" and path and words:
            if deleted := re.match(r"/delete-node/\s*&?([\w@-]+)", words):
                found.pop(_label(deleted[1]), None)
            name, own = path[-1]
            path[-1] = (name, f"{own}{words};")
        elif sign == "}" and path:
            name, own = path.pop()
            reg = re.search(r"(?<![\w-])reg\s*=\s*<([^>]*)>", own)
            inside = any("fixed-partitions" in p for _, p in path) or any(n.startswith("partitions") for n, _ in path)
            label = _label(name.split(":")[0].strip().lstrip("&"))
            if reg and (inside or (name.startswith("&") and label in found)):
                offset, size = _cells(reg[1], source, label)
                printed = re.search(r'label\s*=\s*"([^"]+)"', own)
                key = label if label in _NAMES else printed[1] if printed else label
                found[key] = _Partition(key, offset, size, _memory([n for n, _ in path]))
            elif reg and re.search(r'"[\w,-]*nv-flash"', own):
                total = _cells(reg[1], source, name)[1]
    if not any(_NAMES.get(n, (0, None))[1] is Role.PRIMARY for n in found):
        included = re.findall(r'#include\s+"([^"\n]{1,80})"', whole)[:3]
        names = f" (it includes {', '.join(included)})" if included else ""
        raise InputError(
            "holds no fixed-partitions node with a slot0_partition",
            source=source,
            advice=f"give the file that names the partitions{names}, or the build's zephyr.dts",
        )
    return _layout(list(found.values()), source, chip, total, whole)


def _label(name: str) -> str:
    return name.removesuffix("_partition")


def _memory(nodes: list[str]) -> str | None:
    """The node above ``partitions`` is the memory: the chip's flash controller's, or another one's."""
    above = next((n for n in reversed(nodes) if n and not n.startswith("partitions")), "")
    return (
        None
        if not above or re.search(r"flash0|flash@8000000|^/$|soc", above)
        else above.split("@")[0].lstrip("&").strip()
    )


def _cells(cells: str, source: str, name: str) -> tuple[int, int]:
    found = re.findall(r"DT_SIZE_[KM]\([^()]*\)|\((?:[^()]|\([^()]*\))*\)|[^\s()]+", cells)
    values = [
        _sum(re.sub(r"DT_SIZE_([KM])\(([^()]*)\)", lambda m: f"(({m[2]})*{_UNITS[m[1]]})", cell), source, name)
        for cell in found
    ]
    if len(values) != 2:
        raise InputError(f"reg of {name} has {len(values)} cells, not an offset and a size", source=source)
    return values[0], values[1]


_UNITS = {"K": 1024, "M": 1 << 20}


def _sum(text: str, source: str, name: str) -> int:
    """Evaluate numbers with + - * and parentheses, of which there are few."""
    problem = f"reg of {name} holds {text[:40]!r}, which is no number"
    if not re.fullmatch(r"[0-9a-fA-FxXuUlL+*()\s-]{1,120}", text):
        raise InputError(problem, source=source)
    try:
        value = _value(ast.parse(re.sub(r"(?<=[0-9a-fA-F])[uUlL]+", "", text).strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        raise InputError(problem, source=source) from None
    if not 0 <= value < 1 << 32:
        raise InputError(f"reg of {name} holds {text[:40]!r}, more than any address", source=source)
    return value


def _value(expression: ast.expr) -> int:
    match expression:
        case ast.Constant(value=int(number)):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _SIGNS:
            return int(_SIGNS[type(sign)](_value(left), _value(right)))
    raise ValueError


_SIGNS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def parse_partition_manager(text: str, *, source: str, chip: Chip | None = None) -> Layout:
    """Return the layout of nRF Connect's ``partitions.yml`` or ``pm_static.yml``; InputError when it is none."""
    tables: dict[str, dict[str, str]] = {}
    name = ""
    for line in text.splitlines():
        if match := re.match(r"([\w.-]+):\s*(?:#.*)?$", line):
            name = match[1]
            tables[name] = {}
        elif name and (match := re.match(r"\s+(address|size|region|device):\s*([^#\n]+)", line)):
            tables[name][match[1]] = match[2].strip().strip("'\"")
    parts = []
    for name, table in ((n, t) for n, t in tables.items() if n in _NAMES and "address" in t):
        region = table.get("region", "flash_primary")
        device = None if region == "flash_primary" else table.get("device", region)
        offset, size = (_sum(table.get(k, "0"), source, name) for k in ("address", "size"))
        parts.append(_Partition(name, offset, size, device))
    if not any(p.name == "mcuboot_primary" for p in parts):
        raise InputError("holds no partition mcuboot_primary", source=source, advice="is this the partition manager's?")
    return _layout(parts, source, chip, 0)


def _layout(parts: list[_Partition], source: str, chip: Chip | None, total: int, text: str = "") -> Layout:
    chip, remarks = _chip(chip, total, text)
    slots = []
    for p in (p for p in parts if p.name in _NAMES):
        image, role = _NAMES[p.name]
        base = 0 if p.device or p.offset >= chip.flash.base else chip.flash.base
        name = role.value if image is None else f"image {image} {role.value}"
        where = AddressRange(base + p.offset, base + p.offset + p.size)
        slots.append(Slot(name, image, role, Security.MIXED, where, p.device))
        if p.device:
            remarks.append(f"slot '{name}' lies in another memory ({p.device}), which a dump of the flash lacks")
    mode = Mode.SWAP_SCRATCH if any(s.role is Role.SCRATCH for s in slots) else Mode.SWAP_MOVE
    remarks.append(
        f"how images are installed stands in Zephyr's configuration: {mode.value} assumed; --boot-mode names it"
    )
    return _checked(source, chip, mode, slots, Loader.UPSTREAM, remarks)


def _chip(given: Chip | None, total: int, text: str = "") -> tuple[Chip, list[str]]:
    """Return the chip that was given, else one that fits the layout, with the remark that it was taken."""
    if given is not None:
        return given, []
    chip = chip_with_flash(total, text=text)
    return chip, [f"the chip is taken for {chip.title}; --chip names it"]


def parse_own_layout(text: str, *, source: str, chip: Chip | None = None) -> Layout:
    """Return the layout of a TOML of one's own: ``[[slots]]`` with name, start, size, role and image.

    ``mode`` and ``loader`` may stand above; a start below the flash's base is an offset. InputError names the key.
    """
    table = toml_table(text, source)
    rows = table.get("slots", table.get("slot"))
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows) or not rows:
        raise InputError("holds no [[slots]]", source=source, advice="each has name, start, size, role and image")
    unknown = set(table) - {"slots", "slot", "mode", "loader", "title"}
    if unknown:
        raise InputError(f"unknown key {min(unknown)!r}", source=source, advice="known: mode, loader, slots")
    chip, remarks = _chip(chip, 0)
    slots = []
    for number, row in enumerate(rows, 1):
        place = f"slots[{number}]"
        start, size = (_whole(row, key, source, place) for key in ("start", "size"))
        role = _one_of(row.get("role"), Role, source, f"{place}.role")
        image = _whole(row, "image", source, place) if "image" in row else 0
        image_of = image if role in (Role.PRIMARY, Role.SECONDARY) else None
        start += chip.flash.base if start < chip.flash.base and not row.get("device") else 0
        name = str(row.get("name") or (role.value if image_of is None else f"image {image_of} {role.value}"))
        device = str(row["device"]) if row.get("device") else None
        slots.append(Slot(name, image_of, role, Security.MIXED, AddressRange(start, start + size), device))
    scratch = any(s.role is Role.SCRATCH for s in slots)
    mode = _one_of(table["mode"], Mode, source, "mode") if "mode" in table else None
    if mode is None:
        mode = Mode.SWAP_SCRATCH if scratch else Mode.OVERWRITE
        remarks.append(f"the file does not say how images are installed: {mode.value} assumed (key mode)")
    loader = _one_of(table["loader"], Loader, source, "loader") if "loader" in table else None
    return _checked(source, chip, mode, slots, loader, remarks)


def _whole(row: dict[str, object], key: str, source: str, place: str) -> int:
    value = row.get(key)
    if isinstance(value, str):
        value = _sum(value.replace("_", ""), source, f"{place}.{key}")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
        raise InputError(f"{key} must be a number from 0 to 0xFFFFFFFF", source=source, place=f"{place}.{key}")
    return value


def _one_of(value: object, kinds: type[E], source: str, place: str) -> E:
    try:
        return kinds(value)
    except ValueError:
        words = ", ".join(k.value for k in kinds)
        raise InputError(f"{str(value)[:40]!r} is none of {words}", source=source, place=place) from None


def _checked(
    source: str, chip: Chip, mode: Mode, slots: list[Slot], loader: Loader | None, remarks: list[str]
) -> Layout:
    none = AddressRange(chip.flash.base, chip.flash.base)
    if not any(s.role is Role.PRIMARY for s in slots):
        raise InputError("names no primary slot", source=source)
    try:
        return Layout(source, chip, mode, tuple(slots), none, none, source, loader, tuple(remarks))
    except ValueError as error:
        raise InputError(str(error), source=source, advice="check the chip, or name it with --chip") from None
