"""Checks of what opens the chip again: files, .obk objects, certificates, passwords. Ids are those of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from h5diag.evidence.keys import DESTINATIONS, FULL_REGRESSION, SIZES, ObkContent, chain_breaks, published
from h5diag.evidence.texts.connection import VALID
from h5diag.judge.preflight.inventory import Item
from h5diag.judge.preflight.project import flash_sizes, other_case
from h5diag.judge.preflight.rows import OTP_PASSWORD, Row, Scene, Stored, objects_of, row
from h5diag.sim.rehearse import OFF, ON, OTP

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


def files_present(scene: Scene) -> Iterator[Row]:
    """Every file that the followed scripts name is there, under the very name."""
    missing, seen = list[tuple[Path, str, str, bool]](), set[Path]()
    for step in scene.before:
        downloads = step.call.downloads
        for n, (path, found) in enumerate(zip(step.paths, step.files, strict=True)):
            if found is None and path not in seen:
                written, address = downloads[n] if n < len(downloads) else ("", None)
                if "\\" in written and step.call.file.suffix.lower() == ".sh":
                    yield row("files-present.backslashes", *scene.line(step.call), name=written[-40:])
                else:
                    missing.append((path, *scene.line(step.call), n < len(downloads) and address not in OTP))
            seen.add(path)
    if scene.way_back is not None and (scene.da is not None or not scene.stage.part.obk):
        step, given = scene.way_back
        wanted = ("pwd",) if scene.password_kind or not scene.stage.part.obk else ("key", "cert")
        named = (given[name] for name in wanted if name in given)
        missing += [(path, *scene.line(step.call), False) for path in named if scene.project.find(path) is None]
    missing += [(path, scene.project.name(script), f"line {line}", False) for path, script, line in scene.walk.missing]
    built = _built(scene)
    for path, *where, image in missing:
        near = other_case((scene.project.find(path.parent) or path.parent) / path.name)
        if not image or built or near:
            build, put = "build the application and put its image there", "put the file there or correct the script"
            said = {"name": path.name, "near": near, "at": scene.project.name(path), "do": build if image else put}
            yield row(f"files-present.{'other-case' if near else 'absent'}", *where, **said)
    if not built and (images := [where for _, *where, image in missing if image]):
        yield row("files-present.not-built", *images[0])
    elif not missing:
        yield row("files-present.there")


def _built(scene: Scene) -> bool:
    """Tell whether anything was built: data images that a package ships beside its scripts do not count."""
    return any(
        d.item is not None and "ROT_Provisioning" not in d.item.path.relative_to(scene.project.root).parts
        for d in scene.downloads
        if d.item is None or d.item.path.is_relative_to(scene.project.root)
    ) or ((scene.own or scene.path == "da") and any(d.item is not None for d in scene.downloads))


def obk_rows(scene: Scene) -> Iterator[Row]:
    """Size, hash, destination, encryption and content of every object that is stored."""
    earlier: dict[int, Stored] = {}
    for s in scene.stored:
        yield _size(s)
        yield row(f"obk-hash.{'holds' if s.obk.digest_valid else 'broken'}", s.file, "offset 0xC")
        yield _destination(s, earlier.get(s.obk.destination))
        if s.obk.destination == DESTINATIONS.get(s.obk.content):
            earlier[s.obk.destination] = s
        yield _encryption(scene, s)
        yield _content(scene, s)
    for path in (path for step in scene.before for path in objects_of(step)):
        item = scene.project.item(path)
        if item is not None and item.obk is None:
            where = scene.project.name(path), "offset 0x0"
            yield row("obk-size.no-obk", *where, name=path.name, why=item.why or item.kind)
    if scene.closes and scene.stage.part.obk:
        for content in _NEEDED.get(scene.path, ()):
            if scene.stored_as(content) is None and not _missing_store(scene):
                yield _absent(scene, "obk-content", scene.script, content=content.value)


def _absent(scene: Scene, id_: str, file: str, place: str = "", **values: str) -> Row:
    """Return the row for a step that is nowhere; of a walk that ended early nobody knows what would have followed."""
    stop = scene.walk.stopped
    if stop is None or scene.final is not None:
        return row(f"{id_}.absent", file, place, **values)
    return row(f"{id_}.walk-ended", file, place, **values, file=stop.file.name, line=stop.line)


def _missing_store(scene: Scene) -> bool:
    """A store whose file is absent is told by `files_present`."""
    return any(f is None for s in scene.before for f in s.files[len(s.call.downloads) :])


def _size(s: Stored) -> Row:
    due, held = SIZES.get(s.obk.content, s.obk.size), s.obk.file_size - 12
    case = "cut" if s.obk.size != held else "odd" if s.obk.size % 16 else "other" if s.obk.size != due else "right"
    said = {"size": s.obk.size, "held": held, "due": due, "content": s.obk.content.value}
    return row(f"obk-size.{case}", s.file, "offset 0x4", **said)


def _destination(s: Stored, earlier: Stored | None) -> Row:
    due, at = DESTINATIONS.get(s.obk.content), s.obk.destination
    case = "due"
    if due is None:
        case = "secure-manager" if s.obk.content is ObkContent.SECURE_MANAGER else "nowhere"
    elif at != due:
        case = "other"
    elif earlier is not None and earlier.path != s.path:
        case = "taken"
    said = {"content": s.obk.content.value, "at": at, "due": due, "earlier": earlier and earlier.file}
    return row(f"obk-destination.{case}", s.file, "offset 0x0", **said)


def _encryption(scene: Scene, s: Stored) -> Row:
    part, flag = scene.stage.part, s.obk.flag
    plain = s.obk.content in (ObkContent.OEMIROT_DATA, ObkContent.OEMUROT_DATA)
    due = int(bool(part.saes) and not plain)
    case, name = ("missing" if due else "not-possible"), "the part"
    if flag not in (0, 1):
        case = "no-flag"
    elif part.saes is None and not plain:
        case, name = "part-unknown", "an unknown part"
    elif flag == due:
        case, name = "due", "every part"
    return row(f"obk-encryption.{case}", s.file, "offset 0x8", flag=flag, part=part.name or name)


def _content(scene: Scene, s: Stored) -> Row:
    # Of the flash as the layout has it, else of the largest part of that name; 0 where none is known.
    largest = max(flash_sizes(scene.stage.part.name), default=0) * 1024
    problems, size = list(s.obk.problems), scene.layout.chip.flash.size if scene.layout is not None else largest
    if s.obk.content is ObkContent.DA and not any(s.obk.credential):
        problems.append("the hash of root key or password at offset 0x2C is all zeros")
    elif s.obk.content is ObkContent.UNKNOWN:
        problems.append("the content is nothing that a boot stage of ST reads")
    elif s.obk.stirot is not None and size and not problems:
        f = s.obk.stirot
        problems += [
            f"the {name} (0x{at:X}, 0x{f.area_size:X} bytes) leaves the flash of 0x{size:X} bytes"
            for name, at in (("execution area", f.execution_offset), ("download area", f.download_offset))
            if at + f.area_size > size
        ]
    said = {"problems": "; ".join(problems), "content": s.obk.content.value}
    return row(f"obk-content.{'wrong' if problems else 'sound'}", s.file, "payload", **said)


# ------------------------------------------------------------------------------------------- debug authentication
def da_present(scene: Scene) -> Iterator[Row]:
    """A step that stores credentials stands before the last state."""
    if not scene.closes:
        return
    if not scene.stage.part.obk:
        wrote = any(scene.password_hashes)
        yield row(f"da-present.{'hash-written' if wrote else 'hash-absent'}", *scene.closing, at=OTP_PASSWORD)
    elif scene.da is not None:
        yield row("da-present.stored", *scene.line(scene.da.step.call), file=scene.da.file)
    elif not _missing_store(scene):
        yield _absent(scene, "da-present", *scene.closing)


def da_tzen(scene: Scene) -> Iterator[Row]:
    """The kind of credentials fits TrustZone at that moment."""
    da = scene.da
    if da is None or not scene.closes:
        return
    tzen = scene.option("TZEN") if scene.stage.part.trustzone else OFF
    kind, (file, place) = "password" if scene.password_kind else "certificate", scene.setter("TZEN")
    said = {"tzen": tzen, "kind": kind, "known": da.item.how_known}
    wanted = {ON: "certificate", OFF: "password"}.get(tzen or 0, "known value")
    if tzen is None:
        yield row("da-tzen.unknown", da.file, kind=kind, file=da.file)
    elif kind == wanted:
        yield row("da-tzen.fits", da.file, place, **said)
    else:
        yield row("da-tzen.other", file or da.file, place, wanted=wanted, **said)


def da_chain(scene: Scene) -> Iterator[Row]:
    """Root hash, chain, leaf key, permissions and binding, where certificates are the credentials."""
    da = scene.da
    if da is None or scene.password_kind:
        return
    items = scene.chains()
    item = next((i for i in items if i.chain and i.chain[0].xy == da.obk.credential.hex()), items[0] if items else None)
    if item is None:
        if scene.named("cert") is None:
            yield row("da-chain.absent", da.file)
        yield _permission(da, None)
        return
    if not (chain := item.chain):
        yield row("da-chain.no-chain", item.name, name=item.name, why=item.why or item.kind)
        return
    breaks = list(chain_breaks(chain))
    if chain[0].xy != da.obk.credential.hex() and chain[0].role == "root":
        breaks.insert(0, (1, f"its root key is not the one whose hash {da.file} stores"))
    if chain[-1].role == "root":
        breaks.append((1, "the chain ends at the root: intermediate or leaf are missing"))
    if breaks:
        yield row("da-chain.broken", item.name, f"certificate {breaks[0][0]}", why=breaks[0][1])
    else:
        yield row("da-chain.whole", item.name, f"certificate 1 to {len(chain)}", count=len(chain))
    yield from _leaf_key(scene, item)
    yield _permission(da, item)
    yield _binding(scene, item)


def _leaf_key(scene: Scene, item: Item) -> Iterator[Row]:
    last, given = item.chain[-1], scene.project.item(scene.named("key"))
    if scene.named("key") is not None and given is None:
        return  # told by files-present
    keys = [i for i in ([given] if given else scene.project.items) if i.key and i.key.private]
    right = next((i for i in keys if i.key and i.key.spki == last.spki), None)
    leaf = next((i for i in keys if "leaf" in i.path.name.lower()), None)
    case, file = ("fits", right) if right else ("leaf-other", leaf) if leaf else ("absent", item)
    if given and not right:
        case, file = "other" if keys else "none-in-it", given
    said = {"role": last.role, "name": file.name, "chain": item.name}
    yield row(f"da-leaf-key.{case}", file.name, f"certificate {len(item.chain)}", **said)


def _permission(da: Stored, item: Item | None) -> Row:
    mask, where = da.obk.permissions or 0, (da.file, "offset 0x4C")
    for n, c in enumerate(item.chain if item is not None else (), 1):
        if item is not None and mask >> FULL_REGRESSION & 1 and not c.permissions >> FULL_REGRESSION & 1:
            where = item.name, f"certificate {n}"
        mask &= c.permissions
    return row(f"da-permission.{'allowed' if mask >> FULL_REGRESSION & 1 else 'missing'}", *where)


def _binding(scene: Scene, item: Item) -> Row:
    log, bound = scene.project.board.log, ((n, c) for n, c in enumerate(item.chain, 1) if c.soc_class or any(c.soc_id))
    n, c = next(bound, (0, None))
    if c is None:
        return row("da-binding.none", item.name)
    board, uid = (log.discovery.dev_id or 0, log.discovery.uid) if log is not None else (0, ())
    if any(c.soc_id):
        case = "chip-unknown" if not uid else "this-chip" if c.bound_to(uid) else "other-chip"
    else:
        case = "class-unknown" if board <= 0 else "this-class" if c.soc_class & 0xFFF == board else "other-class"
    return row(f"da-binding.{case}", item.name, f"certificate {n}", role=c.role, bound=c.soc_class, board=board)


def da_password(scene: Scene) -> Iterator[Row]:
    """The password file fits the stored hash."""
    if not scene.stage.part.obk:
        yield from _board_password(scene)
    da, named = scene.da, scene.named("pwd")
    if da is None or not scene.password_kind or not scene.stage.part.obk:
        return
    yield _permission(da, None)
    items = [scene.project.item(named)] if named is not None else scene.project.items
    passwords = [i for i in items if i and i.password]
    right = next((i for i in passwords if i.password and i.password.digest == da.obk.credential), None)
    if right is not None:
        yield row("da-password.fits", right.name, "offset 0x8")
    elif passwords:
        yield row("da-password.other", passwords[0].name, "offset 0x8", file=da.file)
    elif named is None or scene.project.find(named) is not None:
        yield row("da-password.absent", da.file, "offset 0x2C")


def _board_password(scene: Scene) -> Iterator[Row]:
    path, item = next(scene.password_hashes, (None, None))
    if path is None or item is None:
        return  # told by files-present
    way = scene.project.item(scene.named("pwd"))
    ways = [way] if way is not None else [i for i in scene.project.items if i.path != item.path]
    digests = {i.password.digest: i.name for i in ways if i.password}
    hit = digests.get(item.content[:32]) or digests.get(item.password.digest if item.password else b"")
    case = "hash-length" if item.size != 32 else "hash-fits" if hit else "hash-of-none" if digests else "absent"
    where = scene.project.name(path), f"0x{OTP_PASSWORD:08X}"
    yield row(f"da-password.{case}", *where, size=item.size, name=hit)


def gate_discovery(scene: Scene) -> Iterator[Row]:
    """A discovery taken in Provisioning shows that the stored credentials are valid."""
    log = scene.project.board.log
    if log is None or "PROVISIONING" not in log.discovery.lifecycle.upper():
        return
    d, file, status = log.discovery, scene.project.board.source or "log", "ST provisioning integrity status"
    if f"0x{VALID:x}" not in d.integrity.lower():
        yield row("gate-discovery.not-valid", file, status, integrity=d.integrity or "missing")
    elif scene.option("TZEN") != OFF and not any("full regression" in p.lower() for p in d.permissions):
        yield row("gate-discovery.no-regression", file, "permission if authorized")
    else:
        yield row("gate-discovery.valid", file, status)


def keys_published(scene: Scene) -> Iterator[Row]:
    """Keys and passwords that everybody has."""
    found = [(str(known), file) for known, file in _known(scene) if known]
    names = list(dict.fromkeys(name for name, _ in found))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    file = found[0][1] if found else ""
    yield row(f"keys-published.{'some' if found else 'none'}", file, names=", ".join(names[:4]) + more)


def _known(scene: Scene) -> Iterator[tuple[object, str]]:
    """Yield whose published key each stored or signing key is, None or empty for one that is none, and its file."""
    for s in scene.stored:
        if s.obk.content is ObkContent.DA:
            yield published(s.obk.credential), s.file
        yield from ((published(k.spki, k.xy), s.file) for _, k in s.obk.keys)
    if scene.da is not None and not scene.password_kind:
        yield from ((published(c.spki, c.xy), item.name) for item in scene.chains() for c in item.chain)
    yield from ((d.item.published, d.file) for d in scene.downloads if d.item is not None and d.item.images)
    yield from ((published(i.content[:32]), i.name) for _, i in scene.password_hashes if i is not None and i.content)
