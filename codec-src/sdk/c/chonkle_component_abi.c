/* The canonical ABI of `chonkle:codec/transform@0.1.0`, as the component model lowers it.
 *
 * A port-map is a list of rows; every name and every data is an allocation of its own, made by the
 * host through cabi_realloc and freed here. The result stands until the post-return call. */
#include <stdlib.h>

#include "chonkle_internal.h"

#define INTERFACE "chonkle:codec/transform@0.1.0#"

typedef struct {
    char *name;
    size_t name_size;
    uint8_t *data;
    size_t data_size;
} row;

/* result<port-map, string>, and behind it what the post-return call has to free. */
typedef struct {
    uint8_t failed;
    const void *address;
    size_t size;
    row *rows;
    uint8_t *output;
    uint8_t *kept;
} result;

/* An instance runs one call at a time, and its post-return before the next one. */
static result current;

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size,
                                                               size_t align, size_t new_size) {
    (void)old_size;
    if (!new_size) return (void *)align;
    void *data = realloc(old, new_size);
    /* The canonical ABI knows no failure here: the host would write to address 0. */
    if (!data) __builtin_trap();
    return data;
}

static void release(void *data, size_t size) {
    if (size) free(data); /* an empty string or list has no allocation */
}

static bool make_rows(chonkle_call *call) {
    size_t count = call->kept ? 1 : call->output_count;
    current.rows = malloc(count * sizeof(row));
    if (!current.rows) return chonkle_fail_memory(call, count * sizeof(row));
    current.address = current.rows;
    current.size = count;
    if (call->kept) {
        const char *name = call->kept_name;
        current.rows[0] =
            (row){(char *)name, __builtin_strlen(name), call->kept->data, call->kept_size};
        return true;
    }
    uint8_t *at = call->output + CHONKLE_U32;
    for (size_t i = 0; i < count; i++) {
        row *written = &current.rows[i];
        written->name_size = chonkle_read_u32(at);
        written->name = (char *)at + CHONKLE_U32;
        at += CHONKLE_U32 + written->name_size;
        written->data_size = chonkle_read_u32(at);
        written->data = at + CHONKLE_U32;
        at += CHONKLE_U32 + written->data_size;
    }
    return true;
}

static result *run(row *rows, size_t count, chonkle_transform transform) {
    chonkle_call call;
    call.input_count = call.output_size = call.output_capacity = call.output_count = 0;
    call.output = NULL;
    call.kept = NULL;
    chonkle_clear_error();
    current = (result){0};
    bool good = true;
    for (size_t i = 0; i < count && good; i++)
        good = chonkle_add_input(&call, rows[i].name, rows[i].name_size, rows[i].data,
                                 rows[i].data_size);
    good = good && chonkle_run(&call, transform) && make_rows(&call);
    if (good) {
        current.output = call.output;
        if (call.kept && call.kept->size) current.kept = call.kept->data;
    } else {
        current = (result){.failed = 1, .address = chonkle_error_text, .size = chonkle_error_size};
        if (call.output) chonkle_block_free(call.output);
    }
    for (size_t i = 0; i < count; i++) {
        release(rows[i].name, rows[i].name_size);
        if (rows[i].data != current.kept) release(rows[i].data, rows[i].data_size);
    }
    release(rows, count);
    return &current;
}

static void finish(result *done) {
    free(done->rows);
    free(done->kept);
    if (done->output) chonkle_block_free(done->output);
    *done = (result){0};
}

__attribute__((export_name(INTERFACE "encode"))) result *component_encode(row *rows, size_t count) {
    return run(rows, count, chonkle_encode);
}

__attribute__((export_name(INTERFACE "decode"))) result *component_decode(row *rows, size_t count) {
    return run(rows, count, chonkle_decode);
}

__attribute__((export_name("cabi_post_" INTERFACE "encode"))) void post_encode(result *done) {
    finish(done);
}

__attribute__((export_name("cabi_post_" INTERFACE "decode"))) void post_decode(result *done) {
    finish(done);
}
