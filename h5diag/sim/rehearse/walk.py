"""A provisioning script walked against the chip that is not there: step by step, and once more with each step failing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from h5diag.answer import Answer
from h5diag.errors import InputError
from h5diag.evidence.door import is_evidence, is_folder, read_evidence
from h5diag.evidence.files import Kind, read_image, tell_kind
from h5diag.evidence.keys import DESTINATIONS, ObkContent
from h5diag.limits import MEMORY
from h5diag.sim.rehearse.batch import Batch
from h5diag.sim.rehearse.calls import Call, parse_call
from h5diag.sim.rehearse.chip_state import (
    CLOSED,
    FINAL,
    LOCKED,
    OFF,
    PROVISIONING,
    STATES,
    ChipState,
    Effect,
    PartTraits,
)
from h5diag.sim.rehearse.shell import Shell
from h5diag.sim.rehearse.world import UNKNOWN, ScriptExit, ScriptWorld, Stop, Word, normal

TARGETS = {name: state for state, name in STATES.items() if state != PROVISIONING}
_NAMES = re.compile(r"PROVISIONED|TZ-?_?CLOSED|CLOSED|LOCKED|\bOPEN\b", re.I)
_YES_NO = re.compile(r"\by(?:es)?\s*[|/]\s*n(?:o)?\b", re.I)
_BOOT0 = re.compile(r"boot0", re.I)
_ASKED = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the tool, and the chip after it.

    `refused` says why it did nothing, empty when it worked; `open` what the facts leave open; `files` the file of
    each download and of each object stored, None where it is missing.
    """

    call: Call
    state: int
    status: int
    refused: str
    irreversible: str
    boots: str
    boots_why: str
    reopenable: str
    reopenable_why: str
    open: str
    files: tuple[Path | None, ...]
    paths: tuple[Path, ...]
    trustzone: bool
    after: ChipState = field(repr=False)


@dataclass(frozen=True, slots=True)
class Walk:
    """A whole walk; `stopped` is where and why it could not go on, `status` the script's exit status.

    `sources` are the scripts that were read; `asked` tells whether the script asked which state to set.
    """

    script: Path
    steps: tuple[Step, ...]
    stopped: Stop | None
    status: int
    sources: tuple[Path, ...]
    asked: bool
    assumed: tuple[str, ...] = ()
    missing: tuple[tuple[Path, Path, int], ...] = ()

    @property
    def final(self) -> Step | None:
        """The last call that went for a product state from which only a regression leads back."""
        return next((s for s in reversed(self.steps) if s.call.state in FINAL), None)


@dataclass(frozen=True, slots=True)
class WalkInputs:
    """What a walk needs to know beside the script: the folder, the part, the wanted state, what the board had set.

    `before` are the scripts that a person runs first, in this order; one that fails is the last that is run.
    `extents` keeps where each file's content lies: a walk is done once more for each step, each naming the same files.
    """

    root: Path
    part: PartTraits
    target: str = "CLOSED"
    options: Mapping[str, int] = field(default_factory=dict)
    state: int = 0xED
    trustzone: bool = True
    find: Callable[[Path], Path | None] | None = None
    lenient: bool = False
    before: tuple[Path, ...] = ()
    extents: dict[tuple[Path, int | None], tuple[int, int] | None] = field(default_factory=dict, compare=False)


