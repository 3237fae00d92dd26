/* malloc() and the other functions of its family, for the whole module.
 *
 * Chunks differ in size. The memory available to a call must not depend on earlier calls, nor be
 * much less than the host allows. So adjacent free pieces are merged, sizes are not rounded up to
 * powers of two, and memory grows only by what is missing. (Zig's libc keeps memory in lists by
 * power of two, and never moves it to another list.)
 *
 * The heap is a sequence of pieces, 16-byte aligned, each with a header:
 *
 *     +0 u32 size with header    +4 u32 size of the piece before    +8 next    +12 previous
 *
 * Sizes are multiples of 16; the lowest bit marks a used piece. Free pieces are in a list for each
 * power of two, and are never adjacent. A header at the end of memory, marked as used, is the last
 * piece. */
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
    struct piece *next;   /* in its list, while it is free; `previous` likewise */
    struct piece *previous;
} piece;

_Static_assert(sizeof(piece) == 16, "what stands behind a header must be 16-byte aligned");

enum { USED = 1, HEADER = sizeof(piece), LISTS = 32, PAGE = 65536 };

extern uint8_t __heap_base; /* set by the linker: the start of the heap */

static piece *heap_last;
static piece *heap_lists[LISTS];
static uint32_t heap_lists_filled; /* a bit for each list that is not empty */

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

/* Free a piece of which only `size_before` is set, and merge it with free neighbours. */
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

/* Use the first `size` bytes of a piece that is in no list, and free the rest. Returns the address
 * of its data. */
static void *piece_use(piece *used, uint32_t size) {
    uint32_t whole = piece_size(used);
    if (whole - size < 2 * HEADER) size = whole; /* the rest is too small to use */
    used->size = size | USED;
    piece *after = piece_after(used);
    after->size_before = size;
    if (size < whole) piece_put_in(after, whole - size);
    return used + 1;
}

/* ---- the heap ------------------------------------------------------------------------------ */

/* Make a free piece from an address to the end of memory, followed by the last header. */
static void heap_extend(piece *from) {
    heap_last = (piece *)(__builtin_wasm_memory_size(0) * PAGE - HEADER);
    heap_last->size = USED;
    piece_put_in(from, (uint32_t)((uintptr_t)heap_last - (uintptr_t)from));
}

/* Grow memory until `size` bytes are free at its end. */
static bool heap_grow(uint32_t size) {
    uint32_t missing = size;
    if (heap_last && heap_last->size_before && !piece_is_used(piece_before(heap_last)))
        missing -= piece_before(heap_last)->size;
    size_t pages = __builtin_wasm_memory_grow(0, (missing + PAGE - 1) / PAGE);
    if (pages == SIZE_MAX) return false;
    piece *from = heap_last;
    if (!from || (uintptr_t)(from + 1) != pages * PAGE) {
        /* The first time, or other code has grown memory, too, and owns what is between. */
        from = (piece *)(pages * PAGE);
        from->size_before = 0;
    }
    heap_extend(from);
    return true;
}

/* Take a free piece of at least `size` bytes from its list; NULL when there is none. */
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

/* The size of the piece for a request; 0 when that is too large. */
static uint32_t size_for(size_t asked) {
    return asked > PTRDIFF_MAX ? 0 : (uint32_t)(HEADER + (asked + HEADER - 1) / HEADER * HEADER);
}

/* ---- the C library's functions ------------------------------------------------------------- */

void *malloc(size_t asked) {
    uint32_t size = size_for(asked);
    if (!size) return NULL;
    if (!heap_last) {
        /* The rest of the pages that the module starts with. */
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
            heap_grow(size - now); /* extends it in place */
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
