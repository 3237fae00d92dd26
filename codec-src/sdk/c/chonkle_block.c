/* Memory that goes to and comes from the host.
 *
 *     +0 u32 mark    +4 u32 size    +8 u32 unused    +12 u32 unused    +16 data
 *
 * The mark tells a block from a pointer that was never given out, so that a host which frees the
 * wrong thing leaks memory instead of corrupting it. core_abi.c keeps its list of results that
 * begin inside a block in the two unused words. */
#include <stdlib.h>

#include "chonkle_block.h"

static const uint32_t MARK = 0x6B6E6863; /* "chnk" */

chonkle_block *chonkle_block_of(const void *data) {
    uintptr_t address = (uintptr_t)data;
    uintptr_t end = __builtin_wasm_memory_size(0) * (uintptr_t)65536;
    /* A memory of 4 GiB makes `end` wrap to 0; then any address is inside. */
    if (address < sizeof(chonkle_block) || address % 16 || (end && address > end)) return NULL;
    chonkle_block *block = (chonkle_block *)(address - sizeof(chonkle_block));
    return block->mark == MARK ? block : NULL;
}

void *chonkle_block_allocate(size_t size) {
    if (size > SIZE_MAX - sizeof(chonkle_block)) return NULL;
    chonkle_block *block = malloc(sizeof(chonkle_block) + size);
    if (!block) return NULL;
    *block = (chonkle_block){.mark = MARK, .size = (uint32_t)size};
    return block + 1;
}

void *chonkle_block_resize(void *data, size_t size) {
    if (size > SIZE_MAX - sizeof(chonkle_block)) return NULL;
    chonkle_block *block = realloc((chonkle_block *)data - 1, sizeof(chonkle_block) + size);
    if (!block) return NULL;
    block->size = (uint32_t)size;
    return block + 1;
}

bool chonkle_block_holds(const void *data, size_t size) {
    chonkle_block *block = chonkle_block_of(data);
    return block && size <= block->size;
}

void chonkle_block_free(void *data) {
    chonkle_block *block = chonkle_block_of(data);
    if (!block) return;
    block->mark = 0; /* so that freeing twice does nothing */
    free(block);
}
