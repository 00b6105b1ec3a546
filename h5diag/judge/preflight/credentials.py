"""Checks of what opens the chip again: files, .obk objects, certificates, passwords. Ids are those of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from h5diag.evidence.keys import DESTINATIONS, FULL_REGRESSION, SIZES, ObkContent, chain_breaks, published
from h5diag.evidence.texts.discovery import VALID
from h5diag.judge.preflight.inventory import Item
from h5diag.judge.preflight.project import other_case
from h5diag.judge.preflight.rows import FAIL, OTP_PASSWORD, PASS, UNKNOWN, Row, Scene, Stored, objects_of

_NEEDED = {
    "oemirot": (ObkContent.OEMIROT_CONFIG, ObkContent.OEMIROT_DATA),
    "stirot": (ObkContent.STIROT_CONFIG, ObkContent.STIROT_DATA),
    "stirot-oemurot": (
        ObkContent.STIROT_CONFIG,
        ObkContent.STIROT_DATA,
        ObkContent.OEMUROT_CONFIG,
        ObkContent.OEMUROT_DATA,
    ),
}
_STAKE = "the board may be lost"


def files_present(scene: Scene) -> Iterator[Row]:
    """Every file that the followed scripts name is there, under the very name."""
    missing: list[tuple[Path, str, str, bool]] = []
    seen: set[Path] = set()
    for step in scene.before:
        count = len(step.call.downloads)
        for n, (path, found) in enumerate(zip(step.paths, step.files, strict=True)):
            if path in seen:
                continue
            seen.add(path)
            if found is None:
                file, place = scene.line(step.call)
                written = step.call.downloads[n][0] if n < count else ""
                if "\\" in written and step.call.file.suffix.lower() == ".sh":
                    text = f"{written[-40:]}: what the tool makes of backslashes on this system is not known"
                    yield Row("files-present", UNKNOWN, text, file, place, "write the path with slashes")
                    continue
                otp = n < count and step.call.downloads[n][1] in range(OTP_PASSWORD, OTP_PASSWORD + 0x800)
                missing.append((path, file, place, n < count and not otp))
    if scene.way_back is not None and (scene.da is not None or not scene.stage.part.obk):
        step, given = scene.way_back
        wanted = ("pwd",) if scene.password_kind or not scene.stage.part.obk else ("key", "cert")
        for name in wanted:
            if name in given and scene.project.find(given[name]) is None:
                missing.append((given[name], *scene.line(step.call), False))
    for path, script, line in scene.walk.missing:
        missing.append((path, scene.project.name(script), f"line {line}", False))
    built = _built(scene)
    for path, file, place, image in missing:
        near = other_case((scene.project.find(path.parent) or path.parent) / path.name)
        if image and not built and not near:
            continue
        what = f"{path.name} is not there"
        if near:
            what = f"the script names {path.name}, the file is called {near}"
        text = (
            f"{what} (looked for at {scene.project.name(path)}): the tool prints an error, and a script that goes on"
            " closes the chip without it"
        )
        needs = "build the application and put its image there" if image else "put the file there or correct the script"
        yield Row("files-present", FAIL, text, file, place, needs)
    if not built and any(image for *_, image in missing):
        first = next(m for m in missing if m[3])
        needs = "build the application first"
        yield Row("files-present", UNKNOWN, "no image of the application is there yet", first[1], first[2], needs)
    elif not missing:
        yield Row("files-present", PASS, "every file that the scripts name is there")


def _built(scene: Scene) -> bool:
    """Tell whether anything was built: data images that a package ships beside its scripts do not count."""
    return any(
        d.item is not None and "ROT_Provisioning" not in d.item.path.relative_to(scene.project.root).parts
        for d in scene.downloads
        if d.item is None or d.item.path.is_relative_to(scene.project.root)
    ) or ((scene.own or scene.path == "da") and any(d.item is not None for d in scene.downloads))


def obk_rows(scene: Scene) -> Iterator[Row]:
    """Size, hash, destination, encryption and content of every object that is stored."""
    taken: dict[int, Stored] = {}
    for s in scene.stored:
        yield _size(s)
        yield Row(
            "obk-hash",
            PASS if s.obk.digest_valid else FAIL,
            "the recorded SHA-256 holds"
            if s.obk.digest_valid
            else "the recorded SHA-256 does not fit the rest: the boot stops at it, or debug authentication is not valid",
            s.file,
            "offset 0xC",
        )
        yield _destination(s, taken)
        yield _encryption(scene, s)
        yield _content(scene, s)
    for step in scene.before:
        for path in objects_of(step):
            item = scene.project.item(path)
            if item is not None and item.obk is None:
                why = f"is no .obk file ({item.why or item.kind}): it is refused"
                yield Row("obk-size", FAIL, f"{path.name} {why}", scene.project.name(path), "offset 0x0")
    if scene.closes and scene.stage.part.obk:
        for content in _NEEDED.get(scene.path, ()):
            if scene.stored_as(content) is None and not _missing_store(scene):
                text = f"no step stores the {content.value}: the boot stops without it"
                yield _absent(scene, "obk-content", text, scene.project.name(scene.walk.script))


def _absent(scene: Scene, id_: str, text: str, file: str, place: str = "") -> Row:
    """Return the row for a step that is nowhere; of a walk that ended early nobody knows what would have followed."""
    stop = scene.walk.stopped
    if stop is None or scene.final is not None:
        return Row(id_, FAIL, text, file, place)
    needs = f"the walk ends at {stop.file.name}, line {stop.line}: check what follows by hand, or write it plainer"
    return Row(id_, UNKNOWN, text.partition(":")[0] + " before the walk ends", file, place, needs)


def _missing_store(scene: Scene) -> bool:
    """A store whose file is absent is told by `files_present`."""
    return any(f is None for s in scene.before for f in s.files[len(s.call.downloads) :])


def _size(s: Stored) -> Row:
    due = SIZES.get(s.obk.content)
    problem = ""
    if s.obk.size + 12 != s.obk.file_size:
        problem = f"the header announces 0x{s.obk.size:X} bytes of payload, the file has 0x{s.obk.file_size - 12:X}"
    elif s.obk.size % 16:
        problem = f"0x{s.obk.size:X} bytes of payload are no multiple of 16"
    elif due is not None and s.obk.size != due:
        problem = f"the {s.obk.content.value} has 0x{s.obk.size:X} bytes of payload, 0x{due:X} are due"
    text = f"{problem}: the chip refuses it (BAD_SIZE)" if problem else f"0x{s.obk.size:X} bytes of payload, as due"
    return Row("obk-size", FAIL if problem else PASS, text, s.file, "offset 0x4")


def _destination(s: Stored, taken: dict[int, Stored]) -> Row:
    due = DESTINATIONS.get(s.obk.content)
    place = "offset 0x0"
    if due is not None and s.obk.destination != due:
        text = f"the {s.obk.content.value} goes to 0x{s.obk.destination:08X}, 0x{due:08X} is due: it overwrites others"
        return Row("obk-destination", FAIL, text, s.file, place)
    if s.obk.content is ObkContent.SECURE_MANAGER:
        text = f"0x{s.obk.destination:08X} is where the Secure Manager keeps settings; what they mean is not published"
        needs = "install it on a spare board first and look at the discovery"
        return Row("obk-destination", UNKNOWN, text, s.file, place, needs)
    if due is None:
        text = f"what goes to 0x{s.obk.destination:08X} is nothing that a boot stage looks for there"
        return Row("obk-destination", FAIL, text, s.file, place)
    earlier = taken.get(s.obk.destination)
    taken[s.obk.destination] = s
    if earlier is not None and earlier.path != s.path:
        text = f"it overwrites {earlier.file}, which was stored at 0x{s.obk.destination:08X} before"
        return Row("obk-destination", FAIL, text, s.file, place)
    return Row("obk-destination", PASS, f"0x{s.obk.destination:08X}, as due for it", s.file, place)


def _encryption(scene: Scene, s: Stored) -> Row:
    part, place = scene.stage.part, "offset 0x8"
    plain = s.obk.content in (ObkContent.OEMIROT_DATA, ObkContent.OEMUROT_DATA)
    if s.obk.flag not in (0, 1):
        return Row("obk-encryption", FAIL, f"the flag is {s.obk.flag}, neither 0 nor 1", s.file, place)
    if plain or part.saes is False:
        due = 0
    elif part.saes is None:
        needs = "say which part it is with --chip: the marking on it tells"
        who = part.name or "an unknown part"
        text = f"the flag is {s.obk.flag}; whether {who} encrypts what it stores is not known"
        return Row("obk-encryption", UNKNOWN, text, s.file, place, needs)
    else:
        due = 1
    if s.obk.flag == due:
        return Row("obk-encryption", PASS, f"the flag is {due}, as {part.name or 'every part'} needs it", s.file, place)
    if due:
        why = f"{part.name} stores it and never accepts it: no regression afterwards, {_STAKE}"
    else:
        why = f"{part.name or 'the part'} cannot encrypt it: it is never stored"
    return Row("obk-encryption", FAIL, f"the flag is {s.obk.flag}, {due} is due: {why}", s.file, place)


def _content(scene: Scene, s: Stored) -> Row:
    problems = list(s.obk.problems)
    if s.obk.content is ObkContent.DA:
        if not any(s.obk.credential):
            problems.append("the hash of root key or password at offset 0x2C is all zeros")
    elif s.obk.content is ObkContent.UNKNOWN:
        problems.append("the content is nothing that a boot stage of ST reads")
    elif s.obk.stirot is not None and not problems:
        f, size = s.obk.stirot, _flash_size(scene)
        for name, at, length in (
            ("execution area", f.execution_offset, f.area_size),
            ("download area", f.download_offset, f.area_size),
        ):
            if size and at + length > size:
                problems.append(f"the {name} (0x{at:X}, 0x{length:X} bytes) leaves the flash of 0x{size:X} bytes")
    if problems:
        text = "; ".join(problems) + ": the boot stops at it"
        return Row("obk-content", FAIL, text, s.file, "payload")
    return Row("obk-content", PASS, f"{s.obk.content.value}: everything in it makes sense", s.file, "payload")


def _flash_size(scene: Scene) -> int:
    if scene.layout is not None:
        return scene.layout.chip.flash.size
    return {"h563": 0x200000, "h573": 0x200000, "h533": 0x80000, "h523": 0x80000, "h503": 0x20000}.get(
        scene.stage.part.name, 0
    )


# ------------------------------------------------------------------------------------------- debug authentication
def da_present(scene: Scene) -> Iterator[Row]:
    """A step that stores credentials stands before the last state."""
    if not scene.closes:
        return
    file, place = (
        scene.line(scene.final.call) if scene.final is not None else (scene.project.name(scene.walk.script), "")
    )
    if not scene.stage.part.obk:
        wrote = next((s for s in scene.before for _, a in s.call.downloads if a == OTP_PASSWORD), None)
        text = "the hash of the password is written to the OTP area before the last state"
        if wrote is None:
            text = f"no step writes the password's hash to 0x{OTP_PASSWORD:08X} before the last state: no way back"
        yield Row("da-present", PASS if wrote else FAIL, text, file, place)
    elif scene.da is not None:
        yield Row(
            "da-present", PASS, f"{scene.da.file} is stored before the last state", *scene.line(scene.da.step.call)
        )
    elif not _missing_store(scene):
        text = f"no debug-authentication object is stored before the last state: {_STAKE}"
        yield _absent(scene, "da-present", text, file, place)


def da_tzen(scene: Scene) -> Iterator[Row]:
    """The kind of credentials fits TrustZone at that moment."""
    da = scene.da
    if da is None or not scene.closes:
        return
    tzen = scene.option("TZEN")
    kind = "password" if scene.password_kind else "certificate"
    file, place = scene.setter("TZEN")
    if not scene.stage.part.trustzone:
        tzen = 0xC3
    if tzen is None:
        needs = "give a listing of the board with --options: neither script nor listing tells TZEN"
        yield Row("da-tzen", UNKNOWN, f"a {kind} is stored ({da.file}), TZEN is not known", da.file, "", needs)
        return
    wanted = {0xB4: "certificate", 0xC3: "password"}.get(tzen, "")
    known = f"told by {da.item.how_known}"
    if kind == wanted:
        yield Row("da-tzen", PASS, f"TZEN is 0x{tzen:X} and a {kind} is stored ({known})", da.file, place)
    else:
        text = (
            f"TZEN is 0x{tzen:X}, which takes a {wanted or 'known value'}, and a {kind} is stored ({known}): {_STAKE}"
        )
        yield Row("da-tzen", FAIL, text, file or da.file, place)


def da_chain(scene: Scene) -> Iterator[Row]:
    """Root hash, chain, leaf key, permissions and binding, where certificates are the credentials."""
    da = scene.da
    if da is None or scene.password_kind:
        return
    chains = list(scene.chains())
    if not chains:
        if scene.way_back is None or "cert" not in scene.way_back[1]:
            needs = "give the certificate chain and the leaf's private key"
            yield Row("da-chain", UNKNOWN, "no certificate chain is there to authenticate with", da.file, "", needs)
        yield from _permission(scene, None)
        return
    matching = [c for c in chains if c[1] and c[1][0].xy == da.obk.credential.hex()] or chains
    item, chain = matching[0]
    if not chain:
        text = f"{item.name} is no certificate chain ({item.why or item.kind}): authentication is impossible"
        yield Row("da-chain", FAIL, text, item.name, "")
        return
    breaks = list(chain_breaks(chain))
    if chain[0].xy != da.obk.credential.hex() and chain[0].role == "root":
        breaks.insert(0, (1, f"its root key is not the one whose hash {da.file} stores"))
    if chain[-1].role == "root":
        breaks.append((1, "the chain ends at the root: intermediate or leaf are missing"))
    if breaks:
        n, text = breaks[0]
        yield Row("da-chain", FAIL, f"{text}: authentication is impossible", item.name, f"certificate {n}")
    else:
        text = f"{len(chain)} certificates, every signature holds, the root is the one stored"
        yield Row("da-chain", PASS, text, item.name, f"certificate 1 to {len(chain)}")
    yield from _leaf_key(scene, item)
    yield from _permission(scene, item)
    yield from _binding(scene, item)


def _leaf_key(scene: Scene, item: Item) -> Iterator[Row]:
    last = item.chain[-1]
    named = scene.way_back[1].get("key") if scene.way_back is not None else None
    place = f"certificate {len(item.chain)}"
    if named is not None:
        found = scene.project.item(Path(str(named)))
        if found is None:
            return  # told by files-present
        right = found.key is not None and found.key.private and found.key.spki == last.spki
        text = f"the private key belongs to the {last.role} certificate"
        if not right:
            what = "is no private key" if found.key is None or not found.key.private else "is another key"
            text = f"{found.name} {what} than that of the last certificate ({item.name}): authentication is impossible"
            text = text.replace("is no private key than that", "holds no private key as that")
        yield Row("da-leaf-key", PASS if right else FAIL, text, found.name, place)
        return
    keys = [i for i in scene.project.items if i.key is not None and i.key.private]
    right_key = next((i for i in keys if i.key is not None and i.key.spki == last.spki), None)
    if right_key is not None:
        text = f"the private key belongs to the {last.role} certificate"
        yield Row("da-leaf-key", PASS, text, right_key.name, place)
    elif any("leaf" in i.path.name.lower() for i in keys):
        wrong = next(i for i in keys if "leaf" in i.path.name.lower())
        text = f"its key is not that of the last certificate ({item.name}): authentication is impossible"
        yield Row("da-leaf-key", FAIL, text, wrong.name, place)
    else:
        needs = "give the private key of the last certificate"
        yield Row(
            "da-leaf-key", UNKNOWN, "the private key of the last certificate is not there", item.name, place, needs
        )


def _permission(scene: Scene, item: Item | None) -> Iterator[Row]:
    assert scene.da is not None
    mask = scene.da.obk.permissions or 0
    where = scene.da.file, "offset 0x4C"
    for n, c in enumerate(item.chain if item is not None else (), 1):
        if mask >> FULL_REGRESSION & 1 and not c.permissions >> FULL_REGRESSION & 1:
            where = (item.name if item is not None else "", f"certificate {n}")
        mask &= c.permissions
    ok = bool(mask >> FULL_REGRESSION & 1)
    text = "full regression (bit 14) is allowed by all of them"
    if not ok:
        text = f"bit 14 (full regression) is missing in the product of all masks: no way back, {_STAKE}"
    yield Row("da-permission", PASS if ok else FAIL, text, *where)


def _binding(scene: Scene, item: Item) -> Iterator[Row]:
    for n, c in enumerate(item.chain, 1):
        if not c.soc_class and not any(c.soc_id):
            continue
        place = f"certificate {n}"
        log = scene.project.board.log
        uid = log.discovery.uid if log is not None and log.discovery else ()
        if not any(c.soc_id):
            needs = "give the board's discovery with --log"
            text = f"the {c.role} is bound to the class 0x{c.soc_class:X}"
            target = log.discovery.dev_id if log is not None and log.discovery else None
            if target and target > 0:
                same = c.soc_class & 0xFFF == target
                yield Row("da-binding", PASS if same else FAIL, f"{text}, the board is 0x{target:X}", item.name, place)
            else:
                yield Row("da-binding", UNKNOWN, text, item.name, place, needs)
            return
        if not uid:
            needs = "give the board's discovery with --log: it prints the SoC id"
            yield Row("da-binding", UNKNOWN, f"the {c.role} is bound to one chip", item.name, place, needs)
            return
        words = b"".join(w.to_bytes(4, "little") for w in uid)
        big = b"".join(w.to_bytes(4, "big") for w in reversed(uid))
        same = any(w in c.soc_id for w in (words, big, words[::-1]))
        text = f"the {c.role} is bound to {'this' if same else 'another'} chip"
        yield Row("da-binding", PASS if same else FAIL, text + ("" if same else f": {_STAKE}"), item.name, place)
        return
    yield Row("da-binding", PASS, "the chain is bound to no chip", item.name, "")


def da_password(scene: Scene) -> Iterator[Row]:
    """The password file fits the stored hash."""
    if not scene.stage.part.obk:
        yield from _board_password(scene)
        return
    da = scene.da
    if da is None or not scene.password_kind:
        return
    yield from _permission(scene, None)
    named = scene.way_back[1].get("pwd") if scene.way_back is not None else None
    items = [scene.project.item(Path(str(named)))] if named is not None else list(scene.project.items)
    passwords = [i for i in items if i is not None and i.password is not None]
    if not passwords:
        if named is None or scene.project.find(Path(str(named))) is not None:
            needs = "give the password file that regression will use"
            yield Row("da-password", UNKNOWN, "no password file is there to compare", da.file, "offset 0x2C", needs)
        return
    right = next((i for i in passwords if i.password is not None and i.password.digest == da.obk.credential), None)
    if right is not None:
        yield Row("da-password", PASS, "its SHA-256 is the one stored", right.name, "offset 0x8")
    else:
        text = f"its SHA-256 is not the one that {da.file} stores: the password will not open the chip"
        yield Row("da-password", FAIL, text, passwords[0].name, "offset 0x8")


def _board_password(scene: Scene) -> Iterator[Row]:
    for step in scene.before:
        for (_, address), path in zip(step.call.downloads, step.paths, strict=False):
            if address != OTP_PASSWORD:
                continue
            item = scene.project.item(path)
            if item is None:
                return  # told by files-present
            stored = b"".join(s.data.tobytes() for s in item.memory.segments) if item.memory is not None else b""
            named = scene.way_back[1].get("pwd") if scene.way_back is not None else None
            way = scene.project.item(Path(str(named))) if named is not None else None
            ways = [way] if way is not None else [i for i in scene.project.items if i.path != item.path]
            digests = {i.password.digest: i for i in ways if i is not None and i.password is not None}
            own = item.password.digest if item.password is not None else b""
            hit = digests.get(stored[:32]) or digests.get(own)
            place = f"0x{OTP_PASSWORD:08X}"
            name = scene.project.name(path)
            if item.size != 32:
                yield Row("da-password", FAIL, f"{item.size} bytes, 32 are due: no password opens it", name, place)
            elif hit is not None:
                yield Row("da-password", PASS, f"it is the SHA-256 of {hit.name}", name, place)
            elif digests:
                yield Row("da-password", FAIL, "it is the SHA-256 of no password of this set: no way back", name, place)
            else:
                needs = "give the password file that regression will use"
                yield Row("da-password", UNKNOWN, "no password file is there to compare", name, place, needs)
            return


def gate_discovery(scene: Scene) -> Iterator[Row]:
    """A discovery taken in Provisioning shows that the stored credentials are valid."""
    log = scene.project.board.log
    if log is None or not log.discovery or "PROVISIONING" not in log.discovery.lifecycle.upper():
        return
    d = log.discovery
    integrity = d.integrity.lower()
    where = scene.project.board.source or "log", "ST provisioning integrity status"
    if f"0x{VALID:x}" not in integrity:
        text = f"the integrity status is {d.integrity or 'missing'}, 0xeaeaeaea is due before closing: {_STAKE}"
        yield Row("gate-discovery", FAIL, text, *where)
    elif scene.option("TZEN") != 0xC3 and not any("full regression" in p.lower() for p in d.permissions):
        yield Row(
            "gate-discovery", FAIL, f"no Full Regression is offered: {_STAKE}", where[0], "permission if authorized"
        )
    else:
        yield Row("gate-discovery", PASS, "integrity is valid and a full regression is offered", *where)


def keys_published(scene: Scene) -> Iterator[Row]:
    """Keys and passwords that everybody has."""
    found: dict[str, str] = {}
    for s in scene.stored:
        prints = [s.obk.credential] if s.obk.content is ObkContent.DA else []
        for known in (published(*prints), *(published(k.spki, k.xy) for _, k in s.obk.keys)):
            if known is not None:
                found.setdefault(str(known), s.file)
    if scene.da is not None and not scene.password_kind:
        for item, chain in scene.chains():
            for c in chain:
                if (known := published(c.spki, c.xy)) is not None:
                    found.setdefault(str(known), item.name)
    for d in scene.downloads:
        if d.item is not None and d.item.images and d.item.published:
            found.setdefault(d.item.published, d.file)
    for step in scene.before:
        for (_, address), path in zip(step.call.downloads, step.paths, strict=False):
            if address == OTP_PASSWORD and (hash_file := scene.project.item(path)) and hash_file.memory:
                stored = b"".join(s.data.tobytes() for s in hash_file.memory.segments)[:32]
                if (known := published(stored)) is not None:
                    found.setdefault(str(known), hash_file.name)
    if found:
        names = ", ".join(list(found)[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
        text = f"published keys or passwords: {names}. Anybody can open this product or sign for it"
        needs = "make keys of your own, and every object, certificate and image again"
        yield Row("keys-published", "warn", text, next(iter(found.values())), "", needs)
    else:
        yield Row("keys-published", PASS, "no published key or password is in what is stored or signed")
