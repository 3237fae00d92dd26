/* Memory: malloc and its kin, for all of a module.
 *
 * What calls ask for differs from chunk to chunk. What one can have must not depend on those before
 * it, nor be much less than the host allows. So free neighbours become one, sizes are not rounded
 * up, and memory grows by what is missing. (libc's own, in Zig, keeps a list for each power of two,
 * and what was once in one never gets into another.)
 *
 * The heap is a row of pieces, each behind a header and 16-byte aligned:
 *
 *     +0 u32 size, header and all    +4 u32 size of the piece before    +8 next    +12 previous
 *
 * Sizes are multiples of 16; the lowest bit of one says that the piece is used. Free pieces stand
 * in one list for each power of two, and have no free neighbours. The last piece is a header at the
 * end of memory, and used. */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct piece {
    uint32_t size;
    uint32_t size_before; /* 0 for the first */
    struct piece *next;   /* these two, in its list, while it is free */
    struct piece *previous;
} piece;

_Static_assert(sizeof(piece) == 16, "what stands behind a header must be 16-byte aligned");

enum { USED = 1, HEADER = sizeof(piece), LISTS = 32, PAGE = 65536 };

extern uint8_t __heap_base; /* of the linker: what is below is not the heap's */

static piece *heap_last;
static piece *heap_lists[LISTS];
static uint32_t heap_lists_filled; /* a bit for each */

static uint32_t piece_size(const piece *any) { return any->size & ~(uint32_t)USED; }

static bool piece_is_used(const piece *any) { return any->size & USED; }

static piece *piece_after(const piece *any) {
    return (piece *)((uintptr_t)any + piece_size(any));
}

static piece *piece_before(const piece *any) {
    return (piece *)((uintptr_t)any - any->size_before);
}

static int list_of(uint32_t size) { return LISTS - 1 - __builtin_clz(size); }

/* ---- pieces -------------------------------------------------------------------------------- */

static void piece_take_out(piece *taken) {
    int list = list_of(taken->size);
    if (taken->next) taken->next->previous = taken->previous;
    if (taken->previous) {
        taken->previous->next = taken->next;
    } else {
        heap_lists[list] = taken->next;
        if (!taken->next) heap_lists_filled &= ~(1U << list);
    }
}

/* Free a piece of which only `size_before` is set: it becomes one with free neighbours. */
static void piece_put_in(piece *freed, uint32_t size) {
    piece *after = (piece *)((uintptr_t)freed + size);
    if (!piece_is_used(after)) {
        piece_take_out(after);
        size += after->size;
    }
    piece *before = piece_before(freed);
    if (freed->size_before && !piece_is_used(before)) {
        piece_take_out(before);
        size += before->size;
        freed = before;
    }
    int list = list_of(size);
    *freed = (piece){size, freed->size_before, heap_lists[list], NULL};
    if (freed->next) freed->next->previous = freed;
    heap_lists[list] = freed;
    heap_lists_filled |= 1U << list;
    piece_after(freed)->size_before = size;
}

/* Use the first `size` bytes of a piece that stands in no list and has that many; free the rest.
 * Gives what the program gets. */
static void *piece_use(piece *used, uint32_t size) {
    uint32_t whole = piece_size(used);
    if (whole - size < 2 * HEADER) size = whole; /* nobody could use the rest */
    used->size = size | USED;
    piece *after = piece_after(used);
    after->size_before = size;
    if (size < whole) piece_put_in(after, whole - size);
    return used + 1;
}

/* ---- the heap ------------------------------------------------------------------------------ */

/* Make what is free, from an address to the end of memory, a piece, and end the row behind it. */
static void heap_extend(piece *from) {
    heap_last = (piece *)(__builtin_wasm_memory_size(0) * PAGE - HEADER);
    heap_last->size = USED;
    piece_put_in(from, (uint32_t)((uintptr_t)heap_last - (uintptr_t)from));
}

/* Grow memory so far that `size` bytes are free at its end. */
static bool heap_grow(uint32_t size) {
    uint32_t missing = size;
    if (heap_last && heap_last->size_before && !piece_is_used(piece_before(heap_last)))
        missing -= piece_before(heap_last)->size;
    size_t pages = __builtin_wasm_memory_grow(0, (missing + PAGE - 1) / PAGE);
    if (pages == SIZE_MAX) return false;
    piece *from = heap_last;
    if (!from || (uintptr_t)(from + 1) != pages * PAGE) {
        /* The beginning; or somebody else grew memory too, and has what is between. */
        from = (piece *)(pages * PAGE);
        from->size_before = 0;
    }
    heap_extend(from);
    return true;
}

