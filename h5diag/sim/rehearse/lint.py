"""Lines of a bash script that do not do what they seem to, whichever way the walk takes.

Source: defects of ST's and CubeMX's scripts, facts on provisioning, section 7.3. What only shows when a step fails is
found by walking the script again with that step failing (`unchecked`), not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from h5diag.sim.rehearse.shell_words import parse_shell, text_of, unquoted

if TYPE_CHECKING:
    from tree_sitter import Node

_EXISTS = re.compile(r"!\s*-[fe]\b")
_BACKSLASH = re.compile(r"\\[A-Za-z.$]")
_POSITION = re.compile(r"\$\{?[1-9]\b")


@dataclass(frozen=True, slots=True)
class Lint:
    """A remark on a line: the check it belongs to (``script-syntax`` or ``script-result``) and what is wrong."""

    line: int
    check: str
    text: str


def lint_shell(text: str) -> tuple[Lint, ...]:
    """Return the remarks on a bash script, in the order of its lines."""
    root = parse_shell(text).root_node
    functions = {text_of(n.child_by_field_name("name")): n for n in _all(root, "function_definition")}
    found = list(_commands(root)) + list(_tests(root, functions)) + list(_arguments(root, functions))
    found += list(_locked(root))
    for node in _all(root, "variable_assignment"):
        value = node.child_by_field_name("value")
        if value is not None and value.type in ("word", "concatenation") and _BACKSLASH.search(unquoted(value)):
            words = f"the backslashes of {text_of(value)[:40]} vanish: bash writes paths with slashes"
            found.append(Lint(_line(node), "script-syntax", words))
    return tuple(sorted(dict.fromkeys(found), key=lambda x: x.line))


def undefined_names(texts: dict[str, str]) -> tuple[tuple[str, int, str], ...]:
    """Return ``(script, line, name)`` of variables that stand in a path and that no script of the set defines."""
    defined, used = set[str](), []
    for name, text in texts.items():
        root = parse_shell(text).root_node
        for node in (*_all(root, "variable_assignment"), *_all(root, "for_statement")):
            defined.add(text_of(node.child_by_field_name("name") or node.child_by_field_name("variable")))
        for node in _all(root, "command"):
            words = [text_of(c) for c in node.children_by_field_name("argument")]
            if text_of(node.child_by_field_name("name")) == "read":
                defined |= {w.rstrip(";") for w in words if w.isidentifier()}
        for kind in ("concatenation", "string"):
            for node in _all(root, kind):
                whole = text_of(node)
                if "/" not in whole or " " in whole.strip() or (node.parent is not None and node.parent.type == kind):
                    continue
                used += [(name, _line(node), v) for v in re.findall(r"\$\{?([a-z_]\w*)\}?", whole)]
    return tuple((s, n, v) for s, n, v in dict.fromkeys(used) if v not in defined)


def _all(root: Node, kind: str) -> Iterator[Node]:
    todo = [root]
    while todo:
        node = todo.pop()
        if node.type == kind:
            yield node
        todo += reversed(node.children)


def _line(node: Node) -> int:
    return int(node.start_point[0]) + 1


def _commands(root: Node) -> Iterator[Lint]:
    for node in _all(root, "command"):
        name = text_of(node.child_by_field_name("name"))
        words = [text_of(c) for c in node.children_by_field_name("argument")]
        if name == "set" and words and re.match(r"\"?[A-Za-z_]\w*=", words[0]):
            text = f"set {words[0][:40]} defines nothing in bash and overwrites $1: write it without set"
            yield Lint(_line(node), "script-syntax", text)
        if not re.search(r"cli\b|programmer", name, re.I):
            continue
        for word, argument in zip(words, node.children_by_field_name("argument"), strict=True):
            if re.fullmatch(r"-\$\{?\w+\}?", word):
                yield Lint(
                    _line(node), "script-syntax", f"{word} is no address: a dash stands in front of the variable"
                )
            elif _BACKSLASH.search(unquoted(argument)):
                yield Lint(_line(node), "script-syntax", f"the backslashes of {word[:40]} vanish in bash")


def _tests(root: Node, functions: dict[str, Node]) -> Iterator[Lint]:
    """A test that a file exists, whose branch says so and then goes on."""
    for node in _all(root, "if_statement"):
        condition = node.child_by_field_name("condition")
        if condition is None or not _EXISTS.search(text_of(condition)):
            continue
        body = [c for c in node.named_children if c != condition and c.type not in ("elif_clause", "else_clause")]
        names = [text_of(c.child_by_field_name("name")) for b in body for c in _all(b, "command")]
        ends = any(n in ("exit", "return", "break", "continue") for n in names)
        ends = ends or any(n in functions and re.search(r"(?m)^\s*exit\b", text_of(functions[n])) for n in names)
        talks = any(n == "echo" for n in names) and re.search(
            r"error|exist|missing", " ".join(map(text_of, body)), re.I
        )
        if talks and not ends:
            yield Lint(_line(node), "script-result", "a missing file prints an error and the script goes on")


def _arguments(root: Node, functions: dict[str, Node]) -> Iterator[Lint]:
    """A function that reads an argument which no call of it gives."""
    calls: dict[str, list[int]] = {}
    for node in _all(root, "command"):
        name = text_of(node.child_by_field_name("name"))
        if name in functions:
            calls.setdefault(name, []).append(len(node.children_by_field_name("argument")))
    for name, node in functions.items():
        if name not in calls or any(calls[name]):
            continue
        for use in _all(node, "variable_assignment"):
            value = use.child_by_field_name("value")
            if value is not None and _POSITION.search(text_of(value)):
                text = f"{text_of(use)[:40]}: {name} is called without arguments, so this is always empty"
                yield Lint(_line(use), "script-syntax", text)


def _locked(root: Node) -> Iterator[Lint]:
    """LOCKED is set in a branch that asks nothing once more."""
    for node in _all(root, "variable_assignment"):
        if text_of(node.child_by_field_name("value")).strip("\"'").lower() != "0x5c":
            continue
        around = node.parent
        if around is not None and "read " not in text_of(around):
            text = "LOCKED (0x5C) has no way back and is set without a second question"
            yield Lint(_line(node), "script-result", text)
