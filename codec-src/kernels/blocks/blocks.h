/* Arithmetic on elements of any type: a block, small enough for the cache, is read as floats,
 * changed, and written as elements of another type.
 *
 * As NumPy does with an array and a Python float (NEP 50), it computes half floats as floats and
 * integers as doubles. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <string.h>

#include "byteorder.h"
#include "chonkle_codec.h"
#include "lanes.h"
#include "scalars.h"

enum { BLOCK_COUNT = 512 };

typedef union {
    f4 single[BLOCK_COUNT]; /* of f2 and f4 */
    f8 wide[BLOCK_COUNT];   /* of all other types */
} block;

/* A function that changes the first `count` values of a block. */
typedef void block_change(block *values, size_t count, void *parameters);

/* A float out of the integer's range: NumPy's result depends on the processor. These functions do
 * as x86-64 does: the least integer of 32 or 64 bits, of which the low bits are taken. */
static inline int32_t block_i4(f8 value) {
    int32_t found = __builtin_wasm_trunc_saturate_s_i32_f64(value);
    return value < 0x1p31 ? found : INT32_MIN;
}

static inline int64_t block_i8(f8 value) {
    int64_t found = __builtin_wasm_trunc_saturate_s_i64_f64(value);
    return value < 0x1p63 ? found : INT64_MIN;
}

static inline int32_t block_i4_of_single(f4 value) {
    int32_t found = __builtin_wasm_trunc_saturate_s_i32_f32(value);
    return value < 0x1p31f ? found : INT32_MIN;
}

static inline uint64_t block_u8(f8 value) {
    if (value >= 0x1p63) return (uint64_t)block_i8(value - 0x1p63) ^ (uint64_t)1 << 63;
    return (uint64_t)block_i8(value);
}

#define BLOCK_EACH(target, source, expression)                                                  \
    for (size_t i = done; i < count; i++) {                                                        \
        __typeof__(*(source)) value = (source)[i];                                              \
        (target)[i] = expression;                                                               \
    }                                                                                           \
    break

/* A number for the kind and size of a type. */
enum { BLOCK_I1 = 'i' << 4 | 1, BLOCK_I2 = 'i' << 4 | 2, BLOCK_I4 = 'i' << 4 | 4,
       BLOCK_I8 = 'i' << 4 | 8, BLOCK_U1 = 'u' << 4 | 1, BLOCK_U2 = 'u' << 4 | 2,
       BLOCK_U4 = 'u' << 4 | 4, BLOCK_U8 = 'u' << 4 | 8, BLOCK_F2 = 'f' << 4 | 2,
       BLOCK_F4 = 'f' << 4 | 4, BLOCK_F8 = 'f' << 4 | 8 };

static inline int block_type(const chonkle_type *type) {
    return type->kind << 4 | (int)type->size;
}

static bool block_is_single(const chonkle_type *type) {
    return type->kind == 'f' && type->size < sizeof(f8);
}

/* First the vector code of lanes.h, which returns how many elements it did; then the rest. */
#define BLOCK_LANES(call, target, source, expression)                                           \
    done = call;                                                                                \
    BLOCK_EACH(target, source, expression)

static void block_read(const uint8_t *from, int type, block *values, size_t count) {
    size_t done = 0;
    f8 *wide = values->wide;
    switch (type) {
        case BLOCK_F2: BLOCK_EACH(values->single, (const f2 *)from, value);
        case BLOCK_F4: memcpy(values, from, count * sizeof(f4)); break;
        case BLOCK_F8: memcpy(values, from, count * sizeof(f8)); break;
        case BLOCK_I1: BLOCK_LANES(lanes_read_i1(from, wide, count), wide, (const i1 *)from, value);
        case BLOCK_I2: BLOCK_LANES(lanes_read_i2(from, wide, count), wide, (const i2 *)from, value);
        case BLOCK_I4: BLOCK_LANES(lanes_read_i4(from, wide, count), wide, (const i4 *)from, value);
        case BLOCK_I8: BLOCK_EACH(wide, (const i8 *)from, value);
        case BLOCK_U1: BLOCK_LANES(lanes_read_u1(from, wide, count), wide, (const u1 *)from, value);
        case BLOCK_U2: BLOCK_LANES(lanes_read_u2(from, wide, count), wide, (const u2 *)from, value);
        case BLOCK_U4: BLOCK_LANES(lanes_read_u4(from, wide, count), wide, (const u4 *)from, value);
        default: BLOCK_EACH(wide, (const u8 *)from, value);
    }
}

static void block_write_single(const f4 *values, uint8_t *to, int type, size_t count) {
    size_t done = 0;
    switch (type) {
        case BLOCK_F2: BLOCK_EACH((f2 *)to, values, value);
        case BLOCK_F4: memcpy(to, values, count * sizeof(f4)); break;
        case BLOCK_F8: BLOCK_EACH((f8 *)to, values, value);
        case BLOCK_I1:
        case BLOCK_U1:
            BLOCK_LANES(lanes_write_single_1(values, to, count), (u1 *)to, values,
                        (uint8_t)block_i4_of_single(value));
        case BLOCK_I2:
        case BLOCK_U2:
            BLOCK_LANES(lanes_write_single_2(values, to, count), (u2 *)to, values,
                        (uint16_t)block_i4_of_single(value));
        case BLOCK_I4:
            BLOCK_LANES(lanes_write_single_4(values, to, count), (i4 *)to, values,
                        block_i4_of_single(value));
        case BLOCK_U4: BLOCK_EACH((u4 *)to, values, (uint32_t)block_i8((f8)value));
        case BLOCK_I8: BLOCK_EACH((i8 *)to, values, block_i8((f8)value));
        default: BLOCK_EACH((u8 *)to, values, block_u8((f8)value));
    }
}

