"""`h5diag lab` copies and never overwrites; `h5diag app` says what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from h5diag.app import lab
from h5diag.app.cli import main
from h5diag.evidence.samples import notebook_folder
from h5diag.errors import InputError


def test_everything_is_copied_and_nothing_overwritten(tmp_path: Path) -> None:
    first = lab.copy_out(tmp_path / "work")
    assert first.kept == ()
    for path in notebook_folder().glob("*.ipynb"):
        assert (tmp_path / "work" / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "work" / "data" / "founding" / "case.toml").is_file()
    assert not [n for n in first.written if "__pycache__" in n or n.endswith(".pyc")]
    mine = first.first
    mine.write_text("my own work", encoding="utf-8")
    (tmp_path / "work" / "data" / "founding" / "good.hex").unlink()
    again = lab.copy_out(tmp_path / "work")
    assert mine.read_text("utf-8") == "my own work"
    assert again.written == (str(Path("data/founding/good.hex")),)
    assert lab.FIRST in again.kept


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--copy-only", "--json", "--dir", str(tmp_path / "w")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert Path(document["first"]).is_file()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert main(["lab", "--copy-only", "--dir", str(tmp_path / "file")]) == 2
    assert "--dir" in capsys.readouterr().err


def test_the_server_is_for_this_machine_only(tmp_path: Path) -> None:
    copied = lab.copy_out(tmp_path / "w")
    for command in (lab.lab_command(copied), lab.app_command(copied, port=8866)):
        assert next(a for a in command if "ip=" in a).endswith("127.0.0.1")
        assert str(copied.first.resolve()) in command
        assert "-P" in command
    settings = json.loads((lab.SETTINGS / "overrides.json").read_text("utf-8"))
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert settings["@jupyterlab/notebook-extension:tracker"]["windowingMode"] == "none"
    assert (lab.SETTINGS / "overrides.json").is_relative_to(Path(lab.__file__).parent)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
def test_a_server_never_outlives_its_command(tmp_path: Path) -> None:
    server = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    code = (
        f"import sys; from pathlib import Path; from h5diag.app.lab import run; run([sys.executable, '-c', {server!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        end = time.monotonic() + 60
        while not ((tmp_path / "pid").is_file() and (tmp_path / "pid").read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        process.terminate()
        process.wait(60)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_without_voila_one_clear_line_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lab.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError):
        lab.require_voila()
    assert main(["app", "--dir", str(tmp_path / "w")]) == 2
    assert "pip install 'h5diag[app]'" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_options_go_on_to_jupyter_and_root_is_told_what_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(lab, "run", lambda command, token="": commands.append(list(command)) or 0)
    monkeypatch.setattr(lab.os, "geteuid", lambda: 1000, raising=False)
    folder = str(tmp_path / "w")
    assert main(["lab", "--dir", folder, "--no-browser", "--", "--port", "9999"]) == 0
    assert commands[-1][-2:] == ["--port", "9999"]
    assert "--allow-root" not in commands[-1]
    monkeypatch.setattr(lab.os, "geteuid", lambda: 0, raising=False)
    capsys.readouterr()
    assert main(["lab", "--dir", folder]) == 2
    assert "--allow-root" in capsys.readouterr().err
    assert main(["lab", "--dir", folder, "--allow-root"]) == 0
    assert "--allow-root" in commands[-1]
    assert len(commands) == 2
