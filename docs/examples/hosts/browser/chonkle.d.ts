/** Runs chonkle codecs in browsers, node and deno. */

/** What one call of a codec may take; 1 GiB each when left out. */
export interface Limits {
  /** Of the codec's memory, kept by the engine. */
  memoryBytes?: number;
  /** Of all that a call gives. */
  outputBytes?: number;
}

export interface OpenOptions {
  /**
   * The digest of the module, as in `codecs.lock`: `sha256:<hex>`.
   *
   * Left out, nothing is checked. Anything else is: `undefined`, as of a lock without the file, too.
   */
  integrity?: string;
  limits?: Limits;
  /** Where calls run; in this thread when left out, where nothing can interrupt them. */
  workers?: Workers;
}

/** Properties of an array, as far as they are known, by their names in `from_array`. */
export interface ArrayProperties {
  /** A type string or a name: `<f4`, `float32`. */
  dtype?: string;
  itemsize?: number;
  scalarsize?: number;
  byte_order?: "little" | "big";
  shape?: readonly number[];
  "shape[-1]"?: number;
  width?: number;
  samples_per_pixel?: number;
}

export type Direction = "encode" | "decode";
export type Buffer = ArrayBufferView | ArrayBuffer;
export type Parameters = Readonly<Record<string, unknown>>;

/** A port of a signature. */
export interface Port {
  type: "bytes" | "string" | "int" | "uint" | "float" | "bool" | "uint[]" | "dtype_desc";
  required?: boolean;
  parameter?: boolean;
  default?: unknown;
  encode_only?: boolean;
  decode_only?: boolean;
  minimum?: number;
  maximum?: number;
  clamp?: boolean;
  choices?: unknown[];
  values?: Record<string, unknown>;
  from_array?: keyof ArrayProperties;
  json_text?: boolean;
  array?: { byte_order?: "little"; dtype?: string[]; permuted_by?: string };
}

/** The section `chonkle:signature` of a module, as it is there. */
export interface Signature {
  codec_id: string;
  implementation?: string;
  version?: string;
  kind?: "bytes-to-bytes" | "array-to-bytes" | "array-to-array";
  inputs: Record<string, Port>;
  outputs: Record<string, Port>;
  aliases?: Record<string, (string | number)[]>;
  encoded_size?: { kind: "fixed" | "bounded" | "unbounded"; formula?: string };
  identity?: Record<string, unknown>[];
  [field: string]: unknown;
}

/** A codec with values for its parameters. */
export interface BoundCodec {
  /** The parameters, with defaults. */
  readonly values: Parameters;
  encode(data: Buffer): Promise<Uint8Array>;
  decode(data: Buffer): Promise<Uint8Array>;
}

/** A codec. `encode`, `decode` and `bind` are for codecs of one value, named `bytes`. */
export class Codec {
  private constructor();
  readonly signature: Signature;
  /** The codec in messages: its name, implementation and version. */
  readonly label: string;
  encode(data: Buffer, parameters?: Parameters, array?: ArrayProperties): Promise<Uint8Array>;
  decode(data: Buffer, parameters?: Parameters, array?: ArrayProperties): Promise<Uint8Array>;
  /**
   * Make ports of parameters once, for many chunks. What is not given is the array's, or a default.
   *
   * @throws ParameterError: one is unknown, has no value, or is no JSON, or the signature is odd;
   *   whether a value is right, the codec says
   */
  bind(parameters?: Parameters, array?: ArrayProperties): BoundCodec;
  /** Run the codec on ports. Text is encoded as UTF-8; all types but `bytes` are JSON text. */
  call(
    direction: Direction,
    ports: Record<string, Buffer | string>,
  ): Promise<Record<string, Uint8Array>>;
}

/**
 * Open a codec from its URL or bytes. Nothing of it runs before the first call.
 *
 * @throws DigestMismatchError; ChonkleError for a module that is no codec, or needs more memory;
 *   LimitExceeded for one whose tables are large: over 1 << 17 elements, or without a maximum; and
 *   for one with arrays or structs
 */
export function open(source: string | URL | Buffer, options?: OpenOptions): Promise<Codec>;

/** Workers that several codecs may share; one is terminated when a call in it takes too long. */
export class Workers {
  constructor(options?: {
    /** How many, at least one; as many as there are processors when left out. */
    size?: number;
    /** The longest time of a call, with the start of its worker; 30 000 when left out. */
    timeoutMs?: number;
  });
  /** Terminate the workers. Calls under way fail, and those that wait, and later ones. */
  close(): void;
}

export class ChonkleError extends Error {
  /**
   * - `CodecError`: the codec refused its input, in the words of the message
   * - `CodecTrap`: the codec broke; the next call gets another instance
   * - `LimitExceeded`: the codec asked for more memory, tables, output or time than allowed
   * - `DigestMismatchError`: a module is not the one that was meant
   * - `ParameterError`: a parameter is unknown, has no value, or cannot be used
   * - `ChonkleError`: a module cannot be fetched, or is no codec
   */
  name:
    | "CodecError"
    | "CodecTrap"
    | "LimitExceeded"
    | "DigestMismatchError"
    | "ParameterError"
    | "ChonkleError";
}
