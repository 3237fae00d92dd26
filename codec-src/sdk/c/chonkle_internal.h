/* Declarations that the parts of the SDK share; not for codecs. */
#ifndef CHONKLE_INTERNAL_H
#define CHONKLE_INTERNAL_H

#include "chonkle_codec.h"

#ifndef CHONKLE_DEFAULTS
#error "the toolchain defines CHONKLE_DEFAULTS, from signature.json"
#endif

enum {
    CHONKLE_PORTS_MAX = 64,  /* far above any signature; gives a call a fixed size */
    CHONKLE_ERROR_MAX = 500, /* bytes of error text */
    CHONKLE_SHOWN_MAX = 44,  /* bytes of an input in it */
    CHONKLE_STRING_MAX = 64, /* bytes of a choice, with its terminator */
    CHONKLE_U32 = 4          /* bytes of a length in a port-map */
};

/* A call. Its outputs are an encoded port-map:
 *
 *     u32 count, { u32 name_len, name, u32 data_len, data }*        little-endian, unpadded
 *
 * The core ABI returns it as it is, the component ABI points its rows into it. */
struct chonkle_call {
    size_t input_count;
    uint8_t *output; /* from chonkle_block_allocate(), NULL before the first output */
    size_t output_size;
    size_t output_capacity;
    size_t output_count; /* counts an output in place, too */
    size_t last_data;    /* offset of the latest output's data */
    const chonkle_port *kept; /* the input that contains the output in place, or NULL */
    const char *kept_name;
    uint8_t *kept_data;
    size_t kept_size;
    chonkle_port inputs[CHONKLE_PORTS_MAX]; /* the first input_count are set */
};

/* The header of memory that is exchanged with the host; see chonkle_block.c. */
typedef struct chonkle_block {
    uint32_t mark;
    uint32_t size;
    struct chonkle_block *next; /* block with a result that begins inside it */
    void *result;
} chonkle_block;

_Static_assert(sizeof(chonkle_block) == 16, "data behind the header must stay 16-byte aligned");

#endif
