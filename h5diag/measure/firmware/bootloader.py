"""What the next boot will do: MCUboot's own steps, run on a copy of the slots.

The two boot loaders' decisions, their order and what they write are followed on a copy of the bytes, and the answer is
read off that copy. A `Ref` names the function followed, in ``boot/bootutil/src`` of upstream = mcu-tools/mcuboot
2d4bacc3 (after v2.4.0) and of ST = STMicroelectronics/stm32-mw-mcuboot v1.7.2.39 (6ff1625).

Where the two part (each is a rule below, not a special case of a dump): ST knows the classic magic only; ST wants
an unset magic in the download slot for a revert; ST copies a marked download over a primary slot that is not
valid (MCUBOOT_BOOTSTRAP); ST leaves a slot alone whose header is no MCUboot header; ST wants erased flash between
image and trailer of a download (in overwrite mode up to the magic, so that a set image_ok is refused) and erases the
whole download slot after an installation, upstream its first and its last sector.

Not followed: downgrade prevention, the stored security counter, ROM-fixed addresses in direct-XIP, which RAM there is
to load to, hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import numpy.typing as npt

from h5diag.errors import InputError
from h5diag.layout import Layout, Loader, Mode, Role, Slot
from h5diag.measure.firmware.image import (
    Flag,
    Header,
    HeaderMagic,
    Tlvs,
    Version,
    dependencies,
    parse_header,
    parse_tlvs,
)
from h5diag.measure.firmware.signed import Check
from h5diag.measure.firmware.swap import (
    UPGRADES,
    FlashArea,
    Rules,
    Stuck,
    SwapStatus,
    SwapType,
    most_image,
    sectors_to_swap,
    swap_by_moving,
    swap_by_offset,
    swap_by_scratch,
    swap_size,
    swap_status,
)

_MAGIC = HeaderMagic.MCUBOOT.value.to_bytes(4, "little")
_COMPRESSED = Flag.COMPRESSED_LZMA1 | Flag.COMPRESSED_LZMA2
_BOTH = Flag.ENCRYPTED_AES128 | Flag.ENCRYPTED_AES256


class Action(Enum):
    """What the next boot does with one image."""

    STARTS_PRIMARY = "starts-primary"
    INSTALLS = "installs"
    SWAPS_TEST = "swaps-test"
    SWAPS_PERMANENT = "swaps-permanent"
    REVERTS = "reverts"
    RESUMES = "resumes"
    STARTS_SECONDARY = "starts-secondary"
    REFUSES = "refuses"
    NOTHING = "nothing-to-start"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NextBoot:
    """What the next boot does with one image.

    Parameters
    ----------
    image
        The image's number.
    action
        What.
    version
        What runs afterwards (direct-XIP: from the slot that is started); None when nothing is started.
    changes_flash
        Whether that boot changes a byte of the image's two slots.
    text
        One sentence.
    interrupted
        Whether a swap of this image was begun and not finished.
    """

    image: int
    action: Action
    version: Version | None
    changes_flash: bool
    text: str
    interrupted: bool = False

    @property
    def takes_download(self) -> bool:
        """Tell whether the image in the download slot will run."""
        return self.action in (Action.INSTALLS, Action.SWAPS_TEST, Action.SWAPS_PERMANENT)


NO_SLOT = "none"
"""Name of the second slot of an image that has one slot alone."""

Validate = Callable[[Slot, int, npt.NDArray[np.uint8], bool], Check]
"""``validate(slot, offset, data, changed)``: would the image at `offset` of the slot's bytes be accepted?"""


class _Image:
    """The two slots of an image while the boot loader works on them."""

    def __init__(self, index: int, number: int, primary: FlashArea, secondary: FlashArea) -> None:
        self.index, self.number, self.primary, self.secondary = index, number, primary, secondary
        self.marked = secondary.trailer().magic is True
        self.type, self.action = SwapType.NONE, Action.UNKNOWN
        self.interrupted = self.erase_download = self.stuck = False
        self.download_offset = 0
        self.moved: Check | None = None
        """Verdict on the image that was put into the primary slot, whose body may have been decrypted on the way."""
        self.refused = ""
        self.active: FlashArea | None = None


