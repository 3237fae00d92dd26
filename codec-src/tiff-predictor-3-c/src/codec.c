/* tiff-predictor-3: Adobe Photoshop TIFF Technical Note 3 (2005), "Floating Point Predictor".
 *
 * The bytes of a row's samples are put into planes, those with the exponents first, and every byte
 * is replaced by its difference to the one `samples_per_pixel` before it, across the planes:
 *
 *     samples  a0 a1 a2 a3  b0 b1 b2 b3     little-endian
 *     planes   a3 b3  a2 b2  a1 b1  a0 b0
 *     row      a3 b3-a3  a2-b3 b2-a2 ...
 *
 * A row stands alone. A tile of one plane has samples_per_pixel 1. */
#include <stdlib.h>

#include "chonkle_codec.h"
#include "difference.h"
#include "transpose.h"

typedef struct {
    chonkle_port *bytes;
    size_t sample;  /* bytes */
    size_t samples; /* in a pixel */
    size_t count;   /* in a row */
    size_t row;     /* bytes */
} tile;

static bool read_tile(chonkle_call *call, tile *found) {
    int64_t sample, width, samples;
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes || !chonkle_int(call, "bytes_per_sample", 2, 8, &sample) ||
        !chonkle_int(call, "width", 1, INT32_MAX, &width) ||
        !chonkle_int(call, "samples_per_pixel", 1, UINT16_MAX, &samples))
        return false;
    if (sample & (sample - 1))
        return chonkle_fail(call, "port `bytes_per_sample`: expected 2, 4 or 8, got %lld",
                            (long long)sample);
    uint64_t row = (uint64_t)(width * samples * sample); /* below 2^31 * 2^16 * 2^3 */
    if (bytes->size % row)
        return chonkle_fail(call, "port `bytes`: expected whole rows of %llu bytes, got %zu bytes",
                            (unsigned long long)row, bytes->size);
    /* Without a row, `row` may be more than a size_t holds, and is not used. */
    *found = (tile){bytes, (size_t)sample, (size_t)samples, (size_t)(width * samples), (size_t)row};
    return true;
}

/* The first plane holds the last bytes: planes are walked backwards. */
static void encode_row(uint8_t *row, uint8_t *planes, const tile *of) {
    uint8_t *last = planes + of->row - of->count;
    ptrdiff_t back = -(ptrdiff_t)of->count;
    switch (of->sample) {
        case 2: transpose_split(row, last, of->count, back, 2); break;
        case 4: transpose_split(row, last, of->count, back, 4); break;
        default: transpose_split(row, last, of->count, back, 8); break;
    }
    diff_encode(planes, of->row, of->samples, 1);
    memcpy(row, planes, of->row);
}

static void decode_row(uint8_t *row, uint8_t *planes, const tile *of) {
    ptrdiff_t back = -(ptrdiff_t)of->count;
    memcpy(planes, row, of->row);
    diff_decode(planes, of->row, of->samples, 1);
    const uint8_t *last = planes + of->row - of->count;
    switch (of->sample) {
        case 2: transpose_join(last, row, of->count, back, 2); break;
        case 4: transpose_join(last, row, of->count, back, 4); break;
        default: transpose_join(last, row, of->count, back, 8); break;
    }
}

static bool each_row(chonkle_call *call, void (*kernel)(uint8_t *, uint8_t *, const tile *)) {
    tile found;
    if (!read_tile(call, &found)) return false;
    chonkle_port *bytes = found.bytes;
    if (bytes->size) {
        uint8_t *planes = malloc(found.row);
        if (!planes) return chonkle_fail_memory(call, found.row);
        for (uint8_t *row = bytes->data; row != bytes->data + bytes->size; row += found.row)
            kernel(row, planes, &found);
        free(planes);
    }
    return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
}

bool chonkle_encode(chonkle_call *call) { return each_row(call, encode_row); }

bool chonkle_decode(chonkle_call *call) { return each_row(call, decode_row); }
