/* The rows of a TIFF tile or strip, as described by the predictors' ports: little-endian samples,
 * interleaved (PlanarConfiguration 1). A tile of one plane has samples_per_pixel 1. */
#ifndef TILE_H
#define TILE_H

#include "chonkle_codec.h"

typedef struct {
    chonkle_port *bytes;
    size_t sample;  /* bytes */
    size_t samples; /* in a pixel */
    size_t count;   /* samples in a row */
    size_t row;     /* bytes */
} tile;

/* Read the ports. Samples have 1, 2, 4 or 8 bytes, at least `sample_min`. */
static inline bool tile_read(chonkle_call *call, int sample_min, tile *found) {
    int64_t sample, width, samples;
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes || !chonkle_int(call, "bytes_per_sample", sample_min, 8, &sample) ||
        !chonkle_int(call, "width", 1, INT32_MAX, &width) ||
        !chonkle_int(call, "samples_per_pixel", 1, UINT16_MAX, &samples))
        return false;
    if (sample & (sample - 1))
        return chonkle_fail(call, "port `bytes_per_sample`: expected %s2, 4 or 8, got %lld",
                            sample_min == 1 ? "1, " : "", (long long)sample);
    uint64_t row = (uint64_t)(width * samples * sample); /* below 2^31 * 2^16 * 2^3 */
    if (bytes->size % row)
        return chonkle_fail(call, "port `bytes`: expected whole rows of %llu bytes, got %zu bytes",
                            (unsigned long long)row, bytes->size);
    /* These fit a size_t, except without rows, when they are not used. */
    *found = (tile){bytes, (size_t)sample, (size_t)samples, (size_t)(width * samples), (size_t)row};
    return true;
}

#endif
