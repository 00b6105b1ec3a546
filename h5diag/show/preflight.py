"""What provisioning is, whether it may be run, and whether a board reopens: for a person and as JSON."""

from __future__ import annotations

import re
from typing import Any

from h5diag.evidence.keys import FULL_REGRESSION, Certificate, Obk, ObkContent, chain_breaks, published
from h5diag.judge.preflight import ASKS, Inventory, Item, Preflight, Reopening, Row
from h5diag.judge.preflight.inventory import end_of_file, image_bytes
from h5diag.measure.firmware import Check, TlvType, dependencies, verify_image
from h5diag.measure.firmware.image import ENCRYPTION_TYPES
from h5diag.measure.firmware.trailer import parse_magic
from h5diag.show.explain import check_words
from h5diag.show.sheet import Sheet, bullets, properties, section, sheet, table
from h5diag.show.view import View, drawing, picked
from h5diag.sim.rehearse import STATES, PartTraits, Rehearsal, Walk, WalkInputs, syntax_errors, unchecked, walk_script
from h5diag.text import count_text

_YES = {"yes": True, "no": False, "open": None}
_TONES = {"go": "calm", "unknown": "open", "no-go": "fault", "open": "calm", "reopenable": "calm", "lost": "fault"}


# ------------------------------------------------------------------------------------------------------------ keys
def inventory_document(found: Inventory) -> dict[str, Any]:
    """Return the inventory in the terms of ``h5diag keys --json``."""
    return {
        "files": [item_document(i) for i in found.items],
        "fits": [picked(f, "a b how") for f in found.fits],
    }


def _script_document(item: Item) -> dict[str, Any]:
    # Scripts of a package read an env file one folder up.
    stage = WalkInputs(item.path.absolute().parent.parent, PartTraits(""), lenient=True)
    walk: Walk = walk_script(item.path.absolute(), stage)
    steps = walk.steps
    out: dict[str, Any] = {
        "calls": len(steps),
        "unchecked": [m.step.call.line for m in unchecked(walk, stage)],
        "irreversible": [s.call.line for s in steps if s.irreversible],
        "state": steps[-1].state if steps else None,
        "options": {n: v for s in steps for n, v in s.call.options},
    }
    if item.path.suffix.lower() == ".sh":
        out["syntax_errors"] = list(syntax_errors(item.text))
    return out


def item_document(item: Item) -> dict[str, Any]:
    """Return an item as the contract has it; nothing secret is in it."""
    out: dict[str, Any] = {
        "file": item.name,
        "kind": item.kind,
        "fingerprint": item.fingerprint,
        "published": bool(item.published),
        "published_as": item.published,
        "size": item.size,
    }
    if item.why or item.kind == "unknown":
        out["why"] = item.why or "none of the kinds that provisioning knows"
    if item.obk is not None:
        out |= _obk_document(item, item.obk)
    if item.chain:
        out |= {"chain": [_certificate_document(item.chain, n) for n in range(len(item.chain))]}
        out["problems"] = [f"certificate {n}: {text}" for n, text in _breaks(item.chain)]
    if item.key is not None:
        out["algorithm"] = item.key.algorithm
    if item.password is not None:
        out["length"] = item.password.length
    if item.images:
        out |= image_document(item)
    if item.xml is not None:
        out |= picked(item.xml, "for_file destination encrypts")
        out |= {"keys": [name for name, _ in item.xml.keys], "makes": item.xml.makes}
    if item.kind == "script":
        out |= _script_document(item)
    return out


def _breaks(chain: tuple[Certificate, ...]) -> tuple[tuple[int, str], ...]:
    """A single certificate that is no root is a link of a chain, not a broken chain."""
    if len(chain) == 1 and chain[0].role != "root":
        return tuple((1, p) for p in chain[0].problems)
    return chain_breaks(chain)


def permission_bits(mask: int) -> list[int]:
    """Return the numbers of the bits that a permission mask has."""
    return [n for n in range(128) if mask >> n & 1]


def _obk_document(item: Item, obk: Obk) -> dict[str, Any]:
    out: dict[str, Any] = {
        **picked(obk, "destination size file_size"),
        "encrypted": bool(obk.flag),
        "flag": obk.flag,
        "hash": "valid" if obk.digest_valid else "invalid",
        "content": obk.content.value,
    }
    if obk.content is ObkContent.DA:
        out["permissions"] = permission_bits(obk.permissions or 0)
        out["full_regression"] = bool((obk.permissions or 0) >> FULL_REGRESSION & 1)
        out["password_hash" if item.kind == "obk-da-password" else "root_hash"] = obk.credential.hex()
        out["how_known"] = item.how_known
        return out
    out["role"] = "config" if "configuration" in obk.content.value else "data"
    if obk.stirot is not None:
        out["fields"] = {n: getattr(obk.stirot, n) for n in type(obk.stirot).__slots__}
    if obk.versions:
        out["versions"] = list(obk.versions)
    out["keys"] = [{"role": r, "fingerprint": k.spki, "published": published(k.spki) is not None} for r, k in obk.keys]
    return out


