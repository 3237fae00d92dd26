/* Scalar ports: JSON text (RFC 8259) to C values. Strings are in chonkle_text.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chonkle_json.h"

static bool wrong(chonkle_call *call, const chonkle_port *port, const char *expected) {
    char shown[CHONKLE_SHOWN_MAX], name[CHONKLE_SHOWN_MAX];
    return chonkle_fail(call, "port `%s`: expected %s, got `%s`",
                        chonkle_shown(name, port->name, port->name_size), expected,
                        chonkle_shown(shown, port->data, port->size));
}

chonkle_json chonkle_json_of(const chonkle_port *port) {
    chonkle_json json = {port->data, port->data + port->size};
    chonkle_json_space(&json);
    return json;
}

void chonkle_json_space(chonkle_json *json) {
    while (json->at < json->end && *json->at && strchr(" \t\n\r", *json->at)) json->at++;
}

bool chonkle_json_take(chonkle_json *json, char wanted) {
    if (json->at == json->end || *json->at != (uint8_t)wanted) return false;
    json->at++;
    return true;
}

bool chonkle_json_done(chonkle_json *json) {
    chonkle_json_space(json);
    return json->at == json->end;
}

static bool is_digit(const chonkle_json *json) {
    return json->at < json->end && *json->at >= '0' && *json->at <= '9';
}

/* `0` or digits that do not begin with 0, up to 2^64 - 1. */
static bool take_magnitude(chonkle_json *json, uint64_t *value) {
    if (!is_digit(json)) return false;
    bool leading_zero = *json->at == '0';
    uint64_t magnitude = 0;
    for (size_t digits = 0; is_digit(json); json->at++, digits++) {
        if (leading_zero && digits) return false;
        uint64_t digit = *json->at - '0';
        if (magnitude > (UINT64_MAX - digit) / 10) return false;
        magnitude = magnitude * 10 + digit;
    }
    *value = magnitude;
    return true;
}

bool chonkle_int_or(chonkle_call *call, const char *name, int64_t fallback, int64_t minimum,
                    int64_t maximum, int64_t *value) {
    if (chonkle_find(call, name)) return chonkle_int(call, name, minimum, maximum, value);
    *value = fallback;
    return true;
}

bool chonkle_int(chonkle_call *call, const char *name, int64_t minimum, int64_t maximum,
                 int64_t *value) {
    chonkle_port *port = chonkle_input(call, name);
    if (!port) return false;
    chonkle_json json = chonkle_json_of(port);
    bool negative = chonkle_json_take(&json, '-');
    uint64_t magnitude;
    if (take_magnitude(&json, &magnitude) && chonkle_json_done(&json) &&
        magnitude <= (uint64_t)INT64_MAX + negative) {
        int64_t found = (int64_t)(negative ? 0 - magnitude : magnitude);
        if (found >= minimum && found <= maximum) {
            *value = found;
            return true;
        }
    }
    char shown[CHONKLE_SHOWN_MAX];
    return chonkle_fail(call, "port `%s`: expected an int from %lld to %lld, got `%s`", name,
                        (long long)minimum, (long long)maximum,
                        chonkle_shown(shown, port->data, port->size));
}

bool chonkle_uint_or(chonkle_call *call, const char *name, uint64_t fallback, uint64_t maximum,
                     uint64_t *value) {
    if (chonkle_find(call, name)) return chonkle_uint(call, name, maximum, value);
    *value = fallback;
    return true;
}

bool chonkle_uint(chonkle_call *call, const char *name, uint64_t maximum, uint64_t *value) {
    chonkle_port *port = chonkle_input(call, name);
    if (!port) return false;
    chonkle_json json = chonkle_json_of(port);
    uint64_t found;
    if (take_magnitude(&json, &found) && chonkle_json_done(&json) && found <= maximum) {
        *value = found;
        return true;
    }
    char shown[CHONKLE_SHOWN_MAX];
    return chonkle_fail(call, "port `%s`: expected a uint from 0 to %llu, got `%s`", name,
                        (unsigned long long)maximum, chonkle_shown(shown, port->data, port->size));
}

