"""The words of a Windows batch script: blocks, branches, redirections and arguments, as cmd.exe splits them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from h5diag.sim.rehearse.world import UNKNOWN, Word


def path_text(text: str) -> str:
    """Return a path as it is looked up: without quotes, with slashes."""
    return text.replace('"', "").replace("\\", "/").strip()


def structure(text: str, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Yield ``(index, +1 or -1)`` of the parentheses that open and close blocks, as cmd.exe sees them, within `depth`.

    In what ``echo`` says an opening one is text, and a closing one still ends the block that it stands in.
    """
    quoted, start = False, 0
    for i, c in enumerate(text):
        if c == "\n":
            quoted, start = False, i + 1
        elif c == '"':
            quoted = not quoted
        elif quoted or (i and text[i - 1] == "^"):
            continue
        elif c in "&|":
            start = i + 1
        elif c in "()":
            command = text[start:i].strip(" \t@")
            if re.match(r"rem\b|::", command, re.I):
                continue
            opens = not re.match(r"echo\b", command, re.I) and (not command or text[i - 1] in ' \t(@)]"')
            if c == "(" and opens:
                depth, start = depth + 1, i + 1
                yield i, 1
            elif c == ")" and depth:
                depth -= 1
                yield i, -1


def closed_block(text: str) -> tuple[str, str]:
    """Return the inside of a block that begins `text`, and what follows it."""
    depth = 0
    for i, step in structure(text):
        depth += step
        if not depth:
            return text[1:i], text[i + 1 :]
    return text[1:], ""


def branches(text: str) -> tuple[str, str]:
    """Return what a condition runs when it holds, and when it does not."""
    bare = text.lstrip()
    if not bare.startswith("("):
        return text, ""
    inner, rest = closed_block(bare)
    match = re.match(r"\s*else\b\s*", rest, re.I)
    lead = "\n" * text[: len(text) - len(bare)].count("\n")
    return lead + inner, rest[match.end() :] if match else ""


_CONDITION = re.compile(r"\s*@?if\b", re.I)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Split a block into commands and the sign behind each: line end, ``&``, ``&&``, ``||``."""
    steps = dict(structure(text))
    start, depth, quoted, i = 0, 0, False, 0
    while i < len(text):
        c = text[i]
        depth += steps.get(i, 0)
        if c == "\n":
            quoted = False
            if not depth:
                yield text[start:i], "\n"
                start = i + 1
        elif c == '"':
            quoted = not quoted
        elif c in "&|" and not quoted and not depth and text[i - 1 : i] not in ("^", "<", ">"):
            pair = text[i : i + 2]
            sign = pair if pair in ("&&", "||") else "&" if c == "&" else ""
            # Behind a condition everything on the line belongs to it.
            if sign and not _CONDITION.match(text, start):
                yield text[start:i], sign
                start = i + len(sign)
            i += len(sign) - 1 if sign else 0
        i += 1
    yield text[start:], ""


def redirected(text: str) -> tuple[str, str, bool]:
    """Take the redirections off a command; return it, the file that standard output goes to, and whether it is added."""
    target, append = "", False

    def off(m: re.Match[str]) -> str:
        nonlocal target, append
        if m[1] not in ("2",) and not m[3].startswith("&"):
            target, append = m[3].strip('"'), m[2] == ">>"
        return " "

    outside = re.sub(r"(?<![\w^])([12]?)(>>|>)\s*(&[12]|\"[^\"]*\"|[^\s&|<>]+)", off, text) if ">" in text else text
    return re.sub(r"<\s*\S+", " ", outside) if re.match(r"(?!echo).*<\s*\S", outside, re.I) else outside, target, append


def pipeline(text: str) -> list[str]:
    """Split a command at its pipes; those in what ``echo`` shows as a choice are text."""
    if "|" not in text or re.match(r"echo\b.*\[.*\|.*\]", text, re.I):
        return [text]
    parts, quoted, start = [], False, 0
    for i, c in enumerate(text):
        if c == '"':
            quoted = not quoted
        elif c == "|" and not quoted and text[i - 1 : i] != "^":
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def batch_words(text: str) -> list[Word]:
    """Split a command into arguments as Windows programs do."""
    out: list[Word] = []
    current, quoted, was, any_text = "", False, False, False
    for c in text:
        if c == '"':
            quoted, was, any_text = not quoted, True, True
        elif c in " \t\n;," and not quoted and not (c in ";," and out):
            if any_text:
                out.append(Word(current, was))
            current, was, any_text = "", False, False
        elif c == "^" and not quoted:
            continue
        else:
            current, any_text = current + c, True
    if any_text:
        out.append(Word(current, was))
    return out


def for_value(body: str, letter: str, value: str) -> str:
    """Put the value of a loop into its body; ``%%~nxA`` takes the last part of a path."""

    def put(m: re.Match[str]) -> str:
        bare = value.strip('"') if m[1] is not None else value
        return bare.replace("\\", "/").rsplit("/", 1)[-1] if m[1] and set(m[1].lower()) & set("nx") else bare

    return re.sub(rf"%\x02?(?:~([a-z]*))?{letter}\b", put, body)


def cut_line(text: str, form: str) -> list[str]:
    """Return the tokens that ``for /f`` takes of a line."""
    delims = re.search(r"delims=(.*?)(?:\s+\w+=|$)", form, re.I)
    tokens = re.search(r"tokens=([\d,*-]+)", form, re.I)
    if UNKNOWN in text:
        return [UNKNOWN] * (tokens[1].count(",") + 1 if tokens else 1)
    cut = [t for t in re.split(f"[{re.escape((delims[1] if delims else ' ') or ' ')}\t]+", text) if t]
    wanted = [int(n) for n in re.findall(r"\d+", tokens[1])] if tokens else [1]
    return [cut[n - 1] if 0 < n <= len(cut) else "" for n in wanted]


def token(text: str) -> tuple[str, str]:
    """Take the first word off a text."""
    text = text.lstrip()
    match = re.match(r"\"[^\"]*\"|[^\s(]\S*", text)
    return (match[0], text[match.end() :].lstrip()) if match else ("", text)


def compare(a: str, operator: str, b: str, ignore: bool) -> bool:
    """Compare as ``if`` does: as numbers where both are."""
    if operator == "==":
        return a.lower() == b.lower() if ignore else a == b
    try:
        x: int | str = int(a, 0)
        y: int | str = int(b, 0)
    except ValueError:
        x, y = (a.lower(), b.lower()) if ignore else (a, b)
    if isinstance(x, int) != isinstance(y, int):
        x, y = str(x), str(y)
    order = (x > y) - (x < y)  # type: ignore[operator]
    return {"equ": order == 0, "neq": order != 0, "lss": order < 0, "leq": order <= 0}.get(
        operator, order > 0 if operator == "gtr" else order >= 0
    )
