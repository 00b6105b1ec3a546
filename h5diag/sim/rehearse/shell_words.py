"""The words of a bash script: variables, expansions, arithmetic and conditions in brackets, over tree-sitter's tree."""

from __future__ import annotations

import ast
import fnmatch
import operator as op
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from h5diag.sim.rehearse.world import UNKNOWN, ScriptWorld, Stop, Word, may_search, normal
from h5diag.text import whole_number

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

SHELL = "\x01shell"
"""The value of ``$SHELL``: a script that starts it hands the terminal to the person."""

_VARIABLE = re.compile(r"(#|!)?([A-Za-z_]\w*|[0-9@*#?$!-])(?:\[([^\]]*)\])?(.*)$", re.S)
_BINARY = {"==", "=", "!=", "=~", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"}


@lru_cache(maxsize=128)
def parse_shell(text: str) -> Tree:
    """Return the syntax tree of a bash script."""
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language())).parse(text.encode())


def syntax_errors(text: str) -> tuple[int, ...]:
    """Return the lines that the grammar does not understand."""
    root = parse_shell(text).root_node
    if not root.has_error:
        return ()
    lines, todo = set(), [root]
    while todo:
        node = todo.pop()
        if node.type == "ERROR" or node.is_missing:
            lines.add(node.start_point[0] + 1)
        elif node.has_error:
            todo += node.children
    return tuple(sorted(lines))


