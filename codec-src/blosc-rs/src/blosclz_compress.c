/* The compressor of BloscLZ. Its decompressor is blosclz.rs. */

/* What blosc-common.h reads from this name is that words may lie at any address. */
#define __amd64 1

#include "fastcopy.c"

#include "blosclz.c"
