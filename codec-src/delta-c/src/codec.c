/* delta: differences between neighbouring elements, as in numcodecs.
 *
 *     decoded  a  b    c    d            of `dtype`
 *     encoded  a  b-a  c-b  d-c          computed in `dtype`, stored as `astype`
 *
 * Decoding sums. Integers are modulo 2^bits, so the order of summing and converting does not
 * matter: the wider of the two types is summed. A sum with floats has NumPy's type for the two,
 * NumPy's promotion. Complex numbers are two floats each. Dates and durations are integers of 8
 * bytes, of which the least is NaT, not a time: so are its differences and sums. An overflow fails.
 *
 * The difference of booleans is whether they differ. numcodecs stores that too, but decodes it
 * wrong, to whether any element so far is true; here the original comes back. */
#include "blocks.h"
#include "byteorder.h"
#include "chonkle_codec.h"
#include "convert.h"
#include "difference.h"
#include "scalars.h"

#define NOT_A_TIME INT64_MIN /* NaT */

typedef struct {
    chonkle_port *bytes;
    chonkle_type decoded; /* as numbers: i, u or f */
    chonkle_type encoded;
    char kind;    /* of `dtype` */
    size_t parts; /* of an element: 2 floats of a complex number */
} elements;

static bool is_time(char kind) { return kind == 'm' || kind == 'M'; }

/* Treat elements as the numbers that they consist of. */
static void as_numbers(chonkle_type *type) {
    if (type->kind == 'b') type->kind = 'u';
    if (is_time(type->kind)) type->kind = 'i';
    if (type->kind != 'c') return;
    type->kind = 'f';
    type->size /= 2;
}

/* Find the unit in the text of a type, `[ns]`; returns its size, 0 without a unit. */
static size_t unit_of(const chonkle_port *type, const uint8_t **unit) {
    *unit = memchr(type->data, '[', type->size);
    return *unit ? (size_t)(type->data + type->size - *unit) : 0;
}

static bool has_unit_of_dtype(chonkle_call *call) {
    const uint8_t *decoded, *encoded;
    size_t size = unit_of(chonkle_find(call, "dtype"), &decoded);
    return unit_of(chonkle_find(call, "astype"), &encoded) == size &&
           (!size || !memcmp(decoded, encoded, size));
}

static bool read_elements(chonkle_call *call, bool is_encoding, elements *found) {
    if (!chonkle_dtype(call, "dtype", "biufcmM", &found->decoded)) return false;
    char kind = found->kind = found->decoded.kind;
    found->encoded = found->decoded;
    const char *kinds = is_time(kind) ? "mM" : kind == 'c' ? "c" : kind == 'b' ? "biuf" : "iuf";
    if (chonkle_find(call, "astype")) {
        if (!chonkle_dtype(call, "astype", kinds, &found->encoded)) return false;
        if (is_time(kind) && !has_unit_of_dtype(call))
            return chonkle_fail(call, "port `astype`: expected the unit of `dtype`");
    }
    found->bytes =
        chonkle_items(call, "bytes", is_encoding ? found->decoded.size : found->encoded.size);
    found->parts = kind == 'c' ? 2 : 1;
    as_numbers(&found->decoded);
    as_numbers(&found->encoded);
    return found->bytes;
}

static bool fail_time(chonkle_call *call, size_t at) {
    return chonkle_fail(call, "port `bytes`: overflow of 64 bits at element %zu", at);
}

/* ---- encoding ------------------------------------------------------------------------------ */

/* From the end, so that no value is read after it was replaced. */
#define SUBTRACT(type, vector)                                                                  \
    static void subtract_##type(uint8_t *data, size_t count, size_t parts) {                    \
        type *of = (type *)data;                                                                \
        size_t at = count, lanes = sizeof(v128_t) / sizeof(type);                               \
        for (; at >= lanes + parts; at -= lanes)                                                \
            wasm_v128_store(of + at - lanes, vector(wasm_v128_load(of + at - lanes),            \
                                                    wasm_v128_load(of + at - lanes - parts)));  \
        for (; at > parts; at--) of[at - 1] -= of[at - 1 - parts];                              \
    }

SUBTRACT(f4, wasm_f32x4_sub)
SUBTRACT(f8, wasm_f64x2_sub)

/* Half floats are subtracted as floats. */
static void subtract_f2(uint8_t *data, size_t count) {
    f2 *of = (f2 *)data;
    for (size_t at = count; at > 1; at--) of[at - 1] -= of[at - 2];
}

/* Any byte but 0 is true. */
static void subtract_flags(uint8_t *data, size_t count) {
    for (size_t at = count; at > 1; at--) data[at - 1] = !data[at - 1] != !data[at - 2];
    if (count) data[0] = data[0] != 0;
}

static bool subtract_times(chonkle_call *call, uint8_t *data, size_t count) {
    i8 *of = (i8 *)data;
    for (size_t at = count; at > 1; at--) {
        int64_t time = of[at - 1], before = of[at - 2];
        bool is_number = time != NOT_A_TIME && before != NOT_A_TIME, is_over = false;
        of[at - 1] = NOT_A_TIME;
        if (is_number) is_over = __builtin_sub_overflow(time, before, of + at - 1);
        if (is_number && (is_over || of[at - 1] == NOT_A_TIME)) return fail_time(call, at - 1);
    }
    return true;
}

