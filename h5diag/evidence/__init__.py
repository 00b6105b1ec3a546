"""The bytes of strangers as values: memory files, texts, keys. The only wing that reads their files."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def by_name(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__`` that imports a module when the first of its names is asked for.

    `homes` gives the names of each module, separated by blanks. A name that was found stays in the package.
    """
    places = {name: home for home, names in homes.items() for name in names.split()}

    def look_up(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{places[name]}"), name)
        setattr(import_module(package), name, value)
        return value

    return look_up
