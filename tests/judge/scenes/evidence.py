"""What people do to evidence before they hand it in: leave some out, rename it, save it in another form."""

from __future__ import annotations

import random
from pathlib import Path

from .kinds import Item, Scene
from .more_kinds import KINDS
from .papers import gui, hex_file

_NAMES = {
    "good-dump": ("nucleo", "good_board", "working", "ref_board", "ok_unit"),
    "suspect-dump": (
        "dump",
        "readback",
        "flash_read",
        "board2",
        "customer_unit",
        "mcu_readout",
        "bad_board",
        "my_board",
    ),
    "image": ("app", "firmware", "fw", "project", "release", "blinky"),
    "good-options": ("good_ob", "nucleo_ob", "working_ob"),
    "suspect-options": ("ob", "optionbytes", "my_ob", "options_displ"),
    "suspect-log": ("cube", "log", "console", "cubeprogrammer", "output", "read"),
    "suspect-uart": ("uart", "putty", "teraterm", "console", "serial"),
    "suspect-core": ("info",),
    "suspect-flashtest": ("flashtest",),
    "suspect-sweep": ("sweep",),
    "suspect-registers": ("regs", "registers"),
    "layout": ("layout",),
}


def make_scene(name: str, seed: int) -> Scene:
    """Return the scene of a kind; the same for the same seed."""
    return KINDS[name](random.Random(f"{name} {seed}"))


def hand_in(scene: Scene, folder: Path, seed: int) -> list[str]:
    """Write the loose files of a scene to `folder`; return the arguments that go with `h5diag case`."""
    rng = random.Random(f"evidence {seed}")
    folder.mkdir(parents=True)
    args, taken = list(scene.args), set()
    items = [i for i in scene.items if i.needed or rng.random() < 0.6]
    reads: dict[str, int] = {}
    for item in items:
        reads[item.role] = reads.get(item.role, 0) + 1
    stems = {role: rng.choice(_NAMES[role]) for role in reads}
    number: dict[str, int] = {}
    for item in items:
        if item.role == "layout":
            args += ["--layout", item.data.decode()]
            continue
        number[item.role] = number.get(item.role, 0) + 1
        stem = f"{stems[item.role]}_{item.name}" if item.name else stems[item.role]
        if reads[item.role] > 1 and not item.name:
            stem += (
                rng.choice(("_{}", "{}", "-{}")).format(number[item.role])
                if item.role != "image"
                else f"_{number[item.role]}"
            )
        data, suffix = _form(item, stem, rng)
        if isinstance(data, tuple):
            stem, data = data
        while stem + suffix in taken:
            stem += "_"
        taken.add(stem + suffix)
        (folder / (stem + suffix)).write_bytes(data)
    return args


def _form(item: Item, stem: str, rng: random.Random) -> tuple[bytes | tuple[str, bytes], str]:
    if item.role.endswith(("flashtest", "core", "sweep")):
        return item.data, ".json"
    if item.base is None:
        text = item.data.decode()
        if item.role.endswith(("log", "options")) and rng.random() < 0.3:
            text = gui(rng, text) if item.role.endswith("log") else text
        if rng.random() < 0.2:
            text = text.replace("\n", "\r\n")
        return text.encode(), rng.choice((".txt", ".log")) if not item.role.endswith("options") else ".txt"
    if item.role == "image":
        # A .bin of an image has its address in its name unless it starts at the flash base: nobody could know it else.
        if rng.random() < 0.7:
            return hex_file(item.data, item.base), ".hex"
        if item.base != 0x08000000:
            return (f"{stem}_0x{item.base:08X}", item.data), ".bin"
        return item.data, ".bin"
    if item.base != 0x08000000:
        return (f"{stem}_0x{item.base:08X}", item.data), ".bin"
    if rng.random() < 0.25 and not item.bare:
        last = len(item.data.rstrip(b"\xff"))
        return hex_file(item.data[: max(16, -(-last // 0x2000) * 0x2000)], item.base), ".hex"
    return item.data, ".bin"
