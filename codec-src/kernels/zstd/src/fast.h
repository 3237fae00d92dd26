/* The match search of zstd's fast levels, 1 and below, written for WebAssembly engines. It takes
 * the same steps in the same order, so that the encoded bytes are the same.
 *
 * - The loop over positions is a separate function, which keeps its variables in registers.
 * - zstd has eight copies of the loop, for hashes of four lengths, in one function. Here the length
 *   is in the factor that eight bytes are multiplied by.
 * - Of the four positions examined in turn, two are variables; the others are their neighbours.
 * - The rarest condition is tested last: whether there is an offset to repeat.
 *
 * Level 1 is 1.25 to 1.4 times as fast, lower levels 1.2 to 1.3 times. */

enum search_end { NOTHING, REPETITION, MATCH };

/* At a fixed address: an instance runs one call at a time. */
static struct {
    const BYTE *base;
    const BYTE *limit;
    U32 *table;
    U64 factor;
    U64 shift;
    U32 lowest;
    U32 step;
    /* The result: where it is, the last position in the table, and the index of a match. */
    const BYTE *found;
    const BYTE *current;
    U32 index;
} search;

#define SLOT_OF(at) (table + ((MEM_read64(at) * factor) >> shift))
#define IS_MATCH(at) (index >= lowest && MEM_read32(base + index) == MEM_read32(at))

static FORCE_NOINLINE enum search_end
find_match(const BYTE *a, U32 offset)
{
    const BYTE *const base = search.base;
    const BYTE *const last = search.limit - 1;
    U32 *const table = search.table;
    const U64 factor = search.factor;
    const U64 shift = search.shift;
    const U32 lowest = search.lowest;
    const U32 patience = 1 << (kSearchStrength - 1);
    const BYTE *next_step = a + patience;
    U32 step = search.step;
    const BYTE *b = a + step;
    U32 *slot, *slot_after;
    U32 index;

    if (b >= last) return NOTHING;
    slot = SLOT_OF(a);
    slot_after = SLOT_OF(a + 1);
    index = *slot;
    for (;;) {
        const BYTE *const stop = MIN(next_step, last);
        do {
            *slot = (U32)(a - base);
            if (UNLIKELY(MEM_read32(b) == MEM_read32(b - offset)) && offset) {
                *slot_after = (U32)(a + 1 - base);
                search.found = b;
                search.current = a;
                return REPETITION;
            }
            if (IS_MATCH(a)) {
                *slot_after = (U32)(a + 1 - base);
                search.found = search.current = a;
                search.index = index;
                return MATCH;
            }
            index = *slot_after;
            *slot_after = (U32)(a + 1 - base);
            slot = SLOT_OF(b);
            if (IS_MATCH(a + 1)) {
                /* Not a position where the next search may begin. */
                if (step <= 4) *slot = (U32)(b - base);
                search.found = search.current = a + 1;
                search.index = index;
                return MATCH;
            }
            index = *slot;
            slot_after = SLOT_OF(b + 1);
            a = b;
            b += step;
        } while (b < stop);
        if (b >= next_step) {
            step++;
            next_step += patience;
        }
        if (b >= last) return NOTHING;
    }
}

size_t
ZSTD_compressBlock_fast(ZSTD_MatchState_t *state, SeqStore_t *sequences, U32 rep[ZSTD_REP_NUM],
                        const void *source, size_t size)
{
    const ZSTD_compressionParameters *const parameters = &state->cParams;
    const U32 window = parameters->windowLog;
    U32 *const table = state->hashTable;
    const U64 shift = 64 - parameters->hashLog;
    const U64 factor = parameters->minMatch == 5   ? prime5bytes << 24
                       : parameters->minMatch == 6 ? prime6bytes << 16
                       : parameters->minMatch == 7 ? prime7bytes << 8
                                                   : (U64)prime4bytes << 32;
    const BYTE *const base = state->window.base;
    const BYTE *const start = source;
    const BYTE *const end = start + size;
    const BYTE *const limit = end - HASH_READ_SIZE;
    const U32 lowest = ZSTD_getLowestPrefixIndex(state, (U32)(end - base), window);
    const BYTE *const prefix = base + lowest;
    const BYTE *at = start + (start == prefix);
    const BYTE *literals = start;
    /* Offsets of earlier matches; 0 for one that is out of range here, which is saved. */
    U32 offset1 = rep[0], offset2 = rep[1], saved1 = 0, saved2 = 0;
    U32 const first = (U32)(at - base);
    U32 const offset_max = first - ZSTD_getLowestPrefixIndex(state, first, window);
    enum search_end search_end;

    if (offset2 > offset_max) {
        saved2 = offset2;
        offset2 = 0;
    }
    if (offset1 > offset_max) {
        saved1 = offset1;
        offset1 = 0;
    }
    search.base = base;
    search.limit = limit;
    search.table = table;
    search.factor = factor;
    search.shift = shift;
    search.lowest = lowest;
    search.step = parameters->targetLength + !parameters->targetLength + 1;

    while ((search_end = find_match(at, offset1)) != NOTHING) {
        const BYTE *const current = search.current;
        const BYTE *match;
        size_t length;
        U32 code;
        at = search.found;
        if (search_end == REPETITION) {
            const U32 before = at[-1] == at[-1 - (ptrdiff_t)offset1];
            at -= before;
            match = at - offset1;
            length = 4 + before;
            code = REPCODE1_TO_OFFBASE;
        } else {
            match = base + search.index;
            offset2 = offset1;
            offset1 = (U32)(at - match);
            length = 4;
            code = OFFSET_TO_OFFBASE(offset1);
            while (at > literals && match > prefix && at[-1] == match[-1]) {
                at--;
                match--;
                length++;
            }
        }
        length += ZSTD_count(at + length, match + length, end);
        ZSTD_storeSeq(sequences, (size_t)(at - literals), literals, end, code, length);
        at += length;
        literals = at;
        if (at > limit) break;
        *SLOT_OF(current + 2) = (U32)(current + 2 - base);
        *SLOT_OF(at - 2) = (U32)(at - 2 - base);
        while (offset2 && at <= limit && MEM_read32(at) == MEM_read32(at - offset2)) {
            const size_t again = ZSTD_count(at + 4, at + 4 - offset2, end) + 4;
            const U32 swapped = offset2;
            offset2 = offset1;
            offset1 = swapped;
            *SLOT_OF(at) = (U32)(at - base);
            ZSTD_storeSeq(sequences, 0, literals, end, REPCODE1_TO_OFFBASE, again);
            at += again;
            literals = at;
        }
    }
    if (saved1 && offset1) saved2 = saved1;
    rep[0] = offset1 ? offset1 : saved1;
    rep[1] = offset2 ? offset2 : saved2;
    return (size_t)(end - literals);
}

#undef SLOT_OF
#undef IS_MATCH
