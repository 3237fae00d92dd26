/* Failure in words, without the size of a whole printf. */
#include <stdarg.h>
#include <string.h>

#include "chonkle_internal.h"

char chonkle_error_text[CHONKLE_ERROR_MAX];
size_t chonkle_error_size;

void chonkle_clear_error(void) { chonkle_error_size = 0; }

static void append(const char *text, size_t size) {
    size_t room = CHONKLE_ERROR_MAX - chonkle_error_size;
    if (size > room) {
        /* A cut text stays UTF-8: step back over continuation bytes (10xxxxxx). */
        for (size = room; size && ((uint8_t)text[size] & 0xC0) == 0x80; size--) {
        }
    }
    memcpy(chonkle_error_text + chonkle_error_size, text, size);
    chonkle_error_size += size;
}

static void append_uint(unsigned long long value) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    append(digits + at, sizeof digits - at);
}

static void append_int(long long value) {
    if (value < 0) append("-", 1);
    append_uint(value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value);
}

bool chonkle_fail(chonkle_call *call, const char *format, ...) {
    (void)call;
    va_list arguments;
    va_start(arguments, format);
    chonkle_error_size = 0;
    while (*format) {
        size_t plain = strcspn(format, "%");
        append(format, plain);
        format += plain;
        if (!*format) break;
        if (strncmp(format, "%s", 2) == 0) {
            const char *text = va_arg(arguments, const char *);
            append(text, strlen(text));
            format += 2;
        } else if (strncmp(format, "%d", 2) == 0) {
            append_int(va_arg(arguments, int));
            format += 2;
        } else if (strncmp(format, "%lld", 4) == 0) {
            append_int(va_arg(arguments, long long));
            format += 4;
        } else if (strncmp(format, "%llu", 4) == 0) {
            append_uint(va_arg(arguments, unsigned long long));
            format += 4;
        } else if (strncmp(format, "%zu", 3) == 0) {
            append_uint(va_arg(arguments, size_t));
            format += 3;
        } else {
            append("%", 1);
            format += format[1] == '%' ? 2 : 1;
        }
    }
    va_end(arguments);
    return false;
}

bool chonkle_fail_memory(chonkle_call *call, size_t size) {
    return chonkle_fail(call, "out of memory, wanted %zu bytes", size);
}

const char *chonkle_shown(char shown[CHONKLE_SHOWN_MAX], const void *data, size_t size) {
    const uint8_t *bytes = data;
    size_t kept = size < CHONKLE_SHOWN_MAX ? size : CHONKLE_SHOWN_MAX - 4;
    for (size_t i = 0; i < kept; i++)
        shown[i] = bytes[i] >= 0x20 && bytes[i] < 0x7F ? (char)bytes[i] : '?';
    strcpy(shown + kept, kept < size ? "..." : "");
    return shown;
}
