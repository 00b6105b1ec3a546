"""Memory into dumps: patient reads, holes that cost little, repeated reads in other bursts, votes, resumption."""

from __future__ import annotations

from h5diag.case.results import SpeedPoint
from h5diag.probe.acquire.dump import choose_access, dump
from h5diag.probe.acquire.passes import SPEEDS_HZ, PatientReader, Watch, sweep
from h5diag.probe.acquire.plan import CHUNK, Dump, DumpPlan
from h5diag.probe.acquire.votes import Votes

__all__ = [
    "CHUNK",
    "SPEEDS_HZ",
    "Dump",
    "DumpPlan",
    "PatientReader",
    "SpeedPoint",
    "Votes",
    "Watch",
    "choose_access",
    "dump",
    "sweep",
]
