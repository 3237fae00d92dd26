/* LZW of TIFF: TIFF 6.0 (1992), section 13, page 57.
 *
 * Codes below 256 stand for a byte each, two have a meaning of their own, and each one behind them
 * for the string of some code and the byte that came next. Codes begin with 9 bits, and get more
 * when the table of strings needs it. */
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
