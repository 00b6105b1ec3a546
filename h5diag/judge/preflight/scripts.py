"""Checks of the script itself: its way through the product states, its arguments, its results, and its XML."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from h5diag.evidence.door import real_path
from h5diag.evidence.keys import ObkContent
from h5diag.judge.preflight.images import canonical
from h5diag.judge.preflight.inventory import SECURE_MANAGER, Item
from h5diag.judge.preflight.project import flash_sizes
from h5diag.judge.preflight.rows import FAIL, PASS, UNKNOWN, WARN, Row, Scene, closing_states
from h5diag.sim.rehearse import (
    CLOSED,
    FINAL,
    LOCKED,
    OPEN,
    PROVISIONED,
    PROVISIONING,
    STATES,
    TARGETS,
    TZ_CLOSED,
    Step,
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
_GUARDS = ("sdp-equals", "no-connection", "no-file", "option-value", "unknown-argument")
_BACK_SCRIPTS = ("regression", "dbg_auth", "discovery")


def chip_match(scene: Scene) -> Iterator[Row]:
    """All sources speak of parts that can be the same."""
    project = scene.project
    words = [w for w in project.chip_words if w.names]
    for n, a in enumerate(words):
        for b in words[n + 1 :]:
            if not _agree(a.names, b.names):
                text = (
                    f"{a.source} says {'/'.join(a.names)}, {b.source} says {'/'.join(b.names)}: values of another part"
                )
                yield Row("chip-match", FAIL, text, b.source, "")
                return
    layout = scene.layout
    sizes = flash_sizes(scene.stage.part.name)
    if layout is None and ("leaves the flash" in scene.layout_name or "overlap" in scene.layout_name):
        text = f"the layout cannot be that of any part: {scene.layout_name}"
        yield Row("chip-match", FAIL, text, "flash_layout.h", "FLASH_TOTAL_SIZE")
        return
    if layout is not None and sizes and layout.chip.flash.size // 1024 not in sizes:
        kib = layout.chip.flash.size // 1024
        text = f"the layout is for {kib} KiB of flash, {scene.stage.part.name} has {' or '.join(map(str, sizes))}"
        yield Row("chip-match", FAIL, f"{text}: values of another part", scene.layout_name, "FLASH_TOTAL_SIZE")
    elif words:
        by = ", ".join(dict.fromkeys(w.source for w in words))
        yield Row("chip-match", PASS, f"{scene.stage.part.name or 'one part'}, as {by} say", by, "")
    else:
        needs = "name the part with --chip or give a listing with its banner"
        yield Row("chip-match", UNKNOWN, "nothing tells which part the board has", "", "", needs)


def _agree(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Parts that share a device id do not contradict each other."""
    shared = ({"h562", "h563", "h573"}, {"h523", "h533"})
    return bool(set(a) & set(b)) or any(set(a) & group and set(b) & group for group in shared)


def state_rows(scene: Scene) -> Iterator[Row]:
    """The state asked for, and the steps that lead there."""
    target = TARGETS.get(scene.project.target, PROVISIONING)
    final = scene.final
    file, place = scene.line(final.call) if final is not None else (scene.project.name(scene.walk.script), "")
    asked = final.call.state if final is not None else target
    wanted = scene.project.target_given and final is not None and asked != target and not scene.walk.asked
    name = STATES.get(asked or 0, "?")
    if LOCKED in (asked, target) and (scene.project.target_given or asked == LOCKED):
        yield Row("state-target", FAIL, "LOCKED has no way back, by design", file, place)
    elif asked == TZ_CLOSED and (not scene.stage.part.trustzone or scene.option("TZEN") == 0xC3):
        yield Row("state-target", FAIL, "TZ-CLOSED with TrustZone off (TZEN = 0xC3) is no state", file, place)
    elif target == PROVISIONING or _ends_in_provisioning(scene):
        yield Row(
            "state-target", FAIL, "Provisioning is a stage, not an end: user firmware does not run in it", file, place
        )
    elif wanted:
        text = f"the script sets {name}, not {scene.project.target}"
        yield Row("state-target", WARN, text, file, place)
    else:
        yield Row("state-target", PASS, f"{name} can be left again by a full regression", file, place)
    yield from _chain(scene)


