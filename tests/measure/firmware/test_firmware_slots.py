"""Slot states, next boot and trailers, on boards put together from images of imgtool."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pytest
from imgtool_images import CODE, Workshop

from h5diag.evidence.keys import load_decrypt_key, load_verify_key
from h5diag.layout import Layout, Loader, load_layout
from h5diag.measure.firmware import (
    Action,
    Check,
    Magic,
    SlotState,
    State,
    TrailerFlag,
    boot_states,
    examine_images,
    image_state,
    parse_trailer,
)
from h5diag.measure.firmware.trailer import ALIGNED_MAGIC_TAIL, CLASSIC_MAGIC
from h5diag.memory import AddressRange, MemoryImage, Segment

SLOT = 0x6000
PRIMARY, NS_PRIMARY, SECONDARY, NS_SECONDARY = 0x18000, 0x1E000, 0xBE000, 0xC4000
PAYLOAD = CODE * 6
FLAT = ("--overwrite-only", "--align", "8", "--pad")


@dataclass(frozen=True)
class Images:
    init: bytes
    download: bytes
    newer: bytes
    unmarked: bytes
    aligned: bytes


@pytest.fixture(scope="module")
def images(workshop: Workshop) -> Images:
    common = {"payload": PAYLOAD, "key": "ecdsa-p256", "encrypt": "ecdsa-p256", "header": 0x400}
    return Images(
        init=workshop.sign("-c", "--confirm", "-M", "4", "--align", "8", **common),
        download=workshop.sign(*FLAT, **common),
        newer=workshop.sign(*FLAT, **(common | {"version": "2.0.0"})),
        unmarked=workshop.sign(**common),
        aligned=workshop.sign("--overwrite-only", "--align", "16", "--pad", **common),
    )


@pytest.fixture(scope="module")
def layout() -> Layout:
    return load_layout("oemirot-2m-overwrite")


@pytest.fixture(scope="module")
def swapping() -> Layout:
    return load_layout("oemirot-2m-swap")


def board(*pieces: tuple[int, bytes], base: int = 0x0C000000, size: int = 0x170000) -> MemoryImage:
    flash = np.full(size, 0xFF, np.uint8)
    for offset, data in pieces:
        flash[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
    return MemoryImage.from_bytes(flash, base)


def states(memory: MemoryImage, layout: Layout, **options: object) -> dict[str, SlotState]:
    return {s.slot.name: s for s in boot_states(memory, layout, **options).slots}  # type: ignore[arg-type]


def test_good_board_of_a_current_package(images: Images, layout: Layout) -> None:
    s = states(board((PRIMARY, images.init), (NS_PRIMARY, images.init)), layout)
    assert [s[n].state for n in s] == [State.INSTALLED, State.INSTALLED, State.EMPTY, State.EMPTY]
    assert s["secure primary"].next_boot.action is Action.STARTS_PRIMARY
    assert "confirmed" in s["secure primary"].reason
    assert not any(x.open_points for x in s.values())


def test_pending_install_of_the_founding_case(images: Images, layout: Layout, workshop: Workshop) -> None:
    memory = board((SECONDARY, images.download), (NS_PRIMARY, images.init))
    s = states(memory, layout)
    assert s["secure secondary"].state is State.INSTALL_PENDING
    assert s["secure primary"].state is State.EMPTY
    assert s["secure primary"].next_boot.action is Action.INSTALLS
    assert "not checked" in s["secure secondary"].reason
    keyed = states(memory, layout, decrypt_keys=[load_decrypt_key(workshop.key("ecdsa-p256"))])
    assert "hash valid" in keyed["secure secondary"].reason
    other = states(memory, layout, verify_keys=[load_verify_key(workshop.public("ecdsa-p256"))])
    assert other["secure secondary"].state is State.INSTALL_PENDING


def test_update_pending(images: Images, layout: Layout) -> None:
    s = states(board((PRIMARY, images.init), (SECONDARY, images.newer), (NS_PRIMARY, images.init)), layout)
    assert (s["secure primary"].state, s["secure secondary"].state) == (State.INSTALLED, State.INSTALL_PENDING)
    assert "update waits" in s["secure primary"].reason
    assert s["secure primary"].next_boot.action is Action.INSTALLS


@pytest.mark.parametrize(
    ("tail", "word", "magic"),
    [
        (b"\xff" * 16, "never marked", Magic.UNSET),
        (bytes(16), "zeros", Magic.ZERO),
        (b"\x55" * 16, "other bytes", Magic.OTHER),
    ],
)
def test_never_taken(images: Images, layout: Layout, tail: bytes, word: str, magic: Magic) -> None:
    s = states(board((SECONDARY, images.download[:-16] + tail)), layout)["secure secondary"]
    assert (s.state, s.content.trailer.magic) == (State.NEVER_TAKEN, magic)
    assert word in s.reason
    assert s.next_boot.action is Action.NOTHING


def test_newer_magic_is_refused_by_st_and_taken_by_upstream(images: Images, layout: Layout) -> None:
    memory = board((SECONDARY, images.aligned), (NS_PRIMARY, images.init))
    st = states(memory, layout)["secure secondary"]
    assert st.state is State.NEVER_TAKEN
    assert "refuses" in st.reason
    assert st.content.trailer.alignment == 16
    upstream = states(memory, layout, loader=Loader.UPSTREAM)["secure secondary"]
    assert upstream.state is State.INSTALL_PENDING
    assert upstream.next_boot.action is Action.INSTALLS
    assert "first and last sector" in upstream.next_boot.text
    classic = states(board((SECONDARY, images.download)), layout, loader=Loader.UPSTREAM)["secure secondary"]
    assert classic.state is State.NEVER_TAKEN


def test_upstream_leaves_the_rest_of_an_installed_image(images: Images, layout: Layout) -> None:
    left = b"\xff" * 0x2000 + images.download[0x2000:0x4000]
    s = states(board((PRIMARY, images.init), (SECONDARY, left)), layout, loader=Loader.UPSTREAM)
    assert s["secure secondary"].state is State.EMPTY
    assert "upstream" in s["secure secondary"].reason


def test_zeros_from_the_middle_of_a_sector_are_an_open_point(images: Images, layout: Layout) -> None:
    end = len(images.unmarked)
    zeros = bytes(0x6000 - end)
    s = states(board((SECONDARY, images.unmarked + zeros)), layout)["secure secondary"]
    assert s.state is State.NEVER_TAKEN
    assert len(s.open_points) == 1
    assert f"0x{0x0C000000 + SECONDARY + end:08X}" in s.open_points[0]
    whole = states(board((SECONDARY, images.unmarked), (SECONDARY + 0x4000, bytes(0x2000))), layout)["secure secondary"]
    assert not whole.open_points


def test_masked_slot_is_unknown_not_empty(images: Images, layout: Layout) -> None:
    s = states(board((PRIMARY, bytes(SLOT)), (SECONDARY, images.download)), layout)
    assert s["secure primary"].state is State.UNKNOWN
    assert "mask" in s["secure primary"].reason


def test_of_two_views_the_one_with_content_counts(images: Images, layout: Layout) -> None:
    secure = board((PRIMARY, images.init))
    hidden = board((PRIMARY, bytes(SLOT)), base=0x08000000)
    both = MemoryImage((*secure.segments, *hidden.segments))
    s = states(both, layout)["secure primary"]
    assert s.state is State.INSTALLED
    assert s.content.address == 0x0C000000 + PRIMARY


def test_not_in_the_dump(images: Images, layout: Layout) -> None:
    s = states(MemoryImage.from_bytes(images.init, 0x08018000), layout)
    assert s["secure primary"].state is State.INSTALLED
    assert s["non-secure primary"].state is State.UNKNOWN
    part = states(MemoryImage.from_bytes(images.init[:0x1000], 0x08018000), layout)["secure primary"]
    assert part.state is State.UNKNOWN
    assert "cut short" in part.reason


def test_body_erased_under_a_valid_header(images: Images, layout: Layout) -> None:
    s = states(board((PRIMARY, images.init[:0x400])), layout)["secure primary"]
    assert s.state is State.BODY_ERASED
    tlvs = bytearray(images.init)
    tlvs[0x400 : 0x400 + len(PAYLOAD) + (-len(PAYLOAD)) % 16] = b"\xff" * (len(PAYLOAD) + (-len(PAYLOAD)) % 16)
    assert states(board((PRIMARY, bytes(tlvs))), layout)["secure primary"].state is State.BODY_ERASED


def test_interrupted_copy(images: Images, layout: Layout) -> None:
    memory = board((PRIMARY, images.init[:0x1400]), (SECONDARY, images.download), (NS_PRIMARY, images.init))
    s = states(memory, layout)
    assert s["secure primary"].state is State.INTERRUPTED
    assert s["secure secondary"].state is State.INSTALL_PENDING
    assert s["secure primary"].next_boot.action is Action.INSTALLS
    alone = states(board((PRIMARY, images.init[:0x1400])), layout)["secure primary"]
    assert alone.state is State.INTERRUPTED
    assert "0x0C019400" in alone.reason


def test_body_changed_after_signing(images: Images, layout: Layout, workshop: Workshop) -> None:
    broken = bytearray(images.init)
    broken[0x500] ^= 4
    s = states(board((PRIMARY, bytes(broken))), layout, verify_keys=[load_verify_key(workshop.public("ecdsa-p256"))])[
        "secure primary"
    ]
    assert s.state is State.DIFFERS
    assert s.next_boot.action is Action.NOTHING
    seen = s.content.images[0].verification
    assert seen.hash is Check.INVALID
    assert "changed after signing" in seen.signature_reason


def test_whole_zero_sectors_in_the_body_are_a_mask(images: Images, layout: Layout) -> None:
    hidden = bytearray(images.init)
    hidden[0x2000:0x4000] = bytes(0x2000)
    s = states(board((PRIMARY, bytes(hidden))), layout)["secure primary"]
    assert s.state is State.UNKNOWN
    assert "mask" in s.reason


def test_another_build(images: Images, layout: Layout) -> None:
    wanted = MemoryImage.from_bytes(images.newer, 0x08000000 + SECONDARY)
    s = states(board((SECONDARY, images.download)), layout, builds=[wanted])["secure secondary"]
    assert s.state is State.DIFFERS
    assert "2.0.0" in s.reason
    same = states(board((SECONDARY, images.newer)), layout, builds=[wanted])["secure secondary"]
    assert same.state is State.INSTALL_PENDING


def test_unsigned_build_that_differs(images: Images, layout: Layout, workshop: Workshop) -> None:
    same = MemoryImage.from_bytes(PAYLOAD, 0x0C000000 + PRIMARY + 0x400)
    other = bytearray(PAYLOAD)
    other[0x77] ^= 1
    changed = MemoryImage.from_bytes(bytes(other), 0x0C000000 + PRIMARY + 0x400)
    keys = [load_decrypt_key(workshop.key("ecdsa-p256"))]
    memory = board((PRIMARY, images.init), (SECONDARY, images.download))
    for build, primary, secondary in (
        (same, State.INSTALLED, State.INSTALL_PENDING),
        (changed, State.DIFFERS, State.DIFFERS),
    ):
        s = states(memory, layout, builds=[build], decrypt_keys=keys)
        assert (s["secure primary"].state, s["secure secondary"].state) == (primary, secondary)
    assert "0x0C018477" in s["secure primary"].reason
    closed = states(memory, layout, builds=[changed])
    assert closed["secure secondary"].state is State.INSTALL_PENDING
    longer = MemoryImage.from_bytes(PAYLOAD + bytes(64), 0x0C000000 + PRIMARY + 0x400)
    assert states(memory, layout, builds=[longer])["secure primary"].state is State.DIFFERS


def test_wrong_slots(images: Images, layout: Layout, workshop: Workshop) -> None:
    s = states(board((PRIMARY, images.download), (SECONDARY, images.init)), layout)
    assert s["secure primary"].state is State.WRONG_SLOT
    assert s["secure secondary"].state is State.WRONG_SLOT
    assert s["secure primary"].next_boot.action is Action.REFUSES
    shifted = board((PRIMARY + 0x1000, images.init))
    assert states(shifted, layout)["secure primary"].state is State.WRONG_SLOT
    for offset, hint in ((0x2000, True), (0x1000, False)):
        waits = states(board((SECONDARY + offset, images.init[:0x4000])), layout)["secure secondary"]
        assert waits.state is State.WRONG_SLOT
        assert ("--boot-mode swap-offset" in waits.reason) == hint
    outside = board((0x168000, images.init))
    found = examine_images(outside, layout=layout)
    assert image_state(found[0], boot_states(outside, layout).slots)[0] is State.WRONG_SLOT
    vectors = np.array([0x30008000, 0x0801E501, 0x0801E511, 0x0801E521] + [0] * 12, "<u4").tobytes()
    nonsecure = workshop.sign(payload=vectors + CODE, header=0x400)
    linked = states(board((PRIMARY, nonsecure)), layout)["secure primary"]
    assert linked.state is State.WRONG_SLOT
    assert "non-secure primary" in linked.reason
    assert states(board((NS_PRIMARY, nonsecure)), layout)["non-secure primary"].state is State.INSTALLED
    download = workshop.sign(*FLAT, payload=vectors + CODE, header=0x400, key="ecdsa-p256", encrypt="ecdsa-p256")
    keys = [load_decrypt_key(workshop.key("ecdsa-p256"))]
    opened = states(board((SECONDARY, download)), layout, decrypt_keys=keys)["secure secondary"]
    assert opened.state is State.WRONG_SLOT
    assert states(board((SECONDARY, download)), layout)["secure secondary"].state is State.INSTALL_PENDING


def test_unsigned_application(layout: Layout) -> None:
    vectors = np.array([0x30008000, 0x0C018501, 0x0C018511, 0x0C018521] + [0] * 12, "<u4").tobytes()
    s = states(board((PRIMARY, vectors + CODE)), layout)["secure primary"]
    assert s.state is State.DIFFERS
    assert "not signed" in s.reason


def test_unmet_dependency(images: Images, layout: Layout, workshop: Workshop) -> None:
    needs = workshop.sign(*FLAT, "-d", "(1, 3.0.0)", payload=PAYLOAD, header=0x400)
    old = workshop.sign(payload=PAYLOAD, header=0x400, version="2.9.0")
    s = states(board((SECONDARY, needs), (NS_PRIMARY, old)), layout)["secure secondary"]
    assert s.state is State.INSTALL_PENDING
    assert s.next_boot.action is Action.REFUSES
    assert "3.0.0" in s.next_boot.text
    new = workshop.sign(payload=PAYLOAD, header=0x400, version="3.0.0")
    assert (
        states(board((SECONDARY, needs), (NS_PRIMARY, new)), layout)["secure secondary"].next_boot.action
        is Action.INSTALLS
    )


SWAP_P, SWAP_S, SWAP_NS = 0x28000, 0xCE000, 0x2E000


def swap_trailer(
    image: bytes, *, image_ok: int = 0xFF, copy_done: int = 0xFF, info: int = 0xFF, magic: bytes = CLASSIC_MAGIC
) -> bytes:
    """Return the image padded to its slot with a trailer in units of 16, as the flash can take it."""
    slot = bytearray(image + b"\xff" * (SLOT - len(image)))
    slot[-16:] = magic
    slot[-32], slot[-48], slot[-64] = image_ok, copy_done, info
    return bytes(slot)


def test_swap_states(images: Images, swapping: Layout, workshop: Workshop) -> None:
    old = workshop.sign(payload=PAYLOAD, header=0x400, version="1.0.0")
    new = workshop.sign(payload=PAYLOAD, header=0x400, version="2.0.0")
    unset = b"\xff" * 16
    pending = states(board((SWAP_P, old), (SWAP_S, swap_trailer(new)), (SWAP_NS, old)), swapping)
    assert pending["secure secondary"].state is State.INSTALL_PENDING
    assert "for a test" in pending["secure secondary"].next_boot.text
    forever = states(board((SWAP_P, old), (SWAP_S, swap_trailer(new, image_ok=1)), (SWAP_NS, old)), swapping)
    assert "for good" in forever["secure secondary"].next_boot.text
    testing = states(
        board(
            (SWAP_P, swap_trailer(new, copy_done=1, info=2)), (SWAP_S, swap_trailer(old, magic=unset)), (SWAP_NS, old)
        ),
        swapping,
    )
    assert testing["secure primary"].state is State.INSTALLED
    assert testing["secure primary"].next_boot.action is Action.REVERTS
    assert testing["secure secondary"].state is State.INSTALLED
    reverted = states(
        board((SWAP_P, swap_trailer(old, copy_done=1, image_ok=1, info=4)), (SWAP_S, swap_trailer(new, magic=unset))),
        swapping,
    )
    assert reverted["secure primary"].state is State.INSTALLED
    assert reverted["secure secondary"].state is State.REVERTED
    confirmed = states(
        board((SWAP_P, swap_trailer(new, copy_done=1, image_ok=1, info=2)), (SWAP_S, swap_trailer(old, magic=unset))),
        swapping,
    )
    assert confirmed["secure secondary"].state is State.INSTALLED
    assert "previous image" in confirmed["secure secondary"].reason
    cut = states(board((SWAP_P, swap_trailer(old, info=2)), (SWAP_S, swap_trailer(new, magic=unset))), swapping)
    assert cut["secure primary"].state is State.INTERRUPTED
    assert cut["secure secondary"].state is State.INTERRUPTED
    # No status entry was written yet: the swap begins anew.
    assert cut["secure primary"].next_boot.action is Action.SWAPS_TEST


def test_swap_cut_while_the_scratch_area_holds_the_status(swapping: Layout, workshop: Workshop) -> None:
    old = workshop.sign(payload=PAYLOAD, header=0x400, version="1.0.0")
    scratch = bytearray(b"\xff" * 0x10000)
    scratch[:0x2000], scratch[-16:], scratch[-64] = old[:0x2000], CLASSIC_MAGIC, 0x02
    memory = board((0x18000, bytes(scratch)), (SWAP_P + 0x2000, old[0x2000:]), (0x2E000, old))
    s = states(memory, swapping)
    assert s["secure primary"].state is State.INTERRUPTED
    assert s["non-secure primary"].state is State.INSTALLED
    scratch[-64] = 0x12
    other = states(board((0x18000, bytes(scratch)), (SWAP_P, old), (0x2E000, old), size=0x180000), swapping)
    assert (other["secure primary"].state, other["non-secure primary"].state) == (State.INSTALLED, State.INTERRUPTED)


def test_signed_boot_loader_is_not_called_misplaced(images: Images, layout: Layout) -> None:
    memory = board((0, images.init))
    found = examine_images(memory, layout=layout)
    assert image_state(found[0], boot_states(memory, layout).slots)[0] is State.UNKNOWN


def test_without_a_layout_the_image_says_what_it_can(images: Images) -> None:
    for data, state in (
        (images.download, State.INSTALL_PENDING),
        (images.aligned, State.UNKNOWN),  # upstream's boot loader takes it, ST's does not
        (images.init, State.UNKNOWN),
        (images.init[:0x400] + b"\xff" * 0x4000, State.BODY_ERASED),
    ):
        found = examine_images(MemoryImage.from_bytes(data, 0x08000000))
        assert image_state(found[0], ())[0] is state


def test_gap_inside_an_image(images: Images, layout: Layout) -> None:
    whole = board((PRIMARY, images.init))
    start = 0x0C000000 + PRIMARY
    first, second = whole.read(0x0C000000, start + 0x1000), whole.read(start + 0x1100, 0x0C000000 + 0x170000)
    holed = MemoryImage(
        (Segment(0x0C000000, first), Segment(start + 0x1100, second)),
        unreadable=(AddressRange(start + 0x1000, start + 0x1100),),
    )
    s = states(holed, layout)["secure primary"]
    assert s.state is State.UNKNOWN
    assert "0x0C019000" in s.reason


# --- trailers, literal bytes ---------------------------------------------------------------------------------


def aligned_magic(alignment: int) -> bytes:
    return alignment.to_bytes(2, "little") + ALIGNED_MAGIC_TAIL


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"\xff" * 64, (Magic.UNSET, TrailerFlag.UNSET, TrailerFlag.UNSET)),
        (bytes(64), (Magic.ZERO, TrailerFlag.UNSET, TrailerFlag.UNSET)),
        (b"\xff" * 48 + CLASSIC_MAGIC, (Magic.CLASSIC, TrailerFlag.UNSET, TrailerFlag.UNSET)),
        (b"\xff" * 40 + b"\x01" + b"\xff" * 7 + CLASSIC_MAGIC, (Magic.CLASSIC, TrailerFlag.SET, TrailerFlag.UNSET)),
        (
            b"\xff" * 32 + b"\x01" + b"\xff" * 7 + b"\x01" + b"\xff" * 7 + CLASSIC_MAGIC,
            (Magic.CLASSIC, TrailerFlag.SET, TrailerFlag.SET),
        ),
        (b"\xff" * 32 + b"\x01" + b"\xff" * 15 + CLASSIC_MAGIC, (Magic.CLASSIC, TrailerFlag.SET, TrailerFlag.UNSET)),
        (b"\xff" * 40 + b"\x33" + b"\xff" * 7 + CLASSIC_MAGIC, (Magic.CLASSIC, TrailerFlag.BAD, TrailerFlag.UNSET)),
        (
            b"\xff" * 32 + b"\x01" + b"\xff" * 15 + aligned_magic(16),
            (Magic.ALIGNED, TrailerFlag.SET, TrailerFlag.UNSET),
        ),
        (
            b"\x01" + b"\xff" * 31 + b"\xff" * 16 + aligned_magic(32),
            (Magic.ALIGNED, TrailerFlag.SET, TrailerFlag.UNREAD),
        ),
        (b"\xff" * 48 + aligned_magic(5), (Magic.OTHER, TrailerFlag.UNREAD, TrailerFlag.UNREAD)),
        (CLASSIC_MAGIC, (Magic.CLASSIC, TrailerFlag.UNREAD, TrailerFlag.UNREAD)),
        (CLASSIC_MAGIC[1:], (Magic.UNREAD, TrailerFlag.UNREAD, TrailerFlag.UNREAD)),
        (b"", (Magic.UNREAD, TrailerFlag.UNREAD, TrailerFlag.UNREAD)),
    ],
)
def test_trailers(tail: bytes, expected: tuple[Magic, TrailerFlag, TrailerFlag]) -> None:
    t = parse_trailer(tail, program_unit=16)
    assert (t.magic, t.image_ok, t.copy_done) == expected


def test_swap_status_entries_are_counted_behind_the_image_only(
    images: Images, swapping: Layout, workshop: Workshop
) -> None:
    old = workshop.sign(payload=PAYLOAD, header=0x400, version="1.0.0")
    half = bytearray(swap_trailer(old))
    for n in range(5):
        half[-0x400 + 16 * n] = 1 + n % 3
    s = states(board((SWAP_P, bytes(half))), swapping)["secure primary"]
    assert s.content.trailer.status_entries == 5
    assert s.state is State.INTERRUPTED
    full = workshop.sign(payload=b"\x01" + b"\xff" * 15 + (b"\x02" + b"\xff" * 15) * 0x540, header=0x400)
    assert 0x6000 - len(full) < 0x900
    s = states(board((SWAP_P, swap_trailer(full))), swapping)["secure primary"]
    assert s.content.trailer.status_entries == 0


def test_trailer_of_a_padded_hex_file(workshop: Workshop, layout: Layout) -> None:
    """imgtool writes only the fields that it sets: the rest of the trailer is no part of the file."""
    from h5diag.evidence.files import read_image

    workshop.sign(
        "-c",
        "--confirm",
        "-M",
        "4",
        "--align",
        "8",
        "-x",
        "0x8018000",
        payload=PAYLOAD,
        key="ecdsa-p256",
        encrypt="ecdsa-p256",
        header=0x400,
        suffix=".hex",
    )
    memory = read_image(workshop.folder / "image.hex")
    assert len(memory.segments) == 2
    for found in (examine_images(memory), examine_images(memory, layout=layout)):
        t = found[0].trailer
        assert (t.magic, t.image_ok, t.copy_done) == (Magic.CLASSIC, TrailerFlag.SET, TrailerFlag.UNREAD)
    assert states(memory, layout)["secure primary"].state is State.INSTALLED


def test_trailer_at_every_truncation() -> None:
    whole = hashlib.sha256(b"x").digest() * 4 + b"\x01" + b"\xff" * 7 + CLASSIC_MAGIC
    for size in range(len(whole)):
        t = parse_trailer(whole[len(whole) - size :], program_unit=8)
        assert (t.magic is Magic.UNREAD) == (size < 16)


@pytest.mark.parametrize(
    ("options", "alignment", "magic"),
    [
        (("--confirm", "--align", "8"), 8, Magic.CLASSIC),
        (("--confirm", "--align", "16"), 16, Magic.ALIGNED),
        (("--confirm", "--align", "32"), 32, Magic.ALIGNED),
        (("--confirm", "--align", "16", "--max-align", "8"), 8, Magic.CLASSIC),
    ],
)
def test_confirmed_trailers_of_imgtool(
    workshop: Workshop, options: tuple[str, ...], alignment: int, magic: Magic
) -> None:
    image = workshop.sign(*options, "-M", "4")
    t = parse_trailer(image, program_unit=16)
    assert (t.magic, t.alignment, t.image_ok, t.copy_done) == (magic, alignment, TrailerFlag.SET, TrailerFlag.UNSET)


def test_damaged_trailer_magic_is_told_from_other_bytes(images: Images, layout: Layout) -> None:
    damaged = bytearray(images.download)
    damaged[-3] ^= 0x11
    s = states(board((SECONDARY, bytes(damaged))), layout)["secure secondary"]
    assert s.state is State.NEVER_TAKEN
    assert "2 bits off" in s.reason


def test_damage_under_a_waiting_update_stays_damage(images: Images, layout: Layout) -> None:
    broken = bytearray(images.init)
    broken[0x500] ^= 4
    s = states(board((PRIMARY, bytes(broken)), (SECONDARY, images.newer)), layout)
    assert s["secure primary"].state is State.DIFFERS
    half = states(board((PRIMARY, images.init[:0x1400]), (SECONDARY, images.newer)), layout)["secure primary"]
    assert "starts over" not in half.reason


def test_signature_by_another_key(images: Images, layout: Layout, workshop: Workshop) -> None:
    other = [load_verify_key(workshop.public("ecdsa-p256-other"))]
    s = states(board((PRIMARY, images.init), (NS_PRIMARY, images.init)), layout, verify_keys=other)["secure primary"]
    assert s.state is State.INSTALLED
    assert "another key" in s.reason
    assert s.next_boot.action is Action.STARTS_PRIMARY
    assert "if it trusts the key that signed it" in s.next_boot.text
    own = [load_verify_key(workshop.public("ecdsa-p256"))]
    sure = states(board((PRIMARY, images.init), (SECONDARY, images.newer)), layout, verify_keys=own)
    assert "trusts" not in sure["secure primary"].next_boot.text
    plain = workshop.sign("--pad", payload=PAYLOAD, key="ecdsa-p256", header=0x400, version="9.0.0")
    waits = states(board((PRIMARY, images.init), (SECONDARY, plain), (NS_PRIMARY, plain)), layout, verify_keys=other)
    assert waits["secure primary"].next_boot.action is Action.INSTALLS
    assert "signed with another key than those given" in waits["secure secondary"].reason
    assert "if it trusts the key that signed it" in waits["secure primary"].next_boot.text
    unsigned = workshop.sign(payload=PAYLOAD, header=0x400)
    s = states(board((PRIMARY, unsigned)), layout, verify_keys=other)["secure primary"]
    assert s.state is State.DIFFERS
    assert s.next_boot.action is Action.NOTHING


def test_image_seen_through_both_aliases(images: Images, layout: Layout) -> None:
    secure = board((PRIMARY, images.init))
    both = MemoryImage((*secure.segments, *secure.shifted(-0x04000000).segments))
    found = examine_images(both, layout=layout)
    assert len(found) == 2
    judged = [image_state(i, boot_states(both, layout, examined=found).slots) for i in found]
    assert [j[0] for j in judged] == [State.INSTALLED, State.INSTALLED]
