"""What a redacted copy costs: about what the open one does, however many boards and ids the case has."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from h5diag.app.cli import main
from h5diag.case import load_case
from h5diag.judge import Diagnosis, diagnose
from h5diag.show import report
from h5diag.show.report import render_html
from h5diag.show.report.sieve import MIN_DISTINCT, WINDOW, make_sieve
from tests.work import calls


def lot(folder: Path, boards: int) -> Path:
    """Boards that each have an id and a dump of their own."""
    draw, toml = Random(boards), 'title = "lot"\n[good]\ndumps = ["good.bin"]\n'
    good = draw.randbytes(2048)
    folder.mkdir()
    (folder / "good.bin").write_bytes(good)
    for i in range(boards):
        (folder / f"{i}.bin").write_bytes(draw.randbytes(2048) if i % 2 else good)
        sidecar = {"base": 0x08000000, "uid": draw.randbytes(12).hex()}
        (folder / f"{i}.bin.map.json").write_text(json.dumps(sidecar))
        toml += f'[[suspects]]\nname = "board {i}"\ndumps = ["{i}.bin"]\n'
    (folder / "case.toml").write_text(toml)
    return folder


def test_a_redacted_copy_takes_about_the_work_of_the_open_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PICTURED", 0)  # pictures take far longer than texts, and no more when redacted

    def work(diagnosis: Diagnosis, redact: bool) -> int:
        return calls(lambda: render_html(diagnosis, redact=redact), 3_000_000)

    few, many = (diagnose(load_case(lot(tmp_path / str(n), n))) for n in (20, 60))
    render_html(few, redact=True)  # what is imported first is nobody's work
    assert work(many, True) < 1.8 * work(many, False)
    assert work(many, True) < 3.3 * work(few, True)


def test_the_firmware_is_looked_through_once_for_all_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, real = [], report.make_redactor
    monkeypatch.setattr(report, "make_redactor", lambda *a, **k: made.append(1) or real(*a, **k))
    case = str(lot(tmp_path / "lot", 2))
    more = ["--csv", str(tmp_path / "a.csv"), "--report", str(tmp_path / "a.md"), "--json"]
    assert main(["diagnose", case, "--redact", *more]) == 0
    assert len(made) == 1


def test_a_sieve_holds_the_windows_of_four_values_and_more_and_no_others() -> None:
    draw = Random(9)
    data = bytes(draw.choice(b"\x00\x01\x02\x03\x04") for _ in range(4096)) + draw.randbytes(4096)
    windows = [data[i : i + WINDOW] for i in range(len(data) - WINDOW + 1)]
    expected = sorted({int.from_bytes(w, "little") for w in windows if len(set(w)) >= MIN_DISTINCT})
    sieve = make_sieve([np.frombuffer(data, np.uint8)])
    assert sieve.windows.tolist() == expected
    mixed = np.frombuffer(draw.randbytes(5000) + data[100:140] + draw.randbytes(5000), np.uint8)
    inside = {5000 + i for i in range(33) if len(set(data[100 + i : 108 + i])) >= MIN_DISTINCT}
    assert set(sieve.hits(mixed).tolist()) == inside
    assert not make_sieve([]).hits(mixed).size


def test_a_run_that_stands_there_twice_is_found_twice_and_none_across_two(tmp_path: Path) -> None:
    data = Random(4).randbytes(64)
    sieve = make_sieve([np.frombuffer(data, np.uint8)])
    run, half = data[8:32].hex(), (data[:4].hex() + "0" * 8, "0" * 8 + data[4:8].hex())
    text = f"<p>{run}</p> {half[0]}zz{half[1]} <p>{run}</p>"
    assert sieve.without_spelled(text) == (f"<p>[bytes removed]</p> {half[0]}zz{half[1]} <p>[bytes removed]</p>")
