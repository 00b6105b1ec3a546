"""What the flash should hold at each stage, and at which stage a board is. No golden board is needed.

Built from the files that were to be flashed, the boot loader's binary, the layout and, for encrypted download
images, the keys. Sources: ST's ``ob_flash_programming.sh`` (since package 1.4.0 the init images go to the
primary slots, up to 1.3.0 the encrypted ones to the download slots). What the first boot makes of them is what
`bootloader` does; only an installed body is decrypted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.layout import Layout, Loader, Role, Slot
from h5diag.measure.firmware.bootloader import NO_SLOT, BootLoader
from h5diag.measure.firmware.content import views
from h5diag.measure.firmware.image import find_images, parse_image
from h5diag.measure.firmware.nextboot import acceptable
from h5diag.measure.firmware.signed import Check
from h5diag.measure.firmware.swap import FlashArea, Rules
from h5diag.measure.firmware.trailer import CLASSIC_MAGIC, MAGIC_SIZE, parse_magic
from h5diag.measure.firmware.verify import open_body, verify_image
from h5diag.measure.stretches import sector_begins
from h5diag.memory import AddressRange, MemoryImage, Segment, common, subtracted
from h5diag.text import count_text, whole_number

if TYPE_CHECKING:
    from h5diag.evidence.keys import DecryptKey


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
    rules: Rules | None = None,
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
    rules
        Whose boot loader it is and how it installs; ST's by default, as the layout says.

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
        board.boot(decrypt_keys, rules)
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
    rules: Rules | None = None,
    package: str = "",
) -> StageReport:
    """Compare a dump with every stage and say at which one the board is.

    `package` is the version of the vendor's firmware package, when it is known. The other parameters are those
    of `expected_flash`.
    """
    stages = [Stage.PROGRAMMED, Stage.FIRST_BOOT] + ([Stage.UPDATE_PENDING] if updates else [])
    given: dict[str, Any] = {"boot": boot, "updates": updates, "decrypt_keys": decrypt_keys, "rules": rules}
    fits = []
    for stage in stages:
        wanted = expected_flash(stage, layout, files, **given)
        due = (
            s
            for s in layout.slots
            if s.role is not Role.SCRATCH and any(wanted.segments_in(s.range.start, s.range.stop))
        )
        fits.append(StageFit(stage, tuple(_fit(dump, wanted, layout, s) for s in due)))
    # Equal fits (nothing to install): the first boot changes nothing, so the earliest stage is as good.
    ranked = tuple(sorted(fits, key=lambda f: (f.differing, stages.index(f.stage))))
    return StageReport(
        ranked, _say(ranked), tuple(_remarks(layout, files, package, rules or _st_rules(layout), ranked))
    )


def _st_rules(layout: Layout) -> Rules:
    return Rules(Loader.ST, layout.mode, layout.chip.flash.program_unit, layout.chip.flash.sector_size)


class _Board:
    """A flash that is being filled: bytes, which of them are known, canonical addresses."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.base = layout.chip.flash.base
        self.data = np.full(layout.chip.flash.size, layout.chip.flash.erased, np.uint8)
        self.unknown: tuple[AddressRange, ...] = ()

    def write(self, file: MemoryImage, slot: Slot | None = None) -> None:
        chip = self.layout.chip
        for s in file.segments:
            start = chip.canonical(s.start)
            area, place = slot or self.layout.slot_at(start), AddressRange(start, start + s.data.size)
            if not area or not area.range.covers(place):
                raise InputError(
                    f"holds bytes at 0x{s.start:08X} that do not fit into a slot of the layout",
                    source=file.origin.source,
                    advice="give the right layout, or --base for a .bin",
                )
            self._bytes(place)[:] = s.data
            self.unknown = subtracted(self.unknown, (place,))

    def boot(self, keys: Sequence[DecryptKey], rules: Rules | None) -> None:
        """Let the boot loader start once."""
        rules = rules or _st_rules(self.layout)
        written = {s.image for s in self._slots if (self._bytes(s.range) != 0xFF).any()}  # no file tells of the others
        slots = [s for s in self.layout.slots if s.role is Role.SCRATCH or (s in self._slots and s.image in written)]

        def validate(slot: Slot, offset: int, data: npt.NDArray[np.uint8], changed: bool) -> Check:
            view = memoryview(np.ascontiguousarray(data[offset:]))  # type: ignore[arg-type]
            image = parse_image(view, 0)
            download = slot.role is Role.SECONDARY and not rules.mode.in_place
            v = verify_image(image, view, (), keys)
            return acceptable(v, None, encrypted=image.header.encrypted, download=download)

        loader = BootLoader(rules, self.layout, {s.name: self._bytes(s.range) for s in slots}, validate)
        for image, boot in zip(loader.images, loader.boot(), strict=True):
            for area in (a for a in (image.primary, image.secondary) if a.slot.name != NO_SLOT):
                self._take(area, keys, installed=boot.takes_download)

    def _take(self, area: FlashArea, keys: Sequence[DecryptKey], *, installed: bool) -> None:
        """Take over what the boot loader left in a slot; what hangs on keys or on its timing is not known."""
        place = area.slot.range
        data = self._bytes(place)
        data[:] = area.data
        if not installed:
            return
        if area.rules.mode.swaps:
            self.unknown += (AddressRange(place.start + max(0, area.status_start), place.stop),)
        memory = MemoryImage.from_bytes(data.copy(), place.start)
        for image in (i for i in find_images(memory) if i.address == place.start and i.complete):
            if image.header.encrypted:
                body = open_body(image, data.tobytes(), keys) if area.slot.role is Role.PRIMARY else b""
                if body:
                    self._bytes(image.body)[:] = np.frombuffer(body, np.uint8)
                else:
                    self.unknown += (image.body,)

    @property
    def _slots(self) -> tuple[Slot, ...]:
        return tuple(s for s in self.layout.image_slots if not s.device)

    def image(self, *, keep_boot: bool) -> MemoryImage:
        kept = [s.range for s in self.layout.slots if s in self._slots or (s.role is Role.BOOT and keep_boot)]
        known = (r for slot in kept for r in subtracted((slot,), self.unknown))
        return MemoryImage(tuple(Segment(r.start, self._bytes(r).copy()) for r in known))

    def _bytes(self, place: AddressRange) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return self.data[place.start - self.base : place.stop - self.base]


