/* bytes: the elements of an array in a byte order, as the codec `bytes` of Zarr 3.
 *
 * Decoded elements are little-endian: one order changes nothing, the other reverses the bytes of
 * each scalar, in both directions. Scalars have `elementsize` bytes, or without it are those of
 * `dtype`, in each field of a structured type. */
#include "byteorder.h"
#include "chonkle_codec.h"
#include "layout.h"

static bool read_size(chonkle_call *call, layout *found) {
    uint64_t size;
    if (!chonkle_uint(call, "elementsize", 1, 8, &size)) return false;
    if (size & (size - 1))
        return chonkle_fail(call, "port `elementsize`: expected 1, 2, 4 or 8, got %llu", size);
    return layout_add(found, (size_t)size, 1) || chonkle_fail_memory(call, sizeof(layout_run));
}

static bool read_layout(chonkle_call *call, bool is_big, layout *found) {
    bool is_typed = chonkle_find(call, "dtype"), is_sized = chonkle_find(call, "elementsize");
    if (is_typed && !layout_read(call, "dtype", found)) return false;
    if (is_sized) {
        found->run_count = found->size = 0;
        return read_size(call, found);
    }
    if (is_typed) return true;
    if (is_big)
        return chonkle_fail(call, "port `dtype`: missing, needed with `big` as `endian`; hint: or "
                                  "`elementsize`, for scalars of one size");
    return layout_add(found, 1, 1) || chonkle_fail_memory(call, sizeof(layout_run));
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
