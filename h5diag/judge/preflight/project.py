"""A provisioning set as a value: its folder, the part it is for, its procedures and what each script would do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

from h5diag.errors import InputError
from h5diag.evidence.door import folder_names, is_evidence, is_folder, is_there, read_evidence, real_path
from h5diag.evidence.texts import Log, parse_listing, parse_log
from h5diag.judge.preflight.inventory import Item, collect, recognise, settle
from h5diag.layout import Layout, parse_flash_layout
from h5diag.limits import LAYOUT, TEXT
from h5diag.sim.rehearse import TARGETS, PartTraits, Walk, WalkInputs, read_script, script_file, walk_script
from h5diag.tables import packaged

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
_MAIN = ("provisioning",)
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
    """One way through the set: its kind, its scripts and the walk of each.

    `stages` belong to `walks`; `asked` tells whether the target is an assumption.
    """

    path: str
    scripts: tuple[Path, ...]
    walks: tuple[Walk, ...]
    stages: tuple[WalkInputs, ...]


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
        for base in (self.root, real_path(self.root)):
            if real.is_relative_to(base):
                return real.relative_to(base).as_posix()
        return str(real)

    def item(self, path: Path) -> Item | None:
        """Return the recognised file at a path that a script names."""
        real = self.find(path)
        if real is None or not is_evidence(real):
            return None
        for i in self.items:
            if i.path == real:
                return i
        return recognise(real, self.name(real), inside=self.root)

    def layout(self, procedure: Procedure) -> tuple[Layout, str] | None:
        """Return the boot loader's layout of a procedure and the name of its file, None without one."""
        headers = [i for i in self.items if i.path.name.lower().endswith("flash_layout.h")]
        headers.sort(key=lambda i: ("boot" not in i.name.lower(), i.path.name.lower() != "flash_layout.h", i.name))
        for header in headers:
            if header.path.name.lower().startswith("appli_"):
                continue
            text = read_evidence(header.path, limit=LAYOUT, inside=self.root).data.decode("utf-8", "replace")
            define = "#define OEMUROT_ENABLE\n" if procedure.path == "stirot-oemurot" else ""
            return parse_flash_layout(define + text, source=header.name), header.name
        return None


@lru_cache(maxsize=1)
def _parts() -> tuple[dict[str, object], ...]:
    return tuple(packaged("judge/preflight/parts.toml")["parts"])


def parts_called(text: str) -> tuple[str, ...]:
    """Return the parts that a name speaks of: ``NUCLEO-H563ZI``, ``stm32h573ii``, ``STM32H563/573``."""
    low = re.sub(r"(h5\w\w)/(\d\d\d)", r"\1/h\2", text.lower())
    found = []
    for match in _PART.finditer(low):
        word = match[1] or match[0]
        found += [str(p["name"]) for p in _parts() if word in p["words"]]  # type: ignore[operator]
    return tuple(dict.fromkeys(found))


def flash_sizes(part: str) -> tuple[int, ...]:
    """Return the flash sizes in KiB that a part (or any of ``h563/h573``) can have."""
    return tuple(k for p in _parts() if p["name"] in part.split("/") for k in p["flash_kib"])  # type: ignore[attr-defined]


def _parts_with(dev_id: int) -> tuple[str, ...]:
    return tuple(str(p["name"]) for p in _parts() if p.get("dev_id") == dev_id)


def choose_part(words: Sequence[ChipWord]) -> tuple[PartTraits, str]:
    """Return the part that all sources allow, and who narrowed it; what sources disagree on follows the first."""
    allowed: tuple[str, ...] = ()
    known_by = "assumed"
    for word in words:
        if not word.names:
            continue
        if not allowed:
            allowed, known_by = word.names, word.known_by
        elif common := tuple(n for n in allowed if n in word.names):
            allowed = common
    rows = [p for p in _parts() if p["name"] in allowed]

    def agreed(key: str, default: bool | None) -> bool | None:
        values = {p.get(key, default) for p in rows}
        return bool(values.pop()) if len(values) == 1 and None not in values else None

    if not rows:
        return PartTraits("", None, True, True, None), known_by
    oem_words = rows[0].get("oem_words")
    part = PartTraits(
        "/".join(allowed),
        agreed("saes", None),
        agreed("trustzone", True) is not False,
        agreed("obk", True) is not False,
        agreed("stirot", None),
        oem_words if isinstance(oem_words, int) else None,
    )
    return part, known_by


