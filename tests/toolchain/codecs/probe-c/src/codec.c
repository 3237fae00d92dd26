/* Decoding parses `bytes` as the type that `what` names and writes it out; encoding makes the kind
 * of output that `what` names. */
#include <string.h>

#include "chonkle_codec.h"

static const char *const orders[] = {"little", "big", "none", NULL};

static bool give(chonkle_call *call, const void *data, size_t size) {
    uint8_t *to = chonkle_output(call, "bytes", size);
    if (to) memcpy(to, data, size);
    return to != NULL;
}

static bool give_type(chonkle_call *call, const char *kinds) {
    chonkle_type type;
    if (!chonkle_dtype(call, "bytes", kinds, &type)) return false;
    uint32_t shown[] = {(uint8_t)type.kind, type.is_big_endian, (uint32_t)type.size};
    return give(call, shown, sizeof shown);
}

/* The ports that have defaults, one behind the other. */
static bool give_defaults(chonkle_call *call) {
    struct {
        int64_t level;
        uint64_t seed;
        double scale;
        uint64_t shape[3];
        size_t shape_size, order;
        chonkle_type type;
        bool is_strict;
    } all;
    char text[16];
    if (!chonkle_int(call, "level", -9, 9, &all.level) ||
        !chonkle_uint(call, "seed", 0, UINT64_MAX, &all.seed) ||
        !chonkle_float(call, "scale", &all.scale) ||
        !chonkle_uint_list(call, "shape", all.shape, 3, &all.shape_size) ||
        !chonkle_choice(call, "order", orders, &all.order) ||
        !chonkle_dtype(call, "dtype", "iu", &all.type) ||
        !chonkle_bool(call, "strict", &all.is_strict) ||
        !chonkle_string(call, "text", text, sizeof text))
        return false;
    uint8_t *to = chonkle_output(call, "bytes", 64);
    if (!to) return false;
    uint8_t small[] = {(uint8_t)all.order, (uint8_t)all.type.size, all.is_strict};
    memcpy(to, &all.level, 8);
    memcpy(to + 8, &all.seed, 8);
    memcpy(to + 16, &all.scale, 8);
    memcpy(to + 24, all.shape, 16);
    memcpy(to + 40, small, 3);
    memcpy(to + 43, text, strlen(text));
    return chonkle_output_resize(call, 43 + strlen(text));
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
        return chonkle_int(call, "bytes", -2, 9, &int_value) && give(call, &int_value, 8);
    if (!strcmp(what, "uint"))
        return chonkle_uint(call, "bytes", 0, UINT64_MAX, &uint_value) &&
               give(call, &uint_value, 8);
    if (!strcmp(what, "width"))
        return chonkle_uint(call, "bytes", 1, 300, &uint_value) && give(call, &uint_value, 8);
    if (!strcmp(what, "float"))
        return chonkle_float(call, "bytes", &float_value) && give(call, &float_value, 8);
    if (!strcmp(what, "bool"))
        return chonkle_bool(call, "bytes", &bool_value) && give(call, &bool_value, 1);
    if (!strcmp(what, "string"))
        return chonkle_string(call, "bytes", text, sizeof text) && give(call, text, strlen(text));
    if (!strcmp(what, "uint[]"))
        return chonkle_uint_list(call, "bytes", values, 3, &count) && give(call, values, count * 8);
    if (!strcmp(what, "choice"))
        return chonkle_choice(call, "bytes", orders, &count) && give(call, &count, 1);
    if (!strcmp(what, "dtype")) return give_type(call, "biufcmMSUV");
    if (!strcmp(what, "integer dtype")) return give_type(call, "iu");
    if (!strcmp(what, "defaults")) return give_defaults(call);
    if (!strcmp(what, "optional")) {
        bool_value = chonkle_find(call, "optional") != NULL;
        return give(call, &bool_value, 1);
    }
    if (!strcmp(what, "missing")) return chonkle_int(call, "optional", 0, 9, &int_value);
    if (!strcmp(what, "prefix")) return chonkle_int(call, "lev", 0, 9, &int_value);
    if (!strcmp(what, "items")) {
        chonkle_port *items = chonkle_items(call, "bytes", 4);
        return items && give(call, items->data, items->size);
    }
    if (!strcmp(what, "end")) {
        chonkle_port *bytes = chonkle_input(call, "bytes");
        return bytes && chonkle_end(call, bytes, 3) && give(call, "end", 3);
    }
    return chonkle_fail(call, "unknown `what`: %s", what);
}

/* Let an output grow to its bound, each part filled with its number; or further, until it fails. */
static bool grow(chonkle_call *call, size_t bound, bool is_too_much) {
    size_t size = 0, before = 0;
    uint8_t *to = chonkle_output(call, "bytes", size);
    for (int part = 0; to && (size < bound || is_too_much); part++) {
        before = size;
        to = chonkle_output_grow(call, &size, bound);
        if (to) memset(to + before, part, size - before);
    }
    return to || (bound == SIZE_MAX && chonkle_fail(call, "grew to %zu bytes", before));
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
        return chonkle_output_in_place(call, "a name longer than that of the input", bytes->data,
                                       bytes->size);
    if (!strcmp(what, "shorter"))
        return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size / 2);
    if (!strcmp(what, "rest"))
        return chonkle_output_in_place(call, "bytes", bytes->data + bytes->size / 2,
                                       bytes->size - bytes->size / 2);
    if (!strcmp(what, "outside"))
        return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size + 1);
    if (!strcmp(what, "two-in-place"))
        return chonkle_output_in_place(call, "bytes", bytes->data, 0) && give(call, "x", 1);
    if (!strcmp(what, "resize-nothing"))
        return chonkle_output_in_place(call, "bytes", bytes->data, 0) &&
               chonkle_output_resize(call, 1);
    if (!strcmp(what, "grow")) return grow(call, 100000, false);
    if (!strcmp(what, "grow-too-much")) return grow(call, 100000, true);
    if (!strcmp(what, "grow-all")) return grow(call, SIZE_MAX, true);
    if (!strcmp(what, "none")) return true;
    if (!strcmp(what, "memory")) return chonkle_output(call, "bytes", 3u << 30) != NULL;
    if (!strcmp(what, "almost-4-gib"))
        return chonkle_output(call, "bytes", UINT32_MAX - 40) != NULL;
    if (!strcmp(what, "too-large")) return chonkle_output(call, "bytes", UINT32_MAX) != NULL;
    if (!strcmp(what, "numbers"))
        return chonkle_fail(call, "%d %u %zu %lld %llu %% `%.*s`", -7, 7u, bytes->size,
                            (long long)INT64_MIN, (unsigned long long)UINT64_MAX, (int)bytes->size,
                            (const char *)bytes->data);
    char long_text[401] = {0};
    for (size_t i = 0; i < 400; i += 2) memcpy(long_text + i, "\xC3\xA9", 2);
    return chonkle_fail(call, "-%s%s", long_text, long_text);
}
