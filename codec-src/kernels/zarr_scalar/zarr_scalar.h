/* Scalars of an array's type as Zarr 3 writes them in JSON (zarr-specs, v3/core, fill_value).
 *
 * Integers may be written as floats, `5.0`. Floats may be words, `"NaN"`, or their bits,
 * `"0x7fc00000"`. zarr-python reads any number in a string, too. */
#ifndef ZARR_SCALAR_H
#define ZARR_SCALAR_H

#include <string.h>

#include "chonkle_codec.h"
#include "scalars.h"

enum { ZARR_TEXT_MAX = 128 };

static bool zarr_word(chonkle_json *json, const char *word) {
    size_t rest = strlen(word) - 1;
    if (!chonkle_json_mark(json, *word) || (size_t)(json->end - json->at) < rest ||
        memcmp(json->at, word + 1, rest))
        return false;
    json->at += rest;
    return true;
}

/* The least and the greatest integer of a type. */
static inline __int128 zarr_minimum(const chonkle_type *type) {
    return type->kind == 'i' ? -((__int128)1 << (8 * type->size - 1)) : 0;
}

static inline __int128 zarr_maximum(const chonkle_type *type) {
    return ((__int128)1 << (8 * type->size - (type->kind == 'i'))) - 1;
}

static bool zarr_integer(chonkle_json *json, const chonkle_type *type, uint64_t *bits) {
    chonkle_json start = *json;
    bool is_negative;
    uint64_t magnitude;
    double number;
    if (!chonkle_json_take_integer(json, &is_negative, &magnitude)) {
        *json = start;
        if (!chonkle_json_take_float(json, &number)) return false;
        is_negative = number < 0;
        if (is_negative) number = -number;
        if (!(number < 0x1p64) || number != __builtin_trunc(number)) return false;
        magnitude = (uint64_t)number;
    }
    __int128 value = is_negative ? -(__int128)magnitude : magnitude;
    *bits = (uint64_t)value;
    return value >= zarr_minimum(type) && value <= zarr_maximum(type);
}

/* The bits of a float of `size` bytes. */
static uint64_t zarr_float_bits(double value, size_t size) {
    uint64_t bits = 0;
    f2 half = (f2)value;
    f4 single = (f4)value;
    memcpy(&bits, size == 2 ? (void *)&half : size == 4 ? (void *)&single : &value, size);
    return bits;
}

/* Take the digits of a float's bits; as many as one of any size has. */
static bool zarr_float_digits(chonkle_json *json, const chonkle_type *type, uint64_t *bits) {
    size_t digits = (size_t)(json->end - json->at), size = digits / 2;
    uint64_t found = 0;
    if (digits != 2 * sizeof(f2) && digits != 2 * sizeof(f4) && digits != 2 * sizeof(f8))
        return false;
    for (; json->at < json->end; json->at++) {
        uint8_t digit = (uint8_t)*json->at, letter = digit | 0x20;
        if (digit >= '0' && digit <= '9') digit -= '0';
        else if (letter >= 'a' && letter <= 'f') digit = letter - 'a' + 10;
        else return false;
        found = found << 4 | digit;
    }
    f2 half;
    f4 single;
    f8 number;
    memcpy(&half, &found, sizeof half);
    memcpy(&single, &found, sizeof single);
    memcpy(&number, &found, sizeof number);
    if (size == sizeof half) number = half;
    if (size == sizeof single) number = single;
    /* A conversion changes some NaN. */
    *bits = size == type->size ? found : zarr_float_bits(number, type->size);
    return true;
}

static bool zarr_float(chonkle_json *json, const chonkle_type *type, uint64_t *bits) {
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    const double values[] = {__builtin_nan(""), __builtin_inf(), -__builtin_inf()};
    chonkle_json start = *json;
    double number;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++, *json = start)
        if (zarr_word(json, words[i])) {
            *bits = zarr_float_bits(values[i], type->size);
            return true;
        }
    if (zarr_word(json, "0x")) return zarr_float_digits(json, type, bits);
    *json = start;
    if (!chonkle_json_take_float(json, &number)) return false;
    *bits = zarr_float_bits(number, type->size);
    return true;
}

/* Take a scalar of an integer or float type, perhaps in a string.
 *   bits: set to its bytes, little-endian. */
static bool zarr_scalar(chonkle_json *json, const chonkle_type *type, uint64_t *bits) {
    char text[ZARR_TEXT_MAX];
    chonkle_json start = *json, inner;
    bool is_string = chonkle_json_mark(json, '"');
    *json = start;
    if (is_string) {
        if (!chonkle_json_take_string(json, text, sizeof text)) return false;
        inner = (chonkle_json){json->name, text, text, text + strlen(text)};
    }
    chonkle_json *from = is_string ? &inner : json;
    bool is_taken = (type->kind == 'f' ? zarr_float : zarr_integer)(from, type, bits);
    return is_taken && (!is_string || chonkle_json_end(&inner));
}

#endif
