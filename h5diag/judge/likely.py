"""Of which chip and on which slots a case is; without a layout told by headers, magics and what logs wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from h5diag.case.case import Case, CaseBoard, KnownImage
from h5diag.chip import EXTERNAL, Chip, ChipChoice, KnownBy
from h5diag.errors import InputError
from h5diag.evidence.texts import Log, chip_of, identity_words, parse_registers
from h5diag.evidence.texts.programming import base_name
from h5diag.judge.findings import number
from h5diag.layout import Layout, chip_and_layout, load_layout, preset_names
from h5diag.measure.firmware.image import Flag, HeaderMagic, TlvType, find_images, find_word
from h5diag.measure.firmware.trailer import CLASSIC_MAGIC
from h5diag.memory import MemoryImage

_HEADER = HeaderMagic.MCUBOOT.value.to_bytes(4, "little")


def likely_layout(case: Case, chip: Chip, logs: Sequence[Log], *, any_size: bool = False) -> Layout | None:
    """Return the preset on whose slots image headers, trailer magics and the addresses of logs sit; None without any.

    Needs two such marks, or the header of a download that a reader sees alone; of equals the simpler preset.

    Parameters
    ----------
    case
        Its dumps are looked at, the good board's too.
    chip
        The chip; with `any_size` a mere assumption, and so is its size.
    logs
        What programmers printed: the addresses that they wrote count.
    """
    dumps = [d.image for b in (*case.suspects, case.good) for d in b.dumps]
    starts = {at for dump in dumps for at in header_places(dump, chip)}
    sizes = {at: size for dump in dumps for at, size in image_sizes(dump, chip).items()}
    ends = {at + len(CLASSIC_MAGIC) for dump in dumps for at in places_of(CLASSIC_MAGIC, dump, chip)}
    written = {chip.canonical(w.address) for log in logs for w in log.programming.writes if w.address}
    best: tuple[int, Layout | None] = (0, None)
    large = {0x100000: False, 0x200000: True}.get(chip.flash.size)
    for name in (n for n in preset_names() if starts and (any_size or ("-2m-" in n) == large)):
        try:
            layout = load_layout(name, None if any_size else chip)
        except InputError:
            continue
        slots = layout.image_slots
        headers = sum(s.range.start in starts for s in slots)
        marks = 2 * headers + sum(s.range.stop in ends for s in slots) + sum(s.range.start in written for s in slots)
        marks -= len(starts - {s.range.start for s in slots})
        # An image that does not fit says that these are not its slots.
        fit = all(sizes.get(s.range.start, 0) <= s.range.size for s in slots)
        if headers and fit and marks > best[0]:
            best = marks, layout
    return best[1]


def places_of(word: bytes, dump: MemoryImage, chip: Chip) -> set[int]:
    """Return the canonical addresses at which a word of at least four bytes stands, the first 64 of each stretch."""
    first, out = int.from_bytes(word[:4], "little"), set()
    for s in dump.segments:
        there = (i for i in find_word(s.data, first).tolist() if s.data[i : i + len(word)].tobytes() == word)
        out |= {chip.canonical(s.start + i) for i in islice(there, 64)}
    return out


def header_places(dump: MemoryImage, chip: Chip) -> set[int]:
    """Return the canonical addresses at which an image header of MCUboot may stand."""
    return {at for at in places_of(_HEADER, dump, chip) if at % number("header-step") == 0}


def image_sizes(dump: MemoryImage, chip: Chip) -> dict[int, int]:
    """Return the bytes of header and body that each image header claims, by its canonical address."""
    out = {}
    for at in places_of(_HEADER, dump, chip):
        for view in (at, chip.secure_alias(at)):
            if dump.covers(view, view + 16):
                words = np.frombuffer(dump.read(view, view + 16).tobytes(), "<u4")
                out[at] = (int(words[2]) & 0xFFFF) + int(words[3])
    return out


_GROUP = 8
"""Bytes of the widest word that an external memory is read by."""


def placed_dumps(board: CaseBoard, files: Sequence[KnownImage], logs: Sequence[Log]) -> CaseBoard:
    """Return a board whose dumps stand where logs wrote their content, if that is in external memory and nobody gave it.

    A dump has a file's content when nearly all of its words hold the same bytes, in whatever order; else it stays.
    """
    images = {base_name(f.name).lower(): f.image for f in files}
    wrote = [
        (w.address, images.get(base_name(w.file).lower(), MemoryImage()))
        for log in logs
        for w in log.programming.writes
        if w.address is not None and w.address in EXTERNAL
    ]
    dumps = []
    for d in board.dumps:
        at = next((at for at, file in wrote if d.image.origin.base_assumed and _same_bytes(d.image, file)), None)
        dumps.append(d if at is None else replace(d, image=put_at(d.image, at)))
    return replace(board, dumps=tuple(dumps))


def put_at(image: MemoryImage, address: int) -> MemoryImage:
    """Return an image of which nobody gave the address at the one that is known for it now."""
    return image.shifted(address - image.span.start).with_origin(replace(image.origin, base_assumed=False))


def _same_bytes(one: MemoryImage, other: MemoryImage) -> bool:
    size = min(one.size, other.size) // _GROUP * _GROUP
    if not size or len(one.segments) != 1 or len(other.segments) != 1:
        return False
    a, b = (np.sort(x.segments[0].data[:size].reshape(-1, _GROUP), axis=1) for x in (one, other))
    telling = b[:, 0] != b[:, -1]
    same, most = int(np.count_nonzero((a == b).all(axis=1) & telling)), int(np.count_nonzero(telling))
    return 100 * same >= max(100 * number("least-groups"), number("nearly-all-percent") * most)


def encrypted_image(image: MemoryImage) -> bytes:
    """Return the hash of the plain image that an encrypted download image carries; empty when it is none."""
    found = [i for i in find_images(image) if i.address == image.span.start and i.header.magic is HeaderMagic.MCUBOOT]
    encrypted = (i for i in found if i.header.flags & (Flag.ENCRYPTED_AES128 | Flag.ENCRYPTED_AES256))
    return next((t.value for i in encrypted for t in i.tlvs.plain if t.type == TlvType.SHA256), b"")


def choose(case: Case, logs: Sequence[Log]) -> tuple[ChipChoice, Layout | None, Layout | None]:
    """Return the chip of the case and its layout; a layout names the chip when nothing else does.

    The third is a layout that leaves the flash which the chip says it has: that is an observation, and no bad input.
    """
    boards = (*case.suspects, case.good)
    source = str(case.folder / "case.toml")
    identity = next((b.identity for b in boards if b.identity is not None and b.identity.dev_id), None)
    sidecars = [d.image.origin.chip for b in boards for d in b.dumps] + [i.image.origin.chip for i in case.images]
    words = [i for b in boards if b.registers for i in identity_words(parse_registers(b.registers.text))]
    marking = next((b.marking for b in boards if b.marking), "")
    try:
        choice = chip_of(
            logs, given=case.chip or "", identity=identity, dev_ids=words, sidecars=sidecars, marking=marking
        )
    except InputError as error:
        raise error.at(source) from None
    try:
        return *chip_and_layout(choice, case.layout), None
    except InputError as error:
        if larger := _larger(case, choice):
            return choice, None, larger
        at = ", ".join(part for part in (error.source, error.place) if part)
        told_of = f"layout {at}: {error.problem}" if at else error.problem
        raise InputError(told_of, source=source, advice=error.advice) from None


@dataclass(frozen=True, slots=True)
class ChipAndSlots:
    """Of which chip a board in question is, and on which slots.

    Parameters
    ----------
    choice
        Its chip.
    layouts
        The layout, or nothing; `layout_assumed` where nobody named it; `too_large` as of `choose`.
    good
        The good board's chip where its own evidence names another family: then it is no measure for this one.
    others
        Names and chips of the boards of other families, the good one among them.
    """

    choice: ChipChoice
    layouts: tuple[Layout, ...]
    layout_assumed: bool
    too_large: Layout | None
    good: ChipChoice | None = None
    others: tuple[tuple[str, ChipChoice], ...] = ()


def subjects(case: Case, logs: Mapping[int, Sequence[Log]], rest: Sequence[Log]) -> tuple[ChipAndSlots, ...]:
    """Return of each board in question its chip and slots: one for all, or of several families each its own.

    Parameters
    ----------
    case
        Its boards, files and names.
    logs, rest
        What was printed of each board, by the board's id, and of no board.
    """
    boards = (*case.suspects, case.good)
    own = _own(case, logs) if case.good.known or len(case.suspects) > 1 else {}
    printed = [*(logs[id(b)][0] for b in boards), *rest, *(logs[id(b)][1] for b in boards)]
    if len({c.family for c in own.values()}) < 2:
        return (_subject(case, printed),) * len(case.suspects)
    out, first = [], own.get(id(case.suspects[0]))
    for board in case.suspects:
        alone, mine = replace(case, good=CaseBoard("good"), suspects=(board,)), own.get(id(board))
        if mine and first and mine.family != first.family:
            alone = replace(alone, layout=None)  # the case's layout is the first board's
        found = _subject(alone, logs[id(board)]) if mine else _subject(case, printed)
        others = [(b, c) for b in boards if (c := own.get(id(b))) and c.family != found.choice.family]
        good = next((c for b, c in others if b is case.good), None)
        out.append(replace(found, good=good, others=tuple((b.name, c) for b, c in others)))
    return tuple(out)


def _own(case: Case, logs: Mapping[int, Sequence[Log]]) -> dict[int, ChipChoice]:
    """Return each board's chip by its own evidence, by the board's id; what a tool was set up for is none.

    A chip that the case names is that of the boards in question.
    """
    own = {}
    for board in (*case.suspects, case.good):
        given = None if board is case.good else case.chip
        alone = replace(case, chip=given, layout=None, images=(), good=CaseBoard("good"), suspects=(board,))
        choice = choose(alone, logs[id(board)])[0]
        noted = board.marking or any(d.image.origin.chip for d in board.dumps)
        if not choice.assumed and (choice.known_by is not KnownBy.SIDECAR or noted):
            own[id(board)] = choice
    return own


def _subject(case: Case, logs: Sequence[Log]) -> ChipAndSlots:
    choice, layout, too_large = choose(case, logs)
    likely = layout is None and (choice.chip is None or choice.chip.family == "h5")
    if likely:
        layout = likely_layout(case, choice.read_as, logs, any_size=choice.assumed)
    return ChipAndSlots(choice, (layout,) if layout else (), likely and layout is not None, too_large)


def _larger(case: Case, choice: ChipChoice) -> Layout | None:
    """Return the case's layout where it leaves the flash of which the chip itself told the size; None otherwise."""
    told, layout = choice.known_by in (KnownBy.IDENTITY, KnownBy.DEV_ID, KnownBy.SIDECAR), None
    with suppress(InputError):
        layout = load_layout(case.layout) if case.layout and told else None
    return layout if layout and max(s.range.stop for s in layout.slots) > choice.read_as.flash_range.stop else None
