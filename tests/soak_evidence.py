"""Evidence that grows: ``python tests/soak_evidence.py [--seeds 1] [--from 0]``, with no table and an exit status of its own.

Each scene is answered with what it needs alone, then with one more of its files at a time. An answer that was right has
to stay right.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "judge"))

from scenes.more_kinds import KINDS
from scenes.score import growing, made_worse


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="start")
    wanted = parser.parse_args()
    steps = worse = 0
    for name in KINDS:
        for seed in range(wanted.start, wanted.start + wanted.seeds):
            answers = growing(name, seed)
            steps += len(answers) - 1
            if told := made_worse(answers):
                worse += 1
                print(f"{name} {seed}: {told}", flush=True)
    print(f"{len(KINDS) * wanted.seeds} scenes, {steps} files added: {worse} right answers became wrong")
    return worse > 0


if __name__ == "__main__":
    sys.exit(main())
