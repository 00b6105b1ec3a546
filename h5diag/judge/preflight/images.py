"""Checks of what is written into the flash: signed images, their slots, and the options that the script sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from h5diag.evidence.keys import ObkContent, VerifyKey
from h5diag.judge.preflight.inventory import Item, end_of_file, image_bytes
from h5diag.judge.preflight.rows import Row, Scene, WrittenFile, row
from h5diag.layout import Layout, Role, Security, Slot
from h5diag.measure.firmware import BootImage, Check, TlvType, Verification, dependencies, verify_image
from h5diag.measure.firmware.image import ENCRYPTION_TYPES, HeaderMagic
from h5diag.measure.firmware.signing import unwrap_image_key
from h5diag.measure.firmware.trailer import MAGIC_SIZE, Magic, parse_magic
from h5diag.memory import AddressRange
from h5diag.sim.rehearse import OFF, ON, SECTOR

_MCUBOOT, *_STIROT = (m.value for m in HeaderMagic)
_FLASH = 0x08000000
"""Where the flash of every part begins that is provisioned. Source: RM0481, memory map."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An image where the script puts it; `slot` is None where none of `slots` begins there.

    `by_rom` tells whether STiROT in the ROM installs it, by its own keys and areas, and not the boot loader after it.
    """

    download: WrittenFile
    item: Item
    image: BootImage
    start: int
    slot: Slot | None
    slots: tuple[Slot, ...]
    by_rom: bool
    verify: tuple[VerifyKey, ...]
    result: Verification
    decrypts: bool

    @property
    def wraps_key(self) -> bool:
        """Tell whether a key for its body is wrapped in it."""
        return any(t.type in ENCRYPTION_TYPES for t in self.image.tlvs.plain)

    @property
    def body_clear(self) -> bool:
        """Tell whether its body is not encrypted, whatever its header says."""
        plain, after = self.result.hash, self.result.decrypted_hash
        if plain is Check.INVALID and after is Check.NOT_CHECKED:
            return not self.image.header.encrypted
        return plain is Check.VALID and after is not Check.VALID

    @property
    def file(self) -> str:
        """Its file, as it is shown."""
        return self.download.file

    @property
    def length(self) -> int:
        """How far the file reaches from the image's start, up to the next image in the same file."""
        later = [i.address for i in self.item.images if i.address > self.image.address]
        return (min(later) if later else self.item.stop) - self.image.address

    @property
    def side(self) -> int | None:
        """Which of the object's keys checks its slot: 0 the only or the secure one, 1 the non-secure one."""
        if self.slot is None:
            return None
        return int(len(self.verify) > 1 and self.slot.security is Security.NONSECURE)


def canonical(address: int) -> int:
    """Return the 0x08.. address of a flash cell named by either alias."""
    return address & 0x00FFFFFF | _FLASH if address >> 24 in (0x08, 0x0C) else address


def _slots(scene: Scene, by_rom: bool) -> tuple[Slot, ...]:
    """Return the slots that an image can go to: of the layout, or of a STiROT configuration."""
    config = scene.stored_as(ObkContent.STIROT_CONFIG) if by_rom else None
    if config is None or (f := config.obk.stirot) is None:
        return scene.layout.image_slots if scene.layout is not None else ()
    spans = (
        ("execution area", 0, Role.PRIMARY, f.execution_offset, f.area_size),
        ("download area", 0, Role.SECONDARY, f.download_offset, f.area_size),
        ("data download area", 1, Role.SECONDARY, f.data_download_offset, f.data_download_size * (f.images == 2)),
    )
    ranges = [(n, i, r, AddressRange(_FLASH + at, _FLASH + at + size)) for n, i, r, at, size in spans if size]
    return tuple(Slot(name, image, role, Security.SECURE, place) for name, image, role, place in ranges)


