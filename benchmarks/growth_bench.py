"""How the costs grow: the search with the pieces and with the size, a lot with its boards; and what large files cost.

Used by ``speed_bench.py``, which writes what is measured here into ``docs/speed.md`` and ``docs/images/growth.png``.
Times are of the processor; memory is the peak of a process of its own, as the system counts it.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from locate_bench import drawn, ours, own_time, planted
from locate_workloads import Workload

from h5diag.evidence.files import write_image
from h5diag.memory import MemoryImage

PIECES = (1, 3, 10, 30, 100, 300, 1000)
SIZES = (1, 2, 4, 8, 16, 32, 64)
EXTERNAL = 0x90000000
SEED = 7
H5DIAG = [sys.executable, "-m", "h5diag"]

LOOK = """
import json, resource, sys, time
from h5diag.evidence.files import read_image
from h5diag.show.pages import HexPages
pages = HexPages(*(read_image(path, base=int(sys.argv[3])) for path in sys.argv[1:3]))
spent, at = [], -1
for _ in range(3):
    begun = time.process_time()
    at = pages.difference_after(at).start
    spent.append(1000 * (time.process_time() - begun))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"first": spent[0], "next": max(spent[1:]), "peak": peak / 1024}))
"""


def spent(command: list[str], folder: Path) -> tuple[float, float]:
    """Return seconds of processor time and peak MB of a whole process."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    # An own process that starts it: else the peak counts that of this one, out of which it was forked.
    measure = (
        "import resource,subprocess,sys;subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL,"
        "stderr=subprocess.DEVNULL);u=resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(u.ru_utime+u.ru_stime,u.ru_maxrss/1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measure, *command],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def large_files(folder: Path) -> list[tuple[str, str, str, bool | None]]:
    """Return what is asked of large files, what was measured, what is promised, and whether it is kept."""
    rng = np.random.default_rng(SEED)
    content = rng.integers(0, 256, 4 << 20, dtype=np.uint8)
    for name in ("external-good.bin", "external-suspect.bin"):
        with (folder / name).open("wb") as stream:
            stream.truncate(1 << 30)
            for at in range(0, 1 << 30, 64 << 20):
                stream.seek(at)
                if "suspect" in name and at:
                    content[at >> 12 :][:50] ^= 1
                stream.write(content.tobytes())
    files = ["external-good.bin", "external-suspect.bin"]
    seconds, peak = spent(
        [*H5DIAG, "compare", *files, "--base", hex(EXTERNAL), "--reference-base", hex(EXTERNAL), "--json"], folder
    )
    out: list[tuple[str, str, str, bool | None]] = [
        ("`compare` of two times 1 GB: peak memory", f"{peak:.0f} MB", "300 MB", peak < 300),
        ("the same: processor time", f"{seconds:.1f} s", "", None),
    ]
    look = subprocess.run(
        [sys.executable, "-c", LOOK, *files, str(EXTERNAL)], cwd=folder, check=True, capture_output=True, text=True
    )
    seen = json.loads(look.stdout)
    out += [
        ("hex view of both, first difference", f"{seen['first']:.0f} ms", "50 ms", seen["first"] < 50),
        ("the next ones, 64 MB further each", f"{seen['next']:.0f} ms", "50 ms", seen["next"] < 50),
        ("hex view, peak memory", f"{seen['peak']:.0f} MB", "300 MB", seen["peak"] < 300),
    ]
    objcopy = shutil.which("objcopy") or shutil.which("arm-none-eabi-objcopy")
    if objcopy:
        write_image(MemoryImage.from_bytes(rng.integers(0, 256, 64 << 20, dtype=np.uint8), 0), folder / "64.hex")
        read = [sys.executable, "-c", "import sys;from h5diag.evidence.files import read_image;read_image(sys.argv[1])"]
        pairs = [
            (
                spent([*read, "64.hex"], folder)[0],
                spent([objcopy, "-I", "ihex", "-O", "binary", "64.hex", "64.bin"], folder)[0],
            )
            for _ in range(3)
        ]
        ratio = statistics.median(a / b for a, b in pairs)
        out.append(("64 MB of .hex read, times objcopy's whole process", f"{ratio:.2f}", "2", ratio <= 2))
    return out


def searched(w: Workload) -> float:
    """Return the milliseconds that the search takes, the median of three."""
    return 1000 * statistics.median(own_time(lambda: ours(w)) for _ in range(3))


def by_pieces() -> list[tuple[int, float]]:
    """Return pieces planted into 2 MB of fill and milliseconds."""
    out = []
    for count in PIECES:
        rng = np.random.default_rng([SEED, count])
        dump = np.full(2 << 20, 0xFF, np.uint8)
        size = min((1 << 20) // count, 200_000)
        out.append((count, searched(planted(rng, "", drawn(rng, "thumb", 2 << 20), dump, count, size // 2, size))))
    return out


def by_size() -> list[tuple[int, float, float]]:
    """Return megabytes, milliseconds with twenty pieces moved, and milliseconds of one copy of the dump."""
    out = []
    for size in SIZES:
        rng = np.random.default_rng([SEED, 1, size])
        reference = drawn(rng, "large", size << 20)
        w = planted(rng, "", reference, reference.copy(), 20, (size << 20) // 200, (size << 20) // 50)
        out.append((size, searched(w), 1000 * min(own_time(w.dump.copy) for _ in range(3))))
    return out


def draw(lots: list[tuple[int, float]], path: Path) -> tuple[list[tuple[int, float]], list[tuple[int, float, float]]]:
    """Measure, and draw the three curves of growth; `lots` are boards and seconds of processor time."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib.figure import Figure

    pieces, sizes = by_pieces(), by_size()
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    one, two, three = figure.subplots(1, 3)
    one.plot(*zip(*pieces, strict=True), "o-", color="#1b6ca8")
    one.set(title="pieces in 2 MB", xlabel="pieces", ylabel="ms of processor time", xscale="log")
    two.plot([s for s, _, _ in sizes], [t for _, t, _ in sizes], "o-", color="#1b6ca8", label="search, 20 pieces moved")
    two.plot(
        [s for s, _, _ in sizes], [10 * c for _, _, c in sizes], "--", color="#777777", label="ten copies of the dump"
    )
    two.set(title="size of both images", xlabel="MB", ylabel="ms of processor time", xscale="log", yscale="log")
    two.legend(frameon=False, fontsize=8)
    two.set_xticks(SIZES, [str(s) for s in SIZES])
    two.minorticks_off()
    if lots:
        three.plot(*zip(*lots, strict=True), "o-", color="#1b6ca8")
        three.set_ylim(bottom=0)
        three.set_xlim(left=0)
    else:
        three.text(0.5, 0.5, "not measured", ha="center", transform=three.transAxes)
    three.set(title="boards of a lot, one worker", xlabel="boards", ylabel="s of processor time")
    one.set_ylim(bottom=0)
    for axes in (one, two, three):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    return pieces, sizes
