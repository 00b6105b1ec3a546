"""The evidence loader: a bundled case, a case folder, or files dropped and texts pasted for each board."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ipywidgets as widgets
import traitlets

from h5diag.app.panels.dropzone import DropZone, Upload
from h5diag.app.panels.parts import status_html
from h5diag.case import Case, load_case
from h5diag.case.intake import Details, sort_evidence, write_case
from h5diag.case.samples import data_folder
from h5diag.errors import InputError
from h5diag.layout import preset_names

ACCESS = (
    ("how it was read: not known", ""),
    ("read with secure accesses", "secure"),
    ("read with non-secure accesses", "nonsecure"),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A case and what the loader has to say about it: what was assumed, and what would let more be decided."""

    case: Case
    remarks: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnBoard:
    """What was given for one board in the page."""

    files: tuple[Upload, ...] = ()
    text: str = ""
    access: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a case comes from, as a value: it can be loaded in a thread.

    `folder` is a case folder; when it is empty the case is made of what was given for the boards.
    """

    folder: str = ""
    good: OwnBoard = OwnBoard()
    suspect: OwnBoard = OwnBoard()
    layout: str = ""

    def load(self) -> Loaded:
        """Return the case; InputError says what is missing."""
        if self.folder:
            return Loaded(load_case(Path(self.folder)))
        if not any((self.good.files, self.good.text.strip(), self.suspect.files, self.suspect.text.strip())):
            raise InputError(
                "there is no evidence yet", advice="drop the dumps and texts of a board, or choose a bundled case"
            )
        top = Path(tempfile.mkdtemp(prefix="h5diag-case-"))
        sides = [_written(top / name, board) for name, board in (("good", self.good), ("suspect", self.suspect))]
        details = Details(layout=self.layout, good_access=self.good.access, suspect_access=self.suspect.access)
        found = sort_evidence([*sides[0], *sides[1]], good=sides[0], suspect=sides[1], details=details)
        found = write_case(found, top / "case")
        missing = tuple(f"{m.what}{f' ({m.board})' if m.board else ''}: {m.how}" for m in found.missing)
        return Loaded(load_case(top / "case"), found.remarks, missing)


def _written(folder: Path, board: OwnBoard) -> list[Path]:
    folder.mkdir()
    paths = []
    for upload in board.files:
        path = folder / upload.name
        path.write_bytes(upload.data)
        paths.append(path)
    if board.text.strip():
        path = folder / f"{folder.name}-pasted.txt"
        path.write_text(board.text, encoding="utf-8")
        paths.append(path)
    return paths


def bundled_cases() -> tuple[tuple[str, str], ...]:
    """Return (title, folder) of the cases that travel with h5diag, the founding one first."""
    found = []
    for path in sorted(data_folder().glob("*/case.toml")):
        title = str(tomllib.loads(path.read_text("utf-8")).get("title", path.parent.name))
        found.append((path.parent.name != "founding", path.parent.name, title, str(path.parent)))
    titles = [row[2] for row in found]
    return tuple(
        (f"{title} ({name.replace('-', ' ')})" if titles.count(title) > 1 else title, folder)
        for _, name, title, folder in sorted(found)
    )


class EvidenceModel(traitlets.HasTraits):  # type: ignore[misc]
    """What was chosen, dropped and pasted. `kind` is ``bundled``, ``own`` or ``folder``."""

    kind = traitlets.Enum(("bundled", "own", "folder"), "bundled")
    bundled = traitlets.Unicode("")
    folder = traitlets.Unicode("")
    good_files = traitlets.Tuple()
    suspect_files = traitlets.Tuple()
    good_text = traitlets.Unicode("")
    suspect_text = traitlets.Unicode("")
    good_access = traitlets.Unicode("")
    suspect_access = traitlets.Unicode("")
    layout = traitlets.Unicode("")

    @property
    def source(self) -> Source:
        """The evidence as it stands now."""
        if self.kind != "own":
            folder = self.bundled if self.kind == "bundled" else self.folder.strip()
            # An empty name must say "no such folder", not fall back to what was dropped.
            return Source(folder=folder or "(no folder named)")
        return Source(
            "",
            OwnBoard(tuple(self.good_files), self.good_text, self.good_access),
            OwnBoard(tuple(self.suspect_files), self.suspect_text, self.suspect_access),
            self.layout,
        )

    def on_change(self, told: Callable[[], None]) -> None:
        """Call `told` whenever any of it changes."""
        self.observe(lambda _: told(), list(self.trait_names()))


class EvidencePanel(widgets.VBox):  # type: ignore[misc]
    """The view on an `EvidenceModel`.

    Parameters
    ----------
    model
        What to show.
    """

    def __init__(self, model: EvidenceModel) -> None:
        self.model = model
        cases = bundled_cases()
        model.bundled = model.bundled or cases[0][1]
        self.kind = widgets.ToggleButtons(
            options=[("A bundled case", "bundled"), ("My own files", "own"), ("A case folder", "folder")]
        )
        self.bundled = widgets.Dropdown(options=list(cases), description="Case", layout=widgets.Layout(width="560px"))
        self.folder = widgets.Text(
            description="Folder",
            placeholder="folder with case.toml",
            layout=widgets.Layout(width="560px"),
            continuous_update=False,
        )
        self.boards = [self._board("good", "A board that works"), self._board("suspect", "The board in question")]
        layouts = [("no boot loader's layout", ""), *((n, n) for n in preset_names())]
        self.layout_choice = widgets.Dropdown(options=layouts, description="Layout")
        self.clear = widgets.Button(description="Clear files", tooltip="Forget what was dropped")
        self.pages = {
            "bundled": self.bundled,
            "folder": self.folder,
            "own": widgets.VBox([widgets.HBox(self.boards), widgets.HBox([self.layout_choice, self.clear])]),
        }
        self.page = widgets.VBox()
        for name, widget in (
            ("kind", self.kind),
            ("bundled", self.bundled),
            ("folder", self.folder),
            ("layout", self.layout_choice),
        ):
            widgets.link((model, name), (widget, "value"))
        self.clear.on_click(lambda _: self._forget())
        model.observe(lambda _: self._show(), ["kind", "good_files", "suspect_files"])
        super().__init__([self.kind, self.page])
        self._show()

    def _board(self, side: str, label: str) -> widgets.VBox:
        model, trait = self.model, f"{side}_files"

        def came(upload: Upload) -> None:
            kept = tuple(u for u in getattr(model, trait) if u.name != upload.name)
            setattr(model, trait, (*kept, upload))

        zone = DropZone(f"{label}: dumps, option listings, logs", came)
        text = widgets.Textarea(
            placeholder=f"{label}: paste what the programmer printed",
            continuous_update=False,
            layout=widgets.Layout(width="98%", height="90px"),
        )
        access = widgets.Dropdown(options=list(ACCESS), layout=widgets.Layout(width="98%"))
        widgets.link((model, f"{side}_text"), (text, "value"))
        widgets.link((model, f"{side}_access"), (access, "value"))
        setattr(self, f"{side}_zone", zone)
        setattr(self, f"{side}_text", text)
        return widgets.VBox([zone, text, access], layout=widgets.Layout(width="50%"))

    def _forget(self) -> None:
        self.model.good_files = self.model.suspect_files = ()

    def _show(self) -> None:
        for side in ("good", "suspect"):
            zone: DropZone = getattr(self, f"{side}_zone")
            zone.files = [f"{u.name} ({len(u.data):,} bytes)" for u in getattr(self.model, f"{side}_files")]
        self.page.children = (self.pages[self.model.kind],)


def remarks_html(loaded: Loaded) -> str:
    """Return what the loader assumed and what it misses, escaped."""
    lines = [*loaded.remarks, *(f"would help: {m}" for m in loaded.missing)]
    return "".join(status_html(line) for line in lines)
