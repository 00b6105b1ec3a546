"""What CONTRIBUTING.md says works as written: each way is walked in a copy of the package, with a made-up one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WAYS = ("chip", "family", "finding", "cause", "file format", "text kind", "panel")
INDEX = "from h5diag.chip.files import write_index; write_index()"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package that may be changed."""
    shutil.copytree(ROOT / "h5diag", tmp_path / "h5diag", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "h5diag"


def run(copy: Path, code: str) -> str:
    known = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=known | {"PYTHONPATH": str(copy.parent), "H5DIAG_DATA": str(ROOT / "data")},
        cwd=copy.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def edit(path: Path, after: str, text: str) -> None:
    """Put lines behind the first line that begins with `after`."""
    lines = path.read_text("utf-8").split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith(after))
    lines[at + 1 : at + 1] = text.rstrip("\n").split("\n")
    path.write_text("\n".join(lines), "utf-8")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text("utf-8").rstrip("\n") + "\n\n" + text, "utf-8")


@pytest.mark.parametrize("way", WAYS)
def test_each_way_is_told_in_ten_lines(way: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    told = re.search(rf"## Add an? {way}\n\n(.*?)(?:\n## |\Z)", text, re.DOTALL)
    assert told is not None
    assert 1 <= len(told[1].strip().split("\n")) <= 10


def test_every_file_that_it_names_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for name in re.findall(r"`((?:h5diag|tests|docs)/[\w./]+)`", text):
        if not name.endswith(("/x.py", "/SERIES.toml")):
            assert (ROOT / name).exists(), name


def test_a_chip(copy: Path) -> None:
    chips = copy / "chip" / "chips"
    text = (chips / "stm32h562zg.toml").read_text("utf-8")
    text = (
        text.replace("STM32H562ZG (1 MiB)", "STM32H569ZG (1 MiB)")
        .replace("h562-1m", "h569")
        .replace("stm32h562?g", "stm32h569?g")
    )
    (chips / "stm32h569zg.toml").write_text(text, "utf-8")
    run(copy, INDEX)
    assert run(copy, "from h5diag.chip import load_chip; print(load_chip('h569').flash.size)") == str(1 << 20)


def test_a_family(copy: Path) -> None:
    (copy / "chip" / "devices" / "stm32zz.toml").write_text(
        'series = "STM32ZZ"\nref = "made up"\n[[device]]\ndev_id = 0x7A7\nname = "STM32ZZ1"\ncpu = "Cortex-M0+"\n'
        'traits = ["rdp"]\nerased = 0xFF\nprogram_unit = 8\noptions = []\n'
        "geometry = [{size = 0x8000, banks = [{base = 0x08000000, sectors = [[16, 0x800]]}]}]\n",
        "utf-8",
    )
    run(copy, INDEX)
    said = run(
        copy, "from h5diag.chip import choose_chip; c = choose_chip(dev_ids=(0x7A7,)); print(c.chip, c.device.name)"
    )
    assert said == "None STM32ZZ1"


MEASURE = (
    "from pathlib import Path; from h5diag.case import CaseBoard, Case; from h5diag.judge import diagnose;"
    "c = Case('t', Path('.'), suspects=(CaseBoard('b', marking='{marking}'),));"
    "print([f.claim for f in diagnose(c).first.findings if f.id == 'made-up'], '{cause}' in "
    "[h.id for h in diagnose(c).first.verdict.hypotheses])"
)


def test_a_finding_and_a_cause(copy: Path) -> None:
    judge = copy / "judge"
    words = 'name = "gremlins"\ntext = "gremlins"\nplain = "Small, and fond of boards."\nmeans = "Feed them."\n'
    append(judge / "causes.toml", f"[gremlins]\nprior = -12\n{words}")
    append(
        judge / "findings.toml",
        '[made-up]\nwords = "The marking has {count:#letter}."\npoints = "neither"\nmoves = { gremlins = 3 }\n',
    )
    append(
        judge / "checks" / "options.py",
        "def check_made_up(m: Measured) -> tuple[Finding, ...]:\n"
        '    """Is the marking a made-up one?"""\n'
        '    marking = m.suspect.board.marking or ""\n'
        '    return (found("made-up", count=len(marking)),) if marking.startswith("GREMLIN") else ()\n',
    )
    faces = judge / "checks" / "__init__.py"
    edit(faces, "from h5diag.judge.checks.options import (", "    check_made_up,")
    edit(faces, "CHECKS: tuple[Check, ...] = (", "    check_made_up,")
    assert run(copy, MEASURE.format(marking="GREMLIN7", cause="gremlins")) == "['The marking has 8 letters.'] True"
    assert run(copy, MEASURE.format(marking="STM32H563ZIT6", cause="gremlins")) == "[] True"


def test_a_file_format(copy: Path, tmp_path: Path) -> None:
    files = copy / "evidence" / "files"
    (files / "made_up.py").write_text(
        "from h5diag.memory import Segment\nimport numpy as np\n\n\ndef read_made_up(file):\n    data = file.data\n"
        "    return (Segment(int.from_bytes(data[4:8], 'little'), np.frombuffer(data[8:], np.uint8)),)\n",
        "utf-8",
    )
    edit(files / "kind.py", "class Kind(Enum):", '    """The kinds of memory files."""\n\n    MADE_UP = "made-up"')
    edit(files / "kind.py", "SUFFIXES = {", '    ".mup": Kind.MADE_UP,')
    text = (files / "kind.py").read_text("utf-8")
    text = re.sub(
        r'(\n    if head\.startswith\(b"\\x7fELF"\):)',
        r'\n    if head.startswith(b"MUP1"):\n        return Kind.MADE_UP\1',
        text,
        count=1,
    )
    (files / "kind.py").write_text(text, "utf-8")
    text = (
        (files / "reading.py")
        .read_text("utf-8")
        .replace("_READERS = {", "_READERS = {Kind.MADE_UP: ('made_up', 'read_made_up'), ", 1)
    )
    (files / "reading.py").write_text(text, "utf-8")
    (tmp_path / "a.mup").write_bytes(b"MUP1" + (0x08000000).to_bytes(4, "little") + bytes(32))
    path = str(tmp_path / "a.mup")
    code = f"from h5diag.evidence.files import read_image; i = read_image({path!r}); print(hex(i.span.start), i.size)"
    assert run(copy, code) == "0x8000000 32"


def test_a_text_kind(copy: Path) -> None:
    texts = copy / "evidence" / "texts"
    edit(texts / "log.py", "class LogKind(Enum):", '    """What a text is."""\n\n    MADE_UP = "made-up"')
    append(
        texts / "tools.toml",
        '[[tool]]\nname = "Gremlin"\nkind = "made-up"\nmarks = [\'^gremlin \\d\']\nref = "made up"\n'
        "fields = [{ field = \"dev_id\", pattern = 'identity ?= ?0x([0-9a-f]{3})' }]\n",
    )
    code = "from h5diag.evidence.texts import parse_log; g = parse_log('Gremlin 7\\nidentity = 0x484\\n'); print(g.kind.value)"
    assert run(copy, code) == "made-up"


def test_a_panel(copy: Path) -> None:
    panels = copy / "app" / "panels"
    (panels / "made_up.py").write_text(
        "from html import escape\n\nimport ipywidgets as widgets\nimport traitlets\n\n\n"
        "class MadeUpModel(traitlets.HasTraits):\n    name = traitlets.Unicode('')\n\n\n"
        "class MadeUpPanel(widgets.VBox):\n    def __init__(self, model):\n        self.answer = widgets.HTML()\n"
        "        model.observe(lambda c: setattr(self.answer, 'value', escape(c['new'])), 'name')\n"
        "        super().__init__([self.answer])\n",
        "utf-8",
    )
    edit(
        panels / "__init__.py",
        "from h5diag.app.panels.evidence",
        "from h5diag.app.panels.made_up import MadeUpModel, MadeUpPanel",
    )
    code = (
        "from h5diag.app.panels import MadeUpModel, MadeUpPanel; m = MadeUpModel(); p = MadeUpPanel(m);"
        "m.name = '<b>'; print(p.answer.value)"
    )
    assert run(copy, code) == "&lt;b&gt;"
