"""What the worker is asked: image, addresses, the memory to model and the chip's registers, as plain values."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any

from h5diag.errors import InputError
from h5diag.measure.loader.elf import LoaderFile
from h5diag.measure.loader.placement import Family, ram_plan
from h5diag.measure.loader.storage import SIZE, VOLATILE_TYPES, StorageInfo, decode_storage
from h5diag.measure.loader.thumb import Concern, code_ranges, remarkable

_MOST_FLOATS, _MOST_RANGES, _LARGEST_IMAGE = 2000, 20_000, 4 << 20


@lru_cache(maxsize=8)
def profile(name: str) -> dict[str, Any]:
    """Return the register profile of a family as the worker takes it."""
    return tomllib.loads(_profiles().joinpath(name + ".toml").read_text("utf-8"))


def request_for(loader: LoaderFile, family: Family, base: int) -> dict[str, Any]:
    """Return what the worker needs to run `loader` at `base`; InputError when the image fits no RAM."""
    if len(loader.image) > _LARGEST_IMAGE:
        raise InputError(f"its image has {len(loader.image)} bytes, too many for any RAM", source=loader.source)
    plan = ram_plan(base, len(loader.image))
    symbol = loader.symbol("StorageInfo")
    info = decode_storage(loader.read(symbol.value if symbol else 0, SIZE).ljust(SIZE, b"\0"))
    image = range(base + 4, base + 4 + len(loader.image))
    code = [[start, start + len(data)] for start, data in code_ranges(loader) if start in image]
    floats = [r.address for r in remarkable(loader) if r.concern is Concern.FLOAT]
    return {
        "profile": {**profile(family.name), "ram": [list(family.ram)]},
        "image": loader.image.hex(),
        "code": code[:_MOST_RANGES],
        "memory_stop": loader.memory_stop,
        "base": base,
        "stack": plan.stack_pointer,
        "buffer": plan.buffer,
        "functions": {f.name: f.value | 1 for f in loader.functions},
        "floats": floats[:_MOST_FLOATS],
        "device": _device(info),
        "identity": identity(info).hex(),
    }


def _device(info: StorageInfo) -> dict[str, Any]:
    """Two neighbouring sectors to erase and the ones beside them, from the front of the memory."""
    size = min(max(info.size, 0x1000), (1 << 32) - info.start)
    edges = [info.start]
    for group in info.groups:
        for _ in range(min(group.count, 4)):
            if len(edges) < 5 and edges[-1] + group.size <= info.start + size:
                edges.append(edges[-1] + group.size)
    while len(edges) < 2:
        edges.append(info.start + 0x1000)
    sectors = [[a, b] for a, b in pairwise(edges)]
    while len(sectors) < 4:
        sectors = [sectors[0], *sectors] if len(sectors) < 3 else [*sectors, sectors[-1]]
    return {"start": info.start, "size": size, "sectors": sectors, "volatile": info.type in VOLATILE_TYPES}


def identity(info: StorageInfo) -> bytes:
    """Return the JEDEC identification (3 bytes) that a memory of this name and size would give."""
    parts = tomllib.loads(_profiles().joinpath("nor.toml").read_text("utf-8"))["part"]
    name = info.name.upper()
    part: dict[str, Any] = next((p for p in parts if p["prefix"] in name), {"id": [0xEF, 0x40], "capacity": {}})
    capacity = max(info.size, 1).bit_length() - 1
    return bytes((*part["id"], part["capacity"].get(f"0x{info.size:X}", capacity)))


def _profiles() -> Any:
    return resources.files("h5diag.sim.dryrun").joinpath("profiles")
