"""A folder that somebody mailed configures nothing and shadows nothing, wherever h5diag is started."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from h5diag.app import lab
from h5diag.app.cli import main
from h5diag.evidence.samples import data_folder

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    *("sitecustomize", "usercustomize", "jupyterlab", "voila", "ipykernel_launcher", "ipykernel", "IPython"),
    *("nbclient", "nbconvert", "tornado", "traitlets", "ipywidgets", "zmq", "jupyter_client"),
    *("json", "numpy", "matplotlib", "unicorn", "tomllib", "msgspec", "h5diag"),
)
CONFIGS = (
    *("jupyter_config.py", "jupyter_server_config.py", "jupyter_lab_config.py", "voila.py", "ipython_config.py"),
    *("conftest.py", "jupyter_nbconvert_config.py", ".jupyter/jupyter_config.py", ".jupyter/voila.py"),
    *("etc/jupyter/jupyter_config.py", ".ipython/profile_default/ipython_config.py"),
    *("ipython_kernel_config.py", "profile_default/ipython_kernel_config.py", "profile_default/startup/00-first.py"),
    ".ipython/profile_default/startup/00-first.py",
)


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A case folder with every file that some program could take for its own; each leaves a mark when it runs."""
    folder = tmp_path / "strange"
    shutil.copytree(data_folder() / "founding", folder)

    def mark(name: str) -> str:
        return f"open({str(tmp_path / ('ran-' + name.replace('/', '-')))!r}, 'w').close()\n"

    for name in (*(f"{m}.py" for m in MODULES), *CONFIGS):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(mark(name))
    (folder / "evil.pth").write_text(f"import os; {mark('evil.pth')}")
    # Before 3.10.9 matplotlib evaluates the cycler without builtins, which a generator gets back from its callers.
    way = "[g := (g.gi_frame.f_back.f_back.f_builtins for _ in [0]), [*g][0]"
    code = f'{way}["open"]("{tmp_path}/ran-matplotlibrc", "w").close()]'
    (folder / "matplotlibrc").write_text(f"text.usetex: True\naxes.prop_cycle: cycler(color=[{code}, 'r'][1:])\n")
    command = mark("voila.json").strip()
    (folder / "voila.json").write_text(json.dumps({"Voila": {"prelaunch_hook": command}}))
    return folder


def marks(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.parent.glob("ran-*"))


def python_environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {k: v for k, v in os.environ.items() if not k.startswith("MPL")} | {"PYTHONPATH": path}


def test_the_marks_work(strange: Path) -> None:
    """Without protection the planted files do run: started in the folder, Python takes json.py from there."""
    subprocess.run([sys.executable, "-c", "import json"], cwd=strange, env=python_environment(), check=False)
    assert "ran-json.py" in marks(strange)
    subprocess.run(
        [sys.executable, "-P", "-c", "import matplotlib"], cwd=strange, env=python_environment(), check=False
    )
    evaluates = tuple(map(int, version("matplotlib").split(".")[:3])) < (3, 10, 9)
    assert ("ran-matplotlibrc" in marks(strange)) is evaluates


