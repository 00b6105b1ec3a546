"""Notebooks and sample data copied to a folder of the user's own, and a notebook server started there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from h5diag.errors import InputError
from h5diag.evidence.door import read_evidence, write_whole
from h5diag.evidence.samples import data_folder, notebook_folder
from h5diag.limits import LAYOUT

FIRST = "01_is_this_chip_faulty.ipynb"
SETTINGS = Path(__file__).resolve().parent / "lab_settings"
KERNELS = Path(__file__).resolve().parent / "jupyter"
_NOT_COPIED = ("__pycache__", ".ipynb_checkpoints", "*.pyc", "build_*.py")


@dataclass(frozen=True, slots=True)
class Copied:
    """What was done: files written and files left alone because they were there, relative to `folder`."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def first(self) -> Path:
        """The notebook to begin with."""
        return self.folder / FIRST


def copy_out(folder: str | Path) -> Copied:
    """Copy notebooks and sample data to a folder; nothing that is there is overwritten.

    Raises
    ------
    InputError
        When the folder cannot be made or written.
    """
    folder = Path(folder)
    written: list[str] = []
    kept: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _copy(notebook_folder(), folder, folder, written, kept)
        _copy(data_folder(), folder / "data", folder, written, kept)
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})",
            source=str(error.filename or folder),
            advice="give another folder with --dir",
        ) from None
    return Copied(folder, tuple(written), tuple(kept))


def _copy(source: Path, target: Path, top: Path, written: list[str], kept: list[str]) -> None:
    ignored = shutil.ignore_patterns(*_NOT_COPIED)
    entries = sorted(p.name for p in source.iterdir())
    skipped = ignored(str(source), entries)
    target.mkdir(exist_ok=True)
    for name in entries:
        if name in skipped:
            continue
        here, there = source / name, target / name
        if here.is_dir():
            _copy(here, there, top, written, kept)
        elif there.exists():
            kept.append(str(there.relative_to(top)))
        else:
            write_whole(there, here.read_bytes(), new=True)
            written.append(str(there.relative_to(top)))


def lab_command(copied: Copied, *, browser: bool = True, extra: Sequence[str] = ()) -> list[str]:
    """Return the command line that starts JupyterLab on the first notebook, on loopback only."""
    command = [
        *(sys.executable, "-P", "-m", "jupyterlab"),
        str(copied.first.resolve()),
        f"--ServerApp.root_dir={copied.folder.resolve()}",
        f"--LabApp.default_url=/lab/tree/{FIRST}",  # what is printed leads to the notebook too
        f"--LabApp.app_settings_dir={SETTINGS}",
        "--ServerApp.ip=127.0.0.1",
    ]
    return [*command, *([] if browser else ["--no-browser"]), *extra]


def require_no_root(extra: Sequence[str]) -> None:
    """Raise InputError when Jupyter would refuse to start: it runs as root only when it is told so."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root and not any(word.startswith("--allow-root") for word in extra):
        raise InputError(
            "JupyterLab does not run as root unless it is told so", advice="in a container, say --allow-root"
        )


def require_voila() -> None:
    """Raise InputError, with what to do, when the extra `app` is not installed."""
    if importlib.util.find_spec("voila") is None:
        raise InputError("the page needs voila, which is not installed", advice="pip install 'h5diag[app]'")


def require_own(copied: Copied) -> None:
    """Raise InputError when the first notebook is not this version's: a page runs all of it without being asked."""
    if read_evidence(copied.first, limit=LAYOUT).data != (notebook_folder() / FIRST).read_bytes():
        raise InputError(
            "is not the notebook of this version, and a page runs it at once",
            source=str(copied.first),
            advice="give an empty folder with --dir, or look at it first with h5diag lab",
        )


def app_command(copied: Copied, *, port: int, browser: bool = True) -> list[str]:
    """Return the command line that serves the first notebook as a page: on loopback, to who has the token."""
    command = [
        *(sys.executable, "-P", "-m", "voila"),
        str(copied.first.resolve()),
        "--Voila.ip=127.0.0.1",
        "--Voila.auto_token=True",
        "--Voila.tornado_settings=allow_remote_access=",  # empty is false: a Host: other than loopback is refused
        f"--port={port}",
        "--theme=light",
        "--show_tracebacks=True",
    ]
    return [*command, *([] if browser else ["--no-browser"])]


def server_environment(token: str = "") -> dict[str, str]:
    """Return the environment of a server that nothing in the user's folder configures or shadows.

    Python takes no module from the folder where it is started (``jupyterlab.py``, ``json.py``), and the kernel is the
    one beside this module, which takes none either and loads matplotlib with h5diag's settings first.
    """
    known = [str(KERNELS), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    own = {"PYTHONSAFEPATH": "1", "JUPYTER_PATH": os.pathsep.join(known)}
    return {**os.environ, **own, **({"JUPYTER_TOKEN": token} if token else {})}


def run(command: Sequence[str], token: str = "") -> int:
    """Run a server until it ends, or until Ctrl-C or a request to end; it never outlives this process.

    It is started in a folder of this package: Jupyter and voila read settings from where they are started.
    """

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, ended)
    process = subprocess.Popen(list(command), cwd=SETTINGS, env=server_environment(token))
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
        if process.poll() is None:
            process.terminate()
            process.wait()
