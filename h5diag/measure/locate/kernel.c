/* The hot core of locate: fill scan, index of words, look-up, extension with errors, claims, tallies.
 *
 * plain.py says the same in numpy, shorter and slower; the tests hold the two against each other. All memory belongs
 * to the caller and every size comes with it; a function answers -1 when what it was given does not fit together.
 * Nothing is allocated, nothing is kept between calls, so calls may run on several threads at once.
 *
 * Positions are flat: 0 .. size of a side. A diagonal is a reference position minus a dump position. A block is 64
 * bytes. Scores are quarter bits.
 */
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

enum { ABI = 5, BLOCK = 64, WORD = 8, MOST_COPIES = 16, COMMON = 1021, RUN = 128, REPEATS = 16, GAP = 256, UNWEIGHED = 20 };
enum { EXPLAINED = 1024, ALIKE = 32, AHEAD = 16 };

#define NONE UINT32_MAX
#define MULTIPLIER 0x9E3779B97F4A7C15ull
#if defined(__GNUC__)
#define PREFETCH(p) __builtin_prefetch(p)
#else
#define PREFETCH(p) ((void)(p))
#endif
#define EVERY_BYTE 0x0101010101010101ull

/* From `start` to before `stop`. */
typedef struct { int64_t start, stop; } stretch;

/* A piece that both sides hold. */
typedef struct { int64_t reference, dump, size, score; } piece;

/* Room for pieces, and how many there are. */
typedef struct {
    piece *rows;
    int64_t count, room;
} pieces;

/* Two sides, what is still free of the dump, and what bytes are worth. As in kernel.py, and so are the next ones. */
typedef struct {
    const uint8_t *reference, *dump;
    const stretch *segments; /* of the reference */
    stretch *free;           /* of the dump; both sorted and disjoint */
    const int32_t *gain;     /* of an equal byte, by its value */
    int64_t reference_size, dump_size, segment_count, free_count, free_room;
    int64_t mismatch; /* of a differing byte, negative */
    int64_t drop;     /* an extension ends this much below its best */
    int64_t mask;     /* bits of a byte that count */
} sides;

/* Words of the reference at every stride-th position, in chains by hash. */
typedef struct {
    uint32_t *head;  /* 1 << bits: number of the first word of a chain */
    uint32_t *next;  /* by number = position / stride */
    uint8_t *filter; /* one bit for each value of bits + 4 bits of the hash */
    int64_t count;   /* length of next */
    int64_t stride, bits;
    uint64_t mask; /* bits of a word that count */
} words;

/* What is known of a diagonal that was met lately: how far it is extended, and its last equal word. */
typedef struct { int64_t diagonal, until, last; } lately;

EXPORT int64_t h5_abi(void) { return ABI; }

