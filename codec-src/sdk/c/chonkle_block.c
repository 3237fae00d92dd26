/* Memory that is exchanged with the host.
 *
 *     +0 u32 mark    +4 u32 size    +8 u32 next    +12 u32 result    +16 data, 16-byte aligned
 *
 * The mark identifies a block: a host that frees another address leaks memory and corrupts none.
 * `next` and `result` are for chonkle_core_abi.c: a list of results that begin inside a block. */
#include "chonkle_internal.h"

enum { CHONKLE_MARK = 0x6B6E6863 /* "chnk" */, CHONKLE_PAGE = 65536 };

/* The limit of malloc(), which also keeps the sum of both sizes from overflowing. */
enum { CHONKLE_BLOCK_MAX = INT32_MAX - sizeof(chonkle_block) };

static chonkle_block *chonkle_block_of(const void *data) {
    uintptr_t address = (uintptr_t)data;
    if (!address || address % sizeof(chonkle_block) ||
        (address - 1) / CHONKLE_PAGE >= __builtin_wasm_memory_size(0))
        return NULL;
    chonkle_block *block = (chonkle_block *)(address - sizeof(chonkle_block));
    return block->mark == CHONKLE_MARK ? block : NULL;
}

/* Allocate or resize a block; NULL when memory is out. */
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

/* Free a block; any other address, NULL too, is ignored. */
static void chonkle_block_free(void *data) {
    chonkle_block *block = chonkle_block_of(data);
    if (!block) return;
    block->mark = 0; /* freeing it again does nothing */
    free(block);
}
