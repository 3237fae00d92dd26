//! fletcher32: the checksum of HDF5 and netCDF-4 after the data, as in numcodecs.

use checksum_kernel::{Fletcher32, Location, decode, encode};
use chonkle_codec::{Inputs, Outputs, Result, Transform};

struct Fletcher32Codec;

impl Transform for Fletcher32Codec {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        decode::<Fletcher32>(Location::End, inputs, outputs)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        encode::<Fletcher32>(Location::End, inputs, outputs)
    }
}

chonkle_codec::export!(Fletcher32Codec);
