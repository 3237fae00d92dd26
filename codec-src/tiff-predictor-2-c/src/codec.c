/* tiff-predictor-2: horizontal differencing, TIFF 6.0 (1992), section 14, page 64.
 *
 * Each sample is replaced by its difference from the same sample of the pixel on its left, modulo
 * 2^bits. The first pixel of a row is unchanged. Differences have the byte order of the samples,
 * that of the file. */
#include "byteorder.h"
#include "difference.h"
#include "tile.h"

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
    if (!tile_read(call, "1, 2, 4 or 8", &found)) return false;
    row_kernel *kernel = kernels[__builtin_ctz(found.sample)];
    uint8_t *end = found.bytes->data + found.bytes->size;
    for (uint8_t *row = found.bytes->data; row != end; row += found.row) {
        if (found.is_big_endian) byteorder_swap_all(row, found.row, found.sample);
        kernel(row, found.row, found.samples * found.sample);
        if (found.is_big_endian) byteorder_swap_all(row, found.row, found.sample);
    }
    return chonkle_output_in_place(call, "bytes", found.bytes->data, found.bytes->size);
}

bool chonkle_encode(chonkle_call *call) {
    return each_row(call, (row_kernel *const[]){encode_1, encode_2, encode_4, encode_8});
}

bool chonkle_decode(chonkle_call *call) {
    return each_row(call, (row_kernel *const[]){decode_1, decode_2, decode_4, decode_8});
}
