"""Evidence into measurements: each is made once here and handed to the checks, which only read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np

from h5diag.case.case import Board, Case, Dump, KnownImage
from h5diag.chip import DEFAULT_CHIP, Chip, chip_names, load_chip
from h5diag.errors import InputError
from h5diag.evidence.texts import Log, RawRegister, parse_listing, parse_log, parse_registers
from h5diag.judge.facts import BoardFacts, KnownFact, LoaderFacts, Measured
from h5diag.layout import Layout, load_layout
from h5diag.measure.compare import Comparison, compare
from h5diag.measure.firmware import (
    NO_ELF,
    ExaminedImage,
    Match,
    SlotState,
    StageReport,
    compare_build,
    examine_images,
    load_decrypt_key,
    load_verify_key,
    read_elf_map,
    recognise_stage,
    slot_states,
)
from h5diag.measure.loader.elf import read_loader
from h5diag.measure.loader.signs import Answer, LoaderSign, loader_bypassed, loader_mislinked
from h5diag.measure.loader.vb3 import parse_log as parse_loader_log
from h5diag.measure.locate import Placement, locate
from h5diag.measure.options import OptionBytes, Unknown, decode_listing, decode_registers
from h5diag.measure.repeats import compare_reads
from h5diag.memory import Access, AddressRange, Cancel, MemoryImage, Progress, merged, subtracted

NO_COMPARISON = Comparison((), (), True)


def choose_chip(case: Case, logs: Sequence[Log]) -> tuple[Chip, bool]:
    """Return the chip of the case, and whether it is a mere assumption.

    Taken from ``case.toml``, else from a banner's DEV_ID and flash size, a board's identity, or a dump's sidecar.
    """
    if case.chip:
        try:
            return load_chip(case.chip), False
        except InputError as error:
            raise error.at(str(case.folder / "case.toml")) from None
    boards = (*case.suspects, case.good)
    told = [(log.banner.dev_id, log.banner.flash_kib) for log in logs]
    told += [(b.identity.dev_id, b.identity.flash_kib) for b in boards if b.identity.given]
    for dev_id, flash_kib in told:
        for name in (DEFAULT_CHIP, *chip_names()):
            chip = load_chip(name)
            if dev_id == chip.identity.dev_id and chip.flash.size == flash_kib * 1024:
                return chip, False
    for dump in (d for b in boards for d in b.dumps):
        if dump.image.origin.chip in chip_names():
            return load_chip(dump.image.origin.chip), False
    return load_chip(), True


def measure(case: Case, *, progress: Progress | None = None, cancel: Cancel | None = None) -> tuple[Measured, ...]:
    """Return the measurements of each suspect of the case, in its order."""
    logs = {id(b): parse_log("\n".join((b.log.text, b.options.text))) for b in (*case.suspects, case.good)}
    chip, assumed = choose_chip(case, [logs[id(b)] for b in (*case.suspects, case.good)])
    layouts = (_layout(case, chip, assumed),) if case.layout else ()
    if layouts and assumed:
        chip = layouts[0].chip
    provisioning = tuple(parse_log(t.text) for t in case.provisioning)
    good = _board(case.good, case, chip, layouts, logs[id(case.good)])
    out = []
    for number, board in enumerate(case.suspects):
        step = _part(progress, number, len(case.suspects)) if progress else None
        suspect = _board(board, case, chip, layouts, logs[id(board)])
        out.append(_against(case, chip, assumed, layouts, good, suspect, provisioning, step, cancel))
    return tuple(out)


def _layout(case: Case, chip: Chip, assumed: bool) -> Layout:
    try:
        return load_layout(case.layout, chip if not assumed else None)
    except InputError as error:
        at = ", ".join(part for part in (error.source, error.place) if part)
        told = f"layout {at}: {error.problem}" if at else error.problem
        raise InputError(told, source=str(case.folder / "case.toml"), advice=error.advice) from None


def _part(progress: Progress, number: int, count: int) -> Progress:
    return lambda fraction: progress((number + fraction) / count)


def _against(
    case: Case,
    chip: Chip,
    assumed: bool,
    layouts: tuple[Layout, ...],
    good: BoardFacts,
    suspect: BoardFacts,
    provisioning: tuple[Log, ...],
    progress: Progress | None,
    cancel: Cancel | None,
) -> Measured:
    layout = layouts[0] if layouts else None
    comparison, placement = NO_COMPARISON, Placement()
    if good.dump.size and suspect.dump.size:
        comparison = compare(good.judged, suspect.trusted, chip, masks=suspect.masked)
        placement = locate(good.judged, suspect.judged, layout=layout, progress=progress, cancel=cancel)
    later = NO_COMPARISON
    if suspect.board.later and suspect.dump.size:
        later = compare(suspect.trusted, whole_reads(suspect.board.later)[-1], chip)
    known = tuple(
        _known(i, Path(i.image.origin.source), suspect, chip, layout, cancel) for i in case.images if suspect.dump.size
    )
    return Measured(
        case,
        chip,
        assumed,
        layouts,
        good,
        suspect,
        comparison,
        placement,
        later,
        known,
        provisioning,
        _loader(case, suspect),
        _stages(case, layouts, suspect),
    )


def _board(board: Board, case: Case, chip: Chip, layouts: tuple[Layout, ...], log: Log) -> BoardFacts:
    reads = whole_reads(board.dumps)
    dump = reads[0] if reads else MemoryImage()
    options = _options(board, chip)
    hidden = hidden_ranges(options, board.access, chip)
    masked = masked_ranges(dump, hidden, chip)
    images: tuple[ExaminedImage, ...] = ()
    slots: tuple[SlotState, ...] = ()
    if dump.size:
        verify = [load_verify_key(p) for p in case.verify_keys]
        decrypt = [load_decrypt_key(p) for p in case.decrypt_keys]
        layout = layouts[0] if layouts else None
        images = examine_images(dump, layout=layout, verify_keys=verify, decrypt_keys=decrypt)
        if layout:
            slots = slot_states(dump, layout, examined=images)
    return BoardFacts(
        board, dump, options, log, parse_log(board.uart.text), compare_reads(reads), hidden, masked, images, slots
    )


def _options(board: Board, chip: Chip) -> OptionBytes:
    """Return a board's option bytes: from its listing, else its log, else the registers that were read."""
    for text in (board.options.text, board.log.text):
        listing = parse_listing(text)
        if listing.fields:
            return decode_listing(listing, chip)
    raw = [*parse_registers(board.registers.text)]
    raw += [RawRegister(value, name=name.upper()) for name, value in board.identity.registers if value >= 0]
    return decode_registers(raw, chip)


