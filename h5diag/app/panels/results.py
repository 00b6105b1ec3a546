"""The controls of results: bytes, displaced pieces, one board slid over the other, slots, option bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import numpy as np
import traitlets

from h5diag.app.front import correlate, locate
from h5diag.app.panels.parts import Job, JobBar, emptied, linked, status_html, with_still
from h5diag.chip import Chip, chip_names, load_chip
from h5diag.errors import InputError
from h5diag.layout import Layout, Role, load_layout, preset_names
from h5diag.measure.firmware import SlotState
from h5diag.measure.locate import Correlation, Placement, agreement_at
from h5diag.measure.options import SideBySide, side_by_side
from h5diag.memory import AddressRange, Cancel, MemoryImage, Progress
from h5diag.show.firmware import slot_properties, slots_words
from h5diag.show.locate import correlation_words, headline, pieces, signed
from h5diag.show.pages import HexPages, one_view
from h5diag.show.plots import Picture, picture, style
from h5diag.show.plots.locate import plot_correlation
from h5diag.show.plots.picture import live
from h5diag.show.plots.slots import LOOKS, plot_slots
from h5diag.show.sheet import Strip, parts_html, properties
from h5diag.show.spans import spans_of, strip_svg
from h5diag.text import count_text, size_text

Jump = Callable[[int], None]


class LocateModel(traitlets.HasTraits):  # type: ignore[misc]
    """Two dumps, how to search, and what was found: `result` is (Placement, Correlation) or empty."""

    reference = traitlets.Instance(MemoryImage, args=())
    dump = traitlets.Instance(MemoryImage, args=())
    transforms = traitlets.Bool(False)
    deep = traitlets.Bool(False)
    result = traitlets.Tuple()

    def __init__(self, *, layout: Layout | None = None, chip: Chip | None = None, **traits: Any) -> None:
        super().__init__(**traits)
        self.boot_layout, self.chip = layout, chip
        self.job = Job()
        self.observe(lambda _: self._changed(), ["reference", "dump", "transforms", "deep"])

    def run(self) -> None:
        """Search, off the event loop."""
        reference, dump, layout, chip = self.reference, self.dump, self.boot_layout, self.chip
        transforms, deep = self.transforms, self.deep

        def work(progress: Progress, cancel: Cancel) -> tuple[Placement, Correlation]:
            progress(0.0)
            found = locate(
                reference,
                dump,
                layout=layout,
                chip=chip,
                transforms=transforms,
                deep=deep,
                progress=progress,
                cancel=cancel,
            )
            return found, correlate(reference, dump, found, layout=layout, chip=chip, cancel=cancel)

        self.job.start(work, lambda found: self.set_trait("result", found), doing="searching", amount=dump.size)

    def _changed(self) -> None:
        self.job.forget()
        self.result = ()


class LocatePanel(widgets.VBox):  # type: ignore[misc]
    """The view on a `LocateModel`; a click on the plot jumps to the piece nearest to that displacement.

    Parameters
    ----------
    model
        What to show.
    jump
        Called with the address in the dump.
    """

    def __init__(self, model: LocateModel, jump: Jump = lambda address: None) -> None:
        self.model, self._jump = model, jump
        self.bar = JobBar(model.job, "Search again")
        self.transforms, self.deep = (
            linked(model, name, widgets.Checkbox(description=words, indent=False))
            for name, words in (("transforms", "also swapped, inverted, mirrored"), ("deep", "thorough (slower)"))
        )
        self.answer, self.table, self.plot = widgets.HTML(), widgets.HTML(), widgets.Box()
        super().__init__([widgets.HBox([self.transforms, self.deep]), self.bar, self.answer, self.plot, self.table])
        self.bar.run.on_click(lambda _: model.run())
        model.observe(lambda _: self._show(), "result")
        self._show()

    def clicked(self, displacement: float) -> None:
        """Jump to the found piece whose displacement is nearest."""
        regions = self.model.result[0].regions if self.model.result else ()
        if regions:
            self._jump(min(regions, key=lambda r: abs(r.displacement - displacement)).dump_start)

    def _show(self) -> None:
        emptied(self.plot)
        if not self.model.result:
            self.answer.value, self.table.value = status_html("Not searched yet."), ""
            return
        found, correlation = self.model.result
        self.answer.value = status_html(headline(found))
        self.plot.children = (live(plot_correlation(correlation), on_click=lambda x, _: self.clicked(x)),)
        self.table.value = parts_html(pieces(found), caption="Pieces found")


STEP = 16
"""The slider moves by quad-words: content lands on no finer grid."""

HAND = 0.01
"""How near a click must be to a peak, as a share of the whole range: a few pixels."""


class SlideModel(traitlets.HasTraits):  # type: ignore[misc]
    """A correlation with its two images, and the displacement by which the reference is slid."""

    displacement = traitlets.Int(0)

    def __init__(self, correlation: Correlation) -> None:
        super().__init__()
        chip: Chip = correlation.choice.read_as if correlation.choice else load_chip()
        self.correlation = correlation
        self.reference = one_view(chip, correlation.reference or MemoryImage())
        self.dump = one_view(chip, correlation.dump or MemoryImage())
        self.peaks = tuple(sorted(int(d) for d in correlation.displacements[correlation.fraction.argsort()[-40:]]))

    @property
    def score(self) -> tuple[int, int]:
        """Bytes of the dump's content that agree at this displacement, and how many there are."""
        return agreement_at(self.reference, self.dump, self.displacement)

    @property
    def slid(self) -> MemoryImage:
        """The reference at this displacement; what would leave the address space is cut off."""
        return self.reference.crop(max(0, -self.displacement), 1 << 40).shifted(self.displacement)

    def to_peak(self, near: float) -> None:
        """Go to the highest peak that a hand may mean by a displacement, else to the nearest one."""
        c = self.correlation
        height = dict(zip(c.displacements.tolist(), c.fraction.tolist(), strict=True))
        meant = [d for d in self.peaks if abs(d - near) <= (c.span[1] - c.span[0]) * HAND]
        if self.peaks:
            self.displacement = (
                max(meant, key=height.__getitem__) if meant else min(self.peaks, key=lambda d: abs(d - near))
            )


