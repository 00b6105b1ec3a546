"""The flash test: back up, erase, fill, read back, classify, restore. Safe by construction, or it does not start."""

from __future__ import annotations

from h5diag.case.results import Conditions, Fault, FlashTest, SectorTest
from h5diag.probe.flashtest.folder import Folder
from h5diag.probe.flashtest.plan import CANNOT, LOST, SPEEDS_HZ, Level, TestPlan, Way, rated_cycles
from h5diag.probe.flashtest.restore import Restored, restore
from h5diag.probe.flashtest.run import flash_test
from h5diag.probe.flashtest.signs import KINDS, fault_models
from h5diag.probe.flashtest.survey import DUMP_FIRST, Obstacle, Survey, survey

__all__ = [
    "CANNOT",
    "DUMP_FIRST",
    "KINDS",
    "LOST",
    "SPEEDS_HZ",
    "Conditions",
    "Fault",
    "FlashTest",
    "Folder",
    "Level",
    "Obstacle",
    "Restored",
    "SectorTest",
    "Survey",
    "TestPlan",
    "Way",
    "fault_models",
    "flash_test",
    "rated_cycles",
    "restore",
    "survey",
]
