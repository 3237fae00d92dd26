/* The SSE2 instructions that zstd uses, in WebAssembly. */
#ifndef EMMINTRIN_H
#define EMMINTRIN_H

#include <wasm_simd128.h>

typedef v128_t __m128i;

#define _mm_loadu_si128(from) wasm_v128_load(from)
#define _mm_storeu_si128(to, vector) wasm_v128_store((to), (vector))
#define _mm_set1_epi8(byte) wasm_i8x16_splat(byte)
#define _mm_cmpeq_epi8(a, b) wasm_i8x16_eq((a), (b))
#define _mm_movemask_epi8(vector) ((int)wasm_i8x16_bitmask(vector))

#endif
