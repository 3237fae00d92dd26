/* Elements with their bytes in the opposite order. */
#ifndef BYTEORDER_H
#define BYTEORDER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

/* The elements of a vector, of 1, 2, 4 or 8 bytes. */
static inline v128_t byteorder_swap(v128_t v, size_t size) {
    switch (size) {
        case 1: return v;
        case 2:
            return wasm_i8x16_shuffle(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
        case 4:
            return wasm_i8x16_shuffle(v, v, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
        default:
            return wasm_i8x16_shuffle(v, v, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8);
    }
}

/* `size_bytes` of whole elements, changed in place. */
static inline void byteorder_swap_all(uint8_t *data, size_t size_bytes, size_t size) {
    if (size == 1) return;
    size_t at = 0;
    for (; at + sizeof(v128_t) <= size_bytes; at += sizeof(v128_t))
        wasm_v128_store(data + at, byteorder_swap(wasm_v128_load(data + at), size));
    v128_t rest = wasm_i64x2_const(0, 0);
    memcpy(&rest, data + at, size_bytes - at);
    rest = byteorder_swap(rest, size);
    memcpy(data + at, &rest, size_bytes - at);
}

#endif
