"""What the calls of the front door take, by their own annotations: anything else is one line, before it is touched."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from h5diag.errors import InputError

_PATH, _LIST = "str __fspath__", "list tuple set frozenset __next__ __array__"
TAKEN = {
    "str": ("str", "", "a text"),
    "str | None": ("str NoneType", "", "a text"),
    "int | None": ("__index__ NoneType", "", "a number"),
    "str | os.PathLike[str]": (_PATH, "", "a path"),
    "str | Path": (_PATH, "", "a path"),
    "str | Path | None": (f"{_PATH} NoneType", "", "a path"),
    "str | Path | EvidenceFile": (f"{_PATH} EvidenceFile", "", "a name or a path"),
    "Named": (_PATH, "", "a path or a text"),
    "Named | None": (f"{_PATH} NoneType", "", "a path or a text"),
    "ChipLike": ("str Chip NoneType", "", "a name, or what load_chip gives"),
    "Chip | None": ("Chip NoneType", "", "what load_chip gives"),
    "LayoutLike": (f"{_PATH} Layout NoneType", "", "a name, a path, or what load_layout gives"),
    "Placement | None": ("Placement NoneType", "", "what locate gives"),
    "str | Access | None": ("str Access NoneType", "", "secure or nonsecure"),
    "tuple[int, int] | None": ("tuple list NoneType", "__index__", "a pair of numbers"),
    "Iterable[str]": (_LIST, "str", "a list of texts"),
    "Iterable[Named]": (_LIST, _PATH, "a list of paths"),
    "Sequence[Named]": (_LIST, _PATH, "a list of paths"),
    "Iterable[Named] | Named": (f"{_PATH} {_LIST}", _PATH, "a path or a list of paths"),
    "Iterable[Memory]": (_LIST, "__class__", "a list of whatever read_memory takes"),
    "Case | Named | list[Case | Named] | tuple[Case | Named, ...]": (
        f"{_PATH} Case list tuple",
        f"{_PATH} Case",
        "a case folder, what load_case gives, or a list of these",
    ),
    "str | Path | Sequence[str | Path | BoardFile]": (
        f"{_PATH} {_LIST}",
        f"{_PATH} BoardFile",
        "a path or a list of paths",
    ),
    "Progress | None": ("__call__ NoneType", "", "a function"),
    "Cancel | None": ("__call__ NoneType", "", "a function"),
}
"""By annotation: the classes or methods of which a value has one, the same for what is in it, and both for a person.

A text is a list of letters, which is never meant. A memory is told by `read_memory`, and whatever is true or false will
do where that is asked.
"""


def _fits(value: Any, kinds: str) -> bool:
    own = {c.__name__ for c in type(value).__mro__}
    return any(k in own or (k[:2] == "__" and hasattr(value, k)) for k in kinds.split())


@cache
def checked(call: Callable[..., Any], called: str) -> Callable[..., Any]:
    """Return a call of the front door that raises InputError for an argument of a type that its annotations do not name.

    Parameters
    ----------
    call
        A function whose annotations are texts.
    called
        Its name at the front door.
    """
    signature = inspect.signature(call)

    @wraps(call)
    def asked(*args: Any, **named: Any) -> Any:
        for name, given in signature.bind(*args, **named).arguments.items():
            of = signature.parameters[name]
            several = (
                given if of.kind is of.VAR_POSITIONAL else given.values() if of.kind is of.VAR_KEYWORD else (given,)
            )
            kinds, inner, words = TAKEN.get(of.annotation, ("object", "", ""))
            # What can be gone through only once is not looked into.
            inside = [v for many in several if inner and isinstance(many, list | tuple) for v in many]
            if wrong := [v for v in several if not _fits(v, kinds)] or [v for v in inside if not _fits(v, inner)]:
                kind = type(wrong[0]).__name__
                raise InputError(f"{kind} is not taken", source=called, place=name, advice=f"give {words}")
        return call(*args, **named)

    return asked
