"""The flash test: back up, erase, fill, read back, classify, restore. Safe by construction, or it does not start."""

from __future__ import annotations

from h5diag.probe.flashtest.folder import Folder
from h5diag.probe.flashtest.plan import CANNOT, LOST, SPEEDS_HZ, Level, TestPlan, Way
from h5diag.probe.flashtest.result import NO_BIT, Conditions, FlashTestResult, FoundFault, SectorResult, rated_cycles
from h5diag.probe.flashtest.run import Restored, flash_test, restore
from h5diag.probe.flashtest.signs import KINDS, fault_models
from h5diag.probe.flashtest.survey import DUMP_FIRST, Obstacle, Survey, survey

__all__ = [
    "CANNOT",
    "DUMP_FIRST",
    "KINDS",
    "LOST",
    "NO_BIT",
    "SPEEDS_HZ",
    "Conditions",
    "FlashTestResult",
    "Folder",
    "FoundFault",
    "Level",
    "Obstacle",
    "Restored",
    "SectorResult",
    "Survey",
    "TestPlan",
    "Way",
    "fault_models",
    "flash_test",
    "rated_cycles",
    "restore",
    "survey",
]
