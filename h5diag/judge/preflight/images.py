"""Checks of what is written into the flash: signed images, their slots, and the options that the script sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from h5diag.evidence.keys import ObkContent, VerifyKey
from h5diag.judge.preflight.inventory import Item, end_of_file, image_bytes
from h5diag.judge.preflight.rows import FAIL, PASS, UNKNOWN, WARN, Row, Scene, WrittenFile
from h5diag.layout import Layout, Role, Security, Slot
from h5diag.measure.firmware import BootImage, Check, TlvType, Verification, dependencies, verify_image
from h5diag.measure.firmware.image import ENCRYPTION_TYPES, HeaderMagic
from h5diag.measure.firmware.signing import unwrap_image_key
from h5diag.measure.firmware.trailer import Magic, parse_magic
from h5diag.memory import AddressRange

SECTOR = 0x2000
MCUBOOT, STIROT_CODE, STIROT_DATA = (m.value for m in HeaderMagic)
_TRAILER = 16


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
    body_clear: bool
    wraps_key: bool
    opened: bool


def canonical(address: int) -> int:
    """Return the 0x08.. address of a flash cell named by either alias."""
    return address & 0x00FFFFFF | 0x08000000 if address >> 24 in (0x08, 0x0C) else address


def _slots(scene: Scene, by_rom: bool) -> tuple[Slot, ...]:
    """Return the slots that an image can go to: of the layout, or of a STiROT configuration."""
    base = 0x08000000
    if by_rom:
        config = scene.stored_as(ObkContent.STIROT_CONFIG)
        if config is not None and config.obk.stirot is not None:
            f = config.obk.stirot
            spans = [
                ("execution area", 0, Role.PRIMARY, f.execution_offset, f.area_size),
                ("download area", 0, Role.SECONDARY, f.download_offset, f.area_size),
            ]
            if f.images == 2:
                spans.append(("data download area", 1, Role.SECONDARY, f.data_download_offset, f.data_download_size))
            return tuple(
                Slot(n, i, r, Security.SECURE, AddressRange(base + a, base + a + s)) for n, i, r, a, s in spans if s
            )
    return scene.layout.image_slots if scene.layout is not None else ()


def placed_images(scene: Scene) -> tuple[Placed, ...]:
    """Return every signed image that the script downloads, checked with the keys that the script stores."""
    out = []
    rom = scene.stored_as(ObkContent.STIROT_CONFIG)
    second = scene.stored_as(ObkContent.OEMUROT_CONFIG) or scene.stored_as(ObkContent.OEMIROT_CONFIG) or rom
    for d in scene.downloads:
        if d.item is None or not d.item.images or d.item.memory is None:
            continue
        first = d.item.memory.segments[0].start
        for image in d.item.images:
            shift = (d.address - first) if d.address is not None else 0
            start = canonical(image.address + shift)
            data = image_bytes(d.item, image)
            stirot = int.from_bytes(data[:4], "little") in (STIROT_CODE, STIROT_DATA)
            by_rom = scene.path == "stirot" or (scene.path == "stirot-oemurot" and stirot)
            slots = _slots(scene, by_rom)
            config = rom if by_rom else second
            decrypt = (config.obk.decrypt,) if config is not None and config.obk.decrypt is not None else ()
            slot = next((s for s in slots if s.range.start == start), None)
            verify = tuple(v for _, v in config.obk.verify) if config is not None else ()
            result = verify_image(image, data, verify, decrypt)
            wrapped = [t for t in image.tlvs.plain if t.type in ENCRYPTION_TYPES]
            opened = any(unwrap_image_key(t, k) for t in wrapped for k in decrypt)
            clear = result.hash is Check.VALID and result.decrypted_hash is not Check.VALID
            if not clear and result.decrypted_hash is Check.NOT_CHECKED and result.hash is Check.INVALID:
                clear = not image.header.encrypted
            out.append(
                Placed(d, d.item, image, start, slot, slots, by_rom, verify, result, clear, bool(wrapped), opened)
            )
    return tuple(out)


def image_rows(scene: Scene) -> Iterator[Row]:
    """All rows about images; those that need what is not there are unknown."""
    placed = placed_images(scene)
    wanted = [d for d in scene.downloads if not _is_boot(scene, d)]
    if wanted and not any(d.item is not None for d in wanted):
        needs = "build the application first"
        for id_ in ("image-form", "image-signature", "image-slot"):
            yield Row(id_, UNKNOWN, "no image is built yet", wanted[0].file, wanted[0].place, needs)
        return
    signed = {id(p.download) for p in placed}
    for d in wanted:
        if d.item is not None and id(d) not in signed and scene.path != "script" and scene.path != "da":
            text = f"no boot-loader image begins the file ({d.item.why or d.item.kind}): nothing is installed"
            yield Row("image-form", FAIL, text, d.file, d.place)
    for p in placed:
        yield _form(scene, p)
        yield _signature(scene, p)
        if p.wraps_key:
            yield _encryption(scene, p)
        yield _slot(scene, p)
        if p.slot is not None:
            yield _size(p)
            if p.slot.role is Role.SECONDARY:
                yield _trailer(p)
        yield from _version(scene, p, placed)
        yield from _release(scene, p)
    yield from _boot_file(scene)


def _is_boot(scene: Scene, d: WrittenFile) -> bool:
    if "boot" in d.path.name.lower() and "appli" not in d.path.name.lower():
        return True
    if d.address is None or scene.layout is None:
        return False
    boot = next((s for s in scene.layout.slots if s.role is Role.BOOT), None)
    return boot is not None and boot.range.start <= canonical(d.address) < boot.range.stop


def _form(scene: Scene, p: Placed) -> Row:
    magic = int.from_bytes(image_bytes(p.item, p.image)[:4], "little")
    stirot = (STIROT_CODE, STIROT_DATA)
    due: tuple[int, ...] = {"stirot": stirot, "stirot-oemurot": (MCUBOOT, *stirot)}.get(scene.path, (MCUBOOT,))
    where = p.download.file, "offset 0x0"
    if magic not in due and scene.path not in ("script", "da"):
        return Row("image-form", FAIL, f"the magic is 0x{magic:08X}, 0x{due[0]:08X} is due: not installed", *where)
    if not p.image.complete:
        why = p.image.problems[0] if p.image.problems else "it is cut short"
        return Row("image-form", FAIL, f"{why}: not installed", *where)
    if p.result.hash is Check.INVALID or p.result.decrypted_hash is Check.INVALID:
        return Row("image-form", FAIL, f"its hash does not hold ({p.result.hash_reason}): refused", *where)
    if p.result.hash is Check.NOT_CHECKED and not p.wraps_key:
        return Row("image-form", FAIL, f"its hash cannot hold: {p.result.hash_reason}", *where)
    return Row("image-form", PASS, f"version {p.image.header.version}, header, records and hash are sound", *where)


def _side(scene: Scene, p: Placed) -> int | None:
    """Return which of the object's keys checks this slot: 0 the only or the secure one, 1 the non-secure one."""
    if p.slot is None or len(p.verify) < 2:
        return 0 if p.slot is not None else None
    return 1 if p.slot.security is Security.NONSECURE else 0


