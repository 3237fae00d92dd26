/* Elements of another type, as NumPy's astype() makes them: integers modulo 2^bits, floats rounded
 * to even, floats to integers truncated. */
#ifndef CONVERT_H
#define CONVERT_H

#include "blocks.h"
#include "byteorder.h"
#include "chonkle_codec.h"
#include "scalars.h"

#define CONVERT(from, to)                                                                       \
    static void from##_to_##to(const uint8_t *restrict source, uint8_t *restrict target,        \
                               size_t count) {                                                  \
        for (size_t i = 0; i < count; i++)                                                      \
            ((to *)target)[i] = (to)((const from *)source)[i];                                  \
    }

CONVERT(i1, i2) CONVERT(i1, i4) CONVERT(i1, i8)
CONVERT(u1, i2) CONVERT(u1, i4) CONVERT(u1, i8)
CONVERT(i2, i1) CONVERT(i2, i4) CONVERT(i2, i8)
CONVERT(u2, i4) CONVERT(u2, i8)
CONVERT(i4, i1) CONVERT(i4, i2) CONVERT(i4, i8)
CONVERT(u4, i8)
CONVERT(i8, i1) CONVERT(i8, i2) CONVERT(i8, i4)
/* By way of a double, as in blocks.h, they would be rounded twice. */
CONVERT(i8, f4) CONVERT(u8, f4)

typedef void converter(const uint8_t *restrict source, uint8_t *restrict target, size_t count);

/* By log2 of the sizes. The sign of an integer matters only when it becomes wider. */
static converter *const convert_sizes[2][4][4] = {
    {{0, u1_to_i2, u1_to_i4, u1_to_i8},
     {i2_to_i1, 0, u2_to_i4, u2_to_i8},
     {i4_to_i1, i4_to_i2, 0, u4_to_i8},
     {i8_to_i1, i8_to_i2, i8_to_i4, 0}},
    {{0, i1_to_i2, i1_to_i4, i1_to_i8},
     {i2_to_i1, 0, i2_to_i4, i2_to_i8},
     {i4_to_i1, i4_to_i2, 0, i4_to_i8},
     {i8_to_i1, i8_to_i2, i8_to_i4, 0}},
};

static inline bool convert_is_integer(const chonkle_type *type) { return type->kind != 'f'; }

/* Convert little-endian integers to integers of another size, or of 8 bytes to f4, into the output
 * `bytes`. Integers of one size are the same bytes, and stay where they are.
 *   size: set to the size of the result in bytes.
 * Returns the result, not yet an output when it is `bytes->data`; NULL after a failure. */
static uint8_t *convert_integers(chonkle_call *call, const chonkle_port *bytes,
                                 const chonkle_type *from, const chonkle_type *to, size_t *size) {
    size_t count = bytes->size / from->size;
    converter *function =
        convert_is_integer(to)
            ? convert_sizes[from->kind == 'i'][__builtin_ctz(from->size)][__builtin_ctz(to->size)]
        : from->kind == 'i' ? i8_to_f4
                            : u8_to_f4;
    *size = bytes->size;
    if (!function) return bytes->data;
    /* `bytes` may have 2 GiB, so that eight times as much does not fit a size_t. */
    if (count > INT32_MAX / to->size) {
        chonkle_fail(call, "port `bytes`: %zu elements of %zu bytes need more than 2 GiB", count,
                     to->size);
        return NULL;
    }
    *size = count * to->size;
    uint8_t *data = chonkle_output(call, "bytes", *size);
    if (data) function(bytes->data, data, count);
    return data;
}

/* Give little-endian elements their byte order, and complete the output. */
static bool convert_end(chonkle_call *call, const chonkle_port *bytes, uint8_t *data, size_t size,
                        const chonkle_type *to) {
    if (to->is_big_endian) byteorder_swap_all(data, size, to->size);
    return data != bytes->data || chonkle_output_in_place(call, "bytes", data, size);
}

/* Make little-endian elements of another type the output `bytes`. Types are integers or floats. */
static bool convert_all(chonkle_call *call, const chonkle_port *bytes, const chonkle_type *from,
                        const chonkle_type *to) {
    bool is_same = from->kind == to->kind && from->size == to->size;
    if (is_same) return convert_end(call, bytes, bytes->data, bytes->size, to);
    bool is_direct = convert_is_integer(to) || (from->size == sizeof(i8) && to->size == sizeof(f4));
    if (!convert_is_integer(from) || !is_direct) {
        chonkle_type little = {from->kind, false, from->size};
        return blocks_map(call, bytes, &little, to, NULL, NULL);
    }
    size_t size;
    uint8_t *data = convert_integers(call, bytes, from, to, &size);
    return data && convert_end(call, bytes, data, size, to);
}

#endif
