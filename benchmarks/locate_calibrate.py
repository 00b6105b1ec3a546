"""Fits the nominal significance of ``h5diag locate`` on pairs of unrelated firmware.

    python benchmarks/locate_calibrate.py [--write]

Every pair is searched with all thresholds down; what is found is chance (or an idiom that everybody uses). The tail
above 60 bits is fitted for each instruction set; ten held-out pairs, none of which is a fitted pair,
then say what the fit is worth. ``--write`` replaces ``h5diag/measure/locate/calibration.toml`` and the chart and the
figures in ``docs``.
"""

from __future__ import annotations

import argparse
import json
from math import inf, log, log2
from pathlib import Path

import numpy as np
from locate_workloads import firmware

import h5diag.measure.locate.regions as regions
from h5diag.measure.locate import Placement, locate
from h5diag.memory import MemoryImage

ROOT = Path(__file__).resolve().parent.parent
FROM = 60.0

# Pairs with known common source are left out: MicroPython holds newlib's libm, OpenSBI and U-Boot share libfdt, the
# NXT firmware holds libgcc's floating point as libstdc++ and MicroPython do, SeaBIOS and U-Boot for x86 the VGA BIOS.
FITTED = {
    "thumb": [
        ("thumb-cxx", "micropython"),
        ("v6m-cxx", "micropython"),
        ("thumb-m", "hackrf"),
        ("thumb-cxx", "v6m-m"),
        ("v6m-cxx", "thumb-m"),
        ("thumb-cxx", "hackrf"),
    ],
    "arm": [("arm-cxx", "u-boot-qemu_arm"), ("arm-m", "u-boot-qemu_arm"), ("arm-m", "nxt")],
    "mixed": [
        ("thumb-cxx", "u-boot-qemu_arm"),
        ("thumb-m", "u-boot-qemu_arm64"),
        ("arm-cxx", "seabios"),
        ("micropython", "u-boot-qemu-riscv64"),
        ("thumb-cxx", "u-boot-qemu-x86_64"),
        ("arm-m", "opensbi"),
    ],
}
HELD_OUT = [
    ("thumb-cxx", "ubertooth"),
    ("v6m-cxx", "hackrf"),
    ("ubertooth", "u-boot-qemu_arm"),
    ("hackrf", "nxt"),
    ("v6m-m", "u-boot-qemu_arm"),
    ("seabios", "thumb-cxx"),
    ("opensbi", "thumb-cxx"),
    ("ath9k-7010", "u-boot-qemu_arm64"),
    ("u-boot-qemu-ppce500", "arm-cxx"),
    ("nxt", "u-boot-maltael"),
]


def _placed(a: str, b: str, *, every: bool) -> tuple[Placement, float]:
    x, y = firmware(a), firmware(b)
    least, shown = regions.LEAST, regions.SHOWN
    if every:
        regions.LEAST, regions.SHOWN = 35.0, inf
    try:
        # Bases without a common sector grid: a chance hit must not look like a move by sectors.
        placed = locate(
            MemoryImage.from_bytes(x, 0x08000000), MemoryImage.from_bytes(y, 0x08000000 if not every else 0x20000004)
        )
    finally:
        regions.LEAST, regions.SHOWN = least, shown
    return placed, float(x.size) * y.size


