/* The loops that decode a block while neither input nor output is near its end, in place of lz4's:
 * the same checks and results, written for WebAssembly engines. They take little more than half
 * of the time on planes of shuffled floats.
 *
 * - A match of up to 16 bytes, as most are, is copied as one vector at any offset, which leaves one
 *   hard branch in a sequence: whether it is such a short one.
 * - Shuffled data is mostly matches without literals between them. These have a loop of their own,
 *   in which no address depends on a token read before.
 * - Long matches end at the end of the room: a plane of one value is a single match.
 *
 * Both loops stop before a sequence that they leave to lz4, which then decides what is valid. */
#include <wasm_simd128.h>

typedef struct {
    const BYTE *in;
    BYTE *out;
} fast_loop;

/* AT_END: the next sequence is lz4's. */
typedef enum { GO_ON, AT_END, BAD_MATCH } fast_loop_end;

enum {
    VECTOR = sizeof(v128_t),
    SHORT_MATCH_MAX = VECTOR - MINMATCH,
    /* A sequence that starts before the end less this margin reads 16 bytes for its literals, after
     * a short match of 3 bytes. Behind a longer length, lz4 wants more than 5 bytes. */
    IN_MARGIN = 24,
    IN_LEFT = 6,
    /* After a short match, it writes up to 14 literals and two vectors. */
    OUT_MARGIN = 64,
    /* A loop for matches pays when it decodes this many bytes at once. Otherwise all sequences in
     * some more bytes are decoded as having literals. */
    WORTHWHILE = 32,
    STRETCH = 512,
};
_Static_assert(IN_MARGIN >= 3 + 1 + VECTOR && OUT_MARGIN >= VECTOR + 14 + 2 * VECTOR, "");

/* For each offset, which bytes of the vector a match repeats, and the size of whole repetitions. As
 * in lz4, offset 0 gives zeros; from offset 16 on, a vector has no repetition. */
#define REPEATED(n)                                                                            \
    {0 % n, 1 % n, 2 % n,  3 % n,  4 % n,  5 % n,  6 % n,  7 % n,                              \
     8 % n, 9 % n, 10 % n, 11 % n, 12 % n, 13 % n, 14 % n, 15 % n}
#define WHOLE(n) (VECTOR - VECTOR % n)
#define OF_OFFSETS(of)                                                                         \
    of(1), of(2), of(3), of(4), of(5), of(6), of(7), of(8), of(9), of(10), of(11), of(12),     \
        of(13), of(14), of(15), of(16)
#define ZERO VECTOR
static const BYTE repeated[VECTOR + 1][VECTOR] = {
    {ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO,
     ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO},
    OF_OFFSETS(REPEATED)};
static const BYTE whole[VECTOR + 1] = {VECTOR, OF_OFFSETS(WHOLE)};

LZ4_FORCE_INLINE v128_t repeat(const BYTE *from, U32 offset) {
    const U32 row = offset < VECTOR ? offset : VECTOR;
    return wasm_i8x16_swizzle(wasm_v128_load(from), wasm_v128_load(repeated[row]));
}

/* Adds the bytes of a length; NULL when they do not end before a limit. */
LZ4_FORCE_INLINE const BYTE *read_length(const BYTE *in, const BYTE *limit, U64 *length) {
    U32 more;
    do {
        if (in >= limit) return NULL;
        more = *in++;
        *length += more;
    } while (more == 255);
    return in;
}

/* Decodes the offset and length of any match that `in` is at, and copies it. */
LZ4_FORCE_INLINE fast_loop_end decode_match(U32 token, const BYTE *in, BYTE *out, fast_loop *loop,
                                            const BYTE *in_end, const BYTE *start, BYTE *out_end) {
    const U32 offset = LZ4_readLE16(in);
    const BYTE *from = out - offset;
    U64 length = token & ML_MASK;
    in += 2;
    if (length == ML_MASK) {
        in = read_length(in, in_end + IN_MARGIN - IN_LEFT, &length);
        if (!in) return AT_END;
    }
    length += MINMATCH;
    if (from < start || length > (size_t)(out_end + OUT_MARGIN - LASTLITERALS - out))
        return BAD_MATCH;
    BYTE *to = out;
    out += length;
    /* Vectors up to here, then bytes. */
    BYTE *const vectors_end = out < out_end ? out : out_end;
    if (offset >= VECTOR) {
        do {
            wasm_v128_store(to, wasm_v128_load(from));
            wasm_v128_store(to + VECTOR, wasm_v128_load(from + VECTOR));
            from += 2 * VECTOR;
            to += 2 * VECTOR;
        } while (to < vectors_end);
    } else {
        const v128_t bytes = repeat(from, offset);
        const U32 step = whole[offset];
        do {
            wasm_v128_store(to, bytes);
            wasm_v128_store(to + step, bytes);
            to += 2 * step;
        } while (to < vectors_end);
        from = to - step;
    }
    while (unlikely(to < out)) *to++ = *from++;
    *loop = (fast_loop){in, out};
    return GO_ON;
}

