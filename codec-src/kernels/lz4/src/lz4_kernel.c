/* lz4 and its slow compressor, with words of 64 bits. */

/* lz4 then uses 64-bit words with 32-bit pointers, as in the x32 ABI. It compresses large chunks
 * 1.3 times as fast, and hashes as on 64-bit machines. */
#define __x86_64__ 1
/* fast_loop.h has a faster one. */
#define LZ4_FAST_DEC_LOOP 0
/* Callers pass the states; lz4 allocates nothing. */
#define LZ4_STATIC_LINKING_ONLY_DISABLE_MEMORY_ALLOCATION 1
#define LZ4_HEAPMODE 0
#define LZ4HC_HEAPMODE 0

#include "lz4.c"
#include "lz4hc.c"

#include "fast_loop.h"

/* LZ4_decompress_safe(): lz4 decodes what fast_loop.h leaves. */
int lz4_kernel_decompress(const BYTE *input, BYTE *output, int size, int room) {
    fast_loop loop = {input, output};
    /* The loops subtract offsets from addresses. */
    if (size > IN_MARGIN && room > OUT_MARGIN && (uptrval)output > LZ4_DISTANCE_ABSOLUTE_MAX &&
        run_fast_loop(&loop, input + size - IN_MARGIN, output + room - OUT_MARGIN) == BAD_MATCH)
        return -1;
    const int given = (int)(loop.out - output);
    const int rest = LZ4_decompress_generic(
        (const char *)loop.in, (char *)loop.out, size - (int)(loop.in - input), room - given,
        decode_full_block, noDict, output, NULL, 0);
    return rest < 0 ? rest : given + rest;
}

/* LZ4_compress_fast_extState() with 32-bit pointers has a table of pointers for large inputs, where
 * 64-bit machines have one of offsets: an unset entry of that is the first position, and a match. */
int lz4_kernel_compress(void *state, const char *input, char *output, int size, int room,
                        int acceleration) {
    LZ4_stream_t_internal *context = &LZ4_initStream(state, sizeof(LZ4_stream_t))->internal_donotuse;
    /* Compiled once for each pair of constants. */
#define COMPRESS(limit, table)                                                            \
    LZ4_compress_generic(context, input, output, size, NULL, room, limit, table, noDict, \
                         noDictIssue, acceleration)
    int is_small = size < LZ4_64Klimit;
    if (room >= LZ4_compressBound(size))
        return is_small ? COMPRESS(notLimited, byU16) : COMPRESS(notLimited, byU32);
    return is_small ? COMPRESS(limitedOutput, byU16) : COMPRESS(limitedOutput, byU32);
#undef COMPRESS
}