static bool subtract(chonkle_call *call, const elements *of) {
    uint8_t *data = of->bytes->data;
    size_t size = of->bytes->size;
    bool floats = of->decoded.kind == 'f';
    if (of->kind == 'b') subtract_flags(data, size);
    else if (is_time(of->kind)) return subtract_times(call, data, size / 8);
    else switch (of->decoded.size) {
        case 1: diff_encode(data, size, 1, 1); break;
        case 2: floats ? subtract_f2(data, size / 2) : diff_encode(data, size, 2, 2); break;
        case 4:
            floats ? subtract_f4(data, size / 4, of->parts) : diff_encode(data, size, 4, 4);
            break;
        default:
            floats ? subtract_f8(data, size / 8, of->parts) : diff_encode(data, size, 8, 8);
            break;
    }
    return true;
}

bool chonkle_encode(chonkle_call *call) {
    elements of;
    if (!read_elements(call, true, &of)) return false;
    if (of.decoded.is_big_endian)
        byteorder_swap_all(of.bytes->data, of.bytes->size, of.decoded.size);
    return subtract(call, &of) && convert_all(call, of.bytes, &of.decoded, &of.encoded);
}

/* ---- decoding integers --------------------------------------------------------------------- */

static bool sum_times(chonkle_call *call, uint8_t *data, size_t count) {
    i8 *of = (i8 *)data;
    for (size_t i = 1; i < count; i++) {
        int64_t step = of[i], before = of[i - 1];
        bool is_number = step != NOT_A_TIME && before != NOT_A_TIME, is_over = false;
        of[i] = NOT_A_TIME;
        if (is_number) is_over = __builtin_add_overflow(step, before, of + i);
        if (is_number && (is_over || of[i] == NOT_A_TIME)) return fail_time(call, i);
    }
    return true;
}

static void sum_integers(uint8_t *data, size_t size, size_t each) {
    switch (each) {
        case 1: diff_decode(data, size, 1, 1); break;
        case 2: diff_decode(data, size, 2, 2); break;
        case 4: diff_decode(data, size, 4, 4); break;
        default: diff_decode(data, size, 8, 8); break;
    }
}

static bool decode_integers(chonkle_call *call, const elements *of) {
    const chonkle_type *from = &of->encoded, *to = &of->decoded;
    chonkle_port *bytes = of->bytes;
    size_t size;
    if (from->is_big_endian) byteorder_swap_all(bytes->data, bytes->size, from->size);
    if (is_time(of->kind)) {
        if (!sum_times(call, bytes->data, bytes->size / sizeof(i8))) return false;
    } else if (from->size >= to->size) sum_integers(bytes->data, bytes->size, from->size);
    uint8_t *data = convert_integers(call, bytes, from, to, &size);
    if (!data) return false;
    if (from->size < to->size) sum_integers(data, size, to->size);
    return convert_end(call, bytes, data, size, to);
}

/* ---- decoding with floats and booleans ----------------------------------------------------- */

/* The last sums, of the real and the imaginary part. */
typedef struct {
    size_t parts;
    f8 wide[2];
    f4 single[2];
} sums;

#define SUM(name, type, sum)                                                                    \
    static void sum_##name(block *values, size_t count, void *parameters) {                     \
        sums *last = parameters;                                                                \
        for (size_t part = 0; part < last->parts; part++) {                                     \
            __typeof__(*values->type) total = last->type[part];                                 \
            for (size_t i = part; i < count; i += last->parts) {                                \
                total = sum;                                                                    \
                values->type[i] = total;                                                        \
            }                                                                                   \
            last->type[part] = total;                                                           \
        }                                                                                       \
    }

SUM(wide, wide, total + values->wide[i])
SUM(single, single, total + values->single[i])
SUM(half, single, (f2)(total + values->single[i]))
SUM(flags, wide, (total != 0) != (values->wide[i] != 0))

/* The bytes of the float that NumPy promotes a type to, together with a smaller float. */
static size_t float_size(const chonkle_type *type) {
    if (type->kind == 'f') return type->size;
    return type->size < sizeof(f4) ? 2 * type->size : sizeof(f8);
}

static bool decode_floats(chonkle_call *call, const elements *of) {
    const chonkle_type *from = &of->encoded, *to = &of->decoded;
    size_t size = float_size(from) > float_size(to) ? float_size(from) : float_size(to);
    /* -0.0 + x is x, for x = 0.0 and x = -0.0 too. */
    sums last = {.parts = of->parts, .wide = {-0.0, -0.0}, .single = {-0.0F, -0.0F}};
    bool is_flags = of->kind == 'b', is_single = !is_flags && size < sizeof(f8);
    block_change *change = is_flags            ? sum_flags
                           : !is_single        ? sum_wide
                           : size == sizeof(f4) ? sum_single
                                               : sum_half;
    return blocks_compute(call, of->bytes, from, to, is_single, change, &last);
}

bool chonkle_decode(chonkle_call *call) {
    elements of;
    if (!read_elements(call, false, &of)) return false;
    bool is_float = of.encoded.kind == 'f' || of.decoded.kind == 'f';
    return is_float || of.kind == 'b' ? decode_floats(call, &of) : decode_integers(call, &of);
}
