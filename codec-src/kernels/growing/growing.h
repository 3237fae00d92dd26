/* An output that is written from its beginning to its end and grows, for formats that do not say
 * how much they hold.
 *
 * Who knows how much that is says so in the port `decoded_size`. Decoding ends with that byte then,
 * whatever stands behind it, as readers of TIFF do: some writers fill up a strip, and some leave out
 * the mark at its end. */
#ifndef GROWING_H
#define GROWING_H

#include "chonkle_codec.h"

/* Bytes behind the room that may be overwritten, so that short copies need not be exact. */
enum { GROWING_SLACK = 16 };

/* The room for a first try, in sizes of what is encoded: at least, and at most. Between them the
 * last output's size is a good guess, as the chunks of an array mostly have one size. */
enum { GROWING_FIRST_LEAST = 2, GROWING_FIRST_MOST = 64 };

static size_t growing_last;

typedef struct {
    chonkle_call *call;
    uint8_t *data; /* another place after it grew */
    size_t room;   /* bytes that may be written, besides the slack */
    bool is_sized; /* the room is what is wanted, and does not grow */
} growing;

static inline bool growing_make_room(growing *output, uint64_t room) {
    if (room > INT32_MAX)
        return chonkle_fail(output->call, "port `bytes`: decodes to more than 2 GiB");
    output->room = (size_t)room;
    output->data = chonkle_output_resize(output->call, output->room + GROWING_SLACK);
    return output->data;
}

/* Begin the output `bytes`.
 *   encoded: the size of what is encoded.
 *   bound:   what that can hold at most. */
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

/* Make room for `more` bytes behind the `used` ones at least. */
static inline bool growing_grow(growing *output, size_t used, size_t more) {
    uint64_t least = (uint64_t)used + more, doubled = 2 * (uint64_t)output->room;
    if (doubled > INT32_MAX) doubled = INT32_MAX;
    return growing_make_room(output, doubled < least ? least : doubled);
}

/* End the output behind the `used` bytes. */
static inline bool growing_end(growing *output, size_t used) {
    if (output->is_sized && used != output->room)
        return chonkle_fail(output->call, "port `bytes`: expected %zu bytes in it, got %zu",
                            output->room, used);
    growing_last = used;
    return chonkle_output_resize(output->call, used);
}

#endif