class SlidePanel(widgets.VBox):  # type: ignore[misc]
    """The view on a `SlideModel`: the offset plot, a slider, the score, both boards as strips, and the bytes.

    A click on the plot goes to the nearest peak; the bytes jump to the first place where both agree.

    Parameters
    ----------
    correlation
        Of `h5diag.correlate`, which keeps the images.
    """

    def __init__(self, correlation: Correlation) -> None:
        self.model = SlideModel(correlation)
        low, high = correlation.span
        narrow = style.new_axes(7.0, 4.2)  # fits a laptop's notebook whole
        axes = plot_correlation(correlation, title="Agreement by displacement", ax=narrow)
        self.plot = live(axes, on_click=lambda x, _: self.model.to_peak(x))
        self.slider = widgets.IntSlider(
            min=low // STEP * STEP,
            max=high,
            step=STEP,
            description="slide by",
            readout=False,
            continuous_update=True,
            layout=widgets.Layout(width="min(900px, 90%)"),
        )
        self.exact = widgets.Text(description="exactly", continuous_update=False, layout=widgets.Layout(width="18em"))
        self.best = widgets.Button(description="Best peak", tooltip="Where most bytes agree")
        self.next = widgets.Button(description="Next peak", tooltip="The next peak to the right, then from the left")
        self.score, self.strip, self.hex = widgets.HTML(), widgets.HTML(), HexView()
        super().__init__(
            [
                self.plot,
                self.slider,
                widgets.HBox([self.exact, self.best, self.next]),
                self.score,
                self.strip,
                self.hex,
            ]
        )
        self.slider.observe(lambda change: self._slid(int(change["new"])), "value")
        self.exact.observe(lambda change: self._typed(str(change["new"])), "value")
        self.best.on_click(lambda _: self.model.set_trait("displacement", correlation.winner))
        self.next.on_click(lambda _: self._next())
        self.model.observe(lambda _: self._show(), "displacement")
        self._show()

    def _slid(self, value: int) -> None:
        if abs(self.model.displacement - value) >= STEP:
            self.model.displacement = value

    def _typed(self, text: str) -> None:
        try:
            self.model.displacement = int(text, 16)
        except ValueError:
            self.score.value = status_html("A displacement is hex, such as 0xA6000 or -0x6000.")

    def _next(self) -> None:
        later = [d for d in self.model.peaks if d > self.model.displacement]
        self.model.displacement = (later or list(self.model.peaks) or [0])[0]

    def _show(self) -> None:
        model = self.model
        low, high = self.slider.min, self.slider.max
        self.slider.value = min(max(model.displacement, low), high)
        self.exact.value = signed(model.displacement)
        equal, content = model.score
        names = {m.displacement: m.name for m in model.correlation.marks}
        called = f" ({names[model.displacement]})" if model.displacement in names else ""
        share = f"{100 * equal / content:.3g} %" if content else "nothing"
        self.score.value = status_html(
            f"At displacement {signed(model.displacement)}{called}: {size_text(equal)} of {size_text(content)} of"
            f" content agree, {share}."
        )
        slid = model.slid
        drawing = strip_svg([spans_of(slid), spans_of(model.dump)]) if slid.size or model.dump.size else ""
        self.strip.value = parts_html(Strip(drawing, "the reference, slid, above the dump")) if drawing else ""
        pages = HexPages(slid, model.dump, (f"reference, slid by {signed(model.displacement)}", "dump"))
        self.hex.show(pages)
        first = pages.first_equal()
        if first is not None:
            self.hex.jump(first)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add the offset plot as it is, for an exported notebook that has no kernel."""
        axes, words = plot_correlation(self.model.correlation), correlation_words(self.model.correlation)
        return with_still(super()._repr_mimebundle_(**kwargs), picture(axes, name="offsets", alt=words))


class SlotMapModel(traitlets.HasTraits):  # type: ignore[misc]
    """What the map shows: the states of slots, and the name of the selected one (empty for none)."""

    slots = traitlets.Tuple()
    selected = traitlets.Unicode("")

    @property
    def state(self) -> tuple[SlotState, ...]:
        """The selected slot's state, or nothing."""
        return tuple(s for s in self.slots if s.slot.name == self.selected)


