"""The world that a script sees while it is walked: files that it may read, what it writes kept in memory, its prompts.

Nothing of a script is ever executed: no process, no file written, no socket. Commands of the shell that only move
text about are answered here; STM32CubeProgrammer's calls go to the model of the chip; everything else stops the walk
with file and line.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath

from h5diag.errors import InputError
from h5diag.evidence.door import folder_names, is_evidence, is_folder, read_evidence
from h5diag.evidence.keys import looks_like_xml, parse_provisioning_xml
from h5diag.limits import (
    PATTERN_TRIES,
    SCRIPT,
    SCRIPT_DEPTH,
    SCRIPT_PROMPTS,
    SCRIPT_STEPS,
    SCRIPT_TEXT,
    SCRIPT_WORDS,
    SCRIPT_WORK,
)

UNKNOWN = "\x00"
"""Stands in a text for what the walk cannot know; a condition or a call that meets it stops the walk."""


CALL_STEPS = 20
"""A call of the programmer takes as long as so many other steps."""

_WORDS = re.compile(r"\w+|[^\w\s]")


PROGRAMMER = re.compile(r"stm32_?programmer_?cli(\.exe|\.sh)?$", re.I)
PACKAGER = re.compile(r"stm32trustedpackagecreator_?cli(\.exe|\.sh)?$", re.I)
_SILENT = frozenset(
    [
        "rm",
        "mkdir",
        "cp",
        "mv",
        "touch",
        "chmod",
        "sleep",
        "clear",
        "cls",
        "title",
        "color",
        "chcp",
        "timeout",
        "mode",
        "ping",
        "tput",
        "stty",
        "wait",
        "sync",
        "ulimit",
        "umask",
        "shopt",
        "hash",
        "alias",
        "unalias",
        "ls",
        "dir",
        "del",
        "erase",
        "copy",
        "move",
        "md",
        "rd",
        "ren",
        "attrib",
    ]
)


class Stop(Exception):
    """The walk ends here: what is not modelled, or what never ends."""

    def __init__(self, reason: str, file: Path, line: int) -> None:
        self.reason, self.file, self.line = reason, file, line
        super().__init__(f"{file.name}, line {line}: {reason}")


class _End(Exception):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class ScriptExit(_End):
    """``exit``: ends the script, or the sub-shell that it runs in."""


class FunctionReturn(_End):
    """``return`` of a function or a sourced file, and ``exit /b``."""


@dataclass(frozen=True, slots=True)
class Word:
    """An argument as a program gets it; `quoted` tells whether quotes kept it in one piece."""

    text: str
    quoted: bool = False


Runner = Callable[[tuple[Word, ...], Path, int], tuple[int, str]]
"""Answers a call of STM32CubeProgrammer with its exit status and what it prints."""

Answer = Callable[[str, str], str]
"""Answers a prompt: its text and the variable asked for, empty where any key will do."""


@dataclass
class ScriptWorld:
    """What one walk shares between its scripts.

    `root` is the folder that no file is read outside of; `find` maps a path that the script names to the file or
    folder that is meant, None where there is none; `sources` tells which scripts were read, `missing` which were
    named and are not there.
    """

    root: Path
    find: Callable[[Path], Path | None]
    programmer: Runner
    answer: Answer
    assumed: Callable[[Path], bool] = lambda path: False
    overlay: dict[str, str] = field(default_factory=dict)
    sources: dict[Path, str] = field(default_factory=dict)
    prompts: list[str] = field(default_factory=list)
    missing: list[tuple[Path, Path, int]] = field(default_factory=list)
    steps: int = 0
    calls: int = 0
    characters: int = 0
    depth: int = 0

    def tick(self, file: Path, line: int) -> None:
        """Count a step; a walk that takes too many never ends."""
        self.steps += 1
        if self.steps > SCRIPT_STEPS:
            raise Stop("goes round for ever", file, line)
        if self.steps * self.calls > SCRIPT_WORK:
            raise Stop("calls the programmer as if it went round for ever", file, line)

    def spend(self, size: int, file: Path, line: int) -> None:
        """Count the characters of a text before it is made."""
        self.characters += size
        if self.characters > SCRIPT_TEXT:
            raise Stop("makes longer and longer texts", file, line)

    def known(
        self, text: str, file: Path, line: int, why: str = "a condition hangs on what cannot be known from the files"
    ) -> str:
        """Return `text`, or end the walk when it cannot be known."""
        if UNKNOWN in text:
            raise Stop(why, file, line)
        return text

    @contextmanager
    def deeper(self, file: Path, line: int) -> Iterator[None]:
        """Count a call of a function or script into another, for as long as it runs."""
        self.depth += 1
        if self.depth > SCRIPT_DEPTH:
            raise Stop("calls itself again and again without end", file, line)
        try:
            yield
        finally:
            self.depth -= 1

    def exists(self, path: Path) -> bool:
        """Tell whether the script would find a file or folder there."""
        return str(path) in self.overlay or self.find(path) is not None or self.assumed(path)

    def is_folder(self, path: Path) -> bool:
        """Tell whether the script would find a folder there."""
        found = self.find(path)
        return found is not None and is_folder(found)

    def names(self, folder: Path, pattern: str) -> list[str]:
        """Return the names in a folder that a wildcard takes in, sorted as the shells do."""
        found = self.find(folder)
        there = folder_names(found) if found is not None and is_folder(found) else []
        return sorted(n for n in there if not n.startswith(".") and fnmatch.fnmatch(n, pattern))

    @contextmanager
    def script(self, path: Path, file: Path, line: int) -> Iterator[str]:
        """Give the text of another script, which is walked within the ``with``."""
        text = self.overlay.get(str(path))
        if text is None:
            try:
                found = self.find(path)
                if found is None:
                    self.missing.append((path, file, line))
                    raise Stop(f"{path.name} is not there", file, line)
                text = self.sources[found] = self.sources.get(found) or read_script(found, self.root)
            except InputError as error:
                raise Stop(str(error), file, line) from None
        with self.deeper(file, line):
            yield text

    def say(self, text: str) -> None:
        """Keep what the script tells the person, as far as a later question may be about it."""
        self.prompts.append(text[-(1 << 12) :])
        del self.prompts[:-SCRIPT_PROMPTS]

    def write(self, path: Path, text: str, *, append: bool) -> None:
        """Keep what a redirection writes; later reads of this walk see it, the disk does not."""
        if len(self.overlay) < 1000:
            key = str(path)
            self.overlay[key] = ((self.overlay.get(key, "") if append else "") + text)[-(1 << 16) :]

    def run(self, argv: tuple[Word, ...], cwd: Path, file: Path, line: int, stdin: str = "") -> tuple[int, str]:
        """Answer a program that is no word of the shell itself."""
        words = [w.text for w in argv]
        name = PurePosixPath(words[0].replace("\\", "/")).name
        low = name.lower().removesuffix(".exe")
        if not name:
            raise Stop("runs a program without a name: its variable is defined nowhere", file, line)
        if PROGRAMMER.search(name):
            self.known(" ".join(words), file, line, "an argument of this call cannot be known")
            self.calls += 1
            self.steps += CALL_STEPS
            return self.programmer(argv, file, line)
        if PACKAGER.search(name) or low in _SILENT:
            return 0, ""
        if any(w.replace("\\", "/").endswith(("AppliCfg.py", "AppliCfg.exe")) for w in words[:3]):
            return self._configure(words, cwd)
        if low in ("python", "python3", "py") and words[1:] in (["--version"], ["-V"]):
            return 0, "Python 3.11.0\n"
        answered = _text_tool(self, low, words[1:], cwd, stdin)
        if answered is None:
            raise Stop(f"{name[:40]} is not modelled", file, line)
        return answered

    def _configure(self, words: list[str], cwd: Path) -> tuple[int, str]:
        """ST's AppliCfg copies values between XML, scripts and headers; ``-sr`` leaves one in a file."""
        options = dict(pairwise(words))
        target = options.get("-sr")
        if target is not None:
            self.write(cwd / target, UNKNOWN, append=False)
            xml = options.get("-xml", options.get("--xml", ""))
            source = self.find(normal(cwd, xml.replace("\\", "/")))
            name = options.get("-nxml", options.get("--name", options.get("-n", "")))
            if source is not None:
                data = read_evidence(source, limit=SCRIPT, inside=self.root).data
                if looks_like_xml(data):
                    value = parse_provisioning_xml(data, source=source.name).value(name)
                    if value is not None:
                        self.write(cwd / target, f"{value}\n", append=False)
        return 0, ""