def _signature(scene: Scene, p: Placed) -> Row:
    where = p.download.file, "KEYHASH"
    if not p.verify:
        if not scene.stage.part.obk:
            return Row("image-signature", PASS, "the key stands in the boot loader of this part, not in a file", *where)
        needs = "give the configuration object with the authentication keys"
        return Row("image-signature", UNKNOWN, "no key is stored that could check it", *where, needs)
    named = next((t.value for t in p.image.tlvs.plain if t.type == TlvType.KEYHASH), b"")
    side = _side(scene, p)
    mine = [n for n, v in enumerate(p.verify) if named in v.hashes]
    if not mine:
        text = f"it names key {named.hex()[:16] or 'none'}, which is none of those stored: refused"
        return Row("image-signature", FAIL, text, *where)
    if side is not None and side not in mine:
        other = ("secure", "non-secure")
        text = f"it is signed with the {other[mine[0]]} key and goes to the {other[side]} side: refused"
        return Row("image-signature", FAIL, text, *where)
    if p.result.signature is Check.INVALID:
        return Row("image-signature", FAIL, f"{p.result.signature_reason}: refused", p.download.file, "signature")
    if p.result.signature is Check.NOT_CHECKED and not p.wraps_key:
        return Row("image-signature", FAIL, f"{p.result.signature_reason}: refused", p.download.file, "signature")
    return Row("image-signature", PASS, "signed with the key that is stored for this side", *where)


