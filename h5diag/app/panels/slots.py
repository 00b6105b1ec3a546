"""A slot map that can be clicked: each slot is a button, and a click tells what is known of it."""

from __future__ import annotations

import ipywidgets as widgets
import traitlets

from h5diag.app.panels.parts import status_html, table_html
from h5diag.layout import Role
from h5diag.measure.firmware import Overview, SlotState
from h5diag.show.firmware import slot_facts, slots_words
from h5diag.show.plots import picture
from h5diag.show.plots.slots import LOOKS, plot_slots


class SlotMapModel(traitlets.HasTraits):  # type: ignore[misc]
    """What the map shows: an `Overview` with slots, and the name of the selected slot (empty for none)."""

    overview = traitlets.Instance(Overview)
    selected = traitlets.Unicode("")

    @property
    def state(self) -> tuple[SlotState, ...]:
        """The selected slot's state, or nothing."""
        return tuple(s for s in self.overview.slots if s.slot.name == self.selected)


class SlotMap(widgets.VBox):  # type: ignore[misc]
    """The map over a `SlotMapModel`: buttons in the places of the slots, a drawing, and the facts of the selected one.

    Parameters
    ----------
    overview
        What `examine_firmware` returned, with a layout.
    """

    def __init__(self, overview: Overview) -> None:
        self.model = SlotMapModel(overview=overview)
        self.buttons = {s.slot.name: self._button(s) for s in overview.slots}
        self.drawing = widgets.HTML()
        self.facts = widgets.HTML()
        left = [self.buttons[s.slot.name] for s in overview.slots if s.slot.role is Role.PRIMARY]
        right = [self.buttons[s.slot.name] for s in overview.slots if s.slot.role is Role.SECONDARY]
        grid = widgets.HBox([widgets.VBox(left), widgets.VBox(right)])
        super().__init__([grid, self.drawing, self.facts])
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

    def _show(self) -> None:
        states = self.model.overview.slots
        axes = plot_slots(states, selected=self.model.selected)
        self.drawing.value = picture(axes, name="slots", alt=slots_words(self.model.overview))._repr_html_()
        if not states:
            self.facts.value = status_html("No slots: examine the dump with a layout.")
            return
        rows = [list(fact) for s in self.model.state for fact in slot_facts(self.model.overview, s)]
        self.facts.value = (
            table_html(self.model.selected, ["what", "finding"], rows, "h5-slot")
            if rows
            else status_html("Click a slot.")
        )
