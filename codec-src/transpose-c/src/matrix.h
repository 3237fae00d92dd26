/* Matrices of elements of any size, transposed with 128-bit vectors.
 *
 * A square has as many vectors as each has elements; log2 of that number perfect shuffles, as in
 * transpose.h, transpose it. */
#ifndef MATRIX_H
#define MATRIX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

#include "transpose.h"

enum {
    MATRIX_VECTOR = sizeof(v128_t),
    MATRIX_LINE = 64,  /* bytes of a cache line */
    MATRIX_WAYS = 8,   /* associativity: lines that fit the cache at any addresses */
    MATRIX_LONG = 256, /* bytes of an element from which on memcpy() is called */
};

#define MATRIX_INLINE static inline __attribute__((always_inline))

/* Element (row, column) of the input at `row * from_row + column * size`, and of the output at
 * `column * to_column + row * size`. */
typedef struct {
    size_t rows, columns;
    size_t from_row, to_column; /* bytes */
} matrix;

/* The next position in steps of `step`; the last step overlaps the one before to end at `count`. */
MATRIX_INLINE size_t matrix_next(size_t at, size_t step, size_t count) {
    return at + 2 * step > count && at + step < count ? count - step : at + step;
}

MATRIX_INLINE size_t matrix_smaller(size_t a, size_t b) { return a < b ? a : b; }

MATRIX_INLINE v128_t matrix_low(v128_t a, v128_t b, size_t size) {
    switch (size) {
        case 1: return transpose_low(a, b);
        case 2: return wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
        case 4: return wasm_i32x4_shuffle(a, b, 0, 4, 1, 5);
        default: return wasm_i64x2_shuffle(a, b, 0, 2);
    }
}

MATRIX_INLINE v128_t matrix_high(v128_t a, v128_t b, size_t size) {
    switch (size) {
        case 1: return transpose_high(a, b);
        case 2: return wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
        case 4: return wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
        default: return wasm_i64x2_shuffle(a, b, 1, 3);
    }
}

/* Transpose as many rows as a vector has elements, and as many columns. */
MATRIX_INLINE void matrix_square(const uint8_t *from, size_t from_row, uint8_t *to,
                                 size_t to_column, size_t size) {
    const size_t side = MATRIX_VECTOR / size;
    v128_t vectors[MATRIX_VECTOR], mixed[MATRIX_VECTOR];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < side; i++) vectors[i] = wasm_v128_load(from + i * from_row);
#pragma clang loop unroll(full)
    for (size_t times = 1; times < side; times *= 2) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < side / 2; i++) {
            mixed[2 * i] = matrix_low(vectors[i], vectors[i + side / 2], size);
            mixed[2 * i + 1] = matrix_high(vectors[i], vectors[i + side / 2], size);
        }
#pragma clang loop unroll(full)
        for (size_t i = 0; i < side; i++) vectors[i] = mixed[i];
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < side; i++) wasm_v128_store(to + i * to_column, vectors[i]);
}

/* Two loops over a matrix: the number of elements, and their strides in bytes. */
typedef struct {
    struct {
        size_t count, from, to;
    } outer, inner;
} matrix_loops;

/* down: whether the inner loop goes along a column; otherwise along a row. */
MATRIX_INLINE matrix_loops matrix_order(matrix of, size_t size, bool down) {
    if (down) return (matrix_loops){{of.columns, size, of.to_column}, {of.rows, of.from_row, size}};
    return (matrix_loops){{of.rows, of.from_row, size}, {of.columns, size, of.to_column}};
}

MATRIX_INLINE size_t matrix_power_in(size_t size) { return size & -size; }

/* At least a square, at most a cache line in both directions. Lines with a distance of a power of
 * two share a place in the cache: the inner loop completes lines of the array that shares more. */
MATRIX_INLINE void matrix_block(const uint8_t *from, uint8_t *to, matrix of, size_t size) {
    const size_t side = MATRIX_VECTOR / size;
    const bool down = matrix_power_in(of.to_column) >= matrix_power_in(of.from_row);
    const matrix_loops all = matrix_order(of, size, down);
    for (size_t i = 0; i < all.outer.count; i = matrix_next(i, side, all.outer.count))
        for (size_t k = 0; k < all.inner.count; k = matrix_next(k, side, all.inner.count))
            matrix_square(from + i * all.outer.from + k * all.inner.from, of.from_row,
                          to + i * all.outer.to + k * all.inner.to, of.to_column, size);
}