def _fit(pairs: list[tuple[str, str]]) -> dict[str, object]:
    scores: list[float] = []
    cells = 0.0
    for a, b in pairs:
        placed, n = _placed(a, b, every=True)
        mine = [r.score_bits for r in placed.regions]
        print(f"  {a} x {b}: {sum(s >= FROM for s in mine)} above {FROM:.0f}, best {max(mine, default=0):.0f}")
        scores += mine
        cells += n
    tail = np.array([s for s in scores if s >= FROM])
    slope = 1 / (float((tail - FROM).mean()) * log(2))
    log2_k = log2(tail.size / cells) + slope * FROM
    return {
        "slope": round(slope, 4),
        "log2_k": round(log2_k, 2),
        "pairs": len(pairs),
        "log2_cells": round(log2(cells), 1),
        "scores": sorted(round(s, 1) for s in scores),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    fits = {}
    for isa, pairs in FITTED.items():
        print(isa)
        fits[isa] = _fit(pairs)
        print("   ", {k: v for k, v in fits[isa].items() if k != "scores"})
    if options.write:
        text = [
            "# Nominal significance of a located piece, written by benchmarks/locate_calibrate.py:",
            "# expectation = cells * 2 ** (log2_k - slope * score).",
        ]
        for isa, f in fits.items():
            names = ", ".join(" x ".join(p) for p in FITTED[isa])
            figures = [f"{k} = {f[k]}" for k in ("slope", "log2_k", "pairs", "log2_cells")]
            text += [
                "",
                "[[fit]]",
                f'isa = "{isa}"',
                *figures,
                f'ref = "segments of at least {FROM:.0f} bits between {names}"',
            ]
        (ROOT / "h5diag/measure/locate/calibration.toml").write_text("\n".join(text) + "\n")
        from h5diag.measure.locate import score

        score.fits.cache_clear()
    held, false = [], 0
    for a, b in HELD_OUT:
        placed, cells = _placed(a, b, every=False)
        strong = placed.strong
        false += len(strong)
        loose, _ = _placed(a, b, every=True)
        held.append(
            {
                "pair": f"{a} x {b}",
                "cells": cells,
                "unflagged": len(strong),
                "weak": len(placed.weak),
                "scores": sorted((r.score_bits for r in loose.regions), reverse=True),
            }
        )
        print(
            f"held out {a} x {b}: {len(strong)} unflagged, {len(placed.weak)} weak",
            [(r.size, r.score_bits, round(r.identity, 2), hex(r.reference_start), hex(r.dump_start)) for r in strong],
        )
    print("unflagged false regions in all:", false)
    if options.write:
        figures = json.dumps({"fitted": fits, "held_out": held}, indent=0)
        (ROOT / "docs/locate-calibration.json").write_text(figures + "\n")
        _chart(fits, held)


def _chart(fits: dict[str, dict[str, object]], held: list[dict[str, object]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    at = np.arange(40, 420, 2.0)
    styles = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"))
    for (isa, f), (colour, marker) in zip(fits.items(), styles, strict=True):
        seen = np.array(f["scores"])
        cells = 2.0 ** float(f["log2_cells"])
        axes[0].plot(at, cells * 2.0 ** (float(f["log2_k"]) - float(f["slope"]) * at), color=colour, lw=1)
        steps = at[::6]
        axes[0].plot(
            steps,
            [(seen >= s).sum() for s in steps],
            marker,
            color=colour,
            ms=5,
            ls="",
            label=f"{isa}: {f['pairs']} pairs, {len(seen)} segments",
        )
    total = np.sort(np.concatenate([np.array(h["scores"], float) for h in held]))
    cells = sum(float(h["cells"]) for h in held)
    worst = np.max([2.0 ** (float(f["log2_k"]) - float(f["slope"]) * at) for f in fits.values()], axis=0)
    axes[1].plot(at, cells * worst, "k-", lw=1, label="predicted (most cautious fit)")
    axes[1].plot(
        at[::6], [(total >= s).sum() for s in at[::6]], "D", color="#CC79A7", ms=5, label="seen, ten held-out pairs"
    )
    for ax, title in zip(axes, ("fitted pairs (lines: fit)", "held-out pairs"), strict=True):
        ax.set(yscale="log", ylim=(1e-4, 1e4), xlabel="score (bits, order-2 model)", title=title)
        ax.grid(alpha=0.3)
        ax.legend()
    axes[0].set_ylabel("segments with at least this score")
    fig.savefig(ROOT / "docs/locate-significance.png", dpi=110)


if __name__ == "__main__":
    main()
