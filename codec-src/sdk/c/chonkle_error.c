/* Error messages, formatted without the size of printf(). */
#include "chonkle_internal.h"

/* The text of the last failure; empty after a call that succeeded. The extra byte tells whether the
 * last character is whole. */
static char chonkle_error_text[CHONKLE_ERROR_MAX + 1];
static size_t chonkle_error_size;

/* Not inlined: its code is larger than a call, and it has many callers. */
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

/* Bytes of an input: printable ASCII, cut to CHONKLE_SHOWN_MAX. */
static void put_shown(const char *data, size_t size) {
    const char *end = data + (size < CHONKLE_SHOWN_MAX ? size : CHONKLE_SHOWN_MAX);
    for (; data < end; data++) put(*data >= 0x20 && *data < 0x7F ? *data : '?');
    if (size > CHONKLE_SHOWN_MAX) put_text("...");
}

/* Only the conversions that chonkle_codec.h lists. */
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
    /* Cut text between characters: a byte 10xxxxxx continues one. */
    if (chonkle_error_size > CHONKLE_ERROR_MAX)
        while (--chonkle_error_size && (chonkle_error_text[chonkle_error_size] & 0xC0) == 0x80) {
        }
}

/* Append to the text of the recorded failure. */
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
