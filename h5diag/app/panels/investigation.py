"""The whole path on one page: evidence, verdict, pictures, hex view, write-up."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import traitlets

from h5diag.app.front import diagnose
from h5diag.app.panels.evidence import (
    EvidenceModel,
    EvidencePanel,
    Loaded,
    bundled_cases,
    hints_html,
    remarks_html,
)
from h5diag.app.panels.parts import Job, JobBar, emptied, linked, stale_html, status_html, with_still
from h5diag.app.panels.results import HexView, LocateModel, LocatePanel, SlotMap
from h5diag.evidence.samples import data_folder
from h5diag.judge import BoardDiagnosis, Diagnosis, Measured
from h5diag.measure.options import beside
from h5diag.memory import Cancel, Progress
from h5diag.show.diagnosis import board_sheet, correlation_of, slots_table, weighing_table
from h5diag.show.explain import with_tips
from h5diag.show.locate import MANY_PIECES
from h5diag.show.pages import pages_of
from h5diag.show.plots import plot_bits, plot_memory_map
from h5diag.show.plots.locate import plot_dots
from h5diag.show.plots.picture import follow, live
from h5diag.show.report import fragment_html, write_report
from h5diag.show.sheet import Block, Section, Sheet, Table, cleaned, html, parts_html
from h5diag.show.spans import bits_by_sector

WAITING = "Choose the evidence and press Run."


class InvestigationModel(traitlets.HasTraits):  # type: ignore[misc]
    """The evidence, the work, and what came of it.

    `result` is (Loaded, Diagnosis) or empty: it is emptied as soon as the evidence changes. `board` is the index of
    the board that is shown.
    """

    result = traitlets.Tuple()
    board = traitlets.Int(0)

    def __init__(self, case: str = "", diagnosis: Diagnosis | None = None) -> None:
        super().__init__()
        self.evidence, self.job = EvidenceModel(), Job()
        case = case or (str(diagnosis.case.folder) if diagnosis is not None else "")
        if case:
            named = str(data_folder() / case) if "/" not in case and "\\" not in case else case
            inside = named in [folder for _, folder in bundled_cases()]
            self.evidence.kind = "bundled" if inside else "folder"
            setattr(self.evidence, self.evidence.kind, named if inside else case)
        self.evidence.observe(lambda _: self._changed())
        if diagnosis is not None:
            self.result = (Loaded(diagnosis.case), diagnosis)

    @property
    def diagnosis(self) -> Diagnosis | None:
        """The diagnosis, None before there is one."""
        return self.result[1] if self.result else None

    @property
    def current(self) -> BoardDiagnosis | None:
        """The board that is shown, None before there is a diagnosis."""
        return self.result[1].boards[self.board] if self.result else None

    def run(self) -> None:
        """Load the evidence and diagnose it, off the event loop."""
        source, sizes = self.evidence.source, list[int]()

        def work(progress: Progress, cancel: Cancel) -> tuple[Loaded, Diagnosis]:
            loaded = source.load()
            sizes.append(sum(f.size for f in loaded.case.files))
            progress(0.0)
            return loaded, diagnose(loaded.case, progress=progress, cancel=cancel)

        self.job.start(
            work, self._came, doing="reading and comparing", amount=lambda: round(self.job.fraction * sum(sizes))
        )

    def _came(self, result: tuple[Loaded, Diagnosis]) -> None:
        self.board = 0
        self.result = result

    def _changed(self) -> None:
        self.job.forget()
        self.result = ()


class Investigation(widgets.VBox):  # type: ignore[misc]
    """Is this chip faulty? Evidence in, verdict out, with pictures that lead to the bytes.

    Parameters
    ----------
    case
        Name of a bundled case or path of a case folder to begin with.
    diagnosis
        What is known of it already.
    """

    def __init__(self, case: str = "", *, diagnosis: Diagnosis | None = None) -> None:
        self.model = InvestigationModel(case, diagnosis)
        self.evidence = EvidencePanel(self.model.evidence)
        self.bar = JobBar(self.model.job, "Run the diagnosis")
        self.boards = widgets.Dropdown(options=[("", 0)], description="Board", layout=widgets.Layout(display="none"))
        self.remarks, self.verdict, self.hints = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.stale = widgets.HTML()
        self._given: Diagnosis | None = None
        self.map, self.bits, self.dots = widgets.Box(), widgets.Box(), widgets.Box()
        self.axes: tuple[Any, ...] = ()
        self.hex = HexView()
        self.slots, self.findings, self.weighing = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.locate, self.options, self.slot_map = widgets.Box(), widgets.Box(), widgets.Box()
        self.details = widgets.Tab(
            [
                widgets.VBox([self.map, self.bits, self.dots]),
                self.hex,
                widgets.VBox([self.slots, self.slot_map]),
                self.locate,
                self.options,
                self.findings,
                self.weighing,
            ],
            titles=["Pictures", "Bytes", "Slots", "Displaced", "Options", "Findings", "Weighing"],
        )
        self.writing = Job()
        self.write_bar = JobBar(self.writing, "Save the write-up")
        self.target = widgets.Text("h5diag-write-up.html", description="File", continuous_update=False)
        self.redact = widgets.Checkbox(
            description="redacted: no firmware bytes, ids, paths or keys",
            indent=False,
            layout=widgets.Layout(width="auto"),
        )
        wrapped = widgets.Layout(flex_flow="row wrap", align_items="center")
        self.write_up = widgets.VBox([widgets.HBox([self.target, self.redact], layout=wrapped), self.write_bar])
        for widget, name in ((self.verdict, "verdict"), (self.slots, "slots"), (self.hints, "hints")):
            widget.add_class(f"h5-{name}")
        self.below = widgets.VBox([self.verdict, self.hints, self.details, self.write_up])
        super().__init__([self.evidence, self.bar, self.boards, self.stale, self.remarks, self.below])
        self.bar.run.on_click(lambda _: self.model.run())
        self.write_bar.run.on_click(lambda _: self.save())
        linked(self.model, "board", self.boards)
        self.details.observe(lambda _: self._open(), "selected_index")
        self.model.observe(lambda _: self._came(), "result")
        self.model.observe(lambda _: self._show(), "board")
        self._came()

    async def run(self) -> Diagnosis:
        """Press Run, wait, and return the diagnosis; an error is raised, for notebooks that run by themselves."""
        self.bar.run.click()
        if self.model.job.task is not None:
            await asyncio.wait([self.model.job.task])
        self._given = self.model.diagnosis
        self._show_stale()
        if self._given is None:
            raise RuntimeError(self.model.job.problem or "stopped")
        return self._given

    def jump(self, address: int) -> None:
        """Show the bytes at an address of either alias."""
        board = self.model.current
        if board is not None:
            self.hex.jump(board.measured.chip.canonical(address))
            self.details.selected_index = 1

    def save(self) -> None:
        """Write the write-up to the file named."""
        diagnosis, path, redact = self.model.diagnosis, Path(self.target.value), self.redact.value
        if diagnosis is not None:
            self.writing.start(
                lambda progress, cancel: write_report(diagnosis, path, redact=redact),
                lambda written: None,
                doing=f"writing {path.name}",
            )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a static picture of the result, for an exported notebook that has no kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle and self.model.diagnosis is not None:
            bundle = with_still(bundle, self.model.diagnosis.plot())
            bundle["text/html"] = fragment_html(self.model.diagnosis)
        return bundle

    def _came(self) -> None:
        """Offer the boards of a new result, or of none, before the first of them is shown."""
        names = [b.name for b in self.model.diagnosis.boards] if self.model.diagnosis else []
        self.boards.options = [(name, n) for n, name in enumerate(names)] or [("", 0)]
        self.boards.layout.display = "" if len(names) > 1 else "none"
        self._show()

    def _show(self) -> None:
        for box in (self.map, self.bits, self.dots, self.locate, self.options, self.slot_map):
            emptied(box)
        self._show_stale()
        board = self.model.current
        if board is None:
            self.below.children = (self.verdict,)
            self.remarks.value, self.verdict.value = "", status_html(WAITING)
            self.writing.forget()
            return
        loaded, _ = self.model.result
        self.remarks.value, self.hints.value = remarks_html(loaded), hints_html(loaded)
        s = board_sheet(board)
        if self.model.evidence.kind == "own":
            s = replace(s, sections=tuple(_dropping(x) for x in s.sections))
        self.verdict.value = html(replace(s, sections=tuple(x for x in s.sections if not x.folded)))
        self.slots.value = parts_html(slots_table(board.measured), caption="Slots of the boot loader")
        self.findings.value = parts_html(
            *(with_tips(p) for x in s.sections if x.title == "Findings" for p in x.parts if isinstance(p, Table))
        )
        self.weighing.value = parts_html(
            with_tips(weighing_table(board)),
            caption="What moved each cause, in decibans: +10 makes it ten times more likely, +20 a hundred times;"
            " from where it stood before any evidence to where it stands now",
        )
        m = board.measured
        self.hex.show(pages_of(m))
        self._draw(board)
        self._open()
        self.below.children = (self.verdict, self.hints, self.details, self.write_up)

    def _show_stale(self) -> None:
        """Say which case the notebook's cells below are about, once it is no longer the one that is shown here."""
        given, now = self._given, self.model.diagnosis
        same = given is not None and now is not None and _files(given) == _files(now)
        self.stale.value = stale_html(given.case.title) if given is not None and not same else ""

    def _draw(self, board: BoardDiagnosis) -> None:
        """Draw the live plots; where pieces were found, a zoom of the map and one of the dot plot move each other."""
        first = plot_memory_map(board)
        self.axes = (first,)
        self.map.children = (live(first, on_click=lambda x, _: self.jump(int(x))),)
        m = board.measured
        if bits_by_sector(m):
            self.bits.children = (live(plot_bits(board)),)
        if len(m.placement.regions) >= MANY_PIECES:
            second, piece = plot_dots(m.placement), m.placement.regions[0].reference_start
            alias = piece - m.chip.canonical(piece)
            follow(first, second, lambda x: x + alias, lambda x: x - alias)
            self.axes = (first, second)
            self.dots.children = (live(second, on_click=lambda _, y: self.jump(int(y))),)

    def _open(self) -> None:
        """Build what a tab holds when it is opened for the first time."""
        board, title = self.model.current, self.details.get_title(self.details.selected_index or 0)
        if board is None:
            return
        m = board.measured
        layout = m.layouts[0] if m.layouts else None
        if title == "Displaced" and not m.has_good:
            self.locate.children = (widgets.HTML(status_html(NO_SEARCH)),)
        elif title == "Displaced" and not self.locate.children:
            model = LocateModel(layout=layout, chip=m.chip, reference=m.good.judged, dump=m.suspect.judged)
            model.result = (m.placement, correlation_of(m))
            self.locate.children = (LocatePanel(model, self.jump),)
        elif title == "Options" and not self.options.children:
            self.options.children = (widgets.HTML(_options_html(m)),)
        elif title == "Slots" and not self.slot_map.children:
            self.slot_map.children = (SlotMap(m.suspect.slots),)