def _encryption(scene: Scene, p: Placed) -> Row:
    where = p.download.file, "record ENC"
    if p.opened:
        return Row("image-encryption", PASS, "the stored private key unwraps its key", *where)
    if not any(s.obk.decrypt for s in scene.stored):
        needs = "give the configuration object with the encryption key"
        return Row("image-encryption", UNKNOWN, "no private key is stored that could open it", *where, needs)
    return Row("image-encryption", FAIL, "the stored private key does not unwrap its key: refused", *where)


def _slot(scene: Scene, p: Placed) -> Row:
    at = f"0x{p.start:08X}"
    where = p.download.file, at
    slots = p.slots
    if not slots:
        if scene.own or scene.path == "da":
            return Row("image-slot", PASS, "no layout is part of this path", *where)
        needs = "give the boot loader's flash_layout.h"
        return Row("image-slot", UNKNOWN, f"it goes to {at}; no layout tells the slots", *where, needs)
    if p.slot is None:
        inside = next((s for s in slots if s.range.start <= p.start < s.range.stop), None)
        near = f"inside the {inside.name} slot" if inside else "in no slot"
        starts = ", ".join(f"0x{s.range.start:08X} ({s.name})" for s in slots)
        return Row("image-slot", FAIL, f"{at} lies {near}; slots begin at {starts}: nothing is found", *where)
    downloads = any(s.role is Role.SECONDARY for s in slots)
    if p.slot.role is Role.PRIMARY and downloads and not p.body_clear and p.wraps_key and p.image.header.encrypted:
        text = f"its body is encrypted and it goes to the {p.slot.name} slot: it belongs to the download slot"
        return Row("image-slot", FAIL, text, *where)
    named = [n for n, v in enumerate(p.verify) if any(t.value in v.hashes for t in p.image.tlvs.plain)]
    side = _side(scene, p)
    if len(p.verify) > 1 and named and side is not None and side not in named:
        return Row("image-slot", FAIL, f"the {p.slot.name} slot is the other side's: nothing is found", *where)
    return Row("image-slot", PASS, f"the {p.slot.name} slot begins there", *where)


def _size(p: Placed) -> Row:
    assert p.slot is not None
    where = p.download.file, f"0x{p.start:08X}"
    trailer = _TRAILER if p.slot.role is Role.SECONDARY else 0
    length = max(p.image.size + trailer, _run(p))
    if length > p.slot.range.size:
        text = f"0x{length:X} bytes and the slot has 0x{p.slot.range.size:X}: the next slot is overwritten"
        return Row("image-size", FAIL, text, *where)
    return Row("image-size", PASS, f"0x{length:X} of 0x{p.slot.range.size:X} bytes", *where)


def _run(p: Placed) -> int:
    """Return how far the file reaches from the image's start, up to the next image in the same file."""
    assert p.item.memory is not None
    later = [i.address for i in p.item.images if i.address > p.image.address]
    stop = max((s.stop for s in p.item.memory.segments), default=0)
    return (min(later) if later else stop) - p.image.address


def _trailer(p: Placed) -> Row:
    assert p.slot is not None
    assert p.item.memory is not None
    where = p.download.file, f"0x{p.slot.range.stop - _TRAILER:08X}"
    tail = end_of_file(p.item) if _run(p) == p.slot.range.size else b""
    magic = parse_magic(tail)[0]
    if magic is Magic.CLASSIC:
        return Row("image-trailer", PASS, "the magic stands at the end of the slot", *where)
    if magic is Magic.ALIGNED:
        text = "the magic is the one for an alignment of 16, which ST's boot loader does not know: pending for ever"
        return Row("image-trailer", FAIL, text, *where)
    return Row(
        "image-trailer", FAIL, "no magic stands at the end of the slot: pending for ever (sign with --pad)", *where
    )


