/* cast_value: values in another type, exactly, as the codec of Zarr 3.
 *
 * zarr-extensions, codecs/cast_value, with the results of zarr-python:
 *
 *     to an integer  rounded, then in range, or clamped, or wrapped modulo 2^bits; NaN and infinity
 *                    are errors whatever `out_of_range` is
 *     to a float     rounded as if to any exponent; what is too large is an error, or infinity when
 *                    clamped; NaN and infinity stay
 *
 * `scalar_map` comes before all that. */
#include <stdlib.h>

#include "blocks.h"
#include "byteorder.h"
#include "chonkle_codec.h"
#include "convert.h"
#include "scalars.h"
#include "zarr_scalar.h"

enum { NEAREST_EVEN, TOWARDS_ZERO, TOWARDS_POSITIVE, TOWARDS_NEGATIVE, NEAREST_AWAY };
enum { REFUSE, CLAMP, WRAP };

/* The bytes of a value and of what becomes of it, little-endian. */
typedef struct {
    uint64_t key;
    uint64_t value;
} pair;

typedef struct {
    chonkle_type from;
    chonkle_type to;
    size_t rounding;
    size_t out_of_range;
    pair *pairs; /* from malloc() */
    size_t pair_count;
} cast;

/* The functions below convert a block; they return whether all of its values have a result. */

/* ---- floats to integers -------------------------------------------------------------------- */

/* Doubles hold all bounds of 4 bytes, floats those of 2. Above `most`, the greatest integer, there
 * is `most` + 1, a power of two, that both hold for any type. */
#define TO_INTEGERS(name, number, of)                                                           \
    static void round_##name(block *values, size_t count, size_t rounding) {                    \
        number *each = values->name;                                                            \
        switch (rounding) {                                                                     \
            case NEAREST_EVEN:                                                                  \
                for (size_t i = 0; i < count; i++) each[i] = of(rint)(each[i]);                 \
                break;                                                                          \
            case TOWARDS_ZERO:                                                                  \
                for (size_t i = 0; i < count; i++) each[i] = of(trunc)(each[i]);                \
                break;                                                                          \
            case TOWARDS_POSITIVE:                                                              \
                for (size_t i = 0; i < count; i++) each[i] = of(ceil)(each[i]);                 \
                break;                                                                          \
            case TOWARDS_NEGATIVE:                                                              \
                for (size_t i = 0; i < count; i++) each[i] = of(floor)(each[i]);                \
                break;                                                                          \
            default:                                                                            \
                for (size_t i = 0; i < count; i++) {                                            \
                    number whole = of(trunc)(each[i]);                                          \
                    number away = whole + of(copysign)(1, each[i]);                             \
                    each[i] = of(fabs)(each[i] - whole) >= (number)0.5 ? away : whole;          \
                }                                                                               \
        }                                                                                       \
    }                                                                                           \
    static bool bound_##name(block *values, size_t count, const cast *by) {                     \
        const int bits = 8 * (int)by->to.size;                                                  \
        const bool is_signed = by->to.kind == 'i';                                              \
        const number modulus = (number)(bits == 64 ? 0x1p64 : (double)((uint64_t)1 << bits));   \
        const number above = is_signed ? modulus / 2 : modulus;                                 \
        const number least = is_signed ? -above : 0, most = above - 1, part = 1 / modulus;      \
        number *each = values->name;                                                            \
        bool is_bad = false;                                                                    \
        if (by->out_of_range == REFUSE) {                                                       \
            for (size_t i = 0; i < count; i++)                                                  \
                is_bad |= !((each[i] >= least) & (each[i] < above));                            \
            return !is_bad;                                                                     \
        }                                                                                       \
        for (size_t i = 0; i < count; i++)                                                      \
            is_bad |= !(of(fabs)(each[i]) < (number)__builtin_inf());                           \
        if (is_bad || bits == 64) return !is_bad;                                               \
        if (by->out_of_range == CLAMP)                                                          \
            for (size_t i = 0; i < count; i++) {                                                \
                number value = each[i] < least ? least : each[i];                               \
                each[i] = value > most ? most : value;                                          \
            }                                                                                   \
        else                                                                                    \
            for (size_t i = 0; i < count; i++) {                                                \
                number value = each[i] - of(floor)(each[i] * part) * modulus;                   \
                each[i] = value >= above ? value - modulus : value;                             \
            }                                                                                   \
        return true;                                                                            \
    }

#define OF_SINGLE(function) __builtin_##function##f
#define OF_WIDE(function) __builtin_##function

TO_INTEGERS(single, f4, OF_SINGLE)
TO_INTEGERS(wide, f8, OF_WIDE)

