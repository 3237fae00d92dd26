/* astype: elements of another type, as NumPy's astype() and numcodecs make them.
 *
 *     to an integer   modulo 2^bits; of a float its integer part, see blocks.h for those out of range
 *     to a float      rounded to even
 *     to a boolean    whether it is not 0; NaN is true
 *     to a real       the real part of a complex number
 *
 * Times are integers of 8 bytes, of which the least is NaT.
 *
 * Out of the range of 4 unsigned bytes, NumPy's result for a float depends on its place in the
 * array; here it is that of NumPy's scalar code everywhere. */
#include "blocks.h"
#include "byteorder.h"
#include "chonkle_codec.h"
#include "convert.h"
#include "scalars.h"

static bool is_time(const chonkle_type *type) { return type->kind == 'm' || type->kind == 'M'; }

/* Find the unit in the text of a type, `[ns]`; returns its size, 0 without a unit. */
static size_t unit_of(const chonkle_port *type, const uint8_t **unit) {
    *unit = memchr(type->data, '[', type->size);
    return *unit ? (size_t)(type->data + type->size - *unit) : 0;
}

/* Times of two units would need a calendar. */
static bool check_units(chonkle_call *call) {
    const uint8_t *encoded, *decoded;
    size_t size = unit_of(chonkle_find(call, "encode_dtype"), &encoded);
    size_t other = unit_of(chonkle_find(call, "decode_dtype"), &decoded);
    return !size || !other || (size == other && !memcmp(encoded, decoded, size)) ||
           chonkle_fail(call, "port `encode_dtype`: expected the unit of `decode_dtype`");
}

/* ---- booleans ------------------------------------------------------------------------------ */

#define TO_FLAGS(type)                                                                          \
    static void flags_of_##type(const uint8_t *restrict source, uint8_t *restrict target,       \
                                size_t count, uint64_t mask) {                                  \
        for (size_t i = 0; i < count; i++)                                                      \
            target[i] = (((const type *)source)[i] & (type)mask) != 0;                          \
    }

TO_FLAGS(u1)
TO_FLAGS(u2)
TO_FLAGS(u4)
TO_FLAGS(u8)

/* Make booleans of little-endian numbers the output.
 *   parts: 2 for complex numbers. */
static bool to_flags(chonkle_call *call, const chonkle_port *bytes, const chonkle_type *from,
                     size_t parts) {
    size_t count = bytes->size / from->size;
    uint8_t *flags = chonkle_output(call, "bytes", count);
    if (!flags) return false;
    /* Without the sign of floats, so that -0.0 is false. */
    uint64_t mask = from->kind == 'f' ? UINT64_MAX >> (65 - 8 * from->size) : UINT64_MAX;
    switch (from->size) {
        case 1: flags_of_u1(bytes->data, flags, count, mask); break;
        case 2: flags_of_u2(bytes->data, flags, count, mask); break;
        case 4: flags_of_u4(bytes->data, flags, count, mask); break;
        default: flags_of_u8(bytes->data, flags, count, mask); break;
    }
    if (parts == 1) return true;
    for (size_t i = 0; i < count / 2; i++) flags[i] = flags[2 * i] | flags[2 * i + 1];
    return chonkle_output_resize(call, count / 2);
}

/* ---- complex numbers ----------------------------------------------------------------------- */

/* Keep the first of each two floats, in place. */
static void keep_real(chonkle_port *bytes, size_t size) {
    size_t count = bytes->size / size / 2;
    if (size == sizeof(f4))
        for (size_t i = 0; i < count; i++) ((u4 *)bytes->data)[i] = ((u4 *)bytes->data)[2 * i];
    else
        for (size_t i = 0; i < count; i++) ((u8 *)bytes->data)[i] = ((u8 *)bytes->data)[2 * i];
    bytes->size = count * size;
}

/* Make complex numbers of little-endian real ones the output.
 *   to: the type of a part. */
static bool to_complex(chonkle_call *call, const chonkle_port *bytes, const chonkle_type *from,
                       const chonkle_type *to) {
    size_t count = bytes->size / from->size, size = count * to->size;
    chonkle_type little = {to->kind, false, to->size};
    uint8_t *output = blocks_output(call, count, 2 * to->size);
    if (!output) return false;
    /* First the real parts, in the second half: no part is overwritten before it is read. */
    convert_into(bytes->data, count, from, output + size, &little);
    if (to->size == sizeof(f4))
        for (size_t i = 0; i < count; i++) {
            ((u4 *)output)[2 * i] = ((u4 *)output)[count + i];
            ((u4 *)output)[2 * i + 1] = 0;
        }
    else
        for (size_t i = 0; i < count; i++) {
            ((u8 *)output)[2 * i] = ((u8 *)output)[count + i];
            ((u8 *)output)[2 * i + 1] = 0;
        }
    if (to->is_big_endian) byteorder_swap_all(output, 2 * size, to->size);
    return true;
}

/* ---- both directions ----------------------------------------------------------------------- */

/* Treat elements as the numbers that they consist of; returns how many. */
static size_t as_numbers(chonkle_type *type) {
    if (type->kind == 'b') type->kind = 'u';
    if (is_time(type)) type->kind = 'i';
    if (type->kind != 'c') return 1;
    type->kind = 'f';
    type->size /= 2;
    return 2;
}

static bool convert(chonkle_call *call, const char *from_name, const char *to_name) {
    chonkle_type from, to;
    if (!chonkle_dtype(call, from_name, "biufcmM", &from) ||
        !chonkle_dtype(call, to_name, "biufcmM", &to) || !check_units(call))
        return false;
    chonkle_port *bytes = chonkle_items(call, "bytes", from.size);
    if (!bytes) return false;
    bool is_same = from.kind == to.kind && from.size == to.size, is_flags = to.kind == 'b';
    bool was_flags = from.kind == 'b';
    size_t parts = as_numbers(&from), parts_after = as_numbers(&to);
    if (from.is_big_endian) byteorder_swap_all(bytes->data, bytes->size, from.size);
    from.is_big_endian = false;
    if (is_same) return convert_end(call, bytes, bytes->data, bytes->size, &to);
    /* Any byte but 0 is true. */
    if (was_flags)
        for (size_t i = 0; i < bytes->size; i++) bytes->data[i] = bytes->data[i] != 0;
    if (is_flags) return to_flags(call, bytes, &from, parts);
    if (parts > parts_after) keep_real(bytes, from.size);
    if (parts < parts_after) return to_complex(call, bytes, &from, &to);
    return convert_all(call, bytes, &from, &to);
}

bool chonkle_encode(chonkle_call *call) { return convert(call, "decode_dtype", "encode_dtype"); }

bool chonkle_decode(chonkle_call *call) { return convert(call, "encode_dtype", "decode_dtype"); }
