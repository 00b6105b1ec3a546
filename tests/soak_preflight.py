"""1,000 sets with one planted fault and 200 sound ones: the table of docs/preflight-results.md.

Run by ``make soak``; a smaller run: ``python tests/soak_preflight.py 1 40 2`` (seed, sound sets, sets of each fault).
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import provisioning_sets as sets

RESULTS = Path(__file__).parents[1] / "docs" / "preflight-results.md"


def run(seed: int, sound: int, each: int) -> str:
    verdicts, caught, go = Counter(), Counter(), 0
    for i in range(sound):
        with tempfile.TemporaryDirectory() as folder:
            verdicts[sets.judge(sets.sound_plan(random.Random(f"{seed}-{i}")), Path(folder)).verdict] += 1
    rows = []
    for name, (ids, _) in sets.FAULTS.items():
        kinds = Counter()
        for i in range(each):
            with tempfile.TemporaryDirectory() as folder:
                found = sets.judge(sets.faulty_plan(random.Random(f"{seed}-{name}-{i}"), name), Path(folder))
            kinds[found.verdict] += 1
            caught[name] += bool({r.id for r in found.rows if r.state == "fail"} & ids)
        go += kinds["go"]
        rows.append(f"| {name} | {each} | {kinds['no-go']} | {kinds['unknown']} | {kinds['go']} | {caught[name]} |")
    total = each * len(sets.FAULTS)
    return "\n".join(
        [
            "# Preflight: sets of our own making",
            "",
            f"Seed {seed}. `tests/provisioning_sets.py` makes them: six boards, both kinds of release, both aliases,",
            "chains of two and three, keys as PKCS#8, SEC1 and DER, line ends of both kinds, `.bat` beside `.sh`.",
            "",
            f"* {total} sets with one fault of {len(sets.FAULTS)} kinds: **{go} GO**;"
            f" {sum(caught.values())} found by the check of that fault.",
            f"* {sound} sound sets: {verdicts['go']} GO, {verdicts['unknown']} UNKNOWN, **{verdicts['no-go']} NO-GO**.",
            "",
            "| planted fault | sets | NO-GO | UNKNOWN | GO | by its own check |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    arguments = [int(a) for a in sys.argv[1:4]] or [1, 200, 22]
    text = run(*arguments)
    print(text)
    if len(sys.argv) < 2:
        RESULTS.write_text(text, "utf-8")