class _Runner:
    def __init__(self, stage: WalkInputs, script: Path, fail: int | None, arguments: tuple[str, ...]) -> None:
        self.stage, self.script, self.fail = stage, script, fail
        self.chip = ChipState(stage.part, stage.state, dict(stage.options))
        self.steps: list[Step] = []
        self.assumed: list[str] = []
        self.asked = False
        self.prompted: dict[str, int] = {}
        self.made = 0
        self.world = ScriptWorld(stage.root, self._find, self._programmer, self._answer, self._assumed)
        self.arguments = arguments
        self.walker = self._walker((*stage.before, script)[0])

    def _walker(self, script: Path) -> Batch | Shell:
        arguments = self.arguments if script == self.script else ()
        if script.suffix.lower() in (".bat", ".cmd"):
            return Batch(self.world, script, arguments)
        return Shell(self.world, script, arguments)

    def walk(self) -> Walk:
        stopped, status = None, 0
        try:
            for script in (*self.stage.before, self.script):
                self.walker = self._walker(script)
                status = self.walker.run()
                if status:
                    break
        except Stop as stop:
            stopped = stop
        except ScriptExit as stop:
            status = stop.status
        except (RecursionError, InputError) as error:
            stopped = Stop(str(error) if isinstance(error, InputError) else "is nested too deeply", self.script, 1)
        found = tuple(self.world.sources)
        return Walk(
            self.script,
            tuple(self.steps),
            stopped,
            status,
            found,
            self.asked,
            tuple(self.assumed),
            tuple(self.world.missing),
        )

    def _assumed(self, path: Path) -> bool:
        """Tell whether a file that is not there is taken as there: an image that is not built yet."""
        return self.stage.lenient and path.suffix.lower() in (".hex", ".bin")

    def _find(self, path: Path) -> Path | None:
        if self.stage.find is not None:
            return self.stage.find(path)
        inside = path.is_relative_to(self.stage.root)
        return path if inside and (is_evidence(path) or is_folder(path)) else None

    def _answer(self, prompt: str, variable: str) -> str:
        file, line = self.script, 1
        count = self.prompted[prompt + variable] = self.prompted.get(prompt + variable, 0) + 1
        if self.asked and self.chip.product_state in FINAL and self.steps[-1].state in FINAL:
            raise ScriptExit(0)  # the work is done, and the script asks what to do next
        if count > _ASKED and variable:
            raise Stop(f"asks the same again and again ({' '.join(prompt.split())[:60]})", self.walker.file, line)
        if not variable:
            return ""
        low = f"{prompt} {variable}".lower()
        states = {m.upper().replace("_", "-") for m in _NAMES.findall(prompt)}
        if len(states) > 1 or (re.search(r"state|\bps\b", variable, re.I) and not _YES_NO.search(prompt)):
            self.asked = True
            return self._menu(prompt)
        if _YES_NO.search(prompt):
            if re.search(r"trust|tzen|\btz\b", low):
                return "y" if self.stage.trustzone else "n"
            return "n" if "password" in low else "y"
        self.assumed.append(f"{file.name}: the question {' '.join(prompt.split())[:60]!r} cannot be answered")
        return UNKNOWN

    def _menu(self, prompt: str) -> str:
        text = prompt + "\n" + "\n".join(self.world.prompts[-12:])
        for number, name in re.findall(r"(?m)\b(\d)\s*[).:=-]\s*([A-Za-z-]+)", text):
            if name.upper().replace("_", "-") == self.stage.target:
                return str(number)
        return self.stage.target

    def _programmer(self, argv: tuple[Word, ...], file: Path, line: int) -> tuple[int, str]:
        call = parse_call(argv[1:], file, line)
        boot0 = next((p for p in reversed(self.world.prompts) if _BOOT0.search(p)), "")
        self.chip.boot0_high = bool(
            re.search(r"\b(should be connected|to vdd|high|to 1|position 1)\b", boot0, re.I)
        ) and ("disconnect" not in boot0.lower())
        paths = tuple(
            normal(self.walker.cwd, name.replace("\\", "/").strip('"'))
            for name in (*(d[0] for d in call.downloads), *call.stores, *call.installs)
        )
        found = (self._find(p) for p in paths)
        files = tuple(f if f is not None and is_evidence(f) else None for f in found)
        serious = call.changes or bool(call.authentication)
        made_to_fail = serious and self.made == self.fail
        failure = Effect(1, "Error: made to fail\n", refused="made to fail")
        effect = failure if made_to_fail else self._act(call, files)
        self.made += serious
        if serious or call.problems:
            boots, reopen = self.chip.boots(), self.chip.reopenable()
            self.steps.append(
                Step(
                    call,
                    self.chip.product_state,
                    effect.status,
                    effect.refused,
                    effect.irreversible,
                    *boots,
                    *reopen,
                    effect.open,
                    files,
                    paths,
                    self.chip.trustzone,
                    self.chip.copy(),
                )
            )
        return effect.status, effect.output

    def _act(self, call: Call, files: tuple[Path | None, ...]) -> Effect:
        effect = Effect()
        whole = replace(call, downloads=(), stores=())
        pieces = [replace(whole, downloads=(d,)) for d in call.downloads]
        pieces += [replace(whole, stores=(s,)) for s in call.stores]
        for i, (piece, found) in enumerate(zip(pieces or [whole], files or [None], strict=False)):
            if i:
                piece = replace(piece, options=(), erases=False)
            if found is None and (piece.downloads or piece.stores) and self.stage.lenient:
                if any(kind in ("sdp-equals", "no-connection") for kind, _ in call.problems):
                    return Effect(1, refused="wrong arguments")
                continue
            sizes = self._extent(found, piece.downloads[0][1]) if piece.downloads and found is not None else None
            done = self.chip.apply(piece, found, sizes, self.stage.root)
            if self.stage.lenient and done.refused and (piece.downloads or piece.stores):
                done = replace(done, status=0)
            if done.refused or done.irreversible or done.open:
                effect = done
            if done.status:
                return done
        return effect

    def _extent(self, path: Path, address: int | None) -> tuple[int, int] | None:
        extents = self.stage.extents
        if (path, address) not in extents:
            extents[path, address] = _extent(path, address)
        return extents[path, address]