/* Integers of 8 bytes, of which doubles hold the bounds only roughly. */
static void write_8(const f8 *values, uint8_t *target, size_t count, const cast *by) {
    if (by->out_of_range == WRAP)
        for (size_t i = 0; i < count; i++) {
            f8 rest = values[i] - __builtin_trunc(values[i] * 0x1p-64) * 0x1p64;
            uint64_t magnitude = (uint64_t)__builtin_fabs(rest);
            ((u8 *)target)[i] = rest < 0 ? 0 - magnitude : magnitude;
        }
    else if (by->to.kind == 'i')
        for (size_t i = 0; i < count; i++)
            ((i8 *)target)[i] = __builtin_wasm_trunc_saturate_s_i64_f64(values[i]);
    else
        for (size_t i = 0; i < count; i++)
            ((u8 *)target)[i] = (uint64_t)__builtin_wasm_trunc_saturate_u_i64_f64(values[i]);
}

static bool floats_to_integers(const uint8_t *source, uint8_t *target, size_t count,
                               const cast *by) {
    block values;
    block_read(source, block_type(&by->from), &values, count);
    if (block_is_single(&by->from) && by->to.size <= 2) {
        round_single(&values, count, by->rounding);
        if (!bound_single(&values, count, by)) return false;
        block_write_single(values.single, target, block_type(&by->to), count);
        return true;
    }
    if (block_is_single(&by->from)) block_widen(&values, count);
    round_wide(&values, count, by->rounding);
    if (!bound_wide(&values, count, by)) return false;
    if (by->to.size == 8) write_8(values.wide, target, count, by);
    else block_write_wide(values.wide, target, block_type(&by->to), count);
    return true;
}

/* ---- integers to integers ------------------------------------------------------------------ */

#define BOUND(type)                                                                             \
    static bool bound_##type(uint8_t *data, size_t count, __int128 least, __int128 most,        \
                             bool is_clamped) {                                                 \
        const type low = (type)least, high = (type)most;                                        \
        type *each = (type *)data, bad = 0;                                                     \
        if (is_clamped)                                                                         \
            for (size_t i = 0; i < count; i++) {                                                \
                type value = each[i] < low ? low : each[i];                                     \
                each[i] = value > high ? high : value;                                          \
            }                                                                                   \
        else                                                                                    \
            for (size_t i = 0; i < count; i++)                                                  \
                bad |= (type)(each[i] < low) | (type)(each[i] > high);                          \
        return !bad;                                                                            \
    }

BOUND(i1)
BOUND(i2)
BOUND(i4)
BOUND(i8)
BOUND(u1)
BOUND(u2)
BOUND(u4)
BOUND(u8)

static bool integers_to_integers(uint8_t *source, uint8_t *target, size_t count, const cast *by) {
    typedef bool bound(uint8_t *, size_t, __int128, __int128, bool);
    static bound *const bounds[2][4] = {{bound_u1, bound_u2, bound_u4, bound_u8},
                                        {bound_i1, bound_i2, bound_i4, bound_i8}};
    __int128 least = zarr_minimum(&by->to), most = zarr_maximum(&by->to);
    bool is_wider = least <= zarr_minimum(&by->from) && most >= zarr_maximum(&by->from);
    if (least < zarr_minimum(&by->from)) least = zarr_minimum(&by->from);
    if (most > zarr_maximum(&by->from)) most = zarr_maximum(&by->from);
    bool is_bound = by->out_of_range != WRAP && !is_wider;
    if (is_bound && !bounds[by->from.kind == 'i'][__builtin_ctz(by->from.size)](
                        source, count, least, most, by->out_of_range == CLAMP))
        return false;
    convert_into(source, count, &by->from, target, &by->to);
    return true;
}

/* ---- to floats ----------------------------------------------------------------------------- */

/* Choose a neighbour of a nearest float, by its bits, whose magnitude grows with them.
 *   compared:   the sign of the nearest magnitude less the exact one.
 *   is_tie:     whether the exact magnitude is in the middle between two floats. */
static int step_of(size_t rounding, bool is_negative, int compared, bool is_tie) {
    bool is_up = rounding == (is_negative ? TOWARDS_NEGATIVE : TOWARDS_POSITIVE);
    if (rounding == NEAREST_EVEN) return 0;
    if (rounding == NEAREST_AWAY) return compared < 0 && is_tie;
    if (is_up) return compared < 0;
    return -(compared > 0);
}

/* Round as asked what was rounded to even; `above` is the power of two above all floats. What is too
 * large for any rounding stays infinite. */
