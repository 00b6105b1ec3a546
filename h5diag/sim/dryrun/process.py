"""What a dry run asks for, and the process of its own in which it is answered."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from functools import lru_cache
from importlib import resources
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from h5diag.errors import InputError
from h5diag.limits import LOADER_IMAGE
from h5diag.measure.loader.loaderfile import SIZE, VOLATILE_TYPES, LoaderFile, StorageInfo, decode_storage
from h5diag.measure.loader.placement import Family, ram_plan
from h5diag.measure.loader.thumb import Concern, code_ranges, remarkable
from h5diag.text import count_text

_FLOATS, _RANGES = 2000, 20_000


@lru_cache(maxsize=8)
def profile(name: str) -> dict[str, Any]:
    """Return the register profile of a family as the worker takes it."""
    return tomllib.loads(_profiles().joinpath(name + ".toml").read_text("utf-8"))


def request_for(loader: LoaderFile, family: Family, base: int) -> dict[str, Any]:
    """Return what the worker needs to run `loader` at `base`; InputError when the image fits no RAM."""
    if len(loader.image) > LOADER_IMAGE:
        raise InputError(
            f"its image has {count_text(len(loader.image), 'byte')}, too many for any RAM", source=loader.source
        )
    plan = ram_plan(base, len(loader.image))
    symbol = loader.symbol("StorageInfo")
    info = decode_storage(loader.read(symbol.value if symbol else 0, SIZE).ljust(SIZE, b"\0"))
    image = range(base + 4, base + 4 + len(loader.image))
    code = [[start, start + len(data)] for start, data in code_ranges(loader) if start in image]
    floats = [r.address for r in remarkable(loader) if r.concern is Concern.FLOAT]
    return {
        "profile": {**profile(family.name), "ram": [list(family.ram)]},
        "image": loader.image.hex(),
        "code": code[:_RANGES],
        "memory_stop": loader.memory_stop,
        "base": base,
        "stack": plan.stack_pointer,
        "buffer": plan.buffer,
        "functions": {f.name: f.value | 1 for f in loader.functions},
        "floats": floats[:_FLOATS],
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


_BOOT = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from h5diag.sim.dryrun.worker import main; main()"
_NOTHING: dict[str, Any] = {"calls": [], "nor": [], "commands": 0, "assumed": [], "stack_used": 0}


def require_emulator() -> None:
    """Raise InputError when the emulator is not installed."""
    if find_spec("unicorn") is None:
        raise _missing()


def _missing() -> InputError:
    return InputError(
        "the dry run needs the emulator, which is not installed",
        advice="pip install 'h5diag[dryrun]'; lint and explain work without it",
    )


def ask(request: dict[str, Any], time_limit: float) -> dict[str, Any]:
    """Return the worker's answer to a request, at the latest after `time_limit` seconds.

    Raises
    ------
    InputError
        When the worker cannot be started, the emulator is missing or does not compute right.
    """
    root = str(Path(__file__).resolve().parents[3])
    path = json.dumps([root, *(p for p in sys.path if p)])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _BOOT, path],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=time_limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {**_NOTHING, "kind": "hang", "problem": f"the emulator was ended after {time_limit:g} s"}
    except OSError as error:
        raise InputError(f"the worker process cannot be started ({error.strerror or error})") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return {**_NOTHING, "kind": "fault", "problem": f"the loader brought the emulator down ({tail[0][:120]})"}
    if "missing" in answer and answer["missing"] == "unicorn":
        raise _missing()
    if "error" in answer:
        raise InputError(
            f"the dry run cannot be done: {answer['error']}",
            advice="reinstall the emulator: pip install --force-reinstall 'unicorn>=2.1'",
        )
    return answer