/* Take out a free piece of at least so many bytes; NULL when there is none. */
static piece *heap_find(uint32_t size) {
    int list = list_of(size);
    piece *found = heap_lists[list];
    while (found && found->size < size) found = found->next;
    if (!found) {
        uint32_t larger = heap_lists_filled & ~((2U << list) - 1);
        if (larger) found = heap_lists[__builtin_ctz(larger)];
    }
    if (found) piece_take_out(found);
    return found;
}

/* What a program asks for, as the size of a piece; 0 when nothing can be that large. */
static uint32_t size_for(size_t asked) {
    return asked > PTRDIFF_MAX ? 0 : (uint32_t)(HEADER + (asked + HEADER - 1) / HEADER * HEADER);
}

/* ---- what programs call -------------------------------------------------------------------- */

void *malloc(size_t asked) {
    uint32_t size = size_for(asked);
    if (!size) return NULL;
    if (!heap_last) {
        /* What the linker left of the first pages. */
        uintptr_t start = ((uintptr_t)&__heap_base + HEADER - 1) & -(uintptr_t)HEADER;
        if (__builtin_wasm_memory_size(0) * PAGE - start >= 2 * HEADER) {
            ((piece *)start)->size_before = 0;
            heap_extend((piece *)start);
        }
    }
    piece *found;
    while (!(found = heap_find(size)))
        if (!heap_grow(size)) return NULL;
    return piece_use(found, size);
}

void free(void *data) {
    if (!data) return;
    piece *freed = (piece *)data - 1;
    piece_put_in(freed, piece_size(freed));
}

void *calloc(size_t count, size_t each) {
    size_t asked;
    if (__builtin_mul_overflow(count, each, &asked)) return NULL;
    void *data = malloc(asked);
    return data ? memset(data, 0, asked) : NULL;
}

void *realloc(void *data, size_t asked) {
    if (!data) return malloc(asked);
    uint32_t size = size_for(asked);
    if (!size) return NULL;
    piece *kept = (piece *)data - 1;
    uint32_t now = piece_size(kept);
    if (size > now) {
        piece *after = piece_after(kept);
        bool is_free = !piece_is_used(after);
        if (now + (is_free ? after->size : 0) < size &&
            (is_free ? piece_after(after) : after) == heap_last)
            heap_grow(size - now); /* makes it longer where it stands */
        after = piece_after(kept);
        if (piece_is_used(after) || now + after->size < size) {
            void *moved = malloc(asked);
            if (!moved) return NULL;
            memcpy(moved, data, now - HEADER);
            free(data);
            return moved;
        }
        piece_take_out(after);
        kept->size += after->size;
    }
    return piece_use(kept, size);
}

void *reallocarray(void *data, size_t count, size_t each) {
    size_t asked;
    return __builtin_mul_overflow(count, each, &asked) ? NULL : realloc(data, asked);
}

void *aligned_alloc(size_t align, size_t asked) {
    if (!align || align & (align - 1) || align > PTRDIFF_MAX / 2 || asked > PTRDIFF_MAX / 2)
        return NULL;
    if (align < HEADER) align = HEADER;
    uint8_t *data = malloc(asked + align - HEADER);
    if (!data) return NULL;
    piece *used = (piece *)data - 1;
    uint32_t front = -(uintptr_t)data & (align - 1);
    if (front) {
        piece *aligned = (piece *)(data + front) - 1;
        *aligned = (piece){piece_size(used) - front + USED, front, NULL, NULL};
        piece_after(aligned)->size_before = piece_size(aligned);
        piece_put_in(used, front);
        used = aligned;
    }
    return piece_use(used, size_for(asked));
}

int posix_memalign(void **data, size_t align, size_t asked) {
    if (align % sizeof(void *) || !align || align & (align - 1)) return EINVAL;
    void *given = aligned_alloc(align, asked);
    if (!given) return ENOMEM;
    *data = given;
    return 0;
}

void *memalign(size_t align, size_t asked) { return aligned_alloc(align, asked); }

void *valloc(size_t asked) { return aligned_alloc(PAGE, asked); }

size_t malloc_usable_size(void *data) { return data ? piece_size((piece *)data - 1) - HEADER : 0; }