#define ADJUST(type, bits, above)                                                               \
    static void adjust_##type(const f8 *values, uint8_t *target, size_t count,                  \
                              size_t rounding) {                                                \
        for (size_t i = 0; i < count; i++) {                                                    \
            f8 exact = __builtin_fabs(values[i]), near = __builtin_fabs(((type *)target)[i]);   \
            if (!(exact != near) || exact >= above || exact != exact) continue;                 \
            bits next_bits = ((bits *)target)[i] + 1;                                           \
            type next;                                                                          \
            memcpy(&next, &next_bits, sizeof next);                                             \
            bool is_tie = (near + __builtin_fabs(next)) / 2 == exact;                           \
            int step = step_of(rounding, __builtin_signbit(values[i]), near < exact ? -1 : 1,   \
                               is_tie);                                                         \
            ((bits *)target)[i] += (bits)step;                                                  \
        }                                                                                       \
    }

ADJUST(f2, u2, 0x1p16)
ADJUST(f4, u4, 0x1p128)

static bool is_finite(f8 value) { return __builtin_fabs(value) < __builtin_inf(); }

static bool is_within(const f8 *values, const uint8_t *target, size_t count,
                      const chonkle_type *to) {
    bool is_bad = false;
    if (to->size == sizeof(f2))
        for (size_t i = 0; i < count; i++)
            is_bad |= (((const u2 *)target)[i] & 0x7FFF) == 0x7C00 && is_finite(values[i]);
    else
        for (size_t i = 0; i < count; i++)
            is_bad |= (((const u4 *)target)[i] & INT32_MAX) == 0x7F800000 && is_finite(values[i]);
    return !is_bad;
}

/* Doubles to smaller floats. */
static bool narrow(const f8 *values, uint8_t *target, size_t count, const cast *by) {
    block_write_wide(values, target, block_type(&by->to), count);
    if (by->rounding != NEAREST_EVEN)
        (by->to.size == sizeof(f2) ? adjust_f2 : adjust_f4)(values, target, count, by->rounding);
    return by->out_of_range == CLAMP || is_within(values, target, count, &by->to);
}

static bool floats_to_floats(const uint8_t *source, uint8_t *target, size_t count,
                             const cast *by) {
    block values;
    if (by->from.size == by->to.size) {
        memcpy(target, source, count * by->to.size);
        return true;
    }
    block_read(source, block_type(&by->from), &values, count);
    if (by->from.size < by->to.size) {
        block_write_single(values.single, target, block_type(&by->to), count);
        return true;
    }
    if (block_is_single(&by->from)) block_widen(&values, count);
    return narrow(values.wide, target, count, by);
}

/* The magnitude and the sign of an integer of 8 bytes. */
static uint64_t magnitude_of(uint64_t bits, const cast *by, bool *is_negative) {
    *is_negative = by->from.kind == 'i' && bits >> 63;
    return *is_negative ? 0 - bits : bits;
}

/* An integer of 8 bytes as a double, whose last bit tells whether bits were lost: that is enough to
 * round it to a smaller float as if it were exact. */
static f8 round_to_odd(uint64_t magnitude) {
    enum { MANTISSA_BITS = 53 };
    if (!(magnitude >> MANTISSA_BITS)) return (f8)magnitude;
    int lost = 64 - MANTISSA_BITS - __builtin_clzll(magnitude);
    uint64_t rest = magnitude & (((uint64_t)1 << lost) - 1);
    return (f8)((magnitude >> lost | (rest != 0)) << lost);
}

static f8 round_to_double(uint64_t magnitude, bool is_negative, size_t rounding) {
    f8 near = (f8)magnitude;
    __int128 error = (near >= 0x1p64 ? (__int128)1 << 64 : (__int128)(uint64_t)near) - magnitude;
    if (!error) return near;
    uint64_t bits;
    memcpy(&bits, &near, sizeof bits);
    uint64_t next_bits = bits + 1;
    f8 next;
    memcpy(&next, &next_bits, sizeof next);
    bits += (uint64_t)(int64_t)step_of(rounding, is_negative, error < 0 ? -1 : 1,
                                       -error * 2 == (__int128)(next - near));
    memcpy(&near, &bits, sizeof near);
    return near;
}

static bool integers_to_floats(const uint8_t *source, uint8_t *target, size_t count,
                               const cast *by) {
    block values;
    if (by->from.size < 8) {
        block_read(source, block_type(&by->from), &values, count);
    } else {
        for (size_t i = 0; i < count; i++) {
            bool is_negative;
            uint64_t magnitude = magnitude_of(((const u8 *)source)[i], by, &is_negative);
            f8 value = by->to.size < 8 ? round_to_odd(magnitude)
                                       : round_to_double(magnitude, is_negative, by->rounding);
            values.wide[i] = is_negative ? -value : value;
        }
    }
    if (by->to.size < 8) return narrow(values.wide, target, count, by);
    memcpy(target, values.wide, count * sizeof(f8));
    return true;
}

