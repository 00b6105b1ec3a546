"""A real JupyterLab and a real Chromium, each private to the run; screenshots are kept under artefacts/."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from h5diag.app.lab import SETTINGS, Copied, copy_out, lab_command, server_environment

CHROMIUM = Path("/usr/bin/chromium")
ARTEFACTS = Path(os.environ.get("H5DIAG_ARTEFACTS", Path(__file__).resolve().parents[3] / "artefacts"))
PATIENCE_S = 120
"""The machine may be shared: waits are long, they end as soon as the thing is there."""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    url: str
    folder: Path

    def kernels(self) -> list[dict[str, object]]:
        """What runs; an empty list while the server is too busy to answer."""
        try:
            with urllib.request.urlopen(self.url + "/api/kernels", timeout=10) as answer:
                return list(json.loads(answer.read()))
        except (OSError, urllib.error.URLError, ValueError):
            return []

    def wait_for_kernel(self) -> None:
        """Wait until a kernel is idle and has a page connected; an indicator in the page says so too early."""
        until(
            lambda: any(k["execution_state"] == "idle" and int(str(k["connections"])) >= 1 for k in self.kernels()),
            "no kernel is ready",
        )


def until(condition, what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition."""
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


def free_port() -> int:
    """Return a TCP port that nobody uses at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def start_lab(top: Path) -> tuple[subprocess.Popen[bytes], Lab]:
    """Start JupyterLab as `h5diag lab` does, with settings of its own."""
    copied: Copied = copy_out(top / "work")
    port = free_port()
    private = {
        name: str(top / name.lower())
        for name in (
            "JUPYTER_CONFIG_DIR",
            "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR",
            "IPYTHONDIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
        )
    }
    command = lab_command(
        copied,
        browser=False,
        extra=[
            f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0",
            "--IdentityProvider.token=",
            "--allow-root",
            "--ServerApp.log_level=WARN",
            "--LabApp.expose_app_in_browser=True",
        ],
    )
    with (top / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=SETTINGS, env={**server_environment(), **private}, stdout=log, stderr=subprocess.STDOUT
        )
    lab = Lab(f"http://127.0.0.1:{port}", copied.folder)

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError((top / "lab.log").read_text("utf-8", "replace")[-2000:])
        try:
            with urllib.request.urlopen(lab.url + "/api", timeout=5):
                return True
        except OSError:
            return False

    until(answers, "JupyterLab does not answer")
    return process, lab


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Chromium's path; skips with the reason where there is none."""
    if not CHROMIUM.exists():
        pytest.skip("no /usr/bin/chromium: apt-get install --no-install-recommends chromium")
    return CHROMIUM


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[object]:
    """A browser for one module: while it lives, this thread has a running event loop, and other tests need none."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        b = playwright.chromium.launch(executable_path=str(chromium))
        yield b
        b.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab for the whole run."""
    top = tmp_path_factory.mktemp("lab")
    process, running = start_lab(top)
    yield running
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots go."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return ARTEFACTS
