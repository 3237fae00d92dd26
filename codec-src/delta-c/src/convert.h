/* Elements to a type of another size: integers modulo 2^bits, floats rounded to even. */
#ifndef CONVERT_H
#define CONVERT_H

#include "chonkle_codec.h"
#include "scalars.h"

#define CONVERT(from, to)                                                                       \
    static void from##_to_##to(const uint8_t *restrict source, uint8_t *restrict target,        \
                               size_t count) {                                                  \
        for (size_t i = 0; i < count; i++)                                                      \
            ((to *)target)[i] = ((const from *)source)[i];                                  \
    }

CONVERT(i1, i2) CONVERT(i1, i4) CONVERT(i1, i8)
CONVERT(u1, i2) CONVERT(u1, i4) CONVERT(u1, i8)
CONVERT(i2, i1) CONVERT(i2, i4) CONVERT(i2, i8)
CONVERT(u2, i4) CONVERT(u2, i8)
CONVERT(i4, i1) CONVERT(i4, i2) CONVERT(i4, i8)
CONVERT(u4, i8)
CONVERT(i8, i1) CONVERT(i8, i2) CONVERT(i8, i4)
CONVERT(f4, f8) CONVERT(f8, f4)
CONVERT(f2, f4) CONVERT(f2, f8) CONVERT(f4, f2) CONVERT(f8, f2)

typedef void converter(const uint8_t *restrict source, uint8_t *restrict target, size_t count);

/* By log2 of the sizes. The sign of an integer matters only when it becomes wider. */
static converter *const convert_integers[2][4][4] = {
    {{0, u1_to_i2, u1_to_i4, u1_to_i8},
     {i2_to_i1, 0, u2_to_i4, u2_to_i8},
     {i4_to_i1, i4_to_i2, 0, u4_to_i8},
     {i8_to_i1, i8_to_i2, i8_to_i4, 0}},
    {{0, i1_to_i2, i1_to_i4, i1_to_i8},
     {i2_to_i1, 0, i2_to_i4, i2_to_i8},
     {i4_to_i1, i4_to_i2, 0, i4_to_i8},
     {i8_to_i1, i8_to_i2, i8_to_i4, 0}},
};
static converter *const convert_floats[4][4] = {
    {0}, {0, 0, f2_to_f4, f2_to_f8}, {0, f4_to_f2, 0, f4_to_f8}, {0, f8_to_f2, f8_to_f4, 0}};

/* Convert `count` little-endian elements; both types are integers or both floats, of different
 * sizes. */
static void convert(const uint8_t *restrict source, const chonkle_type *from,
                    uint8_t *restrict target, const chonkle_type *to, size_t count) {
    int row = __builtin_ctz(from->size), column = __builtin_ctz(to->size);
    converter *function = from->kind == 'f' ? convert_floats[row][column]
                                            : convert_integers[from->kind == 'i'][row][column];
    function(source, target, count);
}

#endif