class SlotMap(widgets.VBox):  # type: ignore[misc]
    """The map over a `SlotMapModel`: buttons in the places of the slots, a drawing, and the properties of the selected one.

    Parameters
    ----------
    slots
        The states of the slots, as they were measured; none without a layout.
    """

    def __init__(self, slots: Sequence[SlotState]) -> None:
        self.model = SlotMapModel(slots=tuple(slots))
        self.buttons = {s.slot.name: self._button(s) for s in slots}
        self.drawing, self.properties = widgets.HTML(), widgets.HTML()
        columns = [
            widgets.VBox([self.buttons[s.slot.name] for s in slots if s.slot.role is role])
            for role in (Role.PRIMARY, Role.SECONDARY)
        ]
        super().__init__([widgets.HBox(columns), self.drawing, self.properties])
        self.model.observe(lambda _: self._show(), "selected")
        self._show()

    def _button(self, s: SlotState) -> widgets.Button:
        look = LOOKS[s.state]
        button = widgets.Button(
            description=f"{s.slot.name}: {look.label}",
            tooltip=s.reason,
            layout=widgets.Layout(width="340px", height="44px", border=f"2px solid {look.line}"),
        )
        button.style.button_color = look.face
        button.style.text_color = "#1a1a1a"
        button.on_click(lambda _: self.model.set_trait("selected", s.slot.name))
        return button

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add the drawing as it is, for an exported notebook that has no kernel."""
        return with_still(super()._repr_mimebundle_(**kwargs), self._picture())

    def _picture(self) -> Picture:
        axes = plot_slots(self.model.slots, selected=self.model.selected)
        return picture(axes, name="slots", alt=slots_words(self.model.slots))

    def _show(self) -> None:
        states = self.model.slots
        self.drawing.value = self._picture()._repr_html_()
        if not states:
            self.properties.value = status_html("No slots: examine the dump with a layout.")
            return
        known = [fact for s in self.model.state for fact in slot_properties(s)]
        self.properties.value = (
            parts_html(properties(known), caption=self.model.selected) if known else status_html("Click a slot.")
        )


class OptionsModel(traitlets.HasTraits):  # type: ignore[misc]
    """What was pasted, as what it is read, and what came of it.

    `result` is a tuple with one `SideBySide`, or empty; `problem` says in one line why it is empty.
    """

    good = traitlets.Unicode("")
    suspect = traitlets.Unicode("")
    chip = traitlets.Unicode("")
    layout = traitlets.Unicode("")
    result = traitlets.Tuple()
    problem = traitlets.Unicode("")

    def explain(self) -> None:
        """Read the texts and fill in `result` or `problem`."""
        texts = [(name, text) for name, text in (("good", self.good), ("suspect", self.suspect)) if text.strip()]
        result: tuple[SideBySide, ...] = ()
        problem = ""
        try:
            layout = load_layout(self.layout) if texts and self.layout else None
            result = (side_by_side(texts, chip=self.chip, layout=layout),) if texts else ()
        except InputError as error:
            problem = str(error)
        self.result, self.problem = result, problem


class OptionsPanel(widgets.VBox):  # type: ignore[misc]
    """The panel over an `OptionsModel`: two paste boxes, chip, layout, and the table.

    Parameters
    ----------
    good, suspect
        Texts to begin with; anything that STM32CubeProgrammer printed.
    layout
        Name of a layout preset, empty for none.
    result
        What was read already: shown until something is pasted.
    """

    def __init__(
        self, good: str = "", suspect: str = "", *, layout: str = "", result: SideBySide | None = None
    ) -> None:
        self.model = OptionsModel(good=good, suspect=suspect, layout=layout)
        wide = widgets.Layout(width="49%", height="180px")
        self.good, self.suspect = (
            linked(self.model, name, widgets.Textarea(layout=wide, continuous_update=False, placeholder=hint))
            for name, hint in (
                ("good", "one board, or the good one of two: paste what '-ob displ' printed, an export, registers"),
                ("suspect", "the board in question, if the first box holds a good one (may stay empty)"),
            )
        )
        self.chip, self.layout_choice = (
            linked(self.model, name, widgets.Dropdown(options=[none, *((n, n) for n in known)], description=label))
            for name, label, none, known in (
                ("chip", "chip", ("from the text", ""), chip_names()),
                ("layout", "boot loader", ("none", ""), preset_names()),
            )
        )
        self.button = widgets.Button(description="Explain", button_style="primary")
        self.problem = widgets.HTML()
        self.table = widgets.HTML()
        self.model.observe(lambda _: self.model.explain(), ["good", "suspect", "chip", "layout"])
        self.button.on_click(lambda _: self.model.explain())
        self.model.observe(lambda _: self._show(), ["result", "problem"])
        super().__init__(
            [
                widgets.HBox([self.good, self.suspect]),
                widgets.HBox([self.chip, self.layout_choice, self.button]),
                self.problem,
                self.table,
            ]
        )
        if result is None:
            self.model.explain()
        else:
            self.model.result = (result,)
        self._show()

    def _show(self) -> None:
        problem, results = self.model.problem, self.model.result
        self.problem.value = (
            f"<div role='alert' style='color:#b00020;font-weight:600'>{escape(problem)}</div>" if problem else ""
        )
        hint = "" if problem or results else "<p role='status'>Paste a listing above.</p>"
        self.table.value = "".join(r._repr_html_() for r in results) or hint


_HERE = Path(__file__).resolve().parent


class HexView(anywidget.AnyWidget):  # type: ignore[misc]
    """Two dumps side by side; `address` is the row that is marked, set it to jump there.

    Keys: ``n`` and ``p`` next and previous difference, ``/`` search, ``g`` go to an address, arrows, page keys.

    Parameters
    ----------
    pages
        What to show.
    """

    _esm = _HERE / "hexview.js"
    _css = _HERE / "hexview.css"

    address = traitlets.Int(-1).tag(sync=True)
    blocks = traitlets.List().tag(sync=True)
    marks = traitlets.List().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    both = traitlets.Bool(False).tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)

    def __init__(self, pages: HexPages | None = None) -> None:
        super().__init__()
        self.pages = HexPages(MemoryImage())
        self.on_msg(self._asked)
        if pages is not None:
            self.show(pages)

    def show(self, pages: HexPages) -> None:
        """Show other dumps; what was shown before is gone."""
        self.pages = pages
        with self.hold_sync():
            self.blocks = [[b.start, b.rows] for b in pages.blocks]
            self.marks = [[address, text] for address, text in pages.marks]
            self.names = list(pages.names)
            self.both = bool(pages.right.size)
            self.message = ""
            self.address = self._begin()
            self.version += 1

    def _begin(self) -> int:
        """Return where to begin: at the first difference, else at the first byte."""
        first = self.pages.difference_after(-1) if self.pages.right.size else None
        return first.start if first else self.pages.blocks[0].start if self.pages.blocks else -1

    def jump(self, address: int) -> None:
        """Mark the row of an address of any alias and scroll there; an address that no dump holds is said."""
        address = self.pages.canonical(address)
        if any(address in r for r in (*self.pages.left.ranges, *self.pages.right.ranges)):
            self.message, self.address = "", int(address)
        else:
            self.message = f"0x{address:08X} is in none of the dumps"

    def next_difference(self, *, backward: bool = False) -> None:
        """Jump to the next block of differences, and say which of how many it is."""
        found, at = self.pages.difference_after(self.address, backward=backward), max(self.address, 0)
        blocks = self.pages.differences if found is None or self.pages.counted else None
        if found is not None:
            self.jump(found.start)
            which = "a block"
            if blocks is not None:
                which = f"block {int(np.searchsorted(blocks[:, 0], found.start)) + 1} of {len(blocks)}"
            self.message = f"{which}: {count_text(found.size, 'byte')} from 0x{found.start:08X}"
        elif not self.pages.right.size:
            self.message = "there is nothing to compare it with"
        elif blocks is None or not len(blocks):
            masked = "; what is masked is not compared" if self.pages.masked else ""
            self.message = f"no difference: both hold the same wherever both hold something{masked}"
        else:
            edge, (start, stop) = ("first", blocks[0]) if backward else ("last", blocks[-1])
            edge = "only" if len(blocks) == 1 else edge
            inside = "this is" if start <= at < stop else f"no difference {'before' if backward else 'after'} here:"
            self.message = f"{inside} the {edge} block of differences, {AddressRange(int(start), int(stop))}"

    def search(self, query: str) -> None:
        """Jump to the next place that holds some bytes or a text."""
        try:
            found = self.pages.find(query, self.address)
        except InputError as error:
            self.message = str(error)
            return
        if found is None:
            self.message = f"not found: {query[:60]}"
        else:
            self.jump(found.start)

    def _asked(self, _: object, asked: dict[str, Any], __: object) -> None:
        match asked.get("kind"):
            case "page":
                start, rows = int(asked["start"]), min(int(asked["rows"]), 512)
                left, right, flags = self.pages.page(start, rows)
                self.send(
                    {"kind": "page", "start": start, "rows": rows, "version": self.version},
                    buffers=[left, right, flags],
                )
            case "difference":
                self.next_difference(backward=bool(asked.get("backward")))
            case "search":
                self.search(str(asked.get("query", "")))
            case "goto":
                try:
                    self.jump(int(str(asked.get("query", "")), 16))
                except ValueError:
                    self.message = "an address is hex, such as 0x0C0BE000"
