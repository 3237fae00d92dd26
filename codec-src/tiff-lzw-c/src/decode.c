/* Decoding LZW.
 *
 * A new string is the previous one and the byte after it, which are adjacent in the output: the
 * table points there, and a string is copied from there. */
#include <string.h>
#include <wasm_simd128.h>

#include "chonkle_codec.h"
#include "growing.h"
#include "lzw.h"

enum { BYTE = 8, CODE_READ = 4 /* bytes read for a code */ };

typedef struct {
    const uint8_t *from;
    uint32_t size;
} string;

/* The last entry is for strings after the table is full. */
static string table[LZW_CODES + 1];
static uint8_t literals[LZW_LITERALS + sizeof(v128_t)];

typedef struct {
    growing output;
    size_t at;              /* position in the output */
    size_t last_size;       /* of the previous string */
    const uint8_t *encoded; /* the input, without its last bytes, or `tail` */
    uint64_t bit, end;      /* position and end in it */
    const uint8_t *rest;    /* the last bytes */
    size_t rest_size;
    uint8_t tail[2 * CODE_READ]; /* a copy of them, padded */
    unsigned next; /* code of the next string */
    bool is_old;   /* least significant bit first, as writers before TIFF 6.0 */
} decoder;

static inline unsigned code_at(const uint8_t *encoded, uint64_t bit, unsigned width, bool is_old) {
    v128_t word = wasm_v128_load32_zero(encoded + bit / BYTE);
    if (!is_old)
        word = wasm_i8x16_shuffle(word, word, 3, 2, 1, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    uint32_t bits = (uint32_t)wasm_i32x4_extract_lane(word, 0);
    return is_old ? bits >> bit % BYTE & ((1u << width) - 1) : bits << bit % BYTE >> (32 - width);
}

/* Return how many codes can be read. The last ones are read from `tail`, as a read for a code may
 * exceed the input. */
static uint64_t codes_left(decoder *d, unsigned width) {
    if (d->end - d->bit < width && d->rest_size) {
        size_t whole = (size_t)((d->end - d->bit + BYTE - 1) / BYTE);
        memset(d->tail, 0, sizeof d->tail);
        memcpy(d->tail, d->rest - whole, whole + d->rest_size);
        d->encoded = d->tail;
        d->bit = whole * BYTE - (d->end - d->bit);
        d->end = (whole + d->rest_size) * BYTE;
        d->rest_size = 0;
    }
    return (d->end - d->bit) / width;
}

typedef enum { RAN, MEANING, BAD, FULL } stop;

/* Decode codes of one width until the next string's code is `until`. Stop before a code that has a
 * meaning, is bad or needs more room. */
static inline __attribute__((always_inline)) stop run(decoder *d, unsigned until, unsigned width,
                                                      bool is_old) {
    const uint8_t *encoded = d->encoded;
    uint64_t bit = d->bit;
    uint8_t *at = d->output.data + d->at, *last = at - d->last_size;
    uint8_t *const limit = d->output.data + d->output.room;
    unsigned next = d->next;
    stop why = RAN;
    while (next != until) {
        unsigned code = code_at(encoded, bit, width, is_old);
        if (code == LZW_CLEAR || code == LZW_END) { why = MEANING; break; }
        if (code > next) { why = BAD; break; }
        /* The code may be that of this string: its last byte is then its first. */
        table[next] = (string){last, (uint32_t)(at - last) + 1};
        const uint8_t *from = table[code].from;
        size_t size = table[code].size;
        if (size > (size_t)(limit - at)) { why = FULL; break; }
        wasm_v128_store(at, wasm_v128_load(from));
        at[size - 1] = from[size - 1];
        if (size > sizeof(v128_t))
            for (size_t done = sizeof(v128_t); done < size; done += sizeof(v128_t))
                wasm_v128_store(at + done, wasm_v128_load(from + done));
        next++;
        bit += width;
        last = at;
        at += size;
    }
    d->bit = bit;
    d->at = (size_t)(at - d->output.data);
    d->last_size = (size_t)(at - last);
    d->next = next;
    return why;
}

/* A small function for each width keeps its variables in registers. */
#define RUN(width)                                                                              \
    static __attribute__((noinline)) stop run_##width(decoder *d, unsigned until) {             \
        return run(d, until, width, false);                                                     \
    }
RUN(9)
RUN(10)
RUN(11)
RUN(12)

static __attribute__((noinline)) stop run_old(decoder *d, unsigned until, unsigned width) {
    return run(d, until, width, true);
}

