"""The preprocessor pcpp with an end to its work: a header of a few lines can ask for more than a machine has.

Limited are the characters that macros expand to, the tokens of an expression, the width of a shift and the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from h5diag.errors import InputError

MOST_EXPANDED = 1_000_000
"""Characters that all macros of a header may expand to; every expansion counts for 50 at least."""

MOST_TOKENS = 5000
"""Tokens of one expression."""

MOST_SECONDS = 1.0
"""Processor time, for what the other limits do not see."""


class TooMuch(BaseException):
    """The header asks for too much work. No `Exception`: the preprocessor would take it for a wrong expression."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line


def bounded_preprocessor(source: str) -> Any:
    """Return a preprocessor that includes nothing and raises `TooMuch`.

    Its ``problems`` are the errors of the text, its ``unknown`` the names that an expression used undefined.
    """
    from pcpp import Preprocessor

    _bound_shifts()

    class Bounded(Preprocessor):  # type: ignore[misc]
        def __init__(self) -> None:
            self.problems: list[InputError] = []
            self.unknown: list[str] = []
            self.spent, self.factor, self.end = 0, 1, time.thread_time() + MOST_SECONDS
            super().__init__()
            evaluate = self.evaluator  # type: ignore[has-type]

            def evaluated(tokens: Any, **names: Any) -> Any:
                self.spend(0, tokens, len(tokens) > MOST_TOKENS)
                return evaluate(tokens, **names)

            self.evaluator = evaluated

        def spend(self, characters: int, tokens: Any, stop: bool = False) -> None:
            self.spent += 50 + characters
            if stop or self.spent > MOST_EXPANDED or time.thread_time() > self.end:
                raise TooMuch(tokens[0].lineno if tokens else 0)

        def expand_macros(self, tokens: Any, expanding_from: Any = ()) -> Any:
            self.spend(_length(tokens), tokens)
            out = super().expand_macros(tokens, list(expanding_from))
            self.spend(0, out, self.factor * len(out) > MOST_EXPANDED)
            return out

        def macro_expand_args(self, macro: Any, args: Any) -> Any:
            # Each token of the macro can become a whole argument, as it stands or expanded.
            outer, self.factor = self.factor, 1 + len(macro.value)
            longest = max((_length(a) for a in args), default=0)
            self.spend(0, macro.value, self.factor * longest > MOST_EXPANDED)
            try:
                return super().macro_expand_args(macro, args)
            finally:
                self.factor = outer

        def include(self, tokens: Any, original_line: Any = None) -> Iterator[Any]:
            return iter(())

        def on_error(self, file: str, line: int, message: str) -> None:
            text = message if len(message) <= 200 else message[:200] + "..."
            self.problems.append(InputError(text, source=source, place=f"line {line}"))

        def on_directive_unknown(self, directive: Any, toks: Any, ifpassthru: bool, precedingtoks: Any) -> bool:
            if directive.value == "error":
                self.on_error(source, directive.lineno, "#error " + "".join(t.value for t in toks).strip())
            return True  # #warning and the like say nothing about the slots

        def on_unknown_macro_in_expr(self, ident: str) -> int:
            self.unknown.append(ident)
            return 0  # as C says for #if

    return Bounded()


def _length(tokens: Any) -> int:
    return sum(len(t.value) for t in tokens)


def _bound_shifts() -> None:
    """Make a shift by 64 bits and more an error of the expression; pcpp would build the number first."""
    from pcpp.evaluator import Value

    whole = Value.__lshift__
    if whole.__name__ == "bounded":
        return

    def bounded(self: Any, other: Any) -> Any:
        if not 0 <= int(Value(other)) < 64:
            return Value(0, exception=ArithmeticError("a shift by 64 bits or more"))
        return whole(self, other)

    Value.__lshift__ = bounded
