"""Where did the pieces land? The search for displaced content as a panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import traitlets

from h5diag.app.panels.parts import JobBar, status_html
from h5diag.app.panels.work import Job
from h5diag.chip import Chip
from h5diag.layout import Layout
from h5diag.measure.locate import Correlation, Placement, correlate, locate
from h5diag.memory import Cancel, MemoryImage, Progress
from h5diag.show.locate import headline, pieces
from h5diag.show.plots.live import live
from h5diag.show.plots.locate import plot_correlation
from h5diag.show.sheet import parts_html

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
        self.transforms = widgets.Checkbox(description="also swapped, inverted, mirrored", indent=False)
        self.deep = widgets.Checkbox(description="thorough (slower)", indent=False)
        widgets.link((model, "transforms"), (self.transforms, "value"))
        widgets.link((model, "deep"), (self.deep, "value"))
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
        for child in self.plot.children:
            child.close()
        if not self.model.result:
            self.plot.children, self.answer.value, self.table.value = (), status_html("Not searched yet."), ""
            return
        found, correlation = self.model.result
        self.answer.value = status_html(headline(found))
        self.plot.children = (live(plot_correlation(correlation), on_click=lambda x, _: self.clicked(x)),)
        self.table.value = parts_html(pieces(found), caption="Pieces found")
