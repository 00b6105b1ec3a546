"""Everything that can be said of the firmware in a dump, from one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from h5diag.answer import Answer
from h5diag.chip import Chip, ChipChoice
from h5diag.layout import Layout, Loader, Mode
from h5diag.limits import VECTOR_TABLES
from h5diag.measure.firmware.content import ExaminedImage, examine_images, open_images
from h5diag.measure.firmware.slots import BootStates, SlotState, State, boot_states, image_state
from h5diag.measure.firmware.vectors import Link, explain_link, find_vector_tables
from h5diag.memory import MemoryImage

if TYPE_CHECKING:
    from h5diag.evidence.files.elf import ElfMap
    from h5diag.evidence.keys import DecryptKey, VerifyKey
    from h5diag.evidence.texts.boot import BootLog
    from h5diag.measure.firmware.builds import Match
    from h5diag.measure.firmware.stages import StageReport


@dataclass(frozen=True, slots=True)
class Build:
    """What was built: a name for it, its bytes, and the names in its ELF file if it is one."""

    name: str
    image: MemoryImage
    names: ElfMap | None = None


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """An image with its state and the reason."""

    examined: ExaminedImage
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A build and the places where it stands, the best first."""

    build: Build
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class Overview(Answer):
    """What a dump holds.

    Parameters
    ----------
    images
        Its images.
    boot
        Its slots and what the next boot does; None without a layout.
    builds
        Where the builds that were asked for stand.
    links
        Its vector tables.
    stage
        At which stage of its life the board is; None when no flashed files were given.
    choice
        The chip and how it is known; None when nobody asked.
    remarks
        What was assumed.
    """

    images: tuple[JudgedImage, ...]
    boot: BootStates | None
    builds: tuple[BuildResult, ...]
    links: tuple[Link, ...]
    stage: StageReport | None = None
    choice: ChipChoice | None = None
    remarks: tuple[str, ...] = ()

    @property
    def slots(self) -> tuple[SlotState, ...]:
        """The states of the slots; empty without a layout."""
        return self.boot.slots if self.boot else ()


def examine_firmware(
    memory: MemoryImage,
    chip: Chip,
    *,
    layout: Layout | None = None,
    loader: Loader | None = None,
    mode: Mode | None = None,
    log: BootLog | None = None,
    verify_keys: Sequence[VerifyKey] = (),
    decrypt_keys: Sequence[DecryptKey] = (),
    builds: Sequence[Build] = (),
) -> Overview:
    """Examine a dump or an image file.

    Parameters
    ----------
    memory
        The dump.
    chip
        Gives flash, RAM and program unit; the layout's own chip when there is a layout.
    layout
        Where the slots are; without it no slot is named and no slot state given.
    loader, mode
        Whose boot loader the board runs and how it installs; None leaves it to log, layout and dump to tell.
    log
        What this board's boot loader printed.
    verify_keys, decrypt_keys
        Keys to check with.
    builds
        What should be in the dump.
    """
    examined = examine_images(
        memory, layout=layout, verify_keys=verify_keys, decrypt_keys=decrypt_keys, program_unit=chip.flash.program_unit
    )
    boot = (
        boot_states(
            memory,
            layout,
            loader=loader,
            mode=mode,
            log=log,
            verify_keys=verify_keys,
            decrypt_keys=decrypt_keys,
            builds=[b.image for b in builds],
            examined=examined,
        )
        if layout
        else None
    )
    states = boot.slots if boot else ()
    judged = (JudgedImage(i, *image_state(i, states)) for i in examined)
    clear = open_images(memory, examined, decrypt_keys)
    found = tuple(BuildResult(b, _matches(memory, clear, b, layout, examined)) for b in builds)
    tables = find_vector_tables(clear, chip, most=VECTOR_TABLES)
    bodies = {i.image.body.start: i.image.body.size for i in examined}
    links = (explain_link(t, chip, layout, body_size=bodies.get(t.address, 0)) for t in tables)
    return Overview(tuple(judged), boot, found, tuple(links))


def _matches(
    memory: MemoryImage, clear: MemoryImage, build: Build, layout: Layout | None, images: Sequence[ExaminedImage]
) -> tuple[Match, ...]:
    """Compare with the dump as it is and with its bodies decrypted; of two answers for a place the better one."""
    from h5diag.measure.firmware.builds import compare_build

    best: dict[int, Match] = {}
    for dump in (memory,) if clear is memory else (memory, clear):
        for m in compare_build(dump, build.image, layout=layout, images=images, names=build.names):
            if m.address not in best or m.differing < best[m.address].differing:
                best[m.address] = m
    return tuple(sorted(best.values(), key=lambda m: (m.differing, -m.compared)))
