"""Firmware images: what is in each slot, is it genuine, and has the boot loader taken it.

``find_images`` parses images anywhere in a dump, ``examine_images`` verifies them as well, ``boot_states`` says
what became of each slot and what the next boot will do.

The names are looked up when they are used: to examine a dump takes neither builds nor stages.
"""

from typing import TYPE_CHECKING

from h5diag.evidence import by_name

if TYPE_CHECKING:
    from h5diag.measure.firmware.bootloader import Action as Action, NextBoot as NextBoot
    from h5diag.measure.firmware.builds import Deviation as Deviation, Match as Match, compare_build as compare_build
    from h5diag.measure.firmware.content import (
        ExaminedImage as ExaminedImage,
        Fill as Fill,
        SlotContent as SlotContent,
        examine_images as examine_images,
        open_images as open_images,
    )
    from h5diag.measure.firmware.image import (
        BIG_ENDIAN_MAGIC as BIG_ENDIAN_MAGIC,
        BootImage as BootImage,
        Dependency as Dependency,
        Flag as Flag,
        Header as Header,
        HeaderMagic as HeaderMagic,
        Tlv as Tlv,
        Tlvs as Tlvs,
        TlvType as TlvType,
        Version as Version,
        dependencies as dependencies,
        find_images as find_images,
        parse_header as parse_header,
        parse_image as parse_image,
        parse_tlvs as parse_tlvs,
    )
    from h5diag.measure.firmware.nextboot import BootChoice as BootChoice, Explained as Explained
    from h5diag.measure.firmware.overview import (
        Build as Build,
        BuildResult as BuildResult,
        JudgedImage as JudgedImage,
        Overview as Overview,
        examine_firmware as examine_firmware,
    )
    from h5diag.measure.firmware.signed import Check as Check
    from h5diag.measure.firmware.slots import (
        BootStates as BootStates,
        SlotState as SlotState,
        State as State,
        boot_states as boot_states,
        image_state as image_state,
    )
    from h5diag.measure.firmware.stages import (
        SlotFit as SlotFit,
        Stage as Stage,
        StageFit as StageFit,
        StageReport as StageReport,
        expected_flash as expected_flash,
        recognise_stage as recognise_stage,
    )
    from h5diag.measure.firmware.trailer import (
        Magic as Magic,
        Trailer as Trailer,
        TrailerFlag as TrailerFlag,
        parse_trailer as parse_trailer,
    )
    from h5diag.measure.firmware.vectors import (
        Link as Link,
        VectorTable as VectorTable,
        explain_link as explain_link,
        find_vector_tables as find_vector_tables,
        vector_table_at as vector_table_at,
    )
    from h5diag.measure.firmware.verify import (
        BodyKind as BodyKind,
        BodyLook as BodyLook,
        Verification as Verification,
        look_at_body as look_at_body,
        open_body as open_body,
        verify_image as verify_image,
    )

_HOMES = {
    "bootloader": "Action NextBoot",
    "builds": "Deviation Match compare_build",
    "content": "ExaminedImage Fill SlotContent examine_images open_images",
    "image": "BIG_ENDIAN_MAGIC BootImage Dependency Flag Header HeaderMagic Tlv Tlvs TlvType Version dependencies"
    " find_images parse_header parse_image parse_tlvs",
    "nextboot": "BootChoice Explained",
    "overview": "Build BuildResult JudgedImage Overview examine_firmware",
    "slots": "BootStates SlotState State boot_states image_state",
    "stages": "SlotFit Stage StageFit StageReport expected_flash recognise_stage",
    "trailer": "Magic Trailer TrailerFlag parse_trailer",
    "vectors": "Link VectorTable explain_link find_vector_tables vector_table_at",
    "signed": "Check",
    "verify": "BodyKind BodyLook Verification look_at_body open_body verify_image",
}


__getattr__ = by_name(__name__, _HOMES)
