"""The paste box and its table, without a kernel and in the notebook."""

import pytest
from cubeprog_texts import EXPORT, L5_LISTING, REGISTERS_MDW, h5_listing, provisioning_listing

from h5diag.app.panels.results import OptionsPanel


def test_an_empty_panel_says_what_to_do():
    panel = OptionsPanel()
    assert "Paste a listing" in panel.table.value
    assert panel.problem.value == ""


@pytest.mark.parametrize("text", [h5_listing(), EXPORT, REGISTERS_MDW, L5_LISTING])
def test_pasting_explains(text):
    panel = OptionsPanel()
    panel.good.value = text
    assert "are secure" in panel.table.value
    assert len(panel.model.result[0].boards) == 1
    assert panel.problem.value == ""


def test_two_boards_side_by_side():
    panel = OptionsPanel(h5_listing(), provisioning_listing(SECWM1_END=0x7F))
    html = panel.table.value
    assert html.index("Options that differ") < html.index("good: PRODUCT_STATE Open")
    assert html.index(">!!<") < html.index(">~<")
    assert "sectors 15 to 127" in html
    assert "reads zero to this reader, not known" in html
    panel.suspect.value = ""
    assert "Options that differ" not in panel.table.value


def test_layout_and_chip_can_be_chosen():
    panel = OptionsPanel(h5_listing({"SECWM1_END": 0x7F}))
    assert "The boot loader" not in panel.table.value
    panel.layout_choice.value = "oemirot-2m-overwrite"
    assert "OEMiROT stops at its" in panel.table.value
    panel.chip.value = "stm32h563zg"
    assert panel.model.result[0].boards[0].chip.name == "stm32h563zg"


def test_a_bad_text_is_an_error_in_the_panel_and_a_good_one_heals_it():
    panel = OptionsPanel(h5_listing())
    panel.good.value = "hello"
    assert "not one option line" in panel.problem.value
    assert "role='alert'" in panel.problem.value
    assert panel.table.value == ""
    panel.good.value = h5_listing()
    assert panel.problem.value == ""
    panel.button.click()
    assert "are secure" in panel.table.value


def test_everything_from_outside_is_escaped():
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    text = h5_listing(texts={"TZEN": f"({evil})"}) + f"     XYZ_NEW      : 0x12 ({evil})\n"
    panel = OptionsPanel(text, text + "     A_B          : 0x1 (x)\n")
    for html in (panel.table.value, panel.model.result[0]._repr_html_()):
        assert "<script" not in html
        assert "<img" not in html
    panel.good.value = evil
    assert "<script" not in panel.problem.value + panel.table.value
