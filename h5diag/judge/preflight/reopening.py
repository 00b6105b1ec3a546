"""Can this board be opened again: which credentials its state takes, which file fits, and what it would cost.

Nothing here proposes to authenticate, and "no way back" is said as what it is: protection, not a defect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from h5diag.answer import Answer
from h5diag.case.case import Case
from h5diag.chip import ChipChoice, choose_chip
from h5diag.errors import InputError
from h5diag.evidence.door import is_evidence, is_folder
from h5diag.evidence.keys import FULL_REGRESSION, Certificate, ObkContent, chain_breaks
from h5diag.evidence.samples import Named, paths_of
from h5diag.evidence.texts import Log, chip_of, parse_listing, parse_log
from h5diag.evidence.texts.connection import NOT_VALID, VALID
from h5diag.judge.findings import filled
from h5diag.judge.likely import choose
from h5diag.judge.preflight.inventory import Item, collect, distinguish, recognise
from h5diag.judge.preflight.project import ChipWord, choose_part, parts_called
from h5diag.sim.rehearse import (
    LOCKED,
    OFF,
    ON,
    OPEN,
    PROVISIONED,
    PROVISIONING,
    STATES,
    TZ_CLOSED,
    PartTraits,
    parse_call,
)
from h5diag.sim.rehearse.world import Word
from h5diag.tables import packaged
from h5diag.text import count_text

LOST = "lost"
_LIFECYCLE = {name.replace("-", "_"): state for state, name in STATES.items()} | {"IROT_PROVISIONED": PROVISIONED}
"""Product states by the discovery's words."""
_CALL = re.compile(r"STM32_?Programmer_?CLI\S*\s+(-c\s.*)$", re.I | re.M)


@dataclass(frozen=True, slots=True)
class AccessFit:
    """A file that opens the board; `how` says as what."""

    file: str
    how: str


@dataclass(frozen=True, slots=True)
class Reopening(Answer):
    """Whether a board can be opened again.

    Parameters
    ----------
    answer
        ``open reopenable lost unknown``.
    state
        The product state or RDP level that was read, in words; empty when none was.
    takes
        The kind of credentials that this state takes.
    needs
        What is missing to be sure, or to be done by a person first.
    fits
        Which of the given files open it.
    erases
        What a way back would erase.
    why
        Sentences: what was read, and why the tool printed what it printed.
    choice
        The chip that the texts name.
    """

    answer: str
    state: str
    takes: str
    needs: tuple[str, ...] = ()
    fits: tuple[AccessFit, ...] = ()
    erases: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    choice: ChipChoice = field(default_factory=choose_chip)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the texts tell together."""

    choice: ChipChoice
    logs: tuple[Log, ...]
    texts: tuple[str, ...]
    options: dict[str, int]
    state: int | None
    integrity: str
    permissions: tuple[str, ...]
    uid: tuple[int, ...]


def access(*places: Named) -> Reopening:
    """Return whether a locked board can be opened again, from its texts and a folder of credentials.

    Parameters
    ----------
    places
        Files and folders: a discovery, a listing, a log, certificates, keys, passwords, ``.obk`` files; a case folder.

    Raises
    ------
    InputError
        When nothing in them tells anything of a board.
    """
    found = read_access(*_read(paths_of(places)))
    if found is None:
        raise InputError(
            "holds no discovery, no option bytes and no log of the tool",
            source=str(places[0]),
            advice="give what debugauth=2 or -ob displ printed",
        )
    return found


def read_access(texts: Sequence[str], items: tuple[Item, ...] = (), case: Case | None = None) -> Reopening | None:
    """Return the same of texts and recognised files; None when they tell nothing of a board."""
    known = _known(texts, case)
    if "RDP" in known.options and "PRODUCT_STATE" not in known.options:
        found = _readout_protection(known)
    elif known.state is None and _part(known).oem_words is not None:
        found = _way("no-level", why=_refusals(known))
    elif known.state is None and not any(log.discovery or log.listing or log.messages for log in known.logs):
        return None
    else:
        found = _by_state(known, items, _refusals(known))
    return replace(found, choice=known.choice)


@cache
def _table() -> dict[str, dict[str, Any]]:
    return packaged("judge/preflight/ways.toml")


def _way(
    name: str,
    state: str = "",
    takes: str = "",
    needs: Sequence[str] = (),
    fits: Sequence[AccessFit] = (),
    why: Sequence[str] = (),
    **values: str,
) -> Reopening:
    """Return the answer of that row of ``ways.toml``, its words filled in, with what the board's texts add."""
    row = _table()["answers"][name]
    state = row.get("state", state)
    first = filled(row["why"], {"state": state, **values})
    due, erases = (*row.get("needs", ()), *needs), tuple(row.get("erases", ()))
    return Reopening(row["answer"], state, row.get("takes", takes), due, tuple(fits), erases, (first, *why))