static void block_write_wide(const f8 *values, uint8_t *to, int type, size_t count) {
    size_t done = 0;
    switch (type) {
        case BLOCK_F2: BLOCK_EACH((f2 *)to, values, value);
        case BLOCK_F4: BLOCK_LANES(lanes_narrow(values, to, count), (f4 *)to, values, (f4)value);
        case BLOCK_F8: memcpy(to, values, count * sizeof(f8)); break;
        case BLOCK_I1:
        case BLOCK_U1:
            BLOCK_LANES(lanes_write_wide_1(values, to, count), (u1 *)to, values,
                        (uint8_t)block_i4(value));
        case BLOCK_I2:
        case BLOCK_U2:
            BLOCK_LANES(lanes_write_wide_2(values, to, count), (u2 *)to, values,
                        (uint16_t)block_i4(value));
        case BLOCK_I4:
            BLOCK_LANES(lanes_write_wide_4(values, to, count), (i4 *)to, values,
                        block_i4(value));
        case BLOCK_U4: BLOCK_EACH((u4 *)to, values, (uint32_t)block_i8(value));
        case BLOCK_I8: BLOCK_EACH((i8 *)to, values, block_i8(value));
        default: BLOCK_EACH((u8 *)to, values, block_u8(value));
    }
}

/* From the other end, so that no value is overwritten before it is read. */
static void block_widen(block *values, size_t count) {
    while (count--) values->wide[count] = values->single[count];
}

static void block_narrow(block *values, size_t count) {
    for (size_t i = 0; i < count; i++) values->single[i] = (f4)values->wide[i];
}

/* Change elements and write them as another type: in place, or apart from the source.
 *   target:    at least as far from the start of the source as the bytes that elements grow.
 *   is_single: whether to compute with floats; otherwise with doubles.
 *   change:    changes the values; NULL to change the type only. */
static void blocks_run(uint8_t *source, size_t count, const chonkle_type *from, uint8_t *target,
                       const chonkle_type *to, bool is_single, block_change *change,
                       void *parameters) {
    int computed = is_single ? BLOCK_F4 : BLOCK_F8;
    bool is_read_as_computed = block_is_single(from) == is_single;
    block scratch;
    uint8_t swapped[BLOCK_COUNT * sizeof(f8)];
    for (size_t here; count; count -= here) {
        here = count < BLOCK_COUNT ? count : BLOCK_COUNT;
        uint8_t *read = source;
        if (from->is_big_endian) {
            read = memcpy(swapped, source, here * from->size);
            byteorder_swap_all(swapped, here * from->size, from->size);
        }
        /* Without a copy when the input or the output has the type that is computed with. */
        block *values =
            is_read_as_computed && block_type(to) == computed ? (block *)target : &scratch;
        if (block_type(from) == computed) values = (block *)read;
        else {
            block_read(read, block_type(from), values, here);
            if (!is_read_as_computed) (is_single ? block_narrow : block_widen)(values, here);
        }
        if (change) change(values, here, parameters);
        if (block_type(to) != computed || values != (block *)target) {
            if (is_single) block_write_single(values->single, target, block_type(to), here);
            else block_write_wide(values->wide, target, block_type(to), here);
        }
        if (to->is_big_endian) byteorder_swap_all(target, here * to->size, to->size);
        source += here * from->size;
        target += here * to->size;
    }
}

/* Begin the output `bytes` for elements that may be too many. */
static uint8_t *blocks_output(chonkle_call *call, size_t count, size_t size) {
    /* `bytes` may have 2 GiB, so that eight times as much does not fit a size_t. */
    if (count <= INT32_MAX / size) return chonkle_output(call, "bytes", count * size);
    chonkle_fail(call, "port `bytes`: %zu elements of %zu bytes need more than 2 GiB", count, size);
    return NULL;
}

/* Change all elements of a port and make them the output `bytes`, in place unless they grow. */
static bool blocks_compute(chonkle_call *call, const chonkle_port *bytes, const chonkle_type *from,
                           const chonkle_type *to, bool is_single, block_change *change,
                           void *parameters) {
    size_t count = bytes->size / from->size;
    bool in_place = to->size <= from->size;
    uint8_t *output = in_place ? bytes->data : blocks_output(call, count, to->size);
    if (!output) return false;
    blocks_run(bytes->data, count, from, output, to, is_single, change, parameters);
    return !in_place || chonkle_output_in_place(call, "bytes", output, count * to->size);
}

/* As blocks_compute(), with the precision of NumPy for an array and a Python float. */
static bool blocks_map(chonkle_call *call, const chonkle_port *bytes, const chonkle_type *from,
                       const chonkle_type *to, block_change *change, void *parameters) {
    return blocks_compute(call, bytes, from, to, block_is_single(from), change, parameters);
}

/* Read the ports `dtype`, `astype` and `bytes`; returns `bytes`, or NULL after a failure.
 *   kinds: the kinds of elements allowed. */
static inline chonkle_port *blocks_of(chonkle_call *call, const char *kinds, bool is_encoding,
                                      chonkle_type *decoded, chonkle_type *encoded) {
    if (!chonkle_dtype(call, "dtype", kinds, decoded)) return NULL;
    *encoded = *decoded;
    if (chonkle_find(call, "astype") && !chonkle_dtype(call, "astype", kinds, encoded)) return NULL;
    return chonkle_items(call, "bytes", is_encoding ? decoded->size : encoded->size);
}

#endif
