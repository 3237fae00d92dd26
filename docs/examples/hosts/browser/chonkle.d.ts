/** Runs chonkle codecs in browsers, node and deno. */

/** What one call of a codec may take; 1 GiB each when left out. */
export interface Limits {
  /** Of the codec's memory, kept by the engine. */
  memoryBytes?: number;
  /** Of all that a call gives. */
  outputBytes?: number;
}

export interface OpenOptions {
  /** The digest of the module: `sha256-<base64>` or `sha256:<hex>`; also SHA-384 and SHA-512. */
  integrity?: string;
  limits?: Limits;
  /** Where calls run; in this thread when left out, where nothing can interrupt them. */
  workers?: Workers;
}

/** An array of which a chunk is encoded or decoded to. */
export interface ArraySpec {
  /** A type string or a name: `<f4`, `float32`. */
  dtype: string;
  shape?: readonly number[];
}

export type Direction = "encode" | "decode";
export type Ports = Record<string, Uint8Array>;
export type Parameters = Readonly<Record<string, unknown>>;

/** A port of a signature, with its defaults. */
export interface Port {
  type: "bytes" | "string" | "int" | "uint" | "float" | "bool" | "uint[]" | "dtype_desc";
  required: boolean;
  parameter: boolean;
  default?: unknown;
  encode_only?: boolean;
  decode_only?: boolean;
  minimum?: number;
  maximum?: number;
  clamp?: boolean;
  choices?: unknown[];
  values?: Record<string, unknown>;
  from_array?: "dtype" | "itemsize" | "scalarsize" | "shape" | "shape[-1]";
  json_text?: boolean;
  array?: { byte_order?: "little"; dtype?: string[]; permuted_by?: string };
}

/** The section `chonkle:signature` of a module. */
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
  encode(data: ArrayBufferView | ArrayBuffer): Promise<Uint8Array>;
  decode(data: ArrayBufferView | ArrayBuffer): Promise<Uint8Array>;
}

export class Codec {
  private constructor();
  readonly signature: Signature;
  /** The codec in messages: its name, implementation and version. */
  readonly label: string;
  encode(
    data: ArrayBufferView | ArrayBuffer,
    parameters?: Parameters,
    array?: ArraySpec,
  ): Promise<Uint8Array>;
  decode(
    data: ArrayBufferView | ArrayBuffer,
    parameters?: Parameters,
    array?: ArraySpec,
  ): Promise<Uint8Array>;
  /** Check the parameters once, for many chunks of one array. */
  bind(parameters?: Parameters, array?: ArraySpec): BoundCodec;
  /** Run the codec on the bytes of ports; those of all types but `bytes` are JSON text. */
  call(direction: Direction, ports: Ports): Promise<Ports>;
}

/**
 * Open a codec from its URL or bytes. Nothing of it runs before the first call.
 *
 * @throws DigestMismatchError, LimitExceeded, or ChonkleError for a module that is no codec
 */
export function open(
  source: string | URL | ArrayBufferView | ArrayBuffer,
  options?: OpenOptions,
): Promise<Codec>;

/** Workers that several codecs may share; one is terminated when a call in it takes too long. */
export class Workers {
  constructor(options?: {
    /** How many; as many as there are processors when left out. */
    size?: number;
    /** The longest time of a call, 30 000 when left out. */
    timeoutMs?: number;
    /** The class `Worker` of `node:worker_threads`, in node. */
    Worker?: new (url: URL, options?: object) => unknown;
  });
  /** Terminate the workers. Calls that are under way fail. */
  close(): void;
}

/**
 * Put codecs in the registry of zarrita, under the names that their signatures declare.
 *
 * A configuration that only zarrita's own codec takes gives that, unless `strict` is set.
 *
 * @returns a function that takes everything back
 */
export function registerZarrita(
  registry: Map<string, () => Promise<any>>,
  codecs: Iterable<Codec>,
  options?: { strict?: boolean },
): Promise<() => void>;

export class ChonkleError extends Error {}
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