def _word(name: str) -> str:
    return str(_table()["words"][name])


def _read(places: Sequence[Path]) -> tuple[list[str], tuple[Item, ...], Case | None]:
    """Return the texts of the board, the files that could be credentials, and the case if one is among them.

    Of a case folder only the suspect board's texts count: a good board's state is not its state.
    """
    texts, items, case = list[str](), list[Item](), None
    cases = [p for p in places if is_folder(p) and is_evidence(p / "case.toml")]
    for folder in cases:
        from h5diag.case import load_case

        case = load_case(folder)
        texts += [t.text for board in case.suspects for t in (board.options, board.log) if t is not None]
    for path, name in collect(places):
        item = recognise(path, name)
        if item.kind != "unknown" or not item.text:
            items.append(item)
        elif not any(path.is_relative_to(c) for c in cases):
            texts.append(item.text)
    return texts, distinguish(items), case


def _known(texts: Sequence[str], case: Case | None) -> _Known:
    logs = tuple(parse_log(t) for t in texts)
    known = _Known(choose(case, logs)[0] if case else chip_of(logs), logs, tuple(texts), {}, None, "", (), ())
    for text, d in zip(texts, (log.discovery for log in logs), strict=True):
        listing = parse_listing(text)
        if listing and ("PRODUCT_STATE" in text or "RDP" in text or len(listing.fields) > 3):
            options = known.options | {f.name: f.value for f in listing.fields}
            known = replace(known, options=options, state=options.get("PRODUCT_STATE", known.state))
        if d:
            known = replace(
                known,
                state=_LIFECYCLE.get(d.lifecycle.upper().removeprefix("ST_LIFECYCLE_"), known.state),
                integrity=d.integrity.lower() or known.integrity,
                permissions=d.permissions or known.permissions,
                uid=d.uid or known.uid,
            )
    return known


def _refusals(known: _Known) -> list[str]:
    """Say why the tool refused, where its texts tell."""
    out, closed = [], known.state not in (OPEN, None)
    for log, text in zip(known.logs, known.texts, strict=True):
        low, d = text.lower(), log.discovery
        hot = "hotplug" in low.replace(" ", "") and "debugauth=1" in low
        signs = {
            "discovery-failed": d and d.failed,
            "hot-plug": hot or (d and log.banner.connect_mode.lower() == "hot plug" and "fail" in low),
            "session-locked": "debugauth=3" in low and "-rst" not in low.split("debugauth=3")[-1],
            "port-closed": closed and ("access port 1" in low or "core id" in low),
            "password-with-trustzone": "pwd=" in low and "0xb4" in low and "tzen" in low,
            "no-valid-credentials": closed and f"0x{NOT_VALID:x}" in low,
        }
        out += [_word(name) for name, seen in signs.items() if seen]
    return list(dict.fromkeys(out))


def _by_state(known: _Known, items: tuple[Item, ...], why: list[str]) -> Reopening:
    state, name = known.state, STATES.get(known.state or 0, "")
    if state in (OPEN, LOCKED):
        return _way("open" if state == OPEN else "locked", name, why=why)
    if state is None:
        linked = any(m.link for log in known.logs for m in log.messages)
        return _way("no-state", why=[*([_word("no-link")] if linked else []), *why])
    if f"0x{NOT_VALID:x}" in known.integrity and state != PROVISIONING:
        return _way("no-credentials", name, why=[w for w in why if "f5f5" not in w])
    kind = _kind(known, state)
    if state == PROVISIONING:
        return _way("provisioning", name, kind, fits=_fitting(known, items, kind)[0], why=why)
    printed = " ".join(known.permissions).lower()
    if known.permissions and "full regression" not in printed and "(a/14)" not in printed:
        return _way("no-regression", name, kind, why=why)
    return _closed(known, items, why, name, kind)


def _kind(known: _Known, state: int) -> str:
    """Return the kind of credentials that the state takes, empty when TrustZone is not known."""
    if state != TZ_CLOSED and known.options.get("TZEN") == OFF:
        return "password"
    systems = " ".join(v for log in known.logs for k, v in log.discovery.fields if "crypto" in k.lower()).lower()
    certain = state == TZ_CLOSED or known.options.get("TZEN") == ON
    return "certificate" if certain or "ecdsa" in systems else ""


def _closed(known: _Known, items: tuple[Item, ...], why: list[str], name: str, kind: str) -> Reopening:
    needs = [] if f"0x{VALID:x}" in known.integrity else [_word("need-discovery")]
    needs += [] if kind else [_word("need-tzen")]
    fits, problems = _fitting(known, items, kind)
    why = [*why, *problems]
    if not fits:
        needs.append(_word(f"need-{kind}"))
        if not problems and any(i.chain or i.password is not None for i in items):
            why.append(_word("none-opens"))
    sure = fits and not needs and not any("is not there" in p for p in problems)
    said = {"kind": kind or "certificate or password", "integrity": known.integrity or "not read"}
    return _way("closed" if sure else "closed-not-sure", name, kind, needs, fits, why, **said)


