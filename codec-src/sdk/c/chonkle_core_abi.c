/* The core ABI: a port-map in linear memory in, a port-map in linear memory out.
 *
 *     alloc(size) -> address          the host writes the inputs there; 0 when out of memory
 *     encode, decode(address, size)   takes and frees the inputs; address << 32 | size of the
 *                                     outputs, which the host frees; 0 is failure
 *     dealloc(address, size)          frees what alloc, encode or decode gave
 *     last_error() -> address << 32 | size of UTF-8 text, valid until the next call
 */
#include <string.h>

#include "chonkle_block.h"

#define EXPORT(name) __attribute__((export_name(#name))) name

/* Results in place begin inside the block that `alloc` gave, wherever the input's data stood. */
static chonkle_block *results_inside;

uint32_t EXPORT(alloc)(uint32_t size) { return (uintptr_t)chonkle_block_allocate(size); }

void EXPORT(dealloc)(uint32_t address, uint32_t size) {
    (void)size;
    void *data = (void *)(uintptr_t)address;
    for (chonkle_block **link = &results_inside; *link; link = &(*link)->next) {
        chonkle_block *block = *link;
        if (block->result != data) continue;
        *link = block->next;
        chonkle_block_free(block + 1);
        return;
    }
    chonkle_block_free(data);
}

uint64_t EXPORT(last_error)(void) {
    return (uint64_t)(uintptr_t)chonkle_error_text << 32 | chonkle_error_size;
}

static uint64_t packed(const void *data, size_t size) {
    return (uint64_t)(uintptr_t)data << 32 | (uint32_t)size;
}

/* Read one length-prefixed byte string of a port-map; NULL when it runs past the end. */
static uint8_t *take(uint8_t **at, const uint8_t *end, size_t *size) {
    if ((size_t)(end - *at) < CHONKLE_U32) return NULL;
    *size = chonkle_read_u32(*at);
    *at += CHONKLE_U32;
    if (*size > (size_t)(end - *at)) return NULL;
    uint8_t *taken = *at;
    *at += *size;
    return taken;
}

static bool read_inputs(chonkle_call *call, uint8_t *at, size_t size) {
    const uint8_t *start = at, *end = at + size;
    if (size < CHONKLE_U32) return chonkle_fail(call, "port-map truncated at byte 0 of %zu", size);
    uint32_t count = chonkle_read_u32(at);
    at += CHONKLE_U32;
    for (uint32_t i = 0; i < count; i++) {
        size_t name_size, data_size;
        uint8_t *name = take(&at, end, &name_size);
        uint8_t *data = name ? take(&at, end, &data_size) : NULL;
        if (!data)
            return chonkle_fail(call, "port-map truncated at byte %zu of %zu", (size_t)(at - start),
                                size);
        if (!chonkle_add_input(call, (char *)name, name_size, data, data_size)) return false;
    }
    if (at != end)
        return chonkle_fail(call, "%zu bytes after the last port of a port-map", (size_t)(end - at));
    return true;
}

/* Write the header of a port-map right before data that stands in the input block already. */
static uint64_t result_in_place(chonkle_call *call, uint8_t *input) {
    size_t name_size = strlen(call->kept_name);
    size_t header = CHONKLE_U32 + CHONKLE_U32 + name_size + CHONKLE_U32;
    uint8_t *data = call->kept->data;
    size_t size = call->kept_size;
    if ((size_t)(data - input) < header) { /* a longer name than the input's: no room for it */
        call->kept = NULL;
        uint8_t *moved = chonkle_output(call, call->kept_name, size);
        if (!moved) return 0;
        memcpy(moved, data, size);
        return packed(call->output, call->output_size);
    }
    uint8_t *result = data - header;
    chonkle_write_u32(result, 1);
    chonkle_write_u32(result + CHONKLE_U32, name_size);
    memcpy(result + 2 * CHONKLE_U32, call->kept_name, name_size);
    chonkle_write_u32(data - CHONKLE_U32, size);
    if (result != input) {
        chonkle_block *block = (chonkle_block *)input - 1;
        block->result = result;
        block->next = results_inside;
        results_inside = block;
    }
    return packed(result, header + size);
}

static uint64_t run(uint32_t address, uint32_t size, chonkle_transform transform) {
    chonkle_call call;
    call.input_count = call.output_size = call.output_capacity = call.output_count = 0;
    call.output = NULL;
    call.kept = NULL;
    chonkle_clear_error();
    uint8_t *input = (uint8_t *)(uintptr_t)address;
    if (!chonkle_block_holds(input, size)) {
        chonkle_fail(&call, "the input does not lie in memory that `alloc` gave");
        return 0;
    }
    uint64_t result = 0;
    if (read_inputs(&call, input, size) && chonkle_run(&call, transform))
        result = call.kept ? result_in_place(&call, input) : packed(call.output, call.output_size);
    if (!result && call.output) chonkle_block_free(call.output);
    if (!result || !call.kept) chonkle_block_free(input);
    return result;
}

uint64_t EXPORT(encode)(uint32_t address, uint32_t size) {
    return run(address, size, chonkle_encode);
}

uint64_t EXPORT(decode)(uint32_t address, uint32_t size) {
    return run(address, size, chonkle_decode);
}