static uint64_t word_at(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static int ones(uint64_t v) {
    v -= (v >> 1) & 0x5555555555555555ull;
    v = (v & 0x3333333333333333ull) + ((v >> 2) & 0x3333333333333333ull);
    return (int)((((v + (v >> 4)) & 0x0F0F0F0F0F0F0F0Full) * EVERY_BYTE) >> 56);
}

static int zero_bytes(uint64_t v) {
    const uint64_t low = 0x7F7F7F7F7F7F7F7Full;
    return ones(~(((v & low) + low) | v | low));
}

/* Words of period 1, 2 or 4 and those of `plain` bytes 00 or FF say nothing about where content belongs. */
static int says_nothing(uint64_t v, int plain) {
    return v == ((v << 32) | (v >> 32)) || zero_bytes(v) >= plain || zero_bytes(~v) >= plain;
}

/* ---- fill and equality, block by block --------------------------------------------------------------------- */

/* Tell for each block whether it repeats itself with a period of at most 24 bytes. */
EXPORT int64_t h5_fill(const uint8_t *data, int64_t size, uint8_t *fill, int64_t count) {
    if (size < 0 || count != (size + BLOCK - 1) / BLOCK) return -1;
    for (int64_t b = 0; b < size / BLOCK; b++) {
        const uint8_t *p = data + b * BLOCK;
        uint8_t found = 0;
        for (int lag = 8; lag <= 24 && !found; lag += 8) found = memcmp(p, p + lag, (size_t)(BLOCK - lag)) == 0;
        fill[b] = found;
    }
    const int64_t rest = size % BLOCK;
    if (rest) fill[count - 1] = memcmp(data + size - rest, data + size - rest + 1, (size_t)(rest - 1)) == 0;
    return 0;
}

/* Tell for each whole block whether both hold the same. */
EXPORT int64_t h5_equal(const uint8_t *a, const uint8_t *b, int64_t size, uint8_t *same, int64_t count) {
    if (size < 0 || count != size / BLOCK) return -1;
    for (int64_t i = 0; i < count; i++) same[i] = memcmp(a + i * BLOCK, b + i * BLOCK, BLOCK) == 0;
    return 0;
}

/* ---- extension ---------------------------------------------------------------------------------------------- */

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* What the bytes at r and d are worth; `turn` is where the predecessor is not: 1 forward, -1 backward. */
static int32_t worth(const sides *s, int64_t r, int64_t d, int64_t turn) {
    uint8_t a = s->reference[r];
    if ((a ^ s->dump[d]) & s->mask) return s->mismatch;
    /* Fill can neither score nor bridge: an equal byte that repeats its predecessor costs a quarter bit. */
    int64_t before = r - turn;
    if (before >= 0 && before < s->reference_size && s->reference[before] == a) return -1;
    return s->gain[a & s->mask];
}

/* Return how many bytes from r and d on, in one direction, belong to the piece; adds what they are worth. */
static int64_t reach(const sides *s, int64_t r, int64_t d, int64_t limit, int64_t turn, int64_t *score) {
    int64_t run = 0, best = 0, length = 0;
    const int64_t low = turn < 0 ? 1 - WORD : 0; /* of the eight bytes that follow */
    for (int64_t i = 0; i < limit && best - run <= s->drop;) {
        const uint8_t *x = s->reference + r + turn * i, *y = s->dump + d + turn * i;
        int64_t many = 1;
        /* Within eight equal bytes an extension does not end as long as it is near its best. */
        if (i && limit - i >= WORD && best - run <= s->drop - WORD &&
            !((word_at(x + low) ^ word_at(y + low)) & s->mask * EVERY_BYTE))
            many = WORD;
        for (const int64_t end = i + many; i < end; i++, x += turn) {
            if (many == 1) run += worth(s, r + turn * i, d + turn * i, turn);
            else run += x[0] == x[-turn] ? -1 : s->gain[x[0] & s->mask];
            if (run > best) {
                best = run;
                length = i + 1;
            }
        }
    }
    *score += best;
    return length;
}

/* Return the number of the last of sorted stretches that does not start behind x, -1 if none. */
static int64_t stretch_at(const stretch *list, int64_t count, int64_t x) {
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (list[middle].start <= x) low = middle + 1;
        else high = middle;
    }
    return low - 1;
}

/* Extend an equal core within its free stretch and its segment; 0 when it does not lie in them. */
static int extended(const sides *s, int64_t r, int64_t d, int64_t core, piece *out) {
    int64_t f = stretch_at(s->free, s->free_count, d), c = stretch_at(s->segments, s->segment_count, r);
    if (f < 0 || c < 0 || d + core > s->free[f].stop || r + core > s->segments[c].stop) return 0;
    const stretch free = s->free[f], segment = s->segments[c];
    int64_t score = 0;
    int64_t from = core > BLOCK ? core : 0; /* a long core is equal, it need not be weighed */
    int64_t before = reach(s, r - 1, d - 1, smaller(d - free.start, r - segment.start), -1, &score);
    int64_t after = reach(s, r + from, d + from, smaller(free.stop - d, segment.stop - r) - from, 1, &score);
    *out = (piece){r - before, d - before, before + from + after, score + from * UNWEIGHED};
    return out->size > 0;
}

static int within(const sides *s, const piece *p) {
    return p->reference >= 0 && p->dump >= 0 && p->size >= 0 && p->size <= s->reference_size - p->reference &&
           p->size <= s->dump_size - p->dump;
}

static int disjoint(const stretch *list, int64_t count, int64_t size) {
    int64_t at = 0;
    for (int64_t i = 0; i < count; at = list[i++].stop)
        if (list[i].start < at || list[i].stop <= list[i].start) return 0;
    return at <= size;
}

static int sound(const sides *s) {
    return s->reference_size >= 0 && s->dump_size >= 0 && s->free_count >= 0 && s->free_count <= s->free_room &&
           disjoint(s->segments, s->segment_count, s->reference_size) && disjoint(s->free, s->free_count, s->dump_size);
}