class ShellWords:
    """What a process of bash knows, and what the words of its script become."""

    def __init__(
        self, world: ScriptWorld, script: Path, arguments: tuple[str, ...] = (), cwd: Path | None = None
    ) -> None:
        self.world, self.script, self.file = world, script, script
        self.cwd = cwd or script.parent
        self.arguments = arguments
        self.variables: dict[str, str | list[str]] = {"SHELL": SHELL, "HOME": "/home/user", "PATH": "/usr/bin"}
        self.variables |= {
            "IFS": " \t\n",
            "OSTYPE": "linux-gnu",
            "OS": "Linux",
            "BASH": "/bin/bash",
            "PWD": str(self.cwd),
        }
        self.functions: dict[str, tuple[Node, Path]] = {}
        self.status = 0
        self.out: list[str] = []
        self.stdin = ""
        self.options: set[str] = set()
        self.unjudged = 0
        self.trap = ""

    def apart(self, nodes: Sequence[Node], out: list[str], stdin: str) -> ShellWords:
        """Run statements in a sub-shell; the evaluator of statements is one floor up."""
        raise NotImplementedError

    def fields(self, node: Node) -> list[Word]:
        """Return the arguments that a word becomes: unquoted expansions are split at blanks."""
        if node.type in ("simple_expansion", "expansion") and self._is_all(node):
            return [Word(t) for value in self._array(node) for t in value.split()]
        if node.type == "string" and len(node.named_children) == 1 and self._is_all(node.named_children[0]):
            return [Word(t, True) for t in self._array(node.named_children[0])]
        if node.type in ("simple_expansion", "expansion", "command_substitution"):
            return [Word(t) for t in self.word(node).split()]
        if node.type in ("word", "concatenation") and set(unquoted(node)) & {"*", "?"}:
            return self._globbed(Word(self.word(node)))
        if node.type == "concatenation":
            pieces: list[Word] = [Word("")]
            for child in node.children:
                parts = self.fields(child) or [Word("")]
                pieces[-1] = Word(pieces[-1].text + parts[0].text, pieces[-1].quoted or parts[0].quoted)
                pieces += parts[1:]
            return pieces
        if node.type in ("file_redirect", "comment"):
            return []
        return [Word(self.word(node), node.type in ("string", "raw_string"))]

    def _globbed(self, word: Word) -> list[Word]:
        """Return the files that a wildcard in the last part of a path takes in, or the word itself."""
        path = normal(self.cwd, word.text)
        if UNKNOWN in word.text or not path.name:
            return [word]
        folder = word.text[: len(word.text) - len(path.name)]
        return [Word(folder + n, True) for n in self.world.names(path.parent, path.name)] or [word]

    def _is_all(self, node: Node) -> bool:
        return text_of(node) in ("$@", "$*", "${@}", "${*}") or bool(re.fullmatch(r"\$\{\w+\[[@*]\]\}", text_of(node)))

    def _array(self, node: Node) -> list[str]:
        name = text_of(node).strip("${}").partition("[")[0]
        value = list(self.arguments) if name in ("@", "*") else self.variables.get(name, [])
        values = value if isinstance(value, list) else [value]
        self.world.spend(sum(len(v) + 64 for v in values), self.file, node.start_point[0] + 1)
        return values

    def word(self, node: Node | None) -> str:
        """Return the text of a word after expansion, unsplit."""
        if node is None:
            return ""
        text = self._expanded(node)
        self.world.spend(len(text), self.file, node.start_point[0] + 1)
        return text

    def _expanded(self, node: Node) -> str:
        text = text_of(node)
        match node.type:
            case "raw_string":
                return text[1:-1]
            case "ansi_c_string":
                return text[2:-1].replace("\\n", "\n").replace("\\t", "\t")
            case "simple_expansion":
                # Inside a string the grammar gives the blank in front of an expansion to the expansion.
                bare = text.lstrip()
                return text[: len(text) - len(bare)] + self._value(bare[1:])
            case "expansion":
                bare = text.lstrip()
                return text[: len(text) - len(bare)] + self._expansion(bare[2:-1], node)
            case "command_substitution":
                return self._substitution(node)
            case "arithmetic_expansion":
                inner = text[3:-2] if text.startswith("$((") else text[2:-1]
                return str(self._arithmetic(inner, node))
            case "string" | "concatenation" | "translated_string":
                return self._joined(node)
            case "word" | "number" | "regex" | "extglob_pattern":
                if text == "~" or text.startswith("~/"):
                    text = "/home/user" + text[1:]
                return re.sub(r"\\(.)", r"\1", text, flags=re.S)
            case "string_content":
                return re.sub(r'\\([$`"\\])', r"\1", text)
        if node.child_count:
            return self._joined(node)
        return text

    def _joined(self, node: Node) -> str:
        """Join a node's parts with what stands between them (a string keeps its blanks)."""
        out, data = [], node.text or b""
        at, base = 0, node.start_byte
        for child in node.children:
            start, stop = child.start_byte - base, child.end_byte - base
            if start > at and node.type == "string":
                out.append(data[at:start].decode("utf-8", "replace"))
            if child.type not in ('"', '$"'):
                out.append(self.word(child) if child.is_named else text_of(child))
            at = stop
        return "".join(out)

    def _substitution(self, node: Node) -> str:
        sub = self.apart(node.named_children, [], self.stdin)
        self.status = sub.status
        return "".join(sub.out).rstrip("\n")

    def _value(self, name: str) -> str:
        match name:
            case "?":
                return str(self.status)
            case "#":
                return str(len(self.arguments))
            case "@" | "*":
                return " ".join(self.arguments)
            case "0":
                return str(self.script)
            case "$" | "!" | "-" | "RANDOM" | "SECONDS" | "USER" | "HOSTNAME":
                return UNKNOWN
            case "BASH_SOURCE":
                return str(self.file)
        if (number := whole_number(name)) is not None:
            return self.arguments[number - 1] if 0 < number <= len(self.arguments) else ""
        value = self.variables.get(name, "")
        return value[0] if isinstance(value, list) and value else "" if isinstance(value, list) else value

    def _expansion(self, inner: str, node: Node) -> str:
        found = _VARIABLE.match(inner)
        if found is None or found[1] == "!":
            raise Stop("this expansion is not modelled", self.file, node.start_point[0] + 1)
        length, name, index, rest = found.groups()
        value = self._value(name)
        if index is not None and name != "BASH_SOURCE":
            stored = self.variables.get(name, [])
            values = stored if isinstance(stored, list) else [stored]
            if index in ("@", "*"):
                return str(len(values)) if length else " ".join(values)
            number = whole_number(index)
            value = values[number] if number is not None and 0 <= number < len(values) else ""
        if length:
            return str(len(value))
        if not rest:
            return value
        if UNKNOWN in value:
            return UNKNOWN
        # A cut tries every length, a replacement may be longer at every place.
        self.world.spend(len(value) * len(rest), self.file, node.start_point[0] + 1)
        for operator in (":-", ":=", ":+", ":?", "-", "+", "##", "#", "%%", "%", "//", "/", "^^", ",,", ":"):
            if rest.startswith(operator):
                return self._modified(name, value, operator, self._expandtext_of(rest[len(operator) :]))
        raise Stop("this expansion is not modelled", self.file, node.start_point[0] + 1)

    def _modified(self, name: str, value: str, operator: str, operand: str) -> str:
        match operator:
            case ":-" | "-" | ":?":
                return value or operand
            case ":=":
                self.variables[name] = value or operand
                return value or operand
            case ":+" | "+":
                return operand if value else ""
            case "^^":
                return value.upper()
            case ",,":
                return value.lower()
            case "/" | "//":
                old, _, new = operand.partition("/")
                return value.replace(old, new, 1 if operator == "/" else -1) if old else value
            case ":":
                start, _, size = operand.partition(":")
                return value[whole_number(start) or 0 :][: whole_number(size)]
        front, longest = operator[0] == "#", len(operator) == 2
        for i in reversed(range(len(value) + 1)) if front == longest else range(len(value) + 1):
            cut, rest = (value[:i], value[i:]) if front else (value[i:], value[:i])
            if fnmatch.fnmatchcase(cut, operand):
                return rest
        return value

    def _expandtext_of(self, text: str) -> str:
        if "$" not in text and "`" not in text:
            return text.strip("\"'")
        assignment = parse_shell(f'x="{text}"' if '"' not in text else f"x={text}").root_node.named_children[0]
        return self.word(assignment.child_by_field_name("value"))

    def _arithmetic(self, text: str, node: Node) -> int:
        line = node.start_point[0] + 1
        filled = re.sub(
            r"\$?\{?([A-Za-z_]\w*)\}?",
            lambda m: (
                m[0] if re.fullmatch(r"0[xX]?", m[0]) else self.world.known(self._value(m[1]) or "0", self.file, line)
            ),
            re.sub(r"0[xX][0-9A-Fa-f]{1,16}", lambda m: str(int(m[0], 16)), text),
        )
        if len(filled) > 200 or not re.fullmatch(r"[0-9a-fA-FxX+\-*/%()<>=!&|^~ \t]*", filled):
            raise Stop("this arithmetic is not modelled", self.file, line)
        return _calculated(filled, self.file, line)