def _version(scene: Scene, p: Placed, placed: tuple[Placed, ...]) -> Iterator[Row]:
    where = p.download.file, f"version {p.image.header.version}"
    if p.slot is None:
        return
    data = scene.stored_as(ObkContent.OEMIROT_DATA) or scene.stored_as(ObkContent.OEMUROT_DATA)
    v = p.image.header.version
    word = v.major << 24 | v.minor << 16 | v.revision
    if data is not None and not p.by_rom and p.slot.image is not None and p.slot.image < 4 and data.obk.versions:
        stored = data.obk.versions[2 * p.slot.image]
        counter = next((t.number for t in p.image.tlvs.protected if t.type == TlvType.SECURITY_COUNTER), None)
        if stored and word < stored and (counter is None or counter < stored):
            text = f"{v} is below what {data.file} stores for image {p.slot.image} (0x{stored:08X}): refused"
            yield Row("image-version", FAIL, text, *where)
            return
    for d in dependencies(p.image.tlvs):
        mates = (o for o in placed if o.by_rom == p.by_rom and o.slot is not None)
        other = next((o for o in mates if o.slot is not None and o.slot.image == d.image), None)
        if other is None:
            text = f"it asks for image {d.image} of at least {d.version}, and no such image is downloaded: refused"
            yield Row("image-version", FAIL, text, *where)
            return
        o = other.image.header.version
        if (o.major, o.minor, o.revision, o.build) < (
            d.version.major,
            d.version.minor,
            d.version.revision,
            d.version.build,
        ):
            text = f"it asks for image {d.image} of at least {d.version}, which is {o}: refused"
            yield Row("image-version", FAIL, text, *where)
            return
    yield Row("image-version", PASS, "no stored version or dependency stands against it", *where)


def _release(scene: Scene, p: Placed) -> Iterator[Row]:
    if p.slot is None or "data" in p.slot.name:
        return  # data images are named alike in every release
    name = p.download.path.name
    download = "_enc_" in name and "_init_" not in name
    if (download and p.slot.role is Role.PRIMARY) or ("_init_" in name and p.slot.role is Role.SECONDARY):
        text = f"{name} goes to the {p.slot.name} slot: the names are those of another release of the package"
        yield Row("image-release", WARN, text, p.download.file, f"0x{p.start:08X}")
    elif p.slot.role is Role.SECONDARY and p.body_clear and not p.wraps_key and scene.closes:
        text = "it is not encrypted, although the path stores an encryption key: clear firmware in a product"
        yield Row("image-release", WARN, text, p.download.file, f"0x{p.start:08X}")


def _boot_file(scene: Scene) -> Iterator[Row]:
    layout = scene.layout
    boot = next((s for s in layout.slots if s.role is Role.BOOT), None) if layout is not None else None
    if boot is None or scene.path not in ("oemirot",):
        return
    for d in scene.downloads:
        if d.item is None or d.item.images or d.address is None or not _is_boot(scene, d):
            continue
        at = canonical(d.address)
        where = d.file, d.place
        if at not in (boot.range.start, boot.range.start & ~(SECTOR - 1)):
            text = f"the boot loader goes to 0x{at:08X}, the layout begins it at 0x{boot.range.start:08X}"
            yield Row("image-slot", FAIL, text, *where)
        elif at + d.size > boot.range.stop:
            text = f"the boot loader has 0x{d.size:X} bytes and reaches beyond its area: it overwrites the first slot"
            yield Row("image-size", FAIL, text, *where)


# -------------------------------------------------------------------------------------------------------- options
def option_rows(scene: Scene) -> Iterator[Row]:
    """Secure watermarks, hide protection, write protection and boot entry against the layout."""
    yield from _boot_ube(scene)
    if scene.path in ("stirot", "stirot-oemurot"):
        yield from _left_empty(scene)
    if scene.path == "stirot":
        yield from _stirot_watermark(scene)
        return
    if scene.path not in ("oemirot", "stirot-oemurot"):
        return
    layout = scene.layout
    if layout is None and scene.own and not scene.layout_name:
        return
    if layout is None:
        needs = "give the boot loader's flash_layout.h"
        for id_ in ("options-secwm", "options-hdp", "options-wrp"):
            text = f"no layout tells the areas ({scene.layout_name or 'no flash_layout.h'})"
            yield Row(id_, UNKNOWN, text, scene.project.name(scene.walk.script), "", needs)
        return
    banks = layout.chip.banks
    if scene.stage.part.trustzone:
        yield _spans(scene, "options-secwm", ("SECWM1", "SECWM2"), _areas(layout.secure_range, banks))
    if scene.path == "oemirot":
        hidden = layout.hidden_range
        yield _spans(scene, "options-hdp", ("HDP1", "HDP2"), _areas(hidden, banks))
        yield from _groups(scene, layout)


