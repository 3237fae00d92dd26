/* The compressor of BloscLZ. Its decompressor is blosclz.rs. */

/* Tells blosc-common.h that words may be unaligned. */
#define __amd64 1

#include "fastcopy.c"

#include "blosclz.c"
