/** Bytes. */

/** View any buffer as bytes. */
export function bytesOf(data) {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}

/** Write parts one after another, into a new array or a given one. */
export function join(
  parts,
  into = new Uint8Array(parts.reduce((size, part) => size + part.length, 0)),
) {
  let at = 0;
  for (const part of parts) {
    into.set(part, at);
    at += part.length;
  }
  return into;
}
