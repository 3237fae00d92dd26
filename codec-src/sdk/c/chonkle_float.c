/* Floats: JSON text (RFC 8259, section 6) to the nearest double.
 *
 * Ken Thompson's method: an array of all decimal digits is multiplied or divided by powers of two
 * until its integer part has 53 bits. It is exact and a twentieth of the size of strtod(). Usual
 * numbers take microseconds, the worst a fraction of a millisecond. */
#include "chonkle_internal.h"

enum {
    TEXT_MAX = 400,               /* digits; a double needs fewer */
    DIGITS_MAX = TEXT_MAX + 1100, /* dividing by 2 adds a digit, at most 1024 times */
    POINT_MAX = 310,              /* infinity from 10^310, 0 below 10^-330 */
    POINT_MIN = -330,
    SHIFT_MAX = 27, /* bits at a time: 9 << 27 plus a carry fits 32 bits */
    MANTISSA_BITS = 53,
    EXPONENT_MIN = -1021, /* of normal doubles, as a fraction from 0.5 to 1 */
    EXPONENT_MAX = 1024,  /* infinity above it */
    UNIT_MIN = -1074      /* of the last bit of subnormal doubles */
};

/* 0.d1 d2 d3 ... times 10^point, without leading or trailing zeros. */
typedef struct {
    uint8_t digits[DIGITS_MAX];
    int count;
    int point;
} decimal;

static void trim(decimal *number) {
    while (number->count && !number->digits[number->count - 1]) number->count--;
}

static void multiply(decimal *number, int bits) {
    uint32_t carry = 0;
    for (int i = number->count; i--; carry /= 10) {
        carry += (uint32_t)number->digits[i] << bits;
        number->digits[i] = (uint8_t)(carry % 10);
    }
    for (; carry; carry /= 10) {
        memmove(number->digits + 1, number->digits, (size_t)number->count++);
        number->digits[0] = (uint8_t)(carry % 10);
        number->point++;
    }
    trim(number);
}

static void divide(decimal *number, int bits) {
    uint32_t rest = 0;
    int written = 0;
    for (int i = 0; i < number->count || rest; i++) {
        rest = rest * 10 + (i < number->count ? number->digits[i] : 0);
        uint8_t digit = (uint8_t)(rest >> bits);
        rest &= (1u << bits) - 1;
        if (written || digit) number->digits[written++] = digit;
        else number->point--;
    }
    number->count = written;
    trim(number);
}

/* How many bits to shift to move the point towards 0. */
static int bits_of(int point) { return point > SHIFT_MAX / 3 ? SHIFT_MAX : 3 * point; }

static double to_double(decimal *number) {
    int exponent = 0; /* the result is *number times 2^exponent */
    if (!number->count || number->point < POINT_MIN) return 0;
    if (number->point > POINT_MAX) return HUGE_VAL;
    while (number->point > 0) {
        int bits = bits_of(number->point);
        divide(number, bits);
        exponent += bits;
    }
    /* Until it is at least a half. */
    while (number->point < 0 || number->digits[0] < 5) {
        int bits = number->point ? bits_of(-number->point) : 1;
        multiply(number, bits);
        exponent -= bits;
    }
    int bits = MANTISSA_BITS;
    if (exponent < EXPONENT_MIN) bits -= EXPONENT_MIN - exponent;
    if (bits < 0) return 0;
    int first = bits < SHIFT_MAX ? bits : SHIFT_MAX;
    multiply(number, first);
    multiply(number, bits - first);
    uint64_t integer = 0;
    for (int i = 0; i < number->point; i++)
        integer = integer * 10 + (i < number->count ? number->digits[i] : 0);
    /* Round half to even. */
    int rest = number->point < number->count ? number->digits[number->point] : 0;
    bool is_middle = rest == 5 && number->point + 1 == number->count;
    if (is_middle ? integer % 2 : rest >= 5) integer++;
    if (exponent > EXPONENT_MAX) return HUGE_VAL;
    /* IEEE 754: the leading bit of the integer, if set, adds 1 to the exponent. */
    integer += (uint64_t)(exponent - bits - UNIT_MIN) << (MANTISSA_BITS - 1);
    double found;
    memcpy(&found, &integer, sizeof found);
    return found;
}

/* Take one or more digits, before or after the decimal point. */
static bool take_digits(chonkle_json *json, decimal *number, bool is_behind) {
    if (!chonkle_json_digit(json)) return false;
    for (; chonkle_json_digit(json); json->at++) {
        bool is_leading = !number->count && *json->at == '0';
        if (number->count == TEXT_MAX) return false;
        if (!is_leading) number->digits[number->count++] = (uint8_t)(*json->at - '0');
        number->point += (int)!is_leading - is_behind;
    }
    return true;
}

static bool take_exponent(chonkle_json *json, decimal *number) {
    enum { LARGEST = 10000 };
    int exponent = 0;
    bool is_negative = chonkle_json_take(json, '-');
    if (!is_negative) chonkle_json_take(json, '+');
    if (!chonkle_json_digit(json)) return false;
    for (; chonkle_json_digit(json); json->at++)
        if (exponent < LARGEST) exponent = exponent * 10 + (*json->at - '0');
    number->point += is_negative ? -exponent : exponent;
    return true;
}

static bool take_number(chonkle_json *json, decimal *number) {
    number->count = number->point = 0;
    /* No digit follows a leading zero. */
    if (!chonkle_json_take(json, '0') && !take_digits(json, number, false)) return false;
    if (chonkle_json_take(json, '.') && !take_digits(json, number, true)) return false;
    return !(chonkle_json_take(json, 'e') || chonkle_json_take(json, 'E')) ||
           take_exponent(json, number);
}

bool chonkle_json_take_float(chonkle_json *json, double *value) {
    decimal number;
    chonkle_json_space(json);
    bool is_negative = chonkle_json_take(json, '-');
    if (!take_number(json, &number)) return false;
    trim(&number);
    *value = to_double(&number);
    if (is_negative) *value = -*value;
    return true;
}

bool chonkle_float(chonkle_call *call, const char *name, double *value) {
    chonkle_json json;
    double found;
    if (!chonkle_json_begin(call, name, &json)) return false;
    if (!chonkle_json_take_float(&json, &found) || !chonkle_json_end(&json) || !isfinite(found))
        return chonkle_json_fail(call, &json, "a finite number");
    *value = found;
    return true;
}
