/* Words of 64 bits for libdeflate, which takes them to be as large as a size_t: 32 bits here, while
 * what runs the code has registers of 64. With them, a match is decoded with one look at the input
 * instead of three, and copied in half as many steps. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define LIBDEFLATEAPI
#include "libdeflate.h"

#define size_t uint64_t
#include "common_defs.h"
#undef size_t

/* lib_common.h wants to be the first. */
#undef LIBDEFLATE_H
#undef LIBDEFLATEAPI
