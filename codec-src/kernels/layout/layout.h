/* Elements whose parts differ in size, such as those of structured types: where the scalars are
 * whose bytes have an order, and how to reverse them.
 *
 *     [["a", "<u2"], ["b", "|S3"], ["c", "<f8", [2]]]    2 bytes, 3 of one byte each, two of 8 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <stdlib.h>
#include <string.h>

#include "byteorder.h"
#include "chonkle_codec.h"

enum {
    LAYOUT_RUNS_MAX = 1 << 16, /* 512 KiB of them */
    LAYOUT_DEPTH_MAX = 32,
    LAYOUT_SMALL = 256, /* bytes of an element that is swapped with vectors */
    LAYOUT_BLOCK = 4096, /* bytes that are swapped at a time */
    LAYOUT_VECTOR = sizeof(v128_t)
};

/* Scalars of one size next to each other; of 1 byte those that stay as they are. */
typedef struct {
    uint32_t size;
    uint32_t count;
} layout_run;

typedef struct {
    layout_run *runs; /* from malloc() */
    size_t run_count;
    size_t size; /* bytes of an element */
    bool is_too_large;
} layout;

/* ---- reading ------------------------------------------------------------------------------- */

static bool layout_add(layout *of, size_t size, size_t count) {
    size_t bytes;
    if (__builtin_mul_overflow(size, count, &bytes) || bytes > INT32_MAX - of->size) {
        of->is_too_large = true;
        return false;
    }
    layout_run *last = of->run_count ? of->runs + of->run_count - 1 : NULL;
    of->size += bytes;
    if (!count) return true;
    if (last && last->size == size) {
        last->count += (uint32_t)count;
        return true;
    }
    if (!(of->run_count & (of->run_count - 1))) { /* room for the next power of two */
        size_t room = of->run_count ? 2 * of->run_count : 1;
        layout_run *runs =
            room <= LAYOUT_RUNS_MAX ? realloc(of->runs, room * sizeof *runs) : NULL;
        of->is_too_large = !runs;
        if (!runs) return false;
        of->runs = runs;
    }
    of->runs[of->run_count++] = (layout_run){(uint32_t)size, (uint32_t)count};
    return true;
}

static bool layout_add_scalars(layout *of, const chonkle_type *type, size_t count) {
    size_t parts = type->kind == 'c' ? 2 : type->kind == 'U' ? type->size / 4 : 1;
    bool is_ordered = type->kind != 'S' && type->kind != 'V';
    size_t size = is_ordered ? type->size / parts : 1;
    if (!__builtin_mul_overflow(type->size / size, count, &count)) return layout_add(of, size, count);
    of->is_too_large = true;
    return false;
}

/* Take a number, or a list of numbers, and multiply them. */
static bool layout_shape(chonkle_json *json, size_t *count) {
    bool is_list = chonkle_json_mark(json, '['), is_negative;
    *count = 1;
    if (is_list && chonkle_json_mark(json, ']')) return true;
    do {
        uint64_t extent;
        if (!chonkle_json_take_integer(json, &is_negative, &extent) || is_negative ||
            extent > INT32_MAX || __builtin_mul_overflow(*count, (size_t)extent, count))
            return false;
    } while (is_list && chonkle_json_mark(json, ','));
    return !is_list || chonkle_json_mark(json, ']');
}

/* Take a name, or a title and a name. */
static bool layout_name(chonkle_json *json) {
    if (!chonkle_json_mark(json, '[')) return chonkle_json_take_string(json, NULL, 0);
    return chonkle_json_take_string(json, NULL, 0) && chonkle_json_mark(json, ',') &&
           chonkle_json_take_string(json, NULL, 0) && chonkle_json_mark(json, ']');
}

static bool layout_fields(layout *of, chonkle_json *json, int depth);

static bool layout_repeat(layout *of, const layout *inner, size_t count) {
    if (inner->run_count == 1) {
        layout_run run = *inner->runs;
        if (!__builtin_mul_overflow(run.count, count, &count)) return layout_add(of, run.size, count);
        of->is_too_large = true;
        return false;
    }
    /* Each time adds a run at least. */
    for (size_t i = 0; i < count && inner->run_count; i++)
        for (size_t run = 0; run < inner->run_count; run++)
            if (!layout_add(of, inner->runs[run].size, inner->runs[run].count)) return false;
    return true;
}

/* Take the rest of a field, after `[`. */
static bool layout_field(layout *of, chonkle_json *json, int depth) {
    layout inner = {0};
    chonkle_type type;
    size_t count = 1;
    bool is_good = layout_name(json) && chonkle_json_mark(json, ',');
    bool is_structure = is_good && chonkle_json_mark(json, '[');
    if (is_structure) is_good = layout_fields(&inner, json, depth + 1);
    else if (is_good) is_good = chonkle_json_take_dtype(json, "biufcmMSUV", &type);
    if (is_good && chonkle_json_mark(json, ',')) is_good = layout_shape(json, &count);
    if (is_good && is_structure) is_good = layout_repeat(of, &inner, count);
    else if (is_good) is_good = layout_add_scalars(of, &type, count);
    of->is_too_large |= inner.is_too_large;
    free(inner.runs);
    return is_good && chonkle_json_mark(json, ']');
}

