"""Scenes by the hundred: ``python tests/soak_scenes.py [--seeds 8] [--from 1000]`` writes docs/verdict-scenes.md.

Resumable: answers are kept in a file beside the table's seeds and are not asked again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "judge"))

from scenes.kinds import HARMLESS  # noqa: E402
from scenes.more_kinds import KINDS, OTHERS  # noqa: E402
from scenes.score import Answer, judge  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--from", type=int, default=1000, dest="start")
    parser.add_argument("--runs", type=int, help="scenes in all, instead of --seeds")
    wanted = parser.parse_args()
    seeds = -(-wanted.runs // len(KINDS)) if wanted.runs else wanted.seeds
    kept = ROOT / ".bench" / f"scenes-{wanted.start}.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    lines = kept.read_text("utf-8").splitlines() if kept.exists() else []
    answers = {(a.kind, a.seed): a for a in (Answer(**json.loads(line)) for line in lines)}
    for seed in range(wanted.start, wanted.start + seeds):
        for name in KINDS:
            if (name, seed) not in answers:
                answers[name, seed] = judge(name, seed)
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(answers[name, seed])) + "\n")
    write([a for a in answers.values() if a.seed < wanted.start + seeds], wanted.start, seeds)


def write(answers: list[Answer], start: int, seeds: int) -> None:
    rows: dict[str, list[Answer]] = defaultdict(list)
    for a in answers:
        rows[a.kind].append(a)
    halves = [n for n in rows if n in OTHERS], [n for n in rows if n not in OTHERS]
    heads = "by somebody who had not read the checks", "by those who wrote the checks"
    text = [
        "# How the verdict scores on scenes",
        "",
        f"Written by `python tests/soak_scenes.py --seeds {seeds} --from {start}`. A scene is told from what happened to a",
        "board (`tests/judge/scenes`): file, tool, boot loader or fault first, then loose files are left out, renamed and",
        "saved in other forms, and `h5diag case` and `h5diag diagnose` are asked. Seeds below 100 were looked at while checks",
        "were mended; those of this page were run once, after the code that is asked was final, and nothing was mended for them.",
        "",
        _said("All scenes", answers),
    ]
    for head, names in zip(heads, halves, strict=True):
        part = [a for n in names for a in rows[n]]
        text += ["", f"## Kinds written {head}", "", _said(f"{len(names)} kinds", part), ""]
        text += ["| kind | right | misleading | abstains | missed |", "|---|---|---|---|---|"]
        for name in names:
            words = Counter(a.word for a in rows[name])
            counts = (words[w] for w in ("ok", "misleading", "abstains", "miss"))
            text.append(f"| {name} | {' | '.join(map(str, counts))} |")
    text += ["", "## What is still wrong", ""]
    wrong = [a for a in answers if a.word != "ok"]
    text += [
        f"* {a.kind}, seed {a.seed}: {a.word}: {'; '.join(a.reasons)[:160].replace('|', '/')} (leads: {a.lead}; {a.verdict})"
        for a in wrong
    ] or ["Nothing in this run."]
    (ROOT / "docs" / "verdict-scenes.md").write_text("\n".join(text) + "\n", "utf-8")
    print(text[7])


def _said(what: str, answers: list[Answer]) -> str:
    total = Counter(a.word for a in answers)
    faulty = [a for a in answers if a.faulty]
    harmless = [a for a in answers if a.kind in HARMLESS]
    said = (
        f"{what}: right {total['ok']} of {len(answers)}, misleading {total['misleading']}, no cause put forward though one"
        f" should be {total['abstains']}, other misses {total['miss']}. Brier score over the causes (status read as a"
        f" probability, 0 is best) {sum(a.brier for a in answers) / max(1, len(answers)):.3f}. Really faulty boards:"
        f" {len(faulty)}, marked as suspect or faulty {sum(a.marked for a in faulty)}."
    )
    return said + (
        f" Harmless ones led by a cell cause or called suspect: {sum(a.marked for a in harmless)} of {len(harmless)}."
        if harmless
        else ""
    )


if __name__ == "__main__":
    main()
