//! adler32: the checksum of RFC 1950, section 8, before or after the data, as in numcodecs.

use checksum_kernel::{Adler32, Location, decode, encode};
use chonkle_codec::{Inputs, Outputs, Result, Transform};

struct Adler32Codec;

impl Transform for Adler32Codec {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        decode::<Adler32>(Location::of(inputs)?, inputs, outputs)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        encode::<Adler32>(Location::of(inputs)?, inputs, outputs)
    }
}

chonkle_codec::export!(Adler32Codec);