/* Return how many bytes from r and d on, in one direction, agree, fill among them. */
static int64_t agreed(const sides *s, int64_t r, int64_t d, int64_t limit, int64_t turn) {
    const uint64_t counted = s->mask * EVERY_BYTE;
    const int64_t low = turn < 0 ? 1 - WORD : 0;
    int64_t i = 0;
    while (limit - i >= WORD && !((word_at(s->reference + r + turn * i + low) ^ word_at(s->dump + d + turn * i + low)) & counted))
        i += WORD;
    while (i < limit && !((s->reference[r + turn * i] ^ s->dump[d + turn * i]) & s->mask)) i++;
    return i;
}

/* Grow pieces to either side as far as all agrees, through fill and what is taken, within the segment of the reference.
 *
 * They come by diagonal, then by dump position; those that come to touch become one, and their scores are added. Returns
 * how many there are now.
 */
EXPORT int64_t h5_grow(const sides *s, const pieces *found, pieces *grown) {
    if (!sound(s) || found->count > grown->room) return -1;
    piece last = {0};
    grown->count = 0;
    for (int64_t i = 0; i < found->count; i++) {
        piece p = found->rows[i];
        int64_t c = stretch_at(s->segments, s->segment_count, p.reference);
        if (c < 0 || !within(s, &p)) return -1;
        const int64_t diagonal = p.reference - p.dump, end = smaller(s->dump_size, s->segments[c].stop - diagonal);
        if (grown->count && diagonal == last.reference - last.dump && p.dump <= last.dump + last.size) {
            last.size = larger(p.dump + p.size, last.dump + last.size) - last.dump;
            last.score += p.score;
            grown->count--;
        } else {
            int64_t room = smaller(p.dump, p.reference - s->segments[c].start);
            int64_t before = agreed(s, p.reference - 1, p.dump - 1, room, -1);
            last = (piece){p.reference - before, p.dump - before, before + p.size, p.score};
        }
        const int64_t stop = last.dump + last.size;
        last.size += agreed(s, stop + diagonal, stop, end - stop, 1);
        grown->rows[grown->count++] = last;
    }
    return grown->count;
}

/* ---- words ---------------------------------------------------------------------------------------------------- */

static void set_bit(uint8_t *bits, uint64_t i) { bits[i >> 3] |= (uint8_t)(1u << (i & 7)); }
static int has_bit(const uint8_t *bits, uint64_t i) { return bits[i >> 3] >> (i & 7) & 1; }

/* Put the words that start in `[from, to)` and in a block that counts before those in the index. */
EXPORT int64_t h5_index(const uint8_t *data, int64_t size, const uint8_t *blocks, int64_t block_count,
                        const words *w, int64_t from, int64_t to) {
    if (from < 0 || w->stride < 1 || block_count != (size + BLOCK - 1) / BLOCK) return -1;
    if (w->bits < 8 || w->bits > 32 || w->count < (size + w->stride - 1) / w->stride) return -1;
    to = smaller(to, size - WORD + 1);
    for (int64_t at = (to + w->stride - 1) / w->stride * w->stride - w->stride; at >= from; at -= w->stride) {
        if (!blocks[at / BLOCK]) {
            at = (at / BLOCK * BLOCK + w->stride - 1) / w->stride * w->stride;
            continue;
        }
        /* A sparse index waits for memory at each word. */
        PREFETCH(data + larger(at - AHEAD * w->stride, 0));
        uint64_t value = word_at(data + at) & w->mask;
        if (says_nothing(value, w->stride < WORD ? WORD - 1 : WORD - 2)) continue;
        uint64_t hash = value * MULTIPLIER;
        int64_t number = at / w->stride;
        w->next[number] = w->head[hash >> (64 - w->bits)];
        w->head[hash >> (64 - w->bits)] = (uint32_t)number;
        set_bit(w->filter, hash >> (60 - w->bits));
    }
    return 0;
}

/* Write where the reference holds a word; at most MOST_COPIES + 1 places. */
static int places(const sides *s, const words *w, uint64_t value, uint64_t hash, int64_t out[MOST_COPIES + 1]) {
    int count = 0;
    int64_t steps = 0;
    for (uint32_t n = w->head[hash >> (64 - w->bits)]; n != NONE && steps < w->count; n = w->next[n], steps++) {
        int64_t r = (int64_t)n * w->stride;
        if ((int64_t)n >= w->count || r + WORD > s->reference_size) return 0;
        if ((word_at(s->reference + r) & w->mask) != value) continue;
        out[count++] = r;
        if (count > MOST_COPIES) break;
    }
    return count;
}

