"""Where chunks of zeros are a reading path's: as large as such a probe leaves out, aligned, and full of content elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

import h5diag as h5
from h5diag.measure.repeats import ReadPattern, compare_reads
from h5diag.memory import MemoryImage

BASE = 0x08000000
CONTENT = np.random.default_rng(11).integers(1, 256, 0x4000, np.uint8)


def image(data: np.ndarray) -> MemoryImage:
    return MemoryImage.from_bytes(data.tobytes(), BASE)


@pytest.mark.parametrize(
    ("start", "size", "told"),
    [
        (0x440, 0x40, True),
        (0x440, 0x400, True),
        (0x440, 0x440, False),  # more than a probe leaves out at a time
        (0x440, 0x50, False),  # no whole chunks
        (0x450, 0x40, False),  # chunks begin at their own size
        (0x0, 0x2000, False),  # a whole sector is what a mask shows
    ],
)
def test_zeros_are_chunks_up_to_a_kibibyte(start, size, told, tmp_path):
    suspect = CONTENT.copy()
    suspect[start : start + size] = 0
    h5.write_memory(image(CONTENT), tmp_path / "good.hex")
    h5.write_memory(image(suspect), tmp_path / "suspect.hex")
    (tmp_path / "case.toml").write_text('[good]\ndumps = ["good.hex"]\n[suspect]\ndumps = ["suspect.hex"]\n')
    found = {f.id for f in h5.diagnose(tmp_path).first.findings}
    assert ("zero-chunks" in found) is told
    assert ("no-transport-damage" in found) is not told


@pytest.mark.parametrize(("filled", "pattern"), [(16, False), (17, True), (64, True)])
def test_a_chunk_of_zeros_is_one_where_another_read_has_content(filled, pattern):
    """A quarter of its bytes or less may be zero in flash as well, and be lost one by one."""
    whole = CONTENT.copy()
    whole[0x400:0x440] = 0
    whole[0x400 : 0x400 + filled] = 0x5A
    other = whole.copy()
    other[0x400:0x440] = 0
    found = compare_reads([image(whole), image(other)])
    assert (found.pattern is ReadPattern.CHUNKS) is pattern
