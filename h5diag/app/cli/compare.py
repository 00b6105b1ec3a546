"""``h5diag compare``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace

from h5diag.app.cli.chosen import chosen_chip
from h5diag.app.cli.command import Command, Result, number


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("good", metavar="GOOD", help="dump of a board that works, or the image that should be there")
    parser.add_argument("suspect", metavar="SUSPECT", help="dump of the board in question")
    parser.add_argument("--base", type=number, metavar="ADDRESS", help="where a SUSPECT.bin begins")
    parser.add_argument("--reference-base", type=number, metavar="ADDRESS", help="where a GOOD.bin begins")
    parser.add_argument("--chip", metavar="NAME", help="chip file or family word")
    parser.add_argument("--layout", metavar="L", help="preset or flash_layout.h: names the slots")
    parser.add_argument("--options-good", metavar="F", help="option listing of the good board")
    parser.add_argument("--options-suspect", metavar="F", help="option listing of the suspect: shows what is masked")
    parser.add_argument("--access-good", choices=("secure", "nonsecure"), help="how GOOD was read, likewise")
    parser.add_argument("--access", choices=("secure", "nonsecure"), help="how SUSPECT was read, where no sidecar says")


def _run(options: Namespace) -> Result:
    from h5diag.app.cli.options_report import read_tool_text
    from h5diag.errors import InputError
    from h5diag.evidence.files import read_image
    from h5diag.evidence.texts import parse_listing
    from h5diag.judge.facts import without
    from h5diag.judge.measure import hidden_ranges, masked_ranges
    from h5diag.measure.compare import AreaState, compare
    from h5diag.measure.options import OptionBytes, decode_listing
    from h5diag.memory import Access, AddressRange, MemoryImage
    from h5diag.text import count_text, range_text, size_text

    good = read_image(options.good, base=options.reference_base)
    suspect = read_image(options.suspect, base=options.base)
    chosen = chosen_chip(options.chip, options.layout, (suspect, good))
    chip, layout = chosen.chip, chosen.layouts[0] if chosen.layouts else None

    def listed(name: str | None) -> tuple[OptionBytes, ...]:
        if not name:
            return ()
        found = decode_listing(parse_listing(read_tool_text(name)), chip)
        if not found.settings:
            raise InputError(
                "not one option line is in it", source=name, advice="give what 'STM32_Programmer_CLI -ob displ' prints"
            )
        return (found,)

    def hidden(image: MemoryImage, listing: tuple[OptionBytes, ...]) -> tuple[AddressRange, ...]:
        if listing:
            return hidden_ranges(listing[0], image.origin.access, chip)
        # The sidecar's access alone is evidence too: whole sectors of zeros are what a non-secure reader gets.
        return (chip.flash_range,) if image.origin.access is Access.NONSECURE else ()

    if options.access_good:
        good = good.with_origin(replace(good.origin, access=Access(options.access_good)))
    if options.access:
        suspect = suspect.with_origin(replace(suspect.origin, access=Access(options.access)))
    # What the good board's reader was not shown can be compared with nothing.
    blind = masked_ranges(good, hidden(good, listed(options.options_good)), chip)
    good = without(good, blind, chip.flash.secure_base - chip.flash.base)
    result = compare(good, suspect, chip, masks=hidden(suspect, listed(options.options_suspect)))
    document = {
        "chip": chip.name,
        "areas": [
            {
                "start": a.range.start,
                "size": a.range.size,
                "state": a.state.value,
                **(
                    {"differing_bytes": a.differing_bytes, "bits": {"risen": a.risen, "fallen": a.fallen}}
                    if a.differing_bytes
                    else {}
                ),
                **({"mask_like": True} if a.mask_like else {}),
                **({"slot": str(layout.slot_at(a.range.start))} if layout else {}),
            }
            for a in result.areas
        ],
        "bits": {"risen": result.risen, "fallen": result.fallen},
        "differing_bytes": result.differing_bytes,
        "compared_bytes": result.compared_bytes,
        "not_compared": [[r.start, r.stop] for r in result.not_compared],
        "same_view": result.same_view,
        "chip_assumed": chosen.assumed,
    }
    lines = []
    if not result.areas:
        lines.append("Nothing in common: the two dumps hold no cell that both have.")
    elif not result.differing_bytes and not result.of(AreaState.MASKED) and not result.of(AreaState.UNREADABLE):
        lines.append(f"Equal: all {size_text(result.compared_bytes)} that both dumps hold.")
    else:
        lines.append(
            f"{count_text(result.differing_bytes, 'byte')} of {size_text(result.compared_bytes)} differ;"
            f" bits fallen (1 to 0): {result.fallen}, risen (0 to 1): {result.risen}."
        )
        if result.fallen > 15 and not result.risen:
            lines.append("Bits only fell: as when new content is programmed over old without an erase.")
    if not result.same_view:
        lines.append("The dumps were read through different aliases: compared cell by cell.")
    shown = [a for a in result.areas if a.state is not AreaState.EQUAL]
    if shown:
        lines.append("")
    for a in shown[:40]:
        slot = f"  {layout.slot_at(a.range.start)}" if layout else ""
        note = "  on sector edges, like a mask" if a.mask_like else ""
        lines.append(f"  {range_text(a.range)}  {size_text(a.range.size):>10}  {a.state.value:<10}{slot}{note}")
    if len(shown) > 40:
        lines.append(f"  ... and {len(shown) - 40} more areas (--json lists all)")
    return Result(document, "\n".join(lines))


COMMANDS = (Command("compare", "what differs in place between a good and a suspect dump", _arguments, _run),)
