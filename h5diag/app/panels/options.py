"""A paste box for option bytes of one or two boards and a side-by-side table that highlights what matters."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets
import traitlets

from h5diag.chip import chip_names
from h5diag.errors import InputError
from h5diag.layout import load_layout, preset_names
from h5diag.measure.options import SideBySide, side_by_side


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
        if not texts:
            self.set_trait("result", ())
            self.set_trait("problem", "")
            return
        try:
            layout = load_layout(self.layout) if self.layout else None
            result = (side_by_side(texts, chip=self.chip, layout=layout),)
        except InputError as error:
            self.set_trait("result", ())
            self.set_trait("problem", str(error))
            return
        self.set_trait("problem", "")
        self.set_trait("result", result)


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
        self.good = widgets.Textarea(
            value=good,
            layout=wide,
            continuous_update=False,
            placeholder="one board, or the good one of two: paste what '-ob displ' printed, an export, registers",
        )
        self.suspect = widgets.Textarea(
            value=suspect,
            layout=wide,
            continuous_update=False,
            placeholder="the board in question, if the first box holds a good one (may stay empty)",
        )
        self.chip = widgets.Dropdown(
            options=[("from the text", ""), *((n, n) for n in chip_names())], description="chip"
        )
        self.layout_choice = widgets.Dropdown(
            options=[("none", ""), *((n, n) for n in preset_names())], value=layout, description="boot loader"
        )
        self.button = widgets.Button(description="Explain", button_style="primary")
        self.problem = widgets.HTML()
        self.table = widgets.HTML()
        for name, widget in (
            ("good", self.good),
            ("suspect", self.suspect),
            ("chip", self.chip),
            ("layout", self.layout_choice),
        ):
            widgets.link((self.model, name), (widget, "value"))
            self.model.observe(lambda _: self.model.explain(), name)
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
