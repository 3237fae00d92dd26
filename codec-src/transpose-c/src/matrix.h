/* Matrices of elements of any size, transposed with 128-bit vectors.
 *
 * Interleaving the elements of two vectors, of the first half and the second half of a list, is a
 * perfect shuffle. Doing that to as many vectors as each has elements, log2 of that number of times,
 * transposes a square. (H. S. Stone: Parallel Processing with the Perfect Shuffle, IEEE Trans.
 * Computers C-20(2), 1971.) */
#ifndef MATRIX_H
#define MATRIX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

#include "transpose.h"

enum {
    MATRIX_VECTOR = sizeof(v128_t),
    MATRIX_LINE = 64,  /* of the cache */
    MATRIX_WAYS = 8,   /* lines of it that find room at once, wherever they are */
    MATRIX_LONG = 256, /* bytes of an element from which on copying is left to the runtime */
};

#define MATRIX_INLINE static inline __attribute__((always_inline))

/* Element (row, column) of the input at `row * from_row + column * size`, and of the output at
 * `column * to_column + row * size`. */
typedef struct {
    size_t rows, columns;
    size_t from_row, to_column; /* bytes */
} matrix;

/* What comes next when `step` are done at once, the last of them so that they end with the rest. */
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

/* As many rows as a vector has elements, and as many columns. */
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

/* Elements of 1, 2, 4 or 8 bytes, at least a square of them. What is read of a line of the cache is
 * all done before the next is read. */
MATRIX_INLINE void matrix_squares(const uint8_t *from, uint8_t *to, matrix of, size_t size) {
    const size_t side = MATRIX_VECTOR / size, most = MATRIX_LINE / size;
    for (size_t left = 0, right; left < of.columns; left = right) {
        right = matrix_smaller(left + most, of.columns);
        if (right - left < side) left = right - side;
        for (size_t row = 0; row < of.rows; row = matrix_next(row, side, of.rows))
            for (size_t column = left; column < right; column = matrix_next(column, side, right))
                matrix_square(from + row * of.from_row + column * size, of.from_row,
                              to + column * of.to_column + row * size, of.to_column, size);
    }
}

/* One element, in words of more than half of it. */
MATRIX_INLINE void matrix_move(const uint8_t *from, uint8_t *to, size_t size, size_t word) {
    if (size >= MATRIX_LONG) {
        memcpy(to, from, size);
        return;
    }
    for (size_t at = 0; at + word < size; at += word) memcpy(to + at, from + at, word);
    memcpy(to + size - word, from + size - word, word);
}

/* Elements of any size, one by one. */
MATRIX_INLINE void matrix_words(const uint8_t *from, uint8_t *to, matrix of, size_t size,
                                size_t word) {
    const size_t wide = size < MATRIX_LINE ? MATRIX_LINE / size : 1;
    for (size_t left = 0, right; left < of.columns; left = right) {
        right = matrix_smaller(left + wide, of.columns);
        const size_t high = MATRIX_WAYS * wide / (right - left);
        for (size_t top = 0, bottom; top < of.rows; top = bottom) {
            bottom = matrix_smaller(top + high, of.rows);
            /* The longer way is the inner loop. */
            if (right - left <= bottom - top)
                for (size_t column = left; column < right; column++)
                    for (size_t row = top; row < bottom; row++)
                        matrix_move(from + row * of.from_row + column * size,
                                    to + column * of.to_column + row * size, size, word);
            else
                for (size_t row = top; row < bottom; row++)
                    for (size_t column = left; column < right; column++)
                        matrix_move(from + row * of.from_row + column * size,
                                    to + column * of.to_column + row * size, size, word);
        }
    }
}

MATRIX_INLINE void matrix_of(const uint8_t *from, uint8_t *to, matrix of, size_t size) {
    const size_t side = MATRIX_VECTOR / size;
    if (of.rows >= side && of.columns >= side) matrix_squares(from, to, of, size);
    else matrix_words(from, to, of, size, size);
}

/* Single bytes, of which few stand together in one of the arrays, such as the colours of pixels. */
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
        case 16: matrix_words(from, to, of, 16, 16); break;
        default:
            if (size < 4) matrix_words(from, to, of, size, 2);
            else if (size < 8) matrix_words(from, to, of, size, 4);
            else if (size < 16) matrix_words(from, to, of, size, 8);
            else matrix_words(from, to, of, size, 16);
    }
}

#endif
