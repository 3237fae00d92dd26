/* Bytes of elements to planes of equal significance, and back: transposing a matrix of bytes.
 *
 *     elements   a0 a1 a2 a3  b0 b1 b2 b3  c0 ...      `count` elements of `size` bytes
 *     planes     a0 b0 c0 ...  a1 b1 c1 ...            `size` planes of `count` bytes
 *
 * In a list of `size` vectors, interleaving the bytes of each vector of the first half with those
 * of one of the second half is a perfect shuffle. log2(size) shuffles turn planes into elements,
 * log2(16) shuffles the opposite. (H. S. Stone: Parallel Processing with the Perfect Shuffle, IEEE
 * Trans. Computers C-20(2), 1971.)
 *
 * Elements of other sizes are padded to the next power of two, or done in tiles of 16 x 16 bytes.
 *
 * The functions for elements of some sizes return how many elements they did. */
#ifndef TRANSPOSE_H
#define TRANSPOSE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

enum { TRANSPOSE_VECTOR = 16 };

#define TRANSPOSE_INLINE static inline __attribute__((always_inline))

TRANSPOSE_INLINE v128_t transpose_low(v128_t a, v128_t b) {
    return wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

TRANSPOSE_INLINE v128_t transpose_high(v128_t a, v128_t b) {
    return wasm_i8x16_shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/* `times` perfect shuffles of the bytes of `count` vectors. */
TRANSPOSE_INLINE void transpose_shuffle(v128_t *vectors, size_t count, size_t times) {
    v128_t mixed[TRANSPOSE_VECTOR];
#pragma clang loop unroll(full)
    for (size_t time = 0; time < times; time++) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < count / 2; i++) {
            mixed[2 * i] = transpose_low(vectors[i], vectors[i + count / 2]);
            mixed[2 * i + 1] = transpose_high(vectors[i], vectors[i + count / 2]);
        }
#pragma clang loop unroll(full)
        for (size_t i = 0; i < count; i++) vectors[i] = mixed[i];
    }
}

/* Elements of less than 16 bytes, padded to `power` bytes, a power of two. */

/* Indices of a swizzle that pads elements of `size` bytes to `power` bytes with zeros. */
TRANSPOSE_INLINE v128_t transpose_apart(size_t size, size_t power) {
    uint8_t indices[TRANSPOSE_VECTOR];
    for (size_t i = 0; i < TRANSPOSE_VECTOR; i++)
        indices[i] = (uint8_t)(i % power < size ? i / power * size + i % power : 0xFF);
    return wasm_v128_load(indices);
}

/* Indices of a swizzle that removes the padding. */
TRANSPOSE_INLINE v128_t transpose_together(size_t size, size_t power) {
    uint8_t indices[TRANSPOSE_VECTOR];
    for (size_t i = 0; i < TRANSPOSE_VECTOR; i++) {
        size_t index = i / size * power + i % size;
        indices[i] = (uint8_t)(index < TRANSPOSE_VECTOR ? index : 0xFF);
    }
    return wasm_v128_load(indices);
}

/* How many elements at the end to leave out, so that whole vectors stay within the data. */
TRANSPOSE_INLINE size_t transpose_margin(size_t size, size_t power) {
    size_t used = TRANSPOSE_VECTOR / power * size;
    return (TRANSPOSE_VECTOR - used + size - 1) / size;
}

TRANSPOSE_INLINE size_t transpose_split_small(const uint8_t *elements, uint8_t *planes,
                                              size_t count, ptrdiff_t stride, size_t size,
                                              size_t power) {
    const v128_t apart = transpose_apart(size, power);
    const size_t step = TRANSPOSE_VECTOR / power * size, margin = transpose_margin(size, power);
    v128_t vectors[TRANSPOSE_VECTOR];
    size_t at = 0;
    for (; at + TRANSPOSE_VECTOR + margin <= count; at += TRANSPOSE_VECTOR) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < power; i++) {
            vectors[i] = wasm_v128_load(elements + at * size + i * step);
            if (size != power) vectors[i] = wasm_i8x16_swizzle(vectors[i], apart);
        }
        transpose_shuffle(vectors, power, 4);
#pragma clang loop unroll(full)
        for (size_t i = 0; i < power; i++)
            if (i < size) wasm_v128_store(planes + (ptrdiff_t)i * stride + at, vectors[i]);
    }
    return at;
}

TRANSPOSE_INLINE size_t transpose_join_small(const uint8_t *const *planes,
                                             uint8_t *restrict elements, size_t count, size_t size,
                                             size_t power) {
    const v128_t together = transpose_together(size, power);
    const size_t step = TRANSPOSE_VECTOR / power * size, margin = transpose_margin(size, power);
    const size_t times = power == 2 ? 1 : power == 4 ? 2 : power == 8 ? 3 : 4;
    v128_t vectors[TRANSPOSE_VECTOR];
    size_t at = 0;
    for (; at + TRANSPOSE_VECTOR + margin <= count; at += TRANSPOSE_VECTOR) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < power; i++)
            vectors[i] = i < size ? wasm_v128_load(planes[i] + at) : wasm_i64x2_const(0, 0);
        transpose_shuffle(vectors, power, times);
        /* In this order, the next vector overwrites the zeros after the elements of this one. */
#pragma clang loop unroll(full)
        for (size_t i = 0; i < power; i++) {
            if (size != power) vectors[i] = wasm_i8x16_swizzle(vectors[i], together);
            wasm_v128_store(elements + at * size + i * step, vectors[i]);
        }
    }
    return at;
}