def _certificate_document(chain: tuple[Certificate, ...], n: int) -> dict[str, Any]:
    c, issuer = chain[n], chain[max(n - 1, 0)]
    alone = len(chain) == 1 and c.role != "root"
    return {
        "role": c.role,
        "fingerprint": c.spki,
        "permissions": permission_bits(c.permissions),
        "soc_class": c.soc_class,
        "soc_id": c.soc_id.hex() if any(c.soc_id) else None,
        "signed_by": None if alone else issuer.role,
        "signature": "not-checked" if alone else "valid" if c.signed_by(issuer) else "invalid",
    }


def image_document(item: Item) -> dict[str, Any]:
    """Return what an image file holds: its first image, and how many there are."""
    image, memory = item.images[0], item.memory
    assert memory is not None
    return {
        "address": image.address if memory.origin.kind != "bin" else None,
        "magic": int.from_bytes(image_bytes(item)[:4], "little"),
        "version": str(image.header.version),
        "counter": next((t.number for t in image.tlvs.protected if t.type == TlvType.SECURITY_COUNTER), None),
        "encrypted": any(t.type in ENCRYPTION_TYPES for t in image.tlvs.plain),
        "body_plain": verify_image(image, image_bytes(item)).hash is Check.VALID,
        "keyhash": next((t.value.hex() for t in image.tlvs.plain if t.type == TlvType.KEYHASH), None),
        "dependencies": [{"image": d.image, "version": str(d.version)} for d in dependencies(image.tlvs)],
        "trailer": parse_magic(end_of_file(item))[0].value,
        "images": len(item.images),
    }


def inventory_sheet(found: Inventory) -> Sheet:
    """Return what each file is and who fits whom, for a person."""
    rows = (
        (i.name, f"unknown: {i.why}" if i.kind == "unknown" and i.why else i.kind, i.fingerprint[:16], i.published)
        for i in found.items
    )
    public = [i.name for i in found.items if i.published]
    head = count_text(len(found.items), "file")
    if public:
        head += f"; {len(public)} of them published: a product must not carry these keys"
    return sheet(
        head,
        section("files", table("file|what it is|fingerprint|published as", rows, most=200)),
        section("who fits whom", table("file|fits|as", [(f.a, f.b, f.how) for f in found.fits], most=200)),
        tone="warn" if public else "calm",
    )


# ------------------------------------------------------------------------------------------------------- preflight
def preflight_document(p: Preflight) -> dict[str, Any]:
    """Return the preflight as the contract has it."""
    return {
        "verdict": p.verdict,
        "to": p.to,
        "to_assumed": not p.to_given,
        "chip": p.chip or None,
        "chip_known_by": p.chip_known_by,
        "path": p.path,
        "checks": [
            {
                **picked(r, "id state text file place"),
                "needs": _todo(r),
                "follows": "" if r.state == "pass" else check_words()[r.id]["follows"],
            }
            for r in p.rows
        ],
        "lost_if_wrong": p.lost_if_wrong,
        "ask": [{"id": i, "text": t} for i, t in ASKS],
    }


def _todo(r: Row) -> str:
    """Return what to do about a row, nothing about one that passes."""
    return "" if r.state == "pass" else r.needs or check_words()[r.id]["mend"]


def preflight_sheet(p: Preflight) -> Sheet:
    """Return the preflight for a person: what stops first."""
    assumed = "" if p.to_given else " (assumed, say --to)"
    groups = {s: [r for r in p.rows if r.state == s] for s in ("fail", "unknown", "warn", "pass")}
    counted = ", ".join(f"{len(rows)} {name}" for name, rows in groups.items() if rows)

    def lines(rows: list[Row]) -> list[str]:
        first = {r.id: r for r in reversed(rows)}
        return [
            f"{r.id}: {r.text}"
            + (f" [{', '.join(x for x in (r.file, r.place) if x)}]" if r.file else "")
            + (f" -> {_todo(r)}" if r is first[r.id] or r.needs else "")
            + (f". If it is wrong: {check_words()[r.id]['follows']}" if r is first[r.id] else "")
            for r in rows
        ]

    return sheet(
        f"{p.verdict.upper()} to {p.to}{assumed}: {counted}",
        section("what stops it", bullets(lines(groups["fail"]), "x")),
        section("what is not known", bullets(lines(groups["unknown"]), "?")),
        section("worth knowing", bullets(lines(groups["warn"]), "!")),
        section(
            "what holds", bullets(dict.fromkeys(f"{r.id}: {r.text} [{r.file}]" for r in groups["pass"])), folded=True
        ),
        section("at stake", p.lost_if_wrong),
        section("no file can tell", bullets(t for _, t in ASKS)),
        tone=_TONES[p.verdict],
        badge=p.verdict.upper(),
        name=f"{p.chip or 'no part named'}, path {p.path}",
    )