def _fit(dump: MemoryImage, wanted: MemoryImage, layout: Layout, slot: Slot) -> SlotFit:
    """Compare a slot in the view that agrees best."""
    results, place, sector = [], slot.range, layout.chip.flash.sector_size
    for view in views(layout, slot):
        compared = differing = masked = 0
        first = -1
        for at, want, have in common(wanted.crop(place.start, place.stop), dump, view - place.start):
            unequal, begins = have != want, sector_begins(at, have.size, sector)
            # Sectors that are zero throughout, as far as the dump goes.
            blank = ~np.logical_or.reduceat(have != 0, begins)
            hidden = unequal & np.repeat(blank, np.diff(begins, append=have.size))
            unequal &= ~hidden
            compared += int(have.size - hidden.sum())
            masked += int(hidden.sum())
            differing += int(unequal.sum())
            first = at + int(unequal.argmax()) if first < 0 and unequal.any() else first
        results.append(SlotFit(slot, compared, differing, masked, first))
    return max(results, key=lambda r: (r.compared - r.differing, -r.differing))


def _say(fits: Sequence[StageFit]) -> str:
    best = fits[0]
    compared = sum(s.compared for s in best.slots)
    if not compared:
        return "nothing of the slots can be compared in this dump"
    masked = sum(s.masked for s in best.slots)
    hidden = f" ({count_text(masked, 'byte')} in sectors that read zero were left out)" if masked else ""
    if best.agrees:
        others = [f.stage.value for f in fits[1:] if f.agrees]
        same = f", which is also how it should look {' and '.join(others)}" if others else ""
        return f"the board is as it should be {best.stage.value}{same}{hidden}"
    parts = []
    for s in (s for s in best.slots if s.differing):
        fitting = [f.stage.value for f in fits[1:] if any(o.slot == s.slot and o.agrees for o in f.slots)]
        where = f"slot '{s.slot}' differs in {count_text(s.differing, 'byte')} from 0x{s.first:08X} on"
        parts.append(where + (f" and is as it should be {' and '.join(fitting)}" if fitting else ""))
    return f"closest to: {best.stage.value}; {'; '.join(parts)}{hidden}"


def _remarks(
    layout: Layout, files: Sequence[MemoryImage], package: str, rules: Rules, fits: Sequence[StageFit]
) -> Iterator[str]:
    roles = {x.role for f in files for s in f.segments if (x := layout.slot_at(s.start))}
    numbers = [n for part in package.split(".")[:2] if (n := whole_number(part)) is not None]
    if len(numbers) == 2 and files:
        wanted = Role.PRIMARY if numbers >= [1, 4] else Role.SECONDARY
        if wanted not in roles:
            yield (
                f"package {package} programs the {wanted.value} slots, these files go elsewhere: an older"
                " package, a generated copy or the wrong files"
            )
    for file in (f for f in files if f.segments):
        tail = file.segments[-1].data[-MAGIC_SIZE:].tobytes()
        if parse_magic(tail)[0].is_magic and tail != rules.magic:
            whose = "ST's boot loader" if rules.loader is Loader.ST else "this boot loader"
            due = 8 if rules.magic == CLASSIC_MAGIC else rules.alignment
            yield (
                f"{file.origin.source or 'a file'} ends with a trailer magic that {whose} refuses (it knows"
                f" {rules.magic[:4].hex()}... only): sign it with an alignment of {due}"
            )
    if any(s.masked for f in fits[:1] for s in f.slots):
        yield "whole sectors read zero where other content belongs: read again with the right attribute"
