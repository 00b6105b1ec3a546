"""Sliding one board over the other: the score is that of the bytes, a peak is one click away, the bytes follow."""

from __future__ import annotations

import numpy as np
import pytest

import h5diag as h5
from h5diag.app.panels.results import SlidePanel
from h5diag.errors import InputError
from h5diag.measure.locate import agreement_at
from h5diag.memory import MemoryImage

BASE, MOVED, SIZE = 0x08000000, 0x20000, 0x4000


@pytest.fixture
def panel() -> SlidePanel:
    rng = np.random.default_rng(7)
    content = rng.integers(0, 256, SIZE, np.uint8)
    good, suspect = np.full(0x40000, 0xFF, np.uint8), np.full(0x40000, 0xFF, np.uint8)
    good[:SIZE], suspect[MOVED : MOVED + SIZE] = content, content
    suspect[:SIZE:2] = content[::2]
    made = h5.correlate((good, BASE), (suspect, BASE), chip="h563").interact()
    assert isinstance(made, SlidePanel)
    return made


def test_the_score_is_that_of_the_bytes() -> None:
    content = np.arange(64, dtype=np.uint8)
    good = MemoryImage.from_bytes(content, BASE)
    fill = np.full(64, 0xFF, np.uint8)
    dump = MemoryImage.from_bytes(np.concatenate([fill, content]), BASE)
    assert agreement_at(good, dump, 64) == (64, 64)
    assert agreement_at(good, dump, 48) == (0, 64)
    assert agreement_at(good, dump, 0) == (0, 64)
    half = content.copy()
    half[:16] ^= 0x80
    assert agreement_at(MemoryImage.from_bytes(half, BASE), dump, 64) == (48, 64)
    assert agreement_at(MemoryImage(), dump, 0) == (0, 64)


def test_sliding_moves_score_strip_and_bytes(panel: SlidePanel) -> None:
    before = panel.strip.value
    panel.best.click()
    assert panel.model.displacement == MOVED == panel.slider.value
    assert panel.exact.value == "+0x20000"
    assert "16 KiB of" in panel.score.value
    assert panel.strip.value != before
    assert panel.hex.address == BASE + MOVED
    panel.slider.value = 0
    assert panel.model.displacement == 0
    assert "16 KiB of" not in panel.score.value


def test_a_click_goes_to_the_nearest_peak_and_a_number_can_be_typed(panel: SlidePanel) -> None:
    panel.model.to_peak(MOVED - 0x900)
    assert panel.model.displacement == MOVED
    panel.exact.value = "-0x40"
    assert panel.model.displacement == -0x40
    panel.exact.value = "nonsense"
    assert "hex" in panel.score.value
    assert panel.model.displacement == -0x40
    panel.next.click()
    assert panel.model.displacement in panel.model.peaks


def test_an_exported_notebook_keeps_the_picture(panel: SlidePanel) -> None:
    assert "data:image/svg+xml" in panel._repr_mimebundle_()["text/html"]
    with pytest.raises(InputError, match="no controls"):
        h5.compare((b"a" * 64, BASE), (b"b" * 64, BASE)).interact()