def _fitting(known: _Known, items: tuple[Item, ...], kind: str) -> tuple[list[AccessFit], list[str]]:
    """Return the files that open the board, and what is wrong with those that do not."""
    fits, problems = list[AccessFit](), list[str]()
    stored = [i for i in items if i.obk is not None and i.obk.content is ObkContent.DA]
    hashes = {o.obk.credential: o.name for o in reversed(stored) if o.obk is not None}
    passwords = [(i.name, i.password.digest) for i in items if i.password is not None]
    for item in (i for i in items if len(i.chain) > 1 and kind != "password"):
        trouble = _chain_trouble(known, item, item.chain, stored)
        key = next((i for i in items if i.key and i.key.private and i.key.spki == item.chain[-1].spki), None)
        if trouble:
            problems.append(trouble)
        elif key is None:
            problems.append(f"{item.name}: the private key of its {item.chain[-1].role} is not there")
        else:
            leaf = AccessFit(key.name, "private key of its last certificate")
            fits += [AccessFit(item.name, "certificate chain"), leaf]
            problems += [_word("no-root")] if item.chain[0].xy not in {h.hex() for h in hashes} else []
    for name, digest in passwords if kind != "certificate" else ():
        if digest in hashes:
            fits.append(AccessFit(name, f"password whose hash {hashes[digest]} holds"))
        elif any(o.kind == "obk-da-password" for o in stored):
            problems.append(f"{name}: its hash is not the one that was stored")
        elif kind == "password":
            fits.append(AccessFit(name, "password"))
            problems.append(_word("no-hash"))
    if kind == "certificate" and passwords:
        problems.append(_word("password-useless"))
    if kind == "password" and any(i.chain for i in items):
        problems.append(_word("certificate-useless"))
    return fits, list(dict.fromkeys(problems))


def _chain_trouble(known: _Known, item: Item, chain: tuple[Certificate, ...], stored: Sequence[Item]) -> str:
    if breaks := chain_breaks(chain):
        return f"{item.name}, certificate {breaks[0][0]}: {breaks[0][1]}"
    if any(not c.permissions >> FULL_REGRESSION & 1 for c in chain):
        return f"{item.name}: its permissions do not allow the full regression (bit 14)"
    roots = {o.name: o.obk.credential.hex() for o in reversed(stored) if o.kind == "obk-da-cert" and o.obk}
    if roots and chain[0].xy not in roots.values():
        return f"{item.name}: its root is not the one that {list(roots)[-1]} stores"
    bound = next((c for c in chain if any(c.soc_id)), None)
    if bound is not None and known.uid and not bound.bound_to(known.uid):
        return f"{item.name}: it is bound to another chip"
    return ""


# ------------------------------------------------------------------------------------- readout protection (L5, U5, U3)
def _part(known: _Known) -> PartTraits:
    """Return what provisioning knows of the chip; of one that nothing names nothing."""
    names = () if known.choice.assumed else parts_called(known.choice.read_as.name)
    return choose_part((ChipWord(known.choice.known_by.value, "", names),))[0]


def _readout_protection(known: _Known) -> Reopening:
    """RDP and OEM keys of the families without product states. Source: facts on provisioning, section 11."""
    tzen, locked = known.options.get("TZEN", 0), known.options.get("OEM1LOCK") == 1
    match known.options["RDP"]:
        case 0xAA:
            return _way("rdp-0")
        case 0xCC:
            return _level_2(known)
        case 0x55:
            return _way("rdp-half", needs=[_word("need-pin")] if tzen else [])
    needs = [_word(name) for name, due in (("need-oem1", locked), ("need-pin-or-firmware", tzen)) if due]
    return _way("rdp-1", takes="OEM1 key" if locked else "none", needs=needs)


def _level_2(known: _Known) -> Reopening:
    """Only an OEM2 key leads back from level 2, on parts that have one."""
    due, lock = _part(known).oem_words, known.options.get("OEM2LOCK")
    lines = [line.split() for text in known.texts for line in _CALL.findall(text)]
    calls = [parse_call([Word(w) for w in line], Path("log"), 1) for line in lines]
    keys = [call.oem_keys or 0 for call in calls if call.oem_number == 2]
    if due == 0:
        return _way("rdp-2-without-keys")
    if keys:
        short = keys[0] == 2 and due in (None, 4)
        return _way("rdp-2-key", why=[_word("short-key")] if short else [], words=f" ({count_text(keys[0], 'word')})")
    return _way("rdp-2-locked" if lock == 1 else "rdp-2-not-told" if lock is None else "rdp-2-lost")