/* Elements of at least 16 bytes: a tile is 16 bytes of each of 16 elements. The last tile of an
 * element overlaps the one before to end with the element. */
TRANSPOSE_INLINE size_t transpose_split_large(const uint8_t *elements, uint8_t *planes,
                                              size_t count, ptrdiff_t stride, size_t size) {
    v128_t tile[TRANSPOSE_VECTOR];
    const size_t last = size - TRANSPOSE_VECTOR;
    size_t at = 0;
    for (; at + TRANSPOSE_VECTOR <= count; at += TRANSPOSE_VECTOR)
        for (size_t done = 0; done < size; done += TRANSPOSE_VECTOR) {
            size_t column = done < last ? done : last;
            const uint8_t *from = elements + at * size + column;
            uint8_t *to = planes + (ptrdiff_t)column * stride + at;
#pragma clang loop unroll(full)
            for (size_t i = 0; i < TRANSPOSE_VECTOR; i++)
                tile[i] = wasm_v128_load(from + i * size);
            transpose_shuffle(tile, TRANSPOSE_VECTOR, 4);
#pragma clang loop unroll(full)
            for (size_t i = 0; i < TRANSPOSE_VECTOR; i++)
                wasm_v128_store(to + (ptrdiff_t)i * stride, tile[i]);
        }
    return at;
}

TRANSPOSE_INLINE size_t transpose_join_large(const uint8_t *planes, uint8_t *elements,
                                             size_t count, ptrdiff_t stride, size_t size) {
    v128_t tile[TRANSPOSE_VECTOR];
    const size_t last = size - TRANSPOSE_VECTOR;
    size_t at = 0;
    for (; at + TRANSPOSE_VECTOR <= count; at += TRANSPOSE_VECTOR)
        for (size_t done = 0; done < size; done += TRANSPOSE_VECTOR) {
            size_t column = done < last ? done : last;
            const uint8_t *from = planes + (ptrdiff_t)column * stride + at;
            uint8_t *to = elements + at * size + column;
#pragma clang loop unroll(full)
            for (size_t i = 0; i < TRANSPOSE_VECTOR; i++)
                tile[i] = wasm_v128_load(from + (ptrdiff_t)i * stride);
            transpose_shuffle(tile, TRANSPOSE_VECTOR, 4);
#pragma clang loop unroll(full)
            for (size_t i = 0; i < TRANSPOSE_VECTOR; i++) wasm_v128_store(to + i * size, tile[i]);
        }
    return at;
}

/* Elements to planes; the arrays do not overlap.
 *   count:  elements of `size` bytes.
 *   size:   at least 1.
 *   stride: bytes from plane to plane, `count` or more, or that much negative. */
TRANSPOSE_INLINE void transpose_split(const uint8_t *elements, uint8_t *planes, size_t count,
                                      ptrdiff_t stride, size_t size) {
    size_t at;
    switch (size) {
        case 1: memcpy(planes, elements, count); return;
        case 2: at = transpose_split_small(elements, planes, count, stride, 2, 2); break;
        case 4: at = transpose_split_small(elements, planes, count, stride, 4, 4); break;
        case 8: at = transpose_split_small(elements, planes, count, stride, 8, 8); break;
        case 3: at = transpose_split_small(elements, planes, count, stride, 3, 4); break;
        case 5:
        case 6:
        case 7: at = transpose_split_small(elements, planes, count, stride, size, 8); break;
        default:
            at = size < TRANSPOSE_VECTOR
                     ? transpose_split_small(elements, planes, count, stride, size, 16)
                     : transpose_split_large(elements, planes, count, stride, size);
    }
    for (; at < count; at++)
        for (size_t i = 0; i < size; i++)
            planes[(ptrdiff_t)i * stride + at] = elements[at * size + i];
}

/* Planes to elements: the opposite, of up to 16 planes that lie anywhere. */
static inline void transpose_join_planes(const uint8_t *const *planes, uint8_t *restrict elements,
                                         size_t count, size_t size) {
    size_t at;
    switch (size) {
        case 1: memcpy(elements, planes[0], count); return;
        case 2: at = transpose_join_small(planes, elements, count, 2, 2); break;
        case 4: at = transpose_join_small(planes, elements, count, 4, 4); break;
        case 8: at = transpose_join_small(planes, elements, count, 8, 8); break;
        case 16: at = transpose_join_small(planes, elements, count, 16, 16); break;
        case 3: at = transpose_join_small(planes, elements, count, 3, 4); break;
        case 5:
        case 6:
        case 7: at = transpose_join_small(planes, elements, count, size, 8); break;
        default: at = transpose_join_small(planes, elements, count, size, 16);
    }
    for (; at < count; at++)
        for (size_t i = 0; i < size; i++) elements[at * size + i] = planes[i][at];
}

/* Planes to elements: the opposite of transpose_split(). */
TRANSPOSE_INLINE void transpose_join(const uint8_t *planes, uint8_t *elements, size_t count,
                                     ptrdiff_t stride, size_t size) {
    if (size <= TRANSPOSE_VECTOR) {
        const uint8_t *each[TRANSPOSE_VECTOR];
        for (size_t i = 0; i < size; i++) each[i] = planes + (ptrdiff_t)i * stride;
        transpose_join_planes(each, elements, count, size);
        return;
    }
    size_t at = transpose_join_large(planes, elements, count, stride, size);
    for (; at < count; at++)
        for (size_t i = 0; i < size; i++)
            elements[at * size + i] = planes[(ptrdiff_t)i * stride + at];
}

#endif
