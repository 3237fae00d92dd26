/* The header before memory that goes to and comes from the host; not for codecs. */
#ifndef CHONKLE_BLOCK_H
#define CHONKLE_BLOCK_H

#include "chonkle_internal.h"

typedef struct chonkle_block {
    uint32_t mark;
    uint32_t size;
    struct chonkle_block *next; /* in the list of results that begin inside their block */
    void *result;
} chonkle_block;

_Static_assert(sizeof(chonkle_block) == 16, "data behind the header must stay 16-byte aligned");

/* The header of the block whose data begins at an address, or NULL when there is none. */
chonkle_block *chonkle_block_of(const void *data);

#endif
