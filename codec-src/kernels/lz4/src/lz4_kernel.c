/* lz4 and its slow compressor, with words of 64 bits. */

/* lz4 then uses 64-bit words with 32-bit pointers, as in the x32 ABI. It compresses large chunks
 * 1.3 times as fast, to the same bytes as on 64-bit machines. */
#define __x86_64__ 1
/* The loop of longer copies, which __x86_64__ selects, is 5 to 10 % slower. */
#define LZ4_FAST_DEC_LOOP 0
/* Callers pass the states; lz4 allocates nothing. */
#define LZ4_STATIC_LINKING_ONLY_DISABLE_MEMORY_ALLOCATION 1
#define LZ4_HEAPMODE 0
#define LZ4HC_HEAPMODE 0

#include "lz4.c"
#include "lz4hc.c"