static bool convert_block(uint8_t *source, uint8_t *target, size_t count, const cast *by) {
    bool is_float = by->from.kind == 'f';
    if (by->to.kind == 'f')
        return (is_float ? floats_to_floats : integers_to_floats)(source, target, count, by);
    return is_float ? floats_to_integers(source, target, count, by)
                    : integers_to_integers(source, target, count, by);
}

/* ---- scalar_map ---------------------------------------------------------------------------- */

enum { PAIRS_MAX = 1000 };

/* Take a list of pairs.
 *   to: NULL to check them only. */
static bool take_pairs(chonkle_json *json, const chonkle_type *key_type,
                       const chonkle_type *value_type, cast *to) {
    if (!chonkle_json_mark(json, '[')) return false;
    if (chonkle_json_mark(json, ']')) return true;
    size_t count = 0;
    do {
        pair found = {0};
        if (count++ == PAIRS_MAX || !chonkle_json_mark(json, '[') ||
            !zarr_scalar(json, key_type, &found.key) || !chonkle_json_mark(json, ',') ||
            !zarr_scalar(json, value_type, &found.value) || !chonkle_json_mark(json, ']'))
            return false;
        if (to) to->pairs[to->pair_count++] = found;
    } while (chonkle_json_mark(json, ','));
    return chonkle_json_mark(json, ']');
}

static bool take_map(chonkle_json *json, bool is_encoding, cast *by) {
    const chonkle_type *from = &by->from, *to = &by->to;
    if (!chonkle_json_mark(json, '{')) return false;
    if (chonkle_json_mark(json, '}')) return true;
    do {
        char name[8];
        if (!chonkle_json_take_string(json, name, sizeof name) || !chonkle_json_mark(json, ':'))
            return false;
        bool is_encode = !strcmp(name, "encode"), is_used = is_encode == is_encoding;
        if (!is_encode && strcmp(name, "decode")) return false;
        if (is_used) by->pair_count = 0;
        if (!take_pairs(json, is_used ? from : to, is_used ? to : from, is_used ? by : NULL))
            return false;
    } while (chonkle_json_mark(json, ','));
    return chonkle_json_mark(json, '}');
}

static bool read_map(chonkle_call *call, bool is_encoding, cast *by) {
    chonkle_json json;
    if (!chonkle_find(call, "scalar_map")) return true;
    by->pairs = malloc(PAIRS_MAX * sizeof *by->pairs);
    if (!by->pairs) return chonkle_fail_memory(call, PAIRS_MAX * sizeof *by->pairs);
    if (!chonkle_json_begin_held(call, "scalar_map", &json)) return false;
    return (take_map(&json, is_encoding, by) && chonkle_json_end(&json)) ||
           chonkle_json_fail(call, &json, "an object with lists `encode` and `decode` of at most "
                                          "1000 pairs of scalars of the two types");
}

/* Mark the elements that equal a key, and make them 0, which every type has. Bits beyond `mask` do
 * not count. */
#define CHOOSE(type)                                                                            \
    static void choose_##type(const uint8_t *original, uint8_t *source, size_t count,           \
                              uint64_t key, uint64_t mask, bool is_nan, uint16_t *chosen,       \
                              uint16_t number) {                                                \
        for (size_t i = 0; i < count; i++) {                                                    \
            type bits = ((const type *)original)[i] & (type)mask;                               \
            if (is_nan ? bits > (type)key : bits == (type)key) {                                \
                chosen[i] = number;                                                             \
                ((type *)source)[i] = 0;                                                        \
            }                                                                                   \
        }                                                                                       \
    }

CHOOSE(u1)
CHOOSE(u2)
CHOOSE(u4)
CHOOSE(u8)

