/* tiff-predictor-3: Adobe Photoshop TIFF Technical Note 3 (2005), "Floating Point Predictor".
 *
 * The bytes of a row's samples become planes, those with the exponents first; then each byte is
 * replaced by its difference from the one `samples_per_pixel` before it, across planes:
 *
 *     samples  a0 a1 a2 a3  b0 b1 b2 b3     little-endian, a3 a2 a1 a0 ... big-endian
 *     planes   a3 b3  a2 b2  a1 b1  a0 b0
 *     row      a3 b3-a3  a2-b3 b2-a2 ...
 */
#include <stdlib.h>

#include "difference.h"
#include "tile.h"
#include "transpose.h"

/* Return the plane of a sample's first byte, and the distance to that of the next byte. */
static size_t first_plane(const tile *of, ptrdiff_t *stride) {
    ptrdiff_t count = (ptrdiff_t)of->count;
    *stride = of->is_big_endian ? count : -count;
    return of->is_big_endian ? 0 : of->row - of->count;
}

static void encode_row(uint8_t *row, uint8_t *planes, const tile *of) {
    ptrdiff_t stride;
    uint8_t *first = planes + first_plane(of, &stride);
    switch (of->sample) {
        case 2: transpose_split(row, first, of->count, stride, 2); break;
        case 3: transpose_split(row, first, of->count, stride, 3); break;
        case 4: transpose_split(row, first, of->count, stride, 4); break;
        default: transpose_split(row, first, of->count, stride, 8); break;
    }
    diff_encode(planes, of->row, of->samples, 1);
    memcpy(row, planes, of->row);
}

static void decode_row(uint8_t *row, uint8_t *planes, const tile *of) {
    ptrdiff_t stride;
    memcpy(planes, row, of->row);
    diff_decode(planes, of->row, of->samples, 1);
    const uint8_t *first = planes + first_plane(of, &stride);
    switch (of->sample) {
        case 2: transpose_join(first, row, of->count, stride, 2); break;
        case 3: transpose_join(first, row, of->count, stride, 3); break;
        case 4: transpose_join(first, row, of->count, stride, 4); break;
        default: transpose_join(first, row, of->count, stride, 8); break;
    }
}

static bool each_row(chonkle_call *call, void (*kernel)(uint8_t *, uint8_t *, const tile *)) {
    tile found;
    if (!tile_read(call, "2, 3, 4 or 8", &found)) return false;
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