NO_SEARCH = (
    "No dump of a board that works was given, so nothing was searched for. Where each file stands, and where not, is told"
    " in the verdict above and under Findings."
)
_ADD = re.compile(r"h5diag case CASE_DIR ([^\s()]{1,200})")


def _dropping(x: Section) -> Section:
    """Return a section with what is dropped here instead of what would be typed about a case folder that is not there."""

    def by(text: str) -> str:
        text = _ADD.sub(lambda m: f"drop {'the file' if m[1] == 'FILE' else m[1]} above", text)
        return text.replace("h5diag diagnose CASE_DIR", "press Run the diagnosis")

    typed = [p for p in x.parts if isinstance(p, Block) and _ADD.fullmatch(p.text.strip())]
    kept = [p for p in x.parts if p not in typed and not (typed and p == "Type:")]
    return cleaned(Sheet("", (replace(x, parts=tuple(kept)),)), by).sections[0]


def _files(d: Diagnosis) -> list[tuple[str, str, str]]:
    return [(d.case.title, f.name, f.sha256) for f in d.case.files]


def _options_html(m: Measured) -> str:
    """Return the option bytes as they were measured, and the picture of what they protect."""
    chips = ((m.good, m.good_choice or m.choice), (m.suspect, m.choice))
    known = [(b.board.name, b.options, c) for b, c in chips if b.options.settings]
    if not known:
        return status_html("No option bytes were given.")
    names, boards, choices = zip(*known, strict=True)
    both = beside(names, boards, choices, m.layouts[0] if m.layouts else None)
    return both._repr_html_() + str(both.plot()._repr_html_())
