"""Firmware images: what is in each slot, is it genuine, and has the boot loader taken it.

``find_images`` parses images anywhere in a dump, ``examine_images`` verifies them as well, ``boot_states`` says
what became of each slot and what the next boot will do.
"""

from __future__ import annotations

from h5diag.evidence.files.elf import ElfMap, read_elf_map
from h5diag.evidence.keys import (
    DecryptKey,
    KeyKind,
    VerifyKey,
    load_decrypt_key,
    load_verify_key,
    parse_decrypt_key,
    parse_verify_key,
)
from h5diag.layout import Loader
from h5diag.measure.firmware.bootloader import Action, NextBoot
from h5diag.measure.firmware.builds import Deviation, Match, compare_build
from h5diag.measure.firmware.content import ExaminedImage, Fill, SlotContent, examine_images, open_images
from h5diag.measure.firmware.image import (
    BIG_ENDIAN_MAGIC,
    BootImage,
    Dependency,
    Flag,
    Header,
    HeaderMagic,
    Tlv,
    Tlvs,
    TlvType,
    Version,
    dependencies,
    find_images,
    parse_header,
    parse_image,
    parse_tlvs,
)
from h5diag.measure.firmware.nextboot import BootChoice, Explained
from h5diag.measure.firmware.overview import Build, BuildResult, JudgedImage, Overview, examine_firmware
from h5diag.measure.firmware.slots import BootStates, SlotState, State, boot_states, image_state
from h5diag.measure.firmware.stages import SlotFit, Stage, StageFit, StageReport, expected_flash, recognise_stage
from h5diag.measure.firmware.trailer import Magic, Trailer, TrailerFlag, parse_trailer
from h5diag.measure.firmware.vectors import Link, VectorTable, explain_link, find_vector_tables, vector_table_at
from h5diag.measure.firmware.verify import (
    BodyKind,
    BodyLook,
    Check,
    Verification,
    look_at_body,
    open_body,
    verify_image,
)

__all__ = [
    "BIG_ENDIAN_MAGIC",
    "Action",
    "BodyKind",
    "BodyLook",
    "BootChoice",
    "BootImage",
    "BootStates",
    "Build",
    "BuildResult",
    "Check",
    "DecryptKey",
    "Dependency",
    "Deviation",
    "ElfMap",
    "ExaminedImage",
    "Explained",
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
    "boot_states",
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
    "vector_table_at",
    "verify_image",
]
