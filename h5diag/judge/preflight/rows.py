"""A row of the preflight, and what the checks share: one procedure with its walk, its credentials and its images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from h5diag.errors import InputError
from h5diag.evidence.keys import Obk, ObkContent
from h5diag.judge.findings import check_words, filled
from h5diag.judge.preflight.inventory import Item
from h5diag.judge.preflight.project import Procedure, Project
from h5diag.layout import Layout
from h5diag.sim.rehearse import OTP, Call, ChipState, Step, Walk, WalkInputs, walk_script

PASS, FAIL, WARN, UNKNOWN = "pass", "fail", "warn", "unknown"
OTP_PASSWORD = OTP.start
"""Where a part without OBK holds the hash of its password."""


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one check: `state`, what was found in `text`, the `file` and the `place` in it.

    `needs` says what would make an unknown known.
    """

    id: str
    state: str
    text: str
    file: str = ""
    place: str = ""
    needs: str = ""


def row(name: str, file: str = "", place: str = "", /, **values: Any) -> Row:
    """Return the row of ``checks.toml`` by its name (``image-size.too-long``), with its words filled in.

    KeyError when there is no such row, or its words name something that was not given.
    """
    id, case = name.split(".")
    says = check_words()[id]["says"][case]
    state = next(s for s in (PASS, FAIL, WARN, UNKNOWN) if s in says)
    return Row(id, state, filled(says[state], values), file, place, filled(says.get("needs", ""), values))


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that the script stores before the last step."""

    step: Step
    path: Path
    item: Item
    obk: Obk
    file: str


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that the script writes into the flash. `address` is where its first byte goes, None when unknown."""

    step: Step
    path: Path
    item: Item | None
    address: int | None
    size: int
    file: str

    @property
    def place(self) -> str:
        """Where it goes, as a person reads it."""
        return "no address" if self.address is None else f"0x{self.address:08X}"


