//! deflate: raw DEFLATE (RFC 1951), with libdeflate.

use chonkle_codec::{Inputs, Outputs, Result, Transform};
use deflate_kernel::{Raw, decode, encode};

struct Codec;

impl Transform for Codec {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        decode::<Raw>(inputs, outputs)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        encode::<Raw>(inputs, outputs)
    }
}

chonkle_codec::export!(Codec);
