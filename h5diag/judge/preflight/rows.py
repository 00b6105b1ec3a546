"""A row of the preflight, and what the checks share: one procedure with its walk, its credentials and its images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from h5diag.errors import InputError
from h5diag.evidence.keys import Certificate, Obk, ObkContent
from h5diag.judge.preflight.inventory import Item
from h5diag.judge.preflight.project import Procedure, Project
from h5diag.layout import Layout
from h5diag.sim.rehearse import FINAL, Call, ChipState, Step, Walk, WalkInputs, walk_script

PASS, FAIL, WARN, UNKNOWN = "pass", "fail", "warn", "unknown"
OTP_PASSWORD = 0x08FFF000


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

    @property
    def path(self) -> str:
        """The kind of the procedure; a person's own script is of the kind whose objects it stores."""
        return self._kind

    @cached_property
    def _kind(self) -> str:
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
        for step in reversed(self.before):
            if any(n == name for n, _ in step.call.options):
                return self.project.name(step.call.file), f"line {step.call.line}, {name}"
        return self.project.board.source, name

    def line(self, call: Call) -> tuple[str, str]:
        """Return the file and place of a call."""
        return self.project.name(call.file), f"line {call.line}"

    @cached_property
    def stored(self) -> tuple[Stored, ...]:
        """The objects stored before the last step, in order."""
        found = []
        for step in self.before:
            for path in objects_of(step):
                item = self.project.item(path)
                if item is not None and item.obk is not None:
                    found.append(Stored(step, path, item, item.obk, self.project.name(path)))
        return tuple(found)

    def stored_as(self, content: ObkContent) -> Stored | None:
        """Return the last stored object with this content, None without one."""
        return next((s for s in reversed(self.stored) if s.obk.content is content), None)

    @cached_property
    def downloads(self) -> tuple[WrittenFile, ...]:
        """The files written into the flash before the last step, the OTP area left out."""
        found = []
        for step in self.before:
            for (_, address), path in zip(step.call.downloads, step.paths, strict=False):
                if address is not None and OTP_PASSWORD <= address < OTP_PASSWORD + 0x800:
                    continue
                item = self.project.item(path)
                size = item.size if item is not None else 0
                if item is not None and item.memory is not None and item.memory.segments:
                    first = item.memory.segments[0].start
                    size = max(s.stop for s in item.memory.segments) - first
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
        for item in self.project.items:
            if item.kind != "script" or "debugauth" not in item.text or item.path == self.walk.script:
                continue
            if item.path.suffix.lower() != self.walk.script.suffix.lower() and len(self.project.items) > 1:
                twin = any(i.path == item.path.with_suffix(self.walk.script.suffix) for i in self.project.items)
                if twin:
                    continue
            for step in walk_script(item.path, self.stage).steps:
                if step.call.authentication == 1:
                    given = {}
                    for name, value in step.call.credentials:
                        if name in ("key", "cert", "pwd"):
                            given[name] = item.path.parent / value.replace("\\", "/").strip('"')
                    if given:
                        return step, given
        return None

    @cached_property
    def da(self) -> Stored | None:
        """The debug-authentication object that counts."""
        return self.stored_as(ObkContent.DA)

    @property
    def password_kind(self) -> bool:
        """Tell whether the credentials are a password; where only a name told it, the way back tells it better."""
        if self.da is None:
            return False
        given = self.way_back[1] if self.way_back is not None else {}
        if (
            self.da.item.how_known in ("its name", "the script that names it")
            and len({"pwd", "cert"} & set(given)) == 1
        ):
            return "pwd" in given
        return self.da.item.kind == "obk-da-password"

    def chains(self) -> Iterator[tuple[Item, tuple[Certificate, ...]]]:
        """Yield the certificate chain that the regression names, or else every chain that could open the object."""
        named = self.way_back[1].get("cert") if self.way_back is not None else None
        item = self.project.item(Path(str(named))) if named is not None else None
        if item is not None:
            yield item, item.chain
            return
        whole = [i for i in self.project.items if i.chain and i.chain[0].role == "root" and len(i.chain) > 1]
        leaf = [i for i in whole if i.chain[-1].role == "leaf"]
        for each in leaf or whole or [i for i in self.project.items if i.chain and i.chain[-1].role == "leaf"]:
            yield each, each.chain


def objects_of(step: Step) -> tuple[Path, ...]:
    """Return the paths of the objects that a step stores."""
    at = len(step.call.downloads)
    return step.paths[at : at + len(step.call.stores)]


def closing_states(walk: Walk) -> list[Step]:
    """Return the steps that set a product state, in order."""
    return [s for s in walk.steps if s.call.state is not None]


__all__ = [
    "FAIL",
    "FINAL",
    "OTP_PASSWORD",
    "PASS",
    "UNKNOWN",
    "WARN",
    "Row",
    "Scene",
    "Stored",
    "WrittenFile",
    "closing_states",
    "objects_of",
]
