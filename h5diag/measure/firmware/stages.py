"""What the flash should hold at each stage, and at which stage a board is. No golden board is needed.

Built from the files that were to be flashed, the boot loader's binary, the layout and, for encrypted download
images, the keys. Sources: ST's ``ob_flash_programming.sh`` (since package 1.4.0 the init images go to the
primary slots, up to 1.3.0 the encrypted ones to the download slots) and ``loader.c`` (the whole slot is copied,
only the body decrypted; ST then erases the whole download slot).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from h5diag.errors import InputError
from h5diag.evidence.keys import DecryptKey
from h5diag.layout import Layout, Loader, Role, Slot
from h5diag.measure.firmware.content import views
from h5diag.measure.firmware.image import find_images
from h5diag.measure.firmware.trailer import CLASSIC_MAGIC, Magic, parse_magic
from h5diag.measure.firmware.verify import open_body
from h5diag.memory import AddressRange, MemoryImage, Segment

TRAILER_AREA = 0x100
"""Bytes at a slot's end that swapping writes in a way not predicted here."""


class Stage(Enum):
    """Stages of a board's life."""

    PROGRAMMED = "after programming"
    FIRST_BOOT = "after the first boot"
    UPDATE_PENDING = "update pending"


@dataclass(frozen=True, slots=True)
class SlotFit:
    """How a slot agrees with a stage. `first` is the first differing address in the dump's view, -1 when none.

    `masked` are bytes in whole sectors of zeros where something else is expected: a mask, not compared.
    """

    slot: Slot
    compared: int
    differing: int
    masked: int
    first: int

    @property
    def agrees(self) -> bool:
        """Tell whether something was compared and nothing differs."""
        return self.compared > 0 and not self.differing


@dataclass(frozen=True, slots=True)
class StageFit:
    """How a dump agrees with a stage, slot by slot."""

    stage: Stage
    slots: tuple[SlotFit, ...]

    @property
    def differing(self) -> int:
        """Bytes that differ in all slots."""
        return sum(s.differing for s in self.slots)

    @property
    def agrees(self) -> bool:
        """Tell whether no slot differs and at least one was compared."""
        return any(s.compared for s in self.slots) and not self.differing


@dataclass(frozen=True, slots=True)
class StageReport:
    """At which stage a board is: all fits with the best first, a sentence, and what limits the answer."""

    fits: tuple[StageFit, ...]
    text: str
    remarks: tuple[str, ...]


def expected_flash(
    stage: Stage,
    layout: Layout,
    files: Sequence[MemoryImage],
    *,
    boot: MemoryImage | None = None,
    updates: Sequence[MemoryImage] = (),
    decrypt_keys: Sequence[DecryptKey] = (),
    loader: Loader = Loader.ST,
) -> MemoryImage:
    """Return what the slots should hold at a stage, at canonical addresses.

    Parameters
    ----------
    stage
        The stage.
    layout
        Where the slots are.
    files
        What is programmed, each at its own address (primary or secondary slots).
    boot
        The boot loader's binary; without it the boot slot is left out.
    updates
        Download images that are written later, for `Stage.UPDATE_PENDING`.
    decrypt_keys
        For encrypted download images; without the right one the installed body is left out.
    loader
        Whose boot loader it is.

    Raises
    ------
    InputError
        When a file holds bytes outside the image slots.
    """
    board = _Board(layout)
    if boot is not None:
        board.write(boot, layout.slot("boot"))
    for file in files:
        board.write(file)
    if stage is not Stage.PROGRAMMED:
        board.install(decrypt_keys, loader)
    if stage is Stage.UPDATE_PENDING:
        for file in updates:
            board.write(file)
    return board.image(keep_boot=boot is not None)


