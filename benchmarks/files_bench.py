"""How long reading and writing memory files takes and how much memory, beside bincopy and intelhex.

Each measurement runs in a process of its own, so that its peak memory is its own. Prints one line per measurement;
``--json`` for programs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from h5diag.evidence.files import read_image, write_image
from h5diag.memory import MemoryImage

BASE = 0x9000_0000  # external flash: 64 MB do not fit anywhere else


def measured(what: str, path: str) -> None:
    """Read `path` by the reader called `what` and print seconds and peak bytes as JSON."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    if what == "h5diag":
        read_image(path)
    elif what == "bincopy":
        import bincopy

        bincopy.BinFile().add_file(path)
    else:
        from intelhex import IntelHex

        IntelHex(path)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    print(json.dumps({"seconds": time.monotonic() - begun, "bytes": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=64, help="size of the large image")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measured(*options.measure)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(options.seed)
        for mib, readers in ((2, ("h5diag", "bincopy", "intelhex")), (options.mib, ("h5diag", "bincopy"))):
            image = MemoryImage.from_bytes(rng.integers(0, 256, mib << 20, dtype=np.uint8), BASE)
            for suffix in ("hex", "srec"):
                begun = time.monotonic()
                path = write_image(image, Path(folder) / f"{mib}.{suffix}")
                rows.append(
                    {
                        "what": f"write {suffix}",
                        "reader": "h5diag",
                        "mib": mib,
                        "seconds": time.monotonic() - begun,
                        "times_data": 0.0,
                    }
                )
                for reader in readers:
                    if reader == "intelhex" and suffix != "hex":
                        continue
                    out = subprocess.run(
                        [sys.executable, __file__, "--measure", reader, str(path)],
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout
                    found = json.loads(out)
                    rows.append(
                        {
                            "what": f"read {suffix}",
                            "reader": reader,
                            "mib": mib,
                            "seconds": found["seconds"],
                            "times_data": found["bytes"] / (mib << 20),
                        }
                    )
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        memory = f"{row['times_data']:6.1f} x the data" if row["times_data"] else ""
        print(f"{row['what']:11}  {row['mib']:3} MiB  {row['reader']:9}  {row['seconds']:7.2f} s  {memory}")


if __name__ == "__main__":
    main()