def normal(cwd: Path, text: str) -> Path:
    """Return the path that a script means by `text`, without looking at the disk."""
    parts: list[str] = []
    path = PurePosixPath(text)
    whole = path if path.is_absolute() else PurePosixPath(cwd.as_posix()) / path
    for part in whole.parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    return Path(*parts) if parts else Path("/")


def read_script(path: Path, root: Path) -> str:
    """Return a script's text with line ends of one kind; not UTF-8 bytes become marks of their own."""
    return script_text(read_evidence(path, limit=SCRIPT, inside=root).data, str(path))


def script_text(data: bytes, source: str) -> str:
    """Return the text of a script's bytes; InputError when it has so many words that no tree is made of them."""
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    if sum(1 for _ in _WORDS.finditer(text)) > SCRIPT_WORDS:
        raise InputError(f"has more than {SCRIPT_WORDS:,} words and signs, so no provisioning script", source=source)
    return text


def _text_tool(world: ScriptWorld, name: str, words: list[str], cwd: Path, stdin: str) -> tuple[int, str] | None:
    """Answer the small programs that scripts move text about with; None for any other program."""
    plain = [w for w in words if not w.startswith("-")]
    match name:
        case "uname":
            return 0, "Linux\n"
        case "pwd":
            return 0, f"{cwd.as_posix()}\n"
        case "dirname":
            return 0, f"{PurePosixPath(plain[-1]).parent if plain else '.'}\n"
        case "basename":
            base = PurePosixPath(plain[0]).name if plain else ""
            return 0, (base.removesuffix(plain[1]) if len(plain) > 1 else base) + "\n"
        case "readlink" | "realpath":
            return 0, f"{normal(cwd, plain[-1]).as_posix() if plain else ''}\n"
        case "date" | "whoami" | "hostname" | "id" | "mktemp" | "nproc":
            return 0, UNKNOWN + "\n"
        case "cat" | "type" | "tee" | "head" | "tail" | "more" | "less" | "sort":
            if name == "tee":
                for target in plain:
                    world.write(normal(cwd, target), stdin, append="-a" in words)
                return 0, stdin
            names = [w for w in plain if not w.isdigit()]
            return (0, stdin) if not names else _contents(world, names, cwd)
        case "which" | "where":
            return 0, f"{plain[0] if plain else ''}\n"
        case "tr":
            return 0, _translated(stdin, words)
        case "grep" | "egrep" | "fgrep" | "find" | "findstr":
            return _searched(world, words, cwd, stdin)
        case "sed" | "awk" | "cut" | "wc" | "xargs" | "diff" | "cmp" | "sha256sum" | "md5sum" | "xxd" | "od" | "stat":
            return 0, UNKNOWN + "\n"
    return None