def readout_rows(scene: Scene) -> Iterator[Row]:
    """Parts without product states: the RDP level that the script sets, and the OEM key that would lead back.

    Source: facts on provisioning, section 11, and threads 573766, 802238, 845149.
    """
    words = scene.stage.part.oem_words or 0
    keys: int | None = None
    for step in scene.walk.steps:
        where = scene.line(step.call)
        if step.call.oem_keys is not None:
            given = step.call.oem_keys
            # The second key alone leads back from level 2, and a part without OEM keys has none to set.
            keys = given if words and step.call.oem_number == 2 else keys
            if words and given < words:
                text = f"the OEM key has {given} words, {words} are due: those that are missing count as zero"
                yield Row("da-password", FAIL, f"{text}, and the key that is tried later is another", *where)
        level = dict(step.call.options).get("RDP")
        if level == 0xCC and keys is None:
            text = "RDP goes to level 2 (0xCC) and no OEM2 key was set before: no way back for anybody"
            yield Row("da-present", FAIL, text, *where)
        elif level == 0xCC:
            yield Row("da-present", PASS, "an OEM2 key is set before RDP goes to level 2", *where)
        if level == 0x55 and (step.after.options.get("TZEN") or scene.project.board.options.get("TZEN")):
            text = "RDP 0.5 (0x55) with TrustZone on: only BOOT0 and the ROM loader lead back, the port does not"
            yield Row("state-target", FAIL, text, *where)
        elif level is not None and level != 0xCC:
            yield Row("state-target", PASS, f"RDP 0x{level:X} can be left again by a regression, which erases", *where)


def _ends_in_provisioning(scene: Scene) -> bool:
    states = [s.call.state for s in closing_states(scene.walk)]
    return bool(states) and states[-1] == PROVISIONING and scene.walk.stopped is None and scene.final is None


def _chain(scene: Scene) -> Iterator[Row]:
    listed = scene.project.board.options.get("PRODUCT_STATE")
    here = OPEN if listed is None else listed
    steps = closing_states(scene.walk)
    where = scene.project.board.source, "PRODUCT_STATE"
    if here in (TZ_CLOSED, CLOSED, LOCKED):
        text = f"the board is {STATES[here]} already: nothing can be stored; a full regression comes first"
        yield Row("state-chain", FAIL, text, *where)
        return
    if here == PROVISIONED and scene.stored:
        text = "the board is PROVISIONED already: objects are stored in Provisioning only"
        yield Row("state-chain", FAIL, text, *where)
        return
    for step in steps:
        there = step.call.state or 0
        file, place = scene.line(step.call)
        if here == OPEN and there in (CLOSED, TZ_CLOSED, LOCKED):
            text = f"from OPEN straight to {STATES[there]} is refused: go through Provisioning (0x17)"
            yield Row("state-chain", FAIL, text, file, place)
            return
        if here in (TZ_CLOSED, CLOSED, LOCKED):
            text = f"from {STATES[here]} no further state can be set: the debug port is closed"
            yield Row("state-chain", FAIL, text, file, place)
            return
        if there == OPEN and here != OPEN:
            yield Row("state-chain", FAIL, f"from {STATES.get(here, '?')} only a regression leads to OPEN", file, place)
            return
        if there not in STATES:
            yield Row("state-chain", FAIL, f"0x{there:X} is no product state", file, place)
            return
        here = there
    late = _stores_after(scene)
    if late is not None:
        text = "an object is stored after the last state: it is refused, the port is closed"
        yield Row("state-chain", FAIL, text, *scene.line(late.call))
        return
    early = _stores_open(scene)
    if early is not None:
        text = "an object is stored while the chip is OPEN and BOOT0 is low: it is refused; go to Provisioning first"
        yield Row("state-chain", FAIL, text, *scene.line(early.call))
        return
    names = [STATES.get(OPEN if listed is None else listed, "?"), *(STATES[s.call.state or 0] for s in steps)]
    yield Row("state-chain", PASS, " to ".join(dict.fromkeys(names)), *(scene.line(steps[-1].call) if steps else where))


def _stores_after(scene: Scene) -> Step | None:
    if scene.final is None:
        return None
    at = scene.walk.steps.index(scene.final)
    return next((s for s in scene.walk.steps[at + 1 :] if s.call.stores), None)


def _stores_open(scene: Scene) -> Step | None:
    if scene.final is None or scene.project.board.options.get("PRODUCT_STATE") == PROVISIONING:
        return None
    return next((s for s in scene.before if s.call.stores and s.state == OPEN and "BOOT0" in s.refused), None)