def _calculated(text: str, file: Path, line: int) -> int:
    """Return the value of an expression of numbers and operators, computed over its own syntax tree."""
    known = {ast.Add: op.add, ast.Sub: op.sub, ast.Mult: op.mul, ast.FloorDiv: op.floordiv, ast.Div: op.floordiv}
    known |= {ast.Mod: op.mod, ast.BitAnd: op.and_, ast.BitOr: op.or_, ast.BitXor: op.xor}
    compare = {ast.Lt: op.lt, ast.Gt: op.gt, ast.LtE: op.le, ast.GtE: op.ge, ast.Eq: op.eq, ast.NotEq: op.ne}

    def value(node: ast.expr) -> int:
        match node:
            case ast.Constant(value=int() as number):
                return number
            case ast.BinOp(left=a, op=ast.LShift() | ast.RShift() as shift, right=b):
                n = min(value(b), 64)
                return value(a) << n & (1 << 64) - 1 if isinstance(shift, ast.LShift) else value(a) >> n
            case ast.BinOp(left=a, op=how, right=b) if type(how) in known:
                return int(known[type(how)](value(a), value(b)))
            case ast.UnaryOp(op=ast.USub(), operand=a):
                return -value(a)
            case ast.Compare(left=a, ops=[how], comparators=[b]) if type(how) in compare:
                return int(compare[type(how)](value(a), value(b)))
        raise ValueError

    try:
        return value(ast.parse(text.strip() or "0", mode="eval").body)
    except (ValueError, SyntaxError, ZeroDivisionError, RecursionError, MemoryError):
        raise Stop("this arithmetic is not modelled", file, line) from None


