/* base64: six bits a character (RFC 4648, section 4), padded with `=` to groups of four.
 *
 * Vectors do four groups at a time. Their 32-bit lanes hold three bytes, in which the bits are in
 * order, or four characters:
 *
 *     00000000 aaaaaabb bbbbcccc ccdddddd        00dddddd 00cccccc 00bbbbbb 00aaaaaa */
#include <string.h>
#include <wasm_simd128.h>

#include "chonkle_codec.h"

enum { BYTES = 3, CHARACTERS = 4, LANES = 4, VECTOR = sizeof(v128_t), SPACE = 64, OTHER = 65 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- encoding ------------------------------------------------------------------------------ */

/* Add to the numbers above a limit. */
static inline v128_t add_above(v128_t characters, v128_t numbers, int8_t limit, int8_t step) {
    v128_t is_above = wasm_u8x16_gt(numbers, wasm_i8x16_splat(limit));
    return wasm_i8x16_add(characters, wasm_v128_and(is_above, wasm_i8x16_splat(step)));
}

static inline v128_t encode_vector(v128_t bytes) {
    v128_t lane = wasm_i8x16_shuffle(bytes, wasm_i8x16_splat(0), 2, 1, 0, 16, 5, 4, 3, 16, 8, 7, 6,
                                     16, 11, 10, 9, 16);
    v128_t a = wasm_u32x4_shr(lane, 18);
    v128_t b = wasm_v128_and(wasm_u32x4_shr(lane, 4), wasm_i32x4_splat(0x3F00));
    v128_t c = wasm_v128_and(wasm_i32x4_shl(lane, 10), wasm_i32x4_splat(0x3F0000));
    v128_t d = wasm_v128_and(wasm_i32x4_shl(lane, 24), wasm_i32x4_splat(0x3F000000));
    v128_t numbers = wasm_v128_or(wasm_v128_or(a, b), wasm_v128_or(c, d));
    /* From one range of the alphabet to the next: A-Z, a-z, 0-9, `+`, `/`. */
    v128_t characters = wasm_i8x16_add(numbers, wasm_i8x16_splat('A'));
    characters = add_above(characters, numbers, 25, 'a' - 'A' - 26);
    characters = add_above(characters, numbers, 51, '0' - 'a' - 26);
    characters = add_above(characters, numbers, 61, '+' - '0' - 10);
    return add_above(characters, numbers, 62, '/' - '+' - 1);
}

static void encode_group(const uint8_t *bytes, size_t size, uint8_t *to) {
    uint8_t group[BYTES] = {0};
    memcpy(group, bytes, size);
    uint32_t bits = (uint32_t)group[0] << 16 | (uint32_t)group[1] << 8 | group[2];
    for (size_t i = 0; i < CHARACTERS; i++)
        to[i] = i <= size ? (uint8_t)alphabet[bits >> (18 - 6 * i) & 63] : '=';
}

bool chonkle_encode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    size_t size = bytes->size;
    if (size > INT32_MAX / CHARACTERS * BYTES)
        return chonkle_fail(call, "port `bytes`: the text of %zu bytes needs more than 2 GiB", size);
    uint8_t *to = chonkle_output(call, "bytes", (size + BYTES - 1) / BYTES * CHARACTERS);
    if (!to) return false;
    const uint8_t *from = bytes->data, *end = from + size;
    for (; end - from >= VECTOR; from += LANES * BYTES, to += VECTOR)
        wasm_v128_store(to, encode_vector(wasm_v128_load(from)));
    for (; from < end; from += BYTES, to += CHARACTERS)
        encode_group(from, end - from < BYTES ? (size_t)(end - from) : BYTES, to);
    return true;
}

/* ---- decoding ------------------------------------------------------------------------------ */

/* Set the numbers of characters from `first` to `last`. */
static inline void add_range(v128_t *numbers, v128_t *is_known, v128_t characters, char first,
                             char last, int8_t number) {
    v128_t is_within =
        wasm_v128_and(wasm_i8x16_ge(characters, wasm_i8x16_splat(first)),
                      wasm_i8x16_le(characters, wasm_i8x16_splat(last)));
    v128_t found = wasm_i8x16_add(characters, wasm_i8x16_splat((int8_t)(number - first)));
    *numbers = wasm_v128_or(*numbers, wasm_v128_and(found, is_within));
    *is_known = wasm_v128_or(*is_known, is_within);
}