def syntax_rows(scene: Scene) -> Iterator[Row]:
    """Arguments and lines that do not do what they seem to; where the walk could not go on."""
    any_row = False
    for step in scene.walk.steps:
        file, place = scene.line(step.call)
        for kind, words in step.call.problems:
            guard = kind in _GUARDS and (kind == "sdp-equals" or step.call.state is not None or bool(step.call.stores))
            any_row = True
            yield Row("script-syntax", FAIL if guard else WARN, words, file, place)
        for name in step.call.stores:
            if "\\" in name and step.call.file.suffix.lower() == ".sh":
                any_row = True
                yield Row(
                    "script-syntax", FAIL, f"{name[:60]}: a path with backslashes stores nothing here", file, place
                )
    for item in _back_scripts(scene):
        for step in walk_script(item.path, scene.stage).steps:
            for kind, words in step.call.problems:
                if kind == "hotplug":
                    any_row = True
                    state = FAIL if step.call.authentication == 1 else WARN
                    yield Row("script-syntax", state, words, item.name, f"line {step.call.line}")
    for path in scene.walk.sources:
        if path.suffix.lower() in (".bat", ".cmd"):
            continue
        text = read_script(path, scene.project.root)
        for lint in lint_shell(text):
            if lint.check == "script-syntax":
                any_row = True
                yield Row("script-syntax", WARN, lint.text, scene.project.name(path), f"line {lint.line}")
    texts = {
        scene.project.name(p): read_script(p, scene.project.root)
        for p in scene.walk.sources
        if p.suffix.lower() not in (".bat", ".cmd")
    }
    for name, line, variable in undefined_names(texts) if texts else ():
        any_row = True
        yield Row("script-syntax", WARN, f"${variable} is defined nowhere, so the path is wrong", name, f"line {line}")
    stop = scene.walk.stopped
    if stop is not None:
        name, place = scene.project.name(stop.file), f"line {stop.line}"
        if "would not understand" in stop.reason or "syntax error" in stop.reason:
            yield Row("script-syntax", FAIL, f"{stop.reason}: the script breaks off here", name, place)
        elif "is not there" not in stop.reason:
            needs = "the walk ends at this line: check what follows by hand, or write it plainer"
            yield Row("script-syntax", UNKNOWN, stop.reason, name, place, needs)
    elif not any_row:
        yield Row(
            "script-syntax",
            PASS,
            "every call's arguments are as the tool takes them",
            scene.project.name(scene.walk.script),
        )
    for words in scene.walk.assumed:
        yield Row("script-syntax", UNKNOWN, words, scene.project.name(scene.walk.script), "", "answer it in the script")


def _back_scripts(scene: Scene) -> Iterator[Item]:
    suffix = scene.walk.script.suffix.lower()
    for item in scene.project.items:
        if item.kind == "script" and item.path.stem.lower() in _BACK_SCRIPTS and item.path.suffix.lower() == suffix:
            yield item


def result_rows(scene: Scene) -> Iterator[Row]:
    """Results that nobody looks at: found by walking the script with each step failing."""
    last: list[str] = []
    any_row = False
    for miss in unchecked(scene.walk, scene.stage):
        call = miss.step.call
        file, place = scene.line(call)
        if call.state in FINAL:
            last.append(f"{file}, {place}")
            continue
        any_row = True
        what = "stores" if call.stores else "sets options" if call.options else "erases" if call.erases else "writes"
        end = ", and the chip is closed all the same" if miss.closes else ""
        yield Row("script-result", WARN, f"this call {what} and nobody notices when it fails{end}", file, place)
    if last:
        text = "the result of the last PRODUCT_STATE is not looked at: only a discovery tells whether it worked"
        file, _, place = last[0].rpartition(", ")
        yield Row("script-result", WARN, text, file, place)
    for step in scene.before:
        plain = [a for _, a in step.call.downloads if a is None or canonical(a) >> 20 != 0x08F]
        if plain and not step.call.verifies:
            any_row = True
            yield Row("script-result", WARN, "a download without -v is never read back", *scene.line(step.call))
    for path in scene.walk.sources:
        if path.suffix.lower() not in (".bat", ".cmd"):
            for lint in lint_shell(read_script(path, scene.project.root)):
                if lint.check == "script-result":
                    any_row = True
                    yield Row("script-result", WARN, lint.text, scene.project.name(path), f"line {lint.line}")
    if not any_row and not last:
        yield Row("script-result", PASS, "every step's result is looked at", scene.project.name(scene.walk.script))


