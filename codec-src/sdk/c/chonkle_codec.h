/* chonkle_codec.h - write a codec for chonkle in C.
 *
 * A codec defines chonkle_encode() and chonkle_decode(); the toolchain builds a core module and a
 * component from them. Its signature.json declares the ports: their names, types and defaults.
 *
 *     bool chonkle_decode(chonkle_call *call) {
 *         int64_t by;                            // its default is in signature.json
 *         chonkle_port *bytes = chonkle_input(call, "bytes");
 *         if (!bytes || !chonkle_int(call, "by", 0, 255, &by)) return false;
 *         for (size_t i = 0; i < bytes->size; i++) bytes->data[i] ^= (uint8_t)by;
 *         return chonkle_output_in_place(call, "bytes", bytes->data, bytes->size);
 *     }
 *
 * Failure. On failure, a function records the reason as chonkle_fail() does and returns false or
 * NULL; the transform then returns false at once. The SDK frees the inputs and all outputs. After a
 * failure, the targets of pointer arguments are unspecified unless stated otherwise.
 *
 * Untrusted input. Any port may be missing, be empty or hold any bytes; its name may be any bytes.
 * A port is smaller than 2 GiB: the sum of two sizes fits a size_t, a product may not, and neither
 * may a number that an input contains. A call with more than 64 ports, or with two ports of one
 * name, fails before the transform runs. The functions below check what they read; the codec checks
 * what it computes from that. Every call ends in reasonable time with outputs or with a recorded
 * failure, never with a trap. A compromised codec is confined to its memory, but that memory holds
 * the data of later calls, too.
 *
 * Memory. A codec may call malloc(), and frees that memory before it returns, on failure too.
 * malloc() returns NULL, without setting errno, for more than 2 GiB and where the host allows no
 * more; report that with chonkle_fail_memory(). State kept between calls must not change results.
 *
 * Threads. An instance runs one call at a time. The SDK has no locks.
 */
#ifndef CHONKLE_CODEC_H
#define CHONKLE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One call of the codec. Owned by the SDK; valid until the transform returns. */
typedef struct chonkle_call chonkle_call;

/* One port's data.
 *   name, name_size: UTF-8, not terminated.
 *   data, size:      the bytes, which may be changed in place. `data` is never NULL. It is not
 *                    aligned: access it with memcpy() or wasm_v128_load().
 * Owned by the SDK; valid until the transform returns. Ports do not overlap. */
typedef struct {
    const char *name;
    size_t name_size;
    uint8_t *data;
    size_t size;
} chonkle_port;

/* ---- defined by the codec ------------------------------------------------------------------ */

/* chonkle_encode() turns the decoded form into the encoded form, chonkle_decode() the opposite.
 * Return true when at least one output exists and all are complete, false after a failure. */
bool chonkle_encode(chonkle_call *call);
bool chonkle_decode(chonkle_call *call);

/* ---- inputs: bytes ------------------------------------------------------------------------- */

/* Below, `name` is a terminated UTF-8 string, which the SDK does not keep unless stated. */

/* Find a port. Returns NULL, without a failure, when the call has none of that name: for ports that
 * are optional and have no default. */
chonkle_port *chonkle_find(chonkle_call *call, const char *name);

/* Find a port; fails when the call has none of that name. */
chonkle_port *chonkle_input(chonkle_call *call, const char *name);

/* As chonkle_input(); also fails when `item_size` is 0 or does not divide the port's size. */
chonkle_port *chonkle_items(chonkle_call *call, const char *name, size_t item_size);

/* End a stream in an input. Bytes after it are a failure, unless the port `trailing` is "ignore"; the
 * other value is "refuse".
 *   used: the size of the stream. */
bool chonkle_end(chonkle_call *call, const chonkle_port *input, size_t used);

/* ---- inputs: scalars ----------------------------------------------------------------------- */

/* Parse a scalar port, which is JSON text (RFC 8259), and store its value. When the call lacks the
 * port, these functions parse its default from the signature. They fail when there is neither, and
 * when the text has another type or is out of range; *value is unchanged then.
 *   minimum, maximum: the range, both included.
 * Integers have no fraction and no exponent: `2.0` and `2e0` fail. A float is finite. */
bool chonkle_int(chonkle_call *call, const char *name, int64_t minimum, int64_t maximum,
                 int64_t *value);
bool chonkle_uint(chonkle_call *call, const char *name, uint64_t minimum, uint64_t maximum,
                  uint64_t *value);
bool chonkle_float(chonkle_call *call, const char *name, double *value);
bool chonkle_bool(chonkle_call *call, const char *name, bool *value);

/* Parse a JSON string, resolve its escapes and store it as terminated UTF-8.
 *   capacity: the size of `value` with the terminator, at least 1.
 * Fails for a longer string and for one that contains NUL; `value` may be partly written then. */
bool chonkle_string(chonkle_call *call, const char *name, char *value, size_t capacity);

/* Parse a JSON string that is one of a few.
 *   choices: the strings allowed, of at most 63 bytes each; a NULL ends the list.
 *   index:   set to the position of the string in `choices`; unchanged on failure. */
bool chonkle_choice(chonkle_call *call, const char *name, const char *const *choices,
                    size_t *index);

/* Parse a JSON array of unsigned integers, such as a shape. Their product may overflow: multiply
 * with __builtin_mul_overflow().
 *   capacity: the length of `values`; fails for a longer array, `values` may be partly written.
 *   count:    set to the length of the array; unchanged on failure. */
