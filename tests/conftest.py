"""What all tests share: hypothesis profiles, and "nothing may be skipped" where the machine has everything."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

# Shared machines stall for seconds: a deadline per example would report the machine, not the code.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parents[1]

# Texts are wrapped to the terminal's width: the same one wherever the tests run, also in the workers of xdist.
os.environ["COLUMNS"] = "100"


def builder() -> ModuleType:
    """Return the module that builds the search's kernel."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_sessionstart() -> None:
    """Build the kernel where the checkout has none, or an older one; without a compiler the tests run in numpy."""
    folder = ROOT / "h5diag" / "measure" / "locate"
    module = builder()
    library = folder / f"_kernel.{module.SUFFIX}"
    if not library.exists() or library.stat().st_mtime < (folder / "kernel.c").stat().st_mtime:
        module.build(ROOT)


REQUIRE_ALL = os.environ.get("H5DIAG_REQUIRE_ALL") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Turn a skip into a failure where everything is meant to be installed."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped although H5DIAG_REQUIRE_ALL=1: {reason}"
    return report
