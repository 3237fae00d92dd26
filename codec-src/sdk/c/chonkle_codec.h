/* chonkle_codec.h - write a codec for chonkle in C.
 *
 * An author defines the two functions chonkle_encode() and chonkle_decode() and nothing else; the
 * toolchain makes of them a core module and a component. A transform gets named inputs and gives
 * named outputs. Which names, of which types, and what is assumed of a scalar that a call leaves
 * out, stands in the codec's signature.json, and only there.
 *
 *     bool chonkle_decode(chonkle_call *call) {
 *         int64_t by;                            // its default stands in signature.json
 *         chonkle_port *bytes = chonkle_input(call, "bytes");
 *         if (!bytes || !chonkle_int(call, "by", 0, 255, &by)) return false;
 *         for (size_t i = 0; i < bytes->size; i++) bytes->data[i] ^= (uint8_t)by;
 *         return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
 *     }
 *
 * Adversaries. Inputs come from strangers: any port may be missing, empty, or hold anything. It is
 * shorter than 2 GiB, so that the sum of two sizes fits a size_t; a product may not, nor a number
 * that an input holds. Names may be any bytes; of two ports with one name, the call fails before
 * the transform is run. Every function below checks what it reads, and a codec must check what it
 * computes from that. Whatever an input holds, the answer is an output or a failure with words,
 * never a trap and never a loop that does nothing for hours. An adversary who breaks a codec
 * reaches its memory and no further; but data of the caller's next calls stands in that memory.
 *
 * Failure. Functions that return bool or a pointer return false or NULL after they have recorded
 * the reason with chonkle_fail(); the transform then returns false at once. Nothing has to be
 * released: the SDK frees the inputs and any output that was begun. What is untouched on failure is
 * said below; anything else that a function was to store may hold anything.
 *
 * Memory. A codec may use malloc(), and frees that before it returns, on failure too. There is as
 * much as the host allows, and at most 2 GiB in one piece; where there is not, malloc() gives NULL,
 * without setting errno, and chonkle_fail_memory() says so. Nothing that stays from one call to the
 * next may change what a call gives.
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
 *                    not aligned: use memcpy() or wasm_v128_load(), which take any address. Never
 *                    NULL, also when size is 0.
 * Owned by the SDK; valid until the transform returns. No two ports overlap. */
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

/* ---- inputs: bytes ------------------------------------------------------------------------- */

/* In all that follows, `name` is terminated UTF-8, and is not kept unless it says so. */

/* The port with that name, or NULL when the call has none, which is no failure: the way to ask for
 * a port that may be left out and has no default. */
chonkle_port *chonkle_find(chonkle_call *call, const char *name);

/* The port with that name; a failure when the call has none. */
chonkle_port *chonkle_input(chonkle_call *call, const char *name);

/* The port with that name; a failure when the call has none, when its size is no multiple of
 * `item_size`, or when that is 0. */
chonkle_port *chonkle_items(chonkle_call *call, const char *name, size_t item_size);

/* Demand that `used` bytes were all that an input has: nothing may stand behind the end of a
 * stream. More than its size counts as all of it. */
bool chonkle_end(chonkle_call *call, const chonkle_port *input, size_t used);

/* ---- inputs: scalars ----------------------------------------------------------------------- */

/* Scalars are JSON text (RFC 8259). Each function demands a value of its type and stores it;
 * *value is untouched on failure. When the call leaves the port out, it is the default that the
 * signature gives for it; without one, that is a failure.
 *
 * Integers lie between minimum and maximum, both included. They are written without fraction or
 * exponent: `2.0` and `2e0` are failures. A float is finite. */
bool chonkle_int(chonkle_call *call, const char *name, int64_t minimum, int64_t maximum,
                 int64_t *value);
bool chonkle_uint(chonkle_call *call, const char *name, uint64_t minimum, uint64_t maximum,
                  uint64_t *value);
bool chonkle_float(chonkle_call *call, const char *name, double *value);
bool chonkle_bool(chonkle_call *call, const char *name, bool *value);

/* A JSON string, escapes resolved, as terminated UTF-8 without inner NUL.
 *   capacity: bytes that `value` has room for, the terminator included; a longer string is a
 *             failure. */
bool chonkle_string(chonkle_call *call, const char *name, char *value, size_t capacity);