/* Decode 16 characters to 12 bytes, and 4 more that mean nothing; false when one is no number. */
static inline bool decode_vector(v128_t characters, v128_t *bytes) {
    v128_t numbers = wasm_i8x16_splat(0), is_known = numbers;
    add_range(&numbers, &is_known, characters, 'A', 'Z', 0);
    add_range(&numbers, &is_known, characters, 'a', 'z', 26);
    add_range(&numbers, &is_known, characters, '0', '9', 52);
    add_range(&numbers, &is_known, characters, '+', '+', 62);
    add_range(&numbers, &is_known, characters, '/', '/', 63);
    v128_t a = wasm_i32x4_shl(wasm_v128_and(numbers, wasm_i32x4_splat(0x3F)), 18);
    v128_t b = wasm_i32x4_shl(wasm_v128_and(numbers, wasm_i32x4_splat(0x3F00)), 4);
    v128_t c = wasm_v128_and(wasm_u32x4_shr(numbers, 10), wasm_i32x4_splat(0xFC0));
    v128_t d = wasm_u32x4_shr(numbers, 24);
    v128_t lane = wasm_v128_or(wasm_v128_or(a, b), wasm_v128_or(c, d));
    *bytes = wasm_i8x16_shuffle(lane, lane, 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 3, 3, 3, 3);
    return wasm_i8x16_all_true(is_known);
}

static uint32_t number_of(uint8_t character) {
    uint32_t letter = character - 'A', small = character - 'a', digit = character - '0';
    if (letter < 26) return letter;
    if (small < 26) return small + 26;
    if (digit < 10) return digit + 52;
    switch (character) {
        case '+': return 62;
        case '/': return 63;
        case ' ':
        case '\t':
        case '\r':
        case '\n': return SPACE;
        default: return OTHER;
    }
}

/* Check what follows the numbers of a group: padding, and white space. */
static bool check_end(chonkle_call *call, const chonkle_port *bytes, size_t at, size_t numbers) {
    size_t missing = numbers ? CHARACTERS - numbers : 0;
    for (; at < bytes->size; at++) {
        if (number_of(bytes->data[at]) == SPACE) continue;
        if (bytes->data[at] != '=' || numbers == 1 || !missing--)
            return chonkle_fail(call, "port `bytes`: character `%.*s` at offset %zu is not base64",
                                1, (const char *)bytes->data + at, at);
    }
    return !missing || chonkle_fail(call, "port `bytes`: truncated, %zu characters are missing in "
                                          "the last group of 4", missing);
}

bool chonkle_decode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    uint8_t *data = bytes->data;
    size_t size = bytes->size, at = 0, to = 0, numbers = 0; /* in the group */
    uint32_t bits = 0;
    /* In place: bytes are fewer than the characters that they come from. */
    for (; at < size; at++) {
        v128_t found;
        while (!numbers && size - at >= VECTOR && decode_vector(wasm_v128_load(data + at), &found)) {
            wasm_v128_store(data + to, found);
            at += VECTOR;
            to += LANES * BYTES;
        }
        uint32_t number = at < size ? number_of(data[at]) : OTHER;
        if (number == SPACE) continue;
        if (number == OTHER) break;
        bits = bits << 6 | number;
        if (++numbers < CHARACTERS) continue;
        for (size_t i = 0; i < BYTES; i++) data[to++] = (uint8_t)(bits >> (16 - 8 * i));
        numbers = 0;
    }
    if (!check_end(call, bytes, at, numbers)) return false;
    /* A rest of two or three numbers is one or two bytes. */
    bits <<= 6 * (CHARACTERS - numbers);
    for (size_t i = 0; i + 1 < numbers; i++) data[to++] = (uint8_t)(bits >> (16 - 8 * i));
    return chonkle_output_in_place(call, "bytes", data, to);
}
