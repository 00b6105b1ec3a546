"""Writes docs/texts.md: which texts are understood and how that is checked, out of the tests' own tables.

Run it after a text, a message or a tool was added: ``python docs/make_texts.py``.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "evidence" / "texts"))

from bench_texts import TEXTS  # noqa: E402

from h5diag.chip.files import index  # noqa: E402
from h5diag.evidence.texts import LogKind, event_rows, meanings, tool_rows  # noqa: E402


def page() -> str:
    """Return the page."""
    out = [
        "# Texts that are understood",
        "",
        "Made by `docs/make_texts.py` from the tests' own texts (`tests/evidence/texts/bench_texts.py`): every line below is",
        "a text that is read, cut and checked in the tests. A tool's version is the one in whose form the text is written;",
        "older and newer ones are read as far as their words are the same.",
        "",
        "| kind (`log`) | text | form of |",
        "|---|---|---|",
    ]
    order = [k.value for k in LogKind]
    for b in sorted(TEXTS, key=lambda b: order.index(b.kind)):
        out.append(f"| {b.kind} | {b.what} | {b.tool} |")
    causes = Counter(m.about or "nothing about the board" for m in meanings())
    out += [
        "",
        "## Messages",
        "",
        f"{len(meanings())} messages have a meaning (`h5diag/evidence/texts/messages.toml`), each with its own test line.",
        "What follows from them:",
        "",
        "| cause | messages |",
        "|---|---|",
        *(f"| {cause} | {count} |" for cause, count in causes.most_common()),
        "",
        "## Boot loaders",
        "",
        f"{len(event_rows())} lines of OEMiROT, MCUboot, TF-M and SBSFU are understood (`boot.toml`), each with a test line.",
        "STiROT prints nothing.",
        "",
        "## Other tools",
        "",
        "| tool | kind | what it tells |",
        "|---|---|---|",
        *(
            f"| {t.name} | {t.kind} | {', '.join(dict.fromkeys(f.field.replace('_', ' ') for f in t.fields))} |"
            for t in tool_rows()
        ),
        "",
        "## Devices",
        "",
    ]
    files = {p.dev_id for p in index().parts}
    known = len({d.dev_id for d in index().devices})
    out += [
        f"{known} DEV_IDs are named; {len(files)} of them have chip files ({len(index().parts)} parts), whose options are",
        "explained. Of every other device identity, geometry and read protection are known, all else stays as printed.",
        "",
    ]
    return "\n".join(out)


if __name__ == "__main__":
    (ROOT / "docs" / "texts.md").write_text(page(), "utf-8")