def secure_manager(scene: Scene) -> Iterator[Row]:
    """What of a Secure Manager's installation is there, and that nothing of it can be checked.

    Source: facts on provisioning, thread 741981: SFSP 0.1.1 was too old for Secure Manager 1.2.
    """
    installing = next((s for s in scene.walk.steps if s.call.installs), None)
    if installing is None and scene.path != "secure-manager":
        return
    file, place = scene.line(installing.call) if installing else (scene.project.name(scene.walk.script), "")
    log = scene.project.board.log
    version = log.banner.sfsp if log is not None else None
    if version is not None and version.parts and version.parts < (1,):
        text = (
            f"the board's SFSP is {version.text}, and 0.1.1 was too old for the Secure Manager: the installation fails"
        )
        yield Row(
            "secure-manager", FAIL, text, scene.project.board.source, "SFSP Version", "ask the vendor for a newer part"
        )
        return
    seen = [i.path.name for i in scene.project.items if i.path.suffix.lower() in SECURE_MANAGER]
    seen += [i.path.name for i in scene.project.items if i.why and i.why.startswith("the licence of")]
    text = (
        f"a Secure Manager is installed ({', '.join(seen[:4]) or 'its package is not there'}): it is encrypted for the"
    )
    text += " chip, so keys, options and the state that it sets cannot be compared"
    needs = "install it on a spare board first, look at its discovery, and come back from it once"
    if version is None:
        needs += "; give a banner with --log, which tells the SFSP"
    yield Row("secure-manager", UNKNOWN, text, file, place, needs)


def xml_rows(scene: Scene) -> Iterator[Row]:
    """The XML that made a file would make it again."""
    told = False
    xmls = [i for i in scene.project.items if i.xml is not None]
    for s in scene.stored:
        xml = next((i for i in xmls if _made(i) == os.path.normpath(s.item.path)), None)
        if xml is None or xml.xml is None:
            continue
        x, differs = xml.xml, []
        if x.destination is not None and x.destination != s.obk.destination:
            differs.append(f"destination 0x{x.destination:08X}")
        if x.encrypts is not None and x.encrypts != bool(s.obk.flag):
            differs.append(f"DoEncryption {int(x.encrypts)}")
        if x.permission is not None and s.obk.permissions is not None and s.item.kind == "obk-da-cert":
            differs += [f"permission 0x{x.permission:X}"] if x.permission != s.obk.permissions else []
        if s.obk.stirot is not None:
            made = ((n, x.value(n), getattr(s.obk.stirot, f)) for n, f in _STIROT_NAMES.items())
            differs += [f"{n} 0x{v:X}, not 0x{stored:X}" for n, v, stored in made if v is not None and v != stored]
        prints = {k.spki for _, k in s.obk.keys}
        for name, path in x.keys:
            key = scene.project.item(real_path(xml.path.parent / path.replace("\\", "/")))
            if key is not None and key.key is not None and s.obk.keys and key.key.spki not in prints:
                differs.append(f"{name} ({key.name})")
            if key is not None and key.key is not None and s.obk.content is ObkContent.DA:
                differs += [f"{name} ({key.name})"] if key.key.xy != s.obk.credential.hex() else []
        told = True
        if differs:
            text = f"it would make another {s.item.path.name} than the one stored: {', '.join(differs[:3])}"
            yield Row("xml-agrees", WARN, text, xml.name, "")
        else:
            yield Row("xml-agrees", PASS, f"it agrees with {s.file}", xml.name, "")
    slots = scene.layout.image_slots if scene.layout is not None else ()
    for d in scene.downloads:
        xml = next((i for i in xmls if d.item is not None and _made(i) == os.path.normpath(d.item.path)), None)
        base = xml.xml.option("-x") if xml is not None and xml.xml is not None else None
        if xml is None or not base or d.address is None or not _NUMBER.fullmatch(base):
            continue
        told = True
        slot = next((p.range for p in slots if p.range.start == canonical(d.address or 0)), None)
        size = xml.xml.option("-S") if xml.xml is not None else None
        room = printed_number(size) if size and _NUMBER.fullmatch(size) else None
        if slot is not None and room is not None and room != slot.size:
            text = f"it makes {d.path.name} for a slot of 0x{room:X} bytes, the layout's has 0x{slot.size:X}"
            yield Row("xml-agrees", WARN, text, xml.name, "-S")
        elif canonical(printed_number(base)) != canonical(d.address):
            text = f"it puts {d.path.name} at {base}, the file begins at 0x{d.address:08X}: the next build is wrong"
            yield Row("xml-agrees", WARN, text, xml.name, "-x")
        else:
            yield Row("xml-agrees", PASS, f"it agrees with {d.file}", xml.name, "-x")
    if not told:
        yield Row("xml-agrees", PASS, "no XML of this set makes a file that is stored or downloaded", "")


def _made(item: Item) -> str:
    assert item.xml is not None
    return os.path.normpath(item.path.parent / item.xml.for_file.replace("\\", "/"))
