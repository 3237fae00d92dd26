/* Memory that goes to and comes from the host.
 *
 *     +0 u32 mark    +4 u32 size    +8 u32 next    +12 u32 result    +16 data, 16-byte aligned
 *
 * The mark tells a block from a pointer that was never given out, so that a host which frees the
 * wrong thing leaks memory instead of corrupting it. chonkle_core_abi.c keeps its list of results
 * that begin inside a block in the last two. */
#include "chonkle_internal.h"

enum { CHONKLE_MARK = 0x6B6E6863 /* "chnk" */, CHONKLE_PAGE = 65536 };

/* malloc() gives no more; and far from here, the sum of both sizes would wrap around. */
enum { CHONKLE_BLOCK_MAX = INT32_MAX - sizeof(chonkle_block) };

static chonkle_block *chonkle_block_of(const void *data) {
    uintptr_t address = (uintptr_t)data;
    if (!address || address % sizeof(chonkle_block) ||
        (address - 1) / CHONKLE_PAGE >= __builtin_wasm_memory_size(0))
        return NULL;
    chonkle_block *block = (chonkle_block *)(address - sizeof(chonkle_block));
    return block->mark == CHONKLE_MARK ? block : NULL;
}

/* Make a block, or give one another size and keep its bytes; NULL when there is no memory. */
static void *chonkle_block_allocate(size_t size) {
    chonkle_block *block = NULL;
    if (size <= CHONKLE_BLOCK_MAX) block = malloc(sizeof(chonkle_block) + size);
    if (!block) return NULL;
    block->mark = CHONKLE_MARK;
    block->size = (uint32_t)size;
    return block + 1;
}

static void *chonkle_block_resize(void *data, size_t size) {
    chonkle_block *block = NULL;
    if (!data) return chonkle_block_allocate(size);
    if (size <= CHONKLE_BLOCK_MAX)
        block = realloc((chonkle_block *)data - 1, sizeof(chonkle_block) + size);
    if (!block) return NULL;
    block->size = (uint32_t)size;
    return block + 1;
}

/* Free a block; any other address, NULL too, is left alone. */
static void chonkle_block_free(void *data) {
    chonkle_block *block = chonkle_block_of(data);
    if (!block) return;
    block->mark = 0; /* so that freeing twice does nothing */
    free(block);
}
