"""The plots show what was found; the panel starts nothing that was not meant."""

import pytest

from h5diag.app.panels.flashtest import FlashTestPanel, danger_html
from h5diag.errors import InputError
from h5diag.show.plots import picture
from h5diag.show.plots.flashtest import plot_fault_bits, plot_sectors

from .support import FIRST, QUICK, make_chip, run


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    chip = make_chip(f"stuck-bit@{FIRST + 8}-{FIRST + 12},bit=9,value=1")
    return run(chip, tmp_path_factory.mktemp("x") / "t")


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_sectors_and_kinds(faulty):
    ax = plot_sectors(faulty)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["verdict", "stuck-at-1"]
    assert texts(ax) == ["1"]
    assert len(ax.patches) == 3
    assert {p.get_hatch() for p in ax.patches} >= {"xxx"}, "a second channel beside the colour"
    assert picture(ax, name="x", alt="x").data.startswith(b"<?xml")


def test_bits(faulty):
    ax = plot_fault_bits(faulty)
    heights = [p.get_height() for p in ax.patches]
    assert sum(heights) == 1
    assert heights[32 + 9] == 1


def test_nothing_found(tmp_path):
    result = run(make_chip(), tmp_path / "t")
    assert "no fault with a known bit" in texts(plot_fault_bits(result))
    assert [t.get_text() for t in plot_sectors(result).get_yticklabels()] == ["verdict"]


def panel_for(tmp_path, probe="virtual:link=memory"):
    return FlashTestPanel(probe, QUICK, str(tmp_path / "t"))


def test_the_danger_is_plain(tmp_path):
    text = danger_html(panel_for(tmp_path).model)
    for word in ("erases", "0x08040000 to 0x08043FFF", "decrypted", "Not tested", "minutes", "erase cycles"):
        assert word in text


@pytest.mark.parametrize(
    ("tick", "typed"),
    [(False, ""), (True, ""), (False, "0x08040000:0x08044000"), (True, "0x08040000:0x08042000"), (True, "yes")],
)
def test_it_cannot_be_started_by_accident(tmp_path, tick, typed):
    panel = panel_for(tmp_path)
    panel.understood.value, panel.typed.value = tick, typed
    assert panel.bar.run.disabled
    panel.bar.run.click()
    assert "not armed" in panel.bar.alert.value
    with pytest.raises(InputError, match="armed"):
        panel.model.start()
    assert not (tmp_path / "t").exists()


def test_it_runs_when_it_is_meant_and_is_disarmed_again(tmp_path):
    panel = panel_for(tmp_path, f"virtual:link=memory+stuck-bit@{FIRST}-{FIRST + 4}")
    panel.understood.value, panel.typed.value = True, " 0x08040000:0X08044000 "
    assert not panel.bar.run.disabled
    panel.bar.run.click()
    assert panel.model.job.problem == ""
    (result,) = panel.model.result
    assert result.counted("bad") == 1
    assert "1 of 2 sectors fail" in panel.out.value
    assert not panel.understood.value
    assert panel.bar.run.disabled


def test_it_puts_contents_back(tmp_path):
    panel = panel_for(tmp_path, "virtual:link=memory+unplug,after=0x20000")
    panel.understood.value, panel.typed.value = True, panel.model.phrase
    panel.bar.run.click()
    assert panel.model.job.problem
    panel.back.click()
    assert panel.model.restored or panel.model.job.problem


def test_the_folder_name_is_escaped(tmp_path):
    panel = FlashTestPanel("<b>", QUICK, "<script>")
    assert "<script>" not in panel.danger.value
