"""A Windows batch script (.bat), followed by a parser and evaluator of our own.

A logical line is a command, or a block in parentheses; ``%NAME%`` is replaced when the whole of it is read and
``!NAME!`` when each command runs, as cmd.exe does, so a script that tests a stale ``%errorlevel%`` goes wrong here too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from h5diag.limits import SCRIPT_DEPTH
from h5diag.sim.rehearse.batch_words import (
    batch_words,
    branches,
    closed_block,
    commands,
    compare,
    cut_line,
    for_value,
    path_text,
    pipeline,
    redirected,
    structure,
    token,
)
from h5diag.sim.rehearse.world import (
    UNKNOWN,
    FunctionReturn,
    ScriptExit,
    ScriptWorld,
    Stop,
    Word,
    normal,
)
from h5diag.text import whole_number

_PERCENT = re.compile(
    r"%%|%~([a-z]*)([0-9])|%([0-9*])|%([A-Za-z_][\w.()-]*)(?::([^%]*?))?%|%~?([a-z]*)~?:?\$?PATH:?[0-9]?", re.I
)
_DELAYED = re.compile(r"!([A-Za-z_][\w.()-]*)(?::([^!]*?))?!")
_IF = re.compile(r"if\b\s*(/i\b\s*)?(not\b\s*)?", re.I)
_OPERAND = r"(\"[^\"]*\"|\[[^\]]*\]|{0}+)"
_COMPARED = re.compile(
    _OPERAND.format(r"[^\s=]") + r"\s*(==|\b(?:equ|neq|lss|leq|gtr|geq)\b)\s*" + _OPERAND.format(r"\S") + r"\s*", re.I
)
_FOR = re.compile(r"for\s+(/\w\s+)?(?:\"([^\"]*)\"\s+)?%(?:\x02)?([A-Za-z])\s+in\s*\((.*?)\)\s*do\s*(.*)$", re.I | re.S)
_LISTED = re.compile(r"\"[^\"]*\"|[^\s,;=]+")
_QUIET = frozenset(
    [
        "rem",
        "title",
        "color",
        "cls",
        "chcp",
        "timeout",
        "ping",
        "mode",
        "prompt",
        "break",
        "ver",
        "verify",
        "path",
        "assoc",
    ]
)


_CMD_LINE = 8191
"""Characters of a line; cmd.exe takes no more."""


@lru_cache(maxsize=32)
def _numbered(text: str) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the lines of a script, and where each label stands first; a script may call itself a thousand times."""
    lines = tuple(text.split("\n"))
    labels = [(i, re.match(r"\s*:([^\s:]+)", line)) for i, line in enumerate(lines)]
    return lines, {label[1].lower(): i for i, label in reversed(labels) if label}


class _Goto(Exception):
    def __init__(self, label: str, line: int) -> None:
        self.label, self.line = label, line
        super().__init__(label)


