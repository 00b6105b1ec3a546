"""Can this board be opened again: which credentials its state takes, which file fits, and what it would cost.

Nothing here proposes to authenticate, and "no way back" is said as what it is: protection, not a defect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from h5diag.answer import Answer
from h5diag.errors import InputError
from h5diag.evidence.door import is_evidence, is_folder, read_evidence
from h5diag.evidence.files import is_text
from h5diag.evidence.keys import FULL_REGRESSION, Certificate, ObkContent, chain_breaks
from h5diag.evidence.texts import Log, parse_listing, parse_log
from h5diag.evidence.texts.discovery import NOT_VALID, VALID
from h5diag.judge.preflight.inventory import Item, collect, recognise, settle
from h5diag.judge.preflight.project import ChipWord, choose_part, parts_called
from h5diag.limits import TEXT
from h5diag.sim.rehearse import (
    CLOSED,
    LOCKED,
    OPEN,
    PROVISIONED,
    PROVISIONING,
    STATES,
    TZ_CLOSED,
    PartTraits,
    parse_call,
)
from h5diag.sim.rehearse.world import Word

OPEN_, REOPENABLE, LOST, UNKNOWN = "open", "reopenable", "lost", "unknown"
_LIFECYCLE = {
    "OPEN": OPEN,
    "PROVISIONING": PROVISIONING,
    "IROT_PROVISIONED": PROVISIONED,
    "PROVISIONED": PROVISIONED,
    "TZ_CLOSED": TZ_CLOSED,
    "CLOSED": CLOSED,
    "LOCKED": LOCKED,
}
_ERASED = ("the whole user flash", "the option bytes, back to their defaults, TrustZone off", "the OBK area")
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
    """

    answer: str
    state: str
    takes: str
    needs: tuple[str, ...]
    fits: tuple[AccessFit, ...]
    erases: tuple[str, ...]
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the texts tell together."""

    logs: tuple[Log, ...]
    texts: tuple[str, ...]
    options: dict[str, int]
    state: int | None
    integrity: str
    permissions: tuple[str, ...]
    uid: tuple[int, ...]


def access(places: Sequence[Path]) -> Reopening:
    """Tell whether a board can be opened again, from its texts and a folder of credentials.

    Parameters
    ----------
    places
        Files and folders: a discovery, a listing, a log, certificates, keys, passwords, ``.obk`` files; a case folder.

    Raises
    ------
    InputError
        When nothing in them tells anything of a board.
    """
    found = read_access(*_read(places))
    if found is None:
        raise InputError(
            "holds no discovery, no option bytes and no log of the tool",
            source=str(places[0]),
            advice="give what debugauth=2 or -ob displ printed",
        )
    return found


def read_access(texts: Sequence[str], items: tuple[Item, ...] = ()) -> Reopening | None:
    """Return the same of texts and recognised files; None when they tell nothing of a board."""
    told = _told(texts)
    if "RDP" in told.options and "PRODUCT_STATE" not in told.options:
        return _readout_protection(told)
    if told.state is None and _part(told).oem_words is not None:
        needs = ("a listing of the option bytes under reset (-c port=SWD mode=UR -ob displ): it tells the RDP level",)
        return Reopening(UNKNOWN, "", "", needs, (), (), ("no text tells the RDP level", *_refusals(told)))
    if told.state is None and not any(log.discovery or log.listing or log.messages for log in told.logs):
        return None
    return _by_state(told, items, _refusals(told))


def _read(places: Sequence[Path]) -> tuple[list[str], tuple[Item, ...]]:
    """Return the texts of the board and the files that could be credentials.

    Of a case folder only the suspect board's texts count: a good board's state is not its state.
    """
    texts: list[str] = []
    items: list[Item] = []
    cases = [p for p in places if is_folder(p) and is_evidence(p / "case.toml")]
    for folder in cases:
        from h5diag.case import load_case

        boards = load_case(folder).suspects
        texts += [t.text for board in boards for t in (board.options, board.log) if t is not None]
    for path, name in collect(places):
        item = recognise(path, name)
        data = read_evidence(path, limit=TEXT).data if item.kind == "unknown" and item.size <= TEXT.size else b""
        if not data or not is_text(data[:4096]):
            items.append(item)
        elif not any(path.is_relative_to(c) for c in cases):
            texts.append(data.decode("utf-8", "replace"))
    return texts, settle(items)


def _told(texts: Sequence[str]) -> _Told:
    logs = tuple(parse_log(t) for t in texts)
    options: dict[str, int] = {}
    state: int | None = None
    integrity = ""
    permissions: tuple[str, ...] = ()
    uid: tuple[int, ...] = ()
    for text, log in zip(texts, logs, strict=True):
        listing = parse_listing(text)
        if listing and ("PRODUCT_STATE" in text or "RDP" in text or len(listing.fields) > 3):
            options |= {f.name: f.value for f in listing.fields}
            state = options.get("PRODUCT_STATE", state)
        d = log.discovery
        if d:
            name = d.lifecycle.upper().removeprefix("ST_LIFECYCLE_")
            state = _LIFECYCLE.get(name, state)
            integrity = d.integrity.lower() or integrity
            permissions = d.permissions or permissions
            uid = d.uid or uid
    return _Told(logs, tuple(texts), options, state, integrity, permissions, uid)


def _refusals(told: _Told) -> list[str]:
    """Say why the tool refused, where its texts tell."""
    out = []
    for log, text in zip(told.logs, told.texts, strict=True):
        low = text.lower()
        d = log.discovery
        if d and d.failed:
            out.append(
                "the discovery's answers are no chip's: the reset line (NRST) must be wired to the probe and move,"
                " since debug authentication needs a reset"
            )
        hot = "hotplug" in low.replace(" ", "") and "debugauth=1" in low
        if hot or (d and log.banner.connect_mode.lower() == "hot plug" and "fail" in low):
            out.append("the connection was hot plug: debug authentication needs one under reset or normal")
        if "debugauth=3" in low and "-rst" not in low.split("debugauth=3")[-1]:
            out.append("debugauth=3 locked the debug session: nothing is answered before the next reset")
        if told.state not in (OPEN, None) and ("access port 1" in low or "core id" in low):
            out.append("access port 1 is closed in this product state: that is protection, not a defect")
        if re.search(r"pwd=", low) and "0xb4" in low and "tzen" in low:
            out.append("a password was tried with TrustZone on, which takes a certificate")
        if f"0x{NOT_VALID:x}" in low and told.state not in (OPEN, None):
            out.append("the integrity status 0xf5f5f5f5 says that no valid credentials are stored")
    return list(dict.fromkeys(out))


def _by_state(told: _Told, items: tuple[Item, ...], why: list[str]) -> Reopening:
    state = told.state
    name = STATES.get(state or 0, "")
    if state == OPEN:
        return Reopening(OPEN_, name, "none", (), (), (), ("the chip is open: nothing is locked", *why))
    if state == LOCKED:
        text = "LOCKED has no way back for anybody: that is protection, not a defect"
        return Reopening(LOST, name, "none", (), (), (), (text, *why))
    if state is None:
        if any(m.link for log in told.logs for m in log.messages):
            why.insert(0, "nothing answered on the link: no supply, the cable, reset held, or firmware closed the port")
        needs = (
            "a discovery (debugauth=2 over -c port=SWD): it tells state, integrity and permissions",
            "or a listing of the option bytes (-c port=SWD mode=HOTPLUG ap=1 -ob displ): it tells the product state",
            "or the same listing under reset (mode=UR): firmware that closes the port does not run then",
        )
        return Reopening(UNKNOWN, "", "", needs, (), (), ("no text tells the product state", *why))
    if f"0x{NOT_VALID:x}" in told.integrity and state != PROVISIONING:
        text = (
            f"{name} without valid credentials (integrity 0xf5f5f5f5): no way back. That is protection, not a defect,"
            " and no fault of the flash"
        )
        return Reopening(LOST, name, "none", (), (), (), (text, *(w for w in why if "f5f5" not in w)))
    if state == PROVISIONING:
        text = "in Provisioning the credentials can still be stored, and stored again; user firmware does not run in it"
        fits, _ = _fitting(told, items, _kind(told, state))
        return Reopening(REOPENABLE, name, _kind(told, state), (), tuple(fits), _ERASED, (text, *why))
    return _closed(told, items, why, name, state)


def _kind(told: _Told, state: int) -> str:
    """Return the kind of credentials that the state takes, empty when TrustZone is not known."""
    tzen = told.options.get("TZEN")
    if state == TZ_CLOSED or tzen == 0xB4:
        return "certificate"
    if tzen == 0xC3:
        return "password"
    systems = " ".join(v for log in told.logs for k, v in log.discovery.fields if "crypto" in k.lower()).lower()
    return "certificate" if "ecdsa" in systems else ""


def _closed(told: _Told, items: tuple[Item, ...], why: list[str], name: str, state: int) -> Reopening:
    kind = _kind(told, state)
    printed = " ".join(told.permissions).lower()
    needs: list[str] = []
    if f"0x{VALID:x}" not in told.integrity:
        needs.append(
            "a discovery that shows the integrity status 0xeaeaeaea: without it the stored credentials are not known"
        )
    if told.permissions and "full regression" not in printed and "(a/14)" not in printed:
        text = f"{name}: the stored permissions offer no full regression, so it never becomes open again. That is protection"
        return Reopening(LOST, name, kind, (), (), (), (text, *why))
    if not kind:
        needs.append("TZEN: with TrustZone on a certificate is due, with it off a password (a listing tells)")
    fits, problems = _fitting(told, items, kind)
    why += problems
    given = any(i.chain or i.password is not None for i in items)
    if not fits:
        due = {"certificate": "the certificate chain and the leaf's private key", "password": "the password file"}
        needs.append(due.get(kind, "the credentials: certificate chain and leaf key, or password file"))
        if given and not problems:
            why.append("none of the given files opens what is stored")
    why.insert(
        0, f"{name} takes a {kind or 'certificate or password'}; the integrity status is {told.integrity or 'not read'}"
    )
    sure = fits and not needs and not any("is not there" in p for p in problems)
    return Reopening(REOPENABLE if sure else UNKNOWN, name, kind, tuple(needs), tuple(fits), _ERASED, tuple(why))


def _fitting(told: _Told, items: tuple[Item, ...], kind: str) -> tuple[list[AccessFit], list[str]]:
    """Return the files that open the board, and what is wrong with those that do not."""
    fits: list[AccessFit] = []
    problems: list[str] = []
    stored = [i for i in items if i.obk is not None and i.obk.content is ObkContent.DA]
    if kind in ("certificate", ""):
        for item in (i for i in items if i.chain and len(i.chain) > 1):
            trouble = _chain_trouble(told, item, item.chain, stored)
            key = next((i for i in items if i.key and i.key.private and i.key.spki == item.chain[-1].spki), None)
            if trouble:
                problems.append(trouble)
            elif key is None:
                problems.append(f"{item.name}: the private key of its {item.chain[-1].role} is not there")
            else:
                fits += [
                    AccessFit(item.name, "certificate chain"),
                    AccessFit(key.name, "private key of its last certificate"),
                ]
                if not any(o.obk and o.obk.credential.hex() == item.chain[0].xy for o in stored):
                    problems.append(
                        "the object that was stored (DA_Config.obk) is not there: nothing tells that this root is in it"
                    )
    if kind in ("password", ""):
        for item in (i for i in items if i.password is not None):
            right = [o for o in stored if o.obk and item.password and o.obk.credential == item.password.digest]
            if right:
                fits.append(AccessFit(item.name, f"password whose hash {right[0].name} holds"))
            elif any(o.kind == "obk-da-password" for o in stored):
                problems.append(f"{item.name}: its hash is not the one that was stored")
            elif kind == "password":
                fits.append(AccessFit(item.name, "password"))
                problems.append(
                    "the object that was stored (DA_ConfigWithPassword.obk) is not there: nothing tells its password"
                )
    elif kind == "certificate" and any(i.password is not None for i in items):
        problems.append("a password opens nothing while TrustZone is on")
    if kind == "password" and any(i.chain for i in items):
        problems.append("a certificate opens nothing while TrustZone is off")
    return fits, list(dict.fromkeys(problems))


def _chain_trouble(told: _Told, item: Item, chain: tuple[Certificate, ...], stored: Sequence[Item]) -> str:
    if breaks := chain_breaks(chain):
        return f"{item.name}, certificate {breaks[0][0]}: {breaks[0][1]}"
    if any(not c.permissions >> FULL_REGRESSION & 1 for c in chain):
        return f"{item.name}: its permissions do not allow the full regression (bit 14)"
    roots = [o for o in stored if o.kind == "obk-da-cert" and o.obk is not None]
    if roots and all(o.obk is not None and o.obk.credential.hex() != chain[0].xy for o in roots):
        return f"{item.name}: its root is not the one that {roots[0].name} stores"
    bound = next((c for c in chain if any(c.soc_id)), None)
    if bound is not None and told.uid:
        words = b"".join(w.to_bytes(4, "little") for w in told.uid)
        big = b"".join(w.to_bytes(4, "big") for w in reversed(told.uid))
        if words not in bound.soc_id and big not in bound.soc_id:
            return f"{item.name}: it is bound to another chip"
    return ""


# ------------------------------------------------------------------------------------- readout protection (L5, U5, U3)
def _part(told: _Told) -> PartTraits:
    """Return what the tool's own texts tell of the part; an empty one where they name none."""
    names = " ".join(log.banner.device_name for log in told.logs)
    return choose_part((ChipWord("identity", "", parts_called(names)),))[0]


