/* quantize: floats rounded to a number of decimal digits, as in numcodecs: to a multiple of the
 * largest power of two that keeps them. Decoding changes only the type. */
#include <math.h>

#include "blocks.h"

/* Division by a power of two is multiplication by its inverse, when both are normal floats. */
#define QUANTIZE(name, type, rounded)                                                           \
    static void quantize_##name(block *values, size_t count, void *parameters) {          \
        const type scale = (type)*(const double *)parameters, inverse = 1 / scale;              \
        if (isnormal(scale) && isnormal(inverse))                                               \
            for (size_t i = 0; i < count; i++)                                                  \
                values->name[i] = rounded(scale * values->name[i]) * inverse;                   \
        else                                                                                    \
            for (size_t i = 0; i < count; i++)                                                  \
                values->name[i] = rounded(scale * values->name[i]) / scale;                     \
    }

QUANTIZE(wide, double, __builtin_rint)
QUANTIZE(single, float, __builtin_rintf)

/* Each step's result is rounded to a half float. */
static void quantize_half(block *values, size_t count, void *parameters) {
    const f2 scale = (f2)*(const double *)parameters;
    for (size_t i = 0; i < count; i++) {
        f2 value = (f2)(scale * values->single[i]);
        value = (f2)(__builtin_rintf(value) / scale);
        values->single[i] = value;
    }
}

bool chonkle_encode(chonkle_call *call) {
    /* Beyond these, numcodecs' powers of ten and two are not doubles. */
    enum { DIGITS_LEAST = -308, DIGITS_MOST = 307 };
    chonkle_type decoded, encoded;
    int64_t digits;
    chonkle_port *bytes = blocks_of(call, "f", true, &decoded, &encoded);
    if (!bytes || !chonkle_int(call, "digits", DIGITS_LEAST, DIGITS_MOST, &digits)) return false;
    const double bits_of_digit = 3.321928094887362; /* log2(10) */
    double scale = ldexp(1, (int)ceil((double)digits * bits_of_digit));
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
