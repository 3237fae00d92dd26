/* jenkins_lookup3: Bob Jenkins' hash lookup3 of the data behind them, as in HDF5 and numcodecs.
 *
 *     decoded  data
 *     encoded  data  u32 hash, little-endian
 *
 * burtleburtle.net/bob/c/lookup3.c, hashlittle(): three words of 32 bits are mixed with 12 bytes at
 * a time. The last 1 to 12 bytes are mixed differently. */
#include <string.h>

#include "chonkle_codec.h"

enum { STEP = 12, HASH_SIZE = sizeof(uint32_t) };

typedef struct {
    uint32_t a, b, c;
    uint8_t rest[STEP]; /* bytes that may be the last ones */
    size_t rest_size;
} lookup3;

static uint32_t rotate(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

static void add(lookup3 *hash, const uint8_t *data) {
    uint32_t words[3];
    memcpy(words, data, STEP);
    hash->a += words[0];
    hash->b += words[1];
    hash->c += words[2];
}

static void mix(lookup3 *hash, const uint8_t *data) {
    add(hash, data);
    uint32_t a = hash->a, b = hash->b, c = hash->c;
    a = (a - c) ^ rotate(c, 4), c += b;
    b = (b - a) ^ rotate(a, 6), a += c;
    c = (c - b) ^ rotate(b, 8), b += a;
    a = (a - c) ^ rotate(c, 16), c += b;
    b = (b - a) ^ rotate(a, 19), a += c;
    c = (c - b) ^ rotate(b, 4), b += a;
    hash->a = a, hash->b = b, hash->c = c;
}

static void update(lookup3 *hash, const uint8_t *data, size_t size) {
    size_t room = STEP - hash->rest_size, taken = size < room ? size : room;
    if (hash->rest_size) {
        memcpy(hash->rest + hash->rest_size, data, taken);
        hash->rest_size += taken;
        data += taken;
        size -= taken;
        if (!size) return;
        mix(hash, hash->rest);
    }
    for (; size > STEP; data += STEP, size -= STEP) mix(hash, data);
    memcpy(hash->rest, data, size);
    hash->rest_size = size;
}

static uint32_t finish(lookup3 *hash) {
    if (!hash->rest_size) return hash->c;
    memset(hash->rest + hash->rest_size, 0, STEP - hash->rest_size);
    add(hash, hash->rest);
    uint32_t a = hash->a, b = hash->b, c = hash->c;
    c = (c ^ b) - rotate(b, 14);
    a = (a ^ c) - rotate(c, 11);
    b = (b ^ a) - rotate(a, 25);
    c = (c ^ b) - rotate(b, 16);
    a = (a ^ c) - rotate(c, 4);
    b = (b ^ a) - rotate(a, 14);
    return (c ^ b) - rotate(b, 24);
}

static bool hash_of(chonkle_call *call, const uint8_t *data, size_t size, uint32_t *found) {
    uint64_t initial;
    if (!chonkle_uint(call, "initval", 0, UINT32_MAX, &initial)) return false;
    const chonkle_port *prefix = chonkle_find(call, "prefix");
    size_t prefix_size = prefix ? prefix->size : 0;
    uint32_t start = 0xDEADBEEF + (uint32_t)(prefix_size + size) + (uint32_t)initial;
    lookup3 hash = {.a = start, .b = start, .c = start};
    if (prefix) update(&hash, prefix->data, prefix_size);
    update(&hash, data, size);
    *found = finish(&hash);
    return true;
}

bool chonkle_encode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    uint32_t hash;
    if (!bytes || !hash_of(call, bytes->data, bytes->size, &hash)) return false;
    uint8_t *output = chonkle_output(call, "bytes", bytes->size + HASH_SIZE);
    if (!output) return false;
    memcpy(output, bytes->data, bytes->size);
    memcpy(output + bytes->size, &hash, HASH_SIZE);
    return true;
}

bool chonkle_decode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    if (bytes->size < HASH_SIZE)
        return chonkle_fail(call, "port `bytes`: truncated, no checksum of 4 bytes");
    size_t size = bytes->size - HASH_SIZE;
    uint32_t stored, computed;
    memcpy(&stored, bytes->data + size, HASH_SIZE);
    if (!hash_of(call, bytes->data, size, &computed)) return false;
    if (stored != computed)
        return chonkle_fail(call, "port `bytes`: wrong checksum, expected %u, got %u", stored,
                            computed);
    return chonkle_output_in_place(call, "bytes", bytes->data, size);
}
