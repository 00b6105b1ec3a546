"""A bash script, parsed by tree-sitter's grammar and followed by an evaluator of our own."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

from h5diag.errors import InputError
from h5diag.sim.rehearse.shell_words import SHELL, Condition, ShellWords, parse_shell, text_of
from h5diag.sim.rehearse.world import (
    UNKNOWN,
    FunctionReturn,
    ScriptExit,
    Stop,
    Word,
    normal,
    script_text,
)
from h5diag.text import whole_number

if TYPE_CHECKING:
    from tree_sitter import Node

_PARTS = frozenset({"string", "raw_string", "ansi_c_string", "simple_expansion", "expansion", "command_substitution"}) | {
    "concatenation", "word", "number", "regex", "arithmetic_expansion", "translated_string", "extglob_pattern", "array"
}  # fmt: skip


class _Loop(Exception):
    def __init__(self, goes_on: bool) -> None:
        self.goes_on = goes_on
        super().__init__(goes_on)


class Shell(ShellWords):
    """One bash process; sub-shells and scripts that it starts are copies."""

    def run(self) -> int:
        """Walk the script from its first line and return its exit status."""
        try:
            return self._source(self.script, self.arguments, 1)
        except ScriptExit as stop:
            return stop.status

    # ------------------------------------------------------------------------------------------- statements
    def _source(self, path: Path, arguments: tuple[str, ...], line: int) -> int:
        with self.world.script(path, self.file, line) as text:
            return self._within(path, arguments or self.arguments, parse_shell(text).root_node.named_children)

    def _within(self, file: Path, arguments: tuple[str, ...], nodes: Sequence[Node]) -> int:
        """Run the statements of a file or function; ``return`` ends them."""
        own = self.file, self.arguments
        self.file, self.arguments = file, arguments
        try:
            return self._all(nodes)
        except FunctionReturn as back:
            return back.status
        finally:
            self.file, self.arguments = own

    def _all(self, nodes: Sequence[Node]) -> int:
        for node in nodes:
            self.walk(node)
        return self.status

    def _each(self, node: Node) -> int:
        return self._all(node.named_children)

    def walk(self, node: Node) -> int:
        """Run a statement and return its status."""
        line = node.start_point[0] + 1
        self.world.tick(self.file, line)
        if node.type == "ERROR" or node.is_missing:
            raise Stop("the shell would not understand this line", self.file, line)
        method: Callable[[Node], int] | None = getattr(self, f"_do_{node.type}", None)
        if method is None:
            raise Stop(f"{node.type.replace('_', ' ')} is not modelled", self.file, line)
        self.status = method(node)
        if (
            self.status
            and not self.unjudged
            and node.type in ("command", "pipeline", "redirected_statement", "subshell")
        ):
            if self.trap:
                handler, self.trap = self.trap, ""
                kept = self.status
                self._each(parse_shell(handler).root_node)
                self.status = kept
            if "e" in self.options:
                raise ScriptExit(self.status)
        return self.status

    def _do_comment(self, node: Node) -> int:
        return self.status

    _do_heredoc_body = _do_comment

    def _do_compound_statement(self, node: Node) -> int:
        return self._each(node)

    _do_do_group = _do_else_clause = _do_variable_assignments = _do_compound_statement

    def _do_subshell(self, node: Node) -> int:
        return self.apart(node.named_children, self.out, self.stdin).status

    def apart(self, nodes: Sequence[Node], out: list[str], stdin: str) -> Shell:
        """Run statements in a sub-shell, and return it."""
        sub = copy(self)
        sub.variables, sub.functions, sub.options = dict(self.variables), dict(self.functions), set(self.options)
        sub.out, sub.stdin, sub.trap = out, stdin, ""
        try:
            sub.status = sub._all(nodes)
        except ScriptExit as stop:
            sub.status = stop.status
        return sub

    def _do_list(self, node: Node) -> int:
        left, operator, right = node.children[0], node.children[1].type, node.children[-1]
        with self._condition():
            status = self.walk(left)
        if (operator == "&&") == (status == 0):
            return self.walk(right)
        return status

    @contextmanager
    def _condition(self) -> Iterator[None]:
        self.unjudged += 1
        try:
            yield
        finally:
            self.unjudged -= 1

    def _do_negated_command(self, node: Node) -> int:
        with self._condition():
            return int(self.walk(node.named_children[-1]) == 0)

    def _do_pipeline(self, node: Node) -> int:
        stdin, status, worst = self.stdin, 0, 0
        parts = [c for c in node.named_children if c.type != "comment"]
        for i, part in enumerate(parts):
            with self._condition():
                sub = self.apart([part], [], stdin)
            status, stdin = sub.status, "".join(sub.out)
            worst = status or worst
            if i + 1 == len(parts):
                self.out += sub.out
                if part.type == "command":
                    self.variables.update(sub.variables)
        return worst if "pipefail" in self.options else status

    def _do_if_statement(self, node: Node) -> int:
        others = ("elif_clause", "else_clause")
        for clause in (node, *(c for c in node.children if c.type in others)):
            if clause.type == "else_clause":
                return self._each(clause)
            then = next((i for i, c in enumerate(clause.children) if c.type == "then"), 0)
            test = [c for c in clause.children[:then] if c.is_named]
            if test and self._true(test):
                return self._all([c for c in clause.children[then:] if c.is_named and c.type not in others])
        return 0

    def _true(self, nodes: Sequence[Node]) -> bool:
        with self._condition():
            return self._all(nodes) == 0

    def _do_while_statement(self, node: Node) -> int:
        wanted = node.children[0].type == "while"
        body = node.child_by_field_name("body")
        tests = [c for c in node.named_children if c != body]
        while self._true(tests) == wanted:
            self.world.tick(self.file, node.start_point[0] + 1)
            if self._loop(body):
                break
        return 0

    def _do_for_statement(self, node: Node) -> int:
        name = text_of(node.child_by_field_name("variable"))
        body = node.child_by_field_name("body")
        nodes = node.children_by_field_name("value")
        values = [w.text for v in nodes for w in self.fields(v)] if nodes else list(self.arguments)
        if node.children[0].type == "select":
            self.variables[name] = self.world.answer(" ".join(values), name)
            self._loop(body)
            return 0
        for value in values:
            self.variables[name] = value
            if self._loop(body):
                break
        return 0

    def _do_c_style_for_statement(self, node: Node) -> int:
        line = node.start_point[0] + 1
        raise Stop("a counting loop of this form is not modelled", self.file, line)

    def _loop(self, body: Node | None) -> bool:
        """Walk a loop's body once; return True when it broke out."""
        try:
            if body is not None:
                self.walk(body)
        except _Loop as jump:
            return not jump.goes_on
        return False

    def _do_case_statement(self, node: Node) -> int:
        value = self.word(node.child_by_field_name("value"))
        self.world.known(value, self.file, node.start_point[0] + 1)
        for item in (c for c in node.named_children if c.type == "case_item"):
            patterns = item.children_by_field_name("value")
            if any(fnmatch.fnmatchcase(value, self.word(p)) for p in patterns):
                return self._all([c for c in item.named_children if c not in patterns])
        return 0

    def _do_function_definition(self, node: Node) -> int:
        body = node.child_by_field_name("body")
        if body is not None:
            self.functions[text_of(node.child_by_field_name("name"))] = (body, self.file)
        return 0

    def _do_variable_assignment(self, node: Node) -> int:
        target = node.child_by_field_name("name")
        name = text_of(target)
        value = node.child_by_field_name("value")
        added = any(c.type == "+=" for c in node.children)
        if value is not None and value.type == "array":
            fields = [w.text for c in value.named_children for w in self.fields(c)]
            old = self.variables.get(name, [])
            self.variables[name] = (list(old) if isinstance(old, list) else [old]) + fields if added else fields
        else:
            text = self.word(value) if value is not None else ""
            if target is not None and target.type == "subscript":
                raise Stop("an element of an array is not modelled", self.file, node.start_point[0] + 1)
            self.variables[name] = self._value(name) + text if added else text
        # An assignment succeeds, unless a command in it fails.
        return self.status if value is not None and value.type == "command_substitution" else 0

    def _do_declaration_command(self, node: Node) -> int:
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._do_variable_assignment(child)
        return 0

    def _do_unset_command(self, node: Node) -> int:
        for child in node.named_children:
            self.variables.pop(text_of(child), None)
        return 0

    def _do_redirected_statement(self, node: Node) -> int:
        body = node.child_by_field_name("body")
        kept, self.out = self.out, []
        stdin = self.stdin
        for child in node.named_children:
            if child.type == "herestring_redirect":
                self.stdin = self.word(child.named_children[-1]) + "\n"
            elif child.type == "heredoc_redirect":
                self.stdin = "".join(text_of(c) for c in child.named_children if c.type == "heredoc_body")
        try:
            # The redirection opens its file before the command runs: what it writes into is not what it reads.
            status = self.walk(body) if body is not None else 0
        finally:
            text, self.out, self.stdin = "".join(self.out), kept, stdin
            for child in node.named_children:
                if child.type == "file_redirect":
                    text = self._redirect(child, text)
            self.out.append(text)
        return status

    def _redirect(self, node: Node, text: str) -> str:
        """Put `text` where a redirection sends it; return what is left for the screen."""
        operator = next((c.type for c in node.children if not c.is_named), ">")
        target = node.child_by_field_name("destination")
        descriptor = text_of(node.child_by_field_name("descriptor")) or "1"
        if operator.startswith("<") or target is None or (descriptor == "2" and operator != "&>"):
            return text
        name = self.word(target)
        if operator == ">&" and name.isdigit():
            return text
        if name != "/dev/null" and UNKNOWN not in name:
            self.world.write(normal(self.cwd, name), text, append=operator in (">>", "&>>"))
        return ""

    def _do_test_command(self, node: Node) -> int:
        tokens: list[Word] = []
        double = node.children[0].type == "[["
        self._tokens(node, tokens, double)
        if node.children[0].type == "((":
            return int(self._arithmetic(text_of(node)[2:-2], node) == 0)
        return int(not Condition(self, node, tokens).whole())

    def _tokens(self, node: Node, tokens: list[Word], double: bool) -> None:
        for child in node.children:
            if child.type in ("[", "]", "[[", "]]"):
                continue
            if child.type in _PARTS:
                if double or child.type == "string":
                    tokens.append(Word(self.word(child), child.type in ("string", "raw_string")))
                else:
                    tokens += self.fields(child)
            elif child.child_count and child.is_named:
                self._tokens(child, tokens, double)
            else:
                tokens.append(Word(text_of(child)))

    # ------------------------------------------------------------------------------------------- commands
    def _do_command(self, node: Node) -> int:
        line = node.start_point[0] + 1
        name = node.child_by_field_name("name")
        local = [c for c in node.named_children if c.type == "variable_assignment"]
        names = {text_of(a.child_by_field_name("name")) for a in local}
        kept = {n: self.variables[n] for n in names if n in self.variables}
        for assignment in local:
            self._do_variable_assignment(assignment)
        words = self.fields(name.named_children[0]) if name is not None and name.named_children else []
        for child in node.named_children:
            if child.type in ("herestring_redirect", "heredoc_redirect"):
                self.stdin = self.word(child.named_children[-1]) + "\n"
        for argument in node.children_by_field_name("argument"):
            words += self.fields(argument)
        if not words:
            return self.status
        try:
            return self._call(words, line)
        finally:
            for key in names:
                self.variables.pop(key, None)
            self.variables |= kept

    def _call(self, words: list[Word], line: int) -> int:
        name, rest = words[0].text, [w.text for w in words[1:]]
        if name == SHELL or (name in ("bash", "sh", "/bin/bash", "/bin/sh", "zsh") and not rest):
            return 0  # the script hands the terminal to the person
        self.world.known(name, self.file, line, "which program this line runs cannot be known")
        if name in self.functions:
            body, file = self.functions[name]
            with self.world.deeper(self.file, line):
                return self._within(file, tuple(rest), [body])
        builtin: Callable[[list[str], int], int] | None = getattr(self, f"_sh_{_BUILTINS.get(name, name)}", None)
        if (builtin is not None and name.isidentifier()) or name in _BUILTINS:
            assert builtin is not None
            return builtin(rest, line)
        script = normal(self.cwd, name)
        if "/" in name and script.suffix in (".sh", ".bash", "") and self.world.exists(script):
            return self._process(script, tuple(rest), line)
        status, text = self.world.run(tuple(words), self.cwd, self.file, line, self.stdin)
        self.world.spend(len(text), self.file, line)
        self.out.append(text)
        return status

    def _process(self, script: Path, arguments: tuple[str, ...], line: int) -> int:
        if script.suffix.lower() in (".bat", ".cmd"):
            raise Stop(f"{script.name} is no script of this shell", self.file, line)
        child = Shell(self.world, script, arguments, self.cwd)
        child.file, child.out = self.file, self.out
        with self.world.deeper(self.file, line):
            return child.run()

    def _sh_source(self, rest: list[str], line: int) -> int:
        if not rest:
            return 2
        path = normal(self.cwd, self.world.known(rest[0], self.file, line, "which file is sourced cannot be known"))
        if not self.world.exists(path):
            self.world.missing.append((path, self.file, line))
            if "e" in self.options and not self.unjudged:
                raise ScriptExit(1)
            self.out.append(f"{rest[0]}: No such file or directory\n")
            return 1
        return self._source(path, tuple(rest[1:]), line)

    def _sh_run(self, rest: list[str], line: int) -> int:
        rest = [r for r in rest if r not in ("-x", "-e", "-u", "-l")]
        if not rest or rest[0] == "-c":
            raise Stop("a command in quotes is not modelled", self.file, line)
        path = normal(self.cwd, rest[0])
        return self._process(path, tuple(rest[1:]), line) if self.world.exists(path) else 127

    def _sh_true(self, rest: list[str], line: int) -> int:
        return 0

    def _sh_false(self, rest: list[str], line: int) -> int:
        return 1

    def _sh_echo(self, rest: list[str], line: int) -> int:
        flags = [r for r in rest if r in ("-e", "-n", "-ne", "-en")]
        text = " ".join(rest[len(flags) :])
        self.world.say(text)
        self.out.append(text + ("" if any("n" in f for f in flags) else "\n"))
        return 0

    def _sh_printf(self, rest: list[str], line: int) -> int:
        values = iter(rest[1:])
        text = re.sub(r"%[-0-9.]*[sdxX]", lambda m: next(values, ""), rest[0] if rest else "")
        text = text.replace("\\n", "\n").replace("\\t", "\t")
        self.world.say(text)
        self.out.append(text)
        return 0

    def _sh_read(self, rest: list[str], line: int) -> int:
        prompt, names, i = "", [], 0
        while i < len(rest):
            word = rest[i]
            if word.startswith("-"):
                takes = word[-1] in "pntdua" and len(word) == 2
                if word[1:2] in "p" or word.endswith("p"):
                    prompt = rest[i + 1] if i + 1 < len(rest) else ""
                    takes = True
                i += 2 if takes else 1
                continue
            names.append(word.rstrip(";"))
            i += 1
        if self.stdin:
            value, _, self.stdin = self.stdin.partition("\n")
        else:
            value = self.world.answer(prompt or "\n".join(self.world.prompts[-8:]), names[0] if names else "")
        self.variables[names[0] if names else "REPLY"] = value
        return 0

    def _sh_exit(self, rest: list[str], line: int) -> int:
        raise ScriptExit(_status(rest, self.status))

    def _sh_return(self, rest: list[str], line: int) -> int:
        raise FunctionReturn(_status(rest, self.status))

    def _sh_break(self, rest: list[str], line: int) -> int:
        raise _Loop(False)

    def _sh_continue(self, rest: list[str], line: int) -> int:
        raise _Loop(True)

    def _sh_shift(self, rest: list[str], line: int) -> int:
        self.arguments = self.arguments[_status(rest, 1) :]
        return 0

    def _sh_cd(self, rest: list[str], line: int) -> int:
        target = next((r for r in rest if not r.startswith("-")), "")
        self.world.known(target, self.file, line, "which folder is entered cannot be known")
        path = normal(self.cwd, target) if target else self.cwd
        if not self.world.is_folder(path):
            return 1
        self.cwd = self.world.find(path) or path
        return 0

    def _sh_trap(self, rest: list[str], line: int) -> int:
        if len(rest) > 1 and "ERR" in rest[1:]:
            self.trap = rest[0]
        return 0

    def _sh_set(self, rest: list[str], line: int) -> int:
        for i, word in enumerate(rest):
            if word in ("-o", "+o") and i + 1 < len(rest):
                name = {"errexit": "e", "nounset": "u"}.get(rest[i + 1], rest[i + 1])
                (self.options.add if word == "-o" else self.options.discard)(name)
            elif word.startswith("-") and word != "--":
                self.options |= set(word[1:]) - {"o"}
            elif word.startswith("+"):
                self.options -= set(word[1:])
            elif word == "--" or (not word.startswith(("-", "+")) and (not i or rest[i - 1] != "-o")):
                self.arguments = tuple(rest[i + (word == "--") :])
                break
        return 0

    def _sh_command(self, rest: list[str], line: int) -> int:
        if "-v" in rest:
            return 0
        return self._call([Word(r) for r in rest], line) if rest else 0

    def _sh_eval(self, rest: list[str], line: int) -> int:
        text = self.world.known(" ".join(rest), self.file, line, "what is evaluated cannot be known")
        try:
            script_text(text.encode(), self.file.name)
        except InputError as error:
            raise Stop(str(error), self.file, line) from None
        return self._each(parse_shell(text).root_node)

    def _sh_test(self, rest: list[str], line: int) -> int:
        return int(not Condition(self, None, [Word(r) for r in rest if r != "]"], line).whole())


_BUILTINS = {".": "source", ":": "true", "[": "test", "bash": "run", "sh": "run", "pushd": "cd", "exec": "command"}


def _status(rest: list[str], default: int) -> int:
    given = whole_number(rest[0]) if rest else None
    return default if given is None else given & 0xFF
