/* The whole SDK as one translation unit, with both ABIs: a link exports one and drops the other.
 *
 * It runs a few hundred instructions per call, however large the data. So it is compiled for size,
 * unlike the codec, and as one unit, which lets the compiler inline what is used once. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "chonkle_internal.h"

#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

#include "chonkle_block.c"
#include "chonkle_error.c"
#include "chonkle_call.c"
#include "chonkle_json.c"
#include "chonkle_scalar.c"
#include "chonkle_float.c"
#include "chonkle_text.c"
#include "chonkle_dtype.c"

#include "chonkle_core_abi.c"
#include "chonkle_component_abi.c"

#pragma clang attribute pop
