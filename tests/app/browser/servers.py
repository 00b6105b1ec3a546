"""What `h5diag lab` and `h5diag app` promise: what is started, what must then be so, and a bug that must be noticed.

Each check starts the real command in a process of its own, waits until it has come to where the right command and the
wrong one both come (it serves, or it has ended), and asserts what is there at once or never.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h5diag.app.lab import FIRST
from tests.app.browser.conftest import Lab, free_port, until
from tests.app.browser.support import open_notebook, run_all, set_theme, wait_until_run
from tests.app.browser.test_lab import contrast, notebook

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 300
MAIN = "\nimport sys\nfrom h5diag.app.cli import main\nsys.exit(main())"
OPEN_FOR_TESTS = ("--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True")
WITHIN = """() => { const e = document.documentElement, h = document.querySelector('h1').getBoundingClientRect();
  return e.scrollWidth <= e.clientWidth && h.left >= 0 && h.right <= innerWidth; }"""
"""Nothing stands out of the page, once it has found its new width."""
PRIVATE = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")


class Started:
    """A command that was started in a folder: its log, its server and its end."""

    def __init__(self, top: Path, bug: str, words: tuple[str, ...]) -> None:
        self.folder, self.top = top / "work", top
        self.folder.mkdir(exist_ok=True)
        private = {n: str(top / n.lower()) for n in (*PRIVATE, "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        with (top / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", bug + MAIN, words[0], "--dir", ".", "--no-browser", *words[1:]],
                cwd=self.folder,
                env={**os.environ, **private, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return (self.top / "log").read_text("utf-8", "replace")

    @property
    def marks(self) -> list[str]:
        """What of the folder has run."""
        return sorted(p.name for p in self.top.glob("ran-*"))

    def server(self) -> dict[str, Any]:
        """Return what Jupyter says of its server once there is one; empty when the command has ended without."""
        found: dict[str, Any] = {}

        def there() -> bool:
            for path in (self.top / "jupyter_runtime_dir").glob("jpserver-*.json"):
                try:
                    found.update(json.loads(path.read_text()))
                except ValueError:  # it is just being written
                    return False
            return bool(found) or self.process.poll() is not None

        until(there, "neither served nor ended", PATIENCE_S)
        return found

    def page(self) -> str:
        """Return the address with the token that `app` printed once somebody listens there; empty when it ended."""
        found: list[str] = []

        def there() -> bool:
            if self.process.poll() is not None:
                return True
            found[:] = re.findall(r"http://\S+token=[\w-]+", self.log)
            with socket.socket() as s:
                return bool(found) and s.connect_ex(("127.0.0.1", int(found[0].split(":")[2].split("/")[0]))) == 0

        until(there, "neither served nor ended", PATIENCE_S)
        return found[0] if found and self.process.poll() is None else ""

    def end(self) -> None:
        """End it and what it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(PATIENCE_S)


@dataclass(frozen=True)
class Try:
    """Starts commands for one check, all with the same bug or with none, and keeps them to be ended."""

    top: Path
    bug: str
    started: list[Started]
    browser: Any
    artefacts: Path

    def __call__(self, *words: str) -> Started:
        self.started.append(Started(self.top, self.bug, words))
        return self.started[-1]

    def lab(self, *options: str) -> Started:
        # Two that start at once would both be told that Jupyter's own port is free.
        if "--port" not in options:
            options = (*options, "--port", str(free_port()))
        return self("lab", "--", "--allow-root", *OPEN_FOR_TESTS, *options)

    def window(self, **options: Any) -> Any:
        page = self.browser.new_context(**options).new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        return page

    def stranger(self, name: str, text: str = "") -> None:
        """Put a file of a stranger in the folder: it leaves a mark when it runs."""
        code = f"open({str(self.top / f'ran-{name}')!r}, 'w').close()\n{text}"
        (self.top / "work").mkdir(exist_ok=True)
        if name.endswith(".ipynb"):
            notebook(Lab("", self.top / "work"), name, code)
        else:
            (self.top / "work" / name).write_text(code)


