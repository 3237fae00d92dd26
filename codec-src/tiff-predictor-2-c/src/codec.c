/* tiff-predictor-2: horizontal differencing, TIFF 6.0 (1992), section 14, page 64.
 *
 * Each sample is replaced by its difference to the same sample of the pixel on its left, modulo
 * 2^bits. A row stands alone: its first pixel is stored as it is. Samples are little-endian,
 * interleaved (PlanarConfiguration 1); a tile of one plane has samples_per_pixel 1. */
#include "chonkle_codec.h"
#include "difference.h"

typedef struct {
    chonkle_port *bytes;
    size_t sample; /* bytes */
    size_t pixel;  /* bytes */
    size_t row;    /* bytes */
} tile;

static bool read_tile(chonkle_call *call, tile *found) {
    int64_t sample, width, samples;
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes || !chonkle_int(call, "bytes_per_sample", 1, 8, &sample) ||
        !chonkle_int(call, "width", 1, INT32_MAX, &width) ||
        !chonkle_int(call, "samples_per_pixel", 1, UINT16_MAX, &samples))
        return false;
    if (sample & (sample - 1))
        return chonkle_fail(call, "port `bytes_per_sample`: expected 1, 2, 4 or 8, got %lld",
                            (long long)sample);
    uint64_t row = (uint64_t)(width * samples * sample); /* below 2^31 * 2^16 * 2^3 */
    if (bytes->size % row)
        return chonkle_fail(call, "port `bytes`: expected whole rows of %llu bytes, got %zu bytes",
                            (unsigned long long)row, bytes->size);
    /* Without a row, `row` may be more than a size_t holds, and is not used. */
    *found = (tile){bytes, (size_t)sample, (size_t)(samples * sample), (size_t)row};
    return true;
}

typedef void row_kernel(uint8_t *row, size_t size, size_t pixel);

#define KERNELS(sample)                                                                       \
    static void encode_##sample(uint8_t *row, size_t size, size_t pixel) {                    \
        diff_encode(row, size, pixel, sample);                                                \
    }                                                                                         \
    static void decode_##sample(uint8_t *row, size_t size, size_t pixel) {                    \
        diff_decode(row, size, pixel, sample);                                                \
    }

KERNELS(1)
KERNELS(2)
KERNELS(4)
KERNELS(8)

/* kernels: for samples of 1, 2, 4 and 8 bytes. */
static bool each_row(chonkle_call *call, row_kernel *const *kernels) {
    tile found;
    if (!read_tile(call, &found)) return false;
    row_kernel *kernel = kernels[__builtin_ctz(found.sample)];
    uint8_t *end = found.bytes->data + found.bytes->size;
    for (uint8_t *row = found.bytes->data; row != end; row += found.row)
        kernel(row, found.row, found.pixel);
    return chonkle_output_in_place(call, "bytes", found.bytes->data, found.bytes->size);
}

bool chonkle_encode(chonkle_call *call) {
    return each_row(call, (row_kernel *const[]){encode_1, encode_2, encode_4, encode_8});
}

bool chonkle_decode(chonkle_call *call) {
    return each_row(call, (row_kernel *const[]){decode_1, decode_2, decode_4, decode_8});
}
