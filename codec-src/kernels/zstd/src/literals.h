/* The loops that decode four streams of Huffman codes while none of them is near its end, in place
 * of zstd's: the same tables, checks and order of steps, written for WebAssembly engines.
 *
 * - As separate functions, they keep most of their variables in registers.
 * - The table is copied to a fixed address, and the shift that finds an entry leaves an offset in
 *   bytes: each lookup takes a register and an instruction less.
 * - Processors do fewer shifts at a time than loads. A lookup loads an entry's parts as two numbers
 *   instead of shifting one; WebAssembly shifts modulo 64, so code lengths need no mask.
 * - Each stream is looked up twice before the next one. Engines compute a variable where it is
 *   used, so that at a change of streams an entry, too, is in a register or on the stack.
 *
 * Where most of the data are literals, decoding is 1.13 times as fast. */

/* The size of an entry: a code length and a symbol; or two symbols, the length of their codes, and
 * how many symbols they are. */
enum { LOG_ONE = 1, LOG_TWO = 2 };

enum { TABLE_LOG = HUF_DECODER_FAST_TABLELOG, ENTRIES = 1 << TABLE_LOG };

/* At a fixed address: an instance runs one call at a time. */
static BYTE huffman_table[ENTRIES << LOG_TWO];

#define ENTRY_OF(bits, log)                                                                    \
    (huffman_table + ((U32)((bits) >> (64 - TABLE_LOG - (log))) & ((ENTRIES - 1) << (log))))

#define DECODE_ONE(stream, position)                                                           \
    do {                                                                                       \
        const BYTE *const entry = ENTRY_OF(bits##stream, LOG_ONE);                             \
        const U64 length = entry[0];                                                           \
        out##stream[position] = entry[1];                                                      \
        bits##stream <<= length & 63;                                                          \
    } while (0)

#define DECODE_TWO(stream)                                                                     \
    do {                                                                                       \
        const BYTE *const entry = ENTRY_OF(bits##stream, LOG_TWO);                             \
        const U64 lengths = MEM_read16(entry + 2);                                             \
        MEM_write16(out##stream, MEM_read16(entry));                                           \
        bits##stream <<= lengths & 63;                                                         \
        out##stream += lengths >> 8;                                                           \
    } while (0)

/* The lowest bit that is set is no part of a code: the bits below it are those that were used. */
#define REFILL(stream)                                                                         \
    do {                                                                                       \
        const U64 used = ZSTD_countTrailingZeros64(bits##stream);                              \
        in##stream -= used >> 3;                                                               \
        bits##stream = (MEM_read64(in##stream) | 1) << (used & 7);                             \
    } while (0)

#define FOR_STREAMS(of) of(0); of(1); of(2); of(3)

/* Five lookups between two refills. */
#define ONE_0_1(stream) DECODE_ONE(stream, 0); DECODE_ONE(stream, 1)
#define ONE_2_3(stream) DECODE_ONE(stream, 2); DECODE_ONE(stream, 3)
#define ONE_4(stream) DECODE_ONE(stream, 4); out##stream += 5; REFILL(stream)
#define TWO_TWICE(stream) DECODE_TWO(stream); DECODE_TWO(stream)
#define TWO_ONCE(stream) DECODE_TWO(stream); REFILL(stream)

#define LOAD(stream)                                                                           \
    U64 bits##stream = args->bits[stream];                                                     \
    const BYTE *in##stream = args->ip[stream];                                                 \
    BYTE *out##stream = args->op[stream]

#define SAVE(stream)                                                                           \
    args->bits[stream] = bits##stream;                                                         \
    args->ip[stream] = in##stream;                                                             \
    args->op[stream] = out##stream

static FORCE_NOINLINE void
decode_one_symbol(HUF_DecompressFastArgs *args)
{
    const BYTE *const lowest = args->ilowest;
    const BYTE *const end = args->oend;
    FOR_STREAMS(LOAD);

    ZSTD_memcpy(huffman_table, args->dt, ENTRIES << LOG_ONE);
    for (;;) {
        /* A round takes up to 7 bytes of each stream. */
        const U32 rounds = MIN((U32)(in0 - lowest) / 7, (U32)(end - out3) / 5);
        const BYTE *const limit = out3 + rounds * 5;
        if (!rounds || in1 < in0 || in2 < in1 || in3 < in2) break;
        do {
            FOR_STREAMS(ONE_0_1);
            FOR_STREAMS(ONE_2_3);
            FOR_STREAMS(ONE_4);
        } while (out3 < limit);
    }
    FOR_STREAMS(SAVE);
}

static FORCE_NOINLINE void
decode_two_symbols(HUF_DecompressFastArgs *args)
{
    const BYTE *const lowest = args->ilowest;
    const BYTE *const end0 = args->op[1], *const end1 = args->op[2], *const end2 = args->op[3];
    const BYTE *const end3 = args->oend;
    FOR_STREAMS(LOAD);

    ZSTD_memcpy(huffman_table, args->dt, ENTRIES << LOG_TWO);
    for (;;) {
        /* A round writes 5 to 10 bytes of each stream: there is room for 10, and 5 are counted. */
        const U32 room_0_1 = MIN((U32)(end0 - out0), (U32)(end1 - out1));
        const U32 room_2_3 = MIN((U32)(end2 - out2), (U32)(end3 - out3));
        const U32 rounds = MIN((U32)(in0 - lowest) / 7, MIN(room_0_1, room_2_3) / 10);
        const BYTE *const limit = out3 + rounds * 5;
        if (!rounds || in1 < in0 || in2 < in1 || in3 < in2) break;
        do {
            FOR_STREAMS(TWO_TWICE);
            FOR_STREAMS(TWO_TWICE);
            FOR_STREAMS(TWO_ONCE);
        } while (out3 < limit);
    }
    FOR_STREAMS(SAVE);
}

#undef ENTRY_OF
#undef DECODE_ONE
#undef DECODE_TWO
#undef REFILL
#undef FOR_STREAMS
#undef ONE_0_1
#undef ONE_2_3
#undef ONE_4
#undef TWO_TWICE
#undef TWO_ONCE
#undef LOAD
#undef SAVE
