"""A paste box for option bytes of one or two boards and a side-by-side table that highlights what matters."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets
import traitlets

from h5diag.chip import chip_names
from h5diag.errors import InputError
from h5diag.layout import load_layout, preset_names
from h5diag.measure.options import Agreement, Belief, SideBySide, Weight, side_by_side, summary
from h5diag.measure.options.show import value_text

# Okabe-Ito colours on white; every one has a word beside it, so that none has to be seen.
LOOKS = {
    Weight.DECIDES: ("decides", "#D55E00", "#fbe6d9"),
    Weight.MATTERS: ("matters", "#E69F00", "#fdf3de"),
    Weight.MINOR: ("minor", "#0072B2", "#e3eff7"),
    Weight.ARTEFACT: ("not comparable", "#6b6b6b", "#efefef"),
    Weight.SAME: ("same", "#6b6b6b", "#ffffff"),
}
_BELIEFS = {Belief.MASKED: "hidden", Belief.IMPOSSIBLE: "impossible", Belief.UNNAMED: "unknown name"}
_CELL = "style='text-align:left;vertical-align:top;padding:2px 10px;border-bottom:1px solid #ddd'"


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
    """

    def __init__(self, good: str = "", suspect: str = "", *, layout: str = "") -> None:
        self.model = OptionsModel(good=good, suspect=suspect, layout=layout)
        wide = widgets.Layout(width="49%", height="180px")
        self.good = widgets.Textarea(
            value=good,
            layout=wide,
            continuous_update=False,
            placeholder="good board: paste what '-ob displ' printed, an export, registers",
        )
        self.suspect = widgets.Textarea(
            value=suspect, layout=wide, continuous_update=False, placeholder="suspect board (may stay empty)"
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
        self.model.explain()
        self._show()

    def _show(self) -> None:
        problem, results = self.model.problem, self.model.result
        self.problem.value = (
            f"<div role='alert' style='color:#b00020;font-weight:600'>{escape(problem)}</div>" if problem else ""
        )
        hint = "" if problem or results else "<p role='status'>Paste a listing above.</p>"
        self.table.value = "".join(options_html(r) for r in results) or hint


def options_html(result: SideBySide) -> str:
    """Return the table as HTML, everything from outside escaped; it stands on its own, without a kernel."""
    out = [
        "<div role='status' style='font-family:sans-serif;font-size:13px;max-width:1200px;background:#fff;"
        "color:#1a1a1a;padding:6px'>"
    ]
    several = len(result.boards) > 1
    if several:
        count = len(result.diff.differences)
        out.append(f"<h4 style='margin:4px 0 2px'>options that differ: {count or 'none'}</h4>")
        out += _warnings(result.diff.warnings)
        out.append(_table(result, differing=True) if count else "")
    for i, (name, board) in enumerate(zip(result.names, result.boards, strict=True)):
        choice = result.choices[i]
        out.append(f"<h4 style='margin:10px 0 2px'>{escape(name)}: {escape(board.product_state)}</h4>")
        out.append(f"<div>read as {escape(choice.text)}</div>")
        out += _warnings(board.warnings)
        out.append("<ul style='margin:2px 0 6px'>" + "".join(f"<li>{escape(s)}</li>" for s in summary(board)) + "</ul>")
        out += _checks(result, i)
    title, open_ = ("the options that agree", "") if several else ("all options", " open")
    out.append(f"<details{open_}><summary>{title}</summary>{_table(result, differing=False)}</details></div>")
    return "".join(out)


def _warnings(sentences: tuple[str, ...]) -> list[str]:
    return [f"<div style='color:#8a3b00'><b>!</b> {escape(s)}</div>" for s in sentences]


def _checks(result: SideBySide, i: int) -> list[str]:
    if not result.checks:
        return []
    bad = [c for c in result.checks[i] if c.agreement is not Agreement.AGREES]
    good = len(result.checks[i]) - len(bad)
    rows = "".join(f"<li><b>{escape(c.agreement.value)}</b>: {escape(c.text)}</li>" for c in bad)
    return [
        f"<div>boot loader: {good} of {len(result.checks[i])} as it expects"
        f"<ul style='margin:2px 0 6px'>{rows}</ul></div>"
    ]


def _table(result: SideBySide, *, differing: bool) -> str:
    heads = ["", "option", *result.names, "what it means"]
    out = ["<table style='border-collapse:collapse;font-size:13px'><tr>"]
    out += [f"<th {_CELL}>{escape(h)}</th>" for h in heads]
    out.append("</tr>")
    for row in result.rows:
        if (row.weight is not Weight.SAME) != differing:
            continue
        word, line, back = LOOKS[row.weight]
        mark = f"<b style='color:{line}'>{word}</b>" if differing else ""
        cells = []
        for value, belief in zip(row.values, row.beliefs, strict=True):
            note = _BELIEFS.get(belief, "") if isinstance(belief, Belief) else ""
            cells.append(f"<code>{value_text(value)}</code>" + (f" <i>{note}</i>" if note else ""))
        body = [mark, f"<b>{escape(row.name)}</b>", *cells, escape(row.meaning)]
        out.append(
            f"<tr style='background:{back};color:#1a1a1a;border-left:4px solid {line}'>"
            + "".join(f"<td {_CELL}>{c}</td>" for c in body)
            + "</tr>"
        )
    out.append("</table>")
    return "".join(out)