def _left_empty(scene: Scene) -> Iterator[Row]:
    """STiROT hides and protects by itself: every release of the package leaves these options empty on its paths."""
    spans = [(n, scene.option(f"{n}_STRT"), scene.option(f"{n}_END")) for n in ("HDP1", "HDP2")]
    hidden = [
        (f"{n} is 0x{a:X} to 0x{b:X}", n + "_END") for n, a, b in spans if a is not None and b is not None and b >= a
    ]
    groups = [(n, scene.option(n)) for n in ("WRPSGn1", "WRPSGn2")]
    kept = [(f"{n} is 0x{v:X}", n) for n, v in groups if v is not None and v & (v + 1)]
    for id_, found in (("options-hdp", hidden), ("options-wrp", kept)):
        if found:
            text = f"{found[0][0]}, and no release sets one before STiROT: what it makes of it is not known"
            needs = "leave it empty, or try it on a spare board that is not closed"
            yield Row(id_, UNKNOWN, text, *scene.setter(found[0][1]), needs)
        else:
            yield Row(
                id_,
                PASS,
                "left empty, as STiROT's path has it",
                *scene.setter("HDP1_END" if "hdp" in id_ else "WRPSGn1"),
            )


def _areas(area: AddressRange, banks: tuple[AddressRange, ...]) -> list[tuple[int, int] | None]:
    """Return first and last sector of an area in each bank, None where it does not reach."""
    out: list[tuple[int, int] | None] = []
    for bank in banks:
        common = area.intersection(bank)
        if not common.size:
            out.append(None)
        else:
            out.append(((common.start - bank.start) // SECTOR, (common.stop - 1 - bank.start) // SECTOR))
    return out


def _spans(scene: Scene, id_: str, names: tuple[str, str], areas: list[tuple[int, int] | None]) -> Row:
    hint = "the boot loader stops at it" if id_ == "options-secwm" else "the boot loader stops, or stays readable"
    for name, area in zip(names, areas, strict=False):
        start, end = scene.option(f"{name}_STRT"), scene.option(f"{name}_END")
        where = scene.setter(f"{name}_END")
        if start is None or end is None:
            if area is None and id_ == "options-hdp":
                continue
            needs = "give a listing of the board with --options"
            return Row(id_, UNKNOWN, f"neither script nor listing tells {name}", *where, needs)
        if area is None:
            if end >= start:
                return Row(id_, FAIL, f"{name} is 0x{start:X} to 0x{end:X} and must be empty: {hint}", *where)
        elif (start, end) != area:
            due = f"0x{area[0]:X} to 0x{area[1]:X}"
            empty = ", which is no area at all" if end < start else ""
            text = f"{name} is 0x{start:X} to 0x{end:X}{empty}; the layout makes it {due}: {hint}"
            return Row(id_, FAIL, text, *where)
    text = "as the layout has it: " + ", ".join(
        f"{n} {'empty' if a is None else f'0x{a[0]:X} to 0x{a[1]:X}'}" for n, a in zip(names, areas, strict=False)
    )
    return Row(id_, PASS, text, *scene.setter(f"{names[0]}_END"))


def _groups(scene: Scene, layout: Layout) -> Iterator[Row]:
    boot = next((s for s in layout.slots if s.role is Role.BOOT), None)
    if boot is None:
        return
    flash = layout.chip.flash
    group = SECTOR if not scene.stage.part.trustzone else 4 * SECTOR
    count = flash.bank_size // group
    for n, bank in enumerate(layout.chip.banks, 1):
        name = f"WRPSGn{n}"
        value = scene.option(name)
        if value is None and count > 32:
            value = scene.option(f"WRPSG{n}1")
        common = boot.range.intersection(bank)
        first = (common.start - bank.start) // group if common.size else 0
        last = (common.stop - 1 - bank.start) // group if common.size else -1
        all_ones = (1 << min(count, 32)) - 1
        due = all_ones & ~sum(1 << g for g in range(first, last + 1))
        where = scene.setter(name)
        if value is None:
            if common.size:
                needs = "give a listing of the board with --options"
                yield Row("options-wrp", UNKNOWN, f"neither script nor listing tells {name}", *where, needs)
            continue
        if value & all_ones == due and (value == due or not common.size or value >> count == 0):
            text = f"{name} is 0x{value:X}: " + ("the boot loader's groups and no other" if common.size else "none")
            yield Row("options-wrp", PASS, text, *where)
        elif value & all_ones == due:
            text = f"{name} is 0x{value:X} and this part has {count} groups (0x{due:X}): a value of another part"
            yield Row("options-wrp", FAIL, text, *where)
        else:
            text = f"{name} is 0x{value:X}, 0x{due:X} is due: the boot loader stops, or a slot cannot be written"
            yield Row("options-wrp", FAIL, text, *where)


def _stirot_watermark(scene: Scene) -> Iterator[Row]:
    config = scene.stored_as(ObkContent.STIROT_CONFIG)
    if config is None or config.obk.stirot is None:
        return
    f = config.obk.stirot
    size = f.area_size if f.full_secure else f.secure_size
    bank = (scene.layout.chip.flash.bank_size if scene.layout is not None else 0) or 0x100000
    first = f.execution_offset // SECTOR
    last = (f.execution_offset + max(size, 1) - 1) // SECTOR
    start, end = scene.option("SECWM1_STRT"), scene.option("SECWM1_END")
    where = scene.setter("SECWM1_END")
    if f.execution_offset >= bank:
        return
    if start is None or end is None:
        needs = "give a listing of the board with --options"
        yield Row("options-secwm", UNKNOWN, "neither script nor listing tells SECWM1", *where, needs)
        return
    second = (scene.option("SECWM2_STRT"), scene.option("SECWM2_END"))
    if start > first or end < last:
        text = f"SECWM1 is 0x{start:X} to 0x{end:X} and must cover 0x{first:X} to 0x{last:X}, the secure part"
        yield Row("options-secwm", FAIL, text, *where)
    elif (start, end) != (first, last):
        text = f"SECWM1 is 0x{start:X} to 0x{end:X}; the configuration makes it 0x{first:X} to 0x{last:X}"
        yield Row("options-secwm", FAIL, text, *where)
    elif second[0] is not None and second[1] is not None and second[1] >= second[0]:
        text = f"SECWM2 is 0x{second[0]:X} to 0x{second[1]:X} and must be empty"
        yield Row("options-secwm", FAIL, text, *scene.setter("SECWM2_END"))
    else:
        yield Row("options-secwm", PASS, f"SECWM1 covers the secure part, 0x{first:X} to 0x{last:X}", *where)


def _boot_ube(scene: Scene) -> Iterator[Row]:
    if not scene.stage.part.obk:
        return
    value = scene.option("BOOT_UBE")
    where = scene.setter("BOOT_UBE")
    stirot = scene.path in ("stirot", "stirot-oemurot")
    if value is None:
        if scene.own or scene.path == "da":
            return
        needs = "give a listing of the board with --options"
        yield Row("boot-ube", UNKNOWN, "neither script nor listing tells BOOT_UBE", *where, needs)
        return
    if value == 0xC3:
        if scene.stage.part.stirot is False and scene.stage.part.saes is False:
            # The factory value of parts without STiROT is reported as either: only a script that sets it counts.
            if any(n == "BOOT_UBE" for s in scene.before for n, _ in s.call.options) or scene.path == "oemirot":
                text = f"BOOT_UBE selects STiROT (0xC3), which {scene.stage.part.name} does not have"
                yield Row("boot-ube", FAIL, f"{text}: dead when closed", *where)
                return
        elif scene.path == "oemirot":
            yield Row("boot-ube", FAIL, "BOOT_UBE selects STiROT (0xC3) on a path that boots from flash", *where)
            return
        elif scene.stored_as(ObkContent.STIROT_CONFIG) is None:
            text = "BOOT_UBE selects STiROT (0xC3) and no STiROT configuration is stored: dead when closed"
            yield Row("boot-ube", FAIL, text, *where)
            return
    elif stirot and value == 0xB4:
        yield Row("boot-ube", FAIL, "BOOT_UBE is 0xB4: STiROT never starts", *where)
        return
    elif value != 0xB4:
        yield Row("boot-ube", FAIL, f"0x{value:X} is neither 0xB4 (flash) nor 0xC3 (STiROT)", *where)
        return
    yield Row("boot-ube", PASS, f"BOOT_UBE is 0x{value:X}, as this path needs it", *where)
