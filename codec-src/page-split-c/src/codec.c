/* page-split: split a page into repetition levels, definition levels and data, and join them.
 *
 * A Parquet data page of version 2 (parquet.thrift, DataPageHeaderV2) contains the three in that
 * order; its header has the lengths of the first two. Only the data is compressed. */
#include <string.h>

#include "chonkle_codec.h"

bool chonkle_decode(chonkle_call *call) {
    uint64_t rep_size, def_size;
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes || !chonkle_uint(call, "rep_levels_length", 0, UINT32_MAX, &rep_size) ||
        !chonkle_uint(call, "def_levels_length", 0, UINT32_MAX, &def_size))
        return false;
    if (rep_size + def_size > bytes->size)
        return chonkle_fail(call, "port `bytes`: expected at least %llu bytes of levels, got %zu",
                            (unsigned long long)(rep_size + def_size), bytes->size);
    size_t levels = (size_t)(rep_size + def_size);
    chonkle_port parts[] = {{.name = "rep_levels", .size = (size_t)rep_size},
                            {.name = "def_levels", .size = (size_t)def_size},
                            {.name = "data", .size = bytes->size - levels}};
    if (!chonkle_outputs(call, parts, 3)) return false;
    memcpy(parts[0].data, bytes->data, parts[0].size);
    memcpy(parts[1].data, bytes->data + parts[0].size, parts[1].size);
    memcpy(parts[2].data, bytes->data + levels, parts[2].size);
    return true;
}

bool chonkle_encode(chonkle_call *call) {
    static const char *const names[] = {"rep_levels", "def_levels", "data"};
    chonkle_port *parts[3];
    size_t size = 0; /* the inputs are in one memory, so their sum fits */
    for (size_t i = 0; i < 3; i++) {
        parts[i] = chonkle_input(call, names[i]);
        if (!parts[i]) return false;
        size += parts[i]->size;
    }
    uint8_t *to = chonkle_output(call, "bytes", size);
    if (!to) return false;
    for (size_t i = 0; i < 3; i++) {
        memcpy(to, parts[i]->data, parts[i]->size);
        to += parts[i]->size;
    }
    return true;
}
