/* The loop that decodes a block while neither input nor output is near its end, in place of
 * libdeflate's: with its tables, checks and order of steps, written for WebAssembly engines. It is
 * up to a fifth faster.
 *
 * - As a separate function, it keeps its variables in registers.
 * - The tables are at a fixed address. The bit buffer keeps two used bits below the next ones, so
 *   that its low bits are an offset into a table of 4-byte entries: between two symbols there are
 *   only a shift, a mask and a load.
 * - WebAssembly shifts modulo 64, so an entry needs no mask before it.
 * - A length is compared before any copy: engines compute it at its first use, which would
 *   otherwise be in each way of copying.
 * - A match of up to 16 bytes, as most are, is copied as one vector at any distance.
 * - In blocks where it pays, one lookup in a table of our own gives a literal and the symbol after
 *   it. This saves a load that waits for the one before, and often a branch that a processor cannot
 *   predict. Arrays of floats and integers decode up to a quarter faster. */
#include <wasm_simd128.h>

struct libdeflate_decompressor the_decompressor;

struct fast_loop {
    const u8 *in_next;
    u8 *out_next;
    bitbuf_t bitbuf;
    u32 bitsleft;
};

enum fast_loop_end { NEAR_AN_END, END_OF_BLOCK, BAD_OFFSET };

enum {
    VECTOR = sizeof(v128_t),
    /* Used bits in the bit buffer: log2 of the size of a table's entry. */
    STALE = 2,
    CONSUMABLE = CONSUMABLE_NBITS - STALE,
};
_Static_assert(sizeof(u32) == 1 << STALE && sizeof(bitbuf_t) == 8 && MAX_BITSLEFT == 63, "");
/* The bits used between two refills, with those of the next lookup: three literals; two literals
 * and one from a subtable; two literals and a length; an offset. */
_Static_assert(CONSUMABLE >= 3 * LITLEN_TABLEBITS + LITLEN_TABLEBITS &&
                   CONSUMABLE >= 2 * LITLEN_TABLEBITS + DEFLATE_MAX_LITLEN_CODEWORD_LEN +
                                     LITLEN_TABLEBITS &&
                   CONSUMABLE >= 2 * LITLEN_TABLEBITS + LENGTH_MAXBITS + OFFSET_TABLEBITS &&
                   CONSUMABLE >= OFFSET_MAXBITS + LITLEN_TABLEBITS,
               "");
/* Two pairs of literals, a literal before a length, and a match that is copied in steps of two
 * vectors. */
_Static_assert(FASTLOOP_MAX_BYTES_WRITTEN >= 2 * 2 + 1 + DEFLATE_MAX_MATCH_LEN + 2 * VECTOR - 1,
               "");

/* libdeflate's litlen table, with entries of two symbols where the codewords of both fit in a
 * lookup: a literal, and a literal or a length.
 *
 *   bits      literals              length                          exceptional, as in libdeflate's
 *   0 to 7    bits to take          bits to take                    bits to take
 *   8 to 13                         bits of the codewords
 *   12        1                     0                               0
 *   14        1 if there are two    1 if it is after a literal
 *   15        0                     0                               1
 *   16 to 23  the first literal     the base of the length, less 3
 *   24 to 31  the second literal    the literal before it */
static u32 pairs[1 << LITLEN_TABLEBITS];
enum { LITERALS = 1 << 12, PAIR = 1 << 14 };
static const u32 LEAST_LENGTH = DEFLATE_MIN_MATCH_LEN << 16;

/* Whether the symbol after a literal, whose codeword has so many bits, is in the same lookup. */
static forceinline bool
is_pair(u32 size, u32 next)
{
    return !(next & HUFFDEC_EXCEPTIONAL) & (size + (next >> 8 & 0xF) <= LITLEN_TABLEBITS);
}

/* Whether to make the table of pairs for a block. Making it takes as long as decoding 500 bytes or
 * more. Where few literals are in pairs, processors mispredict which ones are: with less than 5 in
 * 16, most data decode more slowly. */
static __attribute__((noinline)) bool
is_worth_pairs(ptrdiff_t input_size)
{
    const u32 *const litlens = the_decompressor.u.litlen_decode_table;
    const u32 mask = BITMASK(the_decompressor.litlen_tablebits);
    u32 literal_count = 0, pair_count = 0;

    /* The static code has no pairs. */
    if (input_size < 8192 || the_decompressor.static_codes_loaded)
        return false;
    /* A sample: each value of the first 8 bits, with some value of the others. */
    for (u32 i = 0; i < 256; i++) {
        const u32 bits = i * 41;
        const u32 entry = litlens[bits & mask];
        const u32 size = entry & 0xF;
        const u32 is_literal = entry / HUFFDEC_LITERAL;
        literal_count += is_literal;
        pair_count += is_literal & is_pair(size, litlens[bits >> size & mask]);
    }
    return pair_count * 16 > literal_count * 5;
}

