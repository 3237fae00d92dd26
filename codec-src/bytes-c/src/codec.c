/* bytes: the elements of an array in a byte order, as the codec `bytes` of Zarr 3.
 *
 * Decoded elements are little-endian: one order changes nothing, the other reverses the bytes of
 * each scalar, in both directions. Scalars are those of `dtype`, in each field of a structured type,
 * or without it `elementsize` bytes. */
#include "byteorder.h"
#include "chonkle_codec.h"
#include "layout.h"

static bool read_size(chonkle_call *call, uint64_t *size) {
    *size = 1;
    if (!chonkle_find(call, "elementsize")) return true;
    return chonkle_uint(call, "elementsize", 1, 8, size) &&
           (!(*size & (*size - 1)) ||
            chonkle_fail(call, "port `elementsize`: expected 1, 2, 4 or 8, got %llu", *size));
}

static bool read_layout(chonkle_call *call, bool is_big, layout *found) {
    uint64_t size;
    if (!read_size(call, &size)) return false;
    if (chonkle_find(call, "dtype")) return layout_read(call, "dtype", found);
    if (is_big && !chonkle_find(call, "elementsize"))
        return chonkle_fail(call, "port `dtype`: missing, needed with `big` as `endian`; hint: or "
                                  "`elementsize`, for scalars of one size");
    return layout_add(found, (size_t)size, 1) || chonkle_fail_memory(call, sizeof(layout_run));
}

static bool order(chonkle_call *call) {
    static const char *const orders[] = {"little", "big", NULL};
    size_t is_big;
    layout elements = {0};
    if (!chonkle_choice(call, "endian", orders, &is_big)) return false;
    bool is_read = read_layout(call, is_big, &elements);
    chonkle_port *bytes = is_read ? chonkle_items(call, "bytes", elements.size) : NULL;
    if (bytes && is_big) layout_swap(&elements, bytes->data, bytes->size);
    free(elements.runs);
    return bytes && chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
}

bool chonkle_encode(chonkle_call *call) { return order(call); }

bool chonkle_decode(chonkle_call *call) { return order(call); }