def placed_images(scene: Scene) -> Iterator[Placed]:
    """Yield every signed image that the script downloads, checked with the keys that the script stores."""
    rom = scene.stored_as(ObkContent.STIROT_CONFIG)
    second = scene.stored_as(ObkContent.OEMUROT_CONFIG) or scene.stored_as(ObkContent.OEMIROT_CONFIG) or rom
    written = [(d, d.item, d.item.memory) for d in scene.downloads if d.item and d.item.images and d.item.memory]
    for d, item, memory in written:
        for image in item.images:
            shift = d.address - memory.segments[0].start if d.address is not None else 0
            start, data = canonical(image.address + shift), image_bytes(item, image)
            by_rom = scene.path == "stirot" or (scene.path == "stirot-oemurot" and _magic(data) in _STIROT)
            slots, config = _slots(scene, by_rom), rom if by_rom else second
            decrypt = (config.obk.decrypt,) if config is not None and config.obk.decrypt is not None else ()
            slot = next((s for s in slots if s.range.start == start), None)
            verify = tuple(v for _, v in config.obk.verify) if config is not None else ()
            result = verify_image(image, data, verify, decrypt)
            decrypts = any(unwrap_image_key(t, k) for t in image.tlvs.plain for k in decrypt)
            yield Placed(d, item, image, start, slot, slots, by_rom, verify, result, decrypts)


def _magic(data: bytes) -> int:
    return int.from_bytes(data[:4], "little")


def image_rows(scene: Scene) -> Iterator[Row]:
    """All rows about images; those that need what is not there are unknown."""
    placed = tuple(placed_images(scene))
    wanted = [d for d in scene.downloads if not _is_boot(scene, d)]
    if wanted and not any(d.item is not None for d in wanted):
        for id_ in ("image-form", "image-signature", "image-slot"):
            yield row(f"{id_}.not-built", wanted[0].file, wanted[0].place)
        return
    signed = {id(p.download) for p in placed}
    for d in wanted:
        if d.item is not None and id(d) not in signed and scene.path != "script" and scene.path != "da":
            yield row("image-form.none", d.file, d.place, why=d.item.why or d.item.kind)
    for p in placed:
        yield _form(scene, p)
        yield _signature(scene, p)
        if p.wraps_key:
            case = "fits" if p.decrypts else "other-key" if any(s.obk.decrypt for s in scene.stored) else "no-key"
            yield row(f"image-encryption.{case}", p.file, "record ENC")
        yield _slot(scene, p)
        if p.slot is not None:
            second, room = p.slot.role is Role.SECONDARY, p.slot.range.size
            size = max(p.image.size + (MAGIC_SIZE if second else 0), p.length)
            fits = "too-long" if size > room else "fits"
            yield row(f"image-size.{fits}", p.file, f"0x{p.start:08X}", size=size, room=room)
            if second:
                magic = parse_magic(end_of_file(p.item) if p.length == room else b"")[0]
                there = {Magic.CLASSIC: "there", Magic.ALIGNED: "aligned"}.get(magic, "absent")
                yield row(f"image-trailer.{there}", p.file, f"0x{p.slot.range.stop - MAGIC_SIZE:08X}")
            yield _version(scene, p, p.slot, placed)
            yield from _release(scene, p, p.slot)
    yield from _boot_file(scene)


def _is_boot(scene: Scene, d: WrittenFile) -> bool:
    if "boot" in d.path.name.lower() and "appli" not in d.path.name.lower():
        return True
    boot = scene.layout.boot if scene.layout is not None else None
    return d.address is not None and boot is not None and canonical(d.address) in boot.range


def _form(scene: Scene, p: Placed) -> Row:
    magic = _magic(image_bytes(p.item, p.image))
    due = {"stirot": _STIROT, "stirot-oemurot": [_MCUBOOT, *_STIROT]}.get(scene.path, [_MCUBOOT])
    case, why = "sound", p.result.hash_reason
    if magic not in due and scene.path not in ("script", "da"):
        case = "other-magic"
    elif not p.image.complete:
        case, why = "cut", next(iter(p.image.problems), "it is cut short")
    elif Check.INVALID in (p.result.hash, p.result.decrypted_hash):
        case = "hash-broken"
    elif p.result.hash is Check.NOT_CHECKED and not p.wraps_key:
        case = "hash-cannot"
    said = {"magic": magic, "due": due[0], "why": why, "version": p.image.header.version}
    return row(f"image-form.{case}", p.file, "offset 0x0", **said)