/* Return how many bytes from r and d on agree, at most `most`, within the free stretch and the segment, up to a run of
 * one value: an extension may end there, and what is behind it must be looked up again. */
static int64_t equal_run(const sides *s, int64_t r, int64_t d, int64_t most) {
    int64_t f = stretch_at(s->free, s->free_count, d), c = stretch_at(s->segments, s->segment_count, r);
    if (f < 0 || c < 0) return 0;
    const int64_t run = agreed(s, r, d, smaller(smaller(s->free[f].stop - d, s->segments[c].stop - r), most), 1);
    const uint8_t *x = s->reference + r;
    for (int64_t i = 0; i + WORD <= run; i += WORD) {
        /* A run of one value fills one of these words at least. */
        uint64_t v = word_at(x + i);
        if (v != (v << 8 | v >> 56)) continue;
        int64_t start = i;
        while (start > 0 && x[start - 1] == x[i]) start--;
        if (start + REPEATS < run && memcmp(x + start, x + start + 1, REPEATS) == 0) return start + REPEATS;
    }
    return larger(run, 0);
}

/* Count the equal bytes and the wrong bits, as far as the mask lets bits count. */
static int64_t compared(const sides *s, const piece *p, int64_t *wrong) {
    const uint8_t *x = s->reference + p->reference, *y = s->dump + p->dump;
    int64_t same = 0, i = 0;
    for (; i + WORD <= p->size; i += WORD) {
        uint64_t changed = (word_at(x + i) ^ word_at(y + i)) & s->mask * EVERY_BYTE;
        same += changed ? zero_bytes(changed) : WORD;
        *wrong += changed ? ones(changed) : 0;
    }
    for (; i < p->size; i++) {
        uint8_t changed = (uint8_t)((x[i] ^ y[i]) & s->mask);
        same += !changed;
        *wrong += ones(changed);
    }
    return same;
}

/* Follow a word of the dump on one diagonal, when it is told to be worth it and not explained yet. */
static void follow(const sides *s, lately *seen, int64_t seen_bits, int64_t r, int64_t d, int64_t core, int worth_it,
                   int64_t least, pieces *found) {
    int64_t diagonal = r - d;
    lately *entry = seen + (((uint64_t)diagonal * MULTIPLIER) >> (64 - seen_bits)), *explained = seen + (1ll << seen_bits);
    int near = entry->diagonal == diagonal && d - entry->last <= GAP;
    if (entry->diagonal != diagonal) entry->until = -1;
    entry->diagonal = diagonal;
    entry->last = d;
    if (d < entry->until || !(worth_it || near)) return;
    piece p;
    int64_t wrong = 0;
    if (!extended(s, r, d, larger(core, WORD), &p)) return;
    entry->until = p.dump + p.size;
    if (p.score >= least) found->rows[found->count++] = p;
    if (d < explained->until || p.size < EXPLAINED) return;
    int64_t same = compared(s, &p, &wrong);
    if (same * ALIKE >= p.size * (ALIKE - 1))
        *explained = (lately){diagonal, entry->until, same == p.size ? entry->until : 0};
}

/* Look up every word of the dump that starts in `[from, to)` and in a block that counts, and extend the equal ones.
 *
 * A word that occurs more than MOST_COPIES times says nothing about where it belongs. One that occurs several times
 * is followed where RUN bytes agree from there on, or when another equal word lies on its diagonal, at most GAP before.
 * Where RUN bytes agree, the rest of the `span` that agrees is not looked up. Where EXPLAINED bytes agree, the word is
 * followed to no place where fewer do, and one within them to another place only when RUN bytes agree there too: tables
 * resemble themselves everywhere. `seen` has one entry more, for that. Returns the position to go on from; less than `to` when `found` is full.
 */
