"""Firmware images: what is in each slot, is it genuine, and has the boot loader taken it.

``find_images`` parses images anywhere in a dump, ``examine_images`` verifies them as well, ``slot_states`` says
what became of each slot and what the next boot will do.
"""

from __future__ import annotations

from h5diag.evidence.keys import (
    DecryptKey,
    KeyKind,
    VerifyKey,
    load_decrypt_key,
    load_verify_key,
    parse_decrypt_key,
    parse_verify_key,
)
from h5diag.measure.firmware.against import Difference, Match, compare_build
from h5diag.measure.firmware.body import BodyKind, BodyLook, look_at_body
from h5diag.measure.firmware.content import ExaminedImage, Fill, SlotContent, examine_images
from h5diag.measure.firmware.elfmap import NO_ELF, ElfMap, read_elf_map
from h5diag.measure.firmware.judge import State
from h5diag.measure.firmware.mcuboot import Flag, Header, HeaderMagic, Version, parse_header
from h5diag.measure.firmware.nextboot import Action, Loader, NextBoot
from h5diag.measure.firmware.opened import open_images
from h5diag.measure.firmware.overview import Build, BuildResult, JudgedImage, Overview, examine_firmware, slot_facts
from h5diag.measure.firmware.search import BootImage, find_images, parse_image
from h5diag.measure.firmware.signature import Check
from h5diag.measure.firmware.slots import SlotState, image_state, slot_states
from h5diag.measure.firmware.stages import SlotFit, Stage, StageFit, StageReport, expected_flash, recognise_stage
from h5diag.measure.firmware.tlv import Dependency, Tlv, Tlvs, TlvType, dependencies, parse_tlvs
from h5diag.measure.firmware.trailer import Magic, Trailer, TrailerFlag, parse_trailer
from h5diag.measure.firmware.vectors import Link, VectorTable, explain_link, find_vector_tables, vector_table_at
from h5diag.measure.firmware.verify import Verification, open_body, verify_image

__all__ = [
    "NO_ELF",
    "Action",
    "BodyKind",
    "BodyLook",
    "BootImage",
    "Build",
    "BuildResult",
    "Check",
    "DecryptKey",
    "Dependency",
    "Difference",
    "ElfMap",
    "ExaminedImage",
    "Fill",
    "Flag",
    "Header",
    "HeaderMagic",
    "JudgedImage",
    "KeyKind",
    "Link",
    "Loader",
    "Magic",
    "Match",
    "NextBoot",
    "Overview",
    "SlotContent",
    "SlotFit",
    "SlotState",
    "Stage",
    "StageFit",
    "StageReport",
    "State",
    "Tlv",
    "TlvType",
    "Tlvs",
    "Trailer",
    "TrailerFlag",
    "VectorTable",
    "Verification",
    "VerifyKey",
    "Version",
    "compare_build",
    "dependencies",
    "examine_firmware",
    "examine_images",
    "expected_flash",
    "explain_link",
    "find_images",
    "find_vector_tables",
    "image_state",
    "load_decrypt_key",
    "load_verify_key",
    "look_at_body",
    "open_body",
    "open_images",
    "parse_decrypt_key",
    "parse_header",
    "parse_image",
    "parse_tlvs",
    "parse_trailer",
    "parse_verify_key",
    "read_elf_map",
    "recognise_stage",
    "slot_facts",
    "slot_states",
    "vector_table_at",
    "verify_image",
]
