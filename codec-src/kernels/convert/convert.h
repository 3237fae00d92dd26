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

/* The function for two types that need no float between them; NULL for others, and for integers of
 * one size, which are the same bytes. */
static converter *convert_direct(const chonkle_type *from, const chonkle_type *to) {
    if (!convert_is_integer(from)) return NULL;
    if (convert_is_integer(to))
        return convert_sizes[from->kind == 'i'][__builtin_ctz(from->size)][__builtin_ctz(to->size)];
    if (from->size != sizeof(i8) || to->size != sizeof(f4)) return NULL;
    return from->kind == 'i' ? i8_to_f4 : u8_to_f4;
}

/* Convert little-endian integers to integers of another size, or of 8 bytes to f4, into the output
 * `bytes`. Integers of one size are the same bytes, and stay where they are.
 *   size: set to the size of the result in bytes.
 * Returns the result, not yet an output when it is `bytes->data`; NULL after a failure. */
static uint8_t *convert_integers(chonkle_call *call, const chonkle_port *bytes,
                                 const chonkle_type *from, const chonkle_type *to, size_t *size) {
    size_t count = bytes->size / from->size;
    converter *function = convert_direct(from, to);
    *size = bytes->size;
    if (!function) return bytes->data;
    *size = count * to->size;
    uint8_t *data = blocks_output(call, count, to->size);
    if (data) function(bytes->data, data, count);
    return data;
}

/* Give little-endian elements their byte order, and complete the output. */
static bool convert_end(chonkle_call *call, const chonkle_port *bytes, uint8_t *data, size_t size,
                        const chonkle_type *to) {
    if (to->is_big_endian) byteorder_swap_all(data, size, to->size);
    return data != bytes->data || chonkle_output_in_place(call, "bytes", data, size);
}

static inline bool convert_is_same(const chonkle_type *from, const chonkle_type *to) {
    bool is_kind = from->kind == to->kind || (convert_is_integer(from) && convert_is_integer(to));
    return is_kind && from->size == to->size;
}

/* Make little-endian elements of another type the output `bytes`. Types are integers or floats. */
static inline bool convert_all(chonkle_call *call, const chonkle_port *bytes, const chonkle_type *from,
                        const chonkle_type *to) {
    size_t size;
    if (convert_is_same(from, to)) return convert_end(call, bytes, bytes->data, bytes->size, to);
    if (!convert_direct(from, to)) {
        chonkle_type little = {from->kind, false, from->size};
        return blocks_map(call, bytes, &little, to, NULL, NULL);
    }
    uint8_t *data = convert_integers(call, bytes, from, to, &size);
    return data && convert_end(call, bytes, data, size, to);
}

/* Convert little-endian elements into memory apart from them. Types are integers or floats. */
static inline void convert_into(uint8_t *source, size_t count, const chonkle_type *from,
                                uint8_t *target, const chonkle_type *to) {
    converter *function = convert_direct(from, to);
    if (function) function(source, target, count);
    else if (convert_is_same(from, to)) memcpy(target, source, count * to->size);
    else blocks_run(source, count, from, target, to, block_is_single(from), NULL, NULL);
}

#endif
