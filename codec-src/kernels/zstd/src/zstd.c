/* zstd as one translation unit, compiled as for a machine of 64 bits.
 *
 * zstd takes its machine words from size_t, which has 32 bits here, though WebAssembly computes with
 * 64. With words of 64 bits, decoding is up to 1.5 times as fast. So size_t is one for all of zstd,
 * its interface included. Pointers stay what they are: sums of a pointer and a length could wrap
 * around, which zstd excludes on machines of 64 bits by what lies at the end of memory; src/lib.rs
 * does that here. */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define size_t unsigned long long
#define __LP64__ 1 /* counting zeros in a word is one instruction */
#define __SSE2__ 1 /* emmintrin.h beside this file */

/* Contexts get their memory from functions; nothing else allocates. */
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

/* Masks for what is read of a stream are computed, as on this processor, and not looked up. Nothing
 * else shall take this for one: what the file includes comes before. */
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

/* What this file fetches in advance are rows of its tables and matches in the window, so that a
 * load does it, for lack of an instruction. It makes levels 5 to 12 up to 1.4 times as fast. */
#undef PREFETCH_L1
#define PREFETCH_L1(address) ((void)*(const volatile BYTE *)(address))
#include "compress/zstd_lazy.c"
#undef PREFETCH_L1
#define PREFETCH_L1(address) ((void)(address))

#include "decompress/huf_decompress.c"
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

/* Add up what all frames hold.
 *   bytes:    the sum of what they claim; of a frame that claims nothing, what its blocks hold at
 *             most.
 *   is_exact: 0 where there is such a frame.
 * Returns 0, or an error: also where a frame claims more than its blocks can hold. */
size_t zstd_kernel_claim(const BYTE *data, size_t size, U64 *bytes, U32 *is_exact) {
    *bytes = 0;
    *is_exact = 1;
    while (size) {
        ZSTD_frameSizeInfo const info = ZSTD_findFrameSizeInfo(data, size, ZSTD_f_zstd1);
        ZSTD_FrameHeader header;
        if (ZSTD_isError(info.compressedSize)) return info.compressedSize;
        if (info.nbBlocks) { /* a frame to skip has none */
            ZSTD_getFrameHeader(&header, data, size);
            if (info.decompressedBound > info.nbBlocks * header.blockSizeMax)
                return ERROR(corruption_detected);
            if (header.frameContentSize == ZSTD_CONTENTSIZE_UNKNOWN) *is_exact = 0;
        }
        *bytes += info.decompressedBound;
        data += info.compressedSize;
        size -= info.compressedSize;
    }
    return 0;
}
