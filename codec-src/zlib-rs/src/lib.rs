//! zlib: DEFLATE (RFC 1951) in the zlib format (RFC 1950), with libdeflate.

use chonkle_codec::{Inputs, Outputs, Result, Transform};
use deflate_kernel::{Zlib, decode, encode};

struct Codec;

impl Transform for Codec {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        decode::<Zlib>(inputs, outputs)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        encode::<Zlib>(inputs, outputs)
    }
}

chonkle_codec::export!(Codec);
