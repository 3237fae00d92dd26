/* fixedscaleoffset: (x - offset) * scale, rounded half to even, as in numcodecs.
 *
 * Decoding is x / scale + offset, truncated when the decoded type is an integer. Precision and
 * rounding are NumPy's: see blocks.h. */
#include "blocks.h"

typedef struct {
    double offset;
    double scale;
} line;

static void encode_wide(block *values, size_t count, const void *parameters) {
    const line by = *(const line *)parameters;
    for (size_t i = 0; i < count; i++)
        values->wide[i] = __builtin_rint((values->wide[i] - by.offset) * by.scale);
}

static void decode_wide(block *values, size_t count, const void *parameters) {
    const line by = *(const line *)parameters;
    for (size_t i = 0; i < count; i++) values->wide[i] = values->wide[i] / by.scale + by.offset;
}

static void encode_single(block *values, size_t count, const void *parameters) {
    const line *by = parameters;
    const float offset = (float)by->offset, scale = (float)by->scale;
    for (size_t i = 0; i < count; i++)
        values->single[i] = __builtin_rintf((values->single[i] - offset) * scale);
}

static void decode_single(block *values, size_t count, const void *parameters) {
    const line *by = parameters;
    const float offset = (float)by->offset, scale = (float)by->scale;
    for (size_t i = 0; i < count; i++) values->single[i] = values->single[i] / scale + offset;
}

/* Each step's result is rounded to a half float. */
static void encode_half(block *values, size_t count, const void *parameters) {
    const line *by = parameters;
    const f2 offset = (f2)by->offset, scale = (f2)by->scale;
    for (size_t i = 0; i < count; i++) {
        f2 value = (f2)(values->single[i] - offset);
        value = (f2)(value * scale);
        values->single[i] = __builtin_rintf(value);
    }
}

static void decode_half(block *values, size_t count, const void *parameters) {
    const line *by = parameters;
    const f2 offset = (f2)by->offset, scale = (f2)by->scale;
    for (size_t i = 0; i < count; i++) {
        f2 value = (f2)(values->single[i] / scale);
        value = (f2)(value + offset);
        values->single[i] = value;
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
    const chonkle_type *from = is_encoding ? &decoded : &encoded;
    const chonkle_type *to = is_encoding ? &encoded : &decoded;
    block_change *change = is_encoding ? encode_wide : decode_wide;
    if (block_type(from) == BLOCK_F4) change = is_encoding ? encode_single : decode_single;
    if (block_type(from) == BLOCK_F2) change = is_encoding ? encode_half : decode_half;
    return blocks_map(call, bytes, from, to, change, &by);
}

bool chonkle_encode(chonkle_call *call) { return map(call, true); }

bool chonkle_decode(chonkle_call *call) { return map(call, false); }
