"""Causes that show in texts and records alone, and the board that has none."""

from __future__ import annotations

from . import synth, texts
from .records import flash_test, identity
from .scene import FLASH_2M, Scene


def sound(scene: Scene) -> None:
    """Leave the board as it is; add records that show nothing."""
    scene.reads = int(scene.rng.integers(1, 4))
    if scene.rng.random() < 0.2:  # the same oddity on both boards is no difference
        for board in (scene.good, scene.suspect):
            board.banner["SFSP Version"] = "v45.48.46"
    if scene.slots is not None and scene.rng.random() < 0.3:  # both masked alike
        for board in (scene.good, scene.suspect):
            board.reader = "nonsecure"
    if scene.rng.random() < 0.5:
        scene.info = identity(scene)
        scene.marking = "STM32H563ZIT6" if len(scene.suspect.cells) == FLASH_2M else "STM32H563ZGT6"
    if scene.rng.random() < 0.3:
        scene.later = scene.suspect.copy()
    if scene.rng.random() < 0.3:
        scene.sweep = {"sweep": [{"swd_hz": hz, "bytes": 0x40000, "disagreeing": 0} for hz in (1_000_000, 8_000_000)]}
    if scene.rng.random() < 0.3 and scene.slots is None:
        scene.flashtest = flash_test(scene, 0x1E0000, [])


def debug_locked(scene: Scene) -> None:
    """Let the port be closed: no dump, no listing, a refusal or a discovery that names the life cycle."""
    scene.dumps = scene.listing = False
    kind = str(scene.rng.choice(["port", "rdp", "discovery"]))
    state = str(scene.rng.choice(["ST_LIFECYCLE_CLOSED", "ST_LIFECYCLE_LOCKED", "ST_LIFECYCLE_TZ_CLOSED"]))
    scene.suspect_log = texts.discovery(state) if kind == "discovery" else texts.refused_connection(kind)


def loader_bypassed(scene: Scene) -> None:
    """Give a log in which the tool reads the external window and never calls Init."""
    scene.dumps = False
    scene.loader = (synth.loader_elf(scene.rng, 0x20003000), texts.loader_log("bypassed", 0x20003000, 0x20003005))


def loader_mislinked(scene: Scene) -> None:
    """Link the loader where this tool does not put loaders: it is never downloaded, MSP is 0."""
    scene.dumps = False
    base = int(scene.rng.choice([0x20000000, 0x20010000, 0x24000000, 0x20002000]))
    elf = synth.loader_elf(scene.rng, base, code_size=int(scene.rng.integers(0x300, 0x1800)) & ~3)
    scene.loader = (elf, texts.loader_log("mislinked", 0x20003000, base + 5))


def wrong_part(scene: Scene) -> None:
    """Let identity and marking disagree."""
    scene.info = scene.info or identity(scene)
    wrong_size = {2048: "STM32H563ZGT6", 1024: "STM32H563ZIT6"}[int(str(scene.info["flash_kib"]))]
    other_part = str(scene.rng.choice(["STM32H533RET6", "STM32H503RBT6"]))
    scene.marking = wrong_size if scene.rng.random() < 0.6 else other_part


def system_flash(scene: Scene) -> None:
    """Let the vendor's version word read as text, zeros or ones where the good board's reads well."""
    scene.suspect.banner["SFSP Version"] = str(scene.rng.choice(["v45.48.46", "v0.0.0", "v255.255.255", "v67.84.82"]))