def _extent(path: Path, address: int | None) -> tuple[int, int] | None:
    """Return where a download begins and how many bytes it has; None when it has no address."""
    try:
        file = read_evidence(path, limit=MEMORY)
        if tell_kind(file) is Kind.BIN:
            return (address, file.size) if address is not None else None
        image = read_image(file)
        first, last = image.segments[0].start, max(s.stop for s in image.segments)
    except (InputError, OSError, IndexError, ValueError):
        return (address, 1) if address is not None else (0x08000000, 1)
    return first, last - first


def walk_script(script: Path, stage: WalkInputs, *, fail: int | None = None, arguments: tuple[str, ...] = ()) -> Walk:
    """Walk a script without executing anything of it.

    Parameters
    ----------
    script
        A ``.sh`` or ``.bat``.
    stage
        Folder, part, target state and what the board had set before.
    fail
        Number of the call (of those that change or authenticate) that is made to fail; None for none.
    arguments
        Of the script.
    """
    return _Runner(stage, script, fail, arguments).walk()


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A call whose failure the script does not notice; `closes` tells whether it still closes the chip afterwards."""

    step: Step
    closes: bool


def unchecked(walk: Walk, stage: WalkInputs) -> tuple[Unchecked, ...]:
    """Return the calls whose failure goes unnoticed: the script is walked once more with each of them failing."""
    found = []
    changing = [s for s in walk.steps if s.call.changes or s.call.authentication]
    for i, step in enumerate(changing):
        if not step.call.changes:
            continue
        again = walk_script(walk.script, stage, fail=i)
        later = [s for s in again.steps if s.call.changes or s.call.authentication][i + 1 :]
        goes_on = any(s.call.changes for s in later)
        last = i == len(changing) - 1 and again.status == 0 and again.stopped is None
        if goes_on or last:
            found.append(Unchecked(step, any(s.call.state in FINAL for s in later)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Rehearsal(Answer):
    """What a rehearsal came to: ``go``, ``no-go`` or ``unknown`` with its reasons; `hints` decide nothing."""

    walk: Walk
    verdict: str
    reasons: tuple[str, ...]
    hints: tuple[str, ...]


def rehearse(
    script: Path, stage: WalkInputs, kinds: Mapping[bytes, str] | None = None, arguments: tuple[str, ...] = ()
) -> Rehearsal:
    """Walk a script and judge where it leaves the chip.

    Parameters
    ----------
    kinds
        ``certificate`` or ``password`` for the 32 bytes of debug-authentication objects, where known.
    """
    walk = walk_script(script, stage, arguments=arguments)
    bad, unsure, hints = [], [], []
    for step in walk.steps:
        where = f"{step.call.file.name}, line {step.call.line}"
        if step.refused:
            bad.append(f"{where}: {step.refused}")
        elif step.open and step.call.state not in FINAL:
            unsure.append(f"{where}: {step.open}")
        hints += [f"{where}: {words}" for kind, words in step.call.problems if not step.refused]
    final = walk.final
    if final is not None and final.state in FINAL:
        bad += _closing_faults(final, dict(kinds or {}))
    if walk.stopped is not None:
        unsure.append(f"the walk ends at {walk.stopped}")
    elif walk.status and not bad:
        bad.append(f"the script ends with status {walk.status}")
    if not walk.steps and walk.stopped is None:
        unsure.append("the script calls STM32CubeProgrammer nowhere on this way")
    unsure += walk.assumed
    for miss in unchecked(walk, stage):
        end = " and the chip is closed all the same" if miss.closes else ""
        hints.append(f"{miss.step.call.file.name}, line {miss.step.call.line}: a failure goes unnoticed{end}")
    verdict = "no-go" if bad else "unknown" if unsure else "go"
    return Rehearsal(walk, verdict, tuple(bad or unsure), tuple(hints))


def _closing_faults(final: Step, kinds: dict[bytes, str]) -> Iterator[str]:
    where, chip = f"{final.call.file.name}, line {final.call.line}", final.after
    if final.state == LOCKED:
        yield f"{where}: LOCKED has no way back"
    elif final.reopenable == "no":
        yield f"{where}: closed without a way back: {final.reopenable_why}"
    if final.boots == "no" and final.state == CLOSED:
        yield f"{where}: {STATES[final.state]}, and nothing starts: {final.boots_why}"
    stored = chip.obk.get(DESTINATIONS[ObkContent.DA])
    kind = kinds.get(stored.credential) if stored is not None else None
    if kind == "certificate" and chip.part.trustzone and chip.option("TZEN") in (OFF, None):
        yield f"{where}: a certificate is stored and TrustZone is off: it needs a password"
    elif kind == "password" and chip.trustzone:
        yield f"{where}: a password is stored and TrustZone is on: it needs a certificate"