def code_of(answer_to: str, host: str = "") -> tuple[int, str]:
    """Return the status of an address and where it led, cookies kept as a browser keeps them."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    request = urllib.request.Request(answer_to, headers={"Host": host} if host else {})
    try:
        with browser.open(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.url
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.url or ""


# ------------------------------------------------------------------------------------------------ the promises
def options_reach_jupyter(start: Try) -> None:
    port = free_port()
    started = start.lab("--port", str(port))
    server = started.server()
    assert server, started.log[-2000:]
    assert server["port"] == port
    page = start.window()
    open_notebook(page, Lab(f"http://127.0.0.1:{port}", started.folder), FIRST)
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        set_theme(page, theme)
        for width in (1024, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            page.locator(".jp-MarkdownOutput h1").first.wait_for(state="visible")
            page.wait_for_function(WITHIN)
            assert contrast(page, ".jp-MarkdownOutput h1") >= 4.5
            page.screenshot(path=start.artefacts / f"lab-{width}-{theme.split()[-1].lower()}.png")


def root_is_told_the_option(start: Try) -> None:
    started = start("lab")
    started.server()
    assert started.process.poll() == 2, "one clear line, before Jupyter's own"
    told = started.log.strip().splitlines()
    assert len(told) == 1, started.log
    assert told[0].startswith("h5diag lab: "), told
    assert "say --allow-root" in told[0], told


def root_is_allowed_when_asked(start: Try) -> None:
    started = start("lab", "--allow-root")
    if server := started.server():
        assert b"--allow-root" in Path(f"/proc/{server['pid']}/cmdline").read_bytes().split(b"\0")
    assert server, started.log[-2000:]


def the_folder_shadows_no_module(start: Try) -> None:
    start.stranger("jupyterlab.py")
    start.stranger("voila.py")
    started = start.lab()
    server = started.server()
    assert started.marks == []
    page, lab = start.window(), Lab(f"http://127.0.0.1:{server['port']}", started.folder)
    open_notebook(page, lab, notebook(lab, "scratch.ipynb", "import voila\nprint(voila.__file__)"))
    run_all(page)
    wait_until_run(page)
    shown = page.locator(".jp-OutputArea-output", has_text="voila").first.inner_text()
    assert not Path(shown.strip()).is_relative_to(started.folder), shown
    assert started.marks == []


def lab_runs_no_notebook_of_a_stranger(start: Try) -> None:
    start.stranger(FIRST, "'it has run'")
    started = start.lab()
    page, lab = start.window(), Lab(f"http://127.0.0.1:{started.server()['port']}", started.folder)
    assert "were there and stay as they are" in started.log
    open_notebook(page, lab, FIRST)
    page.locator(".jp-CodeCell", has_text="it has run").first.wait_for(state="visible")
    assert started.marks == []
    run_all(page)  # the mark is made by who asks for it, so that it is known to tell
    wait_until_run(page)
    assert started.marks == [f"ran-{FIRST}"]


def app_refuses_a_notebook_of_a_stranger(start: Try) -> None:
    start.stranger(FIRST)
    started = start("app", "--port", str(free_port()))
    if address := started.page():
        code_of(address)
    assert started.marks == [], "a page runs all of it at once"
    assert started.process.poll() == 2
    assert FIRST in started.log
    assert "not the notebook of this version" in started.log


def app_wants_its_token(start: Try) -> None:
    started = start("app", "--port", str(free_port()))
    address = started.page()
    assert address, started.log[-2000:]
    bare = address.split("?")[0]
    assert "login" in code_of(bare)[1], "without the token there is no page"
    assert "login" in code_of(f"{bare}?token=guessed")[1]
    page = start.window(viewport={"width": 1400, "height": 900})
    page.goto(bare)
    assert "login" in page.url
    assert page.get_by_role("button", name="Run the diagnosis").count() == 0
    page.goto(address)
    page.get_by_role("button", name="Run the diagnosis").first.wait_for(state="visible")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1024, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function(WITHIN)
            assert contrast(page, "h1") >= 4.5
            page.screenshot(path=start.artefacts / f"app-{width}-{scheme}.png")


def app_refuses_a_foreign_host(start: Try) -> None:
    port = free_port()
    address = start("app", "--port", str(port)).page()
    assert address
    assert code_of(f"http://127.0.0.1:{port}/login")[0] == 200, "it answers who asks by its own name"
    assert code_of(address, f"stranger.example:{port}")[0] == 403, "a stranger's name that leads to loopback"


@dataclass(frozen=True)
class Promise:
    """A promise and a bug that is planted in the process before the command starts."""

    check: Callable[[Try], None]
    bug: str
    always: str = ""

    @property
    def name(self) -> str:
        return self.check.__name__


WING = "from h5diag.app import lab\n"
COMMAND = WING + "real = lab.lab_command\nlab.lab_command = lambda copied, *, browser=True, extra=(): "
PAGE = WING + "real = lab.app_command\nlab.app_command = lambda copied, *, port, browser=True: "
ROOT_USER = "import os\nos.geteuid = lambda: 0\n"

PROMISES = (
    Promise(
        options_reach_jupyter,
        COMMAND + "real(copied, browser=browser, extra=[w for w in extra if w.startswith('--') and w != '--port'])",
    ),
    Promise(root_is_told_the_option, WING + "lab.require_no_root = lambda extra: None", ROOT_USER),
    Promise(root_is_allowed_when_asked, COMMAND + "real(copied, browser=browser)", ROOT_USER),
    Promise(
        the_folder_shadows_no_module,  # the server is started in the folder, as one starts it by hand
        WING
        + "from pathlib import Path\nlab.SETTINGS = Path.cwd()\nlab.server_environment = lambda token='': None\n"
        + COMMAND
        + "[w for w in real(copied, browser=browser, extra=extra) if w != '-P']",
    ),
    Promise(
        the_folder_shadows_no_module,  # the kernel is the one that Jupyter brings
        WING + "lab.server_environment = lambda token='': None",
    ),
    Promise(
        lab_runs_no_notebook_of_a_stranger,  # as if somebody wanted it to open with its answers
        WING
        + """import json
real_run = lab.run
def run(command, token=""):
    for cell in json.load(open(command[4]))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]))
    return real_run(command, token)
lab.run = run""",
    ),
    Promise(app_refuses_a_notebook_of_a_stranger, WING + "lab.require_own = lambda copied: None"),
    Promise(
        app_wants_its_token,
        PAGE + "[w for w in real(copied, port=port, browser=browser) if 'auto_token' not in w]"
        " + ['--Voila.auto_token=False', '--Voila.token=']",
    ),
    Promise(
        app_refuses_a_foreign_host,
        PAGE + "[w for w in real(copied, port=port, browser=browser) if 'allow_remote' not in w]",
    ),
)
