"""Checks of the script itself: its way through the product states, its arguments, its results, and its XML."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import combinations

from h5diag.evidence.door import real_path
from h5diag.evidence.keys import ObkContent, ProvisioningXml
from h5diag.judge.preflight.images import canonical
from h5diag.judge.preflight.inventory import SECURE_MANAGER, Item, file_of
from h5diag.judge.preflight.project import flash_sizes, same_device
from h5diag.judge.preflight.rows import Row, Scene, Stored, WrittenFile, row
from h5diag.sim.rehearse import (
    CLOSED,
    FINAL,
    LOCKED,
    OFF,
    OPEN,
    PROVISIONED,
    PROVISIONING,
    STATES,
    TARGETS,
    TZ_CLOSED,
    lint_shell,
    read_script,
    unchecked,
    undefined_names,
    walk_script,
)
from h5diag.text import printed_number

_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|\d{1,10}")
_STIROT_NAMES = {
    "Number of images managed": "images",
    "Clock selection": "clock",
    "Is the firmware full secure": "full_secure",
    "Firmware execution area offset": "execution_offset",
    "Firmware download area offset": "download_offset",
    "Firmware area size": "area_size",
    "Data download area offset": "data_download_offset",
    "Data download slot size": "data_download_size",
    "Size of the secure area inside the firmware execution area": "secure_size",
    "Product state minimal allowed": "lowest_state",
}
"""Entries of STiRoT_Config.xml and the setting that each makes. Source: facts on provisioning, section 4."""
_SHUT = (TZ_CLOSED, CLOSED, LOCKED)
_GUARDS = ("sdp-equals", "no-connection", "no-file", "option-value", "unknown-argument")
_BACK_SCRIPTS = ("regression", "dbg_auth", "discovery")


def chip_match(scene: Scene) -> Iterator[Row]:
    """All sources speak of parts that can be the same."""
    words = [w for w in scene.project.chip_words if w.names]
    layout, part, sizes = scene.layout, scene.stage.part.name, flash_sizes(scene.stage.part.name)
    for a, b in combinations(words, 2):
        if not same_device(a.names, b.names):
            names = {"one": a.source, "ones": "/".join(a.names), "two": b.source, "twos": "/".join(b.names)}
            yield row("chip-match.disagrees", b.source, **names)
            return
    if layout is None and ("leaves the flash" in scene.layout_name or "overlap" in scene.layout_name):
        yield row("chip-match.no-such-layout", "flash_layout.h", "FLASH_TOTAL_SIZE", why=scene.layout_name)
    elif layout is not None and sizes and layout.chip.flash.size // 1024 not in sizes:
        said = {"kib": layout.chip.flash.size // 1024, "part": part, "sizes": " or ".join(map(str, sizes))}
        yield row("chip-match.other-size", scene.layout_name, "FLASH_TOTAL_SIZE", **said)
    elif words:
        by = ", ".join(dict.fromkeys(w.source for w in words))
        yield row("chip-match.agrees", by, part=part or "one part", by=by)
    else:
        yield row("chip-match.unknown")


def state_rows(scene: Scene) -> Iterator[Row]:
    """The state asked for, and the steps that lead there."""
    target, final, given = TARGETS.get(scene.project.target, PROVISIONING), scene.final, scene.project.target_given
    asked, states = (
        final.call.state if final else target,
        [s.call.state for s in scene.walk.steps if s.call.state is not None],
    )
    case = "reopenable"
    if LOCKED in (asked, target) and (given or asked == LOCKED):
        case = "locked"
    elif asked == TZ_CLOSED and (not scene.stage.part.trustzone or scene.option("TZEN") == OFF):
        case = "tz-closed-without"
    elif target == PROVISIONING or (states[-1:] == [PROVISIONING] and scene.walk.stopped is None and final is None):
        case = "provisioning"
    elif given and asked != target and not scene.walk.asked:
        case = "other"
    name = STATES.get(asked or 0, "?")
    yield row(f"state-target.{case}", *scene.closing, state=name, target=scene.project.target)
    yield _chain(scene)


def readout_rows(scene: Scene) -> Iterator[Row]:
    """Parts without product states: the RDP level that the script sets, and the OEM key that would lead back.

    Source: facts on provisioning, section 11, and threads 573766, 802238, 845149.
    """
    words, key = scene.stage.part.oem_words or 0, False
    for step in scene.walk.steps:
        where = scene.line(step.call)
        if step.call.oem_keys is not None and words:
            # The second key alone leads back from level 2, and a part without OEM keys has none to set.
            key = key or step.call.oem_number == 2
            if step.call.oem_keys < words:
                yield row("da-password.oem-key-short", *where, given=step.call.oem_keys, due=words)
        level = dict(step.call.options).get("RDP")
        if level == 0xCC:
            yield row(f"da-present.{'level-2-with-key' if key else 'level-2-without-key'}", *where)
        elif level is not None:
            tzen = step.after.options.get("TZEN") or scene.project.board.options.get("TZEN")
            case = "level-half" if level == 0x55 and tzen else "level-reopenable"
            yield row(f"state-target.{case}", *where, level=level)


def _chain(scene: Scene) -> Row:
    here = scene.project.board.options.get("PRODUCT_STATE", OPEN)
    steps = [s for s in scene.walk.steps if s.call.state is not None]
    where = scene.project.board.source, "PRODUCT_STATE"
    if here in _SHUT or (here == PROVISIONED and scene.stored):
        case = "closed-already" if here in _SHUT else "provisioned-already"
        return row(f"state-chain.{case}", *where, state=STATES[here])
    way = [STATES.get(here, "?")]
    for step in steps:
        there, where = step.call.state or 0, scene.line(step.call)
        wrong = (
            ("not-straight", here == OPEN and there in _SHUT, there),
            ("no-further", here in _SHUT, here),
            ("not-back", there == OPEN and here != OPEN, here),
            ("no-state", there not in STATES, there),
        )
        for case, state in ((case, state) for case, holds, state in wrong if holds):
            return row(f"state-chain.{case}", *where, state=STATES.get(state, "?"), value=there)
        here = there
        way.append(STATES[here])
    # No step stands behind where nothing closes the chip: all stand before.
    late = [("stored-late", s) for s in scene.walk.steps[len(scene.before) + 1 :]]
    asks = scene.final is not None and scene.project.board.options.get("PRODUCT_STATE") != PROVISIONING
    early = [("stored-early", s) for s in scene.before if asks and s.state == OPEN and "BOOT0" in s.refused]
    for case, step in ((case, s) for case, s in (*late, *early) if s.call.stores):
        return row(f"state-chain.{case}", *scene.line(step.call))
    return row("state-chain.right", *where, way=" to ".join(dict.fromkeys(way)))


def syntax_rows(scene: Scene) -> Iterator[Row]:
    """Arguments and lines that do not do what they seem to; where the walk could not go on."""
    rows = list(_doubtful_lines(scene))
    yield from rows
    stop = scene.walk.stopped
    if stop is not None:
        where = scene.project.name(stop.file), f"line {stop.line}"
        if "would not understand" in stop.reason or "syntax error" in stop.reason:
            yield row("script-syntax.breaks-off", *where, why=stop.reason)
        elif "is not there" not in stop.reason:
            yield row("script-syntax.walk-ended", *where, why=stop.reason)
    elif not rows:
        yield row("script-syntax.right", scene.script)
    for words in scene.walk.assumed:
        yield row("script-syntax.assumed", scene.script, words=words)


def _doubtful_lines(scene: Scene) -> Iterator[Row]:
    for step in scene.walk.steps:
        where = scene.line(step.call)
        for kind, words in step.call.problems:
            guard = kind in _GUARDS and (kind == "sdp-equals" or step.call.state is not None or bool(step.call.stores))
            yield row(f"script-syntax.{'guards' if guard else 'doubtful'}", *where, words=words)
        for name in step.call.stores:
            if "\\" in name and step.call.file.suffix.lower() == ".sh":
                yield row("script-syntax.backslashes", *where, name=name[:60])
    own = scene.walk.script.suffix.lower()
    scripts = [i for i in scene.project.items if i.kind == "script" and i.path.suffix.lower() == own]
    for item in (i for i in scripts if i.path.stem.lower() in _BACK_SCRIPTS):
        for step in walk_script(item.path, scene.stage).steps:
            case = "guards" if step.call.authentication == 1 else "doubtful"
            for kind, words in step.call.problems:
                if kind == "hotplug":
                    yield row(f"script-syntax.{case}", item.name, f"line {step.call.line}", words=words)
    yield from _lints(scene, "script-syntax")
    for name, line, variable in undefined_names(_shell_texts(scene)):
        yield row("script-syntax.undefined", name, f"line {line}", variable=variable)


def _shell_texts(scene: Scene) -> dict[str, str]:
    """Return the texts of the shell scripts that were walked, by their names."""
    paths = (p for p in scene.walk.sources if p.suffix.lower() not in (".bat", ".cmd"))
    return {scene.project.name(p): read_script(p, scene.project.root) for p in paths}


def _lints(scene: Scene, check: str) -> Iterator[Row]:
    for name, text in _shell_texts(scene).items():
        for lint in lint_shell(text):
            if lint.check == check:
                yield row(f"{check}.doubtful", name, f"line {lint.line}", words=lint.text)


def result_rows(scene: Scene) -> Iterator[Row]:
    """Results that nobody looks at: found by walking the script with each step failing."""
    rows = list(_unseen_results(scene))
    yield from rows or [row("script-result.right", scene.script)]


def _unseen_results(scene: Scene) -> Iterator[Row]:
    missed = unchecked(scene.walk, scene.stage)
    for miss in missed:
        call = miss.step.call
        if call.state not in FINAL:
            acts = ((call.stores, "stores"), (call.options, "sets options"), (call.erases, "erases"))
            does = next((word for act, word in acts if act), "writes")
            case = "closed-all-the-same" if miss.closes else "not-noticed"
            yield row(f"script-result.{case}", *scene.line(call), does=does)
    for last in [miss.step.call for miss in missed if miss.step.call.state in FINAL][:1]:
        yield row("script-result.last-state", *scene.line(last))
    for step in scene.before:
        plain = [a for _, a in step.call.downloads if a is None or canonical(a) >> 20 != 0x08F]
        if plain and not step.call.verifies:
            yield row("script-result.never-read-back", *scene.line(step.call))
    yield from _lints(scene, "script-result")


def secure_manager(scene: Scene) -> Iterator[Row]:
    """What of a Secure Manager's installation is there, and that nothing of it can be checked.

    Source: facts on provisioning, thread 741981: SFSP 0.1.1 was too old for Secure Manager 1.2.
    """
    installing = next((s for s in scene.walk.steps if s.call.installs), None)
    if installing is None and scene.path != "secure-manager":
        return
    log = scene.project.board.log
    version = log.banner.sfsp if log is not None else None
    if version is not None and version.parts and version.parts < (1,):
        yield row("secure-manager.too-old", scene.project.board.source, "SFSP Version", version=version.text)
        return
    seen = [i.path.name for i in scene.project.items if i.path.suffix.lower() in SECURE_MANAGER]
    seen += [i.path.name for i in scene.project.items if i.why.startswith("the licence of")]
    where = scene.line(installing.call) if installing else (scene.script, "")
    case = "no-version" if version is None else "encrypted"
    yield row(f"secure-manager.{case}", *where, what=", ".join(seen[:4]) or "its package is not there")


def xml_rows(scene: Scene) -> Iterator[Row]:
    """The XML that made a file would make it again."""
    made = {file_of(i.path, i.xml): (i, i.xml) for i in reversed(scene.project.items) if i.xml is not None}
    rows = [_xml_object(scene, s, *made[at]) for s in scene.stored if (at := os.path.normpath(s.item.path)) in made]
    for d in scene.downloads:
        if d.item is not None and (at := os.path.normpath(d.item.path)) in made:
            rows += _xml_image(scene, d, *made[at])
    yield from rows or [row("xml-agrees.none")]


def _xml_object(scene: Scene, s: Stored, item: Item, x: ProvisioningXml) -> Row:
    """Return whether an XML would make the stored object."""
    certificate = s.obk.permissions is not None and s.item.kind == "obk-da-cert"
    differs = [
        f"{what} {value}"
        for what, value, other in (
            ("destination", f"0x{x.destination or 0:08X}", x.destination not in (None, s.obk.destination)),
            ("DoEncryption", f"{int(bool(x.encrypts))}", x.encrypts not in (None, bool(s.obk.flag))),
            ("permission", f"0x{x.permission or 0:X}", certificate and x.permission not in (None, s.obk.permissions)),
        )
        if other
    ]
    if s.obk.stirot is not None:
        values = ((n, x.value(n), getattr(s.obk.stirot, f)) for n, f in _STIROT_NAMES.items())
        differs += [f"{n} 0x{v:X}, not 0x{stored:X}" for n, v, stored in values if v is not None and v != stored]
    prints = {k.spki for _, k in s.obk.keys}
    for name, path in x.keys:
        key = scene.project.item(real_path(item.path.parent / path.replace("\\", "/")))
        if key is not None and key.key is not None:
            root = s.obk.content is ObkContent.DA and key.key.xy != s.obk.credential.hex()
            differs += [f"{name} ({key.name})"] if root or (prints and key.key.spki not in prints) else []
    case = "makes-another" if differs else "agrees"
    return row(f"xml-agrees.{case}", item.name, name=s.item.path.name, differs=", ".join(differs[:3]), file=s.file)


def _xml_image(scene: Scene, d: WrittenFile, item: Item, x: ProvisioningXml) -> Iterator[Row]:
    """Yield whether an XML would make a downloaded image for the place to which it goes."""
    base, size = x.option("-x"), x.option("-S")
    if not base or d.address is None or not _NUMBER.fullmatch(base):
        return
    at = canonical(d.address)
    slots = scene.layout.image_slots if scene.layout is not None else ()
    slot = next((p.range for p in slots if p.range.start == at), None)
    room = printed_number(size) if size and _NUMBER.fullmatch(size) else None
    if slot is not None and room is not None and room != slot.size:
        yield row("xml-agrees.other-room", item.name, "-S", name=d.path.name, room=room, size=slot.size)
    elif canonical(printed_number(base)) != at:
        yield row("xml-agrees.other-base", item.name, "-x", name=d.path.name, base=base, at=d.address)
    else:
        yield row("xml-agrees.agrees", item.name, "-x", file=d.file)
