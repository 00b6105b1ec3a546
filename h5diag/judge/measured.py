"""What was measured, as values: each measurement is made once here, and the checks only read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from h5diag.case.case import Case, CaseBoard, DumpFile, KnownImage, Text
from h5diag.chip import Chip, ChipChoice
from h5diag.errors import InputError
from h5diag.evidence import files, keys as key_files
from h5diag.evidence.texts import Log, RawRegister, lines, parse_listing, parse_log, parse_registers, parse_tools
from h5diag.evidence.texts.listing import Listing, RawOption
from h5diag.evidence.texts.programming import Write, base_name
from h5diag.evidence.texts.tools import ToolReport
from h5diag.judge.likely import ChipAndSlots, encrypted_image, placed_dumps, put_at, subjects
from h5diag.layout import Layout, Loader, Mode
from h5diag.limits import JUDGED_AREAS
from h5diag.measure import firmware
from h5diag.measure.compare import Comparison, compare, joined
from h5diag.measure.firmware import (
    ExaminedImage,
    Explained,
    NextBoot,
    SlotState,
    boot_states,
    examine_images,
)
from h5diag.measure.firmware.swap import Rules
from h5diag.measure.locate import Placement, Prepared, locate, prepare
from h5diag.measure.options import OptionBytes, decode_listing, decode_registers, hidden_ranges, masked_ranges
from h5diag.measure.programs import Program, beside, place_program
from h5diag.measure.repeats import Repeats, alike, compare_reads
from h5diag.measure.shapes import Difference, Form, Known, difference
from h5diag.memory import Access, AddressRange, Cancel, MemoryImage, Progress, merged

if TYPE_CHECKING:
    from h5diag.measure.firmware import Match, StageReport
    from h5diag.measure.loader.lint import LoaderSign


@dataclass(frozen=True, slots=True)
class BoardMeasured:
    """What follows from one board's evidence alone.

    Parameters
    ----------
    board
        The evidence.
    dump
        The first of its dumps; empty when there is none.
    options
        Its option bytes; an empty value when there is no listing.
    log, uart
        What the programmer's text says, and the boot loader's.
    reads
        How its repeated dumps agree.
    hidden
        Canonical ranges of which its reader got zeros by rule, shown by option bytes and access.
    masked
        The sectors among them that do read zero in the dump.
    images
        Boot-loader images in the dump.
    slots
        State of each slot; empty without a layout or a dump.
    unlike
        How many of its dumps hold other content than the first, and so are no reads of the same moment.
    boots, explained
        What the next boot does, image by image, and the ranges that the boot loader's own work explains.
    rules
        Whose boot loader's rules were taken; None without a layout or a dump.
    """

    board: CaseBoard
    dump: MemoryImage
    options: OptionBytes
    log: Log
    uart: Log
    reads: Repeats
    hidden: tuple[AddressRange, ...]
    masked: tuple[AddressRange, ...]
    images: tuple[ExaminedImage, ...] = ()
    slots: tuple[SlotState, ...] = ()
    unlike: int = 0
    boots: tuple[NextBoot, ...] = ()
    explained: tuple[Explained, ...] = ()
    rules: Rules | None = None

    @property
    def trusted(self) -> MemoryImage:
        """The dump without the places where repeated reads disagree: they say nothing about the flash."""
        return self.dump.without(self.reads.ranges)

    @property
    def judged(self) -> MemoryImage:
        """What can be judged: trusted, and without the sectors that its reader was not shown."""
        return self.trusted.without(r for m in self.masked for r in (m, m.shifted(self.options.chip.flash.alias)))

    @property
    def access(self) -> Access:
        """How it was read."""
        return self.board.access

    @property
    def both_aliases(self) -> bool:
        """Tell whether the same cells were read through the non-secure and through the secure alias."""
        shift = self.options.chip.flash.alias
        return shift > 0 and any(
            s.start + shift < r.stop and r.start < s.stop + shift for s in self.dump.ranges for r in self.dump.ranges
        )


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A known image against the suspect's dump.

    Parameters
    ----------
    image
        The file.
    program
        Where it stands and was linked, and the address at which it is held against the dump.
    comparison, difference
        Against the dump in place: area by area, and in shapes.
    matches
        Where the build stands whole or nearly so, by section and symbol, when it is an ELF.
    expected
        True when it is the file that should be there; False for an alternative at the same addresses.
    claimed
        Whether a log says that it was written.
    """

    image: KnownImage
    program: Program
    comparison: Comparison
    difference: Difference
    matches: tuple[Match, ...] = ()
    expected: bool = True
    claimed: bool = False

    @property
    def content(self) -> MemoryImage:
        """The image at the address at which it is held against the dump."""
        return self.program.image

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.image.name

    @property
    def seen_bytes(self) -> int:
        """How many of its bytes the dump shows at its own place."""
        return self.difference.seen

    @property
    def equal_bytes(self) -> int:
        """How many of them agree."""
        return self.difference.seen - self.difference.differing

    @property
    def in_place(self) -> bool:
        """Tell whether at least half of what was seen at its own place is its own, gaps that a tool filled left out."""
        return 0 < self.seen_bytes - self._fill <= 2 * self.equal_bytes

    @property
    def whole(self) -> bool:
        """Tell whether it stands in place, byte for byte but for fill."""
        return self.seen_bytes >= self.content.size > 0 and self.difference.differing == self._fill

    @property
    def _fill(self) -> int:
        return sum(s.bytes for s in self.difference.of(Form.FILL))

    @property
    def ranges(self) -> tuple[AddressRange, ...]:
        """The addresses that it is held against."""
        return self.content.ranges


