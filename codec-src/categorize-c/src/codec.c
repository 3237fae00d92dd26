/* categorize: text of fixed width as the number of its label, from 1, as in numcodecs; 0 for text
 * without a label, which is decoded as empty.
 *
 * Text is NumPy's `U`: code points of 4 bytes, with zeros behind the last. A longer label is no
 * element's, and is cut on decoding. Of equal labels, the last one is stored. */
#include <stdlib.h>
#include <string.h>

#include "byteorder.h"
#include "chonkle_codec.h"
#include "scalars.h"

enum { POINT = sizeof(u4), BITS_MAX = 26 };

typedef struct {
    const uint32_t *points;
    size_t count;
} label;

typedef struct {
    chonkle_port *bytes;
    chonkle_type text;
    chonkle_type number;
    size_t width; /* code points in an element */
    uint32_t *points; /* from malloc(), and so are the following */
    label *labels;
    size_t label_count;
    uint32_t *slots; /* a hash table of numbers of labels, 0 where it is free */
    int slot_bits;
} categories;

/* ---- labels -------------------------------------------------------------------------------- */

/* Decode UTF-8, which the SDK has checked. */
static size_t to_points(const char *text, uint32_t *points) {
    size_t count = 0;
    for (const uint8_t *at = (const uint8_t *)text; *at; count++) {
        int more = *at < 0x80 ? 0 : *at < 0xE0 ? 1 : *at < 0xF0 ? 2 : 3;
        uint32_t point = more ? *at & (0x3Fu >> more) : *at;
        for (at++; more--; at++) point = point << 6 | (*at & 0x3F);
        points[count] = point;
    }
    return count;
}

static bool take_labels(chonkle_json *json, categories *of, char *text, size_t capacity) {
    uint32_t *points = of->points;
    if (!chonkle_json_mark(json, '[')) return false;
    if (chonkle_json_mark(json, ']')) return true;
    do {
        if (!chonkle_json_take_string(json, text, capacity)) return false;
        size_t count = to_points(text, points);
        of->labels[of->label_count++] = (label){points, count};
        points += count;
    } while (chonkle_json_mark(json, ','));
    return chonkle_json_mark(json, ']');
}

static bool read_labels(chonkle_call *call, categories *of) {
    chonkle_json json;
    if (!chonkle_json_begin_held(call, "labels", &json)) return false;
    /* Each label is two quotation marks and a comma at least; a code point is a byte at least. */
    size_t size = (size_t)(json.end - json.at), most = size / 3 + 1;
    if (size > INT32_MAX / sizeof(label)) return chonkle_fail_memory(call, size);
    of->points = malloc((size + 1) * POINT);
    of->labels = malloc(most * sizeof(label));
    char *text = malloc(size + 1);
    bool is_good = of->points && of->labels && text;
    if (!is_good) chonkle_fail_memory(call, size * POINT);
    else if (!take_labels(&json, of, text, size + 1) || !chonkle_json_end(&json))
        is_good = chonkle_json_fail(call, &json, "a list of strings");
    free(text);
    return is_good;
}

/* ---- encoding ------------------------------------------------------------------------------ */

static uint32_t slot_of(const categories *of, const uint8_t *points, size_t count) {
    uint32_t hash = 0;
    for (size_t i = 0; i < count; i++) hash = (hash ^ ((const u4 *)points)[i]) * 0x9E3779B1;
    return (hash ^ hash >> 15) * 0x85EBCA77 >> (32 - of->slot_bits);
}

/* Find the slot of a text, or the free one where it would be. */
static uint32_t *find(const categories *of, const uint8_t *points, size_t count) {
    uint32_t slot = slot_of(of, points, count), mask = ((uint32_t)1 << of->slot_bits) - 1;
    for (;; slot = (slot + 1) & mask) {
        uint32_t number = of->slots[slot];
        if (!number) return of->slots + slot;
        const label *found = of->labels + number - 1;
        if (found->count == count && !memcmp(found->points, points, count * POINT))
            return of->slots + slot;
    }
}

