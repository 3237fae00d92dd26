/* bytes: the elements of an array in a byte order, as the codec `bytes` of Zarr 3.
 *
 * Decoded elements are little-endian: one order changes nothing, the other reverses the bytes of
 * each element, in both directions. */
#include "byteorder.h"
#include "chonkle_codec.h"

/* A loop for each size, which is a constant in it. */
static void swap(uint8_t *data, size_t size_bytes, size_t size) {
    switch (size) {
        case 2: byteorder_swap_all(data, size_bytes, 2); break;
        case 4: byteorder_swap_all(data, size_bytes, 4); break;
        case 8: byteorder_swap_all(data, size_bytes, 8); break;
    }
}

static bool order(chonkle_call *call) {
    static const char *const orders[] = {"little", "big", NULL};
    size_t is_big;
    uint64_t size;
    if (!chonkle_choice(call, "endian", orders, &is_big) ||
        !chonkle_uint(call, "elementsize", 1, 8, &size))
        return false;
    if (size & (size - 1))
        return chonkle_fail(call, "port `elementsize`: expected 1, 2, 4 or 8, got %llu", size);
    chonkle_port *bytes = chonkle_items(call, "bytes", size);
    if (!bytes) return false;
    if (is_big) swap(bytes->data, bytes->size, size);
    return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
}

bool chonkle_encode(chonkle_call *call) { return order(call); }

bool chonkle_decode(chonkle_call *call) { return order(call); }