class BootLoader:
    """One boot of a board.

    Parameters
    ----------
    rules, layout
        Whose boot loader and how it installs; where its slots are.
    contents
        The bytes of the slots and of the scratch area by the slot's name, ``uint8 (size,)``, unknown ones 0xFF. An
        image whose primary slot is not among them is counted and left alone.
    validate
        Judges the image at an offset of a slot's bytes.
    """

    def __init__(
        self,
        rules: Rules,
        layout: Layout,
        contents: Mapping[str, npt.NDArray[np.uint8]],
        validate: Validate,
    ) -> None:
        areas = {s.name: FlashArea(s, contents[s.name], rules) for s in layout.slots if s.name in contents}
        primaries = sorted((s for s in layout.image_slots if s.role is Role.PRIMARY), key=lambda s: s.image or 0)
        self.rules, self._validate, self.count, self.started = rules, validate, len(primaries), False
        self.current: _Image | None = None
        self.failed: _Image | None = None
        self.scratch = next((a for a in areas.values() if a.scratch), None)
        self.images: list[_Image] = []
        for index, slot in enumerate(primaries):
            if slot.name in areas:
                other, none = layout.counterpart(slot), replace(slot, name=NO_SLOT, role=Role.SECONDARY)
                erased = FlashArea(none, np.full(slot.range.size, 0xFF, np.uint8), rules)
                second = areas.get(other.name, erased) if other else erased
                self.images.append(_Image(index, slot.image or 0, areas[slot.name], second))

    def boot(self) -> tuple[NextBoot, ...]:
        """Run the boot and return what it does with each image. Ref: loader.c context_boot_go."""
        try:
            if self.rules.mode.in_place:
                self.started = self._select()
            else:
                for image in self.images:
                    self.current = image
                    self._prepare(image)
                self._count()
                if self.count > 1 and any(i.type in UPGRADES for i in self.images):
                    self._check_dependencies()
                for image in self.images:
                    self.current = image
                    self._perform(image)
                self.started = self._check_primaries()
        except Stuck:
            self.started = False
            if self.current and self.failed is None:
                self.current.stuck = True
        return tuple(self._answer(i) for i in self.images)

    # Images and whether they are valid

    def _header(self, area: FlashArea, offset: int = 0, *, any_magic: bool = False) -> Header | None:
        """Ref: boot_read_image_header, which keeps what it read; dependencies are looked up without the magic."""
        data = area.data[offset : offset + 32].tobytes()
        try:
            header = parse_header(_MAGIC + data[4:] if any_magic else data)
        except InputError:
            return None
        return header if header.magic is HeaderMagic.MCUBOOT else None

    def _tlvs(self, area: FlashArea, offset: int = 0, *, any_magic: bool = False) -> Tlvs | None:
        header = self._header(area, offset, any_magic=any_magic)
        try:
            return parse_tlvs(memoryview(area.data[offset:]), header) if header else None  # type: ignore[arg-type]
        except InputError:
            return None

    def _image_size(self, area: FlashArea, offset: int = 0) -> int:
        """Ref: boot_read_image_size, whose caller stops in an assertion where no TLV area stands behind a header."""
        tlvs = self._tlvs(area, offset)
        if tlvs is None and self._header(area, offset):
            raise Stuck
        return tlvs.size if tlvs else 0

    def _check(self, image: _Image, area: FlashArea, offset: int = 0) -> Check:
        if area is image.primary and image.moved is not None:
            return image.moved
        return self._validate(area.slot, offset, area.data, area.changed)

    def _valid(self, image: _Image, area: FlashArea, offset: int = 0, status: SwapStatus | None = None) -> bool:
        """Tell whether a slot's image is accepted, and erase what the boot loader erases where it is not.

        Ref: loader.c boot_validate_slot.
        """
        download = area is image.secondary
        head = area.data[offset : offset + 20].tobytes()
        if head[:4] == b"\xff" * 4 or head[16] & Flag.NON_BOOTABLE:
            image.refused = "" if head[:4] == b"\xff" * 4 else "it is flagged as not bootable"
            if self.rules.mode.swaps and download:
                area.erase(area.trailer_sectors)
                stuck = SwapType.REVERT in (status.type if status else SwapType.NONE, self._swap_type(image))
                if self.rules.mode is Mode.SWAP_MOVE and self.rules.loader is Loader.UPSTREAM and stuck:
                    image.primary.erase(image.primary.trailer_sectors)
            return False
        image.refused = self._why_invalid(image, area, offset, status)
        st_leaves = self.rules.loader is Loader.ST and self._header_unfit(area, offset)
        if image.refused and (download or self.rules.mode.in_place) and not st_leaves:
            area.erase()
        return not image.refused

    def _header_unfit(self, area: FlashArea, offset: int = 0) -> str:
        """Return what is wrong with a header. Ref: ST boot_is_header_valid, upstream boot_check_header_valid."""
        header = self._header(area, offset)
        if header is None:
            return "its header is not valid"
        upstream = self.rules.loader is Loader.UPSTREAM
        size = header.tlv_offset + (header.protected_size if upstream else 0)
        faults = (
            (upstream and header.flags & _COMPRESSED, "it is compressed, which this boot loader does not support"),
            (upstream and header.flags & _BOTH == _BOTH, "it is flagged for two ways of encryption"),
            (size >= area.size, "it is larger than the slot"),
        )
        return next((why for wrong, why in faults if wrong), "")

    def _why_invalid(self, image: _Image, area: FlashArea, offset: int, status: SwapStatus | None) -> str:
        mode, download = self.rules.mode, area is image.secondary
        fresh = status is not None and status.fresh and status.type is SwapType.NONE
        wanted = mode is Mode.SWAP_OFFSET and download and fresh and self._swap_type(image)
        if wanted in (SwapType.TEST, SwapType.PERM) and self._header(area) is not None:
            return "an image stands in the first sector of the download slot, where none may be"
        if unfit := self._header_unfit(area, offset):
            return unfit
        tlvs = self._tlvs(area, offset)
        if tlvs is None:
            return "no TLV area stands behind its body"
        if self.rules.loader is Loader.UPSTREAM and tlvs.size > most_image(area, image.primary, image.secondary):
            return "it reaches into the trailer"
        if self.rules.loader is Loader.ST and download and not mode.in_place:
            # Ref: ST image_validate.c, "Check pattern in slot, after image payload".
            if tlvs.size > area.status_start:
                return "it reaches into the trailer"
            behind = area.data[tlvs.size : area.status_start if mode.swaps else area.size - 16]
            if not (behind == 0xFF).all():
                only_flag = not mode.swaps and int((behind != 0xFF).sum()) == 1 and area.trailer().image_ok
                return "image_ok is set in its trailer" if only_flag else "other bytes stand between it and its trailer"
        return "its hash or signature does not fit" if self._check(image, area, offset) is Check.INVALID else ""

    # What to do with an image

    def _swap_type(self, image: _Image) -> SwapType:
        """Return what the two trailers ask for. Ref: boot_swap_type_multi and its table."""
        p, s = image.primary.trailer(), image.secondary.trailer()
        if s.magic and s.image_ok is not None:
            if self.rules.mode is Mode.SWAP_OFFSET and not s.image_ok and s.copy_done:
                return SwapType.REVERT
            return SwapType.PERM if s.image_ok else SwapType.TEST
        unset = s.magic is False or self.rules.loader is Loader.UPSTREAM
        revert = p.magic and unset and p.image_ok is False and p.copy_done
        return SwapType.REVERT if revert else SwapType.NONE

    def _compatible(self, image: _Image) -> bool:
        """Ref: boot_slots_compatible."""
        p, s, sector = image.primary.size, image.secondary.size, self.rules.sector
        fits = {
            Mode.SWAP_MOVE: p in (s, s + sector),
            Mode.SWAP_OFFSET: s in (p, p + sector),
            Mode.SWAP_SCRATCH: p == s and self.scratch is not None and self.scratch.size >= sector,
        }
        return fits.get(self.rules.mode, True)

    def _prepare(self, image: _Image) -> None:
        """Finish a swap that was cut, or find out what is asked for. Ref: loader.c boot_prepare_image_for_update."""
        if not self._compatible(image):
            image.refused = "the two slots differ in size"
            return
        status = swap_status(image.primary, image.secondary, self.scratch, image.index, self.count)
        p = image.primary.trailer()
        begun = bool(p.magic and p.copy_done is False and p.type in UPGRADES and self.rules.mode.swaps)
        image.interrupted = not status.fresh or status.type in UPGRADES or begun
        reverts = SwapType.REVERT in (status.type, self._swap_type(image))
        self._find_download(image, reverts=reverts)
        if not self._headers_there(image, status, reverts=reverts):
            image.refused = "the primary slot holds no image to swap with"
            return
        if not status.fresh:
            self._cancel_reverts(image)
            self._swap(image, status, swap_size(image.primary, image.secondary, self.scratch))
            self._close(image, status.type)
            image.action = Action.RESUMES
            return
        wanted = status.type if status.type is not SwapType.NONE else self._swap_type(image)
        if wanted in UPGRADES and not self._valid(image, image.secondary, image.download_offset, status):
            wanted = SwapType.NONE if status.type is SwapType.NONE else SwapType.FAIL
        image.type = wanted
        if wanted not in (SwapType.NONE, SwapType.REVERT):
            self._cancel_reverts(image)

    def _count(self) -> None:
        """ST reads the counter of a confirmed image first, and stops where it stands no longer. Ref: ST loader.c."""
        for image in self.images if self.rules.loader is Loader.ST and self.rules.mode.swaps else ():
            confirmed = image.primary.trailer().image_ok is not False
            if confirmed and not self._header_unfit(image.primary) and self._tlvs(image.primary) is None:
                self.failed = image
                raise Stuck

    def _cancel_reverts(self, image: _Image) -> None:
        """The images before this one were updated just before the reset. Ref: boot_review_image_swap_types."""
        for other in self.images:
            if other.index < image.index and other.type is SwapType.REVERT:
                other.type = SwapType.NONE

    def _find_download(self, image: _Image, *, reverts: bool) -> None:
        """Swap-offset: a download in the second sector, the old image in the first. Ref: boot_read_image_header."""
        if self.rules.mode is Mode.SWAP_OFFSET:
            first, other = (0, self.rules.sector) if reverts else (self.rules.sector, 0)
            image.download_offset = first if self._header(image.secondary, first) else other

    def _headers_there(self, image: _Image, status: SwapStatus, *, reverts: bool) -> bool:
        """Swap-move and swap-offset go on only where both headers stand as the status says.

        Ref: boot_read_image_header in swap_move.c and swap_offset.c.
        """
        mode = self.rules.mode
        if mode not in (Mode.SWAP_MOVE, Mode.SWAP_OFFSET):
            return True
        if status.fresh:
            return self._header(image.primary) is not None
        up, i, state = self.rules.sector, status.index, status.state
        last = sectors_to_swap(swap_size(image.primary, image.secondary, self.scratch), up)
        first, second = (image.primary, 0), (image.secondary, 0)
        if mode is Mode.SWAP_MOVE and status.swapping:
            if 1 < i <= last:
                first, second = second, first
            elif i == 1:
                first, second = (image.primary, up), (image.primary, 0) if state == 2 else second
        elif mode is Mode.SWAP_MOVE:
            first = (image.primary, up if i > last else 0)
        elif reverts:
            # find_last_idx counts from 0 here, so its "last" is one less than the number of sectors.
            first = (image.secondary, up) if i > last or (i == last and state == 2) else first
            second = (image.primary, 0) if i > last or (i == last and state == 3) else second
        else:
            first = (image.secondary, 0) if (i > 1 or state == 2) and i <= last - 1 else first
            second = (image.primary, 0) if i > 1 else (image.secondary, up)
        return self._header(*first) is not None and self._header(*second) is not None

    def _check_dependencies(self) -> None:
        """Drop every update when one wish is not met. Ref: loader.c boot_verify_dependencies."""
        for image in self.images:
            new = image.type in UPGRADES
            tlvs = self._tlvs(*self._wanted(image), any_magic=True)
            if tlvs is None:
                return self._drop_updates(f"the image beside it (image {image.number}) is not valid")
            for wish in dependencies(tlvs):
                other = next((i for i in self.images if i.index == wish.image), None)
                if wish.image >= self.count:
                    return self._drop_updates(f"image {wish.image}, which it needs, is not there")
                if other is None:
                    continue
                have = self._header(*self._wanted(other), any_magic=True)
                if have is None or have.version.compared < wish.version.compared:
                    who = "it" if new else f"image {image.number}"
                    what = f"which has {have.version}" if have else "which is not there"
                    return self._drop_updates(f"{who} needs version {wish.version} of image {other.number}, {what}")
        return None

    def _wanted(self, image: _Image) -> tuple[FlashArea, int]:
        return (image.secondary, image.download_offset) if image.type in UPGRADES else (image.primary, 0)

    def _drop_updates(self, why: str) -> None:
        for image in self.images:
            image.refused = why if image.type in UPGRADES else image.refused
            image.type = SwapType.NONE

    # Doing it

    def _perform(self, image: _Image) -> None:
        """Ref: loader.c context_boot_go, boot_perform_update."""
        if image.type is SwapType.FAIL and self.rules.mode.swaps and image.primary.trailer().image_ok is False:
            image.primary.write(image.primary.places.image_ok, b"\x01")
        if image.type not in UPGRADES:
            return
        verdict = self._check(image, image.secondary, image.download_offset)
        if not self.rules.mode.swaps:
            image.action = Action.INSTALLS
            self._copy(image)
        else:
            actions = {SwapType.PERM: Action.SWAPS_PERMANENT, SwapType.REVERT: Action.REVERTS}
            image.action = actions.get(image.type, Action.SWAPS_TEST)
            # Ref: ST loader.c boot_perform_update, MCUBOOT_BOOTSTRAP.
            if self.rules.loader is Loader.ST and not self._valid(image, image.primary):
                self._copy(image)
            else:
                size = max(self._image_size(image.primary), self._image_size(image.secondary, image.download_offset))
                if self._fits(image, size):
                    self._swap(image, SwapStatus(type=image.type), size)
                else:
                    image.action, image.refused = Action.UNKNOWN, "the primary slot has no sector free to swap with"
            self._close(image, image.type)
        if image.action is not Action.UNKNOWN:
            image.moved, image.refused = verdict, ""

    def _fits(self, image: _Image, size: int) -> bool:
        """Ref: swap_run in swap_move.c and swap_offset.c, "Not enough free space"."""
        sectors = sectors_to_swap(size, self.rules.sector) - (self.rules.mode is Mode.SWAP_OFFSET)
        return self.rules.mode is Mode.SWAP_SCRATCH or sectors * self.rules.sector < image.primary.trailer_sectors

    def _copy(self, image: _Image) -> None:
        """Ref: loader.c boot_copy_image. ST erases the download later, once the copy is validated."""
        primary, secondary = image.primary, image.secondary
        primary.erase()
        primary.copy(0, secondary, 0, primary.size)
        image.erase_download = self.rules.loader is Loader.ST
        if self.rules.loader is Loader.UPSTREAM:
            secondary.erase(0, self.rules.sector)
            secondary.erase(secondary.size - self.rules.sector)

    def _swap(self, image: _Image, status: SwapStatus, size: int) -> None:
        slots = image.primary, image.secondary
        if self.rules.mode is Mode.SWAP_MOVE:
            swap_by_moving(*slots, image.index, status, size)
        elif self.rules.mode is Mode.SWAP_OFFSET:
            reverts = SwapType.REVERT in (status.type, self._swap_type(image))
            swap_by_offset(*slots, image.index, status, size, reverts=reverts)
        else:
            assert self.scratch is not None
            swap_by_scratch(*slots, self.scratch, image.index, status, size)

    def _close(self, image: _Image, kind: SwapType) -> None:
        """Set the flags behind a swap. Ref: boot_perform_update, boot_complete_partial_swap."""
        primary = image.primary
        if kind in (SwapType.REVERT, SwapType.PERM) and primary.trailer().image_ok is False:
            primary.write(primary.places.image_ok, b"\x01")
        if kind in UPGRADES:
            primary.write(primary.places.copy_done, b"\x01")

    def _check_primaries(self) -> bool:
        """Ref: loader.c context_boot_go, the last loop."""
        for image in self.images:
            refused = image.refused
            valid, image.refused = self._valid(image, image.primary), refused
            if not valid:
                self.failed = image
                return False
            if image.erase_download:
                image.secondary.erase()
        return True

    # Direct-XIP and RAM-load

    def _select(self) -> bool:
        """Ref: loader.c boot_load_and_validate_images of MCUBOOT_DIRECT_XIP, boot_verify_dependencies."""
        usable = {i.index: [a for a in (i.primary, i.secondary) if not self._header_unfit(a)] for i in self.images}
        while True:
            for image in self.images:
                while image.active is None:
                    slots = usable[image.index]
                    if not slots:
                        return False
                    # Of equal versions the first slot's: max() keeps the first of equal ones.
                    area = max(slots, key=self._version)
                    if self._select_slot(image, area):
                        image.active = area
                    else:
                        slots.remove(area)
            # A boot loader of one image is built without dependencies.
            unmet = next((i for i in self.images if self.count > 1 and not self._met(i)), None)
            if unmet is None:
                return True
            usable[unmet.index].remove(unmet.active)  # type: ignore[arg-type]
            unmet.active = None

    def _version(self, area: FlashArea) -> tuple[int, int, int]:
        header = self._header(area)
        return header.version.compared if header else (0, 0, 0)

    def _select_slot(self, image: _Image, area: FlashArea) -> bool:
        if self.rules.mode is Mode.DIRECT_XIP_REVERT:  # Ref: boot_select_or_erase
            trailer = area.trailer()
            if not trailer.magic or (trailer.copy_done and not trailer.image_ok):
                area.erase()
                return False
            if not trailer.copy_done:
                area.write(area.places.copy_done, b"\x01")
        if self.rules.mode is Mode.RAM_LOAD and not self._loads(image, area):
            area.erase()  # Ref: boot_remove_image_from_flash
            return False
        return self._valid(image, area)

    def _loads(self, image: _Image, area: FlashArea) -> bool:
        """Ref: ram_load.c boot_load_image_to_sram."""
        place = self._ram(area)
        others = [self._ram(i.active) for i in self.images if i is not image and i.active is not None]
        # What begins where this one ends counts as overlapping, the other way round not. Ref: do_regions_overlap.
        return place is not None and not any(o and o[0] <= place[1] and o[1] > place[0] for o in others)

    def _ram(self, area: FlashArea) -> tuple[int, int] | None:
        header, tlvs = self._header(area), self._tlvs(area)
        if header is None or tlvs is None or not header.flags & Flag.RAM_LOAD:
            return None
        return header.load_address, header.load_address + tlvs.size

    def _met(self, image: _Image) -> bool:
        tlvs = self._tlvs(image.active) if image.active else None
        for wish in dependencies(tlvs) if tlvs else ():
            other = next((i for i in self.images if i.index == wish.image), None)
            if wish.image >= self.count or (
                other and (other.active is None or self._version(other.active) < wish.version.compared)
            ):
                return False
        return True

    # The answer

    def _answer(self, image: _Image) -> NextBoot:
        action, area = image.action, image.active or image.primary
        if action is Action.UNKNOWN:
            starts = Action.STARTS_SECONDARY if area is image.secondary else Action.STARTS_PRIMARY
            refused = image.marked and image.refused and not self.rules.mode.in_place
            action = Action.REFUSES if refused else starts if self.started else Action.NOTHING
        header = self._header(area) if self.started else None
        version, changes = header.version if header else None, image.primary.changed or image.secondary.changed
        text = self._sentence(image, action, version)
        return NextBoot(image.number, action, version, changes, text, image.interrupted)

    def _sentence(self, image: _Image, action: Action, version: Version | None) -> str:
        st = self.rules.loader is Loader.ST
        if image.stuck:
            return (
                "nothing starts any more: a swap was cut and its swap_size does not fit the slots"
                f" (0x{image.primary.swap_size():08X}), which leads the boot loader out of the flash; program it anew"
            )
        runs = f"version {version} runs then" if version else "nothing valid stands in the primary slot then"
        download = "the image in the download slot"
        cleared = "the whole download slot" if st else "the download slot's first and last sector"
        erased = not image.stuck and bool((image.secondary.data == 0xFF).all()) and image.secondary.changed
        texts = {
            Action.INSTALLS: f"the boot loader copies {download} over the primary slot, validates the copy and erases"
            f" {cleared}; {runs}",
            Action.SWAPS_TEST: f"the boot loader swaps the slots for a test; {runs}, and must confirm itself or is"
            " swapped back at the boot after",
            Action.SWAPS_PERMANENT: f"the boot loader swaps the slots for good; {runs}",
            Action.REVERTS: f"the boot loader swaps back: the running image never confirmed itself (image_ok); {runs}",
            Action.RESUMES: f"the boot loader finishes the swap that was cut; {runs}",
            Action.REFUSES: f"the boot loader does not take {download}: {image.refused}"
            + (f", and erases {'the slot' if erased else 'a part of it'}" if image.secondary.changed else "")
            + (f"; version {version} in the primary slot is started" if version else "; nothing is there to start"),
            Action.STARTS_PRIMARY: f"the boot loader starts version {version} in the primary slot",
            Action.STARTS_SECONDARY: f"the boot loader starts version {version} in the second slot, where it stands",
            Action.NOTHING: (
                f"nothing is started: image {self.failed.number} has no valid image in its primary slot"
                if self.failed and self.failed is not image
                else "the boot loader finds no valid image to start"
            )
            + ("; ST's goes to the ROM boot loader or stops" if st else "; it stops"),
        }
        if action is Action.STARTS_PRIMARY and image.type is SwapType.NONE and image.refused and image.primary.changed:
            return texts[action] + f"; it does not swap back: {image.refused}"
        return texts[action]
