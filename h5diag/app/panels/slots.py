"""A slot map that can be clicked: each slot is a button, and a click tells what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import traitlets

from h5diag.app.panels.parts import status_html, with_still
from h5diag.layout import Role
from h5diag.measure.firmware import SlotState
from h5diag.show.firmware import slot_properties, slots_words
from h5diag.show.plots import Picture, picture
from h5diag.show.plots.slots import LOOKS, plot_slots
from h5diag.show.sheet import parts_html, properties


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