def _signature(scene: Scene, p: Placed) -> Row:
    where = p.file, "KEYHASH"
    if not p.verify:
        return row(f"image-signature.{'no-key' if scene.stage.part.obk else 'in-boot-loader'}", *where)
    named = next((t.value for t in p.image.tlvs.plain if t.type == TlvType.KEYHASH), b"")
    mine = [n for n, v in enumerate(p.verify) if named in v.hashes]
    if not mine:
        return row("image-signature.other-key", *where, key=named.hex()[:16] or "none")
    if p.side is not None and p.side not in mine:
        signer, side = (("secure", "non-secure")[n] for n in (mine[0], p.side))
        return row("image-signature.other-side", *where, signer=signer, side=side)
    if p.result.signature is Check.INVALID or (p.result.signature is Check.NOT_CHECKED and not p.wraps_key):
        return row("image-signature.broken", p.file, "signature", why=p.result.signature_reason)
    return row("image-signature.fits", *where)


def _is_linked_there(p: Placed) -> bool:
    """Tell whether a clear body begins with vectors into the slot that its place stands for: then not it is exchanged."""
    at = p.image.header.header_size
    reset = canonical(int.from_bytes(image_bytes(p.item, p.image)[at + 4 : at + 8], "little") & ~1)
    homes = (
        s
        for s in p.slots
        if p.slot and s.role is Role.PRIMARY and (s.image, s.security) == (p.slot.image, p.slot.security)
    )
    return p.body_clear and any(reset in s.range for s in homes)


def _slot(scene: Scene, p: Placed) -> Row:
    where = p.file, f"0x{p.start:08X}"
    if not p.slots:
        case = "no-layout" if scene.own or scene.path == "da" else "layout-unknown"
        return row(f"image-slot.{case}", *where, at=p.start)
    if p.slot is None:
        inside = next((s for s in p.slots if p.start in s.range), None)
        near = f"inside the {inside.name} slot" if inside else "in no slot"
        starts = ", ".join(f"0x{s.range.start:08X} ({s.name})" for s in p.slots)
        return row("image-slot.none", *where, at=p.start, near=near, starts=starts)
    downloads = any(s.role is Role.SECONDARY for s in p.slots)
    encrypted = not p.body_clear and p.wraps_key and p.image.header.encrypted
    named = [n for n, v in enumerate(p.verify) if any(t.value in v.hashes for t in p.image.tlvs.plain)]
    other = len(p.verify) > 1 and named and p.side not in named and not _is_linked_there(p)
    case = (
        "encrypted" if p.slot.role is Role.PRIMARY and downloads and encrypted else "other-side" if other else "begins"
    )
    return row(f"image-slot.{case}", *where, slot=p.slot.name)


def _version(scene: Scene, p: Placed, slot: Slot, placed: tuple[Placed, ...]) -> Row:
    v = p.image.header.version
    where = p.file, f"version {v}"
    data = scene.stored_as(ObkContent.OEMIROT_DATA) or scene.stored_as(ObkContent.OEMUROT_DATA)
    if data is not None and not p.by_rom and slot.image is not None and slot.image < 4 and data.obk.versions:
        stored = data.obk.versions[2 * slot.image]
        counter = next((t.number for t in p.image.tlvs.protected if t.type == TlvType.SECURITY_COUNTER), None)
        word = v.major << 24 | v.minor << 16 | v.revision
        if stored and word < stored and (counter is None or counter < stored):
            return row("image-version.too-low", *where, version=v, file=data.file, image=slot.image, stored=stored)
    mates = {
        o.slot.image: o.image.header.version for o in reversed(placed) if o.by_rom == p.by_rom and o.slot is not None
    }
    for d in dependencies(p.image.tlvs):
        there = mates.get(d.image)
        if there is None or there < d.version:
            case = "mate-absent" if there is None else "mate-too-low"
            return row(f"image-version.{case}", *where, image=d.image, least=d.version, there=there)
    return row("image-version.fits", *where)


