"""JupyterLab controls: thin views on traitlets models. ipywidgets and anywidget live here alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h5diag.app.panels.evidence import EvidencePanel
from h5diag.app.panels.investigation import Investigation
from h5diag.app.panels.results import HexView, LocatePanel, OptionsPanel, SlidePanel, SlotMap
from h5diag.case import Case
from h5diag.case.results import FlashTest
from h5diag.errors import InputError
from h5diag.judge import Diagnosis
from h5diag.measure.firmware import Overview
from h5diag.measure.locate import Correlation
from h5diag.measure.options import SideBySide
from h5diag.memory import AddressRange

__all__ = [
    "EvidencePanel",
    "HexView",
    "Investigation",
    "LocatePanel",
    "OptionsPanel",
    "SlidePanel",
    "SlotMap",
    "board_panel",
    "interact",
]


def interact(result: Any) -> Any:
    """Return the controls of a result; InputError where it has none."""
    make = next((make for kind, make in _CONTROLS.items() if isinstance(result, kind)), None)
    if make is None or (isinstance(result, Correlation) and result.reference is None):
        raise InputError(f"there are no controls for a {type(result).__name__}", advice="print it, or use .plot()")
    return make(result)


def board_panel(probe: str, where: AddressRange, path: str = "") -> Any:
    """Return the panel that connects to a probe and dumps a range from it."""
    from h5diag.app.panels.board import BoardPanel
    from h5diag.probe.acquire import DumpPlan

    return BoardPanel(probe, plan=DumpPlan(where), path=path)


def _flash_test_panel(result: FlashTest) -> Any:
    """Return the panel for the same range; it begins at a virtual chip, so that nobody erases a board by a click."""
    from h5diag.app.panels.flashtest import FlashTestPanel
    from h5diag.probe.flashtest import TestPlan

    return FlashTestPanel("virtual", TestPlan(result.range), "private-folder")


_CONTROLS: dict[type, Callable[[Any], Any]] = {
    Case: lambda case: Investigation(str(case.folder)),
    Diagnosis: lambda diagnosis: Investigation(str(diagnosis.case.folder), diagnosis=diagnosis),
    Overview: lambda overview: SlotMap(overview.slots),
    SideBySide: lambda boards: OptionsPanel(result=boards),
    FlashTest: _flash_test_panel,
    Correlation: SlidePanel,
}
"""What controls a result of each class."""
