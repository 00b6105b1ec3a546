"""Boot-loader images, slots and the next boot: for a person, as JSON, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from h5diag.measure.firmware import Magic, Overview, TlvType, dependencies
from h5diag.show.sheet import Section, Sheet, bullets, properties, section, sheet, table
from h5diag.show.view import View, chosen, drawing, picked
from h5diag.text import count_text

if TYPE_CHECKING:
    from h5diag.measure.firmware import ExaminedImage, JudgedImage, Link, Match, NextBoot, SlotState, StageReport


def _document(o: Overview) -> dict[str, Any]:
    return {
        **chosen(o.choice),
        "images": [_image(i) for i in o.images],
        "next_boot": [_next_boot(n) for n in (o.boot.next_boot if o.boot else ())],
        "boot_loader": _boot_choice(o),
        "slots": [_slot(s) for s in o.slots],
        "builds": [{"file": b.build.name, "matches": [_match(m) for m in b.matches]} for b in o.builds],
        "vector_tables": [_vectors(link) for link in o.links],
        **({"stage": _stage(o.stage)} if o.stage else {}),
        "remarks": list(o.remarks),
    }


def _image(judged: JudgedImage) -> dict[str, Any]:
    i = judged.examined
    v, header = i.verification, i.image.header
    return {
        "address": i.image.address,
        "slot": str(i.slot or "none"),
        "version": str(header.version),
        **picked(header, "header_size body_size encrypted flags flag_names"),
        "size": i.image.size,
        "body_looks": v.body.kind.value,
        "body_reason": v.body.why,
        "body_alternative": v.body.alternative,
        **picked(v, "hash hash_reason signature signature_reason signer decrypted_hash decrypted_reason"),
        "digest": v.digest.hex(),
        "accepted_by_imgtool": v.accepted,
        "trailer": picked(i.trailer, "magic image_ok copy_done alignment"),
        "security_counter": [
            r.number for r in i.image.tlvs.records if r.type == TlvType.SECURITY_COUNTER and r.number is not None
        ],
        "dependencies": [{"image": d.image, "version": str(d.version)} for d in dependencies(i.image.tlvs)],
        "tlvs": [
            {"type": r.type, "name": r.name, "size": len(r.value), "protected": r.protected}
            for r in i.image.tlvs.records
        ],
        "state": judged.state.value,
        "reason": judged.reason,
        "problems": list(i.image.problems),
        "remarks": list(v.remarks),
    }


def _slot(s: SlotState) -> dict[str, Any]:
    t = s.content.trailer
    return {
        "slot": s.slot.name,
        "address": s.content.address,
        "size": s.slot.range.size,
        "state": s.state.value,
        "reason": s.reason,
        "next_boot": s.next_boot.action.value,
        "next_boot_text": s.next_boot.text,
        "trailer": picked(t, "magic image_ok copy_done"),
        "open_points": list(s.open_points),
    }


def _next_boot(n: NextBoot) -> dict[str, Any]:
    return {
        "image": n.image,
        "action": n.action.value,
        "version": n.version.short if n.version else None,
        "changes_flash": n.changes_flash,
        "text": n.text,
    }


def _boot_choice(overview: Overview) -> dict[str, Any] | None:
    if not overview.boot:
        return None
    choice = overview.boot.choice
    return {
        "loader": choice.rules.loader.value,
        "mode": choice.rules.mode.value,
        "assumed": choice.assumed,
        "text": choice.text,
    }


def _match(m: Match) -> dict[str, Any]:
    return {
        "address": m.address,
        "slot": str(m.slot or "none"),
        **picked(m, "displacement size compared differing whole same_image"),
        "text": str(m),
        "differences": [
            {
                "start": d.range.start,
                "stop": d.range.stop,
                **picked(d, "build_start count section symbol offset"),
                "text": str(d),
            }
            for d in m.differences
        ],
    }


def _vectors(link: Link) -> dict[str, Any]:
    t = link.table
    return {
        **picked(t, "address stack reset world linked"),
        "slot": str(link.slot or "none"),
        "displacement": link.displacement,
        "text": link.text,
    }


def _stage(report: StageReport) -> dict[str, Any]:
    return {
        "stage": report.fits[0].stage.value,
        "agrees": report.fits[0].agrees,
        "text": report.text,
        "remarks": list(report.remarks),
        "fits": [
            {
                **picked(f, "stage agrees differing"),
                "slots": [
                    {
                        "slot": s.slot.name,
                        **picked(s, "compared differing masked first"),
                    }
                    for s in f.slots
                ],
            }
            for f in report.fits
        ],
    }


# ------------------------------------------------------------------------------------------------ for a person
def overview_headline(o: Overview) -> str:
    """Return the answer: what the next boot does, or which images there are."""
    if o.stage:
        return f"Stage: {o.stage.text}."
    if o.boot and o.boot.next_boot:
        return "Next boot: " + "; ".join(_boots(o))
    if not o.images:
        return "No boot-loader image is in it."
    found = [f"version {i.examined.image.header.version} at 0x{i.examined.image.address:08X}" for i in o.images]
    return f"{len(o.images)} boot-loader image{'s' if len(found) > 1 else ''}: {', '.join(found[:6])}."


def _boots(o: Overview) -> list[str]:
    return [f"image {n.image}: {n.text}" for n in (o.boot.next_boot if o.boot else ())]


def _sheet(o: Overview) -> Sheet:
    builds = [f"{b.build.name}: " + ("; ".join(map(str, b.matches)) or "nowhere in the dump") for b in o.builds]
    return sheet(
        overview_headline(o),
        section("", bullets(o.stage.remarks)) if o.stage else None,
        section("Next boot", bullets(_boots(o))) if o.stage else None,
        section(
            "Slots",
            table(
                "slot|address|state|why",
                (
                    (s.slot.name, f"0x{s.content.address or s.slot.range.start:08X}", s.state.value, s.reason)
                    for s in o.slots
                ),
            ),
        ),
        section("Boot loader", o.boot.choice.text) if o.boot else None,
        section("Still open", bullets(f"{s.slot}: {p}" for s in o.slots for p in s.open_points)),
        section(
            "Builds",
            bullets(builds),
            bullets(str(d) for b in o.builds for m in b.matches for d in m.differences[:20]),
        ),
        *(_image_section(i) for i in o.images),
        section(
            "Vector tables",
            table(
                "address|stack|reset|world|what it is",
                (
                    (
                        f"0x{x.table.address:08X}",
                        f"0x{x.table.stack:08X}",
                        f"0x{x.table.reset:08X}",
                        x.table.world.value,
                        x.text,
                    )
                    for x in o.links
                ),
            ),
        ),
        section("Notes", bullets(o.remarks)),
    )


def _image_section(judged: JudgedImage) -> Section | None:
    i = judged.examined
    title = f"Image at 0x{i.image.address:08X}, version {i.image.header.version}"
    title += f", slot {i.slot}: {judged.state.value}" if i.slot else ""
    return section(title, properties([("state", judged.reason), *image_properties(i)]))


def image_properties(i: ExaminedImage) -> list[tuple[str, str]]:
    """Return what is known of an image, a name and a sentence each."""
    v, header, t = i.verification, i.image.header, i.trailer
    alternative = f" (or {v.body.alternative})" if v.body.alternative else ""
    decrypted = f"{v.decrypted_hash.value}: {v.decrypted_reason}" if v.decrypted_hash.value != "not-checked" else ""
    return [
        ("header", f"{count_text(header.header_size, 'byte')}, body {count_text(header.body_size, 'byte')}"),
        ("flags", ", ".join(header.flag_names)),
        ("body", f"looks {v.body.kind.value}{alternative}: {v.body.why}"),
        ("hash", f"{v.hash.value}: {v.hash_reason}"),
        ("signature", f"{v.signature.value}: {v.signature_reason}"),
        (
            "trailer",
            f"magic {t.magic.value}, image_ok {t.image_ok.value}, copy_done {t.copy_done.value}"
            if t.magic is not Magic.UNREAD
            else "none found: where the slot ends is not known, or was not read",
        ),
        ("decrypted", decrypted),
        *(("problem", p) for p in i.image.problems),
        *(("note", r) for r in v.remarks),
    ]


def slot_properties(s: SlotState) -> list[tuple[str, str]]:
    """Return what is known of a slot, the most important first."""
    t = s.content.trailer
    out = [("state", f"{s.state.value}: {s.reason}"), ("next boot", s.next_boot.text)]
    out += [("open point", point) for point in s.open_points]
    for i in s.content.images:
        where = f"version {i.image.header.version} at 0x{i.image.address:08X}"
        out += [("image", where), *(pair for pair in image_properties(i) if pair[1])]
    trailer = f"magic {t.magic.value}, image_ok {t.image_ok.value}, copy_done {t.copy_done.value}"
    return [*out, ("slot's trailer", trailer)]


def slots_words(slots: Sequence[SlotState]) -> str:
    """Return the state of each slot, in a sentence."""
    return "; ".join(f"{s.slot.name}: {s.state.value}" for s in slots) or "no slot is known"


VIEWS = {
    Overview: View(
        _sheet,
        _document,
        drawing("slots.plot_slots", "slots", lambda o: slots_words(o.slots), lambda o: o.slots),
        "images",
    )
}
