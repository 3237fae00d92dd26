/* scale_offset: (x - offset) * scale in the type of x, as the codec of Zarr 3.
 *
 * zarr-extensions, codecs/scale_offset. Decoding is x / scale + offset. Each step of floats is
 * rounded to their type. Integers are exact, as if they had any number of bits: the range of x whose
 * result fits is known before, so x is compared with it and computed modulo 2^bits. zarr-python does
 * the same, but for integers of 8 signed bytes, whose overflows it does not find. */
#include "byteorder.h"
#include "chonkle_codec.h"
#include "scalars.h"
#include "zarr_scalar.h"

typedef struct {
    chonkle_port *bytes;
    chonkle_type type;
    uint64_t offset; /* their bytes, little-endian */
    uint64_t scale;
} scaled;

/* ---- ranges of integers -------------------------------------------------------------------- */

typedef __int128 wide;

/* From `low` to `high`, both included. */
typedef struct {
    wide low;
    wide high;
} range;

static wide floor_of(wide value, wide by) {
    wide quotient = value / by;
    return quotient - (value % by && (value < 0) != (by < 0));
}

/* The integers whose product with `by` is in a range. */
static range divide(range of, wide by) {
    range found = {-floor_of(-of.low, by), floor_of(of.high, by)};
    if (by < 0) found = (range){-floor_of(-of.high, by), floor_of(of.low, by)};
    return found;
}

static range shift(range of, wide by) { return (range){of.low + by, of.high + by}; }

/* What two ranges have in common; if nothing, the range from the greatest to the least integer of
 * the type, so that every one is out of it. */
static range common(range one, range type) {
    if (one.low < type.low) one.low = type.low;
    if (one.high > type.high) one.high = type.high;
    return one.low > one.high ? (range){type.high, type.low} : one;
}

static wide value_of(uint64_t bits, const chonkle_type *type) {
    int unused = 64 - 8 * (int)type->size;
    return type->kind == 'i' ? (wide)((int64_t)(bits << unused) >> unused) : (wide)bits;
}

/* ---- integers ------------------------------------------------------------------------------ */

typedef struct {
    uint64_t offset;
    uint64_t scale;
    uint64_t inverse; /* of the odd factor of `scale`, modulo 2^64 */
    int places;       /* the exponent of its other factor, 2^places */
    range values;
    range quotients;
} integers;

/* Newton's method: each step doubles the number of right bits. */
static uint64_t inverse_of(uint64_t odd) {
    uint64_t inverse = odd;
    for (int i = 0; i < 5; i++) inverse *= 2 - odd * inverse;
    return inverse;
}

/* Functions that change elements, and tell whether all of them have a result.
 *
 * A quotient needs no division: that of a multiple of `scale` is a product with the inverse. Of
 * anything else, this gives a quotient out of range, or one that `scale` does not multiply back.
 * `1u` keeps products of small integers unsigned. */
typedef bool changer(const uint8_t *restrict source, uint8_t *restrict target, size_t count,
                     const integers *by);

#define INTEGERS(signed_or_not, bits)                                                           \
    static bool encode_##signed_or_not(const uint8_t *restrict source,                          \
                                       uint8_t *restrict target, size_t count,                  \
                                       const integers *by) {                                    \
        const signed_or_not low = (signed_or_not)by->values.low;                                \
        const signed_or_not high = (signed_or_not)by->values.high;                              \
        const bits offset = (bits)by->offset, scale = (bits)by->scale;                          \
        bits bad = 0;                                                                           \
        for (size_t i = 0; i < count; i++) {                                                    \
            signed_or_not value = ((const signed_or_not *)source)[i];                           \
            bad |= (bits)(value < low) | (bits)(value > high);                                  \
            ((bits *)target)[i] = (bits)(1u * (bits)((bits)value - offset) * scale);            \
        }                                                                                       \
        return !bad;                                                                            \
    }                                                                                           \
    static bool decode_##signed_or_not(const uint8_t *restrict source,                          \
                                       uint8_t *restrict target, size_t count,                  \
                                       const integers *by) {                                    \
        const signed_or_not low = (signed_or_not)by->values.low;                                \
        const signed_or_not high = (signed_or_not)by->values.high;                              \
        const signed_or_not least = (signed_or_not)by->quotients.low;                           \
        const signed_or_not most = (signed_or_not)by->quotients.high;                           \
        const bits offset = (bits)by->offset, scale = (bits)by->scale;                          \
        const bits inverse = (bits)by->inverse;                                                 \
        const int places = by->places;                                                          \
        bits bad = 0;                                                                           \
        for (size_t i = 0; i < count; i++) {                                                    \
            signed_or_not value = ((const signed_or_not *)source)[i];                           \
            bits quotient = (bits)(1u * (bits)(value >> places) * inverse);                     \
            signed_or_not of = (signed_or_not)quotient;                                         \
            bad |= (bits)(value < low) | (bits)(value > high);                                  \
            bad |= (bits)(of < least) | (bits)(of > most);                                      \
            bad |= (bits)(1u * quotient * scale) ^ (bits)value;                                 \
            ((bits *)target)[i] = (bits)(quotient + offset);                                    \
        }                                                                                       \
        return !bad;                                                                            \
    }

INTEGERS(i1, u1)
INTEGERS(u1, u1)
INTEGERS(i2, u2)
INTEGERS(u2, u2)
INTEGERS(i4, u4)
INTEGERS(u4, u4)
INTEGERS(i8, u8)
INTEGERS(u8, u8)

/* By whether it decodes, the sign, and log2 of the size. */
static changer *const changers[2][2][4] = {
    {{encode_u1, encode_u2, encode_u4, encode_u8}, {encode_i1, encode_i2, encode_i4, encode_i8}},
    {{decode_u1, decode_u2, decode_u4, decode_u8}, {decode_i1, decode_i2, decode_i4, decode_i8}},
};

