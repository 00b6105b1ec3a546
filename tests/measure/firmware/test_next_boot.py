"""What the next boot does, against the boot loaders themselves.

``states/loader_states.jsonl`` holds flash states of our own with what the real boot loaders did next: upstream MCUboot
2d4bacc3 and ST's stm32-mw-mcuboot v1.7.2.39, compiled for a PC over a simulated flash (8 KiB sectors, writes of 16
bytes, hash check only), power taken away at writes and erases of their own. A line: loader, mode, images, the flash
(8 KiB of boot area, two slots of 64 KiB for each image, 16 KiB of scratch; zlib, base85), and for each image the version
in its primary slot afterwards (direct-XIP: of the slot that was started, image 0 only) and whether its slots changed.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from h5diag.chip import load_chip
from h5diag.evidence.texts import parse_log
from h5diag.layout import Layout, Loader, Mode, Role, Security, Slot
from h5diag.measure.firmware import Action, BootStates, State, boot_states
from h5diag.memory import AddressRange, MemoryImage

BASE, SECTOR, SLOT = 0x08000000, 0x2000, 0x10000
_LINES = (Path(__file__).parent / "states" / "loader_states.jsonl").read_text("ascii")
STATES = [json.loads(line) for line in _LINES.splitlines()]
NOTHING = AddressRange(BASE, BASE)


def layout_of(loader: str, mode: str, images: int) -> Layout:
    slots = [Slot("boot", None, Role.BOOT, Security.SECURE, AddressRange(BASE, BASE + SECTOR))]
    at = BASE + SECTOR
    for image in range(images):
        for role in (Role.PRIMARY, Role.SECONDARY):
            name = f"{image} {role.value}"
            slots.append(Slot(name, image, role, Security.SECURE, AddressRange(at, at + SLOT)))
            at += SLOT
    if mode == "swap-scratch":
        slots.append(Slot("scratch", None, Role.SCRATCH, Security.SECURE, AddressRange(at, at + 2 * SECTOR)))
    chip = load_chip("stm32h563zi")
    return Layout("test", chip, Mode(mode), tuple(slots), NOTHING, NOTHING, "test", Loader(loader))


def flash_of(state: dict) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b85decode(state["flash"])), np.uint8).copy()


def examine(state: dict, flash: np.ndarray | None = None) -> BootStates:
    data = flash_of(state) if flash is None else flash
    layout = layout_of(state["loader"], state["mode"], state["images"])
    return boot_states(MemoryImage.from_bytes(data, BASE), layout)


@pytest.mark.parametrize("state", STATES, ids=lambda s: s["id"])
def test_the_next_boot_is_what_the_boot_loader_did(state):
    found = examine(state)
    assert [n.image for n in found.next_boot] == list(range(state["images"]))
    for n, truth in zip(found.next_boot, state["next_boot"], strict=True):
        if truth["version"] != "any":
            assert (n.version.short if n.version else None) == truth["version"], n.text
        assert n.changes_flash == truth["changes_flash"], n.text
        if "slot" in truth:
            assert n.action.value == f"starts-{truth['slot']}"
        assert n.text


def test_every_action_and_every_mode_is_among_the_states():
    actions = {n.action for s in STATES for n in examine(s).next_boot}
    assert actions == set(Action) - {Action.UNKNOWN}
    assert {(s["loader"], s["mode"]) for s in STATES} == {
        ("st", "overwrite"),
        ("st", "swap-scratch"),
        *(("upstream", m.value) for m in Mode),
    }


def test_in_a_cut_swap_every_slot_of_the_image_is_interrupted_and_explained():
    seen = 0
    for state in STATES:
        found = examine(state)
        for n in found.next_boot:
            if n.action is Action.RESUMES:
                own = [s for s in found.slots if s.slot.image == n.image]
                assert {s.state for s in own} == {State.INTERRUPTED}
                assert all("next boot" in s.reason for s in own)
                if n.version:
                    seen += 1
                    ranges = {e.range for e in found.explained}
                    assert all(AddressRange(s.content.address, s.content.stop) in ranges for s in own)
    assert seen > 5


def test_one_wrong_byte_in_a_cut_swap_explains_nothing():
    """The negative control: what does not end in a valid image is no interrupted swap that explains the slots."""
    tried = 0
    for state in STATES:
        found = examine(state)
        resumed = [n for n in found.next_boot if n.action is Action.RESUMES and n.version]
        if not resumed or state["images"] > 1:
            continue
        flash = flash_of(state)
        primary = next(s.slot.range for s in found.slots if s.slot.role is Role.PRIMARY)
        for name in ("primary", "secondary", "scratch"):
            areas = [s for s in layout_of(state["loader"], state["mode"], 1).slots if name in s.name]
            for area in areas:
                flash[area.range.start - BASE + 0x600] ^= 0x10
        changed = examine(state, flash)
        if changed.next_boot[0].version is None:
            tried += 1
            assert not any(e.range == primary for e in changed.explained)
    assert tried >= 3


@pytest.mark.parametrize("mode", ["overwrite", "swap-scratch"])
def test_what_the_dump_does_not_show_is_not_guessed(mode):
    state = next(s for s in STATES if s["mode"] == mode and s["images"] == 1 and s["loader"] == "st")
    layout = layout_of("st", mode, 1)
    whole = MemoryImage.from_bytes(flash_of(state), BASE)
    part = boot_states(whole.crop(BASE, BASE + SECTOR + SLOT), layout)
    assert [n.action for n in part.next_boot] == [Action.UNKNOWN]
    assert part.next_boot[0].text.startswith("not known: ")
    assert "not in the dump" in part.next_boot[0].text
    masked = flash_of(state)
    masked[SECTOR : SECTOR + SLOT] = 0
    hidden = boot_states(MemoryImage.from_bytes(masked, BASE), layout)
    assert hidden.next_boot[0].action is Action.UNKNOWN


def test_whose_loader_is_told_by_the_magic_and_else_assumed():
    state = next(s for s in STATES if s["loader"] == "upstream" and s["mode"] == "overwrite" and s["images"] == 1)
    plain = layout_of("st", "overwrite", 1)
    untold = Layout("x", plain.chip, plain.mode, plain.slots, NOTHING, NOTHING, "test")
    flash = flash_of(state)
    flash[SECTOR + 2 * SLOT - 16 : SECTOR + 2 * SLOT] = np.frombuffer(
        bytes.fromhex("10002de15d29410b8d77679c110f1f8a"), np.uint8
    )
    told = boot_states(MemoryImage.from_bytes(flash, BASE), untold)
    assert (told.choice.rules.loader, told.choice.assumed) == (Loader.UPSTREAM, False)
    empty = boot_states(MemoryImage.from_bytes(np.full(flash.size, 0xFF, np.uint8), BASE), untold)
    assert empty.choice.assumed
    assert "assumed" in empty.choice.text
    words = np.full(flash.size, 0xFF, np.uint8)
    words[0x400:0x41A] = np.frombuffer(b"Starting swap using move a", np.uint8)
    by_string = boot_states(MemoryImage.from_bytes(words, BASE), untold)
    assert (by_string.choice.rules.loader, by_string.choice.rules.mode) == (Loader.UPSTREAM, Mode.SWAP_MOVE)
    given = boot_states(MemoryImage.from_bytes(flash, BASE), untold, loader=Loader.ST, mode=Mode.SWAP_SCRATCH)
    assert given.choice.rules.loader is Loader.ST
    assert given.choice.rules.mode is Mode.SWAP_SCRATCH


@pytest.mark.parametrize(
    ("lines", "loader", "mode"),
    [
        ("[INF] Starting validation of primary slot(s)\n[INF] Swap type: none", Loader.ST, Mode.OVERWRITE),
        ("I: Image index: 0, Swap type: none\nI: Bootloader chainload address offset", Loader.UPSTREAM, Mode.OVERWRITE),
        ("I: Starting bootloader\nI: Starting swap using move algorithm.", Loader.UPSTREAM, Mode.SWAP_MOVE),
        ("I: Starting swap using offset algorithm.\nI: Image index: 1, Swap type: test", None, Mode.SWAP_OFFSET),
        ("*** Booting MCUboot v2.2.0 ***\n[INF] Image 0 loaded from the primary slot", None, Mode.DIRECT_XIP),
        ("[INF] Image 0 RAM loading to 0x20000000 is succeeded.\n[INF] Image 0 loaded from the x", None, Mode.RAM_LOAD),
        ("I: Starting bootloader\nI: Jumping to the first image slot", None, Mode.OVERWRITE),
    ],
)
def test_the_boot_log_tells_whose_loader_it_is_and_how_it_installs(lines, loader, mode):
    for whose in Loader:  # whatever the layout says: the board itself printed it
        layout, flash = layout_of(whose.value, "overwrite", 1), np.full(SECTOR + 2 * SLOT, 0xFF, np.uint8)
        known = parse_log(f"{lines}\n").boot
        choice = boot_states(MemoryImage.from_bytes(flash, BASE), layout, log=known).choice
        due = loader or (Loader.UPSTREAM if mode is not Mode.OVERWRITE else whose)
        assert (choice.rules.loader, choice.rules.mode) == (due, mode)
        assert ("by the boot log" in choice.text) == (
            due is not whose or mode is not Mode.OVERWRITE or "Jump" not in lines
        )
        assert ("; the layout is " in choice.text) == (due is not whose)
        given = boot_states(MemoryImage.from_bytes(flash, BASE), layout, log=known, loader=whose, mode=Mode.SWAP_MOVE)
        assert (given.choice.rules.loader, given.choice.rules.mode) == (whose, Mode.SWAP_MOVE)


def test_a_direct_xip_log_does_not_deny_the_revert_that_the_layout_tells():
    layout, flash = layout_of("upstream", "direct-xip-revert", 1), np.full(SECTOR + 2 * SLOT, 0xFF, np.uint8)
    log = parse_log("*** Booting MCUboot v2.2.0 ***\n[INF] Image 0 loaded from the primary slot\n").boot
    assert boot_states(MemoryImage.from_bytes(flash, BASE), layout, log=log).choice.rules.mode is Mode.DIRECT_XIP_REVERT


def test_an_erased_swap_size_is_named_as_the_brick():
    cut = [s for s in STATES if s["mode"] == "swap-scratch" and examine(s).next_boot[0].action is Action.RESUMES]
    flash = flash_of(cut[0])
    for stop in (SECTOR + SLOT, flash.size):
        flash[stop - 0x50 : stop - 0x4C] = 0xFF
    n = examine(cut[0], flash).next_boot[0]
    assert (n.action, n.version, n.changes_flash) == (Action.NOTHING, None, False)
    assert "swap_size" in n.text
