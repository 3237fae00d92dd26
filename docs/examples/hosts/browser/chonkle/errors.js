/** What can go wrong. */

export class ChonkleError extends Error {
  get name() {
    return this.constructor.name;
  }
}
/** The codec refused its input. */
export class CodecError extends ChonkleError {}
/** The codec broke; the next call gets another instance. */
export class CodecTrap extends ChonkleError {}
/** The codec asked for more memory, output or time than allowed. */
export class LimitExceeded extends ChonkleError {}
/** A module is not the one that was meant. */
export class DigestMismatchError extends ChonkleError {}
/** A parameter has no value, or one that the signature does not allow. */
export class ParameterError extends ChonkleError {}

export function requireThat(holds, Failure, message) {
  if (!holds) throw new Failure(message);
}