def read_board(options: Path | None, log: Path | None) -> StateBefore:
    """Return what a listing and a log tell of the board before the step."""
    values: dict[str, int] = {}
    dev_id, device, source = None, "", ""
    texts = []
    for path in (options, log):
        if path is not None:
            data = read_evidence(path, limit=TEXT).data.decode("utf-8", "replace")
            texts.append((path, data))
    parsed = None
    for path, text in texts:
        listing = parse_listing(text)
        if path == options and not listing:
            raise InputError("holds no option byte", source=str(path), advice="give what -ob displ printed")
        values |= {f.name: f.value for f in listing.fields}
        found = parse_log(text)
        if path == log or parsed is None:
            parsed = found
        if found.banner.dev_id and found.banner.dev_id > 0:
            dev_id, source = found.banner.dev_id, path.name
            device = found.banner.device_name
        elif listing.device_id and listing.device_id > 0:
            dev_id, source = listing.device_id, path.name
    return StateBefore(values, parsed if log is not None else None, dev_id, device, source)


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
    items = _items(places, root, start)
    if not items:
        raise InputError(
            "holds no file of provisioning", source=str(places[0]), advice="name the ROT_Provisioning folder"
        )
    find = _finder(root)
    state, given = _target(target)
    words = _chip_words(chip, board, root, start, items)
    part, _ = choose_part(words)
    procedures = []
    for kind, scripts in _procedures(items, start, only, path).items():
        stages = tuple(_stage(root, find, part, state, board) for _ in scripts)
        walks = tuple(walk_script(s, g) for s, g in zip(scripts, stages, strict=True))
        if kind == "script" and not all(map(leads_back, walks)):
            walks = tuple(w for w in walks if not leads_back(w))
        if kind == "script" and (row := _in_a_row([w.script for w in walks], places)):
            stages = (replace(stages[0], before=row[:-1]),)
            walks = (walk_script(row[-1], stages[0]),)
        procedures.append(Procedure(kind, tuple(w.script for w in walks), walks, stages[: len(walks)]))
    if not given:
        state = _asked_state(procedures) or state
    named = {p.name: f"{w.script.name} {p.name}" for q in procedures for w in q.walks for s in w.steps for p in s.paths}
    return Project(root, settle(items, named), find, part, words, board, tuple(procedures), state, given)


def _in_a_row(scripts: Sequence[Path], places: Sequence[Path]) -> tuple[Path, ...]:
    """Return scripts that are run one after the other: named so, or numbered in one folder; none when it is not told."""
    given = tuple(p.absolute() for p in places if script_file(p))
    if len(scripts) < 2:
        return ()
    if set(given) >= set(scripts):
        return tuple(p for p in given if p in scripts)
    numbers = {s: int(m[0]) for s in scripts if (m := re.match(r"\d{1,3}", s.name))}
    alike = len({(s.parent, s.suffix.lower()) for s in scripts}) == 1
    if not alike or len(set(numbers.values())) < len(scripts):
        return ()
    return tuple(sorted(scripts, key=lambda s: numbers[s]))


def leads_back(walk: Walk) -> bool:
    """Tell whether a script opens a board again, or only asks it: nothing is closed by it."""
    return any(s.call.authentication for s in walk.steps) and walk.final is None


def _asked_state(procedures: Sequence[Procedure]) -> str:
    """Return the state that the scripts set without asking, empty when they ask or set none."""
    names = {v: k for k, v in TARGETS.items()}
    for walk in (w for q in procedures for w in q.walks):
        if walk.final is not None and not walk.asked:
            return names.get(walk.final.call.state or 0, "")
    return ""


def _stage(
    root: Path, find: Callable[[Path], Path | None], part: PartTraits, target: str, board: StateBefore
) -> WalkInputs:
    tzen = board.options.get("TZEN")
    on = part.trustzone and tzen != 0xC3
    return WalkInputs(root, part, target, dict(board.options), 0xED, on, find, lenient=True)


def _target(text: str) -> tuple[str, bool]:
    if not text:
        return "CLOSED", False
    wanted = text.strip().upper().replace("_", "-")
    wanted = {"IROT-PROVISIONED": "PROVISIONED", "TZCLOSED": "TZ-CLOSED"}.get(wanted, wanted)
    for name, value in (*TARGETS.items(), ("PROVISIONING", 0x17)):
        if wanted in (name, f"0X{value:02X}"):
            return name, True
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
    tops = [
        folder,
        *(folder / n for n in folder_names(folder)),
        *(folder / "Projects" / n for n in folder_names(folder / "Projects")),
    ]
    below = [t / "ROT_Provisioning" for t in tops if is_folder(t / "ROT_Provisioning")]
    if len(below) > 1:
        raise InputError(
            f"holds the provisioning of {len(below)} boards", source=str(first), advice=f"name one: {below[0]}"
        )
    if below:
        return below[0].parent, below[0], ""
    if script_file(first):
        # A script alone: what it reaches upwards for belongs to its project.
        up = max((m.count("..") for m in _UPWARDS.findall(read_script(first, folder))), default=0)
        for _ in range(min(up, 3)):
            folder = folder.parent
        return folder, folder, ""
    return folder, folder, ""


