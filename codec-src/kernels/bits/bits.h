/* The bits of elements to rows of equal significance, and back.
 *
 * Byte j of row 8 b + k holds bit k of byte b of the elements 8 j to 8 j + 7, the first of them in
 * its lowest bit, as in Blosc and the bitshuffle library (K. Masui et al., Astronomy and Computing
 * 12, 2015). */
#ifndef BITS_H
#define BITS_H

#include "transpose.h"

enum { BITS_BYTE = 8, BITS_VECTOR = 16 };

/* One plane of `count` bytes to its eight rows of bits. */
static void bits_rows_of_plane(const uint8_t *plane, uint8_t *rows, size_t count) {
    const size_t row = count / BITS_BYTE;
    size_t at = 0;
    for (; at + BITS_VECTOR <= count; at += BITS_VECTOR) {
        v128_t bytes = wasm_v128_load(plane + at);
        for (size_t bit = BITS_BYTE; bit--; bytes = wasm_i8x16_add(bytes, bytes)) {
            uint16_t mask = (uint16_t)wasm_i8x16_bitmask(bytes);
            memcpy(rows + bit * row + at / BITS_BYTE, &mask, sizeof mask);
        }
    }
    if (at == count) return;
    v128_t bytes = wasm_v128_load64_zero(plane + at);
    for (size_t bit = BITS_BYTE; bit--; bytes = wasm_i8x16_add(bytes, bytes))
        rows[bit * row + at / BITS_BYTE] = (uint8_t)wasm_i8x16_bitmask(bytes);
}

/* Transpose two matrices of 8 x 8 bits, each of them 8 bytes (H. S. Warren: Hacker's Delight,
 * section 7-3). */
static inline v128_t bits_transposed(v128_t bits) {
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

/* Eight rows of bits to a plane: interleave the bytes of the rows, and transpose. */
static void bits_plane_of_rows(const uint8_t *rows, uint8_t *plane, size_t count) {
    const size_t row = count / BITS_BYTE;
    transpose_join(rows, plane, row, (ptrdiff_t)row, BITS_BYTE);
    size_t at = 0;
    for (; at + BITS_VECTOR <= count; at += BITS_VECTOR)
        wasm_v128_store(plane + at, bits_transposed(wasm_v128_load(plane + at)));
    if (at == count) return;
    v128_t last = bits_transposed(wasm_v128_load64_zero(plane + at));
    wasm_v128_store64_lane(plane + at, last, 0);
}

/* Elements to rows of bits, and back; none of the arrays overlap.
 *   scratch: room for all elements, used when `size` is more than 1.
 *   count:   elements of `size` bytes, a multiple of 8, at least 8. */
static void bits_split(const uint8_t *from, uint8_t *to, uint8_t *scratch, size_t count,
                       size_t size) {
    if (size > 1) transpose_split(from, scratch, count, (ptrdiff_t)count, size);
    const uint8_t *planes = size > 1 ? scratch : from;
    for (size_t i = 0; i < size; i++)
        bits_rows_of_plane(planes + i * count, to + i * count, count);
}

static void bits_join(const uint8_t *from, uint8_t *to, uint8_t *scratch, size_t count,
                      size_t size) {
    uint8_t *planes = size > 1 ? scratch : to;
    for (size_t i = 0; i < size; i++)
        bits_plane_of_rows(from + i * count, planes + i * count, count);
    if (size > 1) transpose_join(scratch, to, count, (ptrdiff_t)count, size);
}

#endif