@dataclass(frozen=True, slots=True)
class Reference:
    """What a suspect's dump is held against in place.

    Parameters
    ----------
    name
        Of the good board, or of the files.
    dump
        What it holds; empty when there is nothing.
    comparison
        Of the suspect's dump with it.
    is_file
        Whether it is what should be there by the files, and no board was read for it.
    """

    name: str
    dump: MemoryImage
    comparison: Comparison
    is_file: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was measured about one suspect of a case."""

    case: Case
    choice: ChipChoice
    layouts: tuple[Layout, ...]
    good: BoardMeasured
    suspect: BoardMeasured
    comparison: Comparison
    placement: Placement
    later: Comparison
    difference: Difference
    known: tuple[KnownFact, ...]
    provisioning: tuple[Log, ...]
    loader: tuple[tuple[str, LoaderSign], ...]
    """Signs of the external loader's file and log, each with the table of ids (`calibration.toml`) that it is read by."""
    stages: tuple[StageReport, ...]
    layout_assumed: bool = False
    too_large: Layout | None = None
    """The layout that the case names, where it leaves the flash that the chip says it has; it is not in `layouts`."""
    others: tuple[tuple[str, ChipChoice], ...] = ()
    """The case's boards of other families, the good one too: each is read as its own chip and held against nothing."""
    good_choice: ChipChoice | None = None
    """The good board's chip where it is of another family."""

    @property
    def chip(self) -> Chip:
        """The chip that everything was read as."""
        return self.choice.read_as

    @property
    def chip_assumed(self) -> bool:
        """Tell whether nothing names the chip."""
        return self.choice.assumed

    @property
    def name(self) -> str:
        """Name of the suspect."""
        return self.suspect.board.name

    @property
    def has_good(self) -> bool:
        """Tell whether there is a good board's dump to compare with."""
        return self.good.dump.size > 0

    @property
    def reference(self) -> Reference:
        """The good board's dump; without one, the files that should be there, each where it belongs."""
        if self.has_good:
            return Reference(self.good.board.name, self.good.dump, self.comparison)
        due: list[KnownFact] = []
        for k in self.expected:
            if k.seen_bytes and not any(a.overlaps(b) for a in k.ranges for f in due for b in f.ranges):
                due.append(k)
        dump = MemoryImage(tuple(s for k in due for s in k.content.segments))
        return Reference(", ".join(k.name for k in due), dump, joined([k.comparison for k in due]), is_file=bool(due))

    @property
    def expected(self) -> tuple[KnownFact, ...]:
        """The known images that should be on the chip."""
        return tuple(k for k in self.known if k.expected)

    @property
    def texts(self) -> tuple[Text, ...]:
        """Everything that was printed about this board; with one board in question the provisioning's logs too."""
        return (*self.suspect.board.texts, *(self.case.provisioning if len(self.case.suspects) == 1 else ()))

    @property
    def logs(self) -> tuple[Log, ...]:
        """Everything that was printed about this board's programming."""
        return (*self.provisioning, self.suspect.log, self.suspect.uart)

    @property
    def writes(self) -> tuple[Write, ...]:
        """Every write of these, in order."""
        return tuple(w for log in self.logs for w in log.programming.writes)

    @property
    def compared(self) -> bool:
        """Tell whether bytes of the suspect were held against a good dump or a known image."""
        return self.comparison.compared_bytes > 0 or any(k.seen_bytes for k in self.known)

    def canonical(self, ranges: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
        """Return the same cells by their canonical addresses."""
        return self.chip.cells(ranges)

    @property
    def comparable(self) -> bool:
        """Tell whether both boards were read in one and the same known way, so that zeros can be compared.

        The same way is the same known access; or, where a tool does not tell its access, the same connect mode
        through both aliases, as the capture script reads.
        """
        g, s = self.good, self.suspect
        if Access.UNKNOWN not in (g.access, s.access):
            return g.access is s.access
        return g.board.mode == s.board.mode is not None and g.both_aliases and s.both_aliases


NO_COMPARISON = Comparison((), (), True)


def measure(case: Case, *, progress: Progress | None = None, cancel: Cancel | None = None) -> tuple[Measured, ...]:
    """Return the measurements of each suspect of the case, in its order."""
    # With one board in question, what was printed while programming was printed about it.
    own = case.provisioning if len(case.suspects) == 1 else ()
    logs = {id(case.good): parse_log("\n".join(t.text for t in (case.good.log, case.good.options) if t))}
    logs |= {id(b): parse_log("\n".join(t.text for t in (*_in_turn(b), b.options, *own) if t)) for b in case.suspects}
    uarts = {id(b): parse_log(b.uart.text if b.uart else "") for b in (case.good, *case.suspects)}
    provisioning = tuple(parse_log(t.text) for t in case.provisioning)
    rest = [*provisioning, *([parse_log(case.loader_log.text)] if case.loader_log else [])]
    out, read = [], dict[tuple[str, bool], BoardMeasured]()
    about = subjects(case, {id(b): (logs[id(b)], uarts[id(b)]) for b in (*case.suspects, case.good)}, rest)
    for number, (board, subject) in enumerate(zip(case.suspects, about, strict=True)):
        step = _part(progress, number, len(case.suspects)) if progress else None
        chip, key = subject.choice.read_as, (subject.choice.read_as.name, subject.good is None)
        if key not in read:
            good, of_good = case.good, (logs[id(case.good)], uarts[id(case.good)])
            if subject.good is None:
                read[key] = _board(good, case, chip, subject.layouts, *of_good)
            else:  # a board of another family is read as its own chip; its content is no measure for this one
                read[key] = _board(replace(good, dumps=(), later=()), case, subject.good.read_as, (), *of_good)
        put = placed_dumps(board, case.images, (*provisioning, logs[id(board)]))
        suspect = _board(put, case, chip, subject.layouts, logs[id(board)], uarts[id(board)])
        out.append(_measured_with(case, subject, read[key], suspect, provisioning, step, cancel))
    return tuple(out)


def _part(progress: Progress, number: int, count: int) -> Progress:
    return lambda fraction: progress((number + fraction) / count)


def _measured_with(
    case: Case,
    subject: ChipAndSlots,
    good: BoardMeasured,
    suspect: BoardMeasured,
    provisioning: tuple[Log, ...],
    progress: Progress | None,
    cancel: Cancel | None,
) -> Measured:
    choice, layouts = subject.choice, subject.layouts
    chip, layout = choice.read_as, layouts[0] if layouts else None
    known = _known(case.images, suspect, chip, layout, (*provisioning, suspect.log)) if suspect.dump.size else ()
    comparison, placement, shapes, later = NO_COMPARISON, Placement(), Difference(), NO_COMPARISON
    if good.dump.size and suspect.dump.size:
        comparison = compare(good.judged, suspect.trusted, chip, masks=suspect.masked, most=JUDGED_AREAS)
        placement = locate(_ready(good.judged, chip), suspect.judged, layout=layout, progress=progress, cancel=cancel)
        programs = [
            *(s.range for lay in layouts for s in lay.image_slots),
            *(i.image.range for i in (*suspect.images, *good.images)),
            *(r for k in known if k.in_place for r in k.ranges),
        ]
        shapes = difference(
            good.judged,
            suspect.judged,
            chip,
            others=[Known(k.name, k.content) for k in known],
            programs=chip.cells(programs),
        )
    if suspect.board.later and suspect.dump.size:
        later = compare(suspect.trusted, whole_reads(suspect.board.later)[-1], chip, most=JUDGED_AREAS)
    return Measured(
        case,
        choice,
        layouts,
        good,
        suspect,
        comparison,
        placement,
        later,
        shapes,
        known,
        provisioning,
        _loader(case, suspect, choice),
        _stages(case, layouts, suspect),
        subject.layout_assumed,
        subject.too_large,
        subject.others,
        subject.good,
    )


@lru_cache(maxsize=1)
def _ready(reference: MemoryImage, chip: Chip) -> Prepared:
    """Return the reference as made ready for the board before, when it is the same: a lot has one for all."""
    return prepare(reference, chip=chip)


def _sessions(board: CaseBoard) -> tuple[Text, ...]:
    """Return the registers where they stand in a debugger's own session, which tells more, and are not its log as well."""
    text, log = board.registers, board.log.text if board.log else ""
    return (text,) if text and text.text not in log and parse_tools(lines(text.text)) else ()


def _in_turn(board: CaseBoard) -> tuple[Text, ...]:
    """Return the log and a debugger's own session, by their names: people count what came first and what after it."""
    log, sessions = (board.log,) if board.log else (), _sessions(board)
    return tuple(sorted((*log, *sessions), key=lambda t: t.name))


def _board(board: CaseBoard, case: Case, chip: Chip, layouts: tuple[Layout, ...], log: Log, uart: Log) -> BoardMeasured:
    reads = whole_reads(board.dumps)
    # A look at a few bytes is not what is judged where somebody read the flash as well.
    most = max((r.size for r in reads), default=0)
    reads = tuple(sorted(reads, key=lambda r: 2 * r.size <= most))
    dump = reads[0] if reads else MemoryImage()
    same = tuple(r for r in reads if r is dump or alike(dump, r))
    options = _options(board, chip, log, (*log.tools, *uart.tools))
    hidden = hidden_ranges(options, board.access, chip)
    masked, unlike = masked_ranges(dump, hidden, chip), len(reads) - len(same)
    own = BoardMeasured(board, dump, options, log, uart, compare_reads(same), hidden, masked, unlike=unlike)
    if not dump.size:
        return own
    verify = [k for p in case.verify_keys for k in key_files.load_verify_keys(p)]
    decrypt = [k for p in case.decrypt_keys for k in key_files.load_decrypt_keys(p)]
    layout = layouts[0] if layouts else None
    images = examine_images(dump, layout=layout, verify_keys=verify, decrypt_keys=decrypt)
    if layout is None:
        return replace(own, images=images)
    states = boot_states(
        dump,
        layout,
        loader=Loader(case.boot_loader) if case.boot_loader else None,
        mode=Mode(case.boot_mode) if case.boot_mode else None,
        log=uart.boot,
        verify_keys=verify,
        decrypt_keys=decrypt,
        examined=images,
    )
    boots, explained, rules = states.next_boot, states.explained, states.choice.rules
    return replace(own, images=images, slots=states.slots, boots=boots, explained=explained, rules=rules)


def _options(board: CaseBoard, chip: Chip, log: Log, tools: Sequence[ToolReport]) -> OptionBytes:
    """Return a board's option bytes: of its listing, its log, the registers read, the programming, else what tools told."""
    for text in filter(None, (board.options, board.log)):
        listing = parse_listing(text.text)
        if listing.fields:
            return decode_listing(listing, chip)
    # A debugger prints option words in its session, with the addresses of their registers.
    texts = [t for t in (board.registers, board.log if log.option_words else None) if t]
    raw = [r for t in texts for r in parse_registers(t.text)]
    read = board.identity.registers if board.identity is not None else {}
    raw += [RawRegister(value, name=name.upper()) for name, value in read.items() if value is not None]
    decoded = decode_registers(raw, chip)
    if decoded.settings:
        return decoded
    if log.listing.fields:  # printed in the session in which the board was programmed
        return decode_listing(log.listing, chip)
    # What another tool prints when it connects: TrustZone and the state of protection.
    told = [(n, v) for t in tools for n, v in (("TZEN", t.tzen), ("PRODUCT_STATE", t.state), ("RDP", t.rdp))]
    fields = tuple(RawOption(n, v) for n, v in told if v is not None and n in {o.name for o in chip.options})
    return decode_listing(Listing(fields), chip) if fields else decoded


def whole_reads(dumps: Sequence[DumpFile]) -> tuple[MemoryImage, ...]:
    """Return the dumps joined into whole reads: files of different places (or aliases) belong to one read.

    A dump goes into the first read that holds none of its addresses yet; the two aliases of a cell keep their own
    addresses, so that two views are never mixed.
    """
    reads: list[MemoryImage] = []
    for dump in dumps:
        image = dump.image
        held = (*image.ranges, *image.unreadable)
        for i, read in enumerate(reads):
            if not any(a.overlaps(b) for a in held for b in (*read.ranges, *read.unreadable)):
                reads[i] = replace(
                    read,
                    segments=read.segments + image.segments,
                    unreadable=read.unreadable + image.unreadable,
                    unstable=read.unstable + image.unstable,
                )
                break
        else:
            reads.append(image)
    return tuple(reads)


def _known(
    images: Sequence[KnownImage], suspect: BoardMeasured, chip: Chip, layout: Layout | None, logs: Sequence[Log]
) -> tuple[KnownFact, ...]:
    """Return each known image against the dump; of those at the same addresses one is expected."""
    written = {base_name(w.file).lower(): w.address for log in logs for w in log.programming.writes}
    images = [_placed(i, written.get(base_name(i.name).lower())) for i in images]
    programs = beside([place_program(i.image, suspect.judged, chip) for i in images], chip)
    known = []
    for image, program in zip(images, programs, strict=True):
        others = [Known(i.name, p.image) for i, p in zip(images, programs, strict=True) if i is not image]
        comparison = compare(program.image, suspect.trusted, chip, masks=suspect.masked, most=JUDGED_AREAS)
        shapes = difference(program.image, suspect.judged, chip, others=others)
        matches: tuple[Match, ...] = ()
        if shapes.differing and image.image.origin.kind == "elf":
            names = files.read_elf_map(image.file)
            matches = firmware.compare_build(
                suspect.judged, program.image, layout=layout, images=suspect.images, names=names
            )
        claimed = base_name(image.name).lower() in written
        known.append(KnownFact(image, program, comparison, shapes, matches, claimed=claimed))
    return tuple(replace(k, expected=not _nowhere(k) and _is_expected(k, known, chip)) for k in known)


def _placed(file: KnownImage, address: int | None) -> KnownImage:
    """Return a file of which nobody gave the address at the one to which a log says that it was written."""
    if address is None or not file.image.origin.base_assumed or not file.image.segments:
        return file
    return replace(file, image=put_at(file.image, address))


def _nowhere(fact: KnownFact) -> bool:
    """Tell whether it is an encrypted image of which nobody said where it was written, and that stands nowhere."""
    return fact.image.image.origin.base_assumed and not fact.program.stands and bool(encrypted_image(fact.image.image))


def _is_expected(fact: KnownFact, known: Sequence[KnownFact], chip: Chip) -> bool:
    """Tell whether a file is the one that should be there: of those that a log wrote, else of all, the one that fits best."""
    own, others = chip.cells(fact.ranges), [k for k in known if k is fact or not _nowhere(k)]
    rivals = [k for k in others if any(a.overlaps(b) for a in chip.cells(k.ranges) for b in own)]

    def rank(k: KnownFact) -> tuple[bool, float]:
        return k.claimed, k.equal_bytes / max(1, k.content.size)

    # Of equals the first.
    return max(rivals, key=rank, default=fact) is fact


def _stages(case: Case, layouts: tuple[Layout, ...], suspect: BoardMeasured) -> tuple[StageReport, ...]:
    """Return at which stage of its life the board is, by the files that were to be flashed; empty without them."""
    flashed = [i.image for i in case.images if i.image.origin.kind != "elf"]
    if not layouts or not flashed or not suspect.dump.size:
        return ()
    keys, package = [k for p in case.decrypt_keys for k in key_files.load_decrypt_keys(p)], case.package or ""
    try:
        dump, layout = suspect.judged, layouts[0]
        return (
            firmware.recognise_stage(dump, layout, flashed, decrypt_keys=keys, rules=suspect.rules, package=package),
        )
    except InputError:
        return ()  # a file that is no slot's: the placement check says so


def _loader(case: Case, suspect: BoardMeasured, choice: ChipChoice) -> tuple[tuple[str, LoaderSign], ...]:
    """Return what the external loader's file and log say: was it passed over, is it linked so that it is never loaded."""
    if not case.loader and not case.loader_log:
        return ()
    from h5diag.measure.loader.lint import loader_bypassed, loader_mislinked
    from h5diag.measure.loader.loaderfile import read_loader
    from h5diag.measure.loader.vb3 import parse_log as parse_loader_log

    file = read_loader(case.loader) if case.loader else None
    log = parse_loader_log(case.loader_log.text, case.loader_log.name) if case.loader_log else None
    word = {None: "unknown", True: "on", False: "off"}[suspect.options.trustzone]
    family = choice.read_as.family if choice.chip is not None and not choice.assumed else ""
    placed = ("loader-placed", loader_mislinked(file, log, family=family, trustzone=word))
    return (("loader-used", loader_bypassed(log)), placed) if log else (placed,)


def deviations(m: Measured) -> tuple[AddressRange, ...]:
    """Return the canonical ranges in which the suspect deviates from the good dump or from a known image.

    Masked ranges are left out. A file of which little stands in place deviates as a whole; one that is only an
    alternative to another file at the same addresses does not deviate.
    """
    seen = m.canonical(m.suspect.dump.ranges)
    astray = m.canonical(r for k in m.expected if not k.in_place for r in k.ranges)
    differing = [*m.difference.ranges, *(r for k in m.expected if k.in_place for r in k.difference.ranges)]
    return merged([*m.canonical(differing), *(x for r in astray for s in seen if (x := r.intersection(s)).size)])
