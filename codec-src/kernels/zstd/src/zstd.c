/* zstd as one translation unit, with words of 64 bits.
 *
 * zstd's words have the size of a size_t, 32 bits here. With 64 bits, decoding is up to 1.5 times
 * as fast, so size_t has 64 bits in all of zstd, in its interface, too. Pointers keep 32 bits: a
 * pointer plus a length could overflow, which zstd excludes on 64-bit machines; src/lib.rs prevents
 * it. */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define size_t unsigned long long
#define __LP64__ 1 /* counting zeros in a word is one instruction */
#define __SSE2__ 1 /* emmintrin.h beside this file */

/* Contexts are allocated with functions of the caller; nothing else is allocated. */
#define ZSTD_DEPS_MALLOC
#define ZSTD_malloc(size) ((void)(size), (void *)0)
#define ZSTD_calloc(count, size) ((void)(count), (void)(size), (void *)0)
#define ZSTD_free(memory) ((void)(memory))

#define DEBUGLEVEL 0
#define ZSTD_LEGACY_SUPPORT 0
#define ZSTD_DISABLE_ASM 1
#define ZSTD_STATIC_LINKING_ONLY
#define XXH_NAMESPACE ZSTD_
#define XXH_PRIVATE_API
#define XXH_INLINE_ALL

/* For x86-64, bitstream.h computes masks instead of looking them up. The headers that it includes
 * come first, to compile as for other processors. */
#include "common/bits.h"
#include "common/compiler.h"
#include "common/debug.h"
#include "common/error_private.h"
#include "common/mem.h"
#define __x86_64__ 1
#include "common/bitstream.h"
#undef __x86_64__

#include "common/debug.c"
#include "common/entropy_common.c"
#include "common/error_private.c"
#include "common/fse_decompress.c"
#include "common/zstd_common.c"

#include "compress/fse_compress.c"
#include "compress/hist.c"
#include "huf_compress.c" /* with the changes in build.rs */
#include "compress/zstd_compress.c"
#include "compress/zstd_compress_literals.c"
#include "compress/zstd_compress_sequences.c"
#include "compress/zstd_compress_superblock.c"
#include "compress/zstd_double_fast.c"
#include "zstd_fast.c" /* with the changes in build.rs */
#include "fast.h"
#include "compress/zstd_ldm.c"
#include "compress/zstd_opt.c"
#include "compress/zstd_preSplit.c"

/* zstd_lazy.c prefetches rows of its tables and matches in the window. WebAssembly has no prefetch
 * instruction, but a load does it: levels 5 to 12 are up to 1.4 times as fast. */
#undef PREFETCH_L1
#define PREFETCH_L1(address) ((void)*(const volatile BYTE *)(address))
#include "compress/zstd_lazy.c"
#undef PREFETCH_L1
#define PREFETCH_L1(address) ((void)(address))

#include "huf_decompress.c" /* with the changes in build.rs */
#include "decompress/zstd_ddict.c"
#include "decompress/zstd_decompress.c"
#include "zstd_decompress_block.c" /* with the changes in build.rs */

/* ---- for src/lib.rs ------------------------------------------------------------------------ */

ZSTD_CCtx *zstd_kernel_compressor(ZSTD_allocFunction allocate, ZSTD_freeFunction release) {
    return ZSTD_createCCtx_advanced((ZSTD_customMem){allocate, release, NULL});
}

ZSTD_DCtx *zstd_kernel_decompressor(ZSTD_allocFunction allocate, ZSTD_freeFunction release) {
    return ZSTD_createDCtx_advanced((ZSTD_customMem){allocate, release, NULL});
}

/* Whether data, at least one byte, begin like a frame or the first bytes of one. */
static int begins(const BYTE *data, size_t size) {
    BYTE first[4] = {0};
    for (size_t i = 0; i < size && i < sizeof first; i++) first[i] = data[i];
    U32 const known = size < sizeof first ? (1U << 8 * size) - 1 : ~0U;
    U32 const magic = MEM_readLE32(first);
    return !((magic ^ ZSTD_MAGICNUMBER) & known) ||
           !((magic ^ ZSTD_MAGIC_SKIPPABLE_START) & known & ZSTD_MAGIC_SKIPPABLE_MASK);
}

/* Add up the decoded sizes of all frames.
 *   size:     set to the bytes that the frames take; what follows them is no frame.
 *   bytes:    the sum; of a frame that does not record its size, the most that its blocks can hold.
 *   is_exact: 0 when there is such a frame.
 * Returns 0, or an error, also when a recorded size is more than the blocks can hold. */
size_t zstd_kernel_claim(const BYTE *data, size_t *size, U64 *bytes, U32 *is_exact) {
    const BYTE *const end = data + *size;
    *bytes = *size = 0;
    *is_exact = 1;
    do {
        size_t const rest = (size_t)(end - data);
        ZSTD_frameSizeInfo const info = ZSTD_findFrameSizeInfo(data, rest, ZSTD_f_zstd1);
        ZSTD_FrameHeader header;
        if (ZSTD_isError(info.compressedSize)) return info.compressedSize;
        if (info.nbBlocks) { /* a frame to skip has none */
            ZSTD_getFrameHeader(&header, data, rest);
            if (info.decompressedBound > info.nbBlocks * header.blockSizeMax)
                return ERROR(corruption_detected);
            if (header.frameContentSize == ZSTD_CONTENTSIZE_UNKNOWN) *is_exact = 0;
        }
        *bytes += info.decompressedBound;
        data += info.compressedSize;
        *size += info.compressedSize;
    } while (data < end && begins(data, (size_t)(end - data)));
    return 0;
}