bool chonkle_uint_list(chonkle_call *call, const char *name, uint64_t *values, size_t capacity,
                       size_t *count) {
    chonkle_port *port = chonkle_input(call, name);
    if (!port) return false;
    chonkle_json json = chonkle_json_of(port);
    size_t found = 0;
    bool good = chonkle_json_take(&json, '[');
    chonkle_json_space(&json);
    if (!good || !chonkle_json_take(&json, ']')) {
        do {
            if (found == capacity)
                return chonkle_fail(call, "port `%s`: expected at most %zu numbers", name,
                                    capacity);
            chonkle_json_space(&json);
            good = good && take_magnitude(&json, &values[found++]);
            chonkle_json_space(&json);
        } while (good && chonkle_json_take(&json, ','));
        good = good && chonkle_json_take(&json, ']');
    }
    if (!good || !chonkle_json_done(&json)) return wrong(call, port, "a list of uints");
    *count = found;
    return true;
}

static void skip_digits(chonkle_json *json) {
    while (is_digit(json)) json->at++;
}

/* The grammar of RFC 8259, section 6; strtod alone would also take `inf`, `0x1p3` and `.5`. */
static bool is_number(chonkle_json json) {
    chonkle_json_take(&json, '-');
    if (!is_digit(&json)) return false;
    if (chonkle_json_take(&json, '0')) {
        if (is_digit(&json)) return false;
    }
    skip_digits(&json);
    if (chonkle_json_take(&json, '.')) {
        if (!is_digit(&json)) return false;
        skip_digits(&json);
    }
    if (chonkle_json_take(&json, 'e') || chonkle_json_take(&json, 'E')) {
        if (!chonkle_json_take(&json, '-')) chonkle_json_take(&json, '+');
        if (!is_digit(&json)) return false;
        skip_digits(&json);
    }
    return chonkle_json_done(&json);
}

bool chonkle_float_or(chonkle_call *call, const char *name, double fallback, double *value) {
    if (chonkle_find(call, name)) return chonkle_float(call, name, value);
    *value = fallback;
    return true;
}

bool chonkle_float(chonkle_call *call, const char *name, double *value) {
    enum { DIGITS_MAX = 400 }; /* more than any double needs */
    chonkle_port *port = chonkle_input(call, name);
    if (!port) return false;
    chonkle_json json = chonkle_json_of(port);
    size_t size = (size_t)(json.end - json.at);
    if (size <= DIGITS_MAX && is_number(json)) {
        char text[DIGITS_MAX + 1];
        memcpy(text, json.at, size);
        text[size] = 0;
        double found = strtod(text, NULL);
        if (isfinite(found)) {
            *value = found;
            return true;
        }
    }
    return wrong(call, port, "a finite number");
}

bool chonkle_bool_or(chonkle_call *call, const char *name, bool fallback, bool *value) {
    if (chonkle_find(call, name)) return chonkle_bool(call, name, value);
    *value = fallback;
    return true;
}

bool chonkle_bool(chonkle_call *call, const char *name, bool *value) {
    chonkle_port *port = chonkle_input(call, name);
    if (!port) return false;
    chonkle_json json = chonkle_json_of(port);
    bool is_true = chonkle_json_take(&json, 't');
    if (!is_true && !chonkle_json_take(&json, 'f')) return wrong(call, port, "`true` or `false`");
    for (const char *rest = is_true ? "rue" : "alse"; *rest; rest++)
        if (!chonkle_json_take(&json, *rest)) return wrong(call, port, "`true` or `false`");
    if (!chonkle_json_done(&json)) return wrong(call, port, "`true` or `false`");
    *value = is_true;
    return true;
}
