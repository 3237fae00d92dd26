/* A decoder's dictionary that grows with the data.
 *
 * liblzma allocates the size in the stream's header: up to 4 GiB, and by default 8 MiB even for a
 * small chunk. Here the dictionary starts smaller. When its end is reached, it grows up to that
 * size before it wraps around. Included by lz_decoder.c: see build.rs. */
#ifndef DICTIONARY_H
#define DICTIONARY_H

#include "lz_decoder.h"

enum { DICTIONARY_FIRST = 1 << 16, DICTIONARY_TIMES = 4 };

/* The largest dictionary of liblzma's encoders. */
#define DICTIONARY_MOST ((size_t)3 << 29)

/* One call at a time, and one dictionary in a chain of filters. */
static struct {
    size_t whole; /* the size that it may grow to */
    const lzma_allocator *allocator;
} dictionary;

/* Return the first size. */
static inline size_t dictionary_begin(size_t whole, const lzma_allocator *allocator) {
    dictionary.whole = whole;
    dictionary.allocator = allocator;
    return my_min(whole, DICTIONARY_FIRST);
}

/* Grow when its end is reached; returns false when memory is out. */
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
