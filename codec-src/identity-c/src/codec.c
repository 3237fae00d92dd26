/* identity: the bytes, unchanged. */
#include "chonkle_codec.h"

static bool pass(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    return bytes && chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
}

bool chonkle_encode(chonkle_call *call) { return pass(call); }

bool chonkle_decode(chonkle_call *call) { return pass(call); }