def _items(places: Sequence[Path], root: Path, start: Path) -> list[Item]:
    if start == root and len(places) == 1 and script_file(places[0]):
        found = collect([places[0].absolute().parent])
    elif start == root:
        found = collect([p.absolute() for p in places])
    else:
        found = collect([start])
        for sub in ("Applications/ROT", "Templates/ROT", "Applications", "Boot", "OEMiROT_Boot"):
            if is_folder(root / sub):
                found += collect([root / sub])
                break
        found += tuple((p, p.name) for p in places[1:] if is_evidence(p))
    out: dict[Path, Item] = {}
    for path, _ in found:
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        try:
            out.setdefault(path, recognise(path, name, inside=root if path.is_relative_to(root) else None))
        except InputError as error:
            out[path] = Item(path, name, "unknown", 0, b"", error.problem)
    return list(out.values())


def _finder(root: Path) -> Callable[[Path], Path | None]:
    real = real_path(root)

    @cache
    def find(path: Path) -> Path | None:
        tries = [path]
        parts = path.parts
        if "Projects" in parts:
            # The scripts name the whole package; a project that was copied out of it keeps only its own part.
            at = len(parts) - 1 - parts[::-1].index("Projects")
            tries.append(root.joinpath(*parts[at + 2 :]))
        for each in tries:
            if (is_evidence(each) or is_folder(each)) and real_path(each).is_relative_to(real):
                return each
        return None

    return find


def other_case(path: Path) -> str:
    """Return the name of a file that differs from `path` in upper and lower case only, empty when there is none."""
    return next((n for n in folder_names(path.parent) if n.lower() == path.name.lower() and n != path.name), "")


def _chip_words(chip: str, board: StateBefore, root: Path, start: Path, items: Sequence[Item]) -> tuple[ChipWord, ...]:
    words = []
    if chip:
        names = parts_called(chip)
        if not names:
            raise InputError(
                f"{chip[:30]!r} is no part that is known here",
                advice="one of " + " ".join(str(p["name"]) for p in _parts()),
            )
        words.append(ChipWord("given", "--chip", names))
    if board.dev_id is not None:
        names = parts_called(board.device)
        ids = _parts_with(board.dev_id)
        words.append(ChipWord("dev-id", board.source, ids))
        exact = tuple(n for n in names if n in ids)
        if len(exact) == 1 and "/" not in board.device and "x" not in board.device.lower().replace("xx", ""):
            words.append(ChipWord("identity", board.source, exact))
    for folder in (root, *root.parents[:1], start):
        if names := parts_called(folder.name):
            words.append(ChipWord("layout", folder.name, names))
            break
    return tuple(words)


def _procedures(items: Sequence[Item], start: Path, only: str, path: str) -> dict[str, tuple[Path, ...]]:
    if path and path.lower() not in PATHS:
        raise InputError(f"{path[:30]!r} is no path", advice="one of " + " ".join(PATHS))
    scripts = [i for i in items if i.kind == "script"]
    found: dict[str, list[Path]] = {}
    for item in scripts:
        kind = _FOLDERS.get(item.path.parent.name.lower(), "")
        if kind and item.path.stem.lower() in _MAIN and item.path.is_relative_to(start):
            found.setdefault(kind, []).append(item.path)
    wanted = path.lower() or only
    if wanted and wanted in found:
        return {wanted: tuple(sorted(found[wanted], reverse=True))}
    if path and path.lower() != "script":
        raise InputError(
            f"has no scripts of the path {path}", source=str(start), advice="there are: " + " ".join(found)
        )
    if len(found) > 1:
        found.pop("da", None)
    if found and path.lower() != "script":
        return {k: tuple(sorted(v, reverse=True)) for k, v in found.items()}
    own = _entries([i for i in scripts if i.path.stem.lower() not in _BACK])
    return {"script": tuple(own)} if own else {}


def _entries(scripts: Sequence[Item]) -> list[Path]:
    """Return the scripts that call the tool, themselves or through others, and that no other script calls."""
    called = {
        name.replace("\\", "/").rsplit("/", 1)[-1].lower()
        for i in scripts
        for name in _CALLED.findall(i.text)
        if name.replace("\\", "/").rsplit("/", 1)[-1].lower() != i.path.name.lower()
    }
    using = {i.path.name.lower() for i in scripts if re.search(r"programmer_?cli", i.text, re.I)}

    def uses(item: Item) -> bool:
        return item.path.name.lower() in using or any(name in item.text.lower() for name in using)

    return [i.path for i in scripts if i.path.name.lower() not in called and uses(i)]
