/* The rows of a TIFF tile or strip, as described by the predictors' ports: samples are interleaved
 * (PlanarConfiguration 1). A tile of one plane has samples_per_pixel 1. */
#ifndef TILE_H
#define TILE_H

#include <string.h>

#include "chonkle_codec.h"

typedef struct {
    chonkle_port *bytes;
    size_t sample;  /* bytes */
    size_t samples; /* in a pixel */
    size_t count;   /* samples in a row */
    size_t row;     /* bytes */
    size_t is_big_endian;
} tile;

/* Read the ports.
 *   sizes: the bytes that a sample can have, in words: `1, 2, 4 or 8`. */
static inline bool tile_read(chonkle_call *call, const char *sizes, tile *found) {
    static const char *const orders[] = {"little", "big", NULL};
    int64_t sample, width, samples;
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes || !chonkle_int(call, "bytes_per_sample", 1, 8, &sample) ||
        !chonkle_int(call, "width", 1, INT32_MAX, &width) ||
        !chonkle_int(call, "samples_per_pixel", 1, UINT16_MAX, &samples) ||
        !chonkle_choice(call, "byte_order", orders, &found->is_big_endian))
        return false;
    if (!strchr(sizes, '0' + (int)sample))
        return chonkle_fail(call, "port `bytes_per_sample`: expected %s, got `%lld`", sizes,
                            (long long)sample);
    uint64_t row = (uint64_t)(width * samples * sample); /* below 2^31 * 2^16 * 2^3 */
    if (bytes->size % row)
        return chonkle_fail(call, "port `bytes`: expected whole rows of %llu bytes, got %zu bytes",
                            (unsigned long long)row, bytes->size);
    /* These fit a size_t, except without rows, when they are not used. */
    found->bytes = bytes;
    found->sample = (size_t)sample;
    found->samples = (size_t)samples;
    found->count = (size_t)(width * samples);
    found->row = (size_t)row;
    return true;
}

#endif
