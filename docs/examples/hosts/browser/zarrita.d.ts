/** Chonkle's codecs in zarrita. */
import type { Codec } from "./chonkle.js";

/**
 * Put codecs in the registry of zarrita, under the names that their signatures declare.
 *
 * They take the place of zarrita's own, two of which, `bytes` and `transpose`, they use.
 */
export function registerZarrita(
  registry: Map<string, () => any>,
  codecs: Iterable<Codec>,
): Promise<void>;