def recognise_stage(
    dump: MemoryImage,
    layout: Layout,
    files: Sequence[MemoryImage],
    *,
    boot: MemoryImage | None = None,
    updates: Sequence[MemoryImage] = (),
    decrypt_keys: Sequence[DecryptKey] = (),
    loader: Loader = Loader.ST,
    package: str = "",
) -> StageReport:
    """Compare a dump with every stage and say at which one the board is.

    `package` is the version of the vendor's firmware package, when it is known. The other parameters are those
    of `expected_flash`.
    """
    stages = [Stage.PROGRAMMED, Stage.FIRST_BOOT] + ([Stage.UPDATE_PENDING] if updates else [])
    fits = []
    for stage in stages:
        wanted = expected_flash(
            stage, layout, files, boot=boot, updates=updates, decrypt_keys=decrypt_keys, loader=loader
        )
        fits.append(
            StageFit(
                stage,
                tuple(
                    _fit(dump, wanted, layout, s)
                    for s in layout.slots
                    if s.role is not Role.SCRATCH
                    and wanted.size
                    and any(wanted.segments_in(s.range.start, s.range.stop))
                ),
            )
        )
    # Equal fits (nothing to install): the first boot changes nothing, so the earliest stage is as good.
    ranked = tuple(sorted(fits, key=lambda f: (f.differing, stages.index(f.stage))))
    return StageReport(ranked, _say(ranked), _remarks(layout, files, package, ranked))


