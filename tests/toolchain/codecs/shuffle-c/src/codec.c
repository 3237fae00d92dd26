/* shuffle: the first bytes of all elements, then the second bytes, and so on. */
#include "chonkle_codec.h"

static bool shuffle(chonkle_call *call, bool is_encoding) {
    uint64_t size;
    if (!chonkle_uint(call, "elementsize", 1, 255, &size)) return false;
    chonkle_port *bytes = chonkle_items(call, "bytes", size);
    uint8_t *to = bytes ? chonkle_output(call, "bytes", bytes->size) : NULL;
    if (!to) return false;
    size_t count = bytes->size / size;
    for (size_t element = 0; element < count; element++)
        for (size_t byte = 0; byte < size; byte++) {
            size_t decoded = element * size + byte, encoded = byte * count + element;
            if (is_encoding) to[encoded] = bytes->data[decoded];
            else to[decoded] = bytes->data[encoded];
        }
    return true;
}

bool chonkle_encode(chonkle_call *call) { return shuffle(call, true); }

bool chonkle_decode(chonkle_call *call) { return shuffle(call, false); }
