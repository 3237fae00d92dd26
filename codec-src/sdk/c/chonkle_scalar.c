/* Integers and booleans: JSON text (RFC 8259) to C values. */
#include "chonkle_internal.h"

/* Take `0`, or digits that do not begin with 0, up to 2^64 - 1. */
static bool take_magnitude(chonkle_json *json, uint64_t *value) {
    if (!chonkle_json_digit(json)) return false;
    bool is_zero = chonkle_json_take(json, '0');
    for (*value = 0; chonkle_json_digit(json); json->at++) {
        uint64_t digit = (uint64_t)(*json->at - '0');
        if (is_zero || *value > (UINT64_MAX - digit) / 10) return false;
        *value = *value * 10 + digit;
    }
    return true;
}

bool chonkle_json_take_integer(chonkle_json *json, bool *is_negative, uint64_t *magnitude) {
    chonkle_json_space(json);
    *is_negative = chonkle_json_take(json, '-');
    bool is_taken = take_magnitude(json, magnitude);
    bool is_float = json->at < json->end && (*json->at == '.' || (*json->at | 0x20) == 'e');
    return is_taken && !is_float;
}

bool chonkle_int(chonkle_call *call, const char *name, int64_t minimum, int64_t maximum,
                 int64_t *value) {
    chonkle_json json;
    if (!chonkle_json_begin(call, name, &json)) return false;
    bool is_negative = chonkle_json_take(&json, '-');
    uint64_t magnitude;
    if (take_magnitude(&json, &magnitude) && chonkle_json_end(&json) &&
        magnitude <= (uint64_t)INT64_MAX + is_negative) {
        int64_t found = (int64_t)(is_negative ? 0 - magnitude : magnitude);
        if (found >= minimum && found <= maximum) {
            *value = found;
            return true;
        }
    }
    return chonkle_fail(call, "port `%s`: expected an int from %lld to %lld, got `%.*s`", name,
                        minimum, maximum, (int)(json.end - json.text), json.text);
}

bool chonkle_uint(chonkle_call *call, const char *name, uint64_t minimum, uint64_t maximum,
                  uint64_t *value) {
    chonkle_json json;
    if (!chonkle_json_begin(call, name, &json)) return false;
    uint64_t found;
    if (take_magnitude(&json, &found) && chonkle_json_end(&json) && found >= minimum &&
        found <= maximum) {
        *value = found;
        return true;
    }
    return chonkle_fail(call, "port `%s`: expected a uint from %llu to %llu, got `%.*s`", name,
                        minimum, maximum, (int)(json.end - json.text), json.text);
}

bool chonkle_uint_list(chonkle_call *call, const char *name, uint64_t *values, size_t capacity,
                       size_t *count) {
    chonkle_json json;
    if (!chonkle_json_begin(call, name, &json)) return false;
    size_t found = 0;
    bool is_good = chonkle_json_take(&json, '[');
    chonkle_json_space(&json);
    if (!is_good || !chonkle_json_take(&json, ']')) {
        do {
            if (found == capacity)
                return chonkle_fail(call, "port `%s`: expected at most %zu numbers", name,
                                    capacity);
            chonkle_json_space(&json);
            is_good = is_good && take_magnitude(&json, &values[found++]);
            chonkle_json_space(&json);
        } while (is_good && chonkle_json_take(&json, ','));
        is_good = is_good && chonkle_json_take(&json, ']');
    }
    if (!is_good || !chonkle_json_end(&json))
        return chonkle_json_fail(call, &json, "a list of uints");
    *count = found;
    return true;
}

static bool take_word(chonkle_json *json, const char *word) {
    while (*word)
        if (!chonkle_json_take(json, *word++)) return false;
    return chonkle_json_end(json);
}

bool chonkle_bool(chonkle_call *call, const char *name, bool *value) {
    chonkle_json json;
    if (!chonkle_json_begin(call, name, &json)) return false;
    bool found = chonkle_json_take(&json, 't');
    if (!take_word(&json, found ? "rue" : "false"))
        return chonkle_json_fail(call, &json, "`true` or `false`");
    *value = found;
    return true;
}