/* Choose the pair of each element, 0 for none; the last of a list that fits. */
static void choose(uint8_t *source, size_t count, const cast *by, uint16_t *chosen) {
    uint8_t original[BLOCK_COUNT * sizeof(u8)];
    size_t size = by->from.size;
    uint64_t infinity = size == 2 ? 0x7C00 : size == 4 ? 0x7F800000 : (uint64_t)0x7FF << 52;
    memcpy(original, source, count * size);
    memset(chosen, 0, count * sizeof *chosen);
    for (size_t i = 0; i < by->pair_count; i++) {
        uint64_t key = by->pairs[i].key, mask = UINT64_MAX;
        uint64_t magnitude = key & (UINT64_MAX >> (65 - 8 * size));
        bool is_float = by->from.kind == 'f', is_nan = is_float && magnitude > infinity;
        /* Any NaN equals NaN, and 0.0 equals -0.0. */
        if (is_nan || (is_float && !magnitude)) mask = UINT64_MAX >> (65 - 8 * size);
        key = is_nan ? infinity : key & mask;
        switch (size) {
            case 1: choose_u1(original, source, count, key, mask, is_nan, chosen, i + 1); break;
            case 2: choose_u2(original, source, count, key, mask, is_nan, chosen, i + 1); break;
            case 4: choose_u4(original, source, count, key, mask, is_nan, chosen, i + 1); break;
            default: choose_u8(original, source, count, key, mask, is_nan, chosen, i + 1); break;
        }
    }
}

static void write_chosen(uint8_t *target, size_t count, const cast *by, const uint16_t *chosen) {
    size_t size = by->to.size;
    for (size_t i = 0; i < count; i++)
        if (chosen[i]) memcpy(target + i * size, &by->pairs[chosen[i] - 1].value, size);
}

/* ---- both directions ----------------------------------------------------------------------- */

/* Say which element of a block has no result, and why. */
static bool fail_element(chonkle_call *call, uint8_t *source, uint8_t *target, size_t at,
                         const cast *by) {
    block value;
    while (convert_block(source, target, 1, by)) {
        source += by->from.size;
        at++;
    }
    if (by->from.kind == 'f') {
        block_read(source, block_type(&by->from), &value, 1);
        if (block_is_single(&by->from)) block_widen(&value, 1);
        if (!is_finite(*value.wide))
            return chonkle_fail(call, "port `bytes`: element %zu is %s, which no integer is; hint: "
                                      "the parameter `scalar_map` may map it",
                                at, *value.wide == *value.wide ? "infinite" : "NaN");
    }
    return chonkle_fail(call, "port `bytes`: element %zu is out of the range of its new type; hint: "
                              "the value `clamp` of the parameter `out_of_range` limits it", at);
}

static bool convert_elements(chonkle_call *call, const chonkle_port *bytes, const cast *by) {
    size_t size = by->from.size, count = bytes->size / size, here;
    bool in_place = by->to.size <= size;
    uint8_t *target = in_place ? bytes->data : blocks_output(call, count, by->to.size);
    uint8_t *output = target, source[BLOCK_COUNT * sizeof(u8)];
    uint16_t chosen[BLOCK_COUNT];
    if (!target) return false;
    for (size_t at = 0; at < count; at += here, target += here * by->to.size) {
        here = count - at < BLOCK_COUNT ? count - at : BLOCK_COUNT;
        memcpy(source, bytes->data + at * size, here * size);
        if (by->from.is_big_endian) byteorder_swap_all(source, here * size, size);
        if (by->pair_count) choose(source, here, by, chosen);
        if (!convert_block(source, target, here, by))
            return fail_element(call, source, target, at, by);
        if (by->pair_count) write_chosen(target, here, by, chosen);
        if (by->to.is_big_endian) byteorder_swap_all(target, here * by->to.size, by->to.size);
    }
    return !in_place || chonkle_output_in_place(call, "bytes", output, count * by->to.size);
}

static bool convert(chonkle_call *call, bool is_encoding) {
    static const char *const roundings[] = {"nearest-even",     "towards-zero", "towards-positive",
                                            "towards-negative", "nearest-away", NULL};
    static const char *const modes[] = {"error", "clamp", "wrap", NULL};
    cast by = {0};
    chonkle_type *data_type = is_encoding ? &by.to : &by.from;
    chonkle_type *dtype = is_encoding ? &by.from : &by.to;
    if (!chonkle_dtype(call, "data_type", "iuf", data_type) ||
        !chonkle_dtype(call, "dtype", "iuf", dtype) ||
        !chonkle_choice(call, "rounding", roundings, &by.rounding) ||
        !chonkle_choice(call, "out_of_range", modes, &by.out_of_range))
        return false;
    if (by.out_of_range == WRAP && data_type->kind == 'f')
        return chonkle_fail(call, "port `out_of_range`: expected `error` or `clamp` with floats as "
                                  "`data_type`, got `wrap`");
    chonkle_port *bytes = chonkle_items(call, "bytes", by.from.size);
    bool is_done = bytes && read_map(call, is_encoding, &by) && convert_elements(call, bytes, &by);
    free(by.pairs);
    return is_done;
}

bool chonkle_encode(chonkle_call *call) { return convert(call, true); }

bool chonkle_decode(chonkle_call *call) { return convert(call, false); }
