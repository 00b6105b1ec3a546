"""What the pieces show together: another build, a stuck address line, a reading mode that was not the right one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from h5diag.chip import Chip
from h5diag.measure.locate.pieces import distinct
from h5diag.measure.locate.placement import Pattern, PatternKind, Region, Transform
from h5diag.measure.locate.side import Side
from h5diag.memory import AddressRange, Bytes, merged
from h5diag.text import count_text

Rest = tuple[Sequence[AddressRange], Sequence[AddressRange]]

STEP = 1 << 15  # from piece to piece the displacement of another build changes by at most so many bytes
CHAIN = 400  # so many of the largest pieces are put in order
SHARE = 0.6  # what is said of the whole holds for this share of the bytes that were found
LEAST_SHARE = 0.4  # two builds share so much of the content of the one that has less
# So many addresses and branches, and this share of all that differs, follow a move of their targets.
ADJUSTED, ADJUSTED_SHARE = 4, 0.3
READ = 4 << 20  # they are looked for in the pieces until so many bytes were read, as many as a flash has
MOVED = 1 << 16  # targets move by at most so many bytes from build to build
GAP = 1 << 14  # what is new or gone between, before and behind the pieces of another build, at most
STEPS = 4  # so many equal steps of the displacement at equal distances are no accident
SMALL = 16  # a shift of everything by fewer bytes than this is one of the reading
LOOKED_AT, LANES_AGREE = 1 << 16, 0.97  # lanes are looked at on so many bytes; this share of the bytes of a lane agrees


def patterns_of(regions: Sequence[Region], a: Side, b: Side, rest: Rest) -> tuple[Pattern, ...]:
    """Return what the regions of a search show together.

    Parameters
    ----------
    regions
        By dump address, before they are named.
    a, b
        The reference's and the dump's side.
    rest
        What no region explains, of the reference and of the dump.
    """
    strong = [r for r in regions if not r.weak]
    plain = [r for r in strong if r.transform is Transform.AS_IS]
    found = [*_address_lines(strong, b.chip), _inserted(plain), _shifted(plain, rest)]
    if not any(found):
        found.append(_other_build(plain, a, b, rest))
    if not strong:
        found.append(_lanes(a, b))
    return tuple(p for p in found if p is not None)


def _pattern(kind: PatternKind, regions: Sequence[Region], number: int, text: str) -> Pattern:
    moves = [r.displacement for r in regions]
    return Pattern(
        kind,
        merged(r.dump_range for r in regions),
        merged(r.reference_range for r in regions),
        sum(r.equal_bytes for r in regions),
        len(regions),
        (min(moves), max(moves)),
        number,
        text,
    )


def _address_lines(strong: Sequence[Region], chip: Chip) -> Iterable[Pattern]:
    """Tell the address lines that show as a power of two by which content repeats."""
    total = sum(r.equal_bytes for r in strong)
    in_place = merged(r.reference_range for r in strong if r.displacement == 0)
    starts = [p.start for p in in_place]
    by: dict[int, list[Region]] = {}
    for r in strong:
        by.setdefault(r.displacement, []).append(r)
    for displacement, moved in by.items():
        bit = abs(displacement).bit_length() - 1
        if (
            not displacement
            or abs(displacement) != 1 << bit
            or not 4 <= bit < 26
            or sum(r.equal_bytes for r in moved) < total // 8
        ):
            continue
        # Content that is shown twice: also where it belongs.
        twice = 0
        for r in moved:
            k = bisect_left(starts, r.reference_start + r.size) - 1
            twice += r.size if k >= 0 and in_place[k].stop > r.reference_start else 0
        here = 1 if displacement > 0 else 0
        on_line = sum(r.size for r in moved if (chip.canonical(r.dump_start) >> bit & 1) == here)
        size = sum(r.size for r in moved)
        if twice > 0.5 * size and on_line > 0.9 * size and len({r.dump_start >> bit for r in moved}) > 1:
            state = "0" if displacement > 0 else "1"
            text = f"content repeats every 0x{2 << bit:X} bytes as if address line A{bit} were stuck at {state}"
            yield _pattern(PatternKind.ADDRESS_LINE, moved, bit, text)


def _inserted(plain: Sequence[Region]) -> Pattern | None:
    """Tell bytes that are inserted or lost again and again, at the same distance."""
    runs: list[list[Region]] = [[]]
    step = distance = 0
    for before, r in pairwise(plain):
        more, far = r.displacement - before.displacement, r.dump_start - before.dump_start
        if more and abs(more) <= SMALL and more == step and abs(far - distance) <= 2 * abs(step):
            runs[-1].append(r)
        else:
            runs.append([before, r])
            step, distance = more, far
    longest = max(runs, key=len)
    if len(longest) <= STEPS or sum(r.size for r in longest) < SHARE * sum(r.size for r in plain):
        return None
    step = longest[2].displacement - longest[1].displacement
    period = longest[2].reference_start - longest[1].reference_start
    what = "inserted" if step > 0 else "lost"
    often = count_text(len(longest) - 1, "time")
    text = f"{count_text(abs(step), 'byte')} {what} every {count_text(period, 'byte')}, {often} in a row"
    return _pattern(PatternKind.INSERTED, longest, period, text)


def _shifted(plain: Sequence[Region], rest: Rest) -> Pattern | None:
    """Tell that all of the reference, or of the dump, stands a few bytes off."""
    moves = {r.displacement for r in plain}
    if len(moves) != 1 or not 0 < abs(move := next(iter(moves))) < SMALL:
        return None
    found = sum(r.size for r in plain)
    if found < SHARE * (found + min(sum(x.size for x in side) for side in rest)):
        return None
    where = "later" if move > 0 else "earlier"
    text = f"everything found stands {count_text(abs(move), 'byte')} {where}: as if {abs(move)} too "
    text += "many were read first" if move > 0 else "few were read first"
    return _pattern(PatternKind.SHIFTED, plain, abs(move), text)


def _lanes(a: Side, b: Side) -> Pattern | None:
    """Tell that only some of each two or four bytes agree, the others being constant, missing or doubled."""
    if not a.size or not b.size:
        return None
    for i, at in enumerate(a.canonical.tolist()):
        for j, to in enumerate(b.canonical.tolist()):
            x, y = (s.data[slice(*s.segments[k])][max(at, to) - own :] for s, k, own in ((a, i, at), (b, j, to)))
            for lanes in (2, 4):
                text = _lane_text(x[:LOOKED_AT], y[:LOOKED_AT], lanes) if min(x.size, y.size) >= 256 else ""
                if text:
                    whole, own = b.ranges(b.segments[j : j + 1]), a.ranges(a.segments[i : i + 1])
                    return Pattern(PatternKind.LANES, whole, own, 0, 0, (0, 0), lanes, text)
    return None


def _lane_text(x: Bytes, y: Bytes, lanes: int) -> str:
    size = min(x.size, y.size) // lanes * lanes
    x, y, r, d = x, y, x[:size].reshape(-1, lanes), y[:size].reshape(-1, lanes)
    ordinal = {2: "second", 4: "fourth"}[lanes]
    alike = [_alike(r[:, k], d[:, k]) for k in range(lanes)]
    fixed = [_constant(d[:, k]) for k in range(lanes)]
    good = [k for k in range(lanes) if alike[k]]
    bad = [k for k in range(lanes) if not alike[k] and fixed[k] is not None and _constant(r[:, k]) is None]
    if good and bad and len(good) + len(bad) == lanes:
        values = ", ".join(sorted({f"0x{fixed[k]:02X}" for k in bad}))
        if len(bad) == 1:
            return f"every {ordinal} byte is {values} whatever it should be; the others agree"
        return f"{len(bad)} of each {count_text(lanes, 'byte')} are {values} whatever they should be; the others agree"
    for k in range(lanes):
        whole = min(size // lanes, x.size // lanes, y.size)
        if _alike(x[k : whole * lanes : lanes], y[:whole]):
            return f"only every {ordinal} byte of the reference is there, one behind the other"
        whole = min(x.size, size // lanes)
        if _alike(x[:whole], y[k : whole * lanes : lanes]):
            return f"the reference is there in every {ordinal} byte, with other bytes between"
    return ""


def _alike(x: Bytes, y: Bytes) -> bool:
    """Tell whether two lanes agree, and hold content."""
    return x.size == y.size > 63 and _constant(x) is None and float(np.mean(x == y)) >= LANES_AGREE


def _constant(x: Bytes) -> int | None:
    """Return the value that nearly all bytes of a lane have."""
    value = int(np.bincount(x, minlength=256).argmax())
    return value if float(np.mean(x == value)) >= LANES_AGREE else None


def _other_build(plain: Sequence[Region], a: Side, b: Side, rest: Rest) -> Pattern | None:
    """Tell that the dump holds another build of what the reference holds."""
    if sum(r.size - r.equal_bytes for r in plain) < ADJUSTED:
        return None
    chain = _in_order(plain)
    total = sum(r.equal_bytes for r in plain)
    found = sum(r.equal_bytes for r in chain)
    if (
        not chain
        or found < SHARE * total
        or found < LEAST_SHARE * (found + min(sum(x.size for x in side) for side in rest))
    ):
        return None
    moves = [r.displacement for r in chain]
    adjusted = differing = looked = 0
    for r in chain:
        one, of = _adjusted(r, a, b, READ - looked)
        adjusted, differing, looked = adjusted + one, differing + of, min(looked + r.size, READ)
    # Pieces that all lie on one displacement are another build when their addresses say so, and clearly: bits that
    # flip hit branches too.
    clearly = 2 if len(set(moves)) == 1 else 1
    if adjusted < clearly * ADJUSTED or adjusted < clearly * ADJUSTED_SHARE * differing or any(r.lines for r in chain):
        return None
    low, high = min(moves), max(moves)
    drift = (
        f"displaced by {_signed(low)}" + (f" to {_signed(high)}" if high != low else "") if low or high else "in place"
    )
    text = (
        f"another build of the same firmware: {count_text(len(chain), 'piece')} in the same order, {drift};"
        f" {count_text(adjusted, 'address or branch', 'addresses and branches')} adjusted to it"
    )
    return Pattern(
        PatternKind.OTHER_BUILD,
        _with_neighbours([r.dump_range for r in chain], rest[1]),
        _with_neighbours([r.reference_range for r in chain], rest[0]),
        found,
        len(chain),
        (low, high),
        adjusted,
        text,
    )


def _in_order(plain: Sequence[Region]) -> list[Region]:
    """Return the pieces, most bytes together, that follow each other on both sides with small steps between."""
    large = sorted(sorted(plain, key=lambda r: -r.size)[:CHAIN], key=lambda r: r.dump_start)
    best: list[tuple[int, int]] = []  # bytes of the best chain that ends here, and where it came from
    for i, r in enumerate(large):
        longest, source = 0, -1
        for k in range(i - 1, max(i - 50, -1), -1):
            before = large[k]
            if (
                before.reference_start < r.reference_start
                and abs(before.displacement - r.displacement) <= STEP
                and best[k][0] > longest
            ):
                longest, source = best[k][0], k
        best.append((longest + r.equal_bytes, source))
    chain: list[Region] = []
    at = max(range(len(best)), key=lambda i: best[i][0], default=-1)
    while at >= 0:
        chain.append(large[at])
        at = best[at][1]
    return chain[::-1]


def _adjusted(r: Region, a: Side, b: Side, most: int) -> tuple[int, int]:
    """Return how many differing places of a piece, in so many bytes, are addresses or branches that follow a move.

    And of how many.
    """
    if r.equal_bytes == r.size:
        return 0, 0
    start, to = a.position(r.reference_start), b.position(r.dump_start)
    skip = r.reference_start % 2
    x, y = (v[k + skip : k + min(r.size, most)] for v, k in ((a.data, start), (b.data, to)))
    size = x.size & ~3
    if size < 8:
        return 0, 0
    one, two = (np.ascontiguousarray(v[:size]).view("<u2") for v in (x, y))
    differs = np.flatnonzero(one != two)
    explained = np.zeros(one.size, np.bool_)
    # A branch with link, a wide branch, or half an address by MOVW or MOVT, in two halfwords on both sides.
    at = distinct(np.concatenate([differs, differs - 1]))
    at = at[(at >= 0) & (at < one.size - 1)]
    first = [(v[at] & 0xF800 == 0xF000) & (v[at + 1] & 0x9000 == 0x9000) for v in (one, two)]
    half = [((v[at] & 0xFBF0) == 0xF240) | ((v[at] & 0xFBF0) == 0xF2C0) for v in (one, two)]
    branch = at[(first[0] & first[1]) | (half[0] & half[1])]
    explained[branch] = explained[branch + 1] = True
    # Addresses in literal pools and tables lie on words, in the reference's own addresses.
    start = (r.reference_start + skip) % 4 // 2
    at = distinct((differs[differs >= start] - start) // 2 * 2 + start)
    at = at[at < one.size - 1]
    was, now = (v[at].astype(np.int64) | v[at + 1].astype(np.int64) << 16 for v in (one, two))
    flash = [((v >> 28) <= 3) & ((v >> 24) != 0) | ((v >> 28) == 9) | ((v >> 28) == 7) for v in (was, now)]
    literal = at[flash[0] & flash[1] & (was >> 24 == now >> 24) & (np.abs(was - now) <= MOVED)]
    explained[literal] = explained[literal + 1] = True
    count = branch.size + literal.size
    other = int(np.count_nonzero(~explained[differs]))
    return count, count + (other + 1) // 2


def _with_neighbours(ranges: list[AddressRange], rest: Sequence[AddressRange]) -> tuple[AddressRange, ...]:
    """Return the ranges of a build with what is new between them, and next to them."""
    out = list(merged(ranges))
    for x in rest:
        if x.size <= GAP and any(p.start - GAP <= x.start and x.stop <= p.stop + GAP for p in out):
            out.append(x)
    return merged(out)


def _signed(value: int) -> str:
    return f"{'-' if value < 0 else '+'}0x{abs(value):X}" if value else "0"
