"""The compiled kernel and the plain search say the same, and the kernel refuses what does not fit together."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from h5diag.chip import load_chip
from h5diag.measure.locate import Transform, kernel, locate, prepare, regions, score, search, side
from h5diag.measure.locate.kernel import LIBRARY, _Kernel as Kernel, _pair, _pieces, _words
from h5diag.measure.locate.pieces import PIECE, Pair, Watch, complement, edges, overlaps, pieces_of, touched
from h5diag.measure.locate.plain import DROP, Plain
from h5diag.measure.locate.side import Side, pair_of as made
from h5diag.memory import MemoryImage, Segment

from .conftest import BASE, board, code, image_of
from .soak_locate import any_image

WATCH = Watch()
PLAIN = Plain()
WORD_MASK = (1 << 64) - 1

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="no compiler: there is no kernel to test")


@pytest.fixture(scope="module")
def c():
    return Kernel(LIBRARY)


@pytest.fixture
def use_plain(monkeypatch):
    """Let the whole search run without the kernel from now on."""

    def switch():
        for module in (search, regions, score, side):
            monkeypatch.setattr(module, "engine", Plain)

    return switch


def mixed(rng, size):
    """Return fill, periods, noise, code and zeros, mixed."""
    parts = []
    while sum(p.size for p in parts) < size:
        n = int(rng.integers(1, 700))
        parts.append(
            [
                lambda n: np.full(n, rng.integers(0, 256), np.uint8),
                lambda n: np.resize(rng.integers(0, 256, rng.integers(1, 30), dtype=np.uint8), n),
                lambda n: rng.integers(0, 256, n, dtype=np.uint8),
                lambda n: code(4096, 5)[:n],
            ][rng.integers(4)](n)
        )
    return np.concatenate(parts)[:size]


def pair_of(rng, mask=0xFF):
    a = mixed(rng, int(rng.integers(100, 20_000)))
    pieces = [mixed(rng, int(rng.integers(10, 3000)))]
    for _ in range(rng.integers(1, 8)):
        n = int(rng.integers(8, min(a.size, 3000)))
        at = int(rng.integers(0, a.size - n + 1))
        piece = a[at : at + n].copy()
        piece[rng.integers(0, n, rng.integers(0, 1 + n // 20))] ^= np.uint8(1 << rng.integers(8))
        pieces += [piece, mixed(rng, int(rng.integers(1, 300)))]
    b = np.concatenate(pieces)
    cut = int(rng.integers(1, a.size))
    torn = MemoryImage((Segment(0x08000000, a[:cut]), Segment(0x08100000, a[cut:])))
    ours, other = (Side.of(x, load_chip(), WATCH) for x in (torn, image_of(b)))
    return made(ours, other, Transform.AS_IS, mask, WATCH), ours, other


def whole(a, b, gain):
    """Return a reading of two images in one segment each, all bytes of which are worth the same."""
    return Pair(a, b, np.array([[0, a.size]]), np.full(256, gain, np.int32), -13)


def all_of(data):
    return np.array([[0, data.size]])


def rows(p):
    return sorted(p.tolist())


@pytest.mark.parametrize("seed", range(12))
def test_same_fill_and_equality(c, seed):
    rng = np.random.default_rng(seed)
    data = mixed(rng, int(rng.integers(0, 9000)))
    assert np.array_equal(c.fill(data, WATCH), PLAIN.fill(data, WATCH))
    other = data.copy()
    if other.size:
        other[rng.integers(0, other.size, 5)] ^= 1
    assert np.array_equal(c.equal(data, other, WATCH), PLAIN.equal(data, other, WATCH))


@settings(max_examples=60)
@given(
    st.integers(0, 1 << 32),
    st.sampled_from([0xFF, 0xFE, 0x7F, 0xEF]),
    st.sampled_from([1, 4, 16, 509]),
    st.sampled_from([1024, 1 << 62]),
)
def test_same_pieces(seed, mask, stride, span):
    c, rng = Kernel(LIBRARY), np.random.default_rng(seed)
    pair, a, b = pair_of(rng, mask)
    found = []
    for engine in (c, PLAIN):
        words = engine.words(pair.reference, ~a.fill, stride, pair.word_mask, WATCH)
        found.append(engine.scan(pair, b.unclaimed, words, ~b.fill, 160, span, WATCH))
    assert rows(found[0]) == rows(found[1])
    ordered = found[0][np.lexsort((found[0]["dump"], found[0]["reference"] - found[0]["dump"]))]
    assert c.grow(pair, ordered).tolist() == PLAIN.grow(pair, ordered).tolist()
    best = found[0][np.argsort(-found[0]["score"], kind="stable")]
    got, unclaimed = zip(*(engine.claim(pair, b.unclaimed, best, 160) for engine in (c, PLAIN)), strict=True)
    assert got[0].tolist() == got[1].tolist()
    assert unclaimed[0].tolist() == unclaimed[1].tolist()
    assert c.compare(pair, found[0]).tolist() == PLAIN.compare(pair, found[0]).tolist()
    assert c.runs(pair, found[0]).tolist() == PLAIN.runs(pair, found[0]).tolist()


@pytest.mark.parametrize("width", [3, 17, 256])
def test_same_counts(c, width):
    rng = np.random.default_rng(width)
    sides = [(d := mixed(rng, 9000), rng.random(d.size // width) < 0.6) for _ in range(2)]
    one, two = (e.count(sides, width) for e in (c, PLAIN))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    asked = rng.integers(0, 1 << 24, 3000).astype(np.uint32)
    some = np.concatenate([asked, sides[0][0][:300].astype(np.uint32)])
    assert np.array_equal(c.asked(one, some), PLAIN.asked(two, some))


def test_pieces_are_true(c):
    """Not only the same: an exact piece is exactly there, and the score is the sum of its bytes."""
    a, b = code(4096, 60), code(4096, 61)
    b[1000:1200] = a[501:701]
    pair = whole(a, b, 20)
    words = c.words(a, np.ones(64, np.bool_), 4, WORD_MASK, WATCH)
    found = c.scan(pair, all_of(b), words, np.ones(64, np.bool_), 160, 1024, WATCH)
    (one,) = found[found["dump"] - found["reference"] == 499].tolist()
    there, start, size, score = one
    assert start <= 1000
    assert start + size >= 1200
    x, y = a[there : there + size], b[start : start + size]
    assert score <= 20 * int((x == y).sum()) - 13 * int((x != y).sum())
    assert score > 20 * 150
    assert DROP == 320


def test_same_placement_without_the_kernel(use_plain):
    a = board(41)
    b = board(42)
    b[70_001:90_000] = a[1000:20_999]
    b[150_000:150_200] = a[200_000:200_200]
    images = [(image_of(a), image_of(b))]
    rng = np.random.default_rng(3)
    images += [(any_image(rng), any_image(rng)) for _ in range(15)]
    with_kernel = [locate(x, y, transforms=True) for x, y in images]
    use_plain()
    assert [locate(x, y, transforms=True) for x, y in images] == with_kernel
    assert with_kernel[0].strong


def test_without_a_library_the_plain_search_serves_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "LIBRARY", tmp_path / "none.so")
    kernel.engine.cache_clear()
    assert isinstance(kernel.engine(), Plain)
    assert "numpy" in kernel.remark()
    (tmp_path / "none.so").write_bytes(b"no library")
    kernel.engine.cache_clear()
    assert isinstance(kernel.engine(), Plain)
    monkeypatch.undo()
    kernel.engine.cache_clear()
    assert isinstance(kernel.engine(), Kernel)
    assert kernel.remark() is None


def test_a_library_of_another_version_is_not_used(monkeypatch):
    monkeypatch.setattr(kernel, "ABI", 99)
    with pytest.raises(OSError, match="version"):
        Kernel(LIBRARY)


def test_what_does_not_fit_together_is_refused(c):
    data = code(1000, 1)
    with pytest.raises(AssertionError):
        c._call("fill", data, data.size, np.zeros(3, np.bool_), 3)
    with pytest.raises(AssertionError):
        c._call("equal", data, data, data.size, np.zeros(99, np.bool_), 99)
    pair, a, b = pair_of(np.random.default_rng(1))
    for beyond in (
        pieces_of([0], [pair.dump.size - 4], [8]),
        pieces_of([pair.reference.size - 4], [0], [8]),
        pieces_of([-1], [0], [8]),
        pieces_of([0], [0], [-8]),
    ):
        with pytest.raises(AssertionError):
            c.compare(pair, beyond)
        with pytest.raises(AssertionError):
            c.runs(pair, beyond)
        with pytest.raises(AssertionError):
            c.claim(pair, b.unclaimed, beyond, 0)
        with pytest.raises(AssertionError):
            c.grow(pair, beyond)
    words = c.words(pair.reference, ~a.fill, 4, WORD_MASK, WATCH)
    short, out = np.zeros(1, np.bool_), _pieces(np.empty(64, PIECE), 0)
    given = short, 1, np.zeros((9, 3), np.int64), 3, 0, 1, 0, 9999
    with pytest.raises(AssertionError):
        c._call("scan", _pair(pair, b.unclaimed), _words(words), *given, out)
    with pytest.raises(AssertionError, match="whole"):
        c._call("fill", data[::2], 500, np.zeros(8, np.bool_), 8)
    with pytest.raises(AssertionError):
        c.claim(pair, np.array([[5, 9], [3, 7]]), pieces_of([0], [0], [8]), 0)
    with pytest.raises(AssertionError):
        c.count([(data, np.ones(99, np.bool_))], 17)


def test_room_runs_out_and_nothing_is_lost(c, monkeypatch):
    """More pieces than one call has room for: the rest comes with the next."""
    rng = np.random.default_rng(5)
    a = rng.integers(0, 256, 1 << 17, dtype=np.uint8)
    b = a.reshape(-1, 32)[rng.permutation(a.size // 32)].ravel()
    every = np.ones(a.size // 64, np.bool_)
    words = c.words(a, every, 4, WORD_MASK, WATCH)
    given = whole(a, b, 28), all_of(b), words, every, 160, 1024, WATCH
    at_once = c.scan(*given)
    monkeypatch.setattr(kernel, "FOUND_AT_ONCE", 64)
    assert rows(c.scan(*given)) == rows(at_once)
    assert at_once.size > 3000


def test_room_for_stretches_runs_out_and_nothing_is_lost(c):
    """One wanted piece lies over hundreds of stretches, more than there is room for at first."""
    a = code(1 << 16, 6)
    unclaimed = np.stack([np.arange(0, 1 << 16, 64), np.arange(40, 1 << 16, 64)], axis=1)
    wanted = pieces_of([0], [0], [a.size], [9999])
    got, left = c.claim(whole(a, a.copy(), 20), unclaimed, wanted, 160)
    want, still = PLAIN.claim(whole(a, a.copy(), 20), unclaimed, wanted, 160)
    assert got.size == 1024
    assert (got.tolist(), left.tolist()) == (want.tolist(), still.tolist())


def test_prepared_once_used_often():
    good = board(50)
    ready = prepare(image_of(good))
    for seed in range(3):
        dump = board(60 + seed)
        dump[0x5000:0x9000] = good[0x8000:0xC000]
        assert locate(ready, image_of(dump)) == locate(image_of(good), image_of(dump))
    # The sparse index and the dense one, each made once.
    assert len(ready._words) == 2


@pytest.mark.parametrize("fill", [200, 700, 3000])
def test_what_stands_behind_fill_is_looked_up_again(fill):
    """Equal bytes run on through fill, an extension does not: the piece behind it must be found too."""
    data = code(40_000, 70)
    data[20_000 : 20_000 + fill] = 0
    dump = code(1 << 17, 71)
    dump[50_001 : 50_001 + data.size] = data
    p = locate(image_of(data), image_of(dump))
    assert sum(r.size for r in p.strong if r.displacement == 50_001) >= data.size - fill - 32


def test_of_two_copies_the_one_that_goes_on_behind_fill_is_taken():
    """What is between agrees but is too plain to be searched, so the first parts of both copies look alike."""
    reference, dump = code(9 << 20, 80), code(9 << 20, 81)
    first, island, rest = code(1500, 82), code(40, 83), code(3000, 84)
    table = np.resize(np.frombuffer(b"\0\0\0\0\1\2\3\4", np.uint8), 4096)
    piece = np.concatenate([first, table, island, table, rest])
    reference[100_001 : 100_001 + first.size] = first
    reference[5_000_003 : 5_000_003 + piece.size] = piece
    dump[7_000_000 : 7_000_000 + piece.size] = piece
    p = locate(image_of(reference), image_of(dump))
    here = [
        r
        for r in p.strong
        if r.dump_range.start < BASE + 7_000_000 + piece.size and r.dump_range.stop > BASE + 7_000_000
    ]
    assert [(r.displacement, r.size) for r in here] == [(7_000_000 - 5_000_003, piece.size)]


def test_a_piece_grows_through_fill_to_the_byte(c):
    a = code(6000, 90)
    a[2000:3000] = 0
    b = code(6000, 91)
    b[500:4500] = a[1000:5000]
    b[499], b[4500] = a[999] ^ 1, a[5000] ^ 1
    two = pieces_of([1200, 4000], [700, 3500], [50, 60], [3, 4])
    for engine in (c, PLAIN):
        assert engine.grow(whole(a, b, 20), two).tolist() == [(1000, 500, 4000, 7)]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 299), st.integers(1, 60)), max_size=12), st.integers(0, 1 << 32))
def test_runs_are_sets_of_positions(spans, seed):
    """What lies in no run, what of runs lies in stretches, the runs of flags, and the blocks touched, by their bytes."""
    runs = np.array([(at, min(at + n, 300)) for at, n in spans], np.int64).reshape(-1, 2)
    inside = np.zeros(300, np.bool_)
    for start, stop in runs.tolist():
        inside[start:stop] = True
    assert edges(~inside).tolist() == complement(runs, 300).tolist()
    stretches = edges(np.random.default_rng(seed).random(300) < 0.7)
    parts, owner, which = overlaps(runs, stretches)
    assert parts.tolist() == [
        [max(a, c), min(b, d)] for a, b in runs.tolist() for c, d in stretches.tolist() if max(a, c) < min(b, d)
    ]
    for part, run, stretch in zip(parts.tolist(), runs[owner].tolist(), stretches[which].tolist(), strict=True):
        assert run[0] <= part[0] < part[1] <= run[1]
        assert stretch[0] <= part[0] < part[1] <= stretch[1]
    blocks = [any(a < 64 * k + 64 and b > 64 * k for a, b in runs.tolist()) for k in range(5)]
    assert touched(runs, 5).tolist() == blocks
