"""The evidence loader: a bundled case, a case folder, or files dropped and texts pasted for each board."""

from __future__ import annotations

import hashlib
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from h5diag.app.panels.parts import linked, status_html
from h5diag.case import Case, load_case
from h5diag.case.intake import Details, Missing, sort_evidence, write_case
from h5diag.chip import chip_names
from h5diag.errors import InputError
from h5diag.evidence.door import EvidenceFile, write_whole
from h5diag.evidence.files import Sidecar, write_sidecar
from h5diag.evidence.samples import data_folder
from h5diag.layout import preset_names
from h5diag.limits import DROPPED_BYTES
from h5diag.show.case import missing_parts
from h5diag.show.sheet import bullets, parts_html, section

BASE = "address of the first byte of a .bin, as 0x08000000"
ACCESS = (
    ("how it was read: not known", ""),
    ("read with secure accesses", "secure"),
    ("read with non-secure accesses", "nonsecure"),
)
MODES = (("connect mode: not known", ""), ("hot plug", "hotplug"), ("under reset", "under-reset"), ("normal", "normal"))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A case and what the loader has to say about it.

    Parameters
    ----------
    case
        The evidence, in memory.
    remarks
        What was assumed.
    unused
        Files that were not used, each with the reason.
    missing
        What would let more be decided.
    """

    case: Case
    remarks: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnBoard:
    """What was given for one board in the page; `base` is the address of the first byte of its binaries."""

    files: tuple[Upload, ...] = ()
    text: str = ""
    base: str = ""


@dataclass(frozen=True, slots=True)
class CaseSource:
    """Where a case comes from, as a value: it can be loaded in a thread.

    `folder` is a case folder; when it is empty the case is made of what was given for the boards. `flashed` are the
    files that were to be flashed, and what else belongs to no board.
    """

    folder: str = ""
    good: OwnBoard = OwnBoard()
    suspect: OwnBoard = OwnBoard()
    flashed: OwnBoard = OwnBoard()
    details: Details = field(default_factory=Details)

    def load(self) -> Loaded:
        """Return the case; InputError says what is missing.

        What was dropped is laid out in a folder of its own, private to this user, which is gone when the case is in
        memory. Private keys never go there: they are handed to the case as they came.
        """
        if self.folder:
            return Loaded(load_case(Path(self.folder)))
        if not any((self.good.files, self.good.text.strip(), self.suspect.files, self.suspect.text.strip())):
            raise InputError(
                "there is no evidence yet", advice="drop the dumps and texts of a board, or choose a bundled case"
            )
        with tempfile.TemporaryDirectory(prefix="h5diag-case-") as name:
            top = Path(name)
            good, suspect, flashed = (
                _written(top / side, b)
                for side, b in (("good", self.good), ("suspect", self.suspect), ("flashed", self.flashed))
            )
            boards = sort_evidence(good + suspect, good=good, suspect=suspect, flashed=flashed, details=self.details)
            found = write_case(boards, top / "case")
            case = load_case(top / "case")
        keys = tuple(_key(u) for b in (self.good, self.suspect, self.flashed) for u in b.files if _is_private(u))
        unused = tuple(f"{e.path.name}: {e.what}" for e in found.unused)
        return Loaded(replace(case, decrypt_keys=(*case.decrypt_keys, *keys)), found.remarks, unused, found.missing)


def _is_private(upload: Upload) -> bool:
    return b"PRIVATE KEY-----" in upload.data[:4096]


def _key(upload: Upload) -> EvidenceFile:
    digest = hashlib.sha256(upload.data).hexdigest()
    return EvidenceFile(upload.name, Path(upload.name), len(upload.data), digest, upload.data)


def _written(folder: Path, board: OwnBoard) -> list[Path]:
    folder.mkdir()
    try:
        base = int(board.base, 0) if board.base.strip() else None
    except ValueError:
        raise InputError(f"{board.base!r} is no address", advice="write it as 0x08000000") from None
    paths, names = [], {u.name for u in board.files}
    for upload in board.files:
        if _is_private(upload):
            continue
        path = folder / upload.name
        write_whole(path, bytes(upload.data))
        paths.append(path)
        if base is not None and path.suffix.lower() == ".bin" and f"{upload.name}.map.json" not in names:
            paths.append(write_sidecar(path, Sidecar(base=base)))
    if board.text.strip():
        path = folder / f"{folder.name}-pasted.txt"
        write_whole(path, board.text)
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
    flashed_files = traitlets.Tuple()
    flashed_base = traitlets.Unicode("")
    good_text = traitlets.Unicode("")
    suspect_text = traitlets.Unicode("")
    good_access = traitlets.Unicode("")
    suspect_access = traitlets.Unicode("")
    good_mode = traitlets.Unicode("")
    suspect_mode = traitlets.Unicode("")
    good_base = traitlets.Unicode("")
    suspect_base = traitlets.Unicode("")
    layout = traitlets.Unicode("")
    chip = traitlets.Unicode("")
    marking = traitlets.Unicode("")
    package = traitlets.Unicode("")

    @property
    def source(self) -> CaseSource:
        """The evidence as it stands now."""
        if self.kind != "own":
            folder = self.bundled if self.kind == "bundled" else self.folder.strip()
            # An empty name must say "no such folder", not fall back to what was dropped.
            return CaseSource(folder=folder or "(no folder named)")
        good = OwnBoard(self.good_files, self.good_text, self.good_base)
        suspect = OwnBoard(self.suspect_files, self.suspect_text, self.suspect_base)
        said = {f.name: getattr(self, f.name).strip() for f in fields(Details) if self.has_trait(f.name)}
        return CaseSource("", good, suspect, OwnBoard(self.flashed_files, base=self.flashed_base), Details(**said))


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
        wide, half = widgets.Layout(width="560px"), widgets.Layout(width="98%", max_width="420px")

        def named(trait: str, label: str, hint: str, offered: tuple[str, ...] = ()) -> widgets.Text:
            how = {"description": label, "placeholder": hint, "continuous_update": False, "layout": half}
            made = widgets.Combobox(options=offered, ensure_option=False, **how) if offered else widgets.Text(**how)
            return linked(model, trait, made)

        kinds = [("A bundled case", "bundled"), ("My own files", "own"), ("A case folder", "folder")]
        self.kind = linked(model, "kind", widgets.ToggleButtons(options=kinds))
        self.bundled = linked(model, "bundled", widgets.Dropdown(options=cases, description="Case", layout=wide))
        self.folder = named("folder", "Folder", "folder with case.toml")
        self.folder.layout = wide
        self.boards = [self._board("good", "A board that works"), self._board("suspect", "The board in question")]
        self.flashed = self._flashed()
        self.layout_choice = named("layout", "Layout", "a preset or a path", tuple(preset_names()))
        self.chip = named("chip", "Chip", "from the evidence", tuple(chip_names()))
        self.marking = named("marking", "Marking", "printed on the part")
        self.package = named("package", "Package", "the vendor's package, as 1.4.0")
        self.clear = widgets.Button(description="Clear files", tooltip="Forget what was dropped")
        about = _half([self.layout_choice, self.chip, self.marking, self.package, self.clear])
        own = widgets.VBox([widgets.HBox(self.boards), widgets.HBox([self.flashed, about])])
        self.pages = {"bundled": self.bundled, "folder": self.folder, "own": own}
        self.page = widgets.VBox()
        self.clear.on_click(lambda _: self._forget())
        model.observe(lambda _: self._show(), ["kind", "good_files", "suspect_files", "flashed_files"])
        super().__init__([self.kind, self.page])
        self._show()

    def _zone(self, side: str, label: str) -> DropZone:
        model, trait = self.model, f"{side}_files"

        def came(upload: Upload) -> None:
            setattr(model, trait, (*(u for u in getattr(model, trait) if u.name != upload.name), upload))

        def gone(name: str) -> None:
            setattr(model, trait, tuple(u for u in getattr(model, trait) if u.name != name))

        zone = DropZone(label, came, gone)
        setattr(self, f"{side}_zone", zone)
        return zone

    def _base(self, side: str) -> widgets.Text:
        box = widgets.Text(placeholder=BASE, layout=widgets.Layout(width="98%"), continuous_update=False)
        return linked(self.model, f"{side}_base", box)

    def _flashed(self) -> widgets.VBox:
        label = "What was to be flashed: your firmware files (.hex, .bin, .elf), flash_layout.h, keys"
        return _half([self._zone("flashed", label), self._base("flashed")])

    def _board(self, side: str, label: str) -> widgets.VBox:
        zone = self._zone(side, f"{label}: dumps read from it, option listings, logs")
        text = widgets.Textarea(
            placeholder=f"{label}: paste what the programmer printed",
            continuous_update=False,
            layout=widgets.Layout(width="98%", height="90px"),
        )
        setattr(self, f"{side}_text", linked(self.model, f"{side}_text", text))
        read = [
            linked(self.model, f"{side}_{name}", widgets.Dropdown(options=known, layout=widgets.Layout(width="98%")))
            for name, known in (("access", ACCESS), ("mode", MODES))
        ]
        return _half([zone, text, *read, self._base(side)])

    def _forget(self) -> None:
        self.model.good_files = self.model.suspect_files = self.model.flashed_files = ()

    def _show(self) -> None:
        for side in ("good", "suspect", "flashed"):
            zone: DropZone = getattr(self, f"{side}_zone")
            zone.files = [[u.name, f"{len(u.data):,} bytes"] for u in getattr(self.model, f"{side}_files")]
        self.page.children = (self.pages[self.model.kind],)


def _half(children: list[Any]) -> widgets.VBox:
    return widgets.VBox(children, layout=widgets.Layout(width="50%"))


def remarks_html(loaded: Loaded) -> str:
    """Return what the loader did not use, escaped: who dropped a file must see it before the answer."""
    return "".join(status_html(f"not used: {u}") for u in loaded.unused)


def hints_html(loaded: Loaded) -> str:
    """Return what was assumed and what would let more be decided, escaped: it belongs below the answer."""
    field = "the field under the drop zone takes an address too" if "0xADDRESS" in "".join(loaded.remarks) else ""
    assumed = section("What was assumed of the files", bullets(filter(None, (*loaded.remarks, field))))
    more = section("What would let more be decided", *missing_parts(loaded.missing), folded=True)
    kept = [x for x in (assumed, more) if x is not None]
    return parts_html(*kept) if kept else ""


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
    return "".join(c if c.isprintable() and c not in '<>:"|?*/' else "_" for c in last).lstrip(".")[:120] or "file"
