/* What the SDK's own files share; not for codecs. */
#ifndef CHONKLE_INTERNAL_H
#define CHONKLE_INTERNAL_H

#include "chonkle_codec.h"

enum {
    CHONKLE_PORTS_MAX = 64,  /* far above any signature; keeps a call in a fixed size */
    CHONKLE_ERROR_MAX = 500, /* bytes of error text */
    CHONKLE_U32 = 4          /* bytes of a length in a port-map */
};

/* The output under construction is an encoded port-map:
 *
 *     u32 count, { u32 name_len, name, u32 data_len, data }*        little-endian, unpadded
 *
 * Both ABIs use it: the core ABI returns it as it is, the component ABI points its rows into it. */
struct chonkle_call {
    chonkle_port inputs[CHONKLE_PORTS_MAX];
    size_t input_count;
    uint8_t *output; /* from chonkle_block_allocate(), NULL before the first output */
    size_t output_size;
    size_t output_capacity;
    size_t output_count;
    size_t last_data; /* offset of the data of the output that was begun last */
    chonkle_port *kept; /* the input that is handed back in place, or NULL */
    const char *kept_name;
    size_t kept_size;
};

typedef bool (*chonkle_transform)(chonkle_call *call);

/* Add an input; a failure when there are too many or the name stands there already. */
bool chonkle_add_input(chonkle_call *call, const char *name, size_t name_size, uint8_t *data,
                       size_t size);

/* Run a transform on a call whose inputs are set, and see that it left an output or an error. */
bool chonkle_run(chonkle_call *call, chonkle_transform transform);

/* The text of the last failure; empty after a call that succeeded. */
extern char chonkle_error_text[CHONKLE_ERROR_MAX];
extern size_t chonkle_error_size;

/* Begin a call: nothing failed yet. */
void chonkle_clear_error(void);

/* Memory blocks that know their size, are 16-byte aligned and can be handed to the host. */
void *chonkle_block_allocate(size_t size);
void *chonkle_block_resize(void *data, size_t size);
void chonkle_block_free(void *data);
bool chonkle_block_holds(const void *data, size_t size);

/* Copy bytes of an input for an error text: printable ASCII, cut, terminated. */
enum { CHONKLE_SHOWN_MAX = 48 };
const char *chonkle_shown(char shown[CHONKLE_SHOWN_MAX], const void *data, size_t size);

uint32_t chonkle_read_u32(const uint8_t *from);
void chonkle_write_u32(uint8_t *to, size_t value);

#endif
