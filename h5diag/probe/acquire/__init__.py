"""Memory into dumps: chunks, bisection of faults, repeated shuffled reads, votes, resumption."""

from __future__ import annotations

from h5diag.probe.acquire.dump import choose_access, dump
from h5diag.probe.acquire.passes import SPEEDS_HZ, Watch, sweep
from h5diag.probe.acquire.plan import CHUNK, Dump, DumpPlan, SpeedPoint
from h5diag.probe.acquire.votes import Votes

__all__ = ["CHUNK", "SPEEDS_HZ", "Dump", "DumpPlan", "SpeedPoint", "Votes", "Watch", "choose_access", "dump", "sweep"]
