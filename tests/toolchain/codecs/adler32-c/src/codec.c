/* adler32: the checksum of RFC 1950, section 8, in front of the bytes, little-endian. */
#include <string.h>

#include "chonkle_codec.h"

static uint32_t checksum(const uint8_t *data, size_t size) {
    enum { MODULUS = 65521, MOST = 5552 /* bytes until a sum may have more than 32 bits */ };
    uint32_t a = 1, b = 0;
    while (size) {
        size_t count = size < MOST ? size : MOST;
        size -= count;
        for (; count; count--) b += a += *data++;
        a %= MODULUS;
        b %= MODULUS;
    }
    return b << 16 | a;
}

bool chonkle_encode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    uint8_t *to = bytes ? chonkle_output(call, "bytes", 4 + bytes->size) : NULL;
    if (!to) return false;
    uint32_t sum = checksum(bytes->data, bytes->size);
    memcpy(to, &sum, 4);
    memcpy(to + 4, bytes->data, bytes->size);
    return true;
}

bool chonkle_decode(chonkle_call *call) {
    uint32_t sum;
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    if (bytes->size < 4) return chonkle_fail(call, "port `bytes`: truncated");
    memcpy(&sum, bytes->data, 4);
    if (sum != checksum(bytes->data + 4, bytes->size - 4))
        return chonkle_fail(call, "port `bytes`: wrong checksum");
    return chonkle_output_in_place(call, "bytes", bytes->data + 4, bytes->size - 4);
}
