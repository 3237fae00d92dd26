/* Kernels of horizontal differencing, one row at a time, in place. */
#ifndef DIFFERENCE_H
#define DIFFERENCE_H

#include "chonkle_codec.h"

/* row:   `size` bytes of little-endian samples, not aligned.
 * pixel: bytes from a sample to the same sample of the next pixel, a multiple of the sample size. */
typedef void difference_row(uint8_t *row, size_t size, size_t pixel);

/* The kernel for samples of 1, 2, 4 or 8 bytes. */
difference_row *difference_encoder(size_t sample);
difference_row *difference_decoder(size_t sample);

#endif