/* Take the rest of a list of fields, after `[`. */
static bool layout_fields(layout *of, chonkle_json *json, int depth) {
    if (depth == LAYOUT_DEPTH_MAX) return false;
    do
        if (!chonkle_json_mark(json, '[') || !layout_field(of, json, depth)) return false;
    while (chonkle_json_mark(json, ','));
    return chonkle_json_mark(json, ']');
}

/* Read a port with a type, structured or not. Byte orders in it do not matter.
 *   found: its runs are freed by the caller, on failure too. */
static bool layout_read(chonkle_call *call, const char *name, layout *found) {
    chonkle_json json;
    chonkle_type type;
    *found = (layout){0};
    if (!chonkle_json_begin(call, name, &json)) return false;
    bool is_good = chonkle_json_mark(&json, '[')
                       ? layout_fields(found, &json, 0)
                       : chonkle_json_take_dtype(&json, "biufcmMSUV", &type) &&
                             layout_add_scalars(found, &type, 1);
    if (found->is_too_large)
        return chonkle_fail(call, "port `%s`: expected elements of less than 2 GiB with at most %d "
                                  "fields", name, LAYOUT_RUNS_MAX);
    return (is_good && found->size && chonkle_json_end(&json)) ||
           chonkle_json_fail(call, &json, "a type, or a list of fields `[name, type]`");
}

/* ---- swapping ------------------------------------------------------------------------------ */

/* A loop for each size, which is a constant in it. */
static void layout_swap_run(uint8_t *data, size_t size_bytes, size_t size) {
    switch (size) {
        case 2: byteorder_swap_all(data, size_bytes, 2); break;
        case 4: byteorder_swap_all(data, size_bytes, 4); break;
        case 8: byteorder_swap_all(data, size_bytes, 8); break;
    }
}

static void layout_swap_each(const layout *of, uint8_t *data, size_t count) {
    for (; count--;)
        for (size_t run = 0; run < of->run_count; run++) {
            size_t size = of->runs[run].size, bytes = size * of->runs[run].count;
            layout_swap_run(data, bytes, size);
            data += bytes;
        }
}

/* A vector in an element: where it begins, and which byte becomes which. */
typedef struct {
    size_t at;
    uint8_t bytes[LAYOUT_VECTOR];
} layout_window;

/* Cover the scalars of some elements with vectors; returns how many. A vector ends within scalars of
 * the next one, which it leaves as they are. */
static size_t layout_windows(const layout *of, size_t elements, layout_window *windows) {
    size_t count = 0, at = 0;
    for (; elements--;)
        for (size_t run = 0; run < of->run_count; run++) {
            size_t size = of->runs[run].size, end = at + size * of->runs[run].count;
            for (; size > 1 && at < end; at += size) {
                if (!count || at + size > windows[count - 1].at + LAYOUT_VECTOR) {
                    windows[count].at = at;
                    for (size_t i = 0; i < LAYOUT_VECTOR; i++)
                        windows[count].bytes[i] = (uint8_t)i;
                    count++;
                }
                layout_window *last = windows + count - 1;
                for (size_t i = 0; i < size; i++)
                    last->bytes[at - last->at + i] = (uint8_t)(at - last->at + size - 1 - i);
            }
            at = end;
        }
    return count;
}

/* Reverse the bytes of all scalars, in place. */
static void layout_swap(const layout *of, uint8_t *data, size_t size_bytes) {
    /* One in each two bytes at most. */
    layout_window windows[LAYOUT_SMALL / 2];
    if (of->run_count == 1) layout_swap_run(data, size_bytes, of->runs->size);
    if (of->run_count == 1) return;
    uint8_t *end = data + size_bytes;
    if (of->size <= LAYOUT_SMALL) {
        size_t elements = of->size < LAYOUT_VECTOR ? LAYOUT_VECTOR / of->size : 1;
        size_t count = layout_windows(of, elements, windows), step = elements * of->size;
        size_t block = LAYOUT_BLOCK / step * step;
        /* Vectors overlap, and a processor waits when it loads what it has just stored in part. So
         * they are loaded from a copy. */
        uint8_t copy[LAYOUT_BLOCK + LAYOUT_VECTOR];
        for (; (size_t)(end - data) >= block + LAYOUT_VECTOR; data += block) {
            memcpy(copy, data, block + LAYOUT_VECTOR);
            for (size_t from = 0; from < block; from += step)
                for (size_t i = 0; i < count; i++) {
                    size_t at = from + windows[i].at;
                    v128_t order = wasm_v128_load(windows[i].bytes);
                    wasm_v128_store(data + at, wasm_i8x16_swizzle(wasm_v128_load(copy + at), order));
                }
        }
    }
    layout_swap_each(of, data, (size_t)(end - data) / of->size);
}

#endif