def _release(scene: Scene, p: Placed, slot: Slot) -> Iterator[Row]:
    if "data" in slot.name:
        return  # data images are named alike in every release
    name, where = p.download.path.name, (p.file, f"0x{p.start:08X}")
    due = Role.PRIMARY if "_init_" in name else Role.SECONDARY if "_enc_" in name else slot.role
    if due is not slot.role:
        yield row("image-release.other", *where, name=name, slot=slot.name)
    elif slot.role is Role.SECONDARY and p.body_clear and not p.wraps_key and scene.closes:
        yield row("image-release.clear", *where)


def _boot_file(scene: Scene) -> Iterator[Row]:
    boot = scene.layout.boot if scene.layout is not None else None
    if boot is None or scene.path != "oemirot":
        return
    for d in scene.downloads:
        if d.item is None or d.item.images or d.address is None or not _is_boot(scene, d):
            continue
        at, due = canonical(d.address), boot.range.start
        if at not in (due, due & ~(SECTOR - 1)):
            yield row("image-slot.boot-elsewhere", d.file, d.place, at=at, due=due)
        elif at + d.size > boot.range.stop:
            yield row("image-size.boot-too-long", d.file, d.place, size=d.size)


# -------------------------------------------------------------------------------------------------------- options
def option_rows(scene: Scene) -> Iterator[Row]:
    """Secure watermarks, hide protection, write protection and boot entry against the layout."""
    yield from _boot_ube(scene)
    layout = scene.layout
    if scene.path in ("stirot", "stirot-oemurot"):
        yield from _left_empty(scene)
    if scene.path == "stirot":
        yield from _stirot_watermark(scene)
    if scene.path not in ("oemirot", "stirot-oemurot"):
        return
    if layout is not None:
        if scene.stage.part.trustzone:
            yield _spans(scene, "options-secwm", ("SECWM1", "SECWM2"), _areas(layout, layout.secure_range))
        if scene.path == "oemirot":
            yield _spans(scene, "options-hdp", ("HDP1", "HDP2"), _areas(layout, layout.hidden_range))
            yield from _groups(scene, layout)
    elif not scene.own or scene.layout_name:
        for id_ in ("options-secwm", "options-hdp", "options-wrp"):
            yield row(f"{id_}.no-layout", scene.script, why=scene.layout_name or "no flash_layout.h")


def _left_empty(scene: Scene) -> Iterator[Row]:
    """STiROT hides and protects by itself: every release of the package leaves these options empty on its paths."""
    spans = [(n, scene.option(f"{n}_STRT"), scene.option(f"{n}_END")) for n in ("HDP1", "HDP2")]
    hidden = [
        (f"{n} is 0x{a:X} to 0x{b:X}", n + "_END") for n, a, b in spans if a is not None and b is not None and b >= a
    ]
    groups = [(n, scene.option(n)) for n in ("WRPSGn1", "WRPSGn2")]
    kept = [(f"{n} is 0x{v:X}", n) for n, v in groups if v is not None and v & (v + 1)]
    for id_, found, option in (("options-hdp", hidden, "HDP1_END"), ("options-wrp", kept, "WRPSGn1")):
        if found:
            yield row(f"{id_}.set-before-stirot", *scene.setter(found[0][1]), what=found[0][0])
        else:
            yield row(f"{id_}.left-empty", *scene.setter(option))