EXPORT int64_t h5_scan(const sides *s, const words *w, const uint8_t *blocks, int64_t block_count, lately *seen,
                       int64_t seen_bits, int64_t least, int64_t span, int64_t from, int64_t to, pieces *found) {
    if (!sound(s) || from < 0 || block_count != (s->dump_size + BLOCK - 1) / BLOCK) return -1;
    if (w->bits < 8 || w->bits > 32 || w->stride < 1 || seen_bits < 1 || seen_bits > 30 || span < 1) return -1;
    if (found->room < MOST_COPIES) return -1;
    found->count = 0;
    const int64_t last = smaller(to, s->dump_size - WORD + 1);
    const int shift = (int)(60 - w->bits);
    lately *explained = seen + (1ll << seen_bits);
    uint64_t common[COMMON] = {0}; /* words that occur too often, as met lately */
    int64_t d = from;
    while (d < last) {
        const uint8_t *next = memchr(blocks + d / BLOCK, 1, (size_t)((last - 1) / BLOCK - d / BLOCK + 1));
        if (!next) break;
        d = larger(d, (next - blocks) * BLOCK);
        int64_t end = smaller((next - blocks + 1) * BLOCK, last);
        for (; d < end; d++) {
            uint64_t value = word_at(s->dump + d) & w->mask;
            uint64_t hash = value * MULTIPLIER;
            if (!has_bit(w->filter, hash >> shift)) continue;
            uint64_t *often = common + hash % COMMON;
            if (*often == value) continue;
            int64_t where[MOST_COPIES + 1];
            int count = places(s, w, value, hash, where);
            if (count > MOST_COPIES) {
                *often = value; /* never 0, which says nothing */
                continue;
            }
            if (found->room - found->count < count) return d;
            const int64_t rest = span - d % span, within = d < explained->until ? larger(RUN, rest + WORD) : s->dump_size;
            int64_t runs[MOST_COPIES], longest = 0;
            for (int i = 0; i < count; i++) {
                runs[i] = equal_run(s, where[i], d, within);
                longest = larger(runs[i], longest);
            }
            const int64_t least_run = longest >= EXPLAINED ? longest - BLOCK : RUN;
            for (int i = 0; i < count; i++) {
                /* In a sparser index a word that occurs once may stand in a table of its like. */
                int long_run = runs[i] >= least_run, rare = count == 1 && (w->stride <= GAP || runs[i] >= REPEATS);
                if (!long_run && (longest >= EXPLAINED || (d < explained->until && where[i] - d != explained->diagonal)))
                    continue;
                follow(s, seen, seen_bits, where[i], d, runs[i], rare || long_run, least, found);
            }
            /* The first words of each span are always looked up, at every phase of the stride: for other copies. */
            longest = larger(longest, explained->last - d);
            if (longest < RUN || span - rest < 2 * w->stride) continue;
            d = smaller(d + longest - WORD + 1, d + rest);
            break;
        }
    }
    return larger(to, d);
}

/* ---- claims --------------------------------------------------------------------------------------------------- */

/* Take a part out of a free stretch. */
static void take(sides *s, int64_t f, int64_t start, int64_t stop) {
    const stretch before = {s->free[f].start, start}, after = {stop, s->free[f].stop};
    int64_t parts = (before.start < before.stop) + (after.start < after.stop);
    memmove(s->free + f + parts, s->free + f + 1, (size_t)(s->free_count - f - 1) * sizeof(stretch));
    if (before.start < before.stop) s->free[f++] = before;
    if (after.start < after.stop) s->free[f] = after;
    s->free_count += parts - 1;
}

/* Return the part of a piece that is worth most. */
static piece best_part(const sides *s, const piece *p) {
    piece best = {0};
    int64_t run = 0, begin = 0;
    for (int64_t i = 0; i < p->size; i++) {
        run += worth(s, p->reference + i, p->dump + i, 1);
        if (run <= 0) {
            run = 0;
            begin = i + 1;
        } else if (run > best.score) {
            best = (piece){p->reference + begin, p->dump + begin, i + 1 - begin, run};
        }
    }
    return best;
}

/* Take pieces in their order out of what is free. Of one that is free in part the best part of each stretch is taken,
 * when that still scores `least`. Returns the piece to go on with; less than the count when room ran out.
 */
