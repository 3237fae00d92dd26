/* Elements to blocks of floats and back, with vectors. Each function returns how many elements it
 * did; its caller does the rest one by one.
 *
 * WebAssembly has no vector conversions for integers of 8 bytes and half floats. */
#ifndef LANES_H
#define LANES_H

#include <wasm_simd128.h>

#include "scalars.h"

enum { LANES = 8 };

/* ---- elements to doubles ------------------------------------------------------------------- */

static inline void lanes_widen(f8 *to, v128_t of) {
    wasm_v128_store(to, wasm_f64x2_convert_low_i32x4(of));
    wasm_v128_store(to + 2, wasm_f64x2_convert_low_i32x4(wasm_i64x2_shuffle(of, of, 1, 1)));
}

static inline void lanes_widen_unsigned(f8 *to, v128_t of) {
    wasm_v128_store(to, wasm_f64x2_convert_low_u32x4(of));
    wasm_v128_store(to + 2, wasm_f64x2_convert_low_u32x4(wasm_i64x2_shuffle(of, of, 1, 1)));
}

#define LANES_READ(name, type, load, low, high, widen)                                          \
    static inline size_t lanes_read_##name(const uint8_t *from, f8 *to, size_t count) {         \
        size_t at = 0;                                                                          \
        for (; count - at >= LANES; at += LANES) {                                              \
            v128_t of = load(from + at * sizeof(type));                                         \
            widen(to + at, low);                                                                \
            widen(to + at + LANES / 2, high);                                                   \
        }                                                                                       \
        return at;                                                                              \
    }

#define LANES_I1(address) wasm_i16x8_load8x8(address)
#define LANES_U1(address) wasm_u16x8_load8x8(address)
#define LANES_NEXT wasm_v128_load(from + at * 4 + sizeof(v128_t))

LANES_READ(i1, i1, LANES_I1, wasm_i32x4_extend_low_i16x8(of), wasm_i32x4_extend_high_i16x8(of),
           lanes_widen)
LANES_READ(u1, u1, LANES_U1, wasm_i32x4_extend_low_i16x8(of), wasm_i32x4_extend_high_i16x8(of),
           lanes_widen)
LANES_READ(i2, i2, wasm_v128_load, wasm_i32x4_extend_low_i16x8(of),
           wasm_i32x4_extend_high_i16x8(of), lanes_widen)
LANES_READ(u2, u2, wasm_v128_load, wasm_u32x4_extend_low_u16x8(of),
           wasm_u32x4_extend_high_u16x8(of), lanes_widen)
LANES_READ(i4, i4, wasm_v128_load, of, LANES_NEXT, lanes_widen)
LANES_READ(u4, u4, wasm_v128_load, of, LANES_NEXT, lanes_widen_unsigned)

/* ---- floats and doubles to elements -------------------------------------------------------- */

/* Four integers from values that may be out of range: see blocks.h. */
static inline v128_t lanes_integers(v128_t found, v128_t is_less) {
    return wasm_v128_bitselect(found, wasm_i32x4_splat(INT32_MIN), is_less);
}

static inline v128_t lanes_of_single(const f4 *from) {
    v128_t of = wasm_v128_load(from);
    return lanes_integers(wasm_i32x4_trunc_sat_f32x4(of),
                          wasm_f32x4_lt(of, wasm_f32x4_splat(0x1p31f)));
}

static inline v128_t lanes_of_wide(const f8 *from) {
    v128_t low = wasm_v128_load(from), high = wasm_v128_load(from + 2);
    v128_t bound = wasm_f64x2_splat(0x1p31);
    v128_t found = wasm_i64x2_shuffle(wasm_i32x4_trunc_sat_f64x2_zero(low),
                                      wasm_i32x4_trunc_sat_f64x2_zero(high), 0, 2);
    v128_t is_less = wasm_i32x4_shuffle(wasm_f64x2_lt(low, bound), wasm_f64x2_lt(high, bound), 0,
                                        2, 4, 6);
    return lanes_integers(found, is_less);
}

/* Store the low 4, 2 or 1 bytes of eight integers. */
static inline void lanes_store_4(uint8_t *to, v128_t low, v128_t high) {
    wasm_v128_store(to, low);
    wasm_v128_store(to + sizeof(v128_t), high);
}

static inline void lanes_store_2(uint8_t *to, v128_t low, v128_t high) {
    wasm_v128_store(to, wasm_i16x8_shuffle(low, high, 0, 2, 4, 6, 8, 10, 12, 14));
}

static inline void lanes_store_1(uint8_t *to, v128_t low, v128_t high) {
    v128_t bytes = wasm_i8x16_shuffle(low, high, 0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0,
                                      0);
    wasm_v128_store64_lane(to, bytes, 0);
}

#define LANES_WRITE(of, type, size)                                                             \
    static inline size_t lanes_write_##of##_##size(const type *from, uint8_t *to,               \
                                                   size_t count) {                              \
        size_t at = 0;                                                                          \
        for (; count - at >= LANES; at += LANES)                                                \
            lanes_store_##size(to + at * size, lanes_of_##of(from + at),                        \
                               lanes_of_##of(from + at + LANES / 2));                           \
        return at;                                                                              \
    }

LANES_WRITE(single, f4, 1)
LANES_WRITE(single, f4, 2)
LANES_WRITE(single, f4, 4)
LANES_WRITE(wide, f8, 1)
LANES_WRITE(wide, f8, 2)
LANES_WRITE(wide, f8, 4)

/* Doubles to floats. */
static inline size_t lanes_narrow(const f8 *from, uint8_t *to, size_t count) {
    size_t at = 0;
    for (; count - at >= LANES / 2; at += LANES / 2) {
        v128_t low = wasm_f32x4_demote_f64x2_zero(wasm_v128_load(from + at));
        v128_t high = wasm_f32x4_demote_f64x2_zero(wasm_v128_load(from + at + 2));
        wasm_v128_store(to + at * sizeof(f4), wasm_i64x2_shuffle(low, high, 0, 2));
    }
    return at;
}

#endif