static __attribute__((noinline)) void
make_pairs(void)
{
    const u32 *const litlens = the_decompressor.u.litlen_decode_table;
    const u32 mask = BITMASK(the_decompressor.litlen_tablebits);

    for (u32 bits = 0; bits < 1 << LITLEN_TABLEBITS; bits++) {
        u32 entry = litlens[bits & mask];
        if (entry & HUFFDEC_LITERAL) {
            const u32 size = entry & 0xF;
            const u32 literal = entry & 0xFF0000;
            const u32 next = litlens[bits >> size & mask];
            entry = literal + LITERALS + size;
            if (is_pair(size, next)) {
                if (next & HUFFDEC_LITERAL)
                    entry += (next << 8 & 0xFF000000) + PAIR + (next & 0xF);
                else
                    entry = (literal << 8) + next - LEAST_LENGTH + PAIR + (size << 8) + size;
            }
        } else if (!(entry & HUFFDEC_EXCEPTIONAL)) {
            entry -= LEAST_LENGTH;
        }
        pairs[bits] = entry;
    }
}

/* For each offset, which bytes of the vector a match repeats, and the size of whole repetitions.
 * From offset 16 on, a vector has no repetition. */
#define REPEATED(n)                                                                            \
    {0 % n, 1 % n, 2 % n,  3 % n,  4 % n,  5 % n,  6 % n,  7 % n,                              \
     8 % n, 9 % n, 10 % n, 11 % n, 12 % n, 13 % n, 14 % n, 15 % n}
#define WHOLE(n) (VECTOR - VECTOR % n)
#define OF_OFFSETS(of)                                                                         \
    of(1), of(2), of(3), of(4), of(5), of(6), of(7), of(8), of(9), of(10), of(11), of(12),     \
        of(13), of(14), of(15), of(16)
static const u8 repeated[VECTOR + 1][VECTOR] = {{0}, OF_OFFSETS(REPEATED)};
static const u8 whole[VECTOR + 1] = {0, OF_OFFSETS(WHOLE)};

static forceinline v128_t
repeat(const u8 *from, u32 offset)
{
    return wasm_i8x16_swizzle(wasm_v128_load(from), wasm_v128_load(repeated[MIN(offset, VECTOR)]));
}

static forceinline u32
entry_at(const u32 *table, bitbuf_t bits, u32 mask)
{
    return *(const u32 *)((const u8 *)table + ((u32)bits & mask));
}

static forceinline u32
entry_of_subtable(const u32 *table, bitbuf_t bits, u32 pointer)
{
    return table[(pointer >> 16) + ((bits >> STALE) & BITMASK(pointer >> 8 & 0xF))];
}

/* The value of the extra bits after an entry's codeword. */
static forceinline u32
extra_of(u32 entry, bitbuf_t bits)
{
    return (bits >> STALE & ~((bitbuf_t)-1 << (entry & 63))) >> (entry >> 8 & 63);
}

#define REFILL()                                                                               \
    do {                                                                                       \
        bitbuf |= get_unaligned_leword(in_next) << (bitsleft & 63);                            \
        in_next += sizeof(bitbuf_t) - 1;                                                       \
        in_next -= bitsleft >> 3 & 7;                                                          \
        bitsleft |= MAX_BITSLEFT & ~7;                                                         \
    } while (0)

#define TAKE()                                                                                 \
    do {                                                                                       \
        saved_bitbuf = bitbuf;                                                                 \
        bitbuf >>= entry & 63;                                                                 \
        bitsleft -= entry;                                                                     \
    } while (0)

/* With pairs, writes two bytes for one literal too, without a branch. */
#define PUT(literals)                                                                          \
    do {                                                                                       \
        if (in_pairs) {                                                                        \
            put_unaligned_le16((literals) >> 16, out_next);                                    \
            out_next += 1 + ((literals) / PAIR & 1);                                           \
        } else {                                                                               \
            *out_next++ = (literals) >> 16;                                                    \
        }                                                                                      \
    } while (0)