# ---------------------------------------------------------------------------------------------------------- access
def access_document(a: Reopening) -> dict[str, Any]:
    """Return the answer in the terms of ``h5diag access --json``."""
    return a.choice.to_dict(needed=False) | {
        "answer": a.answer,
        "state": a.state or None,
        "takes": a.takes or None,
        "needs": list(a.needs),
        "fits": [{"file": f.file, "how": f.how} for f in a.fits],
        "erases": list(a.erases),
        "why": list(a.why),
    }


def access_sheet(a: Reopening) -> Sheet:
    """Return the answer for a person."""
    return sheet(
        {
            "open": "the board is open",
            "reopenable": "there is a way back",
            "lost": "there is no way back: that is protection, not a defect",
            "unknown": "not known from these files",
        }[a.answer],
        section("why", bullets(a.why)),
        section("files that open it", bullets(f"{f.file}: {f.how}" for f in a.fits)),
        section("needed to be sure", bullets(a.needs)),
        section("a way back erases", bullets(a.erases)),
        tone=_TONES[a.answer],
        badge=a.answer,
        name=a.state,
    )


# ------------------------------------------------------------------------------------------------------- rehearsal
def rehearsal_document(r: Rehearsal) -> dict[str, Any]:
    """Return the rehearsal in the terms of ``h5diag rehearse --json``."""
    stop = r.walk.stopped
    return {
        "verdict": r.verdict,
        "steps": [
            {
                "file": s.call.file.name,
                "line": s.call.line,
                "command": s.call.text,
                "state": STATES.get(s.state, f"0x{s.state:X}"),
                "refused": s.refused or None,
                "irreversible": s.irreversible or None,
                "boots": _YES[s.boots],
                "boots_why": s.boots_why,
                "reopenable": _YES[s.reopenable],
                "reopenable_why": s.reopenable_why,
                "open": s.open or None,
                "options": dict(sorted(s.after.options.items())),
                "obk": [f"0x{a:08X}" for a in sorted(s.after.obk)],
                "flash": [{"offset": a, "size": n, "file": f} for a, (n, f) in sorted(s.after.flash.items())],
            }
            for s in r.walk.steps
        ],
        "stopped": None if stop is None else {"file": stop.file.name, "line": stop.line, "why": stop.reason},
        "status": r.walk.status,
        "reasons": list(r.reasons),
        "hints": list(r.hints),
    }


def _action(text: str) -> str:
    """Return a call without its connection and without the folders of its files, cut to what fits a line."""
    bare = re.sub(r"-c\s+(?:\w+=\S+\s*)+", "", text).strip() or text
    bare = re.sub(r"[^\s=/\\]{0,255}[/\\]", "", bare)
    return bare if len(bare) <= 48 else bare[:45] + "..."


def rehearsal_sheet(r: Rehearsal) -> Sheet:
    """Return the rehearsal for a person, line by line."""
    rows = (
        (
            f"{s.call.file.name}:{s.call.line}",
            STATES.get(s.state, "?"),
            s.boots,
            s.reopenable,
            _action(s.call.text),
            (s.refused and f"refused: {s.refused}") or s.irreversible or s.open,
        )
        for s in r.walk.steps
    )
    stop = r.walk.stopped
    return sheet(
        f"{r.verdict.upper()}: {count_text(len(r.walk.steps), 'call')} walked, nothing was executed",
        section("why", bullets(r.reasons)),
        section("steps", table("line|state|boots|back|call|what happens", rows, most=200)),
        section("the walk ended", "" if stop is None else str(stop)),
        section("worth knowing", bullets(r.hints, "!")),
        section(
            "at the end",
            properties([("product state", STATES.get(r.walk.steps[-1].state, "?"))]) if r.walk.steps else None,
        ),
        tone=_TONES[r.verdict],
        badge=r.verdict.upper(),
        name=r.walk.script.name,
    )


def _ladder_words(r: Rehearsal) -> str:
    said = "product states from OPEN to LOCKED and what is locked at each"
    if not r.walk.steps:
        return said
    end = r.walk.steps[-1]
    ways = {"yes": "a way back is stored", "no": "there is no way back"}
    way = ways.get(end.reopenable, "the way back is not known")
    return f"{said}; the script ends in {STATES.get(end.state, 'no known state')}, {way}"


VIEWS = {
    Inventory: View(inventory_sheet, inventory_document, rows="files"),
    Preflight: View(preflight_sheet, preflight_document, rows="checks"),
    Reopening: View(access_sheet, access_document, rows="fits"),
    Rehearsal: View(rehearsal_sheet, rehearsal_document, drawing("runs.plot_ladder", "ladder", _ladder_words), "steps"),
}
