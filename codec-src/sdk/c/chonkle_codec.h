/* chonkle_codec.h - write a codec for chonkle in C.
 *
 * An author defines the two functions chonkle_encode() and chonkle_decode() and nothing else. The
 * SDK's sources make of them a core module (link chonkle_core_abi.c) or the core of a component
 * (link chonkle_component_abi.c); the chonkle toolchain does both.
 *
 * A transform gets named inputs and gives named outputs. Which names, and of which types, stands
 * in the codec's signature.json. The inputs come from strangers: every function below checks what
 * it reads, and a codec must check what it computes from it. Whatever an input holds, the answer
 * is an output or a failure with words, never a trap.
 *
 * Failure. Functions that return bool or a pointer return false or NULL after they have recorded
 * the reason with chonkle_fail(); the transform then returns false at once. Nothing has to be
 * released: the SDK frees the inputs and any output that was begun.
 *
 * Threads. One call at a time runs in an instance; there is no locking anywhere.
 */
#ifndef CHONKLE_CODEC_H
#define CHONKLE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One call of the codec: its inputs, its outputs so far. Owned by the SDK; valid until the
 * transform returns. */
typedef struct chonkle_call chonkle_call;

/* One port's data.
 *   name, name_size: UTF-8, not terminated.
 *   data, size:      the bytes; data may be written to, from data[0] to data[size - 1]. It is
 *                    not aligned. Never NULL, also when size is 0.
 * Owned by the SDK; valid until the transform returns. */
typedef struct {
    const char *name;
    size_t name_size;
    uint8_t *data;
    size_t size;
} chonkle_port;

/* ---- what the author writes ---------------------------------------------------------------- */

/* Turn the decoded form into the encoded one (chonkle_encode) and back (chonkle_decode).
 * Return true when every output is complete, false after a failure was recorded. */
bool chonkle_encode(chonkle_call *call);
bool chonkle_decode(chonkle_call *call);

/* ---- inputs -------------------------------------------------------------------------------- */

/* The port with that name, or NULL when the call has none, which is no failure yet. */
chonkle_port *chonkle_find(chonkle_call *call, const char *name);

/* The port with that name; a failure when the call has none. */
chonkle_port *chonkle_input(chonkle_call *call, const char *name);

/* Scalars are JSON text (RFC 8259). Each function demands a value of its type between minimum and
 * maximum, both included, and stores it; *value is untouched on failure. The forms with _or take
 * `fallback`, unchecked, when the call has no such port.
 * An int or uint is written without fraction or exponent: `2.0` and `2e0` are failures. */
bool chonkle_int(chonkle_call *call, const char *name, int64_t minimum, int64_t maximum,
                 int64_t *value);
bool chonkle_int_or(chonkle_call *call, const char *name, int64_t fallback, int64_t minimum,
                    int64_t maximum, int64_t *value);
bool chonkle_uint(chonkle_call *call, const char *name, uint64_t maximum, uint64_t *value);
bool chonkle_uint_or(chonkle_call *call, const char *name, uint64_t fallback, uint64_t maximum,
                     uint64_t *value);
bool chonkle_float(chonkle_call *call, const char *name, double *value);
bool chonkle_float_or(chonkle_call *call, const char *name, double fallback, double *value);
bool chonkle_bool(chonkle_call *call, const char *name, bool *value);
bool chonkle_bool_or(chonkle_call *call, const char *name, bool fallback, bool *value);

/* A JSON string, escapes resolved, as terminated UTF-8 without inner NUL.
 *   capacity: bytes that `value` has room for, the terminator included; a longer string is a
 *             failure. */
bool chonkle_string(chonkle_call *call, const char *name, char *value, size_t capacity);

/* A JSON array of unsigned integers.
 *   capacity: how many `values` has room for; a longer array is a failure.
 *   count:    how many were stored. */
bool chonkle_uint_list(chonkle_call *call, const char *name, uint64_t *values, size_t capacity,
                       size_t *count);

/* ---- outputs ------------------------------------------------------------------------------- */

/* Outputs stand, one behind the other, in the memory that goes to the host: what a transform
 * writes there is not copied again. `name` is a terminated UTF-8 string.
 *
 * Begin an output of `size` bytes (uninitialised) and return where to write them: not aligned, and
 * not NULL unless it failed (out of memory, or beyond the 32-bit size of a port-map). Beginning or
 * resizing an output may move every other output, so write one whole before you begin the next, or
 * ask for all of them with chonkle_outputs(). */
uint8_t *chonkle_output(chonkle_call *call, const char *name, size_t size);

/* Change the size of the output that was begun last, keeping its first bytes, and return where it
 * is now. To grow an output of unknown size, at least double it: that keeps the copying linear. */
uint8_t *chonkle_output_resize(chonkle_call *call, size_t size);

/* Begin `count` outputs of known sizes at once.
 *   outputs: name and size are read, data is set to where to write the bytes; the addresses hold
 *            until another output is begun. name_size is ignored. */
bool chonkle_outputs(chonkle_call *call, chonkle_port *outputs, size_t count);

/* Give an input's memory back as the one output, after the transform has changed it in place.
 *   name:  must stay valid until the transform returns; a literal does.
 *   input: from chonkle_input() or chonkle_find().
 *   size:  of the output, at most input->size.
 * The bytes of other inputs may be overwritten as soon as the transform returns, not before. A
 * failure when other outputs exist. */
bool chonkle_output_in_place(chonkle_call *call, const char *name, chonkle_port *input,
                             size_t size);

/* ---- failure ------------------------------------------------------------------------------- */

/* Record why the call fails and return false, so that a transform can `return chonkle_fail(...)`.
 *   format: one line of UTF-8 with any of %s %d %lld %llu %zu %%; begin it in lower case, end it
 *           without a full stop. What is longer than 500 bytes is cut. */
bool chonkle_fail(chonkle_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Record that `size` bytes could not be allocated, for codecs with working memory of their own. */
bool chonkle_fail_memory(chonkle_call *call, size_t size);

#ifdef __cplusplus
}
#endif
#endif