EXPORT int64_t h5_claim(sides *s, const pieces *wanted, int64_t first, int64_t least, pieces *claimed) {
    if (!sound(s) || first < 0) return -1;
    claimed->count = 0;
    for (int64_t k = first; k < wanted->count; k++) {
        const piece p = wanted->rows[k];
        if (!within(s, &p)) return -1;
        const int64_t stop = p.dump + p.size, last = stretch_at(s->free, s->free_count, stop - 1);
        const int64_t f = larger(stretch_at(s->free, s->free_count, p.dump), 0), touched = last - f + 1;
        if (claimed->room - claimed->count < touched || s->free_room - s->free_count < touched) return k;
        /* Backward, so that taking a part does not move the stretches that are still to come. */
        for (int64_t i = last; i >= f; i--) {
            int64_t a = larger(p.dump, s->free[i].start), b = smaller(stop, s->free[i].stop);
            if (a >= b) continue;
            piece part = {p.reference + a - p.dump, a, b - a, p.score};
            if (part.size < p.size) part = best_part(s, &part);
            if (part.size < WORD || part.score < least) continue;
            take(s, i, part.dump, part.dump + part.size);
            claimed->rows[claimed->count++] = part;
        }
    }
    return wanted->count;
}

/* ---- comparison ----------------------------------------------------------------------------------------------- */

/* Write the equal bytes of all pieces, then their wrong bits, as far as the mask lets bits count. */
EXPORT int64_t h5_compare(const sides *s, const pieces *p, int64_t *out) {
    for (int64_t k = 0; k < p->count; k++) {
        const piece *one = p->rows + k;
        if (!within(s, one)) return -1;
        out[p->count + k] = 0;
        out[k] = compared(s, one, out + p->count + k);
    }
    return 0;
}

/* Write how many bytes in a row repeat the one before them, at most, of the reference's part of each piece. */
EXPORT int64_t h5_runs(const sides *s, const pieces *p, int64_t *longest) {
    for (int64_t k = 0; k < p->count; k++) {
        if (!within(s, p->rows + k)) return -1;
        const uint8_t *x = s->reference + p->rows[k].reference;
        longest[k] = 0;
        for (int64_t i = 1, run = 0; i < p->rows[k].size;) {
            int whole = p->rows[k].size - i >= WORD && word_at(x + i) == x[i - 1] * EVERY_BYTE;
            run = whole ? run + WORD : x[i] == x[i - 1] ? run + 1 : 0;
            i += whole ? WORD : 1;
            longest[k] = larger(longest[k], run);
        }
    }
    return 0;
}

/* ---- byte statistics ------------------------------------------------------------------------------------------ */

/* Return a trigram's place in a table of 1 << bits (trigram + 1, count); none when it is not there and all are taken. */
static uint32_t *place_of(uint32_t *table, int64_t bits, uint32_t trigram) {
    const uint64_t last = (1ull << bits) - 1;
    uint64_t i = (trigram + 1) * MULTIPLIER >> (64 - bits);
    for (uint64_t steps = 0; steps <= last; steps++, i = (i + 1) & last)
        if (!table[2 * i] || table[2 * i] == trigram + 1) return table + 2 * i;
    return NULL;
}

/* Count pairs and trigrams of bytes in the groups of `width` bytes that are chosen. */
EXPORT int64_t h5_count(const uint8_t *data, int64_t size, const uint8_t *groups, int64_t group_count, int64_t width,
                        int64_t *pairs, int64_t *contexts, uint32_t *table, int64_t bits) {
    if (width < 3 || bits < 4 || bits > 30 || group_count < 0 || group_count * width > size) return -1;
    for (int64_t g = 0; g < group_count; g++) {
        const uint8_t *p = data + g * width;
        for (int64_t i = 2; groups[g] && i < width; i++) {
            uint32_t trigram = (uint32_t)p[i - 2] << 16 | (uint32_t)p[i - 1] << 8 | p[i];
            uint32_t *entry = place_of(table, bits, trigram);
            if (!entry) return -1;
            entry[0] = trigram + 1;
            entry[1]++;
            pairs[trigram & 0xFFFF]++;
            contexts[trigram >> 8]++;
        }
    }
    return 0;
}

/* Write how often each of some trigrams was counted. */
EXPORT int64_t h5_asked(const uint32_t *trigrams, int64_t count, uint32_t *table, int64_t bits, int64_t *out) {
    if (count < 0 || bits < 4 || bits > 30) return -1;
    for (int64_t i = 0; i < count; i++) {
        const uint32_t *entry = place_of(table, bits, trigrams[i] & 0xFFFFFF);
        out[i] = entry && entry[0] ? entry[1] : 0;
    }
    return 0;
}
