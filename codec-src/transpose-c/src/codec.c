/* transpose: the axes of an array in another order.
 *
 * Zarr core specification 3, codec `transpose`: axis i of the encoded array is axis order[i] of the
 * decoded array. */
#include "chonkle_codec.h"
#include "matrix.h"

enum { AXES_MAX = 64 };

/* An axis: its length, and its strides in bytes in the input and the output. */
typedef struct {
    size_t extent, from, to;
} axis;

/* The axes of the output, the last one first, after an axis of the bytes that stay together. */
typedef struct {
    axis axes[AXES_MAX + 1];
    size_t count;
} layout;

/* Add the next axis to the left; it is merged with the one before when both are adjacent in the
 * input, too. */
static void add_axis(layout *of, size_t extent, size_t from) {
    axis *last = &of->axes[of->count - 1];
    if (extent == 1) return;
    if (from == last->extent * last->from) last->extent *= extent;
    else of->axes[of->count++] = (axis){extent, from, last->extent * last->to};
}

static bool read_axes(chonkle_call *call, uint64_t *order, uint64_t *shape, size_t *count) {
    size_t ordered;
    if (!chonkle_uint_list(call, "order", order, AXES_MAX, &ordered) ||
        !chonkle_uint_list(call, "shape", shape, AXES_MAX, count))
        return false;
    if (ordered != *count)
        return chonkle_fail(call, "port `order`: expected %zu axes, like `shape`, got %zu", *count,
                            ordered);
    uint64_t seen = 0;
    for (size_t i = 0; i < ordered; i++) {
        if (order[i] >= ordered || seen >> order[i] & 1)
            return chonkle_fail(call,
                                "port `order`: expected each axis from 0 to %zu once, got %llu",
                                ordered - 1, order[i]);
        seen |= (uint64_t)1 << order[i];
    }
    return true;
}

/* Whether an array of that shape and element size has `size_bytes` bytes. */
static bool fills(const uint64_t *shape, size_t count, uint64_t size, size_t size_bytes) {
    bool overflow = false;
    for (size_t i = 0; i < count; i++) {
        if (!shape[i]) return size_bytes == 0;
        overflow |= __builtin_mul_overflow(size, shape[i], &size);
    }
    return !overflow && size == size_bytes;
}

/* Read the ports and compute the layout; returns false after a failure. */
static bool read_layout(chonkle_call *call, bool is_encoding, chonkle_port *bytes, layout *found) {
    uint64_t order[AXES_MAX], shape[AXES_MAX], size, extents[AXES_MAX];
    size_t count, steps[AXES_MAX], sources[AXES_MAX];
    if (!read_axes(call, order, shape, &count) ||
        !chonkle_uint(call, "elementsize", 1, INT32_MAX, &size))
        return false;
    if (!fills(shape, count, size, bytes->size))
        return chonkle_fail(call, "port `bytes`: expected what fills `shape`, got %zu bytes",
                            bytes->size);
    /* The input's axes, and the input's axis of each output axis. */
    for (size_t i = 0; i < count; i++) {
        extents[i] = is_encoding ? shape[i] : shape[order[i]];
        sources[is_encoding ? i : order[i]] = is_encoding ? order[i] : i;
    }
    size_t step = size;
    for (size_t i = count; i--; step *= extents[i]) steps[i] = step;
    *found = (layout){{{size, 1, 1}}, 1};
    for (size_t i = count; i--;) add_axis(found, extents[sources[i]], steps[sources[i]]);
    return true;
}

static void each_matrix(const uint8_t *from, uint8_t *to, const axis *outer, size_t count,
                        const matrix *shape, size_t size) {
    if (!count) {
        matrix_transpose(from, to, *shape, size);
        return;
    }
    const axis *last = &outer[count - 1];
    for (size_t i = 0; i < last->extent; i++)
        each_matrix(from + i * last->from, to + i * last->to, outer, count - 1, shape, size);
}

/* The last axes of the input and of the output form a matrix for each index of the other axes. */
static void transpose(const uint8_t *from, uint8_t *to, layout *of) {
    const size_t size = of->axes[0].extent;
    const axis rows = of->axes[1];
    axis columns = rows;
    size_t count = 0;
    for (size_t i = 2; i < of->count; i++) {
        if (of->axes[i].from == size) columns = of->axes[i];
        else of->axes[count++] = of->axes[i];
    }
    const matrix shape = {rows.extent, columns.extent, rows.from, columns.to};
    each_matrix(from, to, of->axes, count, &shape, size);
}

static bool reorder(chonkle_call *call, bool is_encoding) {
    layout found;
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes || !read_layout(call, is_encoding, bytes, &found)) return false;
    /* No bytes, or no change of their order. */
    if (!bytes->size || found.count == 1)
        return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
    uint8_t *to = chonkle_output(call, "bytes", bytes->size);
    if (!to) return false;
    transpose(bytes->data, to, &found);
    return true;
}

bool chonkle_encode(chonkle_call *call) { return reorder(call, true); }

bool chonkle_decode(chonkle_call *call) { return reorder(call, false); }
