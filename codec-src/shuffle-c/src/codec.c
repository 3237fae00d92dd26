/* shuffle: the first bytes of all elements, then the second bytes, and so on, as in numcodecs, for
 * which elements of 0 bytes are a way to say that nothing is shuffled. */
#include "chonkle_codec.h"
#include "transpose.h"

static bool shuffle(chonkle_call *call, bool is_encoding) {
    uint64_t size;
    if (!chonkle_uint(call, "elementsize", 0, INT32_MAX, &size)) return false;
    if (!size) size = 1;
    chonkle_port *bytes = chonkle_items(call, "bytes", size);
    if (!bytes) return false;
    size_t count = bytes->size / size;
    /* Elements of one byte, or a single element, do not change. */
    if (size == 1 || count <= 1)
        return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
    uint8_t *to = chonkle_output(call, "bytes", bytes->size);
    if (!to) return false;
    if (is_encoding) transpose_split(bytes->data, to, count, count, size);
    else transpose_join(bytes->data, to, count, count, size);
    return true;
}

bool chonkle_encode(chonkle_call *call) { return shuffle(call, true); }

bool chonkle_decode(chonkle_call *call) { return shuffle(call, false); }
