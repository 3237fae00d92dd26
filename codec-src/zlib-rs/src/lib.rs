//! zlib: DEFLATE (RFC 1951) in the zlib format (RFC 1950), on libdeflate.

use chonkle_codec::{Inputs, Outputs, Result, Transform};
use deflate_kernel::{ZLIB, decode_zlib, encode_stream};

struct Zlib;

impl Transform for Zlib {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        decode_zlib(inputs, outputs)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        encode_stream(&ZLIB, inputs, outputs)
    }
}

chonkle_codec::export!(Zlib);
