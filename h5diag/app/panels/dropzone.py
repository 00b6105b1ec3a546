"""A place to drop files on; they arrive in pieces, so that a large dump gets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import anywidget
import traitlets

from h5diag.limits import DROPPED_BYTES

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Upload:
    """A dropped file: its bare name and its bytes."""

    name: str
    data: bytes


class DropZone(anywidget.AnyWidget):  # type: ignore[misc]
    """Drop files here, or press Enter or click to choose them.

    Parameters
    ----------
    label
        What belongs here.
    came
        Called with the file when one is complete.
    gone
        Called with the name of a file that was taken out again.
    """

    _esm = _HERE / "dropzone.js"
    _css = _HERE / "dropzone.css"

    label = traitlets.Unicode("").tag(sync=True)
    files = traitlets.List(help="[name, size in words] of each").tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self, label: str, came: Callable[[Upload], None], gone: Callable[[str], None] = lambda name: None
    ) -> None:
        super().__init__(label=label)
        self._came, self._gone = came, gone
        self._pieces: dict[str, list[bytes]] = {}
        self.on_msg(self._received)

    def _received(self, _: object, message: dict[str, Any], buffers: list[Any]) -> None:
        name = str(message.get("name", ""))
        if message.get("gone"):
            self._gone(name)
            return
        pieces = self._pieces.setdefault(name, [])
        pieces += [bytes(b) for b in buffers]
        if sum(len(p) for p in pieces) > DROPPED_BYTES:
            del self._pieces[name]
            self.message = f"{bare_name(name)} is larger than 256 MiB: put it into a folder and name the folder"
        elif message.get("last"):
            self._came(Upload(bare_name(name), b"".join(self._pieces.pop(name))))


def bare_name(name: str) -> str:
    """Return a file name without any folder, fit to be written."""
    last = PurePosixPath(name.replace("\\", "/")).name
    kept = "".join(c if c.isprintable() and c not in '<>:"|?*/' else "_" for c in last).lstrip(".")
    return kept[:120] or "file"
