"""What every result can do: say its answer, draw itself, become JSON or a table.

A result is a value of a lower wing and knows nothing of people. What a person sees of it is made in ``show/``, which
is looked up by name when somebody looks: the one place where a lower wing reaches up.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

VIEWS, PANELS = "h5diag.show.answers", "h5diag.app.panels"


class Answer:
    """Mixed into the dataclass of a result.

    ``repr`` is its answer (at most 1 KiB), ``print`` the whole text; a notebook shows ``_repr_html_`` (at most 30 KiB).
    """

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A dataclass writes a repr of all its fields unless the class has one of its own.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Answer.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return str(views().short(self))

    def __str__(self) -> str:
        return str(views().text(self))

    def _repr_html_(self) -> str:
        return str(views().html(self))

    def _repr_markdown_(self) -> str:
        """What an export takes that knows no HTML: nbconvert makes its LaTeX of it, tables and all."""
        return str(views().markdown(self))

    def plot(self, **options: Any) -> Any:
        """Return a `Picture` of it; InputError where there is nothing to draw."""
        return views().plot(self, **options)

    def interact(self) -> Any:
        """Return controls for it, to click in a notebook; InputError where there are none."""
        return views(PANELS).interact(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of the command line as plain dicts, lists, strings and numbers."""
        document: dict[str, Any] = views().document(self)
        return document

    def to_frame(self) -> Any:
        """Return its main table as a ``pandas.DataFrame``; InputError where there is none, or no pandas."""
        return views().frame(self)


def views(module: str = VIEWS) -> Any:
    """Return a module of ``show/``, imported when somebody looks."""
    return import_module(module)
