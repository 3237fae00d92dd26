/* quantize: floats rounded to a number of decimal digits, as numcodecs does: to a multiple of the
 * largest power of two that keeps them. Decoding only changes the type. */
#include <math.h>

#include "blocks.h"

static void quantize_wide(block *values, size_t count, const void *parameters) {
    const double scale = *(const double *)parameters;
    for (size_t i = 0; i < count; i++)
        values->wide[i] = __builtin_rint(scale * values->wide[i]) / scale;
}

static void quantize_single(block *values, size_t count, const void *parameters) {
    const float scale = (float)*(const double *)parameters;
    for (size_t i = 0; i < count; i++)
        values->single[i] = __builtin_rintf(scale * values->single[i]) / scale;
}

/* Every result is a half float, before the next step. */
static void quantize_half(block *values, size_t count, const void *parameters) {
    const f2 scale = (f2)*(const double *)parameters;
    for (size_t i = 0; i < count; i++) {
        f2 value = (f2)(scale * values->single[i]);
        value = (f2)(__builtin_rintf(value) / scale);
        values->single[i] = value;
    }
}

bool chonkle_encode(chonkle_call *call) {
    /* Beyond, numcodecs' powers of ten and of two are no doubles. */
    enum { DIGITS_LEAST = -308, DIGITS_MOST = 307 };
    chonkle_type decoded, encoded;
    int64_t digits;
    chonkle_port *bytes = blocks_of(call, "f", true, &decoded, &encoded);
    if (!bytes || !chonkle_int(call, "digits", DIGITS_LEAST, DIGITS_MOST, &digits)) return false;
    const double bits_of_digit = 3.321928094887362; /* log2(10) */
    const double scale = ldexp(1, (int)ceil((double)digits * bits_of_digit));
    block_change *change = quantize_wide;
    if (decoded.size == sizeof(f4)) change = quantize_single;
    if (decoded.size == sizeof(f2)) change = quantize_half;
    return blocks_map(call, bytes, &decoded, &encoded, change, &scale);
}

bool chonkle_decode(chonkle_call *call) {
    chonkle_type decoded, encoded;
    chonkle_port *bytes = blocks_of(call, "f", false, &decoded, &encoded);
    if (!bytes) return false;
    if (decoded.size == encoded.size && decoded.is_big_endian == encoded.is_big_endian)
        return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
    return blocks_map(call, bytes, &encoded, &decoded, NULL, NULL);
}
