//! deflate: DEFLATE (RFC 1951) with nothing around it, on libdeflate.

use chonkle_codec::{Inputs, Outputs, Result, Transform};
use deflate_kernel::{RAW, decode_stream, encode_stream};

struct Deflate;

impl Transform for Deflate {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        decode_stream(&RAW, inputs, outputs)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        encode_stream(&RAW, inputs, outputs)
    }
}

chonkle_codec::export!(Deflate);
