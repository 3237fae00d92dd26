/* The filters of Blosc on one block: those of kernels/, and what they do with a rest. */
#include "bits.h"

/* Whole elements are shuffled; what is left at the end of the block stays as it is.
 *   size: bytes of the block; of an element, `element`. */
void blosc_shuffle(const uint8_t *from, uint8_t *to, size_t size, size_t element) {
    const size_t count = size / element, whole = count * element;
    if (count) transpose_split(from, to, count, (ptrdiff_t)count, element);
    memcpy(to + whole, from + whole, size - whole);
}

void blosc_unshuffle(const uint8_t *from, uint8_t *to, size_t size, size_t element) {
    const size_t count = size / element, whole = count * element;
    if (count) transpose_join(from, to, count, (ptrdiff_t)count, element);
    memcpy(to + whole, from + whole, size - whole);
}

/* Bits are shuffled only where the number of elements is a multiple of 8.
 *   scratch: room for a block. */
void blosc_bitshuffle(const uint8_t *from, uint8_t *to, size_t size, size_t element,
                      uint8_t *scratch) {
    const size_t count = size / element, whole = count % BITS_BYTE ? 0 : count * element;
    if (whole) bits_split(from, to, scratch, count, element);
    memcpy(to + whole, from + whole, size - whole);
}

void blosc_bitunshuffle(const uint8_t *from, uint8_t *to, size_t size, size_t element,
                        uint8_t *scratch) {
    const size_t count = size / element, whole = count % BITS_BYTE ? 0 : count * element;
    if (whole) bits_join(from, to, scratch, count, element);
    memcpy(to + whole, from + whole, size - whole);
}
