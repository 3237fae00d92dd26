/* Failure in words, without the size of a whole printf. */
#include "chonkle_internal.h"

/* The text of the last failure; empty after a call that succeeded. One byte more than it may have
 * tells whether the last character is whole. */
static char chonkle_error_text[CHONKLE_ERROR_MAX + 1];
static size_t chonkle_error_size;

/* It has many callers, and in each it would be larger than the call. */
static __attribute__((noinline)) void put(char byte) {
    if (chonkle_error_size <= CHONKLE_ERROR_MAX) chonkle_error_text[chonkle_error_size++] = byte;
}

static void put_text(const char *text) {
    while (*text) put(*text++);
}

static void put_number(uint64_t number) {
    if (number > 9) put_number(number / 10);
    put((char)('0' + number % 10));
}

/* Somebody's bytes: printable ASCII, cut to a readable length. */
static void put_shown(const char *data, size_t size) {
    const char *end = data + (size < CHONKLE_SHOWN_MAX ? size : CHONKLE_SHOWN_MAX);
    for (; data < end; data++) put(*data >= 0x20 && *data < 0x7F ? *data : '?');
    if (size > CHONKLE_SHOWN_MAX) put_text("...");
}

/* %s %d %u %zu %lld %llu %% and %.*s: chonkle_codec.h allows no others. */
static void put_formatted(const char *format, va_list arguments) {
    for (char letter; (letter = *format++);) {
        if (letter != '%') {
            put(letter);
            continue;
        }
        int longs = 0;
        while ((letter = *format++) == 'l' || letter == 'z') longs += letter == 'l';
        if (!letter) break;
        if (letter == '.') {
            size_t size = va_arg(arguments, size_t);
            put_shown(va_arg(arguments, const char *), size);
            format += 2;
        } else if (letter == 's') {
            put_text(va_arg(arguments, const char *));
        } else if (letter == '%') {
            put('%');
        } else {
            bool is_signed = letter == 'd', is_wide = longs == 2;
            int64_t number = is_wide ? va_arg(arguments, int64_t) : va_arg(arguments, int32_t);
            if (is_signed && number < 0) {
                put('-');
                number = -number;
            }
            put_number(is_signed || is_wide ? (uint64_t)number : (uint32_t)number);
        }
    }
    /* A cut text ends between characters: 10xxxxxx continues one. */
    if (chonkle_error_size > CHONKLE_ERROR_MAX)
        while (--chonkle_error_size && (chonkle_error_text[chonkle_error_size] & 0xC0) == 0x80) {
        }
}

/* Add to the text of a failure that was recorded. */
static void chonkle_fail_more(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    put_formatted(format, arguments);
    va_end(arguments);
}

bool chonkle_fail(chonkle_call *call, const char *format, ...) {
    (void)call;
    va_list arguments;
    va_start(arguments, format);
    chonkle_error_size = 0;
    put_formatted(format, arguments);
    va_end(arguments);
    return false;
}

bool chonkle_fail_memory(chonkle_call *call, size_t size) {
    return chonkle_fail(call, "out of memory, wanted %zu bytes", size);
}
