"""The front door: one call for each thing that the command line does, with plain arguments.

``import h5diag as h5`` gives these names lazily. Wherever memory is taken, a `MemoryImage`, a path, an
``intelhex.IntelHex`` or bytes will do; wherever a chip or a layout is, its name; wherever a key is, its file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from h5diag.app.sources import (
    ChipLike,
    LayoutLike,
    Memory,
    layout_of,
    name_of,
    read_memory,
    subject_of,
    text_of,
    word_of,
)
from h5diag.chip import Chip, load_chip
from h5diag.errors import InputError
from h5diag.evidence import files
from h5diag.evidence.door import read_evidence
from h5diag.evidence.samples import Named, path_of
from h5diag.limits import MEMORY
from h5diag.memory import Access, AddressRange, Cancel, MemoryImage, Progress

if TYPE_CHECKING:
    from h5diag.case import Case
    from h5diag.evidence.texts import Log
    from h5diag.judge import Diagnosis
    from h5diag.judge.boards import Boards
    from h5diag.measure.compare import Comparison
    from h5diag.measure.firmware import Build, Overview
    from h5diag.measure.loader.explain import LoaderStory
    from h5diag.measure.locate import Correlation, Placement
    from h5diag.measure.logs import LogReading
    from h5diag.measure.options import OptionBytes, SideBySide
    from h5diag.probe.bench import BenchBoard
    from h5diag.sim.dryrun.reading import LoaderReading


def locate(
    reference: Memory,
    dump: Memory,
    *,
    layout: LayoutLike = None,
    chip: ChipLike = None,
    base: int | None = None,
    reference_base: int | None = None,
    transforms: bool = False,
    deep: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Placement:
    """Return where pieces of a reference landed in a dump.

    Parameters
    ----------
    reference, dump
        What is known to be good, and where to look.
    layout, chip
        Name slots, banks and aliases; a chip that is not named is taken from the dumps or assumed.
    base, reference_base
        Address of the first byte where a dump or reference has none of its own.
    transforms
        Look for inverted, byte-swapped, halfword-swapped and bit-reversed content too.
    deep
        Look at every byte of images above 8 MiB.
    progress, cancel
        Called with the fraction done; asked whether to stop.
    """
    from h5diag.measure.locate import locate as search
    from h5diag.measure.locate.placement import on_assumption

    a, b = read_memory(reference, base=reference_base), read_memory(dump, base=base)
    about = subject_of(chip, layout, (b, a))
    found = search(
        a, b, layout=about.layout, chip=about.chip, transforms=transforms, deep=deep, progress=progress, cancel=cancel
    )
    if about.choice.assumed:
        found = on_assumption(found, about.chip)
    return replace(found, choice=about.choice)


def correlate(
    reference: Memory,
    dump: Memory,
    placement: Placement | None = None,
    *,
    layout: LayoutLike = None,
    chip: ChipLike = None,
    base: int | None = None,
    reference_base: int | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Correlation:
    """Return how much of a dump agrees with a reference at each displacement.

    Parameters are those of `locate`; `placement` is what `locate` found, looked for when left out.
    """
    from h5diag.measure.locate import correlate as count

    a, b = read_memory(reference, base=reference_base), read_memory(dump, base=base)
    about = subject_of(chip, layout, (b, a))
    if placement is None:
        placement = locate(a, b, layout=about.layout, chip=about.chip, progress=progress, cancel=cancel)
    found = count(a, b, placement, layout=about.layout, chip=about.chip, progress=progress, cancel=cancel)
    return replace(found, choice=about.choice, reference=a, dump=b)


def compare(
    good: Memory,
    suspect: Memory,
    *,
    layout: LayoutLike = None,
    chip: ChipLike = None,
    base: int | None = None,
    reference_base: int | None = None,
    options_good: Named | None = None,
    options_suspect: Named | None = None,
    access_good: str | Access | None = None,
    access: str | Access | None = None,
) -> Comparison:
    """Return what differs in place between a good and a suspect dump.

    Parameters
    ----------
    good, suspect, layout, chip, base, reference_base
        A dump of a board that works, or the image that should be there; the dump in question; as for `locate`.
    options_good, options_suspect
        Option listings (a path or the text): they tell what a reader was not shown.
    access_good, access
        How each was read, ``secure`` or ``nonsecure``, where no sidecar says.
    """
    from h5diag.measure.compare import compare_as_read

    a, b = read_memory(good, base=reference_base), read_memory(suspect, base=base)
    of_good, of_suspect = (None if o is None else _log_of(o) for o in (options_good, options_suspect))
    about = subject_of(chip, layout, (b, a), [log for log in (of_suspect, of_good) if log])

    def read_by(image: MemoryImage, how: str | Access | None) -> MemoryImage:
        return image.with_origin(replace(image.origin, access=word_of(Access, how, "way to read"))) if how else image

    found = compare_as_read(
        read_by(a, access_good),
        read_by(b, access),
        about.chip,
        _listed(of_good, options_good, about.chip),
        _listed(of_suspect, options_suspect, about.chip),
    )
    return replace(found, choice=about.choice, layout=about.layout)


def _log_of(listing: Named) -> Log:
    """Return what a listing says: its chip, and every option line, were there only one."""
    from h5diag.evidence.texts import parse_listing, parse_log

    text = text_of(listing)
    return replace(parse_log(text), listing=parse_listing(text))


def _listed(log: Log | None, source: Named | None, chip: Chip) -> OptionBytes | None:
    if log is None or source is None:
        return None
    from h5diag.measure.options import decode_listing

    found = decode_listing(log.listing, chip)
    if not found.settings:
        raise InputError(
            "not one option line is in it",
            source=name_of(source),
            advice="give what 'STM32_Programmer_CLI -ob displ' prints",
        )
    return found


def examine(
    memory: Memory,
    *,
    layout: LayoutLike = None,
    chip: ChipLike = None,
    base: int | None = None,
    loader: str | None = None,
    boot_mode: str | None = None,
    boot_log: Named | None = None,
    verify_keys: Iterable[Named] = (),
    decrypt_keys: Iterable[Named] = (),
    builds: Iterable[Memory] = (),
    build_base: int | None = None,
    flashed: Iterable[Memory] = (),
    boot: Memory | None = None,
    updates: Iterable[Memory] = (),
    package: str = "",
) -> Overview:
    """Return which boot-loader images memory holds, whether they are genuine, and what the next boot does.

    Parameters
    ----------
    memory
        A dump, or an image file.
    layout, chip, base
        As for `locate`; without a layout no slot is judged and no boot is played.
    loader, boot_mode, boot_log
        ``st`` or ``upstream``; ``overwrite swap-scratch swap-move swap-offset direct-xip ...``: told by layout and
        content when left out, and by what the boot loader printed.
    verify_keys, decrypt_keys
        Key files: public ones that may have signed, private ones for encrypted bodies (read, kept nowhere).
    builds, build_base
        What should be in there (ELF files name sections and symbols), and the address of a binary.
    flashed, boot, updates, package
        Files that were programmed, the boot loader's binary, downloads written later, and the version of the
        vendor's package: they tell at which stage of its life the board is.
    """
    from h5diag.evidence import keys, texts
    from h5diag.layout import Loader, Mode
    from h5diag.measure import firmware
    from h5diag.measure.firmware import BIG_ENDIAN_MAGIC, examine_firmware, find_images

    flashed = list(flashed)
    if flashed and layout is None:
        raise InputError("flashed files need to know the slots", advice="name a layout (oemirot-2m-overwrite, ...)")
    dump = read_memory(memory, base=base)
    printed = texts.parse_log(text_of(boot_log)) if boot_log is not None else None
    about = subject_of(chip, layout, (dump,), [printed] if printed else ())
    slots, remarks = about.layout, list(dump.origin.remarks)
    opening = [key for k in decrypt_keys for key in keys.load_decrypt_keys(path_of(k))]
    assumed = dump.origin.kind == "bin" and base is None and any("assumed" in r for r in dump.origin.remarks)
    if slots and assumed and any(i.address == dump.span.start for i in find_images(dump)):
        slots = None  # it is no dump but one image whose place nobody named
        remarks.append("the file is one image and its address was assumed: give --base to place it in the layout")
    if about.choice.assumed:
        remarks.append(about.choice.text)
    remarks += slots.remarks if slots else ()
    if dump.size >= 4 and int.from_bytes(dump.segments[0].data[:4].tobytes(), "little") == BIG_ENDIAN_MAGIC:
        remarks.append("it begins with an image header in big-endian order, which no STM32's boot loader reads")
    found = examine_firmware(
        dump,
        about.chip,
        layout=slots,
        loader=word_of(Loader, loader, "boot loader") if loader else None,
        mode=word_of(Mode, boot_mode, "boot mode") if boot_mode else None,
        log=printed.boot if printed else None,
        verify_keys=[key for k in verify_keys for key in keys.load_verify_keys(path_of(k))],
        decrypt_keys=opening,
        builds=[_build(b, build_base) for b in builds],
    )
    stage = None
    if slots and flashed:
        start = s.range.start if (s := slots.slot("boot")) else slots.chip.flash.base
        stage = firmware.recognise_stage(
            dump,
            slots,
            [read_memory(f, base=build_base) for f in flashed],
            boot=read_memory(boot, base=start) if boot is not None else None,
            updates=[read_memory(u, base=build_base) for u in updates],
            decrypt_keys=opening,
            rules=found.boot.choice.rules if found.boot else None,
            package=package,
        )
    return replace(found, stage=stage, choice=about.choice, remarks=tuple(remarks))


def _build(source: Memory, base: int | None) -> Build:
    """A build that the dump is compared with: its memory, and its names where it is an ELF; its file is read once."""
    from h5diag.evidence.files.elf import read_elf_map
    from h5diag.measure.firmware import Build

    given = source[0] if isinstance(source, tuple) else source
    if not isinstance(given, str | os.PathLike):
        return Build("build", read_memory(source, base=base), None)
    base = source[1] if isinstance(source, tuple) else base
    file = read_evidence(path_of(given), limit=MEMORY)
    image = files.read_image(file, base=base)
    return Build(os.fspath(given), image, read_elf_map(file) if image.origin.kind == "elf" else None)


def read_loader_log(
    source: Named,
    *,
    loader: Named | None = None,
    chip: str = "",
    trustzone: str = "unknown",
) -> LoaderStory:
    """Return what a log of verbosity 3 proves about an external loader: a path, or the text itself.

    Parameters
    ----------
    source
        What ``STM32_Programmer_CLI -vb 3`` printed.
    loader
        The loader's file: names its functions and checks its address.
    chip, trustzone
        The part or its family; ``on``, ``off`` or ``unknown``.
    """
    from h5diag.measure.loader.explain import explain
    from h5diag.measure.loader.loaderfile import read_loader as read
    from h5diag.sim.dryrun.reading import log_of

    file = read(path_of(loader)) if loader is not None else None
    log = log_of(path_of(source) if name_of(source) else str(source))
    return explain(log, file, chip=chip, trustzone=_zone(trustzone))


def _zone(word: str) -> str:
    if word not in ("on", "off", "unknown"):
        raise InputError(f"{word!r} says nothing of TrustZone", advice="one of on off unknown")
    return word


def read_options(
    listing: Named,
    other: Named | None = None,
    *,
    chip: str = "",
    layout: LayoutLike = None,
) -> SideBySide:
    """Return the option bytes of a board, explained, and with `other` what differs between two boards.

    Parameters
    ----------
    listing, other
        Path of what ``-ob displ`` printed, of a GUI export or of ``address : value`` lines, or such a text itself.
    chip
        Chip file or family word; taken from each text when left out.
    layout
        A layout's name or path: what its boot loader expects of the options is checked.

    Raises
    ------
    InputError
        When there is not one option line in a text, or `chip` or `layout` name none.
    """
    from h5diag.measure.options import side_by_side

    sources = [listing, *([other] if other is not None else [])]
    paths = [name_of(s) for s in sources]
    names = [Path(p).name or f"board {n}" for n, p in enumerate(paths, 1)]
    if len(set(names)) < len(names):
        names = paths
    texts = [(name, text_of(s)) for name, s in zip(names, sources, strict=True)]
    found = side_by_side(texts, chip=chip, layout=layout_of(layout))
    return replace(found, sources=tuple(paths)) if len(found.boards) == len(paths) else found


def read_log(source: Named, *, chip: str = "", layout: LayoutLike = None, elves: Sequence[Named] = ()) -> LogReading:
    """Return what a text of the bench says: a path, or the text itself; ELF files name the places of a fault.

    Without any, those of the case in whose folder the text lies do.
    """
    from h5diag.measure.logs import explain_text

    name, text, slots = name_of(source), text_of(source), layout_of(layout)
    told = explain_text(text, chip=chip, layout=slots, elves=elves, source=name)
    if elves or not name or not told.log.fault:
        return told
    from h5diag.case.folder import elves_beside  # only a fault has places that an ELF can name

    beside = elves_beside(path_of(name))
    return explain_text(text, chip=chip, layout=slots, elves=beside, source=name) if beside else told


def load_case(folder: str | os.PathLike[str]) -> Case:
    """Return the evidence of a case: a folder with ``case.toml`` and the files that it names, each opened once."""
    from h5diag.case import load_case as load

    return load(path_of(folder))


def read_loader(
    path: Named,
    *,
    chip: str = "",
    trustzone: str = "unknown",
    log: Named | None = None,
    version: str = "",
) -> LoaderReading:
    """Return an external loader (``.stldr`` or ``.elf``) with what is wrong with it; ``.dry_run()`` runs it.

    Parameters
    ----------
    path
        Its file.
    chip, trustzone
        The part or its family, taken from the log or assumed when left out; ``on``, ``off`` or ``unknown``.
    log
        Your log of verbosity 3: the base that it shows wins over the table.
    version
        STM32CubeProgrammer's version.
    """
    from h5diag.sim.dryrun.reading import examine_loader

    seen = path_of(log) if log is not None and name_of(log) else log
    return examine_loader(path_of(path), chip=chip, trustzone=_zone(trustzone), log=seen, version=version)


@overload
def diagnose(case: Case | Named, *, progress: Progress | None = None, cancel: Cancel | None = None) -> Diagnosis: ...
@overload
def diagnose(
    case: list[Any] | tuple[Any, ...], *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Boards: ...
def diagnose(
    case: Case | Named | list[Case | Named] | tuple[Case | Named, ...],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Any:
    """Return the diagnosis of a case: run all checks, weigh what they find, choose the next test.

    Parameters
    ----------
    case
        A folder with ``case.toml``, or a `Case`. Of a list of them the boards come back beside each other, the one
        that stands out first.
    progress, cancel
        Called with the fraction done; asked whether to stop.
    """
    from h5diag.judge import diagnose as judge

    if isinstance(case, list | tuple):
        from h5diag.judge.boards import beside

        if not case:
            raise InputError("no case was named", advice="give case folders")
        return beside([diagnose(c, cancel=cancel) for c in case])
    return judge(load_case(case) if isinstance(case, str | os.PathLike) else case, progress=progress, cancel=cancel)


def connect(
    probe: str = "auto",
    *,
    mode: str = "attach",
    chip: ChipLike = None,
    access: str | Access | None = None,
    speed_hz: int | None = None,
    erase: tuple[int, int] | None = None,
    record: str = "",
) -> BenchBoard:
    """Return a board on a probe, to be used in a ``with`` statement; nothing is allowed but reading.

    Its questions are ``.identify()``, ``.dump(start, stop)`` and ``.flash_test(start, stop, folder)``.

    Parameters
    ----------
    probe
        ``auto``, the begin of a probe's id, ``remote:HOST:PORT``, ``virtual[:ITEM+ITEM]`` or ``replay:FILE``.
    mode
        ``attach`` (no reset, no halt), ``halt`` or ``under-reset``.
    chip
        What it is taken for; STM32H563ZI by default.
    access
        Security attribute of reads, ``secure`` or ``nonsecure``.
    speed_hz
        Of SWD.
    erase
        Start and stop of the sectors that may be erased, and nothing else; the core may be halted then.
    record
        File to record the session into.
    """
    from h5diag.probe.bench import BenchBoard
    from h5diag.probe.board import DEFAULT_HZ, NOTHING, ConnectMode, Permissions

    return BenchBoard.connect(
        probe,
        mode=word_of(ConnectMode, mode, "connect mode"),
        frequency_hz=speed_hz or DEFAULT_HZ,
        access=word_of(Access, access, "way to read") if access else Access.UNKNOWN,
        permissions=Permissions(erase=(AddressRange(*erase),), ram=True, halt=True) if erase else NOTHING,
        chip=chip if isinstance(chip, Chip) else load_chip(chip) if chip else None,
        record=record,
    )


def capture_script(shell: str = "sh", *, chip: ChipLike = None, layout: LayoutLike = None) -> str:
    """Return a read-only STM32CubeProgrammer script, for ``sh`` or ``bat``, that collects evidence of a board."""
    from h5diag.case.capture import Interpreter, capture_script as script

    about = subject_of(chip, layout)
    return script(word_of(Interpreter, shell, "shell"), about.chip if about.choice.chip else load_chip(), about.layout)


def sort_evidence(
    files: Iterable[Named] | Named,
    *,
    good: Iterable[Named] = (),
    suspect: Iterable[Named] = (),
    into: Named | None = None,
    **details: str,
) -> Any:
    """Return what each file is and which board it belongs to; ``.write("h5diag-case")`` makes the case folder.

    Parameters
    ----------
    files
        Files and folders, in any mixture.
    good, suspect
        Those of a board that works, and of a board in question; they decide for files named alike.
    into
        A case folder to which the files are added; ``.write()`` then mends it.
    details
        ``title chip layout marking package good_access suspect_access good_mode suspect_mode``, as far as known.
    """
    from h5diag.case.intake import Details, sort_evidence as sort

    paths, of_good, of_suspect = (
        [path_of(f) for f in ([some] if isinstance(some, str | os.PathLike) else some)]
        for some in (files, good, suspect)
    )
    return sort(paths, good=of_good, suspect=of_suspect, details=Details(**details), into=into)
