//! bz2: bzip2 streams, on libbz2-rs, which is bzip2 in Rust.

mod bzip2;

use std::cell::Cell;

use chonkle_codec::{Inputs, Outputs, Result, Transform};

/// Room for a first try, in sizes of what is encoded.
const RATIO_FIRST: usize = 8;
/// The last output's size is a good guess, but only where it is not beyond all measure: 46 MB may
/// stand in 40 bytes.
const RATIO_GUESSED: usize = 256;

thread_local! {
    /// How large the last output was. The chunks of an array mostly have one size.
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
            if rest.is_empty() {
                LAST_SIZE.set(output.len());
                return Ok(());
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
