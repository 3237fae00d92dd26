/* Decoding carries out orders, and fails where memory was not what it should be. Each is three
 * numbers of 32 bits: what to do, with which of the slots, and a size.
 *
 * The output: how many orders got no memory, how many pages there are once all is free, and how
 * many after what is free was asked for in one piece. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "chonkle_codec.h"

enum { MALLOC, FREE, REALLOC, CALLOC, ALIGNED, SLOTS = 16, STEP = 5, PAGE = 65536, HEADERS = 160 };

extern uint8_t __heap_base;

typedef struct {
    uint8_t *data;
    size_t size;
} slot;

/* Bytes that differ from slot to slot and from place to place. */
static uint8_t byte_of(size_t number, size_t at) { return (uint8_t)(number * 37 + at * 11 + at / 251); }

static void fill(const slot *slots, size_t number) {
    for (size_t at = 0; at < slots[number].size; at++)
        slots[number].data[at] = byte_of(number, at);
}

static bool is_kept(const slot *slots, size_t number, size_t size) {
    for (size_t at = 0; at < size; at++)
        if (slots[number].data[at] != byte_of(number, at)) return false;
    return true;
}

static bool is_zero(const uint8_t *data, size_t size) {
    while (size && !data[size - 1]) size--;
    return !size;
}

bool chonkle_decode(chonkle_call *call) {
    slot slots[SLOTS] = {{0}};
    uint32_t refused = 0, order[3];
    chonkle_port *orders = chonkle_items(call, "bytes", sizeof order);
    if (!orders) return false;
    for (size_t at = 0; at < orders->size; at += sizeof order) {
        memcpy(order, orders->data + at, sizeof order);
        size_t number = order[1] % SLOTS, size = order[2], align = 1;
        slot *used = &slots[number];
        if (!is_kept(slots, number, used->size)) return chonkle_fail(call, "overwritten");
        uint8_t *data = NULL;
        if (order[0] == REALLOC) {
            data = realloc(used->data, size);
            if (data) used->data = data;
            if (data && !is_kept(slots, number, size < used->size ? size : used->size))
                return chonkle_fail(call, "lost when resized");
        } else {
            free(used->data);
            *used = (slot){NULL, 0};
            if (order[0] == ALIGNED) align = (size_t)1 << size % 18;
            if (order[0] == MALLOC) data = malloc(size);
            if (order[0] == CALLOC) data = calloc(size / 3, 3);
            if (order[0] == ALIGNED) data = aligned_alloc(align, size);
            if (order[0] == CALLOC && data && !is_zero(data, size / 3 * 3))
                return chonkle_fail(call, "not zero");
        }
        if (data) {
            if ((uintptr_t)data % 16 || (uintptr_t)data % align)
                return chonkle_fail(call, "not aligned");
            *used = (slot){data, order[0] == CALLOC ? size / 3 * 3 : size};
            if (malloc_usable_size(data) < used->size) return chonkle_fail(call, "too small");
            fill(slots, number);
        } else if (order[0] != FREE) {
            refused++;
        }
    }
    /* Back and forth, so that each way to become one occurs. */
    for (size_t step = 0; step < SLOTS; step++) {
        size_t number = step * STEP % SLOTS;
        if (!is_kept(slots, number, slots[number].size)) return chonkle_fail(call, "overwritten");
        free(slots[number].data);
    }
    uint32_t report[] = {refused, __builtin_wasm_memory_size(0), 0};
    size_t taken = (uintptr_t)&__heap_base + orders->size + HEADERS;
    if (report[1] * PAGE > taken) {
        void *volatile all = malloc(report[1] * PAGE - taken); /* or it is left out */
        if (!all) return chonkle_fail(call, "free memory is in pieces");
        free(all);
    }
    report[2] = __builtin_wasm_memory_size(0);
    uint8_t *to = chonkle_output(call, "bytes", sizeof report);
    return to && memcpy(to, report, sizeof report);
}

bool chonkle_encode(chonkle_call *call) { return chonkle_fail(call, "it only decodes"); }
