/* Encoding LZW, most significant bit first. */
#include <string.h>

#include "chonkle_codec.h"
#include "lzw.h"

enum {
    BYTE = 8,
    WORD = 32,
    SLOT_BITS = 15,
    SLOTS = 1 << SLOT_BITS, /* enough that most lookups take one try */
    TRIES = 32,             /* at most, for any data */
    CODES_USED = LZW_CODES - 1, /* TIFF 6.0: some readers do not support the last one */
};

/* A hash table of strings: the code in each slot, 0 for none, and the key of each code: the code of
 * all bytes but the last, and that byte. */
static uint16_t slots[SLOTS];
static uint32_t keys[LZW_CODES];

typedef struct {
    uint8_t *at;
    uint64_t bits; /* not yet written, the lowest `count` */
    unsigned count;
    unsigned width; /* of codes */
} sink;

static inline void put(sink *to, unsigned code) {
    to->bits = to->bits << to->width | code;
    to->count += to->width;
    if (to->count < WORD) return;
    to->count -= WORD;
    uint32_t word = __builtin_bswap32((uint32_t)(to->bits >> to->count));
    memcpy(to->at, &word, sizeof word);
    to->at += sizeof word;
}

/* Begin a table; returns the first string's code. */
static unsigned clear(sink *to) {
    put(to, LZW_CLEAR);
    to->width = LZW_WIDTH_LEAST;
    memset(slots, 0, sizeof slots);
    return LZW_FIRST;
}

/* Return a string's code, or 0 with the slot for it. */
static inline unsigned find(uint32_t key, unsigned *slot) {
    unsigned at = key * 0x9E3779B1 >> (32 - SLOT_BITS); /* 2^32 divided by the golden ratio */
    for (int tries = TRIES;;) {
        unsigned code = slots[at];
        if (!code || keys[code] == key || !--tries) {
            *slot = at;
            return code && keys[code] == key ? code : 0;
        }
        at = (at + 1) % SLOTS;
    }
}

static void put_all(sink *to, const uint8_t *data, size_t size) {
    unsigned next = clear(to), code = data[0];
    for (size_t i = 1; i < size; i++) {
        uint32_t key = code << BYTE | data[i];
        unsigned slot, longer = find(key, &slot);
        if (longer) {
            code = longer;
            continue;
        }
        put(to, code);
        slots[slot] = (uint16_t)next;
        keys[next++] = key;
        if (next == CODES_USED) next = clear(to);
        else if (next == 1u << to->width) to->width++;
        code = data[i];
    }
    put(to, code);
    /* A decoder adds one more string here. */
    if (next + 1 == 1u << to->width && to->width < LZW_WIDTH_MOST) to->width++;
}

bool chonkle_encode(chonkle_call *call) {
    chonkle_port *bytes = chonkle_input(call, "bytes");
    if (!bytes) return false;
    uint64_t bound = (uint64_t)bytes->size + bytes->size / 2 + 16;
    if (bound > INT32_MAX)
        return chonkle_fail(call, "port `bytes`: %zu bytes may need more than 2 GiB", bytes->size);
    uint8_t *start = chonkle_output(call, "bytes", (size_t)bound);
    if (!start) return false;
    sink to = {.at = start, .width = LZW_WIDTH_LEAST};
    if (bytes->size) put_all(&to, bytes->data, bytes->size);
    else put(&to, LZW_CLEAR);
    put(&to, LZW_END);
    for (; to.count; to.count -= to.count < BYTE ? to.count : BYTE)
        *to.at++ = (uint8_t)(to.bits << BYTE >> to.count);
    return chonkle_output_resize(call, (size_t)(to.at - start));
}