def _contents(world: ScriptWorld, names: list[str], cwd: Path) -> tuple[int, str]:
    out = ""
    for name in names:
        path = normal(cwd, name)
        if len(out) > 1 << 20:
            return 0, UNKNOWN
        if str(path) in world.overlay:
            out += world.overlay[str(path)]
        elif world.find(path) is None:
            return 1, out
        else:
            out += UNKNOWN
    return 0, out


def _translated(stdin: str, words: list[str]) -> str:
    sets = " ".join(w for w in words if not w.startswith("-"))
    first = sets.split(" ")[0]
    if "lower" in first or first in ("a-z", "[a-z]"):
        return stdin.upper()
    if "upper" in first or first in ("A-Z", "[A-Z]"):
        return stdin.lower()
    if "-d" in words:
        drop = sets.replace("\\r", "\r").replace("\\n", "\n")
        return "".join(c for c in stdin if c not in drop)
    return stdin if not stdin.strip() else UNKNOWN


def _searched(world: ScriptWorld, words: list[str], cwd: Path, stdin: str) -> tuple[int, str] | None:
    flags = "".join(w.lstrip("-/") for w in words if w.startswith(("-", "/")) and len(w) < 6)
    patterns = [words[i + 1] for i, w in enumerate(words[:-1]) if w in ("-e", "-E")]
    rest = [w for w in words if not w.startswith(("-", "/")) and w not in patterns]
    if not patterns and rest:
        patterns, rest = [rest[0]], rest[1:]
    text = stdin if not rest else _contents(world, rest, cwd)[1]
    lines = text.splitlines()
    if UNKNOWN in text:
        return 0, UNKNOWN
    if not all(may_search(p, lines) for p in patterns):
        return None
    kinds = re.I if "i" in flags.lower() else 0
    found = [n for n in lines if any(re.search(p, n, kinds) for p in patterns) != ("v" in flags)]
    return (0 if found else 1), "" if "q" in flags else "".join(f"{line}\n" for line in found)


def may_search(pattern: str, lines: Sequence[str]) -> bool:
    """Tell whether a script's own pattern is one, and ends soon: nothing repeated within what is repeated."""
    repeats = len(re.findall(r"(?<!\\)(?:\\\\)*[*+{]", pattern))
    if re.search(r"\)[*+?{]", pattern) or sum((len(n) + 1) ** (repeats + 1) for n in lines) > PATTERN_TRIES:
        return False
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def script_file(path: Path) -> bool:
    """Tell whether a file is a script that can be walked, by its name."""
    return path.suffix.lower() in (".sh", ".bat", ".cmd", ".bash") and is_evidence(path)