def hidden_ranges(options: OptionBytes, access: Access, chip: Chip) -> tuple[AddressRange, ...]:
    """Return the canonical ranges of which a reader with that access gets zeros instead of content.

    A non-secure read of a secure sector, and a secure read of a non-secure one, returns 0x00 without a fault
    (measured on a NUCLEO-H563ZI, public test note of the m33mu project). Without option bytes, or with an unknown
    access, nothing is known to be hidden.
    """
    if not options or not options.trustzone:
        return ()
    if access is Access.NONSECURE:
        return merged((*options.secure_ranges, *options.hdp_ranges))
    if access is Access.SECURE:
        return subtracted((chip.flash_range,), options.secure_ranges)
    return ()


def whole_reads(dumps: Sequence[Dump]) -> tuple[MemoryImage, ...]:
    """Return the dumps joined into whole reads: files of different places (or aliases) belong to one read.

    A dump goes into the first read that holds none of its addresses yet; the two aliases of a cell keep their own
    addresses, so that two views are never mixed.
    """
    reads: list[MemoryImage] = []
    for dump in dumps:
        image = dump.image
        held = (*image.ranges, *image.unreadable)
        for i, read in enumerate(reads):
            if not any(a.overlaps(b) for a in held for b in (*read.ranges, *read.unreadable)):
                reads[i] = replace(
                    read,
                    segments=read.segments + image.segments,
                    unreadable=read.unreadable + image.unreadable,
                    unstable=read.unstable + image.unstable,
                )
                break
        else:
            reads.append(image)
    return tuple(reads)


def masked_ranges(dump: MemoryImage, hidden: Sequence[AddressRange], chip: Chip) -> tuple[AddressRange, ...]:
    """Return the parts of `hidden` that the dump holds, where it holds nothing but zeros there.

    The rule knows no exceptions inside a range: one that shows content anywhere is shown to this reader, and zeros
    in it are content (a gap that the linker filled).
    """
    found: list[AddressRange] = []
    alias = chip.flash.secure_base - chip.flash.base
    for area in hidden:
        parts = [
            s for shift in dict.fromkeys((0, alias)) for s in dump.segments_in(area.start + shift, area.stop + shift)
        ]
        if not any(s.data.any() for s in parts):
            found += (AddressRange(chip.canonical(s.start), chip.canonical(s.start) + s.data.size) for s in parts)
    return merged(found)


def _known(
    image: KnownImage, path: Path, suspect: BoardFacts, chip: Chip, layout: Layout | None, cancel: Cancel | None
) -> KnownFact:
    comparison = compare(image.image, suspect.trusted, chip, masks=suspect.masked)
    seen = comparison.compared_bytes
    equal = seen - comparison.differing_bytes
    elsewhere = Placement()
    if equal < 0.99 * image.image.size:
        elsewhere = locate(image.image, suspect.judged, layout=layout, cancel=cancel)
    matches: tuple[Match, ...] = ()
    if equal < image.image.size:
        names = read_elf_map(path) if image.image.origin.kind == "elf" else NO_ELF
        matches = compare_build(suspect.judged, image.image, layout=layout, images=suspect.images, names=names)
    return KnownFact(image, comparison, seen, equal, elsewhere, matches)


def _stages(case: Case, layouts: tuple[Layout, ...], suspect: BoardFacts) -> tuple[StageReport, ...]:
    """Return at which stage of its life the board is, by the files that were to be flashed; empty without them."""
    files = [i.image for i in case.images if i.image.origin.kind != "elf"]
    if not layouts or not files or not suspect.dump.size:
        return ()
    keys = [load_decrypt_key(p) for p in case.decrypt_keys]
    package = "" if case.package == "unknown" else case.package
    try:
        return (recognise_stage(suspect.judged, layouts[0], files, decrypt_keys=keys, package=package),)
    except InputError:
        return ()  # a file that is no slot's: the placement check says so


def _loader(case: Case, suspect: BoardFacts) -> LoaderFacts:
    file = read_loader(case.loader) if case.has_loader else None
    log = parse_loader_log(case.loader_log.text, case.loader_log.name) if case.loader_log else None
    nothing = LoaderSign(Answer.UNKNOWN, "There is no external loader in this case.")
    if file is None and log is None:
        return LoaderFacts(nothing, nothing)
    zone = suspect.options.trustzone
    word = "unknown" if isinstance(zone, Unknown) else "on" if zone else "off"
    family = load_chip(case.chip).family if case.chip else ""
    return LoaderFacts(
        loader_bypassed(log) if log else nothing, loader_mislinked(file, log, family=family, trustzone=word)
    )


def content_bytes(image: MemoryImage) -> int:
    """Return how many bytes of an image are neither 0x00 nor 0xFF."""
    return reduce(lambda n, s: n + int(np.count_nonzero((s.data != 0) & (s.data != 0xFF))), image.segments, 0)
