"""``h5diag image``: boot-loader images in a file or dump."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from h5diag.app.cli.command import Command, Result, number

if TYPE_CHECKING:
    from h5diag.layout import Layout
    from h5diag.measure.firmware import ElfMap, JudgedImage, Link, Match, NextBoot, Overview, SlotState, StageReport
    from h5diag.memory import MemoryImage


BOOT_MODES = ("overwrite", "swap-scratch", "swap-move", "swap-offset", "direct-xip", "direct-xip-revert", "ram-load")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a dump or an image: .bin, .hex, .srec, .elf, .uf2")
    parser.add_argument("--layout", metavar="L", help="preset name or flash_layout.h: names the slots and their state")
    parser.add_argument(
        "--verify-key", metavar="PEM", action="append", default=[], help="public key that may have signed; repeatable"
    )
    parser.add_argument(
        "--decrypt-key",
        metavar="PEM",
        action="append",
        default=[],
        help="private key for encrypted bodies, read and never shown; repeatable",
    )
    parser.add_argument("--base", metavar="ADDRESS", type=number, help="address of the first byte of a .bin")
    parser.add_argument("--chip", metavar="C", default="", help="chip file or family word (default: the layout's)")
    parser.add_argument(
        "--loader",
        choices=("st", "upstream"),
        help="whose MCUboot the board runs (default: as layout, strings or trailer magic tell)",
    )
    parser.add_argument(
        "--boot-mode",
        metavar="M",
        choices=BOOT_MODES,
        help=f"how it installs: {', '.join(BOOT_MODES)} (default: the layout's)",
    )
    parser.add_argument(
        "--build",
        metavar="FILE",
        action="append",
        default=[],
        help="hex, bin or ELF that should be in there: where it is, how it differs; repeatable",
    )
    parser.add_argument(
        "--build-base",
        metavar="ADDRESS",
        type=number,
        help="address of the first byte of a .bin given with --build, --flashed or --update",
    )
    parser.add_argument(
        "--flashed",
        metavar="FILE",
        action="append",
        default=[],
        help="file that was programmed: says at which stage the board is (needs --layout); repeatable",
    )
    parser.add_argument("--boot", metavar="FILE", help="the boot loader's binary, for --flashed")
    parser.add_argument(
        "--update",
        metavar="FILE",
        action="append",
        default=[],
        help="download image written later, for --flashed; repeatable",
    )
    parser.add_argument("--package", metavar="X.Y.Z", default="", help="version of the firmware package, for --flashed")


def _run(options: Namespace) -> Result:
    from h5diag.app.front import subject_of
    from h5diag.errors import InputError
    from h5diag.evidence.files import read_image
    from h5diag.layout import Loader, Mode
    from h5diag.measure.firmware import (
        Build,
        examine_firmware,
        load_decrypt_key,
        load_verify_key,
        recognise_stage,
    )

    if options.flashed and not options.layout:
        raise InputError("--flashed needs to know the slots", advice="add --layout (oemirot-2m-overwrite, ...)")
    memory = read_image(options.file, base=options.base)
    chosen = subject_of(options.chip, options.layout, (memory,))
    known, layout = chosen.chip, chosen.layout
    verify_keys = [load_verify_key(k) for k in options.verify_key]
    decrypt_keys = [load_decrypt_key(k) for k in options.decrypt_key]
    remarks = list(memory.origin.remarks)
    if layout and options.base is None and _is_one_image(memory):
        layout = None
        remarks.append("the file is one image and its address was assumed: give --base to place it in the layout")
    if chosen.choice.assumed:
        remarks.append(chosen.choice.text)
    loader = Loader(options.loader) if options.loader else None
    mode = Mode(options.boot_mode) if options.boot_mode else None
    overview = examine_firmware(
        memory,
        known,
        layout=layout,
        loader=loader,
        mode=mode,
        verify_keys=verify_keys,
        decrypt_keys=decrypt_keys,
        builds=[Build(b, read_image(b, base=options.build_base), _names(b)) for b in options.build],
    )
    stages: tuple[StageReport, ...] = ()
    if layout and options.flashed:
        boot = read_image(options.boot, base=_boot_start(layout)) if options.boot else None
        stages = (
            recognise_stage(
                memory,
                layout,
                [read_image(f, base=options.build_base) for f in options.flashed],
                boot=boot,
                updates=[read_image(f, base=options.build_base) for f in options.update],
                decrypt_keys=decrypt_keys,
                loader=overview.boot.choice.rules.loader if overview.boot else Loader.ST,
                package=options.package,
            ),
        )
    document: dict[str, object] = {
        **chosen.choice.to_dict(),
        "images": [_image(i) for i in overview.images],
        "next_boot": [_next_boot(n) for n in (overview.boot.next_boot if overview.boot else ())],
        "boot_loader": _boot_choice(overview),
        "slots": [_slot(s) for s in overview.slots],
        "builds": [{"file": b.build.name, "matches": [_match(m) for m in b.matches]} for b in overview.builds],
        "vector_tables": [_vectors(link) for link in overview.links],
        "remarks": remarks,
    }
    if stages:
        document["stage"] = _stage(stages[0])
    return Result(document, _text(options.file, overview, stages, remarks))


def _is_one_image(memory: MemoryImage) -> bool:
    """Tell whether a binary without an address of its own begins with an image: it is no dump then."""
    from h5diag.measure.firmware import find_images

    assumed = memory.origin.kind == "bin" and any("assumed" in r for r in memory.origin.remarks)
    return assumed and bool(memory.size) and any(i.address == memory.span.start for i in find_images(memory))


def _names(path: str) -> ElfMap | None:
    from h5diag.evidence.files import Kind, tell_kind
    from h5diag.measure.firmware import read_elf_map

    return read_elf_map(path) if tell_kind(Path(path)) is Kind.ELF else None


def _image(judged: JudgedImage) -> dict[str, object]:
    from h5diag.measure.firmware import TlvType, dependencies

    i = judged.examined
    v, header = i.verification, i.image.header
    return {
        "address": i.image.address,
        "slot": str(i.slot or "none"),
        "version": str(header.version),
        "header_size": header.header_size,
        "body_size": header.body_size,
        "encrypted": header.encrypted,
        "flags": header.flags,
        "flag_names": list(header.flag_names),
        "size": i.image.size,
        "body_looks": v.body.kind.value,
        "body_reason": v.body.why,
        "body_alternative": v.body.alternative,
        "hash": v.hash.value,
        "hash_reason": v.hash_reason,
        "signature": v.signature.value,
        "signature_reason": v.signature_reason,
        "signer": v.signer,
        "decrypted_hash": v.decrypted_hash.value,
        "decrypted_reason": v.decrypted_reason,
        "digest": v.digest.hex(),
        "accepted_by_imgtool": v.accepted,
        "trailer": {
            "magic": i.trailer.magic.value,
            "image_ok": i.trailer.image_ok.value,
            "copy_done": i.trailer.copy_done.value,
            "alignment": i.trailer.alignment,
        },
        "security_counter": [r.number for r in i.image.tlvs.records if r.type == TlvType.SECURITY_COUNTER],
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


def _slot(s: SlotState) -> dict[str, object]:
    t = s.content.trailer
    return {
        "slot": s.slot.name,
        "address": s.content.address,
        "size": s.slot.range.size,
        "state": s.state.value,
        "reason": s.reason,
        "next_boot": s.next_boot.action.value,
        "next_boot_text": s.next_boot.text,
        "trailer": {"magic": t.magic.value, "image_ok": t.image_ok.value, "copy_done": t.copy_done.value},
        "open_points": list(s.open_points),
    }


def _next_boot(n: NextBoot) -> dict[str, object]:
    return {
        "image": n.image,
        "action": n.action.value,
        "version": n.version.short if n.version else None,
        "changes_flash": n.changes_flash,
        "text": n.text,
    }


def _boot_choice(overview: Overview) -> dict[str, object] | None:
    if not overview.boot:
        return None
    choice = overview.boot.choice
    return {
        "loader": choice.rules.loader.value,
        "mode": choice.rules.mode.value,
        "assumed": choice.assumed,
        "text": choice.text,
    }


def _boot_start(layout: Layout) -> int:
    slot = layout.slot("boot")
    return slot.range.start if slot else layout.chip.flash.base


def _match(m: Match) -> dict[str, object]:
    return {
        "address": m.address,
        "slot": str(m.slot or "none"),
        "displacement": m.displacement,
        "size": m.size,
        "compared": m.compared,
        "differing": m.differing,
        "whole": m.whole,
        "same_image": m.same_image,
        "text": str(m),
        "differences": [
            {
                "start": d.range.start,
                "stop": d.range.stop,
                "build_start": d.build_start,
                "count": d.count,
                "section": d.section,
                "symbol": d.symbol,
                "offset": d.offset,
                "text": str(d),
            }
            for d in m.differences
        ],
    }


def _vectors(link: Link) -> dict[str, object]:
    t = link.table
    return {
        "address": t.address,
        "stack": t.stack,
        "reset": t.reset,
        "world": t.world.value,
        "linked": t.linked,
        "slot": str(link.slot or "none"),
        "displacement": link.displacement,
        "text": link.text,
    }


def _stage(report: StageReport) -> dict[str, object]:
    return {
        "stage": report.fits[0].stage.value,
        "agrees": report.fits[0].agrees,
        "text": report.text,
        "remarks": list(report.remarks),
        "fits": [
            {
                "stage": f.stage.value,
                "agrees": f.agrees,
                "differing": f.differing,
                "slots": [
                    {
                        "slot": s.slot.name,
                        "compared": s.compared,
                        "differing": s.differing,
                        "masked": s.masked,
                        "first": s.first,
                    }
                    for s in f.slots
                ],
            }
            for f in report.fits
        ],
    }


def _text(file: str, overview: Overview, stages: Sequence[StageReport], remarks: Sequence[str]) -> str:
    lines, states = [], overview.slots
    for report in stages:
        lines += [f"Stage: {report.text}.", *(f"  note: {r}" for r in report.remarks)]
    wide = max((len(s.slot.name) for s in states), default=0)
    for s in states:
        at = s.content.address or s.slot.range.start
        lines.append(f"{s.slot.name:{wide}}  0x{at:08X}  {s.state.value:<15}  {s.reason}")
    if overview.boot:
        lines += [f"next boot, image {n.image}: {n.text}" for n in overview.boot.next_boot]
        lines.append(f"boot loader: {overview.boot.choice.text}")
    lines += [f"open point, {s.slot}: {p}" for s in states for p in s.open_points]
    for b in overview.builds:
        lines.append(f"build {b.build.name}: " + ("; ".join(map(str, b.matches)) or "nowhere in the dump"))
        lines += [f"    {d}" for m in b.matches for d in m.differences[:20]]
    if not overview.images:
        lines.append(f"No boot-loader image in {file}.")
    for judged in overview.images:
        lines += _image_lines(judged)
    for link in overview.links:
        t = link.table
        lines.append(
            f"vector table at 0x{t.address:08X}: stack 0x{t.stack:08X}, reset 0x{t.reset:08X}"
            f" ({t.world.value}); {link.text}"
        )
    return "\n".join(lines + [f"note: {r}" for r in remarks])


def _image_lines(judged: JudgedImage) -> list[str]:
    i = judged.examined
    v, header, t = i.verification, i.image.header, i.trailer
    flags = f", flags {' '.join(header.flag_names)}" if header.flags else ""
    alternative = f" (or {v.body.alternative})" if v.body.alternative else ""
    lines = [
        f"image at 0x{i.image.address:08X}, version {header.version}, slot {i.slot or 'none'}: {judged.state.value}",
        f"    state      {judged.reason}",
        f"    header     {header.header_size} bytes, body {header.body_size} bytes{flags}",
        f"    body       looks {v.body.kind.value}{alternative}: {v.body.why}",
        f"    hash       {v.hash.value}: {v.hash_reason}",
        f"    signature  {v.signature.value}: {v.signature_reason}",
        f"    trailer    magic {t.magic.value}, image_ok {t.image_ok.value}, copy_done {t.copy_done.value}",
    ]
    if v.decrypted_hash.value != "not-checked":
        lines.append(f"    decrypted  {v.decrypted_hash.value}: {v.decrypted_reason}")
    return lines + [f"    problem    {p}" for p in i.image.problems] + [f"    note       {r}" for r in v.remarks]


COMMANDS = (
    Command(
        "image",
        "boot-loader images in a file or dump: genuine, and installed?",
        _arguments,
        _run,
        examples=("h5diag image dump.hex --layout oemirot-2m-overwrite --verify-key sign-pub.pem",),
    ),
)
