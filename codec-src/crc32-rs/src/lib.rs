//! crc32: the checksum of RFC 1952, section 8, before or after the data, as in numcodecs.

use checksum_kernel::{Crc, Ieee, Location, decode, encode};
use chonkle_codec::{Inputs, Outputs, Result, Transform};

struct Crc32;

impl Transform for Crc32 {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        decode::<Crc<Ieee>>(Location::of(inputs)?, inputs, outputs)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        encode::<Crc<Ieee>>(Location::of(inputs)?, inputs, outputs)
    }
}

chonkle_codec::export!(Crc32);
