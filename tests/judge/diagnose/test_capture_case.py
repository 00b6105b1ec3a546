"""What the capture script brings home (both aliases, twice, access not told) is enough to judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from h5diag.case import load_case
from h5diag.evidence.files import read_image, write_image
from h5diag.evidence.samples import data_folder
from h5diag.judge import VerdictWord, diagnose
from h5diag.memory import MemoryImage, Segment

ALIAS = 0x04000000


def captured(folder: Path, name: str, secure: MemoryImage, *, masked: bool) -> list[str]:
    """Write a board as the script reads it: each alias a file, twice; zeros where a non-secure reader is masked."""
    names = []
    for pass_number in (1, 2):
        for shift in (-ALIAS, 0):
            segments = []
            for s in secure.segments:
                data = s.data.copy()
                if masked:
                    data[: max(0, 0x0C01E000 - s.start)] = 0
                segments.append(Segment(s.start + shift, data))
            file = f"{name}-{shift < 0}-{pass_number}.hex"
            write_image(MemoryImage(tuple(segments)), folder / file)
            names.append(file)
    return names


def case(folder: Path, *, masked: bool) -> Path:
    source = data_folder() / "founding"
    for text in ("good-ob.txt", "suspect-ob.txt"):
        (folder / text).write_bytes((source / text).read_bytes())
    good, bad = read_image(source / "good.hex"), read_image(source / "suspect-1.hex")
    if not masked:  # the same board seen by a reader that is shown everything: erased where nothing was installed
        segments = []
        for s in bad.segments:
            data = s.data.copy()
            data[: max(0, 0x0C01E000 - s.start)] = 0xFF
            segments.append(Segment(s.start, data))
        bad = MemoryImage(tuple(segments))
    toml = [
        'chip = "stm32h563zi"',
        'layout = "oemirot-2m-overwrite"',
        "[good]",
        f"dumps = {captured(folder, 'good', good, masked=False)}",
        'mode = "hotplug"',
        'options = "good-ob.txt"',
        "[suspect]",
        f"dumps = {captured(folder, 'suspect', bad, masked=masked)}",
        'mode = "hotplug"',
        'options = "suspect-ob.txt"',
    ]
    (folder / "case.toml").write_text("\n".join(toml).replace("'", '"'))
    return folder


def test_both_aliases_zero_and_the_watermark_settle_the_mask(tmp_path):
    board = diagnose(load_case(case(tmp_path, masked=True))).first
    assert board.measured.suspect.reads.reads == 2
    assert board.measured.suspect.both_aliases
    assert board.verdict.hypothesis("masked-read").status.value == "supported"
    assert board.verdict.hypothesis("install-pending").status.value == "supported"
    assert not any("how the dumps were read" in p or "zeros" in p for p in board.verdict.open_points)


def test_without_zeros_there_is_no_mask(tmp_path):
    board = diagnose(load_case(case(tmp_path, masked=False))).first
    assert board.verdict.hypothesis("masked-read").status.value == "excluded"
    assert board.verdict.hypothesis("install-pending").status.value == "supported"
    assert board.verdict.word is not VerdictWord.FAULTY


def test_views_are_never_merged(tmp_path):
    dump = diagnose(load_case(case(tmp_path, masked=True))).first.measured.suspect.dump
    assert not dump.read(0x08018000, 0x08018020).any()
    assert np.array_equal(dump.read(0x080BE000, 0x080BE020), dump.read(0x0C0BE000, 0x0C0BE020))
