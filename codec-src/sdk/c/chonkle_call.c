/* A call: its inputs by name, and its outputs, written where the host will read them. */
#include <string.h>

#include "chonkle_internal.h"

uint32_t chonkle_read_u32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value); /* wasm is little-endian */
    return value;
}

void chonkle_write_u32(uint8_t *to, size_t value) {
    uint32_t written = (uint32_t)value;
    memcpy(to, &written, sizeof written);
}

static bool is_named(const chonkle_port *port, const char *name, size_t name_size) {
    return port->name_size == name_size && memcmp(port->name, name, name_size) == 0;
}

static chonkle_port *find(chonkle_call *call, const char *name, size_t name_size) {
    for (size_t i = 0; i < call->input_count; i++)
        if (is_named(&call->inputs[i], name, name_size)) return &call->inputs[i];
    return NULL;
}

bool chonkle_add_input(chonkle_call *call, const char *name, size_t name_size, uint8_t *data,
                       size_t size) {
    if (call->input_count == CHONKLE_PORTS_MAX)
        return chonkle_fail(call, "too many ports, expected at most %d", CHONKLE_PORTS_MAX);
    if (find(call, name, name_size)) {
        char shown[CHONKLE_SHOWN_MAX];
        return chonkle_fail(call, "port `%s` occurs twice", chonkle_shown(shown, name, name_size));
    }
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

/* Make room for the output port-map to become `size` bytes long. */
static bool reserve(chonkle_call *call, uint64_t size) {
    if (size <= call->output_capacity) return true;
    /* Lengths of a port-map are 32-bit, and so are addresses. */
    if (size > UINT32_MAX)
        return chonkle_fail(call, "output too large, expected at most %llu bytes, got %llu",
                            (unsigned long long)UINT32_MAX, (unsigned long long)size);
    void *moved = call->output ? chonkle_block_resize(call->output, (size_t)size)
                               : chonkle_block_allocate((size_t)size);
    if (!moved) return chonkle_fail_memory(call, (size_t)size);
    call->output = moved;
    call->output_capacity = (size_t)size;
    return true;
}

static uint64_t entry_size(const char *name, size_t size) {
    return (uint64_t)CHONKLE_U32 + strlen(name) + CHONKLE_U32 + size;
}

static bool may_begin(chonkle_call *call) {
    if (call->kept) return chonkle_fail(call, "an output in place stands alone");
    if (!call->output) call->output_size = CHONKLE_U32; /* the count, written at the end */
    return true;
}

/* Write an entry's header behind the outputs so far; there is room. */
static uint8_t *begin(chonkle_call *call, const char *name, size_t size) {
    size_t name_size = strlen(name);
    uint8_t *entry = call->output + call->output_size;
    chonkle_write_u32(entry, name_size);
    memcpy(entry + CHONKLE_U32, name, name_size);
    chonkle_write_u32(entry + CHONKLE_U32 + name_size, size);
    call->last_data = call->output_size + CHONKLE_U32 + name_size + CHONKLE_U32;
    call->output_size = call->last_data + size;
    call->output_count++;
    chonkle_write_u32(call->output, call->output_count);
    return call->output + call->last_data;
}

uint8_t *chonkle_output(chonkle_call *call, const char *name, size_t size) {
    if (!may_begin(call) || !reserve(call, call->output_size + entry_size(name, size))) return NULL;
    return begin(call, name, size);
}

uint8_t *chonkle_output_resize(chonkle_call *call, size_t size) {
    if (!call->output_count) {
        chonkle_fail(call, "no output to resize");
        return NULL;
    }
    if (!reserve(call, (uint64_t)call->last_data + size)) return NULL;
    chonkle_write_u32(call->output + call->last_data - CHONKLE_U32, size);
    call->output_size = call->last_data + size;
    return call->output + call->last_data;
}

bool chonkle_outputs(chonkle_call *call, chonkle_port *outputs, size_t count) {
    if (!may_begin(call)) return false;
    uint64_t total = call->output_size;
    for (size_t i = 0; i < count; i++) {
        total += entry_size(outputs[i].name, outputs[i].size);
        if (total > UINT32_MAX) break; /* reserve() says so; a longer sum could wrap around */
    }
    if (!reserve(call, total)) return false;
    for (size_t i = 0; i < count; i++)
        outputs[i].data = begin(call, outputs[i].name, outputs[i].size);
    return true;
}

bool chonkle_output_in_place(chonkle_call *call, const char *name, chonkle_port *input,
                             size_t size) {
    if (call->output_count || call->kept)
        return chonkle_fail(call, "an output in place stands alone");
    if (size > input->size)
        return chonkle_fail(call, "output `%s` larger than its input, expected at most %zu bytes, "
                            "got %zu", name, input->size, size);
    call->kept = input;
    call->kept_name = name;
    call->kept_size = size;
    return true;
}

bool chonkle_run(chonkle_call *call, chonkle_transform transform) {
    if (!transform(call)) {
        if (!chonkle_error_size) chonkle_fail(call, "the codec failed without a reason");
        return false;
    }
    if (!call->output_count && !call->kept) return chonkle_fail(call, "the codec gave no output");
    return true;
}
