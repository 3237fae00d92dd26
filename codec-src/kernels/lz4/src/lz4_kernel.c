/* lz4 and its slow compressor, compiled as for a machine of 64 bits. */

/* The one thing that lz4 reads from this name is that words may have 64 bits though pointers have
 * 32, as in the x32 ABI: 1.3 times as fast a compression of large chunks, and one that gives what
 * lz4 gives elsewhere. */
#define __x86_64__ 1
/* It would choose a loop of longer copies with it, which was 5 to 10 % slower. */
#define LZ4_FAST_DEC_LOOP 0
/* States are given to it; nothing allocates. */
#define LZ4_STATIC_LINKING_ONLY_DISABLE_MEMORY_ALLOCATION 1
#define LZ4_HEAPMODE 0
#define LZ4HC_HEAPMODE 0

#include "lz4.c"
#include "lz4hc.c"
