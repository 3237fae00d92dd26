/* Ports of type `dtype_desc`: a type string, such as "<u2", or a type's name, such as "uint16".
 *
 * numpy.org/doc/stable/reference/arrays.interface.html, `typestr`. The names are those of NumPy and
 * of Zarr 3 (zarr-specs, v3/data-types); their numbers count bits. */
#include "chonkle_internal.h"

/* Whether elements of a kind can have that many bytes; for text, the number of characters. */
static bool has_size(char kind, uint32_t size) {
    switch (kind) {
        case 'b': return size == 1;
        case 'i':
        case 'u': return size == 1 || size == 2 || size == 4 || size == 8;
        case 'f': return size == 2 || size == 4 || size == 8;
        case 'c': return size == 8 || size == 16;
        case 'm':
        case 'M': return size == 8;
        default: return size > 0;
    }
}

static bool is_one_of(char character, const char *characters) {
    while (*characters && *characters != character) characters++;
    return *characters;
}

/* Parse the kind at the start of a name; returns the rest, NULL when there is no kind. */
static const char *after_name(const char *text, char *kind) {
    /* A kind, then its name. */
    static const char *const names[] = {"iint", "uuint", "ffloat", "ccomplex"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *name = names[i] + 1, *at = text;
        while (*name && *at == *name) name++, at++;
        *kind = *names[i];
        if (!*name) return at;
    }
    return NULL;
}

/* Parse a name, or order, kind, size and, for dates and durations, a unit: `<u2`, `<M8[ns]`. */
static bool parse(const char *text, const char *kinds, chonkle_type *type) {
    enum { SIZE_MOST = 1 << 24, BYTES_OF_CHARACTER = 4, BITS = 8 };
    char order = is_one_of(*text, "<>|=") ? *text++ : '\0', kind;
    if (!order && !strcmp(text, "bool")) text = "b1";
    const char *digits = order ? NULL : after_name(text, &kind);
    uint32_t size = 0, unit = digits ? BITS : 1;
    if (!digits) {
        kind = *text;
        digits = text + 1;
    }
    if (!is_one_of(kind, kinds)) return false;
    for (text = digits; *text >= '0' && *text <= '9' && size <= SIZE_MOST; text++)
        size = size * 10 + (uint32_t)(*text - '0');
    if (size % unit) return false;
    size /= unit;
    if ((kind == 'm' || kind == 'M') && *text == '[') {
        while (*text && *text != ']') text++;
        if (!*text++) return false;
    }
    if (*text || !has_size(kind, size) || size > SIZE_MOST) return false;
    if (kind == 'U') size *= BYTES_OF_CHARACTER;
    *type = (chonkle_type){kind, order == '>' && size > 1, size};
    return true;
}

/* Append the kinds allowed, in words, to the text of the failure. */
static void say_kinds(const char *kinds) {
    /* A kind, then its name and its types. */
    static const char *const words[] = {
        "bbooleans (`b1`)",
        "iintegers (`i1`, `i2`, `i4`, `i8`)",
        "uunsigned integers (`u1`, `u2`, `u4`, `u8`)",
        "ffloats (`f2`, `f4`, `f8`)",
        "ccomplex numbers (`c8`, `c16`)",
        "mtimedeltas (`m8`)",
        "Mdatetimes (`M8`)",
        "Sbyte strings (`S`)",
        "Utext (`U`)",
        "Vraw bytes (`V`)",
    };
    for (const char *kind = kinds; *kind; kind++)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (*words[i] == *kind)
                chonkle_fail_more("%s %s", kind == kinds ? "" : kind[1] ? "," : " or",
                                  words[i] + 1);
}

bool chonkle_json_take_dtype(chonkle_json *json, const char *kinds, chonkle_type *type) {
    char value[CHONKLE_STRING_MAX];
    return chonkle_json_take_string(json, value, sizeof value) && parse(value, kinds, type);
}

bool chonkle_dtype(chonkle_call *call, const char *name, const char *kinds, chonkle_type *type) {
    chonkle_json json;
    chonkle_type found;
    if (!chonkle_json_begin(call, name, &json)) return false;
    if (chonkle_json_take_dtype(&json, kinds, &found) && chonkle_json_end(&json)) {
        *type = found;
        return true;
    }
    chonkle_fail(call, "port `%s`: expected a type of", name);
    say_kinds(kinds);
    chonkle_fail_more(", got `%.*s`", (int)(json.end - json.text), json.text);
    return false;
}
