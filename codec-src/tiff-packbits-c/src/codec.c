/* tiff-packbits: PackBits, TIFF 6.0 (1992), section 9, page 42.
 *
 *     +0 n, 0 to 127      +1 n + 1 literal bytes
 *     +0 n, 129 to 255    +1 a byte to repeat 257 - n times
 *     +0 128              no data */
#include <wasm_simd128.h>

#include "chonkle_codec.h"
#include "growing.h"

enum { NOTHING = 128, PACKET_MOST = 128, RUN_BASE = 257, VECTOR = sizeof(v128_t) };

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Copy bytes, up to a whole vector more.
 *   readable: how many bytes can be read at `from`. */
static inline void copy(uint8_t *to, const uint8_t *from, size_t size, size_t readable) {
    size_t done = 0;
    if (readable >= size + VECTOR)
        for (; done < size; done += VECTOR) wasm_v128_store(to + done, wasm_v128_load(from + done));
    for (; done < size; done++) to[done] = from[done];
}

static inline void fill(uint8_t *to, uint8_t byte, size_t size) {
    for (size_t done = 0; done < size; done += VECTOR)
        wasm_v128_store(to + done, wasm_u8x16_splat(byte));
}

/* ---- encoding ------------------------------------------------------------------------------ */

/* The length of the run of equal bytes at `at`. */
static inline size_t run_at(const uint8_t *at, size_t size) {
    size_t count = 1;
    for (v128_t byte = wasm_u8x16_splat(*at); size - count >= VECTOR; count += VECTOR) {
        unsigned others = wasm_i8x16_bitmask(wasm_i8x16_ne(wasm_v128_load(at + count), byte));
        if (others) return count + (size_t)__builtin_ctz(others);
    }
    while (count < size && at[count] == *at) count++;
    return count;
}

/* How many bytes come before three equal ones; `size` or more when there are none. */
static inline size_t literals_at(const uint8_t *at, size_t size, size_t readable) {
    size_t count = 0;
    for (; count < size && readable - count >= VECTOR + 2; count += VECTOR) {
        v128_t second = wasm_v128_load(at + count + 1);
        v128_t pair = wasm_i8x16_eq(wasm_v128_load(at + count), second);
        v128_t next = wasm_i8x16_eq(second, wasm_v128_load(at + count + 2));
        unsigned runs = wasm_i8x16_bitmask(wasm_v128_and(pair, next));
        if (runs) return count + (size_t)__builtin_ctz(runs);
    }
    for (; count < size; count++)
        if (readable - count > 2 && at[count] == at[count + 1] && at[count] == at[count + 2]) break;
    return count;
}

/* Pack a row; returns the end of the output. Two equal bytes are a run only when no literals come
 * before them, which can include them at the same cost. So literals that end before their packet is
 * full are followed by a run of at least three, which saves their header. */
static uint8_t *pack(uint8_t *to, const uint8_t *row, size_t size) {
    while (size) {
        size_t count = least(size, PACKET_MOST);
        if (size > 1 && row[0] == row[1]) {
            count = run_at(row, count);
            *to++ = (uint8_t)(RUN_BASE - count);
            *to++ = *row;
        } else {
            count = least(literals_at(row, count, size), count);
            *to++ = (uint8_t)(count - 1);
            copy(to, row, count, size);
            to += count;
        }
        row += count;
        size -= count;
    }
    return to;
}

bool chonkle_encode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    uint64_t row = bytes->size ? bytes->size : 1;
    if (chonkle_find(call, "row_size") && !chonkle_uint(call, "row_size", 1, INT32_MAX, &row))
        return false;
    if (bytes->size % row)
        return chonkle_fail(call, "port `bytes`: expected whole rows of %llu bytes, got %zu bytes",
                            (unsigned long long)row, bytes->size);
    uint64_t bound = bytes->size / row * (row + (row + PACKET_MOST - 1) / PACKET_MOST);
    if (bound > INT32_MAX)
        return chonkle_fail(call, "port `bytes`: %zu bytes may need more than 2 GiB", bytes->size);
    uint8_t *start = chonkle_output(call, "bytes", (size_t)bound + VECTOR);
    if (!start) return false;
    uint8_t *to = start;
    for (size_t at = 0; at < bytes->size; at += (size_t)row)
        to = pack(to, bytes->data + at, (size_t)row);
    return chonkle_output_resize(call, (size_t)(to - start));
}

/* ---- decoding ------------------------------------------------------------------------------ */

bool chonkle_decode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    growing output;
    /* Two bytes decode to at most a whole packet. */
    if (!bytes || !growing_begin(&output, call, bytes->size,
                                 (uint64_t)bytes->size * PACKET_MOST / 2))
        return false;
    const uint8_t *from = bytes->data, *end = from + bytes->size;
    uint8_t *to = output.data, *limit = to + output.room;
    while (from != end) {
        unsigned header = *from++;
        if (header == NOTHING) continue;
        bool is_run = header > NOTHING;
        size_t count = is_run ? RUN_BASE - header : header + 1, takes = is_run ? 1 : count;
        size_t room = (size_t)(limit - to), readable = (size_t)(end - from);
        if (count > room) {
            if (output.is_sized) count = room;
            else {
                size_t used = (size_t)(to - output.data);
                if (!growing_grow(&output, used, count)) return false;
                to = output.data + used;
                limit = output.data + output.room;
            }
            if (!count) break;
            if (!is_run) takes = count;
        }
        if (takes > readable) {
            const char *hint = "; hint: with `decoded_size`, decoding ends at that size";
            return chonkle_fail(call, "port `bytes`: truncated: %zu bytes are missing%s",
                                takes - readable, output.is_sized ? "" : hint);
        }
        if (is_run) fill(to, *from, count);
        else copy(to, from, count, readable);
        to += count;
        from += takes;
    }
    return growing_end(&output, (size_t)(to - output.data));
}
