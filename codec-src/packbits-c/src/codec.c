/* packbits: booleans, one byte each, eight to a byte, as numcodecs does; not the PackBits of TIFF.
 *
 *     +0 padding    +1 bits, the first boolean in the most significant
 *
 * `padding`, 0 to 7, is how many bits of the last byte stand for nothing. Any byte but 0 is
 * true. */
#include <string.h>
#include <wasm_simd128.h>

#include "chonkle_codec.h"

enum { BITS = 8, HEADER = 1 };

bool chonkle_encode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    const size_t count = bytes->size, packed = (count + BITS - 1) / BITS;
    uint8_t *to = chonkle_output(call, "bytes", HEADER + packed);
    if (!to) return false;
    *to++ = (uint8_t)(packed * BITS - count);
    const v128_t zero = wasm_i64x2_const(0, 0);
    for (size_t at = 0; at < count; at += sizeof(v128_t)) {
        v128_t flags = zero;
        if (count - at >= sizeof flags) flags = wasm_v128_load(bytes->data + at);
        else memcpy(&flags, bytes->data + at, count - at);
        /* A mask of bits begins with the lowest lane, and a byte here with its highest bit. */
        flags = wasm_i8x16_shuffle(flags, flags, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9,
                                   8);
        uint16_t mask = (uint16_t)wasm_i8x16_bitmask(wasm_i8x16_ne(flags, zero));
        if (count - at > BITS) memcpy(to + at / BITS, &mask, sizeof mask);
        else to[at / BITS] = (uint8_t)mask;
    }
    return true;
}

bool chonkle_decode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    if (!bytes->size) return chonkle_fail(call, "port `bytes`: truncated: no bytes at all");
    const size_t padding = bytes->data[0], packed = bytes->size - HEADER;
    if (padding >= BITS || (padding && !packed))
        return chonkle_fail(call, "port `bytes`: %zu bits of padding in %zu bytes", padding,
                            packed);
    if (packed > INT32_MAX / BITS)
        return chonkle_fail(call, "port `bytes`: %zu bytes of bits need more than 2 GiB", packed);
    const size_t count = packed * BITS - padding;
    uint8_t *to = chonkle_output(call, "bytes", count);
    if (!to) return false;
    const uint8_t *from = bytes->data + HEADER;
    const v128_t one = wasm_i8x16_splat(1);
    const v128_t bits = wasm_i64x2_splat(0x0102040810204080);
    for (size_t at = 0; at < count; at += sizeof(v128_t)) {
        uint16_t pair = from[at / BITS];
        if (count - at > BITS) memcpy(&pair, from + at / BITS, sizeof pair);
        v128_t both = wasm_i16x8_splat((int16_t)pair);
        both = wasm_i8x16_shuffle(both, both, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
        v128_t flags = wasm_v128_and(wasm_i8x16_eq(wasm_v128_and(both, bits), bits), one);
        if (count - at >= sizeof flags) wasm_v128_store(to + at, flags);
        else memcpy(to + at, &flags, count - at);
    }
    return true;
}
