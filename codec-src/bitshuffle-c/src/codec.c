/* bitshuffle: the first bits of all elements, then the second bits, and so on: the filter of the
 * bitshuffle library (K. Masui et al., Astronomy and Computing 12, 2015), HDF5 filter 32008,
 * without compression.
 *
 * It works on blocks of `blocksize` elements, a multiple of 8. The last block has the multiple of 8
 * that is left, and up to 7 elements behind it stay as they are. In a block of `count` elements,
 * byte j of row 8 b + k holds bit k of byte b of the elements 8 j to 8 j + 7, the first of them in
 * its lowest bit. */
#include <stdlib.h>

#include "chonkle_codec.h"
#include "transpose.h"

enum { BITS = 8, VECTOR = 16, BLOCK_TARGET = 8192, BLOCK_LEAST = 128 };

/* One plane of `count` bytes to its eight rows of bits. */
static void rows_of_plane(const uint8_t *plane, uint8_t *rows, size_t count) {
    const size_t row = count / BITS;
    size_t at = 0;
    for (; at + VECTOR <= count; at += VECTOR) {
        v128_t bytes = wasm_v128_load(plane + at);
        for (size_t bit = BITS; bit--; bytes = wasm_i8x16_add(bytes, bytes)) {
            uint16_t mask = (uint16_t)wasm_i8x16_bitmask(bytes);
            memcpy(rows + bit * row + at / BITS, &mask, sizeof mask);
        }
    }
    if (at == count) return;
    v128_t bytes = wasm_v128_load64_zero(plane + at);
    for (size_t bit = BITS; bit--; bytes = wasm_i8x16_add(bytes, bytes))
        rows[bit * row + at / BITS] = (uint8_t)wasm_i8x16_bitmask(bytes);
}

/* Transpose two matrices of 8 x 8 bits, each of them 8 bytes (H. S. Warren: Hacker's Delight,
 * section 7-3). */
static inline v128_t transposed_bits(v128_t bits) {
    const v128_t of_1 = wasm_i64x2_splat(0x00AA00AA00AA00AA);
    const v128_t of_2 = wasm_i64x2_splat(0x0000CCCC0000CCCC);
    const v128_t of_4 = wasm_i64x2_splat(0x00000000F0F0F0F0);
    v128_t moved = wasm_v128_and(wasm_v128_xor(bits, wasm_u64x2_shr(bits, 7)), of_1);
    bits = wasm_v128_xor(bits, wasm_v128_xor(moved, wasm_i64x2_shl(moved, 7)));
    moved = wasm_v128_and(wasm_v128_xor(bits, wasm_u64x2_shr(bits, 14)), of_2);
    bits = wasm_v128_xor(bits, wasm_v128_xor(moved, wasm_i64x2_shl(moved, 14)));
    moved = wasm_v128_and(wasm_v128_xor(bits, wasm_u64x2_shr(bits, 28)), of_4);
    return wasm_v128_xor(bits, wasm_v128_xor(moved, wasm_i64x2_shl(moved, 28)));
}

/* Eight rows of bits to a plane: put the bytes of the rows next to each other, and transpose. */
static void plane_of_rows(const uint8_t *rows, uint8_t *plane, size_t count) {
    const size_t row = count / BITS;
    transpose_join(rows, plane, row, (ptrdiff_t)row, BITS);
    size_t at = 0;
    for (; at + VECTOR <= count; at += VECTOR)
        wasm_v128_store(plane + at, transposed_bits(wasm_v128_load(plane + at)));
    if (at == count) return;
    v128_t last = transposed_bits(wasm_v128_load64_zero(plane + at));
    wasm_v128_store64_lane(plane + at, last, 0);
}

/* Planes are `scratch`; elements of one byte are a plane already. */
static void encode_block(const uint8_t *from, uint8_t *to, uint8_t *scratch, size_t count,
                         size_t size) {
    if (size > 1) transpose_split(from, scratch, count, (ptrdiff_t)count, size);
    const uint8_t *planes = size > 1 ? scratch : from;
    for (size_t i = 0; i < size; i++) rows_of_plane(planes + i * count, to + i * count, count);
}

static void decode_block(const uint8_t *from, uint8_t *to, uint8_t *scratch, size_t count,
                         size_t size) {
    uint8_t *planes = size > 1 ? scratch : to;
    for (size_t i = 0; i < size; i++) plane_of_rows(from + i * count, planes + i * count, count);
    if (size > 1) transpose_join(scratch, to, count, (ptrdiff_t)count, size);
}

/* The library's own choice: 8 KiB, but at least 128 elements. */
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

bool chonkle_encode(chonkle_call *call) { return each_block(call, encode_block); }

bool chonkle_decode(chonkle_call *call) { return each_block(call, decode_block); }
