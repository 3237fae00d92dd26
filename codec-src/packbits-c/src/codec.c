/* packbits: booleans of one byte, packed to bits, as in numcodecs; not the PackBits of TIFF.
 *
 *     +0 padding    +1 bits, the first boolean in the most significant
 *
 * `padding`, 0 to 7, is the number of unused bits in the last byte. Any byte but 0 is true. */
#include <string.h>
#include <wasm_simd128.h>

#include "chonkle_codec.h"

enum { BITS = 8, HEADER = 1, VECTOR = sizeof(v128_t), WORD = sizeof(uint64_t) };

/* Four vectors of booleans are a word of bits. */
enum { FLAGS_OF_WORD = WORD * BITS };

/* The bits of a vector of booleans. A bitmask has the first lane in its lowest bit, the format in
 * the highest bit of each byte. */
static inline uint64_t pack(v128_t flags) {
    flags = wasm_i8x16_shuffle(flags, flags, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8);
    return (uint16_t)wasm_i8x16_bitmask(wasm_i8x16_ne(flags, wasm_i64x2_const(0, 0)));
}

bool chonkle_encode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    const size_t count = bytes->size, packed = (count + BITS - 1) / BITS;
    uint8_t *to = chonkle_output(call, "bytes", HEADER + packed);
    if (!to) return false;
    *to++ = (uint8_t)(packed * BITS - count);
    const uint8_t *from = bytes->data;
    size_t at = 0;
    for (; count - at >= FLAGS_OF_WORD; at += FLAGS_OF_WORD) {
        uint64_t word = pack(wasm_v128_load(from + at)) |
                        pack(wasm_v128_load(from + at + VECTOR)) << 16 |
                        pack(wasm_v128_load(from + at + 2 * VECTOR)) << 32 |
                        pack(wasm_v128_load(from + at + 3 * VECTOR)) << 48;
        memcpy(to + at / BITS, &word, sizeof word);
    }
    for (; at < count; at += BITS) {
        v128_t flags = wasm_i64x2_const(0, 0);
        memcpy(&flags, from + at, count - at < BITS ? count - at : BITS);
        to[at / BITS] = (uint8_t)pack(flags);
    }
    return true;
}

/* The booleans from the bytes `first` and `first + 1` of a word. */
#define UNPACK(word, first)                                                                     \
    wasm_v128_and(                                                                              \
        wasm_i8x16_ne(wasm_v128_and(wasm_i8x16_shuffle(word, word, first, first, first, first,  \
                                                       first, first, first, first, first + 1,   \
                                                       first + 1, first + 1, first + 1,         \
                                                       first + 1, first + 1, first + 1,         \
                                                       first + 1),                              \
                                    wasm_i64x2_splat(0x0102040810204080)),                      \
                      wasm_i64x2_const(0, 0)),                                                  \
        wasm_i8x16_splat(1))

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
    size_t at = 0;
    for (; count - at >= FLAGS_OF_WORD; at += FLAGS_OF_WORD) {
        v128_t word = wasm_v128_load64_zero(from + at / BITS);
        wasm_v128_store(to + at, UNPACK(word, 0));
        wasm_v128_store(to + at + VECTOR, UNPACK(word, 2));
        wasm_v128_store(to + at + 2 * VECTOR, UNPACK(word, 4));
        wasm_v128_store(to + at + 3 * VECTOR, UNPACK(word, 6));
    }
    for (; at < count; at += BITS) {
        v128_t word = wasm_v128_load8_splat(from + at / BITS);
        v128_t flags = UNPACK(word, 0);
        memcpy(to + at, &flags, count - at < BITS ? count - at : BITS);
    }
    return true;
}
