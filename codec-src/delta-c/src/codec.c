/* delta: differences between neighbouring elements, as in numcodecs.
 *
 *     decoded  a  b    c    d            of `dtype`
 *     encoded  a  b-a  c-b  d-c          computed in `dtype`, stored as `astype`
 *
 * Decoding sums in the wider of the two types. Integers are modulo 2^bits, so the order of summing
 * and converting does not matter; for floats it is NumPy's. */
#include "byteorder.h"
#include "chonkle_codec.h"
#include "convert.h"
#include "difference.h"
#include "scalars.h"

typedef struct {
    chonkle_port *bytes;
    chonkle_type decoded;
    chonkle_type encoded;
} elements;

static bool is_float(const chonkle_type *type) { return type->kind == 'f'; }

static bool read_elements(chonkle_call *call, bool is_encoding, elements *found) {
    if (!chonkle_dtype(call, "dtype", "iuf", &found->decoded)) return false;
    found->encoded = found->decoded;
    if (chonkle_find(call, "astype") && !chonkle_dtype(call, "astype", "iuf", &found->encoded))
        return false;
    if (is_float(&found->decoded) != is_float(&found->encoded))
        return chonkle_fail(call, "port `astype`: expected %s, like `dtype`",
                            is_float(&found->decoded) ? "a float" : "an integer");
    size_t size = is_encoding ? found->decoded.size : found->encoded.size;
    found->bytes = chonkle_items(call, "bytes", size);
    return found->bytes;
}

#define SUBTRACT(type, vector)                                                                  \
    static void subtract_##type(uint8_t *data, size_t count) {                                  \
        type *of = (type *)data;                                                                \
        size_t at = count, lanes = sizeof(v128_t) / sizeof(type);                               \
        for (; at > lanes; at -= lanes)                                                         \
            wasm_v128_store(of + at - lanes, vector(wasm_v128_load(of + at - lanes),            \
                                                    wasm_v128_load(of + at - lanes - 1)));      \
        for (; at > 1; at--) of[at - 1] -= of[at - 2];                                          \
    }

#define SUM(type)                                                                               \
    static void sum_##type(uint8_t *data, size_t count) {                                       \
        type *of = (type *)data;                                                                \
        for (size_t i = 1; i < count; i++) of[i] += of[i - 1];                                  \
    }

/* Half floats are subtracted as floats. */
static void subtract_f2(uint8_t *data, size_t count) {
    f2 *of = (f2 *)data;
    for (size_t at = count; at > 1; at--) of[at - 1] -= of[at - 2];
}

SUBTRACT(f4, wasm_f32x4_sub)
SUBTRACT(f8, wasm_f64x2_sub)
SUM(f2)
SUM(f4)
SUM(f8)

static void subtract(uint8_t *data, size_t size, const chonkle_type *type) {
    bool floats = is_float(type);
    switch (type->size) {
        case 1: diff_encode(data, size, 1, 1); break;
        case 2: floats ? subtract_f2(data, size / 2) : diff_encode(data, size, 2, 2); break;
        case 4: floats ? subtract_f4(data, size / 4) : diff_encode(data, size, 4, 4); break;
        default: floats ? subtract_f8(data, size / 8) : diff_encode(data, size, 8, 8); break;
    }
}

static void sum(uint8_t *data, size_t size, const chonkle_type *type) {
    bool floats = is_float(type);
    switch (type->size) {
        case 1: diff_decode(data, size, 1, 1); break;
        case 2: floats ? sum_f2(data, size / 2) : diff_decode(data, size, 2, 2); break;
        case 4: floats ? sum_f4(data, size / 4) : diff_decode(data, size, 4, 4); break;
        default: floats ? sum_f8(data, size / 8) : diff_decode(data, size, 8, 8); break;
    }
}

/* Begin the output and convert elements into it; returns them, or NULL after a failure. */
static uint8_t *converted(chonkle_call *call, const chonkle_port *bytes, const chonkle_type *from,
                          const chonkle_type *to, size_t *size) {
    size_t count = bytes->size / from->size;
    /* `bytes` may have 2 GiB, so that eight times as much does not fit a size_t. */
    if (count > INT32_MAX / to->size) {
        chonkle_fail(call, "port `bytes`: %zu elements of `%c%zu` need more than 2 GiB", count,
                     to->kind, to->size);
        return NULL;
    }
    *size = count * to->size;
    uint8_t *data = chonkle_output(call, "bytes", *size);
    if (data) convert(bytes->data, from, data, to, count);
    return data;
}

bool chonkle_encode(chonkle_call *call) {
    elements found;
    if (!read_elements(call, true, &found)) return false;
    chonkle_port *bytes = found.bytes;
    const chonkle_type *from = &found.decoded, *to = &found.encoded;
    if (from->is_big_endian) byteorder_swap_all(bytes->data, bytes->size, from->size);
    subtract(bytes->data, bytes->size, from);
    uint8_t *data = bytes->data;
    size_t size = bytes->size;
    if (from->size != to->size) {
        data = converted(call, bytes, from, to, &size);
        if (!data) return false;
    }
    if (to->is_big_endian) byteorder_swap_all(data, size, to->size);
    return data != bytes->data || chonkle_output_in_place(call, "bytes", data, size);
}

bool chonkle_decode(chonkle_call *call) {
    elements found;
    if (!read_elements(call, false, &found)) return false;
    chonkle_port *bytes = found.bytes;
    const chonkle_type *from = &found.encoded, *to = &found.decoded;
    if (from->is_big_endian) byteorder_swap_all(bytes->data, bytes->size, from->size);
    if (from->size >= to->size) sum(bytes->data, bytes->size, from);
    uint8_t *data = bytes->data;
    size_t size = bytes->size;
    if (from->size != to->size) {
        data = converted(call, bytes, from, to, &size);
        if (!data) return false;
    }
    if (from->size < to->size) sum(data, size, to);
    if (to->is_big_endian) byteorder_swap_all(data, size, to->size);
    return data != bytes->data || chonkle_output_in_place(call, "bytes", data, size);
}