static bool index_labels(chonkle_call *call, categories *of) {
    of->slot_bits = 1;
    while (((size_t)1 << of->slot_bits) < 2 * of->label_count) of->slot_bits++;
    size_t size = sizeof *of->slots << of->slot_bits;
    of->slots = of->slot_bits <= BITS_MAX ? calloc(1, size) : NULL;
    if (!of->slots) return chonkle_fail_memory(call, size);
    for (size_t i = 0; i < of->label_count; i++) {
        const label *each = of->labels + i;
        *find(of, (const uint8_t *)each->points, each->count) = (uint32_t)i + 1;
    }
    return true;
}

static void write_number(uint8_t *to, uint32_t number, const chonkle_type *type) {
    uint64_t bytes = number;
    if (type->is_big_endian) byteorder_swap_all((uint8_t *)&bytes, type->size, type->size);
    memcpy(to, &bytes, type->size);
}

static bool encode(chonkle_call *call, categories *of) {
    size_t size = of->text.size, count = of->bytes->size / size;
    uint64_t most = UINT64_MAX >> (64 - 8 * of->number.size + (of->number.kind == 'i'));
    if (of->label_count > most)
        return chonkle_fail(call, "port `astype`: %zu labels need larger integers than %llu",
                            of->label_count, most);
    uint8_t *data = of->bytes->data, *to = data;
    if (!index_labels(call, of)) return false;
    if (of->text.is_big_endian) byteorder_swap_all(data, of->bytes->size, POINT);
    uint8_t *output = data;
    if (of->number.size > size) output = to = chonkle_output(call, "bytes", count * of->number.size);
    if (!to) return false;
    for (size_t i = 0; i < count; i++, data += size, to += of->number.size) {
        size_t used = of->width;
        while (used && !((const u4 *)data)[used - 1]) used--;
        write_number(to, *find(of, data, used), &of->number);
    }
    return output != of->bytes->data ||
           chonkle_output_in_place(call, "bytes", output, count * of->number.size);
}

/* ---- decoding ------------------------------------------------------------------------------ */

/* Return the label of a number; NULL when there is none. */
static const label *label_of(const categories *of, const uint8_t *from) {
    uint64_t number = 0;
    memcpy(&number, from, of->number.size);
    if (of->number.is_big_endian)
        byteorder_swap_all((uint8_t *)&number, of->number.size, of->number.size);
    /* A negative number is above any number of labels. */
    return number && number <= of->label_count ? of->labels + number - 1 : NULL;
}

static bool decode(chonkle_call *call, categories *of) {
    size_t size = of->text.size, count = of->bytes->size / of->number.size;
    if (count > INT32_MAX / size)
        return chonkle_fail(call, "port `bytes`: %zu elements of %zu bytes need more than 2 GiB",
                            count, size);
    uint8_t *to = chonkle_output(call, "bytes", count * size);
    if (!to) return false;
    memset(to, 0, count * size);
    if (of->text.is_big_endian)
        for (label *each = of->labels; each < of->labels + of->label_count; each++)
            byteorder_swap_all((uint8_t *)each->points, each->count * POINT, POINT);
    for (size_t i = 0; i < count; i++, to += size) {
        const label *found = label_of(of, of->bytes->data + i * of->number.size);
        size_t points = !found ? 0 : found->count < of->width ? found->count : of->width;
        if (points) memcpy(to, found->points, points * POINT);
    }
    return true;
}

/* ---- both directions ----------------------------------------------------------------------- */

static bool run(chonkle_call *call, bool is_encoding) {
    categories of = {0};
    if (!chonkle_dtype(call, "dtype", "U", &of.text) ||
        !chonkle_dtype(call, "astype", "iu", &of.number))
        return false;
    of.width = of.text.size / POINT;
    of.bytes = chonkle_items(call, "bytes", is_encoding ? of.text.size : of.number.size);
    bool is_done = of.bytes && read_labels(call, &of) && (is_encoding ? encode : decode)(call, &of);
    free(of.points);
    free(of.labels);
    free(of.slots);
    return is_done;
}

bool chonkle_encode(chonkle_call *call) { return run(call, true); }

bool chonkle_decode(chonkle_call *call) { return run(call, false); }
