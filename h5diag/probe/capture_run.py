"""STM32CubeProgrammer run by h5diag itself where it is installed: one command for the owner of an ST-LINK.

The calls are those of the printed script (`h5diag.case.capture`), which a test holds to reading; nothing else is called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path

from h5diag.case.capture import CaptureStep, capture_sidecar, capture_steps, connect_arguments, require_board_name
from h5diag.chip import Chip, ChipChoice, choose_chip, load_chip
from h5diag.errors import InputError, ProbeError
from h5diag.evidence.door import make_folder, write_whole
from h5diag.evidence.files import sidecar_path
from h5diag.evidence.texts import parse_log
from h5diag.layout import Layout
from h5diag.memory import Progress

CLI = "STM32_Programmer_CLI"
_PLACES = (
    "~/STMicroelectronics/STM32Cube/STM32CubeProgrammer/bin/STM32_Programmer_CLI",
    "/usr/local/STMicroelectronics/STM32Cube/STM32CubeProgrammer/bin/STM32_Programmer_CLI",
    "/Applications/STMicroelectronics/STM32Cube/STM32CubeProgrammer/STM32CubeProgrammer.app/Contents/MacOs/bin/"
    "STM32_Programmer_CLI",
    "C:/Program Files/STMicroelectronics/STM32Cube/STM32CubeProgrammer/bin/STM32_Programmer_CLI.exe",
)
"""Where ST's installers put it (UM2237)."""

_LIMIT_S = 900


def find_programmer() -> str:
    """Return the path of STM32CubeProgrammer's command line: the environment's, the PATH's, or a usual place's.

    Raises
    ------
    InputError
        When it is nowhere.
    """
    named = os.environ.get("STM32_PROGRAMMER_CLI")
    for candidate in (named, shutil.which(CLI), *(os.path.expanduser(p) for p in _PLACES)):
        if candidate and Path(candidate).is_file():
            return candidate
    raise InputError(
        f"{CLI} is not installed here" if not named else f"STM32_PROGRAMMER_CLI names no file: {named}",
        advice="install STM32CubeProgrammer, set STM32_PROGRAMMER_CLI to it, or print a script with --print",
    )


def run_capture(
    chip: Chip | None,
    folder: str | Path,
    name: str,
    *,
    layout: Layout | None = None,
    programmer: str = "",
    tell: Callable[[str], None] = lambda text: None,
    progress: Progress = lambda fraction: None,
) -> tuple[Chip, tuple[Path, ...]]:
    """Collect a board's evidence with STM32CubeProgrammer, read-only; return the chip and the files that came of it.

    Parameters
    ----------
    chip, layout
        What is read; without a chip the one that the programmer tells, which is asked first.
    folder
        Gets the files; made when it is not there. Older files of this name are never written over.
    name
        ``good`` or ``suspect``: the begin of every file's name.
    programmer
        Path of the programmer; found by itself when empty.
    tell, progress
        Told what a step refused, and how far it is.

    Raises
    ------
    InputError
        When the programmer is not there, files of this name are, or it connects to another chip than the one named.
    ProbeError
        When not even the first connection was made.
    """
    require_board_name(name)
    program, into = programmer or find_programmer(), Path(folder)
    make_folder(into)
    if any(into.glob(f"{name}-*")):
        raise InputError(f"there are files of {name!r} already", source=str(into), advice="name a new folder")
    used = chip or load_chip()
    steps = deque(capture_steps(used, layout))
    whole, done, first = sum(s.size for s in steps), 0, True
    progress(0.0)
    while steps:
        step = steps.popleft()
        said = _called(program, used, step, into, name)
        with (into / f"{name}-{step.to}").open("a", encoding="utf-8") as stream:
            stream.write(said.stdout)
        dump = into / f"{name}-{step.dump}"
        if step.dump and dump.is_file() and dump.stat().st_size:
            write_whole(sidecar_path(dump), capture_sidecar(used, step) + "\n")
        if said.returncode:
            tell(f"{step.what}: not read; {name}-{step.to} says why")
            if first:
                raise ProbeError(
                    "STM32CubeProgrammer does not connect",
                    cause=_last_line(said.stdout),
                    advice=f"{into / f'{name}-{step.to}'} holds what it says; check cable and supply",
                )
        if first and (found := _other_chip(said.stdout, used)) is not None:
            if found.chip is None:
                raise InputError(
                    f"nothing more can be read: {found.text}", advice="name a chip that is like it with --chip"
                )
            if chip is not None:
                raise InputError(
                    f"the programmer connects to another chip than {chip.title}: {found.text}",
                    advice=f"name it with --chip {found.chip.name}, or leave --chip out",
                )
            used = found.chip
            steps = deque(capture_steps(used, layout)[1:])
            whole = sum(s.size for s in steps)
        if first and chip is None:
            tell(f"the chip is taken for {used.title}, as the programmer tells; another one: --chip")
        first = False
        done += step.size
        progress(done / whole)
    return used, tuple(sorted(p for p in into.glob(f"{name}-*") if p.is_file()))


def _other_chip(said: str, chip: Chip) -> ChipChoice | None:
    """Return the chip that the connection banner names when it is another one."""
    ids = [i for i in parse_log(said).dev_ids if i & chip.identity.dev_id_mask]
    if not ids or ids[0] & chip.identity.dev_id_mask == chip.identity.dev_id:
        return None
    return choose_chip(dev_ids=ids)


def _called(program: str, chip: Chip, step: CaptureStep, into: Path, name: str) -> subprocess.CompletedProcess[str]:
    arguments = [program, *connect_arguments(chip, step), *step.reads.split()]
    if step.dump:
        arguments.append(str(into / f"{name}-{step.dump}"))
    try:
        return subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProbeError(f"STM32CubeProgrammer does not end ({step.what})", advice="check cable and supply") from None
    except OSError as error:
        raise InputError(f"cannot be started ({error.strerror})", source=program) from None


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:200]
