/** Bytes. */
import { ParameterError, requireThat } from "./errors.js";

/** View any buffer as bytes. */
export function bytesOf(data) {
  if (ArrayBuffer.isView(data))
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const isBuffer = typeof data?.byteLength === "number";
  requireThat(isBuffer, ParameterError, `expected bytes in a buffer, got ${typeof data}`);
  return new Uint8Array(data);
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