static forceinline enum fast_loop_end
run(struct fast_loop *loop, const u8 *in_fastloop_end, const u8 *out, const u8 *out_fastloop_end,
    const u32 *litlens, u32 litlen_mask, bool in_pairs)
{
    const u32 literal_flag = in_pairs ? LITERALS : HUFFDEC_LITERAL;
    const u32 *const offsets = the_decompressor.offset_decode_table;
    const u32 offset_mask = BITMASK(OFFSET_TABLEBITS) << STALE;
    const u8 *in_next = loop->in_next;
    u8 *out_next = loop->out_next;
    /* Return whole bytes to the input, to make room for the stale bits. */
    u32 bitsleft = loop->bitsleft & 7;
    bitbuf_t bitbuf = (loop->bitbuf & BITMASK(bitsleft)) << STALE;
    bitbuf_t saved_bitbuf;
    enum fast_loop_end end = NEAR_AN_END;
    u32 entry;

    if (in_next >= in_fastloop_end || out_next >= out_fastloop_end)
        return end;
    in_next -= (u8)loop->bitsleft >> 3;
    bitsleft += STALE;
    REFILL();
    entry = entry_at(litlens, bitbuf, litlen_mask);
    do {
        TAKE();
        if (entry & literal_flag) {
            u32 literals = entry;
            entry = entry_at(litlens, bitbuf, litlen_mask);
            TAKE();
            PUT(literals);
            if (entry & literal_flag) {
                literals = entry;
                entry = entry_at(litlens, bitbuf, litlen_mask);
                TAKE();
                PUT(literals);
                if (entry & literal_flag) {
                    literals = entry;
                    entry = entry_at(litlens, bitbuf, litlen_mask);
                    REFILL();
                    PUT(literals);
                    continue;
                }
            }
        }
        if (unlikely(entry & HUFFDEC_EXCEPTIONAL)) {
            if (unlikely(entry & HUFFDEC_END_OF_BLOCK)) {
                end = END_OF_BLOCK;
                break;
            }
            entry = entry_of_subtable(the_decompressor.u.litlen_decode_table, bitbuf, entry);
            TAKE();
            if (entry & HUFFDEC_LITERAL) {
                u32 literal = entry >> 16;
                entry = entry_at(litlens, bitbuf, litlen_mask);
                REFILL();
                *out_next++ = literal;
                continue;
            }
            if (unlikely(entry & HUFFDEC_END_OF_BLOCK)) {
                end = END_OF_BLOCK;
                break;
            }
            if (in_pairs)
                entry -= LEAST_LENGTH;
        }
        u32 length = extra_of(entry, saved_bitbuf);
        if (in_pairs) {
            length += DEFLATE_MIN_MATCH_LEN + (u8)(entry >> 16);
            *out_next = entry >> 24;
            out_next += entry / PAIR & 1;
        } else {
            length += entry >> 16;
        }

        entry = entry_at(offsets, bitbuf, offset_mask);
        if (unlikely(entry & HUFFDEC_EXCEPTIONAL)) {
            if (unlikely((u8)bitsleft < OFFSET_MAXBITS + LITLEN_TABLEBITS + STALE))
                REFILL();
            bitbuf >>= OFFSET_TABLEBITS;
            bitsleft -= OFFSET_TABLEBITS;
            entry = entry_of_subtable(offsets, bitbuf, entry);
        } else if (unlikely((u8)bitsleft < OFFSET_MAXFASTBITS + LITLEN_TABLEBITS + STALE)) {
            REFILL();
        }
        TAKE();
        u32 offset = (entry >> 16) + extra_of(entry, saved_bitbuf);
        if (unlikely(offset > out_next - out))
            return BAD_OFFSET;

        /* Load the next entry while the match is copied. */
        entry = entry_at(litlens, bitbuf, litlen_mask);
        REFILL();
        u8 *to = out_next;
        const u8 *from = to - offset;
        out_next += length;
        if (likely(length <= VECTOR)) {
            wasm_v128_store(to, repeat(from, offset));
        } else if (offset >= VECTOR) {
            do {
                wasm_v128_store(to, wasm_v128_load(from));
                wasm_v128_store(to + VECTOR, wasm_v128_load(from + VECTOR));
                from += 2 * VECTOR;
                to += 2 * VECTOR;
            } while (to < out_next);
        } else {
            const v128_t bytes = repeat(from, offset);
            const u32 step = whole[offset];
            do {
                wasm_v128_store(to, bytes);
                to += step;
            } while (to < out_next);
        }
    } while (in_next < in_fastloop_end && out_next < out_fastloop_end);
    *loop = (struct fast_loop){in_next, out_next, bitbuf >> STALE, bitsleft - STALE};
    return end;
}

static __attribute__((noinline)) enum fast_loop_end
run_in_pairs(struct fast_loop *loop, const u8 *in_fastloop_end, const u8 *out,
             const u8 *out_fastloop_end)
{
    return run(loop, in_fastloop_end, out, out_fastloop_end, pairs,
               BITMASK(LITLEN_TABLEBITS) << STALE, true);
}

static __attribute__((noinline)) enum fast_loop_end
run_in_symbols(struct fast_loop *loop, const u8 *in_fastloop_end, const u8 *out,
               const u8 *out_fastloop_end)
{
    return run(loop, in_fastloop_end, out, out_fastloop_end, the_decompressor.u.litlen_decode_table,
               BITMASK(the_decompressor.litlen_tablebits) << STALE, false);
}

static enum fast_loop_end
run_fast_loop(struct fast_loop *loop, const u8 *in_fastloop_end, const u8 *out,
              const u8 *out_fastloop_end)
{
    if (!is_worth_pairs(in_fastloop_end - loop->in_next))
        return run_in_symbols(loop, in_fastloop_end, out, out_fastloop_end);
    make_pairs();
    return run_in_pairs(loop, in_fastloop_end, out, out_fastloop_end);
}
