/* Horizontal differencing with 128-bit vectors.
 *
 * Decoding is a prefix sum with a stride of one pixel. Within a vector it takes log2 steps: add the
 * vector shifted by one pixel, by two, by four, as far as there are pixels in 16 bytes. What came
 * before is added as a carry: for every byte of the next vector, the byte of this one that holds the
 * last value of the same sample. (W. D. Hillis, G. L. Steele: Data Parallel Algorithms, CACM
 * 29(12), 1986.) Pixels of more than 16 bytes need none of that: a vector is added to the one a
 * pixel before.
 *
 * Encoding subtracts the pixel before; it goes from the end of the row to its start, so that what
 * is read has not been replaced yet. */
#include "difference.h"

#include <string.h>
#include <wasm_simd128.h>

enum { VECTOR = 16 };

#define INLINE static inline __attribute__((always_inline))

INLINE v128_t add(v128_t a, v128_t b, size_t sample) {
    switch (sample) {
        case 1: return wasm_i8x16_add(a, b);
        case 2: return wasm_i16x8_add(a, b);
        case 4: return wasm_i32x4_add(a, b);
        default: return wasm_i64x2_add(a, b);
    }
}

INLINE v128_t subtract(v128_t a, v128_t b, size_t sample) {
    switch (sample) {
        case 1: return wasm_i8x16_sub(a, b);
        case 2: return wasm_i16x8_sub(a, b);
        case 4: return wasm_i32x4_sub(a, b);
        default: return wasm_i64x2_sub(a, b);
    }
}

/* One sample, for what is left beside whole vectors. */
INLINE uint64_t load(const uint8_t *from, size_t sample) {
    uint64_t value = 0;
    memcpy(&value, from, sample);
    return value;
}

INLINE void store(uint8_t *to, uint64_t value, size_t sample) { memcpy(to, &value, sample); }

/* For a swizzle: the vector moved up by `distance` bytes, zeros from below. */
INLINE v128_t shift_indices(size_t distance) {
    uint8_t indices[VECTOR];
    for (size_t i = 0; i < VECTOR; i++) indices[i] = (uint8_t)(i < distance ? 0xFF : i - distance);
    return wasm_v128_load(indices);
}

/* For a swizzle: the last value of each sample, where the next vector needs it. */
INLINE v128_t carry_indices(size_t pixel) {
    uint8_t indices[VECTOR];
    for (size_t i = 0; i < VECTOR; i++) indices[i] = (uint8_t)(VECTOR - pixel + i % pixel);
    return wasm_v128_load(indices);
}

INLINE void decode_rest(uint8_t *row, size_t at, size_t size, size_t pixel, size_t sample) {
    for (at = at < pixel ? pixel : at; at < size; at += sample)
        store(row + at, load(row + at, sample) + load(row + at - pixel, sample), sample);
}

/* pixel <= VECTOR */
INLINE void decode_narrow(uint8_t *row, size_t size, size_t pixel, size_t sample) {
    const v128_t by_1 = shift_indices(pixel), by_2 = shift_indices(2 * pixel);
    const v128_t by_4 = shift_indices(4 * pixel), by_8 = shift_indices(8 * pixel);
    const v128_t last = carry_indices(pixel);
    v128_t carry = wasm_i64x2_const(0, 0);
    size_t at = 0;
    for (; at + VECTOR <= size; at += VECTOR) {
        v128_t sum = wasm_v128_load(row + at);
        if (pixel < VECTOR) sum = add(sum, wasm_i8x16_swizzle(sum, by_1), sample);
        if (2 * pixel < VECTOR) sum = add(sum, wasm_i8x16_swizzle(sum, by_2), sample);
        if (4 * pixel < VECTOR) sum = add(sum, wasm_i8x16_swizzle(sum, by_4), sample);
        if (8 * pixel < VECTOR) sum = add(sum, wasm_i8x16_swizzle(sum, by_8), sample);
        wasm_v128_store(row + at, add(sum, carry, sample));
        /* Where whole pixels fill a vector, the carry repeats with them: adding to it, instead of
         * taking it from the sum, leaves one addition between this vector and the next. */
        if (VECTOR % pixel == 0) carry = add(carry, wasm_i8x16_swizzle(sum, last), sample);
        else carry = wasm_i8x16_swizzle(add(sum, carry, sample), last);
    }
    decode_rest(row, at, size, pixel, sample);
}

/* pixel > VECTOR */
INLINE void decode_wide(uint8_t *row, size_t size, size_t pixel, size_t sample) {
    size_t at = pixel;
    for (; at + VECTOR <= size; at += VECTOR)
        wasm_v128_store(row + at, add(wasm_v128_load(row + at),
                                      wasm_v128_load(row + at - pixel), sample));
    decode_rest(row, at, size, pixel, sample);
}

INLINE void encode_any(uint8_t *row, size_t size, size_t pixel, size_t sample) {
    size_t at = size;
    for (; at >= pixel + VECTOR; at -= VECTOR) {
        uint8_t *to = row + at - VECTOR;
        wasm_v128_store(to, subtract(wasm_v128_load(to), wasm_v128_load(to - pixel), sample));
    }
    for (; at > pixel; at -= sample) {
        uint8_t *to = row + at - sample;
        store(to, load(to, sample) - load(to - pixel, sample), sample);
    }
}

/* Pixels that fill a vector get kernels of their own: with the distance known, the indices are
 * constants, which doubles their speed. The others gain nothing from it. */
INLINE void decode_any(uint8_t *row, size_t size, size_t pixel, size_t sample) {
    if (pixel == 1 && sample == 1) decode_narrow(row, size, 1, sample);
    else if (pixel == 2 && sample <= 2) decode_narrow(row, size, 2, sample);
    else if (pixel == 4 && sample <= 4) decode_narrow(row, size, 4, sample);
    else if (pixel == 8) decode_narrow(row, size, 8, sample);
    else if (pixel == 16) decode_narrow(row, size, 16, sample);
    else if (pixel < VECTOR) decode_narrow(row, size, pixel, sample);
    else decode_wide(row, size, pixel, sample);
}

#define KERNELS(sample)                                                              \
    static void encode_##sample(uint8_t *row, size_t size, size_t pixel) {           \
        encode_any(row, size, pixel, sample);                                        \
    }                                                                                \
    static void decode_##sample(uint8_t *row, size_t size, size_t pixel) {           \
        decode_any(row, size, pixel, sample);                                        \
    }

KERNELS(1)
KERNELS(2)
KERNELS(4)
KERNELS(8)

difference_row *difference_encoder(size_t sample) {
    switch (sample) {
        case 1: return encode_1;
        case 2: return encode_2;
        case 4: return encode_4;
        default: return encode_8;
    }
}

difference_row *difference_decoder(size_t sample) {
    switch (sample) {
        case 1: return decode_1;
        case 2: return decode_2;
        case 4: return decode_4;
        default: return decode_8;
    }
}