/* Elements of 1, 2, 4 or 8 bytes, at least a square. */
MATRIX_INLINE void matrix_of_squares(const uint8_t *from, uint8_t *to, matrix of, size_t size) {
    const size_t side = MATRIX_VECTOR / size, most = MATRIX_LINE / size;
    for (size_t left = 0, right; left < of.columns; left = right) {
        right = matrix_smaller(left + most, of.columns);
        if (right - left < side) left = right - side;
        for (size_t top = 0, bottom; top < of.rows; top = bottom) {
            bottom = matrix_smaller(top + most, of.rows);
            if (bottom - top < side) top = bottom - side;
            matrix_block(from + top * of.from_row + left * size,
                         to + left * of.to_column + top * size,
                         (matrix){bottom - top, right - left, of.from_row, of.to_column}, size);
        }
    }
}

/* Copy an element in words, of which the last ends with the element. */
MATRIX_INLINE void matrix_move(const uint8_t *from, uint8_t *to, size_t size, size_t word) {
    if (size >= MATRIX_LONG) {
        memcpy(to, from, size);
        return;
    }
    for (size_t at = 0; at + word < size; at += word) memcpy(to + at, from + at, word);
    memcpy(to + size - word, from + size - word, word);
}

/* One by one; the inner loop is the longer one. */
MATRIX_INLINE void matrix_words(const uint8_t *from, uint8_t *to, matrix of, size_t size,
                                size_t word) {
    const matrix_loops all = matrix_order(of, size, of.columns <= of.rows);
    for (size_t i = 0; i < all.outer.count; i++)
        for (size_t k = 0; k < all.inner.count; k++)
            matrix_move(from + i * all.outer.from + k * all.inner.from,
                        to + i * all.outer.to + k * all.inner.to, size, word);
}

/* Elements of any size. */
MATRIX_INLINE void matrix_of_words(const uint8_t *from, uint8_t *to, matrix of, size_t size,
                                   size_t word) {
    const size_t most = size < MATRIX_LINE ? MATRIX_LINE / size : 1;
    for (size_t left = 0, columns; left < of.columns; left += columns) {
        columns = matrix_smaller(most, of.columns - left);
        for (size_t top = 0, rows; top < of.rows; top += rows) {
            rows = matrix_smaller(MATRIX_WAYS * most / columns, of.rows - top);
            matrix_words(from + top * of.from_row + left * size,
                         to + left * of.to_column + top * size,
                         (matrix){rows, columns, of.from_row, of.to_column}, size, word);
        }
    }
}

MATRIX_INLINE void matrix_of(const uint8_t *from, uint8_t *to, matrix of, size_t size) {
    const size_t side = MATRIX_VECTOR / size;
    if (of.rows >= side && of.columns >= side) matrix_of_squares(from, to, of, size);
    else matrix_of_words(from, to, of, size, size);
}

/* Single bytes with few in a row of one of the arrays, such as the samples of pixels. */
static bool matrix_of_few_bytes(const uint8_t *from, uint8_t *to, matrix of) {
    if (of.columns < MATRIX_VECTOR && of.from_row == of.columns)
        transpose_split(from, to, of.rows, (ptrdiff_t)of.to_column, of.columns);
    else if (of.rows < MATRIX_VECTOR && of.to_column == of.rows)
        transpose_join(from, to, of.columns, (ptrdiff_t)of.from_row, of.rows);
    else return false;
    return true;
}

static void matrix_transpose(const uint8_t *from, uint8_t *to, matrix of, size_t size) {
    switch (size) {
        case 1:
            if (!matrix_of_few_bytes(from, to, of)) matrix_of(from, to, of, 1);
            break;
        case 2: matrix_of(from, to, of, 2); break;
        case 4: matrix_of(from, to, of, 4); break;
        case 8: matrix_of(from, to, of, 8); break;
        case 16: matrix_of_words(from, to, of, 16, 16); break;
        default:
            if (size < 4) matrix_of_words(from, to, of, size, 2);
            else if (size < 8) matrix_of_words(from, to, of, size, 4);
            else if (size < 16) matrix_of_words(from, to, of, size, 8);
            else matrix_of_words(from, to, of, size, 16);
    }
}

#endif
