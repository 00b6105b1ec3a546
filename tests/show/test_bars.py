"""Every bar of the terminal tells how long it still takes and how fast it goes, and stands on a line of its own."""

from __future__ import annotations

import io
import re
import stat
import sys

import pytest

from h5diag.app.cli import main
from h5diag.app.panels import parts as work_of_panels
from h5diag.app.panels.parts import Job
from h5diag.show import printing
from h5diag.show.printing import Pace

TELLS = re.compile(r"\d+:\d\d left, \d+(\.\d)? KiB/s")


class Terminal(io.StringIO):
    """Standard error of a person who looks."""

    def isatty(self) -> bool:
        return True


def test_what_was_done_before_is_neither_time_nor_speed_of_now():
    now = [100.0]
    pace = Pace(1 << 20, lambda: now[0])
    pace.begin(0.5)  # an earlier run left half of it done
    assert pace.text(0.5) == ""
    now[0] += 10
    assert pace.text(0.75) == "0:10 left, 26 KiB/s"
    pace.begin(0.75)
    assert pace.text(0.75) == "0:10 left, 26 KiB/s", "only the first call says where it begins"


def test_bytes_that_are_counted_win_over_those_that_were_planned():
    now, moved = [0.0], [0]
    pace = Pace(lambda: moved[0], lambda: now[0])
    pace.begin(0.0)
    now[0], moved[0] = 4.0, 2048
    assert pace.text(0.5) == "0:04 left, 0.5 KiB/s"
    moved[0] = 0
    assert pace.text(0.5) == "0:04 left"


def programmer(folder):
    """A stand-in for STM32CubeProgrammer: writes the dump that it is asked for."""
    path = folder / "STM32_Programmer_CLI"
    path.write_text(
        f"#!{sys.executable}\nimport sys\na = sys.argv\n"
        "if '-r' in a: open(a[-1], 'wb').write(bytes(int(a[a.index('-r') + 2], 0)))\nprint('ok')\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


FLASH = "0x08040000:0x08044000"


@pytest.mark.parametrize(
    ("label", "commands"),
    [
        ("dump", ["dump --probe virtual --range 0x08000000:0x08020000 --out {}/d.bin"]),
        ("sweep", ["dump --probe virtual --range 0x08000000:0x08020000 --out {}/d.bin --sweep"]),
        ("selfcheck", ["selfcheck --probe virtual"]),
        (
            "flash test",
            [f"flashtest --probe virtual --range {FLASH} --allow-erase --level quick --way registers --out {{}}/t"],
        ),
        (
            "restore",
            [
                f"flashtest --probe virtual --range {FLASH} --allow-erase --level quick --way registers --out {{}}/t",
                "flashtest --probe virtual --restore {}/t --force",
            ],
        ),
        ("locate", ["locate data/founding/good.hex data/founding/suspect-1.hex"]),
        ("diagnosing", ["diagnose data/founding"]),
        ("capture", ["capture --run --chip u5 --name good --out {}/c"]),
    ],
)
def test_a_bar_tells_time_and_speed(label, commands, tmp_path, monkeypatch):
    monkeypatch.setattr(printing, "_BAR_AFTER_S", -1.0)
    monkeypatch.setenv("STM32_PROGRAMMER_CLI", programmer(tmp_path))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    for command in commands:
        monkeypatch.setattr(sys, "stderr", Terminal())
        assert main(command.format(tmp_path).split()) == 0, sys.stderr.getvalue()
    lines = re.split(r"[\r\n]", sys.stderr.getvalue())
    bars = [t for t in lines if t.startswith(label + " [")]
    assert TELLS.search(bars[-1]), bars
    assert all(re.fullmatch(rf"{label} \[[#.]{{30}}\] +\d+%  .{{0,24}} *", t) for t in bars), "what is said is below it"


def test_a_job_tells_the_same(monkeypatch):
    job, now, said = Job(), [0.0], []
    monkeypatch.setattr(work_of_panels, "Pace", lambda amount: Pace(amount, lambda: now[0]))

    def work(progress, cancel):
        progress(0.25)
        now[0] += 2
        progress(0.5)
        said.append(job.pace)

    job.start(work, lambda done: None, amount=1 << 20)
    assert said == ["0:04 left, 128 KiB/s"]