def _readout_protection(told: _Told) -> Reopening:
    """RDP and OEM keys of the families without product states. Source: facts on provisioning, section 11."""
    level, tzen = told.options["RDP"], told.options.get("TZEN", 0)
    due = _part(told).oem_words
    keys = [
        call.oem_keys or 0
        for text in told.texts
        for line in _CALL.findall(text)
        if (call := parse_call([Word(w) for w in line.split()], Path("log"), 1)).oem_number == 2
    ]
    erases = ("the whole user flash, and backup and secret areas with it",)
    needs: tuple[str, ...]
    if level == 0xAA:
        return Reopening(OPEN_, "RDP 0", "none", (), (), (), ("RDP is at level 0: nothing is locked",))
    if level == 0xCC:
        lock = told.options.get("OEM2LOCK")
        if due == 0:
            text = "RDP is at level 2 and this part has no OEM keys: no way back. That is protection, not a defect"
            return Reopening(LOST, "RDP 2", "none", (), (), (), (text,))
        if keys or lock == 1:
            words = f" ({keys[0]} words)" if keys else ""
            text = f"RDP is at level 2 and an OEM2 key{words} was set: the key leads back to level 1, and from there a"
            text += " regression to level 0"
            short = keys and keys[0] == 2 and due in (None, 4)
            note = ("on parts with keys of four words the two that are not given count as zero",) if short else ()
            needs = ("the words of the OEM2 key",)
            return Reopening(REOPENABLE if keys else UNKNOWN, "RDP 2", "OEM2 key", needs, (), erases, (text, *note))
        text = "RDP is at level 2 and nothing tells of an OEM2 key: no way back. That is protection, not a defect"
        if lock is None:
            needs = ("whether an OEM2 key was set before (OEM2LOCK, or the script that locked it)",)
            return Reopening(
                UNKNOWN,
                "RDP 2",
                "OEM2 key",
                needs,
                (),
                (),
                (text.replace(": no way back", ", so there may be no way back"),),
            )
        return Reopening(LOST, "RDP 2", "none", (), (), (), (text,))
    if level == 0x55:
        text = "RDP is at level 0.5: non-secure debug is open, and going back erases"
        needs = ("BOOT0 high at reset: with TrustZone on only the ROM loader takes the regression",) if tzen else ()
        return Reopening(REOPENABLE, "RDP 0.5", "none", needs, (), erases, (text,))
    locked = told.options.get("OEM1LOCK") == 1
    text = "RDP is at level 1: going back to level 0 erases everything"
    needs = ("the words of the OEM1 key, which stands before the step back",) if locked else ()
    if tzen:
        needs += ("BOOT0 high at reset: with TrustZone on the secure firmware may keep the port",)
    return Reopening(REOPENABLE, "RDP 1", "OEM1 key" if locked else "none", needs, (), erases, (text,))
