/* The filters of Blosc on one block: those of kernels/, with a rest that is copied. */
#include "bits.h"

/* Shuffle whole elements; the rest of the block is copied.
 *   size:    bytes of the block.
 *   element: bytes of an element. */
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

/* Unshuffle a block that has its planes, up to 16, in several places. */
void blosc_unshuffle_planes(const uint8_t *const *planes, uint8_t *to, size_t size,
                            size_t element) {
    transpose_join_planes(planes, to, size / element, element);
}

/* Shuffle bits when the number of elements is a multiple of 8; otherwise the block is copied.
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
