"""Make cases with a known truth: one cause, two causes at once, or evidence missing.

``make_case(folder, seed)`` writes one; ``python -m corpus --out DIR --runs N --seed S`` (with ``tests`` on the
Python path) writes many. Beside the evidence stands ``truth.json``, which no case names.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .causes import BY_ID, CAUSES, Cause
from .scene import Scene, alone_scene, oemirot_scene

# Pairs that happen together on real boards, in the order in which they happen.
MIXTURES: tuple[tuple[str, str], ...] = (
    ("install-pending", "masked-read"),
    ("install-pending", "options-not-applied"),
    ("install-pending", "dump-corrupted"),
    ("options-not-applied", "masked-read"),
    ("wrong-placement", "dump-corrupted"),
    ("wrong-placement", "options-not-applied"),
    ("not-erased", "dump-corrupted"),
    ("bank-swapped", "dump-corrupted"),
    ("wrong-bank-erase", "padding"),
    ("write-protected", "padding"),
    ("wrong-size-assumption", "wrong-part"),
    ("torn-write", "padding"),
)
# Conditions that a flash test may lack; each alone takes `faulty` away.
FLASH_TEST_CUTS: Mapping[str, Mapping[str, object]] = {
    "flashtest.rounds": {"rounds": 1},
    "flashtest.speeds": {"swd_hz": [4_000_000]},
    "flashtest.cycle": {"power_cycles": 0},
    "flashtest.supply": {"voltage_mv": 1690},
    "flashtest.open": {"wrp": [0, 0]},
    "flashtest.path": {"second_path": None},
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a case.

    Parameters
    ----------
    seed, kind
        ``kind`` is ``single``, ``mixture``, ``cut`` or ``control``.
    causes
        The true causes; empty for a control.
    present, cut
        Words of evidence.toml for what the folder holds and for what was taken out.
    sufficient
        The needs of every true cause are met.
    status
        What each true cause must come out as: ``supported``, ``possible``, with evidence cut ``not excluded``, or
        ``any`` when nothing that is left deviates.
    verdicts
        The verdicts that are right.
    """

    seed: int
    kind: str
    causes: tuple[str, ...]
    present: tuple[str, ...]
    cut: tuple[str, ...]
    sufficient: bool
    status: Mapping[str, str]
    verdicts: tuple[str, ...]


@lru_cache(maxsize=1)
def evidence_table() -> dict[str, dict[str, Any]]:
    """Return evidence.toml."""
    return tomllib.loads(Path(__file__).with_name("evidence.toml").read_text("utf-8"))


def make_case(folder: Path, seed: int, *, kind: str = "", cause: str = "") -> Truth:
    """Write a case into `folder` and return its truth; `kind` and `cause` are drawn when left empty."""
    rng = np.random.default_rng(seed)
    kind = kind or str(rng.choice(["single", "mixture", "cut", "control"], p=[0.6, 0.12, 0.2, 0.08]))
    chosen = _chosen(rng, kind, cause)
    # Gates that several causes fit through are decided here, so that a cause sees a board it can happen to.
    products = {c.product for c in chosen} - {"any"} or {str(rng.choice(["oemirot", "alone"]))}
    scene = (oemirot_scene if products == {"oemirot"} else alone_scene)(rng)
    for c in chosen:
        c.apply(scene)
    scene.causes = [c.id for c in chosen if c.id != "sound"]
    cut: tuple[str, ...] = ()
    if kind == "cut":
        cut = _cut(scene, rng)
        scene.cut = frozenset(cut)
    present = scene.write(folder)
    truth = _truth(scene, seed, kind, present, cut)
    (folder / "truth.json").write_text(json.dumps(asdict(truth), indent=1) + "\n", "utf-8")
    return truth


def _chosen(rng: np.random.Generator, kind: str, cause: str) -> tuple[Cause, ...]:
    if kind == "control":
        return (BY_ID["sound"],)
    if kind == "mixture":
        pairs = [p for p in MIXTURES if not cause or cause in p]
        return tuple(BY_ID[i] for i in pairs[int(rng.integers(len(pairs)))])
    return (BY_ID[cause] if cause else CAUSES[int(rng.integers(1, len(CAUSES)))],)


def _cut(scene: Scene, rng: np.random.Generator) -> tuple[str, ...]:
    """Choose one thing that the cause cannot be told without, and take it out."""
    needs = list(evidence_table()[scene.causes[0]]["needs"])
    word = str(rng.choice(needs))
    if word in FLASH_TEST_CUTS:
        conditions = scene.flashtest["conditions"]
        assert isinstance(conditions, dict)
        if word != "flashtest.rounds" or rng.integers(2):
            conditions.update(FLASH_TEST_CUTS[word])
        if word == "flashtest.rounds":
            _shown_once(scene, conditions["rounds"])
        if word == "flashtest.open":
            for board in (scene.good, scene.suspect):
                board.options |= {"WRPSGn1": 0, "WRPSGn2": 0}
    return tuple(word.split("|"))


def _shown_once(scene: Scene, rounds: int) -> None:
    """Let every fault of the flash test show in one round only, each in another."""
    sectors = scene.flashtest["sectors"]
    assert isinstance(sectors, list)
    for i, fault in enumerate(f for s in sectors for f in s["faults"]):
        fault["rounds"] = [1 + i % rounds]


def _truth(scene: Scene, seed: int, kind: str, present: set[str], cut: tuple[str, ...]) -> Truth:
    table = evidence_table()
    ids = tuple(scene.causes)
    enough = {i: all(present & set(need.split("|")) for need in table[i]["needs"]) for i in ids or ("sound",)}
    sufficient = all(enough.values())
    status = {i: table[i]["status"] if enough[i] else "not excluded" for i in ids}
    if sufficient:
        verdicts = set.intersection(*(set(table[i]["verdict"]) for i in ids or ("sound",))) or {"undecided"}
    elif {"flashtest.rounds", "flashtest.speeds", "flashtest.cycle"} & set(cut):
        verdicts = {"suspect"}
    else:
        # A chip that misbehaves short of proof may be called suspect, never faulty and never sound.
        verdicts = {"undecided"} | ({"suspect"} if {"flash-defect", "worn-cells"} & set(ids) else set())
        if not scene.shows:  # what is left deviates nowhere
            verdicts |= {"sound"}
            status = dict.fromkeys(ids, "any")
    if "suspect.dumps" not in present or not {"good.dumps", "images"} & present:
        verdicts.discard("sound")  # nothing was compared
    return Truth(seed, kind, ids, tuple(sorted(present)), cut, sufficient, status, tuple(sorted(verdicts)))


def main() -> None:
    """Write many cases."""
    parser = argparse.ArgumentParser(description="Write cases with a known truth.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="", choices=["", "single", "mixture", "cut", "control"])
    parser.add_argument("--cause", default="", choices=["", *BY_ID])
    wanted = parser.parse_args()
    for i in range(wanted.runs):
        make_case(wanted.out / f"{wanted.seed + i:06d}", wanted.seed + i, kind=wanted.kind, cause=wanted.cause)


if __name__ == "__main__":
    main()