def _areas(layout: Layout, area: AddressRange) -> list[tuple[int, int] | None]:
    """Return first and last sector of an area in each bank, None where it does not reach."""
    parts = ((area.intersection(bank), bank.start) for bank in layout.chip.banks)
    return [((r.start - base) // SECTOR, (r.stop - 1 - base) // SECTOR) if r.size else None for r, base in parts]


def _spans(scene: Scene, id_: str, names: tuple[str, str], areas: list[tuple[int, int] | None]) -> Row:
    for name, area in zip(names, areas, strict=False):
        start, end = scene.option(f"{name}_STRT"), scene.option(f"{name}_END")
        first, last = area or (0, 0)
        case = ""
        if start is None or end is None:
            case = "untold" if area or id_ != "options-hdp" else ""
        elif area is None:
            case = "not-empty" if end >= start else ""
        elif (start, end) != area:
            case = "none" if end < start else "other"
        if case:
            said = {"name": name, "start": start, "end": end, "first": first, "last": last}
            return row(f"{id_}.{case}", *scene.setter(f"{name}_END"), **said)
    text = (f"{n} empty" if a is None else f"{n} 0x{a[0]:X} to 0x{a[1]:X}" for n, a in zip(names, areas, strict=False))
    return row(f"{id_}.as-due", *scene.setter(f"{names[0]}_END"), areas=", ".join(text))


def _groups(scene: Scene, layout: Layout) -> Iterator[Row]:
    if layout.boot is None:
        return
    group = SECTOR if not scene.stage.part.trustzone else 4 * SECTOR
    count = layout.chip.flash.bank_size // group
    all_ones = (1 << min(count, 32)) - 1
    for n, bank in enumerate(layout.chip.banks, 1):
        name, common = f"WRPSGn{n}", layout.boot.range.intersection(bank)
        value = scene.option(name)
        if value is None and count > 32:
            value = scene.option(f"WRPSG{n}1")
        if value is None:
            if common.size:
                yield row("options-wrp.untold", *scene.setter(name), name=name)
            continue
        first, last = (common.start - bank.start) // group, (common.stop - 1 - bank.start) // group
        due = all_ones & ~sum(1 << g for g in range(first, last + 1)) if common.size else all_ones
        other_part = value != due and common.size and value >> count
        right = "as-due" if common.size else "none"
        case = "other" if value & all_ones != due else "other-part" if other_part else right
        yield row(f"options-wrp.{case}", *scene.setter(name), name=name, value=value, due=due, count=count)


def _stirot_watermark(scene: Scene) -> Iterator[Row]:
    config = scene.stored_as(ObkContent.STIROT_CONFIG)
    f = config.obk.stirot if config is not None else None
    bank = (scene.layout.chip.flash.bank_size if scene.layout is not None else 0) or 0x100000
    if f is None or f.execution_offset >= bank:
        return
    size = f.area_size if f.full_secure else f.secure_size
    first, last = f.execution_offset // SECTOR, (f.execution_offset + max(size, 1) - 1) // SECTOR
    (start, end), (start_2, end_2) = ((scene.option(f"SECWM{n}_STRT"), scene.option(f"SECWM{n}_END")) for n in (1, 2))
    case, setter = "covers", "SECWM1_END"
    if start is None or end is None:
        case = "untold"
    elif (start, end) != (first, last):
        case = "too-small" if start > first or end < last else "not-as-configured"
    elif start_2 is not None and end_2 is not None and end_2 >= start_2:
        case, setter, start, end = "second-not-empty", "SECWM2_END", start_2, end_2
    said = {"name": "SECWM1", "start": start, "end": end, "first": first, "last": last}
    yield row(f"options-secwm.{case}", *scene.setter(setter), **said)


def _boot_ube(scene: Scene) -> Iterator[Row]:
    part, value = scene.stage.part, scene.option("BOOT_UBE")
    if not part.obk or (value is None and (scene.own or scene.path == "da")):
        return
    case = "fits"
    if value not in (ON, OFF):
        case = "untold" if value is None else "neither"
    elif value == ON:
        case = "stirot-never-starts" if scene.path in ("stirot", "stirot-oemurot") else "fits"
    elif part.stirot is False and part.saes is False:
        # The factory value of parts without STiROT is reported as either: only a script that sets it counts.
        if any(n == "BOOT_UBE" for s in scene.before for n, _ in s.call.options) or scene.path == "oemirot":
            case = "part-without-stirot"
    elif scene.path == "oemirot":
        case = "boots-from-flash"
    elif scene.stored_as(ObkContent.STIROT_CONFIG) is None:
        case = "not-configured"
    yield row(f"boot-ube.{case}", *scene.setter("BOOT_UBE"), value=value, part=part.name)
