"""``python -m scenes --seeds 3 --from 100 [--only REGEX]`` in ``tests/judge``: a line per scene that is not right, then a table."""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict

from .more_kinds import KINDS
from .score import Answer, judge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--from", type=int, default=0, dest="start")
    parser.add_argument("--only", default="")
    wanted = parser.parse_args()
    answers: list[Answer] = []
    for name in KINDS:
        if re.search(wanted.only, name):
            for seed in range(wanted.start, wanted.start + wanted.seeds):
                answers.append(judge(name, seed))
                a = answers[-1]
                if a.flaws:
                    print(f"flaws      {a.kind} {a.seed}: {'; '.join(a.flaws)}", flush=True)
                if a.word != "ok":
                    print(f"{a.word:10} {a.kind} {a.seed}: {a.lead}, {a.verdict}: {'; '.join(a.reasons)}", flush=True)
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for a in answers:
        rows[a.kind][a.word] += 1
    total = Counter(a.word for a in answers)
    for name, row in rows.items():
        print(f"{name:32}", dict(row))
    faulty = [a for a in answers if a.faulty]
    print(
        dict(total),
        f"right {total['ok']}/{len(answers)}, Brier {sum(a.brier for a in answers) / len(answers):.3f},",
        f"really faulty boards marked {sum(a.marked for a in faulty)}/{len(faulty)}",
    )


if __name__ == "__main__":
    main()
