"""Measures how truly ``h5diag locate`` finds what was planted, over several seeds, without the peers.

    python benchmarks/locate_accuracy.py [--workloads W1,W3] [--seeds 1,2,3] [--write]

``--write`` replaces ``docs/locate-accuracy.md``. Every figure is the worst of the seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from locate_workloads import WORKLOADS, marks

from h5diag.measure.locate import locate
from h5diag.memory import MemoryImage

BASE = 0x08000000
DOCS = Path(__file__).resolve().parent.parent / "docs"
HEAD = """# Measured accuracy

Written by `benchmarks/locate_accuracy.py`: the worst of seeds {seeds} on the workloads of `locate_workloads.py`, weak
regions left out. *Recall* counts the planted bytes that differ from one of the four before them, on the planted
displacement; *equal* also accepts an equal byte on another displacement (a true copy); *precision* is the share of the
reported bytes that is on a planted displacement; *pieces* are covered to 90 %; *ends* are the errors of the pieces'
ends in bytes at the 95th percentile, 64 at most: fill at the end of a piece is not reported and counts as an error
here. Boundaries are asked of W1, W2 and W3u. In W3u and W5 the dump holds other firmware or encrypted bytes.

| W | recall | equal | precision | pieces | ends p95 | strong regions | weak | transforms and lines named |
|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows = []
    for name in options.workloads.split(","):
        all_marks, counts, named = [], [], set()
        for seed in options.seeds.split(","):
            w = WORKLOADS[name](int(seed))
            p = locate(
                MemoryImage.from_bytes(w.reference, BASE),
                MemoryImage.from_bytes(w.dump, BASE),
                transforms=w.transform != "as-is",
            )
            found = [(r.reference_start - BASE, r.dump_start - BASE, r.size) for r in p.strong]
            all_marks.append(marks(w, found))
            counts.append((len(p.strong), len(p.weak)))
            named |= {r.transform.value for r in p.strong} | {str(line) for r in p.strong for line in r.lines}
        named -= {"as-is"}
        worst = min(all_marks, key=lambda m: int(m.pieces.split("/")[0]) - int(m.pieces.split("/")[1]))
        rows.append(
            f"| {name} | {min(m.recall for m in all_marks):.5f} |"
            f" {min(m.recall_equal for m in all_marks):.5f} |"
            f" {min(m.precision for m in all_marks):.4f} | {worst.pieces} |"
            f" {max(m.edges[1] for m in all_marks):.0f} | {max(c[0] for c in counts)} |"
            f" {max(c[1] for c in counts)} | {', '.join(sorted(named))} |"
        )
        print(rows[-1], flush=True)
    if options.write:
        seeds = options.seeds.replace(",", ", ")
        (DOCS / "locate-accuracy.md").write_text(HEAD.format(seeds=seeds) + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