class _Board:
    """A flash that is being filled: bytes, which of them are known, canonical addresses."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.base = layout.chip.flash.base
        self.data = np.full(layout.chip.flash.size, layout.chip.flash.erased, np.uint8)
        self.known = np.ones(layout.chip.flash.size, np.bool_)

    def write(self, file: MemoryImage, slot: Slot | None = None) -> None:
        chip = self.layout.chip
        for s in file.segments:
            start = chip.canonical(s.start)
            area = slot or self.layout.slot_at(start)
            if not area or not area.range.covers(AddressRange(start, start + s.data.size)):
                raise InputError(
                    f"holds bytes at 0x{s.start:08X} that do not fit into a slot of the layout",
                    source=file.origin.source,
                    advice="give the right layout, or --base for a .bin",
                )
            self.data[start - self.base : start - self.base + s.data.size] = s.data
            self.known[start - self.base : start - self.base + s.data.size] = True

    def install(self, keys: Sequence[DecryptKey], loader: Loader) -> None:
        for slot in self.layout.image_slots:
            primary = self.layout.counterpart(slot)
            if slot.role is not Role.SECONDARY or not primary:
                continue
            source, target = self._bytes(slot), self._bytes(primary)
            size = min(source.size, target.size)
            if parse_magic(source[-16:].tobytes())[0] is not Magic.CLASSIC:
                continue
            memory = MemoryImage.from_bytes(source.copy(), slot.range.start)
            found = [i for i in find_images(memory) if i.address == slot.range.start and i.complete]
            if not found:
                continue
            image = found[0]
            body = open_body(image, source.tobytes(), keys) if image.header.encrypted else b""
            target[:size] = source[:size]
            at = slice(image.header.header_size, image.header.tlv_offset)
            if body:
                target[at] = np.frombuffer(body, np.uint8)
            elif image.header.encrypted:
                self._known(primary)[at] = False
            if self.layout.mode.swaps:
                self._known(primary)[-TRAILER_AREA:] = False
                self._known(slot)[-TRAILER_AREA:] = False
            sector = self.layout.chip.flash.sector_size
            if loader is Loader.ST or self.layout.mode.swaps:
                source[:] = 0xFF
            else:
                source[:sector] = 0xFF
                source[-sector:] = 0xFF

    def image(self, *, keep_boot: bool) -> MemoryImage:
        segments = []
        for slot in self.layout.slots:
            if slot.role in (Role.PRIMARY, Role.SECONDARY) or (slot.role is Role.BOOT and keep_boot):
                known, data = self._known(slot), self._bytes(slot)
                edges = np.flatnonzero(np.diff(np.concatenate(([False], known, [False])).astype(np.int8)))
                segments += [Segment(slot.range.start + a, data[a:b].copy()) for a, b in edges.reshape(-1, 2).tolist()]
        return MemoryImage(tuple(segments))

    def _bytes(self, slot: Slot) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return self.data[slot.range.start - self.base : slot.range.stop - self.base]

    def _known(self, slot: Slot) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        return self.known[slot.range.start - self.base : slot.range.stop - self.base]


def _fit(dump: MemoryImage, wanted: MemoryImage, layout: Layout, slot: Slot) -> SlotFit:
    """Compare a slot in the view that agrees best."""
    results = []
    for view in views(layout, slot):
        move = view - slot.range.start
        compared = differing = masked = 0
        first = -1
        for w in wanted.segments_in(slot.range.start, slot.range.stop):
            for d in dump.segments_in(w.start + move, w.stop + move):
                at = d.start - w.start - move
                unequal = d.data != w.data[at : at + d.data.size]
                hidden = unequal & _zero_sectors(d, layout.chip.flash.sector_size)
                unequal &= ~hidden
                compared += int(d.data.size - hidden.sum())
                masked += int(hidden.sum())
                differing += int(unequal.sum())
                if first < 0 and unequal.any():
                    first = d.start + int(unequal.argmax())
        results.append(SlotFit(slot, compared, differing, masked, first))
    return max(results, key=lambda r: (r.compared - r.differing, -r.differing))


def _zero_sectors(segment: Segment, sector: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return which bytes lie in a sector that is zero throughout, as far as the segment goes."""
    mask = np.zeros(segment.data.size, np.bool_)
    for start in range(segment.start // sector * sector, segment.stop, sector):
        a, b = max(start, segment.start) - segment.start, min(start + sector, segment.stop) - segment.start
        if not segment.data[a:b].any():
            mask[a:b] = True
    return mask


def _say(fits: Sequence[StageFit]) -> str:
    best = fits[0]
    compared = sum(s.compared for s in best.slots)
    if not compared:
        return "nothing of the slots can be compared in this dump"
    masked = sum(s.masked for s in best.slots)
    hidden = f" ({masked} bytes in sectors that read zero were left out)" if masked else ""
    if best.agrees:
        others = [f.stage.value for f in fits[1:] if f.agrees]
        same = f", which is also how it should look {' and '.join(others)}" if others else ""
        return f"the board is as it should be {best.stage.value}{same}{hidden}"
    parts = []
    for s in best.slots:
        if s.differing:
            fitting = [f.stage.value for f in fits[1:] if any(o.slot == s.slot and o.agrees for o in f.slots)]
            count = f"{s.differing} byte{'s' if s.differing > 1 else ''}"
            parts.append(
                f"slot '{s.slot}' differs in {count} from 0x{s.first:08X} on"
                + (f" and is as it should be {' and '.join(fitting)}" if fitting else "")
            )
    return f"closest to: {best.stage.value}; {'; '.join(parts)}{hidden}"


def _remarks(layout: Layout, files: Sequence[MemoryImage], package: str, fits: Sequence[StageFit]) -> tuple[str, ...]:
    out = []
    roles = {x.role for f in files for s in f.segments if (x := layout.slot_at(s.start))}
    numbers = [int(n) for n in package.split(".")[:2] if n.isdigit()]
    if len(numbers) == 2 and files:
        wanted = Role.PRIMARY if numbers >= [1, 4] else Role.SECONDARY
        if wanted not in roles:
            out.append(
                f"package {package} programs the {wanted.value} slots, these files go elsewhere: an older"
                " package, a generated copy or the wrong files"
            )
    for file in files:
        if parse_magic(file.segments[-1].data[-16:].tobytes())[0] is Magic.ALIGNED:
            out.append(
                f"{file.origin.source or 'a file'} ends with the newer trailer magic, which ST's boot loader"
                f" refuses (it knows {CLASSIC_MAGIC[:4].hex()}... only): sign it with an alignment of 8"
            )
    if any(s.masked for f in fits[:1] for s in f.slots):
        out.append("whole sectors read zero where other content belongs: read again with the right attribute")
    return tuple(out)