bool chonkle_uint_list(chonkle_call *call, const char *name, uint64_t *values, size_t capacity,
                       size_t *count);

/* The type of an array's elements.
 *   kind:          NumPy's letter: b boolean, i integer, u unsigned integer, f floating point,
 *                  c complex (two of f), m timedelta, M datetime, S bytes, U text (UCS-4), V void.
 *   size:          bytes per element, 1 to 2^26.
 *   is_big_endian: false for elements of one byte. */
typedef struct {
    char kind;
    bool is_big_endian;
    size_t size;
} chonkle_type;

/* Parse a JSON string with a NumPy type, "<u2", "|b1", ">f8", "<M8[ns]", or a name, "uint16". A
 * type without byte order, or with `=`, is little-endian.
 *   kinds: the letters of the kinds allowed, such as "iuf".
 *   type:  unchanged on failure.
 * Fails for any other kind and for structured types. */
bool chonkle_dtype(chonkle_call *call, const char *name, const char *kinds, chonkle_type *type);

/* ---- inputs: JSON with structure ----------------------------------------------------------- */

/* A cursor over JSON text, for lists and objects. Owned by the codec; valid as long as the call. The
 * functions below skip white space first. Those that take a value return false, without a failure,
 * and leave the cursor anywhere when another value comes; copy the cursor to try again. */
typedef struct {
    const char *name; /* of the port, terminated */
    const char *text; /* its first character */
    const char *at;
    const char *end;
} chonkle_json;

/* Begin to read the text of a port, or of its default. */
bool chonkle_json_begin(chonkle_call *call, const char *name, chonkle_json *json);

/* Begin to read JSON text that a string port holds, as `json_text` in the signature says. Resolves
 * the escapes of the string in the port itself, so it works once. */
bool chonkle_json_begin_held(chonkle_call *call, const char *name, chonkle_json *json);

/* Take a mark, such as `[` or `,`, if it comes next. */
bool chonkle_json_mark(chonkle_json *json, char mark);

/* Take a string, as chonkle_string() does, or skip one of any size when `value` is NULL. */
bool chonkle_json_take_string(chonkle_json *json, char *value, size_t capacity);

/* Take an integer, without fraction and exponent. */
bool chonkle_json_take_integer(chonkle_json *json, bool *is_negative, uint64_t *magnitude);

/* Take a number as the nearest double, which may be infinite. */
bool chonkle_json_take_float(chonkle_json *json, double *value);

/* Take a string with a type, as chonkle_dtype() does. */
bool chonkle_json_take_dtype(chonkle_json *json, const char *kinds, chonkle_type *type);

/* Tell whether only white space is left. */
bool chonkle_json_end(chonkle_json *json);

/* Record that the text of the port is not what was expected, and show it. Always returns false. */
bool chonkle_json_fail(chonkle_call *call, const chonkle_json *json, const char *expected);

/* ---- outputs ------------------------------------------------------------------------------- */

/* All outputs are in one block of memory, which the host reads: nothing is copied again. Beginning
 * or resizing an output may move the others, so complete one before the next, or begin all of known
 * size with chonkle_outputs(). Inputs do not move. */

/* Begin an output of `size` bytes, uninitialised; the codec writes all of them.
 * Returns where to write them, not aligned; NULL when memory is out. */
uint8_t *chonkle_output(chonkle_call *call, const char *name, size_t size);

/* Change the size of the latest output, keeping its first bytes. Returns where it is now; on
 * failure, it is unchanged. Memory at least doubles when it grows: growing in small steps costs no
 * more than copying the output once or twice. */
uint8_t *chonkle_output_resize(chonkle_call *call, size_t size);

/* Enlarge the latest output eight times, or less where memory is short, for decoders that start
 * again in a larger output. Returns where it is now; on failure, it is unchanged.
 *   size:  set to the new size, at least 4096 and at most `bound`.
 *   bound: the most that a valid stream can need; fails when the output has that size already. */
uint8_t *chonkle_output_grow(chonkle_call *call, size_t *size, size_t bound);

/* Begin `count` outputs at once.
 *   outputs: their names, terminated, and sizes; `data` is set to where to write each, valid until
 *            another output is begun or resized. `name_size` is ignored. */
bool chonkle_outputs(chonkle_call *call, chonkle_port *outputs, size_t count);

/* Make a part of an input the only output, changed in place or not.
 *   name:       must stay valid until the transform returns, as a literal does.
 *   data, size: bytes within one input.
 * Fails when they are not, and when other outputs exist. */
bool chonkle_output_in_place(chonkle_call *call, const char *name, uint8_t *data, size_t size);

/* ---- failure ------------------------------------------------------------------------------- */

/* Record why the call fails, in place of any earlier reason. Always returns false.
 *   format: one line of UTF-8, lower case at the start, no full stop at the end. It may contain %s,
 *           %d, %u, %zu, %lld, %llu, %% and, for bytes of an input, %.*s, which shows at most 44
 *           bytes and `?` for all but printable ASCII. Text is cut after 500 bytes. */
bool chonkle_fail(chonkle_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Record that `size` bytes could not be allocated. Always returns false. */
bool chonkle_fail_memory(chonkle_call *call, size_t size);

#ifdef __cplusplus
}
#endif
#endif
