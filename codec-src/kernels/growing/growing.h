/* An output that grows while it is written, for formats that do not record the decoded size.
 *
 * A caller can pass that size in the port `decoded_size`. Decoding then ends with that byte and
 * ignores the rest of the input, as readers of TIFF do: some writers pad a strip, and some leave
 * out its end code. */
#ifndef GROWING_H
#define GROWING_H

#include "chonkle_codec.h"

/* Bytes after the room that short copies may overwrite. */
enum { GROWING_SLACK = 16 };

/* The first room is that of the last output, as most chunks of an array have one size, but at least
 * and at most these multiples of the encoded size. */
enum { GROWING_FIRST_LEAST = 2, GROWING_FIRST_MOST = 64 };

static size_t growing_last;

typedef struct {
    chonkle_call *call;
    uint8_t *data; /* moves when it grows */
    size_t room;   /* bytes that may be written, without the slack */
    bool is_sized; /* the room is `decoded_size`, and does not grow */
} growing;

static inline bool growing_make_room(growing *output, uint64_t room) {
    if (room > INT32_MAX)
        return chonkle_fail(output->call, "port `bytes`: decodes to more than 2 GiB");
    output->room = (size_t)room;
    output->data = chonkle_output_resize(output->call, output->room + GROWING_SLACK);
    return output->data;
}

/* Begin the output `bytes`.
 *   encoded: the size of the encoded form.
 *   bound:   the largest size that it can decode to. */
static inline bool growing_begin(growing *output, chonkle_call *call, size_t encoded,
                                 uint64_t bound) {
    *output = (growing){.call = call, .is_sized = chonkle_find(call, "decoded_size")};
    uint64_t room = growing_last;
    if (output->is_sized) {
        if (!chonkle_uint(call, "decoded_size", 0, INT32_MAX, &room)) return false;
        if (room > bound)
            return chonkle_fail(call, "port `bytes`: %zu bytes cannot hold %llu", encoded,
                                (unsigned long long)room);
    } else {
        uint64_t least = (uint64_t)encoded * GROWING_FIRST_LEAST;
        uint64_t most = (uint64_t)encoded * GROWING_FIRST_MOST;
        if (least > INT32_MAX) least = INT32_MAX;
        room = room < least ? least : room > most ? most : room;
    }
    return chonkle_output(call, "bytes", 0) && growing_make_room(output, room);
}

/* Make room for at least `more` bytes after the `used` ones. */
static inline bool growing_grow(growing *output, size_t used, size_t more) {
    uint64_t least = (uint64_t)used + more, doubled = 2 * (uint64_t)output->room;
    if (doubled > INT32_MAX) doubled = INT32_MAX;
    return growing_make_room(output, doubled < least ? least : doubled);
}

/* End the output after the `used` bytes. */
static inline bool growing_end(growing *output, size_t used) {
    if (output->is_sized && used != output->room)
        return chonkle_fail(output->call, "port `bytes`: expected %zu bytes in it, got %zu",
                            output->room, used);
    growing_last = used;
    return chonkle_output_resize(output->call, used);
}

#endif
