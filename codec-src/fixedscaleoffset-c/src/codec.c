/* fixedscaleoffset: (x - offset) * scale, rounded half to even, as in numcodecs.
 *
 * Decoding is x / scale + offset, truncated when the decoded type is an integer. Precision and
 * rounding are NumPy's: see blocks.h.
 *
 * A number without fraction and exponent in its JSON text is a Python integer, and NumPy computes
 * an integer with an integer as their type, modulo 2^bits (NEP 50). So the two steps of encoding
 * integers are in whole numbers up to the first parameter that is none. */
#include "blocks.h"
#include "convert.h"

typedef struct {
    double offset;
    double scale;
} line;

static void encode_wide(block *values, size_t count, void *parameters) {
    const line by = *(const line *)parameters;
    for (size_t i = 0; i < count; i++)
        values->wide[i] = __builtin_rint((values->wide[i] - by.offset) * by.scale);
}

static void decode_wide(block *values, size_t count, void *parameters) {
    const line by = *(const line *)parameters;
    for (size_t i = 0; i < count; i++) values->wide[i] = values->wide[i] / by.scale + by.offset;
}

static void encode_single(block *values, size_t count, void *parameters) {
    const line *by = parameters;
    const float offset = (float)by->offset, scale = (float)by->scale;
    for (size_t i = 0; i < count; i++)
        values->single[i] = __builtin_rintf((values->single[i] - offset) * scale);
}

static void decode_single(block *values, size_t count, void *parameters) {
    const line *by = parameters;
    const float offset = (float)by->offset, scale = (float)by->scale;
    for (size_t i = 0; i < count; i++) values->single[i] = values->single[i] / scale + offset;
}

/* Each step's result is rounded to a half float. */
static void encode_half(block *values, size_t count, void *parameters) {
    const line *by = parameters;
    const f2 offset = (f2)by->offset, scale = (f2)by->scale;
    for (size_t i = 0; i < count; i++) {
        f2 value = (f2)(values->single[i] - offset);
        value = (f2)(value * scale);
        values->single[i] = __builtin_rintf(value);
    }
}

static void decode_half(block *values, size_t count, void *parameters) {
    const line *by = parameters;
    const f2 offset = (f2)by->offset, scale = (f2)by->scale;
    for (size_t i = 0; i < count; i++) {
        f2 value = (f2)(values->single[i] / scale);
        value = (f2)(value + offset);
        values->single[i] = value;
    }
}

/* Whether a parameter is a whole number for NumPy. */
static bool is_whole(chonkle_call *call, const char *name) {
    const chonkle_port *port = chonkle_find(call, name);
    for (size_t i = 0; port && i < port->size; i++)
        if (memchr(".eE", port->data[i], 3)) return false;
    return port;
}

/* Parse a whole number, which like in NumPy has to fit the type. */
static bool read_whole(chonkle_call *call, const char *name, const chonkle_type *type,
                       uint64_t *value) {
    uint64_t most = UINT64_MAX >> (64 - 8 * type->size);
    if (type->kind == 'u') return chonkle_uint(call, name, 0, most, value);
    int64_t greatest = (int64_t)(most >> 1), found = 0;
    bool is_read = chonkle_int(call, name, -greatest - 1, greatest, &found);
    *value = (uint64_t)found;
    return is_read;
}

#define STEPS(type)                                                                             \
    static void steps_##type(uint8_t *data, size_t count, uint64_t offset, uint64_t scale) {    \
        type *of = (type *)data;                                                                \
        for (size_t i = 0; i < count; i++)                                                      \
            of[i] = (type)((type)(of[i] - (type)offset) * (type)scale);                         \
    }

STEPS(u1)
STEPS(u2)
STEPS(u4)
STEPS(u8)

/* Signed and unsigned integers are the same modulo 2^bits. */
static void whole_steps(const chonkle_port *bytes, const chonkle_type *type, uint64_t offset,
                        uint64_t scale) {
    size_t count = bytes->size / type->size;
    if (type->is_big_endian) byteorder_swap_all(bytes->data, bytes->size, type->size);
    switch (type->size) {
        case 1: steps_u1(bytes->data, count, offset, scale); break;
        case 2: steps_u2(bytes->data, count, offset, scale); break;
        case 4: steps_u4(bytes->data, count, offset, scale); break;
        default: steps_u8(bytes->data, count, offset, scale); break;
    }
}

static bool map(chonkle_call *call, bool is_encoding) {
    chonkle_type decoded, encoded;
    line by;
    chonkle_port *bytes = blocks_of(call, "iuf", is_encoding, &decoded, &encoded);
    if (!bytes || !chonkle_float(call, "offset", &by.offset) ||
        !chonkle_float(call, "scale", &by.scale))
        return false;
    if (by.scale == 0) return chonkle_fail(call, "port `scale`: expected a number other than 0");
    chonkle_type from = is_encoding ? decoded : encoded, to = is_encoding ? encoded : decoded;
    if (is_encoding && from.kind != 'f' && is_whole(call, "offset")) {
        uint64_t offset, scale = 1;
        bool is_all = is_whole(call, "scale");
        if (!read_whole(call, "offset", &from, &offset) ||
            (is_all && !read_whole(call, "scale", &from, &scale)))
            return false;
        whole_steps(bytes, &from, offset, scale);
        from.is_big_endian = false;
        if (is_all) return convert_all(call, bytes, &from, &to);
        by.offset = 0;
    }
    block_change *change = is_encoding ? encode_wide : decode_wide;
    if (block_type(&from) == BLOCK_F4) change = is_encoding ? encode_single : decode_single;
    if (block_type(&from) == BLOCK_F2) change = is_encoding ? encode_half : decode_half;
    return blocks_map(call, bytes, &from, &to, change, &by);
}

bool chonkle_encode(chonkle_call *call) { return map(call, true); }

bool chonkle_decode(chonkle_call *call) { return map(call, false); }
