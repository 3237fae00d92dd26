/* LZW of TIFF: TIFF 6.0 (1992), section 13, page 57.
 *
 * Codes below 256 are bytes, two codes are special, and each later code is the string of an earlier
 * code and the byte after it. Codes have 9 bits at first, and more as the table grows. */
#ifndef LZW_H
#define LZW_H

enum {
    LZW_LITERALS = 256,
    LZW_CLEAR = 256, /* forget all strings */
    LZW_END = 257,
    LZW_FIRST = 258, /* the first string's code */
    LZW_WIDTH_LEAST = 9,
    LZW_WIDTH_MOST = 12,
    LZW_CODES = 1 << LZW_WIDTH_MOST,
};

#endif