@dataclass
class Scene:
    """One script of one procedure, as the checks look at it."""

    project: Project
    procedure: Procedure
    walk: Walk
    stage: WalkInputs

    @cached_property
    def path(self) -> str:
        """The kind of the procedure; a person's own script is of the kind whose objects it stores."""
        if self.procedure.path != "script":
            return self.procedure.path
        contents = {s.obk.content for s in self.stored}
        if ObkContent.STIROT_CONFIG in contents:
            return "stirot-oemurot" if ObkContent.OEMUROT_CONFIG in contents else "stirot"
        return "oemirot" if ObkContent.OEMIROT_CONFIG in contents else "script"

    @property
    def own(self) -> bool:
        """Tell whether it is a person's own script, which need not have a layout beside it."""
        return self.procedure.path == "script"

    @cached_property
    def final(self) -> Step | None:
        """The step that closes the chip, None when the script leaves it open."""
        return self.walk.final

    @property
    def closes(self) -> bool:
        """Tell whether the script, or what was asked for, ends in a state that only a regression leaves."""
        return self.final is not None or self.project.target not in ("OPEN", "PROVISIONING")

    @cached_property
    def before(self) -> tuple[Step, ...]:
        """The steps up to the one that closes the chip, or all."""
        steps = self.walk.steps
        return steps[: steps.index(self.final)] if self.final is not None else steps

    @cached_property
    def chip(self) -> ChipState | None:
        """The chip as it is when it is closed (or at the end), None when nothing was done to it."""
        if self.final is not None:
            return self.final.after
        return self.walk.steps[-1].after if self.walk.steps else None

    def option(self, name: str) -> int | None:
        """Return an option at the end: as the script sets it, else as the listing has it."""
        chip = self.chip
        value = chip.options.get(name) if chip is not None else None
        return self.project.board.options.get(name) if value is None else value

    def setter(self, name: str) -> tuple[str, str]:
        """Return the file and line that set an option last, or the listing."""
        calls = (s.call for s in reversed(self.before) if any(n == name for n, _ in s.call.options))
        places = ((self.project.name(call.file), f"line {call.line}, {name}") for call in calls)
        return next(places, (self.project.board.source, name))

    def line(self, call: Call) -> tuple[str, str]:
        """Return the file and place of a call."""
        return self.project.name(call.file), f"line {call.line}"

    @property
    def script(self) -> str:
        """The script's file, as it is shown."""
        return self.project.name(self.walk.script)

    @property
    def closing(self) -> tuple[str, str]:
        """The file and place of the call that closes the chip; the script as a whole where none does."""
        return self.line(self.final.call) if self.final is not None else (self.script, "")

    @cached_property
    def stored(self) -> tuple[Stored, ...]:
        """The objects stored before the last step, in order."""
        objects = ((step, path, self.project.item(path)) for step in self.before for path in objects_of(step))
        return tuple(
            Stored(step, path, item, item.obk, self.project.name(path))
            for step, path, item in objects
            if item is not None and item.obk is not None
        )

    def stored_as(self, content: ObkContent) -> Stored | None:
        """Return the last stored object with this content, None without one."""
        return next((s for s in reversed(self.stored) if s.obk.content is content), None)

    @cached_property
    def written(self) -> tuple[tuple[Step, Path, Item | None, int | None], ...]:
        """What is downloaded before the last step: by which step, from where, and to which address, None when unknown."""
        return tuple(
            (step, path, self.project.item(path), address)
            for step in self.before
            for (_, address), path in zip(step.call.downloads, step.paths, strict=False)
        )

    @property
    def password_hashes(self) -> Iterator[tuple[Path, Item | None]]:
        """What is written to where a password's hash belongs, before the last step."""
        return ((path, item) for _, path, item, address in self.written if address == OTP_PASSWORD)

    @cached_property
    def downloads(self) -> tuple[WrittenFile, ...]:
        """The files written into the flash before the last step, the OTP area left out."""
        found = []
        for step, path, item, address in (w for w in self.written if w[3] not in OTP):
            size = item.size if item is not None else 0
            if item is not None and item.memory is not None and item.memory.segments:
                size, first = item.memory.span.size, item.memory.span.start
                address = first if address is None and first else address
            found.append(WrittenFile(step, path, item, address, size, self.project.name(path)))
        return tuple(found)

    @cached_property
    def _header(self) -> tuple[Layout | None, str]:
        try:
            return self.project.layout(self.procedure) or (None, "")
        except InputError as error:
            return None, str(error)

    @property
    def layout(self) -> Layout | None:
        """The boot loader's layout, None where there is none or it cannot be read."""
        return self._header[0]

    @property
    def layout_name(self) -> str:
        """The file of the layout, or why it cannot be read."""
        return self._header[1]

    @cached_property
    def way_back(self) -> tuple[Step, dict[str, Path]] | None:
        """The regression that the set holds: its call and the files that it names by ``key``, ``cert`` and ``pwd``."""
        own, paths = self.walk.script, {i.path for i in self.project.items}
        for item in self.project.items:
            twin = item.path.suffix.lower() != own.suffix.lower() and item.path.with_suffix(own.suffix) in paths
            asks = item.kind == "script" and "debugauth" in item.text and item.path != own and not twin
            for step in walk_script(item.path, self.stage).steps if asks else ():
                given = {
                    name: item.path.parent / value.replace("\\", "/").strip('"')
                    for name, value in step.call.credentials
                    if name in ("key", "cert", "pwd")
                }
                if step.call.authentication == 1 and given:
                    return step, given
        return None

    def named(self, what: str) -> Path | None:
        """Return the file that the regression names as ``key``, ``cert`` or ``pwd``; None when it names none."""
        return self.way_back[1].get(what) if self.way_back is not None else None

    @cached_property
    def da(self) -> Stored | None:
        """The debug-authentication object that counts."""
        return self.stored_as(ObkContent.DA)

    @property
    def password_kind(self) -> bool:
        """Tell whether the credentials are a password; where only a name told it, the way back tells it better."""
        if self.da is None:
            return False
        named = [what for what in ("pwd", "cert") if self.named(what)]
        if self.da.item.how_known in ("its name", "the script that names it") and len(named) == 1:
            return named == ["pwd"]
        return self.da.item.kind == "obk-da-password"

    def chains(self) -> list[Item]:
        """Return the file with the chain that the regression names, or else every chain that could open the object."""
        if (item := self.project.item(self.named("cert"))) is not None:
            return [item]
        whole = [i for i in self.project.items if i.chain and i.chain[0].role == "root" and len(i.chain) > 1]
        leaf = [i for i in whole if i.chain[-1].role == "leaf"]
        return leaf or whole or [i for i in self.project.items if i.chain and i.chain[-1].role == "leaf"]


def objects_of(step: Step) -> tuple[Path, ...]:
    """Return the paths of the objects that a step stores."""
    at = len(step.call.downloads)
    return step.paths[at : at + len(step.call.stores)]
