"""1,000 sets with one planted fault, 200 sound ones, 2,000 mutants of scripts: the tables of docs/preflight-results.md.

Run by ``make soak``; a smaller run prints only: ``python tests/soak_preflight.py 1 40 2 100`` (seed, sound sets, sets of
each fault, mutants). Resumable: answers are kept in ``.bench`` by seed and by the code that gave them.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
import provisioning_sets as sets  # noqa: E402
import script_mutants as mutants  # noqa: E402

WALKED = ("sim/rehearse", "evidence/keys", "layout")
RESULTS = ROOT / "docs" / "preflight-results.md"
MADE = "<!-- made by tests/soak_preflight.py: what stands below is written anew -->\n"


class Answers:
    """Answers that were given already by this very code, and a place for new ones."""

    def __init__(self, what: str, seed: int, folders: tuple[str, ...]) -> None:
        code = hashlib.sha256()
        for folder in folders:
            for path in sorted((ROOT / "h5diag" / folder).glob("*.[pt]*")):
                code.update(path.read_bytes())
        for path in (sets.__file__, mutants.__file__):
            code.update(Path(path).read_bytes())
        self.file = ROOT / ".bench" / f"{what}-{seed}-{code.hexdigest()[:12]}.jsonl"
        self.file.parent.mkdir(exist_ok=True)
        lines = self.file.read_text("utf-8").splitlines() if self.file.exists() else []
        self.kept = dict(json.loads(line) for line in lines)

    def of(self, name: str, ask: Callable[[], list[object]]) -> list[object]:
        """Return the answer called `name`, asked for now when it is not there."""
        if name not in self.kept:
            self.kept[name] = ask()
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([name, self.kept[name]]) + "\n")
        return self.kept[name]


def _set(plan: sets.Plan, ids: set[str]) -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        found = sets.judge(plan, Path(folder))
    return [found.verdict, bool({r.id for r in found.rows if r.state == "fail"} & ids)]


def _mutant(seed: int, folder: Path, kinds: dict[bytes, str]) -> list[object]:
    style, due, _, found = mutants.judged(seed, folder, kinds)
    return [style, due, found.verdict]


def run(seed: int, sound: int, each: int, many: int) -> str:
    answers = Answers("preflight", seed, ("judge/preflight", *WALKED))
    walks = Answers("mutants", seed, WALKED)
    verdicts = Counter(
        answers.of(f"sound {i}", lambda i=i: _set(sets.sound_plan(random.Random(f"{seed}-{i}")), set()))[0]
        for i in range(sound)
    )
    rows, caught, go = [], 0, 0
    for name, (ids, _) in sets.FAULTS.items():
        found = [
            answers.of(
                f"{name} {i}",
                lambda i=i, name=name, ids=ids: _set(sets.faulty_plan(random.Random(f"{seed}-{name}-{i}"), name), ids),
            )
            for i in range(each)
        ]
        kinds, own = Counter(f[0] for f in found), sum(bool(f[1]) for f in found)
        caught, go = caught + own, go + kinds["go"]
        rows.append(f"| {name} | {each} | {kinds['no-go']} | {kinds['unknown']} | {kinds['go']} | {own} |")
    with tempfile.TemporaryDirectory() as folder:
        known = mutants.materials(Path(folder))
        walked = [
            walks.of(f"mutant {i}", lambda i=i: _mutant(seed * 100_000 + i, Path(folder), known)) for i in range(many)
        ]
    agree = sum(due == got for _, due, got in walked)
    styles = Counter(s for s, *_ in walked)
    right = Counter(s for s, due, got in walked if due == got)
    closed = Counter(due for _, due, _ in walked)
    return "\n".join(
        [
            MADE,
            f"Seed {seed}. `tests/provisioning_sets.py` makes the sets: six boards, both kinds of release, both aliases,",
            "chains of two and three, keys as PKCS#8, SEC1 and DER, line ends of both kinds, `.bat` beside `.sh`.",
            "",
            f"* {each * len(sets.FAULTS)} sets with one fault of {len(sets.FAULTS)} kinds: **{go} GO**;"
            f" {caught} found by the check of that fault.",
            f"* {sound} sound sets: {verdicts['go']} GO, {verdicts['unknown']} UNKNOWN, **{verdicts['no-go']} NO-GO**.",
            f"* {many} rehearsed scripts of 12 calls, with up to three of them dropped, swapped, repeated, made to fail or given",
            f"  another state or object ({closed['no-go']} must be NO-GO): **{agree} agree** with a model that sees no script.",
            "",
            "| planted fault | sets | NO-GO | UNKNOWN | GO | by its own check |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "| how the script looks at results | scripts | agree |",
            "|---|---|---|",
            *(f"| {s} | {styles[s]} | {right[s]} |" for s in mutants.STYLES),
            "",
        ]
    )


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:5]]
    text = run(*given, *[1, 200, 22, 2000][len(given) :])
    print(text)
    if len(sys.argv) < 2:
        before = RESULTS.read_text("utf-8").partition(MADE)[0]
        RESULTS.write_text(before + text, "utf-8")
