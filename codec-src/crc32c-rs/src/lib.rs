//! crc32c: the checksum of RFC 3720, section 12.1, before or after the data, as in numcodecs.

use checksum_kernel::{Crc, Iscsi, Location, decode, encode};
use chonkle_codec::{Inputs, Outputs, Result, Transform};

struct Crc32c;

impl Transform for Crc32c {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        decode::<Crc<Iscsi>>(Location::of(inputs)?, inputs, outputs)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        encode::<Crc<Iscsi>>(Location::of(inputs)?, inputs, outputs)
    }
}

chonkle_codec::export!(Crc32c);
