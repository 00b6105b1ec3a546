"""Provisioning scripts with a line dropped, swapped, repeated or made to fail, and what the chip must come to.

The model here is written over the list of calls and shares nothing with the rehearsal: it never sees a script.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import provisioning_sets as sets

from h5diag.sim.rehearse import PartTraits, Rehearsal, WalkInputs, rehearse

CLI = "STM32_Programmer_CLI -c port=SWD"
CALLS = (
    "-ob TZEN=0xB4",
    "-ob SECWM1_STRT=1 SECWM1_END=0 WRPSGn1=0xffffffff SECBOOT_LOCK=0xC3 SECBOOTADD=0xC0000 BOOT_UBE=0xB4 -e all",
    "-ob SECWM1_STRT=0 SECWM1_END=0xE SECWM2_STRT=0x7F SECWM2_END=0",
    "-d secure.hex -v",
    "-d nonsecure.hex -v",
    "-d boot.bin 0xC000000 -v",
    "-ob WRPSGn1=0xFFFFFFF8 HDP1_STRT=0 HDP1_END=0xB SECBOOT_LOCK=0xB4",
    "-ob PRODUCT_STATE=0x17",
    "-sdp da.obk",
    "-sdp config.obk",
    "-sdp data.obk",
    "-ob PRODUCT_STATE=0x72",
)
AREAS = {"secure.hex": (0x18000, 0x1000), "nonsecure.hex": (0x1E000, 0x2000), "boot.bin": (0, 0x10000)}
"""Offset and size of each download."""

OTHERS = ("da_flag.obk", "da_mask.obk", "password.obk", "missing.obk")
ON = {0x17: {0x2E, 0xC6, 0x72, 0x5C}, 0xED: {0x17, 0x2E}, 0x2E: {0xC6, 0x72, 0x5C}}


def materials(folder: Path) -> dict[bytes, str]:
    """Write what the scripts name, and return what each credential is."""
    plan = sets.Plan(sets.BOARDS["h563"], random.Random("mutants"))
    k = plan.keys
    root, secret = hashlib.sha256(sets.xy(k["root"])).digest(), hashlib.sha256(plan.secret).digest()
    config = sets.spki(k["auth_s"]) + b"\0" + sets.spki(k["auth_ns"]) + b"\0" + sets.scalar70(k["encrypt"]) + bytes(2)
    files = {
        "da.obk": sets.da_obk(root),
        "da_flag.obk": sets.da_obk(root, flag=1),
        "da_mask.obk": sets.da_obk(root, mask=0x1077),
        "password.obk": sets.da_obk(secret),
        "config.obk": sets.obk(0x0FFD0160, config, 0),
        "data.obk": sets.obk(0x0FFD0280, bytes(160), 0),
    }
    for name, (offset, size) in AREAS.items():
        files[name] = bytes(size) if name.endswith(".bin") else sets.intel_hex(bytes(size), 0x0C000000 + offset)
    sets.write(files, folder)
    return {root: "certificate", secret: "password"}


@dataclass
class Chip:
    """The chip as the facts have it, kept as small as the calls need."""

    state: int = 0xED
    options: dict[str, int] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    flash: set[str] = field(default_factory=set)
    erased: bool = False

    def takes(self, call: str) -> bool:
        """Let a call act; False when the chip refuses it."""
        words = call.split()
        if self.state in (0xC6, 0x72, 0x5C):
            return False
        if words[0] == "-ob":
            return self.sets(dict(w.split("=") for w in words[1:] if "=" in w), "-e" in words)
        if words[0].startswith("-sdp"):
            name = words[-1]
            good = words[0] == "-sdp" and self.state == 0x17 and name not in ("missing.obk", "da_flag.obk")
            if good:
                self.objects["da" if name.startswith(("da.", "da_", "pass")) else name] = name
            return good
        name = words[1]
        if name not in AREAS:
            return False
        offset, size = AREAS[name]
        groups = range(offset // 0x8000, (offset + size - 1) // 0x8000 + 1)
        if any(not self.options.get("WRPSGn1", 0xFFFFFFFF) >> g & 1 for g in groups):
            return False
        self.flash.add(name)
        return True

    def sets(self, given: dict[str, str], erases: bool) -> bool:
        values = {n: int(v, 0) for n, v in given.items()}
        wanted = values.pop("PRODUCT_STATE", None)
        locked = self.options.get("TZEN") == 0xB4 and self.options.get("SECBOOT_LOCK") == 0xB4
        ube = self.options.get("BOOT_UBE")
        freed = values.get("SECBOOT_LOCK") == 0xC3
        if locked and not freed and self.state != 0xED and ube is not None and values.get("BOOT_UBE", ube) != ube:
            return False
        self.options |= values
        if wanted is not None and wanted != self.state:
            if wanted not in ON.get(self.state, set()) or (wanted == 0xC6 and self.options.get("TZEN") != 0xB4):
                return False
            self.state = wanted
        if erases:
            self.flash, self.erased = set(), True
        return True

    def lost(self) -> bool:
        """Tell whether the board is closed and would not come back, or would not start."""
        if self.state in (0xED, 0x17):
            return False
        if self.state == 0x5C or self.objects.get("da") in (None, "da_mask.obk"):
            return True
        on = self.options.get("TZEN") == 0xB4
        if (self.objects["da"] == "password.obk") == on:
            return True
        if self.state != 0x72 or not self.flash or not on:
            return False
        no_start = "boot.bin" not in self.flash and self.erased
        no_keys = self.options.get("SECBOOT_LOCK") == 0xB4 and "config.obk" not in self.objects
        return no_start or ("boot.bin" in self.flash and no_keys)


def model(calls: list[str]) -> str:
    """Return the verdict that the calls deserve: no-go when one is refused, or the board would be lost."""
    chip = Chip()
    return "no-go" if not all(map(chip.takes, calls)) or chip.lost() else "go"


def mutant(rng: random.Random) -> list[str]:
    """Return the calls of the sound script, changed one to three times."""
    calls = list(CALLS)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        at = rng.randrange(len(calls))
        match rng.choice(("drop", "swap", "repeat", "fail", "state", "object")):
            case "drop" if len(calls) > 2:
                calls.pop(at)
            case "swap":
                other = rng.randrange(len(calls))
                calls[at], calls[other] = calls[other], calls[at]
            case "repeat":
                calls.insert(rng.randrange(len(calls)), calls[at])
            case "fail":
                calls[at] = calls[at].replace("secure.hex", "not built.hex".replace(" ", "_")).replace("-sdp ", "-sdp=")
            case "state":
                calls = [c.replace("0x72", rng.choice(("0x72", "0xC6", "0x2E", "0x5C", "0x17"))) for c in calls]
            case "object":
                calls = [c.replace("da.obk", rng.choice(OTHERS)) for c in calls]
    return calls


def _bash(each: str, head: str = "", tail: str = "") -> Callable[[list[str]], dict[str, str]]:
    return lambda calls: {"close.sh": head + "".join(each.format(f"{CLI} {c}", c) for c in calls) + tail}


def _batch(each: str, head: str = "@echo off\n", tail: str = "") -> Callable[[list[str]], dict[str, str]]:
    return lambda calls: {"close.bat": head + "".join(each.format(f"{CLI} {c}", c) for c in calls) + tail}


def _sourced(calls: list[str]) -> dict[str, str]:
    body = "".join(f"{CLI} {c}\nif [ $? -ne 0 ]; then return 1; fi\n" for c in calls[:-1])
    main = f"source ./steps.sh\nif [ $? -ne 0 ]; then exit 1; fi\n{CLI} {calls[-1]} || exit 1\n"
    return {"steps.sh": body + "return 0\n", "close.sh": main}


def _called(calls: list[str]) -> dict[str, str]:
    body = "".join(f"{CLI} {c}\nif errorlevel 1 exit /b 1\n" for c in calls[:-1])
    main = f"call steps.bat\nif errorlevel 1 exit /b 1\n{CLI} {calls[-1]}\nif errorlevel 1 exit /b 1\n"
    return {"steps.bat": body + "exit /b 0\n", "close.bat": main}


def _looped(calls: list[str]) -> dict[str, str]:
    listed = " ".join(f'"{c}"' for c in calls)
    return {"close.sh": f"for step in {listed}; do\n  {CLI} $step || exit 1\ndone\n"}


STYLES: dict[str, Callable[[list[str]], dict[str, str]]] = {
    "or exit": _bash("{0} || exit 1\n"),
    "status": _bash("{0}\nif [ $? -ne 0 ]; then echo stopped; exit 1; fi\n"),
    "set -e": _bash("{0}\n", "set -euo pipefail\n"),
    "function": _bash("run {1}\n", f'run() {{\n  {CLI} "$@" || {{ echo "not: $1"; exit 1; }}\n}}\n'),
    "if not": _bash("if ! {0}; then exit 1; fi\n"),
    "nothing looked at": _bash("{0}\n"),
    "sourced": _sourced,
    "loop": _looped,
    "errorlevel": _batch("{0}\nif errorlevel 1 exit /b 1\n"),
    "percent": _batch("{0}\nif %errorlevel% neq 0 exit /b 1\n"),
    "or goto": _batch("{0} || goto failed\n", tail="exit /b 0\n:failed\nexit /b 1\n"),
    "subroutine": _batch("call :run {1} || exit /b 1\n", tail=f"exit /b 0\n:run\n{CLI} %*\nexit /b %errorlevel%\n"),
    "block": _batch(
        "if !ok! equ 1 (\n  {0}\n  if !errorlevel! neq 0 set ok=0\n)\n",
        "@echo off\nsetlocal EnableDelayedExpansion\nset ok=1\n",
        "if !ok! equ 0 exit /b 1\n",
    ),
    "called": _called,
}


def judged(seed: int, folder: Path, kinds: dict[bytes, str]) -> tuple[str, str, list[str], Rehearsal]:
    """Return the style, the model's verdict, the calls and the rehearsal of one mutant."""
    rng = random.Random(f"mutant {seed}")
    style, calls = rng.choice(list(STYLES)), mutant(rng)
    files = STYLES[style](calls)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8", newline="\r\n" if rng.random() < 0.3 else "\n")
    script = folder / list(files)[-1]
    return (
        style,
        model(calls),
        calls,
        rehearse(script, WalkInputs(folder, PartTraits("h563", False, stirot=False)), kinds),
    )
