"""The slot map: drawn for every state, and clicked; the notebook runs and says what it should."""

from __future__ import annotations

import numpy as np
import pytest

from h5diag.app.panels.results import SlotMap
from h5diag.evidence.files import read_image
from h5diag.evidence.samples import data_folder
from h5diag.layout import load_layout
from h5diag.measure.firmware import Overview, State, examine_firmware
from h5diag.memory import MemoryImage
from h5diag.show.firmware import slot_properties
from h5diag.show.plots import picture
from h5diag.show.plots.slots import LOOKS, plot_slots


@pytest.fixture(scope="module")
def founding() -> Overview:
    layout = load_layout("oemirot-2m-overwrite")
    return examine_firmware(read_image(data_folder() / "founding" / "suspect-1.hex"), layout.chip, layout=layout)


def test_every_state_has_a_look_of_its_own() -> None:
    assert set(LOOKS) == set(State)
    assert len({(look.face, look.hatch) for look in LOOKS.values()}) == len(State)


def test_map_names_slots_states_and_addresses(founding: Overview) -> None:
    ax = plot_slots(founding.slots, selected="secure secondary")
    words = {t.get_text() for t in ax.texts}
    assert {"secure primary", "secure secondary", "non-secure primary", "non-secure secondary"} <= words
    assert "0x080BE000 to 0x080C3FFF" in words
    assert "waits to be installed, 1.2.0+0" in words
    assert sum(1 for p in ax.patches if p.get_linewidth() > 3) == 1
    assert "data:image" in picture(ax, name="slots", alt="four slots")._repr_html_()


def test_empty_map_says_so() -> None:
    assert "layout" in plot_slots(()).texts[0].get_text()
    chip = load_layout("oemirot-2m-overwrite").chip
    nothing = examine_firmware(MemoryImage.from_bytes(np.zeros(64, np.uint8), 0x08000000), chip)
    assert "layout" in SlotMap(nothing.slots).properties.value


def test_a_click_tells_what_is_known(founding: Overview) -> None:
    panel = SlotMap(founding.slots)
    assert "Click a slot" in panel.properties.value
    before = panel.drawing.value
    panel.buttons["secure secondary"].click()
    assert panel.model.selected == "secure secondary"
    assert "install-pending" in panel.properties.value
    assert "trailer magic good" in panel.properties.value
    assert panel.drawing.value != before
    panel.buttons["secure primary"].click()
    assert "mask" in panel.properties.value


def test_facts_begin_with_the_state(founding: Overview) -> None:
    for s in founding.slots:
        properties = slot_properties(s)
        assert properties[0][0] == "state"
        assert properties[1][0] == "next boot"
        assert properties[-1][0] == "slot's trailer"
