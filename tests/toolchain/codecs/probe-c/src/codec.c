/* Decoding parses `bytes` as the type that `what` names and writes it out; encoding makes the kind
 * of output that `what` names. */
#include <string.h>

#include "chonkle_codec.h"

static bool give(chonkle_call *call, const void *data, size_t size) {
    uint8_t *to = chonkle_output(call, "bytes", size);
    if (to) memcpy(to, data, size);
    return to != NULL;
}

bool chonkle_decode(chonkle_call *call) {
    char what[16], text[16];
    int64_t int_value;
    uint64_t uint_value, values[3];
    double float_value;
    bool bool_value;
    size_t count;
    if (!chonkle_string(call, "what", what, sizeof what)) return false;
    if (!strcmp(what, "int"))
        return chonkle_int(call, "bytes", INT64_MIN, INT64_MAX, &int_value) &&
               give(call, &int_value, 8);
    if (!strcmp(what, "small"))
        return chonkle_int_or(call, "bytes", 5, -2, 9, &int_value) && give(call, &int_value, 8);
    if (!strcmp(what, "uint"))
        return chonkle_uint(call, "bytes", UINT64_MAX, &uint_value) && give(call, &uint_value, 8);
    if (!strcmp(what, "float"))
        return chonkle_float(call, "bytes", &float_value) && give(call, &float_value, 8);
    if (!strcmp(what, "bool"))
        return chonkle_bool(call, "bytes", &bool_value) && give(call, &bool_value, 1);
    if (!strcmp(what, "string"))
        return chonkle_string(call, "bytes", text, sizeof text) && give(call, text, strlen(text));
    if (!strcmp(what, "uint[]"))
        return chonkle_uint_list(call, "bytes", values, 3, &count) && give(call, values, count * 8);
    return chonkle_fail(call, "unknown `what`: %s", what);
}

bool chonkle_encode(chonkle_call *call) {
    char what[16];
    if (!chonkle_string(call, "what", what, sizeof what)) return false;
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    if (!strcmp(what, "several")) {
        uint8_t *first = chonkle_output(call, "first", 3);
        if (!first) return false;
        memcpy(first, "one", 3);
        uint8_t *second = chonkle_output(call, "second", 0);
        for (size_t size = 1; second && size <= bytes->size; size++) {
            second = chonkle_output_resize(call, size);
            if (second) second[size - 1] = bytes->data[size - 1];
        }
        return second && chonkle_output(call, "third", 0);
    }
    if (!strcmp(what, "longer-name"))
        return chonkle_output_in_place(call, "a name longer than that of the input", bytes,
                                       bytes->size);
    if (!strcmp(what, "shorter"))
        return chonkle_output_in_place(call, "bytes", bytes, bytes->size / 2);
    if (!strcmp(what, "two-in-place"))
        return chonkle_output_in_place(call, "bytes", bytes, 0) && give(call, "x", 1);
    if (!strcmp(what, "none")) return true;
    if (!strcmp(what, "memory")) return chonkle_output(call, "bytes", 3u << 30) != NULL;
    if (!strcmp(what, "too-large")) return chonkle_output(call, "bytes", UINT32_MAX) != NULL;
    char long_text[401] = {0};
    for (size_t i = 0; i < 400; i += 2) memcpy(long_text + i, "\xC3\xA9", 2);
    return chonkle_fail(call, "-%s%s", long_text, long_text);
}
