/* Differences of neighbours with 128-bit vectors: horizontal differencing of TIFF, delta.
 *
 * Decoding is a prefix sum with a stride of one pixel. Within a vector it takes log2 steps: add the
 * vector shifted by one pixel, by two, by four, while that is less than 16 bytes. Then add a carry,
 * the last value of each sample in the vector before. (W. D. Hillis, G. L. Steele: Data Parallel
 * Algorithms, CACM 29(12), 1986.) For pixels of more than 16 bytes, add the vector a pixel before.
 *
 * Encoding subtracts the pixel before, from the end of the row to its start, so that no value is
 * read after it was replaced.
 *
 * Arguments of all functions:
 *   row:    `size` bytes of little-endian samples, not aligned, changed in place.
 *   pixel:  distance in bytes to the sample before, a multiple of `sample`.
 *   sample: bytes of a sample, 1, 2, 4 or 8. */
#ifndef DIFFERENCE_H
#define DIFFERENCE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

enum { DIFF_VECTOR = 16 };

#define DIFF_INLINE static inline __attribute__((always_inline))

DIFF_INLINE v128_t diff_add(v128_t a, v128_t b, size_t sample) {
    switch (sample) {
        case 1: return wasm_i8x16_add(a, b);
        case 2: return wasm_i16x8_add(a, b);
        case 4: return wasm_i32x4_add(a, b);
        default: return wasm_i64x2_add(a, b);
    }
}

DIFF_INLINE v128_t diff_subtract(v128_t a, v128_t b, size_t sample) {
    switch (sample) {
        case 1: return wasm_i8x16_sub(a, b);
        case 2: return wasm_i16x8_sub(a, b);
        case 4: return wasm_i32x4_sub(a, b);
        default: return wasm_i64x2_sub(a, b);
    }
}

/* One sample, for the rest after whole vectors. */
DIFF_INLINE uint64_t diff_load(const uint8_t *from, size_t sample) {
    uint64_t value = 0;
    memcpy(&value, from, sample);
    return value;
}

DIFF_INLINE void diff_store(uint8_t *to, uint64_t value, size_t sample) {
    memcpy(to, &value, sample);
}

/* Indices of a swizzle that shifts a vector up by `distance` bytes and fills it with zeros. */
DIFF_INLINE v128_t diff_shift_indices(size_t distance) {
    uint8_t indices[DIFF_VECTOR];
    for (size_t i = 0; i < DIFF_VECTOR; i++)
        indices[i] = (uint8_t)(i < distance ? 0xFF : i - distance);
    return wasm_v128_load(indices);
}

/* Indices of a swizzle that moves each sample's last value to where the next vector adds it. */
DIFF_INLINE v128_t diff_carry_indices(size_t pixel) {
    uint8_t indices[DIFF_VECTOR];
    for (size_t i = 0; i < DIFF_VECTOR; i++)
        indices[i] = (uint8_t)(DIFF_VECTOR - pixel + i % pixel);
    return wasm_v128_load(indices);
}

DIFF_INLINE void diff_decode_rest(uint8_t *row, size_t at, size_t size, size_t pixel,
                                  size_t sample) {
    for (at = at < pixel ? pixel : at; at < size; at += sample)
        diff_store(row + at, diff_load(row + at, sample) + diff_load(row + at - pixel, sample),
                   sample);
}

/* pixel <= DIFF_VECTOR */
DIFF_INLINE void diff_decode_narrow(uint8_t *row, size_t size, size_t pixel, size_t sample) {
    const v128_t by_1 = diff_shift_indices(pixel), by_2 = diff_shift_indices(2 * pixel);
    const v128_t by_4 = diff_shift_indices(4 * pixel), by_8 = diff_shift_indices(8 * pixel);
    const v128_t last = diff_carry_indices(pixel);
    v128_t carry = wasm_i64x2_const(0, 0);
    size_t at = 0;
    for (; at + DIFF_VECTOR <= size; at += DIFF_VECTOR) {
        v128_t sum = wasm_v128_load(row + at);
        if (pixel < DIFF_VECTOR) sum = diff_add(sum, wasm_i8x16_swizzle(sum, by_1), sample);
        if (2 * pixel < DIFF_VECTOR) sum = diff_add(sum, wasm_i8x16_swizzle(sum, by_2), sample);
        if (4 * pixel < DIFF_VECTOR) sum = diff_add(sum, wasm_i8x16_swizzle(sum, by_4), sample);
        if (8 * pixel < DIFF_VECTOR) sum = diff_add(sum, wasm_i8x16_swizzle(sum, by_8), sample);
        wasm_v128_store(row + at, diff_add(sum, carry, sample));
        /* When whole pixels fill a vector, the carry can be summed by itself: the next vector then
         * waits for one addition only. */
        if (DIFF_VECTOR % pixel == 0)
            carry = diff_add(carry, wasm_i8x16_swizzle(sum, last), sample);
        else
            carry = wasm_i8x16_swizzle(diff_add(sum, carry, sample), last);
    }
    diff_decode_rest(row, at, size, pixel, sample);
}

/* pixel > DIFF_VECTOR */
DIFF_INLINE void diff_decode_wide(uint8_t *row, size_t size, size_t pixel, size_t sample) {
    size_t at = pixel;
    for (; at + DIFF_VECTOR <= size; at += DIFF_VECTOR)
        wasm_v128_store(row + at, diff_add(wasm_v128_load(row + at),
                                           wasm_v128_load(row + at - pixel), sample));
    diff_decode_rest(row, at, size, pixel, sample);
}

DIFF_INLINE void diff_encode(uint8_t *row, size_t size, size_t pixel, size_t sample) {
    size_t at = size;
    for (; at >= pixel + DIFF_VECTOR; at -= DIFF_VECTOR) {
        uint8_t *to = row + at - DIFF_VECTOR;
        wasm_v128_store(to, diff_subtract(wasm_v128_load(to), wasm_v128_load(to - pixel), sample));
    }
    for (; at > pixel; at -= sample) {
        uint8_t *to = row + at - sample;
        diff_store(to, diff_load(to, sample) - diff_load(to - pixel, sample), sample);
    }
}

/* For pixels that fill a vector, `pixel` is a constant, and so are the indices: twice as fast.
 * Other pixels do not gain. */
DIFF_INLINE void diff_decode(uint8_t *row, size_t size, size_t pixel, size_t sample) {
    if (pixel == 1 && sample == 1) diff_decode_narrow(row, size, 1, sample);
    else if (pixel == 2 && sample <= 2) diff_decode_narrow(row, size, 2, sample);
    else if (pixel == 4 && sample <= 4) diff_decode_narrow(row, size, 4, sample);
    else if (pixel == 8) diff_decode_narrow(row, size, 8, sample);
    else if (pixel == 16) diff_decode_narrow(row, size, 16, sample);
    else if (pixel < DIFF_VECTOR) diff_decode_narrow(row, size, pixel, sample);
    else diff_decode_wide(row, size, pixel, sample);
}

#endif