/* A JSON string out of a few.
 *   choices: the strings that it may be, of less than 64 bytes, and NULL behind the last.
 *   index:   of the one that it is. */
bool chonkle_choice(chonkle_call *call, const char *name, const char *const *choices,
                    size_t *index);

/* A JSON array of unsigned integers, such as a shape. Their product may wrap around: multiply with
 * __builtin_mul_overflow().
 *   capacity: how many `values` has room for; a longer array is a failure.
 *   count:    how many were stored. */
bool chonkle_uint_list(chonkle_call *call, const char *name, uint64_t *values, size_t capacity,
                       size_t *count);

/* The type of an array's elements.
 *   kind:          as NumPy names it: b boolean, i integer, u unsigned integer, f floating point,
 *                  c complex (two of f, of half the size), m duration, M date, S bytes, U text (in
 *                  units of 4 bytes), V anything.
 *   size:          bytes of an element, 1 to 2^26.
 *   is_big_endian: the most significant byte comes first; false where elements are single bytes. */
typedef struct {
    char kind;
    bool is_big_endian;
    size_t size;
} chonkle_type;

/* A NumPy type string: "<u2", "|b1", ">f8", "<M8[ns]"; or a name: "uint16". Without an order, or with `=`, it is
 * little-endian. The list of fields of a structured type is a failure.
 *   kinds: those that the codec takes: "iuf". */
bool chonkle_dtype(chonkle_call *call, const char *name, const char *kinds, chonkle_type *type);

/* ---- outputs ------------------------------------------------------------------------------- */

/* Outputs stand, one behind the other, in the memory that goes to the host: what a transform
 * writes there is not copied again.
 *
 * Begin an output of `size` bytes (uninitialised: write all of them) and return where to write
 * them: not aligned, and not NULL unless it failed (out of memory). Beginning or resizing an output
 * may move every other output, so write one whole before you begin the next, or ask for all of them
 * with chonkle_outputs(). Inputs stay where they are. */
uint8_t *chonkle_output(chonkle_call *call, const char *name, size_t size);

/* Change the size of the output that was begun last, keeping its first bytes, and return where it
 * is now. Growing it little by little costs no more than copying it once or twice: memory at least
 * doubles when it is not enough. On failure, the output is as it was. */
uint8_t *chonkle_output_resize(chonkle_call *call, size_t size);

/* Make the output that was begun last eight times as large, or two times where memory is short, for
 * decoders that have to begin again when their room was too little. Returns where it is now.
 *   size:  its new size, at least 4096 and at most `bound`.
 *   bound: a size that no honest stream needs more than. An output of that size cannot grow: that
 *          is a failure. */
uint8_t *chonkle_output_grow(chonkle_call *call, size_t *size, size_t bound);

/* Begin `count` outputs of known sizes at once.
 *   outputs: name and size are read, data is set to where to write the bytes; the addresses hold
 *            until another output is begun or resized. name_size is ignored. */
bool chonkle_outputs(chonkle_call *call, chonkle_port *outputs, size_t count);

/* Give memory of an input back as the one output, after the transform has changed it in place, or
 * because the output is a part of the input.
 *   name:       must stay valid until the transform returns; a literal does.
 *   data, size: bytes that lie in one input from chonkle_input() and its like; not memory of the
 *               codec's own, which is a failure.
 * The bytes of other inputs may be overwritten as soon as the transform returns, not before. A
 * failure when other outputs exist. */
bool chonkle_output_in_place(chonkle_call *call, const char *name, uint8_t *data, size_t size);

/* ---- failure ------------------------------------------------------------------------------- */

/* Record why the call fails and return false, so that a transform can `return chonkle_fail(...)`.
 *   format: one line of UTF-8 with any of %s %d %u %zu %lld %llu %%, and %.*s for bytes of a
 *           stranger: of those, 44 are shown, and `?` for what is not printable ASCII. Begin it in
 *           lower case, end it without a full stop. What is longer than 500 bytes is cut. */
bool chonkle_fail(chonkle_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Record that `size` bytes could not be allocated, for codecs with working memory of their own. */
bool chonkle_fail_memory(chonkle_call *call, size_t size);

#ifdef __cplusplus
}
#endif
#endif