class Condition:
    """A condition in brackets, over its words after expansion."""

    def __init__(self, shell: ShellWords, node: Node | None, tokens: list[Word], line: int = 0) -> None:
        self.shell, self.node, self.tokens = shell, node, tokens
        self.line = node.start_point[0] + 1 if node is not None else line
        self.at = 0

    def whole(self) -> bool:
        """Return whether the condition holds."""
        value = self._and()
        while self._take("||", "-o"):
            value = self._and() or value
        return value

    def _and(self) -> bool:
        value = self._one()
        while self._take("&&", "-a"):
            value = self._one() and value
        return value

    def _take(self, *words: str) -> bool:
        if self.at < len(self.tokens) and not self.tokens[self.at].quoted and self.tokens[self.at].text in words:
            self.at += 1
            return True
        return False

    def _one(self) -> bool:
        if self._take("!"):
            return not self._one()
        if self._take("("):
            value = self.whole()
            self._take(")")
            return value
        rest = self.tokens[self.at :]
        if not rest:
            return False
        first = rest[0].text
        if len(rest) >= 3 and rest[1].text in _BINARY and not rest[1].quoted:
            self.at += 3
            return self._compare(first, rest[1].text, rest[2])
        if len(rest) >= 2 and rest[1].text in _BINARY:
            # an empty variable without quotes: the real shell complains and the condition is false
            self.at += 2
            return False
        if re.fullmatch(r"-[a-zA-Z]", first) and not rest[0].quoted and len(rest) >= 2:
            self.at += 2
            return self._unary(first, rest[1].text)
        self.at += 1
        return bool(self._sure(first))

    def _sure(self, text: str) -> str:
        return self.shell.world.known(text, self.shell.file, self.line)

    def _unary(self, operator: str, text: str) -> bool:
        if operator == "-z":
            return not self._sure(text)
        if operator == "-n":
            return bool(self._sure(text))
        path = normal(self.shell.cwd, self._sure(text))
        match operator:
            case "-d":
                return self.shell.world.is_folder(path)
            case "-f" | "-e" | "-r" | "-s" | "-x" | "-w":
                return self.shell.world.exists(path) and (operator == "-e" or not self.shell.world.is_folder(path))
        return False

    def _compare(self, left: str, operator: str, right: Word) -> bool:
        a, b = self._sure(left), self._sure(right.text)
        if operator in ("==", "="):
            return a == b if right.quoted or self.node is None else a == b or fnmatch.fnmatchcase(a, b)
        if operator == "!=":
            return a != b
        if operator == "=~":
            if right.quoted:
                return b in a
            if not may_search(b, [a]):
                raise Stop("this pattern is not modelled", self.shell.file, self.line)
            return re.search(b, a) is not None
        if operator in ("<", ">"):
            return a < b if operator == "<" else a > b
        try:
            x, y = int(a or "0", 0), int(b or "0", 0)
        except ValueError:
            return False
        return {"-eq": x == y, "-ne": x != y, "-lt": x < y, "-le": x <= y, "-gt": x > y, "-ge": x >= y}[operator]


def text_of(node: Node | None) -> str:
    """Return the source of a node, empty for none."""
    return (node.text or b"").decode("utf-8", "replace") if node is not None else ""


def unquoted(node: Node) -> str:
    """Return the parts of a word that no quotes protect."""
    if node.type in ("string", "raw_string", "simple_expansion", "expansion", "command_substitution"):
        return ""
    return "".join(map(unquoted, node.children)) if node.child_count else text_of(node)