static stop run_some(decoder *d, unsigned until, unsigned width) {
    static stop (*const of_width[])(decoder *, unsigned) = {run_9, run_10, run_11, run_12};
    return d->is_old ? run_old(d, until, width) : of_width[width - LZW_WIDTH_LEAST](d, until);
}

/* Make room, and move the table's strings with the output. */
static bool grow(decoder *d, size_t more) {
    const uint8_t *before = d->output.data;
    if (!growing_grow(&d->output, d->at, more)) return false;
    for (unsigned code = LZW_FIRST; code < d->next; code++)
        table[code].from = d->output.data + (table[code].from - before);
    return true;
}

/* The result of decoding: more codes follow, the end code, no more input, or a failure. */
typedef enum { MORE, ENDED, CUT, FAILED } outcome;

static outcome bad_code(decoder *d, unsigned code) {
    chonkle_fail(d->output.call, "port `bytes`: code %u, where there are %u", code, d->next);
    return FAILED;
}

/* Make room for a string; when the size is given, write as much of it as fits, and end. */
static outcome give_last(decoder *d, string given) {
    if (!d->output.is_sized) return grow(d, given.size) ? MORE : FAILED;
    while (d->at < d->output.room) d->output.data[d->at++] = *given.from++;
    return ENDED;
}

/* Decode up to the next code that clears the table. */
static outcome decode_table(decoder *d) {
    unsigned code, width = LZW_WIDTH_LEAST;
    d->next = LZW_FIRST;
    do {
        if (!codes_left(d, width)) return CUT;
        code = code_at(d->encoded, d->bit, width, d->is_old);
        d->bit += width;
    } while (code == LZW_CLEAR);
    if (code == LZW_END) return ENDED;
    if (code >= LZW_LITERALS) return bad_code(d, code);
    if (d->at == d->output.room) {
        outcome found = give_last(d, table[code]);
        if (found != MORE) return found;
    }
    d->output.data[d->at++] = (uint8_t)code;
    d->last_size = 1;
    for (;;) {
        /* TIFF 6.0 widens codes one code early. */
        unsigned wide = width == LZW_WIDTH_MOST ? LZW_CODES + 1 : (1u << width) - !d->is_old;
        uint64_t left = codes_left(d, width);
        if (!left) return CUT;
        stop why = run_some(d, left < wide - d->next ? d->next + (unsigned)left : wide, width);
        if (why == RAN) {
            if (d->next == LZW_CODES + 1) d->next--;
            else if (d->next == wide) width++;
            continue;
        }
        code = code_at(d->encoded, d->bit, width, d->is_old);
        if (why == BAD) return bad_code(d, code);
        if (why == FULL) {
            outcome found = give_last(d, table[code]);
            if (found != MORE) return found;
            continue;
        }
        d->bit += width;
        return code == LZW_END ? ENDED : MORE;
    }
}

bool chonkle_decode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    const uint8_t *data = bytes->data;
    /* A stream begins with LZW_CLEAR, which shows the order of its bits. */
    bool is_old = bytes->size > 1 && data[0] == 0 && data[1] & 1;
    bool is_new = bytes->size > 1 && data[0] == LZW_CLEAR >> 1 && !(data[1] & 0x80);
    if (!is_old && !is_new)
        return chonkle_fail(call, "port `bytes`: no LZW stream, it does not begin with code %d",
                            LZW_CLEAR);
    for (unsigned i = 0; i < LZW_LITERALS; i++) {
        literals[i] = (uint8_t)i;
        table[i] = (string){literals + i, 1};
    }
    size_t rest_size = bytes->size < CODE_READ ? bytes->size : CODE_READ - 1;
    const uint8_t *rest = data + (bytes->size - rest_size);
    decoder d = {.encoded = data, .end = (uint64_t)(rest - data) * BYTE, .rest = rest,
                 .rest_size = rest_size, .is_old = is_old};
    uint64_t most = (uint64_t)bytes->size * BYTE / LZW_WIDTH_LEAST * LZW_CODES;
    if (!growing_begin(&d.output, call, bytes->size, most)) return false;
    outcome found;
    do found = decode_table(&d);
    while (found == MORE);
    if (found == FAILED) return false;
    if (!d.output.is_sized) {
        if (found == CUT)
            return chonkle_fail(call, "port `bytes`: truncated: no code of the end; hint: "
                                      "with `decoded_size`, decoding ends at that size");
        /* Some writers, such as imagecodecs, pad with zeros. */
        size_t behind = d.rest_size + (size_t)((d.end - d.bit) / BYTE);
        const uint8_t *last = data + bytes->size;
        while (behind && !*--last) behind--;
        if (!chonkle_end(call, bytes, bytes->size - behind)) return false;
    }
    return growing_end(&d.output, d.at);
}
