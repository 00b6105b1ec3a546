"""Runs `h5diag case` and `h5diag diagnose` over scenes and holds the answer against the story."""

from __future__ import annotations

import contextlib
import io
import random
import re
import tempfile
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from h5diag.app.cli import main
from h5diag.case import load_case
from h5diag.errors import H5DiagError
from h5diag.judge import diagnose
from h5diag.show import answers

from .evidence import hand_in, make_scene
from .flaws import flaws
from .kinds import CELLS, HARMLESS, NONE, Scene

_SHARE = {"supported": 0.9, "possible": 0.15, "excluded": 0.01, "not-tested": 0.05}
"""What a status claims, as a probability, for the Brier score."""


@dataclass
class Answer:
    """One scene's outcome: ``ok``, ``abstains`` (no cause leads though one should), ``miss`` or ``misleading``."""

    kind: str
    seed: int
    word: str
    lead: str
    verdict: str
    reasons: list[str] = field(default_factory=list)
    brier: float = 0.0
    faulty: bool = False
    marked: bool = False
    flaws: list[str] = field(default_factory=list)


def leading(document: dict[str, Any], first: tuple[str, ...]) -> str:
    """Return the id of the cause that the answer puts forward, or ``none``."""
    causes = document["hypotheses"]
    for h in causes:
        if h["status"] == "supported":
            return str(h["id"])
    for h in causes:
        score, prior = h.get("score_decibans"), h.get("prior_decibans")
        if (
            h["status"] != "possible"
            or not h["evidence"]
            or (score is not None and prior is not None and score <= prior)
        ):
            continue
        if document["verdict"] != "sound" or h["id"] in first:
            return str(h["id"])
    return NONE


def run(*words: str) -> tuple[int, str, str]:
    """Run the command line in this process; return its exit status and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(list(words))
        except SystemExit as stop:
            status = int(stop.code or 0)
    return status or 0, out.getvalue(), err.getvalue()


def growing(name: str, seed: int) -> list[Answer]:
    """Answer a scene with its needed files alone, then with one more of the others at a time, in a random order."""
    scene = make_scene(name, seed)
    needed = [i for i in scene.items if i.needed]
    others = [replace(i, needed=True) for i in scene.items if not i.needed]
    random.Random(f"growing {seed}").shuffle(others)
    return [judge(name, seed, replace(scene, items=[*needed, *others[:n]])) for n in range(len(others) + 1)]


def made_worse(answers: list[Answer]) -> str:
    """Return what more evidence made of an answer that was right; empty when nothing."""
    steps = pairwise(answers)
    return next((f"{b.lead}, {b.verdict}: {b.reasons}" for a, b in steps if a.word == "ok" and b.word != "ok"), "")


def judge(name: str, seed: int, scene: Scene | None = None) -> Answer:
    """Make a scene where none is given, hand it in, ask, and compare."""
    scene = scene or make_scene(name, seed)
    with tempfile.TemporaryDirectory() as temp:
        loose, case = Path(temp) / "in", Path(temp) / "case"
        args = hand_in(scene, loose, seed)
        status, _, error = run("case", str(loose), "--out", str(case), *args)
        if status:
            return Answer(name, seed, "miss", NONE, "", [f"case ends with {status}: {error.strip()[-160:]}"])
        # One diagnosis gives both what a person reads and what a program reads, as the command line does.
        try:
            diagnosis = diagnose(load_case(case))
        except H5DiagError as fault:
            return Answer(name, seed, "miss", NONE, "", [f"diagnose ends with: {str(fault)[-160:]}"])
        text, document = answers.text(diagnosis), answers.document(diagnosis)
    lead, verdict = leading(document, scene.first), document["verdict"]
    states = {h["id"]: h["status"] for h in document["hypotheses"]}
    astray = [f"{lead} leads"] if lead in scene.wrong else []
    astray += [f"{c} is supported" for c in scene.wrong if states.get(c) == "supported" and c != lead]
    misses: list[str] = []
    if verdict not in scene.verdicts:
        (astray if verdict in ("sound", "faulty") else misses).append(
            f"verdict {verdict}, not {' or '.join(scene.verdicts)}"
        )
    if lead not in scene.first and lead not in scene.wrong:
        if states.get(lead) == "supported":
            astray.append(f"{lead} is supported, not {' or '.join(scene.first)}")
        else:
            misses.append(f"{lead} leads, not {' or '.join(scene.first)}")
    flat = " ".join(text.split())
    misses += [f"does not say /{p}/" for p in scene.say if not re.search(p, flat, re.I)]
    misses += [f"says /{p}/" for p in scene.say_not if re.search(p, flat, re.I)]
    word = (
        "misleading"
        if astray
        else "abstains"
        if misses and lead == NONE and NONE not in scene.first
        else "miss"
        if misses
        else "ok"
    )
    truth = scene.first[0]
    brier = sum((_SHARE.get(s, 0.05) - (i == truth)) ** 2 for i, s in states.items())
    return Answer(
        name,
        seed,
        word,
        lead,
        verdict,
        astray + misses,
        brier,
        scene.faulty,
        verdict in ("suspect", "faulty") or lead in CELLS,
        flaws(diagnosis),
    )


def is_harmless(name: str) -> bool:
    """Tell whether the kind is one of nothing wrong."""
    return name in HARMLESS
