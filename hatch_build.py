"""Builds the search's kernel (``h5diag/measure/locate/kernel.c``) beside its source: hatch's hook, and by hand.

``python hatch_build.py`` does it in a checkout. The system's compiler is used, or the ``ziglang`` wheel, which is asked
for at a build only where there is none. Without either the package is pure Python and the search runs in numpy.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # by hand, outside a build
    BuildHookInterface = object

SUFFIX = {"win32": "dll", "darwin": "dylib"}.get(sys.platform, "so")
FLAGS = ("-O3", "-std=c11", "-shared", "-fvisibility=hidden", *(() if sys.platform == "win32" else ("-fPIC",)))
ZIG = ["-m", "ziglang", "cc"]
ZIG_MACHINES = ("x86_64", "amd64", "arm64", "aarch64")
"""Machines for which there is a ziglang wheel on Linux, macOS and Windows."""


def compiler() -> list[str] | None:
    """Return the command of the system's C compiler."""
    for name in (os.environ.get("CC", "").split(), ["cc"], ["gcc"], ["clang"]):
        if name and shutil.which(name[0]):
            return list(name)
    return None


def zig() -> list[str] | None:
    """Return the command of the compiler in the ziglang wheel, where that is installed."""
    command = [sys.executable, *ZIG]
    done = subprocess.run([*command, "--version"], capture_output=True, check=False)
    return command if done.returncode == 0 else None


def build(root: Path, *, out: Path | None = None, flags: tuple[str, ...] = ()) -> Path | None:
    """Build the kernel of the tree `root`; return the library, or None when there is no compiler or it fails.

    Parameters
    ----------
    root
        Folder of ``pyproject.toml``.
    out
        The library; beside the source by default, where h5diag looks for it.
    flags
        More flags for the compiler.
    """
    source = root / "h5diag" / "measure" / "locate" / "kernel.c"
    out = out or source.with_name(f"_kernel.{SUFFIX}")
    partial = out.with_name(f"{out.name}.{os.getpid()}")
    for command in (compiler(), zig()):
        if command is None:
            continue
        done = subprocess.run(
            [*command, *FLAGS, *flags, "-o", str(partial), str(source)], capture_output=True, text=True, check=False
        )
        try:
            if done.returncode == 0:
                if not flags:
                    ctypes.CDLL(str(partial)).h5_abi()
                os.replace(partial, out)
                return out
            sys.stderr.write(f"h5diag: {command[0]} did not build the kernel: {done.stderr[-500:]}\n")
        except (OSError, AttributeError) as error:
            sys.stderr.write(f"h5diag: the built kernel cannot be used: {error}\n")
        finally:
            partial.unlink(missing_ok=True)
    return None


class KernelHook(BuildHookInterface):  # type: ignore[misc,valid-type]
    """Hatch's hook: adds the built library, and with it the platform, to the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for a compiler only where there is none and one is to be had."""
        wanted = not os.environ.get("H5DIAG_NO_KERNEL") and compiler() is None
        return ["ziglang>=0.13"] if wanted and platform.machine().lower() in ZIG_MACHINES else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, unless ``H5DIAG_NO_KERNEL`` says not to; a failure is a remark."""
        if self.target_name != "wheel" or os.environ.get("H5DIAG_NO_KERNEL"):
            return
        library = build(Path(self.root))
        if library is None:
            sys.stderr.write("h5diag: no kernel was built; the search for displaced pieces will run in numpy\n")
            return
        from packaging.tags import sys_tags

        tag = next(t.platform for t in sys_tags() if "linux_" not in t.platform or t.platform.startswith("linux_"))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"
        build_data["artifacts"].append(library.relative_to(self.root).as_posix())


if __name__ == "__main__":
    sys.exit(0 if build(Path(__file__).resolve().parent) else 1)