class Batch:
    """One cmd.exe process; a script called from it shares its variables."""

    def __init__(
        self, world: ScriptWorld, script: Path, arguments: tuple[str, ...] = (), cwd: Path | None = None
    ) -> None:
        self.world, self.script, self.file = world, script, script
        self.cwd = cwd or script.parent
        self.arguments = arguments
        self.variables: dict[str, str] = {"os": "Windows_NT", "comspec": "cmd.exe"}
        self.status = 0
        self.delayed = False
        self.lines: tuple[str, ...] = ()
        self.labels: dict[str, int] = {}
        self.line = 0

    def run(self) -> int:
        """Walk the script from its first line and return its exit status."""
        try:
            self._file(self.script, self.arguments, 1)
        except ScriptExit as stop:
            self.status = stop.status
        return self.status

    def _file(self, path: Path, arguments: tuple[str, ...], line: int, label: str = "") -> None:
        kept = self.file, self.arguments, self.lines, self.labels, self.delayed
        with self.world.script(path, self.file, line) as text:
            self.file, self.arguments = path, arguments
            self.lines, self.labels = _numbered(text)
            try:
                self._lines(self._label(label, line) if label else 0)
            except FunctionReturn as back:
                self.status = back.status
            finally:
                self.file, self.arguments, self.lines, self.labels, self.delayed = kept

    def _label(self, name: str, line: int) -> int:
        wanted = name.strip().strip(":").lower()
        if wanted in self.labels:
            return self.labels[wanted]
        raise Stop(f"there is no label :{wanted[:40]}", self.file, line)

    def _lines(self, at: int) -> None:
        while at < len(self.lines):
            number = at + 1
            self.world.tick(self.file, number)
            self.line = number
            text, at = self._logical(at)
            bare = text.strip().lstrip("@").strip()
            if not bare or bare.startswith(":"):
                continue
            try:
                self._block(self._percent(bare, number), number)
            except _Goto as jump:
                if jump.label.lower().lstrip(":") == "eof":
                    return
                at = self._label(jump.label, jump.line)

    def _logical(self, at: int) -> tuple[str, int]:
        """Return one command with its blocks, and the number of the line behind it."""
        text, part, depth = "", "", 0
        while at < len(self.lines):
            line = self.lines[at]
            at += 1
            bare = line.strip()
            if text and bare.lower().startswith(("rem ", "::")):
                line = ""
            part += line
            self.world.spend(len(part), self.file, at)
            inside = depth + sum(step for _, step in structure(part, depth))
            if inside > SCRIPT_DEPTH:
                raise Stop("is nested too deeply", self.file, at)
            if line.endswith("^"):
                text, part = text + line[:-1], part[:-1]
            elif inside > 0:
                text, part, depth = text + line + "\n", "", inside
            else:
                text += line
                break
        return text, at

    # ------------------------------------------------------------------------------------------- variables
    def _percent(self, text: str, line: int) -> str:
        def value(m: re.Match[str]) -> str:
            if m[0] == "%%":
                return "%\x02"
            if m[2] is not None:
                return self._argument(m[1].lower(), int(m[2]))
            if m[3] is not None:
                return " ".join(map(self._modified, self.arguments)) if m[3] == "*" else self._argument("", int(m[3]))
            if m[4] is not None:
                return self._modified(self._variable(m[4]), m[5])
            return m[0]

        # cmd.exe drops a percent sign that is left over, as in %1%.
        return re.sub("%(?!\x02)", "", _PERCENT.sub(value, text))

    def _argument(self, how: str, index: int) -> str:
        value = str(self.file) if index == 0 else self.arguments[index - 1] if index <= len(self.arguments) else ""
        self.world.spend(len(value), self.file, self.line)
        if "d" in how and "p" in how:
            return str(normal(self.cwd, value.strip('"').replace("\\", "/")).parent).rstrip("/") + "/"
        return value.strip('"') if how or (value.startswith('"') and how == "" and index == 0) else value

    def _variable(self, name: str) -> str:
        match name.lower():
            case "errorlevel":
                return str(self.status)
            case "cd":
                return str(self.cwd)
            case "random" | "date" | "time" | "username" | "userprofile" | "temp" | "tmp":
                return UNKNOWN
        return self.variables.get(name.lower(), "")

    def _modified(self, value: str, how: str | None = None) -> str:
        self.world.spend(len(value) * len(how or "."), self.file, self.line)
        if not how or UNKNOWN in value:
            return value
        if how.startswith("~"):
            start, _, size = how[1:].partition(",")
            return value[whole_number(start) or 0 :][: whole_number(size)]
        old, equals, new = how.partition("=")
        if not equals or not old:
            return value
        return re.sub(re.escape(old), lambda _: new, value, flags=re.I)

    def _late(self, text: str) -> str:
        text = text.replace("%\x02", "%")
        if not self.delayed:
            return text
        return _DELAYED.sub(lambda m: self._modified(self._variable(m[1]), m[2]), text)

    # ------------------------------------------------------------------------------------------- commands
    def _block(self, text: str, line: int) -> None:
        self.world.spend(len(text), self.file, line)
        for command, after in commands(text):
            bare = command.strip().lstrip("@").strip()
            self.world.tick(self.file, line + command.count("\n", 0, len(command) - len(command.lstrip())))
            if bare:
                self._one(bare, line)
            line += command.count("\n") + (after == "\n")
            if (after == "&&" and self.status) or (after == "||" and not self.status):
                return

    def _one(self, text: str, line: int) -> None:
        low = text.lower()
        if text.startswith("("):
            self._block(closed_block(text)[0], line)
            return
        if low.startswith((":", ")")) or re.match(r"rem\b", low):
            return
        if _IF.match(text) and re.match(r"if\b", low):
            self._if(text, line)
            return
        if re.match(r"for\b", low):
            self._for(text, line)
            return
        if source := re.match(r"set\s+/p\s+\"?(\w+)\"?=\s*<\s*(\S+)$", text.strip(), re.I):
            # ``set /p NAME=<file`` takes the first line of what was written before.
            self.variables[source[1].lower()] = self._first_line(self._late(source[2])).strip()
            return
        text, target, append = redirected(self._late(text))
        parts = pipeline(text)
        if len(parts) > 1:
            stdin = ""
            for part in parts:
                stdin = self._simple(part.strip(), line, stdin)
            return
        output = self._simple(text.strip(), line, "")
        if target and UNKNOWN not in target and target.lower() not in ("nul", "con"):
            self.world.write(normal(self.cwd, path_text(target)), output, append=append)

    def _first_line(self, path: str) -> str:
        return self.world.overlay.get(str(normal(self.cwd, path_text(path))), UNKNOWN).split("\n", 1)[0]

    def _if(self, text: str, line: int) -> None:
        match = _IF.match(text)
        assert match is not None
        rest = text[match.end() :]
        negated, low = bool(match[2]), rest.lower()
        ignore = bool(match[1]) or bool(re.match(r"/i\b", low))
        if re.match(r"/i\b", low):
            rest = rest[2:].lstrip()
            low = rest.lower()
        if low.startswith("exist "):
            name, rest = token(rest[6:])
            holds = self.world.exists(normal(self.cwd, path_text(self.world.known(self._late(name), self.file, line))))
        elif low.startswith("defined "):
            name, rest = token(rest[8:])
            holds = bool(self.variables.get(name.lower()))
        elif match_level := re.match(r"errorlevel\s+(\d+)\s*", low):
            holds, rest = self.status >= int(match_level[1]), rest[match_level.end() :]
        elif compared := _COMPARED.match(rest):
            a, b = (self.world.known(self._late(compared[i]), self.file, line) for i in (1, 3))
            holds, rest = compare(a, compared[2].lower(), b, ignore), rest[compared.end() :]
        else:
            raise Stop("this condition would end the script with a syntax error", self.file, line)
        begin = line + text.count("\n", 0, len(text) - len(rest))
        yes, no = branches(rest)
        if holds != negated:
            self._block(yes, begin)
        elif no:
            self._block(no, begin + rest.count("\n", 0, len(rest) - len(no)))

    def _for(self, text: str, line: int) -> None:
        match = _FOR.match(text)
        if match is None:
            raise Stop("this loop is not modelled", self.file, line)
        how, form, name, inside, body = match.groups()
        how = (how or "").strip().lower()
        if how == "/f":
            values = cut_line(self._source_line(inside.strip(), line), form or "")
            for i, value in enumerate(values):
                body = for_value(body, chr(ord(name) + i), value)
            self._block(body, line)
            return
        values = [v for part in _LISTED.findall(inside) for v in self._listed(self._late(part))]
        if how == "/l":
            numbers = [int(n) for n in re.findall(r"-?[0-9]{1,10}", inside)]
            step = numbers[1] if len(numbers) == 3 else 0
            counted = range(numbers[0], numbers[2] + (step > 0) - (step < 0), step)[:1000] if step else ()
            values = [str(n) for n in counted]
        for value in values:
            self._block(for_value(body, name, value), line)

    def _listed(self, text: str) -> list[str]:
        """Return an entry of a loop's list: itself, or the files that its wildcard takes in."""
        if UNKNOWN in text or not set(text) & {"*", "?"}:
            return [text]
        path = normal(self.cwd, path_text(text))
        found = self.world.names(path.parent, path.name)
        return [
            f'"{text[: len(text) - len(path.name)]}{n}"' if " " in n else f"{path_text(text)[: -len(path.name)]}{n}"
            for n in found
        ]

    def _source_line(self, inside: str, line: int) -> str:
        """Return the first line that ``for /f`` reads: of a text in quotes, of a command, or of a file."""
        if inside.startswith('"'):
            return self._late(inside.strip('"'))
        if inside.startswith("'"):
            kept = self.status
            command, _, _ = redirected(inside.strip("'").replace("^", ""))
            try:
                return self._simple(self._late(command.strip()), line, "").split("\n", 1)[0]
            except Stop:
                return UNKNOWN
            finally:
                self.status = kept
        return self._first_line(self._late(inside))

    def _simple(self, text: str, line: int, stdin: str) -> str:
        """Run one command and return what it prints."""
        words = batch_words(text)
        if not words:
            return ""
        first = words[0].text.lower()
        if first.startswith("echo") and first != "echoes" and (first == "echo" or not first[4:5].isalnum()):
            said = text[5:]
            self.world.say(said)
            return said + "\n"
        if first in _QUIET or first in ("setlocal", "endlocal"):
            if first == "setlocal" and "enabledelayedexpansion" in text.lower():
                self.delayed = True
            return ""
        match first:
            case "set":
                self._set(text[3:].strip(), line)
                return ""
            case "goto":
                raise _Goto(words[1].text if len(words) > 1 else "eof", line)
            case "exit":
                rest = [w.text for w in words[1:] if w.text.lower() != "/b"]
                given = whole_number(rest[0]) if rest else None
                status = self.status if given is None else given
                if any(w.text.lower() == "/b" for w in words[1:]):
                    raise FunctionReturn(status)
                raise ScriptExit(status)
            case "pause" | "cmd" | "cmd.exe":
                if first == "pause":
                    self.world.answer("\n".join(self.world.prompts[-8:]), "")
                elif len(words) > 2 and words[1].text.lower() == "/c":
                    return self._simple(" ".join(f'"{w.text}"' if w.quoted else w.text for w in words[2:]), line, "")
                return ""
            case "cd" | "chdir" | "pushd":
                self._enter([w.text for w in words[1:] if w.text.lower() != "/d"])
                return ""
            case "popd" | "shift":
                self.arguments = self.arguments[1:] if first == "shift" else self.arguments
                return ""
            case "call" | "start":
                return self._called(words, text, line, first == "start")
        path = path_text(words[0].text)
        self.world.known(path, self.file, line, "which program this line runs cannot be known")
        if path.lower().endswith((".bat", ".cmd")):
            # without CALL the called script does not come back
            self._other(path, tuple(w.text for w in words[1:]), line)
            raise ScriptExit(self.status)
        self.status, output = self.world.run(tuple(words), self.cwd, self.file, line, stdin)
        return output

    def _called(self, words: list[Word], text: str, line: int, start: bool) -> str:
        rest = [w for w in words[1:] if not (start and w.text.lower() in ("/w", "/wait", "/b", "call", "cmd", "/c"))]
        if start and rest and rest[0].quoted and not rest[0].text.lower().endswith((".bat", ".cmd")):
            rest = rest[1:]  # the title of the window
        if not rest:
            return ""
        target = rest[0].text
        arguments = tuple(w.text for w in rest[1:])
        if target.startswith(":"):
            kept = self.delayed
            self._file(self.file, arguments, line, target)
            self.delayed = kept
        elif path_text(target).lower().endswith((".bat", ".cmd")):
            if start:
                child = Batch(self.world, normal(self.cwd, path_text(target)), arguments, self.cwd)
                child.variables, child.file = dict(self.variables), self.file
                self.status = child.run()
            else:
                self._other(path_text(target), arguments, line)
        else:
            at = text.lower().index(target.lower()) if target.lower() in text.lower() else 0
            return self._simple(self._percent(text[at:], line), line, "")
        return ""

    def _other(self, path: str, arguments: tuple[str, ...], line: int) -> None:
        script = normal(self.cwd, path)
        self.world.known(path, self.file, line, "which script is called cannot be known")
        if not self.world.exists(script):
            self.world.missing.append((script, self.file, line))
            self.status = 1
            return
        self.status = 0
        self._file(script, arguments, line)

    def _enter(self, names: list[str]) -> None:
        if names:
            path = normal(self.cwd, path_text(names[0]))
            self.status = int(not self.world.is_folder(path))
            self.cwd = self.cwd if self.status else self.world.find(path) or path

    def _set(self, text: str, line: int) -> None:
        how = text[:2].lower()
        if how in ("/p", "/a"):
            text = text[2:].strip().strip('"')
        elif text.startswith('"'):
            text = text[1 : text.rfind('"')] if text.rfind('"') > 0 else text[1:]
        name, equals, value = text.partition("=")
        name, key = name.strip(), name.strip().lower()
        if how == "/p":
            self.variables[key] = self.world.answer(value or "".join(self.world.prompts[-1:]), name)
        elif how == "/a":
            value = re.sub(
                r"[A-Za-z_]\w*", lambda m: m[0] if m[0].lower().startswith("0x") else self._variable(m[0]) or "0", value
            )
            if simple := re.fullmatch(r"\s*(\d{1,10})\s*([+\-*])\s*(\d{1,10})\s*", value):
                a, b = int(simple[1]), int(simple[3])
                value = str({"+": a + b, "-": a - b, "*": a * b}[simple[2]])
            self.variables[key] = UNKNOWN if whole_number(value) is None else value.strip()
        elif len(value) > _CMD_LINE:
            raise Stop("sets a value that is longer than cmd.exe takes", self.file, line)
        elif value:
            self.variables[key] = value.rstrip("\n")
        elif equals:
            self.variables.pop(key, None)