static integers integers_of(const scaled *of, bool is_encoding) {
    const chonkle_type *type = &of->type;
    wide offset = value_of(of->offset, type), scale = value_of(of->scale, type);
    range all = {zarr_minimum(type), zarr_maximum(type)};
    int places = __builtin_ctzll(of->scale);
    integers by = {
        .offset = of->offset,
        .scale = of->scale,
        .inverse = inverse_of((uint64_t)(scale >> places)),
        .places = places,
        .quotients = all,
    };
    if (is_encoding) {
        by.values = common(shift(divide(all, scale), offset), all);
        return by;
    }
    /* Quotients from `all` less the offset; with -1, the least integer has one of its own. */
    range quotients = shift(all, -offset);
    by.values = scale < 0 ? (range){quotients.high * scale, quotients.low * scale}
                          : (range){quotients.low * scale, quotients.high * scale};
    by.values = common(by.values, all);
    if (scale != 1 && scale != -1) by.quotients = common(divide(all, scale), all);
    return by;
}

static bool fail_integer(chonkle_call *call, bool is_encoding, size_t at) {
    return is_encoding
               ? chonkle_fail(call, "port `bytes`: element %zu, less `offset` and times `scale`, is "
                                    "out of the range of `dtype`", at)
               : chonkle_fail(call, "port `bytes`: element %zu is no multiple of `scale`, or out of "
                                    "the range of `dtype` with `offset`", at);
}

static bool change_integers(chonkle_call *call, const scaled *of, bool is_encoding) {
    enum { AT_ONCE = 4096 };
    size_t size = of->type.size, size_bytes = of->bytes->size, here;
    integers by = integers_of(of, is_encoding);
    changer *change = changers[!is_encoding][of->type.kind == 'i'][__builtin_ctz(size)];
    uint8_t changed[AT_ONCE], *data = of->bytes->data;
    for (size_t at = 0; at < size_bytes; at += here) {
        here = size_bytes - at < AT_ONCE ? size_bytes - at : AT_ONCE;
        if (!change(data + at, changed, here / size, &by)) {
            while (change(data + at, changed, 1, &by)) at += size;
            return fail_integer(call, is_encoding, at / size);
        }
        memcpy(data + at, changed, here);
    }
    return true;
}

/* ---- floats -------------------------------------------------------------------------------- */

#define FLOATS(type, number)                                                                    \
    static void encode_##type(uint8_t *data, size_t count, number offset, number scale) {       \
        for (size_t i = 0; i < count; i++) {                                                    \
            type value = (type)(((type *)data)[i] - offset);                                    \
            ((type *)data)[i] = (type)(value * scale);                                          \
        }                                                                                       \
    }                                                                                           \
    static void decode_##type(uint8_t *data, size_t count, number offset, number scale) {       \
        for (size_t i = 0; i < count; i++) {                                                    \
            type value = (type)(((type *)data)[i] / scale);                                     \
            ((type *)data)[i] = (type)(value + offset);                                         \
        }                                                                                       \
    }                                                                                           \
    static void change_##type(const scaled *of, bool is_encoding) {                             \
        type offset, scale;                                                                     \
        memcpy(&offset, &of->offset, sizeof offset);                                            \
        memcpy(&scale, &of->scale, sizeof scale);                                               \
        (is_encoding ? encode_##type : decode_##type)(                                          \
            of->bytes->data, of->bytes->size / sizeof offset, offset, scale);                   \
    }

FLOATS(f2, float)
FLOATS(f4, float)
FLOATS(f8, double)

static bool change_floats(const scaled *of, bool is_encoding) {
    switch (of->type.size) {
        case 2: change_f2(of, is_encoding); break;
        case 4: change_f4(of, is_encoding); break;
        default: change_f8(of, is_encoding); break;
    }
    return true;
}

/* ---- both directions ----------------------------------------------------------------------- */

static bool read_number(chonkle_call *call, const char *name, const chonkle_type *type,
                        uint64_t *bits) {
    chonkle_json json;
    if (!chonkle_json_begin_held(call, name, &json)) return false;
    if (zarr_scalar(&json, type, bits) && chonkle_json_end(&json)) {
        *bits &= UINT64_MAX >> (64 - 8 * type->size);
        return true;
    }
    return chonkle_json_fail(call, &json, "a number of the type `dtype`");
}

static bool change(chonkle_call *call, bool is_encoding) {
    scaled of;
    chonkle_type *type = &of.type;
    if (!chonkle_dtype(call, "dtype", "iuf", type) ||
        !read_number(call, "offset", type, &of.offset) ||
        !read_number(call, "scale", type, &of.scale))
        return false;
    /* Without the sign of a float: 0 and -0. */
    if (!(of.scale << (64 - 8 * type->size + (type->kind == 'f'))))
        return chonkle_fail(call, "port `scale`: expected a number other than 0 in `dtype`");
    of.bytes = chonkle_items(call, "bytes", type->size);
    if (!of.bytes) return false;
    uint8_t *data = of.bytes->data;
    if (type->is_big_endian) byteorder_swap_all(data, of.bytes->size, type->size);
    bool is_changed = type->kind == 'f' ? change_floats(&of, is_encoding)
                                        : change_integers(call, &of, is_encoding);
    if (is_changed && type->is_big_endian) byteorder_swap_all(data, of.bytes->size, type->size);
    return is_changed && chonkle_output_in_place(call, "bytes", data, of.bytes->size);
}

bool chonkle_encode(chonkle_call *call) { return change(call, true); }

bool chonkle_decode(chonkle_call *call) { return change(call, false); }