#define COPY_SHORT_MATCH(in)                                                                   \
    do {                                                                                       \
        const U32 offset = LZ4_readLE16(in);                                                   \
        const BYTE *from = out - offset;                                                       \
        if (unlikely(from < start)) return BAD_MATCH;                                          \
        wasm_v128_store(out, repeat(from, offset));                                            \
        out += (token & ML_MASK) + MINMATCH;                                                   \
    } while (0)

/* Decodes sequences up to the first one with literals. */
static __attribute__((noinline)) fast_loop_end
run_matches(fast_loop *loop, const BYTE *in_end, const BYTE *start, BYTE *out_end) {
    fast_loop at = *loop;
    const BYTE *in = at.in;
    BYTE *out = at.out;
    fast_loop_end end = GO_ON;
    do {
        U32 token = *in;
        if (likely(token <= SHORT_MATCH_MAX)) {
            COPY_SHORT_MATCH(in + 1);
            in += 3;
            token = *in;
            if (likely(token <= SHORT_MATCH_MAX)) {
                COPY_SHORT_MATCH(in + 1);
                in += 3;
                continue;
            }
        }
        if (token > ML_MASK) break;
        end = decode_match(token, in + 1, out, &at, in_end, start, out_end);
        if (end != GO_ON) break;
        in = at.in;
        out = at.out;
    } while (in < in_end && out < out_end);
    *loop = (fast_loop){in, out};
    return end;
}

/* Decodes any sequences. */
static __attribute__((noinline)) fast_loop_end
run_sequences(fast_loop *loop, const BYTE *in_end, const BYTE *start, BYTE *out_end) {
    fast_loop at = *loop;
    const BYTE *in = at.in;
    BYTE *out = at.out;
    fast_loop_end end = GO_ON;
    do {
        const U32 token = *in;
        U64 literals = token >> ML_BITS;
        if (likely(literals != RUN_MASK && (token & ML_MASK) <= SHORT_MATCH_MAX)) {
            wasm_v128_store(out, wasm_v128_load(in + 1));
            in += 1 + literals;
            out += literals;
            COPY_SHORT_MATCH(in);
            in += 2;
            continue;
        }
        const BYTE *from = in + 1;
        if (literals == RUN_MASK) {
            from = read_length(from, in_end, &literals);
            if (!from || literals > (size_t)(in_end - from) || literals > (size_t)(out_end - out)) {
                end = AT_END;
                break;
            }
        }
        BYTE *to = out;
        BYTE *const literals_end = to + literals;
        const BYTE *const match = from + literals;
        do {
            wasm_v128_store(to, wasm_v128_load(from));
            from += VECTOR;
            to += VECTOR;
        } while (to < literals_end);
        end = decode_match(token, match, literals_end, &at, in_end, start, out_end);
        if (end != GO_ON) break;
        in = at.in;
        out = at.out;
    } while (in < in_end && out < out_end);
    *loop = (fast_loop){in, out};
    return end;
}

/* Runs both loops in turn. */
static fast_loop_end run_fast_loop(fast_loop *loop, const BYTE *in_end, BYTE *out_end) {
    const BYTE *const start = loop->out;
    fast_loop_end end = GO_ON;
    while (end == GO_ON && loop->in < in_end && loop->out < out_end) {
        const BYTE *const before = loop->in;
        end = run_matches(loop, in_end, start, out_end);
        if (end != GO_ON || loop->in >= in_end || loop->out >= out_end) break;
        const ptrdiff_t stretch = loop->in - before < WORTHWHILE ? STRETCH : 1;
        const BYTE *const stop = in_end - loop->in > stretch ? loop->in + stretch : in_end;
        end = run_sequences(loop, stop, start, out_end);
        /* Where a long sequence reaches over the stretch, the others are likely to be such, too. */
        if (end == AT_END && stop < in_end) end = run_sequences(loop, in_end, start, out_end);
    }
    return end;
}
