/* bitround: floats rounded to fewer bits of mantissa, half to even, as in numcodecs.
 *
 * M. Klöwer et al.: Compressing atmospheric data into its real information content, Nature
 * Computational Science 1, 2021. As integers, the bits of floats are ordered like their magnitudes,
 * so rounding is an addition that may carry into the exponent:
 *
 *     (bits + half - 1 + last) & ~dropped      last: the lowest bit that is kept
 */
#include <string.h>
#include <wasm_simd128.h>

#include "byteorder.h"
#include "chonkle_codec.h"

#define INLINE static inline __attribute__((always_inline))

INLINE v128_t splat(uint64_t bits, size_t size) {
    switch (size) {
        case 2: return wasm_i16x8_splat((int16_t)bits);
        case 4: return wasm_i32x4_splat((int32_t)bits);
        default: return wasm_i64x2_splat((int64_t)bits);
    }
}

INLINE v128_t add(v128_t a, v128_t b, size_t size) {
    switch (size) {
        case 2: return wasm_i16x8_add(a, b);
        case 4: return wasm_i32x4_add(a, b);
        default: return wasm_i64x2_add(a, b);
    }
}

INLINE v128_t shift_right(v128_t bits, uint32_t by, size_t size) {
    switch (size) {
        case 2: return wasm_u16x8_shr(bits, by);
        case 4: return wasm_u32x4_shr(bits, by);
        default: return wasm_u64x2_shr(bits, by);
    }
}

/* drop: how many bits to clear, at least 1. */
INLINE v128_t rounded(v128_t bits, uint32_t drop, size_t size) {
    const v128_t one = splat(1, size), half = splat(((uint64_t)1 << (drop - 1)) - 1, size);
    const v128_t kept = splat(~(uint64_t)0 << drop, size);
    v128_t last = wasm_v128_and(shift_right(bits, drop, size), one);
    return wasm_v128_and(add(add(bits, half, size), last, size), kept);
}

INLINE v128_t round_vector(v128_t bits, uint32_t drop, size_t size, bool swap) {
    if (swap) bits = byteorder_swap(bits, size);
    bits = rounded(bits, drop, size);
    return swap ? byteorder_swap(bits, size) : bits;
}

INLINE void round_all(uint8_t *data, size_t size_bytes, uint32_t drop, size_t size, bool swap) {
    size_t at = 0;
    for (; at + sizeof(v128_t) <= size_bytes; at += sizeof(v128_t))
        wasm_v128_store(data + at, round_vector(wasm_v128_load(data + at), drop, size, swap));
    v128_t rest = wasm_i64x2_const(0, 0);
    memcpy(&rest, data + at, size_bytes - at);
    rest = round_vector(rest, drop, size, swap);
    memcpy(data + at, &rest, size_bytes - at);
}

INLINE void round_either(uint8_t *data, size_t size_bytes, uint32_t drop, size_t size, bool swap) {
    if (swap) round_all(data, size_bytes, drop, size, true);
    else round_all(data, size_bytes, drop, size, false);
}

static chonkle_port *floats(chonkle_call *call, chonkle_type *type) {
    return chonkle_dtype(call, "dtype", "f", type) ? chonkle_items(call, "bytes", type->size)
                                                   : NULL;
}

static uint32_t mantissa_bits(size_t size) { return size == 2 ? 10 : size == 4 ? 23 : 52; }

bool chonkle_encode(chonkle_call *call) {
    chonkle_type type;
    uint64_t keep;
    chonkle_port *bytes = floats(call, &type);
    if (!bytes || !chonkle_uint(call, "keepbits", 0, mantissa_bits(type.size), &keep)) return false;
    uint32_t drop = mantissa_bits(type.size) - (uint32_t)keep;
    if (drop) switch (type.size) {
        case 2: round_either(bytes->data, bytes->size, drop, 2, type.is_big_endian); break;
        case 4: round_either(bytes->data, bytes->size, drop, 4, type.is_big_endian); break;
        default: round_either(bytes->data, bytes->size, drop, 8, type.is_big_endian); break;
    }
    return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
}

bool chonkle_decode(chonkle_call *call) {
    chonkle_type type;
    chonkle_port *bytes = floats(call, &type);
    return bytes && chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
}
