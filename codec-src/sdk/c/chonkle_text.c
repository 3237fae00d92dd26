/* String ports: a JSON string (RFC 8259, section 7) to terminated UTF-8. */
#include <string.h>

#include "chonkle_json.h"

typedef struct {
    char *text;
    size_t size;
    size_t capacity;
} sink;

static bool put(sink *out, uint8_t byte) {
    if (out->size + 1 >= out->capacity) return false; /* the terminator needs room, too */
    out->text[out->size++] = (char)byte;
    return true;
}

/* RFC 3629, section 3. */
static bool put_character(sink *out, uint32_t character) {
    if (character < 0x80) return put(out, (uint8_t)character);
    if (character < 0x800)
        return put(out, (uint8_t)(0xC0 | character >> 6)) &&
               put(out, (uint8_t)(0x80 | (character & 0x3F)));
    if (character < 0x10000)
        return put(out, (uint8_t)(0xE0 | character >> 12)) &&
               put(out, (uint8_t)(0x80 | (character >> 6 & 0x3F))) &&
               put(out, (uint8_t)(0x80 | (character & 0x3F)));
    return put(out, (uint8_t)(0xF0 | character >> 18)) &&
           put(out, (uint8_t)(0x80 | (character >> 12 & 0x3F))) &&
           put(out, (uint8_t)(0x80 | (character >> 6 & 0x3F))) &&
           put(out, (uint8_t)(0x80 | (character & 0x3F)));
}

static bool take_hex(chonkle_json *json, uint32_t *value) {
    uint32_t found = 0;
    for (int i = 0; i < 4; i++) {
        if (json->at == json->end) return false;
        uint8_t digit = *json->at++;
        uint8_t letter = digit | 0x20;
        if (digit >= '0' && digit <= '9') found = found << 4 | (uint32_t)(digit - '0');
        else if (letter >= 'a' && letter <= 'f') found = found << 4 | (uint32_t)(letter - 'a' + 10);
        else return false;
    }
    *value = found;
    return true;
}

/* Behind a backslash. A character beyond U+FFFF comes as two surrogates, never as one alone. */
static bool take_escape(chonkle_json *json, uint32_t *character) {
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    if (json->at == json->end) return false;
    uint8_t letter = *json->at++;
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (found) {
        *character = (uint8_t)means[found - letters];
        return true;
    }
    if (letter != 'u' || !take_hex(json, character) || !*character) return false;
    if (*character < 0xD800 || *character > 0xDFFF) return true;
    uint32_t low;
    if (*character > 0xDBFF || !chonkle_json_take(json, '\\') || !chonkle_json_take(json, 'u') ||
        !take_hex(json, &low) || low < 0xDC00 || low > 0xDFFF)
        return false;
    *character = 0x10000 + ((*character - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* One character of UTF-8: no overlong form, no surrogate, nothing beyond U+10FFFF. */
static bool take_utf8(chonkle_json *json, uint32_t *character) {
    static const uint32_t minimums[] = {0, 0x80, 0x800, 0x10000};
    uint8_t lead = *json->at++;
    int more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : -1;
    if (more < 0 || json->end - json->at < more) return false;
    uint32_t found = more ? lead & (0x3Fu >> more) : lead;
    for (int i = 0; i < more; i++) {
        uint8_t next = *json->at++;
        if ((next & 0xC0) != 0x80) return false;
        found = found << 6 | (next & 0x3F);
    }
    *character = found;
    return found >= minimums[more] && found <= 0x10FFFF && !(found >= 0xD800 && found <= 0xDFFF);
}

bool chonkle_string(chonkle_call *call, const char *name, char *value, size_t capacity) {
    chonkle_port *port = chonkle_input(call, name);
    if (!port) return false;
    chonkle_json json = chonkle_json_of(port);
    sink out = {value, 0, capacity};
    bool good = capacity && chonkle_json_take(&json, '"');
    while (good && json.at < json.end && *json.at != '"') {
        uint32_t character;
        good = chonkle_json_take(&json, '\\') ? take_escape(&json, &character)
                                              : *json.at >= 0x20 && take_utf8(&json, &character);
        if (good && !put_character(&out, character))
            return chonkle_fail(call, "port `%s`: expected a string of at most %zu bytes", name,
                                capacity - 1);
    }
    if (!good || !chonkle_json_take(&json, '"') || !chonkle_json_done(&json))
        return chonkle_fail(call, "port `%s`: expected a JSON string", name);
    value[out.size] = 0;
    return true;
}