@pytest.mark.parametrize("started", ["-m", "-c"])
def test_a_diagnosis_in_the_folder_runs_nothing_of_it(strange: Path, started: str) -> None:
    if started == "-m":
        (strange / "h5diag.py").unlink()  # Python itself looks for what -m names in the folder first
    # An installed command starts as the second one does: its own folder is first, not the one it is started in.
    code = "import sys; sys.path[:] = [p for p in sys.path if p]; from h5diag.app.cli import main; sys.exit(main())"
    how = ["-m", "h5diag"] if started == "-m" else ["-P", "-c", code]
    done = subprocess.run(
        [sys.executable, *how, "diagnose", ".", "--report", "r.html"],
        cwd=strange,
        env=python_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert marks(strange) == []
    assert "usetex" not in done.stderr
    assert (strange / "r.html").stat().st_size > 10_000


def test_a_kernel_in_the_folder_takes_nothing_from_it(strange: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = lab.server_environment()
    monkeypatch.setenv("JUPYTER_PATH", environment["JUPYTER_PATH"])
    manager = KernelManager(kernel_name="python3")
    assert "h5diag" in str(manager.kernel_spec.resource_dir)
    manager.start_kernel(cwd=str(strange), env=python_environment() | environment)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        reply = client.execute_interactive(
            "import json, numpy, h5diag, matplotlib; assert not matplotlib.rcParams['text.usetex']; len(h5diag.__all__)",
            timeout=120,
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply["content"]
    assert marks(strange) == []


def test_jupyterlab_on_the_folder_runs_nothing_of_it(strange: Path, tmp_path: Path) -> None:
    copied = lab.copy_out(strange)
    extra = ["--ServerApp.port=0", "--allow-root", "--IdentityProvider.token=none"]
    private = {n: str(tmp_path / n) for n in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = python_environment() | lab.server_environment() | private
    environment["PYTHONPATH"] = python_environment()["PYTHONPATH"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            lab.lab_command(copied, browser=False, extra=extra),
            cwd=lab.SETTINGS,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        runtime, patience = tmp_path / "JUPYTER_RUNTIME_DIR", time.monotonic() + 120
        while not (found := list(runtime.glob("jpserver-*.json")) if runtime.is_dir() else []):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < patience, log.read_text()[-2000:]
            time.sleep(0.2)
        url = json.loads(found[0].read_text())["url"]
        with urllib.request.urlopen(f"{url}api/contents?token=none", timeout=60) as answer:
            names = {e["name"] for e in json.loads(answer.read())["content"]}
        assert f"/lab/tree/{lab.FIRST}" in log.read_text(), "the address that is printed opens the first notebook"
        assert lab.FIRST in names, "the folder is the one that is shown"
    finally:
        process.terminate()
        process.wait(60)
    assert marks(strange) == []


def test_a_page_served_in_the_folder_runs_nothing_of_it(strange: Path, tmp_path: Path) -> None:
    pytest.importorskip("voila")
    kernels = strange / "share" / "jupyter" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text(
        json.dumps({"argv": ["touch", f"{tmp_path}/ran-kernel"], "display_name": "x", "language": "python"})
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    private = {n: str(tmp_path / n) for n in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    code = "import sys; from h5diag.app.cli import main; sys.exit(main())"
    words = ["app", "--dir", ".", "--no-browser", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *words],
            cwd=strange,
            env=python_environment() | private | {"PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        page, patience = "", time.monotonic() + 240
        while not page:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < patience, log.read_text()[-2000:]
            time.sleep(0.5)
            if found := re.search(r"http://\S+token=[\w-]+", log.read_text()):
                with contextlib.suppress(urllib.error.URLError):
                    page = browser.open(found[0], timeout=240).read().decode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            assert "login" in answer.url, "without the token there is no page"
        stranger = urllib.request.Request(found[0], headers={"Host": f"stranger.example:{port}"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            browser.open(stranger, timeout=60)
        refused.value.close()
        assert refused.value.code == 403, "a name of somebody else that leads to loopback is refused"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    assert "01_is_this_chip_faulty" in page
    assert marks(strange) == []


def test_a_page_is_made_of_this_versions_notebook_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("voila")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / lab.FIRST).write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    assert main(["app", "--dir", str(tmp_path / "w"), "--no-browser"]) == 2
    assert "not the notebook of this version" in capsys.readouterr().err


def test_a_page_asks_for_a_token(tmp_path: Path) -> None:
    command = lab.app_command(lab.copy_out(tmp_path / "w"), port=1)
    assert "--Voila.auto_token=True" in command
    assert lab.server_environment("abc")["JUPYTER_TOKEN"] == "abc"
    assert "abc" not in " ".join(command), "a token on a command line is seen by every user of the machine"
