/* The core ABI: a port-map in linear memory in, a port-map in linear memory out.
 *
 *     alloc(size)                     returns an address for the inputs, 0 when memory is out
 *     encode, decode(address, size)   frees the inputs; returns address << 32 | size of the
 *                                     outputs, which the host frees, or 0 on failure
 *     dealloc(address, size)          frees memory from alloc, encode or decode
 *     last_error()                    returns address << 32 | size of UTF-8 text, valid until the
 *                                     next call
 */
#include "chonkle_internal.h"

/* Blocks from `alloc` with a result in place, which begins where the input's data was. */
static chonkle_block *results_inside;

uint32_t alloc(uint32_t size) { return (uintptr_t)chonkle_block_allocate(size); }

void dealloc(uint32_t address, uint32_t size) {
    (void)size;
    void *data = (void *)(uintptr_t)address;
    for (chonkle_block **link = &results_inside; *link; link = &(*link)->next) {
        if ((*link)->result != data) continue;
        data = *link + 1;
        *link = (*link)->next;
        break;
    }
    chonkle_block_free(data);
}

static uint64_t packed(const void *data, size_t size) {
    return (uint64_t)(uintptr_t)data << 32 | (uint32_t)size;
}

uint64_t last_error(void) { return packed(chonkle_error_text, chonkle_error_size); }

/* Read `u32 count, { u32 name_len, name, u32 data_len, data }*`. */
static bool read_inputs(chonkle_call *call, uint8_t *start, size_t size) {
    uint8_t *at = start, *end = start + size, *name = NULL;
    size_t name_size = 0;
    /* The count, then two parts for each port, each preceded by its size. */
    uint64_t parts = 1;
    for (uint64_t part = 0; part < parts; part++) {
        size_t left = (size_t)(end - at);
        if (left < CHONKLE_U32) goto truncated;
        size_t part_size = chonkle_read_u32(at);
        at += CHONKLE_U32;
        if (!part) {
            parts += 2 * (uint64_t)part_size;
            continue;
        }
        if (part_size > left - CHONKLE_U32) goto truncated;
        if (part % 2) {
            name = at;
            name_size = part_size;
        } else if (!chonkle_add_input(call, (char *)name, name_size, at, part_size)) {
            return false;
        }
        at += part_size;
    }
    return at == end || chonkle_fail(call, "%zu bytes after the last port of a port-map",
                                     (size_t)(end - at));
truncated:
    return chonkle_fail(call, "port-map truncated at byte %zu of %zu", (size_t)(at - start), size);
}

/* Write a port-map's header right before data that is in the input block. */
static uint64_t result_in_place(chonkle_call *call, uint8_t *input) {
    size_t name_size = strlen(call->kept_name), size = call->kept_size;
    size_t header = CHONKLE_U32 + CHONKLE_U32 + name_size + CHONKLE_U32;
    uint8_t *data = call->kept_data;
    if ((size_t)(data - input) < header) {
        /* The output's name is longer than the input's. */
        call->kept = NULL;
        call->output = chonkle_block_allocate(header + size);
        if (!call->output) return chonkle_fail_memory(call, header + size);
        data = memcpy(call->output + header, data, size);
    }
    uint8_t *result = data - header;
    chonkle_write_u32(result, 1);
    chonkle_write_u32(result + CHONKLE_U32, name_size);
    memcpy(result + 2 * CHONKLE_U32, call->kept_name, name_size);
    chonkle_write_u32(data - CHONKLE_U32, size);
    if (call->kept && result != input) {
        chonkle_block *block = (chonkle_block *)input - 1;
        block->result = result;
        block->next = results_inside;
        results_inside = block;
    }
    return packed(result, header + size);
}

static uint64_t core_run(uint8_t *input, size_t size, bool is_encoding) {
    chonkle_call call;
    chonkle_begin(&call);
    const chonkle_block *block = chonkle_block_of(input);
    if (!block || size > block->size)
        return chonkle_fail(&call, "the input does not lie in memory that `alloc` gave");
    uint64_t result = 0;
    if (read_inputs(&call, input, size) && chonkle_run(&call, is_encoding))
        result = call.kept ? result_in_place(&call, input) : packed(call.output, call.output_size);
    if (!result) chonkle_block_free(call.output);
    if (!result || !call.kept) chonkle_block_free(input);
    return result;
}

uint64_t encode(uint8_t *input, size_t size) { return core_run(input, size, true); }

uint64_t decode(uint8_t *input, size_t size) { return core_run(input, size, false); }
