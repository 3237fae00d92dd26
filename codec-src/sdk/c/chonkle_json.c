/* JSON text of scalar ports: finding it, and reading it character by character. */
#include "chonkle_internal.h"

/* The defaults in the signature: lines of `name text`. */
static const char defaults[] = CHONKLE_DEFAULTS;

static void chonkle_json_space(chonkle_json *json) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' ||
                                    *json->at == '\r'))
        json->at++;
}

/* Take a character if it comes next. */
static bool chonkle_json_take(chonkle_json *json, char wanted) {
    if (json->at == json->end || *json->at != wanted) return false;
    json->at++;
    return true;
}

static bool chonkle_json_digit(const chonkle_json *json) {
    return json->at < json->end && *json->at >= '0' && *json->at <= '9';
}

bool chonkle_json_end(chonkle_json *json) {
    chonkle_json_space(json);
    return json->at == json->end;
}

static bool find_default(chonkle_json *json) {
    for (const char *at = defaults; *at; at++) {
        const char *name = json->name;
        for (; *name && *at == *name; at++) name++;
        bool is_found = !*name && *at == ' ';
        json->text = at + 1;
        while (*at != '\n') at++;
        json->end = at;
        if (is_found) return true;
    }
    return false;
}

bool chonkle_json_begin(chonkle_call *call, const char *name, chonkle_json *json) {
    json->name = name;
    const chonkle_port *port = chonkle_find(call, name);
    if (port) {
        json->text = (const char *)port->data;
        json->end = json->text + port->size;
    } else if (!find_default(json)) {
        return chonkle_input(call, name); /* records that it is missing */
    }
    json->at = json->text;
    chonkle_json_space(json);
    return true;
}

bool chonkle_json_mark(chonkle_json *json, char mark) {
    chonkle_json_space(json);
    return chonkle_json_take(json, mark);
}

bool chonkle_json_fail(chonkle_call *call, const chonkle_json *json, const char *expected) {
    return chonkle_fail(call, "port `%s`: expected %s, got `%.*s`", json->name, expected,
                        (int)(json->end - json->text), json->text);
}
