/* bitshuffle: the first bits of all elements, then the second bits, and so on: the filter of the
 * bitshuffle library (K. Masui et al., Astronomy and Computing 12, 2015), HDF5 filter 32008,
 * without compression. bits.h describes the order of bits.
 *
 * It works on blocks of `blocksize` elements, a multiple of 8. The last block is the largest
 * multiple of 8 that is left; the up to 7 elements after it are copied. */
#include <stdlib.h>

#include "bits.h"
#include "chonkle_codec.h"

enum { BITS = 8, BLOCK_TARGET = 8192, BLOCK_LEAST = 128 };

/* The library's default: 8 KiB, at least 128 elements. */
static uint64_t default_block(uint64_t size) {
    uint64_t count = BLOCK_TARGET / size / BITS * BITS;
    return count < BLOCK_LEAST ? BLOCK_LEAST : count;
}

typedef void block_kernel(const uint8_t *from, uint8_t *to, uint8_t *scratch, size_t count,
                          size_t size);

static bool each_block(chonkle_call *call, block_kernel *kernel) {
    uint64_t size, block;
    if (!chonkle_uint(call, "elementsize", 1, INT32_MAX, &size) ||
        !chonkle_uint(call, "blocksize", 0, INT32_MAX, &block))
        return false;
    if (block % BITS)
        return chonkle_fail(call, "port `blocksize`: expected a multiple of 8, got %llu", block);
    chonkle_port *bytes = chonkle_items(call, "bytes", size);
    if (!bytes) return false;
    const size_t count = bytes->size / size;
    if (!block) block = default_block(size);
    if (block > count) block = count / BITS * BITS;
    uint8_t *to = chonkle_output(call, "bytes", bytes->size);
    uint8_t *scratch = to ? malloc(block * size + 1) : NULL;
    if (!scratch) return to && chonkle_fail_memory(call, block * size);
    size_t at = 0;
    for (size_t here = block; here; at += here) {
        if (here > count - at) here = (count - at) / BITS * BITS;
        if (!here) break;
        kernel(bytes->data + at * size, to + at * size, scratch, here, size);
    }
    memcpy(to + at * size, bytes->data + at * size, bytes->size - at * size);
    free(scratch);
    return true;
}

bool chonkle_encode(chonkle_call *call) { return each_block(call, bits_split); }

bool chonkle_decode(chonkle_call *call) { return each_block(call, bits_join); }
