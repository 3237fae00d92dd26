/* String ports: a JSON string (RFC 8259, section 7) to terminated UTF-8. */
#include "chonkle_internal.h"

static bool take_hex(chonkle_json *json, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < 4; i++) {
        if (json->at == json->end) return false;
        uint32_t digit = (uint8_t)*json->at++, letter = digit | 0x20;
        if (digit >= '0' && digit <= '9') digit -= '0';
        else if (letter >= 'a' && letter <= 'f') digit = letter - 'a' + 10;
        else return false;
        *value = *value << 4 | digit;
    }
    return true;
}

/* Take the rest of an escape after its backslash. A character above U+FFFF is two surrogates; a
 * single surrogate fails. */
static bool take_escape(chonkle_json *json, uint32_t *character) {
    static const char pairs[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    if (json->at == json->end) return false;
    char letter = *json->at++;
    for (const char *pair = pairs; *pair; pair += 2)
        if (letter == *pair) {
            *character = (uint8_t)pair[1];
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

/* Take a character in UTF-8: no overlong form, no surrogate, nothing above U+10FFFF. */
static bool take_utf8(chonkle_json *json, uint32_t *character) {
    static const uint32_t minimums[] = {0, 0x80, 0x800, 0x10000};
    uint8_t lead = (uint8_t)*json->at++;
    int more = lead < 0x80         ? 0
               : lead >> 5 == 0x06 ? 1
               : lead >> 4 == 0x0E ? 2
               : lead >> 3 == 0x1E ? 3
                                   : -1;
    if (more < 0 || json->end - json->at < more) return false;
    uint32_t found = more ? lead & (0x3Fu >> more) : lead;
    for (int i = 0; i < more; i++) {
        uint8_t next = (uint8_t)*json->at++;
        if ((next & 0xC0) != 0x80) return false;
        found = found << 6 | (next & 0x3F);
    }
    *character = found;
    return found >= minimums[more] && found <= 0x10FFFF && !(found >= 0xD800 && found <= 0xDFFF);
}

/* RFC 3629, section 3. Returns the number of bytes. */
static size_t to_utf8(uint32_t character, char bytes[4]) {
    if (character < 0x80) {
        bytes[0] = (char)character;
        return 1;
    }
    size_t count = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = count - 1; i; i--, character >>= 6)
        bytes[i] = (char)(0x80 | (character & 0x3F));
    bytes[0] = (char)(0xF00 >> count | character);
    return count;
}

/* Take a JSON string as terminated UTF-8, or skip it when `value` is NULL. Returns false for any other text, for a string that
 * contains NUL, and for one that is too long; *size is `capacity` then. */
static bool chonkle_json_string(chonkle_json *json, char *value, size_t capacity, size_t *size) {
    *size = 0;
    if (!chonkle_json_take(json, '"')) return false;
    while (!chonkle_json_take(json, '"')) {
        uint32_t character;
        char bytes[4];
        if (json->at == json->end) return false;
        bool is_good = chonkle_json_take(json, '\\')
                           ? take_escape(json, &character)
                           : (uint8_t)*json->at >= 0x20 && take_utf8(json, &character);
        if (!is_good) return false;
        if (!value) continue;
        size_t count = to_utf8(character, bytes);
        if (*size + count >= capacity) { /* leaves room for the terminator */
            *size = capacity;
            return false;
        }
        memcpy(value + *size, bytes, count);
        *size += count;
    }
    if (value) value[*size] = 0;
    return true;
}

bool chonkle_json_take_string(chonkle_json *json, char *value, size_t capacity) {
    size_t size;
    chonkle_json_space(json);
    return chonkle_json_string(json, value, capacity, &size);
}

bool chonkle_json_begin_held(chonkle_call *call, const char *name, chonkle_json *json) {
    if (!chonkle_json_begin(call, name, json)) return false;
    const chonkle_port *port = chonkle_find(call, name);
    size_t size = (size_t)(json->end - json->at);
    char *held = (char *)json->at;
    if (!port) { /* a default, which is constant, and has no escapes */
        json->text = json->at + 1;
        json->end--;
    } else {
        /* Characters become shorter, if anything. */
        if (!chonkle_json_string(json, held, size, &size) || !chonkle_json_end(json))
            return chonkle_json_fail(call, json, "a string with JSON text");
        json->text = held;
        json->end = held + size;
    }
    json->at = json->text;
    return true;
}

bool chonkle_string(chonkle_call *call, const char *name, char *value, size_t capacity) {
    chonkle_json json;
    size_t size;
    if (!chonkle_json_begin(call, name, &json)) return false;
    if (chonkle_json_string(&json, value, capacity, &size) && chonkle_json_end(&json)) return true;
    if (size < capacity) return chonkle_json_fail(call, &json, "a JSON string");
    return chonkle_fail(call, "port `%s`: expected a string of at most %zu bytes", name,
                        capacity - 1);
}

bool chonkle_choice(chonkle_call *call, const char *name, const char *const *choices,
                    size_t *index) {
    char value[CHONKLE_STRING_MAX];
    chonkle_json json;
    size_t size;
    if (!chonkle_json_begin(call, name, &json)) return false;
    bool is_string =
        chonkle_json_string(&json, value, sizeof value, &size) && chonkle_json_end(&json);
    for (size_t i = 0; is_string && choices[i]; i++)
        if (!strcmp(choices[i], value)) {
            *index = i;
            return true;
        }
    chonkle_fail(call, "port `%s`: expected", name);
    for (size_t i = 0; choices[i]; i++)
        chonkle_fail_more("%s `\"%s\"`", !i ? "" : choices[i + 1] ? "," : " or", choices[i]);
    chonkle_fail_more(", got `%.*s`", (int)(json.end - json.text), json.text);
    return false;
}

bool chonkle_end(chonkle_call *call, const chonkle_port *input, size_t used) {
    static const char name[] = "trailing", *const choices[] = {"ignore", "refuse", NULL};
    chonkle_json json = {.name = name};
    size_t index = 1;
    bool has_choice = chonkle_find(call, name) || find_default(&json);
    if (has_choice && !chonkle_choice(call, name, choices, &index)) return false;
    return index == 0 || used >= input->size ||
           chonkle_fail(call, "port `%.*s`: %zu bytes after the end of the stream at offset %zu%s",
                        (int)input->name_size, input->name, input->size - used, used,
                        has_choice ? "; hint: the value `ignore` of the parameter `trailing` "
                                     "skips them" : "");
}
