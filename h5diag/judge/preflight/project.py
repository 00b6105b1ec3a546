"""A provisioning set as a value: its folder, the part it is for, its procedures and what each script would do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from h5diag.errors import InputError
from h5diag.evidence.door import folder_names, is_evidence, is_folder, is_there, read_evidence, real_path
from h5diag.evidence.samples import Named, path_of
from h5diag.evidence.texts import Log, parse_listing, parse_log
from h5diag.judge.preflight.inventory import Item, collect, distinguish, recognise
from h5diag.layout import Layout, parse_flash_layout
from h5diag.limits import LAYOUT, TEXT
from h5diag.sim.rehearse import (
    OFF,
    OPEN,
    STATES,
    TARGETS,
    PartTraits,
    Walk,
    WalkInputs,
    read_script,
    script_file,
    walk_script,
)
from h5diag.tables import packaged_as
from h5diag.text import count_text

_PART = re.compile(r"h5(?:[0-9]{2}|[ef][0-9])|(?<![a-z])(?:stm32)?([ul][35])(?=[0-9a-z]{2}|$)", re.I)
_FOLDERS = {
    "oemirot": "oemirot",
    "stirot": "stirot",
    "stirot_oemurot": "stirot-oemurot",
    "stirot-oemurot": "stirot-oemurot",
    "da": "da",
    "sm": "secure-manager",
}
PATHS = ("oemirot", "stirot", "stirot-oemurot", "da", "secure-manager", "script")
_MAIN = "provisioning"
_BACK = ("regression", "dbg_auth", "discovery", "env", "img_config", "keygen", "create_password")
_UPWARDS = re.compile(r"(?:\.\.[/\\])+")
_CALLED = re.compile(r"""(?<![\w./\\-])[\w./\\-]{1,255}\.(?:sh|bat|cmd)\b""", re.I)


@dataclass(frozen=True, slots=True)
class StateBefore:
    """The board before the step, as its listing and log tell; empty where neither was given."""

    options: dict[str, int] = field(default_factory=dict)
    log: Log | None = None
    dev_id: int | None = None
    device: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class ChipWord:
    """One source's word about the part; `names` are the parts that it allows."""

    known_by: str
    source: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Procedure:
    """One way through the set: its kind, what its scripts begin with, and the walk of each."""

    path: str
    stage: WalkInputs
    walks: tuple[Walk, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """Everything that the checks read.

    Parameters
    ----------
    root
        The folder that nothing is read outside of.
    items
        Every recognised file.
    find
        Maps a path that a script names to the file meant, None where there is none.
    layout, layout_name
        The boot loader's layout and its file; None without a ``flash_layout.h``.
    part
        What provisioning knows of the part; `chip_words` who said so.
    """

    root: Path
    items: tuple[Item, ...]
    find: Callable[[Path], Path | None]
    part: PartTraits
    chip_words: tuple[ChipWord, ...]
    board: StateBefore
    procedures: tuple[Procedure, ...]
    target: str
    target_given: bool

    def name(self, path: Path) -> str:
        """Return a path as it is shown: relative to the set."""
        real = self.find(path) or path
        bases = (base for base in (self.root, real_path(self.root)) if real.is_relative_to(base))
        return next((real.relative_to(base).as_posix() for base in bases), str(real))

    def item(self, path: Path | None) -> Item | None:
        """Return the recognised file at a path that a script names; None where it names none, or no file is there."""
        real = self.find(path) if path is not None else None
        if real is None or not is_evidence(real):
            return None
        known = next((i for i in self.items if i.path == real), None)
        return known or recognise(real, self.name(real), inside=self.root)

    def layout(self, procedure: Procedure) -> tuple[Layout, str] | None:
        """Return the boot loader's layout of a procedure and the name of its file, None without one."""
        named = [(i, i.path.name.lower()) for i in self.items if i.path.name.lower().endswith("flash_layout.h")]
        headers = [(i, name) for i, name in named if not name.startswith("appli_")]
        if not headers:
            return None
        header, _ = min(headers, key=lambda h: ("boot" not in h[0].name.lower(), h[1] != "flash_layout.h", h[0].name))
        text = read_evidence(header.path, limit=LAYOUT, inside=self.root).data.decode("utf-8", "replace")
        define = "#define OEMUROT_ENABLE\n" if procedure.path == "stirot-oemurot" else ""
        return parse_flash_layout(define + text, source=header.name), header.name


class PartRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of ``parts.toml``, where its keys are explained."""

    name: str
    flash_kib: tuple[int, ...]
    words: tuple[str, ...]
    ref: str
    saes: bool
    stirot: bool
    trustzone: bool = True
    obk: bool = True
    rdp: bool = False
    dev_id: int | None = None
    oem_words: int | None = None


@lru_cache(maxsize=1)
def _parts() -> tuple[PartRow, ...]:
    return packaged_as("judge/preflight/parts.toml", tuple[PartRow, ...], "parts")


def parts_called(text: str) -> tuple[str, ...]:
    """Return the parts that a name speaks of: ``NUCLEO-H563ZI``, ``stm32h573ii``, ``STM32H563/573``."""
    low = re.sub(r"(h5\w\w)/(\d\d\d)", r"\1/h\2", text.lower())
    words = [m[1] or m[0] for m in _PART.finditer(low)]
    return tuple(dict.fromkeys(p.name for word in words for p in _parts() if word in p.words))


def same_device(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tell whether two sources may speak of one part: parts that share a device id do not contradict each other."""
    ids = [{p.dev_id or p.name for p in _parts() if p.name in names} for names in (one, other)]
    return bool(set(one) & set(other) or ids[0] & ids[1])


def flash_sizes(part: str) -> tuple[int, ...]:
    """Return the flash sizes in KiB that a part (or any of ``h563/h573``) can have."""
    return tuple(k for p in _parts() if p.name in part.split("/") for k in p.flash_kib)


def choose_part(words: Sequence[ChipWord]) -> tuple[PartTraits, str]:
    """Return the part that all sources allow, and who narrowed it; what sources disagree on follows the first."""
    telling = [w for w in words if w.names]
    allowed, known_by = (telling[0].names, telling[0].known_by) if telling else ((), "assumed")
    for word in telling:
        allowed = tuple(n for n in allowed if n in word.names) or allowed
    rows = [p for p in _parts() if p.name in allowed]
    if not rows:
        return PartTraits("", None, True, True, None), known_by
    # What the parts do not have in common is not known.
    agreed = [
        values.pop() if len(values) == 1 else None for values in ({p.saes for p in rows}, {p.stirot for p in rows})
    ]
    trustzone, obk = any(p.trustzone for p in rows), any(p.obk for p in rows)
    return PartTraits("/".join(allowed), agreed[0], trustzone, obk, agreed[1], rows[0].oem_words), known_by


def read_board(options: Named | None, log: Named | None) -> StateBefore:
    """Return what a listing and a log tell of the board before the step."""
    before = StateBefore()
    for given in (g for g in (options, log) if g is not None):
        path = Path(path_of(given))
        text = read_evidence(path, limit=TEXT).data.decode("utf-8", "replace")
        listing, found = parse_listing(text), parse_log(text)
        if given is options and not listing:
            raise InputError("holds no option byte", source=str(path), advice="give what -ob displ printed")
        values = before.options | {f.name: f.value for f in listing.fields}
        before = replace(before, options=values, log=found if given is log else before.log)
        if dev_id := found.banner.dev_id or listing.device_id:
            device = found.banner.device_name if found.banner.dev_id else before.device
            before = replace(before, dev_id=dev_id, device=device, source=path.name)
    return before


def open_project(
    places: Sequence[Path],
    *,
    chip: str = "",
    board: StateBefore | None = None,
    target: str = "",
    path: str = "",
) -> Project:
    """Return a provisioning set, its scripts walked.

    Raises
    ------
    InputError
        When nothing usable is there, or the state or path asked for is none.
    """
    board = board or StateBefore()
    root, start, only = _root(places)
    if not (items := _items(places, root, start)):
        raise InputError(
            "holds no file of provisioning", source=str(places[0]), advice="name the ROT_Provisioning folder"
        )
    find, (state, given) = _finder(root), _target(target)
    words = _chip_words(chip, board, root, start, items)
    part, _ = choose_part(words)
    trustzone, procedures = part.trustzone and board.options.get("TZEN") != OFF, []
    for kind, scripts in _procedures(items, start, only, path).items():
        stage = WalkInputs(root, part, state, dict(board.options), OPEN, trustzone, find, lenient=True)
        walks = tuple(walk_script(s, stage) for s in scripts)
        if kind == "script":
            walks = tuple(w for w in walks if not leads_back(w)) or walks
            if row := _in_a_row([w.script for w in walks], places):
                stage = replace(stage, before=row[:-1])
                walks = (walk_script(row[-1], stage),)
        procedures.append(Procedure(kind, stage, walks))
    # What the scripts set without asking.
    finals = (w.final for q in procedures for w in q.walks if not w.asked)
    if not given and (final := next(filter(None, finals), None)):
        state = STATES.get(final.call.state or 0, state)
    named = {p.name: f"{w.script.name} {p.name}" for q in procedures for w in q.walks for s in w.steps for p in s.paths}
    return Project(root, distinguish(items, named), find, part, words, board, tuple(procedures), state, given)


def _in_a_row(scripts: Sequence[Path], places: Sequence[Path]) -> tuple[Path, ...]:
    """Return scripts that are run one after the other: named so, or numbered in one folder; none when it is not told."""
    given = tuple(p.absolute() for p in places if script_file(p))
    if len(scripts) < 2:
        return ()
    if set(given) >= set(scripts):
        return tuple(p for p in given if p in scripts)
    numbers = {int(m[0]): s for s in scripts if (m := re.match(r"\d{1,3}", s.name))}
    alike = len({(s.parent, s.suffix.lower()) for s in scripts}) == 1
    return tuple(numbers[n] for n in sorted(numbers)) if alike and len(numbers) == len(scripts) else ()


def leads_back(walk: Walk) -> bool:
    """Tell whether a script opens a board again, or only asks it: nothing is closed by it."""
    return any(s.call.authentication for s in walk.steps) and walk.final is None


def _target(text: str) -> tuple[str, bool]:
    if not text:
        return "CLOSED", False
    wanted = text.strip().upper().replace("_", "-")
    wanted = {"IROT-PROVISIONED": "PROVISIONED", "TZCLOSED": "TZ-CLOSED"}.get(wanted, wanted)
    if state := next((name for value, name in STATES.items() if wanted in (name, f"0X{value:02X}")), ""):
        return state, True
    raise InputError(f"{text[:20]!r} is no product state", advice="one of " + " ".join(TARGETS))


def _root(places: Sequence[Path]) -> tuple[Path, Path, str]:
    """Return the folder of the project, the folder with the procedures, and the one procedure that was named."""
    first = places[0]
    if not is_there(first):
        raise InputError("there is no such file or folder", source=str(first))
    folder = first.absolute() if is_folder(first) else first.absolute().parent
    if len(places) > 1 and not is_folder(first):
        folder = Path(os.path.commonpath([p.absolute().parent for p in places]))
    for up, at in enumerate((folder, folder.parent, folder.parent.parent)):
        if at.name.lower() == "rot_provisioning":
            only = _FOLDERS.get(folder.name.lower(), "") if up == 1 and is_folder(first) else ""
            return at.parent, at, only
    projects = folder / "Projects"
    tops = [folder, *(folder / n for n in folder_names(folder)), *(projects / n for n in folder_names(projects))]
    below = [t / "ROT_Provisioning" for t in tops if is_folder(t / "ROT_Provisioning")]
    if len(below) > 1:
        problem = f"holds the provisioning of {count_text(len(below), 'board')}"
        raise InputError(problem, source=str(first), advice=f"name one: {below[0]}")
    if below:
        return below[0].parent, below[0], ""
    if script_file(first):
        # A script alone: what it reaches upwards for belongs to its project.
        up = max((m.count("..") for m in _UPWARDS.findall(read_script(first, folder))), default=0)
        folder = [folder, *folder.parents][: min(up, 3) + 1][-1]
    return folder, folder, ""


def _items(places: Sequence[Path], root: Path, start: Path) -> list[Item]:
    if start != root:
        subs = ("Applications/ROT", "Templates/ROT", "Applications", "Boot", "OEMiROT_Boot")
        beside = [root / sub for sub in subs if is_folder(root / sub)][:1]
        paths = [path for at in (start, *beside) for path, _ in collect([at])] + list(filter(is_evidence, places[1:]))
    else:
        alone = len(places) == 1 and script_file(places[0])
        given = [places[0].absolute().parent] if alone else [p.absolute() for p in places]
        paths = [path for path, _ in collect(given)]
    out = []
    for path in dict.fromkeys(paths):
        inside = path.is_relative_to(root)
        name = path.relative_to(root).as_posix() if inside else str(path)
        try:
            out.append(recognise(path, name, inside=root if inside else None))
        except InputError as error:
            out.append(Item(path, name, "unknown", 0, b"", error.problem))
    return out


def _finder(root: Path) -> Callable[[Path], Path | None]:
    real = real_path(root)

    @cache
    def find(path: Path) -> Path | None:
        tries, parts = [path], path.parts
        if "Projects" in parts:
            # The scripts name the whole package; a project that was copied out of it keeps only its own part.
            at = len(parts) - 1 - parts[::-1].index("Projects")
            tries.append(root.joinpath(*parts[at + 2 :]))
        there = (each for each in tries if is_evidence(each) or is_folder(each))
        return next((each for each in there if real_path(each).is_relative_to(real)), None)

    return find


def other_case(path: Path) -> str:
    """Return the name of a file that differs from `path` in upper and lower case only, empty when there is none."""
    return next((n for n in folder_names(path.parent) if n.lower() == path.name.lower() and n != path.name), "")


def _chip_words(chip: str, board: StateBefore, root: Path, start: Path, items: Sequence[Item]) -> tuple[ChipWord, ...]:
    words = [ChipWord("given", "--chip", parts_called(chip))] if chip else []
    if words and not words[0].names:
        known = " ".join(p.name for p in _parts())
        raise InputError(f"{chip[:30]!r} is no part that is known here", advice=f"one of {known}")
    if board.dev_id is not None:
        ids = tuple(p.name for p in _parts() if p.dev_id == board.dev_id)
        # A part that is not among those that are provisioned is another part.
        words.append(ChipWord("dev-id", board.source, ids or (board.device or f"DEV_ID 0x{board.dev_id:03X}",)))
        exact = tuple(n for n in parts_called(board.device) if n in ids)
        if len(exact) == 1 and "/" not in board.device and "x" not in board.device.lower().replace("xx", ""):
            words.append(ChipWord("identity", board.source, exact))
    folders = [(f.name, parts_called(f.name)) for f in (root, *root.parents[:1], start)]
    return (*words, *[ChipWord("layout", name, names) for name, names in folders if names][:1])


def _procedures(items: Sequence[Item], start: Path, only: str, path: str) -> dict[str, tuple[Path, ...]]:
    asked = path.lower()
    if asked and asked not in PATHS:
        raise InputError(f"{path[:30]!r} is no path", advice="one of " + " ".join(PATHS))
    scripts = [i for i in items if i.kind == "script"]
    main = [i.path for i in scripts if i.path.stem.lower() == _MAIN and i.path.is_relative_to(start)]
    kinds = [(kind, p) for p in main if (kind := _FOLDERS.get(p.parent.name.lower()))]
    found = {kind: tuple(sorted((p for k, p in kinds if k == kind), reverse=True)) for kind, _ in kinds}
    if (asked or only) in found:
        return {asked or only: found[asked or only]}
    if asked and asked != "script":
        raise InputError(
            f"has no scripts of the path {path}", source=str(start), advice="there are: " + " ".join(found)
        )
    if found and not asked:
        return {kind: paths for kind, paths in found.items() if kind != "da" or len(found) == 1}
    own = _entries([i for i in scripts if i.path.stem.lower() not in _BACK])
    return {"script": tuple(own)} if own else {}


def _entries(scripts: Sequence[Item]) -> list[Path]:
    """Return the scripts that call the tool, themselves or through others, and that no other script calls."""
    named = [
        (i, name.replace("\\", "/").rsplit("/", 1)[-1].lower()) for i in scripts for name in _CALLED.findall(i.text)
    ]
    called = {name for i, name in named if name != i.path.name.lower()}
    using = {i.path.name.lower() for i in scripts if re.search(r"programmer_?cli", i.text, re.I)}
    return [
        i.path
        for i in scripts
        if i.path.name.lower() not in called
        and (i.path.name.lower() in using or any(name in i.text.lower() for name in using))
    ]
