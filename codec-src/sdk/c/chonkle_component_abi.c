/* The canonical ABI of `chonkle:codec/transform@0.1.0`, as the component model lowers it.
 *
 * A port-map is a list of rows. The host allocates each name and data with cabi_realloc(); they are
 * freed here. A result is valid until the post-return call. */
#include "chonkle_internal.h"

#define INTERFACE "chonkle:codec/transform@0.1.0#"

typedef struct {
    char *name;
    size_t name_size;
    uint8_t *data;
    size_t data_size;
} row;

/* result<port-map, string>, followed by what the post-return call frees. */
typedef struct {
    uint32_t failed; /* one byte and padding */
    const void *address;
    size_t size;
    row *rows;
    uint8_t *output;
    uint8_t *kept; /* the input that contains the output */
} result;

/* An instance runs one call at a time, with its post-return call. */
static result current;

static void release(void *data, size_t size) {
    if (size) free(data); /* an empty string or list is not allocated */
}

void *cabi_realloc(void *old, size_t old_size, size_t align, size_t new_size) {
    if (!new_size) return (void *)align;
    void *data = malloc(new_size);
    /* The canonical ABI has no failure here: the host would write to address 0. */
    if (!data) __builtin_trap();
    memcpy(data, old, old_size < new_size ? old_size : new_size);
    release(old, old_size);
    return data;
}

/* Make the rows of the result. */
static bool make_rows(chonkle_call *call, const row *given) {
    size_t count = call->output_count;
    row *rows = malloc(count * sizeof(row));
    if (!rows) return chonkle_fail_memory(call, count * sizeof(row));
    current.address = current.rows = rows;
    current.size = count;
    current.output = call->output;
    if (call->kept) {
        const char *name = call->kept_name;
        *rows = (row){(char *)name, strlen(name), call->kept_data, call->kept_size};
        given += call->kept - call->inputs;
        if (given->data_size) current.kept = given->data;
        return true;
    }
    uint8_t *at = call->output + CHONKLE_U32;
    for (; count; count--, rows++) {
        rows->name_size = chonkle_read_u32(at);
        rows->name = (char *)at + CHONKLE_U32;
        at += CHONKLE_U32 + rows->name_size;
        rows->data_size = chonkle_read_u32(at);
        rows->data = at + CHONKLE_U32;
        at += CHONKLE_U32 + rows->data_size;
    }
    return true;
}

static result *component_run(row *rows, size_t count, bool is_encoding) {
    chonkle_call call;
    chonkle_begin(&call);
    current = (result){0};
    bool is_good = true;
    for (size_t i = 0; i < count && is_good; i++)
        is_good = chonkle_add_input(&call, rows[i].name, rows[i].name_size, rows[i].data,
                                    rows[i].data_size);
    if (!is_good || !chonkle_run(&call, is_encoding) || !make_rows(&call, rows)) {
        current.failed = 1;
        current.address = chonkle_error_text;
        current.size = chonkle_error_size;
        chonkle_block_free(call.output);
    }
    for (size_t i = 0; i < count; i++) {
        release(rows[i].name, rows[i].name_size);
        if (rows[i].data != current.kept) release(rows[i].data, rows[i].data_size);
    }
    release(rows, count);
    return &current;
}

result *component_encode(row *rows, size_t count) __asm__(INTERFACE "encode");
result *component_decode(row *rows, size_t count) __asm__(INTERFACE "decode");
void component_encode_done(result *done) __asm__("cabi_post_" INTERFACE "encode");
void component_decode_done(result *done) __asm__("cabi_post_" INTERFACE "decode");

result *component_encode(row *rows, size_t count) { return component_run(rows, count, true); }

result *component_decode(row *rows, size_t count) { return component_run(rows, count, false); }

void component_encode_done(result *done) {
    free(done->rows);
    free(done->kept);
    chonkle_block_free(done->output);
    *done = (result){0};
}

void component_decode_done(result *done) { component_encode_done(done); }
