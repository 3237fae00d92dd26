/* {{codec_id}}: each byte as its difference to the byte `distance` before it, modulo 256.
 *
 * Both directions change their input in place and hand it back as the output. */
#include "chonkle_codec.h"

static bool read_ports(chonkle_call *call, chonkle_port **bytes, int64_t *distance) {
    *bytes = chonkle_input(call, "bytes");
    return *bytes && chonkle_int(call, "distance", 1, INT32_MAX, distance);
}

bool chonkle_encode(chonkle_call *call) {
    chonkle_port *bytes;
    int64_t distance;
    if (!read_ports(call, &bytes, &distance)) return false;
    /* From the end, so that what is subtracted is not changed yet. */
    for (size_t i = bytes->size; i-- > (size_t)distance;)
        bytes->data[i] -= bytes->data[i - distance];
    return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
}

bool chonkle_decode(chonkle_call *call) {
    chonkle_port *bytes;
    int64_t distance;
    if (!read_ports(call, &bytes, &distance)) return false;
    for (size_t i = distance; i < bytes->size; i++)
        bytes->data[i] += bytes->data[i - distance];
    return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
}
