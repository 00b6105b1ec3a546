"""The paste box and its table, without a kernel and in the notebook."""

from pathlib import Path

import nbformat
import pytest
from cubeprog_texts import EXPORT, L5_LISTING, REGISTERS_MDW, h5_listing, provisioning_listing
from nbclient import NotebookClient

from h5diag.app.panels.options import LOOKS, OptionsPanel, options_html
from h5diag.measure.options import Weight

NOTEBOOK = Path(__file__).parents[3] / "notebooks" / "02_option_bytes.ipynb"


def test_every_weight_has_a_word_and_a_look():
    assert set(LOOKS) == set(Weight)
    assert len({word for word, _, _ in LOOKS.values()}) == len(Weight)


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
    assert html.index("options that differ") < html.index("good: Open")
    assert html.index(">decides<") < html.index(">not comparable<")
    assert "sectors 15 to 127" in html
    assert "<i>hidden</i>" in html
    panel.suspect.value = ""
    assert "options that differ" not in panel.table.value


def test_layout_and_chip_can_be_chosen():
    panel = OptionsPanel(h5_listing({"SECWM1_END": 0x7F}))
    assert "boot loader:" not in panel.table.value
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
    for html in (panel.table.value, options_html(panel.model.result[0])):
        assert "<script" not in html
        assert "<img" not in html
    panel.good.value = evil
    assert "<script" not in panel.problem.value + panel.table.value


def test_the_notebook_runs_and_says_what_it_should(tmp_path):
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    assert len(book.cells) <= 20
    assert not any(c.cell_type == "code" and (c.outputs or c.execution_count) for c in book.cells)
    book.cells.append(
        nbformat.v4.new_code_cell(
            "panel.suspect.value = panel.good.value.replace('0xB4 ', '0xC3 ')\nprint(panel.table.value)\n"
            "print([d.name for d in boards.diff.differences if d.comparable])"
        )
    )
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(o.get("text", "") for o in book.cells[-1].outputs)
    assert "Without TrustZone nothing is secure" in said
    assert "['PRODUCT_STATE']" in said
    printed = "".join(o.get("text", "") for c in book.cells for o in c.get("outputs", ()))
    assert "are secure: 0x0C000000 to 0x0C01DFFF" in printed
    assert "unreadable" in printed
