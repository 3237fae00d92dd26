//! bz2: bzip2 streams, with libbz2-rs, which is bzip2 in Rust.

mod bzip2;

use std::cell::Cell;

use chonkle_codec::{Inputs, Outputs, Result, Transform};

/// The first room is the size of the last output, but at least and at most these multiples of the
/// encoded size: 40 bytes can decode to 46 MB.
const RATIO_FIRST: usize = 8;
const RATIO_GUESSED: usize = 256;

thread_local! {
    /// The size of the last output, as the chunks of an array mostly have one size.
    static LAST_SIZE: Cell<usize> = const { Cell::new(0) };
}

struct Bz2;

impl Transform for Bz2 {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let encoded = inputs.bytes("bytes")?;
        let sized = |ratio: usize| encoded.len().saturating_mul(ratio);
        let expected = LAST_SIZE.get().clamp(sized(RATIO_FIRST), sized(RATIO_GUESSED));
        let mut output = outputs.begin("bytes", 0)?;
        output.reserve(expected).or_else(|_| output.reserve(encoded.len()))?;
        let mut rest = encoded;
        loop {
            rest = bzip2::decompress(rest, &mut output)?;
            if !bzip2::begins(rest) {
                LAST_SIZE.set(output.len());
                return inputs.end("bytes", encoded.len() - rest.len());
            }
        }
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let decoded = inputs.bytes("bytes")?;
        let level = inputs.int("level", 1..=9)?;
        let mut output = outputs.begin("bytes", bzip2::bound(decoded.len()))?;
        bzip2::compress(decoded, level as i32, &mut output)
    }
}

chonkle_codec::export!(Bz2);
