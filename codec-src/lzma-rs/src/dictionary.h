/* The dictionary of a decoder that grows to what its header claims, and not before the data do.
 *
 * A header may claim 4 GiB, and that of a small chunk claims 8 MiB by default. liblzma allocates so
 * much at once. Here it begins with less, and where its end is reached for the first time, it grows
 * instead of being written to anew. Included by lz_decoder.c: see the build script. */
#ifndef DICTIONARY_H
#define DICTIONARY_H

#include "lz_decoder.h"

enum { DICTIONARY_FIRST = 1 << 16, DICTIONARY_TIMES = 4 };

/* More than an encoder takes. */
#define DICTIONARY_MOST ((size_t)3 << 29)

/* One call at a time, and one decoder with a dictionary in a chain. */
static struct {
    size_t whole; /* bytes that it may grow to */
    const lzma_allocator *allocator;
} dictionary;

/* Give the size to begin with. */
static inline size_t dictionary_begin(size_t whole, const lzma_allocator *allocator) {
    dictionary.whole = whole;
    dictionary.allocator = allocator;
    return my_min(whole, DICTIONARY_FIRST);
}

/* Grow, if its end is reached and it may; false without memory. */
static inline bool dictionary_grow(lzma_dict *dict) {
    if (dict->pos < dict->size || dict->size == dictionary.whole) return true;
    size_t size = my_min(dictionary.whole, dict->size * DICTIONARY_TIMES);
    uint8_t *grown = lzma_alloc(size + LZ_DICT_EXTRA, dictionary.allocator);
    if (!grown) return false;
    memcpy(grown, dict->buf, dict->size);
    lzma_free(dict->buf, dictionary.allocator);
    dict->buf = grown;
    dict->size = size;
    return true;
}

#endif
