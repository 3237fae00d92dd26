/* A call: its inputs by name, and its outputs, written where the host reads them. */
#include "chonkle_internal.h"

static uint32_t chonkle_read_u32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value); /* wasm is little-endian */
    return value;
}

static void chonkle_write_u32(uint8_t *to, size_t value) {
    uint32_t written = (uint32_t)value;
    memcpy(to, &written, sizeof written);
}

/* ---- inputs -------------------------------------------------------------------------------- */

static chonkle_port *find(chonkle_call *call, const char *name, size_t name_size) {
    for (chonkle_port *port = call->inputs; port != call->inputs + call->input_count; port++)
        if (port->name_size == name_size && !memcmp(port->name, name, name_size)) return port;
    return NULL;
}

/* Add an input; fails when there are too many or the name is taken. */
static bool chonkle_add_input(chonkle_call *call, const char *name, size_t name_size, uint8_t *data,
                       size_t size) {
    if (find(call, name, name_size))
        return chonkle_fail(call, "port `%.*s` occurs twice", (int)name_size, name);
    if (call->input_count == CHONKLE_PORTS_MAX)
        return chonkle_fail(call, "too many ports, expected at most 64");
    call->inputs[call->input_count++] = (chonkle_port){name, name_size, data, size};
    return true;
}

chonkle_port *chonkle_find(chonkle_call *call, const char *name) {
    return find(call, name, strlen(name));
}

chonkle_port *chonkle_input(chonkle_call *call, const char *name) {
    chonkle_port *port = chonkle_find(call, name);
    if (!port) chonkle_fail(call, "missing port `%s`", name);
    return port;
}

chonkle_port *chonkle_items(chonkle_call *call, const char *name, size_t item_size) {
    chonkle_port *port = chonkle_input(call, name);
    if (!port || (item_size && port->size % item_size == 0)) return port;
    chonkle_fail(call, "port `%s`: expected whole items of %zu bytes, got %zu bytes", name,
                 item_size, port->size);
    return NULL;
}

/* ---- outputs ------------------------------------------------------------------------------- */

/* Make room for an output port-map of `size` bytes, and of `generous` bytes where memory allows. */
static bool reserve(chonkle_call *call, uint64_t size, uint64_t generous) {
    if (size <= call->output_capacity) return true;
    /* Lengths in a port-map, and addresses, have 32 bits. */
    if (size > UINT32_MAX)
        return chonkle_fail(call, "output too large, expected at most %u bytes, got %llu",
                            UINT32_MAX, size);
    if (generous < size || generous > UINT32_MAX) generous = size;
    void *moved = chonkle_block_resize(call->output, (size_t)generous);
    if (!moved) moved = chonkle_block_resize(call->output, (size_t)(generous = size));
    if (!moved) return chonkle_fail_memory(call, (size_t)size);
    call->output = moved;
    call->output_capacity = (size_t)generous;
    return true;
}

/* Append an entry's header to the outputs, in reserved room; returns where its data begins. */
static uint8_t *begin(chonkle_call *call, const char *name, size_t size) {
    size_t name_size = strlen(name);
    uint8_t *entry = call->output + call->output_size;
    chonkle_write_u32(entry, name_size);
    memcpy(entry + CHONKLE_U32, name, name_size);
    chonkle_write_u32(entry + CHONKLE_U32 + name_size, size);
    call->last_data = call->output_size + CHONKLE_U32 + name_size + CHONKLE_U32;
    call->output_size = call->last_data + size;
    chonkle_write_u32(call->output, ++call->output_count);
    return call->output + call->last_data;
}

bool chonkle_outputs(chonkle_call *call, chonkle_port *outputs, size_t count) {
    if (call->kept) return chonkle_fail(call, "an output in place stands alone");
    uint64_t total = call->output_size;
    for (size_t i = 0; i < count && total <= UINT32_MAX; i++)
        total += CHONKLE_U32 + strlen(outputs[i].name) + CHONKLE_U32 + (uint64_t)outputs[i].size;
    if (!reserve(call, total, 0)) return false;
    for (size_t i = 0; i < count; i++)
        outputs[i].data = begin(call, outputs[i].name, outputs[i].size);
    return true;
}

uint8_t *chonkle_output(chonkle_call *call, const char *name, size_t size) {
    chonkle_port output = {.name = name, .size = size};
    return chonkle_outputs(call, &output, 1) ? output.data : NULL;
}

uint8_t *chonkle_output_resize(chonkle_call *call, size_t size) {
    if (!call->output) {
        chonkle_fail(call, "no output to resize");
        return NULL;
    }
    if (!reserve(call, (uint64_t)call->last_data + size, 2 * (uint64_t)call->output_capacity))
        return NULL;
    chonkle_write_u32(call->output + call->last_data - CHONKLE_U32, size);
    call->output_size = call->last_data + size;
    return call->output + call->last_data;
}

uint8_t *chonkle_output_grow(chonkle_call *call, size_t *size, size_t bound) {
    enum { LEAST = 4096, MOST_TIMES = 8, LEAST_TIMES = 2 };
    uint64_t now = call->output_size - call->last_data;
    uint8_t *data = NULL;
    if (now >= bound) chonkle_fail(call, "output larger than %zu bytes", bound);
    for (int times = MOST_TIMES; now < bound && times >= LEAST_TIMES && !data; times /= 2) {
        uint64_t wished = now * (uint64_t)times < LEAST ? LEAST : now * (uint64_t)times;
        *size = wished > bound ? bound : (size_t)wished;
        data = chonkle_output_resize(call, *size);
    }
    return data;
}

bool chonkle_output_in_place(chonkle_call *call, const char *name, uint8_t *data, size_t size) {
    if (call->output_count++) return chonkle_fail(call, "an output in place stands alone");
    for (size_t i = 0; i < call->input_count; i++) {
        chonkle_port *input = &call->inputs[i];
        size_t before = (size_t)(data - input->data);
        if (before <= input->size && size <= input->size - before) {
            call->kept = input;
            call->kept_name = name;
            call->kept_data = data;
            call->kept_size = size;
            return true;
        }
    }
    return chonkle_fail(call, "an output in place lies outside of the inputs");
}

/* ---- the call ------------------------------------------------------------------------------ */

/* Begin a call, without inputs, outputs and failure. */
static void chonkle_begin(chonkle_call *call) {
    call->input_count = call->output_count = call->output_capacity = 0;
    call->output = NULL;
    call->output_size = call->last_data = CHONKLE_U32; /* after the count */
    call->kept = NULL;
    chonkle_error_size = 0;
}

/* Run a transform on a call with inputs, and check that it left an output or an error. */
static bool chonkle_run(chonkle_call *call, bool is_encoding) {
    if (!(is_encoding ? chonkle_encode(call) : chonkle_decode(call)))
        return chonkle_error_size ? false : chonkle_fail(call, "the codec failed without a reason");
    if (!call->output_count) return chonkle_fail(call, "the codec gave no output");
    chonkle_error_size = 0; /* of an attempt that failed before another succeeded */
    return true;
}

